//! One socket of a client: looked up, connected without blocking, read and written.
//!
//! Owns: the kinds of sockets, host names, and what an attempt to connect has come to. Does
//! not own when to connect (the core's client says that).

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::path::Path;

use mio::event::Source;
use mio::net::{TcpStream, UdpSocket, UnixStream};
use mio::{Interest, Registry, Token};

use crate::address::Address;

#[derive(Debug)]
pub(super) enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
    Udp(UdpSocket),
}

/// Where a look-up says that a node may be.
#[derive(Debug, Clone)]
pub(super) enum Target<'a> {
    Inet(SocketAddr),
    Path(&'a Path),
}

/// All addresses of a host. Blocks for as long as the system's resolver does, unless the
/// host is an IP address.
pub(super) fn look_up(address: &Address) -> io::Result<Vec<SocketAddr>> {
    let (host, port) = match address {
        Address::Tcp { host, port } | Address::Udp { host, port } => (host, *port),
        Address::Unix(_) => return Ok(Vec::new()),
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
    pub(super) fn connect(
        address: &Address,
        target: Target<'_>,
        registry: &Registry,
        token: Token,
    ) -> io::Result<Self> {
        let mut socket = match (address, target) {
            (Address::Udp { .. }, Target::Inet(to)) => {
                let any: SocketAddr = match to {
                    SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
                    SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
                };
                let socket = UdpSocket::bind(any)?;
                socket.connect(to)?;
                Socket::Udp(socket)
            }
            (_, Target::Inet(to)) => Socket::Tcp(TcpStream::connect(to)?),
            (_, Target::Path(path)) => Socket::Unix(UnixStream::connect(path)?),
        };
        registry.register(socket.source(), token, Interest::READABLE | Interest::WRITABLE)?;
        Ok(socket)
    }

    fn source(&mut self) -> &mut dyn Source {
        match self {
            Socket::Tcp(s) => s,
            Socket::Unix(s) => s,
            Socket::Udp(s) => s,
        }
    }

    /// Whether it is connected: `None` while that is not known. To be asked when it is
    /// writable, which may be a false alarm.
    pub(super) fn is_connected(&self) -> io::Result<Option<()>> {
        match self {
            Socket::Tcp(s) => {
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
            Socket::Unix(s) => match s.take_error()? {
                Some(error) => Err(error),
                None => Ok(Some(())),
            },
            Socket::Udp(_) => Ok(Some(())),
        }
    }

    /// Whether each frame is a datagram.
    pub(super) fn is_datagram(&self) -> bool {
        matches!(self, Socket::Udp(_))
    }

    pub(super) fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self {
            Socket::Tcp(s) => s.read(buf),
            Socket::Unix(s) => s.read(buf),
            Socket::Udp(s) => s.recv(buf),
        }
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Socket::Tcp(s) => s.write(bytes),
            Socket::Unix(s) => s.write(bytes),
            Socket::Udp(s) => s.send(bytes),
        }
    }
}
