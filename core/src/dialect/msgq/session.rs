//! One connection of this dialect, as the node sees it (`wire/msgq.md` sections 6, 8 and 14.3).
//!
//! Owns: which frames mean what, and which end the connection. What a station may do, and
//! who gets what it sends, is the router's: that is the same in every dialect.
//!
//! | frame | any state |
//! |---|---|
//! | lengths impossible, body beyond the limit | the end: there is no way to the next frame |
//! | header no UTF-8, no JSON object, without `type` | the end |
//! | `getlname` | its lname is wanted |
//! | `ping` | answered by a pong with the same body |
//! | `subscribe`, `unsubscribe` | a membership begins or ends |
//! | `send` | by what it is addressed to, see below |
//! | `stop` | the node is to stop |
//! | `type` something else, or no string | ignored |
//!
//! | key of `subscribe`, `unsubscribe`, `send` | |
//! |---|---|
//! | `group` or `instance` missing, a number, a boolean, a list, an object | the end |
//! | `group` or `instance` null | ignored |
//! | `to` (of `send`) missing, a list, an object | the end |
//! | group or instance that is no name on the bus | `subscribe`: the end; `unsubscribe`: nothing, nobody is in it |
//!
//! | `send` to | without `reply` | with `reply` |
//! |---|---|---|
//! | `*` | a letter to the group; if that is `Msgq`, the node is asked | the same, but nobody waits for an answer, nor is the node asked |
//! | lname of a station | a letter to it | an answer, if it asked |
//! | lname of the node | group `Msgq`: the node is asked; else nothing, which it says if an answer is wanted | nothing |
//! | anything else | a letter to nobody | the same |

use super::frame::{Broken, Finder, LENGTHS};
use super::json::{Kind, Str, Value};
use super::memo::Memo;
use super::repr::{self, Header};
use super::{MAX_HEADER, lname, node};
use crate::dialect::{Cut, Here, NOBODY, NodeAsk, Refusal, Said, Spare};
use crate::model::{ClientToServer, Code, Join, Leave, Letter, Raw};

/// What is remembered between two calls.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Session {
    finder: Finder,
    header: u16,
}

/// The wildcard of `to` and of `instance`.
const ALL: &str = "*";

const TYPES: [&str; 6] = ["send", "getlname", "ping", "subscribe", "unsubscribe", "stop"];

impl Session {
    pub(crate) const fn new() -> Self {
        Session { finder: Finder::new(), header: 0 }
    }

    pub(crate) const fn is_inside(&self) -> bool {
        self.finder.is_inside()
    }

    #[inline]
    pub(crate) fn cut(&mut self, input: &mut &[u8], limit: usize) -> Result<Cut, Refusal> {
        match self.finder.lengths(input, limit.saturating_sub(LENGTHS + MAX_HEADER)) {
            Ok(None) => Ok(Cut::More),
            Ok(Some(l)) => {
                self.header = l.header;
                Ok(Cut::Frame { size: l.body.saturating_add(l.header as usize) })
            }
            Err(why) => {
                let code = if why == Broken::TooBig { Code::TooBig } else { Code::BadRequest };
                Err(Refusal { code, text: why.text(), fatal: true })
            }
        }
    }

    #[inline]
    pub(crate) fn used_up(&mut self) {
        self.finder.next();
    }

    #[inline]
    pub(crate) fn understand<'f>(
        &self,
        frame: &'f [u8],
        here: Here<'_>,
        memo: &mut Memo,
        spare: &'f mut Option<Spare>,
        said: &mut Said<'f>,
    ) -> Result<(), Refusal> {
        let (header, body) = frame.split_at_checked(self.header as usize).ok_or(bad(Broken::Lengths.text()))?;
        if let Some(letter) = memo.again(header) {
            let raw = Raw::Msgq { frame, header: self.header, escaped: false };
            *said = Said::Model(ClientToServer::Send(Letter { body, ..letter }), raw);
            return Ok(());
        }
        let text = core::str::from_utf8(header).map_err(|_| bad("the header is not UTF-8"))?;
        let h = Header::read(text).map_err(|why| bad(why.text()))?;
        let kind = h.kind.ok_or(bad("a header without `type`"))?;
        *said = match word(&kind) {
            "send" => {
                let raw = Raw::Msgq { frame, header: self.header, escaped: h.escaped };
                send(&h, body, raw, here, spare, said)?;
                keep(&h, said, memo);
                return Ok(());
            }
            "getlname" => Said::WhoAmI,
            "ping" => Said::Ping(body),
            "subscribe" => match subscription(&h, spare)? {
                Asked::For(name, instance) => {
                    Said::Model(ClientToServer::Join(Join { name, instance, ..Join::default() }), Raw::None)
                }
                Asked::Null => Said::Ignored,
                Asked::NoName => {
                    let text = "a group or instance of more than 128 bytes, or with control characters";
                    return Err(Refusal { code: Code::BadName, text, fatal: true });
                }
            },
            "unsubscribe" => match subscription(&h, spare)? {
                Asked::For(name, instance) => {
                    Said::Model(ClientToServer::Leave(Leave { name, instance, ..Leave::default() }), Raw::None)
                }
                Asked::Null => Said::Ignored,
                Asked::NoName => Said::Nothing,
            },
            "stop" => Said::Stop,
            _ => Said::Ignored,
        };
        Ok(())
    }
}

/// Keeps the header of a message to a group, whatever instance, that is called the same on
/// the bus and that nothing depends on but its own text.
#[inline]
fn keep(h: &Header<'_>, said: &Said<'_>, memo: &mut Memo) {
    if let Said::Model(ClientToServer::Send(l), _) = said
        && let (Some(group), Some(seq)) = (h.group.and_then(|g| g.string()), h.seq)
        && (l.station, l.instance, h.escaped) == (0, "", false)
        && h.reply.is_none()
        && group.plain() == Some(l.name)
    {
        memo.keep(h.text, seq.text, group.raw(), l.ask);
    }
}

/// A frame that ends the connection: the worst that any can do.
#[cold]
fn bad(text: &'static str) -> Refusal {
    Refusal { code: Code::BadRequest, text, fatal: true }
}

/// Which of [`TYPES`] it is; empty if none.
#[inline]
fn word<'f>(kind: &Value<'f>) -> &'f str {
    match kind.string() {
        None => "",
        Some(s) => match s.plain() {
            Some(plain) => plain,
            None => TYPES.into_iter().find(|t| s.is(t)).unwrap_or_default(),
        },
    }
}

/// `group` or `instance`; `None`: it is null.
#[inline]
fn text<'f>(value: Option<Value<'f>>, missing: &'static str) -> Result<Option<Str<'f>>, Refusal> {
    let value = value.ok_or_else(|| bad(missing))?;
    match value.string() {
        None if value.kind != Kind::Null => Err(bad("`group` or `instance` is no string")),
        string => Ok(string),
    }
}

/// What a subscription is about.
enum Asked<'f> {
    /// Name and instance on the bus.
    For(&'f str, &'f str),
    /// One of them is null.
    Null,
    /// One of them is no name on the bus.
    NoName,
}

fn subscription<'f>(h: &Header<'f>, spare: &'f mut Option<Spare>) -> Result<Asked<'f>, Refusal> {
    let group = text(h.group, "a subscription without `group`")?;
    let instance = text(h.instance, "a subscription without `instance`")?;
    let (Some(group), Some(instance)) = (group, instance) else { return Ok(Asked::Null) };
    let spare = spare.get_or_insert_default();
    let group = lname::to_bus(group, false, &mut spare.name);
    let instance = instance_on_bus(instance, &mut spare.instance);
    Ok(match (group, instance) {
        (Some(group), Some(instance)) => Asked::For(group, instance),
        _ => Asked::NoName,
    })
}

/// An instance as the model has it: the empty one is every one.
#[inline]
fn instance_on_bus<'f, const N: usize>(instance: Str<'f>, spare: &'f mut heapless::String<N, u8>) -> Option<&'f str> {
    if instance.is(ALL) { Some("") } else { lname::to_bus(instance, true, spare) }
}

#[inline]
fn send<'f>(
    h: &Header<'f>,
    body: &'f [u8],
    raw: Raw<'f>,
    here: Here<'_>,
    spare: &'f mut Option<Spare>,
    said: &mut Said<'f>,
) -> Result<(), Refusal> {
    let to = h.to.ok_or_else(|| bad("`send` without `to`"))?;
    let group = text(h.group, "`send` without `group`")?;
    let instance = text(h.instance, "`send` without `instance`")?;
    if matches!(to.kind, Kind::Array | Kind::Object) {
        return Err(bad("`to` is a list or an object"));
    }
    let (Some(group), Some(instance)) = (group, instance) else {
        *said = Said::Ignored;
        return Ok(());
    };
    let Spare { name, instance: spare_instance, .. } = spare.get_or_insert_default();
    let mut letter = Letter { body, ask: h.wants_answer(), ..Letter::default() };
    // an instance that is no name on the bus is one that nobody has joined; those of `*` get it
    letter.instance = instance_on_bus(instance, spare_instance).unwrap_or_default();
    let to = to.string();
    let station = match to {
        Some(to) if to.is(ALL) => None,
        to => Some(to.and_then(|to| lname::parse(here, to)).unwrap_or(NOBODY)),
    };
    let is_node = station == Some(0);
    if h.reply.is_none() && (station.is_none() || is_node) && group.is(node::GROUP) {
        letter.name = node::GROUP;
        // nobody else has the node's lname
        letter.station = if is_node { NOBODY } else { 0 };
        *said = Said::Node { ask: node::ask(body, name), letter, raw };
        return Ok(());
    }
    if is_node {
        // nothing is there for it; but who wants an answer gets one
        *said = Said::Nothing;
        if letter.ask {
            (letter.station, letter.name) = (NOBODY, node::GROUP);
            *said = Said::Node { ask: NodeAsk::Silence, letter, raw };
        }
        return Ok(());
    }
    match (lname::to_bus(group, false, name), station) {
        (Some(name), station) => {
            letter.name = name;
            letter.station = station.unwrap_or(0);
        }
        // by lname the group plays no part; and nobody can be in this one
        (None, station) => letter.station = station.unwrap_or(NOBODY),
    }
    *said = match (h.reply, station) {
        (Some(reply), Some(station)) if station != NOBODY => Said::Reply { key: repr::key(&reply), letter, raw },
        _ => Said::Model(ClientToServer::Send(letter), raw),
    };
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::NodeAsk;

    const HERE: Here<'static> = Here::of(0x5f37_59df, "host");
    const LIMIT: usize = LENGTHS + MAX_HEADER + 1000;

    /// A frame with its two lengths.
    fn frame(header: &str, body: &[u8]) -> heapless::Vec<u8, 2048> {
        let mut f = heapless::Vec::new();
        f.extend_from_slice(&(header.len() as u32 + body.len() as u32 + 2).to_be_bytes()).unwrap();
        f.extend_from_slice(&(header.len() as u16).to_be_bytes()).unwrap();
        f.extend_from_slice(header.as_bytes()).unwrap();
        f.extend_from_slice(body).unwrap();
        f
    }

    /// Gives what a frame says to `then`.
    fn with<T>(header: &str, body: &[u8], then: impl FnOnce(Result<Said<'_>, Refusal>) -> T) -> T {
        let bytes = frame(header, body);
        let mut s = Session::new();
        let mut input = &bytes[..];
        assert_eq!(s.cut(&mut input, LIMIT), Ok(Cut::Frame { size: header.len() + body.len() }));
        assert_eq!(input.len(), bytes.len() - LENGTHS);
        let mut spare = None;
        let mut said = Said::Nothing;
        let mut memo = Memo::new();
        let done = s.understand(input, HERE, &mut memo, &mut spare, &mut said);
        // the second time it may be known, and means the same
        let (mut spare, mut again) = (None, Said::Nothing);
        assert_eq!(s.understand(input, HERE, &mut memo, &mut spare, &mut again), done);
        assert_eq!(again, said);
        s.used_up();
        assert!(!s.is_inside(), "the next octet begins another frame");
        then(done.map(|()| said))
    }

    fn refused(header: &str) -> Code {
        with(header, b"{}", |said| {
            let refusal = said.expect_err(header);
            assert!(refusal.fatal, "{header}");
            refusal.code
        })
    }

    fn is_ignored(header: &str) -> bool {
        with(header, b"{}", |said| said == Ok(Said::Ignored))
    }

    #[test]
    fn every_type_of_section_6() {
        // V1, V2: both spellings
        for header in [r#"{"type": "getlname"}"#, r#"{ "type": "getlname" }"#, r#"{"t\u0079pe": "getl\u006eame"}"#] {
            with(header, b"", |said| assert_eq!(said, Ok(Said::WhoAmI)));
        }
        // V4, V5
        with(r#"{"type": "ping"}"#, b"", |said| assert_eq!(said, Ok(Said::Ping(b""))));
        with(r#"{"type": "ping"}"#, b"\x00\xffab", |said| assert_eq!(said, Ok(Said::Ping(b"\x00\xffab"))));
        with(r#"{"type": "stop"}"#, b"", |said| assert_eq!(said, Ok(Said::Stop)));
        // V6
        with(r#"{"type": "subscribe", "group": "news", "instance": "*"}"#, b"", |said| {
            let join = Join { name: "news", ..Join::default() };
            assert_eq!(said, Ok(Said::Model(ClientToServer::Join(join), Raw::None)));
        });
        with(r#"{"type": "subscribe", "group": "room", "instance": "one"}"#, b"", |said| {
            let join = Join { name: "room", instance: "one", ..Join::default() };
            assert_eq!(said, Ok(Said::Model(ClientToServer::Join(join), Raw::None)));
        });
        // V21
        with(r#"{"type": "unsubscribe", "group": "room", "instance": "one"}"#, b"", |said| {
            let leave = Leave { name: "room", instance: "one", ..Leave::default() };
            assert_eq!(said, Ok(Said::Model(ClientToServer::Leave(leave), Raw::None)));
        });
        // 6.6 and V27
        for kind in ["\"hello\"", "\"pong\"", "\"\"", "\"Send\"", "5", "null", "true", "[\"send\"]", "{\"a\":1}"] {
            let mut header = heapless::String::<64>::new();
            header.push_str("{\"type\": ").unwrap();
            header.push_str(kind).unwrap();
            header.push('}').unwrap();
            assert!(is_ignored(&header), "{header}");
        }
    }

    #[test]
    fn groups_that_the_bus_has_not() {
        with(r#"{"type": "subscribe", "group": "*", "instance": ""}"#, b"", |said| {
            let join = Join { name: "**", instance: "~", ..Join::default() };
            assert_eq!(said, Ok(Said::Model(ClientToServer::Join(join), Raw::None)));
        });
        with(r#"{"type": "unsubscribe", "group": "", "instance": "\u002a"}"#, b"", |said| {
            let leave = Leave { name: "~", ..Leave::default() };
            assert_eq!(said, Ok(Said::Model(ClientToServer::Leave(leave), Raw::None)));
        });
        for (group, instance) in [("a\\nb", "*"), ("a", "b\\u007f")] {
            for (kind, wanted) in [("subscribe", Err(Code::BadName)), ("unsubscribe", Ok(Said::Nothing))] {
                let mut header = heapless::String::<128>::new();
                for part in ["{\"type\":\"", kind, "\",\"group\":\"", group, "\",\"instance\":\"", instance, "\"}"] {
                    header.push_str(part).unwrap();
                }
                with(&header, b"", |said| {
                    assert_eq!(said.map_err(|r| (r.code, r.fatal)), wanted.map_err(|code| (code, true)), "{header}");
                });
            }
        }
    }

    #[test]
    fn broken_headers_of_section_14_3() {
        // V45 to V47, and what else the table calls broken
        for header in [
            "{bad",
            "[]",
            "{}",
            "5",
            "\u{feff}{\"type\":\"ping\"}",
            "{\"type\":\"ping\"} x",
            "{\"type\":\"ping\"}{}",
            "{\"type\":\"\\ud83d\"}",
            "{\"to\":\"type\"}",
        ] {
            assert_eq!(refused(header), Code::BadRequest, "{header}");
        }
        let mut s = Session::new();
        let mut input = &b"\x00\x00\x00\x12\x00\x10{\"type\":\"\xff\xff\xff\xff\"}"[..];
        assert_eq!(s.cut(&mut input, LIMIT), Ok(Cut::Frame { size: 16 }));
        let (mut spare, mut said) = (None, Said::Nothing);
        assert!(s.understand(input, HERE, &mut Memo::new(), &mut spare, &mut said).unwrap_err().fatal, "not UTF-8");
        // nested thousands deep
        let mut deep = heapless::String::<2000>::new();
        deep.push_str("{\"type\":\"ping\",\"x\":").unwrap();
        while deep.push('[').is_ok() {}
        assert_eq!(refused(&deep), Code::BadRequest);
    }

    /// All kinds of JSON but strings.
    const KINDS: [&str; 6] = ["null", "5", "5.0", "true", "[\"a\"]", "{\"a\":1}"];

    #[test]
    fn each_kind_of_group_and_instance() {
        for value in ["-"].iter().chain(&KINDS) {
            for kind in ["subscribe", "unsubscribe", "send"] {
                for key in ["group", "instance"] {
                    let mut header = heapless::String::<128>::new();
                    header.push_str("{\"to\":\"*\",\"type\":\"").unwrap();
                    header.push_str(kind).unwrap();
                    header.push('"').unwrap();
                    for k in ["group", "instance"] {
                        let value = if k == key { value } else { "\"a\"" };
                        if value != "-" {
                            for part in [",\"", k, "\":", value] {
                                header.push_str(part).unwrap();
                            }
                        }
                    }
                    header.push('}').unwrap();
                    match *value {
                        // V28; even with an lname, even with `want_answer`: section 6.4
                        "null" => assert!(is_ignored(&header), "{header}"),
                        _ => assert_eq!(refused(&header), Code::BadRequest, "{header}"),
                    }
                }
            }
        }
        assert!(is_ignored(
            r#"{"type":"send","to":"5f3759df_2@host","group":null,"instance":"*","want_answer":true,"seq":1}"#
        ));
        assert!(is_ignored(r#"{"type":"send","to":"5f3759df_2@host","group":"a","instance":null,"reply":1}"#));
        // V49; missing counts more than null
        assert_eq!(refused(r#"{"type":"subscribe","group":"g"}"#), Code::BadRequest);
        assert_eq!(refused(r#"{"type":"subscribe","group":null}"#), Code::BadRequest);
    }

    /// Gives the letter that a `send` with these keys is, and how it came, to `then`.
    fn letter<T>(keys: &str, then: impl FnOnce(&str, Letter<'_>, Raw<'_>) -> T) -> T {
        let mut header = heapless::String::<1024>::new();
        header.push_str("{\"type\": \"send\", ").unwrap();
        header.push_str(keys).unwrap();
        header.push('}').unwrap();
        with(&header, b"body", |said| match said.expect(keys) {
            Said::Model(ClientToServer::Send(letter), raw) => then("send", letter, raw),
            Said::Reply { letter, raw, .. } => then("reply", letter, raw),
            Said::Node { letter, raw, .. } => then("node", letter, raw),
            other => panic!("{keys}: {other:?}"),
        })
    }

    #[test]
    fn where_letters_go() {
        for (keys, how, name, instance, station, ask) in [
            // V7, V8, V16
            (r#""to": "*", "group": "news", "instance": "*", "want_answer": false"#, "send", "news", "", 0, false),
            (r#""to": "*", "group": "news", "instance": "*", "want_answer": true"#, "send", "news", "", 0, true),
            (r#""to": "*", "group": "news", "instance": "*""#, "send", "news", "", 0, false),
            // V19 and the columns of section 8
            (r#""to": "*", "group": "room", "instance": "two""#, "send", "room", "two", 0, false),
            (r#""to": "*", "group": "room", "instance": """#, "send", "room", "~", 0, false),
            // V9, V22
            (
                r#""to": "5f3759df_2@host", "group": "no such group", "instance": "q""#,
                "send",
                "no such group",
                "q",
                2,
                false,
            ),
            (r#""to": "5f3759df_2@host", "group": "*", "instance": "*""#, "send", "**", "", 2, false),
            (r#""to": "5f3759df_2@host", "group": "a\nb", "instance": "*""#, "send", "", "", 2, false),
            // V12, V15: nobody
            (
                r#""to": "gone", "group": "news", "instance": "*", "want_answer": true"#,
                "send",
                "news",
                "",
                NOBODY,
                true,
            ),
            (r#""to": "msgq", "group": "news", "instance": "*""#, "send", "news", "", NOBODY, false),
            (r#""to": 5, "group": "news", "instance": "*""#, "send", "news", "", NOBODY, false),
            (r#""to": null, "group": "news", "instance": "*""#, "send", "news", "", NOBODY, false),
            (r#""to": true, "group": "news", "instance": "*""#, "send", "news", "", NOBODY, false),
            (r#""to": "", "group": "news", "instance": "*""#, "send", "news", "", NOBODY, false),
            (r#""to": "gone", "group": "Msgq", "instance": "*""#, "send", "Msgq", "", NOBODY, false),
            (r#""to": "5f3759df_2@host", "group": "Msgq", "instance": "*""#, "send", "Msgq", "", 2, false),
            // a group that nobody can be in; an instance that nobody can be in but `*`
            (r#""to": "*", "group": "a\nb", "instance": "*""#, "send", "", "", NOBODY, false),
            (r#""to": "*", "group": "a", "instance": "b\nc""#, "send", "a", "", 0, false),
            // answers: V8, V17
            (r#""to": "5f3759df_1@host", "group": "news", "instance": "*", "reply": 3"#, "reply", "news", "", 1, false),
            (r#""to": "5f3759df_1@host", "group": "a\nb", "instance": "*", "reply": 3"#, "reply", "", "", 1, false),
            (
                r#""to": "gone", "group": "news", "instance": "*", "want_answer": true, "reply": 1"#,
                "send",
                "news",
                "",
                NOBODY,
                false,
            ),
            (
                r#""to": "*", "group": "news", "instance": "*", "want_answer": true, "reply": 1"#,
                "send",
                "news",
                "",
                0,
                false,
            ),
            (r#""to": "*", "group": "Msgq", "instance": "*", "reply": null"#, "send", "Msgq", "", 0, false),
            // the node: V37
            (r#""to": "*", "group": "Msgq", "instance": "*", "want_answer": true"#, "node", "Msgq", "", 0, true),
            (r#""to": "*", "group": "Ms\u0067q", "instance": "i""#, "node", "Msgq", "i", 0, false),
            (
                r#""to": "5f3759df_0@host", "group": "Msgq", "instance": "*", "want_answer": 1"#,
                "node",
                "Msgq",
                "",
                NOBODY,
                true,
            ),
            // doubled keys: the last
            (
                r#""to": 5, "group": "a", "instance": [], "to": "*", "group": "b", "instance": "*""#,
                "send",
                "b",
                "",
                0,
                false,
            ),
        ] {
            letter(keys, |got, l, raw| {
                assert_eq!((got, l.name, l.instance, l.station, l.ask), (how, name, instance, station, ask), "{keys}");
                let rest = Letter { name, instance, station, ask, body: b"body", ..Letter::default() };
                assert_eq!(l, rest, "and nothing else: {keys}");
                let Raw::Msgq { frame, header, escaped } = raw else { panic!("{keys}") };
                assert_eq!(frame.len(), header as usize + 4);
                assert!(frame.ends_with(b"}body"));
                assert_eq!(escaped, keys.contains("\\u"), "{keys}");
            });
        }
    }

    #[test]
    fn broken_sends() {
        for keys in [
            r#""group":"g","instance":"*""#,
            r#""group":"g","instance":"*","to":[]"#,
            r#""group":"g","instance":"*","to":{}"#,
            r#""group":"g","instance":"*","to":["*"]"#,
        ] {
            let mut header = heapless::String::<128>::new();
            header.push_str("{\"type\":\"send\",").unwrap();
            header.push_str(keys).unwrap();
            header.push('}').unwrap();
            assert_eq!(refused(&header), Code::BadRequest, "{header}");
        }
    }

    #[test]
    fn answers_carry_the_number_of_their_question() {
        for (reply, key) in [("3", 3), ("0", 0), ("-1", u64::MAX)] {
            let mut header = heapless::String::<160>::new();
            for part in
                [r#"{"type":"send","to":"5f3759df_1@host","group":"g","instance":"*","reply":"#, reply, r#","seq":99}"#]
            {
                header.push_str(part).unwrap();
            }
            with(&header, b"", |said| {
                let Ok(Said::Reply { key: got, .. }) = said else { panic!("{said:?}") };
                assert_eq!(got, key);
            });
        }
        // any JSON is a number: the same as of the question
        let answer = r#"{"type":"send","to":"5f3759df_1@host","group":"g","instance":"*","reply":["a" , 1]}"#;
        with(answer, b"", |said| {
            let Ok(Said::Reply { key, .. }) = said else { panic!("{said:?}") };
            assert_eq!(Some(key), repr::question_key(br#"{"from":1,"seq":["a",1]}"#));
        });
    }

    #[test]
    fn the_node_as_a_user() {
        let ask = r#"{"type":"send","to":"*","group":"Msgq","instance":"*","seq":1,"from":"x"}"#;
        for (body, want) in [
            (&br#"{"command": ["members"]}"#[..], NodeAsk::Stations),
            (br#"{"command": ["members", {"group": "*"}]}"#, NodeAsk::Members { name: "**", instance: "~" }),
            (br#"{"command": ["AreYouThere?"]}"#, NodeAsk::Failure("unknown command: ", "AreYouThere?")),
            (b"\xff", NodeAsk::Silence),
            (b"", NodeAsk::Silence),
        ] {
            with(ask, body, |said| {
                let Ok(Said::Node { ask, letter, .. }) = said else { panic!("{said:?}") };
                assert_eq!((ask, letter.body), (want, body));
            });
        }
        // what the node asked is answered, or it is called by a name that is not its own
        for header in [
            r#"{"type":"send","to":"5f3759df_0@host","group":"ConfigManager","instance":"*","reply":2,"seq":1}"#,
            r#"{"type":"send","to":"5f3759df_0@host","group":"Msgq","instance":"*","reply":null}"#,
            r#"{"type":"send","to":"5f3759df_0@host","group":"news","instance":"*","want_answer":false}"#,
            r#"{"type":"send","to":"5f3759df_0@host","group":"a\nb","instance":"*"}"#,
        ] {
            with(header, br#"{"result": [0, {}]}"#, |said| assert_eq!(said, Ok(Said::Nothing), "{header}"));
        }
        // who wants an answer gets one
        let header = r#"{"type":"send","to":"5f3759df_0@host","group":"news","instance":"*","want_answer":true}"#;
        with(header, b"", |said| assert!(matches!(said, Ok(Said::Node { ask: NodeAsk::Silence, .. })), "{said:?}"));
    }

    #[test]
    fn frames_in_two_pieces_at_every_place() {
        // V2, V5 and V7 one behind the other
        let mut stream = heapless::Vec::<u8, 2048>::new();
        for (header, body) in [
            (r#"{ "type": "getlname" }"#, &b""[..]),
            (r#"{"type": "ping"}"#, b"\x00\xffab"),
            (r#"{"type": "send", "to": "*", "group": "news", "instance": "*", "seq": 2}"#, b"{}"),
        ] {
            stream.extend_from_slice(&frame(header, body)).unwrap();
        }
        for cut in 0..=stream.len() {
            let mut s = Session::new();
            let (mut frame, mut want) = (heapless::Vec::<u8, 256>::new(), None);
            let mut seen = heapless::String::<8>::new();
            for mut input in [&stream[..cut], &stream[cut..]] {
                while !input.is_empty() {
                    if want.is_none() {
                        match s.cut(&mut input, LIMIT).unwrap() {
                            Cut::Frame { size } => want = Some(size),
                            Cut::More => assert!(input.is_empty()),
                            _ => panic!("nothing to skip, and every length is known"),
                        }
                    }
                    let Some(size) = want else { continue };
                    assert!(s.is_inside());
                    let k = (size - frame.len()).min(input.len());
                    frame.extend_from_slice(&input[..k]).unwrap();
                    input = &input[k..];
                    if frame.len() == size {
                        let (mut spare, mut said) = (None, Said::Nothing);
                        s.understand(&frame, HERE, &mut Memo::new(), &mut spare, &mut said).unwrap();
                        s.used_up();
                        seen.push(match said {
                            Said::WhoAmI => 'w',
                            Said::Ping(b"\x00\xffab") => 'p',
                            Said::Model(ClientToServer::Send(Letter { name: "news", body: b"{}", .. }), _) => 's',
                            other => panic!("{other:?}"),
                        })
                        .unwrap();
                        frame.clear();
                        want = None;
                    }
                }
            }
            assert_eq!(seen, "wps", "cut at {cut}");
            assert!(!s.is_inside());
        }
    }

    #[test]
    fn lengths_that_end_the_connection() {
        for (bytes, code) in [
            (&b"\x00\x00\x00\x00\x00\x00"[..], Code::BadRequest),
            (b"\x00\x00\x00\x02\x00\x00", Code::BadRequest),
            (b"\x00\x00\x00\x04\x00\x03{}", Code::BadRequest),
            (b"\xff\xff\xff\xff\x00\x14", Code::TooBig),
            (b"\xff\xff\xff\xff", Code::TooBig),
            (b"\x00\x00\x03\xec\x00\x01", Code::TooBig),
        ] {
            let refusal = Session::new().cut(&mut &bytes[..], LIMIT).unwrap_err();
            assert_eq!((refusal.code, refusal.fatal), (code, true), "{bytes:?}");
        }
        let mut s = Session::new();
        assert_eq!(s.cut(&mut &b"\x00\x00\x03\xec\x00\x02"[..], LIMIT), Ok(Cut::Frame { size: 1002 }));
        assert!(s.is_inside());
        s.used_up();
        assert!(!s.is_inside());
    }

    #[test]
    fn a_frame_that_is_shorter_than_its_header_is_no_panic() {
        let mut s = Session::new();
        assert!(s.cut(&mut &b"\x00\x00\x00\x16\x00\x14"[..], LIMIT).is_ok());
        let (mut spare, mut said) = (None, Said::Nothing);
        assert!(s.understand(b"{", HERE, &mut Memo::new(), &mut spare, &mut said).unwrap_err().fatal);
    }

    #[test]
    fn any_octet_changed_is_a_meaning_or_the_end() {
        let header = r#"{"type": "send", "from": "a\u00e9", "to": "5f3759df_1@host", "group": "Msgq", "instance": "*", "seq": -1.5e3, "reply": [1, {"x": null}], "want_answer": true}"#;
        let body = br#"{"command": ["members", {"group": "\n"}]}"#;
        let sound = frame(header, body);
        let mut refusals = 0;
        for at in LENGTHS..sound.len() {
            for b in [0, b'"', b'\\', b'{', b'}', b'[', b':', b',', b'*', b'0', b'a', b' ', 0x7f, 0x80, 0xc3, 0xff] {
                let mut bytes = sound.clone();
                bytes[at] = b;
                let mut s = Session::new();
                let mut input = &bytes[..];
                assert!(s.cut(&mut input, LIMIT).is_ok());
                let (mut spare, mut said) = (None, Said::Nothing);
                if let Err(refusal) = s.understand(input, HERE, &mut Memo::new(), &mut spare, &mut said) {
                    assert!(refusal.fatal && at < LENGTHS + header.len(), "{at} {b}: a body is not judged");
                    refusals += 1;
                }
            }
        }
        assert!(refusals > header.len(), "{refusals}");
    }
}
