//! What is said on a connection, and what is heard, whatever the dialect.
//!
//! Owns: [`Said`] and [`Heard`], and reading both out of the octets of each dialect: those of the native one
//! by the core's definition of messages, those of the others by the strict readers of this crate. Does not own
//! what any of it leads to.

use super::plan::Speech;
use crate::msgq::{Frame, frames};
use chappe_core::model::{Change, ClientToServer, Code, Letter, ServerToClient, StoreOp};

/// Number of a message, by which it is known wherever it turns up.
pub type Token = u32;

/// What stands in a message: its number, and stuffing that depends on it.
pub fn text(token: Token, size: usize) -> String {
    format!("#{token}.{size}#{}", "-".repeat(size))
}

/// The number in it.
///
/// # Errors
/// If there is one, and not all of what [`text`] made of it.
pub fn token(bytes: &[u8]) -> Result<Option<Token>, String> {
    let all = String::from_utf8_lossy(bytes);
    let Some((_, rest)) = all.split_once('#') else { return Ok(None) };
    let read = || {
        let (head, tail) = rest.split_once('#')?;
        let (token, size) = head.split_once('.')?;
        let (token, size): (Token, usize) = (token.parse().ok()?, size.parse().ok()?);
        let dashes = tail.bytes().take_while(|b| *b == b'-').count();
        (dashes == size).then_some(token)
    };
    read().map(Some).ok_or_else(|| format!("not all of a message: {all}"))
}

/// Where a letter goes.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "they are what they say")]
pub enum To {
    Name,
    Station(u64),
    Everyone,
}

/// A letter as its sender has said it.
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "as in core/proto/chappe.proto")]
pub struct Sent {
    pub to: To,
    pub name: String,
    pub instance: String,
    pub token: Option<Token>,
    /// The asker's number for it, or that of the outcome it wants; 0: none.
    pub seq: i64,
    pub ask: bool,
    pub each: bool,
    pub keep: bool,
    pub ttl: u64,
}

/// What a station says to its node.
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "as in core/proto/chappe.proto")]
pub enum Said {
    Hello,
    Join {
        seq: u32,
        name: String,
        instance: String,
        exclusive: bool,
    },
    Leave {
        seq: u32,
        name: String,
        instance: String,
    },
    Send(Sent),
    /// To the question of that number; by the asker's own number for it where there is one.
    Answer {
        ask_id: u64,
        token: Option<Token>,
        ok: bool,
        to: Option<(u64, i64)>,
    },
    Set {
        seq: u32,
        key: String,
        value: Vec<u8>,
        announce: bool,
    },
    Get {
        seq: u32,
        key: String,
    },
    Remove {
        seq: u32,
        key: String,
    },
    Add {
        seq: u32,
        key: String,
        amount: i64,
        announce: bool,
    },
    Flush {
        seq: u32,
        text: String,
    },
    Watch {
        seq: u32,
        stations: bool,
        members: bool,
        name: String,
    },
    Declare {
        seq: u32,
        name: String,
        forget: bool,
    },
    Goodbye {
        seq: u32,
    },
    /// It wants to be a link.
    Link,
    /// Nothing that the model cares about.
    Other,
}

/// What a station hears from its node.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "as in core/proto/chappe.proto")]
pub enum Heard {
    Welcome,
    Letter {
        token: Token,
        name: String,
        ask: bool,
    },
    Reply {
        seq: i64,
        station: u64,
        token: Option<Token>,
        code: Code,
    },
    Outcome {
        seq: u32,
        code: Code,
        count: u32,
    },
    Value {
        seq: u32,
        value: Vec<u8>,
    },
    Flushed(String),
    Presence {
        change: Change,
        station: u64,
        name: String,
        instance: String,
    },
    /// Nothing that depends on others: signs of life, last words.
    Other,
}

/// The first word of how something is shown.
fn word_of(what: &dyn std::fmt::Debug) -> String {
    let text = format!("{what:?}");
    text.split([' ', '(']).next().unwrap_or_default().to_string()
}

impl Said {
    /// The name of the value that it changes otherwise than by counting.
    pub fn changed(&self) -> Option<String> {
        match self {
            Said::Set { key, .. } | Said::Remove { key, .. } => Some(key.clone()),
            _ => None,
        }
    }

    /// The word for it, for counting.
    pub fn word(&self) -> String {
        word_of(self)
    }
}

impl Heard {
    /// The word for it, for counting.
    pub fn word(&self) -> String {
        match self {
            Heard::Reply { code, .. } => format!("Reply {code:?}"),
            Heard::Outcome { code, .. } => format!("Outcome {code:?}"),
            Heard::Presence { change, .. } => format!("Presence {change:?}"),
            other => word_of(other),
        }
    }
}

fn instance_of(text: &str) -> String {
    if text.is_empty() { "*".into() } else { text.into() }
}

/// The token of a native letter: in its body, or in a parameter.
fn letter_token(l: &Letter<'_>) -> Result<Option<Token>, String> {
    match l.params.get("q") {
        Some(q) => token(q.as_bytes()),
        None => token(l.body),
    }
}

/// Octets of the first frame in `bytes`; `None`: it is not all there.
pub fn frame_size(speech: Speech, bytes: &[u8]) -> Option<usize> {
    let size = match speech {
        Speech::Native => {
            let head: [u8; 4] = bytes.get(..4)?.try_into().ok()?;
            4 + (u32::from_be_bytes([0, head[1], head[2], head[3]]) as usize)
        }
        Speech::Msgq => 4 + u32::from_be_bytes(bytes.get(..4)?.try_into().ok()?) as usize,
        Speech::Clacks => 1 + bytes.iter().position(|b| *b == b'\n')?,
    };
    (bytes.len() >= size).then_some(size)
}

/// What a frame from a station says. `number` gives the address that an lname of MSGQ means.
///
/// # Errors
/// If it cannot be read: stations of the simulation say what can.
pub fn said(speech: Speech, frame: &[u8], number: impl Fn(&str) -> u64) -> Result<Said, String> {
    match speech {
        Speech::Native => native_said(frame),
        Speech::Msgq => msgq_said(&frames(frame)[0], number),
        Speech::Clacks => clacks_said(String::from_utf8_lossy(frame).trim_end()),
    }
}

fn native_said(frame: &[u8]) -> Result<Said, String> {
    if frame[0] != 1 {
        return Ok(Said::Other);
    }
    let (said, _) = ClientToServer::read(&frame[4..]).map_err(|e| format!("a client says {e:?}"))?;
    Ok(match said {
        ClientToServer::Hello(_) => Said::Hello,
        ClientToServer::Join(j) => {
            Said::Join { seq: j.seq, name: j.name.into(), instance: instance_of(j.instance), exclusive: j.exclusive }
        }
        ClientToServer::Leave(l) => Said::Leave { seq: l.seq, name: l.name.into(), instance: instance_of(l.instance) },
        ClientToServer::Send(l) => {
            let to = match (l.station, l.everyone) {
                (0, false) => To::Name,
                (0, true) => To::Everyone,
                (station, _) => To::Station(station),
            };
            Said::Send(Sent {
                to,
                name: l.name.into(),
                instance: instance_of(l.instance),
                token: letter_token(&l)?,
                seq: l.seq.into(),
                ask: l.ask,
                each: l.each,
                keep: l.keep,
                ttl: l.ttl_ms.into(),
            })
        }
        ClientToServer::Answer(a) => {
            Said::Answer { ask_id: a.ask_id, token: token(a.body)?, ok: a.code == Code::Ok, to: None }
        }
        ClientToServer::Store(s) => {
            let (seq, key) = (s.seq, s.name.to_string());
            match s.op {
                StoreOp::Set => Said::Set { seq, key, value: s.value.to_vec(), announce: s.announce },
                StoreOp::Get => Said::Get { seq, key },
                StoreOp::Remove => Said::Remove { seq, key },
                StoreOp::Add => Said::Add { seq, key, amount: s.amount, announce: s.announce },
                StoreOp::Flush => Said::Flush { seq, text: String::new() },
                StoreOp::Unknown(_) => Said::Other,
            }
        }
        ClientToServer::Watch(w) => {
            Said::Watch { seq: w.seq, stations: w.stations, members: w.members, name: w.name.into() }
        }
        ClientToServer::Declare(d) => Said::Declare { seq: d.seq, name: d.name.into(), forget: d.forget },
        ClientToServer::Goodbye(g) => Said::Goodbye { seq: g.seq },
        _ => Said::Other,
    })
}

fn msgq_said(f: &Frame, number: impl Fn(&str) -> u64) -> Result<Said, String> {
    let (group, instance) = (f.text_of("group").to_string(), instance_of(f.text_of("instance")));
    let seq = f.header["seq"].as_i64().unwrap_or(0);
    Ok(match f.text_of("type") {
        "getlname" => Said::Hello,
        "subscribe" => Said::Join { seq: 0, name: group, instance, exclusive: false },
        "unsubscribe" => Said::Leave { seq: 0, name: group, instance },
        "send" => {
            if let Some(reply) = f.header.get("reply").and_then(|r| r.as_i64()) {
                let to = Some((number(f.text_of("to")), reply));
                return Ok(Said::Answer { ask_id: 0, token: token(&f.body)?, ok: true, to });
            }
            let to = match f.text_of("to") {
                "" | "*" => To::Name,
                lname => To::Station(number(lname)),
            };
            let ask = f.header["want_answer"] == serde_json::Value::Bool(true);
            let (each, keep, ttl) = (false, false, 0);
            Said::Send(Sent { to, name: group, instance, token: token(&f.body)?, seq, ask, each, keep, ttl })
        }
        _ => Said::Other,
    })
}

fn clacks_said(line: &str) -> Result<Said, String> {
    let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
    let pair = || rest.split_once('=').map_or((rest.to_string(), Vec::new()), |(k, v)| (k.into(), v.into()));
    let signal = || -> Result<Said, String> {
        Ok(Said::Send(Sent {
            to: To::Name,
            // without the verb that it may address
            name: rest.split(['=', '/']).next().unwrap_or_default().into(),
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
        "QUIT" => Said::Goodbye { seq: 0 },
        _ => Said::Other,
    })
}

/// What a native frame from a node says, and the number of a question that it asks.
///
/// # Errors
/// If it is none that a node may say.
pub fn native_heard(frame: &[u8]) -> Result<(Heard, u64), String> {
    match frame[0] {
        2 => {}
        4 if frame.len() == 4 => return Ok((Heard::Other, 0)),
        kind => return Err(format!("a frame of kind {kind}, {} octets", frame.len())),
    }
    let (said, _) = ServerToClient::read(&frame[4..]).map_err(|e| format!("the node says {e:?}"))?;
    let heard = match said {
        ServerToClient::Welcome(_) => Heard::Welcome,
        ServerToClient::Message(l) => {
            let Some(token) = letter_token(&l)? else { return Ok((Heard::Other, 0)) };
            let name = if l.station != 0 || l.everyone { String::new() } else { l.name.into() };
            return Ok((Heard::Letter { token, name, ask: l.ask_id != 0 }, l.ask_id));
        }
        ServerToClient::Reply(a) => {
            Heard::Reply { seq: a.seq.into(), station: a.station, token: token(a.body)?, code: a.code }
        }
        ServerToClient::Outcome(o) => Heard::Outcome { seq: o.seq, code: o.code, count: o.count },
        ServerToClient::Value(v) => Heard::Value { seq: v.seq, value: v.value.to_vec() },
        ServerToClient::Presence(p) => Heard::Presence {
            change: p.change,
            station: p.station,
            name: p.name.into(),
            instance: if p.name.is_empty() { String::new() } else { instance_of(p.instance) },
        },
        ServerToClient::Closing(_) => Heard::Other,
        ServerToClient::Nothing => return Err("the node says nothing, in a frame".into()),
        ServerToClient::Item(_) | ServerToClient::FlagChange(_) | ServerToClient::Seen(_) => Heard::Other,
    };
    Ok((heard, 0))
}

/// What a frame of MSGQ from a node says.
///
/// # Errors
/// If it has half of a message.
pub fn msgq_heard(f: &Frame) -> Result<Heard, String> {
    if f.text_of("type") == "getlname" {
        return Ok(Heard::Welcome);
    }
    if let Some(seq) = f.header.get("reply").and_then(|r| r.as_i64()) {
        let result = &f.json()["result"][0];
        let code = match result.as_i64() {
            Some(0) => Code::Ok,
            _ => Code::Failed,
        };
        return Ok(Heard::Reply { seq, station: 0, token: token(&f.body)?, code });
    }
    let Some(token) = token(&f.body)? else { return Ok(Heard::Other) };
    let ask = f.header["want_answer"] == serde_json::Value::Bool(true);
    Ok(Heard::Letter { token, name: f.text_of("group").into(), ask })
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
            Heard::Letter { token, name: rest.split(['=', '/']).next().unwrap_or_default().into(), ask: false }
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
