//! What came, as lines.
//!
//! Owns: the octets of lines that are not whole yet, up to the longest line taken. Does not own
//! where a line ends (`chappe_core::dialect::clacks::frame`), nor what it says (`heard.rs`).

use std::io;

use chappe_core::dialect::clacks::frame::{self, Finder, TooLong};

/// Octets read at once.
const READ: usize = 64 << 10;

#[derive(Debug)]
pub(super) struct Input {
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

impl Input {
    pub(super) fn new(limit: usize) -> Self {
        Input { buf: Vec::new(), start: 0, looked: 0, end: 0, finder: Finder::new(), limit }
    }

    /// For another connection.
    pub(super) fn clear(&mut self) {
        *self = Input::new(self.limit);
    }

    /// Whether a line has begun and not ended.
    pub(super) fn is_inside(&self) -> bool {
        self.start < self.end
    }

    /// One read.
    pub(super) fn fill(&mut self, read: impl FnOnce(&mut [u8]) -> io::Result<usize>) -> io::Result<usize> {
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

    /// The next whole line, without its end and what does not belong to it; never an empty one.
    pub(super) fn next(&mut self) -> Result<Option<&[u8]>, TooLong> {
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
        let is_odd = self.finder.is_odd();
        self.finder.next();
        let line = self.start..self.start + size;
        (self.start, self.looked) = (line.end, line.end);
        if is_odd {
            let n = frame::compact(&mut self.buf[line.clone()]);
            return Ok(Some(&self.buf[line.start..line.start + n]));
        }
        Ok(Some(frame::content(&self.buf[line])))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(stream: &[u8], step: usize, limit: usize) -> Result<Vec<Vec<u8>>, TooLong> {
        let mut input = Input::new(limit);
        let mut found = Vec::new();
        for piece in stream.chunks(step) {
            input
                .fill(|buf| {
                    buf[..piece.len()].copy_from_slice(piece);
                    Ok(piece.len())
                })
                .unwrap();
            while let Some(line) = input.next()? {
                found.push(line.to_vec());
            }
        }
        assert_eq!(input.is_inside(), !stream.ends_with(b"\n"));
        Ok(found)
    }

    #[test]
    fn lines_in_pieces_of_every_size() {
        let stream = b"\r\n\nCLACKS x\r\n\r\nSET a=1\nSET b=\r2\r\r\n\r\n\r\n SET \xff\x00=  \r\nhalf";
        for step in 1..stream.len() {
            let found = lines(stream, step, 100).unwrap();
            assert_eq!(found, [&b"CLACKS x"[..], b"SET a=1", b"SET b=2", b" SET \xff\x00=  "], "{step}");
        }
    }

    #[test]
    fn long_lines_grow_and_too_long_ones_end() {
        let mut stream = b"SET a=".to_vec();
        stream.resize(1_000_000, b'x');
        stream.extend_from_slice(b"\r\nPING\r\n");
        for step in [1000, 65_536] {
            let found = lines(&stream, step, 1_000_002).unwrap();
            assert_eq!((found[0].len(), &found[1][..]), (1_000_000, &b"PING"[..]));
            assert_eq!(lines(&stream, step, 1_000_001), Err(TooLong));
        }
    }
}
