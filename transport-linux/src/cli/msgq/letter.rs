//! `chappe send` and `chappe call` on a bus of BIND 10.

use std::path::Path;
use std::time::{Duration, Instant};

use chappe_linux::client::{Answer, Code};
use chappe_linux::msgq::translate::{self, Said};
use chappe_linux::msgq::{ANY, CallError, Error};
use serde_json::{Value, json};

use super::super::connect::Global;
use super::super::exit::Failure;
use super::super::letter::{Call, Member, Parts, Send, What, show_answer, show_members, verdict};
use super::super::show::plain;
use super::{NOBODY, cannot, connect, is_no_grant, is_node, refused};

/// A call that may last longer than this minds who leaves: nobody else may say so.
const LONG: Duration = Duration::from_secs(5);

/// Bodies up to this, in bytes, are hardly what a session ends for.
const USUAL_BODY: usize = 64 << 10;

/// Where a letter goes, and its body.
struct Letter {
    parts: Parts,
    body: Vec<u8>,
}

impl Letter {
    fn new(what: &What) -> Result<Self, Failure> {
        let parts = what.parts(false)?;
        if parts.name.is_empty() {
            return Err(Failure::usage(
                "on a bus of BIND 10 also write the name: who is addressed serves commands by it \
                 (`chappe call NAME/VERB --station LNAME`)",
            ));
        }
        let said = Said {
            verb: parts.verb.clone(),
            params: parts.params.clone(),
            body: parts.body.clone(),
            encoding: parts.encoding,
        };
        let body = said.write(&parts.name);
        Ok(Letter { parts, body })
    }

    /// Why it was lost with the session, if that can be guessed.
    fn lost(&self, error: impl Into<CallError>) -> Failure {
        let error = error.into();
        let hint = match error {
            CallError::Lost(Error::Over { .. }) if self.body.len() > USUAL_BODY => {
                format!("\n  the body has {} bytes: that is probably longer than the bus takes", self.body.len())
            }
            _ => String::new(),
        };
        match error.into() {
            Failure::Because(status, text) => Failure::Because(status, text + &hint),
            other => other,
        }
    }
}

fn to(what: &What) -> &str {
    what.station.as_deref().unwrap_or(ANY)
}

fn instance(what: &What) -> &str {
    what.instance.as_deref().unwrap_or(ANY)
}

pub(super) fn send(args: &Send, path: &Path, global: &Global) -> Result<(), Failure> {
    if args.everyone {
        return cannot("send --everyone", "it has no letters to everyone; write the name of a group");
    }
    if args.keep {
        return cannot("send --keep", "it keeps nothing for who is not there");
    }
    let letter = Letter::new(&args.what)?;
    let mut out = global.out();
    let mut bus = connect(path, global)?;
    // Who wants no answer is not told whether anybody is there, and who wants one asks.
    let seq = bus
        .send(&letter.parts.name, instance(&args.what), to(&args.what), &letter.body, false)
        .map_err(|e| letter.lost(e))?;
    if args.blindly {
        return Ok(());
    }
    // When this is back the bus has dealt with it, one way or the other.
    bus.ping(global.timeout).map_err(|e| letter.lost(e))?;
    if out.json {
        out.json(&json!({"outcome": "unknown", "seq": seq}))?;
    } else if !out.quiet {
        out.line("handed to the bus (it does not say who got it; `call` would)")?;
    }
    out.flush()
}

pub(super) fn call(args: &Call, path: &Path, global: &Global) -> Result<(), Failure> {
    if args.all && args.what.instance.is_some() {
        return cannot("call --all --instance", "it lists only members of all instances");
    }
    let letter = Letter::new(&args.what)?;
    let name = &letter.parts.name;
    let goal = letter.parts.goal();
    let mut out = global.out();
    let mut bus = connect(path, global)?;
    let began = Instant::now();
    if global.timeout > LONG {
        bus.watch(global.timeout)?;
    }
    if args.all {
        let answers = bus.ask_each(name, &letter.body, global.timeout).map_err(|e| match e {
            e @ CallError::Lost(_) => Failure::about(&goal, letter.lost(e)),
            e => Failure::about(&goal, refused(e)),
        })?;
        let mut members = Vec::with_capacity(answers.len());
        for (lname, answer) in answers {
            let answer = match answer {
                Ok(message) => translate::answer(&message.body),
                Err(CallError::TimedOut) => Answer { code: Code::TimedOut, ..Answer::default() },
                Err(CallError::Left) => Answer { code: Code::RecipientLeft, ..Answer::default() },
                Err(error) => return Err(Failure::about(plain(&lname, false), letter.lost(error))),
            };
            members.push(Member { address: lname.into(), name: String::new(), answer });
        }
        return show_members(&mut out, &goal, &members);
    }
    let number = bus.ask(name, instance(&args.what), to(&args.what), &letter.body).map_err(|e| letter.lost(e))?;
    let message = bus.answer(number, global.timeout).map_err(|e| Failure::about(&goal, letter.lost(e)))?;
    let took = began.elapsed();
    let mut answer = translate::answer(&message.body);
    if answer.code == Code::Failed && is_node(&message.from) && is_no_grant(&answer.text) {
        answer.code = Code::Refused;
    }
    let from = if message.from == NOBODY { Value::Null } else { message.from.as_str().into() };
    show_answer(&mut out, &answer, from, took)?;
    verdict(&goal, &answer, "`chappe ls stations`, `chappe ls members NAME`")
}
