//! A message of the Communicator, owned: read and written as `wire/communicator.md` sections 1.2 to 1.7 say.
//!
//! Written from that page for tests; shares no code with the dialect in the core. Slow, and without
//! limits.

use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;

/// All fields of section 1.1.
#[derive(Debug, Default, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "as on the page")]
pub struct Message {
    pub from: (String, String),
    pub server: String,
    pub service: String,
    pub command: String,
    pub params: BTreeMap<String, Vec<u8>>,
    /// How many parameters it was written with, those that a later one replaced too.
    pub given: usize,
}

/// White space of the C locale.
fn is_white(b: u8) -> bool {
    matches!(b, b' ' | b'\t'..=b'\r')
}

/// Without blanks at both ends.
pub fn trim(line: &[u8]) -> &[u8] {
    let start = line.iter().position(|b| !is_white(*b)).unwrap_or(line.len());
    let end = line.iter().rposition(|b| !is_white(*b)).map_or(start, |at| at + 1);
    &line[start..end]
}

/// The name rule (section 1.2).
pub fn is_name(name: &str) -> bool {
    let first = name.bytes().next();
    first.is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// The same without lower case.
pub fn is_command(name: &str) -> bool {
    is_name(name) && !name.bytes().any(|b| b.is_ascii_lowercase())
}

fn text(bytes: &[u8]) -> String {
    // octets that are no UTF-8 stay apart from each other
    match std::str::from_utf8(bytes) {
        Ok(text) => text.into(),
        Err(_) => bytes.escape_ascii().to_string(),
    }
}

/// Section 1.3 step 5.5.
fn unescape(value: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut left = value;
    while let [first, rest @ ..] = left {
        let (b, next) = match (first, rest) {
            (b'\\', [b'\\', rest @ ..]) => (b'\\', rest),
            (b'\\', [b'n', rest @ ..]) => (b'\n', rest),
            (b'\\', [b'r', rest @ ..]) => (b'\r', rest),
            _ => (*first, rest),
        };
        out.push(b);
        left = next;
    }
    out
}

impl Message {
    /// Of a line or datagram. `Err`: what is wrong with it.
    pub fn read(line: &[u8]) -> Result<Message, &'static str> {
        let line = trim(line);
        if line.is_empty() {
            return Err("blank");
        }
        if line[0] == b'{' {
            return Message::read_json(line);
        }
        let mut left = line.split(|b| *b == 0).next().unwrap_or_default();
        let mut m = Message::default();
        if let Some(rest) = left.strip_prefix(b"<") {
            let colon = rest.iter().position(|b| *b == b':' || *b == b' ').ok_or("no source")?;
            if rest[colon] == b' ' {
                return Err("a space in the source");
            }
            let space = rest.iter().skip(colon).position(|b| *b == b' ').ok_or("only a source")? + colon;
            m.from = (text(&rest[..colon]), text(&rest[colon + 1..space]));
            left = &rest[space + 1..];
        }
        let end = left.iter().position(|b| *b == b' ').unwrap_or(left.len());
        let (mut word, mut colon, mut slash) = (Vec::new(), false, false);
        for b in &left[..end] {
            match b {
                b':' if colon || slash || word.is_empty() => return Err("a colon"),
                b':' => {
                    colon = true;
                    m.server = text(&std::mem::take(&mut word));
                }
                b'/' if slash || word.is_empty() => return Err("a slash"),
                b'/' => {
                    slash = true;
                    m.service = text(&std::mem::take(&mut word));
                }
                b => word.push(*b),
            }
        }
        if word.is_empty() {
            return Err("no command");
        }
        m.command = text(&word);
        let mut left = left.get(end + 1..).unwrap_or_default();
        while !left.is_empty() {
            let eq = left.iter().position(|b| *b == b'=').ok_or("no =")?;
            let name = text(&left[..eq]);
            if !is_name(&name) {
                return Err("the name of a parameter");
            }
            left = &left[eq + 1..];
            let mut value = Vec::new();
            if let Some(quoted) = left.strip_prefix(b"\"") {
                left = quoted;
                loop {
                    match left {
                        [] => return Err("a quote is not closed"),
                        [b'\\', b'"', rest @ ..] => {
                            value.push(b'"');
                            left = rest;
                        }
                        [b'"', rest @ ..] => {
                            left = rest;
                            break;
                        }
                        [b, rest @ ..] => {
                            value.push(*b);
                            left = rest;
                        }
                    }
                }
                if !left.is_empty() && left[0] != b';' {
                    return Err("behind a quote");
                }
            } else {
                let end = left.iter().position(|b| *b == b';').unwrap_or(left.len());
                value.extend(&left[..end]);
                left = &left[end..];
            }
            left = left.strip_prefix(b";").unwrap_or(left);
            m.params.insert(name, unescape(&value));
            m.given += 1;
        }
        Ok(m)
    }

    /// Section 1.7, as far as serde reads it the same way.
    fn read_json(line: &[u8]) -> Result<Message, &'static str> {
        let Ok(Value::Object(all)) = serde_json::from_slice(line) else { return Err("no JSON object") };
        if all.is_empty() {
            return Err("empty JSON");
        }
        let mut m = Message::default();
        for (key, value) in &all {
            let text = match (key.as_str(), value) {
                ("parameters", Value::Object(_)) => "",
                ("parameters", _) => return Err("no parameters"),
                (_, Value::String(text)) => text,
                _ => return Err("no text"),
            };
            match key.as_str() {
                "sent-from-server" => m.from.0 = text.into(),
                "sent-from-service" => m.from.1 = text.into(),
                "server" => m.server = text.into(),
                "service" => m.service = text.into(),
                "command" => m.command = text.into(),
                _ => {}
            }
        }
        if let Some(Value::Object(params)) = all.get("parameters") {
            for (key, value) in params {
                let value = match value {
                    Value::String(text) => {
                        let mut value = Vec::new();
                        let mut left = text.as_bytes();
                        while let [first, rest @ ..] = left {
                            let (b, next) = match (first, rest) {
                                (b'\\', [b'"', rest @ ..]) => (b'"', rest),
                                (b'\\', [b'\\', rest @ ..]) => (b'\\', rest),
                                (b'\\', [b'n', rest @ ..]) => (b'\n', rest),
                                (b'\\', [b'r', rest @ ..]) => (b'\r', rest),
                                _ => (*first, rest),
                            };
                            value.push(b);
                            left = next;
                        }
                        value
                    }
                    Value::Number(n) => match (n.as_i64(), n.as_f64()) {
                        (Some(n), _) => n.to_string().into_bytes(),
                        (None, Some(n)) if n.fract() == 0.0 => format!("{n:.0}").into_bytes(),
                        (None, Some(n)) => format!("{n:.6}").into_bytes(),
                        _ => return Err("a number"),
                    },
                    Value::Bool(b) => b.to_string().into_bytes(),
                    Value::Null => Vec::new(),
                    _ => return Err("inside parameters"),
                };
                m.params.insert(key.clone(), value);
                m.given += 1;
            }
        }
        Ok(m)
    }

    /// A parameter, as text.
    pub fn get(&self, key: &str) -> Option<String> {
        self.params.get(key).map(|v| text(v))
    }

    /// As section 1.4 writes it.
    pub fn write(&self) -> Vec<u8> {
        let mut out = Vec::new();
        if !self.from.0.is_empty() || !self.from.1.is_empty() {
            out.extend(format!("<{}:{} ", self.from.0, self.from.1).bytes());
        }
        if !self.service.is_empty() {
            if !self.server.is_empty() {
                out.extend(format!("{}:", self.server).bytes());
            }
            out.extend(format!("{}/", self.service).bytes());
        }
        out.extend(self.command.bytes());
        for (n, (key, value)) in self.params.iter().enumerate() {
            out.push(if n == 0 { b' ' } else { b';' });
            out.extend(key.bytes());
            out.push(b'=');
            let last = n + 1 == self.params.len();
            let quotes = value.contains(&b';')
                || value.starts_with(b"\"")
                || (last && value.last().is_some_and(|b| is_white(*b)));
            if quotes {
                out.push(b'"');
            }
            for b in value {
                match b {
                    b'\\' => out.extend(b"\\\\"),
                    b'\n' => out.extend(b"\\n"),
                    b'\r' => out.extend(b"\\r"),
                    b'"' if quotes => out.extend(b"\\\""),
                    b => out.push(*b),
                }
            }
            if quotes {
                out.push(b'"');
            }
        }
        out
    }
}

/// As it is written.
impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&text(&self.write()))
    }
}

#[cfg(test)]
mod tests {
    use super::Message;

    #[test]
    fn the_vectors_of_the_page() {
        for (line, again) in [
            ("FIRE name=Charles;length=-35;", "FIRE length=-35;name=Charles"),
            ("<a:b:c STOP", "<a:b:c STOP"),
            ("jungle:STOP", "STOP"),
            ("  STOP \r", "STOP"),
            ("CMD a=\"x\"", "CMD a=x"),
            ("CMD a=tab\\tkept", "CMD a=tab\\\\tkept"),
            ("CMD a=\"semi;mid\\\\\\\"quote\";b=2", "CMD a=\"semi;mid\\\\\\\"quote\";b=2"),
            ("CMD a=a\0b;b=2", "CMD a=a"),
            ("{\"command\":\"A\",\"parameters\":{\"n\":1e3,\"pi\":3.25,\"t\":true}}", "A n=1000;pi=3.250000;t=true"),
            ("{\"service\":\"x\",\"command\":\"A\"}", "x/A"),
        ] {
            assert_eq!(Message::read(line.as_bytes()).unwrap().to_string(), again, "{line}");
        }
        for bad in [
            "",
            " \t",
            "<remote:firewall",
            "<remote STOP",
            "<a:b  STOP",
            ":w/STOP",
            "/STOP",
            "a:b:c/STOP",
            "a/b/STOP",
            "a/b:STOP",
            "a/",
            "a:",
            "jungle:/STOP",
            "CMD  a=1",
            "CMD a",
            "CMD a;b=1",
            "CMD =1",
            "CMD a=1;;b=2",
            "CMD a=1; b=2",
            "CMD a-b=1",
            "CMD 1a=2",
            "CMD a=\"x",
            "CMD a=\"x\"y",
            "CMD a=\"ends\\\\\"",
            "{}",
            "{",
            "{\"command\":1}",
            "{\"foo\":{}}",
        ] {
            assert!(Message::read(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
