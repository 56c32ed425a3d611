//! The header of a frame: one JSON object (`wire/msgq.md` sections 4.2 and 5).
//!
//! Owns: which keys mean something, found in one pass and borrowed from the frame, and what
//! numbers questions and answers are paired by. Does not own what JSON is (`json`), nor
//! what a frame means (`session.rs`): values are of any kind here.

use super::json::{self, Kind, NotJson, Scan, Str, Value};

/// The keys that a node looks at. All others are passed on.
const KEYS: [&str; 8] = ["type", "from", "to", "group", "instance", "seq", "reply", "want_answer"];

/// A header, checked. Of a key that comes twice, the last counts, as in both libraries.
#[derive(Debug, Clone, Copy)]
pub struct Header<'f> {
    /// All of it.
    pub text: &'f str,
    /// `type`: what to do, section 6.
    pub kind: Option<Value<'f>>,
    /// The lname of the sender, as it says.
    pub from: Option<Value<'f>>,
    /// `*`: by group; else the lname of the one receiver.
    pub to: Option<Value<'f>>,
    /// Name of the group.
    pub group: Option<Value<'f>>,
    /// `*`, or a narrower name inside the group.
    pub instance: Option<Value<'f>>,
    /// Number of the message.
    pub seq: Option<Value<'f>>,
    /// The number of what this answers.
    pub reply: Option<Value<'f>>,
    /// Whether the sender wants to be told when there is nobody to deliver to.
    pub want_answer: Option<Value<'f>>,
    /// Whether there is a `\u` escape anywhere, which not every client can read.
    pub escaped: bool,
}

/// Why it is no header: not JSON, no object, half of a surrogate pair, something behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadHeader(pub NotJson);

impl BadHeader {
    /// For people.
    pub const fn text(self) -> &'static str {
        self.0.text()
    }
}

impl<'f> Header<'f> {
    /// From a frame. Every octet of it is looked at and checked, keys without meaning too,
    /// because it is passed on as it is.
    ///
    /// # Errors
    ///
    /// What sections 4.2 and 14.3 call broken. Values of a kind that is not expected are no
    /// errors here.
    #[inline]
    pub fn read(text: &'f str) -> Result<Header<'f>, BadHeader> {
        let mut h = Header {
            text,
            kind: None,
            from: None,
            to: None,
            group: None,
            instance: None,
            seq: None,
            reply: None,
            want_answer: None,
            escaped: false,
        };
        let mut members = json::object(text).map_err(BadHeader)?;
        while let Some((key, value)) = members.next().map_err(BadHeader)? {
            if let Some(field) = h.field(key) {
                *field = Some(value);
            }
        }
        h.escaped = members.has_u();
        Ok(h)
    }

    #[inline]
    fn field(&mut self, key: Str<'f>) -> Option<&mut Option<Value<'f>>> {
        Some(match key.raw() {
            "type" => &mut self.kind,
            "from" => &mut self.from,
            "to" => &mut self.to,
            "group" => &mut self.group,
            "instance" => &mut self.instance,
            "seq" => &mut self.seq,
            "reply" => &mut self.reply,
            "want_answer" => &mut self.want_answer,
            _ => return self.escaped_field(key),
        })
    }

    /// The same key may be written with escapes, which no library does.
    #[cold]
    fn escaped_field(&mut self, key: Str<'f>) -> Option<&mut Option<Value<'f>>> {
        if key.plain().is_some() {
            return None;
        }
        let plain = KEYS.into_iter().find(|k| key.is(k))?;
        self.field(Str::new(plain)?)
    }

    /// Whether the sender is to be told when nobody gets it (section 9): whatever counts as
    /// true in Python, and it is not an answer itself.
    #[inline]
    pub fn wants_answer(&self) -> bool {
        self.reply.is_none() && self.want_answer.is_some_and(|v| is_true(&v))
    }
}

/// Truth as Python has it.
fn is_true(v: &Value<'_>) -> bool {
    match v.kind {
        Kind::True => true,
        Kind::False | Kind::Null => false,
        Kind::String => v.text != "\"\"",
        Kind::Array => v.elements().next().is_some(),
        Kind::Object => v.members().next().is_some(),
        Kind::Number => v.text.parse::<f64>().is_ok_and(|n| n != 0.0),
    }
}

/// The number of a question, for pairing it with its answer, from whatever JSON value a
/// client numbers with (section 14.3): an integer of up to 64 bits is itself; anything else is
/// known by a hash, which is the same for the same value in another spelling of strings and
/// white space, and has its top bit set.
pub(crate) fn key(v: &Value<'_>) -> u64 {
    match v.text.parse::<i64>() {
        Ok(n) if v.kind == Kind::Number => n as u64,
        _ => whole(v).map_or_else(|| hash(v.text) | 1 << 63, |n| n as u64),
    }
}

/// A number that is an integer in another spelling: libraries write `1.0` and `1e3` anew.
#[cold]
fn whole(v: &Value<'_>) -> Option<i64> {
    let n = v.text.parse::<f64>().ok().filter(|_| v.kind == Kind::Number)?;
    let is_exact = n.abs() < (1u64 << 53) as f64 && n as i64 as f64 == n;
    is_exact.then_some(n as i64)
}

/// FNV-1a over the characters that matter.
#[cold]
fn hash(text: &str) -> u64 {
    let mut h = 0xcbf2_9ce4_8422_2325u64;
    let mut mix = |c: u32| h = (h ^ c as u64).wrapping_mul(0x100_0000_01b3);
    let mut left = text;
    while let Some(c) = left.chars().next() {
        let mut size = c.len_utf8();
        match c {
            '"' => {
                // no character has this number
                mix(u32::MAX);
                if let Ok(string) = Scan::new(left).value()
                    && let Some(inside) = string.string()
                {
                    inside.chars().for_each(|c| mix(c as u32));
                    size = string.text.len();
                }
                mix(u32::MAX);
            }
            ' ' | '\t' | '\r' | '\n' => {}
            c => mix(c as u32),
        }
        left = left.get(size..).unwrap_or_default();
    }
    h
}

/// The number of the question in a header. `None`: it cannot be answered, because `seq` or
/// `from` is missing (section 9).
pub(crate) fn question_key(header: &[u8]) -> Option<u64> {
    let h = Header::read(core::str::from_utf8(header).ok()?).ok()?;
    h.from?;
    Some(key(&h.seq?))
}

#[cfg(test)]
mod tests {
    use super::super::json;
    use super::*;

    fn text<'f>(v: Option<Value<'f>>) -> &'f str {
        v.map_or("-", |v| v.text)
    }

    fn all<'f>(h: &Header<'f>) -> [&'f str; 8] {
        [h.kind, h.from, h.to, h.group, h.instance, h.seq, h.reply, h.want_answer].map(text)
    }

    #[test]
    fn what_both_libraries_write() {
        // V8 and V10
        let python = r#"{"type": "send", "from": "5f3759df_1@host", "to": "*", "group": "news", "instance": "*", "seq": 3, "want_answer": true}"#;
        let cpp = r#"{ "from": "5f3759df_1@host", "group": "news", "instance": "*", "seq": 3, "to": "*", "type": "send", "want_answer": true }"#;
        for header in [python, cpp] {
            let h = Header::read(header).unwrap();
            assert_eq!(
                all(&h),
                ["\"send\"", "\"5f3759df_1@host\"", "\"*\"", "\"news\"", "\"*\"", "3", "-", "true"],
                "{header}"
            );
            assert!(h.wants_answer() && !h.escaped);
            assert_eq!(h.text, header);
        }
        // V8, the reply: key by key of section 5
        let h = Header::read(
            r#"{"type": "send", "from": "b", "to": "a", "group": "news", "instance": "*", "seq": 2, "reply": 3}"#,
        );
        assert_eq!(all(&h.unwrap()), ["\"send\"", "\"b\"", "\"a\"", "\"news\"", "\"*\"", "2", "3", "-"]);
    }

    #[test]
    fn any_spacing_unknown_keys_and_kinds() {
        let h = Header::read(
            "\t{\r\n\"type\"\n:\t{\"to\":[1,{\"group\":2}]} , \"x\":[1,2.50,null,{\"y\":false}],\"seq\":1}\n",
        );
        let h = h.unwrap();
        assert_eq!(
            all(&h),
            ["{\"to\":[1,{\"group\":2}]}", "-", "-", "-", "-", "1", "-", "-"],
            "not what is inside values"
        );
        assert_eq!(all(&Header::read("{}").unwrap()), ["-"; 8]);
        assert_eq!(all(&Header::read(" { } ").unwrap()), ["-"; 8]);
        // raw control characters and raw UTF-8 inside strings
        let h = Header::read("{\"group\":\"a\u{1}\nb\u{e9}\",\"x\":\"\u{7f}\"}").unwrap();
        assert_eq!(text(h.group), "\"a\u{1}\nb\u{e9}\"");
    }

    #[test]
    fn the_last_of_doubled_keys_counts() {
        let h = Header::read(r#"{"seq":1,"to":"a","seq":"two","to":null}"#).unwrap();
        assert_eq!((text(h.seq), text(h.to)), ("\"two\"", "null"));
        let h = Header::read(r#"{"seq":1,"s\u0065q":2}"#).unwrap();
        assert_eq!(text(h.seq), "2", "an escaped key is the same key");
    }

    #[test]
    fn escapes_are_noticed_wherever_they_are() {
        for (header, escaped) in [
            (r#"{"group":"\u00e9"}"#, true),
            (r#"{"\u0067roup":1}"#, true),
            (r#"{"x":[{"y":"\\\u0041"}]}"#, true),
            (r#"{"group":"\\u00e9"}"#, false),
            (r#"{"group":"\\\\u00e9\n\"\/"}"#, false),
            (r#"{"group":"u"}"#, false),
        ] {
            assert_eq!(Header::read(header).unwrap().escaped, escaped, "{header}");
        }
        let h = Header::read(r#"{"\u0067roup":"x","t\u006f":"\u002a","ty\"pe":1}"#).unwrap();
        assert_eq!((text(h.group), text(h.to), text(h.kind)), ("\"x\"", r#""\u002a""#, "-"));
    }

    #[test]
    fn what_is_broken() {
        for header in [
            "",
            " ",
            "{bad",
            "{",
            "{\"type\"",
            "{\"type\":",
            "{\"type\":\"ping\"",
            "{\"type\":\"ping\",",
            "{\"type\":\"ping\",}",
            "{\"type\" \"ping\"}",
            "{\"type\":\"ping\" \"to\":1}",
            "{,}",
            "{type:1}",
            "{1:1}",
            "{null:1}",
            "{[]:1}",
            "{\"type\":ping}",
            "{\"type\":}",
            "{\"a\":01}",
            "{\"a\":1}x",
            "{\"a\":1}{}",
            "{\"a\":1},",
            "{}}",
            "\u{feff}{\"type\":\"ping\"}",
            "{\"a\":\"\\ud800\"}",
            "{\"a\":\"\\x\"}",
            "{\"a\":\"b}",
            "{\"a\u{0}\":None}",
            "\u{a0}{}",
        ] {
            assert_ne!(Header::read(header).unwrap_err().0, NotJson::NoObject, "{header:?}");
        }
        for header in ["[]", "5", "\"type\"", "null", " true ", "[{\"type\":1}]"] {
            assert_eq!(Header::read(header).unwrap_err().0, NotJson::NoObject, "{header}");
        }
        assert_eq!(Header::read("{\"a\":\"\\ud800\"}").unwrap_err().0, NotJson::HalfPair);
    }

    #[test]
    fn every_beginning_of_a_header_is_broken() {
        let header = r#"{ "type": "send", "x": [ 1, { "y": "\u00e9\n" }, -2.5e3, true ], "seq": 12, "to": "*" }"#;
        for cut in 0..header.len() {
            assert!(Header::read(&header[..cut]).is_err(), "{cut}");
        }
        assert!(Header::read(header).is_ok());
    }

    #[test]
    fn deep_nesting_is_broken_and_not_recursed_into() {
        let mut deep = heapless::Vec::<u8, 60_000>::new();
        deep.extend_from_slice(b"{\"type\":").unwrap();
        while deep.push(b'[').is_ok() {}
        assert_eq!(Header::read(core::str::from_utf8(&deep).unwrap()).unwrap_err().0, NotJson::Deep);
        deep[8..].iter_mut().step_by(5).for_each(|b| *b = b'{');
        assert!(Header::read(core::str::from_utf8(&deep).unwrap()).is_err());
        // behind it all is well-formed
        let mut closed = heapless::String::<4096>::new();
        closed.push_str("{\"x\":").unwrap();
        (0..1000).for_each(|_| closed.push('[').unwrap());
        (0..1000).for_each(|_| closed.push(']').unwrap());
        closed.push('}').unwrap();
        assert_eq!(Header::read(&closed).unwrap_err().0, NotJson::Deep);
        assert!(Header::read(r#"{"x":[[[[[[[[[[{"y":[]}]]]]]]]]]]}"#).is_ok());
    }

    #[test]
    fn a_wish_for_an_answer_is_whatever_python_takes_for_true() {
        for (value, wants) in [
            ("true", true),
            ("false", false),
            ("null", false),
            ("1", true),
            ("0", false),
            ("-0", false),
            ("0.0", false),
            ("0e9", false),
            ("1e-400", false),
            ("0.5", true),
            ("-1", true),
            ("123456789012345678901234567890", true),
            ("NaN", true),
            ("Infinity", true),
            ("-Infinity", true),
            ("\"\"", false),
            ("\"no\"", true),
            ("[]", false),
            ("[ ]", false),
            ("[0]", true),
            ("{ }", false),
            ("{\"a\":0}", true),
        ] {
            let mut header = heapless::String::<128>::new();
            header.push_str("{\"want_answer\":").unwrap();
            header.push_str(value).unwrap();
            let mut reply = header.clone();
            header.push('}').unwrap();
            assert_eq!(Header::read(&header).unwrap().wants_answer(), wants, "{value}");
            // section 9: whatever the value of `reply`
            reply.push_str(",\"reply\":null}").unwrap();
            assert!(!Header::read(&reply).unwrap().wants_answer(), "{value}");
        }
        assert!(!Header::read("{}").unwrap().wants_answer());
    }

    fn key_of(json: &str) -> u64 {
        key(&json::parse(json).unwrap())
    }

    #[test]
    fn numbers_of_questions() {
        for (json, n) in [
            ("0", 0),
            ("-0", 0),
            ("5", 5),
            // as a library that reads doubles writes it anew
            ("5.0", 5),
            ("5e0", 5),
            ("1e3", 1000),
            ("-1", -1),
            ("9223372036854775807", i64::MAX),
            ("-9223372036854775808", i64::MIN),
        ] {
            assert_eq!(key_of(json), n as u64, "{json}");
        }
        let others = [
            "9223372036854775808",
            "18446744073709551615",
            "5.5",
            "\"5\"",
            "\"\"",
            "\"e\"",
            "\"\u{e9}\"",
            "null",
            "true",
            "false",
            "NaN",
            "[]",
            "{}",
            "[1,2]",
            "[12]",
            "[\"1,2\"]",
            "[\"1\",\"2\"]",
            "{\"a\":\"b c\"}",
            "{\"a\":\"bc\"}",
        ];
        for (i, a) in others.iter().enumerate() {
            assert!(key_of(a) >> 63 == 1, "{a}");
            for b in &others[i + 1..] {
                assert_ne!(key_of(a), key_of(b), "{a} {b}");
            }
        }
        // as the other library writes the same
        for (a, b) in [
            ("\"\\u00e9\"", "\"\u{e9}\""),
            ("[1,2]", "[ 1, 2 ]"),
            ("{\"a\":\"\\\"\\u0041\"}", "{ \"\\u0061\" : \"\\\"A\" }"),
        ] {
            assert_eq!(key_of(a), key_of(b), "{a}");
        }
    }

    #[test]
    fn a_question_that_cannot_be_answered_has_no_number() {
        assert_eq!(question_key(br#"{"from":"x","seq":7}"#), Some(7));
        assert_eq!(question_key(br#"{"from":null,"seq":7}"#), Some(7), "any value will do");
        assert!(question_key(br#"{"from":"x","seq":"a"}"#).is_some());
        // V48
        assert_eq!(question_key(br#"{"from":"x"}"#), None);
        assert_eq!(question_key(br#"{"seq":7}"#), None);
        for broken in [&b""[..], b"{", b"[]", b"\xff"] {
            assert_eq!(question_key(broken), None);
        }
    }
}
