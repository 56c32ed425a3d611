//! A file system that can be full.
//!
//! Owns: mounting it, filling it, making room, unmounting it.

use std::io::Write;
use std::process::Command;

/// A file system in memory that is unmounted at the end.
pub struct Tmpfs(pub tempfile::TempDir);

impl Tmpfs {
    /// `None`: only root may.
    pub fn mount(size: &str) -> Option<Tmpfs> {
        let folder = tempfile::tempdir().unwrap();
        let options = format!("size={size}");
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "none"]).arg(folder.path()).output();
        mount.is_ok_and(|out| out.status.success()).then_some(Tmpfs(folder))
    }

    /// Takes all room there is.
    pub fn fill(&self) {
        let mut filler = std::fs::File::options().append(true).create(true).open(self.0.path().join("filler")).unwrap();
        for block in [[1; 4096].as_slice(), &[1]] {
            while filler.write_all(block).is_ok() {}
        }
    }

    pub fn make_room(&self) {
        std::fs::remove_file(self.0.path().join("filler")).unwrap();
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(self.0.path()).status();
    }
}
