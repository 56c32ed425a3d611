//! Connections that speak Clacks say anything, cut anywhere, as clients, links and masters, beside
//! a pair that behaves. The router's own `check` must hold after each operation, what it says must
//! be lines that the protocol knows, it must come to rest, and the pair must still be served in
//! the end.
#![no_main]

use chappe_core::client::Inbox;
use chappe_core::dialect::Dialect;
use chappe_core::dialect::clacks::repr::Line;
use chappe_core::dialect::clacks::{Role, parse};
use chappe_core::dialect::messi::wire::Writer;
use chappe_core::id::StationId;
use chappe_core::model::{ClientToServer, Hello, Join, Letter, ServerToClient};
use chappe_core::router::{Action, Gate, Grant, Newcomer, Rights, Router, Settings, Verdict};
use chappe_core::time::{Duration, Instant};
use chappe_host_tests::memory::Few;
use libfuzzer_sys::fuzz_target;
use std::collections::VecDeque;

/// `l`: read, write and link; `r`: read; `s`: later, then as `l`; `b`: busy.
struct Users;

const LINK: Rights = Rights::LINK;

fn grant() -> Grant {
    Grant { rights: Rights::READ | Rights::WRITE | LINK, restricted: false, number: 1 }
}

impl Gate for Users {
    fn check(&self, user: &str, token: &[u8]) -> Option<Grant> {
        match (user, token) {
            ("l", b"l") => Some(grant()),
            ("r", b"r") => Some(Grant { rights: Rights::READ, ..grant() }),
            _ => None,
        }
    }
    fn decide(&self, _: StationId, user: &str, token: &[u8]) -> Verdict {
        match user {
            "s" => Verdict::Later,
            "b" => Verdict::Busy("later"),
            _ => self.check(user, token).map_or(Verdict::Denied, Verdict::Granted),
        }
    }
    fn allows(&self, _: Grant, _: Rights, _: &str) -> bool {
        true
    }
}

static USERS: Users = Users;

/// `l`, `r`, `s` and `b`, each with its own name as the password.
const LOGINS: [&str; 4] =
    ["OVERHEAD A bA==:bA==\r\n", "OVERHEAD A cg==:cg==\r\n", "OVERHEAD A cw==:cw==\r\n", "OVERHEAD A Yg==:Yg==\r\n"];

struct Peer {
    id: StationId,
    native: bool,
    reads: bool,
    heard: Vec<u8>,
    /// What the router would not take yet.
    kept: VecDeque<u8>,
    /// Lines, or names of letters.
    lines: Vec<Vec<u8>>,
}

struct Node<'s> {
    router: Router<'s>,
    now: Instant,
    peers: Vec<Peer>,
}

impl Node<'_> {
    fn admit(&mut self, native: bool, role: Role) {
        let dialect = if native { Dialect::Messi } else { Dialect::Clacks };
        let new = Newcomer { dialect, role, ..Newcomer::default() };
        let Ok(id) = self.router.admit(self.now, new) else { return };
        assert!(self.peers.iter().all(|p| p.id != id), "an address given twice");
        let (heard, kept, lines) = (Vec::new(), VecDeque::new(), Vec::new());
        self.peers.push(Peer { id, native, reads: true, heard, kept, lines });
        self.serve();
    }

    /// All of it, in pieces of `piece`, writing in between as a shell must.
    fn feed(&mut self, which: usize, bytes: &[u8], piece: usize) {
        let Some(id) = self.peers.get(which).map(|p| p.id) else { return };
        for part in bytes.chunks(piece.max(1)) {
            if let Some(peer) = self.peers.iter_mut().find(|p| p.id == id) {
                peer.kept.extend(part);
            }
            self.offer(id);
        }
    }

    /// Offers what the router has not taken of a station.
    fn offer(&mut self, id: StationId) {
        for turn in 0.. {
            assert!(turn < 10_000, "in the end everything is taken, or it is said to wait");
            let Some(peer) = self.peers.iter_mut().find(|p| p.id == id) else { break };
            if peer.kept.is_empty() {
                break;
            }
            let taken = self.router.receive(self.now, id, peer.kept.make_contiguous());
            peer.kept.drain(..taken);
            self.serve();
            if taken == 0 && self.router.is_paused(id) {
                break;
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
        let mut resumed = Vec::new();
        for turn in 0.. {
            assert!(turn < 20_000, "the router does not come to rest");
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
                Action::Resume(id) => resumed.push(id),
                Action::Close(id, reason) => {
                    assert!(self.router.counters().get(reason.counter()) > 0, "{reason:?} is not counted");
                    let is_pair = self.peers.iter().take(2).any(|p| p.id == id);
                    assert!(!is_pair, "one of the pair is closed: {reason:?}");
                    self.peers.retain(|p| p.id != id);
                }
            }
        }
        self.router.check().expect("every invariant holds");
        for id in resumed {
            self.offer(id);
        }
    }

    fn close(&mut self, which: usize) {
        let peer = self.peers.remove(which);
        self.router.closed(self.now, peer.id);
        // whatever is said about it afterwards does no harm
        assert_eq!(self.router.receive(self.now, peer.id, b"PING\r\n"), 6);
        self.router.sent(self.now, peer.id, 5);
        self.router.verified(self.now, peer.id, Verdict::Granted(grant()));
        self.serve();
    }

    fn wait(&mut self, by: Duration) {
        self.now = self.now + by;
        self.router.tick(self.now);
        self.serve();
        // the native one of the pair says that it is there
        self.feed(0, &[3, 0, 0, 0], usize::MAX);
    }
}

fn hear(peer: &mut Peer) {
    if peer.native {
        let heard = std::mem::take(&mut peer.heard);
        let mut buf = [0; 8192];
        let mut inbox = Inbox::new(&mut buf);
        let mut input = &heard[..];
        while let Some(f) = inbox.take(&mut input).expect("frames") {
            if let ServerToClient::Message(l) = ServerToClient::read(f.payload).expect("a message").0 {
                peer.lines.push(l.name.as_bytes().to_vec());
            }
        }
        return;
    }
    while let Some(end) = peer.heard.iter().position(|b| *b == b'\n') {
        let line: Vec<u8> = peer.heard.drain(..=end).collect();
        let line = line.strip_suffix(b"\r\n").expect("CR LF ends a line");
        assert!(!line.contains(&b'\r'), "{:?}", String::from_utf8_lossy(line));
        let known = line.is_empty() || !matches!(parse::line(line), Line::Unknown(_));
        assert!(known, "{:?}", String::from_utf8_lossy(line));
        peer.lines.push(line.to_vec());
    }
}

fuzz_target!(|data: &[u8]| {
    let mut memory = Few::new(256 << 10, 8 << 10);
    let mut settings = Settings::new("n", "v", &USERS);
    settings.max_frame = 4096;
    settings.outbox = 8192;
    settings.clacks.max_line = 4096;
    settings.clacks.outbox = 16 << 10;
    settings.clacks.link_user = "n";
    settings.clacks.link_password = b"n";
    settings.clacks.stale_after = Duration::from_secs(60);
    let now = Instant::from_millis(5);
    let mut router = memory.router(settings, now).expect("valid");
    router.set_calendar(1_800_000_000_000_000);
    let mut node = Node { router, now, peers: Vec::new() };
    // the pair: nothing is done to their connections
    node.admit(true, Role::Client);
    node.say(0, &Hello { seq: 1, name: "native", silence_ms: 3_600_000, ..Hello::default() }.into());
    node.say(0, &Join { name: "pair", ..Join::default() }.into());
    node.admit(false, Role::Client);
    node.feed(1, LOGINS[0].as_bytes(), 7);
    node.feed(1, b"NOPING\r\nLISTEN pair\r\n", 7);

    let names = ["g", "a/V", "", "*", "k=1", "\u{e9}", "a::b", "~"];
    let mut input = data;
    while let [op, arg, rest @ ..] = input {
        input = rest;
        let others = node.peers.len() - 2;
        let which = 2 + *arg as usize % others.max(1);
        let name = names[*op as usize / 16 % names.len()];
        let piece = [usize::MAX, 1, 3, 50][*arg as usize / 64];
        let clacks = node.peers.get(which).is_some_and(|p| !p.native);
        match op % 16 {
            0 => {
                node.admit(false, Role::Client);
                node.feed(node.peers.len() - 1, LOGINS[*arg as usize % 4].as_bytes(), piece);
            }
            1 => {
                node.admit(true, Role::Client);
                let last = node.peers.len() - 1;
                if last >= 2 {
                    node.say(last, &Hello { seq: 1, silence_ms: 3_600_000, ..Hello::default() }.into());
                }
            }
            2 => node.admit(false, if arg & 1 == 0 { Role::Master } else { Role::Client }),
            3..=5 => {
                // the fuzzer's own octets, as a line or not
                let (bytes, more) = rest.split_at((*arg as usize).min(rest.len()));
                input = more;
                let which = 2 + *op as usize / 16 % others.max(1);
                if node.peers.get(which).is_some_and(|p| !p.native) {
                    node.feed(which, bytes, piece);
                    if op % 16 > 3 {
                        node.feed(which, b"\r\n", piece);
                    }
                }
            }
            6 | 7 => {
                let words = [
                    "LISTEN",
                    "UNLISTEN",
                    "NOTIFY",
                    "SET",
                    "STORE",
                    "SETANDSTORE",
                    "RETRIEVE",
                    "REMOVE",
                    "INCREMENT",
                    "DECREMENT",
                    "FLUSH",
                ];
                let word = words[*arg as usize % words.len()];
                let value = if word.contains("S") && word != "LISTEN" { "=v" } else { "" };
                if clacks {
                    node.feed(which, format!("{word} {name}{value}\r\n").as_bytes(), piece);
                } else {
                    let letter = Letter { name, verb: "SET", body: &[*arg; 40], ..Letter::default() };
                    node.say(which, &ClientToServer::Send(letter));
                }
            }
            8 => {
                let words = [
                    "PING",
                    "NOPING",
                    "KEYLIST",
                    "QUIT",
                    "TIMEOUT",
                    "OVERHEAD I 1",
                    "OVERHEAD I 0",
                    "OVERHEAD L 1",
                    "OVERHEAD L 0",
                    "OVERHEAD T 1000",
                    "OVERHEAD GMU hi",
                    "OVERHEAD F no",
                    "CLACKS x;y",
                    "KEYSYNC 1 1 U a=1",
                    "KEYSYNC 4000000000 0 D a=1",
                    "MONITOR",
                ];
                if clacks {
                    node.feed(which, format!("{}\r\n", words[*arg as usize % 16]).as_bytes(), piece);
                }
            }
            9 if clacks => node.feed(which, LOGINS[*op as usize / 16 % 4].as_bytes(), piece),
            10 => {
                // what the gate has found out
                if let Some(id) = node.peers.get(which).map(|p| p.id) {
                    let verdict = if arg & 64 == 0 { Verdict::Granted(grant()) } else { Verdict::Denied };
                    node.router.verified(node.now, id, verdict);
                    node.serve();
                    node.offer(id);
                }
            }
            11 => {
                if let Some(peer) = node.peers.get_mut(which) {
                    peer.reads = !peer.reads;
                    if peer.reads {
                        let id = peer.id;
                        node.router.writable(node.now, id);
                        node.serve();
                    }
                }
            }
            12 if which < node.peers.len() => node.close(which),
            13 => node.wait(Duration::from_millis(u32::from(*arg) * 37)),
            14 => node.wait(Duration::from_secs(u32::from(*arg))),
            15 => {
                let bytes = format!("STORE {name}{arg}={}\r\n", "x".repeat(*arg as usize));
                if clacks {
                    node.feed(which, bytes.as_bytes(), piece);
                }
            }
            _ => {}
        }
    }
    while node.peers.len() > 2 {
        node.close(2);
    }
    for peer in &mut node.peers {
        peer.lines.clear();
    }
    node.feed(1, b"SET pair=end\r\nFLUSH end\r\n", 5);
    assert_eq!(node.peers[0].lines.last().map(|l| &l[..]), Some(&b"pair"[..]), "the native one is served");
    assert_eq!(node.peers[1].lines, [b"FLUSHED end".to_vec()], "and the other is");
    let letter = Letter { name: "pair", verb: "SET", body: b"1", ..Letter::default() };
    node.say(0, &ClientToServer::Send(letter));
    assert_eq!(node.peers[1].lines.last().map(|l| &l[..]), Some(&b"SET pair=1"[..]));
});
