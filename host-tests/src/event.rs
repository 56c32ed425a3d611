//! What a client was told, owned.
//!
//! Owns: [`Seen`], a copy of the core's [`Event`] that outlives the frame, with only what
//! tests look at.

use chappe_core::client::{Event, LostWhy, Why};
use chappe_core::model::{Change, Code, Encoding, Letter};

/// A letter, owned.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "as in core/proto/chappe.proto")]
pub struct Mail {
    pub name: String,
    pub verb: String,
    pub body: Vec<u8>,
    pub encoding: Encoding,
    pub params: Vec<(String, String)>,
    pub instance: String,
    pub from: u64,
    pub ask_id: u64,
    pub everyone: bool,
}

impl Mail {
    fn of(l: &Letter<'_>) -> Self {
        Mail {
            name: l.name.into(),
            verb: l.verb.into(),
            body: l.body.into(),
            encoding: l.encoding,
            params: l.params.iter().map(|(k, v)| (k.into(), v.into())).collect(),
            instance: l.instance.into(),
            from: l.from,
            ask_id: l.ask_id,
            everyone: l.everyone,
        }
    }
}

/// What a client was told.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "as in core/proto/chappe.proto and chappe_core::client::Event")]
pub enum Seen {
    Ready {
        station: u64,
    },
    Message(Mail),
    Reply {
        seq: u32,
        code: Code,
        text: String,
        body: Vec<u8>,
        encoding: Encoding,
        from: u64,
        station: u64,
    },
    Outcome {
        seq: u32,
        code: Code,
        text: String,
        next: String,
        count: u32,
    },
    Value {
        seq: u32,
        name: String,
        value: Vec<u8>,
        age_ms: u64,
        idle_ms: u64,
    },
    Item {
        seq: u32,
        name: String,
        station: u64,
        text: String,
        value: Vec<u8>,
        count: u64,
        exclusive: bool,
    },
    Presence {
        change: Change,
        station: u64,
        name: String,
        reason: Code,
    },
    Flag {
        raised: bool,
        name: String,
        priority: u32,
        station: u64,
    },
    Closing(Code),
    Lost {
        seq: u32,
        why: LostWhy,
    },
    Disconnected {
        why: Why,
        lost: u32,
    },
    Refused(Code),
    /// As `show.rs` has it, without the time.
    Sight(String),
}

impl From<Event<'_>> for Seen {
    fn from(e: Event<'_>) -> Self {
        match e {
            Event::Ready(w) => Seen::Ready { station: w.station },
            Event::Message(l) => Seen::Message(Mail::of(&l)),
            Event::Reply(a) => Seen::Reply {
                seq: a.seq,
                code: a.code,
                text: a.text.into(),
                body: a.body.into(),
                encoding: a.encoding,
                from: a.from,
                station: a.station,
            },
            Event::Outcome(o) => {
                Seen::Outcome { seq: o.seq, code: o.code, text: o.text.into(), next: o.next.into(), count: o.count }
            }
            Event::Value(v) => Seen::Value {
                seq: v.seq,
                name: v.name.into(),
                value: v.value.into(),
                age_ms: v.age_ms,
                idle_ms: v.idle_ms,
            },
            Event::Item(i) => Seen::Item {
                seq: i.seq,
                name: i.name.into(),
                station: i.station,
                text: i.text.into(),
                value: i.value.into(),
                count: i.count,
                exclusive: i.exclusive,
            },
            Event::Presence(p) => {
                Seen::Presence { change: p.change, station: p.station, name: p.name.into(), reason: p.reason }
            }
            Event::FlagChange(f) => {
                Seen::Flag { raised: f.raised, name: f.name.into(), priority: f.priority, station: f.station }
            }
            Event::Closing(c) => Seen::Closing(c.code),
            Event::Lost { seq, why } => Seen::Lost { seq, why },
            Event::Disconnected { why, lost, .. } => Seen::Disconnected { why, lost },
            Event::Refused(o) => Seen::Refused(o.code),
            Event::Seen(s) => {
                let timeless = chappe_core::model::Seen { micros: 0, ..s };
                Seen::Sight(crate::show::to_client(&timeless.into()).replacen("seen ", "", 1))
            }
        }
    }
}
