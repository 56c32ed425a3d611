//! The client library for Linux programs.
//!
//! [`Connection`] is one station: it connects, says hello, joins again after each reconnect,
//! pings, and waits with deadlines. Its calls block the calling thread at most for the time
//! they are given; there is no other thread. [`Link`] is the same without the waiting, for
//! programs with an event loop of their own (on mio).
//!
//! A connection lives only while the program is in one of its calls: who is busy elsewhere
//! for longer than `welcome().silence` is taken for gone by the node, and finds itself
//! connecting again at the next call. Call [`Connection::next_event`], with a timeout of zero
//! if need be, at least three times in that span.
//!
//! Owns: sockets and waiting. Does not own the protocol, nor when to connect again: that is
//! `chappe_core::client`, the same code that runs on a microcontroller.
//!
//! ```no_run
//! use chappe_linux::client::{Connection, Event, Letter, Options};
//! use std::time::Duration;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let options = Options { name: "thermostat".into(), ..Options::default() };
//! let mut bus = Connection::connect("tcp://127.0.0.1:7840".parse()?, options)?;
//!
//! // Values and questions.
//! bus.set("setpoint", b"21.5")?;
//! let answer = bus.call(&Letter { name: "sensor::b1", verb: "IDENTIFY", ..Letter::default() })?;
//! println!("{}", String::from_utf8_lossy(&answer.body));
//!
//! // Everything that sensors say; and answer who asks.
//! bus.join("sensor::*")?;
//! bus.join_exclusively("thermostat")?;
//! loop {
//!     match bus.next_event(Some(Duration::from_secs(60)))? {
//!         Some(Event::Message(m)) if m.ask_id != 0 => bus.reply(&m, b"21.5")?,
//!         Some(Event::Message(m)) => println!("{} {}", m.name, String::from_utf8_lossy(&m.body)),
//!         Some(Event::Disconnected { why, again_in, .. }) => eprintln!("{}; again in {again_in:?}", why.text()),
//!         Some(_) => {}
//!         None => println!("nothing for a minute"),
//!     }
//! }
//! # }
//! ```

mod connection;
mod error;
mod link;
mod memory;
mod owned;
mod secure;
mod seen;
pub(crate) mod socket;

use std::time::Duration;

pub use crate::tls::{BadFile, Files, Problem, ProblemKind, Trust};
pub use chappe_core::client::{Client, Counts, LostWhy, SendError, Why};
pub use chappe_core::dialect::messi::repr::{
    Answer as AnswerToSend, Change, Code, Encoding, Flag, Join, Letter, Monitor, Params, Sight, Store, StoreOp, Watch,
    What,
};
pub use connection::{Connection, Missed};
pub use error::Error;
pub use link::Link;
pub use owned::{Answer, Event, FlagChange, Item, Message, Outcome, ParamList, Presence, Value, Welcome};
pub use seen::Seen;

/// Who a station is, its patience and its sizes.
#[derive(Clone)]
pub struct Options {
    /// What to call this station in lists; at most 48 bytes.
    pub name: String,
    /// Empty: anonymous.
    pub user: String,
    /// The user's secret: a token or a password.
    pub token: Vec<u8>,
    /// Which nodes to believe at `tls://` addresses, and what to show them.
    pub trust: Trust,
    /// Name and version of the program, for people.
    pub software: String,
    /// How long connecting may take, how long a call waits that does not say so itself, and
    /// how long any request may take.
    pub timeout: Duration,
    /// After how long without any frame the peer counts as gone. Zero: the node's default.
    pub silence: Duration,
    /// The first pause before connecting again.
    pub backoff_min: Duration,
    /// The longest pause; it doubles each time.
    pub backoff_max: Duration,
    /// Keep trying until `timeout` if the first attempt to connect fails.
    pub patient: bool,
    /// Longest frame taken, in bytes.
    pub max_frame: usize,
    /// Bytes that may wait to be written.
    pub outbox: usize,
    /// Bytes for what is joined and watched: 8 each, and the names.
    pub script: usize,
    /// Calls and requests that may be under way at once.
    pub calls: usize,
    /// Events that may wait for [`Connection::next_event`] while something else is waited
    /// for; what comes then is dropped and counted, and who asked is told.
    pub queue: usize,
    /// Of the random part of pauses; `None`: a different one each time.
    pub seed: Option<u64>,
}

impl std::fmt::Debug for Options {
    /// Everything but the secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Options { name, user, token: _, trust, software, timeout, silence, backoff_min, backoff_max, .. } = self;
        let Options { patient, max_frame, outbox, script, calls, queue, seed, .. } = self;
        let mut shown = f.debug_struct("Options");
        shown.field("name", name).field("user", user).field("token", &"(hidden)").field("trust", trust);
        shown.field("software", software).field("timeout", timeout).field("silence", silence);
        shown.field("backoff_min", backoff_min).field("backoff_max", backoff_max).field("patient", patient);
        shown.field("max_frame", max_frame).field("outbox", outbox).field("script", script);
        shown.field("calls", calls).field("queue", queue).field("seed", seed).finish()
    }
}

impl Default for Options {
    fn default() -> Self {
        Options {
            name: String::new(),
            user: String::new(),
            token: Vec::new(),
            trust: Trust::default(),
            software: String::new(),
            timeout: Duration::from_secs(5),
            silence: Duration::ZERO,
            backoff_min: Duration::from_millis(250),
            backoff_max: Duration::from_secs(8),
            patient: false,
            max_frame: 4 << 20,
            outbox: 4 << 20,
            script: 64 << 10,
            calls: 1024,
            queue: 10_000,
            seed: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_that_are_shown_keep_their_secret() {
        let options = Options { user: "anna".into(), token: b"open sesame".to_vec(), ..Options::default() };
        let shown = format!("{options:?}");
        assert!(shown.contains("anna") && shown.contains("(hidden)"), "{shown}");
        assert!(!shown.contains("sesame") && !shown.contains("111, 112, 101, 110"), "{shown}");
    }
}
