//! Changes on their way from the event loop to the disk.
//!
//! Owns: what waits, how much of that there may be, and what both sides know of each other:
//! how far the disk has come, and whether it works. Either side holds the lock only to move a
//! few words or one row's bytes: nobody waits for a disk in here. What waits is in pieces, so
//! that a long queue is not copied to become longer.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use chappe_core::router::store::{Keeping, Kept, StoreError, Stored, StoredMail};

use super::record::{self, Clock};

/// What is counted since the start.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Transactions that are on disk.
    pub commits: u64,
    /// Rows in them.
    pub rows: u64,
    /// Their octets.
    pub bytes: u64,
    /// Transactions that failed.
    pub failures: u64,
    /// Times that as much waited as may.
    pub behind: u64,
}

/// Octets of a piece, unless one record is longer.
const PIECE: usize = 1 << 20;

#[derive(Debug, Default)]
struct State {
    /// Records, one behind the other in each piece.
    pending: Vec<Vec<u8>>,
    /// Their octets.
    bytes: usize,
    /// How many changes there were.
    changed: u64,
    /// How many of them are on disk.
    written: u64,
    /// When the first of what is pending came.
    since: Option<Instant>,
    /// Somebody waits for it.
    hurry: bool,
    /// More came than may wait, and was refused.
    behind: bool,
    /// What is wrong with the disk.
    failing: Option<String>,
    /// Nothing more will come.
    closing: bool,
    /// The other side has ended.
    ended: bool,
    counts: Counts,
}

/// The queue, shared by both sides.
#[derive(Debug)]
pub(super) struct Queue {
    state: Mutex<State>,
    /// There is something to do for the disk's side.
    work: Condvar,
    /// The disk's side has done something.
    done: Condvar,
    /// Octets that may wait.
    limit: usize,
    /// How long a change may wait for others.
    within: Duration,
}

/// What is written together.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) records: Vec<Vec<u8>>,
    /// The number of its last change.
    pub(super) up_to: u64,
}

impl Queue {
    pub(super) fn new(limit: usize, within: Duration) -> Self {
        Queue { state: Mutex::default(), work: Condvar::new(), done: Condvar::new(), limit, within }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // whoever panicked with it left nothing half done: every change of it is one step
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Room for one change, if changes are taken.
    pub(super) fn room(&self) -> Result<Room<'_>, StoreError> {
        let state = self.lock();
        if state.failing.is_some() {
            return Err(StoreError::DiskFails);
        }
        self.room_in(state)
    }

    /// Room for a message that waits, which waits in any case. So a disk that fails does not
    /// matter: it gets what fits in here when it works again.
    pub(super) fn room_for_mail(&self) -> Result<Room<'_>, StoreError> {
        self.room_in(self.lock())
    }

    fn room_in<'q>(&'q self, mut state: MutexGuard<'q, State>) -> Result<Room<'q>, StoreError> {
        if state.bytes >= self.limit {
            if !state.behind {
                state.behind = true;
                state.counts.behind += 1;
                tracing::warn!(
                    event = "store.behind",
                    waiting = state.changed - state.written,
                    bytes = state.bytes,
                    "the disk is slower than the changes: until it has caught up they are refused, and messages \
                     that wait for somebody are in memory only"
                );
            }
            return Err(StoreError::DiskBehind);
        }
        Ok(Room { queue: self, state })
    }

    /// Room for a change that was made after [`Queue::room`] has said that there is some: what
    /// has become of the disk meanwhile does not matter, it is written when that works.
    pub(super) fn room_as_said(&self) -> Room<'_> {
        Room { queue: self, state: self.lock() }
    }

    /// Somebody waits for all that has changed so far. Returns its number.
    pub(super) fn mark(&self) -> u64 {
        let mut state = self.lock();
        // what is on its way to the disk already is not the faster for it
        if state.since.is_some() && !state.hurry {
            state.hurry = true;
            self.work.notify_one();
        }
        state.changed
    }

    /// How far the disk has come. What is wrong with it goes into `trouble`.
    pub(super) fn kept(&self, trouble: &mut String) -> Kept {
        let state = self.lock();
        trouble.clear();
        let how = match &state.failing {
            Some(why) => {
                trouble.push_str(why);
                Keeping::Failing
            }
            None if state.behind => Keeping::Behind,
            None => Keeping::Disk,
        };
        Kept { up_to: state.written, waiting: state.changed - state.written, how }
    }

    pub(super) fn counts(&self) -> Counts {
        self.lock().counts
    }

    /// Nothing more will come: what waits is to be written now.
    pub(super) fn close(&self) {
        self.lock().closing = true;
        self.work.notify_one();
    }

    /// Waits until the disk's side has ended, at most so long. Returns how many changes are not
    /// on disk, and whether it has ended.
    pub(super) fn wait_for_end(&self, patience: Duration) -> (u64, bool) {
        let (state, _) = self
            .done
            .wait_timeout_while(self.lock(), patience, |state| !state.ended)
            .unwrap_or_else(PoisonError::into_inner);
        (state.changed - state.written, state.ended)
    }
}

/// A change that may be made, and goes to the disk.
pub(super) struct Room<'q> {
    queue: &'q Queue,
    state: MutexGuard<'q, State>,
}

impl Room<'_> {
    /// Tombstones went, whose names are in `forgotten` as records. Nobody waits for that.
    pub(super) fn forget(&mut self, forgotten: &mut Vec<u8>) {
        if !forgotten.is_empty() {
            let octets = forgotten.len();
            self.piece(octets).append(forgotten);
            self.came(octets);
        }
    }

    /// A value went without a tombstone, and maybe tombstones: their names are in `forgotten` as
    /// records. That is a change that somebody may wait for.
    pub(super) fn forget_value(&mut self, forgotten: &mut Vec<u8>) {
        self.state.changed += 1;
        self.forget(forgotten);
    }

    /// Everything went. What waits from before is passed over when this is written.
    pub(super) fn clear(&mut self) {
        record::push_clear(self.piece(record::HEADER));
        self.state.changed += 1;
        self.came(record::HEADER);
    }

    /// A row is as this from now on.
    pub(super) fn keep(&mut self, row: &Stored<'_>) {
        let octets = record::size(row);
        record::push(self.piece(octets), row);
        self.state.changed += 1;
        self.came(octets);
    }

    /// A message waits.
    pub(super) fn keep_mail(&mut self, mail: &StoredMail<'_>, clock: Clock) {
        let octets = record::mail_size(mail);
        record::push_mail(self.piece(octets), mail, clock);
        self.state.changed += 1;
        self.came(octets);
    }

    /// It waits no longer. `hurry`: what does not come to the disk soon may come twice to somebody.
    pub(super) fn mail_gone(&mut self, number: u64, hurry: bool) {
        record::push_mail_gone(self.piece(record::HEADER), number);
        self.state.changed += 1;
        self.came(record::HEADER);
        if hurry && !self.state.hurry {
            self.state.hurry = true;
            self.queue.work.notify_one();
        }
    }

    /// A piece that has room for so many octets, which will come.
    fn piece(&mut self, octets: usize) -> &mut Vec<u8> {
        self.state.bytes += octets;
        let pending = &mut self.state.pending;
        if pending.last().is_none_or(|piece| piece.capacity() - piece.len() < octets) {
            pending.push(Vec::with_capacity(PIECE.max(octets)));
        }
        let last = pending.len() - 1;
        &mut pending[last]
    }

    /// The other side sleeps until something comes, and then until it is time or there is much.
    /// Waking it costs more than a change: not once more for each.
    fn came(&mut self, octets: usize) {
        let much = self.queue.limit / 4;
        let is_much = self.state.bytes >= much && self.state.bytes - octets < much;
        if self.state.since.is_none() {
            self.state.since = Some(Instant::now());
            self.queue.work.notify_one();
        } else if is_much {
            self.queue.work.notify_one();
        }
    }
}

/// The disk's side.
impl Queue {
    /// Waits until it is time to write something, and takes all there is. `batch` comes back
    /// with its memory used again. `None`: nothing is left, and nothing more will come.
    pub(super) fn take(&self, mut batch: Batch) -> Option<Batch> {
        // One piece is kept for the next changes: mostly that is all there is. The others go
        // while nobody waits for the lock.
        batch.records.truncate(1);
        batch.records.iter_mut().for_each(Vec::clear);
        let mut state = self.lock();
        loop {
            let Some(since) = state.since else {
                if state.closing {
                    return None;
                }
                state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let waited = since.elapsed();
            if state.hurry || state.closing || waited >= self.within || state.bytes >= self.limit / 4 {
                break;
            }
            state = self.work.wait_timeout(state, self.within - waited).unwrap_or_else(PoisonError::into_inner).0;
        }
        std::mem::swap(&mut batch.records, &mut state.pending);
        state.bytes = 0;
        batch.up_to = state.changed;
        state.since = None;
        state.hurry = false;
        if std::mem::take(&mut state.behind) {
            tracing::info!(event = "store.caught_up", "changes are taken again");
        }
        Some(batch)
    }

    /// A batch is on disk. Returns what was wrong before, if something was.
    pub(super) fn wrote(&self, batch: &Batch, rows: u64, bytes: u64) -> Option<String> {
        let mut state = self.lock();
        state.written = batch.up_to;
        state.counts.commits += 1;
        state.counts.rows += rows;
        state.counts.bytes += bytes;
        state.failing.take()
    }

    /// A batch is not on disk. Returns whether that is news.
    pub(super) fn failed(&self, why: &str) -> bool {
        let mut state = self.lock();
        state.counts.failures += 1;
        let is_news = state.failing.as_deref() != Some(why);
        state.failing = Some(why.to_owned());
        is_news
    }

    /// Whether nothing more will come.
    pub(super) fn is_closing(&self) -> bool {
        self.lock().closing
    }

    /// Sleeps, but not when it is time to end: then at most a moment.
    pub(super) fn pause(&self, how_long: Duration) {
        const MOMENT: Duration = Duration::from_millis(250);
        let end = Instant::now() + how_long;
        let mut state = self.lock();
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let left = if state.closing { left.min(MOMENT) } else { left };
            if left.is_zero() {
                return;
            }
            let was_closing = state.closing;
            state = self.work.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
            if state.closing && was_closing {
                return;
            }
        }
    }

    /// The disk's side has ended.
    pub(super) fn end(&self) {
        self.lock().ended = true;
        self.done.notify_all();
    }
}
