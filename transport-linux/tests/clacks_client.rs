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
use script::{SOON, Script, info, next, notify, options, play, set, waiting};

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
