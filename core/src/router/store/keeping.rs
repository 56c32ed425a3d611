//! What a store can say about its disk.
//!
//! Owns: the words. A store that is in memory only says so and is done at once with
//! everything; the router and the dialects need not know which one they have.

/// How a store keeps what is in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Keeping {
    /// In memory: it goes with the node.
    Memory,
    /// On disk, a moment after each change.
    Disk,
    /// As many changes wait for the disk as may: no more are taken until it has caught up.
    Behind,
    /// The disk fails: no change is taken until it works again.
    Failing,
}

/// How far a store has come with keeping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kept {
    /// All that changed up to this number of [`Store::mark`](super::Store::mark) is kept as
    /// well as the store keeps anything.
    pub up_to: u64,
    /// Changes that are not.
    pub waiting: u64,
    /// How it goes.
    pub how: Keeping,
}

impl Kept {
    /// In memory there is nothing to wait for.
    pub const IN_MEMORY: Kept = Kept { up_to: u64::MAX, waiting: 0, how: Keeping::Memory };
}
