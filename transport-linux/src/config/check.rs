//! What a configuration must fulfil beyond its form.
//!
//! Owns: bounds of numbers and what keys demand of each other. Each finding names its key,
//! so that whoever reads the file can say the line.

use chappe_core::dialect::msgq::MAX_HEADER;
use chappe_core::dialect::msgq::frame::LENGTHS;
use chappe_core::limits::{MAX_STATION_NAME, MAX_TOKEN, MAX_USER, MIN_SILENCE_MS};
use chappe_core::name;
use chappe_core::router::FRAME_MARGIN;

use super::Step::{Index, Key};
use super::{Config, ConfigError, Endpoint, Limits, Listener, MAX_SOCKET_PATH, Msgq, Right, Step, Store, Tls};
use crate::password::Hashed;

/// Shortest secret: what is shorter can be tried out.
pub(super) const MIN_TOKEN: usize = 8;

/// Makes an error of a key's path and a text.
pub(super) type At<'a> = &'a dyn Fn(&[Step<'_>], String) -> ConfigError;

impl Config {
    pub(super) fn check(&self, at: At<'_>) -> Result<(), ConfigError> {
        if self.node.len() > MAX_STATION_NAME || !name::no_controls(&self.node) {
            return Err(at(&[Key("node")], format!("at most {MAX_STATION_NAME} bytes without control characters")));
        }
        self.limits.check(at)?;
        self.msgq.check(at)?;
        self.check_clacks(at)?;
        self.check_communicator(at)?;
        self.store.check(at)?;
        self.check_flags(at)?;
        if self.limits.buffers < u64::from(self.msgq.outbox) {
            let text =
                format!("{} must not be less than msgq.outbox, which is {}", self.limits.buffers, self.msgq.outbox);
            return Err(at(&[Key("limits"), Key("buffers")], text));
        }
        if let Some(address) = self.metrics.listen
            && !address.ip().is_loopback()
        {
            let text = format!("{address} is no loopback address; put a proxy that knows who may look in front of it");
            return Err(at(&[Key("metrics"), Key("listen")], text));
        }
        self.check_users(at)?;
        self.check_discovery(at)?;
        self.check_listeners(at)
    }

    fn check_listeners(&self, at: At<'_>) -> Result<(), ConfigError> {
        if self.listeners.is_empty() {
            return Err(at(
                &[Key("listeners")],
                "the daemon would listen nowhere: leave the key out or name one".into(),
            ));
        }
        for (i, listener) in self.listeners.iter().enumerate() {
            let key = |k| [Key("listeners"), Index(i), Key(k)];
            if self.listeners[..i].iter().any(|l| l.address == listener.address) {
                return Err(at(&key("address"), format!("{} is there twice", listener.address)));
            }
            if let Some(path) = listener.address.path() {
                let size = path.as_os_str().len();
                if size > MAX_SOCKET_PATH {
                    let text =
                        format!("the path has {size} bytes, a socket's may have {MAX_SOCKET_PATH}: choose another");
                    return Err(at(&key("address"), text));
                }
                if self.listeners[..i].iter().any(|l| l.address.path() == Some(path)) {
                    let text = format!("{} is there twice: each dialect needs a socket of its own", path.display());
                    return Err(at(&key("address"), text));
                }
            }
            for (k, said) in [
                ("mode", listener.mode.is_some()),
                ("owner", !listener.owner.is_empty()),
                ("group", !listener.group.is_empty()),
            ] {
                if said && !listener.address.is_file() {
                    return Err(at(&key(k), "only Unix sockets are files: take it away".into()));
                }
            }
            listener.check_tls(i, at)?;
            let Some(place) = listener.address.place() else { continue };
            let addresses =
                place.resolve().map_err(|e| at(&key("address"), format!("`{}` has no address: {e}", place.host)))?;
            let closed = listener.tls.as_ref().is_some_and(Tls::is_closed) || self.wants_secret(&listener.address);
            if self.allow_open || closed || addresses.iter().all(|a| a.ip().is_loopback()) {
                continue;
            }
            if listener.anonymous.as_ref().is_some_and(|rights| !rights.is_empty()) {
                let text = "anyone who reaches this address could use it without credentials; \
                            take this key away, or set allow_open = true if you mean it";
                return Err(at(&key("anonymous"), text.into()));
            }
            if matches!(listener.address, Endpoint::CommunicatorUdp(_)) {
                let text = "other machines reach this address, and nobody can say in datagrams who they are: add a \
                            signal_secret to [communicator], listen on a loopback address, or set allow_open = true if \
                            anyone may use it";
                return Err(at(&key("address"), text.into()));
            }
            if self.users.is_empty() {
                let text = "other machines reach this address and no users are configured: add [[users]] or tls with client_ca, \
                            listen on a loopback address, or set allow_open = true if anyone may use it";
                return Err(at(&key("address"), text.into()));
            }
        }
        Ok(())
    }

    fn check_users(&self, at: At<'_>) -> Result<(), ConfigError> {
        if self.users.len() > usize::from(u16::MAX) {
            return Err(at(&[Key("users")], format!("at most {} users", u16::MAX)));
        }
        for (i, user) in self.users.iter().enumerate() {
            let key = |k| [Key("users"), Index(i), Key(k)];
            if user.name.is_empty() || user.name.len() > MAX_USER || !name::no_controls(&user.name) {
                return Err(at(&key("name"), format!("1 to {MAX_USER} bytes without control characters")));
            }
            if self.users[..i].iter().any(|u| u.name == user.name) {
                return Err(at(&key("name"), format!("`{}` is there twice", user.name)));
            }
            if let Some(hash) = &user.password_hash {
                if user.token.is_some() || user.token_file.is_some() {
                    return Err(at(&key("password_hash"), "there is a token too: take one away".into()));
                }
                Hashed::read(hash.reveal()).map_err(|e| at(&key("password_hash"), e))?;
            }
            if let Some(identity) = &user.certificate {
                if !self.listeners.iter().any(|l| l.tls.as_ref().is_some_and(|tls| tls.client_ca.is_some())) {
                    let text = "no listener asks for certificates: add client_ca to the tls of one";
                    return Err(at(&key("certificate"), text.into()));
                }
                if self.users[..i].iter().any(|u| u.certificate.as_ref() == Some(identity)) {
                    return Err(at(&key("certificate"), "another user has it: they could not be told apart".into()));
                }
            }
            let silent = user.password_hash.is_none() && user.certificate.is_none();
            match (&user.token, &user.token_file) {
                (None, None) if silent && user.peer_users.is_empty() && user.peer_groups.is_empty() => {
                    let text = "nothing says how to know them: \
                                add token, token_file, password_hash, certificate, peer_users or peer_groups";
                    return Err(at(&[Key("users"), Index(i)], text.into()));
                }
                (None, None) => {}
                (Some(_), Some(_)) => return Err(at(&key("token_file"), "there is a token too: take one away".into())),
                (Some(token), None) if !is_good_token(token.reveal()) => {
                    return Err(at(&key("token"), format!("must have {MIN_TOKEN} to {MAX_TOKEN} bytes")));
                }
                (Some(_), None) => {}
                (None, Some(file)) => {
                    let text = std::fs::read_to_string(file.as_path())
                        .map_err(|e| at(&key("token_file"), format!("{file} cannot be read: {e}")))?;
                    if !is_good_token(trim_token(&text)) {
                        return Err(at(&key("token_file"), format!("must hold {MIN_TOKEN} to {MAX_TOKEN} bytes")));
                    }
                }
            }
            if user.names.as_ref().is_some_and(Vec::is_empty) {
                return Err(at(&key("names"), "empty: leave the key out for all names, or name some".into()));
            }
            for (n, pattern) in user.names.iter().flatten().enumerate() {
                let path = [Key("users"), Index(i), Key("names"), Index(n)];
                if !name::is_valid(pattern) {
                    return Err(at(&path, "is no name: 1 to 128 bytes without control characters".into()));
                }
                let stem = if name::is_pattern(pattern) { &pattern[..pattern.len() - 1] } else { pattern };
                if stem.contains('*') {
                    let text = format!("`{pattern}` is no pattern: a `*` stands alone, or at the end as `::*` or `/*`");
                    return Err(at(&path, text));
                }
            }
        }
        Ok(())
    }

    /// What an anonymous station may do on listener `i`. Where the configuration says
    /// nothing: read and write where only this machine reaches the listener or strangers
    /// are welcome (`allow_open`), and nothing elsewhere.
    pub fn anonymous_rights(&self, i: usize, is_local: bool) -> Vec<Right> {
        let Listener { anonymous, address, .. } = &self.listeners[i];
        match anonymous.clone().or_else(|| self.communicator_rights(address)) {
            Some(rights) => rights,
            None if is_local || self.allow_open => Self::strangers_rights(),
            None => Vec::new(),
        }
    }

    /// What strangers may do where they are welcome and nothing more is said.
    pub fn strangers_rights() -> Vec<Right> {
        vec![Right::Read, Right::Write]
    }
}

/// Checks a number against the least and the most that it may be.
pub(super) fn bounds(at: At<'_>, path: &[Step<'_>], value: u32, least: u32, most: u32) -> Result<(), ConfigError> {
    if value < least {
        return Err(at(path, format!("{value} is too small: at least {least}")));
    }
    if value > most {
        return Err(at(path, format!("{value} is too large: at most {most}")));
    }
    Ok(())
}

/// Checks an outbox for lines: one more must fit when half of it is used, because what may not be
/// missed cannot be dropped. `beside`: octets that a line of `max_line` may take more. `usual`: the
/// outbox of who has said nothing.
pub(super) fn holds_lines(
    at: At<'_>,
    section: &str,
    (outbox, usual): (u32, u32),
    max_line: u32,
    beside: usize,
) -> Result<(), ConfigError> {
    let needed = 2 * (u64::from(max_line) + beside as u64);
    if u64::from(outbox) >= needed {
        return Ok(());
    }
    // Of two keys that do not go together, the one that somebody wrote is to blame.
    let (key, text) = if outbox == usual {
        let text = format!(
            "{max_line} needs a larger outbox than the usual {outbox}, for two of the longest lines: add outbox = {needed} \
             at least"
        );
        ("max_line", text)
    } else {
        let text = format!(
            "{outbox} must not be less than two of the longest lines and some octets more, 2 * (max_line + {beside}), \
             which is {needed}"
        );
        ("outbox", text)
    };
    Err(at(&[Key(section), Key(key)], text))
}

/// The secret in a file's text.
pub(crate) fn trim_token(text: &str) -> &str {
    text.strip_suffix('\n').map_or(text, |t| t.strip_suffix('\r').unwrap_or(t))
}

fn is_good_token(token: &str) -> bool {
    (MIN_TOKEN..=MAX_TOKEN).contains(&token.len())
}

impl Limits {
    fn check(&self, at: At<'_>) -> Result<(), ConfigError> {
        let day = 86_400_000;
        let mib = 1 << 20;
        let bounds: [(&str, u64, u64, u64); 28] = [
            ("stations", self.stations.into(), 1, crate::daemon::MAX_STATIONS as u64),
            ("datagram_stations", self.datagram_stations.into(), 0, self.stations.into()),
            ("descriptors", self.descriptors.into(), 0, 1 << 30),
            ("max_frame", self.max_frame.into(), 512, crate::daemon::MAX_FRAME as u64),
            ("outbox", self.outbox.into(), 4096, 256 * mib),
            ("buffers", self.buffers, mib, 1 << 40),
            ("values", self.values, 64 * 1024, 1 << 38),
            ("value_rows", self.value_rows.into(), 16, crate::daemon::MAX_VALUES as u64),
            ("max_value", self.max_value.into(), 16, crate::daemon::MAX_FRAME as u64),
            ("hello_within_ms", self.hello_within_ms.into(), 100, day),
            ("silence_ms", self.silence_ms.into(), MIN_SILENCE_MS.into(), day),
            ("max_silence_ms", self.max_silence_ms.into(), MIN_SILENCE_MS.into(), day),
            ("slow_after_ms", self.slow_after_ms.into(), 10, day),
            ("frame_within_ms", self.frame_within_ms.into(), 100, day),
            ("linger_ms", self.linger_ms.into(), 10, day),
            ("ask_ms", self.ask_ms.into(), 1, day),
            ("max_ask_ms", self.max_ask_ms.into(), 1, day),
            ("keep_ms", self.keep_ms.into(), 1, 49 * day),
            ("max_keep_ms", self.max_keep_ms.into(), 1, 49 * day),
            ("flush_ms", self.flush_ms.into(), 10, day),
            ("page", self.page.into(), 1, 10_000),
            ("joins", self.joins.into(), 1, 1 << 30),
            ("asks", self.asks.into(), 1, 1 << 30),
            ("watches", self.watches.into(), 1, 1 << 30),
            ("flushes", self.flushes.into(), 1, 1 << 30),
            ("strikes", self.strikes.into(), 1, 255),
            ("drain_ms", self.drain_ms.into(), 0, day),
            ("backlog", self.backlog.into(), 1, 1 << 20),
        ];
        for (key, value, least, most) in bounds {
            let path = [Key("limits"), Key(key)];
            if value < least {
                return Err(at(&path, format!("{value} is too small: at least {least}")));
            }
            if value > most {
                return Err(at(&path, format!("{value} is too large: at most {most}")));
            }
        }
        let unsaid = Limits::default();
        for (key, most, if_unsaid, other, more, usual) in [
            ("max_silence_ms", self.max_silence_ms, unsaid.max_silence_ms, "silence_ms", "", self.silence_ms),
            ("max_ask_ms", self.max_ask_ms, unsaid.max_ask_ms, "ask_ms", "", self.ask_ms),
            ("max_keep_ms", self.max_keep_ms, unsaid.max_keep_ms, "keep_ms", "", self.keep_ms),
            (
                "outbox",
                self.outbox,
                unsaid.outbox,
                "max_frame",
                " and 64 bytes more",
                self.max_frame.saturating_add(FRAME_MARGIN as u32),
            ),
            (
                "max_frame",
                self.max_frame,
                unsaid.max_frame,
                "max_value",
                " and 256 bytes for its name",
                self.max_value.saturating_add(256),
            ),
        ] {
            if most < usual {
                // Of two keys that do not go together, the one that somebody wrote is to blame.
                if most == if_unsaid {
                    let text = format!("needs a larger {key} than the usual {most}: add {key} = {usual} at least");
                    return Err(at(&[Key("limits"), Key(other)], text));
                }
                let text = format!("{most} must not be less than {other}{more}, which is {usual}");
                return Err(at(&[Key("limits"), Key(key)], text));
            }
        }
        if self.buffers < u64::from(self.outbox) {
            let text = format!("{} must not be less than outbox, which is {}", self.buffers, self.outbox);
            return Err(at(&[Key("limits"), Key("buffers")], text));
        }
        Ok(())
    }
}

impl Store {
    fn check(&self, at: At<'_>) -> Result<(), ConfigError> {
        for (key, value, least, most) in [
            ("write_within_ms", self.write_within_ms.into(), 0, 86_400_000),
            // the longest value must fit, and some more
            ("queue", self.queue, 4 << 20, 1 << 32),
            ("removals_kept_s", self.removals_kept_s.into(), 1, 31_536_000),
        ] {
            let path = [Key("store"), Key(key)];
            if value < least {
                return Err(at(&path, format!("{value} is too small: at least {least}")));
            }
            if value > most {
                return Err(at(&path, format!("{value} is too large: at most {most}")));
            }
        }
        Ok(())
    }
}

impl Msgq {
    /// Octets of the longest frame with this limit.
    pub(crate) fn max_frame(&self) -> usize {
        LENGTHS + MAX_HEADER + self.max_body as usize
    }

    fn check(&self, at: At<'_>) -> Result<(), ConfigError> {
        let mib = 1 << 20;
        let needed = (self.max_frame() + FRAME_MARGIN) as u64;
        for (key, value, least, most) in [
            ("max_body", self.max_body, 65_536, 64 * mib),
            ("outbox", self.outbox, 2 * mib, 256 * mib),
            ("stalled_after_ms", self.stalled_after_ms, 10, 86_400_000),
        ] {
            let path = [Key("msgq"), Key(key)];
            if value < least {
                return Err(at(&path, format!("{value} is too small: at least {least}")));
            }
            if value > most {
                return Err(at(&path, format!("{value} is too large: at most {most}")));
            }
        }
        // One more must fit when half of it is used: what may not be missed cannot be dropped.
        if u64::from(self.outbox) < 2 * needed {
            // Of two keys that do not go together, the one that somebody wrote is to blame.
            if self.outbox == Msgq::default().outbox {
                let text = format!(
                    "{} needs a larger outbox than the usual {}, for two of the longest frames: add outbox = {} at least",
                    self.max_body,
                    self.outbox,
                    2 * needed
                );
                return Err(at(&[Key("msgq"), Key("max_body")], text));
            }
            let text = format!(
                "{} must not be less than two frames of the longest kind, which has {needed} bytes: max_body, \
                 {MAX_HEADER} for the header and {} more",
                self.outbox,
                LENGTHS + FRAME_MARGIN
            );
            return Err(at(&[Key("msgq"), Key("outbox")], text));
        }
        Ok(())
    }
}
