//! D9: a message marked for caching to a declared but absent name is delivered once to the
//! next station that joins it, in order, and never after it expires.

use chappe_core::model::{Code, Declare, Join, Letter};
use chappe_host_tests::event::Seen;
use chappe_host_tests::world::World;

fn declare(w: &mut World, s: usize, name: &str, forget: bool) {
    w.stations[s].client.declare(&Declare { name, forget, ..Declare::default() }).unwrap();
    w.drive();
}

fn keep<'a>(name: &'a str, body: &'a str) -> Letter<'a> {
    Letter { name, body: body.as_bytes(), keep: true, seq: 9, ..Letter::default() }
}

#[test]
fn d9_mail_waits_and_is_delivered_once_in_order() {
    let mut w = World::default();
    let (a, b) = (w.station("a"), w.station("b"));
    declare(&mut w, a, "box", false);
    for body in ["1", "2", "3"] {
        w.send(a, &keep("box", body));
        assert_eq!(w.outcomes(a, 9)[0].0, Code::Kept);
    }
    w.join(b, "box");
    w.send(a, &keep("box", "4"));
    assert_eq!(w.outcomes(a, 9)[0].0, Code::Ok, "somebody is there now");
    assert_eq!(w.bodies(b), ["1", "2", "3", "4"]);
    w.unplug(b);
    let c = w.station("c");
    w.join(c, "box");
    assert_eq!(w.bodies(c), [""; 0], "not again");
}

#[test]
fn d9_mail_expires() {
    let mut w = World::default();
    let (a, b) = (w.station("a"), w.station("b"));
    declare(&mut w, a, "box", false);
    w.send(a, &Letter { ttl_ms: 1000, ..keep("box", "short") });
    w.send(a, &Letter { ttl_ms: 5000, ..keep("box", "long") });
    w.advance(1100);
    w.join(b, "box");
    assert_eq!(w.bodies(b), ["long"]);
}

#[test]
fn d9_only_declared_names_have_mail_and_only_marked_letters_wait() {
    let mut w = World::default();
    let (a, b) = (w.station("a"), w.station("b"));
    w.send(a, &keep("undeclared", "x"));
    assert_eq!(w.outcomes(a, 9)[0].0, Code::NoRecipient);
    declare(&mut w, a, "box", false);
    w.send(a, &Letter { keep: false, ..keep("box", "x") });
    assert_eq!(w.outcomes(a, 9)[0].0, Code::NoRecipient);
    w.send(a, &keep("box", "forgotten"));
    w.take(a);
    declare(&mut w, a, "box", true);
    w.join(b, "box");
    assert_eq!(w.bodies(b), [""; 0]);
}

#[test]
fn d9_much_mail_comes_in_order_and_whole_even_to_one_that_reads_slowly() {
    let mut w = World::new(|s| s.outbox = 700);
    let (a, b) = (w.station("a"), w.station("b"));
    declare(&mut w, a, "box", false);
    let want: Vec<String> = (0..40).map(|i| format!("{i:0>100}")).collect();
    for body in &want {
        w.send(a, &keep("box", body));
    }
    w.piece = 50;
    w.join(b, "box");
    // what is sent meanwhile does not overtake what waits
    w.send(a, &keep("box", "last"));
    let mut got = w.bodies(b);
    assert_eq!(got.pop().as_deref(), Some("last"));
    assert_eq!(got, want);
}

#[test]
fn d9_mail_that_nobody_could_read_before_leaving_waits_for_the_next() {
    let mut w = World::new(|s| s.outbox = 700);
    let (a, b, c) = (w.station("a"), w.station("b"), w.station("c"));
    declare(&mut w, a, "box", false);
    for i in 0..40 {
        w.send(a, &keep("box", &format!("{i:0>100}")));
    }
    w.stations[b].reads = false;
    w.join(b, "box");
    w.unplug(b);
    w.join(c, "box");
    let got = w.bodies(c);
    // what had entered b's outbox is lost with its connection; the rest is there, in order
    assert!(got.len() >= 30, "{}", got.len());
    assert_eq!(got.last().unwrap(), &format!("{:0>100}", 39));
    assert!(got.is_sorted());
}

#[test]
fn d9_a_full_mailbox_is_an_answer() {
    let mut w = World::default();
    let a = w.station("a");
    declare(&mut w, a, "box", false);
    let mut codes = Vec::new();
    for _ in 0..100 {
        w.send(a, &keep("box", "x"));
        codes.push(w.outcomes(a, 9)[0].0);
    }
    assert_eq!(codes[0], Code::Kept);
    assert_eq!(codes[99], Code::Full);
    let b = w.station("b");
    w.join_as(b, &Join { name: "box", ..Join::default() });
    let got = w.take(b).into_iter().filter(|s| matches!(s, Seen::Message(_))).count();
    assert_eq!(got, codes.iter().filter(|&&c| c == Code::Kept).count());
}
