//! One connection in an event loop: the core's client, a socket, and nothing that blocks
//! but the look-up of a host name.
//!
//! Owns: what stands between the core's wishes and the socket, for one station. Does not own
//! the poll: several links share one (`chappe bench` does), or a
//! [`Connection`](super::Connection) has it alone.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use chappe_core::client::{Client, Event, Inbox, Memory, Wish};
use chappe_core::dialect::messi::wire::HEADER;
use chappe_core::time;
use mio::{Registry, Token};

use super::Options;
use super::memory::{self, Lent, Sizes};
use super::socket::{Socket, Target, look_up};
use crate::address::Address;
use crate::tls::Trust;

/// Octets read at once.
const READ: usize = 64 * 1024;

/// Reads a turn: a link that is flooded lets the others have theirs.
const READS: usize = 16;

#[derive(Debug)]
enum State {
    Down,
    Connecting(Socket),
    Up(Socket),
}

/// A station in somebody's event loop.
///
/// After each wake-up: [`Link::ready`] for the events with its token, then [`Link::turn`];
/// and [`Link::turn`] again when [`Link::deadline`] has passed. What happened is given to the
/// closure, which may use the client that it gets with it.
#[derive(Debug)]
pub struct Link {
    client: Client<'static>,
    inbox: Inbox<'static>,
    address: Address,
    trust: Trust,
    /// Addresses of the host that are not tried yet in this attempt.
    targets: VecDeque<SocketAddr>,
    state: State,
    readable: bool,
    writable: bool,
    buf: Box<[u8]>,
    began: Instant,
    problem: Option<io::Error>,
}

impl Link {
    /// Does nothing yet: the first [`Link::turn`] begins to connect. Its memory is as large
    /// as the options say, and committed as it is used.
    pub fn new(address: Address, options: &Options) -> Self {
        let lent = Lent::new(Sizes {
            outbox: options.outbox,
            script: options.script,
            calls: options.calls,
            inbox: options.max_frame.saturating_sub(HEADER),
        });
        let core = chappe_core::client::Options {
            name: memory::text(&options.name),
            user: memory::text(&options.user),
            software: memory::text(&options.software),
            token: memory::bytes(&options.token),
            max_frame: u32::try_from(options.max_frame).unwrap_or(0),
            silence: span(options.silence),
            call_timeout: span(options.timeout),
            connect_timeout: span(options.timeout),
            hello_timeout: span(options.timeout),
            backoff_min: span(options.backoff_min),
            backoff_max: span(options.backoff_max),
            seed: options.seed.unwrap_or_else(random),
        };
        let began = Instant::now();
        Link {
            client: Client::new(lent.client, core, time::Instant::ZERO),
            inbox: Inbox::new(lent.inbox),
            address,
            trust: options.trust.clone(),
            targets: VecDeque::new(),
            state: State::Down,
            readable: false,
            writable: false,
            buf: vec![0; READ].into_boxed_slice(),
            began,
            problem: None,
        }
    }

    /// The core's client.
    pub fn client(&mut self) -> &mut Client<'static> {
        &mut self.client
    }

    /// Now, as the core's client counts it.
    pub fn now(&self) -> time::Instant {
        time::Instant::from_millis(self.began.elapsed().as_millis() as u64)
    }

    /// What the operating system said when the connection last ended or could not be made.
    pub fn problem(&self) -> Option<&io::Error> {
        self.problem.as_ref()
    }

    /// As [`Link::problem`], and forgets it.
    pub fn take_problem(&mut self) -> Option<io::Error> {
        self.problem.take()
    }

    /// Whether a turn would find something to read without the poll's saying so.
    pub fn is_pending(&self) -> bool {
        self.readable && matches!(self.state, State::Up(_))
    }

    /// Whether goodbye was said and done.
    pub fn is_over(&self) -> bool {
        match &self.state {
            State::Down => self.client.wish(self.now()) == Wish::Stop,
            // there is no end of a connection to wait for
            State::Up(socket) => socket.is_datagram() && self.client.is_leaving() && self.is_flushed(),
            State::Connecting(_) => false,
        }
    }

    /// Frames that came and were longer than `max_frame`.
    pub fn skipped(&self) -> u32 {
        self.inbox.skipped()
    }

    /// The poll has an event with this link's token.
    pub fn ready(&mut self, event: &mio::event::Event) {
        self.readable |= event.is_readable() || event.is_read_closed() || event.is_error();
        self.writable |= event.is_writable() || event.is_write_closed() || event.is_error();
    }

    /// When the next turn is due at the latest.
    pub fn deadline(&self) -> Option<Instant> {
        self.client.deadline().and_then(|d| self.began.checked_add(Duration::from_millis(d.millis())))
    }

    /// Does what can be done without waiting. `true`: there is more to do at once.
    pub fn turn(
        &mut self,
        registry: &Registry,
        token: Token,
        mut on: impl FnMut(&mut Client<'static>, Event<'_>),
    ) -> bool {
        self.connecting(registry, token);
        let more = self.read(&mut on);
        loop {
            let now = self.now();
            while let Some(event) = self.client.tick(now) {
                on(&mut self.client, event);
            }
            match self.client.wish(now) {
                Wish::Connect if matches!(self.state, State::Down) => {
                    self.targets.clear();
                    self.problem = None;
                    self.client.connecting(now);
                    self.connect(registry, token, true);
                }
                Wish::Close => self.down(None),
                Wish::Stop if !matches!(self.state, State::Down) => self.down(None),
                Wish::Connect | Wish::Stay | Wish::Stop => break,
            }
        }
        self.flush();
        more || self.is_pending()
    }

    /// Begins an attempt with the first address left that lets one begin.
    fn connect(&mut self, registry: &Registry, token: Token, look: bool) {
        if look {
            match look_up(&self.address) {
                Ok(found) => self.targets.extend(found),
                Err(error) => return self.down(Some(error)),
            }
        }
        loop {
            let begun = match (&self.address, self.targets.pop_front()) {
                (Address::Unix(path) | Address::TlsUnix(path), _) if look => {
                    Socket::connect(&self.address, Target::Path(path), &self.trust, registry, token)
                }
                (_, Some(target)) => Socket::connect(&self.address, Target::Inet(target), &self.trust, registry, token),
                _ => return self.down(None),
            };
            match begun {
                Ok(socket) => {
                    (self.readable, self.writable) = (false, socket.is_datagram());
                    self.state = State::Connecting(socket);
                    if !self.writable {
                        return;
                    }
                    return self.connecting(registry, token);
                }
                Err(error) if self.targets.is_empty() => return self.down(Some(error)),
                Err(error) => self.problem = Some(error),
            }
        }
    }

    /// Sees whether an attempt has come to something.
    fn connecting(&mut self, registry: &Registry, token: Token) {
        if !(self.writable || self.readable) || !matches!(self.state, State::Connecting(_)) {
            return;
        }
        let State::Connecting(mut socket) = std::mem::replace(&mut self.state, State::Down) else { return };
        match socket.is_connected() {
            Ok(Some(())) => {
                self.state = State::Up(socket);
                // Behind a handshake the first bytes may have come with its last ones.
                (self.readable, self.writable) = (true, true);
                self.problem = None;
                self.inbox.clear();
                let now = self.now();
                self.client.connected(now);
            }
            Ok(None) => {
                (self.readable, self.writable) = (false, false);
                self.state = State::Connecting(socket);
            }
            Err(error) => {
                drop(socket);
                self.problem = Some(error);
                self.connect(registry, token, false);
            }
        }
    }

    /// There is no connection any more.
    fn down(&mut self, problem: Option<io::Error>) {
        if let State::Up(mut socket) = std::mem::replace(&mut self.state, State::Down) {
            socket.end();
        }
        if problem.is_some() {
            self.problem = problem;
        }
        let now = self.now();
        self.client.disconnected(now);
    }

    fn read(&mut self, on: &mut impl FnMut(&mut Client<'static>, Event<'_>)) -> bool {
        if !self.readable {
            return false;
        }
        for _ in 0..READS {
            let now = self.now();
            let State::Up(socket) = &mut self.state else { return false };
            let n = match socket.read(&mut self.buf) {
                Ok(0) if !socket.is_datagram() => {
                    self.readable = false;
                    self.down(None);
                    return false;
                }
                Ok(n) => n,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    self.readable = false;
                    return false;
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => {
                    self.down(Some(e));
                    return false;
                }
            };
            if socket.is_datagram() {
                self.inbox.clear();
            }
            let mut input = &self.buf[..n];
            loop {
                match self.inbox.take(&mut input) {
                    Ok(Some(frame)) => {
                        if let Some(event) = self.client.handle(now, frame) {
                            on(&mut self.client, event);
                        }
                    }
                    Ok(None) => break,
                    Err(_) => {
                        self.client.hopeless();
                        break;
                    }
                }
            }
        }
        true
    }

    /// Writes what the socket takes. Also to be called after the client was given something
    /// outside of a turn; what the socket then says about the connection is found out in the
    /// next turn.
    pub fn flush(&mut self) {
        while let State::Up(socket) = &mut self.state {
            let out = if socket.is_datagram() { self.client.output_frame() } else { self.client.output() };
            if !self.writable || (out.is_empty() && !socket.owes()) {
                return;
            }
            let n = out.len();
            let result = match socket.owes() {
                true => socket.push().and_then(|all| if all { Ok(0) } else { Err(io::ErrorKind::WouldBlock.into()) }),
                false => socket.write(out),
            };
            match result {
                Ok(written) => self.client.sent(written),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => self.writable = false,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                // One that no datagram can hold is lost, like any datagram may be.
                Err(e) if socket.is_datagram() && e.raw_os_error() == Some(libc::EMSGSIZE) => {
                    self.problem = Some(e);
                    self.client.sent(n);
                }
                Err(e) => {
                    self.problem = Some(e);
                    self.writable = false;
                    // Reading finds the end, and what the peer said before it.
                    self.readable = true;
                    return;
                }
            }
        }
    }

    /// Whether all that was sent has been given to the operating system.
    pub fn is_flushed(&self) -> bool {
        let owes = matches!(&self.state, State::Up(socket) if socket.owes());
        self.client.output().is_empty() && !owes
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        let none = Memory { outbox: &mut [], script: &mut [], calls: &mut [] };
        let client = Client::new(none, chappe_core::client::Options::default(), time::Instant::ZERO);
        let client = std::mem::replace(&mut self.client, client).into_memory();
        let inbox = std::mem::replace(&mut self.inbox, Inbox::new(&mut [])).into_buffer();
        Lent { client, inbox }.give_back();
    }
}

/// A span in the core's milliseconds; what is longer than 49 days is that.
fn span(d: Duration) -> time::Duration {
    time::Duration::from_millis(u32::try_from(d.as_millis()).unwrap_or(u32::MAX))
}

/// A number that is different in each process and for each link.
fn random() -> u64 {
    use std::hash::{BuildHasher, Hasher, RandomState};
    RandomState::new().build_hasher().finish()
}
