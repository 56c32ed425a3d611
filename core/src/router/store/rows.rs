//! What a store of fixed size is made of: rows, their memory, its sizes, and who is told what goes.

use crate::buffer::slab::{self, Link, Linked};
use heapless::vec::VecView;

use super::Stamp;

/// What a row is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Free,
    Value,
    Tombstone,
}

/// The memory of one value or tombstone, without its bytes: 48 bytes, and 8 more where values
/// are kept in the order of their names (feature `clacks`).
#[derive(Debug, Clone, Copy)]
pub struct StoredRow {
    pub(super) changed: Stamp,
    /// Of a tombstone: when it was made, by the clock of this node.
    pub(super) accessed: Stamp,
    /// Among the tombstones, oldest first.
    pub(super) link: Link,
    /// The rows below on the left and on the right in the tree of names; 0: none.
    #[cfg(feature = "clacks")]
    pub(super) sides: [u32; 2],
    /// Next row of the same bucket, 0 for none; of a free row: the next free one.
    pub(super) next: u32,
    pub(super) hash: u32,
    pub(super) origin: u32,
    /// 1 + first block of the name's bytes, with the value's behind them.
    pub(super) first: u32,
    pub(super) value_len: u32,
    pub(super) name_len: u8,
    pub(super) state: State,
}

impl slab::Row for StoredRow {
    const EMPTY: Self = StoredRow {
        changed: Stamp(0),
        accessed: Stamp(0),
        link: Link::NONE,
        #[cfg(feature = "clacks")]
        sides: [0; 2],
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
pub(super) enum Tombstones {}

impl Linked<Tombstones> for StoredRow {
    fn link(&mut self) -> &mut Link {
        &mut self.link
    }
}

/// The memory of a [`FixedStore`](super::FixedStore). A value of 32 bytes with a name of 20 takes, in blocks of
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

/// Who is told which tombstones go, and which values go without leaving one: a store that keeps
/// a copy of itself somewhere else drops them there too. Nobody, for most.
pub trait Forget {
    /// Whether anybody listens: what nobody hears is not even read.
    const HEARS: bool = true;
    /// The tombstone of `name` is gone, or its value without a tombstone.
    fn forget(&mut self, name: &[u8]);
}

impl Forget for () {
    const HEARS: bool = false;
    fn forget(&mut self, _: &[u8]) {}
}

/// The sizes and habits of a [`FixedStore`](super::FixedStore).
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

    /// For [`FixedStore::new`](super::FixedStore::new), with `block` of [`StoreSettings`] being `BLOCK`.
    pub fn parts(&mut self) -> StoreParts<'_> {
        StoreParts {
            rows: self.rows.as_mut_view(),
            buckets: &mut self.buckets,
            bytes: self.bytes.as_flattened_mut(),
            links: &mut self.links,
        }
    }
}
