//! The seeded simulation: whole nodes, links, and stations of all dialects, on a bad network, against a model.
//!
//! Everything is the real thing except time, network, disk and applications: routers with their sessions, the
//! core's client, and clients of the other dialects as strict as the originals. The command is `sim`
//! (`cargo run -p chappe-host-tests --bin sim -- --help`); what is checked is in `docs/reliability.md`.
//!
//! | file | owns |
//! |---|---|
//! | `plan.rs` | what happens: an explicit list, made from a seed |
//! | `run.rs` | the clock, the network's ends, what befalls whom |
//! | `net.rs` | one connection: delay, window, half-open |
//! | `node.rs` | one node: router, model, disk and a witness |
//! | `station/` | one station: a real client and its application; a file for each dialect |
//! | `words/` | what is said and heard, whatever the dialect; a file for each |
//! | `model.rs` | what one node must do, with lists and maps |
//! | `monitor.rs` | what a station must be shown that monitors |
//! | `judge.rs` | what one connection must hear |
//! | `shrink.rs` | a shorter list that fails, too |
//! | `sweep.rs` | many seeds, on several threads |
//! | `tally.rs` | what happened how often |

pub mod judge;
pub mod model;
pub mod monitor;
pub mod net;
pub mod node;
pub mod plan;
pub mod run;
pub mod shrink;
pub mod station;
pub mod sweep;
pub mod tally;
pub mod words;

pub use plan::Plan;
pub use run::{Failure, Ran};
