//! Output: lines, tables, JSON, times, and bytes that may be anything.
//!
//! Owns: how things look. Whatever came from the bus is printed without control characters,
//! so that nobody's message can play tricks with a terminal.

use std::io::{IsTerminal, Write};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use chappe_linux::calendar::rfc3339;
use chappe_linux::client::{Code, Encoding, ParamList};
use serde_json::{Map, Value, json};

use super::exit::Failure;

/// Where output goes. Written when asked to, or when it is full.
pub(crate) struct Out {
    to: std::io::BufWriter<Box<dyn Write + Send>>,
    pub(crate) json: bool,
    pub(crate) quiet: bool,
}

impl Out {
    pub(crate) fn new(json: bool, quiet: bool) -> Self {
        Out::to(Box::new(std::io::stdout()), json, quiet)
    }

    /// Somewhere else than the standard output.
    pub(crate) fn to(to: Box<dyn Write + Send>, json: bool, quiet: bool) -> Self {
        Out { to: std::io::BufWriter::with_capacity(64 << 10, to), json, quiet }
    }

    pub(crate) fn line(&mut self, text: impl AsRef<str>) -> Result<(), Failure> {
        // at once, so that whoever reads a file meets no half line
        self.bytes(format!("{}\n", text.as_ref()).as_bytes())
    }

    pub(crate) fn json(&mut self, value: &Value) -> Result<(), Failure> {
        self.line(value.to_string())
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.to.write_all(bytes).map_err(|e| Failure::io("cannot write the output", &e))
    }

    /// A body as it is, for a program; made harmless, for a terminal. A text ends its line.
    pub(crate) fn body(&mut self, body: &[u8]) -> Result<(), Failure> {
        if std::io::stdout().is_terminal() {
            return self.line(printable(body, true));
        }
        self.bytes(body)?;
        if body.last().is_some_and(|&b| b != b'\n') && std::str::from_utf8(body).is_ok() {
            self.bytes(b"\n")?;
        }
        Ok(())
    }

    /// Nothing stays behind.
    pub(crate) fn flush(&mut self) -> Result<(), Failure> {
        self.to.flush().map_err(|e| Failure::io("cannot write the output", &e))
    }
}

/// Bytes as one line (or, if wished, several): control characters escaped, and what is no
/// text in hex.
pub(crate) fn printable(bytes: &[u8], lines: bool) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => plain(text, lines),
        Err(_) => {
            let mut out = String::from("0x");
            for b in bytes.iter().take(256) {
                out.push_str(&format!("{b:02x}"));
            }
            if bytes.len() > 256 {
                out.push_str(&format!("… ({} bytes)", bytes.len()));
            }
            out
        }
    }
}

/// Text without control characters.
pub(crate) fn plain(text: &str, lines: bool) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | '\t' if lines => out.push(c),
            c if c.is_control() => out.extend(c.escape_default()),
            c => out.push(c),
        }
    }
    out
}

/// Parameters as they are typed.
pub(crate) fn params(list: &ParamList) -> String {
    let one = |(k, v): &(String, String)| {
        let v = plain(v, false);
        if v.is_empty() || v.contains(' ') {
            format!("{}={v:?}", plain(k, false))
        } else {
            format!("{}={v}", plain(k, false))
        }
    };
    list.iter().map(one).collect::<Vec<_>>().join(" ")
}

/// Parameters as an object. Of two with one key the last counts; none are nested.
pub(crate) fn params_json(list: &ParamList) -> Value {
    Value::Object(list.iter().map(|(k, v)| (k.clone(), Value::from(v.as_str()))).collect::<Map<_, _>>())
}

/// Puts a body into an object: `body` as text or JSON, or else `body_base64`.
pub(crate) fn body_json(into: &mut Map<String, Value>, key: &str, body: &[u8], encoding: Encoding) {
    if encoding == Encoding::Json
        && let Ok(value) = serde_json::from_slice(body)
    {
        into.insert(key.into(), value);
    } else if let Ok(text) = std::str::from_utf8(body) {
        into.insert(key.into(), text.into());
    } else {
        into.insert(format!("{key}_base64"), base64(body).into());
    }
}

/// RFC 4648, with padding.
pub(crate) fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let word = chunk.iter().fold(0u32, |w, &b| w << 8 | b as u32) << (8 * (3 - chunk.len()));
        for i in 0..4 {
            let digit = DIGITS[(word >> (18 - 6 * i)) as usize & 63] as char;
            out.push(if i <= chunk.len() { digit } else { '=' });
        }
    }
    out
}

/// The same, backwards. `None`: it is none.
pub(crate) fn base64_decode(text: &str) -> Option<Vec<u8>> {
    let digits = text.trim_end_matches('=');
    let padding = text.len() - digits.len();
    if !text.len().is_multiple_of(4) || padding > 2 {
        return None;
    }
    let mut out = Vec::with_capacity(text.len() / 4 * 3);
    let (mut word, mut bits) = (0u32, 0);
    for c in digits.bytes() {
        let digit = match c {
            b'A'..=b'Z' => c - b'A',
            b'a'..=b'z' => c - b'a' + 26,
            b'0'..=b'9' => c - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        word = word << 6 | u32::from(digit);
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            out.push((word >> bits) as u8);
            word &= (1 << bits) - 1;
        }
    }
    // what is left over means nothing, and an encoder leaves zeros there
    (word == 0).then_some(out)
}

/// `NoRecipient` as `no_recipient`: names of codes for machines.
pub(crate) fn code_name(code: Code) -> String {
    snake(&format!("{code:?}"))
}

/// `TimedOut` as `timed_out`; `Unknown(7)` as `unknown_7`.
pub(crate) fn snake(name: &str) -> String {
    let mut out = String::new();
    for c in name.chars() {
        match c {
            '(' => out.push('_'),
            ')' => {}
            c if c.is_ascii_uppercase() => {
                if !out.is_empty() {
                    out.push('_');
                }
                out.push(c.to_ascii_lowercase());
            }
            c => out.push(c),
        }
    }
    out
}

/// Rows under their headings; numbers to the right.
pub(crate) fn table(out: &mut Out, headings: &[&str], rows: &[Vec<String>]) -> Result<(), Failure> {
    let mut width: Vec<usize> = headings.iter().map(|h| h.chars().count()).collect();
    let mut numbers = vec![!rows.is_empty(); headings.len()];
    for row in rows {
        for (i, cell) in row.iter().enumerate() {
            width[i] = width[i].max(cell.chars().count());
            numbers[i] &= !cell.is_empty() && cell.bytes().all(|b| b.is_ascii_digit());
        }
    }
    let mut print = |row: &mut dyn Iterator<Item = &str>| {
        let mut line = String::new();
        for (i, cell) in row.enumerate() {
            let gap = " ".repeat(width[i].saturating_sub(cell.chars().count()));
            if numbers[i] {
                line.push_str(&gap);
                line.push_str(cell);
            } else {
                line.push_str(cell);
                line.push_str(&gap);
            }
            line.push_str("  ");
        }
        out.line(line.trim_end())
    };
    print(&mut headings.iter().copied())?;
    rows.iter().try_for_each(|row| print(&mut row.iter().map(String::as_str)))
}

/// For people: `350ms`, `4.2s`, `3m20s`, `2h05m`, `4d03h`.
pub(crate) fn span(d: Duration) -> String {
    let s = d.as_secs();
    match s {
        0 => format!("{}ms", d.as_millis()),
        1..=9 => format!("{:.1}s", d.as_secs_f32()),
        10..=59 => format!("{s}s"),
        60..=3599 => format!("{}m{:02}s", s / 60, s % 60),
        3600..=86_399 => format!("{}h{:02}m", s / 3600, s / 60 % 60),
        _ => format!("{}d{:02}h", s / 86_400, s / 3600 % 24),
    }
}

/// Now, as RFC 3339 has it: UTC, milliseconds.
pub(crate) fn now() -> String {
    rfc3339(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}

/// When something happened that is as old as that.
pub(crate) fn ago(age: Duration) -> String {
    rfc3339(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().saturating_sub(age))
}

/// `250ms`, `5s`, `2m`, `1h`, `1d`; a bare number is seconds.
pub(crate) fn parse_span(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is no time: write 250ms, 5s, 2m, 1h or 1d");
    let at = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let number: f64 = text[..at].parse().map_err(|_| wrong())?;
    let unit = match &text[at..] {
        "ms" => 0.001,
        "" | "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        "d" => 86_400.0,
        _ => return Err(wrong()),
    };
    Duration::try_from_secs_f64(number * unit)
        .ok()
        .filter(|d| d.as_millis() <= u32::MAX.into())
        .ok_or_else(|| format!("{text:?} is too long: at most 49 days"))
}

/// An object of pairs, without those that are null.
pub(crate) fn object<const N: usize>(pairs: [(&str, Value); N]) -> Map<String, Value> {
    pairs.into_iter().filter(|(_, v)| !v.is_null()).map(|(k, v)| (k.to_owned(), v)).collect()
}

/// A text, or null if it is empty.
pub(crate) fn text_or_null(text: &str) -> Value {
    if text.is_empty() { Value::Null } else { json!(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_the_calendar() {
        for (s, want) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400, "2000-02-29T00:00:00.000Z"),
            (951_868_799, "2000-02-29T23:59:59.000Z"),
            (951_868_800, "2000-03-01T00:00:00.000Z"),
            (1_798_761_599, "2026-12-31T23:59:59.000Z"),
            (4_107_542_400, "2100-03-01T00:00:00.000Z"),
        ] {
            assert_eq!(rfc3339(Duration::from_secs(s)), want);
        }
    }

    #[test]
    fn spans_are_read_and_shown() {
        for (text, ms) in [("5", 5000), ("1.5s", 1500), ("250ms", 250), ("2m", 120_000), ("1d", 86_400_000)] {
            assert_eq!(parse_span(text).unwrap().as_millis(), ms, "{text}");
        }
        for text in ["", "s", "5x", "-5", "1e9", "50d", "5 s"] {
            parse_span(text).expect_err(text);
        }
        assert_eq!(span(Duration::from_millis(4250)), "4.2s");
        assert_eq!(span(Duration::from_secs(7500)), "2h05m");
    }

    #[test]
    fn nothing_reaches_a_terminal_as_a_control() {
        assert_eq!(printable(b"a\x1b[31mb\nc", false), "a\\u{1b}[31mb\\nc");
        assert_eq!(printable(b"a\nb", true), "a\nb");
        assert_eq!(printable(&[0xff, 1], false), "0xff01");
    }

    #[test]
    fn base64_has_its_padding() {
        for (bytes, want) in [(&b""[..], ""), (b"f", "Zg=="), (b"fo", "Zm8="), (b"foo", "Zm9v"), (b"foob", "Zm9vYg==")]
        {
            assert_eq!(base64(bytes), want);
            assert_eq!(base64_decode(want).as_deref(), Some(bytes));
        }
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(base64_decode(&base64(&all)), Some(all));
        for bad in ["Z", "Zg", "Zg=", "Zh==", "Zg===", "====", "Zm9!", "Zm 9", "Zg==Zg=="] {
            assert_eq!(base64_decode(bad), None, "{bad}");
        }
    }

    #[test]
    fn codes_have_names_for_machines() {
        assert_eq!(code_name(Code::NoRecipient), "no_recipient");
        assert_eq!(code_name(Code::NotANumber), "not_a_number");
        assert_eq!(code_name(Code::Unknown(99)), "unknown_99");
    }
}
