//! What the router says to a station of this dialect, and what it says to stations of others
//! that it has heard here.
//!
//! Owns: from whom a message is as clients see it, and which way of writing fits: handed on as
//! it came, written anew, or translated. Does not own the tables of translation
//! (`translate.rs`), nor who is told what.

use super::emit::{self, Edit, Form};
use super::name::DAEMON;
use super::repr::Message;
use super::say::{self, Header, Line};
use super::text::Text;
use super::translate::{self, REPLY_TO, Shown};
use super::udp::SECRET;
use crate::dialect::Here;
use crate::model::{Answer, Code, Letter, ServerToClient};
use core::fmt::Write as _;

/// How the address of a station of another dialect begins, where a client needs a service.
pub const STATION: &str = "_s";

/// A message that goes on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Heard<'f> {
    /// What was said. Its source is only what its sender says it is.
    pub message: &'f Message<'f>,
    /// Server and service that it is from, as recipients are told. Both empty: not told.
    pub from: (&'f [u8], &'f [u8]),
    /// It has something in it that is nobody else's business.
    pub is_secret: bool,
}

/// A number as text.
type Digits = heapless::String<24, u8>;

fn digits(before: &str, n: u64) -> Digits {
    let mut text = Digits::new();
    // two letters and twenty digits are the most
    let _ = write!(text, "{before}{n}");
    text
}

/// By how much the numbers of questions are larger where clients see them: so that they are none
/// that a client, which counts from 1, gives its own. They are numbers of questions all the same,
/// for who hands a question on as it came.
const ASKED: u64 = 1 << 31;

/// The number of a question as whoever is asked sees it.
fn asked(ask_id: u64) -> Digits {
    digits("", ask_id.saturating_add(ASKED))
}

/// The node's number of the question that an answer has. `None`: it is no such.
pub fn ask_id(number: i64) -> Option<u64> {
    u64::try_from(number).ok()?.checked_sub(ASKED)
}

/// The address in a service that stands for a station.
pub fn station(service: &[u8]) -> Option<u64> {
    let digits = service.strip_prefix(STATION.as_bytes())?;
    let is_number = matches!(digits.first(), Some(b'1'..=b'9')) && digits.iter().all(u8::is_ascii_digit);
    if !is_number {
        return None;
    }
    core::str::from_utf8(digits).ok()?.parse().ok()
}

/// Whom a message of the station with this address (0: the node) is from.
fn with_source<R>(here: Here<'_>, from: u64, then: impl FnOnce((&[u8], &[u8])) -> R) -> R {
    if from == 0 {
        return then((here.server.as_bytes(), DAEMON.as_bytes()));
    }
    then((here.server.as_bytes(), digits(STATION, from).as_bytes()))
}

/// In the form that was set, or as text if it cannot be said like that.
fn in_form(
    form: Form,
    out: &mut [u8],
    write: impl Fn(Form, &mut [u8]) -> Result<usize, emit::Unsaid>,
) -> Option<usize> {
    let said = match write(form, out) {
        Err(_) if form != Form::Text => write(Form::Text, out),
        said => said,
    };
    emit::seam(said)
}

/// Something of the node's own. What has no words here is not said.
pub(crate) fn say(here: Here<'_>, what: &ServerToClient<'_>, out: &mut [u8]) -> Option<usize> {
    let message = match what {
        ServerToClient::Outcome(o) if o.code != Code::Ok => o.text,
        ServerToClient::Closing(c) => c.text,
        _ => return Some(0),
    };
    line(here, &Line::Invalid { command: b"", message }, (b"", b""), out)
}

/// A line of the server's own, to whoever is connected or to `to`.
pub(crate) fn line(here: Here<'_>, what: &Line<'_>, to: (&[u8], &[u8]), out: &mut [u8]) -> Option<usize> {
    let header = Header { to, ..Header::of_server(here.server.as_bytes()) };
    in_form(here.form, out, |form, out| say::line(what, header, form, out))
}

/// A letter of another dialect. `ask_id`: its number if an answer is wanted; else 0.
pub(crate) fn letter(here: Here<'_>, l: &Letter<'_>, from: u64, ask_id: u64, out: &mut [u8]) -> Option<usize> {
    let shown = if l.station != 0 {
        Shown::ToStation
    } else if l.everyone || l.name.starts_with("./") {
        Shown::ToEverybody
    } else {
        Shown::ToName
    };
    let asked = asked(ask_id);
    let asked = (ask_id != 0).then_some(&asked[..]);
    with_source(here, from, |from| {
        in_form(here.form, out, |form, out| translate::write_letter(l, from, shown, asked, form, out))
    })
}

/// An answer of another dialect, to the question that its asker gave this number.
pub(crate) fn reply(here: Here<'_>, a: &Answer<'_>, seq: u32, from: u64, out: &mut [u8]) -> Option<usize> {
    let seq = digits("", seq.into());
    with_source(here, from, |from| {
        in_form(here.form, out, |form, out| {
            translate::write_answer(a, from, (b"", b""), Text::from(&seq[..]), form, out)
        })
    })
}

/// A message between two clients. `ask_id`: what it is to be answered with, or 0.
#[inline]
pub(crate) fn handed_on(here: Here<'_>, heard: &Heard<'_>, ask_id: u64, out: &mut [u8]) -> Option<usize> {
    let m = heard.message;
    if ask_id == 0 && !heard.is_secret && !m.raw.is_empty() && here.form == Form::Text {
        return emit::seam(emit::handed_on(heard.from.0, heard.from.1, m.raw, out));
    }
    let asked = asked(ask_id);
    let set = [(Text::from(REPLY_TO), Text::from(&asked[..]))];
    anew(here, heard, if ask_id == 0 { &[] } else { &set }, out)
}

/// An answer between two clients, with the asker's own number.
pub(crate) fn reply_handed_on(here: Here<'_>, heard: &Heard<'_>, seq: u32, out: &mut [u8]) -> Option<usize> {
    let seq = digits("", seq.into());
    anew(here, heard, &[(Text::from(REPLY_TO), Text::from(&seq[..]))], out)
}

fn anew(here: Here<'_>, heard: &Heard<'_>, set: &[(Text<'_>, Text<'_>)], out: &mut [u8]) -> Option<usize> {
    let m = Message { from_server: heard.from.0, from_service: heard.from.1, ..*heard.message };
    let without: &[&str] = if heard.is_secret { &[SECRET] } else { &[] };
    in_form(here.form, out, |form, out| emit::line(&m, Edit { set, without }, form, out))
}

/// A message for a station of another dialect, written into `out`, of which some at the end is
/// room for what has to be read first. Whom it is for is in `l`. `None`: it does not fit.
pub(crate) fn heard(
    l: &Letter<'_>,
    heard: &Heard<'_>,
    out: &mut [u8],
    write: impl FnOnce(&Letter<'_>, &mut [u8]) -> Option<usize>,
) -> Option<usize> {
    let (out, room) = with_room(heard.message, out);
    let said = translate::letter(heard.message, room, |said, _| {
        let Letter { name, station, everyone, ask, seq, .. } = *l;
        let letter = Letter { name, station, everyone, ask, seq, keep: false, ttl_ms: 0, ..*said };
        write(&letter, out)
    });
    said.ok().flatten()
}

/// As [`heard`] of a message that is an answer.
pub(crate) fn answered(
    heard: &Heard<'_>,
    out: &mut [u8],
    write: impl FnOnce(&Answer<'_>, &mut [u8]) -> Option<usize>,
) -> Option<usize> {
    let (out, room) = with_room(heard.message, out);
    translate::answer(heard.message, room, |a| write(a, out)).ok().flatten()
}

/// Room to read the values of a message: half of it if they are written in another way than they
/// are meant, else none.
fn with_room<'o>(m: &Message<'_>, out: &'o mut [u8]) -> (&'o mut [u8], &'o mut [u8]) {
    let is_base64 = || m.raw.windows(6).any(|w| w == b"base64");
    let is_plain = !m.raw.is_empty() && !m.raw.contains(&b'\\') && core::str::from_utf8(m.raw).is_ok() && !is_base64();
    let room = if is_plain { 0 } else { out.len() / 2 };
    out.split_at_mut(out.len() - room)
}
