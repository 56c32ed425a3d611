//! A run: nodes, stations, links and the network between them, under one clock.
//!
//! Owns: the clock, who is connected to whom, and what befalls them. Does not own what is right (`model.rs`),
//! nor what happens when (`plan.rs`).

use super::judge::Judge;
use super::model::{Expect, What};
use super::net::Line;
use super::node::{self, Node, Wish};
use super::plan::{KEYS, Op, Plan, Reading, Setup, Speech};
use super::station::{self, Station, address};
use super::tally::Tally;
use super::words::{self, Heard, Said, To, Token};
use crate::clacks::wire::Wire;
use crate::disk::Disk;
use crate::random::Random;
use chappe_core::client::Wish as ClientWish;
use chappe_core::id::StationId;
use chappe_core::model::Code;
use chappe_core::router::store::Keeping;
use chappe_core::router::{Reason, Settings};
use chappe_core::time::Instant;
use std::collections::BTreeMap;

/// The calendar at the clock's zero, in microseconds since 1970.
const CALENDAR: i64 = 1_795_190_000_000_000;
/// When a run begins.
const BEGIN: u64 = 1_000_003;
/// After how long a kernel finds out that a connection is half-open.
const KEEP_ALIVE: u64 = 75_000;
/// From the end of a link to the next attempt.
const LINK_AGAIN: u64 = 700;

/// Who is at the other end of a connection to a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Who {
    Station(usize),
    /// The other end is another node: the link, and whether this end is the slave's.
    Link(usize, bool),
    Stranger,
}

/// One connection to a node.
struct Wired {
    line: Line,
    node: usize,
    /// What the node calls it, as long as it has it.
    id: Option<StationId>,
    who: Who,
    speech: Speech,
    /// Octets of a frame that the node has not taken whole.
    partial: Vec<u8>,
    /// The node did not take all, and has not said that it would.
    waits: bool,
    blocked: bool,
    judge: Judge,
    /// The station has it, too.
    up: bool,
    /// When the node's kernel finds out that nobody is there.
    dead_at: Option<u64>,
}

/// A link between nodes.
struct Link {
    slave: usize,
    master: usize,
    /// Its connections: at the slave, at the master.
    ends: Option<(usize, usize)>,
    /// What a strict reader has of both directions.
    readers: [Wire; 2],
    again_at: u64,
}

/// What a run has shown.
#[derive(Debug, Clone, Default)]
pub struct Ran {
    /// What happened how often.
    pub tally: Tally,
    /// Of everything that was heard, in order.
    pub hash: u64,
}

/// What went wrong.
#[derive(Debug, Clone)]
pub struct Failure {
    /// The place in the list of the operation that was done last.
    pub step: usize,
    /// The time.
    pub now: u64,
    /// What.
    pub what: String,
}

struct World<'s, F: Fn(&mut Settings<'s>)> {
    now: u64,
    setup: &'s Setup,
    rooms: std::slice::IterMut<'s, node::Room>,
    disks: &'s [Disk],
    change: F,
    lives: u64,
    nodes: Vec<Option<Node<'s>>>,
    calendars: Vec<i64>,
    stations: Vec<Station<'s>>,
    wired: Vec<Wired>,
    /// Those of them that are not over for both ends.
    active: Vec<usize>,
    /// The connection that a node calls so.
    by_id: BTreeMap<(usize, u64), usize>,
    links: Vec<Link>,
    token: Token,
    /// Questions by what who was asked calls them: node, asker if that has a number of its own, number.
    questions: BTreeMap<(usize, u64, i64), Token>,
    stale: Vec<(usize, u64)>,
    /// The last change of each value: when the one before was, when it was, at which node, and to what.
    changes: BTreeMap<String, Change>,
    /// How many changes there were at its node when a message had come to somebody.
    brought: BTreeMap<(usize, Token), u64>,
    /// All nodes have the same calendar and take all changes, so there is one history of values.
    one_history: bool,
    ran: Ran,
}

/// A change of a value.
#[derive(Debug)]
struct Change {
    before: u64,
    at: u64,
    node: usize,
    value: Option<Vec<u8>>,
}

/// Runs a plan. `change` has a word in how nodes are set up.
///
/// # Errors
/// If a rule is broken.
pub fn run(plan: &Plan, change: impl for<'a> Fn(&mut Settings<'a>)) -> Result<Ran, Failure> {
    let mut rooms: Vec<node::Room> = (0..plan.lives()).map(|_| node::room(plan.setup.tight)).collect();
    let mut clients: Vec<station::Room> = plan.setup.seats.iter().map(|_| station::room()).collect();
    let disks: Vec<Disk> = (0..plan.setup.nodes).map(|_| Disk::lasting()).collect();
    let begin = Instant::from_millis(BEGIN);
    let seats = plan.setup.seats.iter().zip(&mut clients).enumerate();
    let stations = seats.map(|(i, (seat, room))| Station::new(*seat, i, room, begin)).collect();
    let links = plan.setup.links.iter().map(|(slave, master)| Link {
        slave: *slave,
        master: *master,
        ends: None,
        readers: Default::default(),
        again_at: BEGIN,
    });
    let mut world = World {
        now: BEGIN,
        setup: &plan.setup,
        rooms: rooms.iter_mut(),
        disks: &disks,
        change,
        lives: 0,
        nodes: (0..plan.setup.nodes).map(|_| None).collect(),
        calendars: vec![CALENDAR; plan.setup.nodes],
        stations,
        wired: Vec::new(),
        active: Vec::new(),
        by_id: BTreeMap::new(),
        links: links.collect(),
        token: 1,
        questions: BTreeMap::new(),
        stale: Vec::new(),
        changes: BTreeMap::new(),
        brought: BTreeMap::new(),
        one_history: true,
        ran: Ran::default(),
    };
    let mut at = 0;
    let mut all = || -> Result<(), String> {
        (0..plan.setup.nodes).for_each(|n| world.start(n));
        world.pass(200)?;
        for (i, step) in &plan.steps {
            at = *i;
            world.act(&step.op)?;
            world.pass(step.pause.into())?;
        }
        at = usize::MAX;
        world.quiet()?;
        world.empty()
    };
    let done = all();
    let (now, ran) = (world.now, world.ran);
    done.map(|()| ran).map_err(|what| Failure { step: at, now, what })
}

impl<'s, F: Fn(&mut Settings<'s>)> World<'s, F> {
    fn instant(&self) -> Instant {
        Instant::from_millis(self.now)
    }

    fn saw(&mut self, what: &str) {
        self.ran.tally.one(what);
    }

    fn hash(&mut self, n: usize, heard: &dyn std::fmt::Debug) {
        for b in format!("{} {n} {heard:?}", self.now).bytes() {
            self.ran.hash = (self.ran.hash ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    // Nodes.

    fn start(&mut self, n: usize) {
        let room = self.rooms.next().expect("one for each life");
        let disk = self.setup.durable.then_some(&self.disks[n]);
        self.lives += 1;
        let mut node =
            Node::new(n, 0x100 + self.lives, room, disk, self.instant(), self.calendars[n] as u64, &self.change);
        node.monitor(self.instant(), self.setup.monitored);
        node.model.linked = !self.links.is_empty();
        self.nodes[n] = Some(node);
    }

    fn crash(&mut self, n: usize) -> Result<(), String> {
        let Some(node) = self.nodes[n].take() else { return Ok(()) };
        self.saw("crashes");
        self.ran.tally.counted(&node.router);
        for w in 0..self.wired.len() {
            if self.wired[w].node == n && self.wired[w].id.take().is_some() {
                // the machine is off: nobody is told, or the kernel says so for the process
                if w % 3 == 0 {
                    self.wired[w].line.break_silently();
                    self.wired[w].dead_at = Some(self.now + KEEP_ALIVE);
                } else {
                    let Wired { line, .. } = &mut self.wired[w];
                    line.down.end(self.now, line.delay);
                }
            }
        }
        // what only it knew is lost
        self.changes.values_mut().filter(|c| c.node == n).for_each(|c| c.before = c.at);
        self.by_id.retain(|(node, _), _| *node != n);
        self.questions.retain(|(node, ..), _| *node != n);
        self.stale.retain(|(node, _)| *node != n);
        if self.setup.durable {
            let past = node.past();
            self.start(n);
            let (now, calendar) = (self.instant(), self.calendars[n] as u64);
            self.not_again(n)?;
            // what the disk has not come to know of has not been
            let kept = self.disks[n].kept.get();
            self.brought.retain(|(node, _), at| *node != n || *at <= kept);
            self.nodes[n].as_mut().expect("it runs again").resume(now, calendar, past)?;
            self.saw("restarts with a disk");
        }
        Ok(())
    }

    /// What was delivered before the disk caught up for the last time does not come again.
    fn not_again(&self, n: usize) -> Result<(), String> {
        let disk = &self.disks[n];
        for copy in disk.mail.borrow().values() {
            let token = words::kept_token(copy)?;
            if self.brought.get(&(n, token)).is_some_and(|at| *at <= disk.kept.get()) {
                return Err(format!(
                    "D9: message #{token} was delivered, that is on the disk, and it is to come again"
                ));
            }
        }
        Ok(())
    }

    /// Asks the router of a node for something, does what it wants then, and settles it with the model.
    fn ask(&mut self, n: usize, what: impl FnOnce(&mut Self, &mut Node<'s>) -> Vec<(u64, Said)>) -> Result<(), String> {
        self.ask_for(n, &[], what)
    }

    /// As `ask`; `gone` are connections that have ended by it.
    fn ask_for(
        &mut self,
        n: usize,
        gone: &[u64],
        what: impl FnOnce(&mut Self, &mut Node<'s>) -> Vec<(u64, Said)>,
    ) -> Result<(), String> {
        let Some(mut node) = self.nodes[n].take() else { return Ok(()) };
        let mark = node.mark();
        let said = what(self, &mut node);
        let done = self.serve(n, &mut node).and_then(|()| node.settle(self.instant(), mark, &said, gone));
        self.nodes[n] = Some(node);
        let (expected, left) = done?;
        for e in expected {
            self.expect(n, e);
        }
        for id in left {
            self.stale.push((n, id));
            if let Some(w) = self.by_id.get(&(n, id)) {
                self.wired[*w].judge.release();
            }
        }
        Ok(())
    }

    fn expect(&mut self, n: usize, e: Expect) {
        if let Some(w) = self.by_id.get(&(n, e.to)) {
            let wired = &mut self.wired[*w];
            let is_heard = !wired.line.half_open
                && match wired.who {
                    Who::Station(_) => true,
                    // all else that is said over links is between the nodes
                    Who::Link(..) => matches!(e.what, What::Exactly(Heard::Letter { .. })),
                    Who::Stranger => false,
                };
            if is_heard {
                wired.judge.expect(self.now, e);
            }
        }
    }

    /// Does what the router wants until it wants nothing.
    fn serve(&mut self, n: usize, node: &mut Node<'s>) -> Result<(), String> {
        let now = self.instant();
        while let Some(wish) = node.wish(now)? {
            match wish {
                Wish::Write(id) => {
                    let w = self.by_id[&(n, id.number())];
                    let wired = &mut self.wired[w];
                    let mut bytes: Vec<u8> = node.router.output(id).flatten().copied().collect();
                    let all = bytes.len();
                    bytes.truncate(wired.line.room());
                    wired.line.write_down(self.now, &bytes);
                    wired.blocked = bytes.len() < all;
                    if wired.blocked {
                        wired.judge.lags(self.now);
                    }
                    node.router.sent(now, id, bytes.len());
                }
                Wish::Resume(id) => self.wired[self.by_id[&(n, id.number())]].waits = false,
                Wish::Close(id, why) => {
                    self.ran.tally.one(&format!("closed {}", why.name()));
                    if let Some(w) = self.by_id.get(&(n, id.number())).copied() {
                        let Wired { line, id, who, .. } = &mut self.wired[w];
                        *id = None;
                        line.down.end(self.now, line.delay);
                        // its dialect has no words for a refusal: its user thinks of something else
                        if let (Reason::Denied, Who::Station(s)) = (why, *who) {
                            self.stations[s].forget_joins();
                        }
                    }
                }
            }
        }
        Ok(())
    }

    // Connections.

    fn connect(
        &mut self,
        n: usize,
        who: Who,
        speech: Speech,
        (delay, segment, window): (u64, usize, usize),
    ) -> Result<Option<usize>, String> {
        let w = self.wired.len();
        let to_master = matches!(who, Who::Link(_, true));
        let mut came = None;
        self.ask(n, |world, node| {
            came = node.admit(world.instant(), speech, to_master);
            if let Some(id) = came {
                world.by_id.insert((n, id.number()), w);
                let line = Line::new(delay, segment, window);
                let (partial, judge) = (Vec::new(), Judge::new(delay));
                let (waits, blocked, up, dead_at) = (false, false, true, None);
                let id = came;
                let wired = Wired { line, node: n, id, who, speech, partial, waits, blocked, judge, up, dead_at };
                world.wired.push(wired);
                world.active.push(w);
            }
            Vec::new()
        })?;
        self.saw(if came.is_some() { "connections" } else { "connections refused" });
        Ok(came.map(|_| w))
    }

    /// The station, or the network, ends a connection; the node hears of it.
    fn hang_up(&mut self, w: usize) -> Result<(), String> {
        let wired = &mut self.wired[w];
        wired.up = false;
        if wired.line.half_open {
            return Ok(());
        }
        let delay = wired.line.delay;
        wired.line.up.end(self.now, delay);
        Ok(())
    }

    /// The connection breaks, and both ends notice at once.
    fn cut(&mut self, w: usize) -> Result<(), String> {
        let (n, id) = (self.wired[w].node, self.wired[w].id.take());
        self.wired[w].up = false;
        self.wired[w].line.break_silently();
        self.wired[w].judge = Judge::default();
        if let Some(id) = id {
            self.ask_for(n, &[], |world, node| {
                node.router.closed(world.instant(), id);
                Vec::new()
            })?;
            // who was not introduced is gone without a word
            let node = self.nodes[n].as_mut().expect("it runs");
            if !node.model.is_ready(id.number()) {
                node.model.gone(id.number());
            } else {
                return Err(format!("D7: {} has ended, and watchers were not told", id.number()));
            }
        }
        match self.wired[w].who {
            Who::Station(s) if self.stations[s].line == Some(w) => self.stations[s].disconnected(self.now),
            Who::Link(l, _) => self.unlink(l),
            _ => Ok(()),
        }
    }

    fn unlink(&mut self, l: usize) -> Result<(), String> {
        let Some((up, down)) = self.links[l].ends.take() else { return Ok(()) };
        self.links[l].again_at = self.now + LINK_AGAIN;
        self.saw("links ended");
        self.cut(up)?;
        self.cut(down)
    }

    /// What has arrived at a node is offered to it.
    fn feed(&mut self, w: usize) -> Result<bool, String> {
        let wired = &mut self.wired[w];
        let Some(id) = wired.id else { return Ok(false) };
        wired.line.up.arrive(self.now);
        if wired.line.up.arrived.is_empty() && wired.line.up.ended {
            self.cut(w)?;
            return Ok(true);
        }
        if wired.waits || wired.line.up.arrived.is_empty() {
            return Ok(false);
        }
        let n = wired.node;
        let most = wired.line.up.arrived.len().min(wired.line.segment);
        let take = if wired.who == Who::Stranger { most } else { self.offer(w, most)? };
        let wired = &mut self.wired[w];
        let bytes: Vec<u8> = wired.line.up.arrived[..take].to_vec();
        let (mut failed, mut changed) = (None, Vec::new());
        let (mut taken, mut cleared) = (0, false);
        self.ask(n, |world, node| {
            taken = node.router.receive(world.instant(), id, &bytes);
            let wired = &mut world.wired[w];
            wired.line.up.arrived.drain(..taken);
            wired.waits = taken < take && node.router.is_paused(id);
            if wired.who == Who::Stranger {
                return Vec::new();
            }
            wired.partial.extend_from_slice(&bytes[..taken]);
            let said = world.frames(w, id.number()).unwrap_or_else(|e| {
                failed = Some(e);
                Vec::new()
            });
            changed = said.iter().filter_map(|(_, said)| said.changed()).collect();
            cleared = said.iter().any(|(_, said)| matches!(said, Said::Clear));
            said
        })?;
        // what the disk refuses is no change
        let refuses = self.setup.durable && matches!(self.disks[n].how.get(), Keeping::Failing | Keeping::Behind);
        for key in changed.into_iter().filter(|_| !refuses) {
            self.changed(n, key);
        }
        if cleared {
            // nobody can say what linked nodes make of it, and when
            for key in KEYS {
                let change = Change { before: self.now, at: self.now, node: n, value: None };
                self.changes.insert(key.into(), change);
            }
        }
        match failed {
            Some(e) => Err(e),
            None => Ok(taken > 0 || take > 0 && !self.wired[w].waits),
        }
    }

    /// A station has changed a value at a node, or was refused to.
    fn changed(&mut self, n: usize, key: String) {
        let value = self.nodes[n].as_ref().and_then(|node| node.model.values.get(&key).cloned());
        let before = self.changes.get(&key).map_or(0, |c| c.at);
        self.changes.insert(key, Change { before, at: self.now, node: n, value });
    }

    /// How many octets are offered together: whole messages in any number, anything else alone.
    fn offer(&self, w: usize, most: usize) -> Result<usize, String> {
        let wired = &self.wired[w];
        let all = [&wired.partial[..], &wired.line.up.arrived[..most]].concat();
        let (mut at, mut letters) = (0, true);
        while letters && let Some(size) = words::frame_size(wired.speech, &all[at..]) {
            let said = words::said(wired.speech, &all[at..at + size], address)?;
            letters = match &said {
                Said::Send(s) => !s.ask && !s.keep && s.to == To::Name && s.seq == 0,
                Said::Line { message, .. } => {
                    let for_sender =
                        ["reply_to", "transmission_report"].iter().any(|k| message.params.contains_key(*k));
                    !message.service.is_empty() && !for_sender && words::token_of(message)?.is_some()
                }
                _ => false,
            };
            if !letters && at > 0 {
                break;
            }
            at += size;
        }
        let offered = if at == 0 { all.len() } else { at };
        Ok(offered.saturating_sub(wired.partial.len()).max(1).min(most))
    }

    /// The frames that a node has taken whole.
    fn frames(&mut self, w: usize, id: u64) -> Result<Vec<(u64, Said)>, String> {
        let mut all = Vec::new();
        let n = self.wired[w].node;
        while let Some(size) = words::frame_size(self.wired[w].speech, &self.wired[w].partial) {
            let frame: Vec<u8> = self.wired[w].partial.drain(..size).collect();
            let mut said = words::said(self.wired[w].speech, &frame, address)?;
            if let Said::Answer { ask_id, to, .. } = &mut said {
                let key = to.map_or((n, 0, *ask_id as i64), |(asker, seq)| (n, asker, seq));
                *ask_id = self.questions.get(&key).copied().map_or(u64::MAX, u64::from);
            }
            if let Said::Line { message, question } = &mut said {
                let number = words::question_in(message);
                *question = number.and_then(|number| self.questions.get(&(n, 0, number)).copied());
            }
            self.ran.tally.one(&format!("said {}", said.word()));
            all.push((id, said));
        }
        Ok(all)
    }

    /// What has arrived at a station is read, as far as it reads.
    fn read(&mut self, w: usize) -> Result<bool, String> {
        let wired = &mut self.wired[w];
        wired.line.down.arrive(self.now);
        let (s, link) = match wired.who {
            Who::Station(s) => (Some(s), None),
            Who::Link(l, at_slave) => (None, Some((l, at_slave))),
            Who::Stranger => {
                let any = !wired.line.down.arrived.is_empty();
                wired.line.down.arrived.clear();
                return Ok(self.writable(w)? || any);
            }
        };
        let mut most = usize::MAX;
        if let Some(s) = s {
            let station = &mut self.stations[s];
            most = match station.reading {
                _ if station.line != Some(w) => 0,
                Reading::All => usize::MAX,
                Reading::Nothing => 0,
                Reading::Slowly if station.reads_at > self.now => 0,
                Reading::Slowly => 30,
            };
        }
        let wired = &mut self.wired[w];
        let take = wired.line.down.arrived.len().min(most);
        if take < wired.line.down.arrived.len() || wired.blocked {
            wired.judge.lags(self.now);
        }
        if take > 0 {
            let bytes: Vec<u8> = wired.line.down.arrived.drain(..take).collect();
            match (s, link) {
                (Some(s), _) => self.station_hears(s, w, &bytes)?,
                (_, Some((l, at_slave))) => self.link_hears(l, at_slave, w, &bytes)?,
                _ => {}
            }
        }
        let mut busy = self.writable(w)? || take > 0;
        let wired = &mut self.wired[w];
        if wired.line.down.ended && wired.line.down.arrived.is_empty() && wired.up {
            busy = true;
            wired.up = false;
            match (s, link) {
                (Some(s), _) => self.stations[s].disconnected(self.now)?,
                (_, Some((l, _))) => self.unlink(l)?,
                _ => {}
            }
        }
        Ok(busy)
    }

    /// Tells the node if there is room again.
    fn writable(&mut self, w: usize) -> Result<bool, String> {
        let wired = &mut self.wired[w];
        let Some(id) = wired.id.filter(|_| wired.blocked && wired.line.room() > 0) else { return Ok(false) };
        wired.blocked = false;
        let n = wired.node;
        self.ask(n, |world, node| {
            node.router.writable(world.instant(), id);
            Vec::new()
        })?;
        Ok(true)
    }

    fn station_hears(&mut self, s: usize, w: usize, bytes: &[u8]) -> Result<(), String> {
        let station = &mut self.stations[s];
        station.reads_at = self.now + 50;
        let n = self.wired[w].node;
        let speech = station.seat.speech;
        for (heard, number) in station.input(self.now, bytes).map_err(|e| format!("station {s}: {e}"))? {
            if let (Some((asker, number)), Heard::Letter { token, .. }) = (number, &heard) {
                self.questions.insert((n, asker, number), *token);
            }
            if let Heard::Letter { token, .. } = heard {
                self.brought.insert((n, token), self.disks[n].changes.get());
            }
            self.hash(s, &heard);
            self.ran.tally.one(&format!("heard {}", heard.word()));
            self.wired[w].judge.hear(self.now, &heard, speech).map_err(|e| format!("station {s}: {e}"))?;
        }
        Ok(())
    }

    fn link_hears(&mut self, l: usize, at_slave: bool, w: usize, bytes: &[u8]) -> Result<(), String> {
        let Some((up, down)) = self.links[l].ends else { return Ok(()) };
        let reader = &mut self.links[l].readers[at_slave as usize];
        reader.take(bytes);
        reader.bytes.clear();
        for line in std::mem::take(&mut reader.lines) {
            let heard = words::clacks_heard(&line)?;
            if let Heard::Letter { .. } = heard {
                self.ran.tally.one("letters over links");
                self.wired[w]
                    .judge
                    .hear(self.now, &heard, Speech::Clacks)
                    .map_err(|e| format!("link {l}: D11: {e}"))?;
            }
        }
        let other = if at_slave { down } else { up };
        let line = &mut self.wired[other].line;
        if !line.half_open {
            line.up.put(self.now, 0, bytes);
        }
        Ok(())
    }

    // Time.

    /// Until nobody has anything to do now.
    fn settle(&mut self) -> Result<(), String> {
        for _ in 0..200_000 {
            let mut busy = false;
            for s in 0..self.stations.len() {
                busy |= self.station_turn(s)?;
            }
            for l in 0..self.links.len() {
                busy |= self.link_turn(l)?;
            }
            for w in self.active.clone() {
                busy |= self.feed(w)?;
                busy |= self.read(w)?;
            }
            if !busy {
                return Ok(());
            }
        }
        Err("they talk for ever".into())
    }

    fn station_turn(&mut self, s: usize) -> Result<bool, String> {
        let station = &mut self.stations[s];
        station.tick(self.now)?;
        let mut busy = false;
        let wishes = match station.wish(self.now) {
            ClientWish::Connect => station.line.is_none(),
            ClientWish::Stay => false,
            wish @ (ClientWish::Close | ClientWish::Stop) => {
                let stops = wish == ClientWish::Stop;
                if let Some(w) = station.line {
                    self.hang_up(w)?;
                    self.stations[s].disconnected(self.now)?;
                } else if stops {
                    station.start(self.now);
                } else {
                    station.disconnected(self.now)?;
                }
                busy = true;
                false
            }
        };
        if wishes {
            let plan = self.stations[s].seat;
            let w = self.connect(plan.node, Who::Station(s), plan.speech, (plan.delay, plan.segment, plan.window))?;
            let station = &mut self.stations[s];
            match w {
                Some(w) => {
                    station.line = Some(w);
                    station.connected(self.now, self.wired[w].id.expect("it was admitted"));
                }
                None => station.disconnected(self.now)?,
            }
            busy = true;
        }
        let station = &mut self.stations[s];
        if let Some(w) = station.line {
            let bytes = station.output();
            if !bytes.is_empty() {
                self.wired[w].line.write_up(self.now, &bytes);
                busy = true;
            }
        }
        Ok(busy)
    }

    fn link_turn(&mut self, l: usize) -> Result<bool, String> {
        let link = &self.links[l];
        let (slave, master) = (link.slave, link.master);
        let both = self.nodes[slave].is_some() && self.nodes[master].is_some();
        if link.ends.is_some() || link.again_at > self.now || !both {
            return Ok(false);
        }
        self.links[l].again_at = self.now + LINK_AGAIN;
        let how = (1, 100_000, 30_000);
        let Some(down) = self.connect(master, Who::Link(l, false), Speech::Clacks, how)? else { return Ok(true) };
        let Some(up) = self.connect(slave, Who::Link(l, true), Speech::Clacks, how)? else {
            self.cut(down)?;
            return Ok(true);
        };
        let id = self.wired[up].id.expect("it was admitted");
        self.links[l].readers = [Wire::new(id, true), Wire::new(id, true)];
        self.links[l].ends = Some((up, down));
        self.saw("links");
        Ok(true)
    }

    /// Time passes, from one thing that happens to the next.
    fn pass(&mut self, ms: u64) -> Result<(), String> {
        let end = self.now + ms;
        loop {
            self.settle()?;
            let links = self.links.iter().filter(|l| l.ends.is_none()).map(|l| l.again_at);
            let nodes = self.nodes.iter().flatten().filter_map(|n| n.router.deadline()).map(Instant::millis);
            let active = || self.active.iter().map(|w| &self.wired[*w]);
            let wires = active().filter_map(|w| w.line.next());
            let dead = active().filter_map(|w| w.dead_at);
            let wires = wires.chain(dead);
            let stations = self.stations.iter().filter_map(Station::deadline);
            let next = links.chain(nodes).chain(wires).chain(stations).min().unwrap_or(end).max(self.now + 1);
            if next > end {
                break;
            }
            self.now = next;
            self.tick()?;
        }
        self.now = end;
        self.tick()?;
        self.settle()
    }

    fn tick(&mut self) -> Result<(), String> {
        for n in 0..self.nodes.len() {
            let deadline = self.nodes[n].as_ref().and_then(|node| node.router.deadline());
            if deadline.is_some_and(|at| at <= self.instant()) {
                self.ask(n, |world, node| {
                    node.router.tick(world.instant());
                    Vec::new()
                })?;
            }
        }
        for w in self.active.clone() {
            if self.wired[w].dead_at.is_some_and(|at| at <= self.now) {
                self.cut(w)?;
            }
        }
        let wired = &self.wired;
        self.active.retain(|w| wired[*w].id.is_some() || wired[*w].up);
        Ok(())
    }

    // What happens.

    fn act(&mut self, op: &Op) -> Result<(), String> {
        self.ran.tally.one(&format!("op {}", op.word()));
        let token = self.token;
        self.token += 32;
        match *op {
            Op::Read { s, how } => self.stations[s].reading = how,
            Op::Segment { s, octets } => {
                self.stations[s].seat.segment = octets;
                if let Some(w) = self.stations[s].line {
                    self.wired[w].line.segment = octets;
                }
            }
            Op::Unplug { s } => {
                if let Some(w) = self.stations[s].line {
                    return self.cut(w);
                }
            }
            Op::HalfOpen { s } => {
                if let Some(w) = self.stations[s].line {
                    self.half_open(w);
                    if self.stations[s].seat.speech != Speech::Native {
                        // these never notice by themselves: somebody restarts them
                        self.wired[w].up = false;
                        self.stations[s].disconnected(self.now)?;
                    }
                }
            }
            Op::Garbage { n, kind, seed } => self.garbage(n, kind, seed)?,
            Op::Silent { n } => {
                self.connect(n, Who::Stranger, Speech::Native, (0, 100, 1000))?;
            }
            Op::Crowd { n, count } => {
                for i in 0..count {
                    let speech = [Speech::Native, Speech::Msgq, Speech::Clacks, Speech::Communicator][i % 4];
                    self.connect(n, Who::Stranger, speech, (0, 100, 1000))?;
                }
            }
            Op::Crash { n } => return self.crash(n),
            Op::Restart { n } => {
                if self.nodes[n].is_none() {
                    self.saw("restarts with nothing");
                    self.start(n);
                }
            }
            Op::Disk { n } => self.disk(n)?,
            Op::DiskIs { n, how } => self.disk_is(n, how)?,
            Op::Calendar { n, seconds } => {
                self.calendars[n] += seconds * 1_000_000;
                self.one_history = false;
                let calendar = self.calendars[n] as u64;
                self.ask(n, |_, node| {
                    node.router.set_calendar(calendar);
                    Vec::new()
                })?;
            }
            Op::Sleep { ms } => return self.pass(ms.into()),
            Op::Unlink { l, ms } => {
                self.unlink(l)?;
                self.links[l].again_at = self.now + ms;
            }
            Op::HalfLink { l } => {
                if let Some((up, down)) = self.links[l].ends {
                    self.half_open(up);
                    self.half_open(down);
                }
            }
            Op::SendTo { s, to } | Op::AskStation { s, to, .. } => {
                let to = self.address_of(s, to);
                self.stations[s].act(self.now, op, token, to);
            }
            Op::SendToStale { s } => {
                let n = self.stations[s].seat.node;
                let stale = self.stale.iter().rev().find(|(node, _)| *node == n).map(|(_, id)| *id);
                let to = stale.map(|id| (id, self.lname_of(n, id)));
                self.stations[s].act(self.now, op, token, to);
            }
            _ => {
                if let Some(s) = op.station() {
                    self.stations[s].act(self.now, op, token, None);
                }
            }
        }
        Ok(())
    }

    fn half_open(&mut self, w: usize) {
        self.saw("half-open connections");
        self.wired[w].dead_at = Some(self.now + KEEP_ALIVE);
        self.wired[w].line.break_silently();
        self.wired[w].judge = Judge::default();
    }

    fn lname_of(&self, n: usize, id: u64) -> String {
        let boot = self.nodes[n].as_ref().map_or(0, |node| node.boot);
        format!("{boot:x}_{id:x}@{}", ["n0", "n1", "n2"][n])
    }

    /// The address of a station, if it is at the node of another.
    fn address_of(&self, from: usize, to: usize) -> Option<(u64, String)> {
        let n = self.stations[from].seat.node;
        let w = self.stations[to].line.filter(|w| self.wired[*w].node == n)?;
        let id = self.wired[w].id?.number();
        Some((id, self.lname_of(n, id)))
    }

    fn disk(&mut self, n: usize) -> Result<(), String> {
        if !self.setup.durable {
            return Ok(());
        }
        if self.disks[n].how.get() != Keeping::Failing {
            self.disks[n].how.set(Keeping::Disk);
            self.disks[n].catch_up();
            if let Some(node) = &mut self.nodes[n] {
                node.model.stored(Code::Ok);
            }
        }
        self.ask(n, |world, node| {
            node.router.stored(world.instant());
            Vec::new()
        })
    }

    /// A disk fails, is behind, or works again.
    fn disk_is(&mut self, n: usize, how: Keeping) -> Result<(), String> {
        if !self.setup.durable {
            return Ok(());
        }
        self.saw(&format!("disks that are {how:?}"));
        self.disks[n].how.set(how);
        // what comes over links is refused, too, until they come up anew
        self.one_history &= how == Keeping::Disk || self.links.is_empty();
        if let (Keeping::Failing, Some(node)) = (how, &mut self.nodes[n]) {
            node.model.stored(Code::NotStored);
        }
        self.ask(n, |world, node| {
            node.router.stored(world.instant());
            Vec::new()
        })
    }

    /// Somebody who does not speak any dialect, or only nearly.
    fn garbage(&mut self, n: usize, kind: usize, seed: u64) -> Result<(), String> {
        let mut random = Random::new(seed);
        let speech = [Speech::Native, Speech::Msgq, Speech::Clacks, Speech::Communicator][random.below(4)];
        let Some(w) = self.connect(n, Who::Stranger, speech, (0, 1 + random.below(300), 4000))? else { return Ok(()) };
        let mut bytes: Vec<u8> = match (kind, speech) {
            (0, _) => Vec::new(),
            (1, Speech::Native) => vec![1, 0, 0, 200],
            (1, Speech::Msgq) => vec![0, 0, 0, 40, 0, 20],
            (1, Speech::Clacks) => b"OVERHEAD A x\r\n".to_vec(),
            (1, Speech::Communicator) => b"REGISTER service=".to_vec(),
            (2, Speech::Native) => vec![3, 0, 0, 0, 9, 9, 9, 9],
            (2, Speech::Msgq) => b"\0\0\0\x06\0\x02{}xx".to_vec(),
            (_, Speech::Native) => vec![1, 255, 255, 255],
            (_, Speech::Msgq) => vec![255; 8],
            (_, Speech::Communicator) => {
                b"<a: \n{\"command\":1}\na/b/C\n <:x communicatord/COMMANDS list=a,,\n".to_vec()
            }
            (_, Speech::Clacks) => b"STORE a=b\r\nOVERHEAD\r\n \r\n".to_vec(),
        };
        bytes.extend((0..random.below(400)).map(|_| random.next() as u8));
        self.wired[w].line.write_up(self.now, &bytes);
        Ok(())
    }

    // The end.

    /// Everything heals, and what was to come comes.
    fn quiet(&mut self) -> Result<(), String> {
        for n in 0..self.nodes.len() {
            if self.nodes[n].is_none() {
                self.start(n);
            }
            self.disks[n].how.set(Keeping::Disk);
            self.disk(n)?;
        }
        for s in 0..self.stations.len() {
            self.stations[s].reading = Reading::All;
        }
        for w in self.active.clone() {
            if self.wired[w].who == Who::Stranger {
                self.cut(w)?;
            }
        }
        self.pass(2 * node::MAX_ASK + 80_000)?;
        for n in 0..self.nodes.len() {
            self.disk(n)?;
        }
        self.pass(1000)?;
        for (w, wired) in self.wired.iter().enumerate() {
            let is_there = wired.up && wired.id.is_some() && !wired.line.half_open;
            if let Some(e) = wired.judge.missing().filter(|_| is_there) {
                return Err(format!("D5, D7, D9: connection {w} of {:?} never heard {:?}", wired.who, e.what));
            }
        }
        for (s, station) in self.stations.iter().enumerate() {
            if station.line.is_none() || !station.is_ready() {
                return Err(format!("station {s} does not come back"));
            }
            if station.open_calls() > 0 {
                return Err(format!("D5: station {s} has {} calls that never ended", station.open_calls()));
            }
        }
        self.converge()
    }

    /// Values are the same everywhere once links have come up anew (D10).
    fn converge(&mut self) -> Result<(), String> {
        for l in 0..self.links.len() {
            self.unlink(l)?;
            self.links[l].again_at = u64::MAX;
        }
        // each node has news for the others, and they come up one after the other
        for s in 0..self.stations.len() {
            let key = KEYS[s % KEYS.len()];
            let op = if s == 2 { Op::Remove { s, key } } else { Op::Set { s, key, size: 9, announce: false } };
            self.act(&op)?;
            self.pass(3100)?;
        }
        for l in 0..self.links.len() {
            self.links[l].again_at = self.now;
            self.pass(4000)?;
        }
        let all: Vec<_> = (0..self.nodes.len()).map(|n| self.values(n)).collect();
        if let Some((n, other)) = all.iter().enumerate().find(|(_, other)| **other != all[0]) {
            return Err(format!("D10: node 0 has {:?}, node {n} has {other:?}", all[0]));
        }
        // of changes that no delay can have put into another order, the last is what is left
        for (key, c) in self.changes.iter().filter(|(_, c)| self.one_history && c.at > c.before + 3000) {
            if all[0].get(key) != c.value.as_ref() {
                let (is, should) = (all[0].get(key), &c.value);
                return Err(format!("D10: {key} is {is:?}, and was last changed to {should:?} at {} ms", c.at));
            }
        }
        let node = self.nodes[0].as_ref().expect("it runs");
        if self.links.is_empty() && node.model.values != all[0] {
            return Err(format!("D10: values are {:?}, and should be {:?}", all[0], node.model.values));
        }
        Ok(())
    }

    /// All values of a node, as a client that asks for them is told.
    fn values(&mut self, n: usize) -> BTreeMap<String, Vec<u8>> {
        let now = self.instant();
        self.nodes[n].as_mut().map(|node| node.values(now)).unwrap_or_default()
    }

    /// Everybody leaves, and nothing is left behind (D12).
    fn empty(&mut self) -> Result<(), String> {
        for l in 0..self.links.len() {
            self.unlink(l)?;
            self.links[l].again_at = u64::MAX;
        }
        for n in 0..self.nodes.len() {
            let declared = self.nodes[n].as_ref().map_or(0, |node| node.model.declared());
            for w in self.active.clone() {
                if self.wired[w].node == n {
                    self.cut(w)?;
                }
            }
            let node = self.nodes[n].as_mut().expect("it runs");
            self.ran.tally.counted(&node.router);
            let missed: usize = self.wired.iter().map(|w| w.judge.missed).sum();
            self.ran.tally.add("copies missed", missed as u64);
            let limits = [
                ("stations", 2),
                ("monitors", self.setup.monitored as u64),
                ("names", declared),
                ("memberships", 0),
                ("requests", 0),
                ("debts", 0),
                ("watches", 1),
                ("flushes", 0),
                ("flags", node.model.raised() as u64),
                ("mail", node.model.waiting_mail() as u64),
            ];
            for (what, most) in limits {
                if node.used(what) != most {
                    return Err(format!("D12: {} of {what} on node {n} are left, not {most}", node.used(what)));
                }
            }
            if node.model.waiting_mail() == 0 && node.used("buffer_blocks") != 0 {
                return Err(format!("D12: {} blocks are left on node {n}", node.used("buffer_blocks")));
            }
            if !node.model.is_idle() {
                return Err("D5: the model has open questions".into());
            }
        }
        Ok(())
    }
}
