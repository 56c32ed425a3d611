//! The store of fixed size.
//!
//! Owns: where a name's row is, which bytes are its own, and which change counts.

use super::super::blocks::Blocks;
use super::rows::{State, Tombstones};
use super::{
    Applied, Cursor, Forget, Found, Listed, NoMemory, Stamp, Step, Store, StoreError, StoreParts, StoreSettings,
    StoredRow,
};
#[cfg(feature = "clacks")]
use super::{Entry, Swept};
use crate::buffer::Rows;
use crate::buffer::slab::{self, Ends, Slab};
use crate::limits::MAX_NAME;
use crate::name;
use core::cmp::Ordering;
use heapless::vec::VecView;

/// Most tombstones that one call of [`Store::expire_tombstones`] drops.
const EXPIRE_AT_ONCE: usize = 32;

/// Longest decimal number of 64 bits, with its sign.
const MAX_DIGITS: usize = 20;

/// A store of fixed size over borrowed memory: a hash table of rows, and names and values in
/// chains of small blocks. What was never used is never touched.
#[derive(Debug)]
pub struct FixedStore<'s, R: ?Sized = VecView<StoredRow>, F = ()> {
    pub(super) rows: Slab<'s, StoredRow, R>,
    pub(super) buckets: &'s mut [u32],
    pub(super) blocks: Blocks<'s>,
    pub(super) settings: StoreSettings,
    pub(super) tombstones: Ends,
    /// How many there are, and how many blocks they hold.
    pub(super) buried: (u32, u32),
    /// Latest time that was handed in.
    pub(super) seen: Stamp,
    /// The time that was handed in last: earlier than that, after the calendar was set back.
    #[cfg(feature = "clacks")]
    pub(super) today: Stamp,
    /// Of the tree that `order.rs` owns; 0: none.
    #[cfg(feature = "clacks")]
    pub(super) top: u32,
    /// Whether there is that tree.
    #[cfg(feature = "clacks")]
    pub(super) is_ordered: bool,
    pub(super) heir: F,
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
            #[cfg(feature = "clacks")]
            today: Stamp(0),
            #[cfg(feature = "clacks")]
            top: 0,
            #[cfg(feature = "clacks")]
            is_ordered: true,
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

    pub(super) fn bucket(&self, hash: u32) -> usize {
        // scales the hash to the number of buckets, whatever that is
        ((hash as u64 * self.buckets.len() as u64) >> 32) as usize
    }

    /// The row of `name`, value or tombstone, and the name's hash.
    pub(super) fn find(&self, name: &str) -> (u32, Option<u32>) {
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
    pub(super) fn is_newer(&self, n: u32, value: Option<&[u8]>, stamp: Stamp, origin: u32) -> bool {
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

    pub(super) fn blocks_for(&self, name_len: usize, value_len: usize) -> u32 {
        // both lengths are checked, so the sum is below 2^32
        (name_len + value_len).div_ceil(self.settings.block) as u32
    }

    /// Room for `blocks` more, and for a row if `row`: from what is free and from the oldest
    /// tombstones. If that is not enough, nothing happens.
    pub(super) fn make_room(&mut self, blocks: u32, row: bool) -> Result<(), StoreError> {
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
    pub(super) fn count_tombstone(&mut self, n: u32, is_one: bool) {
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

    pub(super) fn drop_oldest(&mut self) {
        let n = self.tombstones.first;
        if self.rows.get(n).is_none() {
            return;
        }
        self.count_tombstone(n, false);
        self.forget(n);
    }

    /// Row `n`, which is no tombstone (any more), goes and leaves nothing.
    pub(super) fn forget(&mut self, n: u32) {
        let StoredRow { hash, next, first, name_len, .. } = self.rows[n];
        if F::HEARS || cfg!(feature = "clacks") {
            let mut name = [0; MAX_NAME];
            let name = &mut name[..(name_len as usize).min(MAX_NAME)];
            self.blocks.read(first, 0, name);
            if F::HEARS {
                self.heir.forget(name);
            }
            #[cfg(feature = "clacks")]
            self.delist(n, name);
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
    pub(super) fn insert(&mut self, name: &str, hash: u32, value_len: usize) -> Result<u32, StoreError> {
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
        #[cfg(feature = "clacks")]
        self.enlist(n, name.as_bytes());
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
    pub(super) fn write(
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

    pub(super) fn check_value(&self, name: &str, value: &[u8]) -> Result<(), StoreError> {
        if !name::is_valid(name) {
            return Err(StoreError::BadName);
        }
        if value.len() > self.settings.max_value { Err(StoreError::TooBig) } else { Ok(()) }
    }

    /// Row `n` becomes a tombstone, or stays one with another time.
    pub(super) fn entomb(&mut self, n: u32, stamp: Stamp, origin: u32) {
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

    /// It is so late.
    pub(super) fn told(&mut self, now: Stamp) {
        self.seen = self.seen.max(now);
        #[cfg(feature = "clacks")]
        {
            self.today = now;
        }
    }
}

impl<R: Rows<StoredRow> + ?Sized, F: Forget> Store for FixedStore<'_, R, F> {
    fn get(&mut self, name: &str, now: Stamp, out: &mut [u8]) -> Option<Found> {
        self.told(now);
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
        self.told(now);
        for _ in 0..EXPIRE_AT_ONCE {
            match self.rows.get(self.tombstones.first) {
                Some(row) if self.seen.0 - row.accessed.0 >= self.settings.keep => self.drop_oldest(),
                _ => return false,
            }
        }
        true
    }

    #[cfg(feature = "clacks")]
    fn following<'o>(&self, after: Option<&str>, out: &'o mut [u8]) -> Option<Entry<'o>> {
        self.entry_behind(after, out)
    }

    #[cfg(feature = "clacks")]
    fn merge(&mut self, entry: &Entry<'_>) -> Result<Applied, StoreError> {
        self.take_over(entry)
    }

    #[cfg(feature = "clacks")]
    fn clear(&mut self) -> Result<(), StoreError> {
        self.forget_all();
        Ok(())
    }

    #[cfg(feature = "clacks")]
    fn sweep<'o>(
        &mut self,
        from: Cursor,
        budget: &mut usize,
        now: Stamp,
        stale_micros: u64,
        name: &'o mut [u8; MAX_NAME],
    ) -> Swept<'o> {
        self.told(now);
        self.sweep_where(from, budget, |accessed| now.0.saturating_sub(accessed.0) > stale_micros, name)
    }

    #[cfg(feature = "clacks")]
    fn expire_named<'o>(&mut self, now: Stamp, name: &'o mut [u8; MAX_NAME]) -> Option<&'o str> {
        self.expire_one(now, name)
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
        #[cfg(feature = "clacks")]
        self.check_order()?;
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
