//! Descriptors that run out, first all but the daemon's spare one, then that one too: who is in
//! goes on, whoever comes is told or waits, nothing spins, and all of it is over when there are
//! descriptors again.

use std::io;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use chappe_core::dialect::messi::repr::{Code, Flag, Store, StoreOp};

use crate::dice::span;
use crate::house::{FEW, House, WAYS, Way};
use crate::member::Member;
use crate::pulse::{self, Pulse};
use crate::support::{CHAPPE, Station, Stream, until};

/// Enough for the daemon itself, the pairs, and some.
const LIMIT: u64 = 110;

/// Sets what the daemon may have open, from outside and while it runs.
fn set_limit(house: &House, soft: u64) {
    let limit = libc::rlimit { rlim_cur: soft, rlim_max: LIMIT };
    let pid = house.daemon.pid() as libc::pid_t;
    // SAFETY: `pid` is our own child; `limit` is valid and lives through the call, and the old
    // one is not asked for.
    let result = unsafe { libc::prlimit(pid, libc::RLIMIT_NOFILE, &limit, std::ptr::null_mut()) };
    assert_eq!(result, 0, "{}", io::Error::last_os_error());
}

/// As `kill` does it, and at once.
fn signal(house: &House, signal: libc::c_int) {
    // SAFETY: no pointers; our own child, which has not been waited for.
    let result = unsafe { libc::kill(house.daemon.pid() as libc::pid_t, signal) };
    assert_eq!(result, 0, "{}", io::Error::last_os_error());
}

/// Lines of the log file with this event.
fn lines(log: &Path, event: &str) -> Vec<serde_json::Value> {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let all = text.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    all.filter(|line| line["event"] == event).collect()
}

/// Changes a value, and waits until it is on disk.
fn keep(station: &mut Station, value: &[u8]) {
    station.say(Store { seq: 7, op: StoreOp::Set, name: "kept", value, ..Store::default() });
    assert_eq!(station.outcome(), Code::Ok);
    station.say(Store { seq: 8, op: StoreOp::Flush, ..Store::default() });
    assert_eq!(station.outcome(), Code::Ok, "and it is on disk");
}

#[test]
fn without_descriptors_who_is_in_goes_on_nothing_spins_and_it_ends_when_there_are_some() {
    let limits = "hello_within_ms = 600000";
    let more = "[store]\npath = \"FOLDER/values.redb\"\nwrite_within_ms = 0\n[clacks]\nlogin_within_ms = 600000\n";
    let house = House::start_by(limits, more, |config| {
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("ulimit -n {LIMIT}; exec \"$0\" serve --config \"$1\""), CHAPPE]).arg(config);
        shell
    });
    let folder = house.daemon.folder.path().to_owned();
    // From here on it logs to a file, which can be moved away.
    let log = folder.join("log");
    let config = House::config(&house.authority, limits, &format!("[log]\nfile = \"FOLDER/log\"\n{more}"));
    house.daemon.write_config(&config);
    house.daemon.signal("HUP");
    until("it logs to the file", || !lines(&log, "config.reloaded").is_empty());
    let mut station = Station::new(house.connect(Way::Unix));
    station.hello("inside");
    station.join("flags");
    let mut manager = Member::of(&house, Way::Cd, "manager", "MANAGER");
    keep(&mut station, b"before");
    let pulses: Vec<Pulse> = FEW.map(|way| Pulse::start(&house, way)).into();
    std::thread::sleep(span());
    let before = house.page();

    // ---- all but the spare one ----
    pulse::all(&pulses, 1);
    let begun = Instant::now();
    let mut crowd: Vec<Stream> = Vec::new();
    while begun.elapsed() < span() || crowd.len() < 200 {
        crowd.extend(WAYS.map(|way| house.plain(way)));
        // Another thread wants descriptors just then: it reads the configuration.
        signal(&house, libc::SIGHUP);
        if crowd.len() > 400 {
            // who was refused is gone already, as far as the daemon is concerned
            crowd.truncate(200);
        }
    }
    until("nothing is left", || house.descriptors() as u64 >= LIMIT - 1);
    // However long that went on, newcomers are still told, and at once.
    for _ in 0..20 {
        let mut told = Station::new(house.connect(Way::Tcp));
        assert_eq!(told.closing(), Some(Code::Full));
    }
    let refused = house.page();
    keep(&mut station, b"during");
    // The log's file cannot be opened anew, nor the configuration: both say so, and nothing changes.
    std::fs::rename(&log, folder.join("log.1")).unwrap();
    let aside = folder.join("log.1");
    let Member::Communicator(client) = &mut manager else { unreachable!() };
    client.say("LOG_ROTATE");
    client.sync();
    until("it cannot be opened anew", || !lines(&aside, "log.not_reopened").is_empty());
    signal(&house, libc::SIGHUP);
    until("the configuration cannot be read", || !lines(&aside, "config.refused").is_empty());
    let why = lines(&aside, "config.refused")[0]["detail"].as_str().unwrap().to_owned();
    assert!(why.contains("os error 24") || why.contains("open files"), "{why}");
    // A flag is up, and its file waits for better times.
    let flag = Flag { seq: 9, unit: "u", section: "s", name: "n", priority: 50, raise: true, ..Flag::default() };
    station.say(flag);
    assert_eq!(station.outcome(), Code::Ok);
    until("the file of a flag waits", || !lines(&aside, "flags.failed").is_empty());
    let beats_on = Instant::now();
    std::thread::sleep(span());
    let in_a_second = lines(&aside, "connection.refused").len() as f64 / begun.elapsed().as_secs_f64();
    println!(
        "{} refused for want of descriptors, {in_a_second:.1} lines of log a second; pairs went on for {:?} more",
        refused.get("refused_descriptors"),
        beats_on.elapsed()
    );
    assert!(lines(&aside, "connection.refused").len() as u64 <= begun.elapsed().as_secs() + 2, "a line a second");
    let said = &lines(&aside, "connection.refused")[0];
    assert_eq!(said["reason"], "descriptors", "{said}");
    let beats = pulse::stop(pulses);
    pulse::print("a message while there are no descriptors", &beats);
    let with_spare = house.cpu_at_rest(Duration::from_secs(1));

    // ---- not even that one ----
    set_limit(&house, 8);
    let mut waiting: Vec<Stream> = WAYS.iter().map(|way| house.plain(*way)).collect();
    until("it says that nothing can be accepted", || {
        lines(&aside, "connection.refused").iter().any(|line| line["reason"] == "accept")
    });
    let without = house.cpu_at_rest(Duration::from_secs(1));
    keep(&mut station, b"still");
    println!("CPU in a second at rest: {with_spare:?} without descriptors, {without:?} without a spare one");
    assert!(with_spare < Duration::from_millis(150), "it spins: {with_spare:?}");
    assert!(without < Duration::from_millis(150), "it spins: {without:?}");

    // ---- enough again ----
    set_limit(&house, LIMIT);
    drop(crowd);
    for (stream, way) in waiting.drain(..).zip(WAYS) {
        if way == Way::Tcp {
            let mut waited = Station::new(stream);
            waited.hello("waited");
            assert!(waited.is_alive(), "who waited comes in");
        }
    }
    let after = house.until("there is room", |page| page.get("connections") < 12);
    assert!(after.get("accept_pauses") > before.get("accept_pauses"));
    assert!(after.get("reload_failures") > before.get("reload_failures"));
    for way in WAYS {
        assert!(Member::of(&house, way, "again", "AGAIN").is_alive(), "{way:?}");
    }
    house.until("the file of the flag is written", |page| page.get("flag_files") == 1);
    house.daemon.signal("HUP");
    until("it logs to the file again", || !lines(&log, "config.reloaded").is_empty());
    keep(&mut station, b"after");
    println!(
        "{:?}",
        after.since(&before, &["refused_descriptors", "accept_pauses", "reload_failures", "flag_files_failures"])
    );
}
