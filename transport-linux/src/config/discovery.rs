//! `[discovery]`: where this node answers who searches for it.
//!
//! Owns: its keys, their defaults and bounds. Does not own what is answered, which is
//! `chappe_core::discovery`, nor the sockets (`daemon::discovery`).

use chappe_core::discovery::PORT;
use serde::{Deserialize, Serialize};

use super::Config;
use super::Step::{Index, Key};
use super::check::At;
use crate::config::{ConfigError, Endpoint};

/// Most interfaces: each is a socket.
const MAX_INTERFACES: usize = 16;

/// Octets of the longest name of an interface that Linux has (IFNAMSIZ less its end).
pub(crate) const MAX_INTERFACE: usize = 15;

/// Where this node can be found by those who do not know its address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Discovery {
    /// Names of network interfaces on which questions are answered; empty: none.
    pub interfaces: Vec<String>,
    /// The UDP port; 0: any free one, and the log says which.
    pub port: u16,
}

impl Default for Discovery {
    fn default() -> Self {
        Discovery { interfaces: Vec::new(), port: PORT }
    }
}

/// Whether Linux could have an interface of this name.
pub(crate) fn is_interface(name: &str) -> bool {
    let is_plain = |b: u8| b.is_ascii_graphic() && !matches!(b, b'/' | b':');
    (1..=MAX_INTERFACE).contains(&name.len()) && name.bytes().all(is_plain) && !matches!(name, "." | "..")
}

impl Config {
    pub(super) fn check_discovery(&self, at: At<'_>) -> Result<(), ConfigError> {
        let all = &self.discovery.interfaces;
        if all.len() > MAX_INTERFACES {
            let text = format!("at most {MAX_INTERFACES} interfaces");
            return Err(at(&[Key("discovery"), Key("interfaces")], text));
        }
        for (i, name) in all.iter().enumerate() {
            let key = [Key("discovery"), Key("interfaces"), Index(i)];
            if !is_interface(name) {
                let text = format!("`{name}` is no interface: write its name as `ip link` shows it, like \"eth0\"");
                return Err(at(&key, text));
            }
            if all[..i].contains(name) {
                return Err(at(&key, format!("`{name}` is there twice")));
            }
        }
        Ok(())
    }

    /// What is worth a warning.
    pub(super) fn discovery_notes(&self) -> Option<String> {
        let has_port = |address: &Endpoint| address.place().is_some();
        let is_idle = !self.discovery.interfaces.is_empty() && !self.listeners.iter().any(|l| has_port(&l.address));
        is_idle.then(|| {
            "discovery.interfaces: nobody is answered, as no listener has a port: add one, like tls://HOST".to_owned()
        })
    }
}
