//! `chappe get`, `set`, `incr`, `decr`, `del`, `keys` and `flush` on a Clacks server.

use chappe_linux::clacks::{Error, Step};
use chappe_linux::client::Encoding;
use serde_json::Value;

use super::super::exit::Failure;
use super::super::show::{body_json, object, plain, printable, table};
use super::super::values::{Add, Amount, Del, Get, Set, none_missing};
use super::{Bus, done, name_json, settle, shown};

pub(super) fn get(args: &Get, bus: &Bus<'_>) -> Result<(), Failure> {
    let mut session = bus.connect()?;
    let mut out = bus.out();
    let mut missing = Vec::new();
    for name in &args.names {
        let found = session.retrieve(bus.name(name)).map_err(|e| Failure::about(plain(name, false), e))?;
        let Some(value) = found else {
            missing.push(plain(name, false));
            continue;
        };
        let is_yaml = bus.is_yaml(&value);
        let value = bus.read(value);
        if out.json {
            let encoding = if is_yaml { Value::from("yaml") } else { Value::Null };
            let mut o = object([("name", name.as_str().into()), ("encoding", encoding)]);
            body_json(&mut o, "value", &value, Encoding::None);
            out.json(&o.into())?;
        } else if args.names.len() > 1 {
            out.line(format!("{} = {}", plain(name, false), printable(&value, false)))?;
        } else {
            out.body(&value)?;
        }
    }
    done(session, &mut out)?;
    none_missing(&missing)
}

pub(super) fn set(args: &Set, bus: &Bus<'_>) -> Result<(), Failure> {
    let value = args.value()?;
    let (name, value) = (bus.name(&args.name), bus.value(&value));
    let mut session = bus.connect()?;
    let mut out = bus.out();
    match args.announce {
        true => session.set_and_store(name, value)?,
        false => session.store(name, value)?,
    }
    settle(&mut session, &out).map_err(|e| Failure::about(plain(&args.name, false), e))?;
    done(session, &mut out)
}

/// The server does not say what has come of it: it is asked, and others may have counted in
/// between.
pub(super) fn add(args: &Add, down: bool, bus: &Bus<'_>) -> Result<(), Failure> {
    let about = |error: Error| Failure::about(plain(&args.name, false), error);
    let name = bus.name(&args.name);
    let mut session = bus.connect()?;
    let mut out = bus.out();
    let step = match args.amount {
        Amount::Whole(amount) => Step::from(amount),
        Amount::Fraction(amount) => Step::from(amount),
    };
    match down {
        true => session.decrement(&name, step)?,
        false => session.increment(&name, step)?,
    }
    settle(&mut session, &out).map_err(|e| Failure::about(plain(&args.name, false), e))?;
    let value = match session.retrieve(&name) {
        // It is done: only what has come of it may not be read.
        Err(Error::Denied) if !args.announce => {
            super::remark(&out, format_args!("{}: done; this user may not read the value", plain(&args.name, false)));
            return done(session, &mut out);
        }
        result => result.map_err(about)?.unwrap_or_default(),
    };
    if args.announce {
        session.set(&name, &value)?;
        settle(&mut session, &out).map_err(|e| Failure::about(plain(&args.name, false), e))?;
    }
    let value = printable(&value, false);
    if out.json {
        out.json(&serde_json::json!({"name": args.name, "value": value}))?;
    } else {
        out.line(value)?;
    }
    done(session, &mut out)
}

/// The server does not say whether there was anything to remove.
pub(super) fn del(args: &Del, bus: &Bus<'_>) -> Result<(), Failure> {
    let mut session = bus.connect()?;
    let mut out = bus.out();
    for name in &args.names {
        session.remove(bus.name(name)).map_err(|e| Failure::about(plain(name, false), e))?;
    }
    settle(&mut session, &out)?;
    done(session, &mut out)
}

/// Names only: to ask for a value counts as using it, and would keep it from going stale.
pub(super) fn keys(prefix: &str, bus: &Bus<'_>) -> Result<(), Failure> {
    let mut session = bus.connect()?;
    let mut out = bus.out();
    let mut keys = session.keys()?;
    keys.retain(|key| key.starts_with(&bus.name(prefix)));
    if out.json {
        for key in &keys {
            let mut o = object([]);
            name_json(&mut o, "name", key);
            out.json(&o.into())?;
        }
    } else {
        let rows: Vec<_> = keys.iter().map(|key| vec![shown(key)]).collect();
        table(&mut out, &["NAME"], &rows)?;
    }
    done(session, &mut out)
}

/// The server has dealt with this, and so with all that it was told before by whoever is done.
pub(super) fn flush(bus: &Bus<'_>) -> Result<(), Failure> {
    let mut session = bus.connect()?;
    session.flush()?;
    done(session, &mut bus.out())
}
