//! Commands on a bus of BIND 10 (`--connect msgq:/PATH`).
//!
//! Owns: which commands that bus can carry out, and what to do about the others. Does not own
//! what can be typed, nor how answers and messages look: that is the same on either kind of
//! bus (`../letter.rs`, `../listen.rs`, `../ls.rs`).

mod letter;
mod listen;
mod ls;

use std::io::ErrorKind;
use std::path::Path;
use std::time::{Duration, Instant};

use chappe_linux::address::Bus;
use chappe_linux::client::Code;
use chappe_linux::config::{named_by_bind10, usual_msgq_sockets};
use chappe_linux::msgq::{CallError, Error, Options, Session};

use super::Command;
use super::connect::Global;
use super::exit::{Failure, Status};
use super::show::plain;

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
        Command::Sniff(_) => cannot("sniff", "it shows nobody what others say"),
        Command::Replay(_) => cannot("replay", "what was recorded is more than it has words for"),
        Command::Declare(_) => cannot("declare", "no mail waits on it"),
        Command::Flag(_) => cannot("flag", "it has no flags"),
        Command::Status(_) => cannot("status", "it does not say how it is; `chappe ls` shows who is there"),
        Command::Monitor(_) => super::clacks::only_here(global),
        Command::Bench(_) => cannot("bench", "what is measured are things that it does not have"),
        // this one is met before
        Command::Shell(_) => Ok(()),
        // these speak to no bus
        Command::Serve(_)
        | Command::CheckConfig(_)
        | Command::HashPassword(_)
        | Command::Discover(_)
        | Command::Store(_)
        | Command::ImportClacks(_)
        | Command::ImportClacksConfig(_)
        | Command::ImportCommunicatorConfig(_)
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
            Err(Error::Connect { problem, .. })
                if problem.kind() == ErrorKind::NotFound && global.bus() == Bus::Msgq(None) =>
            {
                let places: Vec<_> = usual_msgq_sockets().iter().map(|p| format!("\n    {}", p.display())).collect();
                return Err(Failure::Because(
                    Status::Connect,
                    format!(
                        "cannot connect to msgq://auto: there is no socket {}:{}\n  is a \
                         daemon running? say where it listens with --connect msgq:/PATH or BIND10_MSGQ_SOCKET_FILE",
                        if named_by_bind10().is_some() {
                            "where BIND10_MSGQ_SOCKET_FILE says"
                        } else {
                            "at any of the usual places"
                        },
                        places.concat()
                    ),
                ));
            }
            result => return Ok(result?),
        }
    }
}

/// Why the node's own user did not answer, as a native node would say it: it has one code for
/// all that goes wrong, and says the rest in words.
fn refused(error: CallError) -> Failure {
    match error {
        CallError::Failed { code: 1, text } if is_no_grant(&text) => {
            Failure::Because(Status::Refused, format!("{}: {}", Code::Refused.text(), plain(&text, false)))
        }
        error => error.into(),
    }
}

/// Whether these are the words by which a node of Chappe says that somebody may not.
fn is_no_grant(text: &str) -> bool {
    text.starts_with("no grant")
}

/// Whether it is the lname of a node of Chappe itself: `BOOT_0@HOST`.
fn is_node(lname: &str) -> bool {
    lname.split_once('@').is_some_and(|(number, _)| number.ends_with("_0"))
}
