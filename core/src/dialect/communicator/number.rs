//! Numbers, points in time and spans of time in parameters (`wire/communicator.md` section
//! 1.5).
//!
//! Owns: reading of the three, and writing of points in time. Does not own which parameter is
//! which (`schema.rs`), nor addresses (`address.rs`).

use super::parse::is_white;
use super::text::Text;
use core::fmt;

/// A number is none, or does not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct NotANumber;

/// Octets of a number that are looked at: more than any has that fits.
const LONGEST: usize = 128;

/// A number of a parameter. With no sign, base or digits that the page does not name, and of
/// at most 64 bits with a sign.
pub fn integer(text: Text<'_>) -> Result<i64, NotANumber> {
    let octets: heapless::Vec<u8, LONGEST> = text.copied().ok_or(NotANumber)?;
    let (minus, digits) = match &octets[..] {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        all => (false, all),
    };
    let (base, digits) = match digits {
        [b'0', b'x' | b'X', rest @ ..] => (16, rest),
        [b'0', b'b' | b'B', rest @ ..] => (2, rest),
        [b'0', b'o' | b'O', rest @ ..] => (8, rest),
        [b'0', b'd' | b'D', rest @ ..] => (10, rest),
        all => (10, all),
    };
    if digits.is_empty() {
        return Err(NotANumber);
    }
    let mut n = 0i64;
    for b in digits {
        let digit = (*b as char).to_digit(base).ok_or(NotANumber)? as i64;
        let next = n.checked_mul(base as i64).ok_or(NotANumber)?;
        // below zero there is room for one more
        n = if minus { next.checked_sub(digit) } else { next.checked_add(digit) }.ok_or(NotANumber)?;
    }
    Ok(n)
}

const NANOS: i64 = 1_000_000_000;

/// A point in time: seconds and nanoseconds since 1970, both with the same sign.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Timespec {
    /// Whole ones.
    pub seconds: i64,
    /// Less than a second.
    pub nanos: i32,
}

impl Timespec {
    /// From nanoseconds since 1970.
    pub const fn from_nanos(ns: i64) -> Self {
        Timespec { seconds: ns / NANOS, nanos: (ns % NANOS) as i32 }
    }

    /// Of a parameter.
    pub fn read(text: Text<'_>) -> Result<Self, NotANumber> {
        let octets: heapless::Vec<u8, LONGEST> = text.copied().ok_or(NotANumber)?;
        let mut left = super::parse::trim(&octets);
        if let [rest @ .., b's'] = left {
            left = rest;
        }
        let minus = left.first() == Some(&b'-');
        if let [b'-' | b'+', rest @ ..] = left {
            left = rest;
        }
        let (seconds, fraction) = match left.iter().position(|b| *b == b'.') {
            Some(at) => (left.get(..at).unwrap_or_default(), left.get(at + 1..).unwrap_or_default()),
            None => (left, &[][..]),
        };
        if seconds.is_empty() || !seconds.iter().chain(fraction).all(u8::is_ascii_digit) {
            return Err(NotANumber);
        }
        let mut t = Timespec::default();
        for b in seconds {
            let next = t.seconds.checked_mul(10).and_then(|n| n.checked_add((b - b'0') as i64));
            t.seconds = next.ok_or(NotANumber)?;
        }
        let mut unit = NANOS as i32 / 10;
        for b in fraction.iter().take(9) {
            t.nanos += (b - b'0') as i32 * unit;
            unit /= 10;
        }
        Ok(if minus { Timespec { seconds: -t.seconds, nanos: -t.nanos } } else { t })
    }
}

/// As a parameter: without zeroes at the end, nor a point without digits behind it. `{:.9}`
/// has all nine digits.
impl fmt::Display for Timespec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.seconds < 0 || self.nanos < 0 { "-" } else { "" };
        write!(f, "{sign}{}", self.seconds.unsigned_abs())?;
        let (mut fraction, mut digits) = (self.nanos.unsigned_abs(), 9);
        if f.precision().is_none() {
            while digits > 0 && fraction % 10 == 0 {
                fraction /= 10;
                digits -= 1;
            }
        }
        if digits > 0 { write!(f, ".{fraction:0digits$}") } else { Ok(()) }
    }
}

/// A span of time in nanoseconds: terms of a number and a unit, added up.
pub fn duration(text: &[u8]) -> Result<i64, NotANumber> {
    let mut left = super::parse::trim(text);
    if left.is_empty() {
        return Err(NotANumber);
    }
    let mut sum = 0i64;
    while !left.is_empty() {
        let (ns, rest) = term(left).ok_or(NotANumber)?;
        sum = sum.checked_add(ns).ok_or(NotANumber)?;
        left = blanks(rest);
    }
    Ok(sum)
}

fn blanks(mut text: &[u8]) -> &[u8] {
    while let [first, rest @ ..] = text
        && is_white(*first)
    {
        text = rest;
    }
    text
}

/// A term at the front, in nanoseconds, and what is behind it.
fn term(text: &[u8]) -> Option<(i64, &[u8])> {
    let (minus, text) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        all => (false, all),
    };
    let span = |text: &[u8], of: fn(&u8) -> bool| text.iter().take_while(|b| of(b)).count();
    let (digits, text) = text.split_at_checked(span(text, u8::is_ascii_digit))?;
    let (fraction, text) = match text {
        [b'.', rest @ ..] => rest.split_at_checked(span(rest, u8::is_ascii_digit))?,
        all => (&[][..], all),
    };
    if digits.is_empty() && fraction.is_empty() {
        return None;
    }
    let text = blanks(text);
    let (word, text) = text.split_at_checked(span(text, u8::is_ascii_alphabetic))?;
    let unit = unit(word)?;
    let mut ns = 0i64;
    for b in digits {
        ns = ns.checked_mul(10)?.checked_add((b - b'0') as i64)?;
    }
    ns = ns.checked_mul(unit)?.checked_mul(NANOS)?;
    // what is less than a nanosecond is one, so that it is still more than nothing
    let mut part = unit.checked_mul(NANOS)?;
    let mut lost = false;
    for b in fraction {
        lost |= part % 10 != 0 && *b != b'0';
        part /= 10;
        ns = ns.checked_add(part * (b - b'0') as i64)?;
    }
    ns = ns.checked_add(lost as i64)?;
    Some((if minus { -ns } else { ns }, text))
}

/// Seconds of a unit.
fn unit(word: &[u8]) -> Option<i64> {
    const DAY: i64 = 86_400;
    const UNITS: &[(&str, &str, &str, i64)] = &[
        ("", "s", "second", 1),
        ("m", "m", "minute", 60),
        ("h", "h", "hour", 3600),
        ("d", "d", "day", DAY),
        ("w", "w", "week", 7 * DAY),
        ("month", "month", "month", 30 * DAY),
        ("y", "y", "year", 365 * DAY),
    ];
    let is = |w: &[u8], name: &str| w.eq_ignore_ascii_case(name.as_bytes());
    let one = match word {
        [rest @ .., b's' | b'S'] => rest,
        all => all,
    };
    // of the whole words there are many, of the letters only one
    UNITS.iter().find(|(a, b, whole, _)| is(word, a) || is(word, b) || is(one, whole)).map(|(.., n)| *n)
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::string::ToString as _;

    #[test]
    fn numbers() {
        let of = |text: &str| integer(Text::from(text)).ok();
        for (text, want) in [
            ("-9223372036854775808", Some(i64::MIN)),
            ("-0x8000000000000000", Some(i64::MIN)),
            ("0X1f", Some(31)),
            ("0B1", Some(1)),
            ("0O7", Some(7)),
            ("0D9", Some(9)),
            ("0", Some(0)),
            ("-9223372036854775809", None),
            ("0x", None),
            ("0b2", None),
            ("0o8", None),
            ("-", None),
            ("+-1", None),
            ("1 ", None),
            ("1_0", None),
        ] {
            assert_eq!(of(text), want, "{text}");
        }
        assert_eq!(integer(Text::bare(br"\n1")), Err(NotANumber));
        assert_eq!(integer(Text::from(&[b'0'; 200][..])), Err(NotANumber), "longer than anybody writes");
    }

    #[test]
    fn points_in_time_and_back() {
        for (text, want, written) in [
            ("10", (10, 0), "10"),
            ("100.5", (100, 500_000_000), "100.5"),
            ("1685372468.564231883", (1_685_372_468, 564_231_883), "1685372468.564231883"),
            ("1.0000000019", (1, 1), "1.000000001"),
            ("-0.25", (0, -250_000_000), "-0.25"),
            ("-3.000", (-3, 0), "-3"),
            ("\t+4.s ", (4, 0), "4"),
        ] {
            let t = Timespec::read(Text::from(text)).unwrap();
            assert_eq!((t.seconds, t.nanos), want, "{text}");
            assert_eq!(t.to_string(), written);
        }
        for odd in ["", " ", "s", "-", "1 s", "1ss", "1.2.3", "1e3", "99999999999999999999"] {
            assert_eq!(Timespec::read(Text::from(odd)), Err(NotANumber), "{odd:?}");
        }
        assert_eq!(std::format!("{:.9}", Timespec { seconds: 7, nanos: 50 }), "7.000000050");
        assert_eq!(Timespec::from_nanos(-1_500_000_000), Timespec { seconds: -1, nanos: -500_000_000 });
    }

    #[test]
    fn spans_of_time() {
        const S: i64 = NANOS;
        for (text, want) in [
            ("30", Some(30 * S)),
            ("5m", Some(300 * S)),
            ("1h 30 minutes", Some(5400 * S)),
            ("1h30m", Some(5400 * S)),
            ("1 2", Some(3 * S)),
            (".5", Some(S / 2)),
            ("5.", Some(5 * S)),
            ("1.5H", Some(5400 * S)),
            ("2 Days", Some(172_800 * S)),
            ("1 w", Some(604_800 * S)),
            ("1month", Some(2_592_000 * S)),
            ("2months", Some(5_184_000 * S)),
            ("1y", Some(31_536_000 * S)),
            ("1 year -1 day", Some(31_449_600 * S)),
            ("1second 2seconds 3s", Some(6 * S)),
            ("-5", Some(-5 * S)),
            ("10.0000000001", Some(10 * S + 1)),
            ("0.1m", Some(6 * S)),
            ("", None),
            (" ", None),
            ("x", None),
            ("5 parsecs", None),
            ("5ms", None),
            (".", None),
            ("true", None),
            ("1,5", None),
            ("99999999999y", None),
        ] {
            assert_eq!(duration(text.as_bytes()).ok(), want, "{text:?}");
        }
    }
}
