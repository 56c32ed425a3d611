//! The client of Clacks servers against a server that is only a script: lines byte for byte as
//! in `wire/clacks.md`, in pieces, broken off, in the original's order, and things that no good
//! server does.

#[path = "support/clacks_script.rs"]
#[allow(dead_code, unreachable_pub, missing_docs)]
mod script;

use std::net::TcpListener;
use std::time::{Duration, Instant};

use chappe_linux::address::ClacksAddress;
use chappe_linux::clacks::cache::Value;
use chappe_linux::clacks::{Error, Event, Options, Session, Told, Why};
use script::{Script, options, play};

const SOON: Option<Duration> = Some(Duration::from_secs(5));

fn set(name: &str, value: &str) -> Event {
    Event::Set { name: name.into(), value: value.into() }
}

fn notify(name: &str) -> Event {
    Event::Notify { name: name.into() }
}

fn info(text: &str) -> Event {
    Event::ServerInfo(text.into())
}

/// The next event, which there is.
fn next(bus: &mut Session) -> Event {
    bus.receive(SOON).unwrap().expect("an event")
}

/// All that wait.
fn waiting(bus: &mut Session) -> Vec<Event> {
    std::iter::from_fn(|| bus.receive(Some(Duration::ZERO)).unwrap()).collect()
}

/// Why nobody can connect, with one script.
fn refusal(script: &str) -> Error {
    let server = Script::new(&[&format!("login\n{script}")]);
    let limits = Options { connecting: Duration::from_millis(400), ..options() };
    let error = Session::connect(server.address(), limits).expect_err("no session");
    server.done();
    error
}

#[test]
fn login_is_said_at_once_and_answers_may_come_before_the_welcome() {
    for step in [1, 7, usize::MAX] {
        let server = Script::in_pieces(
            &["# the client speaks first here: it waits for nothing
              login
              S: CLACKS PageCamel 36
              S: OVERHEAD M Authentication required
              C: STORE X=12
              C: RETRIEVE X
              C: FLUSH <1>
              S: RETRIEVED X=12
              S: FLUSHED <1>
              S: OVERHEAD O Welcome!
              S: NOTIFY x
              C: RETRIEVE nope
              C: FLUSH <2>
              S: NOTRETRIEVED nope
              S: FLUSHED <2>"],
            step,
        );
        let mut bus = server.connect();
        assert_eq!((bus.server(), bus.is_welcome()), (Some("PageCamel 36"), false));
        bus.store("X", "12").unwrap();
        assert_eq!(bus.retrieve("X").unwrap().as_deref(), Some(&b"12"[..]));
        assert_eq!(next(&mut bus), info("PageCamel 36"));
        assert_eq!(next(&mut bus), notify("x"));
        assert!(bus.is_welcome());
        assert_eq!(bus.retrieve("nope").unwrap(), None);
        drop(bus);
        server.done();
    }
}

#[test]
fn a_wrong_password_is_an_error_with_the_server_s_words_even_with_the_end_behind_it() {
    for script in [
        "greet
         S: OVERHEAD F Login failed!
         S: (closed)",
        // as over TLS: the end together with it, and something that was said before
        "greet
         S: (raw) NOTIFY x\\r\\nOVERHEAD F Login failed!\\r\\n
         S: (closed)",
    ] {
        let server = Script::new(&[script]);
        let mut bus = match Session::connect(server.address(), options()) {
            Ok(bus) => bus,
            Err(error) => {
                assert!(matches!(&error, Error::Refused { text, .. } if text == "Login failed!"), "{error}");
                server.done();
                continue;
            }
        };
        let error = loop {
            match bus.receive(SOON) {
                Ok(event) => assert!(matches!(event, Some(Event::ServerInfo(_) | Event::Notify { .. })), "{event:?}"),
                Err(error) => break error,
            }
        };
        assert!(error.to_string().contains("refuses this user or password: Login failed!"), "{error}");
        // and it stays so: nobody connects again
        for result in [bus.set("a", "1").map(drop), bus.flush(), bus.retrieve("a").map(drop), bus.push(), bus.close()] {
            assert!(matches!(result, Err(Error::Refused { .. })), "{result:?}");
        }
        server.done();
    }
}

#[test]
fn a_server_that_wants_another_way_in_is_not_tried_again() {
    for end in ["S: QUIT\n S: (closed)", "S: (closed)"] {
        let server = Script::new(&[&format!(
            "login
             S: CLACKS PageCamel 36
             S: OVERHEAD E bad_request this listener speaks TLS: write clackss:// for it
             {end}"
        )]);
        let error = match Session::connect(server.address(), options()) {
            Ok(mut bus) => loop {
                match bus.receive(SOON) {
                    Ok(event) => assert!(matches!(event, Some(Event::ServerInfo(_) | Event::Error(_))), "{event:?}"),
                    Err(error) => break error,
                }
            },
            Err(error) => error,
        };
        assert!(matches!(&error, Error::TurnedAway { text, .. } if text.contains("write clackss://")), "{error:?}");
        server.done();
    }
}

#[test]
fn what_is_no_clacks_server_is_told_from_one_that_is_not_there() {
    for (script, why) in [
        ("S: HTTP/1.1 400 Bad Request", "its first line is \"HTTP/1.1 400"),
        ("S: OVERHEAD M Authentication required", "its first line is \"OVERHEAD M"),
        ("S: (raw) \\x15\\x03\\x03\\x00\\x02\\x02\\x28\\n", "it speaks TLS"),
        ("S: (closed)", "before it said anything"),
        ("S: (raw) CLACKS Page\nS: (closed)", "closed the connection within a line before it said anything"),
        ("C: (ended)", "said nothing for 400ms"),
    ] {
        match refusal(script) {
            Error::NotClacks { why: said, .. } => assert!(said.contains(why), "{said:?} instead of {why:?}"),
            error => panic!("{error:?}"),
        }
    }
    assert!(matches!(refusal("S: (empty)\nS: QUIT\nS: (closed)"), Error::Lost { why: Why::Quit, .. }));
    let dir = tempfile::tempdir().unwrap();
    let nobody = ClacksAddress::unix(dir.path().join("nobody.sock"));
    let error = Session::connect(nobody, options()).unwrap_err();
    assert!(matches!(&error, Error::Connect { problem, .. } if problem.kind() == std::io::ErrorKind::NotFound));
    assert!(error.to_string().contains("nobody.sock"));
}

#[test]
fn an_empty_first_line_and_nop_mean_nothing() {
    let server = Script::new(&["S: (empty)\nS: NOP\nS: (raw) \\r\\r\\n\nhello\nS: NOTIFY x\nS: (raw) NO\\rTIFY y\\n"]);
    let mut bus = server.connect();
    assert_eq!([next(&mut bus), next(&mut bus), next(&mut bus)], [info("PageCamel 36"), notify("x"), notify("y")]);
    drop(bus);
    server.done();
}

#[test]
fn a_patient_session_waits_for_its_server() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("late.sock");
    let address = ClacksAddress::unix(&path);
    let server = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(200));
        let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        play(listener.accept().unwrap().0, "hello", usize::MAX);
    });
    let bus = Session::connect(address.clone(), Options { patient: true, ..options() }).unwrap();
    drop(bus);
    server.join().unwrap();
    let began = Instant::now();
    let limits = Options { patient: true, connecting: Duration::from_millis(300), ..options() };
    assert!(matches!(Session::connect(address, limits), Err(Error::Connect { .. })));
    assert!((Duration::from_millis(300)..Duration::from_secs(3)).contains(&began.elapsed()));
}

#[test]
fn every_call_says_its_line() {
    let server = Script::new(&["hello
        C: SET temp=21.5
        C: SET temp=
        C: NOTIFY door
        C: SETANDSTORE v=x=1
        C: STORE s=  x
        C: REMOVE k
        C: INCREMENT n
        C: INCREMENT n=5
        C: INCREMENT a=b=1
        C: INCREMENT n=2.5
        C: DECREMENT n
        C: DECREMENT n=-7
        C: CLEARCACHE
        C: LISTEN a b
        C: LISTEN a b
        C: UNLISTEN a b
        C: MONITOR
        C: UNMONITOR
        C: PING
        C: NOPING
        C: OVERHEAD GM hello  all
        C: OVERHEAD GNU Terry Pratchett
        C: KEYLIST and more
        C: FLUSH <1>
        S: FLUSHED <1>
        C: FLUSH <2>
        S: FLUSHED <2>
        C: FLUSH <3>
        S: FLUSHED <3>
        C: CLIENTDISCONNECT 127.0.0.1:59498:1
        C: FLUSH <4>
        S: FLUSHED <4>
        C: FLUSH <5>
        S: FLUSHED <5>
        C: FLUSH <6>
        S: FLUSHED <6>
        C: QUIT
        C: (ended)"]);
    let mut bus = server.connect();
    assert!(bus.set("temp", "21.5").unwrap() && bus.set("temp", "").unwrap());
    bus.notify("door").unwrap();
    bus.set_and_store("v", "x=1").unwrap();
    bus.store("s", "  x").unwrap();
    bus.remove("k").unwrap();
    bus.increment("n", 1).unwrap();
    bus.increment("n", 5).unwrap();
    bus.increment("a=b", 1).unwrap();
    bus.increment("n", 2.50).unwrap();
    bus.decrement("n", 1).unwrap();
    bus.decrement("n", -7).unwrap();
    bus.clear().unwrap();
    bus.listen("a b").unwrap();
    bus.listen("a b").unwrap();
    bus.unlisten("a b").unwrap();
    bus.monitor(true).unwrap();
    bus.monitor(false).unwrap();
    bus.ping().unwrap();
    bus.no_ping().unwrap();
    bus.note("hello  all").unwrap();
    bus.overhead("GNU", "Terry Pratchett").unwrap();
    bus.raw("KEYLIST and more").unwrap();
    // what was said may be denied: once more, because the original says so late
    bus.flush().unwrap();
    bus.disconnect("127.0.0.1:59498:1").unwrap();
    bus.close().unwrap();
    server.done();
}

#[test]
fn nothing_becomes_a_line_of_its_own() {
    let server = Script::new(&["hello\nC: (quiet)\nC: SET a=b=c"]);
    let mut bus = server.connect();
    for (result, what) in [
        (bus.set("door", "a\r\nQUIT").map(drop), "the value of \"door\" has a carriage return at byte 1"),
        (bus.store("k\nCLEARCACHE", "x"), "the key \"k\\nCLEARCACHE\" has a line feed at byte 1"),
        (bus.retrieve("k\n").map(drop), "the key"),
        (bus.notify("\n"), "the name"),
        (bus.listen("x\n"), "the name"),
        (bus.disconnect("1\n"), "the id"),
        (bus.note("x\nQUIT"), "the text of \"GM\""),
        (bus.raw("PING\nQUIT"), "the line"),
        (bus.set("a=b", "c").map(drop), "the name \"a=b\" has a `=` at byte 1"),
        (bus.set("", "c").map(drop), "the name is empty"),
    ] {
        let error = result.unwrap_err();
        assert!(matches!(error, Error::NotSent(_)) && error.to_string().contains(what), "{error}");
    }
    let named = Session::connect(server.address(), Options { name: "a\nb".into(), ..options() });
    assert!(matches!(named, Err(Error::NotSent(_))));
    std::thread::sleep(Duration::from_millis(300));
    bus.set("a", "b=c").unwrap();
    drop(bus);
    server.done();
}

#[test]
fn answers_are_matched_by_the_whole_key_and_signals_between_them_stay_in_order() {
    let server = Script::new(&["hello
        C: RETRIEVE a.b+(c)[d]{e}^$|\\*?
        C: FLUSH <1>
        S: SET s=1
        S: RETRIEVED aXb+(c)[d]{e}^$|\\*?=wrong
        S: NOTIFY n
        S: RETRIEVED a.b+(c)[d]{e}^$|\\*?=right=1
        S: SET s=2
        S: FLUSHED <1>
        C: RETRIEVE a=b
        C: FLUSH <2>
        S: RETRIEVED a=b=3
        S: FLUSHED <2>
        C: RETRIEVE a
        C: FLUSH <3>
        S: SET s=3
        S: NOTRETRIEVED a=b
        S: NOTRETRIEVED a
        S: FLUSHED <3>
        C: RETRIEVE  a
        C: FLUSH <4>
        S: NOTRETRIEVED  a
        S: FLUSHED <4>"]);
    let mut bus = server.connect();
    assert_eq!(bus.retrieve("a.b+(c)[d]{e}^$|\\*?").unwrap().unwrap(), b"right=1");
    assert_eq!(bus.retrieve("a=b").unwrap().unwrap(), b"3");
    assert_eq!(bus.retrieve("a").unwrap(), None);
    assert_eq!(bus.retrieve(" a").unwrap(), None);
    let want = [info("PageCamel 36"), set("s", "1"), notify("n"), set("s", "2"), set("s", "3")];
    assert_eq!(waiting(&mut bus), want);
    assert_eq!(bus.missed().late, 2);
    drop(bus);
    server.done();
}

#[test]
fn lists_with_foreign_lines_in_them() {
    let script = "hello
        C: KEYLIST
        C: FLUSH <1>
        S: SET s=1
        S: KEYLISTSTART
        S: KEY B
        S: SET s=2
        S: (empty)
        S: NOP
        S: KEY a::x
        S: OVERHEAD GN Terry Pratchett
        S: KEY  odd = key
        S: DEBUG x=y
        S: KEYLISTEND
        S: FLUSHED <1>
        C: CLIENTLIST
        C: FLUSH <2>
        S: CLIENTLISTSTART
        S: CLIENT CID=127.0.0.1:59498:1;HOST=127.0.0.1;PORT=59498:1;CLIENTINFO=my_app_1.0;OUTBUFFER_LENGTH=17;INTERCLACKS=1;
        S: NOTIFY n
        S: CLIENT CID=2;NEW=1;
        S: CLIENTLISTEND
        S: FLUSHED <2>
        C: KEYLIST
        C: FLUSH <3>
        S: KEYLISTSTART
        S: KEYLISTEND
        S: FLUSHED <3>";
    for step in [3, usize::MAX] {
        let server = Script::in_pieces(&[script], step);
        let mut bus = server.connect();
        assert_eq!(bus.keys().unwrap(), [&b"B"[..], b"a::x", b" odd = key"]);
        let clients = bus.clients().unwrap();
        assert_eq!(
            (&clients[0].id[..], &clients[0].name[..], clients[0].is_link),
            ("127.0.0.1:59498:1", "my_app_1.0", true)
        );
        assert_eq!((clients.len(), &clients[1].id[..], clients[1].is_link), (2, "2", false));
        assert_eq!(bus.keys().unwrap(), [[0; 0]; 0]);
        let debug = Event::Debug { source: b"x".into(), text: b"y".into() };
        let want = [info("PageCamel 36"), set("s", "1"), set("s", "2"), debug, notify("n")];
        assert_eq!(waiting(&mut bus), want);
        drop(bus);
        server.done();
    }
}

#[test]
fn what_is_denied_does_not_wait_for_30_seconds() {
    // V28 as a new server says it, and as the original does: behind the answers of the round
    for (one, other) in [("S: OVERHEAD E permission_denied\n", ""), ("", "S: OVERHEAD E permission_denied\n")] {
        let script = format!(
            "hello
            C: STORE p=1
            C: RETRIEVE p
            C: FLUSH <1>
            {one}S: FLUSHED <1>
            {other}C: KEYLIST
            C: FLUSH <2>
            {one}S: FLUSHED <2>
            {other}C: CLIENTLIST
            C: FLUSH <3>
            {one}S: FLUSHED <3>
            {other}C: RETRIEVE q
            C: FLUSH <4>
            S: NOTRETRIEVED q
            S: FLUSHED <4>
            S: NOTIFY last"
        );
        let server = Script::new(&[&script]);
        let mut bus = server.connect();
        let began = Instant::now();
        bus.store("p", "1").unwrap();
        assert!(matches!(bus.retrieve("p"), Err(Error::Denied)));
        assert!(matches!(bus.keys(), Err(Error::Denied)));
        assert!(matches!(bus.clients(), Err(Error::Denied)));
        assert_eq!(bus.retrieve("q").unwrap(), None);
        assert!(began.elapsed() < Duration::from_secs(3));
        assert_eq!(next(&mut bus), info("PageCamel 36"));
        assert_eq!(next(&mut bus), notify("last"), "each denial has found its call");
        drop(bus);
        server.done();
    }
}

#[test]
fn what_was_said_without_waiting_is_denied_by_an_event_or_by_the_next_barrier() {
    let server = Script::new(&["hello
        C: SET p=3
        S: OVERHEAD E permission_denied
        S: NOTIFY one
        C: NONSENSE x
        S: OVERHEAD E unknown_command NONSENSE x
        C: STORE a=1
        C: FLUSH <1>
        S: OVERHEAD E permission_denied
        S: FLUSHED <1>
        C: STORE a=1
        C: FLUSH <2>
        S: (raw) FLUSHED <2>\\r\\nOVERHEAD E permission_denied\\r\\n
        C: STORE a=1
        C: FLUSH <3>
        S: FLUSHED <3>
        C: FLUSH <4>
        S: OVERHEAD E permission_denied
        S: FLUSHED <4>
        C: FLUSH <5>
        S: FLUSHED <5>
        C: RETRIEVE p
        C: FLUSH <6>
        S: OVERHEAD E unknown_command RETRIEVE p
        S: FLUSHED <6>"]);
    let mut bus = server.connect();
    bus.set("p", "3").unwrap();
    assert_eq!(next(&mut bus), info("PageCamel 36"));
    assert_eq!([next(&mut bus), next(&mut bus)], [Event::Error(Told::Denied), notify("one")]);
    bus.raw("NONSENSE x").unwrap();
    assert_eq!(next(&mut bus), Event::Error(Told::Unknown("NONSENSE x".into())));
    bus.store("a", "1").unwrap();
    assert!(matches!(bus.flush(), Err(Error::Denied)));
    // the original's order: the denial comes behind the number, with it or later
    for _ in 0..2 {
        bus.store("a", "1").unwrap();
        assert!(matches!(bus.flush(), Err(Error::Denied)));
    }
    bus.flush().unwrap();
    assert!(matches!(bus.retrieve("p"), Err(Error::Unknown(line)) if line == "RETRIEVE p"));
    assert!(waiting(&mut bus).is_empty());
    drop(bus);
    server.done();
}

#[test]
fn an_answer_that_does_not_come_is_an_error_in_time_and_answers_nothing_later() {
    let server = Script::new(&["hello
        C: RETRIEVE a
        C: FLUSH <1>
        wait 500
        C: RETRIEVE a
        C: FLUSH <2>
        S: RETRIEVED a=old
        S: FLUSHED <1>
        S: RETRIEVED a=new
        S: FLUSHED <2>"]);
    let mut bus = server.connect_with(Options { timeout: Duration::from_millis(300), ..options() });
    let began = Instant::now();
    assert!(matches!(bus.retrieve("a"), Err(Error::TimedOut(_))));
    assert!((Duration::from_millis(300)..Duration::from_secs(2)).contains(&began.elapsed()));
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(bus.retrieve("a").unwrap().unwrap(), b"new");
    assert_eq!(bus.missed().late, 1);
    drop(bus);
    server.done();
}

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
fn many_small_messages_leave_in_one_write() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("clacks.sock");
    let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let options = Options { buffer: 4000, ..options() };
    let mut bus = {
        let address = ClacksAddress::unix(&path);
        let client = std::thread::spawn(move || Session::connect(address, options).unwrap());
        let (mut stream, _) = listener.accept().unwrap();
        use std::io::{Read, Write};
        stream.write_all(b"CLACKS x\r\n").unwrap();
        let mut hello = [0; 1000];
        let _ = stream.read(&mut hello).unwrap();
        let mut bus = client.join().unwrap();
        stream.set_nonblocking(true).unwrap();
        let mut read = || {
            let mut bytes = vec![0; 1 << 20];
            match stream.read(&mut bytes) {
                Ok(n) => n,
                Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => 0,
                Err(e) => panic!("{e}"),
            }
        };
        for _ in 0..300 {
            bus.set("name", "v").unwrap();
        }
        assert_eq!((read(), bus.waiting()), (0, 300 * 12));
        bus.push().unwrap();
        assert_eq!((read(), bus.waiting()), (300 * 12, 0));
        // by themselves, when enough are together
        for _ in 0..400 {
            bus.set("name", "v").unwrap();
        }
        let left = bus.waiting();
        assert!(left < 4000 && read() == 400 * 12 - left);
        // with a call that waits
        assert_eq!(bus.receive(Some(Duration::ZERO)).unwrap(), Some(info("x")));
        assert_eq!(bus.receive(Some(Duration::ZERO)).unwrap(), None);
        assert_eq!((read(), bus.waiting()), (left, 0));
        // and at the end
        bus.notify("x").unwrap();
        assert_eq!(read(), 0);
        drop(bus);
        assert_eq!(read(), "NOTIFY x\r\nQUIT\r\n".len());
        drop(stream);
        None::<Session>
    };
    assert!(bus.take().is_none());
}

#[test]
fn a_value_that_is_the_last_one_sent_is_sent_no_more() {
    let server = Script::new(&[
        "hello
        C: SET a=1
        C: SET b=1
        C: SET a=2
        C: SET a=2
        C: SETANDSTORE a=3
        C: SETANDSTORE a=3
        C: SET a=2
        C: STORE a=2
        C: FLUSH <1>
        S: FLUSHED <1>
        C: FLUSH <2>
        S: FLUSHED <2>
        S: QUIT
        S: (closed)",
        "hello
        C: SET a=2",
    ]);
    let mut bus = server.connect_with(Options { caching: true, ..options() });
    assert!(bus.set("a", "1").unwrap() && bus.set("b", "1").unwrap() && !bus.set("a", "1").unwrap());
    assert!(bus.set("a", "2").unwrap() && !bus.set("a", "2").unwrap());
    bus.set_anyway("a", "2").unwrap();
    bus.set_and_store("a", "3").unwrap();
    bus.set_and_store("a", "3").unwrap();
    assert!(!bus.set("a", "3").unwrap() && bus.set("a", "2").unwrap());
    bus.store("a", "2").unwrap();
    assert!(!bus.set("a", "2").unwrap() && !bus.set("b", "1").unwrap());
    bus.flush().unwrap();
    // Who listens may have missed it: a new connection begins anew.
    while !matches!(next(&mut bus), Event::Reconnected) {}
    assert!(bus.set("a", "2").unwrap());
    drop(bus);
    server.done();
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

#[test]
fn others_cannot_make_a_client_believe_that_the_server_speaks() {
    let server = Script::new(&["hello
        S: OVERHEAD GF you are dead
        S: OVERHEAD GE permission_denied
        S: OVERHEAD GN Terry Pratchett
        S: OVERHEAD GM hello  all
        S: OVERHEAD X
        S: OVERHEAD L 1
        S: PING
        S: KEYSYNC 1 1 U a=b
        S: SET x
        S: SET =x
        S: set x=1
        S: (raw) \\x00\\xff\\xfe\\r\\n
        S: NOTIFY last"]);
    let mut bus = server.connect();
    assert_eq!(next(&mut bus), info("PageCamel 36"));
    assert_eq!([next(&mut bus), next(&mut bus)], [Event::Note(b"hello  all".into()), notify("last")]);
    drop(bus);
    server.done();
}

#[test]
fn octets_go_through_as_they_are() {
    let server = Script::new(&["hello\nS: (raw) SET n\\xe9\\x00=\\xff=\\x80 \\t\\r\\n\nS: SET =a=b"]);
    let mut bus = server.connect();
    assert_eq!(next(&mut bus), info("PageCamel 36"));
    assert_eq!(next(&mut bus), Event::Set { name: b"n\xe9\0".into(), value: b"\xff=\x80 \\t".into() });
    assert_eq!(next(&mut bus), set("=a", "b"));
    drop(bus);
    server.done();
}

#[test]
fn the_cache_front_end_writes_what_no_line_can_hold() {
    let server = Script::new(&["hello
        C: STORE a___b___c=PAGECAMELCLACKSB64:bGluZTEKbGluZTI=
        C: RETRIEVE a___b___c
        C: FLUSH <1>
        S: RETRIEVED a___b___c=PAGECAMELCLACKSB64:bGluZTEKbGluZTI=
        S: FLUSHED <1>
        C: RETRIEVE y
        C: FLUSH <2>
        S: RETRIEVED y=PAGECAMELCLACKSYAMLB64: LS0tCmE6IDEK
        S: FLUSHED <2>
        C: INCREMENT n___=2
        C: REMOVE ___
        C: SET s___=PAGECAMELCLACKSB64:DQ==
        C: NOTIFY s___"]);
    let mut bus = server.connect();
    let mut cache = bus.cache();
    cache.set("a b=c", "line1\nline2").unwrap();
    assert_eq!(cache.get("a b=c").unwrap(), Some(Value::Plain(b"line1\nline2".to_vec())));
    assert_eq!(cache.get("y").unwrap(), Some(Value::Yaml(b"---\na: 1\n".to_vec())));
    cache.increment("n ", 2).unwrap();
    cache.delete("=").unwrap();
    cache.signal("s ", "\r").unwrap();
    cache.notify("s=").unwrap();
    drop(bus);
    server.done();
}

#[test]
fn over_plain_tcp() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address: ClacksAddress = format!("clacks://{}", listener.local_addr().unwrap()).parse().unwrap();
    let server = std::thread::spawn(move || {
        let script = "hello\nC: FLUSH <1>\nS: FLUSHED <1>\nC: QUIT\nC: (ended)";
        play(listener.accept().unwrap().0, script, usize::MAX);
    });
    let bus = Session::connect(address, options()).unwrap();
    bus.close().unwrap();
    server.join().unwrap();
}

#[test]
fn the_password_is_not_shown() {
    let server = Script::new(&["hello"]);
    let bus = server.connect();
    let shown = format!("{bus:?} {:?}", options());
    assert!(!shown.contains("unsafe") && !shown.contains("dW5z") && !shown.contains("117, 110, 115"), "{shown}");
    drop(bus);
    server.done();
}
