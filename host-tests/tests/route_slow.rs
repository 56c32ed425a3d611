//! D4: a slow or silent station costs only itself.

use chappe_core::client::Options;
use chappe_core::model::{Change, Code, Letter, Watch};
use chappe_core::router::{Counter, Reason, Rights};
use chappe_core::time::Duration;
use chappe_host_tests::event::Seen;
use chappe_host_tests::world::World;

#[test]
fn d4_others_hear_at_once_and_everything_while_one_does_not_read() {
    let mut w = World::new(|s| s.outbox = 1000);
    let (a, slow, c) = (w.station("a"), w.station("slow"), w.station("c"));
    w.join(slow, "x");
    w.join(c, "x");
    w.stations[slow].reads = false;
    for i in 0..500u32 {
        w.send(a, &Letter { name: "x", body: &[7; 100], seq: i, ..Letter::default() });
        assert_eq!(w.letters(c).len(), 1, "letter {i} must not wait for the slow one");
    }
    assert!(w.router.counters().get(Counter::DroppedSlow) > 480);
}

#[test]
fn d4_a_request_to_a_slow_station_is_answered_with_an_error() {
    let mut w = World::new(|s| s.outbox = 600);
    let (a, slow) = (w.station("a"), w.station("slow"));
    w.join(slow, "x");
    w.stations[slow].reads = false;
    for _ in 0..10 {
        w.send(a, &Letter { name: "x", body: &[7; 100], ..Letter::default() });
    }
    let seq = w.call(a, &Letter { name: "x", body: &[7; 100], ..Letter::default() });
    assert_eq!(w.replies(a, seq), [(Code::RecipientBusy, vec![])]);
}

#[test]
fn d4_a_station_whose_outbox_stays_full_is_closed_and_watchers_are_told_why() {
    let mut w = World::new(|s| {
        s.outbox = 600;
        s.slow_after = Duration::from_secs(3);
    });
    let (a, watcher) = (w.station("a"), w.station("watcher"));
    let slow = w.station_with(Options { silence: Duration::from_secs(600), ..Options::default() }, Rights::ALL);
    w.join(slow, "x");
    w.watch(watcher, &Watch { stations: true, ..Watch::default() });
    let gone = w.address(slow);
    w.stations[slow].reads = false;
    w.stations[slow].allowed = false;
    for _ in 0..60 {
        w.send(a, &Letter { name: "x", body: &[7; 100], ..Letter::default() });
        w.advance(100);
    }
    assert_eq!(w.stations[slow].closed, [Reason::Slow]);
    let told = w.take(watcher);
    let bye = Seen::Presence { change: Change::Disconnected, station: gone, name: String::new(), reason: Code::Slow };
    assert_eq!(told.iter().filter(|s| **s == bye).count(), 1, "{told:?}");
}

#[test]
fn d4_many_that_do_not_read_leave_memory_for_one_that_does() {
    // 60 that do not read may not take all of the common memory, whatever their outboxes allow
    let mut w = World::new(|s| s.outbox = 1 << 20);
    let (a, good) = (w.station("a"), w.station("good"));
    for _ in 0..60 {
        let s = w.station("deaf");
        w.join(s, "x");
        w.stations[s].reads = false;
    }
    w.join(good, "x");
    for _ in 0..300 {
        w.send(a, &Letter { name: "x", body: &[7; 500], ..Letter::default() });
        assert_eq!(w.letters(good).len(), 1);
    }
}

#[test]
fn a_silent_station_is_closed_and_one_that_only_pings_is_not() {
    let mut w = World::default();
    let quick = Options { silence: Duration::from_secs(2), ..Options::default() };
    let (alive, dead) = (w.station_with(quick, Rights::ALL), w.station_with(quick, Rights::ALL));
    w.take(dead);
    // its wire carries nothing any more, in either direction, and nobody notices
    w.stations[dead].cut = true;
    w.advance(10_000);
    assert!(w.stations[alive].client.is_ready());
    assert!(w.stations[alive].closed.is_empty());
    assert!(w.router.counters().get(Counter::Pings) >= 10);
    assert_eq!(w.router.counters().get(Counter::ClosedSilent), 1);
    assert_eq!(w.stations[dead].closed, [Reason::Silent]);
    // the client has noticed as well
    assert!(w.take(dead).iter().any(|s| matches!(s, Seen::Disconnected { .. })));
}
