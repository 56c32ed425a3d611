//! Linked servers (section 12 of `wire/clacks.md`): this node as master of others, and as the
//! slave of one.
//!
//! Owns: becoming a link, the lock, merging, and what goes on over links: what clients of this
//! dialect say, word for word, and what stations of others do that it has words for. Nothing
//! goes back to where it came from, and the network is a tree, so nothing comes twice (D11).
//! Does not own which change is newer: that is the store's (D10).
//!
//! That it is a tree is found out where it can be: each master tells its slaves which server all
//! links lead up to, in the part of its greeting that is free. Who is told that it is itself has
//! closed a ring. Servers that say nothing of the kind (the original) hide one.

use super::super::faults::fault;
use super::super::store::{Applied, Entry, StoreError};
use super::super::{Counter, Reason, Rights, Router};
use super::{List, MASTER_SAID, MAX_LINKS, Pause, Place, stamp, time};
use crate::dialect::clacks::overhead::Flags;
use crate::dialect::clacks::repr::{Command, KeySync, Line, Need, Overhead};
use crate::dialect::clacks::{AS_MASTER, GREETING, emit, name, translate};
use crate::dialect::{Dialect, Wording};
use crate::id::StationId;
use crate::limits::MAX_NAME;
use crate::model::{Code, Letter, Raw, Store, StoreOp};
use crate::router::policy::Class;
use crate::router::stations::Life;
use crate::time::{Duration, Instant};
use core::fmt::Write;

/// What stands before the number of the uppermost server in a master's greeting.
const ROOT: &str = " (root ";

/// How much longer than a silence the sending of a whole store may take.
const SENDING: u32 = 10;

/// How far the link to the master has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Stage {
    /// It has not said who it is.
    Opening,
    /// It has said to be a user who may not link: neither its values nor its lock count (section
    /// 12.2).
    Useless,
    /// It has; nothing is known of its values.
    Known,
    /// It is sending its values.
    Receiving,
    /// It has sent all of them.
    Synced,
}

impl Router<'_> {
    /// How far the link to the master has come; `None`: this station is none, or not any more.
    pub fn link_stage(&self, id: StationId) -> Option<Stage> {
        let n = self.stations.find(id).filter(|n| self.stations[*n].lives())?;
        let st = &self.stations[n];
        match st.clacks.place {
            Place::Master if st.life == Life::New => Some(Stage::Opening),
            Place::Master if !self.may(n, Need::Interclacks) => Some(Stage::Useless),
            Place::Master if self.clacks.lock == n => Some(Stage::Receiving),
            Place::Master if self.clacks.synced == n => Some(Stage::Synced),
            Place::Master => Some(Stage::Known),
            Place::Client | Place::Link => None,
        }
    }

    /// What the last master, or this one, has called an error, for people; empty: nothing.
    pub fn master_said(&self) -> &str {
        &self.clacks.master_said
    }

    /// Why the last link to a master has ended. It may have been told so, and may then have ended
    /// the connection before the node did.
    pub fn master_end(&self) -> Option<Reason> {
        self.clacks.master_end
    }

    /// What the status says of the master: a short text (what is longer is cut), and since when
    /// that holds or, in the future, when the next attempt is. Empty: there is none.
    pub fn tell_master(&mut self, text: &str, at: Option<Instant>) {
        self.clacks.master.clear();
        keep_words(&mut self.clacks.master, text.as_bytes());
        self.clacks.master_at = at;
    }

    /// How many links there are, that to the master included.
    pub fn links(&self) -> usize {
        self.clacks.links.len()
    }

    /// A row of the status: its name, its number, and a text. `None`: the row is not there.
    pub(in crate::router) fn master_status(&self, row: usize) -> Option<(&'static str, u64, &str)> {
        let at = self.clacks.master_at.filter(|_| !self.clacks.master.is_empty());
        match (row, at) {
            (0, _) if self.clacks.master.is_empty() => None,
            (0, _) => Some(("master", 0, &self.clacks.master)),
            (1, Some(at)) if at <= self.now => Some(("master_since_ms", self.now.since(at).millis() as u64, "")),
            (1, Some(at)) => Some(("master_again_ms", at.since(self.now).millis() as u64, "")),
            _ => None,
        }
    }

    /// Whether the other end of a link means that it does not know us, or does not let us link.
    /// It says one of the two, once; what comes behind that is somebody else's word, which an
    /// original passes on (weak point 2).
    pub(super) fn is_refused_by_link(&mut self, n: u32, o: &Overhead<'_>) -> bool {
        let st = &mut self.stations[n];
        let (is_master, is_new) = (st.clacks.place == Place::Master, st.life == Life::New);
        let flags = Flags::of(o.flags);
        if st.clacks.place == Place::Client || flags.has(b'A') || flags.has(b'G') || flags.has(b'I') {
            return false;
        }
        let is_welcome = st.clacks.welcome;
        st.clacks.welcome |= flags.has(b'O');
        if is_master && (flags.has(b'E') || !is_welcome && flags.has(b'F')) {
            self.clacks.master_said.clear();
            keep_words(&mut self.clacks.master_said, o.text);
        }
        // all that we want of it before it says who it is, is to be its link
        !is_welcome && flags.has(b'F') || is_master && is_new && flags.has(b'E') && o.text == b"permission_denied"
    }

    /// The server that all links here lead up to; 0: unknown.
    fn root(&self) -> u64 {
        if self.clacks.root == 0 { self.settings.clacks.link_id } else { self.clacks.root }
    }

    /// What this node calls itself to its slaves. What is behind `CLACKS ` is free (section
    /// 4.1), so that a server that has no idea of roots is not disturbed.
    fn masters_greeting(&self) -> heapless::String<80, u8> {
        let mut text = heapless::String::new();
        // all of them fit
        if self.root() != 0 {
            let _ = write!(text, "{ROOT}{:016x})", self.root());
        }
        let _ = text.push_str(AS_MASTER);
        text
    }

    /// Our master may say where all links lead up to: if that is here, they are no tree. Returns
    /// the rest of what it calls itself, which is for people.
    pub(super) fn hear_root<'f>(&mut self, n: u32, name: &'f [u8]) -> [&'f [u8]; 2] {
        let all = [name, b""];
        if self.stations[n].clacks.place != Place::Master {
            return all;
        }
        let Some(at) = name.windows(ROOT.len()).position(|w| w == ROOT.as_bytes()) else { return all };
        let (front, back) = (&name[..at], &name[at + ROOT.len()..]);
        let Some((digits, back)) = back.split_at_checked(16) else { return all };
        let root = core::str::from_utf8(digits).ok().and_then(|digits| u64::from_str_radix(digits, 16).ok());
        let (Some(root @ 1..), Some(back)) = (root, back.strip_prefix(b")")) else { return all };
        if root == self.settings.clacks.link_id {
            self.doom(n, Reason::LinkLoop);
        } else {
            self.set_root(root);
        }
        [front, back]
    }

    /// Those below hear of it, so that a ring is found wherever it was closed.
    fn set_root(&mut self, root: u64) {
        if core::mem::replace(&mut self.clacks.root, root) == root || self.settings.clacks.link_id == 0 {
            return;
        }
        let mut text = heapless::String::<{ 80 + GREETING.len() }, u8>::new();
        let _ = text.push_str(GREETING);
        let _ = text.push_str(&self.masters_greeting());
        for i in 0..self.clacks.links.len() {
            let to = self.clacks.links[i];
            if self.stations[to].lives() && self.stations[to].clacks.place == Place::Link {
                self.say_line(to, &Line::Clacks(text.as_bytes()));
            }
        }
    }

    /// When a master that sends its store has to go: it has sent no value for too long, or goes
    /// on for ever. Meanwhile nobody else of this dialect is heard.
    pub(super) fn unlocked_by(&self, silence: Duration) -> Instant {
        let longest = Duration::from_millis(silence.millis().saturating_mul(SENDING));
        (self.clacks.lock_heard + silence).min(self.clacks.lock_since + longest)
    }

    /// Station `n` wants to be a link (section 12.2).
    pub(super) fn become_link(&mut self, n: u32) {
        if self.stations[n].clacks.place != Place::Client {
            return;
        }
        let set = self.settings.clacks;
        if set.link_user.is_empty() {
            return self.refuse(n, 0, Code::BadRequest, "this node has no links: it does not know who it is on one");
        }
        // one place is the master's, whenever it comes
        let all = self.clacks.links.len();
        let has_master = self.clacks.links.iter().any(|link| self.stations[*link].clacks.place == Place::Master);
        if all + usize::from(!has_master) >= MAX_LINKS || self.clacks.links.push(n).is_err() {
            return self.refuse(n, 0, Code::Full, "this node has as many links as it may");
        }
        self.unmonitor(n);
        let now = self.now;
        let st = &mut self.stations[n];
        st.heard = now;
        st.clacks.place = Place::Link;
        st.clacks.welcome = false;
        st.clacks.no_ping = false;
        st.clacks.pinged = now;
        let len = emit::greeting(&self.masters_greeting(), self.encode);
        self.say_owed(n, len);
        let len = emit::login(set.link_user.as_bytes(), set.link_password, self.encode);
        self.say_owed(n, len);
        self.say_line(n, &Line::Overhead(Overhead { flags: b"L", text: b"1" }));
        self.begin_list(n, List::Store);
        self.arm(n);
    }

    /// Station `n` is a link no more.
    pub(super) fn end_link(&mut self, n: u32) {
        if self.clacks.lock == n {
            self.show_unlocked(n);
            self.unlock();
        }
        if let Some(at) = self.clacks.links.iter().position(|link| *link == n) {
            self.clacks.links.swap_remove(at);
        }
        let st = &mut self.stations[n];
        if st.clacks.place == Place::Master {
            if let Life::Closing(why) = st.life {
                self.clacks.master_end = Some(why);
            }
            self.clacks.synced = 0;
            self.set_root(0);
        } else if st.clacks.place == Place::Link {
            st.clacks.place = Place::Client;
            st.clacks.offset = 0;
            if matches!(st.clacks.list, Some(List::Store | List::Reply)) {
                st.clacks.list = None;
            }
            self.arm(n);
        }
    }

    /// Our master begins to send its store, or has sent it and wants ours.
    pub(super) fn lock(&mut self, n: u32, on: bool) {
        if on {
            self.new_sync();
            if self.clacks.lock != n {
                (self.clacks.lock_since, self.clacks.lock_heard) = (self.now, self.now);
            }
            self.clacks.lock = n;
            self.arm(n);
            for other in 1..=self.stations.made() {
                let st = &self.stations[other];
                if other != n && st.lives() && st.session.dialect() == Dialect::Clacks {
                    self.pause(other, Pause::LOCK);
                }
            }
            return;
        }
        self.unlock();
        self.clacks.synced = n;
        self.begin_list(n, List::Reply);
        self.arm(n);
    }

    /// What the master says from here on is told from what it said before.
    pub(super) fn new_sync(&mut self) {
        // never the number of one that an earlier life of this node has seen
        let now = (self.stamp_now().micros() / 1_000_000) as u32;
        self.clacks.sync = self.clacks.sync.wrapping_add(1).max(now).max(1);
    }

    fn unlock(&mut self) {
        if core::mem::take(&mut self.clacks.lock) == 0 {
            return;
        }
        for other in 1..=self.stations.made() {
            if self.stations[other].session.dialect() == Dialect::Clacks {
                self.go_on(other, Pause::LOCK);
            }
        }
    }

    /// A change of a value somewhere else (section 12.3).
    pub(super) fn key_sync(&mut self, n: u32, sync: &KeySync<'_>) {
        let own = &self.stations[n].clacks;
        let is_link = own.place != Place::Client;
        let (sync, origin) = (sync.moved(own.offset), if self.clacks.lock == n { self.clacks.sync } else { 0 });
        if is_link {
            // as good as a PING
            self.stations[n].heard = self.now;
            if self.clacks.lock == n {
                self.clacks.lock_heard = self.now;
            }
        }
        let mut spare = heapless::String::<MAX_NAME, u8>::new();
        let Some(name) = self.permitted(n, Rights::LINK, sync.name, &mut spare) else { return };
        let most = self.max_value_here();
        let modified = if fault!(self, OlderWins) { self.stamp_now() } else { stamp(sync.modified) };
        let value = (!sync.deleted).then(|| translate::kept(sync.value, self.scratch));
        let entry = Entry::new(name, value, modified, stamp(sync.accessed), origin);
        let fits = entry.value.len() <= most;
        let merged = if fits { self.store.get_mut().merge(&entry) } else { Err(StoreError::TooBig) };
        match merged {
            Ok(Applied::Done) => self.counters.one(Counter::ValuesMerged),
            Ok(_) => self.counters.one(Counter::ValuesOlder),
            Err(why) => self.store_failed(n, 0, why),
        }
        if self.clacks.links.iter().any(|link| *link != n) && !fault!(self, KeysyncStops) {
            match emit::key_sync(&sync, self.encode) {
                Some(len) if len > 0 => self.hand_to_links(n, len),
                _ => self.counters.one(Counter::Uncrossed),
            }
        }
    }

    /// Hands a line that was obeyed on to every link but the one it came from, word for word.
    #[inline]
    pub(super) fn forward(&mut self, n: u32, line: &[u8]) {
        if self.clacks.links.is_empty() {
            return;
        }
        self.end_run();
        match emit::again(b"", line, self.encode) {
            Some(len) => self.hand_to_links(n, len),
            None => self.counters.one(Counter::Uncrossed),
        }
    }

    /// Hands the first `len` octets of the encode buffer to every link but `from`.
    pub(super) fn hand_to_links(&mut self, from: u32, len: usize) {
        for i in 0..self.clacks.links.len() {
            let to = self.clacks.links[i];
            let is_other = to != from || fault!(self, LinkEcho);
            if is_other && self.stations[to].lives() {
                let _ = self.post(to, len, Class::Certain);
            }
        }
    }

    /// As [`Router::forward`], of what adds to a value: a link that is yet to be told that value
    /// gets the sum, and must not add to it once more.
    pub(super) fn forward_count(&mut self, n: u32, name: &str, line: &[u8]) {
        if self.clacks.links.is_empty() {
            return;
        }
        self.end_run();
        match emit::again(b"", line, self.encode) {
            Some(len) => self.hand_count_to_links(n, name, len),
            None => self.counters.one(Counter::Uncrossed),
        }
    }

    fn hand_count_to_links(&mut self, from: u32, name: &str, len: usize) {
        let mut spare = [0; MAX_NAME];
        let can_be_told = emit::can_be_set(name::from_bus(name, &mut spare));
        for i in 0..self.clacks.links.len() {
            let to = self.clacks.links[i];
            let own = &self.stations[to].clacks;
            let is_listed = matches!(own.list, Some(List::Store | List::Reply)) && name > own.cursor.as_str();
            if to != from && self.stations[to].lives() && !(is_listed && can_be_told) {
                let _ = self.post(to, len, Class::Certain);
            }
        }
    }

    /// A letter of another dialect goes on over links, if it is a signal there.
    pub(in crate::router) fn letter_crosses(&mut self, n: u32, l: &Letter<'_>, raw: Raw<'_>) {
        if !is_signal(l) || self.stations[n].session.dialect() == Dialect::Clacks {
            return;
        }
        match Wording::Clacks.letter(self.here(), l, raw, 0, 0, self.encode) {
            Some(len) if len > 0 => self.hand_to_links(n, len),
            _ => self.counters.one(Counter::Uncrossed),
        }
    }

    /// Links get every signal, so none gets it once more because it listens (D2); and a letter to
    /// everyone is to the stations of this node, which over a link it would not be. To be called
    /// when a delivery begins.
    #[inline]
    pub(in crate::router) fn spare_links(&mut self, l: &Letter<'_>) {
        if self.has_links() && (is_signal(l) || l.everyone) {
            for link in &self.clacks.links {
                self.stations[*link].stamp = self.stamp;
            }
        }
    }

    /// Whether there is anybody for whom changes and letters have to be put into words.
    #[inline]
    pub(in crate::router) fn has_links(&self) -> bool {
        !self.clacks.links.is_empty()
    }

    /// A change of a value by a station of another dialect goes on over links.
    pub(in crate::router) fn change_crosses(&mut self, n: u32, s: &Store<'_>) {
        if !self.has_links() {
            return;
        }
        let mut spare = [0; MAX_NAME];
        let key = name::from_bus(s.name, &mut spare);
        let mut digits = crate::router::lists::Digits::new();
        // twenty digits are the most
        let _ = write!(digits, "{}", s.amount);
        let len = match s.op {
            StoreOp::Set => emit::stored(key, s.value, s.announce, self.encode),
            StoreOp::Remove => emit::command(&Command::Remove(key), self.encode),
            StoreOp::Add => {
                emit::command(&Command::Increment { name: key, step: Some(digits.as_bytes()) }, self.encode)
            }
            _ => return,
        };
        match len {
            Some(len) if len > 0 && s.op == StoreOp::Add => self.hand_count_to_links(n, s.name, len),
            Some(len) if len > 0 => self.hand_to_links(n, len),
            _ => self.counters.one(Counter::Uncrossed),
        }
    }

    /// What was counted is signalled over links, too: they have no word for both.
    pub(in crate::router) fn sum_crosses(&mut self, n: u32, name: &str, sum: &[u8]) {
        if self.has_links() {
            let letter = Letter { name, verb: "SET", body: sum, ..Letter::default() };
            self.letter_crosses(n, &letter, Raw::None);
        }
    }
    /// Every invariant; what is broken, otherwise.
    pub(in crate::router) fn check_clacks(&self) -> Result<(), &'static str> {
        let is_linked = |n: &u32| self.stations[*n].is_linked() && self.stations[*n].clacks.place != Place::Client;
        let monitors = |n: &u32| self.stations[*n].is_linked() && self.stations[*n].clacks.monitors;
        let count = |is: &dyn Fn(&u32) -> bool| (1..=self.stations.made()).filter(|n| is(n)).count();
        if !self.clacks.links.iter().all(is_linked) || count(&is_linked) != self.clacks.links.len() {
            return Err("clacks: links are not those stations that are");
        }
        if !self.clacks.monitors.iter().all(monitors) || count(&monitors) != self.clacks.monitors.len() {
            return Err("clacks: monitors are not those stations that are");
        }
        if self.clacks.lock != 0 && !is_linked(&self.clacks.lock) {
            return Err("clacks: locked by nobody");
        }
        Ok(())
    }
}

/// Whether a letter of any dialect is one that goes on over links.
fn is_signal(l: &Letter<'_>) -> bool {
    !l.ask && !l.everyone && l.station == 0 && matches!(l.instance, "" | "*")
}

/// An entry of the store as a link is told it.
pub(super) fn entry_line<'e>(entry: &Entry<'e>, here: &'e [u8]) -> KeySync<'e> {
    KeySync {
        modified: time(entry.changed),
        accessed: time(entry.accessed),
        deleted: entry.deleted,
        name: here,
        value: entry.value,
    }
}

/// As much of a peer's words as there is room for, without what a terminal would obey.
fn keep_words(into: &mut heapless::String<MASTER_SAID, u8>, words: &[u8]) {
    for chunk in words.utf8_chunks() {
        let odd = chunk.invalid().iter().map(|_| '?');
        for c in chunk.valid().chars().chain(odd) {
            if into.push(if c.is_control() { '?' } else { c }).is_err() {
                return;
            }
        }
    }
}
