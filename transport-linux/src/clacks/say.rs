//! Lines to the server, checked before they are said.
//!
//! Owns: why something cannot be said, in words that name it. Does not own how lines are
//! spelled (`chappe_core::dialect::clacks::emit`).

use chappe_core::dialect::clacks::emit;
use chappe_core::dialect::clacks::frame::has_line_end;
use chappe_core::dialect::clacks::repr::{Command, Overhead};
use chappe_core::dialect::clacks::token::encoded_len;

use super::error::{Fault, Unsayable, shown};
use super::{Error, Options};
use crate::lines::{Fate, Outbox};

/// Octets of a line beside its name and value: the longest word, signs, the end.
const AROUND: usize = 32;

/// Puts a command behind the others, if it can be said.
pub(super) fn say(command: &Command<'_>, fate: Fate, max_line: usize, to: &mut Outbox) -> Result<(), Error> {
    let parts = parts(command);
    let size = parts.iter().map(|(_, part)| part.len()).sum::<usize>() + AROUND;
    for (what, part) in parts {
        check(what, part, parts[0].1)?;
    }
    shape(command)?;
    if size > max_line {
        let what = named(parts[0].0, parts[0].1, parts[0].1);
        return Err(unsayable(format!("the line with {what}"), Fault::TooLong(size, max_line)));
    }
    put(to, size, fate, |out| emit::command(command, out))
}

/// The first lines: name and token.
pub(super) fn hello(options: &Options, to: &mut Outbox) -> Result<(), Error> {
    let (name, user, password) = (options.name.as_bytes(), options.user.as_bytes(), &options.password[..]);
    put(to, name.len() + AROUND, Fate::Dropped, |out| emit::command(&Command::Clacks(name), out))?;
    let size = encoded_len(user.len()) + encoded_len(password.len()) + AROUND;
    put(to, size, Fate::Dropped, |out| emit::login(user, password, out))
}

/// Puts a line behind the others. `room`: what it needs at the most.
fn put(to: &mut Outbox, room: usize, fate: Fate, write: impl FnOnce(&mut [u8]) -> Option<usize>) -> Result<(), Error> {
    to.emit(room, fate, write).ok_or_else(|| Error::NotSent(Unsayable::whole()))
}

/// Whether options can be said.
pub(super) fn check_name(name: &str) -> Result<(), Error> {
    check("name of this client", name.as_bytes(), name.as_bytes())?;
    not_empty("name of this client", name.as_bytes())
}

/// The parts of a command, each with what it is. The first is what is meant by "of".
fn parts<'c>(command: &Command<'c>) -> [(&'static str, &'c [u8]); 2] {
    const NONE: (&str, &[u8]) = ("", b"");
    match *command {
        Command::Set { name, value } => [("name", name), ("value", value)],
        Command::SetAndStore { name, value } | Command::Store { name, value } => [("key", name), ("value", value)],
        Command::Increment { name, step } | Command::Decrement { name, step } => {
            [("key", name), ("step", step.unwrap_or_default())]
        }
        Command::Overhead(Overhead { flags, text }) => [("flags", flags), ("text", text)],
        Command::Notify(name) | Command::Listen(name) | Command::Unlisten(name) => [("name", name), NONE],
        Command::Retrieve(key) | Command::Remove(key) => [("key", key), NONE],
        Command::ClientDisconnect(id) => [("id", id), NONE],
        Command::Unknown(line) => [("line", line), NONE],
        Command::Clacks(text) | Command::Flush(text) => [("text", text), NONE],
        _ => [NONE, NONE],
    }
}

fn unsayable(what: String, fault: Fault) -> Error {
    Error::NotSent(Unsayable { what, fault })
}

/// `the key "x"`, or `the value of "x"`.
fn named(what: &str, part: &[u8], of: &[u8]) -> String {
    let is_itself = std::ptr::eq(part, of);
    if is_itself { format!("the {what} {}", shown(part)) } else { format!("the {what} of {}", shown(of)) }
}

fn check(what: &str, part: &[u8], of: &[u8]) -> Result<(), Error> {
    if has_line_end(part)
        && let Some(at) = part.iter().position(|b| matches!(b, b'\r' | b'\n'))
    {
        return Err(unsayable(named(what, part, of), Fault::LineEnd(part[at], at)));
    }
    Ok(())
}

fn not_empty(what: &str, part: &[u8]) -> Result<(), Error> {
    if part.is_empty() { Err(unsayable(format!("the {what}"), Fault::Empty)) } else { Ok(()) }
}

/// What would be read as something else.
fn shape(command: &Command<'_>) -> Result<(), Error> {
    match *command {
        Command::Set { name, .. } => before_value("name", name),
        Command::Store { name, .. } | Command::SetAndStore { name, .. } => before_value("key", name),
        Command::Retrieve(key)
        | Command::Remove(key)
        | Command::Increment { name: key, .. }
        | Command::Decrement { name: key, .. } => not_empty("key", key),
        Command::Notify(name) | Command::Listen(name) | Command::Unlisten(name) => not_empty("name", name),
        Command::ClientDisconnect(id) => not_empty("id", id),
        Command::Flush(text) => not_empty("text", text),
        Command::Unknown(line) => not_empty("line", line),
        Command::Overhead(Overhead { flags, text }) => {
            not_empty("flags", flags)?;
            not_empty("text", text)?;
            match flags.iter().position(|b| *b == b' ') {
                Some(at) => Err(unsayable(format!("the flags {}", shown(flags)), Fault::Blank(at))),
                None => Ok(()),
            }
        }
        _ => Ok(()),
    }
}

fn before_value(what: &str, name: &[u8]) -> Result<(), Error> {
    not_empty(what, name)?;
    match name.iter().skip(1).position(|b| *b == b'=') {
        Some(at) => Err(unsayable(named(what, name, name), Fault::Equals(at + 1))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(command: &Command<'_>) -> Result<String, String> {
        let mut out = Outbox::default();
        say(command, Fate::Kept, 1000, &mut out).map_err(|e| e.to_string())?;
        Ok(String::from_utf8(out.waiting().to_vec()).unwrap())
    }

    #[test]
    fn what_cannot_be_said_is_named_with_its_place() {
        use Command as C;
        let long = vec![b'x'; 1000];
        for (command, want) in [
            (C::Set { name: b"door", value: b"a\nQUIT" }, "the value of \"door\" has a line feed at byte 1"),
            (C::Store { name: b"k", value: b"\r" }, "the value of \"k\" has a carriage return at byte 0"),
            (C::Notify(b"x\nCLEARCACHE"), "the name \"x\\nCLEARCACHE\" has a line feed at byte 1"),
            (C::Set { name: b"a=b", value: b"1" }, "the name \"a=b\" has a `=` at byte 1, where its value would begin"),
            (C::SetAndStore { name: b"==", value: b"" }, "the key \"==\" has a `=` at byte 1"),
            (C::Set { name: b"", value: b"1" }, "the name is empty"),
            (C::Listen(b""), "the name is empty"),
            (C::Retrieve(b""), "the key is empty"),
            (C::Retrieve(b"a\r\n"), "the key \"a\\r\\n\" has a carriage return at byte 1"),
            (C::Increment { name: b"k", step: Some(b"1\n") }, "the step of \"k\" has a line feed at byte 1"),
            (C::Overhead(Overhead { flags: b"G M", text: b"x" }), "the flags \"G M\" have a blank at byte 1"),
            (C::Overhead(Overhead { flags: b"G", text: b"x\ny" }), "the text of \"G\" has a line feed"),
            (C::Overhead(Overhead { flags: b"G", text: b"" }), "the text is empty"),
            (C::Unknown(b"a\nb"), "the line \"a\\nb\" has a line feed at byte 1"),
            (C::Store { name: b"k", value: &long }, "the line with the key \"k\" has 1033 bytes, more than 1000"),
            (C::Set { name: b"\xff\x1b", value: b"\n" }, "the value of \"\u{fffd}\\u{1b}\" has"),
        ] {
            let error = said(&command).expect_err(want);
            assert!(error.starts_with(&format!("not sent: {want}")), "{error}");
        }
        assert_eq!(said(&C::Set { name: b"=a", value: b"b=c" }).unwrap(), "SET =a=b=c\r\n");
        assert_eq!(said(&C::Increment { name: b"a=b", step: Some(b"1") }).unwrap(), "INCREMENT a=b=1\r\n");
    }

    #[test]
    fn the_first_lines() {
        let options = Options {
            name: "testclient".into(),
            user: "exampleuser".into(),
            password: "unsafepassword".into(),
            ..Options::default()
        };
        let mut out = Outbox::default();
        hello(&options, &mut out).unwrap();
        assert_eq!(out.waiting(), b"CLACKS testclient\r\nOVERHEAD A ZXhhbXBsZXVzZXI=:dW5zYWZlcGFzc3dvcmQ=\r\n");
        assert!(check_name("a\nQUIT").unwrap_err().to_string().contains("line feed"));
        assert!(check_name("").unwrap_err().to_string().contains("empty"));
    }
}
