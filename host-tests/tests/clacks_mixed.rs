//! How clients of Net::Clacks, native stations and stations of MSGQ meet: `design.md` section 3, every way.

use chappe_core::model::{Change, Code, Encoding, Letter, Params, Store, StoreOp, Watch};
use chappe_host_tests::clacks::base64;
use chappe_host_tests::clacks::host::Host;
use chappe_host_tests::clacks::ours::ours;
use chappe_host_tests::clacks::users::User;
use chappe_host_tests::event::{Mail, Seen};
use chappe_host_tests::msgq::{command, result};
use chappe_host_tests::world::World;
use serde_json::{Value, json};

/// A node, a native station, one of MSGQ, one of Clacks.
fn three() -> (World, usize, usize, usize) {
    let mut w = ours(|_| {});
    let s = w.station("native");
    let t = w.talker();
    let c = w.client(User::Main);
    w.take(s);
    (w, s, t, c)
}

/// What a letter said: verb, parameters, body, encoding.
type Said = (String, Vec<(String, String)>, Vec<u8>, Encoding);

fn said(m: &Mail) -> Said {
    (m.verb.clone(), m.params.clone(), m.body.clone(), m.encoding)
}

fn say(verb: &str, params: &[(&str, &str)], body: &[u8], encoding: Encoding) -> Said {
    let params = params.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
    (verb.into(), params, body.into(), encoding)
}

const MARK: &str = "PAGECAMELCLACKSB64:";

#[test]
fn what_a_native_station_sends_is_heard_as_a_line() {
    let params = [("a", "b"), ("c_1", "d e")];
    let odd = [("a", "x;y"), ("b", "say \"hi\""), ("c", "line\nend\\")];
    let no_keys = [("quote\"", "v"), ("b", "1")];
    let listed = Params::Listed;
    let bytes: Vec<u8> = (0..=255).collect();
    let marked = format!("{MARK}eA==");
    let l = Letter { name: "x", ..Letter::default() };
    let long = "v".repeat(3000);
    for (letter, line) in [
        (Letter { verb: "SET", body: b"v", ..l }, "SET x=v".to_string()),
        (Letter { body: b"v", ..l }, "SET x=v".into()),
        (Letter { verb: "SET", ..l }, "SET x=".into()),
        (Letter { verb: "SET", encoding: Encoding::Text, ..l }, "SET x=".into()),
        (Letter { verb: "SET", body: b" a=b ", ..l }, "SET x= a=b ".into()),
        (Letter { verb: "SET", body: long.as_bytes(), ..l }, format!("SET x={long}")),
        (Letter { verb: "NOTIFY", ..l }, "NOTIFY x".into()),
        (l, "NOTIFY x".into()),
        // what no line can hold, and what would be read as something else
        (Letter { verb: "SET", body: b"line1\nline2", ..l }, format!("SET x={MARK}{}", base64(b"line1\nline2"))),
        (Letter { verb: "SET", body: b"\r", ..l }, format!("SET x={MARK}DQ==")),
        (Letter { verb: "SET", body: &bytes, ..l }, format!("SET x={MARK}{}", base64(&bytes))),
        (Letter { verb: "SET", body: marked.as_bytes(), ..l }, format!("SET x={MARK}{}", base64(marked.as_bytes()))),
        // verbs
        (Letter { verb: "DO", ..l }, "NOTIFY x/DO".into()),
        (Letter { verb: "DO", params: listed(&params), ..l }, "SET x/DO=a=b;c_1=d e".into()),
        (Letter { verb: "DO", params: listed(&odd), ..l }, "SET x/DO=a=\"x;y\";b=say \"hi\";c=line\\nend\\\\".into()),
        (Letter { verb: "DO", params: listed(&no_keys), ..l }, r#"SET x/DO={"quote\"":"v","b":"1"}"#.into()),
        (Letter { verb: "DO", body: b"text", ..l }, "SET x/DO=text".into()),
        (Letter { verb: "DO", params: listed(&params), body: b"text", ..l }, "SET x/DO=a=b;c_1=d e;body=text".into()),
        (Letter { verb: "DO", body: b"a=b", ..l }, "SET x/DO=body=a=b".into()),
        (Letter { params: listed(&params), ..l }, "SET x/MSG=a=b;c_1=d e".into()),
        (Letter { verb: "NOTIFY", body: b"text", ..l }, "SET x/NOTIFY=text".into()),
        (Letter { verb: "SET", params: listed(&params), ..l }, "SET x/SET=a=b;c_1=d e".into()),
        // JSON
        (Letter { body: b"{\"a\": [1]}", encoding: Encoding::Json, ..l }, "SET x={\"a\": [1]}".into()),
        (Letter { verb: "DO", body: b"[1]", encoding: Encoding::Json, ..l }, "SET x/DO=[1]".into()),
    ] {
        let (mut w, s, _, c) = three();
        w.tell(c, "LISTEN x");
        w.send(s, &Letter { seq: 77, ..letter });
        let heard: Vec<String> = w.told_bytes(c).into_iter().map(|l| String::from_utf8_lossy(&l).into()).collect();
        assert_eq!(heard, [line.as_str()], "{letter:?}");
    }
}

#[test]
fn what_is_said_in_lines_is_heard_as_letters() {
    let text = Encoding::Text;
    for (line, name, want) in [
        (&b"SET x=v"[..], "x", say("SET", &[], b"v", text)),
        (b"SET x=", "x", say("SET", &[], b"", text)),
        (b"SET x=a=b; c ", "x", say("SET", &[], b"a=b; c ", text)),
        (b"SETANDSTORE x=v", "x", say("SET", &[], b"v", text)),
        (b"NOTIFY x", "x", say("NOTIFY", &[], b"", Encoding::None)),
        (b"SET x=\xff\0", "x", say("SET", &[], b"\xff\0", Encoding::Bytes)),
        (b"SET x={\"a\":1}", "x", say("SET", &[], b"{\"a\":1}", text)),
        (b"SET x=PAGECAMELCLACKSB64:bGluZTEKbGluZTI=", "x", say("SET", &[], b"line1\nline2", text)),
        (b"SET x=PAGECAMELCLACKSB64: bGlu ZTEK bGluZTI=", "x", say("SET", &[], b"line1\nline2", text)),
        (b"SET x=PAGECAMELCLACKSB64:/w==", "x", say("SET", &[], b"\xff", Encoding::Bytes)),
        (b"SET x=PAGECAMELCLACKSB64:not base64!", "x", say("SET", &[], b"PAGECAMELCLACKSB64:not base64!", text)),
        (b"SET x=PAGECAMELCLACKSYAMLB64: LS0t", "x", say("SET", &[], b"PAGECAMELCLACKSYAMLB64: LS0t", text)),
        // to the name itself
        (b"SET x/DO=a=b", "x/DO", say("SET", &[], b"a=b", text)),
        (b"NOTIFY x/DO", "x/DO", say("NOTIFY", &[], b"", Encoding::None)),
        // and as a verb to the name before it
        (b"SET x/DO=a=b;c=d e", "x", say("DO", &[("a", "b"), ("c", "d e")], b"", Encoding::None)),
        (b"SET x/DO=a=\"b;\\\"\";c=\\n", "x", say("DO", &[("a", "b;\""), ("c", "\n")], b"", Encoding::None)),
        (b"SET x/DO=text", "x", say("DO", &[], b"text", text)),
        (b"SET x/DO=", "x", say("DO", &[], b"", Encoding::None)),
        (b"NOTIFY x/DO", "x", say("DO", &[], b"", Encoding::None)),
        (b"SETANDSTORE x/DO=text", "x", say("DO", &[], b"text", text)),
        (b"SET x/y/DO_IT2=text", "x/y", say("DO_IT2", &[], b"text", text)),
        // names with octets that the bus does not have
        (b"SET \xe9=v", "\\xe9", say("SET", &[], b"v", text)),
        (b"SET a\tb=v", "a\\x09b", say("SET", &[], b"v", text)),
        (b"SET \xc3\xa9=v", "\u{e9}", say("SET", &[], b"v", text)),
        (b"NOTIFY ", "~", say("NOTIFY", &[], b"", Encoding::None)),
        (b"NOTIFY ~", "~~", say("NOTIFY", &[], b"", Encoding::None)),
        (b"NOTIFY *", "**", say("NOTIFY", &[], b"", Encoding::None)),
        (b"NOTIFY a::*", "a::**", say("NOTIFY", &[], b"", Encoding::None)),
        (b"SET a b=v", "a b", say("SET", &[], b"v", text)),
        (b"SET ==v", "=", say("SET", &[], b"v", text)),
    ] {
        let (mut w, s, _, c) = three();
        w.join(s, name);
        w.take(s);
        w.tell_bytes(c, &[line, b"\r\n"].concat());
        let mail = w.letters(s);
        let at = line.escape_ascii();
        assert_eq!(mail.len(), 1, "{at}: {mail:?}");
        assert_eq!((mail[0].name.as_str(), said(&mail[0])), (name, want), "{at}");
        let from = w.wires[c].id.unwrap().number();
        assert_eq!((mail[0].from, mail[0].ask_id), (from, 0), "{at}");
        assert_eq!(w.told(c), [""; 0], "{at}");
    }
    // what is no verb addresses nobody else
    for line in ["SET x/do=v", "SET x/=v", "SET x/1=v", "NOTIFY x/Do", "SET /DO=v", "NOTIFY x/DO/"] {
        let (mut w, s, _, c) = three();
        w.join(s, "x");
        w.take(s);
        w.tell(c, line);
        assert_eq!(w.letters(s), [], "{line}");
    }
}

#[test]
fn d2_one_that_is_in_both_names_hears_it_once() {
    let (mut w, s, _, c) = three();
    w.join(s, "x");
    w.join(s, "x/DO");
    w.take(s);
    w.tell(c, "SET x/DO=a=b");
    assert_eq!(w.letters(s).len(), 1);
    // patterns of native stations cover names of here
    let (mut w, s, _, c) = three();
    w.join(s, "x::*");
    w.join(s, "*");
    w.take(s);
    w.tell(c, "SET x::y=1");
    assert_eq!(w.letters(s).len(), 1);
    w.tell(c, "NOTIFY other");
    assert_eq!(w.letters(s).len(), 1);
    w.tell(c, "STORE x::y=1");
    w.tell(c, "REMOVE x::y");
    assert_eq!(w.letters(s), [], "a STORE notifies nobody");
}

#[test]
fn what_msgq_says_is_heard_as_lines_and_back() {
    for (body, line) in [
        (json!({"command": ["SET", {"name": "x", "value": "v"}]}), "SET x=v"),
        (json!({"command": ["NOTIFY", {"name": "x"}]}), "NOTIFY x"),
        (json!({"command": ["DO"]}), "NOTIFY x/DO"),
        (json!({"command": ["DO", {"a": "b"}]}), "SET x/DO=a=b"),
        (json!({"command": ["DO", "text"]}), "SET x/DO=text"),
        (json!({"command": ["DO", [1, 2]]}), "SET x/DO=[1,2]"),
        (json!({"a": [1]}), r#"SET x={"a":[1]}"#),
        (json!(5), "SET x=5"),
        (json!({"command": ["SET", {"name": "x", "value": "a\nb"}]}), "SET x=PAGECAMELCLACKSB64:YQpi"),
    ] {
        let (mut w, _, t, c) = three();
        w.tell(c, "LISTEN x");
        w.group_send(t, "x", "*", false, &body);
        assert_eq!(w.told(c), [line], "{body}");
    }
    for (line, group, body) in [
        ("SET x=v", "x", command("SET", json!({"name": "x", "value": "v"}))),
        ("SETANDSTORE x=v", "x", command("SET", json!({"name": "x", "value": "v"}))),
        ("NOTIFY x", "x", command("NOTIFY", json!({"name": "x"}))),
        ("SET x/DO=a=b;c=d", "x", command("DO", json!({"a": "b", "c": "d"}))),
        ("NOTIFY x/DO", "x", json!({"command": ["DO"]})),
        ("SET x/DO=text", "x", command("DO", json!("text"))),
        ("NOTIFY ", "", command("NOTIFY", json!({"name": ""}))),
        ("NOTIFY *", "*", command("NOTIFY", json!({"name": "*"}))),
        ("NOTIFY a/*", "a/*", command("NOTIFY", json!({"name": "a/*"}))),
        ("NOTIFY ~~", "~~", command("NOTIFY", json!({"name": "~~"}))),
    ] {
        let (mut w, _, t, c) = three();
        w.subscribe(t, group);
        w.tell(c, line);
        let heard = w.heard_one(t);
        assert_eq!((heard.json(), heard.text_of("group")), (body, group), "{line}");
        assert_eq!(heard.header["want_answer"], json!(false), "{line}");
        // and the same name there is the same name here
        let (mut w, _, t, c) = three();
        let name = if line.contains("/DO") { "x" } else { group };
        w.tell(c, &format!("LISTEN {name}"));
        w.group_send(t, group, "*", false, &json!({"command": ["NOTIFY", {"name": group}]}));
        assert_eq!(w.told(c), [format!("NOTIFY {name}")], "{line}");
    }
}

#[test]
fn what_passes_through_this_dialect_comes_back_the_same() {
    let params = [("a", "b"), ("c", "x;\"y\"\\\n")];
    let text = Encoding::Text;
    for letter in [
        Letter { verb: "SET", body: b"v", encoding: text, ..Letter::default() },
        Letter { verb: "SET", body: b"", encoding: text, ..Letter::default() },
        Letter { verb: "SET", body: b"line\r\nend", encoding: text, ..Letter::default() },
        Letter { verb: "SET", body: b"\xff\n", encoding: Encoding::Bytes, ..Letter::default() },
        Letter { verb: "SET", body: b"\xff", encoding: Encoding::Bytes, ..Letter::default() },
        Letter { verb: "SET", body: b"PAGECAMELCLACKSB64:eA==", encoding: text, ..Letter::default() },
        Letter { verb: "NOTIFY", ..Letter::default() },
        Letter { verb: "DO", ..Letter::default() },
        Letter { verb: "DO", params: Params::Listed(&params), ..Letter::default() },
        Letter { verb: "DO", body: b"text", encoding: text, ..Letter::default() },
    ] {
        let (mut w, s, _, c) = three();
        w.tell(c, "LISTEN x");
        w.send(s, &Letter { name: "x", ..letter });
        let line = w.told_bytes(c).remove(0);
        w.join(s, "x");
        w.take(s);
        w.tell_bytes(c, &[&line[..], b"\n"].concat());
        let mail = w.letters(s).remove(0);
        let want: Vec<(&str, &str)> = letter.params.iter().collect();
        assert_eq!(said(&mail), say(letter.verb, &want, letter.body, letter.encoding), "{}", line.escape_ascii());
    }
}

#[test]
fn names_that_no_line_can_hold_are_written_out() {
    for (name, letter, line) in [
        ("a=b", Letter { body: b"v", ..Letter::default() }, "SET a\\x3db=v"),
        ("=b", Letter { body: b"v", ..Letter::default() }, "SET =b=v"),
        ("a=b", Letter::default(), "NOTIFY a=b"),
        ("a=b", Letter { verb: "DO", ..Letter::default() }, "NOTIFY a=b/DO"),
    ] {
        let (mut w, s, _, c) = three();
        w.tell(c, &format!("LISTEN {name}"));
        w.send(s, &Letter { name, ..letter });
        assert_eq!(w.told(c), [line]);
    }
    // of the longest name
    let (mut w, s, _, c) = three();
    let name = "n".repeat(128);
    w.tell(c, &format!("LISTEN {name}"));
    w.send(s, &Letter { name: &name, verb: &"V".repeat(64), body: b"v", ..Letter::default() });
    assert_eq!(w.told(c).len(), 1);
}

fn store(w: &mut World, s: usize, ask: Store<'_>) -> Vec<Seen> {
    w.take(s);
    w.stations[s].client.store(w.now, &ask).unwrap();
    w.drive();
    w.take(s)
}

fn get(w: &mut World, s: usize, name: &str) -> Option<Vec<u8>> {
    match &store(w, s, Store { op: StoreOp::Get, name, ..Store::default() })[..] {
        [Seen::Value { value, .. }, ..] => Some(value.clone()),
        [Seen::Outcome { code: Code::NotFound, .. }] => None,
        other => panic!("{other:?}"),
    }
}

#[test]
fn values_are_the_same_in_every_dialect() {
    let (mut w, s, _, c) = three();
    // from here
    w.tell(c, "STORE a=1");
    assert_eq!(get(&mut w, s, "a"), Some(b"1".to_vec()));
    w.tell(c, "STORE e=");
    assert_eq!(get(&mut w, s, "e"), Some(vec![]));
    w.tell_bytes(c, b"STORE \xe9\x01=\xff\0\n");
    assert_eq!(get(&mut w, s, "\\xe9\\x01"), Some(b"\xff\0".to_vec()));
    w.tell(c, "STORE m=PAGECAMELCLACKSB64:YQpi");
    assert_eq!(w.value(c, "m").as_deref(), Some("PAGECAMELCLACKSB64:YQpi"), "what was stored here is what was stored");
    w.tell(c, "REMOVE a");
    assert_eq!(get(&mut w, s, "a"), None);
    // from there
    let set = Store { op: StoreOp::Set, name: "n", ..Store::default() };
    store(&mut w, s, Store { value: b"5", ..set });
    assert_eq!(w.value(c, "n").as_deref(), Some("5"));
    w.tell(c, "INCREMENT n=2");
    assert_eq!(get(&mut w, s, "n"), Some(b"7".to_vec()));
    store(&mut w, s, Store { op: StoreOp::Add, amount: -10, ..set });
    assert_eq!(w.value(c, "n").as_deref(), Some("-3"));
    w.tell(c, "INCREMENT n=0.5");
    assert_eq!(get(&mut w, s, "n"), Some(b"-2.5".to_vec()));
    let seen = store(&mut w, s, Store { op: StoreOp::Add, amount: 1, ..set });
    assert!(matches!(seen[..], [Seen::Outcome { code: Code::NotANumber, .. }]), "{seen:?}");
    store(&mut w, s, Store { op: StoreOp::Remove, ..set });
    assert_eq!(w.value(c, "n"), None);
    // what no line can hold
    for value in [&b"line1\nline2"[..], b"\r", b"a\r\n", b"\xff\n\0"] {
        store(&mut w, s, Store { value, ..set });
        let want = format!("{MARK}{}", base64(value));
        assert_eq!(w.value(c, "n"), Some(want));
        assert_eq!(get(&mut w, s, "n"), Some(value.to_vec()));
    }
    // listeners are told if that was wanted, of either side
    w.tell(c, "LISTEN n");
    store(&mut w, s, Store { value: b"quiet", ..set });
    assert_eq!(w.told(c), [""; 0]);
    store(&mut w, s, Store { value: b"loud", announce: true, ..set });
    assert_eq!(w.told(c), ["SET n=loud"]);
    store(&mut w, s, Store { value: b"4", ..set });
    store(&mut w, s, Store { op: StoreOp::Add, amount: 1, announce: true, ..set });
    assert_eq!(w.told(c), ["SET n=5"]);
    w.join(s, "n");
    w.take(s);
    w.tell(c, "SETANDSTORE n=6");
    assert_eq!(w.letters(s).iter().map(said).collect::<Vec<_>>(), [say("SET", &[], b"6", Encoding::Text)]);
    assert_eq!(get(&mut w, s, "n"), Some(b"6".to_vec()));
    // a list of one is a list of the other
    let d = w.client(User::Main);
    w.tell(d, "CLEARCACHE");
    assert_eq!(get(&mut w, s, "n"), None);
    store(&mut w, s, Store { value: b"1", name: "b", ..set });
    store(&mut w, s, Store { value: b"1", name: "a::b", ..set });
    assert_eq!(w.keys(c), ["a::b", "b"]);
}

#[test]
fn native_changes_cross_links_too() {
    let (mut w, s, t, _) = three();
    let (link, _) = w.linked();
    let set = Store { op: StoreOp::Set, name: "n", ..Store::default() };
    store(&mut w, s, Store { value: b"5", ..set });
    assert_eq!(w.told(link), ["STORE n=5"]);
    store(&mut w, s, Store { value: b"6", announce: true, ..set });
    let lines = w.told(link);
    assert!(lines == ["SETANDSTORE n=6"] || lines == ["STORE n=6", "SET n=6"], "{lines:?}");
    store(&mut w, s, Store { op: StoreOp::Remove, ..set });
    assert_eq!(w.told(link), ["REMOVE n"]);
    store(&mut w, s, Store { op: StoreOp::Add, amount: 3, ..set });
    let lines = w.told(link);
    assert!(lines == ["INCREMENT n=3"] || lines == ["STORE n=3"], "{lines:?}");
    // there is no word for both, so a sum that is announced is signalled, too
    store(&mut w, s, Store { op: StoreOp::Add, amount: -1, announce: true, ..set });
    assert_eq!(w.told(link), ["INCREMENT n=-1", "SET n=2"]);
    w.send(s, &Letter { name: "x", body: b"v", ..Letter::default() });
    assert_eq!(w.told(link), ["SET x=v"]);
    w.send(s, &Letter { name: "x", verb: "DO", ..Letter::default() });
    assert_eq!(w.told(link), ["NOTIFY x/DO"]);
    w.group_send(t, "x", "*", false, &command("SET", json!({"name": "x", "value": "m"})));
    assert_eq!(w.told(link), ["SET x=m"]);
    // a value with line ends: what arrives there is read there as it is written
    store(&mut w, s, Store { value: b"a\nb", ..set });
    assert_eq!(w.told(link), [format!("STORE n={MARK}YQpi")]);
    // and what comes over the link is heard by all
    w.join(s, "y");
    w.subscribe(t, "y");
    w.take(s);
    w.tell(link, "SETANDSTORE y=1");
    assert_eq!(w.letters(s).len(), 1);
    assert_eq!(w.heard_bodies(t), [command("SET", json!({"name": "y", "value": "1"}))]);
    assert_eq!(get(&mut w, s, "y"), Some(b"1".to_vec()));
    w.tell(link, "KEYSYNC 4000000000 4000000000 U y=2");
    assert_eq!(get(&mut w, s, "y"), Some(b"2".to_vec()));
    assert_eq!(w.letters(s), []);
}

#[test]
fn d5_nobody_waits_for_a_client_that_cannot_answer() {
    let (mut w, s, t, c) = three();
    w.tell(c, "LISTEN x");
    let seq = w.call(s, &Letter { name: "x", verb: "DO", body: b"q", ..Letter::default() });
    let replies = w.replies(s, seq);
    assert_eq!(replies.len(), 1, "at once");
    assert_ne!(replies[0].0, Code::Ok);
    w.group_send(t, "x", "*", true, &command("DO", json!("q")));
    let told = w.heard_one(t);
    assert!(result(&told).0 < 0, "{}", told.text);
    w.told(c);
    // somebody who can, answers
    let s2 = w.station("callee");
    w.join(s2, "x");
    w.take(s2);
    let seq = w.call(s, &Letter { name: "x", verb: "DO", body: b"q", ..Letter::default() });
    let question = w.letters(s2).remove(0);
    w.answer(s2, question.ask_id, b"a");
    assert_eq!(w.replies(s, seq), [(Code::Ok, b"a".to_vec())]);
    // and by its address
    let station = w.wires[c].id.unwrap().number();
    w.told(c);
    let seq = w.call(s, &Letter { name: "x", station, verb: "DO", ..Letter::default() });
    let replies = w.replies(s, seq);
    assert_eq!(replies.len(), 1);
    assert_ne!(replies[0].0, Code::Ok);
    w.told(c);
    w.fence(c);
}

#[test]
fn letters_to_one_and_to_all() {
    let (mut w, s, _, c) = three();
    let d = w.client(User::Main);
    w.tell(c, "LISTEN x");
    w.tell(d, "LISTEN x");
    let station = w.wires[c].id.unwrap().number();
    w.send(s, &Letter { name: "x", station, body: b"only you", ..Letter::default() });
    assert_eq!((w.told(c), w.told(d)), (vec!["SET x=only you".to_string()], vec![]));
    for letter in [
        Letter { station, body: b"v", ..Letter::default() },
        Letter { station, verb: "DO", ..Letter::default() },
        Letter { station, ..Letter::default() },
        Letter { name: "far", station, verb: "DO", body: b"\n", ..Letter::default() },
        Letter { everyone: true, verb: "DO", body: b"v", ..Letter::default() },
        Letter { everyone: true, name: "x", body: b"v", ..Letter::default() },
    ] {
        // whatever it looks like, it is a line that a client may be sent
        w.send(s, &letter);
        w.told(d);
        assert!(w.told(c).len() <= 1, "{letter:?}");
        w.fence(c);
    }
}

#[test]
fn a_letter_to_everyone_is_to_the_stations_of_this_node() {
    let (mut w, s, _, c) = three();
    let link = w.client(User::Main);
    w.wires[link].link = true;
    w.tell(link, "OVERHEAD I 1");
    w.told(link);
    w.send(s, &Letter { everyone: true, verb: "DO", body: b"v", ..Letter::default() });
    assert_eq!(w.told(c).len(), 1);
    assert_eq!(w.told(link), [""; 0], "over a link it would be a signal");
    w.send(s, &Letter { name: "x", verb: "SET", body: b"v", ..Letter::default() });
    assert_eq!(w.told(link), ["SET x=v"]);
}

fn presence(w: &mut World, s: usize) -> Vec<(Change, u64, String, Code)> {
    let one = |seen| match seen {
        Seen::Presence { change, station, name, reason } => Some((change, station, name, reason)),
        _ => None,
    };
    w.take(s).into_iter().filter_map(one).collect()
}

#[test]
fn d7_native_watchers_see_them_come_and_go() {
    for (how, code) in [
        ("quit", Code::Ok),
        ("hang up", Code::Lost),
        ("silent", Code::Silent),
        ("credentials", Code::BadCredentials),
        ("dismissed", Code::Refused),
        ("closed with all", Code::Refused),
    ] {
        let mut w = ours(|_| {});
        let watcher = w.station("watcher");
        w.watch(watcher, &Watch { stations: true, members: true, ..Watch::default() });
        let boss = w.client(User::Main);
        w.tell(boss, "NOPING");
        w.take(watcher);
        // nobody is there who is not logged in
        let c = w.visitor();
        w.told(c);
        w.tell(c, "CLACKS visitor");
        assert_eq!(presence(&mut w, watcher), [], "{how}");
        w.tell(c, &User::Rw.line());
        let id = w.wires[c].id.unwrap().number();
        let of = |change, name: &str| (change, id, name.to_string(), Code::Ok);
        assert_eq!(presence(&mut w, watcher), [of(Change::Connected, "")], "{how}");
        w.tell_all(c, &["LISTEN x", "LISTEN y", "LISTEN x", "UNLISTEN z", "LISTEN z", "UNLISTEN z"]);
        assert_eq!(
            presence(&mut w, watcher),
            [of(Change::Joined, "x"), of(Change::Joined, "y"), of(Change::Joined, "z"), of(Change::Left, "z")]
        );
        // logging in again is no news
        w.tell(c, &User::Ro.line());
        w.tell(c, &User::Rw.line());
        assert_eq!(presence(&mut w, watcher), [], "{how}");
        match how {
            "quit" => w.tell(c, "QUIT"),
            "hang up" => w.part(c),
            "silent" => w.wait(185_000),
            "credentials" => w.tell(c, "OVERHEAD A d3Jvbmc=:d3Jvbmc="),
            "dismissed" => {
                let lines = w.ask(boss, "CLIENTLIST");
                let line = lines.iter().find(|l| l.contains("CLIENTINFO=visitor;")).expect("it is listed").clone();
                let cid = line.strip_prefix("CLIENT CID=").unwrap().split(';').next().unwrap().to_string();
                w.tell(boss, &format!("CLIENTDISCONNECT {cid}"));
            }
            _ => w.tell(boss, "OVERHEAD C 1"),
        }
        w.wait(5_000);
        assert!(!w.is_open(c), "{how}");
        let mut seen = presence(&mut w, watcher);
        seen.retain(|p| p.1 == id);
        let last = seen.pop().expect("it was seen to go");
        assert_eq!((last.0, last.3), (Change::Disconnected, code), "{how}");
        seen.sort_by_key(|p| p.2.clone());
        let left: Vec<(Change, &str)> = seen.iter().map(|p| (p.0, p.2.as_str())).collect();
        assert_eq!(left, [(Change::Left, "x"), (Change::Left, "y")], "{how}: memberships first, each once");
        assert_eq!(w.router.check(), Ok(()));
    }
}

#[test]
fn d7_one_that_never_logs_in_is_never_there() {
    let mut w = ours(|_| {});
    let watcher = w.station("watcher");
    w.watch(watcher, &Watch { stations: true, members: true, ..Watch::default() });
    w.take(watcher);
    for how in 0..3 {
        let c = w.visitor();
        w.told(c);
        w.tell(c, "LISTEN x");
        match how {
            0 => w.part(c),
            1 => w.wait(20_000),
            _ => w.tell(c, "OVERHEAD A d3Jvbmc=:d3Jvbmc="),
        }
        w.wait(5_000);
        assert!(!w.is_open(c));
        assert_eq!(presence(&mut w, watcher), [], "{how}");
    }
}

#[test]
fn a_name_that_is_exclusive_elsewhere_is_refused_by_name() {
    // D8: whoever has it alone keeps it
    let (mut w, s, _, c) = three();
    w.join_as(s, &chappe_core::model::Join { name: "x", exclusive: true, ..Default::default() });
    w.take(s);
    let lines = w.ask(c, "LISTEN x");
    assert!(lines.len() == 1 && lines[0].starts_with("OVERHEAD E "), "{lines:?}");
    assert!(w.is_open(c));
    w.fence(c);
    w.tell(c, "SET x=1");
    assert_eq!(w.letters(s).len(), 1);
}

#[test]
fn order_between_two_is_kept_across_dialects() {
    let (mut w, s, t, c) = three();
    w.join(s, "x");
    w.join(s, "y");
    w.subscribe(t, "x");
    w.subscribe(t, "y");
    w.take(s);
    let lines: Vec<String> = (0..200).map(|i| format!("SET {}={i}", ["x", "y"][i % 2])).collect();
    let all: Vec<&str> = lines.iter().map(String::as_str).collect();
    w.tell_all(c, &all);
    let want: Vec<String> = (0..200).map(|i| i.to_string()).collect();
    assert_eq!(w.bodies(s), want);
    let heard: Vec<String> =
        w.heard_bodies(t).iter().map(|b: &Value| b["command"][1]["value"].as_str().unwrap().to_string()).collect();
    assert_eq!(heard, want);
    w.tell_all(c, &["LISTEN x", "LISTEN y"]);
    for i in 0..50 {
        w.send(s, &Letter { name: ["x", "y"][i % 2], body: i.to_string().as_bytes(), ..Letter::default() });
    }
    let want: Vec<String> = (0..50).map(|i| format!("SET {}={i}", ["x", "y"][i % 2])).collect();
    assert_eq!(w.told(c), want);
}
