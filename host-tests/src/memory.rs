//! Memory for a router of any size, on the heap.
//!
//! Owns: [`Memory`], which a test keeps as long as its router. The core's own
//! [`Storage`](chappe_core::storage::Storage) is one object, which at these sizes would have to pass
//! over the test's stack.

use chappe_core::router::store::{FixedStore, StoreMemory, StoreSettings};
use chappe_core::router::{ConfigError, Router, Settings};
use chappe_core::storage::{Limits, Parts, StoreRef, Tables};
use chappe_core::time::Instant;

/// Rows of a few stations, for tests that make many nodes.
pub type Few = Memory<16, 64, 64, 32, 64, 52, 64, 512>;

/// Rows of 1,200 stations in 4,096 names.
pub type Many = Memory<1200, 4096, 12288, 4096, 8192, 5300, 64, 512>;

/// Rows of a hundred stations, with half a megabyte of values.
pub type Values = Memory<100, 512, 2048, 64, 128, 168, 512, 16384>;

/// Rows of a hundred stations, with room for 64 messages that wait.
pub type Services = Memory<100, 512, 2048, 64, 128, 228, 64, 512, 64>;

/// Rows of tables as [`Tables`] has them, 4 of those that tests use little; pool and frames as
/// asked. `TIMERS` is `STATIONS + REQUESTS + MAIL`; `VALUES` are kept in blocks of 32 octets.
pub struct Memory<
    const STATIONS: usize,
    const NAMES: usize,
    const MEMBERS: usize,
    const REQUESTS: usize,
    const DEBTS: usize,
    const TIMERS: usize,
    const VALUES: usize,
    const VALUE_BLOCKS: usize,
    const MAIL: usize = 4,
> {
    tables: Box<Tables<STATIONS, NAMES, MEMBERS, REQUESTS, DEBTS, MAIL, 16, 4, TIMERS>>,
    pool: Vec<u8>,
    links: Vec<u32>,
    buffers: [Vec<u8>; 3],
    values: Box<StoreMemory<VALUES, VALUES, VALUE_BLOCKS, 32>>,
    /// How long a deletion mark is kept, in microseconds.
    pub keep: u64,
    /// Rows that may be used; by default all of them.
    pub limits: Limits,
}

const BLOCK: usize = 256;

/// Makes something that passes over the stack and may be larger than a test's.
fn large<T: Send + 'static>(make: fn() -> T) -> T {
    let thread = std::thread::Builder::new().stack_size(64 << 20).spawn(make);
    thread.expect("threads").join().expect("it does not panic")
}

impl<
    const STATIONS: usize,
    const NAMES: usize,
    const MEMBERS: usize,
    const REQUESTS: usize,
    const DEBTS: usize,
    const TIMERS: usize,
    const VALUES: usize,
    const VALUE_BLOCKS: usize,
    const MAIL: usize,
> Memory<STATIONS, NAMES, MEMBERS, REQUESTS, DEBTS, TIMERS, VALUES, VALUE_BLOCKS, MAIL>
{
    /// With this many octets for outboxes and half frames, and frame buffers of that many.
    ///
    /// # Panics
    /// If the machine has no memory or no threads.
    pub fn new(pool: usize, frame: usize) -> Self {
        // without optimisation they pass over the stack once, and a test's is small
        let tables = match STATIONS {
            0..=16 => Self::tables(),
            _ => large(Self::tables),
        };
        Memory {
            tables,
            pool: vec![0; pool],
            links: vec![0; pool / BLOCK],
            buffers: std::array::from_fn(|_| vec![0; frame]),
            values: match VALUES {
                0..=64 => Box::default(),
                _ => large(Box::default),
            },
            keep: 1 << 40,
            limits: Limits::NONE,
        }
    }

    fn tables() -> Box<Tables<STATIONS, NAMES, MEMBERS, REQUESTS, DEBTS, MAIL, 16, 4, TIMERS>> {
        Box::new(Tables::new())
    }

    /// A router on it.
    ///
    /// # Errors
    /// Those of [`Router::new`].
    pub fn router<'s>(&'s mut self, settings: Settings<'s>, now: Instant) -> Result<Router<'s>, ConfigError> {
        self.router_on(StoreRef::Fixed, settings, now)
    }

    /// A router on it, with what `wrap` makes of its store.
    ///
    /// # Errors
    /// Those of [`Router::new`].
    pub fn router_on<'s>(
        &'s mut self,
        wrap: impl FnOnce(FixedStore<'s>) -> StoreRef<'s>,
        settings: Settings<'s>,
        now: Instant,
    ) -> Result<Router<'s>, ConfigError> {
        let t = &mut *self.tables;
        let [assembly, encode, scratch] = &mut self.buffers;
        let store = StoreSettings { block: 32, rows: VALUES, max_value: scratch.len(), keep: self.keep, seed: 0 };
        let store = FixedStore::new(self.values.parts(), store).map_err(|_| ConfigError::Tables)?;
        let parts = Parts {
            limits: self.limits,
            stations: t.stations.as_mut_view(),
            names: t.names.as_mut_view(),
            name_buckets: &mut t.name_buckets,
            members: t.members.as_mut_view(),
            requests: t.requests.as_mut_view(),
            request_buckets: &mut t.request_buckets,
            debt_buckets: &mut t.debt_buckets,
            debts: t.debts.as_mut_view(),
            mail: t.mail.as_mut_view(),
            watches: t.watches.as_mut_view(),
            flags: t.flags.as_mut_view(),
            barriers: t.barriers.as_mut_view(),
            timers: &mut t.timers,
            pool: &mut self.pool,
            pool_links: &mut self.links,
            block: BLOCK,
            assembly,
            encode,
            scratch,
            store: wrap(store),
            seed: 0,
        };
        Router::new(parts, settings, now)
    }
}
