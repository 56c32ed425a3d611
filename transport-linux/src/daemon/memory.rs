//! The memory of the router.
//!
//! Owns: how large its tables are. Those of fixed rows are statics in .bss; those that are
//! bytes are allocated zeroed, and the rows of values as a vector of which nothing is written
//! yet: all of it is given to the process page by page as it is first touched, so that a
//! daemon costs what its busiest moment needed and not what it could hold. Nothing of it moves
//! or grows while the router runs. That the system would give all of it is checked at start.

use chappe_core::buffer::Rows;
use chappe_core::router::FRAME_MARGIN;
use chappe_core::router::store::{Store, StoreParts, StoreSettings, StoredRow};
use chappe_core::storage::{Limits, Parts, StoreRef, Tables};
use static_cell::ConstStaticCell;

use crate::config::Config;

/// Most stations a daemon can be configured for: the size of its tables.
pub const MAX_STATIONS: usize = 16_384;

/// Longest frame a daemon can be configured to take.
pub const MAX_FRAME: usize = 1 << 20;

/// Longest frame, of any dialect, that a daemon started with `config` can ever take: the size
/// of its frame buffers.
pub(super) fn longest_frame(config: &Config) -> usize {
    let (msgq, clacks) = (config.msgq.max_frame(), config.clacks.max_line as usize);
    MAX_FRAME.max(msgq).max(clacks).max(config.communicator.longest_frame())
}

/// Longest value, of any dialect, that a daemon started with `config` can ever keep.
pub(super) fn longest_value(config: &Config) -> usize {
    config.limits.max_value.max(config.clacks.longest_value()) as usize
}

/// Messages that may wait for somebody.
pub(super) const MAX_MAIL: usize = MAX_STATIONS;

/// Names at once: four for each station.
const NAMES: usize = 4 * MAX_STATIONS;
const MEMBERS: usize = 8 * MAX_STATIONS;
const REQUESTS: usize = 4 * MAX_STATIONS;
const DEBTS: usize = 8 * MAX_STATIONS;
const WATCHES: usize = 4096;
pub(super) const FLAGS: usize = 4096;
const TIMERS: usize = MAX_STATIONS + REQUESTS + MAX_MAIL;

/// A block of the common pool: a few short frames, so that a station with a little waiting
/// holds little, and a megabyte still goes out in a handful of writes.
const BLOCK: usize = 1024;

/// Flushes of values that may be waited for at once.
const BARRIERS: usize = 4096;

/// Most values that a daemon can be configured for, tombstones among them.
pub(crate) const MAX_VALUES: usize = 1 << 27;

/// A block of the memory for values: most readings fit one or two with their name.
const VALUE_BLOCK: usize = 64;

type AllTables = Tables<MAX_STATIONS, NAMES, MEMBERS, REQUESTS, DEBTS, MAX_MAIL, WATCHES, FLAGS, TIMERS>;

static TABLES: ConstStaticCell<AllTables> = ConstStaticCell::new(AllTables::new());

/// What a daemon needs beside its tables, more or less: stacks of its threads, connections, the
/// database's cache (16 MiB), what the allocator keeps for each thread.
const BESIDE: usize = 96 << 20;

/// Whether the system would give this process all that `config` may make it need, so that it says
/// so at start and not one day in the middle of its work. All of it is asked for at once and
/// given back untouched. What a control group gives cannot be known in this way: it is given until
/// the kernel ends the process.
pub(super) fn check(config: &Config) -> Result<(), String> {
    let limits = &config.limits;
    let (buffers, values, rows) = (limits.buffers as usize, limits.values as usize, limits.value_rows as usize);
    let queue = config.store.path.as_ref().map_or(0, |_| usize::try_from(config.store.queue).unwrap_or(usize::MAX));
    let needs = [
        ("limits.buffers", buffers.saturating_add(buffers.div_ceil(BLOCK) * size_of::<u32>())),
        ("limits.values", values.saturating_add(values / VALUE_BLOCK * size_of::<u32>())),
        ("limits.value_rows", rows.saturating_mul(size_of::<StoredRow>() + size_of::<u32>())),
        // what is being written, and what waits behind it
        ("store.queue", queue.saturating_mul(2)),
        ("for the longest frames", 3 * longest_frame(config)),
        ("for the rest", BESIDE),
    ];
    let mut taken: Vec<Vec<u8>> = Vec::with_capacity(needs.len());
    for (_, need) in needs {
        let mut piece = Vec::new();
        if piece.try_reserve_exact(need).is_err() {
            let all = needs.iter().fold(0usize, |sum, (_, need)| sum.saturating_add(*need));
            let mib = |n: usize| n.div_ceil(1 << 20);
            let parts: Vec<String> = needs.iter().map(|(what, need)| format!("{what} {}", mib(*need))).collect();
            return Err(format!(
                "not enough memory: with this configuration {} MiB may be needed, and the system does not give this \
                 process as much. In MiB: {}. Lower these, or raise what the process may have (`ulimit -v`, `ulimit \
                 -d`, vm.overcommit_memory)",
                mib(all),
                parts.join(", ")
            ));
        }
        taken.push(piece);
    }
    Ok(())
}

/// What one router borrows.
pub(super) struct Memory {
    tables: &'static mut AllTables,
    stations: usize,
    seed: u32,
    pool: Vec<u8>,
    links: Vec<u32>,
    assembly: Vec<u8>,
    encode: Vec<u8>,
    scratch: Vec<u8>,
}

impl Memory {
    /// Takes the memory of this process, of which there is one: a second daemon in the same
    /// process is an error.
    pub(super) fn reserve(config: &Config) -> Result<Memory, String> {
        let wanted = &config.limits;
        let taken = "the tables of this process are taken: one process is one daemon";
        let tables = TABLES.try_take().ok_or(taken)?;
        let pool = wanted.buffers as usize;
        let frame = longest_frame(config) + FRAME_MARGIN;
        Ok(Memory {
            tables,
            stations: wanted.stations as usize,
            seed: seed(),
            pool: vec![0; pool],
            links: vec![0; pool.div_ceil(BLOCK)],
            assembly: vec![0; frame],
            encode: vec![0; frame],
            scratch: vec![0; frame],
        })
    }

    /// Called once.
    pub(super) fn parts<'m>(&'m mut self, store: &'m mut dyn Store) -> Parts<'m> {
        let t = &mut *self.tables;
        Parts {
            limits: Limits { stations: self.stations, barriers: BARRIERS, ..Limits::NONE },
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
            assembly: &mut self.assembly,
            encode: &mut self.encode,
            scratch: &mut self.scratch,
            store: StoreRef::Other(store),
            seed: self.seed,
        }
    }
}

/// What the store of values borrows.
pub(super) struct ValueMemory {
    rows: ValueRows,
    buckets: Vec<u32>,
    bytes: Vec<u8>,
    links: Vec<u32>,
    settings: StoreSettings,
}

impl ValueMemory {
    pub(super) fn reserve(config: &Config) -> Result<ValueMemory, String> {
        let wanted = &config.limits;
        let (rows, bytes) = (wanted.value_rows as usize, wanted.values as usize);
        Ok(ValueMemory {
            rows: ValueRows::reserve(rows).map_err(|e| format!("limits.value_rows: no memory for {rows}: {e}"))?,
            buckets: vec![0; rows],
            bytes: vec![0; bytes],
            links: vec![0; bytes / VALUE_BLOCK],
            settings: StoreSettings {
                block: VALUE_BLOCK,
                rows,
                max_value: longest_value(config),
                keep: u64::from(config.store.removals_kept_s) * 1_000_000,
                seed: seed(),
            },
        })
    }

    /// Called once.
    pub(super) fn parts(&mut self) -> (StoreParts<'_, ValueRows>, StoreSettings) {
        let parts = StoreParts {
            rows: &mut self.rows,
            buckets: &mut self.buckets,
            bytes: &mut self.bytes,
            links: &mut self.links,
        };
        (parts, self.settings)
    }
}

/// Rows of values: as many as the configuration says, of which those that were never used are
/// not even in memory.
#[derive(Debug)]
pub(super) struct ValueRows(Vec<StoredRow>);

impl ValueRows {
    fn reserve(rows: usize) -> Result<Self, std::collections::TryReserveError> {
        let mut memory = Vec::new();
        memory.try_reserve_exact(rows)?;
        Ok(ValueRows(memory))
    }
}

impl Rows<StoredRow> for ValueRows {
    #[inline]
    fn made(&self) -> &[StoredRow] {
        &self.0
    }

    #[inline]
    fn made_mut(&mut self) -> &mut [StoredRow] {
        &mut self.0
    }

    fn room(&self) -> usize {
        self.0.capacity()
    }

    fn make(&mut self, row: StoredRow) -> bool {
        let fits = self.0.len() < self.0.capacity();
        if fits {
            // within its capacity a vector does not move
            self.0.push(row);
        }
        fits
    }

    fn clear(&mut self) {
        self.0.clear();
    }
}

/// Nobody outside can know which names would meet in one bucket. The standard library's
/// hasher has its keys from the system's random source.
fn seed() -> u32 {
    random() as u32
}

/// Some bits that nobody else has: good enough to tell things apart.
pub(super) fn random() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    std::hash::RandomState::new().build_hasher().finish()
}

/// A number that no other life of a node has: the second of its start, and 24 random bits for
/// those that start in the same one, or with a clock that was set back.
pub(super) fn life() -> u64 {
    let seconds = std::time::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_secs());
    seconds << 24 | random() & 0xff_ffff
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lives_differ_and_begin_with_the_time() {
        let (a, b) = (life(), life());
        assert_ne!(a, b);
        assert!(a >> 24 > 1_700_000_000 && (b >> 24) - (a >> 24) <= 1);
    }

    #[test]
    fn more_memory_than_there_can_be_is_an_error_that_says_for_what() {
        let mut config = Config::default();
        assert_eq!(check(&config), Ok(()));
        config.limits.values = 1 << 62;
        let text = check(&config).unwrap_err();
        assert!(text.contains("limits.values 4672924418048,") && text.contains("limits.buffers 257,"), "{text}");
    }

    #[test]
    fn values_are_as_long_as_any_dialect_may_have_them() {
        let mut config = Config::default();
        assert_eq!(longest_value(&config), 1 << 20);
        config.clacks.max_value = 100;
        assert_eq!(longest_value(&config), 32_768);
    }

    #[test]
    fn buffers_hold_the_longest_frame_of_each_dialect() {
        let mut config = Config::default();
        assert_eq!(longest_frame(&config), 16 << 20);
        config.clacks.max_line = 4096;
        config.msgq.max_body = 65_536;
        assert_eq!(longest_frame(&config), (1 << 20) + 1344);
        config.communicator.max_line = 4096;
        assert_eq!(longest_frame(&config), MAX_FRAME);
        config.msgq.max_body = 5_000_000;
        assert_eq!(longest_frame(&config), 6 + 65_535 + 5_000_000);
    }
}
