//! What the tests share.
//!
//! | file | owns |
//! |---|---|
//! | `world.rs` | a real router and real clients under a virtual clock |
//! | `msgq.rs` | a station that speaks MSGQ, as strict as the original libraries |
//! | `json.rs` | JSON as those libraries read it |
//! | `clacks/` | clients, links and a second server of Net::Clacks |
//! | `communicator/` | clients and a second server of the Communicator |
//! | `dialogue.rs` | finds, reads and plays dialogues: the vectors of MSGQ |
//! | `memory.rs` | memory for a router of any size |
//! | `disk.rs` | a store of values whose disk is a test's |
//! | `event.rs` | what a client was told, owned, so that tests can keep and compare it |
//! | `random.rs` | repeatable random numbers |
//! | `sim/` | the seeded simulation of nodes, links, stations of all dialects |
//! | `show.rs` | messages as one line of text, as vectors expect them |
//! | `vectors.rs` | finds and reads vectors |
//! | `daemon.rs` | the `chappe` binary as a process |
//! | `qemu.rs` | firmware in QEMU, as a process |

#![forbid(unsafe_code)]

pub mod clacks;
pub mod communicator;
pub mod daemon;
pub mod dialogue;
pub mod disk;
pub mod event;
pub mod json;
pub mod memory;
pub mod msgq;
pub mod qemu;
pub mod random;
pub mod show;
pub mod sim;
pub mod vectors;
pub mod world;
