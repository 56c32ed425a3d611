//! Stations that are not heard for now, and what they have said meanwhile.
//!
//! Owns: that such a station is not read, what had been read of it already, and how much of
//! that there may be for all of them. Does not own why it is not heard: it has said a password
//! that is being looked at (`sign_ins.rs`), or the router holds it back until something else
//! is through ([`Action::Resume`](chappe_core::router::Action::Resume)): a flush, a list, a
//! linked server that sends its values. What it goes on to say waits in the kernel, which makes
//! it wait, too; and its end is noticed when what it had said before has been heard.

use chappe_core::id::StationId;
use chappe_core::time::Instant;
use tracing::warn;

use super::{EventLoop, second};
use crate::daemon::peers::Peer;

/// Of what may wait for stations, as much may wait of them here.
const SHARE: u64 = 4;

impl EventLoop<'_> {
    /// What the router has not taken of a station stays here; it is not read any more.
    #[cold]
    pub(super) fn hold(&mut self, now: Instant, id: StationId, at: usize, n: usize) {
        match self.peers.get(id) {
            Some(Peer::Stream(connection)) => {
                // The event that it has broken may have come with the last that it said. Whose
                // password is looked at has said nothing yet that counts.
                if connection.ended
                    && self.router.is_unverified(id)
                    && let Some(e) = connection.take_error()
                {
                    return self.lose(now, id, &e.to_string());
                }
                connection.waits = true;
                if at < n {
                    let most = self.limits.buffers / SHARE;
                    if (self.held_bytes + n - at) as u64 > most {
                        self.counts.held_too_much += 1;
                        if now >= self.held_log {
                            self.held_log = now + second();
                            let so_far = self.counts.held_too_much;
                            warn!(
                                event = "connection.no_memory",
                                station = id.number(),
                                so_far,
                                "no memory for what stations say while they wait: raise limits.buffers"
                            );
                        }
                        return self.lose(now, id, "no memory for what it said while it had to wait");
                    }
                    self.held_bytes += n - at;
                    self.held.insert(id, self.buffer[at..n].into());
                }
            }
            Some(Peer::Datagram(..)) if at < n => self.counts.datagrams_early += 1,
            _ => {}
        }
    }

    /// What a station had said while it waited is in the buffer now. `None`: it had not.
    #[cold]
    pub(super) fn take_held(&mut self, id: StationId) -> Option<usize> {
        let bytes = self.held.remove(&id)?;
        self.held_bytes -= bytes.len();
        self.buffer[..bytes.len()].copy_from_slice(&bytes);
        Some(bytes.len())
    }

    /// A station is gone.
    pub(super) fn forget_held(&mut self, id: StationId) {
        if let Some(bytes) = self.held.remove(&id) {
            self.held_bytes -= bytes.len();
        }
    }

    /// A station is heard again: what is here of it first, then what has come since.
    pub(super) fn resume(&mut self, id: StationId) {
        let Some(Peer::Stream(connection)) = self.peers.get(id) else { return };
        if std::mem::take(&mut connection.waits) && !connection.queued {
            connection.queued = true;
            self.ready.push(id);
        }
    }
}
