//! What a node says in this dialect: model to frame.
//!
//! Owns: headers of the node's own (`wire/msgq.md` sections 6.4, 9, 11.2), and how a frame is
//! handed on: as it came, except that a header with `\u` escapes is written without (section
//! 4.2). Does not own bodies (`translate.rs`).

use super::json::{self, Value, Writer};
use super::repr::Header;
use super::{MAX_HEADER, frame, lname, translate};
use crate::dialect::{Here, Question};
use crate::model::{Answer, Letter, Raw, ServerToClient};

/// Writes a frame: both lengths, header, body. `None`: it does not fit into `out`, or the
/// header is longer than a length can say.
fn whole(out: &mut [u8], header: impl FnOnce(&mut Writer<'_>), body: impl FnOnce(&mut Writer<'_>)) -> Option<usize> {
    let (lengths, rest) = out.split_first_chunk_mut::<{ frame::LENGTHS }>()?;
    let mut w = Writer::new(rest);
    header(&mut w);
    let h = w.at();
    if h > MAX_HEADER {
        return None;
    }
    body(&mut w);
    let size = w.finish()?;
    let [l0, l1, l2, l3] = u32::try_from(2 + size).ok()?.to_be_bytes();
    let [h0, h1] = u16::try_from(h).ok()?.to_be_bytes();
    *lengths = [l0, l1, l2, l3, h0, h1];
    Some(frame::LENGTHS + size)
}

/// Anything of the model for which this dialect has words, which is only who one is. `None`:
/// it does not fit; 0: there are no words.
pub(crate) fn say(here: Here<'_>, what: &ServerToClient<'_>, out: &mut [u8]) -> Option<usize> {
    let ServerToClient::Welcome(welcome) = what else { return Some(0) };
    whole(
        out,
        |w| w.raw("{\"type\": \"getlname\"}"),
        |w| {
            w.raw("{\"lname\": ");
            lname::write(here, welcome.station, w);
            w.raw("}");
        },
    )
}

/// The answer to a ping (section 6.2).
pub(crate) fn pong(body: &[u8], out: &mut [u8]) -> Option<usize> {
    whole(out, |w| w.raw("{\"type\": \"pong\"}"), |w| w.bytes(body))
}

/// Octets of the frame that begins with `head`.
pub(crate) fn frame_size(head: &[u8]) -> Option<usize> {
    frame::frame_size(head)
}

/// A frame of another station, as it came.
#[inline]
fn hand_on(bytes: &[u8], header: u16, escaped: bool, out: &mut [u8]) -> Option<usize> {
    let (head, body) = bytes.split_at_checked(header as usize)?;
    if escaped {
        // checked when it came
        let head = core::str::from_utf8(head).ok()?;
        return whole(out, |w| json::rewrite(head, w), |w| w.bytes(body));
    }
    whole(out, |w| w.bytes(head), |w| w.bytes(body))
}

/// A letter on its way to a recipient (section 6.4). `from` 0: from the node itself.
pub(crate) fn letter(
    here: Here<'_>,
    letter: &Letter<'_>,
    raw: Raw<'_>,
    from: u64,
    ask_id: u64,
    out: &mut [u8],
) -> Option<usize> {
    if let Raw::Msgq { frame, header, escaped } = raw {
        return hand_on(frame, header, escaped, out);
    }
    whole(
        out,
        |w| {
            w.raw("{\"type\": \"send\", \"from\": ");
            lname::write(here, from, w);
            w.raw(", \"to\": ");
            match letter.station {
                0 => w.string("*"),
                station => lname::write(here, station, w),
            }
            w.raw(", \"group\": ");
            lname::from_bus(letter.name, w);
            w.raw(", \"instance\": ");
            instance(letter.instance, w);
            w.raw(", \"seq\": ");
            w.u64(if ask_id != 0 { ask_id } else { letter.seq as u64 });
            w.raw(", \"want_answer\": ");
            w.raw(if ask_id != 0 { "true" } else { "false" });
            w.raw("}");
        },
        |w| translate::write_body(letter, w),
    )
}

/// An instance of the bus: none is every one, only the empty one and tildes have another form
/// here.
fn instance(instance: &str, w: &mut Writer<'_>) {
    if instance.bytes().all(|b| b == b'~') {
        // nothing at all becomes `*`
        lname::from_bus(instance, w);
    } else {
        w.string(instance);
    }
}

/// An answer on its way to who asked. `from` 0: the node's own, because there is or was
/// nobody to give it. `None`: it does not fit, or the question says neither its number nor who
/// asked.
pub(crate) fn reply(
    here: Here<'_>,
    answer: &Answer<'_>,
    raw: Raw<'_>,
    question: Question<'_>,
    from: u64,
    out: &mut [u8],
) -> Option<usize> {
    if let Raw::Msgq { frame, header, escaped } = raw {
        return hand_on(frame, header, escaped, out);
    }
    let echo = Header::read(core::str::from_utf8(question.echo).ok()?).ok()?;
    let (seq, asker) = (echo.seq?, echo.from?);
    let head = |w: &mut Writer<'_>| match from {
        0 => undeliverable(&echo, &seq, &asker, w),
        from => {
            w.raw("{\"type\": \"send\", \"from\": ");
            lname::write(here, from, w);
            again(", \"to\": ", Some(asker), w);
            again(", \"group\": ", echo.group, w);
            again(", \"instance\": ", echo.instance, w);
            w.raw(", \"seq\": ");
            w.u64(question.number);
            again(", \"reply\": ", Some(seq), w);
            w.raw("}");
        }
    };
    whole(out, head, |w| translate::write_result(answer, from == 0, w))
}

/// A value that was received behind `key`, if there is one.
fn again(key: &str, value: Option<Value<'_>>, w: &mut Writer<'_>) {
    if let Some(value) = value {
        w.raw(key);
        json::rewrite(value.text, w);
    }
}

/// The header of the error of section 9: the question's own with `reply`, `from` and `to`
/// changed. Of the keys that mean something each is written once, where it first stood; any
/// other stays as it came, doubled or not, because there the last counts for everybody.
fn undeliverable(echo: &Header<'_>, seq: &Value<'_>, asker: &Value<'_>, w: &mut Writer<'_>) {
    let mut keys = [
        ("type", echo.kind),
        ("from", None),
        ("to", Some(*asker)),
        ("group", echo.group),
        ("instance", echo.instance),
        ("seq", Some(*seq)),
        ("want_answer", echo.want_answer),
        ("reply", Some(*seq)),
    ]
    .map(|(key, value)| (key, value, false));
    let mut comma = "{";
    let Ok(mut members) = json::object(echo.text) else { return };
    while let Ok(Some((key, value))) = members.next() {
        let mut known = keys.iter_mut().find(|(k, ..)| key.is(k));
        if known.as_ref().is_some_and(|(.., done)| *done) {
            continue;
        }
        w.raw(comma);
        comma = ", ";
        w.again(&key);
        w.raw(": ");
        match &mut known {
            Some(("from", _, done)) => {
                *done = true;
                // a name that nobody has (section 7)
                w.string("msgq");
            }
            Some((_, changed, done)) => {
                *done = true;
                json::rewrite(changed.unwrap_or(value).text, w);
            }
            None => json::rewrite(value.text, w),
        }
    }
    for (key, value, done) in keys {
        if let (false, "to" | "reply", Some(value)) = (done, key, value) {
            w.raw(comma);
            w.string(key);
            w.raw(": ");
            json::rewrite(value.text, w);
        }
    }
    w.raw("}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Code, Encoding, Outcome, Params, Welcome};

    const HERE: Here<'static> = Here::of(0x5f37_59df, "host");

    type Out = heapless::Vec<u8, 512>;

    /// What is written, and that it is the same at every size of the room that is enough, and
    /// refused at every other.
    fn written(write: impl Fn(&mut [u8]) -> Option<usize>) -> Out {
        let mut out = [0xa5; 512];
        let n = write(&mut out).unwrap();
        assert!(out[n..].iter().all(|b| *b == 0xa5), "wrote beyond its end");
        assert_eq!(frame_size(&out[..n.min(16)]), Some(n));
        for size in 0..=n {
            let mut less = [0xa5; 512];
            assert_eq!(write(&mut less[..size]), (size == n).then_some(n), "{size} of {n}");
            assert!(less[size..].iter().all(|b| *b == 0xa5));
        }
        Out::from_slice(&out[..n]).unwrap()
    }

    /// A frame as the vectors of section 17 show it, header and body apart.
    fn frame(header: &str, body: &[u8]) -> Out {
        let mut f = Out::new();
        f.extend_from_slice(&(2 + header.len() as u32 + body.len() as u32).to_be_bytes()).unwrap();
        f.extend_from_slice(&(header.len() as u16).to_be_bytes()).unwrap();
        f.extend_from_slice(header.as_bytes()).unwrap();
        f.extend_from_slice(body).unwrap();
        f
    }

    fn to_text(f: &Out) -> &str {
        core::str::from_utf8(&f[frame::LENGTHS..]).unwrap()
    }

    fn undelivered(header: &str) -> Out {
        let a = Answer { code: Code::NoRecipient, text: "whatever the node adds", ..Answer::default() };
        let q = Question { echo: header.as_bytes(), number: 77, ..Question::default() };
        written(|out| reply(HERE, &a, Raw::None, q, 0, out))
    }

    #[test]
    fn the_undeliverable_error_is_that_of_the_vectors() {
        for (n, asked, told) in [
            (
                11,
                r#"{"type": "send", "from": "5f3759df_1@host", "to": "*", "group": "void", "instance": "*", "seq": 5, "want_answer": true}"#,
                r#"{"type": "send", "from": "msgq", "to": "5f3759df_1@host", "group": "void", "instance": "*", "seq": 5, "want_answer": true, "reply": 5}"#,
            ),
            (
                12,
                r#"{"type": "send", "from": "5f3759df_1@host", "to": "gone", "group": "news", "instance": "*", "seq": 0, "want_answer": true, "tag": "t1"}"#,
                r#"{"type": "send", "from": "msgq", "to": "5f3759df_1@host", "group": "news", "instance": "*", "seq": 0, "want_answer": true, "tag": "t1", "reply": 0}"#,
            ),
            (
                13,
                r#"{"type": "send", "from": "5f3759df_1@host", "to": "5f3759df_1@host", "group": "news", "instance": "*", "seq": 6, "want_answer": true}"#,
                r#"{"type": "send", "from": "msgq", "to": "5f3759df_1@host", "group": "news", "instance": "*", "seq": 6, "want_answer": true, "reply": 6}"#,
            ),
            (
                14,
                r#"{"type": "send", "from": "5f3759df_1@host", "to": "*", "group": "solo", "instance": "*", "seq": 7, "want_answer": true}"#,
                r#"{"type": "send", "from": "msgq", "to": "5f3759df_1@host", "group": "solo", "instance": "*", "seq": 7, "want_answer": true, "reply": 7}"#,
            ),
            (
                15,
                r#"{"type": "send", "from": "5f3759df_1@host", "to": "msgq", "group": "news", "instance": "*", "seq": 8, "want_answer": true}"#,
                r#"{"type": "send", "from": "msgq", "to": "5f3759df_1@host", "group": "news", "instance": "*", "seq": 8, "want_answer": true, "reply": 8}"#,
            ),
            (
                18,
                r#"{"type": "send", "from": "someone", "to": "*", "group": "void", "instance": "*", "seq": 12, "want_answer": true}"#,
                r#"{"type": "send", "from": "msgq", "to": "someone", "group": "void", "instance": "*", "seq": 12, "want_answer": true, "reply": 12}"#,
            ),
        ] {
            assert_eq!(undelivered(asked), frame(told, br#"{"result": [-1, "No such recipient"]}"#), "V{n}");
        }
        // V16 and V17 are silence: nobody asks for these frames, see `Header::wants_answer`
        assert!(!Header::read(r#"{"to":"*","seq":9,"want_answer":false}"#).unwrap().wants_answer());
        assert!(!Header::read(r#"{"to":"*","seq":10}"#).unwrap().wants_answer());
        assert!(!Header::read(r#"{"to":"gone","seq":11,"want_answer":true,"reply":1}"#).unwrap().wants_answer());
    }

    #[test]
    fn the_error_keeps_spelling_and_numbers_of_any_kind_but_no_u() {
        let f = undelivered(
            r#"{ "x" : [1.50, {"\u00e9":"\u0001\n"}], "from":"\u0061", "to":"*","seq":123456789012345678901234567890,"type":"send","group":"\u00e9","instance":"*"}"#,
        );
        assert_eq!(
            to_text(&f),
            "{\"x\": [1.50, {\"é\":\"\u{1}\\n\"}], \"from\": \"msgq\", \"to\": \"a\", \
             \"seq\": 123456789012345678901234567890, \"type\": \"send\", \"group\": \"é\", \"instance\": \"*\", \
             \"reply\": 123456789012345678901234567890}{\"result\": [-1, \"No such recipient\"]}"
        );
        // `seq` of any JSON type is copied into `reply` (section 14.3)
        let f = undelivered(r#"{"from":null,"seq":{"a":[]}}"#);
        assert_eq!(
            to_text(&f),
            r#"{"from": "msgq", "seq": {"a":[]}, "to": null, "reply": {"a":[]}}{"result": [-1, "No such recipient"]}"#
        );
    }

    #[test]
    fn doubled_keys_of_a_question_count_as_their_last() {
        let asked = r#"{"seq":1,"from":"a","to":"*","group":"g1","reply":0,"x":1,"seq":2,"from":"b","to":"c","fr\u006fm":"d","group":"g2","x":2,"want_answer":false,"want_answer":true}"#;
        let f = undelivered(asked);
        assert_eq!(
            to_text(&f),
            r#"{"seq": 2, "from": "msgq", "to": "d", "group": "g2", "reply": 2, "x": 1, "x": 2, "want_answer": true}{"result": [-1, "No such recipient"]}"#
        );
        // and in an answer that a station gives
        let q = Question { echo: asked.as_bytes(), number: 7, ..Question::default() };
        let f = written(|out| reply(HERE, &Answer::default(), Raw::None, q, 2, out));
        assert_eq!(
            to_text(&f),
            r#"{"type": "send", "from": "5f3759df_2@host", "to": "d", "group": "g2", "seq": 7, "reply": 2}{"result": [0]}"#
        );
    }

    #[test]
    fn an_answer_has_the_header_of_section_11_2() {
        // the reply of V8, given by a station of another dialect
        let asked = r#"{"type": "send", "from": "5f3759df_1@host", "to": "*", "group": "news", "instance": "*", "seq": 3, "want_answer": true}"#;
        let q = Question { echo: asked.as_bytes(), number: 2, ..Question::default() };
        let a = Answer { body: b"hello", encoding: Encoding::Text, ..Answer::default() };
        let told = r#"{"type": "send", "from": "5f3759df_2@host", "to": "5f3759df_1@host", "group": "news", "instance": "*", "seq": 2, "reply": 3}"#;
        let want = frame(told, br#"{"result": [0, "hello"]}"#);
        assert_eq!(written(|out| reply(HERE, &a, Raw::None, q, 2, out)), want);
        // its bytes in its own dialect make no difference
        assert_eq!(written(|out| reply(HERE, &a, Raw::Messi(b"x"), q, 2, out)), want);
    }

    #[test]
    fn a_question_that_cannot_be_answered_is_not() {
        let mut out = [0; 512];
        for echo in ["", "{}", r#"{"seq":1}"#, r#"{"from":"a"}"#, "[]", r#"{"seq":1,"from":"a"} x"#] {
            let q = Question { echo: echo.as_bytes(), ..Question::default() };
            for from in [0, 1] {
                assert_eq!(reply(HERE, &Answer::default(), Raw::None, q, from, &mut out), None, "{echo}");
            }
        }
        let q = Question { echo: &[0xff], ..Question::default() };
        assert_eq!(reply(HERE, &Answer::default(), Raw::None, q, 0, &mut out), None);
    }

    /// A header with an unknown key so long that it has `size` octets.
    fn long_header(size: usize, room: &mut [u8]) -> &[u8] {
        let head = br#"{"type":"send","from":"a","to":"*","group":"g","instance":"*","seq":1,"want_answer":true,"x":""#;
        let room = &mut room[..size];
        room.fill(b'x');
        room[..head.len()].copy_from_slice(head);
        room[size - 2..].copy_from_slice(b"\"}");
        room
    }

    #[test]
    fn a_header_that_a_length_cannot_say_is_not_written() {
        let (mut room, mut out) = ([0; MAX_HEADER], [0; MAX_HEADER + 256]);
        let a = Answer { code: Code::NoRecipient, ..Answer::default() };
        // blanks behind commas and colons, the names changed, `, "reply": 1`
        let grows = {
            let q = Question { echo: long_header(200, &mut room), ..Question::default() };
            reply(HERE, &a, Raw::None, q, 0, &mut out).unwrap() - frame::LENGTHS - 37 - 200
        };
        for (size, fits) in [(MAX_HEADER - grows, true), (MAX_HEADER - grows + 1, false), (MAX_HEADER, false)] {
            let q = Question { echo: long_header(size, &mut room), ..Question::default() };
            let n = reply(HERE, &a, Raw::None, q, 0, &mut out);
            assert_eq!(n, fits.then_some(frame::LENGTHS + size + grows + 37));
            if fits {
                assert_eq!(out[4..6], [0xff, 0xff]);
            }
        }
        // handed on it is as long as it was
        let raw = Raw::Msgq { frame: long_header(MAX_HEADER, &mut room), header: 0xffff, escaped: false };
        assert_eq!(letter(HERE, &Letter::default(), raw, 1, 0, &mut out), Some(frame::LENGTHS + MAX_HEADER));
    }

    #[test]
    fn frames_of_this_dialect_are_handed_on_as_they_came() {
        // V23: the body is no JSON, and nothing of the model shows in the frame
        let header = r#"{"type": "send", "from": "5f3759df_1@host", "to": "5f3759df_2@host", "group": "news", "instance": "*", "seq": 20}"#;
        let f = frame(header, b"\xff\x00no json");
        let raw = Raw::Msgq { frame: &f[frame::LENGTHS..], header: header.len() as u16, escaped: false };
        let l = Letter { name: "other", verb: "SET", seq: 9, ..Letter::default() };
        assert_eq!(written(|out| letter(HERE, &l, raw, 3, 4, out)), f);
        let q = Question { echo: b"{}", ..Question::default() };
        assert_eq!(written(|out| reply(HERE, &Answer::default(), raw, q, 3, out)), f);
        // V24: no body
        let f = frame(header, b"");
        let raw = Raw::Msgq { frame: &f[frame::LENGTHS..], header: header.len() as u16, escaped: false };
        assert_eq!(written(|out| letter(HERE, &l, raw, 3, 4, out)), f);
    }

    #[test]
    fn escapes_that_not_all_can_read_are_written_raw_in_headers_only() {
        // V26 as the Python library writes it
        let header = r#"{"type": "send", "group": "\u00e9", "x": "\u0022\ud83d\ude00"}"#;
        let body = br#"{"a": "\u00e9"}"#;
        let f = frame(header, body);
        let raw = Raw::Msgq { frame: &f[frame::LENGTHS..], header: header.len() as u16, escaped: true };
        let want = frame("{\"type\": \"send\", \"group\": \"é\", \"x\": \"\\\"😀\"}", body);
        assert_eq!(written(|out| letter(HERE, &Letter::default(), raw, 3, 0, out)), want);
        assert_eq!(written(|out| reply(HERE, &Answer::default(), raw, Question::default(), 3, out)), want);
    }

    #[test]
    fn a_frame_shorter_than_its_header_is_nothing() {
        let raw = Raw::Msgq { frame: b"{}", header: 3, escaped: false };
        assert_eq!(letter(HERE, &Letter::default(), raw, 1, 0, &mut [0; 64]), None);
    }

    #[test]
    fn letters_of_other_dialects_have_a_header_of_their_own() {
        let set = Letter { name: "news", body: b"21", encoding: Encoding::Text, seq: 2, ..Letter::default() };
        let body = br#"{"command":["SET",{"name":"news","value":"21"}]}"#;
        for (l, from, ask_id, want) in [
            // the header of V7
            (
                set,
                1,
                0,
                r#"{"type": "send", "from": "5f3759df_1@host", "to": "*", "group": "news", "instance": "*", "seq": 2, "want_answer": false}"#,
            ),
            // asked: the number to answer with is the node's
            (
                set,
                1,
                1 << 40,
                r#"{"type": "send", "from": "5f3759df_1@host", "to": "*", "group": "news", "instance": "*", "seq": 1099511627776, "want_answer": true}"#,
            ),
            // to one station, from the node itself, to one instance
            (
                Letter { station: 0xab, instance: "one", ..set },
                0,
                0,
                r#"{"type": "send", "from": "5f3759df_0@host", "to": "5f3759df_ab@host", "group": "news", "instance": "one", "seq": 2, "want_answer": false}"#,
            ),
        ] {
            assert_eq!(written(|out| letter(HERE, &l, Raw::None, from, ask_id, out)), frame(want, body));
            assert_eq!(written(|out| letter(HERE, &l, Raw::Messi(b"x"), from, ask_id, out)), frame(want, body));
        }
    }

    #[test]
    fn names_of_the_bus_have_the_form_that_they_have_here() {
        for (name, instance, group, inst) in [
            ("~", "~", "", ""),
            ("~~", "~~", "~", "~"),
            ("**", "**", "*", "**"),
            ("a/**", "a/**", "a/*", "a/**"),
            ("", "", "*", "*"),
            ("a\"b", "é", r#"a\"b"#, "é"),
        ] {
            let l = Letter { name, instance, verb: "V", params: Params::default(), ..Letter::default() };
            let f = written(|out| letter(HERE, &l, Raw::None, 1, 0, out));
            let header = &to_text(&f)[..u16::from_be_bytes([f[4], f[5]]) as usize];
            let h = Header::read(header).unwrap();
            assert_eq!(h.group.unwrap().string().unwrap().raw(), group, "{name}");
            assert_eq!(h.instance.unwrap().string().unwrap().raw(), inst, "{instance}");
        }
    }

    #[test]
    fn who_one_is_and_signs_of_life() {
        // V1, V4, V5
        let w = ServerToClient::Welcome(Welcome { station: 1, ..Welcome::default() });
        let want = frame(r#"{"type": "getlname"}"#, br#"{"lname": "5f3759df_1@host"}"#);
        assert_eq!(written(|out| say(HERE, &w, out)), want);
        assert_eq!(written(|out| pong(b"", out)), frame(r#"{"type": "pong"}"#, b""));
        assert_eq!(written(|out| pong(b"\x00\xffab", out)), frame(r#"{"type": "pong"}"#, b"\x00\xffab"));
    }

    #[test]
    fn there_are_no_words_for_anything_else() {
        let mut out = [0xa5; 64];
        for what in [ServerToClient::Nothing, ServerToClient::Outcome(Outcome::default())] {
            assert_eq!(say(HERE, &what, &mut out), Some(0));
        }
        assert_eq!(out, [0xa5; 64]);
    }
}
