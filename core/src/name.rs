//! Names: what is a valid one, and which patterns match it. Pure functions.
//!
//! A name is UTF-8, 1 to [`MAX_NAME`] bytes, without control characters, compared byte by
//! byte. Names carry no structure of their own; only a *pattern*, which is a name that is
//! `*` or ends in `::*` or `/*`, looks at the two separators that dialects use by
//! convention: it matches every name that begins with what stands before the `*`.

use crate::limits::{MAX_DEPTH, MAX_FLAG_PART, MAX_NAME};

/// Whether `name` may be used as a name.
pub fn is_valid(name: &str) -> bool {
    !name.is_empty() && name.len() <= MAX_NAME && no_controls(name)
}

/// Whether `text` is free of control characters (C0, DEL and C1).
pub fn no_controls(text: &str) -> bool {
    // One pass over the bytes: C1 controls are U+0080..U+009F, in UTF-8 C2 80..C2 9F.
    let mut before = 0u8;
    for &b in text.as_bytes() {
        if b < 0x20 || b == 0x7f || (before == 0xc2 && b < 0xa0) {
            return false;
        }
        before = b;
    }
    true
}

/// Whether `name` is a pattern: `*`, or something ending in `::*` or `/*`.
pub fn is_pattern(name: &str) -> bool {
    match name.strip_suffix('*') {
        Some("") => true,
        Some(stem) => stem.ends_with("::") || stem.ends_with('/'),
        None => false,
    }
}

/// Whether `pattern` (a pattern, or a plain name) covers `name`.
pub fn matches(pattern: &str, name: &str) -> bool {
    if is_pattern(pattern) {
        // the name has more than the stem, or the pattern is `*`
        let stem = &pattern[..pattern.len() - 1];
        name.len() > stem.len() && name.starts_with(stem)
    } else {
        pattern == name
    }
}

/// The stems of all patterns that could cover `name`, shortest first: the empty one (of
/// `*`), then one ending at each separator that has something behind it. At most
/// [`MAX_DEPTH`] + 1 of them.
pub fn stems(name: &str) -> Stems<'_> {
    Stems { name, at: None, left: MAX_DEPTH }
}

/// Iterator of [`stems`].
#[derive(Debug, Clone)]
pub struct Stems<'n> {
    name: &'n str,
    at: Option<usize>,
    left: usize,
}

impl<'n> Iterator for Stems<'n> {
    type Item = &'n str;

    fn next(&mut self) -> Option<&'n str> {
        let Some(at) = self.at else {
            self.at = Some(0);
            return Some("");
        };
        let bytes = self.name.as_bytes();
        let mut i = at;
        while i < bytes.len() {
            let step = match bytes[i] {
                b'/' => 1,
                b':' if bytes.get(i + 1) == Some(&b':') => 2,
                _ => {
                    i += 1;
                    continue;
                }
            };
            i += step;
            if i >= bytes.len() || self.left == 0 {
                break;
            }
            self.left -= 1;
            self.at = Some(i);
            return Some(&self.name[..i]);
        }
        self.at = Some(bytes.len());
        None
    }
}

/// Whether `part` may be the unit, section or name of a flag.
pub fn is_flag_part(part: &str) -> bool {
    !part.is_empty()
        && part.len() <= MAX_FLAG_PART
        && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

/// FNV-1a with a final mix, 32 bits: small on a microcontroller, good enough for tables
/// whose buckets are a power of two.
pub fn hash(name: &[u8], seed: u32) -> u32 {
    let mut h = 0x811c_9dc5u32 ^ seed;
    let mut chunks = name.chunks_exact(4);
    for c in &mut chunks {
        let w = u32::from_le_bytes([c[0], c[1], c[2], c[3]]);
        h = (h ^ w).wrapping_mul(0x0100_0193).rotate_left(15).wrapping_mul(0x85eb_ca6b);
    }
    for &b in chunks.remainder() {
        h = (h ^ b as u32).wrapping_mul(0x0100_0193);
    }
    h ^= h >> 16;
    h = h.wrapping_mul(0x7feb_352d);
    h ^ (h >> 15)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked_byte_by_byte() {
        assert!(is_valid("a"));
        assert!(is_valid("sensor::b1/µ"));
        assert!(!is_valid(""));
        assert!(!is_valid("a\nb"));
        assert!(!is_valid("a\u{7f}"));
        assert!(!is_valid("a\u{85}b"));
        assert!(is_valid("\u{a0}"));
        let mut long = [b'x'; MAX_NAME + 1];
        assert!(!is_valid(core::str::from_utf8(&long).unwrap()));
        assert!(is_valid(core::str::from_utf8(&long[..MAX_NAME]).unwrap()));
        long[3] = 0;
        assert!(!is_valid(core::str::from_utf8(&long[..9]).unwrap()));
    }

    #[test]
    fn patterns_cover_subtrees() {
        for (p, n, yes) in [
            ("*", "a", true),
            ("a::*", "a::b", true),
            ("a::*", "a::b::c", true),
            ("a::*", "a::", false),
            ("a::*", "a", false),
            ("a::*", "ab::c", false),
            ("a/*", "a/b", true),
            ("a*", "ab", false),
            ("a*", "a*", true),
            ("a", "a", true),
        ] {
            assert_eq!(matches(p, n), yes, "{p} {n}");
        }
    }

    #[test]
    fn stems_are_exactly_the_patterns_that_match() {
        let all = |n| stems(n).collect::<heapless::Vec<&str, 32>>();
        assert_eq!(all("a::b/c")[..], ["", "a::", "a::b/"]);
        assert_eq!(all("a")[..], [""]);
        assert_eq!(all("a::")[..], [""]);
        assert_eq!(all("::a")[..], ["", "::"]);
        assert_eq!(all(":::a")[..], ["", "::"]);
        assert_eq!(all("a//b")[..], ["", "a/", "a//"]);
        let deep = "/".repeat_into::<40>();
        assert_eq!(stems(&deep).count(), MAX_DEPTH + 1);
    }

    trait Repeat {
        fn repeat_into<const N: usize>(&self) -> heapless::String<N>;
    }
    impl Repeat for str {
        fn repeat_into<const N: usize>(&self) -> heapless::String<N> {
            let mut s = heapless::String::new();
            while s.push_str(self).is_ok() {}
            s
        }
    }
}
