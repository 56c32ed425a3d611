//! One connection on the simulated network: what is under way in both directions.
//!
//! Owns: delay, order, the window of what is not read yet, the end of a stream, and connections that only
//! seem to be there. Does not own who says what.

use std::collections::VecDeque;

/// One direction.
#[derive(Debug, Default)]
pub struct Pipe {
    /// When what arrives.
    flight: VecDeque<(u64, Vec<u8>)>,
    /// Octets that have arrived and were not taken.
    pub arrived: Vec<u8>,
    under_way: usize,
    last: u64,
    ends: Option<u64>,
    /// Everything before the end has arrived, and the end.
    pub ended: bool,
}

impl Pipe {
    /// Octets, `delay` milliseconds from `now`.
    pub fn put(&mut self, now: u64, delay: u64, bytes: &[u8]) {
        self.last = self.last.max(now + delay);
        self.under_way += bytes.len();
        self.flight.push_back((self.last, bytes.to_vec()));
    }

    /// Nothing comes behind what was put.
    pub fn end(&mut self, now: u64, delay: u64) {
        self.last = self.last.max(now + delay);
        self.ends.get_or_insert(self.last);
    }

    /// What has arrived by `now` can be taken.
    pub fn arrive(&mut self, now: u64) {
        while self.flight.front().is_some_and(|(at, _)| *at <= now) {
            let (_, bytes) = self.flight.pop_front().expect("it was looked at");
            self.under_way -= bytes.len();
            self.arrived.extend_from_slice(&bytes);
        }
        self.ended |= self.flight.is_empty() && self.ends.is_some_and(|at| at <= now);
    }

    /// When something arrives next.
    pub fn next(&self) -> Option<u64> {
        let end = self.ends.filter(|_| !self.ended);
        self.flight.front().map(|(at, _)| *at).into_iter().chain(end).min()
    }

    /// Octets that were put and not taken.
    pub fn unread(&self) -> usize {
        self.under_way + self.arrived.len()
    }
}

/// A connection to a node.
#[derive(Debug)]
pub struct Line {
    /// Milliseconds that octets are under way.
    pub delay: u64,
    /// Octets that the node is offered together.
    pub segment: usize,
    /// Octets that may wait towards the station.
    pub window: usize,
    /// To the node.
    pub up: Pipe,
    /// From the node.
    pub down: Pipe,
    /// Whatever is put vanishes, and neither end is told.
    pub half_open: bool,
    /// Octets that have vanished on their way from the node.
    vanished: usize,
}

impl Line {
    /// A new one.
    pub fn new(delay: u64, segment: usize, window: usize) -> Self {
        let (up, down) = Default::default();
        Line { delay, segment: segment.max(1), window: window.max(1), up, down, half_open: false, vanished: 0 }
    }

    /// Octets that the node may write now.
    pub fn room(&self) -> usize {
        self.window.saturating_sub(self.down.unread() + self.vanished)
    }

    /// The node writes.
    pub fn write_down(&mut self, now: u64, bytes: &[u8]) {
        if self.half_open {
            self.vanished += bytes.len();
        } else {
            self.down.put(now, self.delay, bytes);
        }
    }

    /// The station writes.
    pub fn write_up(&mut self, now: u64, bytes: &[u8]) {
        if !self.half_open {
            self.up.put(now, self.delay, bytes);
        }
    }

    /// From here on neither end hears the other, nor of its end.
    pub fn break_silently(&mut self) {
        self.half_open = true;
        self.up = Pipe::default();
        self.down = Pipe::default();
    }

    /// When something arrives next.
    pub fn next(&self) -> Option<u64> {
        self.up.next().into_iter().chain(self.down.next()).min()
    }
}
