//! The command line at a Communicator daemon: the real binary against a small strict one.

#[path = "support/end.rs"]
mod end;
#[path = "support/communicator_script.rs"]
#[allow(dead_code, unreachable_pub, missing_docs)]
mod script;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, UdpSocket};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;

use chappe_core::dialect::communicator::name;
use chappe_linux::communicator::Uri;
use script::stream::PATIENCE;
use script::{STANDARD, Script, play};
use serde_json::{Value, json};

fn chappe(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_chappe"));
    for variable in
        ["CHAPPE_CONNECT", "CHAPPE_USER", "CHAPPE_TOKEN", "CHAPPE_SECRET_CODE", "CHAPPE_CA", "CHAPPE_HISTORY", "HOME"]
    {
        command.env_remove(variable);
    }
    command.args(args).stdin(Stdio::null());
    command
}

fn at(uri: &Uri, args: &[&str]) -> Command {
    let mut command = chappe(args);
    command.env("CHAPPE_CONNECT", uri.to_string());
    command
}

/// Exit status, output, errors.
fn run(mut command: Command) -> (i32, String, String) {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let text = |b: Vec<u8>| String::from_utf8(b).unwrap();
    (status.code().unwrap(), text(stdout), text(stderr))
}

/// What this machine is called as a server.
fn host() -> String {
    let host = std::fs::read("/proc/sys/kernel/hostname").unwrap();
    let mut room = [0; chappe_core::limits::MAX_NAME];
    String::from_utf8(name::of_server(b"", host.trim_ascii(), &mut room).to_vec()).unwrap()
}

/// What comes of a command at a daemon that follows this script. `HOST` is this machine, `NAME` the name
/// that commands register with, `COMMANDS` what all services announce.
fn with(script: &str, args: &[&str]) -> (i32, String, String) {
    let server = Script::new(&[&script.replace("HOST", &host()).replace("COMMANDS*", STANDARD)]);
    let result = run(at(&server.uri(), args));
    server.done();
    result
}

/// A script of the answer to `ALIVE`.
const PROOF: &str =
    "C: ALIVE serial=flush_1\nS: <hostA:communicatord HOST:chappe/ABSOLUTELY serial=flush_1;reply_timestamp=1\n";

#[test]
fn sent_and_what_the_daemon_says_to_it() {
    for (args, said, answer, status, out, err) in [
        (
            &["send", "./LOG_ROTATE"][..],
            "./LOG_ROTATE",
            "",
            0,
            "handed to the daemon (it does not say who got it)\n",
            "",
        ),
        (
            &["send", "hostB:bar/REFRESH", "text=a;b", "depth=2", "cache=ttl=5m"],
            "hostB:bar/REFRESH cache=ttl=5m;depth=2;text=\"a;b\"",
            "",
            0,
            "handed to the daemon (it does not say who got it)\n",
            "",
        ),
        (&["send", "bar/REFRESH a=1;b=\"x;y\""], "bar/REFRESH a=1;b=\"x;y\"", "", 0, "handed", ""),
        (&["send", "bar", "--verb", "REFRESH", "-q"], "bar/REFRESH", "", 0, "", ""),
        (
            &["send", "bar/X", "transmission_report=failure", "--json"],
            "bar/X transmission_report=failure",
            "S: <hostA:communicatord TRANSMISSION_REPORT command=X;status=cached\n",
            0,
            "{\"outcome\":\"kept\"}\n",
            "",
        ),
        (
            &["send", "bar/X", "transmission_report=failure"],
            "bar/X transmission_report=failure",
            "S: <hostA:communicatord TRANSMISSION_REPORT command=X;status=failed\n",
            3,
            "",
            "X: nobody got it",
        ),
        (
            &["send", "bar/X", "cache=no;reply"],
            "bar/X cache=\"no;reply\"",
            "S: <hostA:communicatord SERVICE_UNAVAILABLE destination_service=bar;unsent_command=X\n",
            3,
            "",
            "the service bar is not there",
        ),
        (
            &["send", "FROB"],
            "FROB",
            "S: <hostA:communicatord HOST:chappe/UNKNOWN command=FROB\n",
            1,
            "",
            "FROB is not known",
        ),
        (
            &["send", "STOP"],
            "STOP",
            "S: <hostA:communicatord INVALID command=STOP;message=no \x1b[31mright\n",
            1,
            "",
            "refused: STOP no \\u{1b}[31mright",
        ),
    ] {
        let script = format!("C: <HOST:chappe {said}\n{answer}{PROOF}");
        let (is, came, told) = with(&script, args);
        assert_eq!(is, status, "{args:?}: {came} {told}");
        assert!(came.starts_with(out) && came.is_empty() == out.is_empty(), "{args:?}: {came}");
        assert!(told.contains(err) && told.is_empty() == err.is_empty(), "{args:?}: {told}");
    }
    let (status, out, _) = with("C: <HOST:chappe STOP\nC: ALIVE serial=flush_1\nS: (closed)", &["send", "STOP"]);
    assert_eq!((status, &out[..]), (0, "sent; the other side has closed the connection\n"));
    let (status, _, err) = with("C: <HOST:chappe bar/X\nC: ALIVE serial=flush_1\nS: (closed)", &["send", "bar/X"]);
    assert_eq!(status, 6, "{err}");
    let (status, out, err) = with("C: <HOST:chappe bar/X\nC: (ended)", &["send", "bar/X", "--blindly"]);
    assert_eq!((status, &out[..], &err[..]), (0, "", ""));
}

#[test]
fn answers_are_printed_and_the_status_says_which() {
    for (answer, status, out) in [
        (
            "S: <hostA:communicatord HOST:chappe/SERVER_PUBLIC_IP public_ip=10.0.0.1:4042",
            0,
            "SERVER_PUBLIC_IP  public_ip=10.0.0.1:4042\n",
        ),
        ("S: <hostA:communicatord HOST:chappe/UNKNOWN command=PUBLIC_IP", 1, "UNKNOWN  command=PUBLIC_IP\n"),
        ("S: <hostA:communicatord INVALID command=PUBLIC_IP;message=x", 1, "INVALID  command=PUBLIC_IP message=x\n"),
        ("S: (closed)", 3, ""),
        ("C: (ended)", 4, ""),
    ] {
        let script = format!("C: <HOST:chappe communicatord/PUBLIC_IP\n{answer}");
        let args = ["send", "--reply", "communicatord/PUBLIC_IP", "-t", "300ms"];
        let (is, came, err) = with(&script, if status == 4 { &args } else { &args[..3] });
        assert_eq!((is, &came[..]), (status, out), "{err}");
    }
    // a service answers to a name
    let (status, out, err) = with(
        "C: REGISTER password=p;service=me;version=1
         S: <hostA:communicatord HELP
         S: <hostA:communicatord READY
         C: <:me hostA:communicatord/COMMANDS list=COMMANDS*
         C: <:me bar/GET_KEY name=x
         S: <hostA:communicatord TRANSMISSION_REPORT command=GET_KEY;status=cached
         S: <hostA:bar ./KEY value=not for me
         S: <hostA:bar hostA:me/KEY value=42
         C: UNREGISTER service=me",
        &["send", "--reply", "--user", "me", "--password-file", &password("p\n"), "bar/GET_KEY", "name=x", "--json"],
    );
    assert_eq!(status, 0, "{err}");
    let answer = json!({"from_server": "hostA", "from_service": "bar", "server": "hostA", "service": "me",
                        "command": "KEY", "params": {"value": "42"}});
    assert_eq!(serde_json::from_str::<Value>(&out).unwrap(), answer);
    assert!(err.contains("waits for it"), "{err}");
}

/// A file with this in it.
fn password(text: &str) -> String {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file.into_temp_path().keep().unwrap().to_str().unwrap().to_owned()
}

#[test]
fn datagrams_as_in_a_script_of_logrotate() {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let uri: Uri = format!("cdu://{}", socket.local_addr().unwrap()).parse().unwrap();
    let next = || {
        let mut buf = [0; 2000];
        let size = socket.recv(&mut buf).unwrap();
        let text = String::from_utf8(buf[..size].to_vec()).unwrap();
        let (source, rest) = text.split_once(' ').unwrap();
        assert!(source.starts_with('<') && source.ends_with(":chappe"), "{text}");
        rest.to_owned()
    };
    let file = password("a;b\n");
    let (status, out, err) = run(at(&uri, &["send", "--type", "udp", "./LOG_ROTATE", "-q"]));
    assert_eq!((status, &out[..], &err[..]), (0, "", ""));
    assert_eq!(next(), "./LOG_ROTATE");
    let (_, out, _) = run(at(&uri, &["send", "communicatord/LOG_ROTATE", "--secret-code", "s3"]));
    assert_eq!(out, "sent (a datagram: nobody says whether it arrived)\n");
    assert_eq!(next(), "communicatord/LOG_ROTATE secret_code=s3");
    let (status, ..) = run(at(&uri, &["send", "LOG_ROTATE", "--secret-code-file", &file]));
    assert_eq!((status, &next()[..]), (0, "LOG_ROTATE secret_code=\"a;b\""));
    let mut command = at(&uri, &["send", "LOG_ROTATE", "a=1"]);
    command.env("CHAPPE_SECRET_CODE", "v");
    assert_eq!((run(command).0, &next()[..]), (0, "LOG_ROTATE a=1;secret_code=v"));
    std::fs::remove_file(file).unwrap();
    let long = format!("a={}", "x".repeat(1024));
    for (args, why) in [
        (&["send", "LOG_ROTATE", &long][..], "more than 1024 bytes"),
        (&["send", "REGISTER", "service=a"], "--type tcp"),
        (&["send", "HELP", "--reply"], "no answers"),
        (&["send", "X", "--type", "tcp"], "--type tcp is not for it"),
        (&["call", "a/X"], "no answers"),
        (&["send", "log_rotate"], "capitals"),
        (&["send", "a-b/X"], "the service"),
        (&["send", "hostB:X"], "the command"),
        (&["send", "a/"], "which command"),
        (&["send", "X", "y"], "KEY=VALUE"),
        (&["send", "X y"], "no message"),
        (&["send", "a/X", "--body", "b"], "KEY=VALUE"),
    ] {
        let (status, out, err) = run(at(&uri, args));
        assert_eq!((status, &out[..]), (2, ""), "{args:?}");
        assert!(err.contains(why), "{args:?}: {err}");
    }
    socket.set_nonblocking(true).unwrap();
    assert!(socket.recv(&mut [0; 10]).is_err(), "nothing else was sent");
    drop(socket);
    let (status, _, err) = run(at(&uri, &["send", "LOG_ROTATE"]));
    assert_eq!(status, 6, "{err}");
    assert!(err.contains("UDP port") && err.contains("address = \"cdu://"), "{err}");
}

/// Where `ed-signal` sends if nobody says where. If somebody has that port on this machine this is not tried.
#[test]
fn without_an_address_to_the_usual_port() {
    let Ok(socket) = UdpSocket::bind("127.0.0.1:4041") else { return };
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let (status, _, err) = run(chappe(&["send", "./LOG_ROTATE", "--type", "udp", "--quiet"]));
    assert_eq!(status, 0, "{err}");
    let mut buf = [0; 200];
    let size = socket.recv(&mut buf).unwrap();
    assert!(buf[..size].ends_with(b":chappe ./LOG_ROTATE"));
}

#[test]
fn what_is_not_for_other_buses_is_refused_there() {
    for (connect, args, why) in [
        ("tcp://127.0.0.1:1", &["send", "a", "--type", "udp"][..], "--type is only for"),
        ("msgq:///nowhere", &["send", "a", "--reply"], "--reply is only for"),
        ("clacks:///nowhere", &["send", "a", "--secret-code-file", "x"], "--secret-code-file is only for"),
        ("clacks:///nowhere", &["listen", "a", "--commands", "X"], "--commands is only for"),
        ("tcp://127.0.0.1:1", &["listen", "a", "--commands", "X"], "--commands is only for"),
        ("cd:///nowhere", &["get", "a"], "shared values"),
        ("cd:///nowhere", &["watch"], "--commands STATUS"),
        ("cd:///nowhere", &["sniff"], "for all dialects, at its native address"),
        ("cd:///nowhere", &["replay", "x"], "for all dialects, at its native address"),
        ("cd:///nowhere", &["declare", "a"], "[communicator]"),
        ("cd:///nowhere", &["flag", "list"], "--dir FOLDER"),
        ("cd:///nowhere", &["monitor"], "only for a Clacks server"),
        ("cd:///nowhere", &["ls", "members", "x"], "one connection"),
        ("cd:///nowhere", &["send", "X", "--type", "udp"], "cdu://"),
        ("cd:///nowhere", &["send", "X", "--secret-code-file", "x"], "--type udp"),
        ("cd:///nowhere", &["send", "X", "--everyone"], "./COMMAND"),
        ("cd:///nowhere", &["send", "X", "--token", "x"], "--password-file"),
        ("cd:///nowhere", &["listen", "a", "b"], "one service"),
        ("cd:///nowhere", &["listen", "a-b"], "cannot be the name"),
        ("cd:///nowhere", &["call", "a/X", "--all"], "one service"),
        ("msgq:///nowhere", &["shell"], "the shell speaks"),
    ] {
        let (status, out, err) = run({
            let mut command = chappe(args);
            command.args(["--connect", connect]);
            command
        });
        assert_eq!((status, &out[..]), (2, ""), "{connect} {args:?}: {err}");
        assert!(err.contains(why), "{connect} {args:?}: {err}");
    }
    let (status, _, err) = run(chappe(&["--connect", "cd:///nowhere/x", "send", "X"]));
    assert!(status == 6 && err.contains("is a Communicator daemon running"), "{err}");
    let (status, _, err) = run(chappe(&["--connect", "cd://127.0.0.1:1", "send", "X"]));
    assert!(status == 6 && err.contains("cd://auto"), "{err}");
    let (status, _, err) = run(chappe(&["--connect", "cd://8.8.8.8", "send", "X"]));
    assert!(status == 6 && err.contains("cds://"), "{err}");
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

/// A connection of the service `sniff`, which has announced two commands.
const SNIFF: &str = "C: REGISTER service=sniff;version=1
    S: <hostA:communicatord HELP
    S: <hostA:communicatord READY my_address=10.0.0.1:4042
    C: <:sniff hostA:communicatord/COMMANDS list=ALIVE,CACHE_CLEAR,DISCONNECTING,HELP,INVALID,LEAK,LOG_ROTATE,QUITTING,READY,RESTART,SERVICE_UNAVAILABLE,STATUS,STOP,UNKNOWN\n";

#[test]
fn listens_and_comes_back() {
    let server = Script::new(&[
        &format!(
            "{SNIFF}S: <hostA:foo ./CACHE_CLEAR depth=2
             S: <hostA:foo sniff/NEVER_HEARD_OF text=\x1b[2J\\x;reply_to=7
             C: <:sniff hostA:foo/REPLY body=here;reply_to=7
             S: <hostA:communicatord QUITTING
             C: (ended)"
        ),
        &format!(
            "{SNIFF}S: <hostA:communicatord STATUS cache=no;server_name=hostA;service=foo;status=up
             S: <hostA:foo sniff/STOP
             C: UNREGISTER service=sniff
             S: (closed)"
        ),
    ]);
    let args = ["listen", "sniff", "--commands", "CACHE_CLEAR,STATUS", "--reply", "here"];
    let mut running = Running::new(at(&server.uri(), &args));
    let mut part = || {
        let line = running.line();
        line.split_once("  ").unwrap().1.to_owned()
    };
    assert_eq!(part(), "./  CACHE_CLEAR  depth=2  (from hostA:foo)");
    assert_eq!(part(), "sniff  NEVER_HEARD_OF  reply_to=7 text=\\u{1b}[2J\\x  (from hostA:foo)");
    assert_eq!(part(), "(you)  STATUS  cache=no server_name=hostA service=foo status=up  (from hostA:communicatord)");
    let (status, err) = running.end();
    assert_eq!(status, Some(0), "{err}");
    for text in ["QUITTING", "connected again to hostA", "STOP"] {
        assert!(err.contains(text), "{err}");
    }
    server.done();
}

#[test]
fn listens_in_json_and_until() {
    let server = Script::new(&[&format!(
        "{SNIFF}S: <hostA:foo sniff/X a=1;b=\x01\nC: <:sniff communicatord/ALIVE serial=flush_1\nS: ABSOLUTELY serial=flush_1;reply_timestamp=1\nC: UNREGISTER service=sniff"
    )]);
    let args = ["listen", "sniff", "--commands", "CACHE_CLEAR,STATUS", "-n", "1", "--json"];
    let (status, out, err) = run(at(&server.uri(), &args));
    assert_eq!(status, 0, "{err}");
    let mut line: Value = serde_json::from_str(&out).unwrap();
    line.as_object_mut().unwrap().remove("time").unwrap();
    let want = json!({"event": "message", "asks": false, "from_server": "hostA", "from_service": "foo",
                      "service": "sniff", "command": "X", "params": {"a": "1", "b": "\u{1}"}});
    assert_eq!(line, want);
    server.done();
    let (status, _, err) = with(
        "C: REGISTER service=sniff;version=1\nS: INVALID command=REGISTER;message=this name is taken\nS: (closed)",
        &["listen", "sniff"],
    );
    assert!(status == 5 && err.contains("this name is taken"), "{err}");
}

#[test]
fn asks_by_a_number() {
    let asked = "C: REGISTER service=me;version=1
        S: <hostA:communicatord READY
        C: <:me bar/READ reply_to=1;unit=C\n";
    let bye = "\nC: UNREGISTER service=me";
    for (answer, status, out, err) in [
        ("S: <hostA:bar hostA:me/REPLY body=21.5;reply_to=1", 0, "21.5\n", ""),
        ("S: <hostA:bar hostA:me/REPLY reply_to=1;unit=C;value=2", 0, "unit=C value=2\n", ""),
        ("S: <hostA:bar hostA:me/TEMPERATURE reply_to=1;value=2", 0, "command=TEMPERATURE value=2\n", ""),
        ("S: <hostA:bar hostA:me/TEMPERATURE value=3\nS: <hostA:bar hostA:me/REPLY body=4;reply_to=1", 0, "4\n", ""),
        ("S: <hostA:communicatord REPLY code=3;reply_to=1;text=nobody", 3, "", "nobody"),
        ("S: <hostA:bar hostA:me/UNKNOWN command=READ", 1, "", "READ is not known"),
        ("S: <hostA:bar hostA:me/UNKNOWN command=READ;reply_to=1", 1, "", "bar:"),
        (
            "S: <hostA:communicatord SERVICE_UNAVAILABLE destination_service=bar;unsent_command=READ",
            3,
            "",
            "bar is not there",
        ),
    ] {
        let (is, came, told) = with(&format!("{asked}{answer}{bye}"), &["call", "bar/READ", "unit=C", "--user", "me"]);
        assert_eq!(&came[..], out, "{answer}: {told}");
        assert!(told.contains(err), "{answer}: {told}");
        if !answer.contains("code=") {
            assert_eq!(is, status, "{answer}: {told}");
        } else {
            assert_ne!(is, 0);
        }
    }
}

#[test]
fn status_is_that_of_the_cluster_and_the_clock() {
    let news = "ALIVE,CLOCK_STABLE,CLOCK_UNSTABLE,CLUSTER_COMPLETE,CLUSTER_DOWN,CLUSTER_INCOMPLETE,CLUSTER_UP,\
                DISCONNECTING,HELP,INVALID,LEAK,LOG_ROTATE,QUITTING,READY,RESTART,SERVICE_UNAVAILABLE,STOP,UNKNOWN";
    let asked = format!(
        "C: REGISTER service=cluster;version=1
         S: <hostA:communicatord HELP
         S: <hostA:communicatord READY
         C: <:cluster hostA:communicatord/COMMANDS list={news}
         C: <:cluster communicatord/CLOCK_STATUS
         C: <:cluster communicatord/CLUSTER_STATUS
         C: <:cluster communicatord/ALIVE serial=flush_1\n"
    );
    let told = "S: <hostA:communicatord CLOCK_STABLE cache=no;clock_resolution=verified
        S: <hostA:communicatord ./CLUSTER_UP neighbors_count=3
        S: <hostA:communicatord ./CLUSTER_COMPLETE neighbors_count=3\n";
    let bye = "S: ABSOLUTELY serial=flush_1;reply_timestamp=1
        C: UNREGISTER service=cluster";
    let args = ["status", "--user", "cluster", "--json"];
    let (status, out, err) = with(&format!("{asked}{told}{bye}"), &args[..3]);
    assert_eq!(status, 0, "{err}");
    assert_eq!(
        out,
        "              Status: CLUSTER_UP\n            Complete: CLUSTER_COMPLETE\nComputers in Cluster: 3\n \
         Quorum of Computers: 2\n               Clock: CLOCK_STABLE (verified)\n"
    );
    let (status, out, _) = with(&format!("{asked}{told}{bye}"), &args);
    let want = json!({"status": "CLUSTER_UP", "complete": "CLUSTER_COMPLETE", "computers": 3, "quorum": 2,
                      "clock": "CLOCK_STABLE", "clock_detail": "verified"});
    assert_eq!((status, serde_json::from_str::<Value>(&out).unwrap()), (0, want));
    let (status, out, _) = with(&format!("{asked}{bye}"), &args[..3]);
    assert!(status == 1 && out.contains("Status: not told"), "{out}");
}

#[test]
fn services_are_listed() {
    let list = |answer: &str, args: &[&str]| {
        with(&format!("C: <HOST:chappe communicatord/LIST_SERVICES\n{answer}\n{PROOF}"), args)
    };
    let services = "S: <hostA:communicatord SERVICES count=4;list=bar,baz,foo";
    let (status, out, err) = list(services, &["ls"]);
    assert_eq!((status, &out[..]), (0, "SERVICE\nbar\nbaz\nfoo\n"));
    assert!(err.contains("1 more"), "{err}");
    let (_, out, _) = list(services, &["ls", "names", "ba", "--json"]);
    assert_eq!(out, "{\"name\":\"bar\"}\n{\"name\":\"baz\"}\n");
    let (status, _, err) = list("", &["ls"]);
    assert!(status == 1 && err.contains("does not answer LIST_SERVICES"), "{err}");
}

#[test]
fn what_a_daemon_said_at_last_is_told_and_what_is_no_daemon_is_guessed() {
    let list = "C: <HOST:chappe communicatord/LIST_SERVICES\n";
    let (status, _, err) = with(&format!("{list}S: INVALID message=write cds:// for it\nS: (closed)"), &["ls"]);
    // the connection is closed, or reset because of what was still under way
    assert!(status == 6 && err.contains(", and said: \"write cds:// for it\""), "{err}");
    // about a message that was sent: that is its answer, not why it ends
    let one = "S: INVALID command=OTHER;message=no\nS: (closed)";
    let (_, _, err) = with(&format!("{list}{one}"), &["ls"]);
    assert!(!err.contains("and said"), "{err}");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let uri: Uri = format!("cd://{}", listener.local_addr().unwrap()).parse().unwrap();
    let peer = std::thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        let mut stream = BufReader::new(stream);
        stream.read_line(&mut String::new()).unwrap();
        // a node's native answer to that, say
        stream.get_mut().write_all(b"\x02\0\0\x07\x10\x09").unwrap();
        stream.get_ref().shutdown(std::net::Shutdown::Write).unwrap();
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let (status, _, err) = run(at(&uri, &["ls"]));
    assert!(status == 6 && err.contains("another protocol"), "{err}");
    peer.join().unwrap();
}

#[test]
fn over_tls_only_to_whom_it_believes() {
    let certified = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::Pkcs8(certified.signing_key.serialize_der().into());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certified.cert.der().clone()], key)
        .unwrap();
    let config = Arc::new(config);
    let dir = tempfile::tempdir().unwrap();
    let ca = dir.path().join("ca.pem");
    std::fs::write(&ca, certified.cert.pem()).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let uri: Uri = format!("cds://localhost:{}", listener.local_addr().unwrap().port()).parse().unwrap();
    let peer = std::thread::spawn(move || {
        for script in [None, Some("S: <a:b HI\nC: (ended)")] {
            let (stream, _) = listener.accept().unwrap();
            let mut stream = rustls::StreamOwned::new(rustls::ServerConnection::new(config.clone()).unwrap(), stream);
            match script {
                None => assert!(stream.read(&mut [0; 10]).is_err()),
                // what it says is not looked at here
                Some(_) => {
                    let mut line = String::new();
                    BufReader::new(&mut stream).read_line(&mut line).unwrap();
                    assert!(line.ends_with("communicatord/PUBLIC_IP\n"), "{line}");
                    play(stream, "S: SERVER_PUBLIC_IP public_ip=1.2.3.4:5", usize::MAX);
                }
            }
        }
    });
    let args = ["send", "--reply", "communicatord/PUBLIC_IP"];
    let (status, _, err) = run(at(&uri, &args));
    assert!(status == 6 && err.contains("--ca FILE"), "{err}");
    let mut command = at(&uri, &args);
    command.args(["--ca", ca.to_str().unwrap()]);
    assert_eq!(run(command).1, "SERVER_PUBLIC_IP  public_ip=1.2.3.4:5\n");
    // the handshake that was broken off
    peer.join().unwrap();
}

/// The shell, with this typed into it from no terminal.
fn shell(uri: Option<&Uri>, args: &[&str], typed: &str) -> (i32, String, String) {
    let mut command = chappe(&[&["shell"], args].concat());
    if let Some(uri) = uri {
        command.env("CHAPPE_CONNECT", uri.to_string());
    }
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // it may have ended already
    let _ = child.stdin.take().unwrap().write_all(typed.as_bytes());
    let Output { status, stdout, stderr } = child.wait_with_output().unwrap();
    (status.code().unwrap(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

#[test]
fn a_shell_from_a_pipe() {
    let typed = "bar/REFRESH depth=2;text=a b\n/announce CACHE_CLEAR\n/quit\nnever/SAID\n";
    let script = "register
        C: <:tester communicatord/LIST_SERVICES
        C: <:tester bar/REFRESH depth=2;text=a b
        C: <:tester hostA:communicatord/COMMANDS list=ALIVE,CACHE_CLEAR,DISCONNECTING,HELP,INVALID,LEAK,LOG_ROTATE,QUITTING,READY,RESTART,SERVICE_UNAVAILABLE,STOP,UNKNOWN
        C: <:tester communicatord/ALIVE serial=flush_1
        S: <hostA:communicatord hostA:tester/SERVICES count=2;list=bar,foo
        S: <hostA:bar hostA:tester/DONE text=\x1b]0;x\x07
        S: <hostA:bar ./CACHE_CLEAR
        S: ABSOLUTELY serial=flush_1;reply_timestamp=1
        C: UNREGISTER service=tester";
    let script = script.replace("]0;x", "]0,x");
    for is_json in [false, true] {
        let server = Script::new(&[&script]);
        let args: &[&str] = if is_json { &["--name", "tester", "--json"] } else { &["--name", "tester"] };
        let (status, out, err) = shell(Some(&server.uri()), args, typed);
        assert_eq!(status, 0, "{out} {err}");
        server.done();
        let lines: Vec<_> = out.lines().collect();
        if is_json {
            let first: Value = serde_json::from_str(lines[0]).unwrap();
            assert_eq!((&first["command"], &first["params"]["text"]), (&json!("DONE"), &json!("\u{1b}]0,x\u{7}")));
            assert_eq!(lines.len(), 2);
            continue;
        }
        assert!(lines[0].starts_with("connected to cd:///") && lines[0].ends_with(" as tester"), "{out}");
        assert_eq!(lines[1..], ["< hostA:bar  tester/DONE  text=\\u{1b}]0,x\\u{7}", "< hostA:bar  ./CACHE_CLEAR",]);
    }
}

#[test]
fn a_shell_without_a_daemon_says_what_is_wrong_and_goes_on() {
    let (status, out, _) =
        shell(None, &[], "/help\nbar/X\n/nonsense\n/connect cd:///nowhere/x\n/connect clacks:///x\n/status\n");
    assert_eq!(status, 2, "{out}");
    for text in [
        "not connected: /connect URI",
        "/announce A,B",
        "error: not connected",
        "error: \"/nonsense\"",
        "cannot connect to",
        "error: clacks:///x",
    ] {
        assert!(out.contains(text), "{text}: {out}");
    }
    assert!(out.ends_with("not connected\n"), "{out}");
    let (status, _, err) = shell(Some(&"cd:///nowhere/x".parse().unwrap()), &[], "");
    assert!(status == 6 && err.contains("cannot connect"), "{err}");
    let (status, ..) = shell(None, &["--name", "x"], "");
    assert_eq!(status, 2);
}

#[test]
fn a_shell_of_nobody_does_everything_by_hand() {
    let server = Script::new(&["C: <HOST:chappe communicatord/LIST_SERVICES
         S: <hostA:communicatord UNKNOWN command=LIST_SERVICES
         C: <HOST:chappe REGISTER service=message;version=1
         S: <hostA:communicatord HELP
         S: <hostA:communicatord READY my_address=10.0.0.1:4042
         C: <HOST:chappe COMMANDS list=HELP,STOP
         S: <hostA:x message/STOP
         C: ALIVE serial=flush_1
         S: ABSOLUTELY serial=flush_1;reply_timestamp=1"
        .replace("HOST", &host())
        .as_str()]);
    let uri = server.uri();
    let typed = format!(
        "/connect {uri}\nREGISTER service=message;version=1\nCOMMANDS list=HELP,STOP\nno message\n/disconnect\n"
    );
    let (status, out, _) = shell(None, &["-q"], &typed);
    assert_eq!(status, 2);
    let want = "< hostA:communicatord  HELP\n< hostA:communicatord  READY  my_address=10.0.0.1:4042\n< hostA:x  message/STOP\n";
    let heard: String = out.lines().filter(|line| line.starts_with('<')).map(|line| format!("{line}\n")).collect();
    assert_eq!(heard, want);
    assert!(out.contains("error: no message: "), "{out}");
    server.done();
}
