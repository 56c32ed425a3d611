//! The binary framing of the sketch broker (`brokerbench mini`):
//! length of the rest (u32 le), operation, length of the topic, topic, payload.

use super::{Kind, Parse, Proto};

pub struct Mini;

pub const SUB: u8 = 1;
pub const MSG: u8 = 2; // publish and delivery are the same bytes
pub const SET: u8 = 3;
pub const GET: u8 = 4;
pub const OK: u8 = 5; // a subscription is in place
pub const DONE: u8 = 6; // a set is done
pub const VAL: u8 = 7;
pub const MISS: u8 = 8;

pub const HEAD: usize = 6;

pub fn put(op: u8, topic: &[u8], payload: &[u8], out: &mut Vec<u8>) {
    let n = (2 + topic.len() + payload.len()) as u32;
    out.extend_from_slice(&n.to_le_bytes());
    out.push(op);
    out.push(topic.len() as u8);
    out.extend_from_slice(topic);
    out.extend_from_slice(payload);
}

impl Proto for Mini {
    fn hello(&self, _id: u32, _out: &mut Vec<u8>) {}

    fn subscribe(&self, topic: &str, out: &mut Vec<u8>) {
        put(SUB, topic.as_bytes(), b"", out);
    }

    fn publish(&self, topic: &str, payload: &[u8], out: &mut Vec<u8>) {
        put(MSG, topic.as_bytes(), payload, out);
    }

    fn set(&self, key: &str, value: &[u8], out: &mut Vec<u8>) {
        put(SET, key.as_bytes(), value, out);
    }

    fn get(&self, key: &str, out: &mut Vec<u8>) {
        put(GET, key.as_bytes(), b"", out);
    }

    fn frame(&self, inp: &[u8]) -> Parse {
        if inp.len() < HEAD {
            return Parse::Need;
        }
        let n = u32::from_le_bytes([inp[0], inp[1], inp[2], inp[3]]) as usize;
        let (fixed, kind) = match inp[4] {
            MSG => (HEAD + inp[5] as usize, Kind::Delivery),
            OK => (0, Kind::Ready),
            DONE => (HEAD, Kind::Reply),
            VAL => (HEAD, Kind::Reply),
            o => return Parse::Bad(format!("operation {o}")),
        };
        if inp.len() < fixed {
            return Parse::Need;
        }
        Parse::Frame { len: 4 + n, fixed, kind }
    }
}
