//! Lists in one piece, however long (sections 8.4, 8.5 and 12.2 of `wire/clacks.md`).
//!
//! Owns: that a list is written as its reader takes it, never more than [`ROOM`] octets ahead, and
//! however fast that is goes on once a round, so that the shell hears others in between; and
//! that a client's next line is heard behind its end. Rows that come and go meanwhile are
//! shown or not; all that are there from its beginning to its end are shown once.

use super::super::Router;
use super::{List, Pause};
use crate::dialect::clacks::emit;
use crate::dialect::clacks::repr::{Command, Line, Overhead};

/// Octets that may wait for its reader.
const ROOM: usize = 64 * 1024;

/// Rows that are looked at before others have their turn.
const ROWS: usize = 512;

impl Router<'_> {
    /// Begins a list for station `n`.
    pub(super) fn begin_list(&mut self, n: u32, list: List) {
        let own = &mut self.stations[n].clacks;
        let is_link = matches!(own.list, Some(List::Store | List::Reply));
        if is_link && matches!(list, List::Keys | List::Clients) {
            // a link hears all the time, so it may want a list within the other
            self.pause(n, Pause::LIST);
            return self.hear_again();
        }
        own.list = Some(list);
        own.cursor.clear();
        match list {
            List::Keys => self.say_line(n, &Line::KeyListStart),
            List::Clients => self.say_line(n, &Line::ClientListStart),
            List::Store | List::Reply => {
                let now = self.calendar(self.now);
                let len = emit::clock(now, self.encode);
                self.say_owed(n, len);
            }
        }
        if matches!(list, List::Keys | List::Clients) {
            self.pause(n, Pause::LIST);
        }
        self.list_on(n);
    }

    /// Goes on with it, unless it has had its share of this round: then when the shell comes
    /// back from whatever else there is.
    pub(super) fn list_in_turn(&mut self, n: u32) {
        let round = self.clacks.round;
        if core::mem::replace(&mut self.stations[n].clacks.listed, round) == round {
            self.clacks.lists_wait = true;
            return;
        }
        self.list_on(n);
    }

    /// The shell has come back: lists that wait go on.
    pub(super) fn lists_due(&mut self) {
        if !core::mem::take(&mut self.clacks.lists_wait) {
            return;
        }
        for n in 1..=self.stations.made() {
            if self.stations[n].clacks.list.is_some() {
                self.stations.enqueue(n);
            }
        }
    }

    /// As much more of it as there is room for.
    fn list_on(&mut self, n: u32) {
        for row in 0..ROWS {
            let st = &self.stations[n];
            // each look for clients is one at all of them
            if row > 0 && st.clacks.list == Some(List::Clients) {
                break;
            }
            let Some(list) = st.clacks.list.filter(|_| st.lives()) else { return };
            if st.out.len() >= ROOM {
                // its transport takes some of it first
                return;
            }
            let goes_on = match list {
                List::Clients => self.list_clients(n),
                List::Keys | List::Store | List::Reply => self.list_key(n, list),
            };
            if !goes_on {
                self.stations[n].clacks.list = None;
                self.end_of_list(n, list);
                return;
            }
        }
        self.stations.enqueue(n);
    }

    fn end_of_list(&mut self, n: u32, list: List) {
        match list {
            List::Keys => self.say_line(n, &Line::KeyListEnd),
            List::Clients => self.say_line(n, &Line::ClientListEnd),
            List::Store => {
                self.say_line(n, &Line::Overhead(Overhead { flags: b"L", text: b"0" }));
                self.say_line(n, &Line::Command(Command::Ping));
            }
            List::Reply => {}
        }
        self.go_on(n, Pause::LIST);
    }
}
