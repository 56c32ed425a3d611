//! One session: its state, and the calls that do not wait for an answer.
//!
//! Owns: what a program says, and what is said again on each connection. Does not own the
//! socket (`turn.rs`), answers (`ask.rs`, `heard.rs`) nor how lines are checked (`say.rs`).

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::time::{Duration, Instant};

use chappe_core::dialect::clacks::repr::{Command, Overhead};
use mio::{Events, Poll, Token};

use super::cache::Cache;
use super::event::{Event, Missed, Why};
use super::heard::Heard;
use super::input::Input;
use super::sent::Sent;
use super::turn::{Refusal, Trouble};
use super::{Error, Options, say};
use crate::address::ClacksAddress;
use crate::lines::{Fate, Link, Outbox};
use crate::tls::Problem;

/// After this long without a look at the socket, nothing is said without one.
const STALE: Duration = Duration::from_millis(100);

/// Names that may be listened to at once.
pub(super) const MAX_LISTENING: usize = 1 << 16;

/// How long the last word may take to leave.
const GOODBYE: Duration = Duration::from_secs(1);

/// A session with a Clacks server, with calls that wait. See the [module](super).
#[derive(Debug)]
pub struct Session {
    pub(super) address: ClacksAddress,
    pub(super) options: Options,
    pub(super) poll: Poll,
    pub(super) events: Events,
    pub(super) link: Link,
    /// There are whole lines, or an end, that were not heard yet.
    pub(super) unsorted: bool,
    /// Something is waited for: what the queue has no room for is dropped.
    pub(super) greedy: bool,
    pub(super) input: Input,
    pub(super) outbox: Outbox,
    /// Octets of the outbox that may leave before the server has begun.
    pub(super) front: usize,
    pub(super) heard: Heard,
    /// The end of the stream, once what came before it is heard.
    pub(super) ended: Option<Why>,
    pub(super) connected_at: Instant,
    pub(super) heard_at: Instant,
    pub(super) pinged_at: Instant,
    /// When a silent server was asked whether it is there.
    pub(super) probed_at: Option<Instant>,
    /// When the socket was last looked at.
    pub(super) looked: Instant,
    /// The next pause.
    pub(super) pause: Duration,
    /// One more with each connection that ends.
    pub(super) generation: u64,
    /// Lines that may be lost, of all connections that ended.
    pub(super) unsure: u64,
    /// Why the last one ended.
    pub(super) why: Why,
    /// There was a connection.
    pub(super) established: bool,
    pub(super) trouble: Option<Trouble>,
    /// It is over for good.
    pub(super) refused: Option<Refusal>,
    /// It has said that it leaves.
    pub(super) leaving: bool,
    /// Something was said that may be denied, and that no barrier has proved.
    pub(super) doubtful: bool,
    pub(super) listening: BTreeSet<Vec<u8>>,
    pub(super) monitoring: bool,
    pub(super) sent: Sent,
}

impl Session {
    /// Connects, and logs in at once without waiting for the server's word on it. From then on
    /// the connection comes back by itself, whenever the program waits for something.
    ///
    /// When this returns, a Clacks server is there. Whether it takes this user is told by the
    /// first call that waits, [`Session::flush`] if there is no other.
    ///
    /// # Errors
    /// [`Error::Connect`], [`Error::NotClacks`]; with [`Options::patient`] only when
    /// [`Options::connecting`] is over. [`Error::Refused`] and [`Error::TurnedAway`], if the server is that fast.
    /// [`Error::NotSent`]: the name of this client.
    pub fn connect(address: ClacksAddress, options: Options) -> Result<Self, Error> {
        say::check_name(&options.name)?;
        let options = options.sane();
        let now = Instant::now();
        let until = now + options.connecting;
        let mut session = Session {
            poll: Poll::new().map_err(Error::Poll)?,
            events: Events::with_capacity(4),
            link: Link::new(address.carrier().clone(), options.trust.clone(), Token(0), options.connecting, now),
            unsorted: false,
            greedy: false,
            input: Input::new(options.max_line),
            outbox: Outbox::default(),
            front: 0,
            heard: Heard::new(&options),
            ended: None,
            connected_at: now,
            heard_at: now,
            pinged_at: now,
            probed_at: None,
            looked: now,
            pause: options.backoff_min,
            generation: 0,
            unsure: 0,
            why: Why::Quit,
            established: false,
            trouble: None,
            refused: None,
            leaving: false,
            doubtful: false,
            listening: BTreeSet::new(),
            monitoring: false,
            sent: Sent::default(),
            address,
            options,
        };
        // of the attempts that came to nothing
        let mut last = None;
        loop {
            session.turn(Some(until))?;
            // it may have ended already, which is for `receive` to tell
            if session.established {
                return Ok(session);
            }
            let is_over = Instant::now() >= until;
            let address = session.address.clone();
            last = session.trouble.take().or(last);
            let trouble = if session.is_up() { None } else { last.take() };
            match trouble {
                // what TLS says is known by its type
                Some(Trouble::Unreachable(problem)) if is_over && Problem::of(&problem).is_none() => {
                    let text = format!("no connection within {:?}: {problem}", session.options.connecting);
                    return Err(Error::Connect { address, problem: io::Error::new(problem.kind(), text) });
                }
                Some(Trouble::Unreachable(problem)) if !session.options.patient || is_over => {
                    return Err(Error::Connect { address, problem });
                }
                Some(Trouble::NotClacks(why)) => return Err(Error::NotClacks { address, why }),
                Some(Trouble::Ended(Why::Lost(text))) if !session.options.patient || is_over => {
                    return Err(Error::NotClacks { address, why: format!("{text} before it said anything") });
                }
                Some(Trouble::Ended(why)) if !session.options.patient || is_over => {
                    return Err(Error::Lost { why, unsure: 0 });
                }
                _ if is_over && session.is_up() => {
                    let why = format!("it has said nothing for {:?}", session.options.connecting);
                    return Err(Error::NotClacks { address, why });
                }
                _ if is_over => {
                    let text = format!("no connection within {:?}", session.options.connecting);
                    return Err(Error::Connect { address, problem: io::Error::new(io::ErrorKind::TimedOut, text) });
                }
                trouble => last = trouble.or(last),
            }
        }
    }

    /// Where the server is.
    pub fn address(&self) -> &ClacksAddress {
        &self.address
    }

    /// What the server calls itself; `None` while there is no connection.
    pub fn server(&self) -> Option<&str> {
        self.heard.server()
    }

    /// Whether the server has said that it takes this user. It may answer other things before
    /// it says so.
    pub fn is_welcome(&self) -> bool {
        self.heard.is_welcome()
    }

    /// What could not be kept so far.
    pub fn missed(&self) -> Missed {
        self.heard.missed()
    }

    /// Octets that wait to be handed to the operating system.
    pub fn waiting(&self) -> usize {
        self.outbox.len()
    }

    /// Sends a signal with a value to all others that listen to `name`. `false`: it was not
    /// sent, because it is the value that was last sent ([`Options::caching`]).
    ///
    /// # Errors
    /// Of this call and all others that do not wait for an answer: [`Error::NotSent`] names
    /// what cannot be said, [`Error::Full`]; [`Error::Refused`] and [`Error::TurnedAway`] if the session is over. What
    /// the server denies or does not know is an [`Event::Error`], or the error of the next
    /// [`Session::flush`].
    pub fn set(&mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Result<bool, Error> {
        let (name, value) = (name.as_ref(), value.as_ref());
        if self.options.caching && self.sent.is(name, value) {
            self.alive()?;
            return Ok(false);
        }
        self.set_anyway(name, value).map(|()| true)
    }

    /// As [`Session::set`], also if it is the value that was last sent.
    pub fn set_anyway(&mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Result<(), Error> {
        let (name, value) = (name.as_ref(), value.as_ref());
        self.tell(&Command::Set { name, value }, Fate::Kept)?;
        self.remember(name, value);
        Ok(())
    }

    /// Sends a signal without a value.
    pub fn notify(&mut self, name: impl AsRef<[u8]>) -> Result<(), Error> {
        self.tell(&Command::Notify(name.as_ref()), Fate::Kept)
    }

    /// Stores a value, and sends it as [`Session::set_anyway`] does.
    pub fn set_and_store(&mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Result<(), Error> {
        let (name, value) = (name.as_ref(), value.as_ref());
        self.tell(&Command::SetAndStore { name, value }, Fate::Kept)?;
        self.remember(name, value);
        Ok(())
    }

    fn remember(&mut self, name: &[u8], value: &[u8]) {
        if self.options.caching {
            self.sent.remember(name, value);
        }
    }

    /// Stores a value. Nobody is told.
    pub fn store(&mut self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Result<(), Error> {
        self.tell(&Command::Store { name: key.as_ref(), value: value.as_ref() }, Fate::Kept)
    }

    /// Removes a value, if there is one.
    pub fn remove(&mut self, key: impl AsRef<[u8]>) -> Result<(), Error> {
        self.tell(&Command::Remove(key.as_ref()), Fate::Kept)
    }

    /// Adds to a value; one that is no number counts as 0. The new value is not told:
    /// [`Session::retrieve`] does.
    pub fn increment(&mut self, key: impl AsRef<[u8]>, by: impl Into<Step>) -> Result<(), Error> {
        let (name, step) = (key.as_ref(), by.into());
        self.tell(&Command::Increment { name, step: step.after(name) }, Fate::Kept)
    }

    /// Subtracts from a value.
    pub fn decrement(&mut self, key: impl AsRef<[u8]>, by: impl Into<Step>) -> Result<(), Error> {
        let (name, step) = (key.as_ref(), by.into());
        self.tell(&Command::Decrement { name, step: step.after(name) }, Fate::Kept)
    }

    /// Removes all values of the server.
    pub fn clear(&mut self) -> Result<(), Error> {
        self.tell(&Command::ClearCache, Fate::Kept)
    }

    /// Hears signals to a name from here on, also on later connections. There are no patterns.
    ///
    /// # Errors
    /// See [`Session::set`]. [`Error::TooMany`]: 65,536 names are listened to.
    pub fn listen(&mut self, name: impl AsRef<[u8]>) -> Result<(), Error> {
        let name = name.as_ref();
        if self.listening.len() >= MAX_LISTENING && !self.listening.contains(name) {
            return Err(Error::TooMany(MAX_LISTENING));
        }
        self.tell_here(&Command::Listen(name))?;
        self.listening.insert(name.to_owned());
        Ok(())
    }

    /// Hears them no more.
    pub fn unlisten(&mut self, name: impl AsRef<[u8]>) -> Result<(), Error> {
        let name = name.as_ref();
        self.tell_here(&Command::Unlisten(name))?;
        self.listening.remove(name);
        Ok(())
    }

    /// Whether to be shown what others say, as [`Event::Debug`], also on later connections.
    /// Takes the right to manage the server.
    pub fn monitor(&mut self, on: bool) -> Result<(), Error> {
        self.tell_here(if on { &Command::Monitor } else { &Command::Unmonitor })?;
        self.monitoring = on;
        Ok(())
    }

    /// Gives a sign of life now. There is no answer. By itself the session does so every
    /// [`Options::ping`].
    pub fn ping(&mut self) -> Result<(), Error> {
        self.pinged_at = Instant::now();
        self.tell_here(&Command::Ping)
    }

    /// Gives signs of life no more, and tells the server not to wait for any, also on later
    /// connections.
    pub fn no_ping(&mut self) -> Result<(), Error> {
        self.options.ping = None;
        self.tell_here(&Command::NoPing)
    }

    /// Sends a note to all others, who get it as [`Event::Note`] without listening.
    pub fn note(&mut self, text: impl AsRef<[u8]>) -> Result<(), Error> {
        self.overhead("GM", text)
    }

    /// Says a line of flags and text (section 9): `GM` are a note to all.
    pub fn overhead(&mut self, flags: &str, text: impl AsRef<[u8]>) -> Result<(), Error> {
        self.tell(&Command::Overhead(Overhead { flags: flags.as_bytes(), text: text.as_ref() }), Fate::Kept)
    }

    /// Says any line. What it asks for comes as an event, or not at all; what it changes about
    /// this connection is not done again on the next.
    pub fn raw(&mut self, line: impl AsRef<[u8]>) -> Result<(), Error> {
        self.tell(&Command::Unknown(line.as_ref()), Fate::Kept)
    }

    /// Values and keys as the cache front end of the original writes them, which also holds
    /// what no line can.
    pub fn cache(&mut self) -> Cache<'_> {
        Cache::of(self)
    }

    /// Hands all that was said to the operating system, in one write if it can be. Only
    /// sessions with [`Options::buffer`] need it. That the server has it is another matter:
    /// [`Session::flush`].
    ///
    /// # Errors
    /// [`Error::TimedOut`]: the rest still waits. [`Error::Lost`]: there is no connection; what
    /// is left is kept.
    pub fn push(&mut self) -> Result<(), Error> {
        self.alive()?;
        let timeout = self.options.timeout;
        let until = Instant::now() + timeout;
        self.write();
        self.greedily(|session| {
            while !session.is_written() {
                if Instant::now() >= until {
                    return Err(session.late(timeout));
                }
                session.turn(Some(until))?;
            }
            Ok(())
        })
    }

    /// The next event: one that came meanwhile, or a new one. `None`: none came in time.
    /// Without a timeout it waits for ever.
    ///
    /// # Errors
    /// [`Error::Refused`], [`Error::TurnedAway`]: the session is over. What came before has been handed out then.
    pub fn receive(&mut self, timeout: Option<Duration>) -> Result<Option<Event>, Error> {
        let until = timeout.and_then(|t| Instant::now().checked_add(t));
        let mut looked = false;
        loop {
            if self.looked.elapsed() >= STALE && !self.heard.is_empty() {
                // who has much to hand out must not be taken for gone; an error comes behind it
                let _ = self.turn(Some(Instant::now()));
            }
            if let Some(event) = self.heard.pop() {
                return Ok(Some(event));
            }
            if looked && until.is_some_and(|u| Instant::now() >= u) {
                return Ok(None);
            }
            looked = true;
            let turned = self.turn(until);
            if self.heard.is_empty() {
                turned?;
            }
        }
    }

    /// Ends the session in order: when this returns the server has dealt with all that was
    /// said.
    ///
    /// # Errors
    /// Those of [`Session::flush`]. The session is over all the same.
    pub fn close(mut self) -> Result<(), Error> {
        let result = self.flush();
        let until = Instant::now() + GOODBYE;
        self.greedy = true;
        if self.is_up() && self.quit().is_ok() {
            while self.is_up() && !self.is_written() && Instant::now() < until && self.turn(Some(until)).is_ok() {}
        }
        result
    }

    fn quit(&mut self) -> Result<(), Error> {
        if std::mem::replace(&mut self.leaving, true) {
            return Ok(());
        }
        say::say(&Command::Quit, Fate::Dropped, self.options.max_line, &mut self.outbox)?;
        self.write();
        Ok(())
    }

    /// Says something.
    pub(super) fn tell(&mut self, command: &Command<'_>, fate: Fate) -> Result<(), Error> {
        self.alive()?;
        self.make_room()?;
        say::say(command, fate, self.options.max_line, &mut self.outbox)?;
        self.doubtful |= !matches!(command, Command::Ping | Command::NoPing | Command::Flush(_));
        if self.outbox.len() <= self.options.buffer {
            return Ok(());
        }
        self.write();
        if self.is_up() && self.looked.elapsed() < STALE {
            return Ok(());
        }
        self.turn(Some(Instant::now()))
    }

    /// Says something that is said again on each connection, or is of use on this one only:
    /// if there is none, it is only looked at.
    fn tell_here(&mut self, command: &Command<'_>) -> Result<(), Error> {
        if self.is_up() {
            return self.tell(command, Fate::Dropped);
        }
        say::say(command, Fate::Dropped, self.options.max_line, &mut Outbox::default())?;
        self.turn(Some(Instant::now()))
    }

    /// Waits until there is room for more, while there is a connection.
    pub(super) fn make_room(&mut self) -> Result<(), Error> {
        if self.outbox.len() < self.options.outbox {
            return Ok(());
        }
        let until = Instant::now() + self.options.timeout;
        self.greedily(|session| {
            while session.outbox.len() >= session.options.outbox {
                if !session.is_up() || Instant::now() >= until {
                    return Err(Error::Full(session.outbox.len()));
                }
                session.turn(Some(until))?;
            }
            Ok(())
        })
    }

    /// Does something for which what comes must be read, room for it or not: two that only
    /// write to each other would wait for ever.
    pub(super) fn greedily<R>(&mut self, what: impl FnOnce(&mut Self) -> R) -> R {
        self.greedy = true;
        let result = what(self);
        self.greedy = false;
        result
    }

    /// Why something was not there in time.
    pub(super) fn late(&self, timeout: Duration) -> Error {
        match self.is_up() {
            true => Error::TimedOut(timeout),
            false => Error::Lost { why: self.why.clone(), unsure: 0 },
        }
    }
}

impl Drop for Session {
    /// Hands over what the operating system takes at once, and leaves.
    fn drop(&mut self) {
        if self.refused.is_none() && self.is_up() {
            let _ = self.quit();
        }
        self.link.end();
    }
}

/// How much to add or subtract: a whole number, or a decimal one, for which the server reckons
/// with about 15 digits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step(String);

impl Step {
    /// As it is said behind a key: 1 is not said, unless the key could be taken for one with a
    /// step.
    fn after(&self, key: &[u8]) -> Option<&[u8]> {
        if self.0 == "1" && !key.contains(&b'=') { None } else { Some(self.0.as_bytes()) }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

macro_rules! step_from {
    ($($number:ty),*) => {
        $(impl From<$number> for Step {
            fn from(number: $number) -> Self {
                Step(number.to_string())
            }
        })*
    };
}

step_from!(i32, u32, i64, u64, f64);
