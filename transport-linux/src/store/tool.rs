//! What a person can do with a file of values while no daemon has it open.
//!
//! Owns: checking, reading, filling and repairing one. Does not own how rows look to that
//! person: that is the command line's.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use chappe_core::router::store::Stored;

use super::disk::{Disk, Overlay, parent, sync_folder, with_suffix};
use super::problem::{FileError, Problem};
use super::record::{self, Clock, Row};
use super::salvage;
use super::table::Table;

/// What is in a file.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Summary {
    /// Values.
    pub values: u64,
    /// Removals that are remembered.
    pub tombstones: u64,
    /// Messages that wait for somebody.
    pub mail: u64,
    /// Octets of names and values, and of those messages.
    pub bytes: u64,
    /// Octets of the file.
    pub file: u64,
}

impl Summary {
    fn count(&mut self, row: &Row<'_>) {
        match row {
            Row::Value(Stored { name, value: Some(value), .. }) => {
                self.values += 1;
                self.bytes += (name.len() + value.len()) as u64;
            }
            Row::Value(_) => self.tombstones += 1,
            Row::Mail(mail) => {
                self.mail += 1;
                self.bytes += (mail.name.len() + mail.instance.len() + mail.bytes.len()) as u64;
            }
        }
    }
}

/// How rows were found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// In a file that is whole: they are all there were.
    Whole(Summary),
    /// One by one in a damaged file: perhaps not all, and perhaps more than there were.
    Salvaged(Summary, Problem),
}

/// Takes a row; an error ends it.
pub type Take<'a> = &'a mut dyn FnMut(&Row<'_>) -> Result<(), Problem>;

/// Reads all of a file and compares every check sum. Changes nothing.
///
/// # Errors
/// What is wrong with it.
pub fn check(file: &Path) -> Result<Summary, FileError> {
    whole(&Disk::look(file).map_err(|p| p.of(file))?, &mut |_| Ok(())).map_err(|p| p.of(file))
}

/// Hands out the rows of a file, values in the order of their names and then messages in the order
/// in which they came; of a damaged one those that can
/// be found. Changes nothing.
///
/// # Errors
/// If it cannot be read at all, or `take` fails.
pub fn export(file: &Path, take: Take<'_>) -> Result<Found, FileError> {
    Disk::look(file).and_then(|disk| read(&disk, take)).map_err(|p| p.of(file))
}

/// Puts rows into a file, which is made if it is not there: all of them, or none if `rows`
/// ends in an error. Of two values with one name the newer counts, and a message whose number is
/// taken is there already. Returns how many were taken.
///
/// # Errors
/// If the file cannot be written, or `rows` fails.
pub fn import(file: &Path, rows: impl FnOnce(Take<'_>) -> Result<(), Problem>) -> Result<u64, FileError> {
    let import = || match Disk::open(file)? {
        Some(disk) => {
            Table::open(Overlay::new(disk.clone())?)?.verify()?;
            Table::open(disk)?.merge(rows)
        }
        None => {
            let new = Disk::create(file)?;
            let taken = Table::create(new.disk.clone())?.merge(rows)?;
            new.keep()?;
            Ok(taken)
        }
    };
    import().map_err(|p: Problem| p.of(file))
}

/// Says what [`import`] would return, and changes nothing.
///
/// # Errors
/// As [`import`], as far as that can be known without writing.
pub fn rehearse(file: &Path, rows: impl FnOnce(Take<'_>) -> Result<(), Problem>) -> Result<u64, FileError> {
    let rehearse = || {
        if file.try_exists()? {
            let mut table = Table::open(Overlay::new(Disk::look(file)?)?)?;
            table.verify()?;
            return table.count_newer(rows);
        }
        // a new file needs its folder
        std::fs::metadata(parent(file))?;
        let mut taken = 0;
        rows(&mut |_| {
            taken += 1;
            Ok(())
        })?;
        Ok(taken)
    };
    rehearse().map_err(|p: Problem| p.of(file))
}

/// Makes a damaged file whole: what can be found in it becomes the file, and the damaged one
/// is kept beside it. Does nothing to one that is whole. Returns what was found, and where the
/// damaged file is now.
///
/// # Errors
/// If it cannot be read or written; the file is as it was.
pub fn repair(file: &Path) -> Result<(Found, Option<PathBuf>), FileError> {
    let repair = || {
        let not_there = || Problem::Io("there is no such file".into());
        let disk = Disk::open(file)?.ok_or_else(not_there)?;
        match whole(&disk, &mut |_| Ok(())) {
            Ok(summary) => return Ok((Found::Whole(summary), None)),
            Err(Problem::Damaged(_)) => {}
            Err(other) => return Err(other),
        }
        let new = Disk::create(file)?;
        let table = Table::create(new.disk.clone())?;
        let mut found = None;
        table.merge(|take| {
            found = Some(read(&disk, take)?);
            Ok(())
        })?;
        drop(table);
        let aside = aside(file);
        // A second name first, where there is such a thing: whatever happens, both are there.
        std::fs::hard_link(file, &aside).or_else(|_| std::fs::rename(file, &aside))?;
        new.replace()?;
        sync_folder(file)?;
        Ok((found.ok_or_else(not_there)?, Some(aside)))
    };
    repair().map_err(|p: Problem| p.of(file))
}

/// A name beside `file` that nothing has.
fn aside(file: &Path) -> PathBuf {
    let names = (0u32..).map(|n| match n {
        0 => with_suffix(file, ".damaged"),
        n => with_suffix(file, &format!(".damaged.{n}")),
    });
    // there are more numbers than files in a folder
    names.into_iter().find(|name| !name.exists()).unwrap_or_else(|| with_suffix(file, ".damaged"))
}

/// The rows of a file that is whole. Nothing is handed out of one that is not.
fn whole(disk: &Disk, take: Take<'_>) -> Result<Summary, Problem> {
    let mut table = Table::open(Overlay::new(disk.clone())?)?;
    table.verify()?;
    let mut summary = Summary { file: disk.size()?, ..Summary::default() };
    table.each(|row| {
        summary.count(&Row::Value(*row));
        Ok(())
    })?;
    table.each_mail(|mail, _, _| {
        summary.count(&Row::Mail(*mail));
        Ok(())
    })?;
    table.each(|row| take(&Row::Value(*row)))?;
    table.each_mail(|mail, _, _| take(&Row::Mail(*mail)))?;
    Ok(summary)
}

fn read(disk: &Disk, take: Take<'_>) -> Result<Found, Problem> {
    let problem = match whole(disk, take) {
        Ok(summary) => return Ok(Found::Whole(summary)),
        Err(problem @ Problem::Damaged(_)) => problem,
        Err(other) => return Err(other),
    };
    let mut newest: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    // all that was ever written under one number is the same
    let mut mails: BTreeMap<u64, Vec<u8>> = BTreeMap::new();
    salvage::each(disk, |row| {
        let mut bytes = Vec::new();
        match row {
            Row::Value(row) => {
                let is_older = newest
                    .get(row.name)
                    .and_then(|bytes| record::read_sealed(bytes))
                    .is_some_and(|stored| !record::is_newer(row, &stored));
                if !is_older {
                    record::push(&mut bytes, row);
                    record::seal(&mut bytes);
                    newest.insert(row.name.to_owned(), bytes);
                }
            }
            Row::Mail(mail) => {
                record::push_mail(&mut bytes, mail, Clock::default());
                record::seal(&mut bytes);
                mails.insert(mail.number, bytes);
            }
        }
        Ok(())
    })?;
    let mut summary = Summary { file: disk.size()?, ..Summary::default() };
    for row in newest.values().chain(mails.values()).filter_map(|bytes| record::read_sealed_row(bytes)) {
        summary.count(&row);
        take(&row)?;
    }
    Ok(Found::Salvaged(summary, problem))
}

#[cfg(test)]
mod tests {
    use super::*;
    use chappe_core::router::store::Stamp;

    type Rows = BTreeMap<String, Option<Vec<u8>>>;

    /// Rows of some lengths, each changed three times, so that old ones lie around.
    fn fill(file: &Path, names: u64) -> Rows {
        let mut rows = Rows::new();
        for round in 1..=3u64 {
            let import = import(file, |take| {
                for i in 0..names {
                    let (name, len) =
                        (format!("name::{i}"), (i * 37 % 200 + if i % 50 == 0 { 9000 } else { 0 }) as usize);
                    let value = (round < 3 || i % 7 > 0).then(|| vec![b'a' + (i % 26) as u8 + round as u8; len]);
                    let at = Stamp::from_micros(round * 1000 + i);
                    let row = Stored { name: &name, value: value.as_deref(), changed: at, accessed: at, origin: 0 };
                    take(&Row::Value(row))?;
                    rows.insert(name, value);
                }
                Ok(())
            });
            assert_eq!(import.unwrap(), names);
        }
        rows
    }

    fn exported(file: &Path) -> Result<(Rows, Found), FileError> {
        let mut rows = Rows::new();
        let found = export(file, &mut |row| {
            let Row::Value(row) = row else { return Ok(()) };
            assert_eq!(rows.insert(row.name.to_owned(), row.value.map(<[u8]>::to_vec)), None, "handed out twice");
            Ok(())
        })?;
        Ok((rows, found))
    }

    #[test]
    fn what_goes_in_comes_out_and_is_counted() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("v");
        let rows = fill(&file, 300);
        let (out, found) = exported(&file).unwrap();
        assert!(out == rows);
        let summary = check(&file).unwrap();
        assert_eq!(found, Found::Whole(summary));
        assert_eq!((summary.values, summary.tombstones), (257, 43));
        assert_eq!(summary.file, std::fs::metadata(&file).unwrap().len());
        assert_eq!(repair(&file).unwrap(), (Found::Whole(summary), None));
        assert!(matches!(check(&folder.path().join("no")).unwrap_err().problem, Problem::Io(_)));
        assert!(matches!(repair(&folder.path().join("no")).unwrap_err().problem, Problem::Io(_)));
    }

    #[test]
    fn a_wrong_line_takes_nothing_in_and_leaves_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("v");
        let bad = import(&file, |_| Err(Problem::Io("line 1".into())));
        assert!(bad.is_err() && std::fs::read_dir(folder.path()).unwrap().next().is_none());
    }

    #[test]
    fn wherever_a_file_is_damaged_that_is_found_or_did_not_matter_and_it_can_be_repaired() {
        let folder = tempfile::tempdir().unwrap();
        let (file, broken) = (folder.path().join("v"), folder.path().join("broken"));
        let rows = fill(&file, 200);
        let good = std::fs::read(&file).unwrap();
        let (mut found, mut harmless, mut saved) = (0, 0, 0);
        for step in 0..200 {
            let mut bytes = good.clone();
            // a bit, a sector, the end
            let at = (step * 7919 * 13) % good.len();
            match step % 4 {
                0 | 1 => bytes[at] ^= 1 << (step % 8),
                2 => bytes[at / 512 * 512..][..512.min(good.len() - at / 512 * 512)].fill(0xa5),
                _ => bytes.truncate(at),
            }
            std::fs::write(&broken, &bytes).unwrap();
            let result = check(&broken);
            assert!(std::fs::read(&broken).unwrap() == bytes, "looking has changed it");
            match result {
                Ok(_) => {
                    harmless += 1;
                    assert!(exported(&broken).unwrap().0 == rows, "step {step}: damage that nobody has noticed");
                }
                Err(FileError { problem: Problem::Damaged(_), .. }) => {
                    found += 1;
                    let (out, salvaged) = exported(&broken).unwrap();
                    assert!(matches!(salvaged, Found::Salvaged(..)));
                    let (_, aside) = repair(&broken).unwrap();
                    let aside = aside.unwrap();
                    assert!(std::fs::read(&aside).unwrap() == bytes, "the damaged file is kept");
                    std::fs::remove_file(aside).unwrap();
                    check(&broken).unwrap();
                    assert!(exported(&broken).unwrap().0 == out, "what was shown is what was kept");
                    // with one row broken or old, all others are there
                    let same = rows.iter().filter(|(name, value)| out.get(*name) == Some(value)).count();
                    if step % 4 < 3 {
                        assert!(same >= 170, "step {step}: only {same}");
                    }
                    saved += same;
                }
                Err(other) => panic!("step {step}: {other}"),
            }
        }
        assert!(found > 60 && harmless > 10, "{found} {harmless}");
        assert!(saved > 150 * found / 2, "{saved} of {found}");
    }
}
