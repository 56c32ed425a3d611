//! What happens to a session without its asking.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use super::Message;

/// What came and nobody waited for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A message for the program. What the session has answered itself is not among them, see
    /// [`Answers`](super::Answers).
    Message(Message),
    /// A message that came in a datagram, see [`Session::hear`](super::Session::hear).
    Signal {
        /// What it says.
        message: Message,
        /// Where it comes from.
        from: SocketAddr,
    },
    /// There is a connection, and nobody to register: of a session without a name.
    Connected,
    /// The service is registered; with each connection. What waited leaves now.
    Ready {
        /// What the daemon calls its server; empty if it does not say so.
        server: String,
        /// Where other daemons find this one.
        my_address: Option<SocketAddr>,
    },
    /// Somebody wants this program to stop. The session has said `UNREGISTER` and is over when
    /// that has left.
    Stop,
    /// The daemon stops, and so the session is over, see [`Options::outlive`](super::Options::outlive).
    Quitting,
    /// The connection ended. It comes back by itself, whenever the program waits for something.
    Disconnected {
        /// Why.
        why: Why,
        /// The next attempt.
        again_in: Duration,
    },
    /// An attempt to connect again failed. Only the last of several in a row is kept.
    Unreachable {
        /// Why.
        problem: String,
        /// The next one.
        again_in: Duration,
    },
}

impl Event {
    /// Octets it holds on to, roughly.
    pub(super) fn size(&self) -> usize {
        let more = match self {
            Event::Message(m) | Event::Signal { message: m, .. } => {
                let names = [&m.from_server, &m.from_service, &m.server, &m.service, &m.command];
                let params: usize = m.params.iter().map(|(k, v)| k.len() + v.len() + 2 * size_of::<String>()).sum();
                names.iter().map(|name| name.len()).sum::<usize>() + params
            }
            Event::Ready { server: text, .. } | Event::Unreachable { problem: text, .. } => text.len(),
            _ => 0,
        };
        more + size_of::<Event>()
    }
}

/// Why a connection or session ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Why {
    /// The daemon said `QUITTING`.
    Quitting,
    /// The daemon said `DISCONNECTING`.
    Disconnecting,
    /// Somebody said `STOP` to this service.
    Stopped,
    /// The daemon does not take this service any more; in its words.
    Refused(String),
    /// Anything else, in words.
    Lost(String),
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Why::Quitting => f.write_str("the daemon stops (QUITTING)"),
            Why::Disconnecting => f.write_str("the daemon closes its connections (DISCONNECTING)"),
            Why::Stopped => f.write_str("somebody has stopped this service (STOP)"),
            Why::Refused(text) => write!(f, "the daemon does not take this service: {}", super::error::shown(text)),
            Why::Lost(text) => f.write_str(text),
        }
    }
}

/// What came and could not be kept.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Missed {
    /// Events for which the queue had no room while something else was waited for.
    pub events: u64,
    /// Lines and datagrams that are no messages.
    pub odd: u64,
    /// Datagrams without the right secret.
    pub secret: u64,
}
