//! The client library where the command line does not need it: what ends, what is taken back, TLS over a
//! Unix socket, and what each of its errors says.

mod support;

use std::io;
use std::time::Duration;

use chappe_linux::client::{
    AnswerToSend, Code, Connection, Error, Event, Files, Letter, Monitor, Options, Outcome, SendError, Trust, What, Why,
};
use chappe_linux::{clacks, communicator, msgq};
use support::tls::Authority;
use support::{Daemon, PATIENCE};

fn connect(address: &str, options: Options) -> Connection {
    Connection::connect(address.parse().unwrap(), Options { timeout: PATIENCE, ..options }).unwrap()
}

fn next(connection: &mut Connection) -> Event {
    connection.next_event(Some(PATIENCE)).unwrap().expect("an event")
}

#[test]
fn a_unix_socket_may_speak_tls() {
    let authority = Authority::new();
    let config = format!("[[listeners]]\naddress = \"unix://FOLDER/x.sock\"\n{}\n", authority.server().toml(""));
    let daemon = Daemon::start(&config);
    let address = format!("tls://{}", daemon.address("tls"));
    let trust = Trust::read(&Files { ca: Some(authority.file()), ..Files::default() }).unwrap();
    let mut a = connect(&address, Options { trust: trust.clone(), ..Options::default() });
    let mut b = connect(&address, Options { trust, ..Options::default() });
    assert_eq!(a.address().to_string(), address);
    a.join("news").unwrap();
    let body = vec![7; 60_000];
    for _ in 0..20 {
        b.send(&Letter { name: "news", body: &body, ..Letter::default() }).unwrap();
    }
    b.flush().unwrap();
    for _ in 0..20 {
        let Event::Message(m) = next(&mut a) else { panic!("a message") };
        assert!(m.body == body);
    }
    b.close().unwrap();
    // whoever it does not believe is told so, and nothing of the user
    let stranger = Authority::new();
    let trust = Trust::read(&Files { ca: Some(stranger.file()), ..Files::default() }).unwrap();
    let refused = Connection::connect(address.parse().unwrap(), Options { trust, ..Options::default() });
    let Err(Error::Connect { problem: Some(problem), .. }) = refused else { panic!("not believed") };
    assert!(problem.to_string().contains("certificate"), "{problem}");
}

#[test]
fn what_was_begun_can_be_taken_back() {
    let daemon = Daemon::start(
        "[[listeners]]\naddress = \"tcp://127.0.0.1:0\"\nanonymous = [\"read\", \"write\", \"manage\"]\n",
    );
    let address = format!("tcp://{}", daemon.address("tcp"));
    let (mut a, mut b) = (connect(&address, Options::default()), connect(&address, Options::default()));
    a.join("news").unwrap();
    a.leave("news", "").unwrap();
    assert_eq!(
        b.send_and_learn(&Letter { name: "news", ..Letter::default() }).unwrap_err().code(),
        Some(Code::NoRecipient)
    );
    a.monitor(&Monitor { name: "shown", ..Monitor::default() }).unwrap();
    a.stop_monitoring().unwrap();
    a.join("shown").unwrap();
    b.send(&Letter { name: "shown", body: b"1", ..Letter::default() }).unwrap();
    // it is only heard, and not shown as well
    let Event::Message(m) = next(&mut a) else { panic!("a message") };
    assert_eq!((m.body.as_slice(), m.ask_id), (&b"1"[..], 0));
    a.answer(&m, &AnswerToSend { body: b"to nothing", ..AnswerToSend::default() }).unwrap();
    assert!(a.list(What::Stations, "").unwrap().len() >= 2, "what goes to nobody costs nothing");
    assert_eq!(b.add("count", 5).unwrap().value, b"5");
    assert_eq!(b.add("count", -7).unwrap().value, b"-2");
    assert!(b.remove("count").unwrap() && !b.remove("count").unwrap());
    b.set("count", b"\xff").unwrap();
    assert_eq!(b.add("count", 1).unwrap_err().code(), Some(Code::NotANumber));
    assert_eq!(b.remove("a\nb").unwrap_err().code(), None, "not sent");
    b.declare("box").unwrap();
    b.forget("box").unwrap();
    assert_eq!(b.forget("box").unwrap_err().code(), Some(Code::NotFound));
}

#[test]
fn values_on_a_disk_are_listed_as_those_in_memory_are() {
    for config in ["", "[limits]\npage = 2\n[store]\npath = \"FOLDER/values.redb\"\n"] {
        let daemon = Daemon::start(config);
        let mut c = connect(&format!("tcp://{}", daemon.address("tcp")), Options::default());
        for name in ["a::1", "b", "a::2", "a::3"] {
            c.set(name, name.as_bytes()).unwrap();
        }
        c.remove("a::2").unwrap();
        let list = |c: &mut Connection, name| {
            let mut rows: Vec<_> = c.list(What::Values, name).unwrap().into_iter().map(|i| (i.name, i.value)).collect();
            rows.sort();
            rows
        };
        let row = |name: &str| (name.to_owned(), name.as_bytes().to_vec());
        assert_eq!(list(&mut c, "a::"), [row("a::1"), row("a::3")], "{config}");
        assert_eq!(list(&mut c, "").len(), 3, "{config}");
    }
}

#[test]
fn an_answer_that_does_not_come_is_one_of_two_errors() {
    let mut daemon = Daemon::start("");
    let address = format!("tcp://{}", daemon.address("tcp"));
    let short = Options { timeout: Duration::from_millis(300), ..Options::default() };
    let mut c = Connection::connect(address.parse().unwrap(), short).unwrap();
    daemon.signal("STOP");
    let error = c.set("n", b"1").unwrap_err();
    assert!(matches!(error, Error::TimedOut), "{error:?}");
    assert_eq!((error.code(), error.to_string().as_str()), (None, "no answer in time"));
    daemon.signal("CONT");
    let mut c = connect(&address, Options::default());
    let mut callee = connect(&address, Options::default());
    callee.join("s").unwrap();
    let asker = std::thread::spawn(move || c.call(&Letter { name: "s", ..Letter::default() }).unwrap_err());
    let Event::Message(_) = next(&mut callee) else { panic!("the question") };
    daemon.child.kill().unwrap();
    daemon.wait();
    let error = asker.join().unwrap();
    assert!(matches!(error, Error::Disconnected), "{error:?}");
    assert_eq!(error.to_string(), "the connection ended before the answer came");
}

fn refused() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionRefused, "the system says no")
}

/// Each says something of its own, on one line, and names what it comes from if that is an error.
fn all_speak(errors: &[&dyn std::error::Error], with_source: usize) {
    let texts: std::collections::BTreeSet<String> = errors.iter().map(ToString::to_string).collect();
    assert_eq!(texts.len(), errors.len(), "{texts:#?}");
    for text in &texts {
        assert!(text.len() > 5 && !text.contains(char::is_control), "{text:?}");
    }
    let sources: Vec<String> = errors.iter().filter_map(|e| e.source()).map(ToString::to_string).collect();
    assert_eq!(sources.len(), with_source, "{sources:?}");
}

#[test]
fn errors_of_the_native_library_say_what_and_where() {
    let address = || "tcp://127.0.0.1:1".parse().unwrap();
    let connect = |why, problem| Error::Connect { address: address(), why, problem };
    let outcome = |code| Outcome { code, text: "the node's words".into(), count: 0 };
    all_speak(
        &[
            &connect(Why::Unreachable, Some(refused())),
            &connect(Why::Unreachable, None),
            &connect(Why::Lost, None),
            &connect(Why::NoWelcome, None),
            &Error::Refused { address: address(), outcome: outcome(Code::BadCredentials) },
            &Error::Disconnected,
            &Error::TimedOut,
            &Error::Answered(outcome(Code::Unknown(99))),
            &Error::NotSent(SendError::TooBig),
            &Error::Poll(refused()),
        ],
        2,
    );
    assert!(Error::Answered(outcome(Code::Unknown(99))).to_string().contains("(99)"), "codes of later versions, too");
    assert!(connect(Why::Lost, None).to_string().contains("tcp://127.0.0.1:1"));
}

#[test]
fn errors_of_the_library_for_clacks_say_what_and_where() {
    use clacks::{Error, Told, Why};
    let address = || "clacks://127.0.0.1:1".parse().unwrap();
    let text = || "the server's words".to_owned();
    all_speak(
        &[
            &Error::Connect { address: address(), problem: refused() },
            &Error::NotClacks { address: address(), why: text() },
            &Error::Refused { address: address(), text: text() },
            &Error::TurnedAway { address: address(), text: text() },
            &Error::Denied,
            &Error::Unknown("FLY me".into()),
            &Error::Told(text()),
            &Error::TimedOut(Duration::from_secs(5)),
            &Error::Lost { why: Why::Quit, unsure: 0 },
            &Error::Lost { why: Why::Timeout, unsure: 3 },
            &Error::Full(4096),
            &Error::TooMany(100),
            &Error::TooMuch,
            &Error::Poll(refused()),
        ],
        2,
    );
    // what a server says is for people, and cannot do anything to their terminal
    assert!(!Error::Told("\u{1b}[2J".into()).to_string().contains('\u{1b}'));
    assert!(!Error::Unknown("\u{1b}[2J".into()).to_string().contains('\u{1b}'));
    assert_eq!(Told::Other("full".into()).to_string(), Error::Told("full".into()).to_string());
    assert_eq!(Told::Denied.to_string(), Error::Denied.to_string());
}

#[test]
fn errors_of_the_library_for_msgq_say_what_and_where() {
    use msgq::{CallError, Error};
    let path = || "/no/socket".into();
    let text = || "as it was".to_owned();
    all_speak(
        &[
            &Error::Connect { path: path(), problem: refused() },
            &Error::NoName { path: path(), why: text() },
            &Error::Closed { path: path(), why: text() },
            &Error::Over { why: text() },
            &Error::TimedOut(Duration::from_secs(5)),
            &Error::HeaderTooLong(70_000),
            &Error::BodyTooLong(5_000_000_000),
            &Error::NoReturn,
        ],
        1,
    );
    all_speak(
        &[
            &CallError::Missing,
            &CallError::Failed { code: -2, text: text() },
            &CallError::NoResult(b"\x1b[2J\xff".to_vec()),
            &CallError::TimedOut,
            &CallError::Left,
            &CallError::from(Error::NoReturn),
        ],
        1,
    );
}

#[test]
fn errors_of_the_library_for_the_communicator_say_what_and_where() {
    use communicator::{Error, Why};
    let uri = || "cd://127.0.0.1:1".parse().unwrap();
    let text = || "the daemon's words".to_owned();
    all_speak(
        &[
            &Error::Connect { uri: uri(), problem: refused() },
            &Error::NotCommunicator { uri: uri(), why: text() },
            &Error::Refused { uri: uri(), text: text() },
            &Error::Carrier { uri: uri(), hint: "take cd://" },
            &Error::Name { name: "a b".into(), why: "a blank" },
            &Error::TimedOut(Duration::from_secs(5)),
            &Error::Missing { after: Duration::from_secs(5), what: vec!["CLOCK_STABLE".into()] },
            &Error::Lost(Why::Quitting),
            &Error::Lost(Why::Disconnecting),
            &Error::Over(Why::Stopped),
            &Error::Full(4096),
            &Error::TooMany(100),
            &Error::Datagram(refused()),
            &Error::Poll(refused()),
        ],
        3,
    );
    let long = Error::Refused { uri: uri(), text: format!("\u{1b}{}", "x".repeat(10_000)) }.to_string();
    assert!(long.len() < 500 && !long.contains('\u{1b}'), "{long}");
}
