//! One connection at a time to the same place.
//!
//! Owns: the socket, attempts at all addresses of a host, and what the operating system has said
//! about reading and writing. Does not own when there is another attempt, nor what a connection
//! says first.
//!
//! A write that fails does not end the connection: what the other end said before is still there
//! to be read, and the end is told behind it.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::event::Event;
use mio::{Registry, Token};

use super::{Finder, Input, Outbox};
use crate::address::Address;
use crate::client::socket::{Socket, Target, look_up};
use crate::tls::Trust;

/// Octets that are written at once before the socket is looked at again.
const WRITE: usize = 256 << 10;

/// To a Unix socket whose queue of new connections is full, the next attempt comes after this.
const FULL: Duration = Duration::from_millis(10);

#[derive(Debug)]
pub(crate) struct Link {
    carrier: Address,
    trust: Trust,
    token: Token,
    /// How long an attempt may take.
    connecting: Duration,
    state: State,
    readable: bool,
    writable: bool,
    /// A write failed.
    broken: Option<String>,
    /// Since when the other end takes nothing.
    blocked: Option<Instant>,
    /// Since when the queue of new connections is full.
    full_since: Option<Instant>,
}

#[derive(Debug)]
enum State {
    /// Until then.
    Down(Instant),
    Dialing(Dialing),
    Up(Socket),
}

#[derive(Debug)]
struct Dialing {
    socket: Socket,
    /// Addresses of the host that are not tried yet in this attempt.
    targets: VecDeque<SocketAddr>,
    until: Instant,
}

/// What came of a read.
#[derive(Debug)]
pub(crate) enum Read {
    Some,
    Nothing,
    /// There will be no more, in words.
    End(String),
}

impl Link {
    /// Without a connection; the first attempt is due at that time.
    pub(crate) fn new(carrier: Address, trust: Trust, token: Token, connecting: Duration, first: Instant) -> Self {
        Link {
            carrier,
            trust,
            token,
            connecting,
            state: State::Down(first),
            readable: false,
            writable: false,
            broken: None,
            blocked: None,
            full_since: None,
        }
    }

    /// Whether there is a connection.
    pub(crate) fn is_up(&self) -> bool {
        matches!(self.state, State::Up(_))
    }

    /// Whether there may be something to read.
    pub(crate) fn is_readable(&self) -> bool {
        self.is_up() && self.readable
    }

    /// Since when the other end takes nothing.
    pub(crate) fn blocked(&self) -> Option<Instant> {
        self.blocked
    }

    /// Whether something that was written is not with the operating system yet.
    pub(crate) fn owes(&self) -> bool {
        matches!(&self.state, State::Up(socket) if socket.owes())
    }

    /// When something is due that no event tells. `None`: there is a connection.
    pub(crate) fn due(&self) -> Option<Instant> {
        match &self.state {
            State::Down(again) => Some(*again),
            State::Dialing(dialing) => Some(dialing.until),
            State::Up(_) => None,
        }
    }

    /// There is news of the socket.
    pub(crate) fn note(&mut self, event: &Event) {
        self.readable |= event.is_readable() || event.is_read_closed() || event.is_error();
        self.writable |= event.is_writable() || event.is_write_closed() || event.is_error();
    }

    /// Begins an attempt if it is time, unless `check` has something against the host's addresses.
    ///
    /// # Errors
    /// The attempt has come to nothing. The next one is due at once, unless [`Link::rest`] is called.
    pub(crate) fn dial(
        &mut self,
        registry: &Registry,
        check: impl FnOnce(&Address, &[SocketAddr]) -> io::Result<()>,
    ) -> io::Result<()> {
        let State::Down(again) = self.state else { return Ok(()) };
        if Instant::now() < again {
            return Ok(());
        }
        let targets = look_up(&self.carrier)?;
        check(&self.carrier, &targets)?;
        self.attempt(registry, targets.into(), Instant::now() + self.connecting, true)
    }

    /// With the first address left that lets one begin.
    fn attempt(
        &mut self,
        registry: &Registry,
        mut targets: VecDeque<SocketAddr>,
        until: Instant,
        is_first: bool,
    ) -> io::Result<()> {
        loop {
            let target = match (&self.carrier, targets.pop_front()) {
                (Address::Unix(path) | Address::TlsUnix(path), _) if is_first => Target::Path(path),
                (_, Some(target)) => Target::Inet(target),
                (_, None) => return Err(io::ErrorKind::AddrNotAvailable.into()),
            };
            match Socket::connect(&self.carrier, target, &self.trust, registry, self.token) {
                Ok(socket) => {
                    (self.readable, self.writable) = (false, false);
                    self.state = State::Dialing(Dialing { socket, targets, until });
                    return Ok(());
                }
                // of a Unix socket: its queue of new connections is full
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    let since = *self.full_since.get_or_insert_with(Instant::now);
                    if since.elapsed() > self.connecting {
                        self.full_since = None;
                        return Err(e);
                    }
                    self.rest(Instant::now() + FULL);
                    return Ok(());
                }
                Err(e) if targets.is_empty() => return Err(e),
                Err(_) => {}
            }
        }
    }

    /// Sees whether an attempt has come to something. `true`: there is a connection now.
    ///
    /// # Errors
    /// As [`Link::dial`].
    pub(crate) fn dialed(&mut self, registry: &Registry) -> io::Result<bool> {
        if !matches!(self.state, State::Dialing(_)) || !(self.readable || self.writable) {
            return Ok(false);
        }
        let State::Dialing(mut dialing) = std::mem::replace(&mut self.state, State::Down(Instant::now())) else {
            return Ok(false);
        };
        match dialing.socket.is_connected() {
            Ok(Some(())) => {
                self.state = State::Up(dialing.socket);
                // Behind a handshake the first octets may have come with its last ones.
                (self.readable, self.writable) = (true, true);
                self.full_since = None;
                return Ok(true);
            }
            Ok(None) => {
                (self.readable, self.writable) = (false, false);
                self.state = State::Dialing(dialing);
            }
            Err(problem) if dialing.targets.is_empty() => return Err(problem),
            Err(_) => self.attempt(registry, dialing.targets, dialing.until, false)?,
        }
        Ok(false)
    }

    /// What is wrong with an attempt that has taken too long.
    pub(crate) fn overdue(&self, now: Instant) -> Option<io::Error> {
        let State::Dialing(dialing) = &self.state else { return None };
        (now >= dialing.until)
            .then(|| io::Error::new(io::ErrorKind::TimedOut, format!("no connection within {:?}", self.connecting)))
    }

    /// No connection until then.
    pub(crate) fn rest(&mut self, until: Instant) {
        self.state = State::Down(until);
    }

    /// The connection is over, if there is one.
    pub(crate) fn hang_up(&mut self) {
        self.end();
        self.rest(Instant::now());
        (self.readable, self.writable) = (false, false);
        (self.broken, self.blocked) = (None, None);
    }

    /// Says that nothing more will come, where there are words for that.
    pub(crate) fn end(&mut self) {
        if let State::Up(socket) = &mut self.state {
            socket.end();
        }
    }

    /// One read. `who` is at the other end.
    pub(crate) fn read<F: Finder>(&mut self, input: &mut Input<F>, who: &str) -> Read {
        let State::Up(socket) = &mut self.state else { return Read::Nothing };
        match input.fill(|buf| socket.read(buf)) {
            Ok(0) => {
                self.readable = false;
                let inside = if input.is_inside() { " within a line" } else { "" };
                Read::End(format!("the {who} closed the connection{inside}"))
            }
            Ok(_) => Read::Some,
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                self.readable = false;
                self.broken.take().map_or(Read::Nothing, Read::End)
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => Read::Nothing,
            Err(e) => {
                self.readable = false;
                Read::End(e.to_string())
            }
        }
    }

    /// One write of what waits, `most` octets of it. Returns how many were taken; `None`: there is
    /// nothing to write, or the socket takes nothing.
    pub(crate) fn write(&mut self, out: &mut Outbox, most: usize) -> Option<usize> {
        let State::Up(socket) = &mut self.state else { return None };
        if !self.writable {
            return None;
        }
        let result = if socket.owes() {
            socket.push().map(|all| all.then_some(0))
        } else {
            let waiting = out.waiting();
            let now = &waiting[..waiting.len().min(most).min(WRITE)];
            if now.is_empty() {
                return None;
            }
            socket.write(now).map(|n| (n > 0).then_some(n))
        };
        match result {
            Ok(Some(n)) => {
                self.blocked = None;
                out.taken(n);
                return Some(n);
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => return Some(0),
            Err(e) if e.kind() != io::ErrorKind::WouldBlock => {
                self.broken = Some(e.to_string());
                (self.readable, self.writable) = (true, false);
            }
            Ok(None) | Err(_) => {
                self.writable = false;
                self.blocked.get_or_insert_with(Instant::now);
            }
        }
        None
    }
}
