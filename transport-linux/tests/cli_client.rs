//! The client library against a node made of the codec alone, which does what no good node
//! does: it falls silent, breaks off inside a frame, refuses, floods.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::{Duration, Instant};

use chappe_core::dialect::messi::repr::{
    Answer, ClientToServer, Code, Letter as Sent, Outcome, ServerToClient, Value, Welcome,
};
use chappe_core::dialect::messi::wire::{HEADER, Writer, kind};
use chappe_linux::address::Address;
use chappe_linux::client::{Connection, Error, Event, Letter, Options, SendError, Why};

/// One connection, seen from the node.
struct Peer {
    stream: UnixStream,
    /// Octets written at once.
    step: usize,
}

impl Peer {
    /// The next frame; `None` at the end.
    fn frame(&mut self) -> Option<(u8, Vec<u8>)> {
        let mut head = [0; HEADER];
        self.stream.read_exact(&mut head).ok()?;
        let mut payload = vec![0; u32::from_be_bytes([0, head[1], head[2], head[3]]) as usize];
        self.stream.read_exact(&mut payload).ok()?;
        Some((head[0], payload))
    }

    fn write(&mut self, bytes: &[u8]) {
        for piece in bytes.chunks(self.step) {
            // the client may have left already
            let _ = self.stream.write_all(piece);
        }
    }

    fn say<'f>(&mut self, message: impl Into<ServerToClient<'f>>) {
        let frame = encode(message);
        self.write(&frame);
    }

    /// Answers until the end, with what the closure says.
    fn serve(&mut self, mut with: impl FnMut(&mut Peer, &ClientToServer<'_>)) {
        while let Some((kind, payload)) = self.frame() {
            if kind == kind::PING {
                self.write(&[kind::PONG, 0, 0, 0]);
                continue;
            }
            let message = ClientToServer::read(&payload).unwrap().0;
            if matches!(message, ClientToServer::Hello(_)) {
                self.welcome();
            }
            if matches!(message, ClientToServer::Goodbye(_)) {
                return;
            }
            with(self, &message);
        }
    }

    fn welcome(&mut self) {
        self.say(Welcome { seq: 1, station: 5, node: "fake", max_frame: 1000, silence_ms: 600, ..Default::default() });
    }
}

fn encode<'f>(message: impl Into<ServerToClient<'f>>) -> Vec<u8> {
    let message = message.into();
    let n = message.len();
    let mut out = vec![0; HEADER + n];
    out[..HEADER].copy_from_slice(&(n as u32 | u32::from(kind::SERVER_TO_CLIENT) << 24).to_be_bytes());
    message.write(&mut Writer::new(&mut out[HEADER..]));
    out
}

struct Node {
    address: Address,
    _dir: tempfile::TempDir,
    thread: Option<std::thread::JoinHandle<()>>,
}

/// A node that deals with so many connections, one after the other.
fn node(connections: usize, mut with: impl FnMut(usize, Peer) + Send + 'static) -> Node {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("n.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let thread = std::thread::spawn(move || {
        for i in 0..connections {
            let (stream, _) = listener.accept().unwrap();
            with(i, Peer { stream, step: usize::MAX });
        }
    });
    Node { address: Address::Unix(path), _dir: dir, thread: Some(thread) }
}

impl Node {
    fn join(mut self) {
        self.thread.take().unwrap().join().unwrap();
    }
}

fn options() -> Options {
    Options {
        timeout: Duration::from_millis(1500),
        backoff_min: Duration::from_millis(20),
        backoff_max: Duration::from_millis(80),
        ..Options::default()
    }
}

fn name(name: &str) -> Letter<'_> {
    Letter { name, ..Letter::default() }
}

/// What comes next, without waiting longer than a test may.
fn next(bus: &mut Connection) -> Event {
    bus.next_event(Some(Duration::from_secs(5))).unwrap().expect("nothing came")
}

#[test]
fn each_answer_of_many_is_waited_for() {
    let answer = |seq, station, code| Answer { seq, station, code, body: b"b", ..Default::default() };
    let node = node(1, move |_, mut peer| {
        peer.serve(|peer, message| {
            let ClientToServer::Send(l) = message else { return };
            assert!(l.ask && l.each && l.ttl_ms == if l.verb == "SHORT" { 10 } else { 1500 });
            let outcome = |code, count| Outcome { seq: l.seq, code, count, ..Default::default() };
            match l.name {
                // all in one write, with something else between
                "three" => {
                    let mut all = encode(outcome(Code::Ok, 3));
                    all.extend(encode(answer(l.seq, 7, Code::Ok)));
                    all.extend(encode(Sent { name: "other", verb: "SET", ..Default::default() }));
                    all.extend(encode(answer(l.seq, 9, Code::RecipientLeft)));
                    all.extend(encode(answer(l.seq + 1, 9, Code::Ok)));
                    all.extend(encode(answer(l.seq, 8, Code::Failed)));
                    peer.write(&all);
                }
                "nobody" => peer.say(outcome(Code::NoRecipient, 0)),
                "slow" => {
                    peer.say(outcome(Code::Ok, 2));
                    peer.say(answer(l.seq, 7, Code::Ok));
                }
                _ => {}
            }
        });
    });
    let mut bus = Connection::connect(node.address.clone(), options()).unwrap();
    for _ in 0..2 {
        let answers = bus.call_each(&name("three")).unwrap();
        let got: Vec<_> = answers.iter().map(|(station, a)| (*station, a.code)).collect();
        assert_eq!(got, [(7, Code::Ok), (9, Code::RecipientLeft), (8, Code::Failed)]);
        assert_eq!(answers[0].1.body, b"b");
        assert!(matches!(next(&mut bus), Event::Message(m) if m.name == "other"));
    }
    assert!(matches!(bus.call_each(&name("nobody")), Err(Error::Answered(o)) if o.code == Code::NoRecipient));
    let short = Letter { verb: "SHORT", ttl_ms: 10, ..name("slow") };
    assert!(matches!(bus.call_each(&short), Err(Error::TimedOut)), "one of two, and not even the node's word");
    let silent = Letter { verb: "SHORT", ttl_ms: 10, ..name("silent") };
    assert!(matches!(bus.call_each(&silent), Err(Error::TimedOut)));
    bus.close().unwrap();
    node.join();
}

#[test]
fn asking_many_ends_with_the_connection() {
    let node = node(1, |_, mut peer| {
        while let Some((kind, payload)) = peer.frame() {
            match ClientToServer::read(&payload) {
                Ok((ClientToServer::Hello(_), _)) => peer.welcome(),
                Ok((ClientToServer::Send(l), _)) if kind == kind::CLIENT_TO_SERVER => {
                    peer.say(Outcome { seq: l.seq, count: 2, ..Default::default() });
                    return peer.say(Answer { seq: l.seq, station: 7, ..Default::default() });
                }
                _ => {}
            }
        }
    });
    let mut bus = Connection::connect(node.address.clone(), options()).unwrap();
    let began = Instant::now();
    assert!(matches!(bus.call_each(&name("x")), Err(Error::Disconnected)));
    assert!(began.elapsed() < options().timeout);
    node.join();
}

#[test]
fn asks_and_is_answered_even_octet_by_octet() {
    let node = node(1, |_, mut peer| {
        peer.step = 1;
        peer.serve(|peer, message| {
            if let ClientToServer::Send(l) = message {
                peer.say(Sent { name: "other", verb: "SET", body: b"meanwhile", ..Default::default() });
                peer.say(Answer { seq: l.seq, body: l.name.as_bytes(), ..Default::default() });
            }
        });
    });
    let mut bus = Connection::connect(node.address.clone(), options()).unwrap();
    assert_eq!((bus.welcome().station, bus.welcome().node.as_str()), (5, "fake"));
    for q in ["a", "b", "c"] {
        assert_eq!(bus.call(&name(q)).unwrap().body, q.as_bytes());
    }
    // what came meanwhile is there, in order, and nothing else
    for _ in 0..3 {
        assert!(matches!(next(&mut bus), Event::Message(m) if m.body == b"meanwhile"));
    }
    assert_eq!(bus.next_event(Some(Duration::from_millis(20))).unwrap(), None);
    bus.close().unwrap();
    node.join();
}

#[test]
fn a_broken_connection_loses_the_call_once_and_comes_back() {
    // weak points 4, 20 and 25
    let node = node(2, |i, mut peer| {
        if i == 1 {
            let mut joins = 0;
            return peer.serve(|peer, message| match message {
                ClientToServer::Join(j) => {
                    joins += 1;
                    assert_eq!(j.name, "n");
                    peer.say(Outcome { seq: j.seq, ..Default::default() });
                }
                ClientToServer::Send(l) => {
                    assert_eq!(joins, 1, "joined again before anything else");
                    peer.say(Answer { seq: l.seq, ..Default::default() });
                }
                _ => {}
            });
        }
        while let Some((_, payload)) = peer.frame() {
            match ClientToServer::read(&payload).unwrap().0 {
                ClientToServer::Hello(_) => peer.welcome(),
                ClientToServer::Join(j) => peer.say(Outcome { seq: j.seq, ..Default::default() }),
                // breaks off inside a frame
                ClientToServer::Send(_) => return peer.write(&[2, 0, 1, 0, 0x1a, 3, 0]),
                _ => {}
            }
        }
    });
    let mut bus = Connection::connect(node.address.clone(), options()).unwrap();
    bus.join("n").unwrap();
    assert!(matches!(bus.call(&name("q")), Err(Error::Disconnected)));
    // the next one waits for the connection
    bus.call(&name("q")).unwrap();
    assert!(matches!(next(&mut bus), Event::Disconnected { why: Why::Lost, .. }));
    assert!(matches!(next(&mut bus), Event::Ready(_)));
    bus.close().unwrap();
    node.join();
}

#[test]
fn a_silent_node_is_noticed_and_left() {
    let node = node(2, |i, mut peer| {
        if i == 1 {
            return peer.serve(|_, _| {});
        }
        peer.frame();
        peer.welcome();
        // reads, and says nothing: pings too are left without pong
        while peer.frame().is_some() {}
    });
    let mut bus = Connection::connect(node.address.clone(), options()).unwrap();
    let began = Instant::now();
    assert!(matches!(next(&mut bus), Event::Disconnected { why: Why::Silent, .. }));
    assert!((500..2000).contains(&began.elapsed().as_millis()), "{:?}", began.elapsed());
    assert!(matches!(next(&mut bus), Event::Ready(_)));
    // and one that answers pings is kept
    assert_eq!(bus.next_event(Some(Duration::from_millis(1500))).unwrap(), None);
    bus.close().unwrap();
    node.join();
}

#[test]
fn a_program_that_was_busy_elsewhere_loses_no_letter() {
    let (tell, told) = std::sync::mpsc::channel();
    let node = node(2, move |i, mut peer| {
        if i == 0 {
            peer.frame();
            return peer.welcome(); // and closes
        }
        peer.serve(|_, message| {
            if let ClientToServer::Send(l) = message {
                tell.send(l.name.to_owned()).unwrap();
            }
        });
    });
    let mut bus = Connection::connect(node.address.clone(), options()).unwrap();
    std::thread::sleep(Duration::from_millis(200));
    bus.send(&name("n")).unwrap();
    assert_eq!(told.recv_timeout(Duration::from_secs(5)).unwrap(), "n");
    bus.close().unwrap();
    node.join();
}

#[test]
fn a_refused_hello_is_an_error_at_once() {
    let node = node(1, |_, mut peer| {
        peer.frame();
        peer.say(Outcome { seq: 1, code: Code::BadCredentials, text: "no such user", ..Default::default() });
    });
    let began = Instant::now();
    match Connection::connect(node.address.clone(), options()) {
        Err(Error::Refused { outcome, .. }) => assert_eq!(outcome.code, Code::BadCredentials),
        other => panic!("{other:?}"),
    }
    assert!(began.elapsed() < Duration::from_secs(1));
    node.join();
}

#[test]
fn a_node_that_never_answers_costs_no_more_than_the_timeout() {
    // weak point 19: accepts (or not even that), and is silent
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address: Address = format!("tcp://{}", listener.local_addr().unwrap()).parse().unwrap();
    let began = Instant::now();
    let options = Options { timeout: Duration::from_millis(300), ..options() };
    match Connection::connect(address, options) {
        Err(Error::Connect { why: Why::NoWelcome | Why::Unreachable, .. }) => {}
        other => panic!("{other:?}"),
    }
    assert!((250..1500).contains(&began.elapsed().as_millis()), "{:?}", began.elapsed());
}

#[test]
fn a_host_is_never_guessed() {
    // weak point 23
    let address = "tcp://no-such-host.invalid:7840".parse().unwrap();
    match Connection::connect(address, options()) {
        Err(error @ Error::Connect { .. }) => assert!(error.to_string().contains("is not known"), "{error}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn ipv6_and_names_are_understood() {
    let Ok(listener) = TcpListener::bind("[::1]:0") else { return }; // a machine without IPv6
    let port = listener.local_addr().unwrap().port();
    let thread = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let hello = encode(Welcome { station: 1, ..Default::default() });
        stream.write_all(&hello).unwrap();
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let bus = Connection::connect(format!("tcp://[::1]:{port}").parse().unwrap(), options()).unwrap();
    drop(bus);
    thread.join().unwrap();
    // `localhost` may mean ::1 first, where nobody listens: the next address is tried
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let thread = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(&encode(Welcome { station: 1, ..Default::default() })).unwrap();
        let _ = stream.read_to_end(&mut Vec::new());
    });
    drop(Connection::connect(format!("tcp://localhost:{port}").parse().unwrap(), options()).unwrap());
    thread.join().unwrap();
}

#[test]
fn datagrams_carry_the_same() {
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = format!("udp://{}", socket.local_addr().unwrap()).parse().unwrap();
    let thread = std::thread::spawn(move || {
        let mut buf = [0; 2000];
        loop {
            let (n, from) = socket.recv_from(&mut buf).unwrap();
            assert_eq!(n, HEADER + u32::from_be_bytes([0, buf[1], buf[2], buf[3]]) as usize, "one frame a datagram");
            let answer = match ClientToServer::read(&buf[HEADER..n]).unwrap().0 {
                ClientToServer::Hello(_) => encode(Welcome { station: 1, ..Default::default() }),
                ClientToServer::Send(l) => encode(Answer { seq: l.seq, body: l.body, ..Default::default() }),
                ClientToServer::Goodbye(_) => return,
                _ => continue,
            };
            socket.send_to(&answer, from).unwrap();
        }
    });
    let options = Options { timeout: Duration::from_millis(500), ..options() };
    let mut bus = Connection::connect(address, options).unwrap();
    assert_eq!(bus.call(&Letter { body: b"x", ..name("q") }).unwrap().body, b"x");
    bus.close().unwrap();
    thread.join().unwrap();
}

#[test]
fn what_floods_the_queue_is_counted_and_who_asked_is_told() {
    let node = node(1, |_, mut peer| {
        let mut busy = 0;
        peer.serve(|peer, message| match message {
            ClientToServer::Store(s) => {
                for i in 0..20 {
                    peer.say(Sent { name: "n", ask_id: 100 + i, ..Default::default() });
                }
                peer.say(Value { seq: s.seq, name: "v", value: b"1", ..Default::default() });
            }
            ClientToServer::Answer(a) => {
                assert_eq!(a.code, Code::RecipientBusy);
                busy += 1;
                if busy == 15 {
                    peer.say(Sent { name: "all told", ..Default::default() });
                }
            }
            _ => {}
        });
        assert_eq!(busy, 15);
    });
    let mut bus = Connection::connect(node.address.clone(), Options { queue: 5, ..options() }).unwrap();
    assert_eq!(bus.get("v").unwrap().unwrap().value, b"1");
    for i in 0..5 {
        assert!(matches!(next(&mut bus), Event::Message(m) if m.ask_id == 100 + i));
    }
    assert_eq!(bus.missed().events, 15);
    assert!(matches!(next(&mut bus), Event::Message(m) if m.name == "all told"));
    bus.close().unwrap();
    node.join();
}

#[test]
fn a_frame_too_long_is_skipped_and_counted() {
    // weak points 5 and 32
    let node = node(1, |_, mut peer| {
        peer.serve(|peer, message| {
            if let ClientToServer::Send(l) = message {
                peer.say(Sent { name: "long", body: &[7; 5000], ..Default::default() });
                peer.say(Answer { seq: l.seq, ..Default::default() });
            }
        });
    });
    let mut bus = Connection::connect(node.address.clone(), Options { max_frame: 200, ..options() }).unwrap();
    bus.call(&name("q")).unwrap();
    assert_eq!(bus.missed().frames, 1);
    assert_eq!(bus.next_event(Some(Duration::from_millis(20))).unwrap(), None);
    // what the node would not take is refused here
    let error = bus.send(&Letter { body: &[0; 1000], ..name("n") });
    assert!(matches!(error, Err(Error::NotSent(SendError::TooBig))), "{error:?}");
    assert!(matches!(bus.send(&name("")), Err(Error::NotSent(SendError::BadName))));
    bus.close().unwrap();
    node.join();
}

#[test]
fn a_node_that_does_not_read_makes_sending_wait_and_then_fail() {
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let node = node(1, move |_, mut peer| {
        peer.frame();
        peer.say(Welcome { station: 1, max_frame: 1 << 20, silence_ms: 60_000, ..Default::default() });
        let _ = stopped.recv();
    });
    let options = Options { outbox: 300_000, timeout: Duration::from_millis(300), ..options() };
    let mut bus = Connection::connect(node.address.clone(), options).unwrap();
    let body = vec![0; 100_000];
    let began = Instant::now();
    let error = loop {
        if let Err(error) = bus.send(&Letter { body: &body, ..name("n") }) {
            break error;
        }
    };
    assert!(matches!(error, Error::NotSent(SendError::Full)), "{error:?}");
    assert!((250..3000).contains(&began.elapsed().as_millis()));
    drop(bus);
    drop(stop);
    node.join();
}

#[test]
fn a_join_that_is_refused_later_is_told() {
    let node = node(2, |i, mut peer| {
        peer.serve(move |peer, message| match message {
            ClientToServer::Join(j) if i == 0 => {
                peer.say(Outcome { seq: j.seq, ..Default::default() });
                peer.stream.shutdown(std::net::Shutdown::Both).unwrap();
            }
            ClientToServer::Join(j) => {
                peer.say(Outcome { seq: j.seq, code: Code::NameTaken, ..Default::default() });
            }
            _ => {}
        });
    });
    let mut bus = Connection::connect(node.address.clone(), options()).unwrap();
    bus.join_exclusively("mine").unwrap();
    loop {
        match next(&mut bus) {
            Event::JoinFailed { name, outcome } => {
                assert_eq!((name.as_str(), outcome.code), ("mine", Code::NameTaken));
                break;
            }
            Event::Ready(_) | Event::Disconnected { .. } => {}
            other => panic!("{other:?}"),
        }
    }
    bus.close().unwrap();
    node.join();
}

#[test]
fn many_connections_are_made_and_dropped() {
    // what a connection borrows from itself is given back
    let node = node(200, |_, mut peer| peer.serve(|_, _| {}));
    for i in 0..200 {
        let bus = Connection::connect(node.address.clone(), options()).unwrap();
        if i % 2 == 0 {
            bus.close().unwrap();
        } else {
            let thread = std::thread::spawn(move || drop(bus));
            thread.join().unwrap();
        }
    }
    node.join();
}
