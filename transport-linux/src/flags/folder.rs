//! The folder of flags: which files there are, reading one, writing and removing one.
//!
//! Owns: every call of the file system that has to do with flags, so that the daemon and
//! `chappe flag --dir` do the same. Does not own what a file says (`file.rs`).
//!
//! A file is written beside its place and moved there, on disk before it is: whoever reads sees
//! the old one or the new one, whole, and so does the next start after a crash. The old one stays
//! as `*.bak`. Nothing that is no ordinary file is opened: the folder belongs to a group of users.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::file::{Fault, FlagFile, MAX_FILE};
use super::name::{ENDING, FlagName, OWN_ENDING};
use crate::sys;

/// Permissions of the folder and of files, as the Communicator's.
const FOLDER_MODE: u32 = 0o775;
const FILE_MODE: u32 = 0o664;

/// Names in the folder that are looked at, whatever they are: a listing ends.
const MAX_NAMES: usize = 65_536;

/// A folder of flags.
#[derive(Debug, Clone)]
pub struct Folder {
    path: PathBuf,
    owner: Option<u32>,
    group: Option<u32>,
}

/// What tells one content of a file from another without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    fn of(about: &fs::Metadata) -> Stamp {
        Stamp {
            inode: about.ino(),
            size: about.size(),
            modified: (about.mtime(), about.mtime_nsec()),
            changed: (about.ctime(), about.ctime_nsec()),
        }
    }

    /// Whether the file was left alone long enough, at `now`, that another change would have had
    /// another stamp: clocks of files stand still for some milliseconds.
    pub fn is_settled(&self, now: SystemTime) -> bool {
        let since = u64::try_from(self.changed.0).map_or(Duration::ZERO, Duration::from_secs);
        let since = since + Duration::from_nanos(self.changed.1.clamp(0, 999_999_999) as u64);
        now.duration_since(UNIX_EPOCH).is_ok_and(|now| now >= since + Duration::from_millis(100))
    }
}

/// Names of files that may be flags.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// In no order.
    pub files: Vec<String>,
    /// There are more than were wanted.
    pub more: bool,
}

/// Why a file was not read.
#[derive(Debug)]
pub enum ReadError {
    /// There is none.
    Gone,
    /// The system says so.
    Io(io::Error),
    /// What it says is no flag.
    Fault(Fault),
}

impl std::fmt::Display for ReadError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ReadError::Gone => f.write_str("it is gone"),
            ReadError::Io(e) => e.fmt(f),
            ReadError::Fault(fault) => fault.fmt(f),
        }
    }
}

impl std::error::Error for ReadError {}

/// What was written.
#[derive(Debug, Clone, Copy)]
pub struct Wrote {
    /// What the new file is known by.
    pub stamp: Stamp,
    /// Whether it belongs to whom it should.
    pub is_given: bool,
}

impl Folder {
    /// Of files that belong to whoever writes them. Nothing is looked at yet.
    pub fn new(path: impl Into<PathBuf>) -> Folder {
        Folder { path: path.into(), owner: None, group: None }
    }

    /// New files, and the folder if it is made, are given to this user and group, if the system
    /// allows that.
    pub fn given_to(mut self, owner: Option<u32>, group: Option<u32>) -> Folder {
        (self.owner, self.group) = (owner, group);
        self
    }

    /// As [`Folder::given_to`], by names or numbers, which are looked up now.
    pub fn given_to_names(self, owner: Option<&str>, group: Option<&str>) -> Result<Folder, String> {
        let id = |kind, what, name: Option<&str>| match name {
            None => Ok(None),
            Some(name) => match (name.parse(), sys::id_of(kind, name)) {
                (Ok(number), _) | (_, Ok(Some(number))) => Ok(Some(number)),
                (_, Ok(None)) => Err(format!("there is no system {what} `{name}` on this machine")),
                (_, Err(e)) => Err(format!("the system {what} `{name}` cannot be looked up: {e}")),
            },
        };
        let owner = id(sys::Names::Users, "user", owner)?;
        let group = id(sys::Names::Groups, "group", group)?;
        Ok(self.given_to(owner, group))
    }

    /// New files are given to whom the folder belongs, where nothing else is said: so root does not
    /// leave files that nobody else may change.
    pub fn given_as_itself(mut self) -> io::Result<Folder> {
        let about = fs::metadata(&self.path)?;
        self.owner = self.owner.or(Some(about.uid()));
        self.group = self.group.or(Some(about.gid()));
        Ok(self)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes the folder if it is not there; that above must be. Returns whether it was made.
    pub fn make(&self) -> io::Result<bool> {
        match DirBuilder::new().mode(FOLDER_MODE).create(&self.path) {
            Err(e) if e.kind() == ErrorKind::AlreadyExists && self.path.is_dir() => Ok(false),
            Err(e) => Err(e),
            Ok(()) => {
                // whatever the mask of this process is
                fs::set_permissions(&self.path, Permissions::from_mode(FOLDER_MODE))?;
                if self.owner.is_some() || self.group.is_some() {
                    // Who may not give it away keeps it; files say so.
                    let _ = std::os::unix::fs::chown(&self.path, self.owner, self.group);
                }
                Ok(true)
            }
        }
    }

    /// Names of files that end as flags do: those that `is_known`, and others as long as there are
    /// not more than `most` of both.
    pub fn names(&self, most: usize, is_known: impl Fn(&str) -> bool) -> io::Result<Names> {
        let (mut known, mut others) = (Vec::new(), Vec::new());
        let mut more = false;
        for (n, entry) in fs::read_dir(&self.path)?.enumerate() {
            if n >= MAX_NAMES {
                more = true;
                break;
            }
            // What is no UTF-8 is no name of a flag.
            let Ok(name) = entry?.file_name().into_string() else { continue };
            if !(name.ends_with(ENDING) || name.ends_with(OWN_ENDING)) || name.starts_with('.') {
                continue;
            }
            let list = if is_known(&name) { &mut known } else { &mut others };
            if list.len() < most {
                list.push(name);
            } else {
                more = true;
            }
        }
        let room = most - known.len();
        more |= others.len() > room;
        others.truncate(room);
        known.append(&mut others);
        Ok(Names { files: known, more })
    }

    /// What a file is known by; `None`: there is none.
    pub fn stamp(&self, file: &str) -> io::Result<Option<Stamp>> {
        match fs::symlink_metadata(self.path.join(file)) {
            Ok(about) => Ok(Some(Stamp::of(&about))),
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Reads one file, and what it was known by then.
    pub fn read(&self, file: &str) -> Result<(FlagFile, Stamp), ReadError> {
        let open = OpenOptions::new()
            .read(true)
            // neither following a link out of the folder nor waiting for the other end of a pipe
            .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_CLOEXEC)
            .open(self.path.join(file));
        let opened = match open {
            Err(e) if e.kind() == ErrorKind::NotFound => return Err(ReadError::Gone),
            result => result.map_err(ReadError::Io)?,
        };
        let about = opened.metadata().map_err(ReadError::Io)?;
        if !about.is_file() {
            return Err(ReadError::Io(io::Error::other("it is no ordinary file")));
        }
        let mut bytes = Vec::new();
        opened.take(MAX_FILE as u64 + 1).read_to_end(&mut bytes).map_err(ReadError::Io)?;
        let flag = FlagFile::read(file, &bytes).map_err(ReadError::Fault)?;
        Ok((flag, Stamp::of(&about)))
    }

    /// All flags, at most `most`; those whose files are none, with why; and whether there are more.
    #[expect(clippy::type_complexity, reason = "good ones, bad ones and whether that is all")]
    pub fn list(&self, most: usize) -> io::Result<(Vec<FlagFile>, Vec<(String, ReadError)>, bool)> {
        let names = self.names(most, |_| false)?;
        let (mut flags, mut bad) = (Vec::new(), Vec::new());
        for file in names.files {
            match self.read(&file) {
                Ok((flag, _)) => flags.push(flag),
                Err(ReadError::Gone) => {}
                Err(why) => bad.push((file, why)),
            }
        }
        flags.sort_by(|a, b| a.name.cmp(&b.name));
        Ok((flags, bad, names.more))
    }

    /// Writes a flag's file; the one that was there becomes its backup.
    pub fn write(&self, flag: &FlagFile, now: u64) -> io::Result<Wrote> {
        let new = self.prepare(flag, now)?;
        new.on_disk()?;
        new.put()
    }

    /// Writes a flag's file beside its place. Of many files it is the faster way to prepare them
    /// all before the first is on disk.
    pub(super) fn prepare(&self, flag: &FlagFile, now: u64) -> io::Result<Prepared> {
        let place = self.path.join(flag.name.file_name());
        let new = with(&place, ".tmp");
        // one that a crash has left
        ignore_missing(fs::remove_file(&new))?;
        let file = OpenOptions::new().write(true).create_new(true).mode(FILE_MODE).open(&new)?;
        let mut new = Prepared { file, new, place, is_given: true, is_put: false };
        new.file.set_permissions(Permissions::from_mode(FILE_MODE))?;
        if self.owner.is_some() || self.group.is_some() {
            new.is_given = std::os::unix::fs::fchown(&new.file, self.owner, self.group).is_ok();
        }
        new.file.write_all(flag.text(now).as_bytes())?;
        Ok(new)
    }

    /// Removes a flag's file; returns whether there was one. Its backup stays.
    pub fn remove(&self, name: &FlagName) -> io::Result<bool> {
        ignore_missing(fs::remove_file(self.path.join(name.file_name())))
    }

    /// What was written, moved and removed is on disk when this returns.
    pub fn sync(&self) -> io::Result<()> {
        File::open(&self.path)?.sync_all()
    }
}

/// A file beside its place. It is removed again unless it is put there.
#[derive(Debug)]
pub(super) struct Prepared {
    file: File,
    new: PathBuf,
    place: PathBuf,
    is_given: bool,
    is_put: bool,
}

impl Prepared {
    /// What it says is on disk when this returns.
    pub(super) fn on_disk(&self) -> io::Result<()> {
        self.file.sync_all()
    }

    /// Moves it to its place.
    pub(super) fn put(mut self) -> io::Result<Wrote> {
        keep_old(&self.place)?;
        fs::rename(&self.new, &self.place)?;
        self.is_put = true;
        let stamp = Stamp::of(&fs::symlink_metadata(&self.place)?);
        Ok(Wrote { stamp, is_given: self.is_given })
    }
}

impl Drop for Prepared {
    fn drop(&mut self) {
        if !self.is_put {
            let _ = fs::remove_file(&self.new);
        }
    }
}

/// Makes a file its own backup, without a moment in which it is not there if that can be.
fn keep_old(place: &Path) -> io::Result<()> {
    let old = with(place, ".bak");
    let mut linked = fs::hard_link(place, &old);
    if linked.as_ref().is_err_and(|e| e.kind() == ErrorKind::AlreadyExists) {
        fs::remove_file(&old)?;
        linked = fs::hard_link(place, &old);
    }
    match linked {
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(()),
        // a file system without links, or a file that we may not link but may move
        Err(_) => ignore_missing(fs::rename(place, &old)).map(drop),
        Ok(()) => Ok(()),
    }
}

fn ignore_missing(result: io::Result<()>) -> io::Result<bool> {
    match result {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(false),
        Err(e) => Err(e),
    }
}

fn with(place: &Path, ending: &str) -> PathBuf {
    let mut name = place.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flag(name: &str, message: &str) -> FlagFile {
        FlagFile::new(FlagName::parse(name).unwrap(), message)
    }

    fn place() -> (tempfile::TempDir, Folder) {
        let above = tempfile::tempdir().unwrap();
        let folder = Folder::new(above.path().join("flags"));
        assert!(folder.make().unwrap() && !folder.make().unwrap());
        (above, folder)
    }

    #[test]
    fn a_file_is_written_whole_and_the_old_one_kept() {
        let (_above, folder) = place();
        let mode = |p: &Path| fs::metadata(p).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(folder.path()), 0o775);
        let wrote = folder.write(&flag("u/s/n", "one"), 5).unwrap();
        assert_eq!(folder.stamp("u_s_n.flag").unwrap(), Some(wrote.stamp));
        assert!(wrote.is_given);
        assert_eq!(mode(&folder.path().join("u_s_n.flag")), 0o664);
        let again = folder.write(&flag("u/s/n", "two"), 6).unwrap();
        assert_ne!(wrote.stamp, again.stamp);
        folder.write(&flag("u/s/n", "three"), 7).unwrap();
        let text = fs::read_to_string(folder.path().join("u_s_n.flag.bak")).unwrap();
        assert!(text.contains("message=two\n"), "{text}");
        assert_eq!(folder.read("u_s_n.flag").unwrap().0.message, "three");
        let mut names: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["u_s_n.flag", "u_s_n.flag.bak"], "nothing else is left");
        assert!(folder.remove(&FlagName::parse("u/s/n").unwrap()).unwrap());
        assert!(!folder.remove(&FlagName::parse("u/s/n").unwrap()).unwrap());
        folder.sync().unwrap();
    }

    #[test]
    fn what_a_crash_has_left_is_in_nobodys_way() {
        let (_above, folder) = place();
        fs::write(folder.path().join("u_s_n.flag.tmp"), "half").unwrap();
        fs::write(folder.path().join("u_s_n.flag.bak"), "old").unwrap();
        folder.write(&flag("u/s/n", "one"), 5).unwrap();
        assert_eq!(folder.list(9).unwrap().0.len(), 1);
        assert!(!folder.path().join("u_s_n.flag.tmp").exists());
        let old = fs::read_to_string(folder.path().join("u_s_n.flag.bak")).unwrap();
        assert_eq!(old, "old", "there was nothing to put in its place");
        folder.write(&flag("u/s/n", "two"), 6).unwrap();
        assert!(fs::read_to_string(folder.path().join("u_s_n.flag.bak")).unwrap().contains("message=one"));
    }

    #[test]
    fn only_flags_are_listed_and_bad_files_cost_themselves() {
        let (_above, folder) = place();
        for name in ["u/s/n", "U_/s/n", "u/s/m"] {
            folder.write(&flag(name, "x"), 5).unwrap();
        }
        for (name, text) in [("a_b_c.flag", "garbage"), ("readme.txt", "x"), ("x.flag.bak", "x"), (".flag", "x")] {
            fs::write(folder.path().join(name), text).unwrap();
        }
        std::os::unix::fs::symlink("/etc/passwd", folder.path().join("l_l_l.flag")).unwrap();
        fs::create_dir(folder.path().join("d_d_d.flag")).unwrap();
        let (flags, mut bad, more) = folder.list(9).unwrap();
        bad.sort_by(|a, b| a.0.cmp(&b.0));
        let names: Vec<_> = flags.iter().map(|f| f.name.to_string()).collect();
        assert_eq!((&names[..], more), (&["U_/s/n".to_owned(), "u/s/m".into(), "u/s/n".into()][..], false));
        let bad: Vec<_> = bad.iter().map(|(file, _)| file.as_str()).collect();
        assert_eq!(bad, ["a_b_c.flag", "d_d_d.flag", "l_l_l.flag"]);
        let names = folder.names(2, |name| name == "u_s_m.flag").unwrap();
        assert!(names.more && names.files.len() == 2 && names.files[0] == "u_s_m.flag", "{names:?}");
    }

    #[test]
    fn a_fresh_stamp_is_not_settled() {
        let (_above, folder) = place();
        let stamp = folder.write(&flag("u/s/n", "x"), 5).unwrap().stamp;
        let written = UNIX_EPOCH + Duration::new(stamp.changed.0 as u64, stamp.changed.1 as u32);
        assert!(!stamp.is_settled(written));
        assert!(stamp.is_settled(written + Duration::from_millis(100)));
        assert!(!stamp.is_settled(written - Duration::from_secs(9)), "a clock that was set back");
    }
}
