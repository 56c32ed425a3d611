//! Rows of a file whose database is broken.
//!
//! Owns: finding records in bytes, wherever they are: each says itself where it begins, how
//! long it is and whether it is whole. A database file also holds rows as they were before
//! their last changes; of several with one name the newest counts, as always. So what is found
//! is as new as the file, but something that was removed longer ago than removals are
//! remembered, or forgotten with everything else (`CLEARCACHE`), may be back; and so may a
//! message that was delivered lately.

use super::disk::Disk;
use super::problem::Problem;
use super::record::{self, HEADER, MARK, Row};

/// What is looked at at a time.
const WINDOW: usize = 1 << 20;

/// Longest record that a daemon can have written: the longest frame, and some more.
const LONGEST: usize = HEADER + 512 + (2 << 20);

/// Hands out every whole record of a file, also the old ones.
pub(super) fn each(disk: &Disk, mut found: impl FnMut(&Row<'_>) -> Result<(), Problem>) -> Result<(), Problem> {
    let mut window = vec![0; WINDOW + LONGEST];
    let mut from = 0;
    loop {
        let have = disk.read_some(from, &mut window)?;
        let bytes = &window[..have];
        let mut at = 0;
        // what begins in the first part of the window ends in it, unless the file does before
        while at < bytes.len().min(WINDOW) {
            at = bytes[at..].iter().position(|b| *b == MARK[0]).map_or(bytes.len(), |skip| at + skip);
            if at >= WINDOW {
                break;
            }
            let len = record::len(&bytes[at..]).filter(|len| *len <= LONGEST);
            at += match (len, len.and_then(|_| record::read_sealed_row(&bytes[at..]))) {
                (Some(len), Some(row)) => {
                    found(&row)?;
                    len
                }
                _ => 1,
            };
        }
        if at >= have && have < window.len() {
            return Ok(());
        }
        // the last one may have reached beyond the first part: go on behind it
        from += at as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chappe_core::router::store::{Stamp, Stored, StoredMail};

    #[test]
    fn records_are_found_between_anything_and_across_windows() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        let (mut bytes, mut names) = (Vec::new(), Vec::new());
        for i in 0..3000u32 {
            // rubbish that looks like a beginning, now and then
            bytes.extend((0..i % 97).flat_map(|n| MARK.into_iter().take(n as usize % 5)));
            let (name, at) = (format!("n{i}"), Stamp::from_micros(i.into()));
            let value = vec![MARK[0]; (i as usize * 37) % 3000];
            let mut one = Vec::new();
            if i % 3 == 1 {
                // a message among them
                let (number, instance) = (u64::from(i), if i % 2 == 0 { "" } else { "one" });
                let mail = StoredMail {
                    number,
                    name: &name,
                    instance,
                    from: 7,
                    until: at,
                    within_ms: 9,
                    form: 200,
                    bytes: &value,
                };
                record::push_mail(&mut one, &mail, record::Clock { boot: number, began: at });
            } else {
                let row = Stored { name: &name, value: Some(&value), changed: at, accessed: at, origin: 0 };
                record::push(&mut one, &row);
            }
            record::seal(&mut one);
            if i % 10 == 3 {
                let cut = one.len() - 1;
                one[cut] ^= 1; // not whole
            } else {
                names.push(name);
            }
            bytes.extend(one);
        }
        assert!(bytes.len() > 3 * WINDOW);
        std::fs::write(&path, &bytes).unwrap();
        let mut found = Vec::new();
        let disk = Disk::look(&path).unwrap();
        each(&disk, |row| {
            found.push(match row {
                Row::Value(row) => row.name.to_owned(),
                Row::Mail(mail) => {
                    let i: u32 = mail.name[1..].parse().unwrap();
                    assert_eq!((mail.number, i % 3, mail.instance.is_empty()), (u64::from(i), 1, i.is_multiple_of(2)));
                    assert_eq!((mail.from, mail.within_ms, mail.form), (7, 9, 200));
                    assert_eq!(mail.bytes.len(), (i as usize * 37) % 3000);
                    mail.name.to_owned()
                }
            });
            Ok(())
        })
        .unwrap();
        let first = found.iter().zip(&names).position(|(a, b)| a != b);
        assert_eq!((first, found.len()), (None, names.len()));
    }
}
