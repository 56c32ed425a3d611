//! One frame at a time out of whatever pieces the transport brings.
//!
//! Owns: the octets of one frame that has begun and not ended. Does not own what a frame
//! means (`mod.rs`), nor the old framing: a client speaks today's only.
//!
//! A frame longer than the buffer is skipped and counted, not taken for the end of the
//! connection: otherwise anybody who publishes something long could keep a small board
//! reconnecting for ever (`wire/messi.md` section 17, points 5 and 32).

use crate::dialect::messi::frame::Hopeless;
use crate::dialect::messi::wire::HEADER;

/// A whole frame, borrowed from the input or from the inbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Type of the frame, see [`kind`](crate::dialect::messi::wire::kind).
    pub kind: u8,
    /// What stands behind the header.
    pub payload: &'a [u8],
}

/// Collects one frame at a time; events borrow from it or from the input, never from the
/// client.
#[derive(Debug)]
pub struct Inbox<'b> {
    buf: &'b mut [u8],
    head: [u8; HEADER],
    head_len: u8,
    have: usize,
    skipped: u32,
}

impl<'b> Inbox<'b> {
    /// `buf` holds the longest payload that is taken; longer ones are skipped and counted
    /// in [`Inbox::skipped`]. An asker whose question was skipped hears from the node when
    /// its time is over.
    pub const fn new(buf: &'b mut [u8]) -> Self {
        Inbox { buf, head: [0; HEADER], head_len: 0, have: 0, skipped: 0 }
    }

    /// Gives its memory back.
    pub fn into_buffer(self) -> &'b mut [u8] {
        self.buf
    }

    /// The next whole frame, or `None` when all of `input` is taken. Moves `input` forward.
    /// A frame that lies whole in the input is not copied.
    ///
    /// # Errors
    /// The peer does not speak today's framing: the connection is of no use. Tell the
    /// client by [`Client::hopeless`](super::Client::hopeless).
    pub fn take<'a, 'i: 'a>(&'a mut self, input: &mut &'i [u8]) -> Result<Option<Frame<'a>>, Hopeless> {
        loop {
            let have = self.head_len as usize;
            // nothing can follow such an octet, however often somebody asks
            if have > 0 && self.head[0] == 0 {
                return Err(Hopeless::Header);
            }
            if have < HEADER {
                let (now, rest) = input.split_at((HEADER - have).min(input.len()));
                self.head[have..have + now.len()].copy_from_slice(now);
                self.head_len += now.len() as u8;
                *input = rest;
                if self.head_len > 0 && self.head[0] == 0 {
                    return Err(Hopeless::Header);
                }
                if (self.head_len as usize) < HEADER {
                    return Ok(None);
                }
                self.have = 0;
            }
            let [kind, a, b, c] = self.head;
            let size = u32::from_be_bytes([0, a, b, c]) as usize;
            let (now, rest) = input.split_at((size - self.have).min(input.len()));
            *input = rest;
            let begin = self.have;
            self.have += now.len();
            let whole = self.have == size;
            if whole {
                self.head_len = 0;
            }
            if size > self.buf.len() {
                if !whole {
                    return Ok(None);
                }
                self.skipped = self.skipped.wrapping_add(1);
                continue;
            }
            if whole && begin == 0 {
                return Ok(Some(Frame { kind, payload: now }));
            }
            self.buf[begin..begin + now.len()].copy_from_slice(now);
            if !whole {
                return Ok(None);
            }
            return Ok(Some(Frame { kind, payload: &self.buf[..size] }));
        }
    }

    /// Forgets a frame that has begun. To be called at every new connection, so that what
    /// is left of a broken one is not taken for the beginning of the next.
    pub fn clear(&mut self) {
        self.head_len = 0;
        self.have = 0;
    }

    /// How many frames were too long for the buffer, since [`Inbox::new`].
    pub const fn skipped(&self) -> u32 {
        self.skipped
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three frames of 3, 0 and 5 octets.
    const STREAM: [u8; 20] = [2, 0, 0, 3, 10, 11, 12, 4, 0, 0, 0, 2, 0, 0, 5, 1, 2, 3, 4, 5];

    fn collect(inbox: &mut Inbox<'_>, mut piece: &[u8], seen: &mut heapless::Vec<(u8, heapless::Vec<u8, 8>), 8>) {
        while let Some(f) = inbox.take(&mut piece).unwrap() {
            seen.push((f.kind, heapless::Vec::from_slice(f.payload).unwrap())).unwrap();
        }
        assert!(piece.is_empty());
    }

    #[test]
    fn every_way_to_cut_a_stream_gives_the_same_frames() {
        let mut want = heapless::Vec::new();
        collect(&mut Inbox::new(&mut [0; 5]), &STREAM, &mut want);
        assert_eq!(want.len(), 3);
        for a in 0..=STREAM.len() {
            for b in a..=STREAM.len() {
                let mut buf = [0xa5; 5];
                let mut inbox = Inbox::new(&mut buf);
                let mut seen = heapless::Vec::new();
                for piece in [&STREAM[..a], &STREAM[a..b], &STREAM[b..]] {
                    collect(&mut inbox, piece, &mut seen);
                }
                assert_eq!(seen, want, "cut at {a} and {b}");
            }
        }
        let mut buf = [0xa5; 5];
        let mut inbox = Inbox::new(&mut buf);
        let mut seen = heapless::Vec::new();
        STREAM.chunks(1).for_each(|piece| collect(&mut inbox, piece, &mut seen));
        assert_eq!(seen, want, "one octet at a time");
    }

    #[test]
    fn a_frame_that_does_not_fit_is_skipped_however_it_is_cut() {
        for cut in 0..=STREAM.len() {
            let mut buf = [0; 4];
            let mut inbox = Inbox::new(&mut buf);
            let mut seen = heapless::Vec::new();
            collect(&mut inbox, &STREAM[..cut], &mut seen);
            collect(&mut inbox, &STREAM[cut..], &mut seen);
            assert_eq!(seen.len(), 2);
            assert_eq!(inbox.skipped(), 1);
            collect(&mut inbox, &STREAM[..7], &mut seen);
            assert_eq!(seen[2], seen[0], "and the next one is read");
        }
    }

    #[test]
    fn half_a_frame_does_not_outlive_its_connection() {
        // weak points 4 and 5: the refused or half-read size stays for the next connection
        let mut buf = [0; 5];
        let mut inbox = Inbox::new(&mut buf);
        assert_eq!(inbox.take(&mut &[2, 0, 0xff, 0xff, 1, 2][..]), Ok(None));
        inbox.clear();
        assert_eq!(inbox.take(&mut &STREAM[..7]), Ok(Some(Frame { kind: 2, payload: &[10, 11, 12] })));
        assert_eq!(inbox.take(&mut &STREAM[..6]), Ok(None));
        inbox.clear();
        assert_eq!(inbox.take(&mut &STREAM[7..11]), Ok(Some(Frame { kind: 4, payload: &[] })));
    }

    #[test]
    fn the_old_framing_is_hopeless() {
        let mut buf = [0; 5];
        assert_eq!(Inbox::new(&mut buf).take(&mut &[0, 0, 0, 2][..]), Err(Hopeless::Header));
    }
}
