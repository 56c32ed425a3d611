//! What waits to be written: whole frames in a ring over the caller's slice.
//!
//! Owns: the room, the order, and which frame is partly written. A frame lies in one
//! piece: it enters whole or not at all (D3), so it can be written in place and sent as a
//! datagram. Does not own what is worth sending.

use super::SendError;
use crate::dialect::messi::repr::Message;
use crate::dialect::messi::wire::{HEADER, MAX_PAYLOAD, Writer, kind, varint_len};

/// Octets of the tag of a member of `ClientToServer`: its numbers are all below 16.
const TAG: usize = 1;

/// Ring of whole frames.
///
/// Frames lie in `head..tail`, or, once the end was reached, in `head..wrap` and then in
/// `0..tail`.
#[derive(Debug)]
pub(super) struct Outbox<'b> {
    buf: &'b mut [u8],
    head: usize,
    tail: usize,
    wrap: Option<usize>,
    /// Octets of the frame at `head` that are written already.
    done: usize,
    /// Longest frame that the node takes.
    limit: usize,
}

impl<'b> Outbox<'b> {
    pub(super) fn new(buf: &'b mut [u8]) -> Self {
        Outbox { buf, head: 0, tail: 0, wrap: None, done: 0, limit: usize::MAX }
    }

    pub(super) fn into_buffer(self) -> &'b mut [u8] {
        self.buf
    }

    /// The longest frame that the node takes, as it said in its Welcome; 0: it did not say.
    pub(super) fn set_limit(&mut self, octets: usize) {
        self.limit = if octets == 0 { usize::MAX } else { octets };
    }

    pub(super) fn clear(&mut self) {
        (self.head, self.tail, self.wrap, self.done) = (0, 0, None, 0);
    }

    /// Puts one frame with the member `number` of `ClientToServer`.
    pub(super) fn put<'m, M: Message<'m>>(&mut self, number: u32, message: &M) -> Result<(), SendError> {
        let body = self.open(number, message.len())?;
        message.write(&mut Writer::new(body));
        Ok(())
    }

    /// Header and tag of a frame whose member has `len` octets, which are returned.
    fn open(&mut self, number: u32, len: usize) -> Result<&mut [u8], SendError> {
        let inner = TAG + varint_len(len as u64);
        let out = self.reserve(HEADER + inner + len)?;
        let [_, a, b, c] = ((inner + len) as u32).to_be_bytes();
        let (head, body) = out.split_at_mut(HEADER + inner);
        let mut w = Writer::new(head);
        w.bytes(&[kind::CLIENT_TO_SERVER, a, b, c, (number as u8) << 3 | 2]);
        w.varint(len as u64);
        Ok(body)
    }

    /// Puts a ping. `false`: no room.
    pub(super) fn ping(&mut self) -> bool {
        match self.reserve(HEADER) {
            Ok(out) => {
                out.copy_from_slice(&[kind::PING, 0, 0, 0]);
                true
            }
            Err(_) => false,
        }
    }

    /// As [`Outbox::put`], with the octets of the message.
    pub(super) fn put_encoded(&mut self, number: u8, message: &[u8]) -> Result<(), SendError> {
        self.open(number.into(), message.len())?.copy_from_slice(message);
        Ok(())
    }

    /// Whether a frame with a member of `len` octets would be taken now.
    pub(super) fn room_for(&self, len: usize) -> Result<(), SendError> {
        self.place(HEADER + TAG + varint_len(len as u64) + len).map(drop)
    }

    /// Where `n` octets in one piece may go: at the tail, or, if `true`, at the start.
    fn place(&self, n: usize) -> Result<bool, SendError> {
        if n > self.buf.len().min(self.limit).min(HEADER + MAX_PAYLOAD) {
            return Err(SendError::TooBig);
        }
        let end = if self.wrap.is_some() { self.head } else { self.buf.len() };
        match n <= end - self.tail {
            true => Ok(false),
            // From the start, unless that is where frames are already.
            false if self.wrap.is_none() && n <= self.head => Ok(true),
            false => Err(SendError::Full),
        }
    }

    fn reserve(&mut self, n: usize) -> Result<&mut [u8], SendError> {
        if self.place(n)? {
            self.wrap = Some(self.tail);
            self.tail = 0;
        }
        let at = self.tail;
        self.tail += n;
        Ok(&mut self.buf[at..at + n])
    }

    /// What lies in one piece, all of which may be written.
    pub(super) fn output(&self) -> &[u8] {
        &self.buf[self.head + self.done..self.wrap.unwrap_or(self.tail)]
    }

    /// The rest of the first frame.
    pub(super) fn first(&self) -> &[u8] {
        let out = self.output();
        if out.is_empty() { out } else { &out[..self.frame_len(self.head) - self.done] }
    }

    fn frame_len(&self, at: usize) -> usize {
        HEADER + u32::from_be_bytes([0, self.buf[at + 1], self.buf[at + 2], self.buf[at + 3]]) as usize
    }

    /// `n` octets of `output` are written.
    pub(super) fn sent(&mut self, n: usize) {
        self.done += n.min(self.output().len());
        while self.head < self.wrap.unwrap_or(self.tail) {
            let len = self.frame_len(self.head);
            if self.done < len {
                return;
            }
            self.done -= len;
            self.head += len;
        }
        if self.wrap.take().is_some() {
            self.head = 0;
        } else {
            self.clear();
        }
    }

    /// How many letters and answers have not been written whole.
    pub(super) fn letters(&self) -> u32 {
        let mut n = 0;
        let (mut at, mut end) = (self.head, self.wrap.unwrap_or(self.tail));
        let mut more = self.wrap.is_some();
        loop {
            while at < end {
                let len = self.frame_len(at);
                // members 4 (send) and 5 (answer)
                if len > HEADER && matches!(self.buf[at + HEADER], 0x22 | 0x2a) {
                    n += 1;
                }
                at += len;
            }
            if !more {
                return n;
            }
            (at, end, more) = (0, self.tail, false);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::messi::repr::Letter;

    fn letter(body: &[u8]) -> Letter<'_> {
        Letter { name: "n", body, ..Default::default() }
    }

    #[test]
    fn frames_come_out_whole_and_in_order_through_many_laps() {
        for room in [40, 41, 47, 64, 100] {
            let mut buf = [0xa5; 100];
            let mut outbox = Outbox::new(&mut buf[..room]);
            let (mut put, mut got, mut step) = (0u8, 0u8, 1);
            let mut stream = heapless::Vec::<u8, 256>::new();
            while got < 250 {
                let body = [put; 9];
                if put < 250 && outbox.put(4, &letter(&body[..(put % 9) as usize + 1])).is_ok() {
                    put += 1;
                }
                step = step % 7 + 1;
                let piece = outbox.output();
                let n = piece.len().min(step * 4);
                stream.extend_from_slice(&piece[..n]).unwrap();
                outbox.sent(n);
                while stream.len() >= HEADER && stream.len() >= HEADER + stream[3] as usize {
                    let len = HEADER + stream[3] as usize;
                    let l = Letter::read(&stream[HEADER + 2..len]).unwrap();
                    assert_eq!(l.body.len(), (got % 9) as usize + 1);
                    assert!(got == 0 || l.body.iter().all(|&b| b <= got), "letter {got}: {:?}", l.body);
                    got += 1;
                    let rest: heapless::Vec<u8, 256> = heapless::Vec::from_slice(&stream[len..]).unwrap();
                    stream = rest;
                }
            }
            assert_eq!(outbox.letters(), 0);
        }
    }

    #[test]
    fn a_full_outbox_takes_nothing_and_keeps_what_it_has() {
        let mut buf = [0; 32];
        let mut outbox = Outbox::new(&mut buf);
        outbox.put(4, &letter(&[1; 10])).unwrap();
        let before: heapless::Vec<u8, 32> = heapless::Vec::from_slice(outbox.output()).unwrap();
        assert_eq!(outbox.put(4, &letter(&[2; 10])), Err(SendError::Full));
        assert_eq!(outbox.put(4, &letter(&[2; 40])), Err(SendError::TooBig));
        assert_eq!(outbox.output(), &before[..]);
        assert_eq!(outbox.letters(), 1);
        outbox.sent(3);
        assert_eq!(outbox.letters(), 1, "half a letter is not sent");
        outbox.sent(before.len() - 3);
        assert_eq!(outbox.letters(), 0);
        outbox.put(4, &letter(&[2; 10])).unwrap();
    }

    #[test]
    fn one_frame_at_a_time_for_datagrams() {
        let mut buf = [0; 64];
        let mut outbox = Outbox::new(&mut buf);
        assert!(outbox.first().is_empty());
        outbox.put(4, &letter(b"abc")).unwrap();
        assert!(outbox.ping());
        let n = outbox.first().len();
        assert_eq!(outbox.output().len(), n + HEADER);
        outbox.sent(n);
        assert_eq!(outbox.first(), [kind::PING, 0, 0, 0]);
        outbox.sent(HEADER);
        assert!(outbox.first().is_empty());
    }

    #[test]
    fn the_limit_of_the_node_is_kept() {
        let mut buf = [0; 64];
        let mut outbox = Outbox::new(&mut buf);
        outbox.set_limit(20);
        assert_eq!(outbox.put(4, &letter(&[0; 20])), Err(SendError::TooBig));
        outbox.put(4, &letter(&[0; 4])).unwrap();
    }
}
