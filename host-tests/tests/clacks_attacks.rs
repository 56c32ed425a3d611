//! What a hostile reader of the dialect of Net::Clacks tried, and what must not come of it.

use chappe_core::model::{Code, Letter, Store, StoreOp};
use chappe_core::router::{Gate, Grant, Reason, Rights};
use chappe_host_tests::clacks::base64;
use chappe_host_tests::clacks::host::Host;
use chappe_host_tests::clacks::ours::{ours, small, with_gate};
use chappe_host_tests::clacks::plain::Times;
use chappe_host_tests::clacks::users::{USERS, User};
use chappe_host_tests::event::Seen;
use chappe_host_tests::world::World;

/// The page's users, of whom `rwuser` may do what it may for names below `home/` only.
struct Homely;

static HOMELY: Homely = Homely;

impl Gate for Homely {
    fn check(&self, user: &str, token: &[u8]) -> Option<Grant> {
        let grant = USERS.check(user, token)?;
        Some(Grant { restricted: user == "rwuser", ..grant })
    }

    fn allows(&self, _: Grant, _: Rights, name: &str) -> bool {
        name.starts_with("home/")
    }
}

#[test]
fn who_gives_up_the_right_to_manage_looks_on_no_more() {
    let mut w = ours(|_| {});
    let (spy, other) = (w.client(User::Main), w.client(User::Main));
    w.tell(spy, "MONITOR");
    w.tell(spy, &User::Ro.line());
    w.told(spy);
    w.tell(other, "STORE secret=1");
    assert_eq!(w.told(spy), [""; 0]);
    w.tell(spy, &User::Main.line());
    w.tell(spy, "MONITOR");
    w.told(spy);
    w.tell(other, "STORE secret=2");
    assert_eq!(w.told(spy).len(), 1, "and may do so again");
}

#[test]
fn who_gives_up_the_right_to_read_listens_no_more() {
    let mut w = with_gate(&HOMELY, Times::DEFAULT, 0, |_| {});
    let (c, other) = (w.client(User::Ro), w.client(User::Main));
    w.tell(c, "LISTEN x");
    w.tell(c, "LISTEN home/x");
    w.tell(c, &User::Rw.line());
    w.told(c);
    w.tell(other, "SET x=1");
    w.tell(other, "SET home/x=1");
    assert_eq!(w.told(c), ["SET home/x=1"], "of what its grant is for");
    w.tell(c, &User::Wo.line());
    w.told(c);
    w.tell(other, "SET x=2");
    w.tell(other, "SET home/x=2");
    assert_eq!(w.told(c), [""; 0]);
    assert_eq!(w.used("memberships"), 0);
}

#[test]
fn an_overhead_to_all_costs_nobody_who_reads_its_connection() {
    let mut w = ours(|_| {});
    let sender = w.client(User::Rw);
    let others: Vec<usize> = (0..80).map(|_| w.client(User::Ro)).collect();
    let line = format!("OVERHEAD GM {}\r\n", "x".repeat(150_000));
    for c in &others {
        w.told(*c);
    }
    w.tell_bytes(sender, line.repeat(6).as_bytes());
    for c in &others {
        assert!(w.is_open(*c), "{:?}", w.wires[*c].closed);
        assert_eq!(w.told(*c).len(), 6, "each once");
    }
    w.told(sender);
    w.fence(sender);
    assert_eq!(w.used("buffer_blocks"), 0);
}

#[test]
fn long_lines_cost_no_monitor_that_reads_its_connection() {
    let mut w = small(|_| {});
    let sender = w.client(User::Rw);
    let monitors: Vec<usize> = (0..9).map(|_| w.client(User::Main)).collect();
    for c in &monitors {
        w.tell(*c, "MONITOR");
    }
    for c in &monitors {
        w.told(*c);
    }
    let line = format!("SET k={}\r\n", "x".repeat(3500));
    w.tell_bytes(sender, line.repeat(12).as_bytes());
    for c in &monitors {
        assert!(w.is_open(*c), "{:?}", w.wires[*c].closed);
        assert_eq!(w.told(*c).len(), 12, "each once");
    }
}

#[test]
fn a_verb_goes_only_to_names_that_the_grant_covers() {
    let mut w = with_gate(&HOMELY, Times::DEFAULT, 0, |_| {});
    let s = w.station("native");
    w.join(s, "home");
    w.take(s);
    let c = w.client(User::Rw);
    for line in ["SET home/STOP=now", "NOTIFY home/STOP", "SET home/STOP=a=b"] {
        w.tell(c, line);
        assert_eq!(w.letters(s).len(), 0, "home is not below home/: {line}");
    }
    w.told(c);
    w.fence(c);
}

fn set(w: &mut World, s: usize, name: &str, value: &[u8]) {
    let seq = w.stations[s].client.store(w.now, &Store { op: StoreOp::Set, name, value, ..Store::default() });
    assert!(seq.is_ok());
    w.drive();
}

fn get(w: &mut World, s: usize, name: &str) -> Option<Vec<u8>> {
    w.take(s);
    let _ = w.stations[s].client.store(w.now, &Store { op: StoreOp::Get, name, ..Store::default() });
    w.drive();
    w.take(s).into_iter().find_map(|seen| match seen {
        Seen::Value { value, .. } => Some(value),
        _ => None,
    })
}

#[test]
fn d10_a_native_value_that_no_line_holds_survives_its_way_over_a_link() {
    let mut w = ours(|_| {});
    let s = w.station("native");
    let c = w.client(User::Main);
    let (link, _) = w.linked();
    set(&mut w, s, "v", b"a\nb");
    let marked = format!("PAGECAMELCLACKSB64:{}", base64(b"a\nb"));
    assert_eq!(w.told(link), [format!("STORE v={marked}")]);
    // the other node tells it again, with its own, later time
    w.tell(link, &format!("KEYSYNC 4000000000 4000000000 U v={marked}"));
    assert_eq!(get(&mut w, s, "v").as_deref(), Some(&b"a\nb"[..]));
    // and so does one that hears of it for the first time
    w.tell(link, &format!("STORE w={marked}"));
    w.tell(link, &format!("SETANDSTORE x={marked}"));
    w.tell(link, &format!("KEYSYNC 4000000000 4000000000 U y={marked}"));
    w.told(c);
    for name in ["w", "x", "y"] {
        assert_eq!(get(&mut w, s, name).as_deref(), Some(&b"a\nb"[..]), "{name}");
        assert_eq!(w.value(c, name), Some(marked.clone()), "as it was stored");
    }
    // what a line can hold stays as it is, marker or not
    for value in
        ["PAGECAMELCLACKSB64:YQ==", "PAGECAMELCLACKSB64:YQ pi", "PAGECAMELCLACKSB64:YQpj=", "PAGECAMELCLACKSB64:"]
    {
        w.tell(c, &format!("STORE z={value}"));
        assert_eq!(w.value(c, "z").as_deref(), Some(value));
        assert_eq!(get(&mut w, s, "z").as_deref(), Some(value.as_bytes()));
    }
}

#[test]
fn who_connects_while_the_master_sends_its_values_is_given_its_time_to_log_in() {
    let mut w = ours(|_| {});
    let master = w.to_master();
    w.tell(master, "OVERHEAD L 1");
    let c = w.visitor();
    w.told(c);
    w.tell(c, &User::Main.line());
    w.tell(c, "FLUSH 1");
    for k in 0..4 {
        w.wait(10_000);
        w.tell(master, &format!("KEYSYNC 4000000000 4000000000 U {k}=1"));
    }
    assert!(w.is_open(c), "nobody listened to it: {:?}", w.wires[c].closed);
    w.tell(master, "OVERHEAD L 0");
    assert_eq!(w.told(c), ["OVERHEAD O Welcome!", "FLUSHED 1"]);
    // and its time ends all the same
    w.tell(master, "OVERHEAD L 1");
    let late = w.visitor();
    w.tell(master, "OVERHEAD L 0");
    w.wait(16_000);
    assert_eq!(w.wires[late].closed, Some(Reason::NotIntroduced));
}

#[test]
fn slaves_do_not_take_the_place_of_the_master() {
    let mut w = ours(|_| {});
    for _ in 0..40 {
        let c = w.client(User::Main);
        w.wires[c].link = true;
        w.tell(c, "OVERHEAD I 1");
        w.told(c);
    }
    let master = w.to_master();
    assert!(w.is_open(master));
}

#[test]
fn a_letter_of_everybody_s_is_not_lost_on_who_was_paused() {
    let mut w = ours(|_| {});
    let (c, other) = (w.client(User::Main), w.client(User::Main));
    w.tell(c, "LISTEN x");
    w.tell_all(c, &["KEYLIST", "FLUSH 1", "CLIENTLIST", "FLUSH 2", "KEYLIST", &User::Ro.line(), "KEYLIST", "FLUSH 3"]);
    w.tell(other, "SET x=1");
    let lines = w.told(c);
    assert_eq!(lines.iter().filter(|l| l.starts_with("FLUSHED")).count(), 3, "{lines:?}");
    assert_eq!(lines.last().map(String::as_str), Some("SET x=1"));
    let s = w.station("native");
    let seq = w.call(s, &Letter { name: "x", verb: "DO", ..Letter::default() });
    assert_ne!(w.replies(s, seq)[0].0, Code::Ok);
}

#[test]
fn d4_an_announced_value_costs_nobody_who_reads_its_connection() {
    let mut w = ours(|s| {
        s.max_frame = 70_000;
        s.outbox = 2 << 20;
    });
    let listeners: Vec<usize> = (0..90).map(|_| w.client(User::Ro)).collect();
    for c in &listeners {
        w.tell(*c, "LISTEN v");
    }
    let natives: Vec<usize> = (0..8).map(|_| w.station("native")).collect();
    let value = vec![b'v'; 62_000];
    for s in &natives {
        let set = Store { op: StoreOp::Set, name: "v", value: &value, announce: true, ..Store::default() };
        w.stations[*s].client.store(w.now, &set).unwrap();
    }
    w.drive();
    for c in &listeners {
        assert!(w.is_open(*c), "{:?}", w.wires[*c].closed);
        assert_eq!(w.told(*c).len(), natives.len(), "each once");
    }
    for s in &natives {
        let done = w.take(*s).into_iter().filter(|seen| matches!(seen, Seen::Outcome { code: Code::Ok, .. })).count();
        assert_eq!(done, 1, "each is told once");
    }
}
