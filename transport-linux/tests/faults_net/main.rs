//! Faults of sockets, on the real daemon with a listener of every kind: descriptors that run out,
//! clients that vanish, readers that do not read, writers that never stop, garbage, floods. Beside each of them steady
//! pairs (`pulse`) prove that nobody else loses anything, and say what it costs them.
//!
//! Owns: the faults and what they print. `CHAPPE_FAULT_SECONDS=60` makes each load last that
//! long instead of a second or two, `CHAPPE_SEED` repeats what was random:
//!
//! ```sh
//! cargo nextest run -p chappe-linux --test faults_net
//! CHAPPE_FAULT_SECONDS=60 cargo test --release -p chappe-linux --test faults_net -- --nocapture --test-threads 1
//! ```
//!
//! Times are printed and never judged: that is for who reads them (`docs/reliability.md`).

#[path = "../support/mod.rs"]
mod support;

mod descriptors;
mod dice;
mod flood;
mod garbage;
mod greedy;
mod house;
mod member;
mod pulse;
mod slow;
mod vanish;
