//! Which store of values the router gets: one in memory, or one that is also on disk.
//!
//! Owns: that choice, whether it keeps them in order, what is said about it at start, and that
//! messages which have waited on disk wait again.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chappe_core::model::Code;
use chappe_core::router::Router;
use chappe_core::router::store::{FixedStore, Stamp, Store};
use mio::Waker;
use tracing::{info, warn};

use super::memory::{MAX_MAIL, ValueMemory};
use super::{BAD_CONFIG, DAMAGED, Failure};
use crate::config::Config;
use crate::store::{self, Clock, FileError, Forgotten, Keeper, Mail, Problem};
use crate::sys;

/// What the calendar says it was when [`sys::now`] was zero, in microseconds since 1970.
pub(super) fn calendar() -> u64 {
    let since_1970 = std::time::UNIX_EPOCH.elapsed().unwrap_or_default();
    let since_start = sys::now().millis() * 1000;
    (since_1970.as_micros() as u64).saturating_sub(since_start)
}

/// What there is at the start.
pub(super) struct Opened<'m> {
    pub(super) store: Box<dyn Store + 'm>,
    /// Of the store's thread, if it has one.
    pub(super) keeper: Option<Keeper>,
    /// What waited in an earlier life.
    pub(super) mail: Vec<Mail>,
}

/// Opens the store. Reads the file, which may take a moment: nobody is served yet.
pub(super) fn open<'m>(
    config: &Config,
    memory: &'m mut ValueMemory,
    waker: Arc<Waker>,
    calendar: u64,
) -> Result<Opened<'m>, Failure> {
    let (parts, settings) = memory.parts();
    // Only lists and links of Net::Clacks want an order, which costs each new name some time.
    let in_order = config.speaks_clacks();
    let no_memory = |e| Failure::from(format!("limits.values: {e:?}"));
    let Some(file) = &config.store.path else {
        let values = FixedStore::new(parts, settings).map_err(no_memory)?;
        let store = Box::new(if in_order { values } else { values.without_order() });
        return Ok(Opened { store, keeper: None, mail: Vec::new() });
    };
    let values = FixedStore::with_heir(parts, settings, Forgotten::default()).map_err(no_memory)?;
    let values = if in_order { values } else { values.without_order() };
    let settings = store::Settings {
        file: file.as_path().to_owned(),
        within: Duration::from_millis(config.store.write_within_ms.into()),
        queue: usize::try_from(config.store.queue).unwrap_or(usize::MAX),
        retry: store::RETRY,
        clock: {
            let (boot, ran) = sys::boot();
            Clock { boot: boot.unwrap_or(0), began: Stamp::from_micros(calendar.saturating_sub(ran)) }
        },
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
        mail = loaded.mail.len(),
        took_ms = began.elapsed().as_millis() as u64,
        "values are on disk"
    );
    Ok(Opened { store: Box::new(store), keeper: Some(keeper), mail: loaded.mail })
}

/// Hands the router the messages that have waited in an earlier life of the daemon. Its calendar
/// is set. What has no room is an error: it stays in the file, and nothing is lost.
pub(super) fn restore(router: &mut Router<'_>, config: &Config, mail: Vec<Mail>) -> Result<(), Failure> {
    let (mut waiting, mut expired, all) = (0u64, 0u64, mail.len());
    for stored in mail.iter().filter_map(Mail::stored) {
        match router.restore_mail(sys::now(), &stored) {
            Code::Ok => waiting += 1,
            Code::TimedOut => expired += 1,
            Code::Full => {
                let file = config.store.path.as_ref().map(|path| path.as_path().display().to_string());
                let file = file.unwrap_or_default();
                let text = format!(
                    "store.path: {file}: {all} messages wait in it for somebody to join a name, and there is room for \
                     {waiting} of them: they take at most half of limits.buffers, and at most {MAX_MAIL} rows. Raise \
                     limits.buffers, or take some out with `chappe store export` and `chappe store import`"
                );
                return Err(Failure { status: BAD_CONFIG, text });
            }
            _ => warn!(
                event = "mail.unreadable",
                number = stored.number,
                name = stored.name,
                form = stored.form,
                "a message that waits in the file is none that this version knows: it stays there"
            ),
        }
    }
    if all > 0 {
        info!(event = "mail.restored", waiting, expired, "messages that waited before the restart wait again");
    }
    Ok(())
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
