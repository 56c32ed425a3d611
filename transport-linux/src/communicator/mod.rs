//! A service of a Communicator daemon: of the Snap! Communicator's, and of a Chappe node's `cd:`
//! listeners. All sections named here are of `wire/communicator.md`.
//!
//! [`Session`] is one connection after the other to one daemon. Its calls block the calling thread
//! at most for the time they are given (and for as long as the system's resolver takes, if the
//! host is a name); there is no other thread. It does what section 8 describes, with fewer surprises:
//!
//! * It registers *first*; what waited leaves when the daemon has said `READY` (weak point W26).
//! * A daemon that does not take the name or password is an error with the daemon's words, and one
//!   that says nothing is too.
//! * `HELP`, `ALIVE`, `STOP`, `QUITTING` and `DISCONNECTING` are dealt with, and unknown commands
//!   answered, as [`Answers`] says.
//! * When the connection ends it comes back by itself, after [`Pauses`]. What had not left is kept and
//!   said then.
//! * [`Session::flush`] tells that the daemon has read all that was sent; [`Session::initialise`] waits
//!   for clock and cluster.
//! * Names and commands that would end a genuine daemon (W3) are not sent.
//! * Without TLS only hosts of private networks are spoken to (section 5.2).
//! * Everything has a limit: see [`Options`].
//!
//! A session lives only while the program is in one of its calls. Call [`Session::receive`], with a
//! timeout of zero if need be, every now and then; a [`Waker`] ends a call from another thread.
//!
//! | file | owns |
//! |---|---|
//! | `uri.rs` | where a daemon is |
//! | `message.rs` | messages, and what cannot be said |
//! | `session.rs` | what a program says |
//! | `initialise.rs` | what a service waits for at its start |
//! | `turn.rs` | connecting, reading, writing, what is due |
//! | `heard.rs` | what messages from the daemon mean; events that wait |
//! | `pauses.rs` | when to connect again |
//! | `lines.rs` | a stream cut into lines, for programs |
//! | `datagrams.rs` | `cdu:`, and `LOG_ROTATE` listeners |
//! | `event.rs`, `error.rs` | what a program is told |
//!
//! ```no_run
//! use chappe_linux::communicator::{Event, Message, Needs, Options, Session};
//! use std::time::Duration;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let options = Options {
//!     name: "thermostat".into(),
//!     commands: vec!["SETPOINT".into(), "LOG_ROTATE".into()],
//!     ..Options::default()
//! };
//! let mut bus = Session::connect("cd://auto".parse()?, options)?;
//! bus.initialise(Needs::default(), Duration::from_secs(60))?;
//!
//! bus.send(&Message::new("READ").to("sensor").with("unit", "C").report_failure())?;
//! loop {
//!     match bus.receive(Some(Duration::from_secs(60)))? {
//!         Some(Event::Message(m)) => match m.command.as_str() {
//!             "SETPOINT" => bus.answer(&m, Message::new("DONE").with("was", "21.5"))?,
//!             "TRANSMISSION_REPORT" => eprintln!("{}", m.text("status").unwrap_or_default()),
//!             _ => {}
//!         },
//!         Some(Event::Disconnected { why, again_in }) => eprintln!("{why}; again in {again_in:?}"),
//!         Some(Event::Stop | Event::Quitting) => break,
//!         Some(_) => {}
//!         None => println!("nothing for a minute"),
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! A datagram, as `ed-signal` sends it:
//!
//! ```no_run
//! use chappe_linux::communicator::{Datagrams, Message};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! Datagrams::open("cdu://127.0.0.1:4041".parse()?, "secret")?.send(&Message::new("LOG_ROTATE").to("."))?;
//! # Ok(())
//! # }
//! ```

mod datagrams;
mod error;
mod event;
mod heard;
mod initialise;
mod lines;
mod message;
mod pauses;
mod session;
mod turn;
mod uri;

use std::fmt;
use std::time::Duration;

use chappe_core::dialect::communicator::MAX_LINE;

pub use datagrams::{Came, Datagrams, Signals};
pub use error::Error;
pub use event::{Event, Missed, Why};
pub use initialise::{Conditions, Needs};
pub use lines::Lines;
pub use message::{BadMessage, Caching, Message, Unsayable};
pub use pauses::{BadPauses, Pauses};
pub use session::{Session, Waker};
pub use uri::Uri;

use crate::tls::Trust;

/// What a session answers by itself (section 8.2).
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub enum Answers {
    /// `HELP` with `COMMANDS`, `ALIVE` with `ABSOLUTELY`; obeys `STOP`, `QUITTING` and
    /// `DISCONNECTING`. What is neither standard, nor announced, nor said by daemons to who wants to
    /// know, nor itself such an answer, is answered with `UNKNOWN`.
    #[default]
    All,
    /// The same, but everything that is unknown is handed out.
    Standard,
    /// Nothing: all messages are handed out, and none is obeyed. For programs that talk to each
    /// other without a daemon.
    Nothing,
}

/// Who a session is, its patience and its sizes.
#[derive(Clone)]
pub struct Options {
    /// The service to register as. Empty: the user of the [`Uri`]; if that is empty too, nobody, as
    /// programs that only send.
    pub name: String,
    /// Its password, which daemons of the original do not look at. Empty: that of the [`Uri`].
    /// Without TLS everybody on the way reads it.
    pub password: Vec<u8>,
    /// The commands that this service understands beside the standard ones; capitals.
    pub commands: Vec<String>,
    /// What is answered without the program.
    pub answers: Answers,
    /// Which daemons to believe at `cds://` addresses.
    pub trust: Trust,
    /// How long [`Session::flush`] and [`Session::push`] wait, and a send for room.
    pub timeout: Duration,
    /// How long connecting may take, with TLS and the daemon's `READY`.
    pub connecting: Duration,
    /// Keep trying until `connecting` is over if the first attempt fails.
    pub patient: bool,
    /// When to connect again.
    pub pauses: Pauses,
    /// Connect again also when the daemon has said `QUITTING`, instead of ending the session.
    pub outlive: bool,
    /// After how long without any line the daemon counts as gone. After half of this time it is
    /// asked whether it is there. Not with [`Answers::Nothing`].
    pub silence: Option<Duration>,
    /// After how long the daemon counts as gone that takes nothing of what is said.
    pub stalled: Duration,
    /// Octets that may wait to be taken by the daemon, or for a connection; beyond that calls wait, and
    /// fail with [`Error::Full`] after `timeout`, or at once while there is no connection.
    pub outbox: usize,
    /// Longest line said or taken, in octets. A daemon that sends a longer one is left.
    pub max_line: usize,
    /// Events that may wait for [`Session::receive`]. While there are as many nothing is read,
    /// unless an answer is waited for: then more are dropped and counted.
    pub queue: usize,
    /// The same in octets.
    pub queue_bytes: usize,
}

impl Options {
    /// With spans that can be added to any point in time.
    fn sane(mut self) -> Self {
        const LONGEST: Duration = Duration::from_secs(10 * 365 * 86_400);
        const SHORTEST: Duration = Duration::from_millis(1);
        for span in [&mut self.timeout, &mut self.connecting, &mut self.stalled] {
            *span = (*span).min(LONGEST);
        }
        if let Some(span) = &mut self.silence {
            *span = (*span).clamp(SHORTEST, LONGEST);
        }
        self
    }
}

/// Without the password.
impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options").field("name", &self.name).field("commands", &self.commands).finish_non_exhaustive()
    }
}

impl Default for Options {
    fn default() -> Self {
        Options {
            name: String::new(),
            password: Vec::new(),
            commands: Vec::new(),
            answers: Answers::All,
            trust: Trust::default(),
            timeout: Duration::from_secs(30),
            connecting: Duration::from_secs(15),
            patient: false,
            pauses: Pauses::default(),
            outlive: false,
            silence: Some(Duration::from_secs(300)),
            stalled: Duration::from_secs(30),
            outbox: 32 << 20,
            max_line: MAX_LINE,
            queue: 10_000,
            queue_bytes: 64 << 20,
        }
    }
}
