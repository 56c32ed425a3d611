//! A million values: how much memory they take, and how soon they are there again.
//!
//! Takes a while, and means something only in a release build on a machine that is otherwise
//! idle, so it is run by hand:
//!
//!     cargo test --release -p chappe-linux --test store_figures -- --ignored --nocapture
//!
//! It prints what it measures and fails beyond the targets of `docs/performance.md`.

mod support;

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use chappe_core::dialect::messi::repr::{Code, ServerToClient, Store, StoreOp};
use support::{Daemon, Station};

const VALUES: u32 = 1_000_000;

/// The targets.
const MEMORY_MIB: u64 = 250;
const RESTART: Duration = Duration::from_secs(3);

/// 27 bytes, as names of sensors are.
fn name(i: u32) -> String {
    format!("sensor::board{i:07}::value")
}

fn value(i: u32) -> Vec<u8> {
    format!("{i:>32}").into_bytes()
}

/// Sets them all, as fast as the daemon takes them. Returns how long that took, and how many
/// thousands were refused because the disk was behind, and sent again.
fn fill(station: &mut Station) -> (Duration, u32) {
    let began = Instant::now();
    let mut refused = 0;
    for thousand in 0..VALUES / 1000 {
        let mut bytes = Vec::new();
        for i in thousand * 1000..(thousand + 1) * 1000 {
            // every number once, in no order
            let (name, value) = (name((u64::from(i) * 7919 % u64::from(VALUES)) as u32), value(i));
            // the last is answered, so that the daemon is not flooded
            let seq = if i % 1000 == 999 { 1 + i } else { 0 };
            let set = Store { op: StoreOp::Set, name: &name, value: &value, seq, ..Store::default() };
            bytes.extend(support::frame(set));
        }
        while !set(station, &bytes) {
            refused += 1;
            flush(station);
        }
    }
    (began.elapsed(), refused)
}

/// Whether all of them were taken.
fn set(station: &mut Station, thousand: &[u8]) -> bool {
    station.write(thousand).unwrap();
    let mut taken = true;
    loop {
        let heard = station.next().expect("an answer");
        let ServerToClient::Outcome(outcome) = heard.message() else { continue };
        assert!(matches!(outcome.code, Code::Ok | Code::Full), "{:?}", outcome.code);
        taken &= outcome.code == Code::Ok;
        if outcome.seq != 0 {
            return taken;
        }
    }
}

/// As [`fill`]; meanwhile somebody else asks for a sign of life, again and again. How long the
/// 99th of 100 of those took, and the longest one.
fn fill_beside(daemon: &mut Daemon) -> (Station, Duration, u32, [Duration; 2]) {
    let (mut station, mut other) = (daemon.station("filler"), daemon.station("other"));
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let pings = scope.spawn(|| {
            let mut times = Vec::new();
            while !is_over.load(Ordering::Relaxed) {
                let began = Instant::now();
                assert!(other.is_alive());
                times.push(began.elapsed());
            }
            times.sort_unstable();
            [times[times.len() * 99 / 100], times[times.len() - 1]]
        });
        let (took, refused) = fill(&mut station);
        if refused > 0 || daemon.find("store.open", Duration::ZERO).is_some() {
            flush(&mut station);
        }
        is_over.store(true, Ordering::Relaxed);
        let pings = pings.join().unwrap();
        (station, took, refused, pings)
    })
}

fn flush(station: &mut Station) -> Duration {
    let began = Instant::now();
    station.say(Store { op: StoreOp::Flush, seq: 1, ..Store::default() });
    let heard = station.next_within(Duration::from_secs(60)).expect("an answer").expect("no end");
    assert!(matches!(heard.message(), ServerToClient::Outcome(o) if o.code == Code::Ok));
    began.elapsed()
}

fn get(station: &mut Station, i: u32) -> usize {
    let name = name(i);
    station.say(Store { op: StoreOp::Get, name: &name, seq: 2, ..Store::default() });
    match station.next().expect("an answer").message() {
        ServerToClient::Value(v) => v.value.len(),
        other => panic!("{other:?}"),
    }
}

/// MiB now, and at the most so far.
fn resident(daemon: &Daemon) -> (u64, u64) {
    let status = std::fs::read_to_string(format!("/proc/{}/status", daemon.pid())).unwrap();
    let line = |key: &str| {
        let line = status.lines().find(|l| l.starts_with(key)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
    };
    (line("VmRSS:"), line("VmHWM:"))
}

fn start(folder: &Path) -> Daemon {
    Daemon::start(&format!("[store]\npath = \"{}/v.redb\"\n", folder.display()))
}

#[test]
#[ignore = "takes half a minute and is a measurement"]
fn a_million_values_of_32_bytes() {
    let per_second = |took: Duration| (f64::from(VALUES) / took.as_secs_f64()) as u64;

    let mut daemon = Daemon::start("");
    let (empty, _) = resident(&daemon);
    let (_, took, _, [usual, longest]) = fill_beside(&mut daemon);
    let (memory, _) = resident(&daemon);
    println!(
        "in memory: {memory} MiB resident ({empty} without values), set at {}/s; meanwhile a round trip of another \
         station took {usual:.2?} (99 %), {longest:.2?} (at most)",
        per_second(took)
    );
    drop(daemon);

    let folder = tempfile::tempdir().unwrap();
    let mut daemon = start(folder.path());
    let (_station, took, refused, [usual, longest]) = fill_beside(&mut daemon);
    let (durable, most) = resident(&daemon);
    let file = std::fs::metadata(folder.path().join("v.redb")).unwrap().len() >> 20;
    println!(
        "on disk: {durable} MiB resident ({most} at the most), set at {}/s, {refused} of 1000 parts refused once, file \
         {file} MiB; meanwhile, until all was flushed, a round trip took {usual:.2?} (99 %), {longest:.2?} (at most)",
        per_second(took)
    );

    let mut worst = Duration::ZERO;
    for how in ["kill -9", "SIGTERM"] {
        if how == "SIGTERM" {
            daemon.signal("TERM");
            assert!(daemon.wait().success());
        } else {
            daemon.child.kill().unwrap();
            daemon.child.wait().unwrap();
        }
        let began = Instant::now();
        daemon = start(folder.path());
        let mut station = daemon.station("reader");
        assert_eq!(get(&mut station, VALUES / 2), 32);
        let took = began.elapsed();
        println!(
            "after {how}: the first value is read {took:.2?} after the start, {} MiB resident",
            resident(&daemon).0
        );
        assert_eq!(daemon.event("store.open")["values"], VALUES);
        worst = worst.max(took);
    }

    assert!(memory < MEMORY_MIB && durable < MEMORY_MIB && most < MEMORY_MIB, "more than {MEMORY_MIB} MiB");
    assert!(worst < RESTART, "later than {RESTART:?}");
}
