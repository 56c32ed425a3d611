//! Entries of a persistence file as values of a store.
//!
//! Owns: which names and times they get, what has no place here and why, and that a damaged
//! file changes nothing. Does not own the form of either file (`persistence.rs`, `store`).
//!
//! | there | here |
//! |---|---|
//! | a key | the name that clients of this dialect have for it on the bus (`dialect/clacks/name.rs`) |
//! | a time of modification | that of the change: the newer counts (D10) |
//! | no such time | the oldest there is |
//! | a time of access | the same: a value that nobody asks for is cleaned away after a while |
//! | no such time (before version 22) | now, so that nothing is cleaned away that is in use |
//! | a deletion mark | a removal that is remembered |

use std::fmt;
use std::path::{Path, PathBuf};

use chappe_core::dialect::clacks::name::to_bus;
use chappe_core::dialect::clacks::time::Time;
use chappe_core::router::store::{Stamp, Stored};

use super::persistence::{self, Damage, Form, Row, shown};
use crate::config::MAX_CLACKS_VALUE;
use crate::store::{self, FileError, Problem};

/// Longest value that any node can keep: it must fit into a line, with its name.
const LONGEST: usize = MAX_CLACKS_VALUE as usize;

/// How many keys of a kind are named.
const NAMED: usize = 10;

/// Where values go.
#[derive(Debug, Clone, Copy)]
pub struct Target<'p> {
    /// The file of values.
    pub file: &'p Path,
    /// Only to be looked at: nothing is written.
    pub rehearsal: bool,
}

/// What became of a persistence file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// How it was written.
    pub form: Form,
    /// Values in it that have a place here.
    pub values: u64,
    /// Deletion marks in it, likewise.
    pub marks: u64,
    /// Of both, how many are newer than what was there, and were taken. The others change
    /// nothing.
    pub taken: u64,
    /// Values without a time of modification, which are older than any other.
    pub timeless: u64,
    /// What has no place here.
    pub skipped: Vec<Skipped>,
    /// Octets of the longest value.
    pub longest: u64,
    /// Memory that the values and their names take, as `limits.values` counts it.
    pub memory: u64,
}

/// Entries that were left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// Why.
    pub reason: Reason,
    /// How many.
    pub entries: u64,
    /// Some of their keys, without control characters.
    pub keys: Vec<String>,
}

/// Why an entry has no place here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// Its name would be too long.
    Name,
    /// There is a line end in its key.
    LineEnd,
    /// Its value is longer than any node can keep.
    Value,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::Name => f.write_str("the key is longer than a name may be, 128 bytes as it is written on the bus"),
            Reason::LineEnd => f.write_str("there is a line end in the key, which no client can send"),
            Reason::Value => write!(f, "the value is longer than {LONGEST} bytes, more than any node keeps"),
        }
    }
}

/// Why nothing was taken.
#[derive(Debug)]
pub enum Error {
    /// The persistence file cannot be read.
    Read {
        /// Which.
        file: PathBuf,
        /// What the system says.
        error: std::io::Error,
    },
    /// The persistence file is damaged, or is none.
    Damaged {
        /// Which.
        file: PathBuf,
        /// What is wrong.
        damage: Damage,
        /// Copies that the original has made of it, and that are there.
        copies: Vec<PathBuf>,
    },
    /// The file of values will not do.
    Store(FileError),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Read { file, error } => write!(f, "cannot read {}: {error}", file.display()),
            Error::Damaged { file, damage, copies } => {
                write!(f, "{}{damage}. Nothing was taken", file.display())?;
                for (i, copy) in copies.iter().enumerate() {
                    let before = if i == 0 { "; a copy that Net::Clacks has made of it is" } else { " or" };
                    write!(f, "{before} {}", copy.display())?;
                }
                Ok(())
            }
            Error::Store(e) => e.fmt(f),
        }
    }
}

impl std::error::Error for Error {}

/// What ends the reading.
enum Stop {
    Damage(Damage),
    Store(Problem),
}

impl From<Damage> for Stop {
    fn from(damage: Damage) -> Self {
        Stop::Damage(damage)
    }
}

/// Puts what is in the persistence file `from` into a file of values: all of it, or nothing if
/// anything in it is damaged. Of two changes of a value the newer counts.
///
/// # Errors
/// If one of the files will not do. Nothing was changed then.
pub fn values(from: &Path, to: Target<'_>, now: Stamp) -> Result<Outcome, Error> {
    let bytes = std::fs::read(from).map_err(|error| Error::Read { file: from.to_owned(), error })?;
    let mut found = Found::default();
    let (mut form, mut damaged) = (None, None);
    let rows = |take: store::Take<'_>| match persistence::read(&bytes, &mut |row| {
        found.row(row, now, take).map_err(Stop::Store)
    }) {
        Ok(read) => {
            form = Some(read);
            Ok(())
        }
        Err(Stop::Store(problem)) => Err(problem),
        Err(Stop::Damage(damage)) => {
            damaged = Some(damage);
            Err(Problem::Io("the persistence file is damaged".into()))
        }
    };
    let result = if to.rehearsal { store::rehearse(to.file, rows) } else { store::import(to.file, rows) };
    if let Some(damage) = damaged {
        let copies = ["_bck", "_"].map(|end| {
            let mut name = from.as_os_str().to_owned();
            name.push(end);
            PathBuf::from(name)
        });
        let copies = copies.into_iter().filter(|copy| copy.is_file()).collect();
        return Err(Error::Damaged { file: from.to_owned(), damage, copies });
    }
    let taken = result.map_err(Error::Store)?;
    let Found { values, marks, timeless, skipped, longest, memory } = found;
    // it has been read to its end
    let form = form.unwrap_or(Form::V3);
    Ok(Outcome { form, values, marks, taken, timeless, skipped, longest, memory })
}

/// What has been found so far.
#[derive(Debug, Default)]
struct Found {
    values: u64,
    marks: u64,
    timeless: u64,
    skipped: Vec<Skipped>,
    longest: u64,
    memory: u64,
}

impl Found {
    fn row(&mut self, row: &Row<'_>, now: Stamp, take: store::Take<'_>) -> Result<(), Problem> {
        let mut spare = Default::default();
        let name = match to_bus(row.key, &mut spare) {
            _ if row.key.iter().any(|b| matches!(b, b'\r' | b'\n')) => return self.skip(Reason::LineEnd, row.key),
            Some(name) => name,
            None => return self.skip(Reason::Name, row.key),
        };
        let size = row.value.map_or(0, <[u8]>::len);
        if size > LONGEST {
            return self.skip(Reason::Value, row.key);
        }
        let changed = stamp(row.changed.unwrap_or_default());
        let accessed = match (row.value, row.accessed) {
            // of a removal: when it was made
            (None, _) => changed,
            (Some(_), Some(time)) => stamp(time),
            (Some(_), None) => now,
        };
        take(&store::Row::Value(Stored { name, value: row.value, changed, accessed, origin: 0 }))?;
        self.timeless += u64::from(row.changed.is_none());
        if row.value.is_none() {
            self.marks += 1;
            return Ok(());
        }
        self.values += 1;
        self.longest = self.longest.max(size as u64);
        self.memory += ((name.len() + size) as u64).div_ceil(BLOCK) * BLOCK;
        Ok(())
    }

    fn skip(&mut self, reason: Reason, key: &[u8]) -> Result<(), Problem> {
        let i = self.skipped.iter().position(|s| s.reason == reason).unwrap_or_else(|| {
            self.skipped.push(Skipped { reason, entries: 0, keys: Vec::new() });
            self.skipped.len() - 1
        });
        let skipped = &mut self.skipped[i];
        skipped.entries += 1;
        if skipped.keys.len() < NAMED {
            skipped.keys.push(shown(key));
        }
        Ok(())
    }
}

/// What a value and its name take in memory is a multiple of this.
const BLOCK: u64 = 64;

/// Before 1970 there was nothing.
fn stamp(time: Time) -> Stamp {
    Stamp::from_micros(u64::try_from(time.micros()).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Found as Held, Summary};

    const NOW: Stamp = Stamp::from_micros(5_000_000_000);

    struct Folder(tempfile::TempDir);

    impl Folder {
        fn new() -> Self {
            Folder(tempfile::tempdir().unwrap())
        }

        fn store(&self) -> PathBuf {
            self.0.path().join("v.redb")
        }

        fn file(&self, bytes: &[u8]) -> PathBuf {
            let file = self.0.path().join("store.dat");
            std::fs::write(&file, bytes).unwrap();
            file
        }

        fn import(&self, yaml: &str) -> Result<Outcome, Error> {
            let bytes = format!("\0CLACKSV3{yaml}\0CLACKSV3");
            values(&self.file(bytes.as_bytes()), Target { file: &self.store(), rehearsal: false }, NOW)
        }

        fn rows(&self) -> Vec<(String, Option<Vec<u8>>, u64, u64)> {
            let mut rows = Vec::new();
            let found = store::export(&self.store(), &mut |row| {
                let store::Row::Value(row) = row else { panic!("{row:?}") };
                let value = row.value.map(<[u8]>::to_vec);
                rows.push((row.name.to_owned(), value, row.changed.micros(), row.accessed.micros()));
                Ok(())
            });
            assert!(matches!(found, Ok(Held::Whole(_))), "{found:?}");
            rows
        }
    }

    fn entry(key: &str, data: &str, changed: &str, deleted: u8) -> String {
        format!("{key}: {{data: {data}, cachetime: {changed}, accesstime: 7.5, deleted: {deleted}}}\n")
    }

    #[test]
    fn keys_values_and_times_arrive_and_the_newer_counts() {
        let folder = Folder::new();
        let first = ["--- \n", &entry("a", "1", "100.25", 0), &entry("b", "''", "200", 1)].concat();
        let outcome = folder.import(&first).unwrap();
        assert_eq!((outcome.values, outcome.marks, outcome.taken, outcome.timeless), (1, 1, 2, 0));
        assert_eq!((outcome.form, outcome.longest, outcome.memory), (Form::V3, 1, 64));
        let want = vec![
            ("a".to_owned(), Some(b"1".to_vec()), 100_250_000, 7_500_000),
            ("b".to_owned(), None, 200_000_000, 200_000_000),
        ];
        assert_eq!(folder.rows(), want);
        // again, and with what is older and newer
        assert_eq!(folder.import(&first).unwrap().taken, 0);
        let second = ["--- \n", &entry("a", "old", "100", 0), &entry("b", "new", "201", 0)].concat();
        assert_eq!(folder.import(&second).unwrap().taken, 1);
        let rows = folder.rows();
        assert_eq!((&rows[0], rows[1].1.as_deref()), (&want[0], Some(&b"new"[..])));
    }

    #[test]
    fn keys_get_the_names_that_clients_have_for_them_and_some_have_none() {
        let folder = Folder::new();
        let long = "x".repeat(129);
        let keys = ["\"\\xe9\"", "a::*", "\"a\\nb\"", &long, "\"c\\r\"", "ok"];
        let yaml: String = keys.iter().map(|key| entry(key, "1", "1", 0)).collect();
        let outcome = folder.import(&format!("--- \n{yaml}")).unwrap();
        let names: Vec<_> = folder.rows().into_iter().map(|row| row.0).collect();
        assert_eq!(names, ["\\xe9", "a::**", "ok"]);
        let skipped = |reason, entries, keys: &[&str]| {
            let keys = keys.iter().map(|key| (*key).to_owned()).collect();
            Skipped { reason, entries, keys }
        };
        let cut = format!("`{}…`", &long[..60]);
        assert_eq!(
            outcome.skipped,
            [skipped(Reason::LineEnd, 2, &["`a\\nb`", "`c\\r`"]), skipped(Reason::Name, 1, &[&cut])]
        );
        assert_eq!((outcome.values, outcome.taken), (3, 3));
    }

    #[test]
    fn a_value_that_no_node_can_keep_is_left_out() {
        let folder = Folder::new();
        let yaml = ["--- \n", &entry("a", &"x".repeat(LONGEST), "1", 0), &entry("b", &"x".repeat(LONGEST + 1), "1", 0)]
            .concat();
        let outcome = folder.import(&yaml).unwrap();
        assert_eq!((outcome.values, outcome.longest), (1, LONGEST as u64));
        assert_eq!((outcome.skipped[0].reason, outcome.skipped[0].entries), (Reason::Value, 1));
    }

    #[test]
    fn what_was_written_without_times_gets_some() {
        let folder = Folder::new();
        // Base64 of "--- \na: 1\nb: 2\n" and of "--- \na: 3\ngone: 4\n"
        let file = folder.file(b"LS0tIAphOiAxCmI6IDIK\nLS0tIAphOiAzCmdvbmU6IDQK\nENDBYTES\n");
        let to = folder.store();
        let outcome = values(&file, Target { file: &to, rehearsal: false }, NOW).unwrap();
        assert_eq!((outcome.form, outcome.values, outcome.marks, outcome.timeless), (Form::Lines, 2, 1, 1));
        let times: Vec<_> = folder.rows().into_iter().map(|row| (row.0, row.2, row.3)).collect();
        let now = NOW.micros();
        assert_eq!(
            times,
            [("a".to_owned(), 3_000_000, now), ("b".to_owned(), 0, now), ("gone".to_owned(), 4_000_000, 4_000_000)]
        );
    }

    #[test]
    fn a_rehearsal_says_the_same_and_writes_nothing() {
        let folder = Folder::new();
        let yaml = ["--- \n", &entry("a", "1", "100", 0), &entry("b", "''", "200", 1)].concat();
        let file = folder.file(format!("\0CLACKSV3{yaml}\0CLACKSV3").as_bytes());
        let to = folder.store();
        let rehearse = || values(&file, Target { file: &to, rehearsal: true }, NOW);
        assert_eq!(rehearse().unwrap().taken, 2);
        assert!(!to.exists());
        folder.import(&["--- \n", &entry("a", "1", "150", 0)].concat()).unwrap();
        let before = std::fs::read(&to).unwrap();
        folder.file(format!("\0CLACKSV3{yaml}\0CLACKSV3").as_bytes());
        assert_eq!(rehearse().unwrap().taken, 1);
        assert!(std::fs::read(&to).unwrap() == before);
        assert_eq!(
            store::check(&to).unwrap(),
            Summary { values: 1, tombstones: 0, bytes: 2, ..store::check(&to).unwrap() }
        );
        let nowhere = folder.0.path().join("no/v.redb");
        let refused = values(&file, Target { file: &nowhere, rehearsal: true }, NOW);
        assert!(matches!(refused, Err(Error::Store(_))), "{refused:?}");
    }

    #[test]
    fn a_damaged_file_changes_nothing_and_its_copies_are_named() {
        let folder = Folder::new();
        folder.import(&["--- \n", &entry("a", "1", "100", 0)].concat()).unwrap();
        let before = std::fs::read(folder.store()).unwrap();
        std::fs::write(folder.0.path().join("store.dat_bck"), "x").unwrap();
        let good = entry("b", "1", "100", 0);
        let error = folder.import(&format!("--- \n{good}c: d\n")).unwrap_err().to_string();
        assert!(error.contains("store.dat, line 3: the key `c`") && error.contains("Nothing was taken"), "{error}");
        assert!(error.ends_with("store.dat_bck"), "{error}");
        assert!(std::fs::read(folder.store()).unwrap() == before || folder.rows().len() == 1);
        assert_eq!(folder.rows().len(), 1);
        // and where there was no file, there is none
        let folder = Folder::new();
        assert!(folder.import(&format!("--- \n{good}c: d\n")).is_err() && !folder.store().exists());
        let missing =
            values(Path::new("/no/such"), Target { file: &folder.store(), rehearsal: false }, NOW).unwrap_err();
        assert!(missing.to_string().starts_with("cannot read /no/such: "), "{missing}");
    }
}
