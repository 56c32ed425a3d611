//! Frames: two lengths, a header, a body (`wire/msgq.md` section 3).
//!
//! Owns: cutting a stream into frames whatever pieces it comes in, and making frames. Does
//! not own what a header says (`header.rs`).

use std::io;

use super::Error;

/// Octets of the two lengths.
const LENGTHS: usize = 6;

/// Longest header, by the width of its length.
pub(super) const MAX_HEADER: usize = u16::MAX as usize;

/// Octets asked for at once.
const READ: usize = 64 << 10;

/// Header and body.
type Parts<'c> = (&'c [u8], &'c [u8]);

/// What was received and not looked at yet.
#[derive(Debug)]
pub(super) struct Cutter {
    buf: Vec<u8>,
    /// Where the next frame begins.
    at: usize,
    max_body: usize,
}

impl Cutter {
    /// A body longer than that breaks the stream.
    pub(super) fn new(max_body: usize) -> Self {
        Cutter { buf: Vec::new(), at: 0, max_body }
    }

    /// Takes what one read gives. What is announced costs nothing before it is there.
    pub(super) fn fill(&mut self, read: impl FnOnce(&mut [u8]) -> io::Result<usize>) -> io::Result<usize> {
        self.buf.drain(..self.at);
        self.at = 0;
        if self.buf.is_empty() && self.buf.capacity() > 16 * READ {
            self.buf = Vec::new();
        }
        let had = self.buf.len();
        self.buf.resize(had + READ, 0);
        let result = read(&mut self.buf[had..]);
        self.buf.truncate(had + result.as_ref().copied().unwrap_or(0));
        result
    }

    /// Whether the stream stands inside a frame.
    pub(super) fn is_inside(&self) -> bool {
        self.at < self.buf.len()
    }

    /// The next whole frame.
    ///
    /// # Errors
    /// Lengths that no frame has. There is no way to find the next frame then.
    pub(super) fn next(&mut self) -> Result<Option<Parts<'_>>, &'static str> {
        let rest = &self.buf[self.at..];
        let Some(&[a, b, c, d]) = rest.first_chunk::<4>() else { return Ok(None) };
        let total = u32::from_be_bytes([a, b, c, d]) as usize;
        if total < 2 {
            return Err("a frame without room for its header's length");
        }
        if total > 2 + MAX_HEADER + self.max_body {
            return Err("a frame longer than this program takes");
        }
        let Some(&[_, _, _, _, h, l]) = rest.first_chunk::<LENGTHS>() else { return Ok(None) };
        let header = u16::from_be_bytes([h, l]) as usize;
        if header == 0 || header > total - 2 {
            return Err("a header that is empty or longer than its frame");
        }
        let Some(frame) = rest.get(LENGTHS..4 + total) else { return Ok(None) };
        self.at += 4 + total;
        Ok(Some(frame.split_at(header)))
    }
}

/// A frame of a header and a body, behind what is in `out` already.
pub(super) fn put(out: &mut Vec<u8>, header: &str, body: &[u8]) -> Result<(), Error> {
    let h = u16::try_from(header.len()).map_err(|_| Error::HeaderTooLong(header.len()))?;
    let total = u32::try_from(2 + header.len() + body.len()).map_err(|_| Error::BodyTooLong(body.len()))?;
    out.reserve(LENGTHS + header.len() + body.len());
    out.extend_from_slice(&total.to_be_bytes());
    out.extend_from_slice(&h.to_be_bytes());
    out.extend_from_slice(header.as_bytes());
    out.extend_from_slice(body);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn feed(cutter: &mut Cutter, bytes: &[u8]) {
        let n = cutter.fill(|buf| {
            buf[..bytes.len()].copy_from_slice(bytes);
            Ok(bytes.len())
        });
        assert_eq!(n.unwrap(), bytes.len());
    }

    #[test]
    fn frames_are_found_at_every_split() {
        // V4, V5, V1
        let mut stream = b"\0\0\0\x12\0\x10{\"type\": \"pong\"}".to_vec();
        stream.extend_from_slice(b"\0\0\0\x16\0\x10{\"type\": \"pong\"}\0\xffab");
        stream.extend_from_slice(b"\0\0\0\x32\0\x14{\"type\": \"getlname\"}{\"lname\": \"5f3759df_1@host\"}");
        for split in 0..=stream.len() {
            let mut cutter = Cutter::new(100);
            let mut seen = Vec::new();
            for piece in [&stream[..split], &stream[split..]] {
                feed(&mut cutter, piece);
                while let Some((header, body)) = cutter.next().unwrap() {
                    seen.push((header.len(), body.to_vec()));
                }
            }
            assert!(!cutter.is_inside());
            let bodies: [(usize, &[u8]); 3] = [(16, b""), (16, b"\0\xffab"), (20, b"{\"lname\": \"5f3759df_1@host\"}")];
            assert_eq!(seen, bodies.map(|(h, b)| (h, b.to_vec())), "cut at {split}");
        }
    }

    #[test]
    fn impossible_lengths_are_found_as_early_as_can_be() {
        // V30 to V33, V50
        for bytes in [&b"\0\0\0\0"[..], b"\0\0\0\x01", b"\0\0\0\x02\0\0", b"\0\0\0\x04\0\x03", b"\xff\xff\xff\xff"] {
            let mut cutter = Cutter::new(1 << 20);
            feed(&mut cutter, &bytes[..bytes.len() - 1]);
            assert_eq!(cutter.next(), Ok(None), "{bytes:?}");
            feed(&mut cutter, &bytes[bytes.len() - 1..]);
            cutter.next().expect_err("broken");
        }
    }

    #[test]
    fn no_header_is_too_long_for_its_length() {
        let mut out = b"before".to_vec();
        put(&mut out, "{}", b"x").unwrap();
        assert_eq!(out, b"before\0\0\0\x05\0\x02{}x");
        put(&mut out, &"x".repeat(MAX_HEADER), b"").unwrap();
        let had = out.len();
        assert!(matches!(put(&mut out, &"x".repeat(MAX_HEADER + 1), b""), Err(Error::HeaderTooLong(65_536))));
        assert_eq!(out.len(), had, "nothing of it is written");
    }
}
