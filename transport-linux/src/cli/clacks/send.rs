//! `chappe send` on a Clacks server: a signal.
//!
//! | typed | line |
//! |---|---|
//! | `send NAME` | `NOTIFY NAME` |
//! | `send NAME --body VALUE` | `SET NAME=VALUE` |
//! | `send NAME/VERB …` | the same: there the whole is a name |
//! | `send NAME/VERB k=v` | `SET NAME/VERB=k=v`, as a node of Chappe translates it |

use chappe_core::dialect::clacks::emit;
use chappe_core::dialect::clacks::frame::content;
use chappe_core::model::{Encoding, Letter, Params};
use serde_json::json;

use super::super::exit::Failure;
use super::super::letter::{Parts, Send};
use super::{Bus, cannot, settle};

/// Octets beside those of parameters: words and quotes. Each octet of them is two at the most,
/// or six in JSON.
const AROUND: usize = 256;

pub(super) fn send(args: &Send, bus: &Bus<'_>) -> Result<(), Failure> {
    if args.everyone {
        return cannot("send --everyone", "signals go to names");
    }
    if args.keep {
        return cannot("send --keep", "it keeps nothing for who is not there");
    }
    if args.what.instance.is_some() || args.what.station.is_some() {
        return cannot("send --instance` and `--station", "signals go to all who listen to a name");
    }
    let parts = args.what.parts(false)?;
    let mut out = bus.out();
    let name = name(&parts);
    let mut session = bus.connect()?;
    if !parts.params.is_empty() {
        session.raw(with_params(&parts)?)?;
    } else if args.what.has_body() {
        session.set(bus.name(&name), bus.value(&parts.body))?;
    } else {
        session.notify(bus.name(&name))?;
    }
    if args.blindly {
        return Ok(session.push()?);
    }
    settle(&mut session, &out)?;
    if out.json {
        out.json(&json!({"outcome": "unknown"}))?;
    } else if !out.quiet {
        out.line("handed to the server (it does not say who got it)")?;
    }
    super::done(session, &mut out)
}

/// The whole name. A verb that goes without saying is not in it.
fn name(parts: &Parts) -> String {
    match parts.verb.as_str() {
        "" | "SET" | "NOTIFY" => parts.name.clone(),
        verb => format!("{}/{verb}", parts.name),
    }
}

/// The line of a letter with parameters, without its end.
fn with_params(parts: &Parts) -> Result<Vec<u8>, Failure> {
    let params: Vec<_> = parts.params.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    let letter = Letter {
        name: &parts.name,
        verb: &parts.verb,
        params: Params::Listed(&params),
        body: &parts.body,
        encoding: if parts.body.is_empty() { Encoding::None } else { parts.encoding },
        ..Letter::default()
    };
    let octets: usize = params.iter().map(|(k, v)| k.len() + v.len() + 8).sum();
    let mut line = vec![0; AROUND + 6 * (octets + parts.name.len() + parts.verb.len() + parts.body.len())];
    match emit::letter(&letter, &mut line) {
        Some(size) if size > 0 => Ok(content(&line[..size]).to_vec()),
        _ => Err(Failure::usage("these parameters cannot be said to a Clacks server")),
    }
}
