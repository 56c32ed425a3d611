//! One connection of this dialect, as the node cuts its stream into lines.
//!
//! Owns: where a line ends, how long one may be before its sender has registered, and that a
//! datagram is one line whatever is in it. What a message means depends on who the connection
//! is: that is the router's, in `router/communicator`.

use super::MAX_LINE_BEFORE_REGISTER;
use super::frame::Finder;
use super::parse;
use super::repr::Fault;
use crate::dialect::{Cut, Refusal, Said, Spare};
use crate::model::Code;

/// What is remembered between two calls.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Session {
    finder: Finder,
    /// It has a name, and so may say longer lines.
    registered: bool,
    /// Each input is one message.
    datagrams: bool,
}

impl Session {
    pub(crate) const fn new() -> Self {
        Session { finder: Finder::new(), registered: false, datagrams: false }
    }

    /// Its station has a name now.
    pub(crate) fn registered(&mut self) {
        self.registered = true;
    }

    /// It comes in datagrams.
    pub(crate) fn in_datagrams(&mut self) {
        self.datagrams = true;
    }

    /// Looks for the next line. Empty ones are taken from `input`, nothing else is.
    #[inline]
    pub(crate) fn cut(&mut self, input: &mut &[u8], limit: usize) -> Result<Cut, Refusal> {
        if self.datagrams {
            return Ok(Cut::Frame { size: input.len() });
        }
        let limit = if self.registered { limit } else { limit.min(MAX_LINE_BEFORE_REGISTER) };
        match self.finder.line(input, limit) {
            Ok(Some(size)) => Ok(Cut::Frame { size }),
            Ok(None) if self.finder.is_inside() => Ok(Cut::Open),
            Ok(None) => Ok(Cut::More),
            Err(why) => Err(Refusal { code: Code::TooBig, text: why.text(), fatal: true }),
        }
    }

    /// Understands a line, with or without its end.
    #[inline]
    pub(crate) fn understand<'f>(&self, frame: &'f [u8], spare: &'f mut Option<Spare>, said: &mut Said<'f>) {
        let is_json = frame.iter().find(|b| !parse::is_white(**b)) == Some(&b'{');
        let names: &mut [u8] = if is_json {
            let names = &mut spare.get_or_insert_default().names;
            // as long as it can be: this never fails
            let _ = names.resize_default(parse::ROOM_FOR_NAMES);
            names
        } else {
            &mut []
        };
        *said = match parse::message(frame, names) {
            Ok(message) => Said::Message(message),
            Err(Fault::Blank) => Said::Nothing,
            Err(fault) => Said::Fault(fault),
        };
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
}
