//! Signs of life, and the time that stations are given (sections 4.4 and 10 of
//! `wire/clacks.md`).
//!
//! Owns: whose silence counts and what is sent so that ours does not; how long last words may be
//! read; and that a station whose input is held back is heard again. While the node does not
//! hear a station, its silence does not count.

use super::super::stations::Life;
use super::super::{Reason, Router};
use super::{Pause, Place};
use crate::dialect::Dialect;
use crate::dialect::clacks::NOP_AFTER;
use crate::dialect::clacks::repr::{Command, Line};
use crate::time::Instant;

impl Router<'_> {
    pub(super) fn ping(&mut self, n: u32) {
        let st = &mut self.stations[n];
        st.heard = self.now;
        st.clacks.no_ping = false;
        self.arm(n);
    }

    pub(super) fn no_ping(&mut self, n: u32) {
        if self.stations[n].clacks.place != Place::Client {
            // deadly on a link
            return self.doom(n, Reason::Silent);
        }
        self.stations[n].clacks.no_ping = true;
        self.arm(n);
    }

    /// When a station of this dialect has to go, and why.
    pub(in crate::router) fn clacks_limits(&self, n: u32) -> [Option<(Instant, Reason)>; 4] {
        let st = &self.stations[n];
        let set = &self.settings.clacks;
        let (silence, stalled) = match st.clacks.place {
            Place::Client => (set.ping_within, set.stalled_after),
            Place::Link | Place::Master => (set.link_ping_within, set.link_stalled_after),
        };
        let heard = !st.is_paused();
        let silent = if self.clacks.lock == n { self.unlocked_by(silence) } else { st.heard + silence };
        [
            (heard && !st.clacks.no_ping).then_some((silent, Reason::Silent)),
            st.half_since.filter(|_| heard).map(|t| (t + self.settings.frame_within, Reason::Silent)),
            st.full_since.map(|t| (t + self.settings.slow_after, Reason::Slow)),
            st.stalled.map(|t| (t + stalled, Reason::Slow)),
        ]
    }

    /// When station `n` is to be told something only because it has been told nothing.
    pub(in crate::router) fn upkeep_at(&self, n: u32) -> Option<Instant> {
        let st = &self.stations[n];
        if st.session.dialect() != Dialect::Clacks {
            return None;
        }
        Some(match st.clacks.place {
            Place::Client => st.clacks.spoken + NOP_AFTER,
            Place::Link | Place::Master => st.clacks.pinged + self.link_ping_every(),
        })
    }

    /// Tells it, if it is time.
    pub(in crate::router) fn upkeep(&mut self, n: u32) {
        if self.upkeep_at(n).is_none_or(|at| at > self.now) {
            return;
        }
        let st = &mut self.stations[n];
        if st.clacks.place == Place::Client {
            st.clacks.spoken = self.now;
            // what waits for it is more than nothing
            if st.out.is_empty() {
                self.say_line(n, &Line::Nop);
            }
            return;
        }
        st.clacks.pinged = self.now;
        self.say_line(n, &Line::Command(Command::Ping));
    }

    /// Whether a station that was told its last words has to be given time to read them.
    pub(in crate::router) fn clacks_lingers(&self, n: u32) -> bool {
        let st = &self.stations[n];
        let was_told = match st.life {
            Life::Closing(why) => !matches!(why, Reason::Goodbye | Reason::Lost | Reason::NotIntroduced),
            _ => false,
        };
        was_told && st.session.dialect() == Dialect::Clacks && !st.cut && self.gone_by(n) > self.now
    }

    /// Station `n` is not heard for now.
    pub(super) fn pause(&mut self, n: u32, why: u8) {
        self.stations[n].clacks.pause.0 |= why;
        self.arm(n);
    }

    /// One reason less not to hear it.
    pub(super) fn go_on(&mut self, n: u32, why: u8) {
        let st = &mut self.stations[n];
        if st.clacks.pause.0 & why == 0 {
            return;
        }
        st.clacks.pause.0 &= !why;
        if st.clacks.pause.is_any() || !st.lives() {
            return;
        }
        // what it said meanwhile was not heard
        st.heard = self.now;
        if st.half_since.is_some() {
            st.half_since = Some(self.now);
        }
        st.clacks.pause.0 |= Pause::OVER;
        self.stations.enqueue(n);
        self.arm(n);
    }

    /// Station `n` has come up in the queue of those with something to do. `true`: the shell is
    /// to offer again what it did not take from it.
    pub(in crate::router) fn clacks_turn(&mut self, n: u32) -> bool {
        if self.stations[n].clacks.list.is_some() {
            self.list_in_turn(n);
        }
        let st = &mut self.stations[n];
        if st.clacks.pause.0 & Pause::OVER == 0 || st.clacks.pause.is_any() {
            return false;
        }
        st.clacks.pause.0 = 0;
        let goes_on = st.lives();
        // it may have something to write, too
        self.stations.enqueue(n);
        goes_on
    }

    /// All that waits was offered to the shell.
    pub(in crate::router) fn end_of_round(&mut self) {
        self.clacks.round = self.clacks.round.wrapping_add(1);
    }

    /// What is to be done at certain times, whoever is connected.
    pub(in crate::router) fn clacks_due(&mut self) {
        self.sweep_values();
        self.lists_due();
        if let Some((at, who)) = self.clacks.stop
            && at <= self.now
        {
            self.clacks.stop = None;
            self.stop_asked = Some(who);
        }
    }

    pub(in crate::router) fn clacks_deadline(&self) -> Option<Instant> {
        let lists = self.clacks.lists_wait.then_some(self.now);
        [self.sweep_at(), self.clacks.stop.map(|(at, _)| at), lists].into_iter().flatten().min()
    }

    /// A station goes.
    pub(in crate::router) fn end_clacks(&mut self, n: u32) {
        if self.stations[n].session.dialect() != Dialect::Clacks {
            return;
        }
        self.unmonitor(n);
        self.end_link(n);
        self.show_disconnected(n);
        let own = &mut self.stations[n].clacks;
        own.list = None;
        own.pause = Pause(0);
    }
}
