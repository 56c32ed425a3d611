//! Who is there, in the dialect of MSGQ: the notifications of `wire/msgq.md` section 13 and the
//! `members` of 12.3. D7: leaving is visible, memberships first, each change once; to watchers of
//! every dialect.

use chappe_core::model::{Change, Code, Join, Leave, Watch};
use chappe_host_tests::event::Seen;
use chappe_host_tests::msgq::{Frame, command, result};
use chappe_host_tests::random::Random;
use chappe_host_tests::world::World;
use serde_json::{Value, json};
use std::collections::BTreeSet;

const NOTICES: &str = "notifications/cc_members";

/// What a notification says: event, client, group.
fn notice(f: &Frame) -> (String, String, Option<String>) {
    assert_eq!(
        f.header,
        json!({"type": "send", "from": f.header["from"], "to": "*", "group": NOTICES, "instance": "*",
            "seq": f.header["seq"], "want_answer": false}),
        "section 13"
    );
    assert!(f.header["seq"].is_i64() && f.text_of("from").contains("_0@"), "{}", f.text);
    let body = f.json();
    let event = body["notification"][0].as_str().expect("an event");
    let client = body["notification"][1]["client"].as_str().expect("a client");
    let group = body["notification"][1]["group"].as_str();
    // the exact shape, no more and no less
    let about = match group {
        Some(group) => json!({"client": client, "group": group}),
        None => json!({"client": client}),
    };
    assert_eq!(body, json!({"notification": [event, about]}));
    (event.into(), client.into(), group.map(str::to_string))
}

fn notices(w: &mut World, t: usize) -> Vec<(String, String, Option<String>)> {
    w.heard(t).iter().map(notice).collect()
}

fn news(event: &str, client: &str, group: Option<&str>) -> (String, String, Option<String>) {
    (event.into(), client.into(), group.map(str::to_string))
}

fn members(w: &mut World, t: usize, group: Option<&str>) -> BTreeSet<String> {
    let argument = group.map_or(Value::Null, |g| json!({"group": g}));
    let seq = w.group_send(t, "Msgq", "*", true, &command("members", argument));
    let answer = w.talkers[t].heard.pop().expect("an answer at once");
    assert_eq!((answer.header["reply"].as_i64(), answer.text_of("group")), (Some(seq), "Msgq"));
    let (code, list) = result(&answer);
    assert_eq!(code, 0);
    let all: Vec<String> = serde_json::from_value(list).expect("a list of names");
    let set: BTreeSet<String> = all.iter().cloned().collect();
    assert_eq!(set.len(), all.len(), "somebody is listed twice: {all:?}");
    set
}

#[test]
fn d7_a_life_is_told_in_order_and_each_change_once() {
    for how in ["end of stream", "broken frame"] {
        let mut w = World::msgq(|_| {});
        let watcher = w.talker();
        w.subscribe(watcher, NOTICES);
        let me = w.talkers[watcher].lname.clone();
        assert_eq!(notices(&mut w, watcher), [news("subscribed", &me, Some(NOTICES))], "its own subscription");
        let b = w.talker();
        let lname = w.talkers[b].lname.clone();
        w.subscribe(b, "x");
        w.subscribe(b, "y");
        w.say(b, &json!({"type": "subscribe", "group": "y", "instance": "i"}), b"");
        let of = |event, group| news(event, &lname, group);
        let joined = |g| of("subscribed", Some(g));
        assert_eq!(notices(&mut w, watcher), [of("connected", None), joined("x"), joined("y"), joined("y")]);
        match how {
            "end of stream" => w.hang_up(b),
            _ => w.say_raw(b, "{}", ""),
        }
        let mut told = notices(&mut w, watcher);
        assert_eq!(told.pop(), Some(of("disconnected", None)), "{how}");
        told.sort();
        let left = |g| of("unsubscribed", Some(g));
        assert_eq!(told, [left("x"), left("y")], "once a group: {how}");
    }
}

#[test]
fn subscribing_again_is_announced_again_and_leaving_nothing_is_not() {
    let mut w = World::msgq(|_| {});
    let (watcher, b) = (w.talker(), w.talker());
    w.subscribe(watcher, NOTICES);
    w.heard(watcher);
    let lname = w.talkers[b].lname.clone();
    for _ in 0..3 {
        w.subscribe(b, "g");
    }
    let told = notices(&mut w, watcher);
    assert_eq!(told, vec![news("subscribed", &lname, Some("g")); 3]);
    w.unsubscribe(b, "g");
    w.unsubscribe(b, "g");
    w.say(b, &json!({"type": "unsubscribe", "group": "g", "instance": "i"}), b"");
    w.unsubscribe(b, "never");
    assert_eq!(notices(&mut w, watcher), [news("unsubscribed", &lname, Some("g"))]);
    // of two instances each is announced when left
    w.subscribe(b, "g");
    w.say(b, &json!({"type": "subscribe", "group": "g", "instance": "i"}), b"");
    w.heard(watcher);
    w.unsubscribe(b, "g");
    assert_eq!(
        notices(&mut w, watcher),
        [news("unsubscribed", &lname, Some("g"))],
        "although it is still in the group"
    );
}

#[test]
fn a_watcher_hears_of_joining_but_not_of_leaving_the_notifications() {
    let mut w = World::msgq(|_| {});
    let (a, b) = (w.talker(), w.talker());
    w.subscribe(a, NOTICES);
    w.subscribe(b, NOTICES);
    let other = w.talkers[b].lname.clone();
    assert_eq!(notices(&mut w, a)[1..], [news("subscribed", &other, Some(NOTICES))]);
    assert_eq!(notices(&mut w, b), [news("subscribed", &other, Some(NOTICES))]);
    w.unsubscribe(b, NOTICES);
    assert_eq!(notices(&mut w, b), []);
    assert_eq!(notices(&mut w, a), [news("unsubscribed", &other, Some(NOTICES))]);
    w.subscribe(b, "g");
    assert_eq!(notices(&mut w, b), []);
}

#[test]
fn numbers_of_notifications_run_on() {
    let mut w = World::msgq(|_| {});
    let watcher = w.talker();
    w.subscribe(watcher, NOTICES);
    let mut last = i64::MIN;
    for _ in 0..20 {
        let t = w.talker();
        w.hang_up(t);
        for f in w.heard(watcher) {
            let seq = f.header["seq"].as_i64().unwrap();
            assert!(seq > last);
            last = seq;
        }
    }
}

#[test]
fn groups_are_told_as_they_are_called_here() {
    let mut w = World::msgq(|_| {});
    let (watcher, b) = (w.talker(), w.talker());
    w.subscribe(watcher, NOTICES);
    w.heard(watcher);
    let lname = w.talkers[b].lname.clone();
    for group in ["", "*", "a::*", "~", "\u{e9}\u{1f44b}", "with \"quotes\" and \\"] {
        w.subscribe(b, group);
        assert_eq!(notices(&mut w, watcher), [news("subscribed", &lname, Some(group))]);
        assert_eq!(members(&mut w, watcher, Some(group)).len(), if group.is_empty() { 3 } else { 1 });
        w.unsubscribe(b, group);
        assert_eq!(notices(&mut w, watcher), [news("unsubscribed", &lname, Some(group))]);
    }
}

#[test]
fn members_are_those_a_message_without_instance_would_reach() {
    let mut w = World::msgq(|_| {});
    let (a, b, c, d) = (w.talker(), w.talker(), w.talker(), w.talker());
    let stranger = w.stranger();
    w.subscribe(b, "g");
    w.say(b, &json!({"type": "subscribe", "group": "g", "instance": "i"}), b"");
    w.say(c, &json!({"type": "subscribe", "group": "g", "instance": "i"}), b"");
    w.say(d, &json!({"type": "subscribe", "group": "g", "instance": ""}), b"");
    let name = |w: &World, t: usize| w.talkers[t].lname.clone();
    let (nb, nd) = (name(&w, b), name(&w, d));
    assert_eq!(members(&mut w, a, Some("g")), BTreeSet::from([nb, nd]), "not who is in an instance only");
    assert_eq!(members(&mut w, a, Some("void")), BTreeSet::new());
    // the whole bus: all of them, also who has not asked for its name yet, and the node itself
    let all = members(&mut w, a, None);
    assert_eq!(all.len(), 6);
    for t in [a, b, c, d] {
        assert!(all.contains(&name(&w, t)));
    }
    w.introduce(stranger);
    assert!(all.contains(&name(&w, stranger)));
    assert_eq!(all.iter().filter(|n| n.contains("_0@")).count(), 1, "{all:?}");
}

#[test]
fn the_node_as_a_user_answers_as_the_page_has_it() {
    let mut w = World::msgq(|_| {});
    let a = w.talker();
    let lname = w.talkers[a].lname.clone();
    // body, and code of the answer or none
    for (body, code) in [
        (r#"{"command": ["members", {}]}"#, Some(0)),
        (r#"{"command": ["members", null]}"#, Some(0)),
        (r#"{"command": ["members", {"group": ""}]}"#, Some(0)),
        (r#"{"command": ["members", {"group": 5}]}"#, Some(0)),
        (r#"{"command": ["members", 5]}"#, Some(1)),
        (r#"{"command": ["members", {"group": []}]}"#, Some(1)),
        (r#"{"command": ["members", {"group": {}}]}"#, Some(1)),
        (r#"{"command": ["config_update", {}]}"#, Some(0)),
        (r#"{"command": ["config_update", {"x": 1}]}"#, Some(1)),
        (r#"{"command": ["AreYouThere?"]}"#, Some(1)),
        (r#"{"command": []}"#, Some(1)),
        (r#"{"command": "members"}"#, Some(1)),
        ("{}", Some(1)),
        ("[]", Some(1)),
        ("\"text\"", Some(1)),
        (r#"{"result": [0]}"#, None),
        (r#"{"notification": ["x"]}"#, None),
        ("null", None),
        ("", None),
        // these end the command thread of the original (weak point B 9)
        ("5", None),
        ("true", None),
        ("false", None),
        ("no json", None),
        ("{\"command\": [\"members\"", None),
    ] {
        for want in ["true", "false"] {
            let text = format!(
                r#"{{"type":"send","from":"{lname}","to":"*","group":"Msgq","instance":"*","seq":5,"want_answer":{want}}}"#
            );
            w.say_raw(a, &text, body);
            let heard = w.heard(a);
            // D5: who wants an answer gets one even to what the page leaves without
            let code = code.or((want == "true").then_some(1));
            assert_eq!(heard.len(), code.is_some() as usize, "{body}: {heard:?}");
            if let Some(code) = code {
                let f = &heard[0];
                assert_eq!(result(f).0, code, "{body}");
                let (header, node) = (&f.header, f.text_of("from"));
                assert!(node.contains("_0@"), "not from msgq, but from its own name: {}", f.text);
                assert_eq!((&header["to"], &header["reply"]), (&json!(lname), &json!(5)), "{body}");
                assert_eq!(header.get("want_answer"), None, "{body}");
            }
        }
    }
    // texts that programs look at
    w.group_send(a, "Msgq", "*", true, &json!({"command": ["config_update", {"nonsense": 1}]}));
    assert_eq!(result(&w.heard_one(a)), (1, json!("unknown item nonsense")));
    w.group_send(a, "Msgq", "*", true, &json!({"command": ["AreYouThere?"]}));
    assert_eq!(result(&w.heard_one(a)), (1, json!("unknown command: AreYouThere?")));
    // by the node's own name too, and in any instance
    let node = members(&mut w, a, None).into_iter().find(|n| n.contains("_0@")).unwrap();
    w.group_send(a, "Msgq", &node, true, &json!({"command": ["other"]}));
    assert_eq!(result(&w.heard_one(a)).0, 1);
    // another group at the node's own name is nobody's business, which who asks is told (D5)
    w.group_send(a, "g", &node, true, &json!({"command": ["members"]}));
    assert_eq!(result(&w.heard_one(a)).0, 1);
    w.group_send(a, "g", &node, false, &json!({"command": ["members"]}));
    assert_eq!(w.heard(a), []);
    // replies to it are taken, whatever they are
    w.say(a, &json!({"type": "send", "from": lname, "to": node, "group": "ConfigManager", "instance": "*", "seq": 1, "reply": 3}), b"no json");
    w.barrier(a);
}

#[test]
fn who_else_is_called_msgq_hears_it_too() {
    let mut w = World::msgq(|_| {});
    let (a, b) = (w.talker(), w.talker());
    w.subscribe(b, "Msgq");
    w.group_send(a, "Msgq", "*", false, &json!({"command": ["other"]}));
    assert_eq!(result(&w.heard_one(a)).0, 1);
    assert_eq!(w.heard_bodies(b), [json!({"command": ["other"]})]);
    // but what wants an answer is the node's, or there could be two (D5)
    w.group_send(a, "Msgq", "*", true, &json!({"command": ["other"]}));
    assert_eq!(result(&w.heard_one(a)).0, 1);
    assert!(w.heard(b).is_empty());
}

#[test]
fn the_configuration_manager_is_told_of_the_node_and_its_answers_may_be_anything() {
    let mut w = World::msgq(|_| {});
    let (a, m) = (w.talker(), w.talker());
    w.subscribe(m, "ConfigManager");
    let told = w.heard(m);
    let first: Vec<Value> = told.iter().map(|f| f.json()["command"][0].clone()).collect();
    assert_eq!(first, [json!("module_spec"), json!("get_config")], "messages 4 and 5 of section 12.1");
    assert!(told.iter().all(|f| f.header["want_answer"] == json!(false)));
    // failures, nonsense, twice, or never: the node goes on (weak points B 10 and 11)
    for body in [json!({"result": [1, "no"]}), json!({"result": [0, {"unknown": 1}]}), json!(5), json!(null)] {
        for q in &told {
            w.group_reply(m, q, &body);
        }
    }
    w.advance(100_000);
    assert_eq!(w.heard(m), []);
    assert_eq!(members(&mut w, a, Some("ConfigManager")).len(), 1);
    // another one joins: it is told once it is the first again
    let m2 = w.talker();
    w.subscribe(m2, "ConfigManager");
    assert_eq!(w.heard(m2), []);
}

#[test]
fn d7_native_watchers_see_stations_of_this_dialect_once_each() {
    let mut w = World::msgq(|_| {});
    let watcher = w.station("watcher");
    w.watch(watcher, &Watch { stations: true, members: true, ..Watch::default() });
    w.take(watcher);
    let b = w.talker();
    let lname = w.talkers[b].lname.clone();
    let address = w.talkers[b].id.unwrap().number();
    w.subscribe(b, "x");
    w.subscribe(b, "x"); // said twice is no change
    w.say(b, &json!({"type": "subscribe", "group": "*", "instance": "one"}), b"");
    w.unsubscribe(b, "x");
    w.hang_up(b);
    let changes: Vec<(Change, u64, String)> = w
        .take(watcher)
        .into_iter()
        .map(|seen| match seen {
            Seen::Presence { change, station, name, reason } => {
                assert_eq!(reason, if change == Change::Disconnected { Code::Lost } else { Code::Ok });
                (change, station, name)
            }
            other => panic!("{other:?}"),
        })
        .collect();
    let of = |change, name: &str| (change, address, name.to_string());
    assert_eq!(
        changes,
        [
            of(Change::Connected, ""),
            of(Change::Joined, "x"),
            of(Change::Joined, "**"),
            of(Change::Left, "x"),
            of(Change::Left, "**"),
            of(Change::Disconnected, ""),
        ],
        "{lname}"
    );
}

#[test]
fn d7_watchers_of_this_dialect_see_native_stations() {
    let mut w = World::msgq(|_| {});
    let watcher = w.talker();
    w.subscribe(watcher, NOTICES);
    w.heard(watcher);
    let s = w.station("native");
    w.join(s, "x");
    w.join(s, "x"); // its repetition is no news: it is told how it went
    w.join_as(s, &Join { name: "x", instance: "one", ..Join::default() });
    w.join(s, "a::*");
    let told = notices(&mut w, watcher);
    let lname = told[0].1.clone();
    let joined = |g| news("subscribed", &lname, Some(g));
    assert_eq!(told, [news("connected", &lname, None), joined("x"), joined("x"), joined("a::*")]);
    assert!(members(&mut w, watcher, None).contains(&lname));
    assert_eq!(members(&mut w, watcher, Some("x")), BTreeSet::from([lname.clone()]));
    w.stations[s].client.leave(&Leave { name: "a::*", ..Leave::default() }).unwrap();
    w.drive();
    assert_eq!(notices(&mut w, watcher), [news("unsubscribed", &lname, Some("a::*"))]);
    w.unplug(s);
    let left = |g| news("unsubscribed", &lname, Some(g));
    assert_eq!(notices(&mut w, watcher), [left("x"), news("disconnected", &lname, None)], "once a group");
}

#[test]
fn a_native_member_of_the_notifications_hears_them_as_json() {
    let mut w = World::msgq(|_| {});
    let s = w.station("native");
    w.join(s, NOTICES);
    w.take(s);
    let b = w.talker();
    w.subscribe(b, "x");
    let lname = w.talkers[b].lname.clone();
    let bodies: Vec<Value> = w.bodies(s).iter().map(|b| serde_json::from_str(b).unwrap()).collect();
    assert_eq!(
        bodies,
        [
            json!({"notification": ["connected", {"client": lname}]}),
            json!({"notification": ["subscribed", {"client": lname, "group": "x"}]}),
        ]
    );
}

#[test]
fn members_and_notifications_say_the_same_at_every_moment() {
    // section 12.3: what was announced shows in a list that is asked for afterwards
    for seed in 0..10 {
        let mut random = Random::new(seed);
        let mut w = World::msgq(|_| {});
        w.piece = 1 + random.below(200);
        let watcher = w.talker();
        w.subscribe(watcher, NOTICES);
        w.heard(watcher);
        let mut there: Vec<usize> = (0..4).map(|_| w.talker()).collect();
        let mut known: BTreeSet<(String, String)> = BTreeSet::new();
        let mut connected: BTreeSet<String> = there.iter().map(|t| w.talkers[*t].lname.clone()).collect();
        w.heard(watcher);
        for step in 0..80 {
            let i = random.below(4);
            let group = ["x", "y", "z"][random.below(3)];
            match random.below(8) {
                0..4 => w.subscribe(there[i], group),
                4..6 => w.unsubscribe(there[i], group),
                6 => {
                    w.hang_up(there[i]);
                    there[i] = w.talker();
                }
                _ => {
                    let (s, len) = (w.station("native"), w.stations.len());
                    assert_eq!(s, len - 1);
                    w.join(s, group);
                    w.unplug(s);
                }
            }
            for (event, client, of) in notices(&mut w, watcher) {
                let at = format!("seed {seed} step {step}: {event} {client} {of:?}");
                match (event.as_str(), of) {
                    ("connected", None) => assert!(connected.insert(client), "{at}"),
                    ("disconnected", None) => {
                        assert!(!known.iter().any(|(c, _)| *c == client), "{at}: before it left");
                        assert!(connected.remove(&client), "{at}");
                    }
                    ("subscribed", Some(g)) => _ = known.insert((client, g)),
                    ("unsubscribed", Some(g)) => assert!(known.remove(&(client, g)), "{at}"),
                    _ => panic!("{at}"),
                }
            }
            for g in ["x", "y", "z"] {
                let truth: BTreeSet<String> = known.iter().filter(|(_, k)| k == g).map(|(c, _)| c.clone()).collect();
                assert_eq!(members(&mut w, watcher, Some(g)), truth, "seed {seed} step {step}: {g}");
            }
            assert_eq!(members(&mut w, watcher, None).len(), connected.len() + 2, "the watcher and the node");
        }
    }
}
