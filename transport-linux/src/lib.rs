//! The Chappe message bus on Linux: the daemon, the command line and the client library.
//!
//! [`daemon`] is one thread around one epoll set that drives the router of `chappe-core`;
//! [`config`] is what it reads at start. [`client`] is a station, for programs and for the
//! command line; [`msgq`] is one on a bus of BIND 10, and [`clacks`] a client of Clacks servers,
//! [`communicator`] a service of a Communicator daemon. [`discovery`] finds nodes whose address nobody
//! knows. [`tls`] and [`password`] are for both ends; [`flags`] are flags in files; [`import`] reads
//! what Net::Clacks has left.
//! Everything that needs `unsafe` is in `sys`.

#![deny(unsafe_code)]

pub mod address;
pub mod calendar;
pub mod clacks;
pub mod client;
pub mod communicator;
pub mod config;
pub mod daemon;
pub mod discovery;
pub mod flags;
pub mod import;
mod lines;
pub mod msgq;
pub mod password;
pub mod store;
#[allow(unsafe_code)]
mod sys;
pub mod tls;
