//! `chappe sniff` and `chappe replay`: the real binary against the real daemon, with clients of all
//! dialects.

mod support;

use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, ChildStdout, Command, Output, Stdio};

use chappe_core::dialect::messi::repr::{Code, Hello, Letter, ServerToClient, Store, StoreOp};
use serde_json::{Value, json};
use support::clacks::Client as Clacks;
use support::{CHAPPE, Daemon, Station, until, wait};

const RIGHTS: &str = "anonymous = [\"read\", \"write\", \"manage\"]";

/// One listener for each dialect.
fn daemon() -> Daemon {
    Daemon::start(&format!(
        "[[listeners]]\naddress = \"unix://FOLDER/native\"\n{RIGHTS}\n\
         [[listeners]]\naddress = \"msgq:FOLDER/bus\"\n{RIGHTS}\n\
         [[listeners]]\naddress = \"clacks://FOLDER/clacks\"\n{RIGHTS}\n"
    ))
}

fn native(daemon: &Daemon) -> Station {
    let mut station = Station::unix(daemon.folder.path().join("native"));
    station.hello("native");
    station
}

fn command(daemon: &Daemon, args: &[&str]) -> Command {
    let mut command = Command::new(CHAPPE);
    for variable in ["CHAPPE_USER", "CHAPPE_TOKEN", "CHAPPE_CONFIG"] {
        command.env_remove(variable);
    }
    command.env("CHAPPE_CONNECT", format!("unix://{}", daemon.folder.path().join("native").display()));
    command.args(args).stdin(Stdio::null());
    command
}

fn run(daemon: &Daemon, args: &[&str]) -> (i32, String, String) {
    let Output { status, stdout, stderr } = command(daemon, args).output().unwrap();
    let text = |b: Vec<u8>| String::from_utf8(b).unwrap();
    (status.code().unwrap(), text(stdout), text(stderr))
}

fn ok(daemon: &Daemon, args: &[&str]) -> String {
    let (status, out, err) = run(daemon, args);
    assert_eq!(status, 0, "{args:?}: {err}");
    out
}

/// A sniffer that is shown what is said from here on.
struct Sniffer {
    child: Child,
    out: BufReader<ChildStdout>,
}

impl Sniffer {
    fn start(daemon: &Daemon, args: &[&str]) -> Sniffer {
        let monitors = || {
            let status = ok(daemon, &["status"]);
            let line = status.lines().find(|l| l.starts_with("monitors ")).expect("a row for it").to_owned();
            line.split_whitespace().nth(1).and_then(|n| n.parse::<u32>().ok()).expect("a number")
        };
        let before = monitors();
        let mut child = command(daemon, &[&["sniff"], args].concat())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        until("it monitors", || monitors() > before);
        Sniffer { child, out }
    }

    /// What it prints until it ends by itself, which must be well.
    fn rest(mut self) -> Vec<String> {
        let lines = self.out.lines().map(Result::unwrap).collect();
        assert!(wait(&mut self.child).success());
        lines
    }
}

impl Sniffer {
    /// Ends it from outside.
    fn stop(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

fn objects(lines: &[String]) -> Vec<Value> {
    lines.iter().map(|l| serde_json::from_str(l).unwrap()).collect()
}

/// These fields of an object, as a list.
fn fields(object: &Value, of: &[&str]) -> Value {
    of.iter().map(|f| object[f].clone()).collect()
}

/// Something in each dialect, whoever listens.
fn talk(daemon: &Daemon, station: &mut Station) {
    let pairs = [("unit", "C")];
    station.say(Letter {
        name: "sensor::1",
        verb: "SET",
        body: b"\x1b[2J 21.5",
        params: chappe_core::dialect::messi::repr::Params::Listed(&pairs),
        seq: 1,
        ..Letter::default()
    });
    station.next();
    let mut msgq = daemon.msgq();
    msgq.send("sensor::2", br#"{"command": ["RESET", {"why": "test"}]}"#);
    msgq.sync();
    let mut clacks = Clacks::unix(daemon.folder.path().join("clacks")).greeted();
    clacks.login("somebody", "a-password-that-nobody-sees");
    clacks.write(b"SET sensor::3=9\r\nSTORE kept=5\r\nPING\r\nRETRIEVE kept\r\n");
    while clacks.line() != "RETRIEVED kept=5" {}
}

#[test]
fn everything_of_every_dialect_is_printed_for_people_and_for_machines() {
    let daemon = daemon();
    let mut station = native(&daemon);
    let text = Sniffer::start(&daemon, &["--name", "sensor::*", "--count", "6"]);
    let json = Sniffer::start(&daemon, &["--json", "--count", "6", "--name", "sensor::*"]);
    talk(&daemon, &mut station);
    let lines = text.rest();
    // nobody has joined any of these names, and that is shown too
    let all = lines.join("\n");
    assert_eq!(lines.len(), 6, "{all}");
    for part in [
        "messi  @",
        "native  letter  sensor::1/SET  unit=C  \\u{1b}[2J 21.5",
        "outcome  no_recipient",
        "msgq  @",
        "letter  sensor::2/RESET  why=test",
        "clacks  @",
        "letter  sensor::3/SET  9",
    ] {
        assert!(all.contains(part), "{part:?} in\n{all}");
    }
    assert!(!all.chars().any(|c| c.is_control() && c != '\n'), "{all:?}");
    let lines = json.rest();
    let objects = objects(&lines);
    let of = ["event", "dialect", "name", "verb", "params", "body", "code"];
    assert_eq!(
        objects.iter().map(|o| fields(o, &of)).collect::<Vec<_>>(),
        [
            json!(["letter", "messi", "sensor::1", "SET", [["unit", "C"]], "\u{1b}[2J 21.5", null]),
            json!(["outcome", "messi", null, null, null, null, "no_recipient"]),
            json!(["letter", "msgq", "sensor::2", "RESET", [["why", "test"]], null, null]),
            json!(["outcome", "msgq", null, null, null, null, "no_recipient"]),
            json!(["letter", "clacks", "sensor::3", "SET", null, "9", null]),
            json!(["outcome", "clacks", null, null, null, null, "no_recipient"]),
        ]
    );
    assert!(!lines.concat().contains("a-password"), "{lines:?}");
}

#[test]
fn filters_of_the_command_are_those_of_the_node() {
    let daemon = daemon();
    let mut station = native(&daemon);
    let address = ok(&daemon, &["ls", "stations", "--json"])
        .lines()
        .map(|l| serde_json::from_str::<Value>(l).unwrap())
        .find(|s| s["name"] == "native")
        .and_then(|s| s["station"].as_u64())
        .expect("it is there");
    let address = format!("@{address}");
    let all = [
        (Sniffer::start(&daemon, &["--verb", "RESET", "-n", "1"]), "sensor::2"),
        (Sniffer::start(&daemon, &["--dialect", "clacks", "--name", "*", "-n", "1"]), "sensor::3"),
        (Sniffer::start(&daemon, &["--station", "native", "-n", "1"]), "sensor::1"),
        (Sniffer::start(&daemon, &["--station", &address, "-n", "1"]), "sensor::1"),
        (Sniffer::start(&daemon, &["--name", "kept", "-n", "2"]), "kept"),
    ];
    talk(&daemon, &mut station);
    for (sniffer, name) in all {
        let lines = sniffer.rest();
        assert!(lines.iter().all(|l| l.contains(name)), "{lines:?}");
    }
    for (bad, said) in [
        (["sniff", "--dialect", "esperanto"], "one of messi"),
        (["sniff", "--name", ""], "1 to 128 bytes"),
        (["replay", "x", "--speed=0"], "0.001"),
    ] {
        let (status, _, err) = run(&daemon, &bad);
        assert!(status == 2 && err.contains(said), "{bad:?}: {err}");
    }
}

#[test]
fn who_may_not_monitor_is_told_so() {
    let daemon = Daemon::start(
        "[[listeners]]\naddress = \"unix://FOLDER/native\"\nanonymous = [\"read\", \"write\"]\n\
         [[listeners]]\naddress = \"msgq:FOLDER/bus\"\n",
    );
    let (status, out, err) = run(&daemon, &["sniff"]);
    assert_eq!((status, out.as_str()), (5, ""), "{err}");
    assert!(err.contains("rights to read and to manage"), "{err}");
    let msgq = format!("msgq://{}", daemon.folder.path().join("bus").display());
    for args in [["--connect", &msgq, "sniff", "-n1"], ["--connect", &msgq, "replay", "x"]] {
        let (status, _, err) = run(&daemon, &args);
        assert!(status == 2 && err.contains("native address"), "{err}");
    }
}

/// The names, verbs and bodies of the next letters.
fn hear(station: &mut Station, n: usize) -> Vec<(String, String, Vec<u8>)> {
    let mut heard = Vec::new();
    while heard.len() < n {
        if let ServerToClient::Message(l) = station.next().expect("still there").message() {
            heard.push((l.name.to_owned(), l.verb.to_owned(), l.body.to_vec()));
        }
    }
    heard
}

#[test]
fn what_was_recorded_is_said_again_byte_for_byte() {
    let daemon = daemon();
    let mut listener = native(&daemon);
    for name in ["a", "b", "c"] {
        listener.join(name);
    }
    let mut station = native(&daemon);
    let path = daemon.folder.path().join("recording");
    let file = path.to_str().unwrap();
    let sniffer = Sniffer::start(&daemon, &["--to", file]);
    let all: Vec<u8> = (0..=255).collect();
    station.say(Letter { name: "a", verb: "SET", body: &all, ..Letter::default() });
    station.say(Store { op: StoreOp::Set, name: "c", value: b"40", announce: true, ..Store::default() });
    station.say(Store { op: StoreOp::Add, name: "c", amount: 2, ..Store::default() });
    station.say(Letter { name: "a", body: b"password=x", ..Letter::default() });
    station.say(Letter { station: u64::MAX, body: b"gone", ..Letter::default() });
    station.say(Store { name: "c", seq: 9, ..Store::default() });
    while !matches!(station.next().unwrap().message(), ServerToClient::Value(v) if v.value == b"42") {}
    let mut msgq = daemon.msgq();
    msgq.join("d");
    msgq.send("b", br#"{"command": ["GO", {"k": "v"}]}"#);
    msgq.sync();
    drop(msgq);
    assert!(ok(&daemon, &["flag", "raise", "u/s/n", "hot", "--priority", "9", "--tags", "x"]).is_empty());
    // it is written as soon as nothing more comes, whole lines only
    until("all is recorded", || std::fs::read_to_string(&path).unwrap().contains("u/s/n"));
    sniffer.stop();
    let heard = hear(&mut listener, 4);
    assert_eq!(heard[0], ("a".into(), "SET".into(), all));
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);

    // said to a node that knows nothing of it
    let fresh = self::daemon();
    let mut again = native(&fresh);
    for name in ["a", "b", "c"] {
        again.join(name);
    }
    let dry = ok(&fresh, &["replay", file, "--dry-run", "--json"]);
    let last: Value = serde_json::from_str(dry.lines().last().unwrap()).unwrap();
    assert_eq!((&last["would_send"], &last["sent"]), (&json!(5), &json!(0)));
    let (status, _, said) = run(&fresh, &["replay", file, "--no-wait"]);
    assert_eq!(status, 0, "{said}");
    for part in [
        "5 sent, 0 of them to nobody, 0 failed",
        "1 with a secret that is not in the file",
        "1 to one station",
        "1 get",
        "1 join",
    ] {
        assert!(said.contains(part), "{part:?} in {said}");
    }
    let replayed = hear(&mut again, 3);
    let mut want = heard;
    want.retain(|(_, _, body)| body != b"password=x");
    assert_eq!(replayed, want);
    assert_eq!(ok(&fresh, &["get", "c"]).trim_end(), "42");

    // only some of it, and in its own time
    let (status, _, said) = run(&fresh, &["replay", file, "--name", "a", "--speed", "1000"]);
    assert!(status == 0 && said.contains("1 sent, 0 of them to nobody, 0 failed; 1 left out"), "{said}");
    assert_eq!(hear(&mut again, 1), [want[0].clone()]);
    // nothing is overwritten
    let (status, _, err) = run(&fresh, &["sniff", "--to", file]);
    assert!(status == 7 && err.contains("never written over"), "{err}");
}

#[test]
fn flags_are_raised_and_lowered_again() {
    let daemon = daemon();
    let path = daemon.folder.path().join("flags");
    let file = path.to_str().unwrap();
    let sniffer = Sniffer::start(&daemon, &["--to", file, "-n", "2", "--name", "u/*"]);
    ok(&daemon, &["flag", "raise", "u/s/n", "hot", "--priority", "9", "--tags", "x,y", "--manual-down"]);
    ok(&daemon, &["flag", "lower", "u/s/n", "--by-hand"]);
    sniffer.rest();
    let lines = std::fs::read_to_string(&path).unwrap();
    // without the lowering
    let first: String = lines.lines().take(2).map(|l| format!("{l}\n")).collect();
    std::fs::write(&path, first).unwrap();
    ok(&daemon, &["replay", file]);
    let flag: Value = serde_json::from_str(ok(&daemon, &["flag", "list", "--json"]).trim()).unwrap();
    assert_eq!(fields(&flag, &["name", "description", "priority"]), json!(["u/s/n", "hot", 9]));
    std::fs::write(&path, lines).unwrap();
    ok(&daemon, &["replay", file, "--no-wait"]);
    assert_eq!(ok(&daemon, &["flag", "list", "--json"]), "");
}

#[test]
fn files_that_are_wrong_anywhere_send_nothing() {
    let daemon = daemon();
    let mut listener = native(&daemon);
    listener.join("a");
    let path = daemon.folder.path().join("bad");
    let file = path.to_str().unwrap();
    let header = r#"{"format":"chappe-sniff","version":1}"#;
    let letter = r#"{"event":"letter","name":"a","body":"x"}"#;
    let replay = |text: &str| {
        std::fs::write(&path, text).unwrap();
        let (status, _, err) = run(&daemon, &["replay", file]);
        (status, err.replace(file, "FILE"))
    };
    for (text, said) in [
        (format!("{letter}\n"), "FILE:1: this is no recording"),
        (format!("{}\n{letter}\n", header.replace('1', "7")), "FILE:1: this is version 7"),
        (format!("{header}\n{letter}\n{{\"event\":\n"), "FILE:3: EOF"),
        (format!("{header}\n{letter}\n{letter}"), "FILE:3: the file ends inside this line"),
    ] {
        let (status, err) = replay(&text);
        assert!(status == 7 && err.contains(said), "{text}: {err}");
    }
    assert!(listener.is_alive(), "and it has heard nothing");
    // what the node refuses is named by its line, and the rest is sent
    let bad = r#"{"event":"letter","name":"a*","verb":"V","body":"x"}"#.replace("a*", "a::*");
    let (status, err) = replay(&format!("{header}\n{bad}\n{letter}\n"));
    assert!(status == 1 && err.contains("FILE:2: ") && err.contains("2 sent") && err.contains("1 failed"), "{err}");
    assert_eq!(listener.hear(), b"x");
    let (status, _, err) = run(&daemon, &["replay", "/nowhere/at/all"]);
    assert!(status == 7 && err.contains("cannot read"), "{err}");
}

#[test]
fn a_sniffer_that_is_stopped_costs_nobody_anything_and_is_told_what_it_missed() {
    let daemon = daemon();
    let mut listener = native(&daemon);
    listener.join("x");
    let mut station = Station::unix(daemon.folder.path().join("native"));
    station.hello_as(Hello { name: "busy", ..Hello::default() }).unwrap();
    // a monitor that reads nothing: a bare connection
    let mut deaf = native(&daemon);
    deaf.say(chappe_core::dialect::messi::repr::Monitor { seq: 1, ..Default::default() });
    assert_eq!(deaf.outcome(), Code::Ok);
    let body = vec![b'x'; 30_000];
    for i in 0..200 {
        station.send("x", &body);
        assert_eq!(listener.hear().len(), body.len(), "{i}");
    }
    let (mut shown, mut missed) = (0, 0);
    while missed == 0 {
        match deaf.next().expect("it is never closed for that").message() {
            ServerToClient::Seen(seen) if seen.count > 0 => missed = seen.count,
            ServerToClient::Seen(_) => shown += 1,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(shown + missed, 200);
}
