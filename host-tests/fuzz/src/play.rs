//! Operations of stations of all dialects on one node, read from the fuzzer's input: the table is the
//! `match` in [`play`].
//!
//! Owns: what stations say, and that a few that behave are served in the end. Does not own what must
//! hold of what they hear (`node.rs`).

use std::collections::BTreeMap;

use chappe_core::model::{
    Answer, ClientToServer, Code, Declare, Flag, Goodbye, Hello, Join, Leave, Letter, List, Monitor, Store, StoreOp,
    Watch, What,
};
use chappe_core::router::flags::Raise;
use chappe_core::router::{Clock, Rights, Settings, Verdict};
use chappe_core::time::{Duration, Instant};
use chappe_host_tests::memory::Memory;
use chappe_host_tests::msgq::frame as msgq;
use serde_json::Value;

use crate::node::{CLACKS_LOGIN, Kind, Node, Users, grant};

static USERS: Users = Users;

/// How it is played.
#[derive(Debug, Clone, Copy)]
pub struct How {
    /// Octets of one piece of what stations say; 0: what the operation asks for.
    pub piece: usize,
    /// No time passes, everybody reads, and there is memory for all: what is heard depends on nothing
    /// but what is said.
    pub is_calm: bool,
}

const HOUR: u32 = 3_600_000;

/// Names that are joined and spoken to.
const NAMES: [&str; 6] = ["a", "b", "a::b", "x/y", "k", "\u{e9}"];

/// What only native stations join.
const PATTERNS: [&str; 3] = ["*", "a::*", "x/*"];

/// Plays all of `data`; what each station has heard, by its number.
pub fn play(data: &[u8], how: How) -> BTreeMap<u64, Vec<u8>> {
    let [set, ops @ ..] = data else { return BTreeMap::new() };
    let is_short = set & 4 != 0 && !how.is_calm;
    let pool = match is_short {
        true => 40 << 10,
        false if how.is_calm => 1 << 20,
        false => 256 << 10,
    };
    let mut memory = Memory::<16, 64, 64, 32, 64, 56, 64, 512, 8>::new(pool, 68 << 10);
    let mut settings = Settings::new("n", "v", &USERS);
    settings.max_frame = 4096;
    settings.page = 4;
    settings.max_ask = Duration::from_secs(20);
    settings.asks = 8;
    settings.joins = 12;
    settings.clacks.max_line = 4096;
    settings.communicator.server = "hostA";
    settings.communicator.max_line = 4096;
    if how.is_calm {
        (settings.outbox, settings.msgq.outbox) = (1 << 18, 1 << 18);
        (settings.clacks.outbox, settings.communicator.outbox) = (1 << 18, 1 << 18);
    } else if is_short {
        (settings.outbox, settings.msgq.outbox) = (4300, 140_000);
        (settings.clacks.outbox, settings.communicator.outbox) = (9000, 12 << 10);
    } else {
        (settings.outbox, settings.msgq.outbox) = (8192, 140_000);
        (settings.clacks.outbox, settings.communicator.outbox) = (16 << 10, 16 << 10);
    }
    let now = Instant::from_millis(5);
    let mut router = memory.router(settings, now).expect("valid");
    if set & 1 == 0 {
        router.set_calendar(1_800_000_000_000_000);
    }
    if set & 2 == 0 {
        router.keep_flags();
    }
    let mut node = Node::new(router, now, how.is_calm);

    // those that behave: a native one that watches, and one of each other dialect
    node.admit(Kind::Native, Rights::ALL, 0).expect("a place");
    node.say(0, &Hello { seq: 1, name: "native", silence_ms: HOUR, ..Hello::default() }.into(), usize::MAX);
    node.watches(0);
    node.say(0, &Watch { stations: true, members: true, ..Watch::default() }.into(), usize::MAX);
    node.say(0, &Join { name: "pair", ..Join::default() }.into(), usize::MAX);
    node.admit(Kind::Msgq, Rights::ALL, 0).expect("a place");
    node.feed(1, &msgq(br#"{"type":"getlname"}"#, b""), 7);
    node.feed(1, &msgq(br#"{"type":"subscribe","group":"pair","instance":"*"}"#, b""), 7);
    node.admit(Kind::Clacks, Rights::default(), 0).expect("a place");
    node.feed(2, CLACKS_LOGIN, 7);
    node.feed(2, b"NOPING\r\nLISTEN pair\r\n", 7);
    node.admit(Kind::Lines, Rights::ALL, 0).expect("a place");
    node.feed(3, b"REGISTER service=other;version=1\n", 7);
    // who reads is not to blame, and not closed, as long as memory is enough
    if !is_short {
        node.protected = node.peers.iter().map(|p| p.id).collect();
    }
    let pair = node.peers.len();

    let mut asked = 100;
    let mut data = ops;
    while let [op, arg, rest @ ..] = data {
        data = rest;
        let others = node.peers.len().saturating_sub(pair).max(1);
        let number = usize::from(*op / 16);
        let which = pair + usize::from(*arg) % others;
        let name = NAMES[number % NAMES.len()];
        let piece = if how.piece == 0 { [usize::MAX, 1, 3, 50][usize::from(*arg) / 64] } else { how.piece };
        let kind = node.peers.get(which).map(|p| p.kind);
        let is_native = matches!(kind, Some(Kind::Native | Kind::NativeDatagrams));
        match op % 16 {
            0 => comes(&mut node, Kind::ALL[number % 6], *arg, piece),
            1 | 2 => {
                // octets of the fuzzer's own: as they are, or as a frame or a line
                let (bytes, more) = rest.split_at(usize::from(*arg).min(rest.len()));
                data = more;
                let which = pair + number % others;
                let Some(peer) = node.peers.get_mut(which) else { continue };
                peer.is_strange = true;
                let bytes = match peer.kind {
                    _ if op % 16 == 1 => bytes.to_vec(),
                    Kind::Native | Kind::NativeDatagrams => crate::frames::payload(1, bytes),
                    Kind::Msgq => {
                        let at = bytes.iter().position(|b| *b == b'\n').unwrap_or(bytes.len());
                        let (header, body) = bytes.split_at(at);
                        if header.is_empty() { bytes.to_vec() } else { msgq(header, body) }
                    }
                    Kind::Clacks => [bytes, b"\r\n"].concat(),
                    Kind::Lines => [bytes, b"\n"].concat(),
                    Kind::LineDatagrams => bytes.to_vec(),
                };
                let piece = [usize::MAX, 1, 3, 50][usize::from(*arg) % 4];
                node.feed(which, &bytes, if how.piece == 0 { piece } else { how.piece });
            }
            3 => joins(&mut node, which, name, *arg, piece),
            4 => match kind {
                Some(Kind::Native | Kind::NativeDatagrams) => {
                    node.say(which, &Leave { seq: 3, name, ..Leave::default() }.into(), piece);
                }
                Some(Kind::Msgq) => {
                    let header = format!(r#"{{"type":"unsubscribe","group":"{name}","instance":"*"}}"#);
                    node.feed(which, &msgq(header.as_bytes(), b""), piece);
                }
                Some(Kind::Clacks) => node.feed(which, format!("UNLISTEN {name}\r\n").as_bytes(), piece),
                Some(Kind::Lines) => {
                    node.feed(which, format!("UNREGISTER service={}\n", service(name)).as_bytes(), piece);
                }
                _ => {}
            },
            5 | 6 => signals(&mut node, which, name, 0, piece),
            7 => signals(&mut node, which, name, usize::from(*arg) * 12, piece),
            8 => {
                asked += 1;
                asks(&mut node, which, name, asked, *arg, piece);
            }
            9 => answers(&mut node, which, *arg, piece),
            10 => values(&mut node, which, name, *arg, piece),
            11 => lists(&mut node, which, name, *arg, piece),
            12 if is_native => more(&mut node, which, name, *arg, piece),
            12 => {}
            13 if how.is_calm => {}
            13 => {
                let appetite = [0, usize::MAX, 1, 7, 100, usize::MAX, 0, 1000][number % 8];
                node.reads(which, appetite);
            }
            14 if number == 15 || !how.is_calm && number < 4 => {
                if which < node.peers.len() {
                    node.close(which);
                }
            }
            14 if how.is_calm => {}
            14 => {
                let by = u32::from(*arg) << (number % 8);
                let by = match node.router.deadline() {
                    Some(due) if number == 4 => due.millis().saturating_sub(node.now.millis()).min(120_000) as u32,
                    _ => by,
                };
                node.wait(Duration::from_millis(by));
                keep_alive(&mut node);
            }
            _ => shell(&mut node, which, name, number, *arg),
        }
        node.check();
    }
    if how.is_calm {
        return node.logs.into_iter().chain(node.peers.into_iter().map(|p| (p.id.number(), p.log))).collect();
    }
    node.all_read();
    // whoever is asked has time enough to be late (D5)
    for _ in 0..7 {
        node.wait(Duration::from_secs(3));
        keep_alive(&mut node);
        node.all_read();
        node.check();
    }
    for peer in node.peers.iter().filter(|p| p.kind == Kind::Native && !p.is_strange) {
        assert!(peer.open.is_empty(), "D5: never answered: {:?}", peer.open);
    }
    if !is_short {
        while node.peers.len() > pair {
            node.close(pair);
        }
        served(&mut node);
    }
    node.protected.clear();
    if set & 8 != 0 {
        node.router.stop(node.now);
        node.serve();
        assert!(node.admit(Kind::Native, Rights::ALL, 0).is_none(), "one comes while it stops");
        for _ in 0..3 {
            node.wait(Duration::from_secs(60));
        }
        assert!(node.peers.is_empty(), "it has stopped, and somebody is left");
    }
    while !node.peers.is_empty() {
        node.close(0);
        node.check();
    }
    for usage in node.router.usage() {
        if ["stations", "memberships", "requests", "watches", "monitors", "flushes"].contains(&usage.name) {
            assert_eq!(usage.used, 0, "{} are left", usage.name);
        }
    }
    BTreeMap::new()
}

/// A sign of life of the native one that behaves, if it is there.
fn keep_alive(node: &mut Node<'_>) {
    if node.peers.first().is_some_and(|p| p.kind == Kind::Native && !p.is_strange) {
        node.feed(0, &[3, 0, 0, 0], usize::MAX);
    }
}

/// What a name is as a service of the Communicator, whose letters are few.
fn service(name: &str) -> String {
    let mut out = [0; chappe_core::dialect::communicator::name::MAX_WRITTEN];
    let written = chappe_core::dialect::communicator::name::from_bus(name, &mut out);
    String::from_utf8_lossy(written.unwrap_or(b"a")).into_owned()
}

fn comes(node: &mut Node<'_>, kind: Kind, arg: u8, piece: usize) {
    let rights = match arg % 4 {
        0 => Rights::READ,
        1 => Rights::READ | Rights::WRITE,
        _ => Rights::ALL,
    };
    let max_frame = if arg % 8 == 7 { 1024 } else { 0 };
    let Some(last) = node.admit(kind, rights, max_frame) else { return };
    match kind {
        Kind::Native | Kind::NativeDatagrams => {
            node.say(last, &Hello { seq: 1, name: "s", silence_ms: HOUR, ..Hello::default() }.into(), piece);
        }
        Kind::Msgq => node.feed(last, &msgq(br#"{"type":"getlname"}"#, b""), piece),
        Kind::Clacks if arg & 32 == 0 => node.feed(last, CLACKS_LOGIN, piece),
        // `s`, of whom the gate does not know at once
        Kind::Clacks => node.feed(last, b"OVERHEAD A cw==:cw==\r\n", piece),
        Kind::Lines | Kind::LineDatagrams => {}
    }
}

fn joins(node: &mut Node<'_>, which: usize, name: &str, arg: u8, piece: usize) {
    match node.peers.get(which).map(|p| p.kind) {
        Some(Kind::Native | Kind::NativeDatagrams) => {
            let name = if arg & 48 == 48 { PATTERNS[usize::from(arg) % 3] } else { name };
            let instance = if arg & 8 != 0 { "i" } else { "" };
            node.say(which, &Join { seq: 2, name, instance, exclusive: arg & 4 != 0 }.into(), piece);
        }
        Some(Kind::Msgq) => {
            let header = format!(r#"{{"type":"subscribe","group":"{name}","instance":"*"}}"#);
            node.feed(which, &msgq(header.as_bytes(), b""), piece);
        }
        Some(Kind::Clacks) => node.feed(which, format!("LISTEN {name}\r\n").as_bytes(), piece),
        Some(Kind::Lines) => {
            let line = format!("REGISTER service={};version=1\nCOMMANDS list=ALL,SET,STATUS\n", service(name));
            node.feed(which, line.as_bytes(), piece);
        }
        _ => {}
    }
}

/// A message with a mark, and with `fill` octets more.
fn signals(node: &mut Node<'_>, which: usize, name: &str, fill: usize, piece: usize) {
    let Some(kind) = node.peers.get(which).map(|p| p.kind) else { return };
    let mark = node.mark(which) + &"x".repeat(fill);
    match kind {
        Kind::Native | Kind::NativeDatagrams => {
            let letter = Letter { name, verb: "SET", body: mark.as_bytes(), ..Letter::default() };
            node.say(which, &ClientToServer::Send(letter), piece);
        }
        Kind::Msgq => {
            let header = format!(r#"{{"type":"send","from":"f","to":"*","group":"{name}","instance":"*","seq":1}}"#);
            let body = format!(r#"{{"command":["go",{{"value":"{mark}"}}]}}"#);
            node.feed(which, &msgq(header.as_bytes(), body.as_bytes()), piece);
        }
        Kind::Clacks => node.feed(which, format!("SET {name}={mark}\r\n").as_bytes(), piece),
        Kind::Lines => {
            node.feed(which, format!("{}/GO cache=no;value={mark}\n", service(name)).as_bytes(), piece);
        }
        Kind::LineDatagrams => {
            node.feed(which, format!("{}/GO cache=no;value={mark};udp_only=1", service(name)).as_bytes(), piece);
        }
    }
}

fn asks(node: &mut Node<'_>, which: usize, name: &str, seq: u32, arg: u8, piece: usize) {
    let Some(kind) = node.peers.get(which).map(|p| p.kind) else { return };
    match kind {
        Kind::Native | Kind::NativeDatagrams => {
            let mark = node.mark(which);
            let to = (arg & 48 == 48).then(|| node.peers[usize::from(arg) % node.peers.len()].id.number());
            let each = arg & 12 == 12 && to.is_none();
            let (name, station) = if to.is_some() { ("", to.unwrap_or(0)) } else { (name, 0) };
            let ttl_ms = if arg & 1 == 0 { 0 } else { u32::from(arg) * 8 };
            let letter = Letter {
                name,
                station,
                verb: "DO",
                body: mark.as_bytes(),
                ask: true,
                each,
                seq,
                ttl_ms,
                ..Letter::default()
            };
            if !each {
                node.peers[which].open.insert(seq);
            }
            node.say(which, &ClientToServer::Send(letter), piece);
        }
        Kind::Msgq => {
            let mark = node.mark(which);
            let header = format!(
                r#"{{"type":"send","from":"f","to":"*","group":"{name}","instance":"*","seq":{seq},"want_answer":true}}"#
            );
            let body = format!(r#"{{"command":["do","{mark}"]}}"#);
            node.feed(which, &msgq(header.as_bytes(), body.as_bytes()), piece);
        }
        Kind::Lines => {
            node.feed(which, format!("{}/GET cache=no;reply_to={seq}\n", service(name)).as_bytes(), piece);
        }
        Kind::Clacks => node.feed(which, format!("FLUSH {seq}\r\n").as_bytes(), piece),
        Kind::LineDatagrams => {}
    }
}

fn answers(node: &mut Node<'_>, which: usize, arg: u8, piece: usize) {
    let Some(peer) = node.peers.get(which) else { return };
    match peer.kind {
        Kind::Native | Kind::NativeDatagrams => {
            let code = if arg & 64 == 0 { Code::Ok } else { Code::Failed };
            let answer = Answer { ask_id: peer.ask_id, code, body: b"yes", ..Answer::default() };
            node.say(which, &answer.into(), piece);
        }
        Kind::Msgq => {
            let Some(last) = peer.last.as_ref().filter(|l| l.get("seq").is_some()) else { return };
            let header = format!(
                r#"{{"type":"send","from":"f","to":{},"group":"g","instance":"*","seq":1,"reply":{}}}"#,
                last["from"], last["seq"]
            );
            node.feed(which, &msgq(header.as_bytes(), br#"{"result":[0,"yes"]}"#), piece);
        }
        Kind::Lines => {
            let number = |line: &Vec<u8>| {
                let text = String::from_utf8_lossy(line).into_owned();
                text.split([';', ' ']).find_map(|p| p.strip_prefix("reply_to=").map(str::to_owned))
            };
            let Some(reply_to) = peer.lines.iter().rev().find_map(number) else { return };
            let to = peer.lines.last().and_then(|l| {
                let text = String::from_utf8_lossy(l).into_owned();
                text.strip_prefix('<')?.split(' ').next()?.split(':').nth(1).map(str::to_owned)
            });
            let line = format!("{}/REPLY reply_to={reply_to};body=yes\n", to.unwrap_or_else(|| "hostA".into()));
            node.feed(which, line.as_bytes(), piece);
        }
        _ => {}
    }
}

fn values(node: &mut Node<'_>, which: usize, name: &str, arg: u8, piece: usize) {
    match node.peers.get(which).map(|p| p.kind) {
        Some(Kind::Native | Kind::NativeDatagrams) => {
            let op = StoreOp::from_number(u32::from(arg % 5));
            let name = if op == StoreOp::Flush { "" } else { name };
            let store = Store { seq: 5, op, name, value: b"17", amount: i64::from(arg) - 99, announce: arg & 32 != 0 };
            node.say(which, &store.into(), piece);
        }
        Some(Kind::Clacks) => {
            let words = ["STORE", "RETRIEVE", "REMOVE", "INCREMENT", "DECREMENT", "SETANDSTORE", "KEYLIST", "FLUSH"];
            let word = words[usize::from(arg) % words.len()];
            let value = if word.contains("STORE") { "=5" } else { "" };
            node.feed(which, format!("{word} {name}{value}\r\n").as_bytes(), piece);
        }
        Some(Kind::Msgq) => {
            let header = format!(
                r#"{{"type":"send","from":"f","to":"*","group":"Msgq","instance":"*","seq":{arg},"want_answer":true}}"#
            );
            node.feed(which, &msgq(header.as_bytes(), br#"{"command":["members"]}"#), piece);
        }
        Some(Kind::Lines) => {
            let words =
                ["./SET name=k;value=1", "./NOTIFY name=k", "LIST_SERVICES", "HELP", "ALIVE serial=1", "CLOCK_STATUS"];
            node.feed(which, format!("{}\n", words[usize::from(arg) % words.len()]).as_bytes(), piece);
        }
        _ => {}
    }
}

fn lists(node: &mut Node<'_>, which: usize, name: &str, arg: u8, piece: usize) {
    match node.peers.get(which).map(|p| p.kind) {
        Some(Kind::Native | Kind::NativeDatagrams) => {
            let what = What::from_number(u32::from(arg % 7));
            let name = if what == What::Members { name } else { "" };
            node.say(which, &List { seq: 6, what, name, after: "" }.into(), piece);
            let watch = Watch {
                seq: 7,
                name: if arg & 32 == 0 { "" } else { name },
                stations: arg & 16 == 0,
                members: true,
                flags: true,
                off: arg & 64 != 0,
            };
            if arg & 8 != 0 {
                node.say(which, &watch.into(), piece);
            }
        }
        Some(Kind::Clacks) => node.feed(which, b"MONITOR\r\nCLIENTLIST\r\nPING\r\n", piece),
        Some(Kind::Msgq) => {
            let group = ["notifications/cc_members", "ConfigManager", "Msgq"][usize::from(arg) % 3];
            let header = format!(r#"{{"type":"subscribe","group":"{group}","instance":"*"}}"#);
            node.feed(which, &msgq(header.as_bytes(), b""), piece);
        }
        Some(Kind::Lines) => {
            let words =
                ["SERVICE_STATUS service=a", "CLUSTER_STATUS", "REGISTER_FOR_LOADAVG", "./ALL x=1", "*/STATUS x=1"];
            node.feed(which, format!("{}\n", words[usize::from(arg) % words.len()]).as_bytes(), piece);
        }
        _ => {}
    }
}

/// What only native stations can say.
fn more(node: &mut Node<'_>, which: usize, name: &str, arg: u8, piece: usize) {
    let flag = Flag {
        seq: 9,
        raise: arg & 16 == 0,
        unit: "u",
        section: "s",
        name: ["x", "y", "z", "v", "w"][usize::from(arg) % 5],
        description: "d",
        priority: u32::from(arg) / 2,
        manual_down: arg & 32 != 0,
        by_hand: arg & 64 != 0,
        ..Flag::default()
    };
    let message: ClientToServer<'_> = match arg % 8 {
        0 | 1 => flag.into(),
        2 => Declare { seq: 8, name: "kept", forget: arg & 64 != 0 }.into(),
        3 => ClientToServer::Send(Letter {
            name: "kept",
            verb: "KEEP",
            body: b"later",
            keep: true,
            ttl_ms: u32::from(arg) * 50,
            seq: 10,
            ..Letter::default()
        }),
        4 => Join { seq: 11, name: "kept", exclusive: arg & 16 != 0, ..Join::default() }.into(),
        5 => Leave { seq: 12, name: "kept", ..Leave::default() }.into(),
        6 => Monitor { seq: 13, off: arg & 64 != 0, name: if arg & 32 == 0 { "" } else { name }, ..Monitor::default() }
            .into(),
        _ if arg >= 192 => Goodbye { seq: 14, text: "enough" }.into(),
        _ => {
            let mark = node.mark(which);
            let letter = Letter { everyone: true, verb: "ALL", body: mark.as_bytes(), ..Letter::default() };
            return node.say(which, &ClientToServer::Send(letter), piece);
        }
    };
    node.say(which, &message, piece);
}

/// What the shell says and asks.
fn shell(node: &mut Node<'_>, which: usize, name: &str, number: usize, arg: u8) {
    let now = node.now;
    let raise = Raise {
        unit: "u",
        section: "own",
        name: ["x", "y"][usize::from(arg) % 2],
        description: "of the shell",
        priority: 3,
        tags: "",
        manual_down: arg & 8 != 0,
        station: 0,
        record: Default::default(),
    };
    let router = &mut node.router;
    match number {
        0 => {
            if let Some(id) = node.peers.get(which).map(|p| p.id) {
                let verdict = if arg & 64 == 0 { Verdict::Granted(grant()) } else { Verdict::Denied };
                router.verified(now, id, verdict);
                node.serve();
                node.offer(id);
            }
        }
        1 => _ = router.put_flag(now, &raise),
        2 => _ = router.put_flag_down(now, "u", "own", raise.name),
        3 => _ = router.raise_own_flag(now, &raise),
        4 => router.lower_own_flag(now, "u", "own", raise.name),
        5 => {
            while router.changed_flag().is_some() {
                router.flag_taken();
            }
        }
        6 => router.set_clock(now, Clock::Stable { verified: arg & 1 != 0 }),
        7 => router.set_load(now, u32::from(arg) * 7),
        8 => router.set_time_of_day(now, u64::from(arg) << 50),
        9 => router.stored(now),
        10 => {
            let declared = router.declare_name(name);
            assert!(matches!(declared, Code::Ok | Code::Full), "{declared:?}");
        }
        11 => _ = router.forget_name(name),
        _ => {
            while router.control_asked().is_some() {}
            _ = (router.misheard(), router.stop_asked(), router.wants_load());
        }
    }
    node.serve();
}

/// Those that behave hear each other.
fn served(node: &mut Node<'_>) {
    let hears = |node: &Node<'_>, which: usize, mark: &str| match which {
        1 => node.peers[1].last.as_ref().is_some_and(|l| l["group"] == "pair"),
        _ => node.peers[which].lines.iter().any(|l| String::from_utf8_lossy(l).contains(mark)),
    };
    node.peers[1].last = None;
    signals(node, 0, "pair", 0, usize::MAX);
    assert!(hears(node, 1, "") && hears(node, 2, "SET pair=Q"), "what the native one says is heard");
    for peer in &mut node.peers {
        peer.lines.clear();
        peer.last = None;
    }
    signals(node, 2, "pair", 0, 3);
    assert!(hears(node, 0, "pair") && hears(node, 1, ""), "what the one of Clacks says is heard");
    signals(node, 1, "other", 0, 3);
    assert!(hears(node, 3, "other/"), "what the one of MSGQ says is heard");
    node.peers[0].lines.clear();
    node.feed(3, b"pair/GO cache=no;a=1\nALIVE serial=77\n", 5);
    assert!(hears(node, 0, "pair") && hears(node, 3, "serial=77"), "what the one of the Communicator says is heard");
    // and a question is answered
    node.peers[0].replies.clear();
    node.peers[0].open.insert(7);
    let letter = Letter { name: "nobody-at-all", ask: true, seq: 7, ..Letter::default() };
    node.say(0, &ClientToServer::Send(letter), 9);
    assert_eq!(node.peers[0].replies, [Code::NoRecipient]);
    let last: Option<Value> = node.peers[1].last.take();
    assert!(last.is_some());
}
