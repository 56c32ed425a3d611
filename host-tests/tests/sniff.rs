//! Monitors: what a station is shown of what all others say, in whatever dialect (`router/sniff.rs`).

use chappe_core::client::Options;
use chappe_core::dialect::Dialect;
use chappe_core::id::StationId;
use chappe_core::model::{
    Answer, ClientToServer, Code, Declare, Encoding, Flag, Hello, Join, Leave, Letter, List, Monitor, Params,
    ServerToClient, Store, StoreOp, Watch, What,
};
use chappe_core::router::{Action, Counter, Gate, Grant, Newcomer, Reason, Rights, Router};
use chappe_core::time::{Duration, Instant};
use chappe_host_tests::clacks::host::Host;
use chappe_host_tests::clacks::ours::ours;
use chappe_host_tests::clacks::users::User;
use chappe_host_tests::msgq::{frame, header};
use chappe_host_tests::random::Random;
use chappe_host_tests::world::World;
use serde_json::json;

const ALL: Monitor<'static> =
    Monitor { seq: 0, off: false, station: 0, station_name: "", name: "", verb: "", dialect: "" };

/// A node, a monitor of everything, a native station `a` and its address.
fn watched() -> (World, usize, usize, u64) {
    let mut w = ours(|_| {});
    let (m, a) = (w.station("m"), w.station("a"));
    w.monitor(m, &ALL);
    w.take(m);
    let address = w.address(a);
    (w, m, a, address)
}

fn request(w: &mut World, s: usize, what: &ClientToServer<'_>) {
    let now = w.now;
    w.stations[s].client.request(now, what).expect("room");
    w.drive();
}

/// Everything that a sight of station `n` begins and goes on with.
fn by(what: u8, dialect: &str, n: u64, name: &str, rest: &str) -> String {
    let name = if name.is_empty() { String::new() } else { format!(" station_name={name:?}") };
    let station = if n == 0 { String::new() } else { format!(" station={n}") };
    format!("what={what} dialect={dialect:?}{station}{name}{rest}")
}

/// Without the numbers that clients give their requests.
fn unnumbered(lines: Vec<String>) -> Vec<String> {
    let strip = |line: String| {
        let words: Vec<&str> =
            line.split(' ').filter(|w| !w.starts_with("seq=") && !w.starts_with("ttl_ms=")).collect();
        words.join(" ")
    };
    lines.into_iter().map(strip).collect()
}

#[test]
fn each_kind_of_message_of_a_native_station_is_shown_once() {
    let (mut w, m, a, n) = watched();
    let b = w.station("b");
    let nb = w.address(b);
    let native = |what, rest: &str| by(what, "messi", n, "a", rest);
    assert_eq!(w.sights(m), [by(11, "messi", nb, "b", "")]);
    request(&mut w, b, &Join { name: "x", instance: "i", exclusive: true, ..Join::default() }.into());
    let line = by(4, "messi", nb, "b", " name=\"x\" instance=\"i\" exclusive=true");
    assert_eq!(unnumbered(w.sights(m)), [line]);

    let pairs = [("k", "v")];
    let letter =
        Letter { name: "x", instance: "i", verb: "SET", body: b"1", encoding: Encoding::Text, ..Letter::default() };
    w.send(a, &Letter { params: Params::Listed(&pairs), ..letter });
    let said = " name=\"x\" instance=\"i\" verb=\"SET\" params=[\"k\"=\"v\"] body=x31 encoding=1";
    assert_eq!(w.sights(m), [native(1, said)]);
    w.send(a, &Letter { everyone: true, verb: "STOP", ..Letter::default() });
    assert_eq!(w.sights(m), [native(1, " verb=\"STOP\" everyone=true")]);
    w.send(a, &Letter { station: nb, seq: 5, ..Letter::default() });
    assert_eq!(w.sights(m), [native(1, &format!(" to={nb} seq=5"))]);
    // nobody is there, and who sent it did not even want to know
    w.send(a, &Letter { name: "nobody", ..Letter::default() });
    assert_eq!(w.sights(m), [native(1, " name=\"nobody\""), native(10, " code=1")]);

    w.take(b);
    let seq = w.call(a, &Letter { name: "x", instance: "i", ttl_ms: 7000, ..Letter::default() });
    let ask_id = w.letters(b)[0].ask_id;
    w.answer(b, ask_id, b"yes");
    let answer = by(3, "messi", nb, "b", &format!(" name=\"x\" body=x796573 to={n} seq={seq}"));
    let question = native(2, &format!(" name=\"x\" instance=\"i\" seq={seq} ttl_ms=7000"));
    assert_eq!(w.sights(m), [question, answer]);
    // a second one is to no question
    w.answer(b, ask_id, b"no");
    assert_eq!(w.sights(m), [by(3, "messi", nb, "b", " body=x6e6f text=\"to no open question\"")]);
    // the node answers itself: at once, when the callee leaves, when it takes too long
    let seq = w.call(a, &Letter { name: "y", ..Letter::default() });
    let own =
        |name: &str, code, seq| by(3, "messi", 0, "test", &format!(" name={name:?} code={code} to={n} seq={seq}"));
    assert_eq!(w.sights(m)[1], own("y", 1, seq));
    let seq = w.call(a, &Letter { name: "x", instance: "i", ttl_ms: 1000, ..Letter::default() });
    w.sights(m);
    w.advance(1100);
    assert_eq!(w.sights(m), [own("x", 3, seq)]);
    let seq = w.call(a, &Letter { name: "x", instance: "i", ..Letter::default() });
    w.sights(m);
    request(&mut w, b, &Leave { name: "x", instance: "i", ..Leave::default() }.into());
    let leaves = by(5, "messi", nb, "b", " name=\"x\" instance=\"i\"");
    assert_eq!(unnumbered(w.sights(m)), unnumbered(vec![leaves, own("x", 2, seq)]));

    let store = Store { op: StoreOp::Set, name: "v", value: b"5", announce: true, ..Store::default() };
    request(&mut w, a, &store.into());
    // the announcement is the node's doing
    assert_eq!(unnumbered(w.sights(m)), [native(6, " name=\"v\" body=x35 op=1 announce=true")]);
    request(&mut w, a, &Store { op: StoreOp::Add, name: "v", amount: -2, ..Store::default() }.into());
    assert_eq!(unnumbered(w.sights(m)), [native(6, " name=\"v\" op=3 amount=-2")]);
    request(&mut w, a, &Store { name: "none", ..Store::default() }.into());
    assert_eq!(unnumbered(w.sights(m)), [native(6, " name=\"none\""), native(10, " code=13 text=\"no such value\"")]);
    let flag = Flag {
        raise: true,
        unit: "u",
        section: "s",
        name: "n",
        description: "hot",
        priority: 7,
        tags: "a,b",
        manual_down: true,
        ..Flag::default()
    };
    request(&mut w, a, &flag.into());
    let params = " params=[\"priority\"=\"7\",\"tags\"=\"a,b\",\"manual_down\"=\"true\"] text=\"hot\"";
    assert_eq!(unnumbered(w.sights(m)), [native(7, &format!(" name=\"u/s/n\"{params}"))]);
    request(
        &mut w,
        a,
        &Flag { raise: false, by_hand: true, description: "", tags: "", manual_down: false, ..flag }.into(),
    );
    assert_eq!(unnumbered(w.sights(m)), [native(7, " name=\"u/s/n\" params=[\"by_hand\"=\"true\"] off=true")]);
    request(&mut w, a, &Declare { name: "d", ..Declare::default() }.into());
    request(&mut w, a, &Declare { name: "d", forget: true, ..Declare::default() }.into());
    assert_eq!(unnumbered(w.sights(m)), [native(8, " name=\"d\""), native(8, " name=\"d\" off=true")]);
    request(&mut w, a, &Watch { stations: true, ..Watch::default() }.into());
    request(&mut w, a, &List { what: What::Flags, name: "u", ..List::default() }.into());
    assert_eq!(
        unnumbered(w.sights(m)),
        [
            native(9, " verb=\"WATCH\" params=[\"stations\"=\"true\"]"),
            native(9, " name=\"u\" verb=\"LIST\" params=[\"what\"=\"flags\"]")
        ]
    );
    w.unplug(a);
    assert_eq!(w.sights(m), [native(12, " code=21")]);
    w.stations[b].client.goodbye(w.now);
    w.drive();
    assert_eq!(w.sights(m), [by(12, "messi", nb, "b", "")], "goodbye is no failure");
}

#[test]
fn messages_of_msgq_are_shown_as_what_they_mean() {
    let (mut w, m, a, _) = watched();
    let t = w.talker();
    let lname = w.talkers[t].lname.clone();
    let n = w.talkers[t].id.expect("there").number();
    let said = |what, rest: &str| by(what, "msgq", n, &lname, rest);
    assert_eq!(w.sights(m), [said(11, "")]);
    w.subscribe(t, "x");
    assert_eq!(w.sights(m), [said(4, " name=\"x\"")]);
    w.join(a, "x");
    w.sights(m);
    w.group_send(t, "x", "*", false, &json!({"command": ["DO", {"k": "v"}]}));
    let lines = unnumbered(w.sights(m));
    assert_eq!(lines, [said(1, " name=\"x\" verb=\"DO\" params=[\"k\"=\"v\"]")]);
    // a question to the native station, and its answer
    w.take(a);
    let seq = w.group_send(t, "x", "*", true, &json!({"a": [1]}));
    let ask_id = w.letters(a)[0].ask_id;
    w.answer(a, ask_id, b"yes");
    let lines = unnumbered(w.sights(m));
    assert_eq!(lines[0], said(2, " name=\"x\" body=x7b2261223a5b315d7d encoding=2"));
    let na = w.address(a);
    assert_eq!(lines[1], by(3, "messi", na, "a", &format!(" name=\"x\" body=x796573 to={n}")), "{seq}");
    // and the other way round
    w.heard(t);
    let seq = w.call(a, &Letter { name: "x", verb: "ASK", ..Letter::default() });
    let question = w.heard_one(t);
    w.group_reply(t, &question, &json!({"result": [0, "fine"]}));
    assert_eq!(w.replies(a, seq).len(), 1);
    let lines = w.sights(m);
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert_eq!(lines[1], said(3, &format!(" name=\"x\" body=x66696e65 encoding=1 to={na} seq={seq}")));
    // what it asks of the node
    w.group_send(t, "Msgq", "*", true, &json!({"command": ["members", {}]}));
    assert_eq!(unnumbered(w.sights(m)), [said(2, " name=\"Msgq\" verb=\"members\"")]);
    w.unsubscribe(t, "x");
    assert_eq!(w.sights(m), [said(5, " name=\"x\"")]);
    w.hang_up(t);
    assert_eq!(w.sights(m), [said(12, " code=21")]);
}

#[test]
fn lines_of_clacks_are_shown_as_what_they_mean_each_once() {
    let (mut w, m, _, _) = watched();
    let c = w.client(User::Main);
    let n = w.wires[c].id.expect("there").number();
    let lines = w.sights(m);
    assert_eq!(lines.len(), 1, "its login is not shown: {lines:?}");
    assert!(lines[0].starts_with("what=11 dialect=\"clacks\""), "{lines:?}");
    let name = lines[0].split_once("station_name=").map_or("", |(_, name)| name.trim_matches('"')).to_owned();
    for (line, what, rest) in [
        ("LISTEN a::b", 4, " name=\"a::b\""),
        ("SET x=v", 1, " name=\"x\" verb=\"SET\" body=x76 encoding=1"),
        ("SET x=PAGECAMELCLACKSB64:AP8=", 1, " name=\"x\" verb=\"SET\" body=x00ff encoding=4"),
        ("NOTIFY s/DO", 1, " name=\"s/DO\" verb=\"NOTIFY\""),
        ("SET s/DO=a=b", 1, " name=\"s/DO\" verb=\"SET\" body=x613d62 encoding=1"),
        ("STORE k=1", 6, " name=\"k\" body=x31 encoding=1 op=1"),
        ("SETANDSTORE k=2", 6, " name=\"k\" body=x32 encoding=1 op=1 announce=true"),
        ("INCREMENT k", 6, " name=\"k\" op=3 amount=1"),
        ("DECREMENT k=3", 6, " name=\"k\" op=3 amount=-3"),
        ("INCREMENT k=0.5", 6, " name=\"k\" body=x302e35 encoding=1 text=\"plus the body\" op=3"),
        ("DECREMENT k=0.5", 6, " name=\"k\" body=x302e35 encoding=1 text=\"minus the body\" op=3"),
        ("RETRIEVE k", 6, " name=\"k\""),
        ("REMOVE k", 6, " name=\"k\" op=2"),
        ("FLUSH now", 6, " op=4"),
        ("KEYLIST", 9, " verb=\"KEYLIST\""),
        ("CLIENTLIST", 9, " verb=\"CLIENTLIST\""),
        ("CLEARCACHE", 9, " verb=\"CLEARCACHE\""),
        ("CLIENTDISCONNECT 1.2.3.4:5", 9, " verb=\"CLIENTDISCONNECT\" body=x312e322e332e343a35 encoding=1"),
        ("MONITOR", 9, " verb=\"MONITOR\""),
        ("UNMONITOR", 9, " verb=\"UNMONITOR\""),
        ("WHAT ever", 9, " body=x574841542065766572 encoding=1"),
        ("UNLISTEN a::b", 5, " name=\"a::b\""),
    ] {
        w.tell(c, line);
        let sights = w.sights(m);
        let sights: Vec<_> = sights.into_iter().filter(|s| !s.starts_with("what=10 ")).collect();
        assert_eq!(sights, [by(what, "clacks", n, &name, rest)], "{line}");
    }
    let login = format!("OVERHEAD A {}", chappe_host_tests::clacks::token("exampleuser", "unsafepassword"));
    for line in ["PING", "NOPING", "CLACKS me", &login, "overhead"] {
        w.tell(c, line);
        assert_eq!(w.sights(m), [""; 0], "{line}");
    }
    w.tell(c, "SET nobody=v");
    assert_eq!(w.sights(m)[1], by(10, "clacks", n, "me", " code=1"));
    // what crosses a link
    let (link, _) = w.linked();
    w.sights(m);
    for (line, rest) in [
        ("KEYSYNC 4000000000 4000000000 U k=v", " name=\"k\" body=x76 encoding=1 text=\"sync\" op=1"),
        ("KEYSYNC 4000000001 0 D k=REMOVED", " text=\"sync\" op=2"),
    ] {
        w.tell(link, line);
        let sights = w.sights(m);
        assert!(sights.len() == 1 && sights[0].ends_with(rest), "{line}: {sights:?}");
    }
}

#[test]
fn a_monitor_sees_what_matches_all_that_it_wants() {
    let mut w = ours(|_| {});
    let (m, a, b) = (w.station("m"), w.station("a"), w.station("b"));
    let (na, nb) = (w.address(a), w.address(b));
    let c = w.client(User::Main);
    let t = w.talker();
    let mut shown = |monitor: &Monitor<'_>| {
        w.monitor(m, monitor);
        w.sights(m);
        w.send(a, &Letter { name: "s::1", verb: "SET", ..Letter::default() });
        w.send(b, &Letter { name: "s::2", verb: "GO", ..Letter::default() });
        w.send(b, &Letter { station: na, verb: "GO", ..Letter::default() });
        w.tell(c, "SET s::1/GO=x");
        w.group_send(t, "s::1", "*", false, &json!({"command": ["GO"]}));
        w.call(a, &Letter { name: "nobody", verb: "ASK", ..Letter::default() });
        let lines = w.sights(m);
        let kind = |line: &String| line.split(' ').next().map(|k| k["what=".len()..].to_owned()).unwrap();
        let outcomes = lines.iter().filter(|l| kind(l) == "10").count();
        (lines.iter().map(kind).filter(|k| k != "10").collect::<Vec<_>>().join(" "), outcomes)
    };
    let (everything, outcomes) = shown(&ALL);
    assert_eq!((everything.as_str(), outcomes), ("1 1 1 1 1 2 3", 4), "nobody has joined s::1 or s::2");
    for (monitor, want) in [
        (Monitor { name: "s::1", ..ALL }, ("1 1 1", 3)),
        (Monitor { name: "s::*", ..ALL }, ("1 1 1 1", 4)),
        (Monitor { name: "*", ..ALL }, ("1 1 1 1 2 3", 4)),
        (Monitor { name: "nobody", ..ALL }, ("2 3", 0)),
        (Monitor { verb: "GO", ..ALL }, ("1 1 1 1", 3)),
        (Monitor { verb: "SET", dialect: "messi", ..ALL }, ("1", 1)),
        (Monitor { dialect: "msgq", ..ALL }, ("1", 1)),
        (Monitor { dialect: "clacks", ..ALL }, ("1", 1)),
        (Monitor { station: nb, ..ALL }, ("1 1", 1)),
        (Monitor { station: na, ..ALL }, ("1 1 2 3", 1)),
        (Monitor { station_name: "a", ..ALL }, ("1 2 3", 1)),
        (Monitor { station_name: "a", name: "s::*", verb: "SET", dialect: "messi", station: na, ..ALL }, ("1", 1)),
        (Monitor { station_name: "nobody", ..ALL }, ("", 0)),
    ] {
        let (kinds, outcomes) = shown(&monitor);
        assert_eq!((kinds.as_str(), outcomes), want, "{monitor:?}");
    }
    assert_eq!(shown(&Monitor { off: true, ..ALL }), (String::new(), 0));
}

/// Knows who may do what, by the number of the user.
struct Rows;

impl Gate for Rows {
    fn check(&self, user: &str, _: &[u8]) -> Option<Grant> {
        let (rights, restricted) = match user {
            "all" => (Rights::READ | Rights::MANAGE, false),
            "some" => (Rights::ALL, true),
            "reads" => (Rights::READ | Rights::WRITE, false),
            "manages" => (Rights::MANAGE | Rights::WRITE, false),
            _ => return None,
        };
        Some(Grant { rights, restricted, number: 1 })
    }
    fn allows(&self, _: Grant, _: Rights, _: &str) -> bool {
        true
    }
}

static ROWS: Rows = Rows;

#[test]
fn only_who_may_read_and_manage_everything_monitors_and_bad_requests_are_refused_by_name() {
    let mut w = World::with_gate(&ROWS, |_| {});
    for (user, code) in
        [("all", Code::Ok), ("some", Code::Refused), ("reads", Code::Refused), ("manages", Code::Refused)]
    {
        let s = w.station_with(Options { name: user, user, token: b"x", ..Options::default() }, Rights::NONE);
        w.monitor(s, &Monitor { seq: 9, ..ALL });
        let outcomes = w.outcomes(s, 9);
        assert_eq!(outcomes.iter().map(|o| o.0).collect::<Vec<_>>(), [code], "{user}");
        assert_eq!(w.used("monitors"), 1, "{user}");
    }
    let mut w = World::default();
    let s = w.station("s");
    let long = "v".repeat(65);
    let many = "n".repeat(129);
    for (monitor, code) in [
        (Monitor { name: "a\n", ..ALL }, Code::BadName),
        (Monitor { name: &many, ..ALL }, Code::BadName),
        (Monitor { verb: &long, ..ALL }, Code::BadRequest),
        (Monitor { station_name: &long[..49], ..ALL }, Code::BadRequest),
        (Monitor { dialect: "esperanto", ..ALL }, Code::BadRequest),
    ] {
        w.monitor(s, &Monitor { seq: 9, ..monitor });
        assert_eq!(w.outcomes(s, 9)[0].0, code, "{monitor:?}");
        assert_eq!(w.used("monitors"), 0);
    }
    let small = w.station_with(Options { name: "small", max_frame: 1023, ..Options::default() }, Rights::ALL);
    w.monitor(small, &Monitor { seq: 9, ..ALL });
    assert_eq!(w.outcomes(small, 9)[0].0, Code::TooBig);
    // d12
    let all: Vec<usize> = (0..17).map(|_| w.station("s")).collect();
    for (i, s) in all.iter().enumerate() {
        w.monitor(*s, &Monitor { seq: 9, ..ALL });
        assert_eq!(w.outcomes(*s, 9)[0].0, if i < 16 { Code::Ok } else { Code::Full });
    }
    // who leaves makes room, whichever way
    w.unplug(all[3]);
    w.monitor(all[16], &Monitor { seq: 9, ..ALL });
    assert_eq!(w.outcomes(all[16], 9)[0].0, Code::Ok);
    w.monitor(all[0], &Monitor { off: true, seq: 9, ..ALL });
    assert_eq!((w.outcomes(all[0], 9)[0].0, w.used("monitors")), (Code::Ok, 15));
}

#[test]
fn a_monitor_is_not_shown_that_it_monitors_but_others_are_and_what_it_says_itself_is() {
    let mut w = World::default();
    let (m, other) = (w.station("m"), w.station("other"));
    w.monitor(m, &ALL);
    w.monitor(m, &Monitor { name: "x", ..ALL });
    w.monitor(m, &ALL);
    assert_eq!(w.sights(m), [""; 0]);
    w.monitor(other, &ALL);
    let n = w.address(other);
    assert_eq!(w.sights(m), [by(9, "messi", n, "other", " verb=\"MONITOR\"")]);
    assert_eq!(w.sights(other), [""; 0]);
    w.send(m, &Letter { everyone: true, ..Letter::default() });
    assert_eq!((w.sights(m).len(), w.sights(other).len()), (1, 1));
    w.monitor(m, &Monitor { off: true, ..ALL });
    w.send(m, &Letter { everyone: true, ..Letter::default() });
    assert_eq!((w.sights(m).len(), w.sights(other).len()), (0, 2));
}

#[test]
fn secrets_are_never_shown() {
    let (mut w, m, a, _) = watched();
    let pairs = [("user", "anna"), ("Secret_Code", "sesame"), ("db_password", "sesame")];
    w.send(a, &Letter { name: "x", params: Params::Listed(&pairs), ..Letter::default() });
    w.send(a, &Letter { name: "x", body: br#"{"password": "sesame"}"#, encoding: Encoding::Json, ..Letter::default() });
    w.send(a, &Letter { name: "x", body: b"a=b;secret_code=sesame", ..Letter::default() });
    request(&mut w, a, &Store { op: StoreOp::Set, name: "db/password", value: b"sesame", ..Store::default() }.into());
    let c = w.client(User::Main);
    w.tell_all(c, &["SET s/LOGIN=user=anna;password=sesame", "STORE my::token=sesame", "OVERHEAD A sesame"]);
    let t = w.talker();
    w.group_send(t, "x", "*", false, &json!({"command": ["auth", {"user": "anna", "password": "sesame"}]}));
    w.group_send(t, "x", "*", false, &json!({"command": ["auth", {"a": {"password": "sesame"}}]}));
    w.station_with(
        Options { name: "u", user: "exampleuser", token: b"unsafepassword", ..Options::default() },
        Rights::NONE,
    );
    w.station_with(Options { name: "v", user: "exampleuser", token: b"sesame", ..Options::default() }, Rights::NONE);
    let lines = w.sights(m);
    let hex = |text: &str| text.bytes().map(|b| format!("{b:02x}")).collect::<String>();
    for secret in ["sesame", "unsafepassword"] {
        assert!(lines.iter().all(|l| !l.contains(secret) && !l.contains(&hex(secret))), "{lines:#?}");
    }
    let hidden: Vec<_> = lines.iter().filter(|l| l.contains(" hidden=true")).collect();
    assert_eq!(hidden.len(), 8, "{hidden:#?}");
    assert!(hidden[0].contains("params=[\"user\"=\"anna\",\"Secret_Code\"=\"***\",\"db_password\"=\"***\"]"));
    assert!(hidden[1].ends_with(" hidden=true size=22"), "{}", hidden[1]);
}

#[test]
fn what_is_too_long_for_a_monitor_is_cut_with_a_mark() {
    let mut w = World::default();
    let m = w.station_with(Options { name: "m", max_frame: 1024, ..Options::default() }, Rights::ALL);
    let a = w.station("a");
    w.monitor(m, &ALL);
    w.take(m);
    let body = vec![7; 3000];
    w.send(a, &Letter { name: "x", body: &body, ..Letter::default() });
    let lines = w.sights(m);
    assert!(lines[0].contains(" cut=true size=3000"), "{lines:?}");
    let shown = lines[0].matches("07").count();
    assert!((900..1000).contains(&shown), "{shown} octets");
    let long = "v".repeat(900);
    let pairs = [("a", long.as_str()), ("b", long.as_str())];
    w.send(a, &Letter { name: "x", verb: "V", params: Params::Listed(&pairs), body: b"b", ..Letter::default() });
    let lines = w.sights(m);
    assert!(lines[0].contains(" verb=\"V\" body=x62 cut=true size=1"), "{lines:?}");
}

#[test]
fn d4_a_monitor_that_does_not_read_misses_is_told_how_much_and_stays() {
    let mut w = World::new(|s| {
        s.outbox = 8192;
        s.slow_after = Duration::from_secs(3);
    });
    let m = w.station_with(Options { name: "m", silence: Duration::from_secs(600), ..Options::default() }, Rights::ALL);
    let (a, b) = (w.station("a"), w.station("b"));
    w.join(b, "x");
    w.monitor(m, &ALL);
    w.sights(m);
    w.stations[m].reads = false;
    for i in 0..300u32 {
        w.send(a, &Letter { name: "x", body: &i.to_be_bytes(), ..Letter::default() });
        assert_eq!(w.letters(b).len(), 1, "others hear at once");
        w.advance(100);
    }
    assert_eq!(w.stations[m].closed, [], "thirty seconds, and its transport took nothing");
    let counted = w.router.counters().get(Counter::SightsMissed);
    assert!((100..300).contains(&counted), "{counted}");
    w.read_again(m);
    let lines = w.sights(m);
    let (last, before) = lines.split_last().unwrap();
    assert_eq!(*last, format!("what=13 count={counted}"));
    assert_eq!(before.len() as u64 + counted, 300);
    // in order, and what comes now is shown again
    for (i, line) in before.iter().enumerate() {
        assert!(line.contains(&format!(" body=x{i:08x}")), "{i}: {line}");
    }
    w.send(a, &Letter { name: "x", ..Letter::default() });
    assert_eq!(w.sights(m).len(), 1);
    assert_eq!(w.router.counters().get(Counter::SightsMissed), counted);
    // who does not monitor any more is closed as everybody
    w.monitor(m, &Monitor { off: true, ..ALL });
    w.join(m, "x");
    w.stations[m].reads = false;
    w.stations[m].allowed = false;
    for _ in 0..200 {
        w.send(a, &Letter { name: "x", body: &[7; 100], ..Letter::default() });
        w.advance(100);
    }
    assert_eq!(w.stations[m].closed, [Reason::Slow]);
}

#[test]
fn d4_monitors_hold_nothing_that_others_need() {
    // outboxes far beyond the common memory of 128 KiB
    let mut w = World::new(|s| s.outbox = 1 << 20);
    let (a, good) = (w.station("a"), w.station("good"));
    w.join(good, "x");
    for _ in 0..16 {
        let m = w.station_with(Options { silence: Duration::from_secs(600), ..Options::default() }, Rights::ALL);
        w.monitor(m, &ALL);
        w.stations[m].reads = false;
    }
    for i in 0..500 {
        w.send(a, &Letter { name: "x", body: &[7; 1000], seq: 1, ..Letter::default() });
        assert_eq!(w.letters(good).len(), 1, "letter {i}");
    }
    assert!(w.used("buffer_blocks") <= 1024, "half of it is never held for monitors");
    assert_eq!(w.router.counters().get(Counter::ClosedMemory), 0);
}

#[test]
fn what_was_monitored_is_said_again_on_the_next_connection() {
    let mut w = World::default();
    let (m, a) = (w.station("m"), w.station("a"));
    w.monitor(m, &Monitor { verb: "GO", ..ALL });
    w.unplug(m);
    w.stations[m].allowed = true;
    w.advance(60_000);
    w.take(m);
    w.send(a, &Letter { name: "x", verb: "GO", ..Letter::default() });
    w.send(a, &Letter { name: "x", verb: "STAY", ..Letter::default() });
    assert_eq!(w.sights(m).len(), 2, "the letter, and that nobody heard it");
}

/// Connections that a test writes to and reads from octet by octet.
struct Bare {
    w: World,
    all: Vec<(StationId, Vec<u8>)>,
}

impl Bare {
    fn add(&mut self, dialect: Dialect) -> usize {
        let newcomer = Newcomer { dialect, grant: Grant::anonymous(Rights::ALL), ..Newcomer::default() };
        let id = self.w.router.admit(self.w.now, newcomer).expect("a free place");
        self.all.push((id, Vec::new()));
        self.serve();
        self.all.len() - 1
    }

    fn serve(&mut self) {
        let now = self.w.now;
        let router: &mut Router<'_> = &mut self.w.router;
        while let Some(action) = router.next_action(now) {
            if let Action::Write(id) = action {
                let bytes: Vec<u8> = router.output(id).flatten().copied().collect();
                let (_, read) = self.all.iter_mut().find(|(i, _)| *i == id).expect("known");
                read.extend_from_slice(&bytes);
                router.sent(now, id, bytes.len());
            }
        }
    }

    fn say(&mut self, i: usize, bytes: &[u8]) {
        let mut left = bytes;
        while !left.is_empty() {
            let taken = self.w.router.receive(self.w.now, self.all[i].0, left);
            left = &left[taken..];
            self.serve();
        }
    }
}

fn messi<'f>(m: impl Into<ClientToServer<'f>>) -> Vec<u8> {
    let m = m.into();
    let mut out = vec![0; 4 + m.len()];
    out[..4].copy_from_slice(&(m.len() as u32 | 1 << 24).to_be_bytes());
    m.write(&mut chappe_core::dialect::messi::wire::Writer::new(&mut out[4..]));
    out
}

/// What all others were told, octet for octet, of a random conversation in all dialects.
fn overheard(seed: u64, monitor: Option<Monitor<'_>>) -> (Vec<Vec<u8>>, Vec<u64>) {
    let mut bare = Bare { w: ours(|_| {}), all: Vec::new() };
    let looker = bare.add(Dialect::Messi);
    bare.say(looker, &messi(Hello { name: "looker", ..Hello::default() }));
    let mut stations = Vec::new();
    for i in 0..6 {
        let dialect = [Dialect::Messi, Dialect::Msgq, Dialect::Clacks][i % 3];
        let s = bare.add(dialect);
        match dialect {
            Dialect::Messi => bare.say(s, &messi(Hello { name: "s", ..Hello::default() })),
            Dialect::Msgq => bare.say(s, &frame(&header(&json!({"type": "getlname"})), b"")),
            _ => {
                let token = chappe_host_tests::clacks::token("exampleuser", "unsafepassword");
                bare.say(s, format!("CLACKS c\r\nOVERHEAD A {token}\r\n").as_bytes());
            }
        }
        stations.push((s, dialect));
    }
    if let Some(monitor) = monitor {
        bare.say(looker, &messi(monitor));
    }
    let mut r = Random::new(seed);
    const NAMES: [&str; 5] = ["a", "b::c", "b::*", "s/GO", "s"];
    for _ in 0..300 {
        let (s, dialect) = stations[r.below(stations.len())];
        // several frames at once, so that there would be runs
        let mut bytes = Vec::new();
        let name = NAMES[r.below(5)];
        let kind = r.below(8);
        for k in 0..1 + r.below(4) {
            let number = r.below(1000).to_string();
            bytes.extend(match (dialect, kind) {
                (Dialect::Messi, 0) => messi(Join { name, seq: 3, ..Join::default() }),
                (Dialect::Messi, 1) => messi(Store {
                    seq: r.below(2) as u32,
                    op: StoreOp::from_number(r.below(4) as u32),
                    name,
                    value: number.as_bytes(),
                    amount: 1,
                    announce: true,
                }),
                (Dialect::Messi, 2) => messi(Letter { name, ask: true, seq: 1 + k as u32, ..Letter::default() }),
                (Dialect::Messi, 3) => {
                    messi(Answer { ask_id: 1 + r.below(60) as u64, body: b"b", ..Answer::default() })
                }
                (Dialect::Messi, _) => messi(Letter { name, verb: "GO", body: number.as_bytes(), ..Letter::default() }),
                (Dialect::Msgq, 0) => {
                    let members = json!({"type": "subscribe", "group": name, "instance": "*"});
                    frame(&header(&members), b"")
                }
                (Dialect::Msgq, _) => {
                    let members = json!({"type": "send", "from": "x", "to": "*", "group": name, "instance": "*",
                        "seq": k, "want_answer": kind == 1});
                    frame(&header(&members), number.as_bytes())
                }
                (_, 0) => format!("LISTEN {name}\r\n").into_bytes(),
                (_, 1) => format!("STORE {name}={number}\r\n").into_bytes(),
                (_, 2) => format!("SETANDSTORE {name}={number}\r\n").into_bytes(),
                (_, 3) => format!("INCREMENT {name}\r\nRETRIEVE {name}\r\n").into_bytes(),
                _ => format!("SET {name}={number}\r\n").into_bytes(),
            });
        }
        bare.say(s, &bytes);
        bare.w.now = bare.w.now + Duration::from_millis(r.below(20) as u32);
        let now: Instant = bare.w.now;
        bare.w.router.tick(now);
        bare.serve();
    }
    let counters = Counter::ALL.iter().filter(|c| {
        !matches!(c, Counter::Sights | Counter::SightsMissed | Counter::BytesIn | Counter::BytesOut)
            && !matches!(c, Counter::FramesIn | Counter::FramesOut)
    });
    let counted = counters.map(|c| bare.w.router.counters().get(*c)).collect();
    (stations.into_iter().map(|(s, _)| std::mem::take(&mut bare.all[s].1)).collect(), counted)
}

#[test]
fn nobody_can_tell_whether_somebody_monitors() {
    for seed in 1..=30 {
        let alone = overheard(seed, None);
        assert!(alone.0.iter().map(Vec::len).sum::<usize>() > 3000, "seed {seed} says nothing");
        for monitor in [ALL, Monitor { name: "b::*", ..ALL }, Monitor { dialect: "msgq", ..ALL }] {
            assert!(overheard(seed, Some(monitor)) == alone, "seed {seed}, {monitor:?}");
        }
    }
}

#[test]
fn the_time_is_that_of_the_calendar() {
    let (mut w, m, a, _) = watched();
    let id = w.stations[m].id.unwrap();
    w.stations[m].reads = false;
    w.send(a, &Letter { name: "x", ..Letter::default() });
    let bytes: Vec<u8> = w.router.output(id).flatten().copied().collect();
    let len = u32::from_be_bytes([0, bytes[1], bytes[2], bytes[3]]) as usize;
    let ServerToClient::Seen(seen) = ServerToClient::read(&bytes[4..4 + len]).unwrap().0 else { panic!() };
    assert_eq!(seen.micros, 1_795_190_000_000_000 + w.now.millis() * 1000);
}

#[test]
fn messages_of_the_communicator_are_shown_as_what_they_mean() {
    use chappe_host_tests::communicator::client::Host;
    let mut w = chappe_host_tests::communicator::ours::Ours::new(|_| {});
    let m = w.station("m");
    w.monitor(m, &ALL);
    w.take(m);
    let x = Host::service(&mut w, "foo");
    let n = w.lines[x].id.unwrap().number();
    let shown = unnumbered(w.sights(m));
    assert!(shown.iter().any(|s| s.contains("verb=\"REGISTER\"") && s.contains("\"service\"=\"foo\"")), "{shown:?}");
    let said = |rest: &str| by(1, "communicator", n, "foo", rest);
    Host::tell(&mut w, x, "bar/X a=1;secret_code=abc");
    assert_eq!(w.sights(m), [said(" name=\"bar\" verb=\"X\" params=[\"a\"=\"1\"]")]);
    Host::tell(&mut w, x, "./ALARM password=abc");
    assert_eq!(w.sights(m), [said(" name=\"./ALARM\" verb=\"ALARM\" params=[\"password\"=\"***\"] hidden=true")]);
    Host::tell(&mut w, x, "SET name=door;value=open");
    assert_eq!(w.sights(m), [said(" name=\"door\" verb=\"SET\" body=x6f70656e encoding=1")]);
    Host::tell(&mut w, x, "X a");
    assert_eq!(w.sights(m).len(), 1, "why it is none");
}
