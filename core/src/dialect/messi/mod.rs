//! The native dialect: Messi's frames with the messages of `core/proto/chappe.proto`.
//!
//! | file | owns |
//! |---|---|
//! | `wire.rs` | frame types, header sizes, single protobuf fields |
//! | `frame.rs` | where a frame ends, in both of Messi's framings |
//! | `repr.rs` | the messages, borrowed: reading, exact length, writing |
//! | `session.rs` | what the frames of one connection mean to a node |
//! | `emit.rs` | what a node says |
//!
//! There is no `parse.rs` and no `translate.rs` here as in other dialects: reading is made
//! together with writing by one macro in `repr.rs`, and this dialect's messages are the
//! model ([`crate::model`]) into which the others translate.
//!
//! Not supported, on purpose: merging a member of `messages` that occurs twice in one
//! payload (refused by name), and payloads above 16 MiB (the header cannot say them).

pub(crate) mod emit;
pub mod frame;
pub mod repr;
pub(crate) mod session;
pub mod wire;
