//! A stream of lines of the Communicator, cut in two: one piece or two give the same lines, and
//! each that is a message, written again, is the same message.
#![no_main]

use chappe_core::dialect::communicator::cache::Cache;
use chappe_core::dialect::communicator::emit::{self, Edit, Form};
use chappe_core::dialect::communicator::frame::{Finder, line_size};
use chappe_core::dialect::communicator::repr::Message;
use chappe_core::dialect::communicator::route::{Facts, To, fate, reports};
use chappe_core::dialect::communicator::text::{Room, Text};
use chappe_core::dialect::communicator::translate::{self, Shown, Unheard};
use chappe_core::dialect::communicator::{address, name, number, params, parse, schema, udp};
use libfuzzer_sys::fuzz_target;

/// All lines of a stream in pieces, and whether one was too long.
fn lines(pieces: &[&[u8]], limit: usize) -> (Vec<Vec<u8>>, bool) {
    let (mut finder, mut kept, mut all) = (Finder::new(), Vec::new(), Vec::new());
    for piece in pieces {
        let mut input = *piece;
        loop {
            match finder.line(&mut input, limit) {
                Err(_) => return (all, true),
                Ok(None) => {
                    assert!(finder.is_inside() || input.is_empty());
                    kept.extend_from_slice(input);
                    break;
                }
                Ok(Some(size)) => {
                    let (part, rest) = input.split_at(size - kept.len());
                    kept.extend_from_slice(part);
                    assert_eq!(line_size(&kept), Some(size));
                    all.push(std::mem::take(&mut kept));
                    finder.next();
                    input = rest;
                }
            }
        }
    }
    (all, false)
}

/// Everything that looks at a message.
fn look_at(m: &Message<'_>) {
    let (mut out, mut octets) = ([0; 8192], [0; 32768]);
    if let Ok(n) = emit::line(m, Edit::NONE, Form::Text, &mut out) {
        assert_eq!(line_size(&out[..n]), Some(n), "one line");
        let again = parse::message(&out[..n], &mut []).unwrap();
        // a server without a service is not written
        let server = if m.service.is_empty() { m.server } else { again.server };
        assert_eq!(Message { server, ..again }, *m);
    }
    if let Ok(n) = emit::line(m, Edit::NONE, Form::JsonTwice, &mut out) {
        assert_eq!(parse::message(&out[..n], &mut octets), Ok(*m));
    }
    if !m.raw.is_empty() {
        let n = emit::handed_on(b"h", b"s", m.raw, &mut out).unwrap();
        assert_eq!(line_size(&out[..n]), Some(n), "one line");
        let again = parse::message(&out[..n], &mut []).unwrap();
        assert_eq!(again, Message { from_server: b"h", from_service: b"s", ..*m });
    }
    if let To::Service { reach, .. } = To::of(m, b"h") {
        let cache = Cache::of(m);
        _ = reports(m, cache, fate(reach, Facts::default(), cache));
    }
    let mut room = Room::new(&mut octets);
    _ = (schema::check(m), params::Register::read(m, &mut room), params::Peer::read(m));
    _ = params::List::read(m, &mut room).map(|list| list.announced());
    _ = params::addresses(m, &mut room).map(|all| all.count());
    for (_, value) in &m.params {
        _ = (number::integer(value), number::Timespec::read(value), address::read(value, 1));
        _ = value.plain().map(number::duration);
    }
    let heard = translate::letter(m, &mut octets, |l, reply_to| {
        assert!(l.name.is_empty() || chappe_core::name::is_valid(l.name));
        let reply_to = reply_to.and_then(|r| r.copied::<64>());
        let reply_to =
            reply_to.as_deref().and_then(|r| std::str::from_utf8(r).ok()).filter(|r| emit::is_sayable(r.as_bytes()));
        if let Ok(n) = translate::write_letter(l, (b"h", b"s"), Shown::ToName, reply_to, Form::Text, &mut out) {
            let again = parse::message(&out[..n], &mut []).unwrap();
            let mut room = [0; 32768];
            let same = translate::letter(&again, &mut room, |b, _| {
                // parameters that no message can hold have become a body
                b.params.count() != l.params.count() || (b.name, b.verb, b.body) == (l.name, l.verb, l.body)
            });
            assert_eq!(same, Ok(true));
        }
    });
    assert_ne!(heard, Err(Unheard::NoRoom));
    _ = translate::answer(m, &mut octets, |a| {
        translate::write_answer(a, (b"", b""), (b"", b"x"), Text::from("1"), Form::Text, &mut out)
    });
}

fuzz_target!(|data: &[u8]| {
    let [limit, cut, data @ ..] = data else { return };
    let limit = *limit as usize * 8 + 1;
    let (a, b) = data.split_at((*cut as usize).min(data.len()));
    let whole = lines(&[data], limit);
    assert_eq!(whole, lines(&[a, b], limit));
    let single: Vec<&[u8]> = data.chunks(1).collect();
    assert_eq!(whole, lines(&single, limit));

    let mut spare = [0; parse::ROOM_FOR_NAMES];
    for line in &whole.0 {
        if let Ok(m) = parse::message(line, &mut spare) {
            look_at(&m);
        }
    }
    // all of it as one datagram, in which LFs may stand
    if let Ok(m) = udp::message(data, &[], &mut spare) {
        look_at(&m);
    }
    let mut bus = [0; chappe_core::limits::MAX_NAME];
    if let Ok(there) = name::to_bus(data, &mut bus) {
        assert!(chappe_core::name::is_valid(there) && !chappe_core::name::is_pattern(there));
        assert_eq!(name::from_bus(there, &mut [0; name::MAX_WRITTEN]), Some(data), "one name, there and back");
    }
    if let Ok(there) = std::str::from_utf8(data)
        && chappe_core::name::is_valid(there)
        && !chappe_core::name::is_pattern(there)
    {
        let mut written = [0; name::MAX_WRITTEN];
        let here = name::from_bus(there, &mut written).unwrap();
        assert_eq!(name::to_bus(here, &mut bus), Ok(there), "there and back");
    }
});
