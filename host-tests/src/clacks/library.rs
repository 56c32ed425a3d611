//! The original's client library (`wire/clacks.md` section 15), as far as it can be told from the wire,
//! and no kinder than it is.
//!
//! Nothing happens by itself: calls put lines into a buffer, [`Library::network`] writes and reads,
//! [`Library::event`] makes an event of the next line. Whatever comes in the same read as the end of the stream
//! is thrown away unread; the first line must be the greeting; a wrong password ends the program.

use super::host::Host;
use super::token;
use super::wire::show;
use std::collections::VecDeque;

/// What the application is told.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "as on the page, section 15.2")]
pub enum Event {
    ServerInfo(String),
    Set {
        name: String,
        data: String,
    },
    Notify(String),
    Debug {
        host: String,
        command: String,
    },
    ErrorMessage(String),
    Informal(String),
    Disconnect(&'static str),
    Reconnected,
    /// The library ends the program.
    Fatal(String),
}

/// A client.
#[derive(Debug)]
pub struct Library {
    name: String,
    token: String,
    wire: Option<usize>,
    /// Lines that came and were not looked at.
    pub queue: VecDeque<String>,
    out: Vec<u8>,
    partial: Vec<u8>,
    greeted: bool,
    connected: u64,
    made_up: VecDeque<Event>,
    /// The next call that needs the network connects again.
    broken: bool,
    /// How often it has connected.
    pub connects: u32,
    last_ping: u64,
    /// The library has ended the program.
    pub dead: bool,
    /// Octets that were thrown away with the end of a stream.
    pub discarded: usize,
}

/// How long it waits for an answer.
const ANSWER_MS: u64 = 30_000;

impl Library {
    /// A client that connects with its first call.
    pub fn new(name: &str, user: &str, password: &str) -> Self {
        Library {
            name: name.into(),
            token: token(user, password),
            wire: None,
            queue: VecDeque::new(),
            out: Vec::new(),
            partial: Vec::new(),
            greeted: false,
            connected: 0,
            made_up: VecDeque::new(),
            broken: true,
            connects: 0,
            last_ping: 0,
            dead: false,
            discarded: 0,
        }
    }

    /// The connection it has now.
    pub fn wire(&self) -> Option<usize> {
        self.wire
    }

    /// Appends a line.
    pub fn say(&mut self, line: &str) {
        self.out.extend_from_slice(line.as_bytes());
        self.out.extend_from_slice(b"\r\n");
    }

    /// As the call of that name: nothing at all within 120 s of the last one or of connecting.
    pub fn ping(&mut self, h: &dyn Host) {
        if h.now().millis() > self.last_ping.max(self.connected) + 120_000 {
            self.last_ping = h.now().millis();
            self.say("PING");
        }
    }

    /// Writes what waits and reads what is there.
    ///
    /// # Panics
    /// If it is dead.
    pub fn network(&mut self, h: &mut dyn Host) {
        assert!(!self.dead, "the program has ended");
        if self.broken {
            self.connect(h);
        }
        let c = self.wire.expect("it has connected");
        let out = std::mem::take(&mut self.out);
        h.tell_bytes(c, &out);
        let open = h.is_open(c);
        let bytes = std::mem::take(&mut h.wires()[c].bytes);
        h.wires()[c].lines.clear();
        if !open {
            self.discarded += bytes.len();
            return self.lost("timeout");
        }
        for b in bytes.iter().filter(|b| **b != b'\r') {
            if *b != b'\n' {
                self.partial.push(*b);
                continue;
            }
            let line = show(&std::mem::take(&mut self.partial));
            if !self.greeted {
                if line == "NOP" {
                    continue;
                }
                if !line.starts_with("CLACKS ") {
                    return self.lost("timeout");
                }
                self.greeted = true;
            }
            if !line.is_empty() && line != "NOP" {
                self.queue.push_back(line);
            }
        }
        if !self.greeted && !bytes.is_empty() && h.now().millis() > self.connected + 15_000 {
            self.lost("timeout");
        }
    }

    fn connect(&mut self, h: &mut dyn Host) {
        if let Some(c) = self.wire.take()
            && h.is_open(c)
        {
            h.part(c);
        }
        self.broken = false;
        self.greeted = false;
        self.partial.clear();
        if self.connects > 0 {
            // unsent output is lost
            self.out.clear();
        }
        self.connected = h.now().millis();
        let c = h.visitor();
        self.wire = Some(c);
        if self.connects > 0 {
            self.made_up.push_back(Event::Reconnected);
        }
        self.connects += 1;
        h.tell_bytes(c, format!("CLACKS {}\r\nOVERHEAD A {}\r\n", self.name, self.token).as_bytes());
    }

    fn lost(&mut self, why: &'static str) {
        self.broken = true;
        self.made_up.push_back(Event::Disconnect(why));
    }

    /// The next event; nothing also if the next line makes none (section 15.2).
    ///
    /// # Panics
    /// For a line that would make it send half a line.
    pub fn event(&mut self) -> Option<Event> {
        let Some(line) = self.queue.pop_front() else { return self.made_up.pop_front() };
        let (word, rest) = line.split_once(' ').unwrap_or((&line, ""));
        let pair = || {
            let at = rest.char_indices().skip(1).find(|(_, c)| *c == '=')?.0;
            Some((rest[..at].to_string(), rest[at + 1..].to_string()))
        };
        Some(match word {
            "CLACKS" => Event::ServerInfo(rest.into()),
            "SET" => {
                let (name, data) = pair()?;
                Event::Set { name, data }
            }
            "NOTIFY" if !rest.is_empty() => Event::Notify(rest.into()),
            "DEBUG" => {
                let (host, command) = pair()?;
                Event::Debug { host, command }
            }
            "QUIT" | "TIMEOUT" => {
                let why = if word == "QUIT" { "quit" } else { "timeout" };
                self.broken = true;
                Event::Disconnect(why)
            }
            "OVERHEAD" => {
                let (flags, text) = rest.split_once(' ')?;
                let has = |f: char| flags.contains(f);
                assert!(!(has('U') && has('M')), "section 9: it answers {line} with an unterminated line");
                if has('O') {
                    return None;
                } else if has('E') {
                    Event::ErrorMessage(text.into())
                } else if has('F') {
                    self.dead = true;
                    Event::Fatal(text.into())
                } else if has('M') && has('G') {
                    Event::Informal(text.into())
                } else {
                    return None;
                }
            }
            _ => return None,
        })
    }

    /// Reads, and takes all events that there are.
    pub fn events(&mut self, h: &mut dyn Host) -> Vec<Event> {
        self.network(h);
        let mut all = Vec::new();
        while !self.queue.is_empty() || !self.made_up.is_empty() {
            all.extend(self.event());
        }
        all
    }

    fn answer(&mut self, h: &mut dyn Host, is_it: impl Fn(&str) -> bool) -> Option<String> {
        let begin = h.now().millis();
        loop {
            self.network(h);
            if let Some(at) = self.queue.iter().position(|l| is_it(l)) {
                return self.queue.remove(at);
            }
            if self.broken || h.now().millis() > begin + ANSWER_MS {
                self.broken = true;
                return None;
            }
            h.wait(100);
        }
    }

    /// A value. `None`: no answer came in time; `Some(None)`: there is none.
    pub fn retrieve(&mut self, h: &mut dyn Host, key: &str) -> Option<Option<String>> {
        self.say(&format!("RETRIEVE {key}"));
        let (yes, no) = (format!("RETRIEVED {key}"), format!("NOTRETRIEVED {key}"));
        let line = self.answer(h, |l| l.starts_with(&yes) || l.starts_with(&no))?;
        Some(line.strip_prefix(&yes).and_then(|l| l.strip_prefix('=')).map(str::to_string))
    }

    /// Whether the barrier was answered.
    pub fn flush(&mut self, h: &mut dyn Host, id: &str) -> bool {
        self.say(&format!("FLUSH {id}"));
        let want = format!("FLUSHED {id}");
        self.answer(h, |l| l.starts_with(&want)).is_some()
    }

    /// All keys. `None`: no answer came in time.
    pub fn key_list(&mut self, h: &mut dyn Host) -> Option<Vec<String>> {
        self.list(h, "KEYLIST", "KEYLISTSTART", "KEY ", "KEYLISTEND")
    }

    /// All connections, as they were listed. `None`: no answer came in time.
    pub fn client_list(&mut self, h: &mut dyn Host) -> Option<Vec<String>> {
        self.list(h, "CLIENTLIST", "CLIENTLISTSTART", "CLIENT ", "CLIENTLISTEND")
    }

    fn list(&mut self, h: &mut dyn Host, ask: &str, begin: &str, row: &str, end: &str) -> Option<Vec<String>> {
        self.say(ask);
        self.answer(h, |l| l == begin)?;
        let mut rows = Vec::new();
        loop {
            let line = self.answer(h, |l| l.starts_with(row) || l == end)?;
            match line.strip_prefix(row) {
                Some(r) => rows.push(r.to_string()),
                None => return Some(rows),
            }
        }
    }

    /// As the library disconnects in good order: whether the barrier before was answered.
    pub fn disconnect(&mut self, h: &mut dyn Host) -> bool {
        let flushed = self.flush(h, "AUTO1");
        self.say("QUIT");
        self.network(h);
        h.wait(200);
        if let Some(c) = self.wire.take()
            && h.is_open(c)
        {
            h.part(c);
        }
        self.broken = true;
        flushed
    }
}
