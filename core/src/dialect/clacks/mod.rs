//! The dialect of Net::Clacks (`wire/clacks.md`): lines of a word and its parts, on any octets
//! but CR and LF.
//!
//! | file | owns |
//! |---|---|
//! | `frame.rs` | where a line ends, and which octets of it mean nothing |
//! | `repr.rs` | every line in both directions, who may send it, what crosses a link |
//! | `session.rs` | one connection: its stream cut into lines |
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
pub(crate) mod session;
pub mod time;
pub mod token;
pub mod translate;
#[cfg(test)]
mod vectors;

use crate::time::Duration;
use core::fmt;

/// How the node treats stations of this dialect. Times are those of sections 4.3, 10, 12.5 and
/// 13, under the names that the original's configuration has for them.
#[derive(Clone, Copy)]
pub struct Settings<'s> {
    /// Longest line taken, in octets with its end. At most the length of the storage's frame
    /// buffers less 64.
    pub max_line: usize,
    /// Longest value taken. Less counts if the store keeps less, or if it would not fit a line
    /// with its name and its times.
    pub max_value: usize,
    /// Octets that may wait for one station before it is closed as slow. At least twice
    /// `max_line`, because none of its messages is dropped.
    pub outbox: usize,
    /// `authtimeout`.
    pub login_within: Duration,
    /// `pingtimeout`. Not below 120 s for clients that use the original's library.
    pub ping_within: Duration,
    /// `interclackspingtimeout`. A third of it goes by between two of our own.
    pub link_ping_within: Duration,
    /// `stalledwritetimeout`.
    pub stalled_after: Duration,
    /// `interclacksstalledwritetimeout`.
    pub link_stalled_after: Duration,
    /// How long a connection is kept after its last line, for its client to read it.
    pub linger: Duration,
    /// `stalecachetime`. Zero: values are kept until they are removed.
    pub stale_after: Duration,
    /// `cachecleaninterval`.
    pub clean_every: Duration,
    /// Who this node says it is to its master and its slaves.
    pub link_user: &'s str,
    /// What it proves that with. Empty: it has no links.
    pub link_password: &'s [u8],
    /// A number that no other server has, as good as random, by which a link that leads back to
    /// this node is known. 0: none, and such a link is not noticed.
    pub link_id: u64,
    /// Whether `OVERHEAD S` ends the node, if said by who may manage.
    pub shutdown: bool,
}

impl Settings<'_> {
    /// Short lines, for tests and hubs. A daemon says more.
    pub const DEFAULT: Settings<'static> = Settings {
        max_line: 1024,
        max_value: usize::MAX,
        outbox: 256 * 1024,
        login_within: LOGIN_WITHIN,
        ping_within: PING_WITHIN,
        link_ping_within: LINK_PING_WITHIN,
        stalled_after: STALLED_AFTER,
        link_stalled_after: LINK_STALLED_AFTER,
        linger: LINGER,
        stale_after: Duration::ZERO,
        clean_every: CLEAN_EVERY,
        link_user: "",
        link_password: &[],
        link_id: 0,
        shutdown: false,
    };
}

/// The password is nobody's business.
impl fmt::Debug for Settings<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("max_line", &self.max_line)
            .field("outbox", &self.outbox)
            .field("link_user", &self.link_user)
            .finish_non_exhaustive()
    }
}

/// What the other end of a connection is to this node.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Role {
    /// Somebody who has connected to us: a client, or a server that may become our slave.
    #[default]
    Client,
    /// The server that we have connected to, as its slave (section 12.2).
    Master,
}

/// Octets of a line beside a value, at most: `KEYSYNC`, two times and the name.
pub const BESIDE_VALUE: usize = 256;

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
