//! How one node is set up: numbers that may differ between nodes but not between stations.
//!
//! Owns: [`Settings`] and their defaults. Sizes of tables are not here but in
//! [`Storage`](crate::storage::Storage).

use super::grant::Gate;
use crate::dialect::Dialect;
use crate::time::Duration;

/// How a node behaves. All of it may be changed while it runs, by
/// [`Router::set`](super::Router::set).
#[derive(Clone, Copy)]
pub struct Settings<'s> {
    /// The node's name, for people: 1 to 48 bytes.
    pub node: &'s str,
    /// The software's version, for people.
    pub version: &'s str,
    /// Longest frame taken from a station, header included. At most the length of the
    /// storage's frame buffers less 64.
    pub max_frame: usize,
    /// Longest value taken from and shown to stations of the native dialect. Less counts if the
    /// store keeps less, or with its name it would not fit `max_frame`.
    pub max_value: usize,
    /// Octets that may wait for one station; a quarter more for what it asked for itself. At
    /// least `max_frame` and [`FRAME_MARGIN`](super::FRAME_MARGIN).
    pub outbox: usize,
    /// After how long without a frame a station is closed, if it does not say.
    pub silence: Duration,
    /// Longest silence that a station may ask for.
    pub max_silence: Duration,
    /// How long a connection may take to say hello.
    pub hello_within: Duration,
    /// How long an outbox may refuse messages, or its transport take nothing of it, before the
    /// station is closed.
    pub slow_after: Duration,
    /// How long a frame that has begun may take to be whole.
    pub frame_within: Duration,
    /// How long the last words to a station that is let go of may take.
    pub linger: Duration,
    /// How long an answer may take, if the asker does not say.
    pub ask: Duration,
    /// Longest time that an asker may allow.
    pub max_ask: Duration,
    /// How long mail is kept, if the sender does not say.
    pub keep: Duration,
    /// Longest time that mail may be kept.
    pub max_keep: Duration,
    /// Rows of one page of a list.
    pub page: u32,
    /// Memberships that one station may have; never more than half of all there may be.
    pub joins: u32,
    /// Questions that one station may have open; never more than half of all.
    pub asks: u32,
    /// Watches that one station may have; never more than half of all.
    pub watches: u32,
    /// Flushes of values that one station may wait for; never more than half of all.
    #[cfg(feature = "durable")]
    pub barriers: u32,
    /// How long a flush may take before who waits is told that it takes too long.
    #[cfg(feature = "durable")]
    pub flush: Duration,
    /// Frames that one connection may get wrong before it is closed.
    pub strikes: u8,
    /// What goes wrong on purpose.
    #[cfg(feature = "faults")]
    pub fault: Option<super::faults::Fault>,
    /// Who knows users.
    pub gate: &'s (dyn Gate + 's),
    /// What stations that speak MSGQ need.
    #[cfg(feature = "msgq")]
    pub msgq: crate::dialect::msgq::Settings,
    /// What stations that speak Clacks need.
    #[cfg(feature = "clacks")]
    pub clacks: crate::dialect::clacks::Settings<'s>,
    /// What stations that speak the Communicator's dialect need.
    #[cfg(feature = "communicator")]
    pub communicator: crate::dialect::communicator::Settings<'s>,
}

impl<'s> Settings<'s> {
    /// Defaults for a node with this name and version.
    pub const fn new(node: &'s str, version: &'s str, gate: &'s (dyn Gate + 's)) -> Self {
        Settings {
            node,
            version,
            max_frame: 1024,
            max_value: usize::MAX,
            outbox: 4096,
            silence: Duration::from_secs(10),
            max_silence: Duration::from_secs(3600),
            hello_within: Duration::from_secs(5),
            slow_after: Duration::from_secs(10),
            frame_within: Duration::from_secs(30),
            linger: Duration::from_secs(2),
            ask: Duration::from_secs(10),
            max_ask: Duration::from_secs(600),
            keep: Duration::from_secs(3600),
            max_keep: Duration::from_secs(7 * 86400),
            page: 64,
            joins: 1024,
            asks: 1024,
            watches: 16,
            #[cfg(feature = "durable")]
            barriers: 64,
            #[cfg(feature = "durable")]
            flush: Duration::from_secs(30),
            strikes: 16,
            #[cfg(feature = "faults")]
            fault: None,
            gate,
            #[cfg(feature = "msgq")]
            msgq: crate::dialect::msgq::Settings::DEFAULT,
            #[cfg(feature = "clacks")]
            clacks: crate::dialect::clacks::Settings::DEFAULT,
            #[cfg(feature = "communicator")]
            communicator: crate::dialect::communicator::Settings::DEFAULT,
        }
    }

    /// Longest frame taken in a dialect.
    #[inline]
    pub(super) fn max_frame_in(&self, dialect: Dialect) -> usize {
        match dialect {
            Dialect::Messi => self.max_frame,
            #[cfg(feature = "msgq")]
            Dialect::Msgq => self.msgq.max_frame(),
            #[cfg(feature = "clacks")]
            Dialect::Clacks => self.clacks.max_line,
            #[cfg(feature = "communicator")]
            Dialect::Communicator => self.communicator.max_line,
        }
    }

    /// Octets that a frame buffer must have for a dialect: for the longest frame taken, and what it
    /// gets longer by when it is handed on.
    pub(super) fn framed_in(&self, dialect: Dialect) -> usize {
        #[cfg(feature = "communicator")]
        let longer = if dialect == Dialect::Communicator { crate::dialect::communicator::MAX_SOURCE } else { 0 };
        #[cfg(not(feature = "communicator"))]
        let longer = 0;
        self.max_frame_in(dialect).saturating_add(longer).saturating_add(super::FRAME_MARGIN)
    }

    /// Octets that may wait for a station of a dialect.
    #[inline]
    pub(super) fn outbox_in(&self, dialect: Dialect) -> usize {
        match dialect {
            Dialect::Messi => self.outbox,
            #[cfg(feature = "msgq")]
            Dialect::Msgq => self.msgq.outbox,
            #[cfg(feature = "clacks")]
            Dialect::Clacks => self.clacks.outbox,
            #[cfg(feature = "communicator")]
            Dialect::Communicator => self.communicator.outbox,
        }
    }

    /// How long a connection may take until it is known who it is.
    pub(super) fn hello_in(&self, dialect: Dialect) -> Duration {
        match dialect {
            #[cfg(feature = "clacks")]
            Dialect::Clacks => self.clacks.login_within,
            _ => self.hello_within,
        }
    }

    /// How long last words may take, or are waited for to be read.
    pub(super) fn linger_in(&self, dialect: Dialect) -> Duration {
        match dialect {
            #[cfg(feature = "clacks")]
            Dialect::Clacks => self.clacks.linger,
            _ => self.linger,
        }
    }

    /// How long a transport may take nothing of what waits for a station of a dialect.
    pub(super) fn stalled_in(&self, dialect: Dialect) -> Duration {
        match dialect {
            Dialect::Messi => self.slow_after,
            #[cfg(feature = "msgq")]
            Dialect::Msgq => self.msgq.stalled_after,
            #[cfg(feature = "clacks")]
            Dialect::Clacks => self.clacks.stalled_after,
            #[cfg(feature = "communicator")]
            Dialect::Communicator => self.communicator.stalled_after,
        }
    }

    /// How long an answer may take if the asker does not say.
    pub(super) fn ask_in(&self, dialect: Dialect) -> Duration {
        match dialect {
            Dialect::Messi => self.ask,
            // its clients cannot say, and some mean to wait for ever
            #[cfg(feature = "msgq")]
            Dialect::Msgq => self.max_ask,
            // they ask nothing
            #[cfg(feature = "clacks")]
            Dialect::Clacks => self.ask,
            #[cfg(feature = "communicator")]
            Dialect::Communicator => self.ask,
        }
    }
}

impl core::fmt::Debug for Settings<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Settings").field("node", &self.node).field("version", &self.version).finish_non_exhaustive()
    }
}
