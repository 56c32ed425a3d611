//! The daemon's flags in files: where they are, and opening them at start.
//!
//! Owns: that. What goes to and fro is in `event_loop::flags`.

use std::collections::BTreeMap;
use std::sync::Arc;

use mio::Waker;

use super::Failure;
use super::load::host_name;
use super::memory::FLAGS;
use crate::config::Config;
use crate::flags::{self, FlagFile, FlagName, Folder, Keeper};
use chappe_core::router::flags::kept::OWN_ROWS;

/// The loop's side of flags in files.
#[derive(Debug)]
pub(super) struct FlagFiles {
    pub(super) keeper: Keeper,
    /// Flags in files for which the table has no room, in order of their names; there are at most
    /// as many as files may be.
    pub(super) waiting: BTreeMap<FlagName, Box<FlagFile>>,
    /// Where they are, for people.
    pub(super) folder: String,
    /// Rows may have become free.
    pub(super) retry: bool,
    /// What the node's own flag about the disk says, if it is up.
    pub(super) trouble: Option<String>,
    /// The one that says that not all are shown is up.
    pub(super) is_short: bool,
}

/// Most flags in files: as many as the table has rows for, but those of the node itself.
const MOST: usize = FLAGS - OWN_ROWS;

/// Opens the folder, if the configuration names one. Reads all flags, which may take a moment:
/// nobody is served yet.
pub(super) fn open(config: &Config, waker: Arc<Waker>) -> Result<Option<FlagFiles>, Failure> {
    let Some(path) = config.flags_folder() else { return Ok(None) };
    let folder = Folder::new(&path).given_to(config.flags.owner_id, config.flags.group_id);
    let settings = flags::Settings { folder, hostname: host_name(), most: MOST, every: flags::EVERY };
    let tell = move || {
        // If the loop is gone, nobody needs to know.
        let _ = waker.wake();
    };
    let keeper = flags::open(settings, tell).map_err(|e| format!("no thread can be started for flags: {e}"))?;
    Ok(Some(FlagFiles {
        keeper,
        waiting: BTreeMap::new(),
        folder: path.display().to_string(),
        retry: false,
        trouble: None,
        is_short: false,
    }))
}
