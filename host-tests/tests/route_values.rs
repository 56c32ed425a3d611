//! Shared values as stations see them. D10: newest wins, everywhere, deletions too.

use chappe_core::client::Options;
use chappe_core::model::{Code, List, Store as Ask, StoreOp, What};
use chappe_core::router::Rights;
use chappe_core::router::store::{Applied, FixedStore, Stamp, Store, StoreMemory, StoreSettings};
use chappe_host_tests::event::Seen;
use chappe_host_tests::random::Random;
use chappe_host_tests::world::World;

fn store(w: &mut World, s: usize, ask: Ask<'_>) -> Vec<Seen> {
    w.take(s);
    w.stations[s].client.store(w.now, &ask).unwrap();
    w.drive();
    w.take(s)
}

fn code(seen: &[Seen]) -> Code {
    match seen {
        [Seen::Outcome { code, .. }] => *code,
        other => panic!("one outcome expected: {other:?}"),
    }
}

fn value(seen: &[Seen]) -> &[u8] {
    match seen {
        [Seen::Value { value, .. }] | [Seen::Value { value, .. }, Seen::Outcome { code: Code::Ok, .. }] => value,
        other => panic!("a value expected: {other:?}"),
    }
}

#[test]
fn values_are_set_read_added_to_and_removed() {
    let mut w = World::default();
    let (a, b) = (w.station("a"), w.station("b"));
    let get = Ask { op: StoreOp::Get, name: "n", ..Ask::default() };
    assert_eq!(code(&store(&mut w, b, get)), Code::NotFound);
    store(&mut w, a, Ask { op: StoreOp::Set, value: b"5", ..get });
    w.advance(2000);
    let seen = store(&mut w, b, get);
    assert_eq!(value(&seen), b"5");
    let [Seen::Value { age_ms: 2000, idle_ms: 2000, .. }, ..] = seen[..] else { panic!("{seen:?}") };
    w.advance(500);
    let seen = store(&mut w, b, get);
    let [Seen::Value { age_ms: 2500, idle_ms: 500, .. }, ..] = seen[..] else { panic!("{seen:?}") };
    assert_eq!(value(&store(&mut w, b, Ask { op: StoreOp::Add, amount: -7, ..get })), b"-2");
    assert_eq!(value(&store(&mut w, a, get)), b"-2");
    store(&mut w, a, Ask { op: StoreOp::Remove, ..get });
    assert_eq!(code(&store(&mut w, a, get)), Code::NotFound);
    assert_eq!(code(&store(&mut w, a, Ask { op: StoreOp::Remove, ..get })), Code::NotFound);
    store(&mut w, a, Ask { op: StoreOp::Set, value: b"text", ..get });
    assert_eq!(code(&store(&mut w, a, Ask { op: StoreOp::Add, amount: 1, ..get })), Code::NotANumber);
    assert_eq!(code(&store(&mut w, a, Ask { op: StoreOp::Set, name: "pattern::*", ..get })), Code::BadName);
}

#[test]
fn in_memory_a_flush_is_answered_at_once_and_needs_a_grant_to_write() {
    let mut w = World::default();
    let a = w.station("a");
    let reader = w.station_with(Options { name: "reader", ..Options::default() }, Rights::READ);
    for (s, want) in [(a, Code::Ok), (reader, Code::Refused)] {
        w.take(s);
        w.stations[s].client.flush_values(w.now).unwrap();
        w.drive();
        assert_eq!(code(&w.take(s)), want);
    }
}

#[test]
fn d10_changes_within_one_millisecond_count_in_the_order_made() {
    let mut w = World::default();
    let (a, b) = (w.station("a"), w.station("b"));
    for i in (0..50u8).rev() {
        let s = if i % 3 == 0 { a } else { b };
        store(&mut w, s, Ask { op: StoreOp::Set, name: "n", value: &[i], ..Ask::default() });
        let get = Ask { op: StoreOp::Get, name: "n", ..Ask::default() };
        assert_eq!(value(&store(&mut w, a, get)), [i]);
    }
    // and so do a removal and what follows it
    store(&mut w, a, Ask { op: StoreOp::Remove, name: "n", ..Ask::default() });
    store(&mut w, a, Ask { op: StoreOp::Set, name: "n", value: b"back", ..Ask::default() });
    assert_eq!(value(&store(&mut w, b, Ask { op: StoreOp::Get, name: "n", ..Ask::default() })), b"back");
}

#[test]
fn an_announced_change_reaches_the_members_of_the_name() {
    let mut w = World::default();
    let (a, b) = (w.station("a"), w.station("b"));
    w.join(a, "n");
    w.join(b, "n");
    let set = Ask { op: StoreOp::Set, name: "n", value: b"5", announce: true, ..Ask::default() };
    let told_a = store(&mut w, a, set);
    assert!(!told_a.iter().any(|s| matches!(s, Seen::Message(_))), "not to who changed it");
    let got = w.letters(b);
    assert_eq!((got.len(), got[0].verb.as_str(), got[0].body.as_slice()), (1, "SET", &b"5"[..]));
    store(&mut w, a, Ask { op: StoreOp::Add, amount: 1, ..set });
    assert_eq!(w.bodies(b), ["6"]);
}

#[test]
fn all_values_are_listed_page_by_page_and_a_full_store_is_an_answer() {
    let mut w = World::new(|s| s.page = 5);
    let a = w.station("a");
    let mut names = Vec::new();
    let full = loop {
        let name = format!("v/{}", names.len());
        let seen = store(&mut w, a, Ask { op: StoreOp::Set, name: &name, value: b"x", ..Ask::default() });
        if let [Seen::Outcome { code: Code::Full, text, .. }] = &seen[..] {
            break text.clone();
        }
        names.push(name);
        assert!(names.len() < 1000);
    };
    assert!(!full.is_empty());
    let (mut listed, mut after, mut pages) = (Vec::new(), String::new(), 0);
    loop {
        let list = List { what: What::Values, name: "v/", after: &after, ..List::default() };
        w.stations[a].client.list(w.now, &list).unwrap();
        w.drive();
        for seen in w.take(a) {
            match seen {
                Seen::Item { name, value, .. } => {
                    assert_eq!(value, b"x");
                    listed.push(name);
                }
                Seen::Outcome { code: Code::Ok, next, .. } => after = next,
                other => panic!("{other:?}"),
            }
        }
        pages += 1;
        assert!(pages < 100);
        if after.is_empty() {
            break;
        }
    }
    assert!(pages > 5);
    listed.sort();
    names.sort();
    assert_eq!(listed, names);
}

#[test]
fn d10_stores_that_hear_the_same_changes_in_different_orders_agree() {
    type Memory = StoreMemory<64, 64, 512, 16>;
    type Change = (usize, Option<Vec<u8>>, u64, u32);
    for seed in 0..50 {
        let mut random = Random::new(seed);
        let changes: Vec<Change> = (0..60)
            .map(|_| {
                let value = (random.below(4) > 0).then(|| vec![random.below(3) as u8; random.below(3)]);
                (random.below(4), value, random.below(5) as u64, random.below(3) as u32)
            })
            .collect();
        let mut states = Vec::new();
        for _ in 0..4 {
            let mut memory = Memory::new();
            let mut s = FixedStore::new(memory.parts(), StoreSettings::new(16)).unwrap();
            // each change arrives at least once, some twice, in any order
            let mut order: Vec<usize> = (0..60).chain((0..20).map(|_| random.below(60))).collect();
            for i in (1..order.len()).rev() {
                order.swap(i, random.below(i + 1));
            }
            for i in order {
                let (name, value, stamp, origin) = &changes[i];
                let (name, stamp) = (format!("n{name}"), Stamp::from_micros(*stamp));
                let applied = match value {
                    Some(v) => s.set(&name, v, stamp, *origin),
                    None => s.bury(&name, stamp, *origin),
                };
                assert!(matches!(applied, Ok(Applied::Done | Applied::Older)));
            }
            s.check().unwrap();
            let mut out = [0; 64];
            let state: Vec<Option<(Vec<u8>, Stamp)>> = (0..4)
                .map(|n| {
                    let found = s.get(&format!("n{n}"), Stamp::default(), &mut out)?;
                    Some((out[..found.len].to_vec(), found.changed))
                })
                .collect();
            states.push(state);
        }
        assert!(states.iter().all(|s| *s == states[0]), "seed {seed}: {states:?}");
    }
}
