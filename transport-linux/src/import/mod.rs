//! Moving to Chappe: from Net::Clacks its values and its configuration, from the Snap! Communicator
//! its configuration.
//!
//! Owns: what their files say, and what that is here. Does not own their protocols, which
//! `chappe_core::dialect` and the daemon speak, nor where values are kept (`store`).
//!
//! | file | owns |
//! |---|---|
//! | `values.rs` | entries of the persistence file as values of a store |
//! | `persistence.rs` | the forms of that file |
//! | `yaml.rs` | the YAML in it |
//! | `config.rs` | settings of the original as what Chappe has for them |
//! | `print.rs` | that as TOML, and the files it is written to |
//! | `xml.rs` | the original's configuration file |
//! | `communicator.rs` | the Communicator's configuration files, and what they become |
//!
//! Nothing here is needed by a running daemon.

mod communicator;
mod config;
mod persistence;
mod print;
mod values;
mod xml;
mod yaml;

pub use communicator::{COMMUNICATOR_FILE, CommunicatorPlan, SIGNAL_SECRET_FILE};
pub use config::{Around, ConfigError, Plan};
pub use persistence::{Damage, Form};
pub use print::{CONFIG_FILE, PASSWORD_FILE, Places, STORE_FILE};
pub use values::{Error, Outcome, Reason, Skipped, Target, values};
