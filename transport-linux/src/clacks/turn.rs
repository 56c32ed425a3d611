//! One look at the socket: connecting, reading, writing, and what is due.
//!
//! Owns: when there is a connection, and what is said on it first. Does not own the socket
//! (`lines/link.rs`), what lines mean (`heard.rs`) nor which of them are kept (`lines/outbox.rs`).
//!
//! What was read is heard before the end of the stream is told. What the queue has no room for
//! is not read, unless something is waited for that may stand behind it. Before the server has
//! begun as Clacks servers do it is told who this is, and nothing else.

use std::io;
use std::time::{Duration, Instant};

use chappe_core::dialect::clacks::repr::Command;

use super::event::{Event, Why};
use super::heard::{End, barrier_text};
use super::session::Session;
use super::{Error, say};
use crate::lines::{Fate, Outbox, Read};

/// Reads a turn.
const READS: usize = 16;

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
        if let Err(problem) = self.link.dial(self.poll.registry(), |_, _| Ok(())) {
            self.failed(problem);
        }
        self.due();
        self.write();
        let is_busy = (self.unsorted || self.link.is_readable()) && !self.must_not_read();
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
            self.link.note(event);
        }
        self.looked = Instant::now();
        match self.link.dialed(self.poll.registry()) {
            Ok(true) => self.connected(),
            Ok(false) => {}
            Err(problem) => self.failed(problem),
        }
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
        self.link.is_up()
    }

    /// Whether what comes has to wait in the socket.
    fn must_not_read(&self) -> bool {
        self.heard.is_full() && !self.heard.is_asked() && !self.greedy
    }

    /// When something is due that no event tells.
    fn deadline(&self) -> Option<Instant> {
        self.link.due().or_else(|| {
            [self.blocked_until(), self.probe_at(), self.silent_at(), self.greeting_by(), self.ping_at()]
                .into_iter()
                .flatten()
                .min()
        })
    }

    fn blocked_until(&self) -> Option<Instant> {
        self.link.blocked().map(|since| since + self.options.stalled)
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
        if let Some(problem) = self.link.overdue(now) {
            return self.failed(problem);
        }
        if !self.is_up() {
            return;
        }
        if is_over(self.greeting_by()) {
            self.end(End::NotClacks(format!("it has said nothing for {:?}", self.options.connecting)));
        } else if is_over(self.blocked_until()) {
            self.lose(Why::Lost(format!("the server took nothing for {:?}", self.options.stalled)));
        } else if is_over(self.silent_at()) && !self.link.is_readable() && !self.unsorted {
            // only if there was nothing to be read
            let silence = self.options.silence.unwrap_or_default();
            self.lose(Why::Lost(format!("the server has said nothing for {silence:?}")));
        }
    }

    /// There is a connection: says who this is and what it listens to.
    fn connected(&mut self) {
        let now = Instant::now();
        (self.connected_at, self.heard_at, self.pinged_at) = (now, now, now);
        self.probed_at = None;
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
        self.link.rest(Instant::now() + again_in);
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
        self.link.rest(Instant::now() + again_in);
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
        self.link.hang_up();
        let (_, taken) = self.outbox.counts();
        let unsure = taken - self.heard.proved();
        self.outbox.keep();
        self.input.clear();
        self.heard.over(taken);
        self.sent.forget();
        (self.unsorted, self.ended, self.front) = (false, None, 0);
        self.generation += 1;
        self.unsure += unsure;
        unsure
    }

    /// Reads what is there, and hears it.
    fn read(&mut self) {
        for _ in 0..READS {
            self.sort();
            if self.must_not_read() || !self.link.is_readable() {
                return;
            }
            match self.link.read(&mut self.input, "server") {
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
        loop {
            let most = if self.heard.server().is_some() { usize::MAX } else { self.front };
            let Some(taken) = self.link.write(&mut self.outbox, most) else { return };
            self.front = self.front.saturating_sub(taken);
        }
    }

    /// Whether all that was said is with the operating system.
    pub(super) fn is_written(&self) -> bool {
        self.outbox.is_empty() && !self.link.owes()
    }
}
