//! Questions and their answers (D5), between clients of the Communicator and others: `reply_to`, and what genuine
//! programs do that have never heard of it.

use chappe_core::model::{Answer, Code, Encoding, Letter, Params};
use chappe_core::router::Counter;
use chappe_core::time::Duration;
use chappe_host_tests::communicator::client::{Host, Opening};
use chappe_host_tests::communicator::message::Message;
use chappe_host_tests::communicator::ours::Ours;
use chappe_host_tests::event::Seen;
use chappe_host_tests::msgq::{command, result};
use serde_json::json;

const NONE: [&str; 0] = [];

/// A node, a native station, and `foo`.
fn two() -> (Ours, usize, usize) {
    let mut w = Ours::new(|_| {});
    let s = w.station("native");
    let x = w.service("foo");
    w.take(s);
    (w, s, x)
}

/// The native station asks `foo`; what that hears, taken apart: who asks, and `reply_to`.
fn asked(w: &mut Ours, s: usize, x: usize) -> (u32, String, String) {
    let params = [("a", "b")];
    let seq = w.call(s, &Letter { name: "foo", verb: "GET", params: Params::Listed(&params), ..Letter::default() });
    let line = w.told_bytes(x).remove(0);
    let m = Message::read(&line).unwrap();
    assert_eq!((m.from.0.as_str(), m.service.as_str(), m.command.as_str()), ("hostA", "foo", "GET"), "{m}");
    assert_eq!(m.get("a").as_deref(), Some("b"));
    assert_eq!(m.from.1, format!("_s{}", w.address(s)));
    let reply_to = m.get("reply_to").expect("an answer is wanted");
    assert!(reply_to.parse::<u64>().unwrap() > 0);
    (seq, m.from.1, reply_to)
}

/// The reply to a call: code, text, body.
fn reply(w: &mut Ours, s: usize, seq: u32) -> (Code, String, Vec<u8>, Encoding) {
    let mut all: Vec<_> = w
        .take(s)
        .into_iter()
        .filter_map(|e| match e {
            Seen::Reply { seq: n, code, text, body, encoding, .. } if n == seq => Some((code, text, body, encoding)),
            Seen::Lost { seq: n, why } if n == seq => panic!("lost: {why:?}"),
            _ => None,
        })
        .collect();
    assert_eq!(all.len(), 1, "exactly once");
    all.remove(0)
}

#[test]
fn each_way_in_which_a_client_answers_others() {
    for (said, code, body) in [
        // by the number, to the daemon or to who asked
        ("REPLY reply_to=$;body=done", Code::Ok, &b"done"[..]),
        ("communicatord/REPLY reply_to=$;body=done", Code::Ok, b"done"),
        ("@/REPLY reply_to=$;body=done", Code::Ok, b"done"),
        ("hostA:@/REPLY reply_to=$;body_base64=/wA=", Code::Ok, b"\xff\0"),
        ("@/ANYTHING reply_to=$;body=done", Code::Ok, b"done"),
        ("REPLY reply_to=$", Code::Ok, b""),
        // without it, as genuine programs do
        ("hostA:@/REPLY body=done", Code::Ok, b"done"),
        ("hostA:@/VALUE body=done", Code::Ok, b"done"),
        ("<:foo hostA:@/VALUE body=done", Code::Ok, b"done"),
        // failures
        ("REPLY reply_to=$;code=4;text=no such", Code::from_number(4), b""),
        ("@/UNKNOWN command=GET", Code::UnknownVerb, b""),
        ("UNKNOWN command=GET;reply_to=$", Code::UnknownVerb, b""),
        ("@/INVALID command=GET;message=why", Code::BadRequest, b""),
    ] {
        let (mut w, s, x) = two();
        let (seq, who, reply_to) = asked(&mut w, s, x);
        assert_eq!(w.replies(s, seq), []);
        let line = said.replace('@', &who).replace('$', &reply_to);
        assert_eq!(w.ask(x, &line), NONE, "{line}");
        let (got, _, got_body, _) = reply(&mut w, s, seq);
        assert_eq!((got, &got_body[..]), (code, body), "{line}");
        assert_eq!(w.letters(s), [], "{line}: it is no letter too");
        // a second one is to nothing that is open
        let line = line.replace("hostA:", "");
        w.tell(x, &line);
        assert_eq!(w.replies(s, seq), [], "{line}: once");
        w.fence_but(x);
    }
}

trait FenceBut {
    fn fence_but(&mut self, c: usize);
}

impl FenceBut for Ours {
    /// As `fence`, whatever it was told before.
    fn fence_but(&mut self, c: usize) {
        self.told(c);
        self.fence(c);
    }
}

#[test]
fn parameters_and_text_of_answers_arrive() {
    let (mut w, s, x) = two();
    let (seq, who, _) = asked(&mut w, s, x);
    w.tell(x, &format!("hostA:{who}/KEY value=42;what=a b"));
    let all = w.take(s);
    let found = all.iter().any(|e| matches!(e, Seen::Reply { seq: n, code: Code::Ok, .. } if *n == seq));
    assert!(found, "{all:?}");
    let (seq, _, reply_to) = asked(&mut w, s, x);
    w.tell(x, &format!("REPLY reply_to={reply_to};code=4;text=words for people"));
    assert_eq!(reply(&mut w, s, seq).1, "words for people");
}

#[test]
fn d5_an_asker_always_hears_back() {
    // nobody is there
    let (mut w, s, x) = two();
    let seq = w.call(s, &Letter { name: "nobody", verb: "GET", ..Letter::default() });
    assert_eq!(reply(&mut w, s, seq).0, Code::NoRecipient);
    // it goes, in any way
    for how in 0..2 {
        let (mut w, s, x) = two();
        let (seq, ..) = asked(&mut w, s, x);
        match how {
            0 => w.part(x),
            _ => w.tell(x, "UNREGISTER service=foo"),
        }
        assert_eq!(reply(&mut w, s, seq).0, Code::RecipientLeft);
    }
    // it says nothing, or nothing to the point
    let (seq, who, _) = asked(&mut w, s, x);
    w.tell(x, "HELP");
    w.tell(x, "REPLY reply_to=99999;body=other");
    w.tell(x, "REPLY reply_to=abc");
    w.tell(x, "REPLY");
    w.tell(x, "./NEWS");
    w.tell(x, "hostB:_s1/VALUE");
    assert_eq!(w.replies(s, seq), []);
    w.wait(20_000);
    assert_eq!(reply(&mut w, s, seq).0, Code::TimedOut);
    // and too late: now it is a letter like any other
    w.tell(x, &format!("{who}/VALUE v=1"));
    assert_eq!(w.letters(s).len(), 1);
    assert!(w.router.counters().get(Counter::AskTimedOut) > 0);
}

#[test]
fn several_questions_are_told_apart() {
    let (mut w, s, x) = two();
    let (one, who, first) = asked(&mut w, s, x);
    let (two, _, second) = asked(&mut w, s, x);
    assert_ne!(first, second);
    // by number in any order
    w.tell(x, &format!("REPLY body=two;reply_to={second}"));
    assert_eq!(reply(&mut w, s, two).2, b"two");
    w.tell(x, &format!("REPLY body=one;reply_to={first}"));
    assert_eq!(reply(&mut w, s, one).2, b"one");
    // without one, the oldest first
    let (one, ..) = asked(&mut w, s, x);
    let (two, ..) = asked(&mut w, s, x);
    w.tell(x, &format!("{who}/VALUE body=one"));
    w.tell(x, &format!("{who}/VALUE body=two"));
    let bodies = [w.replies(s, one), w.replies(s, two)];
    assert_eq!(bodies, [[(Code::Ok, b"one".to_vec())], [(Code::Ok, b"two".to_vec())]]);
    // nobody answers for others
    let (seq, who, reply_to) = asked(&mut w, s, x);
    let y = w.service("bar");
    w.tell(y, &format!("REPLY body=no;reply_to={reply_to}"));
    w.tell(y, &format!("{who}/VALUE body=no"));
    assert_eq!(w.replies(s, seq), []);
    w.tell(x, &format!("{who}/VALUE body=yes"));
    assert_eq!(w.replies(s, seq), [(Code::Ok, b"yes".to_vec())]);
}

#[test]
fn questions_of_msgq() {
    let (mut w, _, x) = two();
    let t = w.talker();
    for (said, code, value) in [
        ("REPLY body=\"{\\\"a\\\":1}\";reply_to=$", 0, None),
        ("@/VALUE v=1", 0, None),
        ("@/UNKNOWN command=GET", 1, None),
        ("REPLY reply_to=$;code=1;text=why not", 1, Some("why not")),
    ] {
        w.group_send(t, "foo", "*", true, &command("GET", json!({"a": "b"})));
        let m = w.heard(x).remove(0);
        let (who, reply_to) = (m.from.1.clone(), m.get("reply_to").unwrap());
        w.tell(x, &said.replace('@', &who).replace('$', &reply_to));
        let frame = w.heard_one(t);
        let (got, rest) = result(&frame);
        assert_eq!(got == 0, code == 0, "{said}: {}", frame.text);
        if let Some(value) = value {
            assert_eq!(rest, json!(value), "{said}");
        }
    }
    // undeliverable
    w.part(x);
    w.group_send(t, "foo", "*", true, &command("GET", json!({})));
    assert_eq!(result(&w.heard_one(t)).0, -1);
}

#[test]
fn a_client_asks_a_native_station() {
    let (mut w, s, x) = two();
    w.join(s, "svc");
    w.take(s);
    assert_eq!(w.ask(x, "svc/GET a=b;reply_to=7"), NONE);
    let mail = w.letters(s).remove(0);
    assert_eq!((mail.verb.as_str(), mail.params.clone()), ("GET", vec![("a".to_string(), "b".to_string())]));
    assert_ne!(mail.ask_id, 0);
    w.answer(s, mail.ask_id, b"done");
    let native = w.address(s);
    let m = w.heard(x).remove(0);
    assert_eq!((m.from.0.as_str(), m.from.1.clone()), ("hostA", format!("_s{native}")));
    assert_eq!(
        (m.command.as_str(), m.get("reply_to").as_deref(), m.get("body").as_deref()),
        ("REPLY", Some("7"), Some("done"))
    );
    assert_eq!(m.get("code"), None, "ok");
    // with parameters, and failures
    w.tell(x, "svc/GET reply_to=8");
    let ask_id = w.letters(s).remove(0).ask_id;
    let params = [("k", "v")];
    let a = Answer { ask_id, code: Code::Failed, text: "broken", params: Params::Listed(&params), ..Answer::default() };
    w.stations[s].client.answer(&a).unwrap();
    Host::drive(&mut w);
    let m = w.heard(x).remove(0);
    assert_eq!(
        (m.get("reply_to").as_deref(), m.get("text").as_deref(), m.get("k").as_deref()),
        (Some("8"), Some("broken"), Some("v"))
    );
    assert_eq!(m.get("code"), Some(Code::Failed.number().to_string()));
}

#[test]
fn a_client_that_asks_hears_back_too() {
    let (mut w, s, x) = two();
    let failure = |w: &mut Ours, n: &str| -> String {
        let all = w.heard(x);
        assert_eq!(all.len(), 1, "exactly once: {all:?}");
        assert_eq!((all[0].command.as_str(), all[0].get("reply_to").as_deref()), ("REPLY", Some(n)), "{}", all[0]);
        assert!(all[0].get("text").is_some_and(|t| !t.is_empty()), "words for people: {}", all[0]);
        all[0].get("code").expect("a code")
    };
    let number = |code: Code| code.number().to_string();
    w.tell(x, "nobody/GET reply_to=1");
    assert_eq!(failure(&mut w, "1"), number(Code::NoRecipient));
    w.join(s, "svc");
    w.tell(x, "svc/GET reply_to=2");
    w.wait(20_000);
    assert_eq!(failure(&mut w, "2"), number(Code::TimedOut));
    w.tell(x, "svc/GET reply_to=3");
    w.unplug(s);
    assert_eq!(failure(&mut w, "3"), number(Code::RecipientLeft));
    // also without a name
    let v = w.visitor();
    w.tell(v, "nobody/GET reply_to=4");
    let m = w.heard(v).remove(0);
    assert_eq!((m.command.as_str(), m.get("reply_to").as_deref()), ("REPLY", Some("4")));
}

#[test]
fn between_two_clients() {
    let (mut w, _, foo) = two();
    let bar = w.service("bar");
    assert_eq!(w.ask(foo, "bar/GET a=b;reply_to=7"), NONE);
    let m = w.heard(bar).remove(0);
    assert_eq!((m.from.1.as_str(), m.get("a").as_deref()), ("foo", Some("b")));
    let reply_to = m.get("reply_to").unwrap();
    // by the number that it has heard
    w.tell(bar, &format!("hostA:foo/VALUE reply_to={reply_to};v=1"));
    let m = w.heard(foo).remove(0);
    assert_eq!(
        (m.from.1.as_str(), m.get("reply_to").as_deref(), m.get("v").as_deref()),
        ("bar", Some("7"), Some("1")),
        "{m}"
    );
    // by a genuine program, which has never heard of it
    w.tell(foo, "bar/GET reply_to=8");
    w.told(bar);
    w.tell(bar, "hostA:foo/VALUE v=2");
    let m = w.heard(foo).remove(0);
    assert_eq!((m.get("reply_to").as_deref(), m.get("v").as_deref()), (Some("8"), Some("2")), "{m}");
    // and what is said next is no answer
    w.tell(bar, "hostA:foo/VALUE v=3");
    assert_eq!(w.told(foo), ["<hostA:bar hostA:foo/VALUE v=3"]);
    // one that leaves
    w.tell(foo, "bar/GET reply_to=9");
    w.part(bar);
    let m = w.heard(foo).remove(0);
    assert_eq!(
        (m.get("reply_to").as_deref(), m.get("code")),
        (Some("9"), Some(Code::RecipientLeft.number().to_string())),
        "{m}"
    );
}

#[test]
fn what_is_no_number_asks_nothing() {
    let (mut w, _, foo) = two();
    let bar = w.service("bar");
    // an address, as the original meant it (section 1.6), and others
    for value in ["127.0.0.1:4041", "0", "-1", "abc", "", "99999999999999999999"] {
        let line = format!("bar/GET reply_to={value}");
        assert_eq!(w.ask(foo, &line), NONE, "{line}");
        assert_eq!(w.told(bar), [format!("<hostA:foo {line}")], "handed on as it is");
    }
}

#[test]
fn a_service_that_is_absent_does_not_keep_questions() {
    let (mut w, _, foo) = two();
    w.declare("absent");
    w.tell(foo, "absent/GET reply_to=5");
    let m = w.heard(foo).remove(0);
    assert_eq!((m.command.as_str(), m.get("reply_to").as_deref()), ("REPLY", Some("5")), "{m}");
    assert!(m.get("code").is_some(), "nobody knows when it comes: {m}");
    let y = w.visitor();
    assert_eq!(w.ask(y, "REGISTER service=absent;version=1").len(), 2, "and it was answered already");
}

#[test]
fn datagrams_ask_nothing() {
    let (mut w, s, x) = two();
    w.join(s, "svc");
    w.take(s);
    let udp = w.open_as(Opening { datagram: true, ..Opening::default() });
    w.tell(udp, "nobody/GET reply_to=1");
    w.tell(udp, "svc/GET reply_to=2");
    for mail in w.letters(s) {
        if mail.ask_id != 0 {
            w.answer(s, mail.ask_id, b"nobody hears it");
        }
    }
    w.fence(x);
}

#[test]
fn one_asker_does_not_take_all_questions() {
    let mut w = Ours::new(|s| {
        s.asks = 8;
        s.ask = Duration::from_secs(10);
    });
    let (foo, bar, silent) = (w.service("foo"), w.service("bar"), w.service("silent"));
    for n in 1..=20 {
        w.tell(foo, &format!("silent/GET reply_to={n}"));
    }
    assert_eq!(w.told(silent).len(), 8);
    let refused = w.heard(foo);
    assert_eq!(refused.len(), 12, "D12: each of the others is answered at once: {refused:?}");
    for m in &refused {
        assert!(m.get("reply_to").is_some_and(|n| n.parse::<u32>().unwrap() > 8), "{m}");
        assert_eq!(m.from.1, "communicatord", "{m}");
    }
    w.tell(bar, "silent/GET reply_to=1");
    assert_eq!(w.told(silent).len(), 1, "others may");
    w.wait(20_000);
    assert_eq!(w.heard(foo).len(), 8, "and in the end all hear back");
}
