//! Clients of Net::Clacks that have to wait for something: a password that is looked at elsewhere, a disk that
//! is not there yet (`wire/clacks.md` sections 4 and 8.7). What they say meanwhile waits, and is in order.

use chappe_core::id::StationId;
use chappe_core::router::store::Keeping;
use chappe_core::router::{Gate, Grant, Reason, Rights, Verdict};
use chappe_core::time::Duration;
use chappe_host_tests::clacks::host::Host;
use chappe_host_tests::clacks::ours::{on_disk, ours, with_gate};
use chappe_host_tests::clacks::plain::Times;
use chappe_host_tests::clacks::users::User;
use chappe_host_tests::world::World;

/// Says later to everybody whose password is not `quick`.
struct Slow;

impl Gate for Slow {
    fn check(&self, _: &str, _: &[u8]) -> Option<Grant> {
        panic!("the router asks for a decision")
    }
    fn decide(&self, _: StationId, user: &str, _: &[u8]) -> Verdict {
        match user {
            "busy" => Verdict::Busy("come back later"),
            "quick" => Verdict::Granted(Grant::anonymous(Rights::ALL)),
            _ => Verdict::Later,
        }
    }
    fn allows(&self, _: Grant, _: Rights, _: &str) -> bool {
        true
    }
}

static SLOW: Slow = Slow;

fn slow() -> (World, usize) {
    let mut w = with_gate(&SLOW, Times::DEFAULT, 0, |_| {});
    let main = w.visitor();
    let line = format!("OVERHEAD A {}", chappe_host_tests::clacks::token("quick", "x"));
    w.tell(main, &line);
    assert_eq!(w.told(main).len(), 3);
    (w, main)
}

fn verdict(w: &mut World, c: usize, verdict: Verdict) {
    let id = w.wires[c].id.expect("it waits");
    w.router.verified(w.now, id, verdict);
    w.drive();
}

const READ: Verdict = Verdict::Granted(Grant::anonymous(Rights::READ));
const ALL: Verdict = Verdict::Granted(Grant::anonymous(Rights::ALL));

#[test]
fn what_stands_behind_the_token_waits_for_the_verdict() {
    for piece in [1, 7, usize::MAX] {
        let (mut w, main) = slow();
        w.tell(main, "STORE a=1");
        w.piece = piece;
        let c = w.visitor();
        w.told(c);
        w.tell_all(c, &["CLACKS c", &User::Main.line(), "RETRIEVE a", "STORE a=2", "RETRIEVE a", "FLUSH 1"]);
        w.wait(2_000);
        assert_eq!(w.told(c), [""; 0], "and it hears nothing");
        assert_eq!(w.value(main, "a").as_deref(), Some("1"));
        w.tell(c, "FLUSH 2");
        verdict(&mut w, c, Verdict::Later);
        assert_eq!(w.told(c), [""; 0], "that was no news");
        verdict(&mut w, c, ALL);
        assert_eq!(w.told(c), ["OVERHEAD O Welcome!", "RETRIEVED a=1", "RETRIEVED a=2", "FLUSHED 1", "FLUSHED 2"]);
        verdict(&mut w, c, Verdict::Denied);
        w.fence(c);
    }
}

#[test]
fn wrong_then_lingers_and_discards_what_waited() {
    let (mut w, main) = slow();
    let c = w.visitor();
    w.told(c);
    w.tell_all(c, &[&User::Main.line(), "STORE a=1", "OVERHEAD GM x", "FLUSH 1"]);
    verdict(&mut w, c, Verdict::Denied);
    assert_eq!(w.told(c), ["OVERHEAD F Login failed!"]);
    w.tell_all(c, &["STORE a=1", &User::Main.line()]);
    assert!(w.is_open(c), "it lingers");
    w.wait(3_000);
    assert_eq!((w.wires[c].closed, w.told(c)), (Some(Reason::Credentials), vec![]));
    assert_eq!(w.value(main, "a"), None);
}

#[test]
fn busy_is_not_wrong() {
    // a library that sees F gives up for good (section 4.3)
    let (mut w, main) = slow();
    let c = w.visitor();
    w.told(c);
    w.tell(c, &format!("OVERHEAD A {}", chappe_host_tests::clacks::token("busy", "x")));
    let lines = w.told(c);
    assert!(lines.iter().all(|l| l.starts_with("OVERHEAD E ")), "{lines:?}");
    w.wait(3_000);
    assert_eq!(w.wires[c].closed, Some(Reason::Unchecked));
    w.fence(main);
}

#[test]
fn the_time_to_log_in_goes_on() {
    let (mut w, _) = slow();
    let c = w.visitor();
    w.told(c);
    w.tell_all(c, &[&User::Main.line(), "FLUSH 1"]);
    w.wait(20_000);
    assert!(!w.is_open(c));
    assert_eq!(w.told(c), [""; 0], "section 4.3: without a line");
}

#[test]
fn again_on_a_live_session() {
    let (mut w, main) = slow();
    let c = w.visitor();
    w.told(c);
    w.tell(c, &User::Rw.line());
    verdict(&mut w, c, ALL);
    w.tell(c, "LISTEN x");
    w.told(c);
    // right: other rights from there on, and what waited has them
    w.tell_all(c, &["STORE a=1", &User::Ro.line(), "STORE a=2", "RETRIEVE a"]);
    assert_eq!(w.value(main, "a").as_deref(), Some("1"));
    assert_eq!(w.told(c), [""; 0]);
    // signals come meanwhile or after it, but they come
    w.tell(main, "SET x=1");
    verdict(&mut w, c, READ);
    let mut lines = w.told(c);
    let signal = lines.iter().position(|l| l == "SET x=1").expect("it listens on");
    lines.remove(signal);
    assert_eq!(lines, ["OVERHEAD O Welcome!", "OVERHEAD E permission_denied", "RETRIEVED a=1"]);
    // wrong
    w.tell_all(c, &[&User::Wo.line(), "RETRIEVE a"]);
    verdict(&mut w, c, Verdict::Denied);
    assert_eq!(w.told(c), ["OVERHEAD F Login failed!"]);
    w.tell(main, "SET x=2");
    w.wait(3_000);
    assert_eq!((w.is_open(c), w.told(c)), (false, vec![]));
    w.fence(main);
}

#[test]
fn a_long_look_at_a_live_session_costs_it_nothing() {
    let (mut w, _) = slow();
    let c = w.visitor();
    w.told(c);
    w.tell(c, &User::Rw.line());
    verdict(&mut w, c, ALL);
    w.told(c);
    w.wait(170_000);
    w.tell_all(c, &[&User::Rw.line(), "PING", "FLUSH 1"]);
    w.wait(30_000);
    w.wires[c].lines.retain(|l| l != b"NOP");
    assert_eq!(w.told(c), [""; 0], "while it is not heard its silence does not count");
    verdict(&mut w, c, ALL);
    assert_eq!(w.told(c), ["OVERHEAD O Welcome!", "FLUSHED 1"]);
}

#[test]
fn one_that_leaves_while_it_waits() {
    let (mut w, main) = slow();
    for again in [false, true] {
        let c = w.visitor();
        w.tell(c, &User::Rw.line());
        if again {
            verdict(&mut w, c, ALL);
            w.tell_all(c, &["LISTEN x", &User::Rw.line(), "STORE a=1"]);
        }
        let id = w.wires[c].id.unwrap();
        w.part(c);
        w.router.verified(w.now, id, ALL);
        w.drive();
        w.tell(main, "NOTIFY x");
        assert_eq!(w.value(main, "a"), None);
        assert_eq!(w.router.check(), Ok(()));
    }
    // and a lock that comes while it waits
    let c = w.visitor();
    w.told(c);
    w.tell_all(c, &[&User::Rw.line(), "FLUSH 1"]);
    let master = w.open(chappe_host_tests::clacks::host::Opening { to_master: true, peer: None }).unwrap();
    w.tell(master, "CLACKS PageCamel 36");
    w.tell(master, &format!("OVERHEAD A {}", chappe_host_tests::clacks::token("quick", "x")));
    w.tell(master, "OVERHEAD L 1");
    verdict(&mut w, c, ALL);
    assert!(!w.told(c).contains(&"FLUSHED 1".to_string()), "it is locked");
    w.tell(master, "OVERHEAD L 0");
    assert!(w.told(c).contains(&"FLUSHED 1".to_string()));
}

/// The disk has come so far.
fn keep(w: &mut World, disk: &chappe_host_tests::disk::Disk, changes: u64) {
    disk.kept.set(changes);
    w.router.stored(w.now);
    w.drive();
}

#[test]
fn a_flush_waits_for_the_disk_and_so_does_what_stands_behind_it() {
    for piece in [3, usize::MAX] {
        let (mut w, disk) = on_disk(|_| {});
        let (c, other) = (w.client(User::Wo), w.client(User::Main));
        w.piece = piece;
        assert_eq!(w.ask(c, "FLUSH 0"), ["FLUSHED 0"], "there is nothing to wait for");
        w.tell_all(c, &["STORE a=1", "FLUSH 1", "STORE a=2", "FLUSH 2", "NONSENSE"]);
        w.wait(500);
        assert_eq!(w.told(c), [""; 0]);
        assert_eq!(w.value(other, "a").as_deref(), Some("1"), "others are heard");
        keep(&mut w, disk, 1);
        assert_eq!(w.told(c), ["FLUSHED 1"]);
        assert_eq!(w.value(other, "a").as_deref(), Some("2"));
        keep(&mut w, disk, 2);
        assert_eq!(w.told(c), ["FLUSHED 2", "OVERHEAD E unknown_command NONSENSE"]);
        // it hears what others say meanwhile
        w.tell(other, "LISTEN x");
        w.tell_all(other, &["STORE b=1", "FLUSH 3"]);
        w.tell(c, "SET x=1");
        assert_eq!(w.told(other), ["SET x=1"]);
        keep(&mut w, disk, 3);
        assert_eq!(w.told(other), ["FLUSHED 3"]);
    }
}

#[test]
fn a_disk_that_fails_or_is_slow_is_told_by_name() {
    let (mut w, disk) = on_disk(|s| s.flush = Duration::from_secs(20));
    let (c, other) = (w.client(User::Main), w.client(User::Main));
    w.tell_all(c, &["STORE a=1", "FLUSH 1", "RETRIEVE a"]);
    w.wait(25_000);
    let lines = w.told(c);
    assert_eq!(lines.last().map(String::as_str), Some("RETRIEVED a=1"), "it goes on: {lines:?}");
    assert!(lines[..lines.len() - 1].iter().all(|l| l.starts_with("OVERHEAD E ")) && lines.len() == 2, "{lines:?}");
    w.tell_all(c, &["STORE a=2", "FLUSH 2"]);
    disk.how.set(Keeping::Failing);
    keep(&mut w, disk, 1);
    let lines = w.told(c);
    assert!(lines.len() == 1 && lines[0].starts_with("OVERHEAD E "), "it is not flushed: {lines:?}");
    for line in ["STORE a=3", "SETANDSTORE a=3", "REMOVE a", "INCREMENT a", "CLEARCACHE", "FLUSH 3"] {
        let lines = w.ask(c, line);
        assert!(lines.len() == 1 && lines[0].starts_with("OVERHEAD E "), "{line}: {lines:?}");
    }
    assert_eq!(w.value(other, "a").as_deref(), Some("2"), "nothing has changed");
    disk.how.set(Keeping::Disk);
    let changes = disk.changes.get();
    keep(&mut w, disk, changes);
    assert_eq!(w.ask(c, "FLUSH 4"), ["FLUSHED 4"]);
    // pings stand behind a flush too: nobody is closed for a disk
    w.tell_all(c, &["STORE a=4", "FLUSH 5", "PING"]);
    w.tell(other, "NOPING");
    w.wait(19_000);
    assert!(w.is_open(c));
}

#[test]
fn one_that_leaves_while_its_flush_waits() {
    let (mut w, disk) = on_disk(|_| {});
    let other = w.client(User::Main);
    for how in 0..3 {
        let c = w.client(User::Rw);
        w.tell_all(c, &["STORE a=1", "FLUSH 1", "STORE late=1", "QUIT"]);
        match how {
            0 => w.part(c),
            1 => w.tell(other, "PING"),
            _ => w.tell(c, "FLUSH 2"),
        }
        let changes = disk.changes.get();
        keep(&mut w, disk, changes);
        let changes = disk.changes.get();
        keep(&mut w, disk, changes);
        w.wait(3_000);
        assert!(!w.is_open(c));
        assert_eq!(w.value(other, "late").is_some(), how > 0, "{how}");
        assert_eq!(w.used("flushes"), 0);
    }
}

#[test]
fn shutdown_when_it_is_time() {
    // the timer vector of section 17
    for (line, ms) in [("OVERHEAD S 2", 2_000), ("OVERHEAD S 0.5", 500), ("OVERHEAD SG 2", 2_000)] {
        let mut w = ours(|_| {});
        let (a, b) = (w.client(User::Main), w.client(User::Ro));
        assert_eq!(w.ask(b, line), ["OVERHEAD E permission_denied"]);
        assert_eq!(w.ask(a, "OVERHEAD S 0"), [""; 0]);
        w.tell(a, line);
        w.told(a);
        assert_eq!(w.told(b), [""; 0], "it is not forwarded");
        let begin = w.now;
        let station = loop {
            w.wait(50);
            if let Some(who) = w.router.stop_asked() {
                break who;
            }
            assert!(w.now.since(begin).millis() < 5_000, "{line}");
        };
        let took = w.now.since(begin).millis();
        assert!((ms..=ms + 1_500).contains(&took), "{line}: after {took} ms");
        assert_eq!(Some(station), w.wires[a].id);
        w.router.stop(w.now);
        w.drive();
        for c in [a, b] {
            assert_eq!(w.told(c), ["", "QUIT"], "{line}");
        }
        w.wait(5_000);
        assert!(!w.is_open(a) && !w.is_open(b));
        assert!(w.open(Default::default()).is_none(), "nobody else comes");
    }
    // not if the node does not let itself be stopped
    let mut w = ours(|s| s.clacks.shutdown = false);
    let a = w.client(User::Main);
    let lines = w.ask(a, "OVERHEAD S 1");
    assert!(lines.len() <= 1, "{lines:?}");
    w.wait(10_000);
    assert_eq!(w.router.stop_asked(), None);
    for line in
        ["OVERHEAD S x", "OVERHEAD S -1", "OVERHEAD S 0", "OVERHEAD S 1e300", "OVERHEAD S NaN", "OVERHEAD S Inf"]
    {
        let mut w = ours(|_| {});
        let a = w.client(User::Main);
        w.tell(a, line);
        w.wires[a].lines.clear();
        w.wait(1_000);
        w.fence(a);
    }
}
