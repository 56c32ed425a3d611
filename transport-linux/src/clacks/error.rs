//! Why something did not work: what, where, and what to do.

use std::fmt;
use std::io;
use std::time::Duration;

use super::event::Why;
use crate::address::ClacksAddress;

/// Why a call of this library failed.
#[derive(Debug)]
pub enum Error {
    /// There is no connection: nobody listens there, it cannot be reached, or its TLS is not to
    /// be believed ([`Problem::of`](crate::tls::Problem::of) tells).
    Connect {
        /// Where.
        address: ClacksAddress,
        /// What the operating system or TLS said.
        problem: io::Error,
    },
    /// Something listens there, but it does not begin as Clacks servers do.
    NotClacks {
        /// Where.
        address: ClacksAddress,
        /// What it did instead.
        why: String,
    },
    /// The server does not take this user or password. The session is over, for good.
    Refused {
        /// Where.
        address: ClacksAddress,
        /// What the server said.
        text: String,
    },
    /// The server does not want what comes to it in this way, whoever it is: without TLS, for
    /// example. The session is over, for good.
    TurnedAway {
        /// Where.
        address: ClacksAddress,
        /// What the server said, without its `bad_request`.
        text: String,
    },
    /// This user may not do that. Of [`Session::flush`](super::Session::flush): may not do
    /// something that was said before.
    Denied,
    /// The server does not know such a command. It is not carried out.
    Unknown(
        /// As the server repeats it.
        String,
    ),
    /// The server said another error.
    Told(
        /// In its words.
        String,
    ),
    /// No answer in time. Whether it was carried out is unknown.
    TimedOut(Duration),
    /// The connection ended, and none came about in time.
    Lost {
        /// Why.
        why: Why,
        /// Of what was handed over before, so many lines are proved by no answer.
        unsure: u64,
    },
    /// Not said, because there is no way to say it.
    NotSent(Unsayable),
    /// Not said, because so many octets wait already and the server takes none.
    Full(usize),
    /// Not said, because so many names are listened to already.
    TooMany(usize),
    /// The answer is longer than this session takes; it was thrown away.
    TooMuch,
    /// The operating system's poll failed.
    Poll(io::Error),
}

/// What cannot be said, and where it is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsayable {
    /// `the value of "x"`.
    pub(super) what: String,
    pub(super) fault: Fault,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// This octet, there, ends lines.
    LineEnd(u8, usize),
    /// A `=` there, where the value would begin.
    Equals(usize),
    Empty,
    /// A blank, where flags end.
    Blank(usize),
    TooLong(usize, usize),
    /// The whole line.
    Unknown,
}

impl Unsayable {
    /// Whether it is a value that the [cache front end](super::cache) could write.
    pub fn is_value_with_line_end(&self) -> bool {
        matches!(self.fault, Fault::LineEnd(..)) && self.what.starts_with("the value of ")
    }

    /// What should have been found out before.
    pub(super) fn whole() -> Self {
        Unsayable { what: "the line".into(), fault: Fault::Unknown }
    }
}

impl fmt::Display for Unsayable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = &self.what;
        match self.fault {
            Fault::LineEnd(octet, at) => {
                let name = if octet == b'\n' { "line feed" } else { "carriage return" };
                write!(f, "{what} has a {name} at byte {at}, and there is none in a line of Clacks")
            }
            Fault::Equals(at) => write!(f, "{what} has a `=` at byte {at}, where its value would begin"),
            Fault::Empty => write!(f, "{what} is empty"),
            Fault::Blank(at) => write!(f, "{what} have a blank at byte {at}"),
            Fault::TooLong(size, limit) => write!(f, "{what} has {size} bytes, more than {limit}"),
            Fault::Unknown => write!(f, "{what} cannot be said"),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Connect { address, problem } => write!(f, "cannot connect to {address}: {problem}"),
            Error::NotClacks { address, why } => write!(f, "what listens at {address} is no Clacks server: {why}"),
            Error::Refused { address, text } => write!(f, "{address} refuses this user or password: {text}"),
            Error::TurnedAway { address, text } => {
                write!(f, "{address} does not take this client: {}", shown(text.as_bytes()))
            }
            Error::Denied => f.write_str("this user may not do that (permission_denied)"),
            Error::Unknown(line) => write!(f, "the server does not know this command: {}", shown(line.as_bytes())),
            Error::Told(text) => write!(f, "the server says: {}", shown(text.as_bytes())),
            Error::TimedOut(after) => write!(f, "no answer within {after:?}"),
            Error::Lost { why, unsure: 0 } => write!(f, "the connection ended: {why}"),
            Error::Lost { why, unsure } => {
                write!(f, "the connection ended: {why}; of what was said before, the last {unsure} may be lost")
            }
            Error::NotSent(why) => write!(f, "not sent: {why}"),
            Error::Full(octets) => write!(f, "not sent: {octets} bytes wait already, and the server takes none"),
            Error::TooMany(names) => {
                write!(f, "not sent: {names} names are listened to, and there is room for no more")
            }
            Error::TooMuch => f.write_str("the answer is longer than this session takes"),
            Error::Poll(error) => write!(f, "poll failed: {error}"),
        }
    }
}

/// A piece of something that came, for people.
pub(super) fn shown(bytes: &[u8]) -> String {
    const MOST: usize = 60;
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(MOST)]);
    let dots = if bytes.len() > MOST { "…" } else { "" };
    format!("\"{}{dots}\"", text.escape_debug())
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Connect { problem, .. } | Error::Poll(problem) => Some(problem),
            _ => None,
        }
    }
}
