//! One node: takes what stations say and puts what they are to hear into their outboxes.
//!
//! Owns: every decision. The tables around it (`stations.rs`, `names.rs`, `requests.rs`,
//! `mailbox.rs`, `presence.rs`, `flags.rs`, `store.rs`, `timers.rs`) know nothing of each
//! other; `policy.rs` says what fullness means; the dialects say what bytes mean. Owns no
//! socket and no clock: a shell calls it and does what [`Router::next_action`] says.
//!
//! # Rules of delivery
//!
//! Tests cite these by number.
//!
//! * **D1 Order.** Messages from one station to one station arrive in the order sent,
//!   whatever names they were sent to.
//! * **D2 One copy.** A message to a name reaches each member once, and never its sender.
//! * **D3 Whole or not at all.** A frame enters an outbox complete or is dropped and counted.
//! * **D4 Nobody blocks anybody.** A station that does not read costs only itself.
//! * **D5 An asker always hears back,** exactly once.
//! * **D6 Stale finds nobody.** An address whose station is gone never means another one.
//! * **D7 Leaving is visible.** Memberships end first, then presence; watchers see each
//!   change once, in that order.
//! * **D8 Exclusive means one.** A second join of an exclusive name is refused.
//! * **D9 Mail waits** for a declared but absent name, and is delivered once, in order.
//! * **D10 Newest wins**, deletions too (`store.rs`).
//! * **D11 Loop-free**: nothing goes back over the link that it came by, and links are a tree:
//!   one that leads back to its own node is refused (`clacks/links.rs`).
//! * **D12 Nothing unlimited.**
//!
//! # The shell's loop
//!
//! ```
//! use chappe_core::router::{Action, Newcomer, Open, Router, Settings};
//! use chappe_core::storage::Storage;
//! use chappe_core::time::Instant;
//! # fn transport() -> Option<(u32, &'static [u8])> { None }
//! # fn write(_: chappe_core::id::StationId, slices: chappe_core::router::Output<'_>) -> usize { slices.map(|s| s.len()).sum() }
//! static GATE: Open = Open;
//! let mut storage: Storage = Storage::new();
//! let mut router = storage.router(Settings::new("hub", "1.0", &GATE), Instant::ZERO).unwrap();
//!
//! // a connection has come
//! let now = Instant::from_millis(1);
//! let station = router.admit(now, Newcomer::default()).expect("a free place");
//! // bytes have come
//! let mut bytes: &[u8] = &[3, 0, 0, 0];
//! loop {
//!     let taken = router.receive(now, station, bytes);
//!     bytes = &bytes[taken..];
//!     // after each batch, and when it did not take all: do what is wanted
//!     while let Some(action) = router.next_action(now) {
//!         match action {
//!             Action::Write(id) => {
//!                 let n = write(id, router.output(id));
//!                 router.sent(now, id, n);
//!             }
//!             Action::Close(id, reason) => { /* drop its socket, log `reason` */ }
//!             Action::Resume(id) => { /* hear again what it has said and was not taken */ }
//!         }
//!     }
//!     if bytes.is_empty() {
//!         break;
//!     }
//! }
//! // then sleep until a transport wakes it, or router.deadline(); if that has passed:
//! router.tick(Instant::from_millis(5000));
//! ```

pub mod action;
mod ask;
#[cfg(test)]
mod attacks;
#[cfg(feature = "durable")]
pub mod barriers;
mod blocks;
mod check;
#[cfg(feature = "clacks")]
mod clacks;
#[cfg(feature = "communicator")]
mod communicator;
pub mod counters;
pub mod faults;
pub mod flags;
#[cfg(feature = "durable")]
mod flush;
pub mod grant;
mod hear;
mod keep;
#[cfg(feature = "kept-flags")]
mod keep_flags;
mod lists;
pub mod mailbox;
mod membership;
pub mod names;
mod numbered;
mod policy;
pub mod presence;
pub mod requests;
#[cfg(feature = "durable")]
mod restore;
mod retire;
mod route;
mod run;
mod say;
mod settings;
mod sniff;
pub mod stations;
pub mod store;
#[cfg(test)]
mod tests;
pub mod timers;
mod user;
mod values;
#[cfg(feature = "later")]
mod verify;
mod watch;

pub use action::{Action, Reason};
#[cfg(feature = "clacks")]
pub use clacks::links::Stage as LinkStage;
#[cfg(feature = "communicator")]
pub use communicator::{Clock, Control};
pub use counters::{Counter, Counters};
#[cfg(feature = "later")]
pub use grant::Verdict;
pub use grant::{Gate, Grant, Open, Rights};
pub use settings::Settings;

use crate::buffer::pool::{Chunks, Pool};
use crate::dialect::{Dialect, Here, Memo, Session};
use crate::id::StationId;
use crate::model::{Change, Code};
use crate::storage::{Parts, StoreRef};
use crate::time::{Duration, Instant};
use flags::Flags;
use mailbox::Mailbox;
use names::Names;
use presence::Watches;
use requests::Requests;
use stations::{Life, Stations};
use timers::Wheel;

/// How a connection carries bytes.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Transport {
    /// A stream of bytes: TCP, a Unix socket, a serial line.
    #[default]
    Stream,
    /// Datagrams that hold whole frames: UDP.
    Datagram,
}

/// A connection that has come.
#[derive(Debug, Clone, Copy)]
pub struct Newcomer {
    /// What it speaks.
    pub dialect: Dialect,
    /// How it carries bytes.
    pub transport: Transport,
    /// What it may do before, or without, credentials of its own.
    pub grant: Grant,
    /// Longest frame that can be sent to it, header included; 0: any.
    pub max_frame: u32,
    /// The address that it comes from; `None`: it has none, as with a Unix socket.
    #[cfg(feature = "clacks")]
    pub peer: Option<core::net::SocketAddr>,
    /// What it is to this node.
    #[cfg(feature = "clacks")]
    pub role: crate::dialect::clacks::Role,
}

impl Default for Newcomer {
    /// A stream of the native dialect that may do everything.
    fn default() -> Self {
        Newcomer {
            dialect: Dialect::Messi,
            transport: Transport::Stream,
            grant: Grant::anonymous(Rights::ALL),
            max_frame: 0,
            #[cfg(feature = "clacks")]
            peer: None,
            #[cfg(feature = "clacks")]
            role: crate::dialect::clacks::Role::Client,
        }
    }
}

/// No place is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Full;

/// What is wrong with the memory or the settings handed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum ConfigError {
    /// Blocks are not a power of two of 16 octets or more, or there are none.
    Pool,
    /// Not a single station, name or membership fits.
    Tables,
    /// `max_frame` is below 256 or above what the frame buffers hold.
    Frame,
    /// An outbox would not hold a frame of `max_frame` and its margin.
    Outbox,
    /// The node's name is empty, longer than 48 bytes or has control characters.
    Node,
}

/// How much of what is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// What: a stable name in snake case.
    pub name: &'static str,
    /// Now in use.
    pub used: u64,
    /// The most there can be.
    pub limit: u64,
}

/// Rows of [`Router::usage`].
const USAGES: usize = 10 + cfg!(feature = "durable") as usize + cfg!(feature = "sniff") as usize;

/// The bytes that wait for a station, in order.
pub type Output<'r> = Chunks<'r>;

/// One node. See the module's documentation.
pub struct Router<'s> {
    settings: Settings<'s>,
    started: Instant,
    now: Instant,
    stations: Stations<'s>,
    names: Names<'s>,
    requests: Requests<'s>,
    mail: Mailbox<'s>,
    watches: Watches<'s>,
    flags: Flags<'s>,
    store: StoreRef<'s>,
    #[cfg(feature = "durable")]
    barriers: barriers::Barriers<'s>,
    /// The largest number that a waiting message ever had.
    #[cfg(feature = "durable")]
    mail_number: u64,
    wheel: Wheel<'s>,
    pool: Pool<'s>,
    /// A frame that came in pieces, whole.
    assembly: &'s mut [u8],
    /// A frame on its way out.
    encode: &'s mut [u8],
    /// A value on its way out.
    scratch: &'s mut [u8],
    counters: Counters,
    /// Number of the message being delivered, for D2.
    stamp: u64,
    /// Microseconds since 1970 at `Instant::ZERO`, if the shell knows.
    epoch: u64,
    run: run::Run,
    memo: Memo,
    /// First of the doomed stations; 0: none. Empty between calls.
    doomed: u32,
    /// Somebody has much waiting that no transport was offered yet, or memory is short.
    pressed: bool,
    /// What to do when memory is short for what may not be missed.
    on_short: say::OnShort,
    /// The frame at hand could not be delivered to all yet.
    short: bool,
    stopping: bool,
    /// How often the planted fault could have struck.
    #[cfg(feature = "faults")]
    occasions: u32,
    /// Number of the last thing that the node itself said where such have numbers.
    #[cfg(feature = "msgq")]
    number: u64,
    #[cfg(feature = "certain")]
    stop_asked: Option<StationId>,
    #[cfg(feature = "clacks")]
    clacks: clacks::Node,
    #[cfg(feature = "communicator")]
    communicator: communicator::Node,
    /// Octets of headers of all open questions.
    #[cfg(feature = "msgq")]
    echoes: usize,
    #[cfg(feature = "sniff")]
    sniff: sniff::Sniff,
}

/// Octets by which the frame buffers must exceed the longest frame: what the node adds to a
/// letter that it hands on.
pub const FRAME_MARGIN: usize = 64;

impl<'s> Router<'s> {
    /// A node over the memory in `parts`, which must be as `new` of
    /// [`Storage`](crate::storage::Storage) made it.
    pub fn new(parts: Parts<'s>, settings: Settings<'s>, now: Instant) -> Result<Self, ConfigError> {
        let l = parts.limits;
        let stations = Stations::new(parts.stations, l.stations);
        let names = Names::new(parts.names, parts.name_buckets, parts.members, (l.names, l.members), parts.seed);
        let requests = Requests::new(
            parts.requests,
            parts.debts,
            (l.requests, l.debts),
            #[cfg(feature = "msgq")]
            (parts.request_buckets, parts.debt_buckets, parts.seed),
        );
        let mail = Mailbox::new(parts.mail, l.mail);
        if stations.limit() == 0 || names.limit() == 0 || names.members.limit() == 0 {
            return Err(ConfigError::Tables);
        }
        let timers = stations.limit() + requests.limit() + mail.limit();
        if parts.timers.len() < timers {
            return Err(ConfigError::Tables);
        }
        let mut router = Router {
            settings,
            started: now,
            now,
            stations,
            names,
            requests,
            mail,
            watches: Watches::new(parts.watches, l.watches),
            flags: Flags::new(parts.flags, l.flags),
            store: parts.store,
            #[cfg(feature = "durable")]
            barriers: barriers::Barriers::new(parts.barriers, l.barriers),
            #[cfg(feature = "durable")]
            mail_number: 0,
            wheel: Wheel::new(parts.timers, now),
            pool: Pool::new(parts.pool, parts.pool_links, parts.block).ok_or(ConfigError::Pool)?,
            assembly: parts.assembly,
            encode: parts.encode,
            scratch: parts.scratch,
            counters: Counters::new(),
            stamp: 0,
            epoch: 0,
            run: run::Run::NONE,
            memo: Memo::new(),
            doomed: 0,
            pressed: false,
            on_short: say::OnShort::Close,
            short: false,
            stopping: false,
            #[cfg(feature = "faults")]
            occasions: 0,
            #[cfg(feature = "msgq")]
            number: 0,
            #[cfg(feature = "certain")]
            stop_asked: None,
            #[cfg(feature = "clacks")]
            clacks: clacks::Node::new(),
            #[cfg(feature = "communicator")]
            communicator: communicator::Node::new(),
            #[cfg(feature = "msgq")]
            echoes: 0,
            #[cfg(feature = "sniff")]
            sniff: sniff::Sniff::new(),
        };
        router.set(settings)?;
        Ok(router)
    }

    /// Other settings from here on. Stations that are there keep the silence they were told.
    pub fn set(&mut self, settings: Settings<'s>) -> Result<(), ConfigError> {
        let buffers = self.assembly.len().min(self.encode.len()).min(self.scratch.len());
        if settings.max_frame < 256 {
            return Err(ConfigError::Frame);
        }
        for &dialect in Dialect::ALL {
            // a node whose buffers are too small for a dialect does without it
            let framed = settings.framed_in(dialect);
            if framed > buffers && dialect == Dialect::Messi {
                return Err(ConfigError::Frame);
            }
            // who may miss nothing needs room for one more when half of it is used
            let outbox = if dialect.ways().misses { framed } else { 2 * framed };
            if settings.outbox_in(dialect) < outbox && framed <= buffers {
                return Err(ConfigError::Outbox);
            }
        }
        let node = settings.node;
        if node.is_empty() || node.len() > crate::limits::MAX_STATION_NAME || !crate::name::no_controls(node) {
            return Err(ConfigError::Node);
        }
        // One station alone never fills a table that others need too.
        let share = |wish: u32, rows: usize| wish.min((rows / 2).max(1) as u32);
        self.settings = Settings {
            joins: share(settings.joins, self.names.members.limit()),
            asks: share(settings.asks, self.requests.limit()),
            watches: share(settings.watches, self.watches.limit()),
            #[cfg(feature = "durable")]
            barriers: share(settings.barriers, self.barriers.limit()),
            ..settings
        };
        Ok(())
    }

    /// Tells what time it is by the calendar: microseconds since 1970 at `Instant::ZERO`.
    /// Only the times of values, and of mail that outlives the node, depend on it.
    pub fn set_calendar(&mut self, epoch_micros: u64) {
        self.epoch = epoch_micros;
        // the store counts how long ago something was removed from what it was told last
        self.expire_marks();
    }

    /// A connection has come. What it says comes by [`Router::receive`].
    ///
    /// # Errors
    /// [`Full`] if there is no place for another, the node is stopping, or its frame buffers
    /// are too small for that dialect's longest frame.
    pub fn admit(&mut self, now: Instant, new: Newcomer) -> Result<StationId, Full> {
        let now = self.clock(now);
        if self.stopping || self.settings.framed_in(new.dialect) > self.encode.len() {
            return Err(Full);
        }
        let Some(n) = self.stations.take() else {
            self.counters.one(Counter::RefusedFull);
            return Err(Full);
        };
        let st = &mut self.stations[n];
        st.life = Life::New;
        st.session = Session::new(new.dialect);
        st.datagram = new.transport == Transport::Datagram;
        st.grant = new.grant;
        st.max_frame = if new.max_frame == 0 { u32::MAX } else { new.max_frame };
        st.connected = now;
        st.heard = now;
        st.silence = self.settings.silence;
        st.stamp = self.stamp;
        self.counters.one(Counter::Admitted);
        #[cfg(feature = "communicator")]
        let is_known = !self.begin_communicator(n, new) && !new.dialect.ways().hello;
        #[cfg(not(feature = "communicator"))]
        let is_known = !new.dialect.ways().hello;
        if !is_known {
            #[cfg(feature = "clacks")]
            self.begin(n, new);
            self.arm(n);
            let id = self.stations.id(n);
            self.reap();
            return Ok(id);
        }
        self.is_there(n);
        Ok(self.stations.id(n))
    }

    /// A station of a dialect without hello is there as soon as it is connected.
    fn is_there(&mut self, n: u32) {
        let st = &mut self.stations[n];
        st.life = Life::Ready;
        st.introduced = true;
        #[cfg(feature = "msgq")]
        if st.session.dialect() == Dialect::Msgq {
            st.held = true;
            let id = self.stations.id(n).number();
            self.stations[n].name = crate::dialect::station_text(Self::here_of(&self.settings), id);
        }
        self.counters.one(Counter::Introduced);
        self.see_connected(n);
        self.tell(Change::Connected, n, 0, 0, Code::Ok);
        self.notice(Change::Connected, n, 0);
        if self.stations[n].grant.rights.is_empty() {
            self.doom(n, Reason::Credentials);
        }
        self.reap();
    }

    /// Whoever has asked for the node to stop, and may; told once. Call
    /// [`Router::stop`] then.
    #[cfg(feature = "certain")]
    pub fn stop_asked(&mut self) -> Option<StationId> {
        self.stop_asked.take()
    }

    /// What the node is called in texts.
    fn here(&self) -> Here<'s> {
        Self::here_of(&self.settings)
    }

    fn here_of(settings: &Settings<'s>) -> Here<'s> {
        #[cfg(feature = "msgq")]
        let boot = settings.msgq.boot;
        #[cfg(not(feature = "msgq"))]
        let boot = 0;
        Here {
            boot,
            node: settings.node,
            #[cfg(feature = "communicator")]
            server: settings.communicator.server,
            #[cfg(feature = "communicator")]
            form: settings.communicator.form,
        }
    }

    /// The transport has lost a station, or ended it. From here on its address is nobody's.
    pub fn closed(&mut self, now: Instant, id: StationId) {
        self.clock(now);
        let Some(n) = self.stations.find(id) else { return };
        if matches!(self.stations[n].life, Life::Doomed(_)) {
            self.reap_all();
        }
        if !matches!(self.stations[n].life, Life::Closing(_)) {
            self.retire(n, Reason::Lost);
        }
        self.free(n);
        self.reap();
    }

    /// A transport that would have blocked takes bytes again.
    pub fn writable(&mut self, now: Instant, id: StationId) {
        self.clock(now);
        let Some(n) = self.stations.find(id) else { return };
        let st = &mut self.stations[n];
        if core::mem::take(&mut st.blocked) && !st.out.is_empty() {
            self.stations.enqueue(n);
        }
    }

    /// What the shell should do next; `None`: wait for something to happen. Call it until
    /// then after each batch of events: as long as it was not, nothing more may be taken in.
    #[inline]
    pub fn next_action(&mut self, now: Instant) -> Option<Action> {
        self.clock(now);
        self.reap();
        loop {
            let Some(n) = self.stations.next_ready() else {
                // all that waits was offered
                self.pressed = false;
                if self.doomed == 0 {
                    #[cfg(feature = "clacks")]
                    self.end_of_round();
                    return None;
                }
                self.reap();
                continue;
            };
            let id = self.stations.id(n);
            #[cfg(feature = "clacks")]
            if self.clacks_turn(n) {
                return Some(Action::Resume(id));
            }
            let st = &self.stations[n];
            if let (Life::Closing(reason), true) = (st.life, st.out.is_empty() && !self.lingers(n)) {
                self.free(n);
                return Some(Action::Close(id, reason));
            }
            if !st.out.is_empty() && !st.waits() {
                return Some(Action::Write(id));
            }
        }
    }

    /// What waits for a station, in order. Empty for an address that is nobody's.
    #[inline]
    pub fn output(&self, id: StationId) -> Output<'_> {
        match self.stations.find(id) {
            Some(n) => self.pool.chunks(&self.stations[n].out),
            None => self.pool.chunks(&crate::buffer::pool::Chain::EMPTY),
        }
    }

    /// The transport took `bytes` octets of [`Router::output`].
    #[inline]
    pub fn sent(&mut self, now: Instant, id: StationId, bytes: usize) {
        self.clock(now);
        let Some(n) = self.stations.find(id) else { return };
        let st = &mut self.stations[n];
        let bytes = bytes.min(st.out.len());
        #[cfg(feature = "clacks")]
        {
            st.clacks.spoken = self.now;
        }
        self.pool.consume(&mut st.out, bytes);
        self.counters.add(Counter::BytesOut, bytes as u64);
        if st.out.len() <= self.settings.outbox_in(st.session.dialect()) / 2 {
            st.full_since = None;
        }
        if st.out.is_empty() {
            st.stalled = None;
            if matches!(st.life, Life::Closing(_)) {
                self.stations.enqueue(n);
            }
        } else {
            st.blocked = true;
            if bytes > 0 || st.stalled.is_none() {
                st.stalled = Some(self.now);
                self.arm(n);
            }
        }
        #[cfg(feature = "durable")]
        {
            let st = &mut self.stations[n];
            st.taken = st.taken.saturating_add(bytes as u64);
            if st.mail.first != 0 {
                let taken = st.taken;
                self.mail_written(n, taken);
            }
        }
        if self.stations[n].mail_waits {
            self.bring_mail(n);
        }
        if self.looks_on(n) {
            self.own_up(n);
        }
        #[cfg(feature = "clacks")]
        if self.stations[n].clacks.list.is_some() {
            // there is room for more of it
            self.stations.enqueue(n);
        }
    }

    /// For a station on datagrams: copies the next whole frame into `out` and takes it from
    /// the outbox. `None`: there is none, or it does not fit (then it is dropped and counted).
    pub fn next_datagram(&mut self, id: StationId, out: &mut [u8]) -> Option<usize> {
        let n = self.stations.find(id)?;
        loop {
            let size = self.frame_size(n)?;
            let chain = self.stations[n].out;
            let fits = size <= out.len();
            if fits {
                self.pool.copy(&chain, &mut out[..size]);
            } else {
                self.counters.one(Counter::DroppedTooBig);
            }
            let now = self.now;
            self.stations[n].blocked = false;
            self.sent(now, id, size);
            self.stations[n].blocked = false;
            if fits {
                return Some(size);
            }
        }
    }

    /// Time has passed: call it when [`Router::deadline`] has. If that leads to much that has
    /// to be written, the rest stays due: do what [`Router::next_action`] wants, and the deadline
    /// says so.
    pub fn tick(&mut self, now: Instant) {
        let now = self.clock(now);
        while !self.pressed
            && let Some(t) = self.wheel.expire(now)
        {
            let (stations, requests) = (self.stations.limit() as u32, self.requests.limit() as u32);
            if t < stations {
                self.station_due(t + 1);
            } else if t < stations + requests {
                self.request_due(t - stations + 1);
            } else {
                self.mail_due(t - stations - requests + 1);
            }
        }
        #[cfg(feature = "durable")]
        self.barriers_due();
        #[cfg(feature = "clacks")]
        self.clacks_due();
        self.expire_marks();
        self.reap();
    }

    /// Drops tombstones that are older than agreed, a bounded number.
    #[cfg(not(feature = "clacks"))]
    fn expire_marks(&mut self) {
        let calendar = self.stamp_now();
        self.store.get_mut().expire_tombstones(calendar);
    }

    /// When to call [`Router::tick`] at the latest; `None`: nothing depends on time.
    pub fn deadline(&self) -> Option<Instant> {
        let deadline = self.wheel.deadline();
        #[cfg(feature = "durable")]
        let deadline = [deadline, self.barrier_deadline()].into_iter().flatten().min();
        #[cfg(feature = "clacks")]
        let deadline = [deadline, self.clacks_deadline()].into_iter().flatten().min();
        deadline
    }

    /// Lets everybody go: each station is told that the node is stopping, nothing more is
    /// heard, and [`Action::Close`] follows for each once its outbox is written, or
    /// `linger` later. Nobody new is admitted.
    pub fn stop(&mut self, now: Instant) {
        self.clock(now);
        self.stopping = true;
        for n in 1..=self.stations.made() {
            if self.stations[n].lives() {
                self.doom(n, Reason::Stopping);
            }
        }
        self.reap();
    }

    /// What was counted.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// How much of every table is used.
    pub fn usage(&self) -> [Usage; USAGES] {
        let (blocks, of) = self.pool.usage();
        let (debts, most_debts) = self.requests.debts();
        let u = |name, used: usize, limit: usize| Usage { name, used: used as u64, limit: limit as u64 };
        [
            u("stations", self.stations.used(), self.stations.limit()),
            u("names", self.names.used(), self.names.limit()),
            u("memberships", self.names.members.used(), self.names.members.limit()),
            u("requests", self.requests.used(), self.requests.limit()),
            u("debts", debts, most_debts),
            u("mail", self.mail.used(), self.mail.limit()),
            u("watches", self.watches.used(), self.watches.limit()),
            u("flags", self.flags.len(), self.flags.limit()),
            u("values", self.store.get().len(), self.store.get().limit()),
            #[cfg(feature = "durable")]
            u("flushes", self.barriers.used(), self.barriers.limit()),
            #[cfg(feature = "sniff")]
            u("monitors", self.sniff.used(), crate::limits::MAX_MONITORS),
            u("buffer_blocks", blocks as usize, of as usize),
        ]
    }

    /// The name a station gave itself; empty if it gave none or is gone.
    pub fn station_name(&self, id: StationId) -> &str {
        self.stations.find(id).map_or("", |n| &self.stations[n].name)
    }

    /// Time never runs backwards in here.
    #[inline]
    fn clock(&mut self, now: Instant) -> Instant {
        if now > self.now {
            self.now = now;
        }
        self.now
    }

    /// Sets a station's timer to whatever comes first for it, if anything does.
    fn arm(&mut self, n: u32) {
        let when = match self.stations[n].life {
            Life::New => Some(self.hello_by(n)),
            Life::Ready => {
                let limits = self.station_limits(n).into_iter().flatten().map(|(t, _)| t).min();
                #[cfg(feature = "clacks")]
                let limits = [limits, self.upkeep_at(n)].into_iter().flatten().min();
                limits
            }
            Life::Closing(_) => Some(self.gone_by(n)),
            Life::Free | Life::Doomed(_) => return,
        };
        match when {
            Some(when) => self.wheel.set(n - 1, when),
            None => self.wheel.clear(n - 1),
        }
    }

    /// When a connection has to be known: while it is not heard, that does not come nearer.
    fn hello_by(&self, n: u32) -> Instant {
        let st = &self.stations[n];
        let since = st.connected;
        #[cfg(feature = "clacks")]
        let since = match st.session.dialect() {
            Dialect::Clacks if st.clacks.pause.is_any() => self.now,
            // nothing that it says before its login counts, so that is when it was last paused
            Dialect::Clacks => st.heard,
            _ => since,
        };
        since + self.settings.hello_in(st.session.dialect())
    }

    /// When the last words of a station are over, read or not.
    fn gone_by(&self, n: u32) -> Instant {
        let st = &self.stations[n];
        // `heard` is when its end began
        st.heard + self.settings.linger_in(st.session.dialect())
    }

    /// Whether a station that was told its last words has to be given time to read them.
    fn lingers(&self, _n: u32) -> bool {
        #[cfg(feature = "clacks")]
        return self.clacks_lingers(_n);
        #[cfg(not(feature = "clacks"))]
        false
    }

    /// When a station that is there has to go, and why.
    fn station_limits(&self, n: u32) -> [Option<(Instant, Reason)>; 4] {
        let st = &self.stations[n];
        let (dialect, set) = (st.session.dialect(), &self.settings);
        #[cfg(feature = "clacks")]
        if dialect == Dialect::Clacks {
            return self.clacks_limits(n);
        }
        [
            dialect.ways().pings.then_some((st.heard + st.silence, Reason::Silent)),
            st.half_since.map(|t| (t + set.frame_within, Reason::Silent)),
            st.full_since.map(|t| (t + set.slow_after, Reason::Slow)),
            // who monitors misses what it does not read, and nobody else notices
            st.stalled.filter(|_| !self.looks_on(n)).map(|t| (t + set.stalled_in(dialect), Reason::Slow)),
        ]
    }

    fn station_due(&mut self, n: u32) {
        let st = &self.stations[n];
        match st.life {
            Life::New if self.hello_by(n) <= self.now => {
                self.doom(n, Reason::NotIntroduced);
            }
            Life::Closing(_) if self.gone_by(n) <= self.now => {
                // last words that nobody reads
                let st = &mut self.stations[n];
                self.pool.clear(&mut st.out);
                self.stations.enqueue(n);
            }
            Life::Ready => match self.station_limits(n).into_iter().flatten().find(|(t, _)| *t <= self.now) {
                Some((_, why)) => self.doom(n, why),
                None => {
                    #[cfg(feature = "clacks")]
                    self.upkeep(n);
                    self.arm(n);
                }
            },
            _ => self.arm(n),
        }
    }

    fn request_timer(&self, r: u32) -> u32 {
        self.stations.limit() as u32 + r - 1
    }

    fn mail_timer(&self, k: u32) -> u32 {
        (self.stations.limit() + self.requests.limit()) as u32 + k - 1
    }

    /// Octets of the first frame in an outbox.
    fn frame_size(&self, n: u32) -> Option<usize> {
        let st = &self.stations[n];
        let mut head = [0u8; 16];
        let have = self.pool.copy(&st.out, &mut head);
        st.session.wording().frame_size(&head[..have])
    }

    /// Where a duration from a peer is within a node's limits. 0: the default.
    fn span(asked_ms: u32, default: Duration, most: Duration) -> Duration {
        if asked_ms == 0 { default } else { Duration::from_millis(asked_ms).min(most) }
    }
}
