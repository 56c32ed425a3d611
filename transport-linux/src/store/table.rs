//! The table of rows in a database file.
//!
//! Owns: the tables' names and the version of the form, opening, checking, reading all of it,
//! and writing a batch as one transaction. The database is redb: one file, copy on write, so a
//! crash at any moment leaves the last transaction whole. Does not own when something is
//! written (`writer.rs`) nor what a row is (`record.rs`).

use chappe_core::router::store::{Stored, StoredMail};
use redb::{Database, ReadableDatabase, ReadableTable, StorageBackend, TableDefinition};

use super::guard::guard;
use super::problem::Problem;
use super::record::{self, Clock, Entry, Row};

/// Rows by their names; see `record.rs`.
const VALUES: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("values");

/// Messages that wait, by their numbers. Files of versions that did not keep them have none.
const MAIL: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("mail");

/// About the file.
const ABOUT: TableDefinition<'_, &str, u64> = TableDefinition::new("about");

/// The key in [`ABOUT`] of the form's version.
const FORM: &str = "form";

/// The form that this version writes, and the only one it reads.
const FORM_NOW: u64 = 1;

/// What the database may keep of the file in memory: all values are in memory already, so it
/// is only for the upper parts of its tree and for what a transaction changes.
const CACHE: usize = 16 << 20;

/// An open database.
pub(super) struct Table {
    db: Option<Database>,
}

impl Table {
    /// Makes the database in an empty file.
    pub(super) fn create(medium: impl StorageBackend) -> Result<Table, Problem> {
        guard(|| {
            let table = Table { db: Some(builder().create_with_backend(medium).map_err(redb::Error::from)?) };
            table.change(|txn| {
                txn.open_table(ABOUT)?.insert(FORM, FORM_NOW)?;
                txn.open_table(VALUES)?;
                Ok(())
            })?;
            Ok(table)
        })
    }

    /// Opens the database in a file. What a crash has left half done is made undone.
    pub(super) fn open(medium: impl StorageBackend) -> Result<Table, Problem> {
        guard(|| {
            if medium.len()? == 0 {
                return Err(Problem::Damaged("it is empty".into()));
            }
            let table = Table { db: Some(builder().create_with_backend(medium).map_err(redb::Error::from)?) };
            let form = table.look(|txn| {
                let about = txn.open_table(ABOUT)?;
                Ok(about.get(FORM)?.map(|form| form.value()))
            })?;
            match form {
                Some(FORM_NOW) => Ok(table),
                Some(other) => Err(Problem::Newer(other)),
                None => Err(Problem::Damaged("it does not say which form it has".into())),
            }
        })
    }

    /// Reads every page of the file and compares its check sum. It may repair what it finds:
    /// only for a file that is not written to (`Overlay`). An error says what is wrong.
    pub(super) fn verify(&mut self) -> Result<(), Problem> {
        let db = &mut self.db;
        guard(|| {
            let db = db.as_mut().ok_or_else(closed)?;
            match db.check_integrity().map_err(redb::Error::from)? {
                true => Ok(()),
                false => Err(Problem::Damaged("its last change is not whole".into())),
            }
        })
    }

    /// Hands out every row, in the order of their names.
    pub(super) fn each(&self, mut found: impl FnMut(&Stored<'_>) -> Result<(), Problem>) -> Result<(), Problem> {
        guard(|| {
            let txn = self.db()?.begin_read().map_err(redb::Error::from)?;
            let table = txn.open_table(VALUES).map_err(redb::Error::from)?;
            for row in table.iter().map_err(redb::Error::from)? {
                let (name, bytes) = row.map_err(redb::Error::from)?;
                match record::read_sealed(bytes.value()) {
                    Some(row) if row.name == name.value() => found(&row)?,
                    _ => return Err(Problem::Damaged(format!("the value `{}` is not whole", name.value()))),
                }
            }
            Ok(())
        })
    }

    /// Hands out every message that waits, in the order of their numbers, with its record.
    pub(super) fn each_mail(
        &self,
        mut found: impl FnMut(&StoredMail<'_>, Clock, &[u8]) -> Result<(), Problem>,
    ) -> Result<(), Problem> {
        guard(|| {
            let txn = self.db()?.begin_read().map_err(redb::Error::from)?;
            let table = match txn.open_table(MAIL) {
                Err(redb::TableError::TableDoesNotExist(_)) => return Ok(()),
                table => table.map_err(redb::Error::from)?,
            };
            for row in table.iter().map_err(redb::Error::from)? {
                let (number, bytes) = row.map_err(redb::Error::from)?;
                match record::read_sealed_mail(bytes.value()) {
                    Some((mail, clock)) if mail.number == number.value() => found(&mail, clock, bytes.value())?,
                    _ => return Err(Problem::Damaged(format!("the message {} is not whole", number.value()))),
                }
            }
            Ok(())
        })
    }

    /// Writes a batch of records, one behind the other in each of its pieces, and returns when
    /// it is on disk, all of it or nothing. Of several records with one name the last counts,
    /// and what comes before the order to forget all rows is not even looked at.
    pub(super) fn write(&self, batch: &mut [Vec<u8>]) -> Result<Written, Problem> {
        // Where each record is: its piece, and the place in there. Messages by their numbers.
        let mut places: Vec<(u32, u32)> = Vec::new();
        let mut mail: Vec<(u64, (u32, u32))> = Vec::new();
        let mut is_cleared = false;
        for (p, piece) in batch.iter_mut().enumerate() {
            let mut at = 0;
            while at < piece.len() {
                let len = record::len(&piece[at..]).filter(|len| at + len <= piece.len()).ok_or_else(bug)?;
                let place = (p as u32, at as u32);
                if record::is_clear(&piece[at..]) {
                    places.clear();
                    is_cleared = true;
                } else if let Some(number) = record::mail_number(&piece[at..]) {
                    mail.push((number, place));
                } else {
                    places.push(place);
                }
                at += len;
            }
        }
        for (p, at) in places.iter().chain(mail.iter().map(|(_, place)| place)) {
            let record = &mut batch[*p as usize][*at as usize..];
            let len = record::len(record).unwrap_or(0);
            record::seal(&mut record[..len]);
        }
        let batch = &*batch;
        let begins = |(p, at): (u32, u32)| &batch[p as usize][at as usize..];
        let whole = |place: (u32, u32)| &begins(place)[..record::len(begins(place)).unwrap_or(0)];
        let name = |place: (u32, u32)| record::name(begins(place));
        // Neighbours share a page of the file; of those with one name the last comes last.
        places.sort_unstable_by(|a, b| name(*a).cmp(name(*b)).then(a.cmp(b)));
        let last = |i: &usize| places.get(i + 1).is_none_or(|next| name(*next) != name(places[*i]));
        mail.sort_unstable();
        let last_mail = |i: &usize| mail.get(i + 1).is_none_or(|next| next.0 != mail[*i].0);
        let mut written = Written { rows: 0, bytes: 0 };
        guard(|| {
            self.change(|txn| {
                let wrong = || std::io::Error::other(bug().to_string());
                if is_cleared {
                    // its pages are free at once: no row of it is looked at
                    txn.delete_table(VALUES)?;
                }
                let mut table = txn.open_table(VALUES)?;
                for i in (0..places.len()).filter(last) {
                    let record = whole(places[i]);
                    match record::read(record) {
                        Some(Entry::Keep(row)) => _ = table.insert(row.name, record)?,
                        Some(Entry::Forget(name)) => _ = table.remove(name)?,
                        _ => return Err(wrong().into()),
                    }
                    written.rows += 1;
                    written.bytes += record.len() as u64;
                }
                if mail.is_empty() {
                    return Ok(());
                }
                let mut table = txn.open_table(MAIL)?;
                for i in (0..mail.len()).filter(last_mail) {
                    let record = whole(mail[i].1);
                    match record::read(record) {
                        Some(Entry::Mail(mail, _)) => _ = table.insert(mail.number, record)?,
                        Some(Entry::MailGone(number)) => _ = table.remove(number)?,
                        _ => return Err(wrong().into()),
                    }
                    written.rows += 1;
                    written.bytes += record.len() as u64;
                }
                Ok(())
            })
        })?;
        Ok(written)
    }

    /// Takes rows in, all of them or, if `rows` ends in an error, none. Of two values with one
    /// name the newer counts; a message whose number is taken is there already. Returns how many
    /// were taken.
    pub(super) fn merge(
        &self,
        rows: impl FnOnce(&mut dyn FnMut(&Row<'_>) -> Result<(), Problem>) -> Result<(), Problem>,
    ) -> Result<u64, Problem> {
        guard(|| {
            let txn = self.db()?.begin_write().map_err(redb::Error::from)?;
            let mut taken = 0;
            {
                let mut table = txn.open_table(VALUES).map_err(redb::Error::from)?;
                let mut mails = txn.open_table(MAIL).map_err(redb::Error::from)?;
                let mut bytes = Vec::new();
                rows(&mut |row| {
                    bytes.clear();
                    match row {
                        Row::Value(row) if counts(&table, row)? => {
                            record::push(&mut bytes, row);
                            record::seal(&mut bytes);
                            table.insert(row.name, &bytes[..]).map_err(redb::Error::from)?;
                        }
                        Row::Mail(mail) if is_new(&mails, mail)? => {
                            record::push_mail(&mut bytes, mail, Clock::default());
                            record::seal(&mut bytes);
                            mails.insert(mail.number, &bytes[..]).map_err(redb::Error::from)?;
                        }
                        Row::Value(_) | Row::Mail(_) => return Ok(()),
                    }
                    taken += 1;
                    Ok(())
                })?;
            }
            txn.commit().map_err(redb::Error::from)?;
            Ok(taken)
        })
    }

    /// How many of these rows [`Table::merge`] would take, if each has a name or number of its own.
    pub(super) fn count_newer(
        &self,
        rows: impl FnOnce(&mut dyn FnMut(&Row<'_>) -> Result<(), Problem>) -> Result<(), Problem>,
    ) -> Result<u64, Problem> {
        guard(|| {
            let txn = self.db()?.begin_read().map_err(redb::Error::from)?;
            let table = txn.open_table(VALUES).map_err(redb::Error::from)?;
            let mails = match txn.open_table(MAIL) {
                Err(redb::TableError::TableDoesNotExist(_)) => None,
                mails => Some(mails.map_err(redb::Error::from)?),
            };
            let mut newer = 0;
            rows(&mut |row| {
                newer += u64::from(match (row, &mails) {
                    (Row::Value(row), _) => counts(&table, row)?,
                    (Row::Mail(mail), Some(mails)) => is_new(mails, mail)?,
                    (Row::Mail(_), None) => true,
                });
                Ok(())
            })?;
            Ok(newer)
        })
    }

    fn db(&self) -> Result<&Database, Problem> {
        self.db.as_ref().ok_or_else(closed)
    }

    fn look<T>(&self, what: impl FnOnce(&redb::ReadTransaction) -> Result<T, redb::Error>) -> Result<T, Problem> {
        let txn = self.db()?.begin_read().map_err(redb::Error::from)?;
        Ok(what(&txn)?)
    }

    fn change(&self, what: impl FnOnce(&redb::WriteTransaction) -> Result<(), redb::Error>) -> Result<(), Problem> {
        let txn = self.db()?.begin_write().map_err(redb::Error::from)?;
        what(&txn)?;
        txn.commit().map_err(redb::Error::from)?;
        Ok(())
    }
}

impl Drop for Table {
    /// Closing writes, and so can go wrong like anything else; then the next start has a
    /// little more to do.
    fn drop(&mut self) {
        let db = self.db.take();
        let _ = guard(|| {
            drop(db);
            Ok(())
        });
    }
}

/// What a batch came to: a name that changed twice is written once.
#[derive(Debug, Clone, Copy)]
pub(super) struct Written {
    pub(super) rows: u64,
    pub(super) bytes: u64,
}

/// Whether a row is newer than what is stored under its name.
fn counts(table: &impl ReadableTable<&'static str, &'static [u8]>, row: &Stored<'_>) -> Result<bool, Problem> {
    let stored = table.get(row.name).map_err(redb::Error::from)?;
    let stored = stored.as_ref().and_then(|stored| record::read_sealed(stored.value()));
    Ok(stored.is_none_or(|stored| record::is_newer(row, &stored)))
}

/// Whether there is no message with that number yet.
fn is_new(table: &impl ReadableTable<u64, &'static [u8]>, mail: &StoredMail<'_>) -> Result<bool, Problem> {
    Ok(table.get(mail.number).map_err(redb::Error::from)?.is_none())
}

fn builder() -> redb::Builder {
    let mut builder = Database::builder();
    builder.set_cache_size(CACHE);
    builder
}

/// Only a mistake of this program: what it would write is not what was said.
fn bug() -> Problem {
    Problem::Io("a change is not what it should be: this is a bug".into())
}

fn closed() -> Problem {
    Problem::Io("the database is closed".into())
}

#[cfg(test)]
mod tests {
    use super::super::disk::{Disk, Overlay};
    use super::*;
    use chappe_core::router::store::Stamp;
    use std::path::Path;

    fn row<'a>(name: &'a str, value: Option<&'a [u8]>, us: u64) -> Stored<'a> {
        let at = Stamp::from_micros(us);
        Stored { name, value, changed: at, accessed: at, origin: 0 }
    }

    fn create(path: &Path) -> Table {
        let new = Disk::create(path).unwrap();
        drop(Table::create(new.disk.clone()).unwrap());
        Table::open(new.keep().unwrap()).unwrap()
    }

    type Told = (String, Option<Vec<u8>>, u64);

    fn all(table: &Table) -> Vec<Told> {
        let mut rows = Vec::new();
        table
            .each(|r| {
                rows.push((r.name.to_owned(), r.value.map(<[u8]>::to_vec), r.changed.micros()));
                Ok(())
            })
            .unwrap();
        rows
    }

    #[test]
    fn the_last_of_a_batch_counts_and_comes_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("v");
        let table = create(&path);
        let mut batch = vec![Vec::new(), Vec::new()];
        for (i, r) in
            [row("b", Some(b"1"), 1), row("a", Some(b"2"), 2), row("b", None, 3), row("c", None, 4)].iter().enumerate()
        {
            record::push(&mut batch[i / 3], r);
        }
        record::push_forget(&mut batch[1], b"c");
        record::push_forget(&mut batch[1], b"never there");
        let written = table.write(&mut batch).unwrap();
        assert_eq!(written.rows, 4);
        drop(table);
        let mut table = Table::open(Overlay::new(Disk::look(&path).unwrap()).unwrap()).unwrap();
        table.verify().unwrap();
        assert_eq!(all(&table), [("a".into(), Some(b"2".to_vec()), 2), ("b".into(), None, 3)]);
    }

    #[test]
    fn merging_takes_what_is_newer_and_all_or_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let table = create(&folder.path().join("v"));
        let merge = |rows: &[Stored<'_>]| table.merge(|take| rows.iter().try_for_each(|row| take(&Row::Value(*row))));
        assert_eq!(merge(&[row("a", Some(b"1"), 5), row("b", Some(b"1"), 5)]), Ok(2));
        assert_eq!(merge(&[row("a", Some(b"0"), 4), row("b", None, 6), row("c", Some(b"1"), 1)]), Ok(2));
        let before = all(&table);
        assert_eq!(before.iter().map(|r| r.2).collect::<Vec<_>>(), [5, 6, 1]);
        let bad = Problem::Io("line 2".into());
        let failed = table.merge(|take| {
            take(&Row::Value(row("d", Some(b"1"), 9)))?;
            Err(bad.clone())
        });
        assert_eq!((failed, all(&table)), (Err(bad), before));
    }

    #[test]
    fn what_is_no_file_of_values_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let open = |bytes: &[u8]| {
            let path = folder.path().join("x");
            std::fs::write(&path, bytes).unwrap();
            let result = Table::open(Disk::open(&path).unwrap().unwrap()).map(drop);
            assert_eq!(std::fs::read(&path).unwrap(), bytes, "it was changed");
            result
        };
        for bytes in [&b""[..], b"x", &[0; 8192], &[0xff; 100_000]] {
            assert!(matches!(open(bytes), Err(Problem::Damaged(_))), "{:?}", open(bytes));
        }
        let path = folder.path().join("other");
        let db = Database::create(&path).unwrap();
        let txn = db.begin_write().unwrap();
        txn.open_table(TableDefinition::<u64, u64>::new("theirs")).unwrap();
        txn.commit().unwrap();
        drop(db);
        let other = Table::open(Disk::open(&path).unwrap().unwrap()).map(drop);
        assert!(matches!(&other, Err(Problem::Damaged(text)) if text.contains("not one of values")), "{other:?}");
    }

    #[test]
    fn a_newer_form_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("v");
        let table = create(&path);
        table.change(|txn| txn.open_table(ABOUT)?.insert(FORM, 2).map(drop).map_err(Into::into)).unwrap();
        drop(table);
        assert_eq!(Table::open(Disk::open(&path).unwrap().unwrap()).map(drop), Err(Problem::Newer(2)));
    }
}
