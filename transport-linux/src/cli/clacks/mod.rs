//! Commands on a Clacks server (`--connect clacks:///PATH`, `clackss://HOST`).
//!
//! Owns: which commands such a server can carry out, and what to do about the others. Does
//! not own what can be typed, nor how values and messages look: that is the same on each kind
//! of bus (`../letter.rs`, `../listen.rs`, `../values.rs`, `../ls.rs`).

mod listen;
mod ls;
mod send;
mod values;

use std::borrow::Cow;

use chappe_linux::address::ClacksAddress;
use chappe_linux::clacks::cache::{self, Value};
use chappe_linux::clacks::{Event, Session};
use clap::Args;
use serde_json::{Map, Value as Json};

use super::Command;
use super::connect::Global;
use super::exit::Failure;
use super::listen::{Until, remark};
use super::show::{Out, body_json, plain, printable};

/// `chappe monitor`.
#[derive(Debug, Args)]
pub(crate) struct Monitor {
    #[command(flatten)]
    until: Until,
    /// Only what this connection says, or is said of it: its id, as `chappe ls` shows it
    #[arg(long, value_name = "ID")]
    only: Option<String>,
}

/// Does what the command line says, on the server at this address.
pub(super) fn run(command: &Command, address: &ClacksAddress, global: &Global) -> Result<(), Failure> {
    let bus = Bus { address, global };
    match command {
        Command::Send(args) => send::send(args, &bus),
        Command::Listen(args) => listen::listen(args, &bus),
        Command::Monitor(args) => listen::monitor(args, &bus),
        Command::Get(args) => values::get(args, &bus),
        Command::Set(args) => values::set(args, &bus),
        Command::Incr(args) => values::add(args, false, &bus),
        Command::Decr(args) => values::add(args, true, &bus),
        Command::Del(args) => values::del(args, &bus),
        Command::Keys(args) => values::keys(args.prefix.as_deref().unwrap_or_default(), &bus),
        Command::Ls(args) => ls::ls(args, &bus),
        Command::Flush => values::flush(&bus),
        Command::Call(_) => cannot("call", "it has no answers; `chappe send` tells who listens"),
        Command::Watch(_) => cannot(
            "watch",
            "it does not say who comes and goes; `chappe monitor` shows it, to users who may manage the server",
        ),
        Command::Sniff(_) => cannot("sniff", "`chappe monitor` shows what its connections say"),
        Command::Replay(_) => cannot("replay", "what was recorded is more than it has words for"),
        Command::Declare(_) => cannot("declare", "no mail waits there"),
        Command::Flag(_) => cannot("flag", "it has no flags"),
        Command::Status(_) => cannot("status", "it does not say how it is; `chappe ls` shows who is there"),
        Command::Bench(_) => cannot("bench", "what is measured are things that it does not have"),
        // this one is met before
        Command::Shell(_) => Ok(()),
        // these speak to no bus
        Command::Serve(_)
        | Command::CheckConfig(_)
        | Command::HashPassword(_)
        | Command::Discover(_)
        | Command::Store(_)
        | Command::Completions { .. }
        | Command::Man { .. }
        | Command::ImportClacks(_)
        | Command::ImportClacksConfig(_)
        | Command::ImportCommunicatorConfig(_) => Ok(()),
    }
}

/// What only a Clacks server has.
pub(super) fn only_here(global: &Global) -> Result<(), Failure> {
    Err(Failure::usage(format_args!(
        "`monitor` is only for a Clacks server (--connect clacks:///PATH or clackss://HOST), and {} is none\n  \
         `chappe watch` shows who comes and goes, `chappe listen '*'` the signals to all names",
        global.bus()
    )))
}

/// What such a server has not got.
fn cannot<T>(what: &str, why: &str) -> Result<T, Failure> {
    Err(Failure::usage(format_args!(
        "`{what}` is not for a Clacks server: {why}\n  a node of Chappe can do it at its native address: \
         --connect unix:///PATH or tcp://HOST:PORT"
    )))
}

/// The server, and how to speak to it.
struct Bus<'c> {
    address: &'c ClacksAddress,
    global: &'c Global,
}

impl Bus<'_> {
    fn connect(&self) -> Result<Session, Failure> {
        let options = self.global.clacks_options(self.address.is_tls())?;
        Ok(Session::connect(self.address.clone(), options)?)
    }

    fn out(&self) -> Out {
        self.global.out()
    }

    /// A name or key as it is to be said.
    fn name<'n>(&self, name: &'n str) -> Cow<'n, [u8]> {
        if self.global.encoded { cache::key(name.as_bytes()) } else { Cow::Borrowed(name.as_bytes()) }
    }

    /// A value as it is to be said.
    fn value<'v>(&self, value: &'v [u8]) -> Cow<'v, [u8]> {
        if self.global.encoded { cache::encode(value) } else { Cow::Borrowed(value) }
    }

    /// A value as it is to be shown.
    fn read(&self, value: Vec<u8>) -> Vec<u8> {
        if self.global.encoded { cache::decode(&value).into_bytes() } else { value }
    }

    /// Whether a value is a structure of a Perl program, which is shown as YAML.
    fn is_yaml(&self, value: &[u8]) -> bool {
        self.global.encoded && matches!(cache::decode(value), Value::Yaml(_))
    }
}

/// Leaves; the output is complete. What the server says to the goodbye changes nothing.
fn done(bus: Session, out: &mut Out) -> Result<(), Failure> {
    out.flush()?;
    drop(bus);
    Ok(())
}

/// Waits until the server has dealt with what was said, and says what it denied.
fn settle(bus: &mut Session, out: &Out) -> Result<(), Failure> {
    let result = bus.flush();
    // The first is the error; more of them are told.
    while let Ok(Some(event)) = bus.receive(Some(std::time::Duration::ZERO)) {
        if let Event::Error(told) = event {
            remark(out, format_args!("{told}"));
        }
    }
    Ok(result?)
}

/// A name that came, for people.
fn shown(name: &[u8]) -> String {
    match std::str::from_utf8(name) {
        Ok(text) => plain(text, false),
        Err(_) => printable(name, false),
    }
}

/// A name that came, for machines: `name`, or `name_base64` if it is no text.
fn name_json(into: &mut Map<String, Json>, key: &str, name: &[u8]) {
    body_json(into, key, name, chappe_linux::client::Encoding::None);
}
