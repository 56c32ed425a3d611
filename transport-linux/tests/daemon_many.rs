//! Ten thousand stations: what they cost, and that others do not notice them. And peers that
//! behave worse than silent ones while there are many messages.

mod support;

use std::net::TcpStream;
use std::time::{Duration, Instant};

use chappe_core::dialect::messi::repr::{Code, Hello, Join};
use socket2::SockRef;
use support::{Daemon, METRICS, PING, Station, Stream, counters, frame};

// The same code as the daemon's.
#[path = "../src/sys.rs"]
#[allow(dead_code, unreachable_pub, reason = "only some of it is used here")]
mod sys;

fn resident(daemon: &Daemon) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", daemon.pid())).unwrap();
    let line = status.lines().find(|l| l.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

#[test]
fn ten_thousand_idle_stations_cost_two_kilobytes_each_at_most() {
    let limit = sys::raise_descriptor_limit(0).unwrap();
    let many = 10_000.min(limit.saturating_sub(200)) as usize;
    let mut daemon = Daemon::start("[limits]\nsilence_ms = 600000\n");
    let mut ping = daemon.station("ping");
    assert!(ping.is_alive());
    let before = resident(&daemon);
    let mut stations = Vec::with_capacity(many);
    for n in 0..many {
        let mut station = daemon.connect();
        let name = format!("station::{n}");
        let mut words = frame(Hello { seq: 1, name: "idle", ..Hello::default() });
        words.extend(frame(Join { seq: 2, name: &name, ..Join::default() }));
        station.write(&words).unwrap();
        stations.push(station);
        // Not faster than they are accepted: the backlog is the system's, not ours.
        if n % 100 == 99 {
            assert_eq!(stations[n].outcome(), Code::Ok);
        }
    }
    for (n, station) in stations.iter_mut().enumerate() {
        if n % 100 != 99 {
            assert_eq!(station.outcome(), Code::Ok);
        }
    }
    let each = (resident(&daemon) - before) / many as u64;
    assert!(each <= 2048, "{many} stations, {each} bytes each");
    let mut longest = Duration::ZERO;
    for _ in 0..200 {
        let begin = Instant::now();
        assert!(ping.is_alive());
        longest = longest.max(begin.elapsed());
    }
    assert!(longest < Duration::from_secs(1), "a pong took {longest:?} beside them");
    stations[many / 2].join("x");
    ping.send("x", b"through the crowd");
    assert_eq!(stations[many / 2].hear(), b"through the crowd");
    println!("{many} stations, {each} bytes each, longest pong {longest:?}");
}

#[test]
fn a_request_costs_one_read_and_one_write() {
    let mut daemon = Daemon::start(METRICS);
    let count = counters(&mut daemon);
    let mut station = daemon.station("s");
    let names = ["chappe_reads_total", "chappe_writes_total"];
    let before = names.map(&count);
    for _ in 0..200 {
        assert!(station.is_alive());
    }
    assert_eq!(names.map(&count), before.map(|n| n + 200));
}

#[test]
fn what_many_say_to_one_in_a_turn_goes_out_as_one_write() {
    let mut daemon = Daemon::start(METRICS);
    let count = counters(&mut daemon);
    let mut reader = daemon.station("reader");
    reader.join("x");
    let mut senders: Vec<Station> = (0..100).map(|_| daemon.station("sender")).collect();
    let before = count("chappe_writes_total");
    // Stopped, so that all have written when it looks again.
    daemon.signal("STOP");
    for sender in &mut senders {
        sender.send("x", b"1");
    }
    daemon.signal("CONT");
    for _ in 0..100 {
        assert_eq!(reader.hear(), b"1");
    }
    assert_eq!(count("chappe_writes_total"), before + 1);
}

#[test]
fn peers_that_reset_in_the_middle_of_a_broadcast_harm_nobody() {
    // Messi's own server ends at this by SIGPIPE, or frees twice (its weak points 6, 7, 11).
    let mut daemon = Daemon::start("");
    let mut good = daemon.station("good");
    good.join("news");
    let mut sender = daemon.station("sender");
    let mut sent = 0u32;
    for _ in 0..20 {
        let mut doomed: Vec<Station> = (0..20).map(|_| daemon.station("doomed")).collect();
        for station in &mut doomed {
            station.join("news");
        }
        for _ in 0..50 {
            let mut body = vec![0; 2000];
            body[..4].copy_from_slice(&sent.to_be_bytes());
            sender.send("news", &body);
            sent += 1;
            if let Some(station) = doomed.pop() {
                let Stream::Tcp(stream) = &station.stream else { unreachable!() };
                // With unread input and no lingering, closing resets.
                SockRef::from(stream).set_linger(Some(Duration::ZERO)).unwrap();
            }
        }
        for n in sent - 50..sent {
            assert_eq!(good.hear()[..4], n.to_be_bytes());
        }
    }
    assert!(good.is_alive() && sender.is_alive());
}

#[test]
fn a_flood_of_pings_whose_pongs_are_not_read_is_bounded() {
    // Messi's own server grows without limit at this (its weak point 12).
    let mut daemon = Daemon::start("[limits]\noutbox = 69632\nslow_after_ms = 60000\nlinger_ms = 200\n");
    let mut good = daemon.station("good");
    let before = resident(&daemon);
    let mut flooder = daemon.station("flooder");
    let Stream::Tcp(stream) = &flooder.stream else { unreachable!() };
    stream.set_write_timeout(Some(Duration::from_secs(5))).unwrap();
    let pings = PING.repeat(10_000);
    // What it writes while its last words linger is read and thrown away, so not the amount
    // but the time is limited, and the memory.
    let begin = Instant::now();
    while flooder.write(&pings).is_ok() {
        assert!(resident(&daemon) < before + 8_000_000);
        assert!(begin.elapsed() < support::PATIENCE, "it is never closed");
    }
    assert_eq!(daemon.event("connection.closed")["reason"], "slow");
    assert!(good.is_alive());
}

#[test]
fn connections_that_come_and_go_at_once_leave_nothing() {
    let mut daemon = Daemon::start("");
    let address = daemon.address("tcp");
    for round in 0..2000 {
        let stream = TcpStream::connect(&address).unwrap();
        if round % 3 == 0 {
            SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
        }
    }
    support::until("all of them are gone", || {
        std::fs::read_dir(format!("/proc/{}/fd", daemon.pid())).unwrap().count() < 20
    });
    daemon.station("afterwards");
}
