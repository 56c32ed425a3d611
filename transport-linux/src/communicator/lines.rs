//! What came, as lines.
//!
//! Owns: the octets of lines that are not whole yet, up to the longest line taken. Does not own
//! where a line ends (`chappe_core::dialect::communicator::frame`), nor what it says
//! (`message.rs`).

use std::io;

use chappe_core::dialect::communicator::frame::{Finder, TooLong};

/// Octets read at once.
const READ: usize = 64 << 10;

/// A stream that comes in pieces, cut into lines. For programs that hold connections of their own;
/// a [`Session`](super::Session) has one inside.
///
/// ```
/// use chappe_linux::communicator::Lines;
///
/// let mut lines = Lines::new(1024);
/// lines.push(b"DAD\n\nTO");
/// assert_eq!(lines.next_line().unwrap(), Some(&b"DAD\n"[..]));
/// assert_eq!(lines.next_line().unwrap(), None);
/// lines.push(b"P\n");
/// assert_eq!(lines.next_line().unwrap(), Some(&b"TOP\n"[..]));
/// ```
#[derive(Debug)]
pub struct Lines {
    buf: Vec<u8>,
    /// Where the line begins that is at the front.
    start: usize,
    /// Up to where the finder has looked.
    looked: usize,
    /// Up to where there is anything.
    end: usize,
    finder: Finder,
    limit: usize,
}

impl Lines {
    /// For one new connection. `limit`: octets of the longest line taken, with its LF.
    pub fn new(limit: usize) -> Self {
        Lines { buf: Vec::new(), start: 0, looked: 0, end: 0, finder: Finder::new(), limit }
    }

    /// For another connection.
    pub(super) fn clear(&mut self) {
        *self = Lines::new(self.limit);
    }

    /// Whether a line has begun and not ended.
    pub fn is_inside(&self) -> bool {
        self.start < self.end
    }

    /// These octets came.
    pub fn push(&mut self, mut octets: &[u8]) {
        while !octets.is_empty() {
            let piece = octets.len().min(READ);
            // nothing is read that could fail
            let _ = self.fill(|buf| {
                buf[..piece].copy_from_slice(&octets[..piece]);
                Ok(piece)
            });
            octets = &octets[piece..];
        }
    }

    /// One read, into at least 64 KiB.
    ///
    /// # Errors
    ///
    /// Those of `read`.
    pub fn fill(&mut self, read: impl FnOnce(&mut [u8]) -> io::Result<usize>) -> io::Result<usize> {
        if self.start == self.end {
            (self.start, self.looked, self.end) = (0, 0, 0);
            if self.buf.len() > 16 * READ {
                self.buf = Vec::new();
            }
        }
        if self.buf.len() - self.end < READ {
            if self.start > self.buf.len() / 2 {
                self.buf.copy_within(self.start..self.end, 0);
                self.looked -= self.start;
                self.end -= self.start;
                self.start = 0;
            }
            // twice as much each time, so that a long line is not moved for each of its pieces
            if self.buf.len() - self.end < READ {
                self.buf.resize((self.buf.len() * 2).max(READ * 2), 0);
            }
        }
        let n = read(&mut self.buf[self.end..])?;
        self.end += n;
        Ok(n)
    }

    /// The next whole line, with its end; never an empty one. It may be blank.
    ///
    /// # Errors
    ///
    /// It is longer than the limit: nobody knows where it ends, so the stream cannot go on.
    pub fn next_line(&mut self) -> Result<Option<&[u8]>, TooLong> {
        let mut rest = &self.buf[self.looked..self.end];
        let had = rest.len();
        let was_inside = self.finder.is_inside();
        let found = self.finder.line(&mut rest, self.limit)?;
        if !was_inside {
            self.start = self.looked + (had - rest.len());
        }
        let Some(size) = found else {
            self.looked = self.end;
            return Ok(None);
        };
        self.finder.next();
        let line = self.start..self.start + size;
        (self.start, self.looked) = (line.end, line.end);
        Ok(Some(&self.buf[line]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(stream: &[u8], step: usize, limit: usize) -> Result<Vec<Vec<u8>>, TooLong> {
        let mut input = Lines::new(limit);
        let mut found = Vec::new();
        for piece in stream.chunks(step) {
            input.push(piece);
            while let Some(line) = input.next_line()? {
                found.push(line.to_vec());
            }
        }
        assert_eq!(input.is_inside(), !stream.ends_with(b"\n"));
        Ok(found)
    }

    #[test]
    fn lines_in_pieces_of_every_size() {
        let stream = b"\n\nHELP\r\n\n<a:b c/D e=\"x;\xff\"\n \n\nhalf";
        for step in 1..stream.len() {
            let found = lines(stream, step, 100).unwrap();
            assert_eq!(found, [&b"HELP\r\n"[..], b"<a:b c/D e=\"x;\xff\"\n", b" \n"], "{step}");
        }
    }

    #[test]
    fn long_lines_grow_and_too_long_ones_end() {
        let mut stream = b"CMD a=".to_vec();
        stream.resize(1_000_000, b'x');
        stream.extend_from_slice(b"\nHELP\n");
        for step in [1000, 65_536, 2_000_000] {
            let found = lines(&stream, step, 1_000_001).unwrap();
            assert_eq!((found[0].len(), &found[1][..]), (1_000_001, &b"HELP\n"[..]));
            assert_eq!(lines(&stream, step, 1_000_000), Err(TooLong));
        }
    }
}
