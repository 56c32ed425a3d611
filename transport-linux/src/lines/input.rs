//! What came, as lines.
//!
//! Owns: the octets of lines that are not whole yet, up to the longest line taken. Does not own
//! where a line ends (the [`Finder`] of a dialect), nor what it says.

use std::io;

/// Octets read at once.
pub(crate) const READ: usize = 64 << 10;

/// Where the lines of a dialect end.
pub(crate) trait Finder: Default {
    /// A line is longer than is taken.
    type TooLong;

    /// Whether a line has begun and is not used up.
    fn is_inside(&self) -> bool;

    /// How many octets the line at the front has, all that was given before included. `None`: it
    /// goes on behind `input`. Empty lines are taken from the front of `input`.
    fn line(&mut self, input: &mut &[u8], limit: usize) -> Result<Option<usize>, Self::TooLong>;

    /// Uses up the line that was found. Returns what of it is to be understood.
    fn take<'l>(&mut self, line: &'l mut [u8]) -> &'l [u8];
}

/// A stream that comes in pieces, cut into lines.
#[derive(Debug)]
pub(crate) struct Input<F> {
    buf: Vec<u8>,
    /// Where the line begins that is at the front.
    start: usize,
    /// Up to where the finder has looked.
    looked: usize,
    /// Up to where there is anything.
    end: usize,
    finder: F,
    limit: usize,
}

impl<F: Finder> Input<F> {
    /// For one new connection. `limit`: octets of the longest line taken, with its end.
    pub(crate) fn new(limit: usize) -> Self {
        Input { buf: Vec::new(), start: 0, looked: 0, end: 0, finder: F::default(), limit }
    }

    /// For another connection.
    pub(crate) fn clear(&mut self) {
        *self = Input::new(self.limit);
    }

    /// Whether a line has begun and not ended.
    pub(crate) fn is_inside(&self) -> bool {
        self.start < self.end
    }

    /// One read, into at least 64 KiB.
    pub(crate) fn fill(&mut self, read: impl FnOnce(&mut [u8]) -> io::Result<usize>) -> io::Result<usize> {
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

    /// The next whole line, as [`Finder::take`] leaves it; never an empty one.
    pub(crate) fn next(&mut self) -> Result<Option<&[u8]>, F::TooLong> {
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
        let line = self.start..self.start + size;
        (self.start, self.looked) = (line.end, line.end);
        Ok(Some(self.finder.take(&mut self.buf[line])))
    }
}
