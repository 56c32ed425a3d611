//! Why something did not work: what, where, and what to do.

use std::fmt;

use chappe_core::client::{SendError, Why};
use chappe_core::dialect::messi::repr::Code;

use super::owned::Outcome;
use crate::address::Address;

/// Why a call of the library failed.
#[derive(Debug)]
pub enum Error {
    /// There is no connection to the node, and none came about in time.
    Connect {
        /// To where.
        address: Address,
        /// In one word.
        why: Why,
        /// What the operating system said.
        problem: Option<std::io::Error>,
    },
    /// The node does not take this station.
    Refused {
        /// Where.
        address: Address,
        /// Why.
        outcome: Outcome,
    },
    /// The connection ended before the answer came; whether it was done is unknown.
    Disconnected,
    /// Neither an answer nor a word of the node came in time; whether it was done is unknown.
    TimedOut,
    /// The node or the callee answered that it failed.
    Answered(Outcome),
    /// It was not sent.
    NotSent(SendError),
    /// The operating system's poll failed.
    Poll(std::io::Error),
}

impl Error {
    /// The code of the answer, if there was one.
    pub fn code(&self) -> Option<Code> {
        match self {
            Error::Answered(outcome) | Error::Refused { outcome, .. } => Some(outcome.code),
            _ => None,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Connect { address, why, problem } => {
                write!(f, "cannot connect to {address}: ")?;
                match (problem, why) {
                    (Some(problem), _) => write!(f, "{problem}"),
                    (None, Why::Unreachable) => f.write_str("no connection in time"),
                    (None, Why::Lost) => f.write_str("it closed the connection before it answered the hello"),
                    (None, why) => f.write_str(why.text()),
                }
            }
            Error::Refused { address, outcome } => write!(f, "the node at {address} refuses this station: {outcome}"),
            Error::Disconnected => f.write_str("the connection ended before the answer came"),
            Error::TimedOut => f.write_str("no answer in time"),
            Error::Answered(outcome) => write!(f, "{outcome}"),
            Error::NotSent(why) => write!(f, "not sent: {}", why.text()),
            Error::Poll(error) => write!(f, "poll failed: {error}"),
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code.text())?;
        if let Code::Unknown(number) = self.code {
            write!(f, " ({number})")?;
        }
        if !self.text.is_empty() && self.text != self.code.text() {
            write!(f, ": {}", self.text)?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Connect { problem: Some(error), .. } | Error::Poll(error) => Some(error),
            _ => None,
        }
    }
}

impl From<SendError> for Error {
    fn from(why: SendError) -> Self {
        Error::NotSent(why)
    }
}
