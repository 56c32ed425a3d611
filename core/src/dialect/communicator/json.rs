//! The JSON form of a message as input (`wire/communicator.md` section 1.7).
//!
//! Owns: its grammar, which is flat, so that nothing here recurses; strings and numbers of
//! JSON as the octets they mean. Does not own the second unescaping of values (`text.rs`),
//! nor the JSON that a node writes (`emit.rs`).
//!
//! What the page leaves open: numbers are those of JSON (no leading zero or `+`); one that is
//! whole, however it is written, is an integer; control characters in strings are taken as
//! they are, a NUL is not; of a member given twice the last counts, but `parameters` given
//! twice is refused.

use super::repr::{Fault, Message, Params};
use super::text::{Room, Text};
use crate::limits::MAX_PARAMS;
use core::fmt::Write as _;

/// Reads a message. `text` begins with `{`, and has no white space at its end. Names with
/// escapes, which no name needs, are put into `spare`.
pub(super) fn message<'f>(text: &'f [u8], spare: &'f mut [u8]) -> Result<Message<'f>, Fault> {
    let mut room = Room::new(spare);
    let mut m = Message::default();
    let mut scan = Scan { left: text };
    let mut has_params = false;
    scan.one(b'{')?;
    loop {
        let name = scan.string().map(name)?;
        scan.one(b':')?;
        match scan.peek()? {
            b'"' if name.is(b"parameters") => return Err(Fault::JsonNotText),
            b'"' => {
                let inside = scan.string()?;
                for (field, called) in [
                    (&mut m.from_server, &b"sent-from-server"[..]),
                    (&mut m.from_service, b"sent-from-service"),
                    (&mut m.server, b"server"),
                    (&mut m.service, b"service"),
                    (&mut m.command, b"command"),
                ] {
                    if name.is(called) {
                        *field = self::name(inside).read(&mut room).ok_or(Fault::JsonNames)?;
                    }
                }
            }
            b'{' if name.is(b"parameters") => {
                if has_params {
                    return Err(Fault::JsonTwice);
                }
                has_params = true;
                m.params = params(&mut scan)?;
                m.asks = true;
            }
            b'{' | b'[' => return Err(Fault::JsonNested),
            _ => return Err(Fault::JsonNotText),
        }
        if !scan.more()? {
            break;
        }
    }
    match scan.peek() {
        Ok(_) => Err(Fault::JsonTrailing),
        Err(_) => Ok(m),
    }
}

/// An object of parameters.
fn params<'f>(scan: &mut Scan<'f>) -> Result<Params<'f>, Fault> {
    scan.one(b'{')?;
    let inside = scan.left;
    let mut count = 0;
    while param(&mut scan.left)?.is_some() {
        count += 1;
        if count > MAX_PARAMS {
            return Err(Fault::TooManyParams);
        }
    }
    Ok(Params::of_json(inside))
}

/// Takes one parameter off the front of what stands behind a `{`, and the `,` or `}` behind
/// it. `None`: there is no more.
pub(super) fn param<'f>(left: &mut &'f [u8]) -> Result<Option<(Text<'f>, Text<'f>)>, Fault> {
    let mut scan = Scan { left };
    if scan.peek()? == b'}' {
        scan.one(b'}')?;
        *left = scan.left;
        return Ok(None);
    }
    let key = scan.string().map(name)?;
    scan.one(b':')?;
    let value = scan.value()?;
    match scan.peek()? {
        b',' => {
            scan.one(b',')?;
            // no comma before the end
            if scan.peek()? == b'}' {
                return Err(Fault::JsonUnexpected);
            }
        }
        b'}' => {}
        _ => return Err(Fault::JsonUnexpected),
    }
    *left = scan.left;
    Ok(Some((key, value)))
}

/// The inside of a string that is no value.
fn name(inside: &[u8]) -> Text<'_> {
    if inside.contains(&b'\\') { Text::Name(inside) } else { Text::Plain(inside) }
}

/// Takes tokens off the front.
struct Scan<'t> {
    left: &'t [u8],
}

impl<'t> Scan<'t> {
    /// The first octet that is no blank.
    fn peek(&mut self) -> Result<u8, Fault> {
        while let [b' ' | b'\t' | b'\n' | b'\r', rest @ ..] = self.left {
            self.left = rest;
        }
        self.left.first().copied().ok_or(Fault::JsonTruncated)
    }

    /// This one.
    fn one(&mut self, wanted: u8) -> Result<(), Fault> {
        if self.peek()? != wanted {
            return Err(Fault::JsonUnexpected);
        }
        self.left = self.left.get(1..).unwrap_or_default();
        Ok(())
    }

    /// A `,`, so that there is more, or the `}`.
    fn more(&mut self) -> Result<bool, Fault> {
        match self.peek()? {
            b',' => self.one(b',').map(|()| true),
            _ => self.one(b'}').map(|()| false),
        }
    }

    /// The inside of a string, checked.
    fn string(&mut self) -> Result<&'t [u8], Fault> {
        self.one(b'"')?;
        let from = self.left;
        loop {
            match self.left {
                [] => return Err(Fault::JsonTruncated),
                [b'"', rest @ ..] => {
                    let inside = from.get(..from.len() - self.left.len()).unwrap_or_default();
                    self.left = rest;
                    return Ok(inside);
                }
                [0, ..] => return Err(Fault::JsonNul),
                [b'\\', ..] => {
                    let (c, rest) = escaped(self.left)?;
                    if c == '\0' {
                        return Err(Fault::JsonNul);
                    }
                    self.left = rest;
                }
                [_, rest @ ..] => self.left = rest,
            }
        }
    }

    /// The value of a parameter.
    fn value(&mut self) -> Result<Text<'t>, Fault> {
        match self.peek()? {
            b'"' => self.string().map(
                |inside| {
                    if inside.contains(&b'\\') { Text::Value(inside) } else { Text::Plain(inside) }
                },
            ),
            b'{' | b'[' => Err(Fault::JsonNested),
            b'-' | b'0'..=b'9' => self.number(),
            _ => {
                for (word, means) in [(&b"true"[..], &b"true"[..]), (b"false", b"false"), (b"null", b"")] {
                    if let Some(rest) = self.left.strip_prefix(word) {
                        self.left = rest;
                        return Ok(Text::Plain(means));
                    }
                }
                Err(
                    if b"true".starts_with(self.left)
                        || b"false".starts_with(self.left)
                        || b"null".starts_with(self.left)
                    {
                        Fault::JsonTruncated
                    } else {
                        Fault::JsonUnexpected
                    },
                )
            }
        }
    }

    fn number(&mut self) -> Result<Text<'t>, Fault> {
        let from = self.left;
        let digits = |left: &mut &'t [u8]| {
            let n = left.iter().take_while(|b| b.is_ascii_digit()).count();
            *left = left.get(n..).unwrap_or_default();
            if n > 0 { Ok(()) } else { Err(Fault::JsonUnexpected) }
        };
        if let [b'-', rest @ ..] = self.left {
            self.left = rest;
        }
        match self.left {
            [b'0', rest @ ..] => self.left = rest,
            _ => digits(&mut self.left)?,
        }
        if let [b'.', rest @ ..] = self.left {
            self.left = rest;
            digits(&mut self.left)?;
        }
        if let [b'e' | b'E', rest @ ..] = self.left {
            self.left = rest;
            if let [b'+' | b'-', rest @ ..] = self.left {
                self.left = rest;
            }
            digits(&mut self.left)?;
        }
        let raw = from.get(..from.len() - self.left.len()).unwrap_or_default();
        number(raw).map(|_| Text::Number(raw)).ok_or(Fault::JsonNumber)
    }
}

/// A character behind a backslash at the front of `text`, and what stands behind it.
fn escaped(text: &[u8]) -> Result<(char, &[u8]), Fault> {
    let (c, rest) = match text {
        [b'\\', b'u', rest @ ..] => {
            let (unit, rest) = hex4(rest)?;
            return match (unit, rest) {
                (0xd800..=0xdbff, [b'\\', b'u', rest @ ..]) => {
                    let (low, rest) = hex4(rest)?;
                    let astral = match low {
                        0xdc00..=0xdfff => 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00),
                        _ => return Err(Fault::JsonHalfPair),
                    };
                    char::from_u32(astral).map(|c| (c, rest)).ok_or(Fault::JsonHalfPair)
                }
                _ => char::from_u32(unit).map(|c| (c, rest)).ok_or(Fault::JsonHalfPair),
            };
        }
        [b'\\', c, rest @ ..] => (*c, rest),
        _ => return Err(Fault::JsonTruncated),
    };
    let c = match c {
        b'"' | b'\\' | b'/' => c as char,
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        _ => return Err(Fault::JsonEscape),
    };
    Ok((c, rest))
}

fn hex4(text: &[u8]) -> Result<(u32, &[u8]), Fault> {
    let (four, rest) = text.split_at_checked(4).ok_or(Fault::JsonTruncated)?;
    let mut n = 0;
    for b in four {
        n = n * 16 + (*b as char).to_digit(16).ok_or(Fault::JsonEscape)?;
    }
    Ok((n, rest))
}

/// The octets that the inside of a string means, once.
#[derive(Debug, Clone)]
pub(super) struct Chars<'t> {
    left: &'t [u8],
    /// Of the character that is on its way: what is not out yet, the next first.
    utf8: u32,
}

impl<'t> Chars<'t> {
    /// `inside` was checked.
    pub(super) const fn new(inside: &'t [u8]) -> Self {
        Chars { left: inside, utf8: 0 }
    }
}

impl Iterator for Chars<'_> {
    type Item = u8;

    fn next(&mut self) -> Option<u8> {
        // no octet of these is a zero: no string has a NUL
        if self.utf8 != 0 {
            let b = self.utf8 as u8;
            self.utf8 >>= 8;
            return Some(b);
        }
        let (first, rest) = self.left.split_first()?;
        if *first != b'\\' {
            self.left = rest;
            return Some(*first);
        }
        let (c, rest) = escaped(self.left).ok()?;
        self.left = rest;
        let mut octets = [0; 4];
        c.encode_utf8(&mut octets);
        self.utf8 = u32::from_le_bytes(octets) >> 8;
        octets.first().copied()
    }
}

/// A number as a parameter has it.
#[derive(Debug, Clone)]
pub(super) struct Digits {
    text: Decimal,
    at: usize,
}

/// Longest: sign, 16 digits, point, six digits; or sign and 19 digits.
type Decimal = heapless::String<24, u8>;

impl Digits {
    /// `raw` was checked.
    pub(super) fn new(raw: &[u8]) -> Self {
        Digits { text: number(raw).unwrap_or_default(), at: 0 }
    }
}

impl Iterator for Digits {
    type Item = u8;

    fn next(&mut self) -> Option<u8> {
        let b = *self.text.as_bytes().get(self.at)?;
        self.at += 1;
        Some(b)
    }
}

/// A whole number as such, any other with six decimals. `None`: more than 64 bits.
fn number(raw: &[u8]) -> Option<Decimal> {
    let text = core::str::from_utf8(raw).ok()?;
    let mut out = Decimal::new();
    if !raw.iter().any(|b| matches!(b, b'.' | b'e' | b'E')) {
        write!(out, "{}", text.parse::<i64>().ok()?).ok()?;
        return Some(out);
    }
    let n: f64 = text.parse().ok()?;
    // 2 to the power of 63, which is no i64
    if !(-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&n) {
        return None;
    }
    if (n as i64) as f64 == n {
        write!(out, "{}", n as i64).ok()?;
    } else {
        write!(out, "{n:.6}").ok()?;
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::string::String;

    fn read(text: &str) -> Result<String, Fault> {
        let mut spare = [0; 64];
        let m = message(text.as_bytes(), &mut spare)?;
        let mut said = String::from_utf8_lossy(m.command).into_owned();
        for (key, value) in &m.params {
            for b in core::iter::once(b' ').chain(key.octets()).chain([b'=']).chain(value.octets()) {
                said.push(b as char);
            }
        }
        Ok(said)
    }

    #[test]
    fn numbers_as_the_page_has_them() {
        for (raw, want) in [
            ("0", Some("0")),
            ("-0", Some("0")),
            ("-35", Some("-35")),
            ("3.25", Some("3.250000")),
            ("1e3", Some("1000")),
            ("1E-1", Some("0.100000")),
            ("3.0", Some("3")),
            ("-2.5e+1", Some("-25")),
            ("9223372036854775807", Some("9223372036854775807")),
            ("-9223372036854775808", Some("-9223372036854775808")),
            ("9223372036854775808", None),
            ("1e19", None),
            ("1e999999999", None),
            ("0.0000001", Some("0.000000")),
            ("9007199254740991.5", Some("9007199254740992")),
            ("-4503599627370495.5", Some("-4503599627370495.500000")),
        ] {
            let text = std::format!("{{\"command\":\"A\",\"parameters\":{{\"n\":{raw}}}}}");
            match want {
                Some(want) => assert_eq!(read(&text).unwrap(), std::format!("A n={want}")),
                None => assert_eq!(read(&text), Err(Fault::JsonNumber), "{raw}"),
            }
        }
        for raw in ["01", "+1", "-", "1.", ".5", "1e", "1e+", "0x10", "NaN", "--1"] {
            let text = std::format!("{{\"parameters\":{{\"n\":{raw}}}}}");
            assert!(read(&text).is_err(), "{raw}");
        }
    }

    #[test]
    fn each_fault_has_a_reason_of_its_own() {
        for (text, why) in [
            ("{", Fault::JsonTruncated),
            ("{}", Fault::JsonUnexpected),
            (r#"{"command"}"#, Fault::JsonUnexpected),
            (r#"{"command":"A""#, Fault::JsonTruncated),
            (r#"{"command":"A"#, Fault::JsonTruncated),
            (r#"{"command":"A",}"#, Fault::JsonUnexpected),
            (r#"{"command":"A"} x"#, Fault::JsonTrailing),
            (r#"{"command":1}"#, Fault::JsonNotText),
            (r#"{"command":null}"#, Fault::JsonNotText),
            (r#"{"parameters":"x"}"#, Fault::JsonNotText),
            (r#"{"parameters":[]}"#, Fault::JsonNested),
            (r#"{"foo":{}}"#, Fault::JsonNested),
            (r#"{"parameters":{"x":[1]}}"#, Fault::JsonNested),
            (r#"{"parameters":{"x":{"y":1}}}"#, Fault::JsonNested),
            (r#"{"parameters":{"x":1,}}"#, Fault::JsonUnexpected),
            (r#"{"parameters":{"x":1 "y":2}}"#, Fault::JsonUnexpected),
            (r#"{"parameters":{"x":1"#, Fault::JsonTruncated),
            (r#"{"parameters":{"x":tru"#, Fault::JsonTruncated),
            (r#"{"parameters":{"x":yes}}"#, Fault::JsonUnexpected),
            (r#"{"parameters":{},"parameters":{}}"#, Fault::JsonTwice),
            (r#"{"command":"\q"}"#, Fault::JsonEscape),
            (r#"{"command":"\u00g0"}"#, Fault::JsonEscape),
            (r#"{"command":"\ud83d"}"#, Fault::JsonHalfPair),
            (r#"{"command":"\ud83d\u0041"}"#, Fault::JsonHalfPair),
            (r#"{"command":"\udc4b"}"#, Fault::JsonHalfPair),
            (r#"{"command":"\u00"#, Fault::JsonTruncated),
            (r#"{"command":"\u0000"}"#, Fault::JsonNul),
            ("{\"command\":\"a\0\"}", Fault::JsonNul),
            (
                r#"{"command":"\n0123456789012345678901234567890123456789012345678901234567890123456789"}"#,
                Fault::JsonNames,
            ),
        ] {
            assert_eq!(read(text), Err(why), "{text}");
        }
    }

    #[test]
    fn strings_are_unescaped_twice_as_values_and_once_elsewhere() {
        assert_eq!(
            read(r#"{"command":"\u0041\ud83d\udc4b\/","parameters":{"a\nb":"\\n\\\\ \\\"\\t\tx"}}"#).unwrap(),
            "A\u{1f44b}/ a\nb=\n\\ \"\\t\tx"
        );
        assert_eq!(read(r#"{"\u0063ommand":"A","command":"B"}"#).unwrap(), "B", "the last counts");
        let mut spare = [0; 8];
        let m = message(br#"{"server":"\u0061\u0062","command":"\u0043"}"#, &mut spare).unwrap();
        assert_eq!((m.server, m.command), (&b"ab"[..], &b"C"[..]));
    }

    #[test]
    fn as_many_parameters_as_may_be() {
        let many = |n: usize| {
            let list: std::vec::Vec<String> = (0..n).map(|i| std::format!("\"k{i}\":1")).collect();
            std::format!("{{\"command\":\"A\",\"parameters\":{{{}}}}}", list.join(","))
        };
        assert!(read(&many(MAX_PARAMS)).is_ok());
        assert_eq!(read(&many(MAX_PARAMS + 1)), Err(Fault::TooManyParams));
    }
}
