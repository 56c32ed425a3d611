//! One connection of this dialect, as the node cuts its stream into lines.
//!
//! Owns: that every line is understood as what it says, and nothing more. What a line means
//! depends on what the connection is (not logged in, a client, a link, our master) and on what
//! its user may do: that is the router's, in `router/clacks`.

use super::frame::{Finder, content};
use super::parse::command;
use crate::dialect::{Cut, Refusal, Said};
use crate::model::Code;

/// What is remembered between two calls.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Session {
    finder: Finder,
}

impl Session {
    pub(crate) const fn new() -> Self {
        Session { finder: Finder::new() }
    }

    /// Looks for the next line. Empty ones are taken from `input`, nothing else is.
    #[inline]
    pub(crate) fn cut(&mut self, input: &mut &[u8], limit: usize) -> Result<Cut, Refusal> {
        match self.finder.line(input, limit) {
            Ok(Some(size)) => Ok(Cut::Frame { size }),
            Ok(None) if self.finder.is_inside() => Ok(Cut::Open),
            Ok(None) => Ok(Cut::More),
            Err(why) => Err(Refusal { code: Code::TooBig, text: why.text(), fatal: true }),
        }
    }

    /// Understands a line, with or without its end.
    #[inline]
    pub(crate) fn understand<'f>(&self, frame: &'f [u8], said: &mut Said<'f>) {
        let line = content(frame);
        *said = Said::Line(command(line), line);
    }

    /// The next octet begins another line.
    #[inline]
    pub(crate) fn used_up(&mut self) {
        self.finder.next();
    }

    /// Whether a line has begun and is not whole.
    pub(crate) const fn is_inside(&self) -> bool {
        self.finder.is_inside()
    }

    /// Whether the line that was cut has CRs where none mean anything.
    #[inline]
    pub(crate) const fn is_odd(&self) -> bool {
        self.finder.is_odd()
    }
}
