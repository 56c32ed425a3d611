//! One station over a serial line, or any other stream of `embedded-io`.
//!
//! Owns: what a connection is where the wire knows none, and how both ends find the beginning of a frame again. The
//! core's [`Client`] decides everything else.
//!
//! A serial line is always there and says nothing about its other end. So a connection is what the client makes of it:
//! it is up as soon as the client wishes it, and proves itself by the node's Welcome; it is down when the client gives
//! up, because the Welcome did not come, nothing was heard for the silence agreed, or what came is no frame.
//!
//! Then either end may stand in the middle of a frame: one of them was restarted, or a byte was lost or made up. It is
//! undone by a *break*, sent whenever a connection was given up and before the next hello:
//!
//! 1. Zeros, [`Line::fill`] of them. If the node stood inside a frame, the first ones fill it; after that every four (or
//!    eight, in Messi's old framing) are a frame of a type that does not exist, wherever the node begins to count. So many
//!    mistakes cost the connection (`strikes` in the node's settings, 16). Anything else, also a polite goodbye, can be
//!    taken for the header of a long frame by a node that counts from another octet, and would swallow what follows.
//! 2. Silence for [`Line::quiet`]. Meanwhile what arrives is thrown away. It must be longer than the node's end takes
//!    to connect anew: behind a real line that is a small program, in QEMU it is `-chardev socket,...,reconnect=1`, so
//!    that each time the node closes it gets a new connection that begins with nothing.
//!
//! A node that took a made-up header for that of a long frame hears nothing any more, and closes when the silence agreed
//! is over; the hellos until then are lost.
//!
//! The hello after it is the first thing that the node's new connection sees. If the node was not there at all the same
//! is done again after the client's next back-off. The first hello after a start is sent without a break: nearly always
//! the line is clean.
//!
//! A serial line has no check sum. A byte that changes inside a text or a body is not noticed; where that matters the
//! line wants a framing of its own below this.

use chappe_core::client::{All, Client, Event, Inbox, Wants, Wish};
use chappe_core::time::{Duration, Instant};
use embedded_io::{Read, ReadReady, Write, WriteReady};

use crate::pump;

/// How many octets are read from the line at once.
const PIECE: usize = 64;

/// Most octets that one turn reads: a line that babbles does not keep the application from its work.
const TURN: usize = 512;

/// Octets that are sixteen frames of no type, in either of Messi's framings, and the rest of a header before them.
pub const STRIKES: usize = 17 * 8;

/// What the line needs to be broken and found again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Line {
    /// How many zeros a break has: at least the length of the client's outbox (its longest frame) and [`STRIKES`].
    pub fill: usize,
    /// How long nothing is sent after a break: longer than the node's end takes to connect anew.
    pub quiet: Duration,
}

impl Default for Line {
    /// For an outbox of up to 1024 octets and an end that connects anew every second.
    fn default() -> Self {
        Line { fill: 1024 + STRIKES, quiet: Duration::from_millis(1500) }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Nothing is sent before this time.
    Quiet { until: Instant },
    /// So many octets of a break are still to be sent.
    Breaking { left: usize },
    /// The client has it.
    Up,
}

/// A station that reaches its node over a serial line.
#[derive(Debug)]
pub struct StreamClient<'b> {
    client: Client<'b>,
    inbox: Inbox<'b>,
    line: Line,
    state: State,
    errors: u32,
}

impl<'b> StreamClient<'b> {
    /// Joins a core client to a line. `inbox` holds one incoming frame: make it as long as the longest payload that
    /// matters; longer frames are skipped. The client's hello timeout is also how long a dead line takes to be noticed
    /// at start; two seconds do for 115,200 baud.
    pub fn new(client: Client<'b>, inbox: &'b mut [u8], line: Line) -> Self {
        let state = State::Quiet { until: Instant::ZERO };
        StreamClient { client, inbox: Inbox::new(inbox), line, state, errors: 0 }
    }

    /// The core's client: what the application joins, sends and asks goes there.
    pub fn client(&mut self) -> &mut Client<'b> {
        &mut self.client
    }

    /// Frames that were skipped because they are longer than the inbox.
    pub fn skipped(&self) -> u32 {
        self.inbox.skipped()
    }

    /// How often the stream reported an error (a UART that was overrun, a wrong stop bit). Each costs the connection,
    /// because bytes are missing.
    pub fn errors(&self) -> u32 {
        self.errors
    }

    /// One turn: reads what is there, tells `each` what it means, writes what the line takes without waiting. To be
    /// called when the line has input or room, when the returned time has come, and after the application has sent
    /// something. While something is still to be written it returns `now`.
    pub fn poll<S: Read + Write + ReadReady + WriteReady>(
        &mut self,
        now: Instant,
        stream: &mut S,
        each: impl FnMut(&mut Client<'b>, Event<'_>),
    ) -> Option<Instant> {
        self.poll_only::<All, S>(now, stream, each)
    }

    /// As [`StreamClient::poll`], with only those kinds of events that the application [`Wants`].
    pub fn poll_only<W: Wants, S: Read + Write + ReadReady + WriteReady>(
        &mut self,
        now: Instant,
        stream: &mut S,
        mut each: impl FnMut(&mut Client<'b>, Event<'_>),
    ) -> Option<Instant> {
        if self.read::<W, S>(now, stream, &mut each).is_err() {
            self.errors = self.errors.wrapping_add(1);
            self.client.hopeless();
        }
        loop {
            pump::tick(&mut self.client, now, &mut each);
            match (self.client.wish(now), self.state) {
                (Wish::Connect, State::Quiet { until }) if now >= until => {
                    self.state = State::Up;
                    self.inbox.clear();
                    self.client.connected(now);
                    continue;
                }
                (Wish::Close, State::Up) => {
                    self.state = State::Breaking { left: self.line.fill };
                    self.client.disconnected(now);
                    continue;
                }
                (Wish::Close, _) => {
                    self.client.disconnected(now);
                    continue;
                }
                // The goodbye is said.
                (Wish::Stop, State::Up) => self.state = State::Quiet { until: now },
                _ => {}
            }
            break;
        }
        // Errors of writing are met again by the next turn, or by the hello that is not answered.
        let all_written = self.write(now, stream).unwrap_or(true);
        if !all_written {
            return Some(now);
        }
        match self.state {
            State::Quiet { until } if self.client.wish(now) == Wish::Connect => Some(until),
            _ => self.client.deadline(),
        }
    }

    fn read<W: Wants, S: Read + ReadReady>(
        &mut self,
        now: Instant,
        stream: &mut S,
        each: &mut impl FnMut(&mut Client<'b>, Event<'_>),
    ) -> Result<(), S::Error> {
        let mut piece = [0; PIECE];
        let mut room = TURN;
        while room > 0 && stream.read_ready()? {
            let n = stream.read(&mut piece)?;
            if n == 0 {
                // The end of the stream, which a UART never has.
                self.client.disconnected(now);
                self.state = State::Quiet { until: now + self.line.quiet };
                break;
            }
            room = room.saturating_sub(n);
            if self.state == State::Up {
                pump::receive::<W>(&mut self.client, &mut self.inbox, now, &piece[..n], each);
            }
        }
        Ok(())
    }

    /// Whether everything is written.
    fn write<S: Write + WriteReady>(&mut self, now: Instant, stream: &mut S) -> Result<bool, S::Error> {
        loop {
            match self.state {
                State::Quiet { .. } => return Ok(true),
                State::Breaking { left: 0 } => {
                    self.state = State::Quiet { until: now + self.line.quiet };
                    return Ok(true);
                }
                State::Breaking { left } => {
                    if !stream.write_ready()? {
                        return Ok(false);
                    }
                    let n = stream.write(&[0; PIECE][..left.min(PIECE)])?;
                    self.state = State::Breaking { left: left - n.min(left) };
                }
                State::Up => {
                    let output = self.client.output();
                    if output.is_empty() {
                        return Ok(true);
                    }
                    if !stream.write_ready()? {
                        return Ok(false);
                    }
                    let n = stream.write(output)?;
                    self.client.sent(n);
                }
            }
        }
    }
}
