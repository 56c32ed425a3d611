//! The arithmetic of `INCREMENT` and `DECREMENT` (`wire/clacks.md` section 8.3).
//!
//! Owns: which texts are numbers, adding them as Perl does, and how the result is written.
//! Does not own where a command is split into key and step (`parse.rs`).
//!
//! | both numbers | sum | result |
//! |---|---|---|
//! | whole, of 64 bits with or without sign | the same | exact |
//! | whole, of 64 bits with or without sign | anything else | double precision |
//! | anything else | | double precision |
//!
//! A number with a fraction or exponent counts as whole if its value is: `1e3` is 1000.

use core::fmt::Write;

/// Octets that a result has at most: `-1.23456789012346e+308`, and room to spare.
pub const LONGEST: usize = 24;

/// What a text is worth.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Number {
    /// From [`LEAST`] to [`MOST`].
    Whole(i128),
    Double(f64),
}

const LEAST: i128 = i64::MIN as i128;
const MOST: i128 = u64::MAX as i128;

/// Digits that a double is written with.
const DIGITS: usize = 15;

/// Adds `step` to `old`, or takes it away if `down`. Of `old` the whole text must be a number,
/// else it counts as 0; of `step` as much as is one. Returns how many octets of `out` the
/// result has.
pub fn add(old: &[u8], step: &[u8], down: bool, out: &mut [u8; LONGEST]) -> usize {
    let (old, step) = (whole(old), front(step));
    if let (Number::Whole(a), Number::Whole(b)) = (old, step) {
        // 66 bits at most
        let sum = if down { a - b } else { a + b };
        if (LEAST..=MOST).contains(&sum) {
            return write_whole(sum, out);
        }
    }
    let (a, b) = (old.double(), step.double());
    write_double(if down { a - b } else { a + b }, out)
}

/// Whether a text counts as it stands, and not as 0 because it is no number.
pub fn is_number(text: &[u8]) -> bool {
    token(text).is_some_and(|(_, _, rest)| is_blank(rest))
}

fn is_blank(text: &[u8]) -> bool {
    text.iter().all(|b| is_space(*b))
}

fn whole(text: &[u8]) -> Number {
    match token(text) {
        Some((kind, token, rest)) if is_blank(rest) => Number::of(kind, token),
        _ => Number::Whole(0),
    }
}

fn front(text: &[u8]) -> Number {
    token(text).map_or(Number::Whole(0), |(kind, token, _)| Number::of(kind, token))
}

/// The octets of the number at the front of a text, and whether they are a word like `Inf`.
pub(super) fn front_token(text: &[u8]) -> Option<(&[u8], bool)> {
    token(text).map(|(kind, token, _)| (token, kind == Kind::Word))
}

/// The number at the front of a text in double precision, 0 if there is none.
pub(super) fn double(text: &[u8]) -> f64 {
    front(text).double()
}

/// How a number is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Sign and digits.
    Digits,
    /// With a point, an exponent, or both.
    Decimal,
    /// `Inf`, `NaN`.
    Word,
}

/// Perl's white space.
const fn is_space(b: u8) -> bool {
    matches!(b, b' ' | b'\t' | b'\n' | 0x0b | 0x0c | b'\r')
}

/// The number at the front of a text behind white space: what it is, its octets, and what
/// stands behind it.
fn token(text: &[u8]) -> Option<(Kind, &[u8], &[u8])> {
    let text = text.get(text.iter().take_while(|b| is_space(**b)).count()..)?;
    let sign = matches!(text.first(), Some(b'+' | b'-')) as usize;
    let digits = |from: usize| text.iter().skip(from).take_while(|b| b.is_ascii_digit()).count();
    let before = digits(sign);
    let mut end = sign + before;
    let mut kind = Kind::Digits;
    let mut behind = 0;
    if text.get(end) == Some(&b'.') {
        behind = digits(end + 1);
        if before + behind > 0 {
            end += 1 + behind;
            kind = Kind::Decimal;
        }
    }
    if before + behind > 0 {
        if let Some(b'e' | b'E') = text.get(end) {
            let sign = matches!(text.get(end + 1), Some(b'+' | b'-')) as usize;
            let exponent = digits(end + 1 + sign);
            if exponent > 0 {
                end += 1 + sign + exponent;
                kind = Kind::Decimal;
            }
        }
    } else {
        let word = text.get(sign..)?;
        let is = |w: &&[u8]| word.get(..w.len()).is_some_and(|front| front.eq_ignore_ascii_case(w));
        end += [&b"infinity"[..], b"inf", b"nan"].iter().find(|w| is(w))?.len();
        kind = Kind::Word;
    }
    let (token, rest) = text.split_at_checked(end)?;
    Some((kind, token, rest))
}

impl Number {
    /// The number that a token is.
    fn of(kind: Kind, token: &[u8]) -> Self {
        if kind == Kind::Digits
            && let Some(n) = digits(token)
        {
            return Number::Whole(n);
        }
        // a token is ASCII, and written as the standard library reads it
        let text = core::str::from_utf8(token).unwrap_or_default();
        let x: f64 = text.parse().unwrap_or_default();
        match x as i128 {
            n if n as f64 == x && kind == Kind::Decimal && (LEAST..=MOST).contains(&n) => Number::Whole(n),
            _ => Number::Double(x),
        }
    }

    fn double(self) -> f64 {
        match self {
            Number::Whole(n) => n as f64,
            Number::Double(x) => x,
        }
    }
}

/// Sign and digits as a number of 64 bits. `None`: it is not.
fn digits(token: &[u8]) -> Option<i128> {
    let (minus, digits) = match token {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, token),
    };
    let mut n = 0u64;
    for b in digits {
        n = n.checked_mul(10)?.checked_add((b - b'0') as u64)?;
    }
    let n = if minus { -(n as i128) } else { n as i128 };
    (n >= LEAST).then_some(n)
}

/// Octets on their way into a result. What does not fit is dropped, which cannot happen.
struct Text<'o> {
    out: &'o mut [u8; LONGEST],
    at: usize,
}

impl Text<'_> {
    fn push(&mut self, b: u8) {
        if let Some(o) = self.out.get_mut(self.at) {
            *o = b;
            self.at += 1;
        }
    }

    fn all(&mut self, octets: &[u8]) {
        octets.iter().for_each(|b| self.push(*b));
    }
}

fn write_whole(n: i128, out: &mut [u8; LONGEST]) -> usize {
    let mut text = Text { out, at: 0 };
    if n < 0 {
        text.push(b'-');
    }
    // it fits: 64 bits, or a sign and 63
    let mut left = n.unsigned_abs() as u64;
    let mut digits = [0u8; 20];
    let mut used = 0;
    for d in digits.iter_mut().rev() {
        *d = b'0' + (left % 10) as u8;
        used += 1;
        left /= 10;
        if left == 0 {
            break;
        }
    }
    text.all(digits.get(digits.len() - used..).unwrap_or_default());
    text.at
}

/// As C's `%.15g` writes it, but for the words.
fn write_double(x: f64, out: &mut [u8; LONGEST]) -> usize {
    let mut text = Text { out, at: 0 };
    if x.is_nan() {
        text.all(b"NaN");
        return text.at;
    }
    if x < 0.0 {
        text.push(b'-');
    }
    if x.is_infinite() {
        text.all(b"Inf");
        return text.at;
    }
    // d.dddddddddddddde-308 is the longest; the standard library rounds as C does
    let mut science = heapless::String::<32>::new();
    let _ = write!(science, "{:.1$e}", x.abs(), DIGITS - 1);
    let (mantissa, exponent) = science.split_once('e').unwrap_or(("0", "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    let mantissa = mantissa.trim_end_matches('0');
    let figures = || mantissa.bytes().filter(|b| *b != b'.');
    if x == 0.0 {
        text.push(b'0');
    } else if (0..DIGITS as i32).contains(&exponent) {
        let before = exponent as usize + 1;
        for (i, b) in figures().enumerate() {
            if i == before {
                text.push(b'.');
            }
            text.push(b);
        }
        for _ in figures().count()..before {
            text.push(b'0');
        }
    } else if (-4..0).contains(&exponent) {
        text.all(b"0.");
        for _ in exponent + 1..0 {
            text.push(b'0');
        }
        figures().for_each(|b| text.push(b));
    } else {
        text.all(mantissa.trim_end_matches('.').as_bytes());
        text.push(b'e');
        text.push(if exponent < 0 { b'-' } else { b'+' });
        let e = exponent.unsigned_abs();
        if e >= 100 {
            text.push(b'0' + (e / 100) as u8);
        }
        text.push(b'0' + (e / 10 % 10) as u8);
        text.push(b'0' + (e % 10) as u8);
    }
    text.at
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(old: &[u8], step: &[u8], down: bool) -> heapless::String<LONGEST> {
        let mut out = [0xa5; LONGEST];
        let n = add(old, step, down, &mut out);
        assert!(out[n..].iter().all(|b| *b == 0xa5), "nothing is written behind it");
        core::str::from_utf8(&out[..n]).unwrap().try_into().unwrap()
    }

    #[test]
    fn the_examples_of_the_page() {
        for (old, step, down, want) in [
            (&b""[..], &b"1"[..], false, "1"),
            (b"abc", b"1", false, "1"),
            (b" 7 ", b"abc", false, "7"),
            (b"5abc", b"1", false, "1"),
            (b"5", b"5abc", false, "10"),
            (b"0x10", b"1", false, "1"),
            (b"9223372036854775807", b"1", false, "9223372036854775808"),
            (b"-9223372036854775808", b"-1", false, "-9.22337203685478e+18"),
            (b"18446744073709551616", b"1", false, "1.84467440737096e+19"),
            (b"123456789012345678", b"0.5", false, "1.23456789012346e+17"),
            (b"1e16", b"0", false, "10000000000000000"),
            (b"007", b"1", false, "8"),
            (b"0.1", b"0.2", false, "0.3"),
            (b"1e300", b"1e300", false, "2e+300"),
            (b"18446744073709551615", b"1", false, "1.84467440737096e+19"),
            (b"1e15", b"0.3", false, "1e+15"),
            (b"1e3", b"1", false, "1001"),
            (b"1.50", b"0", false, "1.5"),
            (b"0.00001", b"0", false, "1e-05"),
            (b"1e308", b"9e307", false, "Inf"),
            (b"1.7e308", b"1.7e308", false, "Inf"),
            (b"NaN", b"1", false, "NaN"),
            (b"-0.0", b"0", false, "0"),
            (b"-0.0", b"-0.0", false, "0"),
            (b"9007199254740993", b"1", false, "9007199254740994"),
        ] {
            assert_eq!(sum(old, step, down), want, "{old:?} {step:?}");
        }
    }

    /// The wanted results are those of Perl 5.36, which also agreed on 400,000 sums of chance;
    /// but see `beyond_what_doubles_hold`.
    #[test]
    fn as_perl_counts() {
        for (old, step, down, want) in [
            (&b"9007199254740994"[..], &b"5abc"[..], false, "9007199254740999"),
            (b"0", b"7", true, "-7"),
            (b"5", b"2", true, "3"),
            (b"5", b"-2", true, "7"),
            (b"0", b"9223372036854775808", true, "-9223372036854775808"),
            (b"0", b"9223372036854775809", true, "-9.22337203685478e+18"),
            (b"0", b"18446744073709551615", true, "-1.84467440737096e+19"),
            (b"18446744073709551615", b"18446744073709551615", true, "0"),
            (b"18446744073709551615", b"-1", true, "1.84467440737096e+19"),
            (b"9223372036854775808", b"-9223372036854775808", true, "1.84467440737096e+19"),
            (b"-9223372036854775808", b"1", true, "-9.22337203685478e+18"),
            (b"-1", b"9223372036854775807", true, "-9223372036854775808"),
            (b"-9223372036854775809", b"0", false, "-9.22337203685478e+18"),
            (b"-9223372036854775808", b"18446744073709551615", false, "9223372036854775807"),
            (b"5.", b"1", false, "6"),
            (b".5", b"1", false, "1.5"),
            (b".", b"1", false, "1"),
            (b"1e", b"1", false, "1"),
            (b"1e+", b"1", false, "1"),
            (b"1", b"1e+x", false, "2"),
            (b"1", b"2.5.5", false, "3.5"),
            (b"+5", b"+5", false, "10"),
            (b"- 5", b"1", false, "1"),
            (b"--5", b"1", false, "1"),
            (b"1_000", b"1", false, "1"),
            (b"0b11", b"1", false, "1"),
            (b"\t5\x0b", b"1", false, "6"),
            (b"5 x", b"1", false, "1"),
            (b"\xa05", b"1", false, "1"),
            (b"1", b" \t\x0c 5", false, "6"),
            (b"1", b"", false, "1"),
            (b"inf", b"1", false, "Inf"),
            (b"-INFINITY", b"1", false, "-Inf"),
            (b"Infinit", b"1", false, "1"),
            (b"1", b"infx", false, "Inf"),
            (b"1", b"infinit", false, "Inf"),
            (b"1", b"-Infinity and more", false, "-Inf"),
            (b"inf", b"inf", true, "NaN"),
            (b"inf", b"1", true, "Inf"),
            (b"1", b"inf", true, "-Inf"),
            (b"1", b"nanx", false, "NaN"),
            (b"nAn ", b"0", false, "NaN"),
            (b"1e400", b"0", false, "Inf"),
            (b"-1e400", b"0", false, "-Inf"),
            (b"1e-400", b"0", false, "0"),
            (b"4.9e-324", b"0", false, "4.94065645841247e-324"),
            (b"2.2250738585072014e-308", b"0", false, "2.2250738585072e-308"),
            (b"1.7976931348623157e308", b"0", false, "1.79769313486232e+308"),
            (b"100000000000000.5", b"0", false, "100000000000000"),
            (b"100000000000001.5", b"0", false, "100000000000002"),
            (b"999999999999999.5", b"0", false, "1e+15"),
            (b"99999999999999.95", b"0", false, "100000000000000"),
            (b"0.0001", b"0", false, "0.0001"),
            (b"0.00012345678901234567", b"0", false, "0.000123456789012346"),
            (b"0.000099999999999999999", b"0", false, "0.0001"),
            (b"123456789012345.6", b"0", false, "123456789012346"),
            (b"0.5", b"0.5", false, "1"),
            (b"1.5", b"1.5", false, "3"),
            (b"2.5", b"0.5", true, "2"),
            (b"-2.5", b"0.5", true, "-3"),
            (b"1e22", b"0", false, "1e+22"),
            (b"1e-5", b"0", false, "1e-05"),
            (b"1e100", b"0", false, "1e+100"),
            (b"-1e-100", b"0", false, "-1e-100"),
            (b"12345678", b"0.25", false, "12345678.25"),
            (b"3.0", b"2", false, "5"),
            (b"1e15", b"1", false, "1000000000000001"),
            (b"1e15", b"0.5", false, "1e+15"),
            (b"1e19", b"1", false, "10000000000000000001"),
            (b"2e19", b"1", false, "2e+19"),
            (b"1e18", b"1e18", false, "2000000000000000000"),
            (b"1e19", b"1e19", false, "2e+19"),
            (b"18446744073709551615", b"0.0", false, "18446744073709551615"),
            (b"0.1", b"-0.1", false, "0"),
            (b"00000000000000000000000000000000000001", b"1", false, "2"),
            (b"0.30000000000000000000000000000000000000000000000000000000004", b"0", false, "0.3"),
            (b"1.0e1", b"1", false, "11"),
            (b"-5", b"5", false, "0"),
            (b"-0", b"0", false, "0"),
            (b"1", b"-0", true, "1"),
        ] {
            assert_eq!(sum(old, step, down), want, "{old:?} {step:?}");
        }
    }

    /// Here Perl's results depend on where a number came from, so no rule gives all of them.
    /// Ours is that of the page: what is whole and has 64 bits is exact.
    #[test]
    fn beyond_what_doubles_hold() {
        for (old, step, want) in [
            (&b"9007199254740994"[..], &b"5.0"[..], "9007199254740999"),
            // as doubles both are one less or more
            (b"14108211708400771.0", b"5", "14108211708400777"),
            (b"0.5e1", b"9007199254740993.0x", "9007199254740997"),
        ] {
            assert_eq!(sum(old, step, false), want, "{old:?} {step:?}");
        }
    }

    #[test]
    fn results_are_numbers_again() {
        for (old, step) in
            [("0.1", "0.2"), ("1e300", "1e300"), ("NaN", "1"), ("inf", "1"), ("-inf", "0"), ("1e-5", "0")]
        {
            let first = sum(old.as_bytes(), step.as_bytes(), false);
            assert!(is_number(first.as_bytes()));
            assert_eq!(sum(first.as_bytes(), b"0", false), first);
        }
        assert!(!is_number(b"") && !is_number(b"5x") && is_number(b" 5 "));
    }

    #[test]
    fn no_octets_are_too_strange() {
        let mut seed = 0x9e37_79b9_7f4a_7c15u64;
        let mut chance = move |below: u64| {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            (seed >> 20) % below
        };
        const LETTERS: &[u8] = b"0123456789999+-.eEinfINFatyna \t\x0b\xff\0x_";
        for _ in 0..20_000 {
            let mut text = [0u8; 60];
            text.iter_mut().for_each(|b| *b = LETTERS[chance(LETTERS.len() as u64) as usize]);
            let (old, step) = text.split_at(chance(60) as usize);
            let got = sum(old, step, chance(2) == 0);
            assert!(is_number(got.as_bytes()), "{old:?} {step:?} {got}");
        }
        sum(&[b'9'; 5000], &[b'1'; 5000], true);
        sum(b"1e99999999999999999999999999999", b"-1e-99999999999999999999999", true);
    }
}
