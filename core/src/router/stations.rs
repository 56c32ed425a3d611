//! Who is connected.
//!
//! Owns: the table of stations, how an address finds its row (D6), and the queue of those
//! with something to write. Does not own what a station has joined (`names.rs`) nor whom it
//! owes (`requests.rs`), only the ends of those lists.

use super::action::Reason;
use super::grant::{Grant, Rights};
use super::policy::Class;
use crate::buffer::pool::Chain;
use crate::buffer::slab::{Ends, Row, Slab};
use crate::dialect::{Dialect, Session};
use crate::id::{Numbering, StationId};
use crate::limits::MAX_STATION_NAME;
use crate::time::{Duration, Instant};
use core::ops::{Index, IndexMut};
use heapless::vec::VecView;

/// Where a station is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Life {
    /// The row is free.
    Free,
    /// Connected; only hello and signs of life are understood.
    New,
    /// Introduced.
    Ready,
    /// To be let go of as soon as the call that found it is through.
    Doomed(Reason),
    /// Nobody's any more, but its last words are not written yet.
    Closing(Reason),
}

/// A row of the table. Public only so that memory for it can be reserved.
#[derive(Debug)]
pub struct Station {
    pub(crate) life: Life,
    pub(crate) generation: u64,
    /// Next in the queue of those with something to write, or next free row.
    next: u32,
    queued: bool,
    /// Next of the doomed.
    pub(crate) next_doomed: u32,
    /// It said hello and was welcome, so its end is told.
    pub(crate) introduced: bool,
    /// The transport would block: wait for `writable`.
    pub(crate) blocked: bool,
    pub(crate) datagram: bool,
    /// Told that hello was refused, malformed and the like; too many end it.
    pub(crate) strikes: u8,
    pub(crate) session: Session,
    /// Its output was cut inside a frame: not a word more.
    pub(crate) cut: bool,
    /// Octets of an oversize frame still to be stepped over.
    pub(crate) skip: u32,
    /// The beginning of a frame.
    pub(crate) stash: Chain,
    pub(crate) out: Chain,
    pub(crate) grant: Grant,
    pub(crate) max_frame: u32,
    pub(crate) memberships: Ends,
    pub(crate) joins: u32,
    /// What it owes others.
    pub(crate) debts: Ends,
    /// What others owe it.
    pub(crate) asked: Ends,
    pub(crate) asks: u32,
    /// Who may still answer what it asked, all questions together.
    pub(crate) askees: u32,
    pub(crate) watches: u32,
    /// How often it waits for the disk.
    #[cfg(feature = "durable")]
    pub(crate) barriers: u32,
    /// Octets that its transport has taken.
    #[cfg(feature = "durable")]
    pub(crate) taken: u64,
    /// Mail in its outbox, of which the disk does not know that.
    #[cfg(feature = "durable")]
    pub(crate) mail: Ends,
    /// Mail for a name it joined did not fit into its outbox.
    pub(crate) mail_waits: bool,
    pub(crate) connected: Instant,
    pub(crate) heard: Instant,
    pub(crate) silence: Duration,
    /// Since when its outbox refuses messages.
    pub(crate) full_since: Option<Instant>,
    /// Since when its transport has taken nothing although something waits.
    pub(crate) stalled: Option<Instant>,
    /// Since when the beginning of a frame waits for the rest.
    pub(crate) half_since: Option<Instant>,
    /// Number of the last message it was given, for D2.
    pub(crate) stamp: u64,
    pub(crate) name: heapless::String<MAX_STATION_NAME, u8>,
    /// It has not said a word yet, and what waits for it has to wait until it has.
    #[cfg(feature = "msgq")]
    pub(crate) held: bool,
    /// Octets of headers of its open questions.
    #[cfg(feature = "msgq")]
    pub(crate) echoes: u32,
    /// Where to go on with its frame that could not be delivered to all yet.
    #[cfg(feature = "certain")]
    pub(crate) resume: Option<Resume>,
    /// It has said who it is, and the gate does not know yet whether that is so.
    #[cfg(feature = "later")]
    pub(crate) unverified: Option<Unverified>,
    /// What is known of it if it speaks Clacks.
    #[cfg(feature = "clacks")]
    pub(crate) clacks: super::clacks::Own,
    /// What is known of it if it speaks the Communicator's dialect.
    #[cfg(feature = "communicator")]
    pub(crate) communicator: super::communicator::Own,
    #[cfg(feature = "sniff")]
    pub(crate) sniff: super::sniff::Own,
}

/// What a hello said that counts only once its credentials are found right.
#[cfg(feature = "later")]
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Unverified {
    pub(crate) seq: u32,
    pub(crate) max_frame: u32,
    pub(crate) silence_ms: u32,
}

/// How far a delivery has come that waits for memory.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Resume {
    /// The kind of wording whose members were being served.
    pub(crate) kind: usize,
    /// Of those, the last who were served: number of the membership, or row of the station.
    pub(crate) after: u64,
    /// Who has it already, and who was refused it.
    pub(crate) handed: u32,
    pub(crate) denied: u32,
}

impl Row for Station {
    const EMPTY: Station = Station {
        life: Life::Free,
        generation: 0,
        next: 0,
        queued: false,
        next_doomed: 0,
        introduced: false,
        blocked: false,
        datagram: false,
        strikes: 0,
        session: Session::new(Dialect::Messi),
        cut: false,
        skip: 0,
        stash: Chain::EMPTY,
        out: Chain::EMPTY,
        grant: Grant { rights: Rights::NONE, restricted: false, number: 0 },
        max_frame: 0,
        memberships: Ends::EMPTY,
        joins: 0,
        debts: Ends::EMPTY,
        asked: Ends::EMPTY,
        asks: 0,
        askees: 0,
        watches: 0,
        #[cfg(feature = "durable")]
        barriers: 0,
        #[cfg(feature = "durable")]
        taken: 0,
        #[cfg(feature = "durable")]
        mail: Ends::EMPTY,
        mail_waits: false,
        connected: Instant::ZERO,
        heard: Instant::ZERO,
        silence: Duration::ZERO,
        full_since: None,
        stalled: None,
        half_since: None,
        stamp: 0,
        name: heapless::String::new(),
        #[cfg(feature = "msgq")]
        held: false,
        #[cfg(feature = "msgq")]
        echoes: 0,
        #[cfg(feature = "certain")]
        resume: None,
        #[cfg(feature = "later")]
        unverified: None,
        #[cfg(feature = "clacks")]
        clacks: super::clacks::Own::EMPTY,
        #[cfg(feature = "communicator")]
        communicator: super::communicator::Own::EMPTY,
        #[cfg(feature = "sniff")]
        sniff: super::sniff::Own::EMPTY,
    };
    fn free_link(&mut self) -> &mut u32 {
        &mut self.next
    }
}

impl Station {
    /// Whether it takes part: neither free nor on its way out.
    #[inline]
    pub(crate) fn lives(&self) -> bool {
        matches!(self.life, Life::Ready | Life::New)
    }

    /// Whether what is put into its outbox has to wait: its transport would block, or it has
    /// not spoken yet.
    #[inline]
    pub(crate) fn waits(&self) -> bool {
        self.blocked || self.is_held()
    }

    /// What a message is to it.
    #[inline]
    pub(crate) fn class(&self) -> Class {
        if self.session.dialect().ways().misses { Class::Signal } else { Class::Certain }
    }

    /// Whether it stands in lists: it takes part, or is to be let go of in a moment.
    pub(crate) fn is_linked(&self) -> bool {
        self.lives() || matches!(self.life, Life::Doomed(_))
    }

    /// How far its frame at hand was delivered when it was looked at before.
    #[inline]
    pub(crate) fn resumed(&self) -> Option<Resume> {
        #[cfg(feature = "certain")]
        return self.resume;
        #[cfg(not(feature = "certain"))]
        None
    }

    /// Whether what waits for it has to wait until it has spoken.
    #[inline]
    pub(crate) fn is_held(&self) -> bool {
        #[cfg(feature = "msgq")]
        return self.held;
        #[cfg(not(feature = "msgq"))]
        false
    }
}

impl Station {
    /// Whether what it says has to wait: until the gate knows who it is, or until something
    /// that it wanted before is through.
    #[inline]
    pub(crate) fn is_paused(&self) -> bool {
        #[cfg(feature = "clacks")]
        if self.clacks.pause.is_any() {
            return true;
        }
        #[cfg(feature = "later")]
        return self.unverified.is_some();
        #[cfg(not(feature = "later"))]
        false
    }
}

/// The table.
#[derive(Debug)]
pub(crate) struct Stations<'s> {
    rows: Slab<'s, Station>,
    numbering: Numbering,
    first_ready: u32,
    last_ready: u32,
}

impl<'s> Stations<'s> {
    pub(crate) fn new(rows: &'s mut VecView<Station>, limit: usize) -> Self {
        let rows = Slab::new(rows, limit);
        let numbering = Numbering::for_slots(rows.limit() + 1);
        Stations { rows, numbering, first_ready: 0, last_ready: 0 }
    }

    /// A fresh row with an address of its own.
    pub(crate) fn take(&mut self) -> Option<u32> {
        let n = self.rows.take()?;
        let generation = self.rows[n].generation + 1;
        self.rows[n] = Station { generation, ..Station::EMPTY };
        Some(n)
    }

    /// Frees a row that stands in no list but perhaps the ready queue's, which is left to
    /// [`Stations::next_ready`]: a row that is queued is freed when it comes up.
    pub(crate) fn give(&mut self, n: u32) {
        let row = &mut self.rows[n];
        row.life = Life::Free;
        if !row.queued {
            self.rows.give(n);
        }
    }

    /// The address of the station in row `n`.
    #[inline]
    pub(crate) fn id(&self, n: u32) -> StationId {
        let number = self.numbering.number(n, self.rows[n].generation);
        StationId::new(number).unwrap_or_else(unreachable_id)
    }

    /// The row of an address, if its station is still there.
    #[inline]
    pub(crate) fn find(&self, id: StationId) -> Option<u32> {
        let (n, generation) = self.numbering.split(id.number());
        let row = self.rows.get(n)?;
        (row.generation == generation && row.life != Life::Free).then_some(n)
    }

    /// Puts a station at the end of the queue of those with something to do.
    #[inline]
    pub(crate) fn enqueue(&mut self, n: u32) {
        let row = &mut self.rows[n];
        if row.queued {
            return;
        }
        row.queued = true;
        row.next = 0;
        match self.last_ready {
            0 => self.first_ready = n,
            last => self.rows[last].next = n,
        }
        self.last_ready = n;
    }

    /// Whether anybody stands in the queue.
    pub(crate) fn has_ready(&self) -> bool {
        self.first_ready != 0
    }

    /// Takes the first of the queue.
    #[inline]
    pub(crate) fn next_ready(&mut self) -> Option<u32> {
        loop {
            let n = self.first_ready;
            if n == 0 {
                return None;
            }
            self.first_ready = self.rows[n].next;
            if self.first_ready == 0 {
                self.last_ready = 0;
            }
            let row = &mut self.rows[n];
            row.queued = false;
            row.next = 0;
            if row.life == Life::Free {
                self.rows.give(n);
                continue;
            }
            return Some(n);
        }
    }

    /// Rows that were ever used are 1 to this.
    pub(crate) fn made(&self) -> u32 {
        self.rows.made()
    }

    pub(crate) fn used(&self) -> usize {
        self.rows.used()
    }

    pub(crate) fn limit(&self) -> usize {
        self.rows.limit()
    }
}

/// Generations start at 1, so no number is 0.
#[cold]
fn unreachable_id() -> StationId {
    debug_assert!(false, "a station without a generation");
    StationId::MAX
}

impl Index<u32> for Stations<'_> {
    type Output = Station;
    #[inline]
    fn index(&self, n: u32) -> &Station {
        &self.rows[n]
    }
}

impl IndexMut<u32> for Stations<'_> {
    #[inline]
    fn index_mut(&mut self, n: u32) -> &mut Station {
        &mut self.rows[n]
    }
}
