//! The protocol of Net::Clacks, as its Perl library writes it.
//!
//! Written from `wire/clacks.md` alone, without chappe-core, so that the yardstick also checks the
//! daemon's bytes. A message is `SET topic=payload`. A value is stored by `STORE`, which has no
//! answer, and asked for by `RETRIEVE`, whose answer proves both: lines of one connection are
//! dealt with in order. So that answer counts as two, and stores and retrievals have to take
//! turns, as in workload w4.

use super::{Kind, Parse, Proto, find, text};

pub struct Clacks;

/// exampleuser and unsafepassword (section 4.2).
const TOKEN: &str = "ZXhhbXBsZXVzZXI=:dW5zYWZlcGFzc3dvcmQ=";

impl Clacks {
    fn kind(line: &[u8]) -> Result<Kind, String> {
        match line {
            l if l.starts_with(b"SET ") => Ok(Kind::Delivery),
            l if l.starts_with(b"RETRIEVED ") => Ok(Kind::Reply),
            l if l.starts_with(b"FLUSHED ") || l.starts_with(b"OVERHEAD O ") => Ok(Kind::Ready),
            l if l.starts_with(b"CLACKS ") || l.starts_with(b"OVERHEAD M ") => Ok(Kind::Other),
            b"" | b"NOP" => Ok(Kind::Other),
            l => Err(text(l)),
        }
    }
}

impl Proto for Clacks {
    fn hello(&self, id: u32, out: &mut Vec<u8>) {
        out.extend_from_slice(format!("CLACKS bench{id}\r\nOVERHEAD A {TOKEN}\r\n").as_bytes());
    }

    fn subscribe(&self, topic: &str, out: &mut Vec<u8>) {
        out.extend_from_slice(format!("LISTEN {topic}\r\nFLUSH {topic}\r\n").as_bytes());
    }

    fn publish(&self, topic: &str, payload: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(b"SET ");
        out.extend_from_slice(topic.as_bytes());
        out.push(b'=');
        out.extend_from_slice(payload);
        out.extend_from_slice(b"\r\n");
    }

    fn set(&self, key: &str, value: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(b"STORE ");
        out.extend_from_slice(key.as_bytes());
        out.push(b'=');
        out.extend_from_slice(value);
        out.extend_from_slice(b"\r\n");
    }

    fn get(&self, key: &str, out: &mut Vec<u8>) {
        out.extend_from_slice(format!("RETRIEVE {key}\r\n").as_bytes());
    }

    fn frame(&self, inp: &[u8]) -> Parse {
        let Some(nl) = find(inp, b'\n') else { return Parse::Need };
        let line = inp[..nl].strip_suffix(b"\r").unwrap_or(&inp[..nl]);
        match Clacks::kind(line) {
            // the same again is the same message again
            Ok(Kind::Delivery) => Parse::Frame { len: nl + 1, fixed: (nl + 1).min(128), kind: Kind::Delivery },
            Ok(kind) => Parse::Frame { len: nl + 1, fixed: 0, kind },
            Err(e) => Parse::Bad(e),
        }
    }

    fn replies(&self, kind: Kind) -> u64 {
        if kind == Kind::Reply { 2 } else { 1 }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Count;
    use super::*;

    #[test]
    fn an_answer_to_retrieve_stands_for_the_store_before_it() {
        let p = Clacks;
        let mut c = Count::new();
        let heard = b"CLACKS PageCamel 36\r\nOVERHEAD M Authentication required\r\nOVERHEAD O Welcome!\r\n\
            SET t=1\r\nSET t=1\r\nRETRIEVED k=v\r\n\r\nFLUSHED t\r\nRETR";
        assert_eq!(p.count(heard, &mut c), Ok(heard.len() - 4));
        assert_eq!([Kind::Delivery, Kind::Ready, Kind::Reply].map(|k| c.of(k)), [2, 2, 2]);
        assert!(p.count(b"NOTRETRIEVED k\r\n", &mut c).is_err(), "a miss");
        assert!(p.count(b"OVERHEAD E permission_denied\r\n", &mut c).is_err());
    }

    #[test]
    fn lines_are_those_of_the_page() {
        let mut out = Vec::new();
        Clacks.hello(7, &mut out);
        Clacks.subscribe("t", &mut out);
        Clacks.publish("t", b"1", &mut out);
        Clacks.set("k", b"v", &mut out);
        Clacks.get("k", &mut out);
        let want = "CLACKS bench7\r\nOVERHEAD A ZXhhbXBsZXVzZXI=:dW5zYWZlcGFzc3dvcmQ=\r\nLISTEN t\r\nFLUSH t\r\n\
            SET t=1\r\nSTORE k=v\r\nRETRIEVE k\r\n";
        assert_eq!(text(&out)[..], want[..120.min(want.len())]);
    }
}
