//! `chappe send` and `chappe call`.
//!
//! Owns: what can be typed for both, on either kind of bus, and how answers look. Does not
//! own how it is said on a bus of BIND 10 (`msgq/letter.rs`).

use std::collections::HashMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use chappe_linux::client::{Answer, Code, Connection, Encoding, Letter, Params, What as Listed};
use clap::{Args, ValueEnum};
use serde_json::{Map, Value, json};

use super::connect::Global;
use super::exit::{Failure, Status, status_of};
use super::show::{Out, body_json, code_name, object, params, params_json, parse_span, plain, printable, text_or_null};

/// Where a letter goes and what it says.
#[derive(Debug, Args)]
pub(crate) struct What {
    /// To whom, and what: NAME, or NAME/VERB (split at the last slash; `a/b/` is the name `a/b`).
    /// Without a verb it is SET if there is a body, NOTIFY if there is none, and just the body
    /// if that is JSON. `./COMMAND` is for all who have announced that command of the Communicator.
    /// At a Communicator daemon: COMMAND, SERVICE/COMMAND or SERVER:SERVICE/COMMAND; without
    /// SERVICE it is for the daemon, and `.`, `?`, `*` are all services that have announced the command
    #[arg(value_name = "NAME[/VERB]")]
    pub(super) to: Option<String>,
    /// Parameters
    #[arg(value_name = "KEY=VALUE")]
    pub(super) params: Vec<String>,
    /// The verb; the whole of NAME is then the name
    #[arg(long)]
    pub(super) verb: Option<String>,
    /// The body, as text
    #[arg(long, short, group = "content", value_name = "TEXT", allow_hyphen_values = true)]
    body: Option<String>,
    /// The body, from a file; `-` is the standard input
    #[arg(long, group = "content", value_name = "FILE")]
    body_file: Option<PathBuf>,
    /// The body, as JSON (checked)
    #[arg(long, group = "content", value_name = "JSON", allow_hyphen_values = true)]
    json_body: Option<String>,
    /// Only members that joined as this instance
    #[arg(long, value_name = "INSTANCE")]
    pub(super) instance: Option<String>,
    /// To one station, by its address (as `chappe ls` shows it, with or without `@`); with
    /// NAME it is told that it is meant as that. On a bus of BIND 10 the address is an lname, and
    /// NAME, which it is told, must be there
    #[arg(long, value_name = "ADDRESS")]
    pub(super) station: Option<String>,
}

/// For `chappe send --help`.
const SEND_HELP: &str = "\
At a Communicator daemon, for example in a script of logrotate (a whole one: transport-linux/logrotate/chappe):
  chappe send --quiet --type udp ./LOG_ROTATE
  chappe send --type tcp --reply communicatord/LIST_SERVICES
  chappe send --connect cd:///run/communicator/communicatord.sock bar/REFRESH depth=2 cache=ttl=5m";

/// `chappe send`.
#[derive(Debug, Args)]
#[command(after_help = SEND_HELP)]
pub(crate) struct Send {
    #[command(flatten)]
    pub(super) what: What,
    /// To all stations
    #[arg(long, conflicts_with = "station")]
    pub(super) everyone: bool,
    /// If nobody is there, keep it for whoever joins the name (which must be declared)
    #[arg(long)]
    pub(super) keep: bool,
    /// How long to keep it; default: the node's
    #[arg(long, value_name = "TIME", value_parser = parse_span, requires = "keep")]
    ttl: Option<Duration>,
    /// Do not wait for the node's word on how many got it (a bus of BIND 10, a Clacks server and a
    /// Communicator daemon say only that it was taken)
    #[arg(long)]
    pub(super) blindly: bool,
    #[command(flatten)]
    pub(super) communicator: ForCommunicator,
}

/// What only a Communicator daemon has.
#[derive(Debug, Args)]
#[command(next_help_heading = "For a Communicator daemon")]
pub(crate) struct ForCommunicator {
    /// How to send: `udp` is a datagram without an answer, to cdu://127.0.0.1:4041 if --connect does not
    /// say where; `tcp` goes to cd://auto: this machine's daemon, or cd://127.0.0.1:4040
    #[arg(long = "type", value_enum, value_name = "TYPE")]
    pub(super) kind: Option<Carrier>,
    /// The secret code of datagrams. Others see it in the list of processes: prefer the file or the variable
    #[arg(long, env = "CHAPPE_SECRET_CODE", hide_env_values = true, value_name = "CODE")]
    pub(super) secret_code: Option<String>,
    /// A file with the secret code; one newline at its end is not part of it
    #[arg(long, value_name = "FILE")]
    pub(super) secret_code_file: Option<PathBuf>,
    /// Wait for an answer and print it: status 0 for any but UNKNOWN and INVALID (1), and those that say that nobody
    /// got it (3)
    #[arg(long, short, conflicts_with = "blindly")]
    pub(super) reply: bool,
}

/// How a message gets to a Communicator daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Carrier {
    /// A datagram
    Udp,
    /// A connection
    Tcp,
}

impl ForCommunicator {
    /// What was typed of it. A secret in a variable is for whom it concerns.
    fn typed(&self) -> Option<&'static str> {
        match self {
            ForCommunicator { kind: Some(_), .. } => Some("--type"),
            ForCommunicator { reply: true, .. } => Some("--reply"),
            ForCommunicator { secret_code_file: Some(_), .. } => Some("--secret-code-file"),
            _ => None,
        }
    }

    /// For all other buses.
    pub(super) fn none(&self) -> Result<(), Failure> {
        match self.typed() {
            Some(option) => Err(Failure::usage(format_args!(
                "{option} is only for a Communicator daemon: --connect cd://HOST, cds://HOST, cdu://HOST or cd:///PATH"
            ))),
            None => Ok(()),
        }
    }
}

/// `chappe call`.
#[derive(Debug, Args)]
pub(crate) struct Call {
    #[command(flatten)]
    pub(super) what: What,
    /// Ask each member of the name and print a line for each: its answer, or why there is
    /// none. The exit status is 0 if there are members and all answered well; else the highest
    /// of those that their answers have one by one, or 3 if nobody is there
    #[arg(long, conflicts_with = "station")]
    pub(super) all: bool,
}

fn parse_station(text: &str) -> Result<u64, String> {
    match text.strip_prefix('@').unwrap_or(text).parse() {
        Ok(n) if n > 0 => Ok(n),
        _ => Err(format!("{text:?} is no station's address: a number above 0, as `chappe ls` shows it")),
    }
}

/// A letter's parts, owned.
pub(super) struct Parts {
    pub(super) name: String,
    pub(super) verb: String,
    pub(super) body: Vec<u8>,
    pub(super) encoding: Encoding,
    pub(super) params: Vec<(String, String)>,
}

impl What {
    pub(super) fn parts(&self, everyone: bool) -> Result<Parts, Failure> {
        let (body, encoding) = self.content()?;
        // With --station the first argument may be a parameter, or `/VERB`.
        let mut listed = self.params.clone();
        let mut to = self.to.clone().unwrap_or_default();
        if (everyone || self.station.is_some()) && to.contains('=') {
            listed.insert(0, std::mem::take(&mut to));
        }
        let (name, verb) = match &self.verb {
            Some(verb) => (to, verb.clone()),
            None => match to.rsplit_once('/') {
                // whoever has announced a command of the Communicator is a member of `./COMMAND`
                Some((".", verb)) if !verb.is_empty() => (format!("./{verb}"), verb.to_owned()),
                Some((name, verb)) => (name.to_owned(), verb.to_owned()),
                None => (to, String::new()),
            },
        };
        if name.is_empty() && !everyone && self.station.is_none() {
            return Err(Failure::usage("the name is empty: write NAME or NAME/VERB"));
        }
        if !name.is_empty() && everyone {
            return Err(Failure::usage("a name and --everyone exclude each other; for the verb alone write /VERB"));
        }
        let verb = match (verb.as_str(), encoding) {
            ("", Encoding::Json) if listed.is_empty() => verb,
            ("", _) if body.is_empty() => "NOTIFY".to_owned(),
            ("", _) => "SET".to_owned(),
            _ => verb,
        };
        let params = listed
            .iter()
            .map(|p| match p.split_once('=') {
                Some((k, v)) if !k.is_empty() => Ok((k.to_owned(), v.to_owned())),
                _ => Err(Failure::usage(format_args!(
                    "{p:?} is no parameter: write KEY=VALUE, or --body TEXT for a text"
                ))),
            })
            .collect::<Result<_, _>>()?;
        Ok(Parts { name, verb, body, encoding, params })
    }

    /// Whether a body is typed, be it empty.
    pub(super) fn has_body(&self) -> bool {
        self.body.is_some() || self.body_file.is_some() || self.json_body.is_some()
    }

    fn content(&self) -> Result<(Vec<u8>, Encoding), Failure> {
        if let Some(text) = &self.json_body {
            if let Err(e) = serde_json::from_str::<serde::de::IgnoredAny>(text) {
                return Err(Failure::usage(format_args!("--json-body is no JSON: {e}")));
            }
            return Ok((text.clone().into_bytes(), Encoding::Json));
        }
        if let Some(text) = &self.body {
            return Ok((text.clone().into_bytes(), Encoding::Text));
        }
        let Some(file) = &self.body_file else { return Ok((Vec::new(), Encoding::None)) };
        let body = read_file(file)?;
        let encoding = if std::str::from_utf8(&body).is_ok() { Encoding::Text } else { Encoding::Bytes };
        Ok((body, encoding))
    }
}

/// A whole file, or the standard input for `-`.
pub(crate) fn read_file(file: &Path) -> Result<Vec<u8>, Failure> {
    let mut body = Vec::new();
    let read = if file == Path::new("-") {
        std::io::stdin().lock().read_to_end(&mut body).map(drop)
    } else {
        std::fs::File::open(file).and_then(|mut f| f.read_to_end(&mut body)).map(drop)
    };
    read.map_err(|e| Failure::io(format_args!("cannot read {}", file.display()), &e))?;
    Ok(body)
}

fn borrow(params: &[(String, String)]) -> Vec<(&str, &str)> {
    params.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect()
}

impl Parts {
    fn letter<'l>(&'l self, what: &'l What, params: &'l [(&'l str, &'l str)]) -> Result<Letter<'l>, Failure> {
        let station = what.station.as_deref().map(parse_station).transpose().map_err(Failure::usage)?;
        Ok(Letter {
            name: &self.name,
            verb: &self.verb,
            body: &self.body,
            encoding: self.encoding,
            params: Params::Listed(params),
            instance: what.instance.as_deref().unwrap_or_default(),
            station: station.unwrap_or(0),
            ..Letter::default()
        })
    }

    /// For messages to the person.
    pub(super) fn goal(&self) -> String {
        if self.name.is_empty() { "it".to_owned() } else { plain(&self.name, false) }
    }
}

pub(crate) fn send(args: &Send, global: &Global) -> Result<(), Failure> {
    args.communicator.none()?;
    let parts = args.what.parts(args.everyone)?;
    let params = borrow(&parts.params);
    let letter = Letter {
        everyone: args.everyone,
        keep: args.keep,
        ttl_ms: args.ttl.map_or(0, |d| d.as_millis() as u32),
        ..parts.letter(&args.what, &params)?
    };
    let mut out = global.out();
    let mut bus = global.connection()?;
    if args.blindly {
        bus.send(&letter)?;
        bus.flush()?;
        bus.close()?;
        return Ok(());
    }
    let outcome = bus.send_and_learn(&letter).map_err(|e| Failure::about(parts.goal(), e))?;
    if out.json {
        out.json(&json!({"outcome": code_name(outcome.code), "stations": outcome.count}))?;
    } else if !out.quiet {
        match (outcome.code, outcome.count) {
            (Code::Kept, _) => out.line("kept: nobody is there yet")?,
            (_, 1) => out.line("sent to 1 station")?,
            (_, n) => out.line(format!("sent to {n} stations"))?,
        }
    }
    out.flush()?;
    bus.close()?;
    Ok(())
}

pub(crate) fn call(args: &Call, global: &Global) -> Result<(), Failure> {
    let parts = args.what.parts(false)?;
    let listed = borrow(&parts.params);
    let letter = parts.letter(&args.what, &listed)?;
    let mut out = global.out();
    let mut bus = global.connection()?;
    if args.all {
        // Addresses are never given twice, so a name is right whenever it was listed: before for
        // those that leave, afterwards for those that have just come.
        let mut names = HashMap::new();
        list_names(&mut bus, &mut names)?;
        let answers = bus.call_each(&letter).map_err(|e| Failure::about(parts.goal(), e))?;
        if answers.iter().any(|(station, _)| !names.contains_key(station)) {
            list_names(&mut bus, &mut names)?;
        }
        let mut members: Vec<_> = answers
            .into_iter()
            .map(|(station, answer)| Member {
                address: station.into(),
                name: names.get(&station).cloned().unwrap_or_default(),
                answer,
            })
            .collect();
        members.sort_by_key(|m| m.address.as_u64());
        let result = show_members(&mut out, &parts.goal(), &members);
        let _ = bus.close();
        return result;
    }
    let began = Instant::now();
    let answer = bus.call(&letter).map_err(|e| Failure::about(parts.goal(), e))?;
    let took = began.elapsed();
    let from = if answer.from == 0 { Value::Null } else { answer.from.into() };
    show_answer(&mut out, &answer, from, took)?;
    // The answer is here: what the node says to the goodbye changes nothing.
    let _ = bus.close();
    verdict(&parts.goal(), &answer, "`chappe ls names`")
}

/// What stations call themselves.
fn list_names(bus: &mut Connection, names: &mut HashMap<u64, String>) -> Result<(), Failure> {
    names.extend(bus.list(Listed::Stations, "")?.into_iter().map(|i| (i.station, i.name)));
    Ok(())
}

/// An answer for machines; more may be put into it.
fn answer_json(answer: &Answer) -> Map<String, Value> {
    let mut o = object([
        ("code", code_name(answer.code).into()),
        ("text", text_or_null(&answer.text)),
        ("params", params_json(&answer.params)),
    ]);
    body_json(&mut o, "body", &answer.body, answer.encoding);
    o
}

/// Prints an answer.
pub(super) fn show_answer(out: &mut Out, answer: &Answer, from: Value, took: Duration) -> Result<(), Failure> {
    if out.json {
        let mut o = answer_json(answer);
        o.extend(object([("from", from), ("ms", json!(took.as_micros() as f64 / 1000.0))]));
        out.json(&o.into())?;
    } else {
        if !answer.params.is_empty() {
            out.line(params(&answer.params))?;
        }
        if !answer.body.is_empty() {
            out.body(&answer.body)?;
        }
    }
    out.flush()
}

/// What went wrong, if anything.
fn trouble(answer: &Answer) -> String {
    let mut text = answer.code.text().to_owned();
    if !answer.text.is_empty() && !answer.text.eq_ignore_ascii_case(&text) {
        text.push_str(": ");
        text.push_str(&plain(&answer.text, false));
    }
    text
}

/// The exit status that an answer stands for. `who`: the command that shows who is there.
pub(super) fn verdict(goal: &str, answer: &Answer, who: &str) -> Result<(), Failure> {
    let Some(status) = status_of(answer.code) else { return Ok(()) };
    let mut text = format!("{goal}: {}", trouble(answer));
    if answer.code == Code::NoRecipient {
        text.push_str(&format!("\n  who is there: {who}"));
    }
    Err(Failure::Because(status, text))
}

/// One of those that were asked together.
pub(super) struct Member {
    /// As the bus has it: a number or a text.
    pub(super) address: Value,
    /// What it calls itself, if that is known.
    pub(super) name: String,
    pub(super) answer: Answer,
}

/// Prints a line for each, and says whether all went well.
pub(super) fn show_members(out: &mut Out, goal: &str, members: &[Member]) -> Result<(), Failure> {
    for Member { address, name, answer } in members {
        if out.json {
            let mut o = object([("station", address.clone()), ("station_name", text_or_null(name))]);
            o.append(&mut answer_json(answer));
            out.json(&o.into())?;
            continue;
        }
        let mut line = match address.as_str() {
            Some(lname) => plain(lname, false),
            None => format!("@{address}"),
        };
        if !name.is_empty() {
            line.push_str(&format!(" {}", plain(name, false)));
        }
        let said = match status_of(answer.code) {
            Some(_) => trouble(answer),
            None => [params(&answer.params), printable(&answer.body, false)].join(" ").trim().to_owned(),
        };
        out.line(format!("{line}: {}", if said.is_empty() { answer.code.text() } else { &said }))?;
    }
    out.flush()?;
    let failed: Vec<_> = members.iter().filter_map(|m| status_of(m.answer.code)).collect();
    match failed.iter().max_by_key(|s| **s as u8) {
        None if members.is_empty() => {
            Err(Failure::Because(Status::Nobody, format!("{goal}: {}", Code::NoRecipient.text())))
        }
        None => Ok(()),
        Some(worst) => {
            let well = members.len() - failed.len();
            Err(Failure::Because(*worst, format!("{goal}: {well} of {} answered well", members.len())))
        }
    }
}
