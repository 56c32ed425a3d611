//! Where a frame ends. Both of Messi's framings, told apart by a connection's first octet.
//!
//! Owns: headers, in `wire/messi.md` sections 2 and 3. A connection that begins with 0x00
//! speaks the old framing (eight octets of header), any other today's (four). The header is
//! remembered here, so it may come in pieces; payloads are not.

use super::wire::{HEADER, MAX_PAYLOAD, OLD_HEADER, kind};

/// Which of Messi's framings a connection speaks (section 3).
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Framing {
    /// Generation C, today's: type 1 octet, size 3.
    #[default]
    Today,
    /// Generation B: type 4 octets, size 4, the same types. Also what generation A is
    /// taken for until it pings.
    Old,
    /// Generation A: as B, but one type for user messages, 2 for ping and 3 for pong.
    /// Known by its ping.
    Oldest,
}

impl Framing {
    /// Octets of the header.
    pub const fn header(self) -> usize {
        match self {
            Framing::Today => HEADER,
            Framing::Old | Framing::Oldest => OLD_HEADER,
        }
    }

    /// Writes the header of a frame with `size` octets of payload. `out` has room for
    /// [`Framing::header`] octets. `kind` is one of today's types.
    pub fn write_header(self, kind: u8, size: usize, out: &mut [u8]) {
        let size = (size as u32).to_be_bytes();
        match self {
            Framing::Today => out[..HEADER].copy_from_slice(&[kind, size[1], size[2], size[3]]),
            Framing::Old | Framing::Oldest => {
                let kind = match (self, kind) {
                    (Framing::Oldest, kind::SERVER_TO_CLIENT) => kind::CLIENT_TO_SERVER,
                    (Framing::Oldest, kind::PING) => kind::PING_A,
                    (Framing::Oldest, kind::PONG) => kind::PONG_A,
                    _ => kind,
                };
                out[..4].copy_from_slice(&[0, 0, 0, kind]);
                out[4..OLD_HEADER].copy_from_slice(&size);
            }
        }
    }
}

/// Why the rest of a stream cannot be cut into frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Hopeless {
    /// The header announces more than the limit. Seen before the payload comes.
    TooBig {
        /// Octets announced, header included.
        announced: u32,
    },
    /// The old framing's type has a bit set above its lowest octet.
    Header,
}

/// Cuts a byte stream into frames, however it is split. Remembers at most one header.
#[derive(Debug, Default, Clone, Copy)]
pub struct Finder {
    head: [u8; OLD_HEADER],
    have: u8,
    framing: Framing,
    known: bool,
}

/// A header, whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Today's type number: generation A's are told by [`Finder::framing`].
    pub kind: u8,
    /// Octets of payload.
    pub size: usize,
}

impl Finder {
    /// For one new connection.
    pub const fn new() -> Self {
        Finder { head: [0; OLD_HEADER], have: 0, framing: Framing::Today, known: false }
    }

    /// The framing of this connection, as far as it is known.
    pub const fn framing(&self) -> Framing {
        self.framing
    }

    /// Learnt from a ping of type 2: this is generation A.
    pub fn is_oldest(&mut self) {
        self.framing = Framing::Oldest;
    }

    /// Whether a header has begun and is not used up.
    pub const fn is_inside(&self) -> bool {
        self.have > 0
    }

    /// Takes what it needs for the header from the front of `input`. `None`: more is needed,
    /// and all of `input` has been taken. The header stays until [`Finder::next`].
    /// `limit` is the longest frame allowed, header included.
    #[inline]
    pub fn header(&mut self, input: &mut &[u8], limit: usize) -> Result<Option<Header>, Hopeless> {
        if !self.known {
            let Some(&first) = input.first() else { return Ok(None) };
            self.framing = if first == 0 { Framing::Old } else { Framing::Today };
            self.known = true;
        }
        let n = self.framing.header();
        let have = self.have as usize;
        if have < n {
            let k = (n - have).min(input.len());
            let (now, rest) = input.split_at(k);
            self.head[have..have + k].copy_from_slice(now);
            self.have += k as u8;
            *input = rest;
            if (self.have as usize) < n {
                return Ok(None);
            }
        }
        let h = &self.head;
        let (kind, size) = match self.framing {
            Framing::Today => (h[0], u32::from_be_bytes([0, h[1], h[2], h[3]])),
            Framing::Old | Framing::Oldest => {
                if h[0] | h[1] | h[2] != 0 {
                    return Err(Hopeless::Header);
                }
                (h[3], u32::from_be_bytes([h[4], h[5], h[6], h[7]]))
            }
        };
        let limit = limit.min(MAX_PAYLOAD);
        if size as usize > limit.saturating_sub(n) {
            return Err(Hopeless::TooBig { announced: size.saturating_add(n as u32) });
        }
        Ok(Some(Header { kind, size: size as usize }))
    }

    /// The frame is used up: the next octet begins a header.
    #[inline]
    pub fn next(&mut self) {
        self.have = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_in_pieces_of_every_size() {
        for (bytes, framing, want) in [
            (&[1, 0, 0, 8][..], Framing::Today, Header { kind: 1, size: 8 }),
            (&[0, 0, 0, 1, 0, 0, 0, 8][..], Framing::Old, Header { kind: 1, size: 8 }),
        ] {
            for cut in 0..=bytes.len() {
                let mut f = Finder::new();
                let (mut a, mut b) = bytes.split_at(cut);
                let first = f.header(&mut a, 100).unwrap();
                assert!(a.is_empty());
                let got = if cut == bytes.len() { first } else { f.header(&mut b, 100).unwrap() };
                assert_eq!(got, Some(want));
                assert_eq!(f.framing(), framing);
                assert_eq!(f.header(&mut b, 100).unwrap(), Some(want), "stays until next()");
            }
        }
    }

    #[test]
    fn too_much_is_seen_on_the_header() {
        // messi.md vectors 50 and 51: a limit of 128 octets
        let mut f = Finder::new();
        assert_eq!(f.header(&mut &[1, 0xff, 0xff, 0xff][..], 128), Err(Hopeless::TooBig { announced: 0x100_0003 }));
        assert!(Finder::new().header(&mut &[1, 0, 0, 0x7d][..], 128).is_err());
        assert!(Finder::new().header(&mut &[1, 0, 0, 0x7c][..], 128).is_ok());
        assert_eq!(Finder::new().header(&mut &[0, 1, 0, 1, 0, 0, 0, 0][..], 128), Err(Hopeless::Header));
    }

    #[test]
    fn old_generations_have_other_numbers() {
        let mut h = [0xa5; 8];
        Framing::Oldest.write_header(kind::SERVER_TO_CLIENT, 2, &mut h);
        assert_eq!(h, [0, 0, 0, 1, 0, 0, 0, 2]);
        Framing::Oldest.write_header(kind::PONG, 0, &mut h);
        assert_eq!(h, [0, 0, 0, 3, 0, 0, 0, 0]);
        Framing::Old.write_header(kind::PONG, 0, &mut h);
        assert_eq!(h, [0, 0, 0, 4, 0, 0, 0, 0]);
        Framing::Today.write_header(kind::PONG, 0, &mut h);
        assert_eq!(h[..4], [4, 0, 0, 0]);
    }
}
