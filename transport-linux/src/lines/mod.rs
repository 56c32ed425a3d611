//! What clients of dialects in lines have in common.
//!
//! Owns: lines on their way in and out, whatever they say. Does not own what they say, nor what is
//! said when: `clacks` and `communicator` do.
//!
//! | file | owns |
//! |---|---|
//! | `input.rs` | octets that came, as lines |
//! | `link.rs` | one connection at a time to the same place |
//! | `outbox.rs` | what is to be written, and what of it is kept |

mod input;
mod link;
mod outbox;

pub(crate) use input::{Finder, Input, READ};
pub(crate) use link::{Link, Read};
pub(crate) use outbox::{Fate, Outbox};
