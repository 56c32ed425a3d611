//! Headers: what a frame is, and messages (`wire/msgq.md` sections 5 and 6).
//!
//! Owns: reading a header whatever its spelling, writing our own, and what of it a program
//! sees. Does not own bodies, nor who waits for which reply (`session.rs`).

use serde_json::Value;

use super::json::{self, quoted};

/// `to` and `instance`: not a particular one.
pub const ANY: &str = "*";

/// A message received: a frame of type `send`.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// The sender's lname, as the sender says.
    pub from: String,
    /// `*`, or this session's own lname.
    pub to: String,
    /// The group that it was sent to; for a message to one lname, the group it is about.
    pub group: String,
    /// `*`, or a narrower name within the group.
    pub instance: String,
    /// The sender's number, of whatever JSON type; null: there is none.
    pub seq: Value,
    /// The number of the message that this one answers; `None`: it is no reply.
    pub reply: Option<Value>,
    /// Whether the sender is told if nobody gets it, and so waits for an answer, or should.
    pub want_answer: bool,
    /// The body, byte for byte; empty: there was none.
    pub body: Vec<u8>,
}

impl Message {
    /// The body, if it is JSON. Numbers that do not fit are rounded, doubled keys count once.
    pub fn json(&self) -> Option<Value> {
        json::read(&self.body)
    }

    /// Whether it answers another message. Such a message must not be answered.
    pub fn is_reply(&self) -> bool {
        self.reply.is_some()
    }

    /// Name and parameters, if the body is a command (section 11.1). Without parameters: null.
    /// What follows the parameters does not count.
    pub fn command(&self) -> Option<(String, Value)> {
        let mut body = self.json()?;
        let parts = body.as_object_mut().filter(|o| o.len() == 1)?.get_mut("command")?.as_array_mut()?;
        let name = parts.first()?.as_str()?.to_owned();
        Some((name, parts.get_mut(1).map(Value::take).unwrap_or_default()))
    }

    /// Event and parameters, if the body is a notification.
    pub fn notification(&self) -> Option<(String, Value)> {
        let mut body = self.json()?;
        let parts = body.get_mut("notification")?.as_array_mut()?;
        let event = parts.first()?.as_str()?.to_owned();
        Some((event, parts.get_mut(1).map(Value::take).unwrap_or_default()))
    }

    /// The number that it replies to, if that is one of ours.
    pub(super) fn replies_to(&self) -> Option<u64> {
        self.reply.as_ref()?.as_u64()
    }

    /// Octets that it holds, roughly.
    pub(super) fn size(&self) -> usize {
        size_of::<Message>()
            + self.from.len()
            + self.to.len()
            + self.group.len()
            + self.instance.len()
            + self.body.len()
    }
}

/// What a frame from the node is.
#[derive(Debug, PartialEq)]
pub(super) enum Frame {
    Name(String),
    Pong(Vec<u8>),
    Message(Message),
    /// Of a type that nodes do not send.
    Other,
}

/// Reads a frame.
///
/// # Errors
/// A header that is no object, or has no type.
pub(super) fn read(header: &[u8], body: &[u8]) -> Result<Frame, &'static str> {
    let mut header = json::read(header).ok_or("a header that is no JSON")?;
    let header = header.as_object_mut().ok_or("a header that is no object")?;
    let text = |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or_default().to_owned();
    Ok(match header.get("type").ok_or("a header without a type")?.as_str() {
        Some("getlname") => {
            let lname = json::read(body).and_then(|b| b.get("lname").and_then(Value::as_str).map(str::to_owned));
            Frame::Name(lname.filter(|l| !l.is_empty()).ok_or("an answer to getlname without a name")?)
        }
        Some("pong") => Frame::Pong(body.to_vec()),
        Some("send") => Frame::Message(Message {
            from: text(header.get("from")),
            to: text(header.get("to")),
            group: text(header.get("group")),
            instance: text(header.get("instance")),
            seq: header.remove("seq").unwrap_or_default(),
            reply: header.remove("reply"),
            want_answer: header.get("want_answer").is_some_and(is_true),
            body: body.to_vec(),
        }),
        _ => Frame::Other,
    })
}

/// What counts as true in Python (section 9).
fn is_true(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(b) => *b,
        Value::Number(n) => n.as_f64() != Some(0.0),
        Value::String(s) => !s.is_empty(),
        Value::Array(a) => !a.is_empty(),
        Value::Object(o) => !o.is_empty(),
    }
}

/// A header without anything but its type.
pub(super) fn plain(kind: &str) -> String {
    format!("{{\"type\": {}}}", quoted(kind))
}

/// `subscribe` or `unsubscribe`.
pub(super) fn membership(kind: &str, group: &str, instance: &str) -> String {
    let (kind, group, instance) = (quoted(kind), quoted(group), quoted(instance));
    format!("{{\"type\": {kind}, \"group\": {group}, \"instance\": {instance}}}")
}

/// A message of our own. What is wanted is said either way.
pub(super) fn send(from: &str, to: &str, group: &str, instance: &str, seq: u64, want_answer: bool) -> String {
    let route = route(from, to, group, instance, seq);
    format!("{route}, \"want_answer\": {want_answer}}}")
}

/// A reply: no wish for an answer in it.
pub(super) fn reply(from: &str, to: &str, group: &str, instance: &str, seq: u64, replied: &Value) -> String {
    let replied = String::from_utf8(json::write(replied)).unwrap_or_default();
    let route = route(from, to, group, instance, seq);
    format!("{route}, \"reply\": {replied}}}")
}

fn route(from: &str, to: &str, group: &str, instance: &str, seq: u64) -> String {
    let (from, to, group, instance) = (quoted(from), quoted(to), quoted(group), quoted(instance));
    format!(
        "{{\"type\": \"send\", \"from\": {from}, \"to\": {to}, \"group\": {group}, \"instance\": {instance}, \"seq\": {seq}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn message(header: &str, body: &[u8]) -> Message {
        match read(header.as_bytes(), body) {
            Ok(Frame::Message(m)) => m,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn our_headers_are_those_of_the_python_library() {
        // V1, V6, V8
        assert_eq!(plain("getlname"), "{\"type\": \"getlname\"}");
        assert_eq!(
            membership("subscribe", "news", "*"),
            "{\"type\": \"subscribe\", \"group\": \"news\", \"instance\": \"*\"}"
        );
        assert_eq!(
            send("5f3759df_1@host", "*", "news", "*", 3, true),
            "{\"type\": \"send\", \"from\": \"5f3759df_1@host\", \"to\": \"*\", \"group\": \"news\", \"instance\": \"*\", \"seq\": 3, \"want_answer\": true}"
        );
        assert_eq!(
            reply("5f3759df_2@host", "5f3759df_1@host", "news", "*", 2, &json!(3)),
            "{\"type\": \"send\", \"from\": \"5f3759df_2@host\", \"to\": \"5f3759df_1@host\", \"group\": \"news\", \"instance\": \"*\", \"seq\": 2, \"reply\": 3}"
        );
        assert_eq!(membership("subscribe", "é\u{1}\"", "*").matches('\\').count(), 1, "no number of a character");
    }

    #[test]
    fn every_spelling_is_read() {
        // V10, as the C++ library writes it; then escapes, raw controls, unknown keys, doubled keys
        let m = message(
            "{ \"from\": \"5f3759df_2@host\", \"group\": \"calc\", \"instance\": \"*\", \"seq\": 0, \"to\": \"5f3759df_1@host\", \"type\": \"send\", \"want_answer\": true }",
            b"{ \"command\": [ \"add\", [ 1, 2 ] ] }",
        );
        assert_eq!((m.group.as_str(), m.to.as_str(), m.seq.clone()), ("calc", "5f3759df_1@host", json!(0)));
        assert!(m.want_answer && !m.is_reply());
        assert_eq!(m.command(), Some(("add".into(), json!([1, 2]))));
        let m = message(
            "{\"type\":\"send\",\"group\":\"\\u00e9\x01\",\"group\":\"\\u00e9\x02\",\"x\":[1,2.50,null,{\"y\":NaN}],\"seq\":\"s\",\"reply\":null}",
            b"",
        );
        assert_eq!((m.group.as_str(), m.seq.clone(), m.reply.clone()), ("é\u{2}", json!("s"), Some(Value::Null)));
        assert_eq!((m.is_reply(), m.replies_to(), m.json()), (true, None, None));
    }

    #[test]
    fn what_counts_as_true_does_here() {
        for (value, want) in [
            ("true", true),
            ("false", false),
            ("1", true),
            ("0.0", false),
            ("\"\"", false),
            ("\"no\"", true),
            ("[]", false),
            ("null", false),
        ] {
            let m = message(&format!("{{\"type\": \"send\", \"want_answer\": {value}}}"), b"");
            assert_eq!(m.want_answer, want, "{value}");
        }
    }

    #[test]
    fn broken_headers_are_named() {
        for (header, why) in [
            ("{bad", "no JSON"),
            ("[]", "no object"),
            ("{}", "type"),
            ("{\"type\": \"getlname\"}", "name"),
            ("{\"type\": \"send\", \"group\": \"\\ud83d\"}", "no JSON"),
        ] {
            assert!(read(header.as_bytes(), b"").unwrap_err().contains(why), "{header}");
        }
        assert_eq!(read(b"{\"type\": \"hello\"}", b""), Ok(Frame::Other));
        assert_eq!(read(b"{\"type\": 7}", b""), Ok(Frame::Other));
    }
}
