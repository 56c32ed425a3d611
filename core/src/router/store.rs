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
//! | `store/rows.rs` | what a store of fixed size is made of |
//! | `store/fixed.rs` | that store |
//! | `store/restore.rs` | rows as a copy elsewhere has them |
//! | `store/order.rs` | all entries in the order of their names |
//! | `store/merge.rs` | entries as another node has them |
//! | `store/sweep.rs` | what goes without being removed: stale, over, everything |
//! | `store/keeping.rs` | what a store can say about its disk |
//! | `store/mail.rs` | a waiting message, for a store that keeps a copy of it |

mod fixed;
#[cfg(feature = "durable")]
mod keeping;
#[cfg(feature = "durable")]
mod mail;
#[cfg(feature = "clacks")]
mod merge;
#[cfg(feature = "clacks")]
mod order;
#[cfg(all(test, feature = "clacks"))]
mod ordered_tests;
mod restore;
mod rows;
#[cfg(feature = "clacks")]
mod sweep;
#[cfg(test)]
mod tests;

pub use fixed::FixedStore;
#[cfg(feature = "durable")]
pub use keeping::{Keeping, Kept};
#[cfg(feature = "durable")]
pub use mail::StoredMail;
#[cfg(feature = "clacks")]
pub use order::Entry;
pub use restore::Stored;
pub use rows::{Forget, NoMemory, StoreMemory, StoreParts, StoreSettings, StoredRow};
#[cfg(feature = "clacks")]
pub use sweep::Swept;

#[cfg(feature = "clacks")]
use crate::limits::MAX_NAME;
use core::fmt;
use core::str::FromStr;

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

    /// The first entry, value or tombstone, whose name comes behind `after`, byte by byte;
    /// `None`: the very first. `out` has room for a name and a value ([`MAX_NAME`] +
    /// [`Store::max_value`]); a shorter one shortens the value, which [`Entry::len`] tells, and
    /// one shorter than [`MAX_NAME`] finds nothing. Takes about as many steps as the number of
    /// entries has binary digits, not more than a few times that, where the store keeps an order
    /// ([`FixedStore`] does unless it is told not to). Is no access.
    ///
    /// Who goes on behind the name found last sees what is there all the time exactly once, in
    /// order, whatever else comes and goes.
    #[cfg(feature = "clacks")]
    fn following<'o>(&self, after: Option<&str>, out: &'o mut [u8]) -> Option<Entry<'o>>;

    /// Takes an entry over from another node, if there is none of its name here, neither value
    /// nor tombstone, or if it was changed later than that; of the same time, a tombstone counts
    /// before a value, and the lesser value before the greater. It says nothing new if it is the
    /// same value, or a tombstone too, and at most a second later: then, and if it is older, it is
    /// [`Applied::Older`]. So the origin does not count, unlike in [`Store::set`].
    ///
    /// What is stored are the value, both times and the origin, as they are: one that says that
    /// it was not accessed for long is stale at the next [`Store::sweep`]. A tombstone, whose
    /// value is ignored, is kept for its time from now on, by the clock of this node. One that
    /// is older than that already still removes an older value, but is not kept; without a
    /// value it is [`Applied::Absent`].
    ///
    /// # Errors
    /// As [`Store::set`]; an entry that is not whole is [`StoreError::TooBig`].
    #[cfg(feature = "clacks")]
    fn merge(&mut self, entry: &Entry<'_>) -> Result<Applied, StoreError>;

    /// Forgets everything, tombstones too, and leaves none: older changes that arrive later
    /// count. What takes a listing or a sweep on from before goes on among what comes after.
    ///
    /// # Errors
    /// If the disk cannot take note of it: nothing has changed.
    #[cfg(feature = "clacks")]
    fn clear(&mut self) -> Result<(), StoreError>;

    /// Forgets the first value at or behind `from` that was neither read nor changed for more
    /// than `stale_micros` before `now`, without a tombstone, and says its name. Looks at no
    /// more than `budget` rows and takes what it looked at off it. One that cannot be forgotten
    /// on disk now is forgotten by a later sweep: this one ends.
    #[cfg(feature = "clacks")]
    fn sweep<'o>(
        &mut self,
        from: Cursor,
        budget: &mut usize,
        now: Stamp,
        stale_micros: u64,
        name: &'o mut [u8; MAX_NAME],
    ) -> Swept<'o>;

    /// Drops the oldest tombstone if it is older than agreed, and says its name. For who wants
    /// the names; [`Store::expire_tombstones`] does the same without. Whether there are more
    /// of them: call again.
    #[cfg(feature = "clacks")]
    fn expire_named<'o>(&mut self, now: Stamp, name: &'o mut [u8; MAX_NAME]) -> Option<&'o str>;

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

    /// A message waits for somebody to join a name (D9): a store with a disk keeps a copy of it
    /// there, in its place among the changes of values, until [`Store::mail_gone`]. `false`: it
    /// has no disk, and a copy would be of no use.
    ///
    /// # Errors
    /// As many changes wait for the disk as may: there will be no copy of this one. A disk that
    /// fails is none: what it cannot take now it takes when it works again.
    #[cfg(feature = "durable")]
    fn keep_mail(&mut self, _mail: &StoredMail<'_>) -> Result<bool, StoreError> {
        Ok(false)
    }

    /// That message waits no longer. `delivered`: somebody has it, so the copy is to go as soon
    /// as can be; else it has expired or is not wanted, and there is no hurry. Is never refused:
    /// it is said at most once for each copy.
    #[cfg(feature = "durable")]
    fn mail_gone(&mut self, _number: u64, _delivered: bool) {}

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
