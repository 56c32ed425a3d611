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
    #[arg(default_value_t = 1, allow_negative_numbers = true)]
    pub(super) amount: i64,
    /// Send the new value to the members of the name too, verb SET
    #[arg(long)]
    pub(super) announce: bool,
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
    let amount = args.amount.checked_mul(sign).ok_or_else(|| Failure::usage("the amount is too large"))?;
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
