//! `chappe send` and `chappe call` at a Communicator daemon: what `ed-signal` and `message` do.

use std::time::{Duration, Instant};

use chappe_core::dialect::communicator::command::Command as Known;
use chappe_core::dialect::communicator::name::DAEMON;
use chappe_core::dialect::communicator::translate::{REPLY, REPLY_TO};
use chappe_linux::client::{Answer, Code, Encoding};
use chappe_linux::communicator::{Datagrams, Error, Event, Message, Session};
use serde_json::{Value, json};

use super::super::exit::{Failure, Status};
use super::super::letter::{self, Call, Carrier, Send, What, show_answer};
use super::super::listen::remark;
use super::super::show::{base64_decode, plain};
use super::{Bus, cannot, from_here, is_cached, message_json, shown, tagged, verdict};

/// What the person has typed. A whole message, in quotes, is one too.
fn message(what: &What) -> Result<Message, Failure> {
    if what.has_body() {
        return cannot("--body", "messages have parameters: write KEY=VALUE");
    }
    if what.instance.is_some() || what.station.is_some() {
        return cannot("--instance` and `--station", "messages go to services");
    }
    let to = what.to.clone().unwrap_or_default();
    if what.verb.is_none() && what.params.is_empty() && to.contains([' ', '{']) {
        return to.parse().map_err(|e| Failure::usage(format_args!("{to:?} is no message: {e}")));
    }
    let (destination, command) = match &what.verb {
        Some(verb) => (to.as_str(), verb.as_str()),
        None => to.rsplit_once('/').unwrap_or(("", &to)),
    };
    if command.is_empty() {
        return Err(Failure::usage("which command? write [[SERVER:]SERVICE/]COMMAND"));
    }
    let mut message = Message::new(command).to(destination);
    for param in &what.params {
        match param.split_once('=') {
            Some((key, value)) if !key.is_empty() => message = message.with(key, value),
            _ => return Err(Failure::usage(format_args!("{param:?} is no parameter: write KEY=VALUE"))),
        }
    }
    Ok(message)
}

/// Whether the daemon itself (or whoever is at the other end) is meant.
fn is_for_daemon(m: &Message) -> bool {
    m.service.is_empty() || m.service == DAEMON
}

pub(super) fn send(args: &Send, bus: &Bus<'_>) -> Result<(), Failure> {
    if args.everyone {
        return cannot("send --everyone", "write ./COMMAND: that is for all services that have announced it");
    }
    if args.keep {
        return cannot("send --keep", "messages wait by themselves for declared services; cache=ttl=5m says how long");
    }
    let message = message(&args.what)?;
    match (args.communicator.kind, bus.uri.is_datagrams()) {
        (Some(Carrier::Tcp), true) => {
            return Err(Failure::usage(format_args!("{} is for datagrams: --type tcp is not for it", bus.uri)));
        }
        (Some(Carrier::Udp), false) => {
            return Err(Failure::usage(format_args!(
                "{} is no address for datagrams: write cdu://HOST:PORT, or leave out --connect for this machine's daemon",
                bus.uri
            )));
        }
        (_, true) => return datagram(args, message, bus),
        (_, false) => {}
    }
    if args.communicator.secret_code_file.is_some() {
        return Err(Failure::usage(
            "a secret code is for datagrams: --type udp, or an address that begins with cdu://",
        ));
    }
    if args.communicator.reply {
        return ask(message, bus);
    }
    let mut session = bus.connect()?;
    let message = from_here(&session, message);
    session.send(&message)?;
    if args.blindly {
        return Ok(session.push()?);
    }
    let flushed = session.flush();
    let mut out = bus.out();
    let mut outcome = ("taken", "handed to the daemon (it does not say who got it)");
    match flushed {
        Ok(()) => {}
        // STOP, for example
        Err(Error::Lost(why)) if is_for_daemon(&message) => {
            outcome = ("closed", "sent; the other side has closed the connection");
            remark(&out, format_args!("{}", plain(&why.to_string(), false)));
        }
        Err(error) => return Err(error.into()),
    }
    let mut result = Ok(());
    while let Ok(Some(event)) = session.receive(Some(Duration::ZERO)) {
        match event {
            Event::Message(m) if is_cached(&m) => outcome = ("kept", "kept: the service is not there yet"),
            Event::Message(m) if is_answer(&m) && result.is_ok() => {
                result = verdict(&m);
                if result.is_ok() {
                    remark(&out, format_args!("the other side says: {}", shown(&m)));
                }
            }
            Event::Message(m) => remark(&out, format_args!("the other side says: {}", shown(&m))),
            _ => {}
        }
    }
    if result.is_ok() && out.json {
        out.json(&json!({"outcome": outcome.0}))?;
    } else if result.is_ok() && !out.quiet {
        out.line(outcome.1)?;
    }
    out.flush()?;
    result
}

/// What comes only because of something that was sent.
fn is_answer(m: &Message) -> bool {
    m.known().is_some_and(Known::is_answer)
}

fn datagram(args: &Send, message: Message, bus: &Bus<'_>) -> Result<(), Failure> {
    if args.communicator.reply {
        return Err(Failure::usage("datagrams have no answers: --reply takes --type tcp, or cd:// and cds://"));
    }
    if let Some(known) = message.known().filter(|known| known.is_stream_only()) {
        return Err(Failure::usage(format_args!("no daemon takes {} in a datagram: --type tcp", known.name())));
    }
    let secret = match (&args.communicator.secret_code_file, &args.communicator.secret_code) {
        (Some(file), _) => {
            let mut secret = letter::read_file(file)?;
            secret.pop_if(|last| *last == b'\n');
            secret
        }
        (None, code) => code.clone().unwrap_or_default().into_bytes(),
    };
    Datagrams::open(bus.uri.clone(), secret)?.send(&tagged(message))?;
    let mut out = bus.out();
    if out.json {
        out.json(&json!({"outcome": "sent"}))?;
    } else if !out.quiet {
        out.line("sent (a datagram: nobody says whether it arrived)")?;
    }
    out.flush()
}

/// `send --reply`: the first line that is an answer.
fn ask(message: Message, bus: &Bus<'_>) -> Result<(), Failure> {
    // a service answers to a name, and only who is registered has one
    let mut session = if is_for_daemon(&message) { bus.connect()? } else { bus.register("send", &[])? };
    let message = from_here(&session, message);
    session.send(&message)?;
    let answer = first(&mut session, bus, |_| true)?;
    let mut out = bus.out();
    if out.json {
        out.json(&message_json(&answer).into())?;
    } else {
        out.line(shown(&answer))?;
    }
    out.flush()?;
    verdict(&answer)
}

/// The first message to this session that is an answer: one by which it is refused, or that is
/// `wanted`.
fn first(session: &mut Session, bus: &Bus<'_>, wanted: impl Fn(&Message) -> bool) -> Result<Message, Failure> {
    let timeout = bus.global.timeout;
    let until = Instant::now() + timeout;
    let out = bus.out();
    loop {
        let event = session.receive(Some(until.saturating_duration_since(Instant::now())))?;
        match event {
            Some(Event::Message(m)) if is_cached(&m) => {
                remark(&out, format_args!("the service is not there yet: the message waits for it"));
            }
            Some(Event::Message(m)) => {
                let is_mine = m.service.is_empty() || m.service == session.name() || session.name().is_empty();
                if is_mine && (verdict(&m).is_err() || wanted(&m)) {
                    return Ok(m);
                }
            }
            Some(Event::Disconnected { why, .. }) => {
                let text = format!("no answer: {}", plain(&why.to_string(), false));
                return Err(Failure::Because(Status::Nobody, text));
            }
            Some(_) => {}
            None => return Err(Failure::Because(Status::TimedOut, format!("no answer within {timeout:?}"))),
        }
    }
}

/// Asks by `reply_to`, which nodes of Chappe know (it is an extension), and services that repeat it.
pub(super) fn call(args: &Call, bus: &Bus<'_>) -> Result<(), Failure> {
    const NUMBER: &str = "1";
    if args.all {
        return cannot("call --all", "a question goes to one service");
    }
    let message = message(&args.what)?;
    if bus.uri.is_datagrams() {
        return Err(Failure::usage("datagrams have no answers: write cd:// or cds://"));
    }
    let began = Instant::now();
    let mut session = bus.register("call", &[])?;
    session.send(&message.clone().with(REPLY_TO, NUMBER))?;
    let said = first(&mut session, bus, |m| m.get(REPLY_TO) == Some(NUMBER.as_bytes()))?;
    let took = began.elapsed();
    // the answer is here: what the daemon says to the goodbye changes nothing
    drop(session);
    // without the number nobody says that it is the answer, only that there is none
    if said.get(REPLY_TO).is_none() {
        verdict(&said)?;
    }
    let goal = match message.service.as_str() {
        "" => DAEMON.to_owned(),
        service => plain(service, false),
    };
    let mut out = bus.out();
    let from = super::sender(&said);
    let answer = read(said);
    show_answer(&mut out, &answer, if from.is_empty() { Value::Null } else { from.into() }, took)?;
    letter::verdict(&goal, &answer, "`chappe ls`")
}

/// What of an answer is what.
fn read(mut said: Message) -> Answer {
    let mut take = |key: &str| said.params.remove(key);
    take(REPLY_TO);
    let code = match (said.command.as_str(), take("code")) {
        ("UNKNOWN", _) => Code::UnknownVerb,
        ("INVALID", _) => Code::BadRequest,
        (_, None) => Code::Ok,
        (_, Some(code)) => {
            let number = std::str::from_utf8(&code).ok().and_then(|text| text.parse().ok());
            number.map_or(Code::Failed, Code::from_number)
        }
    };
    let text = if code == Code::Ok { take("text") } else { take("text").or_else(|| take("message")) };
    if matches!(said.command.as_str(), "UNKNOWN" | "INVALID") {
        // what was asked is known
        take("command");
    }
    let (body, encoding) = match (take("body"), take("body_base64")) {
        (Some(body), _) => (body, Encoding::Text),
        (None, Some(body)) => {
            let bytes = std::str::from_utf8(&body).ok().and_then(base64_decode);
            (bytes.unwrap_or(body), Encoding::Bytes)
        }
        (None, None) => (Vec::new(), Encoding::None),
    };
    let mut params: Vec<_> =
        said.params.iter().map(|(k, v)| (k.clone(), String::from_utf8_lossy(v).into_owned())).collect();
    // services of the original answer by a command of their own
    if code == Code::Ok && said.command != REPLY {
        params.insert(0, ("command".into(), said.command.clone()));
    }
    let text = text.map(|text| String::from_utf8_lossy(&text).into_owned()).unwrap_or_default();
    Answer { code, text, body, encoding, params, from: 0 }
}
