//! Walks, merging, sweeping and clearing, by hand and against a plain map.

extern crate std;
use super::tests::Heap;
use super::*;
use crate::buffer::Rows;
use std::collections::{BTreeMap, BTreeSet};
use std::format;
use std::ops::Bound::{Excluded, Unbounded};
use std::string::{String, ToString};
use std::vec;
use std::vec::Vec;

const KEEP: u64 = 1000;
const MAX_VALUE: usize = 100;

const SETTINGS: StoreSettings =
    StoreSettings { block: 16, rows: usize::MAX, max_value: MAX_VALUE, keep: KEEP, seed: 7 };

type Memory = StoreMemory<8, 8, 32, 16>;

fn at(us: u64) -> Stamp {
    Stamp::from_micros(us)
}

fn value<'e>(name: &'e str, value: &'e [u8], changed: u64, accessed: u64) -> Entry<'e> {
    Entry::new(name, Some(value), at(changed), at(accessed), 3)
}

fn removal(name: &str, changed: u64) -> Entry<'_> {
    // as Net::Clacks writes it: a filler for the value, not accessed ever
    Entry { value: b"REMOVED", len: 7, ..Entry::new(name, None, at(changed), at(0), 3) }
}

type Copy = (String, Option<Vec<u8>>, u64, u64, u32);

fn copy(entry: &Entry<'_>) -> Copy {
    assert!(entry.is_whole());
    let value = (!entry.deleted).then(|| entry.value.to_vec());
    (entry.name.to_string(), value, entry.changed.micros(), entry.accessed.micros(), entry.origin)
}

fn walk(s: &dyn Store) -> Vec<Copy> {
    let mut out = [0xa5; MAX_NAME + MAX_VALUE];
    let (mut rows, mut after) = (vec![], None);
    while let Some(entry) = s.following(after.as_deref(), &mut out) {
        rows.push(copy(&entry));
        after = Some(entry.name.to_string());
    }
    rows
}

#[test]
fn a_walk_goes_through_values_and_tombstones_byte_by_byte() {
    let mut memory = Memory::new();
    let mut s = FixedStore::new(memory.parts(), SETTINGS).unwrap();
    for (i, name) in ["b", "a", "ab", "aa\u{e4}", "B", "aa"].into_iter().enumerate() {
        s.set(name, &[i as u8], at(10 + i as u64), 2).unwrap();
    }
    s.get("ab", at(50), &mut []).unwrap();
    s.remove("aa", at(60), 4).unwrap();
    s.set("b", b"again", at(70), 2).unwrap();
    let expected = [
        ("B".into(), Some(vec![4]), 14, 14, 2),
        ("a".into(), Some(vec![1]), 11, 11, 2),
        ("aa".into(), None, 60, 50, 4),
        ("aa\u{e4}".into(), Some(vec![3]), 13, 13, 2),
        ("ab".into(), Some(vec![2]), 12, 50, 2),
        ("b".into(), Some(b"again".to_vec()), 70, 70, 2),
    ];
    assert_eq!(walk(&s), expected);
    // any text may be where a walk goes on
    let mut out = [0; MAX_NAME];
    for (after, name) in
        [("", Some("B")), ("C", Some("a")), ("a\0", Some("aa")), ("aaa", Some("aa\u{e4}")), ("b", None)]
    {
        assert_eq!(s.following(Some(after), &mut out).map(|e| e.name), name, "{after:?}");
    }
    let long = "z".repeat(1000);
    assert_eq!(s.following(Some(&long), &mut out), None);
}

#[test]
fn what_there_is_no_room_for_is_said() {
    let mut memory = Memory::new();
    let mut s = FixedStore::new(memory.parts(), SETTINGS).unwrap();
    s.set("n", b"123456", at(1), 1).unwrap();
    let mut out = [0; MAX_NAME + 6];
    for (room, held) in [(MAX_NAME + 6, "123456"), (MAX_NAME + 5, "12345"), (MAX_NAME, "")] {
        let entry = s.following(None, &mut out[..room]).unwrap();
        assert_eq!((entry.name, entry.value, entry.len), ("n", held.as_bytes(), 6));
        assert_eq!(entry.is_whole(), held.len() == 6);
        if !entry.is_whole() {
            let cut = Entry { name: "cut", ..entry };
            let mut memory = Memory::new();
            let mut other = FixedStore::new(memory.parts(), SETTINGS).unwrap();
            assert_eq!(other.merge(&cut), Err(StoreError::TooBig), "half a value is none");
        }
    }
    assert_eq!(s.following(None, &mut out[..MAX_NAME - 1]), None);
}

/// Otherwise a removal would not be remembered, and another node would bring the value back.
#[test]
fn a_removal_is_not_old_because_the_calendar_was_set_back() {
    let mut memory = Memory::new();
    let mut s = FixedStore::new(memory.parts(), SETTINGS).unwrap();
    let keep = SETTINGS.keep;
    s.expire_tombstones(at(3 * keep));
    s.merge(&value("n", b"one", keep, 0)).unwrap();
    s.expire_tombstones(at(keep + 2));
    assert_eq!(s.merge(&removal("n", keep + 1)), Ok(Applied::Done));
    assert_eq!(s.merge(&value("n", b"one", keep, 0)), Ok(Applied::Older));
    assert!(s.check().is_ok());
}

/// Otherwise what a third node has from between would win at one of two nodes only.
#[test]
fn the_same_value_much_later_is_a_later_change() {
    let mut memory = Memory::new();
    let mut s = FixedStore::new(memory.parts(), SETTINGS).unwrap();
    for (first, same) in
        [(value("n", b"one", 100, 0), value("n", b"one", 1_000_101, 0)), (removal("r", 100), removal("r", 1_000_101))]
    {
        assert_eq!(s.merge(&first), Ok(Applied::Done));
        assert_eq!(s.merge(&Entry { changed: at(1_000_100), ..same }), Ok(Applied::Older), "an echo");
        assert_eq!(s.merge(&same), Ok(Applied::Done));
        assert_eq!(s.merge(&value(first.name, b"from between", 1_000_000, 0)), Ok(Applied::Older));
    }
}

#[test]
fn an_entry_is_taken_if_it_is_newer_and_says_something_new() {
    let mut memory = Memory::new();
    let mut s = FixedStore::new(memory.parts(), SETTINGS).unwrap();
    s.expire_tombstones(at(500));
    assert_eq!(s.merge(&value("n", b"one", 100, 200)), Ok(Applied::Done), "there was none");
    assert_eq!(walk(&s), [("n".into(), Some(b"one".to_vec()), 100, 200, 3)], "both times as given");
    for older in [value("n", b"two", 100, 300), value("n", b"two", 99, 300), value("n", b"a", 99, 300), removal("n", 0)]
    {
        assert_eq!(s.merge(&older), Ok(Applied::Older));
    }
    assert_eq!(s.merge(&Entry { origin: u32::MAX, ..value("n", b"two", 100, 0) }), Ok(Applied::Older));
    assert_eq!(s.merge(&value("n", b"one", 1_000_100, 9999)), Ok(Applied::Older), "an echo makes nothing newer");
    assert_eq!(walk(&s)[0].2, 100);
    assert_eq!(s.merge(&value("n", b"two", 101, 0)), Ok(Applied::Done), "also if its last access is earlier");
    assert_eq!(walk(&s), [("n".into(), Some(b"two".to_vec()), 101, 0, 3)]);
    assert_eq!(s.merge(&removal("n", 102)), Ok(Applied::Done));
    assert_eq!(walk(&s), [("n".into(), None, 102, 500, 3)], "made here, now");
    assert_eq!(s.merge(&removal("n", 103)), Ok(Applied::Older), "an echo, too");
    assert_eq!(s.merge(&value("n", b"", 102, 102)), Ok(Applied::Older), "the mark beats what is as old");
    assert_eq!(s.merge(&value("n", b"", 103, 104)), Ok(Applied::Done), "empty is not removed");
    assert_eq!(walk(&s), [("n".into(), Some(vec![]), 103, 104, 3)]);
    assert_eq!(s.merge(&removal("unknown", 400)), Ok(Applied::Done));
    assert_eq!(s.merge(&value("unknown", b"late", 400, 400)), Ok(Applied::Older));
    assert_eq!((s.len(), s.tombstones()), (1, 1));
    // what is refused
    assert_eq!(s.merge(&value("", b"", 999, 0)), Err(StoreError::BadName));
    assert_eq!(s.merge(&value("n", &[0; MAX_VALUE + 1], 999, 0)), Err(StoreError::TooBig));
    for i in 0..6 {
        s.merge(&value(&format!("fill{i}"), b"", 1, 1)).unwrap();
    }
    assert_eq!(s.merge(&value("more", b"", 1, 1)), Ok(Applied::Done), "a tombstone gives way");
    assert_eq!(s.merge(&value("too many", b"", 1, 1)), Err(StoreError::TooManyNames));
    s.check().unwrap();
}

#[test]
fn d10_of_one_time_the_same_counts_everywhere() {
    let changes = [value("n", b"b", 100, 1), value("n", b"a", 100, 2), removal("n", 100), value("n", b"c", 100, 3)];
    for a in changes {
        for b in changes {
            let outcome = [[a, b], [b, a]].map(|order| {
                let mut memory = Memory::new();
                let mut s = FixedStore::new(memory.parts(), SETTINGS).unwrap();
                s.expire_tombstones(at(500));
                order.iter().for_each(|e| _ = s.merge(e));
                let (name, value, changed, ..) = walk(&s).remove(0);
                (name, value, changed)
            });
            assert_eq!(outcome[0], outcome[1]);
            let lesser = if a.deleted || b.deleted { None } else { Some(a.value.min(b.value).to_vec()) };
            assert_eq!(outcome[0].1, lesser);
        }
    }
}

#[test]
fn a_removal_that_is_over_removes_but_is_not_kept() {
    let mut memory = Memory::new();
    let mut s = FixedStore::new(memory.parts(), SETTINGS).unwrap();
    s.set("old", b"1", at(10), 1).unwrap();
    s.expire_tombstones(at(20 + KEEP));
    assert_eq!(s.merge(&removal("old", 9)), Ok(Applied::Older));
    assert_eq!(s.merge(&removal("old", 20)), Ok(Applied::Done));
    assert_eq!(s.merge(&removal("unknown", 20)), Ok(Applied::Absent));
    assert_eq!(walk(&s), []);
    // one that is not over yet is kept for its time from now on, and then nobody takes it
    assert_eq!(s.merge(&removal("unknown", 21)), Ok(Applied::Done));
    assert_eq!(s.tombstone_made("unknown"), Some(at(20 + KEEP)));
    s.expire_tombstones(at(19 + 2 * KEEP));
    assert_eq!(s.tombstones(), 1);
    s.expire_tombstones(at(20 + 2 * KEEP));
    assert_eq!(s.tombstone_made("unknown"), None);
    assert_eq!(s.merge(&removal("unknown", 21)), Ok(Applied::Absent));
    s.check().unwrap();
}

#[test]
fn two_nodes_that_give_each_other_their_removals_forget_them() {
    let (mut a, mut b) = (Memory::new(), Memory::new());
    let mut nodes = [(); 2].map(|_| None);
    nodes[0] = Some(FixedStore::new(a.parts(), SETTINGS).unwrap());
    nodes[1] = Some(FixedStore::new(b.parts(), SETTINGS).unwrap());
    let [Some(a), Some(b)] = &mut nodes else { unreachable!() };
    a.bury("n", at(0), 1).unwrap();
    let mut out = [0; MAX_NAME + MAX_VALUE];
    let mut gone = None;
    for now in (0..10 * KEEP).step_by(50) {
        for node in [&mut *a, &mut *b] {
            node.expire_tombstones(at(now));
        }
        for (from, to) in [(0, 1), (1, 0)] {
            let (from, to) = if from < to { (&mut *a, &mut *b) } else { (&mut *b, &mut *a) };
            if let Some(entry) = from.following(None, &mut out) {
                to.merge(&entry).unwrap();
            }
        }
        if a.tombstones() + b.tombstones() == 0 {
            gone = gone.or(Some(now));
        } else {
            assert_eq!(gone, None, "it is back");
        }
    }
    assert!(gone.is_some_and(|at| at <= 2 * KEEP + 50), "{gone:?}");
}

#[test]
fn clearing_leaves_no_marks_and_all_of_the_room() {
    for buckets_beyond_rows in [false, true] {
        let (mut few, mut many) = (StoreMemory::<8, 4, 32, 16>::new(), StoreMemory::<8, 1000, 32, 16>::new());
        let parts = if buckets_beyond_rows { many.parts() } else { few.parts() };
        let mut s = FixedStore::new(parts, SETTINGS).unwrap();
        for round in 0..3 {
            for i in 0..8 {
                assert_eq!(s.set(&format!("n{i}"), &[b'x'; 30], at(5), 1), Ok(Applied::Done), "older is new here");
            }
            s.remove("n3", at(6), 1).unwrap();
            s.remove("n5", at(6), 1).unwrap();
            s.set("n5", b"", at(7), 1).unwrap();
            s.check().unwrap();
            let cursor = Cursor::new(3 * round);
            s.clear().unwrap();
            s.check().unwrap();
            assert_eq!((s.len(), s.tombstones(), s.blocks().0), (0, 0, 0));
            assert_eq!(walk(&s), []);
            let (mut out, mut name) = ([0; MAX_NAME + MAX_VALUE], [0; MAX_NAME]);
            assert_eq!(s.next(cursor, "", &mut 9, &mut out), Step::End);
            assert_eq!(s.sweep(cursor, &mut 9, at(9999), 0, &mut name), Swept::End);
            assert_eq!(s.expire_named(at(0), &mut name), None);
            assert_eq!(s.get("n1", at(0), &mut out), None);
        }
    }
}

#[test]
fn a_sweep_takes_what_is_stale_within_its_budget_and_says_which() {
    let mut memory = Memory::new();
    let mut s = FixedStore::new(memory.parts(), SETTINGS).unwrap();
    for (i, name) in ["a", "b", "c", "d", "e"].into_iter().enumerate() {
        s.set(name, b"1", at(100 + i as u64), 1).unwrap();
    }
    s.remove("a", at(200), 1).unwrap();
    s.get("b", at(150), &mut []).unwrap();
    s.merge(&value("f", b"1", 160, 0)).unwrap();
    let mut name = [0; MAX_NAME];
    let mut budget = 2;
    // 104 is exactly 50 before: not yet
    assert_eq!(s.sweep(Cursor::START, &mut budget, at(154), 50, &mut name), Swept::Pause(Cursor::new(2)));
    assert_eq!(budget, 0);
    let (mut cursor, mut gone, mut pauses) = (Cursor::new(2), vec![], 0);
    loop {
        match s.sweep(cursor, &mut 1, at(154), 50, &mut name) {
            Swept::Gone { name, next } => {
                gone.push(name.to_string());
                cursor = next;
            }
            Swept::Pause(next) => (cursor, pauses) = (next, pauses + 1),
            Swept::End => break,
        }
        s.check().unwrap();
    }
    assert_eq!((gone, pauses), (vec!["c".into(), "d".into(), "f".into()], 1));
    assert_eq!(walk(&s).iter().map(|r| &r.0[..]).collect::<Vec<_>>(), ["a", "b", "e"]);
    assert_eq!(s.set("c", b"early", at(1), 1), Ok(Applied::Done), "no tombstone is left");
}

#[test]
fn tombstones_that_are_over_are_named_oldest_first() {
    let mut memory = Memory::new();
    let mut s = FixedStore::new(memory.parts(), SETTINGS).unwrap();
    for (now, n) in [(5, "b"), (6, "a"), (9, "c")] {
        s.expire_tombstones(at(now));
        s.bury(n, at(0), 1).unwrap();
    }
    let mut name = [0; MAX_NAME];
    assert_eq!(s.expire_named(at(4 + KEEP), &mut name), None);
    assert_eq!(s.expire_named(at(6 + KEEP), &mut name), Some("b"));
    assert_eq!(s.expire_named(at(0), &mut name), Some("a"), "the latest time counts");
    assert_eq!(s.expire_named(at(6 + KEEP), &mut name), None);
    assert_eq!(s.tombstones(), 1);
    s.check().unwrap();
}

fn random(seed: u64) -> impl FnMut(u64) -> u64 {
    let mut x = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    move |n| {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        (x >> 8) % n
    }
}

#[test]
fn the_tree_is_flat_whichever_names_come_in_whichever_order() {
    const N: u32 = 20_000;
    for order in ["up", "down", "inwards", "random"] {
        let (mut buckets, mut bytes, mut links) = (vec![0; N as usize], vec![0; 32 * N as usize], vec![0; N as usize]);
        let mut rows = Heap::new(N as usize);
        let parts = StoreParts { rows: &mut rows, buckets: &mut buckets, bytes: &mut bytes, links: &mut links };
        let mut s = FixedStore::new(parts, StoreSettings { block: 32, ..SETTINGS }).unwrap();
        let mut random = random(5);
        for i in 0..N {
            let k = match order {
                "up" => i,
                "down" => N - i,
                "inwards" => {
                    if i % 2 == 0 {
                        i
                    } else {
                        2 * N - i
                    }
                }
                _ => random(1 << 40) as u32,
            };
            s.set(&format!("name::{k:010}"), b"", at(1), 0).unwrap();
        }
        let depth = s.depth();
        // 2 ln n is 20 on average; the deepest of all is about twice that
        assert!(depth < 60, "{order}: {depth}");
        s.check().unwrap();
    }
}

#[test]
fn names_that_have_one_hash_are_in_a_flat_tree_too() {
    let mut memory = StoreMemory::<512, 8, 512, 32>::new();
    let mut s = FixedStore::new(memory.parts(), StoreSettings { block: 32, ..SETTINGS }).unwrap();
    for i in 0..512 {
        let name = format!("{i:04}");
        let n = s.insert(&name, 77, 0).unwrap();
        assert_eq!(n, i + 1);
    }
    assert!(s.depth() < 40, "{}", s.depth());
}

#[derive(Debug, Clone)]
struct Row {
    value: Option<Vec<u8>>,
    changed: u64,
    accessed: u64,
    origin: u32,
    /// Of a tombstone: which one it was.
    nth: u64,
}

/// What a store does, in a plain map.
#[derive(Default)]
struct Model {
    rows: BTreeMap<String, Row>,
    seen: u64,
    today: u64,
    made: u64,
}

impl Model {
    fn walk(&self) -> Vec<Copy> {
        let row = |(n, r): (&String, &Row)| (n.clone(), r.value.clone(), r.changed, r.accessed, r.origin);
        self.rows.iter().map(row).collect()
    }

    fn change(&mut self, name: &str, value: Option<Vec<u8>>, changed: u64, accessed: u64, origin: u32) {
        let (mut accessed, mut nth) = (accessed, 0);
        if value.is_none() {
            (accessed, nth) = match self.rows.get(name) {
                Some(row) if row.value.is_none() => (row.accessed, row.nth),
                _ => (self.seen, self.made),
            };
            self.made += 1;
        }
        self.rows.insert(name.into(), Row { value, changed, accessed, origin, nth });
    }

    fn told(&mut self, now: u64) {
        (self.seen, self.today) = (self.seen.max(now), now);
    }

    /// The tombstone that goes next, if it is its time.
    fn oldest(&self) -> Option<String> {
        let dead = self.rows.iter().filter(|(_, r)| r.value.is_none());
        let (name, row) = dead.min_by_key(|(_, r)| (r.accessed, r.nth))?;
        (self.seen - row.accessed >= KEEP).then(|| name.clone())
    }

    fn is_newer(&self, name: &str, value: &Option<Vec<u8>>, changed: u64, origin: u32) -> bool {
        let key = |c: u64, o: u32, v: &Option<Vec<u8>>| (c, o, v.is_none(), v.clone());
        self.rows.get(name).is_none_or(|r| key(changed, origin, value) > key(r.changed, r.origin, &r.value))
    }

    fn merge(&mut self, e: &Entry<'_>) -> Applied {
        let value = (!e.deleted).then(|| e.value.to_vec());
        let (changed, old) = (e.changed.micros(), self.rows.get(e.name));
        // a removal is `None`, which is less than any value
        let is_echo = |r: &Row| r.value == value && changed - r.changed <= 1_000_000;
        if old.is_some_and(|r| changed < r.changed || is_echo(r) || (changed == r.changed && value > r.value)) {
            return Applied::Older;
        }
        if e.deleted && self.today.saturating_sub(changed) >= KEEP {
            return if self.rows.remove(e.name).is_some() { Applied::Done } else { Applied::Absent };
        }
        self.change(e.name, value, changed, e.accessed.micros(), e.origin);
        Applied::Done
    }
}

/// Operations of chance on a store and on the model, which agree after each.
fn against_model<const ROWS: usize, const BLOCKS: usize>(seed: u64, steps: u64) -> [u32; 5] {
    let is_small = ROWS < 48;
    let mut memories = [(); 2].map(|_| StoreMemory::<ROWS, 24, BLOCKS, 16>::new());
    let [first, second] = &mut memories;
    let settings = StoreSettings { seed: seed as u32, ..SETTINGS };
    let mut s = FixedStore::new(first.parts(), settings).unwrap();
    if seed.is_multiple_of(7) {
        s = s.without_order();
    }
    let mut spare = Some(second);
    let mut m = Model::default();
    let mut random = random(seed);
    let mut out = [0xa5; MAX_NAME + MAX_VALUE];
    let mut name_out = [0; MAX_NAME];
    let (mut after, mut sweep_at): (Option<String>, _) = (None, Cursor::START);
    let mut done = [0; 5];
    for step in 0..steps {
        let name = format!("{:0>1$}", random(40), 1 + random(2) as usize * 30);
        let now = step * 3;
        let (stamp, origin) = ((now + random(30)).saturating_sub(random(3) * 20), random(3) as u32);
        let bytes: Vec<u8> = (0..random(101) >> random(6)).map(|i| i as u8 ^ step as u8).collect();
        let context = || format!("seed {seed} step {step} {name}");
        match random(16) {
            0..=3 => match s.set(&name, &bytes, at(stamp), origin) {
                Ok(applied) => {
                    let value = Some(bytes);
                    assert_eq!(applied == Applied::Done, m.is_newer(&name, &value, stamp, origin), "{}", context());
                    if applied == Applied::Done {
                        m.change(&name, value, stamp, stamp, origin);
                    }
                }
                Err(e) => assert!(is_small && matches!(e, StoreError::NoSpace | StoreError::TooManyNames), "{e:?}"),
            },
            4 => {
                let applied = s.remove(&name, at(stamp), origin).unwrap();
                let is_there = m.rows.get(&name).is_some_and(|r| r.value.is_some());
                assert_eq!(applied == Applied::Absent, !is_there);
                assert_eq!(applied == Applied::Done, is_there && m.is_newer(&name, &None, stamp, origin));
                if applied == Applied::Done {
                    m.change(&name, None, stamp, 0, origin);
                }
            }
            5 => match s.bury(&name, at(stamp), origin) {
                Ok(applied) => {
                    assert_eq!(applied == Applied::Done, m.is_newer(&name, &None, stamp, origin));
                    if applied == Applied::Done {
                        m.change(&name, None, stamp, 0, origin);
                    }
                }
                Err(_) => assert!(is_small),
            },
            6 => {
                if let Ok(sum) = s.add(&name, 1, at(stamp), origin) {
                    let changed = m.rows.get(&name).map_or(stamp, |r| stamp.max(r.changed + 1));
                    m.change(&name, Some(sum.to_string().into_bytes()), changed, changed, origin);
                }
            }
            7..=10 => {
                let mut entry = value(&name, &bytes, stamp, random(now + 1));
                match random(4) {
                    0 => entry = removal(&name, stamp),
                    1 => entry = removal(&name, stamp.saturating_sub(random(2 * KEEP))),
                    _ => {}
                }
                match s.merge(&entry) {
                    Ok(applied) => assert_eq!(applied, m.merge(&entry), "{} {entry:?}", context()),
                    Err(e) => assert!(is_small && matches!(e, StoreError::NoSpace | StoreError::TooManyNames), "{e:?}"),
                }
                done[0] += 1;
            }
            11 => {
                m.told(now);
                let found = s.get(&name, at(now), &mut []);
                let row = m.rows.get_mut(&name).filter(|r| r.value.is_some());
                assert_eq!(found.map(|f| f.accessed.micros()), row.as_ref().map(|r| r.accessed));
                if let Some(row) = row {
                    row.accessed = row.accessed.max(now);
                }
            }
            12 => {
                m.told(now);
                if random(2) == 0 {
                    assert!(!s.expire_tombstones(at(now)) || is_small);
                    while let Some(name) = m.oldest() {
                        m.rows.remove(&name);
                    }
                } else {
                    let oldest = m.oldest();
                    let gone = s.expire_named(at(now), &mut name_out);
                    assert_eq!(gone, oldest.as_deref(), "{}", context());
                    if let Some(name) = oldest {
                        m.rows.remove(&name);
                        done[1] += 1;
                    }
                }
            }
            13 => {
                // a step of a sweep that goes on while everything changes
                m.told(now);
                let stale = random(600);
                sweep_at = match s.sweep(sweep_at, &mut 3, at(now), stale, &mut name_out) {
                    Swept::Gone { name, next } => {
                        let row = m.rows.remove(name).expect("it was there");
                        assert!(row.value.is_some() && now.saturating_sub(row.accessed) > stale);
                        done[2] += 1;
                        next
                    }
                    Swept::Pause(next) => next,
                    Swept::End => Cursor::START,
                };
            }
            14 if random(8) == 0 => {
                // a whole sweep
                m.told(now);
                let (stale, mut cursor, mut gone) = (200 + random(600), Cursor::START, BTreeSet::new());
                loop {
                    match s.sweep(cursor, &mut (1 + random(4) as usize), at(now), stale, &mut name_out) {
                        Swept::Gone { name, next } => {
                            assert!(gone.insert(name.to_string()));
                            cursor = next;
                        }
                        Swept::Pause(next) => cursor = next,
                        Swept::End => break,
                    }
                }
                let is_stale = |r: &Row| r.value.is_some() && now.saturating_sub(r.accessed) > stale;
                let stale: BTreeSet<String> =
                    m.rows.iter().filter(|(_, r)| is_stale(r)).map(|(n, _)| n.clone()).collect();
                assert_eq!(gone, stale, "{}", context());
                m.rows.retain(|_, r| !is_stale(r));
            }
            15 if random(30) == 0 => {
                s.clear().unwrap();
                m.rows.clear();
                done[3] += 1;
            }
            15 if random(30) == 0 && !is_small => {
                // a copy of all of it comes back in other memory: values first, then removals
                // from the oldest to the newest
                let Some(memory) = spare.take() else { continue };
                let mut other = FixedStore::new(memory.parts(), StoreSettings { seed: 99, ..settings }).unwrap();
                let mut rows: Vec<(&String, &Row)> = m.rows.iter().collect();
                rows.sort_by_key(|(_, r)| (r.value.is_none(), r.value.is_none().then_some((r.accessed, r.nth))));
                for (name, r) in rows {
                    let (changed, accessed) = (at(r.changed), at(r.accessed));
                    let row = Stored { name, value: r.value.as_deref(), changed, accessed, origin: r.origin };
                    assert_eq!(other.restore(&row), Ok(Applied::Done));
                }
                s = other;
                (m.seen, m.today) = (s.seen().micros(), 0);
                sweep_at = Cursor::START;
                done[4] += 1;
            }
            _ => {}
        }
        s.check().unwrap_or_else(|e| panic!("{}: {e}", context()));
        if is_small {
            // only tombstones may have given way
            let there: BTreeSet<String> = walk(&s).into_iter().map(|r| r.0).collect();
            m.rows.retain(|n, r| r.value.is_some() || there.contains(n));
        }
        // a step of a walk that goes on while everything changes
        let from = after.as_deref().map_or(Unbounded, Excluded);
        let next = m.rows.range::<str, _>((from, Unbounded)).next();
        let found = s.following(after.as_deref(), &mut out);
        assert_eq!(found.map(|e| e.name), next.map(|(n, _)| &n[..]), "{}", context());
        after = found.map(|e| e.name.to_string());
        assert_eq!(s.len(), m.rows.values().filter(|r| r.value.is_some()).count());
        if step % 8 == 0 {
            assert_eq!(walk(&s), m.walk(), "{}", context());
        }
    }
    done
}

#[test]
fn agrees_with_a_plain_map() {
    let mut done = [0; 5];
    for seed in 1..=35 {
        let now = against_model::<96, 1024>(seed, 1500);
        done = std::array::from_fn(|i| done[i] + now[i]);
        against_model::<20, 40>(seed, 1000);
    }
    assert!(done.iter().all(|n| *n >= 20), "not everything has happened: {done:?}");
}

impl<R: Rows<StoredRow> + ?Sized, F: Forget> FixedStore<'_, R, F> {
    /// Rows from the top down to the deepest one.
    fn depth(&self) -> usize {
        let mut depth = 0;
        let mut open = std::vec![(self.top, 1)];
        while let Some((n, level)) = open.pop() {
            if n != 0 {
                depth = depth.max(level);
                open.extend(self.rows[n].sides.map(|below| (below, level + 1)));
            }
        }
        depth
    }
}
