//! MQTT 3.1.1, QoS 0.

use super::{Kind, Parse, Proto, text};

pub struct Mqtt;

fn remaining(mut n: usize, out: &mut Vec<u8>) {
    loop {
        let b = (n & 127) as u8;
        n >>= 7;
        if n == 0 {
            out.push(b);
            return;
        }
        out.push(b | 128);
    }
}

fn string(s: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(&(s.len() as u16).to_be_bytes());
    out.extend_from_slice(s.as_bytes());
}

impl Proto for Mqtt {
    fn hello(&self, id: u32, out: &mut Vec<u8>) {
        let name = format!("b{}-{id}", std::process::id());
        out.push(0x10);
        remaining(10 + 2 + name.len(), out);
        string("MQTT", out);
        out.extend_from_slice(&[4, 2, 0, 0]); // level, clean session, no keep-alive
        string(&name, out);
    }

    fn subscribe(&self, topic: &str, out: &mut Vec<u8>) {
        out.push(0x82);
        remaining(2 + 2 + topic.len() + 1, out);
        out.extend_from_slice(&[0, 1]);
        string(topic, out);
        out.push(0);
    }

    fn publish(&self, topic: &str, payload: &[u8], out: &mut Vec<u8>) {
        out.push(0x30);
        remaining(2 + topic.len() + payload.len(), out);
        string(topic, out);
        out.extend_from_slice(payload);
    }

    fn frame(&self, inp: &[u8]) -> Parse {
        let mut n = 0usize;
        let mut at = 1;
        loop {
            let Some(&b) = inp.get(at) else {
                return Parse::Need;
            };
            n |= ((b & 127) as usize) << (7 * (at - 1));
            at += 1;
            if b < 128 {
                break;
            }
            if at > 4 {
                return Parse::Bad(text(inp));
            }
        }
        let (fixed, kind) = match inp[0] >> 4 {
            3 => {
                let Some(t) = inp.get(at..at + 2) else {
                    return Parse::Need;
                };
                let t = u16::from_be_bytes([t[0], t[1]]) as usize;
                if inp.len() < at + 2 + t {
                    return Parse::Need;
                }
                (at + 2 + t, Kind::Delivery)
            }
            2 => match inp.get(3) {
                None => return Parse::Need,
                Some(0) => (0, Kind::Ready),
                Some(c) => return Parse::Bad(format!("connection refused, code {c}")),
            },
            9 => (0, Kind::Ready),
            _ => (0, Kind::Other),
        };
        Parse::Frame { len: at + n, fixed, kind }
    }
}
