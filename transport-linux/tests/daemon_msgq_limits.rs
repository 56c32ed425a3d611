//! The daemon as a message bus of BIND 10: what bad input costs and whom, its limits, and many clients
//! at once.

mod support;

use std::collections::{HashMap, HashSet};
use std::io::Write;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::json;
use support::msgq::{BOTH, BUS, Client, frame, frame_of, run, subscribe};
use support::{CHAPPE, Daemon, METRICS, PATIENCE, Station, counters};

// The same code as the daemon's.
#[path = "../src/sys.rs"]
#[allow(dead_code, unreachable_pub, reason = "only some of it is used here")]
mod sys;

// ---- broken input: each row of section 14.3 ----

fn nested(depth: usize) -> String {
    "[".repeat(depth) + &"]".repeat(depth)
}

#[test]
fn what_is_broken_ends_its_own_connection_and_no_other() {
    let mut daemon = Daemon::start(&format!("{METRICS}{BUS}"));
    let count = counters(&mut daemon);
    let (mut good, mut other) = (daemon.msgq(), daemon.msgq());
    other.join("news");
    let header = |text: &str| frame_of(text.as_bytes(), b"{}");
    let mut rows: Vec<(&str, Vec<u8>)> = vec![
        ("L = 0", vec![0, 0, 0, 0]),
        ("L = 1", vec![0, 0, 0, 1, 0]),
        ("H = 0, no body", vec![0, 0, 0, 2, 0, 0]),
        ("H = 0", vec![0, 0, 0, 4, 0, 0, b'{', b'}']),
        ("H > L - 2", [&[0, 0, 0, 4, 0, 3][..], b"{} "].concat()),
        ("H far beyond L", vec![0, 0, 0, 4, 0xff, 0xff]),
        ("not UTF-8", frame_of(b"{\"type\": \"\xff\"}", b"")),
        ("no JSON", header("{bad")),
        ("cut short", header("{\"type\": \"ping\"")),
        ("text after the object", header("{\"type\": \"ping\"} x")),
        ("byte order mark", header("\u{feff}{\"type\": \"ping\"}")),
        ("half a surrogate pair", header(r#"{"type": "ping", "x": "\ud83d"}"#)),
        ("nested deep", header(&format!("{{\"type\": \"ping\", \"x\": {}}}", nested(32_000)))),
        ("nested and never closed", header(&"[".repeat(65_535))),
        ("no type", header("{}")),
        ("a list", header("[]")),
        ("a string", header("\"ping\"")),
        ("a number", header("1")),
        ("null", header("null")),
    ];
    for kind in ["subscribe", "unsubscribe"] {
        rows.push(("no group", frame(&json!({"type": kind, "instance": "*"}), b"")));
        rows.push(("no instance", frame(&json!({"type": kind, "group": "g"}), b"")));
    }
    let send = json!({"type": "send", "from": "x", "to": "*", "group": "g", "instance": "*", "seq": 1,
                      "want_answer": true});
    let without = |key: &str| {
        let mut header = send.clone();
        header.as_object_mut().unwrap().remove(key);
        frame(&header, b"{}")
    };
    for key in ["to", "group", "instance", "seq", "from", "type"] {
        rows.push(("a key is missing", without(key)));
    }
    for key in ["to", "group", "instance"] {
        for value in [json!([]), json!({"a": 1})] {
            let mut header = send.clone();
            header[key] = value;
            rows.push(("list or object", frame(&header, b"{}")));
        }
    }
    for key in ["group", "instance"] {
        for value in [json!(5), json!(true)] {
            let mut header = send.clone();
            header[key] = value.clone();
            rows.push(("number or boolean", frame(&header, b"{}")));
            header["type"] = "subscribe".into();
            rows.push(("number or boolean", frame(&header, b"")));
        }
    }
    let all = rows.len() as u64;
    for (what, bytes) in rows {
        let mut bad = daemon.msgq();
        bad.join("news");
        // It may be closed before it has written all.
        let _ = bad.stream.write_all(&bytes);
        let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(100)]).into_owned();
        assert!(bad.is_closed(), "{what}: {shown}");
        let closed = daemon.event("connection.closed");
        assert_eq!((&closed["reason"], &closed["dialect"]), (&"malformed".into(), &"msgq".into()), "{what}: {shown}");
        good.send("news", what.as_bytes());
        assert_eq!(other.next().unwrap().body, what.as_bytes());
    }
    assert_eq!(count("chappe_closed_malformed_total"), all);
    assert_eq!(good.members(Some("news")), [other.lname.clone()], "their subscriptions went with them");
    assert!(good.has_nothing());
}

#[test]
fn what_is_only_odd_is_ignored_or_passed_on() {
    let daemon = Daemon::start(BUS);
    let (mut a, mut b) = (daemon.msgq(), daemon.msgq());
    b.join("news");
    for kind in [json!("unheard of"), json!("pong"), json!(5), json!(null), json!(["send"]), json!({}), json!(true)] {
        a.say(&json!({"type": kind, "group": "news"}), b"{}");
        assert!(a.has_nothing(), "{kind}");
    }
    for key in ["group", "instance"] {
        for kind in ["subscribe", "unsubscribe", "send"] {
            let mut header = a.header("void");
            header["type"] = kind.into();
            header["want_answer"] = true.into();
            header[key] = json!(null);
            a.say(&header, b"{}");
            assert!(a.has_nothing(), "{kind} with {key} null");
        }
    }
    // Without seq and from, if nobody must be told anything.
    a.say(&json!({"type": "send", "to": "*", "group": "news", "instance": "*"}), b"anonymous");
    assert_eq!(b.next().unwrap().body, b"anonymous");
    for body in [&b""[..], b"no JSON", b"\xff\xfe\x00", nested(100_000).as_bytes()] {
        a.send("news", body);
        assert_eq!(b.next().unwrap().body, body);
    }
    assert!(a.has_nothing() && b.has_nothing());
}

#[test]
fn bodies_nested_without_end_harm_neither_the_node_nor_other_dialects() {
    let daemon = Daemon::start(BOTH);
    let mut a = daemon.msgq();
    let mut station = Station::unix(daemon.address("unix"));
    station.hello("native");
    station.join("lamp");
    for body in [nested(100_000), "[".repeat(100_000), format!("{{\"command\": [\"x\", {}]}}", nested(20_000))] {
        a.send("Msgq", body.as_bytes());
        a.send("lamp", body.as_bytes());
        station.hear();
        assert!(a.is_alive() && station.is_alive());
    }
    assert_eq!(a.members(None).len(), 3);
}

#[test]
fn half_a_frame_and_silence_hold_up_nobody() {
    let daemon = Daemon::start(BUS);
    let (mut a, mut b) = (daemon.msgq(), daemon.msgq());
    b.join("news");
    let whole = frame(&json!({"type": "ping"}), &[b'x'; 100]);
    let huge = [0xff, 0xff, 0xff, 0xff, 0, 20];
    let mut silent = Vec::new();
    for bytes in [&whole[..1], &whole[..3], &whole[..5], &whole[..6], &whole[..10], &whole[..whole.len() - 1], &huge] {
        let mut client = Client::mute(daemon.address("msgq"));
        client.write(bytes);
        let begin = Instant::now();
        a.send("news", bytes);
        assert_eq!(b.next().unwrap().body, bytes);
        assert!(begin.elapsed() < Duration::from_secs(2));
        silent.push(client);
    }
    // The announced four gigabytes are above every limit.
    assert!(silent.pop().unwrap().is_closed());
    // Those that go on are served.
    let mut late = silent.pop().unwrap();
    late.write(&whole[whole.len() - 1..]);
    assert_eq!(late.next().unwrap().body, [b'x'; 100]);
}

#[test]
fn a_frame_that_has_begun_must_become_whole_in_time() {
    let mut daemon = Daemon::start(&format!("[limits]\nframe_within_ms = 300\n{BUS}"));
    let mut idle = daemon.msgq();
    let mut half = daemon.msgq();
    half.write(&frame(&json!({"type": "ping"}), b"x")[..8]);
    assert!(half.is_closed());
    daemon.event("connection.closed");
    assert!(idle.is_alive(), "who says nothing at all may do so for ever");
}

// ---- limits ----

#[test]
fn the_largest_body_passes_and_one_octet_more_closes() {
    for (config, max_body) in [(BUS.to_owned(), 1_048_576), (format!("[msgq]\nmax_body = 65536\n{BUS}"), 65_536)] {
        let mut daemon = Daemon::start(&config);
        let (mut a, mut b) = (daemon.msgq(), daemon.msgq());
        b.join("news");
        let mut header = a.header("news").to_string().into_bytes();
        // With the longest header, too.
        header.resize(65_535, b' ');
        let body: Vec<u8> = (0..max_body).map(|n| (n % 251) as u8).collect();
        // Both write more than the other's socket holds: it needs somebody who reads.
        let reading = std::thread::spawn(move || (b.next().unwrap(), b));
        a.write(&frame_of(&header, &body));
        let (heard, mut b) = reading.join().unwrap();
        assert!(heard.header == header && heard.body == body);
        let longer = frame_of(&header, &vec![0; max_body + 1]);
        let _ = a.stream.write_all(&longer);
        assert!(a.is_closed());
        assert_eq!(daemon.event("connection.closed")["reason"], "malformed");
        assert!(b.is_alive() && b.has_nothing());
        // With a short header it is the body that is too long, and still it closes.
        let mut c = daemon.msgq();
        let header = c.header("news");
        let _ = c.stream.write_all(&frame(&header, &vec![0; max_body + 1])[..1000]);
        assert!(c.is_closed());
    }
}

#[test]
fn limits_follow_a_reload_as_far_as_the_memory_goes() {
    // The frame buffers are those of the longest frame of any dialect.
    const SHORT: &str = "[clacks]\nmax_line = 65536\n";
    let mut daemon = Daemon::start(&format!("{SHORT}[msgq]\nmax_body = 65536\n{BUS}"));
    let send = |daemon: &Daemon, size: usize| {
        let mut client = daemon.msgq();
        let header = client.header("void");
        let _ = client.stream.write_all(&frame(&header, &vec![0; size]));
        client.is_alive()
    };
    assert!(send(&daemon, 65_536) && !send(&daemon, 65_537));
    daemon.write_config(&format!("{SHORT}[msgq]\nmax_body = 500000\n{BUS}"));
    daemon.signal("HUP");
    assert_eq!(daemon.event("config.reloaded")["needs_restart"], "");
    assert!(send(&daemon, 500_000) && !send(&daemon, 500_001));
    daemon.write_config(&format!("{SHORT}[msgq]\nmax_body = 3000000\noutbox = 8000000\n{BUS}"));
    daemon.signal("HUP");
    assert_eq!(daemon.event("config.reloaded")["needs_restart"], "msgq.max_body");
    assert!(send(&daemon, 900_000) && !send(&daemon, 3_000_000));
}

#[test]
fn the_maxima_are_told_in_the_status() {
    let daemon = Daemon::start(&format!("[msgq]\nmax_body = 77777\noutbox = 3000000\n{BOTH}"));
    let address = format!("unix://{}", daemon.address("unix"));
    let output = run(Command::new(CHAPPE).args(["--connect", &address, "status"]));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}");
    assert!(text.contains("77777") && text.contains("3000000"), "{text}");
}

#[test]
fn two_megabytes_wait_for_a_slow_reader_and_all_of_it_arrives() {
    let mut daemon = Daemon::start(&format!("[msgq]\noutbox = 2097152\nmax_body = 900000\n{BUS}"));
    let (mut sender, mut slow) = (daemon.msgq(), daemon.msgq());
    slow.join("news");
    // Many small ones, then large ones, up to the limit.
    let mut bytes = 0;
    let mut sent = 0u32;
    while bytes < 2_097_152 - 20_000 {
        let size = if sent < 10_000 { 4 } else { 10_000 };
        let mut body = vec![7; size];
        body[..4].copy_from_slice(&sent.to_be_bytes());
        let header = sender.header("news");
        let frame = frame(&header, &body);
        bytes += frame.len();
        sender.write(&frame);
        sent += 1;
    }
    assert!(sent > 10_000, "{sent}");
    sender.sync();
    for n in 0..sent {
        assert_eq!(slow.next().expect("it is not closed").body[..4], n.to_be_bytes());
    }
    assert!(slow.has_nothing());
    assert!(daemon.find("connection.closed", Duration::ZERO).is_none());
}

#[test]
fn a_reader_slower_than_its_outbox_is_closed_and_the_others_miss_nothing() {
    let mut daemon = Daemon::start(&format!("[msgq]\noutbox = 2097152\nmax_body = 900000\n{METRICS}{BUS}"));
    let count = counters(&mut daemon);
    let (mut sender, mut good) = (daemon.msgq(), daemon.msgq());
    let mut slow = daemon.msgq();
    slow.join("news");
    good.join("news");
    let mut watcher = daemon.msgq();
    watcher.join("notifications/cc_members");
    let mut longest = Duration::ZERO;
    let mut sent = 0u64;
    let begin = Instant::now();
    while daemon.find("connection.closed", Duration::ZERO).is_none_or(|line| line["reason"] != "slow") {
        assert!(begin.elapsed() < PATIENCE, "it is never closed");
        let mut body = vec![7; 10_000];
        body[..8].copy_from_slice(&sent.to_be_bytes());
        let at = Instant::now();
        sender.send("news", &body);
        assert_eq!(good.next().unwrap().body[..8], sent.to_be_bytes());
        longest = longest.max(at.elapsed());
        sent += 1;
    }
    assert!(sent * 10_000 >= 2_097_152, "{sent} is too early");
    assert!(longest < Duration::from_secs(1), "the good one waited {longest:?}");
    assert_eq!(count("chappe_closed_slow_total"), 1);
    let gone = loop {
        let told = watcher.next().unwrap().value()["notification"].clone();
        if told[0] == "disconnected" {
            break told[1]["client"].clone();
        }
    };
    assert_eq!(gone, slow.lname.as_str());
    // What it finds in its socket is whole frames and then the end.
    while slow.next().is_some() {}
    assert!(good.is_alive() && sender.is_alive());
}

#[test]
fn one_that_takes_nothing_for_too_long_is_closed() {
    let mut daemon = Daemon::start(&format!("[msgq]\nstalled_after_ms = 300\n{BUS}"));
    let (mut sender, mut stalled, mut idle) = (daemon.msgq(), daemon.msgq(), daemon.msgq());
    stalled.join("news");
    idle.join("other");
    for _ in 0..100 {
        sender.send("news", &[0; 10_000]);
    }
    sender.sync();
    let closed = daemon.event("connection.closed");
    assert_eq!(closed["reason"], "slow");
    assert!(idle.is_alive(), "nothing waits for this one");
}

#[test]
fn pongs_that_nobody_reads_are_bounded() {
    let mut daemon = Daemon::start(&format!("[msgq]\noutbox = 2097152\nmax_body = 900000\n{BUS}"));
    let mut good = daemon.msgq();
    let mut flooder = daemon.msgq();
    flooder.stream.set_write_timeout(Some(Duration::from_secs(5))).unwrap();
    let pings = frame(&json!({"type": "ping"}), &[0; 1000]).repeat(100);
    let begin = Instant::now();
    while flooder.stream.write_all(&pings).is_ok() {
        assert!(begin.elapsed() < PATIENCE, "it is never closed");
    }
    assert_eq!(daemon.event("connection.closed")["reason"], "slow");
    assert!(good.is_alive());
}

// ---- many, and all at once ----

#[test]
fn two_thousand_connections_at_once_are_all_answered() {
    let limit = sys::raise_descriptor_limit(0).unwrap();
    let many = 2000.min(limit.saturating_sub(200)) as usize;
    let daemon = Daemon::start(BUS);
    let path = daemon.address("msgq");
    let mut clients: Vec<Client> = (0..many).map(|_| Client::mute(&path)).collect();
    for client in &mut clients {
        client.say(&json!({"type": "getlname"}), b"");
    }
    let names: HashSet<String> = clients
        .iter_mut()
        .map(|client| client.next().expect("an answer").value()["lname"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(names.len(), many);
    let mut asker = daemon.msgq();
    let members: HashSet<String> = asker.members(None).into_iter().collect();
    assert_eq!(members.len(), many + 2, "all, the asker and the node");
    assert!(names.is_subset(&members));
    clients[many / 2].join("crowd");
    asker.send("crowd", b"through");
    assert_eq!(clients[many / 2].next().unwrap().body, b"through");
}

#[test]
fn a_thousand_that_leave_at_once_are_each_told_of() {
    // The original locks itself up for ever at 400 clients in 8 groups (weak point 8). What
    // the watcher is to hear is more than its outbox holds: it is written to in between.
    sys::raise_descriptor_limit(0).unwrap();
    let daemon = Daemon::start(&format!("[msgq]\noutbox = 2097152\nmax_body = 900000\n{BUS}"));
    let groups: Vec<String> = (0..8).map(|n| format!("group {n}")).collect();
    let mut clients: Vec<Client> = (0..1000).map(|_| daemon.msgq()).collect();
    for client in &mut clients {
        for group in &groups {
            client.say(&subscribe(group), b"");
        }
    }
    for client in &mut clients {
        client.sync();
    }
    let mut left: HashMap<String, HashSet<String>> =
        clients.iter().map(|client| (client.lname.clone(), groups.iter().cloned().collect())).collect();
    let mut watcher = daemon.msgq();
    watcher.join("notifications/cc_members");
    assert_eq!(watcher.next().unwrap().value()["notification"][0], "subscribed");
    let mut bystander = daemon.msgq();
    assert_eq!(watcher.next().unwrap().value()["notification"][0], "connected");
    daemon.signal("STOP");
    clients.clear();
    daemon.signal("CONT");
    let mut bytes = 0;
    while !left.is_empty() {
        let heard = watcher.next().expect("the watcher is not closed");
        bytes += 6 + heard.header.len() + heard.body.len();
        let told = heard.value()["notification"].clone();
        let client = told[1]["client"].as_str().unwrap();
        match told[0].as_str().unwrap() {
            "unsubscribed" => {
                let group = told[1]["group"].as_str().unwrap();
                assert!(left.get_mut(client).expect("before it is gone").remove(group), "{told}");
            }
            "disconnected" => {
                let rest = left.remove(client).expect("once");
                assert!(rest.is_empty(), "it was still in {rest:?}");
            }
            _ => panic!("{told}"),
        }
    }
    assert!(bytes > 2_097_152, "{bytes} bytes show nothing");
    assert!(watcher.has_nothing() && bystander.is_alive());
    assert_eq!(bystander.members(None).len(), 3);
}

#[test]
fn a_member_that_goes_while_it_is_sent_to_harms_nobody() {
    // The original's thread dies at this (weak point 4): end and message in one turn.
    let daemon = Daemon::start(BUS);
    let (mut sender, mut good) = (daemon.msgq(), daemon.msgq());
    good.join("news");
    for round in 0..300u32 {
        let mut member = daemon.msgq();
        member.join("news");
        let mut header = sender.header("news");
        header["to"] = member.lname.clone().into();
        header["want_answer"] = true.into();
        let stopped = round % 6 == 0;
        if stopped {
            daemon.signal("STOP");
        }
        sender.send("news", &round.to_be_bytes());
        let member = std::thread::spawn(move || drop(member));
        sender.say(&header, b"by name");
        sender.send("news", &round.to_be_bytes());
        member.join().unwrap();
        if stopped {
            daemon.signal("CONT");
        }
        for _ in 0..2 {
            assert_eq!(good.next().unwrap().body, round.to_be_bytes());
        }
        // Whoever was asked is gone: whether it got the question or not, the node answers.
        let code = sender.answer_to(&header["seq"]).value()["result"][0].as_i64().unwrap();
        assert!(code < 0, "{code}");
    }
    assert!(sender.has_nothing());
}
