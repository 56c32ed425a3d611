//! The client of Communicator daemons against a daemon that is only a script: lines byte for byte
//! as in `wire/communicator.md`, in pieces, broken off, and things that no good daemon does.

#[path = "support/communicator_script.rs"]
#[allow(dead_code, unreachable_pub, missing_docs)]
mod script;

use std::io::Write;
use std::net::{TcpListener, UdpSocket};
use std::os::unix::net::UnixListener;
use std::time::Duration;

use chappe_linux::communicator::{
    Answers, Datagrams, Error, Event, Message, Needs, Options, Pauses, Session, Signals, Uri, Why,
};
use script::{STANDARD, Script, options, play};

const SOON: Option<Duration> = Some(Duration::from_secs(5));

fn m(text: &str) -> Message {
    text.parse().unwrap()
}

fn message(text: &str) -> Event {
    Event::Message(m(text))
}

fn ready() -> Event {
    Event::Ready { server: "hostA".into(), my_address: Some("10.0.0.1:4042".parse().unwrap()) }
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
    let server = Script::new(&[&format!("C: REGISTER service=tester;version=1\n{script}")]);
    let limits = Options { connecting: Duration::from_millis(400), ..options() };
    let error = Session::connect(server.uri(), limits).expect_err("no session");
    server.done();
    error
}

#[test]
fn registered_first_and_announced_when_asked() {
    for step in [1, 7, usize::MAX] {
        let server = Script::in_pieces(
            &["C: REGISTER password=\"p;w\";service=tester;version=1
               S: <hostA:communicatord HELP
               S: <hostA:communicatord READY my_address=10.0.0.1:4042
               S: <hostA:foo tester/REFRESH cache=ttl=30
               C: <:tester hostA:communicatord/COMMANDS list=ALIVE,CACHE_CLEAR,DISCONNECTING,HELP,INVALID,LEAK,LOG_ROTATE,QUITTING,READY,REFRESH,RESTART,SERVICE_UNAVAILABLE,STOP,UNKNOWN
               C: <:tester bar/REFRESH depth=2;transmission_report=failure
               C: <:tester communicatord/ALIVE serial=flush_1
               S: <hostA:communicatord TRANSMISSION_REPORT command=REFRESH;status=cached
               S: <hostA:communicatord hostA:tester/ABSOLUTELY reply_timestamp=1.5;serial=flush_1
               C: <:tester hostA:foo/DONE n=1
               C: <:tester communicatord/ALIVE serial=flush_2
               S: <hostA:communicatord hostA:tester/ABSOLUTELY reply_timestamp=1.5;serial=flush_2
               C: UNREGISTER service=tester
               S: (closed)"],
            step,
        );
        let options = Options {
            password: b"p;w".into(),
            commands: vec!["REFRESH".into(), "CACHE_CLEAR".into(), "HELP".into()],
            ..options()
        };
        let mut bus = server.connect_with(options);
        assert_eq!((bus.name(), bus.server(), bus.is_ready()), ("tester", "hostA", true));
        assert_eq!(next(&mut bus), ready());
        let refresh = next(&mut bus);
        assert_eq!(refresh, message("<hostA:foo tester/REFRESH cache=ttl=30"));
        bus.send(&Message::new("REFRESH").to("bar").with("depth", "2").report_failure()).unwrap();
        bus.flush().unwrap();
        let report = message("<hostA:communicatord TRANSMISSION_REPORT command=REFRESH;status=cached");
        assert_eq!(waiting(&mut bus), [report]);
        let Event::Message(refresh) = refresh else { panic!() };
        bus.answer(&refresh, Message::new("DONE").with("n", "1")).unwrap();
        bus.close().unwrap();
        server.done();
    }
}

#[test]
fn answers_of_its_own() {
    let server = Script::new(&[
        "register
         # what the 2023 revision says has no source
         S: HELP
         C: <:tester .:communicatord/COMMANDS list=ALIVE,DISCONNECTING,HELP,INVALID,LEAK,LOG_ROTATE,QUITTING,READY,RESTART,SERVICE_UNAVAILABLE,STOP,UNKNOWN
         S: <hostA:foo tester/FROB
         C: <:tester hostA:foo/UNKNOWN command=FROB
         S: <hostA:foo tester/stop
         C: <:tester hostA:foo/UNKNOWN command=stop
         # nobody answers these
         S: <hostA:foo tester/UNKNOWN command=FROB
         S: <hostA:foo tester/INVALID command=FROB;message=\"a;b\"
         S: <hostA:foo tester/REPLY reply_to=7
         S: <hostA:communicatord SERVICE_UNAVAILABLE destination_service=x;unsent_command=Y
         # no names to answer to
         S: <a:b:c tester/FROB
         # no messages
         S: (raw)  \\r\\n
         S: CMD a
         S: <hostA:foo tester/LOG_ROTATE
         S: <hostA:foo tester/HELP
         C: <:tester hostA:foo/COMMANDS list=ALIVE,DISCONNECTING,HELP,INVALID,LEAK,LOG_ROTATE,QUITTING,READY,RESTART,SERVICE_UNAVAILABLE,STOP,UNKNOWN",
    ]);
    let mut bus = server.connect();
    assert_eq!(next(&mut bus), ready());
    for want in [
        "<hostA:foo tester/UNKNOWN command=FROB",
        "<hostA:foo tester/INVALID command=FROB;message=\"a;b\"",
        "<hostA:foo tester/REPLY reply_to=7",
        "<hostA:communicatord SERVICE_UNAVAILABLE destination_service=x;unsent_command=Y",
        "<hostA:foo tester/LOG_ROTATE",
    ] {
        assert_eq!(next(&mut bus), message(want));
    }
    assert_eq!(bus.receive(Some(Duration::from_millis(100))).unwrap(), None);
    assert_eq!(bus.missed().odd, 3);
    drop(bus);
    server.done();
}

#[test]
fn alive_is_answered_with_what_it_said() {
    let dir = tempfile::tempdir().unwrap();
    let listener = UnixListener::bind(dir.path().join("s")).unwrap();
    let uri = Uri::unix(listener.local_addr().unwrap().as_pathname().unwrap());
    let peer = std::thread::spawn(move || {
        use std::io::{BufRead, BufReader};
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(b"<hostA:communicatord READY\n<h:x tester/ALIVE serial=a b;timestamp=1.5;other=1\n").unwrap();
        stream.write_all(b"<h:x tester/ALIVE serial=\n").unwrap();
        BufReader::new(stream).lines().take(3).map(Result::unwrap).collect::<Vec<_>>()
    });
    let mut bus = Session::connect(uri, options()).unwrap();
    assert_eq!(bus.receive(SOON).unwrap(), Some(Event::Ready { server: "hostA".into(), my_address: None }));
    while !peer.is_finished() {
        let _ = bus.receive(Some(Duration::from_millis(10)));
    }
    let lines = peer.join().unwrap();
    let answers: Vec<Message> = lines[1..].iter().map(|line| m(line)).collect();
    assert_eq!(
        (answers[0].text("serial").unwrap(), answers[0].text("timestamp").unwrap()),
        ("a b".into(), "1.5".into())
    );
    assert_eq!((&*answers[0].service, &*answers[0].command, answers[0].params.len()), ("x", "ABSOLUTELY", 3));
    assert_eq!(answers[0].text("reply_timestamp").unwrap().split_once('.').unwrap().1.len(), 9);
    assert_eq!(answers[1].params.keys().collect::<Vec<_>>(), ["reply_timestamp"]);
}

#[test]
fn what_the_daemon_does_not_take() {
    let error = refusal("S: <hostA:communicatord INVALID command=REGISTER;message=this name is taken\nS: (closed)");
    assert!(matches!(&error, Error::Refused { text, .. } if text == "this name is taken"), "{error}");
    let error = refusal("S: INVALID command=REGISTER;message=\\x1b[31m");
    assert!(!error.to_string().contains('\u{1b}'), "{error:?}");
    let error = refusal("S: UNKNOWN command=REGISTER");
    assert!(matches!(&error, Error::NotCommunicator { why, .. } if why.contains("REGISTER")), "{error}");
    let error = refusal("S: (closed)");
    assert!(matches!(&error, Error::NotCommunicator { why, .. } if why.contains("closed the connection")), "{error}");
    // a genuine daemon that does not take it says nothing
    let error = refusal(
        "S: <hostA:communicatord HELP\nC: <:tester hostA:communicatord/COMMANDS list=ALIVE,DISCONNECTING,HELP,INVALID,LEAK,LOG_ROTATE,QUITTING,READY,RESTART,SERVICE_UNAVAILABLE,STOP,UNKNOWN",
    );
    assert!(error.to_string().contains("READY"), "{error}");
    let error = refusal("S: HTTP/1.1 400 Bad Request\nS: (closed)");
    assert!(matches!(error, Error::NotCommunicator { .. }), "{error}");
}

#[test]
fn names_and_addresses_are_looked_at_first() {
    let uri = || "cd:///nowhere/sock".parse::<Uri>().unwrap();
    for name in ["a-b", "communicatord", "1a", "a b", "é"] {
        let error = Session::connect(uri(), Options { name: name.into(), ..options() }).unwrap_err();
        assert!(matches!(error, Error::Name { .. }), "{name}: {error}");
    }
    let bad = Options { commands: vec!["stop".into()], ..options() };
    assert!(matches!(Session::connect(uri(), bad), Err(Error::NotSent(_))));
    assert!(matches!(Session::connect(uri(), options()), Err(Error::Connect { .. })));
    let error = Session::connect("cdu://127.0.0.1".parse().unwrap(), options()).unwrap_err();
    assert!(matches!(error, Error::Carrier { .. }));
    let error = Session::connect("cd://8.8.8.8:1".parse().unwrap(), options()).unwrap_err().to_string();
    assert!(error.contains("cds://"), "{error}");
}

#[test]
fn who_stands_in_the_address_registers() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap();
    let peer = std::thread::spawn(move || {
        let script = "C: REGISTER password=s:cret;service=tester;version=1\nS: READY";
        play(listener.accept().unwrap().0, script, usize::MAX);
    });
    let uri = format!("cd://tester:s%3acret@{at}").parse().unwrap();
    let bus = Session::connect(uri, Options { name: String::new(), ..options() }).unwrap();
    assert_eq!(bus.server(), "");
    drop(bus);
    peer.join().unwrap();
}

#[test]
fn what_waited_leaves_behind_the_registration() {
    let first = "register
        C: <:tester a/ONE
        S: (closed)";
    let second = "# it is registered before anything else leaves
        C: REGISTER service=tester;version=1
        C: (quiet)
        S: <hostA:communicatord HELP
        S: <hostA:communicatord READY my_address=10.0.0.1:4042
        C: <:tester hostA:communicatord/COMMANDS list=ALIVE,DISCONNECTING,HELP,INVALID,LEAK,LOG_ROTATE,NEW_ONE,QUITTING,READY,RESTART,SERVICE_UNAVAILABLE,STOP,UNKNOWN
        C: <:tester a/TWO
        C: <:tester a/THREE";
    let server = Script::new(&[first, second]);
    let mut bus = server.connect();
    assert_eq!(next(&mut bus), ready());
    bus.send(&m("a/ONE")).unwrap();
    let Event::Disconnected { why: Why::Lost(_), .. } = next(&mut bus) else { panic!() };
    bus.send(&m("a/TWO")).unwrap();
    bus.announce(&["NEW_ONE"]).unwrap();
    bus.send(&m("a/THREE")).unwrap();
    assert!(bus.waiting() > 0 && !bus.is_ready());
    assert_eq!(next(&mut bus), ready());
    bus.push().unwrap();
    drop(bus);
    server.done();
}

#[test]
fn it_begins_without_a_daemon_and_says_what_waits_when_there_is_one() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sock");
    let uri = Uri::unix(&path);
    let mut bus = Session::begin(uri, Options { outbox: 40, ..options() }).unwrap();
    bus.send(&m("a/ONE")).unwrap();
    bus.send(&m("a/TWO x=0123456789")).unwrap();
    assert!(matches!(bus.send(&m("a/THREE")), Err(Error::Full(_))));
    let Event::Unreachable { .. } = next(&mut bus) else { panic!() };
    let listener = UnixListener::bind(&path).unwrap();
    let peer = std::thread::spawn(move || {
        let script = "register
            C: <:tester a/ONE
            C: <:tester a/TWO x=0123456789";
        play(listener.accept().unwrap().0, script, usize::MAX);
    });
    while next(&mut bus) != ready() {}
    bus.push().unwrap();
    drop(bus);
    peer.join().unwrap();
}

#[test]
fn a_delay_comes_before_the_first_attempt() {
    let server = Script::new(&["register"]);
    let pauses: Pauses = "-.3,.01".parse().unwrap();
    let begun = std::time::Instant::now();
    let bus = server.connect_with(Options { pauses, ..options() });
    assert!(begun.elapsed() >= Duration::from_millis(300));
    drop(bus);
    server.done();
}

#[test]
fn a_refusal_on_a_later_connection_is_told_and_tried_again() {
    let server = Script::new(&[
        "register
         S: (closed)",
        "C: REGISTER service=tester;version=1
         S: INVALID command=REGISTER;message=taken
         S: (closed)",
        "register",
    ]);
    let mut bus = server.connect();
    assert_eq!(next(&mut bus), ready());
    let Event::Disconnected { .. } = next(&mut bus) else { panic!() };
    let Event::Unreachable { problem, .. } = next(&mut bus) else { panic!() };
    assert!(problem.contains("taken"), "{problem}");
    assert_eq!(next(&mut bus), ready());
    drop(bus);
    server.done();
}

#[test]
fn stop_unregisters_and_ends() {
    let server = Script::new(&["register
         S: <hostA:foo tester/STOP
         C: UNREGISTER service=tester
         S: (closed)"]);
    let mut bus = server.connect();
    assert_eq!((next(&mut bus), next(&mut bus)), (ready(), Event::Stop));
    assert!(matches!(bus.receive(SOON), Err(Error::Over(Why::Stopped))));
    assert!(matches!(bus.send(&m("a/B")), Err(Error::Over(Why::Stopped))));
    server.done();
}

#[test]
fn quitting_ends_or_does_not() {
    let script = "register
        S: <hostA:foo tester/RESTART reason=upgrade
        S: <hostA:communicatord QUITTING
        C: (ended)";
    let server = Script::new(&[script]);
    let mut bus = server.connect();
    assert_eq!(next(&mut bus), ready());
    assert_eq!(next(&mut bus), message("<hostA:foo tester/RESTART reason=upgrade"));
    assert_eq!(next(&mut bus), Event::Quitting);
    assert!(matches!(bus.receive(SOON), Err(Error::Over(Why::Quitting))));
    server.done();
    for (end, why) in [("QUITTING", Why::Quitting), ("DISCONNECTING", Why::Disconnecting)] {
        let server = Script::new(&[&format!("register\nS: {end}\nC: (ended)"), "register"]);
        let mut bus = server.connect_with(Options { outlive: true, ..options() });
        assert_eq!(next(&mut bus), ready());
        let Event::Disconnected { why: said, .. } = next(&mut bus) else { panic!() };
        assert_eq!((said, next(&mut bus)), (why, ready()));
        drop(bus);
        server.done();
    }
}

const ASKED: &str = "register
    C: <:tester hostA:communicatord/COMMANDS list=ALIVE,CLOCK_STABLE,CLOCK_UNSTABLE,DISCONNECTING,HELP,INVALID,LEAK,LOG_ROTATE,QUITTING,READY,RESTART,SERVICE_UNAVAILABLE,STOP,UNKNOWN
    C: <:tester hostA:communicatord/COMMANDS list=ALIVE,CLOCK_STABLE,CLOCK_UNSTABLE,CLUSTER_COMPLETE,CLUSTER_DOWN,CLUSTER_INCOMPLETE,CLUSTER_UP,DISCONNECTING,HELP,INVALID,LEAK,LOG_ROTATE,QUITTING,READY,RESTART,SERVICE_UNAVAILABLE,STOP,UNKNOWN
    C: <:tester communicatord/CLOCK_STATUS
    C: <:tester communicatord/CLUSTER_STATUS\n";

#[test]
fn initialised_when_clock_and_cluster_are_there() {
    let server = Script::new(&[&format!(
        "{ASKED}
         S: <hostA:communicatord CLOCK_UNSTABLE cache=no;clock_error=checking
         S: <hostA:communicatord ./CLUSTER_DOWN neighbors_count=3
         S: <hostA:foo tester/LOG_ROTATE
         S: <hostA:communicatord ./CLUSTER_UP neighbors_count=3
         S: <hostA:communicatord ./CLUSTER_INCOMPLETE neighbors_count=3
         S: <hostA:communicatord CLOCK_STABLE cache=no;clock_resolution=verified
         C: <:tester a/READY_NOW
         S: <hostA:communicatord ./CLUSTER_DOWN neighbors_count=4"
    )]);
    let mut bus = server.connect();
    bus.initialise(Needs::default(), Duration::from_secs(5)).unwrap();
    let known = bus.conditions().clone();
    assert_eq!((known.clock, known.up, known.complete), (Some((true, "verified".into())), Some(true), Some(false)));
    assert_eq!(bus.conditions().quorum(), Some(2));
    // what came meanwhile is there, and later news are events
    assert_eq!((next(&mut bus), next(&mut bus)), (ready(), message("<hostA:foo tester/LOG_ROTATE")));
    bus.send(&m("a/READY_NOW")).unwrap();
    assert_eq!(next(&mut bus), message("<hostA:communicatord ./CLUSTER_DOWN neighbors_count=4"));
    assert_eq!((bus.conditions().up, bus.conditions().quorum()), (Some(false), Some(3)));
    drop(bus);
    server.done();
}

#[test]
fn what_is_missing_is_named() {
    let server = Script::new(&[&format!("{ASKED}S: CLOCK_UNSTABLE cache=no;clock_error=invalid")]);
    let mut bus = server.connect();
    let error = bus.initialise(Needs::default(), Duration::from_millis(300)).unwrap_err().to_string();
    assert!(error.contains("CLOCK_STABLE (the clock is \"invalid\")"), "{error}");
    assert!(error.contains("CLUSTER_UP (no answer to CLUSTER_STATUS)"), "{error}");
    drop(bus);
    server.done();
    let mut bus = Session::begin("cd:///nowhere/sock".parse().unwrap(), options()).unwrap();
    let error = bus.initialise(Needs::default(), Duration::from_millis(100)).unwrap_err().to_string();
    assert!(error.contains("READY (cannot connect: No such file"), "{error}");
}

#[test]
fn nobody_is_registered_who_only_sends() {
    let server = Script::new(&["C: <host:chappe ./LOG_ROTATE
         C: ALIVE serial=flush_1
         S: UNKNOWN command=ALIVE
         S: HELP
         S: STOP
         C: TOP
         C: UNKNOWN command=HELP
         C: (ended)"]);
    let mut bus = server.connect_with(Options { name: String::new(), answers: Answers::Nothing, ..options() });
    assert_eq!(next(&mut bus), Event::Connected);
    bus.send(&m("<host:chappe ./LOG_ROTATE")).unwrap();
    bus.flush().unwrap();
    assert_eq!((next(&mut bus), next(&mut bus)), (message("HELP"), message("STOP")));
    bus.send(&m("TOP")).unwrap();
    bus.unknown(&m("HELP")).unwrap();
    bus.unknown(&m("UNKNOWN command=X")).unwrap();
    bus.push().unwrap();
    drop(bus);
    server.done();
}

#[test]
fn what_has_no_room_waits_in_the_socket_and_too_long_lines_end() {
    let many = "S: <h:x tester/LOG_ROTATE n=1\n".repeat(50);
    let server = Script::new(&[&format!("register\n{many}C: UNREGISTER service=tester")]);
    let mut bus = server.connect_with(Options { queue: 3, max_line: 300, ..options() });
    let mut came = 0;
    while came < 50 {
        came += usize::from(matches!(next(&mut bus), Event::Message(_)));
    }
    assert_eq!(bus.missed().events, 0);
    drop(bus);
    server.done();
    let long = format!("register\nS: LOG_ROTATE a={}\nC: (ended)", "x".repeat(300));
    let server = Script::new(&[&long, "register"]);
    let mut bus = server.connect_with(Options { max_line: 300, ..options() });
    assert_eq!(next(&mut bus), ready());
    let Event::Disconnected { why, .. } = next(&mut bus) else { panic!() };
    assert!(why.to_string().contains("longer than 300"), "{why}");
    assert!(matches!(bus.send(&Message::new("A").to("b").with("a", "x".repeat(300))), Err(Error::NotSent(_))));
    assert_eq!(next(&mut bus), ready());
    drop(bus);
    server.done();
}

#[test]
fn a_connection_that_ends_right_behind_ready_was_one() {
    let all = r"S: (raw) <hostA:communicatord READY my_address=10.0.0.1:4042\nA".to_owned();
    let script = format!("C: REGISTER service=tester;version=1\n{all}{}\nC: (ended)", "x".repeat(300));
    let server = Script::new(&[&script, "register"]);
    let mut bus = server.connect_with(Options { max_line: 300, ..options() });
    assert_eq!(next(&mut bus), ready());
    let Event::Disconnected { why, .. } = next(&mut bus) else { panic!() };
    assert!(why.to_string().contains("longer than 300"), "{why}");
    assert_eq!(next(&mut bus), ready());
    drop(bus);
    server.done();
}

#[test]
fn a_silent_daemon_is_asked_and_left() {
    let server = Script::new(&[
        "register
         C: <:tester communicatord/ALIVE serial=flush_1
         S: <hostA:communicatord hostA:tester/ABSOLUTELY serial=flush_1;reply_timestamp=1
         C: <:tester communicatord/ALIVE serial=flush_2
         C: (ended)",
        "register",
    ]);
    let mut bus = server.connect_with(Options { silence: Some(Duration::from_millis(200)), ..options() });
    assert_eq!(next(&mut bus), ready());
    let Event::Disconnected { why, .. } = next(&mut bus) else { panic!() };
    assert!(why.to_string().contains("nothing for 200ms"), "{why}");
    assert_eq!(next(&mut bus), ready());
    drop(bus);
    server.done();
}

#[test]
fn datagrams_are_heard_beside_the_connection() {
    let server = Script::new(&["register
         C: UNREGISTER service=tester
         S: (closed)"]);
    let mut bus = server.connect();
    let signals = Signals::bind("127.0.0.1:0", "s3").unwrap();
    let at = signals.local_addr().unwrap();
    bus.hear(signals).unwrap();
    assert_eq!(next(&mut bus), ready());
    UdpSocket::bind("127.0.0.1:0").unwrap().send_to(b"STOP", at).unwrap();
    let sender = Datagrams::open(format!("cdu://{at}").parse().unwrap(), "s3").unwrap();
    sender.send(&m("LOG_ROTATE")).unwrap();
    let Event::Signal { message, .. } = next(&mut bus) else { panic!() };
    assert_eq!((message, bus.missed().secret), (m("LOG_ROTATE"), 1));
    sender.send(&m("STOP")).unwrap();
    assert_eq!(next(&mut bus), Event::Stop);
    assert!(matches!(bus.receive(SOON), Err(Error::Over(Why::Stopped))));
    server.done();
}

#[test]
fn somebody_else_ends_the_waiting() {
    let server = Script::new(&["register"]);
    let mut bus = server.connect();
    assert_eq!(next(&mut bus), ready());
    let waker = bus.waker();
    std::thread::spawn(move || waker.wake().unwrap());
    assert_eq!(bus.receive(None).unwrap(), None);
    drop(bus);
    server.done();
    assert!(STANDARD.contains("STOP"));
}
