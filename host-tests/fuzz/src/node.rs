//! One node and stations of all dialects, under a virtual clock.
//!
//! Owns: the shell's part (offering bytes, writing as much as a station takes, closing), and what
//! must hold of everything that a station hears: whole frames and lines that its dialect knows, no
//! message twice nor out of order (D1, D2), one answer to a question (D5), presence in its order
//! (D7). Does not own what stations say: that is `play.rs`.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use chappe_core::client::Inbox;
use chappe_core::dialect::clacks::repr::Line;
use chappe_core::dialect::{Dialect, clacks, communicator};
use chappe_core::id::StationId;
use chappe_core::model::{Change, ClientToServer, Code, ServerToClient};
use chappe_core::router::{Action, Gate, Grant, Newcomer, Reason, Rights, Router, Transport, Verdict};
use chappe_core::time::{Duration, Instant};
use chappe_host_tests::json::{Rule, read};
use serde_json::Value;

use crate::frames;

/// `l` and `r` log in with their names, `l` to read and write, `r` to read; `s` is told later, `b` that
/// nobody has time.
pub struct Users;

/// What `l` may.
pub fn grant() -> Grant {
    Grant { rights: Rights::READ | Rights::WRITE, restricted: false, number: 1 }
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

/// The login of `l` on Clacks.
pub const CLACKS_LOGIN: &[u8] = b"OVERHEAD A bA==:bA==\r\n";

/// What a station speaks, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Native,
    NativeDatagrams,
    Msgq,
    Clacks,
    Lines,
    LineDatagrams,
}

impl Kind {
    pub const ALL: [Kind; 6] =
        [Kind::Native, Kind::Msgq, Kind::Clacks, Kind::Lines, Kind::NativeDatagrams, Kind::LineDatagrams];

    fn dialect(self) -> Dialect {
        match self {
            Kind::Native | Kind::NativeDatagrams => Dialect::Messi,
            Kind::Msgq => Dialect::Msgq,
            Kind::Clacks => Dialect::Clacks,
            Kind::Lines | Kind::LineDatagrams => Dialect::Communicator,
        }
    }

    fn transport(self) -> Transport {
        match self {
            Kind::NativeDatagrams | Kind::LineDatagrams => Transport::Datagram,
            _ => Transport::Stream,
        }
    }
}

/// One station.
pub struct Peer {
    pub id: StationId,
    pub kind: Kind,
    /// Octets that it takes of one write; 0: it does not read.
    pub appetite: usize,
    /// It has said octets of the fuzzer's own: what it is owed is not known.
    pub is_strange: bool,
    /// What it was written and is no whole frame or line yet.
    heard: Vec<u8>,
    /// All that it was written, if the node keeps that.
    pub log: Vec<u8>,
    /// What the router would not take yet.
    kept: VecDeque<u8>,
    /// Messages that it heard, as far as they show a mark: who said them, and the last number.
    marks: BTreeMap<u64, u32>,
    /// Lines, or names of letters.
    pub lines: Vec<Vec<u8>>,
    /// The last header of MSGQ.
    pub last: Option<Value>,
    /// The last question to a native one.
    pub ask_id: u64,
    /// Its open questions.
    pub open: BTreeSet<u32>,
    /// Those that were answered.
    answered: BTreeSet<u32>,
    /// The codes of all answers.
    pub replies: Vec<Code>,
    /// What is known by being told: stations, and who is where.
    presence: Option<(BTreeSet<u64>, BTreeSet<(u64, String, String)>)>,
    /// Messages that it has said with a mark.
    said: u32,
}

/// A router and its stations. Of these the first [`PAIR`](Node::PAIR) behave, and nothing is done to
/// their connections.
pub struct Node<'s> {
    pub router: Router<'s>,
    pub now: Instant,
    pub peers: Vec<Peer>,
    /// Keep all that is heard.
    pub keeps_log: bool,
    /// Logs of who is gone.
    pub logs: BTreeMap<u64, Vec<u8>>,
    /// Stations that must not be closed.
    pub protected: Vec<StationId>,
}

impl<'s> Node<'s> {
    pub fn new(router: Router<'s>, now: Instant, keeps_log: bool) -> Self {
        Node { router, now, peers: Vec::new(), keeps_log, logs: BTreeMap::new(), protected: Vec::new() }
    }

    /// Lets a station come. `None`: there is no place, or it was closed at once.
    pub fn admit(&mut self, kind: Kind, rights: Rights, max_frame: u32) -> Option<usize> {
        let new = Newcomer {
            dialect: kind.dialect(),
            transport: kind.transport(),
            grant: Grant::anonymous(rights),
            max_frame,
            ..Newcomer::default()
        };
        let id = self.router.admit(self.now, new).ok()?;
        assert!(self.peers.iter().all(|p| p.id != id), "an address given twice");
        self.peers.push(Peer {
            id,
            kind,
            appetite: usize::MAX,
            is_strange: false,
            heard: Vec::new(),
            log: Vec::new(),
            kept: VecDeque::new(),
            marks: BTreeMap::new(),
            lines: Vec::new(),
            last: None,
            ask_id: 0,
            open: BTreeSet::new(),
            answered: BTreeSet::new(),
            replies: Vec::new(),
            presence: None,
            said: 0,
        });
        self.serve();
        self.peers.iter().position(|p| p.id == id)
    }

    /// A text that shows who has said a message, and in which order. Nobody hits upon another's.
    pub fn mark(&mut self, which: usize) -> String {
        let Some(peer) = self.peers.get_mut(which) else { return "x".into() };
        peer.said += 1;
        let id = peer.id.number();
        format!("Q{id}n{}h{}q", peer.said, sum(id, peer.said))
    }

    /// From here on a native station is told who comes and goes, and that is held against what it
    /// was told before. Call it before anybody else is there.
    pub fn watches(&mut self, which: usize) {
        let known = self.peers.iter().map(|p| p.id.number()).collect();
        self.peers[which].presence = Some((known, BTreeSet::new()));
    }

    /// All of it, in pieces of `piece`, writing in between as a shell must.
    pub fn feed(&mut self, which: usize, bytes: &[u8], piece: usize) {
        let Some((id, kind)) = self.peers.get(which).map(|p| (p.id, p.kind)) else { return };
        if kind.transport() == Transport::Datagram {
            let mut rest = bytes;
            for turn in 0.. {
                assert!(turn < 10_000, "in the end everything is taken");
                rest = &rest[self.router.receive(self.now, id, rest)..];
                self.serve();
                if rest.is_empty() {
                    return;
                }
            }
        }
        for part in bytes.chunks(piece.max(1)) {
            if let Some(peer) = self.peers.iter_mut().find(|p| p.id == id) {
                peer.kept.extend(part);
            }
            self.offer(id);
        }
    }

    /// A native message.
    pub fn say(&mut self, which: usize, message: &ClientToServer<'_>, piece: usize) {
        self.feed(which, &frames::to_node(message), piece);
    }

    /// Offers what the router has not taken of a station.
    pub fn offer(&mut self, id: StationId) {
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

    /// Does what the router wants until it wants nothing.
    pub fn serve(&mut self) {
        let mut resumed = Vec::new();
        for turn in 0.. {
            assert!(turn < 20_000, "the router does not come to rest");
            let Some(action) = self.router.next_action(self.now) else { break };
            match action {
                Action::Write(id) => self.write(id),
                Action::Resume(id) => resumed.push(id),
                Action::Close(id, reason) => self.let_go(id, reason),
            }
        }
        for id in resumed {
            self.offer(id);
        }
    }

    /// The router's own look at all its tables: once after each operation, because it takes long.
    pub fn check(&self) {
        self.router.check().expect("every invariant holds");
    }

    fn write(&mut self, id: StationId) {
        let peer = self.peers.iter_mut().find(|p| p.id == id).expect("it writes to who is there");
        let before = peer.heard.len();
        match peer.kind {
            Kind::NativeDatagrams => {
                let mut buf = [0; 9000];
                while let Some(n) = self.router.next_datagram(id, &mut buf) {
                    peer.heard.extend(&buf[..n]);
                    hear(peer);
                    assert!(peer.heard.is_empty(), "a datagram ends within a frame");
                }
                return;
            }
            _ if peer.appetite == usize::MAX => peer.heard.extend(self.router.output(id).flatten()),
            _ => peer.heard.extend(self.router.output(id).flatten().take(peer.appetite)),
        }
        let n = peer.heard.len() - before;
        if self.keeps_log {
            peer.log.extend(&peer.heard[before..]);
        }
        self.router.sent(self.now, id, n);
        hear(peer);
    }

    fn let_go(&mut self, id: StationId, reason: Reason) {
        assert!(self.router.counters().get(reason.counter()) > 0, "{reason:?} is not counted");
        assert!(!self.protected.contains(&id), "who behaves is let go of: {reason:?}");
        let at = self.peers.iter().position(|p| p.id == id).expect("it closes who is there");
        let peer = self.peers.remove(at);
        self.logs.insert(peer.id.number(), peer.log);
    }

    /// Its connection ends.
    pub fn close(&mut self, which: usize) {
        let peer = self.peers.remove(which);
        let id = peer.id;
        self.logs.insert(id.number(), peer.log);
        self.router.closed(self.now, id);
        // whatever is said about it afterwards does no harm
        assert_eq!(self.router.receive(self.now, id, b"PING\r\n"), 6);
        self.router.sent(self.now, id, 5);
        self.router.writable(self.now, id);
        self.router.verified(self.now, id, Verdict::Granted(grant()));
        assert_eq!(self.router.output(id).count(), 0, "there is something for who is gone");
        self.serve();
    }

    /// Time passes.
    pub fn wait(&mut self, by: Duration) {
        self.now = self.now + by;
        self.router.tick(self.now);
        self.serve();
        let due = self.router.deadline();
        assert!(due.is_none_or(|due| due > self.now), "what is due was done");
    }

    /// It reads so much at once from here on.
    pub fn reads(&mut self, which: usize, appetite: usize) {
        let Some(peer) = self.peers.get_mut(which) else { return };
        let id = peer.id;
        peer.appetite = appetite;
        for _ in 0..if appetite == usize::MAX { 1 } else { 8 } {
            if appetite > 0 {
                self.router.writable(self.now, id);
                self.serve();
            }
        }
    }

    /// Everybody reads all there is: it ends where a frame or a line does.
    pub fn all_read(&mut self) {
        for which in 0..self.peers.len() {
            self.reads(which, usize::MAX);
        }
        for peer in &self.peers {
            assert!(
                peer.heard.is_empty() || self.router.output(peer.id).count() > 0,
                "half a frame: {:02x?}",
                peer.heard
            );
        }
    }
}

/// Makes marks hard to hit upon.
fn sum(id: u64, n: u32) -> u32 {
    let x = (id ^ 0x9e37_79b9).wrapping_mul(0xff51_afd7_ed55_8ccd) ^ u64::from(n).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    (x >> 32) as u32
}

/// Marks in what was heard: each sender's come in order, none twice, none of one's own.
fn look_for_marks(peer: &mut Peer, heard: &[u8]) {
    let mut rest = heard;
    while let Some(at) = rest.iter().position(|b| *b == b'Q') {
        rest = &rest[at + 1..];
        let Some((id, n)) = mark_in(rest) else { continue };
        assert_ne!(id, peer.id.number(), "D2: it hears itself: {}", heard.escape_ascii());
        let last = peer.marks.insert(id, n).unwrap_or(0);
        assert!(n > last, "D1, D2: {n} of {id} after {last}, at {:?}: {}", peer.kind, heard.escape_ascii());
    }
}

fn mark_in(text: &[u8]) -> Option<(u64, u32)> {
    let end = text.iter().take(40).position(|b| *b == b'q')?;
    let text = std::str::from_utf8(&text[..end]).ok()?;
    let (id, rest) = text.split_once('n')?;
    let (n, hash) = rest.split_once('h')?;
    let (id, n) = (id.parse().ok()?, n.parse().ok()?);
    (hash.parse() == Ok(sum(id, n))).then_some((id, n))
}

/// Looks at all that is whole.
fn hear(peer: &mut Peer) {
    match peer.kind {
        Kind::Native | Kind::NativeDatagrams => hear_native(peer),
        Kind::Msgq => hear_msgq(peer),
        Kind::LineDatagrams => assert!(peer.heard.is_empty(), "something is said to who sends datagrams"),
        Kind::Clacks | Kind::Lines => {
            while let Some(end) = peer.heard.iter().position(|b| *b == b'\n') {
                let line: Vec<u8> = peer.heard.drain(..=end).collect();
                if peer.kind == Kind::Clacks { hear_clacks(peer, &line) } else { hear_line(peer, &line) }
            }
        }
    }
}

fn hear_native(peer: &mut Peer) {
    let heard = std::mem::take(&mut peer.heard);
    // the old framing begins with a zero, and the client's finder does not speak it
    if heard.first() == Some(&0) {
        assert!(peer.is_strange, "an old framing for who speaks today's");
        return;
    }
    let mut buf = [0; 8192];
    let mut inbox = Inbox::new(&mut buf);
    let mut input = &heard[..];
    let mut used = 0;
    while let Some(f) = inbox.take(&mut input).unwrap_or_else(|_| panic!("no frames: {}", heard.escape_ascii())) {
        used += 4 + f.payload.len();
        if f.kind == 4 {
            continue;
        }
        assert_eq!(f.kind, 2);
        match ServerToClient::read(f.payload).expect("a message").0 {
            ServerToClient::Message(l) => {
                look_for_marks(peer, l.body);
                peer.lines.push(l.name.as_bytes().to_vec());
                if l.ask_id != 0 {
                    peer.ask_id = l.ask_id;
                }
            }
            ServerToClient::Reply(a) if a.station == 0 => {
                peer.replies.push(a.code);
                ended(peer, a.seq);
            }
            ServerToClient::Outcome(o) if o.code != Code::Ok && o.code != Code::Kept && peer.open.contains(&o.seq) => {
                ended(peer, o.seq);
            }
            ServerToClient::Presence(p) => present(peer, &p),
            _ => {}
        }
    }
    peer.heard = heard[used..].to_vec();
}

/// D5: exactly one answer.
fn ended(peer: &mut Peer, seq: u32) {
    if peer.is_strange {
        return;
    }
    assert!(!peer.answered.contains(&seq), "D5: question {seq} was answered already");
    assert!(peer.open.remove(&seq), "D5: an answer to {seq}, which was not asked");
    peer.answered.insert(seq);
}

/// D7: memberships end first, then presence, each once.
fn present(peer: &mut Peer, p: &chappe_core::model::Presence<'_>) {
    let Some((stations, members)) = &mut peer.presence else { return };
    let member = || (p.station, p.name.to_string(), p.instance.to_string());
    match p.change {
        Change::Connected => assert!(stations.insert(p.station), "D7: {} came twice", p.station),
        Change::Disconnected => {
            assert!(members.iter().all(|m| m.0 != p.station), "D7: {} is still a member", p.station);
            assert!(stations.remove(&p.station), "D7: {} was not there", p.station);
        }
        Change::Joined => {
            assert!(stations.contains(&p.station), "D7: who is not there joins: {p:?}");
            assert!(members.insert(member()), "D7: joined twice: {p:?}");
        }
        Change::Left => assert!(members.remove(&member()), "D7: it was no member: {p:?}"),
        other => panic!("{other:?}"),
    }
}

fn hear_msgq(peer: &mut Peer) {
    let heard = std::mem::take(&mut peer.heard);
    let mut rest = &heard[..];
    while let Some((lengths, behind)) = rest.split_first_chunk::<6>() {
        let [a, b, c, d, e, f] = *lengths;
        let all = u32::from_be_bytes([a, b, c, d]) as usize;
        let head = u16::from_be_bytes([e, f]) as usize;
        assert!(head >= 1 && head + 2 <= all && all < 1 << 20, "lengths {all} and {head}");
        if behind.len() < all - 2 {
            break;
        }
        let (header, body) = behind[..all - 2].split_at(head);
        let value = read(header, Rule::Either).unwrap_or_else(|e| panic!("{e}: {}", header.escape_ascii()));
        let mut chars = std::str::from_utf8(header).expect("read above").chars();
        while let Some(c) = chars.next() {
            assert!(c != '\\' || chars.next() != Some('u'), "an escape that C++ cannot read: {value}");
        }
        let kind = value["type"].as_str().expect("a type");
        assert!(["send", "pong", "getlname"].contains(&kind), "{kind}");
        if kind == "send" && value.get("reply").is_none_or(Value::is_null) {
            look_for_marks(peer, body);
        }
        peer.last = Some(value);
        rest = &behind[all - 2..];
    }
    peer.heard = rest.to_vec();
}

fn hear_clacks(peer: &mut Peer, line: &[u8]) {
    let line = line.strip_suffix(b"\r\n").expect("CR LF ends a line");
    assert!(!line.contains(&b'\r'), "{}", line.escape_ascii());
    let known = line.is_empty() || !matches!(clacks::parse::line(line), Line::Unknown(_));
    assert!(known, "{}", line.escape_ascii());
    if line.starts_with(b"SET ") {
        look_for_marks(peer, line);
    }
    peer.lines.push(line.to_vec());
}

fn hear_line(peer: &mut Peer, line: &[u8]) {
    let line = line.strip_suffix(b"\n").expect("its end");
    let mut names = [0; communicator::parse::ROOM_FOR_NAMES];
    let said = communicator::parse::message(line, &mut names);
    let said = said.unwrap_or_else(|why| panic!("{why:?}: {}", line.escape_ascii()));
    assert!(!said.command.is_empty(), "{}", line.escape_ascii());
    // what the node tells about a message may quote it
    if said.get("reply_to").is_none() && said.get("error_message").is_none() {
        look_for_marks(peer, line);
    }
    peer.lines.push(line.to_vec());
}
