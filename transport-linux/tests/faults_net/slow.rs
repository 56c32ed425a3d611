//! Readers that are slow, and readers that have stopped, beside fast ones in the same group: the
//! fast ones miss nothing, the slow ones are treated as documented, and what it costs the fast
//! ones is printed side by side.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::dice::span;
use crate::house::{FEW, House, Way};
use crate::member::Member;
use crate::pulse::{self, Pulse, group};
use crate::support::Station;

/// Octets of each message to the group.
const SIZE: usize = 4000;

/// Each way has two fast readers, one that has stopped, and one that is slow.
const FAST: usize = 2;

/// Small outboxes, so that they are full in the time of a test. MSGQ has none below 2 MiB.
const LIMITS: &str = "outbox = 1048576\nslow_after_ms = 500\nlinger_ms = 200";
const MORE: &str = "[msgq]\nmax_body = 65536\noutbox = 2097152\n[clacks]\nmax_line = 65536\noutbox = 1048576\nlinger_ms = 200\n\
                    [communicator]\nmax_line = 65536\noutbox = 1048576\n";

#[test]
fn fast_readers_miss_nothing_beside_slow_and_stopped_ones_in_any_dialect() {
    let mut house = House::start(LIMITS, MORE);
    let memory = house.memory();
    let every = Duration::from_millis(2);
    let pulses: Vec<Pulse> = FEW.map(|way| Pulse::with(&house, way, FAST, every, SIZE)).into();
    std::thread::sleep(span());
    let before = house.page();

    // ---- beside them ----
    let mut stopped: Vec<(Way, Member)> = Vec::new();
    let is_over = Arc::new(AtomicBool::new(false));
    let mut slow = Vec::new();
    for way in FEW {
        let join = |what: &str| {
            let member = Member::of(&house, way, &format!("{what}{way:?}").to_lowercase(), &group(way));
            member.narrow();
            member
        };
        stopped.push((way, join("stopped")));
        let (mut member, is_over) = (join("slow"), is_over.clone());
        // A tenth of what comes.
        slow.push(std::thread::spawn(move || {
            let mut taken = 0;
            while !is_over.load(Ordering::Relaxed) {
                match member.take(SIZE) {
                    0 => return (way, taken, "closed"),
                    n => taken += n,
                }
                std::thread::sleep(10 * every);
            }
            (way, taken, "there")
        }));
    }
    pulse::all(&pulses, 1);
    let page = house.until("all that have stopped, and all that are too slow, are closed", |page| {
        page.get("closed_slow") - before.get("closed_slow") == 2 * FEW.len() as u64
    });
    let most = house.memory();
    std::thread::sleep(span());
    pulse::all(&pulses, 2);
    is_over.store(true, Ordering::Relaxed);
    std::thread::sleep(span());
    let beats = pulse::stop(pulses);
    let stopped: Vec<_> = stopped
        .iter_mut()
        .map(|(way, member)| (*way, std::iter::from_fn(|| Some(member.take(65_536)).filter(|n| *n > 0)).sum::<usize>()))
        .collect();
    let slow: Vec<_> = slow.into_iter().map(|thread| thread.join().unwrap()).collect();
    let sent: u64 = beats.iter().map(|beat| beat.sent).sum();
    let dropped = page.since(&before, &["dropped_outbox_full", "closed_slow"]);
    println!(
        "{sent} sent to groups; {dropped:?}; resident KiB {memory}, then {most}\n\
              octets that those who had stopped find in their sockets: {stopped:?}; that slow ones took: {slow:?}"
    );
    pulse::print("a message to fast readers beside slow ones", &beats);
    assert_eq!(house.daemon.event("connection.closed")["reason"], "slow");
    let after = house.until("nobody but the page is there", |page| page.get("connections") <= 1);
    assert_eq!(after.used("buffer_blocks"), 0, "nothing waits for anybody");
    // What waited for ten of them, and what is on its way.
    assert!(most < memory + 64 * 1024, "{memory} KiB, then {most}");
}

#[test]
fn a_native_reader_that_is_only_a_little_slow_is_told_what_it_missed_and_stays() {
    let house = House::start("outbox = 69632\nslow_after_ms = 600000", "");
    let mut slow = Station::new(house.connect(Way::Tcp));
    slow.hello("slow");
    slow.join("news");
    let mut member = Member::Native(slow);
    member.narrow();
    let mut sender = Station::new(house.connect(Way::Unix));
    sender.hello("sender");
    let before = house.page();
    let mut sent = 0u64;
    let page = loop {
        for _ in 0..100 {
            sender.send("news", format!("{sent}_{}", "x".repeat(SIZE)).as_bytes());
            sent += 1;
        }
        assert!(sender.is_alive());
        let page = house.page();
        if page.get("dropped_outbox_full") > before.get("dropped_outbox_full") + 100 {
            break page;
        }
    };
    let dropped = page.get("dropped_outbox_full") - before.get("dropped_outbox_full");
    let Member::Native(slow) = &mut member else { unreachable!() };
    let mut heard = 0u64;
    while heard + dropped < sent {
        let text = String::from_utf8(slow.hear()).unwrap();
        assert!(text.split('_').next().unwrap().parse::<u64>().unwrap() >= heard);
        heard += 1;
    }
    assert_eq!(heard + dropped, sent, "each was heard or counted as dropped");
    assert!(slow.is_alive(), "and it stays");
    println!("{sent} sent, {heard} heard, {dropped} dropped and counted");
}
