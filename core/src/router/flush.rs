//! Being told when what was changed before is on disk.
//!
//! Owns: who may ask for that, and that everybody who asks hears how it went, once: when the
//! store has come that far, when its disk fails, when it takes too long. The store says how
//! far it is; a shell that keeps one on disk calls [`Router::stored`] when that has changed.
//!
//! A dialect asks with `flush_values` and hears by an outcome of that number. One whose clients
//! expect answers in order has to hold back what comes after the question until then.

use super::faults::fault;
use super::store::Keeping;
use super::{Counter, Rights, Router};
use crate::model::Code;
use crate::time::Instant;

impl Router<'_> {
    /// Station `n` wants to know when all that has changed so far is on disk.
    pub(super) fn flush_values(&mut self, n: u32, seq: u32) {
        if !self.stations[n].grant.rights.has(Rights::WRITE) {
            return self.refuse(n, seq, Code::Refused, "no grant to write");
        }
        self.wait_for_disk(n, seq);
    }

    /// The same for a station of which no right is wanted for that.
    pub(super) fn wait_for_disk(&mut self, n: u32, seq: u32) {
        if self.stations[n].barriers >= self.settings.barriers {
            return self.refuse(n, seq, Code::Full, "this station waits for as many flushes as it may");
        }
        let store = self.store.get_mut();
        let mark = store.mark();
        let kept = store.kept();
        if kept.up_to >= mark || fault!(self, FlushEarly) {
            return self.flushed(n, seq, Code::Ok, "");
        }
        if kept.how == Keeping::Failing {
            return self.flushed(n, seq, Code::NotStored, NOT_STORED);
        }
        let now = self.now;
        if !self.barriers.open(&mut self.stations, n, seq, mark, now) {
            self.refuse(n, seq, Code::Full, "too many wait for the node's disk");
        }
    }

    /// The store has come further, or its disk has failed or works again: those who wait for
    /// that are told. Costs nothing if nobody does.
    pub fn stored(&mut self, now: Instant) {
        self.clock(now);
        let kept = self.store.get_mut().kept();
        while let Some(first) = self.barriers.first() {
            let (code, text) = match kept.how {
                _ if first.mark <= kept.up_to => (Code::Ok, ""),
                Keeping::Failing => (Code::NotStored, NOT_STORED),
                _ => break,
            };
            self.answer_barrier(code, text);
        }
        self.reap();
    }

    /// Those who have waited too long are told so.
    pub(super) fn barriers_due(&mut self) {
        while self.barrier_deadline().is_some_and(|at| at <= self.now) {
            self.answer_barrier(Code::TimedOut, "the node's disk takes too long; it may still come to it");
        }
    }

    /// When who has waited longest has waited too long.
    pub(super) fn barrier_deadline(&self) -> Option<Instant> {
        self.barriers.first().map(|first| first.since + self.settings.flush)
    }

    fn answer_barrier(&mut self, code: Code, text: &str) {
        if let Some((n, seq)) = self.barriers.pop(&mut self.stations) {
            self.flushed(n, seq, code, text);
        }
    }

    fn flushed(&mut self, n: u32, seq: u32, code: Code, text: &str) {
        self.counters.one(if code == Code::Ok { Counter::Flushes } else { Counter::FlushesFailed });
        #[cfg(feature = "clacks")]
        if self.stations[n].session.dialect() == crate::dialect::Dialect::Clacks {
            return self.flush_over(n, code);
        }
        self.outcome(n, seq, code, text);
    }
}

const NOT_STORED: &str = "the node's disk fails: see its log and its status";

#[cfg(test)]
mod tests {
    extern crate std;
    use super::super::store::{
        Applied, Cursor, FixedStore, Found, Kept, Stamp, Step, Store as Values, StoreError, StoreMemory, StoreSettings,
    };
    #[cfg(feature = "clacks")]
    use super::super::store::{Entry, Swept};
    use super::super::{Action, Newcomer, Open, Reason, Settings};
    use super::*;
    use crate::dialect::messi::frame::{Finder, Framing};
    use crate::dialect::messi::wire::{Writer, kind};
    use crate::id::StationId;
    #[cfg(feature = "clacks")]
    use crate::limits::MAX_NAME;
    use crate::model::{ClientToServer, Hello, List, ServerToClient, Store, StoreOp, What};
    use crate::storage::{Limits, Storage, StoreRef};
    use crate::time::Duration;
    use std::boxed::Box;
    use std::cell::{Cell, RefCell};
    use std::collections::BTreeMap;
    use std::string::String;
    use std::vec;
    use std::vec::Vec;

    static OPEN: Open = Open;

    /// What a test makes of the disk.
    struct Disk {
        changes: Cell<u64>,
        kept: Cell<u64>,
        how: Cell<Keeping>,
        wanted: RefCell<Vec<u64>>,
    }

    impl Disk {
        fn new() -> Self {
            Disk {
                changes: Cell::new(0),
                kept: Cell::new(0),
                how: Cell::new(Keeping::Disk),
                wanted: RefCell::default(),
            }
        }
    }

    /// A store whose disk is a test's.
    struct OnDisk<'d> {
        values: FixedStore<'d>,
        disk: &'d Disk,
    }

    impl OnDisk<'_> {
        fn change<T>(
            &mut self,
            what: impl FnOnce(&mut FixedStore<'_>) -> Result<T, StoreError>,
        ) -> Result<T, StoreError> {
            match self.disk.how.get() {
                Keeping::Failing => return Err(StoreError::DiskFails),
                Keeping::Behind => return Err(StoreError::DiskBehind),
                _ => {}
            }
            self.disk.changes.set(self.disk.changes.get() + 1);
            what(&mut self.values)
        }
    }

    impl Values for OnDisk<'_> {
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
        #[cfg(feature = "clacks")]
        fn following<'o>(&self, after: Option<&str>, out: &'o mut [u8]) -> Option<Entry<'o>> {
            self.values.following(after, out)
        }
        #[cfg(feature = "clacks")]
        fn merge(&mut self, entry: &Entry<'_>) -> Result<Applied, StoreError> {
            self.change(|s| s.merge(entry))
        }
        #[cfg(feature = "clacks")]
        fn clear(&mut self) -> Result<(), StoreError> {
            self.change(|s| s.clear())
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
            self.values.sweep(from, budget, now, stale_micros, name)
        }
        #[cfg(feature = "clacks")]
        fn expire_named<'o>(&mut self, now: Stamp, name: &'o mut [u8; MAX_NAME]) -> Option<&'o str> {
            self.values.expire_named(now, name)
        }
        fn mark(&mut self) -> u64 {
            self.disk.wanted.borrow_mut().push(self.disk.changes.get());
            self.disk.changes.get()
        }
        fn kept(&mut self) -> Kept {
            let (up_to, changes) = (self.disk.kept.get(), self.disk.changes.get());
            Kept { up_to, waiting: changes - up_to, how: self.disk.how.get() }
        }
        fn trouble(&self) -> &str {
            if self.disk.how.get() == Keeping::Failing {
                "no space left on the device, and a long word behind it, as long as no system has ever said one before it"
            } else {
                ""
            }
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

    /// A router whose values are on `disk`, at time 1 s, and its stations.
    struct Node {
        router: Router<'static>,
        disk: &'static Disk,
        now: Instant,
        written: BTreeMap<u64, Vec<u8>>,
    }

    impl Node {
        fn new(limit: usize) -> Self {
            let disk: &'static Disk = Box::leak(Box::new(Disk::new()));
            let memory: &'static mut StoreMemory<8, 8, 32, 32> = Box::leak(Box::default());
            let values = FixedStore::new(memory.parts(), StoreSettings::new(32)).unwrap();
            let store: &'static mut OnDisk<'static> = Box::leak(Box::new(OnDisk { values, disk }));
            let storage: &'static mut Storage = Box::leak(Box::default());
            let mut parts = storage.parts().unwrap();
            parts.limits = Limits { barriers: limit, ..Limits::NONE };
            parts.store = StoreRef::Other(store);
            let mut settings = Settings::new("n", "v", &OPEN);
            settings.max_frame = 512;
            settings.silence = Duration::from_secs(600);
            let now = Instant::from_millis(1000);
            Node { router: Router::new(parts, settings, now).unwrap(), disk, now, written: BTreeMap::new() }
        }

        fn station(&mut self) -> StationId {
            let id = self.router.admit(self.now, Newcomer::default()).unwrap();
            self.say(id, Hello { seq: 1, name: "s", ..Hello::default() });
            assert_eq!(self.heard(id).len(), 0, "a welcome is no outcome");
            id
        }

        fn say<'f>(&mut self, id: StationId, m: impl Into<ClientToServer<'f>>) {
            let m = m.into();
            let mut frame = vec![0; 4 + m.len()];
            Framing::Today.write_header(kind::CLIENT_TO_SERVER, m.len(), &mut frame);
            m.write(&mut Writer::new(&mut frame[4..]));
            assert_eq!(self.router.receive(self.now, id, &frame), frame.len());
            self.router.check().unwrap();
        }

        fn set(&mut self, id: StationId) {
            self.say(id, Store { op: StoreOp::Set, name: "v", value: b"1", ..Store::default() });
        }

        fn flush(&mut self, id: StationId, seq: u32) {
            self.say(id, Store { op: StoreOp::Flush, seq, ..Store::default() });
        }

        /// The disk has come so far, or fails, and the shell says so.
        fn disk(&mut self, kept: u64, how: Keeping) {
            self.disk.kept.set(kept);
            self.disk.how.set(how);
            self.router.stored(self.now);
            self.router.check().unwrap();
        }

        /// What was written to a station since it was last looked at, as `pick` has it.
        fn read<T>(&mut self, id: StationId, pick: impl Fn(&ServerToClient<'_>) -> Option<T>) -> Vec<T> {
            while let Some(action) = self.router.next_action(self.now) {
                let Action::Write(of) = action else { continue };
                let bytes: Vec<u8> = self.router.output(of).flatten().copied().collect();
                self.router.sent(self.now, of, bytes.len());
                self.written.entry(of.number()).or_default().extend(bytes);
            }
            let bytes = self.written.remove(&id.number()).unwrap_or_default();
            let (mut input, mut found) = (&bytes[..], Vec::new());
            while let Ok(Some(header)) = Finder::new().header(&mut input, 1 << 16) {
                let (payload, rest) = input.split_at(header.size);
                found.extend(pick(&ServerToClient::read(payload).unwrap().0));
                input = rest;
            }
            found
        }

        /// The outcomes that a station was told.
        fn heard(&mut self, id: StationId) -> Vec<(u32, Code)> {
            self.read(id, |said| match said {
                ServerToClient::Outcome(o) => Some((o.seq, o.code)),
                _ => None,
            })
        }

        fn count(&self, counter: Counter) -> u64 {
            self.router.counters().get(counter)
        }
    }

    #[test]
    fn in_memory_a_flush_is_answered_at_once() {
        let storage: &'static mut Storage = Box::leak(Box::default());
        let now = Instant::from_millis(1000);
        let settings = Settings { max_frame: 512, ..Settings::new("n", "v", &OPEN) };
        let router = storage.router(settings, now).unwrap();
        let mut node = Node { router, disk: Box::leak(Box::new(Disk::new())), now, written: BTreeMap::new() };
        let a = node.station();
        node.set(a);
        node.flush(a, 7);
        assert_eq!(node.heard(a), [(7, Code::Ok)]);
        assert_eq!(node.router.deadline().map(|d| d > node.now), Some(true));
    }

    #[test]
    fn who_flushes_hears_when_what_came_before_is_on_disk_and_not_sooner() {
        let mut node = Node::new(16);
        let (a, b) = (node.station(), node.station());
        node.flush(a, 1);
        assert_eq!(node.heard(a), [(1, Code::Ok)], "nothing has changed yet");
        node.set(a); // change 1
        node.flush(a, 2);
        node.set(b); // change 2
        node.flush(b, 3);
        node.flush(a, 4);
        assert_eq!(*node.disk.wanted.borrow(), [0, 1, 2, 2], "the store is told that somebody waits");
        assert_eq!((node.heard(a), node.heard(b)), (vec![], vec![]));
        node.disk(0, Keeping::Disk);
        assert_eq!(node.heard(a), []);
        node.disk(1, Keeping::Disk);
        assert_eq!(node.heard(a), [(2, Code::Ok)]);
        node.disk(2, Keeping::Disk);
        assert_eq!(node.heard(b), [(3, Code::Ok)]);
        assert_eq!(node.count(Counter::Flushes), 4);
        node.flush(b, 5);
        assert_eq!(node.heard(b), [(5, Code::Ok)]);
    }

    #[test]
    fn outcomes_of_one_station_come_in_the_order_of_its_flushes() {
        let mut node = Node::new(16);
        let a = node.station();
        for seq in 1..=4 {
            node.set(a);
            node.flush(a, seq);
        }
        node.disk(4, Keeping::Disk);
        let told: Vec<u32> = node.heard(a).into_iter().map(|(seq, _)| seq).collect();
        assert_eq!(told, [1, 2, 3, 4]);
    }

    #[test]
    fn when_the_disk_fails_everybody_who_waits_is_told_and_changes_are_refused() {
        let mut node = Node::new(16);
        let (a, b) = (node.station(), node.station());
        node.set(a);
        node.flush(a, 1);
        node.set(b);
        node.flush(b, 2);
        node.disk(1, Keeping::Failing);
        assert_eq!(node.heard(a), [(1, Code::Ok)], "its change was on disk before");
        node.disk(1, Keeping::Failing);
        assert_eq!(node.heard(b), [(2, Code::NotStored)]);
        node.flush(a, 3);
        assert_eq!(node.heard(a), [(3, Code::NotStored)], "at once, as long as something is not on disk");
        node.set(a);
        assert_eq!(node.heard(a), [(0, Code::NotStored)]);
        let counted = [Counter::Flushes, Counter::FlushesFailed, Counter::ValuesRefused, Counter::ValuesChanged];
        assert_eq!(counted.map(|c| node.count(c)), [1, 2, 1, 2]);
        node.disk(2, Keeping::Disk);
        node.set(a);
        node.flush(a, 4);
        node.disk(3, Keeping::Disk);
        assert_eq!(node.heard(a), [(4, Code::Ok)], "it works again");
    }

    #[test]
    fn behind_changes_are_refused_but_flushes_wait() {
        let mut node = Node::new(16);
        let a = node.station();
        node.set(a);
        node.disk(0, Keeping::Behind);
        node.set(a);
        node.flush(a, 1);
        assert_eq!(node.heard(a), [(0, Code::Full)]);
        node.disk(1, Keeping::Disk);
        assert_eq!(node.heard(a), [(1, Code::Ok)]);
    }

    #[test]
    fn who_waits_too_long_is_told_so_at_that_moment() {
        let mut node = Node::new(16);
        let a = node.station();
        node.set(a);
        node.flush(a, 1);
        let due = node.now + Duration::from_secs(30);
        assert_eq!(node.router.deadline(), Some(due));
        node.now = Instant::from_millis(due.millis() - 1);
        node.router.tick(node.now);
        assert_eq!(node.heard(a), []);
        node.now = due;
        node.router.tick(node.now);
        assert_eq!(node.heard(a), [(1, Code::TimedOut)]);
        assert!(node.router.deadline() > Some(due), "after it fired it lies later");
        node.disk(1, Keeping::Disk);
        assert_eq!(node.heard(a), [], "once is enough");
    }

    #[test]
    fn who_leaves_is_forgotten_and_its_place_is_another_s() {
        let mut node = Node::new(4);
        let (a, b) = (node.station(), node.station());
        node.set(a);
        node.flush(a, 1);
        node.flush(b, 2);
        node.flush(a, 3);
        node.router.closed(node.now, a);
        node.router.check().unwrap();
        let c = node.station();
        node.disk(1, Keeping::Disk);
        assert_eq!((node.heard(b), node.heard(c)), (vec![(2, Code::Ok)], vec![]));
        node.set(b);
        node.flush(b, 4);
        node.router.stop(node.now);
        node.router.check().unwrap();
        assert!(matches!(
            node.router.next_action(node.now),
            Some(Action::Write(_) | Action::Close(_, Reason::Stopping))
        ));
    }

    #[test]
    fn d12_a_full_table_and_a_station_s_share_are_answers() {
        let mut node = Node::new(4);
        let (a, b, c) = (node.station(), node.station(), node.station());
        node.set(a);
        for seq in 1..=3 {
            node.flush(a, seq);
        }
        assert_eq!(node.heard(a), [(3, Code::Full)], "half of the table is for others");
        node.flush(b, 1);
        node.flush(b, 2);
        node.flush(c, 1);
        assert_eq!((node.heard(b), node.heard(c)), (vec![], vec![(1, Code::Full)]));
        node.disk(1, Keeping::Disk);
        node.set(c);
        node.flush(c, 2);
        node.disk(2, Keeping::Disk);
        assert_eq!(node.heard(c), [(2, Code::Ok)], "there is room again");
    }

    #[test]
    fn the_status_says_how_values_are_kept() {
        let mut node = Node::new(4);
        let a = node.station();
        let status = |node: &mut Node, name: &'static str| -> Vec<(String, u64)> {
            node.say(a, List { seq: 1, what: What::Status, name, ..List::default() });
            node.read(a, |said| match said {
                ServerToClient::Item(i) if i.name == name => Some((i.text.into(), i.count)),
                _ => None,
            })
        };
        node.set(a);
        assert_eq!(status(&mut node, "store"), [("on disk".into(), 0)]);
        assert_eq!(status(&mut node, "store_unwritten"), [(String::new(), 1)]);
        assert_eq!(status(&mut node, "store_trouble"), []);
        node.disk(0, Keeping::Failing);
        assert_eq!(status(&mut node, "store"), [("disk fails, changes refused".into(), 0)]);
        assert_eq!(
            status(&mut node, "store_trouble"),
            [(
                "no space left on the device, and a long word behind it, as long as no system has ever said one b"
                    .into(),
                0
            )]
        );
    }
}
