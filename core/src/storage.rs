//! The memory of a node: the only place where sizes are types.
//!
//! Owns: [`Storage`], all of it in one object for a microcontroller's `static`; [`Tables`], the
//! part whose rows are the core's own; and [`Parts`], what a router borrows, which is the same
//! for every size, so its code exists once. Does not own what limits mean (`limits.rs`, and
//! [`Settings`]).

#[cfg(feature = "durable")]
use crate::router::barriers::BarrierRow;
use crate::router::flags::RaisedFlag;
use crate::router::mailbox::MailRow;
use crate::router::names::{MemberRow, NameRow};
use crate::router::presence::WatchRow;
use crate::router::requests::{DebtRow, RequestRow};
use crate::router::stations::Station;
use crate::router::store::{FixedStore, Store, StoreMemory, StoreSettings};
use crate::router::timers::Timer;
use crate::router::{ConfigError, FRAME_MARGIN, Router, Settings};
use crate::time::Instant;
use heapless::vec::VecView;

/// How many rows of each table may be used; never more than there is memory for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Stations at once.
    pub stations: usize,
    /// Names at once: joined, declared, with mail, watched, or used as an instance.
    pub names: usize,
    /// Memberships of all stations.
    pub members: usize,
    /// Open questions of all stations.
    pub requests: usize,
    /// Who may answer them, summed over all open questions.
    pub debts: usize,
    /// Waiting messages.
    pub mail: usize,
    /// Watches of all stations.
    pub watches: usize,
    /// Raised flags.
    pub flags: usize,
    /// Flushes of values that are waited for.
    #[cfg(feature = "durable")]
    pub barriers: usize,
}

impl Limits {
    /// As many as there is memory for.
    pub const NONE: Limits = Limits {
        stations: usize::MAX,
        names: usize::MAX,
        members: usize::MAX,
        requests: usize::MAX,
        debts: usize::MAX,
        mail: usize::MAX,
        watches: usize::MAX,
        flags: usize::MAX,
        #[cfg(feature = "durable")]
        barriers: usize::MAX,
    };
}

/// Where shared values are.
pub enum StoreRef<'s> {
    /// In memory of fixed size.
    Fixed(FixedStore<'s>),
    /// Somewhere else, larger or durable.
    Other(&'s mut (dyn Store + 's)),
}

impl<'s> StoreRef<'s> {
    pub(crate) fn get(&self) -> &(dyn Store + 's) {
        match self {
            StoreRef::Fixed(store) => store,
            StoreRef::Other(store) => &**store,
        }
    }

    pub(crate) fn get_mut(&mut self) -> &mut (dyn Store + 's) {
        match self {
            StoreRef::Fixed(store) => store,
            StoreRef::Other(store) => &mut **store,
        }
    }
}

/// What a router borrows. Byte slices and number slices must be all zero.
pub struct Parts<'s> {
    /// See [`Limits`].
    pub limits: Limits,
    /// One row a station.
    pub stations: &'s mut VecView<Station>,
    /// One row a name.
    pub names: &'s mut VecView<NameRow>,
    /// Where names are found; about as many as names.
    pub name_buckets: &'s mut [u32],
    /// One row a membership.
    pub members: &'s mut VecView<MemberRow>,
    /// One row an open question.
    pub requests: &'s mut VecView<RequestRow>,
    /// Where questions of dialects with numbers of their own are found; about as many as rows.
    #[cfg(feature = "msgq")]
    pub request_buckets: &'s mut [u32],
    /// Where it is found what who owes; about as many as rows of debts.
    #[cfg(feature = "msgq")]
    pub debt_buckets: &'s mut [u32],
    /// One row for each who may answer one.
    pub debts: &'s mut VecView<DebtRow>,
    /// One row a waiting message.
    pub mail: &'s mut VecView<MailRow>,
    /// One row a watch.
    pub watches: &'s mut VecView<WatchRow>,
    /// One row a raised flag.
    pub flags: &'s mut VecView<RaisedFlag>,
    /// One row for each flush of values that is waited for.
    #[cfg(feature = "durable")]
    pub barriers: &'s mut VecView<BarrierRow>,
    /// As many as stations, questions and waiting messages together.
    pub timers: &'s mut [Timer],
    /// Memory common to all: outboxes, half frames, mail. With less than a few frames for
    /// each busy station, messages are dropped (and counted).
    pub pool: &'s mut [u8],
    /// One number for each block of the pool.
    pub pool_links: &'s mut [u32],
    /// Octets of a block: a power of two, 16 or more. Small blocks waste less, large ones are
    /// written in fewer pieces.
    pub block: usize,
    /// Frames that came in pieces; holds `max_frame` and [`FRAME_MARGIN`].
    pub assembly: &'s mut [u8],
    /// Frames on their way out; as large.
    pub encode: &'s mut [u8],
    /// Values and mail on their way out; as large.
    pub scratch: &'s mut [u8],
    /// Shared values.
    pub store: StoreRef<'s>,
    /// Makes hashes of names differ from node to node, so that nobody can choose names that
    /// meet in one bucket. Random where there is randomness.
    pub seed: u32,
}

/// Rows of the core's own tables. `TIMERS` is `STATIONS + REQUESTS + MAIL`.
///
/// An empty one is all zero bytes or uninitialised, so a large one in a `static` costs only
/// what is used.
pub struct Tables<
    const STATIONS: usize,
    const NAMES: usize,
    const MEMBERS: usize,
    const REQUESTS: usize,
    const DEBTS: usize,
    const MAIL: usize,
    const WATCHES: usize,
    const FLAGS: usize,
    const TIMERS: usize,
> {
    /// See [`Parts::stations`], and so on.
    pub stations: heapless::Vec<Station, STATIONS>,
    /// Rows of names.
    pub names: heapless::Vec<NameRow, NAMES>,
    /// Buckets of names.
    pub name_buckets: [u32; NAMES],
    /// Rows of memberships.
    pub members: heapless::Vec<MemberRow, MEMBERS>,
    /// Rows of questions.
    pub requests: heapless::Vec<RequestRow, REQUESTS>,
    /// Buckets of questions.
    #[cfg(feature = "msgq")]
    pub request_buckets: [u32; REQUESTS],
    /// Buckets of debts.
    #[cfg(feature = "msgq")]
    pub debt_buckets: [u32; DEBTS],
    /// Rows of debtors.
    pub debts: heapless::Vec<DebtRow, DEBTS>,
    /// Rows of mail.
    pub mail: heapless::Vec<MailRow, MAIL>,
    /// Rows of watches.
    pub watches: heapless::Vec<WatchRow, WATCHES>,
    /// Rows of flags.
    pub flags: heapless::Vec<RaisedFlag, FLAGS>,
    /// Rows of flushes: as many as questions.
    #[cfg(feature = "durable")]
    pub barriers: heapless::Vec<BarrierRow, REQUESTS>,
    /// Timers.
    pub timers: [Timer; TIMERS],
}

impl<
    const STATIONS: usize,
    const NAMES: usize,
    const MEMBERS: usize,
    const REQUESTS: usize,
    const DEBTS: usize,
    const MAIL: usize,
    const WATCHES: usize,
    const FLAGS: usize,
    const TIMERS: usize,
> Tables<STATIONS, NAMES, MEMBERS, REQUESTS, DEBTS, MAIL, WATCHES, FLAGS, TIMERS>
{
    /// Empty.
    pub const fn new() -> Self {
        const { assert!(TIMERS == STATIONS + REQUESTS + MAIL, "TIMERS is STATIONS + REQUESTS + MAIL") };
        Tables {
            stations: heapless::Vec::new(),
            names: heapless::Vec::new(),
            name_buckets: [0; NAMES],
            members: heapless::Vec::new(),
            requests: heapless::Vec::new(),
            #[cfg(feature = "msgq")]
            request_buckets: [0; REQUESTS],
            #[cfg(feature = "msgq")]
            debt_buckets: [0; DEBTS],
            debts: heapless::Vec::new(),
            mail: heapless::Vec::new(),
            watches: heapless::Vec::new(),
            flags: heapless::Vec::new(),
            #[cfg(feature = "durable")]
            barriers: heapless::Vec::new(),
            timers: [Timer::NEW; TIMERS],
        }
    }
}

impl<
    const STATIONS: usize,
    const NAMES: usize,
    const MEMBERS: usize,
    const REQUESTS: usize,
    const DEBTS: usize,
    const MAIL: usize,
    const WATCHES: usize,
    const FLAGS: usize,
    const TIMERS: usize,
> Default for Tables<STATIONS, NAMES, MEMBERS, REQUESTS, DEBTS, MAIL, WATCHES, FLAGS, TIMERS>
{
    fn default() -> Self {
        Self::new()
    }
}

/// How long a removed value's tombstone is kept, in microseconds: a day.
const TOMBSTONES_KEPT_US: u64 = 86_400_000_000;

/// All the memory of a node, for a `static`. The defaults are a hub for 8 stations and 32
/// names; with smoltcp, its sockets and the stack it fits 48 KiB (`firmware-examples/sizes.sh`).
///
/// `BUFFER` is the longest frame plus 64; the pool has `BLOCKS` blocks of `BLOCK` octets;
/// values have `VALUES` rows and `VALUE_BLOCKS` blocks of 32 octets.
pub struct Storage<
    const STATIONS: usize = 8,
    const NAMES: usize = 32,
    const MEMBERS: usize = 48,
    const REQUESTS: usize = 16,
    const DEBTS: usize = 32,
    const MAIL: usize = 8,
    const WATCHES: usize = 8,
    const FLAGS: usize = 8,
    const TIMERS: usize = 32,
    const BLOCKS: usize = 64,
    const BLOCK: usize = 128,
    const BUFFER: usize = 576,
    const VALUES: usize = 32,
    const VALUE_BLOCKS: usize = 72,
> {
    tables: Tables<STATIONS, NAMES, MEMBERS, REQUESTS, DEBTS, MAIL, WATCHES, FLAGS, TIMERS>,
    pool: [[u8; BLOCK]; BLOCKS],
    pool_links: [u32; BLOCKS],
    assembly: [u8; BUFFER],
    encode: [u8; BUFFER],
    scratch: [u8; BUFFER],
    values: StoreMemory<VALUES, VALUES, VALUE_BLOCKS, 32>,
}

impl<
    const STATIONS: usize,
    const NAMES: usize,
    const MEMBERS: usize,
    const REQUESTS: usize,
    const DEBTS: usize,
    const MAIL: usize,
    const WATCHES: usize,
    const FLAGS: usize,
    const TIMERS: usize,
    const BLOCKS: usize,
    const BLOCK: usize,
    const BUFFER: usize,
    const VALUES: usize,
    const VALUE_BLOCKS: usize,
>
    Storage<
        STATIONS,
        NAMES,
        MEMBERS,
        REQUESTS,
        DEBTS,
        MAIL,
        WATCHES,
        FLAGS,
        TIMERS,
        BLOCKS,
        BLOCK,
        BUFFER,
        VALUES,
        VALUE_BLOCKS,
    >
{
    /// Unused.
    pub const fn new() -> Self {
        Storage {
            tables: Tables::new(),
            pool: [[0; BLOCK]; BLOCKS],
            pool_links: [0; BLOCKS],
            assembly: [0; BUFFER],
            encode: [0; BUFFER],
            scratch: [0; BUFFER],
            values: StoreMemory::new(),
        }
    }

    /// What a router borrows. Called once: what was in it is not cleared.
    ///
    /// # Errors
    /// [`ConfigError::Tables`] if there is no room for a single value.
    pub fn parts(&mut self) -> Result<Parts<'_>, ConfigError> {
        let t = &mut self.tables;
        let settings = StoreSettings { block: 32, rows: VALUES, max_value: BUFFER, keep: TOMBSTONES_KEPT_US, seed: 0 };
        let store = FixedStore::new(self.values.parts(), settings).map_err(|_| ConfigError::Tables)?;
        Ok(Parts {
            limits: Limits::NONE,
            stations: t.stations.as_mut_view(),
            names: t.names.as_mut_view(),
            name_buckets: &mut t.name_buckets,
            members: t.members.as_mut_view(),
            requests: t.requests.as_mut_view(),
            #[cfg(feature = "msgq")]
            request_buckets: &mut t.request_buckets,
            #[cfg(feature = "msgq")]
            debt_buckets: &mut t.debt_buckets,
            debts: t.debts.as_mut_view(),
            mail: t.mail.as_mut_view(),
            watches: t.watches.as_mut_view(),
            flags: t.flags.as_mut_view(),
            #[cfg(feature = "durable")]
            barriers: t.barriers.as_mut_view(),
            timers: &mut t.timers,
            pool: self.pool.as_flattened_mut(),
            pool_links: &mut self.pool_links,
            block: BLOCK,
            assembly: &mut self.assembly,
            encode: &mut self.encode,
            scratch: &mut self.scratch,
            store: StoreRef::Fixed(store),
            seed: 0,
        })
    }

    /// A router over this memory, with frames as long as it has room for.
    ///
    /// # Errors
    /// [`ConfigError`], see [`Router::new`].
    pub fn router<'s>(&'s mut self, settings: Settings<'s>, now: Instant) -> Result<Router<'s>, ConfigError> {
        let max_frame = settings.max_frame.min(BUFFER.saturating_sub(FRAME_MARGIN));
        Router::new(self.parts()?, Settings { max_frame, ..settings }, now)
    }
}

impl<
    const STATIONS: usize,
    const NAMES: usize,
    const MEMBERS: usize,
    const REQUESTS: usize,
    const DEBTS: usize,
    const MAIL: usize,
    const WATCHES: usize,
    const FLAGS: usize,
    const TIMERS: usize,
    const BLOCKS: usize,
    const BLOCK: usize,
    const BUFFER: usize,
    const VALUES: usize,
    const VALUE_BLOCKS: usize,
> Default
    for Storage<
        STATIONS,
        NAMES,
        MEMBERS,
        REQUESTS,
        DEBTS,
        MAIL,
        WATCHES,
        FLAGS,
        TIMERS,
        BLOCKS,
        BLOCK,
        BUFFER,
        VALUES,
        VALUE_BLOCKS,
    >
{
    fn default() -> Self {
        Self::new()
    }
}
