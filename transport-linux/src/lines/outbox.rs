//! What is to be written.
//!
//! Owns: lines that the operating system has not taken yet, whole lines only; which of them go
//! over to the next connection; and how many were taken. Does not own what they say.
//!
//! A line of which only a part was taken when the connection ended is there from its beginning
//! again: who listens throws away what has no end.

use std::collections::VecDeque;
use std::fmt;

/// Octets that were taken and are still in memory, before the rest is moved to the front.
const SLACK: usize = 256 << 10;

/// What becomes of a line when the connection ends before it was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
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
pub(crate) struct Outbox {
    bytes: Vec<u8>,
    /// Where the first line begins that was not taken whole.
    at: usize,
    /// Octets of that line that were taken.
    part: usize,
    lines: VecDeque<Line>,
    /// Kept lines that were put here, ever.
    put: u64,
    /// Kept lines that were taken whole, ever.
    taken: u64,
}

/// There may be a password in it.
impl fmt::Debug for Outbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outbox").field("len", &self.len()).field("lines", &self.lines.len()).finish_non_exhaustive()
    }
}

impl Outbox {
    /// Octets that wait.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len() - self.at - self.part
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Of the lines that are kept, how many were put here, and how many of them taken.
    pub(crate) fn counts(&self) -> (u64, u64) {
        (self.put, self.taken)
    }

    /// Puts one line, with its end, behind the others.
    pub(crate) fn put(&mut self, line: &[u8], fate: Fate) {
        self.bytes.extend_from_slice(line);
        self.note(line.len(), fate);
    }

    /// Puts one line that is written here, with its end, behind the others. `room`: what it needs
    /// at the most. `None`: it cannot be written, and nothing was put.
    pub(crate) fn emit(
        &mut self,
        room: usize,
        fate: Fate,
        write: impl FnOnce(&mut [u8]) -> Option<usize>,
    ) -> Option<()> {
        let from = self.bytes.len();
        self.bytes.resize(from + room, 0);
        let size = write(&mut self.bytes[from..]).unwrap_or(0);
        self.bytes.truncate(from + size);
        (size > 0).then(|| self.note(size, fate))
    }

    fn note(&mut self, size: usize, fate: Fate) {
        self.lines.push_back(Line { size, fate });
        self.put += u64::from(fate == Fate::Kept);
    }

    /// The last line, with its end.
    pub(crate) fn last(&self) -> &[u8] {
        let size = self.lines.back().map_or(0, |line| line.size);
        &self.bytes[self.bytes.len() - size..]
    }

    pub(crate) fn waiting(&self) -> &[u8] {
        &self.bytes[self.at + self.part..]
    }

    /// So many octets of what waits were taken.
    pub(crate) fn taken(&mut self, octets: usize) {
        self.part += octets;
        while let Some(line) = self.lines.front()
            && self.part >= line.size
        {
            self.part -= line.size;
            self.at += line.size;
            self.taken += u64::from(line.fate == Fate::Kept);
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
    pub(crate) fn keep(&mut self) {
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

    /// A new connection: these lines are said before all others, and only on this one.
    pub(crate) fn begin(&mut self, first: Outbox) {
        let rest = std::mem::replace(&mut self.bytes, first.bytes);
        self.bytes.extend_from_slice(&rest[self.at..]);
        (self.at, self.part) = (0, 0);
        let rest = std::mem::replace(&mut self.lines, first.lines);
        self.lines.extend(rest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn three() -> Outbox {
        let mut out = Outbox::default();
        out.put(b"SET a=1\r\n", Fate::Kept);
        out.put(b"PING\r\n", Fate::Dropped);
        out.put(b"SET b=2\r\n", Fate::Kept);
        out
    }

    #[test]
    fn at_every_octet_half_a_line_is_said_again_and_a_whole_one_is_not() {
        for taken in 0..=24 {
            let mut out = three();
            assert_eq!(out.len(), 24);
            for _ in 0..taken {
                out.taken(1);
            }
            assert_eq!(out.len(), 24 - taken);
            out.keep();
            let (rest, count) = match taken {
                0..9 => ("SET a=1\r\nSET b=2\r\n", 0),
                9..24 => ("SET b=2\r\n", 1),
                _ => ("", 2),
            };
            assert_eq!(out.waiting(), rest.as_bytes(), "{taken}");
            assert_eq!(out.counts(), (2, count));
            let mut first = Outbox::default();
            first.put(b"CLACKS x\r\n", Fate::Dropped);
            out.begin(first);
            assert_eq!(out.waiting(), format!("CLACKS x\r\n{rest}").as_bytes());
            out.taken(10);
            assert_eq!(out.waiting(), rest.as_bytes());
            out.taken(rest.len());
            assert!(out.is_empty() && out.counts() == (2, 2));
        }
    }

    #[test]
    fn what_is_written_here_is_as_what_is_put() {
        let mut out = three();
        let written = out.emit(50, Fate::Kept, |to| {
            to[..5].copy_from_slice(b"QUIT\n");
            Some(5)
        });
        assert_eq!((written, out.len(), out.counts().0), (Some(()), 29, 3));
        assert_eq!(out.last(), b"QUIT\n");
        assert!(out.waiting().ends_with(b"SET b=2\r\nQUIT\n"));
    }

    #[test]
    fn what_cannot_be_said_leaves_nothing_behind() {
        let mut out = three();
        assert_eq!(out.emit(50, Fate::Kept, |_| Some(0)), None);
        assert_eq!(out.emit(50, Fate::Kept, |_| None), None);
        assert_eq!((out.len(), out.counts().0), (24, 2));
        assert_eq!(out.last(), b"SET b=2\r\n");
    }

    #[test]
    fn memory_is_given_back() {
        let mut out = Outbox::default();
        for _ in 0..100_000 {
            out.put(b"SET abcdefg=hijklmnop\r\n", Fate::Kept);
        }
        while !out.is_empty() {
            out.taken(out.len().min(70_001));
            assert!(out.at <= SLACK + 70_001 || out.at * 2 <= out.bytes.len() + 70_001);
        }
        assert!(out.bytes.capacity() <= SLACK);
    }
}
