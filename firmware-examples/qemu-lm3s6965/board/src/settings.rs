//! Who this board is and where its hub is: compiled in, or from the semihosting command line.
//!
//! Owns: the defaults and the reading of `id=b1 host=10.0.2.2 port=7840 address=10.0.2.15`, and `node=NAME search=4040` of who searches.

use smoltcp::wire::{IpAddress, IpEndpoint, Ipv4Address};

use crate::semihosting::CommandLine;

/// QEMU's user network: the board.
pub const ADDRESS: Ipv4Address = Ipv4Address::new(10, 0, 2, 15);
/// QEMU's user network: the machine that QEMU runs on, its loopback included.
pub const HOST: Ipv4Address = Ipv4Address::new(10, 0, 2, 2);
/// Where daemons listen.
pub const PORT: u16 = 7840;
/// Where daemons listen for questions where they are.
pub const SEARCH: u16 = 4040;
/// Which board this is.
pub const ID: &str = "b1";

fn address(line: &CommandLine, key: &str, default: Ipv4Address) -> Ipv4Address {
    line.get(key).and_then(|v| v.parse().ok()).unwrap_or(default)
}

fn port(line: &CommandLine) -> u16 {
    line.get("port").and_then(|v| v.parse().ok()).unwrap_or(PORT)
}

/// `id=`
pub fn id(line: &CommandLine) -> &str {
    line.get("id").unwrap_or(ID)
}

/// `address=`: this board's own
pub fn own(line: &CommandLine) -> Ipv4Address {
    address(line, "address", ADDRESS)
}

/// `host=` and `port=`: the daemon's
pub fn remote(line: &CommandLine) -> IpEndpoint {
    IpEndpoint::new(IpAddress::Ipv4(address(line, "host", HOST)), port(line))
}

/// `node=`: the name of the daemon that is searched for; empty: any
pub fn node(line: &CommandLine) -> &str {
    line.get("node").unwrap_or_default()
}

/// `search=`: the UDP port where daemons listen for questions
pub fn search(line: &CommandLine) -> u16 {
    line.get("search").and_then(|v| v.parse().ok()).unwrap_or(SEARCH)
}

/// `port=`: to listen on
pub fn listen(line: &CommandLine) -> u16 {
    port(line)
}
