//! `chappe discover`: which nodes are on this network.

use std::time::Instant;

use chappe_linux::discovery::{Error, Found, Schemes, Search, Wanted};
use clap::Args;
use serde_json::json;

use super::connect::Global;
use super::exit::{Failure, Status};
use super::show::Out;

/// `chappe discover`.
#[derive(Debug, Args)]
pub(crate) struct Discover {
    /// What to search for: `cdb://[NODE][:PORT][?interface=NAME]`. Without it: what --connect says if that
    /// begins with cdb:, else any node, on all interfaces
    #[arg(value_name = "CDB", value_parser = |text: &str| text.parse::<Wanted>())]
    wanted: Option<Wanted>,
}

pub(crate) fn run(args: &Discover, global: &Global) -> Result<(), Failure> {
    global.check_timeout()?;
    let any = Wanted::default();
    let wanted = args.wanted.as_ref().or(global.wanted()).unwrap_or(&any);
    let end = Instant::now() + global.timeout;
    let mut search = Search::new(wanted, Schemes::ALL)?;
    let mut out = global.out();
    let mut is_nobody = true;
    while let Some(found) = search.next_until(end)? {
        is_nobody = false;
        print(&found, &mut out)?;
        // whoever waits for one need not wait for all
        out.flush()?;
    }
    if is_nobody {
        let Failure::Because(_, text) = Error::Nobody { wanted: wanted.clone(), within: global.timeout }.into() else {
            return Err(Failure::OutputClosed);
        };
        return Err(Failure::Because(Status::Nobody, text));
    }
    Ok(())
}

fn print(found: &Found, out: &mut Out) -> Result<(), Failure> {
    let addresses: Vec<String> = found.addresses().collect();
    if out.json {
        let (ip, node, interface) = (found.ip.to_string(), &found.node, &found.interface);
        return out.json(&json!({"node": node, "ip": ip, "interface": interface, "addresses": addresses}));
    }
    out.line(format!("{}  {}", shown(&found.node), addresses.join(" ")))
}

/// A node that has no name is called something, too.
pub(super) fn shown(node: &str) -> &str {
    if node.is_empty() { "(no name)" } else { node }
}
