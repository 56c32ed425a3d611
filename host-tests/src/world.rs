//! A router and its clients, all of them the real ones, under a virtual clock.
//!
//! Owns: the wires between them (bytes, cut as a test wants), the clock, and what each
//! client was told. Nothing here waits: [`World::drive`] goes on until nobody has anything
//! to say, [`World::advance`] jumps from deadline to deadline. After every step the router's
//! own `check` must hold.

use crate::clacks::wire::Wire;
use crate::communicator::client::Client as Line;
use crate::disk::{Disk, OnDisk};
use crate::event::{Mail, Seen};
use crate::memory::Many;
use crate::msgq::{Frame, Talker, frame, header};
use chappe_core::client::{Call, Client, Inbox, Memory, Options, Wish};
use chappe_core::dialect::Dialect;
use chappe_core::id::StationId;
use chappe_core::model::{Answer, Code, Join, Letter, Monitor, Watch};
use chappe_core::router::{Action, FRAME_MARGIN, Gate, Grant, Newcomer, Open, Reason, Rights, Router, Settings, Usage};
use chappe_core::storage::{Limits, Storage, StoreRef};
use chappe_core::time::{Duration, Instant};
use serde_json::{Value, json};

/// Room for 64 stations, 256 names and frames of 4 KiB.
pub type TestStorage = Storage<64, 256, 512, 128, 256, 64, 64, 64, 256, 2048, 64, 4160, 64, 512>;

static OPEN: Open = Open;

/// One client and its wire.
pub struct Station {
    /// The core's client.
    pub client: Client<'static>,
    inbox: Inbox<'static>,
    /// The router's name for the connection, while there is one.
    pub id: Option<StationId>,
    /// Takes what the router writes. Off: its socket is full at once.
    pub reads: bool,
    /// May have a connection.
    pub allowed: bool,
    /// What either side writes vanishes, and neither is told: a plug pulled somewhere between.
    pub cut: bool,
    /// What it was told and has not been asked for.
    pub seen: Vec<Seen>,
    /// Why the router closed it, each time.
    pub closed: Vec<Reason>,
    rights: Rights,
}

/// A router with its clients.
pub struct World {
    /// The router.
    pub router: Router<'static>,
    /// The time.
    pub now: Instant,
    /// The clients, by the number that [`World::station`] returned.
    pub stations: Vec<Station>,
    /// The clients that speak MSGQ, by the number that [`World::talker`] returned.
    pub talkers: Vec<Talker>,
    /// The connections that speak the dialect of Net::Clacks: `clacks/ours.rs` has what tests do with them.
    pub wires: Vec<Wire>,
    /// The connections that speak the dialect of the Communicator: `communicator/ours.rs`, likewise.
    pub lines: Vec<Line>,
    /// How many octets a wire carries at once, in both directions.
    pub piece: usize,
}

impl Default for World {
    fn default() -> Self {
        World::new(|_| {})
    }
}

impl World {
    /// As by default, but a wire carries at most `piece` octets at once.
    pub fn in_pieces(piece: usize) -> Self {
        World { piece, ..World::default() }
    }

    /// A node without stations, with `change` made to the default settings.
    pub fn new(change: impl FnOnce(&mut Settings<'static>)) -> Self {
        World::with_gate(&OPEN, change)
    }

    /// A node with users.
    pub fn with_gate(gate: &'static (dyn Gate + 'static), change: impl FnOnce(&mut Settings<'static>)) -> Self {
        let storage: &'static mut TestStorage = Box::leak(Box::default());
        let mut settings = Settings::new("test", "0", gate);
        settings.max_frame = 4096;
        settings.outbox = 16384;
        change(&mut settings);
        // an outbox holds any frame
        settings.max_frame = settings.max_frame.min(settings.outbox - FRAME_MARGIN);
        let now = Instant::from_millis(1_000_003);
        let router = storage.router(settings, now).expect("the test's settings are valid");
        World::on(router, now)
    }

    /// Without stations, around a router of a test's own.
    pub fn on(router: Router<'static>, now: Instant) -> Self {
        let (stations, talkers, wires, lines) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        World { router, now, stations, talkers, wires, lines, piece: usize::MAX }
    }

    /// A life of a node with a disk, which begins when the calendar says `calendar`, in microseconds since
    /// 1970, with room for so many messages that wait, and `change` made to the settings. What waited in an
    /// earlier life waits again; returns how that went with each.
    pub fn on_disk(
        disk: &'static Disk,
        calendar: u64,
        mail: usize,
        change: impl FnOnce(&mut Settings<'static>),
    ) -> (World, Vec<Code>) {
        let storage: &'static mut TestStorage = Box::leak(Box::default());
        let mut settings = Settings::new("test", "0", &OPEN);
        settings.max_frame = 4096;
        settings.outbox = 16384;
        change(&mut settings);
        let mut parts = storage.parts().expect("room for values");
        let StoreRef::Fixed(values) = parts.store else { panic!("it has no other") };
        parts.store = StoreRef::Other(Box::leak(Box::new(OnDisk { values, disk })));
        parts.limits = Limits { mail, ..Limits::NONE };
        let now = Instant::from_millis(1_000_003);
        let mut router = Router::new(parts, settings, now).expect("the test's settings are valid");
        router.set_calendar(calendar - 1_000_003_000);
        let copies: Vec<_> = disk.mail.borrow().values().cloned().collect();
        let codes = copies.iter().map(|copy| router.restore_mail(now, &copy.stored())).collect();
        router.check().expect("every invariant");
        (World::on(router, now), codes)
    }

    /// A node for a thousand stations that speak MSGQ, with `change` made to the settings.
    pub fn msgq(change: impl FnOnce(&mut Settings<'static>)) -> Self {
        World::msgq_with_gate(&OPEN, change)
    }

    /// As [`World::msgq`], with users.
    pub fn msgq_with_gate(gate: &'static (dyn Gate + 'static), change: impl FnOnce(&mut Settings<'static>)) -> Self {
        let mut settings = Settings::new("test", "0", gate);
        settings.max_frame = 4096;
        settings.outbox = 1 << 20;
        settings.msgq.boot = 0x5f37_59df;
        settings.msgq.max_body = 65_536;
        settings.msgq.outbox = 3 << 20;
        change(&mut settings);
        let heap = Box::leak(Box::new(Many::new(48 << 20, 256 << 10)));
        let now = Instant::from_millis(1_000_003);
        let router = heap.router(settings, now).expect("the test's settings are valid");
        World::on(router, now)
    }

    /// How many rows of a table are used, or blocks of the pool: by its name in the router's `usage`.
    pub fn used(&self, what: &str) -> u64 {
        self.usage(what).used
    }

    /// The router's `usage` of one table, or of the pool, by its name.
    pub fn usage(&self, what: &str) -> Usage {
        self.router.usage().into_iter().find(|u| u.name == what).unwrap_or_else(|| panic!("no {what}"))
    }

    /// A client that wants a connection; it is ready when this returns, if the router lets it.
    pub fn station(&mut self, name: &'static str) -> usize {
        self.station_with(Options { name, ..Options::default() }, Rights::ALL)
    }

    /// As [`World::station`], with options, and rights while anonymous.
    pub fn station_with(&mut self, options: Options<'static>, rights: Rights) -> usize {
        let memory = Memory {
            outbox: vec![0; 65536].leak(),
            script: vec![0; 4096].leak(),
            calls: vec![Call::default(); 64].leak(),
        };
        let seed = self.stations.len() as u64 + 1;
        self.stations.push(Station {
            client: Client::new(memory, Options { seed, ..options }, self.now),
            inbox: Inbox::new(vec![0; 4096].leak()),
            id: None,
            reads: true,
            allowed: true,
            cut: false,
            seen: Vec::new(),
            closed: Vec::new(),
            rights,
        });
        self.drive();
        self.stations.len() - 1
    }

    /// The address of a station that is ready.
    pub fn address(&self, s: usize) -> u64 {
        self.stations[s].client.station().expect("the station is ready").number()
    }

    /// Cuts a station's wire, as a pulled plug that both ends notice. It stays cut until
    /// `allowed` is set again.
    pub fn unplug(&mut self, s: usize) {
        self.stations[s].allowed = false;
        if let Some(id) = self.stations[s].id.take() {
            self.router.closed(self.now, id);
            self.check();
            self.stations[s].client.disconnected(self.now);
        }
        self.drive();
    }

    /// Until nobody has anything to say.
    pub fn drive(&mut self) {
        for _ in 0..100_000 {
            let mut busy = self.router_turn();
            for s in 0..self.stations.len() {
                busy |= self.client_turn(s);
            }
            for t in 0..self.talkers.len() {
                busy |= self.talker_turn(t);
            }
            for c in 0..self.wires.len() {
                busy |= self.wire_turn(c);
            }
            for c in 0..self.lines.len() {
                busy |= self.line_turn(c);
            }
            if !busy {
                return;
            }
        }
        panic!("the router and its clients talk for ever");
    }

    /// Time passes: everybody is called at every deadline in between.
    pub fn advance(&mut self, ms: u32) {
        let end = self.now + Duration::from_millis(ms);
        loop {
            let clients = self.stations.iter().filter_map(|s| s.client.deadline());
            let next = clients.chain(self.router.deadline()).min().filter(|&d| d <= end);
            match next {
                Some(d) if d > self.now => self.now = d,
                // due already, and yet not moved by drive(): it is not ours to serve
                Some(_) => self.now = self.now + Duration::from_millis(1),
                None => self.now = end,
            }
            self.router.tick(self.now);
            self.check();
            self.drive();
            if self.now >= end {
                return;
            }
        }
    }

    pub(crate) fn check(&self) {
        if let Err(broken) = self.router.check() {
            panic!("at {:?}: {broken}", self.now);
        }
    }

    fn router_turn(&mut self) -> bool {
        let mut busy = false;
        while let Some(action) = self.router.next_action(self.now) {
            busy = true;
            match action {
                Action::Write(id) => self.write(id),
                Action::Close(id, reason) => {
                    if let Some(s) = self.stations.iter_mut().find(|s| s.id == Some(id)) {
                        s.id = None;
                        s.closed.push(reason);
                        if !s.cut {
                            s.client.disconnected(self.now);
                        }
                    } else if let Some(t) = self.talkers.iter_mut().find(|t| t.id == Some(id)) {
                        t.id = None;
                        t.closed = Some(reason);
                        assert!(t.input.is_empty() || !t.reads, "closed inside a frame that it was told");
                    } else if let Some(c) = self.wires.iter_mut().find(|c| c.id == Some(id)) {
                        c.end(reason);
                    } else if let Some(c) = self.lines.iter_mut().find(|c| c.id == Some(id)) {
                        c.end(reason);
                    }
                }
                Action::Resume(id) => {
                    if let Some(c) = self.wires.iter_mut().find(|c| c.id == Some(id)) {
                        c.waits = false;
                    } else if let Some(c) = self.lines.iter_mut().find(|c| c.id == Some(id)) {
                        c.waits = false;
                    }
                }
            }
            self.check();
        }
        busy
    }

    fn write(&mut self, id: StationId) {
        let mut bytes = self.router.output(id).flatten().copied().collect::<Vec<u8>>();
        assert!(!bytes.is_empty(), "offered to write nothing");
        if let Some(t) = self.talkers.iter_mut().find(|t| t.id == Some(id)) {
            bytes.truncate(if t.reads { self.piece } else { 0 });
            t.take(&bytes);
            self.router.sent(self.now, id, bytes.len());
            if t.reads {
                self.router.writable(self.now, id);
            }
            return;
        }
        if let Some(c) = self.wires.iter_mut().find(|c| c.id == Some(id)) {
            bytes.truncate(if c.reads { self.piece } else { 0 });
            c.take(&bytes);
            c.waits &= bytes.is_empty();
            self.router.sent(self.now, id, bytes.len());
            if self.wires.iter().any(|c| c.id == Some(id) && c.reads) {
                self.router.writable(self.now, id);
            }
            return;
        }
        if let Some(c) = self.lines.iter_mut().find(|c| c.id == Some(id)) {
            bytes.truncate(if c.reads { self.piece } else { 0 });
            c.take(&bytes);
            c.waits &= bytes.is_empty();
            self.router.sent(self.now, id, bytes.len());
            if self.lines.iter().any(|c| c.id == Some(id) && c.reads) {
                self.router.writable(self.now, id);
            }
            return;
        }
        let Some(s) = self.stations.iter_mut().find(|s| s.id == Some(id)) else {
            // a connection that the test admitted itself: it reads everything
            return self.router.sent(self.now, id, bytes.len());
        };
        if !s.reads {
            bytes.clear();
        }
        bytes.truncate(self.piece);
        self.router.sent(self.now, id, bytes.len());
        if s.reads {
            self.router.writable(self.now, id);
        }
        let mut input = if s.cut { &[] } else { &bytes[..] };
        loop {
            match s.inbox.take(&mut input) {
                Ok(Some(frame)) => s.seen.extend(s.client.handle(self.now, frame).map(Seen::from)),
                Ok(None) => break,
                Err(e) => panic!("the router wrote what no client understands: {e:?}"),
            }
        }
    }

    /// A station reads again.
    pub fn read_again(&mut self, s: usize) {
        self.stations[s].reads = true;
        if let Some(id) = self.stations[s].id {
            self.router.writable(self.now, id);
        }
        self.drive();
    }

    fn client_turn(&mut self, s: usize) -> bool {
        let (now, piece) = (self.now, self.piece);
        let station = &mut self.stations[s];
        let mut busy = false;
        while let Some(event) = station.client.tick(now) {
            station.seen.push(event.into());
            busy = true;
        }
        match station.client.wish(now) {
            Wish::Connect if station.allowed && !station.cut => {
                let newcomer = Newcomer { grant: Grant::anonymous(station.rights), ..Newcomer::default() };
                match self.router.admit(now, newcomer) {
                    Ok(id) => {
                        station.id = Some(id);
                        station.inbox.clear();
                        station.client.connected(now);
                    }
                    Err(_) => station.client.disconnected(now),
                }
                busy = true;
            }
            Wish::Close | Wish::Stop => {
                if station.cut {
                    station.client.disconnected(now);
                    busy = true;
                } else if let Some(id) = station.id.take() {
                    self.router.closed(now, id);
                    station.client.disconnected(now);
                    busy = true;
                } else if station.client.wish(now) == Wish::Close {
                    station.client.disconnected(now);
                    busy = true;
                }
            }
            Wish::Connect | Wish::Stay => {}
        }
        if let Some(id) = station.id {
            let n = station.client.output().len().min(piece);
            if n > 0 {
                let taken = if station.cut { n } else { self.router.receive(now, id, &station.client.output()[..n]) };
                station.client.sent(taken);
                busy = true;
            }
        }
        self.check();
        busy
    }

    fn talker_turn(&mut self, t: usize) -> bool {
        let talker = &mut self.talkers[t];
        let Some(id) = talker.id else { return false };
        let n = talker.output.len().min(self.piece);
        if n == 0 {
            return false;
        }
        let taken = self.router.receive(self.now, id, &talker.output[..n]);
        talker.output.drain(..taken);
        self.check();
        true
    }

    // Stations that speak MSGQ.

    /// A connection that speaks MSGQ and says nothing yet.
    pub fn stranger(&mut self) -> usize {
        self.stranger_with(Rights::ALL)
    }

    /// As [`World::stranger`], with these rights.
    pub fn stranger_with(&mut self, rights: Rights) -> usize {
        self.admitted(Newcomer { dialect: Dialect::Msgq, grant: Grant::anonymous(rights), ..Newcomer::default() })
    }

    /// As [`World::stranger`], as the shell has it.
    pub fn admitted(&mut self, newcomer: Newcomer) -> usize {
        let id = self.router.admit(self.now, newcomer).expect("a free place");
        self.talkers.push(Talker::new(id));
        self.drive();
        self.talkers.len() - 1
    }

    /// A station that speaks MSGQ and knows its name.
    pub fn talker(&mut self) -> usize {
        let t = self.stranger();
        self.introduce(t);
        t
    }

    /// It asks for its name, as every library does first.
    pub fn introduce(&mut self, t: usize) {
        self.say(t, &json!({"type": "getlname"}), b"");
        let first = self.talkers[t].heard.first().expect("an answer at once");
        assert_eq!(first.header, json!({"type": "getlname"}));
        self.talkers[t].heard.remove(0);
    }

    /// Octets of its own, and drives.
    pub fn feed(&mut self, t: usize, bytes: &[u8]) {
        self.talkers[t].output.extend_from_slice(bytes);
        self.drive();
    }

    /// A frame, and drives.
    pub fn say(&mut self, t: usize, members: &Value, body: &[u8]) {
        self.feed(t, &frame(&header(members), body));
    }

    /// A frame with this very header, and drives.
    pub fn say_raw(&mut self, t: usize, header: &str, body: &str) {
        self.feed(t, &frame(header.as_bytes(), body.as_bytes()));
    }

    /// Subscribes to all instances of a group, and drives.
    pub fn subscribe(&mut self, t: usize, group: &str) {
        self.say(t, &json!({"type": "subscribe", "group": group, "instance": "*"}), b"");
    }

    /// Leaves a group, and drives.
    pub fn unsubscribe(&mut self, t: usize, group: &str) {
        self.say(t, &json!({"type": "unsubscribe", "group": group, "instance": "*"}), b"");
    }

    /// As `group_sendmsg` of the Python library; `to` is `*` or an lname. Returns its number.
    pub fn group_send(&mut self, t: usize, group: &str, to: &str, want_answer: bool, body: &Value) -> i64 {
        let talker = &mut self.talkers[t];
        talker.seq += 1;
        let seq = talker.seq;
        let members = json!({"type": "send", "from": talker.lname, "to": to, "group": group, "instance": "*",
            "seq": seq, "want_answer": want_answer});
        self.say(t, &members, body.to_string().as_bytes());
        seq
    }

    /// As `group_reply` of the Python library: answers a message that it heard.
    pub fn group_reply(&mut self, t: usize, question: &Frame, body: &Value) {
        let talker = &mut self.talkers[t];
        talker.seq += 1;
        let members = json!({"type": "send", "from": talker.lname, "to": question.header["from"],
            "group": question.header["group"], "instance": question.header["instance"], "seq": talker.seq,
            "reply": question.header["seq"]});
        self.say(t, &members, body.to_string().as_bytes());
    }

    /// Takes what a station heard.
    pub fn heard(&mut self, t: usize) -> Vec<Frame> {
        std::mem::take(&mut self.talkers[t].heard)
    }

    /// Takes the bodies that a station heard.
    pub fn heard_bodies(&mut self, t: usize) -> Vec<Value> {
        self.heard(t).iter().map(Frame::json).collect()
    }

    /// Takes the one frame that a station heard.
    ///
    /// # Panics
    /// If it is not one.
    pub fn heard_one(&mut self, t: usize) -> Frame {
        let mut all = self.heard(t);
        assert_eq!(all.len(), 1, "{all:?}");
        all.remove(0)
    }

    /// Everything that a station said has been carried out, and all that it is to hear was
    /// heard: a ping and its pong (section 10).
    ///
    /// # Panics
    /// If no pong comes.
    pub fn barrier(&mut self, t: usize) {
        self.say(t, &json!({"type": "ping"}), b"b");
        let pong = self.talkers[t].heard.pop().expect("a pong");
        assert_eq!((&pong.header, &pong.body[..]), (&json!({"type": "pong"}), &b"b"[..]));
    }

    /// It ends its connection.
    pub fn hang_up(&mut self, t: usize) {
        if let Some(id) = self.talkers[t].id.take() {
            self.router.closed(self.now, id);
            self.check();
        }
        self.drive();
    }

    /// It reads again.
    pub fn talker_reads_again(&mut self, t: usize) {
        self.talkers[t].reads = true;
        if let Some(id) = self.talkers[t].id {
            self.router.writable(self.now, id);
        }
        self.drive();
    }

    // What tests say most.

    /// Joins, and drives.
    pub fn join(&mut self, s: usize, name: &str) {
        self.join_as(s, &Join { name, ..Join::default() });
    }

    /// Joins, and drives.
    pub fn join_as(&mut self, s: usize, join: &Join<'_>) {
        self.stations[s].client.join(join).expect("room in the script");
        self.drive();
    }

    /// Watches, and drives.
    pub fn watch(&mut self, s: usize, watch: &Watch<'_>) {
        self.stations[s].client.watch(watch).expect("room in the script");
        self.drive();
    }

    /// Monitors, and drives.
    pub fn monitor(&mut self, s: usize, monitor: &Monitor<'_>) {
        self.stations[s].client.monitor(monitor).expect("room in the script");
        self.drive();
    }

    /// Takes what a monitor was shown; anything else is dropped.
    pub fn sights(&mut self, s: usize) -> Vec<String> {
        let sight = |seen| if let Seen::Sight(line) = seen { Some(line) } else { None };
        self.take(s).into_iter().filter_map(sight).collect()
    }

    /// Sends, and drives.
    pub fn send(&mut self, s: usize, letter: &Letter<'_>) {
        self.stations[s].client.send(letter).expect("room in the outbox");
        self.drive();
    }

    /// Asks, and drives. Returns the number that the reply will have.
    pub fn call(&mut self, s: usize, letter: &Letter<'_>) -> u32 {
        let seq = self.stations[s].client.call(self.now, letter).expect("room for a call");
        self.drive();
        seq
    }

    /// Answers, and drives.
    pub fn answer(&mut self, s: usize, ask_id: u64, body: &[u8]) {
        self.stations[s].client.answer(&Answer { ask_id, body, ..Answer::default() }).expect("room in the outbox");
        self.drive();
    }

    /// Takes what a station was told.
    pub fn take(&mut self, s: usize) -> Vec<Seen> {
        std::mem::take(&mut self.stations[s].seen)
    }

    /// Takes the letters that a station was told; anything else is dropped.
    pub fn letters(&mut self, s: usize) -> Vec<Mail> {
        let letter = |seen| if let Seen::Message(m) = seen { Some(m) } else { None };
        self.take(s).into_iter().filter_map(letter).collect()
    }

    /// Takes the bodies of the letters that a station was told, as text.
    pub fn bodies(&mut self, s: usize) -> Vec<String> {
        self.letters(s).into_iter().map(|m| String::from_utf8(m.body).expect("text")).collect()
    }

    /// Takes the replies to call `seq`: code and body of each.
    pub fn replies(&mut self, s: usize, seq: u32) -> Vec<(Code, Vec<u8>)> {
        let mut found = Vec::new();
        self.stations[s].seen.retain(|seen| match seen {
            Seen::Reply { seq: n, code, body, .. } if *n == seq => {
                found.push((*code, body.clone()));
                false
            }
            Seen::Lost { seq: n, why } if *n == seq => panic!("call {seq} was lost: {why:?}"),
            _ => true,
        });
        found
    }

    /// Takes the outcomes of request `seq`: code and text of each.
    pub fn outcomes(&mut self, s: usize, seq: u32) -> Vec<(Code, String)> {
        let mut found = Vec::new();
        self.stations[s].seen.retain(|seen| match seen {
            Seen::Outcome { seq: n, code, text, .. } if *n == seq => {
                found.push((*code, text.clone()));
                false
            }
            _ => true,
        });
        found
    }
}
