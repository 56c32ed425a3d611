//! What programs of the Snap! Communicator need of this machine.
//!
//! Owns: datagrams that are messages, whoever sends them; log files and configuration on
//! request; services that the configuration declares; the state of the clock, and the load while
//! somebody wants to know it. Does not own what any of it means: that is the router's.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd};

use chappe_core::dialect::Dialect;
use chappe_core::dialect::communicator::udp::MAX_DATAGRAM;
use chappe_core::id::StationId;
use chappe_core::model::Code;
use chappe_core::router::{Clock, Control, Rights, Transport};
use chappe_core::time::{Duration, Instant};
use mio::unix::SourceFd;
use mio::{Interest, Registry};
use tracing::{debug, error, info, warn};

use super::doors::From;
use super::{CLOCK_JUMPS, EventLoop, second};
use crate::config::Config;
use crate::daemon::listener::Listener;
use crate::daemon::peers::Peer;
use crate::sys::{self, ClockJumps, TimeOfDay};

/// Datagrams that one socket takes in a turn: between them everybody else has one.
const DATAGRAMS: usize = 64;

/// How often the kernel is asked who keeps the clock right. What sets it by a jump is noticed
/// at once.
const CLOCK_EVERY: Duration = Duration::from_secs(30);

/// How often the load is measured. The kernel itself does so every five seconds.
const LOAD_EVERY: Duration = Duration::from_secs(1);

/// What is remembered for it.
#[derive(Debug)]
pub(super) struct Communicator {
    /// Whether anybody may come who speaks this dialect; that does not change.
    is_spoken: bool,
    /// Names that are declared because the configuration says so.
    declared: Vec<String>,
    clock: Clock,
    clock_due: Instant,
    load_due: Instant,
    jumps: Option<ClockJumps>,
    processors: u32,
    /// What may be done by whom of those that are sockets of datagrams.
    signals: HashMap<StationId, Rights>,
    /// When it may be logged again that something was thrown away.
    misheard_log: Instant,
}

impl Communicator {
    pub(super) fn new(listeners: &[Listener], registry: &Registry, now: Instant) -> std::io::Result<Self> {
        // also at a socket that only systemd knows of
        let is_spoken = listeners.iter().any(|l| l.dialect == Dialect::Communicator);
        let jumps = match ClockJumps::new() {
            Ok(jumps) if is_spoken => {
                registry.register(&mut SourceFd(&jumps.as_fd().as_raw_fd()), CLOCK_JUMPS, Interest::READABLE)?;
                Some(jumps)
            }
            // the clock is looked at now and then all the same
            _ => None,
        };
        Ok(Communicator {
            is_spoken,
            declared: Vec::new(),
            clock: Clock::Checking,
            clock_due: now,
            load_due: now,
            jumps,
            processors: sys::processors(),
            signals: HashMap::new(),
            misheard_log: Instant::ZERO,
        })
    }

    /// Whether the clock is kept right: 1 if so, or if nobody can say otherwise.
    pub(super) fn has_stable_clock(&self) -> bool {
        matches!(self.clock, Clock::Stable { .. })
    }
}

/// What clients are told of where other machines reach this node, without TLS and with it.
pub(in crate::daemon) fn addresses(config: &Config, listeners: &[Listener]) -> [Option<SocketAddr>; 2] {
    let streams = listeners.iter().filter(|l| l.dialect == Dialect::Communicator && !l.is_signals());
    config.communicator_addresses(streams.filter_map(|l| Some((l.socket()?, l.tls.is_some()))))
}

impl EventLoop<'_> {
    /// What has to be there before anybody comes.
    pub(super) fn begin_communicator(&mut self, now: Instant, config: &Config) {
        if !self.communicator.is_spoken {
            return;
        }
        self.declare_services(config);
        // A place of its own that nobody can take from it by being there first.
        for i in 0..self.listeners.len() as u16 {
            if self.listeners[usize::from(i)].is_signals() {
                self.signals_station(now, i);
            }
        }
    }

    /// Another configuration is in force.
    pub(super) fn communicator_reloaded(&mut self, now: Instant, config: &Config) {
        if !self.communicator.is_spoken {
            return;
        }
        self.declare_services(config);
        for i in 0..self.listeners.len() as u16 {
            if self.listeners[usize::from(i)].is_signals() {
                self.renew_signals(now, i);
            }
        }
    }

    /// Declares what the configuration says, and no longer what it said before.
    fn declare_services(&mut self, config: &Config) {
        let mut names: Vec<String> = config.communicator.declared().map(str::to_owned).collect();
        names.sort_unstable();
        names.dedup();
        let before = std::mem::take(&mut self.communicator.declared);
        for gone in before.iter().filter(|name| names.binary_search(name).is_err()) {
            self.router.forget_name(gone);
            info!(
                event = "service.forgotten",
                name = gone,
                "it is not declared any more; what waited for it is dropped"
            );
        }
        let mut undeclared = 0u32;
        names.retain(|name| {
            let is_done = self.router.declare_name(name) == Code::Ok;
            undeclared += u32::from(!is_done);
            if is_done && before.binary_search(name).is_err() {
                debug!(event = "service.declared", name, "messages to it wait while it is not there");
            }
            is_done
        });
        if undeclared > 0 {
            warn!(
                event = "service.undeclared",
                services = undeclared,
                "the table of names is full: not all services are declared"
            );
        }
        self.communicator.declared = names;
    }

    /// The station that a socket of datagrams is. `None`: there is no place for it.
    fn signals_station(&mut self, now: Instant, i: u16) -> Option<StationId> {
        let at = self.listeners[usize::from(i)].socket()?;
        if let Some(&id) = self.sources[usize::from(i)].get(&at) {
            return Some(id);
        }
        let grant = self.strangers(i);
        let id = self.admit(now, i, Transport::Datagram, grant, None)?;
        self.communicator.signals.retain(|id, _| self.sources.iter().any(|of| of.values().any(|s| s == id)));
        self.communicator.signals.insert(id, grant.rights);
        self.sources[usize::from(i)].insert(at, id);
        self.peers.insert(id, Peer::Datagram(i, at));
        self.log_opened(id, i, &From::Here, None);
        Some(id)
    }

    /// If another thing may be done by datagrams than before, their station comes anew.
    fn renew_signals(&mut self, now: Instant, i: u16) {
        let rights = self.listeners[usize::from(i)].rights;
        let stations: Vec<StationId> = self.sources[usize::from(i)].values().copied().collect();
        for id in stations {
            if self.communicator.signals.get(&id) != Some(&rights) {
                self.lose(now, id, "other things may be done by datagrams now");
            }
        }
        self.signals_station(now, i);
    }

    /// Messages in datagrams. One that is too long, or that the router throws away, costs
    /// nothing but itself.
    pub(super) fn read_signals(&mut self, now: Instant, i: u16) {
        for _ in 0..DATAGRAMS {
            let Some((n, _)) = self.next_datagram(now, i) else { return };
            if n > MAX_DATAGRAM {
                self.counts.datagrams_too_long += 1;
                continue;
            }
            let Some(id) = self.signals_station(now, i) else {
                self.counts.datagrams_refused += 1;
                continue;
            };
            self.hear_datagram(now, id, n);
        }
        self.push_door(i);
    }

    /// Does what somebody who may has asked for, and says what was thrown away.
    pub(super) fn take_control(&mut self, now: Instant) {
        if !self.communicator.is_spoken {
            return;
        }
        while let Some((what, id)) = self.router.control_asked() {
            let (station, name) = (id.number(), self.router.station_name(id));
            match what {
                Control::LogRotate => {
                    info!(
                        event = "communicator.log_rotate",
                        station, name, "a station asks for log files to be opened anew"
                    );
                    if let Err(e) = self.log.reopen() {
                        error!(event = "log.not_reopened", "the log stays where it was: {e}");
                    }
                }
                Control::Reload => {
                    info!(
                        event = "communicator.reload",
                        station, name, "a station asks for the configuration to be read anew"
                    );
                    self.reload();
                }
            }
        }
        if let Some((id, why)) = self.router.misheard() {
            // One line a second: whoever makes mistakes makes many. Counters have them all.
            if now >= self.communicator.misheard_log {
                self.communicator.misheard_log = now + second();
                let (station, name) = (id.number(), self.router.station_name(id));
                warn!(event = "communicator.misheard", station, name, "what a station said was thrown away: {why}");
            }
        }
    }

    /// Clock and load, when it is their time.
    pub(super) fn watch_machine(&mut self, now: Instant) {
        if !self.communicator.is_spoken {
            return;
        }
        if self.communicator.clock_due <= now {
            self.communicator.clock_due = now + CLOCK_EVERY;
            self.look_at_clock(now);
        }
        if self.router.wants_load() && self.communicator.load_due <= now {
            self.communicator.load_due = now + LOAD_EVERY;
            // Files of procfs are made as they are read: nothing waits for a disk.
            let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
            if let Some(load) = load(&text, self.communicator.processors) {
                self.router.set_load(now, load);
            }
        }
    }

    /// When the next of them is due.
    pub(super) fn machine_deadline(&self) -> Option<Instant> {
        let it = &self.communicator;
        let load = self.router.wants_load().then_some(it.load_due);
        it.is_spoken.then(|| load.map_or(it.clock_due, |load| load.min(it.clock_due)))
    }

    /// Somebody has set the time of day.
    pub(super) fn clock_jumped(&mut self, now: Instant) {
        info!(event = "clock.set", "the time of day was set");
        if let Some(jumps) = &self.communicator.jumps
            && let Err(e) = jumps.arm()
        {
            warn!(event = "clock.unwatched", detail = %e, "that the time of day is set is noticed late from now on");
            self.communicator.jumps = None;
        }
        self.look_at_clock(now);
    }

    fn look_at_clock(&mut self, now: Instant) {
        if let Ok(since_1970) = std::time::UNIX_EPOCH.elapsed() {
            self.router.set_time_of_day(now, since_1970.as_micros() as u64);
        }
        let (clock, state, text) = match sys::time_of_day() {
            TimeOfDay::Kept => (Clock::Stable { verified: true }, "verified", "the clock is kept right"),
            TimeOfDay::NotKept => (Clock::Unstable, "invalid", "nothing keeps the clock right"),
            TimeOfDay::Unknown => {
                let text = "the system does not say who keeps the clock right";
                (Clock::Stable { verified: false }, "no_ntp", text)
            }
        };
        if std::mem::replace(&mut self.communicator.clock, clock) != clock {
            info!(event = "clock.state", state, "{text}");
        }
        self.router.set_clock(now, clock);
    }
}

/// The load of the last minute for each processor in hundredths, from what `/proc/loadavg` says.
fn load(text: &str, processors: u32) -> Option<u32> {
    let (whole, part) = text.split_once(' ')?.0.split_once('.')?;
    let (whole, part): (u32, u32) = (whole.parse().ok()?, part.get(..2)?.parse().ok()?);
    let all = whole.checked_mul(100)?.checked_add(part)?;
    Some((all + processors / 2) / processors)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn load_is_for_each_processor() {
        for (text, processors, want) in [
            ("0.31 0.40 0.50 1/200 12345\n", 1, Some(31)),
            ("3.00 0.40 0.50 1/200 12345\n", 4, Some(75)),
            ("0.03 0.40 0.50 1/200 12345\n", 2, Some(2)),
            ("128.99 1.00 1.00 1/2 3\n", 1, Some(12_899)),
            ("", 1, None),
            ("x", 1, None),
            ("1.2 ", 1, None),
            ("99999999999.00 ", 1, None),
            ("42949672.99 ", 1, None),
        ] {
            assert_eq!(load(text, processors), want, "{text}");
        }
    }
}
