//! Why something did not work: what, where, and what to do.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// Why a call of this library failed.
#[derive(Debug)]
pub enum Error {
    /// There is no session: nobody listens there, or the socket cannot be reached.
    Connect {
        /// The socket.
        path: PathBuf,
        /// What the operating system said.
        problem: io::Error,
    },
    /// Something listens there, but did not say what this session is called.
    NoName {
        /// The socket.
        path: PathBuf,
        /// What it did instead.
        why: String,
    },
    /// Something listens there and closed the connection without a word: it may not want this
    /// system user, have no room, be about to end, or speak something else.
    Closed {
        /// The socket.
        path: PathBuf,
        /// What the operating system said.
        why: String,
    },
    /// The session is over, for good: a new one has another name and no subscriptions
    /// (section 10).
    Over {
        /// Why.
        why: String,
    },
    /// The node took or said nothing for that long. What was to be sent is not sent.
    TimedOut(Duration),
    /// Not sent: so many octets of header, and at most 65,535 fit (section 3). Group,
    /// instance and names are in it.
    HeaderTooLong(usize),
    /// Not sent: so many octets of body, and at most 4,294,967,293 and the header fit.
    BodyTooLong(usize),
    /// A message without `from` or `seq` cannot be replied to.
    NoReturn,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Connect { path, problem } => write!(f, "cannot connect to msgq://{}: {problem}", path.display()),
            Error::NoName { path, why } => {
                write!(f, "what listens at msgq://{} does not speak MSGQ: {why}", path.display())
            }
            Error::Closed { path, why } => {
                write!(f, "what listens at msgq://{} closed the connection at once ({why})", path.display())
            }
            Error::Over { why } => write!(f, "the session is over: {why}"),
            Error::TimedOut(after) => write!(f, "the node takes and says nothing for {after:?}"),
            Error::HeaderTooLong(n) => write!(f, "not sent: the header has {n} bytes, at most 65535 fit"),
            Error::BodyTooLong(n) => write!(f, "not sent: the body has {n} bytes, more than a frame can hold"),
            Error::NoReturn => f.write_str("the message does not say whom to reply to: `from` or `seq` is missing"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Connect { problem, .. } => Some(problem),
            _ => None,
        }
    }
}

/// Why a call has no result.
#[derive(Debug)]
pub enum CallError {
    /// Code -1: nobody is there to be called. The callee has not seen it.
    Missing,
    /// The callee answered that it failed; or, with a negative code, a node of Chappe says
    /// what became of the call: -2 the callee left, -3 it did not answer in time, -4 it does
    /// not read, -5 this session may not send there.
    Failed {
        /// Not 0, not -1.
        code: i64,
        /// For people.
        text: String,
    },
    /// The answer is nothing that section 11.1 knows: its body.
    NoResult(Vec<u8>),
    /// No answer in time. Whether it was carried out is unknown.
    TimedOut,
    /// Whoever was asked is gone: the node's notifications say so, see
    /// [`Session::watch`](super::Session::watch). Whether it was carried out is unknown.
    Left,
    /// The session ended first, or the question could not be sent.
    Lost(Error),
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CallError::Missing => f.write_str("no such recipient"),
            CallError::Failed { code, text } => write!(f, "{text} (code {code})"),
            CallError::NoResult(body) => {
                write!(f, "the answer is no result: {}", String::from_utf8_lossy(body).escape_debug())
            }
            CallError::TimedOut => f.write_str("no answer in time"),
            CallError::Left => f.write_str("the recipient left before answering"),
            CallError::Lost(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for CallError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            CallError::Lost(error) => Some(error),
            _ => None,
        }
    }
}

impl From<Error> for CallError {
    fn from(error: Error) -> Self {
        CallError::Lost(error)
    }
}
