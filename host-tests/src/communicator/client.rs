//! A connection to a server of the Communicator, and what tests ask of any such server.
//!
//! Owns: cutting what comes into lines, failing the test for anything that a server may not say, and
//! [`Host`]. Nothing here waits: the clock is the test's. Does not own the server.

use super::message::Message;
use chappe_core::id::StationId;
use chappe_core::router::{Reason, Rights};
use chappe_core::time::Instant;
use std::collections::VecDeque;

/// A connection.
#[derive(Debug, Default)]
pub struct Client {
    /// The server has it.
    pub open: bool,
    /// The router's name for it, while there is one.
    pub id: Option<StationId>,
    /// It sends datagrams, and hears nothing.
    pub datagram: bool,
    /// Octets that the server has not taken yet.
    pub output: Vec<u8>,
    /// The same of a station on datagrams.
    pub datagrams: VecDeque<Vec<u8>>,
    /// The server did not take all it was offered, and has not said that it would now.
    pub waits: bool,
    /// Takes what the server writes. Off: its socket is full at once.
    pub reads: bool,
    /// Why the server closed it.
    pub closed: Option<Reason>,
    /// Lines that came and were not asked for, without their ends.
    pub lines: VecDeque<Vec<u8>>,
    /// What may come is not for the library of the original: a test sends such to it.
    pub any: bool,
    partial: Vec<u8>,
}

impl Client {
    /// One that reads.
    pub fn new(id: Option<StationId>, datagram: bool) -> Self {
        Client { open: true, id, datagram, reads: true, ..Client::default() }
    }

    /// Octets have come.
    ///
    /// # Panics
    /// For lines that no server may say.
    pub fn take(&mut self, bytes: &[u8]) {
        assert!(!self.datagram || bytes.is_empty(), "section 5.5: no replies over UDP: {}", bytes.escape_ascii());
        for b in bytes {
            self.partial.push(*b);
            if *b == b'\n' {
                let mut line = std::mem::take(&mut self.partial);
                line.pop();
                if !self.any {
                    check(&line);
                }
                self.lines.push_back(line);
            }
        }
    }

    /// The server has closed it.
    ///
    /// # Panics
    /// If that cut a line in two.
    pub fn end(&mut self, why: Reason) {
        self.open = false;
        self.id = None;
        self.closed = Some(why);
        self.output.clear();
        assert!(self.partial.is_empty() || !self.reads, "closed inside {}", self.partial.escape_ascii());
    }
}

/// Every line is one that the original's library reads, and means the same to it when it writes it.
fn check(line: &[u8]) {
    let shown = show(line);
    assert!(!line.is_empty(), "an empty line");
    assert!(!line.ends_with(b"\r"), "lines end in LF only: {shown}");
    assert!(!line.starts_with(b"{"), "section 1.7: JSON is input only: {shown}");
    let m = Message::read(line).unwrap_or_else(|e| panic!("no message ({e}): {shown}"));
    assert!(super::message::is_command(&m.command), "an illegal command kills the original: {shown}");
    for name in [&m.from.0, &m.from.1] {
        assert!(name.is_empty() || super::message::is_name(name), "an illegal source: {shown}");
    }
    if m.from.1 == "communicatord" {
        assert_eq!(show(&m.write()), shown, "section 1.4: as a server writes it");
        let empty = m.params.values().any(Vec::is_empty);
        assert!(!empty, "section 1.10: a parameter that is empty: {shown}");
    }
}

/// A line for people, whatever is in it.
pub fn show(line: &[u8]) -> String {
    crate::clacks::wire::show(line)
}

/// What the clock of the machine is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "as on the page, section 4.10")]
pub enum Clock {
    Checking,
    Verified,
    NoNtp,
    Invalid,
}

/// How a connection comes.
#[derive(Debug, Clone, Copy)]
pub struct Opening {
    /// What it may do.
    pub rights: Rights,
    /// By datagrams.
    pub datagram: bool,
}

impl Default for Opening {
    fn default() -> Self {
        Opening { rights: Rights::ALL, datagram: false }
    }
}

/// What a server calls itself in tests.
pub const SERVER: &str = "hostA";

/// The name its own lines begin with.
pub const TAG: &str = "<hostA:communicatord ";

/// A server, its clock, and the connections to it, numbered in the order in which they were opened.
pub trait Host {
    /// The time.
    fn now(&self) -> Instant;
    /// The same as seconds since 1970.
    fn calendar(&self) -> u64;
    /// All connections that there ever were.
    fn clients(&mut self) -> &mut Vec<Client>;
    /// Opens one.
    fn open_as(&mut self, how: Opening) -> usize;
    /// The peer ends it.
    fn part(&mut self, c: usize);
    /// The peer can take something again.
    fn read_on(&mut self, c: usize);
    /// Until nobody has anything to say.
    fn drive(&mut self);
    /// Time passes.
    fn wait(&mut self, ms: u32);
    /// A service is installed here (section 3.6): messages may wait for it.
    fn declare(&mut self, service: &str);
    /// It is known how the clock of the machine is.
    fn set_clock(&mut self, clock: Clock);
    /// The server is to stop (section 3.9).
    fn stop(&mut self);
    /// Somebody who may has asked it to stop. Told once.
    fn stop_asked(&mut self) -> bool;

    /// A stream that has said nothing yet.
    fn visitor(&mut self) -> usize {
        self.open_as(Opening::default())
    }

    /// A service that has registered, and has read `HELP` and `READY`.
    fn service(&mut self, name: &str) -> usize {
        let c = self.visitor();
        self.register(c, name);
        c
    }

    /// It registers, and reads `HELP` and `READY`.
    fn register(&mut self, c: usize, name: &str) {
        self.tell(c, &format!("REGISTER service={name};version=1"));
        let lines = self.told(c);
        assert_eq!(lines.first().map(String::as_str), Some("<hostA:communicatord HELP"), "{lines:?}");
        assert_eq!(lines.get(1).map(String::as_str), Some("<hostA:communicatord READY my_address=127.0.0.1:4042"));
        assert_eq!(lines.len(), 2, "{lines:?}");
    }

    /// As [`Host::service`], and announces commands.
    fn announcer(&mut self, name: &str, list: &str) -> usize {
        let c = self.service(name);
        self.announce(c, list);
        c
    }

    /// Announces commands.
    fn announce(&mut self, c: usize, list: &str) {
        self.tell(c, &format!("communicatord/COMMANDS list={list}"));
        assert_eq!(self.told(c), [""; 0], "COMMANDS has no answer");
    }

    /// Says octets, and drives.
    fn tell_bytes(&mut self, c: usize, bytes: &[u8]) {
        let client = &mut self.clients()[c];
        if client.open {
            client.output.extend_from_slice(bytes);
        }
        self.drive();
    }

    /// Says a line, or a datagram, and drives.
    fn tell(&mut self, c: usize, line: &str) {
        if self.clients()[c].datagram {
            self.clients()[c].datagrams.push_back(line.into());
            return self.drive();
        }
        self.tell_bytes(c, format!("{line}\n").as_bytes());
    }

    /// Says lines in one write, and drives.
    fn tell_all(&mut self, c: usize, lines: &[&str]) {
        let all: String = lines.iter().map(|l| format!("{l}\n")).collect();
        self.tell_bytes(c, all.as_bytes());
    }

    /// Takes the lines that it heard. The words for people of an `INVALID` are left out.
    fn told(&mut self, c: usize) -> Vec<String> {
        self.told_bytes(c).iter().map(|l| plain_words(l)).collect()
    }

    /// As [`Host::told`], the octets.
    fn told_bytes(&mut self, c: usize) -> Vec<Vec<u8>> {
        self.clients()[c].lines.drain(..).collect()
    }

    /// Takes the messages that it heard.
    fn heard(&mut self, c: usize) -> Vec<Message> {
        self.told_bytes(c).iter().map(|l| Message::read(l).expect("checked")).collect()
    }

    /// Says a line and takes what it heard then.
    fn ask(&mut self, c: usize, line: &str) -> Vec<String> {
        self.tell(c, line);
        self.told(c)
    }

    /// Says a line, for which it hears an `INVALID` with that command, and words for people.
    fn refused(&mut self, c: usize, line: &str) {
        let command = Message::read(line.as_bytes()).expect("a message").command;
        let want = format!("{TAG}INVALID command={command};message=*");
        assert_eq!(self.ask(c, line), [want], "to {line}");
    }

    /// Everything it said has been dealt with, it is still there, and it has heard nothing else.
    fn fence(&mut self, c: usize) {
        let lines = self.ask(c, "SERVICE_STATUS service=nobody_at_all");
        assert_eq!(lines, [format!("{TAG}STATUS cache=no;server_name=hostA;service=nobody_at_all;status=unknown")]);
    }

    /// Whether the server still has it.
    fn is_open(&mut self, c: usize) -> bool {
        self.clients()[c].open
    }
}

/// A line, with `*` for the words for people of an `INVALID`.
///
/// # Panics
/// If such a line has none.
pub fn plain_words(line: &[u8]) -> String {
    let shown = show(line);
    match Message::read(line) {
        Ok(mut m) if m.command == "INVALID" && m.from.1 == "communicatord" => {
            let words = m.params.insert("message".into(), b"*".into()).unwrap_or_default();
            assert!(!words.is_empty(), "D12: no reason in {shown}");
            m.to_string()
        }
        _ => shown,
    }
}
