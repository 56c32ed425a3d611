//! `chappe ls` and `chappe status`: what is there.

use chappe_linux::client::{Connection, Item, What};
use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use super::connect::Global;
use super::exit::Failure;
use super::flag_list;
use super::show::{Out, object, plain, span, table, text_or_null};
use super::values::{self, done};

/// `chappe ls`.
#[derive(Debug, Args)]
pub(crate) struct Ls {
    #[arg(value_enum, default_value_t = Kind::Stations)]
    pub(super) what: Kind,
    /// `members`: of which name. Otherwise: only what begins with this
    pub(super) name: Option<String>,
}

/// What to list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Kind {
    /// Who is connected
    Stations,
    /// Names that are joined or declared
    Names,
    /// Who has joined a name
    Members,
    /// Raised flags
    Flags,
    /// Shared values
    Values,
    /// All counters of the node
    Counters,
}

/// `chappe status`.
#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// Also the counters that are 0
    #[arg(long)]
    all: bool,
}

impl Ls {
    pub(super) fn check(&self) -> Result<(), Failure> {
        if self.what == Kind::Members && self.name.is_none() {
            return Err(Failure::usage("of which name? write `chappe ls members NAME`"));
        }
        Ok(())
    }
}

pub(crate) fn ls(args: &Ls, global: &Global) -> Result<(), Failure> {
    args.check()?;
    let mut bus = global.connection()?;
    let mut out = global.out();
    let name = args.name.as_deref().unwrap_or_default();
    match args.what {
        Kind::Stations => stations(&mut bus, &mut out, name)?,
        Kind::Names => names(&mut bus, &mut out, name)?,
        Kind::Members => members(&mut bus, &mut out, name)?,
        Kind::Flags => flag_list::on_bus(&mut bus, &mut out, name)?,
        Kind::Values => values::list(&mut bus, &mut out, name)?,
        Kind::Counters => counters(&mut bus, &mut out, name, true)?,
    }
    done(bus, &mut out)
}

/// Prints rows: as objects, or as a table.
fn show(
    out: &mut Out,
    items: &[Item],
    headings: &[&str],
    row: impl Fn(&Item) -> Vec<String>,
    json: impl Fn(&Item) -> Value,
) -> Result<(), Failure> {
    if out.json {
        return items.iter().try_for_each(|i| out.json(&json(i)));
    }
    let rows: Vec<_> = items.iter().map(row).collect();
    table(out, headings, &rows)
}

fn stations(bus: &mut Connection, out: &mut Out, name: &str) -> Result<(), Failure> {
    let me = bus.welcome().station;
    let items = bus.list(What::Stations, name)?;
    show(
        out,
        &items,
        &["STATION", "NAME", "DIALECT", "NAMES", "CONNECTED"],
        |i| {
            let you = if i.station == me { " (you)" } else { "" };
            let name = if i.name.is_empty() { "-".to_owned() } else { plain(&i.name, false) };
            vec![
                format!("@{}", i.station),
                format!("{name}{you}"),
                plain(&i.text, false),
                i.count.to_string(),
                span(i.age),
            ]
        },
        |i| {
            json!({"station": i.station, "name": i.name, "dialect": i.text, "names": i.count,
                   "connected_ms": i.age.as_millis() as u64, "you": i.station == me})
        },
    )
}

fn names(bus: &mut Connection, out: &mut Out, name: &str) -> Result<(), Failure> {
    let items = bus.list(What::Names, name)?;
    let how = |i: &Item| match (i.exclusive, i.manual) {
        (true, true) => "exclusive, declared",
        (true, false) => "exclusive",
        (false, true) => "declared",
        (false, false) => "",
    };
    show(
        out,
        &items,
        &["NAME", "MEMBERS", "HOW"],
        |i| vec![plain(&i.name, false), i.count.to_string(), how(i).to_owned()],
        |i| json!({"name": i.name, "members": i.count, "exclusive": i.exclusive, "declared": i.manual}),
    )
}

fn members(bus: &mut Connection, out: &mut Out, name: &str) -> Result<(), Failure> {
    let items = bus.list(What::Members, name)?;
    show(
        out,
        &items,
        &["STATION", "INSTANCE", "HOW"],
        |i| {
            let instance = if i.instance.is_empty() { "*".to_owned() } else { plain(&i.instance, false) };
            vec![format!("@{}", i.station), instance, if i.exclusive { "exclusive".into() } else { String::new() }]
        },
        |i| {
            object([
                ("station", i.station.into()),
                ("instance", text_or_null(&i.instance)),
                ("exclusive", i.exclusive.into()),
            ])
            .into()
        },
    )
}

fn counters(bus: &mut Connection, out: &mut Out, prefix: &str, all: bool) -> Result<(), Failure> {
    let mut items = bus.list(What::Counters, prefix)?;
    items.retain(|i| all || i.count > 0);
    if out.json {
        let object: serde_json::Map<_, _> = items.into_iter().map(|i| (i.name, i.count.into())).collect();
        return out.json(&object.into());
    }
    let rows: Vec<_> = items.iter().map(|i| vec![plain(&i.name, false), i.count.to_string()]).collect();
    table(out, &["COUNTER", "COUNT"], &rows)
}

pub(crate) fn status(args: &StatusArgs, global: &Global) -> Result<(), Failure> {
    let mut bus = global.connection()?;
    let mut out = global.out();
    let node = bus.welcome().clone();
    let status = bus.list(What::Status, "")?;
    if out.json {
        let counters = bus.list(What::Counters, "")?;
        let status: serde_json::Map<_, _> = status.iter().map(|i| (i.name.clone(), status_json(i))).collect();
        let counters: serde_json::Map<_, _> =
            counters.into_iter().filter(|i| args.all || i.count > 0).map(|i| (i.name, i.count.into())).collect();
        out.json(&json!({
            "address": bus.address().to_string(), "node": node.node, "version": node.version,
            "station": node.station, "max_frame": node.max_frame, "max_value": node.max_value,
            "silence_ms": node.silence.as_millis() as u64, "status": status, "counters": counters,
        }))?;
        return done(bus, &mut out);
    }
    let mut rows = vec![
        ("node".to_owned(), format!("{} ({})", plain(&node.node, false), plain(&node.version, false))),
        ("address".to_owned(), bus.address().to_string()),
    ];
    let told = ["node", "version"];
    rows.extend(status.iter().filter(|i| !told.contains(&i.name.as_str())).map(status_row));
    let width = rows.iter().map(|(k, _)| k.chars().count()).max().unwrap_or(0);
    for (key, value) in rows {
        out.line(format!("{key}{}  {value}", " ".repeat(width - key.chars().count())))?;
    }
    out.line("")?;
    counters(&mut bus, &mut out, "", args.all)?;
    done(bus, &mut out)
}

/// A row's text belongs behind its number (`3`, `of 16384`), or is all there is.
fn status_row(i: &Item) -> (String, String) {
    let text = plain(&i.text, false);
    match i.name.strip_suffix("_ms") {
        Some(name) if text.is_empty() => (plain(name, false), span(std::time::Duration::from_millis(i.count))),
        _ if text.is_empty() => (plain(&i.name, false), i.count.to_string()),
        _ if text.starts_with("of ") => (plain(&i.name, false), format!("{} {text}", i.count)),
        _ => (plain(&i.name, false), text),
    }
}

/// As [`status_row`]: `{"in_use": 3, "limit": 16384}`, a number or a text.
fn status_json(i: &Item) -> Value {
    match i.text.strip_prefix("of ").and_then(|limit| limit.parse::<u64>().ok()) {
        Some(limit) => json!({"in_use": i.count, "limit": limit}),
        None if i.text.is_empty() => json!(i.count),
        None => json!(i.text),
    }
}
