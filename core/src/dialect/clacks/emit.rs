//! What is said, to a line (`wire/clacks.md` sections 6 and 7).
//!
//! Owns: the exact spelling of every line in both directions. Each function writes whole
//! lines into the caller's slice and returns their octets, by the rule of the seam: `None` if
//! they do not fit, 0 if there is no way to say it. There is none if a part has a CR or LF,
//! which would begin another line (weak point 7), if a name is empty that must not be, or if
//! it has the `=` that ends it. Does not own what is said in place of those (`translate.rs`).

use super::frame::{CR, LF, find, has_line_end};
use super::overhead::Flags;
use super::repr::{Client, Command, KeySync, Line, Overhead};
use super::time::Time;
use super::{AS_SLAVE, GREETING, token, translate};
pub use crate::dialect::text::Writer;
use crate::model::{Answer, Closing, Code, Letter, Outcome, ServerToClient};

impl Writer<'_> {
    /// The end of a line.
    #[inline]
    pub fn end(&mut self) {
        self.bytes(&[CR, LF]);
    }
}

/// One line of these parts.
#[inline]
fn whole(out: &mut [u8], parts: &[&[u8]]) -> Option<usize> {
    if parts.iter().any(|part| has_line_end(part)) {
        return Some(0);
    }
    let mut w = Writer::new(out);
    for part in parts {
        w.bytes(part);
    }
    w.end();
    w.finish()
}

/// A line of a word, a name, `=` and a value.
#[inline]
fn pair(out: &mut [u8], word: &[u8], name: &[u8], value: &[u8]) -> Option<usize> {
    if !can_be_set(name) {
        return Some(0);
    }
    whole(out, &[word, name, b"=", value])
}

/// A line of a word and what must not be empty.
fn some(out: &mut [u8], word: &[u8], what: &[u8]) -> Option<usize> {
    if what.is_empty() {
        return Some(0);
    }
    whole(out, &[word, what])
}

/// Whether a name can stand before the `=` of a value: it has no other, but as its first
/// octet.
#[inline]
pub fn can_be_set(name: &[u8]) -> bool {
    !name.is_empty() && find(name, b'=', 1).is_none()
}

/// What a client, or a server over a link, says: section 6.
pub fn command(command: &Command<'_>, out: &mut [u8]) -> Option<usize> {
    match *command {
        Command::Clacks(text) => some(out, b"CLACKS ", text),
        Command::Overhead(o) => overhead(o, out),
        Command::Notify(name) => whole(out, &[b"NOTIFY ", name]),
        Command::Set { name, value } => pair(out, b"SET ", name, value),
        Command::SetAndStore { name, value } => pair(out, b"SETANDSTORE ", name, value),
        Command::Store { name, value } => pair(out, b"STORE ", name, value),
        Command::Retrieve(key) => some(out, b"RETRIEVE ", key),
        Command::Remove(key) => some(out, b"REMOVE ", key),
        Command::Increment { name, step } => count(out, b"INCREMENT ", name, step),
        Command::Decrement { name, step } => count(out, b"DECREMENT ", name, step),
        Command::KeyList => whole(out, &[b"KEYLIST"]),
        Command::ClearCache => whole(out, &[b"CLEARCACHE"]),
        Command::Listen(name) => whole(out, &[b"LISTEN ", name]),
        Command::Unlisten(name) => whole(out, &[b"UNLISTEN ", name]),
        Command::Ping => whole(out, &[b"PING"]),
        Command::NoPing => whole(out, &[b"NOPING"]),
        Command::Quit => whole(out, &[b"QUIT"]),
        Command::Flush(id) => some(out, b"FLUSH ", id),
        Command::Monitor => whole(out, &[b"MONITOR"]),
        Command::Unmonitor => whole(out, &[b"UNMONITOR"]),
        Command::ClientList => whole(out, &[b"CLIENTLIST"]),
        Command::ClientDisconnect(id) => some(out, b"CLIENTDISCONNECT ", id),
        Command::KeySync(sync) => key_sync(&sync, out),
        Command::Timeout => whole(out, &[b"TIMEOUT"]),
        Command::Unknown(line) => some(out, b"", line),
    }
}

/// What a server says: section 7.
pub fn line(line: &Line<'_>, out: &mut [u8]) -> Option<usize> {
    match *line {
        Line::Set { name, value } => pair(out, b"SET ", name, value),
        Line::Notify(name) => whole(out, &[b"NOTIFY ", name]),
        Line::Clacks(text) => whole(out, &[b"CLACKS ", text]),
        Line::Overhead(o) => overhead(o, out),
        Line::Retrieved(both) => whole(out, &[b"RETRIEVED ", both]),
        Line::NotRetrieved(key) => whole(out, &[b"NOTRETRIEVED ", key]),
        Line::KeyListStart => whole(out, &[b"KEYLISTSTART"]),
        Line::Key(key) => whole(out, &[b"KEY ", key]),
        Line::KeyListEnd => whole(out, &[b"KEYLISTEND"]),
        Line::ClientListStart => whole(out, &[b"CLIENTLISTSTART"]),
        Line::Client(fields) => whole(out, &[b"CLIENT ", fields.0]),
        Line::ClientListEnd => whole(out, &[b"CLIENTLISTEND"]),
        Line::Flushed(id) => whole(out, &[b"FLUSHED ", id]),
        Line::Debug { source, text } => pair(out, b"DEBUG ", source, text),
        Line::Nop => whole(out, &[b"NOP"]),
        Line::Quit => whole(out, &[b"QUIT"]),
        Line::Timeout => whole(out, &[b"TIMEOUT"]),
        Line::Command(c) => command(&c, out),
        Line::Unknown(line) => some(out, b"", line),
    }
}

/// A line that came, on its way to a link, or what came behind `SETANDSTORE ` behind `SET `:
/// checked when it came, and not again.
#[inline]
pub fn again(word: &[u8], rest: &[u8], out: &mut [u8]) -> Option<usize> {
    debug_assert!(!has_line_end(word) && !has_line_end(rest));
    let mut w = Writer::new(out);
    w.bytes(word);
    w.bytes(rest);
    w.end();
    w.finish()
}

/// The two lines that a server begins with, or one that has just become a link's (sections
/// 4.1 and 12.2). `more`: behind the usual words.
pub fn greeting(more: &str, out: &mut [u8]) -> Option<usize> {
    two(out, |out| whole(out, &[b"CLACKS ", GREETING.as_bytes(), more.as_bytes()]), |out| line(&Line::LOGIN, out))
}

/// A client's first two lines. 0: the name is empty, or has what no line can have.
pub fn hello(name: &[u8], user: &[u8], password: &[u8], out: &mut [u8]) -> Option<usize> {
    two(out, |out| some(out, b"CLACKS ", name), |out| login(user, password, out))
}

/// A slave's first three lines, said without waiting for anything (section 12.2).
pub fn slave(user: &[u8], password: &[u8], out: &mut [u8]) -> Option<usize> {
    two(
        out,
        |out| whole(out, &[b"CLACKS ", GREETING.as_bytes(), AS_SLAVE.as_bytes()]),
        |out| two(out, |out| login(user, password, out), |out| whole(out, &[b"OVERHEAD I 1"])),
    )
}

/// What the own clock says, for [`KeySync`]s behind it.
pub fn clock(now: Time, out: &mut [u8]) -> Option<usize> {
    let mut w = Writer::new(out);
    w.bytes(b"OVERHEAD T ");
    now.write(&mut w);
    w.end();
    w.finish()
}

/// A client's token, or a server's on a link.
pub fn login(user: &[u8], password: &[u8], out: &mut [u8]) -> Option<usize> {
    let mut w = Writer::new(out);
    w.bytes(b"OVERHEAD A ");
    token::write(user, password, &mut w);
    w.end();
    w.finish()
}

/// `QUIT` or `TIMEOUT` as a server says it: behind an empty line (section 4.4).
pub fn parting(last: &Line<'_>, out: &mut [u8]) -> Option<usize> {
    two(out, |out| whole(out, &[]), |out| line(last, out))
}

/// Both or nothing.
fn two(
    out: &mut [u8],
    first: impl FnOnce(&mut [u8]) -> Option<usize>,
    second: impl FnOnce(&mut [u8]) -> Option<usize>,
) -> Option<usize> {
    let n = first(out)?;
    let m = second(out.get_mut(n..)?)?;
    Some(if n == 0 || m == 0 { 0 } else { n + m })
}

/// Something of the model. Most of it has no words here: this dialect tells how a request went
/// only if it failed, and has no news of others.
pub(crate) fn say(what: &ServerToClient<'_>, out: &mut [u8]) -> Option<usize> {
    match what {
        ServerToClient::Outcome(Outcome { code, text, .. }) => match code {
            Code::Ok => Some(0),
            Code::Refused => line(&Line::DENIED, out),
            code => failure(*code, text, out),
        },
        ServerToClient::Closing(Closing { code, text, .. }) => match code {
            // dismissed by who manages the server, or with everybody else
            Code::Stopping | Code::Refused => parting(&Line::Quit, out),
            Code::Silent | Code::Slow => parting(&Line::Timeout, out),
            Code::BadCredentials => line(&Line::FAILED, out),
            Code::Full => failure(*code, text, out),
            // who has not logged in is told nothing; what was wrong with a line was said before
            _ => Some(0),
        },
        _ => Some(0),
    }
}

/// What this dialect has no words of its own for: as it says that something is denied.
fn failure(code: Code, text: &str, out: &mut [u8]) -> Option<usize> {
    let text = if text.is_empty() { code.text() } else { text };
    let word: &[u8] = match code {
        Code::BadName => b"bad_name",
        Code::Full => b"full",
        Code::TooBig => b"too_big",
        Code::NotStored => b"not_stored",
        Code::TimedOut => b"timed_out",
        _ => b"failed",
    };
    whole(out, &[b"OVERHEAD E ", word, b" ", text.as_bytes()])
}

/// A signal of this dialect to who listens, out of the line that said it.
#[inline]
pub(crate) fn signal(line: &[u8], out: &mut [u8]) -> Option<usize> {
    match line.strip_prefix(b"SETANDSTORE ") {
        Some(rest) => again(b"SET ", rest, out),
        None => again(b"", line, out),
    }
}

/// A letter of another dialect (`design.md` section 3).
pub fn letter(letter: &Letter<'_>, out: &mut [u8]) -> Option<usize> {
    let mut w = Writer::new(out);
    translate::write_letter(letter, &mut w);
    w.finish()
}

/// An answer to who gave `name` as the one to answer to.
pub fn answer(name: &str, answer: &Answer<'_>, out: &mut [u8]) -> Option<usize> {
    let mut w = Writer::new(out);
    translate::write_answer(name, answer, &mut w);
    w.finish()
}

/// The answer to `RETRIEVE` of a key that has a value, which may be any. The key is repeated
/// as it was asked for, even with a `=` in it.
#[inline]
pub fn retrieved(key: &[u8], value: &[u8], out: &mut [u8]) -> Option<usize> {
    if has_line_end(key) {
        return Some(0);
    }
    let mut w = Writer::new(out);
    w.bytes(b"RETRIEVED ");
    w.bytes(key);
    w.bytes(b"=");
    translate::write_value(value, &mut w);
    w.end();
    w.finish()
}

/// The answer to a line that is no command.
pub fn unknown_command(line: &[u8], out: &mut [u8]) -> Option<usize> {
    whole(out, &[b"OVERHEAD E unknown_command ", line])
}

/// An overhead with flags in the order in which they are forwarded.
pub fn forwarded(flags: Flags, text: &[u8], out: &mut [u8]) -> Option<usize> {
    let mut letters = heapless::Vec::<u8, 26>::new();
    for letter in flags.letters() {
        // there are 26
        let _ = letters.push(letter);
    }
    overhead(Overhead { flags: &letters, text }, out)
}

fn overhead(o: Overhead<'_>, out: &mut [u8]) -> Option<usize> {
    match (o.flags.contains(&b' '), o.flags.is_empty() && o.text.is_empty()) {
        (false, false) if o.text.is_empty() => whole(out, &[b"OVERHEAD ", o.flags]),
        (false, false) => whole(out, &[b"OVERHEAD ", o.flags, b" ", o.text]),
        // it would be read as something else
        _ => Some(0),
    }
}

/// A key, and a step behind it. Without one, the key must not look as if it had one.
fn count(out: &mut [u8], word: &[u8], name: &[u8], step: Option<&[u8]>) -> Option<usize> {
    let within = name.get(1..name.len().saturating_sub(1)).unwrap_or_default();
    match step {
        Some(step) if step.is_empty() || step.get(..step.len() - 1)?.contains(&b'=') => Some(0),
        _ if name.is_empty() => Some(0),
        Some(step) => whole(out, &[word, name, b"=", step]),
        None if within.contains(&b'=') => Some(0),
        None => whole(out, &[word, name]),
    }
}

/// An entry of a store (section 12.3), whose value may be any. A deletion mark is written as
/// the original does: with no access time, and a value that nobody reads.
pub fn key_sync(sync: &KeySync<'_>, out: &mut [u8]) -> Option<usize> {
    if !can_be_set(sync.name) || has_line_end(sync.name) {
        return Some(0);
    }
    let mut w = Writer::new(out);
    w.bytes(b"KEYSYNC ");
    sync.modified.write(&mut w);
    w.bytes(b" ");
    if sync.deleted {
        w.bytes(b"0 D ");
    } else {
        sync.accessed.write(&mut w);
        w.bytes(b" U ");
    }
    w.bytes(sync.name);
    w.bytes(b"=");
    translate::write_value(if sync.deleted { b"REMOVED" } else { sync.value }, &mut w);
    w.end();
    w.finish()
}

/// A value that a station of another dialect has stored, whatever it is; and signalled, too.
pub(crate) fn stored(name: &[u8], value: &[u8], signalled: bool, out: &mut [u8]) -> Option<usize> {
    if !can_be_set(name) || has_line_end(name) {
        return Some(0);
    }
    let mut w = Writer::new(out);
    w.bytes(if signalled { b"SETANDSTORE " } else { b"STORE " });
    w.bytes(name);
    w.bytes(b"=");
    translate::write_value(value, &mut w);
    w.end();
    w.finish()
}

/// One row of a list of clients, fields in the original's order (section 8.5). In what a
/// client calls itself, what would end a field is `_`.
pub fn client(c: &Client<'_>, out: &mut [u8]) -> Option<usize> {
    let mut w = Writer::new(out);
    w.bytes(b"CLIENT CID=");
    w.bytes(c.id.as_bytes());
    w.bytes(b";HOST=");
    w.bytes(c.host.as_bytes());
    w.bytes(b";PORT=");
    w.bytes(c.port.as_bytes());
    w.bytes(b";CLIENTINFO=");
    display_name(c.info, &mut w);
    let flag = |on: bool| if on { 1 } else { 0 };
    for (name, number) in [
        (&b";OUTBUFFER_LENGTH="[..], c.outbuffer),
        (b";INBUFFER_LENGTH=", c.inbuffer),
        (b";INTERCLACKS=", flag(c.interclacks)),
        (b";MONITOR=", flag(c.monitor)),
    ] {
        w.bytes(name);
        w.u64(number);
    }
    for (name, time) in [
        (&b";LASTPING="[..], c.last_ping),
        (b";LASTINTERCLACKSPING=", c.last_interclacks_ping),
        (b";WRITEFAILTIME=", c.write_fail),
    ] {
        w.bytes(name);
        time.write(&mut w);
    }
    w.bytes(b";");
    w.end();
    w.finish()
}

/// What a client calls itself as others are shown it (section 4.1).
pub fn display_name(name: &[u8], w: &mut Writer<'_>) {
    for b in name {
        w.bytes(&[if matches!(*b, b';' | CR | LF) { b'_' } else { *b }]);
    }
}

/// Octets of the line at the front of `bytes`, its end included. `None`: it has none yet.
pub fn line_size(bytes: &[u8]) -> Option<usize> {
    find(bytes, LF, 0).map(|at| at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(say: impl FnOnce(&mut [u8]) -> Option<usize>) -> heapless::Vec<u8, 512> {
        let mut out = [0xa5; 512];
        let n = say(&mut out).unwrap();
        assert!(out[n..].iter().all(|b| *b == 0xa5), "wrote beyond its length");
        heapless::Vec::from_slice(&out[..n]).unwrap()
    }

    #[test]
    fn what_a_server_says_first_and_last() {
        assert_eq!(said(|out| greeting("", out)), b"CLACKS PageCamel 36\r\nOVERHEAD M Authentication required\r\n");
        assert_eq!(
            said(|out| greeting(super::super::AS_MASTER, out)),
            b"CLACKS PageCamel 36 in interclacks master mode\r\nOVERHEAD M Authentication required\r\n"
        );
        assert_eq!(said(|out| parting(&Line::Quit, out)), b"\r\nQUIT\r\n");
        assert_eq!(said(|out| parting(&Line::Timeout, out)), b"\r\nTIMEOUT\r\n");
        assert_eq!(
            said(|out| hello(b"testclient", b"exampleuser", b"unsafepassword", out)),
            b"CLACKS testclient\r\nOVERHEAD A ZXhhbXBsZXVzZXI=:dW5zYWZlcGFzc3dvcmQ=\r\n"
        );
        assert_eq!(
            said(|out| slave(b"exampleuser", b"unsafepassword", out)),
            b"CLACKS PageCamel 36 in interclacks client mode\r\n\
            OVERHEAD A ZXhhbXBsZXVzZXI=:dW5zYWZlcGFzc3dvcmQ=\r\nOVERHEAD I 1\r\n"
        );
        assert_eq!(said(|out| clock(Time::from_micros(1_795_190_046_171_400), out)), b"OVERHEAD T 1795190046.1714\r\n");
        assert_eq!(said(|out| line(&Line::WELCOME, out)), b"OVERHEAD O Welcome!\r\n");
        assert_eq!(said(|out| line(&Line::FAILED, out)), b"OVERHEAD F Login failed!\r\n");
        assert_eq!(said(|out| line(&Line::DENIED, out)), b"OVERHEAD E permission_denied\r\n");
        assert_eq!(said(|out| unknown_command(b"  ", out)), b"OVERHEAD E unknown_command   \r\n");
    }

    #[test]
    fn overheads_as_they_are_forwarded() {
        for (flags, want) in [
            (&b"GNU"[..], &b"OVERHEAD GN Terry Pratchett\r\n"[..]),
            (b"MG", b"OVERHEAD GM Terry Pratchett\r\n"),
            (b"ZG", b"OVERHEAD G Terry Pratchett\r\n"),
        ] {
            let flags = Flags::of(flags).without(Flags::of(b"UZ"));
            assert_eq!(said(|out| forwarded(flags, b"Terry Pratchett", out)), want);
        }
    }

    #[test]
    fn a_client_in_a_list() {
        let c = Client {
            id: "127.0.0.1:59498:1",
            host: "127.0.0.1",
            port: "59498:1",
            info: b"my;app;1.0",
            outbuffer: 17,
            last_ping: Time::from_micros(1_795_189_745_214_470),
            ..Client::default()
        };
        let want = b"CLIENT CID=127.0.0.1:59498:1;HOST=127.0.0.1;PORT=59498:1;CLIENTINFO=my_app_1.0;\
            OUTBUFFER_LENGTH=17;INBUFFER_LENGTH=0;INTERCLACKS=0;MONITOR=0;LASTPING=1795189745.21447;\
            LASTINTERCLACKSPING=0;WRITEFAILTIME=0;\r\n";
        let bytes = said(|out| client(&c, out));
        assert_eq!(bytes, want);
        let Line::Client(fields) = super::super::parse::line(&bytes[..bytes.len() - 2]) else { panic!() };
        assert_eq!(fields.get("CLIENTINFO"), Some(&b"my_app_1.0"[..]));
        assert_eq!(fields.count(), 11);
        let all = Client { interclacks: true, monitor: true, info: b"a\r\nb", ..c };
        let bytes = said(|out| client(&all, out));
        assert!(bytes.ends_with(b"\r\n") && !has_line_end(&bytes[..bytes.len() - 2]));
    }

    #[test]
    fn no_part_begins_a_line_of_its_own() {
        let mut out = [0xa5; 64];
        for odd in [&b"a\nQUIT"[..], b"a\r", b"\r\n"] {
            for c in [
                Command::Notify(odd),
                Command::Set { name: odd, value: b"" },
                Command::Set { name: b"a", value: odd },
                Command::Retrieve(odd),
                Command::Increment { name: b"a", step: Some(odd) },
                Command::Overhead(Overhead { flags: odd, text: b"x" }),
                Command::Overhead(Overhead { flags: b"M", text: odd }),
                Command::KeySync(KeySync {
                    modified: Time::ZERO,
                    accessed: Time::ZERO,
                    deleted: false,
                    name: odd,
                    value: b"",
                }),
                Command::Unknown(odd),
            ] {
                assert_eq!(command(&c, &mut out), Some(0), "{c:?}");
            }
            for l in [Line::Clacks(odd), Line::Flushed(odd), Line::Debug { source: odd, text: b"" }] {
                assert_eq!(line(&l, &mut out), Some(0));
            }
            assert_eq!(retrieved(odd, b"x", &mut out), Some(0));
            assert_eq!(unknown_command(odd, &mut out), Some(0));
            assert_eq!(hello(odd, b"", b"", &mut out), Some(0));
        }
    }

    #[test]
    fn names_that_would_be_read_as_others_are_not_said() {
        let mut out = [0; 64];
        for name in [&b""[..], b"a=b", b"=="] {
            assert_eq!(command(&Command::Store { name, value: b"x" }, &mut out), Some(0));
            assert_eq!(line(&Line::Set { name, value: b"x" }, &mut out), Some(0));
        }
        for (name, step) in
            [(&b"a=b"[..], None), (b"", None), (b"", Some(&b"1"[..])), (b"a", Some(b"")), (b"a", Some(b"b=c"))]
        {
            assert_eq!(command(&Command::Increment { name, step }, &mut out), Some(0), "{name:?} {step:?}");
        }
        assert_eq!(said(|out| command(&Command::Store { name: b"=a", value: b"x" }, out)), b"STORE =a=x\r\n");
        assert_eq!(command(&Command::Flush(b""), &mut out), Some(0));
        assert_eq!(command(&Command::Overhead(Overhead { flags: b"G M", text: b"x" }), &mut out), Some(0));
    }

    #[test]
    fn values_that_no_line_can_hold() {
        assert_eq!(
            said(|out| retrieved(b"k", b"line1\nline2", out)),
            b"RETRIEVED k=PAGECAMELCLACKSB64:bGluZTEKbGluZTI=\r\n"
        );
        assert_eq!(said(|out| retrieved(b"a=b", b"=", out)), b"RETRIEVED a=b==\r\n");
        let sync = KeySync {
            modified: Time::from_micros(1_795_190_046_171_400),
            accessed: Time::from_micros(5_000_000),
            deleted: false,
            name: b"k",
            value: b"\r",
        };
        assert_eq!(said(|out| key_sync(&sync, out)), b"KEYSYNC 1795190046.1714 5 U k=PAGECAMELCLACKSB64:DQ==\r\n");
        let gone = KeySync { deleted: true, ..sync };
        assert_eq!(said(|out| key_sync(&gone, out)), b"KEYSYNC 1795190046.1714 0 D k=REMOVED\r\n");
    }

    #[test]
    fn whole_or_not_at_all() {
        let mut out = [0xa5; 30];
        assert_eq!(greeting("", &mut out), None);
        assert_eq!(again(b"SET ", &[b'x'; 25], &mut out), None);
        assert_eq!(again(b"SET ", b"a=1", &mut out), Some(9));
        assert_eq!(line_size(&out), Some(9));
        assert_eq!(line_size(b"SET a"), None);
    }
}
