//! One station: a real client and what its application does.
//!
//! Owns: the client of the core for the native dialect, the strict readers for the others, what is said for
//! each operation, and what is said again on a new connection. Does not own the wire, nor what ought to come.

use super::plan::{self, Op, Reading, Speech};
use super::words::{self, Heard, Token, text};
use crate::clacks::users::User;
use crate::clacks::wire::Wire;
use crate::msgq::{Frame, Talker, frame, header};
use chappe_core::client::{Client, Event, Inbox, LostWhy, Memory, Options};
use chappe_core::id::StationId;
use chappe_core::model::{Answer, ClientToServer, Declare, Join, Leave, Letter, Params, Store, StoreOp, Watch};
use chappe_core::time::{Duration, Instant};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// What a client keeps, of any dialect.
pub enum Peer<'s> {
    /// The core's client.
    Native {
        /// It.
        client: Box<Client<'s>>,
        /// Its half frame.
        inbox: Inbox<'s>,
    },
    /// A strict one of MSGQ.
    Msgq(Box<Talker>),
    /// A strict one of Clacks, and when it says `PING` again.
    Clacks(Box<Wire>, u64),
}

/// A question that waits for this station's answer.
#[derive(Debug)]
enum Question {
    Native(u64),
    Msgq(Box<Frame>),
}

/// What a station was told, and of a question its number, with the asker if that has a number of its own.
pub type Told = (Heard, Option<(u64, i64)>);

/// One station.
pub struct Station<'s> {
    /// Where it sits.
    pub seat: plan::Seat,
    /// Its client.
    pub peer: Peer<'s>,
    /// The connection that it has or makes.
    pub line: Option<usize>,
    /// It takes what comes.
    pub reading: Reading,
    /// When it takes something again, if slowly.
    pub reads_at: u64,
    /// When it tries again to connect.
    pub again_at: u64,
    /// Octets that have come and are not a whole frame.
    partial: Vec<u8>,
    /// Octets to be sent.
    out: Vec<u8>,
    joined: BTreeSet<(String, String)>,
    asked: Vec<Question>,
    /// Calls that are open.
    calls: BTreeSet<u32>,
    /// Calls that were answered on this connection.
    replied: BTreeSet<u32>,
    next_seq: u32,
}

/// Memory of one native client.
pub type Room = (Vec<u8>, Vec<u8>, Vec<chappe_core::client::Call>, Vec<u8>);

/// As much of it as a station needs.
pub fn room() -> Room {
    (vec![0; 16_384], vec![0; 1024], vec![Default::default(); 16], vec![0; 4096])
}

impl<'s> Station<'s> {
    /// A station that has no connection.
    pub fn new(seat: plan::Seat, number: usize, room: &'s mut Room, now: Instant) -> Self {
        let (outbox, script, calls, inbox) = room;
        let memory = Memory { outbox, script, calls };
        let options = Options {
            name: "s",
            seed: number as u64 + 1,
            backoff_max: Duration::from_millis(1000),
            call_timeout: Duration::from_secs(100),
            ..Options::default()
        };
        let peer = match seat.speech {
            Speech::Native => {
                Peer::Native { client: Box::new(Client::new(memory, options, now)), inbox: Inbox::new(inbox) }
            }
            Speech::Msgq => Peer::Msgq(Box::default()),
            Speech::Clacks => Peer::Clacks(Box::default(), 0),
        };
        Station {
            seat,
            peer,
            line: None,
            reading: Reading::All,
            reads_at: 0,
            again_at: 0,
            partial: Vec::new(),
            out: Vec::new(),
            joined: BTreeSet::new(),
            asked: Vec::new(),
            calls: BTreeSet::new(),
            replied: BTreeSet::new(),
            next_seq: 0,
        }
    }

    /// It has a connection, to whoever the node calls `id`.
    pub fn connected(&mut self, now: u64, id: StationId) {
        self.partial.clear();
        self.out.clear();
        self.asked.clear();
        self.replied.clear();
        match &mut self.peer {
            Peer::Native { client, inbox } => {
                inbox.clear();
                client.connected(Instant::from_millis(now));
            }
            Peer::Msgq(talker) => {
                **talker = Talker::new(id);
                self.msgq(&json!({"type": "getlname"}), b"");
                for (group, instance) in self.joined.clone() {
                    self.msgq(&json!({"type": "subscribe", "group": group, "instance": instance}), b"");
                }
            }
            Peer::Clacks(wire, ping_at) => {
                **wire = Wire::new(id, false);
                *ping_at = now + 50_000;
                self.line_of("CLACKS s");
                self.line_of(&User::Main.line());
                for (name, _) in self.joined.clone() {
                    self.line_of(&format!("LISTEN {name}"));
                }
            }
        }
    }

    /// Its connection has ended.
    ///
    /// # Errors
    /// If what its client tells about that is not so.
    pub fn disconnected(&mut self, now: u64) -> Result<(), String> {
        self.line = None;
        self.partial.clear();
        self.out.clear();
        self.asked.clear();
        self.again_at = now + 500;
        if let Peer::Native { client, .. } = &mut self.peer {
            client.disconnected(Instant::from_millis(now));
        }
        self.tick(now)
    }

    /// Whether it could say something.
    pub fn is_ready(&self) -> bool {
        match &self.peer {
            Peer::Native { client, .. } => client.is_ready(),
            Peer::Msgq(talker) => self.line.is_some() && !talker.lname.is_empty(),
            Peer::Clacks(wire, _) => self.line.is_some() && wire.count >= 3,
        }
    }

    /// What time brings.
    ///
    /// # Errors
    /// If a call is lost that was none.
    pub fn tick(&mut self, now: u64) -> Result<(), String> {
        match &mut self.peer {
            Peer::Native { client, .. } => {
                while let Some(event) = client.tick(Instant::from_millis(now)) {
                    if let Event::Lost { seq, why } = event {
                        self.calls.remove(&seq);
                        if why == LostWhy::TimedOut && self.replied.contains(&seq) {
                            return Err(format!("D5: call {seq} is lost, and was answered"));
                        }
                    }
                }
            }
            Peer::Clacks(_, ping_at) if self.line.is_some() && *ping_at <= now => {
                *ping_at = now + 50_000;
                self.line_of("PING");
            }
            _ => {}
        }
        Ok(())
    }

    /// When time brings something next.
    pub fn deadline(&self) -> Option<u64> {
        let own = match &self.peer {
            Peer::Native { client, .. } => client.deadline().map(Instant::millis),
            Peer::Clacks(_, ping_at) => self.line.map(|_| *ping_at),
            Peer::Msgq(_) => None,
        };
        let reads = (self.line.is_some() && self.reading == Reading::Slowly).then_some(self.reads_at);
        let again = (self.line.is_none() && self.seat.speech != Speech::Native).then_some(self.again_at);
        own.into_iter().chain(reads).chain(again).min()
    }

    /// What it wants to write now.
    pub fn output(&mut self) -> Vec<u8> {
        match &mut self.peer {
            Peer::Native { client, .. } => {
                let bytes = client.output().to_vec();
                client.sent(bytes.len());
                bytes
            }
            _ => std::mem::take(&mut self.out),
        }
    }

    /// Octets have come. Tells what they say, and the number of each question, with the asker if that has a
    /// number of its own for it.
    ///
    /// # Errors
    /// If no client understands it.
    pub fn input(&mut self, now: u64, bytes: &[u8]) -> Result<Vec<Told>, String> {
        let mut all = Vec::new();
        match &mut self.peer {
            Peer::Native { client, inbox } => {
                self.partial.extend_from_slice(bytes);
                while let Some(size) = words::frame_size(Speech::Native, &self.partial) {
                    let frame: Vec<u8> = self.partial.drain(..size).collect();
                    let (heard, ask_id) = words::native_heard(&frame)?;
                    if ask_id != 0 {
                        self.asked.push(Question::Native(ask_id));
                    }
                    if let Heard::Reply { seq, station: 0, .. } = heard {
                        self.calls.remove(&(seq as u32));
                        self.replied.insert(seq as u32);
                    }
                    all.push((heard, (ask_id != 0).then_some((0, ask_id as i64))));
                }
                let mut input = bytes;
                loop {
                    match inbox.take(&mut input) {
                        Ok(Some(frame)) => _ = client.handle(Instant::from_millis(now), frame),
                        Ok(None) => break,
                        Err(e) => return Err(format!("the client gives up: {e:?}")),
                    }
                }
                if client.counts().malformed > 0 {
                    return Err("the client calls it malformed".into());
                }
            }
            Peer::Msgq(talker) => {
                talker.take(bytes);
                for f in std::mem::take(&mut talker.heard) {
                    let heard = words::msgq_heard(&f)?;
                    let is_question = matches!(heard, Heard::Letter { ask: true, .. });
                    let number =
                        is_question.then(|| (address(f.text_of("from")), f.header["seq"].as_i64().unwrap_or(0)));
                    all.push((heard, number));
                    if is_question {
                        self.asked.push(Question::Msgq(Box::new(f)));
                    }
                }
            }
            Peer::Clacks(wire, _) => {
                wire.take(bytes);
                wire.bytes.clear();
                for line in std::mem::take(&mut wire.lines) {
                    all.push((words::clacks_heard(&line)?, None));
                }
            }
        }
        Ok(all)
    }

    fn msgq(&mut self, members: &Value, body: &[u8]) {
        self.out.extend(frame(&header(members), body));
    }

    fn line_of(&mut self, line: &str) {
        self.out.extend_from_slice(line.as_bytes());
        self.out.extend_from_slice(b"\r\n");
    }

    /// A number for a request whose outcome is told.
    fn seq(&mut self) -> u32 {
        self.next_seq = self.next_seq % 200 + 1;
        self.next_seq
    }

    /// Joins, now and after each new connection.
    pub fn join(&mut self, name: &str, instance: &str, exclusive: bool) {
        if name == plan::PATTERN && self.seat.speech != Speech::Native {
            return;
        }
        let is_new = self.joined.insert((name.into(), instance.into()));
        let seq = self.seq();
        let is_up = self.line.is_some();
        match &mut self.peer {
            Peer::Native { client, .. } => {
                _ = client.join(&Join { seq, name, instance, exclusive });
            }
            Peer::Msgq(_) if is_up => {
                self.msgq(&json!({"type": "subscribe", "group": name, "instance": instance}), b"");
            }
            Peer::Clacks(..) if is_up && is_new => self.line_of(&format!("LISTEN {name}")),
            _ => {}
        }
    }

    /// Joins nothing any more when it connects again.
    pub fn forget_joins(&mut self) {
        self.joined.clear();
    }

    fn leave(&mut self, name: &str, instance: &str) {
        self.joined.remove(&(name.into(), instance.into()));
        let seq = self.seq();
        match &mut self.peer {
            Peer::Native { client, .. } => _ = client.leave(&Leave { seq, name, instance }),
            Peer::Msgq(_) => self.msgq(&json!({"type": "unsubscribe", "group": name, "instance": instance}), b""),
            Peer::Clacks(..) => self.line_of(&format!("UNLISTEN {name}")),
        }
    }

    /// A letter of any kind. `to`: a station's address, and as MSGQ has it.
    fn send(&mut self, now: u64, l: Letter<'_>, body: &str, to: Option<&str>) {
        let numbered = l.seq != 0;
        let seq = if numbered { self.seq() } else { 0 };
        match &mut self.peer {
            Peer::Native { client, .. } if l.ask => {
                let params = [("q", body)];
                let letter = Letter { verb: "DO", params: Params::Listed(&params), seq: 0, ..l };
                let now = Instant::from_millis(now);
                if l.each {
                    _ = client.request(now, &ClientToServer::Send(letter));
                } else if let Ok(seq) = client.call(now, &letter) {
                    self.calls.insert(seq);
                }
            }
            Peer::Native { client, .. } => {
                _ = client.send(&Letter { verb: "SET", body: body.as_bytes(), seq, ..l });
            }
            Peer::Msgq(talker) => {
                talker.seq += 1;
                let to = to.unwrap_or("*");
                let members = json!({"type": "send", "from": talker.lname, "to": to, "group": l.name,
                    "instance": l.instance, "seq": talker.seq, "want_answer": l.ask});
                let command = match l.ask {
                    true => json!({"command": ["DO", {"q": body}]}),
                    false => json!({"command": ["SET", {"name": l.name, "value": body}]}),
                };
                self.msgq(&members, command.to_string().as_bytes());
            }
            Peer::Clacks(..) if l.ask || l.station != 0 || l.everyone || l.keep || l.instance == "i" => {}
            Peer::Clacks(..) => self.line_of(&format!("SET {}={body}", l.name)),
        }
    }

    fn answer(&mut self, which: usize, times: usize, body: &str) {
        if self.asked.is_empty() {
            return;
        }
        let question = self.asked.remove(which % self.asked.len());
        for _ in 0..times {
            match (&mut self.peer, &question) {
                (Peer::Native { client, .. }, Question::Native(ask_id)) => {
                    _ = client.answer(&Answer { ask_id: *ask_id, body: body.as_bytes(), ..Answer::default() });
                }
                (Peer::Msgq(talker), Question::Msgq(f)) => {
                    talker.seq += 1;
                    let members = json!({"type": "send", "from": talker.lname, "to": f.header["from"],
                        "group": f.header["group"], "instance": f.header["instance"], "seq": talker.seq,
                        "reply": f.header["seq"]});
                    let body = json!({"result": [0, body]});
                    self.msgq(&members, body.to_string().as_bytes());
                }
                _ => {}
            }
        }
    }

    fn store(&mut self, now: u64, store: Store<'_>) {
        match &mut self.peer {
            Peer::Native { client, .. } => _ = client.store(Instant::from_millis(now), &store),
            Peer::Msgq(_) => {}
            Peer::Clacks(..) => {
                let (key, value) = (store.name, String::from_utf8_lossy(store.value));
                let line = match store.op {
                    StoreOp::Set if store.announce => format!("SETANDSTORE {key}={value}"),
                    StoreOp::Set => format!("STORE {key}={value}"),
                    StoreOp::Get => format!("RETRIEVE {key}"),
                    StoreOp::Remove => format!("REMOVE {key}"),
                    _ => format!("INCREMENT {key}={}", store.amount),
                };
                self.line_of(&line);
            }
        }
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
        let plain = Letter { instance: "*", ..Letter::default() };
        match *op {
            Op::Join { name, instance, exclusive, .. } => self.join(name, instance, exclusive),
            Op::Leave { name, instance, .. } => self.leave(name, instance),
            Op::Send { name, instance, count, size, numbered, .. } => {
                for i in 0..count {
                    let letter = Letter { name, instance, seq: numbered.into(), ..plain };
                    self.send(now, letter, &text(token + i as Token, size), None);
                }
            }
            Op::SendTo { .. } | Op::SendToStale { .. } if station != 0 => {
                let name = if self.seat.speech == Speech::Msgq { "a" } else { "" };
                self.send(now, Letter { station, name, seq: 1, ..plain }, &text(token, 10), lname.as_deref());
            }
            Op::Everyone { .. } if self.seat.speech == Speech::Native => {
                self.send(now, Letter { everyone: true, ..plain }, &text(token, 0), None);
            }
            Op::Mail { ttl, .. } if self.seat.speech == Speech::Native => {
                self.send(
                    now,
                    Letter { name: "mail", keep: true, ttl_ms: ttl, seq: 1, ..plain },
                    &text(token, 30),
                    None,
                );
            }
            Op::Ask { name, each, ttl, .. } => {
                self.send(now, Letter { name, ask: true, each, ttl_ms: ttl, ..plain }, &text(token, 5), None);
            }
            Op::AskStation { ttl, .. } if station != 0 => {
                let name = if self.seat.speech == Speech::Msgq { "a" } else { "" };
                let letter = Letter { station, name, ask: true, ttl_ms: ttl, ..plain };
                self.send(now, letter, &text(token, 5), lname.as_deref());
            }
            Op::Answer { which, times, size, .. } => self.answer(which, times, &text(token, size)),
            Op::Set { key, size, announce, .. } => {
                let value = text(token, size);
                self.store(
                    now,
                    Store { op: StoreOp::Set, name: key, value: value.as_bytes(), announce, ..Store::default() },
                );
            }
            Op::Remove { key, .. } => self.store(now, Store { op: StoreOp::Remove, name: key, ..Store::default() }),
            Op::Get { key, .. } => self.store(now, Store { op: StoreOp::Get, name: key, ..Store::default() }),
            Op::Add { amount, .. } => {
                self.store(now, Store { op: StoreOp::Add, name: plan::COUNTER, amount, ..Store::default() });
            }
            Op::Flush { .. } => match &mut self.peer {
                Peer::Native { client, .. } => _ = client.flush_values(Instant::from_millis(now)),
                Peer::Clacks(..) => self.line_of(&format!("FLUSH {token}")),
                Peer::Msgq(_) => {}
            },
            Op::Watch { stations, members, name, .. } => {
                if let Peer::Native { client, .. } = &mut self.peer {
                    _ = client.watch(&Watch { seq: 201, stations, members, name, ..Watch::default() });
                }
            }
            Op::Declare { forget, .. } => {
                if let Peer::Native { client, .. } = &mut self.peer {
                    _ = client.declare(&Declare { seq: 202, name: "mail", forget });
                }
            }
            Op::Goodbye { .. } => match &mut self.peer {
                Peer::Native { client, .. } => client.goodbye(Instant::from_millis(now)),
                Peer::Clacks(..) => self.line_of("QUIT"),
                Peer::Msgq(_) => {}
            },
            _ => {}
        }
    }

    /// Calls that have not ended.
    pub fn open_calls(&self) -> usize {
        self.calls.len()
    }

    /// What MSGQ calls it, if it does.
    pub fn lname(&self) -> Option<&str> {
        match &self.peer {
            Peer::Msgq(talker) => Some(&talker.lname),
            _ => None,
        }
    }
}

/// The address that an lname has in it; 0: none.
pub fn address(lname: &str) -> u64 {
    let hex = lname.split_once('_').and_then(|(_, rest)| rest.split_once('@')).map_or("", |(hex, _)| hex);
    u64::from_str_radix(hex, 16).unwrap_or(0)
}
