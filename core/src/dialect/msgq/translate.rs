//! Bodies of this dialect and verbs, parameters and answers of the model: one into the other.
//!
//! Owns: the table below (`design.md` section 3, `wire/msgq.md` section 11). Does not own
//! headers (`repr.rs`, `emit.rs`). Both ways are total: there is no body that cannot be
//! handed on, only some that are handed on as a whole.
//!
//! | body | model |
//! |---|---|
//! | none | no body |
//! | `{"command":["SET",{"name":N,"value":V}]}`, two strings, N the group it is sent to | SET, body V, text |
//! | `{"command":["NOTIFY",{"name":N}]}`, a string, the group | NOTIFY |
//! | `{"command":["V"]}` | V |
//! | `{"command":["V",{…}]}`, strings, numbers, booleans | V, parameters; of doubled keys the last counts |
//! | `{"command":["V","text"]}` | V, body, text |
//! | `{"command":["V",…]}`, anything else | V, body, JSON |
//! | other JSON; a command with other keys beside it; one whose name is no verb | body, JSON |
//! | no JSON | body, text if it is UTF-8 |
//! | `{"result":[0,…]}` | ok, body |
//! | `{"result":[2,"text"]}` | unknown verb, text |
//! | `{"result":[n,"text"]}` | failed, text |
//!
//! Elements of a list behind the ones named are not looked at, as in both libraries. Text
//! whose escapes cannot be read in [`ROOM`] octets stays JSON.
//!
//! The other way the rows are the same, and bytes that are no text are base64 in a string;
//! a letter with parameters and a body has the body among the parameters, as `body`. JSON is
//! written without `\u`, which the C++ library cannot read.

use super::json::{self, Kind, Str, Value, Writer};
use super::lname;
use crate::limits::{MAX_NAME, MAX_PARAMS, MAX_VERB};
use crate::model::{Answer, Code, Encoding, Letter, Params};
use crate::name::no_controls;

/// Octets for all text of one body together that has escapes, which must be read to be
/// handed on. Text without escapes is borrowed from the frame and may be of any length.
const ROOM: usize = 4096;

/// Where escapes are read to.
struct Room<'r>(&'r mut [u8]);

impl<'r> Room<'r> {
    /// As much as `body` may need. `memory` stays as it is, not even cleared, if that is none.
    #[inline]
    fn new(body: &[u8], memory: &'r mut Option<[u8; ROOM]>) -> Self {
        match body.contains(&b'\\') {
            true => Room(memory.insert([0; ROOM])),
            false => Room(&mut []),
        }
    }

    /// The text of a string. `None`: it does not fit.
    #[inline]
    fn text(&mut self, s: Str<'r>) -> Option<&'r str> {
        match s.plain() {
            Some(plain) => Some(plain),
            None => self.read(s),
        }
    }

    #[cold]
    fn read(&mut self, s: Str<'r>) -> Option<&'r str> {
        let size = s.chars().map(char::len_utf8).sum();
        let (text, free) = core::mem::take(&mut self.0).split_at_mut_checked(size)?;
        self.0 = free;
        let mut at = 0;
        for c in s.chars() {
            c.encode_utf8(text.get_mut(at..at + c.len_utf8())?);
            at += c.len_utf8();
        }
        core::str::from_utf8(text).ok()
    }
}

/// What the bytes of a body are.
enum Body<'b> {
    Nothing,
    Json(Value<'b>),
    Text(&'b str),
    Bytes(&'b [u8]),
}

impl<'b> Body<'b> {
    /// Of this dialect, where nothing says what it is.
    fn of_frame(body: &'b [u8]) -> Self {
        match core::str::from_utf8(body) {
            Ok("") => Body::Nothing,
            Ok(text) => json::parse(text).map_or(Body::Text(text), Body::Json),
            Err(_) => Body::Bytes(body),
        }
    }

    /// Of the model. What is not what its sender calls it is taken for what it is.
    fn of_model(body: &'b [u8], encoding: Encoding) -> Self {
        match (encoding, core::str::from_utf8(body)) {
            (Encoding::Text, Ok(text)) => Body::Text(text),
            (_, Ok("")) => Body::Nothing,
            (Encoding::Bytes | Encoding::Protobuf, _) | (_, Err(_)) => Body::Bytes(body),
            (Encoding::Json, Ok(text)) => json::parse(text).map_or(Body::Text(text), Body::Json),
            (_, Ok(text)) => Body::Text(text),
        }
    }

    const fn encoding(&self) -> Encoding {
        match self {
            Body::Nothing => Encoding::None,
            Body::Json(_) => Encoding::Json,
            Body::Text(_) => Encoding::Text,
            Body::Bytes(_) => Encoding::Bytes,
        }
    }

    /// As a JSON value behind `before`; nothing at all of no body.
    fn write(&self, before: &str, w: &mut Writer<'_>) {
        if !matches!(self, Body::Nothing) {
            w.raw(before);
        }
        match self {
            Body::Nothing => {}
            Body::Json(value) => json::rewrite(value.text, w),
            Body::Text(text) => w.string(text),
            Body::Bytes(bytes) => w.base64_string(bytes),
        }
    }
}

/// A value inside a body as the body of the model: a string as its text, anything else, or
/// what does not fit, as the JSON it is.
fn inner<'b>(value: Value<'b>, room: &mut Room<'b>) -> (&'b [u8], Encoding) {
    match value.string().and_then(|s| room.text(s)) {
        Some(text) => (text.as_bytes(), Encoding::Text),
        None => (value.text.as_bytes(), Encoding::Json),
    }
}

/// A letter with this body, as the model has it: verb, parameters, body and encoding are
/// those that `body` says, all other fields are `l`'s.
pub(crate) fn letter<R>(l: &Letter<'_>, body: &[u8], then: impl FnOnce(&Letter<'_>) -> R) -> R {
    let whole = Body::of_frame(body);
    let plain = Letter { verb: "", params: Params::default(), body, encoding: whole.encoding(), ..*l };
    let Body::Json(value) = whole else { return then(&plain) };
    let Some((verb, with)) = command(&value) else { return then(&plain) };
    let mut memory = None;
    let mut room = Room::new(body, &mut memory);
    let Some(verb) = room.text(verb).filter(|v| is_verb(v)) else { return then(&plain) };
    let bare = Letter { verb, body: &[], encoding: Encoding::None, ..plain };
    let Some(with) = with else { return then(&bare) };
    match signal(verb, &with, l.name) {
        Some(Some(value)) => {
            let (body, encoding) = inner(value, &mut room);
            return then(&Letter { body, encoding, ..bare });
        }
        Some(None) => return then(&bare),
        None => {}
    }
    let mut pairs = heapless::Vec::new();
    if params(&with, &mut room, &mut pairs).is_some() {
        return then(&Letter { params: Params::Listed(&pairs), ..bare });
    }
    let (body, encoding) = inner(with, &mut room);
    then(&Letter { body, encoding, ..bare })
}

/// Name and second element of a command. `None`: it is something else, or has more to say
/// than that.
fn command<'b>(whole: &Value<'b>) -> Option<(Str<'b>, Option<Value<'b>>)> {
    let mut members = whole.members();
    let (key, list) = members.next()?;
    if !key.is("command") || members.next().is_some() {
        return None;
    }
    let mut elements = list.elements();
    Some((elements.next()?.string()?, elements.next()))
}

fn is_verb(text: &str) -> bool {
    !text.is_empty() && text.len() <= MAX_VERB && no_controls(text)
}

/// Whether a command is a signal about the name it is sent to, and its value. One about
/// another name is a command like any other: to whom it is sent says something else.
fn signal<'b>(verb: &str, with: &Value<'b>, about: &str) -> Option<Option<Value<'b>>> {
    let (mut name, mut value, mut count) = (None, None, 0);
    for (key, v) in with.members().take(3) {
        count += 1;
        match key.plain() {
            Some("name") => name = v.string(),
            Some("value") => value = v.string().map(|_| v),
            _ => return None,
        }
    }
    let signal = match (verb, count, value) {
        ("SET", 2, Some(value)) => Some(value),
        ("NOTIFY", 1, None) => None,
        _ => return None,
    };
    let mut spare = heapless::String::<MAX_NAME, u8>::new();
    (lname::to_bus(name?, false, &mut spare)? == about).then_some(signal)
}

type Pairs<'b> = heapless::Vec<(&'b str, &'b str), MAX_PARAMS>;

/// The members of an object as parameters. `None`: it is no object, or not all of them can
/// be that.
fn params<'b>(with: &Value<'b>, room: &mut Room<'b>, pairs: &mut Pairs<'b>) -> Option<()> {
    if with.kind != Kind::Object {
        return None;
    }
    for (key, value) in with.members() {
        let key = room.text(key)?;
        let value = match value.kind {
            Kind::String => room.text(value.string()?)?,
            Kind::Number | Kind::True | Kind::False => value.text,
            Kind::Object | Kind::Array | Kind::Null => return None,
        };
        match pairs.iter_mut().find(|(k, _)| *k == key) {
            Some((_, v)) => *v = value,
            None => pairs.push((key, value)).ok()?,
        }
    }
    Some(())
}

/// An answer with this body, as the model has it: code, text, body and encoding are those
/// that `body` says, all other fields are `a`'s.
pub(crate) fn answer<R>(a: &Answer<'_>, body: &[u8], then: impl FnOnce(&Answer<'_>) -> R) -> R {
    let whole = Body::of_frame(body);
    let bare =
        Answer { code: Code::Ok, text: "", params: Params::default(), body: &[], encoding: Encoding::None, ..*a };
    let plain = Answer { body, encoding: whole.encoding(), ..bare };
    let Body::Json(value) = whole else { return then(&plain) };
    let Some((code, with)) = result(&value) else { return then(&plain) };
    let bare = Answer { code, ..bare };
    let Some(with) = with else { return then(&bare) };
    let mut memory = None;
    match (code, inner(with, &mut Room::new(body, &mut memory))) {
        (Code::Ok, (body, encoding)) => then(&Answer { body, encoding, ..bare }),
        (_, (text, Encoding::Text)) => then(&Answer { text: core::str::from_utf8(text).unwrap_or_default(), ..bare }),
        (_, (body, encoding)) => then(&Answer { body, encoding, ..bare }),
    }
}

/// Code and second element of a result. `None`: it is none.
fn result<'b>(whole: &Value<'b>) -> Option<(Code, Option<Value<'b>>)> {
    // other keys beside it are not looked at, as in both libraries
    let (_, list) = whole.members().filter(|(key, _)| key.is("result")).last()?;
    let mut elements = list.elements();
    let first = elements.next()?;
    let digits = first.text.strip_prefix('-').unwrap_or(first.text);
    if first.kind != Kind::Number || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let code = match first.text.parse::<i64>() {
        Ok(0) => Code::Ok,
        Ok(2) => Code::UnknownVerb,
        _ => Code::Failed,
    };
    Some((code, elements.next()))
}

/// The body of a letter of the model.
pub(crate) fn write_body(l: &Letter<'_>, w: &mut Writer<'_>) {
    let body = Body::of_model(l.body, l.encoding);
    let has_params = l.params.count() > 0;
    let verb = match (l.verb, &body) {
        ("", Body::Json(value)) if !has_params => return json::rewrite(value.text, w),
        ("", Body::Nothing) => "NOTIFY",
        ("", _) => "SET",
        (verb, _) => verb,
    };
    w.raw("{\"command\":[");
    w.string(verb);
    match (verb, &body) {
        _ if has_params => second(&l.params, &body, ",", w),
        // a value that is empty is one
        ("SET", Body::Text(_) | Body::Bytes(_) | Body::Nothing) => {
            w.raw(",{\"name\":");
            lname::from_bus(l.name, w);
            w.raw(",\"value\":");
            match &body {
                Body::Nothing => w.string(""),
                body => body.write("", w),
            }
            w.raw("}");
        }
        ("NOTIFY", Body::Nothing) => {
            w.raw(",{\"name\":");
            lname::from_bus(l.name, w);
            w.raw("}");
        }
        _ => second(&l.params, &body, ",", w),
    }
    w.raw("]}");
}

/// The second element of a command or result behind a comma: parameters, body, or both.
fn second(params: &Params<'_>, body: &Body<'_>, comma: &str, w: &mut Writer<'_>) {
    if params.count() == 0 {
        return body.write(comma, w);
    }
    w.raw(comma);
    for (i, (key, value)) in params.iter().enumerate() {
        w.raw(if i == 0 { "{" } else { "," });
        w.string(key);
        w.raw(":");
        w.string(value);
    }
    body.write(",\"body\":", w);
    w.raw("}");
}

/// The body of an answer of the model, spelled as in section 17. Codes of the node's own are
/// negative (section 11.1), so no callee's can be taken for them.
pub(crate) fn write_result(a: &Answer<'_>, from_node: bool, w: &mut Writer<'_>) {
    let body = Body::of_model(a.body, a.encoding);
    w.raw("{\"result\": [");
    match a.code {
        Code::Ok => {
            w.raw("0");
            match (&body, a.params.count()) {
                (Body::Nothing, 0) if !a.text.is_empty() => Body::Text(a.text).write(", ", w),
                _ => second(&a.params, &body, ", ", w),
            }
        }
        code => {
            w.i64(match code {
                _ if from_node => -(code.number() as i64),
                Code::UnknownVerb => 2,
                Code::BadRequest => 3,
                _ => 1,
            });
            w.raw(", ");
            match (code, &body) {
                // section 9: exactly this
                (Code::NoRecipient, _) if from_node => w.string("No such recipient"),
                _ if !a.text.is_empty() => w.string(a.text),
                (_, Body::Text(text)) if !text.is_empty() => w.string(text),
                (_, Body::Json(value)) if value.kind == Kind::String => json::rewrite(value.text, w),
                _ => w.string(code.text()),
            }
        }
    }
    w.raw("]}");
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a letter says, to compare.
    type Seen = (heapless::String<64>, heapless::Vec<(heapless::String<16>, heapless::String<16>), 4>, Bytes, Encoding);
    type Bytes = heapless::Vec<u8, 256>;

    fn seen(name: &str, body: &[u8]) -> Seen {
        let l = Letter { name, verb: "old", body: b"old", encoding: Encoding::Protobuf, seq: 7, ..Letter::default() };
        letter(&l, body, |l| {
            assert_eq!((l.name, l.seq), (name, 7), "everything else is kept");
            let text = |t: &str| heapless::String::try_from(t).unwrap();
            (
                heapless::String::try_from(l.verb).unwrap(),
                l.params.iter().map(|(k, v)| (text(k), text(v))).collect(),
                Bytes::from_slice(l.body).unwrap(),
                l.encoding,
            )
        })
    }

    fn expect(verb: &str, params: &[(&str, &str)], body: &str, encoding: Encoding) -> Seen {
        let text = |t: &str| heapless::String::try_from(t).unwrap();
        (
            heapless::String::try_from(verb).unwrap(),
            params.iter().map(|(k, v)| (text(k), text(v))).collect(),
            Bytes::from_slice(body.as_bytes()).unwrap(),
            encoding,
        )
    }

    fn written(write: impl Fn(&mut Writer<'_>)) -> heapless::String<1024> {
        let mut out = [0; 1024];
        let mut w = Writer::new(&mut out);
        write(&mut w);
        let n = w.finish().unwrap();
        heapless::String::try_from(core::str::from_utf8(&out[..n]).unwrap()).unwrap()
    }

    fn body_of(l: &Letter<'_>) -> heapless::String<1024> {
        let text = written(|w| write_body(l, w));
        assert!(json::parse(&text).is_ok(), "{text}");
        text
    }

    #[test]
    fn commands_are_verbs() {
        use Encoding::{Json, None, Text};
        for (body, want) in [
            (r#"{"command":["SET",{"name":"x","value":"v"}]}"#, expect("SET", &[], "v", Text)),
            (r#"{ "command": [ "SET", { "value": "v", "name": "x" } ] }"#, expect("SET", &[], "v", Text)),
            (r#"{"command":["SET",{"name":"x","value":""}]}"#, expect("SET", &[], "", Text)),
            (r#"{"command":["NOTIFY",{"name":"x"}]}"#, expect("NOTIFY", &[], "", None)),
            (r#"{"command":["TEMP"]}"#, expect("TEMP", &[], "", None)),
            (r#"{"command":["TEMP",{}]}"#, expect("TEMP", &[], "", None)),
            (
                r#"{"command":["TEMP",{"unit":"C","n":-1.50,"on":true,"off":false}]}"#,
                expect("TEMP", &[("unit", "C"), ("n", "-1.50"), ("on", "true"), ("off", "false")], "", None),
            ),
            (r#"{"command":["V","text"]}"#, expect("V", &[], "text", Text)),
            (r#"{"command":["V",""]}"#, expect("V", &[], "", Text)),
            (r#"{"command":["V",[1, 2]]}"#, expect("V", &[], "[1, 2]", Json)),
            (r#"{"command":["V",null]}"#, expect("V", &[], "null", Json)),
            (r#"{"command":["V",{"a":{}}]}"#, expect("V", &[], r#"{"a":{}}"#, Json)),
            (r#"{"command":["V",{"a":null}]}"#, expect("V", &[], r#"{"a":null}"#, Json)),
            // elements behind are not looked at, as in both libraries
            (r#"{"command":["V",{"a":"1"},3]}"#, expect("V", &[("a", "1")], "", None)),
            // of doubled keys the last counts
            (r#"{"command":["V",{"a":"1","b":"2","a":"3"}]}"#, expect("V", &[("a", "3"), ("b", "2")], "", None)),
            // escapes are read
            (
                r#"{"\u0063ommand":["T\u0045MP",{"\u00e9":"\n\ud83d\ude00","a":"\u0041"}]}"#,
                expect("TEMP", &[("é", "\n😀"), ("a", "A")], "", None),
            ),
            (r#"{"command":["SET",{"name":"\u0078","value":"\u00e9\t"}]}"#, expect("SET", &[], "é\t", Text)),
            (r#"{"command":["V","a\\b"]}"#, expect("V", &[], "a\\b", Text)),
            // not quite a signal: parameters
            (r#"{"command":["SET",{"name":"x"}]}"#, expect("SET", &[("name", "x")], "", None)),
            (
                r#"{"command":["NOTIFY",{"name":"x","value":"v"}]}"#,
                expect("NOTIFY", &[("name", "x"), ("value", "v")], "", None),
            ),
            (
                r#"{"command":["SET",{"name":"x","value":1}]}"#,
                expect("SET", &[("name", "x"), ("value", "1")], "", None),
            ),
            (
                r#"{"command":["SET",{"name":"x","value":"v","c":"d"}]}"#,
                expect("SET", &[("name", "x"), ("value", "v"), ("c", "d")], "", None),
            ),
            (r#"{"command":["NOTIFY",{"value":"v"}]}"#, expect("NOTIFY", &[("value", "v")], "", None)),
            (r#"{"command":["SET",{"name":"x","name":"x"}]}"#, expect("SET", &[("name", "x")], "", None)),
            // about another name than it is sent to: that must not get lost
            (
                r#"{"command":["SET",{"name":"y","value":"v"}]}"#,
                expect("SET", &[("name", "y"), ("value", "v")], "", None),
            ),
            (r#"{"command":["NOTIFY",{"name":"y"}]}"#, expect("NOTIFY", &[("name", "y")], "", None)),
        ] {
            assert_eq!(seen("x", body.as_bytes()), want, "{body}");
        }
    }

    #[test]
    fn what_is_no_command_is_handed_on_whole() {
        for json in [
            "{}",
            "[]",
            "1",
            "null",
            "\"text\"",
            " [1] ",
            r#"{"notification":["rain",{"mm":3}]}"#,
            r#"{"result":[0]}"#,
            r#"{"command":"V"}"#,
            r#"{"command":[]}"#,
            r#"{"command":{}}"#,
            r#"{"command":[1]}"#,
            r#"{"command":[["V"]]}"#,
            r#"{"command":["V"],"x":1}"#,
            r#"{"x":1,"command":["V"]}"#,
            r#"{"command":["V"],"command":["W"]}"#,
            r#"{"command":[""]}"#,
            r#"{"command":["a\nb"]}"#,
            "{\"command\":[\"a\tb\"]}",
            r#"{"command":["\u0085"]}"#,
            r#"{"command":["12345678901234567890123456789012345678901234567890123456789012345"]}"#,
        ] {
            assert_eq!(seen("x", json.as_bytes()), expect("", &[], json, Encoding::Json), "{json}");
        }
        for text in ["no json", "{", "{} x", "{\"command\":[\"V\"]", "\"\\ud800\"", "\0"] {
            assert_eq!(seen("x", text.as_bytes()), expect("", &[], text, Encoding::Text), "{text}");
        }
        let (verb, params, body, encoding) = seen("x", b"\xff\x00no json");
        assert_eq!((verb.len(), params.len(), &body[..]), (0, 0, &b"\xff\x00no json"[..]), "V23");
        assert_eq!(encoding, Encoding::Bytes);
        assert_eq!(seen("x", b""), expect("", &[], "", Encoding::None), "V24");
    }

    #[test]
    fn names_are_compared_in_their_form_on_the_bus() {
        for (name, group) in [("~", ""), ("~~", "~"), ("**", "*"), ("a/**", "a/*"), ("é", r"\u00e9")] {
            let body = [r#"{"command":["SET",{"name":""#, group, r#"","value":"v"}]}"#].concat_into();
            assert_eq!(seen(name, &body), expect("SET", &[], "v", Encoding::Text), "{name}");
        }
        let (_, params, ..) = seen("~", br#"{"command":["SET",{"name":"~","value":"v"}]}"#);
        assert_eq!(params.len(), 2, "group `~` is not the empty one");
    }

    trait ConcatInto {
        fn concat_into(&self) -> Bytes;
    }
    impl ConcatInto for [&str; 3] {
        fn concat_into(&self) -> Bytes {
            self.iter().flat_map(|s| s.bytes()).collect()
        }
    }

    /// `before`, then `middle` so often, then `behind`.
    fn long<'b>(before: &str, middle: &str, times: usize, behind: &str, room: &'b mut [u8]) -> &'b [u8] {
        let mut at = 0;
        for part in core::iter::once(before).chain(core::iter::repeat_n(middle, times)).chain([behind]) {
            room[at..at + part.len()].copy_from_slice(part.as_bytes());
            at += part.len();
        }
        &room[..at]
    }

    #[test]
    fn text_that_cannot_be_unescaped_stays_json_and_plain_text_has_any_length() {
        let mut room = [0; 8 * ROOM];
        let l = Letter { name: "x", ..Letter::default() };
        let (set, end) = (r#"{"command":["SET",{"name":"x","value":""#, r#""}]}"#);
        letter(&l, long(set, "ab", 2 * ROOM, end, &mut room), |l| {
            assert_eq!((l.verb, l.body.len(), l.encoding), ("SET", 4 * ROOM, Encoding::Text));
        });
        letter(&l, long(set, r"\t", ROOM, end, &mut room), |l| {
            assert_eq!((l.verb, l.body.len(), l.encoding), ("SET", ROOM, Encoding::Text));
            assert!(l.body.iter().all(|b| *b == b'\t'));
        });
        letter(&l, long(set, r"\t", ROOM + 1, end, &mut room), |l| {
            assert_eq!((l.verb, l.body.len(), l.encoding), ("SET", 2 * (ROOM + 1) + 2, Encoding::Json));
            assert!(json::parse(core::str::from_utf8(l.body).unwrap()).is_ok());
        });
        // parameters too long: all of them stay one JSON object
        let (v, end) = (r#"{"command":["V",{"a":"\t","b":""#, r#""}]}"#);
        letter(&l, long(v, r"\t", ROOM, end, &mut room), |l| {
            assert_eq!((l.verb, l.params.count(), l.encoding), ("V", 0, Encoding::Json));
            assert!(l.body.starts_with(br#"{"a":"\t","b":""#));
        });
        // a failure's text
        answer(&Answer::default(), long("{\"result\":[1,\"", r"\t", ROOM + 1, "\"]}", &mut room), |a| {
            assert_eq!((a.code, a.text, a.encoding), (Code::Failed, "", Encoding::Json));
            assert_eq!(a.body.len(), 2 * (ROOM + 1) + 2);
        });
    }

    #[test]
    fn parameters_have_the_maximum_of_the_model() {
        let mut room = [0; 2048];
        let mut body = |n: usize| {
            let mut at = 0;
            let mut put = |s: &[u8]| {
                room[at..at + s.len()].copy_from_slice(s);
                at += s.len();
            };
            put(br#"{"command":["V",{"#);
            for i in 0..n {
                put(if i == 0 { b"\"" } else { b",\"" });
                put(&[b'a' + (i / 10) as u8, b'0' + (i % 10) as u8]);
                put(b"\":1");
            }
            put(b"}]}");
            let (bytes, _) = room.split_at(at);
            letter(&Letter::default(), bytes, |l| (l.params.count(), l.encoding))
        };
        assert_eq!(body(MAX_PARAMS), (MAX_PARAMS, Encoding::None));
        assert_eq!(body(MAX_PARAMS + 1), (0, Encoding::Json));
    }

    #[test]
    fn letters_become_bodies() {
        use Encoding::{Bytes, Json, None, Protobuf, Text};
        let p = [("a", "b"), ("c\"", "")];
        for (verb, params, body, encoding, want) in [
            // design.md section 3, row by row
            ("", &[][..], &b"v"[..], Text, r#"{"command":["SET",{"name":"x","value":"v"}]}"#),
            ("SET", &[], b"v", Text, r#"{"command":["SET",{"name":"x","value":"v"}]}"#),
            ("SET", &[], b"v", None, r#"{"command":["SET",{"name":"x","value":"v"}]}"#),
            ("SET", &[], b"", Text, r#"{"command":["SET",{"name":"x","value":""}]}"#),
            ("SET", &[], b"", None, r#"{"command":["SET",{"name":"x","value":""}]}"#),
            ("", &[], b"", Text, r#"{"command":["SET",{"name":"x","value":""}]}"#),
            ("", &[], b"", None, r#"{"command":["NOTIFY",{"name":"x"}]}"#),
            ("NOTIFY", &[], b"", None, r#"{"command":["NOTIFY",{"name":"x"}]}"#),
            ("VERB", &p[..1], b"", None, r#"{"command":["VERB",{"a":"b"}]}"#),
            ("VERB", &p, b"", None, r#"{"command":["VERB",{"a":"b","c\"":""}]}"#),
            ("VERB", &[], b"", None, r#"{"command":["VERB"]}"#),
            ("", &[], b" {\"a\": 1}", Json, r#"{"a": 1}"#),
            ("SET", &[], &[0xff, 0], Bytes, r#"{"command":["SET",{"name":"x","value":"/wA="}]}"#),
            ("", &[], &[0xff, 0], Text, r#"{"command":["SET",{"name":"x","value":"/wA="}]}"#),
            // and what lies between the rows
            ("", &[], b"{bad", Json, r#"{"command":["SET",{"name":"x","value":"{bad"}]}"#),
            ("", &[], b"\"\\ud800\"", Json, r#"{"command":["SET",{"name":"x","value":"\"\\ud800\""}]}"#),
            ("SET", &[], b"[1, 2]", Json, r#"{"command":["SET",[1, 2]]}"#),
            ("NOTIFY", &[], b"v", Text, r#"{"command":["NOTIFY","v"]}"#),
            ("NOTIFY", &p[..1], b"", None, r#"{"command":["NOTIFY",{"a":"b"}]}"#),
            ("VERB", &[], b"[1, 2]", Json, r#"{"command":["VERB",[1, 2]]}"#),
            ("VERB", &[], b"t\n", Text, r#"{"command":["VERB","t\n"]}"#),
            ("VERB", &[], b"abc", Protobuf, r#"{"command":["VERB","YWJj"]}"#),
            ("VERB", &[], b"abc", Bytes, r#"{"command":["VERB","YWJj"]}"#),
            ("VERB", &[], b"abc", Encoding::Unknown(9), r#"{"command":["VERB","abc"]}"#),
            ("VERB", &[], &[0xff], Encoding::Unknown(9), r#"{"command":["VERB","/w=="]}"#),
            ("VERB", &p[..1], b"[1]", Json, r#"{"command":["VERB",{"a":"b","body":[1]}]}"#),
            ("VERB", &p[..1], b"t", Text, r#"{"command":["VERB",{"a":"b","body":"t"}]}"#),
            ("VERB", &p[..1], &[0xff], Bytes, r#"{"command":["VERB",{"a":"b","body":"/w=="}]}"#),
            ("SET", &p[..1], b"v", Text, r#"{"command":["SET",{"a":"b","body":"v"}]}"#),
            ("", &p[..1], b"v", Text, r#"{"command":["SET",{"a":"b","body":"v"}]}"#),
            ("", &p[..1], b"[]", Json, r#"{"command":["SET",{"a":"b","body":[]}]}"#),
            ("", &p[..1], b"", None, r#"{"command":["NOTIFY",{"a":"b"}]}"#),
        ] {
            let l = Letter { name: "x", verb, params: Params::Listed(params), body, encoding, ..Letter::default() };
            assert_eq!(body_of(&l), want, "{verb} {params:?} {body:?} {encoding:?}");
        }
        // the group as it is called here, and nothing that the C++ library cannot read
        let l = Letter { name: "**", body: "é\u{1}\"".as_bytes(), ..Letter::default() };
        assert_eq!(body_of(&l), "{\"command\":[\"SET\",{\"name\":\"*\",\"value\":\"é\u{1}\\\"\"}]}");
        let l = Letter { body: br#"{"\u00e9": "\u0001"}"#, encoding: Json, ..Letter::default() };
        assert_eq!(body_of(&l), "{\"é\": \"\u{1}\"}");
    }

    #[test]
    fn what_became_a_body_becomes_the_same_letter_again() {
        use Encoding::{Json, None, Text};
        let p = [("a", "b\n"), ("é", "\"")];
        for (verb, params, body, encoding) in [
            ("SET", &[][..], "v", Text),
            ("SET", &[], "", Text),
            ("SET", &[], "a \"b\" \\ \n\u{1}é😀", Text),
            ("NOTIFY", &[], "", None),
            ("VERB", &[], "", None),
            ("VERB", &p, "", None),
            ("VERB", &[], "text", Text),
            ("VERB", &[], "[1, {\"a\": null}]", Json),
            ("", &[], "{\"a\": 1}", Json),
        ] {
            for name in ["x", "~", "**", "a b"] {
                let l = Letter {
                    name,
                    verb,
                    params: Params::Listed(params),
                    body: body.as_bytes(),
                    encoding,
                    ..Letter::default()
                };
                assert_eq!(seen(name, body_of(&l).as_bytes()), expect(verb, params, body, encoding));
            }
        }
    }

    #[test]
    fn results_are_answers() {
        use Code::{Failed, Ok, UnknownVerb};
        use Encoding::{Bytes, Json, None, Text};
        for (body, code, text, inner, encoding) in [
            (r#"{"result":[0]}"#, Ok, "", "", None),
            (r#"{"result": [0, "hello"]}"#, Ok, "", "hello", Text),
            (r#"{"result": [0, "\u00e9\n"]}"#, Ok, "", "é\n", Text),
            (r#"{"result": [0, 2]}"#, Ok, "", "2", Json),
            (r#"{"result": [0, {"a": 1}]}"#, Ok, "", r#"{"a": 1}"#, Json),
            (r#"{"result": [-0]}"#, Ok, "", "", None),
            (r#"{"result": [1, "no"]}"#, Failed, "no", "", None),
            (r#"{"result": [2, "no such \"thing\""]}"#, UnknownVerb, "no such \"thing\"", "", None),
            (r#"{"result": [3, ""]}"#, Failed, "", "", None),
            (r#"{"result": [-1, "No such recipient"]}"#, Failed, "No such recipient", "", None),
            (r#"{"result": [99999999999999999999, "x"]}"#, Failed, "x", "", None),
            (r#"{"result": [1]}"#, Failed, "", "", None),
            (r#"{"result": [1, {"why": 2}]}"#, Failed, "", r#"{"why": 2}"#, Json),
            (r#"{"result": [0], "result": [1, "x"]}"#, Failed, "x", "", None),
            (r#"{"x": 1, "result": [1, "x", 3]}"#, Failed, "x", "", None),
            // no results: the whole is what was said
            (r#"{"result": []}"#, Ok, "", r#"{"result": []}"#, Json),
            (r#"{"result": 0}"#, Ok, "", r#"{"result": 0}"#, Json),
            (r#"{"result": ["0"]}"#, Ok, "", r#"{"result": ["0"]}"#, Json),
            (r#"{"result": [1.0]}"#, Ok, "", r#"{"result": [1.0]}"#, Json),
            (r#"{"result": [NaN]}"#, Ok, "", r#"{"result": [NaN]}"#, Json),
            (r#"{"result": [-Infinity]}"#, Ok, "", r#"{"result": [-Infinity]}"#, Json),
            (r#"{"command": ["V"]}"#, Ok, "", r#"{"command": ["V"]}"#, Json),
            ("[0]", Ok, "", "[0]", Json),
            ("no json", Ok, "", "no json", Text),
            ("", Ok, "", "", None),
        ] {
            let old =
                Answer { code: Code::TimedOut, text: "old", body: b"old", seq: 7, ask_id: 8, ..Answer::default() };
            answer(&old, body.as_bytes(), |a| {
                assert_eq!((a.code, a.text, a.encoding), (code, text, encoding), "{body}");
                assert_eq!(a.body, inner.as_bytes(), "{body}");
                assert_eq!((a.seq, a.ask_id), (7, 8), "everything else is kept");
            });
        }
        answer(&Answer::default(), &[0xff], |a| assert_eq!((a.code, a.body, a.encoding), (Ok, &[0xff][..], Bytes)));
    }

    #[test]
    fn answers_become_results() {
        use Encoding::{Bytes, Json, None, Text};
        let p = [("t", "21"), ("u", "C")];
        for (code, text, params, body, encoding, want) in [
            (Code::Ok, "", &[][..], &b""[..], None, "[0]"),
            (Code::Ok, "", &[], b"v", Text, r#"[0, "v"]"#),
            (Code::Ok, "", &[], b"", Text, r#"[0, ""]"#),
            (Code::Ok, "", &[], b"{\"a\": \"\\u00e9\"}", Json, r#"[0, {"a": "é"}]"#),
            (Code::Ok, "", &[], &[0xff], Bytes, r#"[0, "/w=="]"#),
            (Code::Ok, "", &p, b"", None, r#"[0, {"t":"21","u":"C"}]"#),
            (Code::Ok, "", &p[..1], b"v", Text, r#"[0, {"t":"21","body":"v"}]"#),
            (Code::Ok, "done", &[], b"", None, r#"[0, "done"]"#),
            (Code::Ok, "done", &[], b"v", Text, r#"[0, "v"]"#),
            (Code::Failed, "why", &[], b"", None, r#"[1, "why"]"#),
            (Code::Failed, "", &[], b"why", Text, r#"[1, "why"]"#),
            (Code::Failed, "", &[], b"\"why\"", Json, r#"[1, "why"]"#),
            (Code::Failed, "", &[], b"[1]", Json, r#"[1, "the callee failed"]"#),
            (Code::Failed, "", &[], &[0xff], None, r#"[1, "the callee failed"]"#),
            (Code::Failed, "", &[], b"", Text, r#"[1, "the callee failed"]"#),
            (Code::UnknownVerb, "", &[], b"", None, r#"[2, "the callee does not know that verb"]"#),
            (Code::BadRequest, "a\nb", &[], b"", None, r#"[3, "a\nb"]"#),
            // a callee cannot say what only the node can
            (Code::NoRecipient, "", &[], b"", None, r#"[1, "no such recipient"]"#),
            (Code::Unknown(99), "", &[], b"", None, r#"[1, "a code that this version does not know"]"#),
        ] {
            let a = Answer { code, text, params: Params::Listed(params), body, encoding, ..Answer::default() };
            let got = written(|w| write_result(&a, false, w));
            assert_eq!(got.strip_prefix("{\"result\": ").and_then(|r| r.strip_suffix("}")), Some(want));
        }
    }

    #[test]
    fn what_the_node_answers_has_codes_of_its_own() {
        for (code, text, want) in [
            (Code::NoRecipient, "", r#"{"result": [-1, "No such recipient"]}"#),
            (Code::NoRecipient, "more about it", r#"{"result": [-1, "No such recipient"]}"#),
            (Code::RecipientLeft, "", r#"{"result": [-2, "the recipient left before answering"]}"#),
            (Code::TimedOut, "late", r#"{"result": [-3, "late"]}"#),
            (Code::RecipientBusy, "", r#"{"result": [-4, "the recipient does not read what it is sent"]}"#),
            (Code::Unknown(u32::MAX), "", r#"{"result": [-4294967295, "a code that this version does not know"]}"#),
        ] {
            let a = Answer { code, text, ..Answer::default() };
            assert_eq!(written(|w| write_result(&a, true, w)), want);
        }
    }

    #[test]
    fn whatever_the_body_it_is_handed_on() {
        // every cut and every changed octet of bodies that use every row
        for whole in [
            r#"{"command":["SET",{"name":"x","value":"\ud83d\ude00\n"}]}"#,
            r#"{"command": ["V", {"a": "\u0041", "b": -1.5e3, "c": true, "d": "é"}]}"#,
            r#"{"result": [-1, "No such \"recipient\""]}"#,
            r#"{"notification": ["connected", {"client": "5f3759df_4@host"}]}"#,
        ] {
            let check = |body: &[u8]| {
                let mut nowhere = [];
                letter(&Letter { name: "x", ..Letter::default() }, body, |l| {
                    // and back: it is always JSON, of a length that is known
                    let mut w = Writer::new(&mut nowhere);
                    write_body(l, &mut w);
                    assert!(w.at() > 0);
                    if l.encoding != Encoding::None {
                        assert!(body.len() >= l.body.len());
                    }
                    assert!(json::parse(&body_of(l)).is_ok());
                });
                answer(&Answer::default(), body, |a| {
                    for from_node in [false, true] {
                        assert!(json::parse(&written(|w| write_result(a, from_node, w))).is_ok());
                    }
                });
            };
            for cut in 0..=whole.len() {
                check(&whole.as_bytes()[..cut]);
            }
            for at in 0..whole.len() {
                for b in [0, b'"', b'\\', b'{', b']', b',', b'1', 0x80, 0xff] {
                    let mut bytes = Bytes::from_slice(whole.as_bytes()).unwrap();
                    bytes[at] = b;
                    check(&bytes);
                }
            }
        }
    }
}
