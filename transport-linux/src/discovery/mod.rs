//! Finding a node on the local network without knowing its address, `cdb:`.
//!
//! ```no_run
//! use std::time::Duration;
//! use chappe_linux::discovery::{Schemes, Wanted, find};
//!
//! let found = find(&Wanted::default(), Schemes::ALL, Duration::from_secs(5))?;
//! println!("{} is at {}", found.node, found.ip);
//! # Ok::<(), chappe_linux::discovery::Error>(())
//! ```
//!
//! Whoever is found has only *said* that it is a node: anybody on the network can. Give no
//! secret to it over anything but TLS, with a certificate that is looked at. `docs/discovery.md`
//! has the bytes, the limits and the whole of that argument.
//!
//! Owns: the sockets of the search. Does not own the rules (`chappe_core::discovery`), nor the
//! choice of what to connect to.

mod search;
mod wanted;

pub use chappe_core::discovery::{GROUP, PORT, Ports, Scheme, Schemes};
pub use search::{Search, discover, find};
pub use wanted::Wanted;

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::address::Address;

/// A node that has answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// What it calls itself; letters, digits, `-`, `_` and `.` only.
    pub node: String,
    /// Where its answer came from, and so where it is.
    pub ip: IpAddr,
    /// The interface of this machine that leads there.
    pub interface: String,
    /// What it speaks, at which ports.
    pub ports: Ports,
}

impl Found {
    /// All addresses, as they can be written behind `--connect`.
    pub fn addresses(&self) -> impl Iterator<Item = String> {
        self.ports.iter().map(|(scheme, port)| format!("{}://{}", scheme.name(), SocketAddr::new(self.ip, port)))
    }

    /// Where it speaks the native dialect, with or without TLS.
    pub fn native(&self, tls: bool) -> Option<Address> {
        let host = self.ip.to_string();
        match tls {
            true => self.ports.get(Scheme::Tls).map(|port| Address::Tls { host, port }),
            false => self.ports.get(Scheme::Tcp).map(|port| Address::Tcp { host, port }),
        }
    }
}

/// Why nobody was found.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// Nobody answered in time.
    Nobody {
        /// What was searched for.
        wanted: Wanted,
        /// How long.
        within: Duration,
    },
    /// There is no interface that could be asked on.
    NoInterface(Wanted),
    /// No question could be sent, or no answer read.
    Io(io::Error),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Nobody { wanted, within } => write!(f, "{wanted}: nobody answered within {within:?}"),
            Error::NoInterface(Wanted { interface: Some(name), .. }) => {
                write!(f, "there is no interface `{name}` with a private IPv4 address: see `ip address`")
            }
            Error::NoInterface(_) => f.write_str("this machine has no interface with a private IPv4 address"),
            Error::Io(e) => write!(f, "the local network cannot be asked: {e}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Io(e) => Some(e),
            _ => None,
        }
    }
}
