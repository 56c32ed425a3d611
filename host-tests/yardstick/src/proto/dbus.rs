//! D-Bus: signals for publish and subscribe, method calls for request and reply.

use super::{Kind, Parse, Proto, text};

pub struct Dbus;

const CALL: u8 = 1;
const RETURN: u8 = 2;
const ERROR: u8 = 3;
const SIGNAL: u8 = 4;

enum Field<'a> {
    Path(&'a str),
    Interface(&'a str),
    Member(&'a str),
    ReplySerial(u32),
    Destination(&'a str),
    Signature(&'a str),
}

fn pad(out: &mut Vec<u8>, from: usize, to: usize) {
    while !(out.len() - from).is_multiple_of(to) {
        out.push(0);
    }
}

fn string(out: &mut Vec<u8>, s: &str) {
    out.extend_from_slice(&(s.len() as u32).to_le_bytes());
    out.extend_from_slice(s.as_bytes());
    out.push(0);
}

fn message(kind: u8, flags: u8, fields: &[Field], body: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(&[b'l', kind, flags, 1]);
    out.extend_from_slice(&(body.len() as u32).to_le_bytes());
    out.extend_from_slice(&7u32.to_le_bytes()); // serial
    out.extend_from_slice(&[0; 4]);
    for f in fields {
        pad(out, start, 8);
        match f {
            Field::Path(s) => {
                out.extend_from_slice(&[1, 1, b'o', 0]);
                string(out, s);
            }
            Field::Interface(s) => {
                out.extend_from_slice(&[2, 1, b's', 0]);
                string(out, s);
            }
            Field::Member(s) => {
                out.extend_from_slice(&[3, 1, b's', 0]);
                string(out, s);
            }
            Field::ReplySerial(n) => {
                out.extend_from_slice(&[5, 1, b'u', 0]);
                out.extend_from_slice(&n.to_le_bytes());
            }
            Field::Destination(s) => {
                out.extend_from_slice(&[6, 1, b's', 0]);
                string(out, s);
            }
            Field::Signature(s) => {
                out.extend_from_slice(&[8, 1, b'g', 0, s.len() as u8]);
                out.extend_from_slice(s.as_bytes());
                out.push(0);
            }
        }
    }
    let n = (out.len() - start - 16) as u32;
    out[start + 12..start + 16].copy_from_slice(&n.to_le_bytes());
    pad(out, start, 8);
    out.extend_from_slice(body);
}

fn bus(member: &str, sig: &str, body: &[u8], out: &mut Vec<u8>) {
    let mut f = vec![
        Field::Path("/org/freedesktop/DBus"),
        Field::Interface("org.freedesktop.DBus"),
        Field::Member(member),
        Field::Destination("org.freedesktop.DBus"),
    ];
    if !sig.is_empty() {
        f.push(Field::Signature(sig));
    }
    message(CALL, 0, &f, body, out);
}

fn bytes(payload: &[u8]) -> Vec<u8> {
    let mut b = (payload.len() as u32).to_le_bytes().to_vec();
    b.extend_from_slice(payload);
    b
}

fn u32_at(b: &[u8], at: usize) -> usize {
    u32::from_le_bytes([b[at], b[at + 1], b[at + 2], b[at + 3]]) as usize
}

/// A string field of a received (little-endian) message.
fn field(frame: &[u8], code: u8) -> Option<&str> {
    let end = 16 + u32_at(frame, 12);
    let mut at = 16;
    while at + 4 <= end {
        let (c, sig) = (frame[at], frame[at + 2]);
        at += 4;
        match sig {
            b's' | b'o' => {
                let n = u32_at(frame, at);
                if c == code {
                    return std::str::from_utf8(frame.get(at + 4..at + 4 + n)?).ok();
                }
                at += 4 + n + 1;
            }
            b'g' => at += 1 + frame[at] as usize + 1,
            _ => at += 4,
        }
        at = (at + 7) & !7;
    }
    None
}

fn name(topic: &str) -> String {
    format!("perf.{topic}")
}

impl Proto for Dbus {
    fn hello(&self, _id: u32, out: &mut Vec<u8>) {
        let uid = unsafe { libc::getuid() }.to_string();
        let hex: String = uid.bytes().map(|b| format!("{b:02x}")).collect();
        out.push(0);
        out.extend_from_slice(format!("AUTH EXTERNAL {hex}\r\nBEGIN\r\n").as_bytes());
        bus("Hello", "", b"", out);
    }

    fn subscribe(&self, topic: &str, out: &mut Vec<u8>) {
        let rule = format!("type='signal',interface='perf.T',member='{topic}'");
        let mut body = Vec::new();
        string(&mut body, &rule);
        bus("AddMatch", "s", &body, out);
    }

    fn serve(&self, topic: &str, out: &mut Vec<u8>) {
        let mut body = Vec::new();
        string(&mut body, &name(topic));
        pad(&mut body, 0, 4);
        body.extend_from_slice(&[0; 4]);
        bus("RequestName", "su", &body, out);
    }

    fn publish(&self, topic: &str, payload: &[u8], out: &mut Vec<u8>) {
        message(
            SIGNAL,
            1,
            &[Field::Path("/p"), Field::Interface("perf.T"), Field::Member(topic), Field::Signature("ay")],
            &bytes(payload),
            out,
        );
    }

    fn request(&self, topic: &str, _inbox: &str, payload: &[u8], out: &mut Vec<u8>) {
        message(
            CALL,
            0,
            &[
                Field::Path("/p"),
                Field::Interface("perf.T"),
                Field::Member("Call"),
                Field::Destination(&name(topic)),
                Field::Signature("ay"),
            ],
            &bytes(payload),
            out,
        );
    }

    fn reply(&self, frame: &[u8], _inbox: &str, payload: &[u8], out: &mut Vec<u8>) {
        message(
            RETURN,
            1,
            &[
                Field::ReplySerial(u32_at(frame, 8) as u32),
                Field::Destination(field(frame, 7).unwrap_or("?")),
                Field::Signature("ay"),
            ],
            &bytes(payload),
            out,
        );
    }

    fn frame(&self, inp: &[u8]) -> Parse {
        if inp.first() != Some(&b'l') {
            // the text of the authentication
            return match super::find(inp, b'\n') {
                None => Parse::Need,
                Some(nl) if inp.starts_with(b"OK ") => Parse::Frame { len: nl + 1, fixed: 0, kind: Kind::Other },
                Some(_) => Parse::Bad(text(inp)),
            };
        }
        if inp.len() < 16 {
            return Parse::Need;
        }
        let head = (16 + u32_at(inp, 12) + 7) & !7;
        let len = head + u32_at(inp, 4);
        if inp.len() < len {
            return Parse::Need;
        }
        let kind = match inp[1] {
            RETURN => Kind::Ready,
            CALL => Kind::Delivery,
            SIGNAL if field(inp, 2) == Some("perf.T") => Kind::Delivery,
            SIGNAL => Kind::Other,
            ERROR => return Parse::Bad(String::from_utf8_lossy(&inp[..len]).into_owned()),
            _ => Kind::Other,
        };
        Parse::Frame { len, fixed: 0, kind }
    }
}
