//! Linked daemons, as processes: what crosses a link, what does not, and what is left when it
//! breaks. Peers that misbehave are in `daemon_clacks_peers.rs`.

mod support;

use std::time::{Duration, Instant};

use chappe_core::dialect::messi::repr::Store;
use chappe_core::model::StoreOp;

use support::links::{self, LINK, at, client, comes, config, kill, master, slave, start_in, start_with};
use support::{Daemon, counters, tls, until};

/// In a folder that is there.
fn again(folder: tempfile::TempDir, config: &str) -> Daemon {
    start_in(folder, config).unwrap_or_else(|(status, text)| panic!("it does not start: {status}\n{text}"))
}

/// The value of a key by a native station.
fn set(daemon: &mut Daemon, name: &str, value: &[u8]) {
    let mut station = daemon.station("native");
    station.say(Store { seq: 3, op: StoreOp::Set, name, value, ..Store::default() });
    station.outcome();
    station.goodbye();
}

#[test]
fn values_and_deletions_go_both_ways() {
    let mut master = master();
    let mut before = client(&master);
    before.say("STORE old=of the master");
    before.say("STORE gone=x");
    before.say("REMOVE gone");
    before.sync();
    let mut slave = slave(&master);
    let count = counters(&mut slave);
    let (mut up, mut down) = (client(&master), client(&slave));
    assert_eq!(down.ask("RETRIEVE old"), "RETRIEVED old=of the master");
    up.say("STORE a=down");
    comes(&mut down, "a", Some("down"));
    down.say("STORE a=up again");
    comes(&mut up, "a", Some("up again"));
    down.say("INCREMENT n=5");
    comes(&mut up, "n", Some("5"));
    up.say("DECREMENT n");
    comes(&mut down, "n", Some("4"));
    up.say("REMOVE a");
    comes(&mut down, "a", None);
    down.say("SETANDSTORE b=1");
    comes(&mut up, "b", Some("1"));
    down.say("REMOVE b");
    comes(&mut up, "b", None);
    // native stations change the same values
    set(&mut slave, "native::up", b"by the slave");
    comes(&mut up, "native::up", Some("by the slave"));
    set(&mut master, "native::down", b"by the master");
    comes(&mut down, "native::down", Some("by the master"));
    let mut boss = slave.clacks("boss", "word-of-boss");
    boss.say("CLEARCACHE");
    comes(&mut up, "old", None);
    assert_eq!((count("chappe_link_up"), count("chappe_link_synced"), count("chappe_links")), (1, 1, 1));
    assert_eq!((count("chappe_link_ups_total"), count("chappe_link_downs_total")), (1, 0));
    let shown = links::status(&slave);
    assert!(shown.contains("linked, in step: clacks:///") && shown.contains("master_since"), "{shown}");
    assert!(links::status(&master).lines().any(|l| l.starts_with("clacks_links ") && l.ends_with(" 1")));
    let event = master.event("link.up");
    assert!(event["user"] == LINK.0 && event["from"].as_str().unwrap().contains("of this machine"), "{event}");
    drop(slave);
    assert_eq!(master.event("link.down")["user"], event["user"]);
}

#[test]
fn signals_go_both_ways_once_and_not_back() {
    let mut master = master();
    let mut slave = slave(&master);
    let (mut up, mut down) = (client(&master), client(&slave));
    up.listen("s");
    down.listen("s");
    let mut native_up = master.station("up");
    native_up.join("s");
    let mut native_down = slave.station("down");
    native_down.join("s");
    up.say("SET s=1");
    assert_eq!(down.line(), "SET s=1");
    assert_eq!((native_up.hear(), native_down.hear()), (b"1".to_vec(), b"1".to_vec()));
    down.say("SET s=2");
    assert_eq!(up.line(), "SET s=2");
    assert_eq!((native_up.hear(), native_down.hear()), (b"2".to_vec(), b"2".to_vec()));
    native_down.send("s", b"3");
    assert_eq!((up.line(), down.line()), ("SET s=3".into(), "SET s=3".into()));
    assert_eq!(native_up.hear(), b"3");
    native_up.send("s", b"4");
    assert_eq!((up.line(), down.line()), ("SET s=4".into(), "SET s=4".into()));
    assert_eq!(native_down.hear(), b"4");
    up.say("NOTIFY s");
    assert_eq!(down.line(), "NOTIFY s");
    down.say("OVERHEAD GNU Terry Pratchett");
    assert_eq!(down.line(), "OVERHEAD GN Terry Pratchett");
    assert_eq!(up.line(), "OVERHEAD GN Terry Pratchett");
    down.say("SETANDSTORE s=5");
    assert_eq!(up.line(), "SET s=5");
    assert!(up.has_nothing() && down.has_nothing(), "nothing comes twice (D2, D11)");
}

#[test]
fn over_tls_with_a_certificate_that_is_believed() {
    let authority = tls::Authority::new();
    let port = links::free_port();
    let server = authority.server();
    let door = format!("[[listeners]]\naddress = \"clackss://127.0.0.1:{port}\"\n{}\n", server.toml(""));
    let master = start_with(LINK.1, &config("", "", &door));
    let ca = format!("ca_file = \"{}\"", authority.file().display());
    // by a name, which is looked up, and by a number
    for host in ["localhost", "127.0.0.1"] {
        let mut slave = start_with(LINK.1, &config("", &format!("address = \"clackss://{host}:{port}\"\n{ca}"), ""));
        slave.event("link.synced");
        let (mut up, mut down) = (client(&master), client(&slave));
        let long = "x".repeat(30_000);
        up.say(&format!("STORE long {host}={long}"));
        comes(&mut down, &format!("long {host}"), Some(&long));
        down.listen("signal");
        let signal = format!("SET signal={}", long.repeat(30));
        up.say(&signal);
        assert!(down.line() == signal, "as long as it came");
        down.say(&format!("STORE {host}=1"));
        comes(&mut up, host, Some("1"));
        assert!(slave.seen().iter().all(|line| line["event"] != "link.unverified"));
    }
    // the same without looking, which is said loudly
    let address = format!("address = \"clackss://127.0.0.1:{port}\"\ninsecure = true");
    let mut slave = start_with(LINK.1, &config("", &address, ""));
    slave.event("link.unverified");
    slave.event("link.synced");
}

#[test]
fn a_tree_of_three_levels() {
    let top = master();
    let middle = slave(&top);
    let (left, right) = (slave(&middle), slave(&middle));
    let mut all: Vec<_> = [&top, &middle, &left, &right].map(client).into();
    for client in &mut all {
        client.listen("s");
    }
    for from in 0..all.len() {
        all[from].say(&format!("SETANDSTORE s=from {from}"));
        all[from].say(&format!("STORE k{from}=v{from}"));
        for (to, client) in all.iter_mut().enumerate() {
            if to != from {
                assert_eq!(client.line(), format!("SET s=from {from}"));
            }
            comes(client, &format!("k{from}"), Some(&format!("v{from}")));
            comes(client, "s", Some(&format!("from {from}")));
        }
    }
    assert!(all.iter_mut().all(|client| client.has_nothing()));
}

#[test]
fn the_slave_serves_while_the_master_is_away_and_both_agree_again() {
    let places = tempfile::tempdir().unwrap();
    for durable in [false, true] {
        let store = if durable { links::store(places.path()) } else { String::new() };
        let master_config = config("", "", &store);
        let master = start_with(LINK.1, &master_config);
        let mut slave = slave(&master);
        let (mut up, mut down) = (client(&master), client(&slave));
        for line in ["STORE kept=1", "STORE both=old", "STORE dies=1", "STORE lost=1"] {
            up.say(line);
        }
        up.sync();
        comes(&mut down, "lost", Some("1"));
        if durable {
            let mut boss = master.clacks("boss", "word-of-boss");
            boss.say("FLUSH 1");
            assert_eq!(boss.line(), "FLUSHED 1");
        }
        let folder = kill(master);
        assert_eq!(slave.event("link.down")["reason"], "lost");
        let shown = links::status(&slave);
        assert!(shown.contains("not linked (") && shown.contains("master_again"), "{shown}");
        // it serves, and counts what happens
        down.say("STORE both=by the slave");
        down.say("REMOVE dies");
        down.say("STORE new=1");
        down.sync();
        assert_eq!(down.ask("RETRIEVE kept"), "RETRIEVED kept=1");
        let master = again(folder, &master_config);
        slave.event("link.synced");
        let mut up = client(&master);
        for client in [&mut up, &mut down] {
            comes(client, "new", Some("1"));
            comes(client, "both", Some("by the slave"));
            comes(client, "kept", Some("1"));
            comes(client, "dies", None);
        }
        assert!(slave.seen().iter().all(|line| line["event"] != "link.refused"));
    }
}

#[test]
fn of_changes_while_apart_the_newest_stays() {
    let first = master();
    let mut slave = slave(&first);
    let (mut up, mut down) = (client(&first), client(&slave));
    for key in ["a", "b", "c", "d"] {
        up.say(&format!("STORE {key}=0"));
    }
    comes(&mut down, "d", Some("0"));
    // apart without either of them ending
    let path = first.clacks_path();
    let away = format!("{path}.away");
    slave.write_config(&config("", &format!("address = \"clacks://{away}\""), ""));
    slave.signal("HUP");
    slave.event("link.dropped");
    slave.event("link.failed");
    down.say("STORE a=slave first");
    down.say("REMOVE b");
    down.sync();
    std::thread::sleep(Duration::from_millis(20));
    up.say("STORE a=master last");
    up.say("STORE c=master first");
    up.say("STORE d=master first");
    up.sync();
    std::thread::sleep(Duration::from_millis(20));
    down.say("STORE c=slave last");
    down.say("REMOVE d");
    down.sync();
    std::os::unix::fs::symlink(&path, &away).unwrap();
    slave.event("link.synced");
    for client in [&mut up, &mut down] {
        comes(client, "a", Some("master last"));
        comes(client, "b", None);
        comes(client, "c", Some("slave last"));
        comes(client, "d", None);
    }
}

#[test]
fn what_is_denied_on_a_slave_stays_there() {
    let master = master();
    let slave = slave(&master);
    let (mut up, mut down) = (client(&master), client(&slave));
    up.say("STORE a=1");
    comes(&mut down, "a", Some("1"));
    let mut boss = master.clacks("boss", "word-of-boss");
    boss.listen("a");
    let mut reader = slave.clacks("ro", "word-of-ro");
    for line in [
        "STORE a=2",
        "SET a=2",
        "NOTIFY a",
        "SETANDSTORE a=2",
        "REMOVE a",
        "INCREMENT a",
        "DECREMENT a",
        "CLEARCACHE",
        "KEYSYNC 4000000000 4000000000 U a=2",
        "OVERHEAD G x",
        "OVERHEAD GC 1",
        "OVERHEAD I 1",
        "MONITOR",
    ] {
        assert_eq!(reader.ask(line), "OVERHEAD E permission_denied", "{line}");
    }
    // flags that others obey cross no link, whoever says them (weak point 2)
    let mut own = slave.clacks("boss", "word-of-boss");
    for line in ["OVERHEAD GF x", "OVERHEAD GL 1", "OVERHEAD GE x", "OVERHEAD GI 1", "OVERHEAD GS 1", "OVERHEAD I 1"] {
        assert_eq!(own.ask(line), "OVERHEAD E permission_denied", "{line}");
    }
    down.say("STORE last=1");
    comes(&mut up, "last", Some("1"));
    assert!(boss.has_nothing(), "nothing crossed");
    assert_eq!(up.ask("RETRIEVE a"), "RETRIEVED a=1");
}

#[test]
fn wrong_passwords_are_told_on_either_side() {
    let first = master();
    let other = |password: &str, users: &str| {
        let text = config("", &format!("address = \"{}\"", at(&first)), "");
        start_with(password, &text.replace("word-of-links", users))
    };
    // the slave's is wrong at the master
    let mut slave = other("wrong", LINK.1);
    let told = slave.event("link.refused");
    assert_eq!(told["reason"], "link_refused");
    let text = told["message"].as_str().unwrap();
    assert!(text.contains("Login failed!") && text.contains("link_password_file"), "{text}");
    // it is tried again, and told once
    until("it is tried again", || slave.seen().iter().filter(|l| l["event"] == "link.dialling").count() >= 3);
    let loud = slave.seen().iter().filter(|l| l["event"] == "link.refused" && l["level"] == "WARN").count();
    assert_eq!(loud, 0, "only the one before");
    let shown = links::status(&slave);
    assert!(shown.contains("link_refused"), "{shown}");
    // the master's is wrong at the slave
    let mut slave = other(LINK.1, "another word");
    let told = slave.event("link.refused");
    assert_eq!(told["reason"], "bad_credentials");
    assert!(told["message"].as_str().unwrap().contains("[[users]]"), "{told}");
    // the user is there on both sides, and may not link
    let no_link = |text: &str| text.replace(", \"manage\", \"link\"]", ", \"manage\"]");
    let mut slave = start_with(LINK.1, &no_link(&config("", &format!("address = \"{}\"", at(&first)), "")));
    assert_eq!(slave.event("link.refused")["reason"], "link_rights");
    let plain = start_with(LINK.1, &no_link(&config("", "", "")));
    let mut slave = links::slave_of(&at(&plain));
    let told = slave.event("link.refused");
    assert_eq!(told["reason"], "link_refused");
    assert!(told["message"].as_str().unwrap().contains("permission_denied"), "{told}");
    // clients are served all the while
    assert_eq!(client(&slave).ask("FLUSH 1"), "FLUSHED 1");
}

#[test]
fn it_is_right_after_a_reload() {
    let first = master();
    let folder = links::folder("wrong");
    let text = config("", &format!("address = \"{}\"", at(&first)), "");
    let mut slave = again(folder, &text);
    slave.event("link.refused");
    std::fs::write(slave.folder.path().join("link"), LINK.1).unwrap();
    slave.signal("HUP");
    slave.event("link.synced");
    // none any more
    slave.write_config(&config("", "", ""));
    slave.signal("HUP");
    slave.event("link.dropped");
    let (mut up, mut down) = (client(&first), client(&slave));
    down.say("STORE a=1");
    down.sync();
    std::thread::sleep(Duration::from_millis(700));
    assert_eq!(up.ask("RETRIEVE a"), "NOTRETRIEVED a");
    assert!(!links::status(&slave).contains("master"));
    // and again
    slave.write_config(&text);
    slave.signal("HUP");
    slave.event("link.synced");
    comes(&mut up, "a", Some("1"));
}

#[test]
fn a_node_is_not_its_own_master_nor_that_of_its_master() {
    let shared = tempfile::tempdir().unwrap();
    let place = |name: &str| format!("clacks://{}/{name}.sock", shared.path().display());
    let door = |name: &str| format!("[[listeners]]\naddress = \"{}\"\n", place(name));
    let node =
        |name: &str, of: &str| start_with(LINK.1, &config("", &format!("address = \"{}\"", place(of)), &door(name)));
    let mut alone = node("alone", "alone");
    let told = alone.event("link.refused");
    assert_eq!(told["reason"], "link_loop", "{told}");
    assert!(told["message"].as_str().unwrap().contains("clacks.master.address"), "{told}");
    let mut client = client(&alone);
    client.listen("s");
    client.say("SETANDSTORE s=1");
    client.sync();
    let used = alone.cpu();
    std::thread::sleep(Duration::from_millis(500));
    assert!(alone.cpu() - used < Duration::from_millis(300), "nothing goes round and round");
    assert!(client.has_nothing());
    drop(alone);
    // c under b under a, and then a under c
    let mut a = node("a", "later");
    let mut b = node("b", "a");
    b.event("link.synced");
    let mut c = node("c", "b");
    c.event("link.synced");
    a.event("link.failed");
    std::os::unix::fs::symlink(shared.path().join("c.sock"), shared.path().join("later.sock")).unwrap();
    assert_eq!(a.event("link.refused")["reason"], "link_loop");
    let mut bottom = links::client(&c);
    bottom.say("STORE through=1");
    comes(&mut links::client(&a), "through", Some("1"));
    for node in [&mut b, &mut c] {
        while let Some(event) = node.find("link.down", Duration::ZERO) {
            assert!(event["master"].is_null(), "only a slave that closed the ring has left: {event}");
        }
    }
}

#[test]
fn attempts_keep_their_distance() {
    let stage = links::Stage::new();
    let mut slave = links::slave_of(&stage.address());
    let begun = Instant::now();
    let mut times = Vec::new();
    while times.len() < 4 {
        // it is let in and thrown out at once
        drop(stage.visitor(Duration::from_secs(5)).expect("it comes again"));
        times.push(begun.elapsed());
    }
    for pair in times.windows(2) {
        let apart = pair[1] - pair[0];
        assert!(apart >= Duration::from_millis(280) && apart < Duration::from_millis(1500), "{times:?}");
    }
    slave.event("link.failed");
    assert_eq!(client(&slave).ask("FLUSH 1"), "FLUSHED 1");
    // it ends at once, also between two attempts
    slave.signal("TERM");
    assert!(slave.wait().success());
}

#[test]
fn a_name_that_nobody_knows_and_a_port_where_nobody_is() {
    for (address, reason) in [
        ("clacks://no-such-host.invalid:1", "look_up"),
        ("clacks://127.0.0.1:1", "connect"),
        ("clacks:///nowhere", "connect"),
    ] {
        let mut slave = links::slave_of(address);
        let told = slave.find("link.failed", Duration::from_secs(20)).expect("it is told");
        assert_eq!(told["reason"], reason, "{told}");
        assert_eq!(client(&slave).ask("FLUSH 1"), "FLUSHED 1");
    }
}

#[test]
fn a_password_that_takes_time_to_look_at_is_one_on_both_sides() {
    let hash =
        chappe_linux::password::hash(LINK.1.as_bytes(), chappe_linux::password::Cost { memory: 16 * 1024, passes: 2 })
            .unwrap();
    let hashed = |text: &str| text.replace("token = \"word-of-links\"", &format!("password_hash = \"{hash}\""));
    let first = start_with(LINK.1, &hashed(&config("", "", "")));
    let mut up = client(&first);
    up.say("STORE before=1");
    up.sync();
    let text = hashed(&config("", &format!("address = \"{}\"", at(&first)), ""));
    let mut slave = start_with(LINK.1, &text);
    slave.event("link.synced");
    let mut down = client(&slave);
    assert_eq!(down.ask("RETRIEVE before"), "RETRIEVED before=1");
    down.say("STORE after=1");
    comes(&mut up, "after", Some("1"));
    let mut slave = start_with("another word", &text);
    assert_eq!(slave.event("link.refused")["reason"], "link_refused");
}

#[test]
fn linked_daemons_end_when_they_are_told_to() {
    for ends_first in ["slave", "master"] {
        let mut first = master();
        let mut second = slave(&first);
        let (one, other) = if ends_first == "slave" { (&mut second, &mut first) } else { (&mut first, &mut second) };
        let begun = Instant::now();
        one.signal("TERM");
        assert!(one.wait().success());
        assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
        assert_eq!(client(other).ask("FLUSH 1"), "FLUSHED 1");
        other.signal("TERM");
        assert!(other.wait().success());
    }
}

/// More than any outbox, and more than one go: written as the other end takes it.
#[test]
fn many_values_cross_and_clients_are_served_meanwhile() {
    let first = master();
    let mut up = client(&first);
    let value = "v".repeat(2000);
    let mut lines = String::new();
    for i in 0..20_000 {
        lines.push_str(&format!("STORE key{i:05}={value}\r\n"));
    }
    up.write(lines.as_bytes());
    up.sync();
    let mut slave = links::slave_of(&at(&first));
    slave.event("link.up");
    let mut longest = Duration::ZERO;
    let begun = Instant::now();
    while slave.find("link.synced", Duration::from_millis(20)).is_none() {
        let asked = Instant::now();
        assert_eq!(up.ask("FLUSH 1"), "FLUSHED 1");
        longest = longest.max(asked.elapsed());
        assert!(begun.elapsed() < Duration::from_secs(60));
    }
    assert!(longest < Duration::from_secs(1), "{longest:?}");
    let mut down = client(&slave);
    for key in ["key00000", "key09999", "key19999"] {
        assert_eq!(down.ask(&format!("RETRIEVE {key}")), format!("RETRIEVED {key}={value}"));
    }
    assert_eq!(down.keys().len(), 20_000);
    // an empty master gets all of them back
    let folder = kill(first);
    let back = again(folder, &config("", "", ""));
    slave.event("link.synced");
    let mut up = client(&back);
    comes(&mut up, "key19999", Some(&value));
    assert_eq!(up.keys().len(), 20_000);
}

#[test]
fn a_reload_in_the_middle_of_a_look_up_or_a_connect_counts() {
    let first = master();
    let door = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mute = format!("clackss://127.0.0.1:{}", door.local_addr().unwrap().port());
    for before in ["clacks://no-such-host.invalid:1".to_owned(), format!("{mute}\"\ninsecure = true #")] {
        let mut slave = start_with(LINK.1, &config("", &format!("address = \"{before}\""), ""));
        slave.write_config(&config("", &format!("address = \"{}\"", at(&first)), ""));
        slave.signal("HUP");
        slave.event("link.synced");
        std::thread::sleep(Duration::from_millis(300));
        assert!(slave.find("link.down", Duration::ZERO).is_none());
    }
}

#[test]
fn who_cannot_be_believed_at_all_is_said_before_the_start() {
    for (file, hint) in [("/nowhere.pem", "cannot be read"), ("/dev/null", "no PEM file")] {
        let master = format!("address = \"clackss://127.0.0.1:1\"\nca_file = \"{file}\"");
        let (status, text) =
            start_in(links::folder(LINK.1), &config("", &master, "")).err().expect("it does not start");
        assert_eq!(status.code(), Some(78), "{text}");
        assert!(text.contains("clacks.master.ca_file") && text.contains(hint), "{text}");
    }
}
