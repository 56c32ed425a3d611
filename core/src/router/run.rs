//! Runs: letters of one station to one name, one after the other, delivered as one piece.
//!
//! Owns: when letters are held back for that, and that nobody can tell. A run lives inside
//! one call of [`Router::receive`] and ends before anything else happens in it, so order
//! (D1), outboxes and counters are as if each letter had been delivered alone; a recipient
//! whose outbox has no room for all of it gets what fits, frame by frame (D3). What is saved
//! is looking at each member for each letter.

use super::policy::Denied;
use super::route::is_verb;
use super::stations::Life;
use super::{Counter, Router};
use crate::dialect::Wording;
use crate::model::{Letter, Raw};

/// Letters that stand encoded at the front of the encode buffer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Run {
    /// Row of the name; 0: there is no run.
    row: u32,
    wording: Wording,
    sender: u32,
    len: usize,
    letters: u32,
    /// Octets of the longest frame.
    longest: usize,
}

impl Run {
    pub(super) const NONE: Run = Run { row: 0, wording: Wording::USUAL, sender: 0, len: 0, letters: 0, longest: 0 };

    /// One more letter, of that many octets.
    #[inline]
    fn takes(&mut self, len: usize) {
        self.len += len;
        self.letters += 1;
        self.longest = self.longest.max(len);
    }
}

/// Whether a letter goes to all members of a name, says nothing that only the node may say,
/// and nobody waits to hear how it went.
#[inline]
fn is_plain(l: &Letter<'_>, raw: Raw<'_>) -> bool {
    let elsewhere = l.station != 0 || l.everyone || l.name.is_empty() || !matches!(l.instance, "" | "*");
    let awaited = l.ask || l.each || l.keep || l.seq != 0;
    !elsewhere && !awaited && l.from == 0 && l.ask_id == 0 && !matches!(raw, Raw::None)
}

impl Router<'_> {
    /// Takes a letter that goes where the run at hand goes. What was found out about the first
    /// letter of that holds for it too: while there is a run, nothing changes.
    #[inline]
    pub(super) fn run_goes_on(&mut self, n: u32, l: &Letter<'_>, raw: Raw<'_>) -> bool {
        let Run { row, wording, sender, .. } = self.run;
        row != 0
            && sender == n
            && is_plain(l, raw)
            && is_verb(l.verb)
            && self.names.row(row).text() == l.name
            && self.may_tell(n, wording, l)
            && self.joins_run(n, row, wording, l, raw)
    }

    /// Takes a letter that may be sent into the run, if it is of the kind that is delivered
    /// in runs: it asks nothing, nobody waits to hear how it went, and all who get it have
    /// the same wording.
    #[inline]
    pub(super) fn runs(&mut self, n: u32, l: &Letter<'_>, raw: Raw<'_>) -> bool {
        if self.stations[n].resumed().is_some() {
            return false; // members of another wording were served before
        }
        // links hear of each letter alone
        #[cfg(feature = "clacks")]
        if self.has_links() {
            return false;
        }
        if !is_plain(l, raw) || self.names.has_patterns() {
            return false;
        }
        let Some(row) = self.names.find_again(l.name) else { return false };
        let Some(wording) = self.names.common_wording(row) else { return false };
        if wording != Wording::USUAL && self.has_mail_waiting(row) {
            return false; // nobody there may miss what would overtake it
        }
        if !self.may_tell(n, wording, l) {
            return false;
        }
        if self.run.row != row || self.run.sender != n {
            self.end_run();
        }
        self.joins_run(n, row, wording, l, raw)
    }

    /// Puts a letter behind those of the run, if there is room for it.
    #[inline]
    fn joins_run(&mut self, n: u32, row: u32, wording: Wording, l: &Letter<'_>, raw: Raw<'_>) -> bool {
        let from = self.stations.id(n).number();
        let here = self.here();
        let mut len = wording.letter(here, l, raw, from, 0, &mut self.encode[self.run.len..]);
        if len.is_none() && self.run.len > 0 {
            self.end_run();
            len = wording.letter(here, l, raw, from, 0, self.encode);
        }
        let Some(len) = len else { return false };
        // it is taken already when it is delivered, and cannot wait for who may miss nothing
        if !self.has_room_for(self.names.row(row).count as usize, self.run.len + len) {
            self.end_run();
            return false;
        }
        let run = &mut self.run;
        if run.row == 0 {
            (run.row, run.wording, run.sender) = (row, wording, n);
        }
        run.takes(len);
        true
    }

    /// Whether mail has not found room yet in the outbox of a member of the name in this row.
    fn has_mail_waiting(&self, row: u32) -> bool {
        if self.mail.used() == 0 {
            return false;
        }
        let mut m = self.names.row(row).members.first;
        while m != 0 {
            let member = &self.names.members[m];
            if self.stations[member.station].mail_waits {
                return true;
            }
            m = member.next_of_name();
        }
        false
    }

    /// Whether there is a run of station `n`.
    #[cfg(feature = "communicator")]
    #[inline]
    pub(super) fn has_run_of(&self, n: u32) -> bool {
        self.run.row != 0 && self.run.sender == n
    }

    /// Makes room at the end of the run of station `n` for a frame of that many octets, which the
    /// caller writes into the encode buffer, at what is returned, and which its dialect knows to be
    /// what the next letter of that run would be. `None`: the run is full, and was delivered.
    #[cfg(feature = "communicator")]
    #[inline]
    pub(super) fn run_takes(&mut self, len: usize) -> Option<usize> {
        let Run { row, len: before, .. } = self.run;
        let copies = self.names.row(row).count as usize;
        if before + len > self.encode.len() || !self.has_room_for(copies, before + len) {
            self.end_run();
            return None;
        }
        self.run.takes(len);
        Some(before)
    }

    /// Delivers the run, if there is one. To be called before the encode buffer is used, and
    /// before anything changes.
    #[inline]
    pub(super) fn end_run(&mut self) {
        if self.run.row != 0 {
            self.deliver_run();
        }
    }

    fn deliver_run(&mut self) {
        let run = core::mem::replace(&mut self.run, Run::NONE);
        self.counters.add(Counter::Letters, run.letters as u64);
        self.next_stamp();
        let mut reached = false;
        let mut m = self.names.row(run.row).members.first;
        while m != 0 {
            let member = &self.names.members[m];
            m = member.next_of_name();
            let (to, instance) = (member.station, member.instance);
            let st = &mut self.stations[to];
            if instance != 0 || to == run.sender || st.stamp == self.stamp || st.life != Life::Ready {
                continue;
            }
            st.stamp = self.stamp;
            reached = true;
            let whole = !st.mail_waits && run.longest <= st.max_frame as usize;
            let class = st.class();
            if whole && self.put(to, 0..run.len, class).is_ok() {
                self.posted(to, run.letters as u64);
                self.counters.add(Counter::Deliveries, run.letters as u64);
            } else {
                self.deliver_singly(to, run.wording, run.len);
            }
        }
        if !reached {
            self.counters.add(Counter::NoRecipient, run.letters as u64);
        }
    }

    /// Each frame of the run alone, for a recipient that cannot take all of it.
    #[cold]
    fn deliver_singly(&mut self, to: u32, wording: Wording, end: usize) {
        let mut at = 0;
        while at < end {
            let len = wording.frame_size(&self.encode[at..end]).unwrap_or(end - at);
            let st = &self.stations[to];
            let class = st.class();
            if st.mail_waits {
                self.denied(to, class, Denied::Order);
            } else if len > st.max_frame as usize {
                self.denied(to, class, Denied::TooBig);
            } else if self.post_part(to, at..at + len, class).is_ok() {
                self.counters.one(Counter::Deliveries);
            }
            at += len;
        }
    }
}
