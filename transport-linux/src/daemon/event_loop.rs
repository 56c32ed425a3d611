//! The loop: wait, take in what has come, let the router think, write what it wants
//! written, re-arm the one timer.
//!
//! Owns: turns and their fairness, house timers, drain and reload. A turn is:
//!
//! 1. Wait in epoll, not at all if somebody still has work (`ready`).
//! 2. Read the clock once.
//! 3. Each ready station is read once into the one buffer, each ready listener accepts a
//!    stated number. Nothing is written meanwhile, so that what many say to one goes out
//!    as one piece; but if much has come in, the outboxes are emptied in between, because
//!    an outbox that overflows only for want of a write would lose messages.
//! 4. The router is ticked if its deadline has passed.
//! 5. Each station with output is written once.
//! 6. The timer is armed if the next deadline is earlier than what it is armed for. One
//!    that fires too early costs a turn, re-arming it at each message would cost more.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use chappe_core::dialect::Dialect;
use chappe_core::id::StationId;
use chappe_core::router::{Action, Counter, Newcomer, Reason, Rights, Router, Settings, Transport};
use chappe_core::time::{Duration, Instant};
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token, Waker};
use sd_notify::NotifyState;
use tracing::{Level, debug, enabled, error, info, trace, warn};

use super::connection::{Connection, Kind, PIECES, Written};
use super::counters::Counts;
use super::gate::{Users, rights};
use super::listener::{Door, Listener};
use super::load::Source;
use super::log::Log;
use super::metrics::{Asked, Row, Snapshot};
use super::peers::{Peer, Peers, token};
use super::ready::Ready;
use super::serial::{Line, State};
use super::words;
use crate::config::{Config, ConfigError, Limits};
use crate::sys::{self, Signal, Signals, Timer};

/// Room for one read, and so the most that one station says in a turn.
const READ: usize = 64 * 1024;

/// The longest datagram there is.
const DATAGRAM: usize = 65_507;

/// Events fetched by one wait.
const EVENTS: usize = 1024;

/// Connections that one listener takes in a turn.
const ACCEPTS: usize = 64;

/// Datagrams that one socket takes in a turn.
const DATAGRAMS: usize = 64;

/// How long a listener rests when nothing can be accepted.
const REST: Duration = Duration::from_millis(100);

const TIMER: Token = Token(usize::MAX);
const SIGNALS: Token = Token(usize::MAX - 1);
pub(super) const WAKER: Token = Token(usize::MAX - 2);
/// Listener `i` is this less `i`. Addresses of stations stay far below: they count up.
const LISTENERS: usize = usize::MAX - 16;

/// What the loop is handed at start.
pub(super) struct Parts<'s> {
    pub(super) router: Router<'s>,
    pub(super) settings: Settings<'s>,
    pub(super) users: &'s Users,
    pub(super) config: Config,
    pub(super) source: Source,
    pub(super) listeners: Vec<Listener>,
    pub(super) signals: Signals,
    pub(super) log: Log,
    pub(super) poll: Poll,
    pub(super) waker: Arc<Waker>,
    pub(super) asked: Option<Asked>,
    /// How often systemd wants a sign of life.
    pub(super) watchdog: Option<std::time::Duration>,
}

/// The daemon at work.
pub(super) struct EventLoop<'s> {
    router: Router<'s>,
    settings: Settings<'s>,
    users: &'s Users,
    source: Source,
    limits: Limits,
    listeners: Vec<Listener>,
    lines: Vec<Line>,
    sources: Vec<HashMap<SocketAddr, StationId>>,
    peers: Peers,
    poll: Poll,
    waker: Arc<Waker>,
    asked: Option<Asked>,
    reloaded: (SyncSender<Loaded>, Receiver<Loaded>),
    signals: Signals,
    log: Log,
    timer: Timer,
    armed: Option<Instant>,
    ready: Ready<StationId>,
    doors: Ready<u16>,
    /// Listeners that rest, and until when.
    resting: Vec<u16>,
    rest_until: Option<Instant>,
    /// Bytes read since the outboxes were last emptied, and how many there may be.
    gathered: usize,
    gather: usize,
    buffer: Box<[u8]>,
    /// Given up when descriptors run out, so that one can be accepted and told so.
    spare: Option<File>,
    watchdog: Option<(Duration, Instant)>,
    /// Stopping: when to leave even if somebody does not take its last words.
    leave_by: Option<Instant>,
    leave_now: bool,
    counts: Counts,
    /// When refusals were last logged: once a second will do.
    refused_log: Instant,
    now: Instant,
}

type Loaded = Result<Config, ConfigError>;

/// What is read at start and again at SIGHUP becomes what the router goes by.
pub(super) fn apply<'s>(settings: &mut Settings<'s>, limits: &Limits) {
    let ms = Duration::from_millis;
    settings.max_frame = limits.max_frame as usize;
    settings.outbox = limits.outbox as usize;
    settings.silence = ms(limits.silence_ms);
    settings.max_silence = ms(limits.max_silence_ms);
    settings.hello_within = ms(limits.hello_within_ms);
    settings.slow_after = ms(limits.slow_after_ms);
    settings.linger = ms(limits.linger_ms);
    settings.ask = ms(limits.ask_ms);
    settings.max_ask = ms(limits.max_ask_ms);
    settings.keep = ms(limits.keep_ms);
    settings.max_keep = ms(limits.max_keep_ms);
    settings.page = limits.page;
    settings.joins = limits.joins;
    settings.asks = limits.asks;
    settings.watches = limits.watches;
    settings.strikes = limits.strikes;
}

impl<'s> EventLoop<'s> {
    pub(super) fn new(parts: Parts<'s>) -> io::Result<Self> {
        let now = sys::now();
        let Parts {
            router,
            settings,
            users,
            config,
            source,
            mut listeners,
            signals,
            log,
            poll,
            waker,
            asked,
            watchdog,
        } = parts;
        let timer = Timer::new()?;
        let registry = poll.registry();
        registry.register(&mut SourceFd(&timer.as_fd().as_raw_fd()), TIMER, Interest::READABLE)?;
        registry.register(&mut SourceFd(&signals.as_fd().as_raw_fd()), SIGNALS, Interest::READABLE)?;
        let mut lines = Vec::new();
        for (i, listener) in listeners.iter_mut().enumerate() {
            listener.register(registry, Token(LISTENERS - i))?;
            if let Door::Serial { path, speed } = &listener.source {
                lines.push(Line::new(path.clone(), *speed, i as u16, now));
            }
        }
        let watchdog = watchdog.map(|every| {
            // Half the time allowed, as systemd's own manual advises.
            let half = Duration::from_millis((every.as_millis() / 2).clamp(1, u128::from(u32::MAX)) as u32);
            (half, now + half)
        });
        Ok(EventLoop {
            peers: Peers::new(config.limits.stations as usize),
            sources: listeners.iter().map(|_| HashMap::new()).collect(),
            lines,
            gather: gather(&config.limits),
            limits: config.limits,
            router,
            settings,
            users,
            source,
            listeners,
            poll,
            waker,
            asked,
            reloaded: sync_channel(1),
            signals,
            log,
            timer,
            armed: None,
            ready: Ready::with_capacity(EVENTS),
            doors: Ready::with_capacity(16),
            resting: Vec::new(),
            rest_until: None,
            gathered: 0,
            buffer: vec![0; READ.max(DATAGRAM)].into_boxed_slice(),
            spare: File::open("/dev/null").ok(),
            watchdog,
            leave_by: None,
            leave_now: false,
            counts: Counts::default(),
            refused_log: Instant::ZERO,
            now,
        })
    }

    /// Runs until a signal ends it. An error is one of epoll or of the timer itself: there is
    /// no going on without them.
    pub(super) fn run(mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(EVENTS);
        self.house(self.now);
        loop {
            self.rearm()?;
            let is_idle = self.ready.is_empty() && self.doors.is_empty();
            match self.poll.poll(&mut events, if is_idle { None } else { Some(std::time::Duration::ZERO) }) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                result => result?,
            }
            let now = sys::now();
            self.now = now;
            self.counts.turns += 1;
            let mut fired = false;
            for event in &events {
                match event.token() {
                    TIMER => fired = true,
                    SIGNALS => self.take_signals(now),
                    WAKER => self.take_messages(now),
                    Token(t) if t > LISTENERS - usize::from(u16::MAX) => {
                        self.doors.push((LISTENERS - t) as u16);
                    }
                    Token(t) => {
                        if let Some(id) = StationId::new(t as u64) {
                            self.note(now, id, event);
                        }
                    }
                }
            }
            self.read_ready(now);
            self.open_doors(now);
            if fired {
                self.armed = None;
                self.house(now);
            }
            if self.router.deadline().is_some_and(|at| at <= now) {
                self.router.tick(now);
            }
            self.flush(now);
            if self.leave_now || (self.leave_by.is_some() && self.peers.open() == 0) {
                break;
            }
        }
        let left = self.peers.open();
        info!(event = "daemon.stopped", connections_cut = left, "stopped");
        Ok(())
    }

    /// Remembers what the kernel says about a station's connection.
    #[inline]
    fn note(&mut self, now: Instant, id: StationId, event: &mio::event::Event) {
        let Some(Peer::Stream(connection)) = self.peers.get(id) else { return };
        if event.is_writable() && connection.blocked {
            match connection.unblock(self.poll.registry(), token(id)) {
                Ok(()) => self.router.writable(now, id),
                Err(e) => return self.lose(now, id, &e.to_string()),
            }
        }
        let Some(Peer::Stream(connection)) = self.peers.get(id) else { return };
        if event.is_read_closed() || event.is_error() {
            connection.ended = true;
        }
        if (event.is_readable() || connection.ended) && !connection.queued {
            connection.queued = true;
            self.ready.push(id);
        }
    }

    fn read_ready(&mut self, now: Instant) {
        self.ready.begin_turn();
        while let Some(id) = self.ready.next() {
            self.read(now, id);
            if self.gathered >= self.gather {
                self.flush(now);
            }
        }
    }

    /// One read of one station.
    #[inline]
    fn read(&mut self, now: Instant, id: StationId) {
        let Some(Peer::Stream(connection)) = self.peers.get(id) else { return };
        connection.queued = false;
        let room = READ;
        match connection.read(&mut self.buffer[..room]) {
            Ok(0) => self.lose(now, id, "it ended the connection"),
            Ok(n) => {
                if !connection.is_drained(n, room) {
                    connection.queued = true;
                    self.ready.push(id);
                }
                self.counts.reads += 1;
                self.counts.read_bytes += n as u64;
                self.gathered += n;
                self.router.receive(now, id, &self.buffer[..n]);
            }
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
            Err(e) => self.lose(now, id, &e.to_string()),
        }
    }

    /// Does what the router wants done.
    fn flush(&mut self, now: Instant) {
        self.gathered = 0;
        while let Some(action) = self.router.next_action(now) {
            match action {
                Action::Write(id) => self.write(now, id),
                Action::Close(id, reason) => self.close(now, id, reason),
            }
        }
    }

    /// One write to one station.
    #[inline]
    fn write(&mut self, now: Instant, id: StationId) {
        let connection = match self.peers.get(id) {
            Some(Peer::Stream(connection)) => connection,
            Some(&mut Peer::Datagram(listener, to)) => return self.write_datagrams(now, id, listener, to),
            None => return self.router.closed(now, id),
        };
        let mut pieces = heapless::Vec::<IoSlice<'_>, PIECES>::new();
        let mut is_whole = true;
        for piece in self.router.output(id) {
            if pieces.push(IoSlice::new(piece)).is_err() {
                is_whole = false;
                break;
            }
        }
        let result = connection.write(&pieces, self.poll.registry(), token(id));
        drop(pieces);
        self.counts.writes += 1;
        match result {
            Ok(Written::All(n)) => {
                self.counts.written_bytes += n as u64;
                self.router.sent(now, id, n);
                if !is_whole {
                    // More pieces than go into one write: once more, after the others.
                    self.router.writable(now, id);
                }
            }
            Ok(Written::Part(n)) => {
                self.counts.written_bytes += n as u64;
                self.counts.blocked += 1;
                self.router.sent(now, id, n);
                trace!(event = "connection.blocked", station = id.number(), "it does not take all we have for it");
            }
            Err(e) => self.lose(now, id, &e.to_string()),
        }
    }

    fn write_datagrams(&mut self, now: Instant, id: StationId, listener: u16, to: SocketAddr) {
        let Some(Listener { source: Door::Udp(socket), .. }) = self.listeners.get(usize::from(listener)) else {
            return self.router.closed(now, id);
        };
        while let Some(n) = self.router.next_datagram(id, &mut self.buffer[..DATAGRAM]) {
            match socket.send_to(&self.buffer[..n], to) {
                Ok(_) => {
                    self.counts.datagrams_sent += 1;
                    self.counts.written_bytes += n as u64;
                }
                // Datagrams may be lost; waiting for room would hold up others at the socket.
                Err(_) => self.counts.datagrams_lost += 1,
            }
        }
    }

    /// The transport has lost a station.
    fn lose(&mut self, now: Instant, id: StationId, why: &str) {
        self.router.closed(now, id);
        debug!(
            event = "connection.closed",
            station = id.number(),
            reason = Reason::Lost.name(),
            detail = why,
            "closed"
        );
        match self.peers.remove(id) {
            Some(Peer::Stream(Connection { kind: Kind::Serial, listener, .. })) => self.line_gone(now, listener, why),
            Some(Peer::Datagram(listener, from)) => {
                self.sources[usize::from(listener)].remove(&from);
            }
            _ => {}
        }
    }

    /// The router has let a station go.
    fn close(&mut self, now: Instant, id: StationId, reason: Reason) {
        let station = id.number();
        match reason {
            Reason::Goodbye | Reason::Stopping => {
                debug!(event = "connection.closed", station, reason = reason.name(), "closed: {}", reason.text());
            }
            _ => info!(event = "connection.closed", station, reason = reason.name(), "closed: {}", reason.text()),
        }
        match self.peers.remove(id) {
            Some(Peer::Stream(connection)) if connection.kind == Kind::Serial => self.line_idle(now, connection),
            Some(Peer::Stream(connection)) => connection.close(&mut self.buffer),
            Some(Peer::Datagram(listener, from)) => {
                self.sources[usize::from(listener)].remove(&from);
            }
            None => {}
        }
    }

    // ---- what comes in -------------------------------------------------------------------

    fn open_doors(&mut self, now: Instant) {
        self.doors.begin_turn();
        while let Some(i) = self.doors.next() {
            match self.listeners.get(usize::from(i)).map(|l| &l.source) {
                Some(Door::Tcp(_) | Door::Unix(..)) => self.accept(now, i),
                Some(Door::Udp(_)) => self.read_datagrams(now, i),
                Some(Door::Serial { .. }) => self.read_line(now, i),
                None => {}
            }
        }
    }

    fn accept(&mut self, now: Instant, i: u16) {
        for _ in 0..ACCEPTS {
            match self.accept_one(i) {
                Ok((fd, kind, from)) => {
                    self.counts.accepted += 1;
                    self.welcome(now, fd, kind, i, from);
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
        self.doors.push(i);
    }

    fn accept_one(&self, i: u16) -> io::Result<(OwnedFd, Kind, From)> {
        match &self.listeners[usize::from(i)].source {
            Door::Tcp(socket) => socket.accept().map(|(s, from)| (s.into(), Kind::Tcp, From::Network(from))),
            Door::Unix(socket, _) => socket.accept().map(|(s, _)| (s.into(), Kind::Unix, From::Here)),
            Door::Udp(_) | Door::Serial { .. } => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    /// A connection has come: it becomes a station, or is told why not.
    fn welcome(&mut self, now: Instant, fd: OwnedFd, kind: Kind, i: u16, from: From) {
        let connection = Connection::new(fd, i, kind);
        let rights = self.listeners[usize::from(i)].rights;
        let id = match self.admit(now, Transport::Stream, rights) {
            Some(id) => id,
            None => {
                self.refused_full(now, &from);
                return connection.refuse(words::full(), &mut self.buffer);
            }
        };
        if let Err(e) = connection.register(self.poll.registry(), token(id)) {
            self.router.closed(now, id);
            self.counts.accept_failures += 1;
            warn!(event = "connection.refused", from = %from, reason = "epoll", detail = %e, "refused");
            return connection.refuse(words::full(), &mut self.buffer);
        }
        self.peers.insert(id, Peer::Stream(connection));
        self.log_opened(id, i, &from);
    }

    fn log_opened(&self, id: StationId, i: u16, from: &From) {
        if enabled!(Level::DEBUG) {
            let at = &self.listeners[usize::from(i)].address;
            debug!(event = "connection.opened", station = id.number(), from = %from, listener = %at, "opened");
        }
    }

    fn admit(&mut self, now: Instant, transport: Transport, rights: Rights) -> Option<StationId> {
        if self.leave_by.is_some() || self.peers.open() >= self.limits.stations as usize {
            return None;
        }
        let max_frame = if transport == Transport::Datagram { DATAGRAM as u32 } else { 0 };
        self.router.admit(now, Newcomer { dialect: Dialect::Messi, transport, rights, max_frame }).ok()
    }

    fn refused_full(&mut self, now: Instant, from: &From) {
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
                self.counts.refused_descriptors += 1;
                Connection::new(fd, i, kind).refuse(words::out_of_descriptors(), &mut self.buffer);
                let what = format!("{why}: raise limits.descriptors and `ulimit -n`");
                self.log_refusal(now, "descriptors", &from, &what);
                Refused::One
            }
            Err(e) if e.kind() == io::ErrorKind::WouldBlock && had_spare => Refused::NobodyWaits,
            Err(_) => Refused::Failed,
        };
        self.spare = File::open("/dev/null").ok();
        result
    }

    /// Nothing can be accepted: not again before a while, instead of spinning.
    fn rest(&mut self, now: Instant, i: u16, why: &io::Error) {
        self.counts.accept_pauses += 1;
        if self.resting.is_empty() {
            self.rest_until = Some(now + REST);
        }
        self.resting.push(i);
        self.log_refusal(now, "accept", &From::Here, &format!("nothing can be accepted: {why}"));
    }

    fn read_datagrams(&mut self, now: Instant, i: u16) {
        for _ in 0..DATAGRAMS {
            let Listener { source: Door::Udp(socket), rights, .. } = &self.listeners[usize::from(i)] else { return };
            let rights = *rights;
            let (n, from) = match socket.recv_from(&mut self.buffer) {
                Ok(got) => got,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => return self.rest(now, i, &e),
            };
            self.counts.datagrams_received += 1;
            self.counts.read_bytes += n as u64;
            if n > self.settings.max_frame {
                self.counts.datagrams_too_long += 1;
                continue;
            }
            let id = match self.sources[usize::from(i)].get(&from) {
                Some(&id) => id,
                None => match self.new_source(now, i, from, rights) {
                    Some(id) => id,
                    None => continue,
                },
            };
            self.gathered += n;
            self.router.receive(now, id, &self.buffer[..n]);
            if self.gathered >= self.gather {
                self.flush(now);
            }
        }
        self.doors.push(i);
    }

    fn new_source(&mut self, now: Instant, i: u16, from: SocketAddr, rights: Rights) -> Option<StationId> {
        let has_room = self.peers.datagrams() < self.limits.datagram_stations as usize;
        let id = if has_room { self.admit(now, Transport::Datagram, rights) } else { None };
        let Some(id) = id else {
            self.counts.datagrams_refused += 1;
            // No answer: its size would be free for a forged source to ask for.
            self.log_refusal(now, "full", &From::Network(from), "there is no room for another datagram station");
            return None;
        };
        self.sources[usize::from(i)].insert(from, id);
        self.peers.insert(id, Peer::Datagram(i, from));
        self.log_opened(id, i, &From::Network(from));
        Some(id)
    }

    // ---- serial lines --------------------------------------------------------------------

    fn line(&mut self, i: u16) -> Option<&mut Line> {
        self.lines.iter_mut().find(|l| l.listener == i)
    }

    /// A line on which nobody speaks has something to read.
    fn read_line(&mut self, now: Instant, i: u16) {
        let Some(n) = self.lines.iter().position(|l| l.listener == i) else { return };
        let State::Idle(connection) = &mut self.lines[n].state else { return };
        match connection.read(&mut self.buffer[..READ]) {
            Ok(0) => self.line_gone(now, i, "the device is gone"),
            Ok(got) => self.line_speaks(now, n, got),
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
            Err(e) => self.line_gone(now, i, &e.to_string()),
        }
    }

    fn line_speaks(&mut self, now: Instant, n: usize, got: usize) {
        let i = self.lines[n].listener;
        self.lines[n].works();
        let rights = self.listeners[usize::from(i)].rights;
        let Some(id) = self.admit(now, Transport::Stream, rights) else {
            self.refused_full(now, &From::Here);
            // What else has come is read and thrown away, until there is room.
            return self.doors.push(i);
        };
        let line = &mut self.lines[n];
        let State::Idle(mut connection) = std::mem::replace(&mut line.state, State::Busy) else { return };
        let renamed = connection.rename(self.poll.registry(), token(id));
        connection.queued = true;
        self.ready.push(id);
        self.peers.insert(id, Peer::Stream(connection));
        self.log_opened(id, i, &From::Here);
        if let Err(e) = renamed {
            return self.lose(now, id, &e.to_string());
        }
        self.counts.reads += 1;
        self.counts.read_bytes += got as u64;
        self.gathered += got;
        self.router.receive(now, id, &self.buffer[..got]);
    }

    /// The station is gone, the line is still there.
    fn line_idle(&mut self, now: Instant, mut connection: Connection) {
        let i = connection.listener;
        if self.leave_by.is_some() {
            return;
        }
        match connection.rename(self.poll.registry(), Token(LISTENERS - usize::from(i))) {
            Ok(()) => {
                connection.ended = false;
                if let Some(line) = self.line(i) {
                    line.state = State::Idle(connection);
                }
            }
            Err(e) => self.line_gone(now, i, &e.to_string()),
        }
    }

    fn line_gone(&mut self, now: Instant, i: u16, why: &str) {
        self.counts.serial_failures += 1;
        if let Some(line) = self.line(i) {
            line.gone(now);
        }
        let line = &self.listeners[usize::from(i)].address;
        warn!(event = "serial.lost", line = %line, detail = why, "the line is gone; it will be opened again");
    }

    fn open_lines(&mut self, now: Instant) {
        if self.leave_by.is_some() {
            return;
        }
        for line in &mut self.lines {
            if line.deadline().is_none_or(|at| at > now) {
                continue;
            }
            let address = &self.listeners[usize::from(line.listener)].address;
            match line.open(self.poll.registry(), Token(LISTENERS - usize::from(line.listener)), now) {
                Ok(()) => {
                    self.counts.serial_opened += 1;
                    info!(event = "serial.opened", line = %address, "the line is open");
                }
                Err(e) => {
                    self.counts.serial_failures += 1;
                    warn!(event = "serial.failed", line = %address, detail = e, "it will be tried again");
                }
            }
        }
    }

    // ---- time ----------------------------------------------------------------------------

    /// House work whose time has come.
    fn house(&mut self, now: Instant) {
        if self.rest_until.is_some_and(|at| at <= now) {
            self.rest_until = None;
            for i in self.resting.drain(..) {
                self.doors.push(i);
            }
            if self.spare.is_none() {
                self.spare = File::open("/dev/null").ok();
            }
        }
        if let Some((every, next)) = &mut self.watchdog
            && *next <= now
        {
            *next = now + *every;
            // If systemd is not there any more, nobody waits for it.
            let _ = sd_notify::notify(&[NotifyState::Watchdog]);
        }
        self.open_lines(now);
        if self.leave_by.is_some_and(|at| at <= now) {
            self.leave_now = true;
        }
    }

    fn house_deadline(&self) -> Option<Instant> {
        let watchdog = self.watchdog.map(|(_, next)| next);
        let lines = if self.leave_by.is_none() { self.lines.iter().filter_map(Line::deadline).min() } else { None };
        [self.rest_until, watchdog, lines, self.leave_by].into_iter().flatten().min()
    }

    fn rearm(&mut self) -> io::Result<()> {
        let next = match (self.router.deadline(), self.house_deadline()) {
            (Some(a), Some(b)) => a.min(b),
            (a, b) => match a.or(b) {
                Some(at) => at,
                None => return Ok(()),
            },
        };
        if self.armed.is_none_or(|at| next < at) {
            self.timer.arm(next)?;
            self.armed = Some(next);
        }
        Ok(())
    }

    // ---- signals and questions from other threads ----------------------------------------

    fn take_signals(&mut self, now: Instant) {
        while let Some(signal) = self.signals.take() {
            match signal {
                Signal::Stop if self.leave_by.is_some() => self.leave_now = true,
                Signal::Stop => self.stop(now),
                Signal::Reload => self.reload(),
            }
        }
    }

    fn stop(&mut self, now: Instant) {
        let stations = self.peers.open();
        info!(event = "daemon.stopping", stations, within_ms = self.limits.drain_ms, "letting stations go");
        let _ = sd_notify::notify(&[NotifyState::Stopping]);
        self.leave_by = Some(now + Duration::from_millis(self.limits.drain_ms));
        self.router.stop(now);
        // Whoever comes now finds nobody listening, which clients know how to deal with.
        // Datagram sockets still carry last words.
        for listener in &mut self.listeners {
            if matches!(listener.source, Door::Tcp(_) | Door::Unix(..)) {
                listener.source = Door::Serial { path: PathBuf::new(), speed: 0 };
            }
        }
        self.resting.clear();
        self.rest_until = None;
    }

    /// Reads the configuration in a thread: disks and name servers may take their time.
    fn reload(&mut self) {
        let _ = sd_notify::notify(&[
            NotifyState::Reloading,
            NotifyState::monotonic_usec_now().unwrap_or(NotifyState::MonotonicUsec(0)),
        ]);
        let (source, done, waker) = (self.source.clone(), self.reloaded.0.clone(), self.waker.clone());
        let thread = std::thread::Builder::new().name("chappe-reload".into()).spawn(move || {
            // Full: another reload is waiting to be taken, which read the same file.
            let _ = done.try_send(source.load());
            let _ = waker.wake();
        });
        if let Err(e) = thread {
            self.refuse_config(&format!("the configuration cannot be read: {e}"));
        }
    }

    fn refuse_config(&mut self, why: &str) {
        self.counts.reload_failures += 1;
        error!(event = "config.refused", detail = why, "the configuration in force stays as it is");
        let _ = sd_notify::notify(&[NotifyState::Ready]);
    }

    fn take_messages(&mut self, now: Instant) {
        while let Ok(loaded) = self.reloaded.1.try_recv() {
            let taken = loaded.map_err(|e| e.to_string()).and_then(|config| self.take_config(config));
            match taken {
                Err(why) => self.refuse_config(&why),
                Ok(()) => {
                    self.counts.reloads += 1;
                    let users = self.users.len();
                    info!(event = "config.reloaded", users, "the new configuration is in force");
                    let _ = sd_notify::notify(&[NotifyState::Ready]);
                }
            }
        }
        while let Some(reply) = self.asked.as_ref().and_then(|asked| asked.try_recv().ok()) {
            let _ = reply.try_send(self.snapshot(now));
        }
    }

    /// What can change without a restart does.
    fn take_config(&mut self, config: Config) -> Result<(), String> {
        if config.limits.stations as usize > super::MAX_STATIONS {
            return Err(format!("limits.stations is above {}", super::MAX_STATIONS));
        }
        self.users.take(&config)?;
        self.log.change(&config.log)?;
        apply(&mut self.settings, &config.limits);
        self.router.set(self.settings).map_err(|e| format!("the router refuses it: {e:?}"))?;
        for listener in &mut self.listeners {
            let entry = listener.entry.and_then(|i| {
                let before = self.source.listener(i)?.clone();
                config.listeners.iter().position(|l| l.address == before)
            });
            if let Some(i) = entry {
                listener.rights = rights(&config.anonymous_rights(i, listener.is_local));
            }
        }
        self.gather = gather(&config.limits);
        // The tables were made for what was said at start.
        let stations = config.limits.stations.min(self.source.stations());
        self.limits = Limits { stations, ..config.limits };
        Ok(())
    }

    fn snapshot(&self, _: Instant) -> Snapshot {
        let mut rows = Vec::with_capacity(Counter::ALL.len() + 64);
        let counters = self.router.counters();
        let row = |name, help, kind, value| Row { name, label: None, help, kind, value };
        for &counter in Counter::ALL {
            rows.push(row(counter.name(), counter.help(), "counter", counters.get(counter)));
        }
        for (name, help, value) in self.counts.each() {
            rows.push(row(name, help, "counter", value));
        }
        rows.push(row("log_lines_dropped", "log lines that found their queue full", "counter", self.log.dropped()));
        rows.push(row("connections", "connections and datagram sources now", "gauge", self.peers.open() as u64));
        let usage = self.router.usage();
        for used in &usage {
            let value = used.used;
            rows.push(Row { label: Some(used.name), ..row("used", "rows of each table in use", "gauge", value) });
        }
        for used in &usage {
            let value = used.limit;
            rows.push(Row { label: Some(used.name), ..row("limit", "rows that each table has", "gauge", value) });
        }
        rows
    }
}

/// A turn may bring an outbox to half its limit at the most, if all that comes goes to one
/// station, twice as long as it came.
fn gather(limits: &Limits) -> usize {
    limits.outbox as usize / 4
}

/// What became of an attempt to refuse a connection.
enum Refused {
    One,
    NobodyWaits,
    Failed,
}

/// Where a connection came from, for the log.
enum From {
    Network(SocketAddr),
    Here,
}

impl std::fmt::Display for From {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            From::Network(address) => address.fmt(f),
            From::Here => f.write_str("this machine"),
        }
    }
}
