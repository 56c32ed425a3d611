//! JSON as both libraries of BIND 10 write and read it (`wire/msgq.md` section 4).
//!
//! Owns: writing without `\uXXXX`, which C++ receivers cannot read, and reading what a strict
//! reader refuses: control characters inside strings, `NaN` and `Infinity`.

use std::borrow::Cow;
use std::io::{self, Write};

use serde_json::Value;
use serde_json::ser::{CharEscape, Formatter, Serializer};

/// As the Python library spaces it; only the short escapes, everything else raw.
struct Raw;

impl Formatter for Raw {
    fn write_char_escape<W: ?Sized + Write>(&mut self, writer: &mut W, escape: CharEscape) -> io::Result<()> {
        writer.write_all(match escape {
            CharEscape::Quote => b"\\\"",
            CharEscape::ReverseSolidus => b"\\\\",
            CharEscape::Solidus => b"/",
            CharEscape::Backspace => b"\\b",
            CharEscape::FormFeed => b"\\f",
            CharEscape::LineFeed => b"\\n",
            CharEscape::CarriageReturn => b"\\r",
            CharEscape::Tab => b"\\t",
            CharEscape::AsciiControl(byte) => return writer.write_all(&[byte]),
        })
    }

    fn begin_array_value<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        if first { Ok(()) } else { writer.write_all(b", ") }
    }

    fn begin_object_key<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        if first { Ok(()) } else { writer.write_all(b", ") }
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(b": ")
    }
}

/// Writes a value so that both libraries can read it.
pub fn write<T: serde::Serialize + ?Sized>(value: &T) -> Vec<u8> {
    let mut out = Vec::new();
    // A vector takes everything, and a `Value` or a text can always be written.
    let _ = value.serialize(&mut Serializer::with_formatter(&mut out, Raw));
    out
}

/// A text with its quotes.
pub(super) fn quoted(text: &str) -> String {
    String::from_utf8(write(text)).unwrap_or_default()
}

/// Reads one value, as tolerantly as the Python library and a little more: control characters
/// inside strings are taken as they are, and a number that JSON does not have (`NaN`,
/// `Infinity`) as null. `None`: it is no JSON, or text follows it.
///
/// Integers beyond 64 bits become the nearest double.
pub fn read(bytes: &[u8]) -> Option<Value> {
    serde_json::from_slice(&strict(bytes)).ok()
}

/// The same value in JSON's own terms. Not more than that: what was broken stays broken.
pub(super) fn strict(bytes: &[u8]) -> Cow<'_, [u8]> {
    const NO_NUMBERS: [&[u8]; 3] = [b"-Infinity", b"Infinity", b"NaN"];
    let mut out: Option<Vec<u8>> = None;
    let (mut inside, mut at) = (false, 0);
    while let Some(&byte) = bytes.get(at) {
        let mut taken = 1;
        let mut instead: Option<Vec<u8>> = None;
        match byte {
            b'"' => inside = !inside,
            // whatever is escaped, a quote above all, ends nothing
            b'\\' if inside => taken = 2,
            0..0x20 if inside => instead = Some(format!("\\u{byte:04x}").into_bytes()),
            b'-' | b'I' | b'N' if !inside => {
                if let Some(word) = NO_NUMBERS.iter().find(|word| bytes[at..].starts_with(word)) {
                    taken = word.len();
                    instead = Some(b"null".to_vec());
                }
            }
            _ => {}
        }
        if let Some(instead) = instead {
            out.get_or_insert_with(|| bytes[..at].to_vec()).extend(instead);
        } else if let Some(out) = &mut out {
            out.extend_from_slice(&bytes[at..bytes.len().min(at + taken)]);
        }
        at += taken;
    }
    out.map_or(Cow::Borrowed(bytes), Cow::Owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn nothing_is_written_as_a_number_of_a_character() {
        let value = json!(["é😀", "a\u{1}b\u{1f}\u{7f}", "\"\\\u{8}\u{c}\n\r\t/", {"k\u{2}": 1, "l": [true, null]}]);
        let text = String::from_utf8(write(&value)).unwrap();
        assert_eq!(
            text,
            "[\"é😀\", \"a\u{1}b\u{1f}\u{7f}\", \"\\\"\\\\\\b\\f\\n\\r\\t/\", {\"k\u{2}\": 1, \"l\": [true, null]}]"
        );
        assert_eq!(read(text.as_bytes()), Some(value), "what is written is read again");
    }

    #[test]
    fn what_the_libraries_write_is_read() {
        for (text, want) in [
            (&b"{ \"command\": [ \"add\", [ 1, 2 ] ] }"[..], json!({"command": ["add", [1, 2]]})),
            (b"{  }", json!({})),
            (b"\"\\u00e9\\ud83d\\ude00\"", json!("é😀")),
            (b"\"a\x01b\nc\"", json!("a\u{1}b\nc")),
            (
                b"[NaN, Infinity, -Infinity, \"NaN \\\" -Infinity\", -1]",
                json!([null, null, null, "NaN \" -Infinity", -1]),
            ),
            (b"{\"a\": 1, \"a\": 2}", json!({"a": 2})),
        ] {
            assert_eq!(read(text), Some(want), "{}", String::from_utf8_lossy(text));
        }
    }

    #[test]
    fn what_is_no_json_stays_that() {
        for text in [
            &b""[..],
            b"{bad",
            b"{} x",
            b"\"\\ud83d\"",
            b"\xff\0no json",
            b"Nan",
            b"-Infinit",
            b"\"\\",
            b"None",
            b"\"a\\\x01\"",
        ] {
            assert_eq!(read(text), None, "{}", String::from_utf8_lossy(text));
        }
    }
}
