//! JSON in place, without a heap: what this dialect's headers and bodies are made of.
//!
//! | file | owns |
//! |---|---|
//! | `scan.rs` | where values begin and end, and whether text is JSON at all |
//! | `text.rs` | the inside of strings: escapes read |
//! | `write.rs` | writing: strings, numbers, base64, received text without `\u` |
//!
//! Owns: how tolerant reading is and how careful writing (section 4): everything is
//! accepted that either client library writes, and nothing is written that one of them
//! cannot read. Does not own what any key means (`repr.rs`, `translate.rs`).
//!
//! | read | |
//! |---|---|
//! | white space | space, tab, CR, LF |
//! | control characters in strings, raw | accepted: the C++ library writes them |
//! | `\"` `\\` `\/` `\b` `\f` `\n` `\r` `\t`, `\uXXXX` | accepted; half of a surrogate pair is not |
//! | numbers | as JSON has them, of any length, kept as digits; also `NaN`, `Infinity`, `-Infinity` |
//! | `true` `false` `null` | in small letters |
//! | text after the value, `None`, a leading `+`, `.` or 0 | refused: neither library writes it |
//! | doubled keys | all are seen; who looks for one takes the last |
//! | nesting | [`MAX_DEPTH`] levels |

mod scan;
mod text;
mod write;

pub use scan::{Elements, Kind, MAX_DEPTH, Members, NotJson, Object, Scan, Value, object, parse};
pub use text::{Chars, Str};
pub use write::{Writer, rewrite};

/// Every octet of a word.
const ONES: u64 = 0x0101_0101_0101_0101;
/// The highest bit of every octet of a word.
const HIGHS: u64 = 0x8080_8080_8080_8080;

/// Marks octets of `word` that are `b`. The lowest mark is always right; one above it may
/// not be, so only the lowest is looked at.
#[inline]
const fn marks(word: u64, b: u8) -> u64 {
    let zero_there = word ^ (ONES * b as u64);
    zero_there.wrapping_sub(ONES) & !zero_there & HIGHS
}

/// The place of the first quote or backslash of `bytes` at `at` or behind; their length if
/// there is none. Eight octets at a time: strings are most of what is read.
#[inline]
fn quote_or_escape(bytes: &[u8], mut at: usize) -> usize {
    while let Some(word) = bytes.get(at..).and_then(<[u8]>::first_chunk::<8>) {
        let word = u64::from_le_bytes(*word);
        let found = marks(word, b'"') | marks(word, b'\\');
        if found != 0 {
            return at + (found.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    while let Some(b) = bytes.get(at) {
        if matches!(b, b'"' | b'\\') {
            break;
        }
        at += 1;
    }
    at
}

/// The place of the first backslash of `bytes` at `at` or behind; their length if there is
/// none.
#[inline]
fn escape(bytes: &[u8], mut at: usize) -> usize {
    while let Some(word) = bytes.get(at..).and_then(<[u8]>::first_chunk::<8>) {
        let found = marks(u64::from_le_bytes(*word), b'\\');
        if found != 0 {
            return at + (found.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    while let Some(b) = bytes.get(at) {
        if *b == b'\\' {
            break;
        }
        at += 1;
    }
    at
}
