//! `chappe listen` and `chappe monitor` on a Clacks server.

use std::time::{Duration, Instant};

use chappe_linux::clacks::{Event, Session, Told};
use chappe_linux::client::{Encoding, ParamList};
use serde_json::Value;

use super::super::exit::{Failure, Status};
use super::super::listen::{Listen, Until, line, remark};
use super::super::show::{Out, body_json, now, object, plain, printable, span};
use super::{Bus, Monitor, cannot, name_json, shown};

pub(super) fn listen(args: &Listen, bus: &Bus<'_>) -> Result<(), Failure> {
    if args.exclusive {
        return cannot("listen --exclusive", "anybody may listen to any name there");
    }
    if args.instance.is_some() {
        return cannot("listen --instance", "names have no instances there");
    }
    if args.reply.is_some() {
        return cannot("listen --reply", "nobody asks there");
    }
    for name in args.names.iter().filter(|n| *n == "*" || n.ends_with("::*") || n.ends_with("/*")) {
        let text = "a Clacks server has no patterns: only signals to the name itself are heard:";
        remark(&bus.out(), format_args!("{text} {}", plain(name, false)));
    }
    let mut session = bus.connect()?;
    for name in &args.names {
        session.listen(bus.name(name))?;
    }
    follow(session, bus, &args.until, |out, event| {
        let (name, value) = match event {
            Event::Set { name, value } => (name, Some(value)),
            Event::Notify { name } => (name, None),
            _ => return Ok(false),
        };
        let is_yaml = value.as_ref().is_some_and(|v| bus.is_yaml(v));
        let verb = if value.is_some() { "SET" } else { "NOTIFY" };
        let body = bus.read(value.unwrap_or_default());
        if args.bodies {
            out.bytes(&body)?;
            out.bytes(b"\n")?;
        } else if out.json {
            out.json(&signal_json(&name, verb, &body, is_yaml))?;
        } else {
            out.line(line(&shown(&name), verb, false, &ParamList::new(), &body))?;
        }
        Ok(true)
    })
}

pub(super) fn monitor(args: &Monitor, bus: &Bus<'_>) -> Result<(), Failure> {
    let mut session = bus.connect()?;
    session.monitor(true)?;
    follow(session, bus, &args.until, |out, event| {
        let Event::Debug { source, text } = event else { return Ok(false) };
        if let Some(only) = &args.only {
            // `CONNECTED=<id>`, `DISCONNECTED=<id> (…)`, `<id>=<line>`
            let only = only.as_bytes();
            let of = text.strip_prefix(only).is_some_and(|rest| matches!(rest.first(), None | Some(b' ')));
            if source != only && !(of && matches!(&source[..], b"CONNECTED" | b"DISCONNECTED")) {
                return Ok(false);
            }
        }
        if out.json {
            let mut o = object([("event", "debug".into()), ("time", now().into())]);
            name_json(&mut o, "source", &source);
            body_json(&mut o, "text", &text, Encoding::None);
            out.json(&o.into())?;
        } else {
            out.line(format!("{}  {}  {}", now(), shown(&source), printable(&text, false)))?;
        }
        Ok(true)
    })
}

fn signal_json(name: &[u8], verb: &str, body: &[u8], is_yaml: bool) -> Value {
    let encoding = match (verb, is_yaml, std::str::from_utf8(body).is_ok()) {
        ("NOTIFY", ..) => "none",
        (_, true, _) => "yaml",
        (_, _, true) => "text",
        _ => "bytes",
    };
    let mut o = object([
        ("event", "message".into()),
        ("time", now().into()),
        ("verb", verb.into()),
        ("encoding", encoding.into()),
        ("asks", false.into()),
    ]);
    name_json(&mut o, "name", name);
    body_json(&mut o, "body", body, Encoding::None);
    o.into()
}

/// Prints events until it is time to stop; `show` says whether it was a line. What goes wrong
/// on the way is told on the standard error; the connection comes back by itself.
fn follow(
    mut session: Session,
    bus: &Bus<'_>,
    until: &Until,
    mut show: impl FnMut(&mut Out, Event) -> Result<bool, Failure>,
) -> Result<(), Failure> {
    let mut out = bus.out();
    // Whether it may listen is known when this is back, and only then anything is heard for sure.
    session.flush()?;
    let end = until.time.map(|t| Instant::now() + t);
    let mut left = until.count;
    let mut missed = 0;
    while left != Some(0) {
        let mut event = session.receive(Some(Duration::ZERO))?;
        if event.is_none() {
            out.flush()?;
            event = session.receive(end.map(|e| e.saturating_duration_since(Instant::now())))?;
        }
        let Some(event) = event else {
            out.flush()?;
            return match left {
                Some(n) => Err(Failure::Because(Status::TimedOut, format!("{n} more were expected"))),
                None => Ok(()),
            };
        };
        match event {
            Event::Disconnected { why, again_in, .. } => {
                out.flush()?;
                remark(
                    &out,
                    format_args!("{}: {}; again in {}", bus.address, plain(&why.to_string(), false), span(again_in)),
                );
            }
            Event::Unreachable { problem, again_in } => {
                remark(&out, format_args!("{}: {}; again in {}", bus.address, plain(&problem, false), span(again_in)));
            }
            Event::Reconnected => {
                let server = session.server().unwrap_or_default().to_owned();
                remark(&out, format_args!("connected again to {}", plain(&server, false)));
            }
            // What it listens to is said again on each connection, and may be denied there.
            Event::Error(told @ Told::Denied) => {
                out.flush()?;
                return Err(chappe_linux::clacks::Error::from(told).into());
            }
            Event::Error(told) => remark(&out, format_args!("{told}")),
            Event::Note(text) => remark(&out, format_args!("a note to all: {}", printable(&text, false))),
            Event::ServerInfo(_) => {}
            event @ (Event::Set { .. } | Event::Notify { .. } | Event::Debug { .. }) => {
                if show(&mut out, event)?
                    && let Some(left) = &mut left
                {
                    *left -= 1;
                }
            }
        }
        let now = session.missed().events;
        if now != missed {
            remark(&out, format_args!("{} messages missed", now - missed));
            missed = now;
        }
    }
    out.flush()
}
