//! One station: a real client and what its application does.
//!
//! Owns: what is said for each operation, whether it reads, and when it tries to connect. How it is said is each
//! dialect's: the core's client for the native one, strict ones for the others, a file for each. Does not own
//! the wire, nor what ought to come.

mod clacks;
mod communicator;
mod msgq;
mod native;

pub use native::{Room, room};

use super::plan::{self, Op, Reading, Speech};
use super::words::{Heard, Token, text};
use chappe_core::client::Wish;
use chappe_core::id::StationId;
use chappe_core::model::{Declare, Flag, Letter, List, Store, StoreOp, Watch};
use chappe_core::time::Instant;
use std::collections::BTreeSet;

/// What a station was told, and of a question its number, with the asker if that has a number of its own.
pub type Told = (Heard, Option<(u64, i64)>);

/// A client of one dialect. What its dialect has no words for, it does not say.
trait Client {
    /// It has a connection, to whoever the node calls `id`; `joined` is what it had joined before.
    fn connected(&mut self, now: u64, id: StationId, joined: &BTreeSet<(String, String)>);
    /// Its connection has ended.
    fn disconnected(&mut self, now: u64);
    /// Whether it could say something.
    fn is_ready(&self) -> bool;
    /// What time brings.
    fn tick(&mut self, _now: u64) -> Result<(), String> {
        Ok(())
    }
    /// When time brings something next.
    fn deadline(&self) -> Option<u64> {
        None
    }
    /// What it wants of its connection; `None`: somebody else looks after that.
    fn wish(&mut self, _now: u64) -> Option<Wish> {
        None
    }
    /// It had stopped, and is to begin again.
    fn start(&mut self, _now: u64) {}
    /// What it wants to write now.
    fn output(&mut self) -> Vec<u8>;
    /// Octets have come: what they say.
    fn input(&mut self, now: u64, bytes: &[u8]) -> Result<Vec<Told>, String>;
    /// Joins; `is_new`: it had not yet.
    fn join(&mut self, name: &str, instance: &str, exclusive: bool, is_new: bool);
    /// Leaves.
    fn leave(&mut self, name: &str, instance: &str);
    /// A letter of any kind. `to`: what MSGQ calls the station that it is for.
    fn send(&mut self, now: u64, letter: Letter<'_>, body: &str, to: Option<&str>);
    /// Answers one of the questions that wait for it.
    fn answer(&mut self, _which: usize, _times: usize, _body: &str) {}
    /// Something about a value.
    fn store(&mut self, _now: u64, _store: Store<'_>) {}
    /// Wants to know when all is on the disk.
    fn flush(&mut self, _now: u64, _token: Token) {}
    /// Watches.
    fn watch(&mut self, _watch: Watch<'_>) {}
    /// Declares a name, or forgets it.
    fn declare(&mut self, _declare: Declare<'_>) {}
    /// Raises a flag or lowers it.
    fn flag(&mut self, _now: u64, _flag: Flag<'_>) {}
    /// Lists something, to the end, unless it still reads another list.
    fn list(&mut self, _now: u64, _list: List<'static>) {}
    /// Forgets all values.
    fn clear(&mut self) {}
    /// Takes leave.
    fn goodbye(&mut self, _now: u64) {}
    /// Calls that have not ended.
    fn open_calls(&self) -> usize {
        0
    }
    /// What MSGQ calls it, if it does.
    fn lname(&self) -> Option<&str> {
        None
    }
}

/// One station.
pub struct Station<'s> {
    /// Where it sits.
    pub seat: plan::Seat,
    /// The connection that it has or makes.
    pub line: Option<usize>,
    /// It takes what comes.
    pub reading: Reading,
    /// When it takes something again, if slowly.
    pub reads_at: u64,
    /// When it tries again to connect.
    pub again_at: u64,
    client: Box<dyn Client + 's>,
    joined: BTreeSet<(String, String)>,
}

impl<'s> Station<'s> {
    /// A station that has no connection.
    pub fn new(seat: plan::Seat, number: usize, room: &'s mut Room, now: Instant) -> Self {
        let client: Box<dyn Client + 's> = match seat.speech {
            Speech::Native => Box::new(native::Native::new(number, room, now)),
            Speech::Msgq => Box::new(msgq::Msgq::default()),
            Speech::Clacks => Box::new(clacks::Clacks::default()),
            Speech::Communicator => Box::new(communicator::Communicator::default()),
        };
        let (line, reading, joined) = (None, Reading::All, BTreeSet::new());
        Station { seat, line, reading, reads_at: 0, again_at: 0, client, joined }
    }

    /// It has a connection, to whoever the node calls `id`.
    pub fn connected(&mut self, now: u64, id: StationId) {
        self.client.connected(now, id, &self.joined);
    }

    /// Its connection has ended.
    ///
    /// # Errors
    /// If what its client tells about that is not so.
    pub fn disconnected(&mut self, now: u64) -> Result<(), String> {
        self.line = None;
        self.again_at = now + 500;
        self.client.disconnected(now);
        self.tick(now)
    }

    /// Whether it could say something.
    pub fn is_ready(&self) -> bool {
        self.client.is_ready()
    }

    /// What time brings.
    ///
    /// # Errors
    /// If a call is lost that was none.
    pub fn tick(&mut self, now: u64) -> Result<(), String> {
        self.client.tick(now)
    }

    /// When time brings something next.
    pub fn deadline(&self) -> Option<u64> {
        let reads = (self.line.is_some() && self.reading == Reading::Slowly).then_some(self.reads_at);
        let again = (self.line.is_none() && self.seat.speech != Speech::Native).then_some(self.again_at);
        self.client.deadline().into_iter().chain(reads).chain(again).min()
    }

    /// What its client wants of its connection.
    pub fn wish(&mut self, now: u64) -> Wish {
        let usual = if self.line.is_none() && self.again_at <= now { Wish::Connect } else { Wish::Stay };
        self.client.wish(now).unwrap_or(usual)
    }

    /// It had stopped, and is to begin again.
    pub fn start(&mut self, now: u64) {
        self.client.start(now);
    }

    /// What it wants to write now.
    pub fn output(&mut self) -> Vec<u8> {
        self.client.output()
    }

    /// Octets have come. Tells what they say, and the number of each question, with the asker if that has a
    /// number of its own for it.
    ///
    /// # Errors
    /// If no client understands it.
    pub fn input(&mut self, now: u64, bytes: &[u8]) -> Result<Vec<Told>, String> {
        self.client.input(now, bytes)
    }

    /// Joins, now and after each new connection.
    pub fn join(&mut self, name: &str, instance: &str, exclusive: bool) {
        let native = self.seat.speech == Speech::Native;
        let msgq = self.seat.speech == Speech::Msgq;
        if name == plan::PATTERN && !native || name == plan::NOTICES && !msgq {
            return;
        }
        let is_new = self.joined.insert((name.into(), instance.into()));
        self.client.join(name, instance, exclusive, is_new);
    }

    /// Joins nothing any more when it connects again.
    pub fn forget_joins(&mut self) {
        self.joined.clear();
    }

    /// Does what an operation says, if it is one of a station. `token`: a number for its messages, and for as
    /// many behind it as it needs. `to`: the address of another, and what MSGQ calls that.
    pub fn act(&mut self, now: u64, op: &Op, token: Token, to: Option<(u64, String)>) {
        if !self.is_ready() {
            if let Op::Join { name, instance, exclusive, .. } = *op {
                self.join(name, instance, exclusive);
            }
            return;
        }
        let (station, lname) = to.map_or((0, None), |(id, lname)| (id, Some(lname)));
        let name_to = if self.seat.speech == Speech::Msgq { "a" } else { "" };
        let native = self.seat.speech == Speech::Native;
        let communicator = self.seat.speech == Speech::Communicator;
        let plain = Letter { instance: "*", ..Letter::default() };
        let client = &mut self.client;
        match *op {
            Op::Join { name, instance, exclusive, .. } => self.join(name, instance, exclusive),
            Op::Leave { name, instance, .. } => {
                self.joined.remove(&(name.into(), instance.into()));
                client.leave(name, instance);
            }
            Op::Send { name, instance, count, size, numbered, .. } => {
                for i in 0..count {
                    let letter = Letter { name, instance, seq: numbered.into(), ..plain };
                    client.send(now, letter, &text(token + i as Token, size), None);
                }
            }
            Op::SendTo { .. } | Op::SendToStale { .. } if station != 0 => {
                let letter = Letter { station, name: name_to, seq: 1, ..plain };
                client.send(now, letter, &text(token, 10), lname.as_deref());
            }
            Op::Everyone { .. } if native || communicator => {
                client.send(now, Letter { everyone: true, ..plain }, &text(token, 0), None);
            }
            Op::Mail { ttl, .. } if native || communicator => {
                let letter = Letter { name: "mail", keep: true, ttl_ms: ttl, seq: 1, ..plain };
                client.send(now, letter, &text(token, 30), None);
            }
            Op::Ask { name, each, ttl, .. } => {
                client.send(now, Letter { name, ask: true, each, ttl_ms: ttl, ..plain }, &text(token, 5), None);
            }
            Op::AskStation { ttl, .. } if station != 0 => {
                let letter = Letter { station, name: name_to, ask: true, ttl_ms: ttl, ..plain };
                client.send(now, letter, &text(token, 5), lname.as_deref());
            }
            Op::Answer { which, times, size, .. } => client.answer(which, times, &text(token, size)),
            Op::Set { key, size, announce, .. } => {
                let value = text(token, size);
                let value = value.as_bytes();
                client.store(now, Store { op: StoreOp::Set, name: key, value, announce, ..Store::default() });
            }
            Op::Remove { key, .. } => client.store(now, Store { op: StoreOp::Remove, name: key, ..Store::default() }),
            Op::Get { key, .. } => client.store(now, Store { op: StoreOp::Get, name: key, ..Store::default() }),
            Op::Add { amount, .. } => {
                client.store(now, Store { op: StoreOp::Add, name: plan::COUNTER, amount, ..Store::default() });
            }
            Op::Flush { .. } => client.flush(now, token),
            Op::Watch { stations, members, flags, name, .. } => {
                client.watch(Watch { seq: 201, stations, members, flags, name, ..Watch::default() });
            }
            Op::Flag { raise, name, priority, manual, by_hand, .. } => client.flag(
                now,
                Flag {
                    raise,
                    unit: "u",
                    section: "s",
                    name,
                    description: if raise { "wrong" } else { "" },
                    priority,
                    tags: if raise { "t" } else { "" },
                    manual_down: manual,
                    by_hand,
                    ..Flag::default()
                },
            ),
            Op::List { what, name, .. } => client.list(now, List { what, name, ..List::default() }),
            Op::Clear { .. } => client.clear(),
            Op::Declare { forget, .. } => client.declare(Declare { seq: 202, name: "mail", forget }),
            Op::Goodbye { .. } => client.goodbye(now),
            _ => {}
        }
    }

    /// Calls that have not ended.
    pub fn open_calls(&self) -> usize {
        self.client.open_calls()
    }

    /// What MSGQ calls it, if it does.
    pub fn lname(&self) -> Option<&str> {
        self.client.lname()
    }
}

/// The address that an lname has in it; 0: none.
pub fn address(lname: &str) -> u64 {
    let hex = lname.split_once('_').and_then(|(_, rest)| rest.split_once('@')).map_or("", |(hex, _)| hex);
    u64::from_str_radix(hex, 16).unwrap_or(0)
}
