//! What the router wants of its shell, and why it lets a station go.

use super::counters::Counter;
use crate::id::StationId;
use crate::model::Code;

/// What the shell should do next. Nothing is lost if it never asks: unsent bytes stay where
/// they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Action {
    /// Write what [`Router::output`](super::Router::output) has, once, and report what was
    /// taken by [`Router::sent`](super::Router::sent). If bytes are left the station is
    /// offered again only after [`Router::writable`](super::Router::writable).
    Write(StationId),
    /// The router has let go of it: drop the connection. The address is nobody's already.
    Close(StationId, Reason),
    /// What kept the router from hearing it is over: offer it again what
    /// [`Router::receive`](super::Router::receive) did not take, and read on.
    Resume(StationId),
}

macro_rules! reasons {
    ($($(#[$if:meta])? $variant:ident $name:literal $code:ident $counter:ident $text:literal,)*) => {
        /// Why a station was closed.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[cfg_attr(feature = "defmt", derive(defmt::Format))]
        pub enum Reason { $($(#[$if])? #[doc = $text] $variant,)* }

        impl Reason {
            /// A stable name in snake case.
            pub const fn name(self) -> &'static str {
                match self { $($(#[$if])? Reason::$variant => $name,)* }
            }
            /// For people.
            pub const fn text(self) -> &'static str {
                match self { $($(#[$if])? Reason::$variant => $text,)* }
            }
            /// What the peer and watchers are told.
            pub const fn code(self) -> Code {
                match self { $($(#[$if])? Reason::$variant => Code::$code,)* }
            }
            /// Where it is counted.
            pub const fn counter(self) -> Counter {
                match self { $($(#[$if])? Reason::$variant => Counter::$counter,)* }
            }
        }
    };
}

reasons! {
    Goodbye "goodbye" Ok ClosedGoodbye "it said goodbye",
    Lost "lost" Lost ClosedLost "its connection ended or broke",
    Silent "silent" Silent ClosedSilent "nothing was heard from it for longer than agreed",
    NotIntroduced "not_introduced" NotIntroduced ClosedNotIntroduced "it did not say hello in time",
    Unintroduced "unintroduced" NotIntroduced ClosedNotIntroduced "it sent something else before hello",
    Credentials "bad_credentials" BadCredentials ClosedCredentials "wrong user or token, or none where one is needed",
    #[cfg(feature = "later")]
    Unchecked "unchecked" Full ClosedUnchecked "its credentials could not be looked at now",
    Malformed "malformed" BadRequest ClosedMalformed "its frames cannot be understood",
    Denied "denied" Refused ClosedDenied "it was refused a name, and has to come back for it",
    #[cfg(feature = "clacks")]
    Dismissed "dismissed" Refused ClosedDismissed "who manages the node has ended it",
    #[cfg(feature = "clacks")]
    LinkRefused "link_refused" Refused ClosedLinkRefused "the other server refuses this node's user, its password, or its right to link",
    #[cfg(feature = "clacks")]
    LinkLoop "link_loop" Refused ClosedLinkLoop "the master is this node itself, or one below it: links must be a tree",
    Slow "slow" Slow ClosedSlow "it did not read what it was sent for too long",
    NoMemory "no_memory" Full ClosedMemory "no memory for what it sent or was to be told",
    Stopping "stopping" Stopping ClosedStopping "the node is stopping",
}
