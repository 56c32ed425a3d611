//! Shared values: bytes kept under names.
//!
//! Owns: what a store is for the router ([`Store`], so that the daemon can keep more than
//! fits here, durably), and the one of fixed size ([`FixedStore`]). Does not own who may
//! change a value, nor who is told, nor what time it is.
//!
//! The rule (D10): of two changes of a value the newer counts, wherever and in whichever
//! order they arrive. A change is newer if its stamp is later; with equal stamps, if its
//! origin is the higher number; with equal origins, a removal before a value, and of two
//! values the one that is greater byte by byte. A removal leaves a *tombstone*, so that an
//! older change that arrives late does not bring the value back. Tombstones go, oldest
//! first, when their room is needed or when they are older than agreed.
//!
//! | file | owns |
//! |---|---|
//! | `store/restore.rs` | rows as a copy elsewhere has them |
//! | `store/keeping.rs` | what a store can say about its disk |

#[cfg(feature = "durable")]
mod keeping;
mod restore;

#[cfg(feature = "durable")]
pub use keeping::{Keeping, Kept};
pub use restore::Stored;

use super::blocks::Blocks;
use crate::buffer::Rows;
use crate::buffer::slab::{self, Ends, Link, Linked, Slab};
use crate::limits::MAX_NAME;
use crate::name;
use core::cmp::Ordering;
use core::fmt;
use core::str::FromStr;
use heapless::vec::VecView;

/// When a value was changed: microseconds since 1970, or since boot on a node that has no
/// clock. Other nodes compare it with theirs.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Stamp(u64);

impl Stamp {
    /// From microseconds.
    pub const fn from_micros(us: u64) -> Self {
        Stamp(us)
    }

    /// Microseconds.
    pub const fn micros(self) -> u64 {
        self.0
    }

    /// Whole milliseconds since `earlier`; 0 if it is not earlier.
    pub const fn millis_since(self, earlier: Stamp) -> u64 {
        self.0.saturating_sub(earlier.0) / 1000
    }

    /// The next one; the last is followed by itself.
    pub const fn next(self) -> Stamp {
        Stamp(self.0.saturating_add(1))
    }
}

/// A value that is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// Its length. If the caller's slice is shorter, it holds as much of it as fits.
    pub len: usize,
    /// When it was changed.
    pub changed: Stamp,
    /// When it was last read or changed, before this.
    pub accessed: Stamp,
}

/// What became of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Applied {
    /// It counts now.
    Done,
    /// What is stored is newer, or the very same: nothing happened.
    Older,
    /// Nothing of that name was there to be removed: nothing happened.
    Absent,
}

/// Why a change was refused. Nothing has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum StoreError {
    /// Not a valid name.
    BadName,
    /// The value is longer than [`Store::max_value`].
    TooBig,
    /// To be added to, but not a decimal number of 64 bits.
    NotANumber,
    /// The sum does not fit 64 bits.
    Overflow,
    /// No room for another name.
    TooManyNames,
    /// No room for that many bytes.
    NoSpace,
    /// The disk fails, so the change could not be kept.
    #[cfg(feature = "durable")]
    DiskFails,
    /// As many changes wait for the disk as may.
    #[cfg(feature = "durable")]
    DiskBehind,
}

impl StoreError {
    /// For people: what, and what to do.
    pub const fn text(self) -> &'static str {
        match self {
            StoreError::BadName => "a value's name is 1 to 128 bytes of UTF-8 without control characters",
            StoreError::TooBig => "the value is longer than the node keeps",
            StoreError::NotANumber => "the value is not a decimal integer: set it to one first",
            StoreError::Overflow => "the sum does not fit 64 bits",
            StoreError::TooManyNames => "the node keeps no more names with values: remove some",
            StoreError::NoSpace => "the node's memory for values is full: remove some",
            #[cfg(feature = "durable")]
            StoreError::DiskFails => "the node's disk fails, nothing was changed: see its log and its status",
            #[cfg(feature = "durable")]
            StoreError::DiskBehind => "the node's disk is behind, nothing was changed: try again later",
        }
    }
}

/// Where a listing goes on. As text: a decimal number.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Cursor(u32);

impl Cursor {
    /// Begins a listing.
    pub const START: Cursor = Cursor(0);

    /// From a store's own number.
    pub const fn new(n: u32) -> Self {
        Cursor(n)
    }

    /// The store's own number.
    pub const fn number(self) -> u32 {
        self.0
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl FromStr for Cursor {
    type Err = core::num::ParseIntError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Cursor)
    }
}

/// A row of a listing, in the caller's memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listed<'o> {
    /// Of the value.
    pub name: &'o str,
    /// The value.
    pub value: &'o [u8],
    /// When it was changed.
    pub changed: Stamp,
    /// Go on here for the next row.
    pub next: Cursor,
}

/// One step of a listing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step<'o> {
    /// A row.
    Row(Listed<'o>),
    /// The budget is used up: go on here another time.
    Pause(Cursor),
    /// That was all.
    End,
}

/// A store of shared values, as the router sees it.
pub trait Store {
    /// Copies a value to `out`. Counts as an access.
    fn get(&mut self, name: &str, now: Stamp, out: &mut [u8]) -> Option<Found>;

    /// A value's new bytes, said by node `origin` at `stamp`.
    fn set(&mut self, name: &str, value: &[u8], stamp: Stamp, origin: u32) -> Result<Applied, StoreError>;

    /// Removes a value that is there. Leaves a tombstone. Never refused for want of room in
    /// memory.
    fn remove(&mut self, name: &str, stamp: Stamp, origin: u32) -> Result<Applied, StoreError>;

    /// Takes note of a removal somewhere else: as [`Store::remove`], but leaves a tombstone
    /// even if there was nothing, because an older value may still be on its way here.
    fn bury(&mut self, name: &str, stamp: Stamp, origin: u32) -> Result<Applied, StoreError>;

    /// Adds to a value, which is decimal text; one that is absent counts as 0. Returns the
    /// sum. The change counts as later than what is stored even if `stamp` is not.
    fn add(&mut self, name: &str, amount: i64, stamp: Stamp, origin: u32) -> Result<i64, StoreError>;

    /// The stamp for a change made here at `now`: later than what is stored, or else a value
    /// from a node whose clock is ahead could not be changed here until ours has caught up.
    fn stamp(&self, name: &str, now: Stamp) -> Stamp;

    /// The first value at or behind `from` whose name begins with `prefix`. `out` has room
    /// for a name and a value ([`MAX_NAME`] + [`Store::max_value`]); a shorter one shortens
    /// the value. Looks at no more than `budget` rows and takes what it looked at off it.
    ///
    /// A value that is there during the whole listing is shown exactly once, however long
    /// the listing takes and whatever else comes and goes. The order means nothing.
    fn next<'o>(&self, from: Cursor, prefix: &str, budget: &mut usize, out: &'o mut [u8]) -> Step<'o>;

    /// Drops tombstones that are older than agreed, a bounded number. Whether there are
    /// more of them: call again.
    fn expire_tombstones(&mut self, now: Stamp) -> bool;

    /// Wants all that has changed so far to be on disk soon, if that is where it is kept.
    /// Returns the number that [`Store::kept`] will have come to then; it never goes down.
    #[cfg(feature = "durable")]
    fn mark(&mut self) -> u64 {
        0
    }

    /// How far the store has come with keeping what has changed.
    #[cfg(feature = "durable")]
    fn kept(&mut self) -> Kept {
        Kept::IN_MEMORY
    }

    /// What is wrong with its disk, for people; empty if nothing is. As of the last
    /// [`Store::kept`].
    #[cfg(feature = "durable")]
    fn trouble(&self) -> &str {
        ""
    }

    /// How many values there are, tombstones not counted.
    fn len(&self) -> usize;

    /// Whether there is no value.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many there may be.
    fn limit(&self) -> usize;

    /// Longest value in bytes.
    fn max_value(&self) -> usize;

    /// Every invariant; what is broken, otherwise.
    fn check(&self) -> Result<(), &'static str>;
}

/// What a row is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Free,
    Value,
    Tombstone,
}

/// The memory of one value or tombstone, without its bytes: 48 bytes.
#[derive(Debug, Clone, Copy)]
pub struct StoredRow {
    changed: Stamp,
    /// Of a tombstone: when it was made, by the clock of this node.
    accessed: Stamp,
    /// Among the tombstones, oldest first.
    link: Link,
    /// Next row of the same bucket, 0 for none; of a free row: the next free one.
    next: u32,
    hash: u32,
    origin: u32,
    /// 1 + first block of the name's bytes, with the value's behind them.
    first: u32,
    value_len: u32,
    name_len: u8,
    state: State,
}

impl slab::Row for StoredRow {
    const EMPTY: Self = StoredRow {
        changed: Stamp(0),
        accessed: Stamp(0),
        link: Link::NONE,
        next: 0,
        hash: 0,
        origin: 0,
        first: 0,
        value_len: 0,
        name_len: 0,
        state: State::Free,
    };
    fn free_link(&mut self) -> &mut u32 {
        &mut self.next
    }
}

/// The list of tombstones.
#[derive(Debug)]
enum Tombstones {}

impl Linked<Tombstones> for StoredRow {
    fn link(&mut self) -> &mut Link {
        &mut self.link
    }
}

/// The memory of a [`FixedStore`]. A value of 32 bytes with a name of 20 takes, in blocks of
/// 32: a row of 48 bytes, two blocks with 4 bytes each beside them, and 4 bytes per bucket:
/// 124 bytes.
#[derive(Debug)]
pub struct StoreParts<'s, R: ?Sized = VecView<StoredRow>> {
    /// One for each value and tombstone; need not be initialised beyond its length.
    pub rows: &'s mut R,
    /// All zeros. About as many as rows, at least one.
    pub buckets: &'s mut [u32],
    /// Names and values: a block for each of `links`. What is in it does not matter.
    pub bytes: &'s mut [u8],
    /// One for each block. What is in it does not matter.
    pub links: &'s mut [u32],
}

/// Who is told which tombstones go: a store that keeps a copy of itself somewhere else drops
/// them there too. Nobody, for most.
pub trait Forget {
    /// Whether anybody listens: what nobody hears is not even read.
    const HEARS: bool = true;
    /// The tombstone of `name` is gone.
    fn forget(&mut self, name: &[u8]);
}

impl Forget for () {
    const HEARS: bool = false;
    fn forget(&mut self, _: &[u8]) {}
}

/// The sizes and habits of a [`FixedStore`].
#[derive(Debug, Clone, Copy)]
pub struct StoreSettings {
    /// Bytes of a block; 16 to 64 for small values.
    pub block: usize,
    /// Most values, if there is memory for that many.
    pub rows: usize,
    /// Longest value in bytes.
    pub max_value: usize,
    /// How long a tombstone is kept, in microseconds. Longer than any link stays down.
    pub keep: u64,
    /// Changes the hash of names, so that nobody outside can choose names that collide.
    pub seed: u32,
}

impl StoreSettings {
    /// As many rows as there is memory for, values of up to 4096 bytes, tombstones kept for
    /// a day, a fixed seed.
    pub const fn new(block: usize) -> Self {
        StoreSettings { block, rows: usize::MAX, max_value: 4096, keep: 86_400_000_000, seed: 0 }
    }
}

/// The memory in [`StoreParts`] cannot hold a single value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct NoMemory;

/// Memory of a size known when compiling, for a `static`.
#[derive(Debug)]
pub struct StoreMemory<const ROWS: usize, const BUCKETS: usize, const BLOCKS: usize, const BLOCK: usize> {
    rows: heapless::Vec<StoredRow, ROWS>,
    buckets: [u32; BUCKETS],
    bytes: [[u8; BLOCK]; BLOCKS],
    links: [u32; BLOCKS],
}

impl<const ROWS: usize, const BUCKETS: usize, const BLOCKS: usize, const BLOCK: usize> Default
    for StoreMemory<ROWS, BUCKETS, BLOCKS, BLOCK>
{
    fn default() -> Self {
        Self::new()
    }
}

impl<const ROWS: usize, const BUCKETS: usize, const BLOCKS: usize, const BLOCK: usize>
    StoreMemory<ROWS, BUCKETS, BLOCKS, BLOCK>
{
    /// All zeros.
    pub const fn new() -> Self {
        StoreMemory {
            rows: heapless::Vec::new(),
            buckets: [0; BUCKETS],
            bytes: [[0; BLOCK]; BLOCKS],
            links: [0; BLOCKS],
        }
    }

    /// For [`FixedStore::new`], with `block` of [`StoreSettings`] being `BLOCK`.
    pub fn parts(&mut self) -> StoreParts<'_> {
        StoreParts {
            rows: self.rows.as_mut_view(),
            buckets: &mut self.buckets,
            bytes: self.bytes.as_flattened_mut(),
            links: &mut self.links,
        }
    }
}

/// Most tombstones that one call of [`Store::expire_tombstones`] drops.
const EXPIRE_AT_ONCE: usize = 32;

/// Longest decimal number of 64 bits, with its sign.
const MAX_DIGITS: usize = 20;

/// A store of fixed size over borrowed memory: a hash table of rows, and names and values in
/// chains of small blocks. What was never used is never touched.
#[derive(Debug)]
pub struct FixedStore<'s, R: ?Sized = VecView<StoredRow>, F = ()> {
    rows: Slab<'s, StoredRow, R>,
    buckets: &'s mut [u32],
    blocks: Blocks<'s>,
    settings: StoreSettings,
    tombstones: Ends,
    /// How many there are, and how many blocks they hold.
    buried: (u32, u32),
    /// Latest time that was handed in.
    seen: Stamp,
    heir: F,
}

impl<'s, R: Rows<StoredRow> + ?Sized> FixedStore<'s, R> {
    /// An empty store. Memory that was used before is fine: it is cleared.
    pub fn new(parts: StoreParts<'s, R>, settings: StoreSettings) -> Result<Self, NoMemory> {
        Self::with_heir(parts, settings, ())
    }
}

impl<'s, R: Rows<StoredRow> + ?Sized, F: Forget> FixedStore<'s, R, F> {
    /// As `new`, and `heir` is told which tombstones go.
    pub fn with_heir(parts: StoreParts<'s, R>, settings: StoreSettings, heir: F) -> Result<Self, NoMemory> {
        if !parts.rows.made().is_empty() {
            parts.buckets.fill(0);
        }
        let blocks = Blocks::new(parts.bytes, parts.links, settings.block);
        let rows = Slab::new(parts.rows, settings.rows);
        if rows.limit() == 0 || parts.buckets.is_empty() || blocks.free == 0 {
            return Err(NoMemory);
        }
        let max_value = settings.max_value.min(u32::MAX as usize - MAX_NAME);
        Ok(FixedStore {
            rows,
            buckets: parts.buckets,
            blocks,
            settings: StoreSettings { max_value, ..settings },
            tombstones: Ends::EMPTY,
            buried: (0, 0),
            seen: Stamp(0),
            heir,
        })
    }

    /// Who is told which tombstones go.
    pub fn heir(&mut self) -> &mut F {
        &mut self.heir
    }

    /// Blocks in use, and how many there are.
    pub fn blocks(&self) -> (usize, usize) {
        let all = self.blocks.links.len();
        (all - self.blocks.free as usize, all)
    }

    /// How many tombstones there are.
    pub fn tombstones(&self) -> usize {
        self.buried.0 as usize
    }

    fn bucket(&self, hash: u32) -> usize {
        // scales the hash to the number of buckets, whatever that is
        ((hash as u64 * self.buckets.len() as u64) >> 32) as usize
    }

    /// The row of `name`, value or tombstone, and the name's hash.
    fn find(&self, name: &str) -> (u32, Option<u32>) {
        let hash = name::hash(name.as_bytes(), self.settings.seed);
        let mut n = self.buckets[self.bucket(hash)];
        while let Some(row) = self.rows.get(n) {
            if row.hash == hash
                && row.name_len as usize == name.len()
                && self.blocks.compare(row.first, 0, name.len(), name.as_bytes()).is_eq()
            {
                return (hash, Some(n));
            }
            n = row.next;
        }
        (hash, None)
    }

    /// Whether a change is newer than what row `n` holds. `None` is a removal.
    fn is_newer(&self, n: u32, value: Option<&[u8]>, stamp: Stamp, origin: u32) -> bool {
        let row = &self.rows[n];
        match (stamp, origin).cmp(&(row.changed, row.origin)) {
            Ordering::Greater => true,
            Ordering::Less => false,
            Ordering::Equal => match value {
                None => row.state == State::Value,
                Some(value) => {
                    let stored = (row.name_len as usize, row.value_len as usize);
                    row.state == State::Value && self.blocks.compare(row.first, stored.0, stored.1, value).is_lt()
                }
            },
        }
    }

    fn blocks_for(&self, name_len: usize, value_len: usize) -> u32 {
        // both lengths are checked, so the sum is below 2^32
        (name_len + value_len).div_ceil(self.settings.block) as u32
    }

    /// Room for `blocks` more, and for a row if `row`: from what is free and from the oldest
    /// tombstones. If that is not enough, nothing happens.
    fn make_room(&mut self, blocks: u32, row: bool) -> Result<(), StoreError> {
        if row && self.rows.used() >= self.rows.limit() && self.buried.0 == 0 {
            return Err(StoreError::TooManyNames);
        }
        if self.blocks.free + self.buried.1 < blocks {
            return Err(StoreError::NoSpace);
        }
        while self.blocks.free < blocks || (row && self.rows.used() >= self.rows.limit()) {
            self.drop_oldest();
        }
        Ok(())
    }

    /// A tombstone is one no more, or a row becomes one: keeps list and counts in step.
    fn count_tombstone(&mut self, n: u32, is_one: bool) {
        let held = self.blocks_for(self.rows[n].name_len as usize, 0);
        if is_one {
            self.rows[n].accessed = self.seen;
            self.rows[n].state = State::Tombstone;
            slab::append::<Tombstones, _>(&mut self.rows, &mut self.tombstones, n);
            self.buried = (self.buried.0 + 1, self.buried.1 + held);
        } else {
            slab::remove::<Tombstones, _>(&mut self.rows, &mut self.tombstones, n);
            self.rows[n].state = State::Value;
            self.buried = (self.buried.0 - 1, self.buried.1 - held);
        }
    }

    fn drop_oldest(&mut self) {
        let n = self.tombstones.first;
        if self.rows.get(n).is_none() {
            return;
        }
        self.count_tombstone(n, false);
        let StoredRow { hash, next, first, name_len, .. } = self.rows[n];
        if F::HEARS {
            let mut name = [0; MAX_NAME];
            let name = &mut name[..(name_len as usize).min(MAX_NAME)];
            self.blocks.read(first, 0, name);
            self.heir.forget(name);
        }
        let bucket = self.bucket(hash);
        if self.buckets[bucket] == n {
            self.buckets[bucket] = next;
        } else {
            let mut before = self.buckets[bucket];
            while self.rows.get(before).is_some() {
                if self.rows[before].next == n {
                    self.rows[before].next = next;
                    break;
                }
                before = self.rows[before].next;
            }
        }
        self.blocks.give(first);
        self.rows[n].state = State::Free;
        self.rows.give(n);
    }

    /// Makes a row for a name that has none, with room for `value_len` bytes.
    fn insert(&mut self, name: &str, hash: u32, value_len: usize) -> Result<u32, StoreError> {
        let blocks = self.blocks_for(name.len(), value_len);
        self.make_room(blocks, true)?;
        let n = self.rows.take().ok_or(StoreError::TooManyNames)?;
        let bucket = self.bucket(hash);
        let first = self.blocks.take(blocks);
        self.blocks.write(first, 0, name.as_bytes());
        self.rows[n] = StoredRow {
            next: self.buckets[bucket],
            hash,
            first,
            value_len: value_len as u32,
            name_len: name.len() as u8,
            state: State::Value,
            ..<StoredRow as slab::Row>::EMPTY
        };
        self.buckets[bucket] = n;
        Ok(n)
    }

    /// Brings the chain of row `n` to `value_len` bytes of value.
    fn resize(&mut self, n: u32, value_len: usize) -> Result<(), StoreError> {
        let row = self.rows[n];
        let have = self.blocks_for(row.name_len as usize, row.value_len as usize);
        let want = self.blocks_for(row.name_len as usize, value_len);
        if row.state == State::Tombstone {
            // its own blocks are no room to be made
            let others = self.buried.1 - have;
            if self.blocks.free + others < want.saturating_sub(have) {
                return Err(StoreError::NoSpace);
            }
            self.count_tombstone(n, false);
        }
        self.make_room(want.saturating_sub(have), false)?;
        self.blocks.resize(row.first, want);
        self.rows[n].value_len = value_len as u32;
        Ok(())
    }

    /// A change that counts.
    fn write(
        &mut self,
        found: (u32, Option<u32>),
        name: &str,
        value: &[u8],
        changed: Stamp,
        origin: u32,
    ) -> Result<(), StoreError> {
        let n = match found {
            (_, Some(n)) => {
                self.resize(n, value.len())?;
                n
            }
            (hash, None) => self.insert(name, hash, value.len())?,
        };
        let row = &mut self.rows[n];
        (row.changed, row.accessed, row.origin) = (changed, changed, origin);
        self.blocks.write(row.first, name.len(), value);
        Ok(())
    }

    fn check_value(&self, name: &str, value: &[u8]) -> Result<(), StoreError> {
        if !name::is_valid(name) {
            return Err(StoreError::BadName);
        }
        if value.len() > self.settings.max_value { Err(StoreError::TooBig) } else { Ok(()) }
    }

    /// Row `n` becomes a tombstone, or stays one with another time.
    fn entomb(&mut self, n: u32, stamp: Stamp, origin: u32) {
        if self.rows[n].state == State::Value {
            let StoredRow { first, name_len, .. } = self.rows[n];
            let blocks = self.blocks_for(name_len as usize, 0);
            self.blocks.resize(first, blocks);
            self.rows[n].value_len = 0;
            self.count_tombstone(n, true);
        }
        let row = &mut self.rows[n];
        (row.changed, row.origin) = (stamp, origin);
    }
}

impl<R: Rows<StoredRow> + ?Sized, F: Forget> Store for FixedStore<'_, R, F> {
    fn get(&mut self, name: &str, now: Stamp, out: &mut [u8]) -> Option<Found> {
        self.seen = self.seen.max(now);
        let n = self.find(name).1?;
        let row = &mut self.rows[n];
        if row.state != State::Value {
            return None;
        }
        let found = Found { len: row.value_len as usize, changed: row.changed, accessed: row.accessed };
        row.accessed = row.accessed.max(now);
        let (first, skip) = (row.first, row.name_len as usize);
        let n = found.len.min(out.len());
        self.blocks.read(first, skip, &mut out[..n]);
        Some(found)
    }

    fn set(&mut self, name: &str, value: &[u8], stamp: Stamp, origin: u32) -> Result<Applied, StoreError> {
        self.check_value(name, value)?;
        let found = self.find(name);
        if let Some(n) = found.1
            && !self.is_newer(n, Some(value), stamp, origin)
        {
            return Ok(Applied::Older);
        }
        self.write(found, name, value, stamp, origin)?;
        Ok(Applied::Done)
    }

    fn remove(&mut self, name: &str, stamp: Stamp, origin: u32) -> Result<Applied, StoreError> {
        self.check_value(name, &[])?;
        match self.find(name).1 {
            Some(n) if self.rows[n].state == State::Value => {
                if !self.is_newer(n, None, stamp, origin) {
                    return Ok(Applied::Older);
                }
                self.entomb(n, stamp, origin);
                Ok(Applied::Done)
            }
            _ => Ok(Applied::Absent),
        }
    }

    fn bury(&mut self, name: &str, stamp: Stamp, origin: u32) -> Result<Applied, StoreError> {
        self.check_value(name, &[])?;
        let n = match self.find(name) {
            (_, Some(n)) if !self.is_newer(n, None, stamp, origin) => return Ok(Applied::Older),
            (_, Some(n)) => n,
            (hash, None) => self.insert(name, hash, 0)?,
        };
        self.entomb(n, stamp, origin);
        Ok(Applied::Done)
    }

    fn add(&mut self, name: &str, amount: i64, stamp: Stamp, origin: u32) -> Result<i64, StoreError> {
        self.check_value(name, &[])?;
        let found = self.find(name);
        let (mut now, mut changed) = (0, stamp);
        if let Some(n) = found.1 {
            let row = &self.rows[n];
            changed = changed.max(row.changed.next());
            if row.state == State::Value {
                let mut text = [0; MAX_DIGITS];
                let text = text.get_mut(..row.value_len as usize).ok_or(StoreError::NotANumber)?;
                self.blocks.read(row.first, row.name_len as usize, text);
                let text = core::str::from_utf8(text).map_err(|_| StoreError::NotANumber)?;
                now = text.parse().map_err(|_| StoreError::NotANumber)?;
            }
        }
        let sum = i64::checked_add(now, amount).ok_or(StoreError::Overflow)?;
        let mut text = [0; MAX_DIGITS];
        let text = decimal(sum, &mut text);
        self.check_value(name, text)?;
        self.write(found, name, text, changed, origin)?;
        Ok(sum)
    }

    fn stamp(&self, name: &str, now: Stamp) -> Stamp {
        match self.find(name).1 {
            Some(n) => now.max(self.rows[n].changed.next()),
            None => now,
        }
    }

    fn next<'o>(&self, from: Cursor, prefix: &str, budget: &mut usize, out: &'o mut [u8]) -> Step<'o> {
        let mut at = from.0;
        while at < self.rows.made() {
            if *budget == 0 {
                return Step::Pause(Cursor(at));
            }
            *budget -= 1;
            at += 1; // rows are numbered from 1
            let row = &self.rows[at];
            let (name_len, value_len) = (row.name_len as usize, row.value_len as usize);
            if row.state == State::Value
                && prefix.len() <= name_len
                && out.len() >= name_len
                && self.blocks.compare(row.first, 0, prefix.len(), prefix.as_bytes()).is_eq()
            {
                let n = (name_len + value_len).min(out.len());
                let (name, value) = out[..n].split_at_mut(name_len);
                self.blocks.read(row.first, 0, name);
                self.blocks.read(row.first, name_len, value);
                // it was text when it was set
                let name = core::str::from_utf8(name).unwrap_or_default();
                return Step::Row(Listed { name, value, changed: row.changed, next: Cursor(at) });
            }
        }
        Step::End
    }

    fn expire_tombstones(&mut self, now: Stamp) -> bool {
        self.seen = self.seen.max(now);
        for _ in 0..EXPIRE_AT_ONCE {
            match self.rows.get(self.tombstones.first) {
                Some(row) if self.seen.0 - row.accessed.0 >= self.settings.keep => self.drop_oldest(),
                _ => return false,
            }
        }
        true
    }

    fn len(&self) -> usize {
        self.rows.used() - self.buried.0 as usize
    }

    fn limit(&self) -> usize {
        self.rows.limit()
    }

    fn max_value(&self) -> usize {
        self.settings.max_value
    }

    fn check(&self) -> Result<(), &'static str> {
        let (mut rows, mut blocks, mut dead) = (0, 0, (0, 0));
        for (bucket, &head) in self.buckets.iter().enumerate() {
            let mut n = head;
            while n != 0 {
                let Some(row) = self.rows.get(n) else { return Err("store: a bucket leads out of the table") };
                rows += 1;
                if rows > self.rows.made() {
                    return Err("store: a bucket runs in a circle");
                }
                if self.bucket(row.hash) != bucket {
                    return Err("store: a row is in the wrong bucket");
                }
                let held = self.blocks_for(row.name_len as usize, row.value_len as usize);
                if self.blocks.count(row.first) != Some(held) {
                    return Err("store: a chain is not as long as its row says");
                }
                blocks += held;
                match row.state {
                    State::Free => return Err("store: a free row is in a bucket"),
                    State::Value => {}
                    State::Tombstone if row.value_len != 0 => return Err("store: a tombstone has a value"),
                    State::Tombstone => dead = (dead.0 + 1, dead.1 + held),
                }
                n = row.next;
            }
        }
        if rows as usize != self.rows.used() || dead != self.buried {
            return Err("store: counts of rows disagree");
        }
        let (mut n, mut prev, mut listed, mut time) = (self.tombstones.first, 0, 0, Stamp(0));
        while n != 0 {
            let Some(row) = self.rows.get(n) else { return Err("store: the tombstones lead out of the table") };
            listed += 1;
            if row.link.prev != prev || row.state != State::Tombstone || listed > dead.0 {
                return Err("store: the list of tombstones is broken");
            }
            if row.accessed < time {
                return Err("store: tombstones are not in the order of their age");
            }
            (n, prev, time) = (row.link.next, n, row.accessed);
        }
        if listed != dead.0 || self.tombstones.last != prev {
            return Err("store: a tombstone is not in the list");
        }
        self.blocks.check(blocks)
    }
}

/// `n` as decimal text.
fn decimal(n: i64, out: &mut [u8; MAX_DIGITS]) -> &[u8] {
    let (mut at, mut left) = (out.len(), n.unsigned_abs());
    loop {
        at -= 1;
        out[at] = b'0' + (left % 10) as u8;
        left /= 10;
        if left == 0 {
            break;
        }
    }
    if n < 0 {
        at -= 1;
        out[at] = b'-';
    }
    &out[at..]
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::collections::BTreeMap;
    use std::format;
    use std::string::String;
    use std::vec;
    use std::vec::Vec;

    const SETTINGS: StoreSettings =
        StoreSettings { block: 16, rows: usize::MAX, max_value: 100, keep: 1_000_000, seed: 7 };

    type Memory = StoreMemory<4, 4, 16, 16>;

    fn at(us: u64) -> Stamp {
        Stamp::from_micros(us)
    }

    fn text(s: &mut FixedStore<'_>, name: &str) -> Option<String> {
        let mut out = [0xa5; 100];
        let found = s.get(name, at(0), &mut out)?;
        Some(String::from_utf8(out[..found.len].to_vec()).unwrap())
    }

    #[test]
    fn newest_wins_in_whatever_order_changes_arrive() {
        // D10: every order of the same changes ends in the same state
        let changes: [(Option<&[u8]>, u64, u32); 6] = [
            (Some(b"a"), 1, 1),
            (Some(b"b"), 5, 1),
            (Some(b"c"), 5, 2),
            (Some(b"d"), 5, 2),
            (None, 5, 2),
            (None, 4, 9),
        ];
        let mut orders = 0;
        for code in 0..6usize.pow(6) {
            let order: Vec<usize> = (0..6).map(|i| code / 6usize.pow(i) % 6).collect();
            if (0..6).any(|i| !order.contains(&i)) {
                continue;
            }
            orders += 1;
            let mut memory = Memory::new();
            let mut s = FixedStore::new(memory.parts(), SETTINGS).unwrap();
            for i in order {
                let (value, stamp, origin) = changes[i];
                match value {
                    Some(v) => s.set("n", v, at(stamp), origin),
                    None => s.bury("n", at(stamp), origin),
                }
                .unwrap();
                s.check().unwrap();
            }
            assert_eq!(text(&mut s, "n"), None);
            assert_eq!(s.set("n", b"d", at(5), 2), Ok(Applied::Older));
            assert_eq!(s.set("n", b"e", at(5), 3), Ok(Applied::Done));
        }
        assert_eq!(orders, 720);
    }

    #[test]
    fn a_change_made_here_is_never_older_than_what_is_here() {
        let mut memory = Memory::new();
        let mut s = FixedStore::new(memory.parts(), SETTINGS).unwrap();
        s.set("n", b"ahead", at(1_000_000), 2).unwrap();
        assert_eq!(s.set("n", b"here", at(50), 1), Ok(Applied::Older));
        let stamp = s.stamp("n", at(50));
        assert_eq!(s.set("n", b"here", stamp, 1), Ok(Applied::Done));
        assert_eq!(s.stamp("other", at(50)), at(50));
    }

    #[test]
    fn removing_what_is_not_there_leaves_nothing_but_burying_it_does() {
        let mut memory = Memory::new();
        let mut s = FixedStore::new(memory.parts(), SETTINGS).unwrap();
        assert_eq!(s.remove("n", at(5), 1), Ok(Applied::Absent));
        assert_eq!((s.len(), s.tombstones()), (0, 0));
        assert_eq!(s.bury("n", at(5), 1), Ok(Applied::Done));
        assert_eq!((s.len(), s.tombstones()), (0, 1));
        assert_eq!(s.set("n", b"late", at(4), 1), Ok(Applied::Older));
        assert_eq!(s.remove("n", at(9), 1), Ok(Applied::Absent));
    }

    #[test]
    fn numbers_are_added_as_decimal_text() {
        let mut memory = Memory::new();
        let mut s = FixedStore::new(memory.parts(), SETTINGS).unwrap();
        assert_eq!(s.add("n", -5, at(1), 1), Ok(-5));
        assert_eq!(text(&mut s, "n").unwrap(), "-5");
        assert_eq!(s.add("n", i64::MIN + 5, at(1), 1), Ok(i64::MIN));
        assert_eq!(text(&mut s, "n").unwrap(), "-9223372036854775808");
        assert_eq!(s.add("n", -1, at(1), 1), Err(StoreError::Overflow));
        assert_eq!(text(&mut s, "n").unwrap(), "-9223372036854775808");
        for bad in ["", "x", "1 ", "1.5", "9223372036854775808", "000000000000000000001", "\u{ff11}"] {
            let stamp = s.stamp("n", at(1));
            s.set("n", bad.as_bytes(), stamp, 1).unwrap();
            assert_eq!(s.add("n", 1, at(9), 1), Err(StoreError::NotANumber), "{bad:?}");
        }
        s.set("n", b"1", at(2000), 1).unwrap();
        assert_eq!(s.add("n", 1, at(5), 1), Ok(2), "an older clock does not lose a count");
        s.remove("n", at(3000), 1).unwrap();
        assert_eq!(s.add("n", 1, at(5), 1), Ok(1));
    }

    #[test]
    fn full_is_an_answer_and_changes_nothing() {
        let mut memory = Memory::new();
        let mut s = FixedStore::new(memory.parts(), SETTINGS).unwrap();
        for n in ["a", "b", "c", "d"] {
            s.set(n, b"1", at(1), 1).unwrap();
        }
        assert_eq!(s.set("e", b"1", at(1), 1), Err(StoreError::TooManyNames));
        assert_eq!(s.set("a", &[b'x'; 101], at(2), 1), Err(StoreError::TooBig));
        // 16 blocks: 7 for each of a and b, leaves one for each of c and d
        s.set("a", &[b'x'; 100], at(2), 1).unwrap();
        s.set("b", &[b'y'; 100], at(2), 1).unwrap();
        assert_eq!(s.blocks(), (16, 16));
        assert_eq!(s.set("c", &[b'z'; 16], at(2), 1), Err(StoreError::NoSpace));
        assert_eq!(text(&mut s, "c").unwrap(), "1");
        s.set("c", &[b'z'; 15], at(2), 1).unwrap();
        assert_eq!(text(&mut s, "c").unwrap(), "z".repeat(15));
        assert_eq!(s.set("", b"", at(1), 1), Err(StoreError::BadName));
        s.check().unwrap();
    }

    #[test]
    fn tombstones_go_oldest_first_when_room_is_needed_and_when_they_are_old() {
        let mut memory = Memory::new();
        let mut s = FixedStore::new(memory.parts(), SETTINGS).unwrap();
        for (i, n) in ["a", "b", "c", "d"].into_iter().enumerate() {
            s.set(n, b"1", at(1), 1).unwrap();
            s.expire_tombstones(at(i as u64));
            s.remove(n, at(10), 1).unwrap();
        }
        s.set("e", b"1", at(1), 1).unwrap();
        assert_eq!(s.set("b", b"late", at(9), 1), Ok(Applied::Older));
        assert_eq!(s.set("a", b"late", at(9), 1), Ok(Applied::Done), "its tombstone was the oldest; now b's is gone");
        assert_eq!((s.len(), s.tombstones()), (2, 2));
        assert!(!s.expire_tombstones(at(1_000_002)));
        assert_eq!(s.tombstones(), 1);
        assert!(!s.expire_tombstones(at(1_000_003)));
        assert_eq!((s.len(), s.tombstones()), (2, 0));
        s.check().unwrap();
        // a tombstone that comes back to life is not dropped for its own room
        s.remove("e", at(20), 1).unwrap();
        s.set("a", &[b'x'; 100], at(30), 1).unwrap();
        s.set("f", &[b'x'; 100], at(30), 1).unwrap();
        assert_eq!(s.set("e", &[b'x'; 100], at(30), 1), Err(StoreError::NoSpace));
        assert_eq!(s.tombstones(), 1);
        assert_eq!(s.set("e", &[b'x'; 31], at(30), 1), Ok(Applied::Done));
        s.check().unwrap();
    }

    #[test]
    fn a_listing_pauses_and_shows_what_stays_once() {
        let mut memory = StoreMemory::<64, 16, 256, 16>::new();
        let mut s = FixedStore::new(memory.parts(), SETTINGS).unwrap();
        for i in 0..30 {
            s.set(&format!("stay/{i}"), &[i], at(1), 1).unwrap();
            s.set(&format!("go/{i}"), b"", at(1), 1).unwrap();
        }
        let mut seen = vec![];
        let (mut cursor, mut turn) = (Cursor::START, 0);
        let mut out = [0; MAX_NAME + 100];
        loop {
            let mut budget = 3;
            loop {
                match s.next(cursor, "stay/", &mut budget, &mut out) {
                    Step::Row(row) => {
                        assert_eq!(row.name, format!("stay/{}", row.value[0]));
                        seen.push(row.value[0]);
                        cursor = row.next;
                    }
                    Step::Pause(at) => {
                        cursor = at;
                        break;
                    }
                    Step::End => {
                        seen.sort();
                        assert_eq!(seen, (0..30).collect::<Vec<u8>>());
                        return;
                    }
                }
            }
            cursor = format!("{cursor}").parse().unwrap();
            s.remove(&format!("go/{turn}"), at(2), 1).unwrap();
            s.set(&format!("new/{turn}"), b"", at(3), 1).unwrap();
            turn += 1;
        }
    }

    #[test]
    fn memory_is_cleared_for_the_next_store_and_too_little_is_refused() {
        let mut memory = Memory::new();
        FixedStore::new(memory.parts(), SETTINGS).unwrap().set("a", b"1", at(1), 1).unwrap();
        let mut s = FixedStore::new(memory.parts(), SETTINGS).unwrap();
        assert_eq!(text(&mut s, "a"), None);
        s.check().unwrap();
        assert!(FixedStore::new(memory.parts(), StoreSettings { block: 0, ..SETTINGS }).is_err());
        assert!(FixedStore::new(memory.parts(), StoreSettings { rows: 0, ..SETTINGS }).is_err());
        assert!(FixedStore::new(StoreMemory::<4, 0, 4, 16>::new().parts(), SETTINGS).is_err());
        assert_eq!(size_of::<StoredRow>(), 48);
    }

    /// What a store of unlimited memory would hold.
    #[derive(Default)]
    struct Model(BTreeMap<String, (u64, u32, Option<Vec<u8>>)>);

    impl Model {
        fn is_newer(&self, name: &str, change: &(u64, u32, Option<Vec<u8>>)) -> bool {
            // a removal is newer than a value
            let key = |c: &(u64, u32, Option<Vec<u8>>)| (c.0, c.1, c.2.is_none(), c.2.clone());
            self.0.get(name).is_none_or(|old| key(change) > key(old))
        }
    }

    fn against_model<const ROWS: usize, const BLOCKS: usize>(seed: u64) {
        let mut memory = StoreMemory::<ROWS, 8, BLOCKS, 16>::new();
        let mut s = FixedStore::new(memory.parts(), SETTINGS).unwrap();
        let mut model = Model::default();
        let mut x = seed;
        let mut random = move || {
            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
            x
        };
        let mut forgotten = false;
        for step in 0..20_000u64 {
            let name = format!("{:0>1$}", random() % 24, 1 + random() as usize % 2 * 40);
            let (stamp, origin) = (1 + step / 8 + random() % 4, random() as u32 % 3);
            let removed = (stamp, origin, None);
            match random() % 8 {
                0..=3 => {
                    let value: Vec<u8> =
                        (0..(random() % 104) >> (random() % 5)).map(|i| i as u8 ^ step as u8).collect();
                    let change = (stamp, origin, Some(value.clone()));
                    match s.set(&name, &value, at(stamp), origin) {
                        Ok(Applied::Done) => {
                            assert!(model.is_newer(&name, &change) || (forgotten && model.0[&name].2.is_none()));
                            model.0.insert(name, change);
                        }
                        Ok(Applied::Older) => assert!(!model.is_newer(&name, &change)),
                        Err(StoreError::TooBig) => assert!(value.len() > 100),
                        e => assert!(matches!(e, Err(StoreError::NoSpace | StoreError::TooManyNames)), "{e:?}"),
                    }
                }
                4 => match s.remove(&name, at(stamp), origin).unwrap() {
                    Applied::Done => {
                        assert!(model.is_newer(&name, &removed));
                        model.0.insert(name, removed);
                    }
                    Applied::Older => assert!(!model.is_newer(&name, &removed)),
                    Applied::Absent => assert!(model.0.get(&name).is_none_or(|v| v.2.is_none())),
                },
                5 => match s.bury(&name, at(stamp), origin) {
                    Ok(Applied::Done) => {
                        assert!(model.is_newer(&name, &removed) || forgotten);
                        model.0.insert(name, removed);
                    }
                    Ok(_) => assert!(!model.is_newer(&name, &removed)),
                    Err(_) => {}
                },
                6 => {
                    let old = model.0.get(&name).and_then(|v| v.2.clone());
                    if let Ok(sum) = s.add(&name, 1, at(stamp), origin) {
                        let was = old.map_or(0, |v| String::from_utf8(v).unwrap().parse::<i64>().unwrap());
                        assert_eq!(sum, was + 1);
                        let mut out = [0; 100];
                        let found = s.get(&name, at(0), &mut out).unwrap();
                        model.0.insert(name, (found.changed.micros(), origin, Some(out[..found.len].to_vec())));
                    }
                }
                _ => {
                    s.expire_tombstones(at(step));
                }
            }
            forgotten |= s.len() + s.tombstones() < model.0.len();
            s.check().unwrap_or_else(|e| panic!("seed {seed} step {step}: {e}"));
            let values = model.0.values().filter(|v| v.2.is_some()).count();
            assert_eq!(s.len(), values, "seed {seed} step {step}");
            if step % 8 == 0 {
                for (name, (changed, _, value)) in &model.0 {
                    let mut out = [0xa5; 128];
                    let found = s.get(name, at(0), &mut out);
                    assert_eq!(found.map(|f| &out[..f.len]), value.as_deref(), "seed {seed} step {step} {name}");
                    assert!(found.is_none_or(|f| f.changed == at(*changed)));
                }
            }
        }
        assert_eq!(forgotten, ROWS < 48);
    }

    #[test]
    fn agrees_with_a_plain_map_when_there_is_room_and_when_there_is_not() {
        for seed in [3, 0x9e37_79b9_7f4a_7c15] {
            against_model::<64, 1024>(seed);
            against_model::<20, 40>(seed);
        }
    }
}
