//! Values on a disk that is a test's: slow, full, failing, cut off at any moment.

mod mail;
mod ordered;

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Condvar, Mutex};
use std::time::Instant;

use chappe_core::router::store::{Applied, Keeping, Store, StoreMemory, StoreParts, StoreSettings};
use heapless::VecView;
use redb::StorageBackend;

use super::*;

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// So long that it does not come.
const NEVER: Duration = Duration::from_secs(3600);

type Memory = StoreMemory<64, 64, 256, 64>;
type Values = Durable<'static, VecView<StoredRow>>;

fn parts() -> StoreParts<'static> {
    Box::leak(Box::new(Memory::new())).parts()
}

fn limits() -> StoreSettings {
    StoreSettings { rows: 64, max_value: 1000, keep: 1_000_000, ..StoreSettings::new(64) }
}

fn empty() -> FixedStore<'static, VecView<StoredRow>, Forgotten> {
    FixedStore::with_heir(parts(), limits(), Forgotten::default()).unwrap()
}

fn settings(file: &Path, within: Duration) -> Settings {
    let retry = Duration::from_millis(5);
    Settings { file: file.to_owned(), within, queue: 64 << 10, retry, clock: Clock::default() }
}

fn open_file(file: &Path, within: Duration) -> (Values, Keeper) {
    let (values, keeper, _) = open(&settings(file, within), empty(), || {}).unwrap();
    (values, keeper)
}

/// Ends it as a daemon does that has time.
fn end(values: Values, keeper: Keeper) {
    drop(values);
    keeper.close();
    assert_eq!(keeper.wait(PATIENCE), (0, true));
}

fn at(us: u64) -> Stamp {
    Stamp::from_micros(us)
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < end, "still not: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn flush(values: &mut Values) {
    let mark = values.mark();
    until("on disk", || values.kept().up_to >= mark);
}

fn get(values: &mut Values, name: &str) -> Option<String> {
    let mut out = [0; 1000];
    let found = values.get(name, at(0), &mut out)?;
    Some(String::from_utf8(out[..found.len].to_vec()).unwrap())
}

type Told = (Option<Vec<u8>>, u64, u64, u32);

/// What a file holds: value, changed, accessed, origin.
fn rows(disk: &Disk) -> Result<BTreeMap<String, Told>, Problem> {
    let mut table = Table::open(Overlay::new(disk.clone())?)?;
    table.verify()?;
    let mut rows = BTreeMap::new();
    table.each(|r| {
        let row = (r.value.map(<[u8]>::to_vec), r.changed.micros(), r.accessed.micros(), r.origin);
        rows.insert(r.name.to_owned(), row);
        Ok(())
    })?;
    Ok(rows)
}

fn rows_of(file: &Path) -> BTreeMap<String, Told> {
    rows(&Disk::look(file).unwrap()).unwrap()
}

#[test]
fn values_counters_and_removals_come_back_with_their_times() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("v");
    let (mut s, keeper) = open_file(&file, Duration::ZERO);
    s.set("a", b"one", at(100), 1).unwrap();
    s.set("a", b"two", at(200), 2).unwrap();
    s.set("ahead", b"7", at(1 << 50), 3).unwrap();
    assert_eq!(s.add("ahead", 5, at(10), 4), Ok(12), "our clock is behind");
    s.add("n", -3, at(300), 0).unwrap();
    s.expire_tombstones(at(5000));
    s.set("gone", b"x", at(400), 1).unwrap();
    s.remove("gone", at(500), 1).unwrap();
    s.bury("elsewhere", at(600), 9).unwrap();
    end(s, keeper);
    let (mut s, keeper) = open_file(&file, Duration::ZERO);
    s.check().unwrap();
    assert_eq!(s.len(), 3);
    assert_eq!(get(&mut s, "a").unwrap(), "two");
    assert_eq!(s.set("a", b"late", at(200), 1), Ok(Applied::Older), "its time and origin are known");
    assert_eq!(s.set("a", b"taa", at(200), 2), Ok(Applied::Older), "also byte by byte");
    assert_eq!(s.set("gone", b"late", at(500), 1), Ok(Applied::Older), "removals are remembered");
    assert_eq!(s.set("elsewhere", b"late", at(600), 8), Ok(Applied::Older));
    assert_eq!(s.stamp("ahead", at(1)), at((1 << 50) + 2));
    assert_eq!(s.add("n", 1, at(1), 0), Ok(-2));
    end(s, keeper);
    let rows = rows_of(&file);
    assert_eq!(rows["n"].0.as_deref(), Some(&b"-2"[..]));
    assert_eq!(rows["gone"], (None, 500, 5000, 1));
}

#[test]
fn a_flush_hurries_and_nothing_is_written_before_its_time_without_one() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("v");
    let (mut s, keeper) = open_file(&file, NEVER);
    assert_eq!(s.mark(), 0);
    s.set("a", b"1", at(1), 0).unwrap();
    s.set("a", b"2", at(2), 0).unwrap();
    let kept = s.kept();
    assert_eq!((kept.up_to, kept.waiting, kept.how), (0, 2, Keeping::Disk));
    assert_eq!(keeper.counts(), Counts::default());
    flush(&mut s);
    let counts = keeper.counts();
    assert_eq!((counts.commits, counts.rows), (1, 1), "one name is written once");
    // a disk that loses power loses what is not flushed, and nothing else
    s.set("b", b"3", at(3), 0).unwrap();
    drop(s);
    keeper.close();
    assert_eq!(keeper.wait(PATIENCE), (0, true), "the end writes all");
    assert_eq!(rows_of(&file).len(), 2);
}

#[test]
fn without_a_flush_a_change_is_written_in_its_time() {
    let folder = tempfile::tempdir().unwrap();
    let (mut s, _keeper) = open_file(&folder.path().join("v"), Duration::from_millis(5));
    s.set("a", b"1", at(1), 0).unwrap();
    until("written", || s.kept().up_to == 1);
}

#[test]
fn tombstones_that_go_leave_the_file_too() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("v");
    let (mut s, keeper) = open_file(&file, Duration::ZERO);
    s.set("stays", b"1", at(1), 0).unwrap();
    for i in 0..40 {
        let name = format!("n{i}");
        s.set(&name, b"1", at(1), 0).unwrap();
        s.expire_tombstones(at(i));
        s.remove(&name, at(2), 0).unwrap();
    }
    flush(&mut s);
    assert_eq!(rows_of_open(&s, &file), 41);
    // all but two are older than agreed
    while s.expire_tombstones(at(1_000_037)) {}
    s.set("n39", b"back", at(3), 0).unwrap();
    end(s, keeper);
    let rows = rows_of(&file);
    assert_eq!(rows.keys().collect::<Vec<_>>(), ["n38", "n39", "stays"]);
    assert_eq!(rows["n39"].0.as_deref(), Some(&b"back"[..]));
}

/// How many rows a file has that is in use: a copy of it is looked at.
fn rows_of_open(_: &Values, file: &Path) -> usize {
    let copy = file.with_extension("copy");
    std::fs::copy(file, &copy).unwrap();
    rows_of(&copy).len()
}

#[test]
fn that_a_value_was_read_is_kept_once_an_hour() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("v");
    let (mut s, keeper) = open_file(&file, NEVER);
    let hour = 3_600_000_000;
    s.set("a", b"value", at(100), 7).unwrap();
    let mut out = [0; 2];
    for us in [200, hour - 1, hour + 5, hour + 6, 2 * hour - 1, 3 * hour] {
        s.get("a", at(us), &mut out).unwrap();
    }
    assert_eq!(s.kept().waiting, 3, "the change, and two hours in which it was read");
    end(s, keeper);
    assert_eq!(rows_of(&file)["a"], (Some(b"value".to_vec()), 100, 3 * hour, 7), "all of it, though little was read");
}

#[test]
fn a_file_that_is_too_large_for_the_limits_names_the_key() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("v");
    let (mut s, keeper) = open_file(&file, Duration::ZERO);
    for i in 0..20 {
        s.set(&format!("n{i}"), &[b'x'; 100], at(1), 0).unwrap();
    }
    s.remove("n0", at(2), 0).unwrap();
    end(s, keeper);
    let try_with = |limits: StoreSettings, parts: StoreParts<'static>| {
        let values = FixedStore::with_heir(parts, limits, Forgotten::default()).unwrap();
        open(&settings(&file, NEVER), values, || {}).map(|(s, ..)| s)
    };
    for (key, settings) in [
        ("limits.value_rows", StoreSettings { rows: 18, ..limits() }),
        ("clacks.max_value", StoreSettings { max_value: 99, ..limits() }),
    ] {
        match try_with(settings, parts()) {
            Err(FileError { problem: Problem::TooMuch { key: named, .. }, .. }) => assert_eq!(named, key),
            other => panic!("{key}: {:?}", other.map(drop)),
        }
    }
    let small: &'static mut StoreMemory<64, 64, 30, 64> = Box::leak(Box::new(StoreMemory::new()));
    let error = try_with(limits(), small.parts()).map(drop).unwrap_err();
    assert!(error.to_string().ends_with("more memory than limits.values allows. Raise limits.values"), "{error}");
    // a removal gives way: 19 values are all there is room for
    let s = try_with(StoreSettings { rows: 19, ..limits() }, parts()).unwrap();
    assert_eq!(s.len(), 19);
}

/// What a test makes of a disk.
#[derive(Debug, Default)]
struct Fault {
    /// Writing and syncing fails as on a full disk.
    full: AtomicBool,
    /// Writes that still succeed before one fails; 0: it does not count.
    countdown: AtomicU64,
    /// Syncs wait.
    held: Mutex<bool>,
    moved: Condvar,
    waiting: AtomicU64,
}

impl Fault {
    fn hold(&self, hold: bool) {
        *self.held.lock().unwrap() = hold;
        self.moved.notify_all();
    }

    fn check(&self) -> io::Result<()> {
        let counted = self.countdown.load(Ordering::SeqCst);
        if counted > 0 && self.countdown.fetch_sub(1, Ordering::SeqCst) == 1 {
            return Err(io::Error::from_raw_os_error(libc::EIO));
        }
        match self.full.load(Ordering::SeqCst) {
            true => Err(io::Error::from_raw_os_error(libc::ENOSPC)),
            false => Ok(()),
        }
    }
}

#[derive(Debug)]
struct Faulty(Disk, Arc<Fault>);

impl StorageBackend for Faulty {
    fn len(&self) -> io::Result<u64> {
        StorageBackend::len(&self.0)
    }
    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read(offset, out)
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.1.check()?;
        self.0.set_len(len)
    }
    fn sync_data(&self) -> io::Result<()> {
        let mut held = self.1.held.lock().unwrap();
        self.1.waiting.fetch_add(1, Ordering::SeqCst);
        while *held {
            held = self.1.moved.wait(held).unwrap();
        }
        self.1.waiting.fetch_sub(1, Ordering::SeqCst);
        self.1.check()?;
        self.0.sync_data()
    }
    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.1.check()?;
        self.0.write(offset, data)
    }
}

/// A store on a disk that a test has in its hands.
struct Bench {
    values: Values,
    keeper: Keeper,
    fault: Arc<Fault>,
    told: Arc<AtomicU64>,
    disk: Disk,
    _folder: tempfile::TempDir,
}

impl Bench {
    fn new(within: Duration, before: impl FnOnce(&Fault)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("v");
        let (fault, told) = (Arc::new(Fault::default()), Arc::new(AtomicU64::new(0)));
        let disk = open_or_create(&file).unwrap();
        before(&fault);
        let (fault_too, told_too, disk_too) = (fault.clone(), told.clone(), disk.clone());
        let reopen = move || Table::open(Faulty(disk_too.clone(), fault_too.clone()));
        let tell = move || _ = told_too.fetch_add(1, Ordering::SeqCst);
        let (values, keeper) =
            start(&settings(&file, within), empty(), Box::new(reopen), Box::new(|| None), Arc::new(tell)).unwrap();
        Bench { values, keeper, fault, told, disk, _folder: folder }
    }

    fn end(self) -> BTreeMap<String, Told> {
        end(self.values, self.keeper);
        rows(&self.disk).unwrap()
    }
}

#[test]
fn a_slow_disk_gathers_changes_and_beyond_the_queue_they_are_refused_until_it_has_caught_up() {
    let mut b = Bench::new(Duration::ZERO, |_| {});
    b.values.set("first", b"1", at(1), 0).unwrap();
    b.fault.hold(true);
    until("the first is under way", || {
        b.values.set("first", b"2", b.values.stamp("first", at(1)), 0).unwrap();
        b.fault.waiting.load(Ordering::SeqCst) > 0
    });
    let before = b.keeper.counts();
    let mut taken = 0u64;
    let refused = loop {
        let stamp = b.values.stamp("n", at(1));
        match b.values.set("n", &[b'x'; 900], stamp, 0) {
            Ok(_) => taken += 1,
            Err(why) => break why,
        }
        assert!(taken < 1000, "there is no end to the queue");
    };
    assert_eq!(refused, StoreError::DiskBehind);
    assert!(taken > 50, "{taken}");
    assert_eq!(b.values.kept().how, Keeping::Behind);
    // nothing has changed, and reading goes on
    assert_eq!(b.values.add("count", 1, at(9), 0), Err(StoreError::DiskBehind));
    assert_eq!(b.values.remove("n", at(1 << 60), 0), Err(StoreError::DiskBehind));
    assert_eq!(get(&mut b.values, "n").unwrap().len(), 900);
    assert_eq!(get(&mut b.values, "count"), None);
    let mark = b.values.mark();
    assert!(b.values.kept().up_to < mark, "what is not on disk is not said to be");
    b.fault.hold(false);
    until("caught up", || b.values.kept().up_to >= mark);
    assert_eq!(b.values.kept().how, Keeping::Disk);
    let counts = b.keeper.counts();
    assert_eq!(counts.behind - before.behind, 1, "counted once, not for each refusal");
    assert!(counts.commits - before.commits <= 3, "all that came meanwhile is one: {counts:?}");
    b.values.add("count", 1, at(9), 0).unwrap();
    let rows = b.end();
    assert_eq!(rows["count"].0.as_deref(), Some(&b"1"[..]));
}

#[test]
fn a_full_disk_refuses_changes_says_why_loses_nothing_and_recovers() {
    let mut b = Bench::new(NEVER, |_| {});
    b.values.set("before", b"1", at(1), 0).unwrap();
    flush(&mut b.values);
    b.values.set("taken", b"2", at(2), 0).unwrap();
    b.fault.full.store(true, Ordering::SeqCst);
    let told = b.told.load(Ordering::SeqCst);
    let mark = b.values.mark();
    until("it fails", || b.values.kept().how == Keeping::Failing);
    until("somebody is told", || b.told.load(Ordering::SeqCst) > told);
    let kept = b.values.kept();
    assert_eq!((kept.up_to, kept.waiting, mark), (1, 1, 2));
    assert!(b.values.trouble().contains("No space left"), "{}", b.values.trouble());
    assert_eq!(b.values.set("refused", b"3", at(3), 0), Err(StoreError::DiskFails));
    assert_eq!(b.values.remove("before", at(3), 0), Err(StoreError::DiskFails));
    assert_eq!(b.values.bury("other", at(3), 0), Err(StoreError::DiskFails));
    assert_eq!(b.values.add("count", 1, at(3), 0), Err(StoreError::DiskFails));
    assert_eq!((get(&mut b.values, "before").unwrap(), get(&mut b.values, "taken").unwrap()), ("1".into(), "2".into()));
    until("it was tried again", || b.keeper.counts().failures >= 2);
    b.fault.full.store(false, Ordering::SeqCst);
    until("it works again", || b.values.kept().up_to >= mark);
    assert_eq!((b.values.kept().how, b.values.trouble()), (Keeping::Disk, ""));
    b.values.set("after", b"4", at(4), 0).unwrap();
    let rows = b.end();
    assert_eq!(rows.keys().collect::<Vec<_>>(), ["after", "before", "taken"]);
}

#[test]
fn a_disk_that_fails_at_the_start_lets_values_be_read() {
    let mut b = Bench::new(Duration::ZERO, |fault| fault.full.store(true, Ordering::SeqCst));
    // whether opening writes is the database's affair; the first change finds it out
    let _ = b.values.set("a", b"1", at(1), 0);
    until("it fails", || b.values.kept().how == Keeping::Failing);
    assert_eq!(b.values.set("b", b"1", at(1), 0), Err(StoreError::DiskFails));
    b.fault.full.store(false, Ordering::SeqCst);
    until("it works", || b.values.kept().how == Keeping::Disk);
    b.values.set("b", b"1", at(1), 0).unwrap();
    assert!(b.end().contains_key("b"));
}

#[test]
fn at_the_end_a_disk_that_fails_is_waited_for_and_then_what_is_lost_is_told() {
    let mut b = Bench::new(NEVER, |_| {});
    b.fault.full.store(true, Ordering::SeqCst);
    b.values.set("a", b"1", at(1), 0).unwrap();
    b.values.set("b", b"1", at(1), 0).unwrap();
    b.keeper.close();
    assert_eq!(b.keeper.wait(Duration::from_millis(20)), (2, false));
    b.fault.full.store(false, Ordering::SeqCst);
    assert_eq!(b.keeper.wait(PATIENCE), (0, true));
}

#[test]
fn whatever_fails_in_between_in_the_end_the_file_is_what_memory_is() {
    let mut b = Bench::new(Duration::ZERO, |_| {});
    let mut x = 0x9e37_79b9_7f4a_7c15u64;
    let mut random = move |n: u64| {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        (x >> 11) % n
    };
    let (mut model, mut refused) = (BTreeMap::new(), 0);
    let end = Instant::now() + PATIENCE;
    for step in 1..=6000u64 {
        match step % 300 {
            0 => b.fault.countdown.store(1 + random(20), Ordering::SeqCst),
            150 => {
                b.fault.full.store(true, Ordering::SeqCst);
                until("it fails", || {
                    let _ = b.values.add("count", 1, at(step), 0);
                    b.values.kept().how == Keeping::Failing
                });
                b.fault.full.store(false, Ordering::SeqCst);
            }
            _ => {}
        }
        let name = format!("n{}", random(30));
        let value = vec![b'0' + random(10) as u8; random(200) as usize];
        let result = match random(4) {
            0 => b.values.remove(&name, at(step), 0),
            _ => b.values.set(&name, &value, at(step), 0),
        };
        match result {
            Ok(Applied::Done) => _ = model.insert(name.clone(), step),
            Ok(_) => {}
            Err(StoreError::DiskFails | StoreError::DiskBehind) => {
                refused += 1;
                while b.values.kept().how != Keeping::Disk {
                    assert!(Instant::now() < end, "it does not recover");
                    std::thread::sleep(Duration::from_millis(1));
                }
            }
            Err(why) => panic!("{why:?}"),
        }
        if step % 50 == 0 {
            flush(&mut b.values);
        }
    }
    b.fault.countdown.store(0, Ordering::SeqCst);
    assert!(refused > 0 && b.keeper.counts().failures > 3, "{refused}, {:?}", b.keeper.counts());
    b.values.check().unwrap();
    let mut memory = BTreeMap::new();
    let mut out = [0; 1000];
    for name in model.keys() {
        memory.insert(name.clone(), b.values.get(name, at(0), &mut out).map(|f| (out[..f.len].to_vec(), f.changed)));
    }
    let rows = b.end();
    for (name, value) in memory {
        let row = &rows[&name];
        assert_eq!((row.0.clone(), row.1), (value.clone().map(|v| v.0), model[&name]), "{name}");
        assert!(value.is_none_or(|v| v.1.micros() == row.1));
    }
}

#[test]
fn a_writer_that_panics_is_a_disk_that_fails() {
    let folder = tempfile::tempdir().unwrap();
    let disk = open_or_create(&folder.path().join("v")).unwrap();
    let mut opened = 0;
    let reopen = move || {
        opened += 1;
        assert!(opened == 1, "so that there is something wrong");
        Err(Problem::Io(format!("no {disk:?}")))
    };
    let settings = settings(&folder.path().join("v"), Duration::ZERO);
    let (mut s, _keeper) = start(&settings, empty(), Box::new(reopen), Box::new(|| None), Arc::new(|| {})).unwrap();
    assert_eq!(s.set("a", b"1", at(1), 0), Err(StoreError::DiskFails));
    until("it says so", || {
        s.kept();
        s.trouble().contains("panicked")
    });
    assert_eq!(s.set("a", b"1", at(1), 0), Err(StoreError::DiskFails));
}

/// A disk in memory that remembers everything that was done to it.
#[derive(Debug, Default, Clone)]
struct Recorder(Arc<Mutex<(Vec<u8>, Vec<Op>)>>);

#[derive(Debug, Clone)]
enum Op {
    Len(usize),
    Write(usize, Vec<u8>),
    Sync,
    /// So many batches were said to be on disk.
    Said(u64),
}

impl StorageBackend for Recorder {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.lock().unwrap().0.len() as u64)
    }
    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let state = self.0.lock().unwrap();
        let part = state.0.get(offset as usize..offset as usize + out.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        out.copy_from_slice(part);
        Ok(())
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut state = self.0.lock().unwrap();
        state.0.resize(len as usize, 0);
        state.1.push(Op::Len(len as usize));
        Ok(())
    }
    fn sync_data(&self) -> io::Result<()> {
        self.0.lock().unwrap().1.push(Op::Sync);
        Ok(())
    }
    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut state = self.0.lock().unwrap();
        state.0[offset as usize..offset as usize + data.len()].copy_from_slice(data);
        state.1.push(Op::Write(offset as usize, data.to_vec()));
        Ok(())
    }
}

/// Writes batches, and hands out the values that the file holds, and how many batches were said to
/// be on disk, if the power fails after each of the steps in which that was done.
fn cut_everywhere(batches: &[Vec<u8>], mut holds: impl FnMut(usize, u64, BTreeMap<String, Told>)) {
    cut_files(batches, |cut, said, file| holds(cut, said, rows_of(file)));
}

/// The same with the file itself.
fn cut_files(batches: &[Vec<u8>], mut holds: impl FnMut(usize, u64, &Path)) {
    let recorder = Recorder::default();
    drop(Table::create(recorder.clone()).unwrap());
    let start = recorder.0.lock().unwrap().0.clone();
    recorder.0.lock().unwrap().1.clear();
    let table = Table::open(recorder.clone()).unwrap();
    for (k, batch) in batches.iter().enumerate() {
        table.write(&mut [batch.clone()]).unwrap();
        recorder.0.lock().unwrap().1.push(Op::Said(k as u64 + 1));
    }
    let ops = recorder.0.lock().unwrap().1.clone();
    drop(table);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("v");
    let mut x = 7u64;
    for cut in 0..=ops.len() {
        // what was not synced may be on disk or not, in any combination
        let synced = ops[..cut].iter().rposition(|op| matches!(op, Op::Sync)).unwrap_or(0);
        let said = ops[..cut].iter().rev().find_map(|op| if let Op::Said(k) = op { Some(*k) } else { None });
        let mut bytes = start.clone();
        for (i, op) in ops[..cut].iter().enumerate() {
            x = x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            match op {
                Op::Len(len) => bytes.resize((*len).max(bytes.len()), 0),
                Op::Write(at, data) if i < synced || x >> 33 & 1 == 0 => {
                    bytes[*at..at + data.len()].copy_from_slice(data)
                }
                _ => {}
            }
        }
        std::fs::write(&file, &bytes).unwrap();
        holds(cut, said.unwrap_or(0), &file);
    }
}

#[test]
fn power_may_fail_at_any_moment_and_the_file_is_what_it_was_after_one_of_the_batches() {
    // batch k sets three names to k: a file in which they differ is half written
    let batches: Vec<Vec<u8>> = (1..=12)
        .map(|k| {
            let mut batch = Vec::new();
            for name in ["a", "m", "z"] {
                let value = vec![b'a' + k as u8; 1500 * (k as usize % 4)];
                let row = Stored { name, value: Some(&value), changed: at(k), accessed: at(k), origin: 0 };
                record::push(&mut batch, &row);
            }
            batch
        })
        .collect();
    cut_everywhere(&batches, |cut, said, rows| {
        let versions: Vec<u64> = rows.values().map(|row| row.1).collect();
        let version = versions.first().copied().unwrap_or(0);
        assert!(versions.iter().all(|v| *v == version) && (version == 0 || versions.len() == 3), "{cut}: {versions:?}");
        assert!(version >= said, "{cut}: {version}, but {said} was said to be on disk");
    });
}
