//! What goes without being removed: stale values, tombstones whose time is over, everything.
//!
//! Owns: which rows those are, and that none of it leaves a tombstone. Does not own how long
//! that takes, nor who is told.

use super::rows::State;
use super::{Cursor, FixedStore, Forget, Stamp, StoredRow};
use crate::buffer::Rows;
use crate::limits::MAX_NAME;

/// One step of a sweep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Swept<'o> {
    /// The value of this name is gone.
    Gone {
        /// Its name.
        name: &'o str,
        /// Go on here.
        next: Cursor,
    },
    /// The budget is used up: go on here another time.
    Pause(Cursor),
    /// That was all.
    End,
}

impl<R: Rows<StoredRow> + ?Sized, F: Forget> FixedStore<'_, R, F> {
    /// As [`Store::sweep`](super::Store::sweep), and `is_stale` says for which time of the last
    /// access a value is stale.
    pub fn sweep_where<'o>(
        &mut self,
        from: Cursor,
        budget: &mut usize,
        is_stale: impl Fn(Stamp) -> bool,
        name: &'o mut [u8; MAX_NAME],
    ) -> Swept<'o> {
        let mut at = from.0;
        while at < self.rows.made() {
            if *budget == 0 {
                return Swept::Pause(Cursor(at));
            }
            *budget -= 1;
            at += 1; // rows are numbered from 1
            let row = &self.rows[at];
            if row.state == State::Value && is_stale(row.accessed) {
                let name = self.name_of(at, name);
                self.forget(at);
                return Swept::Gone { name, next: Cursor(at) };
            }
        }
        Swept::End
    }

    /// See [`Store::expire_named`](super::Store::expire_named).
    pub(super) fn expire_one<'o>(&mut self, now: Stamp, name: &'o mut [u8; MAX_NAME]) -> Option<&'o str> {
        self.told(now);
        let oldest = self.tombstones.first;
        let made = self.rows.get(oldest)?.accessed;
        if self.seen.0 - made.0 < self.settings.keep {
            return None;
        }
        let name = self.name_of(oldest, name);
        self.drop_oldest();
        Some(name)
    }

    fn name_of<'o>(&self, n: u32, out: &'o mut [u8; MAX_NAME]) -> &'o str {
        let row = &self.rows[n];
        let name = &mut out[..(row.name_len as usize).min(MAX_NAME)];
        self.blocks.read(row.first, 0, name);
        // it was text when it came
        core::str::from_utf8(name).unwrap_or_default()
    }

    /// Forgets everything. What was never touched is not touched now.
    pub(super) fn forget_all(&mut self) {
        // Emptying a bucket on its own costs about as much as eight that lie side by side.
        if self.rows.made() as usize > self.buckets.len() / 8 {
            self.buckets.fill(0);
        } else {
            for n in 1..=self.rows.made() {
                let bucket = self.bucket(self.rows[n].hash);
                self.buckets[bucket] = 0;
            }
        }
        self.rows.clear();
        self.blocks.clear();
        self.tombstones = crate::buffer::slab::Ends::EMPTY;
        self.buried = (0, 0);
        self.top = 0;
    }
}
