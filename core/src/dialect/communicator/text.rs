//! A piece of a message as it is written, and the octets it means.
//!
//! Owns: quotes and escapes of the string form (`wire/communicator.md` section 1.3 steps 5.2
//! and 5.5) and of the JSON form (1.7), read octet by octet without a copy; and the room where
//! somebody who needs a slice has them put. Does not own where a piece begins and ends
//! (`parse.rs`, `json.rs`), nor writing (`emit.rs`).

use super::{base64, json};

/// A key or value, as its sender wrote it.
#[derive(Debug, Clone, Copy)]
pub enum Text<'f> {
    /// Means itself.
    Plain(&'f [u8]),
    /// What stands before a `;` or the end: escapes.
    Bare(&'f [u8]),
    /// What stands between two quotes: quotes behind a backslash, and then escapes.
    Quoted(&'f [u8]),
    /// The inside of a string of JSON that is no value: its escapes.
    Name(&'f [u8]),
    /// The inside of a string of JSON that is a value: its escapes, and then once more those
    /// of the string form, with `\"`.
    Value(&'f [u8]),
    /// A number of JSON, which is known again by its value only.
    Number(&'f [u8]),
    /// Octets whose Base64 is meant.
    Base64(&'f [u8]),
}

impl Default for Text<'_> {
    fn default() -> Self {
        Text::Plain(b"")
    }
}

impl<'f> Text<'f> {
    /// A value as it stands before a `;` or the end.
    #[inline]
    pub(super) fn bare(raw: &'f [u8]) -> Self {
        if has_backslash(raw) { Text::Bare(raw) } else { Text::Plain(raw) }
    }

    /// The inside of a value in quotes.
    #[inline]
    pub(super) fn quoted(raw: &'f [u8]) -> Self {
        if has_backslash(raw) { Text::Quoted(raw) } else { Text::Plain(raw) }
    }

    /// The octets it means.
    #[inline]
    pub fn octets(self) -> Octets<'f> {
        let (first, second) = match self {
            Text::Plain(raw) => (First::Raw(raw), Second::Nothing),
            Text::Bare(raw) => (First::Raw(raw), Second::Escapes),
            Text::Quoted(raw) => (First::Quoted(raw), Second::Escapes),
            Text::Name(raw) => (First::Json(json::Chars::new(raw)), Second::Nothing),
            Text::Value(raw) => (First::Json(json::Chars::new(raw)), Second::EscapesAndQuotes),
            Text::Number(raw) => (First::Digits(json::Digits::new(raw)), Second::Nothing),
            Text::Base64(raw) => (First::Base64(base64::Digits::new(raw)), Second::Nothing),
        };
        Octets { first, second, held: None }
    }

    /// The octets it means, if they stand anywhere as such.
    #[inline]
    pub const fn plain(self) -> Option<&'f [u8]> {
        match self {
            Text::Plain(raw) => Some(raw),
            _ => None,
        }
    }

    /// Whether it means these octets.
    #[inline]
    pub fn is(self, octets: &[u8]) -> bool {
        match self {
            Text::Plain(raw) => raw == octets,
            text => text.octets().eq(octets.iter().copied()),
        }
    }

    /// Whether it means no octet.
    pub fn is_empty(self) -> bool {
        self.octets().next().is_none()
    }

    /// How many octets it means.
    pub fn len(self) -> usize {
        match self {
            Text::Plain(raw) => raw.len(),
            text => text.octets().count(),
        }
    }

    /// The order of the octets it means.
    pub(super) fn cmp(self, other: Self) -> core::cmp::Ordering {
        match (self, other) {
            (Text::Plain(a), Text::Plain(b)) => a.cmp(b),
            (a, b) => a.octets().cmp(b.octets()),
        }
    }

    /// The octets it means in a row, which takes room unless they stand somewhere as such.
    /// `None`: they do not fit.
    pub fn read<'r>(self, room: &mut Room<'r>) -> Option<&'r [u8]>
    where
        'f: 'r,
    {
        match self {
            Text::Plain(raw) => Some(raw),
            text => room.put(text.octets()),
        }
    }

    /// As [`Text::read`], into a room of its own.
    pub fn copied<const N: usize>(self) -> Option<heapless::Vec<u8, N>> {
        let mut all = heapless::Vec::new();
        for b in self.octets() {
            all.push(b).ok()?;
        }
        Some(all)
    }
}

/// By what they mean, however they are written.
impl PartialEq for Text<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(*other).is_eq()
    }
}

impl Eq for Text<'_> {}

impl<'f> From<&'f [u8]> for Text<'f> {
    fn from(octets: &'f [u8]) -> Self {
        Text::Plain(octets)
    }
}

impl<'f> From<&'f str> for Text<'f> {
    fn from(text: &'f str) -> Self {
        Text::Plain(text.as_bytes())
    }
}

#[inline]
fn has_backslash(raw: &[u8]) -> bool {
    super::frame::find(raw, b'\\', 0).is_some()
}

/// Iterator of [`Text::octets`].
#[derive(Debug, Clone)]
pub struct Octets<'f> {
    first: First<'f>,
    second: Second,
    /// Came out of the first stage behind a backslash that means itself.
    held: Option<u8>,
}

/// What is there before escapes are looked at.
#[derive(Debug, Clone)]
enum First<'f> {
    Raw(&'f [u8]),
    Quoted(&'f [u8]),
    Json(json::Chars<'f>),
    Digits(json::Digits),
    Base64(base64::Digits<'f>),
}

/// What is done about backslashes then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Second {
    Nothing,
    Escapes,
    EscapesAndQuotes,
}

impl First<'_> {
    #[inline]
    fn next(&mut self) -> Option<u8> {
        match self {
            First::Raw(left) => {
                let (b, rest) = left.split_first()?;
                *left = rest;
                Some(*b)
            }
            First::Quoted(left) => {
                if let [b'\\', b'"', rest @ ..] = left {
                    *left = rest;
                    return Some(b'"');
                }
                let (b, rest) = left.split_first()?;
                *left = rest;
                Some(*b)
            }
            First::Json(chars) => chars.next(),
            First::Digits(digits) => digits.next(),
            First::Base64(digits) => digits.next(),
        }
    }
}

impl Iterator for Octets<'_> {
    type Item = u8;

    #[inline]
    fn next(&mut self) -> Option<u8> {
        let b = match self.held.take() {
            Some(b) => b,
            None => self.first.next()?,
        };
        if b == b'\\' && self.second != Second::Nothing {
            let behind = self.first.next();
            match behind {
                Some(b'\\') => return Some(b'\\'),
                Some(b'n') => return Some(b'\n'),
                Some(b'r') => return Some(b'\r'),
                Some(b'"') if self.second == Second::EscapesAndQuotes => return Some(b'"'),
                behind => self.held = behind,
            }
        }
        Some(b)
    }
}

/// Octets that are not yet used for texts with escapes.
#[derive(Debug)]
pub struct Room<'r>(&'r mut [u8]);

impl<'r> Room<'r> {
    /// All of these.
    pub const fn new(octets: &'r mut [u8]) -> Self {
        Room(octets)
    }

    /// Puts octets in a row. `None`: they do not fit; then nothing is used.
    pub fn put(&mut self, octets: impl IntoIterator<Item = u8>) -> Option<&'r [u8]> {
        self.fill(|free| {
            let mut size = 0;
            for b in octets {
                *free.get_mut(size)? = b;
                size += 1;
            }
            Some(size)
        })
    }

    /// Has somebody write at the front of what is free, and say how much. `None`: as he says,
    /// and then nothing is used.
    pub fn fill(&mut self, write: impl FnOnce(&mut [u8]) -> Option<usize>) -> Option<&'r [u8]> {
        let size = write(self.0)?;
        let (used, free) = core::mem::take(&mut self.0).split_at_mut_checked(size)?;
        self.0 = free;
        Some(used)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn means(text: Text<'_>) -> heapless::Vec<u8, 64> {
        text.copied().unwrap()
    }

    #[test]
    fn escapes_are_read_once_from_left_to_right() {
        for (raw, want) in [
            (&br"one\ntwo\r\\three"[..], &b"one\ntwo\r\\three"[..]),
            (br"tab\tkept", br"tab\tkept"),
            (br"\\n", br"\n"),
            (br"C:\dir\new", b"C:\\dir\new"),
            (br"\", br"\"),
            (br"\\\", br"\\"),
            (br"\\\n", b"\\\n"),
            (br"\x\\", br"\x\"),
            (br#"\""#, br#"\""#),
        ] {
            assert_eq!(means(Text::bare(raw)), want);
        }
        for (raw, want) in [
            (&br#"say \"hi\"; bye"#[..], &br#"say "hi"; bye"#[..]),
            (br"one\\two;", br"one\two;"),
            (br#"semi;mid\\\"quote"#, br#"semi;mid\"quote"#),
            // what a backslash is before a quote is decided before escapes are
            (br#"\\"#, br#"\"#),
            (br#"\\\"n"#, br#"\"n"#),
        ] {
            assert_eq!(means(Text::quoted(raw)), want);
        }
    }

    #[test]
    fn the_same_however_it_is_written() {
        let a = Text::bare(br"a\\b");
        assert_eq!(a, Text::from(&br"a\b"[..]));
        assert_eq!(a, Text::quoted(br"a\\b"));
        assert!(a.is(br"a\b") && !a.is(br"a\") && !a.is_empty() && Text::default().is_empty());
        assert_eq!((a.len(), a.plain(), Text::bare(b"ab").plain()), (3, None, Some(&b"ab"[..])));
    }

    #[test]
    fn without_room_nothing_is_used() {
        let mut octets = [0; 5];
        let mut room = Room::new(&mut octets);
        assert_eq!(Text::bare(br"a\nbcdef").read(&mut room), None);
        assert_eq!(Text::bare(br"a\nb").read(&mut room), Some(&b"a\nb"[..]));
        assert_eq!(Text::bare(br"plain").read(&mut room), Some(&b"plain"[..]), "takes no room");
        assert_eq!(Text::bare(br"\r\r").read(&mut room), Some(&b"\r\r"[..]));
        assert_eq!(Text::bare(br"\r").read(&mut room), None);
        assert_eq!(Text::bare(br"\r\r").copied::<1>(), None);
    }
}
