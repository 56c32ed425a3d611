//! Being found: the sockets that questions come to, and what can be said to whom.
//!
//! Owns: opening one socket for each interface, and which listeners an asker can reach. Does
//! not own whether a question is answered (`chappe_core::discovery`), nor when it is read
//! (`event_loop/found.rs`).
//!
//! A socket hears everything that comes in by its interface, also what is for the group or for
//! everybody, and nothing else: `SO_BINDTODEVICE`, which since Linux 5.7 takes no rights. What
//! it sends has a time to live of 1: no router carries it on, whatever address somebody wrote
//! into the question.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4};

use chappe_core::discovery::{GROUP, Ports, Responder, Scheme};
use mio::net::UdpSocket;
use mio::{Interest, Registry, Token};
use socket2::{Domain, InterfaceIndexOrAddress, Protocol, Socket, Type};
use tracing::{info, warn};

use super::listener::{Door, Listener};
use crate::config::Config;

/// What answers those who search.
#[derive(Debug)]
pub(super) struct Discovery {
    pub(super) responder: Responder,
    pub(super) ears: Vec<Ear>,
    /// What this node is called.
    pub(super) node: String,
}

/// One interface.
#[derive(Debug)]
pub(super) struct Ear {
    pub(super) socket: UdpSocket,
    pub(super) interface: String,
    /// Why it hears nothing that is for the group.
    deaf: Option<io::Error>,
}

impl Discovery {
    /// Opens a socket for each interface of the configuration. An error says which, and what to do.
    pub(super) fn open(config: &Config) -> Result<Self, String> {
        let mut ears: Vec<Ear> = Vec::new();
        let mut port = config.discovery.port;
        for (i, name) in config.discovery.interfaces.iter().enumerate() {
            let ear = Ear::open(name, port).map_err(|e| {
                let hint = match e.kind() {
                    io::ErrorKind::AddrInUse => format!(
                        ": another program listens at UDP port {port} there; end it, or say another discovery.port"
                    ),
                    _ if e.raw_os_error() == Some(libc::ENODEV) => {
                        ": there is no such interface now; `ip link` shows those that there are".into()
                    }
                    _ => format!(": {e}"),
                };
                format!("discovery.interfaces[{i}]: `{name}`{hint}")
            })?;
            port = ear.socket.local_addr().map_or(port, |at| at.port());
            ears.push(ear);
        }
        Ok(Discovery { responder: Responder::new(), ears, node: config.node.clone() })
    }

    /// Says where it listens, once there is a log.
    pub(super) fn log(&self, listeners: &[Listener]) {
        for ear in &self.ears {
            let port = ear.socket.local_addr().map_or(0, |at| at.port());
            info!(event = "discovery.open", interface = %ear.interface, port, "answers who searches for a node");
            if let Some(e) = &ear.deaf {
                // Who gets no answer to that asks everybody next.
                let interface = &ear.interface;
                warn!(event = "discovery.group", %interface, detail = %e, "no multicast there, only broadcast");
            }
            if ear.interface != "lo" && listeners.iter().all(|l| l.is_local) {
                warn!(
                    event = "discovery.idle",
                    interface = %ear.interface,
                    "nobody is answered there: no listener can be reached from other machines"
                );
            }
        }
    }
}

impl Ear {
    fn open(name: &str, port: u16) -> io::Result<Ear> {
        let socket = Socket::new(Domain::IPV4, Type::DGRAM.nonblocking(), Some(Protocol::UDP))?;
        socket.bind_device(Some(name.as_bytes()))?;
        socket.set_ttl_v4(1)?;
        socket.bind(&SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, port).into())?;
        let index = crate::sys::interface_index(name)?;
        let deaf = socket.join_multicast_v4_n(&GROUP, &InterfaceIndexOrAddress::Index(index)).err();
        Ok(Ear { socket: UdpSocket::from_std(socket.into()), interface: name.to_owned(), deaf })
    }

    pub(super) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        mio::event::Source::register(&mut self.socket, registry, token, Interest::READABLE)
    }

    /// This machine's address as that neighbour will see it: where an answer to it comes from.
    /// Nothing is sent for that.
    pub(super) fn own_address(&self, to: SocketAddr) -> io::Result<IpAddr> {
        let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
        socket.bind_device(Some(self.interface.as_bytes()))?;
        socket.connect(&to.into())?;
        let own = socket.local_addr()?.as_socket().ok_or(io::ErrorKind::AddrNotAvailable)?;
        Ok(own.ip())
    }
}

/// The listeners that can be reached at an address of this machine; of several of one kind the
/// first.
pub(super) fn reachable(listeners: &[Listener], own: IpAddr) -> Ports {
    let open = listeners.iter().filter(|l| !matches!(l.source, Door::Closed));
    ports(open.map(|l| l.address.as_str()), own)
}

/// Of addresses as a client would write them.
fn ports<'a>(addresses: impl Iterator<Item = &'a str>, own: IpAddr) -> Ports {
    let mut ports = Ports::NONE;
    for address in addresses {
        let Some((scheme, place)) = address.split_once("://") else { continue };
        // What is no place in a network is a Unix socket or a serial line.
        let (Some(scheme), Ok(at)) = (Scheme::of(scheme), place.parse::<SocketAddr>()) else { continue };
        let is_there = at.ip() == own || (at.ip().is_unspecified() && at.is_ipv4() == own.is_ipv4());
        if is_there && ports.get(scheme).is_none() {
            ports.set(scheme, at.port());
        }
    }
    ports
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [&str; 13] = [
        "tcp://127.0.0.1:7840",
        "tcp://10.0.0.1:7000",
        "tcp://0.0.0.0:7001",
        "tls://[::]:7841",
        "tls://10.0.0.2:7842",
        "unix:///run/chappe/chappe.sock",
        "clacks:///run/x.sock",
        "serial:///dev/ttyS0?speed=115200",
        "clackss://0.0.0.0:49888",
        "cd:///run/chappe/communicator.sock",
        "cd://127.0.0.1:4040",
        "cds://10.0.0.1:4043",
        "cdu://127.0.0.1:4041",
    ];

    fn said(own: &str) -> Vec<(Scheme, u16)> {
        ports(ALL.into_iter(), own.parse().unwrap()).iter().collect()
    }

    #[test]
    fn no_router_carries_an_answer_on() {
        let ear = Ear::open("lo", 0).unwrap();
        assert!(ear.deaf.is_none());
        assert_eq!(socket2::SockRef::from(&ear.socket).ttl_v4().unwrap(), 1);
        let own = ear.own_address(SocketAddr::from(([127, 0, 0, 9], 7))).unwrap();
        assert!(own.is_loopback());
        assert_eq!(Ear::open("nosuchinterface", 0).unwrap_err().raw_os_error(), Some(libc::ENODEV));
    }

    #[test]
    fn only_what_can_be_reached_is_said() {
        let clackss = (Scheme::Clackss, 49_888);
        assert_eq!(said("127.0.0.1"), [(Scheme::Cd, 4040), clackss, (Scheme::Tcp, 7840)]);
        assert_eq!(said("10.0.0.1"), [(Scheme::Cds, 4043), clackss, (Scheme::Tcp, 7000)]);
        assert_eq!(said("10.0.0.2"), [clackss, (Scheme::Tcp, 7001), (Scheme::Tls, 7842)]);
        assert_eq!(said("192.168.1.1"), [clackss, (Scheme::Tcp, 7001)]);
        assert_eq!(said("fe80::1"), [(Scheme::Tls, 7841)]);
    }
}
