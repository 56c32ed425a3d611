//! The command line as a person uses it: the real binary against the real daemon.

#[path = "support/end.rs"]
mod end;

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// A daemon of its own in a directory of its own.
struct Daemon {
    child: Option<Child>,
    dir: tempfile::TempDir,
}

impl Daemon {
    fn new() -> Self {
        Daemon::with("anonymous = [\"read\", \"write\", \"manage\"]")
    }

    /// With more about its listener and its users.
    fn with(config: &str) -> Self {
        let mut daemon = Daemon { child: None, dir: tempfile::tempdir().unwrap() };
        let text = format!("[[listeners]]\naddress = \"{}\"\n{config}\n", daemon.address());
        std::fs::write(daemon.config(), text).unwrap();
        daemon.start();
        daemon
    }

    fn config(&self) -> PathBuf {
        self.dir.path().join("chappe.toml")
    }

    fn socket(&self) -> PathBuf {
        self.dir.path().join("chappe.sock")
    }

    fn address(&self) -> String {
        format!("unix://{}", self.socket().display())
    }

    fn start(&mut self) {
        let child = chappe(&["serve", "--log-level", "error", "--config"])
            .arg(self.config())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        self.child = Some(child);
        let until = Instant::now() + Duration::from_secs(10);
        while std::os::unix::net::UnixStream::connect(self.socket()).is_err() {
            assert!(Instant::now() < until, "the daemon does not listen");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn kill(&mut self) {
        let mut child = self.child.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = chappe(args);
        command.env("CHAPPE_CONNECT", self.address());
        command
    }

    /// Runs it and takes its exit status apart from its output.
    fn run(&self, args: &[&str]) -> (i32, String, String) {
        let Output { status, stdout, stderr } = self.command(args).output().unwrap();
        let text = |b: Vec<u8>| String::from_utf8(b).unwrap();
        (status.code().unwrap(), text(stdout), text(stderr))
    }

    /// Runs what must succeed.
    fn ok(&self, args: &[&str]) -> String {
        let (status, out, err) = self.run(args);
        assert_eq!(status, 0, "{args:?}: {err}");
        out
    }

    /// Starts it in the background and waits until somebody has joined the name.
    fn listen(&self, name: &str, args: &[&str]) -> Running {
        let mut child = self
            .command(&[&["listen", name], args].concat())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let running = Running { child, out };
        self.wait_for_member(name);
        running
    }

    fn wait_for_watches(&self, n: usize) {
        let want = format!(" {n} of ");
        let until = Instant::now() + Duration::from_secs(10);
        while !self.ok(&["status"]).lines().any(|l| l.starts_with("watches ") && l.contains(&want)) {
            assert!(Instant::now() < until, "nobody watches");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn wait_for_member(&self, name: &str) {
        let until = Instant::now() + Duration::from_secs(10);
        while self.ok(&["ls", "members", name, "--json"]).is_empty() {
            assert!(Instant::now() < until, "nobody joins {name}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            end::end(&mut child);
        }
    }
}

struct Running {
    child: Child,
    out: BufReader<std::process::ChildStdout>,
}

impl Running {
    fn line(&mut self) -> String {
        let mut line = String::new();
        self.out.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    fn status(&mut self) -> i32 {
        self.child.wait().unwrap().code().unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        end::end(&mut self.child);
    }
}

fn chappe(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_chappe"));
    for variable in ["CHAPPE_CONNECT", "CHAPPE_USER", "CHAPPE_TOKEN", "CHAPPE_CONFIG"] {
        command.env_remove(variable);
    }
    command.args(args).stdin(Stdio::null());
    command
}

#[test]
fn what_is_sent_is_heard() {
    let daemon = Daemon::new();
    let mut ear = daemon.listen("a::*", &["-n", "3", "--json"]);
    assert_eq!(daemon.ok(&["send", "a::b", "--body", "good morning"]), "sent to 1 station\n");
    daemon.ok(&["send", "a::b/GO", "x=1", "y=a b", "-q", "--body", "-5"]);
    daemon.ok(&["send", "a::b/c/", "--json-body", "{\"k\": [1]}", "--blindly"]);
    let seen: Vec<serde_json::Value> = (0..3).map(|_| serde_json::from_str(&ear.line()).unwrap()).collect();
    assert_eq!((&seen[0]["name"], &seen[0]["verb"]), (&"a::b".into(), &"SET".into()));
    assert_eq!(seen[0]["body"], "good morning");
    assert_eq!((&seen[1]["verb"], &seen[1]["body"]), (&"GO".into(), &"-5".into()));
    assert_eq!(seen[1]["params"], serde_json::json!({"x": "1", "y": "a b"}));
    assert_eq!((&seen[2]["name"], &seen[2]["verb"]), (&"a::b/c".into(), &"".into()));
    assert_eq!(seen[2]["body"]["k"][0], 1);
    assert_eq!(ear.status(), 0, "-n 3 is over");
}

#[test]
fn bytes_go_through_as_they_are() {
    let daemon = Daemon::new();
    let file = daemon.dir.path().join("bytes");
    let bytes: Vec<u8> = (0..=255).collect();
    std::fs::write(&file, &bytes).unwrap();
    let file = file.to_str().unwrap();
    daemon.ok(&["set", "v", "--body-file", file]);
    let got = daemon.command(&["get", "v"]).output().unwrap();
    assert_eq!(got.stdout, bytes);
    let mut ear = daemon.listen("n", &["-n", "1", "--json"]);
    daemon.ok(&["send", "n", "--body-file", file]);
    let seen: serde_json::Value = serde_json::from_str(&ear.line()).unwrap();
    assert!(seen["body_base64"].as_str().unwrap().starts_with("AAECAwQF"));
    // a line stays a line, whatever somebody sends
    let mut ear = daemon.listen("n", &["-n", "1"]);
    daemon.ok(&["send", "n", "--body", "a\u{1b}[31m\nb"]);
    assert!(ear.line().ends_with("n  SET  a\\u{1b}[31m\\nb"));
}

#[test]
fn a_call_says_by_its_status_how_it_ended() {
    let daemon = Daemon::new();
    let (status, _, err) = daemon.run(&["call", "q/ASK"]);
    assert_eq!(status, 3, "{err}");
    assert!(err.contains("no such recipient"), "{err}");
    let mut callee = daemon.listen("q", &["--reply", "42", "-n", "2"]);
    assert_eq!(daemon.ok(&["call", "q/ASK", "n=1"]), "42\n");
    let json: serde_json::Value = serde_json::from_str(&daemon.ok(&["call", "q/ASK", "--json"])).unwrap();
    assert_eq!((&json["code"], &json["body"]), (&"ok".into(), &"42".into()));
    assert!(callee.line().ends_with("q  ASK?  n=1"));
    assert_eq!(callee.status(), 0);
    let deaf = daemon.listen("deaf", &[]);
    assert_eq!(daemon.run(&["call", "deaf/ASK", "-t", "300ms"]).0, 4);
    let asker = daemon.command(&["call", "deaf/ASK"]).stderr(Stdio::piped()).spawn().unwrap();
    std::thread::sleep(Duration::from_millis(300));
    drop(deaf);
    assert_eq!(asker.wait_with_output().unwrap().status.code(), Some(3), "the recipient left");
}

#[test]
fn all_members_are_asked_and_each_is_reported() {
    let daemon = Daemon::new();
    let (status, _, err) = daemon.run(&["call", "--all", "crew/REPORT"]);
    assert_eq!((status, err.as_str()), (3, "chappe: crew: no such recipient\n"));
    let name = |name: &'static str| ["--station-name", name];
    let mut well = daemon.listen("crew", &[&name("well")[..], &["--reply", "all well"]].concat());
    let (alone, out) = (daemon.ok(&["call", "--all", "crew/REPORT", "day=1"]), well.line());
    assert!(alone.starts_with('@') && alone.ends_with(" well: all well\n"), "{alone}");
    assert!(out.ends_with("crew  REPORT?  day=1"), "{out}");
    let deserter = daemon.listen("crew", &name("deserter"));
    let _mute = daemon.listen("crew", &name("mute"));
    let until = Instant::now() + Duration::from_secs(10);
    while daemon.ok(&["ls", "members", "crew", "--json"]).lines().count() < 3 {
        assert!(Instant::now() < until, "not all have joined");
    }
    let all = daemon
        .command(&["call", "--all", "crew/REPORT", "-t", "1s"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    assert!(well.line().contains("REPORT?"), "they have been asked");
    drop(deserter);
    let Output { status, stdout, stderr } = all.wait_with_output().unwrap();
    let out = String::from_utf8(stdout).unwrap();
    let mut said: Vec<_> = out.lines().map(|l| l.split_once(' ').unwrap().1).collect();
    said.sort();
    assert_eq!(
        said,
        ["deserter: the recipient left before answering", "mute: no answer in time", "well: all well"],
        "{out}"
    );
    assert_eq!(status.code(), Some(4), "the highest of 0, 3 and 4");
    assert_eq!(String::from_utf8(stderr).unwrap(), "chappe: crew: 1 of 3 answered well\n");
    let (status, out, _) = daemon.run(&["call", "--all", "crew/REPORT", "-t", "1s", "--json"]);
    let rows: Vec<serde_json::Value> = out.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!((status, rows.len()), (4, 2));
    let row = rows.iter().find(|r| r["station_name"] == "well").unwrap();
    assert_eq!((&row["code"], &row["body"]), (&"ok".into(), &"all well".into()));
    assert!(row["station"].as_u64().is_some());
    assert!(rows.iter().any(|r| r["station_name"] == "mute" && r["code"] == "timed_out"));
}

#[test]
fn values_are_kept_counted_and_removed() {
    let daemon = Daemon::new();
    daemon.ok(&["set", "a", "17"]);
    assert_eq!(daemon.ok(&["get", "a"]), "17\n");
    assert_eq!(daemon.ok(&["incr", "a"]), "18\n");
    assert_eq!(daemon.ok(&["decr", "a", "20"]), "-2\n");
    assert_eq!(daemon.ok(&["incr", "a", "-3"]), "-5\n");
    daemon.ok(&["set", "b", "-x"]);
    assert_eq!(daemon.ok(&["get", "a", "b"]), "a = -5\nb = -x\n");
    let (status, _, err) = daemon.run(&["incr", "b"]);
    assert_eq!(status, 1);
    assert!(err.contains("not a number"), "{err}");
    let keys = daemon.ok(&["keys"]);
    let rows: Vec<Vec<&str>> = keys.lines().map(|l| l.split_whitespace().collect()).collect();
    assert_eq!(rows[0], ["NAME", "CHANGED", "VALUE"]);
    assert_eq!((rows[1][0], rows[1][2], rows[2][0]), ("a", "-5", "b"));
    assert_eq!(daemon.ok(&["keys", "b"]).lines().count(), 2);
    daemon.ok(&["del", "a"]);
    assert_eq!(daemon.run(&["get", "a"]).0, 1);
    let (status, _, err) = daemon.run(&["del", "a", "b"]);
    assert_eq!((status, err.as_str()), (1, "chappe: no such value: a\n"));
    assert_eq!(daemon.run(&["get", "b"]).0, 1, "the other was removed");
    let mut ear = daemon.listen("b", &["-n", "1", "--bodies"]);
    daemon.ok(&["set", "b", "new", "--announce"]);
    assert_eq!(ear.line(), "new");
}

#[test]
fn mail_waits_for_a_declared_name() {
    let daemon = Daemon::new();
    let (status, _, err) = daemon.run(&["send", "m", "--body", "1", "--keep"]);
    assert_eq!(status, 3, "not declared: {err}");
    daemon.ok(&["declare", "m"]);
    assert!(daemon.ok(&["send", "m", "--body", "1", "--keep"]).starts_with("kept"));
    daemon.ok(&["send", "m", "--body", "2", "--keep", "--ttl", "1m"]);
    assert_eq!(daemon.ok(&["listen", "m", "-n", "2", "--bodies"]), "1\n2\n");
    daemon.ok(&["declare", "m", "--forget"]);
    assert_eq!(daemon.run(&["send", "m", "--body", "1", "--keep"]).0, 3);
}

#[test]
fn flags_are_raised_seen_and_lowered() {
    let daemon = Daemon::new();
    let mut eye = daemon.command(&["watch", "--flags", "-n", "2"]).stdout(Stdio::piped()).spawn().unwrap();
    daemon.wait_for_watches(1);
    assert_eq!(daemon.ok(&["flag", "list"]), "no flag is raised\n");
    daemon.ok(&["flag", "raise", "u/s/hot", "too hot", "-p", "60", "--tags", "a,b", "--manual-down"]);
    let flags: serde_json::Value = serde_json::from_str(&daemon.ok(&["flag", "list", "--json"])).unwrap();
    assert_eq!((&flags["name"], &flags["priority"]), (&"u/s/hot".into(), &60.into()));
    assert_ne!(daemon.run(&["flag", "lower", "u/s/hot"]).0, 0, "only a person may");
    daemon.ok(&["flag", "lower", "u/s/hot", "--by-hand"]);
    assert_eq!(daemon.run(&["flag", "raise", "u/s"]).0, 2);
    assert_eq!(daemon.run(&["flag", "raise", "u/s/n", "-p", "101"]).0, 2);
    let mut seen = String::new();
    std::io::Read::read_to_string(&mut eye.stdout.take().unwrap(), &mut seen).unwrap();
    assert!(eye.wait().unwrap().success());
    let lines: Vec<_> = seen.lines().collect();
    assert!(lines[0].contains("flag u/s/hot raised  priority 60  too hot  a,b"), "{seen}");
    assert!(lines[1].contains("flag u/s/hot lowered"), "{seen}");
}

#[test]
fn who_is_there_can_be_listed_and_watched() {
    let daemon = Daemon::new();
    let watch =
        |args: &[&str]| daemon.command(&[&["watch", "--json"], args].concat()).stdout(Stdio::piped()).spawn().unwrap();
    let members = watch(&["n", "--members", "-n", "2"]);
    let mut stations = watch(&["--stations"]);
    daemon.wait_for_watches(2);
    let ear = daemon
        .command(&["listen", "n", "--exclusive", "--station-name", "ear"])
        .stdout(Stdio::null())
        .spawn()
        .map(scopeguard)
        .unwrap();
    let until = Instant::now() + Duration::from_secs(10);
    while !daemon.ok(&["ls", "names"]).contains("exclusive") {
        assert!(Instant::now() < until);
    }
    let list = daemon.ok(&["ls"]);
    assert!(list.lines().any(|l| l.contains(" ear ") && l.contains("messi")), "{list}");
    assert!(list.contains("chappe-cli (you)"), "{list}");
    let (status, _, err) = daemon.run(&["listen", "n", "--exclusive"]);
    assert_eq!(status, 1);
    assert!(err.contains("cannot join n: the name is taken"), "{err}");
    assert_eq!(daemon.run(&["ls", "members"]).0, 2);
    drop(ear);
    // `ls` and the like come and go too
    let mut lines = BufReader::new(stations.stdout.take().unwrap()).lines();
    let mut of_ear = |event: &str| loop {
        let seen: serde_json::Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
        if seen["station_name"] == "ear" && seen["event"] == event {
            return seen["station"].clone();
        }
    };
    let station = of_ear("connected");
    assert_eq!(of_ear("disconnected"), station);
    drop(scopeguard(stations));
    let out = String::from_utf8(members.wait_with_output().unwrap().stdout).unwrap();
    let members: Vec<serde_json::Value> = out.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!((&members[0]["event"], &members[0]["name"]), (&"joined".into(), &"n".into()));
    assert_eq!((&members[1]["event"], &members[1]["station"]), (&"left".into(), &station));
    let status: serde_json::Value = serde_json::from_str(&daemon.ok(&["status", "--json"])).unwrap();
    assert!(status["counters"]["stations_introduced"].as_u64().unwrap() > 5);
    assert!(status["status"]["stations"]["in_use"].as_u64().unwrap() >= 1);
    assert!(daemon.ok(&["status"]).contains("COUNTER"));
}

/// Ends the child when it is dropped.
fn scopeguard(child: Child) -> impl Drop {
    struct Guard(Child);
    impl Drop for Guard {
        fn drop(&mut self) {
            end::end(&mut self.0);
        }
    }
    Guard(child)
}

#[test]
fn a_listener_survives_the_daemon() {
    let mut daemon = Daemon::new();
    let mut ear = daemon.listen("n::*", &["--bodies"]);
    daemon.ok(&["send", "n::x", "--body", "before"]);
    assert_eq!(ear.line(), "before");
    daemon.kill();
    std::thread::sleep(Duration::from_millis(500));
    daemon.start();
    daemon.wait_for_member("n::*");
    daemon.ok(&["send", "n::x", "--body", "after"]);
    assert_eq!(ear.line(), "after");
}

#[test]
fn no_daemon_is_said_with_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let address = format!("unix://{}/none", dir.path().display());
    for args in [&["ls"][..], &["get", "x"], &["listen", "x"], &["bench", "--secs", "1"]] {
        let out = chappe(args).env("CHAPPE_CONNECT", &address).output().unwrap();
        assert_eq!(out.status.code(), Some(6), "{args:?}");
        let err = String::from_utf8(out.stderr).unwrap();
        assert!(err.contains("cannot connect to unix:") && err.contains("chappe serve"), "{err}");
    }
    // with --wait it is waited for, but no longer than told
    let began = Instant::now();
    let out = chappe(&["ls", "--wait", "-t", "700ms", "--connect", &address]).output().unwrap();
    assert_eq!(out.status.code(), Some(6));
    assert!((600..3000).contains(&began.elapsed().as_millis()), "{:?}", began.elapsed());
}

#[test]
fn who_you_are_decides_what_you_may() {
    let daemon = Daemon::with(
        "anonymous = []\n\
         [[users]]\nname = \"reader\"\ntoken = \"a secret of 8\"\nrights = [\"read\"]\n\
         [[users]]\nname = \"writer\"\ntoken = \"another secret\"\nnames = [\"mine::*\"]",
    );
    let (status, _, err) = daemon.run(&["ls"]);
    assert_eq!(status, 5);
    assert!(err.contains("--token-file"), "{err}");
    assert_eq!(daemon.run(&["ls", "--user", "reader", "--token", "wrong"]).0, 5);
    let file = daemon.dir.path().join("token");
    std::fs::write(&file, "a secret of 8\n").unwrap();
    let reader = ["--user", "reader", "--token-file", file.to_str().unwrap()];
    daemon.ok(&[&["ls"], &reader[..]].concat());
    let (status, _, err) = daemon.run(&[&["send", "mine::x"], &reader[..]].concat());
    assert_eq!(status, 5, "{err}");
    let writer = |args: &[&str]| {
        let status = daemon.command(args).env("CHAPPE_USER", "writer").env("CHAPPE_TOKEN", "another secret").status();
        status.unwrap().code()
    };
    assert_eq!(writer(&["set", "mine::x", "1"]), Some(0));
    assert_eq!(writer(&["set", "yours::x", "1"]), Some(5));
    assert_eq!(writer(&["listen", "yours::x", "-n", "1"]), Some(5));
    assert_eq!(writer(&["ls", "--token-file", "/nonexistent"]), Some(7));
}

#[test]
fn something_else_at_that_address_is_said_too() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("tcp://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let _ = stream.unwrap().write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        }
    });
    let out = chappe(&["ls", "-t", "1s", "--connect", &address]).output().unwrap();
    assert_eq!(out.status.code(), Some(6));
    let err = String::from_utf8(out.stderr).unwrap();
    assert!(err.contains("is it the right port?"), "{err}");
}

#[test]
fn a_wrong_command_line_is_status_2() {
    let daemon = Daemon::new();
    for args in [
        &["send"][..],
        &["send", "n", "noparam"],
        &["send", "n", "--everyone"],
        &["send", "n", "--station", "five"],
        &["call", "n", "--all", "--station", "5"],
        &["send", "n", "--json-body", "{"],
        &["send", "n", "--body", "x", "--body-file", "y"],
        &["send", "n", "--ttl", "5s"],
        &["call", "n", "--everyone"],
        &["call", "n", "--station", "0"],
        &["get"],
        &["incr", "n", "x"],
        &["ls", "--connect", "localhost:1"],
        &["ls", "-t", "0"],
        &["listen", "n", "--for", "soon"],
        &["listen", ""],
        &["bench", "--size", "7"],
        &["nonsense"],
    ] {
        assert_eq!(daemon.run(args).0, 2, "{args:?}");
    }
    let (status, _, err) = daemon.run(&["send", "n", "--body-file", "/nonexistent"]);
    assert_eq!(status, 7);
    assert!(err.contains("/nonexistent"), "{err}");
}

#[test]
fn a_closed_output_ends_quietly() {
    let daemon = Daemon::new();
    let mut ear = daemon.listen("n", &[]);
    daemon.ok(&["send", "n", "--body", "1"]);
    assert!(ear.line().ends_with('1'));
    // what `| head -1` does
    drop(std::mem::replace(&mut ear.out, BufReader::new(spare_output())));
    let until = Instant::now() + Duration::from_secs(5);
    while ear.child.try_wait().unwrap().is_none() {
        assert!(Instant::now() < until, "goes on without a reader");
        daemon.run(&["send", "n", "--body", "2"]);
    }
    assert_eq!(ear.status(), 0);
    let mut err = String::new();
    std::io::Read::read_to_string(&mut ear.child.stderr.take().unwrap(), &mut err).unwrap();
    assert_eq!(err, "");
}

fn spare_output() -> std::process::ChildStdout {
    let mut child = Command::new("true").stdout(Stdio::piped()).spawn().unwrap();
    let out = child.stdout.take().unwrap();
    child.wait().unwrap();
    out
}

#[test]
fn listening_ends_in_time_and_says_what_it_missed() {
    let daemon = Daemon::new();
    let began = Instant::now();
    assert_eq!(daemon.run(&["listen", "n", "--for", "300ms"]).0, 0);
    assert!((250..3000).contains(&began.elapsed().as_millis()));
    let (status, _, err) = daemon.run(&["listen", "n", "--for", "200ms", "-n", "2"]);
    assert_eq!((status, err.as_str()), (4, "chappe: 2 more were expected\n"));
}

#[test]
fn bench_measures_all_its_parts() {
    let daemon = Daemon::new();
    let out = daemon.ok(&["bench", "--secs", "200ms", "--stations", "5", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&out).unwrap();
    let measured = json["measured"].as_array().unwrap();
    assert_eq!(measured.len(), 8);
    for m in measured {
        assert!(m["per_second"].as_f64().unwrap() > 10.0, "{m}");
        assert_eq!(m["lost"], 0, "{m}");
        assert!(m["p50_us"].as_f64() <= m["p99_us"].as_f64(), "{m}");
    }
    assert_eq!(json["ratios"].as_object().unwrap().len(), 3);
    assert_eq!(daemon.ok(&["keys"]).lines().count(), 1, "nothing stays behind");
    assert!(daemon.ok(&["bench", "--secs", "100ms", "--only", "call"]).contains("P99"));
}

#[test]
fn completions_and_manual_are_printed() {
    for (args, has) in [
        (&["completions", "bash"][..], "_chappe()"),
        (&["completions", "fish"], "complete -c chappe"),
        (&["man"], ".TH chappe 1"),
        (&["man", "listen"], "exclusive"),
        (&["--help"], "no answer in time"),
        (&["listen", "--help"], "--exclusive"),
    ] {
        let out = chappe(args).output().unwrap();
        assert!(out.status.success());
        let text = String::from_utf8(out.stdout).unwrap();
        assert!(text.contains(has), "{args:?}: {text}");
    }
    let dir = tempfile::tempdir().unwrap();
    assert!(chappe(&["man", "--dir", dir.path().to_str().unwrap()]).status().unwrap().success());
    for page in ["chappe.1", "chappe-listen.1", "chappe-flag-raise.1"] {
        assert!(dir.path().join(page).exists(), "{page}");
    }
    assert_eq!(chappe(&["man", "nothing"]).status().unwrap().code(), Some(2));
}

#[test]
fn over_udp_a_command_does_not_wait_for_the_end_of_a_connection() {
    let port = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let address = format!("udp://127.0.0.1:{port}");
    let mut daemon = chappe(&["serve", "--config", "/dev/null", "--log-level", "error", "--listen", &address])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // whether it listens cannot be seen over UDP but by an answer
    let mut tries =
        (0..20).map(|_| chappe(&["--connect", &address, "--timeout", "500ms", "set", "v", "1"]).status().unwrap());
    let up = tries.any(|status| status.success());
    let begun = Instant::now();
    let got = chappe(&["--connect", &address, "--timeout", "60s", "get", "v"]).output().unwrap();
    daemon.kill().unwrap();
    daemon.wait().unwrap();
    assert!(up, "the daemon does not answer");
    assert_eq!(got.stdout, b"1\n");
    assert!(begun.elapsed() < Duration::from_secs(30), "it waited for its timeout");
}
