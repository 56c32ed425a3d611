//! The node against random stations: whatever they do, everything fits together afterwards,
//! and nobody is sent half a frame. What each operation means is tested in `host-tests`.

extern crate std;

use super::*;
use crate::dialect::messi::frame::{Finder, Framing};
use crate::dialect::messi::wire::{Writer, kind};
use crate::model::*;
use crate::storage::Storage;
use std::boxed::Box;
use std::vec::Vec;

static OPEN: Open = Open;

struct Rng(u64);
impl Rng {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
    fn below(&mut self, n: u64) -> u64 {
        (self.next() >> 11) % n
    }
    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

fn frame(m: impl Into<ClientToServer<'static>>) -> Vec<u8> {
    let m = m.into();
    let mut out = std::vec![0; 4 + m.len()];
    let (head, body) = out.split_at_mut(4);
    Framing::Today.write_header(kind::CLIENT_TO_SERVER, body.len(), head);
    m.write(&mut Writer::new(body));
    out
}

const NAMES: [&str; 7] = ["a", "b::c", "b::d", "b::*", "*", "e/f", "bad\n"];

fn random_frame(r: &mut Rng, known_ids: &[u64], asks: &[u64]) -> Vec<u8> {
    let name = NAMES[r.below(7) as usize];
    let seq = r.below(3) as u32;
    let body: &'static [u8] = &[b'x'; 300][..r.below(300) as usize];
    let pick = |r: &mut Rng, of: &[u64]| if of.is_empty() { 7 } else { of[r.below(of.len() as u64) as usize] };
    let instance = if r.one_in(4) { "i" } else { "" };
    match r.below(20) {
        0 | 1 => frame(Join { seq, name, instance, exclusive: r.one_in(4) }),
        2 => frame(Leave { seq, name, instance }),
        3..=7 => frame(Letter {
            name,
            body,
            seq,
            ask: r.one_in(2),
            keep: r.one_in(4),
            ttl_ms: r.below(2000) as u32,
            instance,
            ..Letter::default()
        }),
        8 => frame(Letter { station: pick(r, known_ids), body, ask: r.one_in(2), seq, ..Letter::default() }),
        9 => frame(Letter { everyone: true, body, seq, ..Letter::default() }),
        10..=12 => frame(Answer { ask_id: pick(r, asks), body, ..Answer::default() }),
        13 => frame(Store {
            seq,
            op: StoreOp::from_number(r.below(5) as u32),
            name,
            value: body,
            amount: 3,
            announce: r.one_in(2),
        }),
        14 => frame(Watch {
            seq,
            name: if r.one_in(2) { name } else { "" },
            stations: r.one_in(2),
            members: r.one_in(2),
            flags: r.one_in(2),
            off: r.one_in(4),
        }),
        15 => frame(List { seq, what: What::from_number(r.below(8) as u32), name: "", after: "" }),
        16 => frame(Flag {
            seq,
            raise: r.one_in(2),
            unit: "u",
            section: "s",
            name: ["n", "o", "p", "q"][r.below(4) as usize],
            description: ["", "x"][r.below(2) as usize],
            priority: r.below(110) as u32,
            ..Flag::default()
        }),
        17 => frame(Declare { seq, name, forget: r.one_in(3) }),
        #[cfg(feature = "sniff")]
        18 if r.one_in(2) => frame(Monitor {
            seq,
            off: r.one_in(3),
            name: if r.one_in(2) { name } else { "" },
            station: if r.one_in(4) { pick(r, known_ids) } else { 0 },
            ..Default::default()
        }),
        18 if r.one_in(20) => frame(Goodbye { seq, text: "" }),
        18 => std::vec![3, 0, 0, 0],
        _ => {
            let n = r.below(40) as usize;
            (0..n).map(|_| r.next() as u8).collect()
        }
    }
}

struct Peer {
    id: StationId,
    read: Vec<u8>,
    reads: bool,
}

/// What was written to a peer, whole frames only; learns ids and questions from it.
fn take_frames(p: &mut Peer, ids: &mut Vec<u64>, asks: &mut Vec<u64>) {
    loop {
        let mut input = &p.read[..];
        let mut f = Finder::new();
        let Ok(Some(h)) = f.header(&mut input, 1 << 20) else { break };
        if input.len() < h.size {
            break;
        }
        assert!(matches!(h.kind, 2 | 4), "kind {}", h.kind);
        if h.kind == 2 {
            let (said, _) = ServerToClient::read(&input[..h.size]).expect("a node says only what can be read");
            match said {
                ServerToClient::Welcome(w) => ids.push(w.station),
                ServerToClient::Message(l) if l.ask_id != 0 => asks.push(l.ask_id),
                _ => {}
            }
        }
        let used = p.read.len() - input.len() + h.size;
        p.read.drain(..used);
    }
}

/// What a test knows of a node's stations.
#[derive(Default)]
struct Peers {
    all: Vec<Peer>,
    /// Addresses and numbers of questions that were seen.
    ids: Vec<u64>,
    asks: Vec<u64>,
}

impl Peers {
    /// Does what the router wants done.
    fn serve(&mut self, router: &mut Router<'_>, t: Instant, r: &mut Rng) {
        while let Some(a) = router.next_action(t) {
            match a {
                Action::Write(id) => {
                    let p = self.all.iter_mut().find(|p| p.id == id).expect("only for who is there");
                    let all: Vec<u8> = router.output(id).flatten().copied().collect();
                    let n = if p.reads { all.len() } else { r.below(8) as usize % (all.len() + 1) };
                    p.read.extend_from_slice(&all[..n]);
                    router.sent(t, id, n);
                    take_frames(p, &mut self.ids, &mut self.asks);
                }
                Action::Resume(_) => {}
                Action::Close(id, _) => {
                    let i = self.all.iter().position(|p| p.id == id).expect("closed once");
                    self.all.swap_remove(i);
                }
            }
        }
    }

    /// Offers all bytes; between the pieces something is written only if not all are taken.
    fn feed(&mut self, router: &mut Router<'_>, t: Instant, r: &mut Rng, id: StationId, bytes: &[u8]) {
        let mut left = bytes;
        for turn in 0.. {
            assert!(turn < 1000, "in the end everything is taken");
            left = &left[router.receive(t, id, left)..];
            if left.is_empty() {
                return;
            }
            self.serve(router, t, r);
        }
    }
}

/// A shell that takes note of flags now and then, and finds some.
#[cfg(feature = "kept-flags")]
fn keep_some_flags(router: &mut Router<'_>, t: Instant, r: &mut Rng) {
    if router.changed_flag().is_some() && r.one_in(3) {
        router.flag_taken();
    }
    let (unit, section, name) = ("u", "s", ["n", "o", "p", "q"][r.below(4) as usize]);
    if r.one_in(8) {
        let (description, manual_down) = ("x", r.one_in(4));
        let flag = flags::Raise {
            unit,
            section,
            name,
            description,
            priority: 5,
            tags: "",
            manual_down,
            station: 0,
            record: Default::default(),
        };
        let _ = if r.one_in(4) { router.raise_own_flag(t, &flag) } else { router.put_flag(t, &flag).map(|_| ()) };
    }
    if r.one_in(12) {
        let _ = router.put_flag_down(t, unit, section, name);
    }
}

fn run(seed: u64, steps: usize) {
    let mut r = Rng(seed | 1);
    let mut storage: Box<Storage<6, 8, 10, 4, 6, 3, 4, 3, 13, 24, 64, 576, 4, 12>> = Box::default();
    let mut settings = Settings::new("n", "v", &OPEN);
    settings.outbox = 1024;
    settings.page = 3;
    settings.joins = 4;
    settings.asks = 3;
    settings.watches = 2;
    let mut router = storage.router(settings, Instant::ZERO).unwrap();
    #[cfg(feature = "kept-flags")]
    if seed.is_multiple_of(2) {
        router.keep_flags();
    }
    let (mut now, mut peers) = (0u64, Peers::default());
    for step in 0..steps {
        let t = Instant::from_millis(now);
        match r.below(10) {
            0 => {
                if let Ok(id) = router.admit(t, Newcomer::default()) {
                    peers.all.push(Peer { id, read: Vec::new(), reads: !r.one_in(4) });
                    if !r.one_in(8) {
                        let hello = frame(Hello { seq: 1, name: "p", ..Hello::default() });
                        peers.feed(&mut router, t, &mut r, id, &hello);
                    }
                }
            }
            1 if !peers.all.is_empty() && r.one_in(4) => {
                let i = r.below(peers.all.len() as u64) as usize;
                router.closed(t, peers.all.swap_remove(i).id);
            }
            2 => now += if r.one_in(10) { r.below(20_000) } else { r.below(300) },
            _ if !peers.all.is_empty() => {
                let i = r.below(peers.all.len() as u64) as usize;
                let bytes = random_frame(&mut r, &peers.ids, &peers.asks);
                let (a, b) = bytes.split_at(r.below(bytes.len() as u64 + 1) as usize);
                let id = peers.all[i].id;
                peers.feed(&mut router, t, &mut r, id, a);
                if !r.one_in(30) {
                    peers.feed(&mut router, t, &mut r, id, b);
                }
            }
            _ => {}
        }
        let t = Instant::from_millis(now);
        #[cfg(feature = "kept-flags")]
        keep_some_flags(&mut router, t, &mut r);
        if router.deadline().is_some_and(|d| d <= t) {
            router.tick(t);
        }
        router.check().unwrap_or_else(|e| panic!("seed {seed} step {step}: {e}"));
        peers.serve(&mut router, t, &mut r);
        if r.one_in(3) {
            for p in &peers.all {
                router.writable(t, p.id);
            }
        }
        if peers.ids.len() > 50 {
            peers.ids.remove(0);
        }
        if peers.asks.len() > 20 {
            peers.asks.remove(0);
        }
        router.check().unwrap_or_else(|e| panic!("seed {seed} step {step} after writing: {e}"));
    }
    // in the end all go, and everything is given back
    let t = Instant::from_millis(now + 1);
    router.stop(t);
    router.check().unwrap();
    let late = Instant::from_millis(now + 10_000);
    router.tick(late);
    while let Some(a) = router.next_action(late) {
        if let Action::Write(id) = a {
            let n = router.output(id).map(<[u8]>::len).sum();
            router.sent(late, id, n);
        }
    }
    router.check().unwrap();
    for u in router.usage() {
        if matches!(u.name, "stations" | "memberships" | "requests" | "watches" | "monitors") {
            assert_eq!(u.used, 0, "{} left, seed {seed}", u.name);
        }
    }
    let ended = Counter::ALL.iter().filter(|c| c.name().starts_with("closed_"));
    let ended: u64 = ended.map(|c| router.counters().get(*c)).sum();
    assert_eq!(router.counters().get(Counter::Admitted), ended, "each station ended once");
}

#[test]
fn random_stations_do_no_harm() {
    for seed in 1..=40u64 {
        run(0x9e37_79b9_7f4a_7c15u64.wrapping_mul(seed), 2500);
    }
}
