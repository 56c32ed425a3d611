//! Chappe on microcontrollers: the core's client and router over a smoltcp interface, and the client over any
//! `embedded-io` stream.
//!
//! | module | owns |
//! |---|---|
//! | [`client`] | one station over one TCP socket |
//! | [`stream`] | one station over a serial line |
//! | `discovery` (feature) | finding the node to connect to |
//! | [`hub`] | a router behind a pool of listening TCP sockets |
//!
//! Does not own: the interface, its sockets' buffers, the device and the clock. They are the firmware's, which polls
//! smoltcp as always and these beside it:
//!
//! ```text
//! loop {
//!     interface.poll(now, &mut device, &mut sockets);
//!     let due = client.poll(now, &mut interface, &mut sockets, |client, event| …);
//!     application.poll(now, client.client());
//!     interface.poll(now, &mut device, &mut sockets);        // what was written just now
//!     // sleep until `wake(due, …)`, the application's own deadline, or an interrupt of the device
//! }
//! ```
//!
//! No heap, no `unsafe`, no blocking: each `poll` does a bounded amount of work, which is what the sockets' buffers
//! hold, and returns when it has something to do at the latest; [`wake`] adds smoltcp's own deadlines to that.
#![no_std]
#![forbid(unsafe_code)]

pub mod client;
#[cfg(feature = "discovery")]
pub mod discovery;
pub mod hub;
mod pump;
pub mod stream;

use chappe_core::time::Instant;
use smoltcp::iface::{Interface, SocketSet};

/// smoltcp's time for ours.
pub fn to_smoltcp(now: Instant) -> smoltcp::time::Instant {
    // 292 million years fit
    smoltcp::time::Instant::from_millis(now.millis() as i64)
}

/// Our time for smoltcp's, rounded up: who sleeps until then does not wake too early.
pub fn from_smoltcp(then: smoltcp::time::Instant) -> Instant {
    let up = then.total_micros().max(0) as u64;
    Instant::from_millis(up.div_ceil(1000))
}

/// When to come back at the latest: what a `poll` returned, or smoltcp's own deadline (retransmission, address look-up),
/// whatever is sooner. A loop that comes back every few milliseconds anyway does without, and without the code for it.
pub fn wake(due: Option<Instant>, now: Instant, interface: &mut Interface, sockets: &SocketSet<'_>) -> Option<Instant> {
    sooner(due, interface.poll_at(to_smoltcp(now), sockets).map(from_smoltcp))
}

/// The earlier of two deadlines, either of which may not be there.
fn sooner(a: Option<Instant>, b: Option<Instant>) -> Option<Instant> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, None) => a,
        (None, b) => b,
    }
}
