//! The wire protocols a node speaks, one folder each, and the one place that knows which
//! there are.
//!
//! Owns: [`Dialect`], and the dispatch of what every dialect must offer: cutting a stream
//! into frames and understanding them (`Session`), and saying things (`Wording`). A
//! dialect sees slices, never the router's tables nor another dialect; the router calls
//! only what is here.

pub mod messi;

use crate::model::{Answer, ClientToServer, Code, Letter, Raw, ServerToClient};

/// A wire protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Dialect {
    /// The native one: Messi frames, `core/proto/chappe.proto`.
    Messi,
}

impl Dialect {
    /// As lists show it.
    pub const fn name(self) -> &'static str {
        match self {
            Dialect::Messi => "messi",
        }
    }
}

/// What a frame says.
#[derive(Debug, Clone, Copy, PartialEq)]
#[allow(clippy::large_enum_variant, reason = "lives on the stack while one frame is handled")]
pub enum Said<'f> {
    /// Something of the model; with a letter or an answer, its own bytes.
    Model(ClientToServer<'f>, Raw<'f>),
    /// A sign of life that wants one back.
    Ping,
    /// Nothing that needs doing.
    Nothing,
}

/// What stands at the front of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// Not enough yet to say; all input was taken.
    More,
    /// A frame has this many octets left to come, of which what is in the input may be used.
    Frame {
        /// Octets of the frame, without those that `Session::cut` took itself.
        size: usize,
    },
    /// A frame that is too big, but can be stepped over.
    Skip {
        /// Octets to step over.
        size: usize,
    },
}

/// Why a stream or a frame is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Refusal {
    /// What to tell the peer.
    pub code: Code,
    /// What is wrong, for people.
    pub text: &'static str,
    /// Whether the stream can go on after it.
    pub fatal: bool,
}

/// What a node remembers of one connection to understand its dialect.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Session {
    Messi(messi::session::Session),
}

impl Session {
    pub(crate) const fn new(dialect: Dialect) -> Self {
        match dialect {
            Dialect::Messi => Session::Messi(messi::session::Session::new()),
        }
    }

    pub(crate) const fn dialect(&self) -> Dialect {
        match self {
            Session::Messi(_) => Dialect::Messi,
        }
    }

    /// Looks for the next frame at the front of `input`, from which it may take what it
    /// remembers itself. `limit`: octets that a frame may have.
    #[inline]
    pub(crate) fn cut(&mut self, input: &mut &[u8], limit: usize) -> Result<Cut, Refusal> {
        match self {
            Session::Messi(s) => s.cut(input, limit),
        }
    }

    /// Understands a whole frame, in place; the next octet of the stream begins another.
    #[inline]
    pub(crate) fn understand<'f>(&mut self, frame: &'f [u8], said: &mut Said<'f>) -> Result<(), Refusal> {
        match self {
            Session::Messi(s) => s.understand(frame, said),
        }
    }

    /// A frame was stepped over.
    pub(crate) fn skipped(&mut self) {
        match self {
            Session::Messi(s) => s.skipped(),
        }
    }

    /// Whether a frame has begun and is not whole.
    pub(crate) fn is_inside(&self) -> bool {
        match self {
            Session::Messi(s) => s.is_inside(),
        }
    }

    #[inline]
    pub(crate) fn wording(&self) -> Wording {
        match self {
            Session::Messi(s) => Wording::Messi(s.framing()),
        }
    }
}

/// How to say something to a station: stations with the same wording get the same bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wording {
    Messi(messi::frame::Framing),
}

impl Wording {
    /// The one that most stations have.
    pub(crate) const USUAL: Wording = Wording::Messi(messi::frame::Framing::Today);

    /// Says something of the model. `None`: longer than `out`.
    pub(crate) fn say(self, what: &ServerToClient<'_>, out: &mut [u8]) -> Option<usize> {
        match self {
            Wording::Messi(f) => messi::emit::say(f, what, out),
        }
    }

    /// Hands on a letter. `from` and `ask_id` (0: none) take the place of whatever it has.
    #[inline]
    pub(crate) fn letter(
        self,
        letter: &Letter<'_>,
        raw: Raw<'_>,
        from: u64,
        ask_id: u64,
        out: &mut [u8],
    ) -> Option<usize> {
        match self {
            Wording::Messi(f) => messi::emit::letter(f, letter, raw, from, ask_id, out),
        }
    }

    /// Hands on an answer. `seq` and `from` take the place of whatever it has.
    #[inline]
    pub(crate) fn reply(self, answer: &Answer<'_>, raw: Raw<'_>, seq: u32, from: u64, out: &mut [u8]) -> Option<usize> {
        match self {
            Wording::Messi(f) => messi::emit::reply(f, answer, raw, seq, from, out),
        }
    }

    /// A sign of life in return.
    pub(crate) fn pong(self, out: &mut [u8]) -> Option<usize> {
        match self {
            Wording::Messi(f) => messi::emit::pong(f, out),
        }
    }

    /// Octets of the frame at the front of an outbox, of which the first 16 octets (or all)
    /// are given. `None`: the outbox is empty.
    pub(crate) fn frame_size(self, head: &[u8]) -> Option<usize> {
        match self {
            Wording::Messi(f) => messi::emit::frame_size(f, head),
        }
    }
}
