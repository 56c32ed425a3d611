//! Values of Clacks on disk, and the barrier that proves it: `FLUSHED` means that what was said
//! before would outlive a power cut, and while it is waited for nothing behind it is heard.
//! Lists of any length beside it: both hold a client's input back without holding up others.

mod support;

use std::net::Shutdown;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use support::clacks::{Client, login};
use support::held::Held;
use support::tls::{Authority, TLS13, client, connect_to};
use support::{CHAPPE, Daemon, METRICS, Stream, counters, until};

const UNIX: &str =
    "[[listeners]]\naddress = \"clacks://FOLDER/clacks\"\nanonymous = [\"read\", \"write\", \"manage\"]\n";

/// Writes only when it must.
const LAZY: &str = "[store]\npath = \"DISK/v.redb\"\nwrite_within_ms = 3600000\n";

fn start(config: &str, disk: &Path) -> Daemon {
    Daemon::start(&format!("{config}{UNIX}").replace("DISK", disk.to_str().unwrap()))
}

/// Ends it as a power cut does, as far as the process is concerned.
fn kill(daemon: &mut Daemon) {
    daemon.child.kill().unwrap();
    daemon.child.wait().unwrap();
}

fn any(daemon: &Daemon) -> Client {
    daemon.clacks("any", "one")
}

#[test]
fn what_was_flushed_is_there_after_a_kill() {
    let disk = tempfile::tempdir().unwrap();
    for round in 0..8 {
        let mut daemon = start(LAZY, disk.path());
        let mut it = any(&daemon);
        if round > 0 {
            let before = round - 1;
            assert_eq!(
                it.ask(&format!("RETRIEVE stored::{before}")),
                format!("RETRIEVED stored::{before}=a=b {before}")
            );
            assert_eq!(it.ask(&format!("RETRIEVE both::{before}")), format!("RETRIEVED both::{before}="));
            assert_eq!(it.ask(&format!("RETRIEVE gone::{before}")), format!("NOTRETRIEVED gone::{before}"));
            assert_eq!(it.ask("RETRIEVE count"), format!("RETRIEVED count={}", round * 5));
            assert_eq!(it.ask("RETRIEVE half"), format!("RETRIEVED half={}.5", before));
        }
        it.say(&format!("STORE stored::{round}=a=b {round}"));
        it.say(&format!("SETANDSTORE both::{round}="));
        it.say(&format!("STORE gone::{round}=x"));
        it.say(&format!("REMOVE gone::{round}"));
        it.say("INCREMENT count=7");
        it.say("DECREMENT count=2");
        it.say(&format!("STORE half={round}"));
        it.say("INCREMENT half=0.5");
        assert_eq!(it.ask("FLUSH 1"), "FLUSHED 1");
        kill(&mut daemon);
    }
    // CLEARCACHE is a change like any other.
    let mut daemon = start(LAZY, disk.path());
    let mut it = any(&daemon);
    it.say("CLEARCACHE");
    assert_eq!(it.ask("FLUSH 1"), "FLUSHED 1");
    kill(&mut daemon);
    assert_eq!(any(&start(LAZY, disk.path())).keys(), [""; 0]);
}

#[test]
fn what_is_said_behind_a_flush_waits_for_the_disk_and_nothing_of_it_is_lost() {
    const LINES: usize = 20_000;
    let (disk, authority) = (tempfile::tempdir().unwrap(), Authority::new());
    let tls = authority.server().toml("");
    let mut daemon =
        start(&format!("{METRICS}{LAZY}[[listeners]]\naddress = \"clackss://127.0.0.1:0\"\n{tls}\n"), disk.path());
    let count = counters(&mut daemon);
    let mut other = any(&daemon);
    other.say("STORE before=1");
    other.sync();
    let Some(held) = Held::hold(&daemon) else { return eprintln!("no ptrace here: the disk cannot be held") };
    let tls = || Client::mute(connect_to(&daemon, "clackss", &client(&authority.root, &TLS13)).unwrap());
    let before = daemon.cpu();
    // More behind it than any buffer holds; and one that ends its stream, too.
    let (halt, halted) = std::sync::mpsc::channel();
    let threads: Vec<_> = [("unix", Client::unix(daemon.clacks_path())), ("tls", tls())]
        .into_iter()
        .map(|(name, mut it)| {
            let halted = halt.clone();
            std::thread::spawn(move || {
                let mut all = login("any", "one");
                all.extend(format!("STORE {name}=first\r\nFLUSH one\r\n").bytes());
                for _ in 0..LINES {
                    all.extend(format!("INCREMENT {name}::count\r\n").bytes());
                }
                all.extend(format!("RETRIEVE {name}::count\r\nFLUSH two\r\nRETRIEVE {name}\r\nQUIT\r\n").bytes());
                halted.send(()).unwrap();
                // Blocks as soon as the kernel has no room, and goes on when the disk does.
                it.write(&all);
                let heard = it.until_end();
                let (count, value) = (format!("RETRIEVED {name}::count={LINES}"), format!("RETRIEVED {name}=first"));
                assert_eq!(heard[2..], ["OVERHEAD O Welcome!", "FLUSHED one", &count, "FLUSHED two", &value]);
            })
        })
        .collect();
    let mut gone = Client::unix(daemon.clacks_path());
    gone.write(&[login("any", "one"), b"STORE gone=1\r\nFLUSH x\r\nSTORE gone=2\r\n".to_vec()].concat());
    let Stream::Unix(stream) = &gone.stream else { unreachable!() };
    stream.shutdown(Shutdown::Both).unwrap();
    drop(gone);
    for _ in 0..2 {
        halted.recv().unwrap();
    }
    until("their first lines are through", || other.ask("RETRIEVE tls") == "RETRIEVED tls=first");
    until("and the others'", || other.ask("RETRIEVE gone") == "RETRIEVED gone=1");
    // Others are served meanwhile, and nobody spins.
    let began = Instant::now();
    while began.elapsed() < Duration::from_millis(700) {
        assert_eq!(other.ask("RETRIEVE unix::count"), "NOTRETRIEVED unix::count");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(daemon.cpu() - before < Duration::from_millis(600), "{:?}", daemon.cpu() - before);
    assert_eq!(other.ask("RETRIEVE gone"), "RETRIEVED gone=1", "what stands behind the flush waits");
    drop(held);
    for thread in threads {
        thread.join().unwrap();
    }
    until("what it had said counts", || other.ask("RETRIEVE gone") == "RETRIEVED gone=2");
    until("and all are gone", || count("chappe_connections") == 1);
}

#[test]
fn a_flush_that_takes_too_long_is_told_so_and_the_client_is_heard_again() {
    let disk = tempfile::tempdir().unwrap();
    let daemon = start(&format!("[limits]\nflush_ms = 300\n{LAZY}"), disk.path());
    let mut it = any(&daemon);
    it.say("STORE a=1");
    it.sync();
    let Some(held) = Held::hold(&daemon) else { return eprintln!("no ptrace here: the disk cannot be held") };
    it.say("STORE a=2");
    it.say("FLUSH x");
    it.say("RETRIEVE a");
    let line = it.line();
    assert!(line.starts_with("OVERHEAD E timed_out "), "{line}");
    assert_eq!(it.line(), "RETRIEVED a=2");
    drop(held);
    assert_eq!(it.ask("FLUSH y"), "FLUSHED y");
}

#[test]
fn while_the_disk_fails_nothing_is_flushed_and_every_change_is_refused_by_name() {
    let disk = tempfile::tempdir().unwrap();
    let config = format!("{METRICS}{LAZY}{UNIX}").replace("DISK", disk.path().to_str().unwrap());
    let mut daemon = Daemon::start_by(&config.replace("3600000", "5"), |path| {
        let mut command = Command::new("prlimit");
        command.args(["--fsize=2000000:unlimited", CHAPPE, "serve", "--config"]).arg(path);
        command
    });
    let mut it = any(&daemon);
    it.say("STORE first=1");
    assert_eq!(it.ask("FLUSH 0"), "FLUSHED 0");
    let big = "x".repeat(20_000);
    let mut refused = None;
    for n in 0..1000 {
        it.say(&format!("STORE n{n}={big}"));
        it.say(&format!("FLUSH {n}"));
        let line = it.line();
        if line == format!("FLUSHED {n}") {
            continue;
        }
        // Either the change was refused, or what was taken could not be written: both is said,
        // and a FLUSHED only of what is there.
        assert!(line.starts_with("OVERHEAD E not_stored "), "{line}");
        refused = Some(n);
        break;
    }
    let refused = refused.expect("the disk is full in the end");
    daemon.event("store.failed");
    let mut other = any(&daemon);
    for line in ["STORE b=1", "SETANDSTORE b=1", "REMOVE first", "INCREMENT c", "CLEARCACHE", "FLUSH never"] {
        let answer = other.ask(line);
        assert!(answer.starts_with("OVERHEAD E not_stored "), "{line}: {answer}");
    }
    assert_eq!(other.ask("RETRIEVE first"), "RETRIEVED first=1", "reading goes on");
    assert_eq!(other.ask("RETRIEVE b"), "NOTRETRIEVED b");
    let last = refused - 1;
    assert_eq!(other.ask(&format!("RETRIEVE n{last}")), format!("RETRIEVED n{last}={big}"));
    let pid = daemon.pid().to_string();
    assert!(Command::new("prlimit").args(["--pid", &pid, "--fsize=unlimited"]).status().unwrap().success());
    daemon.event("store.recovered");
    other.say("STORE b=2");
    assert_eq!(other.ask("FLUSH again"), "FLUSHED again");
    kill(&mut daemon);
    let daemon = start(LAZY, disk.path());
    let mut it = any(&daemon);
    assert_eq!(it.ask("RETRIEVE b"), "RETRIEVED b=2");
    assert_eq!(it.ask(&format!("RETRIEVE n{last}")), format!("RETRIEVED n{last}={big}"), "it was flushed");
}

#[test]
fn a_list_of_a_million_keys_is_written_as_it_is_read_and_holds_up_nobody() {
    const KEYS: usize = 1_000_000;
    let mut daemon = start("[limits]\nvalues = 268435456\n", Path::new("/"));
    let memory = |daemon: &Daemon| {
        let status = std::fs::read_to_string(format!("/proc/{}/status", daemon.pid())).unwrap();
        let line = status.lines().find(|l| l.starts_with("VmRSS")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() / 1024
    };
    let mut writer = any(&daemon);
    for chunk in 0..KEYS / 10_000 {
        let lines = (chunk * 10_000..(chunk + 1) * 10_000).map(|n| format!("STORE k{n:07}=1\r\n"));
        writer.write(lines.collect::<String>().as_bytes());
        writer.sync();
    }
    let before = memory(&daemon);
    let path = daemon.clacks_path();
    let reader = std::thread::spawn(move || {
        let mut it = Client::unix(path).greeted();
        it.login("slow", "reader");
        it.say("KEYLIST");
        it.say("STORE behind=1");
        it.say("FLUSH behind");
        // It does not read at all for a while, and then slowly.
        std::thread::sleep(Duration::from_secs(1));
        assert_eq!(it.line(), "KEYLISTSTART");
        for n in 0..KEYS {
            assert_eq!(it.line(), format!("KEY k{n:07}"));
            if n % 2000 == 0 {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        assert_eq!(it.line(), "KEYLISTEND");
        assert_eq!(it.line(), "FLUSHED behind");
    });
    let mut other = any(&daemon);
    let (mut worst, mut asked) = (Duration::ZERO, 0);
    while !reader.is_finished() {
        let began = Instant::now();
        let answer = other.ask("RETRIEVE behind");
        worst = worst.max(began.elapsed());
        asked += 1;
        if answer == "RETRIEVED behind=1" {
            break;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    reader.join().unwrap();
    assert!(asked > 50, "it was read at once: nothing is proved");
    assert!(worst < Duration::from_millis(500), "{worst:?}");
    let after = memory(&daemon);
    assert!(after < before + 16, "the list was in memory: {before} MiB, then {after} MiB");
    eprintln!("others waited {worst:?} at most, {asked} times; memory {before} MiB, then {after} MiB");
    // A reader that goes in the middle of it is no trouble.
    let mut gone = any(&daemon);
    gone.say("KEYLIST");
    assert_eq!(gone.line(), "KEYLISTSTART");
    drop(gone);
    other.sync();
    assert!(daemon.seen().iter().all(|line| line["level"] != "ERROR"));
}
