//! What a server of Net::Clacks wants of values that are on disk: merging, sweeping, clearing.

use chappe_core::limits::MAX_NAME;
use chappe_core::router::store::{Cursor, Entry, Swept};

use super::*;

const HOUR: u64 = 3_600_000_000;

fn value<'e>(name: &'e str, value: &'e [u8], changed: u64, accessed: u64) -> Entry<'e> {
    Entry::new(name, Some(value), at(changed), at(accessed), 3)
}

fn removal(name: &str, changed: u64) -> Entry<'_> {
    Entry::new(name, None, at(changed), at(0), 3)
}

/// What is in memory, as [`rows_of`] shows a file.
fn walk(s: &Values) -> BTreeMap<String, Told> {
    let (mut out, mut after, mut rows) = ([0; MAX_NAME + 1000], None::<String>, BTreeMap::new());
    while let Some(e) = s.following(after.as_deref(), &mut out) {
        let value = (!e.deleted).then(|| e.value.to_vec());
        rows.insert(e.name.to_owned(), (value, e.changed.micros(), e.accessed.micros(), e.origin));
        after = Some(e.name.to_owned());
    }
    rows
}

/// The names that a whole sweep takes.
fn sweep(s: &mut Values, now: u64, stale: u64) -> Vec<String> {
    let (mut cursor, mut name, mut gone) = (Cursor::START, [0; MAX_NAME], Vec::new());
    loop {
        match s.sweep(cursor, &mut 5, at(now), stale, &mut name) {
            Swept::Gone { name, next } => {
                gone.push(name.to_owned());
                cursor = next;
            }
            Swept::Pause(next) => cursor = next,
            Swept::End => {
                gone.sort_unstable();
                return gone;
            }
        }
    }
}

#[test]
fn what_was_merged_comes_back_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("v");
    let (mut s, keeper) = open_file(&file, NEVER);
    s.expire_tombstones(at(2_000_000));
    s.set("beaten", b"old", at(100), 9).unwrap();
    s.set("over", b"old", at(100), 9).unwrap();
    assert_eq!(s.merge(&value("new", b"1", 1_500_000, 0)), Ok(Applied::Done));
    assert_eq!(s.merge(&value("beaten", b"2", 200, 300)), Ok(Applied::Done));
    assert_eq!(s.merge(&value("beaten", b"2", 201, 400)), Ok(Applied::Older));
    assert_eq!(s.merge(&removal("gone", 1_500_000)), Ok(Applied::Done));
    assert_eq!(s.kept().waiting, 5);
    // older than removals are remembered: the value goes, and nothing stays
    assert_eq!(s.merge(&removal("over", 200)), Ok(Applied::Done));
    assert_eq!(s.merge(&removal("unknown", 200)), Ok(Applied::Absent));
    assert_eq!(s.kept().waiting, 6, "that is waited for, too");
    let memory = walk(&s);
    assert_eq!(memory["gone"], (None, 1_500_000, 2_000_000, 3));
    assert_eq!(memory["new"], (Some(b"1".to_vec()), 1_500_000, 0, 3));
    assert_eq!(memory["beaten"], (Some(b"2".to_vec()), 200, 300, 3));
    assert_eq!(memory.len(), 3);
    end(s, keeper);
    assert_eq!(rows_of(&file), memory);
    let (s, keeper) = open_file(&file, NEVER);
    assert_eq!(walk(&s), memory);
    s.check().unwrap();
    end(s, keeper);
}

#[test]
fn clearing_is_a_change_in_its_place_among_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("v");
    let (mut s, keeper) = open_file(&file, NEVER);
    let set = |s: &mut Values, name: &str| s.set(name, b"1", at(5), 0).unwrap();
    set(&mut s, "on disk");
    flush(&mut s);
    set(&mut s, "waits");
    s.remove("on disk", at(6), 0).unwrap();
    let before = s.mark();
    s.clear().unwrap();
    let mark = s.mark();
    assert_eq!(mark, before + 1, "a flush waits for it");
    assert!(walk(&s).is_empty());
    assert_eq!(set(&mut s, "on disk"), Applied::Done, "no marks are left");
    set(&mut s, "later");
    flush(&mut s);
    assert_eq!(rows_of_open(&s, &file), 2);
    s.clear().unwrap();
    until("cleared", || {
        s.kept().up_to > mark + 2 || {
            s.mark();
            false
        }
    });
    assert_eq!(rows_of_open(&s, &file), 0, "also when nothing follows");
    s.clear().unwrap();
    end(s, keeper);
    assert!(rows_of(&file).is_empty());
    let (s, keeper) = open_file(&file, NEVER);
    assert!(walk(&s).is_empty());
    end(s, keeper);
}

#[test]
fn a_disk_that_fails_takes_no_note_so_nothing_goes() {
    let mut b = Bench::new(Duration::ZERO, |_| {});
    b.values.set("a", b"1", at(1), 0).unwrap();
    b.values.bury("b", at(1), 0).unwrap();
    flush(&mut b.values);
    b.fault.full.store(true, Ordering::SeqCst);
    b.values.set("c", b"1", at(1), 0).unwrap();
    until("it fails", || b.values.kept().how == Keeping::Failing);
    let before = walk(&b.values);
    assert_eq!(b.values.clear(), Err(StoreError::DiskFails));
    assert_eq!(b.values.merge(&value("a", b"2", 9, 9)), Err(StoreError::DiskFails));
    assert_eq!(sweep(&mut b.values, 1 << 50, 1), Vec::<String>::new());
    assert_eq!(b.values.expire_named(at(1 << 50), &mut [0; MAX_NAME]), None);
    assert_eq!(walk(&b.values), before);
    b.fault.full.store(false, Ordering::SeqCst);
    until("it works", || b.values.kept().how == Keeping::Disk);
    assert_eq!(sweep(&mut b.values, 1 << 50, 1), ["a", "c"]);
    assert_eq!(b.values.expire_named(at(1 << 50), &mut [0; MAX_NAME]), Some("b"));
    assert!(b.end().is_empty());
}

#[test]
fn a_sweep_takes_what_is_stale_from_the_disk_too() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("v");
    let (mut s, keeper) = open_file(&file, NEVER);
    s.expire_tombstones(at(10));
    for (name, us) in [("a", 100), ("b", 200), ("c", 300)] {
        s.set(name, b"1", at(us), 0).unwrap();
    }
    s.get("a", at(400), &mut []).unwrap();
    s.remove("c", at(401), 0).unwrap();
    assert_eq!(sweep(&mut s, 451, 50), ["a", "b"]);
    let mark = s.mark();
    assert_eq!(mark, 6, "somebody may wait for it");
    assert!(sweep(&mut s, 451, 50).is_empty());
    assert_eq!(s.expire_named(at(2_000_000), &mut [0; MAX_NAME]), Some("c"));
    end(s, keeper);
    assert!(rows_of(&file).is_empty());
}

#[test]
fn after_a_restart_nothing_is_stale_too_early_or_much_too_late() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("v");
    let (mut s, keeper) = open_file(&file, NEVER);
    s.set("read", b"1", at(100), 0).unwrap();
    s.set("unread", b"1", at(100), 0).unwrap();
    s.merge(&value("never read", b"1", 100, 0)).unwrap();
    // the first reading in this hour is kept, the second one is not
    for us in [10 * HOUR, 10 * HOUR + 7000] {
        s.get("read", at(us), &mut []).unwrap();
    }
    end(s, keeper);
    assert_eq!(rows_of(&file)["read"].2, 10 * HOUR);
    for (started, now, gone) in [
        // at the start it may just have been read
        (10 * HOUR + 8000, 10 * HOUR + 8000 + HOUR, &["never read", "unread"][..]),
        (10 * HOUR + 8000, 10 * HOUR + 8001 + HOUR, &["never read", "read", "unread"]),
        // it was not read in the next hour
        (20 * HOUR, 12 * HOUR, &["never read", "unread"]),
        (20 * HOUR, 12 * HOUR + 1, &["never read", "read", "unread"]),
    ] {
        let copy = folder.path().join("copy");
        std::fs::copy(&file, &copy).unwrap();
        let (mut s, keeper) = open_file(&copy, NEVER);
        s.expire_tombstones(at(started));
        assert_eq!(sweep(&mut s, now, HOUR), gone, "{started} {now}");
        // what has come since is as old as it is
        s.set("since", b"1", at(started), 0).unwrap();
        assert!(!sweep(&mut s, started + 60, 60).contains(&"since".to_owned()));
        assert!(sweep(&mut s, started + 61, 60).contains(&"since".to_owned()));
        end(s, keeper);
    }
}

#[test]
fn power_may_fail_while_all_is_forgotten_and_it_is_all_or_nothing() {
    let (mut batches, mut states) = (Vec::new(), vec![BTreeMap::new()]);
    for k in 1..=9u64 {
        let (mut batch, mut state) = (Vec::new(), states[states.len() - 1].clone());
        let fill = |batch: &mut Vec<u8>, state: &mut BTreeMap<String, Told>, names: u64| {
            for i in 0..names {
                let (name, value) = (format!("n{i}"), vec![b'a' + k as u8; 300]);
                let row = Stored { name: &name, value: Some(&value), changed: at(k), accessed: at(k), origin: 0 };
                record::push(batch, &row);
                state.insert(name, (Some(value), k, k, 0));
            }
        };
        // rows, then rows and all forgotten and rows, then all forgotten and nothing else
        match k % 3 {
            1 => fill(&mut batch, &mut state, 60),
            2 => {
                fill(&mut batch, &mut state, 70);
                record::push_forget(&mut batch, b"n7");
                record::push_clear(&mut batch);
                state.clear();
                fill(&mut batch, &mut state, 5);
            }
            _ => {
                record::push_clear(&mut batch);
                state.clear();
            }
        }
        batches.push(batch);
        states.push(state);
    }
    let mut met = std::collections::BTreeSet::new();
    cut_everywhere(&batches, |cut, said, rows| {
        let now = (said..states.len() as u64).find(|k| states[*k as usize] == rows);
        met.insert(now.unwrap_or_else(|| panic!("{cut}: {} rows are no state after {said}", rows.len())));
    });
    assert!(met.len() >= 7, "{met:?}");
}

#[test]
fn whatever_is_done_in_the_end_the_file_is_what_memory_is_and_comes_back() {
    for seed in 1..=12u64 {
        let mut x = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut random = move |n: u64| {
            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
            (x >> 11) % n
        };
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("v");
        let (mut s, mut keeper) = open_file(&file, Duration::ZERO);
        let (mut name_out, mut cursor) = ([0; MAX_NAME], Cursor::START);
        for step in 1..=1500u64 {
            // removals are remembered for a million microseconds: 333 steps
            let now = step * 3000;
            let name = format!("n{}", random(60));
            let bytes = vec![b'0' + random(10) as u8; random(200) as usize];
            let stamp = now - random(5000).min(now);
            let result = match random(12) {
                0..=3 => s.set(&name, &bytes, at(stamp), 1).map(drop),
                4 => s.remove(&name, at(stamp), 1).map(drop),
                5 => s.bury(&name, at(stamp), 1).map(drop),
                6 => s.merge(&removal(&name, now - random(2_000_000).min(now))).map(drop),
                7 | 8 => s.merge(&value(&name, &bytes, stamp, random(now))).map(drop),
                9 => {
                    cursor = match s.sweep(cursor, &mut 20, at(now), 1_000_000, &mut name_out) {
                        Swept::Gone { next, .. } | Swept::Pause(next) => next,
                        Swept::End => Cursor::START,
                    };
                    Ok(())
                }
                10 => {
                    s.expire_named(at(now), &mut name_out);
                    Ok(())
                }
                _ if random(40) == 0 => s.clear(),
                _ => Ok(()),
            };
            assert!(matches!(result, Ok(()) | Err(StoreError::NoSpace | StoreError::TooManyNames)), "{result:?}");
            if step % 250 == 0 {
                let memory = walk(&s);
                end(s, keeper);
                assert!(rows_of(&file) == memory, "seed {seed} step {step}: the file differs");
                (s, keeper) = open_file(&file, Duration::ZERO);
                assert!(walk(&s) == memory, "seed {seed} step {step}: it did not come back");
                s.check().unwrap();
                cursor = Cursor::START;
            }
        }
        end(s, keeper);
    }
}
