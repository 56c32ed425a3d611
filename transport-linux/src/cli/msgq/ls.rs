//! `chappe ls` on a bus of BIND 10: sessions, and members of a group.

use std::path::Path;

use chappe_linux::msgq::CallError;
use serde_json::json;

use super::super::connect::Global;
use super::super::exit::{Failure, Status};
use super::super::ls::{Kind, Ls};
use super::super::show::{plain, table};
use super::{cannot, connect, refused};

pub(super) fn ls(args: &Ls, path: &Path, global: &Global) -> Result<(), Failure> {
    args.check()?;
    let (group, prefix) = match args.what {
        Kind::Stations => (None, args.name.as_deref().unwrap_or_default()),
        Kind::Members => (args.name.as_deref(), ""),
        Kind::Names => return cannot("ls names", "it does not list its groups; `chappe ls members NAME` lists one"),
        Kind::Flags => return cannot("ls flags", "it has no flags"),
        Kind::Values => return cannot("ls values", "it has no shared values"),
        Kind::Counters => return cannot("ls counters", "it does not tell what it has counted"),
    };
    let mut out = global.out();
    let mut bus = connect(path, global)?;
    let mut lnames = bus.members(group, global.timeout).map_err(|error| match error {
        CallError::Missing => Failure::Because(
            Status::Nobody,
            "this bus does not list who is there: the daemon of BIND 10 does so only once a configuration \
             manager has come"
                .into(),
        ),
        error => refused(error),
    })?;
    lnames.retain(|l| l.starts_with(prefix));
    lnames.sort();
    let is_me = |lname: &str| lname == bus.lname();
    if out.json {
        for lname in &lnames {
            out.json(&json!({"station": lname, "you": is_me(lname)}))?;
        }
    } else {
        let you = |lname: &str| if is_me(lname) { " (you)" } else { "" };
        let rows: Vec<_> = lnames.iter().map(|l| vec![format!("{}{}", plain(l, false), you(l))]).collect();
        table(&mut out, &["STATION"], &rows)?;
    }
    out.flush()
}
