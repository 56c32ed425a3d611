//! One socket of a client: looked up, connected without blocking, read and written.
//!
//! Owns: the kinds of sockets, host names, and what an attempt to connect has come to. Does
//! not own when to connect (the core's client says that), nor TLS (`secure.rs`).

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::path::Path;

use mio::event::Source;
use mio::net::{TcpStream, UdpSocket, UnixStream};
use mio::{Interest, Registry, Token};

use super::secure::Secure;
use crate::address::Address;
use crate::tls::Trust;

#[derive(Debug)]
pub(crate) struct Socket {
    carrier: Carrier,
    /// In between, if the address wants it.
    secure: Option<Box<Secure>>,
    /// The carrier is connected: what goes wrong from then on is found by reading.
    carried: bool,
}

#[derive(Debug)]
enum Carrier {
    Tcp(TcpStream),
    Unix(UnixStream),
    Udp(UdpSocket),
}

/// Where a look-up says that a node may be.
#[derive(Debug, Clone)]
pub(crate) enum Target<'a> {
    Inet(SocketAddr),
    Path(&'a Path),
}

/// All addresses of a host. Blocks for as long as the system's resolver does, unless the
/// host is an IP address.
pub(crate) fn look_up(address: &Address) -> io::Result<Vec<SocketAddr>> {
    let (host, port) = match address {
        Address::Tcp { host, port } | Address::Tls { host, port } | Address::Udp { host, port } => (host, *port),
        Address::Unix(_) | Address::TlsUnix(_) => return Ok(Vec::new()),
    };
    let found: Vec<_> = (host.as_str(), port)
        .to_socket_addrs()
        .map_err(|e| io::Error::new(e.kind(), format!("the host {host:?} is not known: {e}")))?
        .collect();
    if found.is_empty() {
        return Err(io::Error::new(io::ErrorKind::NotFound, format!("the host {host:?} has no address")));
    }
    Ok(found)
}

impl Socket {
    /// Begins to connect, and registers with the poll.
    pub(crate) fn connect(
        address: &Address,
        target: Target<'_>,
        trust: &Trust,
        registry: &Registry,
        token: Token,
    ) -> io::Result<Self> {
        let secure = match address {
            Address::Tls { host, .. } => Some(host.as_str()),
            Address::TlsUnix(_) => Some("localhost"),
            Address::Tcp { .. } | Address::Unix(_) | Address::Udp { .. } => None,
        };
        let secure = match secure {
            None => None,
            Some(host) => {
                let (config, name) = trust.for_host(host)?;
                Some(Box::new(Secure::new(config, name)?))
            }
        };
        let carrier = match (address, target) {
            (Address::Udp { .. }, Target::Inet(to)) => {
                let any: SocketAddr = match to {
                    SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
                    SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
                };
                let socket = UdpSocket::bind(any)?;
                socket.connect(to)?;
                Carrier::Udp(socket)
            }
            (_, Target::Inet(to)) => Carrier::Tcp(TcpStream::connect(to)?),
            (_, Target::Path(path)) => Carrier::Unix(UnixStream::connect(path)?),
        };
        let mut socket = Socket { carrier, secure, carried: false };
        registry.register(socket.source(), token, Interest::READABLE | Interest::WRITABLE)?;
        Ok(socket)
    }

    fn source(&mut self) -> &mut dyn Source {
        match &mut self.carrier {
            Carrier::Tcp(s) => s,
            Carrier::Unix(s) => s,
            Carrier::Udp(s) => s,
        }
    }

    /// Whether it is connected, and its TLS handshake through: `None` while that is not known.
    /// To be asked when there is news of it, which may be a false alarm.
    pub(crate) fn is_connected(&mut self) -> io::Result<Option<()>> {
        if !self.carried && self.is_carried()?.is_none() {
            return Ok(None);
        }
        self.carried = true;
        match (&mut self.secure, &mut self.carrier) {
            (Some(secure), Carrier::Tcp(s)) => secure.shake(s),
            (Some(secure), Carrier::Unix(s)) => secure.shake(s),
            _ => Ok(true),
        }
        .map(|is_through| is_through.then_some(()))
    }

    fn is_carried(&self) -> io::Result<Option<()>> {
        match &self.carrier {
            Carrier::Tcp(s) => {
                if let Some(error) = s.take_error()? {
                    return Err(error);
                }
                match s.peer_addr() {
                    Ok(_) => {
                        // Two small messages in a row must not wait for each other (weak point 22).
                        s.set_nodelay(true)?;
                        Ok(Some(()))
                    }
                    Err(e) if e.kind() == io::ErrorKind::NotConnected => Ok(None),
                    Err(e) => Err(e),
                }
            }
            Carrier::Unix(s) => match s.take_error()? {
                Some(error) => Err(error),
                None => Ok(Some(())),
            },
            Carrier::Udp(_) => Ok(Some(())),
        }
    }

    /// Whether each frame is a datagram.
    pub(crate) fn is_datagram(&self) -> bool {
        matches!(self.carrier, Carrier::Udp(_))
    }

    pub(crate) fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match (&mut self.secure, &mut self.carrier) {
            (Some(secure), Carrier::Tcp(s)) => secure.read(s, buf),
            (Some(secure), Carrier::Unix(s)) => secure.read(s, buf),
            (_, Carrier::Tcp(s)) => s.read(buf),
            (_, Carrier::Unix(s)) => s.read(buf),
            (_, Carrier::Udp(s)) => s.recv(buf),
        }
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match (&mut self.secure, &mut self.carrier) {
            (Some(secure), Carrier::Tcp(s)) => secure.write(s, bytes),
            (Some(secure), Carrier::Unix(s)) => secure.write(s, bytes),
            (_, Carrier::Tcp(s)) => s.write(bytes),
            (_, Carrier::Unix(s)) => s.write(bytes),
            (_, Carrier::Udp(s)) => s.send(bytes),
        }
    }

    /// Whether something that was written is not with the operating system yet.
    pub(crate) fn owes(&self) -> bool {
        self.secure.as_ref().is_some_and(|s| s.owes())
    }

    /// Gives it that. `false`: it does not take all.
    pub(crate) fn push(&mut self) -> io::Result<bool> {
        match (&mut self.secure, &mut self.carrier) {
            (Some(secure), Carrier::Tcp(s)) => secure.push(s),
            (Some(secure), Carrier::Unix(s)) => secure.push(s),
            _ => Ok(true),
        }
    }

    /// Says that nothing more will come, where there are words for that.
    pub(crate) fn end(&mut self) {
        match (&mut self.secure, &mut self.carrier) {
            (Some(secure), Carrier::Tcp(s)) => secure.end(s),
            (Some(secure), Carrier::Unix(s)) => secure.end(s),
            _ => {}
        }
    }
}
