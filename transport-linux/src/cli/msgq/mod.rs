//! Commands on a bus of BIND 10 (`--connect msgq:/PATH`).
//!
//! Owns: which commands that bus can carry out, and what to do about the others. Does not own
//! what can be typed, nor how answers and messages look: that is the same on either kind of
//! bus (`../letter.rs`, `../listen.rs`, `../ls.rs`).

mod letter;
mod listen;
mod ls;

use std::path::Path;
use std::time::{Duration, Instant};

use chappe_linux::msgq::{Error, Options, Session};

use super::Command;
use super::connect::Global;
use super::exit::Failure;

/// The node's own dummy sender (section 9 of `wire/msgq.md`).
const NOBODY: &str = "msgq";

/// Does what the command line says, on the bus with this socket.
pub(super) fn run(command: &Command, path: &Path, global: &Global) -> Result<(), Failure> {
    global.check_timeout()?;
    match command {
        Command::Send(args) => letter::send(args, path, global),
        Command::Call(args) => letter::call(args, path, global),
        Command::Listen(args) => listen::listen(args, path, global),
        Command::Watch(args) => listen::watch(args, path, global),
        Command::Ls(args) => ls::ls(args, path, global),
        Command::Get(_) => cannot("get", "it has no shared values"),
        Command::Set(_) => cannot("set", "it has no shared values; `chappe send NAME --body VALUE` tells who listens"),
        Command::Incr(_) => cannot("incr", "it has no shared values"),
        Command::Decr(_) => cannot("decr", "it has no shared values"),
        Command::Del(_) => cannot("del", "it has no shared values"),
        Command::Keys(_) => cannot("keys", "it has no shared values"),
        Command::Flush => cannot("flush", "it has no shared values"),
        Command::Declare(_) => cannot("declare", "no mail waits on it"),
        Command::Flag(_) => cannot("flag", "it has no flags"),
        Command::Status(_) => cannot("status", "it does not say how it is; `chappe ls` shows who is there"),
        Command::Bench(_) => cannot("bench", "what is measured are things that it does not have"),
        // these speak to no bus
        Command::Serve(_)
        | Command::CheckConfig(_)
        | Command::Store(_)
        | Command::Completions { .. }
        | Command::Man { .. } => Ok(()),
    }
}

/// What this bus has not got.
fn cannot<T>(what: &str, why: &str) -> Result<T, Failure> {
    Err(Failure::usage(format_args!(
        "`{what}` is not for a bus of BIND 10: {why}\n  a node of Chappe can do it at its native address: \
         --connect unix:///PATH or tcp://HOST:PORT"
    )))
}

/// A session, at once or within the timeout as the person wishes.
fn connect(path: &Path, global: &Global) -> Result<Session, Failure> {
    let until = Instant::now() + global.timeout;
    loop {
        let options = Options { timeout: global.timeout, ..Options::default() };
        match Session::connect_to(path, options) {
            Err(Error::Connect { .. }) if global.is_patient() && Instant::now() < until => {
                std::thread::sleep(Duration::from_millis(50).min(until.saturating_duration_since(Instant::now())));
            }
            result => return Ok(result?),
        }
    }
}
