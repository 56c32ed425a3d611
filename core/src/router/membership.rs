//! Joining, leaving and declaring names (D8).

use super::faults::fault;
use super::names::JoinError;
use super::{Reason, Rights, Router};
use crate::dialect::Wording;
use crate::model::{Change, Code, Declare, Join, Leave, Letter};
use crate::name;

/// How a join went.
pub(super) enum Entered {
    /// This is the membership.
    Anew(u32),
    /// It was a member of the name in this row before.
    Again(u32),
}

impl Router<'_> {
    pub(super) fn join(&mut self, n: u32, j: &Join<'_>) {
        self.see_join(n, j);
        if !self.joined(n, j) {
            self.deny(n);
        }
    }

    /// Joins, and tells how that went. Returns whether it is a member now.
    fn joined(&mut self, n: u32, j: &Join<'_>) -> bool {
        match self.enter(n, j) {
            Ok(Entered::Anew(m)) => {
                self.outcome(n, j.seq, Code::Ok, "");
                self.entered(n, m);
                self.bring_mail(n);
                true
            }
            Ok(Entered::Again(row)) => {
                self.outcome(n, j.seq, Code::Ok, "");
                self.joined_again(n, row);
                true
            }
            Err((code, text)) => {
                self.refuse(n, j.seq, code, text);
                false
            }
        }
    }

    /// Joins, and tells nobody.
    pub(super) fn enter(&mut self, n: u32, j: &Join<'_>) -> Result<Entered, (Code, &'static str)> {
        let pattern = name::is_pattern(j.name);
        if !name::is_valid(j.name) || !(j.instance.is_empty() || name::is_valid(j.instance)) {
            return Err((Code::BadName, "a name has 1 to 128 bytes, no controls"));
        }
        if pattern && (j.exclusive || !matches!(j.instance, "" | "*")) {
            return Err((Code::BadRequest, "a pattern is joined by anybody, without instance"));
        }
        if !self.covers(n, Rights::READ, j.name) {
            return Err((Code::Refused, "no grant to join that name"));
        }
        if let Some(row) = self.names.find(j.name)
            && let Some(m) = self.names.membership(self.stations[n].memberships, row, j.instance)
        {
            // joined already: said twice is no harm, unless it asks for more
            if j.exclusive && !self.names.members[m].exclusive {
                return Err((Code::NameTaken, "joined already, and not exclusively"));
            }
            return Ok(Entered::Again(row));
        }
        if self.stations[n].joins >= self.settings.joins || fault!(self, FullEarly) {
            return Err((Code::Full, "this station has joined as many names as it may"));
        }
        let mut mine = self.stations[n].memberships;
        let exclusive = j.exclusive && !fault!(self, ExclusiveTwice);
        let joined = self.names.join(n, &mut mine, j.name, j.instance, exclusive);
        self.stations[n].memberships = mine;
        let m = joined.map_err(|why| match why {
            JoinError::Taken if j.exclusive => (Code::NameTaken, "somebody has joined it"),
            JoinError::Taken => (Code::NameTaken, "somebody has joined it exclusively"),
            JoinError::NamesFull => (Code::Full, "the node's table of names is full"),
            JoinError::MembersFull => (Code::Full, "the node's table of members is full"),
        })?;
        self.stations[n].joins += 1;
        self.names.mark(m, self.stations[n].session.wording());
        Ok(Entered::Anew(m))
    }

    /// Tells everybody who wants to know of membership `m` of station `n`.
    pub(super) fn entered(&mut self, n: u32, m: u32) {
        let member = &self.names.members[m];
        let (row, instance) = (member.name, member.instance);
        self.tell(Change::Joined, n, row, instance, Code::Ok);
        if fault!(self, JoinTwice) {
            self.tell(Change::Joined, n, row, instance, Code::Ok);
        }
        if fault!(self, SlowEarly) {
            self.doom(n, Reason::Slow);
        }
        self.notice(Change::Joined, n, row);
        #[cfg(feature = "communicator")]
        self.service_is_up(n, row);
        self.greet(n, row);
    }

    pub(super) fn leave(&mut self, n: u32, l: &Leave<'_>) {
        self.see_leave(n, l);
        let row = self.names.find(l.name);
        let m = row.and_then(|row| self.names.membership(self.stations[n].memberships, row, l.instance));
        match m {
            Some(m) => {
                self.end_membership(n, m);
                self.outcome(n, l.seq, Code::Ok, "");
            }
            None => self.refuse(n, l.seq, Code::NotFound, "not a member of that name with that instance"),
        }
    }

    /// Ends one membership: what was asked there and is not answered yet, then the news.
    pub(super) fn end_membership(&mut self, n: u32, m: u32) {
        let member = &self.names.members[m];
        let (row, instance) = (member.name, member.instance);
        self.names.hold_row(row);
        if instance != 0 {
            self.names.hold_row(instance);
        }
        let mut mine = self.stations[n].memberships;
        self.names.leave(&mut mine, m);
        let st = &mut self.stations[n];
        st.memberships = mine;
        st.joins -= 1;
        // it may have joined the name with another instance, too
        if !self.names.is_member(mine, row) {
            // its row may be another name's soon
            #[cfg(feature = "communicator")]
            self.is_called_so_no_more(n, row);
            self.forgive_debts(n, row);
        }
        if !fault!(self, ForgetLeave) {
            self.tell(Change::Left, n, row, instance, Code::Ok);
        }
        let goes = !self.stations[n].lives();
        if !goes || !self.names.is_member(mine, row) {
            self.notice(Change::Left, n, row);
        }
        #[cfg(feature = "communicator")]
        self.service_is_down(n, row);
        if instance != 0 {
            self.names.release(instance);
        }
        self.names.release(row);
    }

    /// Station `n` has another grant: it stays a member only of what it might join now.
    #[cfg(feature = "later")]
    pub(super) fn leave_what_is_denied(&mut self, n: u32) {
        let mut m = self.stations[n].memberships.first;
        while m != 0 {
            let member = &self.names.members[m];
            let (row, next) = (member.name, member.next_of_station());
            if !self.covers(n, Rights::READ, self.names.row(row).text()) {
                self.end_membership(n, m);
            }
            m = next;
        }
    }

    pub(super) fn declare(&mut self, n: u32, d: &Declare<'_>) {
        self.see_declare(n, d);
        if !name::is_valid(d.name) || name::is_pattern(d.name) {
            return self.refuse(n, d.seq, Code::BadName, "a declared name has 1 to 128 bytes, no controls, no pattern");
        }
        if !self.covers(n, Rights::MANAGE, d.name) {
            return self.refuse(n, d.seq, Code::Refused, "no grant to declare that name");
        }
        let done = if d.forget { self.forget_name(d.name) } else { self.declare_name(d.name) };
        match done {
            Code::Ok => self.outcome(n, d.seq, Code::Ok, ""),
            Code::Full => self.refuse(n, d.seq, Code::Full, "the node's table of names is full"),
            code => self.refuse(n, d.seq, code, "not declared"),
        }
    }

    /// Whether station `n` may say something that stops, restarts or turns who is told it: the members
    /// of a name, or (empty) the node, or any station.
    pub(super) fn may_manage(&self, n: u32, name: &str) -> bool {
        let grant = self.stations[n].grant;
        if name.is_empty() {
            // who may manage certain names only may not manage all
            return grant.rights.has(Rights::MANAGE) && !grant.restricted;
        }
        self.covers(n, Rights::MANAGE, name)
    }

    /// Whether station `n` may say a letter to who has this wording. What the node says itself, or has
    /// kept (0), it may.
    #[inline]
    pub(super) fn may_tell(&self, n: u32, wording: Wording, l: &Letter<'_>) -> bool {
        n == 0 || !wording.obeys(l.verb) || self.may_manage(n, l.name)
    }

    /// Whether station `n` has a right for a name.
    pub(super) fn covers(&self, n: u32, right: Rights, name: &str) -> bool {
        let grant = self.stations[n].grant;
        grant.rights.has(right) && (!grant.restricted || self.settings.gate.allows(grant, right, name))
    }
}
