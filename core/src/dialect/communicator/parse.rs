//! A line or datagram to the message it says (`wire/communicator.md` section 1.3).
//!
//! Owns: the string form, step by step as the page has it, so that exactly what is a message
//! there is one here; and which form it is. The one limit that the page has not: no message
//! has more than [`MAX_PARAMS`] parameters. Does not own where a line ends (`frame.rs`), nor
//! what quotes and escapes mean (`text.rs`).

use super::frame::{LF, find};
use super::json;
use super::name;
use super::repr::{Fault, Message, Params};
use super::text::Text;
use super::translate::REPLY_TO;
use crate::limits::MAX_PARAMS;

/// Octets that hold the names of any message in JSON that has escapes in them and is accepted
/// by somebody.
pub const ROOM_FOR_NAMES: usize = 256;

/// Reads a message, with or without its LF. Names that are written with escapes, which only
/// JSON has, are put into `spare`, usually of [`ROOM_FOR_NAMES`].
#[inline]
pub fn message<'f>(line: &'f [u8], spare: &'f mut [u8]) -> Result<Message<'f>, Fault> {
    let line = trim(line);
    match line.first() {
        None => Err(Fault::Blank),
        Some(b'{') => json::message(line, spare),
        Some(_) => text(line),
    }
}

/// White space is that of the C locale: octets above ASCII are none.
#[inline]
pub(crate) const fn is_white(b: u8) -> bool {
    matches!(b, b' ' | b'\t' | LF | 0x0b | 0x0c | b'\r')
}

/// Without white space at both ends.
#[inline]
pub(super) fn trim(mut line: &[u8]) -> &[u8] {
    while let [first, rest @ ..] = line
        && is_white(*first)
    {
        line = rest;
    }
    while let [rest @ .., last] = line
        && is_white(*last)
    {
        line = rest;
    }
    line
}

/// The string form, without white space at its ends.
fn text(whole: &[u8]) -> Result<Message<'_>, Fault> {
    // everything from a NUL on is ignored, but only after the trimming
    let line = whole.get(..find(whole, 0, 0).unwrap_or(whole.len())).unwrap_or_default();
    let (from_server, from_service, left) = match line {
        [b'<', line @ ..] => source(line)?,
        _ => (&[][..], &[][..], line),
    };
    let (head, params) = match find(left, b' ', 0) {
        Some(at) => (left.get(..at).unwrap_or_default(), left.get(at + 1..).unwrap_or_default()),
        None => (left, &[][..]),
    };
    let (server, service, command) = destination(head)?;
    let asks = check(params)?;
    // what was cut at a NUL could have blanks at its end now, and an LF, which datagrams may
    // have, would end the line
    let as_it_is = line.len() == whole.len() && find(left, LF, 0).is_none();
    let raw = if as_it_is { left } else { &[] };
    Ok(Message { from_server, from_service, server, service, command, params: Params::of_text(params), asks, raw })
}

/// Three parts of a line.
type Three<'f> = (&'f [u8], &'f [u8], &'f [u8]);

/// `server:service ` behind a `<`; what is left behind it.
fn source(line: &[u8]) -> Result<Three<'_>, Fault> {
    let at = line.iter().position(|b| matches!(b, b':' | b' ')).ok_or(Fault::Source)?;
    let (server, line) = line.split_at(at);
    let line = line.strip_prefix(b":").ok_or(Fault::Source)?;
    let (service, line) = line.split_at(find(line, b' ', 0).ok_or(Fault::OnlySource)?);
    Ok((server, service, line.get(1..).unwrap_or_default()))
}

/// Server, service and command.
fn destination(head: &[u8]) -> Result<Three<'_>, Fault> {
    let (mut server, mut service, mut from) = (None, None, 0);
    for (at, b) in head.iter().enumerate() {
        let word = head.get(from..at).unwrap_or_default();
        match b {
            b':' => {
                match (service, server) {
                    (Some(_), _) => return Err(Fault::ServerBehindService),
                    (None, Some(_)) => return Err(Fault::TwoServers),
                    (None, None) if word.is_empty() => return Err(Fault::EmptyServer),
                    (None, None) => server = Some(word),
                }
                from = at + 1;
            }
            b'/' => {
                match service {
                    Some(_) => return Err(Fault::TwoServices),
                    None if word.is_empty() => return Err(Fault::EmptyService),
                    None => service = Some(word),
                }
                from = at + 1;
            }
            _ => {}
        }
    }
    match head.get(from..) {
        None | Some([]) => Err(Fault::NoCommand),
        Some(command) => Ok((server.unwrap_or_default(), service.unwrap_or_default(), command)),
    }
}

/// Whether all of these are parameters, and one of them is [`REPLY_TO`].
fn check(mut params: &[u8]) -> Result<bool, Fault> {
    let (mut count, mut asks) = (0, false);
    while !params.is_empty() {
        let (key, ..) = split_param(&mut params)?;
        asks |= key == REPLY_TO.as_bytes();
        count += 1;
        if count > MAX_PARAMS {
            return Err(Fault::TooManyParams);
        }
    }
    Ok(asks)
}

/// Whether text that stands behind a command and its space is parameters, all of them as they
/// would be handed on, none of which is [`REPLY_TO`], and nothing else.
#[inline]
pub fn is_plain_params(text: &[u8]) -> bool {
    text.last().is_some_and(|b| !is_white(*b)) && find(text, 0, 0).is_none() && check(text) == Ok(false)
}

/// Takes one parameter off the front, and the `;` behind it. `None`: there is no more.
pub(super) fn param<'f>(left: &mut &'f [u8]) -> Result<Option<(Text<'f>, Text<'f>)>, Fault> {
    if left.is_empty() {
        return Ok(None);
    }
    let (key, value, is_quoted) = split_param(left)?;
    let value = if is_quoted { Text::quoted(value) } else { Text::bare(value) };
    Ok(Some((Text::Plain(key), value)))
}

/// As [`param`] where there is one: key, value, and whether that stands in quotes. Not what they
/// mean, which most messages are handed on without.
#[inline]
fn split_param<'f>(left: &mut &'f [u8]) -> Result<(&'f [u8], &'f [u8], bool), Fault> {
    let equals = find(left, b'=', 0);
    let (key, rest) = left.split_at(equals.unwrap_or(left.len()));
    if key.is_empty() {
        return Err(Fault::EmptyKey);
    }
    if !name::is_name(key) {
        return Err(Fault::BadKey);
    }
    let rest = rest.get(1..).ok_or(Fault::NoValue)?;
    let (value, rest, is_quoted) = match rest {
        [b'"', rest @ ..] => {
            let (value, rest) = rest.split_at(closing_quote(rest).ok_or(Fault::OpenQuote)?);
            (value, rest.get(1..).unwrap_or_default(), true)
        }
        rest => {
            let (value, rest) = rest.split_at(find(rest, b';', 0).unwrap_or(rest.len()));
            (value, rest, false)
        }
    };
    *left = match rest {
        [] => rest,
        [b';', rest @ ..] => rest,
        _ => return Err(Fault::BehindQuote),
    };
    Ok((key, value, is_quoted))
}

/// The place of the first quote that has no backslash before it, whatever stands before that:
/// `\\"` is a backslash and a quote inside.
fn closing_quote(text: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        at = find(text, b'"', at)?;
        if at == 0 || text.get(at - 1) != Some(&b'\\') {
            return Some(at);
        }
        at += 1;
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;

    fn read(line: &[u8]) -> Result<Message<'_>, Fault> {
        message(line, &mut [])
    }

    #[test]
    fn blanks_and_nuls_go_in_this_order() {
        for (line, value) in [
            (&b"CMD a= x \0 \r\n"[..], &b" x "[..]),
            (b"CMD a=x \t\r\n", b"x"),
            (b"CMD a=x\xa0", b"x\xa0"),
            (b"\x0b\x0c CMD a=x\x0b\x0c", b"x"),
            (b"CMD a=\0;b", b""),
        ] {
            let m = read(line).unwrap();
            assert!(m.get("a").unwrap().is(value), "{line:?}");
            assert_eq!(m.raw.is_empty(), line.contains(&0));
        }
        assert_eq!(read(b"\0STOP"), Err(Fault::NoCommand));
        assert_eq!(read(b" \0 "), Err(Fault::NoCommand));
        assert_eq!(read(b"CMD \0").unwrap().command, b"CMD");
    }

    #[test]
    fn what_may_be_handed_on_as_it_is() {
        let m = read(b"<a:b jungle:x/Y b=2;a=1\r\n").unwrap();
        assert_eq!(m.raw, b"jungle:x/Y b=2;a=1");
        // a datagram: the LF belongs to the value, and must not begin a line of its own
        let m = read(b"CMD a=x\nSTOP").unwrap();
        assert!(m.get("a").unwrap().is(b"x\nSTOP") && m.raw.is_empty());
        let m = message(br#"{"command":"A"}"#, &mut []).unwrap();
        assert!(m.raw.is_empty());
    }

    #[test]
    fn as_many_parameters_as_may_be() {
        let many = |n| std::format!("CMD {}", "a=1;".repeat(n));
        assert!(read(many(MAX_PARAMS).as_bytes()).is_ok());
        assert_eq!(read(many(MAX_PARAMS + 1).as_bytes()), Err(Fault::TooManyParams));
    }

    #[test]
    fn long_ones_are_no_trouble() {
        let command = std::vec![b'C'; 5000];
        assert_eq!(read(&command).unwrap().command.len(), 5000);
        // quotes of a mebibyte, read once
        let mut line = b"CMD a=\"".to_vec();
        line.extend(br#"\""#.repeat(1 << 19));
        assert_eq!(read(&line), Err(Fault::OpenQuote));
        line.push(b'"');
        assert_eq!(read(&line).unwrap().get("a").unwrap().len(), 1 << 19);
    }
}
