//! What happens at each limit, to whom, and that nobody else notices.

mod support;

use std::net::{TcpStream, UdpSocket};
use std::process::Command;
use std::time::{Duration, Instant};

use chappe_core::dialect::messi::repr::{Code, Hello, Join, Letter, ServerToClient};
use support::{CHAPPE, Daemon, METRICS, PATIENCE, PING, Station, counters, frame, get, until};

#[test]
fn out_of_descriptors_newcomers_are_told_so_and_the_others_go_on() {
    let mut daemon = Daemon::start_by("", |config| {
        let mut shell = Command::new("sh");
        shell.args(["-c", "ulimit -n 40; exec \"$0\" serve --config \"$1\"", CHAPPE]).arg(config);
        shell
    });
    daemon.event("descriptors.few");
    let mut first = daemon.station("first");
    first.join("x");
    let mut others = Vec::new();
    let mut told = 0;
    for _ in 0..100 {
        let mut station = daemon.connect();
        match station.hello_as(Hello { seq: 1, ..Hello::default() }) {
            Ok(_) => others.push(station),
            Err(code) => {
                assert_eq!(code, Code::Full);
                assert!(station.next().is_none(), "and it is closed");
                told += 1;
            }
        }
    }
    assert!(others.len() > 10 && told > 10, "{} in, {told} told", others.len());
    assert_eq!(daemon.event("connection.refused")["reason"], "descriptors");
    others[0].send("x", b"still here");
    assert_eq!(first.hear(), b"still here");
    // It does not spin while nobody new can come in.
    let before = daemon.cpu();
    std::thread::sleep(Duration::from_millis(500));
    assert!(daemon.cpu() - before < Duration::from_millis(100), "it spins");
    // Places that become free are given away again.
    others.truncate(5);
    until("there is a place again", || daemon.connect().hello_as(Hello { seq: 1, ..Hello::default() }).is_ok());
    assert!(first.is_alive());
}

#[test]
fn a_full_table_refuses_with_a_reason() {
    let mut daemon = Daemon::start(&format!("[limits]\nstations = 3\ndatagram_stations = 1\n{METRICS}"));
    let count = counters(&mut daemon);
    let mut inside: Vec<_> = (0..3).map(|_| daemon.station("inside")).collect();
    for _ in 0..3 {
        let mut outside = daemon.connect();
        assert_eq!(outside.closing(), Some(Code::Full));
    }
    assert_eq!(count("chappe_refused_full_total"), 3);
    assert!(inside.iter_mut().all(Station::is_alive));
    inside.pop().unwrap().goodbye();
    until("there is a place again", || daemon.connect().hello_as(Hello { seq: 1, ..Hello::default() }).is_ok());
}

#[test]
fn a_silent_peer_is_closed_and_one_that_pings_is_not() {
    let mut daemon = Daemon::start("[limits]\nsilence_ms = 1000\n");
    let mut silent = daemon.station("silent");
    let mut pings = daemon.station("pings");
    let begin = Instant::now();
    let pinging = std::thread::spawn(move || {
        while begin.elapsed() < Duration::from_millis(2500) {
            assert!(pings.is_alive());
            std::thread::sleep(Duration::from_millis(300));
        }
    });
    assert_eq!(silent.closing(), Some(Code::Silent));
    let took = begin.elapsed();
    assert!(took >= Duration::from_millis(900) && took < Duration::from_secs(5), "{took:?}");
    pinging.join().unwrap();
    assert_eq!(daemon.event("connection.closed")["reason"], "silent");
}

#[test]
fn garbage_before_hello_is_not_called_a_hello_too_late() {
    let mut daemon = Daemon::start("");
    for bytes in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[1, 0, 2, 0]] {
        let mut station = daemon.connect();
        let begin = Instant::now();
        station.write(bytes).unwrap();
        assert_eq!(station.closing(), Some(Code::NotIntroduced), "{bytes:?}");
        assert!(begin.elapsed() < Duration::from_secs(3));
        let closed = daemon.event("connection.closed");
        assert_eq!(closed["reason"], "unintroduced", "{closed}");
        assert!(closed["message"].as_str().unwrap().contains("before hello"), "{closed}");
    }
}

#[test]
fn a_peer_that_never_says_hello_is_closed() {
    let mut daemon = Daemon::start("[limits]\nhello_within_ms = 300\n");
    let begin = Instant::now();
    let mut mute = daemon.connect();
    let mut half = daemon.connect();
    half.write(&[1, 0, 0]).unwrap();
    let mut pings = daemon.connect();
    pings.write(&PING).unwrap();
    for station in [&mut mute, &mut half, &mut pings] {
        assert_eq!(station.closing(), Some(Code::NotIntroduced));
    }
    assert!(begin.elapsed() >= Duration::from_millis(290) && begin.elapsed() < Duration::from_secs(3));
    assert_eq!(daemon.event("connection.closed")["reason"], "not_introduced");
}

#[test]
fn a_slow_reader_is_closed_with_a_reason_and_others_are_undisturbed() {
    let limits = "[limits]\noutbox = 69632\nslow_after_ms = 500\nlinger_ms = 200\n";
    let mut daemon = Daemon::start(&format!("{limits}{METRICS}"));
    let count = counters(&mut daemon);
    let mut slow = daemon.station("slow");
    let mut good = daemon.station("good");
    slow.join("news");
    good.join("news");
    let mut sender = daemon.station("sender");
    let begin = Instant::now();
    let mut sent = 0u64;
    let mut longest = Duration::ZERO;
    while begin.elapsed() < Duration::from_secs(2) {
        let mut body = vec![7; 4000];
        body[..8].copy_from_slice(&sent.to_be_bytes());
        let at = Instant::now();
        sender.send("news", &body);
        assert_eq!(good.hear()[..8], sent.to_be_bytes(), "nothing is missing");
        longest = longest.max(at.elapsed());
        sent += 1;
    }
    assert!(sent > 1000, "{sent} messages in two seconds");
    assert!(longest < Duration::from_secs(1), "the good one waited {longest:?}");
    let closed = daemon.event("connection.closed");
    assert_eq!(closed["reason"], "slow");
    assert!(count("chappe_dropped_outbox_full_total") > 0);
    assert_eq!(count("chappe_closed_slow_total"), 1);
    drop(slow);
    assert!(good.is_alive() && sender.is_alive());
}

#[test]
fn garbage_costs_only_who_sends_it() {
    let mut daemon = Daemon::start("");
    let mut good = daemon.station("good");
    good.join("x");
    let mut noise = 1u32;
    for round in 0..50 {
        let mut bad = daemon.connect();
        let bytes: Vec<u8> = (0..2000)
            .map(|_| {
                noise ^= noise << 13;
                noise ^= noise >> 17;
                noise ^= noise << 5;
                noise as u8
            })
            .collect();
        let _ = bad.write(&bytes);
        let _ = bad.write(&frame(Join { name: "x", ..Join::default() })[..round % 7]);
    }
    // Frames that are too long, of unknown types, cut short, and in the wrong direction.
    for bytes in
        [&[1, 0xff, 0xff, 0xff][..], &[9, 0, 0, 0], &[2, 0, 0, 0], &[0, 1, 2, 3, 4, 5, 6, 7], &[1, 0, 0, 9, 0xff]]
    {
        let mut bad = daemon.connect();
        let _ = bad.write(bytes);
        good.send("nobody", b"");
        assert!(good.is_alive());
    }
    let mut other = daemon.station("other");
    other.send("x", b"clean");
    assert_eq!(good.hear(), b"clean");
}

#[test]
fn one_flooder_does_not_keep_others_from_being_served() {
    let mut daemon = Daemon::start("");
    let mut flooder = daemon.station("flooder");
    let mut good = daemon.station("good");
    let flood = frame(Letter { name: "nobody", verb: "X", body: &[1; 100], ..Letter::default() }).repeat(500);
    let begin = Instant::now();
    let flooding = std::thread::spawn(move || {
        let begin = Instant::now();
        while begin.elapsed() < Duration::from_secs(2) && flooder.write(&flood).is_ok() {}
    });
    let mut longest = Duration::ZERO;
    while begin.elapsed() < Duration::from_millis(1500) {
        let at = Instant::now();
        assert!(good.is_alive());
        longest = longest.max(at.elapsed());
    }
    assert!(longest < Duration::from_secs(1), "a pong took {longest:?}");
    flooding.join().unwrap();
}

#[test]
fn wrong_credentials_are_refused_and_counted_and_never_logged() {
    let users = "[[users]]\nname = \"anna\"\ntoken = \"sesame-open\"\nrights = [\"read\"]\nnames = [\"public::*\"]\n";
    let log = "[log]\nlevel = \"trace\"\n";
    let mut daemon = Daemon::start(&format!("{users}{log}{METRICS}"));
    let count = counters(&mut daemon);
    for (user, token) in [("anna", "sesame-shut"), ("anna", ""), ("bob", "sesame-open"), ("", "sesame-open")] {
        let mut station = daemon.connect();
        let hello = Hello { seq: 1, user, token: token.as_bytes(), ..Hello::default() };
        assert_eq!(station.hello_as(hello), Err(Code::BadCredentials), "{user} {token}");
    }
    let mut anna = daemon.connect();
    anna.hello_as(Hello { seq: 1, user: "anna", token: b"sesame-open", ..Hello::default() }).unwrap();
    for (name, answer) in
        [("public::news", Code::Ok), ("public::*", Code::Ok), ("secret", Code::Refused), ("*", Code::Refused)]
    {
        anna.say(Join { seq: 3, name, ..Join::default() });
        assert_eq!(anna.outcome(), answer, "{name}");
    }
    anna.say(Letter { seq: 4, name: "public::news", ..Letter::default() });
    assert_eq!(anna.outcome(), Code::Refused, "she may only read");
    assert!(count("chappe_closed_bad_credentials_total") >= 1);
    daemon.signal("TERM");
    assert!(daemon.wait().success());
    daemon.event("daemon.stopped");
    assert!(!format!("{:?}", daemon.seen()).contains("sesame"));
}

#[test]
fn datagrams_are_stations_too() {
    let limits = "[limits]\nmax_frame = 40000\nmax_value = 1000\ndatagram_stations = 2\n";
    let listeners = "[[listeners]]\naddress = \"tcp://127.0.0.1:0\"\n[[listeners]]\naddress = \"udp://127.0.0.1:0\"\n";
    let mut daemon = Daemon::start(&format!("{limits}{METRICS}{listeners}"));
    let count = counters(&mut daemon);
    let to = daemon.address("udp");
    let open = || {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.connect(&to).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket
    };
    let hear = |socket: &UdpSocket| {
        let mut bytes = [0; 65536];
        let n = socket.recv(&mut bytes).unwrap();
        assert_eq!(n, 4 + usize::from(bytes[2]) * 256 + usize::from(bytes[3]), "one whole frame");
        bytes[4..n].to_vec()
    };
    let hello = frame(Hello { seq: 1, name: "sensor", ..Hello::default() });
    let sensor = open();
    sensor.send(&hello).unwrap();
    assert!(matches!(ServerToClient::read(&hear(&sensor)).unwrap().0, ServerToClient::Welcome(_)));
    // Two frames in one datagram.
    let mut both = frame(Join { seq: 2, name: "led", ..Join::default() });
    both.extend(frame(Letter { seq: 3, name: "nobody", ..Letter::default() }));
    sensor.send(&both).unwrap();
    for code in [Code::Ok, Code::NoRecipient] {
        let payload = hear(&sensor);
        let ServerToClient::Outcome(outcome) = ServerToClient::read(&payload).unwrap().0 else { panic!() };
        assert_eq!(outcome.code, code);
    }
    let mut person = daemon.station("person");
    person.join("heat");
    person.send("led", b"on");
    let payload = hear(&sensor);
    let ServerToClient::Message(letter) = ServerToClient::read(&payload).unwrap().0 else { panic!() };
    assert_eq!(letter.body, b"on");
    sensor.send(&frame(Letter { name: "heat", body: b"21", ..Letter::default() })).unwrap();
    assert_eq!(person.hear(), b"21");
    // Too long, in pieces, garbage: dropped and counted; the station and the others go on.
    sensor.send(&vec![1; 50_000]).unwrap();
    until("the long one is counted", || count("chappe_datagrams_too_long_total") == 1);
    let stranger = open();
    stranger.send(&hello[..hello.len() - 3]).unwrap();
    stranger.send(&[0xff; 100]).unwrap();
    sensor.send(&frame(Letter { name: "heat", body: b"22", ..Letter::default() })).unwrap();
    assert_eq!(person.hear(), b"22");
    // A third source finds no room.
    let third = open();
    let more = open();
    third.send(&hello).unwrap();
    more.send(&hello).unwrap();
    until("somebody is refused", || count("chappe_datagrams_refused_total") >= 1);
    assert!(person.is_alive());
}

#[test]
fn the_counters_page_answers_and_bad_visitors_hold_up_nobody() {
    let mut daemon = Daemon::start(METRICS);
    let address = daemon.event("metrics.listening")["address"].as_str().unwrap().to_owned();
    let host = address.strip_prefix("http://").unwrap().split('/').next().unwrap().to_owned();
    let mut station = daemon.station("s");
    station.join("x");
    let page = get(&host, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(page.starts_with("HTTP/1.1 200 OK\r\n") && page.contains("text/plain; version=0.0.4"), "{page}");
    for line in ["chappe_stations_admitted_total 1", "chappe_used{table=\"stations\"} 1", "chappe_connections 1"] {
        assert!(page.lines().any(|l| l == line), "{line} in {page}");
    }
    let body = page.split("\r\n\r\n").nth(1).unwrap();
    let mut helped = std::collections::HashSet::new();
    for line in body.lines() {
        match line.strip_prefix("# HELP ") {
            Some(help) => assert!(helped.insert(help.split(' ').next().unwrap().to_owned()), "{line} twice"),
            None => assert!(line.starts_with("# TYPE ") || line.split(' ').count() == 2, "{line}"),
        }
    }
    assert!(get(&host, "GET / HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 404"));
    assert!(get(&host, "POST /metrics HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 405"));
    assert!(get(&host, "\x01\r\n\r\n").starts_with("HTTP/1.1 400"));
    // One that says nothing is given up; the stations do not notice.
    let _mute = TcpStream::connect(&host).unwrap();
    let begin = Instant::now();
    assert!(station.is_alive());
    assert!(begin.elapsed() < Duration::from_secs(1));
    assert!(get(&host, "GET /metrics HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 200"));
}

#[test]
fn the_end_with_the_last_frame_and_frames_before_it_are_heard() {
    // Data and end in one event: nothing of it may be lost, and the end must be seen.
    let mut daemon = Daemon::start("");
    let mut reader = daemon.station("reader");
    reader.join("x");
    for n in 0..50u32 {
        let mut once = daemon.connect();
        let mut bytes = frame(Hello { name: "once", ..Hello::default() });
        bytes.extend(frame(Letter { name: "x", body: &n.to_be_bytes(), ..Letter::default() }));
        once.write(&bytes).unwrap();
        drop(once);
        assert_eq!(reader.hear(), n.to_be_bytes());
    }
    until("all of them are gone", || {
        let fds = std::fs::read_dir(format!("/proc/{}/fd", daemon.pid())).unwrap().count();
        fds < 30
    });
}
