//! One node of the simulation: a real router, its model, its disk, and a witness.
//!
//! Owns: that nothing is asked of the router without the model hearing of it. The witness is a station that
//! watches everything and reads at once; what it is told is when something happens. Does not own the wires.

use super::model::{Expect, Model, Past, Seen};
use super::monitor::Monitor;
use super::plan::Speech;
use super::words::{Heard, Said, frame_size, kept_token, native_heard};
use crate::clacks::users::{USERS, User};
use crate::disk::{Copy, Disk, OnDisk};
use crate::memory::Memory;
use chappe_core::dialect::Dialect;
use chappe_core::dialect::clacks::Role;
use chappe_core::dialect::messi::frame::Framing;
use chappe_core::dialect::messi::wire::Writer;
use chappe_core::id::StationId;
use chappe_core::model::{Change, ClientToServer, Code, Hello, List, ServerToClient, Watch, What};
use chappe_core::router::store::Keeping;
use chappe_core::router::{Action, Counter, Grant, Newcomer, Reason, Rights, Router, Settings, Usage};
use chappe_core::storage::{Limits, StoreRef};
use chappe_core::time::{Duration, Instant};
use std::collections::BTreeSet;

/// Memory of one life of a node.
pub type Room = Memory<40, 64, 128, 32, 64, 76, 16, 512>;

/// Longest time that an answer may take.
pub const MAX_ASK: u64 = 60_000;
/// How long mail waits if nobody says.
pub const KEEP: u64 = 60_000;

/// Room for one life.
pub fn room(tight: bool) -> Room {
    let mut room = Room::new(if tight { 40 << 10 } else { 400 << 10 }, 68 << 10);
    room.keep = 3_600_000_000;
    if tight {
        room.limits = Limits { stations: 21, names: 13, members: 16, requests: 4, flags: 2, ..Limits::NONE };
    }
    room
}

/// What a wire has to do for the router.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// Take octets.
    Write(StationId),
    /// Hear again what was not taken.
    Resume(StationId),
    /// End the connection.
    Close(StationId, Reason),
}

/// Where the router's counters stood.
#[derive(Debug, Clone, Copy)]
pub struct Mark {
    full: u64,
    dropped: u64,
    slow: u64,
    unsaved: u64,
    short: Short,
}

/// Which tables are short of rows.
#[derive(Debug, Clone, Copy)]
struct Short {
    /// One that a join needs is full.
    for_joins: bool,
    /// One is at least half full, which is as much as one station may have of some.
    any: bool,
}

/// One node.
pub struct Node<'s> {
    /// The router, while it runs.
    pub router: Router<'s>,
    /// What it must do.
    pub model: Model,
    witness: StationId,
    partial: Vec<u8>,
    /// What the witness was told since the last time.
    news: Vec<Heard>,
    members: BTreeSet<(u64, String, String)>,
    /// Connections that the router has closed since the last time.
    closed: Vec<u64>,
    /// Part of every lname.
    pub boot: u64,
    disk: Option<&'s Disk>,
    /// Where a list of the witness goes on.
    next: String,
    /// Values that the witness was told.
    items: std::collections::BTreeMap<String, Vec<u8>>,
    /// What a crash leaves, after each change that the disk has or will have.
    pasts: Vec<(u64, Past)>,
    /// The most blocks that were in use.
    pub most_blocks: u64,
    monitor: Monitor,
}

fn encoded(said: &ClientToServer<'_>) -> Vec<u8> {
    let mut bytes = vec![0; 4 + said.len()];
    let len = said.len();
    Framing::Today.write_header(1, len, &mut bytes);
    said.write(&mut Writer::new(&mut bytes[4..]));
    bytes
}

fn settings(name: &'static str, boot: u64, number: usize) -> Settings<'static> {
    let (user, password, _) = User::Main.row();
    let mut s = Settings::new(name, "0", &USERS);
    s.max_frame = 1024;
    s.outbox = 8192;
    s.page = 3;
    s.max_silence = Duration::from_millis(u32::MAX);
    s.max_ask = Duration::from_millis(MAX_ASK as u32);
    s.ask = Duration::from_millis(10_000);
    s.keep = Duration::from_millis(KEEP as u32);
    s.max_keep = Duration::from_millis(KEEP as u32);
    s.flush = Duration::from_millis(u32::MAX);
    s.msgq.boot = boot;
    s.msgq.max_body = 1024;
    s.msgq.outbox = 140 << 10;
    s.msgq.stalled_after = Duration::from_secs(10);
    s.clacks.max_line = 2048;
    s.clacks.outbox = 24 << 10;
    s.clacks.link_user = user;
    s.clacks.link_password = password.as_bytes();
    s.clacks.link_id = 77 + number as u64;
    s.clacks.stalled_after = Duration::from_secs(10);
    s.communicator.server = name;
    s.communicator.max_line = 2048;
    s.communicator.outbox = 24 << 10;
    s.communicator.stalled_after = Duration::from_secs(10);
    s
}

impl<'s> Node<'s> {
    /// The first or a later life of a node. Of a lasting disk its values are taken over.
    pub fn new(
        number: usize,
        boot: u64,
        room: &'s mut Room,
        disk: Option<&'s Disk>,
        now: Instant,
        calendar: u64,
        change: impl FnOnce(&mut Settings<'s>),
    ) -> Self {
        let mut settings: Settings<'s> = settings(["n0", "n1", "n2"][number], boot, number);
        change(&mut settings);
        let mut router = match disk {
            None => room.router(settings, now),
            Some(disk) => room.router_on(
                |mut values| {
                    disk.restore(&mut values);
                    StoreRef::Other(Box::leak(Box::new(OnDisk { values, disk })))
                },
                settings,
                now,
            ),
        }
        .expect("the settings are valid");
        router.set_calendar(calendar);
        let witness = router.admit(now, Newcomer::default()).expect("a free place");
        let hello = Hello { seq: 1, name: "witness", silence_ms: u32::MAX, ..Hello::default() };
        let watch = Watch { seq: 2, stations: true, members: true, ..Watch::default() };
        let words = [encoded(&ClientToServer::Hello(hello)), encoded(&ClientToServer::Watch(watch))].concat();
        let taken = router.receive(now, witness, &words);
        assert_eq!(taken, words.len(), "the first to speak is heard");
        let mut model = Model::default();
        model.own = vec![witness.number()];
        (model.max_ask, model.max_keep) = (MAX_ASK, KEEP);
        model.server = ["n0", "n1", "n2"][number].into();
        model.tick(now.millis(), false);
        let mut node = Node {
            router,
            model,
            witness,
            partial: Vec::new(),
            news: Vec::new(),
            members: BTreeSet::new(),
            closed: Vec::new(),
            boot,
            disk,
            items: Default::default(),
            next: String::new(),
            pasts: Vec::new(),
            most_blocks: 0,
            monitor: Monitor::default(),
        };
        while node.wish(now).expect("nothing is wrong yet").is_some() {}
        node.news.clear();
        node
    }

    /// Where counters stand before the router is asked for something.
    pub fn mark(&self) -> Mark {
        let c = |c| self.router.counters().get(c);
        let all = [Counter::DroppedSlow, Counter::DroppedMemory, Counter::DroppedTooBig, Counter::DroppedOrder];
        Mark {
            full: c(Counter::TableFull) + c(Counter::NotAsked),
            dropped: all.into_iter().map(c).sum::<u64>() + c(Counter::AskBusy),
            slow: c(Counter::DroppedSlow),
            unsaved: c(Counter::MailUnsaved),
            short: self.short(),
        }
    }

    fn short(&self) -> Short {
        let usage = self.router.usage();
        let is_full = |what: &str| usage.iter().any(|u| u.name == what && u.used >= u.limit);
        // whoever finds no place there is not told FULL
        let counts = |u: &&Usage| !["stations", "monitors"].contains(&u.name);
        Short {
            for_joins: is_full("names") || is_full("memberships"),
            any: usage.iter().filter(counts).any(|u| u.used * 2 >= u.limit),
        }
    }

    /// Whether copies were dropped since then because an outbox was full.
    pub fn has_dropped_slow(&self, mark: Mark) -> bool {
        self.router.counters().get(Counter::DroppedSlow) > mark.slow
    }

    /// Something was refused because a table is full: one is, or was.
    fn is_full(&self, before: Short, after: Short, said: &[(u64, Said)]) -> Result<(), String> {
        let joins = !said.is_empty() && said.iter().all(|(_, said)| matches!(said, Said::Join { .. }));
        // nobody has more than half of all memberships
        let all = self.router.usage().into_iter().find(|u| u.name == "memberships").map_or(0, |u| u.limit as usize);
        let has_half = |id: u64| self.model.members().iter().filter(|(who, ..)| *who == id).count() >= all / 2;
        let (what, is_short) = match joins {
            true => {
                let is_half = said.iter().any(|(id, _)| has_half(*id));
                ("names and memberships", is_half || before.for_joins || after.for_joins)
            }
            false => ("tables", before.any || after.any),
        };
        if is_short { Ok(()) } else { Err(format!("D12: {said:?} is refused as if {what} were full")) }
    }

    /// Copies that were dropped in this life.
    pub fn dropped(&self) -> u64 {
        self.mark().dropped
    }

    /// What the router wants of a wire; what it wants of the witness is done.
    ///
    /// # Errors
    /// If something does not fit together in it.
    pub fn wish(&mut self, now: Instant) -> Result<Option<Wish>, String> {
        loop {
            match self.router.next_action(now) {
                None => return Ok(None),
                Some(Action::Write(id)) if id == self.witness => {
                    let bytes: Vec<u8> = self.router.output(id).flatten().copied().collect();
                    self.router.sent(now, id, bytes.len());
                    self.witness(&bytes)?;
                }
                Some(Action::Write(id)) if Some(id) == self.monitor.id => {
                    let bytes: Vec<u8> = self.router.output(id).flatten().copied().collect();
                    self.router.sent(now, id, bytes.len());
                    self.monitor.take(&bytes)?;
                }
                Some(Action::Close(id, why)) if id == self.witness || Some(id) == self.monitor.id => {
                    return Err(format!("D4: the witness or the monitor, who read all, is closed: {why:?}"));
                }
                Some(Action::Write(id)) => return Ok(Some(Wish::Write(id))),
                Some(Action::Resume(id)) => return Ok(Some(Wish::Resume(id))),
                Some(Action::Close(id, why)) => {
                    self.closed.push(id.number());
                    return Ok(Some(Wish::Close(id, why)));
                }
            }
        }
    }

    fn witness(&mut self, bytes: &[u8]) -> Result<(), String> {
        self.partial.extend_from_slice(bytes);
        while let Some(size) = frame_size(Speech::Native, &self.partial) {
            let frame: Vec<u8> = self.partial.drain(..size).collect();
            match ServerToClient::read(&frame[4..]) {
                Ok((ServerToClient::Item(item), _)) => _ = self.items.insert(item.name.into(), item.value.into()),
                Ok((ServerToClient::Outcome(outcome), _)) => self.next = outcome.next.into(),
                _ => {}
            }
            self.news.push(native_heard(&frame)?.0);
        }
        Ok(())
    }

    /// A station of the node's own comes that monitors all others, or might: whether it does is to make no
    /// difference to anybody else.
    pub fn monitor(&mut self, now: Instant, looks: bool) {
        let id = self.router.admit(now, Newcomer::default()).expect("a free place");
        let hello = Hello { seq: 1, name: "monitor", silence_ms: u32::MAX, ..Hello::default() };
        let monitor = chappe_core::model::Monitor { seq: 2, off: !looks, ..Default::default() };
        let words = [encoded(&ClientToServer::Hello(hello)), encoded(&ClientToServer::Monitor(monitor))].concat();
        let taken = self.router.receive(now, id, &words);
        assert_eq!(taken, words.len(), "the second to speak is heard");
        self.model.own.push(id.number());
        self.monitor.id = Some(id);
        while self.wish(now).expect("nothing is wrong yet").is_some() {}
        self.news.clear();
        (self.monitor.looks, self.monitor.shown) = (looks, Vec::new());
    }

    /// A connection comes. `None`: it is refused.
    pub fn admit(&mut self, now: Instant, speech: Speech, to_master: bool) -> Option<StationId> {
        let (dialect, rights) = match speech {
            Speech::Native => (Dialect::Messi, Rights::ALL),
            Speech::Msgq => (Dialect::Msgq, Rights::ALL),
            Speech::Clacks => (Dialect::Clacks, Rights::NONE),
            Speech::Communicator => (Dialect::Communicator, Rights::ALL),
        };
        let role = if to_master { Role::Master } else { Role::Client };
        let newcomer = Newcomer { dialect, grant: Grant::anonymous(rights), role, ..Newcomer::default() };
        let id = self.router.admit(now, newcomer).ok()?;
        self.model.admitted(id.number(), speech);
        if to_master {
            self.model.set_link(id.number());
        }
        Some(id)
    }

    /// The router was asked for something, and all that it wanted then is done. `said`: the frames that it
    /// took. Returns what is expected now, and who is gone.
    ///
    /// # Errors
    /// If it did what the model does not know of.
    pub fn settle(
        &mut self,
        now: Instant,
        mark: Mark,
        said: &[(u64, Said)],
        gone: &[u64],
    ) -> Result<(Vec<Expect>, Vec<u64>), String> {
        let after = self.mark();
        let kept = self.disk.is_none_or(|d| d.kept.get() >= d.changes.get());
        let seen = Seen {
            full: after.full > mark.full,
            dropped: after.dropped > mark.dropped,
            kept,
            unsaved: after.unsaved > mark.unsaved || self.disk.is_none(),
            refuses: self.disk.and_then(|d| match d.how.get() {
                Keeping::Failing => Some(Code::NotStored),
                Keeping::Behind => Some(Code::Full),
                _ => None,
            }),
        };
        if seen.full && seen.refuses.is_none() {
            self.is_full(mark.short, after.short, said)?;
        }
        let news = std::mem::take(&mut self.news);
        let any_news = !news.is_empty();
        let rough = news.iter().any(|n| matches!(n, Heard::Presence { change: Change::Disconnected, .. }));
        self.model.tick(now.millis(), rough);
        for (id, said) in said {
            // lines of Clacks are shown as that dialect has them
            let ready = self.model.is_ready(*id) && self.model.speech(*id) != Some(Speech::Clacks);
            self.model.said(*id, said, seen);
            if ready && self.monitor.looks {
                self.monitor.said(*id, said)?;
            }
        }
        let missed = self.router.counters().get(Counter::SightsMissed);
        self.monitor.settle(missed)?;
        let mut left: Vec<u64> = Vec::new();
        for heard in news {
            let Heard::Presence { change, station, name, instance } = heard else { continue };
            let row = (station, name, instance);
            match change {
                Change::Connected if !self.model.is_ready(station) => {
                    return Err(format!("D7: {station} is said to be there"));
                }
                Change::Joined if !self.members.insert(row.clone()) => {
                    return Err(format!("D7: {row:?} is told twice"));
                }
                Change::Left if !self.members.remove(&row) => return Err(format!("D7: {row:?} had not joined")),
                Change::Disconnected => {
                    if let Some(row) = self.members.iter().find(|(who, ..)| *who == station) {
                        return Err(format!("D7: {station} is gone, and still a member: {row:?}"));
                    }
                    self.model.gone(station);
                    left.push(station);
                }
                _ => {}
            }
        }
        for id in std::mem::take(&mut self.closed).iter().chain(gone) {
            if self.model.is_ready(*id) {
                return Err(format!("D7: {id} is closed, and watchers were not told"));
            }
            self.model.gone(*id);
            left.push(*id);
        }
        let is_still = said.is_empty() && left.is_empty() && !any_news;
        if !is_still && self.members.iter().cloned().ne(self.model.members()) {
            let (is, should) = (&self.members, self.model.members());
            return Err(format!("D7, D8: members are {is:?}, and should be {should:?}"));
        }
        self.router.check()?;
        if let Some(disk) = self.disk {
            self.note_past(disk);
        }
        self.most_blocks = self.most_blocks.max(self.used("buffer_blocks"));
        Ok((self.model.take(), left))
    }

    fn note_past(&mut self, disk: &Disk) {
        self.pasts.retain(|(at, _)| *at != disk.changes.get());
        self.pasts.push((disk.changes.get(), self.model.past()));
    }

    /// What a crash leaves now, as the model knows it.
    pub fn past(&self) -> Past {
        let kept = self.disk.map_or(0, |d| d.kept.get());
        let last = self.pasts.iter().rev().find(|(at, _)| *at <= kept);
        last.map(|(_, past)| past.clone()).unwrap_or_default()
    }

    /// This life goes on where an earlier one has left off. `calendar` is the time at the clock's zero.
    ///
    /// # Errors
    /// If something is lost, or is not what it was, or comes although it is over.
    pub fn resume(&mut self, now: Instant, calendar: u64, past: Past) -> Result<(), String> {
        let Some(disk) = self.disk else { return Ok(()) };
        // who crashes again before anything is written finds the same
        self.pasts.push((disk.kept.get(), past.clone()));
        self.model.values = past.values;
        let copies: Vec<Copy> = disk.mail.borrow().values().cloned().collect();
        let mut there = BTreeSet::new();
        for copy in copies {
            let token = kept_token(&copy)?;
            if !there.insert(token) {
                return Err(format!("D9: message #{token} is on the disk twice"));
            }
            let today = calendar + now.millis() * 1000;
            let left = copy.until.micros().saturating_sub(today).div_ceil(1000).min(copy.within_ms.into());
            let should = if left == 0 { Code::TimedOut } else { Code::Ok };
            let code = self.router.restore_mail(now, &copy.stored());
            if code != should {
                return Err(format!("D9: message #{token}, on the disk, is restored with {code:?}, not {should:?}"));
            }
            if code == Code::Ok {
                self.model.waits_again(token, &copy.name, left);
            }
        }
        if let Some(lost) = past.mail.iter().find(|m| !there.contains(&m.token)) {
            return Err(format!("D9: it was on the disk, and is lost: {lost:?}"));
        }
        self.note_past(disk);
        Ok(())
    }

    /// All values, as the witness is told them.
    pub fn values(&mut self, now: Instant) -> std::collections::BTreeMap<String, Vec<u8>> {
        self.items.clear();
        loop {
            let after = std::mem::take(&mut self.next);
            let list = List { seq: 3, what: What::Values, after: &after, ..List::default() };
            let list = encoded(&ClientToServer::List(list));
            let taken = self.router.receive(now, self.witness, &list);
            assert_eq!(taken, list.len(), "the witness is heard");
            while !matches!(self.wish(now), Ok(None) | Err(_)) {}
            if self.next.is_empty() {
                return std::mem::take(&mut self.items);
            }
        }
    }

    /// Rows in use of a table of the router.
    pub fn used(&self, what: &str) -> u64 {
        self.router.usage().into_iter().find(|u| u.name == what).map_or(0, |u| u.used)
    }
}
