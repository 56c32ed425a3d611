//! D9 on disk: what waits for somebody to join a name waits again after a restart of the real daemon, is
//! delivered once and in order, and not after it expires.

mod support;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use chappe_core::dialect::messi::repr::{Code, Declare, Hello, Join, Letter, ServerToClient, Store, StoreOp};
use serde_json::Value;
use support::{CHAPPE, Daemon, PATIENCE, Station, until};

/// Writes only when it must: a flush, a delivery, the end.
const LAZY: &str = "write_within_ms = 3600000\n";

/// Writes at once.
const EAGER: &str = "write_within_ms = 1\n";

/// Mail is kept for longer than a test takes, and all of it fits into one outbox: what is in there is lost
/// with its connection. Anybody may declare names.
fn config(limits: &str, store: &str, disk: &Path) -> String {
    format!(
        "[[listeners]]\naddress = \"tcp://127.0.0.1:0\"\nanonymous = [\"read\", \"write\", \"manage\"]\n\
         [limits]\nkeep_ms = 3600000\n{}{limits}[store]\npath = \"{}/v.redb\"\n{store}",
        if limits.is_empty() { "outbox = 67108864\n" } else { "" },
        disk.display()
    )
}

fn start(store: &str, disk: &Path) -> Daemon {
    Daemon::start(&config("", store, disk))
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

/// The lines of `chappe store export`.
fn exported(file: &Path) -> Vec<Value> {
    let out = chappe(&["store", "export", file.to_str().unwrap()]);
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap().lines().map(|l| serde_json::from_str(l).unwrap()).collect()
}

/// The bodies of the messages that wait in a file.
fn waiting(file: &Path) -> Vec<String> {
    exported(file).iter().map(|line| line["body"].as_str().unwrap().to_owned()).collect()
}

trait Sender {
    fn declare(&mut self, name: &str);
    fn keep(&mut self, letter: Letter<'_>) -> Code;
    fn keep_all(&mut self, name: &str, bodies: &[&str]);
    fn flush(&mut self) -> Code;
}

impl Sender for Station {
    fn declare(&mut self, name: &str) {
        self.say(Declare { seq: 3, name, ..Declare::default() });
        assert_eq!(self.outcome(), Code::Ok);
    }

    fn keep(&mut self, letter: Letter<'_>) -> Code {
        self.say(Letter { keep: true, seq: 4, ..letter });
        self.outcome()
    }

    fn keep_all(&mut self, name: &str, bodies: &[&str]) {
        for body in bodies {
            assert_eq!(self.keep(Letter { name, body: body.as_bytes(), ..Letter::default() }), Code::Kept);
        }
    }

    fn flush(&mut self) -> Code {
        self.say(Store { op: StoreOp::Flush, seq: 5, ..Store::default() });
        self.outcome()
    }
}

/// What comes to a new station that joins these names, until the node has nothing more for it and the
/// disk knows: a flush that was asked for after the last came.
fn fetch(daemon: &mut Daemon, names: &[&str]) -> Vec<String> {
    let mut station = daemon.station("reader");
    for name in names {
        station.say(Join { name, ..Default::default() });
    }
    let mut bodies = Vec::new();
    station.say(Store { op: StoreOp::Flush, seq: 77, ..Store::default() });
    loop {
        match station.next().expect("an answer").message() {
            ServerToClient::Message(letter) => bodies.push(String::from_utf8_lossy(letter.body).into_owned()),
            ServerToClient::Outcome(o) if o.seq == 77 => {
                station.say(Store { op: StoreOp::Flush, seq: 78, ..Store::default() });
            }
            ServerToClient::Outcome(o) if o.seq == 78 => return bodies,
            _ => {}
        }
    }
}

#[test]
fn mail_outlives_sigterm_and_is_delivered_once_and_in_order() {
    let disk = tempfile::tempdir().unwrap();
    let file = disk.path().join("v.redb");
    let mut daemon = start(LAZY, disk.path());
    let mut s = daemon.station("s");
    s.declare("box");
    s.declare("other");
    s.keep_all("box", &["1", "2"]);
    s.keep_all("other", &["x"]);
    s.keep_all("box", &["3"]);
    stop(&mut daemon);
    assert_eq!(daemon.event("daemon.stopped")["changes_lost"], 0);
    let lines = exported(&file);
    assert_eq!(lines.len(), 4);
    let first = &lines[0];
    assert_eq!(
        (first["name"].as_str(), first["body"].as_str(), first["form"].as_u64()),
        (Some("box"), Some("1"), Some(1))
    );
    assert_eq!(first["within_ms"], 3_600_000);
    let mut daemon = start(LAZY, disk.path());
    let restored = daemon.event("mail.restored");
    assert_eq!((&restored["waiting"], &restored["expired"]), (&4.into(), &0.into()));
    // nobody has declared the name in this life
    let mut s = daemon.station("s");
    s.keep_all("box", &["4"]);
    assert_eq!(fetch(&mut daemon, &["box"]), ["1", "2", "3", "4"]);
    assert_eq!(fetch(&mut daemon, &["box"]), [""; 0]);
    assert_eq!(s.keep(Letter { name: "box", body: b"5", ..Letter::default() }), Code::NoRecipient);
    stop(&mut daemon);
    assert_eq!(waiting(&file), ["x"]);
    let mut daemon = start(LAZY, disk.path());
    assert_eq!(fetch(&mut daemon, &["box", "other"]), ["x"]);
    stop(&mut daemon);
    assert_eq!(waiting(&file), [""; 0]);
}

#[test]
fn mail_that_was_flushed_outlives_a_kill_and_so_does_that_it_was_delivered() {
    let disk = tempfile::tempdir().unwrap();
    let mut daemon = start(LAZY, disk.path());
    let mut s = daemon.station("s");
    s.declare("box");
    s.keep_all("box", &["1", "2"]);
    assert_eq!(s.flush(), Code::Ok);
    s.keep_all("box", &["nobody has flushed this"]);
    kill(&mut daemon);
    assert_eq!(waiting(&disk.path().join("v.redb")), ["1", "2"]);
    let mut daemon = start(LAZY, disk.path());
    // the answer to its flush says that the disk knows
    assert_eq!(fetch(&mut daemon, &["box"]), ["1", "2"]);
    kill(&mut daemon);
    let mut daemon = start(LAZY, disk.path());
    assert_eq!(fetch(&mut daemon, &["box"]), [""; 0]);
}

#[test]
fn that_mail_was_delivered_goes_to_the_disk_without_being_asked() {
    let disk = tempfile::tempdir().unwrap();
    let mut daemon = start(LAZY, disk.path());
    let mut s = daemon.station("s");
    s.declare("box");
    s.keep_all("box", &["1"]);
    assert_eq!(s.flush(), Code::Ok);
    let mut reader = daemon.station("reader");
    reader.join("box");
    assert_eq!(reader.hear(), b"1");
    let address = format!("tcp://{}", daemon.address("tcp"));
    until("it is written", || {
        let status = chappe(&["--connect", &address, "--json", "status"]);
        let status: Value = serde_json::from_slice(&status.stdout).unwrap();
        status["status"]["store_unwritten"] == 0
    });
    kill(&mut daemon);
    assert_eq!(waiting(&disk.path().join("v.redb")), [""; 0]);
}

#[test]
fn mail_that_has_expired_meanwhile_does_not_come() {
    let disk = tempfile::tempdir().unwrap();
    let mut daemon = start(LAZY, disk.path());
    let mut s = daemon.station("s");
    s.declare("box");
    // long enough to be there when the daemon ends
    let short = Letter { name: "box", body: b"short", ttl_ms: 3000, ..Letter::default() };
    assert_eq!(s.keep(short), Code::Kept);
    s.keep_all("box", &["long"]);
    stop(&mut daemon);
    let lines = exported(&disk.path().join("v.redb"));
    let expires = lines[0]["until_us"].as_u64().unwrap();
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros() as u64;
    until("it has expired", || now() > expires + 50_000);
    let mut daemon = start(LAZY, disk.path());
    let restored = daemon.event("mail.restored");
    assert_eq!((&restored["waiting"], &restored["expired"]), (&1.into(), &1.into()));
    assert_eq!(fetch(&mut daemon, &["box"]), ["long"]);
    stop(&mut daemon);
    assert_eq!(waiting(&disk.path().join("v.redb")), [""; 0], "it is gone from the file too");
}

#[test]
fn without_a_path_mail_is_in_memory_and_nothing_is_counted_as_unsaved() {
    let disk = tempfile::tempdir().unwrap();
    let mut daemon = Daemon::start(config("", "", disk.path()).split("[store]").next().unwrap());
    let mut s = daemon.station("s");
    s.declare("box");
    s.keep_all("box", &["1"]);
    let address = format!("tcp://{}", daemon.address("tcp"));
    let status = chappe(&["--connect", &address, "--json", "status"]);
    let status: Value = serde_json::from_slice(&status.stdout).unwrap();
    assert_eq!(status["counters"]["mail_kept"], 1);
    assert_ne!(status["counters"]["mail_in_memory_only"], 1);
}

#[test]
fn a_person_sees_and_carries_mail_over() {
    let disk = tempfile::tempdir().unwrap();
    let mut daemon = start(LAZY, disk.path());
    let mut s = daemon.station("s");
    s.declare("box");
    let letter = Letter { name: "box", instance: "one", verb: "STOP", body: b"\xff", ..Letter::default() };
    assert_eq!(s.keep(letter), Code::Kept);
    s.keep_all("box", &["2"]);
    stop(&mut daemon);
    let file = disk.path().join("v.redb");
    let check = chappe(&["store", "check", file.to_str().unwrap()]);
    let text = String::from_utf8(check.stdout).unwrap();
    assert!(
        check.status.success() && text.contains("0 values, 0 removals that are remembered, 2 messages that wait"),
        "{text}"
    );
    let json = chappe(&["--json", "store", "check", file.to_str().unwrap()]);
    assert_eq!(serde_json::from_slice::<Value>(&json.stdout).unwrap()["mail"], 2);
    let lines = exported(&file);
    assert_eq!((&lines[0]["instance"], &lines[0]["verb"]), (&"one".into(), &"STOP".into()));
    assert_eq!((&lines[0]["body_base64"], &lines[1]["instance"]), (&"/w==".into(), &Value::Null));
    // to another machine
    let there = tempfile::tempdir().unwrap();
    let lines = lines.iter().map(Value::to_string).collect::<Vec<_>>().join("\n");
    let from = there.path().join("lines");
    std::fs::write(&from, lines).unwrap();
    let to = there.path().join("v.redb");
    for taken in ["2 of 2", "0 of 2"] {
        let out = chappe(&["store", "import", to.to_str().unwrap(), from.to_str().unwrap()]);
        let text = String::from_utf8(out.stdout).unwrap();
        assert!(out.status.success() && text.starts_with(taken), "{text}");
    }
    let mut daemon = start(LAZY, there.path());
    assert_eq!(fetch(&mut daemon, &["box"]), ["\u{fffd}", "2"]);
}

#[test]
fn what_has_no_room_any_more_is_an_error_that_names_the_key_and_stays_in_the_file() {
    let disk = tempfile::tempdir().unwrap();
    let mut daemon = start(LAZY, disk.path());
    let mut s = daemon.station("s");
    s.declare("box");
    let body = "x".repeat(60_000);
    for _ in 0..40 {
        assert_eq!(s.keep(Letter { name: "box", body: body.as_bytes(), ..Letter::default() }), Code::Kept);
    }
    stop(&mut daemon);
    let small = config("outbox = 1048576\nbuffers = 4194304\n", LAZY, disk.path());
    let folder = tempfile::tempdir().unwrap();
    let refused = Daemon::start_in(folder, &small, |path| {
        let mut command = Command::new(CHAPPE);
        command.arg("serve").arg("--config").arg(path);
        command
    });
    let (status, text) = refused.map(drop).unwrap_err();
    assert_eq!(status.code(), Some(78), "{text}");
    assert!(text.contains("40 messages wait in it") && text.contains("Raise limits.buffers"), "{text}");
    let mut daemon = start(LAZY, disk.path());
    assert_eq!(daemon.event("mail.restored")["waiting"], 40);
}

#[test]
fn mail_is_kept_while_the_disk_is_full_and_on_it_when_there_is_room() {
    let disk = tempfile::tempdir().unwrap();
    let config = config("", EAGER, disk.path());
    let mut daemon = Daemon::start_by(&config, |path| {
        let mut command = Command::new("prlimit");
        command.args(["--fsize=2000000:unlimited", CHAPPE, "serve", "--config"]).arg(path);
        command
    });
    let mut s = daemon.station("s");
    s.declare("box");
    let body = "x".repeat(50_000);
    let mut kept = 0;
    while kept < 200 && (kept % 8 > 0 || s.flush() == Code::Ok) {
        assert_eq!(s.keep(Letter { name: "box", body: body.as_bytes(), ..Letter::default() }), Code::Kept);
        kept += 1;
    }
    daemon.event("store.failed");
    s.say(Store { op: StoreOp::Set, name: "value", value: b"1", seq: 6, ..Store::default() });
    assert_eq!(s.outcome(), Code::NotStored);
    s.keep_all("box", &["last"]);
    assert_eq!(s.flush(), Code::NotStored);
    let pid = daemon.pid().to_string();
    assert!(Command::new("prlimit").args(["--pid", &pid, "--fsize=unlimited"]).status().unwrap().success());
    until("the disk has it", || s.flush() == Code::Ok);
    assert_eq!(daemon.seen().iter().filter(|line| line["event"] == "store.failed").count(), 0, "logged once");
    kill(&mut daemon);
    let lines = waiting(&disk.path().join("v.redb"));
    assert_eq!(lines.len(), kept + 1);
    assert_eq!(lines.last().unwrap(), "last");
}

/// What the world knows of one box: every message in it has a number, and later ones have larger ones.
#[derive(Default)]
struct Known {
    /// Said to be kept, and a flush behind it was answered.
    safe: BTreeSet<u64>,
    /// Came.
    came: BTreeSet<u64>,
    /// Came, and a flush behind it was answered: it never comes again.
    settled: BTreeSet<u64>,
    /// The last one that was sent.
    last: u64,
}

const BOXES: usize = 2;

/// Sends to a box, and flushes now and then, until the daemon ends. Returns which messages are safe.
fn send_load(mut station: Station, name: &str, from: u64, acks: &AtomicU64) -> (u64, BTreeSet<u64>) {
    let (mut safe, mut kept, mut i) = (BTreeSet::new(), Vec::new(), from);
    'sending: loop {
        let mut bytes = Vec::new();
        let first = i + 1;
        for _ in 0..4 {
            i += 1;
            let body = format!("{i}:{}", "x".repeat((i * 37 % 900) as usize));
            bytes.extend(support::frame(Letter {
                name,
                body: body.as_bytes(),
                keep: true,
                seq: i as u32,
                ..Letter::default()
            }));
        }
        bytes.extend(support::frame(Store { op: StoreOp::Flush, seq: u32::MAX, ..Store::default() }));
        if station.write(&bytes).is_err() {
            return (i, safe);
        }
        loop {
            match station.next_within(PATIENCE).expect("the daemon answers or ends") {
                None => return (i, safe),
                Some(heard) => {
                    let ServerToClient::Outcome(o) = heard.message() else { continue };
                    match o.code {
                        Code::Ok if o.seq == u32::MAX => {
                            safe.extend(kept.drain(..));
                            acks.fetch_add(1, Ordering::SeqCst);
                            continue 'sending;
                        }
                        Code::Kept => kept.push(u64::from(o.seq)),
                        // somebody is there: it was handed over, and is no mail; or there is no more room for mail
                        Code::Ok | Code::Full | Code::RecipientBusy => assert!(u64::from(o.seq) >= first),
                        code => panic!("{code:?}"),
                    }
                }
            }
        }
    }
}

/// Comes, takes what waits, flushes and goes, again and again, until the daemon ends. Returns what came, in
/// order, and how many of it are settled.
fn fetch_load(address: &str, name: &str, ends: &AtomicBool) -> Vec<(Vec<u64>, usize)> {
    let mut visits = Vec::new();
    while !ends.load(Ordering::SeqCst) {
        let Ok(stream) = std::net::TcpStream::connect(address) else { break };
        let mut station = Station::new(support::Stream::Tcp(stream));
        let mut bytes = support::frame(Hello { seq: 1, name: "r", ..Default::default() });
        bytes.extend(support::frame(Join { name, ..Default::default() }));
        bytes.extend(support::frame(Store { op: StoreOp::Flush, seq: 77, ..Store::default() }));
        if station.write(&bytes).is_err() {
            break;
        }
        let (mut came, mut last, mut settled) = (Vec::new(), 0, None);
        while let Some(heard) = station.next_within(PATIENCE).expect("the daemon answers or ends") {
            match heard.message() {
                ServerToClient::Message(letter) => {
                    let body = std::str::from_utf8(letter.body).unwrap();
                    came.push(body.split(':').next().unwrap().parse().unwrap());
                }
                ServerToClient::Outcome(o) if o.seq == 77 => {
                    assert_eq!(o.code, Code::Ok);
                    last = came.len();
                    let again = support::frame(Store { op: StoreOp::Flush, seq: 78, ..Store::default() });
                    if station.write(&again).is_err() {
                        break;
                    }
                }
                ServerToClient::Outcome(o) if o.seq == 78 => {
                    assert_eq!(o.code, Code::Ok);
                    settled = Some(last);
                    break;
                }
                _ => {}
            }
        }
        let is_over = settled.is_none();
        visits.push((came, settled.unwrap_or(0)));
        if is_over {
            break;
        }
    }
    visits
}

/// Every message that was said to be kept, with a flush behind it, comes; once, unless the daemon died
/// before the disk knew that it was delivered; in order; and never half.
#[test]
fn killed_at_any_moment_no_mail_is_lost_that_was_flushed_and_none_comes_twice_that_was_settled() {
    let disk = tempfile::tempdir().unwrap();
    let mut random = 0x2545_f491_4f6c_dd1du64 ^ u64::from(std::process::id());
    let seed = random;
    let mut boxes: [Known; BOXES] = Default::default();
    let names = ["box/0", "box/1"];
    for round in 0..12 {
        let mut daemon = start(EAGER, disk.path());
        let address = daemon.address("tcp");
        let mut declarer = daemon.station("declarer");
        for name in names {
            declarer.declare(name);
        }
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let (enough, acks, ends) = (1 + (random >> 33) % 30, AtomicU64::new(0), AtomicBool::new(false));
        std::thread::scope(|scope| {
            let (acks, ends, address) = (&acks, &ends, &address);
            let senders: Vec<_> = (0..BOXES)
                .map(|b| {
                    let (station, from) = (daemon.station("sender"), boxes[b].last);
                    scope.spawn(move || send_load(station, names[b], from, acks))
                })
                .collect();
            // in every other round nobody comes
            let fetchers: Vec<_> = (0..BOXES)
                .filter(|_| round % 2 == 1)
                .map(|b| scope.spawn(move || fetch_load(address, names[b], ends)))
                .collect();
            until("some flushes", || acks.load(Ordering::SeqCst) >= enough);
            kill(&mut daemon);
            ends.store(true, Ordering::SeqCst);
            for (b, sender) in senders.into_iter().enumerate() {
                let (last, safe) = sender.join().unwrap();
                boxes[b].last = last;
                boxes[b].safe.extend(safe);
            }
            for (b, fetcher) in fetchers.into_iter().enumerate() {
                let it = &mut boxes[b];
                let (mut here, at) = (BTreeSet::new(), format!("seed {seed:#x}, round {round}, box {b}"));
                for (came, settled) in fetcher.join().unwrap() {
                    // what is handed over while somebody is there comes behind what waited
                    assert!(came.is_sorted_by(|a, b| a < b), "{at}: not in order: {came:?}");
                    for (k, i) in came.into_iter().enumerate() {
                        assert!(here.insert(i), "{at}: {i} came twice in one life");
                        assert!(!it.settled.contains(&i), "{at}: {i} came again");
                        it.came.insert(i);
                        if k < settled {
                            it.settled.insert(i);
                        }
                    }
                }
            }
        });
    }
    let mut daemon = start(EAGER, disk.path());
    for (b, it) in boxes.iter_mut().enumerate() {
        for body in fetch(&mut daemon, &[names[b]]) {
            let i = body.split(':').next().unwrap().parse().unwrap();
            assert!(it.settled.insert(i), "seed {seed:#x}, box {b}: {i} came again");
            it.came.insert(i);
        }
        let lost: Vec<_> = it.safe.iter().filter(|i| !it.came.contains(*i)).collect();
        assert!(lost.is_empty(), "seed {seed:#x}, box {b}: lost {lost:?}");
        assert!(it.safe.len() > 20);
    }
    stop(&mut daemon);
    let check = chappe(&["store", "check", disk.path().join("v.redb").to_str().unwrap()]);
    assert!(check.status.success(), "{}", String::from_utf8_lossy(&check.stderr));
}
