//! One look at the socket: connecting, reading, writing, and what is due.
//!
//! Owns: the connection, and when there is another one. Does not own what lines mean
//! (`heard.rs`) nor which lines are kept (`lines/outbox.rs`).
//!
//! What was read is heard before the end of the stream is told. What the queue has no room for
//! is not read, unless something is waited for that may stand behind it. Before the server has
//! begun as Clacks servers do it is told who this is, and nothing else.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use chappe_core::dialect::clacks::repr::Command;
use mio::Token;

use super::event::{Event, Why};
use super::heard::{End, barrier_text};
use super::session::Session;
use super::{Error, say};
use crate::address::Address;
use crate::client::socket::{Socket, Target, look_up};
use crate::lines::{Fate, Outbox};

/// Reads a turn.
const READS: usize = 16;

/// Octets that are written at once before the socket is looked at again.
const WRITE: usize = 256 << 10;

/// To a Unix socket whose queue of new connections is full, the next attempt comes after this.
const FULL: Duration = Duration::from_millis(10);

#[derive(Debug)]
pub(super) enum State {
    /// Until then.
    Down(Instant),
    Dialing(Dialing),
    Up(Socket),
}

#[derive(Debug)]
pub(super) struct Dialing {
    socket: Socket,
    /// Addresses of the host that are not tried yet in this attempt.
    targets: VecDeque<SocketAddr>,
    until: Instant,
}

/// Why there will be no connection any more, in the server's words.
#[derive(Debug)]
pub(super) enum Refusal {
    /// It does not take this user.
    User(String),
    /// It does not take what comes in this way.
    Way(String),
}

/// Why there is no connection, while there has been none yet.
#[derive(Debug)]
pub(super) enum Trouble {
    Unreachable(io::Error),
    NotClacks(String),
    Ended(Why),
}

impl Session {
    /// Looks once; waits until then if there is nothing to do.
    ///
    /// # Errors
    /// The session is over for good.
    pub(super) fn turn(&mut self, until: Option<Instant>) -> Result<(), Error> {
        self.alive()?;
        self.dial();
        self.due();
        self.write();
        let is_busy = (self.unsorted || self.is_up() && self.readable) && !self.must_not_read();
        let deadline = [until, self.deadline()].into_iter().flatten().min();
        let wait = match is_busy {
            true => Some(Duration::ZERO),
            false => deadline.map(|d| d.saturating_duration_since(Instant::now())),
        };
        match self.poll.poll(&mut self.events, wait) {
            Ok(()) => {}
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(Error::Poll(e)),
        }
        for event in &self.events {
            self.readable |= event.is_readable() || event.is_read_closed() || event.is_error();
            self.writable |= event.is_writable() || event.is_write_closed() || event.is_error();
        }
        self.looked = Instant::now();
        self.dialed();
        self.read();
        self.write();
        self.expire();
        self.alive()
    }

    /// Whether it is not over for good.
    pub(super) fn alive(&self) -> Result<(), Error> {
        match &self.refused {
            Some(Refusal::User(text)) => Err(Error::Refused { address: self.address.clone(), text: text.clone() }),
            Some(Refusal::Way(text)) => Err(Error::TurnedAway { address: self.address.clone(), text: text.clone() }),
            None => Ok(()),
        }
    }

    /// Whether there is a connection; the server may not have said anything yet.
    pub(super) fn is_up(&self) -> bool {
        matches!(self.state, State::Up(_))
    }

    /// Whether what comes has to wait in the socket.
    fn must_not_read(&self) -> bool {
        self.heard.is_full() && !self.heard.is_asked() && !self.greedy
    }

    /// When something is due that no event tells.
    fn deadline(&self) -> Option<Instant> {
        match &self.state {
            State::Down(again) => Some(*again),
            State::Dialing(dialing) => Some(dialing.until),
            State::Up(_) => {
                [self.blocked_until(), self.probe_at(), self.silent_at(), self.greeting_by(), self.ping_at()]
                    .into_iter()
                    .flatten()
                    .min()
            }
        }
    }

    fn blocked_until(&self) -> Option<Instant> {
        self.blocked.map(|since| since + self.options.stalled)
    }

    /// When a silent server is asked whether it is there: after half of the time.
    fn probe_at(&self) -> Option<Instant> {
        self.heard.server()?;
        self.options.silence.filter(|_| self.probed_at.is_none()).map(|s| self.heard_at + s / 2)
    }

    /// When it counts as gone. The program may have been elsewhere for long, so it has the other
    /// half from when it was asked.
    fn silent_at(&self) -> Option<Instant> {
        self.options.silence.zip(self.probed_at).map(|(s, asked)| asked + s / 2)
    }

    /// By when the server must have greeted, if it has not.
    fn greeting_by(&self) -> Option<Instant> {
        self.heard.server().is_none().then(|| self.connected_at + self.options.connecting)
    }

    fn ping_at(&self) -> Option<Instant> {
        self.heard.server()?;
        self.options.ping.map(|interval| self.pinged_at + interval)
    }

    /// Says what is due.
    fn due(&mut self) {
        if self.is_up() && self.probe_at().is_some_and(|at| Instant::now() >= at) {
            self.probed_at = Some(Instant::now());
            let text = barrier_text(self.heard.barrier(self.outbox.counts().0));
            let _ = say::say(&Command::Flush(&text), Fate::Dropped, self.options.max_line, &mut self.outbox);
        }
        if self.is_up() && self.ping_at().is_some_and(|at| Instant::now() >= at) {
            self.pinged_at = Instant::now();
            // it has no parts that could be wrong
            let _ = say::say(&Command::Ping, Fate::Dropped, self.options.max_line, &mut self.outbox);
        }
    }

    /// Ends what has taken too long.
    fn expire(&mut self) {
        let now = Instant::now();
        let is_over = |at: Option<Instant>| at.is_some_and(|at| now >= at);
        match &self.state {
            State::Dialing(dialing) if now >= dialing.until => {
                let text = format!("no connection within {:?}", self.options.connecting);
                self.failed(io::Error::new(io::ErrorKind::TimedOut, text));
            }
            State::Up(_) if is_over(self.greeting_by()) => {
                self.end(End::NotClacks(format!("it has said nothing for {:?}", self.options.connecting)));
            }
            State::Up(_) if is_over(self.blocked_until()) => {
                self.lose(Why::Lost(format!("the server took nothing for {:?}", self.options.stalled)));
            }
            // Only if there was nothing to be read.
            State::Up(_) if is_over(self.silent_at()) && !self.readable && !self.unsorted => {
                let silence = self.options.silence.unwrap_or_default();
                self.lose(Why::Lost(format!("the server has said nothing for {silence:?}")));
            }
            _ => {}
        }
    }

    /// Begins an attempt if it is time.
    fn dial(&mut self) {
        let State::Down(again) = self.state else { return };
        if Instant::now() < again {
            return;
        }
        match look_up(self.address.carrier()) {
            Ok(targets) => self.attempt(targets.into(), Instant::now() + self.options.connecting, true),
            Err(problem) => self.failed(problem),
        }
    }

    /// With the first address left that lets one begin.
    fn attempt(&mut self, mut targets: VecDeque<SocketAddr>, until: Instant, is_first: bool) {
        loop {
            let carrier = self.address.carrier();
            let target = match (carrier, targets.pop_front()) {
                (Address::Unix(path) | Address::TlsUnix(path), _) if is_first => Target::Path(path),
                (_, Some(target)) => Target::Inet(target),
                (_, None) => return self.failed(io::ErrorKind::AddrNotAvailable.into()),
            };
            match Socket::connect(carrier, target, &self.options.trust, self.poll.registry(), Token(0)) {
                Ok(socket) => {
                    (self.readable, self.writable) = (false, false);
                    self.state = State::Dialing(Dialing { socket, targets, until });
                    return;
                }
                // of a Unix socket: its queue of new connections is full
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    let since = *self.full_since.get_or_insert_with(Instant::now);
                    if since.elapsed() > self.options.connecting {
                        self.full_since = None;
                        return self.failed(e);
                    }
                    self.state = State::Down(Instant::now() + FULL);
                    return;
                }
                Err(e) if targets.is_empty() => return self.failed(e),
                Err(_) => {}
            }
        }
    }

    /// Sees whether an attempt has come to something.
    fn dialed(&mut self) {
        if !matches!(self.state, State::Dialing(_)) || !(self.readable || self.writable) {
            return;
        }
        let State::Dialing(mut dialing) = std::mem::replace(&mut self.state, State::Down(Instant::now())) else {
            return;
        };
        match dialing.socket.is_connected() {
            Ok(Some(())) => self.connected(dialing.socket),
            Ok(None) => {
                (self.readable, self.writable) = (false, false);
                self.state = State::Dialing(dialing);
            }
            Err(problem) if dialing.targets.is_empty() => self.failed(problem),
            Err(_) => self.attempt(dialing.targets, dialing.until, false),
        }
    }

    /// There is a connection: says who this is and what it listens to.
    fn connected(&mut self, socket: Socket) {
        let now = Instant::now();
        self.state = State::Up(socket);
        // Behind a handshake the first octets may have come with its last ones.
        (self.readable, self.writable) = (true, true);
        (self.connected_at, self.heard_at, self.pinged_at) = (now, now, now);
        self.probed_at = None;
        self.full_since = None;
        self.input.clear();
        let mut first = Outbox::default();
        // All of it was looked at when it was given to this session.
        let _ = say::hello(&self.options, &mut first);
        let mut also = |command| drop(say::say(&command, Fate::Dropped, usize::MAX, &mut first));
        if self.options.ping.is_none() {
            also(Command::NoPing);
        }
        self.listening.iter().for_each(|name| also(Command::Listen(name)));
        if self.monitoring {
            also(Command::Monitor);
        }
        self.front = first.len();
        self.outbox.begin(first);
        self.write();
    }

    /// An attempt has come to nothing.
    fn failed(&mut self, problem: io::Error) {
        let again_in = self.pause();
        self.state = State::Down(Instant::now() + again_in);
        if self.established {
            self.why = Why::Lost(format!("cannot connect again: {problem}"));
            self.heard.push_about_connection(Event::Unreachable { problem: problem.to_string(), again_in });
        } else {
            self.trouble = Some(Trouble::Unreachable(problem));
        }
    }

    /// The pause before the next attempt: twice as long each time, and a random part more, so
    /// that not all clients of a server come back at once.
    fn pause(&mut self) -> Duration {
        use std::hash::{BuildHasher, Hasher, RandomState};
        let pause = self.pause;
        self.pause = (pause * 2).min(self.options.backoff_max);
        let quarters = (RandomState::new().build_hasher().finish() % 256) as u32;
        pause + pause / 4 * quarters / 256
    }

    /// The connection is over by a line, or by what is none.
    fn end(&mut self, end: End) {
        match end {
            End::Over(why) => self.lose(why),
            End::NotClacks(why) if self.established => self.lose(Why::Lost(format!("this is no Clacks server: {why}"))),
            End::NotClacks(why) => {
                self.hang_up();
                self.trouble = Some(Trouble::NotClacks(why));
            }
            End::Refused(text) => {
                self.hang_up();
                self.refused = Some(Refusal::User(text));
            }
        }
    }

    /// The connection is over, and the program is told. What is kept waits for the next one.
    fn lose(&mut self, why: Why) {
        if let Some(text) = self.heard.scolded() {
            self.hang_up();
            self.refused = Some(Refusal::Way(text));
            return;
        }
        let was_greeted = self.heard.server().is_some();
        let unsure = self.hang_up();
        let again_in = self.pause();
        self.state = State::Down(Instant::now() + again_in);
        self.why = why.clone();
        match (self.established, was_greeted || unsure > 0) {
            (true, true) => self.heard.push_about_connection(Event::Disconnected { why, unsure, again_in }),
            (true, false) => {
                self.heard.push_about_connection(Event::Unreachable { problem: why.to_string(), again_in });
            }
            (false, _) => self.trouble = Some(Trouble::Ended(why)),
        }
    }

    /// The connection is over. Returns how many lines may be lost.
    fn hang_up(&mut self) -> u64 {
        if let State::Up(socket) = &mut self.state {
            socket.end();
        }
        self.state = State::Down(Instant::now());
        let (_, taken) = self.outbox.counts();
        let unsure = taken - self.heard.proved();
        self.outbox.keep();
        self.input.clear();
        self.heard.over(taken);
        self.sent.forget();
        (self.readable, self.writable, self.unsorted) = (false, false, false);
        (self.blocked, self.ended, self.broken, self.front) = (None, None, None, 0);
        self.generation += 1;
        self.unsure += unsure;
        unsure
    }

    /// Reads what is there, and hears it.
    fn read(&mut self) {
        for _ in 0..READS {
            self.sort();
            let must_wait = self.must_not_read();
            let State::Up(socket) = &mut self.state else { return };
            if must_wait || !self.readable {
                return;
            }
            match self.input.fill(|buf| socket.read(buf)) {
                Ok(0) => {
                    self.readable = false;
                    let inside = if self.input.is_inside() { " within a line" } else { "" };
                    self.ended = Some(Why::Lost(format!("the server closed the connection{inside}")));
                }
                Ok(_) => (self.heard_at, self.probed_at) = (Instant::now(), None),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    self.readable = false;
                    self.ended = self.broken.take().map(Why::Lost);
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => {
                    self.readable = false;
                    self.ended = Some(Why::Lost(e.to_string()));
                }
            }
        }
        self.sort();
    }

    /// Hears whole lines, and then of the end if there is one.
    fn sort(&mut self) {
        loop {
            if self.must_not_read() {
                self.unsorted = true;
                return;
            }
            match self.input.next() {
                Ok(None) => break,
                Ok(Some(line)) => {
                    let heard = self.heard.hear(line);
                    if self.heard.server().is_some() {
                        self.established = true;
                        self.pause = self.options.backoff_min;
                    }
                    if let Err(end) = heard {
                        return self.end(end);
                    }
                }
                Err(_) => {
                    let limit = self.options.max_line;
                    return self.lose(Why::Lost(format!("the server sent a line longer than {limit} bytes")));
                }
            }
        }
        self.unsorted = false;
        if let Some(why) = self.ended.take() {
            self.lose(why);
        }
    }

    /// Writes what the socket takes.
    pub(super) fn write(&mut self) {
        while self.writable {
            let State::Up(socket) = &mut self.state else { return };
            let result = if socket.owes() {
                socket.push().map(|all| all.then_some(0))
            } else {
                let waiting = self.outbox.waiting();
                let most = if self.heard.server().is_some() { WRITE } else { self.front };
                let now = &waiting[..waiting.len().min(most)];
                if now.is_empty() {
                    return;
                }
                socket.write(now).map(|n| (n > 0).then_some(n))
            };
            match result {
                Ok(Some(n)) => {
                    self.blocked = None;
                    self.front = self.front.saturating_sub(n);
                    self.outbox.taken(n);
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) if e.kind() != io::ErrorKind::WouldBlock => {
                    // What the server said before the end is still there to be read.
                    self.broken = Some(e.to_string());
                    (self.readable, self.writable) = (true, false);
                }
                Ok(None) | Err(_) => {
                    self.writable = false;
                    self.blocked.get_or_insert_with(Instant::now);
                }
            }
        }
    }

    /// Whether all that was said is with the operating system.
    pub(super) fn is_written(&self) -> bool {
        self.outbox.is_empty() && !matches!(&self.state, State::Up(socket) if socket.owes())
    }
}
