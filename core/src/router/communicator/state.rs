//! The state of the machine: its clock, its cluster of one, its load (sections 4.8 to 4.10).
//!
//! Owns: who is told, and when it has changed. Does not own how the shell finds out.

use super::super::Router;
use crate::dialect::Dialect;
use crate::dialect::communicator::REMOTE_PORT;
use crate::dialect::communicator::number::Timespec;
use crate::dialect::communicator::say::Line;
use crate::time::Instant;
use core::net::{Ipv4Addr, SocketAddr};

/// What is known of the time of day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Clock {
    /// Nothing yet.
    Checking,
    /// It is right. `verified`: something keeps it so; else there is nothing that could say.
    Stable {
        /// By a source of time.
        verified: bool,
    },
    /// It is not kept right.
    Unstable,
}

impl Clock {
    fn line(self) -> Line<'static> {
        match self {
            Clock::Checking => Line::ClockUnstable { checking: true },
            Clock::Stable { verified } => Line::ClockStable { verified },
            Clock::Unstable => Line::ClockUnstable { checking: false },
        }
    }
}

/// Load that is worth a message, in hundredths (section 4.8).
const LOAD_STEP: u32 = 10;

/// How many servers there are in a cluster without links, and how many of them are there.
const ALONE: u32 = 1;

impl Router<'_> {
    /// What the shell knows of the clock. Whoever has announced the message for it is told if
    /// that is new.
    pub fn set_clock(&mut self, now: Instant, clock: Clock) {
        self.clock(now);
        if core::mem::replace(&mut self.communicator.clock, clock) != clock {
            self.tell_announcers(&clock.line(), b".", 0);
            self.reap();
        }
    }

    /// `CLOCK_STATUS`.
    pub(super) fn tell_clock(&mut self, n: u32) {
        let line = self.communicator.clock.line();
        self.tell_line(n, &line, (b"", b""));
    }

    /// `CLUSTER_STATUS`: a server without links is all of its cluster.
    pub(super) fn tell_cluster(&mut self, n: u32) {
        self.tell_line(n, &Line::ClusterUp(ALONE), (b"", b""));
        self.tell_line(n, &Line::ClusterComplete(ALONE), (b"", b""));
    }

    /// Whether anybody wants to be told the load, so that it is worth measuring.
    pub fn wants_load(&self) -> bool {
        self.communicator.load_wanted > 0
    }

    /// The load of the last minute for each processor, in hundredths. Whoever wants to know is
    /// told if it has changed by a tenth or more.
    pub fn set_load(&mut self, now: Instant, hundredths: u32) {
        self.clock(now);
        let before = self.communicator.load;
        if before.is_some_and(|before| before.abs_diff(hundredths) < LOAD_STEP) {
            return;
        }
        self.communicator.load = Some(hundredths);
        if self.communicator.load_wanted > 0 {
            for n in 1..=self.stations.made() {
                if self.stations[n].communicator.wants_load && self.stations[n].lives() {
                    self.tell_load(n, hundredths);
                }
            }
        }
        self.reap();
    }

    /// `REGISTER_FOR_LOADAVG`: it is told what is known, and what is new.
    pub(super) fn wants_load_of(&mut self, n: u32) {
        if !core::mem::replace(&mut self.stations[n].communicator.wants_load, true) {
            self.communicator.load_wanted += 1;
        }
        if let Some(load) = self.communicator.load {
            self.tell_load(n, load);
        }
    }

    /// `UNREGISTER_FROM_LOADAVG`, or its end.
    pub(super) fn forget_load(&mut self, n: u32) {
        debug_assert!(
            !self.stations[n].communicator.wants_load || self.stations[n].session.dialect() == Dialect::Communicator
        );
        if core::mem::take(&mut self.stations[n].communicator.wants_load) {
            self.communicator.load_wanted -= 1;
            if self.communicator.load_wanted == 0 {
                // who comes next is not told what is long over
                self.communicator.load = None;
            }
        }
    }

    fn tell_load(&mut self, n: u32, hundredths: u32) {
        let nobody = SocketAddr::from((Ipv4Addr::LOCALHOST, REMOTE_PORT));
        let my_address = self.settings.communicator.my_address.unwrap_or(nobody);
        let timestamp = Timespec::from_nanos(self.calendar_nanos());
        self.tell_line(n, &Line::Loadavg { hundredths, my_address, timestamp }, (b"", b""));
    }
}
