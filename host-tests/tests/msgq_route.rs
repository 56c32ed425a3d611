//! Who hears what in the dialect of MSGQ (`wire/msgq.md` sections 4, 5, 8 to 10). D1: order. D2:
//! one copy, never to the sender.

use chappe_host_tests::msgq::{Frame, frame, header, result};
use chappe_host_tests::random::Random;
use chappe_host_tests::world::World;
use serde_json::{Value, json};

fn subscription(group: &str, instance: &str) -> Value {
    json!({"type": "subscribe", "group": group, "instance": instance})
}

/// To a group and instance, without a wish for an answer.
fn to(w: &mut World, t: usize, group: &str, instance: &str, body: &str) {
    let from = w.talkers[t].lname.clone();
    let members = json!({"type": "send", "from": from, "to": "*", "group": group, "instance": instance, "seq": 1});
    w.say(t, &members, body.as_bytes());
}

fn bodies(w: &mut World, t: usize) -> Vec<String> {
    w.heard(t).into_iter().map(|f| String::from_utf8(f.body).unwrap()).collect()
}

#[test]
fn instances_are_everything_for_a_subscriber_and_a_plain_name_for_a_sender() {
    // the table of section 8: subscribed as, message to `*`, `one`, `two`, ``
    for (joined, hears) in [("*", [true, true, true, true]), ("one", [false, true, false, false])] {
        let mut w = World::msgq(|_| {});
        let (a, b) = (w.talker(), w.talker());
        w.say(b, &subscription("room", joined), b"");
        for (instance, heard) in ["*", "one", "two", ""].into_iter().zip(hears) {
            to(&mut w, a, "room", instance, "1");
            assert_eq!(w.heard(b).len(), heard as usize, "subscribed as {joined}, sent to {instance:?}");
        }
    }
}

#[test]
fn an_empty_instance_is_an_instance_of_its_own() {
    let mut w = World::msgq(|_| {});
    let (a, b) = (w.talker(), w.talker());
    w.say(b, &subscription("room", ""), b"");
    for (instance, heard) in [("*", 0), ("one", 0), ("~", 0), ("", 1)] {
        to(&mut w, a, "room", instance, "1");
        assert_eq!(w.heard(b).len(), heard, "sent to {instance:?}");
    }
}

#[test]
fn d2_each_hears_one_copy_and_the_sender_none() {
    let mut w = World::msgq(|_| {});
    let (a, b, c) = (w.talker(), w.talker(), w.talker());
    for t in [a, b] {
        for instance in ["*", "one", "two"] {
            w.say(t, &subscription("room", instance), b"");
        }
    }
    w.say(c, &subscription("room", "two"), b"");
    for (instance, at_c) in [("*", 0), ("one", 0), ("two", 1)] {
        to(&mut w, a, "room", instance, "1");
        assert_eq!([a, b, c].map(|t| w.heard(t).len()), [0, 1, at_c], "{instance}");
    }
    // left in one instance it is still there in the others
    w.say(b, &json!({"type": "unsubscribe", "group": "room", "instance": "*"}), b"");
    for (instance, at_b) in [("*", 0), ("one", 1), ("two", 1), ("three", 0)] {
        to(&mut w, a, "room", instance, "1");
        assert_eq!(w.heard(b).len(), at_b, "{instance}");
    }
}

#[test]
fn d1_what_one_sends_to_one_comes_in_order_whatever_the_groups() {
    for piece in [1, 7, 64, usize::MAX] {
        let mut w = World::msgq(|_| {});
        w.piece = piece;
        let mut random = Random::new(piece as u64);
        let (a, b, c) = (w.talker(), w.talker(), w.talker());
        for t in [b, c] {
            for group in ["x", "y", "z"] {
                w.subscribe(t, group);
            }
        }
        let lname = w.talkers[b].lname.clone();
        let from = w.talkers[a].lname.clone();
        // all in one stream, so that many are under way together
        let mut stream = Vec::new();
        for i in 0..200 {
            let (to, group) = match random.below(4) {
                3 => (lname.as_str(), "nobody is here"),
                g => ("*", ["x", "y", "z"][g]),
            };
            let members = json!({"type": "send", "from": from, "to": to, "group": group, "instance": "*", "seq": i});
            stream.extend(frame(&header(&members), i.to_string().as_bytes()));
        }
        w.feed(a, &stream);
        let all: Vec<String> = (0..200).map(|i| i.to_string()).collect();
        assert_eq!(bodies(&mut w, b), all, "in pieces of {piece}");
        let at_c: Vec<u32> = bodies(&mut w, c).iter().map(|b| b.parse().unwrap()).collect();
        assert!(at_c.is_sorted() && at_c.len() > 100, "{at_c:?}");
    }
}

#[test]
fn a_pong_proves_that_everything_before_it_was_carried_out() {
    // section 10: ping on A, wait, ping on B, wait: all that A had sent to B is in B's hands
    let mut w = World::msgq(|_| {});
    let (a, b) = (w.talker(), w.talker());
    let mut stream = frame(&header(&subscription("g", "*")), b"");
    stream.extend(frame(br#"{"type":"ping"}"#, b"joined"));
    w.feed(b, &stream);
    assert_eq!(bodies(&mut w, b), ["joined"]);
    let mut stream = Vec::new();
    for i in 0..50 {
        let members = json!({"type": "send", "from": "a", "to": "*", "group": "g", "instance": "*", "seq": i});
        stream.extend(frame(&header(&members), i.to_string().as_bytes()));
    }
    stream.extend(frame(br#"{"type":"ping"}"#, b"sent"));
    w.feed(a, &stream);
    assert_eq!(bodies(&mut w, a), ["sent"]);
    w.say(b, &json!({"type": "ping"}), b"heard");
    let heard = bodies(&mut w, b);
    assert_eq!((heard.len(), heard.last().unwrap().as_str()), (51, "heard"));
    assert!(heard[..50].iter().enumerate().all(|(i, b)| *b == i.to_string()));
}

/// Says a header that goes to `b` by lname, and what it becomes there.
fn passed(w: &mut World, a: usize, b: usize, header: &str) -> Frame {
    let lname = w.talkers[b].lname.clone();
    w.say_raw(a, &header.replace("TO", &lname), "{}");
    w.heard_one(b)
}

#[test]
fn a_header_without_escapes_passes_octet_by_octet() {
    let mut w = World::msgq(|_| {});
    let (a, b) = (w.talker(), w.talker());
    for header in [
        // blanks, order, unknown keys of every kind
        r#"{"type":"send","to":"TO","group":"g","instance":"*","seq":1,"x":[1,2.50,null,{"y":false}]}"#,
        "{ \"x\" : { } ,\t\"to\": \"TO\",\r\n\"group\": \"g\", \"instance\": \"*\", \"type\": \"send\" }",
        // short escapes stay escapes, and raw characters raw
        "{\"type\":\"send\",\"to\":\"TO\",\"group\":\"a\\\"\\\\\\/\\b\\f\\n\\r\\tb\",\"instance\":\"\u{1}\u{e9}\u{1f44b}\"}",
        // exact digits
        r#"{"type":"send","to":"TO","group":"g","instance":"*","seq":9007199254740993,"d":1.10e2}"#,
    ] {
        let want = header.replace("TO", &w.talkers[b].lname);
        assert_eq!(passed(&mut w, a, b, header).text, want);
    }
}

#[test]
fn digits_beyond_64_bits_are_kept_for_who_can_read_them() {
    // no C++ client reads this, so it is looked at as bytes: see the strict client in src/msgq.rs
    let mut w = World::msgq(|_| {});
    let (a, b) = (w.talker(), w.talker());
    let lname = w.talkers[b].lname.clone();
    let digits = "123456789012345678901234567890";
    let text = format!(r#"{{"type":"send","to":"{lname}","group":"g","instance":"*","seq":{digits}}}"#);
    w.talkers[b].reads = false;
    w.say_raw(a, &text, "{}");
    let id = w.talkers[b].id.unwrap();
    let bytes: Vec<u8> = w.router.output(id).flatten().copied().collect();
    assert_eq!(bytes, frame(text.as_bytes(), b"{}"));
    // and in the node's own answer
    let text = format!(
        r#"{{"type":"send","from":"a","to":"gone","group":"g","instance":"*","seq":{digits},"want_answer":true}}"#
    );
    w.talkers[a].reads = false;
    w.say_raw(a, &text, "{}");
    let bytes: Vec<u8> = w.router.output(w.talkers[a].id.unwrap()).flatten().copied().collect();
    let said = String::from_utf8_lossy(&bytes);
    assert!(
        said.contains(&format!(r#""reply": {digits}"#)) || said.contains(&format!(r#""reply":{digits}"#)),
        "{said}"
    );
}

#[test]
fn escapes_that_cxx_cannot_read_are_written_raw() {
    let mut w = World::msgq(|_| {});
    let (a, b) = (w.talker(), w.talker());
    w.subscribe(b, "\u{e9}");
    // both spellings are the same group; what comes is raw (the strict client sees to that)
    let text = r#"{"type":"send","from":"a","to":"*","group":"\u00e9","instance":"*","seq":1,"\u0078":"\ud83d\udc4b\u0001\u0022\u005c\n","deep":[{"k":"\u00e9"}]}"#;
    w.say_raw(a, text, "{}");
    let heard = w.heard_one(b);
    assert_eq!(
        heard.header,
        json!({"type": "send", "from": "a", "to": "*", "group": "\u{e9}", "instance": "*", "seq": 1,
            "x": "\u{1f44b}\u{1}\"\\\n", "deep": [{"k": "\u{e9}"}]})
    );
    assert!(!heard.text.contains("\\u"), "{}", heard.text);
    // the group joined by its escaped spelling
    w.say_raw(b, r#"{"type":"subscribe","group":"caf\u00e9","instance":"\u002a"}"#, "");
    to(&mut w, a, "caf\u{e9}", "*", "1");
    assert_eq!(w.heard(b).len(), 1);
    // an undeliverable one comes back readable as well
    w.say_raw(
        a,
        r#"{"type":"send","from":"a","to":"*","group":"\u00fc","instance":"*","seq":2,"want_answer":true,"\u00e4":1}"#,
        "{}",
    );
    let error = w.heard_one(a);
    assert_eq!((error.text_of("group"), &error.header["\u{e4}"]), ("\u{fc}", &json!(1)));
    assert_eq!(result(&error), (-1, json!("No such recipient")));
}

#[test]
fn want_answer_is_what_python_takes_for_true() {
    let mut w = World::msgq(|_| {});
    let a = w.talker();
    for (value, truth) in [
        ("true", true),
        ("1", true),
        ("-1", true),
        ("0.5", true),
        ("\"x\"", true),
        ("\"false\"", true),
        ("[0]", true),
        ("{\"a\":0}", true),
        ("NaN", true),
        ("false", false),
        ("null", false),
        ("0", false),
        ("-0", false),
        ("0.0", false),
        ("0e5", false),
        ("\"\"", false),
        ("[]", false),
        ("{}", false),
        ("[ ]", false),
        ("{ }", false),
    ] {
        // the node's copy of a NaN is for Python only
        w.talkers[a].reads = value != "NaN";
        let text = format!(
            r#"{{"type":"send","from":"a","to":"*","group":"void","instance":"*","seq":7,"want_answer":{value}}}"#
        );
        w.say_raw(a, &text, "{}");
        if value == "NaN" {
            let id = w.talkers[a].id.unwrap();
            let waiting = w.router.output(id).flatten().count();
            assert!(waiting > 0, "NaN is true in Python");
            w.router.sent(w.now, id, waiting);
            w.talkers[a].reads = true;
            continue;
        }
        let heard = w.heard(a);
        assert_eq!(heard.len(), truth as usize, "want_answer {value}: {heard:?}");
        if truth {
            assert_eq!(heard[0].header["reply"], json!(7));
            assert_eq!((heard[0].text_of("from"), heard[0].text_of("to")), ("msgq", "a"));
        }
    }
    // with a key `reply`, whatever its value, there is no error
    for reply in ["1", "null", "\"\"", "{}"] {
        let text = format!(
            r#"{{"type":"send","from":"a","to":"*","group":"void","instance":"*","seq":7,"want_answer":true,"reply":{reply}}}"#
        );
        w.say_raw(a, &text, "{}");
        assert_eq!(w.heard(a), [], "reply {reply}");
    }
}

#[test]
fn of_doubled_keys_the_last_counts() {
    let mut w = World::msgq(|_| {});
    let (a, b) = (w.talker(), w.talker());
    w.subscribe(b, "right");
    w.say_raw(
        a,
        r#"{"type":"stop","type":"send","from":"x","from":"a","to":"nobody","to":"*","group":"wrong","group":"right","instance":"i","instance":"*","seq":1,"seq":2}"#,
        "{}",
    );
    let heard = w.heard_one(b);
    assert_eq!((heard.text_of("group"), heard.header["seq"].as_i64()), ("right", Some(2)));
    w.say_raw(
        a,
        r#"{"type":"send","from":"x","from":"a","to":"*","group":"void","instance":"*","seq":1,"seq":2,"want_answer":false,"want_answer":true}"#,
        "{}",
    );
    assert_eq!(w.heard_one(a).header["reply"], json!(2));
}

#[test]
fn groups_whose_names_are_patterns_on_the_bus_are_plain_groups_here() {
    let groups = ["*", "**", "a::*", "a::**", "a/*", "a::b", "a/b", "a", "", "~", "~~", "~a", "x*"];
    for joined in groups {
        let mut w = World::msgq(|_| {});
        let (a, b) = (w.talker(), w.talker());
        w.subscribe(b, joined);
        for group in groups {
            w.group_send(a, group, "*", false, &json!(group));
            let heard = w.heard(b);
            assert_eq!(heard.len(), (group == joined) as usize, "joined {joined:?}, sent to {group:?}");
            assert!(heard.iter().all(|f| f.text_of("group") == group), "{joined:?}");
        }
        w.unsubscribe(b, joined);
        let seq = w.group_send(a, joined, "*", true, &json!(1));
        let error = w.heard_one(a);
        assert_eq!((error.header["reply"].as_i64(), error.text_of("group")), (Some(seq), joined));
    }
}

#[test]
fn names_too_long_for_the_bus_cannot_be_joined_and_hold_nobody() {
    let mut w = World::msgq(|_| {});
    let (a, b) = (w.talker(), w.talker());
    let longest = "x".repeat(128);
    w.subscribe(b, &longest);
    w.group_send(a, &longest, "*", false, &json!(1));
    assert_eq!(w.heard(b).len(), 1);
    for bad in ["x".repeat(129), "y".repeat(60_000), "line\nbreak".into()] {
        let seq = w.group_send(a, &bad, "*", true, &json!(1));
        let error = w.heard_one(a);
        assert_eq!((error.header["reply"].as_i64(), result(&error).0), (Some(seq), -1));
        // by lname the group plays no part
        let lname = w.talkers[b].lname.clone();
        w.group_send(a, &bad, &lname, false, &json!(1));
        assert_eq!(w.heard_one(b).text_of("group"), bad);
        let c = w.talker();
        w.subscribe(c, &bad);
        assert!(w.talkers[c].closed.is_some(), "it cannot be told otherwise");
        let d = w.talker();
        w.unsubscribe(d, &bad);
        assert!(w.talkers[d].closed.is_none(), "nobody is in it: silently ignored");
    }
}

#[test]
fn a_name_of_another_life_is_nobody() {
    // D6, and section 7: names never come again; spellings that are not the node's are nobody's
    let mut w = World::msgq(|_| {});
    let (a, b) = (w.talker(), w.talker());
    let lname = w.talkers[b].lname.clone();
    let (boot, rest) = lname.split_once('_').unwrap();
    let (number, host) = rest.split_once('@').unwrap();
    let wrong = [
        format!("{boot}0_{number}@{host}"),
        format!("0{boot}_{number}@{host}"),
        format!("{boot}_0{number}@{host}"),
        format!("{}_{number}@{host}", boot.to_uppercase()),
        format!("{boot}_{number}@{host}x"),
        format!("{boot}_{number}"),
        format!(" {lname}"),
        format!("{lname}\0"),
        format!("{boot}_ffffffffffffffff@{host}"),
        format!("{boot}_10000000000000000@{host}"),
        "msgq".into(),
        "".into(),
        "**".into(),
    ];
    for name in wrong.iter().filter(|n| **n != lname) {
        w.group_send(a, "g", name, true, &json!(1));
        assert_eq!(result(&w.heard_one(a)), (-1, json!("No such recipient")), "{name:?}");
        assert_eq!(w.heard(b), [], "{name:?}");
    }
    w.group_send(a, "g", &lname, true, &json!(1));
    assert_eq!(w.heard(b).len(), 1);
    assert_eq!(w.heard(a), []);
    w.hang_up(b);
    w.heard(a);
    let mut names = vec![lname.clone()];
    for _ in 0..40 {
        let t = w.talker();
        let name = w.talkers[t].lname.clone();
        assert!(!names.contains(&name), "{name} comes again");
        names.push(name);
        w.hang_up(t);
    }
    w.group_send(a, "g", &lname, true, &json!(1));
    assert_eq!(result(&w.heard_one(a)).0, -1);
}

#[test]
fn what_to_is_no_text_is_nobody() {
    let mut w = World::msgq(|_| {});
    let a = w.talker();
    for to in ["5", "null", "true", "1.5", "\"unknown\""] {
        let text =
            format!(r#"{{"type":"send","from":"a","to":{to},"group":"g","instance":"*","seq":3,"want_answer":true}}"#);
        w.say_raw(a, &text, "{}");
        assert_eq!(result(&w.heard_one(a)), (-1, json!("No such recipient")), "to {to}");
    }
}

#[test]
fn null_names_are_ignored_whatever_is_wanted() {
    let mut w = World::msgq(|_| {});
    let (a, b) = (w.talker(), w.talker());
    let lname = w.talkers[b].lname.clone();
    for text in [
        r#"{"type":"send","from":"a","to":"*","group":null,"instance":"*","seq":3,"want_answer":true}"#,
        r#"{"type":"send","from":"a","to":"TO","group":"g","instance":null,"seq":3,"want_answer":true}"#,
        r#"{"type":"send","from":"a","to":"TO","group":null,"instance":"*","seq":3,"want_answer":true}"#,
        r#"{"type":"subscribe","group":null,"instance":"*"}"#,
        r#"{"type":"subscribe","group":"g","instance":null}"#,
        r#"{"type":"unsubscribe","group":null,"instance":null}"#,
    ] {
        w.say_raw(a, &text.replace("TO", &lname), "{}");
        assert_eq!((w.heard(a), w.heard(b)), (vec![], vec![]), "{text}");
        assert!(w.talkers[a].closed.is_none(), "{text}");
    }
    w.barrier(a);
    w.group_send(b, "g", "*", false, &json!(1));
    assert_eq!(w.heard(a), [], "nothing was joined");
}

#[test]
fn bodies_of_any_kind_pass_octet_by_octet() {
    let mut w = World::msgq(|_| {});
    let (a, b) = (w.talker(), w.talker());
    w.subscribe(b, "g");
    w.talkers[b].any_body = true;
    let long = vec![0x5a; 65_536];
    for body in [&b""[..], b"\xff\x00no json", b"{\"a\":\"\\u00e9\"}", b" {} ", &long] {
        let members = json!({"type": "send", "from": "a", "to": "*", "group": "g", "instance": "*", "seq": 1});
        w.say(a, &members, body);
        assert!(w.heard_one(b).body == body);
    }
}

#[test]
fn getlname_is_answered_the_same_at_any_time() {
    let mut w = World::msgq(|_| {});
    let a = w.stranger();
    w.barrier(a); // a client that pings first
    w.introduce(a);
    let lname = w.talkers[a].lname.clone();
    for _ in 0..3 {
        w.introduce(a);
        assert_eq!(w.talkers[a].lname, lname);
    }
    assert!(lname.len() <= 48 && lname.starts_with("5f3759df_") && lname.ends_with("@test"), "{lname}");
    let b = w.talker();
    assert_ne!(w.talkers[b].lname, lname);
}

#[test]
fn what_is_unknown_is_ignored_and_the_connection_goes_on() {
    let mut w = World::msgq(|_| {});
    let a = w.talker();
    for text in [
        r#"{"type":"hello"}"#,
        r#"{"type":"pong"}"#,
        r#"{"type":5}"#,
        r#"{"type":null}"#,
        r#"{"type":["send"]}"#,
        r#"{"type":{}}"#,
        r#"{"type":""}"#,
        r#"{"type":"Send"}"#,
    ] {
        w.say_raw(a, text, "");
        assert_eq!(w.heard(a), [], "{text}");
        w.barrier(a);
    }
}
