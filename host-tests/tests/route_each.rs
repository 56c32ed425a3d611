//! A letter with `each`: every member of a name owes an answer of its own, and who asks is told
//! first how many there are, then of each of them once (D5). Whom the question went to is decided in
//! the same step as it is sent, so nobody can come or go in between.

use chappe_core::client::Options;
use chappe_core::model::{Answer, Change, ClientToServer, Code, Join, Leave, Letter, Watch};
use chappe_core::router::{Counter, Rights};
use chappe_core::time::Duration;
use chappe_host_tests::event::Seen;
use chappe_host_tests::random::Random;
use chappe_host_tests::world::World;
use std::collections::BTreeSet;

/// Asks each, drives, and returns the number of the request.
fn each(w: &mut World, a: usize, letter: &Letter<'_>) -> u32 {
    let letter = Letter { ask: true, each: true, ..*letter };
    let seq = w.stations[a].client.request(w.now, &ClientToServer::Send(letter)).expect("room in the outbox");
    w.drive();
    seq
}

/// The one outcome of request `seq`: code and count.
fn outcome(w: &mut World, a: usize, seq: u32) -> (Code, u32) {
    let at = w.stations[a].seen.iter().position(|s| matches!(s, Seen::Outcome { seq: n, .. } if *n == seq));
    let Seen::Outcome { code, count, .. } = w.stations[a].seen.remove(at.expect("an outcome")) else { unreachable!() };
    let replies =
        w.stations[a].seen[..at.unwrap()].iter().any(|s| matches!(s, Seen::Reply { seq: n, .. } if *n == seq));
    assert!(!replies, "an answer came before the count");
    (code, count)
}

/// Takes the answers to `seq`: code, about whom, by whom, body.
fn answers(w: &mut World, a: usize, seq: u32) -> Vec<(Code, u64, u64, String)> {
    let mut found = Vec::new();
    w.stations[a].seen.retain(|s| match s {
        Seen::Reply { seq: n, code, station, from, body, .. } if *n == seq => {
            found.push((*code, *station, *from, String::from_utf8(body.clone()).unwrap()));
            false
        }
        Seen::Outcome { seq: n, .. } if *n == seq => panic!("a second outcome"),
        _ => true,
    });
    found
}

fn svc() -> Letter<'static> {
    Letter { name: "s", verb: "DO", body: b"question", ..Letter::default() }
}

/// An asker and `n` members of `s`.
fn group(w: &mut World, n: usize) -> (usize, Vec<usize>) {
    let a = w.station("a");
    let members: Vec<usize> = (0..n).map(|_| w.station("m")).collect();
    for &m in &members {
        w.join(m, "s");
    }
    (a, members)
}

#[test]
fn d5_each_member_answers_once_and_the_count_comes_first() {
    let mut w = World::default();
    let (a, m) = group(&mut w, 3);
    w.join(a, "s"); // who asks is not asked
    let listener = w.station("listener");
    w.join(listener, "*"); // nor who listens to a pattern
    let seq = each(&mut w, a, &svc());
    assert_eq!(outcome(&mut w, a, seq), (Code::Ok, 3));
    let asks: Vec<u64> = m.iter().map(|m| w.letters(*m).remove(0).ask_id).collect();
    assert_eq!(w.letters(listener), []);
    for i in [2, 0, 1] {
        w.answer(m[i], asks[i], i.to_string().as_bytes());
        let of = w.address(m[i]);
        assert_eq!(answers(&mut w, a, seq), [(Code::Ok, of, of, i.to_string())]);
        // a second one of the same member counts for nothing
        w.answer(m[i], asks[i], b"again");
        assert_eq!(answers(&mut w, a, seq), []);
    }
    assert_eq!(w.router.counters().get(Counter::StrayAnswers), 3);
    w.advance(600_000);
    assert_eq!(answers(&mut w, a, seq), []);
}

#[test]
fn d5_an_answer_to_a_plain_question_names_no_station() {
    let mut w = World::default();
    let (a, m) = group(&mut w, 1);
    let seq = w.call(a, &svc());
    let ask_id = w.letters(m[0])[0].ask_id;
    // not even if the callee says so itself
    w.stations[m[0]].client.answer(&Answer { ask_id, station: 77, from: 78, ..Answer::default() }).unwrap();
    w.drive();
    let of = w.address(m[0]);
    assert_eq!(answers(&mut w, a, seq), [(Code::Ok, 0, of, String::new())]);
}

#[test]
fn d5_who_leaves_or_goes_is_reported_and_the_others_still_answer() {
    for how in ["leave", "unplug", "goodbye"] {
        let mut w = World::default();
        let (a, m) = group(&mut w, 3);
        let gone = w.address(m[1]);
        let seq = each(&mut w, a, &svc());
        assert_eq!(outcome(&mut w, a, seq), (Code::Ok, 3));
        let asks: Vec<u64> = m.iter().map(|m| w.letters(*m).remove(0).ask_id).collect();
        match how {
            "leave" => {
                w.stations[m[1]].client.leave(&Leave { name: "s", ..Leave::default() }).unwrap();
                w.drive();
                assert_eq!(answers(&mut w, a, seq), [(Code::RecipientLeft, gone, 0, String::new())], "{how}");
                w.answer(m[1], asks[1], b"too late");
            }
            "unplug" => w.unplug(m[1]),
            _ => {
                let now = w.now;
                w.stations[m[1]].client.goodbye(now);
                w.drive();
            }
        }
        if how != "leave" {
            assert_eq!(answers(&mut w, a, seq), [(Code::RecipientLeft, gone, 0, String::new())], "{how}");
        }
        for i in [0, 2] {
            w.answer(m[i], asks[i], b"here");
            let of = w.address(m[i]);
            assert_eq!(answers(&mut w, a, seq), [(Code::Ok, of, of, "here".into())], "{how}");
        }
        w.advance(600_000);
        assert_eq!(answers(&mut w, a, seq), [], "{how}");
    }
}

#[test]
fn d5_who_joins_during_the_call_is_not_asked() {
    let mut w = World::default();
    let (a, m) = group(&mut w, 2);
    let seq = each(&mut w, a, &svc());
    assert_eq!(outcome(&mut w, a, seq), (Code::Ok, 2));
    let late = w.station("late");
    w.join(late, "s");
    assert_eq!(w.letters(late), []);
    let stolen = w.letters(m[0])[0].ask_id;
    w.answer(late, stolen, b"I was not asked");
    assert_eq!(answers(&mut w, a, seq), []);
    // nor does one that leaves and joins again owe anything
    let of = w.address(m[1]);
    w.stations[m[1]].client.leave(&Leave { name: "s", ..Leave::default() }).unwrap();
    w.drive();
    w.join(m[1], "s");
    assert_eq!(answers(&mut w, a, seq), [(Code::RecipientLeft, of, 0, String::new())]);
    w.answer(m[0], stolen, b"");
    assert_eq!(answers(&mut w, a, seq).len(), 1);
    w.advance(600_000);
    assert_eq!(answers(&mut w, a, seq), []);
}

#[test]
fn d5_who_does_not_answer_in_time_is_reported_each() {
    let mut w = World::default();
    let (a, m) = group(&mut w, 3);
    let seq = each(&mut w, a, &Letter { ttl_ms: 500, ..svc() });
    assert_eq!(outcome(&mut w, a, seq), (Code::Ok, 3));
    let asks: Vec<u64> = m.iter().map(|m| w.letters(*m).remove(0).ask_id).collect();
    w.answer(m[1], asks[1], b"in time");
    assert_eq!(answers(&mut w, a, seq).len(), 1);
    w.advance(499);
    assert_eq!(answers(&mut w, a, seq), []);
    w.advance(10);
    let late: BTreeSet<u64> = [m[0], m[2]].map(|m| w.address(m)).into();
    let told = answers(&mut w, a, seq);
    assert!(told.iter().all(|(code, _, from, _)| (*code, *from) == (Code::TimedOut, 0)), "{told:?}");
    assert_eq!(told.iter().map(|t| t.1).collect::<BTreeSet<_>>(), late);
    assert_eq!(told.len(), 2);
    w.answer(m[0], asks[0], b"too late");
    assert_eq!(answers(&mut w, a, seq), []);
}

#[test]
fn d4_who_does_not_read_is_reported_at_once_and_counts() {
    let mut w = World::new(|s| s.outbox = 600);
    let (a, m) = group(&mut w, 3);
    let slow = m[1];
    w.stations[slow].reads = false;
    for _ in 0..10 {
        let station = w.address(slow);
        w.send(a, &Letter { station, body: &[7; 100], ..Letter::default() });
    }
    let seq = each(&mut w, a, &Letter { body: &[7; 100], ..svc() });
    assert_eq!(outcome(&mut w, a, seq), (Code::Ok, 3));
    let of = w.address(slow);
    assert_eq!(answers(&mut w, a, seq), [(Code::RecipientBusy, of, 0, String::new())]);
    // what the others were handed is whole, although a loss was told in between
    for i in [0, 2] {
        let letter = w.letters(m[i]).remove(0);
        assert_eq!((letter.body, letter.verb.as_str()), (vec![7; 100], "DO"));
        w.answer(m[i], letter.ask_id, b"");
    }
    assert_eq!(answers(&mut w, a, seq).len(), 2);
}

#[test]
fn d5_one_that_cannot_take_a_letter_that_long_is_reported() {
    let mut w = World::default();
    let (a, m) = group(&mut w, 1);
    let small = w.station_with(Options { name: "small", max_frame: 200, ..Options::default() }, Rights::ALL);
    w.join(small, "s");
    let seq = each(&mut w, a, &Letter { body: &[7; 300], ..svc() });
    assert_eq!(outcome(&mut w, a, seq), (Code::Ok, 2));
    let of = w.address(small);
    assert_eq!(answers(&mut w, a, seq), [(Code::TooBig, of, 0, String::new())]);
    let ask_id = w.letters(m[0])[0].ask_id;
    w.answer(m[0], ask_id, b"");
    assert_eq!(answers(&mut w, a, seq).len(), 1);
}

#[test]
fn nobody_there_is_a_count_of_none() {
    let mut w = World::default();
    let a = w.station("a");
    w.join(a, "s");
    for name in ["s", "nobody"] {
        let seq = each(&mut w, a, &Letter { name, ..svc() });
        assert_eq!(outcome(&mut w, a, seq), (Code::NoRecipient, 0), "{name}");
        w.advance(60_000);
        assert_eq!(answers(&mut w, a, seq), []);
    }
}

#[test]
fn instances_choose_who_is_asked() {
    let mut w = World::default();
    let (a, m) = group(&mut w, 1);
    let one = w.station("one");
    w.join_as(one, &Join { name: "s", instance: "one", ..Join::default() });
    w.join_as(m[0], &Join { name: "s", instance: "one", ..Join::default() });
    for (instance, count) in [("", 1), ("*", 1), ("one", 2), ("two", 1)] {
        let seq = each(&mut w, a, &Letter { instance, ..svc() });
        assert_eq!(outcome(&mut w, a, seq), (Code::Ok, count), "{instance}");
        assert_eq!(w.letters(m[0]).len(), 1, "one copy, in however many instances it is");
        assert_eq!(w.letters(one).len(), (count == 2) as usize, "{instance}");
    }
}

#[test]
fn only_members_of_a_name_can_be_asked_each() {
    let mut w = World::default();
    let (a, m) = group(&mut w, 1);
    let station = w.address(m[0]);
    let bad = [
        Letter { name: "", station, ask: true, each: true, ..svc() },
        Letter { station, ask: true, each: true, ..svc() },
        Letter { ask: false, each: true, ..svc() },
        Letter { name: "", everyone: true, ask: true, each: true, ..svc() },
        Letter { keep: true, ask: true, each: true, ..svc() },
    ];
    for letter in bad {
        let Ok(seq) = w.stations[a].client.request(w.now, &ClientToServer::Send(letter)) else { continue };
        w.drive();
        let told = w.outcomes(a, seq);
        assert_eq!(told.len(), 1, "{letter:?}");
        assert_eq!(told[0].0, Code::BadRequest, "{letter:?}");
        assert_eq!(w.letters(m[0]), [], "{letter:?}");
    }
    let seq = each(&mut w, a, &Letter { name: "*", ..svc() });
    assert_eq!(outcome(&mut w, a, seq), (Code::BadName, 0));
}

#[test]
fn a_right_is_needed_to_ask_each() {
    let mut w = World::default();
    let (_, m) = group(&mut w, 1);
    let reader = w.station_with(Options { name: "r", ..Options::default() }, Rights::READ);
    let seq = each(&mut w, reader, &svc());
    assert_eq!(outcome(&mut w, reader, seq), (Code::Refused, 0));
    assert_eq!(w.letters(m[0]), []);
}

#[test]
fn d5_when_the_asker_goes_nobody_is_told_and_nothing_is_left() {
    let mut w = World::default();
    let (a, m) = group(&mut w, 3);
    each(&mut w, a, &svc());
    w.unplug(a);
    for &m in &m {
        let ask_id = w.letters(m)[0].ask_id;
        w.answer(m, ask_id, b"");
    }
    assert_eq!(w.used("requests"), 0);
    assert_eq!(w.router.counters().get(Counter::AskerGone), 1);
}

#[test]
fn d12_a_question_to_each_that_is_refused_is_counted() {
    let mut w = World::new(|s| s.asks = 1);
    let (a, _) = group(&mut w, 2);
    let first = each(&mut w, a, &svc());
    assert_eq!(outcome(&mut w, a, first), (Code::Ok, 2));
    let second = each(&mut w, a, &svc());
    assert_eq!(outcome(&mut w, a, second), (Code::Full, 0));
    assert_eq!(w.router.counters().get(Counter::TableFull), 1);
}

#[test]
fn d12_when_the_table_of_debtors_is_full_those_beyond_are_reported() {
    let mut w = World::default();
    let (a, m) = group(&mut w, 50);
    let mut full = 0;
    for _ in 0..8 {
        let seq = each(&mut w, a, &svc());
        assert_eq!(outcome(&mut w, a, seq), (Code::Ok, 50));
        let told = answers(&mut w, a, seq);
        assert!(told.iter().all(|t| t.0 == Code::Full && t.1 != 0), "{told:?}");
        let about: BTreeSet<u64> = told.iter().map(|t| t.1).collect();
        assert_eq!(about.len(), told.len());
        let asked = m.iter().filter(|m| !w.letters(**m).is_empty()).count();
        assert_eq!(asked + told.len(), 50);
        full += told.len();
    }
    assert_eq!(full, 400 - 128, "one asker has half of the 256 debts that there are");
    w.advance(60_000);
    let late = w.take(a).into_iter().filter(|s| matches!(s, Seen::Reply { code: Code::TimedOut, .. })).count();
    assert_eq!(late, 128);
}

/// Who asks whoever answers first waits for those that were asked: the others are counted, and told to nobody.
#[test]
fn d12_members_that_are_not_asked_because_the_table_of_debts_is_full_are_counted() {
    let mut w = World::default();
    let (a, m) = group(&mut w, 50);
    let not_asked = |w: &World| w.router.counters().get(Counter::NotAsked);
    let seqs: Vec<u32> = (0..3).map(|_| w.call(a, &svc())).collect();
    assert_eq!((w.used("debts"), not_asked(&w)), (128, 22), "one asker has half of the 256 debts that there are");
    let heard = m.iter().map(|m| w.letters(*m).len()).sum::<usize>();
    assert_eq!(heard, 128, "who has no row is not asked, either");
    assert_eq!(seqs.iter().flat_map(|seq| w.replies(a, *seq)).count(), 0);
    let one_more = w.call(a, &svc());
    assert_eq!(w.replies(a, one_more)[0].0, Code::Full, "nobody could be asked: that is told");
    assert_eq!((w.used("debts"), not_asked(&w)), (128, 72));
    w.advance(60_000);
    for seq in seqs {
        assert_eq!(w.replies(a, seq)[0].0, Code::TimedOut);
    }
    assert_eq!((w.used("debts"), w.used("requests")), (0, 0));
}

#[test]
fn d5_a_long_muddle_hears_of_each_exactly_once() {
    let mut answered = 0;
    for seed in 0..25 {
        let mut random = Random::new(seed);
        let mut w = World::new(|s| {
            s.outbox = 3000;
            s.slow_after = Duration::from_secs(2);
        });
        w.piece = 1 + random.below(200);
        let a = w.station("asker");
        let callees: Vec<usize> = (0..5).map(|_| w.station("callee")).collect();
        let watcher = w.station("watcher");
        w.watch(watcher, &Watch { name: "s", members: true, ..Watch::default() });
        let mut there: BTreeSet<u64> = BTreeSet::new();
        let mut open: Vec<(u32, u32, BTreeSet<u64>)> = Vec::new();
        for _ in 0..120 {
            let s = callees[random.below(5)];
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
                    // what a watcher knows is the truth at this moment
                    w.drive();
                    for seen in w.take(watcher) {
                        match seen {
                            Seen::Presence { change: Change::Joined, station, .. } => assert!(there.insert(station)),
                            Seen::Presence { change: Change::Left, station, .. } => assert!(there.remove(&station)),
                            _ => {}
                        }
                    }
                    let ttl_ms = 1 + random.below(5000) as u32;
                    let seq = each(&mut w, a, &Letter { ttl_ms, ..svc() });
                    let (code, count) = outcome(&mut w, a, seq);
                    assert_eq!(code == Code::NoRecipient, count == 0, "seed {seed}");
                    assert_eq!(count as usize, there.len(), "seed {seed}: {there:?}");
                    open.push((seq, count, there.clone()));
                }
            }
        }
        w.advance(60_000);
        for (seq, count, there) in open {
            let told = answers(&mut w, a, seq);
            assert_eq!(told.len() as u32, count, "seed {seed} call {seq}: {told:?}");
            let about: BTreeSet<u64> = told.iter().map(|t| t.1).collect();
            assert_eq!(about.len(), told.len(), "seed {seed} call {seq}: somebody twice");
            assert_eq!(about, there, "seed {seed} call {seq}");
            answered += told.iter().filter(|t| t.0 == Code::Ok).count();
        }
        assert_eq!(w.used("requests"), 0, "seed {seed}");
    }
    assert!(answered > 100, "only {answered} answers");
}
