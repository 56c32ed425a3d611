//! The dialect of the Snap! Communicator and its event dispatcher (`wire/communicator.md`).

pub mod command;
pub mod emit;
pub mod frame;
mod json;
pub mod name;
pub mod parse;
pub mod repr;
pub mod text;
pub mod udp;
