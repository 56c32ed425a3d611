//! Where a line ends (`wire/communicator.md` section 1.8).
//!
//! Owns: finding the LF in a stream that comes in pieces, every octet looked at once; empty
//! lines, which are ignored silently; and the search for an octet. Does not own what a line
//! says nor its blanks: a CR before the LF goes with these (`parse.rs`). A line of blanks only
//! is a line, and an error there.
//!
//! Octets behind the last LF when a connection ends are no line, and are discarded. Datagrams
//! need none of this: each is one message (`udp.rs`).

/// Ends a line.
pub const LF: u8 = b'\n';

/// What is remembered of the line at the front of a stream.
#[derive(Debug, Clone, Copy, Default)]
pub struct Finder {
    /// Octets of it that were looked at and do not end it.
    seen: usize,
}

/// A line is longer than the node takes. The stream cannot go on: nobody knows how long it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct TooLong;

impl TooLong {
    /// For people.
    pub const fn text(self) -> &'static str {
        "a line longer than the node takes"
    }
}

impl Finder {
    /// For one new connection.
    pub const fn new() -> Self {
        Finder { seen: 0 }
    }

    /// Whether a line has begun and is not used up.
    pub const fn is_inside(&self) -> bool {
        self.seen > 0
    }

    /// How many octets the line at the front of the stream has, its end and what earlier
    /// inputs had of it included. `None`: it does not end in `input`, all of which belongs to
    /// it. Empty lines are taken from the front of `input`, nothing else is.
    ///
    /// Until [`Finder::next`] is called the answer stays the same, but `input` must begin
    /// where the last one ended if the line did not end in that.
    ///
    /// # Errors
    ///
    /// The line has more than `limit` octets. Known at the latest when more than these have
    /// come.
    #[inline]
    pub fn line(&mut self, input: &mut &[u8], limit: usize) -> Result<Option<usize>, TooLong> {
        if self.seen == 0 {
            while let [LF, rest @ ..] = *input {
                *input = rest;
            }
        }
        match find(input, LF, 0) {
            Some(at) => {
                let size = self.seen.saturating_add(at + 1);
                if size > limit { Err(TooLong) } else { Ok(Some(size)) }
            }
            None => {
                self.seen = self.seen.saturating_add(input.len());
                if self.seen > limit { Err(TooLong) } else { Ok(None) }
            }
        }
    }

    /// The line is used up: the next octet begins another.
    #[inline]
    pub fn next(&mut self) {
        *self = Finder::new();
    }
}

/// Octets of the line at the front of `bytes`, its end included. `None`: it has none yet.
#[inline]
pub fn line_size(bytes: &[u8]) -> Option<usize> {
    find(bytes, LF, 0).map(|at| at + 1)
}

/// Every octet of a word.
const ONES: u64 = 0x0101_0101_0101_0101;
/// The highest bit of every octet of a word.
const HIGHS: u64 = 0x8080_8080_8080_8080;

/// Where the first octet `b` of `bytes` is, not before `from`: eight octets at a time.
#[inline]
pub(super) fn find(bytes: &[u8], b: u8, from: usize) -> Option<usize> {
    let rest = bytes.get(from..)?;
    let (words, _) = rest.as_chunks::<8>();
    for (i, eight) in words.iter().enumerate() {
        let odd = u64::from_le_bytes(*eight) ^ (ONES * b as u64);
        // marks octets that are none; the lowest mark is right, one above it may not be
        let marks = odd.wrapping_sub(ONES) & !odd & HIGHS;
        if marks != 0 {
            return Some(from + i * 8 + (marks.trailing_zeros() / 8) as usize);
        }
    }
    let tail = words.len() * 8;
    rest.get(tail..)?.iter().position(|o| *o == b).map(|at| from + tail + at)
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec::Vec;

    /// The lines of a stream that comes in these pieces, ends included.
    fn lines(pieces: &[&[u8]], limit: usize) -> Result<Vec<Vec<u8>>, TooLong> {
        let (mut finder, mut kept, mut all) = (Finder::new(), Vec::new(), Vec::new());
        for mut input in pieces.iter().copied() {
            while let Some(size) = finder.line(&mut input, limit)? {
                let (part, rest) = input.split_at(size - kept.len());
                kept.extend_from_slice(part);
                all.push(core::mem::take(&mut kept));
                finder.next();
                input = rest;
            }
            assert!(finder.is_inside() || input.is_empty());
            kept.extend_from_slice(input);
        }
        Ok(all)
    }

    #[test]
    fn the_same_lines_wherever_the_stream_is_cut() {
        let stream = b"STOP\r\n\n\n<a:b c/D e=1;f=\"x;y\"\n \r\n\nlong line that has more than eight octets\nhalf";
        let want: &[&[u8]] =
            &[b"STOP\r\n", b"<a:b c/D e=1;f=\"x;y\"\n", b" \r\n", b"long line that has more than eight octets\n"];
        assert_eq!(lines(&[stream], 100).unwrap(), want);
        for cut in 0..stream.len() {
            let (a, b) = stream.split_at(cut);
            assert_eq!(lines(&[a, b], 100).unwrap(), want, "cut at {cut}");
        }
        let single: Vec<&[u8]> = stream.chunks(1).collect();
        assert_eq!(lines(&single, 100).unwrap(), want);
    }

    #[test]
    fn the_limit_counts_the_end() {
        for (limit, ok) in [(5, true), (4, false)] {
            assert_eq!(lines(&[b"STOP\n"], limit).is_ok(), ok);
            assert_eq!(lines(&[b"ST", b"OP\n"], limit).is_ok(), ok);
        }
        // half a line, and already too much of it
        assert_eq!(lines(&[b"STOPS"], 4), Err(TooLong));
        assert!(lines(&[b"STOP"], 4).is_ok());
        assert_eq!(lines(&[b"ST", b"OPS"], 4), Err(TooLong));
    }

    #[test]
    fn empty_lines_leave_nothing_behind() {
        let mut finder = Finder::new();
        let mut input = &b"\n\n\n"[..];
        assert_eq!(finder.line(&mut input, 1), Ok(None));
        assert!(input.is_empty() && !finder.is_inside());
    }

    #[test]
    fn found_wherever_it_stands() {
        let mut bytes = [0x8bu8; 40];
        for at in 0..40 {
            for b in [LF, 0, b'\\', 0x80, 0xff, 0x8a, 0x8c] {
                bytes[at] = b;
                for from in 0..=40 {
                    assert_eq!(find(&bytes, b, from), (from <= at).then_some(at));
                }
            }
            bytes[at] = 0x8b;
        }
        assert_eq!(find(b"", 0, 1), None);
        assert_eq!(line_size(b"STOP\nX"), Some(5));
        assert_eq!(line_size(b"STOP"), None);
    }
}
