//! The file under the database.
//!
//! Owns: that one file has one daemon (a lock that ends with the process, however it ends),
//! what the operating system last said against it, and looking at a file without changing it.
//! Does not own what is in the file: that is `table.rs`.

use std::collections::HashMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use redb::StorageBackend;

use super::problem::Problem;
use crate::sys;

/// A file that is ours. The lock lasts until the last copy of this is gone, also while the
/// database in it is closed and opened again.
#[derive(Debug, Clone)]
pub(super) struct Disk {
    file: Arc<File>,
    /// What last went wrong.
    trouble: Arc<Mutex<Option<String>>>,
}

impl Disk {
    /// To read and write, for nobody else. `None`: there is no such file.
    pub(super) fn open(path: &Path) -> Result<Option<Disk>, Problem> {
        match OpenOptions::new().read(true).write(true).open(path) {
            Ok(file) => Disk::lock(file).map(Some),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e.into()),
        }
    }

    /// To read only, beside others who read only.
    pub(super) fn look(path: &Path) -> Result<Disk, Problem> {
        let file = File::open(path)?;
        match file.try_lock_shared() {
            Ok(()) => Ok(Disk::of(file)),
            Err(TryLockError::WouldBlock) => Err(Problem::InUse),
            Err(TryLockError::Error(e)) => Err(e.into()),
        }
    }

    /// A new, empty file at `path`, for nobody else. It has another name until
    /// [`NewFile::keep`], so that nobody ever meets half a database there.
    pub(super) fn create(path: &Path) -> Result<NewFile, Problem> {
        let draft = with_suffix(path, ".new");
        let mut options = OpenOptions::new();
        // Values may be secret: nobody else reads them. What is there is emptied only with the
        // lock in hand: it may be the draft of another daemon.
        let file = options.read(true).write(true).create(true).truncate(false).mode(0o600).open(&draft)?;
        let disk = Disk::lock(file)?;
        disk.file.set_len(0)?;
        Ok(NewFile { disk, draft, path: path.to_owned() })
    }

    fn lock(file: File) -> Result<Disk, Problem> {
        match file.try_lock() {
            Ok(()) => Ok(Disk::of(file)),
            Err(TryLockError::WouldBlock) => Err(Problem::InUse),
            Err(TryLockError::Error(e)) => Err(e.into()),
        }
    }

    fn of(file: File) -> Disk {
        Disk { file: Arc::new(file), trouble: Arc::default() }
    }

    /// What the operating system last said against it; it is forgotten.
    pub(super) fn take_trouble(&self) -> Option<String> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// After a failed write or sync the system's cache may hold what the disk never got, and
    /// call it clean: what is read from here on is what the disk has.
    pub(super) fn forget_cached(&self) {
        sys::drop_cached(&self.file);
    }

    /// Octets of the file.
    pub(super) fn size(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    /// Fills `out` from `at` on, as far as there is something. Returns how much.
    pub(super) fn read_some(&self, at: u64, out: &mut [u8]) -> io::Result<usize> {
        let mut have = 0;
        while have < out.len() {
            match self.file.read_at(&mut out[have..], at + have as u64) {
                Ok(0) => break,
                Ok(n) => have += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(have)
    }

    fn note<T>(&self, what: &str, result: io::Result<T>) -> io::Result<T> {
        if let Err(e) = &result {
            let mut trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
            // the first one is the cause of the others
            trouble.get_or_insert_with(|| format!("{what}: {e}"));
        }
        result
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        self.note("size", self.size())
    }
    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.note("read", self.file.read_exact_at(out, offset))
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.note("resize", self.file.set_len(len))
    }
    fn sync_data(&self) -> io::Result<()> {
        self.note("sync", self.file.sync_data())
    }
    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.note("write", self.file.write_all_at(data, offset))
    }
}

/// A file that does not have its name yet. Dropped without [`NewFile::keep`] it is removed.
#[derive(Debug)]
pub(super) struct NewFile {
    pub(super) disk: Disk,
    draft: PathBuf,
    path: PathBuf,
}

impl NewFile {
    /// Gives it its name, where there is no file yet.
    pub(super) fn keep(self) -> Result<Disk, Problem> {
        if self.path.exists() {
            return Err(Problem::InUse); // somebody was faster
        }
        self.replace()
    }

    /// Gives it its name, whatever has it now.
    pub(super) fn replace(mut self) -> Result<Disk, Problem> {
        self.disk.file.sync_all()?;
        std::fs::rename(&self.draft, &self.path)?;
        self.draft = PathBuf::new();
        sync_folder(&self.path)?;
        Ok(self.disk.clone())
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if !self.draft.as_os_str().is_empty() {
            // If it cannot be removed it is emptied at the next attempt.
            let _ = std::fs::remove_file(&self.draft);
        }
    }
}

/// A new name is on disk when its folder is.
pub(super) fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(parent(path))?.sync_all()
}

/// The folder that a file is in.
pub(super) fn parent(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// `path` with something behind its name.
pub(super) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

const PAGE: u64 = 4096;

/// A file as it would be if it could be written: what is written stays in memory. A database
/// that was not closed can so be looked at, and one that is damaged is not made worse.
#[derive(Debug)]
pub(super) struct Overlay {
    under: Disk,
    pages: Mutex<HashMap<u64, Box<[u8]>>>,
    len: AtomicU64,
}

impl Overlay {
    pub(super) fn new(under: Disk) -> io::Result<Self> {
        let len = AtomicU64::new(under.size()?);
        Ok(Overlay { under, pages: Mutex::default(), len })
    }

    fn check_end(&self, offset: u64, len: usize) -> io::Result<()> {
        let end = offset.checked_add(len as u64);
        if end.is_none_or(|end| end > self.len.load(Ordering::Relaxed)) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(())
    }

    /// The part of page `n` that lies between `offset` and `offset + len`: where in the page,
    /// where in the caller's slice.
    fn part(n: u64, offset: u64, len: usize) -> (std::ops::Range<usize>, std::ops::Range<usize>) {
        let (from, to) = ((n * PAGE).max(offset), ((n + 1) * PAGE).min(offset + len as u64));
        let in_page = (from - n * PAGE) as usize..(to - n * PAGE) as usize;
        (in_page, (from - offset) as usize..(to - offset) as usize)
    }
}

impl StorageBackend for Overlay {
    fn len(&self) -> io::Result<u64> {
        Ok(self.len.load(Ordering::Relaxed))
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.check_end(offset, out.len())?;
        // behind the end of the file there are only zeros
        let have = self.under.read_some(offset, out)?;
        out[have..].fill(0);
        let pages = self.pages.lock().unwrap_or_else(PoisonError::into_inner);
        if pages.is_empty() {
            return Ok(());
        }
        for n in offset / PAGE..(offset + out.len() as u64).div_ceil(PAGE) {
            if let Some(page) = pages.get(&n) {
                let (in_page, here) = Overlay::part(n, offset, out.len());
                out[here].copy_from_slice(&page[in_page]);
            }
        }
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let before = self.len.swap(len, Ordering::Relaxed);
        if len < before {
            // what is cut off and comes back later is zero
            let mut pages = self.pages.lock().unwrap_or_else(PoisonError::into_inner);
            for n in len / PAGE..before.div_ceil(PAGE) {
                let page = pages.entry(n).or_insert_with(|| self.under_page(n));
                let from = len.saturating_sub(n * PAGE).min(PAGE) as usize;
                page[from..].fill(0);
            }
        }
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.check_end(offset, data.len())?;
        let mut pages = self.pages.lock().unwrap_or_else(PoisonError::into_inner);
        for n in offset / PAGE..(offset + data.len() as u64).div_ceil(PAGE) {
            let page = pages.entry(n).or_insert_with(|| self.under_page(n));
            let (in_page, here) = Overlay::part(n, offset, data.len());
            page[in_page].copy_from_slice(&data[here]);
        }
        Ok(())
    }
}

impl Overlay {
    /// A page of the file; what cannot be read of it is zero, and would have been an error
    /// when it was read.
    fn under_page(&self, n: u64) -> Box<[u8]> {
        let mut page = vec![0; PAGE as usize].into_boxed_slice();
        let have = self.under.read_some(n * PAGE, &mut page).unwrap_or(0);
        page[have..].fill(0);
        page
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_one_owner_and_a_new_one_no_name_until_it_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("v.redb");
        assert!(Disk::open(&path).unwrap().is_none());
        let new = Disk::create(&path).unwrap();
        assert!(!path.exists());
        assert_eq!(Disk::create(&path).unwrap_err(), Problem::InUse);
        let disk = new.keep().unwrap();
        assert_eq!(Disk::open(&path).unwrap_err(), Problem::InUse);
        assert_eq!(Disk::look(&path).unwrap_err(), Problem::InUse);
        assert_eq!(Disk::create(&path).unwrap().keep().unwrap_err(), Problem::InUse);
        drop(disk);
        let (a, b) = (Disk::look(&path).unwrap(), Disk::look(&path).unwrap());
        assert_eq!(Disk::open(&path).unwrap_err(), Problem::InUse);
        drop((a, b));
        assert!(Disk::open(&path).unwrap().is_some());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "no drafts are left");
    }

    #[test]
    fn an_overlay_is_a_file_of_which_nothing_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        std::fs::write(&path, [7u8; 10_000]).unwrap();
        let over = Overlay::new(Disk::look(&path).unwrap()).unwrap();
        let mut model = vec![7u8; 10_000];
        let mut write = |at: usize, bytes: &[u8]| {
            over.write(at as u64, bytes).unwrap();
            model[at..at + bytes.len()].copy_from_slice(bytes);
        };
        write(4090, &[1; 12]);
        write(0, &[2; 1]);
        write(8000, &[3; 2000]);
        for (len, at) in [(12_000, 9_500), (5_000, 4_000), (9_000, 0), (20_000, 12_288)] {
            over.set_len(len as u64).unwrap();
            model.resize(len, 0);
            over.write(at as u64, &[4; 100]).unwrap();
            model[at..at + 100].fill(4);
            let mut all = vec![0xa5; len];
            over.read(0, &mut all).unwrap();
            assert!(all == model, "after {len}");
            let mut part = vec![0xa5; 4000];
            over.read(777, &mut part).unwrap();
            assert!(part == model[777..4777]);
        }
        assert!(over.read(19_999, &mut [0; 2]).is_err());
        assert!(over.write(u64::MAX, &[0; 2]).is_err());
        assert_eq!(std::fs::read(&path).unwrap(), [7u8; 10_000]);
    }
}
