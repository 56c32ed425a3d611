//! Firmware in QEMU against the real daemon and the real command line: what the boards' READMEs promise.
//!
//! Times are the machine's. Nothing is expected at once, and nothing is slept for except where time itself
//! is what is tested.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use chappe_core::client::{Call, Client, Inbox, Memory, Options};
use chappe_core::dialect::messi::repr::{Code, Join, Letter};
use chappe_core::time as core_time;
use chappe_host_tests::event::Seen;
use chappe_host_tests::qemu::{
    BACKOFF_MAX, Board, Chappe, Follow, MARGIN, Node, PATIENCE, alone, folder, image, member, wait_for,
};
use chappe_host_tests::random::Random;

/// What the firmware asks for: after this long without a frame its connection is given up.
const SILENCE: Duration = Duration::from_secs(3);

/// Waits for `n` new readings: each has a greater number than the one before.
fn readings(listening: &Follow, n: usize) {
    let mut last = None;
    for _ in 0..n {
        listening.find("newer reading", |line| {
            let number = member(line, "body").parse::<u32>().ok();
            let newer = member(line, "name").ends_with("::readings") && number > last;
            if newer {
                last = number;
            }
            newer
        });
    }
}

/// Listens to a board, and waits until it is heard.
fn listen(chappe: &Chappe, id: &str) -> Follow {
    let listening = chappe.follow(&["--json", "listen", &format!("sensor::{id}::*")]);
    readings(&listening, 2);
    listening
}

/// Values are as new as the readings are: none of the board's own is older than two seconds.
fn values_are_current(chappe: &Chappe, id: &str) {
    let prefix = format!("sensor::{id}::");
    chappe.until(&["--json", "keys", &prefix], |out| {
        let fresh = |what: &str| {
            let name = format!("{prefix}{what}");
            let line = out.lines().find(|l| member(l, "name") == name)?;
            member(line, "age_ms").parse::<u64>().ok().filter(|&ms| ms < 2000)
        };
        ["temperature", "readings", "uptime"].iter().all(|what| fresh(what).is_some()).then_some(())
    });
    let all = chappe.good(&["keys", &prefix]);
    for what in ["temperature", "readings", "uptime", "led", "button"] {
        assert!(all.contains(&format!("{prefix}{what}")), "no {what} in\n{all}");
    }
}

/// Every command, what it changes, and what is said to a wrong one.
fn commands_are_obeyed(chappe: &Chappe, id: &str) {
    let call = |command: &str, param: &str| {
        let goal = format!("sensor::{id}/{command}");
        chappe.good(&if param.is_empty() { vec!["call", &goal] } else { vec!["call", &goal, param] })
    };
    let value = |what: &str, wanted: &str| {
        chappe.until(&["get", &format!("sensor::{id}::{what}")], |out| (out == wanted).then_some(()));
    };
    assert_eq!(call("INTERVAL", "ms=100"), "100");
    value("interval", "100");
    assert_eq!(call("INTERVAL", "ms=200"), "200");
    assert_eq!(call("INTERVAL", ""), "200");
    value("interval", "200");
    for state in ["1", "0"] {
        assert_eq!(call("LED", &format!("on={state}")), state);
        value("led", state);
    }
    let about = call("IDENTIFY", "");
    assert_eq!((member(&about, "board"), member(&about, "id")), ("lm3s6965evb", id), "{about}");
    assert_eq!(member(&about, "interval_ms"), "200", "{about}");

    let wrong = chappe.run(&["--json", "call", &format!("sensor::{id}/DANCE")]);
    assert_eq!(wrong.status.code(), Some(1), "{wrong}");
    assert_eq!(member(&wrong.out, "code"), "unknown_verb", "{wrong}");
    let wrong = chappe.run(&["--json", "call", &format!("sensor::{id}/INTERVAL"), "ms=5"]);
    assert_eq!((wrong.status.code(), member(&wrong.out, "code")), (Some(1), "bad_request"), "{wrong}");
    assert_eq!(call("INTERVAL", ""), "200", "what is refused changes nothing");
}

fn station(chappe: &Chappe, name: &str) {
    chappe.until(&["--json", "ls"], |out| out.lines().any(|l| member(l, "name") == name).then_some(()));
}

#[test]
fn qemu_sensor_is_listed_heard_and_obeys() {
    let _alone = alone();
    let node = Node::start();
    let chappe = Chappe::of(node.address());
    let mut board = Board::ethernet("sensor", "b1", node.port());
    station(&chappe, "board-b1");
    let members = chappe.until(&["--json", "ls", "members", "sensor::b1"], |out| {
        if out.is_empty() { None } else { Some(out.to_owned()) }
    });
    assert_eq!(member(&members, "exclusive"), "true", "{members}");

    // five readings a second by default; a slow machine is allowed two
    let listening = listen(&chappe, "b1");
    let begun = Instant::now();
    readings(&listening, 20);
    assert!(begun.elapsed() < Duration::from_secs(10), "20 readings took {:?}", begun.elapsed());
    let hot = listening.find("temperature", |l| member(l, "name") == "sensor::b1::temperature");
    let degrees: f64 = member(&hot, "body").parse().expect("a temperature is a number");
    assert!((33.0..35.5).contains(&degrees), "QEMU's sensor has 33.3 to 34.9 °C, not {degrees}");
    assert_eq!(member(&hot, "verb"), "SET");
    drop(listening);

    values_are_current(&chappe, "b1");
    commands_are_obeyed(&chappe, "b1");
    board.assert_runs();
}

#[test]
fn qemu_sensor_that_knows_no_address_finds_its_daemon_and_finds_it_again() {
    let _alone = alone();
    let (mut node, port) = Node::start_found("greenhouse");
    let mut board = Board::search("b1", "greenhouse", port);
    let chappe = Chappe::of(node.address());
    station(&chappe, "board-b1");
    drop(listen(&chappe, "b1"));

    // The daemon comes back at an address that nobody tells the board.
    let before = node.port();
    node.kill();
    node.move_away();
    node.start_again();
    assert_ne!(node.port(), before);
    let chappe = Chappe::of(node.address());
    station(&chappe, "board-b1");
    drop(listen(&chappe, "b1"));
    board.assert_runs();
}

#[test]
fn qemu_sensor_raises_and_lowers_its_flag() {
    let _alone = alone();
    let node = Node::start();
    let chappe = Chappe::of(node.address());
    let _board = Board::ethernet("sensor", "b1", node.port());
    station(&chappe, "board-b1");
    let limit = |c: &str| chappe.until(&["call", "sensor::b1/LIMIT", c], |out| Some(out.to_owned()));
    let is_up = |out: &str| out.lines().any(|l| member(l, "name") == "sensor/b1/hot");

    // the sensor's numbers tremble around the limit that it begins with
    assert_eq!(limit("c=60"), "60.00");
    chappe.until(&["--json", "flag", "list"], |out| (!is_up(out)).then_some(()));
    let watching = chappe.follow(&["--json", "watch", "--flags"]);
    wait_for("the watcher is there", || {
        let out = chappe.good(&["--json", "status"]);
        let at = out.find("\"watches\":{\"in_use\":")?;
        (member(&out[at..], "in_use") == "1").then_some(())
    });
    for (c, event) in [("c=20", "flag_raised"), ("c=60", "flag_lowered"), ("c=20.5", "flag_raised")] {
        limit(c);
        let line = watching.line();
        assert_eq!((member(&line, "event"), member(&line, "name")), (event, "sensor/b1/hot"), "{line}");
        let up = event == "flag_raised";
        chappe.until(&["--json", "flag", "list"], |out| (is_up(out) == up).then_some(()));
    }
}

#[test]
fn qemu_sensor_comes_back_when_the_daemon_was_killed() {
    let _alone = alone();
    let mut node = Node::start();
    let chappe = Chappe::of(node.address());
    let _board = Board::ethernet("sensor", "b1", node.port());
    station(&chappe, "board-b1");
    let listening = listen(&chappe, "b1");
    node.kill();
    // long enough that the board has failed several times
    std::thread::sleep(Duration::from_secs(4));
    listening.forget();
    node.start_again();
    let begun = Instant::now();
    station(&chappe, "board-b1");
    let took = begun.elapsed();
    assert!(took < BACKOFF_MAX + MARGIN, "the board was back after {took:?}");
    // who listens came back by itself too
    readings(&listening, 5);
    assert!(listening.remarks().contains("connected again"), "{}", listening.remarks());
    values_are_current(&chappe, "b1");
    commands_are_obeyed(&chappe, "b1");
}

#[test]
fn qemu_sensor_comes_back_when_its_cable_was_pulled() {
    let _alone = alone();
    let node = Node::start();
    let chappe = Chappe::of(node.address());
    let board = Board::ethernet("sensor", "b1", node.port());
    station(&chappe, "board-b1");
    let listening = listen(&chappe, "b1");
    let watching = chappe.follow(&["--json", "--station-name", "watcher", "watch", "--stations"]);
    // a watch is in force when it tells of somebody
    wait_for("the watcher to be told of somebody", || {
        chappe.good(&["get", "sensor::b1::readings"]);
        watching.line_within(Duration::from_millis(200))
    });
    let of_board = |what: &'static str| {
        watching.find(what, |l| member(l, "station_name") == "board-b1" && member(l, "event") == what)
    };

    board.cable(false);
    let begun = Instant::now();
    let left = of_board("disconnected");
    let took = begun.elapsed();
    assert!(took < SILENCE + MARGIN, "it was seen to be gone after {took:?}");
    assert!(
        ["silent", "timed_out"].contains(&member(&left, "reason")) || !member(&left, "reason").is_empty(),
        "{left}"
    );
    let said = chappe.run(&["call", "sensor::b1/LED"]);
    assert_eq!(said.status.code(), Some(3), "nobody is there now: {said}");
    // the board gives its side up as well, and fails to connect
    std::thread::sleep(SILENCE);
    listening.forget();

    board.cable(true);
    let begun = Instant::now();
    of_board("connected");
    let took = begun.elapsed();
    assert!(took < BACKOFF_MAX + MARGIN, "it was back after {took:?}");
    readings(&listening, 5);
    values_are_current(&chappe, "b1");
    assert_eq!(chappe.good(&["call", "sensor::b1/LED", "on=1"]), "1");
}

#[test]
fn qemu_sensor_finds_its_interval_again_after_its_own_restart() {
    let _alone = alone();
    let node = Node::start();
    let chappe = Chappe::of(node.address());
    let board = Board::ethernet("sensor", "b1", node.port());
    station(&chappe, "board-b1");
    chappe.until(&["call", "sensor::b1/INTERVAL", "ms=110"], |out| (out == "110").then_some(()));
    chappe.until(&["get", "sensor::b1::interval"], |out| (out == "110").then_some(()));
    drop(board);
    let _board = Board::ethernet("sensor", "b1", node.port());
    chappe.until(&["call", "sensor::b1/INTERVAL"], |out| (out == "110").then_some(()));
}

#[test]
fn qemu_button_calls_the_operator() {
    let _alone = alone();
    let node = Node::start();
    let chappe = Chappe::of(node.address());
    let board = Board::ethernet("sensor", "b1", node.port());
    station(&chappe, "board-b1");
    let operator = chappe.follow(&["--json", "listen", "operator", "--exclusive", "--reply", "on my way"]);
    chappe.until(&["--json", "ls", "members", "operator"], |out| (!out.is_empty()).then_some(()));
    // QEMU has the line low until the first key is released: that one the board does not take for a press
    let line = wait_for("the operator to be called", || {
        board.press();
        operator.line_within(Duration::from_secs(2))
    });
    assert_eq!((member(&line, "verb"), member(&line, "body")), ("BUTTON", "sensor::b1"), "{line}");
    assert_eq!(member(&line, "asks"), "true", "{line}");
    let led = |wanted: &str| chappe.until(&["get", "sensor::b1::led"], |out| (out == wanted).then_some(()));
    led("1");
    chappe.until(&["get", "sensor::b1::button"], |out| (out == "0").then_some(()));

    // nobody to call
    drop(operator);
    chappe.until(&["ls", "names"], |out| (!out.contains("operator")).then_some(()));
    board.press();
    led("0");
}

#[test]
fn qemu_serial_sensor_is_heard_obeys_and_comes_back() {
    let _alone = alone();
    let mut node = Node::start();
    let chappe = Chappe::of(node.address());
    let mut board = Board::serial("u1", &node.socket());
    station(&chappe, "board-u1");
    let listening = listen(&chappe, "u1");
    readings(&listening, 5);
    values_are_current(&chappe, "u1");
    commands_are_obeyed(&chappe, "u1");

    node.kill();
    // The line says nothing of it: the board must notice by itself that nobody answers.
    std::thread::sleep(SILENCE);
    listening.forget();
    node.start_again();
    let begun = Instant::now();
    station(&chappe, "board-u1");
    let took = begun.elapsed();
    assert!(took < BACKOFF_MAX + MARGIN, "the board was back after {took:?}");
    readings(&listening, 5);
    values_are_current(&chappe, "u1");
    commands_are_obeyed(&chappe, "u1");
    board.assert_runs();
}

/// A bad line between QEMU and the daemon: told to, it puts octets in and takes octets out.
struct BadLine {
    socket: PathBuf,
    /// How many pieces are still to be spoiled on the way to the daemon, and on the way to the board.
    spoil: Arc<[AtomicUsize; 2]>,
}

const TO_NODE: usize = 0;
const TO_BOARD: usize = 1;

impl BadLine {
    fn before(node: PathBuf) -> BadLine {
        let folder = folder();
        let socket = folder.join("line");
        let listener = UnixListener::bind(&socket).expect("a new folder has room for a socket");
        let spoil = Arc::new([AtomicUsize::new(0), AtomicUsize::new(0)]);
        let shared = spoil.clone();
        std::thread::spawn(move || {
            let mut seed = 7;
            for board in listener.incoming().map_while(Result::ok) {
                let Ok(daemon) = UnixStream::connect(&node) else { continue };
                for (way, from, to) in [(TO_NODE, &board, &daemon), (TO_BOARD, &daemon, &board)] {
                    let (from, to) = (from.try_clone().expect("descriptors"), to.try_clone().expect("descriptors"));
                    let shared = shared.clone();
                    seed += 1;
                    let random = Random::new(seed);
                    std::thread::spawn(move || BadLine::carry(&shared[way], random, from, to));
                }
            }
        });
        BadLine { socket, spoil }
    }

    fn carry(spoil: &AtomicUsize, mut random: Random, mut from: UnixStream, mut to: UnixStream) {
        let mut piece = [0; 512];
        while let Ok(n @ 1..) = from.read(&mut piece) {
            let mut bytes = piece[..n].to_vec();
            let less = |left: usize| left.checked_sub(1);
            if spoil.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok() {
                for _ in 0..1 + random.below(4) {
                    bytes.remove(random.below(bytes.len()));
                    if bytes.is_empty() {
                        break;
                    }
                }
                let at = random.below(bytes.len() + 1);
                let noise: Vec<u8> = (0..1 + random.below(24)).map(|_| random.next() as u8).collect();
                bytes.splice(at..at, noise);
            }
            if to.write_all(&bytes).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Both);
        let _ = from.shutdown(Shutdown::Both);
    }

    /// Spoils the next `pieces` each way that is named, and returns when that is done.
    fn spoil(&self, ways: &[usize], pieces: usize) {
        for &way in ways {
            self.spoil[way].store(pieces, Ordering::Relaxed);
        }
        wait_for("the noise to be on the line", || {
            self.spoil.iter().all(|left| left.load(Ordering::Relaxed) == 0).then_some(())
        });
    }
}

impl Drop for BadLine {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(self.socket.parent().unwrap_or(Path::new("")));
    }
}

#[test]
fn qemu_serial_sensor_recovers_from_noise() {
    let _alone = alone();
    let node = Node::start();
    let chappe = Chappe::of(node.address());
    let line = BadLine::before(node.socket());
    let mut board = Board::serial("u2", &line.socket);
    station(&chappe, "board-u2");
    let listening = listen(&chappe, "u2");
    for ways in [&[TO_NODE][..], &[TO_BOARD], &[TO_NODE, TO_BOARD]] {
        line.spoil(ways, 4);
        listening.forget();
        // From here on the line is clean.
        readings(&listening, 5);
        assert_eq!(chappe.until(&["call", "sensor::u2/LED"], |out| Some(out.to_owned())), "0");
        board.assert_runs();
    }
    // it was noise that hurts
    let counters = chappe.good(&["--json", "ls", "counters", "closed_"]);
    let closed = |why: &str| member(&counters, why).parse::<u32>().expect("a count is a number");
    assert!(closed("closed_malformed") + closed("closed_silent") > 0, "{counters}");
    // and nobody else was disturbed
    assert!(!listening.remarks().contains("again"), "{}", listening.remarks());
    values_are_current(&chappe, "u2");
}

/// A station of the core's own client on a socket that does what the test says, in the test's thread.
struct Peer {
    client: Client<'static>,
    inbox: Inbox<'static>,
    socket: TcpStream,
    begun: Instant,
    seen: Vec<Seen>,
}

impl Peer {
    /// Connects and says hello; whether it is welcome shows in `seen`.
    fn new(address: &str, name: &'static str) -> Peer {
        let begun = Instant::now();
        let memory = Memory {
            outbox: vec![0; 4096].leak(),
            script: vec![0; 256].leak(),
            calls: vec![Call::default(); 8].leak(),
        };
        // The hub runs as slowly as the machine lets it; who is silent here is silent on purpose.
        let options = Options { name, silence: core_time::Duration::from_secs(120), ..Options::default() };
        let mut client = Client::new(memory, options, core_time::Instant::from_millis(1));
        let socket = TcpStream::connect(address.trim_start_matches("tcp://")).expect("QEMU forwards the port");
        socket.set_nodelay(true).expect("a socket has that");
        socket.set_read_timeout(Some(Duration::from_millis(20))).expect("a socket has that");
        client.connected(core_time::Instant::from_millis(1));
        let inbox = Inbox::new(vec![0; 1024].leak());
        Peer { client, inbox, socket, begun, seen: Vec::new() }
    }

    /// As [`Peer::new`], and is ready when this returns.
    fn ready(address: &str, name: &'static str) -> Peer {
        let mut peer = Peer::new(address, name);
        peer.until("a welcome", |s| matches!(s, Seen::Ready { .. }));
        peer
    }

    fn now(&self) -> core_time::Instant {
        core_time::Instant::from_millis(1 + self.begun.elapsed().as_millis() as u64)
    }

    fn write(&mut self) {
        let now = self.now();
        while let Some(event) = self.client.tick(now) {
            self.seen.push(event.into());
        }
        while !self.client.output().is_empty() {
            let n = self.socket.write(self.client.output()).expect("the hub takes what it is sent");
            self.client.sent(n);
        }
    }

    /// One look at the socket, for 20 ms at most. Whether it is still open.
    fn turn(&mut self) -> bool {
        self.write();
        let mut piece = [0; 2048];
        let n = match self.socket.read(&mut piece) {
            Ok(n) => n,
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => return true,
            Err(_) => 0,
        };
        let mut input = &piece[..n];
        let now = self.now();
        while let Some(frame) = self.inbox.take(&mut input).expect("the hub sends frames") {
            self.seen.extend(self.client.handle(now, frame).map(Seen::from));
        }
        self.write();
        n > 0
    }

    /// Takes the next event that is to the taste of `look`; those before it are dropped.
    fn until(&mut self, what: &str, look: impl Fn(&Seen) -> bool) -> Seen {
        let begun = Instant::now();
        loop {
            if let Some(at) = self.seen.iter().position(&look) {
                return self.seen.drain(..=at).next_back().expect("it is there");
            }
            self.seen.clear();
            assert!(begun.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}");
            let open = self.turn();
            assert!(open || self.seen.iter().any(&look), "{what}: the hub has closed, after {:?}", self.seen);
        }
    }

    fn join(&mut self, name: &str) {
        self.client.join(&Join { seq: 1, name, ..Join::default() }).expect("room in the script");
        self.until("the outcome of a join", |s| matches!(s, Seen::Outcome { seq: 1, code: Code::Ok, .. }));
    }

    fn send(&mut self, name: &str, body: &[u8]) {
        self.client.send(&Letter { name, verb: "SET", body, ..Letter::default() }).expect("room in the outbox");
        self.write();
    }

    fn body(&mut self) -> Vec<u8> {
        match self.until("a letter", |s| matches!(s, Seen::Message(_))) {
            Seen::Message(mail) => mail.body,
            _ => unreachable!("that is what was looked for"),
        }
    }
}

/// Waits until a hub listens. What QEMU is asked to forward before the board has its interface is lost, and QEMU tries
/// again only after six seconds: a client that is less patient comes sooner.
fn hub_is_up(address: impl Into<String>) -> Chappe {
    let chappe = Chappe::of(address);
    chappe.until(&["--timeout", "1s", "ls"], |_| Some(()));
    chappe
}

#[test]
fn qemu_hub_routes_between_linux_clients() {
    let _alone = alone();
    let (mut board, address) = Board::hub();
    let chappe = hub_is_up(address);
    let joined = |name: &str| {
        chappe.until(&["--json", "ls", "names"], |out| out.lines().any(|l| member(l, "name") == name).then_some(()));
    };
    let lamp = chappe.follow(&["--json", "listen", "lamp", "--exclusive", "--reply", "it is on"]);
    joined("lamp");
    let news = chappe.follow(&["--json", "listen", "news::*"]);
    joined("news::*");

    // a question across the hub, and its answer
    assert_eq!(chappe.good(&["call", "lamp/ON", "level=7"]), "it is on");
    let asked = lamp.line();
    assert_eq!(
        (member(&asked, "verb"), member(&asked, "level"), member(&asked, "asks")),
        ("ON", "7", "true"),
        "{asked}"
    );
    // signals, in order, to a third
    for n in 0..5 {
        chappe.good(&["send", "news::today/SET", "--body", &format!("item {n}")]);
    }
    for n in 0..5 {
        let line = news.line();
        assert_eq!((member(&line, "name"), member(&line, "body")), ("news::today", &*format!("item {n}")), "{line}");
    }
    // and one to the first
    chappe.good(&["send", "lamp/OFF"]);
    let told = lamp.line();
    assert_eq!((member(&told, "verb"), member(&told, "asks")), ("OFF", "false"), "{told}");

    let taken = chappe.run(&["listen", "lamp", "--exclusive", "--count", "1"]);
    assert_eq!(taken.status.code(), Some(1), "the name is taken: {taken}");
    let nobody = chappe.run(&["call", "window/OPEN"]);
    assert_eq!(nobody.status.code(), Some(3), "there is no window: {nobody}");
    chappe.good(&["set", "setpoint", "21.5"]);
    assert_eq!(chappe.good(&["get", "setpoint"]), "21.5");
    drop(lamp);
    chappe.until(&["ls", "names"], |out| (!out.contains("lamp")).then_some(()));
    board.assert_runs();
}

#[test]
fn qemu_hub_refuses_who_comes_too_many() {
    let _alone = alone();
    let (mut board, address) = Board::hub();
    let chappe = hub_is_up(&*address);
    let mut peers: Vec<Peer> = ["p1", "p2", "p3", "p4", "p5", "p6", "p7", "p8"]
        .into_iter()
        .map(|name| {
            // the command line's place may still be on its way out
            wait_for("a place at the hub", || {
                let mut peer = Peer::new(&address, name);
                let begun = Instant::now();
                while peer.turn() && peer.seen.is_empty() && begun.elapsed() < PATIENCE {}
                matches!(peer.seen.first(), Some(Seen::Ready { .. })).then_some(peer)
            })
        })
        .collect();
    peers[0].join("news");
    for round in 0..3u8 {
        // Told why, in words, by whichever client comes. One socket of the hub's does that: who comes while it still
        // parts from the one before is reset without a word.
        wait_for("the command line to be told why", || {
            let refused = chappe.run(&["ls"]);
            assert_eq!(refused.status.code(), Some(6), "{refused}");
            refused.err.contains("a limit of the node is reached").then_some(())
        });
        wait_for("a ninth to be told why", || {
            let mut ninth = Peer::new(&address, "p9");
            while ninth.turn() {}
            assert!(!ninth.seen.iter().any(|s| matches!(s, Seen::Ready { .. })), "{:?}", ninth.seen);
            ninth.seen.iter().any(|s| matches!(s, Seen::Closing(Code::Full))).then_some(())
        });

        // and the others go on
        for n in 1..8u8 {
            peers[usize::from(n)].send("news", &[round, n]);
            assert_eq!(peers[0].body(), [round, n]);
        }
    }
    // a place that is given up is somebody else's
    drop(peers.pop());
    chappe.until(&["--json", "ls"], |out| (out.lines().count() == 8).then_some(()));
    board.assert_runs();
}

#[test]
fn qemu_hub_is_not_held_up_by_who_never_reads() {
    let _alone = alone();
    let (mut board, address) = Board::hub();
    let chappe = hub_is_up(&*address);
    let mut sleeper = Peer::ready(&address, "sleeper");
    sleeper.join("news");
    let mut reader = Peer::ready(&address, "reader");
    reader.join("news");
    let mut sender = Peer::ready(&address, "sender");
    let dropped = || -> u64 {
        let out = chappe.good(&["--json", "ls", "counters", "dropped_outbox_full"]);
        member(&out, "dropped_outbox_full").parse().expect("a count is a number")
    };

    // All that lies between the hub and the sleeper fills up: QEMU's buffers, the kernel's, the hub's own. Until
    // then, and after it, the reader gets every letter.
    let begun = Instant::now();
    let mut number = 0u32;
    let mut slowest = Duration::ZERO;
    let mut full = None;
    let mut next_look = 0;
    while full.is_none_or(|since| number < since + 200) {
        assert!(begun.elapsed() < PATIENCE, "the sleeper has taken {number} letters and is not full");
        let mut body = vec![0; 400];
        body[..4].copy_from_slice(&number.to_be_bytes());
        sender.send("news", &body);
        let sent = Instant::now();
        assert_eq!(reader.body(), body, "letter {number}");
        slowest = slowest.max(sent.elapsed());
        number += 1;
        if full.is_none() && number >= next_look {
            next_look = number + 500;
            if dropped() > 0 {
                full = Some(number);
            }
        }
    }
    assert!(slowest < Duration::from_secs(2), "one letter took {slowest:?}");
    println!("{number} letters; the slowest took {slowest:?}");
    board.assert_runs();
}

#[test]
#[ignore = "needs defmt-print: cargo install defmt-print --locked; then --run-ignored all"]
fn qemu_logs_are_decoded_on_the_host() {
    let _alone = alone();
    let node = Node::start();
    let chappe = Chappe::of(node.address());
    let board = Board::ethernet("sensor.defmt", "b1", node.port());
    station(&chappe, "board-b1");
    let _listening = listen(&chappe, "b1");
    let bytes = board.output();
    let mut print = Command::new("defmt-print")
        .arg("-e")
        .arg(image("sensor.defmt"))
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("defmt-print is needed: cargo install defmt-print --locked");
    print.stdin.take().expect("it is piped").write_all(&bytes).expect("it reads");
    let printed = String::from_utf8(print.wait_with_output().expect("it ends").stdout).expect("it prints text");
    let wanted = format!("sensor: board-b1 connects to port {}", node.port());
    assert!(printed.contains(&wanted), "{printed}");
}
