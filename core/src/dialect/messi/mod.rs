//! The native dialect: Messi's frames with the messages of `core/proto/chappe.proto`.
//!
//! | file | owns |
//! |---|---|
//! | `wire.rs` | frame types, header sizes, single protobuf fields |
//! | `frame.rs` | where a frame ends, in both of Messi's framings |
//! | `repr.rs` | the messages, borrowed: reading, exact length, writing |

pub mod frame;
pub mod repr;
pub mod wire;
