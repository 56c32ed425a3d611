//! `chappe replay`: what was recorded is said again.
//!
//! Owns: what can be said again, when, and what is told about the rest. Who sends it is this
//! station, whoever did the first time; what it leads to is decided anew.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use chappe_linux::client::{
    Code, Connection, Error, Event, Flag, Letter, Outcome, Params, Seen, Sight, Store, StoreOp,
};
use clap::Args;
use serde_json::json;

use super::record::Recording;
use super::{Filter, kind, line};
use crate::cli::connect::Global;
use crate::cli::exit::{Failure, Status, status_of};
use crate::cli::listen::remark;
use crate::cli::show::Out;

/// `chappe replay`.
#[derive(Debug, Args)]
pub(crate) struct Replay {
    /// What `chappe sniff --to FILE` has recorded
    file: PathBuf,
    /// So many times as fast as it was recorded
    #[arg(long, value_name = "N", default_value = "1", value_parser = parse_speed, conflicts_with = "no_wait")]
    speed: f64,
    /// As fast as the node takes it
    #[arg(long)]
    no_wait: bool,
    #[command(flatten)]
    only: Filter,
    /// Print what would be sent, and send nothing: no node is needed
    #[arg(long)]
    dry_run: bool,
}

fn parse_speed(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(n) if (0.001..=1_000_000.0).contains(&n) => Ok(n),
        _ => Err("write a number from 0.001 to 1000000, as in 0.5 or 10".into()),
    }
}

/// What is said again.
enum Again<'s> {
    Letter(Letter<'s>),
    Store(Store<'s>),
    Flag(Flag<'s>),
}

/// `Err`: why it cannot be said again.
fn again<'s>(seen: &'s Seen, listed: &'s [(&'s str, &'s str)]) -> Result<Again<'s>, &'static str> {
    let is_change = match seen.what {
        Sight::Value => matches!(seen.op, StoreOp::Set | StoreOp::Remove | StoreOp::Add),
        what => matches!(what, Sight::Letter | Sight::Flag),
    };
    if !is_change {
        return Err(kind(seen));
    }
    if seen.hidden {
        return Err("with a secret that is not in the file");
    }
    if seen.cut {
        return Err("recorded in part");
    }
    let param = |key: &str| listed.iter().find(|(k, _)| *k == key).map(|(_, value)| *value);
    match seen.what {
        Sight::Letter if seen.to != 0 => Err("to one station"),
        Sight::Letter => Ok(Again::Letter(Letter {
            name: &seen.name,
            instance: &seen.instance,
            verb: &seen.verb,
            params: Params::Listed(listed),
            body: &seen.body,
            encoding: seen.encoding,
            everyone: seen.everyone,
            keep: seen.keep,
            ttl_ms: seen.ttl_ms,
            ..Letter::default()
        })),
        // a step of Clacks that is no whole number
        Sight::Value if seen.op == StoreOp::Add && !seen.body.is_empty() => Err("in fractions"),
        Sight::Value => Ok(Again::Store(Store {
            op: seen.op,
            name: &seen.name,
            value: &seen.body,
            amount: seen.amount,
            announce: seen.announce,
            ..Store::default()
        })),
        _ => {
            let mut parts = seen.name.splitn(3, '/');
            let mut part = || parts.next().unwrap_or_default();
            Ok(Again::Flag(Flag {
                raise: !seen.off,
                unit: part(),
                section: part(),
                name: part(),
                description: &seen.text,
                priority: param("priority").and_then(|p| p.parse().ok()).unwrap_or_default(),
                tags: param("tags").unwrap_or_default(),
                manual_down: param("manual_down") == Some("true"),
                by_hand: param("by_hand") == Some("true"),
                ..Flag::default()
            }))
        }
    }
}

/// How it went so far.
#[derive(Default)]
struct Tally {
    sent: u64,
    nobody: u64,
    failed: u64,
    /// Why the first failed.
    first: Option<Failure>,
    skipped: BTreeMap<&'static str, u64>,
    /// What the recording itself had missed.
    missed: u64,
}

pub(crate) fn replay(args: &Replay, global: &Global) -> Result<(), Failure> {
    // a file that is wrong somewhere sends nothing
    let mut check = Recording::open(&args.file)?;
    while check.next()?.is_some() {}
    let mut recording = Recording::open(&args.file)?;
    let mut out = global.out();
    let mut bus = if args.dry_run { None } else { Some(global.connection()?) };
    let mut tally = Tally::default();
    let mut first = None;
    loop {
        let number = recording.number() + 1;
        let Some(seen) = recording.next()? else { break };
        tally.missed += seen.count;
        if seen.what == Sight::Missed || !args.only.wants(&seen) {
            continue;
        }
        let listed: Vec<(&str, &str)> = seen.params.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        let what = match again(&seen, &listed) {
            Ok(what) => what,
            Err(why) => {
                *tally.skipped.entry(why).or_default() += 1;
                continue;
            }
        };
        let Some(bus) = &mut bus else {
            tally.sent += 1;
            if out.json {
                out.json(&super::record::object_of(&seen))?
            } else {
                out.line(line(&seen))?
            }
            continue;
        };
        if !args.no_wait {
            let (began, micros) = *first.get_or_insert((Instant::now(), seen.micros));
            let after = Duration::from_micros(seen.micros.saturating_sub(micros)).div_f64(args.speed);
            // a clock that was set may have left a gap of ages
            let Some(until) = began.checked_add(after) else {
                let text = format!("{}:{number}: too long after the line before: use --no-wait", args.file.display());
                return Err(Failure::Because(Status::Io, text));
            };
            wait_until(bus, until, &out)?;
        }
        let done = match what {
            Again::Letter(letter) => bus.send_and_learn(&letter).map(drop),
            Again::Store(store) => bus.store(&store).map(drop),
            Again::Flag(flag) => bus.flag(&flag).map(drop),
        };
        tally.sent += 1;
        match done {
            Ok(()) => {}
            Err(Error::Answered(Outcome { code: Code::NoRecipient, .. })) => tally.nobody += 1,
            Err(error @ (Error::Answered(_) | Error::NotSent(_))) => {
                tally.failed += 1;
                if tally.first.is_none() {
                    let status = error.code().and_then(status_of).unwrap_or(Status::Answered);
                    let text = format!("{}:{number}: {error}", args.file.display());
                    tally.first = Some(Failure::Because(status, text));
                }
            }
            // nobody knows whether it was done
            Err(error) => {
                report(&tally, &mut out, args.dry_run)?;
                return Err(Failure::about(format_args!("{}:{number}", args.file.display()), error));
            }
        }
    }
    report(&tally, &mut out, args.dry_run)?;
    if let Some(bus) = bus {
        let _ = bus.close();
    }
    tally.first.map_or(Ok(()), Err)
}

/// Until it is time for the next; the connection stays alive meanwhile.
fn wait_until(bus: &mut Connection, until: Instant, out: &Out) -> Result<(), Failure> {
    loop {
        let rest = until.saturating_duration_since(Instant::now());
        if rest.is_zero() {
            return Ok(());
        }
        if let Some(Event::Disconnected { why, .. }) = bus.next_event(Some(rest))? {
            remark(out, format_args!("{}; trying again", why.text()));
        }
    }
}

/// What was done and what not: on the standard error, or as the last object.
fn report(tally: &Tally, out: &mut Out, dry: bool) -> Result<(), Failure> {
    let Tally { sent, nobody, failed, skipped, missed, first: _ } = tally;
    let all: u64 = skipped.values().sum();
    if out.json {
        let (sent, would) = if dry { (0, *sent) } else { (*sent, 0) };
        out.json(
            &json!({"event": "replayed", "sent": sent, "would_send": would, "to_nobody": nobody, "failed": failed,
            "skipped": all, "skipped_because": skipped, "missed_when_recorded": missed}),
        )?;
        return out.flush();
    }
    out.flush()?;
    if out.quiet {
        return Ok(());
    }
    let word = if dry { "would be sent" } else { "sent" };
    remark(out, format_args!("{sent} {word}, {nobody} of them to nobody, {failed} failed; {all} left out"));
    for (why, n) in skipped {
        remark(out, format_args!("  left out: {n} {why}"));
    }
    if *missed > 0 {
        remark(out, format_args!("{missed} more had passed that the recording has missed"));
    }
    Ok(())
}
