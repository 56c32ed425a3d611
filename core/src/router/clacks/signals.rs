//! Signals (section 8.1 of `wire/clacks.md`): messages to names, and memberships of them.
//!
//! Owns: which letters a line is. `SET s/VERB=…` is one to the name `s/VERB`, and one with that
//! verb to the members of `s` that speak another dialect: who listens here hears names exactly.

use super::super::route::Delivery;
use super::super::{Counter, Rights, Router};
use crate::dialect::Wording;
use crate::dialect::clacks::{name, translate};
use crate::limits::MAX_NAME;
use crate::model::{Code, Join, Leave, Letter, Raw};

impl Router<'_> {
    /// `SET`, or `NOTIFY` without a value.
    #[inline]
    pub(super) fn signal(&mut self, n: u32, name: &[u8], value: Option<&[u8]>, line: &[u8]) {
        let mut spare = heapless::String::new();
        let Some(bus) = self.permitted(n, Rights::WRITE, name, &mut spare) else { return };
        self.send_signal(n, &translate::signal(bus, value), line);
        if !self.short && !self.clacks.links.is_empty() {
            self.forward(n, line);
        }
    }

    /// Hands a signal on. If it cannot be yet, `short` says so.
    #[inline]
    pub(super) fn send_signal(&mut self, n: u32, l: &Letter<'_>, line: &[u8]) {
        let raw = Raw::Clacks(line);
        if l.name.as_bytes().contains(&b'/') {
            self.end_run();
            return self.send_addressed(n, l, raw);
        }
        self.letter(n, l, &raw);
    }

    /// A signal whose name may address a verb.
    fn send_addressed(&mut self, n: u32, l: &Letter<'_>, raw: Raw<'_>) {
        // what is for the members of `s` comes second, and cannot wait then
        let copies = name::addressed(l.name).and_then(|(name, _)| self.names.find(name));
        let copies = copies.map_or(0, |row| self.names.row(row).count as usize);
        if self.must_wait_for_room(copies, l.body.len() + l.body.len() / 3 + 2 * MAX_NAME) {
            return;
        }
        if self.stations[n].resumed().is_none() {
            self.counters.one(Counter::Letters);
        }
        let from = self.stations.id(n).number();
        let mut delivery = Delivery::new(l, raw, n, from, 0);
        let Some(mut reached) = self.wait_if_short(|router| router.reach_name(&mut delivery)) else { return };
        // parameters with escapes are short, or stay as they are
        let mut room = [0; 512];
        translate::addressed(l, &mut room, |l| {
            let Some(row) = self.names.find(l.name) else { return };
            // a grant for `s/VERB` is none for `s`
            if !self.covers(n, Rights::WRITE, l.name) {
                return self.counters.one(Counter::Refused);
            }
            let mut delivery = Delivery::new(l, Raw::None, n, from, 0).but(Wording::Clacks);
            // the same stamp: who had it under the other name has it
            self.reach_members(&mut delivery, row, &mut reached);
        });
        if reached.handed + reached.denied == 0 {
            self.counters.one(Counter::NoRecipient);
            self.see_outcome(n, 0, Code::NoRecipient, "");
        }
    }

    pub(super) fn listen(&mut self, n: u32, name: &[u8]) {
        let mut spare = heapless::String::<MAX_NAME, u8>::new();
        if let Some(name) = self.permitted(n, Rights::READ, name, &mut spare) {
            self.join(n, &Join { name, ..Join::default() });
        }
    }

    /// Harmless if it did not listen.
    pub(super) fn unlisten(&mut self, n: u32, name: &[u8]) {
        let mut spare = heapless::String::<MAX_NAME, u8>::new();
        let Some(name) = self.permitted(n, Rights::READ, name, &mut spare) else { return };
        let row = self.names.find(name);
        if row.is_some_and(|row| self.names.membership(self.stations[n].memberships, row, "").is_some()) {
            self.leave(n, &Leave { name, ..Leave::default() });
        }
    }
}
