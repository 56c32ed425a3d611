//! Values and tombstones in the order of their names.
//!
//! Owns: a tree of all rows, for walks that go on where they ended whatever has come and gone
//! meanwhile. It is a *treap*: names are in order from left to right, and no row has a higher
//! rank than the one above it. Ranks are hashes with a seed that nobody outside knows, so the
//! tree is about as flat as a shuffled one (some two dozen rows deep for a million),
//! whichever names come in whichever order. It takes eight bytes of each row, and no memory
//! and no depth of the stack while it is used. Only rows that are made or go change it: with a
//! million of them that costs more than all the rest of making one, so a node that never walks
//! can do without ([`FixedStore::without_order`]).

use super::rows::State;
use super::{FixedStore, Forget, Stamp, StoredRow};
use crate::buffer::Rows;
use crate::limits::MAX_NAME;
use core::cmp::Ordering;

/// A value or a tombstone: as a walk finds it, and as another node has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry<'e> {
    /// Its name.
    pub name: &'e str,
    /// The value; empty for a tombstone. Less than `len` bytes if there was no room for more.
    pub value: &'e [u8],
    /// The length of the value.
    pub len: usize,
    /// When it was changed.
    pub changed: Stamp,
    /// When it was last read or changed; of a tombstone here, when this node made it.
    pub accessed: Stamp,
    /// Which node changed it.
    pub origin: u32,
    /// Whether it is a tombstone.
    pub deleted: bool,
}

impl<'e> Entry<'e> {
    /// A whole one. `None` is a tombstone.
    pub fn new(name: &'e str, value: Option<&'e [u8]>, changed: Stamp, accessed: Stamp, origin: u32) -> Self {
        let (deleted, value) = (value.is_none(), value.unwrap_or_default());
        Entry { name, value, len: value.len(), changed, accessed, origin, deleted }
    }

    /// Whether `value` is all of the value.
    pub fn is_whole(&self) -> bool {
        self.value.len() == self.len
    }
}

/// Where a row hangs: below row `.0` on side `.1`; below row 0 it is the top.
type Place = (u32, usize);

const LEFT: usize = 0;
const RIGHT: usize = 1;

impl<R: Rows<StoredRow> + ?Sized, F: Forget> FixedStore<'_, R, F> {
    /// For a node that has no use for walks in order: making a row is cheaper, and
    /// [`Store::following`](super::Store::following) takes a step for each row that there is.
    pub fn without_order(mut self) -> Self {
        (self.is_ordered, self.top) = (false, 0);
        self
    }

    /// Rows of a higher rank are further up. The number of the row is in it, so that even
    /// names that have one hash would have different ranks.
    fn rank(&self, n: u32) -> u32 {
        let mixed = (self.rows[n].hash ^ n.wrapping_mul(0x9e37_79b9)).wrapping_mul(0x85eb_ca6b);
        (mixed ^ mixed >> 15).wrapping_mul(0x7feb_352d)
    }

    /// How the name of row `n` compares with `name`.
    fn compare(&self, n: u32, name: &[u8]) -> Ordering {
        let row = &self.rows[n];
        self.blocks.compare(row.first, 0, row.name_len as usize, name)
    }

    fn hang(&mut self, (above, side): Place, n: u32) {
        match above {
            0 => self.top = n,
            above => self.rows[above].sides[side] = n,
        }
    }

    /// Puts row `n` in its place, which is called `name` as no other.
    pub(super) fn enlist(&mut self, n: u32, name: &[u8]) {
        if !self.is_ordered {
            return;
        }
        let rank = self.rank(n);
        let (mut place, mut at): (Place, u32) = ((0, LEFT), self.top);
        while at != 0 && self.rank(at) >= rank {
            let side = if self.compare(at, name).is_lt() { RIGHT } else { LEFT };
            place = (at, side);
            at = self.rows[at].sides[side];
        }
        self.hang(place, n);
        // What hung there is parted into what comes before and what comes behind the name: of
        // each row one side stays, and the other one is gone through.
        let mut ends: [Place; 2] = [(n, LEFT), (n, RIGHT)];
        while at != 0 {
            let (part, inner) = if self.compare(at, name).is_lt() { (LEFT, RIGHT) } else { (RIGHT, LEFT) };
            self.hang(ends[part], at);
            ends[part] = (at, inner);
            at = self.rows[at].sides[inner];
        }
        self.hang(ends[LEFT], 0);
        self.hang(ends[RIGHT], 0);
    }

    /// Takes row `n` out, which is called `name`.
    pub(super) fn delist(&mut self, n: u32, name: &[u8]) {
        let (mut place, mut at): (Place, u32) = ((0, LEFT), self.top);
        while at != 0 && at != n {
            let side = if self.compare(at, name).is_lt() { RIGHT } else { LEFT };
            place = (at, side);
            at = self.rows[at].sides[side];
        }
        if at == 0 {
            return;
        }
        let [mut left, mut right] = self.rows[n].sides;
        while left != 0 && right != 0 {
            if self.rank(left) >= self.rank(right) {
                self.hang(place, left);
                place = (left, RIGHT);
                left = self.rows[left].sides[RIGHT];
            } else {
                self.hang(place, right);
                place = (right, LEFT);
                right = self.rows[right].sides[LEFT];
            }
        }
        self.hang(place, if left == 0 { right } else { left });
    }

    /// The row with the first name behind `after`; 0: there is none.
    fn behind(&self, after: Option<&[u8]>) -> u32 {
        let (mut at, mut found) = (self.top, 0);
        if !self.is_ordered {
            return self.search_behind(after);
        }
        while at != 0 {
            let is_behind = after.is_none_or(|after| self.compare(at, after).is_gt());
            let side = if is_behind { LEFT } else { RIGHT };
            if is_behind {
                found = at;
            }
            at = self.rows[at].sides[side];
        }
        found
    }

    /// As [`Self::behind`], where rows are in no order.
    fn search_behind(&self, after: Option<&[u8]>) -> u32 {
        let (mut best, mut best_name) = (0, [0; MAX_NAME]);
        let mut best_len = 0;
        for n in 1..=self.rows.made() {
            let row = &self.rows[n];
            if row.state != State::Free
                && after.is_none_or(|after| self.compare(n, after).is_gt())
                && (best == 0 || self.compare(n, &best_name[..best_len]).is_lt())
            {
                (best, best_len) = (n, (row.name_len as usize).min(MAX_NAME));
                self.blocks.read(row.first, 0, &mut best_name[..best_len]);
            }
        }
        best
    }

    /// See [`Store::following`](super::Store::following).
    pub(super) fn entry_behind<'o>(&self, after: Option<&str>, out: &'o mut [u8]) -> Option<Entry<'o>> {
        let row = self.rows.get(self.behind(after.map(str::as_bytes)))?;
        let (name, room) = out.split_at_mut_checked(MAX_NAME)?;
        let name = name.get_mut(..row.name_len as usize)?;
        self.blocks.read(row.first, 0, name);
        let len = row.value_len as usize;
        let fits = len.min(room.len());
        let value = &mut room[..fits];
        self.blocks.read(row.first, name.len(), value);
        Some(Entry {
            // it was text when it came
            name: core::str::from_utf8(name).unwrap_or_default(),
            value,
            len,
            changed: row.changed,
            accessed: row.accessed,
            origin: row.origin,
            deleted: row.state == State::Tombstone,
        })
    }

    /// That all rows hang in one tree, in the order of their names and ranks.
    pub(super) fn check_order(&self) -> Result<(), &'static str> {
        if !self.is_ordered {
            return if self.top == 0 { Ok(()) } else { Err("store: there is an order that nobody keeps") };
        }
        let mut hanging = u32::from(self.top != 0);
        for n in 1..=self.rows.made() {
            if self.rows[n].state == State::Free {
                continue;
            }
            for below in self.rows[n].sides {
                if below == 0 {
                    continue;
                }
                hanging += 1;
                match self.rows.get(below) {
                    None => return Err("store: the order leads out of the table"),
                    Some(row) if row.state == State::Free => {
                        return Err("store: a free row is in the order");
                    }
                    // above all that is below, so nothing goes in a circle, except among equals
                    Some(_) if self.rank(below) > self.rank(n) => return Err("store: a row is below a lower rank"),
                    Some(_) => {}
                }
            }
        }
        if hanging as usize != self.rows.used() {
            return Err("store: a row is not in the order, or twice");
        }
        // one after the other, as a walk goes
        let mut name = [0; MAX_NAME];
        let (mut after, mut walked) = (None, 0);
        loop {
            let (mut at, mut found, mut depth) = (self.top, 0, 0);
            while at != 0 {
                depth += 1;
                if depth > self.rows.used() {
                    return Err("store: the order runs in a circle");
                }
                let is_behind = after.is_none_or(|len| self.compare(at, &name[..len]).is_gt());
                if is_behind {
                    found = at;
                }
                at = self.rows[at].sides[if is_behind { LEFT } else { RIGHT }];
            }
            let Some(row) = self.rows.get(found) else { break };
            let len = (row.name_len as usize).min(MAX_NAME);
            self.blocks.read(row.first, 0, &mut name[..len]);
            (after, walked) = (Some(len), walked + 1);
            if walked > self.rows.used() {
                return Err("store: the order has more rows than there are");
            }
        }
        if walked != self.rows.used() {
            return Err("store: names are not in their order");
        }
        Ok(())
    }
}
