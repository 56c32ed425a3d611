//! How a station ends (D6, D7).
//!
//! Owns: the order: memberships, then what it owed and was owed, then presence, then its last
//! words. A station is first *doomed*, wherever that is found, and let go of when the call
//! that found it is through, so that nothing disappears under somebody's hands.

use super::faults::fault;
use super::stations::Life;
use super::{Counter, Reason, Router};
use crate::model::{Change, Closing, Code, ServerToClient};

impl Router<'_> {
    /// Station `n` is to go.
    pub(super) fn doom(&mut self, n: u32, why: Reason) {
        let st = &mut self.stations[n];
        if st.lives() {
            st.life = Life::Doomed(why);
            st.next_doomed = self.doomed;
            self.doomed = n;
        }
    }

    /// Lets go of all who are doomed, whatever waits.
    pub(super) fn reap_all(&mut self) {
        while self.doomed != 0 {
            self.pressed = false;
            self.reap();
        }
        self.pressed = true;
    }

    /// Lets go of all who are doomed, and of whom that dooms. If that leads to much that has
    /// to be written, the rest waits for `next_action`.
    #[inline]
    pub(super) fn reap(&mut self) {
        while self.doomed != 0 && !self.pressed {
            let n = self.doomed;
            let st = &mut self.stations[n];
            self.doomed = core::mem::take(&mut st.next_doomed);
            if let Life::Doomed(why) = st.life {
                self.retire(n, why);
                self.last_words(n, why);
            }
        }
    }

    /// Takes station `n` out of everything but its own row.
    pub(super) fn retire(&mut self, n: u32, why: Reason) {
        self.counters.one(why.counter());
        let st = &mut self.stations[n];
        st.life = Life::Closing(why);
        self.pool.clear(&mut st.stash);

        #[cfg(feature = "msgq")]
        if core::mem::take(&mut st.held) {
            // it has not said a word, and does not know its name: nothing else may come first
            self.pool.clear(&mut st.out);
        }
        #[cfg(feature = "later")]
        {
            st.unverified = None;
        }
        #[cfg(feature = "clacks")]
        self.end_clacks(n);
        if self.stations[n].joins > 0 && fault!(self, PresenceFirst) {
            self.tell(Change::Disconnected, n, 0, 0, why.code());
            self.stations[n].introduced = false;
        }
        #[cfg(feature = "communicator")]
        self.end_communicator(n);
        if self.stations[n].watches > 0 {
            self.watches.clear(&mut self.names, n);
        }
        while self.stations[n].memberships.first != 0 {
            self.end_membership(n, self.stations[n].memberships.first);
        }
        #[cfg(feature = "durable")]
        self.barriers.forget(&mut self.stations, n);
        self.forgive_debts(n, 0);
        self.drop_questions(n);
        self.stop_sniffing(n);
        if self.stations[n].introduced {
            let code = if why == Reason::Goodbye { Code::Ok } else { why.code() };
            self.see_disconnected(n, code);
            self.tell(Change::Disconnected, n, 0, 0, code);
            self.notice(Change::Disconnected, n, 0);
        }
        // from here on, when its end began
        self.stations[n].heard = self.now;
        self.arm(n);
    }

    /// Tells it why, if it can still be told, and asks the shell to write and close.
    fn last_words(&mut self, n: u32, why: Reason) {
        if why != Reason::Goodbye
            && !self.stations[n].cut
            && let Some(len) = self.last_frame(n, why)
        {
            // If there is no memory it learns less, but goes all the same.
            let st = &mut self.stations[n];
            if self.pool.push(&mut st.out, &self.encode[..len]) {
                self.counters.one(Counter::FramesOut);
            }
        }
        self.stations.enqueue(n);
    }

    /// What it is told last, in the encode buffer.
    fn last_frame(&mut self, n: u32, why: Reason) -> Option<usize> {
        #[cfg(feature = "communicator")]
        if let Some(said) = self.last_line(n, why) {
            return said;
        }
        let closing = Closing { code: why.code(), text: why.text() };
        let wording = self.stations[n].session.wording();
        wording.say(self.here(), &ServerToClient::Closing(closing), self.encode)
    }

    /// Gives back the row of a station that was retired.
    pub(super) fn free(&mut self, n: u32) {
        self.wheel.clear(n - 1);
        if fault!(self, LeakBlocks) {
            self.stations[n].out = crate::buffer::pool::Chain::EMPTY;
        }
        #[cfg(feature = "durable")]
        self.mail_written(n, u64::MAX);
        let st = &mut self.stations[n];
        self.pool.clear(&mut st.out);
        self.pool.clear(&mut st.stash);
        self.stations.give(n);
    }
}
