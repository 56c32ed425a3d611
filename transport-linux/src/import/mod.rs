//! Moving from Net::Clacks to Chappe: its values and its configuration.
//!
//! Owns: what its files say, and what that is here. Does not own its protocol, which
//! `chappe_core::dialect::clacks` and the daemon speak, nor where values are kept (`store`).
//!
//! | file | owns |
//! |---|---|
//! | `values.rs` | entries of the persistence file as values of a store |
//! | `persistence.rs` | the forms of that file |
//! | `yaml.rs` | the YAML in it |
//! | `config.rs` | settings of the original as what Chappe has for them |
//! | `print.rs` | that as TOML, and the files it is written to |
//! | `xml.rs` | the original's configuration file |
//!
//! Nothing here is needed by a running daemon.

mod config;
mod persistence;
mod print;
mod values;
mod xml;
mod yaml;

pub use config::{Around, ConfigError, Plan};
pub use persistence::{Damage, Form};
pub use print::{CONFIG_FILE, PASSWORD_FILE, Places, STORE_FILE};
pub use values::{Error, Outcome, Reason, Skipped, Target, values};
