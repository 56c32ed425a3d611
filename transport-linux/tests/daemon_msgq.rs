//! The daemon as a message bus of BIND 10 (`wire/msgq.md`): what its clients rely on, and who may do
//! what.

mod support;

use std::collections::HashSet;
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::path::Path;

use chappe_core::dialect::messi::repr::{Code, Join};
use serde_json::json;
use support::msgq::{BOTH, BUS, Client, frame, frame_of, own_user, serve, subscribe};
use support::{Daemon, METRICS, Station, counters};

// The same code as the daemon's.
#[path = "../src/sys.rs"]
#[allow(dead_code, unreachable_pub, reason = "only some of it is used here")]
mod sys;

// ---- what clients of the original rely on ----

#[test]
fn a_client_is_told_its_name_and_a_ping_comes_back_as_it_went() {
    let daemon = Daemon::start(BUS);
    let mut one = daemon.msgq();
    let two = daemon.msgq();
    assert_ne!(one.lname, two.lname);
    assert!(one.lname.bytes().all(|b| b.is_ascii_alphanumeric() || b"_@.-".contains(&b)), "{}", one.lname);
    one.say(&json!({"type": "getlname"}), b"");
    assert_eq!(one.next().unwrap().value(), json!({"lname": one.lname}));
    for body in [&b""[..], b"{}", b"\xff\x00 no text"] {
        one.say(&json!({"type": "ping"}), body);
        let pong = one.next().unwrap();
        assert_eq!((pong.head(), &pong.body[..]), (json!({"type": "pong"}), body));
    }
    // As the C++ library writes: each part by itself.
    let bytes = frame(&json!({"type": "ping"}), b"in pieces");
    for part in [&bytes[..4], &bytes[4..6], &bytes[6..22], &bytes[22..]] {
        one.write(part);
    }
    assert_eq!(one.next().unwrap().body, b"in pieces");
}

#[test]
fn messages_reach_groups_and_single_clients_byte_for_byte() {
    let daemon = Daemon::start(BUS);
    let (mut a, mut b, mut c) = (daemon.msgq(), daemon.msgq(), daemon.msgq());
    b.join("news");
    c.join("news");
    a.join("news");
    // Unknown keys, odd spacing, and a number with more digits than any machine has.
    let header = format!(
        r#"{{ "type" : "send","from":"{}", "to": "*","group":"news","instance":"*","seq":123456789012345678901234567890,
          "want_answer":true, "x": [ 1.50, {{"y":null}} ] }}"#,
        a.lname
    );
    let body = b"{\"what\": [1,  2]}";
    a.write(&frame_of(header.as_bytes(), body));
    for receiver in [&mut b, &mut c] {
        let heard = receiver.next().unwrap();
        assert_eq!(String::from_utf8(heard.header).unwrap(), header);
        assert_eq!(heard.body, body);
    }
    assert!(a.has_nothing(), "the sender never hears itself");
    let mut header = a.header("whatever");
    header["to"] = c.lname.clone().into();
    a.say(&header, b"for you");
    assert_eq!(c.next().unwrap().body, b"for you");
    assert!(b.has_nothing());
    // Who leaves hears no more.
    b.say(&json!({"type": "unsubscribe", "group": "news", "instance": "*"}), b"");
    b.sync();
    a.send("news", b"2");
    assert_eq!(c.next().unwrap().body, b"2");
    assert!(b.has_nothing());
}

#[test]
fn who_reaches_nobody_is_told_if_it_asks() {
    let daemon = Daemon::start(BUS);
    let mut a = daemon.msgq();
    let mut header = a.header("void");
    header["x"] = json!({"kept": 1});
    let error = a.ask(header.clone(), b"?");
    let mut expected = header.clone();
    expected["want_answer"] = true.into();
    expected["reply"] = header["seq"].clone();
    expected["from"] = "msgq".into();
    expected["to"] = a.lname.clone().into();
    assert_eq!(error.head(), expected);
    assert_eq!(error.value(), json!({"result": [-1, "No such recipient"]}));
    // `seq` may be anything; `from` too, and still it comes here.
    for seq in [json!("s"), json!(1.5), json!(null), json!([1, {"a": 2}]), json!(-9_007_199_254_740_993_i64)] {
        let mut header = a.header("void");
        header["seq"] = seq.clone();
        header["from"] = json!("somebody else");
        let error = a.ask(header, b"").head();
        assert_eq!((&error["reply"], &error["to"]), (&seq, &json!("somebody else")));
    }
    for to in [json!("5f3759df_1@host"), json!(7), json!(null), json!(true), json!("msgq"), json!(a.lname)] {
        let mut header = a.header("void");
        header["to"] = to.clone();
        assert_eq!(a.ask(header, b"").value()["result"][0], -1, "{to}");
    }
    // Not without the wish, and never for a reply.
    a.send("void", b"");
    let mut reply = a.header("void");
    reply["want_answer"] = true.into();
    reply["reply"] = json!(null);
    a.say(&reply, b"");
    assert!(a.has_nothing());
}

#[test]
fn the_node_is_a_user_too() {
    let daemon = Daemon::start(BUS);
    let (mut a, mut b) = (daemon.msgq(), daemon.msgq());
    b.join("news");
    assert_eq!(a.members(Some("news")), [b.lname.clone()]);
    let all: HashSet<String> = a.members(None).into_iter().collect();
    assert!(all.len() == 3 && all.contains(&a.lname) && all.contains(&b.lname), "{all:?}");
    let header = a.header("Msgq");
    let answer = a.ask(header, b"{\"command\": [\"AreYouThere?\"]}").value();
    assert_eq!(answer, json!({"result": [1, "unknown command: AreYouThere?"]}));
}

#[test]
fn escapes_that_not_everybody_can_read_come_out_raw() {
    let daemon = Daemon::start(BUS);
    let (mut a, mut b) = (daemon.msgq(), daemon.msgq());
    let mut watcher = daemon.msgq();
    watcher.join("notifications/cc_members");
    // Written as Python does, and as C++ does: the same group.
    b.write(&frame_of(br#"{"type": "subscribe", "group": "\u00e9t\u00e9", "instance": "*"}"#, b""));
    b.sync();
    a.send("été", b"raw");
    assert_eq!(b.next().unwrap().body, b"raw");
    let header = format!(
        r#"{{"type": "send", "from": "{}", "to": "*", "group": "\u00e9t\u00e9", "instance": "*", "seq": 2,
            "x": "\ud83d\ude00\u0007\"\\\n\u0022", "\u00fc": 1}}"#,
        a.lname
    );
    a.write(&frame_of(header.as_bytes(), br#"{"body": "\u00e9"}"#));
    let heard = b.next().unwrap();
    let text = String::from_utf8(heard.header).unwrap();
    assert!(!text.contains("\\u"), "{text}");
    assert!(text.contains("\"été\"") && text.contains("\"ü\"") && text.contains("😀\u{7}\\\"\\\\\\n\\\""), "{text}");
    assert_eq!(heard.body, br#"{"body": "\u00e9"}"#, "the body is nobody's business");
    let told = loop {
        let heard = watcher.next().unwrap();
        if heard.value()["notification"][0] == "subscribed" && heard.value()["notification"][1]["group"] == "été" {
            break heard;
        }
    };
    assert!(!String::from_utf8(told.body).unwrap().contains("\\u"));
    // An undeliverable error repeats the header: raw as well.
    a.write(&frame_of(
        br#"{"type": "send", "from": "me", "to": "*", "group": "\u00e8", "instance": "*", "seq": 3, "want_answer": true}"#,
        b"",
    ));
    let error = a.answer_to(&json!(3));
    assert!(String::from_utf8(error.header).unwrap().contains("\"è\""));
}

#[test]
fn names_are_never_given_twice_not_even_over_restarts() {
    let mut folder = tempfile::tempdir().unwrap();
    let mut seen = HashSet::new();
    for _ in 0..5 {
        let mut daemon = Daemon::start_in(folder, BUS, serve).unwrap_or_else(|(_, text)| panic!("{text}"));
        for _ in 0..3 {
            assert!(seen.insert(daemon.msgq().lname), "{seen:?}");
        }
        let members = daemon.msgq().members(None);
        assert!(members.iter().any(|node| seen.insert(node.clone())), "the node's own name is new, too");
        folder = std::mem::replace(&mut daemon.folder, tempfile::tempdir().unwrap());
    }
}

#[test]
fn a_half_close_is_a_close_after_the_frames_before_it() {
    let daemon = Daemon::start(BUS);
    let mut reader = daemon.msgq();
    reader.join("news");
    for n in 0..50u32 {
        let mut once = daemon.msgq();
        once.send("news", &n.to_be_bytes());
        once.stream.shutdown(Shutdown::Write).unwrap();
        assert_eq!(reader.next().unwrap().body, n.to_be_bytes());
        assert!(once.is_closed());
    }
}

#[test]
fn modules_and_stations_of_the_native_dialect_meet() {
    let daemon = Daemon::start(BOTH);
    let mut module = daemon.msgq();
    let mut station = Station::unix(daemon.address("unix"));
    station.hello("native");
    station.join("lamp");
    module.send("lamp", br#"{"command": ["SET", {"name": "lamp", "value": "on"}]}"#);
    assert_eq!(station.hear(), b"on");
    module.join("news");
    station.send("news", b"fresh");
    assert_eq!(module.next().unwrap().value(), json!({"command": ["SET", {"name": "news", "value": "fresh"}]}));
    assert_eq!(module.members(None).len(), 3, "the node, the module and the station");
}

// ---- who may do what ----

#[test]
fn the_kernel_says_who_is_at_the_other_end_of_a_unix_socket_only() {
    let own = std::fs::metadata("/proc/self").unwrap();
    let (here, _there) = UnixStream::pair().unwrap();
    assert_eq!(sys::peer(here.as_fd()).unwrap(), (own.uid(), own.gid()));
    let network = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let from = std::net::TcpStream::connect(network.local_addr().unwrap()).unwrap();
    assert!(sys::peer(from.as_fd()).is_err());
    assert!(sys::peer(std::fs::File::open("/dev/null").unwrap().as_fd()).is_err());
}

#[test]
fn a_system_user_is_a_user_from_the_start_on_every_unix_socket() {
    let user = format!(
        "[[users]]\nname = \"other\"\npeer_users = [{}]\nrights = [\"read\", \"write\", \"manage\"]\n\
         [[users]]\nname = \"me\"\npeer_users = [{}]\nnames = [\"open\", \"pub::*\"]\n",
        own_user() + 1,
        own_user()
    );
    let mut daemon = Daemon::start(&format!("[log]\nlevel = \"debug\"\n{METRICS}{user}{BOTH}"));
    let count = counters(&mut daemon);
    let mut me = daemon.msgq();
    let opened = daemon.event("connection.opened");
    assert_eq!((&opened["user"], &opened["dialect"]), (&"me".into(), &"msgq".into()));
    assert_eq!(opened["name"], me.lname.as_str());
    assert_eq!(opened["uid"], own_user());
    let mut other = daemon.msgq();
    other.join("open");
    me.send("open", b"allowed");
    assert_eq!(other.next().unwrap().body, b"allowed");
    // A refused message has an answer that says so; a refused subscription has no words.
    let header = me.header("secret");
    let code = me.ask(header, b"").value()["result"][0].as_i64().unwrap();
    assert!(code != 0 && code != -1, "{code}");
    other.say(&subscribe("secret"), b"");
    assert!(other.is_closed());
    let closed = daemon.event("connection.closed");
    assert_eq!((&closed["reason"], &closed["user"]), (&"denied".into(), &"me".into()));
    assert_eq!((&closed["name"], &closed["uid"]), (&other.lname.as_str().into(), &own_user().into()));
    assert_eq!(count("chappe_closed_denied_total"), 1);
    assert!(me.is_alive());
    // The native dialect: a hello without credentials is by that user, too.
    let mut native = Station::unix(daemon.address("unix"));
    native.hello("native");
    for (name, code) in [("pub::x", Code::Ok), ("secret", Code::Refused)] {
        native.say(Join { seq: 2, name, ..Join::default() });
        assert_eq!(native.outcome(), code, "{name}");
    }
}

#[test]
fn whom_no_entry_fits_is_anonymous_and_groups_count_too() {
    let own = std::fs::metadata("/proc/self").unwrap();
    let entry = |user, group| {
        format!("[[users]]\nname = \"x\"\npeer_users = [{user}]\npeer_groups = [{group}]\nnames = [\"open\"]\n{BUS}")
    };
    let nobody = Daemon::start(&entry(own.uid() + 1, own.gid() + 1));
    let mut client = nobody.msgq();
    client.join("secret");
    assert!(client.is_alive(), "as the listener lets strangers");
    let grouped = Daemon::start(&entry(own.uid() + 1, own.gid()));
    let mut client = grouped.msgq();
    client.say(&subscribe("secret"), b"");
    assert!(client.is_closed());
}

#[test]
fn where_strangers_may_nothing_only_known_users_come_in() {
    let shut = format!("{BUS}anonymous = []\n");
    let daemon = Daemon::start(&shut);
    let mut client = Client::mute(daemon.address("msgq"));
    assert!(client.is_closed());
    let daemon = Daemon::start(&format!("{shut}[[users]]\nname = \"me\"\npeer_users = [{}]\n", own_user()));
    assert!(daemon.msgq().is_alive());
    // A reload changes who comes in.
    let mut daemon = daemon;
    let mut before = daemon.msgq();
    daemon.write_config(&shut);
    daemon.signal("HUP");
    daemon.event("config.reloaded");
    assert!(Client::mute(daemon.address("msgq")).is_closed());
    assert!(before.is_alive(), "who is in keeps the rights it came in with");
}

#[test]
fn stop_is_for_those_who_may_and_only_if_it_is_allowed() {
    let manage = "anonymous = [\"read\", \"write\", \"manage\"]\n";
    for refused in [format!("{BUS}{manage}"), format!("[msgq]\nallow_stop = true\n{BUS}")] {
        let daemon = Daemon::start(&refused);
        let mut client = daemon.msgq();
        client.say(&json!({"type": "stop"}), b"");
        assert!(client.is_alive() && daemon.msgq().is_alive());
    }
    let mut daemon = Daemon::start(&format!("{BUS}{manage}"));
    daemon.write_config(&format!("[msgq]\nallow_stop = true\n{BUS}{manage}"));
    daemon.signal("HUP");
    assert_eq!(daemon.event("config.reloaded")["needs_restart"], "");
    let path = daemon.address("msgq");
    let (mut a, mut b) = (daemon.msgq(), daemon.msgq());
    a.say(&json!({"type": "stop"}), b"");
    assert!(a.is_closed() && b.is_closed());
    assert_eq!(daemon.wait().code(), Some(0));
    assert!(!Path::new(&path).exists());
    assert_eq!(daemon.event("msgq.stop")["name"], a.lname.as_str());
    daemon.event("daemon.stopped");
}
