//! Clacks, as said and as heard.

use super::{Heard, Row, Said, Sent, Table, To, name_in, token};
use chappe_core::model::Code;

pub(super) fn clacks_said(line: &str) -> Result<Said, String> {
    let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
    let pair = || rest.split_once('=').map_or((rest.to_string(), Vec::new()), |(k, v)| (k.into(), v.into()));
    let key = rest.split('=').next().unwrap_or_default();
    let signal = || -> Result<Said, String> {
        Ok(Said::Send(Sent {
            to: To::Name,
            name: name_in(key).into(),
            verb: name_in(key) != key,
            instance: "*".into(),
            token: token(rest.as_bytes())?,
            seq: 0,
            ask: false,
            each: false,
            keep: false,
            ttl: 0,
        }))
    };
    Ok(match word {
        "OVERHEAD" if rest.starts_with("A ") => Said::Hello,
        "OVERHEAD" if rest == "I 1" => Said::Link,
        "LISTEN" => Said::Join { seq: 0, name: rest.into(), instance: "*".into(), exclusive: false },
        "UNLISTEN" => Said::Leave { seq: 0, name: rest.into(), instance: "*".into() },
        "SET" | "NOTIFY" => signal()?,
        "STORE" | "SETANDSTORE" => {
            let (key, value) = pair();
            Said::Set { seq: 0, key, value, announce: word == "SETANDSTORE" }
        }
        "RETRIEVE" => Said::Get { seq: 0, key: rest.into() },
        "REMOVE" => Said::Remove { seq: 0, key: rest.into() },
        "INCREMENT" | "DECREMENT" => {
            let (key, step) = rest.split_once('=').unwrap_or((rest, "1"));
            let step: i64 = step.parse().map_err(|_| format!("no step: {line}"))?;
            let amount = if word == "INCREMENT" { step } else { -step };
            Said::Add { seq: 0, key: key.into(), amount, announce: false }
        }
        "FLUSH" => Said::Flush { seq: 0, text: rest.into() },
        "CLEARCACHE" => Said::Clear,
        "KEYLIST" => Said::List { seq: 0, what: Table::Keys, name: String::new(), first: true },
        "QUIT" => Said::Goodbye { seq: 0 },
        _ => Said::Other,
    })
}

/// What a line of Clacks from a node says.
///
/// # Errors
/// If it has half of a message.
pub fn clacks_heard(line: &[u8]) -> Result<Heard, String> {
    let text = String::from_utf8_lossy(line);
    let (word, rest) = text.split_once(' ').unwrap_or((&text, ""));
    Ok(match word {
        "OVERHEAD" if rest.starts_with("O ") => Heard::Welcome,
        "OVERHEAD" if rest.starts_with("E ") => Heard::Outcome { seq: 0, code: Code::Failed, count: 0 },
        "SET" | "NOTIFY" | "SETANDSTORE" => {
            let Some(token) = token(line)? else { return Ok(Heard::Other) };
            Heard::Letter { token, name: name_in(rest.split('=').next().unwrap_or_default()).into(), ask: false }
        }
        "RETRIEVED" => {
            let (_, value) = rest.split_once('=').ok_or("no value")?;
            token(value.as_bytes())?;
            Heard::Value { seq: 0, value: value.into() }
        }
        "NOTRETRIEVED" => Heard::Outcome { seq: 0, code: Code::NotFound, count: 0 },
        "FLUSHED" => Heard::Flushed(rest.into()),
        _ => Heard::Other,
    })
}

/// Puts the lines of a list of keys together.
#[derive(Debug, Default)]
pub struct Keys(Option<Vec<Row>>);

impl Keys {
    /// What a line says; `None`: it is one of a list, and not its last.
    ///
    /// # Errors
    /// If it has half of a message, or something stands between the lines of a list.
    pub fn take(&mut self, line: &[u8]) -> Result<Option<Heard>, String> {
        let text = String::from_utf8_lossy(line);
        match (text.split_once(' ').unwrap_or((&text, "")), &mut self.0) {
            (("KEYLISTSTART", _), None) => self.0 = Some(Vec::new()),
            (("KEY", key), Some(rows)) => rows.push(Row::Key(key.into())),
            (("KEYLISTEND", _), Some(_)) => {
                let rows = self.0.take().unwrap_or_default();
                return Ok(Some(Heard::Page { seq: 0, rows, more: false }));
            }
            (_, None) => return clacks_heard(line).map(Some),
            (_, Some(_)) => return Err(format!("{text} stands between the lines of a list")),
        }
        Ok(None)
    }
}
