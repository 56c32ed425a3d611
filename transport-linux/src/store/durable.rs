//! The router's store when there is a disk: values in memory as without one, and every change
//! on its way to the disk.
//!
//! Owns: what is sent there, and that no change is made that could not be. Does not own when
//! it is written (`queue.rs`, `writer.rs`).
//!
//! A change is refused, and nothing is changed, while the disk fails (`DiskFails`) and while as
//! much waits for it as may (`DiskBehind`); values are read as ever. What was taken before is
//! kept in memory and written as soon as that works.
//!
//! Messages that wait for somebody (D9) are not this store's, but it sends a copy of each to the
//! disk while it waits. None is refused for that: one for which there is no room in the queue is
//! in memory only. That one is gone takes 36 octets of the queue even if that is full: no more
//! often than there are messages on disk and in the queue.
//!
//! When a value was read is kept less exactly, or else every reading would be a writing: the
//! first reading in each hour goes to the disk, if it can. So after a restart a value may have
//! been read later than its time says, but not in a later hour, and not after the start. To a
//! sweep of stale values it counts as read then: it is never taken for stale too early (but
//! when the disk could take no note of the reading), and at most an hour too late.

use std::fmt::Write;
use std::sync::Arc;

use chappe_core::buffer::Rows;
use chappe_core::limits::MAX_NAME;
use chappe_core::router::store::{
    Applied, Cursor, Entry, FixedStore, Forget, Found, Kept, Stamp, Step, Store, StoreError, Stored, StoredMail,
    StoredRow, Swept,
};

use super::queue::Queue;
use super::record::{self, Clock};

/// Microseconds that are one time to the disk, as far as reading is concerned.
const HOUR: u64 = 3_600_000_000;

/// What went without a trace since somebody last looked, as records.
#[derive(Debug, Default)]
pub(crate) struct Forgotten(pub(super) Vec<u8>);

impl Forget for Forgotten {
    fn forget(&mut self, name: &[u8]) {
        record::push_forget(&mut self.0, name);
    }
}

/// Values that are kept on disk.
pub(crate) struct Durable<'s, R: ?Sized> {
    values: FixedStore<'s, R, Forgotten>,
    queue: Arc<Queue>,
    clock: Clock,
    /// A value on its way to the disk, when only its time has changed.
    scratch: Vec<u8>,
    /// The first time that was handed in: what has an earlier one may be from before the start.
    started: Option<Stamp>,
    /// A sum as text.
    sum: String,
    trouble: String,
}

impl<'s, R: Rows<StoredRow> + ?Sized> Durable<'s, R> {
    pub(super) fn new(values: FixedStore<'s, R, Forgotten>, queue: Arc<Queue>, clock: Clock) -> Self {
        let scratch = vec![0; values.max_value()];
        Durable { values, queue, clock, scratch, started: None, sum: String::new(), trouble: String::new() }
    }

    /// When a value was read at the latest, whose time is `accessed`.
    fn accessed_by(accessed: Stamp, started: Stamp) -> Stamp {
        let hour_ends = (accessed.micros() / HOUR).saturating_add(1).saturating_mul(HOUR);
        accessed.max(started.min(Stamp::from_micros(hour_ends)))
    }
}

impl<R: Rows<StoredRow> + ?Sized> Store for Durable<'_, R> {
    fn get(&mut self, name: &str, now: Stamp, out: &mut [u8]) -> Option<Found> {
        self.started.get_or_insert(now);
        let found = self.values.get(name, now, out)?;
        if found.accessed.micros() / HOUR < now.micros() / HOUR
            && let Ok(mut room) = self.queue.room()
            && let Some((whole, origin)) = self.values.look(name, &mut self.scratch)
        {
            let value = self.scratch.get(..whole.len);
            room.keep(&Stored { name, value, changed: whole.changed, accessed: whole.accessed, origin });
        }
        Some(found)
    }

    fn set(&mut self, name: &str, value: &[u8], stamp: Stamp, origin: u32) -> Result<Applied, StoreError> {
        let mut room = self.queue.room()?;
        let applied = self.values.set(name, value, stamp, origin);
        room.forget(&mut self.values.heir().0);
        if applied == Ok(Applied::Done) {
            room.keep(&Stored { name, value: Some(value), changed: stamp, accessed: stamp, origin });
        }
        applied
    }

    fn remove(&mut self, name: &str, stamp: Stamp, origin: u32) -> Result<Applied, StoreError> {
        let mut room = self.queue.room()?;
        let applied = self.values.remove(name, stamp, origin);
        room.forget(&mut self.values.heir().0);
        if applied == Ok(Applied::Done) {
            let accessed = self.values.seen();
            room.keep(&Stored { name, value: None, changed: stamp, accessed, origin });
        }
        applied
    }

    fn bury(&mut self, name: &str, stamp: Stamp, origin: u32) -> Result<Applied, StoreError> {
        let mut room = self.queue.room()?;
        let applied = self.values.bury(name, stamp, origin);
        room.forget(&mut self.values.heir().0);
        if applied == Ok(Applied::Done) {
            // one that was there already is as old as it was
            let accessed = self.values.tombstone_made(name).unwrap_or(self.values.seen());
            room.keep(&Stored { name, value: None, changed: stamp, accessed, origin });
        }
        applied
    }

    fn add(&mut self, name: &str, amount: i64, stamp: Stamp, origin: u32) -> Result<i64, StoreError> {
        let mut room = self.queue.room()?;
        // as the store would: what is kept must have the same time
        let stamp = self.values.stamp(name, stamp);
        let sum = self.values.add(name, amount, stamp, origin);
        room.forget(&mut self.values.heir().0);
        let sum = sum?;
        self.sum.clear();
        // writing to a String cannot fail
        let _ = write!(self.sum, "{sum}");
        room.keep(&Stored { name, value: Some(self.sum.as_bytes()), changed: stamp, accessed: stamp, origin });
        Ok(sum)
    }

    fn stamp(&self, name: &str, now: Stamp) -> Stamp {
        self.values.stamp(name, now)
    }

    fn next<'o>(&self, from: Cursor, prefix: &str, budget: &mut usize, out: &'o mut [u8]) -> Step<'o> {
        self.values.next(from, prefix, budget, out)
    }

    fn expire_tombstones(&mut self, now: Stamp) -> bool {
        self.started.get_or_insert(now);
        // If the disk cannot take note, they stay a little longer.
        let Ok(mut room) = self.queue.room() else { return false };
        let more = self.values.expire_tombstones(now);
        room.forget(&mut self.values.heir().0);
        more
    }

    fn following<'o>(&self, after: Option<&str>, out: &'o mut [u8]) -> Option<Entry<'o>> {
        self.values.following(after, out)
    }

    fn merge(&mut self, entry: &Entry<'_>) -> Result<Applied, StoreError> {
        let mut room = self.queue.room()?;
        let applied = self.values.merge(entry);
        let made = self.values.tombstone_made(entry.name);
        match (applied, entry.deleted, made) {
            // a removal that was over: the value went without a tombstone
            (Ok(Applied::Done), true, None) => room.forget_value(&mut self.values.heir().0),
            _ => room.forget(&mut self.values.heir().0),
        }
        let Entry { name, changed, origin, .. } = *entry;
        match (applied, entry.deleted, made) {
            (Ok(Applied::Done), true, Some(accessed)) => {
                room.keep(&Stored { name, value: None, changed, accessed, origin });
            }
            (Ok(Applied::Done), false, _) => {
                room.keep(&Stored { name, value: Some(entry.value), changed, accessed: entry.accessed, origin });
            }
            _ => {}
        }
        applied
    }

    fn clear(&mut self) -> Result<(), StoreError> {
        let mut room = self.queue.room()?;
        self.values.clear()?;
        room.clear();
        Ok(())
    }

    fn sweep<'o>(
        &mut self,
        from: Cursor,
        budget: &mut usize,
        now: Stamp,
        stale_micros: u64,
        name: &'o mut [u8; MAX_NAME],
    ) -> Swept<'o> {
        let started = *self.started.get_or_insert(now);
        // The lock is not held while rows are looked at.
        if self.queue.room().is_err() {
            return Swept::End;
        }
        let is_stale = |accessed| {
            let age = now.micros().saturating_sub(Self::accessed_by(accessed, started).micros());
            age > stale_micros
        };
        let swept = self.values.sweep_where(from, budget, is_stale, name);
        if matches!(swept, Swept::Gone { .. }) {
            self.queue.room_as_said().forget_value(&mut self.values.heir().0);
        }
        swept
    }

    fn expire_named<'o>(&mut self, now: Stamp, name: &'o mut [u8; MAX_NAME]) -> Option<&'o str> {
        self.started.get_or_insert(now);
        // If the disk cannot take note, they stay a little longer.
        let mut room = self.queue.room().ok()?;
        let gone = self.values.expire_named(now, name);
        room.forget(&mut self.values.heir().0);
        gone
    }

    fn keep_mail(&mut self, mail: &StoredMail<'_>) -> Result<bool, StoreError> {
        self.queue.room_for_mail()?.keep_mail(mail, self.clock);
        Ok(true)
    }

    fn mail_gone(&mut self, number: u64, delivered: bool) {
        self.queue.room_as_said().mail_gone(number, delivered);
    }

    fn mark(&mut self) -> u64 {
        self.queue.mark()
    }

    fn kept(&mut self) -> Kept {
        self.queue.kept(&mut self.trouble)
    }

    fn trouble(&self) -> &str {
        &self.trouble
    }

    fn len(&self) -> usize {
        self.values.len()
    }

    fn limit(&self) -> usize {
        self.values.limit()
    }

    fn max_value(&self) -> usize {
        self.values.max_value()
    }

    fn check(&self) -> Result<(), &'static str> {
        self.values.check()
    }
}
