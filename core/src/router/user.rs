//! The node as a user of its own bus, where a dialect has that: what it tells the members of
//! certain names, and what it answers.
//!
//! Owns: when it says something of its own. Does not own the words, which are the dialect's.
//! Without such dialects all of it is nothing.

use super::Router;
use crate::model::Change;

#[cfg(not(feature = "msgq"))]
impl Router<'_> {
    pub(super) fn notice(&mut self, _: Change, _: u32, _: u32) {}
    pub(super) fn joined_again(&mut self, _: u32, _: u32) {}
    pub(super) fn greet(&mut self, _: u32, _: u32) {}
}

#[cfg(feature = "msgq")]
use {
    super::faults::fault,
    super::policy::Class,
    super::route::{Delivery, Reached},
    super::stations::Life,
    super::{Counter, Rights},
    crate::dialect::{GREETINGS, GROUP, MANAGER, NOBODY, NOTICES, NodeAsk, Question, Roll, node_answer, notice},
    crate::model::{Encoding, Letter, Raw},
};

#[cfg(feature = "msgq")]
impl Router<'_> {
    /// Tells the members of the name for such news what happened to station `about`, at the
    /// name in row `name` (0: at none).
    pub(super) fn notice(&mut self, change: Change, about: u32, name: u32) {
        let Some(row) = self.names.find(NOTICES).filter(|row| self.names.row(*row).count > 0) else { return };
        if fault!(self, NoticeMissing) {
            return;
        }
        let body = core::mem::take(&mut self.scratch);
        let text = if name == 0 { "" } else { self.names.row(name).text() };
        if let Some(len) = notice(self.here(), change, self.stations.id(about).number(), text, body) {
            let seq = self.next_number() as u32;
            let letter =
                Letter { name: NOTICES, body: &body[..len], encoding: Encoding::Json, seq, ..Letter::default() };
            // members of that very name: who hears everything below a stem has not asked for this
            self.next_stamp();
            self.reach_members(&mut Delivery::new(&letter, Raw::None, 0, 0, 0), row, &mut Reached::default());
        }
        self.scratch = body;
    }

    /// A station has said once more that it joins a name. Clients that cannot be told how a
    /// request went wait for this news instead.
    pub(super) fn joined_again(&mut self, n: u32, row: u32) {
        if !self.stations[n].session.dialect().ways().outcomes {
            self.notice(Change::Joined, n, row);
        }
    }

    /// The first to join the manager's name is told about the node.
    pub(super) fn greet(&mut self, n: u32, row: u32) {
        let st = &self.stations[n];
        let first = self.names.count_of(row, st.session.wording().kind()) == 1;
        if st.session.dialect().ways().outcomes || !first || self.names.row(row).text() != MANAGER {
            return;
        }
        for body in GREETINGS {
            let seq = self.next_number() as u32;
            let letter =
                Letter { name: MANAGER, body: body.as_bytes(), encoding: Encoding::Json, seq, ..Letter::default() };
            self.next_stamp();
            self.hand(&mut Delivery::new(&letter, Raw::None, 0, 0, 0), n, &mut Reached::default());
        }
    }

    /// Station `n` wants something of the node; `l` is for others of the same name.
    pub(super) fn asked(&mut self, n: u32, ask: &NodeAsk<'_>, l: &Letter<'_>, raw: Raw<'_>) {
        if self.sniffed() {
            self.see_letter(n, l, raw);
        }
        // what wants an answer gets one: the node's
        if l.station != NOBODY && !l.ask && self.may_send(n, l).is_ok() {
            if self.stations[n].resumed().is_none() {
                self.counters.one(Counter::Letters);
            }
            let from = self.stations.id(n).number();
            let mut delivery = Delivery::new(l, raw, n, from, 0);
            if self.wait_if_short(|router| router.reach_name(&mut delivery)).is_none() {
                return;
            }
        }
        let ask = match ask {
            NodeAsk::Silence if !l.ask => return,
            NodeAsk::Silence => &NodeAsk::Failure("the node serves commands to the group Msgq alone", ""),
            ask => ask,
        };
        let question = Question { echo: raw.echo(), number: self.next_number(), ..Question::default() };
        let len = match *ask {
            NodeAsk::Stations if self.may_see_all(n) => self.roll_of_stations(question),
            NodeAsk::Members { name, instance } if name.is_empty() || self.covers(n, Rights::READ, name) => {
                self.roll_of_members(question, name, instance)
            }
            NodeAsk::Stations | NodeAsk::Members { .. } => {
                self.counters.one(Counter::Refused);
                node_answer(self.here(), question, &NodeAsk::Failure("no grant to read that", ""), self.encode)
            }
            _ => node_answer(self.here(), question, ask, self.encode),
        };
        let len = len.or_else(|| {
            let text = "the answer is longer than a message may be";
            node_answer(self.here(), question, &NodeAsk::Failure(text, ""), self.encode)
        });
        if let Some(len) = len {
            let _ = self.post(n, len, Class::Owed);
        }
    }

    fn may_see_all(&self, n: u32) -> bool {
        let grant = self.stations[n].grant;
        grant.rights.has(Rights::READ) && !grant.restricted
    }

    /// All stations and the node itself. As all lists of stations in one piece, it takes as
    /// long as there are stations.
    fn roll_of_stations(&mut self, question: Question<'_>) -> Option<usize> {
        let here = self.here();
        let mut roll = Roll::begin(here, question, self.encode)?;
        for s in 1..=self.stations.made() {
            if self.stations[s].life == Life::Ready && !roll.push(here, self.stations.id(s).number(), self.encode) {
                return None;
            }
        }
        if !roll.push(here, 0, self.encode) {
            return None;
        }
        roll.end(self.encode)
    }

    /// Whom a letter to a name and instance would reach.
    fn roll_of_members(&mut self, question: Question<'_>, name: &str, instance: &str) -> Option<usize> {
        let here = self.here();
        let mut roll = Roll::begin(here, question, self.encode)?;
        let instance = self.instance_row(instance);
        self.next_stamp();
        let mut m = self.names.find(name).map_or(0, |row| self.names.row(row).members.first);
        while m != 0 {
            let member = &self.names.members[m];
            m = member.next_of_name();
            let s = member.station;
            let named = member.instance == 0 || member.instance == instance;
            if !named || core::mem::replace(&mut self.stations[s].stamp, self.stamp) == self.stamp {
                continue;
            }
            if !roll.push(here, self.stations.id(s).number(), self.encode) {
                return None;
            }
        }
        // the node is a member of its own name
        if name == GROUP && !roll.push(here, 0, self.encode) {
            return None;
        }
        roll.end(self.encode)
    }
}
