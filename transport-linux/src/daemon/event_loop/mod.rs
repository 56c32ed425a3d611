//! The loop: wait, take in what has come, let the router think, write what it wants
//! written, re-arm the one timer.
//!
//! Owns: turns and their fairness, and house timers. What comes in is in `doors`, by way of
//! `handshakes` where it speaks TLS; who says a password is in `sign_ins`, who has to wait in
//! `held`; who only asks where this node is, in `found`; serial lines are in `lines`, the link to a
//! master in `master`, what programs of the Communicator need of the machine in `communicator`, drain
//! and reload in `control`; flags in files are in `flags`. A turn is:
//!
//! 1. Wait in epoll, not at all if somebody still has work (`ready`).
//! 2. Read the clock once.
//! 3. Each ready station is read once into the one buffer (less of each if there are many),
//!    each ready listener accepts a stated number. Nothing is written meanwhile, so that what
//!    many say to one goes out as one piece; but if much has come in, the outboxes are emptied
//!    in between, because an outbox that overflows only for want of a write would lose
//!    messages; so they are when many stations have gone.
//! 4. The router is ticked if its deadline has passed.
//! 5. Each station with output is written once.
//! 6. The timer is armed if the next deadline is earlier than what it is armed for. One
//!    that fires too early costs a turn, re-arming it at each message would cost more.
//!
//! If this process has not run for a while (SIGSTOP, a machine that was suspended or starved),
//! deadlines have passed that nobody else has missed: what was said in time waits in the kernel,
//! and is more than one turn takes in. So before step 4 and house work there is a grace in which all of
//! that is read, and written to those who take it again.

pub(super) mod communicator;
mod control;
mod doors;
mod flags;
mod found;
mod handshakes;
mod held;
mod lines;
mod master;
mod sign_ins;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::File;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use chappe_core::dialect::{self, Dialect};
use chappe_core::id::StationId;
use chappe_core::router::{Action, Reason, Router, Settings};
use chappe_core::time::{Duration, Instant};
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token, Waker};
use sd_notify::NotifyState;
use tracing::{Level, debug, enabled, info, trace, warn};

use super::connection::{Connection, Got, Kind, PIECES, Who, Written};
use super::counters::Counts;
use super::discovery::Discovery;
use super::flags::FlagFiles;
use super::gate::Users;
use super::listener::{Door, Listener};
use super::load::Source;
use super::log::Log;
use super::master::Master;
use super::metrics::Asked;
use super::peers::{Peer, Peers, token};
use super::ready::Ready;
use super::secure::{Desk, HANDSHAKE_RECORD, Trouble};
use super::serial::Line;
use super::sign_in::SignIns;
use super::verifier::Verifier;
use crate::config::{BESIDE_LINE, Config, ConfigError, Limits, Secret};
use crate::store::Keeper;
use crate::sys::{self, Signals, Timer};
use communicator::Communicator;
use doors::DoorState;
use handshakes::{HANDSHAKES, Handshake};
use master::{DIALLED, LookUps, MASTER};

/// Room for one read, and so the most that one station says in a turn.
const READ: usize = 64 * 1024;

/// What all stations together may say in a turn, more or less: with many that have much to
/// say each says less at a time, so that nobody waits long for the next turn.
const TURN: usize = 1024 * 1024;

/// Least room for one read.
const LEAST_READ: usize = 4096;

/// Room for one read of who is not in yet: enough for a hello. What comes with it may have to
/// be kept while a password is looked at.
const STRANGER_READ: usize = 2048;

/// Stations that go before those who watch it are written to.
const PARTINGS: usize = 16;

/// The longest datagram there is.
const DATAGRAM: usize = 65_507;

/// Events fetched by one wait.
const EVENTS: usize = 1024;

/// A deadline that is met so much too late: this process did not run.
const STOOD_STILL: Duration = Duration::from_millis(500);

/// How long nobody's time is up after that. Many turns fit into it, even of a busy daemon.
const GRACE: Duration = Duration::from_millis(500);

/// Lines of log in a second about connections that were closed, and one that says that there are
/// more: strangers can be closed as fast as they can connect, and must not fill a disk.
const CLOSED_LINES: u32 = 100;

/// Why a station is gone that nobody has sent away.
const ENDED: &str = "it ended the connection";

const TIMER: Token = Token(usize::MAX);
const SIGNALS: Token = Token(usize::MAX - 1);
pub(super) const WAKER: Token = Token(usize::MAX - 2);
const CLOCK_JUMPS: Token = Token(usize::MAX - 4);
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
    pub(super) discovery: Discovery,
    pub(super) master: Option<Master>,
    pub(super) signals: Signals,
    pub(super) log: Log,
    pub(super) poll: Poll,
    pub(super) waker: Arc<Waker>,
    pub(super) asked: Option<Asked>,
    /// Of the thread that writes values, if they are on disk.
    pub(super) keeper: Option<Keeper>,
    /// If flags are in files.
    pub(super) flags: Option<FlagFiles>,
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
    /// How the names of MSGQ stations end; empty before the first came.
    host: String,
    listeners: Vec<Listener>,
    /// Its sockets stand behind the listeners in the list of doors.
    discovery: Discovery,
    lines: Vec<Line>,
    sources: Vec<HashMap<SocketAddr, StationId>>,
    peers: Peers,
    poll: Poll,
    waker: Arc<Waker>,
    asked: Option<Asked>,
    keeper: Option<Keeper>,
    flags: Option<FlagFiles>,
    reloaded: (SyncSender<Loaded>, Receiver<Loaded>),
    /// The configuration is being read; and it is to be read once more when that is done.
    reloading: bool,
    reload_again: bool,
    communicator: Communicator,
    signals: Signals,
    log: Log,
    timer: Timer,
    armed: Option<Instant>,
    /// Until when nobody's time is up, because this process had stood still.
    grace_until: Option<Instant>,
    ready: Ready<StationId>,
    doors: Ready<u16>,
    /// By number, so oldest first.
    handshakes: BTreeMap<u64, Handshake>,
    next_handshake: u64,
    shaking: Ready<u64>,
    /// The server that this one is a slave of.
    master: Option<Master>,
    look_ups: LookUps,
    /// Those that are linked with this one as their master.
    slaves: HashSet<StationId>,
    /// Once somebody has said a password.
    sign_ins: Option<SignIns>,
    verifier: Option<Verifier>,
    /// What stations had said that are not heard for now, and how much of that there is.
    held: HashMap<StationId, Box<[u8]>>,
    held_bytes: usize,
    /// What each listener is doing.
    door_states: Vec<DoorState>,
    /// When those that rest try again.
    rest_until: Option<Instant>,
    /// Bytes read since the outboxes were last emptied, and how many there may be.
    gathered: usize,
    gather: usize,
    buffer: Box<[u8]>,
    /// For what is written or thrown away while the buffer still holds what was read.
    scratch: Box<[u8]>,
    /// For what is encrypted.
    desk: Desk,
    /// Given up when descriptors run out, so that one can be accepted and told so.
    spare: Option<File>,
    watchdog: Option<(Duration, Instant)>,
    /// Stopping: when to leave even if somebody does not take its last words.
    leave_by: Option<Instant>,
    leave_now: bool,
    /// Somebody has said so twice.
    told_twice: bool,
    counts: Counts,
    /// When refusals may be logged again: once a second will do. The same for TLS that does
    /// not come about, and for wrong passwords.
    refused_log: Instant,
    tls_log: Instant,
    sign_in_log: Instant,
    held_log: Instant,
    discovery_log: Instant,
    /// When it begins anew how many lines there were about connections that were closed.
    closed_log: Instant,
    closed_lines: u32,
    now: Instant,
}

/// Changes that are not on disk and should be, at the end.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lost {
    pub(super) values: u64,
    pub(super) flags: u64,
}

type Loaded = Result<Config, ConfigError>;

/// What is read at start and again at SIGHUP becomes what the router goes by. `longest`: what
/// the frame buffers were made for.
pub(super) fn apply<'s>(settings: &mut Settings<'s>, config: &Config, listeners: &[Listener], longest: usize) {
    let ms = Duration::from_millis;
    let (limits, msgq, clacks) = (&config.limits, &config.msgq, &config.clacks);
    settings.max_frame = limits.max_frame as usize;
    settings.max_value = limits.max_value as usize;
    settings.outbox = limits.outbox as usize;
    settings.silence = ms(limits.silence_ms);
    settings.max_silence = ms(limits.max_silence_ms);
    settings.hello_within = ms(limits.hello_within_ms);
    settings.slow_after = ms(limits.slow_after_ms);
    settings.frame_within = ms(limits.frame_within_ms);
    settings.linger = ms(limits.linger_ms);
    settings.ask = ms(limits.ask_ms);
    settings.max_ask = ms(limits.max_ask_ms);
    settings.keep = ms(limits.keep_ms);
    settings.max_keep = ms(limits.max_keep_ms);
    settings.page = limits.page;
    settings.joins = limits.joins;
    settings.asks = limits.asks;
    settings.watches = limits.watches;
    settings.barriers = limits.flushes;
    settings.flush = ms(limits.flush_ms);
    settings.strikes = limits.strikes;
    let around_body = msgq.max_frame() - msgq.max_body as usize;
    settings.msgq.max_body = (msgq.max_body as usize).min(longest - around_body);
    settings.msgq.outbox = msgq.outbox as usize;
    settings.msgq.stalled_after = ms(msgq.stalled_after_ms);
    settings.msgq.stop = msgq.allow_stop;
    settings.clacks = dialect::clacks::Settings {
        max_line: (clacks.max_line as usize).min(longest),
        max_value: clacks.max_value as usize,
        outbox: clacks.outbox as usize,
        login_within: ms(clacks.login_within_ms),
        ping_within: ms(clacks.ping_within_ms),
        link_ping_within: ms(clacks.link_ping_within_ms),
        stalled_after: ms(clacks.stalled_after_ms),
        link_stalled_after: ms(clacks.link_stalled_after_ms),
        linger: ms(clacks.linger_ms),
        stale_after: ms(clacks.stale_after_ms),
        clean_every: ms(clacks.clean_every_ms),
        shutdown: clacks.allow_shutdown,
        ..settings.clacks
    };
    let it = &config.communicator;
    let [public, secure] = communicator::addresses(config, listeners);
    settings.communicator = dialect::communicator::Settings {
        my_address: Some(it.my_address.0),
        public,
        secure,
        max_line: (it.max_line as usize).min(longest - BESIDE_LINE),
        outbox: it.outbox as usize,
        stalled_after: ms(it.stalled_after_ms),
        form: it.form.of_dialect(),
        echo: it.echo,
        shutdown: it.allow_shutdown,
        ..settings.communicator
    };
    // A change of any of these is some octets for good: what was there before may be in use.
    if settings.communicator.server != it.server {
        settings.communicator.server = it.server.clone().leak();
    }
    let secret = it.wanted_secret().map_or("", Secret::reveal);
    if settings.communicator.secret != secret.as_bytes() {
        settings.communicator.secret = secret.to_owned().leak().as_bytes();
    }
    let password = clacks.link_password.as_ref().map_or("", Secret::reveal);
    if (settings.clacks.link_user, settings.clacks.link_password) != (&clacks.link_user, password.as_bytes()) {
        // Links that there are go on with the old ones in use; a change is some octets for good.
        settings.clacks.link_user = clacks.link_user.clone().leak();
        settings.clacks.link_password = password.to_owned().leak().as_bytes();
    }
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
            mut discovery,
            master,
            signals,
            log,
            poll,
            waker,
            asked,
            keeper,
            flags,
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
        for (i, ear) in discovery.ears.iter_mut().enumerate() {
            ear.register(registry, Token(LISTENERS - listeners.len() - i))?;
        }
        let watchdog = watchdog.map(|every| {
            // Half the time allowed, as systemd's own manual advises.
            let half = Duration::from_millis((every.as_millis() / 2).clamp(1, u128::from(u32::MAX)) as u32);
            (half, now + half)
        });
        let door_states = vec![DoorState::Quiet; listeners.len() + discovery.ears.len()];
        let communicator = Communicator::new(&listeners, poll.registry(), now)?;
        let mut this = EventLoop {
            communicator,
            reloading: false,
            reload_again: false,
            peers: Peers::new(config.limits.stations as usize),
            sources: listeners.iter().map(|_| HashMap::new()).collect(),
            lines,
            gather: gather(&config),
            limits: config.limits.clone(),
            host: String::new(),
            router,
            settings,
            users,
            source,
            listeners,
            discovery,
            poll,
            waker,
            asked,
            keeper,
            flags,
            reloaded: sync_channel(1),
            signals,
            log,
            timer,
            armed: None,
            grace_until: None,
            ready: Ready::with_capacity(EVENTS),
            doors: Ready::with_capacity(16),
            handshakes: BTreeMap::new(),
            next_handshake: 0,
            shaking: Ready::with_capacity(16),
            master,
            look_ups: LookUps::new(),
            slaves: HashSet::new(),
            sign_ins: None,
            verifier: None,
            held: HashMap::new(),
            held_bytes: 0,
            door_states,
            rest_until: None,
            gathered: 0,
            buffer: vec![0; READ.max(DATAGRAM)].into_boxed_slice(),
            scratch: vec![0; READ.max(DATAGRAM)].into_boxed_slice(),
            desk: Desk::new(READ),
            spare: File::open("/dev/null").ok(),
            watchdog,
            leave_by: None,
            leave_now: false,
            told_twice: false,
            counts: Counts::default(),
            refused_log: Instant::ZERO,
            tls_log: Instant::ZERO,
            sign_in_log: Instant::ZERO,
            held_log: Instant::ZERO,
            discovery_log: Instant::ZERO,
            closed_log: Instant::ZERO,
            closed_lines: 0,
            now,
        };
        this.begin_communicator(now, &config);
        Ok(this)
    }

    /// Runs until a signal ends it. An error is one of epoll or of the timer itself: there is
    /// no going on without them. Returns how many changes are not on disk that should be.
    pub(super) fn run(mut self) -> io::Result<Lost> {
        let mut events = Events::with_capacity(EVENTS);
        self.take_flags(self.now);
        self.house(self.now);
        loop {
            self.rearm()?;
            let is_idle =
                self.ready.is_empty() && self.doors.is_empty() && self.shaking.is_empty() && !self.master_waits();
            match self.poll.poll(&mut events, if is_idle { None } else { Some(std::time::Duration::ZERO) }) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                result => result?,
            }
            let now = sys::now();
            self.now = now;
            self.counts.turns += 1;
            let has_grace = self.has_grace(now);
            let mut fired = false;
            for event in &events {
                match event.token() {
                    TIMER => fired = true,
                    SIGNALS => self.take_signals(now),
                    WAKER => self.take_messages(),
                    CLOCK_JUMPS => self.clock_jumped(now),
                    MASTER => self.note_master(now, event),
                    Token(t) if t > LISTENERS - usize::from(u16::MAX) => {
                        self.push_door((LISTENERS - t) as u16);
                    }
                    Token(t) if t >= HANDSHAKES => self.note_handshake(now, (t - HANDSHAKES) as u64, event),
                    Token(t) => {
                        if let Some(id) = StationId::new(t as u64) {
                            self.note(now, id, event);
                        }
                    }
                }
            }
            self.read_ready(now);
            self.shake(now);
            self.shake_master(now);
            self.open_doors(now);
            if fired {
                self.armed = None;
            }
            if fired && !has_grace {
                self.house(now);
            }
            if !has_grace && self.router.deadline().is_some_and(|at| at <= now) {
                self.router.tick(now);
            }
            self.take_control(now);
            self.take_stop(now);
            self.watch_master(now);
            self.keep_flags(now);
            self.flush(now);
            if self.leave_now || (self.leave_by.is_some() && self.peers.open() == 0) {
                break;
            }
        }
        let left = self.peers.open();
        if let Some(keeper) = &self.keeper {
            // It writes while flags are written.
            keeper.close();
        }
        let end = std::time::Instant::now() + control::LAST_WRITES;
        let flags = self.write_flags_out(self.now, end);
        let values = self.write_values_out(end);
        info!(event = "daemon.stopped", connections_cut = left, changes_lost = values + flags, "stopped");
        Ok(Lost { values, flags })
    }

    /// Remembers what the kernel says about a station's connection.
    #[inline]
    fn note(&mut self, now: Instant, id: StationId, event: &mio::event::Event) {
        let Some(Peer::Stream(connection)) = self.peers.get(id) else { return };
        if event.is_writable() && connection.blocked {
            let (registry, token) = (self.poll.registry(), token(id));
            match connection.unblock(registry, token).and_then(|()| connection.push(registry, token)) {
                Ok(()) => self.router.writable(now, id),
                Err(e) => return self.lose(now, id, &e.to_string()),
            }
        }
        let Some(Peer::Stream(connection)) = self.peers.get(id) else { return };
        if event.is_read_closed() || event.is_error() {
            connection.ended = true;
        }
        if connection.waits {
            // It is not read, so it has to be found out otherwise that it is broken. What counts
            // of what it has said is heard all the same.
            if event.is_error() && self.router.is_unverified(id) {
                self.lose(now, id, "the connection broke");
            }
            return;
        }
        if (event.is_readable() || connection.ended) && !connection.queued {
            connection.queued = true;
            self.ready.push(id);
        }
    }

    fn read_ready(&mut self, now: Instant) {
        let stations = self.ready.begin_turn();
        let room = (TURN / stations.max(1)).clamp(LEAST_READ, READ);
        while let Some(id) = self.ready.next() {
            self.read(now, id, room);
            if self.gathered >= self.gather {
                self.flush(now);
            }
        }
    }

    /// One read of one station.
    #[inline]
    fn read(&mut self, now: Instant, id: StationId, room: usize) {
        let Some(Peer::Stream(connection)) = self.peers.get(id) else { return };
        connection.queued = false;
        if connection.waits {
            return;
        }
        if !self.held.is_empty()
            && let Some(n) = self.take_held(id)
        {
            self.queue(id);
            return self.hear(now, id, n);
        }
        let Some(Peer::Stream(connection)) = self.peers.get(id) else { return };
        if self.router.is_paused(id) {
            // what it says stays where it is, instead of here
            connection.waits = true;
            return;
        }
        connection.is_in = connection.is_in || self.router.is_introduced(id);
        let room = if connection.is_in { room } else { STRANGER_READ };
        match connection.read(room, &mut self.buffer, &mut self.desk) {
            Ok(Got::End) => self.half_gone(now, id),
            Ok(Got::Bytes { n, took, of }) => {
                if !connection.is_drained(took, of) {
                    connection.queued = true;
                    self.ready.push(id);
                }
                self.counts.reads += 1;
                if let Some(secure) = connection.secure() {
                    if n == 0 || secure.owes_by_itself() {
                        return self.read_records(now, id, n);
                    }
                } else if std::mem::take(&mut connection.is_new) && n > 2 && self.buffer[..2] == [HANDSHAKE_RECORD, 3] {
                    let listener = connection.listener;
                    self.unexpected_tls(now, listener);
                }
                self.heard(now, id, n);
            }
            Err(Trouble::Io(e)) if e.kind() == io::ErrorKind::WouldBlock => {}
            Err(Trouble::Io(e)) => self.lose(now, id, &e.to_string()),
            Err(trouble) => {
                self.counts.tls_broken += 1;
                // The last word of rustls, if there is room for it.
                let _ = connection.push(self.poll.registry(), token(id));
                if self.tells_closed(now) {
                    info!(event = "tls.broken", station = id.number(), "its TLS connection is broken: {trouble}");
                }
                self.lose(now, id, &trouble.to_string());
            }
        }
    }

    /// What a station says stands in the buffer.
    #[inline]
    fn heard(&mut self, now: Instant, id: StationId, n: usize) {
        self.counts.read_bytes += n as u64;
        self.gathered += n;
        self.hear(now, id, n);
    }

    /// What came were not only plain octets: rustls may have something to say to it.
    #[cold]
    fn read_records(&mut self, now: Instant, id: StationId, n: usize) {
        if let Some(Peer::Stream(connection)) = self.peers.get(id)
            && let Err(e) = connection.push(self.poll.registry(), token(id))
        {
            return self.lose(now, id, &e.to_string());
        }
        if n > 0 {
            self.heard(now, id, n);
        }
    }

    /// A station has something to be read, or may have.
    fn queue(&mut self, id: StationId) {
        if let Some(Peer::Stream(connection)) = self.peers.get(id)
            && !connection.queued
        {
            connection.queued = true;
            self.ready.push(id);
        }
    }

    /// Hands the router what stands in the buffer. If it will not take more before what that
    /// caused is written, it is written.
    #[inline]
    pub(super) fn hear(&mut self, now: Instant, id: StationId, n: usize) {
        let mut at = 0;
        loop {
            let links = self.router.links();
            at += self.router.receive(now, id, &self.buffer[at..n]);
            if self.router.links() > links {
                self.slave_linked(id);
            }
            if let Some(asked) = self.users.take_asked()
                && !self.sign_in(now, asked)
            {
                return self.hold(now, id, at, n);
            }
            if at >= n {
                return;
            }
            if self.router.is_paused(id) {
                return self.hold(now, id, at, n);
            }
            self.flush(now);
        }
    }

    /// Does what the router wants done.
    fn flush(&mut self, now: Instant) {
        self.gathered = 0;
        while let Some(action) = self.router.next_action(now) {
            match action {
                Action::Write(id) => self.write(now, id),
                Action::Close(id, reason) => self.close(now, id, reason),
                Action::Resume(id) => self.resume(id),
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
        if connection.waits && !self.router.is_paused(id) {
            // Its last words: what it says from here on is thrown away, and its end noticed.
            connection.waits = false;
            if !std::mem::replace(&mut connection.queued, true) {
                self.ready.push(id);
            }
        }
        if connection.cut {
            return self.throw_away(now, id);
        }
        let mut pieces = heapless::Vec::<IoSlice<'_>, PIECES>::new();
        let mut is_whole = true;
        for piece in self.router.output(id) {
            if pieces.push(IoSlice::new(piece)).is_err() {
                is_whole = false;
                break;
            }
        }
        let result = connection.write(&pieces, self.poll.registry(), token(id), &mut self.desk);
        drop(pieces);
        self.counts.writes += 1;
        match result {
            Ok(Written::All(n)) => {
                self.counts.written_bytes += n as u64;
                self.router.sent(now, id, n);
                let is_half_gone = connection.half_gone;
                if !is_whole {
                    // More pieces than go into one write: once more, after the others.
                    self.router.writable(now, id);
                } else if is_half_gone {
                    self.lose(now, id, ENDED);
                }
            }
            Ok(Written::Some(n)) => {
                self.counts.written_bytes += n as u64;
                self.router.sent(now, id, n);
                self.router.writable(now, id);
            }
            Ok(Written::Part(n)) => {
                self.counts.written_bytes += n as u64;
                self.counts.blocked += 1;
                self.router.sent(now, id, n);
                trace!(event = "connection.blocked", station = id.number(), "it does not take all we have for it");
            }
            Err(e) if matches!(self.about(id).0, Dialect::Clacks | Dialect::Communicator) => {
                self.hear_out(now, id, &e);
            }
            Err(e) => self.lose(now, id, &e.to_string()),
        }
    }

    /// Somebody takes nothing any more. Programs of Net::Clacks and of the Communicator connect, say
    /// something and are gone, before they were even greeted: what they have said counts, up to
    /// its end.
    #[cold]
    fn hear_out(&mut self, now: Instant, id: StationId, why: &io::Error) {
        debug!(event = "connection.deaf", station = id.number(), detail = %why, "it is only heard from here on");
        if let Some(Peer::Stream(connection)) = self.peers.get(id) {
            connection.cut = true;
        }
        self.throw_away(now, id);
        self.queue(id);
    }

    /// Somebody says nothing any more. A program of the Communicator that pipes questions in and has
    /// not read all answers yet still gets them; or else it is closed as slow.
    fn half_gone(&mut self, now: Instant, id: StationId) {
        let is_waited_for = self.about(id).0 == Dialect::Communicator && self.router.output(id).next().is_some();
        match self.peers.get(id) {
            Some(Peer::Stream(connection)) if is_waited_for && !connection.cut => {
                connection.half_gone = true;
            }
            _ => self.lose(now, id, ENDED),
        }
    }

    #[cold]
    fn throw_away(&mut self, now: Instant, id: StationId) {
        let all = self.router.output(id).map(|piece| piece.len()).sum();
        self.router.sent(now, id, all);
    }

    fn write_datagrams(&mut self, now: Instant, id: StationId, listener: u16, to: SocketAddr) {
        let Some(Listener { source: Door::Udp(socket), .. }) = self.listeners.get(usize::from(listener)) else {
            return self.router.closed(now, id);
        };
        if self.listeners[usize::from(listener)].is_signals() {
            // Its address is our own. Nothing is ever said to it; nothing could be sent anywhere.
            return self.throw_away(now, id);
        }
        while let Some(n) = self.router.next_datagram(id, &mut self.scratch[..DATAGRAM]) {
            match socket.send_to(&self.scratch[..n], to) {
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
        if enabled!(Level::DEBUG) {
            let (dialect, who) = self.about(id);
            let (station, name) = (id.number(), self.router.station_name(id));
            let (dialect, user, uid, reason) =
                (dialect.name(), self.user_name(id, who), who.uid(), Reason::Lost.name());
            debug!(event = "connection.closed", station, dialect, name, user, uid, reason, detail = why, "closed");
        }
        self.router.closed(now, id);
        self.slave_gone(id, Reason::Lost, why);
        self.forget_sign_in(id);
        self.forget_held(id);
        self.master_gone(now, id, Reason::Lost, why);
        // Watchers hear of each name it leaves: when many go at once, that is written now
        // and then instead of all at the end of the turn.
        self.gathered += self.gather / PARTINGS;
        match self.peers.remove(id) {
            Some(Peer::Stream(Connection { kind: Kind::Serial, listener, .. })) => self.line_gone(now, listener, why),
            Some(Peer::Stream(connection)) => connection.end(),
            Some(Peer::Datagram(listener, from)) => {
                self.sources[usize::from(listener)].remove(&from);
            }
            None => {}
        }
    }

    /// What a station speaks, and who it is by its connection.
    fn about(&mut self, id: StationId) -> (Dialect, Who) {
        let (listener, who) = match self.peers.get(id) {
            Some(Peer::Stream(connection)) => (connection.listener, connection.who),
            Some(Peer::Datagram(listener, _)) => (*listener, Who::STRANGER),
            None => return (Dialect::Messi, Who::STRANGER),
        };
        if listener == DIALLED {
            return (Dialect::Clacks, who);
        }
        (self.listeners.get(usize::from(listener)).map_or(Dialect::Messi, |l| l.dialect), who)
    }

    /// The router has let a station go.
    fn close(&mut self, now: Instant, id: StationId, reason: Reason) {
        let is_quiet = matches!(reason, Reason::Goodbye | Reason::Stopping);
        let is_logged = if is_quiet { enabled!(Level::DEBUG) } else { enabled!(Level::INFO) };
        if is_logged && (is_quiet || self.tells_closed(now)) {
            let (station, reason, text) = (id.number(), reason.name(), reason.text());
            let (dialect, who) = self.about(id);
            // The router has forgotten it already; names of this dialect follow from the number.
            let name =
                (dialect == Dialect::Msgq).then(|| format!("{:x}_{station:x}@{}", self.settings.msgq.boot, self.host));
            let (dialect, user, uid) = (dialect.name(), self.user_name(id, who), who.uid());
            if is_quiet {
                debug!(event = "connection.closed", station, dialect, name, user, uid, reason, "closed: {text}");
            } else {
                info!(event = "connection.closed", station, dialect, name, user, uid, reason, "closed: {text}");
            }
        }
        self.slave_gone(id, reason, reason.text());
        self.forget_sign_in(id);
        self.forget_held(id);
        self.master_gone(now, id, reason, "");
        match self.peers.remove(id) {
            Some(Peer::Stream(connection)) if connection.kind == Kind::Serial => self.line_idle(now, connection),
            Some(Peer::Stream(connection)) => connection.close(&mut self.scratch),
            Some(Peer::Datagram(listener, from)) => {
                self.sources[usize::from(listener)].remove(&from);
            }
            None => {}
        }
    }

    /// Whether another line about a connection that was closed is worth it. Counters have them all.
    fn tells_closed(&mut self, now: Instant) -> bool {
        if now >= self.closed_log {
            (self.closed_log, self.closed_lines) = (now + second(), 0);
        }
        self.closed_lines = self.closed_lines.saturating_add(1);
        if self.closed_lines == CLOSED_LINES + 1 {
            warn!(
                event = "connection.many_closed",
                most = CLOSED_LINES,
                "that many connections were closed within a second: the others are only counted until it is over"
            );
        }
        self.closed_lines <= CLOSED_LINES
    }

    /// House work whose time has come.
    fn house(&mut self, now: Instant) {
        if self.rest_until.is_some_and(|at| at <= now) {
            self.rest_until = None;
            for i in 0..self.door_states.len() {
                if self.door_states[i] == DoorState::Resting {
                    self.door_states[i] = DoorState::Quiet;
                    self.push_door(i as u16);
                }
            }
            self.has_spare();
        }
        if let Some((every, next)) = &mut self.watchdog
            && *next <= now
        {
            *next = now + *every;
            // If systemd is not there any more, nobody waits for it.
            let _ = sd_notify::notify(&[NotifyState::Watchdog]);
        }
        self.open_lines(now);
        self.end_late_handshakes(now);
        self.master_due(now);
        self.watch_machine(now);
        if self.sign_ins.as_ref().and_then(SignIns::deadline).is_some_and(|at| at <= now) {
            self.go_on_with_sign_ins(now);
        }
        if self.leave_by.is_some_and(|at| at <= now) {
            self.leave_now = true;
        }
    }

    fn house_deadline(&self) -> Option<Instant> {
        let watchdog = self.watchdog.map(|(_, next)| next);
        let lines = if self.leave_by.is_none() { self.lines.iter().filter_map(Line::deadline).min() } else { None };
        let sign_ins = self.sign_ins.as_ref().and_then(SignIns::deadline);
        let handshakes = self.handshake_deadline();
        let master = self.master_deadline();
        let machine = self.machine_deadline();
        let all = [self.rest_until, watchdog, lines, sign_ins, handshakes, master, machine, self.leave_by];
        all.into_iter().flatten().min()
    }

    /// Whether this is a turn in which nobody's time is up.
    #[inline]
    fn has_grace(&mut self, now: Instant) -> bool {
        if let Some(until) = self.grace_until {
            if until <= now {
                // Without looking how late it is: however slow each turn is, there is one in which time counts
                // between two graces.
                self.grace_until = None;
                return false;
            }
            return true;
        }
        let stood_still = self.armed.is_some_and(|at| now > at + STOOD_STILL);
        if stood_still {
            self.stood_still(now);
        }
        stood_still
    }

    #[cold]
    fn stood_still(&mut self, now: Instant) {
        let late = self.armed.map_or(Duration::ZERO, |at| now - at);
        warn!(
            event = "daemon.stood_still",
            late_ms = late.millis(),
            "this process did not run when it should have: it was stopped, or is too busy, or the machine is"
        );
        self.counts.standstills += 1;
        self.grace_until = Some(now + GRACE);
    }

    fn rearm(&mut self) -> io::Result<()> {
        let next = match (self.router.deadline(), self.house_deadline()) {
            (Some(a), Some(b)) => a.min(b),
            (a, b) => match a.or(b) {
                Some(at) => at,
                None => return Ok(()),
            },
        };
        let next = self.grace_until.map_or(next, |until| next.max(until));
        if self.armed.is_none_or(|at| next < at) {
            self.timer.arm(next)?;
            self.armed = Some(next);
        }
        Ok(())
    }
}

/// How often the same kind of trouble is worth a line.
fn second() -> Duration {
    Duration::from_secs(1)
}

/// What is worth a warning about a configuration.
pub(super) fn log_notes(config: &Config) {
    for (event, note) in config.notes() {
        warn!(event, "{note}");
    }
}

/// A turn may bring an outbox to half its limit at the most, if all that comes goes to one
/// station, twice as long as it came.
fn gather(config: &Config) -> usize {
    let dialects = config.msgq.outbox.min(config.clacks.outbox).min(config.communicator.outbox);
    config.limits.outbox.min(dialects) as usize / 4
}
