//! The dialect of the Snap! Communicator and its event dispatcher (`wire/communicator.md`).

pub mod address;
mod base64;
pub mod cache;
pub mod command;
pub mod emit;
pub mod frame;
mod json;
pub mod name;
pub mod number;
pub mod params;
pub mod parse;
pub mod repr;
pub mod route;
pub mod say;
pub mod schema;
pub mod text;
pub mod translate;
pub mod udp;
#[cfg(test)]
mod vectors;

/// Version of the protocol, in `REGISTER` and `CONNECT` (section 1.1).
pub const VERSION: i64 = 1;

/// TCP port for clients (section 5.1).
pub const LOCAL_PORT: u16 = 4040;

/// TCP port for other servers.
pub const REMOTE_PORT: u16 = 4042;
