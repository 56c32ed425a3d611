//! The search itself: a socket on each interface, and the core's asker.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddrV4};
use std::time::{Duration, Instant};

use chappe_core::discovery::{Asker, GROUP, LONGEST, QUESTION, Way, is_near};
use if_addrs::{IfAddr, get_if_addrs};
use mio::net::UdpSocket;
use mio::{Events, Interest, Poll, Token};
use socket2::{Domain, Protocol, SockRef, Socket, Type};

use super::{Error, Found, Schemes, Wanted};
use crate::sys;

/// Most addresses of this machine that are asked from.
const MAX_SOCKETS: usize = 64;

/// Most nodes that one search tells of.
const MAX_FOUND: usize = 1024;

/// Datagrams that one socket may hand over until the others are looked at.
const TURN: usize = 64;

/// A search that goes on until it is dropped. Asks at once, again after a second, and then less
/// and less often, by multicast and broadcast in turn.
#[derive(Debug)]
pub struct Search<'w> {
    wanted: &'w Wanted,
    asker: Asker<'w>,
    sockets: Vec<Place>,
    poll: Poll,
    events: Events,
    /// Sockets that may have more.
    ready: Vec<bool>,
    told: Vec<Found>,
}

/// An address of this machine, and a socket that speaks from there.
#[derive(Debug)]
struct Place {
    socket: UdpSocket,
    interface: String,
    ip: Ipv4Addr,
    broadcast: Option<Ipv4Addr>,
}

/// All nodes that answer within this time, each once.
///
/// # Errors
///
/// That nobody answers is none: the list is empty.
pub fn discover(wanted: &Wanted, wants: Schemes, within: Duration) -> Result<Vec<Found>, Error> {
    let end = Instant::now() + within;
    let mut search = Search::new(wanted, wants)?;
    let mut all = Vec::new();
    while let Some(found) = search.next_until(end)? {
        all.push(found);
    }
    Ok(all)
}

/// The first node that answers.
///
/// # Errors
///
/// Nobody answers in time, or nobody can be asked.
pub fn find(wanted: &Wanted, wants: Schemes, within: Duration) -> Result<Found, Error> {
    let found = Search::new(wanted, wants)?.next_until(Instant::now() + within)?;
    found.ok_or_else(|| Error::Nobody { wanted: wanted.clone(), within })
}

impl<'w> Search<'w> {
    /// Begins one. `wants`: what the caller could connect to; nodes with nothing of that do not
    /// count.
    ///
    /// # Errors
    ///
    /// This machine has no address from which neighbours could be asked.
    pub fn new(wanted: &'w Wanted, wants: Schemes) -> Result<Self, Error> {
        let poll = Poll::new().map_err(Error::Io)?;
        let events = Events::with_capacity(MAX_SOCKETS);
        let asker = Asker::new(&wanted.node, wants, random().map_err(Error::Io)?, sys::now());
        let mut search = Search { wanted, asker, sockets: vec![], poll, events, ready: vec![], told: vec![] };
        search.open()?;
        if search.sockets.is_empty() { Err(Error::NoInterface(wanted.clone())) } else { Ok(search) }
    }

    /// The next node that was not told of yet; `None`: it is time, or there were 1024.
    ///
    /// # Errors
    ///
    /// No question can be sent, or no answer read.
    pub fn next_until(&mut self, end: Instant) -> Result<Option<Found>, Error> {
        loop {
            if self.told.len() >= MAX_FOUND {
                return Ok(None);
            }
            self.ask()?;
            if let Some(found) = self.hear()? {
                self.told.push(found.clone());
                return Ok(Some(found));
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            let due = self.asker.deadline().map_or(left, |at| {
                // at least one, or it would be turned in until the millisecond has come
                Duration::from_millis(u64::from(at.since(sys::now()).millis().max(1)))
            });
            let timeout = if self.ready.contains(&true) { Duration::ZERO } else { left.min(due) };
            match self.poll.poll(&mut self.events, Some(timeout)) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                result => result.map_err(Error::Io)?,
            }
            for event in &self.events {
                if let Some(ready) = self.ready.get_mut(event.token().0) {
                    *ready = true;
                }
            }
        }
    }

    /// Sockets for addresses that have none yet.
    fn open(&mut self) -> Result<(), Error> {
        for interface in get_if_addrs().map_err(Error::Io)? {
            let IfAddr::V4(about) = &interface.addr else { continue };
            let is_meant = self.wanted.interface.as_ref().is_none_or(|name| *name == interface.name);
            let is_new = !self.sockets.iter().any(|s| (s.ip, &s.interface) == (about.ip, &interface.name));
            let has_neighbours = is_near(IpAddr::V4(about.ip)) && !interface.is_p2p;
            if !is_meant || !is_new || !has_neighbours || self.sockets.len() >= MAX_SOCKETS {
                continue;
            }
            let everybody = about.ip | !about.netmask;
            // in networks of one or two nobody is everybody
            let broadcast = (about.prefixlen < 31).then_some(everybody);
            let mut socket = match socket(about.ip) {
                Ok(socket) => UdpSocket::from_std(socket.into()),
                // It has gone in this moment, perhaps; others may do.
                Err(_) if self.wanted.interface.is_none() => continue,
                Err(e) => return Err(Error::Io(e)),
            };
            let token = Token(self.sockets.len());
            self.poll.registry().register(&mut socket, token, Interest::READABLE).map_err(Error::Io)?;
            self.sockets.push(Place { socket, interface: interface.name, ip: about.ip, broadcast });
            self.ready.push(true);
        }
        Ok(())
    }

    /// Asks everywhere, if it is time. An error only if nobody at all could be asked.
    fn ask(&mut self) -> Result<(), Error> {
        let mut question = [0; QUESTION];
        let Some(way) = self.asker.ask(sys::now(), &mut question) else { return Ok(()) };
        // A network may have come up since.
        self.open()?;
        let (mut problem, mut is_sent) = (None, false);
        for place in &self.sockets {
            let to = match way {
                Way::Group => Some(GROUP),
                Way::Broadcast => place.broadcast,
            };
            let Some(to) = to else { continue };
            match place.socket.send_to(&question, SocketAddrV4::new(to, self.wanted.port).into()) {
                Ok(_) => is_sent = true,
                Err(e) => problem = Some(e),
            }
        }
        match problem {
            // one way may be closed where the other is not
            Some(e) if !is_sent && way == Way::Broadcast => Err(Error::Io(e)),
            _ => Ok(()),
        }
    }

    /// The next answer that has come, counts, and is of a node that was not told of yet.
    fn hear(&mut self) -> Result<Option<Found>, Error> {
        // One octet more, so that what is too long is seen to be.
        let mut datagram = [0; LONGEST + 1];
        for (place, ready) in self.sockets.iter().zip(&mut self.ready).filter(|(_, ready)| **ready) {
            for _ in 0..TURN {
                let (n, from) = match place.socket.recv_from(&mut datagram) {
                    Ok(got) => got,
                    Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                    // The interface has gone down, perhaps: what is said there is lost.
                    Err(_) => {
                        *ready = false;
                        break;
                    }
                };
                let Ok(answer) = self.asker.hear(from.ip(), &datagram[..n]) else { continue };
                let (node, ip, ports) = (answer.node.to_owned(), from.ip(), answer.ports);
                if !self.told.iter().any(|told| (told.ip, &told.node) == (ip, &node)) {
                    return Ok(Some(Found { node, ip, interface: place.interface.clone(), ports }));
                }
            }
        }
        Ok(None)
    }
}

fn socket(ip: Ipv4Addr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM.nonblocking(), Some(Protocol::UDP))?;
    socket.bind(&SocketAddrV4::new(ip, 0).into())?;
    let at = SockRef::from(&socket);
    at.set_broadcast(true)?;
    // No router carries it on.
    at.set_multicast_ttl_v4(1)?;
    at.set_ttl_v4(1)?;
    at.set_multicast_if_v4(&ip)?;
    // A daemon on this machine may be meant.
    at.set_multicast_loop_v4(true)?;
    // Not bound to the interface: what a daemon on this machine answers comes by another one.
    Ok(socket)
}

/// What nobody can guess.
fn random() -> io::Result<u64> {
    use ring::rand::SecureRandom as _;
    let mut seed = [0; 8];
    let filled = ring::rand::SystemRandom::new().fill(&mut seed);
    filled.map_err(|_| io::Error::other("the system has no random numbers"))?;
    Ok(u64::from_ne_bytes(seed))
}
