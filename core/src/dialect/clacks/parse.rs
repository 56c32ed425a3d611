//! A line to what it says (`wire/clacks.md` sections 6 to 9).
//!
//! Owns: which words there are and where their parts begin and end. Every line is something:
//! what is no command is [`Command::Unknown`]. Does not own where a line ends (`frame.rs`), nor
//! what may be done about it (`session.rs`).

use super::frame::find;
use super::repr::{Command, Fields, KeySync, Line, Overhead};
use super::time::Time;
use nom::Parser;
use nom::bytes::complete::{tag, take_till1};

/// What a client, or a server over a link, says. `line` has neither CR nor LF.
#[inline]
pub fn command(line: &[u8]) -> Command<'_> {
    known(line).unwrap_or(Command::Unknown(line))
}

/// What a server says to a client or, over a link, to another server.
#[inline]
pub fn line(line: &[u8]) -> Line<'_> {
    from_server(line).unwrap_or(Line::Unknown(line))
}

#[inline]
fn known(line: &[u8]) -> Option<Command<'_>> {
    let (first, rest) = line.split_first()?;
    let begins = |word: &[u8]| rest.starts_with(word);
    match first {
        b'S' => {
            if let Some(argument) = rest.strip_prefix(b"ET ") {
                return pair(argument).map(|(name, value)| Command::Set { name, value });
            }
            if let Some(argument) = rest.strip_prefix(b"TORE ") {
                return pair(argument).map(|(name, value)| Command::Store { name, value });
            }
            let (name, value) = pair(rest.strip_prefix(b"ETANDSTORE ")?)?;
            Some(Command::SetAndStore { name, value })
        }
        b'N' if begins(b"OPING") => Some(Command::NoPing),
        b'N' => rest.strip_prefix(b"OTIFY ").map(Command::Notify),
        b'R' => match rest.strip_prefix(b"ETRIEVE ") {
            Some(key) => some(key).map(Command::Retrieve),
            None => rest.strip_prefix(b"EMOVE ").and_then(some).map(Command::Remove),
        },
        b'I' => count(rest.strip_prefix(b"NCREMENT ")?).map(|(name, step)| Command::Increment { name, step }),
        b'D' => count(rest.strip_prefix(b"ECREMENT ")?).map(|(name, step)| Command::Decrement { name, step }),
        b'L' => rest.strip_prefix(b"ISTEN ").map(Command::Listen),
        b'U' if begins(b"NMONITOR") => Some(Command::Unmonitor),
        b'U' => rest.strip_prefix(b"NLISTEN ").map(Command::Unlisten),
        b'P' if begins(b"ING") => Some(Command::Ping),
        b'F' => rest.strip_prefix(b"LUSH ").and_then(some).map(Command::Flush),
        b'O' => overhead(rest.strip_prefix(b"VERHEAD ")?).map(Command::Overhead),
        b'K' if begins(b"EYLIST") => Some(Command::KeyList),
        b'K' => key_sync(line).map(Command::KeySync),
        b'C' if begins(b"LIENTLIST") => Some(Command::ClientList),
        b'C' if begins(b"LEARCACHE") => Some(Command::ClearCache),
        b'C' => match rest.strip_prefix(b"LACKS ") {
            Some(text) => some(text).map(Command::Clacks),
            None => rest.strip_prefix(b"LIENTDISCONNECT ").and_then(some).map(Command::ClientDisconnect),
        },
        b'M' if begins(b"ONITOR") => Some(Command::Monitor),
        b'Q' if begins(b"UIT") => Some(Command::Quit),
        b'T' if begins(b"IMEOUT") => Some(Command::Timeout),
        _ => None,
    }
}

fn from_server(line: &[u8]) -> Option<Line<'_>> {
    let after = |word: &[u8]| line.strip_prefix(word);
    if let Some(argument) = after(b"SET ") {
        return pair(argument).map(|(name, value)| Line::Set { name, value });
    }
    if let Some(name) = after(b"NOTIFY ") {
        return Some(Line::Notify(name));
    }
    match line {
        b"KEYLISTSTART" => return Some(Line::KeyListStart),
        b"KEYLISTEND" => return Some(Line::KeyListEnd),
        b"CLIENTLISTSTART" => return Some(Line::ClientListStart),
        b"CLIENTLISTEND" => return Some(Line::ClientListEnd),
        b"NOP" => return Some(Line::Nop),
        b"QUIT" => return Some(Line::Quit),
        b"TIMEOUT" => return Some(Line::Timeout),
        _ => {}
    }
    if let Some(argument) = after(b"OVERHEAD ") {
        return overhead(argument).map(Line::Overhead);
    }
    if let Some(argument) = after(b"DEBUG ") {
        return pair(argument).map(|(source, text)| Line::Debug { source, text });
    }
    for (word, line) in [
        (&b"RETRIEVED "[..], Line::Retrieved as fn(_) -> _),
        (b"NOTRETRIEVED ", Line::NotRetrieved),
        (b"KEY ", Line::Key),
        (b"FLUSHED ", Line::Flushed),
        (b"CLIENT ", |fields| Line::Client(Fields(fields))),
        (b"CLACKS ", Line::Clacks),
    ] {
        if let Some(rest) = after(word) {
            return Some(line(rest));
        }
    }
    match known(line)? {
        command if command.crosses() => Some(Line::Command(command)),
        Command::Ping => Some(Line::Command(Command::Ping)),
        _ => None,
    }
}

/// At least one octet.
#[inline]
fn some(text: &[u8]) -> Option<&[u8]> {
    (!text.is_empty()).then_some(text)
}

/// Splits at the first `=` that is not the very first octet (section 3).
#[inline]
fn pair(argument: &[u8]) -> Option<(&[u8], &[u8])> {
    let (name, value) = argument.split_at_checked(find(argument, b'=', 1)?)?;
    Some((name, value.get(1..)?))
}

/// Splits at the last `=` that has something before and behind it (section 8.3).
fn count(argument: &[u8]) -> Option<(&[u8], Option<&[u8]>)> {
    let within = argument.get(1..argument.len().saturating_sub(1)).unwrap_or_default();
    match within.iter().rposition(|b| *b == b'=') {
        Some(at) => Some((argument.get(..at + 1)?, argument.get(at + 2..))),
        None => some(argument).map(|name| (name, None)),
    }
}

/// Flags, and text if there is any (section 9). No flags at all is no overhead.
fn overhead(argument: &[u8]) -> Option<Overhead<'_>> {
    let end = argument.iter().position(|b| *b == b' ').unwrap_or(argument.len());
    let (flags, text) = argument.split_at_checked(end)?;
    some(argument).map(|_| Overhead { flags, text: text.get(1..).unwrap_or_default() })
}

/// `KEYSYNC`, both times, mode, key and value (section 12.3).
fn key_sync(line: &[u8]) -> Option<KeySync<'_>> {
    let word = || take_till1::<_, &[u8], nom::error::Error<&[u8]>>(|b| b == b' ');
    let blank = || tag(&b" "[..]);
    let mut parts = (tag(&b"KEYSYNC "[..]), word(), blank(), word(), blank(), word(), blank());
    let (argument, (_, modified, _, accessed, _, mode, _)) = parts.parse(line).ok()?;
    let (name, value) = pair(argument)?;
    Some(KeySync {
        modified: Time::parse(modified),
        accessed: Time::parse(accessed),
        deleted: mode == b"D",
        name,
        value,
    })
}

#[cfg(test)]
mod tests {
    use super::super::emit;
    use super::super::frame::has_line_end;
    use super::super::repr::Need;
    use super::*;

    #[test]
    fn each_row_of_section_6() {
        use Command as C;
        let flags = |flags, text| C::Overhead(Overhead { flags, text });
        let sync = KeySync {
            modified: Time::from_micros(1_500_000),
            accessed: Time::from_micros(2_000_000),
            deleted: false,
            name: b"k y",
            value: b"v = w",
        };
        for (line, want, need, crosses) in [
            (&b"CLACKS x"[..], C::Clacks(b"x"), Need::Nothing, false),
            (b"OVERHEAD GM hi", flags(b"GM", b"hi"), Need::Nothing, false),
            (b"NOTIFY n", C::Notify(b"n"), Need::Write, true),
            (b"NOTIFY ", C::Notify(b""), Need::Write, true),
            (b"SET n=v", C::Set { name: b"n", value: b"v" }, Need::Write, true),
            (b"SETANDSTORE n=v", C::SetAndStore { name: b"n", value: b"v" }, Need::Write, true),
            (b"STORE n=v", C::Store { name: b"n", value: b"v" }, Need::Write, true),
            (b"RETRIEVE n", C::Retrieve(b"n"), Need::Read, false),
            (b"REMOVE n", C::Remove(b"n"), Need::Write, true),
            (b"INCREMENT n", C::Increment { name: b"n", step: None }, Need::Write, true),
            (b"INCREMENT n=2", C::Increment { name: b"n", step: Some(b"2") }, Need::Write, true),
            (b"DECREMENT n", C::Decrement { name: b"n", step: None }, Need::Write, true),
            (b"DECREMENT n=2", C::Decrement { name: b"n", step: Some(b"2") }, Need::Write, true),
            (b"KEYLIST", C::KeyList, Need::Read, false),
            (b"CLEARCACHE", C::ClearCache, Need::Manage, true),
            (b"LISTEN n", C::Listen(b"n"), Need::Read, false),
            (b"LISTEN ", C::Listen(b""), Need::Read, false),
            (b"UNLISTEN n", C::Unlisten(b"n"), Need::Read, false),
            (b"UNLISTEN ", C::Unlisten(b""), Need::Read, false),
            (b"PING", C::Ping, Need::Nothing, false),
            (b"NOPING", C::NoPing, Need::Nothing, false),
            (b"QUIT", C::Quit, Need::Nothing, false),
            (b"FLUSH  1 ", C::Flush(b" 1 "), Need::Nothing, false),
            (b"MONITOR", C::Monitor, Need::Manage, false),
            (b"UNMONITOR", C::Unmonitor, Need::Manage, false),
            (b"CLIENTLIST", C::ClientList, Need::Manage, false),
            (b"CLIENTDISCONNECT a:1", C::ClientDisconnect(b"a:1"), Need::Manage, false),
            (b"KEYSYNC 1.5 2 U k y=v = w", C::KeySync(sync), Need::Interclacks, true),
            (b"TIMEOUT", C::Timeout, Need::Interclacks, false),
            (b"what else", C::Unknown(b"what else"), Need::Nothing, false),
        ] {
            assert_eq!(command(line), want, "{line:?}");
            assert_eq!((want.need(), want.crosses()), (need, crosses), "{line:?}");
        }
    }

    #[test]
    fn words_that_need_no_end() {
        use Command as C;
        for (word, want) in [
            ("KEYLIST", C::KeyList),
            ("CLEARCACHE", C::ClearCache),
            ("MONITOR", C::Monitor),
            ("UNMONITOR", C::Unmonitor),
            ("QUIT", C::Quit),
            ("PING", C::Ping),
            ("NOPING", C::NoPing),
            ("CLIENTLIST", C::ClientList),
            ("TIMEOUT", C::Timeout),
        ] {
            for behind in ["", "xyz", " ", " a=b", "\0", "START"] {
                let mut line = heapless::String::<32>::new();
                line.push_str(word).unwrap();
                line.push_str(behind).unwrap();
                assert_eq!(command(line.as_bytes()), want, "{line}");
            }
            for end in 0..word.len() {
                let part = &word.as_bytes()[..end];
                assert_eq!(command(part), C::Unknown(part));
            }
        }
    }

    #[test]
    fn anything_else_is_unknown() {
        for line in [
            &b""[..],
            b" ",
            b"STORE",
            b"STORE ",
            b"STORE x",
            b"STORE =x",
            b"STORE =",
            b"SET",
            b"SET ",
            b"SET x",
            b"SETx=1",
            b"SET=1",
            b" SET x=1",
            b"set x=1",
            b"SETANDSTORE x",
            b"SETANDSTORE =x",
            b"SETTER x=1",
            b"RETRIEVE",
            b"RETRIEVE ",
            b"REMOVE ",
            b"INCREMENT",
            b"INCREMENT ",
            b"DECREMENT ",
            b"NOTIFY",
            b"LISTEN",
            b"UNLISTEN",
            b"FLUSH",
            b"FLUSH ",
            b"CLACKS",
            b"CLACKS ",
            b"CLIENTDISCONNECT ",
            b"OVERHEAD",
            b"OVERHEAD ",
            b"KEYSYNC",
            b"KEYSYNC x",
            b"KEYSYNC 1 1 U",
            b"KEYSYNC 1 1 U ",
            b"KEYSYNC 1 1 U a",
            b"KEYSYNC 1 1 U =a",
            b"KEYSYNC  1 1 U a=b",
            b"KEYSYNC 1  1 U a=b",
            // as version 21 and older wrote it
            b"KEYSYNC 1 U a=b",
            b"NOP",
            b"FLUSHED x",
            b"RETRIEVED x=1",
            b"DEBUG x=1",
            b"LISTENLIST",
            b"\xff\0",
        ] {
            assert_eq!(command(line), Command::Unknown(line));
        }
    }

    #[test]
    fn the_first_sign_splits_unless_it_is_first() {
        for (argument, want) in [
            (&b"x=1"[..], Some((&b"x"[..], &b"1"[..]))),
            (b"x=", Some((b"x", b""))),
            (b"x==", Some((b"x", b"="))),
            (b"x=a=b = c", Some((b"x", b"a=b = c"))),
            (b"=x=1", Some((b"=x", b"1"))),
            (b"==1", Some((b"=", b"1"))),
            (b"==", Some((b"=", b""))),
            (b"=x", None),
            (b"=", None),
            (b"", None),
            (b"x", None),
            (b" = ", Some((b" ", b" "))),
            (b"\0\xff=\0", Some((b"\0\xff", b"\0"))),
            (b"0123456789abcdef=x", Some((b"0123456789abcdef", b"x"))),
        ] {
            assert_eq!(pair(argument), want, "{argument:?}");
        }
    }

    #[test]
    fn the_last_sign_within_splits_a_count() {
        for (argument, want) in [
            (&b"x"[..], Some((&b"x"[..], None))),
            (b"x=", Some((b"x=", None))),
            (b"=x", Some((b"=x", None))),
            (b"=", Some((b"=", None))),
            (b"==", Some((b"==", None))),
            (b"a=b", Some((b"a", Some(&b"b"[..])))),
            (b"a=b=3", Some((b"a=b", Some(b"3")))),
            (b"a==", Some((b"a", Some(b"=")))),
            (b"a===", Some((b"a=", Some(b"=")))),
            (b"==5", Some((b"=", Some(b"5")))),
            (b"a=5=", Some((b"a", Some(b"5=")))),
            (b" = ", Some((b" ", Some(b" ")))),
            (b"", None),
        ] {
            assert_eq!(count(argument), want, "{argument:?}");
        }
    }

    #[test]
    fn flags_end_at_the_first_blank() {
        let o = |flags, text| Command::Overhead(Overhead { flags, text });
        for (line, want) in [
            (&b"OVERHEAD X"[..], o(&b"X"[..], &b""[..])),
            (b"OVERHEAD X ", o(b"X", b"")),
            (b"OVERHEAD X  ", o(b"X", b" ")),
            (b"OVERHEAD GM  a b ", o(b"GM", b" a b ")),
            (b"OVERHEAD  A x", o(b"", b"A x")),
            (b"OVERHEAD ?\xff x", o(b"?\xff", b"x")),
        ] {
            assert_eq!(command(line), want, "{line:?}");
        }
    }

    #[test]
    fn entries_that_link_peers_write_oddly() {
        let sync = |line| match command(line) {
            Command::KeySync(sync) => sync,
            other => panic!("{other:?}"),
        };
        assert_eq!(sync(b"KEYSYNC x y U a=b").modified, Time::ZERO);
        assert!(sync(b"KEYSYNC 1 0 D a=b").deleted);
        for value in [&b"KEYSYNC 1 0 S a=b"[..], b"KEYSYNC 1 0 DD a=b", b"KEYSYNC 1 0 d a=b", b"KEYSYNC 1 0 DU a=b"] {
            assert!(!sync(value).deleted);
        }
        assert_eq!(sync(b"KEYSYNC 1 0 U =a b=c=d").name, b"=a b");
    }

    #[test]
    fn what_servers_say_beyond_the_vectors() {
        use Line as L;
        for (bytes, want) in [
            (&b"CLACKS "[..], L::Clacks(b"")),
            (b"NOTIFY ", L::Notify(b"")),
            (b"SET x", L::Unknown(b"SET x")),
            (b"SET =x", L::Unknown(b"SET =x")),
            (b"DEBUG x", L::Unknown(b"DEBUG x")),
            (b"DEBUG CONNECTED=127.0.0.1:1:1", L::Debug { source: b"CONNECTED", text: b"127.0.0.1:1:1" }),
            (b"DEBUG SERVERCACHE=CLEANDELETED=b", L::Debug { source: b"SERVERCACHE", text: b"CLEANDELETED=b" }),
            (b"NOP", L::Nop),
            (b"TIMEOUT", L::Timeout),
            (b"KEY a=b", L::Key(b"a=b")),
            (b"OVERHEAD G x", L::Overhead(Overhead { flags: b"G", text: b"x" })),
            (b"OVERHEAD", L::Unknown(b"OVERHEAD")),
            (b"RETRIEVE x", L::Unknown(b"RETRIEVE x")),
            (b"LISTEN x", L::Unknown(b"LISTEN x")),
            (b"NONSENSE", L::Unknown(b"NONSENSE")),
            (b"", L::Unknown(b"")),
        ] {
            assert_eq!(line(bytes), want, "{bytes:?}");
        }
    }

    /// What is parsed can be said again and means the same; what cannot be said is not begun.
    #[test]
    fn lines_of_chance() {
        let mut seed = 0x0bad_cafe_dead_beefu64;
        let mut chance = move |below: u64| {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            (seed >> 20) % below
        };
        const PIECES: &[&[u8]] = &[
            b"SET ",
            b"STORE ",
            b"SETANDSTORE ",
            b"RETRIEVE ",
            b"REMOVE ",
            b"INCREMENT ",
            b"DECREMENT ",
            b"KEYLIST",
            b"NOTIFY ",
            b"LISTEN ",
            b"UNLISTEN ",
            b"OVERHEAD ",
            b"KEYSYNC ",
            b"CLACKS ",
            b"FLUSH ",
            b"CLIENT ",
            b"DEBUG ",
            b"RETRIEVED ",
            b"KEY ",
            b"PING",
            b"QUIT",
            b"CLIENTDISCONNECT ",
            b"U",
            b"D",
            b" ",
            b" ",
            b"=",
            b"=",
            b"=",
            b"a",
            b"key",
            b"1700000000.12345",
            b"1",
            b"1e3",
            b"\xff",
            b"\0",
            b"GM",
            b"A",
            b"x;y",
            b"START",
        ];
        let (mut sayable, mut out) = (0, [0xa5; 512]);
        for round in 0..60_000 {
            let mut bytes = heapless::Vec::<u8, 256>::new();
            for _ in 0..chance(9) {
                bytes.extend_from_slice(PIECES[chance(PIECES.len() as u64) as usize]).unwrap();
            }
            if round % 3 == 0 {
                bytes.iter_mut().for_each(|b| *b = if chance(8) == 0 { chance(256) as u8 } else { *b });
                bytes.retain(|b| !matches!(b, b'\r' | b'\n'));
            }
            let c = command(&bytes);
            let n = emit::command(&c, &mut out).unwrap();
            if n > 0 {
                sayable += 1;
                assert_eq!(&out[n - 2..n], b"\r\n");
                let again = &out[..n - 2];
                assert!(!has_line_end(again));
                match (c, command(again)) {
                    (Command::KeySync(a), Command::KeySync(b)) => {
                        assert_eq!(
                            (a.modified.micros() / 10, a.deleted, a.name),
                            (b.modified.micros() / 10, b.deleted, b.name)
                        );
                        assert!(a.deleted || a.value == b.value);
                    }
                    (c, again) => assert_eq!(c, again, "{bytes:?}"),
                }
                assert_eq!(emit::command(&c, &mut out[..n - 1]), None, "what does not fit is not said");
            }
            let l = line(&bytes);
            let n = emit::line(&l, &mut out).unwrap();
            if n > 0 && !matches!(l, Line::Command(Command::KeySync(_))) {
                assert_eq!(line(&out[..n - 2]), l, "{bytes:?}");
            }
        }
        assert!(sayable > 50_000, "{sayable}");
    }
}
