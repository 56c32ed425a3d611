//! What the fuzz targets share.
//!
//! | file | owns |
//! |---|---|
//! | `frames.rs` | native frames |
//! | `node.rs` | a router and stations of all dialects, under a virtual clock, and what must hold of all they hear |
//! | `play.rs` | operations of such stations, read from the fuzzer's input |
//! | `proto.rs` | a plain second reader of protobuf, by `core/proto/chappe.proto` itself |
//! | `words.rs` | a text of which the fuzzer's octets choose words |
//! | `scratch.rs` | files that only this process uses |

#![forbid(unsafe_code)]

pub mod frames;
pub mod node;
pub mod play;
pub mod proto;
pub mod scratch;
pub mod words;
