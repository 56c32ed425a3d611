//! `chappe sniff` and `chappe replay`: what passes a node, shown, recorded and said again.
//!
//! Owns: what can be typed for both, and how lines look. Does not own what a node shows
//! (`chappe_core::router`), nor what a file looks like (`record.rs`) and what of it can be said again
//! (`replay.rs`).

mod record;
mod replay;

use std::fs::OpenOptions;
use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use chappe_core::dialect::Dialect;
use chappe_core::name;
use chappe_linux::client::{Code, Event, Monitor, Seen, Sight, StoreOp};
use clap::Args;

use super::connect::Global;
use super::exit::{Failure, Status};
use super::listen::{Until, follow_into, remark};
use chappe_linux::calendar::rfc3339;

use super::show::{Out, code_name, params, plain, printable};

pub(super) use replay::{Replay, replay};

/// Longest that recorded lines wait for others, while there is always more.
const LINGER: Duration = Duration::from_millis(200);

/// Most characters of a body on one line.
const SHORT: usize = 160;

/// What is of interest: what matches all of it.
#[derive(Debug, Args)]
pub(super) struct Filter {
    /// Only what this station says, or what is said to it alone: its address (as `chappe ls` shows
    /// it, with or without `@`) or what it calls itself
    #[arg(long, value_name = "STATION")]
    station: Option<String>,
    /// Only of this name, or of names below: `a::*`, `a/*`
    #[arg(long, value_name = "PATTERN", value_parser = parse_name)]
    name: Option<String>,
    /// Only with this verb
    #[arg(long, value_name = "VERB")]
    verb: Option<String>,
    /// Only of stations that speak this: messi, msgq, clacks, communicator
    #[arg(long, value_name = "DIALECT", value_parser = parse_dialect)]
    dialect: Option<String>,
}

fn parse_name(text: &str) -> Result<String, String> {
    if name::is_valid(text) { Ok(text.to_owned()) } else { Err("a name has 1 to 128 bytes, no controls".into()) }
}

fn parse_dialect(text: &str) -> Result<String, String> {
    let all: Vec<_> = Dialect::ALL.iter().map(|d| d.name()).collect();
    if all.contains(&text) { Ok(text.to_owned()) } else { Err(format!("it is one of {}", all.join(", "))) }
}

impl Filter {
    /// Its address, if one is meant, and what it calls itself otherwise.
    fn station(&self) -> (u64, &str) {
        let text = self.station.as_deref().unwrap_or_default();
        match text.strip_prefix('@').unwrap_or(text).parse() {
            Ok(address) => (address, ""),
            Err(_) => (0, text),
        }
    }

    /// As a node is told it.
    fn monitor(&self) -> Monitor<'_> {
        let (station, station_name) = self.station();
        Monitor {
            station,
            station_name,
            name: self.name.as_deref().unwrap_or_default(),
            verb: self.verb.as_deref().unwrap_or_default(),
            dialect: self.dialect.as_deref().unwrap_or_default(),
            ..Monitor::default()
        }
    }

    /// Whether it matches: as a node has it.
    fn wants(&self, seen: &Seen) -> bool {
        let (station, station_name) = self.station();
        (station == 0 || station == seen.station || station == seen.to)
            && (station_name.is_empty() || station_name == seen.station_name)
            && self.name.as_deref().is_none_or(|n| !seen.name.is_empty() && name::matches(n, &seen.name))
            && self.verb.as_deref().is_none_or(|verb| verb == seen.verb)
            && self.dialect.as_deref().is_none_or(|dialect| dialect == seen.dialect)
    }
}

/// `chappe sniff`.
#[derive(Debug, Args)]
pub(crate) struct Sniff {
    #[command(flatten)]
    filter: Filter,
    #[command(flatten)]
    until: Until,
    /// Record into this file, which must not be there yet, for `chappe replay`; print nothing
    #[arg(long, value_name = "FILE")]
    to: Option<PathBuf>,
}

pub(crate) fn sniff(args: &Sniff, global: &Global) -> Result<(), Failure> {
    let mut bus = global.connection()?;
    bus.monitor(&args.filter.monitor())?;
    let out = match &args.to {
        None => global.out(),
        Some(path) => {
            // nobody else is to read what was said
            let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
            let file = file.map_err(|e| match e.kind() {
                ErrorKind::AlreadyExists => Failure::Because(
                    Status::Io,
                    format!(
                        "{} is there already: a recording is never written over; name another file",
                        path.display()
                    ),
                ),
                _ => Failure::io(format_args!("cannot make {}", path.display()), &e),
            })?;
            let mut out = Out::to(Box::new(file), true, global.quiet);
            out.json(&record::header(&bus.welcome().node))?;
            out.flush()?;
            out
        }
    };
    let (mut lines, mut flushed) = (0u64, Instant::now());
    let result = follow_into(&mut bus, out, &args.until, |_, out, event| {
        let Event::Seen(seen) = event else { return Ok(false) };
        if out.json {
            out.json(&record::object_of(&seen))?
        } else {
            out.line(line(&seen))?
        }
        if flushed.elapsed() > LINGER {
            out.flush()?;
            flushed = Instant::now();
        }
        if seen.what == Sight::Missed {
            remark(out, format_args!("{} messages missed: this was not read in time", seen.count));
            return Ok(false);
        }
        lines += 1;
        Ok(true)
    });
    let _ = bus.close();
    if let (Some(path), false, Ok(())) = (&args.to, global.quiet, &result) {
        eprintln!("chappe: {lines} messages recorded in {}", path.display());
    }
    result
}

/// What it is, in a word.
fn kind(seen: &Seen) -> &'static str {
    match seen.what {
        Sight::Letter => "letter",
        Sight::Question => "question",
        Sight::Answer => "answer",
        Sight::Join => "join",
        Sight::Leave => "leave",
        Sight::Value => match seen.op {
            StoreOp::Get => "get",
            StoreOp::Set => "set",
            StoreOp::Remove => "remove",
            StoreOp::Add => "add",
            StoreOp::Flush => "flush",
            StoreOp::Unknown(_) => "value",
        },
        Sight::Flag if seen.off => "lower",
        Sight::Flag => "raise",
        Sight::Declare if seen.off => "forget",
        Sight::Declare => "declare",
        Sight::Request => "request",
        Sight::Outcome => "outcome",
        Sight::Connected => "connected",
        Sight::Disconnected => "disconnected",
        Sight::Missed => "missed",
        Sight::None | Sight::Unknown(_) => "unknown",
    }
}

/// One line for a person, and never a control character.
fn line(seen: &Seen) -> String {
    let time = rfc3339(Duration::from_micros(seen.micros));
    if seen.what == Sight::Missed {
        return format!("{time}  -- {} messages missed --", seen.count);
    }
    let mut parts = vec![time, plain(&seen.dialect, false)];
    let who = if seen.station == 0 { "node".to_owned() } else { format!("@{}", seen.station) };
    parts.push(match seen.station_name.as_str() {
        "" => who,
        name => format!("{who} {}", plain(name, false)),
    });
    parts.push(kind(seen).to_owned());
    let mut goal = plain(&seen.name, false);
    if seen.everyone {
        goal.push_str("(everyone)");
    }
    if !matches!(seen.instance.as_str(), "" | "*") {
        goal.push_str(&format!("[{}]", plain(&seen.instance, false)));
    }
    if !seen.verb.is_empty() {
        if !goal.is_empty() {
            goal.push('/');
        }
        goal.push_str(&plain(&seen.verb, false));
    }
    parts.push(goal);
    if seen.to != 0 {
        parts.push(format!("to @{}", seen.to));
    }
    let code = if seen.code == Code::Ok { String::new() } else { code_name(seen.code) };
    let amount = if seen.amount == 0 { String::new() } else { format!("{:+}", seen.amount) };
    parts.extend([amount, code, plain(&seen.text, false), params(&seen.params), short(&seen.body)]);
    for (is_so, word) in [
        (seen.each, "(each)"),
        (seen.keep, "(keep)"),
        (seen.announce, "(announce)"),
        (seen.exclusive, "(exclusive)"),
        (seen.hidden, "(secret hidden)"),
    ] {
        if is_so {
            parts.push(word.to_owned());
        }
    }
    if seen.cut {
        parts.push(format!("(cut: {} bytes)", seen.size));
    }
    parts.retain(|part| !part.is_empty());
    parts.join("  ")
}

/// A body of which no more is shown than a person reads.
fn short(body: &[u8]) -> String {
    let text = printable(body, false);
    match text.char_indices().nth(SHORT) {
        Some((at, _)) => format!("{}… ({} bytes)", &text[..at], body.len()),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chappe_linux::client::Encoding;

    #[test]
    fn no_control_character_reaches_a_terminal_whichever_field_it_is_in() {
        let evil = "\u{1b}[2J\u{9b}31m\r\n\u{7f}".to_owned();
        let seen = Seen {
            dialect: evil.clone(),
            station_name: evil.clone(),
            name: evil.clone(),
            instance: evil.clone(),
            verb: evil.clone(),
            params: vec![(evil.clone(), evil.clone())],
            body: evil.clone().into_bytes(),
            text: evil,
            encoding: Encoding::Text,
            ..Seen::default()
        };
        for what in (0..20).map(Sight::from_number) {
            let line = line(&Seen { what, ..seen.clone() });
            assert!(!line.chars().any(char::is_control), "{line:?}");
        }
    }

    #[test]
    fn a_line_has_what_a_person_wants_to_know() {
        let seen = Seen {
            what: Sight::Question,
            micros: 951_782_400_000_000,
            dialect: "msgq".into(),
            station: 7,
            station_name: "b10".into(),
            name: "s".into(),
            instance: "*".into(),
            verb: "DO".into(),
            params: vec![("k".into(), "v w".into())],
            body: vec![b'x'; 200],
            cut: true,
            size: 300,
            ..Seen::default()
        };
        let xs = "x".repeat(SHORT);
        let want = format!(
            "2000-02-29T00:00:00.000Z  msgq  @7 b10  question  s/DO  k=\"v w\"  {xs}… (200 bytes)  (cut: 300 bytes)"
        );
        assert_eq!(line(&seen), want);
        let missed = Seen { what: Sight::Missed, count: 3, ..Seen::default() };
        assert!(line(&missed).ends_with("-- 3 messages missed --"));
    }

    #[test]
    fn stations_are_meant_by_address_or_by_name() {
        let filter = |station: &str| Filter { station: Some(station.into()), name: None, verb: None, dialect: None };
        assert_eq!((filter("@12").station(), filter("12").station()), ((12, ""), (12, "")));
        assert_eq!(filter("sensor-12").station(), (0, "sensor-12"));
    }
}
