//! Everything on one disk, and that is full to its last byte: values, mail, flags and the log.
//! Every dialect is told, the bus goes on, nothing that was acknowledged is lost, also if the
//! daemon is killed and started meanwhile; and with room again all of it recovers by itself.

mod support;

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use chappe_core::dialect::messi::repr::{
    Code, Declare, Flag, Letter, List, ServerToClient, Store, StoreOp, Watch, What,
};
use serde_json::Value;
use support::tmpfs::Tmpfs;
use support::{CHAPPE, Daemon, METRICS, Station, counters, until};

fn config(disk: &Path, more: &str) -> String {
    let disk = disk.display();
    format!(
        "{METRICS}{more}[[listeners]]\naddress = \"tcp://127.0.0.1:0\"\nanonymous = [\"read\", \"write\", \"manage\"]\n\
         [[listeners]]\naddress = \"clacks://FOLDER/clacks\"\nanonymous = [\"read\", \"write\", \"manage\"]\n\
         [[listeners]]\naddress = \"cd://FOLDER/cd\"\n\
         [communicator]\nserver = \"hostA\"\nservices = [\"cbox\"]\nservices_dir = \"FOLDER/none\"\n\
         [limits]\nkeep_ms = 3600000\n\
         [store]\npath = \"{disk}/v.redb\"\nwrite_within_ms = 5\n[flags]\ndir = \"{disk}/flags\"\n"
    )
}

trait Says {
    fn op(&mut self, op: StoreOp, name: &str, value: &[u8]) -> Code;
    fn keep(&mut self, body: &str) -> Code;
    fn raise(&mut self, name: &str) -> Code;
}

impl Says for Station {
    fn op(&mut self, op: StoreOp, name: &str, value: &[u8]) -> Code {
        self.say(Store { op, name, value, seq: 7, amount: 1, ..Store::default() });
        loop {
            match self.next().expect("an answer").message() {
                ServerToClient::Outcome(o) if o.seq == 7 => return o.code,
                ServerToClient::Value(v) if v.seq == 7 => return Code::Ok,
                _ => {}
            }
        }
    }

    fn keep(&mut self, body: &str) -> Code {
        self.say(Letter { name: "box", body: body.as_bytes(), keep: true, seq: 8, ..Letter::default() });
        self.outcome()
    }

    fn raise(&mut self, name: &str) -> Code {
        self.say(Flag { seq: 9, raise: true, unit: "disk", section: "test", name, priority: 50, ..Flag::default() });
        self.outcome()
    }
}

/// The next flag that goes up or down.
fn told(station: &mut Station) -> (bool, String) {
    loop {
        if let ServerToClient::FlagChange(f) = station.next().expect("news of a flag").message() {
            return (f.raised, f.name.to_owned());
        }
    }
}

/// A line of the log, in its file or, if there was no room for it, on standard error.
fn logged(daemon: &mut Daemon, file: &Path, event: &str) -> Value {
    let mut line = None;
    until(event, || {
        let text = std::fs::read_to_string(file).unwrap();
        let mut lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        line = lines.find(|line| line["event"] == event).or_else(|| daemon.find(event, Duration::ZERO));
        line.is_some()
    });
    line.unwrap()
}

#[test]
fn values_mail_flags_and_log_on_one_full_disk() {
    let Some(tmpfs) = Tmpfs::mount("6m") else {
        // with a file that may not grow: tests/daemon_store.rs, daemon_mail.rs; a folder that cannot be
        // written: tests/daemon_flags.rs
        return eprintln!("not root here: no file system to fill");
    };
    let disk = tmpfs.0.path();
    let mut daemon = Daemon::start(&config(disk, ""));
    let count = counters(&mut daemon);
    let (mut s, mut watcher, mut hearer) = (daemon.station("s"), daemon.station("watcher"), daemon.station("hearer"));
    let mut clacks = daemon.clacks("any", "one");
    let mut cd = daemon.communicator().service("csender", "TRANSMISSION_REPORT");
    // From here on the log is on that disk, too.
    let log = disk.join("log");
    daemon.write_config(&config(disk, &format!("[log]\nlevel = \"debug\"\nfile = \"{}\"\n", log.display())));
    daemon.signal("HUP");
    until("the log is there", || std::fs::read_to_string(&log).is_ok_and(|text| text.contains("config.reloaded")));
    s.say(Declare { seq: 3, name: "box", ..Declare::default() });
    assert_eq!(s.outcome(), Code::Ok);
    watcher.say(Watch { seq: 3, flags: true, ..Watch::default() });
    assert_eq!(watcher.outcome(), Code::Ok);
    hearer.join("news");
    // What is acknowledged before.
    assert_eq!(s.op(StoreOp::Set, "native", b"before"), Code::Ok);
    clacks.say("STORE clacks=before");
    assert_eq!(s.keep("before"), Code::Kept);
    cd.say("cbox/BEFORE cache=ttl=3000;transmission_report=failure");
    assert!(cd.of_server().ends_with("status=cached"));
    assert_eq!(s.raise("before"), Code::Ok);
    assert_eq!(told(&mut watcher), (true, "disk/test/before".into()));
    assert_eq!(clacks.ask("FLUSH 1"), "FLUSHED 1");
    until("the flag is in its file", || disk.join("flags/disk_test_before.flag").exists());
    tmpfs.fill();
    // ---- full ----
    let big = vec![b'x'; 20_000];
    let mut taken = Vec::new();
    loop {
        let name = format!("n{}", taken.len());
        match s.op(StoreOp::Set, &name, &big) {
            Code::Ok => taken.push(name),
            Code::NotStored => break,
            code => panic!("{code:?}"),
        }
        let _ = s.op(StoreOp::Flush, "", &[]);
        assert!(taken.len() < 100, "the disk does not fill up");
    }
    for op in [StoreOp::Set, StoreOp::Add, StoreOp::Remove] {
        assert_eq!(s.op(op, "native", b"1"), Code::NotStored, "{op:?}");
    }
    assert_eq!(s.op(StoreOp::Flush, "", &[]), Code::NotStored);
    for line in ["STORE clacks=1", "INCREMENT count", "REMOVE clacks", "FLUSH 2"] {
        let answer = clacks.ask(line);
        assert!(answer.starts_with("OVERHEAD E not_stored "), "{line}: {answer}");
    }
    assert_eq!(clacks.ask("RETRIEVE clacks"), "RETRIEVED clacks=before", "reading goes on");
    // Mail is kept as ever, messages pass, flags go up.
    assert_eq!(s.keep("meanwhile"), Code::Kept);
    cd.say("cbox/MEANWHILE cache=ttl=3000;transmission_report=failure");
    assert!(cd.of_server().ends_with("status=cached"));
    clacks.say("SET news=from clacks");
    assert_eq!(hearer.hear(), b"from clacks");
    cd.say("./SET name=news;value=from the communicator");
    assert_eq!(hearer.hear(), b"from the communicator");
    assert_eq!(s.raise("meanwhile"), Code::Ok);
    assert_eq!(told(&mut watcher), (true, "disk/test/meanwhile".into()));
    assert_eq!(told(&mut watcher), (true, "chappe/flags/file-write".into()));
    // What is wrong is said: in the log, which goes on on standard error, by the status and the metrics.
    let failed = logged(&mut daemon, &log, "store.failed");
    assert!(failed["detail"].as_str().unwrap().contains("No space left"), "{failed}");
    assert_eq!(failed["file"].as_str(), disk.join("v.redb").to_str());
    assert!(logged(&mut daemon, &log, "flags.failed")["detail"].as_str().unwrap().contains("No space left"));
    until("lines for which the file has no room are counted", || {
        daemon.station("passer-by").goodbye();
        count("chappe_log_lines_dropped_total") >= 2
    });
    assert_eq!((count("chappe_store_works"), count("chappe_flag_files_work")), (0, 0));
    let address = format!("tcp://{}", daemon.address("tcp"));
    let status = Command::new(CHAPPE).args(["--connect", &address, "--json", "status"]).output().unwrap();
    let status: Value = serde_json::from_slice(&status.stdout).unwrap();
    assert_eq!(status["status"]["store"], "disk fails, changes refused");
    assert!(status["status"]["store_trouble"].as_str().unwrap().contains("No space left"), "{status}");
    // ---- room again ----
    tmpfs.make_room();
    until("changes are taken again", || s.op(StoreOp::Set, "native", b"after") == Code::Ok);
    assert_eq!(told(&mut watcher), (false, "chappe/flags/file-write".into()));
    until("the disk has all of it", || clacks.ask("FLUSH 3") == "FLUSHED 3");
    until("the flag is in its file", || disk.join("flags/disk_test_meanwhile.flag").exists());
    let has_recovered = || {
        let text = std::fs::read_to_string(&log).unwrap();
        ["store.recovered", "flags.recovered"].iter().all(|event| text.contains(event))
    };
    until("the log goes on in its file", has_recovered);
    // Half a line, if there is one, has an end: whatever follows is whole.
    let text = std::fs::read_to_string(&log).unwrap();
    let torn = text.lines().filter(|line| serde_json::from_str::<Value>(line).is_err()).count();
    assert!(torn <= 1, "{text}");
    // ---- full, killed, started while it is full ----
    tmpfs.fill();
    daemon.child.kill().unwrap();
    daemon.child.wait().unwrap();
    let mut daemon = Daemon::start(&config(disk, ""));
    let mut s = daemon.station("s");
    s.say(List { seq: 9, what: What::Flags, ..List::default() });
    let mut up = Vec::new();
    loop {
        match s.next().expect("a list").message() {
            ServerToClient::Item(item) => up.push(item.name.to_owned()),
            ServerToClient::Outcome(_) => break,
            other => panic!("{other:?}"),
        }
    }
    up.retain(|name| name.starts_with("disk/"));
    up.sort();
    assert_eq!(up, ["disk/test/before", "disk/test/meanwhile"]);
    let mut clacks = daemon.clacks("any", "one");
    assert_eq!(clacks.ask("RETRIEVE native"), "RETRIEVED native=after");
    assert_eq!(clacks.ask("RETRIEVE clacks"), "RETRIEVED clacks=before");
    for name in &taken {
        assert_eq!(s.op(StoreOp::Get, name, &[]), Code::Ok, "{name} was acknowledged, and flushed in the end");
    }
    // At the first attempt to write, at the latest, changes are refused.
    until("changes are refused", || s.op(StoreOp::Set, "full", &big) == Code::NotStored);
    tmpfs.make_room();
    until("changes are taken again", || s.op(StoreOp::Set, "native", b"in the end") == Code::Ok);
    until("the disk has all of it", || s.op(StoreOp::Flush, "", &[]) == Code::Ok);
    // All mail comes, once.
    s.join("box");
    assert_eq!([s.hear(), s.hear()], [b"before".to_vec(), b"meanwhile".to_vec()]);
    let mut service = daemon.communicator();
    service.register("cbox");
    let lines = [service.line(), service.line()];
    assert!(lines[0].contains("cbox/BEFORE") && lines[1].contains("cbox/MEANWHILE"), "{lines:?}");
    assert!(service.has_nothing());
    assert_eq!(s.op(StoreOp::Flush, "", &[]), Code::Ok);
    println!("full twice, killed once: {} values and 4 messages acknowledged, 0 lost", taken.len() + 2);
    daemon.child.kill().unwrap();
    daemon.child.wait().unwrap();
    let daemon = Daemon::start(&config(disk, ""));
    let mut clacks = daemon.clacks("any", "one");
    assert_eq!(clacks.ask("RETRIEVE native"), "RETRIEVED native=in the end");
    let mut service = daemon.communicator();
    service.register("cbox");
    assert!(service.has_nothing(), "what has come does not come again");
}
