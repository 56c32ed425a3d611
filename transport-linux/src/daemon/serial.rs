//! Serial lines: one station at a time over a terminal device.
//!
//! Owns: opening the device, and again with growing pauses when it is gone. A line has no
//! connections: a station begins with the first byte that comes while there is none, and
//! when the router lets it go the line waits for the next.

use std::path::PathBuf;

use chappe_core::time::{Duration, Instant};
use mio::{Registry, Token};

use super::connection::{Connection, Kind};
use crate::sys;

const FIRST_PAUSE_MS: u32 = 250;
const LONGEST_PAUSE_MS: u32 = 8000;

/// One device.
#[derive(Debug)]
pub(super) struct Line {
    path: PathBuf,
    speed: u32,
    /// The number of its listener.
    pub(super) listener: u16,
    pub(super) state: State,
    pause_ms: u32,
}

/// Where it is.
#[derive(Debug)]
pub(super) enum State {
    /// Not open; to be tried again then.
    Gone(Instant),
    /// Open, nobody has spoken.
    Idle(Connection),
    /// A station speaks over it.
    Busy,
}

impl Line {
    pub(super) fn new(path: PathBuf, speed: u32, listener: u16, now: Instant) -> Self {
        Line { path, speed, listener, state: State::Gone(now), pause_ms: FIRST_PAUSE_MS }
    }

    /// When there is something to do without an event.
    pub(super) fn deadline(&self) -> Option<Instant> {
        match self.state {
            State::Gone(at) => Some(at),
            _ => None,
        }
    }

    /// Opens the device. An error says why not; it will be tried again.
    pub(super) fn open(&mut self, registry: &Registry, token: Token, now: Instant) -> Result<(), String> {
        let opened = sys::open_serial(&self.path, self.speed).and_then(|fd| {
            let connection = Connection::new(fd, self.listener, Kind::Serial);
            connection.register(registry, token)?;
            Ok(connection)
        });
        match opened {
            Ok(connection) => {
                self.state = State::Idle(connection);
                Ok(())
            }
            Err(e) => {
                self.gone(now);
                Err(format!("{} cannot be opened: {e}", self.path.display()))
            }
        }
    }

    /// The device is gone, or broken.
    pub(super) fn gone(&mut self, now: Instant) {
        self.state = State::Gone(now + Duration::from_millis(self.pause_ms));
        self.pause_ms = (self.pause_ms * 2).min(LONGEST_PAUSE_MS);
    }

    /// Bytes have come: it works.
    pub(super) fn works(&mut self) {
        self.pause_ms = FIRST_PAUSE_MS;
    }
}
