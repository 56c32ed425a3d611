//! A node on a microcontroller: the core's router behind a pool of TCP sockets that listen on one port.
//!
//! Owns: which socket is which station, fair turns, and arming sockets again. The router owns every decision about
//! messages; its memory is the firmware's.
//!
//! | slot | ends by | next |
//! |---|---|---|
//! | Listening | a connection has come | Station, or Leaving if the router is full |
//! | Station | the peer closes or resets | Leaving |
//! | | the router lets go of it | Leaving |
//! | Leaving | both sides have closed, or two seconds | Listening |
//!
//! Give it one socket more than the router has stations: the spare one tells who comes too many why it is refused. With
//! no socket left smoltcp refuses the connection itself, by a reset.

use chappe_core::dialect::messi::frame::Framing;
use chappe_core::dialect::messi::repr::{Closing, Code, ServerToClient};
use chappe_core::dialect::messi::wire::{HEADER, Writer, kind};
use chappe_core::id::StationId;
use chappe_core::router::{Action, Newcomer, Router};
use chappe_core::time::{Duration, Instant};
use smoltcp::iface::{SocketHandle, SocketSet};
use smoltcp::socket::tcp;

/// How long a closed connection may take to end before its socket is reset and used again.
const LINGER: Duration = Duration::from_secs(2);

/// How long a peer may leave what it was sent without any acknowledgement. A peer that is there but does not read still
/// acknowledges; that one is the router's to judge.
const DEAD: smoltcp::time::Duration = smoltcp::time::Duration::from_secs(10);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Listening,
    Station(StationId),
    Leaving { until: Instant },
}

/// One TCP socket of a hub.
#[derive(Debug)]
pub struct Slot {
    socket: SocketHandle,
    place: Place,
}

impl Slot {
    /// Of a TCP socket that nobody else uses. Its buffers are the window to one station; they may be smaller than a
    /// frame.
    pub const fn new(socket: SocketHandle) -> Self {
        Slot { socket, place: Place::Listening }
    }
}

/// What a hub counts beside its router.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct HubCounts {
    /// Connections that became stations.
    pub accepted: u32,
    /// Connections that were told that there is no room.
    pub refused: u32,
    /// Connections that did not end in time and were reset.
    pub reset: u32,
}

/// A router and its sockets.
pub struct Hub<'s> {
    router: Router<'s>,
    slots: &'s mut [Slot],
    port: u16,
    newcomer: Newcomer,
    /// Who has the first turn.
    first: usize,
    counts: HubCounts,
}

impl<'s> Hub<'s> {
    /// Listens on `port` with all sockets of `slots`, from the first `poll` on. `newcomer` says what stations may do
    /// before they give credentials.
    pub fn new(router: Router<'s>, slots: &'s mut [Slot], port: u16, newcomer: Newcomer) -> Self {
        Hub { router, slots, port, newcomer, first: 0, counts: HubCounts::default() }
    }

    /// The router: its counters, usage, settings.
    pub fn router(&mut self) -> &mut Router<'s> {
        &mut self.router
    }

    /// What was counted here.
    pub fn counts(&self) -> HubCounts {
        self.counts
    }

    /// One turn: every station is read once, at most what its socket holds in one piece, and written once. To be called
    /// after `Interface::poll` and when the returned time has come. Returns when the router or a socket that closes has
    /// something to do; see [`wake`](crate::wake).
    pub fn poll(&mut self, now: Instant, sockets: &mut SocketSet<'_>) -> Option<Instant> {
        if self.router.deadline().is_some_and(|at| at <= now) {
            self.router.tick(now);
        }
        let n = self.slots.len();
        for i in 0..n {
            self.turn(now, (self.first + i) % n, sockets);
        }
        self.first = if self.first + 1 < n { self.first + 1 } else { 0 };
        while let Some(action) = self.router.next_action(now) {
            match action {
                Action::Write(id) => self.write(now, id, sockets),
                // nobody of the native dialect is ever kept waiting, nor does this gate take its time
                Action::Resume(_) => {}
                Action::Close(id, _) => {
                    if let Some(slot) = find(self.slots, id) {
                        sockets.get_mut::<tcp::Socket<'_>>(slot.socket).close();
                        slot.place = Place::Leaving { until: now + LINGER };
                    }
                }
            }
        }
        let mut wake = self.router.deadline();
        for slot in self.slots.iter() {
            let socket = sockets.get::<tcp::Socket<'_>>(slot.socket);
            match slot.place {
                Place::Leaving { until } if socket.is_active() => wake = crate::sooner(wake, Some(until)),
                // Its socket listens again after smoltcp has sent the last word.
                Place::Leaving { .. } => wake = Some(now),
                // More waits than one turn reads.
                Place::Station(_) if socket.can_recv() => wake = Some(now),
                _ => {}
            }
        }
        wake
    }

    fn turn(&mut self, now: Instant, at: usize, sockets: &mut SocketSet<'_>) {
        let slot = &mut self.slots[at];
        let socket = sockets.get_mut::<tcp::Socket<'_>>(slot.socket);
        match slot.place {
            Place::Leaving { until } => {
                if socket.can_recv() {
                    // Nobody hears it, but the window must not close on the peer's end of the connection.
                    let _ = socket.recv(|bytes| (bytes.len(), ()));
                }
                if !socket.is_active() {
                    slot.place = Place::Listening;
                    self.listen(at, sockets);
                } else if now >= until {
                    self.counts.reset = self.counts.reset.wrapping_add(1);
                    socket.abort();
                }
            }
            Place::Listening if socket.may_send() => match self.router.admit(now, self.newcomer) {
                Ok(id) => {
                    slot.place = Place::Station(id);
                    self.counts.accepted = self.counts.accepted.wrapping_add(1);
                    self.station(now, at, id, sockets);
                }
                Err(_) => {
                    self.counts.refused = self.counts.refused.wrapping_add(1);
                    refuse(socket);
                    slot.place = Place::Leaving { until: now + LINGER };
                }
            },
            Place::Listening => self.listen(at, sockets),
            Place::Station(id) => self.station(now, at, id, sockets),
        }
    }

    /// Listens, unless it does already or a handshake is under way.
    fn listen(&mut self, at: usize, sockets: &mut SocketSet<'_>) {
        let socket = sockets.get_mut::<tcp::Socket<'_>>(self.slots[at].socket);
        if !socket.is_open() {
            socket.set_nagle_enabled(false);
            socket.set_ack_delay(None);
            socket.set_timeout(Some(DEAD));
            // Port 0 is the only thing that could be wrong with it; then nobody comes, as asked for.
            let _ = socket.listen(self.port);
        }
    }

    fn station(&mut self, now: Instant, at: usize, id: StationId, sockets: &mut SocketSet<'_>) {
        let slot = &mut self.slots[at];
        let socket = sockets.get_mut::<tcp::Socket<'_>>(slot.socket);
        if socket.can_recv() {
            let router = &mut self.router;
            // It can only fail where there is nothing to receive. What the router does not take
            // before others have read stays in the socket.
            let _ = socket.recv(|bytes| (router.receive(now, id, bytes), ()));
        }
        if !socket.may_recv() {
            self.router.closed(now, id);
            socket.close();
            slot.place = Place::Leaving { until: now + LINGER };
        } else if socket.can_send() {
            self.router.writable(now, id);
        }
    }

    /// Once a turn: what the socket does not take waits until the next one.
    fn write(&mut self, now: Instant, id: StationId, sockets: &mut SocketSet<'_>) {
        let mut written = 0;
        if let Some(slot) = find(self.slots, id) {
            let socket = sockets.get_mut::<tcp::Socket<'_>>(slot.socket);
            for piece in self.router.output(id) {
                let n = socket.send_slice(piece).unwrap_or(0);
                written += n;
                if n < piece.len() {
                    break;
                }
            }
        }
        self.router.sent(now, id, written);
    }
}

impl core::fmt::Debug for Hub<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Hub").field("slots", &self.slots).field("counts", &self.counts).finish_non_exhaustive()
    }
}

fn find(slots: &mut [Slot], id: StationId) -> Option<&mut Slot> {
    slots.iter_mut().find(|slot| slot.place == Place::Station(id))
}

/// Says why, and closes. What does not fit into the socket is not said.
fn refuse(socket: &mut tcp::Socket<'_>) {
    let text = "no room for another station here; try again later";
    let message = ServerToClient::from(Closing { code: Code::Full, text });
    let mut frame = [0; 96];
    let size = message.len();
    if let Some(out) = frame.get_mut(..HEADER + size) {
        Framing::Today.write_header(kind::SERVER_TO_CLIENT, size, out);
        message.write(&mut Writer::new(&mut out[HEADER..]));
        let _ = socket.send_slice(out);
    }
    socket.close();
}
