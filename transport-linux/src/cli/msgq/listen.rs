//! `chappe listen` and `chappe watch` on a bus of BIND 10.
//!
//! Owns: subscriptions, and beginning anew when the session is over: a new one knows nothing
//! of the old.

use std::path::Path;
use std::time::{Duration, Instant};

use chappe_linux::client::Change;
use chappe_linux::msgq::translate::Said;
use chappe_linux::msgq::{ANY, Error, Message, NOTICES, Presence, Session, body};
use serde_json::{Value, json};

use super::super::connect::Global;
use super::super::exit::{Failure, Status};
use super::super::listen::{Listen, Until, WatchArgs, change_line, line, remark};
use super::super::show::{Out, body_json, now, object, params_json, plain, snake, span, text_or_null};
use super::{cannot, connect};

/// The first pause before connecting again, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(8));

pub(super) fn listen(args: &Listen, path: &Path, global: &Global) -> Result<(), Failure> {
    if args.exclusive {
        return cannot("listen --exclusive", "anybody may join any name there");
    }
    for name in args.names.iter().filter(|n| *n == "*" || n.ends_with("::*") || n.ends_with("/*")) {
        remark(
            &global.out(),
            format_args!(
                "a bus of BIND 10 has no patterns: only what is sent to the name {} itself is heard",
                plain(name, false)
            ),
        );
    }
    let instance = args.instance.as_deref().unwrap_or(ANY);
    let join = |bus: &mut Session| {
        args.names.iter().try_for_each(|name| {
            let held = bus.subscribe(name, instance).and_then(|()| bus.ping(global.timeout));
            held.map_err(|error| NotJoined { name: name.clone(), error })
        })
    };
    follow(path, global, &args.until, join, |bus, out, message| {
        let said = Said::read(&message.group, &message.body);
        if args.bodies {
            out.bytes(&said.body)?;
            out.bytes(b"\n")?;
        } else if out.json {
            out.json(&message_json(&message, &said))?;
        } else {
            let asks = message.want_answer && !message.is_reply();
            out.line(line(&plain(&message.group, false), &said.verb, asks, &said.params, &said.body))?;
        }
        if let (Some(text), true, false) = (&args.reply, message.want_answer, message.is_reply()) {
            // Who asked has a time limit if this is lost with the session.
            let _ = bus.reply(&message, &body::result(&json!(text)));
        }
        Ok(true)
    })
}

pub(super) fn watch(args: &WatchArgs, path: &Path, global: &Global) -> Result<(), Failure> {
    if args.flags {
        return cannot("watch --flags", "it has no flags");
    }
    let all = !(args.stations || args.members);
    let join =
        |bus: &mut Session| bus.watch(global.timeout).map_err(|error| NotJoined { name: NOTICES.to_owned(), error });
    follow(path, global, &args.until, join, |bus, out, message| {
        let Some(presence) = Presence::of(&message) else { return Ok(false) };
        let (change, group) = match &presence {
            Presence::Connected { .. } => (Change::Connected, None),
            Presence::Disconnected { .. } => (Change::Disconnected, None),
            Presence::Subscribed { group, .. } => (Change::Joined, Some(group)),
            Presence::Unsubscribed { group, .. } => (Change::Left, Some(group)),
        };
        let wanted = match group {
            None => args.stations || all,
            Some(group) => (args.members || all) && args.name.as_ref().is_none_or(|n| n == group),
        };
        if !wanted || presence.client() == bus.lname() {
            return Ok(false);
        }
        let group = group.map(String::as_str).unwrap_or_default();
        if out.json {
            out.json(
                &object([
                    ("event", snake(&format!("{change:?}")).into()),
                    ("time", now().into()),
                    ("station", presence.client().into()),
                    ("name", text_or_null(group)),
                ])
                .into(),
            )?;
        } else {
            out.line(change_line(&plain(presence.client(), false), change, &plain(group, false)))?;
        }
        Ok(true)
    })
}

/// A name that could not be joined.
struct NotJoined {
    name: String,
    error: Error,
}

impl NotJoined {
    /// Whether the bus does not want it. Such a bus has no words for that: it closes the
    /// connection. So does one that ends; but then nobody is there for another connection.
    fn is_refused(&self, path: &Path, global: &Global) -> bool {
        matches!(self.error, Error::Over { .. }) && connect(path, global).is_ok()
    }

    fn refusal(&self) -> Failure {
        Failure::Because(
            Status::Refused,
            format!(
                "the bus closed the connection when it was asked to join {}: not permitted, taken by another, or no \
                 valid name",
                plain(&self.name, false)
            ),
        )
    }
}

/// Prints messages until it is time to stop; `show` says whether it was a line.
fn follow(
    path: &Path,
    global: &Global,
    until: &Until,
    join: impl Fn(&mut Session) -> Result<(), NotJoined>,
    mut show: impl FnMut(&mut Session, &mut Out, Message) -> Result<bool, Failure>,
) -> Result<(), Failure> {
    let mut out = global.out();
    let mut bus = connect(path, global)?;
    if let Err(failed) = join(&mut bus) {
        return Err(if failed.is_refused(path, global) { failed.refusal() } else { failed.error.into() });
    }
    let end = until.time.map(|t| Instant::now() + t);
    let mut left = until.count;
    let mut pause = PAUSES.0;
    // Whether the bus has already refused once what it would refuse now.
    let mut sure = false;
    let mut missed = bus.missed().messages;
    while left != Some(0) {
        let mut received = bus.receive(Some(Duration::ZERO));
        if matches!(received, Ok(None)) {
            out.flush()?;
            received = bus.receive(end.map(|e| e.saturating_duration_since(Instant::now())));
        }
        match received {
            Ok(Some(message)) => {
                pause = PAUSES.0;
                if show(&mut bus, &mut out, message)?
                    && let Some(left) = &mut left
                {
                    *left -= 1;
                }
            }
            Ok(None) => return over(left),
            Err(error) => {
                out.flush()?;
                remark(&out, format_args!("msgq://{}: {error}; again in {}", path.display(), span(pause)));
                let rest = end.map_or(pause, |e| e.saturating_duration_since(Instant::now()));
                std::thread::sleep(pause.min(rest));
                pause = (pause * 2).min(PAUSES.1);
                // Until there is a new session the old one goes on saying that it is over.
                let again = connect(path, global).and_then(|mut new| match join(&mut new) {
                    Ok(()) => Ok(new),
                    Err(failed) if failed.is_refused(path, global) => {
                        sure = true;
                        Err(failed.refusal())
                    }
                    Err(failed) => Err(failed.error.into()),
                });
                match again {
                    Ok(new) => {
                        bus = new;
                        missed = 0;
                        sure = false;
                        remark(&out, format_args!("connected again, as {}", plain(bus.lname(), false)));
                    }
                    Err(failure @ Failure::Because(Status::Refused, _)) if sure => return Err(failure),
                    // A daemon that ends also closes connections without a word: once.
                    Err(failure) => {
                        sure = matches!(failure, Failure::Because(Status::Refused, _));
                        if end.is_some_and(|e| e <= Instant::now()) {
                            return over(left);
                        }
                    }
                }
            }
        }
        if bus.missed().messages != missed {
            remark(&out, format_args!("{} messages missed", bus.missed().messages - missed));
            missed = bus.missed().messages;
        }
    }
    out.flush()
}

/// The time to listen is over: were there as many lines as wished for?
fn over(left: Option<u64>) -> Result<(), Failure> {
    match left {
        Some(n) => Err(Failure::Because(Status::TimedOut, format!("{n} more were expected"))),
        None => Ok(()),
    }
}

fn message_json(m: &Message, said: &Said) -> Value {
    let mut o = object([
        ("event", "message".into()),
        ("time", now().into()),
        ("name", m.group.as_str().into()),
        ("instance", if m.instance == ANY { Value::Null } else { m.instance.as_str().into() }),
        ("to", if m.to == ANY { Value::Null } else { m.to.as_str().into() }),
        ("verb", said.verb.as_str().into()),
        ("params", params_json(&said.params)),
        ("encoding", snake(&format!("{:?}", said.encoding)).into()),
        ("from", text_or_null(&m.from)),
        ("seq", m.seq.clone()),
        ("reply", m.reply.clone().unwrap_or_default()),
        ("asks", (m.want_answer && !m.is_reply()).into()),
    ]);
    body_json(&mut o, "body", &said.body, said.encoding);
    o.into()
}
