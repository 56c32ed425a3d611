//! The node as a user of its own bus (`wire/msgq.md` sections 12 and 13).
//!
//! Owns: what it understands when called `Msgq`, how it answers, and the bodies of what it
//! says unasked: notifications and greetings. Does not own who is on the bus, nor whom it
//! tells: the router's.

use super::json::{self, Kind, Str, Value, Writer};
use super::repr::Header;
use super::{MAX_HEADER, frame, lname};
use crate::dialect::{Here, NodeAsk, Question};
use crate::limits::MAX_NAME;
use crate::model::Change;

/// The group by which the node is called.
pub(crate) const GROUP: &str = "Msgq";

/// The group of membership notifications, section 13.
pub(crate) const NOTICES: &str = "notifications/cc_members";

/// Whose coming makes the node introduce itself, section 12.1.
pub(crate) const MANAGER: &str = "ConfigManager";

/// What it says then: messages 4 and 5 of section 12.1. Their answers are of no interest.
pub(crate) const GREETINGS: [&str; 2] = [
    concat!(
        r#"{"command": ["module_spec", {"module_name": "Msgq", "#,
        r#""module_description": "The message bus: who is on it", "config_data": [], "#,
        r#""commands": [{"command_name": "members", "#,
        r#""command_description": "Names all clients, or those of one group", "#,
        r#""command_args": [{"item_name": "group", "item_optional": true, "item_type": "string"}]}]}]}"#,
    ),
    r#"{"command": ["get_config", {"module_name": "Msgq"}]}"#,
];

/// Most characters of a peer's text that are told back to it.
const MAX_TOLD: usize = 256;

/// The instance that the members of a group are listed for: that of nobody but those who
/// joined it as empty, and as always those of `*` (section 12.3). On the bus it is this.
const EMPTY_INSTANCE: &str = "~";

/// What is never a name, so that nobody has joined it.
const NO_NAME: &str = "";

/// Understands what the node is asked, by the table of section 12.2. `spare` is for the name
/// of a group that is another on the bus.
pub(crate) fn ask<'f>(body: &'f [u8], spare: &'f mut heapless::String<MAX_NAME, u8>) -> NodeAsk<'f> {
    let value = core::str::from_utf8(body).ok().and_then(|text| json::parse(text).ok());
    match value {
        Some(v) if v.kind == Kind::Object => of_object(&v, spare),
        Some(v) if matches!(v.kind, Kind::Array | Kind::String) => NOT_A_COMMAND,
        // `null`, a number, a boolean; no JSON; nothing at all
        _ => NodeAsk::Silence,
    }
}

const NOT_A_COMMAND: NodeAsk<'static> = NodeAsk::Failure("not a command", "");

/// An object is a command if `command` is its only key (section 11.1).
fn of_object<'f>(body: &Value<'f>, spare: &'f mut heapless::String<MAX_NAME, u8>) -> NodeAsk<'f> {
    let (mut command, mut others) = (None, false);
    for (key, value) in body.members() {
        if key.is("result") || key.is("notification") {
            return NodeAsk::Silence;
        }
        if key.is("command") {
            command = Some(value);
        } else {
            others = true;
        }
    }
    let Some(command) = command.filter(|_| !others) else { return NOT_A_COMMAND };
    let mut parts = command.elements();
    let Some(name) = parts.next().and_then(|first| first.string()) else { return NOT_A_COMMAND };
    // without parameters is as with null; what comes behind them is ignored
    let params = parts.next().filter(|v| v.kind != Kind::Null);
    if name.is("members") {
        members(params, spare)
    } else if name.is("config_update") {
        config_update(params)
    } else {
        NodeAsk::Failure("unknown command: ", name.raw())
    }
}

fn members<'f>(params: Option<Value<'f>>, spare: &'f mut heapless::String<MAX_NAME, u8>) -> NodeAsk<'f> {
    let Some(params) = params else { return NodeAsk::Stations };
    if params.kind != Kind::Object {
        return NodeAsk::Failure("the parameters of members are no object", "");
    }
    let group = params.members().filter(|(key, _)| key.is("group")).last().map(|(_, value)| value);
    let Some(group) = group.filter(|v| v.kind != Kind::Null) else { return NodeAsk::Stations };
    match (group.kind, group.string()) {
        (_, Some(text)) if text.raw().is_empty() => NodeAsk::Stations,
        (_, Some(text)) => {
            let name = lname::to_bus(text, false, spare).unwrap_or(NO_NAME);
            NodeAsk::Members { name, instance: EMPTY_INSTANCE }
        }
        (Kind::Array | Kind::Object, _) => NodeAsk::Failure("the group is no string", ""),
        _ => NodeAsk::Members { name: NO_NAME, instance: EMPTY_INSTANCE },
    }
}

/// The node has no settings here: those of its own configuration are not the bus's to change.
fn config_update(params: Option<Value<'_>>) -> NodeAsk<'_> {
    match params {
        None => NodeAsk::Done,
        Some(v) if v.kind != Kind::Object => NodeAsk::Failure("the settings are no object", ""),
        Some(v) => match v.members().next() {
            None => NodeAsk::Done,
            Some((item, _)) => NodeAsk::Failure("unknown item ", item.raw()),
        },
    }
}

/// Answers with success or with what is wrong, in a whole frame. `None`: it does not fit, or
/// the question cannot be answered (no `seq` or `from`), or `ask` wants no such answer.
pub(crate) fn answer(here: Here<'_>, question: Question<'_>, ask: &NodeAsk<'_>, out: &mut [u8]) -> Option<usize> {
    let header = begin(here, question, out)?;
    let mut w = Writer::new(out.get_mut(frame::LENGTHS + header..)?);
    match ask {
        NodeAsk::Done => w.raw(r#"{"result": [0]}"#),
        NodeAsk::Failure(words, theirs) => {
            let theirs = Str::new(theirs)?.chars().take(MAX_TOLD);
            w.raw(r#"{"result": [1, "#);
            w.string_of(words.chars().chain(theirs));
            w.raw("]}");
        }
        _ => return None,
    }
    let body = w.finish()?;
    end(header, body, out)
}

/// An answer that lists stations, written row by row into the caller's slice, which is the
/// same in every call.
#[derive(Debug)]
pub(crate) struct Roll {
    header: usize,
    body: usize,
    rows: usize,
}

impl Roll {
    /// What stands behind the last row.
    const CLOSING: &str = "]]}";

    /// Begins an answer to `question`. `None`: not even an empty list fits, or it cannot be
    /// answered.
    pub(crate) fn begin(here: Here<'_>, question: Question<'_>, out: &mut [u8]) -> Option<Roll> {
        let header = begin(here, question, out)?;
        let mut w = Writer::new(out.get_mut(frame::LENGTHS + header..)?);
        w.raw(r#"{"result": [0, ["#);
        let body = w.at();
        w.raw(Self::CLOSING);
        w.finish()?;
        Some(Roll { header, body, rows: 0 })
    }

    /// Adds the lname of a station. `false`: it does not fit; the rest is as before.
    pub(crate) fn push(&mut self, here: Here<'_>, station: u64, out: &mut [u8]) -> bool {
        let Some(room) = out.get_mut(frame::LENGTHS + self.header + self.body..) else { return false };
        let mut w = Writer::new(room);
        if self.rows > 0 {
            w.raw(", ");
        }
        lname::write(here, station, &mut w);
        let size = w.at();
        w.raw(Self::CLOSING);
        let fits = w.finish().is_some();
        if fits {
            self.body += size;
            self.rows += 1;
        }
        fits
    }

    /// Completes the frame.
    pub(crate) fn end(self, out: &mut [u8]) -> Option<usize> {
        let mut w = Writer::new(out.get_mut(frame::LENGTHS + self.header + self.body..)?);
        w.raw(Self::CLOSING);
        let closing = w.finish()?;
        end(self.header, self.body + closing, out)
    }
}

/// Writes the header of an answer by the node itself, as section 11.2 has it, behind the
/// lengths. How long it is.
fn begin(here: Here<'_>, question: Question<'_>, out: &mut [u8]) -> Option<usize> {
    let asked = Header::read(core::str::from_utf8(question.echo).ok()?).ok()?;
    let mut w = Writer::new(out.get_mut(frame::LENGTHS..)?);
    w.raw(r#"{"type": "send", "from": "#);
    lname::write(here, 0, &mut w);
    for (key, value) in
        [(r#", "to": "#, asked.from?), (r#", "group": "#, asked.group?), (r#", "instance": "#, asked.instance?)]
    {
        w.raw(key);
        json::rewrite(value.text, &mut w);
    }
    w.raw(r#", "seq": "#);
    w.u64(question.number);
    w.raw(r#", "reply": "#);
    json::rewrite(asked.seq?.text, &mut w);
    w.raw("}");
    w.finish().filter(|header| *header <= MAX_HEADER)
}

/// Writes the two lengths of a frame whose header and body are written. How long it is.
fn end(header: usize, body: usize, out: &mut [u8]) -> Option<usize> {
    let total = u32::try_from(header + body + 2).ok()?.to_be_bytes();
    let header_octets = u16::try_from(header).ok()?.to_be_bytes();
    let (lengths, _) = out.split_first_chunk_mut::<{ frame::LENGTHS }>()?;
    let ([a, b, c, d], [e, f]) = (total, header_octets);
    *lengths = [a, b, c, d, e, f];
    Some(frame::LENGTHS + header + body)
}

/// The body of a notification: what happened to `station` and, of memberships, to which name
/// of the bus. `None`: it does not fit, or nothing of section 13 happened.
pub(crate) fn notice(here: Here<'_>, change: Change, station: u64, name: &str, out: &mut [u8]) -> Option<usize> {
    let (event, has_group) = match change {
        Change::Connected => ("connected", false),
        Change::Joined => ("subscribed", true),
        Change::Left => ("unsubscribed", true),
        Change::Disconnected => ("disconnected", false),
        Change::None | Change::Unknown(_) => return None,
    };
    let mut w = Writer::new(out);
    w.raw(r#"{"notification": [""#);
    w.raw(event);
    w.raw(r#"", {"client": "#);
    lname::write(here, station, &mut w);
    if has_group {
        w.raw(r#", "group": "#);
        lname::from_bus(name, &mut w);
    }
    w.raw("}]}");
    w.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: Here<'static> = Here::of(0x5f37_59df, "host");

    /// What is asked, printed.
    fn asked(body: &str) -> heapless::String<160> {
        let mut spare = heapless::String::new();
        let mut said = heapless::String::new();
        core::fmt::Write::write_fmt(&mut said, format_args!("{:?}", ask(body.as_bytes(), &mut spare))).unwrap();
        said
    }

    #[test]
    fn every_row_of_the_table_of_section_12_2() {
        let (all, silence, nobody) = ("Stations", "Silence", r#"Members { name: "", instance: "~" }"#);
        let no_command = r#"Failure("not a command", "")"#;
        for (body, want) in [
            (r#"{"command": ["members"]}"#, all),
            (r#"{ "command": [ "members" ] }"#, all),
            (r#"{"command": ["members", {}]}"#, all),
            (r#"{"command": ["members", null]}"#, all),
            (r#"{"command": ["members", {"group": ""}]}"#, all),
            (r#"{"command": ["members", {"group": null}]}"#, all),
            (r#"{"command": ["members", {"other": 1}]}"#, all),
            (r#"{"command": ["members", {"group": "G"}]}"#, r#"Members { name: "G", instance: "~" }"#),
            (r#"{"command": ["members", {"group": "G"}, "ignored"]}"#, r#"Members { name: "G", instance: "~" }"#),
            (r#"{"command": ["members", {"group": "F", "group": "G"}]}"#, r#"Members { name: "G", instance: "~" }"#),
            (r#"{"command": ["members", {"group": "*"}]}"#, r#"Members { name: "**", instance: "~" }"#),
            (r#"{"command": ["members", {"group": "\u0047"}]}"#, r#"Members { name: "G", instance: "~" }"#),
            (r#"{"command": ["members", {"group": "a\nb"}]}"#, nobody),
            (r#"{"command": ["members", {"group": 5}]}"#, nobody),
            (r#"{"command": ["members", {"group": 0}]}"#, nobody),
            (r#"{"command": ["members", {"group": true}]}"#, nobody),
            (r#"{"command": ["members", {"group": ["G"]}]}"#, r#"Failure("the group is no string", "")"#),
            (r#"{"command": ["members", {"group": {}}]}"#, r#"Failure("the group is no string", "")"#),
            (r#"{"command": ["members", "G"]}"#, r#"Failure("the parameters of members are no object", "")"#),
            (r#"{"command": ["members", []]}"#, r#"Failure("the parameters of members are no object", "")"#),
            (r#"{"command": ["members", 0]}"#, r#"Failure("the parameters of members are no object", "")"#),
            (r#"{"command": ["config_update", {}]}"#, "Done"),
            (r#"{"command": ["config_update"]}"#, "Done"),
            (r#"{"command": ["config_update", null]}"#, "Done"),
            (r#"{"command": ["config_update", {"x": 1}]}"#, r#"Failure("unknown item ", "x")"#),
            (r#"{"command": ["config_update", [1]]}"#, r#"Failure("the settings are no object", "")"#),
            (r#"{"command": ["other"]}"#, r#"Failure("unknown command: ", "other")"#),
            (r#"{"command": ["AreYouThere?", {"x": 1}]}"#, r#"Failure("unknown command: ", "AreYouThere?")"#),
            (r#"{"command": [""]}"#, r#"Failure("unknown command: ", "")"#),
            // no commands: section 11.1
            ("{}", no_command),
            (r#"{"comand": ["members"]}"#, no_command),
            (r#"{"command": ["members"], "x": 1}"#, no_command),
            (r#"{"command": "members"}"#, no_command),
            (r#"{"command": []}"#, no_command),
            (r#"{"command": [1]}"#, no_command),
            (r#"{"command": [["members"]]}"#, no_command),
            (r#"{"command": {"members": 1}}"#, no_command),
            (r#"["command", "members"]"#, no_command),
            (r#""members""#, no_command),
            (r#"{"result": [0]}"#, silence),
            (r#"{"command": ["members"], "result": [0]}"#, silence),
            (r#"{"result": 5}"#, silence),
            (r#"{"notification": ["x"]}"#, silence),
            ("null", silence),
            ("", silence),
            (" ", silence),
            ("5", silence),
            ("-1.5e3", silence),
            ("true", silence),
            ("false", silence),
            ("no json", silence),
            (r#"{"command": ["members"]} x"#, silence),
            (r#"{"command": ["members"]"#, silence),
        ] {
            assert_eq!(asked(body), want, "{body}");
        }
        let mut spare = heapless::String::new();
        assert_eq!(ask(b"{\"command\": [\"\xff\"]}", &mut spare), NodeAsk::Silence, "not UTF-8");
    }

    #[test]
    fn a_group_too_long_for_the_bus_has_nobody() {
        let mut body = heapless::String::<300>::new();
        body.push_str(r#"{"command": ["members", {"group": ""#).unwrap();
        (0..129).for_each(|_| body.push('g').unwrap());
        body.push_str("\"}]}").unwrap();
        assert_eq!(asked(&body), r#"Members { name: "", instance: "~" }"#);
    }

    /// A question as in V38, with this `seq`.
    fn question(echo: &str, number: u64) -> Question<'_> {
        Question { echo: echo.as_bytes(), number, ..Question::default() }
    }

    const ASKED: &str = r#"{"type": "send", "from": "5f3759df_1@host", "to": "*", "group": "Msgq", "instance": "*", "seq": 8, "want_answer": true}"#;

    /// Header and body of a frame, its lengths checked.
    fn parts(frame: &[u8]) -> (&str, &str) {
        let total = u32::from_be_bytes(frame[..4].try_into().unwrap()) as usize;
        let header = u16::from_be_bytes(frame[4..6].try_into().unwrap()) as usize;
        assert_eq!(total, frame.len() - 4);
        let text = |b| core::str::from_utf8(b).unwrap();
        (text(&frame[6..6 + header]), text(&frame[6 + header..]))
    }

    const HEADER: &str = r#"{"type": "send", "from": "5f3759df_0@host", "to": "5f3759df_1@host", "group": "Msgq", "instance": "*", "seq": 10, "reply": 8}"#;

    #[test]
    fn answers_as_section_11_2_has_them() {
        // V38 and V39
        for (ask, body) in [
            (NodeAsk::Done, r#"{"result": [0]}"#),
            (NodeAsk::Failure("unknown item ", "nonsense"), r#"{"result": [1, "unknown item nonsense"]}"#),
            (
                NodeAsk::Failure("unknown command: ", r#"\u00e9\"\u0007"#),
                "{\"result\": [1, \"unknown command: é\\\"\u{7}\"]}",
            ),
        ] {
            let mut out = [0xa5; 512];
            let n = answer(HERE, question(ASKED, 10), &ask, &mut out).unwrap();
            assert_eq!(parts(&out[..n]), (HEADER, body));
            assert!(out[n..].iter().all(|b| *b == 0xa5));
            for less in 0..n {
                assert_eq!(answer(HERE, question(ASKED, 10), &ask, &mut out[..less]), None, "{less} of {n}");
            }
        }
    }

    #[test]
    fn values_of_the_question_come_back_as_they_were() {
        let echo = r#"{"seq":[1,"\u00e9"],"from":{"a": 2.50},"group":"\u004dsgq","instance":"i","x":1}"#;
        let mut out = [0; 512];
        let n = answer(HERE, question(echo, 1), &NodeAsk::Done, &mut out).unwrap();
        let want = r#"{"type": "send", "from": "5f3759df_0@host", "to": {"a": 2.50}, "group": "Msgq", "instance": "i", "seq": 1, "reply": [1,"é"]}"#;
        assert_eq!(parts(&out[..n]).0, want);
    }

    #[test]
    fn what_cannot_be_answered_is_not() {
        let mut out = [0; 512];
        for echo in
            ["", "{", r#"{"group":"Msgq","instance":"*","seq":1}"#, r#"{"group":"Msgq","instance":"*","from":"x"}"#]
        {
            assert_eq!(answer(HERE, question(echo, 1), &NodeAsk::Done, &mut out), None, "{echo}");
            assert!(Roll::begin(HERE, question(echo, 1), &mut out).is_none());
        }
        for ask in [NodeAsk::Silence, NodeAsk::Stations, NodeAsk::Members { name: "G", instance: "~" }] {
            assert_eq!(answer(HERE, question(ASKED, 1), &ask, &mut out), None);
        }
    }

    #[test]
    fn a_header_beyond_its_limit_is_not_written() {
        let mut echo = heapless::String::<{ MAX_HEADER }>::new();
        echo.push_str(r#"{"group":"Msgq","instance":"*","seq":1,"from":""#).unwrap();
        while echo.len() < MAX_HEADER - 2 {
            echo.push('x').unwrap();
        }
        echo.push_str("\"}").unwrap();
        let mut out = [0; 100_000];
        assert_eq!(answer(HERE, question(&echo, 1), &NodeAsk::Done, &mut out), None);
    }

    #[test]
    fn what_is_told_back_is_cut() {
        let long = heapless::String::<2000>::try_from(core::str::from_utf8(&[b'c'; 2000]).unwrap()).unwrap();
        let mut out = [0; 1000];
        let n = answer(HERE, question(ASKED, 1), &NodeAsk::Failure("unknown command: ", &long), &mut out).unwrap();
        let body = parts(&out[..n]).1;
        assert_eq!(body.len(), r#"{"result": [1, "unknown command: "]}"#.len() + MAX_TOLD);
        assert!(json::parse(body).is_ok());
    }

    #[test]
    fn a_roll_of_any_length() {
        // V37 and V38
        for (stations, body) in [
            (&[][..], r#"{"result": [0, []]}"#),
            (&[2], r#"{"result": [0, ["5f3759df_2@host"]]}"#),
            (&[1, 2, 0], r#"{"result": [0, ["5f3759df_1@host", "5f3759df_2@host", "5f3759df_0@host"]]}"#),
        ] {
            let mut out = [0xa5; 512];
            let mut roll = Roll::begin(HERE, question(ASKED, 10), &mut out).unwrap();
            assert!(stations.iter().all(|s| roll.push(HERE, *s, &mut out)));
            let n = roll.end(&mut out).unwrap();
            assert_eq!(parts(&out[..n]), (HEADER, body));
            assert!(out[n..].iter().all(|b| *b == 0xa5), "nothing behind it");
        }
    }

    #[test]
    fn a_roll_that_is_full_can_still_end() {
        let mut out = [0; 256];
        for room in HEADER.len()..256 {
            let out = &mut out[..room];
            let Some(mut roll) = Roll::begin(HERE, question(ASKED, 10), out) else {
                assert!(room < 6 + HEADER.len() + r#"{"result": [0, []]}"#.len());
                continue;
            };
            let mut pushed = 0;
            while roll.push(HERE, 7, out) {
                pushed += 1;
            }
            let n = roll.end(out).unwrap();
            let body = parts(&out[..n]).1;
            let list = json::parse(body).unwrap().members().next().unwrap().1.elements().nth(1).unwrap();
            assert_eq!(list.elements().count(), pushed);
            assert!(room - n < r#", "5f3759df_7@host""#.len(), "one more would have fitted");
        }
    }

    #[test]
    fn notifications_in_the_shape_of_section_13() {
        for (change, want) in [
            (Change::Connected, r#"{"notification": ["connected", {"client": "5f3759df_4@host"}]}"#),
            (Change::Joined, r#"{"notification": ["subscribed", {"client": "5f3759df_4@host", "group": "G"}]}"#),
            (Change::Left, r#"{"notification": ["unsubscribed", {"client": "5f3759df_4@host", "group": "G"}]}"#),
            (Change::Disconnected, r#"{"notification": ["disconnected", {"client": "5f3759df_4@host"}]}"#),
        ] {
            let mut out = [0xa5; 128];
            let n = notice(HERE, change, 4, "G", &mut out).unwrap();
            assert_eq!(core::str::from_utf8(&out[..n]), Ok(want));
            assert_eq!(notice(HERE, change, 4, "G", &mut out[..n - 1]), None);
        }
        let mut out = [0; 128];
        assert_eq!(notice(HERE, Change::None, 4, "G", &mut out), None);
        assert_eq!(notice(HERE, Change::Unknown(9), 4, "G", &mut out), None);
        let n = notice(HERE, Change::Joined, 4, "a/**", &mut out).unwrap();
        assert!(out[..n].ends_with(br#""group": "a/*"}]}"#), "groups as this dialect has them");
    }

    #[test]
    fn greetings_are_commands_of_the_node() {
        let module = |body| {
            let mut parts = json::parse(body).unwrap().members().next().unwrap().1.elements();
            let name = parts.next().unwrap().text;
            let (key, value) = parts.next().unwrap().members().next().unwrap();
            assert!(key.is("module_name") && value.string().unwrap().is(GROUP));
            name
        };
        assert_eq!(GREETINGS.map(module), ["\"module_spec\"", "\"get_config\""]);
        assert!(crate::name::is_valid(GROUP) && crate::name::is_valid(MANAGER) && crate::name::is_valid(NOTICES));
    }
}
