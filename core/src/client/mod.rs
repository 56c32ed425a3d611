//! A station's own state machine, without I/O, clock or heap: the other end of the router.
//! Firmware, the Linux client library and the command line are made of it.
//!
//! Owns: connect, hello, what is said again on each connection, ping and silence, back-off,
//! which call is still under way, and what is lost when a connection ends. Does not own a
//! socket or a name look-up: its caller is told what the client wishes and does it.
//!
//! | file | owns |
//! |---|---|
//! | `inbox.rs` | one incoming frame at a time |
//! | `outbox.rs` | what waits to be written |
//! | `script.rs` | what is said again on every connection |
//! | `calls.rs` | who still owes an answer |
//! | `backoff.rs` | how long to wait before the next attempt |
//! | `event.rs` | what the application is told |
//!
//! | phase | ends by | next |
//! |---|---|---|
//! | Waiting | the back-off is over | Connecting |
//! | Connecting | `connected` | Greeting |
//! | | `disconnected`, or too long | Waiting (through Over) |
//! | Greeting | Welcome | Ready |
//! | | refused, or too long | Over |
//! | Ready | silence, Closing, nonsense | Over |
//! | | `goodbye` | Leaving |
//! | Leaving | `disconnected`, or too long | Stopped |
//! | Over | `disconnected` | Waiting |
//! | Stopped | `start` | Waiting |
//!
//! One turn of a driver, whatever the transport:
//!
//! ```
//! use chappe_core::client::{Client, Event, Inbox, SendError, Wish};
//! use chappe_core::dialect::messi::repr::Letter;
//! use chappe_core::time::Instant;
//!
//! # trait Socket { fn is_up(&self) -> bool; fn connect(&mut self); fn close(&mut self);
//! #   fn read(&mut self, b: &mut [u8]) -> usize; fn write(&mut self, b: &[u8]) -> usize; }
//! /// Returns when to come back at the latest.
//! fn turn(client: &mut Client, inbox: &mut Inbox, socket: &mut impl Socket, up: &mut bool, now: Instant) -> Option<Instant> {
//!     if socket.is_up() != *up {
//!         *up = !*up;
//!         if *up {
//!             inbox.clear();
//!             client.connected(now);
//!         } else {
//!             client.disconnected(now);
//!         }
//!     }
//!     let mut buf = [0; 64];
//!     let n = socket.read(&mut buf);
//!     let mut input = &buf[..n];
//!     loop {
//!         match inbox.take(&mut input) {
//!             Ok(Some(frame)) => {
//!                 if let Some(event) = client.handle(now, frame) {
//!                     application(client, event);
//!                 }
//!             }
//!             Ok(None) => break,
//!             Err(_) => { client.hopeless(); break }
//!         }
//!     }
//!     while let Some(event) = client.tick(now) {
//!         application(client, event);
//!     }
//!     let n = socket.write(client.output());
//!     client.sent(n);
//!     match client.wish(now) {
//!         Wish::Connect if !*up => socket.connect(),
//!         Wish::Connect | Wish::Stay => {}
//!         Wish::Close | Wish::Stop => socket.close(),
//!     }
//!     client.deadline()
//! }
//!
//! fn application(client: &mut Client, event: Event<'_>) {
//!     match event {
//!         Event::Message(question) if question.ask_id != 0 => {
//!             // NotReady, Full or TooBig: nothing was sent, the asker hears from the node
//!             let _: Result<(), SendError> = client.answer(&chappe_core::dialect::messi::repr::Answer {
//!                 ask_id: question.ask_id, body: b"42", ..Default::default()
//!             });
//!         }
//!         _ => {}
//!     }
//! }
//! ```

pub(crate) mod backoff;
mod calls;
mod event;
mod inbox;
mod outbox;
mod script;
#[cfg(test)]
mod tests;

pub use calls::Call;
pub use event::{All, Event, LostWhy, Wants, Why};
pub use inbox::{Frame, Inbox};

#[cfg(feature = "sniff")]
use crate::dialect::messi::repr::Monitor;
use crate::dialect::messi::repr::{
    Answer, ClientToServer, Code, Declare, Flag, Goodbye, Hello, Join, Leave, Letter, List, Message, Store, StoreOp,
    Watch,
};
use crate::dialect::messi::wire::{Malformed, kind};
use crate::id::StationId;
use crate::name;
use crate::time::{Duration, Instant};
use backoff::Backoff;
use calls::Calls;
use outbox::Outbox;
use script::Script;

/// The first number that a client gives by itself: those from 1 to here are free for the
/// application's own `seq` in joins, watches and letters.
pub const FIRST_SEQ: u32 = 256;

// Members of `ClientToServer` that the script holds.
const JOIN: u8 = 2;
const WATCH: u8 = 7;
const DECLARE: u8 = 10;
#[cfg(feature = "sniff")]
const MONITOR: u8 = 12;

/// How much longer than the node a client waits for an answer, in milliseconds: normally it
/// is the node that says "timed out", and its word needs a moment to arrive.
const GRACE_MS: u32 = 1000;

/// Memory of one client. Sizes are the deployment's.
#[derive(Debug)]
pub struct Memory<'b> {
    /// Frames that wait to be written. Room for a burst, and at least for the hello (20
    /// octets and its texts) and the longest frame to be sent: what does not fit is refused
    /// with [`SendError::Full`] or [`SendError::TooBig`].
    pub outbox: &'b mut [u8],
    /// Joins, watches and declarations, which are said again on each connection: 16 octets
    /// each and their names and instances suffice.
    pub script: &'b mut [u8],
    /// One for each call or request that may be under way at once.
    pub calls: &'b mut [Call],
}

/// Who this station is, and its patience.
#[derive(Debug, Clone, Copy)]
pub struct Options<'b> {
    /// What to call this station in lists.
    pub name: &'b str,
    /// Empty: anonymous.
    pub user: &'b str,
    /// The user's secret.
    pub token: &'b [u8],
    /// Name and version, for people.
    pub software: &'b str,
    /// The longest frame that this station takes: its [`Inbox`]'s buffer and 4 octets. What is
    /// longer is not sent to it; its senders are told. 0: any.
    pub max_frame: u32,
    /// After how long without any frame either side takes the other for gone. The node has
    /// the last word. Zero: the node's default.
    pub silence: Duration,
    /// How long a call waits that does not say so itself (`ttl_ms`), and any request.
    pub call_timeout: Duration,
    /// How long connecting may take, name look-up and TLS included.
    pub connect_timeout: Duration,
    /// How long the node may take to answer the hello; also how long it may take to close
    /// after a goodbye.
    pub hello_timeout: Duration,
    /// The first pause before connecting again, see [`Options::backoff_max`].
    pub backoff_min: Duration,
    /// The longest pause: it doubles each time, half of it is random. A connection that has
    /// been ready for this long makes the next pause the shortest again.
    pub backoff_max: Duration,
    /// Of the random part: different for every station.
    pub seed: u64,
}

impl Default for Options<'_> {
    fn default() -> Self {
        Options {
            name: "",
            user: "",
            token: b"",
            software: "",
            max_frame: 0,
            silence: Duration::ZERO,
            call_timeout: Duration::from_secs(5),
            connect_timeout: Duration::from_secs(5),
            hello_timeout: Duration::from_secs(5),
            backoff_min: Duration::from_millis(250),
            backoff_max: Duration::from_secs(8),
            seed: 1,
        }
    }
}

/// Why nothing was sent. The client is as it was before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum SendError {
    /// There is no connection, or its hello is not answered yet.
    NotReady,
    /// No room in the outbox until more of it is written.
    Full,
    /// Longer than the whole outbox or than the node takes.
    TooBig,
    /// As many calls and requests are under way as there is room for.
    TooManyCalls,
    /// No room to remember it for the next connection.
    ScriptFull,
    /// Empty, longer than 128 bytes, or with control characters.
    BadName,
}

impl SendError {
    /// For people.
    pub const fn text(self) -> &'static str {
        match self {
            SendError::NotReady => "not connected",
            SendError::Full => "the outbox is full",
            SendError::TooBig => "longer than the outbox or than the node takes",
            SendError::TooManyCalls => "too many calls are under way",
            SendError::ScriptFull => "no room to remember another join or watch",
            SendError::BadName => "not a valid name: 1 to 128 bytes without control characters",
        }
    }
}

/// What the client wants its transport to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Wish {
    /// Have a connection: begin to make one if that has not begun. End with
    /// [`Client::connected`] or [`Client::disconnected`].
    Connect,
    /// Have no connection: give up the one there is or is being made, and say
    /// [`Client::disconnected`], even if there was none.
    Close,
    /// Leave it as it is.
    Stay,
    /// As Close, for good.
    Stop,
}

/// What a client has counted since it was made. Counters wrap.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Counts {
    /// Connections that became ready.
    pub ready: u32,
    /// Letters and answers that were in the outbox when a connection ended.
    pub lost: u32,
    /// Frames that the client ignored: unknown, not wanted, or in the wrong phase.
    pub ignored: u32,
    /// Answers and outcomes of nothing that is under way, mostly too late.
    pub stray: u32,
    /// Frames that made the client give a connection up.
    pub malformed: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Waiting { until: Instant },
    Connecting { until: Instant },
    Greeting { until: Instant },
    Ready,
    Leaving { until: Instant },
    Over { why: Why },
    Stopped,
}

/// What becomes of a frame's event.
enum Verdict {
    Tell,
    Ignore,
    Stray,
    /// An outcome that is to be told as [`Event::Refused`].
    Refused,
    /// An outcome that is to be told as [`Event::Reply`].
    Reply,
}

/// One station. See the [module](self) for how to drive it.
#[derive(Debug)]
pub struct Client<'b> {
    options: Options<'b>,
    outbox: Outbox<'b>,
    script: Script<'b>,
    calls: Calls<'b>,
    backoff: Backoff,
    phase: Phase,
    /// How far the script has been put into the outbox on this connection.
    replayed: usize,
    /// All that is in `calls` belonged to a connection that is gone.
    orphaned: bool,
    /// To be told by `tick`: why, letters lost, pause.
    report: Option<(Why, u32, Duration)>,
    silence: Duration,
    heard: Instant,
    ping_at: Instant,
    /// The next ping found no room.
    ping_owed: bool,
    /// When a connection that is ready will have lasted long enough to count as a good one.
    steady_from: Instant,
    station: Option<StationId>,
    seq: u32,
    counts: Counts,
}

impl<'b> Client<'b> {
    /// Wishes to connect at once.
    pub fn new(memory: Memory<'b>, options: Options<'b>, now: Instant) -> Self {
        Client {
            backoff: Backoff::new(options.backoff_min, options.backoff_max, options.seed),
            silence: options.silence,
            options,
            outbox: Outbox::new(memory.outbox),
            script: Script::new(memory.script),
            calls: Calls::new(memory.calls),
            phase: Phase::Waiting { until: now },
            replayed: 0,
            orphaned: false,
            report: None,
            heard: now,
            ping_at: now,
            ping_owed: false,
            steady_from: now,
            station: None,
            seq: FIRST_SEQ,
            counts: Counts::default(),
        }
    }

    /// Ends it at once and gives its memory back.
    pub fn into_memory(self) -> Memory<'b> {
        Memory { outbox: self.outbox.into_buffer(), script: self.script.into_buffer(), calls: self.calls.into_slots() }
    }

    // What the transport tells.

    /// The transport begins to connect: the connect timeout counts from here. Need not be
    /// said by a transport that begins as soon as the client wishes it.
    pub fn connecting(&mut self, now: Instant) {
        if matches!(self.phase, Phase::Waiting { .. } | Phase::Connecting { .. }) {
            self.phase = Phase::Connecting { until: now + self.options.connect_timeout };
        }
    }

    /// The transport has a connection. The caller has [cleared](Inbox::clear) its inbox.
    pub fn connected(&mut self, now: Instant) {
        if !matches!(self.phase, Phase::Waiting { .. } | Phase::Connecting { .. }) {
            return;
        }
        self.outbox.clear();
        self.outbox.set_limit(0);
        self.replayed = 0;
        self.heard = now;
        let o = &self.options;
        let hello = Hello {
            seq: 1,
            name: o.name,
            user: o.user,
            token: o.token,
            silence_ms: o.silence.millis(),
            software: o.software,
            max_frame: o.max_frame,
        };
        self.phase = match self.outbox.put(1, &hello) {
            Ok(()) => Phase::Greeting { until: now + o.hello_timeout },
            Err(_) => Phase::Over { why: Why::HelloTooBig },
        };
    }

    /// The transport has no connection any more, or could not make one. Call
    /// [`Client::tick`] until it returns `None`.
    pub fn disconnected(&mut self, now: Instant) {
        let (why, lost, again_in) = match self.phase {
            Phase::Stopped => return,
            Phase::Leaving { .. } => (Why::Goodbye, 0, Duration::ZERO),
            // Nothing has been tried that could have failed.
            Phase::Waiting { until } if now < until => return,
            Phase::Waiting { .. } | Phase::Connecting { .. } => (Why::Unreachable, 0, self.backoff.next()),
            Phase::Over { why: why @ (Why::Refused | Why::HelloTooBig) } => (why, 0, self.backoff.longest()),
            phase @ (Phase::Greeting { .. } | Phase::Ready | Phase::Over { .. }) => {
                let why = if let Phase::Over { why } = phase { why } else { Why::Lost };
                if self.station.is_some() && now >= self.steady_from {
                    self.backoff.reset();
                }
                (why, self.outbox.letters(), self.backoff.next())
            }
        };
        self.phase = match why {
            Why::Goodbye => Phase::Stopped,
            _ => Phase::Waiting { until: now + again_in },
        };
        self.counts.lost = self.counts.lost.wrapping_add(lost);
        self.outbox.clear();
        self.station = None;
        self.ping_owed = false;
        self.orphaned = true;
        self.report = Some((why, lost, again_in));
    }

    /// What the peer sends cannot be cut into frames: see [`Inbox::take`].
    pub fn hopeless(&mut self) {
        // the first octet of the old framing is all that a frame header can do wrong
        self.malformed::<()>(Malformed::FrameType(0));
    }

    /// Takes one frame. What the application should know is returned; it is free to do
    /// anything with the client about it, also to leave.
    pub fn handle<'f>(&mut self, now: Instant, frame: Frame<'f>) -> Option<Event<'f>> {
        self.handle_only::<All>(now, frame)
    }

    /// As [`Client::handle`], with only those kinds of events that the application
    /// [`Wants`].
    pub fn handle_only<'f, W: Wants>(&mut self, now: Instant, frame: Frame<'f>) -> Option<Event<'f>> {
        let payload = self.open(now, frame)?;
        let event = match event::member(payload).and_then(|(number, body)| event::decode::<W>(number, body)) {
            Ok(Some(event)) => event,
            Ok(None) => return self.ignore(),
            Err(what) => return self.malformed(what),
        };
        match self.accept(now, &event) {
            Verdict::Tell => Some(event),
            Verdict::Ignore => self.ignore(),
            Verdict::Stray => self.stray(),
            Verdict::Refused => match event {
                Event::Outcome(o) => Some(Event::Refused(o)),
                _ => None,
            },
            Verdict::Reply => match event {
                Event::Outcome(o) if W::REPLIES => {
                    Some(Event::Reply(Answer { seq: o.seq, code: o.code, text: o.text, ..Answer::default() }))
                }
                _ => None,
            },
        }
    }

    /// The payload, if the frame is a message and anybody is here to read it.
    fn open<'f>(&mut self, now: Instant, frame: Frame<'f>) -> Option<&'f [u8]> {
        if !matches!(self.phase, Phase::Greeting { .. } | Phase::Ready) {
            return None;
        }
        self.heard = now;
        match frame.kind {
            kind::SERVER_TO_CLIENT => Some(frame.payload),
            kind::PONG => None,
            _ => self.ignore(),
        }
    }

    fn ignore<T>(&mut self) -> Option<T> {
        self.counts.ignored = self.counts.ignored.wrapping_add(1);
        None
    }

    fn stray<T>(&mut self) -> Option<T> {
        self.counts.stray = self.counts.stray.wrapping_add(1);
        None
    }

    fn malformed<T>(&mut self, what: Malformed) -> Option<T> {
        self.counts.malformed = self.counts.malformed.wrapping_add(1);
        self.give_up(Why::Malformed(what));
        None
    }

    fn give_up(&mut self, why: Why) {
        if matches!(self.phase, Phase::Connecting { .. } | Phase::Greeting { .. } | Phase::Ready) {
            self.phase = Phase::Over { why };
        }
    }

    fn accept(&mut self, now: Instant, event: &Event<'_>) -> Verdict {
        match event {
            Event::Closing(c) => self.phase = Phase::Over { why: Why::Told(c.code) },
            Event::Ready(w) if self.phase != Phase::Ready => {
                self.phase = Phase::Ready;
                self.station = StationId::new(w.station);
                self.outbox.set_limit(w.max_frame as usize);
                self.silence = match w.silence_ms {
                    0 => self.options.silence,
                    ms => Duration::from_millis(ms),
                };
                self.steady_from = now + self.backoff.max();
                self.ping_at = now + self.ping_every();
                self.counts.ready = self.counts.ready.wrapping_add(1);
                self.replay();
            }
            Event::Outcome(o) if self.phase != Phase::Ready && o.code != Code::Ok => {
                self.phase = Phase::Over { why: Why::Refused };
                return Verdict::Refused;
            }
            Event::Ready(_) => return Verdict::Ignore,
            _ if self.phase != Phase::Ready => return Verdict::Ignore,
            // One of the answers to a letter with `each`, which the table does not wait for.
            Event::Reply(a) if a.station == 0 && !self.calls.take(a.seq, true) => return Verdict::Stray,
            Event::Value(v) if !self.calls.take(v.seq, false) && v.seq >= FIRST_SEQ => return Verdict::Stray,
            // A call that the node could not even pass on.
            Event::Outcome(o) if self.calls.holds(o.seq, true) => {
                if o.code == Code::Ok {
                    return Verdict::Ignore;
                }
                self.calls.take(o.seq, true);
                return Verdict::Reply;
            }
            Event::Outcome(o) if !self.calls.take(o.seq, false) && o.seq >= FIRST_SEQ => return Verdict::Stray,
            _ => {}
        }
        Verdict::Tell
    }

    /// What time brings. To be called until it returns `None`: when [`Client::deadline`] has
    /// passed, and after [`Client::connected`], [`Client::disconnected`] and
    /// [`Client::goodbye`].
    pub fn tick(&mut self, now: Instant) -> Option<Event<'static>> {
        if self.orphaned {
            if let Some(seq) = self.calls.pop() {
                return Some(Event::Lost { seq, why: LostWhy::Disconnected });
            }
            self.orphaned = false;
        }
        if let Some((why, lost, again_in)) = self.report.take() {
            return Some(Event::Disconnected { why, lost, again_in });
        }
        match self.phase {
            Phase::Waiting { until } if now >= until => {
                self.phase = Phase::Connecting { until: until.max(now) + self.options.connect_timeout };
            }
            Phase::Connecting { until } if now >= until => self.phase = Phase::Over { why: Why::Unreachable },
            Phase::Greeting { until } if now >= until => self.phase = Phase::Over { why: Why::NoWelcome },
            Phase::Leaving { until } if now >= until => {
                self.phase = Phase::Stopped;
                return Some(Event::Disconnected { why: Why::Goodbye, lost: 0, again_in: Duration::ZERO });
            }
            Phase::Ready => {
                if let Some(seq) = self.calls.expire(now) {
                    return Some(Event::Lost { seq, why: LostWhy::TimedOut });
                }
                if self.silence != Duration::ZERO && now >= self.heard + self.silence {
                    self.phase = Phase::Over { why: Why::Silent };
                } else if self.silence != Duration::ZERO && now >= self.ping_at {
                    self.ping_owed = !self.outbox.ping();
                    self.ping_at = now + self.ping_every();
                }
            }
            _ => {}
        }
        None
    }

    /// Called when the phase is Ready: a third of the silence, so that two pings may be late.
    fn ping_every(&self) -> Duration {
        Duration::from_millis((self.silence.millis() / 3).max(1))
    }

    /// When [`Client::tick`] and [`Client::wish`] have something to say at the latest.
    pub fn deadline(&self) -> Option<Instant> {
        if self.report.is_some() || self.orphaned {
            return Some(Instant::ZERO);
        }
        match self.phase {
            Phase::Waiting { until }
            | Phase::Connecting { until }
            | Phase::Greeting { until }
            | Phase::Leaving { until } => Some(until),
            Phase::Ready => {
                let calls = self.calls.deadline();
                if self.silence == Duration::ZERO {
                    return calls;
                }
                let own = self.ping_at.min(self.heard + self.silence);
                Some(calls.map_or(own, |c| c.min(own)))
            }
            Phase::Over { .. } | Phase::Stopped => None,
        }
    }

    /// What the transport should do now.
    pub fn wish(&self, now: Instant) -> Wish {
        match self.phase {
            Phase::Waiting { until } if now < until => Wish::Stay,
            Phase::Waiting { .. } => Wish::Connect,
            Phase::Connecting { until } if now < until => Wish::Connect,
            Phase::Connecting { .. } | Phase::Over { .. } => Wish::Close,
            Phase::Greeting { .. } | Phase::Ready | Phase::Leaving { .. } => Wish::Stay,
            Phase::Stopped => Wish::Stop,
        }
    }

    /// What may be written: any number of whole frames, and the rest of one that was
    /// written in part. Empty: nothing, or no connection to write to.
    pub fn output(&self) -> &[u8] {
        if self.may_write() { self.outbox.output() } else { &[] }
    }

    /// The first frame of [`Client::output`] alone: what goes into one datagram.
    pub fn output_frame(&self) -> &[u8] {
        if self.may_write() { self.outbox.first() } else { &[] }
    }

    fn may_write(&self) -> bool {
        matches!(self.phase, Phase::Greeting { .. } | Phase::Ready | Phase::Leaving { .. })
    }

    /// `n` octets of [`Client::output`] are written.
    pub fn sent(&mut self, n: usize) {
        if n == 0 {
            return;
        }
        self.outbox.sent(n);
        if self.phase == Phase::Ready {
            if self.ping_owed {
                self.ping_owed = !self.outbox.ping();
            }
            self.replay();
        }
    }

    /// As much of the script as there is room for.
    fn replay(&mut self) {
        while let Some(entry) = self.script.entry(self.replayed) {
            // One that the node does not take is left out, so that the others are heard.
            if self.outbox.put_encoded(entry.number, entry.message) == Err(SendError::Full) {
                return;
            }
            self.replayed = entry.next;
        }
    }

    // What the application asks.

    /// Joins a name, now and on every later connection. Its `seq` (1 to [`FIRST_SEQ`] - 1,
    /// or 0: only failures are told) comes back in an [`Event::Outcome`] each time.
    /// Joined again, the newer instance of the same join counts.
    pub fn join(&mut self, join: &Join<'_>) -> Result<(), SendError> {
        check_name(join.name)?;
        self.remember(JOIN, join, join.name, join.instance)
    }

    /// Ends a join. Without a connection it is only taken out of the script.
    pub fn leave(&mut self, leave: &Leave<'_>) -> Result<(), SendError> {
        self.forget(JOIN, leave.name, leave.instance, 3, leave)
    }

    /// Takes a join out of the script without a word to the node: one that it has refused and
    /// that shall not be tried again.
    pub fn forget_join(&mut self, name: &str, instance: &str) {
        if let Some((at, n)) = self.script.find(JOIN, name, instance) {
            self.cut(at, n);
        }
    }

    /// Watches, now and on every later connection; `off` ends all watching.
    pub fn watch(&mut self, watch: &Watch<'_>) -> Result<(), SendError> {
        if watch.off {
            if self.phase == Phase::Ready {
                self.outbox.put(7, watch)?;
            }
            let mut at = 0;
            while let Some(entry) = self.script.entry(at) {
                if entry.number == WATCH {
                    let n = entry.next - at;
                    self.cut(at, n);
                } else {
                    at = entry.next;
                }
            }
            return Ok(());
        }
        if !watch.name.is_empty() {
            check_name(watch.name)?;
        }
        self.remember(WATCH, watch, watch.name, "")
    }

    /// Monitors, now and on every later connection: [`Event::Seen`] follow. `off` ends it. Said
    /// again, the newer one counts.
    #[cfg(feature = "sniff")]
    pub fn monitor(&mut self, monitor: &Monitor<'_>) -> Result<(), SendError> {
        if monitor.off {
            return self.forget(MONITOR, "", "", MONITOR.into(), monitor);
        }
        // as the script knows it: there is one of it
        self.remember(MONITOR, monitor, "", "")
    }

    /// Declares a name for which mail may wait, now and on every later connection (the node
    /// may have been restarted); `forget` takes it back.
    pub fn declare(&mut self, declare: &Declare<'_>) -> Result<(), SendError> {
        if declare.forget {
            return self.forget(DECLARE, declare.name, "", DECLARE.into(), declare);
        }
        check_name(declare.name)?;
        self.remember(DECLARE, declare, declare.name, "")
    }

    fn remember<'m, M: Message<'m>>(
        &mut self,
        number: u8,
        message: &M,
        name: &str,
        instance: &str,
    ) -> Result<(), SendError> {
        let n = message.len();
        self.make_room(number, n, name, instance)?;
        self.script.put(number, message, n);
        if self.phase == Phase::Ready {
            self.replay();
        }
        Ok(())
    }

    /// Makes room in the script for a message of `n` octets. On a connection where the script
    /// is said already, there is room in the outbox too.
    fn make_room(&mut self, number: u8, n: usize, name: &str, instance: &str) -> Result<(), SendError> {
        let old = self.script.find(number, name, instance);
        self.script.check(n, old.map_or(0, |(_, n)| n))?;
        // One that could never be said is not taken.
        let full = self.outbox.room_for(n);
        if full == Err(SendError::TooBig)
            || full.is_err() && self.phase == Phase::Ready && self.replayed == self.script.len()
        {
            return full;
        }
        if let Some((at, n)) = old {
            self.cut(at, n);
        }
        Ok(())
    }

    fn forget<'m, M: Message<'m>>(
        &mut self,
        known_as: u8,
        name: &str,
        instance: &str,
        number: u32,
        message: &M,
    ) -> Result<(), SendError> {
        let known = self.script.find(known_as, name, instance);
        if self.phase == Phase::Ready && known.is_none_or(|(at, _)| at < self.replayed) {
            self.outbox.put(number, message)?;
        }
        if let Some((at, n)) = known {
            self.cut(at, n);
        }
        Ok(())
    }

    /// Takes an entry out of the script.
    fn cut(&mut self, at: usize, n: usize) {
        self.script.remove(at, n);
        if at < self.replayed {
            self.replayed -= n;
        }
    }

    /// Whether messages are taken now.
    fn may_send(&self) -> Result<(), SendError> {
        if self.phase != Phase::Ready || self.report.is_some() || self.orphaned {
            Err(SendError::NotReady)
        } else if self.replayed < self.script.len() {
            // What is said again comes first; the outbox has no room for it yet.
            Err(SendError::Full)
        } else {
            Ok(())
        }
    }

    /// Sends a letter, for which no answer is awaited. With a `seq` of the application's own
    /// (1 to [`FIRST_SEQ`] - 1) an [`Event::Outcome`] tells how many got it.
    pub fn send(&mut self, letter: &Letter<'_>) -> Result<(), SendError> {
        self.may_send()?;
        check_to(letter)?;
        self.outbox.put(4, letter)
    }

    /// Asks, and returns the number of the question: exactly one [`Event::Reply`] or
    /// [`Event::Lost`] with it follows. `seq` and `ask` of the letter are filled in, and
    /// `ttl_ms` if it is 0.
    pub fn call(&mut self, now: Instant, letter: &Letter<'_>) -> Result<u32, SendError> {
        self.may_send()?;
        check_to(letter)?;
        let seq = self.number()?;
        let ttl_ms = if letter.ttl_ms == 0 { self.options.call_timeout.millis() } else { letter.ttl_ms };
        self.outbox.put(4, &Letter { seq, ask: true, ttl_ms, ..*letter })?;
        self.begun(seq, true, now + Duration::from_millis(ttl_ms.saturating_add(GRACE_MS)));
        Ok(seq)
    }

    /// Answers a question.
    pub fn answer(&mut self, answer: &Answer<'_>) -> Result<(), SendError> {
        self.may_send()?;
        self.outbox.put(5, answer)
    }

    /// Asks for an operation on a shared value: one [`Event::Value`] or [`Event::Outcome`]
    /// or [`Event::Lost`] with the number returned follows.
    pub fn store(&mut self, now: Instant, store: &Store<'_>) -> Result<u32, SendError> {
        check_name(store.name)?;
        self.ask(now, 6, |seq| Store { seq, ..*store })
    }

    /// Sets, removes or adds without asking how it ended: only a failure is told, as an
    /// [`Event::Outcome`] with seq 0. Takes no room in the table of calls.
    pub fn store_blindly(&mut self, store: &Store<'_>) -> Result<(), SendError> {
        check_name(store.name)?;
        self.may_send()?;
        self.outbox.put(6, &Store { seq: 0, ..*store })
    }

    /// Asks to be told when all that was changed before, by anybody, is on the node's disk. One
    /// [`Event::Outcome`] or [`Event::Lost`] follows: at once if values are in memory only.
    pub fn flush_values(&mut self, now: Instant) -> Result<u32, SendError> {
        self.ask(now, 6, |seq| Store { seq, op: StoreOp::Flush, ..Store::default() })
    }

    /// Raises or lowers a flag. One [`Event::Outcome`] or [`Event::Lost`] follows.
    pub fn flag(&mut self, now: Instant, flag: &Flag<'_>) -> Result<u32, SendError> {
        self.ask(now, 9, |seq| Flag { seq, ..*flag })
    }

    /// Asks for a page of a list. [`Event::Item`]s and then one [`Event::Outcome`] follow.
    pub fn list(&mut self, now: Instant, list: &List<'_>) -> Result<u32, SendError> {
        self.ask(now, 8, |seq| List { seq, ..*list })
    }

    /// Asks for anything else, once: nothing is remembered for the next connection. Fills in
    /// its `seq`, which comes back in the [`Event::Outcome`]. A letter that asks is a
    /// [`Client::call`]; one that asks `each` is not: behind its Outcome come as many
    /// [`Event::Reply`]s as its `count` says, with that `seq`, and who waits for them keeps
    /// the time and minds the end of the connection. Answers, the hello and nothing are not
    /// requests and are refused with [`SendError::NotReady`].
    pub fn request(&mut self, now: Instant, request: &ClientToServer<'_>) -> Result<u32, SendError> {
        match request {
            ClientToServer::Join(m) => self.ask(now, 2, |seq| Join { seq, ..*m }),
            ClientToServer::Leave(m) => self.ask(now, 3, |seq| Leave { seq, ..*m }),
            ClientToServer::Send(m) if m.ask && !m.each => self.call(now, m),
            ClientToServer::Send(m) => {
                check_to(m)?;
                self.ask(now, 4, |seq| Letter { seq, ..*m })
            }
            ClientToServer::Store(m) => self.store(now, m),
            ClientToServer::Watch(m) => self.ask(now, 7, |seq| Watch { seq, ..*m }),
            ClientToServer::List(m) => self.list(now, m),
            ClientToServer::Flag(m) => self.flag(now, m),
            ClientToServer::Declare(m) => self.ask(now, 10, |seq| Declare { seq, ..*m }),
            #[cfg(feature = "sniff")]
            ClientToServer::Monitor(m) => self.ask(now, MONITOR.into(), |seq| Monitor { seq, ..*m }),
            ClientToServer::Nothing
            | ClientToServer::Hello(_)
            | ClientToServer::Answer(_)
            | ClientToServer::Goodbye(_) => Err(SendError::NotReady),
        }
    }

    fn ask<'m, M: Message<'m>>(
        &mut self,
        now: Instant,
        number: u32,
        with: impl FnOnce(u32) -> M,
    ) -> Result<u32, SendError> {
        self.may_send()?;
        let seq = self.number()?;
        self.outbox.put(number, &with(seq))?;
        let patience = self.options.call_timeout.millis().saturating_add(GRACE_MS);
        self.begun(seq, false, now + Duration::from_millis(patience));
        Ok(seq)
    }

    /// The next number, if there is room for what will have it.
    fn number(&self) -> Result<u32, SendError> {
        if self.calls.has_room() { Ok(self.seq) } else { Err(SendError::TooManyCalls) }
    }

    fn begun(&mut self, seq: u32, ask: bool, deadline: Instant) {
        self.calls.put(seq, ask, deadline);
        self.seq = seq.wrapping_add(1).max(FIRST_SEQ);
    }

    /// Leaves for good: what is in the outbox is still written, no more is taken, nothing
    /// is heard, and after the node has closed (or has taken too long for it) the wish is
    /// [`Wish::Stop`]. May be called at any time, also while an event is looked at. Call
    /// [`Client::tick`] until it returns `None`.
    pub fn goodbye(&mut self, now: Instant) {
        self.orphaned = true;
        if self.phase == Phase::Ready {
            // Without room for it the node sees the connection end, which is as good.
            let _ = self.outbox.put(11, &Goodbye::default());
            self.phase = Phase::Leaving { until: now + self.options.hello_timeout };
        } else if !matches!(self.phase, Phase::Leaving { .. }) {
            self.phase = Phase::Stopped;
        }
    }

    /// Begins again after [`Wish::Stop`] was granted. The script is still there.
    pub fn start(&mut self, now: Instant) {
        if self.phase == Phase::Stopped {
            self.outbox.clear();
            self.station = None;
            self.phase = Phase::Waiting { until: now };
        }
    }

    /// Whether goodbye was said and the connection still stands.
    pub fn is_leaving(&self) -> bool {
        matches!(self.phase, Phase::Leaving { .. })
    }

    /// Whether letters are taken: the hello is answered and the connection stands.
    pub fn is_ready(&self) -> bool {
        self.phase == Phase::Ready
    }

    /// This station's address on the present connection.
    pub fn station(&self) -> Option<StationId> {
        self.station
    }

    /// What was counted.
    pub fn counts(&self) -> Counts {
        self.counts
    }
}

fn check_name(text: &str) -> Result<(), SendError> {
    if name::is_valid(text) { Ok(()) } else { Err(SendError::BadName) }
}

/// A letter goes to a name, unless it goes to a station or to everyone.
fn check_to(letter: &Letter<'_>) -> Result<(), SendError> {
    if letter.station != 0 || letter.everyone { Ok(()) } else { check_name(letter.name) }
}
