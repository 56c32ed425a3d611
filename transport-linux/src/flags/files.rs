//! What is known of the files in the folder, and what has changed there.
//!
//! Owns: telling changes of others from our own, and from files that somebody is just writing.
//! Runs in the thread that `keeper.rs` starts.
//!
//! The folder is looked through once a second, one `stat` for each file, and only what has changed
//! is read. inotify would say it sooner, but not on every file system and not if its queue
//! overflows, so the looking would be needed all the same; and the tools of the Communicator move a
//! file away before they write the new one, so a file that is gone has to stay gone for a second
//! before it counts.

use std::collections::{BTreeMap, HashSet};
use std::io::{self, ErrorKind};
use std::time::{SystemTime, UNIX_EPOCH};

use chappe_core::limits::MAX_FLAG_PART;

use super::file::FlagFile;
use super::folder::{Folder, ReadError, Stamp};
use super::name::FlagName;

/// How often in a row a file must not be there to be gone.
const GONE: u8 = 2;

/// Files that are prepared before the first of them is made sure to be on disk: then that of the
/// others costs little. They are open meanwhile.
const TOGETHER: usize = 64;

/// What was found: the flag is in a file like this, or in none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Found {
    Up(Box<FlagFile>),
    Down(FlagName),
}

/// What a look through the folder has brought.
#[derive(Debug, Default)]
pub(super) struct Look {
    pub(super) found: Vec<Found>,
    /// Files that are no flags, and why; each is named once.
    pub(super) bad: Vec<(String, String)>,
    /// There are more files than there may be flags.
    pub(super) more: bool,
}

#[derive(Debug, Default)]
struct Known {
    /// As it was when it was read; `None`: it was not.
    stamp: Option<Stamp>,
    /// It need not be read again as long as the stamp is the same.
    settled: bool,
    /// What it says, or has said before it became unreadable.
    flag: Option<FlagFile>,
    /// How often in a row it was not there.
    missing: u8,
    /// It was named as a bad one.
    named: bool,
}

/// The folder, and what is known of it.
#[derive(Debug)]
pub(super) struct Files {
    folder: Folder,
    known: BTreeMap<String, Known>,
    /// Most files that are known at a time.
    most: usize,
}

impl Files {
    pub(super) fn new(folder: Folder, most: usize) -> Files {
        Files { folder, known: BTreeMap::new(), most }
    }

    pub(super) fn folder(&self) -> &Folder {
        &self.folder
    }

    /// How many files are flags.
    pub(super) fn len(&self) -> usize {
        self.known.values().filter(|known| known.flag.is_some()).count()
    }

    /// Looks what others have changed.
    pub(super) fn look(&mut self, now: SystemTime) -> io::Result<Look> {
        let names = match self.folder.names(self.most, |name| self.known.contains_key(name)) {
            Err(e) if e.kind() == ErrorKind::NotFound => return self.make_again(now),
            names => names?,
        };
        let mut look = Look { more: names.more, ..Look::default() };
        let mut seen = HashSet::new();
        for name in names.files {
            if self.look_at(&name, now, &mut look)? {
                seen.insert(name);
            }
        }
        let mut gone = Vec::new();
        for (name, known) in self.known.iter_mut().filter(|(name, _)| !seen.contains(*name)) {
            // A listing that was cut, or changed meanwhile, says nothing.
            if self.folder.stamp(name)?.is_none() {
                known.missing += 1;
                if known.missing == GONE {
                    gone.push(name.clone());
                }
            }
        }
        for name in gone {
            if let Some(Known { flag: Some(flag), .. }) = self.known.remove(&name) {
                look.found.push(Found::Down(flag.name));
            }
        }
        Ok(look)
    }

    /// Returns whether it is there.
    fn look_at(&mut self, name: &str, now: SystemTime, look: &mut Look) -> io::Result<bool> {
        let Some(stamp) = self.folder.stamp(name)? else { return Ok(false) };
        let known = self.known.entry(name.to_owned()).or_default();
        known.missing = 0;
        if known.stamp == Some(stamp) {
            if known.settled {
                return Ok(true);
            }
        } else {
            known.named = false;
        }
        known.stamp = Some(stamp);
        known.settled = stamp.is_settled(now);
        let why = match self.folder.read(name) {
            Ok((flag, read)) if flag.name.is_on_bus() => {
                (known.stamp, known.settled) = (Some(read), read.is_settled(now));
                if known.flag.as_ref() != Some(&flag) {
                    known.flag = Some(flag.clone());
                    look.found.push(Found::Up(Box::new(flag)));
                }
                return Ok(true);
            }
            Ok((flag, _)) => {
                format!(
                    "{} has a part that is longer than {MAX_FLAG_PART} letters, which the bus cannot show",
                    flag.name
                )
            }
            Err(ReadError::Gone) => {
                return Ok(false);
            }
            Err(why) => {
                // What the system says may be over soon.
                known.settled &= matches!(why, ReadError::Fault(_));
                why.to_string()
            }
        };
        // Somebody may just be writing it.
        if stamp.is_settled(now) && !known.named {
            known.named = true;
            look.bad.push((name.to_owned(), why));
        }
        Ok(true)
    }

    /// Somebody has removed the folder. Alarms do not go with it: it is made again.
    fn make_again(&mut self, now: SystemTime) -> io::Result<Look> {
        self.folder.make()?;
        let since = now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        for known in self.known.values_mut() {
            if let Some(flag) = &mut known.flag {
                date(flag, since);
                known.stamp = Some(self.folder.write(flag, since)?.stamp);
                known.settled = false;
            }
        }
        self.folder.sync()?;
        Ok(Look::default())
    }

    /// Writes flags as they are on the bus. Returns of each whether its file belongs to whom it
    /// should.
    pub(super) fn raise(&mut self, flags: &[FlagFile], now: u64) -> Vec<io::Result<bool>> {
        let mut done = Vec::with_capacity(flags.len());
        for some in flags.chunks(TOGETHER) {
            let prepare = |flag: &FlagFile| {
                let mut flag = flag.clone();
                if let Some(before) = self.known.get(&flag.name.file_name()).and_then(|known| known.flag.as_ref()) {
                    flag.keep_what_was_cut(before);
                }
                date(&mut flag, now);
                self.folder.prepare(&flag, now).map(|new| (flag, new))
            };
            let prepared: Vec<_> = some.iter().map(prepare).collect();
            for new in prepared {
                done.push(new.and_then(|(flag, new)| {
                    new.on_disk()?;
                    let wrote = new.put()?;
                    let file = flag.name.file_name();
                    let known = Known { stamp: Some(wrote.stamp), flag: Some(flag), ..Known::default() };
                    self.known.insert(file, known);
                    Ok(wrote.is_given)
                }));
            }
        }
        done
    }

    /// Removes the file of a flag that was lowered on the bus.
    pub(super) fn lower(&mut self, name: &FlagName) -> io::Result<()> {
        self.folder.remove(name)?;
        self.known.remove(&name.file_name());
        Ok(())
    }
}

/// A flag whose file did not say when gets the time that is written.
fn date(flag: &mut FlagFile, now: u64) {
    flag.date.get_or_insert(now);
    flag.modified.get_or_insert(now);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::time::Duration;

    const TEXT: &str = "unit=u\nsection=s\nname=n\nmessage=by hand\npriority=60\n";

    struct Place {
        _above: tempfile::TempDir,
        files: Files,
    }

    impl Place {
        fn new(most: usize) -> Place {
            let above = tempfile::tempdir().unwrap();
            let folder = Folder::new(above.path().join("flags"));
            folder.make().unwrap();
            Place { files: Files::new(folder, most), _above: above }
        }

        fn put(&self, file: &str, text: &str) {
            fs::write(self.files.folder().path().join(file), text).unwrap();
        }

        fn remove(&self, file: &str) {
            fs::remove_file(self.files.folder().path().join(file)).unwrap();
        }

        /// Long after whatever was done.
        fn look(&mut self) -> Look {
            self.files.look(SystemTime::now() + Duration::from_secs(1)).unwrap()
        }

        /// In the moment in which it was done.
        fn look_at_once(&mut self) -> Look {
            self.files.look(SystemTime::now() - Duration::from_secs(1)).unwrap()
        }
    }

    fn flag(message: &str) -> FlagFile {
        FlagFile::new(FlagName::parse("u/s/n").unwrap(), message)
    }

    fn messages(look: &Look) -> Vec<&str> {
        let of = |found: &'_ Found| match found {
            Found::Up(flag) => flag.message.clone(),
            Found::Down(name) => format!("-{name}"),
        };
        look.found.iter().map(|found| &*of(found).leak()).collect()
    }

    #[test]
    fn others_raise_change_and_lower() {
        let mut place = Place::new(9);
        assert!(place.look().found.is_empty());
        place.put("u_s_n.flag", TEXT);
        assert_eq!(messages(&place.look()), ["by hand"]);
        assert!(place.look().found.is_empty());
        place.put("u_s_n.flag", &TEXT.replace("hand", "foot"));
        assert_eq!(messages(&place.look()), ["by foot"]);
        place.remove("u_s_n.flag");
        assert!(place.look().found.is_empty(), "it may be about to be written anew");
        assert_eq!(messages(&place.look()), ["-u/s/n"]);
        assert!(place.look().found.is_empty());
        place.put("u_s_n.flag", TEXT);
        place.look();
        place.remove("u_s_n.flag");
        place.look();
        place.put("u_s_n.flag", TEXT);
        assert!(place.look().found.is_empty(), "moved away and written again as it was");
        assert_eq!(place.files.len(), 1);
    }

    #[test]
    fn a_change_in_the_same_instant_is_seen_too() {
        let mut place = Place::new(9);
        place.put("u_s_n.flag", TEXT);
        assert_eq!(messages(&place.look_at_once()), ["by hand"]);
        // as if the clock of files had stood still
        place.put("u_s_n.flag", &TEXT.replace("hand", "foot"));
        let now = place.files.folder().stamp("u_s_n.flag").unwrap();
        place.files.known.get_mut("u_s_n.flag").unwrap().stamp = now;
        assert_eq!(messages(&place.look()), ["by foot"]);
    }

    #[test]
    fn what_we_write_ourselves_is_no_news() {
        let mut place = Place::new(9);
        assert!(place.files.raise(&[flag("ours\n and \\")], 5).remove(0).unwrap());
        assert!(place.look_at_once().found.is_empty() && place.look().found.is_empty());
        place.files.lower(&flag("").name).unwrap();
        assert!(place.look().found.is_empty() && place.look().found.is_empty());
        assert_eq!(place.files.len(), 0);
    }

    #[test]
    fn a_bad_file_costs_itself_and_is_named_once() {
        let mut place = Place::new(9);
        place.put("a_b_c.flag", "garbage");
        place.put("u_s_n.flag", TEXT);
        assert!(place.look_at_once().bad.is_empty(), "somebody may be writing it");
        let look = place.look();
        assert_eq!((look.bad.len(), look.bad[0].0.as_str()), (1, "a_b_c.flag"));
        assert!(look.bad[0].1.contains("`unit=`"), "{look:?}");
        assert!(place.look().bad.is_empty());
        place.put("a_b_c.flag", "other garbage");
        assert_eq!(place.look().bad.len(), 1);
        place.put("a_b_c.flag", &TEXT.replace("=u", "=a").replace("=s", "=b").replace("=n", "=c"));
        assert_eq!(place.look().found.len(), 1);
        // a raised flag whose file becomes garbage stays raised
        place.put("a_b_c.flag", "garbage");
        let look = place.look();
        assert_eq!((look.bad.len(), look.found.len(), place.files.len()), (1, 0, 2));
        place.remove("a_b_c.flag");
        place.look();
        assert_eq!(messages(&place.look()), ["-a/b/c"]);
    }

    #[test]
    fn names_that_the_bus_does_not_have_are_named() {
        let mut place = Place::new(9);
        let long = "x".repeat(33);
        place.put(&format!("{long}_s_n.flag"), &TEXT.replace("=u", &format!("={long}")));
        let look = place.look();
        assert!(look.found.is_empty() && look.bad[0].1.contains("longer than 32"), "{look:?}");
    }

    #[test]
    fn more_files_than_there_may_be_are_said_and_those_known_stay() {
        let mut place = Place::new(2);
        place.put("u_s_n.flag", TEXT);
        place.look();
        for name in ["a", "b", "c"] {
            place.put(&format!("u_s_{name}.flag"), &TEXT.replace("=n", &format!("={name}")));
        }
        let look = place.look();
        assert!(look.more);
        assert_eq!((look.found.len(), place.files.len()), (1, 2));
        assert!(place.look().found.is_empty());
        for name in ["n", "a", "b", "c"] {
            let file = format!("u_s_{name}.flag");
            if place.files.known.contains_key(&file) {
                place.remove(&file);
            }
        }
        let gone = [place.look(), place.look()];
        assert!(!gone[1].more);
        assert_eq!(gone.iter().map(|look| look.found.len()).sum::<usize>(), 4, "two went, two came");
    }

    #[test]
    fn a_folder_that_goes_away_comes_back_with_its_alarms() {
        let mut place = Place::new(9);
        place.files.raise(&[flag("x")], 5).remove(0).unwrap();
        fs::remove_dir_all(place.files.folder().path()).unwrap();
        assert!(place.look().found.is_empty());
        assert_eq!(place.files.folder().read("u_s_n.flag").unwrap().0.message, "x");
        assert!(place.look().found.is_empty() && place.look().found.is_empty());
    }
}
