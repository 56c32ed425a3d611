//! What was received, owned: the core's events borrow from a buffer that the next read
//! overwrites.
//!
//! Owns: the copies and how they print. `core/proto/chappe.proto` documents each field.

use chappe_core::client::{self as core, LostWhy, Why};
use chappe_core::dialect::messi::repr::{self, Change, Code, Encoding, Params, What};
use std::time::Duration;

use super::seen::Seen;

/// Named text parameters, in order.
pub type ParamList = Vec<(String, String)>;

pub(super) fn params(of: &Params<'_>) -> ParamList {
    of.iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect()
}

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// A letter received.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Message {
    /// The name that it was sent to; empty if to this station or to everyone.
    pub name: String,
    /// What it says.
    pub verb: String,
    /// Opaque.
    pub body: Vec<u8>,
    /// What the body is.
    pub encoding: Encoding,
    /// Named text.
    pub params: ParamList,
    /// Of the name; empty: `*`.
    pub instance: String,
    /// Whether it was sent to everyone.
    pub everyone: bool,
    /// The sender's address.
    pub from: u64,
    /// Not 0: the sender waits for an answer with this number.
    pub ask_id: u64,
}

impl Message {
    /// The value of the first parameter with this key.
    pub fn param(&self, key: &str) -> Option<&str> {
        self.params.iter().find(|(k, _)| k == key).map(|(_, v)| v.as_str())
    }
}

impl From<&repr::Letter<'_>> for Message {
    fn from(l: &repr::Letter<'_>) -> Self {
        Message {
            name: l.name.to_owned(),
            verb: l.verb.to_owned(),
            body: l.body.to_owned(),
            encoding: l.encoding,
            params: params(&l.params),
            instance: l.instance.to_owned(),
            everyone: l.everyone,
            from: l.from,
            ask_id: l.ask_id,
        }
    }
}

/// What was answered, by a callee or by the node.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Answer {
    /// How it ended.
    pub code: Code,
    /// For people.
    pub text: String,
    /// Opaque.
    pub body: Vec<u8>,
    /// What the body is.
    pub encoding: Encoding,
    /// Named text.
    pub params: ParamList,
    /// Who answered; 0: the node.
    pub from: u64,
}

impl From<&repr::Answer<'_>> for Answer {
    fn from(a: &repr::Answer<'_>) -> Self {
        Answer {
            code: a.code,
            text: a.text.to_owned(),
            body: a.body.to_owned(),
            encoding: a.encoding,
            params: params(&a.params),
            from: a.from,
        }
    }
}

/// How a request ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcome {
    /// In one word.
    pub code: Code,
    /// For people: what, and what to do.
    pub text: String,
    /// A letter: how many stations it was handed to.
    pub count: u32,
}

impl From<&repr::Outcome<'_>> for Outcome {
    fn from(o: &repr::Outcome<'_>) -> Self {
        Outcome { code: o.code, text: o.text.to_owned(), count: o.count }
    }
}

/// A shared value.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Value {
    /// Its name.
    pub name: String,
    /// Opaque.
    pub value: Vec<u8>,
    /// Since it was last changed.
    pub age: Duration,
    /// Since it was last read or changed.
    pub idle: Duration,
}

impl From<&repr::Value<'_>> for Value {
    fn from(v: &repr::Value<'_>) -> Self {
        Value { name: v.name.to_owned(), value: v.value.to_owned(), age: ms(v.age_ms), idle: ms(v.idle_ms) }
    }
}

/// A row of a list. Which fields mean something depends on what was listed.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Item {
    /// What was listed.
    pub what: What,
    /// A station's, a name, a value's, a flag's (unit/section/name), a counter's.
    pub name: String,
    /// Stations and members: the address.
    pub station: u64,
    /// Members.
    pub instance: String,
    /// Stations: the dialect. Flags: the description. Status: the value.
    pub text: String,
    /// Values; empty if it is too long to be shown.
    pub value: Vec<u8>,
    /// Names: members. Counters: the value. Stations: names joined. Flags: the priority. Values:
    /// bytes of one that is too long to be shown.
    pub count: u64,
    /// Stations: since connected. Values: since changed. Flags: since raised.
    pub age: Duration,
    /// Names and members.
    pub exclusive: bool,
    /// Flags, separated by commas.
    pub tags: String,
    /// Flags: lowered by a person only. Names: declared.
    pub manual: bool,
    /// Flags: since raised last. This and what follows is empty if the node does not say it.
    pub last: Duration,
    /// Flags: how often raised.
    pub times: u64,
    /// Flags: where they are raised.
    pub source_file: String,
    /// Flags: where they are raised.
    pub function: String,
    /// Flags: where they are raised; 0: not said.
    pub line: u32,
}

impl From<&repr::Item<'_>> for Item {
    fn from(i: &repr::Item<'_>) -> Self {
        Item {
            what: i.what,
            name: i.name.to_owned(),
            station: i.station,
            instance: i.instance.to_owned(),
            text: i.text.to_owned(),
            value: i.value.to_owned(),
            count: i.count,
            age: ms(i.age_ms),
            exclusive: i.exclusive,
            tags: i.tags.to_owned(),
            manual: i.manual,
            last: ms(i.last_ms),
            times: i.times,
            source_file: i.source_file.to_owned(),
            function: i.function.to_owned(),
            line: i.line,
        }
    }
}

/// Who came or went.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Presence {
    /// What happened.
    pub change: Change,
    /// To whom.
    pub station: u64,
    /// What it calls itself.
    pub station_name: String,
    /// Joined or left.
    pub name: String,
    /// Joined or left.
    pub instance: String,
    /// Disconnected: why.
    pub reason: Code,
}

impl From<&repr::Presence<'_>> for Presence {
    fn from(p: &repr::Presence<'_>) -> Self {
        Presence {
            change: p.change,
            station: p.station,
            station_name: p.station_name.to_owned(),
            name: p.name.to_owned(),
            instance: p.instance.to_owned(),
            reason: p.reason,
        }
    }
}

/// A flag was raised or lowered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FlagChange {
    /// Or lowered.
    pub raised: bool,
    /// unit/section/name.
    pub name: String,
    /// For people.
    pub description: String,
    /// 0 to 100.
    pub priority: u32,
    /// Separated by commas.
    pub tags: String,
    /// Only a person lowers it.
    pub manual_down: bool,
    /// Who did it.
    pub station: u64,
}

impl From<&repr::FlagChange<'_>> for FlagChange {
    fn from(f: &repr::FlagChange<'_>) -> Self {
        FlagChange {
            raised: f.raised,
            name: f.name.to_owned(),
            description: f.description.to_owned(),
            priority: f.priority,
            tags: f.tags.to_owned(),
            manual_down: f.manual_down,
            station: f.station,
        }
    }
}

/// What the node said about itself when it welcomed this station.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Welcome {
    /// This station's address.
    pub station: u64,
    /// The node's name.
    pub node: String,
    /// Of the node's software.
    pub version: String,
    /// Longest frame the node takes, header included.
    pub max_frame: u32,
    /// In force.
    pub silence: Duration,
    /// Longest name, in bytes.
    pub max_name: u32,
    /// Longest shared value, in bytes.
    pub max_value: u32,
}

impl From<&repr::Welcome<'_>> for Welcome {
    fn from(w: &repr::Welcome<'_>) -> Self {
        Welcome {
            station: w.station,
            node: w.node.to_owned(),
            version: w.version.to_owned(),
            max_frame: w.max_frame,
            silence: ms(w.silence_ms.into()),
            max_name: w.max_name,
            max_value: w.max_value,
        }
    }
}

/// What happened, for who waits for whatever comes.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// Connected again; joins and watches are said again by themselves.
    Ready(Welcome),
    /// The connection ended, or another attempt failed.
    Disconnected {
        /// Why, in one word.
        why: Why,
        /// Why, as the operating system has it, if it has.
        problem: Option<String>,
        /// Letters that were not sent.
        lost: u32,
        /// The next attempt.
        again_in: Duration,
    },
    /// A letter for this station. If its `ask_id` is not 0, answer it.
    Message(Message),
    /// Somebody came or went.
    Presence(Presence),
    /// A flag was raised or lowered.
    FlagChange(FlagChange),
    /// What a station said, for who monitors.
    Seen(Box<Seen>),
    /// Something that was sent without waiting for its outcome failed.
    Failed(Outcome),
    /// The node took a join back that it had to be asked for again after a reconnect.
    JoinFailed {
        /// The name.
        name: String,
        /// Why.
        outcome: Outcome,
    },
    /// The node says why it is about to close.
    Closing {
        /// In one word.
        code: Code,
        /// For people.
        text: String,
    },
}

impl Event {
    /// The copy of what nobody waited for; `None`: too late to be of use.
    pub(super) fn of(event: &core::Event<'_>, joined: impl Fn(u32) -> Option<String>) -> Option<Event> {
        Some(match event {
            core::Event::Ready(w) => Event::Ready(w.into()),
            core::Event::Message(l) => Event::Message(l.into()),
            core::Event::Presence(p) => Event::Presence(p.into()),
            core::Event::FlagChange(f) => Event::FlagChange(f.into()),
            core::Event::Seen(s) => Event::Seen(Box::new(s.into())),
            core::Event::Closing(c) => Event::Closing { code: c.code, text: c.text.to_owned() },
            core::Event::Outcome(o) if o.code != Code::Ok => match joined(o.seq) {
                Some(name) => Event::JoinFailed { name, outcome: o.into() },
                None => Event::Failed(o.into()),
            },
            core::Event::Refused(o) => Event::Failed(o.into()),
            core::Event::Disconnected { why, lost, again_in } => {
                Event::Disconnected { why: *why, problem: None, lost: *lost, again_in: ms(again_in.millis().into()) }
            }
            core::Event::Outcome(_) | core::Event::Reply(_) | core::Event::Value(_) | core::Event::Item(_) => {
                return None;
            }
            core::Event::Lost { why: LostWhy::TimedOut | LostWhy::Disconnected, .. } => return None,
        })
    }
}
