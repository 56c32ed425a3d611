//! How a station comes and goes: hello, rights, silence, goodbye, the node's end.

use chappe_core::client::{Options, Why};
use chappe_core::model::{Code, Join, Letter, Store, StoreOp};
use chappe_core::router::grant::same_secret;
use chappe_core::router::{Counter, Gate, Grant, Reason, Rights};
use chappe_core::time::Duration;
use chappe_host_tests::event::Seen;
use chappe_host_tests::world::World;

/// One user, who may read and write names below `her::`.
struct Users;

impl Gate for Users {
    fn check(&self, user: &str, token: &[u8]) -> Option<Grant> {
        (user == "her" && same_secret(b"secret", token)).then_some(Grant {
            rights: Rights::READ | Rights::WRITE,
            restricted: true,
            number: 7,
        })
    }
    fn allows(&self, grant: Grant, _: Rights, name: &str) -> bool {
        assert_eq!(grant.number, 7);
        name.starts_with("her::")
    }
}

const HER: Options<'static> = Options {
    name: "h",
    user: "her",
    token: b"secret",
    software: "",
    max_frame: 0,
    silence: Duration::ZERO,
    call_timeout: Duration::from_secs(5),
    connect_timeout: Duration::from_secs(5),
    hello_timeout: Duration::from_secs(5),
    backoff_min: Duration::from_millis(250),
    backoff_max: Duration::from_secs(8),
    seed: 1,
};

#[test]
fn wrong_credentials_are_refused_and_tried_again_but_seldom() {
    let mut w = World::with_gate(&Users, |_| {});
    let s = w.station_with(Options { token: b"wrong", ..HER }, Rights::NONE);
    w.advance(60_000);
    assert!(!w.stations[s].client.is_ready());
    assert!(w.take(s).contains(&Seen::Refused(Code::BadCredentials)));
    let tries = w.router.counters().get(Counter::ClosedCredentials);
    assert!((5..=16).contains(&tries), "{tries} tries in a minute");
    let anonymous = w.station_with(Options { user: "", token: b"", ..HER }, Rights::NONE);
    assert!(!w.stations[anonymous].client.is_ready());
}

#[test]
fn a_grant_covers_its_names_only() {
    let mut w = World::with_gate(&Users, |_| {});
    let her = w.station_with(HER, Rights::NONE);
    let all = w.station_with(Options { user: "", token: b"", ..HER }, Rights::ALL);
    w.join_as(her, &Join { seq: 1, name: "her::x", ..Join::default() });
    w.join_as(her, &Join { seq: 2, name: "his::x", ..Join::default() });
    assert_eq!(w.outcomes(her, 1)[0].0, Code::Ok);
    assert_eq!(w.outcomes(her, 2)[0].0, Code::Refused);
    w.join(all, "his::y");
    w.join(all, "her::y");
    let seq = w.call(her, &Letter { name: "his::y", ..Letter::default() });
    assert_eq!(w.replies(her, seq)[0].0, Code::Refused);
    w.send(her, &Letter { name: "her::y", body: b"fine", ..Letter::default() });
    assert_eq!(w.bodies(all), ["fine"]);
    w.take(her);
    for (name, fine) in [("her::v", true), ("his::v", false)] {
        let set = Store { op: StoreOp::Set, name, value: b"1", ..Store::default() };
        w.stations[her].client.store(w.now, &set).unwrap();
        w.drive();
        let refused = w.take(her).iter().any(|s| matches!(s, Seen::Outcome { code: Code::Refused, .. }));
        assert_eq!(refused, !fine, "{name}");
    }
}

#[test]
fn who_may_only_read_does_not_write() {
    let mut w = World::default();
    let reader = w.station_with(Options::default(), Rights::READ);
    let other = w.station("other");
    w.join(other, "x");
    w.join_as(reader, &Join { seq: 1, name: "x", ..Join::default() });
    assert_eq!(w.outcomes(reader, 1)[0].0, Code::Ok);
    w.send(reader, &Letter { name: "x", seq: 2, ..Letter::default() });
    assert_eq!(w.outcomes(reader, 2)[0].0, Code::Refused);
    assert_eq!(w.letters(other), []);
    w.send(other, &Letter { name: "x", body: b"heard", ..Letter::default() });
    assert_eq!(w.bodies(reader), ["heard"]);
}

#[test]
fn a_stopping_node_tells_everybody_and_hears_no_more() {
    let mut w = World::default();
    let (a, b) = (w.station("a"), w.station("b"));
    w.join(b, "s");
    let seq = w.call(a, &Letter { name: "s", ..Letter::default() });
    w.stations[b].reads = false;
    w.take(a);
    let now = w.now;
    w.router.stop(now);
    w.drive();
    let told = w.take(a);
    assert!(told.contains(&Seen::Closing(Code::Stopping)), "{told:?}");
    assert!(told.iter().any(|s| matches!(s, Seen::Disconnected { why: Why::Told(Code::Stopping), .. })), "{told:?}");
    // D5: the open call ends, by a reply before the closing or as lost with the connection
    let ends = told.iter().filter(|s| match s {
        Seen::Reply { seq: n, .. } | Seen::Lost { seq: n, .. } => *n == seq,
        _ => false,
    });
    assert_eq!(ends.count(), 1, "{told:?}");
    assert_eq!(w.stations[a].closed, [Reason::Stopping]);
    // one that does not read holds it up no longer than `linger`
    w.stations[b].allowed = false;
    assert_eq!(w.stations[b].closed, []);
    w.advance(2100);
    assert_eq!(w.stations[b].closed, [Reason::Stopping]);
    assert!(!w.stations[a].client.is_ready(), "nobody new is admitted");
}

#[test]
fn after_a_lost_connection_a_station_is_back_with_all_its_memberships() {
    let mut w = World::default();
    let (a, b) = (w.station("a"), w.station("b"));
    w.join(b, "x");
    w.join(b, "y::*");
    for _ in 0..5 {
        w.unplug(b);
        w.stations[b].allowed = true;
        w.advance(20_000);
        w.take(b);
        w.send(a, &Letter { name: "x", body: b"1", ..Letter::default() });
        w.send(a, &Letter { name: "y::z", body: b"2", ..Letter::default() });
        assert_eq!(w.bodies(b), ["1", "2"]);
    }
}

#[test]
fn many_clients_do_not_come_back_all_at_once() {
    // each has a seed of its own, as `Options::seed` asks for: 1, 2, 3 and so on
    let mut w = World::default();
    for _ in 0..50 {
        w.station("s");
    }
    for s in 0..50 {
        w.unplug(s);
        w.stations[s].allowed = true;
    }
    let mut most = 0;
    let mut before = 0;
    for _ in 0..40 {
        w.advance(10);
        let ready = w.stations.iter().filter(|s| s.client.is_ready()).count();
        most = most.max(ready - before);
        before = ready;
    }
    assert_eq!(before, 50, "all are back");
    assert!(most <= 15, "{most} came back within 10 ms");
}
