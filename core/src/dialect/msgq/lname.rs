//! Stations as text, and names that this dialect has and the bus has not.
//!
//! Owns: the form of an lname (`wire/msgq.md` section 7), and the bijection between this
//! dialect's groups and instances, which may be any text, and the names of the bus. Does not
//! own what names are valid there: that is `name.rs` of the core.
//!
//! | here | on the bus | why |
//! |---|---|---|
//! | `` (empty) | `~` | a name is never empty |
//! | `~`, `~~`, … | one more `~` | so that `~` has one meaning |
//! | group `*`, `a::*`, `a/*` | one more `*` | these are patterns there, ordinary names here |
//! | group `**`, `a::**`, … | one more `*` | so that the ones above have one meaning |
//! | instance `*` | `*` | it means every instance in both |
//! | any other | the same | |

use super::json::{Str, Writer};
use crate::dialect::Here;
use crate::name;

/// Longest lname, in bytes.
pub const MAX_LNAME: usize = 48;

/// Most bytes of it that say which node.
const MAX_HOST: usize = 16;

/// An lname, kept.
type Text = heapless::String<MAX_LNAME, u8>;

/// The lname of a station as a JSON string, with its quotes; of station 0, the node's own.
pub(crate) fn write(here: Here<'_>, station: u64, w: &mut Writer<'_>) {
    w.raw("\"");
    w.raw(&text(here, station));
    w.raw("\"");
}

/// The lname of a station; of station 0, the node's own: life of the node and number of the
/// station in hexadecimal, `@`, what the node is called. Never `*`, empty, or in need of
/// escapes.
pub(crate) fn text(here: Here<'_>, station: u64) -> Text {
    let mut text = Text::new();
    let mut push = |c| {
        // `host` leaves room for all of it
        let _ = text.push(c);
    };
    for (number, behind) in [(here.boot, '_'), (station, '@')] {
        for i in (0..hex_digits(number)).rev() {
            push(char::from_digit((number >> (4 * i)) as u32 & 0xf, 16).unwrap_or('0'));
        }
        push(behind);
    }
    host(here, station).for_each(|b| push(b as char));
    text
}

/// Whose lname it is, if it is exactly what [`text`] makes in this life of this node. Whether
/// there is such a station is another question.
pub(crate) fn parse(here: Here<'_>, text: Str<'_>) -> Option<u64> {
    let mut room = Text::new();
    let text = match text.plain() {
        Some(plain) => plain,
        None => {
            for c in text.chars() {
                room.push(c).ok()?;
            }
            &room
        }
    };
    let (boot, rest) = hex(text.as_bytes())?;
    let (station, rest) = hex(rest.strip_prefix(b"_")?)?;
    let is_here = boot == here.boot && rest.strip_prefix(b"@")?.iter().copied().eq(host(here, station));
    is_here.then_some(station)
}

/// Digits of a number in hexadecimal.
const fn hex_digits(n: u64) -> usize {
    (u64::BITS - (n | 1).leading_zeros()).div_ceil(4) as usize
}

/// Takes a number off the front: lower case, without leading zeros.
fn hex(text: &[u8]) -> Option<(u64, &[u8])> {
    let mut n = 0u64;
    let mut digits = 0;
    for b in text.iter().take(16) {
        let digit = match b {
            b'0'..=b'9' => b - b'0',
            b'a'..=b'f' => b - b'a' + 10,
            _ => break,
        };
        n = n << 4 | digit as u64;
        digits += 1;
    }
    (digits > 0 && digits == hex_digits(n)).then(|| (n, text.get(digits..).unwrap_or_default()))
}

/// What the node is called, as far as an lname has room for it and characters fit into one.
fn host(here: Here<'_>, station: u64) -> impl Iterator<Item = u8> + use<'_> {
    let node = if here.node.is_empty() { "node" } else { here.node };
    let room = MAX_LNAME - 2 - hex_digits(here.boot) - hex_digits(station);
    let plain = |b: u8| if b.is_ascii_alphanumeric() || b == b'.' || b == b'-' { b } else { b'-' };
    node.bytes().map(plain).take(room.min(MAX_HOST))
}

/// The name on the bus of a group, or of an instance. `None`: there is none, because it would
/// be too long or has control characters. Borrowed from the frame if it is the same, else put
/// into `spare`.
#[inline]
pub(crate) fn to_bus<'f, const N: usize>(
    text: Str<'f>,
    instance: bool,
    spare: &'f mut heapless::String<N, u8>,
) -> Option<&'f str> {
    let same = text.plain().filter(|plain| ending(plain, instance).is_none());
    let bus = match same {
        Some(plain) => plain,
        None => put(text, instance, spare)?,
    };
    name::is_valid(bus).then_some(bus)
}

/// Writes a name of the bus out in full. `None`: too long.
#[cold]
fn put<'f, const N: usize>(text: Str<'_>, instance: bool, spare: &'f mut heapless::String<N, u8>) -> Option<&'f str> {
    spare.clear();
    for c in text.chars() {
        spare.push(c).ok()?;
    }
    if let Some(c) = ending(spare, instance) {
        spare.push(c).ok()?;
    }
    Some(spare)
}

/// What the bus adds to a text of this dialect.
#[inline]
fn ending(text: &str, instance: bool) -> Option<char> {
    match text.as_bytes().last() {
        None => Some('~'),
        Some(b'~') if is_tildes(text) => Some('~'),
        Some(b'*') if !instance && is_starred(text) => Some('*'),
        Some(_) => None,
    }
}

fn is_tildes(text: &str) -> bool {
    text.bytes().all(|b| b == b'~')
}

/// Whether it is a pattern on the bus, or would be with fewer stars.
fn is_starred(text: &str) -> bool {
    let stem = text.trim_end_matches('*');
    stem.is_empty() || stem.ends_with("::") || stem.ends_with('/')
}

/// A name of the bus as this dialect has it, as a JSON string with its quotes. A pattern,
/// which nothing here is called, stays as it is; no name at all is `*`, as clients write it
/// where they address a station.
pub(crate) fn from_bus(bus: &str, w: &mut Writer<'_>) {
    let text = match bus.as_bytes() {
        [] => "*",
        [.., b'~'] if is_tildes(bus) => bus.strip_suffix('~').unwrap_or(bus),
        [.., b'*', b'*'] if is_starred(bus) => bus.strip_suffix('*').unwrap_or(bus),
        _ => bus,
    };
    w.string(text);
}

#[cfg(test)]
mod tests {
    use super::super::json;
    use super::*;

    const HERE: Here<'static> = Here::of(0x5f37_59df, "host");

    /// A text from JSON, quotes included.
    fn string(json: &str) -> Str<'_> {
        json::parse(json).unwrap().string().unwrap()
    }

    fn quoted(text: &str) -> heapless::String<300> {
        let mut q = heapless::String::new();
        q.push('"').unwrap();
        q.push_str(text).unwrap();
        q.push('"').unwrap();
        q
    }

    #[test]
    fn an_lname_has_the_form_of_the_page() {
        for (boot, node, station, want) in [
            (0x5f37_59df, "host", 1, "5f3759df_1@host"),
            (0x5f37_59df, "host", 0, "5f3759df_0@host"),
            (0x5f37_59df, "host", 0xabc0, "5f3759df_abc0@host"),
            (0, "host", 10, "0_a@host"),
            (1, "", 1, "1_1@node"),
            (1, "a b_c*\"\\@é", 1, "1_1@a-b-c------"),
            (1, "A.b-9", 1, "1_1@A.b-9"),
            (1, "0123456789abcdefg", 1, "1_1@0123456789abcdef"),
            (u64::MAX, "0123456789abcdefg", (1 << 56) - 1, "ffffffffffffffff_ffffffffffffff@0123456789abcdef"),
            (u64::MAX, "0123456789abcdefg", u64::MAX, "ffffffffffffffff_ffffffffffffffff@0123456789abcd"),
        ] {
            let here = Here::of(boot, node);
            let got = text(here, station);
            assert_eq!(got, want);
            assert_eq!(parse(here, string(&quoted(&got))), Some(station), "{got}");
            let mut out = [0xa5; 64];
            let mut w = Writer::new(&mut out);
            write(here, station, &mut w);
            let n = w.finish().unwrap();
            assert_eq!(out[..n], *quoted(want).as_bytes());
        }
    }

    #[test]
    fn only_the_exact_form_is_anybody() {
        for nobody in [
            "",
            "*",
            "msgq",
            "gone",
            "5f3759df_1@hos",
            "5f3759df_1@hostx",
            "5f3759df_1@HOST",
            "5f3759df_01@host",
            "05f3759df_1@host",
            "5F3759DF_1@host",
            "5f3759df_A@host",
            "5f3759de_1@host",
            "5f3759df_@host",
            "_1@host",
            "5f3759df1@host",
            "5f3759df_1host",
            "5f3759df_1",
            "5f3759df_1@",
            "5f3759df_+1@host",
            " 5f3759df_1@host",
            "5f3759df_1@host ",
            "5f3759df_10000000000000000@host",
            "00000000000000005f3759df_1@host",
        ] {
            assert_eq!(parse(HERE, string(&quoted(nobody))), None, "{nobody}");
        }
        let long = [b'1'; 200];
        assert_eq!(parse(HERE, string(&quoted(core::str::from_utf8(&long).unwrap()))), None);
    }

    #[test]
    fn an_escaped_lname_is_the_same() {
        assert_eq!(parse(HERE, string(r#""5f3759df\u005f1@h\u006fst""#)), Some(1));
        // longer than any lname once decoded
        assert_eq!(
            parse(HERE, string(r#""5f3759df\u005f1@hosttttttttttttttttttttttttttttttttttttttttttttttttt""#)),
            None
        );
    }

    fn bus(json: &str, instance: bool) -> Option<heapless::String<128>> {
        let mut spare = heapless::String::<128, u8>::new();
        to_bus(string(json), instance, &mut spare).map(|b| heapless::String::try_from(b).unwrap())
    }

    fn back(bus: &str) -> heapless::String<300> {
        let mut out = [0xa5; 300];
        let mut w = Writer::new(&mut out);
        from_bus(bus, &mut w);
        let n = w.finish().unwrap();
        heapless::String::try_from(core::str::from_utf8(&out[..n]).unwrap()).unwrap()
    }

    #[test]
    fn every_text_has_a_name_of_its_own() {
        for (group, want) in [
            ("news", "news"),
            ("", "~"),
            ("~", "~~"),
            ("~~~", "~~~~"),
            ("~a", "~a"),
            ("a~", "a~"),
            ("*", "**"),
            ("**", "***"),
            ("a::*", "a::**"),
            ("a::**", "a::***"),
            ("a/*", "a/**"),
            ("/*", "/**"),
            ("::*", "::**"),
            ("a*", "a*"),
            ("a:*", "a:*"),
            ("a**", "a**"),
            ("~*", "~*"),
            ("*a", "*a"),
            ("é", "é"),
            ("notifications/cc_members", "notifications/cc_members"),
        ] {
            let got = bus(&quoted(group), false).unwrap();
            assert_eq!(got, want);
            assert!(name::is_valid(&got) && !name::is_pattern(&got), "{got}");
            assert_eq!(back(&got), quoted(group), "and back");
        }
    }

    #[test]
    fn instances_keep_their_star() {
        for (instance, want) in [("*", "*"), ("", "~"), ("~", "~~"), ("one", "one"), ("a/*", "a/*")] {
            assert_eq!(bus(&quoted(instance), true).unwrap(), want);
            assert_eq!(back(want), quoted(instance), "and back");
        }
    }

    #[test]
    fn patterns_and_no_name_from_the_bus() {
        assert_eq!(back("a::*"), r#""a::*""#);
        assert_eq!(back("*"), r#""*""#);
        assert_eq!(back(""), r#""*""#);
        assert_eq!(back("a\"b\\c"), r#""a\"b\\c""#, "with the escapes that JSON needs");
    }

    #[test]
    fn both_spellings_are_one_group() {
        // section 4.2: the Python library's and the C++ library's
        assert_eq!(bus(r#""\u00e9""#, false), bus("\"\u{e9}\"", false));
        assert_eq!(bus(r#""\u00e9""#, false).unwrap(), "é");
        assert_eq!(bus(r#""a\/\u002a""#, false).unwrap(), "a/**");
        assert_eq!(bus(r#""\u007e""#, true).unwrap(), "~~");
    }

    #[test]
    fn what_is_no_name_of_the_bus() {
        assert_eq!(bus(r#""a\nb""#, false), None, "a control character");
        assert_eq!(bus("\"a\nb\"", false), None, "the same, raw");
        assert_eq!(bus(r#""a\u0085b""#, false), None, "C1");
        let mut long = [b'x'; 129];
        let at = |text: &[u8], instance| bus(&quoted(core::str::from_utf8(text).unwrap()), instance);
        assert!(at(&long[..128], false).is_some());
        assert_eq!(at(&long, false), None);
        long[..128].fill(b'~');
        assert!(at(&long[..127], true).is_some());
        assert_eq!(at(&long[..128], true), None, "one more would be too long");
        assert_eq!(at(&long[..128], false), None);
    }
}
