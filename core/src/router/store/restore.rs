//! A store that comes back: rows as a copy elsewhere has them.
//!
//! Owns: reading a value without that counting as an access, and putting rows back as they
//! were. Does not own the copy, nor when it is made.

use super::rows::State;
use super::{Applied, FixedStore, Forget, Found, Stamp, Store, StoreError, StoredRow};
use crate::buffer::Rows;

/// All there is to know of a value or a tombstone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stored<'v> {
    /// Its name.
    pub name: &'v str,
    /// Its bytes; `None`: it was removed, and this is its tombstone.
    pub value: Option<&'v [u8]>,
    /// When it was changed.
    pub changed: Stamp,
    /// When it was last read or changed; of a tombstone, when it was made.
    pub accessed: Stamp,
    /// Which node changed it.
    pub origin: u32,
}

impl<R: Rows<StoredRow> + ?Sized, F: Forget> FixedStore<'_, R, F> {
    /// Copies a value to `out`, as [`Store::get`] does, but nobody will know. Also tells
    /// which node changed it.
    pub fn look(&self, name: &str, out: &mut [u8]) -> Option<(Found, u32)> {
        let row = &self.rows[self.find(name).1?];
        if row.state != State::Value {
            return None;
        }
        let found = Found { len: row.value_len as usize, changed: row.changed, accessed: row.accessed };
        let n = found.len.min(out.len());
        self.blocks.read(row.first, row.name_len as usize, &mut out[..n]);
        Some((found, row.origin))
    }

    /// The latest time that this store was told, which is when a tombstone that is made now
    /// was made.
    pub fn seen(&self) -> Stamp {
        self.seen
    }

    /// Takes a row in as it was. Of two with one name the newer counts, as always. Tombstones
    /// must come oldest first, and after all values: one that finds no room takes that of an
    /// older one.
    pub fn restore(&mut self, row: &Stored<'_>) -> Result<Applied, StoreError> {
        let Some(value) = row.value else {
            self.seen = self.seen.max(row.accessed);
            return self.bury(row.name, row.changed, row.origin);
        };
        let applied = self.set(row.name, value, row.changed, row.origin)?;
        if applied == Applied::Done
            && let Some(n) = self.find(row.name).1
        {
            self.rows[n].accessed = row.accessed;
        }
        Ok(applied)
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::super::tests::Heap;
    use super::super::{StoreMemory, StoreSettings};
    use super::*;
    use std::vec;
    use std::vec::Vec;

    fn at(us: u64) -> Stamp {
        Stamp::from_micros(us)
    }

    fn row(name: &'static str, value: Option<&'static [u8]>, us: u64) -> Stored<'static> {
        Stored { name, value, changed: at(us), accessed: at(us + 5), origin: 3 }
    }

    /// Remembers what it heard.
    #[derive(Default)]
    struct Heir(Vec<Vec<u8>>);

    impl Forget for Heir {
        fn forget(&mut self, name: &[u8]) {
            self.0.push(name.to_vec());
        }
    }

    #[test]
    fn rows_come_back_with_their_times_and_origins() {
        let mut memory = StoreMemory::<4, 4, 16, 16>::new();
        let mut s = FixedStore::new(memory.parts(), StoreSettings::new(16)).unwrap();
        assert_eq!(s.restore(&row("a", Some(b"one"), 10)), Ok(Applied::Done));
        assert_eq!(s.restore(&row("gone", None, 20)), Ok(Applied::Done));
        assert_eq!(s.restore(&row("a", Some(b"older"), 9)), Ok(Applied::Older));
        let mut out = [0; 16];
        let found = Found { len: 3, changed: at(10), accessed: at(15) };
        assert_eq!(s.look("a", &mut out), Some((found, 3)));
        assert_eq!(&out[..3], b"one");
        assert_eq!(s.get("a", at(99), &mut out), Some(found), "looking was no access");
        assert_eq!(s.look("gone", &mut out), None);
        assert_eq!(s.set("gone", b"late", at(20), 2), Ok(Applied::Older), "its tombstone is there");
        s.check().unwrap();
    }

    #[test]
    fn who_keeps_a_copy_is_told_which_tombstones_go() {
        let mut memory = StoreMemory::<4, 4, 16, 16>::new();
        let settings = StoreSettings { keep: 1000, ..StoreSettings::new(16) };
        let mut s = FixedStore::with_heir(memory.parts(), settings, Heir::default()).unwrap();
        for (name, us) in [("a", 1), ("b", 2), ("c", 3), ("d", 900)] {
            s.restore(&row(name, None, us)).unwrap();
        }
        s.set("e", b"", at(950), 1).unwrap();
        assert_eq!(s.heir().0, [b"a"], "it had the room that e needs");
        assert!(!s.expire_tombstones(at(1008)));
        assert_eq!(s.heir().0, [b"a", b"b", b"c"], "older than agreed");
        s.set("d", b"", at(2000), 1).unwrap();
        assert_eq!(s.heir().0.len(), 3, "one that comes back to life is not forgotten");
        s.check().unwrap();
    }

    #[test]
    fn a_shell_with_a_heap_sizes_its_own_rows() {
        let (mut buckets, mut bytes, mut links) = (vec![0; 8], vec![0; 64 * 16], vec![0; 64]);
        let mut rows = Heap::new(3);
        let parts =
            super::super::StoreParts { rows: &mut rows, buckets: &mut buckets, bytes: &mut bytes, links: &mut links };
        let mut s = FixedStore::new(parts, StoreSettings::new(16)).unwrap();
        assert_eq!(s.limit(), 3);
        for name in ["a", "b", "c"] {
            s.set(name, b"1", at(1), 1).unwrap();
        }
        assert_eq!(s.set("d", b"1", at(1), 1), Err(StoreError::TooManyNames));
        s.check().unwrap();
    }
}
