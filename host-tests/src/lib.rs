//! What the tests share.
//!
//! | file | owns |
//! |---|---|
//! | `world.rs` | a real router and real clients under a virtual clock |
//! | `event.rs` | what a client was told, owned, so that tests can keep and compare it |
//! | `random.rs` | repeatable random numbers |
//! | `show.rs` | messages as one line of text, as vectors expect them |
//! | `vectors.rs` | finds and reads vectors |
//! | `daemon.rs` | the `chappe` binary as a process |
//! | `qemu.rs` | firmware in QEMU, as a process |

#![forbid(unsafe_code)]

pub mod daemon;
pub mod event;
pub mod qemu;
pub mod random;
pub mod show;
pub mod vectors;
pub mod world;
