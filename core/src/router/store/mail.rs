//! A waiting message as a copy elsewhere has it.
//!
//! Owns: what such a copy says. Does not own the message, which is in the router's mailbox, nor
//! the copy.

use super::Stamp;

/// All there is to know of a message that waits for somebody to join a name (D9).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredMail<'m> {
    /// No other message of this node has it, also not of its earlier lives; who came later has
    /// the larger one. Microseconds since 1970 at which it came, if its clock is right.
    pub number: u64,
    /// The name that it waits for.
    pub name: &'m str,
    /// The instance that it is for; empty: any.
    pub instance: &'m str,
    /// The address that its sender had. It is nobody's in another life of the node (D6).
    pub from: u64,
    /// When it expires, by the calendar.
    pub until: Stamp,
    /// How long it was to be kept, in milliseconds.
    pub within_ms: u32,
    /// In which form `bytes` are: a [`Form`](crate::router::mailbox::Form), or one of a later version.
    pub form: u8,
    /// The message.
    pub bytes: &'m [u8],
}
