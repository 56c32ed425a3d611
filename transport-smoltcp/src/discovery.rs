//! Finding a node on the local network over one UDP socket of smoltcp.
//!
//! Owns: moving questions and answers between the socket and the core's [`Asker`], which decides when to ask, which way,
//! and what counts. Does not own what happens then: a [`TcpClient`](crate::client::TcpClient) connects to what was found.
//!
//! ```text
//! let mut known = false;
//! loop {
//!     interface.poll(now, &mut device, &mut sockets);
//!     if let Some(node) = discovery.poll(now, &interface, &mut sockets) {
//!         client.set_remote(node);
//!         known = true;
//!     }
//!     if known {
//!         client.poll(now, &mut interface, &mut sockets, |client, event| {
//!             // It may have moved. The client tries the old place again meanwhile.
//!             if let Event::Disconnected { .. } = event { discovery.search(now) }
//!             …
//!         });
//!     }
//!     interface.poll(now, &mut device, &mut sockets);
//! }
//! ```
//!
//! Only IPv4 is asked. Questions to the group need nothing of smoltcp's feature `multicast`, which is for those who
//! listen to one.
//!
//! Whoever answers has only said that it is a node, and this client speaks no TLS: give it a user and a secret only if
//! everybody on this network may know them.

use chappe_core::discovery::{Asker, GROUP, PORT, QUESTION, Scheme, Schemes, Way};
use chappe_core::time::Instant;
use smoltcp::iface::{Interface, SocketHandle, SocketSet};
use smoltcp::socket::udp;
use smoltcp::wire::{IpAddress, IpEndpoint, Ipv4Address};

/// The ports that RFC 6335 leaves to clients are those with these two bits: 49152 to 65535.
const FIRST_PORT: u16 = 0b11 << 14;

/// A search for a node that takes TCP connections of the native dialect.
#[derive(Debug)]
pub struct Discovery<'n> {
    asker: Asker<'n>,
    socket: SocketHandle,
    /// Where nodes listen for questions.
    port: u16,
    /// Where answers come to.
    own_port: u16,
}

impl<'n> Discovery<'n> {
    /// Asks at the first `poll`.
    ///
    /// `node`: the name of the one that is wanted; empty: any. `socket` is a UDP socket of the set that every `poll`
    /// gets, of which nobody else makes use. Its buffers: one packet of 256 octets to send; to receive, one of 256 at
    /// least, and as many more as there may be nodes that answer at once (others are lost, and asked again). `seed` is
    /// random or at least different at each start of the board.
    pub fn new(node: &'n str, socket: SocketHandle, seed: u64, now: Instant) -> Self {
        let asker = Asker::new(node, Schemes::of(&[Scheme::Tcp]), seed, now);
        Discovery { asker, socket, port: PORT, own_port: (seed >> 16) as u16 | FIRST_PORT }
    }

    /// Asks at another port than the usual one, 4040.
    pub fn set_port(&mut self, port: u16) {
        self.port = port;
    }

    /// Searches, at once, unless it is doing that.
    pub fn search(&mut self, now: Instant) {
        if !self.asker.is_asking() {
            self.asker.restart(now);
        }
    }

    /// When `poll` has something to send.
    pub fn deadline(&self) -> Option<Instant> {
        self.asker.deadline()
    }

    /// One turn: where the first node is that has answered. That ends the search. To be called after `Interface::poll`
    /// and when the time of [`Discovery::deadline`] has come.
    pub fn poll(&mut self, now: Instant, interface: &Interface, sockets: &mut SocketSet<'_>) -> Option<IpEndpoint> {
        let socket = sockets.get_mut::<udp::Socket<'_>>(self.socket);
        let found = self.hear(interface, socket);
        if found.is_some() {
            // What else comes is not for anybody.
            socket.close();
            self.asker.stop();
        } else if self.asker.is_asking() {
            self.ask(now, socket);
        }
        found
    }

    fn hear(&mut self, interface: &Interface, socket: &mut udp::Socket<'_>) -> Option<IpEndpoint> {
        // At most what the socket holds: it gets nothing new meanwhile.
        while let Ok((datagram, from)) = socket.recv() {
            let ip = from.endpoint.addr;
            // Of a network that this interface is in, or it could not be a neighbour.
            if !interface.ip_addrs().iter().any(|own| own.contains_addr(&ip)) {
                continue;
            }
            let Ok(answer) = self.asker.hear(ip.into(), datagram) else { continue };
            if let Some(port) = answer.ports.get(Scheme::Tcp) {
                return Some(IpEndpoint::new(ip, port));
            }
        }
        None
    }

    fn ask(&mut self, now: Instant, socket: &mut udp::Socket<'_>) {
        if !socket.is_open() {
            // An error would mean that the socket is open or the port 0, and neither is so.
            let _ = socket.bind(self.own_port);
        }
        let mut question = [0; QUESTION];
        // No router carries on what is for the group; what is for everybody none does anyway, and what stands for a whole
        // network (QEMU's) would not take it with a hop limit of 1. The question before is long gone.
        let (to, hops) = match self.asker.ask(now, &mut question) {
            Some(Way::Group) => (GROUP, Some(1)),
            Some(Way::Broadcast) => (Ipv4Address::BROADCAST, None),
            None => return,
        };
        socket.set_hop_limit(hops);
        // What finds no room is as good as lost, and asked again.
        let _ = socket.send_slice(&question, IpEndpoint::new(IpAddress::Ipv4(to), self.port));
    }
}
