//! Files that only this process uses, in memory where there is such a place.

use std::path::{Path, PathBuf};

/// A folder of its own, made anew.
///
/// # Panics
/// If it cannot be made.
pub fn folder(name: &str) -> PathBuf {
    let below = ["/dev/shm", "/tmp"].into_iter().map(Path::new).find(|p| p.is_dir()).expect("a place for files");
    let folder = below.join(format!("chappe-fuzz-{name}-{}", std::process::id()));
    _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).expect("a folder");
    folder
}
