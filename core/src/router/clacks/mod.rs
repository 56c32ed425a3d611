//! What the node does about lines of Clacks (`wire/clacks.md`).
//!
//! Owns: which right each line needs, what is answered, and what this dialect has that no other
//! has: barriers that hold a client's input back, monitors, lists in one piece, links. Signals,
//! values and memberships are the bus's: here is only the way to them. Does not own what lines
//! look like (`dialect/clacks`).
//!
//! | file | owns |
//! |---|---|
//! | `login.rs` | from the connection to the rights of a user (section 4) |
//! | `life.rs` | signs of life, `NOP`, the time to read last words, pauses (sections 10 and 4.4) |
//! | `signals.rs` | `NOTIFY`, `SET`, `LISTEN`, `UNLISTEN` (section 8.1) |
//! | `values.rs` | values, counting, `FLUSH` (sections 8.2, 8.3, 8.7), what is forgotten (13) |
//! | `lists.rs` | `KEYLIST`, and a whole store for a link (sections 8.4 and 12.2) |
//! | `clients.rs` | `CLIENTLIST`, `CLIENTDISCONNECT` (section 8.5) |
//! | `monitor.rs` | who sees what others say (section 8.6) |
//! | `sights.rs` | what stations that monitor in other dialects are shown |
//! | `overhead.rs` | flags (section 9) |
//! | `links.rs` | linked servers (section 12) |

mod clients;
mod life;
#[cfg(test)]
mod link_tests;
pub(super) mod links;
mod lists;
mod login;
mod monitor;
mod overhead;
#[cfg(feature = "sniff")]
mod sights;
mod signals;
mod values;

use super::stations::Life;
use super::store::{Cursor, Stamp};
use super::{Counter, Rights, Router};
use crate::dialect::clacks::repr::{Command, Line, Need};
use crate::dialect::clacks::time::Time;
use crate::dialect::clacks::{emit, name};
use crate::id::StationId;
use crate::limits::MAX_NAME;
use crate::model::Code;
use crate::router::policy::Class;
use crate::time::{Duration, Instant};
use core::net::SocketAddr;

/// Most stations that see what others say.
pub(crate) const MAX_MONITORS: usize = 16;

/// Most links, that to the master included, whose place is kept for it.
pub(crate) const MAX_LINKS: usize = 32;

/// Octets of `DEBUG `, an id and `=`, about.
const SHOWN: usize = 128;

/// Octets of what is kept of a master's words.
const MASTER_SAID: usize = 96;

/// What is known of one station of this dialect.
#[derive(Debug)]
pub(crate) struct Own {
    peer: Option<SocketAddr>,
    /// What anybody may do at the listener that it came from.
    base: super::Grant,
    place: Place,
    /// It has let us in, as the other end of a link.
    welcome: bool,
    /// It wants its silence not to count.
    no_ping: bool,
    monitors: bool,
    /// Who looks on has been shown its line at hand.
    pub(crate) shown: bool,
    pub(crate) pause: Pause,
    /// How the flush at hand went.
    #[cfg(feature = "durable")]
    flushed: Option<Code>,
    /// When its transport last took something.
    pub(crate) spoken: Instant,
    /// When a link was last given a sign of life.
    pinged: Instant,
    /// What our clock is ahead of that of a link, in microseconds.
    offset: i64,
    /// What is being listed for it, and the last row that it has.
    pub(crate) list: Option<List>,
    /// In which round of writing it last went on.
    listed: u32,
    cursor: heapless::String<MAX_NAME, u8>,
}

impl Own {
    pub(crate) const EMPTY: Own = Own {
        peer: None,
        base: super::Grant { rights: Rights::NONE, restricted: false, number: 0 },
        place: Place::Client,
        welcome: false,
        no_ping: false,
        monitors: false,
        shown: false,
        pause: Pause(0),
        #[cfg(feature = "durable")]
        flushed: None,
        spoken: Instant::ZERO,
        pinged: Instant::ZERO,
        offset: 0,
        list: None,
        listed: 0,
        cursor: heapless::String::new(),
    };
}

/// What the other end of a connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Client,
    /// A server that has linked itself to this one.
    Link,
    /// The server that this one has linked itself to.
    Master,
}

/// What is listed in one piece, however long it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum List {
    /// Keys, for a client.
    Keys,
    /// Connections, for a client.
    Clients,
    /// The whole store, for a link that is told when it ends.
    Store,
    /// The same for the master, without what it has just said itself.
    Reply,
}

/// Why a station is not heard for now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pause(u8);

impl Pause {
    /// The disk has not come as far as its `FLUSH`.
    #[cfg(feature = "durable")]
    const FLUSH: u8 = 1;
    /// What it wanted listed is not all in its outbox.
    const LIST: u8 = 2;
    /// The master sends its store.
    const LOCK: u8 = 4;
    /// Over, but the shell does not know yet.
    const OVER: u8 = 8;

    #[inline]
    pub(crate) fn is_any(self) -> bool {
        self.0 & !Pause::OVER != 0
    }
}

/// What the node knows for all stations of this dialect.
#[derive(Debug)]
pub(crate) struct Node {
    monitors: heapless::Vec<u32, MAX_MONITORS, u8>,
    links: heapless::Vec<u32, MAX_LINKS, u8>,
    /// Row of the master that sends its store now; 0: none does.
    lock: u32,
    /// Since when, and when it last sent a value.
    lock_since: Instant,
    lock_heard: Instant,
    /// Number of the master's last or present sending, as an origin of values.
    sync: u32,
    /// Row of the master that has sent its store; 0: none has.
    synced: u32,
    /// The server that all links here lead up to, if it is not this one.
    root: u64,
    /// What the master last called an error, for people.
    master_said: heapless::String<MASTER_SAID, u8>,
    /// Why the last link to a master has ended.
    master_end: Option<super::Reason>,
    /// What the shell says of the master, for the status: a text, and since when or from when.
    master: heapless::String<MASTER_SAID, u8>,
    master_at: Option<Instant>,
    /// Where the search for forgotten values goes on; `None`: none goes on.
    sweep: Option<Cursor>,
    /// When the next one begins.
    next_sweep: Instant,
    /// When the node is to stop, and who said so.
    stop: Option<(Instant, StationId)>,
    /// Number of the round of writing: from the first that is wanted of the shell to the last.
    round: u32,
    /// A list would go on, but has had its share of this round.
    lists_wait: bool,
}

impl Node {
    pub(crate) const fn new() -> Self {
        Node {
            monitors: heapless::Vec::new(),
            links: heapless::Vec::new(),
            lock: 0,
            lock_since: Instant::ZERO,
            lock_heard: Instant::ZERO,
            sync: 0,
            synced: 0,
            root: 0,
            master_said: heapless::String::new(),
            master_end: None,
            master: heapless::String::new(),
            master_at: None,
            sweep: None,
            next_sweep: Instant::ZERO,
            stop: None,
            round: 1,
            lists_wait: false,
        }
    }

    /// How many links there are, that to the master included.
    pub(super) fn links(&self) -> usize {
        self.links.len()
    }

    /// How many stations see what others say.
    pub(super) fn monitors(&self) -> usize {
        self.monitors.len()
    }
}

const TOO_LONG: &str = "a name has at most 128 octets";

impl Router<'_> {
    /// A line of station `n`.
    #[inline]
    pub(super) fn line(&mut self, n: u32, command: &Command<'_>, line: &[u8]) {
        if self.stations[n].life == Life::New {
            self.end_run();
            return self.line_before_login(n, command);
        }
        if self.sniffed() {
            self.end_run();
            #[cfg(feature = "sniff")]
            self.see_line(n, command);
        }
        if !self.clacks.monitors.is_empty() || matches!(command, Command::Monitor) {
            self.end_run();
            let shown = self.stations[n].clacks.shown;
            if !shown && self.must_wait_for_room(self.clacks.monitors.len(), SHOWN + line.len()) {
                return;
            }
            self.show(n, command, line);
        }
        if command.crosses() && self.must_wait_for_room(self.clacks.links.len(), line.len() + 2) {
            self.end_run();
            return;
        }
        match *command {
            Command::Set { name, value } => self.signal(n, name, Some(value), line),
            Command::Notify(name) => self.signal(n, name, None, line),
            _ => {
                self.end_run();
                self.other_line(n, command, line);
            }
        }
    }

    /// A line that is no signal.
    fn other_line(&mut self, n: u32, command: &Command<'_>, line: &[u8]) {
        if *command == Command::Timeout && self.stations[n].clacks.place == Place::Client {
            return self.unknown(n, line);
        }
        if !self.may(n, command.need()) {
            return self.deny_line(n);
        }
        match *command {
            Command::Store { name, value } => {
                if self.store_value(n, name, value) {
                    self.forward(n, line);
                }
            }
            Command::Retrieve(key) => self.retrieve(n, key),
            Command::SetAndStore { name, value } => self.set_and_store(n, name, value, line),
            Command::Remove(key) => {
                if self.bury_value(n, key) {
                    self.forward(n, line);
                }
            }
            Command::Increment { name, step } => self.count(n, name, step, false, line),
            Command::Decrement { name, step } => self.count(n, name, step, true, line),
            Command::ClearCache => self.clear_values(n, line),
            Command::Listen(name) => self.listen(n, name),
            Command::Unlisten(name) => self.unlisten(n, name),
            Command::Flush(text) => self.flush_line(n, text),
            Command::Ping => self.ping(n),
            Command::NoPing => self.no_ping(n),
            Command::KeyList => self.begin_list(n, List::Keys),
            Command::ClientList => self.begin_list(n, List::Clients),
            Command::ClientDisconnect(id) => self.dismiss(id),
            Command::Monitor => self.monitor(n),
            Command::Unmonitor => self.unmonitor(n),
            Command::Clacks(name) => self.call(n, name),
            Command::Overhead(o) => self.overhead(n, &o),
            Command::KeySync(sync) => self.key_sync(n, &sync),
            Command::Quit => self.doom(n, super::Reason::Goodbye),
            // the link has given us up
            Command::Timeout => self.doom(n, super::Reason::Lost),
            Command::Unknown(line) => self.unknown(n, line),
            // are heard in `line`
            Command::Set { .. } | Command::Notify(_) => {}
        }
    }

    /// Whether station `n` has the right that something needs, for some name at least.
    fn may(&self, n: u32, need: Need) -> bool {
        let grant = self.stations[n].grant;
        let rights = match need {
            Need::Nothing => return true,
            Need::Read => Rights::READ,
            Need::Write => Rights::WRITE,
            Need::Manage => Rights::MANAGE,
            Need::Interclacks => Rights::LINK,
        };
        // who may do it for certain names only may not do it for all stations, or all values
        let whole = matches!(need, Need::Manage | Need::Interclacks);
        grant.rights.has(rights) && !(whole && grant.restricted)
    }

    /// The name on the bus of a name here, if station `n` has that right for it. Otherwise it is
    /// told, and there is none.
    #[inline]
    fn permitted<'f>(
        &mut self,
        n: u32,
        right: Rights,
        here: &'f [u8],
        spare: &'f mut heapless::String<MAX_NAME, u8>,
    ) -> Option<&'f str> {
        if !self.stations[n].grant.rights.has(right) {
            self.end_run();
            self.deny_line(n);
            return None;
        }
        let Some(name) = name::to_bus(here, spare) else {
            self.end_run();
            self.refuse(n, 0, Code::BadName, TOO_LONG);
            return None;
        };
        if !self.covers(n, right, name) {
            self.end_run();
            self.deny_line(n);
            return None;
        }
        Some(name)
    }

    /// It is not permitted: one line says so, nothing else happens.
    fn deny_line(&mut self, n: u32) {
        self.refuse(n, 0, Code::Refused, "");
    }

    fn unknown(&mut self, n: u32, line: &[u8]) {
        self.counters.one(Counter::UnknownLines);
        match emit::unknown_command(line, self.encode) {
            Some(len) => _ = self.post(n, len, Class::Owed),
            None => self.refuse(n, 0, Code::TooBig, "the line is no command, and too long to be repeated"),
        }
    }

    /// Says a line to station `n`.
    fn say_line(&mut self, n: u32, line: &Line<'_>) {
        let len = emit::line(line, self.encode);
        self.say_owed(n, len);
    }

    /// What stands in the encode buffer, of this length, is said to station `n`.
    fn say_owed(&mut self, n: u32, len: Option<usize>) {
        match len {
            Some(len) => _ = self.post(n, len, Class::Owed),
            None => self.counters.one(Counter::DroppedTooBig),
        }
    }

    /// The line at hand was not dealt with: it comes again.
    fn hear_again(&mut self) {
        self.short = true;
    }

    /// A time by the calendar.
    fn calendar(&self, at: Instant) -> Time {
        let micros = self.epoch.saturating_add(at.millis().saturating_mul(1000));
        Time::from_micros(micros.min(i64::MAX as u64) as i64)
    }

    /// A third of the time that a link may be silent.
    fn link_ping_every(&self) -> Duration {
        Duration::from_millis((self.settings.clacks.link_ping_within.millis() / 3).max(1))
    }
}

/// As the store has times: never before 1970, and so that there are times behind it that this
/// dialect can say, however far ahead a clock is.
fn stamp(time: Time) -> Stamp {
    Stamp::from_micros(time.micros().clamp(0, i64::MAX / 2) as u64)
}

/// As this dialect has them.
fn time(stamp: Stamp) -> Time {
    Time::from_micros(stamp.micros().min(i64::MAX as u64) as i64)
}
