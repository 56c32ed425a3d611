//! What is said on a connection, and what is heard, whatever the dialect.
//!
//! Owns: [`Said`] and [`Heard`], and reading both out of the octets of each dialect: those of the native one
//! by the core's definition of messages, those of the others by the strict readers of this crate; one file for
//! each dialect. Does not own what any of it leads to.

mod clacks;
mod communicator;
mod msgq;
mod native;

pub use clacks::{Keys, clacks_heard};
pub use communicator::{DAEMON, communicator_heard, name_of, question_in, service_of, token_of};
pub use msgq::msgq_heard;
pub use native::{Page, native_heard};

use super::plan::Speech;
use crate::communicator::message::Message;
use crate::disk::Copy;
use crate::msgq::frames;
use chappe_core::model::{Change, Code, Letter, Message as _};

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

/// The number of a message that has waited, from its copy on the disk.
///
/// # Errors
/// If it is none, or not all of one.
pub fn kept_token(copy: &Copy) -> Result<Token, String> {
    let found = match Letter::read(&copy.bytes) {
        Ok(letter) if copy.form == 1 => native::letter_token(&letter)?,
        _ => token(&copy.bytes)?,
    };
    found.ok_or_else(|| format!("not a message: {copy:?}"))
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
    /// A signal of Clacks to `name/VERB`.
    pub verb: bool,
    pub token: Option<Token>,
    /// The asker's number for it, or that of the outcome it wants; 0: none.
    pub seq: i64,
    pub ask: bool,
    pub each: bool,
    pub keep: bool,
    pub ttl: u64,
}

/// A flag: what it is called, what is told of it, and who has changed it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "as in core/proto/chappe.proto")]
pub struct Flag {
    pub name: String,
    pub description: String,
    pub priority: u32,
    pub tags: String,
    pub manual: bool,
    pub station: u64,
}

/// What a list is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "as in core/proto/chappe.proto")]
pub enum Table {
    Stations,
    Names,
    Members,
    Values,
    Flags,
    /// Of values, only what they are called.
    Keys,
}

/// A row of a list.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "as in core/proto/chappe.proto")]
pub enum Row {
    Station { station: u64, dialect: String, joins: u64 },
    Name { name: String, members: u64, exclusive: bool, declared: bool },
    Member { station: u64, instance: String, exclusive: bool },
    Value { name: String, value: Vec<u8> },
    Flag(Flag),
    Key(String),
}

impl Row {
    /// By what it is known, whatever else of it changes.
    pub fn key(&self) -> (u64, String) {
        match self {
            Row::Station { station, .. } => (*station, String::new()),
            Row::Member { station, instance, .. } => (*station, instance.clone()),
            Row::Name { name, .. } | Row::Value { name, .. } | Row::Key(name) => (0, name.clone()),
            Row::Flag(flag) => (0, flag.name.clone()),
        }
    }
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
        flags: bool,
        name: String,
    },
    Declare {
        seq: u32,
        name: String,
        forget: bool,
    },
    Flag {
        seq: u32,
        raise: bool,
        by_hand: bool,
        flag: Flag,
    },
    /// A page of a list: the first, or one that goes on.
    List {
        seq: u32,
        what: Table,
        name: String,
        first: bool,
    },
    /// All values are to be forgotten.
    Clear,
    Goodbye {
        seq: u32,
    },
    /// It wants to be a link.
    Link,
    /// A line of the Communicator, and the message of the question whose number at the node it has.
    Line {
        message: Box<Message>,
        question: Option<Token>,
    },
    /// A line that is no message.
    NoMessage,
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
    /// What a server of the Communicator says itself, without what is for people or only clocks know.
    Line(String),
    /// A page of a list, and whether there is more.
    Page {
        seq: u32,
        rows: Vec<Row>,
        more: bool,
    },
    FlagChange {
        raised: bool,
        flag: Flag,
    },
    /// What members of the notifications of MSGQ are told.
    Notice {
        change: Change,
        station: u64,
        name: String,
    },
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
            Heard::Line(line) => {
                let wanted = ["INVALID", "STATUS", "TRANSMISSION_REPORT"].iter().any(|word| line.starts_with(word));
                let mut words: Vec<&str> = line.split(' ').collect();
                if line.starts_with("STATUS") {
                    words.remove(1);
                }
                let last = if line.starts_with("TRANSMISSION") { words.pop() } else { words.get(1).copied() };
                if wanted {
                    format!("Line {} {}", words[0], last.unwrap_or_default())
                } else {
                    format!("Line {}", words[0])
                }
            }
            other => word_of(other),
        }
    }
}

/// The name of a signal, without the verb that it may address; that of a command has none.
fn name_in(name: &str) -> &str {
    name.rsplit_once('/').map(|(name, _)| name).filter(|name| *name != ".").unwrap_or(name)
}

fn instance_of(text: &str) -> String {
    if text.is_empty() { "*".into() } else { text.into() }
}

/// Octets of the first frame in `bytes`; `None`: it is not all there.
pub fn frame_size(speech: Speech, bytes: &[u8]) -> Option<usize> {
    let size = match speech {
        Speech::Native => {
            let head: [u8; 4] = bytes.get(..4)?.try_into().ok()?;
            4 + (u32::from_be_bytes([0, head[1], head[2], head[3]]) as usize)
        }
        Speech::Msgq => 4 + u32::from_be_bytes(bytes.get(..4)?.try_into().ok()?) as usize,
        Speech::Clacks | Speech::Communicator => 1 + bytes.iter().position(|b| *b == b'\n')?,
    };
    (bytes.len() >= size).then_some(size)
}

/// What a frame from a station says. `number` gives the address that an lname of MSGQ means.
///
/// # Errors
/// If it cannot be read: stations of the simulation say what can.
pub fn said(speech: Speech, frame: &[u8], number: impl Fn(&str) -> u64) -> Result<Said, String> {
    match speech {
        Speech::Native => native::native_said(frame),
        Speech::Msgq => msgq::msgq_said(&frames(frame)[0], number),
        Speech::Communicator => Ok(communicator::communicator_said(frame)),
        Speech::Clacks => clacks::clacks_said(String::from_utf8_lossy(frame).trim_end()),
    }
}
