//! What the node does about messages of the Communicator (`wire/communicator.md`).
//!
//! Owns: whom a message is for, which right each command needs, what is answered, and what this
//! dialect has that no other has: broadcasts to who has announced a command, news of services,
//! the state of the clock, the load. Names, memberships, mail and questions are the bus's: here
//! is only the way to them. Does not own what messages look like (`dialect/communicator`).
//!
//! | file | owns |
//! |---|---|
//! | `register.rs` | from the connection to a service and its commands (sections 3.1 to 3.5) |
//! | `commands.rs` | what is said to the server itself (section 3.10) |
//! | `send.rs` | messages to services, broadcasts, what their senders are told (sections 2 and 3.7) |
//! | `run.rs` | messages that begin alike |
//! | `wait.rs` | messages that wait for a service (section 3.6) |
//! | `ask.rs` | questions and their answers |
//! | `services.rs` | who is told which services there are (section 3.8) |
//! | `sights.rs` | what monitors are shown |
//! | `state.rs` | clock, cluster, load (sections 4.8 to 4.10) |

mod ask;
mod commands;
mod register;
mod run;
mod send;
mod services;
#[cfg(feature = "sniff")]
mod sights;
mod state;
#[cfg(test)]
mod tests;
mod wait;

use super::faults::fault;
use super::policy::Class;
use super::stations::Life;
use super::{Counter, Newcomer, Reason, Router, Transport};
use crate::dialect::communicator::command::{Announced, Command};
use crate::dialect::communicator::name;
use crate::dialect::communicator::repr::{Fault, Message};
use crate::dialect::communicator::route::To;
use crate::dialect::communicator::say::Line;
use crate::dialect::communicator::{udp, words};
use crate::dialect::{Dialect, Session};
use crate::id::StationId;
use crate::limits::MAX_NAME;
use crate::model::Code;
use crate::time::Instant;
use core::fmt::Write as _;

pub use state::Clock;

/// What is known of one station of this dialect.
#[derive(Debug)]
pub(crate) struct Own {
    /// Row of the name that it has registered; 0: none.
    service: u32,
    /// Row of the name that it wants to have, held, while its password is looked at; 0: none.
    wanted: u32,
    /// When it registered, in seconds since 1970.
    up_since: u64,
    /// What it understands, of what the page names.
    announced: Announced,
    /// It wants to be told the load.
    wants_load: bool,
    /// How often it was told all services, and in which second.
    listed: (u64, u8),
}

impl Own {
    pub(crate) const EMPTY: Own =
        Own { service: 0, wanted: 0, up_since: 0, announced: Announced::NONE, wants_load: false, listed: (0, 0) };
}

/// What somebody who may has told the shell to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Control {
    /// Open log files anew.
    LogRotate,
    /// Read the configuration anew.
    Reload,
}

/// What the node knows for all stations of this dialect.
#[derive(Debug)]
pub(crate) struct Node {
    clock: Clock,
    /// Load for each processor in hundredths, as it was last told.
    load: Option<u32>,
    /// How many want to be told.
    load_wanted: u32,
    /// Who wants log files to be opened anew.
    rotate: Option<StationId>,
    /// Who wants the configuration to be read anew.
    reload: Option<StationId>,
    /// Who has said something that was thrown away last, and why.
    misheard: Option<(StationId, &'static str)>,
    alike: run::Alike,
    /// How far the time of day is ahead of the calendar that values go by, in microseconds.
    ahead: i64,
}

impl Node {
    pub(crate) const fn new() -> Self {
        Node {
            clock: Clock::Checking,
            load: None,
            load_wanted: 0,
            rotate: None,
            reload: None,
            misheard: None,
            alike: run::Alike::NONE,
            ahead: 0,
        }
    }
}

/// Octets of a name as clients write it.
type Written = heapless::Vec<u8, { name::MAX_WRITTEN }>;

/// From whom a message is.
#[derive(Debug, Default)]
struct Source<'m> {
    server: &'m [u8],
    service: Written,
}

impl Source<'_> {
    fn pair(&self) -> (&[u8], &[u8]) {
        (self.server, &self.service)
    }
}

/// How names of announced commands begin: they are no services.
const ANNOUNCED: &str = "./";

/// The name on the bus of whoever has announced a command. `None`: it is too long for one.
fn announcers(command: &str) -> Option<heapless::String<MAX_NAME, u8>> {
    let mut name = heapless::String::new();
    write!(name, "{ANNOUNCED}{command}").ok().map(|()| name)
}

impl<'s> Router<'s> {
    /// A connection has come. Returns whether it has to say who it is before anything else.
    pub(super) fn begin_communicator(&mut self, n: u32, new: Newcomer) -> bool {
        let Session::Communicator(session) = &mut self.stations[n].session else { return false };
        if new.transport == Transport::Datagram {
            session.in_datagrams();
            let st = &mut self.stations[n];
            // nothing can be said to whoever sends them
            st.max_frame = 1;
            let _ = st.name.push_str("signals");
            return false;
        }
        new.grant.rights.is_empty()
    }

    /// A message of station `n`, in this line.
    pub(super) fn message(&mut self, n: u32, m: &Message<'_>, line: &[u8]) {
        let to = To::of(m, self.settings.communicator.server.as_bytes());
        let st = &self.stations[n];
        let may_run = matches!(to, To::Service { .. } | To::Everybody(_)) && st.debts.first == 0;
        if !may_run || st.datagram || st.life == Life::New {
            self.end_run();
        }
        if self.stations[n].life == Life::New {
            return self.before_password(n, m, to);
        }
        if self.stations[n].datagram
            && let Err(why) = udp::check(m, line.len(), self.settings.communicator.secret)
        {
            self.communicator.misheard = Some((self.stations.id(n), why.text()));
            return self.counters.one(Counter::DatagramsDropped);
        }
        if self.answers(n, m, to) {
            return;
        }
        #[cfg(feature = "sniff")]
        if self.sniffed() {
            self.see_message(n, m, to);
        }
        match to {
            To::Daemon => self.command(n, m),
            To::Everybody(_) => self.broadcast(n, m, line),
            To::Service { service, reach } => self.say_to_service(n, m, (service, reach), line),
            To::Daemons(_) => self.is_lost(n, m),
            To::Contradiction => self.invalid(n, m, "a broadcast to one server only: broadcasts have none"),
        }
    }

    /// A line that is no message: its sender is told, and goes on.
    pub(super) fn fault(&mut self, n: u32, fault: Fault) {
        self.counters.one(Counter::Malformed);
        self.see_outcome(n, 0, Code::BadRequest, fault.text());
        self.communicator.misheard = Some((self.stations.id(n), fault.text()));
        self.tell_line(n, &Line::Invalid { command: b"", message: fault.text() }, (b"", b""));
    }

    /// Something that makes no sense, or is not permitted. Nobody is closed for it.
    fn invalid(&mut self, n: u32, m: &Message<'_>, message: &str) {
        self.counters.one(Counter::BadRequest);
        self.see_outcome(n, 0, Code::BadRequest, message);
        self.say_invalid(n, m, message);
    }

    /// The same for want of a right. Who sends datagrams cannot be told, so it is kept for the log.
    fn refused(&mut self, n: u32, m: &Message<'_>, message: &'static str) {
        if self.stations[n].datagram {
            self.communicator.misheard = Some((self.stations.id(n), message));
        }
        self.counters.one(Counter::Refused);
        self.see_outcome(n, 0, Code::Refused, message);
        self.say_invalid(n, m, message);
    }

    fn say_invalid(&mut self, n: u32, m: &Message<'_>, message: &str) {
        // answers to answers would go to and fro for ever
        if !Command::of(m.command).is_some_and(Command::is_answer) && !fault!(self, InvalidUnsaid) {
            self.tell_line(n, &Line::Invalid { command: m.command, message }, (b"", b""));
        }
    }

    /// Says a line of the server's own to station `n`.
    fn tell_line(&mut self, n: u32, line: &Line<'_>, to: (&[u8], &[u8])) {
        self.end_run();
        if self.stations[n].datagram {
            return self.counters.one(Counter::Unanswerable);
        }
        let said = words::line(self.here(), line, to, self.encode).filter(|len| *len > 0).or_else(|| {
            // it repeats what no message can hold, or what is too long
            let message =
                if let Line::Invalid { message, .. } = line { message } else { "no answer can be written to that" };
            words::line(self.here(), &Line::Invalid { command: b"", message }, (b"", b""), self.encode)
        });
        match said {
            Some(len) => _ = self.post(n, len, Class::Owed),
            None => self.counters.one(Counter::DroppedTooBig),
        }
    }

    /// From whom a message of station `n` is. Who has registered is what it registered as. Of
    /// others what they say themselves is taken, unless they say they are somebody else (weak
    /// point W5).
    fn source<'m>(&self, n: u32, m: &Message<'m>) -> Source<'m>
    where
        's: 'm,
    {
        let mut service = Written::new();
        let row = self.stations[n].communicator.service;
        if row != 0 {
            let (mut spare, text) = (None, self.names.row(row).text());
            let written = match name::plain(text.as_bytes()) {
                Some(text) => text.as_bytes(),
                None => name::from_bus(text, spare.insert([0; name::MAX_WRITTEN])).unwrap_or_default(),
            };
            // it is as long as names are written at most
            let _ = service.extend_from_slice(written);
            return Source { server: self.settings.communicator.server.as_bytes(), service };
        }
        let mut spare = [0; MAX_NAME];
        let is_free = name::is_name(m.from_service)
            && words::station(m.from_service).is_none()
            && name::to_bus(m.from_service, &mut spare).is_ok_and(|name| self.is_nobodys(name));
        let is_server = m.from_server.is_empty() || (name::is_name(m.from_server) && m.from_server.len() <= MAX_NAME);
        if is_free && is_server {
            // a name that was read is short enough
            let _ = service.extend_from_slice(m.from_service);
            return Source { server: m.from_server, service };
        }
        Source::default()
    }

    /// Whether nobody has joined a name, and nothing may wait for it.
    fn is_nobodys(&self, name: &str) -> bool {
        self.names.find(name).is_none_or(|row| !self.names.row(row).is_listed())
    }

    /// A station goes, and with it what it wanted.
    pub(super) fn end_communicator(&mut self, n: u32) {
        self.forget_load(n);
        let wanted = core::mem::take(&mut self.stations[n].communicator.wanted);
        if wanted != 0 {
            self.names.release(wanted);
        }
    }

    /// What a station of this dialect is told last. `None`: it is told as others are.
    pub(super) fn last_line(&mut self, n: u32, why: Reason) -> Option<Option<usize>> {
        let st = &self.stations[n];
        if st.session.dialect() != Dialect::Communicator {
            return None;
        }
        let announced = st.communicator.announced;
        let line = match why {
            _ if st.datagram => return Some(None),
            Reason::Stopping if announced.has(Command::Disconnecting) => Line::Disconnecting,
            Reason::Stopping if announced.has(Command::Quitting) => Line::Quitting,
            // it has been told already, or nothing is to be told
            Reason::Stopping | Reason::Denied | Reason::Credentials | Reason::Unchecked | Reason::Malformed => {
                return Some(None);
            }
            _ => return None,
        };
        Some(words::line(self.here(), &line, (b"", b""), self.encode))
    }

    /// What somebody who may has asked for, each told once: to be called until it is `None`.
    pub fn control_asked(&mut self) -> Option<(Control, StationId)> {
        let node = &mut self.communicator;
        let rotate = node.rotate.take().map(|id| (Control::LogRotate, id));
        rotate.or_else(|| node.reload.take().map(|id| (Control::Reload, id)))
    }

    /// Who has said something last that is no message, or a datagram that is not acted upon,
    /// and why it was thrown away; told once. All of them are counted.
    pub fn misheard(&mut self) -> Option<(StationId, &'static str)> {
        self.communicator.misheard.take()
    }

    /// What time it is, in microseconds since 1970: for what clients of this dialect are told.
    /// Unlike [`Router::set_calendar`] it changes no times of values, which have to go on in
    /// the order that they had, and so may be told whenever the clock has been set.
    pub fn set_time_of_day(&mut self, now: Instant, micros: u64) {
        self.clock(now);
        let by_values = self.epoch.saturating_add(self.now.millis().saturating_mul(1000));
        self.communicator.ahead = micros.cast_signed().saturating_sub(by_values.cast_signed());
    }

    /// The calendar, in seconds and nanoseconds since 1970.
    fn calendar_nanos(&self) -> i64 {
        let micros = self.epoch.saturating_add(self.now.millis().saturating_mul(1000));
        let micros = micros.saturating_add_signed(self.communicator.ahead);
        i64::try_from(micros.saturating_mul(1000)).unwrap_or(i64::MAX)
    }

    fn calendar_seconds(&self) -> u64 {
        self.calendar_nanos().unsigned_abs() / 1_000_000_000
    }
}
