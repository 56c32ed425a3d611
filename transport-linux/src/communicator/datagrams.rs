//! Messages in datagrams (`wire/communicator.md` sections 1.8 and 5.5): sent to a daemon or
//! program, and heard as programs hear `LOG_ROTATE`.
//!
//! Owns: both kinds of sockets, and who may be spoken to without TLS. Does not own what a
//! datagram may be (`chappe_core::dialect::communicator::udp`).

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs, UdpSocket};

use chappe_core::dialect::communicator::address::Network;
use chappe_core::dialect::communicator::{parse, udp};

use super::{Error, Message, Uri};
use crate::client::socket::look_up;

/// Whether all of these may be spoken to without TLS, which everybody on the way reads and changes.
pub(super) fn is_near(found: &[SocketAddr]) -> io::Result<()> {
    match found.iter().find(|address| !Network::of(address.ip()).is_lan()) {
        None => Ok(()),
        Some(far) => {
            let text = format!("{} is in no private network, and there is no TLS: write cds://", far.ip());
            Err(io::Error::new(io::ErrorKind::Unsupported, text))
        }
    }
}

/// Sends messages in datagrams, to one address. Nothing comes back, and nobody says whether they
/// arrive.
pub struct Datagrams {
    socket: UdpSocket,
    uri: Uri,
    secret: Vec<u8>,
}

/// Without the secret.
impl fmt::Debug for Datagrams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Datagrams").field("uri", &self.uri).finish_non_exhaustive()
    }
}

impl Datagrams {
    /// To a `cdu://` address. `secret`: what the receiver wants to see, or nothing. If the host is a
    /// name of several addresses, an IPv4 address is taken: daemons usually listen there.
    ///
    /// # Errors
    /// [`Error::Carrier`], [`Error::Connect`].
    pub fn open(uri: Uri, secret: impl Into<Vec<u8>>) -> Result<Datagrams, Error> {
        if !uri.is_datagrams() {
            return Err(Error::Carrier { uri, hint: "datagrams are sent to addresses that begin with cdu://" });
        }
        let open = || {
            let found = look_up(uri.carrier())?;
            is_near(&found)?;
            let to = found.iter().find(|a| a.is_ipv4()).or(found.first()).copied();
            let to = to.ok_or(io::ErrorKind::AddrNotAvailable)?;
            let any: SocketAddr = match to {
                SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
                SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
            };
            let socket = UdpSocket::bind(any)?;
            socket.connect(to)?;
            Ok(socket)
        };
        match open() {
            Ok(socket) => Ok(Datagrams { socket, uri, secret: secret.into() }),
            Err(problem) => Err(Error::Connect { uri, problem }),
        }
    }

    /// Sends one.
    ///
    /// # Errors
    /// [`Error::NotSent`]: it cannot be said, or has more than 1,024 octets with the secret; it was
    /// not sent then. [`Error::Connect`]: the operating system does not send it, or already knows
    /// that nobody listens there, which it does on this machine.
    pub fn send(&self, message: &Message) -> Result<(), Error> {
        let datagram = message.datagram(&self.secret)?;
        let sent = self.socket.send(&datagram).and_then(|_| self.socket.take_error());
        match sent {
            Ok(None) => Ok(()),
            Ok(Some(problem)) | Err(problem) => Err(Error::Connect { uri: self.uri.clone(), problem }),
        }
    }
}

/// Hears messages in datagrams; for [`Session::hear`](super::Session::hear), or alone.
pub struct Signals {
    pub(super) socket: mio::net::UdpSocket,
    secret: Vec<u8>,
}

/// Without the secret.
impl fmt::Debug for Signals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signals").field("socket", &self.socket).finish_non_exhaustive()
    }
}

/// What came in a datagram.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Came {
    /// A message, and where from. The secret is not in it.
    Message(Message, SocketAddr),
    /// Something else, or more than 1,024 octets, or a command that is not for datagrams.
    Odd,
    /// A message without the right secret.
    Secret,
    /// Nothing more waits.
    Nothing,
}

impl Signals {
    /// At this address. `secret`: what senders must know; empty: nothing.
    ///
    /// # Errors
    /// [`Error::Datagram`]: of the operating system, when there is no such address here or somebody
    /// else has it.
    pub fn bind(address: impl ToSocketAddrs, secret: impl Into<Vec<u8>>) -> Result<Signals, Error> {
        let bind = || {
            let socket = UdpSocket::bind(address)?;
            socket.set_nonblocking(true)?;
            Ok(mio::net::UdpSocket::from_std(socket))
        };
        Ok(Signals { socket: bind().map_err(Error::Datagram)?, secret: secret.into() })
    }

    /// Where it hears.
    ///
    /// # Errors
    /// [`Error::Datagram`].
    pub fn local_addr(&self) -> Result<SocketAddr, Error> {
        self.socket.local_addr().map_err(Error::Datagram)
    }

    /// The socket, to be registered with a poll of mio's as readable.
    pub fn source(&mut self) -> &mut mio::net::UdpSocket {
        &mut self.socket
    }

    /// The next datagram that waits. Does not wait for one.
    ///
    /// # Errors
    /// [`Error::Datagram`]: of the operating system.
    pub fn next_one(&mut self) -> Result<Came, Error> {
        // one octet more than a datagram may have, so that longer ones are known
        let mut buf = [0; udp::MAX_DATAGRAM + 1];
        let (size, from) = loop {
            match self.socket.recv_from(&mut buf) {
                Ok(came) => break came,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(Came::Nothing),
                // interrupted, or about something that was sent from here, which nothing is
                Err(e) if matches!(e.kind(), io::ErrorKind::Interrupted | io::ErrorKind::ConnectionRefused) => {}
                Err(e) => return Err(Error::Datagram(e)),
            }
        };
        let mut spare = [0; parse::ROOM_FOR_NAMES];
        Ok(match udp::message(&buf[..size], &self.secret, &mut spare) {
            Ok(m) => match Message::of(&m) {
                Ok(mut message) => {
                    message.params.remove(udp::SECRET);
                    Came::Message(message, from)
                }
                Err(_) => Came::Odd,
            },
            Err(udp::Dropped::Secret) => Came::Secret,
            Err(_) => Came::Odd,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What came next, waiting for it.
    fn next(signals: &mut Signals) -> Came {
        for _ in 0..1000 {
            match signals.next_one().unwrap() {
                Came::Nothing => std::thread::sleep(std::time::Duration::from_millis(5)),
                came => return came,
            }
        }
        panic!("nothing comes");
    }

    #[test]
    fn from_one_end_to_the_other() {
        let mut signals = Signals::bind("127.0.0.1:0", "a;b").unwrap();
        assert_eq!(signals.next_one().unwrap(), Came::Nothing);
        let uri: Uri = format!("cdu://{}", signals.local_addr().unwrap()).parse().unwrap();
        let right = Datagrams::open(uri.clone(), "a;b").unwrap();
        let wrong = Datagrams::open(uri, "").unwrap();
        let m: Message = "<host:me LOG_ROTATE a=1".parse().unwrap();
        wrong.send(&m).unwrap();
        wrong.socket.send(b"  ").unwrap();
        wrong.socket.send(&[b'X'; 1025]).unwrap();
        right.send(&m).unwrap();
        assert_eq!(next(&mut signals), Came::Secret);
        assert_eq!((next(&mut signals), next(&mut signals)), (Came::Odd, Came::Odd));
        let Came::Message(came, _) = next(&mut signals) else { panic!() };
        assert_eq!(came, m);
        let long = m.with("b", vec![b'x'; 1000]);
        assert!(matches!(right.send(&long), Err(Error::NotSent(_))));
        drop(signals);
        let Err(Error::Connect { problem, .. }) = right.send(&Message::new("A")) else { panic!("nobody is there") };
        assert_eq!(problem.kind(), io::ErrorKind::ConnectionRefused);
    }

    #[test]
    fn not_to_everybody() {
        for (address, ok) in
            [("127.0.0.1:1", true), ("192.168.1.2:1", true), ("[fd00::1]:1", true), ("8.8.8.8:1", false)]
        {
            let found = [address.parse().unwrap()];
            assert_eq!(is_near(&found).is_ok(), ok, "{address}");
        }
        let far: Uri = "cdu://8.8.8.8".parse().unwrap();
        let error = Datagrams::open(far, "").unwrap_err().to_string();
        assert!(error.contains("cds://"), "{error}");
        assert!(matches!(Datagrams::open("cd://127.0.0.1".parse().unwrap(), ""), Err(Error::Carrier { .. })));
    }
}
