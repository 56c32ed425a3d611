//! Values on disk, and messages that wait for somebody: what changes in the router's memory is
//! written to a file, and comes back from it at the next start.
//!
//! Owns: that file, and everything between it and the event loop, which never waits for it.
//! Does not own what a value is, nor which change counts: that is `chappe_core`'s store, of
//! which this keeps a copy; nor when a message is delivered or expires: that is the router's.
//!
//! | file | owns |
//! |---|---|
//! | `durable.rs` | the router's store: memory first, then the queue |
//! | `queue.rs` | what waits for the disk, and how the disk is |
//! | `writer.rs` | the thread that writes, and what it does when that fails |
//! | `table.rs` | the database: two tables, one transaction for each batch |
//! | `disk.rs` | the file: one daemon each, looking without changing |
//! | `record.rs` | one row as bytes |
//! | `salvage.rs` | rows of a file whose database is broken |
//! | `tool.rs` | `chappe store`: check, export, import, repair |
//! | `problem.rs`, `guard.rs` | what is wrong with a file; panics of the database |
//!
//! What is promised: a change is answered when it is in memory, and is on disk at most
//! `store.write_within_ms` and one write later; a FLUSH is answered when all that was changed
//! before it is. The file always holds a state that the values once had, all changes up to one
//! and none behind it: a batch is one transaction, and batches are written in order.

mod disk;
mod durable;
mod guard;
mod problem;
mod queue;
mod record;
mod salvage;
mod table;
#[cfg(test)]
mod tests;
mod tool;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use chappe_core::buffer::Rows;
use chappe_core::router::store::{FixedStore, Forget, Kept, Stamp, StoreError, Stored, StoredMail, StoredRow};

pub(crate) use durable::{Durable, Forgotten};
pub use problem::{FileError, Problem};
pub use queue::Counts;
pub(crate) use record::Clock;
pub use record::{Row, is_mail_number};
pub use tool::{Found, Summary, Take, check, export, import, rehearse, repair};

use disk::{Disk, Overlay};
use queue::Queue;
use table::Table;
use writer::{Reopen, Writer};

/// Where values are kept, and how soon.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) file: PathBuf,
    /// How long a change may wait for others to be written with.
    pub(crate) within: Duration,
    /// Octets of changes that may wait.
    pub(crate) queue: usize,
    /// After the disk has failed: how soon it is tried again, at first.
    pub(crate) retry: Duration,
    /// How the machine's clocks go together now.
    pub(crate) clock: Clock,
}

/// How soon a daemon tries a disk again that has failed; ever slower after that, up to 5 s.
pub(crate) const RETRY: Duration = Duration::from_millis(250);

/// What was found in the file.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Loaded {
    pub(crate) values: u64,
    pub(crate) tombstones: u64,
    /// In the order of their numbers.
    pub(crate) mail: Vec<Mail>,
}

/// A message that has waited in an earlier life.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mail {
    record: Vec<u8>,
    until: Stamp,
}

impl Mail {
    /// When it expires is told by the calendar that holds now.
    pub(crate) fn stored(&self) -> Option<StoredMail<'_>> {
        let (mail, _) = record::read_sealed_mail(&self.record)?;
        Some(StoredMail { until: self.until, ..mail })
    }
}

/// The event loop's handle on the thread that writes.
#[derive(Debug)]
pub(crate) struct Keeper {
    queue: Arc<Queue>,
}

impl Keeper {
    pub(crate) fn counts(&self) -> Counts {
        self.queue.counts()
    }

    pub(crate) fn kept(&self) -> Kept {
        self.queue.kept(&mut String::new())
    }

    /// Nothing more will change: all of it is to be written, and the file closed.
    pub(crate) fn close(&self) {
        self.queue.close();
    }

    /// Waits for that, at most so long. Returns how many changes are not on disk, and whether
    /// the file is closed.
    pub(crate) fn wait(&self, patience: Duration) -> (u64, bool) {
        self.queue.wait_for_end(patience)
    }
}

/// Opens the file, or makes a new one; fills `values` from it; and starts the thread that
/// writes. `tell` is called from that thread when it has come further, or the disk fails or
/// works again.
///
/// Nothing is written before all of the file has been found to be good.
pub(crate) fn open<'s, R: Rows<StoredRow> + ?Sized>(
    settings: &Settings,
    values: FixedStore<'s, R, Forgotten>,
    tell: impl Fn() + Send + Sync + 'static,
) -> Result<(Durable<'s, R>, Keeper, Loaded), FileError> {
    let of = |problem: Problem| problem.of(&settings.file);
    let disk = open_or_create(&settings.file).map_err(of)?;
    let (mut values, mut loaded) = (values, Loaded::default());
    load(&disk, &mut values, settings.clock, &mut loaded).map_err(of)?;
    let reopen = {
        let disk = disk.clone();
        move || {
            disk.forget_cached();
            Table::open(disk.clone())
        }
    };
    let cause = move || disk.take_trouble();
    let (durable, keeper) = start(settings, values, Box::new(reopen), Box::new(cause), Arc::new(tell)).map_err(of)?;
    Ok((durable, keeper, loaded))
}

/// The part of [`open`] that does not care what the file is.
fn start<'s, R: Rows<StoredRow> + ?Sized>(
    settings: &Settings,
    mut values: FixedStore<'s, R, Forgotten>,
    mut reopen: Reopen,
    cause: Box<dyn Fn() -> Option<String> + Send>,
    tell: Arc<dyn Fn() + Send + Sync>,
) -> Result<(Durable<'s, R>, Keeper), Problem> {
    let queue = Arc::new(Queue::new(settings.queue, settings.within));
    let table = match reopen() {
        Ok(table) => Some(table),
        // A disk that takes nothing is no reason to withhold what was read from it.
        Err(Problem::Io(text)) => {
            let why = cause().unwrap_or(text);
            queue.failed(&why);
            tracing::error!(
                event = "store.failed",
                file = %settings.file.display(),
                detail = why,
                "values were read, but cannot be written: changes are refused until it works"
            );
            None
        }
        Err(problem) => return Err(problem),
    };
    if let Ok(mut room) = queue.room() {
        room.forget(&mut values.heir().0);
    }
    let (file, retry) = (settings.file.clone(), settings.retry);
    let writer = Writer { queue: queue.clone(), table, reopen, tell, cause, file, retry };
    std::thread::Builder::new()
        .name("chappe-store".into())
        .spawn(move || writer.run())
        .map_err(|e| Problem::Io(format!("no thread can be started: {e}")))?;
    Ok((Durable::new(values, queue.clone(), settings.clock), Keeper { queue }))
}

fn open_or_create(file: &Path) -> Result<Disk, Problem> {
    if let Some(disk) = Disk::open(file)? {
        return Ok(disk);
    }
    let new = Disk::create(file)?;
    drop(Table::create(new.disk.clone())?);
    let disk = new.keep()?;
    tracing::info!(event = "store.created", file = %file.display(), "there was no file of values: it begins empty");
    Ok(disk)
}

/// Reads the whole file, without changing it, into the store.
fn load<R: Rows<StoredRow> + ?Sized>(
    disk: &Disk,
    values: &mut FixedStore<'_, R, Forgotten>,
    now: Clock,
    loaded: &mut Loaded,
) -> Result<(), Problem> {
    let mut table = Table::open(Overlay::new(disk.clone())?)?;
    table.verify()?;
    // Tombstones come after the values, which need the room more, and oldest first.
    let mut removed: Vec<(Stamp, String, Stamp, u32)> = Vec::new();
    table.each(|row| {
        if row.value.is_none() {
            removed.push((row.accessed, row.name.to_owned(), row.changed, row.origin));
            return Ok(());
        }
        loaded.values += 1;
        values.restore(row).map(drop).map_err(|why| too_much(why, row))
    })?;
    removed.sort_unstable();
    for (accessed, name, changed, origin) in &removed {
        let row = Stored { name, value: None, changed: *changed, accessed: *accessed, origin: *origin };
        match values.restore(&row) {
            Ok(_) => loaded.tombstones += 1,
            // All room is taken by values: what there is no room for is forgotten, as ever.
            Err(StoreError::TooManyNames | StoreError::NoSpace) => values.heir().forget(name.as_bytes()),
            Err(why) => return Err(too_much(why, &row)),
        }
    }
    table.each_mail(|mail, clock, record| {
        loaded.mail.push(Mail { record: record.to_vec(), until: clock.told_by(now, mail.until) });
        Ok(())
    })
}

/// Why a row of the file has no place in memory.
fn too_much(why: StoreError, row: &Stored<'_>) -> Problem {
    let (key, text) = match why {
        StoreError::TooManyNames => ("limits.value_rows", "it holds more values than limits.value_rows allows".into()),
        StoreError::NoSpace => ("limits.values", "its values need more memory than limits.values allows".into()),
        StoreError::TooBig => {
            let len = row.value.map_or(0, <[u8]>::len);
            let name = row.name;
            let text =
                format!("its value `{name}` has {len} bytes, more than clacks.max_value and limits.max_value allow");
            ("clacks.max_value", text)
        }
        other => return Problem::Damaged(format!("the value `{}`: {}", row.name, other.text())),
    };
    Problem::TooMuch { key, text }
}
