//! How the dialect of MSGQ and the native one meet: `design.md` section 3, both ways.

use chappe_core::model::{Answer, ClientToServer, Code, Encoding, Letter, Params, Store, StoreOp};
use chappe_host_tests::event::{Mail, Seen};
use chappe_host_tests::msgq::{command, result};
use chappe_host_tests::world::World;
use serde_json::{Value, json};

/// A native station and one that speaks MSGQ, both members of `x`.
fn both() -> (World, usize, usize) {
    let mut w = World::msgq(|_| {});
    let (s, t) = (w.station("native"), w.talker());
    w.join(s, "x");
    w.subscribe(t, "x");
    w.take(s);
    (w, s, t)
}

/// Every octet of it is in the alphabet of base64 as RFC 4648 section 4 has it.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for piece in bytes.chunks(3) {
        let word = (0..3).fold(0u32, |w, i| w << 8 | *piece.get(i).unwrap_or(&0) as u32);
        for i in 0..4 {
            let digit = ALPHABET[(word >> (18 - 6 * i)) as usize & 63] as char;
            out.push(if i <= piece.len() { digit } else { '=' });
        }
    }
    out
}

#[test]
fn what_a_native_station_sends_is_heard_as_a_command() {
    let params = [("a", "b"), ("quote\"", "line\nend \u{e9}")];
    let bytes: Vec<u8> = (0..=255).collect();
    let listed = || Params::Listed(&params);
    let object = json!({"a": "b", "quote\"": "line\nend \u{e9}"});
    let with_body = |body: Value| {
        let mut o = object.clone();
        o["body"] = body;
        o
    };
    let l = Letter { name: "x", ..Letter::default() };
    let long = "x".repeat(3000);
    for (letter, body) in [
        // signal with value
        (Letter { verb: "SET", body: b"v", ..l }, json!({"command": ["SET", {"name": "x", "value": "v"}]})),
        (Letter { body: b"v", ..l }, json!({"command": ["SET", {"name": "x", "value": "v"}]})),
        (
            Letter { body: b"\"quoted\"\\ \x01\n", encoding: Encoding::Text, ..l },
            json!({"command": ["SET", {"name": "x", "value": "\"quoted\"\\ \u{1}\n"}]}),
        ),
        (Letter { verb: "SET", body: long.as_bytes(), ..l }, json!({"command": ["SET", {"name": "x", "value": long}]})),
        // an empty value is one
        (Letter { verb: "SET", ..l }, json!({"command": ["SET", {"name": "x", "value": ""}]})),
        // signal without value
        (l, json!({"command": ["NOTIFY", {"name": "x"}]})),
        (Letter { verb: "NOTIFY", ..l }, json!({"command": ["NOTIFY", {"name": "x"}]})),
        // verbs
        (Letter { verb: "DO", ..l }, json!({"command": ["DO"]})),
        (Letter { verb: "D\u{e9}\"", ..l }, json!({"command": ["D\u{e9}\""]})),
        (Letter { verb: "DO", params: listed(), ..l }, command("DO", object.clone())),
        (Letter { verb: "DO", body: b"text", ..l }, command("DO", json!("text"))),
        (Letter { verb: "DO", body: b"[1, 2.50]", encoding: Encoding::Json, ..l }, command("DO", json!([1, 2.5]))),
        (Letter { verb: "DO", body: &bytes, ..l }, command("DO", json!(base64(&bytes)))),
        (Letter { verb: "DO", body: b"text", encoding: Encoding::Bytes, ..l }, command("DO", json!(base64(b"text")))),
        // parameters and a body
        (Letter { verb: "DO", params: listed(), body: b"text", ..l }, command("DO", with_body(json!("text")))),
        (
            Letter { verb: "DO", params: listed(), body: b"{\"c\":1}", encoding: Encoding::Json, ..l },
            command("DO", with_body(json!({"c": 1}))),
        ),
        (Letter { verb: "DO", params: listed(), body: &bytes, ..l }, command("DO", with_body(json!(base64(&bytes))))),
        // JSON that is no command: as it is
        (Letter { body: b" {\"a\": [1]} ", encoding: Encoding::Json, ..l }, json!({"a": [1]})),
        (Letter { body: b"5", encoding: Encoding::Json, ..l }, json!(5)),
        // escapes that C++ cannot read are written raw; what is no JSON is text
        (Letter { body: br#"["\u00e9\u0001"]"#, encoding: Encoding::Json, ..l }, json!(["\u{e9}\u{1}"])),
        (
            Letter { body: b"{broken", encoding: Encoding::Json, ..l },
            json!({"command": ["SET", {"name": "x", "value": "{broken"}]}),
        ),
        // bytes
        (Letter { body: &bytes, ..l }, json!({"command": ["SET", {"name": "x", "value": base64(&bytes)}]})),
        (
            Letter { body: b"\x08\x01", encoding: Encoding::Protobuf, ..l },
            json!({"command": ["SET", {"name": "x", "value": base64(b"\x08\x01")}]}),
        ),
    ] {
        let (mut w, s, t) = both();
        w.send(s, &Letter { seq: 77, ..letter });
        let heard = w.heard_one(t); // readable to both libraries
        assert_eq!(heard.json(), body, "{letter:?}");
        let from = heard.text_of("from").to_string();
        assert_eq!(
            heard.header,
            json!({"type": "send", "from": from, "to": "*", "group": "x", "instance": "*", "seq": 77, "want_answer": false})
        );
        // and the name there is the sender's: an answer by it would find it
        w.group_send(t, "x", &from, false, &json!(1));
        assert_eq!(w.letters(s).len(), 1, "{letter:?}");
    }
}

#[test]
fn names_are_called_as_each_dialect_calls_them() {
    for (name, group) in
        [("**", "*"), ("~", ""), ("a::**", "a::*"), ("a::b", "a::b"), ("~~", "~"), ("\u{e9}", "\u{e9}")]
    {
        let mut w = World::msgq(|_| {});
        let (s, t) = (w.station("native"), w.talker());
        w.subscribe(t, group);
        w.join(s, "*"); // hears signals to all names
        w.send(s, &Letter { name, body: b"v", ..Letter::default() });
        let heard = w.heard_one(t);
        assert_eq!(heard.text_of("group"), group);
        assert_eq!(heard.json(), json!({"command": ["SET", {"name": group, "value": "v"}]}));
        w.take(s);
        w.group_send(t, group, "*", false, &json!({"command": ["NOTIFY", {"name": group}]}));
        let mail = w.letters(s).remove(0);
        assert_eq!((mail.name.as_str(), mail.verb.as_str()), (name, "NOTIFY"));
    }
}

#[test]
fn instances_are_those_of_both() {
    let mut w = World::msgq(|_| {});
    let (s, t) = (w.station("native"), w.talker());
    for (subscribed, instance) in [("one", "one"), ("", "~"), ("~", "~~")] {
        w.say(t, &json!({"type": "subscribe", "group": "x", "instance": subscribed}), b"");
        w.send(s, &Letter { name: "x", instance, body: b"v", ..Letter::default() });
        assert_eq!(w.heard_one(t).text_of("instance"), subscribed);
    }
    w.send(s, &Letter { name: "x", body: b"v", ..Letter::default() });
    assert_eq!(w.heard(t), [], "a message to every instance does not reach who is in one only");
}

/// What a native station hears of a body.
fn heard(body: &[u8]) -> Mail {
    let (mut w, s, t) = both();
    let from = w.talkers[t].lname.clone();
    let members = json!({"type": "send", "from": from, "to": "*", "group": "x", "instance": "*", "seq": 3});
    w.say(t, &members, body);
    let mut mail = w.letters(s);
    assert_eq!(mail.len(), 1, "{mail:?}");
    let mail = mail.remove(0);
    assert_eq!((mail.name.as_str(), mail.from, mail.ask_id), ("x", w.talkers[t].id.unwrap().number(), 0));
    mail
}

#[test]
fn what_is_sent_in_this_dialect_is_heard_as_verbs_by_native_stations() {
    let long = format!(r#"{{"command":["DO","{}"]}}"#, "y".repeat(3000));
    let text = "y".repeat(3000);
    let verb = "V".repeat(65);
    let too_long = format!(r#"{{"command":["{verb}"]}}"#);
    // body; verb, parameters, body, encoding
    for (body, verb, params, inner, encoding) in [
        (r#"{"command": ["SET", {"name": "x", "value": "v"}]}"#, "SET", &[][..], "v", Encoding::Text),
        (r#"{"command": ["SET", {"value": "\u00e9\n", "name": "\u0078"}]}"#, "SET", &[], "\u{e9}\n", Encoding::Text),
        (r#"{"command": ["NOTIFY", {"name": "x"}]}"#, "NOTIFY", &[], "", Encoding::None),
        (r#"{ "command": [ "DO" ] }"#, "DO", &[], "", Encoding::None),
        (r#"{"command": ["DO", {}]}"#, "DO", &[], "", Encoding::None),
        (
            r#"{"command": ["D\u00e9", {"a": "b", "n": 1.50, "t": true, "f": false, "e": "\"\ud83d\udc4b"}]}"#,
            "D\u{e9}",
            &[("a", "b"), ("n", "1.50"), ("t", "true"), ("f", "false"), ("e", "\"\u{1f44b}")],
            "",
            Encoding::None,
        ),
        // what cannot be parameters stays JSON
        (r#"{"command": ["DO", {"a": null}]}"#, "DO", &[], r#"{"a": null}"#, Encoding::Json),
        (r#"{"command": ["DO", {"a": {"b": 1}}]}"#, "DO", &[], r#"{"a": {"b": 1}}"#, Encoding::Json),
        (r#"{"command": ["DO", [1, 2]]}"#, "DO", &[], "[1, 2]", Encoding::Json),
        (r#"{"command": ["DO", 5]}"#, "DO", &[], "5", Encoding::Json),
        (r#"{"command": ["DO", null]}"#, "DO", &[], "null", Encoding::Json),
        (r#"{"command": ["DO", "text\t"]}"#, "DO", &[], "text\t", Encoding::Text),
        (&long, "DO", &[], &text, Encoding::Text),
        // a signal about another name is a command like any other
        (
            r#"{"command": ["SET", {"name": "y", "value": "v"}]}"#,
            "SET",
            &[("name", "y"), ("value", "v")],
            "",
            Encoding::None,
        ),
        // no command: the whole body
        (
            r#"{"notification": ["rain", {"mm": 3}]}"#,
            "",
            &[],
            r#"{"notification": ["rain", {"mm": 3}]}"#,
            Encoding::Json,
        ),
        (r#"{"command": ["DO"], "more": 1}"#, "", &[], r#"{"command": ["DO"], "more": 1}"#, Encoding::Json),
        (r#"{"command": [""]}"#, "", &[], r#"{"command": [""]}"#, Encoding::Json),
        (r#"{"command": ["a\nb"]}"#, "", &[], r#"{"command": ["a\nb"]}"#, Encoding::Json),
        (&too_long, "", &[], &too_long, Encoding::Json),
        (r#"{"command": "DO"}"#, "", &[], r#"{"command": "DO"}"#, Encoding::Json),
        (r#"{"command": []}"#, "", &[], r#"{"command": []}"#, Encoding::Json),
        ("5", "", &[], "5", Encoding::Json),
        ("null", "", &[], "null", Encoding::Json),
        ("no json", "", &[], "no json", Encoding::Text),
        ("{\"command\": [\"DO\"]} x", "", &[], "{\"command\": [\"DO\"]} x", Encoding::Text),
        ("", "", &[], "", Encoding::None),
    ] {
        let mail = heard(body.as_bytes());
        let pairs: Vec<(&str, &str)> = mail.params.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        assert_eq!((mail.verb.as_str(), &pairs[..]), (verb, params), "{body}");
        assert_eq!((String::from_utf8_lossy(&mail.body), mail.encoding), (inner.into(), encoding), "{body}");
    }
    let mail = heard(b"\xff\x00");
    assert_eq!((mail.verb.as_str(), &mail.body[..], mail.encoding), ("", &b"\xff\x00"[..], Encoding::Bytes));
    // more than a letter may have
    let many: Vec<String> = (0..65).map(|i| format!("\"k{i}\":\"v\"")).collect();
    let body = format!(r#"{{"command":["DO",{{{}}}]}}"#, many.join(","));
    let mail = heard(body.as_bytes());
    assert_eq!((mail.verb.as_str(), mail.params.len(), mail.encoding), ("DO", 0, Encoding::Json));
}

#[test]
fn what_passes_through_the_other_dialect_comes_back_the_same() {
    // native to MSGQ to native: what the first letter said
    let params = [("a", "b"), ("c", "d e")];
    for letter in [
        Letter { verb: "SET", body: b"v", encoding: Encoding::Text, ..Letter::default() },
        Letter { verb: "NOTIFY", ..Letter::default() },
        Letter { verb: "DO", ..Letter::default() },
        Letter { verb: "DO", params: Params::Listed(&params), ..Letter::default() },
        Letter { verb: "DO", body: b"[1,2]", encoding: Encoding::Json, ..Letter::default() },
        Letter { verb: "DO", body: b"text", encoding: Encoding::Text, ..Letter::default() },
        Letter { body: b"{\"a\":1}", encoding: Encoding::Json, ..Letter::default() },
    ] {
        let (mut w, s, t) = both();
        w.send(s, &Letter { name: "x", ..letter });
        let body = w.heard_one(t).body;
        let members = json!({"type": "send", "from": "t", "to": "*", "group": "x", "instance": "*", "seq": 3});
        w.say(t, &members, &body);
        let mail = w.letters(s).remove(0);
        let pairs: Vec<(&str, &str)> = mail.params.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        let want: Vec<(&str, &str)> = letter.params.iter().collect();
        assert_eq!((mail.verb.as_str(), pairs), (letter.verb, want));
        assert_eq!((&mail.body[..], mail.encoding), (letter.body, letter.encoding), "{letter:?}");
    }
}

#[test]
fn d5_a_native_station_calls_and_hears_the_answer() {
    for (body, code, text, inner, encoding) in [
        (r#"{"result": [0]}"#, Code::Ok, "", "", Encoding::None),
        (r#"{"result": [0, "yes\n"]}"#, Code::Ok, "", "yes\n", Encoding::Text),
        (r#"{"result": [0, {"t": 1.50}]}"#, Code::Ok, "", r#"{"t": 1.50}"#, Encoding::Json),
        (r#"{ "result": [ 0, 5 ] }"#, Code::Ok, "", "5", Encoding::Json),
        (r#"{"result": [1, "no"]}"#, Code::Failed, "no", "", Encoding::None),
        (r#"{"result": [2, "has no handler"]}"#, Code::UnknownVerb, "has no handler", "", Encoding::None),
        (r#"{"result": [3, "bad"]}"#, Code::Failed, "bad", "", Encoding::None),
        (r#"{"result": [-7, "odd"]}"#, Code::Failed, "odd", "", Encoding::None),
        (r#"{"result": []}"#, Code::Ok, "", r#"{"result": []}"#, Encoding::Json),
        (r#"{"result": ["x"]}"#, Code::Ok, "", r#"{"result": ["x"]}"#, Encoding::Json),
        (r#"{"other": 1}"#, Code::Ok, "", r#"{"other": 1}"#, Encoding::Json),
        ("text", Code::Ok, "", "text", Encoding::Text),
        ("", Code::Ok, "", "", Encoding::None),
    ] {
        let (mut w, s, t) = both();
        let seq = w.call(s, &Letter { name: "x", verb: "DO", body: b"q", ..Letter::default() });
        let question = w.heard_one(t);
        assert_eq!(question.json(), command("DO", json!("q")));
        assert_eq!((question.text_of("group"), &question.header["want_answer"]), ("x", &json!(true)));
        assert!(question.header["seq"].as_i64().is_some_and(|n| n > 0), "{}", question.text);
        let members = json!({"type": "send", "from": w.talkers[t].lname, "to": question.header["from"], "group": "x",
            "instance": "*", "seq": 9, "reply": question.header["seq"]});
        for _ in 0..2 {
            w.say(t, &members, body.as_bytes()); // the second one counts for nothing
        }
        let replies: Vec<Seen> = w.take(s);
        let from = w.talkers[t].id.unwrap().number();
        let want = Seen::Reply { seq, code, text: text.into(), body: inner.into(), encoding, from, station: 0 };
        assert_eq!(replies, [want], "{body}");
    }
}

#[test]
fn d5_a_call_of_a_native_station_is_answered_by_the_node_if_nobody_does() {
    for how in ["hang up", "leave", "too late"] {
        let (mut w, s, t) = both();
        let seq = w.call(s, &Letter { name: "x", verb: "DO", ttl_ms: 500, ..Letter::default() });
        let question = w.heard_one(t);
        let code = match how {
            "hang up" => {
                w.hang_up(t);
                Code::RecipientLeft
            }
            "leave" => {
                w.unsubscribe(t, "x");
                Code::RecipientLeft
            }
            _ => {
                w.advance(501);
                Code::TimedOut
            }
        };
        assert_eq!(w.replies(s, seq), [(code, vec![])], "{how}");
        if w.talkers[t].id.is_some() {
            w.group_reply(t, &question, &json!({"result": [0]}));
        }
        w.advance(1000);
        assert_eq!((w.replies(s, seq), w.letters(s)), (vec![], vec![]), "{how}");
    }
}

#[test]
fn d5_a_sensor_s_command_is_called_from_this_dialect() {
    let bytes = [0u8, 159, 146, 150];
    let params = [("celsius", "21.5")];
    let a = Answer::default();
    for (answer, want) in [
        (a, json!([0])),
        (Answer { body: b"42", ..a }, json!([0, "42"])),
        (Answer { body: b"{\"t\":21.50}", encoding: Encoding::Json, ..a }, json!([0, {"t": 21.5}])),
        (Answer { body: br#""\u00e9""#, encoding: Encoding::Json, ..a }, json!([0, "\u{e9}"])),
        (Answer { body: &bytes, ..a }, json!([0, base64(&bytes)])),
        (Answer { params: Params::Listed(&params), ..a }, json!([0, {"celsius": "21.5"}])),
        (Answer { params: Params::Listed(&params), body: b"b", ..a }, json!([0, {"celsius": "21.5", "body": "b"}])),
        (Answer { text: "done", ..a }, json!([0, "done"])),
        (Answer { code: Code::UnknownVerb, text: "no such verb", ..a }, json!([2, "no such verb"])),
        (Answer { code: Code::BadRequest, text: "bad", ..a }, json!([3, "bad"])),
        (Answer { code: Code::Failed, text: "it broke", ..a }, json!([1, "it broke"])),
        (Answer { code: Code::Failed, body: b"why", ..a }, json!([1, "why"])),
        (Answer { code: Code::NotFound, text: "x", ..a }, json!([1, "x"])),
        // a callee cannot pretend that the node speaks
        (Answer { code: Code::NoRecipient, text: "x", ..a }, json!([1, "x"])),
    ] {
        let mut w = World::msgq(|_| {});
        let (sensor, t) = (w.station("sensor"), w.talker());
        w.join(sensor, "sensor");
        let seq = w.group_send(t, "sensor", "*", true, &command("TEMPERATURE", json!({"unit": "C"})));
        let question = w.letters(sensor).remove(0);
        assert_eq!((question.verb.as_str(), &question.params[..]), ("TEMPERATURE", &[("unit".into(), "C".into())][..]));
        w.stations[sensor].client.answer(&Answer { ask_id: question.ask_id, ..answer }).unwrap();
        w.stations[sensor].client.answer(&Answer { ask_id: question.ask_id, ..answer }).unwrap();
        w.drive();
        let heard = w.heard_one(t);
        assert_eq!(heard.json(), json!({"result": want}), "{answer:?}");
        // the form of section 11.2
        let me = w.talkers[t].lname.clone();
        let from = heard.text_of("from").to_string();
        assert_eq!(
            heard.header,
            json!({"type": "send", "from": from, "to": me, "group": "sensor", "instance": "*",
                "seq": heard.header["seq"], "reply": seq})
        );
        assert!(heard.header["seq"].is_i64() && from != "msgq" && from != me);
    }
}

#[test]
fn d5_calls_by_lname_reach_native_stations_too() {
    let mut w = World::msgq(|_| {});
    let (s, t) = (w.station("sensor"), w.talker());
    w.join(s, "g");
    // the name is found as any client finds it
    w.group_send(t, "Msgq", "*", true, &command("members", json!({"group": "g"})));
    let (_, list) = result(&w.heard_one(t));
    let lname = list[0].as_str().unwrap().to_string();
    let seq = w.group_send(t, "g", &lname, true, &command("DO", json!("q")));
    let question = w.letters(s).remove(0);
    assert_eq!((question.name.as_str(), question.verb.as_str(), &question.body[..]), ("g", "DO", &b"q"[..]));
    w.answer(s, question.ask_id, b"a");
    assert_eq!(result(&w.heard_one(t)), (0, json!("a")));
    let seq2 = w.group_send(t, "g", &lname, true, &command("DO", json!("q")));
    w.unplug(s);
    let told = w.heard_one(t);
    assert_eq!((told.header["reply"].as_i64(), result(&told).0, seq2), (Some(seq + 1), -2, seq + 1));
    // and MSGQ stations are called by address
    let (s, t) = (w.station("caller"), t);
    let station = w.talkers[t].id.unwrap().number();
    let seq = w.call(s, &Letter { name: "mod", station, verb: "DO", ..Letter::default() });
    let question = w.heard_one(t);
    let me = w.talkers[t].lname.clone();
    assert_eq!(
        (question.text_of("to"), question.text_of("group")),
        (me.as_str(), "mod"),
        "section 11.1: the group says which module"
    );
    w.group_reply(t, &question, &json!({"result": [0, 1]}));
    assert_eq!(w.replies(s, seq), [(Code::Ok, b"1".to_vec())]);
}

#[test]
fn d5_unanswered_calls_from_this_dialect_to_native_stations_are_answered() {
    let mut w = World::msgq(|s| s.max_ask = chappe_core::time::Duration::from_secs(50));
    let (s, t) = (w.station("sensor"), w.talker());
    w.join(s, "g");
    let seq = w.group_send(t, "g", "*", true, &command("DO", json!("q")));
    let question = w.letters(s).remove(0);
    w.advance(51_000);
    let told = w.heard_one(t);
    assert_eq!((told.header["reply"].as_i64(), told.text_of("from"), result(&told).0), (Some(seq), "msgq", -3));
    w.answer(s, question.ask_id, b"late");
    assert_eq!(w.heard(t), []);
}

#[test]
fn d5_each_member_of_either_dialect_is_asked() {
    let mut w = World::msgq(|_| {});
    let (a, s) = (w.station("asker"), w.station("native"));
    let (t, u) = (w.talker(), w.talker());
    w.join(s, "g");
    w.subscribe(t, "g");
    w.subscribe(u, "g");
    w.take(a);
    let letter = Letter { name: "g", verb: "DO", ask: true, each: true, ..Letter::default() };
    let seq = w.stations[a].client.request(w.now, &ClientToServer::Send(letter)).unwrap();
    w.drive();
    assert!(matches!(w.take(a)[..], [Seen::Outcome { code: Code::Ok, count: 3, .. }]));
    let question = w.heard_one(t);
    for i in 0..2 {
        w.group_reply(t, &question, &json!({"result": [0, i]}));
    }
    let ask_id = w.letters(s)[0].ask_id;
    w.answer(s, ask_id, b"native");
    w.hang_up(u);
    let told: Vec<(u32, Code, u64, Vec<u8>)> = w
        .take(a)
        .into_iter()
        .map(|seen| match seen {
            Seen::Reply { seq, code, station, body, .. } => (seq, code, station, body),
            other => panic!("{other:?}"),
        })
        .collect();
    let of = |t: usize, w: &World| w.talkers[t].id.map(|id| id.number());
    assert_eq!(told.len(), 3, "{told:?}");
    assert_eq!(told[0], (seq, Code::Ok, of(t, &w).unwrap(), b"0".to_vec()));
    assert_eq!(told[1], (seq, Code::Ok, w.address(s), b"native".to_vec()));
    assert_eq!((told[2].1, told[2].2 != 0), (Code::RecipientLeft, true));
}

#[test]
fn values_that_are_announced_are_heard_as_signals() {
    let (mut w, s, t) = both();
    for (value, shown) in [(&b"21.5"[..], "21.5".to_string()), (b"\xff\x00", base64(b"\xff\x00")), (b"", String::new())]
    {
        let store = Store { op: StoreOp::Set, name: "x", value, announce: true, ..Store::default() };
        w.stations[s].client.store(w.now, &store).unwrap();
        w.drive();
        assert_eq!(w.heard_one(t).json(), json!({"command": ["SET", {"name": "x", "value": shown}]}));
    }
    let store = Store { op: StoreOp::Add, name: "n", amount: 5, announce: true, ..Store::default() };
    w.subscribe(t, "n");
    w.stations[s].client.store(w.now, &store).unwrap();
    w.drive();
    assert_eq!(w.heard_one(t).json(), json!({"command": ["SET", {"name": "n", "value": "5"}]}));
}

#[test]
fn a_message_to_everyone_reaches_both() {
    let (mut w, s, t) = both();
    let other = w.station("other");
    w.send(other, &Letter { everyone: true, verb: "HELLO", ..Letter::default() });
    assert_eq!(w.letters(s)[0].verb, "HELLO");
    assert_eq!(w.heard_one(t).json(), json!({"command": ["HELLO"]}));
}

#[test]
fn mail_waits_for_who_joins_in_this_dialect_too() {
    // D9
    let mut w = World::msgq(|_| {});
    let (s, t) = (w.station("native"), w.talker());
    let declare = chappe_core::model::Declare { name: "box", ..Default::default() };
    w.stations[s].client.declare(&declare).unwrap();
    w.drive();
    for i in 0..3 {
        let body = i.to_string();
        w.send(s, &Letter { name: "box", keep: true, body: body.as_bytes(), ..Letter::default() });
    }
    w.subscribe(t, "box");
    let values: Vec<Value> = w.heard_bodies(t).iter().map(|b| b["command"][1]["value"].clone()).collect();
    assert_eq!(values, [json!("0"), json!("1"), json!("2")]);
}

#[test]
fn d1_both_dialects_hear_one_order() {
    let (mut w, s, t) = both();
    let u = w.talker();
    for i in 0..100 {
        if i % 2 == 0 {
            w.group_send(u, "x", "*", false, &json!({"command": ["SET", {"name": "x", "value": i.to_string()}]}));
        } else {
            w.group_send(u, "x", "*", false, &json!({"command": ["DO", i.to_string()]}));
        }
    }
    let all: Vec<String> = (0..100).map(|i| i.to_string()).collect();
    assert_eq!(w.bodies(s), all);
    assert_eq!(w.heard(t).len(), 100);
}
