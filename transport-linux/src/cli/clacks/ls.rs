//! `chappe ls` on a Clacks server: its connections, and its keys.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use chappe_linux::clacks::Client;
use serde_json::{Map, Value, json};

use super::super::exit::Failure;
use super::super::ls::{Kind, Ls};
use super::super::show::{object, plain, span, table, text_or_null};
use super::{Bus, cannot, done, values};

pub(super) fn ls(args: &Ls, bus: &Bus<'_>) -> Result<(), Failure> {
    args.check()?;
    let prefix = args.name.as_deref().unwrap_or_default();
    match args.what {
        Kind::Stations => stations(prefix, bus),
        Kind::Values => values::keys(prefix, bus),
        Kind::Members => cannot("ls members", "it does not say who listens to a name"),
        Kind::Names => cannot("ls names", "it does not list what is listened to; `chappe ls values` lists its keys"),
        Kind::Flags => cannot("ls flags", "it has no flags"),
        Kind::Counters => cannot("ls counters", "it does not tell what it has counted"),
    }
}

fn stations(prefix: &str, bus: &Bus<'_>) -> Result<(), Failure> {
    let mut session = bus.connect()?;
    let mut out = bus.out();
    let mut clients = session.clients()?;
    clients.retain(|client| client.id.starts_with(prefix));
    if out.json {
        clients.iter().try_for_each(|client| out.json(&client_json(client)))?;
    } else {
        let rows: Vec<_> = clients.iter().map(row).collect();
        table(&mut out, &["STATION", "NAME", "WHAT", "LAST PING", "WAITING"], &rows)?;
    }
    done(session, &mut out)
}

fn row(client: &Client) -> Vec<String> {
    let what: Vec<_> =
        [(client.is_link, "link"), (client.is_monitor, "monitor")].iter().filter(|w| w.0).map(|w| w.1).collect();
    let ping = match ago(client.last_ping) {
        Some(ago) => format!("{} ago", span(ago)),
        None => "-".to_owned(),
    };
    vec![plain(&client.id, false), plain(&client.name, false), what.join(", "), ping, client.outbuffer.to_string()]
}

/// How long a point in time is ago; `None`: it is none.
fn ago(time: f64) -> Option<Duration> {
    let time = Duration::try_from_secs_f64(time).ok().filter(|t| !t.is_zero())?;
    Some(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().saturating_sub(time))
}

/// What is known here, and what the server says besides.
fn client_json(client: &Client) -> Value {
    const KNOWN: [&str; 11] = [
        "CID",
        "HOST",
        "PORT",
        "CLIENTINFO",
        "OUTBUFFER_LENGTH",
        "INBUFFER_LENGTH",
        "INTERCLACKS",
        "MONITOR",
        "LASTPING",
        "LASTINTERCLACKSPING",
        "WRITEFAILTIME",
    ];
    let time = |time: f64| if time > 0.0 { json!(time) } else { Value::Null };
    let others: Map<_, _> = client
        .fields
        .iter()
        .filter(|(name, _)| !KNOWN.contains(&name.as_str()))
        .map(|(name, value)| (name.to_ascii_lowercase(), Value::from(value.as_str())))
        .collect();
    object([
        ("station", client.id.as_str().into()),
        ("name", client.name.as_str().into()),
        ("host", text_or_null(&client.host)),
        ("link", client.is_link.into()),
        ("monitor", client.is_monitor.into()),
        ("waiting", client.outbuffer.into()),
        ("unread", client.inbuffer.into()),
        ("last_ping", time(client.last_ping)),
        ("last_link_ping", time(client.last_link_ping)),
        ("stalled_since", time(client.write_fail)),
        ("other", if others.is_empty() { Value::Null } else { others.into() }),
    ])
    .into()
}
