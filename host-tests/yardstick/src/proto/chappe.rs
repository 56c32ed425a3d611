//! Chappe's native dialect: the messages of `core/proto/chappe.proto` in Messi frames.
//!
//! Written from the .proto file and `wire/messi.md` alone, without chappe-core, so that the
//! yardstick also checks the daemon's bytes. Only what the workloads need; fields are written
//! in the order of their numbers, defaults are left out.
//!
//! A frame is one octet of type, three of size (big endian) and a payload: one
//! `ServerToClient` or `ClientToServer`, that is one member of its oneof. What an answer
//! belongs to is told by its `seq`, which is the same for all requests of a sort.

use super::{Kind, Parse, Proto};

pub struct Chappe;

const HEADER: usize = 4;

/// Types of frames.
mod frame {
    pub const USER_TO_SERVER: u8 = 1;
    pub const USER_TO_CLIENT: u8 = 2;
    pub const PONG: u8 = 4;
}

/// Members of `ClientToServer`.
mod ask {
    pub const HELLO: u32 = 1;
    pub const JOIN: u32 = 2;
    pub const SEND: u32 = 4;
    pub const ANSWER: u32 = 5;
    pub const STORE: u32 = 6;
}

/// Members of `ServerToClient`.
mod tell {
    pub const WELCOME: u32 = 1;
    pub const OUTCOME: u32 = 2;
    pub const MESSAGE: u32 = 3;
    pub const REPLY: u32 = 4;
    pub const VALUE: u32 = 5;
    pub const ITEM: u32 = 6;
    pub const FLAG_CHANGE: u32 = 8;
    pub const CLOSING: u32 = 9;
}

/// `Code`, as far as it is not taken for an error.
mod code {
    pub const OK: u64 = 0;
    pub const RECIPIENT_BUSY: u64 = 4;
    pub const SLOW: u64 = 20;
}

/// `seq` of the requests. Letters without `ask` have none: they are answered only if they fail.
mod seq {
    pub const HELLO: u64 = 1;
    pub const JOIN: u64 = 2;
    pub const STORE: u64 = 3;
    pub const ASK: u64 = 4;
}

const STORE_SET: u64 = 1;

/// How long a station may be silent: longer than any run, as the generator never pings.
const SILENCE_MS: u64 = 600_000;

fn varint(mut v: u64, out: &mut Vec<u8>) {
    while v >= 0x80 {
        out.push(v as u8 | 0x80);
        v >>= 7;
    }
    out.push(v as u8);
}

fn number(field: u32, v: u64, out: &mut Vec<u8>) {
    if v != 0 {
        varint((field << 3) as u64, out);
        varint(v, out);
    }
}

fn bytes(field: u32, b: &[u8], out: &mut Vec<u8>) {
    if !b.is_empty() {
        message(field, b, out);
    }
}

/// As `bytes`, but an empty message is there all the same.
fn message(field: u32, b: &[u8], out: &mut Vec<u8>) {
    varint((field << 3 | 2) as u64, out);
    varint(b.len() as u64, out);
    out.extend_from_slice(b);
}

/// A whole frame with one member of `ClientToServer`.
fn put(member: u32, inner: &[u8], out: &mut Vec<u8>) {
    let at = out.len();
    out.extend_from_slice(&[frame::USER_TO_SERVER, 0, 0, 0]);
    message(member, inner, out);
    let size = (out.len() - at - HEADER) as u32;
    out[at + 1..at + HEADER].copy_from_slice(&size.to_be_bytes()[1..]);
}

fn letter(name: &str, body: &[u8], seq: u64, ask: bool, out: &mut Vec<u8>) {
    let mut m = Vec::with_capacity(name.len() + body.len() + 16);
    bytes(1, name.as_bytes(), &mut m);
    bytes(3, body, &mut m);
    number(9, seq, &mut m);
    number(10, ask as u64, &mut m);
    put(ask::SEND, &m, out);
}

fn store(op: u64, key: &str, value: &[u8], out: &mut Vec<u8>) {
    let mut m = Vec::with_capacity(key.len() + value.len() + 16);
    number(1, seq::STORE, &mut m);
    number(2, op, &mut m);
    bytes(3, key.as_bytes(), &mut m);
    bytes(4, value, &mut m);
    put(ask::STORE, &m, out);
}

enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

/// The fields of a protobuf message. `None` inside: it cannot be read.
struct Fields<'a>(&'a [u8]);

fn read_varint(b: &mut &[u8]) -> Option<u64> {
    let mut v = 0u64;
    for i in 0..10 {
        let (&o, rest) = b.split_first()?;
        *b = rest;
        v |= ((o & 0x7f) as u64) << (7 * i);
        if o < 0x80 {
            return Some(v);
        }
    }
    None
}

fn take<'a>(b: &mut &'a [u8], n: u64) -> Option<&'a [u8]> {
    let (a, rest) = b.split_at_checked(usize::try_from(n).ok()?)?;
    *b = rest;
    Some(a)
}

impl<'a> Iterator for Fields<'a> {
    type Item = Option<(u32, Value<'a>)>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let mut read = || {
            let tag = read_varint(&mut self.0)?;
            let v = match tag & 7 {
                0 => Value::Number(read_varint(&mut self.0)?),
                1 => Value::Bytes(take(&mut self.0, 8)?),
                2 => {
                    let n = read_varint(&mut self.0)?;
                    Value::Bytes(take(&mut self.0, n)?)
                }
                5 => Value::Bytes(take(&mut self.0, 4)?),
                _ => return None,
            };
            Some(((tag >> 3) as u32, v))
        };
        let r = read();
        if r.is_none() {
            self.0 = &[];
        }
        Some(r)
    }
}

/// The number in a field; the last one counts, as protobuf has it. `None`: malformed.
fn find_number(m: &[u8], field: u32) -> Option<u64> {
    let mut found = 0;
    for f in Fields(m) {
        match f? {
            (n, Value::Number(v)) if n == field => found = v,
            _ => {}
        }
    }
    Some(found)
}

fn find_text(m: &[u8], field: u32) -> String {
    for (n, v) in Fields(m).flatten() {
        if let (true, Value::Bytes(b)) = (n == field, v) {
            return String::from_utf8_lossy(b).into_owned();
        }
    }
    String::new()
}

/// The member of the oneof that fills the payload: its number, its bytes, and how many
/// octets come before them.
fn member(payload: &[u8]) -> Option<(u32, &[u8], usize)> {
    let mut b = payload;
    let tag = read_varint(&mut b)?;
    let n = read_varint(&mut b)?;
    (tag & 7 == 2 && n == b.len() as u64).then_some(((tag >> 3) as u32, b, payload.len() - b.len()))
}

fn malformed(whole: &[u8]) -> Parse {
    Parse::Bad(format!("not a ServerToClient: {:02x?}", &whole[..whole.len().min(64)]))
}

fn numbers(m: &[u8], a: u32, b: u32) -> Option<(u64, u64)> {
    Some((find_number(m, a)?, find_number(m, b)?))
}

fn refused(what: &str, seq: u64, code: u64, m: &[u8], text: u32) -> Parse {
    Parse::Bad(format!("{what} of seq {seq}: code {code}, {:?}", find_text(m, text)))
}

impl Proto for Chappe {
    fn hello(&self, id: u32, out: &mut Vec<u8>) {
        let mut m = Vec::new();
        number(1, seq::HELLO, &mut m);
        bytes(2, format!("b{id}").as_bytes(), &mut m);
        number(5, SILENCE_MS, &mut m);
        put(ask::HELLO, &m, out);
    }

    fn subscribe(&self, topic: &str, out: &mut Vec<u8>) {
        let mut m = Vec::new();
        number(1, seq::JOIN, &mut m);
        bytes(2, topic.as_bytes(), &mut m);
        put(ask::JOIN, &m, out);
    }

    fn publish(&self, topic: &str, payload: &[u8], out: &mut Vec<u8>) {
        letter(topic, payload, 0, false, out);
    }

    fn request(&self, topic: &str, _inbox: &str, payload: &[u8], out: &mut Vec<u8>) {
        letter(topic, payload, seq::ASK, true, out);
    }

    fn reply(&self, frame: &[u8], _inbox: &str, payload: &[u8], out: &mut Vec<u8>) {
        // A letter without ask_id gives 0, which the node refuses: the run then ends with its words.
        let ask_id = member(&frame[HEADER..]).and_then(|(_, m, _)| find_number(m, 14)).unwrap_or(0);
        let mut m = Vec::with_capacity(payload.len() + 16);
        number(1, ask_id, &mut m);
        bytes(4, payload, &mut m);
        put(ask::ANSWER, &m, out);
    }

    fn set(&self, key: &str, value: &[u8], out: &mut Vec<u8>) {
        store(STORE_SET, key, value, out);
    }

    fn get(&self, key: &str, out: &mut Vec<u8>) {
        store(0, key, b"", out);
    }

    fn frame(&self, inp: &[u8]) -> Parse {
        if inp.len() < HEADER {
            return Parse::Need;
        }
        let len = HEADER + u32::from_be_bytes([0, inp[1], inp[2], inp[3]]) as usize;
        match inp[0] {
            frame::PONG => return Parse::Frame { len, fixed: 0, kind: Kind::Other },
            frame::USER_TO_CLIENT => {}
            t => return Parse::Bad(format!("frame of type {t}")),
        }
        if inp.len() < len {
            return Parse::Need;
        }
        let whole = &inp[..len];
        let Some((number, m, before)) = member(&whole[HEADER..]) else {
            return malformed(whole);
        };
        // Header, tag and length of the only member: met again, they say all that is looked
        // at here, where the kind does not hang on the member's own fields.
        let prefix = HEADER + before;
        let (fixed, kind) = match number {
            tell::WELCOME => (0, Kind::Ready),
            tell::MESSAGE => (prefix, Kind::Delivery),
            tell::VALUE => (prefix, Kind::Reply),
            tell::OUTCOME => match numbers(m, 1, 2) {
                Some((seq::HELLO | seq::JOIN, code::OK)) => (0, Kind::Ready),
                // all of it, as the same bytes are the same outcome
                Some((seq::STORE, code::OK)) => (len, Kind::Reply),
                Some((0, code::RECIPIENT_BUSY)) => (0, Kind::Other), // W6
                Some((s, c)) => return refused("outcome", s, c, m, 3),
                None => return malformed(whole),
            },
            tell::REPLY => match numbers(m, 7, 2) {
                Some((seq::ASK, code::OK)) => (0, Kind::Delivery),
                Some((s, c)) => return refused("reply", s, c, m, 3),
                None => return malformed(whole),
            },
            tell::CLOSING => match find_number(m, 1) {
                Some(code::SLOW) => (0, Kind::Other), // W6
                Some(c) => return refused("closing", 0, c, m, 2),
                None => return malformed(whole),
            },
            tell::ITEM..=tell::FLAG_CHANGE => (0, Kind::Other), // items, presence, flags
            n => return Parse::Bad(format!("member {n} of ServerToClient")),
        };
        Parse::Frame { len, fixed, kind }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Count;
    use super::*;

    fn kinds(stream: &[u8]) -> [u64; 4] {
        // in one piece and cut at every byte: the same count, nothing left over
        let mut c = Count::new();
        assert_eq!(Chappe.count(stream, &mut c), Ok(stream.len()));
        for cut in 0..=stream.len() {
            let mut d = Count::new();
            let used = Chappe.count(&stream[..cut], &mut d).unwrap();
            assert_eq!(Chappe.count(&stream[used..], &mut d), Ok(stream.len() - used), "cut at {cut}");
            assert_eq!(c.n, d.n, "cut at {cut}");
        }
        c.n
    }

    #[test]
    fn what_is_written_is_protobuf_in_messi_frames() {
        let mut out = Vec::new();
        Chappe.hello(7, &mut out);
        assert_eq!(out, b"\x01\0\0\x0c\x0a\x0a\x08\x01\x12\x02b7\x28\xc0\xcf\x24");
        out.clear();
        Chappe.subscribe("fan", &mut out);
        assert_eq!(out, b"\x01\0\0\x09\x12\x07\x08\x02\x12\x03fan");
        out.clear();
        Chappe.publish("fan", b"xx", &mut out);
        assert_eq!(out, b"\x01\0\0\x0b\x22\x09\x0a\x03fan\x1a\x02xx");
        out.clear();
        Chappe.request("svc", "inbox", b"xx", &mut out);
        assert_eq!(out, b"\x01\0\0\x0f\x22\x0d\x0a\x03svc\x1a\x02xx\x48\x04\x50\x01");
        out.clear();
        Chappe.set("k", b"v", &mut out);
        assert_eq!(out, b"\x01\0\0\x0c\x32\x0a\x08\x03\x10\x01\x1a\x01k\x22\x01v");
        out.clear();
        Chappe.get("k", &mut out);
        assert_eq!(out, b"\x01\0\0\x07\x32\x05\x08\x03\x1a\x01k");
    }

    #[test]
    fn long_letters_have_long_lengths() {
        let mut out = Vec::new();
        Chappe.publish("fan", &[b'x'; 1024], &mut out);
        assert_eq!(out[..4], [1, 0, 4, 11]);
        assert_eq!(out[4..], [&b"\x22\x88\x08\x0a\x03fan\x1a\x80\x08"[..], &[b'x'; 1024]].concat());
    }

    #[test]
    fn an_answer_carries_the_number_at_the_end_of_the_letter() {
        // the asker's letter, then from = 300 and ask_id = 5
        let m = b"\x02\0\0\x14\x1a\x12\x0a\x03svc\x1a\x02xx\x48\x04\x50\x01\x68\xac\x02\x70\x05";
        let mut out = Vec::new();
        assert!(matches!(Chappe.frame(m), Parse::Frame { kind: Kind::Delivery, .. }));
        Chappe.reply(m, "inbox", b"yy", &mut out);
        assert_eq!(out, b"\x01\0\0\x08\x2a\x06\x08\x05\x22\x02yy");
    }

    #[test]
    fn answers_are_counted_by_what_they_are() {
        let welcome = &b"\x02\0\0\x06\x0a\x04\x08\x01\x10\x09"[..];
        let joined = &b"\x02\0\0\x04\x12\x02\x08\x02"[..];
        let message = &b"\x02\0\0\x0d\x1a\x0b\x0a\x03fan\x1a\x02xx\x68\x09"[..];
        let reply = &b"\x02\0\0\x0a\x22\x08\x08\x05\x22\x02yy\x38\x04"[..];
        let value = &b"\x02\0\0\x0a\x2a\x08\x08\x03\x12\x01k\x1a\x01v"[..];
        let done = &b"\x02\0\0\x04\x12\x02\x08\x03"[..];
        let busy = &b"\x02\0\0\x04\x12\x02\x10\x04"[..];
        let slow = &b"\x02\0\0\x04\x4a\x02\x08\x14"[..];
        let pong = &b"\x04\0\0\0"[..];
        assert_eq!(kinds(&[welcome, joined].concat())[Kind::Ready as usize], 2);
        let stream = [welcome, pong, message, message, message, busy, reply, reply, message, slow].concat();
        assert_eq!(kinds(&stream), [6, 1, 0, 3]);
        assert_eq!(kinds(&[done, value, done, done, value, value].concat()), [0, 0, 6, 0]);
    }

    #[test]
    fn what_should_not_come_ends_the_run() {
        let bad = |b: &[u8]| match Chappe.frame(b) {
            Parse::Bad(e) => e,
            _ => panic!("{b:02x?} was taken"),
        };
        // an outcome NO_RECIPIENT to the letter asked with, with words
        let e = bad(b"\x02\0\0\x0a\x12\x08\x08\x04\x10\x01\x1a\x02no");
        assert!(e.contains("outcome of seq 4: code 1") && e.contains("no"), "{e}");
        bad(b"\x02\0\0\x06\x22\x04\x10\x03\x38\x04"); // a reply TIMED_OUT
        bad(b"\x02\0\0\x06\x12\x04\x08\x03\x10\x0d"); // a value NOT_FOUND
        bad(b"\x02\0\0\x04\x4a\x02\x08\x13"); // closing, STOPPING
        bad(b"\x03\0\0\0"); // a ping from the server
        bad(b"\x02\0\0\x04\x1a\x01\x68\x09"); // a member shorter than the payload
        bad(b"\x02\0\0\x02\x1a\x05"); // and longer
        bad(b"\x02\0\0\x02\xff\xff"); // a tag without end
        bad(b"\x02\0\0\x02\x5a\x00"); // a member this file does not know
    }
}
