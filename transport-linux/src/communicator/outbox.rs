//! What is to be written.
//!
//! Owns: lines that the operating system has not taken yet, whole lines only, and which of them
//! go over to the next connection. Does not own what they say (`message.rs`).
//!
//! A line of which only a part was taken when the connection ended is there from its beginning
//! again: the daemon throws away what has no end.

use std::collections::VecDeque;
use std::fmt;

/// Octets that were taken and are still in memory, before the rest is moved to the front.
const SLACK: usize = 256 << 10;

/// What becomes of a line when the connection ends before it was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// It goes over to the next connection.
    Kept,
    /// It is of use on this connection only, or is said again by other means.
    Dropped,
}

#[derive(Debug)]
struct Line {
    size: usize,
    fate: Fate,
}

#[derive(Default)]
pub(super) struct Outbox {
    bytes: Vec<u8>,
    /// Where the first line begins that was not taken whole.
    at: usize,
    /// Octets of that line that were taken.
    part: usize,
    lines: VecDeque<Line>,
}

/// There may be a password in it.
impl fmt::Debug for Outbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outbox").field("len", &self.len()).field("lines", &self.lines.len()).finish_non_exhaustive()
    }
}

impl Outbox {
    /// Octets that wait.
    pub(super) fn len(&self) -> usize {
        self.bytes.len() - self.at - self.part
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Puts one line, with its end, behind the others.
    pub(super) fn put(&mut self, line: &[u8], fate: Fate) {
        self.bytes.extend_from_slice(line);
        self.lines.push_back(Line { size: line.len(), fate });
    }

    pub(super) fn waiting(&self) -> &[u8] {
        &self.bytes[self.at + self.part..]
    }

    /// So many octets of what waits were taken.
    pub(super) fn taken(&mut self, octets: usize) {
        self.part += octets;
        while let Some(line) = self.lines.front()
            && self.part >= line.size
        {
            self.part -= line.size;
            self.at += line.size;
            self.lines.pop_front();
        }
        if self.at == self.bytes.len() {
            self.bytes.clear();
            self.bytes.shrink_to(SLACK);
            self.at = 0;
        } else if self.at > SLACK && self.at > self.bytes.len() / 2 {
            self.bytes.drain(..self.at);
            self.at = 0;
        }
    }

    /// The connection is over: only what is kept is left.
    pub(super) fn keep(&mut self) {
        let old = std::mem::take(&mut self.bytes);
        let mut from = std::mem::take(&mut self.at);
        self.part = 0;
        self.lines.retain(|line| {
            let bytes = &old[from..from + line.size];
            from += line.size;
            if line.fate == Fate::Kept {
                self.bytes.extend_from_slice(bytes);
            }
            line.fate == Fate::Kept
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn at_every_octet_half_a_line_is_said_again_and_a_whole_one_is_not() {
        for taken in 0..=21 {
            let mut out = Outbox::default();
            out.put(b"a/SET\n", Fate::Kept);
            out.put(b"ABSOLUTELY\n", Fate::Dropped);
            out.put(b"b/X\n", Fate::Kept);
            for _ in 0..taken {
                out.taken(1);
            }
            assert_eq!(out.len(), 21 - taken);
            out.keep();
            let rest = match taken {
                0..6 => "a/SET\nb/X\n",
                6..21 => "b/X\n",
                _ => "",
            };
            assert_eq!(out.waiting(), rest.as_bytes(), "{taken}");
            out.taken(rest.len());
            assert!(out.is_empty());
        }
    }

    #[test]
    fn memory_is_given_back() {
        let mut out = Outbox::default();
        for _ in 0..100_000 {
            out.put(b"service/COMMAND a=b\n", Fate::Kept);
        }
        while !out.is_empty() {
            out.taken(out.len().min(70_001));
            assert!(out.at <= SLACK + 70_001 || out.at * 2 <= out.bytes.len() + 70_001);
        }
        assert!(out.bytes.capacity() <= SLACK);
    }
}
