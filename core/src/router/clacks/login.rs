//! From a connection to the rights of a user (section 4 of `wire/clacks.md`).
//!
//! Owns: the greeting, what is heard before somebody has logged in, and logging in, also again.
//! Does not own who knows users: that is the gate.

use super::super::stations::{Life, Unverified};
use super::super::{Counter, Grant, Newcomer, Reason, Rights, Router, Verdict};
use super::Place;
use crate::dialect::Dialect;
use crate::dialect::clacks::overhead::Step;
use crate::dialect::clacks::repr::{Command, Line, Need};
use crate::dialect::clacks::token::Credentials;
use crate::dialect::clacks::{Role, emit};
use crate::limits::MAX_STATION_NAME;
use crate::model::{Change, Code};

impl Router<'_> {
    /// A connection has come: both sides talk at once (section 4.1).
    pub(in crate::router) fn begin(&mut self, n: u32, new: Newcomer) {
        if new.dialect != Dialect::Clacks {
            return;
        }
        let lock = self.clacks.lock;
        let st = &mut self.stations[n];
        st.clacks.peer = new.peer;
        st.clacks.base = new.grant;
        st.clacks.spoken = self.now;
        st.clacks.pinged = self.now;
        st.clacks.place = if new.role == Role::Master { Place::Master } else { Place::Client };
        if lock != 0 {
            self.pause(n, super::Pause::LOCK);
        }
        let len = if new.role == Role::Master {
            // everything is sent over a link from its first moment on (section 12.4)
            if self.clacks.links.push(n).is_err() {
                self.stations[n].clacks.place = Place::Client;
                return self.doom(n, Reason::NoMemory);
            }
            self.clacks.master_said.clear();
            self.new_sync();
            let set = self.settings.clacks;
            emit::slave(set.link_user.as_bytes(), set.link_password, self.encode)
        } else {
            emit::greeting("", self.encode)
        };
        self.say_owed(n, len);
        self.show_connected(n);
    }

    /// Somebody says something who has not logged in. Nothing else is heard, nor answered.
    pub(super) fn line_before_login(&mut self, n: u32, command: &Command<'_>) {
        match command {
            Command::Clacks(name) => self.call(n, name),
            Command::Overhead(o) => match o.plan(self.speaker(n)).first() {
                Some(Step::Login(token)) => self.login(n, token),
                _ if self.is_refused_by_link(n, o) => self.doom(n, Reason::LinkRefused),
                _ => self.counters.one(Counter::NotIntroduced),
            },
            _ => self.counters.one(Counter::NotIntroduced),
        }
    }

    /// What the client is called, for people.
    pub(super) fn call(&mut self, n: u32, name: &[u8]) {
        let parts = self.hear_root(n, name);
        let mut text = heapless::String::<MAX_STATION_NAME, u8>::new();
        'all: for chunk in parts.iter().flat_map(|part| part.utf8_chunks()) {
            let odd = chunk.invalid().iter().map(|_| '?');
            for c in chunk.valid().chars().chain(odd) {
                let c = if c == ';' || c.is_control() { '_' } else { c };
                if text.push(c).is_err() {
                    break 'all;
                }
            }
        }
        self.stations[n].name = text;
    }

    /// Somebody says who it is, for the first time or once more.
    pub(super) fn login(&mut self, n: u32, token: &[u8]) {
        let gate = self.settings.gate;
        let base = self.stations[n].clacks.base;
        if gate.is_open() && !base.rights.is_empty() {
            return self.logged_in(n, base);
        }
        let credentials = Credentials::read(token);
        let id = self.stations.id(n);
        let verdict = match credentials.as_ref().and_then(|c| c.user().map(|user| (user, c.password()))) {
            Some((user, password)) => gate.decide(id, user, password),
            None => Verdict::Denied,
        };
        match verdict {
            Verdict::Later => self.stations[n].unverified = Some(Unverified::default()),
            verdict => self.judge_login(n, verdict),
        }
    }

    /// What the gate has found out.
    pub(in crate::router) fn judge_login(&mut self, n: u32, verdict: Verdict) {
        match verdict {
            Verdict::Granted(grant) if !grant.rights.is_empty() => self.logged_in(n, grant),
            // no `F`: a client that sees one gives up for good
            Verdict::Busy(text) => {
                self.outcome(n, 0, Code::Full, text);
                self.doom(n, Reason::Unchecked);
            }
            _ => self.doom(n, Reason::Credentials),
        }
    }

    fn logged_in(&mut self, n: u32, grant: Grant) {
        let may_link = grant.rights.has(Rights::LINK) && !grant.restricted;
        let st = &mut self.stations[n];
        st.grant = grant;
        let is_new = st.life == Life::New;
        if is_new {
            st.life = Life::Ready;
            st.introduced = true;
            self.counters.one(Counter::Introduced);
        }
        self.say_line(n, &Line::WELCOME);
        if !is_new {
            self.end_what_is_denied(n);
        }
        if self.stations[n].clacks.place == Place::Link && !may_link {
            self.end_link(n);
        }
        self.arm(n);
        if is_new {
            self.see_connected(n);
            self.tell(Change::Connected, n, 0, 0, Code::Ok);
            self.notice(Change::Connected, n, 0);
        }
    }

    /// Station `n` is somebody else from here on: what it began as who it was before goes on only
    /// if it might begin it now.
    fn end_what_is_denied(&mut self, n: u32) {
        if !self.may(n, Need::Manage) {
            self.unmonitor(n);
        }
        self.leave_what_is_denied(n);
    }
}
