//! `chappe status` and `chappe ls` at a Communicator daemon.
//!
//! `status` prints what the original's `cluster-status` prints (`wire/communicator.md` section
//! 7.5), and the clock.

use std::time::Duration;

use chappe_linux::communicator::{Event, Message};
use serde_json::json;

use super::super::exit::{Failure, Status};
use super::super::listen::remark;
use super::super::ls::{Kind, Ls};
use super::super::show::{plain, table};
use super::{Bus, cannot, shown, verdict};

/// Commands that tell of both.
const NEWS: [&str; 6] =
    ["CLOCK_STABLE", "CLOCK_UNSTABLE", "CLUSTER_COMPLETE", "CLUSTER_DOWN", "CLUSTER_INCOMPLETE", "CLUSTER_UP"];

pub(super) fn status(bus: &Bus<'_>) -> Result<(), Failure> {
    // a daemon of the original answers only who has announced what it answers with
    let mut session = bus.register("status", &NEWS)?;
    session.send(&Message::new("CLOCK_STATUS").to("communicatord"))?;
    session.send(&Message::new("CLUSTER_STATUS").to("communicatord"))?;
    session.flush()?;
    let known = session.conditions().clone();
    drop(session);
    let (cluster, complete) = (known.up.map(cluster), known.complete.map(complete));
    let clock = known.clock.as_ref().map(|(is, why)| {
        let word = if *is { "CLOCK_STABLE" } else { "CLOCK_UNSTABLE" };
        let why = plain(why, false);
        if why.is_empty() { word.to_owned() } else { format!("{word} ({why})") }
    });
    let mut out = bus.out();
    if out.json {
        out.json(&json!({
            "status": cluster, "complete": complete, "computers": known.neighbors, "quorum": known.quorum(),
            "clock": known.clock.as_ref().map(|(is, _)| if *is { "CLOCK_STABLE" } else { "CLOCK_UNSTABLE" }),
            "clock_detail": known.clock.as_ref().map(|(_, why)| why).filter(|why| !why.is_empty()),
        }))?;
    } else {
        let number = |n: Option<u32>| n.map(|n| n.to_string());
        for (label, value) in [
            ("Status", cluster.map(str::to_owned)),
            ("Complete", complete.map(str::to_owned)),
            ("Computers in Cluster", number(known.neighbors)),
            ("Quorum of Computers", number(known.quorum())),
            ("Clock", clock),
        ] {
            out.line(format!("{label:>20}: {}", value.as_deref().unwrap_or("not told")))?;
        }
    }
    out.flush()?;
    if known.up.is_none() && known.clock.is_none() {
        let text = "the daemon answers neither CLUSTER_STATUS nor CLOCK_STATUS";
        return Err(Failure::Because(Status::Answered, text.into()));
    }
    Ok(())
}

fn cluster(is: bool) -> &'static str {
    if is { "CLUSTER_UP" } else { "CLUSTER_DOWN" }
}

fn complete(is: bool) -> &'static str {
    if is { "CLUSTER_COMPLETE" } else { "CLUSTER_INCOMPLETE" }
}

pub(super) fn ls(args: &Ls, bus: &Bus<'_>) -> Result<(), Failure> {
    args.check()?;
    match args.what {
        Kind::Stations | Kind::Names => {}
        Kind::Members => return cannot("ls members", "each service is one connection"),
        Kind::Values => return cannot("ls values", super::NO_VALUES),
        Kind::Flags => return cannot("ls flags", super::FLAGS),
        Kind::Counters => return cannot("ls counters", "it does not tell what it has counted"),
    }
    let prefix = args.name.as_deref().unwrap_or_default();
    let mut out = bus.out();
    let (mut services, count) = services(bus)?;
    let listed = services.len() as i64;
    services.retain(|service| service.starts_with(prefix));
    if out.json {
        services.iter().try_for_each(|service| out.json(&json!({"name": service})))?;
    } else {
        let rows: Vec<_> = services.iter().map(|service| vec![plain(service, false)]).collect();
        table(&mut out, &["SERVICE"], &rows)?;
    }
    out.flush()?;
    if count.is_some_and(|count| count > listed) {
        remark(&out, format_args!("{} more do not fit into the daemon's answer", count.unwrap_or(0) - listed));
    }
    Ok(())
}

/// The services, and how many there are.
fn services(bus: &Bus<'_>) -> Result<(Vec<String>, Option<i64>), Failure> {
    let mut session = bus.connect()?;
    let question = super::from_here(&session, Message::new("LIST_SERVICES").to("communicatord"));
    session.send(&question)?;
    session.flush()?;
    // whatever it says to it has come before this
    while let Some(event) = session.receive(Some(Duration::ZERO))? {
        let Event::Message(m) = event else { continue };
        if m.command == "SERVICES" {
            let list = m.text("list").unwrap_or_default();
            let all = list.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect();
            return Ok((all, m.integer("count")));
        }
        verdict(&m)?;
        remark(&bus.out(), format_args!("the daemon says: {}", shown(&m)));
    }
    let text = "this daemon does not answer LIST_SERVICES: the original's writes them into its log";
    Err(Failure::Because(Status::Answered, text.into()))
}
