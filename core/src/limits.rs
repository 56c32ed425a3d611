//! Maxima of the protocol, each with its reason. Sizes of one deployment (how many
//! stations, how much memory) are not here: firmware states them in
//! [`Storage`](crate::storage::Storage), the daemon in its configuration.

/// Longest name, in bytes. Long enough for a path of eight segments, short enough to
/// keep whole in every table row.
pub const MAX_NAME: usize = 128;

/// Longest name that a station gives itself, in bytes: for people reading lists.
pub const MAX_STATION_NAME: usize = 48;

/// Longest user name, in bytes.
pub const MAX_USER: usize = 48;

/// Longest secret, in bytes.
pub const MAX_TOKEN: usize = 128;

/// Most parameters of one letter or answer. A letter beyond this is refused, so that
/// no recipient meets more than it can hold.
pub const MAX_PARAMS: usize = 64;

/// Longest verb, in bytes.
pub const MAX_VERB: usize = 64;

/// Longest part of a flag's name (unit, section, name), in bytes.
pub const MAX_FLAG_PART: usize = 32;

/// Longest description of a flag, in bytes.
pub const MAX_FLAG_TEXT: usize = 128;

/// Longest list of tags of a flag, in bytes.
pub const MAX_FLAG_TAGS: usize = 64;

/// Longest name of the source file that a flag is raised in, in bytes.
#[cfg(feature = "kept-flags")]
pub const MAX_FLAG_SOURCE: usize = 128;

/// Longest name of the function that a flag is raised in, in bytes.
#[cfg(feature = "kept-flags")]
pub const MAX_FLAG_FUNCTION: usize = 64;

/// Highest priority of a flag.
pub const MAX_FLAG_PRIORITY: u32 = 100;

/// Shortest `Hello.max_frame`: what a station must be able to take to be told anything.
pub const MIN_PEER_FRAME: u32 = 160;

/// Shortest `Hello.max_frame` of a station that watches: news carries names whole.
pub const MIN_WATCHER_FRAME: u32 = 512;

/// Shortest `Hello.max_frame` of a station that monitors: whatever is cut, names are whole.
#[cfg(feature = "sniff")]
pub const MIN_MONITOR_FRAME: u32 = 1024;

/// Most stations that monitor: each message is looked at for each of them.
#[cfg(feature = "sniff")]
pub const MAX_MONITORS: usize = 16;

/// Shortest silence a station may ask for, in milliseconds: below this, jitter of an
/// ordinary network closes healthy connections.
pub const MIN_SILENCE_MS: u32 = 1000;

/// Deepest subtree pattern that is looked at, in separators (`::`, `/`) of a name.
/// Bounds the work per message.
pub const MAX_DEPTH: usize = 16;
