//! JSON as the two original libraries of MSGQ read it, written from `wire/msgq.md` section 4.1 and
//! sharing no code with Chappe.
//!
//! Owns: [`read`], which knows both what *both* libraries accept (what a node may write) and what
//! *either* of them writes (what a node must accept).

use serde_json::{Map, Value};

/// Whose reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// What the Python and the C++ library both read: no `\uXXXX`, no integers beyond 64 bits, no
    /// `NaN`, nothing behind the value.
    Both,
    /// What either of them writes. Integers beyond 64 bits and `NaN` become the text of their
    /// token, behind a `#`.
    Either,
}

/// The value that is the whole of `text`.
///
/// # Errors
/// Why a library would not read it.
pub fn read(text: &[u8], rule: Rule) -> Result<Value, String> {
    let text = std::str::from_utf8(text).map_err(|e| format!("not UTF-8: {e}"))?;
    let mut reader = Reader { text, at: 0, rule };
    let value = reader.value()?;
    reader.blanks();
    if reader.at < text.len() { Err(reader.wrong("text behind the value")) } else { Ok(value) }
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
    rule: Rule,
}

impl<'t> Reader<'t> {
    fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    fn wrong(&self, what: &str) -> String {
        let rest: String = self.rest().chars().take(20).collect();
        format!("{what} at octet {}: {rest:?}", self.at)
    }

    fn blanks(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start_matches([' ', '\t', '\r', '\n']).len();
    }

    fn skip(&mut self, token: &str) -> bool {
        let found = self.rest().starts_with(token);
        if found {
            self.at += token.len();
        }
        found
    }

    fn value(&mut self) -> Result<Value, String> {
        self.blanks();
        if self.skip("{") {
            return self.object();
        }
        if self.skip("[") {
            return self.array();
        }
        if self.rest().starts_with('"') {
            return Ok(Value::String(self.string()?));
        }
        let words = [("true", Value::Bool(true)), ("false", Value::Bool(false)), ("null", Value::Null)];
        for (word, value) in words {
            if self.skip(word) {
                return Ok(value);
            }
        }
        for word in ["NaN", "Infinity", "-Infinity"] {
            if self.rule == Rule::Either && self.skip(word) {
                return Ok(Value::String(format!("#{word}")));
            }
        }
        self.number()
    }

    fn object(&mut self) -> Result<Value, String> {
        let mut members = Map::new();
        self.blanks();
        if self.skip("}") {
            return Ok(Value::Object(members));
        }
        loop {
            self.blanks();
            let key = self.string()?;
            self.blanks();
            if !self.skip(":") {
                return Err(self.wrong("no colon"));
            }
            members.insert(key, self.value()?);
            self.blanks();
            if self.skip("}") {
                return Ok(Value::Object(members));
            }
            if !self.skip(",") {
                return Err(self.wrong("neither a comma nor the end of an object"));
            }
        }
    }

    fn array(&mut self) -> Result<Value, String> {
        let mut elements = Vec::new();
        self.blanks();
        if self.skip("]") {
            return Ok(Value::Array(elements));
        }
        loop {
            elements.push(self.value()?);
            self.blanks();
            if self.skip("]") {
                return Ok(Value::Array(elements));
            }
            if !self.skip(",") {
                return Err(self.wrong("neither a comma nor the end of an array"));
            }
        }
    }

    fn string(&mut self) -> Result<String, String> {
        if !self.skip("\"") {
            return Err(self.wrong("no string"));
        }
        let mut out = String::new();
        loop {
            let Some(c) = self.rest().chars().next() else { return Err(self.wrong("a string without end")) };
            self.at += c.len_utf8();
            match c {
                '"' => return Ok(out),
                '\\' => out.push(self.escape()?),
                // control characters too: both libraries take them raw
                c => out.push(c),
            }
        }
    }

    fn escape(&mut self) -> Result<char, String> {
        let Some(c) = self.rest().chars().next() else { return Err(self.wrong("half an escape")) };
        self.at += c.len_utf8();
        Ok(match c {
            '"' | '\\' | '/' => c,
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'u' if self.rule == Rule::Either => return self.unit(),
            _ => return Err(self.wrong("an escape that not both libraries know, before")),
        })
    }

    /// Behind `\u`.
    fn unit(&mut self) -> Result<char, String> {
        let first = self.four()?;
        let second = match first {
            0xd800..0xdc00 if self.skip("\\u") => Some(self.four()?),
            _ => None,
        };
        let all = [first, second.unwrap_or_default()];
        let units = &all[..1 + second.is_some() as usize];
        match char::decode_utf16(units.iter().copied()).next() {
            Some(Ok(c)) if second.is_none() || c > '\u{ffff}' => Ok(c),
            _ => Err(self.wrong("half a surrogate pair before")),
        }
    }

    fn four(&mut self) -> Result<u16, String> {
        let digits = self.rest().get(..4).filter(|d| d.bytes().all(|b| b.is_ascii_hexdigit()));
        let unit = digits.and_then(|d| u16::from_str_radix(d, 16).ok()).ok_or_else(|| self.wrong("no four digits"))?;
        self.at += 4;
        Ok(unit)
    }

    fn number(&mut self) -> Result<Value, String> {
        let rest = self.rest();
        let end = rest.find(|c: char| !c.is_ascii_digit() && !"+-.eE".contains(c)).unwrap_or(rest.len());
        let token = &rest[..end];
        if !is_number(token) {
            return Err(self.wrong("no value"));
        }
        self.at += end;
        if token.contains(['.', 'e', 'E']) {
            // beyond what a double can be it is still a number
            let double = token.parse::<f64>().ok().and_then(serde_json::Number::from_f64);
            return Ok(double.map_or_else(|| Value::String(format!("#{token}")), Value::Number));
        }
        match (token.parse::<i64>(), self.rule) {
            (Ok(n), _) => Ok(Value::from(n)),
            (Err(_), Rule::Either) => Ok(Value::String(format!("#{token}"))),
            (Err(_), Rule::Both) => Err(format!("an integer beyond 64 bits: {token}")),
        }
    }
}

/// `-`, whole part without leading zeros, fraction, exponent: RFC 8259 section 6.
fn is_number(token: &str) -> bool {
    let digits = |t: &str| !t.is_empty() && t.bytes().all(|b| b.is_ascii_digit());
    let token = token.strip_prefix('-').unwrap_or(token);
    let (mantissa, exponent) = match token.split_once(['e', 'E']) {
        Some((m, e)) => (m, e.strip_prefix(['+', '-']).unwrap_or(e)),
        None => (token, "0"),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, "0"));
    digits(whole) && digits(fraction) && digits(exponent) && (whole == "0" || !whole.starts_with('0'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_both_libraries_read() {
        for (text, value) in [
            (" { } ", json!({})),
            ("{ \"a\": [ 1, -2.5e1, true, false, null ] }", json!({"a": [1, -25.0, true, false, null]})),
            (r#"["\"\\\/\b\f\n\r\t"]"#, json!(["\"\\/\u{8}\u{c}\n\r\t"])),
            ("\"raw \u{1}\n\u{e9}\u{1f44b}\"", json!("raw \u{1}\n\u{e9}\u{1f44b}")),
            ("9223372036854775807", json!(9223372036854775807i64)),
        ] {
            assert_eq!(read(text.as_bytes(), Rule::Both), Ok(value.clone()), "{text}");
            assert_eq!(read(text.as_bytes(), Rule::Either), Ok(value), "{text}");
        }
    }

    #[test]
    fn what_only_one_of_them_reads_is_told_apart() {
        for (text, value) in [
            (r#""\u00e9\ud83d\udc4b""#, json!("\u{e9}\u{1f44b}")),
            ("9223372036854775808", json!("#9223372036854775808")),
            ("[NaN, -Infinity]", json!(["#NaN", "#-Infinity"])),
        ] {
            assert!(read(text.as_bytes(), Rule::Both).is_err(), "{text}");
            assert_eq!(read(text.as_bytes(), Rule::Either), Ok(value), "{text}");
        }
    }

    #[test]
    fn what_neither_reads() {
        for text in [
            "",
            " ",
            "{",
            "{}x",
            "[1,]",
            "{\"a\"}",
            "{1: 2}",
            "\"",
            "\"\\",
            "\"\\x\"",
            "\"\\ud800\"",
            "\"\\udc00\"",
            "1.e1",
            "1e",
            "1e+",
            "-01",
            "1.2.3",
            "--1",
            "1e1e1",
            "\"\\ud800\\u0041\"",
            "\"\\u00g0\"",
            "+1",
            ".5",
            "1.",
            "01",
            "-",
            "True",
            "None",
            "\u{feff}{}",
        ] {
            assert!(read(text.as_bytes(), Rule::Either).is_err(), "{text:?}");
        }
        assert!(read(b"\"\xff\"", Rule::Either).is_err());
    }
}
