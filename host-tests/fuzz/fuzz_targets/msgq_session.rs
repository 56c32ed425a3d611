//! Stations that speak `msgq` say anything, cut anywhere, beside a pair that behaves: a native
//! station that calls one of them. The router's own `check` must hold after each operation, what it
//! says must be frames that a client can read, it must come to rest, and the pair must still be
//! served in the end.
#![no_main]

use chappe_core::client::Inbox;
use chappe_core::dialect::Dialect;
use chappe_core::dialect::messi::wire::Writer;
use chappe_core::id::StationId;
use chappe_core::model::{Answer, ClientToServer, Code, Hello, Join, Letter, ServerToClient};
use chappe_core::router::{Action, Newcomer, Open, Router, Settings};
use chappe_core::time::{Duration, Instant};
use chappe_host_tests::json::{Rule, read};
use chappe_host_tests::memory::Few;
use chappe_host_tests::msgq::frame;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

static OPEN: Open = Open;

struct Peer {
    id: StationId,
    native: bool,
    reads: bool,
    heard: Vec<u8>,
    /// The last header that it heard.
    last: Option<Value>,
    /// Replies that a native one heard, and the number of the last question to it.
    replies: Vec<Code>,
    ask_id: u64,
}

struct Node<'s> {
    router: Router<'s>,
    now: Instant,
    peers: Vec<Peer>,
}

impl Node<'_> {
    fn admit(&mut self, native: bool) {
        let dialect = if native { Dialect::Messi } else { Dialect::Msgq };
        let Ok(id) = self.router.admit(self.now, Newcomer { dialect, ..Newcomer::default() }) else { return };
        assert!(self.peers.iter().all(|p| p.id != id), "an address given twice");
        let heard = Vec::new();
        self.peers.push(Peer { id, native, reads: true, heard, last: None, replies: Vec::new(), ask_id: 0 });
    }

    /// All of it, in pieces of `piece`, writing in between as a shell must.
    fn feed(&mut self, which: usize, bytes: &[u8], piece: usize) {
        let Some(id) = self.peers.get(which).map(|p| p.id) else { return };
        for mut part in bytes.chunks(piece.max(1)) {
            for turn in 0.. {
                assert!(turn < 10_000, "in the end everything is taken");
                part = &part[self.router.receive(self.now, id, part)..];
                self.serve();
                if part.is_empty() {
                    break;
                }
            }
        }
    }

    fn say(&mut self, which: usize, message: &ClientToServer<'_>) {
        let mut bytes = vec![0; 4 + message.len()];
        bytes[..4].copy_from_slice(&[1, 0, (message.len() >> 8) as u8, message.len() as u8]);
        message.write(&mut Writer::new(&mut bytes[4..]));
        self.feed(which, &bytes, usize::MAX);
    }

    fn serve(&mut self) {
        for turn in 0.. {
            assert!(turn < 10_000, "the router does not come to rest");
            let Some(action) = self.router.next_action(self.now) else { break };
            match action {
                Action::Write(id) => {
                    let peer = self.peers.iter_mut().find(|p| p.id == id).expect("it writes to who is there");
                    let before = peer.heard.len();
                    if peer.reads {
                        peer.heard.extend(self.router.output(id).flatten());
                    }
                    self.router.sent(self.now, id, peer.heard.len() - before);
                    hear(peer);
                }
                Action::Resume(_) => {}
                Action::Close(id, reason) => {
                    assert!(self.router.counters().get(reason.counter()) > 0, "{reason:?} is not counted");
                    self.peers.retain(|p| p.id != id);
                }
            }
        }
        self.router.check().expect("every invariant holds");
    }
}

fn hear(peer: &mut Peer) {
    let heard = std::mem::take(&mut peer.heard);
    if peer.native {
        let mut buf = [0; 8192];
        let mut inbox = Inbox::new(&mut buf);
        let mut input = &heard[..];
        while let Some(f) = inbox.take(&mut input).expect("frames") {
            match ServerToClient::read(f.payload).expect("a message").0 {
                ServerToClient::Reply(a) => peer.replies.push(a.code),
                ServerToClient::Message(l) if l.ask_id != 0 => peer.ask_id = l.ask_id,
                _ => {}
            }
        }
        return;
    }
    let mut rest = &heard[..];
    while !rest.is_empty() {
        let all = u32::from_be_bytes([rest[0], rest[1], rest[2], rest[3]]) as usize;
        let head = u16::from_be_bytes([rest[4], rest[5]]) as usize;
        assert!(head >= 1 && head + 2 <= all && 4 + all <= rest.len(), "lengths {all} and {head}");
        let header = &rest[6..6 + head];
        let value = read(header, Rule::Either).unwrap_or_else(|e| panic!("{e}: {:?}", String::from_utf8_lossy(header)));
        let mut chars = std::str::from_utf8(header).expect("read above").chars();
        while let Some(c) = chars.next() {
            assert!(c != '\\' || chars.next() != Some('u'), "an escape that C++ cannot read: {value}");
        }
        let kind = value["type"].as_str().expect("a type");
        assert!(["send", "pong", "getlname"].contains(&kind), "{kind}");
        peer.last = Some(value);
        rest = &rest[4 + all..];
    }
}

/// Peer 0 calls the pair's group, peer 1 answers if it hears of it: the one answer there is.
fn call(node: &mut Node<'_>) -> Code {
    node.peers[0].replies.clear();
    node.peers[1].last = None;
    let letter = Letter { name: "pair", verb: "DO", ask: true, seq: 100, ..Letter::default() };
    node.say(0, &ClientToServer::Send(letter));
    if let Some(last) = node.peers[1].last.clone().filter(|l| l["group"] == "pair") {
        let header = format!(
            r#"{{"type":"send","from":"f","to":{},"group":"pair","instance":"*","seq":1,"reply":{}}}"#,
            last["from"], last["seq"]
        );
        node.feed(1, &frame(header.as_bytes(), br#"{"result":[0,"yes"]}"#), 5);
    }
    assert_eq!(node.peers[0].replies.len(), 1, "exactly one answer");
    node.peers[0].replies[0]
}

fuzz_target!(|data: &[u8]| {
    let mut memory = Few::new(256 << 10, 66 << 10);
    let mut settings = Settings::new("n", "v", &OPEN);
    settings.max_frame = 4096;
    settings.outbox = 8192;
    settings.msgq.outbox = 140_000;
    settings.msgq.stop = true;
    settings.page = 4;
    let now = Instant::from_millis(5);
    let router = memory.router(settings, now).expect("valid");
    let mut node = Node { router, now, peers: Vec::new() };
    // the pair: 0 calls, 1 answers; nothing is done to their connections
    node.admit(true);
    node.say(0, &Hello { seq: 1, name: "asker", silence_ms: 3_600_000, ..Hello::default() }.into());
    node.admit(false);
    node.feed(1, &frame(br#"{"type":"getlname"}"#, b""), 7);
    let subscribe = |group: &str| format!(r#"{{"type":"subscribe","group":"{group}","instance":"*"}}"#);
    node.feed(1, &frame(subscribe("pair").as_bytes(), b""), 7);
    let pair = [node.peers[0].id, node.peers[1].id];

    let groups = ["g", "*", "", "Msgq", "ConfigManager", "notifications/cc_members", "a::*", "\\u00e9"];
    let mut input = data;
    while let [op, arg, rest @ ..] = input {
        input = rest;
        let others = node.peers.len() - 2;
        let which = 2 + *arg as usize % others.max(1);
        let group = groups[*op as usize / 16 % groups.len()];
        let piece = [usize::MAX, 1, 3, 50][*arg as usize / 64];
        match op % 16 {
            0 => node.admit(false),
            1 => {
                node.admit(true);
                if let Some(last) = node.peers.len().checked_sub(1).filter(|n| *n >= 2) {
                    node.say(last, &Hello { seq: 1, silence_ms: 3_600_000, ..Hello::default() }.into());
                }
            }
            2..=6 => {
                // the fuzzer's own: octets, or a header, or a body to a group
                let (bytes, more) = rest.split_at((*arg as usize).min(rest.len()));
                input = more;
                let which = 2 + *op as usize / 16 % others.max(1);
                let bytes = match op % 16 {
                    2 => bytes.to_vec(),
                    3 | 4 if !bytes.is_empty() => frame(bytes, b"{}"),
                    _ => {
                        let header = r#"{"type":"send","from":"f","to":"*","group":"Msgq","instance":"*","seq":1}"#;
                        frame(header.as_bytes(), bytes)
                    }
                };
                if node.peers.get(which).is_some_and(|p| !p.native) {
                    node.feed(which, &bytes, piece);
                }
            }
            7 => {
                let header = subscribe(group).replacen("sub", if arg & 32 != 0 { "unsub" } else { "sub" }, 1);
                if node.peers.get(which).is_some_and(|p| !p.native) {
                    node.feed(which, &frame(header.as_bytes(), b""), piece);
                } else {
                    node.say(which, &Join { name: group, ..Join::default() }.into());
                }
            }
            8 | 9 => {
                // a message to a group, or to whoever was heard of last; asking or not
                let to = node.peers.get(which).and_then(|p| p.last.as_ref()?["from"].as_str().map(str::to_string));
                let to = to.filter(|_| arg & 16 != 0).unwrap_or_else(|| "*".into());
                let want = arg & 32 != 0;
                let header = format!(
                    r#"{{"type":"send","from":"f","to":"{to}","group":"{group}","instance":"*","seq":{arg},"want_answer":{want}}}"#
                );
                if node.peers.get(which).is_some_and(|p| !p.native) {
                    node.feed(which, &frame(header.as_bytes(), br#"{"command":["members"]}"#), piece);
                } else {
                    let body = &[*arg; 40];
                    let letter =
                        Letter { name: group, body, ask: want, each: arg & 16 != 0, seq: 9, ..Letter::default() };
                    node.say(which, &ClientToServer::Send(letter));
                }
            }
            10 => {
                // an answer to what was heard last
                let Some(peer) = node.peers.get(which) else { continue };
                if peer.native {
                    let ask_id = peer.ask_id;
                    node.say(which, &Answer { ask_id, body: b"x", ..Answer::default() }.into());
                } else if let Some(last) = &peer.last {
                    let header = format!(
                        r#"{{"type":"send","from":"f","to":{},"group":"g","instance":"*","seq":1,"reply":{}}}"#,
                        last["from"], last["seq"]
                    );
                    node.feed(which, &frame(header.as_bytes(), br#"{"result":[0]}"#), piece);
                }
            }
            11 => {
                let words = [r#"{"type":"getlname"}"#, r#"{"type":"ping"}"#, r#"{"type":"stop"}"#];
                if node.peers.get(which).is_some_and(|p| !p.native) {
                    node.feed(which, &frame(words[*op as usize / 16 % 3].as_bytes(), b"?"), piece);
                }
                node.router.stop_asked();
            }
            12 => {
                if let Some(peer) = node.peers.get_mut(which) {
                    peer.reads = !peer.reads;
                    if peer.reads {
                        let id = peer.id;
                        node.router.writable(node.now, id);
                    }
                }
            }
            13 => {
                if which < node.peers.len() {
                    let peer = node.peers.remove(which);
                    node.router.closed(node.now, peer.id);
                    // whatever is said about it afterwards does no harm
                    assert_eq!(node.router.receive(node.now, peer.id, &[0, 0, 0, 0]), 4);
                    node.router.sent(node.now, peer.id, 5);
                    node.router.writable(node.now, peer.id);
                }
            }
            14 => {
                node.now = node.now + Duration::from_millis((*arg as u32) << (op / 32));
                node.router.tick(node.now);
                // a sign of life of the native one that behaves; steps are shorter than its silence
                node.feed(0, &[3, 0, 0, 0], usize::MAX);
            }
            _ => {}
        }
        node.serve();
        assert!(pair.iter().all(|id| node.peers.iter().any(|p| p.id == *id)), "who behaves is let go of");
    }

    // the pair is heard beside all the others, and once they are gone, by each other
    call(&mut node);
    while node.peers.len() > 2 {
        let id = node.peers.remove(2).id;
        node.router.closed(node.now, id);
    }
    node.serve();
    for _ in 0..2 {
        assert_eq!(call(&mut node), Code::Ok);
    }
    // in the end everybody goes, and nothing is left behind
    for peer in std::mem::take(&mut node.peers) {
        node.router.closed(node.now, peer.id);
    }
    node.serve();
    for usage in node.router.usage() {
        if ["stations", "memberships", "requests", "watches", "buffer_blocks", "names"].contains(&usage.name) {
            assert_eq!(usage.used, 0, "{} are left", usage.name);
        }
    }
});
