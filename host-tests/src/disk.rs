//! A store of values whose disk is a test's.
//!
//! Owns: [`Disk`], by which a test says how far the disk has come and how it is, which has the copies of
//! messages that wait, and knows what is on it when the node has crashed; and [`OnDisk`], which is a store in
//! memory that believes it.

use chappe_core::limits::MAX_NAME;
use chappe_core::router::store::{
    Applied, Cursor, Entry, FixedStore, Found, Keeping, Kept, Stamp, Step, Store, StoreError, StoredMail, Swept,
};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

/// How it is.
#[derive(Debug)]
pub struct Disk {
    /// Changes so far.
    pub changes: Cell<u64>,
    /// How many of them are on it.
    pub kept: Cell<u64>,
    /// How it goes.
    pub how: Cell<Keeping>,
    /// Copies of messages that wait, by their numbers.
    pub mail: RefCell<BTreeMap<u64, Copy>>,
    /// The numbers of those that were delivered, in that order.
    pub delivered: RefCell<Vec<u64>>,
    /// All that there is after each change that is not on it, and after the last that is: for tests whose nodes crash.
    copies: Option<RefCell<Copies>>,
}

/// Values and messages after a change, and its number.
type Copies = Vec<(u64, Vec<Row>, BTreeMap<u64, Copy>)>;

/// An entry of a store, owned.
#[derive(Debug, Clone)]
struct Row {
    name: String,
    value: Option<Vec<u8>>,
    changed: Stamp,
    accessed: Stamp,
    origin: u32,
}

/// The copy of a message that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "as in StoredMail")]
pub struct Copy {
    pub number: u64,
    pub name: String,
    pub instance: String,
    pub from: u64,
    pub until: Stamp,
    pub within_ms: u32,
    pub form: u8,
    pub bytes: Vec<u8>,
}

impl Disk {
    /// One that outlives the node.
    pub fn lasting() -> Self {
        Disk { copies: Some(RefCell::default()), ..Disk::default() }
    }

    /// All that has changed is on it.
    pub fn catch_up(&self) {
        self.kept.set(self.changes.get());
    }

    /// The node has crashed: puts what is on the disk into the store of its next life, and leaves in
    /// [`Disk::mail`] what waits there.
    ///
    /// # Panics
    /// If it does not fit.
    pub fn restore(&self, store: &mut FixedStore<'_>) {
        let copies = self.copies.as_ref().expect("it is lasting");
        let mut copies = copies.borrow_mut();
        copies.retain(|(at, ..)| *at <= self.kept.get());
        self.changes.set(self.kept.get());
        *self.mail.borrow_mut() = copies.last().map(|(_, _, mail)| mail.clone()).unwrap_or_default();
        for row in copies.last().into_iter().flat_map(|(_, rows, _)| rows) {
            let entry = Entry::new(&row.name, row.value.as_deref(), row.changed, row.accessed, row.origin);
            store.merge(&entry).expect("it was in a store of that size");
        }
    }

    fn copy(&self, store: &FixedStore<'_>) {
        let Some(copies) = &self.copies else { return };
        let mut copies = copies.borrow_mut();
        let mut room = [0; 4096];
        let (mut rows, mut last) = (Vec::new(), None::<String>);
        while let Some(e) = store.following(last.as_deref(), &mut room) {
            last = Some(e.name.into());
            let value = (!e.deleted).then(|| e.value.to_vec());
            let (name, changed, accessed, origin) = (e.name.into(), e.changed, e.accessed, e.origin);
            rows.push(Row { name, value, changed, accessed, origin });
        }
        copies.push((self.changes.get(), rows, self.mail.borrow().clone()));
        let kept = self.kept.get();
        let on_disk = copies.iter().rposition(|(at, ..)| *at <= kept).unwrap_or(0);
        copies.drain(..on_disk);
    }
}

impl Copy {
    fn of(m: &StoredMail<'_>) -> Self {
        let &StoredMail { number, name, instance, from, until, within_ms, form, bytes } = m;
        let (name, instance) = (name.to_owned(), instance.to_owned());
        Copy { number, name, instance, from, until, within_ms, form, bytes: bytes.to_vec() }
    }

    /// As the router wants it.
    pub fn stored(&self) -> StoredMail<'_> {
        let &Copy { number, ref name, ref instance, from, until, within_ms, form, ref bytes } = self;
        StoredMail { number, name, instance, from, until, within_ms, form, bytes }
    }
}

impl Default for Disk {
    fn default() -> Self {
        Disk {
            changes: Cell::new(0),
            kept: Cell::new(0),
            how: Cell::new(Keeping::Disk),
            mail: RefCell::default(),
            delivered: RefCell::default(),
            copies: None,
        }
    }
}

/// A store on it.
#[derive(Debug)]
pub struct OnDisk<'d> {
    /// The values.
    pub values: FixedStore<'d>,
    /// The disk.
    pub disk: &'d Disk,
}

impl OnDisk<'_> {
    fn change<T>(&mut self, what: impl FnOnce(&mut FixedStore<'_>) -> Result<T, StoreError>) -> Result<T, StoreError> {
        match self.disk.how.get() {
            Keeping::Failing => return Err(StoreError::DiskFails),
            Keeping::Behind => return Err(StoreError::DiskBehind),
            _ => {}
        }
        self.disk.changes.set(self.disk.changes.get() + 1);
        let done = what(&mut self.values);
        self.disk.copy(&self.values);
        done
    }
}

impl Store for OnDisk<'_> {
    fn get(&mut self, name: &str, now: Stamp, out: &mut [u8]) -> Option<Found> {
        self.values.get(name, now, out)
    }
    fn set(&mut self, name: &str, value: &[u8], stamp: Stamp, origin: u32) -> Result<Applied, StoreError> {
        self.change(|s| s.set(name, value, stamp, origin))
    }
    fn remove(&mut self, name: &str, stamp: Stamp, origin: u32) -> Result<Applied, StoreError> {
        self.change(|s| s.remove(name, stamp, origin))
    }
    fn bury(&mut self, name: &str, stamp: Stamp, origin: u32) -> Result<Applied, StoreError> {
        self.change(|s| s.bury(name, stamp, origin))
    }
    fn add(&mut self, name: &str, amount: i64, stamp: Stamp, origin: u32) -> Result<i64, StoreError> {
        self.change(|s| s.add(name, amount, stamp, origin))
    }
    fn stamp(&self, name: &str, now: Stamp) -> Stamp {
        self.values.stamp(name, now)
    }
    fn next<'o>(&self, from: Cursor, prefix: &str, budget: &mut usize, out: &'o mut [u8]) -> Step<'o> {
        self.values.next(from, prefix, budget, out)
    }
    fn expire_tombstones(&mut self, now: Stamp) -> bool {
        self.values.expire_tombstones(now)
    }
    fn following<'o>(&self, after: Option<&str>, out: &'o mut [u8]) -> Option<Entry<'o>> {
        self.values.following(after, out)
    }
    fn merge(&mut self, entry: &Entry<'_>) -> Result<Applied, StoreError> {
        self.change(|s| s.merge(entry))
    }
    fn clear(&mut self) -> Result<(), StoreError> {
        self.change(|s| s.clear())
    }
    fn sweep<'o>(
        &mut self,
        from: Cursor,
        budget: &mut usize,
        now: Stamp,
        stale_micros: u64,
        name: &'o mut [u8; MAX_NAME],
    ) -> Swept<'o> {
        self.values.sweep(from, budget, now, stale_micros, name)
    }
    fn expire_named<'o>(&mut self, now: Stamp, name: &'o mut [u8; MAX_NAME]) -> Option<&'o str> {
        self.values.expire_named(now, name)
    }
    fn keep_mail(&mut self, mail: &StoredMail<'_>) -> Result<bool, StoreError> {
        match self.disk.how.get() {
            Keeping::Memory => return Ok(false),
            Keeping::Behind => return Err(StoreError::DiskBehind),
            Keeping::Disk | Keeping::Failing => {}
        }
        self.disk.changes.set(self.disk.changes.get() + 1);
        let before = self.disk.mail.borrow_mut().insert(mail.number, Copy::of(mail));
        assert_eq!(before, None, "a number was used twice");
        self.disk.copy(&self.values);
        Ok(true)
    }
    fn mail_gone(&mut self, number: u64, delivered: bool) {
        self.disk.changes.set(self.disk.changes.get() + 1);
        let copy = self.disk.mail.borrow_mut().remove(&number);
        assert!(copy.is_some(), "{number} was never kept, or is said to be gone twice");
        if delivered {
            self.disk.delivered.borrow_mut().push(number);
        }
        self.disk.copy(&self.values);
    }
    fn mark(&mut self) -> u64 {
        self.disk.changes.get()
    }
    fn kept(&mut self) -> Kept {
        let (up_to, changes) = (self.disk.kept.get(), self.disk.changes.get());
        Kept { up_to, waiting: changes - up_to, how: self.disk.how.get() }
    }
    fn trouble(&self) -> &str {
        if self.disk.how.get() == Keeping::Failing { "no space left on the device" } else { "" }
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
