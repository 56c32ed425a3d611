//! Why something did not work: what, where, and what to do.

use std::fmt;
use std::io;
use std::time::Duration;

use super::Uri;
use super::event::Why;
use super::message::Unsayable;

/// Why a call of this library failed.
#[derive(Debug)]
pub enum Error {
    /// There is no connection: nobody listens there, it cannot be reached, it may not be spoken to
    /// without TLS, or its TLS is not to be believed
    /// ([`Problem::of`](crate::tls::Problem::of) tells).
    Connect {
        /// Where.
        uri: Uri,
        /// What the operating system or TLS said.
        problem: io::Error,
    },
    /// Something listens there, but does not answer `REGISTER` as daemons do.
    NotCommunicator {
        /// Where.
        uri: Uri,
        /// What it did instead.
        why: String,
    },
    /// The daemon does not take this service: its name, or its password.
    Refused {
        /// Where.
        uri: Uri,
        /// What the daemon said.
        text: String,
    },
    /// It is the wrong kind of address for this: for datagrams, or not.
    Carrier {
        /// Where.
        uri: Uri,
        /// What to do.
        hint: &'static str,
    },
    /// This cannot be the name of a service.
    Name {
        /// The name.
        name: String,
        /// Why not.
        why: &'static str,
    },
    /// No answer in time.
    TimedOut(Duration),
    /// [`Session::initialise`](super::Session::initialise) has waited in vain.
    Missing {
        /// For so long.
        after: Duration,
        /// What is not there, and what was said of it last.
        what: Vec<String>,
    },
    /// The connection ended while something was waited for.
    Lost(Why),
    /// The session is over, for good.
    Over(Why),
    /// Not sent, because there is no way to say it.
    NotSent(Unsayable),
    /// Not sent, because so many octets wait already.
    Full(usize),
    /// Not sent, because so many commands are announced already.
    TooMany(usize),
    /// A datagram could not be sent or waited for.
    Datagram(io::Error),
    /// The operating system's poll failed.
    Poll(io::Error),
}

impl From<Unsayable> for Error {
    fn from(why: Unsayable) -> Self {
        Error::NotSent(why)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Connect { uri, problem } => write!(f, "cannot connect to {uri}: {problem}"),
            Error::NotCommunicator { uri, why } => {
                write!(f, "what listens at {uri} is no Communicator daemon: {why}")
            }
            Error::Refused { uri, text } => write!(f, "{uri} does not take this service: {}", shown(text)),
            Error::Carrier { uri, hint } => write!(f, "{uri} is not for this: {hint}"),
            Error::Name { name, why } => write!(f, "{} cannot be the name of a service: {why}", shown(name)),
            Error::TimedOut(after) => write!(f, "no answer within {after:?}"),
            Error::Missing { after, what } => write!(f, "still missing after {after:?}: {}", what.join("; ")),
            Error::Lost(why) => write!(f, "the connection ended: {why}"),
            Error::Over(why) => write!(f, "the session is over: {why}"),
            Error::NotSent(why) => write!(f, "not sent: {why}"),
            Error::Full(octets) => write!(f, "not sent: {octets} bytes wait already to be taken by the daemon"),
            Error::TooMany(commands) => {
                write!(f, "not announced: {commands} commands are, and there is room for no more")
            }
            Error::Datagram(problem) => write!(f, "datagrams: {problem}"),
            Error::Poll(error) => write!(f, "poll failed: {error}"),
        }
    }
}

/// A piece of something that came, for people.
pub(super) fn shown(text: &str) -> String {
    const MOST: usize = 200;
    let (piece, dots) = match text.char_indices().nth(MOST) {
        Some((at, _)) => (&text[..at], "…"),
        None => (text, ""),
    };
    format!("\"{}{dots}\"", piece.escape_debug())
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Connect { problem, .. } | Error::Datagram(problem) | Error::Poll(problem) => Some(problem),
            Error::NotSent(why) => Some(why),
            _ => None,
        }
    }
}
