//! Writing JSON that both client libraries can read.
//!
//! Owns: the seven short escapes that both write, never `\u` (section 4.2).

use super::escape;
use super::text::Str;
pub use crate::dialect::text::Writer;

/// Puts no commas: whoever writes knows where they go.
impl Writer<'_> {
    /// Text as it is: brackets, commas, keys, values that were received.
    #[inline]
    pub fn raw(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    /// A string with its quotes.
    pub fn string(&mut self, text: &str) {
        self.raw("\"");
        let mut left = text;
        while let Some(at) = left.bytes().position(|b| short(b).is_some()) {
            // what has a short escape is one octet, so both ends are between characters
            self.raw(left.get(..at).unwrap_or_default());
            self.octet(left.as_bytes().get(at).copied().unwrap_or_default());
            left = left.get(at + 1..).unwrap_or_default();
        }
        self.raw(left);
        self.raw("\"");
    }

    /// A string with its quotes, of single characters.
    pub fn string_of(&mut self, chars: impl Iterator<Item = char>) {
        self.raw("\"");
        chars.for_each(|c| self.char(c));
        self.raw("\"");
    }

    /// A string that was received, with its quotes and as it was written, but without `\u`.
    pub fn again(&mut self, text: &Str<'_>) {
        self.raw("\"");
        rewrite(text.raw(), self);
        self.raw("\"");
    }

    /// A number.
    pub fn i64(&mut self, n: i64) {
        if n < 0 {
            self.raw("-");
        }
        self.u64(n.unsigned_abs());
    }

    /// A string with its quotes, of octets in Base64.
    pub fn base64_string(&mut self, bytes: &[u8]) {
        self.raw("\"");
        self.base64(bytes);
        self.raw("\"");
    }

    /// One character of the inside of a string.
    fn char(&mut self, c: char) {
        if c.is_ascii() {
            self.octet(c as u8);
        } else {
            self.raw(c.encode_utf8(&mut [0; 4]));
        }
    }

    /// One ASCII character of the inside of a string.
    fn octet(&mut self, b: u8) {
        match short(b) {
            Some(letter) => self.bytes(&[b'\\', letter]),
            None => self.bytes(&[b]),
        }
    }
}

/// The letter of the short escape of `b`, if it has one that both libraries write. Other
/// control characters have none: both read them raw.
#[inline]
const fn short(b: u8) -> Option<u8> {
    match b {
        b'"' | b'\\' => Some(b),
        0x08 => Some(b'b'),
        0x0c => Some(b'f'),
        b'\n' => Some(b'n'),
        b'\r' => Some(b'r'),
        b'\t' => Some(b't'),
        _ => None,
    }
}

/// Writes checked JSON, or the inside of a checked string, as it is but without `\u`: those
/// become a short escape if there is one, else the character itself. Never longer than
/// `text`.
pub fn rewrite(text: &str, w: &mut Writer<'_>) {
    let bytes = text.as_bytes();
    // what is not written yet begins at `done`; backslashes stand in strings only
    let (mut done, mut at) = (0, 0);
    loop {
        at = escape(bytes, at);
        if bytes.get(at + 1) != Some(&b'u') {
            if at >= bytes.len() {
                break;
            }
            at += 2;
            continue;
        }
        w.bytes(bytes.get(done..at).unwrap_or_default());
        let mut chars = Str(text.get(at..).unwrap_or_default()).chars();
        let Some(c) = chars.next() else { break };
        w.char(c);
        at += if c.len_utf8() == 4 { 12 } else { 6 };
        done = at;
    }
    w.bytes(bytes.get(done..).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;

    fn written(write: impl Fn(&mut Writer<'_>)) -> heapless::String<512> {
        let mut buf = [0xa5; 512];
        let mut w = Writer::new(&mut buf);
        write(&mut w);
        let n = w.finish().unwrap();
        assert!(buf[n..].iter().all(|b| *b == 0xa5), "wrote beyond its end");
        heapless::String::try_from(core::str::from_utf8(&buf[..n]).unwrap()).unwrap()
    }

    #[test]
    fn strings_have_the_seven_escapes_and_all_else_raw() {
        let hard = "\0\u{1}\u{8}\t\n\u{b}\u{c}\r\u{1f} \"/\\\u{7f}é€😀";
        let want = "\"\0\u{1}\\b\\t\\n\u{b}\\f\\r\u{1f} \\\"/\\\\\u{7f}é€😀\"";
        assert_eq!(written(|w| w.string(hard)), want);
        assert_eq!(written(|w| w.string_of(hard.chars())), want);
        assert_eq!(written(|w| w.string("")), "\"\"");
        let v = written(|w| w.string(hard));
        assert!(parse(&v).unwrap().string().unwrap().is(hard), "read back");
    }

    #[test]
    fn numbers() {
        for n in [0, 9, 10, 123_456, u64::MAX] {
            assert_eq!(written(|w| w.u64(n)).parse(), Ok(n));
        }
        for n in [0, -1, 10, i64::MIN, i64::MAX] {
            assert_eq!(written(|w| w.i64(n)).parse(), Ok(n));
        }
    }

    #[test]
    fn base64_as_rfc_4648_has_it() {
        for (bytes, text) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(written(|w| w.base64_string(bytes.as_bytes())).trim_matches('"'), text);
        }
        assert_eq!(written(|w| w.base64_string(&[0xfb, 0xff, 0xfe, 0])), "\"+//+AA==\"", "the standard alphabet");
    }

    #[test]
    fn u_escapes_become_short_ones_or_raw() {
        for (text, want) in [
            (r#""\u00e9\u20ac\ud83d\ude00""#, "\"é€😀\""),
            (r#""\u0022\u005c\u0008\u000c\u000a\u000D\u0009""#, r#""\"\\\b\f\n\r\t""#),
            (r#""\u0000\u0001\u001f\u007f\u0041\u002f""#, "\"\0\u{1}\u{1f}\u{7f}A/\""),
            // everything else stays as it came
            (r#" { "a\\u0041\/\n" : [ 1.50 , "x\u0041y" ] } "#, " { \"a\\\\u0041\\/\\n\" : [ 1.50 , \"xAy\" ] } "),
            ("\"\n\u{1}é\"", "\"\n\u{1}é\""),
            (r#"{"\u00e9":"\\\u00e9\\"}"#, r#"{"é":"\\é\\"}"#),
            ("", ""),
        ] {
            let once = written(|w| rewrite(text, w));
            assert_eq!(once, want);
            assert_eq!(written(|w| rewrite(&once, w)), once, "again changes nothing");
            assert!(once.len() <= text.len());
            if let Ok(v) = parse(text) {
                assert_eq!(parse(&once).unwrap().kind, v.kind);
                if let Some(s) = v.string() {
                    assert!(parse(&once).unwrap().string().unwrap().chars().eq(s.chars()));
                    assert_eq!(written(|w| w.again(&s)), once);
                }
            }
        }
    }

    #[test]
    fn every_place_of_a_u_escape_in_a_word_is_found() {
        for before in 0..18 {
            for behind in 0..10 {
                let mut text: heapless::String<64> = core::iter::repeat_n('x', before).collect();
                text.push_str(r"\n\u00e9\ud83d\ude00").unwrap();
                (0..behind).for_each(|_| text.push('y').unwrap());
                let s = Str::new(&text).unwrap();
                let out = written(|w| rewrite(&text, w));
                assert!(Str::new(&out).unwrap().chars().eq(s.chars()) && !Str::new(&out).unwrap().has_u());
            }
        }
    }

    #[test]
    fn what_does_not_fit_is_counted_at_every_length() {
        fn all(w: &mut Writer<'_>) {
            w.raw("{");
            w.string("a\n\"é");
            w.raw(":");
            w.string_of("😀\\".chars());
            w.i64(-1234);
            w.u64(56);
            w.base64_string(b"fooba");
            w.again(&Str::new(r"x\u00e9\ud83d\ude00y").unwrap());
            w.bytes(b"}");
        }
        let whole = written(all);
        for size in 0..whole.len() + 2 {
            let mut buf = [0xa5; 128];
            let mut w = Writer::new(&mut buf[..size]);
            all(&mut w);
            assert_eq!(w.at(), whole.len());
            assert_eq!(w.finish(), (size >= whole.len()).then_some(whole.len()));
            // what did fit is a beginning of the whole, and nothing stands behind the room
            let kept = buf.iter().position(|b| *b == 0xa5).unwrap();
            assert!(kept <= size && whole.as_bytes().starts_with(&buf[..kept]));
            assert!(buf[size..].iter().all(|b| *b == 0xa5));
        }
    }

    #[test]
    fn rewriting_what_was_never_checked_does_no_harm() {
        for bad in [r"\", r"\u", r"\u12", r"\ud800", r"x\ud800\", r"\ud800\u0041é", r"\é\u", r"\uéééé\u0041"] {
            let mut buf = [0; 64];
            rewrite(bad, &mut Writer::new(&mut buf));
        }
    }
}
