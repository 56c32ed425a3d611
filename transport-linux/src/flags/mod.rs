//! Flags in files: in the layout of the Communicator, whose tools read and write them too.
//!
//! Owns: the folder of flags and everything between it and the event loop, which never waits for
//! it. Does not own which flags are up on the bus: that is `chappe_core`'s table.
//!
//! | file | owns |
//! |---|---|
//! | `name.rs` | what flags are called, and their files |
//! | `file.rs` | one flag as text |
//! | `bus.rs` | what of a file the bus shows |
//! | `files.rs` | what others have changed there |
//! | `keeper.rs` | the thread that writes and looks |
//! | `folder.rs` | the folder: listing, reading, writing, removing |
//!
//! `docs/flags.md` is for people.

mod bus;
mod file;
mod files;
mod folder;
mod keeper;
mod name;

pub use bus::VERSION;
pub(crate) use bus::{OnBus, shown};
pub use file::{Fault, FlagFile, MAX_FILE, USUAL_PRIORITY, tags_of};
pub use folder::{Folder, Names, ReadError, Stamp, Wrote};
pub(crate) use keeper::{EVERY, Keeper, News, Settings, open};
pub use name::{FlagName, RULE};

/// This host's name, for files.
pub fn host_name() -> String {
    crate::daemon::host_name()
}
