//! Connections that speak the Communicator's dialect say anything, cut anywhere, as services, as
//! visitors and in datagrams, beside stations of other dialects and a pair that behaves; memory
//! runs short, and nodes start anew with what waits of their earlier life. The router's own
//! `check` must hold after each operation; what it says must be whole lines that are messages;
//! nothing is said to who sends datagrams; a name has one service; it must come to rest, and the
//! pair must still be served in the end.
#![no_main]

use chappe_core::client::Inbox;
use chappe_core::dialect::Dialect;
use chappe_core::dialect::communicator::emit::Form;
use chappe_core::dialect::communicator::parse;
use chappe_core::dialect::messi::wire::Writer;
use chappe_core::id::StationId;
use chappe_core::model::{ClientToServer, Declare, Hello, Join, Letter, Monitor, ServerToClient};
use chappe_core::router::store::{Stamp, StoredMail};
use chappe_core::router::{Action, Clock, Gate, Grant, Newcomer, Rights, Router, Settings, Transport, Verdict};
use chappe_core::time::{Duration, Instant};
use chappe_host_tests::memory::Memory;
use libfuzzer_sys::fuzz_target;
use std::collections::VecDeque;

/// The password is `p`, for as much as the user's name says: `bar` for names that begin with `b`
/// only, `later` is told later, `busy` is not looked at.
struct Users;

fn grant(restricted: bool) -> Grant {
    Grant { rights: Rights::ALL, restricted, number: 1 }
}

impl Gate for Users {
    fn check(&self, user: &str, token: &[u8]) -> Option<Grant> {
        (token == b"p").then(|| grant(user.starts_with('b')))
    }
    fn decide(&self, _: StationId, user: &str, token: &[u8]) -> Verdict {
        match user {
            "later" => Verdict::Later,
            "busy" => Verdict::Busy("later"),
            _ => self.check(user, token).map_or(Verdict::Denied, Verdict::Granted),
        }
    }
    fn allows(&self, _: Grant, _: Rights, name: &str) -> bool {
        name.starts_with('b')
    }
}

static USERS: Users = Users;

const NAMES: [&str; 8] = ["bar", "foo", "later", "busy", "_x2e__x2f_ALL", "a_x3a__x3a_b", "_s3", "baz"];

/// What they are on the bus, but for two in whose places others join a pattern and a command.
const BUS: [&str; 8] = ["bar", "foo", "later", "./ALL", "b*", "a::b", "./STATUS", "baz"];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Native,
    Lines,
    Datagrams,
    Clacks,
}

struct Peer {
    id: StationId,
    kind: Kind,
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
    /// The pair is not to blame, and not closed, as long as memory is enough.
    is_short: bool,
    is_json: bool,
}

impl Node<'_> {
    fn admit(&mut self, kind: Kind, rights: Rights) -> Option<usize> {
        let (dialect, transport) = match kind {
            Kind::Native => (Dialect::Messi, Transport::Stream),
            Kind::Lines => (Dialect::Communicator, Transport::Stream),
            Kind::Datagrams => (Dialect::Communicator, Transport::Datagram),
            Kind::Clacks => (Dialect::Clacks, Transport::Stream),
        };
        let new = Newcomer { dialect, transport, grant: Grant::anonymous(rights), ..Newcomer::default() };
        let id = self.router.admit(self.now, new).ok()?;
        assert!(self.peers.iter().all(|p| p.id != id), "an address given twice");
        let (heard, kept, lines) = (Vec::new(), VecDeque::new(), Vec::new());
        self.peers.push(Peer { id, kind, reads: true, heard, kept, lines });
        self.serve();
        self.peers.iter().position(|p| p.id == id)
    }

    /// All of it, in pieces of `piece`, writing in between as a shell must.
    fn feed(&mut self, which: usize, bytes: &[u8], piece: usize) {
        let Some((id, kind)) = self.peers.get(which).map(|p| (p.id, p.kind)) else { return };
        if kind == Kind::Datagrams {
            assert_eq!(self.router.receive(self.now, id, bytes), bytes.len(), "a datagram is taken whole");
            return self.serve();
        }
        for part in bytes.chunks(piece.max(1)) {
            if let Some(peer) = self.peers.iter_mut().find(|p| p.id == id) {
                peer.kept.extend(part);
            }
            self.offer(id);
        }
    }

    fn tell(&mut self, which: usize, line: &str, piece: usize) {
        self.feed(which, format!("{line}\n").as_bytes(), piece);
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
                    hear(peer, self.is_json);
                }
                Action::Resume(id) => resumed.push(id),
                Action::Close(id, reason) => {
                    assert!(self.router.counters().get(reason.counter()) > 0, "{reason:?} is not counted");
                    let at = self.peers.iter().position(|p| p.id == id).expect("it closes who is there");
                    let peer = self.peers.remove(at);
                    assert!(at > 1 || self.is_short, "one of the pair is closed: {reason:?}");
                    let is_line = peer.kind == Kind::Lines && peer.reads;
                    assert!(!is_line || peer.heard.is_empty(), "closed within a line");
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
        assert_eq!(self.router.receive(self.now, peer.id, b"HELP\n"), 5);
        self.router.sent(self.now, peer.id, 5);
        self.router.verified(self.now, peer.id, Verdict::Granted(grant(false)));
        self.serve();
    }

    fn wait(&mut self, by: Duration) {
        self.now = self.now + by;
        self.router.tick(self.now);
        self.serve();
        // the native one of the pair says that it is there
        if !self.is_short {
            self.feed(0, &[3, 0, 0, 0], usize::MAX);
        }
    }

    /// A name that a service has registered is nobody else's.
    fn probe(&mut self, number: usize) {
        if self.is_short {
            return;
        }
        let name = NAMES[number % NAMES.len()];
        if name.starts_with("_x2e_") {
            return; // who has announced a command: any number of them
        }
        let mark = format!("{name}/PROBE cache=no;n={number}");
        self.tell(1, &mark, usize::MAX);
        let end = mark.as_bytes();
        let has = |p: &&Peer| p.kind == Kind::Lines && p.lines.last().is_some_and(|l| l.ends_with(end));
        assert!(self.peers.iter().filter(has).count() <= 1, "two services called {name}");
    }
}

fn hear(peer: &mut Peer, is_json: bool) {
    match peer.kind {
        Kind::Datagrams => assert!(peer.heard.is_empty(), "something is said to who sends datagrams"),
        Kind::Clacks => peer.heard.clear(),
        Kind::Native => {
            let heard = std::mem::take(&mut peer.heard);
            let mut buf = [0; 8192];
            let mut inbox = Inbox::new(&mut buf);
            let mut input = &heard[..];
            while let Some(f) = inbox.take(&mut input).expect("frames") {
                if let ServerToClient::Message(l) = ServerToClient::read(f.payload).expect("a message").0 {
                    peer.lines.push(l.name.as_bytes().to_vec());
                }
            }
        }
        Kind::Lines => {
            while let Some(end) = peer.heard.iter().position(|b| *b == b'\n') {
                let line: Vec<u8> = peer.heard.drain(..=end).collect();
                let line = line.strip_suffix(b"\n").expect("its end");
                let mut names = [0; parse::ROOM_FOR_NAMES];
                let said = parse::message(line, &mut names);
                let shown = String::from_utf8_lossy(line);
                let said = said.unwrap_or_else(|why| panic!("{why:?}: {shown}"));
                assert!(!said.command.is_empty(), "{shown}");
                assert!(is_json || !line.starts_with(b"{"), "{shown}");
                let is_handed_on = said.get("udp_only").is_some() && said.get("secret_code").is_some();
                assert!(!is_handed_on, "a secret is handed on: {shown}");
                peer.lines.push(line.to_vec());
            }
        }
    }
}

/// One life of a node; what is left of `data` is for the next.
fn live<'d>(mut data: &'d [u8]) -> &'d [u8] {
    let Some((how, rest)) = data.split_first() else { return data };
    data = rest;
    let is_short = how & 1 != 0;
    let pool = if is_short { 24 << 10 } else { 256 << 10 };
    let mut memory = Memory::<16, 64, 64, 32, 64, 56, 64, 512, 8>::new(pool, 12 << 10);
    let mut settings = Settings::new("n", "v", &USERS);
    settings.max_frame = 4096;
    settings.outbox = 8192;
    settings.clacks.max_line = 4096;
    settings.clacks.outbox = 16 << 10;
    settings.communicator.server = "hostA";
    settings.communicator.max_line = 5000;
    settings.communicator.outbox = if is_short { 12 << 10 } else { 32 << 10 };
    settings.communicator.echo = how & 2 != 0;
    settings.communicator.form = if how & 4 != 0 { Form::Json } else { Form::Text };
    settings.communicator.secret = if how & 8 != 0 { b"hush" } else { b"" };
    settings.communicator.shutdown = how & 16 != 0;
    let now = Instant::from_millis(5);
    let mut router = memory.router(settings, now).expect("valid");
    if how & 32 == 0 {
        router.set_calendar(1_800_000_000_000_000);
    }
    for name in ["bar", "a::b", "later"] {
        let _ = router.declare_name(name);
    }
    let mut node = Node { router, now, peers: Vec::new(), is_short, is_json: how & 4 != 0 };
    // the pair: nothing is done to their connections
    node.admit(Kind::Native, Rights::ALL).expect("a place");
    node.say(0, &Hello { seq: 1, name: "native", silence_ms: 3_600_000, ..Hello::default() }.into());
    node.say(0, &Join { name: "pair", ..Join::default() }.into());
    node.admit(Kind::Lines, Rights::ALL).expect("a place");
    node.tell(1, "REGISTER service=other;version=1", 7);
    node.admit(Kind::Datagrams, Rights::ALL);

    let mut probes = 0;
    while let [op, arg, rest @ ..] = data {
        data = rest;
        let others = node.peers.len().saturating_sub(2);
        let which = 2 + *arg as usize % others.max(1);
        let number = *op as usize / 16;
        let (name, bus) = (NAMES[number % 8], BUS[number % 8]);
        let piece = [usize::MAX, 1, 3, 50][*arg as usize / 64];
        let Some(kind) = node.peers.get(which).map(|p| p.kind) else {
            if node.admit(Kind::Lines, Rights::ALL).is_none() {
                break;
            }
            continue;
        };
        let is_ours = matches!(kind, Kind::Lines | Kind::Datagrams);
        match op % 16 {
            0 => {
                let rights = [Rights::ALL, Rights::READ | Rights::WRITE, Rights::default(), Rights::READ];
                let kind = [Kind::Lines, Kind::Lines, Kind::Native, Kind::Clacks][number % 4];
                if let Some(last) = node.admit(kind, rights[*arg as usize % 4])
                    && kind == Kind::Native
                {
                    node.say(last, &Hello { seq: 1, silence_ms: 3_600_000, ..Hello::default() }.into());
                }
            }
            1..=3 => {
                // the fuzzer's own octets, as a line or not
                let (bytes, more) = rest.split_at((*arg as usize).min(rest.len()));
                data = more;
                let which = 2 + number % others.max(1);
                if node.peers.get(which).is_some_and(|p| matches!(p.kind, Kind::Lines | Kind::Datagrams)) {
                    node.feed(which, bytes, piece);
                    if op % 16 > 1 && node.peers.get(which).is_some_and(|p| p.kind == Kind::Lines) {
                        node.feed(which, b"\n", piece);
                    }
                }
            }
            4 => {
                let password = ["", "", ";password=p", ";password=x"][*arg as usize % 4];
                match kind {
                    Kind::Lines => node.tell(which, &format!("REGISTER service={name};version=1{password}"), piece),
                    Kind::Native => {
                        let join =
                            Join { name: bus, exclusive: arg & 1 != 0 && bus != "b*", seq: 3, ..Join::default() };
                        node.say(which, &join.into());
                    }
                    _ => {}
                }
            }
            5 | 6 => {
                let words = [
                    "PING",
                    "VALUE n=1",
                    "REPLY reply_to=65",
                    "GET reply_to=7",
                    "GET cache=no",
                    "STOP",
                    "UNKNOWN command=X",
                    "KEEP cache=ttl=10;transmission_report=failure",
                    "KEEP cache=\"no;reply\";transmission_report=failure",
                    "SET value=1",
                    "NOTIFY",
                    "X secret_code=hush;a=\"b;c\"",
                    "X body_base64=/w==",
                    "X y=\\n\\\\",
                    "GET secret_code=hush;reply_to=9",
                    "KEEP secret_code=hush",
                ];
                let word = words[*arg as usize % words.len()];
                let to = ["", "hostA:", "*:", ".:", "?:", "hostB:", "<:bar ", "<x:later "][(*arg as usize / 16) % 8];
                if kind == Kind::Datagrams {
                    let with = if word.contains('=') { ';' } else { ' ' };
                    let secret = if word.contains("hush") { "" } else { ";secret_code=hush" };
                    node.tell(which, &format!("{to}{name}/{word}{with}udp_only=1{secret}"), piece);
                } else if is_ours {
                    node.tell(which, &format!("{to}{name}/{word}"), piece);
                } else if kind == Kind::Native {
                    let (ask, keep) = (arg & 1 != 0, arg & 3 == 2);
                    let letter =
                        Letter { name: bus, verb: "SET", body: &[*arg; 40], ask, keep, seq: 9, ..Letter::default() };
                    node.say(which, &ClientToServer::Send(letter));
                } else {
                    node.tell(which, &format!("SET {bus}={arg}\r"), piece);
                }
            }
            7 => {
                // to a station, by its address
                let to = node.peers[number % node.peers.len()].id.number();
                let word = ["PING", "VALUE a=1", "REPLY body=1", "GET reply_to=4", "STOP"][*arg as usize % 5];
                if is_ours {
                    node.tell(which, &format!("_s{to}/{word}"), piece);
                } else if kind == Kind::Native {
                    let letter = Letter { station: to, verb: "GET", ask: arg & 1 != 0, seq: 8, ..Letter::default() };
                    node.say(which, &ClientToServer::Send(letter));
                }
            }
            8 => {
                let words = [
                    "HELP",
                    "ALIVE serial=1",
                    "LIST_SERVICES",
                    "SERVICE_STATUS service=bar",
                    "CLOCK_STATUS",
                    "CLUSTER_STATUS",
                    "PUBLIC_IP",
                    "REGISTER_FOR_LOADAVG",
                    "UNREGISTER_FROM_LOADAVG",
                    "LOG_ROTATE",
                    "RELOAD",
                    "STOP",
                    "UNREGISTER service=bar",
                    "COMMANDS list=STATUS,ALL,QUITTING,DISCONNECTING,CLOCK_STABLE",
                    "COMMANDS list=A,B,C,D,E,F,G,H,a,,-",
                    "./ALL a=1",
                    "*/STATUS x=1",
                    "./SET name=bar;value=1",
                    "./NOTIFY name=a::b",
                    "GOSSIP my_address=1.2.3.4",
                    "{\"command\":\"A\\nB\",\"service\":\"bar\"}",
                    "{\"command\":\"ALL\",\"service\":\".\",\"parameters\":{\"a b\":1.5,\"secret_code\":\"hush\"}}",
                    "{\"command\":\"GET\",\"service\":\"bar\",\"parameters\":{\"\":null,\"reply_to\":5}}",
                    "foo;bar\\",
                ];
                if is_ours {
                    node.tell(which, words[*arg as usize % words.len()], piece);
                } else if kind == Kind::Native {
                    let (name, forget) = (if bus == "b*" { "baz" } else { bus }, arg & 1 != 0);
                    node.say(which, &Declare { name, forget, ..Declare::default() }.into());
                    if arg & 2 != 0 {
                        node.say(which, &Monitor { off: arg & 4 != 0, ..Monitor::default() }.into());
                    }
                }
            }
            9 => {
                // what the gate has found out
                let id = node.peers[which].id;
                let verdict = if arg & 64 == 0 { Verdict::Granted(grant(arg & 32 != 0)) } else { Verdict::Denied };
                node.router.verified(node.now, id, verdict);
                node.serve();
                node.offer(id);
            }
            10 => {
                let peer = &mut node.peers[which];
                peer.reads = !peer.reads;
                if peer.reads {
                    let id = peer.id;
                    node.router.writable(node.now, id);
                    node.serve();
                }
            }
            11 => node.close(which),
            12 => match number {
                0..8 => node.wait(Duration::from_millis(u32::from(*arg) * 37)),
                _ => node.wait(Duration::from_secs(u32::from(*arg))),
            },
            13 if is_ours => {
                let long = format!("{name}/LONG cache=ttl=20;x={}", "x".repeat(*arg as usize * 19));
                node.tell(which, &long, usize::MAX);
            }
            14 => {
                match number % 4 {
                    0 => node.router.set_clock(node.now, Clock::Stable { verified: arg & 1 != 0 }),
                    1 => node.router.set_load(node.now, u32::from(*arg) * 7),
                    2 => node.router.set_time_of_day(node.now, u64::from(*arg) << 50),
                    // what is left on a disk, right or wrong
                    _ => {
                        let (bytes, more) = rest.split_at((*arg as usize).min(rest.len()));
                        data = more;
                        let line = [b"<hostA:foo bar/X a=1\n", bytes][*arg as usize % 2];
                        let until = Stamp::from_micros(u64::MAX);
                        let form = (*arg / 2 % 3).into();
                        let mail = StoredMail {
                            number: 7,
                            name: bus,
                            instance: "",
                            from: 3,
                            until,
                            within_ms: 9000,
                            form,
                            bytes: line,
                        };
                        node.router.restore_mail(node.now, &mail);
                    }
                }
                node.serve();
                while node.router.control_asked().is_some() {}
                let _ = (node.router.misheard(), node.router.stop_asked());
            }
            15 => match number {
                // it ends, and another begins
                15 => {
                    if arg & 1 != 0 {
                        node.is_short = true;
                        node.router.stop(node.now);
                        node.serve();
                    }
                    return data;
                }
                _ => {
                    probes += 1;
                    node.probe(probes);
                }
            },
            _ => {}
        }
    }
    if is_short {
        while !node.peers.is_empty() {
            node.close(0);
        }
        return data;
    }
    while node.peers.len() > 2 {
        node.close(2);
    }
    for _ in NAMES {
        probes += 1;
        node.probe(probes);
    }
    for peer in &mut node.peers {
        peer.lines.clear();
    }
    node.feed(1, b"pair/PING a=b\nALIVE serial=77\n", 5);
    assert_eq!(node.peers[0].lines.last().map(|l| &l[..]), Some(&b"pair"[..]), "the native one is served");
    let last = node.peers[1].lines.last().map(|l| String::from_utf8_lossy(l).into_owned()).unwrap_or_default();
    assert!(last.contains("77") && last.contains("ABSOLUTELY"), "and the other is: {last}");
    let letter = Letter { name: "other", verb: "GO", body: b"1", ..Letter::default() };
    node.say(0, &ClientToServer::Send(letter));
    let last = node.peers[1].lines.last().map(|l| String::from_utf8_lossy(l).into_owned()).unwrap_or_default();
    assert!(last.contains("GO"), "{last}");
    data
}

fuzz_target!(|data: &[u8]| {
    let mut data = data;
    for _ in 0..4 {
        data = live(data);
    }
});
