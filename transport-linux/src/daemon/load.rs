//! From files and arguments to one configuration that has been checked.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use chappe_core::dialect::communicator::name::of_server;
use chappe_core::limits::MAX_NAME;

use super::args::Overrides;
use super::memory::{longest_frame, longest_value};
use crate::config::{Config, ConfigError, DEFAULT_FILE, Endpoint, Listener};

/// Where the configuration comes from: the same at start and at each reload.
#[derive(Debug, Clone)]
pub(super) struct Source {
    file: Option<PathBuf>,
    overrides: Overrides,
    /// Given by the program; nothing is read.
    built_in: Option<Arc<Config>>,
    /// What was in force at start, for what cannot change.
    started: Arc<Config>,
}

impl Source {
    pub(super) fn new(file: Option<PathBuf>, overrides: Overrides) -> Self {
        Source { file, overrides, built_in: None, started: Arc::default() }
    }

    /// Always this one, which has been checked.
    pub(super) fn built_in(config: Config) -> Self {
        Source { built_in: Some(Arc::new(config)), ..Source::new(None, Overrides::default()) }
    }

    /// Whether the program gave it, so that there is nothing to read again.
    pub(super) fn is_built_in(&self) -> bool {
        self.built_in.is_some()
    }

    /// The file that is read: the one named, or the usual one if it is there.
    pub(super) fn file(&self) -> Option<&Path> {
        if self.is_built_in() {
            return None;
        }
        let usual = Path::new(DEFAULT_FILE);
        self.file.as_deref().or_else(|| usual.exists().then_some(usual))
    }

    /// Reads and checks everything.
    pub(super) fn load(&self) -> Result<Config, ConfigError> {
        let mut config = match (&self.built_in, self.file()) {
            (Some(config), _) => Config::clone(config),
            (None, Some(file)) => Config::read(file, |config| self.overrides.apply(config))?,
            (None, None) => Config::parse(None, "", |config| self.overrides.apply(config))?,
        };
        if config.node.is_empty() {
            config.node = host_name();
        }
        if config.communicator.server.is_empty() {
            let mut spare = [0; MAX_NAME];
            let name = of_server(b"", host_name().as_bytes(), &mut spare);
            config.communicator.server = String::from_utf8_lossy(name).into_owned();
        }
        Ok(config)
    }

    /// Remembers what was in force at start.
    pub(super) fn started_with(&mut self, config: &Config) {
        self.started = Arc::new(config.clone());
    }

    /// What was in force at start.
    pub(super) fn started(&self) -> &Config {
        &self.started
    }
}

/// The keys of `now` that differ from those at start and need another start to take effect,
/// for the log: separated by commas, empty if there are none.
pub(super) fn needs_restart(started: &Config, now: &Config) -> String {
    let places = |c: &Config| {
        c.listeners
            .iter()
            .map(|l| (l.address.clone(), l.mode, l.owner.clone(), l.group.clone(), l.tls.is_some()))
            .collect::<Vec<_>>()
    };
    let (old, new) = (&started.limits, &now.limits);
    let changed = [
        ("node", started.node != now.node),
        ("listeners", places(started) != places(now)),
        ("metrics", started.metrics != now.metrics),
        ("discovery", started.discovery != now.discovery),
        ("store", started.store != now.store),
        ("flags", started.flags != now.flags),
        ("log.format", started.log.format != now.log.format),
        ("limits.stations", new.stations > old.stations),
        ("limits.descriptors", new.descriptors != old.descriptors),
        ("limits.backlog", new.backlog != old.backlog),
        ("limits.buffers", new.buffers != old.buffers),
        ("limits.values", new.values != old.values),
        ("limits.value_rows", new.value_rows != old.value_rows),
        ("limits.max_value", new.max_value as usize > longest_value(started)),
        ("msgq.max_body", now.msgq.max_frame() > longest_frame(started)),
        ("clacks.master", now.clacks.master.address.is_some() && !started.speaks_clacks()),
        ("clacks.max_value", now.clacks.longest_value() as usize > longest_value(started)),
        ("clacks.max_line", now.clacks.max_line as usize > longest_frame(started)),
        ("communicator.max_line", now.communicator.longest_frame() > longest_frame(started)),
    ];
    changed.into_iter().filter_map(|(key, is_new)| is_new.then_some(key)).collect::<Vec<_>>().join(", ")
}

impl Overrides {
    /// Arguments win over the file.
    fn apply(&self, config: &mut Config) {
        if !self.listen.is_empty() {
            let named = std::mem::take(&mut config.listeners);
            // What the file says about an address stays with it.
            let about = |address: &Endpoint| named.iter().find(|l| l.address == *address).cloned();
            config.listeners =
                self.listen.iter().map(|a| about(a).unwrap_or_else(|| Listener::at(a.clone()))).collect();
        }
        if let Some(node) = &self.node {
            config.node.clone_from(node);
        }
        config.allow_open |= self.allow_open;
        config.metrics.listen = self.metrics.or(config.metrics.listen);
        config.log.format = self.log_format.unwrap_or(config.log.format);
        config.log.level = self.log_level.unwrap_or(config.log.level);
    }
}

/// The host's name, as far as it may be a station's.
pub(crate) fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = name.trim();
    let name: String = name.chars().filter(|c| !c.is_control()).take(48).filter(char::is_ascii).collect();
    if name.is_empty() { "chappe".into() } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Level, Right};

    #[test]
    fn arguments_win_over_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("c.toml");
        std::fs::write(
            &file,
            "node='x'\n[log]\nlevel='debug'\n[[listeners]]\naddress='unix:///a/b'\nanonymous=['read']\n",
        )
        .unwrap();
        let overrides = Overrides {
            listen: vec!["unix:///a/b".parse().unwrap(), "tcp://127.0.0.1:1".parse().unwrap()],
            node: Some("y".into()),
            ..Overrides::default()
        };
        let config = Source::new(Some(file), overrides).load().unwrap();
        assert_eq!((config.node.as_str(), config.log.level), ("y", Level::Debug));
        assert_eq!(config.listeners[0].anonymous, Some(vec![Right::Read]));
        assert_eq!((config.listeners.len(), &config.listeners[1].anonymous), (2, &None));
    }

    #[test]
    fn what_needs_a_restart_is_named() {
        let started = Config::default();
        let mut now = started.clone();
        assert_eq!(needs_restart(&started, &now), "");
        now.limits.outbox *= 2;
        now.limits.max_value *= 2;
        now.msgq = crate::config::Msgq { max_body: 65_536, outbox: 8 << 20, stalled_after_ms: 50, allow_stop: true };
        now.clacks = crate::config::Clacks {
            max_line: 4096,
            max_value: 1000,
            ping_within_ms: 600_000,
            stale_after_ms: 1,
            allow_shutdown: true,
            link_user: "east".into(),
            ..started.clacks.clone()
        };
        now.communicator = crate::config::Communicator {
            server: "other".into(),
            max_line: 4096,
            echo: true,
            services: vec!["x".into()],
            ..started.communicator.clone()
        };
        now.listeners[0].anonymous = None;
        assert_eq!(needs_restart(&started, &now), "", "these take effect at once");
        now.discovery.interfaces.push("lo".into());
        assert_eq!(needs_restart(&started, &now), "discovery");
        now.discovery = started.discovery.clone();
        now.listeners.pop();
        now.limits.buffers *= 2;
        now.msgq.max_body = started.msgq.max_body + 1;
        now.clacks.max_line = started.clacks.max_line + 1;
        let named = "listeners, limits.buffers, clacks.max_line";
        assert_eq!(needs_restart(&started, &now), named, "the longest line makes room for a longer body");
        now.msgq.max_body = started.clacks.max_line;
        assert!(needs_restart(&started, &now).contains("msgq.max_body"));
        now.communicator.max_line = started.clacks.max_line;
        assert!(needs_restart(&started, &now).contains("communicator.max_line"));
        now.clacks.max_value = started.clacks.max_value + 1;
        now.limits.max_value = started.clacks.max_value + 1;
        let named = needs_restart(&started, &now);
        assert!(named.contains("limits.max_value, ") && named.contains(", clacks.max_value, "), "{named}");
        // Nothing of Net::Clacks was there, so the store has no order.
        let mut started = Config::default();
        started.listeners.truncate(1);
        let mut now = started.clone();
        now.clacks.master.address = "clacks:///m".parse().ok();
        assert_eq!(needs_restart(&started, &now), "clacks.master");
        assert_eq!(needs_restart(&Config::default(), &Config { listeners: Config::default().listeners, ..now }), "");
    }

    #[test]
    fn arguments_are_checked_like_the_file() {
        let overrides = Overrides { listen: vec!["tcp://0.0.0.0:1".parse().unwrap()], ..Overrides::default() };
        let error = Source::new(Some("/dev/null".into()), overrides.clone()).load().unwrap_err();
        assert!(error.to_string().contains("allow_open"), "{error}");
        let open = Overrides { allow_open: true, ..overrides };
        assert!(Source::new(Some("/dev/null".into()), open).load().is_ok());
    }
}
