//! Values as this dialect has them (sections 8.2, 8.3, 8.7 and 13 of `wire/clacks.md`).
//!
//! Owns: the way from a line to the bus's values and back, counting as Perl does, barriers, and
//! which values are forgotten. Values are octets as they came: what their markers mean is
//! looked at when somebody of another dialect is told.

use super::super::faults::fault;
use super::super::store::{StoreError, Swept};
use super::super::{Counter, Rights, Router};
use super::List;
#[cfg(feature = "durable")]
use super::Pause;
use crate::dialect::clacks::repr::{Line, Need};
use crate::dialect::clacks::{BESIDE_VALUE, emit, name, number, translate};
use crate::limits::MAX_NAME;
use crate::model::Code;
use crate::router::policy::Class;
use crate::router::store::Cursor;
use crate::time::{Duration, Instant};

/// Values that are looked at in one go when some may be forgotten.
const SWEEP: usize = 4096;

/// Forgotten values and deletion marks that are told in one go.
const TELL: usize = 32;

/// From one go to the next.
const SWEEP_AGAIN: Duration = Duration::from_millis(20);

type Name = heapless::String<MAX_NAME, u8>;

impl Router<'_> {
    /// Longest value that is taken from stations of this dialect: linked servers must be told it,
    /// too.
    pub(in crate::router) fn max_value_here(&self) -> usize {
        let lines = self.settings.clacks.max_line.min(self.scratch.len()).saturating_sub(BESIDE_VALUE);
        self.settings.clacks.max_value.min(self.store.get().max_value()).min(lines)
    }

    /// Whether the value is stored now; if not, who wanted it was told why.
    pub(super) fn store_value(&mut self, n: u32, here: &[u8], value: &[u8]) -> bool {
        let mut spare = Name::new();
        let Some(name) = self.permitted(n, Rights::WRITE, here, &mut spare) else { return false };
        self.put_value(n, name, value)
    }

    fn put_value(&mut self, n: u32, name: &str, value: &[u8]) -> bool {
        let (now, most) = (self.stamp_now(), self.max_value_here());
        let value = translate::kept(value, self.scratch);
        if value.len() > most {
            self.store_failed(n, 0, StoreError::TooBig);
            return false;
        }
        let now = self.store.get().stamp(name, now);
        match self.store.get_mut().set(name, value, now, 0) {
            Ok(_) => {
                self.counters.one(Counter::ValuesChanged);
                true
            }
            Err(why) => {
                self.store_failed(n, 0, why);
                false
            }
        }
    }

    pub(super) fn retrieve(&mut self, n: u32, key: &[u8]) {
        let mut spare = Name::new();
        // the longest that is written out takes four times its octets, and one more
        let may_be_long = key.len() * 4 >= MAX_NAME;
        if may_be_long && self.may(n, Need::Read) && name::to_bus(key, &mut spare).is_none() {
            // who asks waits for one of two answers
            self.counters.one(Counter::ValuesMissed);
            return self.say_line(n, &Line::NotRetrieved(key));
        }
        let Some(name) = self.permitted(n, Rights::READ, key, &mut spare) else { return };
        let now = self.stamp_now();
        let Some(found) = self.store.get_mut().get(name, now, self.scratch) else {
            self.counters.one(Counter::ValuesMissed);
            return self.say_line(n, &Line::NotRetrieved(key));
        };
        self.counters.one(Counter::ValuesRead);
        let value = self.scratch.get(..found.len).unwrap_or_default();
        match emit::retrieved(key, value, self.encode) {
            Some(len) => _ = self.post(n, len, Class::Owed),
            None => self.outcome(n, 0, Code::TooBig, "the value is longer than a line may be"),
        }
    }

    /// Leaves a deletion mark, also where there was nothing (section 8.2).
    pub(super) fn bury_value(&mut self, n: u32, key: &[u8]) -> bool {
        let mut spare = Name::new();
        let Some(name) = self.permitted(n, Rights::WRITE, key, &mut spare) else { return false };
        // a removal is as old as the last time that the store was told
        self.expire_marks();
        let now = self.stamp_now();
        let store = self.store.get_mut();
        let now = store.stamp(name, now);
        match store.bury(name, now, 0) {
            Ok(_) => {
                self.counters.one(Counter::ValuesChanged);
                true
            }
            Err(why) => {
                self.store_failed(n, 0, why);
                false
            }
        }
    }

    /// Adds to a value, or takes from it (section 8.3).
    pub(super) fn count(&mut self, n: u32, key: &[u8], step: Option<&[u8]>, down: bool, line: &[u8]) {
        let mut spare = Name::new();
        let Some(name) = self.permitted(n, Rights::WRITE, key, &mut spare) else { return };
        let now = self.stamp_now();
        let old = match self.store.get_mut().get(name, now, self.scratch) {
            Some(found) => self.scratch.get(..found.len).unwrap_or_default(),
            None => &[],
        };
        let mut sum = [0; number::LONGEST];
        let len = number::add(old, step.unwrap_or(b"1"), down, &mut sum);
        if self.put_value(n, name, &sum[..len]) {
            self.forward_count(n, name, line);
        }
    }

    /// Stores and signals, or neither.
    pub(super) fn set_and_store(&mut self, n: u32, here: &[u8], value: &[u8], line: &[u8]) {
        let mut spare = Name::new();
        let Some(name) = self.permitted(n, Rights::WRITE, here, &mut spare) else { return };
        // who has it already was told of this very value, so it is not stored again for the rest
        let is_stored = self.stations[n].resumed().is_some();
        if !is_stored && !self.put_value(n, name, value) {
            return;
        }
        self.send_signal(n, &translate::signal(name, Some(value)), line);
        if !self.short {
            self.forward(n, line);
        }
    }

    /// Forgets every value, without deletion marks.
    pub(super) fn clear_values(&mut self, n: u32, line: &[u8]) {
        if fault!(self, ClearNothing) {
            return self.forward(n, line);
        }
        match self.store.get_mut().clear() {
            Ok(()) => {
                self.counters.one(Counter::ValuesChanged);
                self.forward(n, line);
            }
            Err(why) => self.store_failed(n, 0, why),
        }
    }

    /// `FLUSHED` says that all before it is where it stays: on the disk, if there is one. Until
    /// then nothing behind it is heard.
    pub(super) fn flush_line(&mut self, n: u32, text: &[u8]) {
        #[cfg(feature = "durable")]
        {
            if self.stations[n].clacks.flushed.is_none() {
                self.wait_for_disk(n, 0);
            }
            match self.stations[n].clacks.flushed.take() {
                Some(Code::Ok) => {}
                Some(code) => {
                    let text = match code {
                        Code::TimedOut => "the node's disk takes too long; it may still come to it",
                        _ => "the node's disk fails: see its log and its status",
                    };
                    return self.outcome(n, 0, code, text);
                }
                None if self.stations[n].barriers > 0 => {
                    self.pause(n, Pause::FLUSH);
                    return self.hear_again();
                }
                // refused, and told so
                None => return,
            }
        }
        self.say_line(n, &Line::Flushed(text));
    }

    /// A flush of station `n` is answered, for better or worse.
    #[cfg(feature = "durable")]
    pub(in crate::router) fn flush_over(&mut self, n: u32, code: Code) {
        self.stations[n].clacks.flushed = Some(code);
        self.go_on(n, Pause::FLUSH);
    }

    /// When values are to be looked at that may be forgotten.
    pub(super) fn sweep_at(&self) -> Option<Instant> {
        let wanted = self.settings.clacks.stale_after > Duration::ZERO || !self.clacks.monitors.is_empty();
        wanted.then_some(self.clacks.next_sweep)
    }

    /// Forgets values that nobody has asked for, a bounded number, and shows which.
    pub(super) fn sweep_values(&mut self) {
        if self.sweep_at().is_none_or(|at| at > self.now) {
            return;
        }
        let mut next = self.settings.clacks.clean_every.max(SWEEP_AGAIN);
        if self.settings.clacks.stale_after > Duration::ZERO && self.forget_stale() {
            next = SWEEP_AGAIN;
        }
        self.clacks.next_sweep = self.now + next;
    }

    /// Drops deletion marks that are older than agreed, a bounded number. Who looks on is shown
    /// which.
    pub(in crate::router) fn expire_marks(&mut self) {
        let now = self.stamp_now();
        if self.clacks.monitors.is_empty() {
            self.store.get_mut().expire_tombstones(now);
            return;
        }
        for _ in 0..TELL {
            let (mut name, mut room) = (Name::new(), [0; MAX_NAME]);
            match self.store.get_mut().expire_named(now, &mut room) {
                Some(gone) => _ = name.push_str(gone),
                None => return,
            }
            self.show_forgotten("CLEANDELETED=", &name);
        }
    }

    /// Returns whether there is more to look at.
    fn forget_stale(&mut self) -> bool {
        let (now, stale) = (self.stamp_now(), u64::from(self.settings.clacks.stale_after.millis()) * 1000);
        let mut from = self.clacks.sweep.take().unwrap_or(Cursor::START);
        let (mut budget, mut told) = (SWEEP, 0);
        loop {
            let (mut name, mut room) = (Name::new(), [0; MAX_NAME]);
            match self.store.get_mut().sweep(from, &mut budget, now, stale, &mut room) {
                Swept::Gone { name: gone, next } => {
                    let _ = name.push_str(gone);
                    from = next;
                }
                Swept::Pause(next) => {
                    self.clacks.sweep = Some(next);
                    return true;
                }
                Swept::End => return false,
            }
            self.counters.one(Counter::ValuesForgotten);
            self.show_forgotten("CLEANSTALE=", &name);
            told += 1;
            if told == TELL {
                self.clacks.sweep = Some(from);
                return true;
            }
        }
    }

    fn show_forgotten(&mut self, what: &str, bus: &str) {
        if self.clacks.monitors.is_empty() {
            return;
        }
        let mut text = heapless::Vec::<u8, { MAX_NAME + 16 }, u16>::new();
        let mut spare = [0; MAX_NAME];
        // both fit
        let _ = text.extend_from_slice(what.as_bytes());
        let _ = text.extend_from_slice(name::from_bus(bus, &mut spare));
        self.debug(b"SERVERCACHE", &text);
    }

    /// One key of a list. `false`: there is none behind the last one.
    pub(super) fn list_key(&mut self, n: u32, list: List) -> bool {
        let last = self.stations[n].clacks.cursor.clone();
        let skips = list != List::Keys && fault!(self, SkipTombstone);
        let after = (!last.is_empty()).then_some(last.as_str());
        // whoever lists keys has no need of their values
        let room = if list == List::Keys { self.scratch.len().min(MAX_NAME) } else { self.scratch.len() };
        let Some(entry) = self.store.get().following(after, &mut self.scratch[..room]) else { return false };
        let mut at = Name::new();
        // a name of a row is never longer
        let _ = at.push_str(entry.name);
        let mut spare = [0; MAX_NAME];
        let here = name::from_bus(entry.name, &mut spare);
        let len = match list {
            List::Keys => {
                let grant = self.stations[n].grant;
                let shown = !grant.restricted || self.settings.gate.allows(grant, Rights::READ, entry.name);
                if shown && !entry.deleted { emit::line(&Line::Key(here), self.encode) } else { Some(0) }
            }
            List::Reply | List::Store if entry.deleted && skips => Some(0),
            List::Reply if entry.origin == self.clacks.sync => Some(0),
            _ => {
                let sync = super::links::entry_line(&entry, here);
                let len = if entry.is_whole() { emit::key_sync(&sync, self.encode) } else { None };
                if matches!(len, None | Some(0)) {
                    self.counters.one(Counter::Uncrossed);
                }
                len
            }
        };
        self.stations[n].clacks.cursor = at;
        if let Some(len) = len {
            let _ = self.post(n, len, Class::Owed);
        }
        true
    }
}
