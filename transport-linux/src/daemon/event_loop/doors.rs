//! What comes in: connections and datagrams that become stations or are told why not.
//!
//! Owns: accepting, refusing, and resting when nothing can be accepted.

use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};

use chappe_core::dialect::Dialect;
use chappe_core::dialect::clacks::Role;
use chappe_core::id::StationId;
use chappe_core::router::{Grant, Newcomer, Transport};
use chappe_core::time::{Duration, Instant};
use tracing::{Level, debug, enabled, warn};

use super::{DATAGRAM, EventLoop};
use crate::daemon::connection::{Connection, Kind, Who};
use crate::daemon::listener::{Door, Listener};
use crate::daemon::peers::{Peer, token};
use crate::daemon::secure::Secure;
use crate::daemon::words;
use crate::sys;

/// Connections that one listener takes in a turn.
const ACCEPTS: usize = 64;

/// Datagrams that one socket takes in a turn.
const DATAGRAMS: usize = 64;

/// How long a listener rests when nothing can be accepted.
const REST: Duration = Duration::from_millis(100);

/// What a listener is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DoorState {
    /// Waiting for an event.
    Quiet,
    /// In the ready list.
    Queued,
    /// Nothing can be accepted for a while.
    Resting,
}

/// What became of an attempt to refuse a connection.
enum Refused {
    One,
    NobodyWaits,
    Failed,
}

/// Where a connection came from, for the log.
#[derive(Debug)]
pub(super) enum From {
    Network(SocketAddr),
    Here,
}

impl From {
    pub(super) fn address(&self) -> Option<SocketAddr> {
        match self {
            From::Network(address) => Some(*address),
            From::Here => None,
        }
    }
}

impl std::fmt::Display for From {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            From::Network(address) => address.fmt(f),
            From::Here => f.write_str("this machine"),
        }
    }
}

impl EventLoop<'_> {
    pub(super) fn open_doors(&mut self, now: Instant) {
        self.doors.begin_turn();
        while let Some(i) = self.doors.next() {
            self.door_states[usize::from(i)] = DoorState::Quiet;
            match self.listeners.get(usize::from(i)).map(|l| &l.source) {
                Some(Door::Tcp(_) | Door::Unix(..)) => self.accept(now, i),
                Some(Door::Udp(_)) if self.listeners[usize::from(i)].is_signals() => self.read_signals(now, i),
                Some(Door::Udp(_)) => self.read_datagrams(now, i),
                Some(Door::Serial { .. }) => self.read_line(now, i),
                Some(Door::Closed) => {}
                None => self.read_questions(now, i),
            }
        }
    }

    /// A listener has something, or is not done: once in the list is enough, and one that
    /// rests will look for itself.
    pub(super) fn push_door(&mut self, i: u16) {
        if let Some(state @ DoorState::Quiet) = self.door_states.get_mut(usize::from(i)) {
            *state = DoorState::Queued;
            self.doors.push(i);
        }
    }

    fn accept(&mut self, now: Instant, i: u16) {
        for _ in 0..ACCEPTS {
            match self.accept_one(i) {
                Ok((fd, kind, from)) if self.has_spare() => {
                    self.counts.accepted += 1;
                    self.welcome(now, fd, kind, i, from);
                }
                // This is the last descriptor, which nobody is given: another thread had a file
                // open while the spare one was in use.
                Ok((fd, kind, from)) => {
                    self.turn_away(now, fd, kind, i, &from, &"all file descriptors are in use");
                    self.take_spare(now);
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return,
                Err(e) if sys::is_exhaustion(&e) => match self.refuse_one(now, i, &e) {
                    Refused::One => {}
                    Refused::NobodyWaits => return,
                    Refused::Failed => return self.rest(now, i, &e),
                },
                Err(e) if sys::is_that_ones_fault(&e) => self.counts.accept_failures += 1,
                Err(e) => {
                    self.counts.accept_failures += 1;
                    return self.rest(now, i, &e);
                }
            }
        }
        self.push_door(i);
    }

    fn accept_one(&self, i: u16) -> io::Result<(OwnedFd, Kind, From)> {
        match &self.listeners[usize::from(i)].source {
            Door::Tcp(socket) => socket.accept().map(|(s, from)| (s.into(), Kind::Tcp, From::Network(from))),
            Door::Unix(socket, _) => socket.accept().map(|(s, _)| (s.into(), Kind::Unix, From::Here)),
            Door::Udp(_) | Door::Serial { .. } | Door::Closed => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    /// A connection has come: it becomes a station, or is told why not.
    fn welcome(&mut self, now: Instant, fd: OwnedFd, kind: Kind, i: u16, from: From) {
        let known = self.know(&fd, kind, i);
        let mut connection = Connection::new(fd, i, kind);
        let dialect = self.listeners[usize::from(i)].dialect;
        let (grant, who) = match known {
            Ok(known) => known,
            // Who cannot be known may be somebody who must not do what strangers may.
            Err(e) => {
                self.counts.accept_failures += 1;
                warn!(event = "connection.refused", from = %from, reason = "credentials", detail = %e, "refused");
                return connection.refuse(&[], &mut self.buffer);
            }
        };
        connection.who = who;
        if let Some(config) = self.listeners[usize::from(i)].tls.clone() {
            return self.begin_handshake(now, connection, grant, from, &config);
        }
        let id = match self.admit(now, i, Transport::Stream, grant, from.address()) {
            Some(id) => id,
            None => {
                self.refused_full(now, &from);
                return connection.refuse(words::full(dialect), &mut self.buffer);
            }
        };
        if let Err(e) = connection.register(self.poll.registry(), token(id)) {
            self.router.closed(now, id);
            self.counts.accept_failures += 1;
            warn!(event = "connection.refused", from = %from, reason = "epoll", detail = %e, "refused");
            return connection.refuse(words::full(dialect), &mut self.buffer);
        }
        self.log_opened(id, i, &from, Some(&connection));
        self.peers.insert(id, Peer::Stream(connection));
    }

    /// Who has connected, and what they may do before they say anything: that of the user
    /// they run as, if that one is known, else what strangers may.
    fn know(&self, fd: &OwnedFd, kind: Kind, i: u16) -> io::Result<(Grant, Who)> {
        if kind != Kind::Unix {
            return Ok((self.strangers(i), Who::STRANGER));
        }
        let (uid, group) = match sys::peer(fd.as_fd()) {
            Ok(known) => known,
            Err(e) if self.users.knows_peers() => return Err(e),
            // Only the log would have said it.
            Err(_) => return Ok((self.strangers(i), Who::STRANGER)),
        };
        let grant = self.users.by_peer(uid, group);
        Ok((grant.unwrap_or_else(|| self.strangers(i)), Who::process(uid, grant.map(|g| g.number))))
    }

    pub(super) fn strangers(&self, i: u16) -> Grant {
        Grant::anonymous(self.listeners[usize::from(i)].rights)
    }

    pub(super) fn log_opened(&self, id: StationId, i: u16, from: &From, connection: Option<&Connection>) {
        if enabled!(Level::DEBUG) {
            let Listener { address, dialect, .. } = &self.listeners[usize::from(i)];
            let who = connection.map_or(Who::STRANGER, |c| c.who);
            let (user, uid) = (self.user_name(id, who), who.uid());
            let tls = connection.and_then(Connection::secure).map(Secure::about);
            let (station, dialect, name) = (id.number(), dialect.name(), self.router.station_name(id));
            debug!(
                event = "connection.opened", station, dialect, name, user, uid, tls, from = %from, listener = %address,
                "opened"
            );
        }
    }

    /// The user that somebody is by what they said or, else, by how they came; empty: none.
    pub(super) fn user_name(&self, id: StationId, who: Who) -> String {
        self.users.seated(id).or(who.user()).and_then(|number| self.users.name(number)).unwrap_or_default()
    }

    pub(super) fn admit(
        &mut self,
        now: Instant,
        i: u16,
        transport: Transport,
        grant: Grant,
        peer: Option<SocketAddr>,
    ) -> Option<StationId> {
        if !self.has_room() {
            return None;
        }
        let max_frame = if transport == Transport::Datagram { DATAGRAM as u32 } else { 0 };
        let dialect = self.listeners[usize::from(i)].dialect;
        let id =
            self.router.admit(now, Newcomer { dialect, transport, grant, max_frame, peer, role: Role::Client }).ok()?;
        if dialect == Dialect::Msgq && self.host.is_empty() {
            let (_, host) = self.router.station_name(id).split_once('@').unwrap_or_default();
            self.host = host.to_owned();
        }
        Some(id)
    }

    /// Whether there is a place for one more, if all who are in their handshake get through.
    pub(super) fn has_room(&self) -> bool {
        let taken = self.peers.open() + self.handshakes.len();
        self.leave_by.is_none() && taken < self.limits.stations as usize
    }

    pub(super) fn refused_full(&mut self, now: Instant, from: &From) {
        self.counts.refused_full += 1;
        self.log_refusal(now, "full", from, "there is no room for another station: raise limits.stations");
    }

    /// One line a second: whoever is refused tends to come back at once.
    fn log_refusal(&mut self, now: Instant, reason: &'static str, from: &From, what: &str) {
        if now >= self.refused_log {
            self.refused_log = now + Duration::from_secs(1);
            warn!(
                event = "connection.refused",
                reason,
                from = %from,
                so_far = self.counts.refused_full + self.counts.refused_descriptors + self.counts.datagrams_refused,
                "{what}"
            );
        }
    }

    /// Descriptors have run out: one connection is accepted on the spare one, told so and
    /// ended. The kernel says that there are no descriptors before it looks whether anybody
    /// waits, so only this finds out whether there is more to do.
    fn refuse_one(&mut self, now: Instant, i: u16, why: &io::Error) -> Refused {
        let had_spare = self.spare.take().is_some();
        let result = match self.accept_one(i) {
            Ok((fd, kind, from)) => {
                self.turn_away(now, fd, kind, i, &from, why);
                Refused::One
            }
            Err(e) if e.kind() == io::ErrorKind::WouldBlock && had_spare => Refused::NobodyWaits,
            Err(_) => Refused::Failed,
        };
        self.take_spare(now);
        result
    }

    /// Tells a newcomer that there is no descriptor for it, and ends it.
    fn turn_away(&mut self, now: Instant, fd: OwnedFd, kind: Kind, i: u16, from: &From, why: &dyn std::fmt::Display) {
        self.counts.refused_descriptors += 1;
        let dialect = self.listeners[usize::from(i)].dialect;
        Connection::new(fd, i, kind).refuse(words::out_of_descriptors(dialect), &mut self.buffer);
        let what = format!("{why}: raise limits.descriptors and `ulimit -n`");
        self.log_refusal(now, "descriptors", from, &what);
    }

    /// Whether there is a descriptor left to tell newcomers that there are none.
    pub(super) fn has_spare(&mut self) -> bool {
        if self.spare.is_none() {
            self.spare = File::open("/dev/null").ok();
        }
        self.spare.is_some()
    }

    /// Opens the spare one again, or else tries again in a while.
    fn take_spare(&mut self, now: Instant) {
        if !self.has_spare() {
            self.rest_until = self.rest_until.or(Some(now + REST));
        }
    }

    /// Nothing can be accepted: not again before a while, instead of spinning.
    pub(super) fn rest(&mut self, now: Instant, i: u16, why: &io::Error) {
        self.counts.accept_pauses += 1;
        self.door_states[usize::from(i)] = DoorState::Resting;
        self.rest_until = self.rest_until.or(Some(now + REST));
        self.log_refusal(now, "accept", &From::Here, &format!("nothing can be accepted: {why}"));
    }

    fn read_datagrams(&mut self, now: Instant, i: u16) {
        for _ in 0..DATAGRAMS {
            let Some((n, from)) = self.next_datagram(now, i) else { return };
            if n > self.settings.max_frame {
                self.counts.datagrams_too_long += 1;
                continue;
            }
            let id = match self.sources[usize::from(i)].get(&from) {
                Some(&id) => id,
                None => match self.new_source(now, i, from) {
                    Some(id) => id,
                    None => continue,
                },
            };
            if self.waits(id) {
                self.counts.datagrams_early += 1;
                continue;
            }
            self.hear_datagram(now, id, n);
        }
        self.push_door(i);
    }

    /// Reads one datagram into the buffer. `None`: there is none for now.
    pub(super) fn next_datagram(&mut self, now: Instant, i: u16) -> Option<(usize, SocketAddr)> {
        loop {
            let Door::Udp(socket) = &self.listeners[usize::from(i)].source else { return None };
            match socket.recv_from(&mut self.buffer) {
                Ok((n, from)) => {
                    self.counts.datagrams_received += 1;
                    self.counts.read_bytes += n as u64;
                    return Some((n, from));
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return None,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => {
                    self.rest(now, i, &e);
                    return None;
                }
            }
        }
    }

    /// What a station says in a datagram stands in the buffer.
    pub(super) fn hear_datagram(&mut self, now: Instant, id: StationId, n: usize) {
        self.gathered += n;
        self.hear(now, id, n);
        if self.gathered >= self.gather {
            self.flush(now);
        }
    }

    fn new_source(&mut self, now: Instant, i: u16, from: SocketAddr) -> Option<StationId> {
        let grant = self.strangers(i);
        let has_room = self.peers.datagrams() < self.limits.datagram_stations as usize;
        let id = if has_room { self.admit(now, i, Transport::Datagram, grant, Some(from)) } else { None };
        let Some(id) = id else {
            self.counts.datagrams_refused += 1;
            // No answer: its size would be free for a forged source to ask for.
            self.log_refusal(now, "full", &From::Network(from), "there is no room for another datagram station");
            return None;
        };
        self.sources[usize::from(i)].insert(from, id);
        self.peers.insert(id, Peer::Datagram(i, from));
        self.log_opened(id, i, &From::Network(from), None);
        Some(id)
    }
}
