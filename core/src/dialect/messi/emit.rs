//! What a node says in the native dialect: model to frame.
//!
//! Owns: how a letter is handed on. A letter that came in this dialect is not taken apart:
//! its bytes are copied and what the node adds (`from`, `ask_id`, `seq`) is appended, which
//! is sound because of a field that occurs twice protobuf takes the last.

use super::frame::Framing;
use super::repr::{Answer, Letter, ServerToClient};
use super::wire::{Writer, kind, varint_len};
use crate::model::Raw;

/// Member numbers in `ServerToClient`.
const MESSAGE: u32 = 3;
const REPLY: u32 = 4;
/// Field numbers in `Letter`.
const LETTER_FROM: u32 = 13;
const LETTER_ASK_ID: u32 = 14;
/// Field numbers in `Answer`.
const ANSWER_SEQ: u32 = 7;
const ANSWER_FROM: u32 = 8;
const ANSWER_STATION: u32 = 9;

/// Begins a frame of `size` octets of payload; `None` if it does not fit.
#[inline]
fn frame(framing: Framing, kind: u8, size: usize, out: &mut [u8]) -> Option<Writer<'_>> {
    let n = framing.header();
    if n + size > out.len() || size > super::wire::MAX_PAYLOAD {
        return None;
    }
    let (head, rest) = out.split_at_mut(n);
    framing.write_header(kind, size, head);
    Some(Writer::new(&mut rest[..size]))
}

/// Anything of the model.
pub(crate) fn say(framing: Framing, what: &ServerToClient<'_>, out: &mut [u8]) -> Option<usize> {
    let inner = what.inner_len();
    let mut w = frame(framing, kind::SERVER_TO_CLIENT, what.len_around(inner), out)?;
    what.write_around(inner, &mut w);
    w.finish().map(|n| n + framing.header())
}

/// An empty frame of type pong.
pub(crate) fn pong(framing: Framing, out: &mut [u8]) -> Option<usize> {
    frame(framing, kind::PONG, 0, out)?.finish().map(|n| n + framing.header())
}

/// Octets of the frame that begins with `head`.
pub(crate) fn frame_size(framing: Framing, head: &[u8]) -> Option<usize> {
    let n = framing.header();
    let size = match (framing, head.get(..n)?) {
        (Framing::Today, h) => u32::from_be_bytes([0, h[1], h[2], h[3]]),
        (_, h) => u32::from_be_bytes([h[4], h[5], h[6], h[7]]),
    };
    Some(n + size as usize)
}

/// Octets of a varint field with a number below 16, written even if it is 0.
#[inline]
fn appended_len(value: u64) -> usize {
    1 + varint_len(value)
}

/// A letter on its way to a recipient.
#[inline]
pub(crate) fn letter(
    framing: Framing,
    letter: &Letter<'_>,
    raw: Raw<'_>,
    from: u64,
    ask_id: u64,
    out: &mut [u8],
) -> Option<usize> {
    let Raw::Messi(bytes) = raw else {
        return say(framing, &ServerToClient::Message(Letter { from, ask_id, ..*letter }), out);
    };
    // of no question, nothing is said: `may_send` has refused one that the sender made up
    let added = [(LETTER_FROM, from), (LETTER_ASK_ID, ask_id)];
    hand_on(framing, MESSAGE, bytes, if ask_id == 0 { &added[..1] } else { &added }, out)
}

/// An answer on its way to who asked. `about`: which of several who were asked one by one;
/// 0: only one answers.
#[inline]
pub(crate) fn reply(
    framing: Framing,
    answer: &Answer<'_>,
    raw: Raw<'_>,
    (seq, from, about): (u32, u64, u64),
    out: &mut [u8],
) -> Option<usize> {
    let Raw::Messi(bytes) = raw else {
        return say(framing, &ServerToClient::Reply(Answer { seq, from, station: about, ..*answer }), out);
    };
    let added = [(ANSWER_SEQ, seq as u64), (ANSWER_FROM, from), (ANSWER_STATION, about)];
    // a callee's own word on it does not count
    let named = about != 0 || answer.station != 0;
    hand_on(framing, REPLY, bytes, if named { &added } else { &added[..2] }, out)
}

/// A member's own bytes with what the node adds behind them.
#[inline]
fn hand_on(framing: Framing, member: u32, bytes: &[u8], added: &[(u32, u64)], out: &mut [u8]) -> Option<usize> {
    let inner = bytes.len() + added.iter().map(|(_, value)| appended_len(*value)).sum::<usize>();
    let size = 1 + varint_len(inner as u64) + inner;
    let mut w = frame(framing, kind::SERVER_TO_CLIENT, size, out)?;
    w.tag(member, 2);
    w.varint(inner as u64);
    w.bytes(bytes);
    for (number, value) in added {
        w.tag(*number, 0);
        w.varint(*value);
    }
    w.finish().map(|n| n + framing.header())
}

#[cfg(test)]
mod tests {
    use super::super::repr::Message;
    use super::*;

    fn hand_on(l: &Letter<'_>, as_raw: bool, from: u64, ask_id: u64) -> heapless::Vec<u8, 256> {
        let mut bytes = [0u8; 128];
        let mut w = Writer::new(&mut bytes);
        l.write(&mut w);
        let n = w.finish().unwrap();
        let raw = if as_raw { Raw::Messi(&bytes[..n]) } else { Raw::None };
        let mut out = [0xa5u8; 256];
        let n = letter(Framing::Today, l, raw, from, ask_id, &mut out).unwrap();
        heapless::Vec::from_slice(&out[..n]).unwrap()
    }

    #[test]
    fn copied_and_written_anew_mean_the_same() {
        let l = Letter { name: "a", body: &[1, 2], seq: 9, ask: true, ..Letter::default() };
        for (from, ask_id) in [(1, 0), (70_000, 5), (u64::MAX, u64::MAX)] {
            let (a, b) = (hand_on(&l, true, from, ask_id), hand_on(&l, false, from, ask_id));
            let read = |f: &[u8]| match ServerToClient::read(&f[4..]).unwrap().0 {
                ServerToClient::Message(l) => (l.from, l.ask_id, l.seq, l.ask, l.body.len()),
                other => panic!("{other:?}"),
            };
            assert_eq!(read(&a), (from, ask_id, 9, true, 2));
            assert_eq!(read(&a), read(&b));
        }
    }

    #[test]
    fn what_does_not_fit_is_not_begun() {
        let l = Letter { body: &[0; 100], ..Letter::default() };
        let mut out = [0xa5u8; 50];
        assert_eq!(letter(Framing::Today, &l, Raw::None, 1, 0, &mut out), None);
        assert_eq!(out, [0xa5; 50]);
    }
}
