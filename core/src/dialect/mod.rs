//! The wire protocols a node speaks, one folder each, and the one place that knows which
//! there are.
//!
//! Owns: [`Dialect`], and the dispatch of what every dialect must offer: cutting a stream
//! into frames and understanding them (`Session`), and saying things (`Wording`). A
//! dialect sees slices, never the router's tables nor another dialect; the router calls
//! only what is here.

#[cfg(feature = "clacks")]
pub mod clacks;
#[cfg(feature = "communicator")]
pub mod communicator;
pub mod messi;
#[cfg(feature = "msgq")]
pub mod msgq;
#[cfg(feature = "certain")]
pub mod text;

#[cfg(feature = "msgq")]
pub(crate) use msgq::{
    lname::text as station_text,
    node::{GREETINGS, GROUP, MANAGER, NOTICES, Roll, answer as node_answer, notice},
    repr::question_key,
};

use crate::model::{Answer, ClientToServer, Code, Letter, Raw, ServerToClient};
#[cfg(feature = "clacks")]
pub(crate) use clacks::session::Session as ClacksSession;
#[cfg(feature = "communicator")]
pub(crate) use communicator::session::Session as CommunicatorSession;

/// A wire protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Dialect {
    /// The native one: Messi frames, `core/proto/chappe.proto`.
    Messi,
    /// That of BIND 10's message bus.
    #[cfg(feature = "msgq")]
    Msgq,
    /// That of Net::Clacks.
    #[cfg(feature = "clacks")]
    Clacks,
    /// That of the Snap! Communicator and its event dispatcher.
    #[cfg(feature = "communicator")]
    Communicator,
}

impl Dialect {
    /// Each that this node was built with.
    pub const ALL: &'static [Dialect] = &[
        Dialect::Messi,
        #[cfg(feature = "msgq")]
        Dialect::Msgq,
        #[cfg(feature = "clacks")]
        Dialect::Clacks,
        #[cfg(feature = "communicator")]
        Dialect::Communicator,
    ];

    /// As lists show it.
    pub const fn name(self) -> &'static str {
        match self {
            Dialect::Messi => "messi",
            #[cfg(feature = "msgq")]
            Dialect::Msgq => "msgq",
            #[cfg(feature = "clacks")]
            Dialect::Clacks => "clacks",
            #[cfg(feature = "communicator")]
            Dialect::Communicator => "communicator",
        }
    }

    /// Longest frame of somebody of whom nothing is known yet: nobody unknown gets more memory
    /// than that.
    pub(crate) const fn max_hello(self) -> usize {
        match self {
            #[cfg(feature = "clacks")]
            Dialect::Clacks => clacks::MAX_LINE_BEFORE_LOGIN,
            #[cfg(feature = "communicator")]
            Dialect::Communicator => communicator::MAX_LINE_BEFORE_REGISTER,
            _ => 512,
        }
    }

    /// What its clients do and expect, where dialects differ.
    pub(crate) const fn ways(self) -> Ways {
        match self {
            Dialect::Messi => Ways {
                hello: true,
                pings: true,
                frames: true,
                lengths: true,
                misses: true,
                answers: true,
                outcomes: true,
                numbers: false,
            },
            #[cfg(feature = "msgq")]
            Dialect::Msgq => Ways {
                hello: false,
                pings: false,
                frames: true,
                lengths: true,
                misses: false,
                answers: true,
                outcomes: false,
                numbers: true,
            },
            #[cfg(feature = "clacks")]
            Dialect::Clacks => Ways {
                hello: true,
                pings: true,
                frames: false,
                lengths: false,
                misses: false,
                answers: false,
                outcomes: true,
                numbers: false,
            },
            #[cfg(feature = "communicator")]
            Dialect::Communicator => Ways {
                hello: false,
                pings: false,
                frames: true,
                lengths: false,
                misses: false,
                answers: true,
                outcomes: true,
                numbers: false,
            },
        }
    }
}

/// What clients of a dialect do and expect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ways {
    /// They introduce themselves before anything else; others are there once connected.
    pub(crate) hello: bool,
    /// They give signs of life; the silence of others means nothing.
    pub(crate) pings: bool,
    /// Whatever they say is a sign of life.
    pub(crate) frames: bool,
    /// How long a frame is, is known when it has begun; of others only that there is more of it.
    pub(crate) lengths: bool,
    /// They can live with a message less. Others are closed rather than left with a gap.
    pub(crate) misses: bool,
    /// They can answer what they are asked. Others get letters, but are asked nothing.
    pub(crate) answers: bool,
    /// They can be told how a request went. Others are closed if it matters to them.
    pub(crate) outcomes: bool,
    /// Their answers name a question by the asker's own number instead of the node's.
    pub(crate) numbers: bool,
}

/// What the node is called where a dialect needs text for stations.
#[cfg_attr(not(feature = "msgq"), expect(dead_code, reason = "the native dialect needs none"))]
#[derive(Debug, Clone, Copy)]
pub(crate) struct Here<'h> {
    /// Differs in each life of each node.
    pub(crate) boot: u64,
    pub(crate) node: &'h str,
    #[cfg(feature = "communicator")]
    pub(crate) server: &'h str,
    #[cfg(feature = "communicator")]
    pub(crate) form: communicator::emit::Form,
}

impl<'h> Here<'h> {
    /// Of a node that is called like this, which speaks dialects as their originals do.
    #[cfg(all(test, any(feature = "msgq", feature = "sniff")))]
    pub(crate) const fn of(boot: u64, node: &'h str) -> Self {
        Here {
            boot,
            node,
            #[cfg(feature = "communicator")]
            server: node,
            #[cfg(feature = "communicator")]
            form: communicator::emit::Form::Text,
        }
    }
}

/// Room for texts that a frame does not hold as the node needs them. Each is written once. Most
/// frames need none, so it is only made for those that do.
#[derive(Debug, Default)]
pub(crate) struct Spare {
    #[cfg(feature = "msgq")]
    pub(crate) name: heapless::String<{ crate::limits::MAX_NAME }, u8>,
    #[cfg(feature = "msgq")]
    pub(crate) instance: heapless::String<{ crate::limits::MAX_NAME }, u8>,
    #[cfg(feature = "communicator")]
    pub(crate) names: heapless::Vec<u8, { communicator::parse::ROOM_FOR_NAMES }, u16>,
}

/// What a node remembers of frames it understood, whoever sent them, to be faster with the
/// next.
#[derive(Debug)]
pub(crate) struct Memo {
    #[cfg(feature = "msgq")]
    pub(crate) msgq: msgq::memo::Memo,
}

impl Memo {
    pub(crate) const fn new() -> Self {
        Memo {
            #[cfg(feature = "msgq")]
            msgq: msgq::memo::Memo::new(),
        }
    }
}

/// No station ever has this address: where a letter goes that cannot reach anybody.
#[cfg(feature = "msgq")]
pub(crate) const NOBODY: u64 = u64::MAX;

/// What a frame says.
#[derive(Debug, Clone, Copy, PartialEq)]
#[allow(clippy::large_enum_variant, reason = "lives on the stack while one frame is handled")]
pub(crate) enum Said<'f> {
    /// Something of the model; with a letter or an answer, its own bytes.
    Model(ClientToServer<'f>, Raw<'f>),
    /// A sign of life that wants one back, with these bytes in it.
    Ping(&'f [u8]),
    /// Nothing that needs doing.
    Nothing,
    /// Something that this dialect takes no notice of.
    #[cfg(feature = "msgq")]
    Ignored,
    /// Wants to know its own address.
    #[cfg(feature = "msgq")]
    WhoAmI,
    /// An answer to question number `key` of the station in `letter`, if it asked one; else
    /// a letter like any other.
    #[cfg(feature = "msgq")]
    Reply { key: u64, letter: Letter<'f>, raw: Raw<'f> },
    /// Something for the node as a user of its own bus; `letter` is for whoever else is
    /// called as it is.
    #[cfg(feature = "msgq")]
    Node { ask: NodeAsk<'f>, letter: Letter<'f>, raw: Raw<'f> },
    /// Wants the node to stop.
    #[cfg(feature = "msgq")]
    Stop,
    /// A line of Clacks: who may say it, and what it does, depends on what the connection is.
    #[cfg(feature = "clacks")]
    Line(clacks::repr::Command<'f>, &'f [u8]),
    /// A message of the Communicator: whom it is for, and what it does, is the router's.
    #[cfg(feature = "communicator")]
    Message(communicator::repr::Message<'f>),
    /// A line of the Communicator that is none, for which nobody is closed.
    #[cfg(feature = "communicator")]
    Fault(communicator::repr::Fault),
}

/// What is wanted of the node as a user of its own bus.
#[cfg(feature = "msgq")]
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum NodeAsk<'f> {
    /// The addresses of all stations, and its own.
    Stations,
    /// The addresses of whom a letter to this name and instance would reach.
    Members { name: &'f str, instance: &'f str },
    /// To be told that it is well.
    Done,
    /// To be told what is wrong: our words, then the peer's, the inside of a JSON string as
    /// it came.
    Failure(&'static str, &'f str),
    /// Nothing.
    Silence,
}

/// The question that is answered, as its asker's dialect needs it.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Question<'q> {
    /// The asker's number.
    pub(crate) seq: u32,
    /// Whom the answer is about, of several who were asked one by one; 0: only one answers.
    pub(crate) about: u64,
    /// Its header, as `Raw::echo` had it.
    #[cfg(feature = "msgq")]
    pub(crate) echo: &'q [u8],
    /// A number that the node has given to nothing else that it said.
    #[cfg(feature = "msgq")]
    pub(crate) number: u64,
    #[cfg(not(feature = "msgq"))]
    pub(crate) lifetime: core::marker::PhantomData<&'q [u8]>,
}

/// What stands at the front of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cut {
    /// Not enough yet to say; all input was taken.
    More,
    /// A frame has this many octets left to come, of which what is in the input may be used.
    Frame {
        /// Octets of the frame, without those that `Session::cut` took itself.
        size: usize,
    },
    /// The frame goes on behind the input, all of which belongs to it: nobody knows how far.
    #[cfg(any(feature = "clacks", feature = "communicator"))]
    Open,
    /// A frame that is too big, but can be stepped over.
    Skip {
        /// Octets to step over.
        size: usize,
    },
}

/// Why a stream or a frame is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(crate) struct Refusal {
    /// What to tell the peer.
    pub(crate) code: Code,
    /// What is wrong, for people.
    pub(crate) text: &'static str,
    /// Whether the stream cannot go on after it.
    pub(crate) fatal: bool,
}

/// What a node remembers of one connection to understand its dialect.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Session {
    Messi(messi::session::Session),
    #[cfg(feature = "msgq")]
    Msgq(msgq::session::Session),
    #[cfg(feature = "clacks")]
    Clacks(ClacksSession),
    #[cfg(feature = "communicator")]
    Communicator(CommunicatorSession),
}

impl Session {
    pub(crate) const fn new(dialect: Dialect) -> Self {
        match dialect {
            Dialect::Messi => Session::Messi(messi::session::Session::new()),
            #[cfg(feature = "msgq")]
            Dialect::Msgq => Session::Msgq(msgq::session::Session::new()),
            #[cfg(feature = "clacks")]
            Dialect::Clacks => Session::Clacks(ClacksSession::new()),
            #[cfg(feature = "communicator")]
            Dialect::Communicator => Session::Communicator(CommunicatorSession::new()),
        }
    }

    #[inline]
    pub(crate) const fn dialect(&self) -> Dialect {
        match self {
            Session::Messi(_) => Dialect::Messi,
            #[cfg(feature = "msgq")]
            Session::Msgq(_) => Dialect::Msgq,
            #[cfg(feature = "clacks")]
            Session::Clacks(_) => Dialect::Clacks,
            #[cfg(feature = "communicator")]
            Session::Communicator(_) => Dialect::Communicator,
        }
    }

    /// Looks for the next frame at the front of `input`, from which it may take what it
    /// remembers itself. `limit`: octets that a frame may have.
    #[inline]
    pub(crate) fn cut(&mut self, input: &mut &[u8], limit: usize) -> Result<Cut, Refusal> {
        match self {
            Session::Messi(s) => s.cut(input, limit),
            #[cfg(feature = "msgq")]
            Session::Msgq(s) => s.cut(input, limit),
            #[cfg(feature = "clacks")]
            Session::Clacks(s) => s.cut(input, limit),
            #[cfg(feature = "communicator")]
            Session::Communicator(s) => s.cut(input, limit),
        }
    }

    /// Understands a whole frame, in place. As long as it is not [used up](Session::used_up) it can
    /// be cut and understood again.
    #[inline]
    pub(crate) fn understand<'f>(
        &mut self,
        frame: &'f [u8],
        _here: Here<'_>,
        _memo: &mut Memo,
        _spare: &'f mut Option<Spare>,
        said: &mut Said<'f>,
    ) -> Result<(), Refusal> {
        match self {
            Session::Messi(s) => s.understand(frame, said),
            #[cfg(feature = "msgq")]
            Session::Msgq(s) => s.understand(frame, _here, &mut _memo.msgq, _spare, said),
            #[cfg(feature = "clacks")]
            Session::Clacks(s) => {
                s.understand(frame, said);
                Ok(())
            }
            #[cfg(feature = "communicator")]
            Session::Communicator(s) => {
                s.understand(frame, _spare, said);
                Ok(())
            }
        }
    }

    /// The frame that was cut was dealt with, or stepped over: the next octet begins another.
    #[inline]
    pub(crate) fn used_up(&mut self) {
        match self {
            Session::Messi(s) => s.used_up(),
            #[cfg(feature = "msgq")]
            Session::Msgq(s) => s.used_up(),
            #[cfg(feature = "clacks")]
            Session::Clacks(s) => s.used_up(),
            #[cfg(feature = "communicator")]
            Session::Communicator(s) => s.used_up(),
        }
    }

    /// Whether a frame has begun and is not whole.
    pub(crate) fn is_inside(&self) -> bool {
        match self {
            Session::Messi(s) => s.is_inside(),
            #[cfg(feature = "msgq")]
            Session::Msgq(s) => s.is_inside(),
            #[cfg(feature = "clacks")]
            Session::Clacks(s) => s.is_inside(),
            #[cfg(feature = "communicator")]
            Session::Communicator(s) => s.is_inside(),
        }
    }

    /// Whether the frame that was cut has octets in it that mean nothing, and has to be
    /// [compacted](Session::compact) before it is understood.
    #[inline]
    pub(crate) fn is_odd(&self) -> bool {
        match self {
            #[cfg(feature = "clacks")]
            Session::Clacks(s) => s.is_odd(),
            _ => false,
        }
    }

    /// Takes out of an odd frame what means nothing. Returns the octets that are left, all at
    /// the front.
    #[inline]
    pub(crate) fn compact(&self, frame: &mut [u8]) -> usize {
        match self {
            #[cfg(feature = "clacks")]
            Session::Clacks(s) if s.is_odd() => clacks::frame::compact(frame),
            _ => frame.len(),
        }
    }

    #[inline]
    pub(crate) fn wording(&self) -> Wording {
        match self {
            Session::Messi(s) => Wording::Messi(s.framing()),
            #[cfg(feature = "msgq")]
            Session::Msgq(_) => Wording::Msgq,
            #[cfg(feature = "clacks")]
            Session::Clacks(_) => Wording::Clacks,
            #[cfg(feature = "communicator")]
            Session::Communicator(_) => Wording::Communicator,
        }
    }
}

/// A letter as the model has it, whoever's bytes it has. `out`: where it is written, of which some
/// at the end may be room for what has to be read first.
#[cfg(feature = "certain")]
#[inline]
pub(crate) fn read_letter(
    letter: &Letter<'_>,
    raw: Raw<'_>,
    out: &mut [u8],
    write: impl FnOnce(&Letter<'_>, &mut [u8]) -> Option<usize>,
) -> Option<usize> {
    match raw {
        Raw::None | Raw::Messi(_) => write(letter, out),
        #[cfg(feature = "msgq")]
        Raw::Msgq { frame, header, .. } => {
            let body = frame.get(header as usize..).unwrap_or_default();
            msgq::translate::letter(letter, body, |l| write(l, out))
        }
        #[cfg(feature = "clacks")]
        Raw::Clacks(_) => clacks::translate::heard(letter, out, write),
        #[cfg(feature = "communicator")]
        Raw::Communicator(heard) => communicator::words::heard(letter, heard, out, write),
    }
}

/// As [`read_letter`] of an answer.
#[cfg(feature = "certain")]
pub(crate) fn read_answer(
    answer: &Answer<'_>,
    raw: Raw<'_>,
    out: &mut [u8],
    write: impl FnOnce(&Answer<'_>, &mut [u8]) -> Option<usize>,
) -> Option<usize> {
    match raw {
        Raw::None | Raw::Messi(_) => write(answer, out),
        #[cfg(feature = "msgq")]
        Raw::Msgq { frame, header, .. } => {
            let body = frame.get(header as usize..).unwrap_or_default();
            msgq::translate::answer(answer, body, |a| write(a, out))
        }
        // it answers nothing
        #[cfg(feature = "clacks")]
        Raw::Clacks(_) => Some(0),
        #[cfg(feature = "communicator")]
        Raw::Communicator(heard) => communicator::words::answered(heard, out, write),
    }
}

/// How to say something to a station: stations with the same wording get the same bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wording {
    Messi(messi::frame::Framing),
    #[cfg(feature = "msgq")]
    Msgq,
    #[cfg(feature = "clacks")]
    Clacks,
    #[cfg(feature = "communicator")]
    Communicator,
}

impl Wording {
    /// The one that most stations have.
    pub(crate) const USUAL: Wording = Wording::Messi(messi::frame::Framing::Today);

    /// How many kinds of wordings there are: the usual one, all that are rare, and one for each
    /// dialect more.
    pub(crate) const KINDS: usize = 2
        + cfg!(feature = "msgq") as usize
        + cfg!(feature = "clacks") as usize
        + cfg!(feature = "communicator") as usize;

    /// Which kind it is: 0 the usual one, 1 a rare one.
    pub(crate) fn kind(self) -> usize {
        match self {
            Wording::USUAL => 0,
            Wording::Messi(_) => 1,
            #[cfg(feature = "msgq")]
            Wording::Msgq => 2,
            #[cfg(feature = "clacks")]
            Wording::Clacks => 2 + cfg!(feature = "msgq") as usize,
            #[cfg(feature = "communicator")]
            Wording::Communicator => Wording::KINDS - 1,
        }
    }

    /// The only wording of its kind, if the kind has only one.
    pub(crate) fn of_kind(kind: usize) -> Option<Wording> {
        match kind {
            0 => Some(Wording::USUAL),
            #[cfg(feature = "clacks")]
            n if n == Wording::Clacks.kind() => Some(Wording::Clacks),
            #[cfg(feature = "msgq")]
            2 => Some(Wording::Msgq),
            #[cfg(feature = "communicator")]
            n if n == Wording::Communicator.kind() => Some(Wording::Communicator),
            _ => None,
        }
    }

    /// Says something of the model. `None`: longer than `out`; 0: there is no way to say it
    /// in this dialect.
    pub(crate) fn say(self, _here: Here<'_>, what: &ServerToClient<'_>, out: &mut [u8]) -> Option<usize> {
        match self {
            Wording::Messi(f) => messi::emit::say(f, what, out),
            #[cfg(feature = "msgq")]
            Wording::Msgq => msgq::emit::say(_here, what, out),
            #[cfg(feature = "clacks")]
            Wording::Clacks => clacks::emit::say(what, out),
            #[cfg(feature = "communicator")]
            Wording::Communicator => communicator::words::say(_here, what, out),
        }
    }

    /// Hands on a letter. `from` (0: the node) and `ask_id` (0: none) take the place of
    /// whatever it has.
    #[inline]
    pub(crate) fn letter(
        self,
        _here: Here<'_>,
        letter: &Letter<'_>,
        raw: Raw<'_>,
        from: u64,
        ask_id: u64,
        out: &mut [u8],
    ) -> Option<usize> {
        match (self, raw) {
            (Wording::Messi(f), Raw::None | Raw::Messi(_)) => messi::emit::letter(f, letter, raw, from, ask_id, out),
            #[cfg(feature = "clacks")]
            (Wording::Clacks, Raw::Clacks(line)) => clacks::emit::signal(line, out),
            #[cfg(any(feature = "msgq", feature = "clacks", feature = "communicator"))]
            _ => self.letter_reworded(_here, letter, raw, from, ask_id, out),
        }
    }

    /// Hands on a letter that is not only copied. By itself, so that what is copied goes a short way.
    #[cfg(any(feature = "msgq", feature = "clacks", feature = "communicator"))]
    #[inline(never)]
    fn letter_reworded(
        self,
        _here: Here<'_>,
        letter: &Letter<'_>,
        raw: Raw<'_>,
        from: u64,
        ask_id: u64,
        out: &mut [u8],
    ) -> Option<usize> {
        match (self, raw) {
            (Wording::Messi(f), raw) => {
                read_letter(letter, raw, out, |l, out| messi::emit::letter(f, l, Raw::None, from, ask_id, out))
            }
            #[cfg(feature = "msgq")]
            (Wording::Msgq, Raw::Msgq { .. }) => msgq::emit::letter(_here, letter, raw, from, ask_id, out),
            #[cfg(feature = "msgq")]
            (Wording::Msgq, raw) => {
                read_letter(letter, raw, out, |l, out| msgq::emit::letter(_here, l, Raw::None, from, ask_id, out))
            }
            #[cfg(feature = "clacks")]
            (Wording::Clacks, raw) => read_letter(letter, raw, out, clacks::emit::letter),
            #[cfg(feature = "communicator")]
            (Wording::Communicator, Raw::Communicator(heard)) => {
                communicator::words::handed_on(_here, heard, ask_id, out)
            }
            #[cfg(feature = "communicator")]
            (Wording::Communicator, raw) => {
                read_letter(letter, raw, out, |l, out| communicator::words::letter(_here, l, from, ask_id, out))
            }
        }
    }

    /// Hands on an answer to `question`. `from` (0: the node) takes the place of whatever it
    /// has.
    #[inline]
    pub(crate) fn reply(
        self,
        _here: Here<'_>,
        answer: &Answer<'_>,
        raw: Raw<'_>,
        question: Question<'_>,
        from: u64,
        out: &mut [u8],
    ) -> Option<usize> {
        match (self, raw) {
            (Wording::Messi(f), Raw::None | Raw::Messi(_)) => {
                messi::emit::reply(f, answer, raw, (question.seq, from, question.about), out)
            }
            #[cfg(any(feature = "msgq", feature = "clacks", feature = "communicator"))]
            (Wording::Messi(f), raw) => read_answer(answer, raw, out, |a, out| {
                messi::emit::reply(f, a, Raw::None, (question.seq, from, question.about), out)
            }),
            #[cfg(feature = "msgq")]
            (Wording::Msgq, Raw::Msgq { .. }) => msgq::emit::reply(_here, answer, raw, question, from, out),
            #[cfg(feature = "msgq")]
            (Wording::Msgq, raw) => {
                read_answer(answer, raw, out, |a, out| msgq::emit::reply(_here, a, Raw::None, question, from, out))
            }
            // it has no questions, so nobody answers it
            #[cfg(feature = "clacks")]
            (Wording::Clacks, _) => Some(0),
            #[cfg(feature = "communicator")]
            (Wording::Communicator, Raw::Communicator(heard)) => {
                communicator::words::reply_handed_on(_here, heard, question.seq, out)
            }
            #[cfg(feature = "communicator")]
            (Wording::Communicator, raw) => {
                read_answer(answer, raw, out, |a, out| communicator::words::reply(_here, a, question.seq, from, out))
            }
        }
    }

    /// Whether who is told this verb may end, begin anew, or open its logs by it: that takes a right
    /// to manage it.
    #[inline]
    pub(crate) fn obeys(self, _verb: &str) -> bool {
        match self {
            #[cfg(feature = "communicator")]
            Wording::Communicator => communicator::command::Command::is_control_of_clients(_verb.as_bytes()),
            _ => false,
        }
    }

    /// A sign of life in return, for one that had `body` in it.
    pub(crate) fn pong(self, _body: &[u8], out: &mut [u8]) -> Option<usize> {
        match self {
            Wording::Messi(f) => messi::emit::pong(f, out),
            #[cfg(feature = "msgq")]
            Wording::Msgq => msgq::emit::pong(_body, out),
            #[cfg(feature = "clacks")]
            Wording::Clacks => Some(0),
            #[cfg(feature = "communicator")]
            Wording::Communicator => Some(0),
        }
    }

    /// Octets of the frame at the front of `head`, which begins with as much of it as the
    /// dialect needs to know. `None`: that is less.
    pub(crate) fn frame_size(self, head: &[u8]) -> Option<usize> {
        match self {
            Wording::Messi(f) => messi::emit::frame_size(f, head),
            #[cfg(feature = "msgq")]
            Wording::Msgq => msgq::emit::frame_size(head),
            #[cfg(feature = "clacks")]
            Wording::Clacks => clacks::emit::line_size(head),
            #[cfg(feature = "communicator")]
            Wording::Communicator => communicator::frame::line_size(head),
        }
    }
}
