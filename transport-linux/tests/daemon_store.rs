//! Values on disk: a real daemon that is killed, stopped, given a full disk, a damaged file,
//! or a file that another one has.

mod support;

use std::path::Path;
use std::process::{Command, Output};
use std::time::Instant;

use chappe_core::dialect::messi::repr::{Code, ServerToClient, Store, StoreOp};
use serde_json::Value;
use support::held::Held;
use support::tmpfs::Tmpfs;
use support::{CHAPPE, Daemon, PATIENCE, Station, until};

/// Writes at once, and into `folder`.
const STORE: &str = "[store]\npath = \"DISK/v.redb\"\nwrite_within_ms = 5\n";

/// Writes only when it must.
const LAZY: &str = "[store]\npath = \"DISK/v.redb\"\nwrite_within_ms = 3600000\n";

fn start(config: &str, disk: &Path) -> Daemon {
    Daemon::start(&config.replace("DISK", disk.to_str().unwrap()))
}

/// Ends it as a power cut does, as far as the process is concerned.
fn kill(daemon: &mut Daemon) {
    daemon.child.kill().unwrap();
    daemon.child.wait().unwrap();
}

fn stop(daemon: &mut Daemon) {
    daemon.signal("TERM");
    assert!(daemon.wait().success());
}

fn chappe(args: &[&str]) -> Output {
    Command::new(CHAPPE).args(args).env_remove("CHAPPE_CONNECT").output().unwrap()
}

/// What `chappe store export` prints.
fn exported(file: &Path) -> Vec<Value> {
    let out = chappe(&["store", "export", file.to_str().unwrap()]);
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap().lines().map(|l| serde_json::from_str(l).unwrap()).collect()
}

trait Values {
    fn op(&mut self, op: StoreOp, name: &str, value: &[u8], seq: u32);
    fn answer(&mut self) -> (u32, Result<Vec<u8>, Code>);
    fn ask(&mut self, op: StoreOp, name: &str, value: &[u8]) -> Result<Vec<u8>, Code> {
        self.op(op, name, value, 7);
        loop {
            let (seq, result) = self.answer();
            if seq == 7 {
                return result;
            }
        }
    }
    fn set(&mut self, name: &str, value: &str) -> Result<Vec<u8>, Code> {
        self.ask(StoreOp::Set, name, value.as_bytes())
    }
    fn get(&mut self, name: &str) -> Option<String> {
        self.ask(StoreOp::Get, name, &[]).ok().map(|v| String::from_utf8(v).unwrap())
    }
    fn flush(&mut self) -> Result<Vec<u8>, Code> {
        self.ask(StoreOp::Flush, "", &[])
    }
}

impl Values for Station {
    fn op(&mut self, op: StoreOp, name: &str, value: &[u8], seq: u32) {
        self.say(Store { op, name, value, seq, amount: 1, ..Store::default() });
    }

    fn answer(&mut self) -> (u32, Result<Vec<u8>, Code>) {
        loop {
            let heard = self.next().expect("an answer");
            match heard.message() {
                ServerToClient::Outcome(o) if o.code == Code::Ok => return (o.seq, Ok(Vec::new())),
                ServerToClient::Outcome(o) => return (o.seq, Err(o.code)),
                ServerToClient::Value(v) => return (v.seq, Ok(v.value.to_vec())),
                _ => {}
            }
        }
    }
}

/// Sets `a/W` and then `b/W` to the same number, adds 1 to `n/W`, and flushes now and then;
/// never waits for anything but the flushes of long ago. Ends when the daemon does. Returns
/// the last number that was sent, and the last one that a flush has confirmed.
fn write_load(mut station: Station, w: usize, from: u64, acked: &std::sync::atomic::AtomicU64) -> (u64, u64) {
    use std::sync::atomic::Ordering;
    let (mut i, mut confirmed, mut waiting) = (from, from, 0);
    loop {
        i += 1;
        let number = i.to_string();
        let mut bytes = Vec::new();
        for (op, name) in [(StoreOp::Set, "a"), (StoreOp::Set, "b"), (StoreOp::Add, "n")] {
            let name = format!("{name}/{w}");
            bytes.extend(support::frame(Store {
                op,
                name: &name,
                value: number.as_bytes(),
                amount: 1,
                ..Store::default()
            }));
        }
        if i % 5 == 0 {
            // its number is how far we were
            bytes.extend(support::frame(Store { op: StoreOp::Flush, seq: i as u32, ..Store::default() }));
            waiting += 1;
        }
        if station.write(&bytes).is_err() {
            return (i, confirmed);
        }
        while waiting > 4 {
            match station.next_within(PATIENCE).expect("the daemon answers or ends") {
                None => return (i, confirmed),
                Some(heard) => {
                    if let ServerToClient::Outcome(o) = heard.message() {
                        assert_eq!(o.code, Code::Ok);
                        confirmed = u64::from(o.seq);
                        acked.fetch_add(1, Ordering::SeqCst);
                        waiting -= 1;
                    }
                }
            }
        }
    }
}

#[test]
fn killed_at_any_moment_what_was_flushed_is_there_and_nothing_is_half_written() {
    const WRITERS: usize = 3;
    let disk = tempfile::tempdir().unwrap();
    let mut random = 0x2545_f491_4f6c_dd1du64 ^ u64::from(std::process::id());
    let seed = random;
    let mut had = [0u64; WRITERS];
    for round in 0..12 {
        let mut daemon = start(STORE, disk.path());
        let mut reader = daemon.station("reader");
        for (w, had) in had.iter_mut().enumerate() {
            let mut number = |name: &str| reader.get(&format!("{name}/{w}")).map_or(0, |v| v.parse::<u64>().unwrap());
            let (a, b, n) = (number("a"), number("b"), number("n"));
            // a is set before b, and b before n: the file holds a moment that there was
            let told = format!("seed {seed:#x}, round {round}, writer {w}: {a} {b} {n}, confirmed {had}");
            assert!(a >= *had && a - b <= 1 && b - n <= 1 && a - n <= 1, "{told}");
            // what was sent behind the last flush may be lost: go on where the file is
            for name in ["a", "b", "n"] {
                reader.set(&format!("{name}/{w}"), &a.to_string()).unwrap();
            }
            *had = a;
        }
        assert_eq!(reader.flush(), Ok(vec![]));
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let acks = 1 + (random >> 33) % 40;
        let acked = std::sync::atomic::AtomicU64::new(0);
        std::thread::scope(|scope| {
            let stations: Vec<_> = (0..WRITERS).map(|w| daemon.station(&format!("writer{w}"))).collect();
            let acked = &acked;
            let writers: Vec<_> = stations
                .into_iter()
                .enumerate()
                .map(|(w, station)| scope.spawn(move || write_load(station, w, had[w], acked)))
                .collect();
            until("some flushes", || acked.load(std::sync::atomic::Ordering::SeqCst) >= acks);
            kill(&mut daemon);
            had = std::array::from_fn(|_| 0);
            for (w, writer) in writers.into_iter().enumerate() {
                had[w] = writer.join().unwrap().1;
            }
        });
    }
    let file = disk.path().join("v.redb");
    let out = chappe(&["store", "check", file.to_str().unwrap()]);
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
}

#[test]
fn counters_and_removals_outlive_a_kill_after_a_flush() {
    let disk = tempfile::tempdir().unwrap();
    let mut daemon = start(LAZY, disk.path());
    let mut s = daemon.station("s");
    for _ in 0..3 {
        s.ask(StoreOp::Add, "visits", &[]).unwrap();
    }
    s.set("gone", "x").unwrap();
    s.ask(StoreOp::Remove, "gone", &[]).unwrap();
    s.set("bytes", "21.5 \u{20ac}").unwrap();
    assert_eq!(s.flush(), Ok(vec![]));
    s.set("late", "nobody has flushed this").unwrap();
    kill(&mut daemon);
    let rows = exported(&disk.path().join("v.redb"));
    let names: Vec<_> = rows.iter().map(|r| r["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["bytes", "gone", "visits"]);
    assert_eq!((&rows[1]["removed"], rows[1]["origin"].as_u64()), (&Value::Bool(true), Some(0)));
    let removed_at = rows[1]["changed_us"].as_u64().unwrap();
    assert!(removed_at > 1_600_000_000_000_000, "{rows:?}");
    let mut daemon = start(LAZY, disk.path());
    let opened = daemon.event("store.open");
    assert_eq!((opened["values"].as_u64(), opened["tombstones"].as_u64()), (Some(2), Some(1)));
    let mut s = daemon.station("s");
    assert_eq!(s.ask(StoreOp::Add, "visits", &[]), Ok(b"4".to_vec()));
    assert_eq!((s.get("gone"), s.get("bytes").as_deref()), (None, Some("21.5 \u{20ac}")));
    // it comes back newer than its removal
    s.set("gone", "back").unwrap();
    stop(&mut daemon);
    let rows = exported(&disk.path().join("v.redb"));
    assert!(rows[1]["value"] == "back" && rows[1]["changed_us"].as_u64() > Some(removed_at), "{rows:?}");
}

#[test]
fn sigterm_writes_everything_out() {
    let disk = tempfile::tempdir().unwrap();
    let mut daemon = start(LAZY, disk.path());
    let mut s = daemon.station("s");
    for i in 0..2000 {
        s.op(StoreOp::Set, &format!("n{i}"), format!("v{i}").as_bytes(), 0);
    }
    s.set("last", "1").unwrap();
    stop(&mut daemon);
    assert_eq!(daemon.event("daemon.stopped")["changes_lost"], 0);
    let rows = exported(&disk.path().join("v.redb"));
    assert_eq!(rows.len(), 2001);
    assert!(
        rows.iter()
            .all(|r| r["name"] == "last" || r["value"].as_str().unwrap()[1..] == r["name"].as_str().unwrap()[1..])
    );
}

#[test]
fn without_a_path_a_flush_is_answered_at_once_and_nothing_is_written() {
    let mut daemon = Daemon::start("");
    let mut s = daemon.station("s");
    s.set("a", "1").unwrap();
    assert_eq!(s.flush(), Ok(vec![]));
    let address = format!("tcp://{}", daemon.address("tcp"));
    let out = chappe(&["--connect", &address, "flush"]);
    assert!(out.status.success() && out.stdout.is_empty(), "{out:?}");
    let status = chappe(&["--connect", &address, "--json", "status"]);
    let status: Value = serde_json::from_slice(&status.stdout).unwrap();
    assert_eq!(status["status"]["store"], "in memory");
    assert_eq!(status["status"]["store_unwritten"], Value::Null);
}

#[test]
fn a_person_flushes_and_sees_how_values_are_kept() {
    let disk = tempfile::tempdir().unwrap();
    let mut daemon = start(LAZY, disk.path());
    let address = format!("tcp://{}", daemon.address("tcp"));
    let run = |args: &[&str]| chappe(&[&["--connect", &address], args].concat());
    assert!(run(&["set", "a", "1"]).status.success());
    let status = || -> Value { serde_json::from_slice(&run(&["--json", "status"]).stdout).unwrap() };
    let before = status();
    assert_eq!((&before["status"]["store"], &before["status"]["store_unwritten"]), (&"on disk".into(), &1.into()));
    assert!(run(&["flush"]).status.success());
    let after = status();
    assert_eq!((&after["status"]["store_unwritten"], &after["counters"]["flushes"]), (&0.into(), &1.into()));
    kill(&mut daemon);
    assert_eq!(exported(&disk.path().join("v.redb")).len(), 1);
}

/// Fills the disk, looks at what everybody is told, makes room, and looks again.
fn full_disk(mut daemon: Daemon, disk: &Path, make_room: impl FnOnce(&mut Daemon)) {
    let mut s = daemon.station("s");
    s.set("first", "1").unwrap();
    s.flush().unwrap();
    // each is set once and is either taken or refused by name
    let (mut taken, mut refused) = (Vec::new(), 0);
    let big = "x".repeat(20_000);
    let end = Instant::now() + PATIENCE;
    while refused < 3 {
        assert!(Instant::now() < end, "the disk does not fill up: {} taken", taken.len());
        let name = format!("n{}", taken.len());
        match s.set(&name, &big) {
            Ok(_) => taken.push(name),
            Err(Code::NotStored) => refused += 1,
            Err(code) => panic!("{code:?}"),
        }
        if taken.len() % 8 == 0 {
            // whoever waits hears that it failed, or that it is there
            assert!(matches!(s.flush(), Ok(_) | Err(Code::NotStored)));
        }
    }
    let failed = daemon.event("store.failed");
    assert!(failed["detail"].as_str().unwrap().contains("os error"), "{failed}");
    assert_eq!(s.flush(), Err(Code::NotStored));
    assert_eq!(s.ask(StoreOp::Remove, "first", &[]), Err(Code::NotStored));
    assert_eq!(s.get("first").unwrap(), "1", "reading goes on");
    assert_eq!(s.get(taken.last().unwrap()).unwrap(), big);
    let address = format!("tcp://{}", daemon.address("tcp"));
    let status = chappe(&["--connect", &address, "status"]);
    let status = String::from_utf8(status.stdout).unwrap();
    let shown =
        |key: &str| status.lines().find(|l| l.split(' ').next() == Some(key)).unwrap_or_else(|| panic!("{status}"));
    assert!(shown("store").ends_with("disk fails, changes refused"), "{status}");
    assert!(shown("store_trouble").contains("os error") || shown("store_trouble").contains("too large"), "{status}");
    assert!(shown("values_refused_disk").ends_with(char::is_numeric), "{status}");
    let flush = chappe(&["--connect", &address, "flush"]);
    assert_eq!(flush.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&flush.stderr).contains("not stored: the node's disk fails"), "{flush:?}");
    make_room(&mut daemon);
    daemon.event("store.recovered");
    until("changes are taken again", || s.set("after", "2").is_ok());
    assert_eq!(s.flush(), Ok(vec![]));
    kill(&mut daemon);
    let rows = exported(&disk.join("v.redb"));
    let names: Vec<&str> = rows.iter().map(|r| r["name"].as_str().unwrap()).collect();
    assert!(names.contains(&"first") && names.contains(&"after"));
    assert_eq!(names.len(), taken.len() + 2, "what was taken is there, what was refused is not");
}

#[test]
fn a_file_that_may_not_grow_is_a_clear_state_and_recovers() {
    let disk = tempfile::tempdir().unwrap();
    let config = STORE.replace("DISK", disk.path().to_str().unwrap());
    let daemon = Daemon::start_by(&config, |path| {
        let mut command = Command::new("prlimit");
        command.args(["--fsize=2000000:unlimited", CHAPPE, "serve", "--config"]).arg(path);
        command
    });
    full_disk(daemon, disk.path(), |daemon| {
        let pid = daemon.pid().to_string();
        assert!(Command::new("prlimit").args(["--pid", &pid, "--fsize=unlimited"]).status().unwrap().success());
    });
}

#[test]
fn a_full_file_system_is_a_clear_state_and_recovers() {
    let Some(tmpfs) = Tmpfs::mount("4m") else {
        // `a_file_that_may_not_grow_…` is the same for everybody
        return eprintln!("not root here: no file system to fill");
    };
    let disk = tmpfs.0.path();
    let filler = disk.join("filler");
    std::fs::write(&filler, vec![1; 2_500_000]).unwrap();
    let daemon = start(STORE, disk);
    full_disk(daemon, disk, |_| std::fs::remove_file(&filler).unwrap());
}

#[test]
fn a_disk_that_stays_full_to_the_end_is_no_secret() {
    let disk = tempfile::tempdir().unwrap();
    let config = STORE.replace("DISK", disk.path().to_str().unwrap());
    let mut daemon = Daemon::start_by(&config, |path| {
        let mut command = Command::new("prlimit");
        command.args(["--fsize=1200000:unlimited", CHAPPE, "serve", "--config"]).arg(path);
        command
    });
    let mut s = daemon.station("s");
    let big = "x".repeat(30_000);
    let mut n = 0;
    while s.set(&format!("n{n}"), &big).is_ok() {
        n += 1;
    }
    daemon.event("store.failed");
    daemon.signal("TERM");
    daemon.event("daemon.stopping");
    // it would wait for the disk for a while: a second one means now
    daemon.signal("TERM");
    let lost = daemon.event("store.lost");
    assert!(lost["changes"].as_u64() > Some(0), "{lost}");
    assert_eq!(daemon.wait().code(), Some(1));
}

#[test]
fn over_a_damaged_file_nothing_starts_and_there_is_a_way_back() {
    let disk = tempfile::tempdir().unwrap();
    let file = disk.path().join("v.redb");
    let mut daemon = start(STORE, disk.path());
    let mut s = daemon.station("s");
    for i in 0..500 {
        s.op(StoreOp::Set, &format!("n{i}"), &[b'x'; 50], 0);
    }
    s.set("last", "1").unwrap();
    stop(&mut daemon);
    let mut bytes = std::fs::read(&file).unwrap();
    let at = bytes.windows(50).position(|w| w == [b'x'; 50]).unwrap();
    bytes[at] = b'y';
    std::fs::write(&file, &bytes).unwrap();
    let config = STORE.replace("DISK", disk.path().to_str().unwrap());
    let by = |path: &Path| {
        let mut command = Command::new(CHAPPE);
        command.args(["serve", "--config"]).arg(path);
        command
    };
    let (status, text) = Daemon::start_in(tempfile::tempdir().unwrap(), &config, by).err().expect("it does not start");
    assert_eq!(status.code(), Some(65), "{text}");
    let told = file.to_str().unwrap();
    assert!(text.contains("store.path: ") && text.contains(&format!("chappe store repair {told}")), "{text}");
    assert!(std::fs::read(&file).unwrap() == bytes, "it was changed");
    assert_eq!(chappe(&["store", "check", told]).status.code(), Some(7));
    let export = chappe(&["store", "export", told]);
    assert_eq!((export.status.code(), export.stdout.split(|b| *b == b'\n').count()), (Some(7), 501));
    let repair = chappe(&["store", "repair", told]);
    assert!(repair.status.success(), "{repair:?}");
    assert!(std::fs::read(disk.path().join("v.redb.damaged")).unwrap() == bytes);
    let mut daemon = start(STORE, disk.path());
    assert_eq!(daemon.event("store.open")["values"], 500);
    // a value or two in the place that broke; all others are there
    let mut s = daemon.station("s");
    assert_eq!(s.get("last").unwrap(), "1");
}

#[test]
fn export_and_import_carry_everything_over() {
    let disk = tempfile::tempdir().unwrap();
    let (from, to) = (disk.path().join("v.redb"), disk.path().join("w.redb"));
    let mut daemon = start(STORE, disk.path());
    let mut s = daemon.station("s");
    s.ask(StoreOp::Set, "bytes", &[0xff, 0, 7]).unwrap();
    s.set("text", "a \"quoted\" line\n").unwrap();
    s.set("gone", "").unwrap();
    s.ask(StoreOp::Remove, "gone", &[]).unwrap();
    s.flush().unwrap();
    let (a, b) = (from.to_str().unwrap(), to.to_str().unwrap());
    let in_use = chappe(&["store", "export", a]);
    assert_eq!(in_use.status.code(), Some(7));
    assert!(String::from_utf8_lossy(&in_use.stderr).contains("somebody else has it open"));
    stop(&mut daemon);
    let lines = disk.path().join("lines");
    std::fs::write(&lines, chappe(&["store", "export", a]).stdout).unwrap();
    let import = chappe(&["--json", "store", "import", b, lines.to_str().unwrap()]);
    assert_eq!(String::from_utf8_lossy(&import.stdout), "{\"lines\":3,\"taken\":3}\n");
    assert_eq!(exported(&from), exported(&to));
    assert_eq!(
        String::from_utf8_lossy(&chappe(&["--json", "store", "import", b, lines.to_str().unwrap()]).stdout),
        "{\"lines\":3,\"taken\":0}\n"
    );
    // one wrong line: none is taken
    std::fs::write(&lines, "{\"name\":\"new\",\"value\":\"1\"}\n{\"name\":\"\",\"value\":\"1\"}\n").unwrap();
    let wrong = chappe(&["store", "import", b, lines.to_str().unwrap()]);
    assert_eq!(wrong.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("line 2"), "{wrong:?}");
    assert_eq!(exported(&to).len(), 3);
}

#[test]
fn a_second_daemon_on_one_file_is_refused_and_the_first_goes_on() {
    let disk = tempfile::tempdir().unwrap();
    let mut first = start(STORE, disk.path());
    let config = STORE.replace("DISK", disk.path().to_str().unwrap());
    let by = |path: &Path| {
        let mut command = Command::new(CHAPPE);
        command.args(["serve", "--config"]).arg(path);
        command
    };
    let (status, text) = Daemon::start_in(tempfile::tempdir().unwrap(), &config, by).err().expect("it does not start");
    assert_eq!(status.code(), Some(1), "{text}");
    assert!(
        text.contains("v.redb: somebody else has it open") && text.contains("One file is for one daemon"),
        "{text}"
    );
    let mut s = first.station("s");
    s.set("a", "1").unwrap();
    assert_eq!(s.flush(), Ok(vec![]));
    // killed, it leaves no lock behind
    kill(&mut first);
    let mut next = start(STORE, disk.path());
    assert_eq!(next.station("s").get("a").unwrap(), "1");
}

#[test]
fn a_folder_that_is_not_there_and_a_limit_that_is_too_small_are_named() {
    let disk = tempfile::tempdir().unwrap();
    let by = |path: &Path| {
        let mut command = Command::new(CHAPPE);
        command.args(["serve", "--config"]).arg(path);
        command
    };
    let fails = |config: &str| {
        let config = config.replace("DISK", disk.path().to_str().unwrap());
        Daemon::start_in(tempfile::tempdir().unwrap(), &config, by).err().expect("it does not start")
    };
    let (status, text) = fails("[store]\npath = \"DISK/no/v.redb\"\n");
    assert_eq!(status.code(), Some(1));
    assert!(text.contains("/no/v.redb") && text.contains("Its folder must exist"), "{text}");
    let mut daemon = start(STORE, disk.path());
    let mut s = daemon.station("s");
    for i in 0..30 {
        s.set(&format!("n{i}"), "1").unwrap();
    }
    stop(&mut daemon);
    let (status, text) = fails(&format!("[limits]\nvalue_rows = 16\n{STORE}"));
    assert_eq!(status.code(), Some(78));
    assert!(text.contains("Raise limits.value_rows"), "{text}");
}

#[test]
fn there_are_as_many_values_as_the_configuration_says() {
    let mut daemon = Daemon::start("[limits]\nvalue_rows = 16\n");
    let mut s = daemon.station("s");
    for i in 0..16 {
        s.set(&format!("n{i}"), "1").unwrap();
    }
    assert_eq!(s.set("one more", "1"), Err(Code::Full));
    s.ask(StoreOp::Remove, "n3", &[]).unwrap();
    assert_eq!(s.set("one more", "1"), Ok(vec![]), "the removal gives way");
}

#[test]
fn a_disk_that_takes_nothing_holds_up_nobody_and_what_it_cannot_take_is_refused() {
    let disk = tempfile::tempdir().unwrap();
    let config = format!("[limits]\nflush_ms = 200\n{STORE}queue = 4194304\n");
    let mut daemon = start(&config, disk.path());
    let (mut s, mut other) = (daemon.station("s"), daemon.station("other"));
    s.set("before", "1").unwrap();
    s.flush().unwrap();
    // All is written: the thread waits for more, and holds nothing that others need.
    let Some(held) = Held::hold(&daemon) else {
        // the same with a disk in memory: `a_slow_disk_gathers_changes_…` in src/store/tests.rs
        return eprintln!("no ptrace here: the thread that writes cannot be held");
    };
    let big = "x".repeat(20_000);
    let mut taken = Vec::new();
    let refused = loop {
        let name = format!("n{}", taken.len());
        match s.set(&name, &big) {
            Ok(_) => taken.push(name),
            Err(code) => break code,
        }
        assert!(taken.len() < 1000, "there is no end to the queue");
    };
    assert_eq!(refused, Code::Full);
    assert!(taken.len() > 150, "{}", taken.len());
    daemon.event("store.behind");
    assert_eq!(s.ask(StoreOp::Add, "count", &[]), Err(Code::Full));
    assert_eq!(s.get("count"), None, "what was refused has not changed");
    assert_eq!(s.flush(), Err(Code::TimedOut), "who waits is told when it takes too long");
    // D4: nobody else notices
    let began = Instant::now();
    for _ in 0..100 {
        assert!(other.is_alive());
        assert_eq!(other.get("before").unwrap(), "1");
    }
    assert!(began.elapsed() < PATIENCE / 4, "{:?}", began.elapsed());
    let address = format!("tcp://{}", daemon.address("tcp"));
    let status = chappe(&["--connect", &address, "--json", "status"]);
    let status: Value = serde_json::from_slice(&status.stdout).unwrap();
    assert_eq!(status["status"]["store"], "disk behind, changes refused");
    assert_eq!(status["status"]["store_unwritten"].as_u64(), Some(taken.len() as u64));
    drop(held);
    daemon.event("store.caught_up");
    assert_eq!(s.set("after", "1"), Ok(vec![]));
    until("flushed", || s.flush().is_ok());
    kill(&mut daemon);
    assert_eq!(exported(&disk.path().join("v.redb")).len(), taken.len() + 2);
}
