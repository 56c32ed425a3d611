//! The dialect of Net::Clacks (`wire/clacks.md`): lines of a word and its parts, on any octets
//! but CR and LF.
//!
//! | file | owns |
//! |---|---|
//! | `frame.rs` | where a line ends, and which octets of it mean nothing |
//! | `repr.rs` | every line in both directions, who may send it, what crosses a link |
//! | `parse.rs` | a line to what it says |
//! | `emit.rs` | what is said, to a line |
//! | `overhead.rs` | flags, what they want done, what may be forwarded |
//! | `token.rs` | user and password in a line; Base64 |
//! | `number.rs` | counting as Perl does |
//! | `time.rs` | points in time, and clocks that differ |
//! | `name.rs` | names here, which are any octets, and names of the bus |
//! | `translate.rs` | signals, values and verbs of this dialect, letters and answers of the model |
//!
//! Not supported, on purpose:
//!
//! * Names and keys of more than 128 octets on the bus, and lines without limit: everything
//!   here has one.
//! * Versions before 10 (UDP, no users, TLS on Unix sockets), and links with versions before
//!   22, whose `KEYSYNC` has no access time: it is an unknown command, as in the original.
//! * Overheads that receivers would obey are not forwarded (weak point 2), nor are denied
//!   commands (1) and tokens shown (4).
//! * Structures behind `PAGECAMELCLACKSYAMLB64:` are text like any other; only plain Base64
//!   is read for other dialects.
//! * A key with a `=` (weak point 23) can be counted, removed and asked for, but not be sent
//!   over a link: it would be taken for another.
//! * Where Perl's sums depend on where a number came from, and not on what it is: see
//!   `number.rs`.

pub mod emit;
pub mod frame;
pub mod name;
pub mod number;
pub mod overhead;
pub mod parse;
pub mod repr;
pub mod time;
pub mod token;
pub mod translate;
#[cfg(test)]
mod vectors;

use crate::time::Duration;

/// The usual TCP port, with TLS always (section 2).
pub const PORT: u16 = 49888;

/// What a server calls itself, behind `CLACKS `: free, but this is what clients have always
/// seen, with the version that it behaves like.
pub const GREETING: &str = "PageCamel 36";

/// Behind [`GREETING`] once a connection is a link, on the side of the master (section 12.2).
pub const AS_MASTER: &str = " in interclacks master mode";

/// The same of the slave.
pub const AS_SLAVE: &str = " in interclacks client mode";

/// What a client is called that does not say (section 4.1).
pub const UNNAMED: &str = "UNKNOWN";

/// Longest line, in octets with its end. The original has no limit; structures are sent as
/// one line of Base64, so it has to be large (section 3).
pub const MAX_LINE: usize = 16 * 1024 * 1024;

/// Longest line of somebody who is not logged in: a token, and room to spare.
pub const MAX_LINE_BEFORE_LOGIN: usize = 4096;

/// How long a connection may take to log in (section 4.3).
pub const LOGIN_WITHIN: Duration = Duration::from_secs(15);

/// How long a client may go without a `PING` (section 10). The library never sends one more
/// often than every 120 s.
pub const PING_WITHIN: Duration = Duration::from_secs(180);

/// How long a link may go without a `PING` or `KEYSYNC`. Each end sends one every third of it.
pub const LINK_PING_WITHIN: Duration = Duration::from_secs(60);

/// After how long without any other line a client is sent `NOP`.
pub const NOP_AFTER: Duration = Duration::from_secs(60);

/// How long a client may take nothing of what waits for it.
pub const STALLED_AFTER: Duration = Duration::from_secs(60);

/// The same for a link.
pub const LINK_STALLED_AFTER: Duration = Duration::from_secs(120);

/// How long a connection is kept, and what comes of it discarded, after its last line: the
/// library throws away what it reads together with the end of the stream (section 4.3).
pub const LINGER: Duration = Duration::from_secs(1);

/// From one attempt to reach a master to the next; up to [`RECONNECT_JITTER`] more (section
/// 12.5).
pub const RECONNECT_AFTER: Duration = Duration::from_secs(30);

/// So that not all slaves come back at once.
pub const RECONNECT_JITTER: Duration = Duration::from_secs(9);

/// How long a deletion mark is kept (section 13).
pub const DELETED_FOR: Duration = Duration::from_secs(3600);

/// How long a value is kept that nobody stores, counts or asks for.
pub const STALE_AFTER: Duration = Duration::from_secs(86_400);

/// How often both are looked for.
pub const CLEAN_EVERY: Duration = Duration::from_secs(60);
