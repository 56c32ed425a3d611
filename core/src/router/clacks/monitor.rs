//! Who sees what others say (section 8.6 of `wire/clacks.md`).
//!
//! Owns: which lines are shown, and to whom. Costs nothing if nobody looks on.

use super::super::stations::Life;
use super::super::{Counter, Reason, Router};
use super::clients::Id;
use super::{MAX_MONITORS, Place};
use crate::dialect::clacks::emit;
use crate::dialect::clacks::repr::{Command, Line};
use crate::model::Code;
use crate::router::policy::Class;
use core::fmt::Write;

const OVERHEAD: &[u8] = b"OVERHEAD";

/// Whether a line that is no command begins as what may hold a token.
pub(super) fn is_overhead(line: &[u8]) -> bool {
    let word = line.trim_ascii_start();
    word.len() >= OVERHEAD.len() && word[..OVERHEAD.len()].eq_ignore_ascii_case(OVERHEAD)
}

impl Router<'_> {
    /// Shows a line of station `n`: once, and never a token.
    pub(super) fn show(&mut self, n: u32, command: &Command<'_>, line: &[u8]) {
        // whoever begins to look on is shown that first, and whoever ends it is not shown that
        match command {
            Command::Monitor if self.may(n, command.need()) && !self.clacks.monitors.is_full() => self.monitor(n),
            Command::Unmonitor if self.may(n, command.need()) => self.unmonitor(n),
            _ => {}
        }
        let hidden = match command {
            Command::Clacks(_) => true,
            Command::Overhead(o) => o.is_hidden(),
            // a token that was mistyped is one all the same
            Command::Unknown(line) => is_overhead(line),
            _ => false,
        };
        if hidden || self.clacks.monitors.is_empty() || core::mem::replace(&mut self.stations[n].clacks.shown, true) {
            return;
        }
        let id = self.id_of(n);
        self.debug(id.as_bytes(), line);
    }

    pub(super) fn show_connected(&mut self, n: u32) {
        if !self.clacks.monitors.is_empty() {
            let id = self.id_of(n);
            self.debug(b"CONNECTED", id.as_bytes());
        }
    }

    pub(super) fn show_disconnected(&mut self, n: u32) {
        if self.clacks.monitors.is_empty() {
            return;
        }
        let mut text = heapless::String::<160, u8>::new();
        let st = &self.stations[n];
        let lost = if matches!(st.life, Life::Closing(Reason::Lost)) { st.out.len() } else { 0 };
        // there is room for both
        let _ = write!(text, "{} ({lost} bytes discarded from outbuffer)", self.id_of(n).as_str());
        self.debug(b"DISCONNECTED", text.as_bytes());
    }

    /// The master is gone that had locked us.
    pub(super) fn show_unlocked(&mut self, n: u32) {
        if self.clacks.monitors.is_empty() {
            return;
        }
        let mut text = heapless::String::<160, u8>::new();
        let _ = write!(text, "{} (Unlocking interclacks mid-sync)", self.id_of(n).as_str());
        self.debug(b"DISCONNECTED", text.as_bytes());
    }

    /// Says one line to all who look on.
    pub(super) fn debug(&mut self, source: &[u8], text: &[u8]) {
        let Some(len) = emit::line(&Line::Debug { source, text }, self.encode) else {
            return self.counters.one(Counter::DroppedTooBig);
        };
        for i in 0..self.clacks.monitors.len() {
            let to = self.clacks.monitors[i];
            if self.stations[to].life == Life::Ready {
                let _ = self.post(to, len, Class::Certain);
            }
        }
    }

    pub(super) fn monitor(&mut self, n: u32) {
        if self.stations[n].clacks.monitors || self.stations[n].clacks.place != Place::Client {
            return;
        }
        if self.clacks.monitors.push(n).is_err() {
            let mut text = heapless::String::<48, u8>::new();
            let _ = write!(text, "{MAX_MONITORS} connections monitor already");
            return self.refuse(n, 0, Code::Full, &text);
        }
        self.stations[n].clacks.monitors = true;
    }

    pub(super) fn unmonitor(&mut self, n: u32) {
        if core::mem::take(&mut self.stations[n].clacks.monitors)
            && let Some(at) = self.clacks.monitors.iter().position(|m| *m == n)
        {
            self.clacks.monitors.swap_remove(at);
        }
    }

    /// What station `n` is called in lists and to who looks on.
    pub(super) fn id_of(&self, n: u32) -> Id {
        let st = &self.stations[n];
        let dialect = st.session.dialect();
        Id::new(dialect, st.clacks.peer, st.clacks.place, self.calendar(st.connected), self.stations.id(n).number())
    }
}
