//! `chappe get`, `set`, `incr`, `decr`, `del`, `keys`, `flush`: shared values; and `declare`.

use std::path::PathBuf;

use chappe_core::dialect::messi::repr::{Store, StoreOp};
use chappe_linux::client::{Connection, Encoding, What};
use clap::Args;
use serde_json::json;

use super::connect::Global;
use super::exit::{Failure, Status};
use super::letter::read_file;
use super::show::{Out, ago, body_json, object, plain, printable, span, table};

/// `chappe get`.
#[derive(Debug, Args)]
pub(crate) struct Get {
    /// Of one: its bytes as they are. Of several: a line each
    #[arg(required = true, value_name = "NAME")]
    pub(super) names: Vec<String>,
}

/// `chappe set`.
#[derive(Debug, Args)]
pub(crate) struct Set {
    pub(super) name: String,
    /// The value, as text
    #[arg(required_unless_present = "body_file", allow_hyphen_values = true)]
    value: Option<String>,
    /// The value, from a file; `-` is the standard input
    #[arg(long, conflicts_with = "value", value_name = "FILE")]
    body_file: Option<PathBuf>,
    /// Send the new value to the members of the name too, verb SET
    #[arg(long)]
    pub(super) announce: bool,
}

/// `chappe incr` and `chappe decr`.
#[derive(Debug, Args)]
pub(crate) struct Add {
    pub(super) name: String,
    /// How much
    #[arg(default_value = "1", allow_negative_numbers = true)]
    pub(super) amount: Amount,
    /// Send the new value to the members of the name too, verb SET
    #[arg(long)]
    pub(super) announce: bool,
}

/// How much to count.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Amount {
    Whole(i64),
    /// Only for Clacks servers.
    Fraction(f64),
}

impl std::str::FromStr for Amount {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(whole) = text.parse() {
            return Ok(Amount::Whole(whole));
        }
        let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
        let is_plain = |c: char| c.is_ascii_digit() || c == '.';
        match text.parse() {
            Ok(fraction) if digits.contains('.') && digits.chars().all(is_plain) => Ok(Amount::Fraction(fraction)),
            Ok(_) if digits.chars().all(is_plain) => Err("it does not fit into 64 bits".into()),
            _ => Err("it is no number: write one like 5 or -2 (on a Clacks server also 0.5)".into()),
        }
    }
}

/// `chappe del`.
#[derive(Debug, Args)]
pub(crate) struct Del {
    #[arg(required = true, value_name = "NAME")]
    pub(super) names: Vec<String>,
}

/// `chappe keys`.
#[derive(Debug, Args)]
pub(crate) struct Keys {
    /// Only names that begin with this
    pub(super) prefix: Option<String>,
}

/// `chappe declare`.
#[derive(Debug, Args)]
pub(crate) struct Declare {
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,
    /// Take the declaration back; mail that waits is dropped
    #[arg(long)]
    forget: bool,
}

pub(crate) fn get(args: &Get, global: &Global) -> Result<(), Failure> {
    let mut bus = global.connection()?;
    let mut out = global.out();
    let mut missing = Vec::new();
    for name in &args.names {
        let Some(v) = bus.get(name).map_err(|e| Failure::about(plain(name, false), e))? else {
            missing.push(plain(name, false));
            continue;
        };
        if out.json {
            let mut o = object([
                ("name", v.name.as_str().into()),
                ("changed", ago(v.age).into()),
                ("age_ms", json!(v.age.as_millis() as u64)),
                ("idle_ms", json!(v.idle.as_millis() as u64)),
            ]);
            body_json(&mut o, "value", &v.value, Encoding::None);
            out.json(&o.into())?;
        } else if args.names.len() > 1 {
            out.line(format!("{} = {}", plain(name, false), printable(&v.value, false)))?;
        } else {
            out.body(&v.value)?;
        }
    }
    done(bus, &mut out)?;
    none_missing(&missing)
}

impl Set {
    pub(super) fn value(&self) -> Result<Vec<u8>, Failure> {
        match (&self.value, &self.body_file) {
            (Some(text), _) => Ok(text.clone().into_bytes()),
            (None, Some(file)) => read_file(file),
            (None, None) => Err(Failure::usage("the value is missing")),
        }
    }
}

pub(crate) fn set(args: &Set, global: &Global) -> Result<(), Failure> {
    let value = args.value()?;
    let store =
        Store { op: StoreOp::Set, name: &args.name, value: &value, announce: args.announce, ..Store::default() };
    let mut bus = global.connection()?;
    bus.store(&store).map_err(|e| Failure::about(plain(&args.name, false), e))?;
    done(bus, &mut global.out())
}

/// `sign` is -1 for `decr`.
pub(crate) fn add(args: &Add, sign: i64, global: &Global) -> Result<(), Failure> {
    let Amount::Whole(amount) = args.amount else {
        return Err(Failure::usage("a node counts in whole numbers here; only on a Clacks server there are others"));
    };
    let amount = amount.checked_mul(sign).ok_or_else(|| Failure::usage("the amount is too large"))?;
    let store = Store { op: StoreOp::Add, name: &args.name, amount, announce: args.announce, ..Store::default() };
    let mut bus = global.connection()?;
    let mut out = global.out();
    let value = bus.store(&store).map_err(|e| Failure::about(plain(&args.name, false), e))?;
    let value = value.map(|v| printable(&v.value, false)).unwrap_or_default();
    if out.json {
        out.json(&json!({"name": args.name, "value": value}))?;
    } else {
        out.line(value)?;
    }
    done(bus, &mut out)
}

pub(crate) fn del(args: &Del, global: &Global) -> Result<(), Failure> {
    let mut bus = global.connection()?;
    let mut missing = Vec::new();
    for name in &args.names {
        if !bus.remove(name).map_err(|e| Failure::about(plain(name, false), e))? {
            missing.push(plain(name, false));
        }
    }
    done(bus, &mut global.out())?;
    none_missing(&missing)
}

pub(crate) fn flush(global: &Global) -> Result<(), Failure> {
    let mut bus = global.connection()?;
    bus.flush_values()?;
    done(bus, &mut global.out())
}

pub(crate) fn keys(args: &Keys, global: &Global) -> Result<(), Failure> {
    let mut bus = global.connection()?;
    let mut out = global.out();
    list(&mut bus, &mut out, args.prefix.as_deref().unwrap_or_default())?;
    done(bus, &mut out)
}

/// A table of values.
pub(crate) fn list(bus: &mut Connection, out: &mut Out, prefix: &str) -> Result<(), Failure> {
    let items = bus.list(What::Values, prefix)?;
    if out.json {
        return items.iter().try_for_each(|i| {
            let mut o = object([("name", i.name.as_str().into()), ("age_ms", json!(i.age.as_millis() as u64))]);
            match i.count {
                0 => body_json(&mut o, "value", &i.value, Encoding::None),
                bytes => _ = o.insert("bytes".into(), bytes.into()),
            }
            out.json(&o.into())
        });
    }
    let rows: Vec<_> = items
        .iter()
        .map(|i| {
            let mut value = printable(&i.value, false);
            if i.count > 0 {
                value = format!("({} bytes, too long to be shown)", i.count);
            } else if value.chars().count() > 60 {
                value = value.chars().take(59).chain(['…']).collect();
            }
            vec![plain(&i.name, false), span(i.age), value]
        })
        .collect();
    table(out, &["NAME", "CHANGED", "VALUE"], &rows)
}

pub(crate) fn declare(args: &Declare, global: &Global) -> Result<(), Failure> {
    let mut bus = global.connection()?;
    for name in &args.names {
        let done = if args.forget { bus.forget(name) } else { bus.declare(name) };
        done.map_err(|e| Failure::about(plain(name, false), e))?;
    }
    done(bus, &mut global.out())
}

/// Leaves; the output is complete.
pub(crate) fn done(bus: Connection, out: &mut Out) -> Result<(), Failure> {
    out.flush()?;
    bus.close()?;
    Ok(())
}

pub(super) fn none_missing(names: &[String]) -> Result<(), Failure> {
    if names.is_empty() {
        return Ok(());
    }
    Err(Failure::Because(Status::Answered, format!("no such value: {}", names.join(", "))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_whole_or_plain_fractions() {
        for (text, amount) in [
            ("5", Amount::Whole(5)),
            ("-2", Amount::Whole(-2)),
            ("0.5", Amount::Fraction(0.5)),
            ("-.25", Amount::Fraction(-0.25)),
        ] {
            assert_eq!(text.parse(), Ok(amount));
        }
        for (text, why) in [
            ("abc", "no number"),
            ("", "no number"),
            (".", "no number"),
            ("1.2.3", "no number"),
            ("1e3", "no number"),
            ("inf", "no number"),
            ("NaN", "no number"),
            ("99999999999999999999", "64 bits"),
        ] {
            let error = text.parse::<Amount>().expect_err(text);
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
