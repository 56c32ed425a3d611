//! What a service waits for at its start: its registration, the clock and the cluster
//! (`wire/communicator.md` sections 3.1 and 8.2).
//!
//! Owns: what is known of both, and the waiting. Does not own when to connect (`turn.rs`).

use std::time::{Duration, Instant};

use chappe_core::dialect::communicator::command::Command;
use chappe_core::dialect::communicator::name::DAEMON;

use super::session::Session;
use super::{Error, Message};

/// Commands that tell of the clock.
const CLOCK: [&str; 2] = ["CLOCK_STABLE", "CLOCK_UNSTABLE"];

/// Commands that tell of the cluster.
const CLUSTER: [&str; 4] = ["CLUSTER_COMPLETE", "CLUSTER_DOWN", "CLUSTER_INCOMPLETE", "CLUSTER_UP"];

/// What to wait for beside `READY`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Needs {
    /// `CLOCK_STABLE`.
    pub clock: bool,
    /// `CLUSTER_UP`.
    pub cluster: bool,
    /// `CLUSTER_COMPLETE` too.
    pub complete: bool,
}

impl Default for Needs {
    /// The clock and the cluster, but not all of it.
    fn default() -> Self {
        Needs { clock: true, cluster: true, complete: false }
    }
}

/// What the daemon has last said of the clock and the cluster. `None`: nothing, on this connection.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Conditions {
    /// The clock can be believed; and how that is known, or why not: `verified`, `no_ntp`,
    /// `checking`, `invalid`.
    pub clock: Option<(bool, String)>,
    /// Enough of the cluster's daemons are connected.
    pub up: Option<bool>,
    /// All are.
    pub complete: Option<bool>,
    /// How many daemons there are, this one too.
    pub neighbors: Option<u32>,
    /// Somebody waits for it, and nobody else has to be told.
    is_waited_for: bool,
}

impl Conditions {
    /// How many daemons are enough.
    pub fn quorum(&self) -> Option<u32> {
        self.neighbors.map(|n| n / 2 + 1)
    }

    pub(super) fn forget(&mut self) {
        *self = Conditions { is_waited_for: self.is_waited_for, ..Conditions::default() };
    }

    /// Whether a message is about this, and need not be handed out.
    pub(super) fn note(&mut self, m: &Message, known: Option<Command>) -> bool {
        let said = |key| m.text(key).unwrap_or_default().into_owned();
        match known {
            Some(Command::ClockStable) => self.clock = Some((true, said("clock_resolution"))),
            Some(Command::ClockUnstable) => self.clock = Some((false, said("clock_error"))),
            Some(Command::ClusterUp) => self.up = Some(true),
            Some(Command::ClusterDown) => self.up = Some(false),
            Some(Command::ClusterComplete) => self.complete = Some(true),
            Some(Command::ClusterIncomplete) => self.complete = Some(false),
            _ => return false,
        }
        if let Some(n) = m.integer("neighbors_count") {
            self.neighbors = u32::try_from(n).ok();
        }
        self.is_waited_for
    }

    /// What is missing, for people.
    fn missing(&self, needs: Needs) -> Vec<String> {
        let mut missing = Vec::new();
        if needs.clock {
            match &self.clock {
                Some((true, _)) => {}
                Some((false, why)) => missing.push(format!("CLOCK_STABLE (the clock is {})", super::error::shown(why))),
                None => missing.push("CLOCK_STABLE (no answer to CLOCK_STATUS)".into()),
            }
        }
        for (wanted, is, name, other) in [
            (needs.cluster, self.up, "CLUSTER_UP", "CLUSTER_DOWN"),
            (needs.complete, self.complete, "CLUSTER_COMPLETE", "CLUSTER_INCOMPLETE"),
        ] {
            match is {
                _ if !wanted => {}
                Some(true) => {}
                Some(false) => missing.push(format!("{name} (the daemon says {other})")),
                None => missing.push(format!("{name} (no answer to CLUSTER_STATUS)")),
            }
        }
        missing
    }
}

impl Session {
    /// What the daemon has last said of the clock and the cluster. It says so unasked to who has
    /// [announced](Session::announce) their commands.
    pub fn conditions(&self) -> &Conditions {
        &self.conditions
    }

    /// Waits until the service is registered and what it needs is there: announces the commands
    /// that tell of it, asks for it on each connection, and waits for answers and news. What else
    /// comes is an event afterwards.
    ///
    /// # Errors
    /// [`Error::Missing`] names what is not there after `timeout`. [`Error::Over`]. Also those of
    /// [`Session::announce`].
    pub fn initialise(&mut self, needs: Needs, timeout: Duration) -> Result<(), Error> {
        let until = Instant::now().checked_add(timeout);
        if needs.clock {
            self.announce(&CLOCK)?;
        }
        if needs.cluster || needs.complete {
            self.announce(&CLUSTER)?;
        }
        self.conditions.is_waited_for = true;
        let result = self.greedily(|session| session.wait_for(needs, timeout, until));
        self.conditions.is_waited_for = false;
        result
    }

    fn wait_for(&mut self, needs: Needs, timeout: Duration, until: Option<Instant>) -> Result<(), Error> {
        let mut asked = None;
        loop {
            if self.ready && asked != Some(self.generation) {
                asked = Some(self.generation);
                if needs.clock {
                    self.send_here("CLOCK_STATUS")?;
                }
                if needs.cluster || needs.complete {
                    self.send_here("CLUSTER_STATUS")?;
                }
            }
            let mut missing = self.conditions.missing(needs);
            if !self.ready {
                missing.insert(0, format!("READY ({})", self.why));
            }
            if missing.is_empty() {
                return Ok(());
            }
            if until.is_some_and(|until| Instant::now() >= until) {
                return Err(Error::Missing { after: timeout, what: missing });
            }
            self.turn(until)?;
        }
    }

    /// Of use on this connection only.
    fn send_here(&mut self, question: &str) -> Result<(), Error> {
        self.put(&Message::new(question).to(DAEMON), crate::lines::Fate::Dropped)?;
        self.write();
        Ok(())
    }
}
