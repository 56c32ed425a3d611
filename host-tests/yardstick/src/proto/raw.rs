//! No protocol: frames of a fixed size, for the floor (`brokerbench floor`).
//!
//! A connection says in its first two bytes what it is: `S` or `P` and a group
//! digit; the floor answers one byte and from then on copies every byte of a
//! publisher to all subscribers of its group. What a subscriber of group 0 writes
//! goes to group 1 and the other way round, for request and reply.

use super::{Count, Kind, Parse, Proto};

pub struct Raw {
    pub size: usize,
}

pub const ACK: u8 = b'K';

fn group(topic: &str) -> u8 {
    if topic == "inbox" {
        b'1'
    } else if topic.starts_with("idle") {
        b'2'
    } else {
        b'0'
    }
}

impl Proto for Raw {
    fn hello(&self, _id: u32, _out: &mut Vec<u8>) {}

    fn announce(&self, topic: &str, out: &mut Vec<u8>) {
        out.extend_from_slice(&[b'P', group(topic)]);
    }

    fn subscribe(&self, topic: &str, out: &mut Vec<u8>) {
        out.extend_from_slice(&[b'S', group(topic)]);
    }

    fn publish(&self, _topic: &str, payload: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(payload);
    }

    fn frame(&self, inp: &[u8]) -> Parse {
        if inp.is_empty() {
            Parse::Need
        } else if inp[0] == ACK {
            Parse::Frame { len: 1, fixed: 0, kind: Kind::Ready }
        } else {
            Parse::Frame { len: self.size, fixed: 0, kind: Kind::Delivery }
        }
    }

    fn count(&self, inp: &[u8], c: &mut Count) -> Result<usize, String> {
        let mut at = 0;
        if inp.first() == Some(&ACK) {
            c.n[Kind::Ready as usize] += 1;
            at = 1;
        }
        let k = (inp.len() - at) / self.size;
        c.n[Kind::Delivery as usize] += k as u64;
        Ok(at + k * self.size)
    }
}
