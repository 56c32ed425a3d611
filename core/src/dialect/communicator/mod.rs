//! The dialect of the Snap! Communicator and its event dispatcher (`wire/communicator.md`):
//! lines of a source, a destination, a command and named parameters.
//!
//! | file | owns |
//! |---|---|
//! | `session.rs` | one connection: its stream cut into lines, each understood |
//! | `frame.rs` | where a line ends |
//! | `repr.rs` | a message, its parameters, and why something is none |
//! | `parse.rs` | a line or datagram to a message: the string form |
//! | `json.rs` | the same of the JSON form |
//! | `text.rs` | quotes and escapes: a piece as it is written, and the octets it means |
//! | `emit.rs` | a message to a line, a datagram or JSON; what cannot be written |
//! | `name.rs` | names and commands, names and verbs of the bus |
//! | `command.rs` | the commands of the page, who understands them, who has announced them |
//! | `schema.rs` | which parameters they have |
//! | `params.rs` | what clients say to the server, read |
//! | `say.rs` | what a server or client says of its own accord |
//! | `route.rs` | whom a message is for, what becomes of it, what its sender is told |
//! | `cache.rs` | how long a message waits |
//! | `udp.rs` | datagrams: size, secret, what is refused |
//! | `number.rs` | numbers, points in time, spans of time |
//! | `address.rs` | addresses of servers, networks, lists of neighbours |
//! | `base64.rs` | bytes that are no text |
//! | `translate.rs` | messages of this dialect, letters and answers of the model |
//! | `words.rs` | what the router says to a station of this dialect, and of others what it has heard here |
//!
//! Nothing here has a state but the finder of lines. What the node does about messages is in
//! `router/communicator`; what was chosen, and why, in `docs/notes/2026-11-21-communicator-dialect.md`
//! and `-router.md`.
//!
//! Not supported, on purpose:
//!
//! * Lines without limit, and more than 64 parameters in a message: everything here has a
//!   limit.
//! * Services and commands whose names are illegal. The parser takes them, as the page wants;
//!   whoever acts on them refuses them, with a reason (weak points W3 and W6).
//! * A value with a `;` and a backslash at its end, in the string form (W1): it is not written.
//! * Links: messages of daemons to each other are read (`params.rs`, `address.rs`), and refused by
//!   the router. Those two, and `route::Fate::Relay`, are where links will begin.

pub mod address;
mod base64;
pub mod cache;
pub mod command;
pub mod emit;
pub mod frame;
mod json;
pub mod name;
pub mod number;
pub mod params;
pub mod parse;
pub mod repr;
pub mod route;
pub mod say;
pub mod schema;
pub(crate) mod session;
pub mod text;
pub mod translate;
pub mod udp;
#[cfg(test)]
mod vectors;
pub mod words;

use crate::time::Duration;
use core::fmt;
use core::net::SocketAddr;

/// How the node treats stations of this dialect.
#[derive(Clone, Copy)]
pub struct Settings<'s> {
    /// What this server is called: a legal name, see [`name::of_server`].
    pub server: &'s str,
    /// The address that other servers would use, which clients are told when they register.
    pub my_address: Option<SocketAddr>,
    /// Addresses of listeners for other machines, without TLS and with it (`PUBLIC_IP`).
    pub public: Option<SocketAddr>,
    /// The same with TLS.
    pub secure: Option<SocketAddr>,
    /// Longest line taken, in octets with its LF. At most the length of the storage's frame
    /// buffers less 64 and [`MAX_SOURCE`].
    pub max_line: usize,
    /// Octets that may wait for one station before it is closed as slow. At least twice
    /// `max_line`, because none of its messages is dropped.
    pub outbox: usize,
    /// How long a station may take nothing of what waits for it before it is closed.
    pub stalled_after: Duration,
    /// How messages are written. What cannot be written as JSON is written as text.
    pub form: emit::Form,
    /// Whether the sender of a broadcast hears it too if it has announced the command, as the
    /// original has it (weak point W33).
    pub echo: bool,
    /// What datagrams must bring along (section 5.5). Empty: anything goes.
    pub secret: &'s [u8],
    /// Whether `STOP` and `SHUTDOWN` to the server end the node, if said by who may manage.
    pub shutdown: bool,
}

impl Settings<'_> {
    /// Short lines, for tests and hubs. A daemon says more.
    pub const DEFAULT: Settings<'static> = Settings {
        server: name::DAEMON,
        my_address: None,
        public: None,
        secure: None,
        max_line: 1024,
        outbox: 256 * 1024,
        stalled_after: Duration::from_secs(60),
        form: emit::Form::Text,
        echo: false,
        secret: &[],
        shutdown: false,
    };
}

/// The secret is nobody's business.
impl fmt::Debug for Settings<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("server", &self.server)
            .field("max_line", &self.max_line)
            .field("outbox", &self.outbox)
            .field("form", &self.form)
            .field("echo", &self.echo)
            .finish_non_exhaustive()
    }
}

/// Version of the protocol, in `REGISTER` and `CONNECT` (section 1.1).
pub const VERSION: i64 = 1;

/// TCP port for clients of this machine (section 5.1).
pub const LOCAL_PORT: u16 = 4040;

/// UDP port for signals.
pub const SIGNAL_PORT: u16 = 4041;

/// TCP port for other servers, and where an address without a port means (section 4.2).
pub const REMOTE_PORT: u16 = 4042;

/// TCP port with TLS.
pub const SECURE_PORT: u16 = 4043;

/// The Unix socket that the original's library looks for, of the current revision.
pub const SOCKET: &str = "/run/communicator/communicatord.sock";

/// The same of the revision before November 2025.
pub const OLD_SOCKET: &str = "/run/communicatord/communicatord.sock";

/// Longest line that a daemon takes. The original has no limit (section 1.8).
pub const MAX_LINE: usize = 1024 * 1024;

/// Octets by which a line can get longer on its way: the longest source, which is written before it.
pub const MAX_SOURCE: usize = crate::limits::MAX_NAME + name::MAX_WRITTEN + 4;

/// Longest line of somebody who has not registered: `ed-signal`, and services before their
/// name is known. Of which nothing is longer than a datagram, and room to spare.
pub const MAX_LINE_BEFORE_REGISTER: usize = 4096;

const _: () = assert!(MAX_LINE_BEFORE_REGISTER >= udp::MAX_DATAGRAM);
