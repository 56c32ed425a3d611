//! Memory: a daemon stays below what its limits add up to; with less than that it does not
//! start and says why; and if the kernel ends it all the same, its file is good.

mod support;

use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use chappe_core::dialect::messi::repr::{Code, Hello, Join, Letter, ServerToClient, Store, StoreOp};
use support::{CHAPPE, Daemon, PATIENCE, Station, Stream, frame};

const MIB: u64 = 1 << 20;

const LIMITS: &str = "[[listeners]]\naddress = \"unix://FOLDER/native\"\nanonymous = [\"read\", \"write\", \"manage\"]\n\
                      [limits]\nstations = 1000\ndatagram_stations = 1000\nbuffers = 16777216\nvalues = 2097152\nvalue_rows = 32768\n\
                      [msgq]\nmax_body = 65536\noutbox = 2097152\n[clacks]\nmax_line = 4096\nmax_value = 3000\n\
                      outbox = 16384\n[communicator]\nmax_line = 4096\noutbox = 16384\n\
                      [store]\npath = \"DISK/v.redb\"\nqueue = 8388608\n";

/// What these may take: blocks and their links, rows and their buckets, what is being written and what
/// waits, three of the longest frames.
const TABLES: u64 = 17 * MIB + 3 * MIB + 32_768 * 60 + 16 * MIB + 3 * MIB;

/// For everything else, as `daemon/memory.rs` has it.
const BESIDE: u64 = 96 * MIB;

fn config(disk: &Path) -> String {
    LIMITS.replace("DISK", disk.to_str().unwrap())
}

/// In octets.
fn of_status(daemon: &Daemon, key: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", daemon.pid())).unwrap();
    let line = status.lines().find(|l| l.split(':').next() == Some(key)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

/// Fills values until there is no more room, and flushes now and then, or until the daemon ends.
/// Returns how many there are of which a flush was answered, and whether it has ended.
fn fill_values(station: &mut Station) -> (u64, bool) {
    let (mut safe, mut sent) = (0, 0);
    let value = vec![b'v'; 700];
    loop {
        let mut bytes = Vec::new();
        for _ in 0..500 {
            sent += 1;
            let name = format!("v{sent}");
            bytes.extend(frame(Store { seq: 1, op: StoreOp::Set, name: &name, value: &value, ..Store::default() }));
        }
        bytes.extend(frame(Store { seq: 2, op: StoreOp::Flush, ..Store::default() }));
        if station.write(&bytes).is_err() {
            return (safe, true);
        }
        let mut is_full = false;
        loop {
            let Some(heard) = station.next_within(PATIENCE).expect("the daemon answers or ends") else {
                return (safe, true);
            };
            let ServerToClient::Outcome(o) = heard.message() else { panic!() };
            match (o.seq, o.code) {
                (1, Code::Ok) => {}
                (1, Code::Full) => is_full = true,
                (2, Code::Ok) => break,
                other => panic!("{other:?}"),
            }
        }
        if is_full {
            return (safe, false);
        }
        safe = sent;
    }
}

/// Values up to their limit, many stations, and all there is of buffers full. Returns how many values
/// are safe, and whether the daemon ended.
fn fill(daemon: &mut Daemon) -> (u64, bool) {
    let path = daemon.address("unix");
    let mut sender = Station::unix(&path);
    sender.torn = true;
    sender.hello("sender");
    let (safe, is_over) = fill_values(&mut sender);
    if is_over {
        return (safe, true);
    }
    let mut crowd = Vec::new();
    for n in 0..300 {
        let Ok(stream) = std::os::unix::net::UnixStream::connect(&path) else { return (safe, true) };
        let mut station = Station::new(Stream::Unix(stream));
        let mut words = frame(Hello { seq: 1, name: "mute", ..Hello::default() });
        words.extend(frame(Join { seq: 2, name: &format!("own::{n}"), ..Join::default() }));
        words.extend(frame(Join { seq: 2, name: "flood", ..Join::default() }));
        if station.write(&words).is_err() {
            return (safe, true);
        }
        crowd.push(station);
    }
    let letter = frame(Letter { name: "flood", body: &[7; 4000], ..Letter::default() });
    let all_written = (0..200).all(|_| sender.write(&letter).is_ok());
    (safe, !all_written || !sender.is_alive())
}

#[test]
fn the_fullest_daemon_takes_no_more_than_its_limits_add_up_to() {
    let disk = tempfile::tempdir().unwrap();
    let mut daemon = Daemon::start(&config(disk.path()));
    let empty = of_status(&daemon, "VmHWM");
    let (safe, is_over) = fill(&mut daemon);
    assert!(!is_over && safe > 1500, "{safe}");
    let most = of_status(&daemon, "VmHWM");
    let limit = TABLES + BESIDE;
    println!(
        "resident: {} MiB empty, {} MiB at most with 300 stations, full buffers and {safe} values; its limits add up \
         to {} MiB",
        empty / MIB,
        most / MIB,
        limit / MIB
    );
    assert!(most <= limit, "{most} of {limit}");
    assert!(most > 30 * MIB, "it was not full at all: {most}");
    // Full, it is found again: a start takes no more than that either.
    daemon.signal("TERM");
    assert!(daemon.wait().success());
    let daemon = Daemon::start(&config(disk.path()));
    let again = of_status(&daemon, "VmHWM");
    println!("resident after a restart over these: {} MiB", again / MIB);
    assert!(again <= limit, "{again} of {limit}");
}

/// A daemon whose address space is limited; or its status and what it said.
fn limited(disk: &Path, space: u64) -> Result<Daemon, (std::process::ExitStatus, String)> {
    let folder = tempfile::tempdir().unwrap();
    Daemon::start_in(folder, &config(disk), |path| {
        let mut command = Command::new("prlimit");
        command.arg(format!("--as={space}")).args([CHAPPE, "serve", "--config"]).arg(path);
        command.env("RUST_BACKTRACE", "0");
        command
    })
}

#[test]
fn with_less_memory_than_that_it_does_not_start_and_says_why() {
    for space in [120, 180, 240, 1024] {
        let disk = tempfile::tempdir().unwrap();
        let mut daemon = match limited(disk.path(), space * MIB) {
            Ok(daemon) => daemon,
            Err((status, text)) => {
                assert_eq!(status.code(), Some(1), "{space} MiB: {text}");
                // the second: enough for all that, but not for what the C library sets aside for each thread
                let is_clear = text.contains("not enough memory") && text.contains("limits.buffers 17,")
                    || text.contains("thread can") && text.contains("Resource temporarily unavailable");
                assert!(is_clear && space < 1024, "{space} MiB: {text}");
                println!("{space} MiB of address space: {:.110}…", text.trim());
                continue;
            }
        };
        assert!(space > 136, "{space} MiB are less than its limits add up to");
        let (safe, is_over) = fill(&mut daemon);
        println!("{space} MiB of address space: full, with {safe} values{}", if is_over { ", it ended" } else { "" });
        if is_over {
            // as its tables had their memory, something beside them had not: the file is good
            assert!(space < 1024 && !daemon.wait().success());
            drop(daemon);
            assert!(Daemon::start(&config(disk.path())).event("store.open")["values"].as_u64() >= Some(safe));
        } else {
            assert!(safe > 1500);
        }
    }
}

/// A control group with so much memory, if this machine lets us. It goes with the value.
struct Group(PathBuf);

impl Group {
    fn new(octets: u64) -> Option<Group> {
        let name = format!("chappe-test-{}", std::process::id());
        for (root, key, more) in [
            ("/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.memsw.limit_in_bytes"),
            ("/sys/fs/cgroup", "memory.max", "memory.swap.max"),
        ] {
            let group = Path::new(root).join(&name);
            if !Path::new(root).join("cgroup.procs").exists() || std::fs::create_dir(&group).is_err() {
                continue;
            }
            let group = Group(group);
            if std::fs::write(group.0.join(key), octets.to_string()).is_ok() {
                // where there is no swap there is no such key
                let most = if more == "memory.swap.max" { 0 } else { octets };
                let _ = std::fs::write(group.0.join(more), most.to_string());
                return Some(group);
            }
        }
        None
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir(&self.0);
    }
}

#[test]
fn ended_by_the_kernel_for_want_of_memory_it_leaves_a_good_file() {
    let Some(group) = Group::new(28 * MIB) else {
        // to the file it is the same as `kill -9`: tests/faults_kill.rs
        return eprintln!("no control groups here: the kernel cannot be made to end it");
    };
    let disk = tempfile::tempdir().unwrap();
    let tasks = group.0.join("cgroup.procs");
    let script = format!("echo $$ > {} && exec \"$0\" serve --config \"$1\"", tasks.display());
    let mut daemon = Daemon::start_by(&config(disk.path()), |path| {
        let mut shell = Command::new("sh");
        shell.args(["-c", &script, CHAPPE]).arg(path);
        shell
    });
    let (safe, is_over) = fill(&mut daemon);
    assert!(is_over, "28 MiB were enough for {safe} values");
    assert_eq!(daemon.wait().signal(), Some(9));
    let mut daemon = Daemon::start(&config(disk.path()));
    let there = daemon.event("store.open")["values"].as_u64().unwrap();
    println!("ended by the kernel at 28 MiB: {safe} values were flushed, {there} are there");
    assert!(there >= safe);
    let mut reader = Station::unix(daemon.address("unix"));
    reader.hello("reader");
    for n in 1..=safe {
        reader.say(Store { seq: 3, op: StoreOp::Get, name: &format!("v{n}"), ..Store::default() });
        let heard = reader.next().unwrap();
        let ServerToClient::Value(value) = heard.message() else { panic!("v{n}: {:?}", heard.message()) };
        assert_eq!(value.value, [b'v'; 700]);
    }
}
