//! Entries as another node has them, with their times: what stays, and what is taken over.
//!
//! Owns: the rule of Net::Clacks for that (KEYSYNC), which is not the one of D10: the time of
//! the change counts, not who made it. Of two of the same time a removal counts before a value,
//! and of two values the lesser one byte by byte, so that nodes that have heard both agree. What
//! says nothing new is not taken if it is hardly newer, so that two nodes that tell each other the
//! same do not make it younger each time, by the time that it was under way.

use super::rows::State;
use super::{Applied, Entry, FixedStore, Forget, Stamp, StoreError, StoredRow};
use crate::buffer::Rows;

/// Microseconds by which the same value may be later without being news: more than it is under way.
/// What is later than that was changed later, and must win over what a third node has from between.
const SAME_TIME: u64 = 1_000_000;

impl<R: Rows<StoredRow> + ?Sized, F: Forget> FixedStore<'_, R, F> {
    /// See [`Store::merge`](super::Store::merge).
    pub(super) fn take_over(&mut self, entry: &Entry<'_>) -> Result<Applied, StoreError> {
        let value = if entry.deleted { &[] } else { entry.value };
        self.check_value(entry.name, value)?;
        if !entry.deleted && !entry.is_whole() {
            return Err(StoreError::TooBig);
        }
        let found = self.find(entry.name);
        if let Some(n) = found.1 {
            let row = &self.rows[n];
            let is_mark = row.state == State::Tombstone;
            let ours = self.blocks.compare(row.first, row.name_len as usize, row.value_len as usize, value);
            let is_same = is_mark == entry.deleted && ours.is_eq();
            // of one time, each of two nodes has to come to the same; the page wants one that
            // comes to stay out, which of the greater is true
            let is_tie = entry.changed == row.changed;
            let wins_tie = if entry.deleted { !is_mark } else { !is_mark && ours.is_gt() };
            let is_news = entry.changed.0.saturating_sub(row.changed.0) > SAME_TIME;
            if is_same && !is_news || entry.changed < row.changed || (is_tie && !wins_tie) {
                return Ok(Applied::Older);
            }
        }
        if entry.deleted {
            return self.take_over_removal(found, entry);
        }
        self.write(found, entry.name, value, entry.changed, entry.origin)?;
        if let Some(n) = self.find(entry.name).1 {
            self.rows[n].accessed = entry.accessed;
        }
        Ok(Applied::Done)
    }

    /// A removal that is newer than the value that is here, or of which nothing is known here.
    fn take_over_removal(&mut self, found: (u32, Option<u32>), entry: &Entry<'_>) -> Result<Applied, StoreError> {
        // Kept from now on, it would outlive the time for which removals are remembered, and two
        // nodes could go on giving it back to each other.
        // The calendar may have been set back: what is new by it is not old.
        let is_over = self.today.0.saturating_sub(entry.changed.0) >= self.settings.keep;
        let n = match found {
            (_, Some(n)) if is_over => {
                self.forget(n);
                return Ok(Applied::Done);
            }
            (_, None) if is_over => return Ok(Applied::Absent),
            (_, Some(n)) => n,
            (hash, None) => self.insert(entry.name, hash, 0)?,
        };
        self.entomb(n, entry.changed, entry.origin);
        Ok(Applied::Done)
    }

    /// When this node made the tombstone of `name`, if there is one.
    pub fn tombstone_made(&self, name: &str) -> Option<Stamp> {
        let row = &self.rows[self.find(name).1?];
        (row.state == State::Tombstone).then_some(row.accessed)
    }
}
