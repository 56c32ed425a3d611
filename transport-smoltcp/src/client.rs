//! One station over one TCP socket of smoltcp.
//!
//! Owns: when to connect and from which port, and moving bytes between the socket and the core's
//! [`Client`], which decides everything else (hello, ping, silence, back-off).
//!
//! | link | ends by | next |
//! |---|---|---|
//! | Down | the client wishes to connect | Trying |
//! | Trying | the handshake is done | Up |
//! | | refused, or the client's patience ends | Down |
//! | Up | the peer closes or resets and all it sent is read | Down |
//! | | the client wishes to close | Down, by a reset |

use chappe_core::client::{All, Client, Event, Inbox, Wants, Wish};
use chappe_core::time::Instant;
use smoltcp::iface::{Interface, SocketHandle, SocketSet};
use smoltcp::socket::tcp;
use smoltcp::wire::IpEndpoint;

use crate::pump;

/// The ports that RFC 6335 leaves to clients are those with these two bits: 49152 to 65535.
const FIRST_PORT: u16 = 0b11 << 14;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Link {
    Down,
    Trying,
    Up,
}

/// A station that reaches its node over TCP, and connects again by itself.
#[derive(Debug)]
pub struct TcpClient<'b> {
    client: Client<'b>,
    inbox: Inbox<'b>,
    socket: SocketHandle,
    remote: IpEndpoint,
    port: u16,
    link: Link,
}

impl<'b> TcpClient<'b> {
    /// Joins a core client to a TCP socket.
    ///
    /// `inbox` holds one incoming frame that came in pieces: make it as long as the longest payload that matters;
    /// longer frames are skipped. `socket` is a TCP socket of the set that every `poll` gets, of which nobody else
    /// makes use; its buffers are the window to the node and may be smaller than a frame. `seed` is different at each
    /// start of the board: the first local port comes of it, and after a reset the node must not take the new
    /// connection for the old one.
    pub fn new(client: Client<'b>, inbox: &'b mut [u8], socket: SocketHandle, remote: IpEndpoint, seed: u64) -> Self {
        TcpClient { client, inbox: Inbox::new(inbox), socket, remote, port: seed as u16, link: Link::Down }
    }

    /// The core's client: what the application joins, sends and asks goes there.
    pub fn client(&mut self) -> &mut Client<'b> {
        &mut self.client
    }

    /// Where the node is, from the next connection on.
    pub fn set_remote(&mut self, remote: IpEndpoint) {
        self.remote = remote;
    }

    /// Frames that were skipped because they are longer than the inbox.
    pub fn skipped(&self) -> u32 {
        self.inbox.skipped()
    }

    /// One turn: takes what has come, tells `each` what it means, hands over what is to be sent. To be called after
    /// `Interface::poll`, when the returned time has come, and after the application has sent something (or it waits
    /// until then). Returns when smoltcp or the client have something to do, whatever is sooner.
    pub fn poll(
        &mut self,
        now: Instant,
        interface: &mut Interface,
        sockets: &mut SocketSet<'_>,
        each: impl FnMut(&mut Client<'b>, Event<'_>),
    ) -> Option<Instant> {
        self.poll_only::<All>(now, interface, sockets, each)
    }

    /// As [`TcpClient::poll`], with only those kinds of events that the application [`Wants`].
    #[inline]
    pub fn poll_only<W: Wants>(
        &mut self,
        now: Instant,
        interface: &mut Interface,
        sockets: &mut SocketSet<'_>,
        each: impl FnMut(&mut Client<'b>, Event<'_>),
    ) -> Option<Instant> {
        self.turn::<W>(now, interface, sockets, each);
        // Apart, so that who does not look at it does not pay for it.
        self.client.deadline()
    }

    #[inline(never)]
    fn turn<W: Wants>(
        &mut self,
        now: Instant,
        interface: &mut Interface,
        sockets: &mut SocketSet<'_>,
        mut each: impl FnMut(&mut Client<'b>, Event<'_>),
    ) {
        let socket = sockets.get_mut::<tcp::Socket<'_>>(self.socket);
        self.follow(now, socket);
        if self.link == Link::Up {
            self.read::<W>(now, socket, &mut each);
        }
        loop {
            pump::tick(&mut self.client, now, &mut each);
            let over = match self.client.wish(now) {
                Wish::Connect if self.link == Link::Down => !self.connect(interface, socket),
                Wish::Connect | Wish::Stay => false,
                Wish::Close => true,
                Wish::Stop => self.link != Link::Down,
            };
            if !over {
                break;
            }
            // Not a polite close: the peer is silent or talks nonsense, and this port is to be free.
            socket.abort();
            self.link = Link::Down;
            self.client.disconnected(now);
        }
        if self.link == Link::Up {
            self.write(socket);
        }
    }

    /// Whether a connection has come about, or cannot.
    fn follow(&mut self, now: Instant, socket: &tcp::Socket<'_>) {
        if self.link == Link::Trying {
            if socket.may_send() {
                self.link = Link::Up;
                self.inbox.clear();
                self.client.connected(now);
            } else if !socket.is_active() {
                self.link = Link::Down;
                self.client.disconnected(now);
            }
        }
    }

    #[inline(never)]
    fn read<W: Wants>(
        &mut self,
        now: Instant,
        socket: &mut tcp::Socket<'_>,
        each: &mut impl FnMut(&mut Client<'b>, Event<'_>),
    ) {
        // At most what the socket holds: it gets nothing new meanwhile.
        loop {
            // Answers need room. A peer that does not take what it asked for waits until it does: TCP's window closes,
            // and nothing of this is lost.
            self.write(socket);
            if !socket.can_recv() || (!self.client.output().is_empty() && socket.may_send()) {
                break;
            }
            let (client, inbox) = (&mut self.client, &mut self.inbox);
            // It can only fail where there is nothing to receive.
            let _ = socket.recv(|bytes| {
                pump::receive::<W>(client, inbox, now, bytes, each);
                (bytes.len(), ())
            });
        }
        if !socket.may_recv() {
            // Sends our side's end, or nothing after a reset.
            socket.close();
            self.link = Link::Down;
            self.client.disconnected(now);
        }
    }

    #[inline(never)]
    fn write(&mut self, socket: &mut tcp::Socket<'_>) {
        // At most what the socket has room for.
        loop {
            let output = self.client.output();
            // An error means that it is not connected, where nothing can be written either.
            let written = socket.send(|room| {
                let n = room.len().min(output.len());
                room[..n].copy_from_slice(&output[..n]);
                (n, n)
            });
            match written {
                Ok(n) if n > 0 => self.client.sent(n),
                _ => return,
            }
        }
    }

    /// Whether it has begun. If not there is no route or no address yet.
    fn connect(&mut self, interface: &mut Interface, socket: &mut tcp::Socket<'_>) -> bool {
        // The connection before may not have ended: the node has not confirmed that.
        socket.abort();
        self.port = self.port.wrapping_add(1) | FIRST_PORT;
        // Small messages that each matter: none waits for the next one, and no acknowledgement for more data.
        socket.set_nagle_enabled(false);
        socket.set_ack_delay(None);
        self.link = Link::Trying;
        socket.connect(interface.context(), self.remote, self.port).is_ok()
    }
}
