//! Where a frame ends: two lengths in front of it (`wire/msgq.md` section 3).
//!
//! Owns: the six octets that hold them, which may come in pieces, and what is wrong with
//! them. They are remembered here; header and body are not.

use super::MAX_HEADER;

/// Octets of the two lengths.
pub const LENGTHS: usize = 6;

/// Octets of the first of them, which counts what follows it.
const TOTAL: usize = 4;

/// The two lengths, as far as they have come.
#[derive(Debug, Clone, Copy, Default)]
pub struct Finder {
    head: [u8; LENGTHS],
    have: u8,
}

/// What is behind the two lengths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lengths {
    /// Octets of the header, at least 1.
    pub header: u16,
    /// Octets of the body.
    pub body: usize,
}

/// Why a stream cannot go on: there is no way to find the next frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Broken {
    /// They contradict each other, or the header is empty.
    Lengths,
    /// The frame is longer than the node takes. Seen before any of it comes.
    TooBig,
}

impl Broken {
    /// For people.
    pub const fn text(self) -> &'static str {
        match self {
            Broken::Lengths => "the lengths of a frame are impossible: is this the right socket and protocol?",
            Broken::TooBig => "a frame with a longer body than the node takes",
        }
    }
}

impl Finder {
    /// For one new connection.
    pub const fn new() -> Self {
        Finder { head: [0; LENGTHS], have: 0 }
    }

    /// Whether a frame has begun and is not used up.
    pub const fn is_inside(&self) -> bool {
        self.have > 0
    }

    /// Takes what it needs for the lengths from the front of `input`. `None`: more is needed,
    /// and all of `input` has been taken. The lengths stay until [`Finder::next`].
    ///
    /// # Errors
    ///
    /// As soon as it can be known: what the first length alone betrays, without the second;
    /// then an empty header, one longer than the frame, or a body longer than `max_body`.
    #[inline]
    pub fn lengths(&mut self, input: &mut &[u8], max_body: usize) -> Result<Option<Lengths>, Broken> {
        let have = self.have as usize;
        if have < LENGTHS {
            let k = (LENGTHS - have).min(input.len());
            let (now, rest) = input.split_at(k);
            self.head[have..have + k].copy_from_slice(now);
            self.have += k as u8;
            *input = rest;
        }
        if (self.have as usize) < TOTAL {
            return Ok(None);
        }
        let [a, b, c, d, e, f] = self.head;
        // in usize it could overflow where that has 32 bits
        let total = u32::from_be_bytes([a, b, c, d]) as u64;
        if total < 2 {
            return Err(Broken::Lengths);
        }
        if total > (max_body as u64).saturating_add(2 + MAX_HEADER as u64) {
            return Err(Broken::TooBig);
        }
        if (self.have as usize) < LENGTHS {
            return Ok(None);
        }
        let header = u16::from_be_bytes([e, f]);
        match (total - 2).checked_sub(header as u64) {
            None => Err(Broken::Lengths),
            Some(_) if header == 0 => Err(Broken::Lengths),
            Some(body) if body > max_body as u64 => Err(Broken::TooBig),
            Some(body) => Ok(Some(Lengths { header, body: body as usize })),
        }
    }

    /// The frame is used up: the next octet begins a length.
    #[inline]
    pub fn next(&mut self) {
        self.have = 0;
    }
}

/// Octets of the frame that begins with `head`, its lengths included; `None`: fewer than the
/// four octets that say so.
#[inline]
pub fn frame_size(head: &[u8]) -> Option<usize> {
    let (total, _) = head.split_first_chunk::<TOTAL>()?;
    Some(TOTAL.saturating_add(u32::from_be_bytes(*total) as usize))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lengths of a stream given in two pieces, and what is left of the second.
    fn pieces(bytes: &[u8], cut: usize, max_body: usize) -> (Result<Option<Lengths>, Broken>, usize) {
        let mut f = Finder::new();
        let (mut a, mut b) = bytes.split_at(cut);
        match f.lengths(&mut a, max_body) {
            Ok(None) => {
                assert!(a.is_empty(), "all of it is taken while more is needed");
                assert_eq!(f.is_inside(), cut > 0);
                let got = f.lengths(&mut b, max_body);
                (got, b.len())
            }
            got => (got, a.len() + b.len()),
        }
    }

    #[test]
    fn lengths_in_pieces_of_every_size() {
        // V5: a ping with a body of four octets, then the beginning of another frame
        let bytes = b"\x00\x00\x00\x16\x00\x10{\"type\": \"ping\"}\x00\xffab\x00\x00";
        for cut in 0..bytes.len() {
            let (got, left) = pieces(bytes, cut, 4);
            assert_eq!(got, Ok(Some(Lengths { header: 16, body: 4 })), "{cut}");
            assert_eq!(left, bytes.len() - LENGTHS, "takes its six and no more");
        }
    }

    #[test]
    fn one_octet_at_a_time_and_they_stay_until_next() {
        let mut f = Finder::new();
        let want = Some(Lengths { header: 20, body: 0 });
        for (i, b) in b"\x00\x00\x00\x16\x00\x14".iter().enumerate() {
            let got = f.lengths(&mut core::slice::from_ref(b), 0).unwrap();
            assert_eq!(got, if i == 5 { want } else { None });
            assert!(f.is_inside());
        }
        let mut more = &b"{\"type\""[..];
        assert_eq!(f.lengths(&mut more, 0), Ok(want));
        assert_eq!(more.len(), 7, "the frame is not touched");
        f.next();
        assert!(!f.is_inside());
        assert_eq!(f.lengths(&mut &[][..], 0), Ok(None));
        assert!(!f.is_inside());
    }

    #[test]
    fn what_is_wrong_is_seen_however_it_comes() {
        for (bytes, why) in [
            // V30 to V33, V50, and each limit with what is just within it
            (b"\x00\x00\x00\x00\x00\x00", Some(Broken::Lengths)),
            (b"\x00\x00\x00\x01\x00\x00", Some(Broken::Lengths)),
            (b"\x00\x00\x00\x02\x00\x00", Some(Broken::Lengths)),
            (b"\x00\x00\x00\x04\x00\x03", Some(Broken::Lengths)),
            (b"\x00\x00\x00\x04\x00\x00", Some(Broken::Lengths)),
            (b"\x00\x00\x00\x04\x00\x02", None),
            (b"\x00\x00\x00\x03\x00\x01", None),
            (b"\xff\xff\xff\xff\x00\x14", Some(Broken::TooBig)),
            // 2 + 0xffff + 100 is the most there can be
            (b"\x00\x01\x00\x65\xff\xff", None),
            (b"\x00\x01\x00\x66\xff\xff", Some(Broken::TooBig)),
            (b"\x00\x01\x00\x65\xff\xfe", Some(Broken::TooBig)),
            (b"\x00\x00\x00\x67\x00\x01", None),
            (b"\x00\x00\x00\x68\x00\x01", Some(Broken::TooBig)),
        ] {
            for cut in 0..=bytes.len() {
                let (got, _) = pieces(bytes, cut, 100);
                assert_eq!(got.err(), why, "{bytes:?} cut at {cut}");
            }
        }
    }

    #[test]
    fn the_first_length_is_judged_alone() {
        for (four, why) in [
            (b"\x00\x00\x00\x00", Err(Broken::Lengths)),
            (b"\x00\x00\x00\x01", Err(Broken::Lengths)),
            (b"\x00\x00\x00\x02", Ok(None)),
            (b"\x00\x01\x00\x66", Err(Broken::TooBig)),
            (b"\xff\xff\xff\xff", Err(Broken::TooBig)),
        ] {
            let mut f = Finder::new();
            assert_eq!(f.lengths(&mut &four[..3], 100), Ok(None));
            assert_eq!(f.lengths(&mut &four[3..], 100), why, "{four:?}");
        }
    }

    #[test]
    fn a_body_without_limit_is_no_overflow() {
        let mut f = Finder::new();
        let got = f.lengths(&mut &b"\xff\xff\xff\xff\x00\x14"[..], usize::MAX).unwrap();
        assert_eq!(got, Some(Lengths { header: 20, body: 0xffff_ffff - 22 }));
    }

    #[test]
    fn the_size_of_a_frame_is_in_its_first_four_octets() {
        assert_eq!(frame_size(b"\x00\x00\x00\x16\x00\x14{"), Some(26));
        assert_eq!(frame_size(b"\x00\x00\x00\x16"), Some(26));
        for n in 0..4 {
            assert_eq!(frame_size(&b"\x00\x00\x00\x16"[..n]), None);
        }
    }
}
