//! How clients of the Communicator, native stations, stations of MSGQ and of Clacks meet: `design.md` section 3, row by
//! row, every way; names, presence, broadcasts across.

use chappe_core::dialect::communicator::emit::Form;
use chappe_core::model::{Change, Encoding, Join, Leave, Letter, Params, Watch};
use chappe_host_tests::clacks;
use chappe_host_tests::clacks::base64;
use chappe_host_tests::clacks::users::User;
use chappe_host_tests::communicator::client::{Host, Opening, TAG};
use chappe_host_tests::communicator::ours::Ours;
use chappe_host_tests::event::{Mail, Seen};
use chappe_host_tests::msgq::command;
use serde_json::json;

const NONE: [&str; 0] = [];

/// A node with one of each.
struct Four {
    w: Ours,
    /// Native.
    s: usize,
    /// MSGQ.
    t: usize,
    /// Clacks.
    c: usize,
    /// Of the Communicator, registered as `foo`.
    x: usize,
}

fn four() -> Four {
    let mut w = Ours::new(|s| (s.clacks.link_user, s.clacks.link_password) = ("exampleuser", b"unsafepassword"));
    let s = w.station("native");
    let t = w.talker();
    let c = clacks::host::Host::client(&mut *w, User::Main);
    let x = w.service("foo");
    w.take(s);
    Four { w, s, t, c, x }
}

impl Four {
    /// A line of Clacks.
    fn clacks(&mut self, line: &str) {
        clacks::host::Host::tell(&mut *self.w, self.c, line);
    }

    fn clacks_told(&mut self) -> Vec<String> {
        clacks::host::Host::told(&mut *self.w, self.c)
    }

    fn native(&self) -> u64 {
        self.w.address(self.s)
    }

    fn msgq(&self) -> u64 {
        self.w.talkers[self.t].id.unwrap().number()
    }

    fn of_clacks(&self) -> u64 {
        self.w.wires[self.c].id.unwrap().number()
    }

    fn of_communicator(&self) -> u64 {
        self.w.lines[self.x].id.unwrap().number()
    }
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

#[test]
fn what_a_native_station_sends_is_heard_as_a_line() {
    let params = [("a", "b"), ("c_1", "d e")];
    let odd = [("a", "x;y"), ("b", "say \"hi\""), ("c", "line\nend\\")];
    let no_keys = [("quote\"", "v"), ("b", "1")];
    let listed = Params::Listed;
    let bytes: Vec<u8> = (0..=255).collect();
    let l = Letter { name: "foo", ..Letter::default() };
    for (letter, line) in [
        // signals
        (Letter { verb: "SET", body: b"v", ..l }, "foo/SET name=foo;value=v".to_string()),
        (Letter { body: b"v", ..l }, "foo/SET name=foo;value=v".into()),
        (Letter { verb: "SET", body: b"a;b=c", ..l }, "foo/SET name=foo;value=\"a;b=c\"".into()),
        (Letter { verb: "SET", body: b"l1\nl2", ..l }, "foo/SET name=foo;value=l1\\nl2".into()),
        (Letter { verb: "NOTIFY", ..l }, "foo/NOTIFY name=foo".into()),
        (l, "foo/NOTIFY name=foo".into()),
        // verbs
        (Letter { verb: "DO", ..l }, "foo/DO".into()),
        (Letter { verb: "DO", params: listed(&params), ..l }, "foo/DO a=b;c_1=d e".into()),
        (Letter { verb: "DO", params: listed(&odd), ..l }, "foo/DO a=\"x;y\";b=say \"hi\";c=line\\nend\\\\".into()),
        (Letter { verb: "DO", body: b"text", ..l }, "foo/DO body=text".into()),
        (Letter { verb: "DO", params: listed(&params), body: b"text", ..l }, "foo/DO a=b;body=text;c_1=d e".into()),
        (Letter { params: listed(&params), ..l }, "foo/MSG a=b;c_1=d e".into()),
        (
            Letter { verb: "DO", params: listed(&no_keys), ..l },
            "foo/DO body={\"quote\\\\\"\":\"v\",\"b\":\"1\"}".into(),
        ),
        // JSON
        (Letter { body: b"{\"a\": [1]}", encoding: Encoding::Json, ..l }, "foo/MSG body={\"a\": [1]}".into()),
        // bytes
        (
            Letter { verb: "DO", body: &bytes, encoding: Encoding::Bytes, ..l },
            format!("foo/DO body_base64={}", base64(&bytes)),
        ),
        (
            Letter { verb: "SET", body: b"\xff", encoding: Encoding::Bytes, ..l },
            "foo/SET name=foo;value_base64=/w==".into(),
        ),
        (Letter { verb: "DO", body: b"a\0b", ..l }, "foo/DO body_base64=YQBi".into()),
        (Letter { verb: "DO", body: b"a;b\\", ..l }, "foo/DO body_base64=YTtiXA==".into()),
        // verbs that no line has
        (Letter { verb: "do", ..l }, "foo/_X64__X6F_".into()),
        (Letter { verb: "DO-IT", ..l }, "foo/DO_X2D_IT".into()),
    ] {
        let mut f = four();
        f.w.send(f.s, &Letter { seq: 77, ..letter });
        assert_eq!(f.w.told(f.x), [format!("<hostA:_s{} {line}", f.native())], "{letter:?}");
    }
}

#[test]
fn what_a_client_says_is_heard_by_a_native_station() {
    let none = Encoding::None;
    let text = Encoding::Text;
    for (line, want) in [
        // signals
        ("n/SET value=v", say("SET", &[], b"v", text)),
        ("n/SET name=n;value=v", say("SET", &[], b"v", text)),
        ("./SET name=n;value=v", say("SET", &[], b"v", text)),
        ("SET name=n;value=v", say("SET", &[], b"v", text)),
        ("communicatord/SET name=n;value=", say("SET", &[], b"", text)),
        ("n/SET name=n;value_base64=/w==", say("SET", &[], b"\xff", Encoding::Bytes)),
        ("n/NOTIFY name=n", say("NOTIFY", &[], b"", none)),
        ("./NOTIFY name=n", say("NOTIFY", &[], b"", none)),
        ("NOTIFY name=n", say("NOTIFY", &[], b"", none)),
        // verbs
        ("n/DO", say("DO", &[], b"", none)),
        (".:n/DO a=b", say("DO", &[("a", "b")], b"", none)),
        ("n/DO b=2;a=x\\ny", say("DO", &[("a", "x\ny"), ("b", "2")], b"", none)),
        ("n/DO a=\"x;\\\"y\\\"\"", say("DO", &[("a", "x;\"y\"")], b"", none)),
        ("n/DO a=1;body=text", say("DO", &[("a", "1")], b"text", text)),
        ("n/DO body_base64=/w==", say("DO", &[], b"\xff", Encoding::Bytes)),
        ("n/SET name=other;value=v", say("SET", &[("name", "other"), ("value", "v")], b"", none)),
        ("n/_X64__X6F_", say("do", &[], b"", none)),
        // JSON
        ("n/MSG body={\"a\":[1]}", say("", &[], b"{\"a\":[1]}", Encoding::Json)),
        ("n/MSG body=text", say("MSG", &[], b"text", text)),
        // what is no business of others
        (
            "n/DO a=1;broadcast_msgid=x;cache=no;transmission_report=failure;secure_remote=false",
            say("DO", &[("a", "1")], b"", none),
        ),
        (
            "{\"service\":\"n\",\"command\":\"DO\",\"parameters\":{\"a\":\"\\u00e9\",\"n\":1}}",
            say("DO", &[("a", "\u{e9}"), ("n", "1")], b"", none),
        ),
    ] {
        let mut f = four();
        f.w.join(f.s, "n");
        f.w.take(f.s);
        assert_eq!(f.w.ask(f.x, line), NONE, "{line}");
        let mail = f.w.letters(f.s);
        assert_eq!(mail.len(), 1, "{line}: {mail:?}");
        assert_eq!((mail[0].name.as_str(), said(&mail[0])), ("n", want), "{line}");
        assert_eq!((mail[0].from, mail[0].ask_id), (f.of_communicator(), 0), "{line}");
    }
}

#[test]
fn bytes_that_are_no_text_in_a_parameter() {
    let mut f = four();
    f.w.join(f.s, "n");
    f.w.take(f.s);
    f.w.tell_bytes(f.x, b"n/DO k=\xff\n");
    assert_eq!(said(&f.w.letters(f.s)[0]), say("DO", &[("k_base64", "/w==")], b"", Encoding::None));
}

#[test]
fn what_msgq_says_is_heard_as_lines_and_back() {
    for (body, line) in [
        (json!({"command": ["SET", {"name": "foo", "value": "v"}]}), "foo/SET name=foo;value=v"),
        (json!({"command": ["NOTIFY", {"name": "foo"}]}), "foo/NOTIFY name=foo"),
        (json!({"command": ["DO"]}), "foo/DO"),
        (json!({"command": ["DO", {"a": "b", "c": "d e"}]}), "foo/DO a=b;c=d e"),
        (json!({"command": ["DO", "text"]}), "foo/DO body=text"),
        (json!({"a": [1]}), "foo/MSG body={\"a\":[1]}"),
    ] {
        let mut f = four();
        f.w.group_send(f.t, "foo", "*", false, &body);
        assert_eq!(f.w.told(f.x), [format!("<hostA:_s{} {line}", f.msgq())], "{body}");
    }
    for (line, body) in [
        ("g/SET value=v", command("SET", json!({"name": "g", "value": "v"}))),
        ("./SET name=g;value=v", command("SET", json!({"name": "g", "value": "v"}))),
        ("g/NOTIFY name=g", command("NOTIFY", json!({"name": "g"}))),
        ("g/DO", json!({"command": ["DO"]})),
        ("g/DO a=b;c=d", command("DO", json!({"a": "b", "c": "d"}))),
        ("g/DO body=text", command("DO", json!("text"))),
        ("g/MSG body={\"a\":[1]}", json!({"a": [1]})),
        ("g/DO a=\\n\\\\;b=\"x;y\"", command("DO", json!({"a": "\n\\", "b": "x;y"}))),
    ] {
        let mut f = four();
        f.w.subscribe(f.t, "g");
        assert_eq!(f.w.ask(f.x, line), NONE);
        let heard = f.w.heard_one(f.t);
        assert_eq!((heard.json(), heard.text_of("group")), (body, "g"), "{line}");
        assert_eq!(heard.header["want_answer"], json!(false), "{line}");
    }
}

#[test]
fn what_clacks_says_is_heard_as_lines_and_back() {
    for (said, line) in [
        ("SET foo=v", "foo/SET name=foo;value=v"),
        ("NOTIFY foo", "foo/NOTIFY name=foo"),
        ("SET foo/DO=a=b;c=d e", "foo/DO a=b;c=d e"),
        ("NOTIFY foo/DO", "foo/DO"),
        ("SET foo/DO=text", "foo/DO body=text"),
        ("SET foo=PAGECAMELCLACKSB64:/w==", "foo/SET name=foo;value_base64=/w=="),
    ] {
        let mut f = four();
        f.clacks(said);
        assert_eq!(f.w.told(f.x), [format!("<hostA:_s{} {line}", f.of_clacks())], "{said}");
    }
    for (line, want) in [
        ("g/SET value=v", "SET g=v"),
        ("./SET name=g;value=v", "SET g=v"),
        ("g/NOTIFY name=g", "NOTIFY g"),
        ("g/DO", "NOTIFY g/DO"),
        ("g/DO a=b;c=d e", "SET g/DO=a=b;c=d e"),
        ("g/DO body=text", "SET g/DO=text"),
        ("g/MSG body={\"a\":[1]}", "SET g={\"a\":[1]}"),
        // lines of that dialect hold every octet but the end of one
        ("g/SET value_base64=/w==", "SET g=\\xff"),
        ("g/SET value=a\\nb", "SET g=PAGECAMELCLACKSB64:YQpi"),
    ] {
        let mut f = four();
        f.clacks("LISTEN g");
        assert_eq!(f.w.ask(f.x, line), NONE);
        assert_eq!(f.clacks_told(), [want], "{line}");
    }
}

#[test]
fn what_passes_through_this_dialect_comes_back_the_same() {
    let params = [("a", "b"), ("c", "x;\"y\"\\\n")];
    let text = Encoding::Text;
    for letter in [
        Letter { verb: "SET", body: b"v", encoding: text, ..Letter::default() },
        Letter { verb: "SET", body: b"", encoding: text, ..Letter::default() },
        Letter { verb: "SET", body: b"line\r\nend ", encoding: text, ..Letter::default() },
        Letter { verb: "SET", body: b"\xff\n", encoding: Encoding::Bytes, ..Letter::default() },
        Letter { verb: "NOTIFY", ..Letter::default() },
        Letter { verb: "DO", ..Letter::default() },
        Letter { verb: "do it", ..Letter::default() },
        Letter { verb: "DO", params: Params::Listed(&params), ..Letter::default() },
        Letter { verb: "DO", body: b"text", encoding: text, ..Letter::default() },
        Letter { verb: "DO", body: b"\0;\\", encoding: Encoding::Bytes, ..Letter::default() },
        Letter { body: b"[1,2]", encoding: Encoding::Json, ..Letter::default() },
    ] {
        let mut f = four();
        f.w.send(f.s, &Letter { name: "foo", ..letter });
        let line = f.w.told_bytes(f.x).remove(0);
        // the same, to the native one: what stands behind the source, and its name in the place of ours
        let at = line.iter().position(|b| *b == b' ').unwrap();
        let back = String::from_utf8(line[at + 1..].to_vec()).unwrap();
        let back = back.replacen("foo/", "n/", 1).replace("name=foo", "name=n");
        f.w.join(f.s, "n");
        f.w.take(f.s);
        assert_eq!(f.w.ask(f.x, &back), NONE);
        let mail = f.w.letters(f.s).remove(0);
        let want: Vec<(&str, &str)> = letter.params.iter().collect();
        assert_eq!(said(&mail), say(letter.verb, &want, letter.body, letter.encoding), "{back}");
    }
}

#[test]
fn stations_of_other_dialects_are_addressed_by_their_number() {
    let mut f = four();
    // whoever says something can be answered
    f.w.send(f.s, &Letter { name: "foo", verb: "DO", ..Letter::default() });
    let line = f.w.told(f.x).remove(0);
    let who = line.strip_prefix("<hostA:").unwrap().split(' ').next().unwrap().to_string();
    f.w.tell(f.x, &format!("hostA:{who}/DONE a=1"));
    f.w.tell(f.x, &format!("{who}/DONE a=2"));
    let mail = f.w.letters(f.s);
    assert_eq!(mail.len(), 2);
    assert_eq!(said(&mail[0]), say("DONE", &[("a", "1")], b"", Encoding::None));
    assert_eq!(mail[0].name, "");
    // other servers have other numbers
    let failed = format!("{TAG}TRANSMISSION_REPORT command=X;status=failed");
    for to in [format!("hostB:{who}"), "_s99999".into(), "_s0".into()] {
        let lines = f.w.ask(f.x, &format!("{to}/X transmission_report=failure"));
        assert!(lines == [failed.clone()] || lines == [format!("{TAG}INVALID command=X;message=*")], "{to}: {lines:?}");
    }
    assert_eq!(f.w.letters(f.s), []);
    // D6: one that has gone is nobody
    f.w.unplug(f.s);
    assert_eq!(f.w.ask(f.x, &format!("{who}/X transmission_report=failure")), [failed]);
    // other clients of this dialect too
    let y = f.w.visitor();
    let number = f.w.lines[y].id.unwrap().number();
    f.w.tell(f.x, &format!("_s{number}/HELLO"));
    assert_eq!(f.w.told(y), [format!("<hostA:foo _s{number}/HELLO")]);
}

#[test]
fn names_of_the_bus_have_a_spelling_here() {
    for (name, service) in [
        ("sensor::b1", "sensor_x3a__x3a_b1"),
        ("a b", "a_x20_b"),
        ("1st", "_x31_st"),
        ("caf\u{e9}", "caf_xc3__xa9_"),
        ("communicatord", "_x63_ommunicatord"),
        ("plain_Name1", "plain_Name1"),
    ] {
        let mut f = four();
        let watcher = f.w.announcer("watcher", "STATUS");
        f.w.join(f.s, name);
        f.w.take(f.s);
        let now = f.w.calendar();
        assert_eq!(
            f.w.told(watcher),
            [format!("{TAG}STATUS cache=no;server_name=hostA;service={service};status=up;up_since={now}")]
        );
        f.w.tell(f.x, &format!("{service}/DO"));
        assert_eq!(f.w.letters(f.s)[0].name, name);
        let lines = f.w.ask(f.x, &format!("SERVICE_STATUS service={service}"));
        assert_eq!(lines, [format!("{TAG}STATUS cache=no;server_name=hostA;service={service};status=up")]);
        let list = f.w.ask(f.x, "LIST_SERVICES").remove(0);
        assert!(list.contains(service), "{list}");
        // a service may be called so itself
        let other = f.w.visitor();
        f.w.stations[f.s].client.leave(&Leave { name, ..Leave::default() }).unwrap();
        f.w.drive();
        f.w.told(watcher);
        f.w.register(other, service);
        let lines = f.w.told(watcher);
        assert!(lines[0].contains(&format!("service={service};status=up")), "{lines:?}");
        f.w.send(f.s, &Letter { name, verb: "DO", ..Letter::default() });
        assert_eq!(f.w.told(other), [format!("<hostA:_s{} {service}/DO", f.native())]);
    }
}

#[test]
fn status_is_of_names_whatever_their_members_speak() {
    let mut f = four();
    let watcher = f.w.announcer("watcher", "STATUS");
    let news = |f: &mut Four| -> Vec<String> {
        let all = f.w.heard(watcher);
        all.iter().map(|m| format!("{} {}", m.get("service").unwrap(), m.get("status").unwrap())).collect()
    };
    f.w.subscribe(f.t, "group");
    assert_eq!(news(&mut f), ["group up"]);
    f.w.join(f.s, "group");
    f.clacks("LISTEN group");
    assert_eq!(news(&mut f), NONE, "only the first");
    f.w.unsubscribe(f.t, "group");
    f.w.unplug(f.s);
    assert_eq!(news(&mut f), NONE);
    f.clacks("UNLISTEN group");
    assert_eq!(news(&mut f), ["group down"], "and the last");
    // names of announced commands are no services
    f.w.announce(f.x, "SOME_COMMAND");
    assert_eq!(news(&mut f), NONE);
    let list = f.w.ask(f.x, "LIST_SERVICES").remove(0);
    assert!(!list.contains("SOME_COMMAND") && list.contains("list=") && list.contains("foo"), "{list}");
}

#[test]
fn presence_of_services_is_seen_by_others() {
    let mut f = four();
    f.w.watch(f.s, &Watch { members: true, ..Watch::default() });
    f.w.take(f.s);
    let y = f.w.service("bar");
    let id = f.w.lines[y].id.unwrap().number();
    f.w.part(y);
    let changes: Vec<(Change, u64, String)> =
        f.w.take(f.s)
            .into_iter()
            .filter_map(|e| match e {
                Seen::Presence { change, station, name, .. } => Some((change, station, name)),
                _ => None,
            })
            .collect();
    assert_eq!(changes, [(Change::Joined, id, "bar".to_string()), (Change::Left, id, "bar".to_string())], "D7");
}

#[test]
fn d8_names_are_exclusive_for_all_dialects() {
    let mut f = four();
    // a native station has it alone
    f.w.join_as(f.s, &Join { name: "mine", exclusive: true, ..Join::default() });
    let y = f.w.visitor();
    assert_eq!(f.w.ask(y, "REGISTER service=mine;version=1"), [format!("{TAG}INVALID command=REGISTER;message=*")]);
    f.w.wait(3_000);
    assert!(!f.w.is_open(y));
    // and the other way round
    f.w.take(f.s);
    f.w.join_as(f.s, &Join { name: "foo", exclusive: true, ..Join::default() });
    f.w.send(f.s, &Letter { name: "foo", verb: "DO", ..Letter::default() });
    assert_eq!(f.w.told(f.x).len(), 1, "the first stays");
}

#[test]
fn commands_are_names_that_others_may_join() {
    let mut f = four();
    f.w.join(f.s, "./GO");
    f.w.subscribe(f.t, "./GO");
    f.clacks("LISTEN ./GO");
    let y = f.w.announcer("bar", "GO");
    f.w.take(f.s);
    f.w.tell(f.x, "./GO a=1");
    assert_eq!(f.w.told(y), ["<hostA:foo ./GO a=1"]);
    assert_eq!(said(&f.w.letters(f.s)[0]), say("GO", &[("a", "1")], b"", Encoding::None));
    assert_eq!(f.w.heard_one(f.t).json(), command("GO", json!({"a": "1"})));
    assert_eq!(f.clacks_told(), ["SET ./GO/GO=a=1"]);
    // and send to
    f.w.send(f.s, &Letter { name: "./GO", verb: "GO", params: Params::Listed(&[("b", "2")]), ..Letter::default() });
    assert_eq!(f.w.told(y), [format!("<hostA:_s{} ./GO b=2", f.native())]);
    f.w.heard(f.t);
    f.w.group_send(f.t, "./GO", "*", false, &command("GO", json!({"c": "3"})));
    assert_eq!(f.w.told(y), [format!("<hostA:_s{} ./GO c=3", f.msgq())]);
}

#[test]
fn d1_d2_one_copy_in_order_over_all_names() {
    let mut f = four();
    f.w.announce(f.x, "GO");
    for n in 0..50 {
        let text = n.to_string();
        let params = [("n", text.as_str())];
        let name = if n % 2 == 0 { "foo" } else { "./GO" };
        f.w.send(f.s, &Letter { name, verb: "GO", params: Params::Listed(&params), ..Letter::default() });
    }
    let numbers: Vec<String> = f.w.heard(f.x).iter().map(|m| m.get("n").unwrap()).collect();
    let want: Vec<String> = (0..50).map(|n| n.to_string()).collect();
    assert_eq!(numbers, want);
}

#[test]
fn a_letter_to_everyone_reaches_clients_too() {
    let mut f = four();
    let y = f.w.visitor();
    f.w.send(f.s, &Letter { everyone: true, verb: "DO", ..Letter::default() });
    for c in [f.x, y] {
        assert_eq!(f.w.told(c), [format!("<hostA:_s{} ./DO", f.native())]);
    }
}

#[test]
fn mail_from_and_to_other_dialects() {
    // for a service, from others
    let mut f = four();
    f.w.declare("absent");
    let l = Letter { name: "absent", keep: true, ttl_ms: 60_000, ..Letter::default() };
    f.w.send(f.s, &Letter { verb: "DO", params: Params::Listed(&[("a", "1")]), ..l });
    f.w.tell(f.x, "absent/DO a=2");
    f.w.send(f.s, &Letter { verb: "SET", body: b"3", ..l });
    let y = f.w.visitor();
    let lines = f.w.ask(y, "REGISTER service=absent;version=1");
    let native = f.native();
    assert_eq!(
        lines[2..],
        [
            format!("<hostA:_s{native} absent/DO a=1"),
            "<hostA:foo absent/DO a=2".into(),
            format!("<hostA:_s{native} absent/SET name=absent;value=3")
        ]
    );
    // for others, from a client
    let mut f = four();
    f.w.declare("absent");
    f.w.tell(f.x, "absent/DO a=2;b=\"x;y\"");
    f.w.tell(f.x, "absent/SET value=v");
    f.w.join(f.s, "absent");
    let mail: Vec<Said> = f.w.letters(f.s).iter().map(said).collect();
    assert_eq!(
        mail,
        [say("DO", &[("a", "2"), ("b", "x;y")], b"", Encoding::None), say("SET", &[], b"v", Encoding::Text)]
    );
    let mut f = four();
    f.w.declare("absent");
    f.w.tell(f.x, "absent/DO a=2");
    f.w.subscribe(f.t, "absent");
    assert_eq!(f.w.heard_one(f.t).json(), command("DO", json!({"a": "2"})));
    let mut f = four();
    f.w.declare("absent");
    f.w.tell(f.x, "absent/DO a=2");
    f.clacks("LISTEN absent");
    assert_eq!(f.clacks_told(), ["SET absent/DO=a=2"]);
}

#[test]
fn datagrams_reach_stations_of_other_dialects() {
    let mut f = four();
    f.w.join(f.s, "n");
    f.w.take(f.s);
    let udp = f.w.open_as(Opening { datagram: true, ..Opening::default() });
    f.w.tell(udp, "<laptop:ed_signal n/DO a=1;secret_code=x");
    assert_eq!(said(&f.w.letters(f.s)[0]), say("DO", &[("a", "1")], b"", Encoding::None));
    // nothing can be said to it
    let id = f.w.lines[udp].id.unwrap().number();
    f.w.send(f.s, &Letter { station: id, verb: "DO", ..Letter::default() });
    f.w.send(f.s, &Letter { everyone: true, verb: "DO", ..Letter::default() });
    f.w.tell(f.x, &format!("_s{id}/DO"));
    assert_eq!(f.w.told(f.x), [format!("<hostA:_s{} ./DO", f.native())], "and others hear of it");
    f.w.fence(f.x);
}

#[test]
fn d8_a_service_and_members_that_share_a_name() {
    // whoever shares a name does not lose it to a service
    let mut f = four();
    f.w.join(f.s, "shared");
    let y = f.w.visitor();
    assert_eq!(f.w.ask(y, "REGISTER service=shared;version=1"), [format!("{TAG}INVALID command=REGISTER;message=*")]);
    f.w.wait(3_000);
    assert!(!f.w.is_open(y));
    f.w.take(f.s);
    f.w.tell(f.x, "shared/DO");
    assert_eq!(f.w.letters(f.s).len(), 1);
}

#[test]
fn a_rename_that_is_refused_changes_nothing() {
    let mut f = four();
    f.w.join_as(f.s, &Join { name: "mine", exclusive: true, ..Join::default() });
    f.w.take(f.s);
    assert_eq!(f.w.ask(f.x, "REGISTER service=mine;version=1"), [format!("{TAG}INVALID command=REGISTER;message=*")]);
    f.w.send(f.s, &Letter { name: "mine", verb: "DO", ..Letter::default() });
    f.w.wait(3_000);
    assert!(!f.w.is_open(f.x), "it comes back and tries again");
    let y = f.w.service("foo");
    f.w.fence(y);
}

#[test]
fn clients_that_read_json_are_written_json() {
    let mut w = Ours::new(|s| s.communicator.form = Form::Json);
    let x = w.visitor();
    w.clients()[x].any = true;
    let s = w.station("native");
    w.tell(x, "REGISTER service=foo;version=1");
    w.tell(x, "FROB");
    w.send(s, &Letter { name: "foo", verb: "DO", params: Params::Listed(&[("a", "x;\"y\"\n")]), ..Letter::default() });
    w.tell(x, "SERVICE_STATUS service=nobody");
    let y = w.visitor();
    w.clients()[y].any = true;
    w.tell(y, "foo/DO a=1;b=\"x;y\"");
    let native = w.address(s);
    let all: Vec<serde_json::Value> = w
        .told_bytes(x)
        .iter()
        .map(|l| serde_json::from_slice(l).unwrap_or_else(|e| panic!("{e}: {}", l.escape_ascii())))
        .collect();
    let of =
        |command: &str| json!({"sent-from-server": "hostA", "sent-from-service": "communicatord", "command": command});
    assert_eq!(all[0], of("HELP"));
    assert_eq!((&all[1]["command"], &all[1]["parameters"]["my_address"]), (&json!("READY"), &json!("127.0.0.1:4042")));
    assert_eq!((&all[2]["command"], &all[2]["service"]), (&json!("UNKNOWN"), &json!("foo")));
    assert_eq!(
        all[3],
        json!({"sent-from-server": "hostA", "sent-from-service": format!("_s{native}"), "service": "foo", "command": "DO",
            "parameters": {"a": "x;\"y\"\n"}})
    );
    assert_eq!(all[4]["parameters"]["status"], json!("unknown"));
    assert_eq!(all[5], json!({"service": "foo", "command": "DO", "parameters": {"a": "1", "b": "x;y"}}));
    assert_eq!(all.len(), 6);
}

#[test]
fn what_clients_say_about_a_name_crosses_links_of_clacks() {
    let mut f = four();
    let (link, _) = clacks::host::Host::linked(&mut *f.w);
    f.w.tell(f.x, "SET name=n;value=v");
    f.w.tell(f.x, "NOTIFY name=n");
    f.w.tell(f.x, "box/DO");
    let mut lines = clacks::host::Host::told(&mut *f.w, link);
    lines.retain(|line| line != "NOP");
    assert_eq!(lines, ["SET n=v", "NOTIFY n", "NOTIFY box/DO"]);
    // what is for one station of this node alone does not
    let native = f.native();
    f.w.tell(f.x, &format!("_s{native}/DO"));
    assert_eq!(clacks::host::Host::told(&mut *f.w, link), NONE);
    f.w.fence(f.x);
}

#[test]
fn a_member_with_an_instance_is_not_whom_a_message_is_for() {
    let mut f = four();
    for name in ["some", "absent"] {
        f.w.join_as(f.s, &Join { name, instance: "i", ..Join::default() });
    }
    f.w.declare("absent");
    f.w.take(f.s);
    let report = |status: &str| format!("{TAG}TRANSMISSION_REPORT command=DO;status={status}");
    assert_eq!(f.w.ask(f.x, "some/DO transmission_report=failure"), [report("failed")]);
    assert_eq!(f.w.ask(f.x, "absent/DO a=1;transmission_report=failure"), [report("cached")], "D9");
    assert_eq!(f.w.letters(f.s), []);
    f.w.join(f.s, "absent");
    assert_eq!(f.w.letters(f.s).len(), 1);
}
