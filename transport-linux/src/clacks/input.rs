//! Where the lines of this dialect end, and what of them is to be understood.
//!
//! Owns: dropping CRs and the LF. Does not own the octets of lines that are not whole yet
//! (`lines/input.rs`), where a line ends (`chappe_core::dialect::clacks::frame`), nor what it says
//! (`heard.rs`).

use chappe_core::dialect::clacks::frame::{self, Finder, TooLong};

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

    fn take<'l>(&mut self, line: &'l mut [u8]) -> &'l [u8] {
        let is_odd = self.is_odd();
        self.next();
        if is_odd {
            let n = frame::compact(line);
            return &line[..n];
        }
        frame::content(line)
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
