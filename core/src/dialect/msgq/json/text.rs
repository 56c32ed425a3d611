//! The inside of a JSON string that was received.
//!
//! Owns: what its escapes mean. Where a string ends, and that its escapes are valid, is
//! `scan.rs`'s.

use super::escape;

/// The inside of a string, without its quotes and with its escapes as they were written.
/// Only made of strings that were checked.
#[derive(Debug, Clone, Copy)]
pub struct Str<'t>(pub(super) &'t str);

impl<'t> Str<'t> {
    /// Of the inside of a string. `None` if it cannot be that: it has a quote of its own, or
    /// an escape that JSON does not have.
    pub fn new(inside: &'t str) -> Option<Self> {
        let bytes = inside.as_bytes();
        let mut at = 0;
        loop {
            at = super::quote_or_escape(bytes, at);
            match bytes.get(at) {
                None => return Some(Str(inside)),
                Some(b'\\') => at = super::scan::escaped(bytes, at).ok()?,
                Some(_) => return None,
            }
        }
    }

    /// As it was written.
    #[inline]
    pub const fn raw(&self) -> &'t str {
        self.0
    }

    /// The text, if it was written without any escape.
    #[inline]
    pub fn plain(&self) -> Option<&'t str> {
        (escape(self.0.as_bytes(), 0) == self.0.len()).then_some(self.0)
    }

    /// The text, its escapes read.
    #[inline]
    pub fn chars(&self) -> Chars<'t> {
        Chars(self.0.chars())
    }

    /// Whether the text, its escapes read, is `text`.
    #[inline]
    pub fn is(&self, text: &str) -> bool {
        // every escape is longer than what it means: as long as the text there is none, and
        // with none there is no other length
        match self.0.len() == text.len() {
            true => self.0 == text && self.plain().is_some(),
            false => self.0.len() > text.len() && self.plain().is_none() && self.chars().eq(text.chars()),
        }
    }

    /// Whether any escape is `\uXXXX`, which the C++ library cannot read.
    pub fn has_u(&self) -> bool {
        let bytes = self.0.as_bytes();
        let mut at = escape(bytes, 0);
        while let Some(letter) = bytes.get(at + 1) {
            if *letter == b'u' {
                return true;
            }
            at = escape(bytes, at + 2);
        }
        false
    }
}

/// Iterator of [`Str::chars`].
#[derive(Debug, Clone)]
pub struct Chars<'t>(core::str::Chars<'t>);

impl Iterator for Chars<'_> {
    type Item = char;

    #[inline]
    fn next(&mut self) -> Option<char> {
        match self.0.next()? {
            '\\' => Some(self.escaped()),
            c => Some(c),
        }
    }
}

impl Chars<'_> {
    /// What stands behind a backslash. The replacement character is for what cannot be in a
    /// checked string.
    fn escaped(&mut self) -> char {
        match self.0.next() {
            Some('u') => {}
            Some(c) => return short(c),
            None => return char::REPLACEMENT_CHARACTER,
        }
        let high = self.four();
        if !(0xd800..0xdc00).contains(&high) {
            return char::from_u32(high).unwrap_or(char::REPLACEMENT_CHARACTER);
        }
        let ahead = self.0.clone();
        if self.0.next() == Some('\\') && self.0.next() == Some('u') {
            let low = self.four();
            if (0xdc00..0xe000).contains(&low) {
                let both = 0x1_0000 + ((high - 0xd800) << 10) + (low - 0xdc00);
                return char::from_u32(both).unwrap_or(char::REPLACEMENT_CHARACTER);
            }
        }
        self.0 = ahead;
        char::REPLACEMENT_CHARACTER
    }

    fn four(&mut self) -> u32 {
        let mut n = 0;
        for _ in 0..4 {
            n = n << 4 | self.0.next().and_then(|c| c.to_digit(16)).unwrap_or(0);
        }
        n
    }
}

/// The character of one of the eight short escapes; those that mean themselves are the rest.
const fn short(letter: char) -> char {
    match letter {
        'b' => '\u{8}',
        'f' => '\u{c}',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(inside: &str) -> heapless::String<64> {
        Str::new(inside).unwrap().chars().collect()
    }

    #[test]
    fn every_escape_means_what_json_says() {
        assert_eq!(text(r#"\"\\\/\b\f\n\r\t"#), "\"\\/\u{8}\u{c}\n\r\t");
        assert_eq!(text(r"a\u00e9\u00E9z"), "aééz");
        assert_eq!(text(r"\u0000\u001f\u007f"), "\0\u{1f}\u{7f}");
        assert_eq!(text(r"\ud83d\ude00\uD800\uDC00\udbff\udfff"), "\u{1f600}\u{10000}\u{10ffff}");
        assert_eq!(text("é\u{1}\n€😀"), "é\u{1}\n€😀", "raw stays raw");
        assert_eq!(text(r"\\u00e9"), r"\u00e9", "an escaped backslash, then letters");
    }

    #[test]
    fn halves_of_pairs_and_unknown_escapes_are_no_strings() {
        for bad in [
            r"\ud83d",
            r"\ud83dx",
            r"\ud83d\n",
            r"\ud83d\u0041",
            r"\ud83d\ud83d",
            r"\ude00",
            r"\ude00\ud83d",
            r"\x41",
            r"\u00e",
            r"\u00eg",
            r"\u+0e9",
            r"\",
            "\\é",
            "a\"b",
        ] {
            assert!(Str::new(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn equality_is_that_of_the_text() {
        for (inside, text, yes) in [
            ("type", "type", true),
            ("type", "typ", false),
            ("typ", "type", false),
            (r"t\u0079pe", "type", true),
            (r"t\u0079pe", "tape", false),
            (r"t\u0079p", "type", false),
            (r"\\", r"\", true),
            (r"\\", r"\\", false),
            (r"\n", "\n", true),
            (r"\n", r"\n", false),
            ("", "", true),
            ("", "a", false),
            ("é", "é", true),
            (r"\u00e9", "é", true),
        ] {
            assert_eq!(Str::new(inside).unwrap().is(text), yes, "{inside} {text}");
        }
    }

    #[test]
    fn escapes_are_found_wherever_they_stand() {
        for before in 0..20 {
            let mut s: heapless::String<64> = core::iter::repeat_n('x', before).collect();
            assert_eq!(Str::new(&s).unwrap().plain(), Some(s.as_str()));
            assert!(!Str::new(&s).unwrap().has_u());
            s.push_str("\\\\").unwrap();
            assert_eq!(Str::new(&s).unwrap().plain(), None);
            s.push('u').unwrap();
            assert!(!Str::new(&s).unwrap().has_u(), "a backslash, then the letter u");
            s.push_str("\\u0041").unwrap();
            assert!(Str::new(&s).unwrap().has_u());
        }
    }

    #[test]
    fn what_was_never_checked_does_no_harm() {
        for bad in [r"\", r"\u", r"\u12", r"\ud800", r"\ud800\", r"\ud800\u12", r"\ud800\u0041é", r"\é", r"\uéééé"]
        {
            assert!(Str(bad).chars().count() <= bad.len());
            let _ = (Str(bad).has_u(), Str(bad).is("x"));
        }
    }
}
