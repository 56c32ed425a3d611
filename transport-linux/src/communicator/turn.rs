//! One look at the socket: connecting, reading, writing, and what is due.
//!
//! Owns: when there is a connection, and what is said on it first. Does not own the socket
//! (`lines/link.rs`), what lines mean (`heard.rs`) nor which of them are kept (`lines/outbox.rs`).
//!
//! What was read is heard before the end of the stream is told. What the queue has no room for
//! is not read, unless something is waited for that may stand behind it. Before the service is
//! registered nothing leaves but its registration, and what answers the daemon (weak point W26).

use std::io;
use std::net::SocketAddr;
use std::time::Instant;

use mio::Token;

use super::datagrams::{Came, is_near};
use super::event::{Event, Why};
use super::session::Session;
use super::{Answers, Error};
use crate::address::Address;
use crate::lines::{Fate, Outbox, Read};

/// Reads a turn.
const READS: usize = 16;

/// Datagrams a turn.
const DATAGRAMS: usize = 64;

pub(super) const STREAM: Token = Token(0);
pub(super) const SIGNALS: Token = Token(1);
pub(super) const WAKER: Token = Token(2);

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
        let is_busy = (self.unsorted || self.link.is_readable() || self.signaled) && !self.must_not_read();
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
                _ => self.link.note(event),
            }
        }
        self.looked = Instant::now();
        match self.link.dialed(self.poll.registry()) {
            Ok(true) => self.connected(),
            Ok(false) => {}
            Err(problem) => self.failed(problem),
        }
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
        self.link.is_up()
    }

    /// Whether what comes has to wait in the socket.
    fn must_not_read(&self) -> bool {
        self.queue.is_full() && !self.greedy
    }

    /// When something is due that no event tells.
    fn deadline(&self) -> Option<Instant> {
        let leaving = self.leaving.as_ref().map(|(_, until)| *until);
        let other = self.link.due().or_else(|| {
            [self.blocked_until(), self.probe_at(), self.silent_at(), self.ready_by()].into_iter().flatten().min()
        });
        [leaving, other].into_iter().flatten().min()
    }

    fn blocked_until(&self) -> Option<Instant> {
        self.link.blocked().map(|since| since + self.options.stalled)
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
        if let Some(problem) = self.link.overdue(now) {
            return self.failed(problem);
        }
        if !self.is_up() {
            return;
        }
        if is_over(self.ready_by()) {
            self.not_communicator(format!("it has not said READY within {:?}", self.options.connecting));
        } else if is_over(self.blocked_until()) {
            self.lose(Why::Lost(format!("the daemon took nothing for {:?}", self.options.stalled)));
        } else if is_over(self.silent_at()) && !self.link.is_readable() && !self.unsorted {
            // only if there was nothing to be read
            let silence = self.options.silence.unwrap_or_default();
            self.lose(Why::Lost(format!("the daemon has said nothing for {silence:?}")));
        }
    }

    /// Begins an attempt if it is time.
    fn dial(&mut self) {
        if self.leaving.is_some() {
            return;
        }
        let check = |carrier: &Address, found: &[SocketAddr]| {
            if matches!(carrier, Address::Tcp { .. }) { is_near(found) } else { Ok(()) }
        };
        if let Err(problem) = self.link.dial(self.poll.registry(), check) {
            self.failed(problem);
        }
    }

    /// There is a connection: says who this is.
    fn connected(&mut self) {
        let now = Instant::now();
        (self.connected_at, self.heard_at, self.probed_at) = (now, now, None);
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
        (self.ready, self.telling) = (true, true);
        self.failures = 0;
        self.queue.push_about_connection(event);
    }

    /// An attempt has come to nothing.
    fn failed(&mut self, problem: io::Error) {
        let again_in = self.options.pauses.after(self.failures);
        self.failures += 1;
        self.link.rest(Instant::now() + again_in);
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
        self.link.rest(Instant::now() + again_in);
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
        self.link.hang_up();
        self.first = Outbox::default();
        self.outbox.keep();
        self.input.clear();
        self.conditions.forget();
        (self.unsorted, self.ended, self.last_words, self.ready) = (false, None, None, false);
        self.generation += 1;
    }

    /// Reads what is there, and hears it.
    fn read(&mut self) {
        for _ in 0..READS {
            self.sort();
            if self.must_not_read() || !self.link.is_readable() {
                return;
            }
            match self.link.read(&mut self.input, "daemon") {
                Read::Some => (self.heard_at, self.probed_at) = (Instant::now(), None),
                Read::Nothing => {}
                Read::End(why) => self.ended = Some(Why::Lost(why)),
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
        loop {
            let (out, most) = match (self.first.is_empty(), self.ready) {
                (false, _) => (&mut self.first, usize::MAX),
                (true, true) => (&mut self.outbox, usize::MAX),
                // what TLS owes
                (true, false) => (&mut self.outbox, 0),
            };
            if self.link.write(out, most).is_none() {
                return;
            }
        }
    }

    /// Whether all that was said is with the operating system.
    pub(super) fn is_written(&self) -> bool {
        self.first.is_empty() && self.outbox.is_empty() && !self.link.owes()
    }
}
