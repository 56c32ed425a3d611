//! Which store of values the router gets: one in memory, or one that is also on disk.
//!
//! Owns: that choice, whether it keeps them in order, and what is said about it at start.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chappe_core::router::store::{FixedStore, Store};
use mio::Waker;
use tracing::info;

use super::memory::ValueMemory;
use super::{BAD_CONFIG, DAMAGED, Failure};
use crate::config::Config;
use crate::store::{self, FileError, Forgotten, Keeper, Problem};

/// The store, and a handle on its thread if it has one. Reads the file, which may take a
/// moment: nobody is served yet.
pub(super) fn open<'m>(
    config: &Config,
    memory: &'m mut ValueMemory,
    waker: Arc<Waker>,
) -> Result<(Box<dyn Store + 'm>, Option<Keeper>), Failure> {
    let (parts, settings) = memory.parts();
    // Only lists and links of Net::Clacks want an order, which costs each new name some time.
    let in_order = config.speaks_clacks();
    let no_memory = |e| Failure::from(format!("limits.values: {e:?}"));
    let Some(file) = &config.store.path else {
        let values = FixedStore::new(parts, settings).map_err(no_memory)?;
        return Ok((Box::new(if in_order { values } else { values.without_order() }), None));
    };
    let values = FixedStore::with_heir(parts, settings, Forgotten::default()).map_err(no_memory)?;
    let values = if in_order { values } else { values.without_order() };
    let settings = store::Settings {
        file: file.as_path().to_owned(),
        within: Duration::from_millis(config.store.write_within_ms.into()),
        queue: usize::try_from(config.store.queue).unwrap_or(usize::MAX),
        retry: store::RETRY,
    };
    let began = Instant::now();
    let tell = move || {
        // If the loop is gone, nobody needs to know.
        let _ = waker.wake();
    };
    let (store, keeper, loaded) = store::open(&settings, values, tell)?;
    info!(
        event = "store.open",
        file = %settings.file.display(),
        values = loaded.values,
        tombstones = loaded.tombstones,
        took_ms = began.elapsed().as_millis() as u64,
        "values are on disk"
    );
    Ok((Box::new(store), Some(keeper)))
}

impl From<FileError> for Failure {
    fn from(e: FileError) -> Self {
        let status = match e.problem {
            Problem::TooMuch { .. } => BAD_CONFIG,
            Problem::Damaged(_) | Problem::Newer(_) => DAMAGED,
            Problem::Io(_) | Problem::InUse => 1,
        };
        Failure { status, text: format!("store.path: {e}") }
    }
}
