//! Bodies as Chappe's own stations see them: verb, parameters and body of a letter, code and
//! body of an answer.
//!
//! Owns: for a program that speaks to an MSGQ bus directly, what a node does for stations of
//! other dialects: `chappe send` says the same on either side. Does not own names: here a
//! group is what it is.
//!
//! | body | letter |
//! |---|---|
//! | `{"command": ["SET", {"name": N, "value": "v"}]}`, N the group | verb SET, body `v` |
//! | `{"command": ["NOTIFY", {"name": N}]}`, N the group | verb NOTIFY |
//! | `{"command": ["V"]}` | verb V |
//! | `{"command": ["V", {"a": "b", "n": 1}]}` | verb V, parameters a=b n=1 |
//! | `{"command": ["V", "text"]}` | verb V, a text as body |
//! | `{"command": ["V", …]}` | verb V, that JSON as body |
//! | any other JSON | no verb, JSON as body |
//! | anything else | no verb, text or bytes as body |

use chappe_core::dialect::msgq::json::{Kind, Value, Writer, parse, rewrite};

use crate::client::{Answer, Code, Encoding, ParamList};

use super::json::quoted;

/// Most parameters that an object is taken apart into.
const MAX_PARAMS: usize = 64;

/// Longest verb, in bytes.
const MAX_VERB: usize = 64;

/// What a letter says, whatever its dialect.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Said {
    /// What it says.
    pub verb: String,
    /// Named text, in order.
    pub params: ParamList,
    /// Opaque.
    pub body: Vec<u8>,
    /// What the body is.
    pub encoding: Encoding,
}

impl Said {
    /// Without a verb.
    fn body(body: &[u8], encoding: Encoding) -> Said {
        Said { body: body.to_vec(), encoding, ..Said::default() }
    }

    /// What a body says to a group.
    pub fn read(group: &str, body: &[u8]) -> Said {
        let Ok(text) = std::str::from_utf8(body) else { return Said::body(body, Encoding::Bytes) };
        if text.is_empty() {
            return Said::default();
        }
        match parse(text) {
            Ok(value) => command(group, &value).unwrap_or_else(|| Said::body(body, Encoding::Json)),
            Err(_) => Said::body(body, Encoding::Text),
        }
    }

    /// The body that says this to a group.
    pub fn write(&self, group: &str) -> Vec<u8> {
        let json = self.json();
        let verb = match self.verb.as_str() {
            "" if json.is_some() && self.params.is_empty() => return json.unwrap_or_default().into_bytes(),
            "" if self.body.is_empty() => "NOTIFY",
            "" => "SET",
            verb => verb,
        };
        let mut out = format!("{{\"command\": [{}", quoted(verb));
        let bare = self.params.is_empty();
        match verb {
            "NOTIFY" if bare && self.body.is_empty() => out.push_str(&format!(", {{\"name\": {}}}", quoted(group))),
            // a value that is empty is one
            "SET" if bare && json.is_none() => {
                out.push_str(&format!(", {{\"name\": {}, \"value\": {}}}", quoted(group), self.content(json)));
            }
            _ if bare && self.body.is_empty() => {}
            _ if bare => out.push_str(&format!(", {}", self.content(json))),
            _ => {
                let mut members: Vec<_> =
                    self.params.iter().map(|(k, v)| format!("{}: {}", quoted(k), quoted(v))).collect();
                if !self.body.is_empty() {
                    members.push(format!("\"body\": {}", self.content(json)));
                }
                out.push_str(&format!(", {{{}}}", members.join(", ")));
            }
        }
        out.push_str("]}");
        out.into_bytes()
    }

    /// The body, if it is called JSON and is. Without `\uXXXX`.
    fn json(&self) -> Option<String> {
        let text = std::str::from_utf8(&self.body).ok().filter(|_| self.encoding == Encoding::Json)?;
        parse(text).ok()?;
        // it only gets shorter
        written(text.len(), |w| rewrite(text, w))
    }

    /// The body as a JSON value: as it is, a string, or base64 in one.
    fn content(&self, json: Option<String>) -> String {
        let text = match self.encoding {
            Encoding::Bytes | Encoding::Protobuf if !self.body.is_empty() => None,
            _ => std::str::from_utf8(&self.body).ok(),
        };
        match (json, text) {
            (Some(json), _) => json,
            (None, Some(text)) => quoted(text),
            (None, None) => {
                written(self.body.len().div_ceil(3) * 4 + 2, |w| w.base64_string(&self.body)).unwrap_or_default()
            }
        }
    }
}

/// What the core's writer makes, in a text of at most so many bytes.
fn written(room: usize, with: impl FnOnce(&mut Writer<'_>)) -> Option<String> {
    let mut out = vec![0; room];
    let mut w = Writer::new(&mut out);
    with(&mut w);
    let n = w.finish()?;
    out.truncate(n);
    String::from_utf8(out).ok()
}

/// The only member of an object, if it has that key.
fn only<'t>(object: &Value<'t>, key: &str) -> Option<Value<'t>> {
    let mut members = object.members();
    let (k, value) = members.next()?;
    (k.is(key) && members.next().is_none()).then_some(value)
}

fn text(value: &Value<'_>) -> Option<String> {
    value.string().map(|s| s.chars().collect())
}

fn command(group: &str, body: &Value<'_>) -> Option<Said> {
    let parts = only(body, "command").filter(|v| v.kind == Kind::Array)?;
    let mut parts = parts.elements();
    let verb = text(&parts.next()?)?;
    if verb.is_empty() || verb.len() > MAX_VERB || verb.contains(char::is_control) {
        return None;
    }
    let said = Said { verb, ..Said::default() };
    let Some(with) = parts.next() else { return Some(said) };
    Some(match (said.verb.as_str(), signal(group, &with)) {
        ("NOTIFY", Some(None)) => said,
        ("SET", Some(Some(value))) => Said { body: value.into_bytes(), encoding: Encoding::Text, ..said },
        _ => match params(&with) {
            Some(params) => Said { params, ..said },
            None => {
                let (body, encoding) = inner(&with);
                Said { body, encoding, ..said }
            }
        },
    })
}

/// A string as its text, anything else as the JSON it is.
fn inner(value: &Value<'_>) -> (Vec<u8>, Encoding) {
    match text(value) {
        Some(text) => (text.into_bytes(), Encoding::Text),
        None => (value.text.into(), Encoding::Json),
    }
}

/// Whether an object is about this very group, and the value in it.
fn signal(group: &str, with: &Value<'_>) -> Option<Option<String>> {
    let (mut name, mut value) = (None, None);
    for (i, (key, v)) in with.members().enumerate() {
        match i {
            0 | 1 if key.is("name") => name = Some(text(&v)?),
            0 | 1 if key.is("value") => value = Some(text(&v)?),
            _ => return None,
        }
    }
    (name? == group).then_some(value)
}

/// The members of an object as parameters, if all of them can be that.
fn params(object: &Value<'_>) -> Option<ParamList> {
    if object.kind != Kind::Object {
        return None;
    }
    let mut params = ParamList::new();
    for (key, value) in object.members() {
        let key: String = key.chars().collect();
        let value = match value.kind {
            Kind::String => text(&value)?,
            Kind::Number | Kind::True | Kind::False => value.text.to_owned(),
            Kind::Object | Kind::Array | Kind::Null => return None,
        };
        match params.iter().position(|(k, _)| *k == key) {
            Some(at) => params[at].1 = value,
            None if params.len() == MAX_PARAMS => return None,
            None => params.push((key, value)),
        }
    }
    Some(params)
}

/// What an answer's body says: `{"result": [0, value]}` and the like. Negative codes are
/// those of the node, as numbers of [`Code`]. Any other body is an answer of its own.
pub fn answer(body: &[u8]) -> Answer {
    result(body).unwrap_or_else(|| {
        let encoding = match std::str::from_utf8(body) {
            Ok("") => Encoding::None,
            Ok(text) if parse(text).is_ok() => Encoding::Json,
            Ok(_) => Encoding::Text,
            Err(_) => Encoding::Bytes,
        };
        Answer { body: body.to_vec(), encoding, ..Answer::default() }
    })
}

fn result(body: &[u8]) -> Option<Answer> {
    let whole = parse(std::str::from_utf8(body).ok()?).ok()?;
    // other keys beside it are not looked at, as in both libraries
    let (_, parts) = whole.members().filter(|(key, _)| key.is("result")).last()?;
    let mut parts = parts.elements();
    let code: i64 = parts.next().filter(|v| v.kind == Kind::Number)?.text.parse().ok()?;
    let code = match code {
        0 => Code::Ok,
        2 => Code::UnknownVerb,
        n if n < 0 => u32::try_from(n.unsigned_abs()).map_or(Code::Failed, Code::from_number),
        _ => Code::Failed,
    };
    let answer = Answer { code, ..Answer::default() };
    let Some(value) = parts.next() else { return Some(answer) };
    Some(match (code, text(&value)) {
        (Code::Ok, _) | (_, None) => {
            let (body, encoding) = inner(&value);
            Answer { body, encoding, ..answer }
        }
        (_, Some(text)) => Answer { text, ..answer },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(verb: &str, params: &[(&str, &str)], body: &[u8], encoding: Encoding) -> Said {
        let params = params.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
        Said { verb: verb.into(), params, body: body.to_vec(), encoding }
    }

    #[test]
    fn what_is_said_is_heard_again() {
        for (said, body) in [
            (said("SET", &[], b"v", Encoding::Text), &br#"{"command": ["SET", {"name": "g", "value": "v"}]}"#[..]),
            (said("SET", &[], b"", Encoding::Text), br#"{"command": ["SET", {"name": "g", "value": ""}]}"#),
            (said("SET", &[], b"[1]", Encoding::Json), br#"{"command": ["SET", [1]]}"#),
            (said("NOTIFY", &[], b"", Encoding::None), br#"{"command": ["NOTIFY", {"name": "g"}]}"#),
            (said("GO", &[], b"", Encoding::None), br#"{"command": ["GO"]}"#),
            (
                said("GO", &[("a", "b c"), ("n", "1")], b"", Encoding::None),
                br#"{"command": ["GO", {"a": "b c", "n": "1"}]}"#,
            ),
            (said("GO", &[], b"text \"", Encoding::Text), br#"{"command": ["GO", "text \""]}"#),
            (said("GO", &[], b"{\"a\":[1.50]}", Encoding::Json), br#"{"command": ["GO", {"a":[1.50]}]}"#),
            (said("", &[], b"{\"running\": \"X\"}", Encoding::Json), br#"{"running": "X"}"#),
        ] {
            assert_eq!(String::from_utf8(said.write("g")).unwrap(), String::from_utf8_lossy(body));
            let heard = Said::read("g", body);
            assert_eq!((heard.verb.as_str(), &heard.params, &heard.body), (&*said.verb, &said.params, &said.body));
            assert!(heard.encoding == said.encoding || said.body.is_empty());
        }
    }

    #[test]
    fn what_has_no_form_of_its_own_gets_one() {
        for (said, body) in [
            (said("", &[], b"", Encoding::None), r#"{"command": ["NOTIFY", {"name": "g"}]}"#),
            (said("", &[], b"v", Encoding::Text), r#"{"command": ["SET", {"name": "g", "value": "v"}]}"#),
            (said("SET", &[], b"\xff\0", Encoding::Bytes), r#"{"command": ["SET", {"name": "g", "value": "/wA="}]}"#),
            (said("GO", &[], b"\xff\0", Encoding::None), r#"{"command": ["GO", "/wA="]}"#),
            (said("GO", &[("a", "b")], b"t", Encoding::Text), r#"{"command": ["GO", {"a": "b", "body": "t"}]}"#),
            (said("GO", &[("a", "b")], b"[1]", Encoding::Json), r#"{"command": ["GO", {"a": "b", "body": [1]}]}"#),
            (said("GO", &[], b"{no", Encoding::Json), r#"{"command": ["GO", "{no"]}"#),
            (said("", &[], br#"["\u00e9\u0022"]"#, Encoding::Json), r#"["é\""]"#),
        ] {
            assert_eq!(String::from_utf8(said.write("g")).unwrap(), body);
        }
    }

    #[test]
    fn bodies_of_all_kinds_are_heard() {
        for (body, want) in [
            (&b""[..], said("", &[], b"", Encoding::None)),
            (b"\xff\0no json", said("", &[], b"\xff\0no json", Encoding::Bytes)),
            (b"no json", said("", &[], b"no json", Encoding::Text)),
            (b"{ \"command\": [ \"add\", [ 1, 2 ] ] }", said("add", &[], b"[ 1, 2 ]", Encoding::Json)),
            (
                b"{\"command\": [\"V\", {\"a\": 1.50, \"a\": true}, 7]}",
                said("V", &[("a", "true")], b"", Encoding::None),
            ),
            (b"{\"command\": [\"V\", {\"a\": null}]}", said("V", &[], b"{\"a\": null}", Encoding::Json)),
            (
                b"{\"command\": [\"SET\", {\"name\": \"other\", \"value\": \"v\"}]}",
                said("SET", &[("name", "other"), ("value", "v")], b"", Encoding::None),
            ),
            (b"{\"command\": [\"SET\", {\"value\": \"v\", \"name\": \"g\"}]}", said("SET", &[], b"v", Encoding::Text)),
        ] {
            assert_eq!(Said::read("g", body), want, "{}", String::from_utf8_lossy(body));
        }
        for body in
            [r#"{"command": [""]}"#, r#"{"command": []}"#, r#"{"command": ["V"], "x": 1}"#, r#"{"command": 5}"#, "7"]
        {
            assert_eq!(Said::read("g", body.as_bytes()), said("", &[], body.as_bytes(), Encoding::Json));
        }
    }

    #[test]
    fn answers_have_the_codes_of_the_model() {
        for (body, code, text, of, encoding) in [
            (&br#"{"result": [0]}"#[..], Code::Ok, "", &b""[..], Encoding::None),
            (br#"{"result": [0, "h\u00e9"]}"#, Code::Ok, "", "hé".as_bytes(), Encoding::Text),
            (br#"{"result": [0, {"t": 21.50}], "x": 1}"#, Code::Ok, "", br#"{"t": 21.50}"#, Encoding::Json),
            (br#"{"result": [1, "no"]}"#, Code::Failed, "no", b"", Encoding::None),
            (br#"{"result": [2, "what?"]}"#, Code::UnknownVerb, "what?", b"", Encoding::None),
            (br#"{"result": [-1, "No such recipient"]}"#, Code::NoRecipient, "No such recipient", b"", Encoding::None),
            (br#"{"result": [-3, "late"]}"#, Code::TimedOut, "late", b"", Encoding::None),
            (br#"{"result": [1, {"why": 1}]}"#, Code::Failed, "", br#"{"why": 1}"#, Encoding::Json),
            (br#"{"other": 1}"#, Code::Ok, "", br#"{"other": 1}"#, Encoding::Json),
            (b"\xff", Code::Ok, "", b"\xff", Encoding::Bytes),
        ] {
            let want = Answer { code, text: text.into(), body: of.to_vec(), encoding, ..Answer::default() };
            assert_eq!(answer(body), want, "{}", String::from_utf8_lossy(body));
        }
    }
}
