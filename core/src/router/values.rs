//! Shared values: what stations may do with them.
//!
//! Owns: grants, answers, and announcing a change to the members of the name. What is kept,
//! and which change wins (D10), is `store.rs`'s.

use super::faults::fault;
use super::route::Delivery;
use super::store::{Applied, Cursor, Stamp, Step, StoreError};
use super::{Counter, Rights, Router};
use crate::limits::MAX_NAME;
use crate::model::{Code, Encoding, Item, Letter, List, Raw, ServerToClient, Store, StoreOp, Value};
use crate::name;

impl Router<'_> {
    /// The time of a change: by the calendar if the shell has told it.
    pub(super) fn stamp_now(&self) -> Stamp {
        Stamp::from_micros(self.epoch.saturating_add(self.now.millis().saturating_mul(1000)))
    }

    /// Longest value that is taken from stations of the native dialect, and shown to them.
    /// Others may have stored longer ones.
    pub(super) fn max_value(&self) -> usize {
        // a listing needs room for the name beside it, a frame for a few fields more
        let frames = self.settings.max_frame.min(self.scratch.len()) - MAX_NAME - 64;
        self.settings.max_value.min(self.store.get().max_value()).min(frames)
    }

    pub(super) fn store_op(&mut self, n: u32, s: &Store<'_>) {
        self.see_store(n, s);
        if s.op == StoreOp::Flush {
            return self.flush_values(n, s.seq);
        }
        if !name::is_valid(s.name) || name::is_pattern(s.name) {
            return self.refuse(n, s.seq, Code::BadName, "a value's name has 1 to 128 bytes, no controls, no pattern");
        }
        let right = if s.op == StoreOp::Get { Rights::READ } else { Rights::WRITE };
        if !self.covers(n, right, s.name) {
            return self.refuse(n, s.seq, Code::Refused, "no grant for that value");
        }
        #[cfg(feature = "certain")]
        if s.announce && matches!(s.op, StoreOp::Set | StoreOp::Add) {
            // a third more in Base64
            let len = s.value.len() + s.value.len() / 3 + 2 * MAX_NAME;
            let copies = self.names.find(s.name).map_or(0, |row| self.names.row(row).count);
            // once the change is made, telling it to all members cannot wait
            if self.must_wait_for_room(copies as usize, len) {
                return;
            }
        }
        match s.op {
            StoreOp::Get => self.read_value(n, s),
            StoreOp::Set => self.set_value(n, s),
            StoreOp::Add => self.add_to_value(n, s),
            StoreOp::Remove => self.remove_value(n, s),
            StoreOp::Flush | StoreOp::Unknown(_) => {
                self.refuse(n, s.seq, Code::BadRequest, "an unknown operation on a value")
            }
        }
    }

    /// In memory there is nothing to wait for.
    #[cfg(not(feature = "durable"))]
    fn flush_values(&mut self, n: u32, seq: u32) {
        self.outcome(n, seq, Code::Ok, "");
    }

    fn read_value(&mut self, n: u32, s: &Store<'_>) {
        let now = self.stamp_now();
        let Some(found) = self.store.get_mut().get(s.name, now, self.scratch) else {
            self.counters.one(Counter::ValuesMissed);
            return self.outcome(n, s.seq, Code::NotFound, "no such value");
        };
        if found.len > self.max_value() {
            let text = "longer than Welcome.max_value: whoever has stored it speaks another dialect, and can read it";
            return self.outcome(n, s.seq, Code::TooBig, text);
        }
        self.counters.one(Counter::ValuesRead);
        let value = Value {
            seq: s.seq,
            name: s.name,
            value: &self.scratch[..found.len],
            age_ms: now.millis_since(found.changed),
            idle_ms: now.millis_since(found.accessed),
        };
        let wording = self.stations[n].session.wording();
        let len = wording.say(self.here(), &ServerToClient::Value(value), self.encode);
        self.put_row(n, s.seq, len);
    }

    fn set_value(&mut self, n: u32, s: &Store<'_>) {
        if s.value.len() > self.max_value() {
            return self.refuse(n, s.seq, Code::TooBig, "a value longer than Welcome.max_value");
        }
        let now = self.store.get().stamp(s.name, self.stamp_now());
        match self.store.get_mut().set(s.name, s.value, now, 0) {
            Ok(_) => {
                self.counters.one(Counter::ValuesChanged);
                self.outcome(n, s.seq, Code::Ok, "");
                #[cfg(feature = "clacks")]
                self.change_crosses(n, s);
                if s.announce {
                    self.announce(n, s.name, s.value);
                }
            }
            Err(why) => self.store_failed(n, s.seq, why),
        }
    }

    fn add_to_value(&mut self, n: u32, s: &Store<'_>) {
        let now = self.stamp_now();
        let amount = if fault!(self, CountTwice) { s.amount.wrapping_mul(2) } else { s.amount };
        match self.store.get_mut().add(s.name, amount, now, 0) {
            Ok(sum) => {
                self.counters.one(Counter::ValuesChanged);
                let mut text = super::lists::Digits::new();
                let _ = core::fmt::Write::write_fmt(&mut text, format_args!("{sum}"));
                if s.seq != 0 {
                    let value = Value { seq: s.seq, name: s.name, value: text.as_bytes(), ..Value::default() };
                    self.say(n, &ServerToClient::Value(value));
                }
                #[cfg(feature = "clacks")]
                self.change_crosses(n, s);
                if s.announce {
                    self.announce(n, s.name, text.as_bytes());
                    #[cfg(feature = "clacks")]
                    self.sum_crosses(n, s.name, text.as_bytes());
                }
            }
            Err(why) => self.store_failed(n, s.seq, why),
        }
    }

    fn remove_value(&mut self, n: u32, s: &Store<'_>) {
        let now = self.stamp_now();
        let store = self.store.get_mut();
        // a removal is as old as the last time that the store was told
        store.expire_tombstones(now);
        let now = store.stamp(s.name, now);
        match store.remove(s.name, now, 0) {
            Ok(Applied::Done) => {
                self.counters.one(Counter::ValuesChanged);
                self.outcome(n, s.seq, Code::Ok, "");
                #[cfg(feature = "clacks")]
                self.change_crosses(n, s);
            }
            Ok(_) => {
                self.counters.one(Counter::ValuesMissed);
                self.outcome(n, s.seq, Code::NotFound, "no such value");
            }
            Err(why) => self.store_failed(n, s.seq, why),
        }
    }

    pub(super) fn store_failed(&mut self, n: u32, seq: u32, why: StoreError) {
        let code = match why {
            StoreError::TooManyNames | StoreError::NoSpace => Code::Full,
            StoreError::TooBig => Code::TooBig,
            StoreError::NotANumber | StoreError::Overflow => Code::NotANumber,
            StoreError::BadName => Code::BadName,
            #[cfg(feature = "durable")]
            StoreError::DiskBehind => Code::Full,
            #[cfg(feature = "durable")]
            StoreError::DiskFails => Code::NotStored,
        };
        #[cfg(feature = "durable")]
        if matches!(why, StoreError::DiskBehind | StoreError::DiskFails) {
            self.counters.one(Counter::ValuesRefused);
            if fault!(self, DiskErrorIgnored) {
                return self.outcome(n, seq, Code::Ok, "");
            }
            return self.outcome(n, seq, code, why.text());
        }
        self.refuse(n, seq, code, why.text());
    }

    /// Sends a new value to the members of its name, as a signal with verb SET.
    fn announce(&mut self, n: u32, name: &str, value: &[u8]) {
        let encoding = if core::str::from_utf8(value).is_ok() { Encoding::Text } else { Encoding::Bytes };
        let letter = Letter { name, verb: "SET", body: value, encoding, ..Letter::default() };
        self.counters.one(Counter::Letters);
        let from = self.stations.id(n).number();
        let mut delivery = Delivery::new(&letter, Raw::None, n, from, 0);
        if self.reach_name(&mut delivery).handed == 0 {
            self.counters.one(Counter::NoRecipient);
        }
    }

    /// See the other lists in `lists.rs`.
    pub(super) fn list_value(&mut self, n: u32, l: &List<'_>, at: u32) -> Option<(u32, bool)> {
        let now = self.stamp_now();
        let (here, max_value) = (self.here(), self.max_value());
        let row = match self.store.get().next(Cursor::new(at), l.name, &mut 1, self.scratch) {
            Step::Row(row) => row,
            Step::Pause(next) => return Some((next.number(), false)),
            Step::End => return None,
        };
        let grant = self.stations[n].grant;
        let shown = !grant.restricted || self.settings.gate.allows(grant, Rights::READ, row.name);
        let next = row.next.number();
        let st = &self.stations[n];
        let (wording, longest) = (st.session.wording(), st.max_frame as usize);
        let mut item = Item {
            seq: l.seq,
            what: l.what,
            name: row.name,
            value: row.value,
            age_ms: now.millis_since(row.changed),
            ..Item::default()
        };
        let mut len = None;
        if row.value.len() <= max_value {
            len = wording.say(here, &ServerToClient::Item(item), self.encode).filter(|len| *len <= longest);
        }
        if len.is_none() {
            // what is too long to be shown is told all the same: the list goes on behind it
            (item.value, item.count) = (&[], row.value.len() as u64);
            len = wording.say(here, &ServerToClient::Item(item), self.encode);
        }
        if shown {
            self.put_row(n, l.seq, len);
        }
        Some((next, shown))
    }
}
