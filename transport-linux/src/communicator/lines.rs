//! A stream cut into lines, for programs.
//!
//! Owns: how programs are given it. Does not own the octets of lines that are not whole yet
//! (`lines/input.rs`), where a line ends (`chappe_core::dialect::communicator::frame`), nor what it
//! says (`message.rs`).

use std::io;

use chappe_core::dialect::communicator::frame::{Finder, TooLong};

use crate::lines;

pub(super) type Input = lines::Input<Finder>;

impl lines::Finder for Finder {
    type TooLong = TooLong;

    fn is_inside(&self) -> bool {
        Finder::is_inside(self)
    }

    fn line(&mut self, input: &mut &[u8], limit: usize) -> Result<Option<usize>, TooLong> {
        Finder::line(self, input, limit)
    }

    /// All of it: blanks and the LF are for the parser.
    fn take<'l>(&mut self, line: &'l mut [u8]) -> &'l [u8] {
        self.next();
        line
    }
}

/// A stream that comes in pieces, cut into lines. For programs that hold connections of their own;
/// a [`Session`](super::Session) does this itself.
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
pub struct Lines(Input);

impl Lines {
    /// For one new connection. `limit`: octets of the longest line taken, with its LF.
    pub fn new(limit: usize) -> Self {
        Lines(Input::new(limit))
    }

    /// Whether a line has begun and not ended.
    pub fn is_inside(&self) -> bool {
        self.0.is_inside()
    }

    /// These octets came.
    pub fn push(&mut self, mut octets: &[u8]) {
        while !octets.is_empty() {
            let piece = octets.len().min(lines::READ);
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
        self.0.fill(read)
    }

    /// The next whole line, with its end; never an empty one. It may be blank.
    ///
    /// # Errors
    ///
    /// It is longer than the limit: nobody knows where it ends, so the stream cannot go on.
    pub fn next_line(&mut self) -> Result<Option<&[u8]>, TooLong> {
        self.0.next()
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
