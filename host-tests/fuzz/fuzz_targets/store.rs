//! Operations on the store of fixed size, against a map that has room for everything.
#![no_main]

use chappe_core::limits::MAX_NAME;
use chappe_core::router::store::{
    Applied, Cursor, Entry, FixedStore, Stamp, Step, Store, StoreMemory, StoreSettings, Swept,
};
use libfuzzer_sys::fuzz_target;
use std::collections::BTreeMap;
use std::ops::Bound::{Excluded, Unbounded};

fuzz_target!(|data: &[u8]| {
    let mut memory = StoreMemory::<12, 7, 24, 16>::new();
    let settings = StoreSettings { max_value: 80, keep: 50, ..StoreSettings::new(16) };
    let mut s = FixedStore::new(memory.parts(), settings).expect("room for a value");
    // only values: what became of tombstones is the store's business
    let mut model: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    let mut out = [0; 256];
    let mut name_out = [0; MAX_NAME];
    // a walk and a sweep that go on while everything changes
    let (mut after, mut sweep_at): (Option<String>, _) = (None, Cursor::START);
    let mut input = data;
    while let [op, name, stamp, arg, rest @ ..] = input {
        input = rest;
        let name = format!("{:0>1$}", name % 16, 1 + *name as usize / 16 * 2);
        let (at, origin) = (Stamp::from_micros(*stamp as u64), (*op / 64) as u32);
        match op % 11 {
            0 | 1 => {
                let (value, more) = rest.split_at((*arg as usize % 90).min(rest.len()));
                input = more;
                if s.set(&name, value, at, origin) == Ok(Applied::Done) {
                    model.insert(name, value.to_vec());
                }
            }
            2 => match s.remove(&name, at, origin) {
                Ok(Applied::Done) => assert!(model.remove(&name).is_some()),
                Ok(Applied::Absent) => assert!(!model.contains_key(&name)),
                other => assert_eq!(other, Ok(Applied::Older)),
            },
            3 => {
                if s.bury(&name, at, origin) == Ok(Applied::Done) {
                    model.remove(&name);
                }
            }
            4 => {
                if let Ok(sum) = s.add(&name, *arg as i8 as i64, at, origin) {
                    model.insert(name, sum.to_string().into_bytes());
                }
            }
            6 => {
                let (value, more) = rest.split_at((*arg as usize % 90).min(rest.len()));
                input = more;
                let is_value = op % 2 == 0;
                let accessed = Stamp::from_micros(*arg as u64);
                let entry = Entry::new(&name, is_value.then_some(value), at, accessed, origin);
                match s.merge(&entry) {
                    Ok(Applied::Done) if is_value => _ = model.insert(name.clone(), value.to_vec()),
                    Ok(Applied::Done) => _ = model.remove(&name),
                    Ok(Applied::Older) | Err(_) => {}
                    Ok(Applied::Absent) => assert!(!is_value && !model.contains_key(&name)),
                }
                assert!(!matches!(s.merge(&entry), Ok(Applied::Done)), "what was taken over says nothing new");
            }
            7 => {
                sweep_at = match s.sweep(sweep_at, &mut (*arg as usize % 4), at, 20, &mut name_out) {
                    Swept::Gone { name, next } => {
                        assert!(model.remove(name).is_some());
                        next
                    }
                    Swept::Pause(next) => next,
                    Swept::End => Cursor::START,
                };
            }
            8 => {
                if let Some(name) = s.expire_named(at, &mut name_out) {
                    assert!(!model.contains_key(name), "it was removed");
                }
            }
            9 if *arg % 16 == 7 => {
                s.clear().expect("there is no disk");
                model.clear();
                assert_eq!((s.tombstones(), s.following(None, &mut out)), (0, None));
            }
            10 => assert_eq!(s.get(&name, at, &mut []).is_some(), model.contains_key(&name)),
            5 => {
                s.expire_tombstones(at);
                // a value from a clock that is ahead can be changed here all the same
                let stamp = s.stamp(&name, at);
                if stamp < Stamp::from_micros(250) && s.set(&name, b"!", stamp, origin).is_ok() {
                    model.insert(name, b"!".to_vec());
                }
            }
            _ => {}
        }
        s.check().expect("every invariant holds");
        assert_eq!(s.len(), model.len());
        let from = after.as_deref().map_or(Unbounded, Excluded);
        let next = model.range::<str, _>((from, Unbounded)).next();
        let entry = s.following(after.as_deref(), &mut out);
        match (&entry, next) {
            // a tombstone comes between
            (Some(e), next) if e.deleted => assert!(next.is_none_or(|(name, _)| e.name < &name[..])),
            (Some(e), Some((name, value))) => assert_eq!((e.name, e.value), (&name[..], &value[..])),
            (entry, next) => assert!(entry.is_none() && next.is_none()),
        }
        after = entry.map(|e| e.name.to_owned());
    }
    for (name, value) in &model {
        let found = s.get(name, Stamp::default(), &mut out).expect("it was set");
        assert_eq!(&out[..found.len], &value[..]);
    }
    let (mut cursor, mut listed) = (Cursor::START, 0);
    loop {
        match s.next(cursor, "", &mut 2, &mut out) {
            Step::Row(row) => {
                assert_eq!(model.get(row.name).map(Vec::as_slice), Some(row.value));
                (cursor, listed) = (row.next, listed + 1);
            }
            Step::Pause(at) => cursor = at,
            Step::End => break,
        }
    }
    assert_eq!(listed, model.len());
});
