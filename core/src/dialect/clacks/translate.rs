//! Signals and values of this dialect and letters, answers and values of the model: one into
//! the other.
//!
//! Owns: the tables below (`design.md` section 3), the Communicator's way to write parameters
//! (`wire/communicator.md` sections 1.3 and 1.4), and the marker of values that no line can
//! hold (`wire/clacks.md` section 15.5). Does not own names (`name.rs`). Both ways are total.
//!
//! | line | model |
//! |---|---|
//! | `NOTIFY x` | NOTIFY to x |
//! | `SET x=v` | SET to x, body v: text if it is UTF-8, else bytes |
//! | `SET x=PAGECAMELCLACKSB64:…` | SET to x, body what that is in Base64 |
//! | `SET s/VERB=a=b;c=d` | the same; and VERB to s with parameters |
//! | `SET s/VERB=v` | the same; and VERB to s, body v |
//! | `SET s/VERB=`, `NOTIFY s/VERB` | the same; and VERB to s |
//!
//! | letter of another dialect | line |
//! |---|---|
//! | to x: NOTIFY, or no verb; nothing in it | `NOTIFY x` |
//! | to x: SET, or no verb; a body | `SET x=v` |
//! | to s: another verb; nothing in it | `NOTIFY s/VERB` |
//! | to s: parameters; a body too is one more, `body` | `SET s/VERB=a=b;c=d` |
//! | to s: parameters that the Communicator's way cannot hold | `SET s/VERB={"a":"b"}` |
//! | to s: another verb; a body | `SET s/VERB=v` |
//! | the last, if v looks like parameters | `SET s/VERB=body=v` |
//! | parameters, but no verb | `SET s/MSG=…` |
//! | to a station, or everyone | as to a name that is empty: `SET /VERB=…` |
//!
//! | answer of another dialect, to a reply name r | line |
//! |---|---|
//! | ok | `SET r=v`, or parameters as above |
//! | anything else | `SET r/ERROR=code=n;text=…` |
//!
//! A body with CR or LF, or one that begins with the marker, is written in Base64 behind the
//! marker; parameters have the Communicator's escapes for these. Where a line would be read
//! with another name, an `=` in a name is `\x3d`, and a name that is empty `~`.

use super::emit::Writer;
use super::frame::{CR, LF, has_line_end};
use super::{name, token};
use crate::limits::{MAX_NAME, MAX_PARAMS};
use crate::model::{Answer, Code, Encoding, Letter, Params};

/// Begins a value in Base64: how the original's library writes text that no line can hold.
pub const MARKER: &[u8] = b"PAGECAMELCLACKSB64:";

/// What a letter with parameters says that has no verb; the Communicator wants one.
const NO_VERB: &str = "MSG";

/// The verb of an answer that is none.
const NO_ANSWER: &str = "ERROR";

/// The parameter that stands for a body.
const BODY: &str = "body";

/// A signal as a letter of the model, `value` as it came: what the bytes are is only looked
/// at when somebody else is to be told, by [`letter`].
#[inline]
pub fn signal<'f>(name: &'f str, value: Option<&'f [u8]>) -> Letter<'f> {
    let verb = if value.is_some() { "SET" } else { "NOTIFY" };
    Letter { name, verb, body: value.unwrap_or_default(), ..Letter::default() }
}

/// A [`signal`] for a station of another dialect: body and encoding are those that its value
/// says, all other fields are `l`'s. What does not fit into `room` stays in Base64.
pub fn letter<R>(l: &Letter<'_>, room: &mut [u8], then: impl FnOnce(&Letter<'_>) -> R) -> R {
    if l.verb != "SET" {
        return then(l);
    }
    let (body, encoding) = value(l.body, room);
    then(&Letter { body, encoding, ..*l })
}

/// A [`signal`] for a station of another dialect, written into `out`, of which some at the end
/// is room for what its value says.
#[inline]
pub(crate) fn heard(
    l: &Letter<'_>,
    out: &mut [u8],
    write: impl FnOnce(&Letter<'_>, &mut [u8]) -> Option<usize>,
) -> Option<usize> {
    let room = if l.body.starts_with(MARKER) { (l.body.len() / 4 * 3).min(out.len() / 2) } else { 0 };
    let (out, room) = out.split_at_mut(out.len() - room);
    letter(l, room, |l| write(l, out))
}

/// The letter that a [`signal`] is to members of another name, because its own addresses a
/// verb there. `None`: it does not. What does not fit into `room` stays as it was written.
pub fn addressed<R>(l: &Letter<'_>, room: &mut [u8], then: impl FnOnce(&Letter<'_>) -> R) -> Option<R> {
    let (name, verb) = name::addressed(l.name)?;
    let bare = Letter { name, verb, body: &[], encoding: Encoding::None, params: Params::default(), ..*l };
    if l.body.is_empty() {
        return Some(then(&bare));
    }
    if might_be_params(l.body) {
        let mut pairs = Pairs::new();
        if params(l.body, room, &mut pairs).is_some() {
            return Some(then(&Letter { params: Params::Listed(&pairs), ..bare }));
        }
    }
    let (body, encoding) = value(l.body, room);
    Some(then(&Letter { body, encoding, ..bare }))
}

/// A value, and what it is. Of one behind the marker, what that says, if it fits into `room`
/// and is Base64; blanks in it are skipped, as the original's library does.
pub fn value<'v>(value: &'v [u8], room: &'v mut [u8]) -> (&'v [u8], Encoding) {
    let mut bytes = value;
    if let Some(text) = value.strip_prefix(MARKER)
        && let Some(n) = token::decode_some(text.iter().copied().filter(|b| *b != b' '), room)
    {
        bytes = room.get(..n).unwrap_or_default();
    }
    let is_text = core::str::from_utf8(bytes).is_ok();
    (bytes, if is_text { Encoding::Text } else { Encoding::Bytes })
}

/// A value as it is stored: one behind the marker that no line can hold is stored as what it is,
/// so that it is the same for all stations and at both ends of a link. [`write_value`] writes it as
/// it came. Needs `room` for it.
#[inline]
pub fn kept<'v>(value: &'v [u8], room: &'v mut [u8]) -> &'v [u8] {
    match value.strip_prefix(MARKER) {
        Some(text) => unmarked(text, room).unwrap_or(value),
        None => value,
    }
}

#[cold]
fn unmarked<'v>(text: &[u8], room: &'v mut [u8]) -> Option<&'v [u8]> {
    let n = token::decode(text, room)?;
    room.get(..n).filter(|bytes| has_line_end(bytes))
}

/// Writes a stored value, to clients of this dialect octet for octet as any of them stored it. What
/// no line can hold is put behind the marker.
#[inline]
pub fn write_value(value: &[u8], w: &mut Writer<'_>) {
    if has_line_end(value) {
        write_marked(value, w);
    } else {
        w.bytes(value);
    }
}

#[cold]
fn write_marked(value: &[u8], w: &mut Writer<'_>) {
    w.bytes(MARKER);
    w.base64(value);
}

/// The body of a letter: what is read from it again is the same.
fn write_body(body: &[u8], w: &mut Writer<'_>) {
    if body.starts_with(MARKER) { write_marked(body, w) } else { write_value(body, w) }
}

/// Writes a letter of another dialect as one line.
pub fn write_letter(l: &Letter<'_>, w: &mut Writer<'_>) {
    let has_params = l.params.count() > 0;
    let has_body = !l.body.is_empty() || l.encoding == Encoding::Text;
    let verb = match l.verb {
        "NOTIFY" if !has_params && !has_body && !l.name.is_empty() => "",
        "SET" if !has_params && !l.name.is_empty() => "",
        "" if has_params || l.name.is_empty() => NO_VERB,
        verb => verb,
    };
    if has_params || has_body || (l.verb == "SET" && verb.is_empty()) {
        begin_set(l.name, verb, w);
        match verb {
            "" => write_body(l.body, w),
            _ if has_params => write_params(&l.params, has_body.then_some(l.body), w),
            _ if might_be_params(l.body) && is_params(l.body) => {
                write_params(&Params::default(), Some(l.body), w);
            }
            _ => write_body(l.body, w),
        }
    } else {
        w.bytes(b"NOTIFY ");
        write_name(l.name, verb, b"", w);
    }
    w.end();
}

/// Writes an answer of another dialect as a signal to `name`.
pub fn write_answer(name: &str, a: &Answer<'_>, w: &mut Writer<'_>) {
    let has_params = a.params.count() > 0;
    match a.code {
        Code::Ok => {
            begin_set(name, "", w);
            match (has_params, a.body) {
                (true, body) => write_params(&a.params, (!body.is_empty()).then_some(body), w),
                (false, []) => write_body(a.text.as_bytes(), w),
                (false, body) => write_body(body, w),
            }
        }
        code => {
            let mut number = heapless::String::<10>::new();
            // ten digits hold every code
            let _ = core::fmt::write(&mut number, format_args!("{}", code.number()));
            let text = if a.text.is_empty() { code.text() } else { a.text };
            begin_set(name, NO_ANSWER, w);
            write_params(&Params::Listed(&[("code", &number), ("text", text)]), None, w);
        }
    }
    w.end();
}

fn begin_set(bus: &str, verb: &str, w: &mut Writer<'_>) {
    w.bytes(b"SET ");
    if write_name(bus, verb, b"=", w) == 0 {
        // what has no name to stand before the sign
        w.bytes(b"~");
    }
    w.bytes(b"=");
}

/// Writes a name of the bus, with the verb that is addressed under it if there is one. What
/// would end it too early is written out: line ends, which no name of the bus has, and octets
/// of `ends`, but not the very first. Returns how many octets that took.
fn write_name(bus: &str, verb: &str, ends: &[u8], w: &mut Writer<'_>) -> usize {
    let from = w.at();
    let mut spare = [0; MAX_NAME];
    let slash = if verb.is_empty() { "" } else { "/" };
    for part in [name::from_bus(bus, &mut spare), slash.as_bytes(), verb.as_bytes()] {
        if !has_line_end(part) && !part.iter().any(|b| ends.contains(b)) {
            w.bytes(part);
            continue;
        }
        for (i, b) in part.iter().enumerate() {
            let ends_here = ends.contains(b) && (i > 0 || w.at() > from);
            if matches!(*b, CR | LF) || ends_here {
                name::write_escape(*b, w);
            } else {
                w.bytes(&[*b]);
            }
        }
    }
    w.at() - from
}

/// Octets that are not yet used for texts with escapes.
struct Room<'r>(&'r mut [u8]);

type Pairs<'v> = heapless::Vec<(&'v str, &'v str), MAX_PARAMS>;

/// Whether a value is worth a second look: parameters begin with a letter or `_`, and have a
/// `=`.
#[inline]
fn might_be_params(value: &[u8]) -> bool {
    matches!(value.first(), Some(b'A'..=b'Z' | b'a'..=b'z' | b'_')) && value.contains(&b'=')
}

/// Whether a body would be read as parameters.
fn is_params(body: &[u8]) -> bool {
    let mut left = body;
    let mut count = 0;
    while !left.is_empty() {
        let Some((_, value, rest)) = param(left) else { return false };
        count += 1;
        if core::str::from_utf8(value.raw()).is_err() || count > MAX_PARAMS {
            return false;
        }
        left = rest;
    }
    count > 0
}

/// Parameters as the Communicator writes them (section 1.3, step 5), but blanks at the end
/// belong to the value. `None`: they are not, they are too many, or they do not fit.
fn params<'v>(value: &'v [u8], room: &'v mut [u8], pairs: &mut Pairs<'v>) -> Option<()> {
    let mut room = Room(room);
    let mut left = value;
    while !left.is_empty() {
        let (key, value, rest) = param(left)?;
        let value = core::str::from_utf8(value.read(&mut room)?).ok()?;
        match pairs.iter_mut().find(|(k, _)| *k == key) {
            Some((_, v)) => *v = value,
            None => pairs.push((key, value)).ok()?,
        }
        left = rest;
    }
    Some(())
}

/// A value as it is written.
#[derive(Clone, Copy)]
enum Written<'v> {
    /// To the next `;`.
    Bare(&'v [u8]),
    /// What is between two quotes.
    Quoted(&'v [u8]),
}

/// Takes one parameter off the front, and the `;` behind it.
fn param(text: &[u8]) -> Option<(&str, Written<'_>, &[u8])> {
    let (key, text) = text.split_at_checked(text.iter().position(|b| *b == b'=')?)?;
    let key = core::str::from_utf8(key).ok().filter(|key| is_key(key))?;
    let text = text.get(1..)?;
    let (value, rest) = match text {
        [b'"', text @ ..] => {
            let (value, rest) = text.split_at_checked(closing_quote(text)?)?;
            (Written::Quoted(value), rest.get(1..)?)
        }
        text => {
            let (value, rest) = text.split_at(text.iter().position(|b| *b == b';').unwrap_or(text.len()));
            (Written::Bare(value), rest)
        }
    };
    if value.raw().contains(&0) {
        return None;
    }
    match rest {
        [] => Some((key, value, rest)),
        [b';', rest @ ..] => Some((key, value, rest)),
        _ => None,
    }
}

/// The Communicator's name rule.
fn is_key(key: &str) -> bool {
    key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        && !matches!(key.as_bytes().first(), None | Some(b'0'..=b'9'))
}

/// The place of the first quote that has no backslash before it, however many there are: the
/// Communicator takes `\\\\"` for a backslash and a quote inside.
fn closing_quote(text: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        match text.get(at..)? {
            [b'"', ..] => return Some(at),
            [b'\\', b'"', ..] => at += 2,
            [] => return None,
            _ => at += 1,
        }
    }
}

impl<'v> Written<'v> {
    fn raw(self) -> &'v [u8] {
        match self {
            Written::Bare(raw) | Written::Quoted(raw) => raw,
        }
    }

    /// What it means. `None`: that does not fit.
    fn read(self, room: &mut Room<'v>) -> Option<&'v [u8]> {
        let raw = self.raw();
        if !raw.contains(&b'\\') {
            return Some(raw);
        }
        // it is never longer than it is written
        let (text, free) = core::mem::take(&mut room.0).split_at_mut_checked(raw.len())?;
        room.0 = free;
        // first the quotes inside, then the escapes of the whole
        let is_quoted = matches!(self, Written::Quoted(_));
        let mut at = 0;
        let mut collected = core::iter::from_fn(|| {
            let b = *raw.get(at)?;
            at += 1;
            if is_quoted && b == b'\\' && raw.get(at) == Some(&b'"') {
                at += 1;
                return Some(b'"');
            }
            Some(b)
        })
        .peekable();
        let mut size = 0;
        while let Some(b) = collected.next() {
            let second = (b == b'\\').then(|| collected.peek().copied().and_then(unescaped)).flatten();
            if second.is_some() {
                collected.next();
            }
            *text.get_mut(size)? = second.unwrap_or(b);
            size += 1;
        }
        text.get(..size)
    }
}

/// What stands behind a backslash, if it is an escape.
const fn unescaped(b: u8) -> Option<u8> {
    match b {
        b'\\' => Some(b'\\'),
        b'n' => Some(LF),
        b'r' => Some(CR),
        _ => None,
    }
}

/// Whether the Communicator could not read a value again that is written its way: one with a
/// NUL, or one that needs quotes and ends in a backslash (section 1.4).
fn is_unreadable(value: &str) -> bool {
    value.contains('\0') || needs_quotes(value) && value.ends_with('\\')
}

fn needs_quotes(value: &str) -> bool {
    value.starts_with('"') || value.contains(';')
}

/// Parameters as the Communicator writes them (section 1.4), in the order they came, and a
/// body as the last of them. If it cannot be told one of them, all are JSON.
fn write_params(params: &Params<'_>, body: Option<&[u8]>, w: &mut Writer<'_>) {
    let body = body.map(|body| core::str::from_utf8(body).map_err(|_| body));
    let text = body.and_then(Result::ok);
    let all = || params.iter().chain(text.map(|text| (BODY, text)));
    let plain = all().all(|(key, value)| is_key(key) && !is_unreadable(value));
    let mut before: &[u8] = if plain { b"" } else { b"{" };
    for (key, value) in all() {
        w.bytes(before);
        if plain {
            before = b";";
            w.bytes(key.as_bytes());
            w.bytes(b"=");
            write_quoted(value, w);
        } else {
            before = b",";
            write_json(key, w);
            w.bytes(b":");
            write_json(value, w);
        }
    }
    if let Some(Err(bytes)) = body {
        w.bytes(before);
        let quote: &[u8] = if plain { b"" } else { b"\"" };
        w.bytes(quote);
        w.bytes(BODY.as_bytes());
        w.bytes(quote);
        w.bytes(if plain { b"=" } else { b":" });
        w.bytes(quote);
        write_marked(bytes, w);
        w.bytes(quote);
    }
    if !plain {
        w.bytes(b"}");
    }
}

fn write_quoted(value: &str, w: &mut Writer<'_>) {
    let quote: &[u8] = if needs_quotes(value) { b"\"" } else { b"" };
    w.bytes(quote);
    for b in value.bytes() {
        match b {
            b'\\' => w.bytes(b"\\\\"),
            LF => w.bytes(b"\\n"),
            CR => w.bytes(b"\\r"),
            b'"' if !quote.is_empty() => w.bytes(b"\\\""),
            b => w.bytes(&[b]),
        }
    }
    w.bytes(quote);
}

/// A string of JSON with its quotes.
fn write_json(text: &str, w: &mut Writer<'_>) {
    w.bytes(b"\"");
    for b in text.bytes() {
        match b {
            b'"' => w.bytes(b"\\\""),
            b'\\' => w.bytes(b"\\\\"),
            LF => w.bytes(b"\\n"),
            CR => w.bytes(b"\\r"),
            b'\t' => w.bytes(b"\\t"),
            ..b' ' => {
                w.bytes(b"\\u00");
                w.bytes(&name::hex(b));
            }
            b => w.bytes(&[b]),
        }
    }
    w.bytes(b"\"");
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::super::repr::Line;
    use super::super::{emit, parse};
    use super::*;
    use std::string::{String, ToString as _};
    use std::vec::Vec;

    /// A letter as one line, without its end.
    fn line(l: &Letter<'_>) -> String {
        let mut out = [0xa5; 8192];
        let n = emit::letter(l, &mut out).unwrap();
        assert_eq!(emit::letter(l, &mut out[..n - 1]), None);
        let line = out[..n].strip_suffix(b"\r\n").unwrap();
        assert!(!has_line_end(line));
        String::from_utf8_lossy(line).into_owned()
    }

    /// What a letter says, for comparison.
    #[derive(Debug, PartialEq)]
    struct Said {
        name: String,
        verb: String,
        body: Vec<u8>,
        encoding: Encoding,
        params: Vec<(String, String)>,
    }

    fn said(l: &Letter<'_>) -> Said {
        Said {
            name: l.name.to_string(),
            verb: l.verb.to_string(),
            body: l.body.to_vec(),
            encoding: l.encoding,
            params: l.params.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect(),
        }
    }

    /// What a line says to stations of other dialects, and to members of the name that it
    /// addresses.
    fn heard(line: &[u8]) -> (Said, Option<Said>) {
        let (name, value) = match parse::line(line) {
            Line::Set { name, value } => (name, Some(value)),
            Line::Notify(name) => (name, None),
            other => panic!("{other:?}"),
        };
        let mut spare = heapless::String::new();
        let l = signal(name::to_bus(name, &mut spare).unwrap(), value);
        let mut room = [0; 4096];
        (letter(&l, &mut room, said), addressed(&l, &mut [0; 4096], said))
    }

    fn letter_of<'l>(name: &'l str, verb: &'l str, body: &'l [u8], encoding: Encoding) -> Letter<'l> {
        Letter { name, verb, body, encoding, ..Letter::default() }
    }

    #[test]
    fn each_row_from_a_line() {
        let text = |name: &str, body: &[u8], encoding| Said {
            name: name.to_string(),
            verb: "SET".to_string(),
            body: body.to_vec(),
            encoding,
            params: Vec::new(),
        };
        for (line, want) in [
            (&b"SET x=v"[..], text("x", b"v", Encoding::Text)),
            (b"SET x=", text("x", b"", Encoding::Text)),
            (b"SET x=\xff", text("x", b"\xff", Encoding::Bytes)),
            (b"SET x={\"a\":1}", text("x", b"{\"a\":1}", Encoding::Text)),
            (b"SET x=PAGECAMELCLACKSB64:bGluZTEKbGluZTI=", text("x", b"line1\nline2", Encoding::Text)),
            (b"SET x=PAGECAMELCLACKSB64: bGlu ZTEKbGluZTI=", text("x", b"line1\nline2", Encoding::Text)),
            (b"SET x=PAGECAMELCLACKSB64:/w==", text("x", b"\xff", Encoding::Bytes)),
            (b"SET x=PAGECAMELCLACKSB64:", text("x", b"", Encoding::Text)),
            (b"SET x=PAGECAMELCLACKSB64:!", text("x", b"PAGECAMELCLACKSB64:!", Encoding::Text)),
            (b"SET x=PAGECAMELCLACKSYAMLB64: LS0tIH4K", text("x", b"PAGECAMELCLACKSYAMLB64: LS0tIH4K", Encoding::Text)),
            (b"SET a b=c=d", text("a b", b"c=d", Encoding::Text)),
            (b"SET \xe9=1", text("\\xe9", b"1", Encoding::Text)),
        ] {
            let (got, addressed) = heard(line);
            assert_eq!(got, want, "{line:?}");
            assert!(addressed.is_none());
        }
        let (got, _) = heard(b"NOTIFY door");
        assert_eq!((got.verb.as_str(), got.encoding), ("NOTIFY", Encoding::None));
    }

    #[test]
    fn each_row_to_a_line() {
        let params = [("a", "b"), ("c", "d;e")];
        let with = |l: Letter<'static>| Letter { params: Params::Listed(&[("a", "b"), ("c", "d;e")]), ..l };
        assert_eq!(params.len(), 2);
        let of = letter_of;
        for (l, want) in [
            (of("x", "SET", b"v", Encoding::Text), "SET x=v"),
            (of("x", "", b"v", Encoding::None), "SET x=v"),
            (of("x", "SET", b"", Encoding::None), "SET x="),
            (of("x", "", b"", Encoding::Text), "SET x="),
            (of("x", "NOTIFY", b"", Encoding::None), "NOTIFY x"),
            (of("x", "", b"", Encoding::None), "NOTIFY x"),
            (of("s", "STOP", b"", Encoding::None), "NOTIFY s/STOP"),
            (with(of("s", "VERB", b"", Encoding::None)), "SET s/VERB=a=b;c=\"d;e\""),
            (with(of("s", "", b"", Encoding::None)), "SET s/MSG=a=b;c=\"d;e\""),
            (with(of("s", "SET", b"", Encoding::None)), "SET s/SET=a=b;c=\"d;e\""),
            (with(of("s", "NOTIFY", b"", Encoding::None)), "SET s/NOTIFY=a=b;c=\"d;e\""),
            (with(of("s", "V", b"x\ny", Encoding::Text)), "SET s/V=a=b;c=\"d;e\";body=x\\ny"),
            (with(of("s", "V", b"\xff", Encoding::Bytes)), "SET s/V=a=b;c=\"d;e\";body=PAGECAMELCLACKSB64:/w=="),
            (of("s", "T", b"21.5", Encoding::Text), "SET s/T=21.5"),
            (of("s", "T", b"a=1", Encoding::Text), "SET s/T=body=a=1"),
            (of("s", "T", b"a=1;b=2", Encoding::Text), "SET s/T=body=\"a=1;b=2\""),
            (of("s", "T", b"a=1;b=2\\", Encoding::Text), "SET s/T={\"body\":\"a=1;b=2\\\\\"}"),
            (of("s", "T", b"a=1;b", Encoding::Text), "SET s/T=a=1;b"),
            (of("s", "NOTIFY", b"x", Encoding::Text), "SET s/NOTIFY=x"),
            (of("s", "", b"{\"a\":[1]}", Encoding::Json), "SET s={\"a\":[1]}"),
            (of("s", "", b"{\n}", Encoding::Json), "SET s=PAGECAMELCLACKSB64:ewp9"),
            (of("s", "SET", b"a\rb", Encoding::Text), "SET s=PAGECAMELCLACKSB64:YQ1i"),
            (
                of("s", "SET", b"PAGECAMELCLACKSB64:", Encoding::Text),
                "SET s=PAGECAMELCLACKSB64:UEFHRUNBTUVMQ0xBQ0tTQjY0Og==",
            ),
            (of("a=b", "SET", b"v", Encoding::Text), "SET a\\x3db=v"),
            (of("=b", "SET", b"v", Encoding::Text), "SET =b=v"),
            (of("a=b", "NOTIFY", b"", Encoding::None), "NOTIFY a=b"),
            (of("~", "SET", b"v", Encoding::Text), "SET ~=v"),
            (of("~", "NOTIFY", b"", Encoding::None), "NOTIFY "),
            (of("a::**", "SET", b"v", Encoding::Text), "SET a::*=v"),
            (of("", "STOP", b"", Encoding::None), "NOTIFY /STOP"),
            (of("", "SET", b"v", Encoding::Text), "SET /SET=v"),
            (of("", "", b"", Encoding::None), "NOTIFY /MSG"),
            (of("", "", b"v", Encoding::Text), "SET /MSG=v"),
            (of("s", "a=b", b"v", Encoding::Text), "SET s/a\\x3db=v"),
            (of("s", "a\r\nQUIT", b"", Encoding::None), "NOTIFY s/a\\x0d\\x0aQUIT"),
        ] {
            assert_eq!(line(&l), want, "{l:?}");
        }
        assert_eq!(line(&of("s", "SET", b"\0\xff", Encoding::Bytes)), "SET s=\0\u{fffd}", "any octet but two");
    }

    #[test]
    fn parameters_that_the_communicator_could_not_read_are_json() {
        for (params, want) in [
            (&[("a-b", "1")][..], r#"SET s/V={"a-b":"1"}"#),
            (&[("a", "1"), ("", "x\"y\\")], r#"SET s/V={"a":"1","":"x\"y\\"}"#),
            (&[("a", "x;y\\")], r#"SET s/V={"a":"x;y\\"}"#),
            (&[("é", "\n\r\t\0\u{1f}é")], r#"SET s/V={"é":"\n\r\t\u0000\u001fé"}"#),
        ] {
            let l = Letter { name: "s", verb: "V", params: Params::Listed(params), ..Letter::default() };
            assert_eq!(line(&l), want);
            let bytes = Letter { body: b"\xff", ..l };
            let want = want.replace('}', r#","body":"PAGECAMELCLACKSB64:/w=="}"#);
            assert_eq!(line(&bytes), want);
        }
    }

    #[test]
    fn verbs_under_a_name() {
        let verb = |line: &[u8]| {
            let (whole, addressed) = heard(line);
            assert_eq!(whole.verb, if line.starts_with(b"SET") { "SET" } else { "NOTIFY" });
            addressed.unwrap()
        };
        for (line, params, body) in [
            (&b"SET s/VERB=a=b;c=d"[..], &[("a", "b"), ("c", "d")][..], None),
            (b"SET s/VERB=a=b;c=d;", &[("a", "b"), ("c", "d")], None),
            (b"SET s/VERB=", &[], None),
            (b"NOTIFY s/VERB", &[], None),
            (b"SET s/VERB=21.5", &[], Some(&b"21.5"[..])),
            (b"SET s/VERB=x", &[], Some(b"x")),
            (b"SET s/VERB=PAGECAMELCLACKSB64:bGluZTEKbGluZTI=", &[], Some(b"line1\nline2")),
            (b"SET s/VERB= a=b", &[], Some(b" a=b")),
            (b"SET s/VERB=a=b ;c= d ", &[("a", "b "), ("c", " d ")], None),
            // examples of communicator.md, section 1.11
            (b"SET s/VERB=length=-35;name=Charles", &[("length", "-35"), ("name", "Charles")], None),
            (b"SET s/VERB=void=", &[("void", "")], None),
            (b"SET s/VERB=a=;b=", &[("a", ""), ("b", "")], None),
            (b"SET s/VERB=text=\" quoted \"", &[("text", " quoted ")], None),
            (b"SET s/VERB=a=x=y", &[("a", "x=y")], None),
            (b"SET s/VERB=a=he said \"hi\"", &[("a", "he said \"hi\"")], None),
            (b"SET s/VERB=a=\"x;y\";b=2", &[("a", "x;y"), ("b", "2")], None),
            (b"SET s/VERB=a=\"say \\\"hi\\\"; bye\"", &[("a", "say \"hi\"; bye")], None),
            (b"SET s/VERB=a=\"one\\\\two;\"", &[("a", "one\\two;")], None),
            (b"SET s/VERB=a=one\\ntwo\\r\\\\three", &[("a", "one\ntwo\r\\three")], None),
            (b"SET s/VERB=a=tab\\tkept", &[("a", "tab\\tkept")], None),
            (b"SET s/VERB=a=\\\\n", &[("a", "\\n")], None),
            (b"SET s/VERB=a=C:\\dir\\new", &[("a", "C:\\dir\new")], None),
            (b"SET s/VERB=a=1;a=2", &[("a", "2")], None),
            (
                b"SET s/VERB=Mixed_Case=1;_under=2;UPPER=3",
                &[("Mixed_Case", "1"), ("_under", "2"), ("UPPER", "3")],
                None,
            ),
            (b"SET s/VERB=a=\"\"", &[("a", "")], None),
            (b"SET s/VERB=a=\"semi;mid\\\\\\\"quote\";b=2", &[("a", "semi;mid\\\"quote"), ("b", "2")], None),
            (b"SET s/VERB=a=end\\", &[("a", "end\\")], None),
            (b"SET s/VERB=a=1;;b=2", &[], Some(b"a=1;;b=2")),
            (b"SET s/VERB=a=1; b=2", &[], Some(b"a=1; b=2")),
            (b"SET s/VERB=a=1;b", &[], Some(b"a=1;b")),
            (b"SET s/VERB=a-b=1", &[], Some(b"a-b=1")),
            (b"SET s/VERB=1a=2", &[], Some(b"1a=2")),
            (b"SET s/VERB=a=\"x", &[], Some(b"a=\"x")),
            (b"SET s/VERB=a=\"x\"y", &[], Some(b"a=\"x\"y")),
            (b"SET s/VERB=a=\"ends\\\\\"", &[], Some(b"a=\"ends\\\\\"")),
            (b"SET s/VERB=a=\xff", &[], Some(b"a=\xff")),
            (b"SET s/VERB=a=\0", &[], Some(b"a=\0")),
        ] {
            let got = verb(line);
            assert_eq!((got.name.as_str(), got.verb.as_str()), ("s", "VERB"));
            let want: Vec<_> = params.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
            assert_eq!(got.params, want, "{}", String::from_utf8_lossy(line));
            assert_eq!(got.body, body.unwrap_or_default());
            assert_eq!(got.encoding == Encoding::None, body.is_none());
        }
        assert!(heard(b"SET s/verb=a=b").1.is_none());
    }

    #[test]
    fn without_room_it_stays_as_it_was_written() {
        let l = signal("s/V", Some(b"a=x\\ny;b=1"));
        for room in 0..10 {
            let got = addressed(&l, &mut [0; 16][..room], said).unwrap();
            if room < 4 {
                assert_eq!((got.params.len(), &got.body[..]), (0, l.body));
            } else {
                assert_eq!(got.params[0].1, "x\ny");
            }
        }
        let l = signal("x", Some(b"PAGECAMELCLACKSB64:bGluZTEKbGluZTI="));
        assert_eq!(letter(&l, &mut [0; 10], said).body, l.body);
        assert_eq!(letter(&l, &mut [0; 11], said).body, b"line1\nline2");
    }

    #[test]
    fn too_many_parameters_are_a_body() {
        let many: String = (0..MAX_PARAMS).map(|i| std::format!("k{i}=v;")).collect();
        let l = signal("s/V", Some(many.as_bytes()));
        assert_eq!(addressed(&l, &mut [], said).unwrap().params.len(), MAX_PARAMS);
        let more = many + "x=1";
        let l = signal("s/V", Some(more.as_bytes()));
        assert_eq!(addressed(&l, &mut [], said).unwrap().body, more.as_bytes());
    }

    #[test]
    fn answers() {
        let of = |a: Answer<'_>| {
            let mut out = [0; 256];
            let n = emit::answer("reply", &a, &mut out).unwrap();
            String::from_utf8_lossy(&out[..n]).trim_end().to_string()
        };
        let params = Params::Listed(&[("a", "1")]);
        for (a, want) in [
            (Answer { body: b"42", ..Answer::default() }, "SET reply=42"),
            (Answer { params, ..Answer::default() }, "SET reply=a=1"),
            (Answer { params, body: b"x", ..Answer::default() }, "SET reply=a=1;body=x"),
            (Answer { text: "done", ..Answer::default() }, "SET reply=done"),
            (Answer::default(), "SET reply="),
            (Answer { body: b"a\nb", ..Answer::default() }, "SET reply=PAGECAMELCLACKSB64:YQpi"),
            (Answer { code: Code::NoRecipient, ..Answer::default() }, "SET reply/ERROR=code=1;text=no such recipient"),
            (Answer { code: Code::Failed, text: "a;b", ..Answer::default() }, "SET reply/ERROR=code=15;text=\"a;b\""),
            (
                Answer { code: Code::Unknown(u32::MAX), text: "x", ..Answer::default() },
                "SET reply/ERROR=code=4294967295;text=x",
            ),
        ] {
            assert_eq!(of(a), want);
        }
    }

    #[test]
    fn stored_values_are_what_was_stored() {
        for (stored, want) in [
            (&b"x"[..], &b"x"[..]),
            (b"", b""),
            (b"\xff\0", b"\xff\0"),
            (b"PAGECAMELCLACKSB64:QUJD", b"PAGECAMELCLACKSB64:QUJD"),
            (b"a\nb", b"PAGECAMELCLACKSB64:YQpi"),
        ] {
            let mut out = [0; 64];
            let mut w = Writer::new(&mut out);
            write_value(stored, &mut w);
            let n = w.finish().unwrap();
            assert_eq!(&out[..n], want);
        }
    }

    /// Whatever another dialect sends is one line, and what that says to a third is the same.
    #[test]
    fn letters_of_chance() {
        let mut seed = 0xfeed_f00d_1234_5678u64;
        let mut chance = move |below: u64| {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            (seed >> 20) % below
        };
        const PIECES: &[&str] = &[
            "a",
            "body",
            "=",
            ";",
            "\"",
            "\\",
            "\n",
            "\r",
            "x",
            " ",
            "1",
            "_",
            "é",
            "\\n",
            "\\\"",
            "{",
            "\0",
            "/",
            "A",
            "PAGECAMELCLACKSB64:",
            "QUJD",
        ];
        let mut text =
            |most: u64| -> String { (0..chance(most)).map(|_| PIECES[chance(PIECES.len() as u64) as usize]).collect() };
        for round in 0..20_000 {
            let texts: [String; 6] = core::array::from_fn(|_| text(6));
            let pairs: Vec<(&str, &str)> = texts.chunks(2).take(round % 4).map(|p| (&p[0][..], &p[1][..])).collect();
            let body = text(8);
            let raw = [0xff, 0x0a];
            let l = Letter {
                name: ["s", "a/b", "s/V", ""][round / 4 % 4],
                verb: ["VERB", "SET", "NOTIFY", "", "V=\n"][round / 16 % 5],
                params: Params::Listed(&pairs),
                body: if round % 7 == 0 { &raw } else { body.as_bytes() },
                encoding: if body.is_empty() { Encoding::None } else { Encoding::Text },
                ..Letter::default()
            };
            let line = line(&l);
            let (whole, addressed) = heard(line.as_bytes());
            if l.verb == "SET" && pairs.is_empty() && l.name == "s" {
                assert_eq!((whole.name.as_str(), &whole.body[..]), ("s", l.body));
            }
            if l.verb == "VERB" && l.name == "s" {
                let got = addressed.unwrap();
                assert_eq!((got.name.as_str(), got.verb.as_str()), ("s", "VERB"));
                if pairs.is_empty() && got.params.is_empty() {
                    assert!(got.body == l.body || line.starts_with("SET s/VERB={"), "{line}");
                } else if pairs.is_empty() {
                    assert_eq!(got.params[..], [("body".to_string(), body.clone())], "{line}");
                } else if !got.params.is_empty() {
                    for (key, value) in &got.params {
                        let last = pairs.iter().rev().find(|(k, _)| k == key).map(|(_, v)| *v);
                        let is_body = key == "body" && !l.body.is_empty();
                        assert!(is_body || last == Some(value), "{line}");
                    }
                }
            }
        }
    }

    #[test]
    fn octets_of_chance() {
        let mut seed = 0x1111_2222_3333_4444u64;
        let mut chance = move |below: u64| {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            (seed >> 20) % below
        };
        const LETTERS: &[u8] = b"ab=;\"\\nr;= \0\xff\xc3\xa9{PQ/";
        for _ in 0..50_000 {
            let mut value = [0; 24];
            value.iter_mut().for_each(|b| *b = LETTERS[chance(LETTERS.len() as u64) as usize]);
            let value = &value[..chance(25) as usize];
            let l = signal("s/V", Some(value));
            let room = chance(24) as usize;
            let is_params_there = addressed(&l, &mut [0; 24], |l| l.params.count() > 0).unwrap();
            assert_eq!(is_params_there, might_be_params(value) && is_params(value));
            addressed(&l, &mut [0; 24][..room], |_| ());
            letter(&l, &mut [0; 24][..room], |_| ());
        }
    }
}
