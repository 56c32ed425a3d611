//! D5: an asker always hears back, exactly once. D6: an address whose station is gone never
//! means another one.

use chappe_core::model::{Code, Join, Leave, Letter};
use chappe_core::time::Duration;
use chappe_host_tests::event::Seen;
use chappe_host_tests::random::Random;
use chappe_host_tests::world::World;

fn ask(name: &str) -> Letter<'_> {
    Letter { name, verb: "DO", body: b"question", ..Letter::default() }
}

#[test]
fn d5_the_callee_answers_and_only_its_first_answer_counts() {
    let mut w = World::default();
    let (a, b) = (w.station("a"), w.station("b"));
    w.join(b, "s");
    let seq = w.call(a, &ask("s"));
    let question = w.letters(b).remove(0);
    assert_eq!((question.body.as_slice(), question.from), (&b"question"[..], w.address(a)));
    w.answer(b, question.ask_id, b"42");
    w.answer(b, question.ask_id, b"43");
    assert_eq!(w.replies(a, seq), [(Code::Ok, b"42".to_vec())]);
    w.advance(60_000);
    assert_eq!(w.replies(a, seq), []);
}

#[test]
fn d5_without_a_recipient_the_node_answers_at_once() {
    let mut w = World::default();
    let (a, b) = (w.station("a"), w.station("b"));
    w.join(a, "s"); // the asker itself is no recipient
    w.join(b, "*"); // nor is who only listens to a pattern
    for letter in [ask("s"), ask("nobody"), Letter { station: 12345, ..ask("") }] {
        let seq = w.call(a, &letter);
        assert_eq!(w.replies(a, seq), [(Code::NoRecipient, vec![])], "{letter:?}");
    }
    let only_me = Join { name: "i", instance: "one", ..Join::default() };
    w.join_as(b, &only_me);
    let seq = w.call(a, &Letter { instance: "two", ..ask("i") });
    assert_eq!(w.replies(a, seq), [(Code::NoRecipient, vec![])]);
}

#[test]
fn d5_when_the_last_recipient_leaves_the_node_answers() {
    for how in ["leave", "unplug", "goodbye"] {
        let mut w = World::default();
        let (a, b, c) = (w.station("a"), w.station("b"), w.station("c"));
        w.join(b, "s");
        w.join(c, "s");
        let seq = w.call(a, &ask("s"));
        assert_eq!((w.letters(b).len(), w.letters(c).len()), (1, 1));
        let mut gone = |s: usize| match how {
            "leave" => {
                w.stations[s].client.leave(&Leave { name: "s", ..Leave::default() }).unwrap();
                w.drive();
            }
            "unplug" => w.unplug(s),
            _ => {
                let now = w.now;
                w.stations[s].client.goodbye(now);
                w.drive();
            }
        };
        gone(b);
        // the other may still answer
        gone(c);
        let told = w.replies(a, seq);
        if how == "leave" && told.is_empty() {
            // who left the name is still there and may answer: then by the deadline
            w.advance(20_000);
            assert_eq!(w.replies(a, seq), [(Code::TimedOut, vec![])]);
        } else {
            assert_eq!(told, [(Code::RecipientLeft, vec![])], "{how}");
        }
        w.advance(60_000);
        assert_eq!(w.replies(a, seq), [], "{how}");
    }
}

#[test]
fn d5_one_that_stays_can_still_answer_when_others_left() {
    let mut w = World::default();
    let (a, b, c) = (w.station("a"), w.station("b"), w.station("c"));
    w.join(b, "s");
    w.join(c, "s");
    let seq = w.call(a, &ask("s"));
    let ask_id = w.letters(c)[0].ask_id;
    w.unplug(b);
    assert_eq!(w.replies(a, seq), []);
    w.answer(c, ask_id, b"late");
    assert_eq!(w.replies(a, seq), [(Code::Ok, b"late".to_vec())]);
}

#[test]
fn d5_the_deadline_ends_the_wait_and_a_later_answer_goes_nowhere() {
    let mut w = World::default();
    let (a, b) = (w.station("a"), w.station("b"));
    w.join(b, "s");
    let seq = w.call(a, &Letter { ttl_ms: 500, ..ask("s") });
    let ask_id = w.letters(b)[0].ask_id;
    w.advance(499);
    assert_eq!(w.replies(a, seq), []);
    w.advance(10);
    assert_eq!(w.replies(a, seq), [(Code::TimedOut, vec![])]);
    w.answer(b, ask_id, b"too late");
    assert_eq!(w.replies(a, seq), []);
    assert_eq!(w.letters(a), []);
}

#[test]
fn d5_an_answer_by_somebody_who_was_not_asked_does_not_count() {
    let mut w = World::default();
    let (a, b, evil) = (w.station("a"), w.station("b"), w.station("evil"));
    w.join(b, "s");
    let seq = w.call(a, &ask("s"));
    let ask_id = w.letters(b)[0].ask_id;
    w.answer(evil, ask_id, b"wrong");
    assert_eq!(w.replies(a, seq), []);
    w.answer(b, ask_id, b"right");
    assert_eq!(w.replies(a, seq), [(Code::Ok, b"right".to_vec())]);
}

#[test]
fn d5_every_call_of_a_long_muddle_hears_back_once() {
    let mut answered = 0;
    for seed in 0..30 {
        let mut random = Random::new(seed);
        let mut w = World::new(|s| {
            s.outbox = 2000;
            s.slow_after = Duration::from_secs(2);
        });
        w.piece = 1 + random.below(200);
        let asker = w.station("asker");
        let callees: Vec<usize> = (0..4).map(|_| w.station("callee")).collect();
        let mut open: Vec<u32> = Vec::new();
        for _ in 0..150 {
            let s = callees[random.below(4)];
            let ready = w.stations[s].client.is_ready();
            match random.below(12) {
                0 | 1 if ready => w.join(s, "s"),
                2 if ready => {
                    w.stations[s].client.leave(&Leave { name: "s", ..Leave::default() }).unwrap();
                    w.drive();
                }
                3 => w.unplug(s),
                4 => w.stations[s].allowed = true,
                5 => w.stations[s].reads = false,
                6 => w.read_again(s),
                7 => w.advance(random.below(3000) as u32),
                8 | 9 => {
                    for m in w.letters(s) {
                        if m.ask_id != 0 && w.stations[s].client.is_ready() && random.below(3) > 0 {
                            w.answer(s, m.ask_id, b"yes");
                        }
                    }
                }
                _ => {
                    let ttl_ms = random.below(5000) as u32;
                    let seq = w.stations[asker].client.call(w.now, &Letter { ttl_ms, ..ask("s") });
                    open.extend(seq.ok());
                    w.drive();
                }
            }
        }
        w.advance(60_000);
        for seq in open {
            let replies = w.replies(asker, seq);
            assert_eq!(replies.len(), 1, "seed {seed} call {seq}: {replies:?}");
            answered += (replies[0].0 == Code::Ok) as u32;
        }
        assert!(w.stations[asker].client.is_ready());
        let extra = w.take(asker).into_iter().filter(|s| matches!(s, Seen::Reply { .. } | Seen::Lost { .. })).count();
        assert_eq!(extra, 0, "seed {seed}");
    }
    assert!(answered > 50, "only {answered} of all calls were answered by a callee");
}

#[test]
fn d6_an_address_is_never_used_again() {
    let mut w = World::default();
    let a = w.station("a");
    let mut gone = std::collections::HashSet::new();
    for round in 0..300 {
        let b = if round == 0 { w.station("b") } else { 1 };
        w.stations[b].allowed = true;
        w.advance(20_000);
        let address = w.address(b);
        assert!(gone.insert(address), "address {address} was given out twice");
        w.unplug(b);
        w.stations[b].allowed = true;
        w.advance(20_000);
        w.take(b);
        let seq = w.call(a, &Letter { station: address, ..ask("") });
        assert_eq!(w.replies(a, seq), [(Code::NoRecipient, vec![])]);
        assert_eq!(w.letters(b), []);
        w.unplug(b);
    }
}

#[test]
fn d6_the_number_of_an_old_question_never_answers_a_new_one() {
    let mut w = World::default();
    let (a, b) = (w.station("a"), w.station("b"));
    w.join(b, "s");
    let mut old = Vec::new();
    for _ in 0..300 {
        let seq = w.call(a, &ask("s"));
        let ask_id = w.letters(b)[0].ask_id;
        assert!(!old.contains(&ask_id));
        if let Some(&stale) = old.last() {
            w.answer(b, stale, b"stale");
        }
        assert_eq!(w.replies(a, seq), []);
        w.answer(b, ask_id, b"");
        assert_eq!(w.replies(a, seq).len(), 1);
        old.push(ask_id);
    }
}
