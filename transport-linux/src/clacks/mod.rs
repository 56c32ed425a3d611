//! A client of Clacks servers: of Net::Clacks, and of a Chappe node's `clacks:` listeners.
//!
//! [`Session`] is one connection after the other to one server. Its calls block the calling
//! thread at most for the time they are given; there is no other thread. What it does is what
//! section 15 of `wire/clacks.md` describes, with fewer surprises (all sections named here are
//! of that page):
//!
//! * What is said leaves at once, unless [`Options::buffer`] collects it; then many messages
//!   leave in one write: when so much is together, with [`Session::push`], and with each call
//!   that waits.
//! * A question is answered by the line with its very key, whatever else comes in between. One
//!   that the server denies ends with [`Error::Denied`] and not after 30 s of silence.
//! * When the connection ends it comes back by itself, with a growing pause. Names are
//!   listened to again; what had not left is kept and said then; of what had left, and no
//!   answer proves, [`Event::Disconnected`] says how many lines it is.
//! * What came before the end of a connection is handed out before the end is told, so a wrong
//!   password is an error with the server's words and not an endless reconnecting.
//! * CR and LF in names and values are refused. [`Session::cache`] writes values as the cache
//!   front end of the original does.
//! * Everything has a limit: see [`Options`].
//!
//! A session lives only while the program is in one of its calls: it says the signs of life
//! that a server wants (every 60 s; the usual server waits 180 s for one) while it is in one,
//! and a server cuts off who does not read. Call [`Session::receive`], with a timeout of zero if
//! need be, more often than that; or do without signs of life, [`Options::ping`].
//!
//! Two things differ from the original on purpose and can be seen from outside: an empty line
//! before the server's first is no reason to leave, and `F`, `E` and `O` that another client
//! has forwarded (weak point 2 of section 18) mean nothing.
//!
//! | file | owns |
//! |---|---|
//! | `session.rs` | what a program says |
//! | `ask.rs` | calls that wait for an answer |
//! | `turn.rs` | connecting, reading, writing, what is due |
//! | `heard.rs` | what lines from the server mean, and whose answer they are |
//! | `say.rs` | lines to the server, checked |
//! | `input.rs` | where lines end, and what of them is to be understood |
//! | `cache.rs` | values and keys of the cache front end |
//! | `sent.rs` | values that were last sent |
//! | `event.rs`, `error.rs` | what a program is told |
//!
//! ```no_run
//! use chappe_linux::clacks::{Event, Options, Session};
//! use std::time::Duration;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let options = Options {
//!     name: "thermostat".into(),
//!     user: "exampleuser".into(),
//!     password: std::fs::read_to_string("/etc/thermostat/password")?.trim_end().into(),
//!     ..Options::default()
//! };
//! let mut bus = Session::connect("clacks:///run/chappe/clacks.sock".parse()?, options)?;
//!
//! // Values.
//! bus.store("thermostat::setpoint", "21.5")?;
//! bus.increment("thermostat::starts", 1)?;
//! if let Some(value) = bus.retrieve("heating::state")? {
//!     println!("{}", String::from_utf8_lossy(&value));
//! }
//!
//! // Signals.
//! bus.listen("sensor::attic")?;
//! bus.flush()?; // everything above was permitted
//! loop {
//!     match bus.receive(Some(Duration::from_secs(60)))? {
//!         Some(Event::Set { name, value }) => {
//!             println!("{} = {}", String::from_utf8_lossy(&name), String::from_utf8_lossy(&value));
//!             bus.notify("thermostat::heard")?;
//!         }
//!         Some(Event::Disconnected { why, unsure, .. }) => eprintln!("{why}; {unsure} lines may be lost"),
//!         Some(_) => {}
//!         None => println!("nothing for a minute"),
//!     }
//! }
//! # }
//! ```
//!
//! Over TLS (`clackss://HOST`, port 49888) the server's certificate is looked at, as at Chappe's
//! own `tls://` addresses. Servers of Net::Clacks have self-signed ones: give theirs, or believe
//! anybody.
//!
//! ```no_run
//! use chappe_linux::clacks::Options;
//! use chappe_linux::client::{Files, Trust};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let given = Files { ca: Some("/etc/clacks/server.pem".into()), ..Files::default() };
//! let options = Options { trust: Trust::read(&given)?, ..Options::default() };
//! // Whoever stands between reads everything, the password first.
//! let anybody = Options { trust: Trust::read(&Files { insecure: true, ..Files::default() })?, ..options };
//! # Ok(())
//! # }
//! ```

mod ask;
pub mod cache;
mod error;
mod event;
mod heard;
mod input;
mod say;
mod sent;
mod session;
mod turn;

use std::fmt;
use std::time::Duration;

use chappe_core::dialect::clacks::MAX_LINE;

pub use error::{Error, Unsayable};
pub use event::{Client, Event, Missed, Told, Why};
pub use session::{Session, Step};

use crate::tls::Trust;

/// Who a session is, its patience and its sizes.
#[derive(Clone)]
pub struct Options {
    /// What to call this client in lists.
    pub name: String,
    /// Who it is. Servers take nobody without.
    pub user: String,
    /// The user's password, as octets: in UTF-8 if it is text.
    pub password: Vec<u8>,
    /// Which servers to believe at `clackss://` addresses.
    pub trust: Trust,
    /// How long an answer may take, and how long [`Session::push`] waits.
    pub timeout: Duration,
    /// How long connecting may take, with TLS and the server's first line.
    pub connecting: Duration,
    /// Keep trying until `connecting` is over if the first attempt fails.
    pub patient: bool,
    /// How often to give a sign of life. `None`: never, and the server is told so.
    pub ping: Option<Duration>,
    /// After how long without any line the server counts as gone. It says one about every minute;
    /// after half of this time it is asked for one.
    pub silence: Option<Duration>,
    /// After how long the server counts as gone that takes nothing of what is said.
    pub stalled: Duration,
    /// The first pause before connecting again.
    pub backoff_min: Duration,
    /// The longest pause; it doubles each time, and a random quarter is added.
    pub backoff_max: Duration,
    /// Do not send a value that is the last one sent for its name. Only [`Session::set`] looks at
    /// it, and with a new connection all is sent again. 16 MiB are remembered at the most.
    pub caching: bool,
    /// Octets that are collected before they leave by themselves. 0: each line leaves at once.
    pub buffer: usize,
    /// Octets that may wait to be taken by the server; beyond that calls wait, and fail with
    /// [`Error::Full`] after `timeout`, or at once while there is no connection.
    pub outbox: usize,
    /// Longest line said or taken, in octets. A server that sends a longer one is left.
    pub max_line: usize,
    /// Events that may wait for [`Session::receive`]. While there are as many nothing is read,
    /// unless an answer is waited for: then more are dropped and counted.
    pub queue: usize,
    /// The same in octets; also those of a list of keys or clients, which is
    /// [`Error::TooMuch`] beyond it.
    pub queue_bytes: usize,
}

impl Options {
    /// With spans that can be added to any point in time, and pauses that are some.
    fn sane(mut self) -> Self {
        const LONGEST: Duration = Duration::from_secs(10 * 365 * 86_400);
        const SHORTEST: Duration = Duration::from_millis(1);
        for span in [&mut self.timeout, &mut self.connecting, &mut self.stalled] {
            *span = (*span).min(LONGEST);
        }
        for span in [&mut self.ping, &mut self.silence].into_iter().flatten() {
            *span = (*span).clamp(SHORTEST, LONGEST);
        }
        self.backoff_min = self.backoff_min.clamp(SHORTEST, LONGEST);
        self.backoff_max = self.backoff_max.clamp(self.backoff_min, LONGEST);
        self
    }
}

/// Without the password.
impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options").field("name", &self.name).field("user", &self.user).finish_non_exhaustive()
    }
}

impl Default for Options {
    fn default() -> Self {
        Options {
            name: "chappe".into(),
            user: String::new(),
            password: Vec::new(),
            trust: Trust::default(),
            timeout: Duration::from_secs(30),
            connecting: Duration::from_secs(15),
            patient: false,
            ping: Some(Duration::from_secs(60)),
            silence: Some(Duration::from_secs(150)),
            stalled: Duration::from_secs(30),
            backoff_min: Duration::from_millis(250),
            backoff_max: Duration::from_secs(8),
            caching: false,
            buffer: 0,
            outbox: 32 << 20,
            max_line: MAX_LINE,
            queue: 10_000,
            queue_bytes: 64 << 20,
        }
    }
}
