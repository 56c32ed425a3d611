//! D4 and D12 in the dialect of MSGQ (`wire/msgq.md` sections 10 and 14.2): a message is never
//! dropped from a connection that stays open, a slow one is closed, and nobody else notices.

use chappe_core::model::{Change, Code, Letter, Watch};
use chappe_core::router::{Counter, Reason};
use chappe_core::time::Duration;
use chappe_host_tests::event::Seen;
use chappe_host_tests::msgq::{command, frame, header, result};
use chappe_host_tests::world::World;
use serde_json::json;

#[test]
fn d4_two_mebibytes_wait_for_one_that_pauses_and_none_is_lost() {
    // 10,000 small messages, and 2 MiB in all (weak point C 14: these cut off the original's reader)
    for (count, size) in [(10_000, 20), (40, 60_000)] {
        let mut w = World::msgq(|_| {});
        let (a, b, c) = (w.talker(), w.talker(), w.talker());
        w.subscribe(b, "g");
        w.subscribe(c, "g");
        w.talkers[b].reads = false;
        let mut stream = Vec::new();
        for i in 0..count {
            let members = json!({"type": "send", "from": "a", "to": "*", "group": "g", "instance": "*", "seq": i});
            stream.extend(frame(&header(&members), format!("\"{}\"", "x".repeat(size)).as_bytes()));
        }
        assert!(stream.len() > 1_000_000);
        w.feed(a, &stream);
        assert_eq!(w.heard(c).len(), count, "others hear at once");
        assert_eq!(w.talkers[b].closed, None);
        w.advance(30_000);
        w.talker_reads_again(b);
        let heard = w.heard(b);
        assert_eq!(heard.len(), count);
        assert!(heard.iter().enumerate().all(|(i, f)| f.header["seq"] == json!(i)), "in order");
        assert_eq!(w.router.counters().get(Counter::DroppedSlow), 0);
    }
}

#[test]
fn d4_one_that_does_not_read_is_closed_rather_than_left_with_a_gap() {
    let mut w = World::msgq(|s| s.msgq.outbox = 300_000);
    let watcher = w.station("watcher");
    w.watch(watcher, &Watch { stations: true, ..Watch::default() });
    let (a, b, c) = (w.talker(), w.talker(), w.talker());
    w.subscribe(b, "g");
    w.subscribe(c, "g");
    w.take(watcher);
    let address = w.talkers[b].id.unwrap().number();
    w.talkers[b].reads = false;
    let mut sent = 0;
    while w.talkers[b].closed.is_none() {
        w.group_send(a, "g", "*", false, &json!("x".repeat(1000)));
        sent += 1;
        assert_eq!(w.heard(c).len(), 1, "message {sent} waits for the slow one");
        assert!(sent < 1000, "memory is not bounded");
        // last words are none, so it is closed as soon as it lingers no more
        if w.router.counters().get(Counter::ClosedSlow) > 0 {
            w.advance(5_000);
        }
    }
    assert!(sent > 250, "closed after {sent} KB of 300");
    assert_eq!(w.talkers[b].closed, Some(Reason::Slow));
    assert_eq!(w.router.counters().get(Counter::ClosedSlow), 1);
    let bye =
        Seen::Presence { change: Change::Disconnected, station: address, name: String::new(), reason: Code::Slow };
    assert_eq!(w.take(watcher), [bye]);
    assert!(w.talkers[c].closed.is_none());
}

#[test]
fn d5_who_asks_one_that_is_closed_as_slow_hears_of_it() {
    let mut w = World::msgq(|s| s.msgq.outbox = 300_000);
    let (a, b) = (w.talker(), w.talker());
    w.subscribe(b, "svc");
    w.talkers[b].reads = false;
    let mut asked = Vec::new();
    while w.router.counters().get(Counter::ClosedSlow) == 0 {
        asked.push(w.group_send(a, "svc", "*", true, &command("do", json!("x".repeat(10_000)))));
        assert!(asked.len() < 100);
    }
    let told = w.heard(a);
    let numbers: Vec<i64> = told.iter().map(|f| f.header["reply"].as_i64().unwrap()).collect();
    let mut sorted = numbers.clone();
    sorted.sort();
    assert_eq!(sorted, asked, "each once: {numbers:?}");
    assert!(told.iter().all(|f| result(f).0 < 0));
    assert!(w.talkers[a].closed.is_none());
}

#[test]
fn d4_one_that_takes_nothing_for_long_is_closed_even_if_little_waits() {
    let mut w = World::msgq(|s| s.msgq.stalled_after = Duration::from_secs(20));
    let (a, b) = (w.talker(), w.talker());
    w.subscribe(b, "g");
    w.talkers[b].reads = false;
    w.group_send(a, "g", "*", false, &json!(1));
    w.advance(19_000);
    assert_eq!(w.talkers[b].closed, None);
    w.advance(5_000);
    assert_eq!(w.talkers[b].closed, Some(Reason::Slow));
    // one that has nothing to read may be silent for ever: there is no sign of life in this dialect
    w.advance(100_000_000);
    assert_eq!(w.talkers[a].closed, None);
    w.barrier(a);
}

#[test]
fn d4_one_that_asks_without_reading_is_closed_as_well() {
    let mut w = World::msgq(|s| s.msgq.outbox = 300_000);
    let (a, b) = (w.talker(), w.talker());
    w.talkers[a].reads = false;
    let mut stream = Vec::new();
    for i in 0..10_000 {
        let members = json!({"type": "send", "from": "a", "to": "*", "group": "void", "instance": "*", "seq": i, "want_answer": true});
        stream.extend(frame(&header(&members), b"{}"));
        stream.extend(frame(br#"{"type":"ping"}"#, b"1"));
    }
    w.feed(a, &stream);
    w.advance(5_000);
    assert_eq!(w.talkers[a].closed, Some(Reason::Slow));
    w.barrier(b);
}

#[test]
fn d12_many_that_do_not_read_leave_memory_for_those_that_do() {
    // 300 times 3 MiB would be more than there is
    let mut w = World::msgq(|_| {});
    let (a, good) = (w.talker(), w.talker());
    w.subscribe(good, "g");
    let deaf: Vec<usize> = (0..300).map(|_| w.talker()).collect();
    for &t in &deaf {
        w.subscribe(t, "g");
        w.talkers[t].reads = false;
    }
    for i in 0..60 {
        w.group_send(a, "g", "*", false, &json!("x".repeat(50_000)));
        assert_eq!(w.heard(good).len(), 1, "message {i}");
    }
    assert!(w.talkers[good].closed.is_none() && w.talkers[a].closed.is_none());
    w.advance(10_000);
    let closed = deaf.iter().filter(|t| w.talkers[**t].closed.is_some()).count();
    assert!(closed > 0, "memory was short");
    // the others have all of it still
    for &t in deaf.iter().filter(|t| w.talkers[**t].closed.is_none()).collect::<Vec<_>>() {
        w.talker_reads_again(t);
        assert_eq!(w.heard(t).len(), 60, "never a gap in a connection that stays open");
    }
}

#[test]
fn what_comes_before_getlname_is_held_back_until_its_answer() {
    // section 13, "better", and weak point D 19
    let mut w = World::msgq(|_| {});
    let watcher = w.talker();
    w.subscribe(watcher, "notifications/cc_members");
    w.heard(watcher);
    let b = w.stranger();
    let connected = w.heard_one(watcher);
    let lname = connected.json()["notification"][1]["client"].as_str().unwrap().to_string();
    let native = w.station("native");
    w.heard(watcher);
    // whoever reacts quickly
    for i in 0..100 {
        w.group_send(watcher, "hello", &lname, false, &json!(i));
    }
    let address = w.talkers[b].id.unwrap().number();
    w.send(native, &Letter { station: address, verb: "HELLO", ..Letter::default() });
    w.group_send(watcher, "hello", &lname, true, &command("do", json!(1)));
    assert_eq!(w.heard(b), [], "not a word before it has asked");
    w.introduce(b); // the first frame is the answer
    assert_eq!(w.talkers[b].lname, lname);
    let heard = w.heard(b);
    assert_eq!(heard.len(), 102);
    assert!(heard[..100].iter().enumerate().all(|(i, f)| f.json() == json!(i)), "in order");
    assert_eq!(heard[100].json(), json!({"command": ["HELLO"]}));
    w.group_reply(b, &heard[101], &json!({"result": [0]}));
    assert_eq!(w.heard(watcher).len(), 1);
}

#[test]
fn d12_what_is_held_back_is_bounded_too() {
    let mut w = World::msgq(|s| s.msgq.outbox = 300_000);
    let (a, b) = (w.talker(), w.stranger());
    let watcher = w.talker();
    w.subscribe(watcher, "notifications/cc_members");
    w.heard(watcher);
    // its name is the next number after A's: it is only known by a list
    w.group_send(a, "Msgq", "*", true, &command("members", json!(null)));
    let (_, all) = result(&w.heard_one(a));
    let known = [w.talkers[a].lname.clone(), w.talkers[watcher].lname.clone()];
    let lname = all
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|n| n.as_str())
        .find(|n| !known.contains(&n.to_string()) && !n.contains("_0@"));
    let lname = lname.expect("it is listed").to_string();
    for _ in 0..100 {
        w.group_send(a, "g", &lname, false, &json!("x".repeat(10_000)));
        w.advance(100);
    }
    w.advance(5_000);
    assert_eq!(w.talkers[b].closed, Some(Reason::Slow), "it was sent 1 MB and never spoke");
    w.barrier(a);
}

#[test]
fn d4_a_half_frame_blocks_nobody_and_is_not_waited_for_for_ever() {
    let mut w = World::msgq(|s| s.frame_within = Duration::from_secs(30));
    let (a, b) = (w.talker(), w.talker());
    let whole = frame(br#"{"type":"ping"}"#, &[0x5a; 60_000]);
    for part in [1, 4, 6, 10, 30_000] {
        let x = w.talker();
        w.feed(x, &whole[..part]);
        w.subscribe(b, "g");
        w.group_send(a, "g", "*", false, &json!(1));
        assert_eq!(w.heard(b).len(), 1);
        w.advance(29_000);
        assert_eq!(w.talkers[x].closed, None);
        w.advance(2_000);
        // the lengths alone cost nothing, and may be waited for
        let want = if part >= 6 { Some(Reason::Silent) } else { None };
        assert_eq!(w.talkers[x].closed, want, "{part} octets of a frame, then nothing");
    }
    w.barrier(a);
}
