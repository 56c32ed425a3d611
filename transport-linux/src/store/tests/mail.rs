//! Messages that wait for somebody (D9), beside the values on one disk.

use super::*;
use crate::store::record::Entry;

const THIS_BOOT: Clock = Clock { boot: 7, began: Stamp::from_micros(1_000_000) };

fn mail<'m>(number: u64, name: &'m str, bytes: &'m [u8]) -> StoredMail<'m> {
    StoredMail { number, name, instance: "", from: 5, until: at(9_000_000), within_ms: 60_000, form: 1, bytes }
}

/// The numbers and messages that a file holds.
fn mails(disk: &Disk) -> Vec<(u64, Vec<u8>)> {
    let mut table = Table::open(Overlay::new(disk.clone()).unwrap()).unwrap();
    table.verify().unwrap();
    let mut found = Vec::new();
    table
        .each_mail(|mail, _, _| {
            found.push((mail.number, mail.bytes.to_vec()));
            Ok(())
        })
        .unwrap();
    found
}

fn mails_of(file: &Path) -> Vec<(u64, Vec<u8>)> {
    mails(&Disk::look(file).unwrap())
}

fn numbers_of(file: &Path) -> Vec<u64> {
    mails_of(file).into_iter().map(|(number, _)| number).collect()
}

#[test]
fn mail_comes_back_as_it_was_in_the_order_of_its_numbers_and_what_is_gone_does_not() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("v");
    let mut settings = settings(&file, NEVER);
    settings.clock = THIS_BOOT;
    let (mut s, keeper, loaded) = open(&settings, empty(), || {}).unwrap();
    assert_eq!(loaded, Loaded::default());
    let long = vec![0xc4; 40_000];
    for number in [300, 2, 70_000, 5] {
        assert_eq!(s.keep_mail(&mail(number, "box", b"letter")), Ok(true));
    }
    let special =
        StoredMail { number: 4, name: "b\u{20ac}x", instance: "one", form: 200, from: u64::MAX, ..mail(0, "", &long) };
    s.keep_mail(&special).unwrap();
    s.set("value", b"1", at(1), 0).unwrap();
    flush(&mut s);
    // one goes in a batch of its own, one in the batch in which it came
    s.mail_gone(2, false);
    s.keep_mail(&mail(6, "box", b"short")).unwrap();
    s.mail_gone(6, false);
    flush(&mut s);
    assert_eq!(s.kept().waiting, 0);
    end(s, keeper);
    let (s, keeper, loaded) = open(&settings, empty(), || {}).unwrap();
    assert_eq!((loaded.values, loaded.tombstones), (1, 0));
    let stored: Vec<_> = loaded.mail.iter().map(|mail| mail.stored().unwrap()).collect();
    let want = [special, mail(5, "box", b"letter"), mail(300, "box", b"letter"), mail(70_000, "box", b"letter")];
    assert_eq!(stored, want);
    end(s, keeper);
}

#[test]
fn that_something_was_delivered_is_written_at_once_and_all_else_in_its_time() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("v");
    let (mut s, keeper) = open_file(&file, NEVER);
    for number in 1..=3 {
        s.keep_mail(&mail(number, "box", b"x")).unwrap();
    }
    s.mail_gone(3, false);
    assert_eq!((s.kept().waiting, keeper.counts()), (4, Counts::default()));
    s.mail_gone(1, true);
    until("written", || s.kept().waiting == 0);
    let counts = keeper.counts();
    assert_eq!((counts.commits, counts.rows), (1, 3), "all that came before it goes with it");
    end(s, keeper);
    assert_eq!(numbers_of(&file), [2]);
}

#[test]
fn forgetting_all_values_leaves_mail_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("v");
    let (mut s, keeper) = open_file(&file, NEVER);
    s.keep_mail(&mail(1, "box", b"x")).unwrap();
    flush(&mut s);
    s.keep_mail(&mail(2, "box", b"y")).unwrap();
    s.set("value", b"1", at(1), 0).unwrap();
    s.clear().unwrap();
    s.keep_mail(&mail(3, "box", b"z")).unwrap();
    s.mail_gone(1, false);
    end(s, keeper);
    assert_eq!(rows_of(&file).len(), 0);
    assert_eq!(numbers_of(&file), [2, 3]);
}

#[test]
fn a_file_of_a_version_without_mail_is_opened_and_gets_some() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("v");
    let (mut s, keeper) = open_file(&file, NEVER);
    s.set("value", b"1", at(1), 0).unwrap();
    end(s, keeper);
    {
        let db = redb::Database::open(&file).unwrap();
        let txn = redb::ReadableDatabase::begin_read(&db).unwrap();
        let tables: Vec<String> = txn.list_tables().unwrap().map(|t| redb::TableHandle::name(&t).to_owned()).collect();
        assert_eq!(tables, ["about", "values"], "who keeps no mail writes the files that older versions do");
    }
    assert_eq!(check(&file).unwrap().mail, 0);
    assert_eq!(rehearse(&file, |take| take(&Row::Mail(mail(1, "box", b"x")))).unwrap(), 1);
    let (mut s, keeper, loaded) = open(&settings(&file, NEVER), empty(), || {}).unwrap();
    assert_eq!((loaded.values, loaded.mail.len()), (1, 0));
    s.keep_mail(&mail(1, "box", b"x")).unwrap();
    end(s, keeper);
    assert_eq!((numbers_of(&file), rows_of(&file).len()), (vec![1], 1));
}

#[test]
fn mail_waits_for_a_disk_that_fails_and_goes_there_when_it_works() {
    let mut b = Bench::new(Duration::ZERO, |_| {});
    b.values.keep_mail(&mail(1, "box", b"before")).unwrap();
    flush(&mut b.values);
    b.fault.full.store(true, Ordering::SeqCst);
    b.values.keep_mail(&mail(2, "box", b"finds it out")).unwrap();
    until("it fails", || b.values.kept().how == Keeping::Failing);
    assert_eq!(b.values.set("value", b"1", at(1), 0), Err(StoreError::DiskFails));
    assert_eq!(b.values.keep_mail(&mail(3, "box", b"meanwhile")), Ok(true));
    b.values.mail_gone(1, true);
    assert_eq!(b.values.kept().waiting, 3);
    b.fault.full.store(false, Ordering::SeqCst);
    flush(&mut b.values);
    let disk = b.disk.clone();
    b.end();
    assert_eq!(mails(&disk), [(2, b"finds it out".to_vec()), (3, b"meanwhile".to_vec())]);
}

#[test]
fn beyond_the_queue_mail_is_in_memory_only_and_what_is_gone_is_noted_all_the_same() {
    let mut b = Bench::new(Duration::ZERO, |_| {});
    b.values.keep_mail(&mail(1, "box", b"first")).unwrap();
    flush(&mut b.values);
    b.fault.hold(true);
    let mut number = 1;
    until("one is under way", || {
        number += 1;
        b.values.keep_mail(&mail(number, "box", b"second")).unwrap();
        b.fault.waiting.load(Ordering::SeqCst) > 0
    });
    let before = b.keeper.counts();
    let refused = loop {
        number += 1;
        match b.values.keep_mail(&mail(number, "box", &[b'x'; 900])) {
            Ok(kept) => assert!(kept && number < 100_000, "there is no end to the queue"),
            Err(why) => break why,
        }
    };
    assert_eq!((refused, b.values.kept().how), (StoreError::DiskBehind, Keeping::Behind));
    assert_eq!(b.values.keep_mail(&mail(number + 1, "box", b"")), Err(StoreError::DiskBehind));
    for gone in 1..number {
        b.values.mail_gone(gone, true);
    }
    b.fault.hold(false);
    flush(&mut b.values);
    assert_eq!(b.keeper.counts().behind - before.behind, 1, "counted and logged once, not for each");
    let disk = b.disk.clone();
    b.end();
    assert_eq!(mails(&disk), []);
}

#[test]
fn power_may_fail_at_any_moment_and_no_message_is_lost_that_was_said_to_be_there() {
    // Batch k keeps message k, in pieces large and small, and says that message k - 3 is gone.
    let batches: Vec<Vec<u8>> = (1..=12u64)
        .map(|k| {
            let mut batch = Vec::new();
            let bytes = vec![k as u8; 2500 * (k as usize % 3)];
            record::push_mail(&mut batch, &mail(k, "box", &bytes), THIS_BOOT);
            if k > 3 {
                record::push_mail_gone(&mut batch, k - 3);
            }
            let row = Stored { name: "k", value: Some(b""), changed: at(k), accessed: at(k), origin: 0 };
            record::push(&mut batch, &row);
            batch
        })
        .collect();
    // with an eye on the file itself, which `cut_everywhere` only shows values of
    cut_files(&batches, |cut, said, file| {
        let version = rows_of(file).get("k").map_or(0, |row| row.1);
        let want: Vec<u64> = (version.saturating_sub(2).max(1)..=version).collect();
        assert_eq!(numbers_of(file), want, "{cut}");
        assert!(version >= said, "{cut}: {version}, but {said} was said to be on disk");
    });
}

#[test]
fn while_the_machine_runs_its_own_clock_says_when_mail_expires() {
    let kept = Clock { boot: 7, began: at(1000) };
    for (now, until) in [
        // the calendar was set forward by 500, and back
        (Clock { boot: 7, began: at(1500) }, 9500),
        (Clock { boot: 7, began: at(0) }, 8000),
        // since then it was booted, or nobody knows
        (Clock { boot: 8, began: at(1500) }, 9000),
        (Clock { boot: 0, began: at(1500) }, 9000),
    ] {
        assert_eq!(kept.told_by(now, at(9000)), at(until), "{now:?}");
    }
    assert_eq!(Clock::default().told_by(Clock::default(), at(9000)), at(9000));
    let extreme = Clock { boot: 7, began: at(u64::MAX) };
    assert_eq!(kept.told_by(extreme, at(u64::MAX)), at(u64::MAX));

    let folder = tempfile::tempdir().unwrap();
    let mut settings = settings(&folder.path().join("v"), NEVER);
    settings.clock = kept;
    let (mut s, keeper, _) = open(&settings, empty(), || {}).unwrap();
    s.keep_mail(&StoredMail { until: at(9000), ..mail(1, "box", b"x") }).unwrap();
    end(s, keeper);
    for (began, until) in [(1500, 9500), (900, 8900)] {
        settings.clock.began = at(began);
        let (s, keeper, loaded) = open(&settings, empty(), || {}).unwrap();
        assert_eq!(loaded.mail[0].stored().unwrap().until, at(until), "what is in the file stays as it is");
        end(s, keeper);
    }
}

#[test]
fn a_message_that_is_not_whole_is_damage_and_the_others_are_saved() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("v");
    let (mut s, keeper) = open_file(&file, NEVER);
    s.set("value", b"1", at(1), 0).unwrap();
    for number in 1..=50 {
        s.keep_mail(&mail(number, "box", format!("message {number} of them").as_bytes())).unwrap();
    }
    end(s, keeper);
    let whole = std::fs::read(&file).unwrap();
    let at = whole.windows(11).position(|w| w == b"message 17 ").unwrap();
    let mut bytes = whole.clone();
    bytes[at] ^= 1;
    std::fs::write(&file, &bytes).unwrap();
    let damaged = open(&settings(&file, NEVER), empty(), || {}).map(drop).unwrap_err();
    assert!(matches!(damaged.problem, Problem::Damaged(_)), "{damaged}");
    let (found, aside) = repair(&file).unwrap();
    assert!(matches!(found, Found::Salvaged(Summary { values: 1, mail: 49, .. }, _)), "{found:?}");
    assert!(aside.is_some());
    let want: Vec<u64> = (1..=50).filter(|n| *n != 17).collect();
    assert_eq!(numbers_of(&file), want);
}

#[test]
fn export_and_import_carry_mail_over_and_take_each_message_once() {
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = (folder.path().join("from"), folder.path().join("to"));
    let (mut s, keeper) = open_file(&from, NEVER);
    s.set("value", b"1", at(1), 0).unwrap();
    for number in 1..=3 {
        s.keep_mail(&mail(number, "box", b"x")).unwrap();
    }
    end(s, keeper);
    let copy = || {
        import(&to, |take| {
            let found = export(&from, take).map_err(|e| e.problem)?;
            assert!(matches!(found, Found::Whole(Summary { values: 1, mail: 3, bytes: 18, .. })), "{found:?}");
            Ok(())
        })
    };
    assert_eq!((copy().unwrap(), copy().unwrap()), (4, 0));
    assert_eq!(mails_of(&to), mails_of(&from));
    assert_eq!(rehearse(&to, |take| take(&Row::Mail(mail(3, "box", b"y")))).unwrap(), 0);
    let stopped = import(&to, |take| {
        take(&Row::Mail(mail(9, "box", b"y")))?;
        Err(Problem::Io("line 2".into()))
    });
    assert!(stopped.is_err());
    assert_eq!(numbers_of(&to), [1, 2, 3], "all or none");
}

#[test]
fn records_of_mail_say_the_same_when_they_are_read_and_whatever_is_wrong_with_one_is_seen() {
    let long = "n".repeat(128);
    let it = StoredMail { number: (1 << 63) - 1, name: &long, instance: &long, ..mail(1, "", b"\0bytes\xff") };
    let mut bytes = Vec::new();
    record::push_mail(&mut bytes, &it, THIS_BOOT);
    assert_eq!(bytes.len(), record::mail_size(&it));
    record::seal(&mut bytes);
    assert_eq!(record::read_sealed_mail(&bytes), Some((it, THIS_BOOT)));
    assert_eq!(record::read_sealed_row(&bytes), Some(Row::Mail(it)));
    assert_eq!(record::read_sealed(&bytes), None, "it is no value");
    for i in 0..bytes.len() * 8 {
        let mut wrong = bytes.clone();
        wrong[i / 8] ^= 1 << (i % 8);
        assert_eq!(record::read_sealed_row(&wrong), None, "bit {i}");
    }
    for cut in 0..bytes.len() {
        assert_eq!(record::read_sealed_row(&bytes[..cut]), None, "{cut}");
    }
    for bad in [
        StoredMail { number: 0, ..it },
        StoredMail { number: 1 << 63, ..it },
        StoredMail { name: "", ..it },
        StoredMail { instance: "a\u{1}", ..it },
    ] {
        let mut bytes = Vec::new();
        record::push_mail(&mut bytes, &bad, THIS_BOOT);
        record::seal(&mut bytes);
        assert_eq!(record::read_sealed_mail(&bytes), None, "{bad:?}");
    }
    let mut gone = Vec::new();
    record::push_mail_gone(&mut gone, 77);
    assert_eq!((record::read(&gone), record::len(&gone)), (Some(Entry::MailGone(77)), Some(gone.len())));
    record::seal(&mut gone);
    assert_eq!(record::read_sealed_row(&gone), None, "that is no row of a file");
}
