//! The thread between the queue and the disk.
//!
//! Owns: writing what waits, together (a *group commit*: whatever comes while one transaction
//! is on its way to the disk is the next one), and what happens when that fails: the batch is
//! kept, the database is opened anew and the batch tried again, ever slower, until it works.
//! Meanwhile the queue takes no changes. Does not own the file's lock: that is held by whoever
//! hands out the medium, so nobody else gets in between.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tracing::{error, info};

use super::problem::Problem;
use super::queue::{Batch, Queue};
use super::table::{Table, Written};

/// The pause between two attempts doubles, up to so many times the first one.
const LONGEST: u32 = 20;

/// Opens the database anew after it has failed.
pub(super) type Reopen = Box<dyn FnMut() -> Result<Table, Problem> + Send>;

pub(super) struct Writer {
    pub(super) queue: Arc<Queue>,
    pub(super) table: Option<Table>,
    pub(super) reopen: Reopen,
    /// Something has changed that others may want to look at.
    pub(super) tell: Arc<dyn Fn() + Send + Sync>,
    /// What the operating system said, which is more than the database passes on.
    pub(super) cause: Box<dyn Fn() -> Option<String> + Send>,
    pub(super) file: PathBuf,
    /// The first pause after an attempt that failed.
    pub(super) retry: Duration,
}

impl Writer {
    /// Until the queue is closed and empty. That it ends otherwise can only be a mistake of this
    /// program; to those who change values it is a disk that fails, and not silence.
    pub(super) fn run(self) {
        let (queue, tell) = (self.queue.clone(), self.tell.clone());
        if catch_unwind(AssertUnwindSafe(|| self.work())).is_err() {
            let why = "the thread that writes has panicked: this is a bug, please tell; restart the daemon";
            queue.failed(why);
            error!(event = "store.failed", detail = why, "changes are refused from now on");
            tell();
        }
    }

    fn work(mut self) {
        let mut batch = Batch::default();
        if self.table.is_none() {
            // The disk failed before there was anything to write: that it works is news, too.
            self.round(&mut batch);
        }
        while let Some(taken) = self.queue.take(batch) {
            batch = taken;
            self.round(&mut batch);
        }
        // Closes the file, so that the next start finds it in order, and gives its lock back.
        let Writer { queue, table, reopen, tell, cause, .. } = self;
        drop((table, reopen, cause));
        queue.end();
        tell();
    }

    fn round(&mut self, batch: &mut Batch) {
        let Some(written) = self.write_out(&mut batch.records) else { return };
        if let Some(before) = self.queue.wrote(batch, written.rows, written.bytes) {
            info!(
                event = "store.recovered",
                file = %self.file.display(),
                before,
                "the disk works again: nothing was lost, and changes are taken"
            );
        }
        (self.tell)();
    }

    /// Returns when the batch is on disk, however long that takes. `None`: it is time to end,
    /// and there is nothing to lose.
    fn write_out(&mut self, records: &mut [Vec<u8>]) -> Option<Written> {
        let mut pause = self.retry;
        loop {
            let result = match &self.table {
                Some(table) => table.write(records),
                None => (self.reopen)().and_then(|table| self.table.insert(table).write(records)),
            };
            let why = match result {
                Ok(written) => return Some(written),
                Err(why) => why,
            };
            // A database that has met an error of its disk takes nothing more.
            self.table = None;
            let why = match (self.cause)() {
                Some(cause) => cause,
                None => why.to_string(),
            };
            if self.queue.failed(&why) {
                error!(
                    event = "store.failed",
                    file = %self.file.display(),
                    detail = why,
                    "values cannot be written: changes are refused until it works again"
                );
            }
            (self.tell)();
            if records.is_empty() && self.queue.is_closing() {
                return None;
            }
            self.queue.pause(pause);
            pause = (2 * pause).min(LONGEST * self.retry);
        }
    }
}
