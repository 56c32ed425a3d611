//! The life of a connection of Net::Clacks (`wire/clacks.md` sections 4, 10 and 15): login, liveness, ends and
//! what the original's library makes of them.

use chappe_host_tests::clacks::host::Host;
use chappe_host_tests::clacks::library::{Event, Library};
use chappe_host_tests::clacks::plain::Times;
use chappe_host_tests::clacks::users::User;
use chappe_host_tests::clacks::{each, each_with};

const FAST: Times = Times { login: 3_000, ping: 4_000, link_ping: 9_000, ..Times::DEFAULT };

/// Milliseconds until the server closes it, at most so many.
fn closes_within(h: &mut dyn Host, c: usize, ms: u32) -> Option<u64> {
    let begin = h.now().millis();
    while h.is_open(c) {
        if h.now().millis() - begin > ms as u64 {
            return None;
        }
        h.wait(50);
    }
    Some(h.now().millis() - begin)
}

/// Milliseconds until it hears something, at most so many.
fn hears_within(h: &mut dyn Host, c: usize, ms: u32) -> Option<u64> {
    let begin = h.now().millis();
    while h.wires()[c].lines.is_empty() {
        if h.now().millis() - begin > ms as u64 {
            return None;
        }
        h.wait(50);
    }
    Some(h.now().millis() - begin)
}

#[test]
fn the_greeting_comes_at_once_and_nothing_before_it() {
    each(|h| {
        let c = h.visitor();
        let lines = h.told(c);
        assert!(lines[0].starts_with("CLACKS PageCamel "), "{lines:?}");
        assert_eq!(lines[1..], ["OVERHEAD M Authentication required"]);
        h.wait(2_000);
        assert_eq!(h.told(c), [""; 0]);
    });
}

#[test]
fn authtimeout_closes_without_a_line() {
    each_with(FAST, |h| {
        let silent = h.visitor();
        let chatty = h.visitor();
        h.told(silent);
        h.told(chatty);
        for _ in 0..5 {
            h.wait(500);
            h.tell_all(chatty, &["CLACKS me", "PING", "FLUSH 1", "NONSENSE", ""]);
        }
        assert!(h.is_open(silent) && h.is_open(chatty), "2.5 s of 3");
        for c in [silent, chatty] {
            closes_within(h, c, 2_000).expect("4 s at most");
            assert_eq!(h.told(c), [""; 0], "section 4.3");
        }
    });
    // by default, 15 s; and somebody who is half through with a line has no more
    each(|h| {
        let c = h.visitor();
        h.told(c);
        h.tell_bytes(c, b"OVERHEAD A ZXhh");
        h.wait(14_500);
        assert!(h.is_open(c));
        closes_within(h, c, 2_000).expect("16 s at most");
        assert_eq!(h.told(c), [""; 0]);
    });
}

#[test]
fn only_ping_keeps_a_client_alive() {
    // the timer vector of section 17
    each_with(FAST, |h| {
        let c = h.client(User::Main);
        let begin = h.now().millis();
        while h.wires()[c].lines.is_empty() {
            h.wait(500);
            h.tell(c, "STORE k=1");
            assert!(h.now().millis() - begin < 6_000);
        }
        let took = h.now().millis() - begin;
        assert!((3_900..=5_500).contains(&took), "after {took} ms");
        assert_eq!(h.told(c), ["", "TIMEOUT"]);
        closes_within(h, c, 3_000).expect("and the end of the stream");
    });
    each_with(FAST, |h| {
        let c = h.client(User::Ro);
        for _ in 0..20 {
            h.wait(3_500);
            h.tell(c, "PING");
        }
        assert_eq!(h.told(c), ["NOP"]);
        assert!(h.is_open(c));
        let took = hears_within(h, c, 6_000).unwrap();
        assert!((3_800..=5_200).contains(&took), "after {took} ms");
        assert_eq!(h.told(c), ["", "TIMEOUT"]);
    });
}

#[test]
fn noping_until_the_next_ping_and_one_nop_in_sixty_seconds() {
    // the timer vector of section 17
    each_with(FAST, |h| {
        let c = h.client(User::Main);
        h.tell(c, "NOPING");
        let took = hears_within(h, c, 70_000).unwrap();
        assert!((59_000..=61_500).contains(&took), "after {took} ms");
        assert_eq!(h.told(c), ["NOP"]);
        h.wait(2_000);
        assert!(h.is_open(c) && h.told(c).is_empty());
        h.tell(c, "PING");
        let took = hears_within(h, c, 6_000).unwrap();
        assert!((3_900..=5_200).contains(&took), "after {took} ms");
        assert_eq!(h.told(c), ["", "TIMEOUT"]);
    });
}

#[test]
fn nop_comes_only_when_nothing_else_does() {
    each(|h| {
        let c = h.client(User::Main);
        h.tell(c, "NOPING");
        for i in 0..10 {
            h.wait(50_000);
            h.tell(c, &format!("FLUSH {i}"));
            assert_eq!(h.told(c), [format!("FLUSHED {i}")], "no NOP between");
        }
        // what it says itself does not count
        h.wait(30_000);
        h.tell(c, "STORE a=1");
        h.wait(28_000);
        assert_eq!(h.told(c), [""; 0]);
        h.wait(4_000);
        assert_eq!(h.told(c), ["NOP"]);
        // at least about every 61 s
        for _ in 0..5 {
            h.wait(61_500);
            assert_eq!(h.told(c), ["NOP"]);
        }
    });
}

#[test]
fn a_client_of_the_library_lives_by_its_pings() {
    // it never sends one within 120 s, whatever the application does
    each(|h| {
        let mut lib = Library::new("app", "exampleuser", "unsafepassword");
        lib.network(h);
        for _ in 0..6000 {
            lib.ping(h);
            h.wait(500);
            for e in lib.events(h) {
                assert!(matches!(e, Event::ServerInfo(_)), "{e:?}");
            }
        }
        assert_eq!(lib.connects, 1, "50 minutes with the default pingtimeout");
        assert!(lib.disconnect(h), "in good order");
    });
}

#[test]
fn quit_ends_after_everything_before_it_was_answered() {
    each(|h| {
        let (c, other) = (h.client(User::Main), h.client(User::Main));
        h.tell(other, "LISTEN x");
        h.tell_all(
            c,
            &["STORE a=1", "RETRIEVE a", "SET x=1", "FLUSH 1", "QUIT", "FLUSH 2", "SET x=2", "STORE a=2", "REMOVE a"],
        );
        assert_eq!(h.told(c), ["RETRIEVED a=1", "FLUSHED 1"], "without an answer (section 4.4)");
        closes_within(h, c, 3_000).unwrap();
        assert_eq!(h.told(c), [""; 0]);
        assert_eq!(h.told(other), ["SET x=1"], "nothing behind it counts");
        assert_eq!(h.value(other, "a").as_deref(), Some("1"));
    });
}

#[test]
fn last_words_linger_for_the_library_to_read_them() {
    // it polls, and throws away what it reads together with the end of the stream (sections 4.3 and 15.4)
    for poll in [10, 100, 250, 450] {
        each(|h| {
            let mut lib = Library::new("app", "exampleuser", "wrong");
            let mut events = Vec::new();
            while !lib.dead {
                h.wait(poll);
                events.extend(lib.events(h));
                assert_eq!(lib.connects, 1, "it must not reconnect: {events:?}");
                assert!(events.len() < 10);
            }
            assert_eq!(events.last(), Some(&Event::Fatal("Login failed!".into())), "polls every {poll} ms");
        });
        each_with(FAST, |h| {
            let mut lib = Library::new("app", "exampleuser", "unsafepassword");
            let mut events = Vec::new();
            while lib.connects < 2 {
                h.wait(poll);
                events.extend(lib.events(h));
                assert!(h.now().millis() < 1_100_000, "{events:?}");
            }
            assert!(events.contains(&Event::Disconnect("timeout")), "{events:?}");
            assert_eq!(lib.discarded, 0, "{events:?}");
        });
        each(|h| {
            let boss = h.client(User::Main);
            let mut lib = Library::new("app", "exampleuser", "unsafepassword");
            h.wait(poll);
            lib.events(h);
            h.tell(boss, "OVERHEAD C 1");
            let mut events = Vec::new();
            while lib.connects < 2 {
                h.wait(poll);
                events.extend(lib.events(h));
                assert!(h.now().millis() < 1_100_000, "{events:?}");
            }
            assert_eq!((events.first(), lib.discarded), (Some(&Event::Disconnect("quit")), 0), "{events:?}");
        });
    }
}

#[test]
fn what_is_said_while_a_connection_lingers_is_discarded() {
    each(|h| {
        let (boss, other) = (h.client(User::Main), h.client(User::Main));
        h.tell(other, "LISTEN x");
        let c = h.client(User::Main);
        h.tell(c, "LISTEN x");
        h.tell_all(c, &["OVERHEAD A wrong:wrong", "SET x=1", "STORE a=1"]);
        assert_eq!(h.told(c), ["OVERHEAD F Login failed!"]);
        assert!(h.is_open(c), "it lingers");
        for _ in 0..10 {
            h.tell_all(c, &[&User::Main.line(), "SET x=2", "STORE a=2", "FLUSH 1", "OVERHEAD GM x", "CLEARCACHE"]);
            h.wait(20);
        }
        h.tell(boss, "SET x=3");
        assert_eq!(h.told(c), [""; 0], "nothing follows its last words");
        assert_eq!(h.told(other), ["SET x=3"]);
        assert_eq!(h.keys(other), [""; 0]);
        // no longer than it has to, even if it goes on talking
        let mut waited = 0;
        while h.is_open(c) {
            h.tell(c, "PING");
            h.wait(50);
            waited += 50;
            assert!(waited < 5_000);
        }
        assert!(waited >= 250, "half a second in all (section 4.3), {waited} ms here");
    });
    // one that closes itself need not be waited for
    each(|h| {
        let c = h.visitor();
        h.told(c);
        h.tell(c, "OVERHEAD A wrong:wrong");
        h.part(c);
        h.wait(5_000);
        assert!(!h.is_open(c));
    });
}

#[test]
fn a_lingering_connection_is_in_nobodys_way() {
    // listed or not, it hears nothing, and its id ends nobody else
    each(|h| {
        let main = h.client(User::Main);
        let c = h.client(User::Main);
        h.tell(c, "NOPING");
        h.tell(c, "OVERHEAD A wrong:wrong");
        h.told(c);
        h.tell(main, "OVERHEAD GM x");
        h.tell(main, "CLIENTLIST");
        h.told(main);
        assert_eq!(h.told(c), [""; 0]);
        h.tell(main, "OVERHEAD C 1");
        assert_eq!(h.told(main), ["", "QUIT"]);
        assert_eq!(h.told(c), [""; 0], "one last word is enough");
        h.wait(3_000);
        assert!(!h.is_open(c) && !h.is_open(main));
    });
}

#[test]
fn logging_in_again() {
    each(|h| {
        let main = h.client(User::Main);
        let c = h.client(User::Ro);
        h.tell(c, "LISTEN x");
        assert_eq!(h.ask(c, "STORE a=1"), ["OVERHEAD E permission_denied"]);
        // more rights
        assert_eq!(h.ask(c, &User::Rw.line()), ["OVERHEAD O Welcome!"]);
        h.tell(c, "STORE a=1");
        assert_eq!(h.value(main, "a").as_deref(), Some("1"));
        // it listens on
        h.tell(main, "NOTIFY x");
        assert_eq!(h.told(c), ["NOTIFY x"]);
        // fewer
        assert_eq!(h.ask(c, &User::Wo.line()), ["OVERHEAD O Welcome!"]);
        assert_eq!(h.ask(c, "RETRIEVE a"), ["OVERHEAD E permission_denied"]);
        h.tell(c, "STORE a=2");
        assert_eq!(h.value(main, "a").as_deref(), Some("2"));
        // the same again, in one packet with commands around it
        let again = User::Rw.line();
        h.tell_all(c, &["FLUSH 1", &again, "RETRIEVE a", &User::Main.line(), "FLUSH 2"]);
        assert_eq!(
            h.told(c),
            ["FLUSHED 1", "OVERHEAD O Welcome!", "RETRIEVED a=2", "OVERHEAD O Welcome!", "FLUSHED 2"]
        );
        // other flags on that line do not count; a bare one is ignored
        assert_eq!(h.ask(c, &again.replace(" A ", " AGMC ")), ["OVERHEAD O Welcome!"]);
        assert_eq!(h.ask(c, "OVERHEAD A"), [""; 0]);
        h.fence(c);
        // wrong
        h.told(main);
        assert_eq!(h.ask(c, "OVERHEAD A bm9ib2R5:bm9wZQ=="), ["OVERHEAD F Login failed!"]);
        h.tell(main, "NOTIFY x");
        assert_eq!(h.told(c), [""; 0]);
        closes_within(h, c, 5_000).unwrap();
        h.fence(main);
    });
}

#[test]
fn commands_behind_the_token_in_one_packet() {
    // the library relies on it (section 4.3)
    each(|h| {
        for user in [User::Main, User::Rw] {
            let c = h.visitor();
            h.tell_all(c, &["CLACKS a", "RETRIEVE lost", &user.line(), "STORE a=1", "RETRIEVE a", "FLUSH 1"]);
            let mut lines = h.told(c);
            lines.drain(..2);
            lines.retain(|l| l != "OVERHEAD O Welcome!");
            assert_eq!(lines, ["RETRIEVED a=1", "FLUSHED 1"]);
        }
        let mut lib = Library::new("app", "rwuser", "foo");
        assert_eq!(lib.retrieve(h, "a"), Some(Some("1".into())));
        assert_eq!(lib.retrieve(h, "b"), Some(None));
        assert!(lib.flush(h, "1"));
        assert_eq!(lib.key_list(h), Some(vec!["a".into()]));
        assert_eq!(lib.client_list(h), None, "weak point 25");
    });
}

#[test]
fn the_library_hears_signals_between_its_questions() {
    each(|h| {
        let main = h.client(User::Main);
        let mut lib = Library::new("app", "exampleuser", "unsafepassword");
        lib.say("LISTEN x");
        lib.say("MONITOR");
        assert!(lib.flush(h, "AUTO123"));
        h.tell_all(
            main,
            &["SET x=a=b", "NOTIFY x", "STORE k=v", "SETANDSTORE x=", "OVERHEAD GM hi", "OVERHEAD GN quiet"],
        );
        assert_eq!(lib.retrieve(h, "k"), Some(Some("v".into())));
        assert_eq!(lib.retrieve(h, "x"), Some(Some(String::new())));
        let events = lib.events(h);
        let no_debug: Vec<&Event> =
            events.iter().filter(|e| !matches!(e, Event::Debug { .. } | Event::ServerInfo(_))).collect();
        let set = |data: &str| Event::Set { name: "x".into(), data: data.into() };
        assert_eq!(no_debug, [&set("a=b"), &Event::Notify("x".into()), &set(""), &Event::Informal("hi".into())]);
        let commands: Vec<&str> = events
            .iter()
            .filter_map(|e| if let Event::Debug { command, .. } = e { Some(&command[..]) } else { None })
            .collect();
        assert!(commands.contains(&"SET x=a=b") && commands.contains(&"STORE k=v"), "{commands:?}");
        lib.say("NONSENSE");
        let mut events = lib.events(h);
        events.retain(|e| !matches!(e, Event::Debug { .. }));
        assert_eq!(events, [Event::ErrorMessage("unknown_command NONSENSE".into())]);
        assert!(lib.disconnect(h));
    });
}

#[test]
fn close_all_reaches_everybody_and_the_server_goes_on() {
    each(|h| {
        let all: Vec<usize> = User::ALL.iter().map(|u| h.client(*u)).collect();
        h.tell(all[0], "OVERHEAD C 1");
        for c in &all {
            assert_eq!(h.told(*c), ["", "QUIT"]);
        }
        h.wait(4_000);
        for c in &all {
            assert!(!h.is_open(*c));
        }
        let c = h.client(User::Main);
        h.fence(c);
    });
}

#[test]
fn housekeeping_as_monitors_see_it() {
    // the timer vector of section 17
    let times = Times { deleted: 4_000, stale: 8_000, clean: 1_000, ..Times::DEFAULT };
    each_with(times, |h| {
        let monitor = h.client(User::Main);
        let c = h.client(User::Main);
        h.tell(monitor, "MONITOR");
        h.told(monitor);
        h.tell_all(c, &["STORE a=1", "STORE b=1", "REMOVE b", "STORE read=1"]);
        h.told(monitor);
        let begin = h.now().millis();
        let mut seen = Vec::new();
        while seen.len() < 2 {
            assert!(h.now().millis() - begin < 12_000, "{seen:?}");
            h.wait(100);
            h.tell(c, "RETRIEVE read");
            h.told(c);
            for line in h.told(monitor) {
                if line.starts_with("DEBUG SERVERCACHE=") {
                    seen.push((line, h.now().millis() - begin));
                }
            }
        }
        assert_eq!(seen[0].0, "DEBUG SERVERCACHE=CLEANDELETED=b");
        assert!((4_000..=6_000).contains(&seen[0].1), "{seen:?}");
        assert_eq!(seen[1].0, "DEBUG SERVERCACHE=CLEANSTALE=a");
        assert!((8_000..=10_000).contains(&seen[1].1), "{seen:?}");
        assert_eq!(h.keys(c), ["read"], "a key that is asked for stays");
    });
}

#[test]
fn a_line_may_take_its_time() {
    // no timer of section 10 ends it but that of the pings, which cannot stand inside it
    each(|h| {
        let c = h.client(User::Main);
        h.tell_bytes(c, b"STORE slow=");
        for _ in 0..100 {
            h.wait(1_000);
            h.tell_bytes(c, b"0123456789");
        }
        h.tell_bytes(c, b"\n");
        h.wires()[c].lines.retain(|l| l != b"NOP");
        assert_eq!(h.value(c, "slow").map(|v| v.len()), Some(1000));
    });
}

/// One field of the row that has this display name.
fn field(h: &mut dyn Host, c: usize, name: &str, field: &str) -> String {
    let rows = h.ask(c, "CLIENTLIST");
    let row = rows.iter().find(|r| r.contains(&format!(";CLIENTINFO={name};"))).unwrap_or_else(|| panic!("{rows:?}"));
    let fields = row.strip_prefix("CLIENT ").unwrap().split_terminator(';');
    let found = fields.filter_map(|f| f.split_once('=')).find(|f| f.0 == field);
    found.unwrap_or_else(|| panic!("no {field} in {row}")).1.to_string()
}

#[test]
fn the_list_of_clients_says_how_they_are() {
    each(|h| {
        let boss = h.client(User::Main);
        let c = h.client(User::Main);
        h.tell(c, "CLACKS worker");
        let now = |h: &mut dyn Host| 1_795_190_000.0 + h.now().millis() as f64 / 1000.0;
        let last: f64 = field(h, boss, "worker", "LASTPING").parse().unwrap();
        assert!((now(h) - last).abs() < 0.1, "at first that of the accept: {last}");
        h.wait(7_000);
        h.tell(c, "STORE a=1");
        let last: f64 = field(h, boss, "worker", "LASTPING").parse().unwrap();
        assert!((now(h) - last - 7.0).abs() < 0.1, "only PING counts: {last}");
        h.tell(c, "PING");
        let last: f64 = field(h, boss, "worker", "LASTPING").parse().unwrap();
        assert!((now(h) - last).abs() < 0.1, "{last}");
        h.tell(c, "NOPING");
        assert_eq!(field(h, boss, "worker", "LASTPING"), "0");
        h.tell(c, "MONITOR");
        assert_eq!(field(h, boss, "worker", "MONITOR"), "1");
        h.tell(c, "UNMONITOR");
        h.told(c);
        assert_eq!(field(h, boss, "worker", "MONITOR"), "0");
        // half a line, and what it does not read
        h.tell_bytes(c, b"STORE half");
        assert_eq!(field(h, boss, "worker", "INBUFFER_LENGTH"), "10");
        h.tell_bytes(c, b"=1\nLISTEN x\n");
        assert_eq!(field(h, boss, "worker", "INBUFFER_LENGTH"), "0");
        assert_eq!(field(h, boss, "worker", "WRITEFAILTIME"), "0");
        h.wires()[c].reads = false;
        h.tell(boss, "SET x=0123456789");
        h.wait(1_000);
        assert_eq!(field(h, boss, "worker", "OUTBUFFER_LENGTH"), "18");
        let since: f64 = field(h, boss, "worker", "WRITEFAILTIME").parse().unwrap();
        assert!((now(h) - since - 1.0).abs() < 0.2, "{since}");
        h.read_on(c);
        assert_eq!(field(h, boss, "worker", "OUTBUFFER_LENGTH"), "0");
        assert_eq!(field(h, boss, "worker", "WRITEFAILTIME"), "0");
        // somebody who is not logged in, one at a Unix socket, a link
        let d = h.visitor();
        h.tell(d, "CLACKS stranger");
        assert!(field(h, boss, "stranger", "CID").starts_with("127.0.0.1:"));
        let unix = h.open(Default::default()).unwrap();
        h.tell(unix, "CLACKS unix");
        assert!(field(h, boss, "unix", "CID").starts_with("unixdomainsocket:"));
        let (link, _) = h.linked();
        h.tell(link, "CLACKS link");
        assert_eq!(field(h, boss, "link", "INTERCLACKS"), "1");
        let pinged: f64 = field(h, boss, "link", "LASTINTERCLACKSPING").parse().unwrap();
        assert!((now(h) - pinged).abs() < 0.1, "{pinged}");
        assert_eq!(field(h, boss, "worker", "LASTINTERCLACKSPING"), "0");
    });
}

#[test]
fn the_link_to_the_master_is_listed_and_can_be_ended() {
    use chappe_host_tests::clacks::host::Opening;
    each(|h| {
        let boss = h.client(User::Main);
        let master = h.to_master();
        h.tell(master, "CLACKS master");
        assert_eq!(field(h, boss, "master", "INTERCLACKS"), "1");
        let cid = field(h, boss, "master", "CID");
        assert!(cid.starts_with("10.0.0.1:49888"), "{cid}");
        h.tell(boss, &format!("CLIENTDISCONNECT {cid}"));
        assert_eq!(h.told(master), ["", "QUIT"]);
        h.wait(3_000);
        assert!(!h.is_open(master));
        let unix = h.open(Opening { to_master: true, peer: None }).unwrap();
        h.tell(unix, "CLACKS at a socket");
        let cid = field(h, boss, "at a socket", "CID");
        assert!(cid.starts_with("unixdomainsocket:"), "{cid}");
    });
}

#[test]
fn what_the_status_says_of_the_master() {
    use chappe_core::model::{List, What};
    use chappe_core::time::Duration;
    use chappe_host_tests::event::Seen;
    let mut w = chappe_host_tests::clacks::ours::ours(|_| {});
    let s = w.station("native");
    let status = |w: &mut chappe_host_tests::world::World| -> Vec<(String, u64, String)> {
        w.take(s);
        let now = w.now;
        let mut rows = Vec::new();
        let mut after = String::new();
        loop {
            let list = List { what: What::Status, after: &after, ..List::default() };
            w.stations[s].client.list(now, &list).unwrap();
            w.drive();
            for seen in w.take(s) {
                match seen {
                    Seen::Item { name, count, text, .. } if name.starts_with("master") => {
                        rows.push((name, count, text))
                    }
                    Seen::Outcome { next, .. } => after = next,
                    _ => {}
                }
            }
            if after.is_empty() {
                return rows;
            }
        }
    };
    assert_eq!(status(&mut w), []);
    let (now, row) = (w.now, |name: &str, count, text: &str| (name.to_string(), count, text.to_string()));
    w.router.tell_master("linked", Some(now));
    w.advance(1500);
    assert_eq!(status(&mut w), [row("master", 0, "linked"), row("master_since_ms", 1500, "")]);
    // controls in what somebody else has said are nobody's; what is too long is cut
    let again = w.now + Duration::from_secs(2);
    w.router.tell_master("no\nway", Some(again));
    assert_eq!(status(&mut w), [row("master", 0, "no?way"), row("master_again_ms", 2000, "")]);
    w.router.tell_master(&"\u{e9}".repeat(1000), None);
    let [(_, _, text)] = &status(&mut w)[..] else { panic!("one row") };
    assert!(text.len() > 20 && text.len() < 2000 && text.chars().all(|c| c == '\u{e9}'), "{text}");
    w.router.tell_master("", None);
    assert_eq!(status(&mut w), []);
}

#[test]
fn a_cleaning_of_many_values_forgets_and_shows_each_once() {
    let times = Times { stale: 8_000, clean: 1_000, ..Times::DEFAULT };
    let mut w = chappe_host_tests::clacks::ours::with_times(times, 0, |_| {});
    let c = w.client(User::Main);
    for i in 0..100 {
        w.tell(c, &format!("STORE k{i}=v"));
    }
    let monitor = w.client(User::Main);
    w.tell(monitor, "MONITOR");
    w.told(monitor);
    w.wait(8_500);
    w.tell(c, "STORE fresh=v");
    let mut shown = Vec::new();
    for _ in 0..20 {
        w.wait(100);
        // others are served in between: it goes in steps
        w.fence(c);
        shown.extend(w.told(monitor).into_iter().filter(|line| line.contains("CLEANSTALE=")));
    }
    shown.sort();
    let mut want: Vec<_> = (0..100).map(|i| format!("DEBUG SERVERCACHE=CLEANSTALE=k{i}")).collect();
    want.sort();
    assert_eq!(shown, want);
    assert_eq!(w.keys(c), ["fresh"]);
}
