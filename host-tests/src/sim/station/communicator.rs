//! A station of the Communicator: a strict client that registers a service and announces commands.
//!
//! It answers as programs do that know of `reply_to`, and as those that do not.

use super::{Client, Told};
use crate::communicator::client;
use crate::communicator::message::Message;
use crate::sim::plan::COMMANDS;
use crate::sim::words::{self, Heard, Token, service_of};
use chappe_core::id::StationId;
use chappe_core::model::{Declare, Letter, Store, StoreOp, Watch};
use std::collections::BTreeSet;

/// It.
#[derive(Default)]
pub(super) struct Communicator {
    wire: client::Client,
    up: bool,
    /// The name that it has or wants.
    wish: Option<String>,
    /// It has said so, and not heard yet whether it has it.
    waits: bool,
    /// Questions: the node's number, and who has asked.
    asked: Vec<(i64, Message)>,
    next_seq: u32,
    next_odd: usize,
    /// Octets to be sent.
    out: Vec<u8>,
}

/// What is wrong, or not there, each in its own way.
const ODD: [&str; 11] = [
    "REGISTER service=x;version=2",
    "REGISTER service=communicatord;version=1",
    "REGISTER service=_s7;version=1",
    "a/lower value=1",
    "hostB:x/DO a=1;transmission_report=failure",
    ".:*/TICK a=1",
    "CONNECT a=b",
    "FROB",
    "a/DO =",
    " ",
    "HELP",
];

/// The command that a name stands for, of those that are no services.
fn command(name: &str) -> Option<&'static str> {
    match name {
        "a" | "./TICK" => Some(COMMANDS[0]),
        "a::b" => Some(COMMANDS[1]),
        "a::c" => Some(COMMANDS[2]),
        _ => None,
    }
}

impl Communicator {
    fn line(&mut self, line: &str) {
        self.out.extend_from_slice(line.as_bytes());
        self.out.push(b'\n');
    }

    fn register(&mut self, name: &str) {
        self.waits = true;
        self.line(&format!("REGISTER service={};version=1", service_of(name)));
    }

    fn announce(&mut self, command: &str) {
        self.line(&format!("communicatord/COMMANDS list={command}"));
    }

    fn seq(&mut self) -> u32 {
        self.next_seq = self.next_seq % 200 + 1;
        self.next_seq
    }
}

impl Client for Communicator {
    fn connected(&mut self, _: u64, id: StationId, joined: &BTreeSet<(String, String)>) {
        let wish = self.wish.take().filter(|wish| joined.iter().any(|(name, _)| name == wish));
        let wire = client::Client::new(Some(id), false);
        // each begins elsewhere in the list
        let (next_seq, next_odd) = (self.next_seq, self.next_odd + id.number() as usize % ODD.len());
        *self = Communicator { wire, up: true, next_seq, next_odd, ..Communicator::default() };
        if let Some(name) = &wish {
            self.register(name);
        }
        self.wish = wish;
        let commands: BTreeSet<_> = joined.iter().filter_map(|(name, _)| command(name)).collect();
        commands.into_iter().for_each(|command| self.announce(command));
    }

    fn disconnected(&mut self, _: u64) {
        self.up = false;
        self.out.clear();
        self.asked.clear();
    }

    fn is_ready(&self) -> bool {
        self.up && !self.waits
    }

    fn output(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.out)
    }

    fn input(&mut self, _: u64, bytes: &[u8]) -> Result<Vec<Told>, String> {
        let mut all = Vec::new();
        self.wire.take(bytes);
        for line in std::mem::take(&mut self.wire.lines) {
            let m = Message::read(&line)?;
            let (heard, number) = words::communicator_heard(&m)?;
            if let Heard::Line(own) = &heard
                && (own == "READY" || own == "INVALID command=REGISTER")
            {
                self.waits = false;
            }
            all.push((heard, number.map(|number| (0, number))));
            if let Some(number) = number {
                self.asked.push((number, m));
            }
        }
        Ok(all)
    }

    fn join(&mut self, name: &str, _: &str, _: bool, is_new: bool) {
        if let Some(command) = command(name) {
            if self.up && is_new {
                self.announce(command);
            }
            return;
        }
        self.wish = Some(name.into());
        if self.up {
            self.register(name);
        }
    }

    fn leave(&mut self, name: &str, _: &str) {
        if self.wish.as_deref() == Some(name) {
            self.wish = None;
            self.line(&format!("UNREGISTER service={}", service_of(name)));
        }
    }

    fn send(&mut self, _: u64, l: Letter<'_>, body: &str, _: Option<&str>) {
        let way = body.len() + self.next_seq as usize;
        let reports = if l.seq != 0 { ";transmission_report=failure" } else { "" };
        let line = match (l.station, l.name.strip_prefix("./")) {
            _ if l.instance == "i" || l.each => return,
            _ if l.everyone => format!("*/TOCK body={body}"),
            (0, Some(_)) if l.ask => return,
            (0, Some(command)) => format!("{}/{command} body={body}", [".", "?", "*"][way % 3]),
            (0, None) if l.ask => format!("{}/DO q={body};reply_to={}", service_of(l.name), self.seq()),
            (to, _) if l.ask => format!("_s{to}/DO q={body};reply_to={}", self.seq()),
            (0, None) if l.keep => {
                let cache = ["", "cache=ttl=10;", "cache=\"no;reply\";"][way % 3];
                format!("{}/DO {cache}body={body}{reports}", service_of(l.name))
            }
            (0, None) => {
                let service = service_of(l.name);
                match way % 5 {
                    0 => format!("{service}/SET value={body}{reports}"),
                    1 => format!(".:{service}/SET name={};value={body}{reports}", l.name),
                    2 => format!("?:{service}/DO a=1;body={body}{reports}"),
                    3 => format!("./SET name={};value={body}", l.name),
                    _ => format!("<nobody:nowhere {service}/DO body={body}{reports}"),
                }
            }
            (to, _) => format!("_s{to}/DO body={body}{reports}"),
        };
        // the next goes another way
        self.next_seq = self.next_seq % 200 + 1;
        self.line(&line);
    }

    fn answer(&mut self, which: usize, times: usize, body: &str) {
        if self.asked.is_empty() {
            return;
        }
        let (number, m) = self.asked.remove(which % self.asked.len());
        let number = number + (1 << 31);
        let (server, service) = m.from;
        let line = match (which, service.is_empty()) {
            (0, false) => format!("{server}:{service}/REPLY reply_to={number};body={body}"),
            (1, false) => format!("{service}/DONE body={body}"),
            (2, false) => format!("{server}:{service}/UNKNOWN command=DO"),
            _ => format!("REPLY body={body};reply_to={number}"),
        };
        (0..times).for_each(|_| self.line(&line));
    }

    fn store(&mut self, _: u64, store: Store<'_>) {
        let (key, value) = (store.name, String::from_utf8_lossy(store.value));
        match store.op {
            StoreOp::Set => self.line(&format!("SET name={key};value={value}")),
            StoreOp::Get => self.line(&format!("SERVICE_STATUS service={}", service_of(key))),
            StoreOp::Remove => self.line("LIST_SERVICES"),
            _ => self.line("SERVICE_STATUS service=x"),
        }
    }

    fn flush(&mut self, _: u64, token: Token) {
        self.line(&format!("ALIVE serial={token}"));
    }

    fn watch(&mut self, watch: Watch<'_>) {
        let name = if watch.name.is_empty() { "y::z" } else { watch.name };
        if !name.starts_with('.') {
            self.line(&format!("SERVICE_STATUS service={}", service_of(name)));
        }
    }

    fn declare(&mut self, _: Declare<'_>) {
        self.next_odd = (self.next_odd + 1) % ODD.len();
        self.line(ODD[self.next_odd]);
    }

    fn goodbye(&mut self, _: u64) {
        self.line("UNREGISTER service=whoever");
    }
}
