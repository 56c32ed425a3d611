//! Garbage on every listener: noise, lengths without end, halves that stay halves, the words of
//! other dialects and of other worlds, and TLS where there is none and none where there is. Only
//! who says it pays, for a reason that is counted, and afterwards the daemon rests.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use chappe_core::dialect::messi::repr::Hello;
use rustls::ClientConnection;

use crate::dice::{Dice, span};
use crate::house::{FEW, House, Page, Tongue, WAYS, Way};
use crate::member::{Member, opening, write};
use crate::pulse::{self, Pulse};
use crate::support::tls::{TLS12, TLS13, client, session};
use crate::support::{PATIENCE, PING, Stream, frame};

/// Who is not in by then goes.
const LIMITS: &str = "hello_within_ms = 1500\nframe_within_ms = 1500\nlinger_ms = 100";
const MORE: &str = "[clacks]\nlogin_within_ms = 1500\nlinger_ms = 100\n";

/// Reasons that only this test makes count.
const REASONS: [&str; 16] = [
    "frames_malformed",
    "frames_too_big",
    "frames_before_hello",
    "lines_unknown",
    "closed_malformed",
    "closed_not_introduced",
    "closed_silent",
    "closed_lost",
    "closed_slow",
    "tls_missing",
    "tls_failed",
    "tls_unexpected",
    "tls_late",
    "tls_broken",
    "tls_ended",
    "tls_crowded",
];

/// What a client of TLS says first.
fn client_hello(house: &House, dice: &mut Dice) -> Vec<u8> {
    let version = if dice.below(2) == 0 { &TLS12 } else { &TLS13 };
    let mut hello = Vec::new();
    session(&client(&house.authority.root, version)).write_tls(&mut hello).unwrap();
    hello
}

const KINDS: usize = 18;

/// From here on: its own words, not quite as they should be.
const NEARLY: usize = 16;

/// One of the kinds of garbage.
fn garbage(house: &House, kind: usize, way: Way, dice: &mut Dice) -> Vec<u8> {
    let other = |tongue| opening(tongue, 1, "NOBODY", "GROUP", 10);
    let noise = dice.below(20_000) + 1;
    match kind {
        0 => dice.octets(noise),
        1 => vec![0; noise],
        2 => vec![0xff; noise],
        3 => b"GET / HTTP/1.1\r\nHost: x\r\nUser-Agent: y\r\n\r\n".to_vec(),
        4 => b"SSH-2.0-OpenSSH_9.9\r\n".to_vec(),
        5 => client_hello(house, dice),
        6 => other(Tongue::Native),
        7 => other(Tongue::Msgq),
        8 => other(Tongue::Clacks),
        9 => other(Tongue::Communicator),
        // its own words, of which the last is never finished
        10 => {
            let mut words = other(way.tongue());
            words.truncate(dice.below(words.len()));
            words
        }
        // a length without end, and a line without end
        11 => [&[1, 0xff, 0xff, 0xff][..], &dice.octets(3000)].concat(),
        12 => vec![b'x'; 1 << 20],
        // a record of TLS that is as long as none may be, and a handshake that never ends
        13 => [&[22, 3, 1, 0xff, 0xff][..], &dice.octets(60_000)].concat(),
        14 => [&[22u8, 3, 1, 0x40, 0][..], &[1, 1, 0, 0], &[0; 0x4000 - 4]].concat().repeat(4),
        // a good beginning of TLS, with something wrong in it
        15 => {
            let mut hello = client_hello(house, dice);
            for _ in 0..=dice.below(4) {
                let at = dice.below(hello.len());
                hello[at] ^= 1 << dice.below(8);
            }
            hello.extend(dice.octets(100));
            hello
        }
        _ => {
            let mut words = other(way.tongue()).repeat(1 + dice.below(3));
            for _ in 0..=dice.below(8) {
                let (at, n) = (dice.below(words.len()), dice.below(8));
                match dice.below(3) {
                    0 => words[at] ^= 1 << n,
                    1 => drop(words.drain(at..(at + n).min(words.len() - 1).max(at))),
                    _ => drop(words.splice(at..at, dice.octets(n))),
                }
            }
            words
        }
    }
}

/// Writes as much as is taken soon.
fn pour(stream: &mut Stream, bytes: &[u8]) {
    let soon = Some(Duration::from_millis(100));
    match stream {
        Stream::Tcp(s) => s.set_write_timeout(soon).unwrap(),
        Stream::Unix(s) => s.set_write_timeout(soon).unwrap(),
        Stream::Tls(s) => s.sock.set_write_timeout(soon).unwrap(),
        Stream::File(_) => {}
    }
    let _ = write(stream, bytes);
}

/// Reads until the daemon ends it.
fn until_end(mut stream: Stream) -> bool {
    stream.set_patience(PATIENCE);
    let mut room = [0; 65_536];
    loop {
        match stream.both().0.read(&mut room) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(e) => return !matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
        }
    }
}

#[test]
fn garbage_on_every_listener_costs_only_who_sends_it_and_is_counted() {
    let mut dice = Dice::new("garbage");
    let house = House::start(LIMITS, MORE);
    let pulses: Vec<Pulse> = FEW.map(|way| Pulse::start(&house, way)).into();
    std::thread::sleep(span());
    let before = house.page();
    let (mut memory, mut came, mut rounds) = (Vec::new(), 0, 0);
    pulse::all(&pulses, 1);
    let begun = Instant::now();
    while rounds < 2 || begun.elapsed() < span() {
        let mut crowd = Vec::new();
        for kind in 0..KINDS {
            for way in WAYS {
                let bytes = garbage(&house, kind, way, &mut dice);
                let mut stream = house.plain(way);
                pour(&mut stream, &bytes);
                crowd.push((kind, way, stream));
                // and the same where TLS is as it should be
                if way.is_tls() && kind % 4 == rounds % 4 {
                    let mut stream = house.connect(way);
                    pour(&mut stream, &bytes);
                    crowd.push((kind, way, stream));
                    // or was, before it was no TLS any more
                    let Stream::Tls(mut stream) = house.connect(way) else { unreachable!() };
                    let _ = stream
                        .sock
                        .write_all(&[&[20 + dice.below(5) as u8, 3, 3, 0, 40], &dice.octets(60)[..]].concat());
                    crowd.push((0, way, Stream::Tls(stream)));
                }
            }
        }
        came += crowd.len();
        for (kind, way, stream) in crowd {
            // Its own words are no garbage. Programs of the Communicator need not introduce
            // themselves: a line that is none is answered, and the next may be better.
            let own = [Tongue::Native, Tongue::Msgq, Tongue::Clacks, Tongue::Communicator].get(kind.wrapping_sub(6));
            let may_stay =
                own == Some(&way.tongue()) || kind == 10 || kind >= NEARLY || way.tongue() == Tongue::Communicator;
            assert!(may_stay || until_end(stream), "kind {kind} by {way:?} is not ended");
        }
        house.until("all of them are gone", |page| page.get("connections") == before.get("connections"));
        memory.push(house.memory());
        rounds += 1;
    }
    pulse::all(&pulses, 2);
    let after = house.page();
    let beats = pulse::stop(pulses);
    let reasons = after.since(&before, &REASONS);
    println!("{came} peers in {rounds} rounds; {reasons:?}\nresident KiB after each round: {memory:?}");
    pulse::print("a message beside garbage", &beats);
    for reason in [
        "frames_malformed",
        "closed_malformed",
        "closed_not_introduced",
        "tls_missing",
        "tls_failed",
        "tls_unexpected",
        "tls_late",
        "tls_broken",
    ] {
        assert!(reasons.iter().any(|(name, _)| name == reason), "{reason} among {reasons:?}");
    }
    assert!(memory[memory.len() - 1] <= memory[1] + 8192, "it grows: {memory:?}");
    let rest = house.cpu_at_rest(Duration::from_millis(500));
    assert!(rest < Duration::from_millis(100), "nobody is there, and it works: {rest:?}");
}

#[test]
fn half_handshakes_by_the_hundred_are_over_when_their_time_is() {
    let mut dice = Dice::new("half handshakes");
    let house = House::start("hello_within_ms = 1000", "");
    let pulses: Vec<Pulse> = FEW.map(|way| Pulse::start(&house, way)).into();
    let (before, descriptors) = (house.page(), house.descriptors());
    pulse::all(&pulses, 1);
    let mut held = Vec::new();
    for n in 0..600 {
        let way = [Way::Tls, Way::Clackss, Way::Cds][n % 3];
        let hello = client_hello(&house, &mut dice);
        let mut stream = house.plain(way);
        pour(&mut stream, &hello[..dice.below(hello.len())]);
        held.push(stream);
    }
    let page = house.until("their time is over", |page| {
        page.get("tls_handshakes_open") == 0 && page.get("tls_late") + page.get("tls_missing") > before.get("tls_late")
    });
    let beats = pulse::stop(pulses);
    println!("600 half handshakes: {:?}", page.since(&before, &REASONS));
    pulse::print("a message beside half handshakes", &beats);
    assert!(page.get("tls_late") - before.get("tls_late") > 300);
    drop(held);
    house.until("nobody is there", |page| page.get("connections") == 1);
    assert!(house.descriptors() <= descriptors);
}

/// Says hello over TLS 1.3, and then changes keys again and again; a sign of life now and then.
fn change_keys(mut conn: ClientConnection, mut sock: TcpStream, span: Duration) -> u64 {
    let hello = frame(Hello { seq: 1, name: "keys", ..Hello::default() });
    conn.writer().write_all(&hello).unwrap();
    let begun = Instant::now();
    let mut changes = 0;
    sock.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
    while begun.elapsed() < span {
        for _ in 0..16 {
            if conn.refresh_traffic_keys().is_err() {
                return changes;
            }
            changes += 1;
        }
        let _ = conn.writer().write_all(&PING);
        while conn.wants_write() {
            if conn.write_tls(&mut sock).is_err() {
                return changes;
            }
        }
        match conn.read_tls(&mut sock) {
            Ok(0) => return changes,
            Ok(_) if conn.process_new_packets().is_err() => return changes,
            Ok(_) => {
                let _ = conn.reader().read(&mut [0; 4096]);
            }
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(_) => return changes,
        }
    }
    changes
}

#[test]
fn changes_of_keys_without_end_hold_up_nobody() {
    let house = House::start("", "");
    let pulses: Vec<Pulse> = FEW.map(|way| Pulse::start(&house, way)).into();
    std::thread::sleep(span());
    let (before, memory) = (house.page(), house.memory());
    let config = client(&house.authority.root, &TLS13);
    pulse::all(&pulses, 1);
    let floods: Vec<_> = (0..4)
        .map(|_| {
            let mut conn = session(&config);
            let Stream::Tcp(mut sock) = house.plain(Way::Tls) else { unreachable!() };
            while conn.is_handshaking() {
                conn.complete_io(&mut sock).expect("its handshake");
            }
            std::thread::spawn(move || change_keys(conn, sock, span()))
        })
        .collect();
    let changes: u64 = floods.into_iter().map(|flood| flood.join().unwrap()).sum();
    pulse::all(&pulses, 2);
    let (after, grown) = (house.page(), house.memory().saturating_sub(memory));
    let beats = pulse::stop(pulses);
    println!("{changes} changes of keys by four peers; {:?}; {grown} KiB more", after.since(&before, &REASONS));
    pulse::print("a message beside changes of keys", &beats);
    assert!(changes > 100, "{changes}");
    assert!(grown < 8192, "{grown} KiB more");
    house.until("nobody is there", |page| page.get("connections") == 1);
    // Who says nothing else is no good peer.
    let Stream::Tls(mut stream) = house.connect(Way::Tls) else { unreachable!() };
    for _ in 0..200 {
        stream.conn.refresh_traffic_keys().unwrap();
    }
    while stream.conn.wants_write() && stream.conn.write_tls(&mut stream.sock).is_ok() {}
    // Some of that may have come together with the last words of its handshake.
    let ended = |page: &Page| page.get("tls_broken") + page.get("tls_failed");
    house.until("it is ended", |page| ended(page) == ended(&after) + 1);
}

#[test]
fn bad_peers_by_the_thousand_do_not_fill_the_log() {
    let mut house = House::start("", "");
    let before = house.page();
    let begun = Instant::now();
    let mut came = 0;
    while came < 2000 || begun.elapsed() < span() {
        let mut stream = house.plain([Way::Msgq, Way::ClacksTcp, Way::CdTcp, Way::Unix][came as usize % 4]);
        let _ = write(&mut stream, &[0xff; 5000]);
        came += 1;
    }
    let closed =
        |page: &Page| page.get("closed_malformed") + page.get("closed_lost") + page.get("closed_not_introduced");
    let after = house.until("all of them are gone", |page| closed(page) - closed(&before) >= came);
    let seconds = begun.elapsed().as_secs() + 1;
    house.daemon.event("connection.many_closed");
    let lines = house.daemon.seen().iter().filter(|line| line["event"] == "connection.closed").count() as u64;
    println!("{came} bad peers in {seconds} s, {lines} lines of log; {:?}", after.since(&before, &REASONS));
    // one more second may have begun on either side
    assert!(lines <= (seconds + 2) * 100, "{lines} lines in {seconds} s");
    assert!(lines >= 100, "and those that tell are there");
}

#[test]
fn who_wants_to_renegotiate_again_and_again_is_ended() {
    let house = House::start("", "");
    let mut good = Member::of(&house, Way::Tls, "good", "GOOD");
    let before = house.page();
    let mut command = Command::new("openssl");
    command.args(["s_client", "-tls1_2", "-CAfile"]).arg(house.authority.file());
    command.args(["-connect", &house.address(Way::Tls)]);
    let child = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let Ok(mut child) = child else {
        eprintln!("SKIPPED: there is no openssl here");
        return;
    };
    house.until("its handshake is through", |page| page.get("tls_handshakes") > before.get("tls_handshakes"));
    let mut stdin = child.stdin.take().unwrap();
    let page = house.until("it is ended", |page| {
        // by itself on a line it is a command of this client
        let _ = stdin.write_all(b"R\n");
        page.get("connections") == before.get("connections")
    });
    drop(stdin);
    child.wait().unwrap();
    println!("renegotiation: {:?}", page.since(&before, &REASONS));
    assert!(good.is_alive());
}
