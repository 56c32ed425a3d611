//! Moving from Net::Clacks to Chappe: its values.
//!
//! Owns: what its files say, and what that is here. Does not own its protocol, which
//! `chappe_core::dialect::clacks` and the daemon speak, nor where values are kept (`store`).
//!
//! | file | owns |
//! |---|---|
//! | `values.rs` | entries of the persistence file as values of a store |
//! | `persistence.rs` | the forms of that file |
//! | `yaml.rs` | the YAML in it |
//!
//! Nothing here is needed by a running daemon.

mod persistence;
mod values;
mod yaml;

pub use persistence::{Damage, Form};
pub use values::{Error, Outcome, Reason, Skipped, Target, values};
