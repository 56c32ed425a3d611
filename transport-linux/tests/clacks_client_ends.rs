//! The client library against scripted Clacks servers: ends of connections and the next ones, silence,
//! and limits.

#[path = "support/clacks_script.rs"]
#[allow(dead_code, unreachable_pub, missing_docs)]
mod script;

use std::time::{Duration, Instant};

use chappe_linux::address::ClacksAddress;
use chappe_linux::clacks::{Error, Event, Options, Session, Why};
use script::{Script, info, next, notify, options, play, set, waiting};

#[test]
fn what_was_read_comes_before_the_end() {
    for (last, why) in [
        ("S: (empty)\nS: TIMEOUT\n", Why::Timeout),
        ("S: (empty)\nS: QUIT\n", Why::Quit),
        ("", Why::Lost("the server closed the connection".into())),
        ("S: (raw) SET half=", Why::Lost("the server closed the connection within a line".into())),
    ] {
        let mut signals = String::new();
        for n in 0..50 {
            signals.push_str(&format!("SET s={n}\\r\\n"));
        }
        let server = Script::new(&[&format!("hello\nS: (raw) {signals}\n{last}\nS: (closed)"), "hello"]);
        // less room than signals: they wait in the socket, and so does the end
        let mut bus = server.connect_with(Options { queue: 4, ..options() });
        std::thread::sleep(Duration::from_millis(100));
        assert_eq!(next(&mut bus), info("PageCamel 36"));
        for n in 0..50 {
            assert_eq!(next(&mut bus), set("s", &n.to_string()));
        }
        let ended = next(&mut bus);
        assert!(matches!(&ended, Event::Disconnected { why: said, unsure: 0, .. } if *said == why), "{ended:?}");
        assert_eq!([next(&mut bus), next(&mut bus)], [Event::Reconnected, info("PageCamel 36")]);
        assert_eq!(bus.missed().events, 0);
        drop(bus);
        server.done();
    }
}

#[test]
fn a_new_connection_listens_again_and_says_what_was_not_said() {
    let server = Script::new(&[
        "hello
        C: LISTEN a
        C: LISTEN b
        C: LISTEN c
        C: UNLISTEN b
        C: MONITOR
        C: STORE sure=1
        C: FLUSH <1>
        S: FLUSHED <1>
        C: FLUSH <2>
        S: FLUSHED <2>
        C: STORE unsure=1
        C: NOTIFY unsure
        S: QUIT
        S: (closed)",
        "login
        C: LISTEN a
        C: LISTEN c
        C: MONITOR
        # what was not said is for a Clacks server only
        C: (quiet)
        S: CLACKS PageCamel 37
        C: SET kept=1
        C: INCREMENT kept
        C: RETRIEVE kept
        C: FLUSH <3>
        S: SET a=1
        S: RETRIEVED kept=1
        S: FLUSHED <3>",
    ]);
    let mut bus = server.connect();
    for name in ["a", "b", "c"] {
        bus.listen(name).unwrap();
    }
    bus.unlisten("b").unwrap();
    bus.monitor(true).unwrap();
    bus.store("sure", "1").unwrap();
    bus.flush().unwrap();
    bus.store("unsure", "1").unwrap();
    bus.notify("unsure").unwrap();
    assert_eq!(next(&mut bus), info("PageCamel 36"));
    let ended = next(&mut bus);
    assert!(matches!(ended, Event::Disconnected { why: Why::Quit, unsure: 2, .. }), "{ended:?}");
    bus.set("kept", "1").unwrap();
    bus.increment("kept", 1).unwrap();
    assert!(bus.waiting() > 0);
    // asked when there is no connection: it waits for one
    assert_eq!(bus.retrieve("kept").unwrap().unwrap(), b"1");
    assert_eq!([next(&mut bus), next(&mut bus)], [Event::Reconnected, info("PageCamel 37")]);
    assert_eq!(next(&mut bus), set("a", "1"));
    drop(bus);
    server.done();
}

#[test]
fn a_question_is_asked_again_but_a_barrier_does_not_prove_what_was_said_to_another() {
    let server = Script::new(&[
        "hello
        C: RETRIEVE a
        C: FLUSH <1>
        S: (closed)",
        "hello
        C: RETRIEVE a
        C: FLUSH <2>
        S: RETRIEVED a=1
        S: FLUSHED <2>
        C: STORE b=1
        C: FLUSH <3>
        S: (closed)",
        "hello
        C: FLUSH <4>
        S: (closed)",
        "hello
        C: FLUSH <5>
        S: FLUSHED <5>",
    ]);
    let mut bus = server.connect();
    assert_eq!(bus.retrieve("a").unwrap().unwrap(), b"1");
    bus.store("b", "1").unwrap();
    let error = bus.flush().unwrap_err();
    assert!(matches!(error, Error::Lost { unsure: 1, .. }), "{error}");
    assert!(error.to_string().contains("the last 1 may be lost"), "{error}");
    // nothing was said since: any connection can prove that
    bus.flush().unwrap();
    drop(bus);
    server.done();
}

#[test]
fn half_a_line_is_said_again_whole() {
    // more than the socket takes while nobody reads
    let big: String = (0..1 << 19).map(|n| format!("{n:07} ")).collect();
    let again = format!(
        "hello
        C: STORE big={big}
        C: NOTIFY behind
        C: FLUSH <2>
        S: FLUSHED <2>
        C: FLUSH <3>
        S: FLUSHED <3>"
    );
    let server = Script::new(&["hello\nC: FLUSH <1>\nS: FLUSHED <1>\nwait 300\nS: (closed)", &again]);
    let mut bus = server.connect();
    bus.flush().unwrap();
    bus.store("big", &big).unwrap();
    let all = big.len() + "STORE big=\r\n".len();
    assert!((1..all).contains(&bus.waiting()), "a part of it has left");
    bus.notify("behind").unwrap();
    assert_eq!(next(&mut bus), info("PageCamel 36"));
    let ended = next(&mut bus);
    assert!(matches!(ended, Event::Disconnected { unsure: 0, .. }), "{ended:?}");
    assert_eq!(bus.waiting(), all + "NOTIFY behind\r\n".len());
    bus.flush().unwrap();
    drop(bus);
    server.done();
}

#[test]
fn attempts_that_fail_are_told_and_pauses_grow() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("clacks.sock");
    let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let server = std::thread::spawn(move || {
        play(listener.accept().unwrap().0, "hello\nS: (closed)", usize::MAX);
        listener
    });
    let mut bus = Session::connect(ClacksAddress::unix(&path), options()).unwrap();
    let listener = server.join().unwrap();
    drop(listener);
    std::fs::remove_file(&path).unwrap();
    assert_eq!(next(&mut bus), info("PageCamel 36"));
    assert!(matches!(next(&mut bus), Event::Disconnected { .. }));
    let mut pauses = Vec::new();
    for _ in 0..4 {
        match next(&mut bus) {
            Event::Unreachable { problem, again_in } => {
                assert!(problem.contains("No such file"), "{problem}");
                pauses.push(again_in);
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(pauses[0] < pauses[3] && pauses[3] <= Duration::from_millis(50), "{pauses:?}");
    // Calls that need a server say so, the others keep what they are told.
    bus.set("a", "1").unwrap();
    let began = Instant::now();
    bus.notify("b").unwrap();
    assert!(began.elapsed() < Duration::from_secs(1));
    let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let script = "hello\nC: SET a=1\nC: NOTIFY b\nC: FLUSH <1>\nS: FLUSHED <1>\nC: FLUSH <2>\nS: FLUSHED <2>";
    let server = std::thread::spawn(move || play(listener.accept().unwrap().0, script, usize::MAX));
    bus.flush().unwrap();
    drop(bus);
    server.join().unwrap();
}

#[test]
fn a_session_without_a_server_fails_in_time() {
    let server = Script::new(&["hello\nS: QUIT\nS: (closed)"]);
    let mut bus = server.connect_with(Options { timeout: Duration::from_millis(300), outbox: 100, ..options() });
    let began = Instant::now();
    assert_eq!(next(&mut bus), info("PageCamel 36"));
    assert!(matches!(next(&mut bus), Event::Disconnected { .. }));
    server.done();
    for result in [bus.retrieve("a").map(drop), bus.flush(), bus.keys().map(drop)] {
        assert!(matches!(result, Err(Error::Lost { .. })), "{result:?}");
    }
    while bus.notify("0123456789").is_ok() {}
    assert!(matches!(bus.notify("x"), Err(Error::Full(100..=130))));
    assert!(matches!(bus.push(), Err(Error::Lost { .. })));
    assert!(began.elapsed() < Duration::from_secs(5));
}

#[test]
fn signs_of_life_come_by_themselves_or_not_at_all() {
    let server = Script::new(&[
        "hello
        C: PING
        C: PING
        C: NOPING
        C: (quiet)
        S: QUIT
        S: (closed)",
        "login
        C: NOPING
        S: CLACKS x
        C: (quiet)
        S: NOTIFY done",
    ]);
    let mut bus = server.connect_with(Options { ping: Some(Duration::from_millis(150)), ..options() });
    assert_eq!(next(&mut bus), info("PageCamel 36"));
    assert_eq!(bus.receive(Some(Duration::from_millis(320))).unwrap(), None);
    bus.no_ping().unwrap();
    while next(&mut bus) != notify("done") {}
    drop(bus);
    server.done();
}

#[test]
fn a_server_that_says_nothing_any_more_is_asked_and_then_left() {
    let server = Script::new(&[
        "hello
        C: FLUSH <1>
        S: FLUSHED <1>
        C: FLUSH <2>
        S: NOP
        C: FLUSH <3>
        C: (ended)",
        "hello
        S: NOTIFY again",
    ]);
    let mut bus = server.connect_with(Options { silence: Some(Duration::from_millis(400)), ..options() });
    let began = Instant::now();
    assert_eq!(next(&mut bus), info("PageCamel 36"));
    // elsewhere for long, and nothing came meanwhile: it is asked first
    std::thread::sleep(Duration::from_millis(1000));
    let ended = next(&mut bus);
    assert!(
        matches!(&ended, Event::Disconnected { why: Why::Lost(text), .. } if text.contains("said nothing for 400ms")),
        "{ended:?}"
    );
    assert!(began.elapsed() > Duration::from_millis(1500));
    while next(&mut bus) != notify("again") {}
    drop(bus);
    server.done();
}

#[test]
fn the_longest_patience_and_the_shortest_pause_are_no_trouble() {
    let server = Script::new(&["hello\nC: RETRIEVE a\nC: FLUSH <1>\nS: RETRIEVED a=1\nS: FLUSHED <1>"]);
    let mut bus = server.connect_with(Options {
        timeout: Duration::MAX,
        connecting: Duration::MAX,
        stalled: Duration::MAX,
        silence: Some(Duration::MAX),
        ping: Some(Duration::MAX),
        backoff_min: Duration::ZERO,
        backoff_max: Duration::MAX,
        ..options()
    });
    assert_eq!(bus.retrieve("a").unwrap().unwrap(), b"1");
    bus.push().unwrap();
    assert_eq!(bus.receive(Some(Duration::MAX)).unwrap(), Some(info("PageCamel 36")));
    drop(bus);
    server.done();
}

#[test]
fn names_that_are_listened_to_are_bounded() {
    let server = Script::new(&["greet"]);
    let mut bus = server.connect_with(Options { buffer: usize::MAX, ..options() });
    for n in 0..65_536 {
        bus.listen(n.to_string()).unwrap();
    }
    assert!(matches!(bus.listen("one more"), Err(Error::TooMany(65_536))));
    bus.listen("7").unwrap();
    std::mem::forget(server);
}

#[test]
fn a_server_that_takes_nothing_is_left_and_nothing_blocks_for_ever() {
    let server = Script::new(&["hello\nwait 1500"]);
    let mut bus = server.connect_with(Options {
        stalled: Duration::from_millis(300),
        timeout: Duration::from_millis(200),
        outbox: 8 << 20,
        ..options()
    });
    let big = vec![b'x'; 1 << 20];
    let began = Instant::now();
    let full = loop {
        if let Err(error) = bus.store("big", &big) {
            break error;
        }
    };
    assert!(matches!(full, Error::Full(_)), "{full}");
    assert!(bus.waiting() <= (10 << 20) + 100);
    let mut ended = None;
    while ended.is_none() {
        ended = match next(&mut bus) {
            Event::Disconnected { why, .. } => Some(why.to_string()),
            _ => None,
        };
    }
    assert!(ended.is_some_and(|why| why.contains("took nothing for 300ms")));
    assert!(began.elapsed() < Duration::from_secs(3));
    std::mem::forget(server);
}

#[test]
fn lines_beyond_the_limit_end_the_connection_and_not_the_program() {
    let long = "x".repeat(2000);
    let server = Script::new(&[&format!("hello\nS: NOTIFY one\nS: SET x={long}\nC: (ended)"), "hello\nS: NOTIFY two"]);
    let mut bus = server.connect_with(Options { max_line: 1000, ..options() });
    assert!(matches!(bus.set("a", &long), Err(Error::NotSent(_))));
    assert_eq!([next(&mut bus), next(&mut bus)], [info("PageCamel 36"), notify("one")]);
    let ended = next(&mut bus);
    assert!(matches!(&ended, Event::Disconnected { why: Why::Lost(text), .. } if text.contains("longer than 1000")));
    while next(&mut bus) != notify("two") {}
    drop(bus);
    server.done();
}

#[test]
fn events_that_come_while_an_answer_is_waited_for_are_bounded_and_counted() {
    let mut script = "hello\nC: RETRIEVE a\nC: FLUSH <1>\n".to_owned();
    for n in 0..20 {
        script.push_str(&format!("S: SET s={n}\n"));
    }
    script.push_str("S: RETRIEVED a=1\nS: FLUSHED <1>");
    let server = Script::new(&[&script]);
    let mut bus = server.connect_with(Options { queue: 5, ..options() });
    assert_eq!(bus.retrieve("a").unwrap().unwrap(), b"1");
    let events = waiting(&mut bus);
    assert_eq!((events.len(), &events[4]), (5, &set("s", "3")));
    assert_eq!(bus.missed().events, 16);
    drop(bus);
    server.done();
}

#[test]
fn a_list_beyond_the_limit_is_an_error_of_its_own() {
    let mut script = "hello\nC: KEYLIST\nC: FLUSH <1>\nS: KEYLISTSTART\n".to_owned();
    for n in 0..200 {
        script.push_str(&format!("S: KEY key{n:03}\n"));
    }
    script.push_str("S: KEYLISTEND\nS: FLUSHED <1>\nC: RETRIEVE a\nC: FLUSH <2>\nS: NOTRETRIEVED a\nS: FLUSHED <2>");
    let server = Script::new(&[&script]);
    let mut bus = server.connect_with(Options { queue_bytes: 2000, ..options() });
    assert!(matches!(bus.keys(), Err(Error::TooMuch)));
    assert_eq!(bus.retrieve("a").unwrap(), None);
    drop(bus);
    server.done();
}
