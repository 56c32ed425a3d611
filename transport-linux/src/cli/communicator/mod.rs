//! Commands at a Communicator daemon (`--connect cd://HOST`, `cds://HOST`, `cdu://HOST`, `cd:///PATH`).
//!
//! Owns: which commands such a daemon can carry out, what to do about the others, and how its
//! messages look. Does not own what can be typed (`../letter.rs`, `../listen.rs`, `../ls.rs`).

mod listen;
mod send;
mod status;

use chappe_core::dialect::communicator::command::Command as Known;
use chappe_core::dialect::communicator::name;
use chappe_core::limits::MAX_NAME;
use chappe_linux::client::Encoding;
use chappe_linux::communicator::{Answers, Message, Options, Session, Uri};
use serde_json::{Map, Value};

use super::Command;
use super::connect::Global;
use super::exit::{Failure, Status};
use super::letter::{Carrier, Send};
use super::show::{Out, body_json, params, plain, printable};

/// Does what the command line says, at the daemon at this address.
pub(super) fn run(command: &Command, uri: &Uri, global: &Global) -> Result<(), Failure> {
    if global.encoded {
        return Err(Failure::usage("--encoded is only for a Clacks server (clacks:///PATH)"));
    }
    let bus = Bus { uri, global };
    match command {
        Command::Send(args) => send::send(args, &bus),
        Command::Call(args) => send::call(args, &bus),
        Command::Listen(args) => listen::listen(args, &bus),
        Command::Status(_) => status::status(&bus),
        Command::Ls(args) => status::ls(args, &bus),
        // this one is met before
        Command::Shell(_) => Ok(()),
        Command::Get(_) => cannot("get", NO_VALUES),
        Command::Set(_) => cannot("set", NO_VALUES),
        Command::Incr(_) => cannot("incr", NO_VALUES),
        Command::Decr(_) => cannot("decr", NO_VALUES),
        Command::Del(_) => cannot("del", NO_VALUES),
        Command::Keys(_) => cannot("keys", NO_VALUES),
        Command::Flush => cannot("flush", NO_VALUES),
        Command::Watch(_) => {
            cannot("watch", "`chappe listen NAME --commands STATUS` registers as NAME and prints who comes and goes")
        }
        Command::Declare(_) => {
            cannot("declare", "its services are declared by files, those of a node of Chappe in its [communicator] too")
        }
        Command::Flag(_) => cannot("flag", FLAGS),
        Command::Monitor(_) => super::clacks::only_here(global),
        Command::Sniff(_) => cannot("sniff", "it does not show what passes"),
        Command::Replay(_) => {
            cannot("replay", "values, flags and names that are in a recording are more than its messages can say")
        }
        Command::Bench(_) => cannot("bench", "what is measured are things that it does not have"),
        // these speak to no bus
        Command::Serve(_)
        | Command::CheckConfig(_)
        | Command::HashPassword(_)
        | Command::Store(_)
        | Command::Completions { .. }
        | Command::Man { .. }
        | Command::Discover(_)
        | Command::ImportClacks(_)
        | Command::ImportClacksConfig(_)
        | Command::ImportCommunicatorConfig(_) => Ok(()),
    }
}

const NO_VALUES: &str = "it has no shared values";
const FLAGS: &str = "flags are not on the wire there, but in files: `chappe flag --dir FOLDER`";

/// Where a message goes if nothing says so but `--type`.
pub(super) fn usual(args: &Send) -> Uri {
    match args.communicator.kind {
        Some(Carrier::Udp) => Uri::of_signals(),
        _ => Uri::of_this_machine(),
    }
}

/// What such a daemon has not got.
fn cannot<T>(what: &str, why: &str) -> Result<T, Failure> {
    Err(Failure::usage(format_args!(
        "`{what}` is not for a Communicator daemon: {why}\n  a node of Chappe can do it, for all dialects, at its native \
         address: leave out --connect (and CHAPPE_CONNECT) on its machine, or write unix:///PATH or tcp://HOST:PORT"
    )))
}

/// The daemon, and how to speak to it.
struct Bus<'c> {
    uri: &'c Uri,
    global: &'c Global,
}

impl Bus<'_> {
    /// As a service of a name of its own, or of `--user`, which may have a password. A user in the
    /// address comes first.
    fn register(&self, purpose: &str, commands: &[&str]) -> Result<Session, Failure> {
        let name = match (self.uri.user(), self.global.user()) {
            ("", "") => format!("chappe_{purpose}_{}", std::process::id()),
            ("", user) => user.to_owned(),
            (user, _) => user.to_owned(),
        };
        let options = Options {
            commands: commands.iter().map(|c| (*c).to_owned()).collect(),
            answers: Answers::Standard,
            ..self.global.communicator_options(self.uri, &name)?
        };
        Ok(Session::connect(self.uri.clone(), options)?)
    }

    /// As nobody, who only sends; unless somebody says who he is.
    fn connect(&self) -> Result<Session, Failure> {
        if !self.uri.user().is_empty() || !self.global.user().is_empty() {
            return self.register("send", &[]);
        }
        let options = Options { answers: Answers::Nothing, ..self.global.communicator_options(self.uri, "")? };
        Ok(Session::connect(self.uri.clone(), options)?)
    }

    fn out(&self) -> Out {
        self.global.out()
    }
}

/// With the sender's tag, if the session is not registered, so that the daemon does not know who it is.
pub(super) fn from_here(session: &Session, message: Message) -> Message {
    if session.name().is_empty() { tagged(message) } else { message }
}

/// With the sender's tag: this host, if that can be the name of a server (weak point W30), and this
/// program.
pub(super) fn tagged(mut message: Message) -> Message {
    if message.from_server.is_empty() && message.from_service.is_empty() {
        let host = std::fs::read("/proc/sys/kernel/hostname").unwrap_or_default();
        let mut spare = [0; MAX_NAME];
        let server = name::of_server(b"", host.trim_ascii(), &mut spare);
        message.from_server = String::from_utf8_lossy(server).into_owned();
        message.from_service = "chappe".into();
    }
    message
}

/// What a message that came as an answer means.
fn verdict(m: &Message) -> Result<(), Failure> {
    let said = |key: &str| m.text(key).map(|text| plain(&text, false)).unwrap_or_default();
    let because = |status, text: String| Err(Failure::Because(status, text));
    match m.known() {
        Some(Known::Unknown) => because(Status::Answered, format!("{} is not known there", said("command"))),
        Some(Known::Invalid) => {
            let text = [said("command"), said("message")].join(" ").trim().to_owned();
            because(
                Status::Answered,
                format!("refused: {}", if text.is_empty() { "no reason is given" } else { &text }),
            )
        }
        Some(Known::ServiceUnavailable) => {
            because(Status::Nobody, format!("the service {} is not there", said("destination_service")))
        }
        Some(Known::TransmissionReport) if m.get("status") == Some(b"failed") => {
            because(Status::Nobody, format!("{}: nobody got it, and it does not wait", said("command")))
        }
        _ => Ok(()),
    }
}

/// Whether it only says that the message waits.
fn is_cached(m: &Message) -> bool {
    m.known() == Some(Known::TransmissionReport) && m.get("status") == Some(b"cached")
}

/// Who a message is from, as it is written; without control characters.
pub(super) fn sender(m: &Message) -> String {
    match (m.from_server.as_str(), m.from_service.as_str()) {
        ("", "") => String::new(),
        (server, service) => plain(&format!("{server}:{service}"), false),
    }
}

/// A message for people: its command and parameters.
pub(super) fn shown(m: &Message) -> String {
    let listed: Vec<_> = m.params.iter().map(|(key, value)| (key.clone(), printable(value, false))).collect();
    let line = format!("{}  {}", plain(&m.command, false), params(&listed));
    line.trim_end().to_owned()
}

/// A message for machines.
pub(super) fn message_json(m: &Message) -> Map<String, Value> {
    let mut o = Map::new();
    for (key, text) in [
        ("from_server", &m.from_server),
        ("from_service", &m.from_service),
        ("server", &m.server),
        ("service", &m.service),
        ("command", &m.command),
    ] {
        if !text.is_empty() {
            o.insert(key.into(), text.as_str().into());
        }
    }
    let mut params = Map::new();
    m.params.iter().for_each(|(key, value)| body_json(&mut params, key, value, Encoding::None));
    o.insert("params".into(), params.into());
    o
}
