//! The dialect of BIND 10's message bus (`wire/msgq.md`): frames of a JSON header and a body
//! that the node does not touch.
//!
//! | file | owns |
//! |---|---|
//! | `frame.rs` | where a frame ends: two lengths, their limits |
//! | `json/` | JSON in place, without a heap: scanning, strings, writing |
//! | `repr.rs` | the header: its keys, checked, borrowed |
//! | `lname.rs` | stations as text, and names that this dialect has and the bus has not |
//! | `memo.rs` | the last header of a message to a group, for the next one like it |
//! | `session.rs` | what the frames of one connection mean to a node |
//! | `node.rs` | the node as a user of its own bus: `Msgq`, notifications, greetings |
//! | `translate.rs` | bodies: commands and results of this dialect, verbs and answers of the model |
//! | `emit.rs` | what a node says |
//!
//! Not supported, on purpose: see `docs/msgq-weak-points.md`.

pub(crate) mod emit;
pub mod frame;
pub mod json;
pub mod lname;
pub(crate) mod memo;
pub(crate) mod node;
pub mod repr;
pub(crate) mod session;
pub(crate) mod translate;

use crate::time::Duration;

/// Longest header: what two octets can say (section 3).
pub const MAX_HEADER: usize = 0xffff;

/// How the node treats stations of this dialect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// A number that no other life of this node has: part of every lname (section 7).
    pub boot: u64,
    /// Longest body taken, in octets (section 14.1).
    pub max_body: usize,
    /// Octets that may wait for one station before it is closed as slow (section 14.2).
    pub outbox: usize,
    /// How long a station may take nothing of what waits for it before it is closed.
    pub stalled_after: Duration,
    /// Whether `stop` ends the node, if said by a station with the right to manage
    /// (section 6.5).
    pub stop: bool,
}

impl Settings {
    /// Small ones, for tests and hubs. A daemon says more.
    pub const DEFAULT: Settings =
        Settings { boot: 1, max_body: 1024, outbox: 256 * 1024, stalled_after: Duration::from_secs(60), stop: false };

    /// Octets of the longest frame, its two lengths included.
    pub const fn max_frame(&self) -> usize {
        frame::LENGTHS + MAX_HEADER + self.max_body
    }
}
