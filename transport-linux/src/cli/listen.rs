//! `chappe listen` and `chappe watch`: print what comes.
//!
//! Owns: what can be typed for both, on either kind of bus, and how lines look. Does not own
//! what a bus of BIND 10 does differently (`msgq/listen.rs`).

use std::time::{Duration, Instant};

use chappe_linux::client::{
    AnswerToSend, Change, Code, Connection, Encoding, Event, FlagChange, Join, Message, ParamList, Presence, Watch, Why,
};
use clap::Args;
use serde_json::{Value, json};

use super::connect::Global;
use super::exit::{Failure, Status};
use super::show::{
    Out, body_json, code_name, now, object, params, params_json, parse_span, plain, printable, snake, span,
    text_or_null,
};

/// When to stop.
#[derive(Debug, Args)]
pub(super) struct Until {
    /// Stop after so many lines
    #[arg(long, short = 'n', value_name = "N")]
    pub(super) count: Option<u64>,
    /// Stop after this time: 10s, 5m. With --count and fewer lines the exit status is 4
    #[arg(long = "for", value_name = "TIME", value_parser = parse_span)]
    pub(super) time: Option<Duration>,
}

/// `chappe listen`.
#[derive(Debug, Args)]
pub(crate) struct Listen {
    /// Names to join; `a::*`, `a/*` and `*` hear all signals to names below (but not on a bus of
    /// BIND 10 and a Clacks server, where they are names like any other). At a Communicator daemon: the one service
    /// to register as
    #[arg(required = true, value_name = "NAME")]
    pub(super) names: Vec<String>,
    #[command(flatten)]
    pub(super) until: Until,
    /// Join as this instance
    #[arg(long, value_name = "INSTANCE")]
    pub(super) instance: Option<String>,
    /// Be the only member of each name
    #[arg(long)]
    pub(super) exclusive: bool,
    /// Answer each question with this text. Without it questions stay unanswered here: other
    /// members of the name may answer, or the node says in the end that nobody did
    #[arg(long, value_name = "TEXT")]
    pub(super) reply: Option<String>,
    /// Print only the bodies, each as it is with a newline behind it
    #[arg(long, conflicts_with = "json")]
    pub(super) bodies: bool,
    /// At a Communicator daemon: which commands to announce, separated by commas; broadcasts of these are heard
    #[arg(long, value_delimiter = ',', value_name = "A,B")]
    pub(super) commands: Vec<String>,
}

impl Listen {
    /// For all buses but a Communicator's.
    pub(super) fn no_commands(&self) -> Result<(), Failure> {
        if self.commands.is_empty() {
            return Ok(());
        }
        Err(Failure::usage("--commands is only for a Communicator daemon (--connect cd://HOST or cd:///PATH)"))
    }
}

/// `chappe watch`.
#[derive(Debug, Args)]
pub(crate) struct WatchArgs {
    /// Only joins and leaves of this name
    pub(super) name: Option<String>,
    #[command(flatten)]
    pub(super) until: Until,
    /// Who connects and disconnects (default: all three)
    #[arg(long)]
    pub(super) stations: bool,
    /// Who joins and leaves names
    #[arg(long)]
    pub(super) members: bool,
    /// Which flags are raised and lowered
    #[arg(long)]
    pub(super) flags: bool,
}

pub(crate) fn listen(args: &Listen, global: &Global) -> Result<(), Failure> {
    args.no_commands()?;
    let mut bus = global.connection()?;
    for name in &args.names {
        let instance = args.instance.as_deref().unwrap_or_default();
        bus.join_as(&Join { name, instance, exclusive: args.exclusive, ..Join::default() })
            .map_err(|e| Failure::about(format_args!("cannot join {}", plain(name, false)), e))?;
    }
    let result = follow(&mut bus, global, &args.until, |bus, out, event| {
        let Event::Message(m) = event else { return Ok(false) };
        if args.bodies {
            out.bytes(&m.body)?;
            out.bytes(b"\n")?;
        } else if out.json {
            out.json(&message_json(&m))?;
        } else {
            out.line(message_line(&m))?;
        }
        if let (Some(text), true) = (&args.reply, m.ask_id != 0) {
            let answer = AnswerToSend { body: text.as_bytes(), encoding: Encoding::Text, ..AnswerToSend::default() };
            // Who asked hears from the node if this is lost with the connection.
            let _ = bus.answer(&m, &answer);
        }
        Ok(true)
    });
    // Who watches is to see that this one left, not that it broke.
    let _ = bus.close();
    result
}

pub(crate) fn watch(args: &WatchArgs, global: &Global) -> Result<(), Failure> {
    let mut bus = global.connection()?;
    let all = !(args.stations || args.members || args.flags);
    bus.watch(&Watch {
        name: args.name.as_deref().unwrap_or_default(),
        stations: args.stations || all,
        members: args.members || all,
        flags: args.flags || all,
        ..Watch::default()
    })?;
    let result = follow(&mut bus, global, &args.until, |_, out, event| {
        match event {
            Event::Presence(p) if out.json => out.json(&presence_json(&p))?,
            Event::Presence(p) => out.line(presence_line(&p))?,
            Event::FlagChange(f) if out.json => out.json(&flag_json(&f))?,
            Event::FlagChange(f) => out.line(flag_line(&f))?,
            _ => return Ok(false),
        }
        Ok(true)
    });
    let _ = bus.close();
    result
}

/// Prints events until it is time to stop; `show` says whether it was a line. The output is
/// written whenever nothing more waits. What goes wrong on the way is told on the standard
/// error; the connection comes back by itself.
fn follow(
    bus: &mut Connection,
    global: &Global,
    until: &Until,
    show: impl FnMut(&mut Connection, &mut Out, Event) -> Result<bool, Failure>,
) -> Result<(), Failure> {
    follow_into(bus, global.out(), until, show)
}

/// As [`follow`], with an output of its own.
pub(super) fn follow_into(
    bus: &mut Connection,
    mut out: Out,
    until: &Until,
    mut show: impl FnMut(&mut Connection, &mut Out, Event) -> Result<bool, Failure>,
) -> Result<(), Failure> {
    let end = until.time.map(|t| Instant::now() + t);
    let mut left = until.count;
    let mut missed = bus.missed();
    while left != Some(0) {
        let mut event = bus.next_event(Some(Duration::ZERO))?;
        if event.is_none() {
            out.flush()?;
            let rest = end.map(|e| e.saturating_duration_since(Instant::now()));
            event = bus.next_event(rest)?;
        }
        let Some(event) = event else {
            out.flush()?;
            return match left {
                Some(n) => Err(Failure::Because(Status::TimedOut, format!("{n} more were expected"))),
                None => Ok(()),
            };
        };
        match &event {
            Event::Disconnected { why, problem, again_in, .. } => {
                out.flush()?;
                let text =
                    problem.as_deref().filter(|_| matches!(why, Why::Unreachable | Why::Lost)).unwrap_or(why.text());
                remark(&out, format_args!("{}: {text}; again in {}", bus.address(), span(*again_in)));
            }
            Event::Ready(w) => remark(&out, format_args!("connected again to {}", plain(&w.node, false))),
            // That it closes is told when it has; what the node adds is told here.
            Event::Closing { text, code } if text.is_empty() || text == code.text() => {}
            Event::Closing { text, .. } => remark(&out, format_args!("the node says: {}", plain(text, false))),
            Event::Failed(outcome) => remark(&out, format_args!("{outcome}")),
            Event::JoinFailed { name, outcome } => {
                out.flush()?;
                let text = format!("cannot join {} again: {outcome}", plain(name, false));
                return Err(Failure::Because(Status::Answered, text));
            }
            Event::Message(_) | Event::Presence(_) | Event::FlagChange(_) | Event::Seen(_) => {
                if show(bus, &mut out, event)?
                    && let Some(left) = &mut left
                {
                    *left -= 1;
                }
            }
        }
        let now = bus.missed();
        if (now.events, now.frames) != (missed.events, missed.frames) {
            remark(
                &out,
                format_args!(
                    "{} messages missed",
                    (now.events - missed.events) + u64::from(now.frames - missed.frames)
                ),
            );
            missed = now;
        }
    }
    out.flush()
}

/// For a person who looks on; not part of the output.
pub(super) fn remark(out: &Out, text: std::fmt::Arguments<'_>) {
    if !out.quiet {
        eprintln!("chappe: {text}");
    }
}

fn message_line(m: &Message) -> String {
    let to = match (m.everyone, m.name.is_empty()) {
        (true, _) => "(everyone)".to_owned(),
        (false, true) => "(you)".to_owned(),
        (false, false) => plain(&m.name, false),
    };
    line(&to, &m.verb, m.ask_id != 0, &m.params, &m.body)
}

/// A letter on one line.
pub(super) fn line(to: &str, verb: &str, asks: bool, listed: &ParamList, body: &[u8]) -> String {
    let mut line = format!("{}  {to}", now());
    let verb = format!("{}{}", plain(verb, false), if asks { "?" } else { "" });
    for part in [verb, params(listed), printable(body, false)] {
        if !part.is_empty() {
            line.push_str("  ");
            line.push_str(&part);
        }
    }
    line
}

fn message_json(m: &Message) -> Value {
    let mut o = object([
        ("event", "message".into()),
        ("time", now().into()),
        ("name", text_or_null(&m.name)),
        ("instance", text_or_null(&m.instance)),
        ("everyone", if m.everyone { json!(true) } else { Value::Null }),
        ("verb", m.verb.as_str().into()),
        ("params", params_json(&m.params)),
        ("encoding", snake(&format!("{:?}", m.encoding)).into()),
        ("from", m.from.into()),
        ("asks", (m.ask_id != 0).into()),
    ]);
    body_json(&mut o, "body", &m.body, m.encoding);
    o.into()
}

fn presence_line(p: &Presence) -> String {
    let who = format!("@{} {}", p.station, plain(&p.station_name, false));
    let instance = if p.instance.is_empty() { String::new() } else { format!(" ({})", plain(&p.instance, false)) };
    let reason = if p.reason == Code::Ok { String::new() } else { format!(": {}", p.reason.text()) };
    match p.change {
        Change::Disconnected => change_line(&who, p.change, &reason),
        change => change_line(&who, change, &format!("{}{instance}", plain(&p.name, false))),
    }
}

/// What happened to whom, on one line.
pub(super) fn change_line(who: &str, change: Change, about: &str) -> String {
    let what = match change {
        Change::Disconnected => format!("disconnected{about}"),
        change => format!("{} {about}", snake(&format!("{change:?}"))),
    };
    format!("{}  {}  {}", now(), who.trim_end(), what.trim_end())
}

fn presence_json(p: &Presence) -> Value {
    object([
        ("event", snake(&format!("{:?}", p.change)).into()),
        ("time", now().into()),
        ("station", p.station.into()),
        ("station_name", text_or_null(&p.station_name)),
        ("name", text_or_null(&p.name)),
        ("instance", text_or_null(&p.instance)),
        ("reason", if p.change == Change::Disconnected { code_name(p.reason).into() } else { Value::Null }),
    ])
    .into()
}

fn flag_line(f: &FlagChange) -> String {
    let what = if f.raised { "raised" } else { "lowered" };
    let mut line = format!("{}  flag {} {what}", now(), plain(&f.name, false));
    if f.raised {
        line.push_str(&format!("  priority {}", f.priority));
    }
    for part in [&f.description, &f.tags] {
        if !part.is_empty() {
            line.push_str("  ");
            line.push_str(&plain(part, false));
        }
    }
    line
}

fn flag_json(f: &FlagChange) -> Value {
    object([
        ("event", if f.raised { "flag_raised".into() } else { "flag_lowered".into() }),
        ("time", now().into()),
        ("name", f.name.as_str().into()),
        ("description", text_or_null(&f.description)),
        ("priority", f.priority.into()),
        ("tags", text_or_null(&f.tags)),
        ("manual_down", f.manual_down.into()),
        ("station", f.station.into()),
    ])
    .into()
}
