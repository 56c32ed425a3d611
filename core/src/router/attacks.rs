//! Attacks that once succeeded, found by a hostile review of this router: each did harm to
//! somebody else, or left somebody without an answer. Kept so that none comes back.

extern crate std;
use super::*;
use crate::dialect::messi::frame::{Finder, Framing};
use crate::dialect::messi::wire::{Writer, kind};
use crate::model::*;
use crate::storage::Storage;
use std::string::{String, ToString};
use std::vec::Vec;
static OPEN: Open = Open;
fn t(ms: u64) -> Instant {
    Instant::from_millis(ms)
}
fn fr<'a>(m: impl Into<ClientToServer<'a>>) -> Vec<u8> {
    frk(m, Framing::Today)
}
fn frk<'a>(m: impl Into<ClientToServer<'a>>, f: Framing) -> Vec<u8> {
    let m = m.into();
    let mut out = std::vec![0; f.header() + m.len()];
    let (head, body) = out.split_at_mut(f.header());
    f.write_header(kind::CLIENT_TO_SERVER, body.len(), head);
    m.write(&mut Writer::new(body));
    out
}
/// As a shell does it: what is not taken is offered again after writing.
fn feed(r: &mut Router<'_>, now: Instant, id: StationId, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        let taken = r.receive(now, id, bytes);
        bytes = &bytes[taken..];
        if !bytes.is_empty() {
            closed(r);
        }
    }
}
fn hello(r: &mut Router<'_>) -> StationId {
    hello_max(r, 0)
}
fn hello_max(r: &mut Router<'_>, max_frame: u32) -> StationId {
    let id = r.admit(t(0), Newcomer::default()).unwrap();
    feed(r, t(0), id, &fr(Hello { seq: 1, name: "p", max_frame, ..Hello::default() }));
    id
}
fn told(r: &mut Router<'_>, id: StationId) -> Vec<String> {
    let all: Vec<u8> = r.output(id).flatten().copied().collect();
    r.sent(t(0), id, all.len());
    r.writable(t(0), id);
    let mut input = &all[..];
    let mut f = Finder::new();
    let mut v = Vec::new();
    while let Ok(Some(h)) = f.header(&mut input, 1 << 20) {
        let (b, rest) = input.split_at(h.size);
        if h.kind == 2 {
            v.push(std::format!("{:?}", ServerToClient::read(b).unwrap().0));
        } else {
            v.push(h.kind.to_string());
        }
        input = rest;
        f.next();
    }
    v
}
fn node(f: impl FnOnce(&mut Router<'_>)) {
    node_with(|_| {}, f)
}
fn node_with(g: impl FnOnce(&mut Settings<'_>), f: impl FnOnce(&mut Router<'_>)) {
    let mut s: std::boxed::Box<Storage> = std::boxed::Box::default();
    let mut set = Settings::new("n", "v", &OPEN);
    g(&mut set);
    let mut r = s.router(set, t(0)).unwrap();
    f(&mut r);
}
fn closed(r: &mut Router<'_>) -> Vec<String> {
    // like a shell whose peers do not read
    let mut v = Vec::new();
    while let Some(a) = r.next_action(t(0)) {
        match a {
            Action::Resume(_) => {}
            Action::Close(id, why) => v.push(std::format!("{id:?} {why:?}")),
            Action::Write(id) => {
                let n = r.output(id).map(<[u8]>::len).sum();
                r.sent(t(0), id, n);
            }
        }
    }
    v
}
#[test]
fn cursor_stations() {
    node(|r| {
        let a = hello(r);
        feed(r, t(0), a, &fr(List { seq: 2, what: What::Stations, name: "", after: "4294967295" }));
    });
}
#[test]
fn cursor_names() {
    node(|r| {
        let a = hello(r);
        feed(r, t(0), a, &fr(List { seq: 2, what: What::Names, name: "", after: "4294967295" }));
    });
}
#[test]
fn cursor_others() {
    node(|r| {
        let a = hello(r);
        for w in [What::Values, What::Flags, What::Counters, What::Status, What::Members] {
            feed(r, t(0), a, &fr(List { seq: 2, what: w, name: "", after: "4294967295" }));
        }
    });
}
#[test]
fn pattern_listener_eats_mail() {
    node(|r| {
        let (a, s, b) = (hello(r), hello(r), hello(r));
        feed(r, t(0), s, &fr(Join { name: "*", ..Join::default() }));
        feed(r, t(0), a, &fr(Declare { name: "box", ..Declare::default() }));
        feed(r, t(0), a, &fr(Letter { name: "box", keep: true, seq: 5, ..Letter::default() }));
        std::println!("{:?}", told(r, a));
        told(r, b);
        feed(r, t(0), b, &fr(Join { name: "box", ..Join::default() }));
        let got = told(r, b);
        assert!(got.iter().any(|m| m.starts_with("Message")), "{got:?}");
    });
}
#[test]
fn mail_ignores_instance() {
    node(|r| {
        let (a, b) = (hello(r), hello(r));
        feed(r, t(0), a, &fr(Declare { name: "box", ..Declare::default() }));
        feed(r, t(0), a, &fr(Letter { name: "box", instance: "x", keep: true, ..Letter::default() }));
        told(r, b);
        feed(r, t(0), b, &fr(Join { name: "box", instance: "y", ..Join::default() }));
        let got = told(r, b);
        assert!(!got.iter().any(|m| m.starts_with("Message")), "{got:?}");
    });
}
#[test]
fn own_mail() {
    node(|r| {
        let a = hello(r);
        feed(r, t(0), a, &fr(Declare { name: "box", ..Declare::default() }));
        feed(r, t(0), a, &fr(Letter { name: "box", keep: true, ..Letter::default() }));
        feed(r, t(0), a, &fr(Join { name: "box", ..Join::default() }));
        let got = told(r, a);
        assert!(!got.iter().any(|m| m.starts_with("Message")), "{got:?}");
    });
}
#[test]
fn watch_twice() {
    node(|r| {
        let (a, b) = (hello(r), hello(r));
        feed(r, t(0), a, &fr(Watch { members: true, ..Watch::default() }));
        feed(r, t(0), a, &fr(Watch { members: true, name: "x", ..Watch::default() }));
        told(r, a);
        feed(r, t(0), b, &fr(Join { name: "x", ..Join::default() }));
        let got = told(r, a);
        assert_eq!(got.len(), 1, "{got:?}");
    });
}
#[test]
fn get_too_big_is_silent() {
    node(|r| {
        let (a, b) = (hello(r), hello_max(r, 100));
        feed(r, t(0), a, &fr(Store { op: StoreOp::Set, name: "v", value: &[b'x'; 200], ..Store::default() }));
        told(r, b);
        feed(r, t(0), b, &fr(Store { seq: 7, op: StoreOp::Get, name: "v", ..Store::default() }));
        let got = told(r, b);
        assert!(!got.is_empty(), "silence");
    });
}
#[test]
fn ask_small_frames_is_silent() {
    node(|r| {
        let b = hello_max(r, 24);
        let got = told(r, b);
        std::println!("welcome: {got:?}");
        feed(r, t(0), b, &fr(Letter { seq: 7, ask: true, name: "nobody", ..Letter::default() }));
        let got = told(r, b);
        assert!(!got.is_empty(), "D5: silence");
    });
}
#[test]
fn watcher_closed_by_flapping() {
    node(|r| {
        let (w, a) = (hello(r), hello(r));
        feed(r, t(0), w, &fr(Watch { members: true, ..Watch::default() }));
        told(r, w);
        told(r, a);
        let mut burst = Vec::new();
        while burst.len() < 4096 {
            burst.extend(fr(Join { name: "a", ..Join::default() }));
            burst.extend(fr(Leave { name: "a", ..Leave::default() }));
        }
        feed(r, t(0), a, &burst);
        let c = closed(r);
        assert!(c.is_empty(), "{} octets: {c:?} (watcher {w:?})", burst.len());
    });
}
#[test]
fn asker_closed_by_its_answers() {
    node(|r| {
        let (a, b) = (hello(r), hello(r));
        feed(r, t(0), b, &fr(Join { name: "s", ..Join::default() }));
        for i in 0..16 {
            feed(r, t(0), a, &fr(Letter { seq: 2 + i, ask: true, name: "s", ..Letter::default() }));
        }
        told(r, a);
        let all: Vec<u8> = r.output(b).flatten().copied().collect();
        told(r, b);
        let mut input = &all[..];
        let mut f = Finder::new();
        let mut burst = Vec::new();
        while let Ok(Some(h)) = f.header(&mut input, 1 << 20) {
            let (x, rest) = input.split_at(h.size);
            input = rest;
            f.next();
            if let (2, Ok((ServerToClient::Message(l), _))) = (h.kind, ServerToClient::read(x)) {
                burst.extend(fr(Answer { ask_id: l.ask_id, body: &[1; 400], ..Answer::default() }));
            }
        }
        feed(r, t(0), b, &burst);
        let c = closed(r);
        assert!(c.is_empty(), "asker {a:?}: {c:?}");
    });
}
#[test]
fn two_hold_all_memory() {
    node(|r| {
        let ids: Vec<_> = (0..4).map(|_| hello(r)).collect();
        let v = hello(r);
        feed(r, t(0), v, &fr(Store { op: StoreOp::Set, name: "v", value: &[b'x'; 300], ..Store::default() }));
        for id in &ids {
            told(r, *id);
        }
        told(r, v);
        // each asks for what it never reads, and stops before it is over its own limit
        for id in &ids {
            for _ in 0..200 {
                let Some(n) = r.stations.find(*id) else { break };
                let (have, free) = (r.stations[n].out.len(), r.pool.free_bytes());
                let f = if free > 512 {
                    fr(Store { seq: 7, op: StoreOp::Get, name: "v", ..Store::default() })
                } else {
                    std::vec![3, 0, 0, 0]
                };
                if have > 3700 || have + 400 > 8 * free || free < 128 {
                    break;
                }
                feed(r, t(0), *id, &f);
                // the shell finds that nothing is taken
                while let Some(a) = r.next_action(t(0)) {
                    if let Action::Write(id) = a {
                        r.sent(t(0), id, 0);
                    }
                }
            }
        }
        std::println!("{:?}", r.usage().last());
        feed(r, t(0), v, &[3, 0, 0, 0]);
        let lives = |id: &StationId| r.stations.find(*id).is_some_and(|n| r.stations[n].lives());
        let full = |id: &StationId| r.stations.find(*id).is_some_and(|n| r.stations[n].full_since.is_some());
        assert!(
            lives(&v),
            "attackers live {:?} slow {:?}; victim lives {}",
            ids.iter().map(lives).collect::<Vec<_>>(),
            ids.iter().map(full).collect::<Vec<_>>(),
            lives(&v)
        );
    });
}
#[test]
fn mail_takes_the_pool() {
    let mut s: std::boxed::Box<Storage<8, 32, 48, 16, 32, 64, 8, 8, 88, 64, 128, 576, 32, 96>> =
        std::boxed::Box::default();
    let mut r = s.router(Settings::new("n", "v", &OPEN), t(0)).unwrap();
    let a = hello(&mut r);
    told(&mut r, a);
    feed(&mut r, t(0), a, &fr(Declare { name: "box", ..Declare::default() }));
    for _ in 0..64 {
        feed(&mut r, t(0), a, &fr(Letter { name: "box", keep: true, body: &[1; 90], ..Letter::default() }));
        told(&mut r, a);
    }
    assert!(r.pool.free_bytes() >= 4096, "{}", r.pool.free_bytes());
}
#[test]
fn value_after_lost() {
    use crate::client::*;
    let (mut o, mut s, mut c) = ([0; 256], [0; 64], [Call::FREE; 2]);
    let mut cl = Client::new(Memory { outbox: &mut o, script: &mut s, calls: &mut c }, Options::default(), t(0));
    cl.tick(t(0));
    cl.connected(t(0));
    let pay = |m: ServerToClient<'_>| {
        let mut b = std::vec![0; m.len()];
        m.write(&mut Writer::new(&mut b));
        b
    };
    let w = pay(ServerToClient::Welcome(Welcome { station: 9, silence_ms: 60_000, ..Welcome::default() }));
    cl.handle(t(0), Frame { kind: 2, payload: &w });
    let seq = cl.store(t(0), &Store { name: "v", ..Store::default() }).unwrap();
    std::println!("{:?}", cl.tick(t(7000)));
    let v = pay(ServerToClient::Value(Value { seq, name: "v", ..Value::default() }));
    let e = cl.handle(t(7001), Frame { kind: 2, payload: &v });
    assert!(e.is_none(), "{e:?}");
}
#[test]
fn members_cursor_skips() {
    node_with(
        |s| s.page = 2,
        |r| {
            let ids: Vec<_> = (0..5).map(|_| hello(r)).collect();
            let w = hello(r);
            for id in &ids {
                feed(r, t(0), *id, &fr(Join { name: "g", ..Join::default() }));
            }
            told(r, w);
            feed(r, t(0), w, &fr(List { seq: 2, what: What::Members, name: "g", after: "" }));
            let page = told(r, w);
            let last = page.last().expect("an outcome");
            let next = last.split("next: \"").nth(1).unwrap().split('"').next().unwrap();
            feed(r, t(0), ids[1], &fr(Leave { name: "g", ..Leave::default() }));
            feed(r, t(0), w, &fr(Join { name: "g", ..Join::default() }));
            told(r, w);
            feed(r, t(0), w, &fr(List { seq: 2, what: What::Members, name: "g", after: next }));
            let got = told(r, w);
            assert!(got.len() > 1, "{got:?}");
        },
    );
}
#[test]
fn datagram_old_framing_split() {
    node(|r| {
        let id = r.admit(t(0), Newcomer { transport: Transport::Datagram, ..Newcomer::default() }).unwrap();
        feed(r, t(0), id, &frk(Hello { seq: 1, name: "p", ..Hello::default() }, Framing::Old));
        let whole: usize = r.output(id).map(<[u8]>::len).sum();
        feed(r, t(0), id, &[0, 0, 0]);
        let mut b = [0; 600];
        let n = r.next_datagram(id, &mut b).unwrap();
        assert_eq!(n, whole);
    });
}
#[test]
fn leave_one_instance_forgives_all() {
    node(|r| {
        let (a, b) = (hello(r), hello(r));
        feed(r, t(0), b, &fr(Join { name: "s", ..Join::default() }));
        feed(r, t(0), b, &fr(Join { name: "s", instance: "x", ..Join::default() }));
        feed(r, t(0), a, &fr(Letter { seq: 2, ask: true, name: "s", ..Letter::default() }));
        told(r, a);
        feed(r, t(0), b, &fr(Leave { name: "s", instance: "x", ..Leave::default() }));
        let got = told(r, a);
        assert!(got.is_empty(), "{got:?}");
    });
}
#[test]
fn mail_longer_than_outbox_blocks_for_ever() {
    node_with(
        |s| s.outbox = 576,
        |r| {
            let (a, b) = (hello(r), hello(r));
            feed(r, t(0), a, &fr(Declare { name: "box", ..Declare::default() }));
            feed(r, t(0), a, &fr(Letter { name: "box", keep: true, body: &[1; 440], ..Letter::default() }));
            feed(r, t(0), b, &fr(Join { name: "box", ..Join::default() }));
            told(r, b);
            feed(r, t(0), a, &fr(Letter { station: b.number(), body: &[1], ..Letter::default() }));
            for _ in 0..3 {
                feed(r, t(0), b, &[3, 0, 0, 0]);
                closed(r);
                feed(r, t(0), a, &fr(Letter { station: b.number(), body: &[1], ..Letter::default() }));
            }
            let got = told(r, b);
            assert!(got.iter().any(|m| m.starts_with("Message")), "{got:?}");
        },
    );
}
#[test]
fn raw_group_is_handed_on() {
    node(|r| {
        let (a, b) = (hello(r), hello(r));
        told(r, b);
        // Letter{station=b} + unknown group 100 + a 10-octet varint field whose last octet is 0x7f
        let l = Letter { station: b.number(), ..Letter::default() };
        let mut inner = std::vec![0; l.len()];
        l.write(&mut Writer::new(&mut inner));
        inner.extend([0xa3, 0x06, 0xa4, 0x06]);
        inner.extend([0xa0, 0x06, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]);
        let mut f = std::vec![1, 0, 0, inner.len() as u8 + 2, 4 << 3 | 2, inner.len() as u8];
        f.extend(&inner);
        feed(r, t(0), a, &f);
        let all: Vec<u8> = r.output(b).flatten().copied().collect();
        assert!(!all.windows(4).any(|w| w == [0xa3, 0x06, 0xa4, 0x06]), "the group reached b");
    });
}
#[test]
fn huge_max_frame() {
    node(|r| {
        let s = Settings { max_frame: usize::MAX - 10, ..r.settings };
        assert!(r.set(s).is_err());
    });
}
#[test]
fn inbox_after_hopeless() {
    let mut buf = [0; 8];
    let mut i = crate::client::Inbox::new(&mut buf);
    assert!(i.take(&mut &[2u8, 0, 0, 5, 1, 2, 3, 4, 5][..]).unwrap().is_some());
    let mut input = &[0u8, 0, 0, 2, 9, 9][..];
    assert!(i.take(&mut input).is_err());
    let _ = i.take(&mut input);
}
struct G;
impl Gate for G {
    fn check(&self, _: &str, _: &[u8]) -> Option<Grant> {
        Some(Grant { rights: Rights::READ | Rights::WRITE, restricted: true, number: 1 })
    }
    fn allows(&self, _: Grant, _: Rights, name: &str) -> bool {
        crate::name::matches("mine::*", name)
    }
}
#[test]
fn restricted_writes_to_any_station() {
    node_with(
        |s| s.gate = &G,
        |r| {
            let v = hello(r);
            let a = r.admit(t(0), Newcomer { grant: Grant::anonymous(Rights::NONE), ..Newcomer::default() }).unwrap();
            feed(r, t(0), a, &fr(Hello { seq: 1, name: "p", user: "u", ..Hello::default() }));
            told(r, v);
            told(r, a);
            feed(r, t(0), a, &fr(List { seq: 4, what: What::Stations, ..List::default() }));
            std::println!("{:?}", told(r, a));
            feed(r, t(0), a, &fr(Letter { seq: 5, ask: true, verb: "STOP", station: v.number(), ..Letter::default() }));
            let got = told(r, v);
            assert!(got.is_empty(), "{got:?}");
        },
    );
}
#[test]
fn members_begin_anew_when_outbox_is_half_full() {
    node_with(
        |s| s.page = 2,
        |r| {
            let ids: Vec<_> = (0..5).map(|_| hello(r)).collect();
            for id in &ids {
                feed(r, t(0), *id, &fr(Join { name: "g", ..Join::default() }));
            }
            told(r, ids[0]);
            let w = ids[0];
            for _ in 0..6 {
                feed(r, t(0), ids[1], &fr(Letter { station: w.number(), body: &[0; 400], ..Letter::default() }));
            }
            feed(r, t(0), w, &fr(List { seq: 2, what: What::Members, name: "g", after: "2" }));
            let got = told(r, w).pop().unwrap();
            assert!(!got.contains("next: \"0\""), "{got:?}");
        },
    );
}
#[test]
fn one_takes_all_requests() {
    node(|r| {
        let (a, b, c) = (hello(r), hello(r), hello(r));
        for i in 0..16 {
            feed(
                r,
                t(0),
                a,
                &fr(Letter { seq: 2 + i, ask: true, station: b.number(), ttl_ms: u32::MAX, ..Letter::default() }),
            );
        }
        told(r, c);
        feed(r, t(0), c, &fr(Letter { seq: 5, ask: true, station: b.number(), ..Letter::default() }));
        let got = told(r, c);
        assert!(got.is_empty(), "{got:?}");
    });
}
#[test]
fn too_big_is_called_busy() {
    node(|r| {
        let (a, b) = (hello(r), hello_max(r, 160));
        told(r, a);
        feed(r, t(0), a, &fr(Letter { seq: 5, ask: true, station: b.number(), body: &[0; 200], ..Letter::default() }));
        let got = told(r, a);
        assert!(got[0].contains("TooBig"), "{got:?}");
    });
}
#[test]
fn forged_senders_and_questions_are_refused() {
    node(|r| {
        let (a, b) = (hello(r), hello(r));
        told(r, a);
        told(r, b);
        for forged in [
            Letter { station: b.number(), from: 7, seq: 5, ..Letter::default() },
            Letter { station: b.number(), ask_id: 7, seq: 5, ..Letter::default() },
        ] {
            feed(r, t(0), a, &fr(forged));
            let got = told(r, a);
            assert!(got.len() == 1 && got[0].contains("BadRequest"), "{got:?}");
            assert_eq!(told(r, b), [""; 0]);
        }
        // and what a sender writes into its own letter does not survive beside the node's
        feed(r, t(0), a, &fr(Letter { station: b.number(), ask: true, seq: 5, ..Letter::default() }));
        let got = told(r, b);
        assert!(got[0].contains(&std::format!("from: {}", a.number())), "{got:?}");
    });
}
