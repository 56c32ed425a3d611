//! Messages of this dialect and letters and answers of the model: one into the other.
//!
//! Owns: the tables below (`design.md` section 3). Both ways are total: what has no name or
//! does not fit is refused with a reason, everything else is said. Does not own names
//! (`name.rs`), whom a message is for (`route.rs`), nor what a server says itself (`say.rs`).
//!
//! | message | model |
//! |---|---|
//! | `s/VERB a=b` | VERB to s, parameters |
//! | `s/VERB body=v`, also with other parameters | and a body: text |
//! | `s/VERB body_base64=…` | and a body: bytes |
//! | `s/MSG body=` and what begins with `{` or `[`, alone | to s, no verb, body JSON |
//! | `s/SET value=v`, `s/SET name=s;value=v` | SET to s, body v; bytes with `value_base64` |
//! | `s/NOTIFY name=s` | NOTIFY to s |
//! | `./SET name=x;value=v`, `./NOTIFY name=x`, also to the server | the same to x |
//! | `./VERB a=b` | VERB to everyone |
//! | `reply_to=id` in any | wants an answer |
//! | `cache`, `transmission_report` | how long it waits; nothing else |
//! | `secret_code`, `broadcast_…`, `secure_remote` | nothing: they are no business of others |
//! | a value that is no UTF-8, of key k | parameter `k_base64` |
//!
//! | letter of another dialect, to a service or everybody | message |
//! |---|---|
//! | to x: SET, or no verb; a body | `x/SET name=x;value=v` |
//! | to x: NOTIFY, or no verb; nothing in it | `x/NOTIFY name=x` |
//! | no verb, body JSON | `x/MSG body=v` |
//! | no verb, parameters | `x/MSG a=b` |
//! | another verb | `x/VERB a=b;body=v` |
//! | parameters that no message can hold | `x/VERB body={"a":"b"}` |
//!
//! | answer | message, to who asked with `reply_to=id` |
//! |---|---|
//! | ok | `REPLY reply_to=id`, parameters, `body=v` |
//! | anything else | and `code=n;text=…` |
//!
//! A body or value is written in Base64, as `body_base64` or `value_base64`, if it is bytes or
//! no UTF-8, or if no message can hold it as it is (a NUL; a `;` and a backslash at the end).
//! A body takes the place of a parameter called `body`.

use super::base64;
use super::cache::Cache;
use super::emit::{self, Edit, Form, Unsaid};
use super::name::{self, BadName};
use super::number;
use super::repr::{Message, Params as Pairs, Sorted};
use super::say::Header;
use super::text::{Room, Text};
use crate::dialect::text::Writer;
use crate::limits::{MAX_NAME, MAX_PARAMS};
use crate::model::{Answer, Code, Encoding, Letter, Params};

/// The parameter that says that an answer is wanted, and to what one is (section 1.6).
pub const REPLY_TO: &str = "reply_to";

/// The command that is an answer.
pub const REPLY: &str = "REPLY";

/// What a letter says that has no verb.
const NO_VERB: &str = "MSG";

/// Parameters that concern only the servers on the way (section 1.6).
pub const ON_THE_WAY: &[&str] = &[
    "broadcast_hops",
    "broadcast_informed_neighbors",
    "broadcast_msgid",
    "broadcast_originator",
    "broadcast_timeout",
    "cache",
    "secret_code",
    "secure_remote",
    "transmission_report",
];

/// Why a message is no letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Unheard {
    /// The service, or the name of a signal, is no name.
    Name(BadName),
    /// The command is no verb.
    Verb(BadName),
    /// A key that is no UTF-8, which only JSON can have.
    Key,
    /// There is no room for its values.
    NoRoom,
}

impl Unheard {
    /// For people.
    pub const fn text(self) -> &'static str {
        match self {
            Unheard::Name(why) | Unheard::Verb(why) => why.text(),
            Unheard::Key => "a parameter whose name is no text",
            Unheard::NoRoom => "no room for its parameters",
        }
    }
}

/// The four names of a body among parameters.
const BODY: (&str, &str) = ("body", "body_base64");
const VALUE: (&str, &str) = ("value", "value_base64");

/// Parameters of the model, put together.
type List<'r> = heapless::Vec<(&'r str, &'r str), MAX_PARAMS>;

/// What the parameters of a message are.
struct Inside<'r> {
    list: List<'r>,
    body: Option<(&'r [u8], Encoding)>,
}

/// Reads parameters. `body`: the two that are the body. `without`: what is none of the model.
fn inside<'f: 'r, 'r>(
    pairs: &Pairs<'f>,
    body: (&str, &str),
    without: &[&str],
    room: &mut Room<'r>,
) -> Result<Inside<'r>, Unheard> {
    let mut sorted = Sorted::new();
    // a message has no more
    sorted.put_all(pairs).map_err(|_| Unheard::NoRoom)?;
    let mut all = Inside { list: List::new(), body: None };
    for (key, value) in sorted.pairs() {
        if ON_THE_WAY.iter().chain(without).any(|k| key.is(k.as_bytes())) {
            continue;
        }
        if key.is(body.0.as_bytes()) {
            // the other one comes behind it, and counts
            let octets = value.read(room).ok_or(Unheard::NoRoom)?;
            let is_text = core::str::from_utf8(octets).is_ok();
            all.body = Some((octets, if is_text { Encoding::Text } else { Encoding::Bytes }));
            continue;
        }
        if key.is(body.1.as_bytes()) && base64::octets(value.octets()).all(|b| b.is_ok()) {
            let octets = room.put(base64::octets(value.octets()).flatten()).ok_or(Unheard::NoRoom)?;
            all.body = Some((octets, Encoding::Bytes));
            continue;
        }
        let mut key = core::str::from_utf8(key.read(room).ok_or(Unheard::NoRoom)?).map_err(|_| Unheard::Key)?;
        let octets = value.read(room).ok_or(Unheard::NoRoom)?;
        let value = match core::str::from_utf8(octets) {
            Ok(text) => text,
            Err(_) => {
                let longer = key.bytes().chain("_base64".bytes());
                key = text(room.put(longer).ok_or(Unheard::NoRoom)?);
                text(room.put(base64::Digits::new(octets)).ok_or(Unheard::NoRoom)?)
            }
        };
        all.list.push((key, value)).map_err(|_| Unheard::NoRoom)?;
    }
    Ok(all)
}

/// What was put together out of text.
fn text(octets: &[u8]) -> &str {
    core::str::from_utf8(octets).unwrap_or_default()
}

/// A message to a service, or a broadcast, as a letter of the model. `then` gets it with the
/// value of `reply_to` if an answer is wanted. What it takes to read escapes is put into
/// `room`: for four times the octets of the message, and 2 KiB more, there is never too much of
/// it; a message without escapes and with text only needs none.
pub fn letter<R>(
    m: &Message<'_>,
    room: &mut [u8],
    then: impl FnOnce(&Letter<'_>, Option<Text<'_>>) -> R,
) -> Result<R, Unheard> {
    let (mut name_spare, mut verb_spare, mut about_spare) = ([0; MAX_NAME], [0; MAX_NAME], [0; MAX_NAME]);
    let mut room = Room::new(room);
    let everyone = matches!(m.service, b"." | b"?" | b"*");
    let to_nobody = everyone || m.service.is_empty() || m.service == name::DAEMON.as_bytes();
    let name = match to_nobody {
        true => "",
        false => name::to_bus(m.service, &mut name_spare).map_err(Unheard::Name)?,
    };
    let verb = name::to_verb(m.command, &mut verb_spare).map_err(Unheard::Verb)?;
    let cache = Cache::of(m);
    let reply_to = m.get(REPLY_TO);
    let plain = Letter {
        name,
        everyone,
        verb,
        ask: reply_to.is_some(),
        keep: cache.keep.is_some() && !everyone,
        ttl_ms: if everyone { 0 } else { cache.keep.map_or(0, |d| d.millis()) },
        ..Letter::default()
    };
    if let Some((about, with)) = signal(m, verb) {
        let about = match about.map(|about| about.read(&mut Room::new(&mut about_spare)).map(text_of)) {
            None => Some(name),
            Some(Some(Some(about))) => Some(about),
            Some(_) => None,
        };
        // a signal about a name: to it, or to nobody else
        if let Some(about) = about.filter(|about| if to_nobody { !about.is_empty() } else { *about == name }) {
            if !crate::name::is_valid(about) || crate::name::is_pattern(about) {
                return Err(Unheard::Name(BadName::Illegal));
            }
            let all = inside(&m.params, VALUE, &[REPLY_TO, "name"], &mut room)?;
            let (body, encoding) = all.body.unwrap_or_default();
            let said = Letter { name: about, everyone: false, body, encoding, ..plain };
            if with == all.body.is_some() {
                return Ok(then(&said, reply_to));
            }
        }
    }
    let all = inside(&m.params, BODY, &[REPLY_TO], &mut room)?;
    let (body, encoding) = all.body.unwrap_or_default();
    if verb == NO_VERB
        && all.list.is_empty()
        && encoding == Encoding::Text
        && matches!(super::parse::trim(body).first(), Some(b'{' | b'['))
    {
        return Ok(then(&Letter { verb: "", body, encoding: Encoding::Json, ..plain }, reply_to));
    }
    Ok(then(&Letter { body, encoding, params: Params::Listed(&all.list), ..plain }, reply_to))
}

fn text_of(octets: &[u8]) -> Option<&str> {
    core::str::from_utf8(octets).ok()
}

/// What a signal is about, if a message is one that says so: `SET name=x;value=v`, `NOTIFY name=x`.
pub fn is_signal<'f>(m: &Message<'f>) -> Option<Text<'f>> {
    match m.command {
        b"SET" | b"NOTIFY" => signal(m, text(m.command)).and_then(|(about, _)| about),
        _ => None,
    }
}

/// Whether a message is a signal: what it is about, if it says so, and whether it has a value.
fn signal<'f>(m: &Message<'f>, verb: &str) -> Option<(Option<Text<'f>>, bool)> {
    let (mut about, mut value) = (None, false);
    for (key, v) in &m.params {
        if key.is(b"name") {
            about = Some(v);
        } else if key.is(VALUE.0.as_bytes()) || key.is(VALUE.1.as_bytes()) {
            value = true;
        } else if !ON_THE_WAY.iter().chain(&[REPLY_TO]).any(|k| key.is(k.as_bytes())) {
            return None;
        }
    }
    match (verb, value, about) {
        ("SET", true, about) => Some((about, true)),
        ("NOTIFY", false, Some(about)) => Some((Some(about), false)),
        _ => None,
    }
}

/// A message that answers a question as an answer of the model: `REPLY`, or any other, whose
/// command is a parameter then. To what it is one is the router's to know, and all about its
/// question to fill in. Room: as [`letter`].
pub fn answer<R>(m: &Message<'_>, room: &mut [u8], then: impl FnOnce(&Answer<'_>) -> R) -> Result<R, Unheard> {
    let mut room = Room::new(room);
    let code = match m.command {
        b"UNKNOWN" => Code::UnknownVerb,
        b"INVALID" => Code::BadRequest,
        _ => match m.get("code").map(number::integer) {
            None => Code::Ok,
            Some(n) => n.ok().and_then(|n| u32::try_from(n).ok()).map_or(Code::Failed, Code::from_number),
        },
    };
    let said = m.get("text").or(m.get("message").filter(|_| code == Code::UnknownVerb || code == Code::BadRequest));
    let said = match said {
        Some(said) => said.read(&mut room).ok_or(Unheard::NoRoom)?,
        None => b"",
    };
    let mut all = inside(&m.params, BODY, &[REPLY_TO, "code", "text"], &mut room)?;
    let is_plain = m.command == REPLY.as_bytes() || matches!(code, Code::UnknownVerb | Code::BadRequest);
    if !is_plain && all.list.iter().all(|(key, _)| *key != "command") {
        // a message has fewer parameters than an answer has room for, or goes without its command
        let _ = all.list.push(("command", text(m.command)));
    }
    let (body, encoding) = all.body.unwrap_or_default();
    let text = text_of(said).unwrap_or_default();
    let a = Answer { code, text, body, encoding, params: Params::Listed(&all.list), ..Answer::default() };
    Ok(then(&a))
}

/// How a letter is shown to a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shown {
    /// As one to the name it is for, which the client has registered; one to everyone as `./`.
    ToName,
    /// As one to whoever has announced it: `./`.
    ToEverybody,
    /// As one to who hears it, without a destination: to the station itself.
    ToStation,
}

/// A letter of another dialect as a line. `from`: who sends it, as clients see him.
/// `reply_to`: what is to be repeated in the answer, if one is wanted.
pub fn write_letter(
    l: &Letter<'_>,
    from: (&[u8], &[u8]),
    shown: Shown,
    reply_to: Option<&str>,
    form: Form,
    out: &mut [u8],
) -> Result<usize, Unsaid> {
    let (mut name_spare, mut verb_spare) = ([0; name::MAX_WRITTEN], [0; name::MAX_WRITTEN]);
    let written = if l.name.is_empty() { None } else { name::from_bus(l.name, &mut name_spare) };
    let service: &[u8] = match (shown, written) {
        (Shown::ToStation, _) => b"",
        (Shown::ToName, Some(name)) => name,
        _ => b".",
    };
    let has_params = l.params.count() > 0;
    let has_body = !l.body.is_empty() || l.encoding == Encoding::Text;
    let (verb, is_signal) = match l.verb {
        "" if !has_params && l.encoding == Encoding::Json => (NO_VERB, false),
        "" if has_params => (NO_VERB, false),
        "" if has_body => ("SET", true),
        "" => ("NOTIFY", true),
        "SET" if !has_params => ("SET", true),
        "NOTIFY" if !has_params && !has_body => ("NOTIFY", true),
        verb => (verb, false),
    };
    let command = name::from_verb(verb, &mut verb_spare).ok_or(Unsaid::BadName)?;
    let header = Header { from, to: (b"", service) };
    let mut set = Set::new();
    if let Some(reply_to) = reply_to {
        set.put(REPLY_TO, Text::from(reply_to))?;
    }
    if is_signal {
        let plain = Text::from(l.name);
        // a name that no message can hold is written as a service is
        let about = if emit::is_sayable(l.name.as_bytes()) { plain } else { Text::Plain(written.unwrap_or_default()) };
        if !l.name.is_empty() {
            set.put("name", about)?;
        }
        if verb == "SET" {
            set.body(VALUE, l.body, l.encoding)?;
        }
        return write(&Params::default(), &set, header, command, form, out);
    }
    if has_body {
        set.body(BODY, l.body, l.encoding)?;
    }
    write(&l.params, &set, header, command, form, out)
}

/// An answer of another dialect as a line to who asked with this `reply_to`. `to`: server and
/// service of the one who asked.
pub fn write_answer(
    a: &Answer<'_>,
    from: (&[u8], &[u8]),
    to: (&[u8], &[u8]),
    reply_to: Text<'_>,
    form: Form,
    out: &mut [u8],
) -> Result<usize, Unsaid> {
    let mut code = heapless::String::<10>::new();
    // ten digits hold every code
    let _ = core::fmt::write(&mut code, format_args!("{}", a.code.number()));
    let mut set = Set::new();
    set.put(REPLY_TO, reply_to)?;
    let words = if a.text.is_empty() && a.code != Code::Ok { a.code.text() } else { a.text };
    if a.code != Code::Ok {
        set.put("code", Text::from(&code[..]))?;
    }
    if !words.is_empty() {
        set.put(
            "text",
            if emit::is_sayable(words.as_bytes()) { Text::from(words) } else { Text::from(a.code.text()) },
        )?;
    }
    if !a.body.is_empty() {
        set.body(BODY, a.body, a.encoding)?;
    }
    write(&a.params, &set, Header { from, to }, REPLY.as_bytes(), form, out)
}

/// Parameters that are put in.
struct Set<'s> {
    pairs: heapless::Vec<(Text<'s>, Text<'s>), 4>,
}

impl<'s> Set<'s> {
    const fn new() -> Self {
        Set { pairs: heapless::Vec::new() }
    }

    fn put(&mut self, key: &'static str, value: Text<'s>) -> Result<(), Unsaid> {
        self.pairs.push((Text::from(key), value)).map_err(|_| Unsaid::TooManyParams)
    }

    /// A body under one of two names.
    fn body(&mut self, names: (&'static str, &'static str), body: &'s [u8], encoding: Encoding) -> Result<(), Unsaid> {
        let is_bytes = matches!(encoding, Encoding::Bytes | Encoding::Protobuf)
            || core::str::from_utf8(body).is_err()
            || !emit::is_sayable(body);
        match is_bytes {
            true => self.put(names.1, Text::Base64(body)),
            false => self.put(names.0, Text::Plain(body)),
        }
    }
}

/// Writes both, or if no message can hold the first, these as the body in JSON.
fn write(
    params: &Params<'_>,
    set: &Set<'_>,
    header: Header<'_>,
    command: &[u8],
    form: Form,
    out: &mut [u8],
) -> Result<usize, Unsaid> {
    let mut pairs = heapless::Vec::<_, MAX_PARAMS>::new();
    let fits = params.iter().all(|(key, value)| {
        let can = name::is_name(key.as_bytes()) && emit::is_sayable(value.as_bytes());
        can && pairs.push((Text::from(key), Text::from(value))).is_ok()
    });
    let m = Message {
        from_server: header.from.0,
        from_service: header.from.1,
        server: header.to.0,
        service: header.to.1,
        command,
        params: Pairs::listed(&pairs),
        asks: true,
        raw: b"",
    };
    if fits {
        match emit::line(&m, Edit { set: &set.pairs, without: &[] }, form, out) {
            Err(Unsaid::TooManyParams) => {}
            said => return said,
        }
    }
    let object = |w: &mut Writer<'_>| {
        let body = set.pairs.iter().filter(|(key, _)| key.is(b"body") || key.is(b"body_base64"));
        let all = params.iter().map(|(key, value)| (Text::from(key), Text::from(value))).chain(body.copied());
        emit::write_object(all, w)
    };
    // as much room at the end of `out` as it takes
    let mut counted = Writer::new(&mut []);
    object(&mut counted)?;
    let size = counted.at();
    let (out, room) = out.split_at_mut_checked(out.len().saturating_sub(size)).ok_or(Unsaid::NoRoom)?;
    let mut w = Writer::new(room);
    object(&mut w)?;
    w.finish().ok_or(Unsaid::NoRoom)?;
    let mut without_body = heapless::Vec::<_, 4>::new();
    for pair in set.pairs.iter().filter(|(key, _)| !key.is(b"body") && !key.is(b"body_base64")) {
        without_body.push(*pair).map_err(|_| Unsaid::TooManyParams)?;
    }
    without_body.push((Text::from(BODY.0), Text::Plain(room))).map_err(|_| Unsaid::TooManyParams)?;
    let m = Message { params: Pairs::default(), ..m };
    emit::line(&m, Edit { set: &without_body, without: &[] }, form, out)
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::super::parse;
    use super::*;
    use std::string::{String, ToString as _};
    use std::vec::Vec;

    /// What a letter says, for comparison.
    #[derive(Debug, Clone, PartialEq)]
    struct Said {
        name: String,
        everyone: bool,
        verb: String,
        params: Vec<(String, String)>,
        body: Vec<u8>,
        encoding: Encoding,
        reply_to: Option<Vec<u8>>,
    }

    fn said(l: &Letter<'_>, reply_to: Option<Text<'_>>) -> Said {
        assert_eq!(l.ask, reply_to.is_some());
        Said {
            name: l.name.to_string(),
            everyone: l.everyone,
            verb: l.verb.to_string(),
            params: l.params.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect(),
            body: l.body.to_vec(),
            encoding: l.encoding,
            reply_to: reply_to.map(|r| r.octets().collect()),
        }
    }

    fn heard(line: &[u8]) -> Result<Said, Unheard> {
        letter(&parse::message(line, &mut [0; 256]).unwrap(), &mut [0; 8192], said)
    }

    fn of(name: &str, verb: &str, params: &[(&str, &str)], body: &[u8], encoding: Encoding) -> Said {
        Said {
            name: name.to_string(),
            everyone: name.is_empty(),
            verb: verb.to_string(),
            params: params.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect(),
            body: body.to_vec(),
            encoding,
            reply_to: None,
        }
    }

    fn written(l: &Letter<'_>, shown: Shown) -> Result<String, Unsaid> {
        let mut out = [0xa5; 4096];
        let n = write_letter(l, (b"hostA", b"foo"), shown, None, Form::Text, &mut out)?;
        assert!(parse::message(&out[..n], &mut []).is_ok());
        let line = String::from_utf8_lossy(&out[..n]).into_owned();
        Ok(line.strip_prefix("<hostA:foo ").unwrap().strip_suffix('\n').unwrap().to_string())
    }

    #[test]
    fn each_row_from_a_message() {
        use Encoding::{Bytes, Json, None, Text};
        for (line, want) in [
            (&b"s/VERB a=b;c=\"d;e\""[..], of("s", "VERB", &[("a", "b"), ("c", "d;e")], b"", None)),
            (b"s/VERB", of("s", "VERB", &[], b"", None)),
            (b"s/VERB c=1;body=v\\n;a=2", of("s", "VERB", &[("a", "2"), ("c", "1")], b"v\n", Text)),
            (b"s/VERB body=", of("s", "VERB", &[], b"", Text)),
            (b"s/VERB body=\xff", of("s", "VERB", &[], b"\xff", Bytes)),
            (b"s/VERB body_base64=/wA=", of("s", "VERB", &[], b"\xff\0", Bytes)),
            (b"s/VERB body_base64=?", of("s", "VERB", &[("body_base64", "?")], b"", None)),
            (b"s/MSG body= {\"a\":1}", of("s", "", &[], b" {\"a\":1}", Json)),
            (b"s/MSG body=[]", of("s", "", &[], b"[]", Json)),
            (b"s/MSG body=x", of("s", "MSG", &[], b"x", Text)),
            (b"s/MSG body={};a=1", of("s", "MSG", &[("a", "1")], b"{}", Text)),
            (b"s/SET value=v", of("s", "SET", &[], b"v", Text)),
            (b"s/SET name=s;value=", of("s", "SET", &[], b"", Text)),
            (b"a_x2f_b/SET name=a/b;value=v", of("a/b", "SET", &[], b"v", Text)),
            (b"s/SET name=s;value_base64=/w==", of("s", "SET", &[], b"\xff", Bytes)),
            (b"s/SET name=t;value=v", of("s", "SET", &[("name", "t"), ("value", "v")], b"", None)),
            (b"s/SET value_base64=?", of("s", "SET", &[("value_base64", "?")], b"", None)),
            (b"s/SET value=v;x=1", of("s", "SET", &[("value", "v"), ("x", "1")], b"", None)),
            (b"s/NOTIFY name=s", of("s", "NOTIFY", &[], b"", None)),
            (b"s/NOTIFY", of("s", "NOTIFY", &[], b"", None)),
            (b"s/NOTIFY name=t", of("s", "NOTIFY", &[("name", "t")], b"", None)),
            (b"./VERB a=b", of("", "VERB", &[("a", "b")], b"", None)),
            (b"*/CACHE_CLEAR", of("", "CACHE_CLEAR", &[], b"", None)),
            (b"./SET value=v", of("", "SET", &[("value", "v")], b"", None)),
            (b"./SET name=sensor::b1;value=v", Said { everyone: false, ..of("sensor::b1", "SET", &[], b"v", Text) }),
            (b"SET name=x;value=v", Said { everyone: false, ..of("x", "SET", &[], b"v", Text) }),
            (b"?/NOTIFY name=door", Said { everyone: false, ..of("door", "NOTIFY", &[], b"", None) }),
            (b"s/V cache=no;transmission_report=failure;a=1;secret_code=s", of("s", "V", &[("a", "1")], b"", None)),
            (
                b"s/V broadcast_hops=1;broadcast_msgid=x-1;secure_remote=false;version=1",
                of("s", "V", &[("version", "1")], b"", None),
            ),
            (b"s/V a=\xff\xfe", of("s", "V", &[("a_base64", "//4=")], b"", None)),
            (b"s/V reply_to=7;a=1", Said { reply_to: Some(b"7".to_vec()), ..of("s", "V", &[("a", "1")], b"", None) }),
            (
                b"{\"service\":\"s\",\"command\":\"V\",\"parameters\":{\"a b\":1.5}}",
                of("s", "V", &[("a b", "1.500000")], b"", None),
            ),
        ] {
            assert_eq!(heard(line), Ok(want), "{}", String::from_utf8_lossy(line));
        }
    }

    #[test]
    fn refused_with_a_reason() {
        for (line, why) in [
            (&b"a-b/X"[..], Unheard::Name(BadName::Illegal)),
            (b"_xff_/X", Unheard::Name(BadName::Foreign)),
            (b"s/stop", Unheard::Verb(BadName::Illegal)),
            (b"./SET name=a/*;value=1", Unheard::Name(BadName::Illegal)),
            (b"./SET name=a\\nb;value=1", Unheard::Name(BadName::Illegal)),
            (b"{\"service\":\"s\",\"command\":\"V\",\"parameters\":{\"\xff\":1}}", Unheard::Key),
        ] {
            assert_eq!(heard(line), Err(why), "{}", String::from_utf8_lossy(line));
        }
        let m = parse::message(br"s/V a=\\\\x", &mut []).unwrap();
        assert_eq!(letter(&m, &mut [0; 2], said), Err(Unheard::NoRoom));
        assert!(letter(&m, &mut [0; 5], said).is_ok());
    }

    #[test]
    fn how_long_it_waits() {
        let of = |line: &'static str| {
            letter(&parse::message(line.as_bytes(), &mut []).unwrap(), &mut [], |l, _| (l.keep, l.ttl_ms)).unwrap()
        };
        assert_eq!(of("s/V"), (true, 60_000));
        assert_eq!(of("s/V cache=ttl=30"), (true, 30_000));
        assert_eq!(of("s/V cache=no"), (false, 0));
        assert_eq!(of("./V"), (false, 0));
    }

    fn a_letter<'l>(name: &'l str, verb: &'l str, body: &'l [u8], encoding: Encoding) -> Letter<'l> {
        Letter { name, verb, body, encoding, everyone: name.is_empty(), ..Letter::default() }
    }

    #[test]
    fn each_row_to_a_message() {
        use Encoding::{Bytes, Json, None, Text};
        let l = a_letter;
        let with = |of: Letter<'static>| Letter { params: Params::Listed(&[("c", "d;e"), ("a", "b")]), ..of };
        for (l, want) in [
            (l("x", "SET", b"v", Text), "x/SET name=x;value=v"),
            (l("x", "", b"v", None), "x/SET name=x;value=v"),
            (l("x", "SET", b"", None), "x/SET name=x;value="),
            (l("x", "SET", b"\xff", Bytes), "x/SET name=x;value_base64=/w=="),
            (l("x", "SET", b"abc", Bytes), "x/SET name=x;value_base64=YWJj"),
            (l("x", "SET", b"a;b\\", Text), "x/SET name=x;value_base64=YTtiXA=="),
            (l("x", "SET", b"a\0", Text), "x/SET name=x;value_base64=YQA="),
            (l("a::b", "SET", b"v", Text), "a_x3a__x3a_b/SET name=a::b;value=v"),
            (l("a;b\\", "NOTIFY", b"", None), "a_x3b_b_x5c_/NOTIFY name=a_x3b_b_x5c_"),
            (l("x", "NOTIFY", b"", None), "x/NOTIFY name=x"),
            (l("x", "", b"", None), "x/NOTIFY name=x"),
            (l("s", "", b"{\"a\":[1;2]}", Json), r#"s/MSG body="{\"a\":[1;2]}""#),
            (with(l("s", "", b"", None)), "s/MSG a=b;c=\"d;e\""),
            (with(l("s", "VERB", b"", None)), "s/VERB a=b;c=\"d;e\""),
            (with(l("s", "VERB", b"x\ny", Text)), "s/VERB a=b;body=x\\ny;c=\"d;e\""),
            (with(l("s", "SET", b"v", Text)), "s/SET a=b;body=v;c=\"d;e\""),
            (with(l("s", "NOTIFY", b"", None)), "s/NOTIFY a=b;c=\"d;e\""),
            (l("s", "NOTIFY", b"v", Text), "s/NOTIFY body=v"),
            (l("s", "STOP", b"", None), "s/STOP"),
            (l("s", "T", b"21.5", Text), "s/T body=21.5"),
            (l("s", "getKey", b"", None), "s/_X67__X65__X74_K_X65__X79_"),
            (l("", "STOP", b"", None), "./STOP"),
            (l("", "SET", b"v", Text), "./SET value=v"),
            (l("", "", b"", None), "./NOTIFY"),
        ] {
            assert_eq!(written(&l, Shown::ToName).as_deref(), Ok(want), "{l:?}");
        }
        let x = l("x", "SET", b"v", Text);
        assert_eq!(written(&x, Shown::ToEverybody).as_deref(), Ok("./SET name=x;value=v"));
        assert_eq!(written(&x, Shown::ToStation).as_deref(), Ok("SET name=x;value=v"));
        let long = "n".repeat(129);
        assert_eq!(
            written(&l(&long, "SET", b"v", Text), Shown::ToName).as_deref(),
            Ok(&std::format!("./SET name={long};value=v")[..])
        );
        assert_eq!(written(&l("s", &"V".repeat(65), b"", None), Shown::ToName), Err(Unsaid::BadName));
    }

    #[test]
    fn parameters_that_no_message_can_hold() {
        for (params, want) in [
            (&[("a-b", "1")][..], r#"s/V body={"a-b":"1"}"#),
            (&[("a", "x;y\\")], r#"s/V body="{\"a\":\"x;y\\\\\"}""#),
            (&[("a", "\0"), ("", "é")], r#"s/V body={"a":"\\u0000","":"é"}"#),
        ] {
            let l = Letter { params: Params::Listed(params), ..a_letter("s", "V", b"", Encoding::None) };
            let line = written(&l, Shown::ToName).unwrap();
            assert_eq!(line, want);
            let with = Letter { body: b"\xff", ..l };
            let body = heard(written(&with, Shown::ToName).unwrap().as_bytes()).unwrap().body;
            assert!(String::from_utf8(body).unwrap().ends_with(r#","body_base64":"/w=="}"#));
            for size in 0..line.len() + 40 {
                let mut out = std::vec![0; size];
                let got = write_letter(&l, (b"", b""), Shown::ToName, None, Form::Text, &mut out);
                assert!(got.is_ok() || got == Err(Unsaid::NoRoom));
            }
        }
        let keys: Vec<String> = (0..MAX_PARAMS).map(|i| std::format!("k{i}")).collect();
        let many: Vec<(&str, &str)> = keys.iter().map(|k| (&k[..], "1")).collect();
        let l = Letter { params: Params::Listed(&many), ..a_letter("s", "V", b"", Encoding::None) };
        assert_eq!(heard(written(&l, Shown::ToName).unwrap().as_bytes()).unwrap().params.len(), MAX_PARAMS);
        let l = Letter { body: b"x", ..l };
        let one_more = heard(written(&l, Shown::ToName).unwrap().as_bytes()).unwrap();
        assert!(one_more.params.is_empty() && one_more.body.ends_with(br#""k63":"1","body":"x"}"#));
    }

    #[test]
    fn answers_both_ways() {
        let mut out = [0; 512];
        let params = Params::Listed(&[("a", "1")]);
        for (a, want) in [
            (Answer { body: b"42", encoding: Encoding::Text, ..Answer::default() }, "REPLY body=42;reply_to=7"),
            (Answer { params, ..Answer::default() }, "REPLY a=1;reply_to=7"),
            (Answer { text: "done", ..Answer::default() }, "REPLY reply_to=7;text=done"),
            (
                Answer { body: b"\xff", encoding: Encoding::Bytes, ..Answer::default() },
                "REPLY body_base64=/w==;reply_to=7",
            ),
            (Answer { code: Code::NoRecipient, ..Answer::default() }, "REPLY code=1;reply_to=7;text=no such recipient"),
            (Answer { code: Code::Failed, text: "a;b", ..Answer::default() }, "REPLY code=15;reply_to=7;text=\"a;b\""),
        ] {
            let n = write_answer(&a, (b"h", b"s"), (b"h", b"c"), Text::from("7"), Form::Text, &mut out).unwrap();
            let line = String::from_utf8_lossy(&out[..n]).trim_end().to_string();
            assert_eq!(line, std::format!("<h:s h:c/{want}"));
            let m = parse::message(&out[..n], &mut []).unwrap();
            assert!(m.get(REPLY_TO).unwrap().is(b"7"));
            let same = answer(&m, &mut [0; 512], |b| {
                let text = if a.text.is_empty() && a.code != Code::Ok { a.code.text() } else { a.text };
                *b == Answer { text, ..a }
            });
            assert_eq!(same, Ok(true), "{line}");
        }
        let of = |line: &'static str| {
            let m = parse::message(line.as_bytes(), &mut []).unwrap();
            let keys = |a: &Answer<'_>| a.params.iter().map(|(k, _)| k.to_string()).collect::<Vec<_>>().join(",");
            answer(&m, &mut [0; 64], |a| (a.code, a.text.to_string(), keys(a))).unwrap()
        };
        let said = |code, text: &str, keys: &str| (code, text.to_string(), keys.to_string());
        assert_eq!(of("REPLY a=1"), said(Code::Ok, "", "a"));
        assert_eq!(of("KEY a=1"), said(Code::Ok, "", "a,command"));
        assert_eq!(of("KEY command=1"), said(Code::Ok, "", "command"));
        assert_eq!(of("REPLY code=x;reply_to=1"), said(Code::Failed, "", ""));
        assert_eq!(of("UNKNOWN command=X;message=no;reply_to=1"), said(Code::UnknownVerb, "no", "command,message"));
    }

    /// Whatever another dialect sends is one line, and what that says to a third is the same,
    /// but for what the tables say.
    #[test]
    fn letters_of_chance() {
        let mut seed = 0xabcd_ef01_2345_6789u64;
        let mut chance = move |below: usize| {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            (seed >> 20) as usize % below
        };
        const PIECES: &[&str] = &[
            "a", "body", "value", "name", "=", ";", "\"", "\\", "\n", "\r", " ", "1", "_", "é", "{", "\0", "/", "A",
            "_base64",
        ];
        let mut same = 0;
        for round in 0..30_000 {
            let mut text =
                |most: usize| -> String { (0..chance(most)).map(|_| PIECES[chance(PIECES.len())]).collect() };
            let texts: [String; 6] = core::array::from_fn(|_| text(4));
            let pairs: Vec<(&str, &str)> = texts.chunks(2).take(round % 4).map(|p| (&p[0][..], &p[1][..])).collect();
            let body = text(6);
            let name = ["s", "a/b", "sensor::x", "_x2f_", ""][round / 4 % 5];
            let verb = ["VERB", "SET", "NOTIFY", "", "get it"][round / 20 % 5];
            let raw = [0xff, 0, b'\n'];
            let l = Letter {
                params: Params::Listed(&pairs),
                ..a_letter(
                    name,
                    verb,
                    if round % 7 == 0 { &raw } else { body.as_bytes() },
                    if body.is_empty() { Encoding::None } else { Encoding::Text },
                )
            };
            let line = written(&l, Shown::ToName).unwrap();
            assert!(!line.contains('\n'));
            let got = heard(line.as_bytes()).unwrap();
            assert_eq!(got.name, name, "{line}");
            let sane = pairs.iter().enumerate().all(|(i, (k, v))| {
                let own = ["body", "body_base64", "name", "value", "value_base64"].contains(k);
                name::is_name(k.as_bytes())
                    && emit::is_sayable(v.as_bytes())
                    && !own
                    && pairs.iter().skip(i + 1).all(|(other, _)| other != k)
            });
            if sane && !verb.is_empty() && !name.is_empty() {
                let mut want = said(&l, None);
                want.params.sort();
                want.encoding = got.encoding;
                assert_eq!(got, want, "{line}");
                same += 1;
            }
        }
        assert!(same > 5_000, "{same}");
    }
}
