//! Joining, leaving and declaring names (D8).

use super::names::JoinError;
use super::{Rights, Router};
use crate::model::{Change, Code, Declare, Join, Leave};
use crate::name;

impl Router<'_> {
    pub(super) fn join(&mut self, n: u32, j: &Join<'_>) {
        self.see_join(n, j);
        if !self.joined(n, j) {
            self.deny(n);
        }
    }

    /// Joins, and tells how that went. Returns whether it is a member now.
    fn joined(&mut self, n: u32, j: &Join<'_>) -> bool {
        let pattern = name::is_pattern(j.name);
        if !name::is_valid(j.name) || !(j.instance.is_empty() || name::is_valid(j.instance)) {
            self.refuse(n, j.seq, Code::BadName, "a name has 1 to 128 bytes, no controls");
            return false;
        }
        if pattern && (j.exclusive || !matches!(j.instance, "" | "*")) {
            self.refuse(n, j.seq, Code::BadRequest, "a pattern is joined by anybody, without instance");
            return false;
        }
        if !self.covers(n, Rights::READ, j.name) {
            self.refuse(n, j.seq, Code::Refused, "no grant to join that name");
            return false;
        }
        if let Some(row) = self.names.find(j.name)
            && let Some(m) = self.names.membership(self.stations[n].memberships, row, j.instance)
        {
            // joined already: said twice is no harm, unless it asks for more
            let less = j.exclusive && !self.names.members[m].exclusive;
            if less {
                self.refuse(n, j.seq, Code::NameTaken, "joined already, and not exclusively");
            } else {
                self.outcome(n, j.seq, Code::Ok, "");
                self.joined_again(n, row);
            }
            return !less;
        }
        if self.stations[n].joins >= self.settings.joins {
            self.refuse(n, j.seq, Code::Full, "this station has joined as many names as it may");
            return false;
        }
        let mut mine = self.stations[n].memberships;
        let joined = self.names.join(n, &mut mine, j.name, j.instance, j.exclusive);
        self.stations[n].memberships = mine;
        let m = match joined {
            Ok(m) => m,
            Err(why) => {
                let (code, text) = match why {
                    JoinError::Taken if j.exclusive => (Code::NameTaken, "somebody has joined it"),
                    JoinError::Taken => (Code::NameTaken, "somebody has joined it exclusively"),
                    JoinError::NamesFull => (Code::Full, "the node's table of names is full"),
                    JoinError::MembersFull => (Code::Full, "the node's table of members is full"),
                };
                self.refuse(n, j.seq, code, text);
                return false;
            }
        };
        self.stations[n].joins += 1;
        self.names.mark(m, self.stations[n].session.wording());
        self.outcome(n, j.seq, Code::Ok, "");
        let member = &self.names.members[m];
        let (row, instance) = (member.name, member.instance);
        self.tell(Change::Joined, n, row, instance, Code::Ok);
        self.notice(Change::Joined, n, row);
        self.greet(n, row);
        self.bring_mail(n);
        true
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
            self.forgive_debts(n, row);
        }
        self.tell(Change::Left, n, row, instance, Code::Ok);
        let goes = !self.stations[n].lives();
        if !goes || !self.names.is_member(mine, row) {
            self.notice(Change::Left, n, row);
        }
        if instance != 0 {
            self.names.release(instance);
        }
        self.names.release(row);
    }

    pub(super) fn declare(&mut self, n: u32, d: &Declare<'_>) {
        self.see_declare(n, d);
        if !name::is_valid(d.name) || name::is_pattern(d.name) {
            return self.refuse(n, d.seq, Code::BadName, "a declared name has 1 to 128 bytes, no controls, no pattern");
        }
        if !self.covers(n, Rights::MANAGE, d.name) {
            return self.refuse(n, d.seq, Code::Refused, "no grant to declare that name");
        }
        let done = if d.forget { self.forget(d.name) } else { self.declare_name(d.name) };
        match done {
            Code::Ok => self.outcome(n, d.seq, Code::Ok, ""),
            Code::Full => self.refuse(n, d.seq, Code::Full, "the node's table of names is full"),
            code => self.refuse(n, d.seq, code, "not declared"),
        }
    }

    /// Whether station `n` has a right for a name.
    pub(super) fn covers(&self, n: u32, right: Rights, name: &str) -> bool {
        let grant = self.stations[n].grant;
        grant.rights.has(right) && (!grant.restricted || self.settings.gate.allows(grant, right, name))
    }
}
