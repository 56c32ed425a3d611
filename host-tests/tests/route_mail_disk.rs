//! D9 across restarts: what waits on disk waits again in the next life of the node, in order, is delivered
//! once, and never after it expires, whatever becomes of the calendar.

use chappe_core::dialect::messi::frame::Framing;
use chappe_core::dialect::messi::wire::{Writer, kind};
use chappe_core::model::{ClientToServer, Code, Declare, Join, Letter, List, Message, Store, StoreOp, What};
use chappe_core::router::store::{Keeping, Stamp};
use chappe_core::router::{Action, Counter, Settings};
use chappe_core::storage::StoreRef;
use chappe_core::time::Duration;
use chappe_host_tests::disk::{Copy, Disk, OnDisk};
use chappe_host_tests::event::Seen;
use chappe_host_tests::memory::Services;
use chappe_host_tests::random::Random;
use chappe_host_tests::world::World;
use serde_json::json;
use std::collections::{BTreeMap, VecDeque};

/// Some day in 2026, in microseconds since 1970.
const TODAY: u64 = 1_795_190_000_000_000;

/// Microseconds of an hour.
const HOUR: u64 = 3_600_000_000;

/// Rows for messages that wait.
const ROWS: usize = 64;

fn disk() -> &'static Disk {
    Box::leak(Box::default())
}

fn life(disk: &'static Disk, calendar: u64) -> (World, Vec<Code>) {
    World::on_disk(disk, calendar, ROWS, |_| {})
}

fn declare(w: &mut World, s: usize, name: &str, forget: bool) {
    w.stations[s].client.declare(&Declare { name, forget, ..Declare::default() }).unwrap();
    w.drive();
}

fn keep(w: &mut World, s: usize, letter: &Letter<'_>) -> Code {
    w.send(s, &Letter { keep: true, seq: 9, ..*letter });
    w.outcomes(s, 9)[0].0
}

fn keep_bodies(w: &mut World, s: usize, name: &str, bodies: &[&str]) {
    for body in bodies {
        assert_eq!(keep(w, s, &Letter { name, body: body.as_bytes(), ..Letter::default() }), Code::Kept);
    }
}

/// The names that are declared or joined.
fn names(w: &mut World, s: usize) -> Vec<String> {
    w.take(s);
    let now = w.now;
    w.stations[s].client.list(now, &List { what: What::Names, ..List::default() }).unwrap();
    w.drive();
    let name = |seen| if let Seen::Item { name, .. } = seen { Some(name) } else { None };
    w.take(s).into_iter().filter_map(name).collect()
}

#[test]
fn d9_mail_of_an_earlier_life_is_delivered_once_and_in_order_with_what_came_since() {
    let disk = disk();
    let (mut w, _) = life(disk, TODAY);
    let a = w.station("a");
    declare(&mut w, a, "box", false);
    declare(&mut w, a, "other", false);
    keep_bodies(&mut w, a, "box", &["1", "2"]);
    keep_bodies(&mut w, a, "other", &["x"]);
    let only = Letter { name: "box", instance: "one", body: b"3", verb: "V", ..Letter::default() };
    assert_eq!(keep(&mut w, a, &only), Code::Kept);
    keep_bodies(&mut w, a, "box", &["4"]);
    drop(w);
    let (mut w, codes) = life(disk, TODAY + 1_000_000);
    assert_eq!(codes, [Code::Ok; 5]);
    assert_eq!((w.router.counters().get(Counter::MailRestored), w.used("mail")), (5, 5));
    let (a, b, c) = (w.station("a"), w.station("b"), w.station("c"));
    keep_bodies(&mut w, a, "box", &["5"]);
    w.join(b, "box");
    assert_eq!(w.bodies(b), ["1", "2", "3", "4", "5"], "who joins without an instance gets that for each");
    assert_eq!(disk.delivered.borrow().len(), 5);
    w.join_as(c, &Join { name: "box", instance: "one", ..Join::default() });
    assert_eq!(w.bodies(c), [""; 0], "delivered once");
    drop(w);
    let (mut w, codes) = life(disk, TODAY + 2_000_000);
    assert_eq!(codes, [Code::Ok], "what was delivered is gone from the disk too");
    let b = w.station("b");
    w.join(b, "other");
    assert_eq!(w.bodies(b), ["x"]);
    assert!(disk.mail.borrow().is_empty());
}

#[test]
fn d9_an_instance_gets_what_is_for_it_and_the_rest_waits_on() {
    let disk = disk();
    let (mut w, _) = life(disk, TODAY);
    let a = w.station("a");
    declare(&mut w, a, "box", false);
    for instance in ["one", "*", "two"] {
        let letter = Letter { name: "box", instance, body: instance.as_bytes(), ..Letter::default() };
        assert_eq!(keep(&mut w, a, &letter), Code::Kept);
    }
    drop(w);
    let (mut w, _) = life(disk, TODAY);
    let (b, c) = (w.station("b"), w.station("c"));
    w.join_as(b, &Join { name: "box", instance: "two", ..Join::default() });
    assert_eq!(w.bodies(b), ["two"]);
    let left: Vec<_> = disk.mail.borrow().values().map(|copy| copy.instance.clone()).collect();
    assert_eq!(left, ["one", ""]);
    w.join(c, "box");
    assert_eq!(w.bodies(c), ["one", "*"]);
}

#[test]
fn d6_the_sender_of_an_earlier_life_is_nobody() {
    let disk = disk();
    let (mut w, _) = life(disk, TODAY);
    let a = w.station("a");
    let sender = w.address(a);
    declare(&mut w, a, "box", false);
    let letter = Letter { name: "box", verb: "V", body: b"1", params: Default::default(), ..Letter::default() };
    assert_eq!(keep(&mut w, a, &letter), Code::Kept);
    assert_eq!(disk.mail.borrow().values().next().unwrap().from, sender);
    drop(w);
    let (mut w, _) = life(disk, TODAY);
    let b = w.station("b");
    assert_eq!(w.address(b), sender, "addresses begin anew");
    w.join(b, "box");
    // it is not withheld from who has that address now, and does not name it
    let got = w.letters(b);
    assert_eq!((got.len(), got[0].from, got[0].verb.as_str(), got[0].body.as_slice()), (1, 0, "V", &b"1"[..]));
}

#[test]
fn mail_of_an_earlier_life_is_translated_and_comes_from_nobody() {
    let disk = disk();
    let (mut w, _) = life(disk, TODAY);
    let a = w.station("a");
    declare(&mut w, a, "box", false);
    let letter = Letter { name: "box", verb: "SET", body: b"21.5", ..Letter::default() };
    assert_eq!(keep(&mut w, a, &letter), Code::Kept);
    let copy = disk.mail.borrow().values().next().unwrap().clone();
    let mut w = World::msgq(|_| {});
    assert_eq!(w.router.restore_mail(w.now, &copy.stored()), Code::Ok);
    let t = w.talker();
    w.introduce(t);
    w.subscribe(t, "box");
    let frames = w.heard(t);
    let frame = frames.last().expect("the letter");
    assert_eq!(frame.json(), json!({"command": ["SET", {"name": "box", "value": "21.5"}]}));
    assert_eq!(frame.text_of("from"), "5f3759df_0@test", "0 is never the address of anybody");
}

#[test]
fn d9_mail_expires_by_the_calendar_while_nobody_runs() {
    let disk = disk();
    let (mut w, _) = life(disk, TODAY);
    let a = w.station("a");
    declare(&mut w, a, "box", false);
    for (body, ttl_ms) in [("short", 10_000), ("long", 60_000)] {
        let letter = Letter { name: "box", body: body.as_bytes(), ttl_ms, ..Letter::default() };
        assert_eq!(keep(&mut w, a, &letter), Code::Kept);
    }
    drop(w);
    let (mut w, codes) = life(disk, TODAY + 20_000_000);
    assert_eq!(codes, [Code::TimedOut, Code::Ok]);
    assert_eq!(w.router.counters().get(Counter::MailExpired), 1);
    assert_eq!(disk.mail.borrow().len(), 1, "what has expired is gone from the disk too");
    // 20 s of 60 are over
    w.advance(39_000);
    assert_eq!(w.used("mail"), 1);
    w.advance(1_100);
    assert_eq!((w.used("mail"), w.used("names")), (0, 0));
    assert!(disk.mail.borrow().is_empty() && disk.delivered.borrow().is_empty());
    let b = w.station("b");
    w.join(b, "box");
    assert_eq!(w.bodies(b), [""; 0]);
}

#[test]
fn d9_a_clock_that_was_set_back_gives_no_mail_more_than_it_had_at_first() {
    let disk = disk();
    let (mut w, _) = life(disk, TODAY);
    let a = w.station("a");
    declare(&mut w, a, "box", false);
    for (body, ttl_ms) in [("1", 60_000), ("2", 7_200_000)] {
        let letter = Letter { name: "box", body: body.as_bytes(), ttl_ms, ..Letter::default() };
        assert_eq!(keep(&mut w, a, &letter), Code::Kept);
    }
    drop(w);
    // to 1970, more or less; and mail is not kept that long any more
    let hour = |s: &mut Settings<'static>| s.max_keep = Duration::from_secs(3600);
    let (mut w, codes) = World::on_disk(disk, 2 * HOUR, ROWS, hour);
    assert_eq!(codes, [Code::Ok; 2]);
    // numbers go on behind those that there are
    let a = w.station("a");
    keep_bodies(&mut w, a, "box", &["3"]);
    let numbers: Vec<_> = disk.mail.borrow().keys().copied().collect();
    assert!(numbers.is_sorted() && numbers[0] >= TODAY && numbers.len() == 3, "{numbers:?}");
    w.advance(60_100);
    assert_eq!(w.used("mail"), 2);
    w.advance(3_540_100);
    assert_eq!(w.used("mail"), 0);
}

#[test]
fn d9_a_name_counts_as_declared_while_mail_of_an_earlier_life_waits_for_it() {
    let disk = disk();
    let (mut w, _) = life(disk, TODAY);
    let a = w.station("a");
    for name in ["box", "kept", "dropped"] {
        declare(&mut w, a, name, false);
        keep_bodies(&mut w, a, name, &["1"]);
    }
    declare(&mut w, a, "empty", false);
    drop(w);
    let (mut w, _) = life(disk, TODAY);
    let (a, b) = (w.station("a"), w.station("b"));
    assert_eq!(names(&mut w, a), ["box", "kept", "dropped"]);
    declare(&mut w, a, "kept", false);
    // who takes the declaration back drops the mail
    declare(&mut w, a, "dropped", true);
    assert_eq!((w.used("mail"), disk.mail.borrow().len()), (2, 2));
    assert_eq!(w.router.counters().get(Counter::MailForgotten), 1);
    keep_bodies(&mut w, a, "box", &["2"]);
    for name in ["box", "kept", "dropped"] {
        w.join(b, name);
    }
    assert_eq!(w.bodies(b), ["1", "2", "1"]);
    w.unplug(b);
    // with the last of it the declaration goes, unless somebody has made it again
    assert_eq!(names(&mut w, a), ["kept"]);
    for (name, code) in [("box", Code::NoRecipient), ("kept", Code::Kept), ("dropped", Code::NoRecipient)] {
        assert_eq!(keep(&mut w, a, &Letter { name, body: b"3", ..Letter::default() }), code, "{name}");
    }
}

#[test]
fn d12_what_finds_no_room_in_the_next_life_stays_on_disk() {
    let disk = disk();
    let (mut w, _) = life(disk, TODAY);
    let a = w.station("a");
    declare(&mut w, a, "box", false);
    keep_bodies(&mut w, a, "box", &["1", "2", "3"]);
    drop(w);
    let (mut w, codes) = World::on_disk(disk, TODAY, 2, |_| {});
    assert_eq!(codes, [Code::Ok, Code::Ok, Code::Full]);
    assert_eq!((w.used("mail"), disk.mail.borrow().len()), (2, 3));
    let (a, b) = (w.station("a"), w.station("b"));
    assert_eq!(keep(&mut w, a, &Letter { name: "box", body: b"4", ..Letter::default() }), Code::Full);
    w.join(b, "box");
    assert_eq!(w.bodies(b), ["1", "2"]);
    drop(w);
    let (mut w, codes) = life(disk, TODAY);
    assert_eq!(codes, [Code::Ok]);
    let b = w.station("b");
    w.join(b, "box");
    assert_eq!(w.bodies(b), ["3"]);
}

#[test]
fn d12_mail_takes_half_of_memory_in_the_next_life_too() {
    let disk = disk();
    for number in 1..=60 {
        let bytes = letter_of(3000);
        let (name, until) = ("box".to_owned(), Stamp::from_micros(TODAY + HOUR));
        let copy = Copy { number, name, instance: String::new(), from: 7, until, within_ms: 3_600_000, form: 1, bytes };
        disk.mail.borrow_mut().insert(number, copy);
    }
    let (w, codes) = life(disk, TODAY);
    let fit = codes.iter().filter(|code| **code == Code::Ok).count();
    assert!((10..60).contains(&fit), "{fit}");
    assert!(codes[fit..].iter().all(|code| *code == Code::Full), "{codes:?}");
    assert_eq!(disk.mail.borrow().len(), 60);
    let blocks = w.router.usage().into_iter().find(|u| u.name == "buffer_blocks").unwrap();
    assert!(blocks.used <= blocks.limit / 2);
}

#[test]
fn what_is_no_message_is_refused_and_its_copy_stays() {
    let disk = disk();
    let good = Copy {
        number: 1,
        name: "box".into(),
        instance: String::new(),
        from: 0,
        until: Stamp::from_micros(TODAY + HOUR),
        within_ms: 3_600_000,
        form: 1,
        bytes: vec![],
    };
    let long = "x".repeat(129);
    let bad: [&dyn Fn(&mut Copy); 7] = [
        &|m| m.form = 0,
        &|m| m.form = 77,
        &|m| m.bytes = vec![0xff; 9],
        &|m| m.name = long.clone(),
        &|m| m.name = "box::*".into(),
        &|m| m.name = String::new(),
        &|m| m.instance = "a\u{1}".into(),
    ];
    for (i, change) in bad.iter().enumerate() {
        let mut copy = Copy { number: 10 + i as u64, ..good.clone() };
        change(&mut copy);
        disk.mail.borrow_mut().insert(copy.number, copy);
    }
    // longer than any frame buffer
    disk.mail.borrow_mut().insert(50, Copy { number: 50, bytes: letter_of(9000), ..good.clone() });
    disk.mail.borrow_mut().insert(99, Copy { number: 99, within_ms: 0, ..good.clone() });
    disk.mail.borrow_mut().insert(100, Copy { number: 100, until: Stamp::from_micros(u64::MAX), ..good });
    let (w, codes) = life(disk, TODAY);
    let mut want = vec![Code::BadRequest; 8];
    want.extend([Code::TimedOut, Code::Ok]);
    assert_eq!(codes, want);
    assert_eq!((w.used("mail"), w.used("names"), disk.mail.borrow().len()), (1, 1, 9));
}

/// A letter whose body has so many octets.
fn letter_of(len: usize) -> Vec<u8> {
    let (body, mut bytes) = (vec![b'x'; len], vec![0; len + 100]);
    let mut writer = Writer::new(&mut bytes);
    Letter { name: "box", body: &body, from: 7, ..Letter::default() }.write(&mut writer);
    let len = writer.finish().unwrap();
    bytes.truncate(len);
    bytes
}

#[test]
fn a_disk_that_fails_gets_its_copy_later_and_one_that_is_behind_gets_none() {
    let disk = disk();
    let (mut w, _) = life(disk, TODAY);
    let a = w.station("a");
    declare(&mut w, a, "box", false);
    disk.how.set(Keeping::Failing);
    keep_bodies(&mut w, a, "box", &["1"]);
    assert_eq!(w.router.counters().get(Counter::MailUnsaved), 0);
    disk.how.set(Keeping::Behind);
    keep_bodies(&mut w, a, "box", &["2"]);
    assert_eq!(w.router.counters().get(Counter::MailUnsaved), 1);
    disk.how.set(Keeping::Memory);
    keep_bodies(&mut w, a, "box", &["3"]);
    assert_eq!(w.router.counters().get(Counter::MailUnsaved), 1, "there is nothing wrong with a node without disk");
    assert_eq!(disk.mail.borrow().len(), 1);
    // all of them are delivered, and the disk is told only of what it has
    disk.how.set(Keeping::Disk);
    let b = w.station("b");
    w.join(b, "box");
    assert_eq!(w.bodies(b), ["1", "2", "3"]);
    assert_eq!(disk.delivered.borrow().len(), 1);
}

#[test]
fn that_mail_was_delivered_is_told_when_its_transport_has_taken_it() {
    let disk = disk();
    let (mut w, _) = life(disk, TODAY);
    let (a, b) = (w.station("a"), w.station("b"));
    declare(&mut w, a, "box", false);
    keep_bodies(&mut w, a, "box", &["1", "2"]);
    let id = w.stations[b].id.unwrap();
    let join = frame(Join { name: "box", seq: 1, ..Join::default() });
    assert_eq!(w.router.receive(w.now, id, &join), join.len());
    assert_eq!((w.used("mail"), disk.mail.borrow().len()), (2, 2), "it is in an outbox and nowhere else");
    assert!(matches!(w.router.next_action(w.now), Some(Action::Write(to)) if to == id));
    let written: usize = w.router.output(id).map(<[u8]>::len).sum();
    // an octet is missing, and then it is not
    for (take, left) in [(written - 1, 1), (1, 0)] {
        w.router.sent(w.now, id, take);
        w.router.writable(w.now, id);
        w.router.check().unwrap();
        assert_eq!((w.used("mail"), disk.mail.borrow().len()), (left, left as usize));
    }
    assert_eq!(disk.delivered.borrow().len(), 2);
}

#[test]
fn mail_in_the_outbox_of_one_who_does_not_read_is_lost_with_its_connection_and_comes_again_if_the_node_dies() {
    let disk = disk();
    let (mut w, _) = life(disk, TODAY);
    let (a, b) = (w.station("a"), w.station("b"));
    declare(&mut w, a, "box", false);
    keep_bodies(&mut w, a, "box", &["1", "2"]);
    w.stations[b].reads = false;
    w.join(b, "box");
    assert_eq!((w.used("mail"), disk.mail.borrow().len()), (2, 2));
    assert_eq!(w.router.counters().get(Counter::MailDelivered), 2);
    drop(w);
    let (mut w, codes) = life(disk, TODAY);
    assert_eq!(codes, [Code::Ok; 2]);
    let (b, c) = (w.station("b"), w.station("c"));
    w.stations[b].reads = false;
    w.join(b, "box");
    w.unplug(b);
    assert_eq!((w.used("mail"), disk.mail.borrow().len()), (0, 0));
    w.join(c, "box");
    assert_eq!(w.bodies(c), [""; 0]);
}

/// A message as the bytes of its frame.
fn frame<'f>(message: impl Into<ClientToServer<'f>>) -> Vec<u8> {
    let message = message.into();
    let mut frame = vec![0; 4 + message.len()];
    Framing::Today.write_header(kind::CLIENT_TO_SERVER, message.len(), &mut frame);
    message.write(&mut Writer::new(&mut frame[4..]));
    frame
}

#[test]
fn a_flush_waits_for_mail_too() {
    let disk = disk();
    let (mut w, _) = life(disk, TODAY);
    let a = w.station("a");
    declare(&mut w, a, "box", false);
    keep_bodies(&mut w, a, "box", &["1"]);
    let now = w.now;
    let seq = w.stations[a].client.store(now, &Store { op: StoreOp::Flush, name: "any", ..Store::default() }).unwrap();
    w.drive();
    assert_eq!(w.outcomes(a, seq), []);
    disk.kept.set(disk.changes.get());
    w.router.stored(w.now);
    w.drive();
    assert_eq!(w.outcomes(a, seq)[0].0, Code::Ok);
}

/// Mail is kept, delivered, expires, is forgotten, and the node dies at any moment; against a model.
#[test]
fn d9_whatever_happens_in_whatever_life_mail_is_delivered_once_and_in_order() {
    const NAMES: [&str; 3] = ["a", "b::c", "d"];
    for seed in 0..40 {
        let mut random = Random::new(seed);
        let (disk, mut calendar) = (disk(), TODAY);
        // body and when it expires, in microseconds
        let mut model: BTreeMap<&str, VecDeque<(String, u64)>> = BTreeMap::new();
        let (mut sent, mut delivered) = (0u64, 0);
        for _ in 0..6 {
            let (mut w, codes) = life(disk, calendar);
            assert!(codes.iter().all(|code| matches!(code, Code::Ok | Code::TimedOut)), "seed {seed}: {codes:?}");
            let began = w.now.millis();
            let a = w.station("a");
            for name in NAMES {
                declare(&mut w, a, name, false);
            }
            for step in 0..40 {
                let at = format!("seed {seed} step {step}");
                let now = calendar + (w.now.millis() - began) * 1000;
                let name = NAMES[random.below(3)];
                match random.below(12) {
                    0..6 => {
                        sent += 1;
                        let (body, ttl_ms) = (sent.to_string(), 1000 * (1 + random.below(60) as u32));
                        let letter = Letter { name, body: body.as_bytes(), ttl_ms, ..Letter::default() };
                        match keep(&mut w, a, &letter) {
                            Code::Kept => {
                                let until = now + u64::from(ttl_ms) * 1000;
                                model.entry(name).or_default().push_back((body, until));
                            }
                            code => assert!(code == Code::Full && w.used("mail") == ROWS as u64, "{at}: {code:?}"),
                        }
                    }
                    6 => {
                        let b = w.station("b");
                        w.join(b, name);
                        let got = w.bodies(b);
                        w.unplug(b);
                        // it goes in the tick in which it expires, or in the next
                        let mut expected = model.remove(name).unwrap_or_default().into_iter().peekable();
                        for body in &got {
                            let (is, until) = loop {
                                let (is, until) = expected.next().unwrap_or_else(|| panic!("{at}: {body} too much"));
                                if &is == body {
                                    break (is, until);
                                }
                                assert!(until <= now, "{at}: {is} is missing before {body}");
                            };
                            assert!(until + 10_000 > now, "{at}: {is} has expired");
                            delivered += 1;
                        }
                        assert!(expected.all(|(_, until)| until <= now), "{at}: the last ones are missing");
                    }
                    7 => {
                        declare(&mut w, a, name, true);
                        declare(&mut w, a, name, false);
                        model.remove(name);
                    }
                    8 | 9 => w.advance(random.below(4000) as u32),
                    _ => {}
                }
                assert_eq!(w.used("mail"), disk.mail.borrow().len() as u64, "{at}");
            }
            calendar += (w.now.millis() - began) * 1000 + random.below(20_000_000) as u64;
        }
        assert!(delivered > 10, "seed {seed}: {delivered}");
    }
}

#[test]
fn d9_lines_of_an_earlier_life_are_said_as_they_were() {
    use chappe_host_tests::communicator::Setup;
    use chappe_host_tests::communicator::client::Host;
    use chappe_host_tests::communicator::ours::{Ours, settings};
    let disk = disk();
    let life = || {
        let heap = Box::leak(Box::new(Services::new(24 << 20, (1 << 20) + 4096)));
        let wrap = |values| StoreRef::Other(Box::leak(Box::new(OnDisk { values, disk })));
        let mut h = Ours::on(|now| heap.router_on(wrap, settings(Setup::default()), now).expect("valid settings"));
        let copies: Vec<Copy> = disk.mail.borrow().values().cloned().collect();
        let now = h.now;
        let codes: Vec<Code> = copies.iter().map(|copy| h.router.restore_mail(now, &copy.stored())).collect();
        (h, codes)
    };
    let (mut h, _) = life();
    h.declare("bar");
    let foo = h.service("foo");
    let said = ["bar/ONE a=1;b=\"x;y\"", "bar/TWO text=one\\ntwo"];
    h.tell_all(foo, &said);
    assert_eq!(disk.mail.borrow().len(), 2);
    // what is no line, or no message, is refused; its copy stays
    let mut odd = disk.mail.borrow().values().next().expect("two").clone();
    for bytes in [&b"bar/ONE"[..], b"bar/ONE\nbar/ONE\n", b"a:b:c/ONE\n", b"", b"\n"] {
        odd.bytes = bytes.to_vec();
        let now = h.now;
        assert_eq!(h.router.restore_mail(now, &odd.stored()), Code::BadRequest, "{bytes:?}");
    }
    let (mut h, codes) = life();
    assert_eq!(codes, [Code::Ok; 2]);
    let bar = h.visitor();
    let lines = h.ask(bar, "REGISTER service=bar;version=1");
    assert_eq!(lines[2..], said.map(|line| format!("<hostA:foo {line}")));
    assert_eq!(h.used("mail"), 0);
    assert_eq!(disk.delivered.borrow().len(), 2, "and told to be");
}
