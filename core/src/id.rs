//! Addresses of stations and numbers of requests: a slot and a generation in one.
//!
//! Owns: how a table's slot becomes a number that is never used again (D6). A number is
//! `generation * slots + slot`; generations start at 1 and only grow, so numbers are
//! unique in the node's lifetime, never 0, and stay short on the wire.

use core::fmt;
use core::num::NonZeroU64;

/// The address of a station: unique in the node's lifetime, never reused (D6).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct StationId(NonZeroU64);

impl StationId {
    pub(crate) const MAX: StationId = StationId(NonZeroU64::MAX);

    /// From the number on the wire; 0 is nobody.
    pub const fn new(number: u64) -> Option<Self> {
        match NonZeroU64::new(number) {
            Some(n) => Some(StationId(n)),
            None => None,
        }
    }

    /// The number on the wire.
    pub const fn number(self) -> u64 {
        self.0.get()
    }
}

impl fmt::Display for StationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "@{}", self.0)
    }
}

impl fmt::Debug for StationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "@{}", self.0)
    }
}

/// Builds and takes apart numbers for a table of a given size.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Numbering {
    shift: u32,
}

impl Numbering {
    pub(crate) fn for_slots(slots: usize) -> Self {
        Numbering { shift: usize::BITS - slots.saturating_sub(1).leading_zeros() }
    }

    pub(crate) fn number(self, slot: u32, generation: u64) -> u64 {
        (generation << self.shift) | slot as u64
    }

    pub(crate) fn split(self, number: u64) -> (u32, u64) {
        let slot = number & ((1u64 << self.shift) - 1);
        (slot as u32, number >> self.shift)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_apart_as_they_were_built() {
        for slots in [1usize, 2, 3, 8, 9, 65536] {
            let n = Numbering::for_slots(slots);
            for slot in [0, (slots - 1) as u32] {
                for generation in [1, 2, 77, u32::MAX as u64 + 1] {
                    let number = n.number(slot, generation);
                    assert_ne!(number, 0);
                    assert_eq!(n.split(number), (slot, generation));
                }
            }
        }
    }
}
