//! What a station may not, and what there is no room for. Each refusal has its code, a reason in
//! words and a counter, and leaves everything as it was.

use chappe_core::client::{Options, SendError, Why};
use chappe_core::model::{ClientToServer, Code, Declare, Flag, Join, Letter, List, Store, StoreOp, Watch, What};
use chappe_core::router::{ConfigError, Counter, Gate, Grant, Newcomer, Open, Reason, Rights, Router, Settings};
use chappe_core::storage::{Limits, Parts};
use chappe_core::time::Instant;
use chappe_host_tests::event::Seen;
use chappe_host_tests::world::{TestStorage, World};

static OPEN: Open = Open;

/// Memory for a node, with room in its tables for no more than `limits`.
fn parts(limits: Limits) -> Parts<'static> {
    let storage: &'static mut TestStorage = Box::leak(Box::default());
    Parts { limits, ..storage.parts().expect("room for values") }
}

fn settings() -> Settings<'static> {
    let mut settings = Settings::new("test", "0", &OPEN);
    settings.max_frame = 4096;
    settings.outbox = 16384;
    settings
}

fn world(limits: Limits) -> World {
    let now = Instant::from_millis(1_000_003);
    World::on(Router::new(parts(limits), settings(), now).expect("valid settings"), now)
}

/// Asks, and returns the code of the one answer, which says why if it is a refusal.
fn asked(w: &mut World, s: usize, what: impl Into<ClientToServer<'static>>) -> Code {
    w.take(s);
    w.stations[s].client.request(w.now, &what.into()).expect("room for a request");
    w.drive();
    let said = w.take(s);
    let [Seen::Outcome { code, text, .. }] = &said[..] else { panic!("one outcome expected: {said:?}") };
    assert_eq!(*code == Code::Ok, text.is_empty(), "{said:?}");
    *code
}

/// One user, who may everything with names that begin with `her`, and nothing else.
struct Users;

impl Gate for Users {
    fn check(&self, user: &str, _: &[u8]) -> Option<Grant> {
        (user == "her").then_some(Grant { rights: Rights::ALL, restricted: true, number: 1 })
    }
    fn allows(&self, _: Grant, _: Rights, name: &str) -> bool {
        name.starts_with("her")
    }
}

#[test]
fn what_a_grant_does_not_cover_is_refused_and_nothing_changes() {
    let mut w = World::with_gate(&Users, |_| {});
    let all = w.station("all");
    let her = w.station_with(Options { name: "h", user: "her", ..Options::default() }, Rights::NONE);
    w.join(all, "his::n");
    let flag = Flag { raise: true, section: "s", name: "n", ..Flag::default() };
    let everything = [
        (Code::Refused, ClientToServer::from(Watch { name: "his::n", members: true, ..Watch::default() })),
        (Code::Refused, Watch { stations: true, ..Watch::default() }.into()),
        (Code::Ok, Watch { name: "her::n", members: true, ..Watch::default() }.into()),
        (Code::Refused, Flag { unit: "his", ..flag }.into()),
        (Code::Refused, List { what: What::Stations, ..List::default() }.into()),
        (Code::Refused, List { what: What::Members, name: "his::n", ..List::default() }.into()),
        (Code::Ok, List { what: What::Members, name: "her::n", ..List::default() }.into()),
        (Code::Refused, Declare { name: "his::mail", ..Declare::default() }.into()),
        (Code::Ok, Declare { name: "her::mail", ..Declare::default() }.into()),
        (Code::Refused, Store { op: StoreOp::Get, name: "his::v", ..Store::default() }.into()),
    ];
    let mut refused = 0;
    for (code, what) in everything {
        assert_eq!(asked(&mut w, her, what), code, "{what:?}");
        refused += u64::from(code == Code::Refused);
        assert_eq!(w.router.counters().get(Counter::Refused), refused, "{what:?}");
    }
    assert_eq!((w.used("watches"), w.used("flags")), (1, 0));
    // who may not read at all is listed nothing
    let writer = w.station_with(Options { name: "w", ..Options::default() }, Rights::WRITE);
    assert_eq!(asked(&mut w, writer, List { what: What::Names, ..List::default() }), Code::Refused);
}

#[test]
fn a_list_shows_only_what_begins_as_asked_and_the_grant_covers() {
    let mut w = World::with_gate(&Users, |_| {});
    let all = w.station("all");
    let her = w.station_with(Options { name: "h", user: "her", ..Options::default() }, Rights::NONE);
    for unit in ["her", "his"] {
        w.stations[all]
            .client
            .flag(w.now, &Flag { raise: true, unit, section: "s", name: "n", ..Flag::default() })
            .unwrap();
    }
    w.drive();
    let rows = |w: &mut World, s: usize, list: List<'_>| {
        w.take(s);
        w.stations[s].client.list(w.now, &list).unwrap();
        w.drive();
        let name = |seen| if let Seen::Item { name, .. } = seen { Some(name) } else { None };
        w.take(s).into_iter().filter_map(name).collect::<Vec<_>>()
    };
    let flags = |name| List { what: What::Flags, name, ..List::default() };
    assert_eq!(rows(&mut w, all, flags("")).len(), 2);
    assert_eq!(rows(&mut w, all, flags("hi")), ["his/s/n"]);
    assert_eq!(rows(&mut w, her, flags("hi")), [""; 0], "not hers");
    assert_eq!(rows(&mut w, her, flags("")), ["her/s/n"]);
    let closed = rows(&mut w, all, List { what: What::Counters, name: "closed_", ..List::default() });
    assert!(closed.len() > 3 && closed.iter().all(|name| name.starts_with("closed_")), "{closed:?}");
}

#[test]
fn what_is_wrong_in_itself_is_refused_with_the_reason() {
    let mut w = World::default();
    let a = w.station("a");
    let verb: &'static str = "v".repeat(65).leak();
    let everything = [
        (Code::BadRequest, ClientToServer::from(Letter { name: "n", verb, ..Letter::default() })),
        (Code::BadRequest, Letter { name: "n", verb: "a\nb", ..Letter::default() }.into()),
        (Code::BadRequest, Store { op: StoreOp::Unknown(99), name: "n", ..Store::default() }.into()),
        (Code::BadRequest, List { what: What::Unknown(99), ..List::default() }.into()),
        (Code::BadRequest, List { what: What::Names, after: "7-", ..List::default() }.into()),
        (Code::BadRequest, List { what: What::Members, name: "n", after: "7", ..List::default() }.into()),
        (Code::BadRequest, Watch::default().into()),
        (Code::BadRequest, Watch { name: "n", stations: true, ..Watch::default() }.into()),
        (Code::BadName, Watch { name: "\n", members: true, ..Watch::default() }.into()),
        (Code::BadName, Declare { name: "n::*", ..Declare::default() }.into()),
    ];
    for (i, (code, what)) in (1..).zip(everything) {
        assert_eq!(asked(&mut w, a, what), code, "{what:?}");
        assert_eq!(w.router.counters().get(Counter::BadRequest), i, "{what:?}");
    }
    assert_eq!((w.used("names"), w.used("watches")), (0, 0));
    // the node's own configuration is told, too
    for name in ["", "n::*", "\n"] {
        assert_eq!(w.router.declare_name(name), Code::BadName, "{name:?}");
    }
}

#[test]
fn a_station_s_name_that_is_too_long_is_refused_at_the_hello() {
    let mut w = World::default();
    let long: &'static str = "n".repeat(49).leak();
    let s = w.station(long);
    assert_eq!(w.take(s).iter().find(|seen| matches!(seen, Seen::Refused(_))), Some(&Seen::Refused(Code::BadName)));
    let odd = w.station("a\u{7f}");
    assert!(w.take(odd).contains(&Seen::Refused(Code::BadName)));
    let whole = w.station(&long[..48]);
    assert!(w.stations[whole].client.is_ready());
    assert!(!w.stations[s].client.is_ready() && !w.stations[odd].client.is_ready());
}

#[test]
fn a_watcher_takes_frames_that_any_news_fits() {
    let mut w = World::default();
    let a = w.station_with(Options { max_frame: 511, ..Options::default() }, Rights::ALL);
    let news = Watch { stations: true, ..Watch::default() };
    assert_eq!(asked(&mut w, a, news), Code::TooBig);
    let b = w.station_with(Options { max_frame: 512, ..Options::default() }, Rights::ALL);
    assert_eq!(asked(&mut w, b, news), Code::Ok);
}

#[test]
fn d12_a_full_table_refuses_and_gives_back_what_it_had_begun_to_take() {
    // the second row of names is the instance's
    let mut w = world(Limits { names: 2, ..Limits::NONE });
    let (a, b) = (w.station("a"), w.station("b"));
    w.join(a, "x");
    assert_eq!(asked(&mut w, b, Join { name: "y", instance: "i", ..Join::default() }), Code::Full);
    assert_eq!((w.used("names"), w.used("memberships")), (1, 1), "the name is not held for nothing");
    assert_eq!(asked(&mut w, b, Join { name: "x", instance: "i", ..Join::default() }), Code::Ok);
    assert_eq!(asked(&mut w, b, Join { name: "y", ..Join::default() }), Code::Full);
    assert_eq!(asked(&mut w, b, Watch { name: "y", members: true, ..Watch::default() }), Code::Full);
    assert_eq!(asked(&mut w, b, Declare { name: "y", ..Declare::default() }), Code::Full);
    assert_eq!(w.router.declare_name("y"), Code::Full);
    assert_eq!(w.router.counters().get(Counter::TableFull), 4);
    w.unplug(b);
    assert_eq!((w.used("names"), w.used("memberships")), (1, 1));

    let mut w = world(Limits { members: 2, ..Limits::NONE });
    let (a, b, c) = (w.station("a"), w.station("b"), w.station("c"));
    w.join(a, "x");
    w.join(b, "x");
    assert_eq!(asked(&mut w, c, Join { name: "y", instance: "i", ..Join::default() }), Code::Full);
    assert_eq!((w.used("names"), w.used("memberships")), (1, 2), "neither name nor instance is held for nothing");

    let mut w = world(Limits { watches: 2, ..Limits::NONE });
    let (a, b, c) = (w.station("a"), w.station("b"), w.station("c"));
    let news = Watch { stations: true, ..Watch::default() };
    assert_eq!([a, b, c].map(|s| asked(&mut w, s, news)), [Code::Ok, Code::Ok, Code::Full]);
    let of_name = Watch { name: "n", members: true, ..Watch::default() };
    assert_eq!(asked(&mut w, c, of_name), Code::Full);
    assert_eq!((w.used("names"), w.used("watches")), (0, 2), "the name is not held for nothing");
    // with one of them gone there is room again
    w.unplug(a);
    assert_eq!(asked(&mut w, c, of_name), Code::Ok);
}

#[test]
fn d9_the_longest_letter_that_is_taken_can_wait() {
    let mut w = World::new(|s| s.max_frame = 512);
    let (a, b) = (w.station("a"), w.station("b"));
    assert_eq!(w.router.declare_name("n"), Code::Ok);
    w.take(a);
    let mut kept = Vec::new();
    for len in 440.. {
        let letter = Letter { name: "n", keep: true, body: vec![b'x'; len].leak(), ..Letter::default() };
        if w.stations[a].client.request(w.now, &letter.into()) == Err(SendError::TooBig) {
            break;
        }
        w.drive();
        let said = w.take(a);
        assert!(matches!(&said[..], [Seen::Outcome { code: Code::Kept, .. }]), "{len}: {said:?}");
        kept.push(len);
    }
    assert!(kept.len() > 10, "{kept:?}");
    w.join(b, "n");
    assert_eq!(w.letters(b).iter().map(|letter| letter.body.len()).collect::<Vec<_>>(), kept);
}

#[test]
fn values_longer_than_the_node_takes_are_refused_and_not_shown_in_full() {
    let mut w = World::new(|s| s.max_value = 100);
    let a = w.station("a");
    let set = |len| Store { op: StoreOp::Set, name: "v", value: vec![b'x'; len].leak(), ..Store::default() };
    assert_eq!(asked(&mut w, a, set(101)), Code::TooBig);
    assert_eq!(asked(&mut w, a, set(100)), Code::Ok);
    // the limit falls while values are there, as by a reload
    let mut lower = settings();
    lower.max_value = 99;
    w.router.set(lower).expect("valid settings");
    assert_eq!(asked(&mut w, a, Store { op: StoreOp::Get, name: "v", ..Store::default() }), Code::TooBig);
    w.stations[a].client.list(w.now, &List { what: What::Values, ..List::default() }).unwrap();
    w.drive();
    let said = w.take(a);
    let [Seen::Item { name, value, count: 100, .. }, Seen::Outcome { code: Code::Ok, .. }] = &said[..] else {
        panic!("{said:?}")
    };
    assert_eq!((name.as_str(), value.len()), ("v", 0), "its length only");
}

#[test]
fn settings_that_cannot_be_are_refused_and_the_old_ones_stay() {
    let mut w = World::default();
    const LONG: &str = "a name of more than forty-eight bytes, which is one";
    type Change = fn(&mut Settings<'static>);
    let wrong: [(ConfigError, Change); 7] = [
        (ConfigError::Frame, |s| s.max_frame = 255),
        (ConfigError::Frame, |s| s.max_frame = 4161),
        (ConfigError::Outbox, |s| s.outbox = 4096),
        (ConfigError::Node, |s| s.node = ""),
        (ConfigError::Node, |s| s.node = LONG),
        (ConfigError::Node, |s| s.node = "a\nb"),
        (ConfigError::Outbox, |s| s.outbox = 0),
    ];
    for (error, change) in wrong {
        let mut s = settings();
        change(&mut s);
        assert_eq!(w.router.set(s), Err(error));
    }
    let a = w.station("a");
    w.join(a, "n");
    assert!(w.stations[a].client.is_ready());
    // and without a table of what every node needs there is none
    let none = [
        Limits { stations: 0, ..Limits::NONE },
        Limits { names: 0, ..Limits::NONE },
        Limits { members: 0, ..Limits::NONE },
    ];
    for limits in none {
        assert_eq!(
            Router::new(parts(limits), settings(), Instant::ZERO).err(),
            Some(ConfigError::Tables),
            "{limits:?}"
        );
    }
    let mut few = parts(Limits::NONE);
    few.timers = &mut [];
    assert_eq!(Router::new(few, settings(), Instant::ZERO).err(), Some(ConfigError::Tables));
}

#[test]
fn the_address_of_who_is_gone_is_nobody_s() {
    let mut w = World::default();
    let id = w.router.admit(w.now, Newcomer::default()).expect("room");
    w.router.closed(w.now, id);
    assert_eq!(w.router.output(id).count(), 0);
    assert_eq!(w.router.receive(w.now, id, b"anything"), 8, "and what it still says is dropped");
    w.router.sent(w.now, id, 100);
    w.router.writable(w.now, id);
    w.router.closed(w.now, id);
    w.router.check().unwrap();
    assert!(w.router.next_action(w.now).is_none());
}

#[test]
fn who_was_refused_may_try_again_with_another_name() {
    let mut w = World::default();
    let s = w.station("a\n");
    assert!(w.stations[s].closed.iter().all(|why| *why != Reason::Lost));
    let said = w.take(s);
    assert!(said.contains(&Seen::Disconnected { why: Why::Refused, lost: 0 }), "{said:?}");
}
