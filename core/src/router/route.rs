//! Letters: to a name, to one station, to everyone.
//!
//! Owns: who gets a copy (D1, D2), and how often it is encoded: once for all recipients with
//! the same wording. Questions and mail are decided in `ask.rs` and `keep.rs`.

use super::faults::fault;
use super::policy::{Class, Denied};
use super::say::OnShort;
use super::stations::{Life, Resume};
use super::{Counter, Rights, Router};
use crate::dialect::Wording;
use crate::id::StationId;
use crate::limits::MAX_VERB;
use crate::model::{Code, Letter, Outcome, Raw, ServerToClient};
use crate::name;

/// A letter under way.
pub(super) struct Delivery<'d> {
    letter: &'d Letter<'d>,
    raw: Raw<'d>,
    /// Row and address of the sender; row 0: the node, or somebody who has left.
    sender: u32,
    from: u64,
    ask_id: u64,
    /// What stands in the encode buffer.
    worded: Option<(Wording, usize)>,
    /// Members whose wording is of this kind get none.
    but: usize,
}

impl<'d> Delivery<'d> {
    pub(super) fn new(letter: &'d Letter<'d>, raw: Raw<'d>, sender: u32, from: u64, ask_id: u64) -> Self {
        Delivery { letter, raw, sender, from, ask_id, worded: None, but: usize::MAX }
    }

    /// Not to members with wordings of that kind.
    #[cfg(feature = "clacks")]
    pub(super) fn but(mut self, wording: Wording) -> Self {
        self.but = wording.kind();
        self
    }

    /// Something else stands in the encode buffer now.
    pub(super) fn forget_wording(&mut self) {
        self.worded = None;
    }
}

/// How a delivery went.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Reached {
    /// Outboxes that took a copy.
    pub(super) handed: u32,
    /// Recipients whose outbox did not.
    pub(super) denied: u32,
    /// Of those, who cannot take frames that long.
    pub(super) too_big: u32,
    /// Of those, who may not be told that by the sender.
    pub(super) refused: u32,
    /// How many of both are members of the very name, not of a pattern.
    pub(super) members: u32,
}

/// Whether a text may be a verb.
#[inline]
pub(super) fn is_verb(text: &str) -> bool {
    text.len() <= MAX_VERB && name::no_controls(text)
}

impl Router<'_> {
    /// A station sends a letter.
    #[inline]
    pub(super) fn letter(&mut self, n: u32, l: &Letter<'_>, raw: &Raw<'_>) {
        // whoever monitors is shown each letter alone
        let sniffed = self.sniffed();
        if sniffed {
            self.end_run();
            self.see_letter(n, l, *raw);
        } else if self.run_goes_on(n, l, *raw) {
            return;
        }
        let may = self.may_send(n, l);
        if may.is_ok() && !sniffed && self.runs(n, l, *raw) {
            return;
        }
        self.end_run();
        if let Err((code, text)) = may {
            if l.ask && !l.each {
                self.counters.one(Counter::BadRequest);
                return self.answer_at_once(n, l, *raw, code, text);
            }
            return self.refuse(n, l.seq, code, text);
        }
        if self.stations[n].resumed().is_none() {
            self.counters.one(Counter::Letters);
        }
        if l.ask && self.can_be_answered(n, *raw) {
            return self.ask(n, l, *raw);
        }
        let from = self.stations.id(n).number();
        let mut delivery = Delivery::new(l, *raw, n, from, 0);
        let Some(reached) = self.wait_if_short(|router| {
            if l.station != 0 {
                router.reach_station(&mut delivery)
            } else if l.everyone {
                router.reach_everyone(&mut delivery)
            } else {
                router.reach_name(&mut delivery)
            }
        }) else {
            return;
        };
        #[cfg(feature = "clacks")]
        if self.has_links() {
            self.letter_crosses(n, l, *raw);
        }
        if reached.handed > 0 && l.seq == 0 && !l.keep {
            return;
        }
        self.sent_report(n, l, *raw, reached);
    }

    /// Does `deliver`. If memory is short for somebody who may miss nothing, who sends waits:
    /// `None`, and it will be done again.
    #[inline]
    pub(super) fn wait_if_short<R>(&mut self, deliver: impl FnOnce(&mut Self) -> R) -> Option<R> {
        self.on_short = OnShort::Wait;
        let done = deliver(self);
        self.on_short = OnShort::Close;
        (!self.short).then_some(done)
    }

    /// A delivery of station `n` waits: where it will go on.
    #[cold]
    pub(super) fn suspend(&mut self, _n: u32, _at: Resume) {
        #[cfg(feature = "certain")]
        {
            self.stations[_n].resume = Some(_at);
        }
    }

    /// What the sender is told, and what happens to a letter that reached nobody.
    fn sent_report(&mut self, n: u32, l: &Letter<'_>, raw: Raw<'_>, reached: Reached) {
        let Reached { handed, denied, too_big, refused, members } = reached;
        let code = match (handed, denied) {
            // who listens to a pattern hears it, but is not whom mail waits for
            _ if l.keep && members == 0 && self.is_declared(l.name) => {
                let code = self.keep(n, l);
                return self.outcome(n, l.seq, code, code.text());
            }
            // only valid names have rows, so only those without need be looked at
            (0, 0) if l.station == 0 && !l.everyone && !name::is_valid(l.name) => {
                return self.refuse(n, l.seq, Code::BadName, "a name has 1 to 128 bytes, no controls");
            }
            (0, 0) => {
                self.counters.one(Counter::NoRecipient);
                Code::NoRecipient
            }
            (0, _) if refused == denied => Code::Refused,
            (0, _) if too_big == denied => Code::TooBig,
            (0, _) => Code::RecipientBusy,
            _ => Code::Ok,
        };
        if l.ask {
            return self.answer_at_once(n, l, raw, code, "");
        }
        self.see_outcome(n, l.seq, code, "");
        if l.seq != 0 {
            let text = if code == Code::Ok { "" } else { code.text() };
            let outcome = Outcome { seq: l.seq, code, text, count: handed, ..Outcome::default() };
            self.say(n, &ServerToClient::Outcome(outcome));
        }
    }

    /// Whether a letter makes sense and its sender has a grant for it.
    #[inline]
    pub(super) fn may_send(&self, n: u32, l: &Letter<'_>) -> Result<(), (Code, &'static str)> {
        let bad = |text| Err((Code::BadRequest, text));
        if l.from != 0 || l.ask_id != 0 {
            return bad("from and ask_id are set by the node");
        }
        let named = !l.name.is_empty();
        if l.everyone == (named || l.station != 0) {
            return bad("name, station or everyone must say where it goes");
        }
        if l.name.ends_with('*') && name::is_pattern(l.name) {
            return Err((Code::BadName, "a letter goes to a name, not to a pattern"));
        }
        if !is_verb(l.verb) {
            return bad("a verb has at most 64 bytes, no controls");
        }
        let to_name = named && l.station == 0;
        if l.keep && (l.ask || !to_name) {
            return bad("only a letter to a name can be kept, and only one that asks nothing");
        }
        if l.ask && l.everyone {
            return bad("everyone cannot be asked");
        }
        if l.each && !(l.ask && to_name) {
            return bad("each: only the members of a name can be asked one by one");
        }
        let grant = self.stations[n].grant;
        let needed = if l.everyone { Rights::MANAGE } else { Rights::WRITE };
        // addresses are not names: a grant for certain names covers none
        let covered = !grant.restricted || (to_name && self.settings.gate.allows(grant, needed, l.name));
        if !grant.rights.has(needed) || !covered {
            return Err((Code::Refused, "no grant to send there"));
        }
        Ok(())
    }

    /// To all members of a name but the sender. A letter that asks nothing also reaches who
    /// has joined a pattern that covers the name.
    #[inline]
    pub(super) fn reach_name(&mut self, d: &mut Delivery<'_>) -> Reached {
        self.next_stamp();
        #[cfg(feature = "clacks")]
        self.spare_links(d.letter);
        let mut reached = Reached::default();
        if let Some(row) = self.names.find_again(d.letter.name) {
            self.reach_members(d, row, &mut reached);
            reached.members = reached.handed + reached.denied;
        }
        if self.names.has_patterns() && !self.short {
            for stem in name::stems(d.letter.name) {
                if let Some(row) = self.names.find_stem(stem) {
                    self.reach_members(d, row, &mut reached);
                }
            }
        }
        reached
    }

    /// Those with one wording after those with another, so that each is written once.
    #[inline]
    pub(super) fn reach_members(&mut self, d: &mut Delivery<'_>, row: u32, reached: &mut Reached) {
        let instance = self.instance_row(d.letter.instance);
        let resumed = self.take_up(d.sender, reached);
        let (kinds, but) = (self.names.kinds(row), d.but);
        for (kind, _) in kinds.iter().enumerate().filter(|(kind, there)| **there && *kind != but) {
            let mut m = self.names.row(row).members.first;
            let mut last = 0;
            while m != 0 {
                let member = &self.names.members[m];
                m = member.next_of_name();
                let asked = member.instance == 0 || member.instance == instance;
                if !asked || member.kind as usize != kind {
                    continue;
                }
                let (to, serial) = (member.station, member.serial);
                if resumed.is_some_and(|r| (kind, serial) <= (r.kind, r.after)) {
                    self.stations[to].stamp = self.stamp;
                } else {
                    self.hand(d, to, reached);
                }
                if self.short {
                    let Reached { handed, denied, .. } = *reached;
                    return self.suspend(d.sender, Resume { kind, after: last, handed, denied });
                }
                last = serial;
            }
        }
    }

    /// How far station `n` has come with its frame that is delivered again, if it is.
    #[inline]
    fn take_up(&self, n: u32, reached: &mut Reached) -> Option<Resume> {
        if n == 0 || self.on_short != OnShort::Wait {
            return None;
        }
        let resumed = self.stations[n].resumed()?;
        reached.handed += resumed.handed;
        reached.denied += resumed.denied;
        Some(resumed)
    }

    /// The row of an instance that a letter names; `u32::MAX` if nobody has it.
    #[inline]
    pub(super) fn instance_row(&self, instance: &str) -> u32 {
        match instance {
            "" | "*" => u32::MAX,
            i => self.names.find_instance(i).unwrap_or(u32::MAX),
        }
    }

    pub(super) fn reach_station(&mut self, d: &mut Delivery<'_>) -> Reached {
        self.next_stamp();
        let mut reached = Reached::default();
        let mut to = StationId::new(d.letter.station).and_then(|id| self.stations.find(id));
        if to.is_none() && fault!(self, StaleAddress) {
            to = (1..=self.stations.made()).find(|n| self.stations[*n].lives());
        }
        if let Some(to) = to {
            self.hand(d, to, &mut reached);
            if self.short {
                self.suspend(d.sender, Resume::default());
            }
        }
        reached
    }

    fn reach_everyone(&mut self, d: &mut Delivery<'_>) -> Reached {
        self.next_stamp();
        #[cfg(feature = "clacks")]
        self.spare_links(d.letter);
        let mut reached = Reached::default();
        let resumed = self.take_up(d.sender, &mut reached);
        let first = resumed.map_or(1, |r| r.after as u32 + 1);
        for to in first..=self.stations.made() {
            self.hand(d, to, &mut reached);
            if self.short {
                let Reached { handed, denied, .. } = reached;
                self.suspend(d.sender, Resume { kind: 0, after: to as u64 - 1, handed, denied });
                break;
            }
        }
        reached
    }

    pub(super) fn next_stamp(&mut self) {
        self.stamp = self.stamp.wrapping_add(1);
    }

    /// One copy to one station, unless it had it already (D2) or is the sender.
    #[inline]
    pub(super) fn hand(&mut self, d: &mut Delivery<'_>, to: u32, reached: &mut Reached) {
        let st = &mut self.stations[to];
        if st.stamp == self.stamp || st.life != Life::Ready {
            return;
        }
        if to == d.sender && !fault!(self, DeliverToSender) {
            return;
        }
        let st = &mut self.stations[to];
        st.stamp = self.stamp;
        match self.hand_anew(d, to) {
            Ok(()) => reached.handed += 1,
            Err(Denied::Later) => {}
            Err(why) => {
                reached.denied += 1;
                reached.too_big += (why == Denied::TooBig) as u32;
                reached.refused += (why == Denied::Right) as u32;
            }
        }
    }

    /// One copy to a station that is there.
    #[inline]
    pub(super) fn hand_anew(&mut self, d: &mut Delivery<'_>, to: u32) -> Result<(), Denied> {
        let st = &self.stations[to];
        let class = st.class();
        if st.mail_waits {
            if class == Class::Certain && self.on_short == OnShort::Wait && !st.waits() {
                (self.short, self.pressed) = (true, true);
                return Err(Denied::Later);
            }
            self.denied(to, class, Denied::Order);
            return Err(Denied::Order);
        }
        let here = self.here();
        let wording = st.session.wording();
        let len = match d.worded {
            Some((w, len)) if w == wording => len,
            _ => {
                if !self.may_tell(d.sender, wording, d.letter) {
                    self.denied(to, class, Denied::Right);
                    return Err(Denied::Right);
                }
                let len = wording.letter(here, d.letter, d.raw, d.from, d.ask_id, self.encode);
                let Some(len) = len else {
                    self.denied(to, class, Denied::TooBig);
                    return Err(Denied::TooBig);
                };
                d.worded = Some((wording, len));
                len
            }
        };
        self.post(to, len, class)?;
        if fault!(self, DeliverTwice) {
            self.post(to, len, class)?;
        }
        self.counters.one(Counter::Deliveries);
        Ok(())
    }
}
