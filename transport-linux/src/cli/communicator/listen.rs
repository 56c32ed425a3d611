//! `chappe listen` at a Communicator daemon: registers, and prints what comes.

use std::time::{Duration, Instant};

use chappe_core::dialect::communicator::translate::{REPLY, REPLY_TO};
use chappe_linux::communicator::{Answers, Error, Event, Message, Options, Session, Why};
use serde_json::Value;

use super::super::exit::{Failure, Status};
use super::super::listen::{Listen, remark};
use super::super::show::{now, plain, printable, span};
use super::{Bus, cannot, message_json, sender, shown};

pub(super) fn listen(args: &Listen, bus: &Bus<'_>) -> Result<(), Failure> {
    if args.instance.is_some() {
        return cannot("listen --instance", "services have no instances there");
    }
    if args.bodies {
        return cannot("listen --bodies", "messages have parameters and no body; --json has them all");
    }
    let [name] = &args.names[..] else {
        return cannot("listen NAME NAME", "a connection is one service; for others run it again");
    };
    let options = Options {
        name: name.clone(),
        commands: args.commands.clone(),
        answers: Answers::Standard,
        outlive: true,
        ..bus.global.communicator_options(bus.uri, name)?
    };
    let mut session = Session::connect(bus.uri.clone(), options)?;
    let result = follow(&mut session, args, bus);
    let _ = session.close();
    result
}

/// Prints messages until it is time to stop. What goes wrong on the way is told on the standard
/// error; the connection comes back by itself.
fn follow(session: &mut Session, args: &Listen, bus: &Bus<'_>) -> Result<(), Failure> {
    let mut out = bus.out();
    let end = args.until.time.map(|t| Instant::now() + t);
    let mut left = args.until.count;
    let (mut missed, mut is_back) = (0, false);
    while left != Some(0) {
        let mut event = receive(session, Some(Duration::ZERO))?;
        if event.is_none() {
            out.flush()?;
            event = receive(session, end.map(|e| e.saturating_duration_since(Instant::now())))?;
        }
        match event {
            None => {
                out.flush()?;
                return match left {
                    Some(n) => Err(Failure::Because(Status::TimedOut, format!("{n} more were expected"))),
                    None => Ok(()),
                };
            }
            Some(Event::Message(m)) => {
                if out.json {
                    out.json(&json(&m))?;
                } else {
                    out.line(line(&m))?;
                }
                if let (Some(text), Some(id)) = (&args.reply, m.get(REPLY_TO)) {
                    session.answer(&m, Message::new(REPLY).with(REPLY_TO, id).with("body", text))?;
                }
                if let Some(left) = &mut left {
                    *left -= 1;
                }
            }
            Some(Event::Disconnected { why, again_in }) => {
                out.flush()?;
                let why = plain(&why.to_string(), false);
                remark(&out, format_args!("{}: {why}; again in {}", bus.uri, span(again_in)));
            }
            Some(Event::Unreachable { problem, again_in }) => {
                let problem = plain(&problem, false);
                remark(&out, format_args!("{}: {problem}; again in {}", bus.uri, span(again_in)));
            }
            Some(Event::Ready { server, .. }) if std::mem::replace(&mut is_back, true) => {
                remark(&out, format_args!("connected again to {}", plain(&server, false)));
            }
            Some(Event::Stop) => {
                out.flush()?;
                remark(&out, format_args!("somebody has stopped this service (STOP)"));
                return Ok(());
            }
            Some(_) => {}
        }
        let now = session.missed().events;
        if now != missed {
            remark(&out, format_args!("{} messages missed", now - missed));
            missed = now;
        }
    }
    out.flush()
}

fn receive(session: &mut Session, timeout: Option<Duration>) -> Result<Option<Event>, Failure> {
    match session.receive(timeout) {
        Err(Error::Over(Why::Stopped)) => Ok(Some(Event::Stop)),
        result => Ok(result?),
    }
}

/// On one line: when, to whom, what, from whom.
fn line(m: &Message) -> String {
    let to = match m.service.as_str() {
        "" => "(you)".to_owned(),
        "." | "?" | "*" => format!("{}/", m.service),
        service => printable(service.as_bytes(), false),
    };
    let from = match sender(m).as_str() {
        "" => String::new(),
        from => format!("  (from {from})"),
    };
    format!("{}  {to}  {}{from}", now(), shown(m))
}

fn json(m: &Message) -> Value {
    let mut o = message_json(m);
    o.insert("event".into(), "message".into());
    o.insert("time".into(), now().into());
    o.insert("asks".into(), m.get(REPLY_TO).is_some().into());
    o.into()
}
