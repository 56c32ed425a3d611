//! Signals, and questions from other threads: drain, reload, the counters' page.

use chappe_core::dialect::Dialect;
use chappe_core::router::Counter;
use chappe_core::router::store::Keeping;
use chappe_core::time::{Duration, Instant};
use sd_notify::NotifyState;
use tracing::{error, info};

use super::{EventLoop, apply, gather, log_notes};
use crate::config::{Config, Limits};
use crate::daemon::gate::rights;
use crate::daemon::listener::{Door, tls};
use crate::daemon::load;
use crate::daemon::master::Master;
use crate::daemon::memory::longest_frame;
use crate::daemon::metrics::{Row, Snapshot};
use crate::daemon::sign_in::SignIns;
use crate::sys::Signal;

/// How long the disk may take at the end. systemd (`TimeoutStopSec` in chappe.service) waits
/// longer than this and a drain together.
pub(super) const LAST_WRITES: std::time::Duration = std::time::Duration::from_secs(10);

impl EventLoop<'_> {
    pub(super) fn take_signals(&mut self, now: Instant) {
        while let Some(signal) = self.signals.take() {
            match signal {
                Signal::Stop if self.leave_by.is_some() => (self.leave_now, self.told_twice) = (true, true),
                Signal::Stop => self.stop(now),
                Signal::Reload => self.reload(),
            }
        }
    }

    /// A station with the right to do so has asked for the end.
    pub(super) fn take_stop(&mut self, now: Instant) {
        if let Some(id) = self.router.stop_asked() {
            let event = match self.about(id).0 {
                Dialect::Clacks => "clacks.stop",
                Dialect::Communicator => "communicator.stop",
                _ => "msgq.stop",
            };
            let name = self.router.station_name(id);
            info!(event, station = id.number(), name, "a station asks the daemon to stop");
            if self.leave_by.is_none() {
                self.stop(now);
            }
        }
    }

    fn stop(&mut self, now: Instant) {
        let stations = self.peers.open();
        info!(event = "daemon.stopping", stations, within_ms = self.limits.drain_ms, "letting stations go");
        let _ = sd_notify::notify(&[NotifyState::Stopping]);
        self.leave_by = Some(now + Duration::from_millis(self.limits.drain_ms));
        self.router.stop(now);
        // Whoever comes now finds nobody listening, which clients know how to deal with.
        // Datagram sockets still carry last words.
        for listener in &mut self.listeners {
            if matches!(listener.source, Door::Tcp(_) | Door::Unix(..)) {
                listener.source = Door::Closed;
            }
        }
        // Nobody who is not in yet comes in any more, and nobody is called.
        self.handshakes.clear();
        self.master_due(now);
    }

    /// The last that is done: what was changed and is not on disk yet is written. Returns how
    /// many changes could not be until `end`.
    pub(super) fn write_values_out(&mut self, end: std::time::Instant) -> u64 {
        let Some(keeper) = &self.keeper else { return 0 };
        keeper.close();
        // Whoever says it twice does not want to wait for a disk that does not work.
        loop {
            let (left, ended) = keeper.wait(std::time::Duration::from_millis(50));
            self.told_twice |= self.signals.take() == Some(Signal::Stop);
            if ended || self.told_twice || std::time::Instant::now() >= end {
                if left > 0 {
                    error!(event = "store.lost", changes = left, "the disk did not take them, and it is time to go");
                }
                return left;
            }
        }
    }

    /// Reads the configuration in a thread: disks and name servers may take their time. While
    /// they do, however often it is asked for is once more.
    pub(super) fn reload(&mut self) {
        if self.reloading {
            self.reload_again = true;
            return;
        }
        if self.source.is_built_in() {
            return info!(event = "config.unchanged", "there is no file to read: everything stays as it is");
        }
        let _ = sd_notify::notify(&[
            NotifyState::Reloading,
            NotifyState::monotonic_usec_now().unwrap_or(NotifyState::MonotonicUsec(0)),
        ]);
        let (source, done, waker) = (self.source.clone(), self.reloaded.0.clone(), self.waker.clone());
        let thread = std::thread::Builder::new().name("chappe-reload".into()).spawn(move || {
            // Full: another reload is waiting to be taken, which read the same file.
            let _ = done.try_send(source.load());
            let _ = waker.wake();
        });
        match thread {
            Ok(_) => self.reloading = true,
            Err(e) => self.refuse_config(&format!("the configuration cannot be read: {e}")),
        }
    }

    fn refuse_config(&mut self, why: &str) {
        self.counts.reload_failures += 1;
        error!(event = "config.refused", detail = why, "the configuration in force stays as it is");
        let _ = sd_notify::notify(&[NotifyState::Ready]);
    }

    pub(super) fn take_messages(&mut self) {
        if self.keeper.is_some() {
            self.router.stored(self.now);
        }
        self.take_flags(self.now);
        while let Ok(loaded) = self.reloaded.1.try_recv() {
            self.reloading = false;
            let taken = loaded.map_err(|e| e.to_string()).and_then(|config| self.take_config(config));
            match taken {
                Err(why) => self.refuse_config(&why),
                Ok(needs_restart) => {
                    self.counts.reloads += 1;
                    let users = self.users.len();
                    info!(event = "config.reloaded", users, needs_restart, "the new configuration is in force");
                    let _ = sd_notify::notify(&[NotifyState::Ready]);
                }
            }
        }
        if !self.reloading && std::mem::take(&mut self.reload_again) {
            self.reload();
        }
        self.go_on_with_sign_ins(self.now);
        self.take_look_ups(self.now);
        while let Some(reply) = self.asked.as_ref().and_then(|asked| asked.try_recv().ok()) {
            let _ = reply.try_send(self.snapshot());
        }
    }

    /// What can change without a restart does; returns what cannot. An error has changed
    /// nothing.
    fn take_config(&mut self, config: Config) -> Result<String, String> {
        let users = self.users.prepare(&config)?;
        let started = self.source.started();
        let mut settings = self.settings;
        apply(&mut settings, &config, &self.listeners, longest_frame(started));
        self.log.change(&config.log)?;
        // Nothing that the router could refuse is left by the configuration's own checks.
        self.router.set(settings).map_err(|e| format!("the router refuses it: {e:?}"))?;
        self.settings = settings;
        self.users.take(users);
        log_notes(&config);
        for listener in &mut self.listeners {
            let before = listener.entry.and_then(|i| started.listeners.get(i));
            let now = before.and_then(|b| config.listeners.iter().position(|l| l.address == b.address));
            let Some(i) = now else { continue };
            let wanted = &config.listeners[i];
            // Whether it speaks TLS at all is of the kind that needs a restart, and so is what
            // it allows strangers because of that.
            if listener.tls.is_some() != wanted.tls.is_some() {
                continue;
            }
            (listener.tls, listener.is_closed) = tls(Some(wanted));
            listener.rights = rights(&config.anonymous_rights(i, listener.is_local));
        }
        self.gather = gather(&config);
        // The tables were made for what was said at start.
        let stations = config.limits.stations.min(started.limits.stations);
        let rest = load::needs_restart(started, &config);
        self.limits = Limits { stations, ..config.limits };
        // Without an order, which the store has for Net::Clacks, no link could be told values.
        let master = if started.speaks_clacks() { Master::new(&config.clacks.master, self.now) } else { None };
        self.reload_sign_ins();
        self.take_master(self.now, master);
        self.communicator_reloaded(self.now, &config);
        Ok(rest)
    }

    fn snapshot(&self) -> Snapshot {
        let mut rows = Vec::with_capacity(Counter::ALL.len() + 64);
        let counters = self.router.counters();
        let row = |name, help, kind, value| Row { name, label: None, help, kind, value };
        let count = |(name, help, value)| row(name, help, "counter", value);
        rows.extend(Counter::ALL.iter().map(|&c| count((c.name(), c.help(), counters.get(c)))));
        rows.extend(self.counts.each().map(count));
        rows.push(row(
            "log_lines_dropped",
            "log lines that found their queue full, or their file not writable",
            "counter",
            self.log.dropped(),
        ));
        rows.push(row("connections", "connections and datagram sources now", "gauge", self.peers.open() as u64));
        if let Some(keeper) = &self.keeper {
            let (counts, kept) = (keeper.counts(), keeper.kept());
            let store = [
                ("store_commits", "transactions with changes of values that are on disk", counts.commits),
                ("store_rows", "values in those", counts.rows),
                ("store_bytes", "bytes of those", counts.bytes),
                ("store_failures", "transactions that the disk did not take", counts.failures),
                ("store_behind", "times that as many changes waited for the disk as may", counts.behind),
            ];
            rows.extend(store.map(count));
            let works = u64::from(matches!(kept.how, Keeping::Disk));
            rows.push(row("store_unwritten", "changes of values that are not on disk yet", "gauge", kept.waiting));
            rows.push(row(
                "store_works",
                "1 while the disk takes changes of values, 0 while it does not",
                "gauge",
                works,
            ));
        }
        if let Some(flags) = &self.flags {
            let (counts, waiting) = (flags.keeper.counts(), flags.keeper.waiting() as u64);
            let files = [
                ("flag_files_written", "files of flags that were written", counts.written),
                ("flag_files_removed", "files of flags that were removed", counts.removed),
                ("flag_files_found", "files of flags that others have changed", counts.found),
                ("flag_files_bad", "files that were passed over because they are no flags", counts.bad),
                ("flag_files_failures", "times that files of flags could not be written or read", counts.failures),
            ];
            rows.extend(files.map(count));
            let unshown = flags.waiting.len() as u64;
            let works = u64::from(flags.trouble.is_none());
            rows.push(row("flag_files", "flags in files now", "gauge", counts.files));
            rows.push(row("flag_files_unwritten", "changes of flags that are not in files yet", "gauge", waiting));
            rows.push(row("flag_files_unshown", "flags in files that the table has no room for", "gauge", unshown));
            rows.push(row(
                "flag_files_work",
                "1 while flags and their files are in step, 0 while they cannot be",
                "gauge",
                works,
            ));
        }
        let links = self.router.links() as u64;
        rows.push(row("links", "linked servers, the master included", "gauge", links));
        let (up, in_step) = self.master_is();
        rows.push(row("link_up", "1 while this node is linked to its master", "gauge", u64::from(up)));
        let help = "1 while this node is linked to its master and has all of its values";
        rows.push(row("link_synced", help, "gauge", u64::from(in_step)));
        let clock = u64::from(self.communicator.has_stable_clock());
        let help =
            "1 while the time of day is kept right, or the system does not say (no listener of the Communicator: 0)";
        rows.push(row("clock_stable", help, "gauge", clock));
        let open = self.handshakes.len() as u64;
        rows.push(row("tls_handshakes_open", "TLS handshakes that are under way", "gauge", open));
        let waiting = self.sign_ins.as_ref().map_or(0, SignIns::len) as u64;
        rows.push(row("passwords_waiting", "stations whose password is to be looked at", "gauge", waiting));
        let usage = self.router.usage();
        for used in &usage {
            let value = used.used;
            rows.push(Row { label: Some(used.name), ..row("used", "rows of each table in use", "gauge", value) });
        }
        for used in &usage {
            let value = used.limit;
            rows.push(Row { label: Some(used.name), ..row("limit", "rows that each table has", "gauge", value) });
        }
        rows
    }
}
