//! What tests ask of any server of Net::Clacks, and the words that they use most.
//!
//! Owns: [`Host`]. Wires are numbered in the order in which they were opened. Nothing here waits:
//! the clock is the test's.

use super::users::User;
use super::wire::{Wire, show};
use chappe_core::time::Instant;
use std::net::SocketAddr;

/// How a connection comes.
#[derive(Debug, Clone, Copy, Default)]
pub struct Opening {
    /// The server has opened it, to its master.
    pub to_master: bool,
    /// Where the peer is. `None`: at a Unix socket.
    pub peer: Option<SocketAddr>,
}

/// A server, its clock, and the connections to it.
pub trait Host {
    /// The time.
    fn now(&self) -> Instant;
    /// All connections that there ever were.
    fn wires(&mut self) -> &mut Vec<Wire>;
    /// Opens one. `None`: it is refused. Its greeting waits in `lines`.
    fn open(&mut self, how: Opening) -> Option<usize>;
    /// The peer ends it.
    fn part(&mut self, c: usize);
    /// The peer can take something again.
    fn read_on(&mut self, c: usize);
    /// Until nobody has anything to say.
    fn drive(&mut self);
    /// When somebody has something to do next.
    fn deadline(&self) -> Option<Instant>;
    /// It is `now`, which is not beyond the deadline: does what is due, and drives.
    fn pass(&mut self, now: Instant);

    /// Time passes: from deadline to deadline.
    fn wait(&mut self, ms: u32) {
        let end = Instant::from_millis(self.now().millis() + ms as u64);
        while self.now() < end {
            let soon = Instant::from_millis(self.now().millis() + 1);
            let next = self.deadline().map_or(end, |d| d.max(soon).min(end));
            self.pass(next);
        }
    }

    /// A connection that says nothing yet, by TCP.
    ///
    /// # Panics
    /// If it is refused.
    fn visitor(&mut self) -> usize {
        let port = 40_000 + self.wires().len() as u16;
        let how = Opening { peer: Some(SocketAddr::from(([127, 0, 0, 1], port))), to_master: false };
        self.open(how).expect("a free place")
    }

    /// One that is logged in and has read greeting and welcome.
    fn client(&mut self, user: User) -> usize {
        let c = self.visitor();
        self.tell(c, "CLACKS test");
        self.tell(c, &user.line());
        let lines = self.told(c);
        assert_eq!(lines.len(), 3, "{lines:?}");
        assert!(lines[0].starts_with("CLACKS PageCamel "), "{lines:?}");
        assert_eq!(lines[1..], ["OVERHEAD M Authentication required", "OVERHEAD O Welcome!"]);
        c
    }

    /// One that is linked as a slave is, and has read all that comes then, except the keys, which are
    /// returned as they came.
    fn linked(&mut self) -> (usize, Vec<String>) {
        let c = self.client(User::Main);
        self.wires()[c].link = true;
        self.tell(c, "OVERHEAD I 1");
        let mut lines = self.told(c);
        assert!(lines.len() >= 7, "{lines:?}");
        assert!(lines[0].ends_with(" in interclacks master mode"), "{lines:?}");
        assert_eq!(lines[1], "OVERHEAD M Authentication required");
        assert_eq!(lines[2], User::Main.line());
        assert_eq!(lines[3], "OVERHEAD L 1");
        assert!(lines[4].starts_with("OVERHEAD T "), "{lines:?}");
        assert_eq!(lines[lines.len() - 2..], ["OVERHEAD L 0", "PING"]);
        lines.truncate(lines.len() - 2);
        lines.drain(..5);
        (c, lines)
    }

    /// One that the server opened to its master, where the master has logged in and nothing more.
    fn to_master(&mut self) -> usize {
        let how = Opening { to_master: true, peer: Some(SocketAddr::from(([10, 0, 0, 1], 49888))) };
        let c = self.open(how).expect("a free place");
        let lines = self.told(c);
        assert_eq!(lines.len(), 3, "{lines:?}");
        assert!(lines[0].ends_with(" in interclacks client mode"), "{lines:?}");
        assert_eq!(lines[1..], [User::Main.line().as_str(), "OVERHEAD I 1"]);
        self.tell(c, "CLACKS PageCamel 36");
        self.tell(c, "OVERHEAD M Authentication required");
        self.tell(c, &User::Main.line());
        assert_eq!(self.told(c), ["OVERHEAD O Welcome!"]);
        c
    }

    /// Says octets, and drives.
    fn tell_bytes(&mut self, c: usize, bytes: &[u8]) {
        let wire = &mut self.wires()[c];
        if wire.id.is_some() {
            wire.output.extend_from_slice(bytes);
        }
        self.drive();
    }

    /// Says a line, and drives.
    fn tell(&mut self, c: usize, line: &str) {
        self.tell_bytes(c, format!("{line}\r\n").as_bytes());
    }

    /// Says lines in one write, and drives.
    fn tell_all(&mut self, c: usize, lines: &[&str]) {
        let all: String = lines.iter().map(|l| format!("{l}\r\n")).collect();
        self.tell_bytes(c, all.as_bytes());
    }

    /// Takes the lines that it heard.
    fn told(&mut self, c: usize) -> Vec<String> {
        self.told_bytes(c).iter().map(|l| show(l)).collect()
    }

    /// As [`Host::told`], the octets.
    fn told_bytes(&mut self, c: usize) -> Vec<Vec<u8>> {
        self.wires()[c].lines.drain(..).collect()
    }

    /// Takes the next line that it heard.
    fn next(&mut self, c: usize) -> Option<String> {
        self.wires()[c].lines.pop_front().map(|l| show(&l))
    }

    /// Says a line and takes what it heard then.
    fn ask(&mut self, c: usize, line: &str) -> Vec<String> {
        self.tell(c, line);
        self.told(c)
    }

    /// A value, by `RETRIEVE`.
    ///
    /// # Panics
    /// If the answer is none.
    fn value(&mut self, c: usize, key: &str) -> Option<String> {
        let lines = self.ask(c, &format!("RETRIEVE {key}"));
        match &lines[..] {
            [one] if *one == format!("NOTRETRIEVED {key}") => None,
            [one] => match one.strip_prefix(&format!("RETRIEVED {key}=")) {
                Some(value) => Some(value.into()),
                None => panic!("asked for {key}: {one}"),
            },
            _ => panic!("asked for {key}: {lines:?}"),
        }
    }

    /// All keys, by `KEYLIST`.
    ///
    /// # Panics
    /// If the answer is none.
    fn keys(&mut self, c: usize) -> Vec<String> {
        let lines = self.ask(c, "KEYLIST");
        assert_eq!(lines.first().map(String::as_str), Some("KEYLISTSTART"), "{lines:?}");
        assert_eq!(lines.last().map(String::as_str), Some("KEYLISTEND"), "{lines:?}");
        let keys = lines[1..lines.len() - 1].iter();
        keys.map(|l| l.strip_prefix("KEY ").unwrap_or_else(|| panic!("{lines:?}")).into()).collect()
    }

    /// Everything it said has been dealt with, and it has heard nothing else.
    ///
    /// # Panics
    /// If something else came.
    fn fence(&mut self, c: usize) {
        assert_eq!(self.ask(c, "FLUSH the barrier"), ["FLUSHED the barrier"]);
    }

    /// Whether the server still has it.
    fn is_open(&mut self, c: usize) -> bool {
        self.wires()[c].id.is_some()
    }
}
