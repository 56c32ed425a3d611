//! A file of values whose octets are changed, cut or added to anywhere: it is read whole, or it is said
//! that it is damaged; what can be found in it is found; repaired, it is whole, has what was found, and
//! takes new values. Nothing that is handed out was never written.
#![no_main]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use chappe_core::router::store::{Stamp, Stored, StoredMail};
use chappe_fuzz::scratch;
use chappe_linux::store::{self, Found, Row};
use libfuzzer_sys::fuzz_target;

static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| scratch::folder("store-file"));

/// Rows as `(name or number, what is under it)`.
type Rows = BTreeMap<String, Vec<u8>>;

fn note(rows: &mut Rows, row: &Row<'_>) {
    match row {
        Row::Value(v) => rows.insert(format!("v{}", v.name), v.value.map_or(b"removed".into(), <[u8]>::to_vec)),
        Row::Mail(m) => rows.insert(format!("m{}", m.number), m.bytes.to_vec()),
    };
}

/// A good file, and what is in it.
static GOOD: LazyLock<(Vec<u8>, Rows)> = LazyLock::new(|| {
    let file = FOLDER.join("good");
    let at = Stamp::from_micros;
    let mut rows = Rows::new();
    for round in 0..3u64 {
        store::import(&file, |take| {
            for i in 0..20u64 {
                let (name, value) = (format!("name::{i}"), vec![b'a' + i as u8; 1 + (i * 37 % 200) as usize]);
                let value = (i % 5 != 4).then_some(&value[..]);
                let row = Stored { name: &name, value, changed: at(1000 + round), accessed: at(2000), origin: 1 };
                take(&Row::Value(row))?;
            }
            let number = 5 + round;
            let mail = StoredMail {
                number,
                name: "later",
                instance: "",
                from: 3,
                until: at(u64::MAX / 2),
                within_ms: 9000,
                form: 0,
                bytes: b"\x0a\x05later",
            };
            take(&Row::Mail(mail))
        })
        .expect("a good file");
    }
    store::export(&file, &mut |row| {
        note(&mut rows, row);
        Ok(())
    })
    .expect("a good file");
    assert_eq!(rows.len(), 23);
    (std::fs::read(&file).expect("a good file"), rows)
});

fn export(file: &Path) -> Result<(Rows, bool), String> {
    let mut rows = Rows::new();
    let found = store::export(file, &mut |row| {
        note(&mut rows, row);
        Ok(())
    });
    match found {
        Ok(Found::Whole(_)) => Ok((rows, true)),
        Ok(Found::Salvaged(..)) => Ok((rows, false)),
        Err(e) => Err(e.to_string()),
    }
}

fuzz_target!(|data: &[u8]| {
    let (good, was) = &*GOOD;
    let mut bytes = good.clone();
    let mut input = data;
    while let [op, a, b, c, rest @ ..] = input {
        input = rest;
        // in the first pages there is most
        let within = if op & 64 == 0 { bytes.len().min(16 << 10) } else { bytes.len() };
        let at = (usize::from(*a) << 8 | usize::from(*b)) * within >> 16;
        match op % 8 {
            0..=3 => {
                if let Some(octet) = bytes.get_mut(at) {
                    *octet ^= c;
                }
            }
            4 => bytes.truncate(at),
            5 => bytes.iter_mut().skip(at).take(usize::from(*c) * 16).for_each(|octet| *octet = 0),
            6 => {
                // a block from somewhere else
                let from = usize::from(*c) * within >> 8;
                let block: Vec<u8> = bytes.iter().copied().skip(from).take(512).collect();
                bytes.iter_mut().skip(at).zip(block).for_each(|(octet, b)| *octet = b);
            }
            _ => bytes.extend(std::iter::repeat_n(*c, usize::from(*b) * 16)),
        }
    }
    let file = FOLDER.join("changed");
    for entry in std::fs::read_dir(&*FOLDER).expect("a folder").flatten() {
        if entry.file_name() != "good" {
            _ = std::fs::remove_file(entry.path());
        }
    }
    std::fs::write(&file, &bytes).expect("a file");
    let checked = store::check(&file);
    assert_eq!(std::fs::read(&file).expect("it is there"), bytes, "a check changes nothing");
    let Ok((rows, is_whole)) = export(&file) else {
        assert!(checked.is_err(), "it was good");
        return;
    };
    assert_eq!(std::fs::read(&file).expect("it is there"), bytes, "an export changes nothing");
    assert_eq!(checked.is_ok(), is_whole);
    for (name, value) in &rows {
        assert_eq!(was.get(name), Some(value), "{name} was never written like that");
    }
    if is_whole {
        return;
    }
    match store::repair(&file) {
        Err(_) => assert_eq!(std::fs::read(&file).expect("it is there"), bytes, "the file is as it was"),
        Ok((_, aside)) => {
            let aside = aside.expect("it was damaged");
            assert_eq!(std::fs::read(aside).expect("it is kept"), bytes, "the damaged one is kept as it was");
            assert_eq!(export(&file), Ok((rows, true)), "repaired, it has what was found");
            let new = Stored {
                name: "new",
                value: Some(b"1"),
                changed: Stamp::from_micros(9),
                accessed: Stamp::from_micros(9),
                origin: 1,
            };
            assert_eq!(store::import(&file, |take| take(&Row::Value(new))).ok(), Some(1));
        }
    }
});
