//! Operations on the store of fixed size, against a map that has room for everything: the newest change
//! counts, whatever came before it (D10), by a rule that is written down here once more.
#![no_main]

use chappe_core::limits::MAX_NAME;
use chappe_core::router::store::{
    Applied, Cursor, Entry, FixedStore, Stamp, Step, Store, StoreMemory, StoreSettings, Swept,
};
use libfuzzer_sys::fuzz_target;
use std::collections::BTreeMap;
use std::ops::Bound::{Excluded, Unbounded};

/// What the store knows of a name: when it was changed, by whom, and its value, unless it was removed.
type Known = Option<(u64, u32, Option<Vec<u8>>)>;

fn known(s: &impl Store, name: &str) -> Known {
    let (mut out, mut after) = ([0; 256], None::<String>);
    while let Some(e) = s.following(after.as_deref(), &mut out) {
        if e.name == name {
            return Some((e.changed.micros(), e.origin, (!e.deleted).then(|| e.value.to_vec())));
        }
        after = Some(e.name.to_owned());
    }
    None
}

/// Of two changes said here the later counts, then that of the higher origin, then a removal, then the
/// greater value.
fn is_newer(known: &Known, at: u64, origin: u32, value: Option<&[u8]>) -> bool {
    let rank = |value: Option<&[u8]>| (value.is_none(), value.unwrap_or_default().to_vec());
    known.as_ref().is_none_or(|k| (k.0, k.1, rank(k.2.as_deref())) < (at, origin, rank(value)))
}

/// Of two that come over a link the later counts, then a removal, then the lesser value.
fn is_newer_there(known: &Known, at: u64, value: Option<&[u8]>) -> bool {
    let rank = |value: Option<&[u8]>| (value.is_none(), std::cmp::Reverse(value.unwrap_or_default().to_vec()));
    known.as_ref().is_none_or(|k| (k.0, rank(k.2.as_deref())) < (at, rank(value)))
}

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
        let before = known(&s, &name);
        match op % 11 {
            0 | 1 => {
                let (value, more) = rest.split_at((*arg as usize % 90).min(rest.len()));
                input = more;
                let newer = is_newer(&before, at.micros(), origin, Some(value));
                match s.set(&name, value, at, origin) {
                    Ok(Applied::Done) => {
                        assert!(newer, "D10: {before:?} gives way to an older change");
                        assert_eq!(known(&s, &name), Some((at.micros(), origin, Some(value.to_vec()))));
                        model.insert(name, value.to_vec());
                    }
                    Ok(other) => assert!(other == Applied::Older && !newer, "D10: {before:?} stays: {other:?}"),
                    Err(_) => assert_eq!(known(&s, &name), before),
                }
            }
            2 => {
                let newer = is_newer(&before, at.micros(), origin, None);
                match s.remove(&name, at, origin) {
                    Ok(Applied::Done) => assert!(newer && model.remove(&name).is_some()),
                    Ok(Applied::Absent) => assert!(!model.contains_key(&name)),
                    other => assert!(other == Ok(Applied::Older) && !newer, "{other:?}"),
                }
            }
            3 => {
                let newer = is_newer(&before, at.micros(), origin, None);
                match s.bury(&name, at, origin) {
                    Ok(Applied::Done) => {
                        assert!(newer, "D10: {before:?} gives way to an older removal");
                        model.remove(&name);
                    }
                    // two removals of one time and origin are one
                    Ok(other) => assert!(other == Applied::Older && !newer, "{other:?}"),
                    Err(_) => assert_eq!(known(&s, &name), before),
                }
            }
            4 => match s.add(&name, *arg as i8 as i64, at, origin) {
                Ok(sum) => {
                    let then = known(&s, &name).expect("it was just set");
                    assert!(then.0 >= at.micros() && before.is_none_or(|b| b.0 < then.0), "a sum is later");
                    model.insert(name, sum.to_string().into_bytes());
                }
                Err(_) => assert_eq!(known(&s, &name), before),
            },
            6 => {
                let (value, more) = rest.split_at((*arg as usize % 90).min(rest.len()));
                input = more;
                let is_value = op % 2 == 0;
                let accessed = Stamp::from_micros(*arg as u64);
                let entry = Entry::new(&name, is_value.then_some(value), at, accessed, origin);
                let newer = is_newer_there(&before, at.micros(), is_value.then_some(value));
                match s.merge(&entry) {
                    Ok(Applied::Done) => {
                        assert!(newer, "D10: {before:?} gives way to an older change from elsewhere");
                        if is_value {
                            model.insert(name.clone(), value.to_vec());
                        } else {
                            model.remove(&name);
                        }
                    }
                    Ok(Applied::Older) => {
                        // the same value or a removal of a removal says nothing new, however late it is
                        let same = before.as_ref().is_some_and(|b| b.2.as_deref() == is_value.then_some(value));
                        assert!(!newer || same, "D10: {before:?} stays");
                    }
                    Err(_) => assert_eq!(known(&s, &name), before),
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
