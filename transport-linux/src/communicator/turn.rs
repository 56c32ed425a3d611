//! One look at the socket: connecting, reading, writing, and what is due.
//!
//! Owns: the connection, and when there is another one. Does not own what lines mean
//! (`heard.rs`) nor which lines are kept (`lines/outbox.rs`).
//!
//! What was read is heard before the end of the stream is told. What the queue has no room for
//! is not read, unless something is waited for that may stand behind it. Before the service is
//! registered nothing leaves but its registration, and what answers the daemon (weak point W26).

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::time::Instant;

use mio::Token;

use super::datagrams::{Came, is_near};
use super::event::{Event, Why};
use super::session::Session;
use super::{Answers, Error};
use crate::address::Address;
use crate::client::socket::{Socket, Target, look_up};
use crate::lines::{Fate, Outbox};

/// Reads a turn.
const READS: usize = 16;

/// Datagrams a turn.
const DATAGRAMS: usize = 64;

/// Octets that are written at once before the socket is looked at again.
const WRITE: usize = 256 << 10;

/// To a Unix socket whose queue of new connections is full, the next attempt comes after this.
const FULL: std::time::Duration = std::time::Duration::from_millis(10);

const STREAM: Token = Token(0);
pub(super) const SIGNALS: Token = Token(1);
pub(super) const WAKER: Token = Token(2);

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

/// Why there is no connection, while there has been none yet.
#[derive(Debug)]
pub(super) enum Trouble {
    Unreachable(io::Error),
    NotCommunicator(String),
    Refused(String),
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
        let is_busy = (self.unsorted || self.is_up() && self.readable || self.signaled) && !self.must_not_read();
        let deadline = [until, self.deadline()].into_iter().flatten().min();
        let wait = match is_busy {
            true => Some(std::time::Duration::ZERO),
            false => deadline.map(|d| d.saturating_duration_since(Instant::now())),
        };
        match self.poll.poll(&mut self.polled, wait) {
            Ok(()) => {}
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(Error::Poll(e)),
        }
        for event in &self.polled {
            match event.token() {
                SIGNALS => self.signaled = true,
                WAKER => self.woken = true,
                _ => {
                    self.readable |= event.is_readable() || event.is_read_closed() || event.is_error();
                    self.writable |= event.is_writable() || event.is_write_closed() || event.is_error();
                }
            }
        }
        self.looked = Instant::now();
        self.dialed();
        self.read();
        self.read_signals();
        self.write();
        self.expire();
        self.alive()
    }

    /// Whether it is not over for good.
    pub(super) fn alive(&self) -> Result<(), Error> {
        self.over.clone().map_or(Ok(()), |why| Err(Error::Over(why)))
    }

    /// Whether there is a connection; the service may not be registered yet.
    pub(super) fn is_up(&self) -> bool {
        matches!(self.state, State::Up(_))
    }

    /// Whether what comes has to wait in the socket.
    fn must_not_read(&self) -> bool {
        self.queue.is_full() && !self.greedy
    }

    /// When something is due that no event tells.
    fn deadline(&self) -> Option<Instant> {
        let leaving = self.leaving.as_ref().map(|(_, until)| *until);
        let other = match &self.state {
            State::Down(again) => Some(*again),
            State::Dialing(dialing) => Some(dialing.until),
            State::Up(_) => {
                [self.blocked_until(), self.probe_at(), self.silent_at(), self.ready_by()].into_iter().flatten().min()
            }
        };
        [leaving, other].into_iter().flatten().min()
    }

    fn blocked_until(&self) -> Option<Instant> {
        self.blocked.map(|since| since + self.options.stalled)
    }

    /// When a silent daemon is asked whether it is there: after half of the time.
    fn probe_at(&self) -> Option<Instant> {
        let may = self.ready && self.probed_at.is_none() && self.options.answers != Answers::Nothing;
        self.options.silence.filter(|_| may).map(|s| self.heard_at + s / 2)
    }

    /// When it counts as gone. The program may have been elsewhere for long, so it has the other
    /// half from when it was asked.
    fn silent_at(&self) -> Option<Instant> {
        self.options.silence.zip(self.probed_at).map(|(s, asked)| asked + s / 2)
    }

    /// By when the service must be registered, if it is not.
    fn ready_by(&self) -> Option<Instant> {
        (!self.ready).then(|| self.connected_at + self.options.connecting)
    }

    /// Says what is due.
    fn due(&mut self) {
        if self.is_up() && self.probe_at().is_some_and(|at| Instant::now() >= at) {
            self.probed_at = Some(Instant::now());
            self.asked += 1;
            let serial = super::session::serial(self.asked);
            let to = if self.options.name.is_empty() { "" } else { "communicatord" };
            let probe = super::Message::new("ALIVE").to(to).with("serial", serial);
            // it has no parts that could be wrong
            let _ = self.put(&probe, Fate::Dropped);
        }
    }

    /// Ends what has taken too long, or has come to its end.
    fn expire(&mut self) {
        let now = Instant::now();
        let is_over = |at: Option<Instant>| at.is_some_and(|at| now >= at);
        if let Some((why, until)) = &self.leaving
            && (now >= *until || !self.is_up() || (self.is_written() && !self.greedy))
        {
            let why = why.clone();
            self.hang_up();
            self.over = Some(why);
            return;
        }
        match &self.state {
            State::Dialing(dialing) if now >= dialing.until => {
                let text = format!("no connection within {:?}", self.options.connecting);
                self.failed(io::Error::new(io::ErrorKind::TimedOut, text));
            }
            State::Up(_) if is_over(self.ready_by()) => {
                let text = format!("it has not said READY within {:?}", self.options.connecting);
                self.not_communicator(text);
            }
            State::Up(_) if is_over(self.blocked_until()) => {
                self.lose(Why::Lost(format!("the daemon took nothing for {:?}", self.options.stalled)));
            }
            // Only if there was nothing to be read.
            State::Up(_) if is_over(self.silent_at()) && !self.readable && !self.unsorted => {
                let silence = self.options.silence.unwrap_or_default();
                self.lose(Why::Lost(format!("the daemon has said nothing for {silence:?}")));
            }
            _ => {}
        }
    }

    /// Begins an attempt if it is time.
    fn dial(&mut self) {
        let State::Down(again) = self.state else { return };
        if Instant::now() < again || self.leaving.is_some() {
            return;
        }
        let found = look_up(self.uri.carrier()).and_then(|found| {
            let is_plain = matches!(self.uri.carrier(), Address::Tcp { .. });
            if is_plain { is_near(&found).map(|()| found) } else { Ok(found) }
        });
        match found {
            Ok(targets) => self.attempt(targets.into(), Instant::now() + self.options.connecting, true),
            Err(problem) => self.failed(problem),
        }
    }

    /// With the first address left that lets one begin.
    fn attempt(&mut self, mut targets: VecDeque<SocketAddr>, until: Instant, is_first: bool) {
        loop {
            let carrier = self.uri.carrier();
            let target = match (carrier, targets.pop_front()) {
                (Address::Unix(path) | Address::TlsUnix(path), _) if is_first => Target::Path(path),
                (_, Some(target)) => Target::Inet(target),
                (_, None) => return self.failed(io::ErrorKind::AddrNotAvailable.into()),
            };
            match Socket::connect(carrier, target, &self.options.trust, self.poll.registry(), STREAM) {
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

    /// There is a connection: says who this is.
    fn connected(&mut self, socket: Socket) {
        let now = Instant::now();
        self.state = State::Up(socket);
        // Behind a handshake the first octets may have come with its last ones.
        (self.readable, self.writable) = (true, true);
        (self.connected_at, self.heard_at, self.probed_at) = (now, now, None);
        self.full_since = None;
        self.input.clear();
        self.first = Outbox::default();
        // it was looked at when the session began
        match self.registration() {
            Ok(Some(line)) => self.first.put(&line, Fate::Dropped),
            _ => self.is_there(Event::Connected),
        }
        self.write();
    }

    /// The connection is of use.
    pub(super) fn is_there(&mut self, event: Event) {
        self.ready = true;
        self.failures = 0;
        self.queue.push_about_connection(event);
    }

    /// An attempt has come to nothing.
    fn failed(&mut self, problem: io::Error) {
        let again_in = self.options.pauses.after(self.failures);
        self.failures += 1;
        self.state = State::Down(Instant::now() + again_in);
        if self.telling {
            self.why = Why::Lost(format!("cannot connect: {problem}"));
            self.queue.push_about_connection(Event::Unreachable { problem: problem.to_string(), again_in });
        } else {
            self.trouble = Some(Trouble::Unreachable(problem));
        }
    }

    /// What is there does not do what daemons do.
    pub(super) fn not_communicator(&mut self, why: String) {
        if self.telling {
            return self.lose(Why::Lost(format!("this is no Communicator daemon: {why}")));
        }
        self.again();
        self.trouble = Some(Trouble::NotCommunicator(why));
    }

    /// The daemon does not take this service.
    pub(super) fn refused(&mut self, text: String) {
        if self.telling {
            return self.lose(Why::Refused(text));
        }
        self.again();
        self.trouble = Some(Trouble::Refused(text));
    }

    /// Hangs up, and says when there is another attempt: after a connection that was of use at
    /// once, if the first pause has passed since it began.
    fn again(&mut self) -> std::time::Duration {
        let was_ready = self.ready;
        let pause = self.options.pauses.after(self.failures);
        self.failures += 1;
        let again_in = if was_ready { pause.saturating_sub(self.connected_at.elapsed()) } else { pause };
        self.hang_up();
        self.state = State::Down(Instant::now() + again_in);
        again_in
    }

    /// The connection is over, and the program is told. What is kept waits for the next one.
    pub(super) fn lose(&mut self, why: Why) {
        if self.leaving.is_some() {
            // `expire` sees that it is over
            self.hang_up();
            return;
        }
        let was_ready = self.ready;
        let again_in = self.again();
        self.why = why.clone();
        match (self.telling, was_ready) {
            (true, true) => self.queue.push_about_connection(Event::Disconnected { why, again_in }),
            (true, false) => {
                self.queue.push_about_connection(Event::Unreachable { problem: why.to_string(), again_in });
            }
            (false, _) => self.trouble = Some(Trouble::Ended(why)),
        }
    }

    /// The session is over.
    pub(super) fn lose_for_good(&mut self, why: Why) {
        self.hang_up();
        self.over = Some(why);
    }

    /// The connection is over.
    fn hang_up(&mut self) {
        if let State::Up(socket) = &mut self.state {
            socket.end();
        }
        self.state = State::Down(Instant::now());
        self.first = Outbox::default();
        self.outbox.keep();
        self.input.clear();
        self.conditions.forget();
        (self.readable, self.writable, self.unsorted) = (false, false, false);
        (self.blocked, self.ended, self.broken, self.last_words, self.ready) = (None, None, None, None, false);
        self.generation += 1;
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
                    self.ended = Some(Why::Lost(format!("the daemon closed the connection{inside}")));
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
            let generation = self.generation;
            let line = match self.input.next() {
                Ok(None) => break,
                Ok(Some(line)) => super::Message::read(line),
                Err(_) => {
                    let limit = self.options.max_line;
                    return self.lose(Why::Lost(format!("the daemon sent a line longer than {limit} bytes")));
                }
            };
            match line {
                Ok(message) => self.listen_to(message),
                Err(_) => self.queue.missed.odd += 1,
            }
            if self.generation != generation {
                return;
            }
        }
        self.unsorted = false;
        if let Some(why) = self.ended.take() {
            let why = match (why, self.last_words.take()) {
                (Why::Lost(text), Some(words)) => {
                    Why::Lost(format!("{text}, and said: {}", super::error::shown(&words)))
                }
                (why, _) => why,
            };
            self.lose(why);
        }
    }

    /// Reads datagrams.
    fn read_signals(&mut self) {
        for _ in 0..DATAGRAMS {
            if !self.signaled || self.must_not_read() {
                return;
            }
            let Some(signals) = &mut self.signals else {
                self.signaled = false;
                return;
            };
            match signals.next_one() {
                Ok(Came::Message(message, from)) => self.signal(message, from),
                Ok(Came::Odd) => self.queue.missed.odd += 1,
                Ok(Came::Secret) => self.queue.missed.secret += 1,
                // what is wrong with one datagram is nothing to end a session for
                Ok(Came::Nothing) | Err(_) => self.signaled = false,
            }
        }
    }

    /// Writes what the socket takes.
    pub(super) fn write(&mut self) {
        while self.writable {
            let State::Up(socket) = &mut self.state else { return };
            let may_not = self.first.is_empty() && !self.ready;
            let out = if self.first.is_empty() { &mut self.outbox } else { &mut self.first };
            let result = if socket.owes() {
                socket.push().map(|all| all.then_some(0))
            } else {
                let waiting = out.waiting();
                let now = &waiting[..waiting.len().min(WRITE)];
                if now.is_empty() || may_not {
                    return;
                }
                socket.write(now).map(|n| (n > 0).then_some(n))
            };
            match result {
                Ok(Some(n)) => {
                    self.blocked = None;
                    out.taken(n);
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) if e.kind() != io::ErrorKind::WouldBlock => {
                    // What the daemon said before the end is still there to be read.
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
        let owes = matches!(&self.state, State::Up(socket) if socket.owes());
        self.first.is_empty() && self.outbox.is_empty() && !owes
    }
}
