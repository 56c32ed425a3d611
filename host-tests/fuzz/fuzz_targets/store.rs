//! Operations on the store of fixed size, against a map that has room for everything.
#![no_main]

use chappe_core::router::store::{Applied, Cursor, FixedStore, Stamp, Step, Store, StoreMemory, StoreSettings};
use libfuzzer_sys::fuzz_target;
use std::collections::BTreeMap;

fuzz_target!(|data: &[u8]| {
    let mut memory = StoreMemory::<12, 7, 24, 16>::new();
    let settings = StoreSettings { max_value: 80, keep: 50, ..StoreSettings::new(16) };
    let mut s = FixedStore::new(memory.parts(), settings).expect("room for a value");
    // only values: what became of tombstones is the store's business
    let mut model: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    let mut out = [0; 256];
    let mut input = data;
    while let [op, name, stamp, arg, rest @ ..] = input {
        input = rest;
        let name = format!("{:0>1$}", name % 16, 1 + *name as usize / 16 * 2);
        let (at, origin) = (Stamp::from_micros(*stamp as u64), (*op / 64) as u32);
        match op % 6 {
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
            _ => {
                s.expire_tombstones(at);
                // a value from a clock that is ahead can be changed here all the same
                let stamp = s.stamp(&name, at);
                if stamp < Stamp::from_micros(250) && s.set(&name, b"!", stamp, origin).is_ok() {
                    model.insert(name, b"!".to_vec());
                }
            }
        }
        s.check().expect("every invariant holds");
        assert_eq!(s.len(), model.len());
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
