//! Linked servers (section 12 of `wire/clacks.md`): this node as master of others, and as the
//! slave of one.
//!
//! Owns: becoming a link, the lock, merging, and what goes on over links: what clients of this
//! dialect say, word for word, and what stations of others do that it has words for. Nothing
//! goes back to where it came from, and the network is a tree, so nothing comes twice (D11).
//! Does not own which change is newer: that is the store's (D10).

use super::super::store::{Applied, Entry, StoreError};
use super::super::{Counter, Rights, Router};
use super::{List, Pause, Place, stamp, time};
use crate::dialect::clacks::repr::{Command, KeySync, Line, Overhead};
use crate::dialect::clacks::{AS_MASTER, emit, name};
use crate::dialect::{Dialect, Wording};
use crate::limits::MAX_NAME;
use crate::model::{Code, Letter, Raw, Store, StoreOp};
use crate::router::policy::Class;

impl Router<'_> {
    /// Station `n` wants to be a link (section 12.2).
    pub(super) fn become_link(&mut self, n: u32) {
        if self.stations[n].clacks.place != Place::Client {
            return;
        }
        let set = self.settings.clacks;
        if set.link_user.is_empty() {
            return self.refuse(n, 0, Code::BadRequest, "this node has no links: it does not know who it is on one");
        }
        if self.clacks.links.push(n).is_err() {
            return self.refuse(n, 0, Code::Full, "this node has as many links as it may");
        }
        self.unmonitor(n);
        let now = self.now;
        let st = &mut self.stations[n];
        st.heard = now;
        st.clacks.place = Place::Link;
        st.clacks.no_ping = false;
        st.clacks.pinged = now;
        let len = emit::greeting(AS_MASTER, self.encode);
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
        if st.clacks.place == Place::Link {
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
            self.clacks.lock = n;
            for other in 1..=self.stations.made() {
                let st = &self.stations[other];
                if other != n && st.lives() && st.session.dialect() == Dialect::Clacks {
                    self.pause(other, Pause::LOCK);
                }
            }
            return;
        }
        self.unlock();
        self.begin_list(n, List::Reply);
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
        }
        let mut spare = heapless::String::<MAX_NAME, u8>::new();
        let Some(name) = self.permitted(n, Rights::LINK, sync.name, &mut spare) else { return };
        let value = (!sync.deleted).then_some(sync.value);
        let entry = Entry::new(name, value, stamp(sync.modified), stamp(sync.accessed), origin);
        let fits = sync.value.len() <= self.max_value_here();
        let merged = if fits { self.store.get_mut().merge(&entry) } else { Err(StoreError::TooBig) };
        match merged {
            Ok(Applied::Done) => self.counters.one(Counter::ValuesMerged),
            Ok(_) => self.counters.one(Counter::ValuesOlder),
            Err(why) => self.store_failed(n, 0, why),
        }
        if self.clacks.links.iter().any(|link| *link != n) {
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
            if to != from && self.stations[to].lives() {
                let _ = self.post(to, len, Class::Certain);
            }
        }
    }

    /// Whether memory is there for all links to get a line of that length. If it is not, and
    /// writing may help, who says it waits.
    pub(super) fn links_have_room(&mut self, len: usize) -> bool {
        let each = len + 2 + self.pool.block();
        let all = each.saturating_mul(self.clacks.links.len());
        let enough = all <= self.pool.free_bytes().saturating_sub(self.pool.all_bytes() / 8);
        if !enough && self.stations.has_ready() {
            self.pressed = true;
            return false;
        }
        true
    }

    /// A letter of another dialect goes on over links, if it is a signal there.
    pub(in crate::router) fn letter_crosses(&mut self, n: u32, l: &Letter<'_>, raw: Raw<'_>) {
        let is_signal = !l.ask && !l.everyone && l.station == 0 && matches!(l.instance, "" | "*");
        if !is_signal || self.stations[n].session.dialect() == Dialect::Clacks {
            return;
        }
        match Wording::Clacks.letter(self.here(), l, raw, 0, 0, self.encode) {
            Some(len) if len > 0 => self.hand_to_links(n, len),
            _ => self.counters.one(Counter::Uncrossed),
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
        let _ = core::fmt::Write::write_fmt(&mut digits, format_args!("{}", s.amount));
        let len = match s.op {
            StoreOp::Set => emit::stored(key, s.value, s.announce, self.encode),
            StoreOp::Remove => emit::command(&Command::Remove(key), self.encode),
            StoreOp::Add => {
                emit::command(&Command::Increment { name: key, step: Some(digits.as_bytes()) }, self.encode)
            }
            _ => return,
        };
        match len {
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
