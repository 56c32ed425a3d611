//! The command line on a bus of BIND 10, and the two kinds of bus as one: the real binary
//! against the real daemon, with a socket of either kind.

#[path = "support/end.rs"]
mod end;

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use chappe_linux::client::{self, Connection, Event, Letter};
use chappe_linux::msgq::{ANY, Message, Options, Session, body};
use serde_json::{Value, json};

#[path = "../examples/msgq_module.rs"]
#[allow(dead_code, unreachable_pub, missing_docs)]
mod example;

const SOON: Duration = Duration::from_secs(5);

/// A daemon with a native and an MSGQ socket, in a directory of its own.
struct Daemon {
    child: Option<Child>,
    dir: tempfile::TempDir,
}

impl Daemon {
    fn new() -> Self {
        let mut daemon = Daemon { child: None, dir: tempfile::tempdir().unwrap() };
        daemon.start();
        daemon
    }

    /// One with users and rights of its own: the rest of the configuration's file.
    fn with(config: &str) -> Self {
        let mut daemon = Daemon { child: None, dir: tempfile::tempdir().unwrap() };
        daemon.start_with(config);
        daemon
    }

    fn start_with(&mut self, config: &str) {
        let file = self.dir.path().join("chappe.toml");
        std::fs::write(&file, config.replace("BUS", &format!("msgq:{}", self.socket().display()))).unwrap();
        let mut serve = chappe(&["serve", "--log-level", "error", "--config"]);
        self.child = Some(serve.arg(file).stdout(Stdio::null()).spawn().unwrap());
        let until = Instant::now() + Duration::from_secs(10);
        while std::os::unix::net::UnixStream::connect(self.socket()).is_err() {
            assert!(Instant::now() < until, "the daemon does not listen");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn start(&mut self) {
        let child = chappe(&["serve", "--config", "/dev/null", "--log-level", "error"])
            .args(["--listen", &self.native(), "--listen", &format!("msgq://{}", self.socket().display())])
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        self.child = Some(child);
        let until = Instant::now() + Duration::from_secs(10);
        while Session::connect_to(self.socket(), Options::default()).is_err() {
            assert!(Instant::now() < until, "the daemon does not listen");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn stop(&mut self) {
        let mut child = self.child.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    fn native(&self) -> String {
        format!("unix://{}", self.dir.path().join("n.sock").display())
    }

    fn socket(&self) -> PathBuf {
        self.dir.path().join("msgq_socket")
    }

    /// On the bus of BIND 10, as it is typed.
    fn msgq(&self, args: &[&str]) -> Command {
        let mut command = chappe(args);
        command.env("CHAPPE_CONNECT", format!("msgq:{}", self.socket().display()));
        command
    }

    fn native_command(&self, args: &[&str]) -> Command {
        let mut command = chappe(args);
        command.env("CHAPPE_CONNECT", self.native());
        command
    }

    fn session(&self) -> Session {
        Session::connect_to(self.socket(), Options::default()).unwrap()
    }

    fn station(&self, name: &str) -> Connection {
        let options = client::Options { name: name.into(), timeout: SOON, ..Default::default() };
        Connection::connect(self.native().parse().unwrap(), options).unwrap()
    }

    /// Waits until a name has so many members.
    fn wait_for(&self, name: &str, members: usize) {
        let mut bus = self.session();
        let until = Instant::now() + Duration::from_secs(10);
        while bus.members(Some(name), SOON).unwrap().len() != members {
            assert!(Instant::now() < until, "{name} does not get {members} members");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// `listen` on the bus of BIND 10, once it has joined.
    fn listen(&self, name: &str, args: &[&str]) -> Running {
        let running = Running::new(self.msgq(&[&["listen", name], args].concat()));
        self.wait_for(name, 1);
        running
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            end::end(&mut child);
        }
    }
}

fn chappe(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_chappe"));
    for variable in ["CHAPPE_CONNECT", "CHAPPE_USER", "CHAPPE_TOKEN", "CHAPPE_CONFIG", "BIND10_MSGQ_SOCKET_FILE"] {
        command.env_remove(variable);
    }
    command.args(args).stdin(Stdio::null());
    command
}

/// Exit status, output, errors.
fn run(mut command: Command) -> (i32, String, String) {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let text = |b: Vec<u8>| String::from_utf8(b).unwrap();
    (status.code().unwrap(), text(stdout), text(stderr))
}

/// The output of what must succeed.
fn ok(command: Command) -> String {
    let (status, out, err) = run(command);
    assert_eq!(status, 0, "{err}");
    out
}

fn rows(out: &str) -> Vec<Value> {
    out.lines().map(|l| serde_json::from_str(l).unwrap_or_else(|e| panic!("{e}: {l}"))).collect()
}

struct Running {
    child: Child,
    out: BufReader<std::process::ChildStdout>,
}

impl Running {
    fn new(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        Running { child, out }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.out.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    fn json(&mut self) -> Value {
        let line = self.line();
        serde_json::from_str(&line).unwrap_or_else(|e| panic!("{e}: {line:?}"))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        end::end(&mut self.child);
    }
}

/// A module in a thread of its own; it ends when this is dropped.
struct Module {
    lname: String,
    stop: Option<mpsc::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

/// Serves a group with what the closure answers. It is a member when this returns.
fn module(
    daemon: &Daemon,
    group: &'static str,
    serve: impl Fn(&Message) -> Option<Vec<u8>> + Send + 'static,
) -> Module {
    let mut bus = daemon.session();
    bus.subscribe(group, ANY).unwrap();
    bus.ping(SOON).unwrap();
    let lname = bus.lname().to_owned();
    let (stop, stopped) = mpsc::channel::<()>();
    let thread = std::thread::spawn(move || {
        while stopped.try_recv() == Err(mpsc::TryRecvError::Empty) {
            if let Some(message) = bus.receive(Some(Duration::from_millis(20))).unwrap()
                && let Some(answer) = serve(&message)
            {
                bus.reply(&message, &answer).unwrap();
            }
        }
    });
    Module { lname, stop: Some(stop), thread: Some(thread) }
}

impl Drop for Module {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Commands as a module of BIND 10 serves them.
fn serve(message: &Message) -> Option<Vec<u8>> {
    let (name, params) = message.command()?;
    Some(match name.as_str() {
        "echo" => body::result(&params),
        "hello" => body::result(&json!("good morning é")),
        "ping" => body::result(&Value::Null),
        "fail" => body::failure(1, "the disk is full"),
        "mute" => return None,
        other => body::failure(2, &format!("unknown command: {other}")),
    })
}

#[test]
fn a_module_is_called_from_either_bus_with_the_same_words() {
    let daemon = Daemon::new();
    let module = module(&daemon, "Echo", serve);
    for (args, status, out, err) in [
        (&["call", "Echo/hello"][..], 0, "good morning é\n", ""),
        (&["call", "Echo/ping"], 0, "", ""),
        (&["call", "Echo/echo", "a=b c", "n=1"], 0, "{\"a\": \"b c\", \"n\": \"1\"}\n", ""),
        (&["call", "Echo/echo", "--body", "-5"], 0, "-5\n", ""),
        (&["call", "Echo/echo", "--json-body", "[1, 2.50]"], 0, "[1, 2.5]\n", ""),
        (&["call", "Echo/echo", "k=v", "--json-body", "{}"], 0, "{\"body\": {}, \"k\": \"v\"}\n", ""),
        (&["call", "Echo", "--json-body", "{\"command\": [\"hello\"]}"], 0, "good morning é\n", ""),
        (&["call", "Echo/fail"], 1, "", "chappe: Echo: the callee failed: the disk is full\n"),
        (&["call", "Echo/x"], 1, "", "chappe: Echo: the callee does not know that verb: unknown command: x\n"),
    ] {
        for command in [daemon.msgq(args), daemon.native_command(args)] {
            assert_eq!(run(command), (status, out.into(), err.into()), "{args:?}");
        }
    }
    for command in [
        daemon.msgq(&["call", "Echo/mute", "-t", "300ms"]),
        daemon.native_command(&["call", "Echo/mute", "-t", "300ms"]),
    ] {
        let (status, _, err) = run(command);
        assert_eq!((status, err.as_str()), (4, "chappe: Echo: no answer in time\n"));
    }
    for command in [daemon.msgq(&["call", "Nobody/x"]), daemon.native_command(&["call", "Nobody/x"])] {
        let (status, _, err) = run(command);
        assert!(status == 3 && err.starts_with("chappe: Nobody: no such recipient\n"), "{status} {err}");
    }
    let answer = &rows(&ok(daemon.msgq(&["call", "Echo/hello", "--json"])))[0];
    assert_eq!(
        (&answer["code"], &answer["body"], &answer["from"]),
        (&json!("ok"), &json!("good morning é"), &json!(module.lname))
    );
    // to that one alone, told under which name it is meant
    assert_eq!(ok(daemon.msgq(&["call", "Echo/hello", "--station", &module.lname])), "good morning é\n");
    assert_eq!(run(daemon.msgq(&["call", "Echo/hello", "--station", "gone"])).0, 3);
    let stations = rows(&ok(daemon.native_command(&["ls", "members", "Echo", "--json"])));
    let number = stations[0]["station"].to_string();
    assert_eq!(ok(daemon.native_command(&["call", "Echo/hello", "--station", &number])), "good morning é\n");
}

#[test]
fn a_station_is_called_from_a_bus_of_bind_10() {
    let daemon = Daemon::new();
    let mut sensor = daemon.station("board 1");
    sensor.join_exclusively("sensor::b1").unwrap();
    let (stop, stopped) = mpsc::channel::<()>();
    let board = std::thread::spawn(move || {
        while stopped.try_recv() == Err(mpsc::TryRecvError::Empty) {
            let Some(Event::Message(m)) = sensor.next_event(Some(Duration::from_millis(20))).unwrap() else { continue };
            match m.verb.as_str() {
                "IDENTIFY" => sensor.reply(&m, b"b1, revision 2").unwrap(),
                "ECHO" => {
                    let text = format!(
                        "{}|{}|{}",
                        m.param("led").unwrap_or("-"),
                        m.instance,
                        String::from_utf8_lossy(&m.body)
                    );
                    sensor.reply(&m, text.as_bytes()).unwrap();
                }
                // it asks nothing and is told nothing
                "SET" => assert_eq!((m.body.as_slice(), m.ask_id), (&b"on"[..], 0)),
                "LEAVE" => return sensor.close().unwrap(),
                verb => panic!("{verb}"),
            }
        }
    });
    assert_eq!(ok(daemon.msgq(&["call", "sensor::b1/IDENTIFY"])), "b1, revision 2\n");
    assert_eq!(ok(daemon.msgq(&["call", "sensor::b1/ECHO", "led=5"])), "5||\n");
    assert_eq!(ok(daemon.msgq(&["call", "sensor::b1/ECHO", "--body", "x y"])), "-||x y\n");
    let mut bus = daemon.session();
    let answer = bus.call("sensor::b1", ANY, ANY, "IDENTIFY", &Value::Null, SOON).unwrap();
    assert_eq!(answer, json!("b1, revision 2"));
    assert_eq!(
        ok(daemon.msgq(&["send", "sensor::b1", "--body", "on"])),
        "handed to the bus (it does not say who got it; `call` would)\n"
    );
    assert_eq!(rows(&ok(daemon.msgq(&["send", "sensor::b1", "--body", "on", "--json"])))[0]["outcome"], "unknown");
    ok(daemon.msgq(&["send", "sensor::b1", "--body", "on", "--blindly"]));
    let (status, _, err) = run(daemon.msgq(&["call", "sensor::b1/LEAVE"]));
    assert_eq!((status, err.as_str()), (3, "chappe: sensor::b1: the recipient left before answering\n"));
    drop(stop);
    board.join().unwrap();
}

#[test]
fn what_is_sent_is_heard_on_either_side() {
    let daemon = Daemon::new();
    let mut ear = daemon.listen("news", &["--json"]);
    ok(daemon.msgq(&["send", "news", "--body", "rain"]));
    ok(daemon.native_command(&["send", "news/GO", "x=1"]));
    ok(daemon.msgq(&["send", "news", "--json-body", "{\"notification\": [\"rain\", {\"mm\": 3}]}"]));
    let mut bus = daemon.session();
    bus.send("news", "*", ANY, b"\xff\0", false).unwrap();
    let m = ear.json();
    assert_eq!(
        (&m["name"], &m["verb"], &m["body"], &m["asks"]),
        (&json!("news"), &json!("SET"), &json!("rain"), &json!(false))
    );
    assert!(m["from"].as_str().unwrap().contains('@') && m["seq"].is_u64(), "{m}");
    let m = ear.json();
    assert_eq!((&m["verb"], &m["params"]), (&json!("GO"), &json!({"x": "1"})));
    let m = ear.json();
    assert_eq!((&m["verb"], &m["body"]["notification"][1]["mm"]), (&json!(""), &json!(3)));
    assert_eq!(ear.json()["body_base64"], "/wA=");
    drop(ear);
    // the same lines for people
    let mut here = daemon.listen("n", &["-n", "3", "--reply", "42"]);
    let mut there = Running::new(daemon.native_command(&["listen", "n", "-n", "3"]));
    daemon.wait_for("n", 2);
    ok(daemon.msgq(&["send", "n", "--body", "a\u{1b}[31m\nb"]));
    ok(daemon.native_command(&["send", "n/GO", "x=1", "y=a b", "--body", "-5"]));
    assert_eq!(ok(daemon.msgq(&["call", "n/ASK", "q=1"])), "42\n");
    for (want, native) in [
        ("n  SET  a\\u{1b}[31m\\nb", "n  SET  a\\u{1b}[31m\\nb"),
        ("n  GO  x=1 y=\"a b\" body=-5", "n  GO  x=1 y=\"a b\"  -5"),
        ("n  ASK?  q=1", "n  ASK?  q=1"),
    ] {
        let (here, there) = (here.line(), there.line());
        assert!(here.ends_with(want) && there.ends_with(native), "{here}\n{there}");
    }
    assert_eq!(here.child.wait().unwrap().code(), Some(0), "-n 3 is over");
    // instances: one hears what is for it and not what is for all
    let mut one = Running::new(daemon.msgq(&["listen", "room", "--instance", "one", "--bodies", "-n", "1"]));
    let until = Instant::now() + SOON;
    while run(daemon.native_command(&["ls", "members", "room", "--json"])).1.is_empty() {
        assert!(Instant::now() < until);
    }
    ok(daemon.msgq(&["send", "room", "--body", "for all"]));
    ok(daemon.msgq(&["send", "room", "--body", "for two", "--instance", "two"]));
    ok(daemon.msgq(&["send", "room", "--body", "for one", "--instance", "one"]));
    assert_eq!(one.line(), "for one");
}

#[test]
fn who_is_there_is_listed_and_watched_across() {
    let daemon = Daemon::new();
    let mut watch = Running::new(daemon.msgq(&["watch", "--json"]));
    daemon.wait_for("notifications/cc_members", 1);
    let mut only = Running::new(daemon.msgq(&["watch", "n", "--members"]));
    daemon.wait_for("notifications/cc_members", 2);
    let mut station = daemon.station("native");
    station.join("n").unwrap();
    let members = rows(&ok(daemon.msgq(&["ls", "members", "n", "--json"])));
    let [member] = &members[..] else { panic!("{members:?}") };
    let lname = member["station"].as_str().unwrap().to_owned();
    let all = rows(&ok(daemon.msgq(&["ls", "--json"])));
    assert!(all.iter().any(|s| s["station"] == lname && s["you"] == false), "{all:?}");
    assert_eq!(all.iter().filter(|s| s["you"] == true).count(), 1);
    let table = ok(daemon.msgq(&["ls", "stations", &lname]));
    assert_eq!(table, format!("STATION\n{lname}\n"), "only what begins with that");
    assert!(ok(daemon.msgq(&["ls"])).contains(" (you)\n"));
    station.close().unwrap();
    let seen: Vec<_> = std::iter::from_fn(|| Some(watch.json()))
        .filter(|e| e["station"] == lname)
        .take(4)
        .map(|e| (e["event"].clone(), e["name"].clone()))
        .collect();
    let event = |event: &str, name: Value| (json!(event), name);
    assert_eq!(
        seen,
        [
            event("connected", Value::Null),
            event("joined", json!("n")),
            event("left", json!("n")),
            event("disconnected", Value::Null)
        ]
    );
    assert!(only.line().ends_with(&format!("{lname}  joined n")));
    assert!(only.line().ends_with(&format!("{lname}  left n")));
}

#[test]
fn each_member_of_a_group_is_asked_from_either_bus() {
    let daemon = Daemon::new();
    assert_eq!(run(daemon.msgq(&["call", "--all", "crew/hello"])).0, 3);
    let well = module(&daemon, "crew", serve);
    let odd = module(&daemon, "crew", |m| m.command().map(|_| body::failure(7, "not today")));
    // it is told, and says nothing
    let mut mute = daemon.station("mute");
    mute.join("crew").unwrap();
    for (command, native) in [
        (daemon.msgq(&["call", "--all", "crew/hello", "-t", "1s"]), false),
        (daemon.native_command(&["call", "--all", "crew/hello", "-t", "1s"]), true),
    ] {
        let (status, out, err) = run(command);
        assert_eq!((status, err.as_str()), (4, "chappe: crew: 1 of 3 answered well\n"));
        let line = |who: &str, said: &str| {
            let end = format!("{who}: {said}");
            assert!(out.lines().any(|l| l.ends_with(&end) && l.starts_with('@') == native), "{end} in {out}");
        };
        line(&well.lname, "good morning é");
        line(&odd.lname, "the callee failed: not today");
        line(if native { "mute" } else { "" }, "no answer in time");
        assert_eq!(out.lines().count(), 3, "{out}");
    }
    drop(mute);
    drop(odd);
    daemon.wait_for("crew", 1);
    assert_eq!(ok(daemon.msgq(&["call", "--all", "crew/hello"])), format!("{}: good morning é\n", well.lname));
    let row = &rows(&ok(daemon.msgq(&["call", "--all", "crew/hello", "--json"])))[0];
    assert_eq!(
        (&row["station"], &row["code"], &row["body"]),
        (&json!(well.lname), &json!("ok"), &json!("good morning é"))
    );
    // as a program does it, itself a member
    let mut bus = daemon.session();
    bus.subscribe("crew", ANY).unwrap();
    let answers = bus.call_each("crew", "hello", &Value::Null, SOON).unwrap();
    assert_eq!(answers.len(), 1);
    assert_eq!(answers[0].1.as_ref().unwrap(), &json!("good morning é"));
}

#[test]
fn three_are_asked_and_one_leaves_and_one_is_silent() {
    let daemon = Daemon::new();
    let _well = module(&daemon, "crew", serve);
    let mut mute = daemon.station("mute");
    mute.join("crew").unwrap();
    let mut deserter = daemon.station("deserter");
    deserter.join("crew").unwrap();
    let leaves = std::thread::spawn(move || {
        while !matches!(deserter.next_event(Some(SOON)).unwrap(), Some(Event::Message(m)) if m.ask_id != 0) {}
    });
    let mut asker = daemon.station("asker");
    let letter = Letter { name: "crew", verb: "hello", ttl_ms: 1000, ..Letter::default() };
    let mut said: Vec<_> =
        asker.call_each(&letter).unwrap().into_iter().map(|(_, a)| (a.code.text(), a.body)).collect();
    said.sort();
    let none = Vec::new;
    assert_eq!(
        said,
        [
            ("no answer in time", none()),
            ("ok", "good morning é".into()),
            ("the recipient left before answering", none())
        ]
    );
    leaves.join().unwrap();
}

#[test]
fn a_callee_that_leaves_is_told_by_the_node() {
    let daemon = Daemon::new();
    let (asked, is_asked) = mpsc::channel();
    let module = module(&daemon, "Echo", move |m| {
        asked.send(()).unwrap();
        serve(m)
    });
    let call = daemon.msgq(&["call", "Echo/mute"]).stderr(Stdio::piped()).spawn().unwrap();
    is_asked.recv_timeout(SOON).unwrap();
    drop(module);
    let Output { status, stderr, .. } = call.wait_with_output().unwrap();
    let err = String::from_utf8(stderr).unwrap();
    assert_eq!((status.code(), err.as_str()), (Some(3), "chappe: Echo: the recipient left before answering\n"));
}

#[test]
fn what_that_bus_cannot_do_is_said() {
    let daemon = Daemon::new();
    for (args, why) in [
        (&["get", "x"][..], "no shared values"),
        (&["set", "x", "1"], "chappe send"),
        (&["incr", "x"], "no shared values"),
        (&["decr", "x"], "no shared values"),
        (&["del", "x"], "no shared values"),
        (&["keys"], "no shared values"),
        (&["declare", "x"], "no mail"),
        (&["flag", "list"], "no flags"),
        (&["status"], "chappe ls"),
        (&["bench"], "does not have"),
        (&["ls", "names"], "ls members NAME"),
        (&["ls", "counters"], "counted"),
        (&["watch", "--flags"], "no flags"),
        (&["listen", "x", "--exclusive"], "anybody may join"),
        (&["send", "x", "--keep"], "keeps nothing"),
        (&["send", "--everyone", "/X"], "no letters to everyone"),
        (&["send", "/X", "--station", "y"], "also write the name"),
        (&["call", "x", "--all", "--instance", "i"], "of all instances"),
        (&["ls", "members"], "of which name"),
        (&["ls", "-t", "0"], "longer than 0"),
        (&["ls", "--connect", "msgq:relative"], "must be absolute"),
    ] {
        let (status, out, err) = run(daemon.msgq(args));
        assert_eq!((status, out.as_str()), (2, ""), "{args:?}: {err}");
        assert!(err.contains(why), "{args:?}: {err}");
        assert!(err.contains("--connect unix:///PATH") || !err.contains("is not for a bus of BIND 10"), "{err}");
    }
    // patterns are names there: whoever types one is told
    let (status, _, err) = run(daemon.msgq(&["listen", "a::*", "--for", "100ms"]));
    assert!(status == 0 && err.contains("no patterns"), "{err}");
    assert_eq!(run(daemon.msgq(&["listen", "a::*", "--for", "100ms", "-q"])).2, "");
}

/// Who runs this may use two names.
fn narrow() -> String {
    use std::os::unix::fs::MetadataExt;
    let user = std::fs::metadata("/proc/self").unwrap().uid();
    format!(
        "[[listeners]]\naddress = \"BUS\"\n[[users]]\nname = \"me\"\npeer_users = [{user}]\n\
         names = [\"open\", \"pub::*\"]\n"
    )
}

/// Strangers may nothing.
const SHUT: &str = "[[listeners]]\naddress = \"BUS\"\nanonymous = []\n";

#[test]
fn who_may_not_come_in_is_told_so() {
    let daemon = Daemon::with(SHUT);
    for args in [&["ls"][..], &["send", "x"], &["send", "x", "--blindly"], &["call", "x"], &["listen", "x"], &["watch"]]
    {
        let (status, out, err) = run(daemon.msgq(args));
        assert_eq!((status, out.as_str()), (5, ""), "{args:?}: {err}");
        assert!(err.contains("closed the connection at once") && err.contains("peer_users"), "{err}");
    }
}

#[test]
fn what_one_may_not_do_ends_with_the_status_of_that() {
    let daemon = Daemon::with(&narrow());
    for (args, text) in [
        (&["listen", "secret"][..], "asked to join secret: not permitted"),
        (&["listen", "open", "pub::a", "secret", "--for", "5s"], "asked to join secret: "),
        (&["watch"], "asked to join notifications/cc_members: "),
        (&["ls"], "not permitted: no grant"),
        (&["ls", "members", "secret"], "not permitted: no grant"),
        (&["call", "secret/x"], "not permitted: no grant"),
        (&["call", "secret/x", "--all"], "not permitted: no grant"),
        (&["call", "Msgq/members"], "not permitted: no grant"),
    ] {
        let (status, out, err) = run(daemon.msgq(args));
        assert_eq!((status, out.as_str()), (5, ""), "{args:?}: {err}");
        assert!(err.contains(text), "{args:?}: {err}");
    }
    assert_eq!(run(daemon.msgq(&["call", "open/x"])).0, 3);
    ok(daemon.msgq(&["listen", "open", "pub::a", "--for", "50ms"]));
    let daemon = Daemon::new();
    let mut owner = daemon.station("owner");
    owner.join_exclusively("taken").unwrap();
    for name in ["taken", &"x".repeat(129)] {
        let (status, _, err) = run(daemon.msgq(&["listen", name]));
        assert!(status == 5 && err.contains(&format!("asked to join {name}: ")), "{status} {err}");
    }
}

#[test]
fn a_listener_ends_when_it_is_no_longer_wanted() {
    for (config, text) in [(narrow(), "asked to join secret"), (SHUT.to_owned(), "closed the connection at once")] {
        let mut daemon = Daemon::new();
        let mut ear = daemon.listen("secret", &[]);
        daemon.stop();
        daemon.start_with(&config);
        assert_eq!(ear.child.wait().unwrap().code(), Some(5));
        let mut err = String::new();
        std::io::Read::read_to_string(&mut ear.child.stderr.take().unwrap(), &mut err).unwrap();
        assert!(err.contains(text), "{err}");
    }
}

#[test]
fn a_body_that_may_be_too_long_is_named_when_the_session_ends() {
    let daemon = Daemon::new();
    let file = daemon.dir.path().join("long");
    std::fs::write(&file, vec![b'x'; 2 << 20]).unwrap();
    for command in ["send", "call"] {
        let (status, _, err) = run(daemon.msgq(&[command, "n/X", "--body-file", file.to_str().unwrap()]));
        assert!(status == 6 && err.contains("probably longer than the bus takes"), "{command}: {status} {err}");
    }
}

#[test]
fn a_listener_says_goodbye_to_a_native_node() {
    let daemon = Daemon::new();
    let mut watch = Running::new(daemon.native_command(&["watch", "--stations", "--json"]));
    let until = Instant::now() + SOON;
    while rows(&ok(daemon.native_command(&["ls", "stations", "--json"]))).len() < 2 {
        assert!(Instant::now() < until);
    }
    for args in [&["listen", "n", "--for", "50ms"][..], &["watch", "--for", "50ms"]] {
        ok(daemon.native_command(&[args, &["--station-name", "guest"]].concat()));
        let gone = std::iter::from_fn(|| Some(watch.json()))
            .find(|e| e["event"] == "disconnected" && e["station_name"] == "guest")
            .unwrap();
        assert_eq!(gone["reason"], "ok", "{gone}");
    }
}

#[test]
fn why_there_is_no_connection_is_said_by_kind() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    use std::os::unix::process::CommandExt;
    let daemon = Daemon::new();
    let wrong = format!("unix://{}", daemon.socket().display());
    let (status, _, err) = run(chappe(&["ls", "-t", "1s", "--connect", &wrong]));
    assert!(status == 6 && err.contains("write msgq:///PATH") && err.contains("clacks:///PATH"), "{status} {err}");
    // free again right after this line
    let port = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (status, _, err) = run(chappe(&["ls", "-t", "1s", "--connect", &format!("udp://{port}")]));
    assert!(status == 6 && err.contains("nothing listens on that UDP port"), "{status} {err}");
    // all places that were looked at are named
    let none = daemon.dir.path().join("none");
    let mut auto = chappe(&["ls", "--connect", "msgq://auto"]);
    auto.env("BIND10_MSGQ_SOCKET_FILE", &none);
    let (status, _, err) = run(auto);
    assert!(status == 6 && err.contains("FILE says:\n") && err.contains(none.to_str().unwrap()), "{err}");
    // (unless this machine has such a bus)
    let (_, _, err) = run(chappe(&["ls", "--connect", "msgq://auto"]));
    assert!(
        !err.contains("usual places:") || ["/usr/local/var/bind10/", "/run/chappe/"].iter().all(|p| err.contains(p)),
        "{err}"
    );
    // The one user whom no mode keeps out tries it as another, with a program that one can reach.
    let dir = tempfile::tempdir().unwrap();
    let root = std::fs::metadata("/proc/self").unwrap().uid() == 0;
    let program = dir.path().join("chappe");
    if root {
        std::fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o755)).unwrap();
        std::fs::copy(env!("CARGO_BIN_EXE_chappe"), &program).unwrap();
    }
    for address in [daemon.native(), wrong.replace("unix:", "msgq:")] {
        std::fs::set_permissions(address.split_once("://").unwrap().1, PermissionsExt::from_mode(0o000)).unwrap();
        let mut command = chappe(&[]);
        if root {
            command = Command::new(&program);
            command.uid(65534).gid(65534).env_clear().stdin(Stdio::null());
        }
        command.args(["ls", "--connect", &address]);
        let (status, _, err) = run(command);
        assert!(status == 6 && err.contains("mode, owner or group") && !err.contains("running?"), "{status} {err}");
    }
}

#[test]
fn nobody_there_is_said_with_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let none = format!("msgq:{}/none", dir.path().display());
    for args in [&["ls"][..], &["call", "x"], &["send", "x"], &["listen", "x"], &["watch"]] {
        let mut command = chappe(args);
        command.env("CHAPPE_CONNECT", &none);
        let (status, _, err) = run(command);
        assert_eq!(status, 6, "{args:?}");
        assert!(err.contains("cannot connect to msgq:///") && err.contains("--connect msgq:/PATH"), "{err}");
    }
    let began = Instant::now();
    assert_eq!(run(chappe(&["ls", "--wait", "-t", "700ms", "--connect", &none])).0, 6);
    assert!((600..3000).contains(&began.elapsed().as_millis()), "{:?}", began.elapsed());
    // the native socket of a node is not the other one
    let daemon = Daemon::new();
    let wrong = daemon.native().replace("unix:", "msgq:");
    let (status, _, err) = run(chappe(&["ls", "-t", "1s", "--connect", &wrong]));
    assert!(status == 6 && err.contains("does not speak MSGQ") && err.contains("unix:///PATH"), "{status} {err}");
    // and the usual place is where the variable says
    let mut auto = chappe(&["ls", "--connect", "msgq://auto"]);
    auto.env("BIND10_MSGQ_SOCKET_FILE", daemon.socket());
    assert!(ok(auto).contains("(you)"));
}

#[test]
fn a_listener_survives_the_daemon() {
    let mut daemon = Daemon::new();
    let mut ear = daemon.listen("n", &["--bodies"]);
    ok(daemon.msgq(&["send", "n", "--body", "before"]));
    assert_eq!(ear.line(), "before");
    daemon.stop();
    std::thread::sleep(Duration::from_millis(300));
    daemon.start();
    daemon.wait_for("n", 1);
    ok(daemon.msgq(&["send", "n", "--body", "after"]));
    assert_eq!(ear.line(), "after");
    ear.child.kill().unwrap();
    let mut err = String::new();
    std::io::Read::read_to_string(&mut ear.child.stderr.take().unwrap(), &mut err).unwrap();
    assert!(err.contains("the node closed") && err.contains("connected again, as "), "{err}");
}

#[test]
fn the_example_says_how_to_call_it() {
    let daemon = Daemon::new();
    let socket = daemon.socket();
    std::thread::spawn({
        let socket = socket.clone();
        move || example::serve(&socket).map_err(|e| e.to_string())
    });
    daemon.wait_for("Thermometer", 1);
    let text = example::how_to_call(&socket);
    let lines: Vec<_> = text.lines().map(str::trim_start).filter(|l| !l.starts_with('#')).collect();
    assert_eq!(lines.len(), 8, "each command for either bus: {text}");
    for line in lines {
        // as a shell takes it apart
        let args: Vec<_> = line.strip_prefix("chappe ").unwrap().split(' ').collect();
        ok(daemon.native_command(&args));
    }
}

const HELP: &str = "Thermometer knows\nThermometer/read: the temperature, in degrees Celsius\n\
    Thermometer/read unit=F: the same in Fahrenheit\nThermometer/ping: nothing: it is there\n\
    Thermometer/help: this list\n";

#[test]
fn the_example_serves() {
    let mut daemon = Daemon::new();
    let socket = daemon.socket();
    let module = std::thread::spawn(move || example::farewell(&*example::serve(&socket).unwrap_err(), &socket));
    daemon.wait_for("Thermometer", 1);
    for (args, status, out) in [
        (&["call", "Thermometer/read"][..], 0, "{\"unit\": \"C\", \"value\": 21.5}\n"),
        (&["call", "Thermometer/read", "unit=F"], 0, "{\"unit\": \"F\", \"value\": 70.7}\n"),
        (&["call", "Thermometer/read", "unit=K"], 1, ""),
        (&["call", "Thermometer/ping"], 0, ""),
        (&["call", "Thermometer/x"], 1, ""),
        (&["call", "Thermometer", "--json-body", "[]"], 1, ""),
        (&["call", "Thermometer/help"], 0, HELP),
        (&["call", "Thermometer"], 0, HELP),
        (&["send", "Thermometer", "--body", "hot", "-q"], 0, ""),
    ] {
        for command in [daemon.msgq(args), daemon.native_command(args)] {
            let (s, o, err) = run(command);
            assert_eq!((s, o.as_str()), (status, out), "{args:?}: {err}");
        }
    }
    daemon.stop();
    let words = module.join().unwrap();
    assert!(words.contains("has ended this session: the node closed") && !words.contains('{'), "{words}");
}
