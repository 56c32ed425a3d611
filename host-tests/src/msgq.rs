//! A station that speaks MSGQ, as strict as both original libraries together.
//!
//! Owns: making frames, cutting what comes into frames, and failing the test for anything that the
//! Python or the C++ library of BIND 10 would not read (`wire/msgq.md` sections 3 to 6, 16). Written
//! from that page; shares no code with Chappe. Does not own the wire: [`World`](crate::world::World)
//! does.

use crate::json::{Rule, read};
use chappe_core::id::StationId;
use chappe_core::router::Reason;
use serde_json::{Value, json};

/// One frame.
#[derive(Debug, Clone, PartialEq)]
pub struct Frame {
    /// The header as it came.
    pub text: String,
    /// The header.
    pub header: Value,
    /// The body as it came.
    pub body: Vec<u8>,
}

impl Frame {
    /// The body.
    ///
    /// # Panics
    /// If not both libraries read it.
    pub fn json(&self) -> Value {
        read(&self.body, Rule::Both).unwrap_or_else(|e| panic!("body {:?}: {e}", String::from_utf8_lossy(&self.body)))
    }

    /// A member of the header that is text; empty if it is not there.
    pub fn text_of(&self, key: &str) -> &str {
        self.header[key].as_str().unwrap_or_default()
    }
}

/// The bytes of a frame: two lengths, header, body.
///
/// # Panics
/// If the header is longer than its length can say.
pub fn frame(header: &[u8], body: &[u8]) -> Vec<u8> {
    let lengths = u16::try_from(header.len()).expect("a header of at most 65,535 octets");
    let all = 2 + header.len() as u32 + body.len() as u32;
    [&all.to_be_bytes(), &lengths.to_be_bytes()[..], header, body].concat()
}

/// As the Python library writes a header of these members, which is the text of an object.
pub fn header(members: &Value) -> Vec<u8> {
    // its order and blanks mean nothing, so those of serde_json will do
    members.to_string().into_bytes()
}

/// One station and what it heard. Its wire is the world's.
#[derive(Debug, Default)]
pub struct Talker {
    /// The router's name for the connection, while there is one.
    pub id: Option<StationId>,
    /// What it was told to be called.
    pub lname: String,
    /// Number of its last message.
    pub seq: i64,
    /// Takes what the router writes. Off: its socket is full at once.
    pub reads: bool,
    /// It begins by asking for its name, as the libraries do, so nothing may come before that.
    pub asks_first: bool,
    /// Bodies that it hears may be anything: somebody sends it such.
    pub any_body: bool,
    /// Why the router closed it.
    pub closed: Option<Reason>,
    /// What it heard and was not asked for.
    pub heard: Vec<Frame>,
    /// Octets that came, whole frames removed.
    pub(crate) input: Vec<u8>,
    /// Octets that the router has not taken yet.
    pub output: Vec<u8>,
    /// It was told its name at least once.
    named: bool,
}

impl Talker {
    pub(crate) fn new(id: StationId) -> Self {
        Talker { id: Some(id), reads: true, asks_first: true, seq: 1, ..Talker::default() }
    }

    /// Octets have come.
    ///
    /// # Panics
    /// For frames that an original library does not read, or that a node never says.
    pub(crate) fn take(&mut self, bytes: &[u8]) {
        self.input.extend_from_slice(bytes);
        while let Some((frame, size)) = cut(&self.input) {
            self.input.drain(..size);
            self.check(&frame);
            self.heard.push(frame);
        }
    }

    fn check(&mut self, frame: &Frame) {
        let Value::Object(members) = &frame.header else { panic!("a header that is no object: {}", frame.text) };
        match frame.text_of("type") {
            "getlname" => {
                assert!(!members.contains_key("reply"), "C++ takes this for an answer to something: {}", frame.text);
                let body = frame.json();
                let lname = body["lname"].as_str().expect("an lname");
                assert!(!lname.is_empty() && lname != "*" && lname != "msgq", "section 7: {lname}");
                assert!(lname.bytes().all(|b| b.is_ascii_graphic() && b != b'"' && b != b'\\'), "{lname}");
                assert!(self.lname.is_empty() || self.lname == lname, "it was called {} before", self.lname);
                self.lname = lname.into();
                self.named = true;
            }
            "pong" => assert_eq!(members.len(), 1, "{}", frame.text),
            "send" => {
                assert!(
                    self.named || !self.asks_first,
                    "both libraries take the first frame for the answer to getlname: {}",
                    frame.text
                );
                if !self.any_body {
                    frame.json();
                }
            }
            other => panic!("a frame of type {other:?}: {}", frame.text),
        }
    }
}

/// The frame at the front, and its octets.
///
/// # Panics
/// If its lengths contradict each other, or its header is not to the taste of both libraries.
fn cut(input: &[u8]) -> Option<(Frame, usize)> {
    let (lengths, rest) = input.split_at_checked(6)?;
    let all = u32::from_be_bytes([lengths[0], lengths[1], lengths[2], lengths[3]]) as usize;
    let head = u16::from_be_bytes([lengths[4], lengths[5]]) as usize;
    assert!(all >= 3 && head >= 1 && head <= all - 2, "lengths {all} and {head}");
    let (header, body) = rest.get(..all - 2)?.split_at(head);
    let text = String::from_utf8(header.to_vec()).expect("a header is text");
    let value = read(header, Rule::Both).unwrap_or_else(|e| panic!("header {text}: {e}"));
    Some((Frame { text, header: value, body: body.to_vec() }, 4 + all))
}

/// Cuts octets that come to a client into frames, as [`Talker`] does.
///
/// # Panics
/// As [`Talker`] does, and if they end inside a frame.
pub fn frames(mut input: &[u8]) -> Vec<Frame> {
    let mut all = Vec::new();
    while let Some((frame, size)) = cut(input) {
        all.push(frame);
        input = &input[size..];
    }
    assert!(input.is_empty(), "half a frame: {input:02x?}");
    all
}

/// `{"command": [NAME, ARGUMENT]}`.
pub fn command(name: &str, argument: Value) -> Value {
    json!({"command": [name, argument]})
}

/// `{"result": [CODE, …]}` taken apart: the code, and what follows it.
///
/// # Panics
/// If it is no answer, or a failure without a text, which the libraries do not take.
pub fn result(frame: &Frame) -> (i64, Value) {
    let body = frame.json();
    let list = body["result"].as_array().unwrap_or_else(|| panic!("no answer: {body}"));
    let code = list[0].as_i64().expect("a code");
    assert!(list.len() <= 2 && (code == 0 || list.get(1).is_some_and(Value::is_string)), "section 11.1: {body}");
    (code, list.get(1).cloned().unwrap_or(Value::Null))
}
