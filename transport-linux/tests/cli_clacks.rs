//! The command line on a Clacks server: the real binary against a small strict one, or with
//! CHAPPE_TEST_CLACKS=ADDRESS against any other that has the users of `wire/clacks.md` section 17.

#[path = "support/end.rs"]
mod end;
#[path = "support/clacks_script.rs"]
#[allow(dead_code, unreachable_pub, missing_docs)]
mod script;
#[path = "support/clacks_server.rs"]
#[allow(dead_code, unreachable_pub, missing_docs)]
mod server;

use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use chappe_linux::clacks::{Event, Session};
use serde_json::{Value, json};
use server::Server;

const MAIN: (&str, &str) = ("exampleuser", "unsafepassword");
const READER: (&str, &str) = ("rouser", "bar");
const USER: (&str, &str) = ("rwuser", "foo");
const WRITER: (&str, &str) = ("wouser", "baz");

/// A name that no other test uses.
fn unique(name: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("test{}::{}::{name}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

fn bare(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_chappe"));
    for variable in ["CHAPPE_CONNECT", "CHAPPE_USER", "CHAPPE_TOKEN", "CHAPPE_CERTIFICATE", "CHAPPE_KEY"] {
        command.env_remove(variable);
    }
    command.args(args).stdin(Stdio::null());
    command
}

fn chappe_at(address: &str, user: (&str, &str), args: &[&str]) -> Command {
    let mut command = bare(args);
    command.env("CHAPPE_CONNECT", address).env("CHAPPE_USER", user.0).env("CHAPPE_TOKEN", user.1);
    command
}

fn chappe(server: &Server, user: (&str, &str), args: &[&str]) -> Command {
    chappe_at(server.address(), user, args)
}

/// Exit status, output, errors.
fn run(mut command: Command) -> (i32, String, String) {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let text = |b: Vec<u8>| String::from_utf8(b).unwrap();
    (status.code().unwrap(), text(stdout), text(stderr))
}

/// The output of what must succeed without a remark.
fn ok(server: &Server, args: &[&str]) -> String {
    let (status, out, err) = run(chappe(server, MAIN, args));
    assert_eq!((status, &err[..]), (0, ""), "{args:?}");
    out
}

fn session(server: &Server) -> Session {
    let mut bus = Session::connect(server.address().parse().unwrap(), script::options()).unwrap();
    bus.flush().unwrap();
    while bus.receive(Some(Duration::ZERO)).unwrap().is_some() {}
    bus
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

    /// Exit status and what else was said.
    fn end(&mut self) -> (Option<i32>, String) {
        let mut text = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut text).unwrap();
        (self.child.wait().unwrap().code(), text)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        end::end(&mut self.child);
    }
}

/// `listen`, once it hears what is sent to one more name; and a session.
fn listen(server: &Server, args: &[&str]) -> (Running, Session) {
    let name = unique("ready");
    let mut all = vec!["listen"];
    all.extend(args);
    all.push(&name);
    let mut running = Running::new(chappe(server, MAIN, &all));
    let mut bus = session(server);
    let (send, came) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        let running = &mut running;
        scope.spawn(move || send.send(running.line()));
        let until = Instant::now() + Duration::from_secs(10);
        loop {
            bus.set(&name, "::ready").unwrap();
            if let Ok(line) = came.recv_timeout(Duration::from_millis(50)) {
                assert!(line.contains("::ready"), "{line:?}");
                break;
            }
            assert!(Instant::now() < until, "it does not hear");
        }
    });
    (running, bus)
}

/// As [`Running::line`], without those that say that it is ready.
fn next_line(running: &mut Running) -> String {
    loop {
        let line = running.line();
        if !line.contains("::ready") {
            return line;
        }
    }
}

#[test]
fn values_are_set_read_counted_listed_and_removed() {
    let server = Server::start();
    let (a, b, n) = (unique("a"), unique("b=c"), unique("n"));
    assert_eq!(ok(&server, &["set", &a, "21.5 = x"]), "");
    assert_eq!(ok(&server, &["get", &a]), "21.5 = x\n");
    assert_eq!(ok(&server, &["set", &a, ""]), "");
    assert_eq!(ok(&server, &["get", &a]), "");
    assert_eq!(ok(&server, &["incr", &n]), "1\n");
    assert_eq!(ok(&server, &["incr", &n, "41"]), "42\n");
    assert_eq!(ok(&server, &["decr", &n, "-8"]), "50\n");
    assert_eq!(ok(&server, &["decr", &n, "9", "--json"]), format!("{{\"name\":\"{n}\",\"value\":\"41\"}}\n"));
    assert_eq!(ok(&server, &["incr", &b]), "1\n");
    assert_eq!(ok(&server, &["get", &b, &n]), format!("{b} = 1\n{n} = 41\n"));
    let prefix = n.trim_end_matches('n');
    assert_eq!(ok(&server, &["keys", prefix]), format!("NAME\n{n}\n"));
    assert_eq!(ok(&server, &["ls", "values", prefix, "--json"]), format!("{{\"name\":\"{n}\"}}\n"));
    assert_eq!(ok(&server, &["del", &n, &b]), "");
    let (status, out, err) = run(chappe(&server, MAIN, &["get", &n, &a, &b, "--json"]));
    assert_eq!((status, &out[..]), (1, &format!("{{\"name\":\"{a}\",\"value\":\"\"}}\n")[..]));
    assert_eq!(err, format!("chappe: no such value: {n}, {b}\n"));
    assert_eq!(ok(&server, &["flush"]), "");
    // octets as they are
    let file = tempfile::NamedTempFile::new().unwrap();
    let bytes: Vec<u8> = (0..=255).filter(|b| !matches!(b, b'\r' | b'\n')).collect();
    std::fs::write(file.path(), &bytes).unwrap();
    ok(&server, &["set", &a, "--body-file", file.path().to_str().unwrap()]);
    assert_eq!(chappe(&server, MAIN, &["get", &a]).output().unwrap().stdout, bytes);
    let value: Value = serde_json::from_str(&ok(&server, &["get", &a, "--json"])).unwrap();
    assert!(value["value_base64"].as_str().unwrap().starts_with("AAECAwQF"));
    ok(&server, &["del", &a]);
}

#[test]
fn what_is_sent_and_announced_is_heard() {
    let server = Server::start();
    let (a, b, c) = (unique("a"), unique("b"), unique("c"));
    let (mut ear, _bus) = listen(&server, &["--json", &a, &b, &format!("{c}/GO")]);
    assert_eq!(ok(&server, &["send", &a]), "handed to the server (it does not say who got it)\n");
    assert_eq!(ok(&server, &["send", &a, "--body", "x=1 "]), ok(&server, &["send", &a, "--body", ""]));
    assert_eq!(ok(&server, &["send", &a, "--json-body", "{\"k\":[1]}", "--json"]), "{\"outcome\":\"unknown\"}\n");
    assert_eq!(ok(&server, &["send", &format!("{c}/GO"), "k=v", "n=a b;c", "-q"]), "");
    assert_eq!(ok(&server, &["send", &c, "--verb", "GO", "--blindly"]), "");
    ok(&server, &["set", &b, "5", "--announce"]);
    ok(&server, &["incr", &b, "--announce"]);
    ok(&server, &["set", &b, "silent"]);
    ok(&server, &["send", &a, "--body", "last"]);
    let mut seen = Vec::new();
    while seen.last().is_none_or(|last: &Value| last["body"] != "last") {
        seen.push(serde_json::from_str::<Value>(&next_line(&mut ear)).unwrap());
    }
    let brief: Vec<_> = seen.iter().map(|s| json!([s["name"], s["verb"], s["body"], s["encoding"]])).collect();
    let go = format!("{c}/GO");
    assert_eq!(
        brief,
        [
            json!([a, "NOTIFY", "", "none"]),
            json!([a, "SET", "x=1 ", "text"]),
            json!([a, "SET", "", "text"]),
            json!([a, "SET", "{\"k\":[1]}", "text"]),
            json!([go, "SET", "k=v;n=\"a b;c\"", "text"]),
            json!([go, "NOTIFY", "", "none"]),
            json!([b, "SET", "5", "text"]),
            json!([b, "SET", "6", "text"]),
            json!([a, "SET", "last", "text"]),
        ]
    );
}

#[test]
fn lines_are_lines_and_end_when_they_should() {
    let server = Server::start();
    let a = unique("a");
    let (mut ear, mut bus) = listen(&server, &[&a]);
    bus.set(&a, b"\x1b[31mred\xc3\xa9").unwrap();
    bus.set(&a, b"\xff\x00").unwrap();
    assert!(next_line(&mut ear).ends_with(&format!("Z  {a}  SET  \\u{{1b}}[31mredé")));
    assert!(next_line(&mut ear).ends_with(&format!("Z  {a}  SET  0xff00")));
    let mut ear = Running::new(chappe(&server, MAIN, &["listen", &a, "--bodies", "-n", "2"]));
    while ear.child.try_wait().unwrap().is_none() {
        bus.set(&a, "one").unwrap();
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!((ear.line(), ear.line(), ear.line()), ("one".into(), "one".into(), String::new()));
    assert_eq!(ear.end().0, Some(0));
    let (status, out, err) = run(chappe(&server, MAIN, &["listen", &a, "--for", "300ms", "-n", "1"]));
    assert_eq!((status, &out[..], &err[..]), (4, "", "chappe: 1 more were expected\n"));
    assert_eq!(run(chappe(&server, MAIN, &["listen", &a, "--for", "100ms"])).0, 0);
    let (_, _, err) = run(chappe(&server, MAIN, &["listen", "a::*", "--for", "100ms"]));
    assert!(err.contains("has no patterns: only signals to the name itself are heard: a::*"), "{err}");
}

#[test]
fn what_a_user_may_not_do_is_refused_at_once() {
    let server = Server::start();
    let a = unique("a");
    ok(&server, &["set", &a, "1"]);
    let began = Instant::now();
    for (user, args, status) in [
        (READER, &["get", &a][..], 0),
        (READER, &["keys", &a], 0),
        (READER, &["set", &a, "2"], 5),
        (READER, &["incr", &a], 5),
        (READER, &["del", &a], 5),
        (READER, &["send", &a], 5),
        (READER, &["ls"], 5),
        (WRITER, &["get", &a], 5),
        (WRITER, &["keys"], 5),
        (WRITER, &["listen", &a], 5),
        (WRITER, &["set", &a, "3"], 0),
        (WRITER, &["send", &a], 0),
        (USER, &["ls"], 5),
        (USER, &["monitor"], 5),
        (USER, &["incr", &a], 0),
        (("rouser", "baz"), &["get", &a], 5),
        (("nobody", ""), &["flush"], 5),
    ] {
        let (got, out, err) = run(chappe(&server, user, args));
        assert_eq!(got, status, "{user:?} {args:?} {out} {err}");
        if status == 5 {
            let why = if user.1.len() < 3 || user == ("rouser", "baz") { "password" } else { "may not" };
            assert!(err.contains(why) && out.is_empty(), "{err}");
        }
    }
    let (status, out, err) = run(chappe(&server, WRITER, &["incr", &a]));
    assert_eq!((status, &out[..]), (0, ""));
    assert!(err.contains("done; this user may not read the value"), "{err}");
    assert_eq!(ok(&server, &["get", &a]), "5\n");
    assert!(began.elapsed() < Duration::from_secs(25), "nobody waits for what does not come");
}

#[test]
fn who_one_is_comes_from_files_and_variables() {
    let server = Server::start();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "unsafepassword\n").unwrap();
    let path = file.path().to_str().unwrap();
    let at = ["--connect", server.address()];
    for option in ["--password-file", "--token-file"] {
        let args = [&at[..], &["--user", MAIN.0, option, path, "flush"]].concat();
        assert_eq!(run(bare(&args)), (0, String::new(), String::new()));
        let args = [&["flush"], &at[..], &["--user", MAIN.0, option, path]].concat();
        assert_eq!(run(bare(&args)).0, 0);
    }
    for (args, status, what) in [
        (&["flush"][..], 5, "say who you are with --user"),
        (&["--password-file", path, "flush"], 2, "of whom is this password"),
        (&["--user", "exampleuser", "flush"], 2, "wants a password"),
        (&["--user", "exampleuser", "--token", "unsafepassword", "flush"], 2, "--password-file FILE"),
        (&["flush", "--user", "exampleuser", "--token", "unsafepassword"], 2, "--password-file FILE"),
        (&["--user", "exampleuser", "--password-file", "/nowhere", "flush"], 7, "/nowhere"),
        (&["--user", "rouser", "--password-file", path, "flush"], 5, "refuses this user or password: "),
        (
            &["--user", "exampleuser", "--password-file", path, "--station-name", "a\nb", "flush"],
            2,
            "line feed at byte 1",
        ),
        (&["--user", "exampleuser", "--password-file", path, "-t", "0", "flush"], 2, "longer than 0"),
    ] {
        let (got, _, err) = run(bare(&[&at[..], args].concat()));
        assert!(got == status && err.contains(what), "{args:?}: {got} {err}");
    }
}

#[test]
fn what_the_environment_says_is_not_asked_for_and_help_shows_what_counts() {
    let usage = |args: &[&str]| {
        let (status, _, err) = run(chappe_at("clacks:///nowhere.sock", MAIN, args));
        assert_eq!(status, 2, "{err}");
        err
    };
    let err = usage(&["get"]);
    assert!(err.contains("Usage: chappe get <NAME>...") && !err.contains("--user"), "{err}");
    let err = usage(&["incr", "x", "abc"]);
    assert!(err.contains("'abc'") && err.contains("no number"), "{err}");
    let err = usage(&["send", "door", "open"]);
    assert!(err.contains("--body"), "{err}");
    // what is wrong with the environment is still told
    let (status, _, err) = run(chappe_at("nowhere", MAIN, &["get", "x"]));
    assert!(status == 2 && err.contains("nowhere") && err.contains("how to connect"), "{err}");
    for (command, connects, prints) in [
        ("get", true, true),
        ("store", false, true),
        ("import-clacks", false, true),
        ("hash-password", false, false),
        ("serve", false, false),
        ("man", false, false),
    ] {
        let (_, help, _) = run(bare(&[command, "--help"]));
        assert_eq!((help.contains("--connect"), help.contains("--quiet")), (connects, prints), "{command}: {help}");
    }
}

#[test]
fn who_waits_is_told_what_the_last_attempt_came_to() {
    let args = ["--wait", "-t", "400ms", "get", "x"];
    let (status, _, err) = run(chappe_at("clacks:/nowhere/no.sock", MAIN, &args));
    assert!(status == 6 && err.contains("within 400ms: No such file"), "{err}");
}

#[test]
fn line_ends_are_refused_or_encoded() {
    let server = Server::start();
    let a = unique("a");
    let (status, _, err) = run(chappe(&server, MAIN, &["set", &a, "one\ntwo"]));
    assert_eq!(status, 2);
    assert!(
        err.contains(&format!("the value of \"{a}\" has a line feed at byte 3")) && err.contains("--encoded"),
        "{err}"
    );
    let (status, _, err) = run(chappe(&server, MAIN, &["send", "a\nQUIT"]));
    assert!(status == 2 && err.contains("the name \"a\\nQUIT\"") && !err.contains("--encoded"), "{err}");
    let (status, _, err) = run(chappe(&server, MAIN, &["set", "a=b", "1"]));
    assert!(status == 2 && err.contains("the key \"a=b\" has a `=` at byte 1"), "{err}");
    let named = format!("{a} b=c");
    let written = format!("{a}___b___c");
    ok(&server, &["--encoded", "set", &named, "one\ntwo\n"]);
    assert_eq!(ok(&server, &["--encoded", "get", &named]), "one\ntwo\n");
    assert_eq!(ok(&server, &["get", &written]), "PAGECAMELCLACKSB64:b25lCnR3bwo=\n");
    assert_eq!(ok(&server, &["--encoded", "incr", &format!("{a} n")]), "1\n");
    ok(&server, &["set", &a, "PAGECAMELCLACKSYAMLB64: LS0tCmE6IDEK"]);
    assert_eq!(ok(&server, &["get", &a, "--encoded"]), "---\na: 1\n");
    let value: Value = serde_json::from_str(&ok(&server, &["get", &a, "--encoded", "--json"])).unwrap();
    assert_eq!(value, json!({"name": a, "encoding": "yaml", "value": "---\na: 1\n"}));
    let (mut ear, _bus) = listen(&server, &["--encoded", "--json", &a]);
    ok(&server, &["send", &a, "--body", "x\r\n", "--encoded"]);
    assert_eq!(serde_json::from_str::<Value>(&next_line(&mut ear)).unwrap()["body"], "x\r\n");
    ok(&server, &["del", &written, &a, "--encoded"]);
    let (status, _, err) = run(bare(&["--encoded", "--connect", "unix:///nowhere", "get", "a"]));
    assert!(status == 2 && err.contains("only for a Clacks server"), "{err}");
}

#[test]
fn who_is_there_is_listed() {
    let server = Server::start();
    let out = ok(&server, &["ls", "--station-name", "it is me"]);
    let mut lines = out.lines();
    assert!(lines.next().unwrap().starts_with("STATION"), "{out}");
    assert!(lines.any(|l| l.contains("  it is me  ") && l.contains(" ago  ")), "{out}");
    let rows: Vec<Value> = ok(&server, &["ls", "--json", "--station-name", "x;y"])
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let me = rows.iter().find(|r| r["name"] == "x_y").expect("this client");
    let id = me["station"].as_str().unwrap();
    assert!(!id.is_empty() && !id.contains([';', '=']) && me["last_ping"].as_f64().unwrap() > 1.7e9, "{me}");
    assert_eq!((&me["link"], &me["monitor"]), (&json!(false), &json!(false)));
    assert_eq!(ok(&server, &["ls", "stations", "no such id"]).lines().count(), 1);
}

#[test]
fn a_monitor_sees_what_others_say() {
    let server = Server::start();
    let a = unique("a");
    let mut eye = Running::new(chappe(&server, MAIN, &["monitor", "--json"]));
    // its own line is the first
    let me = loop {
        let first = eye.json();
        if first["text"] == "MONITOR" {
            break first["source"].clone();
        }
    };
    ok(&server, &["set", &a, "v\u{1b}"]);
    let mut of = Value::Null;
    let seen = loop {
        let next = eye.json();
        if next["source"] == "CONNECTED" {
            of = next["text"].clone();
        }
        if next["text"] == format!("STORE {a}=v\u{1b}") {
            break next;
        }
    };
    assert_eq!((&seen["event"], &seen["source"]), (&json!("debug"), &of));
    assert_ne!(of, me);
    // a token is seen by nobody
    while let text = eye.json()["text"].as_str().unwrap().to_owned()
        && text != "QUIT"
    {
        assert!(!text.contains("dW5zYWZl"), "{text}");
    }
    drop(eye);
    let mut eye =
        Running::new(chappe(&server, MAIN, &["monitor", "-n", "1", "--only", "no such id", "--for", "200ms"]));
    assert_eq!(eye.end().0, Some(4));
    for (address, hint) in [("unix:///nowhere.sock", "chappe watch"), ("msgq:/nowhere.sock", "none")] {
        let (status, _, err) = run(bare(&["--connect", address, "monitor"]));
        assert!(status == 2 && err.contains("only for a Clacks server") && err.contains(hint), "{err}");
    }
}

#[test]
fn what_there_is_not_is_said_so() {
    let server = Server::start();
    for args in [
        &["call", "a/GO"][..],
        &["watch"],
        &["flag", "list"],
        &["declare", "a"],
        &["status"],
        &["bench"],
        &["ls", "names"],
        &["ls", "members", "a"],
        &["ls", "flags"],
        &["ls", "counters"],
        &["send", "/X", "--everyone"],
        &["send", "a", "--keep"],
        &["send", "a", "--instance", "i"],
        &["send", "a", "--station", "3"],
        &["listen", "a", "--exclusive"],
        &["listen", "a", "--instance", "i"],
        &["listen", "a", "--reply", "x"],
    ] {
        let (status, out, err) = run(chappe(&server, MAIN, args));
        assert_eq!((status, &out[..]), (2, ""), "{args:?}: {err}");
        assert!(err.contains("is not for a Clacks server") && err.contains(args[0]), "{err}");
    }
}

#[test]
fn without_a_server_it_says_where_it_looked() {
    let dir = tempfile::tempdir().unwrap();
    let nowhere = format!("clacks://{}/no.sock", dir.path().display());
    let (status, _, err) = run(chappe_at(&nowhere, MAIN, &["get", "a"]));
    assert!(status == 6 && err.contains(&nowhere) && err.contains("is a Clacks server running"), "{err}");
    for (first, what) in [("HTTP/1.1 400 Bad Request\r\n", "HTTP/1.1"), ("", "before it said anything")] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("clacks://{}", listener.local_addr().unwrap());
        let other = std::thread::spawn(move || {
            use std::io::Write;
            let (mut stream, _) = listener.accept().unwrap();
            stream.write_all(first.as_bytes()).unwrap();
            let _ = stream.read(&mut [0; 1000]);
        });
        let (status, _, err) = run(chappe_at(&address, MAIN, &["get", "a"]));
        assert!(status == 6 && err.contains(what) && err.contains("clackss://"), "{err}");
        other.join().unwrap();
    }
    let (status, _, err) = run(bare(&["--connect", "clacks://localhost", "get", "a"]));
    assert!(status == 2 && err.contains("port is missing"), "{err}");
}

#[test]
fn who_listens_goes_on_when_the_server_comes_back() {
    // needs a server that can be stopped
    let server = Server::own(tempfile::tempdir().unwrap());
    let a = unique("a");
    let (mut ear, bus) = listen(&server, &["--bodies", &a]);
    drop(bus);
    let server = Server::own(server.stop());
    let mut bus = session(&server);
    let (send, came) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        let ear = &mut ear;
        scope.spawn(move || {
            while let line = ear.line()
                && line != "back"
            {
                assert_eq!(line, "::ready");
            }
            send.send(()).unwrap();
        });
        let until = Instant::now() + Duration::from_secs(10);
        while came.recv_timeout(Duration::from_millis(50)).is_err() {
            bus.set(&a, "back").unwrap();
            assert!(Instant::now() < until);
        }
    });
    ear.child.kill().unwrap();
    let (_, err) = ear.end();
    assert!(err.contains("the server ended it (QUIT); again in"), "{err}");
    assert!(err.contains("connected again to PageCamel 36"), "{err}");
}

/// A certificate as Net::Clacks servers have it, in a folder; and how to serve with it.
fn certificate(names: &[&str]) -> (tempfile::TempDir, Arc<rustls::ServerConfig>) {
    use rustls::pki_types::PrivateKeyDer;
    let dir = tempfile::tempdir().unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let names: Vec<_> = names.iter().map(|n| (*n).to_owned()).collect();
    let issued = rcgen::CertificateParams::new(names).unwrap().self_signed(&key).unwrap();
    std::fs::write(dir.path().join("server.pem"), issued.pem()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![issued.der().clone()], PrivateKeyDer::Pkcs8(key.serialize_der().into()))
        .unwrap();
    (dir, Arc::new(config))
}

/// Plays a script over TLS to one client; the original ends without a word, and so does this.
fn over_tls(config: Arc<rustls::ServerConfig>, script: &'static str) -> (u16, std::thread::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let thread = std::thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        let mut stream = rustls::StreamOwned::new(rustls::ServerConnection::new(config).unwrap(), stream);
        while stream.conn.is_handshaking() {
            if stream.conn.complete_io(&mut stream.sock).is_err() {
                return;
            }
        }
        script::play(stream, script, 5);
    });
    (port, thread)
}

const GET: &str = "S: CLACKS PageCamel 36
    C: CLACKS chappe-cli
    C: OVERHEAD A ZXhhbXBsZXVzZXI=:dW5zYWZlcGFzc3dvcmQ=
    C: RETRIEVE a
    C: FLUSH <1>
    S: RETRIEVED a=1
    S: FLUSHED <1>
    S: OVERHEAD O Welcome!";

#[test]
fn over_tls_a_server_is_believed_if_it_is_given_or_anybody_is() {
    let (dir, config) = certificate(&["localhost"]);
    let ca = dir.path().join("server.pem");
    let ca = ca.to_str().unwrap();
    for (trust, warns) in [(&["--ca", ca][..], false), (&["--insecure"], true)] {
        let (port, server) = over_tls(config.clone(), GET);
        let address = format!("clackss://localhost:{port}");
        let (status, out, err) = run(chappe_at(&address, MAIN, &[trust, &["get", "a"]].concat()));
        assert_eq!((status, &out[..], err.contains("WARNING")), (0, "1\n", warns), "{err}");
        server.join().unwrap();
    }
    // a password reaches nobody who is not believed
    let (_, other) = certificate(&["localhost"]);
    let (port, server) = over_tls(other, "C: (ended)");
    let (status, _, err) = run(chappe_at(&format!("clackss://localhost:{port}"), MAIN, &["--ca", ca, "get", "a"]));
    assert!(status == 6 && err.contains("--ca FILE") && err.contains("--insecure"), "{err}");
    server.join().unwrap();
    let (port, server) = over_tls(config.clone(), "C: (ended)");
    let (status, _, err) = run(chappe_at(&format!("clackss://127.0.0.1:{port}"), MAIN, &["--ca", ca, "get", "a"]));
    assert!(status == 6 && err.contains("is not for 127.0.0.1"), "{err}");
    server.join().unwrap();
    // TLS where there is none, and the other way round
    let plain = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("clackss://{}", plain.local_addr().unwrap());
    let server = std::thread::spawn(move || {
        use std::io::Write;
        let (mut stream, _) = plain.accept().unwrap();
        stream.write_all(b"CLACKS PageCamel 36\r\n").unwrap();
        let _ = stream.read(&mut [0; 1000]);
    });
    let (status, _, err) = run(chappe_at(&address, MAIN, &["--insecure", "get", "a"]));
    assert!(status == 6 && err.contains("write clacks:// instead"), "{err}");
    server.join().unwrap();
    let (port, server) = over_tls(config, "");
    let (status, _, err) = run(chappe_at(&format!("clacks://localhost:{port}"), MAIN, &["get", "a"]));
    assert!(status == 6 && err.contains("write clackss://"), "{err}");
    server.join().unwrap();
}

#[test]
fn over_tls_a_wrong_password_is_an_error_although_the_end_comes_with_it() {
    let (dir, config) = certificate(&["localhost"]);
    let (port, server) = over_tls(
        config,
        "S: CLACKS PageCamel 36
        C: CLACKS chappe-cli
        C: OVERHEAD A ZXhhbXBsZXVzZXI=:dW5zYWZlcGFzc3dvcmQ=
        S: NOTIFY x
        S: OVERHEAD F Login failed!
        S: (closed)",
    );
    let ca = dir.path().join("server.pem");
    let args = ["--ca", ca.to_str().unwrap(), "listen", "x"];
    let (status, _, err) = run(chappe_at(&format!("clackss://localhost:{port}"), MAIN, &args));
    assert!(status == 5 && err.contains("Login failed!"), "{status} {err}");
    server.join().unwrap();
}

#[test]
fn signals_that_come_while_a_value_is_asked_for_are_not_lost() {
    let server = Server::start();
    let (a, k) = (unique("a"), unique("k"));
    let mut bus = session(&server);
    bus.listen(&a).unwrap();
    bus.flush().unwrap();
    let mut other = session(&server);
    for n in 0..200 {
        other.set(&a, n.to_string()).unwrap();
        if n % 10 == 0 {
            other.flush().unwrap();
            assert_eq!(bus.retrieve(&k).unwrap(), None);
        }
    }
    for n in 0..200 {
        let event = bus.receive(Some(Duration::from_secs(5))).unwrap();
        assert_eq!(event, Some(Event::Set { name: a.clone().into(), value: n.to_string().into() }));
    }
}
