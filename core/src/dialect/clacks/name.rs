//! Names and keys of this dialect, which are any octets, and names of the bus.
//!
//! Owns: the bijection between the two. Does not own what is a valid name on the bus: that
//! is `name.rs` of the core; nor what names can stand before a `=` (`emit.rs`).
//!
//! | here | on the bus | why |
//! |---|---|---|
//! | octets that are no UTF-8, control characters | `\xHH` for each octet | there are none on the bus |
//! | `\` where `xHH` of such an octet follows | `\x5c` | so that it does not mean that octet |
//! | `*`, `…::*`, `…/*`, also with more `*` | one more `*` | with one, these are patterns there |
//! | `` (empty), `~`, `~~`, … | one more `~` | a name is never empty there |
//! | any other | the same | |
//!
//! The last three rows are those of the dialect MSGQ too, so that a name is the same name for
//! clients of both. CR and LF are in no name: they end lines. A name that would be longer than
//! 128 octets on the bus has none there. Nearly every name is the same in both; that is found
//! eight octets at a time.

use super::emit::Writer;
use super::frame::{CR, LF, marks, marks_below, marks_high, word};
use crate::limits::MAX_NAME;
use crate::name;

/// Digits of an octet that is written out.
const HEX: &[u8; 16] = b"0123456789abcdef";

/// Octets of `\xHH`.
const ESCAPE: usize = 4;

/// A name of the bus, put together.
type Text = heapless::String<MAX_NAME, u8>;

/// The name on the bus of a name or key out of a line. `None`: it would be too long. Borrowed
/// from the line if it is the same, else put into `spare`.
#[inline]
pub fn to_bus<'f>(here: &'f [u8], spare: &'f mut Text) -> Option<&'f str> {
    match here.len() <= MAX_NAME {
        true if is_plain(here) => core::str::from_utf8(here).ok(),
        true => translated(here, spare),
        // on the bus it is never shorter
        false => None,
    }
}

/// Whether a name is the same on the bus at first sight: printable ASCII without `\` and with
/// an ordinary end. There are others.
#[inline]
fn is_plain(here: &[u8]) -> bool {
    // a mark above the lowest may be wrong, but then that one is right
    let strange = |w: u64| marks_high(w) | marks_below(w, b' ') | marks(w, 0x7f) | marks(w, b'\\');
    let mut at = 0;
    while let Some(w) = word(here, at) {
        if strange(w) != 0 {
            return false;
        }
        at += 8;
    }
    let left = here.get(at..).unwrap_or_default();
    left.iter().all(|b| matches!(b, b' '..=b'[' | b']'..=b'~')) && !matches!(here.last(), None | Some(b'*' | b'~'))
}

#[cold]
fn translated<'f>(here: &'f [u8], spare: &'f mut Text) -> Option<&'f str> {
    spare.clear();
    let mut at = 0;
    for chunk in here.utf8_chunks() {
        for c in chunk.valid().chars() {
            let size = c.len_utf8();
            if c.is_control() || (c == '\\' && escaped(here.get(at..)?).is_some()) {
                for b in here.get(at..at + size)? {
                    push_escape(*b, spare)?;
                }
            } else {
                spare.push(c).ok()?;
            }
            at += size;
        }
        for b in chunk.invalid() {
            push_escape(*b, spare)?;
        }
        at += chunk.invalid().len();
    }
    if let Some(c) = ending(spare) {
        spare.push(c).ok()?;
    }
    Some(spare)
}

fn push_escape(b: u8, to: &mut Text) -> Option<()> {
    to.push_str("\\x").ok()?;
    hex(b).iter().try_for_each(|digit| to.push(*digit as char).ok())
}

/// An octet as two digits.
pub(super) fn hex(b: u8) -> [u8; 2] {
    [HEX[(b >> 4) as usize], HEX[(b & 15) as usize]]
}

/// Writes an octet out that cannot stand where it would.
pub(super) fn write_escape(b: u8, w: &mut Writer<'_>) {
    w.bytes(b"\\x");
    w.bytes(&hex(b));
}

/// The octet that is written out at the front of `text`. `None`: none of those that ever are.
fn escaped(text: &[u8]) -> Option<u8> {
    let [b'\\', b'x', high, low, ..] = text else { return None };
    let digit = |b: &u8| HEX.iter().position(|h| h == b).map(|n| n as u8);
    let b = digit(high)? << 4 | digit(low)?;
    matches!(b, ..b' ' | b'\\' | 0x7f..).then_some(b).filter(|b| !matches!(*b, CR | LF))
}

/// What is added to a name on the bus.
fn ending(text: &str) -> Option<char> {
    match text.as_bytes().last() {
        None => Some('~'),
        Some(b'~') if is_tildes(text) => Some('~'),
        Some(b'*') if is_starred(text) => Some('*'),
        Some(_) => None,
    }
}

fn is_tildes(text: &str) -> bool {
    text.bytes().all(|b| b == b'~')
}

/// Whether it is a pattern on the bus, or would be with fewer stars.
fn is_starred(text: &str) -> bool {
    let stem = text.trim_end_matches('*');
    stem.len() < text.len() && (stem.is_empty() || stem.ends_with("::") || stem.ends_with('/'))
}

/// A name of the bus as this dialect has it: never longer. Borrowed from `bus` if it is the
/// same, else put into `spare`. A pattern, and a name that looks as if it came from here but
/// that none of ours has, stay as they are.
#[inline]
pub fn from_bus<'n>(bus: &'n str, spare: &'n mut [u8; MAX_NAME]) -> &'n [u8] {
    if is_plain(bus.as_bytes()) {
        return bus.as_bytes();
    }
    original(bus, spare).unwrap_or(bus.as_bytes())
}

#[cold]
fn original<'n>(bus: &'n str, spare: &'n mut [u8; MAX_NAME]) -> Option<&'n [u8]> {
    let ends = match bus.as_bytes() {
        [.., b'~'] if is_tildes(bus) => true,
        [.., b'*', b'*'] => is_starred(bus),
        _ => false,
    };
    let mut left = bus.get(..bus.len() - ends as usize)?.as_bytes();
    if !left.contains(&b'\\') {
        return Some(left);
    }
    let mut size = 0;
    while let Some(first) = left.first() {
        let (b, octets) = escaped(left).map_or((*first, 1), |b| (b, ESCAPE));
        *spare.get_mut(size)? = b;
        size += 1;
        left = left.get(octets..)?;
    }
    let here = spare.get(..size)?;
    // of what is spelled in two ways only one is ours
    (translated(here, &mut Text::new()) == Some(bus)).then_some(here)
}

/// Splits a name of the bus that addresses a verb, `name/VERB`, into the two: what stands
/// before the last `/` is a name as it is, what stands behind it is a verb of the
/// Communicator's (capitals, digits, `_`).
#[inline]
pub fn addressed(bus: &str) -> Option<(&str, &str)> {
    let (of, verb) = bus.rsplit_once('/')?;
    let of_verbs = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_';
    let is_verb = verb.bytes().all(of_verbs) && !matches!(verb.as_bytes().first(), None | Some(b'0'..=b'9'));
    (is_verb && verb.len() <= crate::limits::MAX_VERB && name::is_valid(of) && ending(of).is_none())
        .then_some((of, verb))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bus(here: &[u8]) -> Option<Text> {
        to_bus(here, &mut Text::new()).map(|t| t.try_into().unwrap())
    }

    fn here(bus: &str) -> heapless::Vec<u8, 300> {
        heapless::Vec::from_slice(from_bus(bus, &mut [0xa5; MAX_NAME])).unwrap()
    }

    #[test]
    fn each_row_of_the_table_and_back() {
        for (here_, want) in [
            (&b"temp"[..], "temp"),
            (b"sensor::b1::temperature", "sensor::b1::temperature"),
            (b"a b", "a b"),
            (b" x ", " x "),
            (b"a=b", "a=b"),
            (b"=", "="),
            (b"\xc3\xa9", "é"),
            (b"C:\\dir\\new", "C:\\dir\\new"),
            (b"\\", "\\"),
            (b"\\x", "\\x"),
            (b"\\x4", "\\x4"),
            (b"\\x41", "\\x41"),
            (b"\\xFF", "\\xFF"),
            (b"\\x0a", "\\x0a"),
            (b"\\x0d", "\\x0d"),
            (b"\xe9", "\\xe9"),
            (b"\xc3", "\\xc3"),
            (b"a\0b\tc\x7f", "a\\x00b\\x09c\\x7f"),
            (b"\xc2\x85", "\\xc2\\x85"),
            (b"\xed\xa0\x80", "\\xed\\xa0\\x80"),
            (b"\\xe9", "\\x5cxe9"),
            (b"\\\\xe9", "\\\\x5cxe9"),
            (b"\\x5c", "\\x5cx5c"),
            (b"\\x5cxe9", "\\x5cx5cxe9"),
            (b"\\\xe9", "\\\\xe9"),
            (b"\\x\xe9", "\\x\\xe9"),
            (b"*", "**"),
            (b"**", "***"),
            (b"a::*", "a::**"),
            (b"a/*", "a/**"),
            (b"a/**", "a/***"),
            (b"/*", "/**"),
            (b"\xe9/*", "\\xe9/**"),
            (b"a*", "a*"),
            (b"a:*", "a:*"),
            (b"*a", "*a"),
            (b"a**", "a**"),
            (b"~*", "~*"),
            (b"", "~"),
            (b"~", "~~"),
            (b"~~", "~~~"),
            (b"a~", "a~"),
            (b"~a", "~a"),
        ] {
            let got = bus(here_).unwrap();
            assert_eq!(got, want, "{here_:?}");
            assert!(name::is_valid(&got) && !name::is_pattern(&got), "{got}");
            assert_eq!(here(&got), here_, "{got} and back");
        }
    }

    #[test]
    fn as_long_as_the_bus_allows() {
        let mut long = [b'x'; 200];
        assert!(bus(&long[..128]).is_some());
        assert_eq!(bus(&long[..129]), None);
        long[127] = b'~';
        assert!(bus(&long[..128]).is_some());
        long[126..128].copy_from_slice(b"/*");
        assert_eq!(bus(&long[..128]), None, "one more star would be too long");
        assert!(bus(&long[1..128]).is_some());
        long[..128].fill(0xe9);
        assert_eq!(bus(&long[..32]).unwrap().len(), 128);
        assert_eq!(bus(&long[..33]), None);
    }

    #[test]
    fn what_is_nobodys_name_here_stays_as_it_is() {
        for bus in ["*", "a::*", "a/*", "\\xc3\\xa9", "a\\x5cb", "\\xe9\\x5c", "\\x5c"] {
            assert_eq!(here(bus), bus.as_bytes());
        }
    }

    #[test]
    fn any_octets_come_back_and_no_two_names_are_one() {
        let mut seed = 0x1357_9bdf_0246_8ace_u64;
        let mut chance = move |below: u64| {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            (seed >> 20) % below
        };
        const PIECES: [&[u8]; 20] = [
            b"a",
            b"\\",
            b"x",
            b"5c",
            b"e9",
            b"\xe9",
            b"\xc3",
            b"\xa9",
            b"*",
            b"::",
            b"/",
            b"~",
            b"=",
            b" ",
            b"\0",
            b"\x85",
            b"\xc2",
            b"\xf0\x9f\x98\x80",
            b"\\x",
            b"00",
        ];
        let mut same = 0;
        for _ in 0..20_000 {
            let mut name = heapless::Vec::<u8, 64>::new();
            for _ in 0..chance(8) {
                name.extend_from_slice(PIECES[chance(PIECES.len() as u64) as usize]).unwrap();
            }
            let got = bus(&name).unwrap();
            assert!(name::is_valid(&got) && !name::is_pattern(&got), "{got}");
            assert_eq!(here(&got), name, "{got}");
            same += (got.as_bytes() == &name[..]) as u32;
            // and from the other side: whatever comes from the bus is shown, and what is shown
            // goes back to where it came from, or to a name of its own
            let Ok(text) = core::str::from_utf8(&name) else { continue };
            if name::is_valid(text) && !name::is_pattern(text) {
                let shown = here(text);
                let again = bus(&shown).unwrap();
                assert!(again == text || shown == text.as_bytes(), "{text}");
            }
        }
        assert!(same > 1000);
    }

    #[test]
    fn plain_names_are_borrowed() {
        let mut spare = Text::new();
        let name = b"sensor::b1::temperature";
        let got = to_bus(name, &mut spare).unwrap();
        assert_eq!(got.as_ptr(), name.as_ptr());
        for at in 0..name.len() {
            for b in [0, 0x1f, 0x7f, 0x80, 0xff, b'\\'] {
                let mut name = *name;
                name[at] = b;
                assert!(!is_plain(&name));
            }
        }
        assert!(is_plain(b" !\"#$%&'()*+,-./09:;<=>?@AZ[]^_`az{|}~."));
    }

    #[test]
    fn verbs_are_addressed_by_capitals() {
        for (name, want) in [
            ("s/VERB", Some(("s", "VERB"))),
            ("a/b::c/STOP_2", Some(("a/b::c", "STOP_2"))),
            ("s/_X", Some(("s", "_X"))),
            ("a b/V", Some(("a b", "V"))),
            ("s/verb", None),
            ("s/Verb", None),
            ("s/2ND", None),
            ("s/", None),
            ("/VERB", None),
            ("VERB", None),
            ("s/A=B", None),
            ("a::*/VERB", None),
            ("a/**/VERB", None),
            ("~/VERB", None),
        ] {
            assert_eq!(addressed(name), want, "{name}");
        }
    }
}
