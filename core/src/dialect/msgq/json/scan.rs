//! Where values begin and end in text that may be hostile, and whether it is JSON at all.
//!
//! Owns: the grammar, in one pass, without recursion, heap or copies. What strings mean is
//! `text.rs`'s.

use super::quote_or_escape;
use super::text::Str;

/// Deepest nesting of arrays and objects that is accepted: the bits of one word remember
/// which bracket each level needs.
pub const MAX_DEPTH: usize = 64;

/// Why text is no JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum NotJson {
    /// It ends before a value does, or there is none.
    Truncated,
    /// A character that cannot stand where it does.
    Unexpected,
    /// Arrays and objects nested deeper than [`MAX_DEPTH`].
    Deep,
    /// An escape that JSON does not have.
    Escape,
    /// Half of a surrogate pair, which is no character.
    HalfPair,
    /// Something behind the value.
    Trailing,
    /// A value, but not the object that was wanted.
    NoObject,
}

impl NotJson {
    /// For people.
    pub const fn text(self) -> &'static str {
        match self {
            NotJson::Truncated => "the JSON text ends too early",
            NotJson::Unexpected => "not JSON: a character that cannot stand where it does",
            NotJson::Deep => "JSON nested deeper than 64 levels",
            NotJson::Escape => "not JSON: an unknown escape in a string",
            NotJson::HalfPair => "half of a surrogate pair in a string",
            NotJson::Trailing => "something stands behind the JSON value",
            NotJson::NoObject => "JSON, but not an object",
        }
    }
}

/// What a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[allow(missing_docs, reason = "the names of JSON")]
pub enum Kind {
    Object,
    Array,
    String,
    /// `NaN`, `Infinity` and `-Infinity` included.
    Number,
    True,
    False,
    Null,
}

/// A value that was scanned, as it stands in the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Value<'t> {
    /// What it is.
    pub kind: Kind,
    /// All of it: a string with its quotes, an object with its brackets.
    pub text: &'t str,
}

impl<'t> Value<'t> {
    /// The inside of a string; `None` of anything else.
    #[inline]
    pub fn string(&self) -> Option<Str<'t>> {
        match self.kind {
            Kind::String => self.text.get(1..self.text.len().checked_sub(1)?).map(Str),
            _ => None,
        }
    }

    /// The members of an object in order, doubled keys too; none of anything else.
    #[inline]
    pub fn members(&self) -> Members<'t> {
        Members(Walk::inside(self, Kind::Object))
    }

    /// The elements of an array in order; none of anything else.
    #[inline]
    pub fn elements(&self) -> Elements<'t> {
        Elements(Walk::inside(self, Kind::Array))
    }
}

/// Takes values off the front of a text.
#[derive(Debug, Clone)]
pub struct Scan<'t> {
    text: &'t str,
    at: usize,
    /// Levels around what is scanned: none, or one.
    depth: usize,
    has_u: bool,
}

impl<'t> Scan<'t> {
    /// From the start of `text`.
    #[inline]
    pub const fn new(text: &'t str) -> Self {
        Scan { text, at: 0, depth: 0, has_u: false }
    }

    /// One whole value with the white space before it.
    #[inline(always)]
    pub fn value(&mut self) -> Result<Value<'t>, NotJson> {
        let first = self.peek();
        let start = self.at;
        let kind = self.token(first)?;
        if matches!(kind, Kind::Object | Kind::Array) {
            self.rest_of(kind)?;
        }
        Ok(Value { kind, text: self.since(start) })
    }

    /// Only white space is left.
    #[inline]
    pub fn end(&mut self) -> Result<(), NotJson> {
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(NotJson::Trailing),
        }
    }

    /// Whether any string so far had `\u` in it, keys included.
    #[inline]
    pub const fn has_u(&self) -> bool {
        self.has_u
    }

    #[inline]
    fn since(&self, start: usize) -> &'t str {
        // both ends are at ASCII characters, or at the end of the text
        self.text.get(start..self.at).unwrap_or_default()
    }

    /// Steps over white space; what stands behind it.
    #[inline]
    fn peek(&mut self) -> Option<u8> {
        loop {
            match self.text.as_bytes().get(self.at) {
                Some(b' ' | b'\t' | b'\r' | b'\n') => self.at += 1,
                other => return other.copied(),
            }
        }
    }

    /// Takes a value that has no values in it, or an opening bracket. `first` stands at the
    /// front.
    #[inline]
    fn token(&mut self, first: Option<u8>) -> Result<Kind, NotJson> {
        match first {
            Some(b'"') => {
                self.string()?;
                Ok(Kind::String)
            }
            Some(b'{') => {
                self.at += 1;
                Ok(Kind::Object)
            }
            Some(b'[') => {
                self.at += 1;
                Ok(Kind::Array)
            }
            Some(b'0'..=b'9' | b'-') => self.number(),
            Some(b't') => self.word("true", Kind::True),
            Some(b'f') => self.word("false", Kind::False),
            Some(b'n') => self.word("null", Kind::Null),
            Some(b'N') => self.word("NaN", Kind::Number),
            Some(b'I') => self.word("Infinity", Kind::Number),
            Some(_) => Err(NotJson::Unexpected),
            None => Err(NotJson::Truncated),
        }
    }

    /// Takes a string; its opening quote stands at the front. What is inside is returned.
    #[inline(always)]
    fn string(&mut self) -> Result<Str<'t>, NotJson> {
        let bytes = self.text.as_bytes();
        let start = self.at + 1;
        let mut at = start;
        loop {
            at = quote_or_escape(bytes, at);
            match bytes.get(at) {
                Some(b'"') => break,
                Some(_) => {
                    self.has_u |= bytes.get(at + 1) == Some(&b'u');
                    at = escaped(bytes, at)?;
                }
                None => return Err(NotJson::Truncated),
            }
        }
        self.at = at + 1;
        Ok(Str(self.text.get(start..at).unwrap_or_default()))
    }

    /// Takes a number; a digit or a minus stands at the front.
    #[inline]
    fn number(&mut self) -> Result<Kind, NotJson> {
        let bytes = self.text.as_bytes();
        if bytes.get(self.at) == Some(&b'-') {
            self.at += 1;
            if bytes.get(self.at) == Some(&b'I') {
                return self.word("Infinity", Kind::Number);
            }
        }
        match bytes.get(self.at) {
            // nothing may follow a leading 0; if a digit does, it is what does not belong
            Some(b'0') => self.at += 1,
            _ => self.digits()?,
        }
        if bytes.get(self.at) == Some(&b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = bytes.get(self.at) {
            self.at += 1;
            if let Some(b'+' | b'-') = bytes.get(self.at) {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(Kind::Number)
    }

    /// Takes digits, at least one.
    #[inline]
    fn digits(&mut self) -> Result<(), NotJson> {
        let start = self.at;
        let bytes = self.text.as_bytes();
        while let Some(b'0'..=b'9') = bytes.get(self.at) {
            self.at += 1;
        }
        match bytes.get(self.at) {
            _ if self.at > start => Ok(()),
            Some(_) => Err(NotJson::Unexpected),
            None => Err(NotJson::Truncated),
        }
    }

    /// Takes exactly `word`. What follows it is for others to judge.
    fn word(&mut self, word: &str, kind: Kind) -> Result<Kind, NotJson> {
        let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
        if rest.starts_with(word.as_bytes()) {
            self.at += word.len();
            Ok(kind)
        } else if word.as_bytes().starts_with(rest) {
            Err(NotJson::Truncated)
        } else {
            Err(NotJson::Unexpected)
        }
    }

    /// Takes a key and its colon; `first` stands at the front.
    #[inline(always)]
    fn key(&mut self, first: Option<u8>) -> Result<Str<'t>, NotJson> {
        match first {
            Some(b'"') => {}
            Some(_) => return Err(NotJson::Unexpected),
            None => return Err(NotJson::Truncated),
        }
        let key = self.string()?;
        match self.peek() {
            Some(b':') => {
                self.at += 1;
                Ok(key)
            }
            Some(_) => Err(NotJson::Unexpected),
            None => Err(NotJson::Truncated),
        }
    }

    /// Takes everything to behind the bracket that closes an array or object whose opening
    /// bracket is taken.
    fn rest_of(&mut self, kind: Kind) -> Result<(), NotJson> {
        // a bit per level, the innermost lowest: 1 for an object
        let mut open = (kind == Kind::Object) as u64;
        let mut depth = self.depth + 1;
        let mut empty = true;
        loop {
            let mut first = self.peek();
            let object = open & 1 == 1;
            if first == Some(if object { b'}' } else { b']' }) {
                self.at += 1;
                open >>= 1;
                depth -= 1;
                empty = false;
                if depth == self.depth {
                    return Ok(());
                }
                continue;
            }
            if !empty {
                self.comma(first)?;
                first = self.peek();
            }
            if object {
                self.key(first)?;
                first = self.peek();
            }
            let kind = self.token(first)?;
            empty = matches!(kind, Kind::Object | Kind::Array);
            if empty {
                if depth == MAX_DEPTH {
                    return Err(NotJson::Deep);
                }
                depth += 1;
                open = open << 1 | (kind == Kind::Object) as u64;
            }
        }
    }

    #[inline]
    fn comma(&mut self, first: Option<u8>) -> Result<(), NotJson> {
        match first {
            Some(b',') => {
                self.at += 1;
                Ok(())
            }
            Some(_) => Err(NotJson::Unexpected),
            None => Err(NotJson::Truncated),
        }
    }
}

/// Steps over the escape at `at`, where a backslash stands; a pair of surrogates is one
/// escape.
pub(super) fn escaped(bytes: &[u8], at: usize) -> Result<usize, NotJson> {
    match bytes.get(at + 1) {
        Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => Ok(at + 2),
        Some(b'u') => match unit(bytes, at + 2)? {
            0xd800..0xdc00 => {
                match (bytes.get(at + 6), bytes.get(at + 7)) {
                    (Some(b'\\'), Some(b'u')) => {}
                    (None, _) | (Some(b'\\'), None) => return Err(NotJson::Truncated),
                    _ => return Err(NotJson::HalfPair),
                }
                match unit(bytes, at + 8)? {
                    0xdc00..0xe000 => Ok(at + 12),
                    _ => Err(NotJson::HalfPair),
                }
            }
            0xdc00..0xe000 => Err(NotJson::HalfPair),
            _ => Ok(at + 6),
        },
        Some(_) => Err(NotJson::Escape),
        None => Err(NotJson::Truncated),
    }
}

/// The four hexadecimal digits at `at`.
fn unit(bytes: &[u8], at: usize) -> Result<u16, NotJson> {
    let mut n = 0;
    for i in 0..4 {
        let b = *bytes.get(at + i).ok_or(NotJson::Truncated)?;
        let digit = (b as char).to_digit(16).ok_or(NotJson::Escape)?;
        n = n << 4 | digit as u16;
    }
    Ok(n)
}

/// The whole of `text` as one value.
#[inline]
pub fn parse(text: &str) -> Result<Value<'_>, NotJson> {
    let mut scan = Scan::new(text);
    let value = scan.value()?;
    scan.end()?;
    Ok(value)
}

/// The whole of `text` as one object, whose members are checked as they are taken: one pass
/// where [`parse`] and [`Value::members`] are two.
#[inline]
pub fn object(text: &str) -> Result<Object<'_>, NotJson> {
    let mut scan = Scan::new(text);
    match scan.peek() {
        Some(b'{') => {
            scan.at += 1;
            scan.depth = 1;
            Ok(Object(Walk { scan, close: b'}', empty: true, over: false }))
        }
        // says what is wrong with it, if it is no JSON at all
        _ => parse(text).and(Err(NotJson::NoObject)),
    }
}

/// The members of an object that is checked on the way. It is an object, and the whole
/// text, only if [`Object::next`] came to the end.
#[derive(Debug, Clone)]
pub struct Object<'t>(Walk<'t>);

impl<'t> Object<'t> {
    /// The next member, `None` behind the last one.
    #[inline(always)]
    #[allow(clippy::should_implement_trait, reason = "an iterator of results is easily stopped too early")]
    pub fn next(&mut self) -> Result<Option<(Str<'t>, Value<'t>)>, NotJson> {
        match self.0.member()? {
            None => self.0.scan.end().map(|()| None),
            some => Ok(some),
        }
    }

    /// Whether any string so far had `\u` in it, keys included.
    #[inline]
    pub const fn has_u(&self) -> bool {
        self.0.scan.has_u()
    }
}

/// Iterator of [`Value::members`].
#[derive(Debug, Clone)]
pub struct Members<'t>(Walk<'t>);

impl<'t> Iterator for Members<'t> {
    type Item = (Str<'t>, Value<'t>);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        // checked when the value was scanned
        self.0.member().ok().flatten()
    }
}

/// Iterator of [`Value::elements`].
#[derive(Debug, Clone)]
pub struct Elements<'t>(Walk<'t>);

impl<'t> Iterator for Elements<'t> {
    type Item = Value<'t>;

    #[inline]
    fn next(&mut self) -> Option<Value<'t>> {
        // checked when the value was scanned
        self.0.more().ok()?.then(|| self.0.scan.value().ok())?
    }
}

/// Goes through the values inside one pair of brackets.
#[derive(Debug, Clone)]
struct Walk<'t> {
    scan: Scan<'t>,
    close: u8,
    empty: bool,
    over: bool,
}

impl<'t> Walk<'t> {
    #[inline]
    fn inside(value: &Value<'t>, wanted: Kind) -> Self {
        let scan = Scan { text: value.text, at: 1, depth: 1, has_u: false };
        let close = if wanted == Kind::Object { b'}' } else { b']' };
        Walk { scan, close, empty: true, over: value.kind != wanted }
    }

    /// Goes to the next value or key; `false` if there is none.
    #[inline]
    fn more(&mut self) -> Result<bool, NotJson> {
        if self.over {
            return Ok(false);
        }
        let first = self.scan.peek();
        if first == Some(self.close) {
            self.scan.at += 1;
            self.over = true;
            return Ok(false);
        }
        if !self.empty {
            self.scan.comma(first)?;
        }
        self.empty = false;
        Ok(true)
    }

    #[inline(always)]
    fn member(&mut self) -> Result<Option<(Str<'t>, Value<'t>)>, NotJson> {
        if !self.more()? {
            return Ok(None);
        }
        let first = self.scan.peek();
        let key = self.scan.key(first)?;
        Ok(Some((key, self.scan.value()?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As the Python library writes headers (V12), as the C++ library does (V10), and one
    /// with everything in it.
    const DOCUMENTS: [&str; 3] = [
        r#"{"type": "send", "from": "5f3759df_1@host", "to": "gone", "group": "news", "instance": "*", "seq": 0, "want_answer": true, "tag": "t1"}"#,
        r#"{ "from": "5f3759df_2@host", "group": "calc", "instance": "*", "seq": 0, "to": "5f3759df_1@host", "type": "send", "want_answer": true }"#,
        r#" [ {  } , [  ], "\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00é", -0, 1.5e-3, 2E+10, true, false, null, NaN, Infinity, -Infinity, {"a": {"b": [[1]]}, "": []} ] "#,
    ];

    #[test]
    fn every_kind_with_its_span() {
        for (text, kind, span) in [
            ("{}", Kind::Object, "{}"),
            (" { } ", Kind::Object, "{ }"),
            ("[1, {\"a\":[]}]", Kind::Array, "[1, {\"a\":[]}]"),
            ("\t\"x\"\r\n", Kind::String, "\"x\""),
            ("-12.5e+7 ", Kind::Number, "-12.5e+7"),
            ("NaN", Kind::Number, "NaN"),
            ("-Infinity", Kind::Number, "-Infinity"),
            ("true", Kind::True, "true"),
            ("false", Kind::False, "false"),
            ("null", Kind::Null, "null"),
        ] {
            assert_eq!(parse(text), Ok(Value { kind, text: span }), "{text}");
        }
    }

    #[test]
    fn what_either_library_writes_is_accepted() {
        for d in DOCUMENTS {
            assert!(parse(d).is_ok(), "{d}");
        }
        // raw control characters, DEL and raw UTF-8 in strings; keys that are not escaped
        for raw in ["\"\0\u{1}\n\r\t\u{8}\u{c}\u{1f}\u{7f}é😀\"", "{\"a\nb\": 1}"] {
            assert!(parse(raw).is_ok(), "{raw:?}");
        }
        // numbers of any size, digits kept
        let long = "-123456789012345678901234567890.000e999";
        assert_eq!(parse(long).unwrap().text, long);
        // doubled keys are all seen
        let v = parse(r#"{"a": 1, "a": 2}"#).unwrap();
        assert_eq!(v.members().map(|(_, v)| v.text).collect::<heapless::Vec<_, 4>>()[..], ["1", "2"]);
    }

    #[test]
    fn what_neither_writes_is_refused_with_a_reason() {
        use NotJson::*;
        for (text, why) in [
            ("", Truncated),
            (" \n", Truncated),
            ("\u{feff}{}", Unexpected),
            ("{} x", Trailing),
            ("{}{}", Trailing),
            ("{bad", Unexpected),
            ("None", Unexpected),
            ("True", Unexpected),
            ("nan", Unexpected),
            ("nul", Truncated),
            ("nullx", Trailing),
            ("infinity", Unexpected),
            ("+1", Unexpected),
            ("+Infinity", Unexpected),
            ("-NaN", Unexpected),
            (".5", Unexpected),
            ("1.", Truncated),
            ("[1.]", Unexpected),
            ("-", Truncated),
            ("[-]", Unexpected),
            ("1e", Truncated),
            ("[1e+]", Unexpected),
            ("01", Trailing),
            ("[01]", Unexpected),
            ("-01", Trailing),
            ("0x10", Trailing),
            ("'a'", Unexpected),
            ("[1,]", Unexpected),
            ("[,1]", Unexpected),
            ("[1 2]", Unexpected),
            ("[1}", Unexpected),
            ("{]", Unexpected),
            ("{\"a\"}", Unexpected),
            ("{\"a\":}", Unexpected),
            ("{\"a\":1,}", Unexpected),
            ("{\"a\":1 \"b\":2}", Unexpected),
            ("{a:1}", Unexpected),
            ("{1:1}", Unexpected),
            ("{null:1}", Unexpected),
            ("{,}", Unexpected),
            ("]", Unexpected),
            ("[]]", Trailing),
            (":", Unexpected),
            ("\u{b}1", Unexpected),
            ("\u{a0}1", Unexpected),
            ("// a\n1", Unexpected),
            (r#""\x""#, Escape),
            (r#""\u12g4""#, Escape),
            (r#""\u+123""#, Escape),
            (r#""\ud800""#, HalfPair),
            (r#""\ud800\u0041""#, HalfPair),
            (r#""\udc00""#, HalfPair),
            (r#"{"\udc00": 1}"#, HalfPair),
        ] {
            assert_eq!(parse(text), Err(why), "{text}");
            assert!(!why.text().is_empty());
        }
    }

    #[test]
    fn nesting_ends_at_the_limit_for_arrays_objects_and_both() {
        let nested = |open: &str, middle: &str, close: &str, n: usize| {
            let mut s: heapless::String<2048> = heapless::String::new();
            (0..n).for_each(|_| s.push_str(open).unwrap());
            s.push_str(middle).unwrap();
            (0..n).for_each(|_| s.push_str(close).unwrap());
            s
        };
        for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
            for middle in ["1", "\"\""] {
                let n = MAX_DEPTH;
                assert!(parse(&nested(open, middle, close, n)).is_ok());
                assert_eq!(parse(&nested(open, middle, close, n + 1)), Err(NotJson::Deep));
                // brackets of the wrong kind at the deepest level are still seen
                let wrong = nested(open, middle, close, n).replacing_first_close();
                assert_eq!(parse(&wrong), Err(NotJson::Unexpected));
            }
        }
        let (open, close) = ("[{\"a\":", "}]");
        assert!(parse(&nested(open, "0", close, MAX_DEPTH / 2)).is_ok());
        assert_eq!(parse(&nested(open, "[]", close, MAX_DEPTH / 2)), Err(NotJson::Deep));
        // the same limit when the outermost object is taken member by member
        let walk = |text: &str| {
            let mut o = object(text)?;
            while o.next()?.is_some() {}
            Ok(())
        };
        assert_eq!(walk(&nested("{\"a\":", "1", "}", MAX_DEPTH)), Ok(()));
        assert_eq!(walk(&nested("{\"a\":", "1", "}", MAX_DEPTH + 1)), Err(NotJson::Deep));
        // only opened, never closed, far beyond the limit
        assert_eq!(parse(&nested("[", "", "", 2000)), Err(NotJson::Deep));
    }

    trait WrongClose {
        fn replacing_first_close(&self) -> heapless::String<2048>;
    }
    impl WrongClose for heapless::String<2048> {
        fn replacing_first_close(&self) -> heapless::String<2048> {
            let (mut s, mut done) = (heapless::String::new(), false);
            for c in self.chars() {
                let other = match c {
                    ']' if !done => '}',
                    '}' if !done => ']',
                    c => c,
                };
                done |= other != c;
                s.push(other).unwrap();
            }
            s
        }
    }

    #[test]
    fn every_truncation_is_refused_as_one() {
        for d in DOCUMENTS {
            let whole = d.trim();
            for cut in (0..whole.len()).filter(|c| whole.is_char_boundary(*c)) {
                let part = &whole[..cut];
                assert_eq!(parse(part), Err(NotJson::Truncated), "{part}");
                if let (true, Ok(mut o)) = (cut > 0, object(part)) {
                    let end = loop {
                        match o.next() {
                            Ok(Some(_)) => {}
                            other => break other.map(|_| ()),
                        }
                    };
                    assert_eq!(end, Err(NotJson::Truncated), "{part}");
                }
            }
        }
    }

    #[test]
    fn every_octet_changed_never_panics_and_spans_stay_inside() {
        for d in DOCUMENTS {
            for at in 0..d.len() {
                for b in [b'"', b'\\', b'{', b'}', b'[', b']', b',', b':', b'0', b'u', b' ', 0x7f] {
                    let mut bytes: heapless::Vec<u8, 256> = heapless::Vec::from_slice(d.as_bytes()).unwrap();
                    bytes[at] = b;
                    let Ok(text) = core::str::from_utf8(&bytes) else { continue };
                    let one_pass = || {
                        let mut o = object(text)?;
                        while o.next()?.is_some() {}
                        Ok(())
                    };
                    match parse(text) {
                        Ok(v) if v.kind == Kind::Object => {
                            assert_eq!(one_pass(), Ok(()));
                            assert_eq!(v.text, text.trim());
                            let again = v.members().filter(|(k, v)| text.contains(k.raw()) && parse(v.text) == Ok(*v));
                            assert_eq!(again.count(), v.members().count());
                        }
                        Ok(_) => assert_eq!(one_pass(), Err(NotJson::NoObject)),
                        Err(why) => assert_eq!(one_pass(), Err(why), "{text}"),
                    }
                }
            }
        }
    }

    #[test]
    fn a_scan_takes_values_one_after_the_other() {
        let mut s = Scan::new(" 1 [2] \"3\" ");
        let mut take = || s.value().map(|v| v.text);
        assert_eq!((take(), take(), take()), (Ok("1"), Ok("[2]"), Ok("\"3\"")));
        assert_eq!(s.end(), Ok(()));
        assert_eq!(s.value(), Err(NotJson::Truncated));
    }

    #[test]
    fn members_and_elements_are_those_of_the_value() {
        let v = parse(r#"{"a": [1, {"x": [2]}, "s"], "b": {}, "\u0063": null}"#).unwrap();
        let mut m = v.members();
        let (a, list) = m.next().unwrap();
        assert!(a.is("a"));
        assert_eq!(
            list.elements().map(|v| v.text).collect::<heapless::Vec<_, 4>>()[..],
            ["1", "{\"x\": [2]}", "\"s\""]
        );
        let (b, empty) = m.next().unwrap();
        assert!(b.is("b") && empty.members().next().is_none());
        let (c, null) = m.next().unwrap();
        assert!(c.is("c") && null.kind == Kind::Null);
        assert!(m.next().is_none() && m.next().is_none());
        // of anything else there are none
        assert!(list.members().next().is_none() && v.elements().next().is_none());
        assert!(null.members().next().is_none() && null.elements().next().is_none() && null.string().is_none());
        assert_eq!(parse("\"\"").unwrap().string().unwrap().raw(), "");
    }

    #[test]
    fn one_pass_says_whether_there_was_a_u() {
        for (text, yes) in [
            (r#"{"a": "b\\u0041"}"#, false),
            (r#"{"a": "b\n"}"#, false),
            (r#"{"a": "\u0041"}"#, true),
            (r#"{"\u0041": 1}"#, true),
            (r#"{"a": [{"b": "\n\u0041"}]}"#, true),
        ] {
            let mut o = object(text).unwrap();
            while o.next().unwrap().is_some() {}
            assert_eq!(o.has_u(), yes, "{text}");
        }
    }

    #[test]
    fn an_object_is_wanted_and_nothing_behind_it() {
        for (text, why) in [
            ("[]", NotJson::NoObject),
            ("1", NotJson::NoObject),
            ("\"{}\"", NotJson::NoObject),
            ("[", NotJson::Truncated),
            ("", NotJson::Truncated),
            ("[] x", NotJson::Trailing),
        ] {
            assert_eq!(object(text).map(|_| ()), Err(why), "{text}");
        }
        assert_eq!(object("{} x").unwrap().next().map(|_| ()), Err(NotJson::Trailing));
        assert_eq!(object("{}").unwrap().next().map(|m| m.is_none()), Ok(true));
    }

    #[test]
    fn strings_of_every_length_end_where_they_end() {
        // eight octets at a time: every distance between the start, an escape and the end
        for before in 0..18 {
            for behind in 0..18 {
                let mut s: heapless::String<64> = heapless::String::new();
                s.push('"').unwrap();
                (0..before).for_each(|_| s.push('x').unwrap());
                s.push_str("\\\"").unwrap();
                (0..behind).for_each(|_| s.push('!').unwrap());
                s.push_str("\"").unwrap();
                let len = s.len();
                s.push_str(" \"y\"").unwrap();
                assert_eq!(Scan::new(&s).value().unwrap().text.len(), len, "{s}");
            }
        }
    }
}
