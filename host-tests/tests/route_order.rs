//! D1: messages from one station to one station arrive in the order sent, whatever names
//! they were sent to. D3: whole or not at all.

use chappe_core::model::{Code, Join, Letter};
use chappe_core::router::Counter;
use chappe_host_tests::event::Seen;
use chappe_host_tests::random::Random;
use chappe_host_tests::world::World;

#[test]
fn d1_order_holds_across_names_patterns_and_addresses_however_the_wires_cut() {
    for piece in [1, 2, 7, 100, usize::MAX] {
        let mut w = World::in_pieces(piece);
        let (a, b) = (w.station("a"), w.station("b"));
        for name in ["x", "y::1", "y::*", "z"] {
            w.join(b, name);
        }
        let b_address = w.address(b);
        let mut random = Random::new(piece as u64);
        let names = ["x", "y::1", "y::2", "z"];
        for i in 0..200u32 {
            let text = i.to_string();
            let body = text.as_bytes();
            let letter = match random.below(6) {
                n @ 0..=3 => Letter { name: names[n], body, verb: "SET", ..Letter::default() },
                4 => Letter { station: b_address, body, ..Letter::default() },
                _ => Letter { everyone: true, body, ..Letter::default() },
            };
            w.stations[a].client.send(&letter).unwrap();
            if random.below(4) == 0 {
                w.drive();
            }
        }
        w.drive();
        assert_eq!(w.bodies(b), (0..200).map(|i| i.to_string()).collect::<Vec<_>>(), "in pieces of {piece}");
    }
}

#[test]
fn d1_an_answer_does_not_overtake_what_its_author_sent_before() {
    let mut w = World::default();
    let (a, b) = (w.station("a"), w.station("b"));
    w.join(b, "service");
    w.join(a, "news");
    let seq = w.call(a, &Letter { name: "service", verb: "DO", ..Letter::default() });
    let ask_id = w.letters(b)[0].ask_id;
    w.stations[b].client.send(&Letter { name: "news", body: b"before", ..Letter::default() }).unwrap();
    w.answer(b, ask_id, b"done");
    let seen = format!("{:?}", w.take(a));
    assert!(seen.find("Message").unwrap() < seen.find("Reply").unwrap(), "{seen} for {seq}");
}

#[test]
fn d3_what_reaches_a_slow_station_is_whole_in_order_and_the_rest_is_counted() {
    for seed in 0..20 {
        let mut random = Random::new(seed);
        let mut w = World::new(|s| s.outbox = 700);
        let (a, b) = (w.station("a"), w.station("b"));
        w.join(b, "x");
        w.stations[b].reads = false;
        w.piece = 1 + random.below(40);
        for i in 0..100u32 {
            let mut body = i.to_be_bytes().to_vec();
            body.resize(4 + random.below(300), i as u8);
            w.send(a, &Letter { name: "x", body: &body, ..Letter::default() });
            if random.below(20) == 0 {
                w.read_again(b);
                w.stations[b].reads = false;
            }
        }
        w.read_again(b);
        let got = w.letters(b);
        let mut last = None;
        for m in &got {
            let i = u32::from_be_bytes(m.body[..4].try_into().unwrap());
            assert!(m.body[4..].iter().all(|&x| x == i as u8), "a damaged body");
            assert!(last < Some(i), "seed {seed}: {last:?} before {i}");
            last = Some(i);
        }
        let dropped = w.router.counters().get(Counter::DroppedSlow);
        assert_eq!(got.len() as u64 + dropped, 100, "seed {seed}: every letter is delivered or counted");
        assert!(dropped > 0 && !got.is_empty());
    }
}

#[test]
fn d2_one_copy_for_each_member_and_none_for_the_sender() {
    let mut w = World::default();
    let (a, b, c) = (w.station("a"), w.station("b"), w.station("c"));
    for s in [a, b] {
        w.join(s, "n::x");
        w.join(s, "n::*");
        w.join(s, "*");
        w.join_as(s, &Join { name: "n::x", instance: "i", ..Join::default() });
    }
    w.send(a, &Letter { name: "n::x", body: b"1", ..Letter::default() });
    w.send(a, &Letter { everyone: true, body: b"2", ..Letter::default() });
    w.send(a, &Letter { name: "n::x", instance: "i", body: b"3", ..Letter::default() });
    assert_eq!(w.bodies(a), [""; 0]);
    assert_eq!(w.bodies(b), ["1", "2", "3"]);
    assert_eq!(w.bodies(c), ["2"]);
}

#[test]
fn a_body_and_its_parameters_arrive_as_they_were_sent() {
    let mut w = World::default();
    let (a, b) = (w.station("a"), w.station("b"));
    w.join(b, "x");
    let params = [("", ""), ("k", "v=;\n\u{1f44b}"), ("k", "again")];
    let body: Vec<u8> = (0..=255).collect();
    let letter = Letter {
        name: "x",
        verb: "VERB",
        body: &body,
        encoding: chappe_core::model::Encoding::Unknown(77),
        params: chappe_core::model::Params::Listed(&params),
        ..Letter::default()
    };
    w.send(a, &letter);
    let from = w.address(a);
    let got = w.letters(b).remove(0);
    assert_eq!((got.body, got.encoding.number(), got.from, got.ask_id), (body.clone(), 77, from, 0));
    // and a sender does not get to say who it is
    for forged in [Letter { from: 999, ..letter }, Letter { ask_id: 999, ..letter }] {
        w.send(a, &forged);
        assert_eq!(w.letters(b), []);
        assert!(w.take(a).iter().any(|s| matches!(s, Seen::Outcome { code: Code::BadRequest, .. })));
    }
    assert_eq!(got.params, params.map(|(k, v)| (k.to_string(), v.to_string())));
}
