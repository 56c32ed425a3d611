//! A message to a line, a datagram, or JSON.
//!
//! Owns: the exact spelling of the string form (`wire/communicator.md` section 1.4), what of
//! a message that was received is replaced when it is handed on, the JSON that a node writes
//! (1.7, as correct JSON), and why something cannot be written. Does not own which messages a
//! node says (`say.rs`).
//!
//! Each function writes a whole message into the caller's slice. What could not be read again
//! as the same message is not written, but for a server without a service, which the string
//! form leaves out (section 1.4 step 3). Two things differ from the original, both of weak
//! point W1: a last value that ends in blanks is put in quotes, so that the reader does not
//! trim it; and a value that needs quotes and ends in a backslash is refused instead of
//! written so that nobody can read it.

use super::frame::{LF, find};
use super::parse::is_white;
use super::repr::{Fault, Message, Sorted};
use super::text::Text;
use super::udp::MAX_DATAGRAM;
use crate::dialect::text::Writer;

/// Why a message is not written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Unsaid {
    /// It does not fit.
    NoRoom,
    /// It has no command.
    NoCommand,
    /// A name that would be read as something else.
    BadName,
    /// The name of a parameter is none.
    BadKey,
    /// A value with a NUL.
    Nul,
    /// A value with a `;` that ends in a backslash, which no reader of the string form takes.
    Backslash,
    /// More parameters than a message may have.
    TooManyParams,
    /// Not UTF-8, which JSON has to be.
    NotUtf8,
    /// Longer than a datagram may be.
    TooLong,
}

impl Unsaid {
    /// For people.
    pub const fn text(self) -> &'static str {
        match self {
            Unsaid::NoRoom => "no room for a message",
            Unsaid::NoCommand => "a message without a command",
            Unsaid::BadName => "a server, service or command that would be read as another",
            Unsaid::BadKey => "a parameter whose name is not letters, digits and `_`",
            Unsaid::Nul => "a value with a NUL",
            Unsaid::Backslash => "a value with a `;` and a backslash at its end",
            Unsaid::TooManyParams => "too many parameters",
            Unsaid::NotUtf8 => "a value that is no UTF-8, in JSON",
            Unsaid::TooLong => "a message longer than a datagram",
        }
    }
}

/// By the rule of the seam: `None` if it does not fit, 0 if there is no way to say it.
pub fn seam(said: Result<usize, Unsaid>) -> Option<usize> {
    match said {
        Ok(size) => Some(size),
        Err(Unsaid::NoRoom) => None,
        Err(_) => Some(0),
    }
}

/// How messages are written to somebody.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Form {
    /// The string form: the original's.
    #[default]
    Text,
    /// JSON for programs that read JSON.
    Json,
    /// JSON for readers that unescape values twice, as the original does with what it reads,
    /// and so this node.
    JsonTwice,
}

/// What is different in a message that is handed on: parameters put in, or in place of what
/// it has, and such as are left out. The last decides.
#[derive(Debug, Default, Clone, Copy)]
pub struct Edit<'e> {
    /// Put in.
    pub set: &'e [(Text<'e>, Text<'e>)],
    /// Left out.
    pub without: &'e [&'e str],
}

impl Edit<'_> {
    /// As it is.
    pub const NONE: Edit<'static> = Edit { set: &[], without: &[] };
}

/// A message as a line with its LF.
pub fn line(m: &Message<'_>, edit: Edit<'_>, form: Form, out: &mut [u8]) -> Result<usize, Unsaid> {
    let mut w = Writer::new(out);
    write(m, edit, form, &mut w)?;
    w.byte(LF);
    w.finish().ok_or(Unsaid::NoRoom)
}

/// A message as a datagram, which has no LF and at most [`MAX_DATAGRAM`] octets.
pub fn datagram(m: &Message<'_>, edit: Edit<'_>, out: &mut [u8]) -> Result<usize, Unsaid> {
    let mut w = Writer::new(out);
    write(m, edit, Form::Text, &mut w)?;
    if w.at() > MAX_DATAGRAM {
        return Err(Unsaid::TooLong);
    }
    w.finish().ok_or(Unsaid::NoRoom)
}

/// A line that says what a message says that was received, from somebody else perhaps. `raw`
/// is [`Message::raw`], and not empty: everything else stays as its sender wrote it.
#[inline]
pub fn handed_on(from_server: &[u8], from_service: &[u8], raw: &[u8], out: &mut [u8]) -> Result<usize, Unsaid> {
    let mut w = Writer::new(out);
    write_source(from_server, from_service, raw.first(), &mut w)?;
    w.bytes(raw);
    w.byte(LF);
    w.finish().ok_or(Unsaid::NoRoom)
}

/// A message without its end.
fn write<'m>(m: &Message<'m>, edit: Edit<'m>, form: Form, w: &mut Writer<'_>) -> Result<(), Unsaid> {
    let mut sorted = Sorted::new();
    let all = sorted.put_all(&m.params).and_then(|()| {
        edit.without.iter().for_each(|key| sorted.remove(key));
        edit.set.iter().try_for_each(|(key, value)| sorted.put(*key, *value))
    });
    all.map_err(|_: Fault| Unsaid::TooManyParams)?;
    if m.command.is_empty() {
        return Err(Unsaid::NoCommand);
    }
    match form {
        Form::Text => write_text(m, &sorted, w),
        Form::Json | Form::JsonTwice => write_json(m, &sorted, form == Form::JsonTwice, w),
    }
}

fn write_text(m: &Message<'_>, params: &Sorted<'_>, w: &mut Writer<'_>) -> Result<(), Unsaid> {
    let first = if m.service.is_empty() { m.command.first() } else { m.server.first().or(m.service.first()) };
    write_source(m.from_server, m.from_service, first, w)?;
    if !m.service.is_empty() {
        if !m.server.is_empty() {
            w.bytes(word(m.server)?);
            w.byte(b':');
        }
        w.bytes(word(m.service)?);
        w.byte(b'/');
    }
    w.bytes(word(m.command)?);
    let mut before = b' ';
    for (i, (key, value)) in params.pairs().iter().enumerate() {
        let key = key.plain().filter(|key| super::name::is_name(key)).ok_or(Unsaid::BadKey)?;
        w.byte(before);
        before = b';';
        w.bytes(key);
        w.byte(b'=');
        write_value(*value, i + 1 == params.pairs().len(), w)?;
    }
    Ok(())
}

/// `<server:service ` if there is any of it. `first`: what follows, which without a source
/// must not look like one, nor like JSON, nor like what is trimmed.
#[inline]
fn write_source(server: &[u8], service: &[u8], first: Option<&u8>, w: &mut Writer<'_>) -> Result<(), Unsaid> {
    if server.is_empty() && service.is_empty() {
        let odd = first.is_some_and(|b| matches!(*b, b'<' | b'{') || is_white(*b));
        return if odd { Err(Unsaid::BadName) } else { Ok(()) };
    }
    if server.iter().any(|b| matches!(*b, b':' | b' ' | LF | 0)) || service.iter().any(|b| matches!(*b, b' ' | LF | 0))
    {
        return Err(Unsaid::BadName);
    }
    w.byte(b'<');
    w.bytes(server);
    w.byte(b':');
    w.bytes(service);
    w.byte(b' ');
    Ok(())
}

/// A part of the destination, or the command, if it can be one: any that the reader takes.
fn word(octets: &[u8]) -> Result<&[u8], Unsaid> {
    let ends_white = [octets.first(), octets.last()].iter().any(|b| b.is_none_or(|b| is_white(*b)));
    if ends_white || octets.iter().any(|b| matches!(*b, b':' | b'/' | b' ' | LF | 0)) {
        return Err(Unsaid::BadName);
    }
    Ok(octets)
}

/// What a value has in it.
struct Facts {
    /// Must be quoted to be read again.
    quotes: bool,
    /// Has anything that is written with a backslash.
    escapes: bool,
}

fn facts(value: Text<'_>, is_last: bool) -> Result<Facts, Unsaid> {
    if let Text::Plain(octets) = value {
        let has = |b| find(octets, b, 0).is_some();
        if has(0) {
            return Err(Unsaid::Nul);
        }
        let ends_white = is_last && octets.last().is_some_and(|b| is_white(*b) && !matches!(*b, LF | b'\r'));
        let quotes = octets.first() == Some(&b'"') || ends_white || has(b';');
        if quotes && octets.last() == Some(&b'\\') {
            return Err(Unsaid::Backslash);
        }
        let escapes = has(b'\\') || has(LF) || has(b'\r') || (quotes && has(b'"'));
        return Ok(Facts { quotes, escapes });
    }
    let (mut quotes, mut last) = (value.octets().next() == Some(b'"'), 0);
    for b in value.octets() {
        match b {
            0 => return Err(Unsaid::Nul),
            b';' => quotes = true,
            _ => {}
        }
        last = b;
    }
    quotes |= is_last && is_white(last) && !matches!(last, LF | b'\r');
    if quotes && last == b'\\' {
        return Err(Unsaid::Backslash);
    }
    Ok(Facts { quotes, escapes: true })
}

/// A value in the string form. `is_last`: nothing follows, so that blanks at its end would be
/// trimmed.
fn write_value(value: Text<'_>, is_last: bool, w: &mut Writer<'_>) -> Result<(), Unsaid> {
    let facts = facts(value, is_last)?;
    match value {
        Text::Plain(octets) if !facts.escapes => {
            let quote: &[u8] = if facts.quotes { b"\"" } else { b"" };
            w.bytes(quote);
            w.bytes(octets);
            w.bytes(quote);
        }
        value => write_escaped(value, facts.quotes, w),
    }
    Ok(())
}

fn write_escaped(value: Text<'_>, quotes: bool, w: &mut Writer<'_>) {
    let quote: &[u8] = if quotes { b"\"" } else { b"" };
    w.bytes(quote);
    for b in value.octets() {
        match b {
            b'\\' => w.bytes(b"\\\\"),
            LF => w.bytes(b"\\n"),
            b'\r' => w.bytes(b"\\r"),
            b'"' if quotes => w.bytes(b"\\\""),
            b => w.byte(b),
        }
    }
    w.bytes(quote);
}

fn write_json(m: &Message<'_>, params: &Sorted<'_>, twice: bool, w: &mut Writer<'_>) -> Result<(), Unsaid> {
    let names = [m.from_server, m.from_service, m.server, m.service, m.command];
    let has_nul = |(key, value): &(Text<'_>, Text<'_>)| key.octets().chain(value.octets()).any(|b| b == 0);
    if names.iter().any(|name| name.contains(&0)) || params.pairs().iter().any(has_nul) {
        return Err(Unsaid::Nul);
    }
    let mut before: &[u8] = b"{";
    for (name, value) in [
        (&b"sent-from-server"[..], m.from_server),
        (b"sent-from-service", m.from_service),
        (b"server", m.server),
        (b"service", m.service),
        (b"command", m.command),
    ] {
        if !value.is_empty() {
            w.bytes(before);
            write_string(Text::Plain(name), false, w)?;
            w.byte(b':');
            write_string(Text::Plain(value), false, w)?;
            before = b",";
        }
    }
    if !params.pairs().is_empty() {
        w.bytes(b",\"parameters\":");
        write_members(params.pairs().iter().copied(), twice, w)?;
    }
    w.byte(b'}');
    Ok(())
}

fn write_members<'p>(
    pairs: impl Iterator<Item = (Text<'p>, Text<'p>)>,
    twice: bool,
    w: &mut Writer<'_>,
) -> Result<(), Unsaid> {
    let mut before = b'{';
    for (key, value) in pairs {
        w.byte(before);
        before = b',';
        write_string(key, false, w)?;
        w.byte(b':');
        write_string(value, twice, w)?;
    }
    w.bytes(if before == b'{' { b"{}" } else { b"}" });
    Ok(())
}

/// An object of JSON, for JSON readers. A NUL is no trouble here.
pub(super) fn write_object<'p>(
    pairs: impl Iterator<Item = (Text<'p>, Text<'p>)>,
    w: &mut Writer<'_>,
) -> Result<(), Unsaid> {
    write_members(pairs, false, w)
}

/// Whether a value can be held by a message of the string form, wherever it stands in it.
pub fn is_sayable(value: &[u8]) -> bool {
    facts(Text::Plain(value), true).is_ok()
}

/// A string of JSON. `twice`: for a reader that looks for escapes again in what it means.
fn write_string(text: Text<'_>, twice: bool, w: &mut Writer<'_>) -> Result<(), Unsaid> {
    let mut utf8 = Utf8::default();
    w.byte(b'"');
    for b in text.octets() {
        if !utf8.take(b) {
            return Err(Unsaid::NotUtf8);
        }
        match b {
            b'\\' if twice => w.bytes(b"\\\\\\\\"),
            b'\\' => w.bytes(b"\\\\"),
            b'"' => w.bytes(b"\\\""),
            LF => w.bytes(b"\\n"),
            b'\r' => w.bytes(b"\\r"),
            b'\t' => w.bytes(b"\\t"),
            ..b' ' => {
                let hex = |n: u8| if n < 10 { b'0' + n } else { b'a' + n - 10 };
                w.bytes(b"\\u00");
                w.byte(hex(b >> 4));
                w.byte(hex(b & 15));
            }
            b => w.byte(b),
        }
    }
    w.byte(b'"');
    if utf8.is_whole() { Ok(()) } else { Err(Unsaid::NotUtf8) }
}

/// Whether octets that come one by one are UTF-8.
#[derive(Debug, Default)]
pub(super) struct Utf8 {
    /// Octets of the character that are still to come.
    left: u8,
    /// What the next of them may be, if not any.
    from: u8,
    to: u8,
}

impl Utf8 {
    /// One more. Returns whether it may be.
    pub(super) const fn take(&mut self, b: u8) -> bool {
        if self.left > 0 {
            let may = b >= self.from && b <= self.to;
            *self = Utf8 { left: self.left - 1, from: 0x80, to: 0xbf };
            return may;
        }
        let (left, from, to) = match b {
            0..0x80 => (0, 0x80, 0xbf),
            0xc2..=0xdf => (1, 0x80, 0xbf),
            0xe0 => (2, 0xa0, 0xbf),
            0xed => (2, 0x80, 0x9f),
            0xe1..=0xef => (2, 0x80, 0xbf),
            0xf0 => (3, 0x90, 0xbf),
            0xf1..=0xf3 => (3, 0x80, 0xbf),
            0xf4 => (3, 0x80, 0x8f),
            _ => return false,
        };
        *self = Utf8 { left, from, to };
        true
    }

    /// Whether no character has begun that is not whole.
    pub(super) const fn is_whole(&self) -> bool {
        self.left == 0
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::super::parse;
    use super::*;
    use crate::dialect::communicator::repr::Params;
    use std::string::{String, ToString as _};
    use std::vec::Vec;

    fn said(m: &Message<'_>, form: Form) -> Result<String, Unsaid> {
        let mut out = [0xa5; 1024];
        let n = line(m, Edit::NONE, form, &mut out)?;
        assert!(out[n..].iter().all(|b| *b == 0xa5), "wrote beyond its length");
        assert_eq!(line(m, Edit::NONE, form, &mut out[..n - 1]), Err(Unsaid::NoRoom));
        let text = String::from_utf8_lossy(&out[..n]).into_owned();
        Ok(text.strip_suffix('\n').unwrap().to_string())
    }

    fn read(line: &str) -> Message<'_> {
        parse::message(line.as_bytes(), &mut []).unwrap()
    }

    fn with<'a>(value: &'a [u8], pairs: &'a mut [(Text<'a>, Text<'a>); 1]) -> Message<'a> {
        pairs[0] = (Text::from("a"), Text::Plain(value));
        Message { command: b"X", params: Params::listed(pairs), ..Message::default() }
    }

    #[test]
    fn what_nobody_could_read_is_refused_with_a_reason() {
        for (value, why) in [(&b"a;b\\"[..], Unsaid::Backslash), (b"\"\\", Unsaid::Backslash), (b"a\0b", Unsaid::Nul)] {
            assert_eq!(said(&with(value, &mut Default::default()), Form::Text), Err(why));
        }
        let m = |m: Message<'static>| said(&m, Form::Text);
        let x = Message { command: b"X", ..Message::default() };
        assert_eq!(m(Message::default()), Err(Unsaid::NoCommand));
        for odd in ["a b", "a\nb", "a:b", "a/b", "a\0", "\ta", "a\r", "<a", "{a"] {
            assert_eq!(m(Message { command: odd.as_bytes(), ..x }), Err(Unsaid::BadName), "{odd:?}");
            assert_eq!(m(Message { service: odd.as_bytes(), ..x }), Err(Unsaid::BadName), "{odd:?}");
            assert_eq!(m(Message { server: odd.as_bytes(), service: b"s", ..x }), Err(Unsaid::BadName), "{odd:?}");
        }
        for odd in ["a b", "a\nSTOP", "a:b", "a\0"] {
            assert_eq!(m(Message { from_server: odd.as_bytes(), ..x }), Err(Unsaid::BadName));
        }
        for odd in ["a b", "a\nSTOP", "a\0"] {
            assert_eq!(m(Message { from_service: odd.as_bytes(), ..x }), Err(Unsaid::BadName));
        }
        for key in ["", "a-b", "1", "é", "a=b"] {
            let pairs = [(Text::from(key), Text::from("v"))];
            let m = Message { params: Params::listed(&pairs), ..x };
            assert_eq!(said(&m, Form::Text), Err(Unsaid::BadKey));
        }
        // behind a source they are read as they are
        assert_eq!(m(Message { from_service: b"s", command: b"{a", ..x }).as_deref(), Ok("<:s {a"));
    }

    #[test]
    fn blanks_at_the_end_are_not_lost() {
        for (value, want) in [
            (&b"x "[..], r#"X a="x ""#),
            (b" ", r#"X a=" ""#),
            (b"\"x\" \t", "X a=\"\\\"x\\\" \t\""),
            (b"x\n", r"X a=x\n"),
            (b" x", "X a= x"),
            (b"x\\", r"X a=x\\"),
        ] {
            let mut pairs = Default::default();
            let m = with(value, &mut pairs);
            let got = said(&m, Form::Text).unwrap();
            assert_eq!(got, want);
            assert_eq!(read(&got), m);
        }
        assert_eq!(said(&read("X a=x ;b=1"), Form::Text).as_deref(), Ok("X a=x ;b=1"), "no need to");
    }

    #[test]
    fn edited_while_handed_on() {
        let m = read("<a:b x/CMD secret_code=s;b=1;a=2");
        let mut out = [0; 200];
        let set = [(Text::from("broadcast_hops"), Text::from("1")), (Text::from("b"), Text::from("3"))];
        let edit = Edit { set: &set, without: &["secret_code", "nobody"] };
        let n = line(&m, edit, Form::Text, &mut out).unwrap();
        assert_eq!(&out[..n], b"<a:b x/CMD a=2;b=3;broadcast_hops=1\n");
        let n = handed_on(b"hostA", b"foo", m.raw, &mut out).unwrap();
        assert_eq!(&out[..n], b"<hostA:foo x/CMD secret_code=s;b=1;a=2\n");
        let n = handed_on(b"", b"", m.raw, &mut out).unwrap();
        assert_eq!(&out[..n], b"x/CMD secret_code=s;b=1;a=2\n");
        assert_eq!(handed_on(b"", b"", m.raw, &mut out[..n - 1]), Err(Unsaid::NoRoom));
        for odd in ["<:a <x", "<:a {x", "<:a \tX"] {
            let m = read(odd);
            assert_eq!(handed_on(b"", b"", m.raw, &mut out), Err(Unsaid::BadName));
            let n = handed_on(b"h", b"", m.raw, &mut out).unwrap();
            let again = parse::message(&out[..n], &mut []).unwrap();
            assert_eq!(again, Message { from_server: b"h", from_service: b"", ..m });
        }
    }

    #[test]
    fn a_datagram_has_its_size() {
        let value = [b'x'; MAX_DATAGRAM];
        let (mut pairs, mut out) = (Default::default(), [0; 2000]);
        // `X a=`
        assert_eq!(datagram(&with(&value[4..], &mut pairs), Edit::NONE, &mut out), Ok(MAX_DATAGRAM));
        let mut pairs = Default::default();
        let m = with(&value[3..], &mut pairs);
        assert_eq!(datagram(&m, Edit::NONE, &mut out), Err(Unsaid::TooLong));
        assert!(line(&m, Edit::NONE, Form::Text, &mut out).is_ok());
        assert_eq!(seam(Err(Unsaid::TooLong)), Some(0));
        assert_eq!(seam(Err(Unsaid::NoRoom)), None);
        assert_eq!(seam(Ok(7)), Some(7));
    }

    #[test]
    fn json_that_json_readers_read() {
        let m = read(r#"<remote:firewall jungle:watchdog/FIRE length=-35;text="a;\"b\"\\c\n""#);
        let want = r#"{"sent-from-server":"remote","sent-from-service":"firewall","server":"jungle","service":"watchdog","command":"FIRE","parameters":{"length":"-35","text":"a;\"b\"\\c\n"}}"#;
        assert_eq!(said(&m, Form::Json).as_deref(), Ok(want));
        let again = said(&m, Form::JsonTwice).unwrap();
        assert_eq!(read(&again), m, "what we write twice we read");
        assert_eq!(said(&read("STOP"), Form::Json).as_deref(), Ok(r#"{"command":"STOP"}"#));
        assert_eq!(said(&read("jungle:STOP"), Form::Json).as_deref(), Ok(r#"{"server":"jungle","command":"STOP"}"#));
        assert_eq!(
            said(&with("\u{1}\t\u{1f}é\u{7f}".as_bytes(), &mut Default::default()), Form::Json).as_deref(),
            Ok("{\"command\":\"X\",\"parameters\":{\"a\":\"\\u0001\\t\\u001fé\u{7f}\"}}")
        );
        for odd in [&b"\xff"[..], b"\xc3", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xc0\x80"] {
            assert_eq!(said(&with(odd, &mut Default::default()), Form::Json), Err(Unsaid::NotUtf8));
        }
    }

    #[test]
    fn utf8_is_what_the_language_takes_for_it() {
        let mut seed = 0x2222_3333_4444_5555u64;
        let mut chance = move |below: usize| {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            (seed >> 20) as usize % below
        };
        const OCTETS: &[u8] =
            b"a\x7f\x80\x8f\x90\x9f\xa0\xbf\xc0\xc1\xc2\xdf\xe0\xe1\xec\xed\xee\xef\xf0\xf1\xf3\xf4\xf5\xff";
        for _ in 0..50_000 {
            let octets: Vec<u8> = (0..chance(6)).map(|_| OCTETS[chance(OCTETS.len())]).collect();
            let mut utf8 = Utf8::default();
            let ok = octets.iter().all(|b| utf8.take(*b)) && utf8.is_whole();
            assert_eq!(ok, core::str::from_utf8(&octets).is_ok(), "{octets:?}");
        }
    }

    /// Whatever can be written is read as the same.
    #[test]
    fn messages_of_chance() {
        let mut seed = 0x7777_8888_9999_aaaau64;
        let mut chance = move |below: usize| {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            (seed >> 20) as usize % below
        };
        const PIECES: &[&[u8]] = &[
            b"a",
            b"_",
            b"Z",
            b"=",
            b";",
            b"\"",
            b"\\",
            b"\n",
            b"\r",
            b" ",
            b"\t",
            b"1",
            b":",
            b"/",
            b"<",
            b"{",
            b"n",
            b"\0",
            b"\xff",
            b"\xc3\xa9",
            b"\\n",
            b"\\\"",
            b"\x0b",
        ];
        let (mut written, mut refused) = (0, 0);
        for round in 0..40_000 {
            let mut some = |most: usize, legal: bool| -> Vec<u8> {
                let from = if legal { &PIECES[..3] } else { PIECES };
                (0..chance(most)).flat_map(|_| from[chance(from.len())]).copied().collect()
            };
            let legal = round % 2 == 0;
            let names: [Vec<u8>; 5] = core::array::from_fn(|_| some(4, legal));
            let texts: Vec<(Vec<u8>, Vec<u8>)> = (0..round % 4).map(|_| (some(3, legal), some(6, false))).collect();
            let pairs: Vec<_> = texts.iter().map(|(k, v)| (Text::Plain(k), Text::Plain(v))).collect();
            let m = Message {
                from_server: &names[0],
                from_service: &names[1],
                server: if names[3].is_empty() { b"" } else { &names[2] },
                service: &names[3],
                command: &names[4],
                params: Params::listed(&pairs),
                asks: false,
                raw: b"",
            };
            let (mut out, mut spare) = ([0; 1024], [0; 256]);
            for form in [Form::Text, Form::JsonTwice] {
                let Ok(n) = line(&m, Edit::NONE, form, &mut out) else {
                    refused += 1;
                    continue;
                };
                written += 1;
                assert_eq!(out[..n].iter().filter(|b| **b == LF).count(), 1, "one line");
                assert_eq!(parse::message(&out[..n], &mut spare), Ok(m), "{}", String::from_utf8_lossy(&out[..n]));
            }
        }
        assert!(written > 10_000 && refused > 10_000, "{written} {refused}");
    }
}
