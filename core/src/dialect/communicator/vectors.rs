//! Every vector of `wire/communicator.md`, out of the files of `host-tests`: read and written,
//! whole and in lines that are cut at every octet, and damaged.
//!
//! Owns: the reading of these files (`host-tests/vectors/README.md` has the format). They are
//! found, so adding a vector needs no Rust.

extern crate std;

use super::cache::Cache;
use super::emit::{self, Edit, Form};
use super::frame::Finder;
use super::parse;
use super::repr::{Message, Params};
use super::route::{self, Facts, To};
use super::text::{Room, Text};
use super::translate::{self, Shown};
use super::{address, number, params, schema, udp};
use std::string::{String, ToString as _};
use std::vec::Vec;
use std::{format, fs};

/// A block of a file: what it is called, and its lines.
struct Vector {
    name: String,
    lines: Vec<(String, Vec<u8>)>,
}

impl Vector {
    fn get(&self, key: &str) -> Option<&[u8]> {
        self.lines.iter().find(|(k, _)| k == key).map(|(_, v)| &v[..])
    }

    fn text(&self, key: &str) -> Option<&str> {
        self.get(key).map(|v| core::str::from_utf8(v).unwrap())
    }

    fn params(&self) -> Vec<(Text<'_>, Text<'_>)> {
        let pair = |v: &'_ Vec<u8>| v.iter().position(|b| *b == b' ').unwrap_or(v.len());
        let all = self.lines.iter().filter(|(k, _)| k == "param");
        all.map(|(_, v)| (Text::Plain(&v[..pair(v)]), Text::Plain(v.get(pair(v) + 1..).unwrap_or_default()))).collect()
    }

    fn message<'v>(&'v self, params: &'v [(Text<'v>, Text<'v>)]) -> Message<'v> {
        let of = |key| self.get(key).unwrap_or_default();
        Message {
            from_server: of("from-server"),
            from_service: of("from-service"),
            server: of("server"),
            service: of("service"),
            command: of("command"),
            params: Params::listed(params),
            asks: false,
            raw: b"",
        }
    }
}

fn octets(text: &str) -> Vec<u8> {
    let (mut out, mut left) = (Vec::new(), text.as_bytes());
    while let [first, rest @ ..] = left {
        (out, left) = match rest {
            [b'\\', rest @ ..] if *first == b'\\' => ([&out[..], b"\\"].concat(), rest),
            [b'x', high, low, rest @ ..] if *first == b'\\' => {
                let hex = [*high, *low];
                let b = u8::from_str_radix(core::str::from_utf8(&hex).unwrap(), 16).unwrap();
                ([&out[..], &[b]].concat(), rest)
            }
            rest => ([&out[..], &[*first]].concat(), rest),
        };
    }
    out
}

fn file(name: &str) -> String {
    let path = format!("{}/../host-tests/vectors/communicator/{name}", env!("CARGO_MANIFEST_DIR"));
    fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}"))
}

fn vectors(name: &str) -> Vec<Vector> {
    let mut all: Vec<Vector> = Vec::new();
    for line in file(name).lines().filter(|l| !l.is_empty() && !l.starts_with('#')) {
        if let Some(name) = line.strip_prefix("== ") {
            all.push(Vector { name: name.to_string(), lines: Vec::new() });
        } else {
            let (key, value) = line.split_once(' ').unwrap_or((line, ""));
            all.last_mut().unwrap().lines.push((key.to_string(), octets(value)));
        }
    }
    all
}

fn written(m: &Message<'_>, form: Form) -> Result<Vec<u8>, emit::Unsaid> {
    let mut out = [0xa5; 2048];
    let n = emit::line(m, Edit::NONE, form, &mut out)?;
    assert!(out[n..].iter().all(|b| *b == 0xa5));
    assert_eq!(emit::line(m, Edit::NONE, form, &mut out[..n - 1]), Err(emit::Unsaid::NoRoom));
    Ok(out[..n].strip_suffix(b"\n").unwrap().to_vec())
}

/// What is read is what the vector says, and is written as it says, and read again the same.
fn is_message(v: &Vector, line: &[u8]) {
    let mut spare = [0; 256];
    let got = parse::message(line, &mut spare).unwrap_or_else(|why| panic!("{}: {why:?}", v.name));
    let params = v.params();
    assert_eq!(got, v.message(&params), "{}", v.name);
    if let Some(want) = v.get("out") {
        let out = written(&got, Form::Text).unwrap();
        assert_eq!(String::from_utf8_lossy(&out), String::from_utf8_lossy(want), "{}", v.name);
        let mut again = parse::message(&out, &mut []).unwrap();
        if again.service.is_empty() {
            // section 1.4, step 3
            again.server = got.server;
        }
        assert_eq!(again, got, "{}", v.name);
        // JSON has room for all, and what is written twice is read once
        let json = written(&got, Form::JsonTwice).unwrap();
        assert_eq!(parse::message(&json, &mut [0; 256]).unwrap(), got, "{}", v.name);
        let json = written(&got, Form::Json).unwrap();
        assert_eq!(parse::message(&json, &mut [0; 256]).unwrap().command, got.command);
    } else {
        let why = v.text("refused").unwrap();
        assert_eq!(format!("{:?}", written(&got, Form::Text).unwrap_err()), why);
    }
    if !got.raw.is_empty() {
        let mut out = [0; 2048];
        let n = emit::handed_on(b"hostA", b"foo", got.raw, &mut out).unwrap();
        let again = parse::message(&out[..n], &mut []).unwrap();
        assert_eq!(again, Message { from_server: b"hostA", from_service: b"foo", ..got }, "{}", v.name);
    }
}

#[test]
fn what_is_a_message() {
    let all = [vectors("valid.txt"), vectors("json.txt")].concat_all();
    assert!(all.len() >= 47 + 17);
    for v in all.iter().filter(|v| v.get("why").is_none()) {
        is_message(v, v.get("in").unwrap());
    }
}

#[test]
fn what_is_none() {
    let all = [vectors("invalid.txt"), vectors("json.txt")].concat_all();
    let bad: Vec<&Vector> = all.iter().filter(|v| v.get("why").is_some()).collect();
    assert!(bad.len() >= 29 + 10);
    for v in bad {
        let mut spare = [0; 256];
        let got = parse::message(v.get("in").unwrap(), &mut spare);
        assert_eq!(format!("{:?}", got.unwrap_err()), v.text("why").unwrap(), "{}", v.name);
    }
}

#[test]
fn what_is_written() {
    let all = vectors("written.txt");
    assert!(all.len() >= 13);
    for v in &all {
        let params = v.params();
        let m = v.message(&params);
        match (v.get("out"), written(&m, Form::Text)) {
            (Some(want), Ok(got)) => {
                assert_eq!(String::from_utf8_lossy(&got), String::from_utf8_lossy(want), "{}", v.name);
            }
            (None, Err(why)) => assert_eq!(format!("{why:?}"), v.text("refused").unwrap(), "{}", v.name),
            (_, got) => panic!("{}: {got:?}", v.name),
        }
    }
}

#[test]
fn values_of_parameters() {
    let all = vectors("values.txt");
    assert!(all.len() >= 20);
    for v in &all {
        let (kind, value) = &v.lines[0];
        let text = Text::Plain(value);
        let got = match &kind[..] {
            "integer" => number::integer(text).ok().map(|n| n.to_string()),
            "timespec" => number::Timespec::read(text).ok().map(|t| t.to_string()),
            "version" => params::version(Some(text)).ok().map(|ok| if ok { "ok" } else { "incompatible" }.to_string()),
            other => panic!("{other}"),
        };
        assert_eq!(got.as_deref(), v.text("is"), "{}", v.name);
    }
}

#[test]
fn lines_of_the_transcripts() {
    let text = file("lines.txt");
    for line in text.lines().filter(|l| !l.starts_with('#')) {
        let m = parse::message(line.as_bytes(), &mut []).unwrap_or_else(|why| panic!("{line}: {why:?}"));
        assert_eq!(String::from_utf8_lossy(&written(&m, Form::Text).unwrap()), line);
    }
}

/// Every vector as a line between two others, cut at every octet.
#[test]
fn cut_at_every_octet() {
    let all = [vectors("valid.txt"), vectors("invalid.txt"), vectors("json.txt")].concat_all();
    for v in &all {
        let line = v.get("in").unwrap();
        let stream = [b"FIRST a=1\n\n", line, b"\nLAST\n"].concat();
        for cut in 0..=stream.len() {
            let (mut finder, mut kept, mut found) = (Finder::new(), Vec::new(), Vec::new());
            for mut input in [&stream[..cut], &stream[cut..]] {
                while let Some(size) = finder.line(&mut input, stream.len()).unwrap() {
                    let (part, rest) = input.split_at(size - kept.len());
                    kept.extend_from_slice(part);
                    found.push(core::mem::take(&mut kept));
                    finder.next();
                    input = rest;
                }
                kept.extend_from_slice(input);
            }
            assert_eq!(found.len(), 3, "{} cut at {cut}", v.name);
            assert!(kept.is_empty() && !finder.is_inside());
            if v.get("why").is_none() && cut % 7 == 0 {
                is_message(v, &found[1]);
            }
        }
    }
}

/// Cut short, every vector is a message or none, and nothing else happens.
#[test]
fn half_of_a_line() {
    for v in [vectors("valid.txt"), vectors("invalid.txt"), vectors("json.txt")].concat_all() {
        let line = v.get("in").unwrap();
        for end in 0..line.len() {
            for half in [&line[..end], &line[end..]] {
                if let Ok(m) = parse::message(half, &mut [0; 256]) {
                    _ = written(&m, Form::Text);
                }
            }
        }
    }
}

/// Vectors with octets changed, left out and doubled: whatever they are, everything that looks
/// at messages says something and does no harm.
#[test]
fn lines_that_were_damaged() {
    let mut seed = 0x5eed_c0de_5eed_c0deu64;
    let mut chance = move |below: usize| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        (seed >> 20) as usize % below
    };
    let mut all = [vectors("valid.txt"), vectors("invalid.txt"), vectors("json.txt")].concat_all();
    let text = file("lines.txt");
    for line in text.lines() {
        all.push(Vector { name: String::new(), lines: Vec::from([("in".to_string(), line.as_bytes().to_vec())]) });
    }
    let mut out = [0; 4096];
    for _ in 0..60_000 {
        let mut bytes = all[chance(all.len())].get("in").unwrap().to_vec();
        for _ in 0..chance(4) {
            let at = chance(bytes.len().max(1)).min(bytes.len());
            match chance(4) {
                0 if at < bytes.len() => bytes[at] = chance(256) as u8,
                1 if at < bytes.len() => _ = bytes.remove(at),
                2 => bytes.truncate(at),
                _ => bytes.insert(at, b" =:/;\"\\<{}\x00\xff\n\r1,"[chance(16)]),
            }
        }
        let mut spare = [0; 256];
        let Ok(m) = parse::message(&bytes, &mut spare) else { continue };
        look_at(&m, &mut out);
    }
}

trait ConcatAll {
    fn concat_all(self) -> Vec<Vector>;
}

impl<const N: usize> ConcatAll for [Vec<Vector>; N] {
    fn concat_all(self) -> Vec<Vector> {
        self.into_iter().flatten().collect()
    }
}

/// Everything that looks at a message.
fn look_at(m: &Message<'_>, out: &mut [u8]) {
    if let Ok(n) = emit::line(m, Edit::NONE, Form::Text, out) {
        let again = parse::message(&out[..n], &mut []).unwrap();
        assert!(again.params == m.params && again.command == m.command && again.service == m.service);
    }
    if let Ok(n) = emit::line(m, Edit::NONE, Form::JsonTwice, out) {
        assert_eq!(parse::message(&out[..n], &mut [0; 2048]).as_ref(), Ok(m));
    }
    _ = (emit::datagram(m, Edit::NONE, out), udp::is_right(m.get(udp::SECRET), b"secret"));
    _ = (schema::check(m).map_err(|why| why.text()), Cache::of(m));
    let to = To::of(m, b"hostA");
    if let To::Service { reach, .. } = to {
        for bits in 0..16 {
            let has = |bit| bits & bit != 0;
            let facts = Facts { is_here: has(1), is_sender: has(2), is_declared: has(4), has_links: has(8) };
            _ = route::reports(m, Cache::of(m), route::fate(reach, facts, Cache::of(m)));
        }
    }
    let mut octets = [0; 64];
    let mut room = Room::new(&mut octets);
    _ = params::Register::read(m, &mut room).map_err(|why| why.text());
    _ = params::List::read(m, &mut room).map(|list| (list.announced(), list.odd()));
    _ = (params::Peer::read(m), params::service(m, &mut room), params::Alive::read(m));
    _ = params::addresses(m, &mut room).map(|all| all.count());
    for (key, value) in &m.params {
        _ = (number::integer(value), number::Timespec::read(value), address::read(key, 1));
        if let Some(plain) = value.plain() {
            _ = number::duration(plain);
        }
    }
    // with all the room there may be need of, only names are refused
    let mut room = [0; 8192];
    let heard = translate::letter(m, &mut room, |l, reply_to| {
        assert_eq!(l.ask, reply_to.is_some());
        let reply_to = reply_to.and_then(|r| r.copied::<64>()).map(|r| String::from_utf8_lossy(&r).into_owned());
        translate::write_letter(l, (b"h", b"s"), Shown::ToName, reply_to.as_deref(), Form::Text, out)
    });
    assert_ne!(heard, Err(translate::Unheard::NoRoom));
    _ = translate::answer(m, &mut room, |a| {
        translate::write_answer(a, (b"", b""), (b"", b"x"), Text::from("1"), Form::Text, out)
    });
}
