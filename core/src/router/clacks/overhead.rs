//! Flags (section 9 of `wire/clacks.md`): what the steps of a line are to this node.
//!
//! Owns: doing them in order, each if it is permitted; who is denied one is told once, and
//! nothing behind it is done. What flags mean, and what may go on to others, is the dialect's.

use super::super::stations::{Life, Resume};
use super::super::{Reason, Router};
use super::Place;
use crate::dialect::Dialect;
use crate::dialect::clacks::emit;
use crate::dialect::clacks::overhead::{Flags, Speaker, Step};
use crate::dialect::clacks::repr::Overhead;
use crate::router::policy::Class;

impl Router<'_> {
    pub(super) fn speaker(&self, n: u32) -> Speaker {
        match self.stations[n].clacks.place {
            Place::Client => Speaker::Client,
            Place::Link => Speaker::Link,
            Place::Master => Speaker::Master,
        }
    }

    pub(super) fn overhead(&mut self, n: u32, o: &Overhead<'_>) {
        if self.is_refused_by_link(n, o) {
            return self.doom(n, Reason::LinkRefused);
        }
        for step in &o.plan(self.speaker(n)) {
            // who may speak for certain names only may not speak to everybody
            let to_all = matches!(step, Step::Forward { .. }) && self.stations[n].grant.restricted;
            if to_all || !self.may(n, step.need()) {
                return self.deny_line(n);
            }
            match *step {
                Step::Login(token) => self.login(n, token),
                Step::Clock(peer) => self.stations[n].clacks.offset = peer.behind(self.calendar(self.now)),
                Step::Lock(on) => self.lock(n, on),
                Step::ForwardToLinks(flags) => self.forward_flags(n, flags, o.text),
                Step::CloseAll => self.close_all(),
                Step::Shutdown(after) if self.settings.clacks.shutdown => {
                    self.clacks.stop = Some((self.now + after, self.stations.id(n)));
                }
                Step::Shutdown(_) | Step::Refuse => return self.deny_line(n),
                // monitors have seen it
                Step::Error(_) => {}
                Step::Link(true) => self.become_link(n),
                Step::Link(false) if self.stations[n].clacks.place == Place::Link => self.end_link(n),
                // it is none
                Step::Link(false) => {}
                Step::Forward { flags, turn_around } => self.forward_to_all(n, flags, o.text, turn_around),
            }
        }
    }

    /// To every other connection of this dialect that has logged in.
    fn forward_to_all(&mut self, n: u32, flags: Flags, text: &[u8], to_sender: bool) {
        let Some(len) = emit::forwarded(flags, text, self.encode) else { return };
        let first = self.stations[n].resumed().map_or(1, |r| r.after as u32 + 1);
        let all = self.stations.made();
        self.wait_if_short(|router| {
            for to in first..=all {
                let st = &router.stations[to];
                let is_meant = st.life == Life::Ready && st.session.dialect() == Dialect::Clacks;
                if is_meant && (to != n || to_sender) {
                    let _ = router.post(to, len, Class::Certain);
                }
                if router.short {
                    return router.suspend(n, Resume { after: to as u64 - 1, ..Resume::default() });
                }
            }
        });
    }

    fn forward_flags(&mut self, n: u32, flags: Flags, text: &[u8]) {
        if let Some(len) = emit::forwarded(flags, text, self.encode) {
            self.hand_to_links(n, len);
        }
    }

    /// Every connection of this dialect is told to quit; stations of others are none of who
    /// manages this one.
    fn close_all(&mut self) {
        for n in 1..=self.stations.made() {
            if self.stations[n].session.dialect() == Dialect::Clacks {
                self.doom(n, Reason::Dismissed);
            }
        }
    }
}
