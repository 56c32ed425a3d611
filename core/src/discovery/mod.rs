//! Discovery, `cdb:`: how a station that knows no address finds a node on its own network.
//! `docs/discovery.md` is normative: bytes, limits, and who is trusted with what.
//!
//! | file | owns |
//! |---|---|
//! | `message.rs` | the two messages: bytes to a question or an answer and back |
//! | `asker.rs` | what is asked when, and which answers count |
//! | `responder.rs` | whether a question is answered: near, well-formed, not too often |
//!
//! Owns: the rules. Does not own sockets, clocks and randomness, which are the caller's, nor
//! what happens then: whoever was found has only said so. A certificate or a secret proves it.
//!
//! Both messages are lines of the Communicator's grammar (`dialect/communicator`), of which this
//! needs so little that nothing of that dialect is linked.

mod asker;
mod message;
mod responder;

pub use asker::{Asker, Ignored, Way};
pub use message::{Answer, Fault, Ports, Question, Scheme, Schemes, is_same_node};
pub use responder::{Responder, Silence};

use core::net::{IpAddr, Ipv4Addr};

/// The UDP port of questions: the number of `cd:`, whose UDP side the Communicator leaves free.
pub const PORT: u16 = 4040;

/// The group that questions are sent to: of the range that stays within a site (RFC 2365).
pub const GROUP: Ipv4Addr = Ipv4Addr::new(239, 255, 40, 40);

/// Octets of a question, which is filled up to that: nobody gets more back than they sent.
pub const QUESTION: usize = 256;

/// Octets of the longest datagram that is looked at, question or answer.
pub const LONGEST: usize = 512;

/// Octets of the longest answer.
pub const ANSWER: usize = QUESTION;

/// Octets of the longest name of a node.
pub const NODE: usize = crate::limits::MAX_STATION_NAME;

/// Whether an address can be that of a neighbour: of this machine, of this link, or private.
/// Anything else is neither answered nor believed.
pub const fn is_near(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_private() || ip.is_loopback() || ip.is_link_local(),
        IpAddr::V6(ip) => match ip.to_ipv4_mapped() {
            Some(ip) => ip.is_private() || ip.is_loopback() || ip.is_link_local(),
            // fd00::/8 only: nobody gives out fc00::/8
            None => ip.is_loopback() || ip.is_unicast_link_local() || ip.octets()[0] == 0xfd,
        },
    }
}

#[cfg(test)]
mod tests;
