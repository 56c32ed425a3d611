//! The protocol core of Chappe: one message bus from a microcontroller to a cluster.
//!
//! It parses what stations say, decides who hears it, and keeps what must be kept, in memory
//! that its caller sized. It has no heap, no clock, no I/O, no `unsafe`; time and randomness
//! are arguments. The same code is the router of the Linux daemon, a hub on a
//! microcontroller, and the client on a sensor.
//!
//! From the outside in:
//!
//! * [`storage`]: the memory of a node, and the only place where sizes are types.
//! * [`router`]: one node: stations, names, questions, values, flags. Its documentation has the
//!   rules of delivery and a complete shell.
//! * [`client`]: the other end: a station's own state machine.
//! * [`dialect`]: the wire protocols, one folder each.
//! * `discovery` (feature): how a station that knows no address finds a node.
//! * [`model`]: what is said, whatever the dialect.
//! * [`name`], [`id`], [`time`], [`limits`]: small things that all of them know.
#![no_std]
#![forbid(unsafe_code)]

pub mod buffer;
pub mod client;
pub mod dialect;
#[cfg(feature = "discovery")]
pub mod discovery;
pub mod id;
pub mod limits;
pub mod model;
pub mod name;
pub mod router;
pub mod storage;
pub mod time;
