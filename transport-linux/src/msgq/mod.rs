//! A client of MSGQ, the message bus of BIND 10: of a Chappe node's `msgq://` socket, and of
//! the original daemon as well.
//!
//! [`Session`] is one connection with a name of its own. Its calls block the calling thread
//! at most for the time they are given; there is no other thread. When the connection ends
//! the session is over: nothing is kept for it, so a new one begins anew (section 10 of
//! `wire/msgq.md`; all sections named here are of that page).
//!
//! A session reads only while the program is in one of its calls, and a node cuts off who
//! does not read: call [`Session::receive`], with a timeout of zero if need be, as long as
//! anything is subscribed. What comes while something else is waited for is kept, up to
//! [`Options::queue`].
//!
//! | file | owns |
//! |---|---|
//! | `session.rs` | the socket, waiting, who waits for which number |
//! | `frame.rs` | where a frame ends |
//! | `header.rs` | headers, and messages as a program sees them |
//! | `json.rs` | JSON as the libraries of BIND 10 write and read it |
//! | `body.rs` | commands and results |
//! | `presence.rs` | who comes and goes |
//! | `translate.rs` | bodies as Chappe's own stations see them |
//! | `error.rs` | what can go wrong |
//!
//! ```no_run
//! use chappe_linux::msgq::{ANY, Options, Session, body};
//! use serde_json::json;
//! use std::time::Duration;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let second = Duration::from_secs(1);
//! let mut bus = Session::connect(Options::default())?;
//!
//! // Ask a module.
//! let zones = bus.call("Auth", ANY, ANY, "loadzone", &json!({"origin": "example.org"}), second)?;
//! println!("{zones}");
//!
//! // Be a module.
//! bus.subscribe("Greeter", ANY)?;
//! loop {
//!     let Some(message) = bus.receive(Some(60 * second))? else { continue };
//!     if message.group != "Greeter" || message.is_reply() {
//!         continue;
//!     }
//!     let answer = match message.command() {
//!         Some((name, _)) if name == "greet" => body::result(&json!("hello")),
//!         Some((name, _)) => body::failure(2, &format!("unknown command: {name}")),
//!         None => continue,
//!     };
//!     bus.reply(&message, &answer)?;
//! }
//! # }
//! ```

pub mod body;
mod error;
mod frame;
mod header;
pub mod json;
mod presence;
mod session;
pub mod translate;

use std::path::PathBuf;
use std::time::Duration;

pub use error::{CallError, Error};
pub use header::{ANY, Message};
pub use presence::{NOTICES, Presence};
pub use session::{Each, Missed, Session};

/// A session's patience and sizes.
#[derive(Debug, Clone)]
pub struct Options {
    /// How long connecting may take, and how long the node may take nothing of what is sent.
    pub timeout: Duration,
    /// Longest body taken, in bytes; the node closes nothing for it, the session does.
    pub max_body: usize,
    /// Messages that may wait for [`Session::receive`] while something else is waited for;
    /// what comes then is dropped and counted, and who wanted an answer gets a failure.
    pub queue: usize,
    /// The same in bytes.
    pub queue_bytes: usize,
}

impl Default for Options {
    fn default() -> Self {
        Options { timeout: Duration::from_secs(4), max_body: 64 << 20, queue: 10_000, queue_bytes: 64 << 20 }
    }
}

/// Where a node listens if nobody says where: the path in the variable
/// `BIND10_MSGQ_SOCKET_FILE` if that is set, else the first socket there is among
/// `/usr/local/var/bind10/msgq_socket` and the places of Chappe's `msgq://auto`; if there is
/// none, the first of them.
pub fn usual_path() -> PathBuf {
    use std::os::unix::fs::FileTypeExt;
    let places = crate::config::usual_msgq_sockets();
    let is_socket = |path: &&PathBuf| std::fs::metadata(path).is_ok_and(|m| m.file_type().is_socket());
    places.iter().find(is_socket).or(places.first()).cloned().unwrap_or_default()
}
