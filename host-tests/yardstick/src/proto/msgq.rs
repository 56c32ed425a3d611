//! The protocol of BIND 10's message bus, as its Python library writes it.
//!
//! Written from `wire/msgq.md` alone, without chappe-core, so that the yardstick also checks the
//! daemon's bytes. A message is `send` to the group named by the topic; its body is a JSON string of
//! `payload`'s length. A request wants an answer, and the answer goes to the asker by its lname, as
//! section 11.2 has it: the names that the daemon gives out are remembered here.

use super::{Kind, Parse, Proto, text};
use std::collections::HashMap;
use std::sync::Mutex;

#[derive(Default)]
pub struct Msgq {
    names: Mutex<Names>,
}

#[derive(Default)]
struct Names {
    /// The last one that was given out: that of the connection that was opened last.
    last: String,
    /// Who listens to a topic: the last connection that subscribed to it.
    of: HashMap<String, String>,
}

const LENGTHS: usize = 6;

fn put(header: &str, body: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&((2 + header.len() + body.len()) as u32).to_be_bytes());
    out.extend_from_slice(&(header.len() as u16).to_be_bytes());
    out.extend_from_slice(header.as_bytes());
    out.extend_from_slice(body);
}

/// A JSON string as long as the payload, which is letters only.
fn body(payload: &[u8]) -> Vec<u8> {
    let mut b = payload.to_vec();
    if let [first, .., last] = &mut b[..] {
        (*first, *last) = (b'"', b'"');
    } else {
        b = b"0".to_vec();
    }
    b
}

/// The value of a member of a header as this file writes it: nothing in it is escaped.
fn member<'h>(header: &'h str, key: &str) -> Option<&'h str> {
    let at = header.find(&format!("\"{key}\":"))? + key.len() + 3;
    let rest = header[at..].trim_start();
    match rest.strip_prefix('"') {
        Some(t) => t.split('"').next(),
        None => rest.split([',', '}']).next().map(str::trim_end),
    }
}

/// Header and body of a frame that is whole.
fn split(frame: &[u8]) -> Option<(&str, &[u8])> {
    let head = u16::from_be_bytes([*frame.get(4)?, *frame.get(5)?]) as usize;
    let (header, body) = frame.get(LENGTHS..)?.split_at_checked(head)?;
    Some((std::str::from_utf8(header).ok()?, body))
}

impl Msgq {
    fn last(&self) -> String {
        self.names.lock().unwrap().last.clone()
    }

    fn send(&self, from: &str, to: &str, group: &str, rest: &str, body: &[u8], out: &mut Vec<u8>) {
        let header = format!(
            "{{\"type\": \"send\", \"from\": \"{from}\", \"to\": \"{to}\", \"group\": \"{group}\", \"instance\": \"*\", {rest}}}"
        );
        put(&header, body, out);
    }

    fn kind(&self, header: &str, body: &[u8]) -> Result<Kind, String> {
        match member(header, "type") {
            Some("send") if member(header, "reply").is_some() && body.starts_with(b"{\"result\": [-") => {
                Err(format!("the node answers itself: {}", text(body)))
            }
            Some("send") => Ok(Kind::Delivery),
            Some("pong") => Ok(Kind::Ready),
            Some("getlname") => {
                let body = std::str::from_utf8(body).map_err(|_| "an lname that is no text")?;
                let name = member(body, "lname").ok_or("getlname without an lname")?;
                self.names.lock().unwrap().last = name.into();
                Ok(Kind::Ready)
            }
            _ => Err(format!("header {header}")),
        }
    }
}

impl Proto for Msgq {
    fn hello(&self, _id: u32, out: &mut Vec<u8>) {
        put("{\"type\": \"getlname\"}", b"", out);
    }

    fn subscribe(&self, topic: &str, out: &mut Vec<u8>) {
        let mut names = self.names.lock().unwrap();
        let last = names.last.clone();
        names.of.insert(topic.into(), last);
        put(&format!("{{\"type\": \"subscribe\", \"group\": \"{topic}\", \"instance\": \"*\"}}"), b"", out);
        put("{\"type\": \"ping\"}", b"", out);
    }

    fn publish(&self, topic: &str, payload: &[u8], out: &mut Vec<u8>) {
        self.send(&self.last(), "*", topic, "\"seq\": 2, \"want_answer\": false", &body(payload), out);
    }

    fn request(&self, topic: &str, inbox: &str, payload: &[u8], out: &mut Vec<u8>) {
        let from = self.names.lock().unwrap().of.get(inbox).cloned().unwrap_or_default();
        let command = [b"{\"command\": [\"do\", ", &body(payload)[..], b"]}"].concat();
        self.send(&from, "*", topic, "\"seq\": 2, \"want_answer\": true", &command, out);
    }

    fn reply(&self, frame: &[u8], _inbox: &str, payload: &[u8], out: &mut Vec<u8>) {
        let header = split(frame).map(|f| f.0).unwrap_or_default();
        let (to, seq) = (member(header, "from").unwrap_or("?"), member(header, "seq").unwrap_or("0"));
        let group = member(header, "group").unwrap_or("?");
        let result = [b"{\"result\": [0, ", &body(payload)[..], b"]}"].concat();
        self.send(&self.last(), to, group, &format!("\"seq\": 2, \"reply\": {seq}"), &result, out);
    }

    fn frame(&self, inp: &[u8]) -> Parse {
        if inp.len() < LENGTHS {
            return Parse::Need;
        }
        let all = u32::from_be_bytes([inp[0], inp[1], inp[2], inp[3]]) as usize;
        let head = u16::from_be_bytes([inp[4], inp[5]]) as usize;
        if head == 0 || all < head + 2 {
            return Parse::Bad(format!("lengths {all} and {head}"));
        }
        let Some(whole) = inp.get(..4 + all) else { return Parse::Need };
        let Some((header, body)) = split(whole) else { return Parse::Bad(text(whole)) };
        match self.kind(header, body) {
            // a prefix that has the lengths, the type and the group of a message: the same
            // again is the same message again, or one as long to the same group
            Ok(Kind::Delivery) => Parse::Frame { len: 4 + all, fixed: (LENGTHS + head).min(128), kind: Kind::Delivery },
            Ok(kind) => Parse::Frame { len: 4 + all, fixed: 0, kind },
            Err(e) => Parse::Bad(e),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Count;
    use super::*;

    #[test]
    fn the_page_s_vectors_are_what_is_written() {
        let p = Msgq::default();
        let mut out = Vec::new();
        p.hello(1, &mut out);
        assert_eq!(out, b"\x00\x00\x00\x16\x00\x14{\"type\": \"getlname\"}");
        let mut c = Count::new();
        let name = b"\x00\x00\x00\x32\x00\x14{\"type\": \"getlname\"}{\"lname\": \"5f3759df_1@host\"}";
        assert_eq!((p.count(name, &mut c), c.of(Kind::Ready)), (Ok(name.len()), 1));
        out.clear();
        p.publish("news", b"xxxx", &mut out);
        let head =
            b"\x00\x00\x00\x7e\x00\x78{\"type\": \"send\", \"from\": \"5f3759df_1@host\", \"to\": \"*\", \"group\": \
            \"news\", \"instance\": \"*\", \"seq\": 2, \"want_answer\": false}\"xx\"";
        assert_eq!(text(&out), text(head));
        assert_eq!(out, head);
        // and it is counted, whole, in parts and again
        let twice = [&out[..], &out[..]].concat();
        assert_eq!((p.count(&twice, &mut c), c.of(Kind::Delivery)), (Ok(twice.len()), 2));
        assert_eq!(p.count(&out[..out.len() - 1], &mut c), Ok(0));
    }

    #[test]
    fn an_answer_goes_to_the_asker_and_its_number() {
        let p = Msgq::default();
        let mut c = Count::new();
        let named = |n: &str| {
            let mut out = Vec::new();
            put("{\"type\": \"getlname\"}", format!("{{\"lname\": \"{n}\"}}").as_bytes(), &mut out);
            out
        };
        let mut out = Vec::new();
        p.count(&named("a"), &mut c).unwrap();
        p.subscribe("inbox", &mut out);
        p.count(&named("b"), &mut c).unwrap();
        out.clear();
        p.request("svc", "inbox", b"1234", &mut out);
        let question = std::mem::take(&mut out);
        p.reply(&question, "inbox", b"1234", &mut out);
        let (header, body) = split(&out).unwrap();
        assert_eq!(
            [member(header, "from"), member(header, "to"), member(header, "reply")],
            [Some("b"), Some("a"), Some("2")]
        );
        assert_eq!(body, b"{\"result\": [0, \"23\"]}");
        let mut failed = Vec::new();
        put("{\"type\": \"send\", \"reply\": 2}", b"{\"result\": [-1, \"No such recipient\"]}", &mut failed);
        assert!(matches!(p.frame(&failed), Parse::Bad(_)));
    }
}
