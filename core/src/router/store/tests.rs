//! The store of fixed size, by hand and against a plain map.

extern crate std;
use super::*;
use crate::buffer::Rows;
use crate::limits::MAX_NAME;
use std::collections::BTreeMap;
use std::format;
use std::string::String;
use std::vec;
use std::vec::Vec;

const SETTINGS: StoreSettings = StoreSettings { block: 16, rows: usize::MAX, max_value: 100, keep: 1_000_000, seed: 7 };

type Memory = StoreMemory<4, 4, 16, 16>;

fn at(us: u64) -> Stamp {
    Stamp::from_micros(us)
}

fn text(s: &mut FixedStore<'_>, name: &str) -> Option<String> {
    let mut out = [0xa5; 100];
    let found = s.get(name, at(0), &mut out)?;
    Some(String::from_utf8(out[..found.len].to_vec()).unwrap())
}

/// Rows in a heap's vector.
pub(super) struct Heap(Vec<StoredRow>, usize);

impl Heap {
    pub(super) fn new(room: usize) -> Self {
        Heap(Vec::new(), room)
    }
}

impl Rows<StoredRow> for Heap {
    fn made(&self) -> &[StoredRow] {
        &self.0
    }
    fn made_mut(&mut self) -> &mut [StoredRow] {
        &mut self.0
    }
    fn room(&self) -> usize {
        self.1
    }
    fn make(&mut self, row: StoredRow) -> bool {
        let fits = self.0.len() < self.1;
        if fits {
            self.0.push(row);
        }
        fits
    }
    fn clear(&mut self) {
        self.0.clear();
    }
}

#[test]
fn newest_wins_in_whatever_order_changes_arrive() {
    // D10: every order of the same changes ends in the same state
    let changes: [(Option<&[u8]>, u64, u32); 6] =
        [(Some(b"a"), 1, 1), (Some(b"b"), 5, 1), (Some(b"c"), 5, 2), (Some(b"d"), 5, 2), (None, 5, 2), (None, 4, 9)];
    let mut orders = 0;
    for code in 0..6usize.pow(6) {
        let order: Vec<usize> = (0..6).map(|i| code / 6usize.pow(i) % 6).collect();
        if (0..6).any(|i| !order.contains(&i)) {
            continue;
        }
        orders += 1;
        let mut memory = Memory::new();
        let mut s = FixedStore::new(memory.parts(), SETTINGS).unwrap();
        for i in order {
            let (value, stamp, origin) = changes[i];
            match value {
                Some(v) => s.set("n", v, at(stamp), origin),
                None => s.bury("n", at(stamp), origin),
            }
            .unwrap();
            s.check().unwrap();
        }
        assert_eq!(text(&mut s, "n"), None);
        assert_eq!(s.set("n", b"d", at(5), 2), Ok(Applied::Older));
        assert_eq!(s.set("n", b"e", at(5), 3), Ok(Applied::Done));
    }
    assert_eq!(orders, 720);
}

#[test]
fn a_change_made_here_is_never_older_than_what_is_here() {
    let mut memory = Memory::new();
    let mut s = FixedStore::new(memory.parts(), SETTINGS).unwrap();
    s.set("n", b"ahead", at(1_000_000), 2).unwrap();
    assert_eq!(s.set("n", b"here", at(50), 1), Ok(Applied::Older));
    let stamp = s.stamp("n", at(50));
    assert_eq!(s.set("n", b"here", stamp, 1), Ok(Applied::Done));
    assert_eq!(s.stamp("other", at(50)), at(50));
}

#[test]
fn removing_what_is_not_there_leaves_nothing_but_burying_it_does() {
    let mut memory = Memory::new();
    let mut s = FixedStore::new(memory.parts(), SETTINGS).unwrap();
    assert_eq!(s.remove("n", at(5), 1), Ok(Applied::Absent));
    assert_eq!((s.len(), s.tombstones()), (0, 0));
    assert_eq!(s.bury("n", at(5), 1), Ok(Applied::Done));
    assert_eq!((s.len(), s.tombstones()), (0, 1));
    assert_eq!(s.set("n", b"late", at(4), 1), Ok(Applied::Older));
    assert_eq!(s.remove("n", at(9), 1), Ok(Applied::Absent));
}

#[test]
fn numbers_are_added_as_decimal_text() {
    let mut memory = Memory::new();
    let mut s = FixedStore::new(memory.parts(), SETTINGS).unwrap();
    assert_eq!(s.add("n", -5, at(1), 1), Ok(-5));
    assert_eq!(text(&mut s, "n").unwrap(), "-5");
    assert_eq!(s.add("n", i64::MIN + 5, at(1), 1), Ok(i64::MIN));
    assert_eq!(text(&mut s, "n").unwrap(), "-9223372036854775808");
    assert_eq!(s.add("n", -1, at(1), 1), Err(StoreError::Overflow));
    assert_eq!(text(&mut s, "n").unwrap(), "-9223372036854775808");
    for bad in ["", "x", "1 ", "1.5", "9223372036854775808", "000000000000000000001", "\u{ff11}"] {
        let stamp = s.stamp("n", at(1));
        s.set("n", bad.as_bytes(), stamp, 1).unwrap();
        assert_eq!(s.add("n", 1, at(9), 1), Err(StoreError::NotANumber), "{bad:?}");
    }
    s.set("n", b"1", at(2000), 1).unwrap();
    assert_eq!(s.add("n", 1, at(5), 1), Ok(2), "an older clock does not lose a count");
    s.remove("n", at(3000), 1).unwrap();
    assert_eq!(s.add("n", 1, at(5), 1), Ok(1));
}

#[test]
fn full_is_an_answer_and_changes_nothing() {
    let mut memory = Memory::new();
    let mut s = FixedStore::new(memory.parts(), SETTINGS).unwrap();
    for n in ["a", "b", "c", "d"] {
        s.set(n, b"1", at(1), 1).unwrap();
    }
    assert_eq!(s.set("e", b"1", at(1), 1), Err(StoreError::TooManyNames));
    assert_eq!(s.set("a", &[b'x'; 101], at(2), 1), Err(StoreError::TooBig));
    // 16 blocks: 7 for each of a and b, leaves one for each of c and d
    s.set("a", &[b'x'; 100], at(2), 1).unwrap();
    s.set("b", &[b'y'; 100], at(2), 1).unwrap();
    assert_eq!(s.blocks(), (16, 16));
    assert_eq!(s.set("c", &[b'z'; 16], at(2), 1), Err(StoreError::NoSpace));
    assert_eq!(text(&mut s, "c").unwrap(), "1");
    s.set("c", &[b'z'; 15], at(2), 1).unwrap();
    assert_eq!(text(&mut s, "c").unwrap(), "z".repeat(15));
    assert_eq!(s.set("", b"", at(1), 1), Err(StoreError::BadName));
    s.check().unwrap();
}

#[test]
fn tombstones_go_oldest_first_when_room_is_needed_and_when_they_are_old() {
    let mut memory = Memory::new();
    let mut s = FixedStore::new(memory.parts(), SETTINGS).unwrap();
    for (i, n) in ["a", "b", "c", "d"].into_iter().enumerate() {
        s.set(n, b"1", at(1), 1).unwrap();
        s.expire_tombstones(at(i as u64));
        s.remove(n, at(10), 1).unwrap();
    }
    s.set("e", b"1", at(1), 1).unwrap();
    assert_eq!(s.set("b", b"late", at(9), 1), Ok(Applied::Older));
    assert_eq!(s.set("a", b"late", at(9), 1), Ok(Applied::Done), "its tombstone was the oldest; now b's is gone");
    assert_eq!((s.len(), s.tombstones()), (2, 2));
    assert!(!s.expire_tombstones(at(1_000_002)));
    assert_eq!(s.tombstones(), 1);
    assert!(!s.expire_tombstones(at(1_000_003)));
    assert_eq!((s.len(), s.tombstones()), (2, 0));
    s.check().unwrap();
    // a tombstone that comes back to life is not dropped for its own room
    s.remove("e", at(20), 1).unwrap();
    s.set("a", &[b'x'; 100], at(30), 1).unwrap();
    s.set("f", &[b'x'; 100], at(30), 1).unwrap();
    assert_eq!(s.set("e", &[b'x'; 100], at(30), 1), Err(StoreError::NoSpace));
    assert_eq!(s.tombstones(), 1);
    assert_eq!(s.set("e", &[b'x'; 31], at(30), 1), Ok(Applied::Done));
    s.check().unwrap();
}

#[test]
fn a_listing_pauses_and_shows_what_stays_once() {
    let mut memory = StoreMemory::<64, 16, 256, 16>::new();
    let mut s = FixedStore::new(memory.parts(), SETTINGS).unwrap();
    for i in 0..30 {
        s.set(&format!("stay/{i}"), &[i], at(1), 1).unwrap();
        s.set(&format!("go/{i}"), b"", at(1), 1).unwrap();
    }
    let mut seen = vec![];
    let (mut cursor, mut turn) = (Cursor::START, 0);
    let mut out = [0; MAX_NAME + 100];
    loop {
        let mut budget = 3;
        loop {
            match s.next(cursor, "stay/", &mut budget, &mut out) {
                Step::Row(row) => {
                    assert_eq!(row.name, format!("stay/{}", row.value[0]));
                    seen.push(row.value[0]);
                    cursor = row.next;
                }
                Step::Pause(at) => {
                    cursor = at;
                    break;
                }
                Step::End => {
                    seen.sort();
                    assert_eq!(seen, (0..30).collect::<Vec<u8>>());
                    return;
                }
            }
        }
        cursor = format!("{cursor}").parse().unwrap();
        s.remove(&format!("go/{turn}"), at(2), 1).unwrap();
        s.set(&format!("new/{turn}"), b"", at(3), 1).unwrap();
        turn += 1;
    }
}

#[test]
fn memory_is_cleared_for_the_next_store_and_too_little_is_refused() {
    let mut memory = Memory::new();
    FixedStore::new(memory.parts(), SETTINGS).unwrap().set("a", b"1", at(1), 1).unwrap();
    let mut s = FixedStore::new(memory.parts(), SETTINGS).unwrap();
    assert_eq!(text(&mut s, "a"), None);
    s.check().unwrap();
    assert!(FixedStore::new(memory.parts(), StoreSettings { block: 0, ..SETTINGS }).is_err());
    assert!(FixedStore::new(memory.parts(), StoreSettings { rows: 0, ..SETTINGS }).is_err());
    assert!(FixedStore::new(StoreMemory::<4, 0, 4, 16>::new().parts(), SETTINGS).is_err());
    assert_eq!(size_of::<StoredRow>(), if cfg!(feature = "clacks") { 56 } else { 48 });
}

/// What a store of unlimited memory would hold.
#[derive(Default)]
struct Model(BTreeMap<String, (u64, u32, Option<Vec<u8>>)>);

impl Model {
    fn is_newer(&self, name: &str, change: &(u64, u32, Option<Vec<u8>>)) -> bool {
        // a removal is newer than a value
        let key = |c: &(u64, u32, Option<Vec<u8>>)| (c.0, c.1, c.2.is_none(), c.2.clone());
        self.0.get(name).is_none_or(|old| key(change) > key(old))
    }
}

fn against_model<const ROWS: usize, const BLOCKS: usize>(seed: u64) {
    let mut memory = StoreMemory::<ROWS, 8, BLOCKS, 16>::new();
    let mut s = FixedStore::new(memory.parts(), SETTINGS).unwrap();
    let mut model = Model::default();
    let mut x = seed;
    let mut random = move || {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        x
    };
    let mut forgotten = false;
    for step in 0..20_000u64 {
        let name = format!("{:0>1$}", random() % 24, 1 + random() as usize % 2 * 40);
        let (stamp, origin) = (1 + step / 8 + random() % 4, random() as u32 % 3);
        let removed = (stamp, origin, None);
        match random() % 8 {
            0..=3 => {
                let value: Vec<u8> = (0..(random() % 104) >> (random() % 5)).map(|i| i as u8 ^ step as u8).collect();
                let change = (stamp, origin, Some(value.clone()));
                match s.set(&name, &value, at(stamp), origin) {
                    Ok(Applied::Done) => {
                        assert!(model.is_newer(&name, &change) || (forgotten && model.0[&name].2.is_none()));
                        model.0.insert(name, change);
                    }
                    Ok(Applied::Older) => assert!(!model.is_newer(&name, &change)),
                    Err(StoreError::TooBig) => assert!(value.len() > 100),
                    e => assert!(matches!(e, Err(StoreError::NoSpace | StoreError::TooManyNames)), "{e:?}"),
                }
            }
            4 => match s.remove(&name, at(stamp), origin).unwrap() {
                Applied::Done => {
                    assert!(model.is_newer(&name, &removed));
                    model.0.insert(name, removed);
                }
                Applied::Older => assert!(!model.is_newer(&name, &removed)),
                Applied::Absent => assert!(model.0.get(&name).is_none_or(|v| v.2.is_none())),
            },
            5 => match s.bury(&name, at(stamp), origin) {
                Ok(Applied::Done) => {
                    assert!(model.is_newer(&name, &removed) || forgotten);
                    model.0.insert(name, removed);
                }
                Ok(_) => assert!(!model.is_newer(&name, &removed)),
                Err(_) => {}
            },
            6 => {
                let old = model.0.get(&name).and_then(|v| v.2.clone());
                if let Ok(sum) = s.add(&name, 1, at(stamp), origin) {
                    let was = old.map_or(0, |v| String::from_utf8(v).unwrap().parse::<i64>().unwrap());
                    assert_eq!(sum, was + 1);
                    let mut out = [0; 100];
                    let found = s.get(&name, at(0), &mut out).unwrap();
                    model.0.insert(name, (found.changed.micros(), origin, Some(out[..found.len].to_vec())));
                }
            }
            _ => {
                s.expire_tombstones(at(step));
            }
        }
        forgotten |= s.len() + s.tombstones() < model.0.len();
        s.check().unwrap_or_else(|e| panic!("seed {seed} step {step}: {e}"));
        let values = model.0.values().filter(|v| v.2.is_some()).count();
        assert_eq!(s.len(), values, "seed {seed} step {step}");
        if step % 8 == 0 {
            for (name, (changed, _, value)) in &model.0 {
                let mut out = [0xa5; 128];
                let found = s.get(name, at(0), &mut out);
                assert_eq!(found.map(|f| &out[..f.len]), value.as_deref(), "seed {seed} step {step} {name}");
                assert!(found.is_none_or(|f| f.changed == at(*changed)));
            }
        }
    }
    assert_eq!(forgotten, ROWS < 48);
}

#[test]
fn agrees_with_a_plain_map_when_there_is_room_and_when_there_is_not() {
    for seed in [3, 0x9e37_79b9_7f4a_7c15] {
        against_model::<64, 1024>(seed);
        against_model::<20, 40>(seed);
    }
}
