//! What a client tells its application, and which of it an application wants to hear.
//!
//! Owns: the events, the reasons in them, and how a frame's payload becomes an event. Does
//! not own what the client itself does about it (`mod.rs`).

use crate::dialect::messi::repr::{
    Answer, Closing, Code, FlagChange, Item, Letter, Message, Outcome, Presence, Value, Welcome,
};
use crate::dialect::messi::wire::{Malformed, Wire, field};
use crate::time::Duration;

/// What happened. Borrows from the frame.
#[derive(Debug, Clone, Copy, PartialEq)]
#[allow(clippy::large_enum_variant, reason = "lives on the stack while one frame is handled")]
pub enum Event<'f> {
    /// The node has answered the hello; what is in the script is on its way.
    Ready(Welcome<'f>),
    /// A message for this station. If `ask_id` is not 0 its sender waits for an
    /// [`Answer`].
    Message(Letter<'f>),
    /// The answer to a call, from the callee or from the node. With a `station`: one of the
    /// answers to a letter that asks `each`.
    Reply(Answer<'f>),
    /// How a request ended; or, with seq 0, that something without a number failed.
    Outcome(Outcome<'f>),
    /// A shared value that was asked for.
    Value(Value<'f>),
    /// A row of a list. An Outcome ends the page.
    Item(Item<'f>),
    /// Somebody came or went.
    Presence(Presence<'f>),
    /// A flag was raised or lowered.
    FlagChange(FlagChange<'f>),
    /// The node says why it is about to close the connection.
    Closing(Closing<'f>),
    /// What a station said, for who monitors.
    #[cfg(feature = "sniff")]
    Seen(crate::dialect::messi::repr::Seen<'f>),
    /// A call or request will not be answered. What became of it is unknown.
    Lost {
        /// Its number.
        seq: u32,
        /// Why.
        why: LostWhy,
    },
    /// There is no connection any more, or none could be made.
    Disconnected {
        /// Why.
        why: Why,
        /// Letters and answers that were still in the outbox, calls included. They were not sent.
        lost: u32,
        /// The next attempt. Zero if there will be none.
        again_in: Duration,
    },
    /// The node refuses this station. It is tried again, but seldom.
    Refused(Outcome<'f>),
}

/// Why there is no connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Why {
    /// The peer closed it or the transport lost it.
    Lost,
    /// None came about.
    Unreachable,
    /// The node did not answer the hello in time.
    NoWelcome,
    /// Nothing was heard for the silence agreed.
    Silent,
    /// The node refused the hello.
    Refused,
    /// The outbox is too small for the hello: nothing was sent.
    HelloTooBig,
    /// The node said that it would close.
    Told(Code),
    /// What the peer sends is not this protocol.
    Malformed(Malformed),
    /// The application said goodbye.
    Goodbye,
}

impl Why {
    /// For people.
    pub const fn text(self) -> &'static str {
        match self {
            Why::Lost => "the connection was lost",
            Why::Unreachable => "no connection could be made",
            Why::NoWelcome => "the node did not answer the hello in time",
            Why::Silent => "nothing was heard for too long",
            Why::Refused => "the node refused the hello",
            Why::HelloTooBig => "the outbox is too small for the hello",
            Why::Told(code) => code.text(),
            Why::Malformed(what) => what.text(),
            Why::Goodbye => "goodbye was said",
        }
    }
}

/// Why a call or request has no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum LostWhy {
    /// Not even the node answered in time.
    TimedOut,
    /// The connection ended first.
    Disconnected,
}

/// Which events an application wants. What it does not want is not decoded, and the code
/// for it is not linked: on a small microcontroller that is most of what a client weighs.
/// Implement it for a type of your own, turn off what you do not need, and call
/// [`Client::handle_only`](super::Client::handle_only).
pub trait Wants {
    /// [`Event::Message`].
    const MESSAGES: bool = true;
    /// [`Event::Reply`].
    const REPLIES: bool = true;
    /// [`Event::Value`]. Without it requests for values end in [`Event::Lost`].
    const VALUES: bool = true;
    /// [`Event::Item`].
    const ITEMS: bool = true;
    /// [`Event::Presence`].
    const PRESENCE: bool = true;
    /// [`Event::FlagChange`].
    const FLAGS: bool = true;
}

/// All of them.
#[derive(Debug, Clone, Copy)]
pub struct All;
impl Wants for All {}

/// The member of a payload and its number; 0: none that is known by wire type.
pub(super) fn member(payload: &[u8]) -> Result<(u32, &[u8]), Malformed> {
    let mut left = payload;
    let mut last = (0, &payload[..0]);
    while !left.is_empty() {
        let (rest, (number, wire)) = field(left)?;
        if let Wire::Len(bytes) = wire {
            last = (number, bytes);
        }
        left = rest;
    }
    Ok(last)
}

/// The event that member `number` of `ServerToClient` is. `None`: unknown or not wanted.
pub(super) fn decode<W: Wants>(number: u32, body: &[u8]) -> Result<Option<Event<'_>>, Malformed> {
    Ok(Some(match number {
        1 => Event::Ready(Welcome::read(body)?),
        2 => Event::Outcome(Outcome::read(body)?),
        3 if W::MESSAGES => Event::Message(Letter::read(body)?),
        4 if W::REPLIES => Event::Reply(Answer::read(body)?),
        5 if W::VALUES => Event::Value(Value::read(body)?),
        6 if W::ITEMS => Event::Item(Item::read(body)?),
        7 if W::PRESENCE => Event::Presence(Presence::read(body)?),
        8 if W::FLAGS => Event::FlagChange(FlagChange::read(body)?),
        9 => Event::Closing(Closing::read(body)?),
        #[cfg(feature = "sniff")]
        10 => Event::Seen(crate::dialect::messi::repr::Seen::read(body)?),
        _ => return Ok(None),
    }))
}
