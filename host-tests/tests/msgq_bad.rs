//! Every malformed case of `wire/msgq.md` section 14.3, and the weak points of section 18: only the
//! connection that did it ends, with its reason and a counter, and the others do not notice.

use chappe_core::model::{Change, Code, Watch};
use chappe_core::router::{Counter, Gate, Grant, Reason, Rights};
use chappe_host_tests::event::Seen;
use chappe_host_tests::msgq::{command, frame, header, result};
use chappe_host_tests::random::Random;
use chappe_host_tests::world::World;
use serde_json::json;

/// Two who talk to each other, and must go on doing so.
struct Others {
    a: usize,
    b: usize,
}

impl Others {
    fn new(w: &mut World) -> Self {
        let (a, b) = (w.talker(), w.talker());
        w.subscribe(b, "others");
        Others { a, b }
    }

    fn go_on(&self, w: &mut World, at: &str) {
        let seq = w.group_send(self.a, "others", "*", true, &command("do", json!(1)));
        let question = w.heard_one(self.b);
        w.group_reply(self.b, &question, &json!({"result": [0, 5]}));
        let answer = w.heard_one(self.a);
        assert_eq!((answer.header["reply"].as_i64(), result(&answer)), (Some(seq), (0, json!(5))), "{at}");
        w.barrier(self.a);
        w.barrier(self.b);
    }
}

/// A frame with these lengths, whatever is in it.
fn lengths(all: u32, head: u16, rest: &[u8]) -> Vec<u8> {
    [&all.to_be_bytes(), &head.to_be_bytes()[..], rest].concat()
}

fn nested(depth: usize, open: &str, close: &str) -> String {
    format!(
        r#"{{"type":"send","x":{}1{},"to":"*","group":"g","instance":"*"}}"#,
        open.repeat(depth),
        close.repeat(depth)
    )
}

#[test]
fn what_cannot_be_understood_ends_its_own_connection_only() {
    let long = "x".repeat(65_535 - 100);
    let text = |h: &str| frame(h.as_bytes(), b"{}");
    let cases: Vec<(&str, Vec<u8>)> = vec![
        // lengths, section 3
        ("L = 0", lengths(0, 0, b"")),
        ("L = 1", lengths(1, 0, b"")),
        ("H = 0", lengths(2, 0, b"")),
        ("H = 0 with a body", lengths(4, 0, b"{}")),
        ("H > L - 2", lengths(4, 3, b"{}")),
        ("H > L - 2 by far", lengths(20, 0xffff, &[b' '; 18])),
        ("L huge", lengths(u32::MAX, 20, br#"{"type": "getlname"}"#)),
        ("L one above the limit", lengths(2 + 65_535 + 65_536 + 1, 20, b"")),
        ("the body above the limit", lengths(2 + 20 + 65_537, 20, b"")),
        // headers
        ("not UTF-8", frame(b"{\"type\":\"ping\",\"x\":\"\xff\"}", b"")),
        ("cut inside a character", frame(b"{\"type\":\"ping\xc3\"}", b"")),
        ("UTF-16", frame(b"{\0\"\0", b"")),
        ("a byte order mark", text("\u{feff}{\"type\":\"ping\"}")),
        ("no JSON", text("{bad")),
        ("nothing but blanks", text("   ")),
        ("text behind the object", text(r#"{"type":"ping"} x"#)),
        ("two objects", text(r#"{"type":"ping"}{"type":"ping"}"#)),
        ("a list", text("[]")),
        ("a string", text(r#""ping""#)),
        ("a number", text("5")),
        ("null", text("null")),
        ("single quotes", text("{'type':'ping'}")),
        ("a comma too many", text(r#"{"type":"ping",}"#)),
        ("a comma too few", text(r#"{"type":"ping" "x":1}"#)),
        ("no colon", text(r#"{"type" "ping"}"#)),
        ("a key that is no string", text(r#"{"type":"ping",5:1}"#)),
        ("an unknown escape", text(r#"{"type":"ping","x":"\x41"}"#)),
        ("half an escape", text(r#"{"type":"ping","x":"\u00"}"#)),
        ("half a surrogate pair", text(r#"{"type":"ping","x":"\ud83d"}"#)),
        ("the wrong half first", text(r#"{"type":"ping","x":"\udc4b\ud83d"}"#)),
        ("a surrogate and a letter", text(r#"{"type":"ping","x":"\ud83d\u0041"}"#)),
        ("a string without end", text(r#"{"type":"ping","x":"}"#)),
        ("a leading plus", text(r#"{"type":"ping","x":+1}"#)),
        ("a leading zero", text(r#"{"type":"ping","x":01}"#)),
        ("a bare point", text(r#"{"type":"ping","x":.5}"#)),
        ("None", text(r#"{"type":"ping","x":None}"#)),
        ("nested deep", text(&nested(65, "[", "]"))),
        ("nested thousands deep", text(&nested(10_000, "[", "]"))),
        ("objects nested thousands deep", text(&nested(9_000, "{\"a\":", "}"))),
        ("opened and never closed", text(&"[".repeat(65_000))),
        ("opened objects never closed", text(&"{\"a\":".repeat(13_000))),
        ("one long string without end", text(&format!("{{\"type\":\"{long}"))),
        // what is missing, weak point A 2
        ("no type", text("{}")),
        ("no type but the rest", text(r#"{"from":"a","to":"*","group":"g","instance":"*","seq":1}"#)),
        ("subscribe without group", text(r#"{"type":"subscribe","instance":"*"}"#)),
        ("subscribe without instance", text(r#"{"type":"subscribe","group":"g"}"#)),
        ("unsubscribe without group", text(r#"{"type":"unsubscribe","instance":"*"}"#)),
        ("unsubscribe without instance", text(r#"{"type":"unsubscribe","group":"g"}"#)),
        ("send without to", text(r#"{"type":"send","group":"g","instance":"*"}"#)),
        ("send without group", text(r#"{"type":"send","to":"*","instance":"*"}"#)),
        ("send without instance", text(r#"{"type":"send","to":"*","group":"g"}"#)),
        (
            "an error without seq",
            text(r#"{"type":"send","from":"a","to":"*","group":"g","instance":"*","want_answer":true}"#),
        ),
        (
            "an error without from",
            text(r#"{"type":"send","to":"*","group":"g","instance":"*","seq":1,"want_answer":true}"#),
        ),
        // lists and objects as names
        ("to a list", text(r#"{"type":"send","to":["*"],"group":"g","instance":"*"}"#)),
        ("to an object", text(r#"{"type":"send","to":{},"group":"g","instance":"*"}"#)),
        ("group a list", text(r#"{"type":"send","to":"*","group":[],"instance":"*"}"#)),
        ("group an object", text(r#"{"type":"send","to":"*","group":{},"instance":"*"}"#)),
        ("instance a list", text(r#"{"type":"send","to":"*","group":"g","instance":[]}"#)),
        ("group a number", text(r#"{"type":"send","to":"*","group":5,"instance":"*"}"#)),
        ("instance a boolean", text(r#"{"type":"send","to":"*","group":"g","instance":true}"#)),
        ("subscribe to a number", text(r#"{"type":"subscribe","group":5,"instance":"*"}"#)),
        ("subscribe to a list", text(r#"{"type":"subscribe","group":["g"],"instance":"*"}"#)),
        ("an instance that is an object", text(r#"{"type":"subscribe","group":"g","instance":{}}"#)),
        // names that the bus cannot have
        (
            "subscribe to what is too long",
            text(&format!(r#"{{"type":"subscribe","group":"{}","instance":"*"}}"#, "g".repeat(129))),
        ),
        (
            "subscribe in what is too long",
            text(&format!(r#"{{"type":"subscribe","group":"g","instance":"{}"}}"#, "i".repeat(129))),
        ),
        (
            "subscribe to control characters",
            text("{\"type\":\"subscribe\",\"group\":\"a\\u0000b\",\"instance\":\"*\"}"),
        ),
    ];
    for (what, bytes) in cases {
        for piece in [usize::MAX, 1000, 1] {
            if piece == 1 && bytes.len() > 2000 {
                continue;
            }
            let mut w = World::msgq(|_| {});
            let others = Others::new(&mut w);
            let watcher = w.station("watcher");
            w.watch(watcher, &Watch { stations: true, ..Watch::default() });
            let x = w.talker();
            w.subscribe(x, "g");
            w.take(watcher);
            let address = w.talkers[x].id.unwrap().number();
            let before = w.router.counters().get(Counter::ClosedMalformed);
            w.piece = piece;
            w.talkers[x].heard.clear();
            w.feed(x, &bytes);
            assert_eq!(w.talkers[x].closed, Some(Reason::Malformed), "{what}");
            assert_eq!(w.heard(x), [], "{what}: there are no words for it");
            assert_eq!(w.router.counters().get(Counter::ClosedMalformed), before + 1, "{what}");
            let told = w.take(watcher);
            let bye = Seen::Presence {
                change: Change::Disconnected,
                station: address,
                name: String::new(),
                reason: Code::BadRequest,
            };
            assert_eq!(told, [bye], "{what}");
            others.go_on(&mut w, what);
        }
    }
}

#[test]
fn what_is_odd_but_understood_goes_on() {
    // the other rows of 14.3; those that are answered or ignored are in msgq_route.rs and msgq_ask.rs
    let mut w = World::msgq(|_| {});
    let others = Others::new(&mut w);
    let x = w.talker();
    for text in [
        r#"{"type":"send","to":"*","group":"g","instance":"*"}"#.to_string(),
        r#"{"type":"send","to":"gone","group":"g","instance":"*","want_answer":false}"#.into(),
        r#"{"type":"ping","x":1e999}"#.into(),
        r#"{"type":"ping","x":NaN,"y":[Infinity,-Infinity]}"#.into(),
        "{\"type\":\"hello\",\"raw\":\"\u{1}\u{7f}\n\t\"}".into(),
        nested(60, "[", "]"),
        format!(r#"{{"type":"unsubscribe","group":"{}","instance":"*"}}"#, "g".repeat(60_000)),
    ] {
        w.say_raw(x, &text, "");
        assert_eq!(w.talkers[x].closed, None, "{text}");
    }
    w.heard(x);
    // the longest header there is, and the longest body
    let pad = "p".repeat(65_535 - r#"{"type":"ping","p":""}"#.len());
    w.feed(x, &frame(format!(r#"{{"type":"ping","p":"{pad}"}}"#).as_bytes(), &[7; 65_536]));
    assert_eq!(w.heard_one(x).body, [7; 65_536]);
    others.go_on(&mut w, "odd");
}

#[test]
fn a_header_that_outgrows_its_length_is_not_delivered_and_the_sender_told_or_closed() {
    // section 14.1: when the node makes it longer
    for want in [false, true] {
        let mut w = World::msgq(|_| {});
        let others = Others::new(&mut w);
        let x = w.talker();
        let head = format!(
            r#"{{"type":"send","from":"x","to":"gone","group":"g","instance":"*","seq":1,"want_answer":{want},"p":""}}"#
        );
        let pad = "p".repeat(65_535 - head.len());
        w.say_raw(x, &head.replace(r#""p":"""#, &format!(r#""p":"{pad}""#)), "{}");
        // with `reply` the error does not fit
        assert_eq!(w.talkers[x].closed, want.then_some(Reason::Malformed), "want_answer {want}");
        assert_eq!(w.heard(x), []);
        others.go_on(&mut w, "outgrown");
    }
    // to somebody who is there it is as long as it was
    let mut w = World::msgq(|_| {});
    let (a, b) = (w.talker(), w.talker());
    w.subscribe(b, "g");
    let head = r#"{"type":"send","from":"x","to":"*","group":"g","instance":"*","seq":1,"want_answer":true,"p":""}"#;
    let pad = "p".repeat(65_535 - head.len());
    w.say_raw(a, &head.replace(r#""p":"""#, &format!(r#""p":"{pad}""#)), "{}");
    assert_eq!(w.heard_one(b).text.len(), 65_535);
    // and when that one goes, there is no frame that could tell the asker: it is let go of
    w.hang_up(b);
    assert_eq!(w.talkers[a].closed, Some(Reason::Malformed));
}

#[test]
fn an_end_of_stream_anywhere_is_an_end() {
    let whole = frame(br#"{"type":"subscribe","group":"g","instance":"*"}"#, b"body");
    for at in 0..whole.len() {
        let mut w = World::msgq(|_| {});
        let (x, y) = (w.talker(), w.talker());
        w.feed(x, &whole[..at]);
        w.hang_up(x);
        let seq = w.group_send(y, "g", "*", true, &json!(1));
        assert_eq!(w.heard_one(y).header["reply"], json!(seq), "cut at {at}: nothing was carried out");
        assert_eq!(w.used("stations"), 1);
    }
    // what was whole before the end counts
    let mut w = World::msgq(|_| {});
    let (x, y) = (w.talker(), w.talker());
    w.subscribe(y, "g");
    let send = json!({"type": "send", "from": "x", "to": "*", "group": "g", "instance": "*", "seq": 1});
    let mut bytes = frame(&header(&send), b"1");
    bytes.extend(&whole[..9]);
    w.feed(x, &bytes);
    w.hang_up(x);
    assert_eq!(w.heard(y).len(), 1);
}

#[test]
fn a_huge_length_costs_nothing_and_blocks_nobody() {
    let mut w = World::msgq(|s| s.msgq.max_body = 100_000);
    let others = Others::new(&mut w);
    let before = w.used("buffer_blocks");
    let slow: Vec<usize> = (0..100).map(|_| w.talker()).collect();
    for (i, &t) in slow.iter().enumerate() {
        // announced, and then only a little of it
        w.feed(t, &lengths(2 + 20 + 100_000, 20, &br#"{"type": "getlname"}"#[..i % 20]));
    }
    let taken = w.used("buffer_blocks") - before;
    assert!((1..=100).contains(&taken), "{taken} blocks: one each at most");
    others.go_on(&mut w, "100 announced frames");
    w.advance(40_000);
    others.go_on(&mut w, "later");
    assert!(slow.iter().filter(|t| w.talkers[**t].closed == Some(Reason::Silent)).count() >= 99);
}

#[test]
fn a_thousand_that_leave_at_once_are_told_one_by_one() {
    // weak point B 8: 400 of 8 groups each locked the original
    let mut w = World::msgq(|_| {});
    let others = Others::new(&mut w);
    let watcher = w.talker();
    w.subscribe(watcher, "notifications/cc_members");
    let many: Vec<usize> = (0..1000).map(|_| w.talker()).collect();
    for &t in &many {
        for g in 0..8 {
            w.talkers[t]
                .output
                .extend(frame(&header(&json!({"type": "subscribe", "group": format!("g{g}"), "instance": "*"})), b""));
        }
    }
    w.drive();
    assert_eq!(w.heard(watcher).len(), 1 + 1000 + 8000);
    // all connections end in one turn of the shell, before anything is written
    for &t in &many {
        let id = w.talkers[t].id.take().unwrap();
        w.router.closed(w.now, id);
    }
    w.drive();
    let told = w.heard(watcher);
    assert_eq!(told.len(), 9000);
    let gone = told.iter().filter(|f| f.json()["notification"][0] == json!("disconnected")).count();
    assert_eq!(gone, 1000);
    assert_eq!(w.talkers[watcher].closed, None);
    others.go_on(&mut w, "after a thousand left");
    assert_eq!((w.used("stations"), w.used("memberships")), (3, 2));
}

#[test]
fn one_may_leave_while_it_is_sent_to() {
    // weak point A 4: in one turn a send, the end of its receiver, and what the transport says
    // about a connection that is gone already
    let mut w = World::msgq(|_| {});
    let others = Others::new(&mut w);
    for how in 0..4 {
        let (a, b) = (w.talker(), w.talker());
        w.subscribe(b, "g");
        w.talkers[b].reads = false;
        let seq = w.group_send(a, "g", "*", true, &json!(1));
        let id = w.talkers[b].id.unwrap();
        match how {
            0 => w.hang_up(b),
            1 => w.unsubscribe(b, "g"),
            2 => w.say_raw(b, "{}", ""),
            _ => {
                w.talkers[b].id = None;
                w.router.closed(w.now, id);
                w.router.closed(w.now, id);
            }
        }
        // stale news of the transport
        w.router.sent(w.now, id, 1000);
        w.router.writable(w.now, id);
        assert_eq!(w.router.receive(w.now, id, b"\0\0\0\0\0\0"), 6);
        w.drive();
        assert_eq!(result(&w.heard_one(a)).0, -2, "{how}");
        let again = w.group_send(a, "g", "*", true, &json!(1));
        let told = w.heard_one(a);
        assert_eq!((result(&told).0, told.header["reply"].as_i64()), (-1, Some(again)), "{how}: {seq}");
        others.go_on(&mut w, "sent to one that leaves");
    }
}

#[test]
fn stop_is_refused_unless_it_is_allowed_and_said_by_a_manager() {
    for (allowed, rights, stops) in [
        (false, Rights::ALL, false),
        (true, Rights::READ | Rights::WRITE, false),
        (true, Rights::ALL, true),
        (true, Rights::MANAGE, true),
    ] {
        let mut w = World::msgq(|s| s.msgq.stop = allowed);
        let x = w.stranger_with(rights);
        w.introduce(x);
        w.say_raw(x, r#"{"type":"stop"}"#, "");
        let asked = w.router.stop_asked();
        assert_eq!(asked.is_some(), stops, "allowed {allowed}, {rights:?}");
        assert_eq!(w.router.stop_asked(), None, "told once");
        assert_eq!(w.talkers[x].closed, None, "it is refused without a word, and its connection stays");
        w.barrier(x);
    }
}

#[test]
fn rights_are_kept_in_this_dialect_too() {
    let mut w = World::msgq(|_| {});
    let (all, reader, writer) = (w.talker(), w.stranger_with(Rights::READ), w.stranger_with(Rights::WRITE));
    for t in [reader, writer] {
        w.introduce(t);
    }
    w.subscribe(reader, "g");
    w.group_send(all, "g", "*", false, &json!(1));
    w.group_send(writer, "g", "*", false, &json!(2));
    assert_eq!(w.heard_bodies(reader), [json!(1), json!(2)]);
    // one without the right to send is told if it wants to know
    let seq = w.group_send(reader, "g", "*", true, &json!(3));
    let told = w.heard_one(reader);
    assert_eq!((told.header["reply"].as_i64(), result(&told).0), (Some(seq), -(Code::Refused.number() as i64)));
    w.group_send(reader, "g", "*", false, &json!(3));
    assert_eq!((w.heard(all), w.talkers[reader].closed), (vec![], None));
    assert!(w.router.counters().get(Counter::Refused) >= 2);
    // one without the right to read cannot be told that it did not join: it is let go of
    w.subscribe(writer, "g");
    assert_eq!(w.talkers[writer].closed, Some(Reason::Denied));
    assert_eq!(w.router.counters().get(Counter::ClosedDenied), 1);
    // nor does it see who is there
    let writer = w.stranger_with(Rights::WRITE);
    w.introduce(writer);
    for argument in [json!(null), json!({"group": "g"})] {
        w.group_send(writer, "Msgq", "*", true, &command("members", argument));
        assert_eq!(result(&w.heard_one(writer)).0, 1);
    }
}

/// Users have the names that begin with their own.
struct Restricted;

impl Gate for Restricted {
    fn check(&self, _: &str, _: &[u8]) -> Option<Grant> {
        None
    }
    fn allows(&self, _: Grant, _: Rights, name: &str) -> bool {
        name.starts_with("mine")
    }
}

#[test]
fn grants_of_certain_names_hold_for_groups() {
    static GATE: Restricted = Restricted;
    let mut w = World::msgq_with_gate(&GATE, |_| {});
    let newcomer = chappe_core::router::Newcomer {
        dialect: chappe_core::dialect::Dialect::Msgq,
        grant: Grant { rights: Rights::ALL, restricted: true, number: 1 },
        ..Default::default()
    };
    let a = w.talker();
    let x = w.admitted(newcomer);
    w.introduce(x);
    w.subscribe(a, "mine/x");
    w.subscribe(a, "yours");
    w.subscribe(x, "mine/y");
    w.group_send(x, "mine/x", "*", true, &json!(1));
    assert_eq!(w.heard(a).len(), 1);
    w.group_send(x, "yours", "*", true, &json!(1));
    assert_eq!((w.heard(a).len(), result(&w.heard_one(x)).0), (0, -(Code::Refused.number() as i64)));
    // addresses are not names
    let lname = w.talkers[a].lname.clone();
    w.group_send(x, "mine/x", &lname, true, &json!(1));
    assert_eq!((w.heard(a).len(), result(&w.heard_one(x)).0), (0, -(Code::Refused.number() as i64)));
    // but what it was asked it may answer
    w.group_send(a, "mine/y", "*", true, &json!(1));
    let question = w.heard_one(x);
    w.group_reply(x, &question, &json!({"result": [0]}));
    assert_eq!(w.heard(a).len(), 1);
    w.subscribe(x, "yours");
    assert_eq!(w.talkers[x].closed, Some(Reason::Denied));
}

#[test]
fn names_used_once_are_forgotten() {
    // weak point C 17
    let mut w = World::msgq(|_| {});
    let a = w.talker();
    let before = w.used("names");
    for i in 0..20_000 {
        let group = format!("group {i}");
        w.subscribe(a, &group);
        w.group_send(a, &group, "*", false, &json!(1));
        w.unsubscribe(a, &group);
    }
    assert_eq!(w.used("names"), before);
    w.barrier(a);
}

#[test]
fn d12_more_groups_than_there_may_be_end_only_who_joins_them() {
    let mut w = World::msgq(|s| s.joins = 100);
    let others = Others::new(&mut w);
    let x = w.talker();
    for i in 0..100 {
        w.subscribe(x, &i.to_string());
    }
    assert_eq!(w.talkers[x].closed, None);
    w.subscribe(x, "5"); // said again is no more
    assert_eq!(w.talkers[x].closed, None);
    w.subscribe(x, "one more");
    assert_eq!(w.talkers[x].closed, Some(Reason::Denied));
    others.go_on(&mut w, "after one too many");
}

#[test]
fn d8_a_name_held_by_one_alone_is_refused() {
    let mut w = World::msgq(|_| {});
    let (s, x) = (w.station("service"), w.talker());
    w.join_as(s, &chappe_core::model::Join { name: "ConfigManager", exclusive: true, ..Default::default() });
    w.subscribe(x, "ConfigManager");
    assert_eq!(w.talkers[x].closed, Some(Reason::Denied), "weak point D 24: an alias can be protected");
    let y = w.talker();
    w.group_send(y, "ConfigManager", "*", true, &command("do", json!(1)));
    assert_eq!(w.letters(s).len(), 1);
}

#[test]
fn noise_never_hurts_the_others() {
    let whole = [
        frame(br#"{"type":"getlname"}"#, b""),
        frame(br#"{"type":"subscribe","group":"others","instance":"*"}"#, b""),
        frame(br#"{"type":"send","from":"x","to":"*","group":"void","instance":"*","seq":1,"want_answer":true}"#, b"{}"),
        frame(br#"{"type":"send","from":"x","to":"*","group":"Msgq","instance":"*","seq":1}"#, br#"{"command":["members"]}"#),
        frame(br#"{"type":"send","from":"\u00e9","to":"*","group":"\u00e9","instance":"\ud83d\udc4b","seq":1,"want_answer":1}"#, b"5"),
    ]
    .concat();
    let mut ended = 0;
    for seed in 0..300 {
        let mut random = Random::new(seed);
        let mut w = World::msgq(|_| {});
        w.piece = 1 + random.below(100);
        let others = Others::new(&mut w);
        let x = w.stranger();
        w.talkers[x].asks_first = false;
        w.talkers[x].any_body = true;
        let mut bytes = whole.clone();
        for _ in 0..1 + random.below(4) {
            let at = random.below(bytes.len());
            match random.below(3) {
                0 => bytes[at] = random.next() as u8,
                1 => _ = bytes.remove(at),
                _ => bytes.insert(at, b"{}[]\",:\\u0*"[random.below(11)]),
            }
        }
        w.feed(x, &bytes);
        ended += w.talkers[x].closed.is_some() as u32;
        w.hang_up(x);
        others.go_on(&mut w, &format!("seed {seed}"));
    }
    assert!(ended > 50, "only {ended} were broken");
}
