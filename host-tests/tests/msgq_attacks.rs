//! What a hostile review of the dialect of MSGQ found: each test failed once.

use chappe_core::dialect::Dialect;
use chappe_core::id::StationId;
use chappe_core::model::{Declare, Letter};
use chappe_core::router::{Counter, Gate, Grant, Newcomer, Rights};
use chappe_core::time::Duration;
use chappe_host_tests::msgq::{command, frame, header, result};
use chappe_host_tests::world::World;
use serde_json::json;

/// As a turn of the daemon, in which many are heard before anything is written, unless the
/// router takes no more before that.
fn hear(w: &mut World, t: usize, bytes: &[u8]) {
    let id = w.talkers[t].id.unwrap();
    while w.router.receive(w.now, id, bytes) == 0 {
        w.drive();
    }
}

fn message(group: &str, size: usize) -> Vec<u8> {
    let members = json!({"type": "send", "from": "a", "to": "*", "group": group, "instance": "*", "seq": 1});
    frame(&header(&members), format!("\"{}\"", "x".repeat(size)).as_bytes())
}

/// One message to a large group: all read, and many are closed.
#[test]
fn d4_one_message_to_many_that_read_closes_none_of_them() {
    let mut w = World::msgq(|_| {}); // 48 MiB for all, 3 MiB for each
    let a = w.talker();
    let readers: Vec<usize> = (0..800).map(|_| w.talker()).collect();
    for &t in &readers {
        w.subscribe(t, "g");
    }
    w.feed(a, &message("g", 65_000));
    w.advance(10_000);
    let closed: Vec<_> = readers.iter().filter_map(|t| w.talkers[*t].closed).collect();
    assert!(closed.is_empty(), "{} of 800 that read everything were closed: {:?}", closed.len(), closed[0]);
}

/// Small messages that come in one read: the same.
#[test]
fn d4_one_read_of_small_messages_to_many_that_read_closes_none_of_them() {
    let mut w = World::msgq(|_| {});
    let a = w.talker();
    let readers: Vec<usize> = (0..1000).map(|_| w.talker()).collect();
    for &t in &readers {
        w.subscribe(t, "g");
    }
    let mut stream = Vec::new();
    while stream.len() < 64_000 {
        stream.extend(message("g", 20));
    }
    w.feed(a, &stream);
    w.advance(10_000);
    let closed: Vec<_> = readers.iter().filter_map(|t| w.talkers[*t].closed).collect();
    assert!(closed.is_empty(), "{} of 1000 that read everything were closed: {:?}", closed.len(), closed[0]);
}

/// Many that finish a frame in the same turn, and all talk to one.
#[test]
fn d4_many_that_talk_to_one_that_reads_in_one_turn_do_not_close_it() {
    let mut w = World::msgq(|_| {}); // 3 MiB
    let collector = w.talker();
    w.subscribe(collector, "Stats");
    let senders: Vec<usize> = (0..60).map(|_| w.talker()).collect();
    let f = message("Stats", 60_000);
    let (most, last) = f.split_at(f.len() - 1);
    for &t in &senders {
        w.feed(t, most);
    }
    // one turn: 60 octets come in all
    for &t in &senders {
        hear(&mut w, t, last);
    }
    w.drive();
    w.advance(10_000);
    assert_eq!(w.talkers[collector].closed, None, "it reads all it is offered");
    assert_eq!(w.heard(collector).len(), 60);
}

/// Answered questions count as open for five minutes if somebody else who was asked is silent.
#[test]
fn d12_questions_that_were_answered_are_not_counted_as_open() {
    let mut w = World::msgq(|s| s.asks = 20);
    let (a, b, c) = (w.talker(), w.talker(), w.talker());
    w.subscribe(b, "svc");
    w.subscribe(c, "svc"); // hears what b hears, and never answers (wire/msgq.md 16.4)
    for i in 0..30 {
        w.group_send(a, "svc", "*", true, &command("do", json!(1)));
        if let Some(question) = w.heard(b).pop() {
            w.group_reply(b, &question, &json!({"result": [0, i]}));
        }
        let answer = w.heard_one(a);
        assert_eq!(result(&answer), (0, json!(i)), "call {i}, with no call open");
    }
}

/// The same until the table of all is full: nobody can ask any more, in any dialect.
#[test]
fn d12_answered_questions_of_a_few_do_not_keep_all_others_from_asking() {
    let mut w = World::msgq(|_| {});
    let (b, c) = (w.talker(), w.talker());
    w.subscribe(b, "svc");
    w.subscribe(c, "svc");
    for _ in 0..5 {
        let a = w.talker();
        for _ in 0..1000 {
            w.group_send(a, "svc", "*", true, &command("do", json!(1)));
            if let Some(question) = w.heard(b).pop() {
                w.group_reply(b, &question, &json!({"result": [0]}));
            }
            w.heard(a);
        }
        w.heard(c);
    }
    let n = w.station("native");
    let callee = w.station("callee");
    w.join(callee, "other");
    let seq = w.call(n, &Letter { name: "other", ..Letter::default() });
    let question = w.letters(callee).pop();
    assert!(question.is_some(), "no question is open: {:?} {:?}", w.usage("requests"), w.replies(n, seq));
}

/// Mail that still waits closes a member that reads, and the node's own greeting does it.
#[test]
fn d9_mail_that_waits_does_not_close_who_joins() {
    for (group, greeted) in [("ConfigManager", true), ("box", false)] {
        let mut w = World::msgq(|s| s.outbox = 5000);
        let n = w.station("n");
        let a = w.talker();
        w.stations[n].client.declare(&Declare { name: group, ..Declare::default() }).unwrap();
        w.drive();
        for _ in 0..3 {
            w.send(n, &Letter { name: group, keep: true, body: &[b'x'; 3000], ..Letter::default() });
        }
        let b = w.talker();
        if !greeted {
            w.talkers[b].reads = false; // for a moment: it has 3 MiB
        }
        w.subscribe(b, group);
        if !greeted {
            w.group_send(a, group, "*", false, &json!(1));
            w.talker_reads_again(b);
        }
        w.advance(10_000);
        assert_eq!(w.talkers[b].closed, None, "{group}: some kilobytes wait for it");
        assert_eq!(w.heard(b).len(), if greeted { 5 } else { 4 });
    }
}

/// Silent strangers hold the memory of all, for ever; who reads is closed for it.
#[test]
fn d4_what_is_held_back_for_silent_strangers_costs_only_them() {
    let mut w = World::msgq(|_| {});
    let (good, a) = (w.talker(), w.talker());
    w.subscribe(good, "g");
    let strangers: Vec<usize> = (0..400).map(|_| w.stranger()).collect();
    let boot = w.talkers[a].lname.split('_').next().unwrap().to_string();
    let host = w.talkers[a].lname.split('@').nth(1).unwrap().to_string();
    let evil = w.talker();
    'full: for _ in 0..60 {
        for &t in &strangers {
            let Some(id) = w.talkers[t].id else { continue };
            let lname = format!("{boot}_{:x}@{host}", id.number());
            if w.usage("buffer_blocks").limit - w.usage("buffer_blocks").used < w.usage("buffer_blocks").limit / 8 + 300
            {
                break 'full;
            }
            w.group_send(evil, "x", &lname, false, &json!("x".repeat(60_000)));
        }
    }
    let held = strangers.iter().filter(|t| w.talkers[**t].closed.is_none()).count();
    // an hour: nothing of that has been taken by anybody
    w.advance(3_600_000);
    let later = strangers.iter().filter(|t| w.talkers[**t].closed.is_none()).count();
    w.group_send(a, "g", "*", false, &json!("x".repeat(65_000)));
    w.advance(10_000);
    assert_eq!(
        w.talkers[good].closed,
        None,
        "it reads, and nothing waits for it; {held} strangers hold {:?}, {later} after an hour",
        w.usage("buffer_blocks")
    );
}

/// The same with headers of questions: they are nobody's whom the node would let go of.
#[test]
fn d4_headers_of_open_questions_cost_only_who_asks() {
    let mut w = World::msgq(|_| {});
    let (good, a) = (w.talker(), w.talker());
    w.subscribe(good, "g");
    let callee = w.talker();
    w.subscribe(callee, "sink");
    let limit = w.usage("buffer_blocks").limit;
    'full: for round in 0..60 {
        let evil = w.talker();
        let pad = "x".repeat(if round < 20 { 64_000 } else { 5_000 });
        for seq in 0..40 {
            let members = json!({"type": "send", "from": "e", "to": "*", "group": "sink", "instance": "*", "seq": seq, "want_answer": true, "pad": pad});
            w.say(evil, &members, b"{}");
            w.talkers[callee].heard.clear();
            if limit - w.usage("buffer_blocks").used < limit / 8 + 240 {
                break 'full;
            }
        }
    }
    w.group_send(a, "g", "*", false, &json!("x".repeat(65_000)));
    w.advance(10_000);
    assert_eq!(w.talkers[good].closed, None, "{:?}", w.usage("buffer_blocks"));
}

/// What is put aside for a silent stranger closes somebody else, who is only a little slow.
#[test]
fn d4_no_message_to_one_closes_another() {
    let mut w = World::msgq(|_| {});
    let (slow, a) = (w.talker(), w.talker());
    w.subscribe(slow, "g");
    w.talkers[slow].reads = false;
    // 300 KB of its 3 MiB wait for it
    for _ in 0..5 {
        w.group_send(a, "g", "*", false, &json!("x".repeat(60_000)));
    }
    let lname = w.talkers[a].lname.clone();
    let (boot, host) = (lname.split('_').next().unwrap(), lname.split('@').nth(1).unwrap());
    let evil = w.talker();
    for _ in 0..30 {
        let t = w.stranger();
        w.talkers[t].asks_first = false; // what is held is written once it is closed
        let to = format!("{boot}_{:x}@{host}", w.talkers[t].id.unwrap().number());
        for _ in 0..40 {
            w.group_send(evil, "x", &to, false, &json!("x".repeat(60_000)));
        }
    }
    w.talker_reads_again(slow);
    w.advance(3000);
    assert_eq!(w.talkers[slow].closed, None);
    assert_eq!(w.heard(slow).len(), 5);
}

/// Many that are let go of in one tick: a watcher that reads is closed.
#[test]
fn d7_many_that_end_in_one_tick_do_not_close_who_watches() {
    let mut w = World::msgq(|s| {
        s.msgq.outbox = 2 << 20; // the least a daemon takes
        s.msgq.stalled_after = Duration::from_secs(20);
    });
    let (watcher, a) = (w.talker(), w.talker());
    w.subscribe(watcher, "notifications/cc_members");
    let deaf: Vec<usize> = (0..600).map(|_| w.talker()).collect();
    for &t in &deaf {
        for i in 0..16 {
            w.subscribe(t, &format!("group {i}"));
        }
    }
    w.heard(watcher);
    for &t in &deaf {
        w.talkers[t].reads = false;
    }
    w.group_send(a, "group 0", "*", false, &json!(1));
    w.advance(30_000);
    assert_eq!(w.talkers[watcher].closed, None, "it reads everything");
    assert_eq!(w.heard(watcher).len(), 600 * 17);
}

struct OnlyX;
impl Gate for OnlyX {
    fn check(&self, _: &str, _: &[u8]) -> Option<Grant> {
        None
    }
    fn allows(&self, _: Grant, _: Rights, name: &str) -> bool {
        name == "x"
    }
}
static ONLY_X: OnlyX = OnlyX;

fn restricted(w: &mut World, rights: Rights) -> StationId {
    let grant = Grant { rights, restricted: true, number: 1 };
    w.router.admit(w.now, Newcomer { dialect: Dialect::Msgq, grant, ..Newcomer::default() }).unwrap()
}

/// Who may manage the one name `x` may end the daemon.
#[test]
fn a_grant_for_certain_names_is_none_to_stop_the_node() {
    let mut w = World::msgq_with_gate(&ONLY_X, |s| s.msgq.stop = true);
    let id = restricted(&mut w, Rights::ALL);
    let _ = w.router.receive(w.now, id, &frame(br#"{"type": "stop"}"#, b""));
    assert_eq!(w.router.stop_asked(), None);
}

/// Questions to the node's own name.
#[test]
fn d5_a_question_to_the_node_is_answered_once_whoever_else_has_its_name() {
    let mut w = World::msgq(|_| {});
    let (a, b) = (w.talker(), w.talker());
    w.subscribe(b, "Msgq");
    w.group_send(a, "Msgq", "*", true, &command("members", json!({"group": "void"})));
    assert!(w.heard(b).is_empty(), "the question is the node's");
    let heard = w.heard(a);
    assert_eq!(heard.len(), 1, "{:?}", heard.iter().map(|f| f.json()).collect::<Vec<_>>());
}

#[test]
fn d5_a_question_to_the_node_is_answered_whatever_it_is() {
    let mut w = World::msgq(|_| {});
    let a = w.talker();
    let node = {
        w.group_send(a, "Msgq", "*", true, &command("AreYouThere?", json!(null)));
        w.heard_one(a).text_of("from").to_string()
    };
    let mut silent = Vec::new();
    for (group, to, body) in [
        ("Msgq", "*", json!(5)),
        ("Msgq", "*", json!(null)),
        ("news", node.as_str(), command("do", json!(1))),
        ("ConfigManager", node.as_str(), command("do", json!(1))),
    ] {
        w.group_send(a, group, to, true, &body);
        w.advance(1_300_000);
        if w.heard(a).is_empty() {
            silent.push(format!("{group} {to} {body}"));
        }
    }
    assert!(silent.is_empty(), "no answer ever: {silent:#?}");
}

/// Somebody who listens keeps the node from introducing itself.
#[test]
fn the_manager_is_greeted_whoever_else_listens() {
    let mut w = World::msgq(|_| {});
    let n = w.station("chappe listen");
    w.join(n, "ConfigManager");
    let m = w.talker();
    w.subscribe(m, "ConfigManager");
    assert_eq!(w.heard(m).len(), 2, "the first one of its dialect");
}

/// Notices reached who has joined a pattern only while somebody else had joined the name.
#[test]
fn notices_are_for_members_of_the_very_name_whoever_else_listens() {
    let mut w = World::msgq(|_| {});
    let n = w.station("n");
    w.join(n, "notifications/*");
    w.take(n);
    w.talker();
    let alone = w.letters(n).len();
    let m = w.talker();
    w.subscribe(m, "notifications/cc_members");
    w.letters(n);
    w.talker();
    assert_eq!(alone, w.letters(n).len(), "one more listener makes no difference to this one");
}

/// Half frames of others: who sends a whole one is closed.
#[test]
fn d4_half_frames_of_others_do_not_close_who_sends() {
    let mut w = World::msgq(|_| {});
    let (a, b) = (w.talker(), w.talker());
    w.subscribe(b, "g");
    let half = message("x", 65_000);
    for i in 0..900 {
        let t = w.stranger();
        w.feed(t, &half[..if i < 690 { 64_000 } else { 4_000 }]);
    }
    let f = message("g", 65_000);
    w.feed(a, &f[..40_000]);
    w.feed(a, &f[40_000..]);
    w.advance(3000);
    assert_eq!(w.talkers[a].closed, None, "{:?}", w.usage("buffer_blocks"));
    assert_eq!(w.heard(b).len(), 1);
}

/// One station alone fills the table of debts.
#[test]
fn d12_questions_of_one_to_a_large_group_leave_room_for_others() {
    let mut w = World::msgq(|_| {});
    let members: Vec<usize> = (0..1000).map(|_| w.talker()).collect();
    for &t in &members {
        w.subscribe(t, "all");
    }
    let evil = w.talker();
    for _ in 0..9 {
        w.group_send(evil, "all", "*", true, &json!(1));
    }
    let n = w.station("native");
    let callee = w.station("callee");
    w.join(callee, "other");
    let seq = w.call(n, &Letter { name: "other", ..Letter::default() });
    assert_eq!(w.letters(callee).len(), 1, "{:?}; {}", w.replies(n, seq), w.router.counters().get(Counter::Asks));
}

/// A long answer of this dialect closes a native asker that reads, instead of TOO_BIG.
#[test]
fn d5_an_answer_that_is_too_long_is_an_answer_and_not_the_end() {
    let mut w = World::msgq(|s| s.outbox = 10_000);
    let (n, b) = (w.station("native"), w.talker());
    w.subscribe(b, "svc");
    let seq = w.call(n, &Letter { name: "svc", verb: "STATS", ..Letter::default() });
    let question = w.heard_one(b);
    w.group_reply(b, &question, &json!({"result": [0, "x".repeat(60_000)]}));
    w.advance(5_000);
    assert_eq!(w.stations[n].closed, [], "{:?}", w.stations[n].seen);
    assert_eq!(w.replies(n, seq).len(), 1);
}

/// Answers twice.
#[test]
fn d5_a_callee_that_answers_twice_is_heard_once() {
    for others in 0..3 {
        let mut w = World::msgq(|_| {});
        let (a, b) = (w.talker(), w.talker());
        w.subscribe(b, "svc");
        for _ in 0..others {
            let c = w.talker();
            w.subscribe(c, "svc");
        }
        w.group_send(a, "svc", "*", true, &command("do", json!(1)));
        let question = w.heard_one(b);
        for i in 0..3 {
            w.group_reply(b, &question, &json!({"result": [0, i]}));
        }
        let heard = w.heard(a);
        assert_eq!(heard.len(), 1, "{others} others: {:?}", heard.iter().map(|f| f.json()).collect::<Vec<_>>());
    }
}
