//! The command line and the client library at `tls://` addresses: what they believe, what
//! they show, and what they say when it does not come about.

mod support;

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use chappe_linux::client::{Connection, Error, Event, Files, Letter, Options, Problem, ProblemKind, Trust};
use chappe_linux::password::{Cost, hash};
use support::tls::{Authority, listeners, self_signed};
use support::{CHAPPE, Daemon, PATIENCE, until};

fn chappe(arguments: &[&str]) -> Output {
    let mut command = Command::new(CHAPPE);
    for variable in ["CHAPPE_CONNECT", "CHAPPE_USER", "CHAPPE_TOKEN", "CHAPPE_CA", "CHAPPE_CERTIFICATE", "CHAPPE_KEY"] {
        command.env_remove(variable);
    }
    command.args(["--timeout", "10s"]).args(arguments).output().unwrap()
}

/// The exit status, and what was said to the person.
fn said(arguments: &[&str]) -> (i32, String) {
    let output = chappe(arguments);
    (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn port(daemon: &Daemon, scheme: &str) -> u16 {
    daemon.address(scheme).rsplit(':').next().unwrap().parse().unwrap()
}

#[test]
fn commands_go_through_with_the_authority_or_with_the_node_s_own_certificate() {
    let authority = Authority::new();
    let folder = authority.folder.path();
    for issued in [
        authority.server(),
        self_signed(folder, "plain", &["localhost"], false),
        // As `openssl req -x509` makes it, with the mark of an authority; once without other names.
        self_signed(folder, "marked", &["localhost"], true),
        self_signed(folder, "nameless", &[], true),
    ] {
        let is_signed = issued.certificate.ends_with("server.pem");
        let ca = if is_signed { authority.file() } else { issued.certificate.clone() };
        let daemon = Daemon::start(&listeners(&issued.toml("")));
        let address = format!("tls://localhost:{}", port(&daemon, "tls"));
        let (status, errors) = said(&["--connect", &address, "--ca", path(&ca), "set", "x", "7"]);
        assert_eq!((status, errors.as_str()), (0, ""), "{:?}", issued.certificate);
        let output = chappe(&["--connect", &address, "--ca", path(&ca), "get", "x"]);
        assert_eq!(output.stdout, b"7\n");
        // And plain beside it is the same node.
        let plain = format!("tcp://{}", daemon.address("tcp"));
        assert_eq!(chappe(&["--connect", &plain, "get", "x"]).stdout, b"7\n");
    }
}

#[test]
fn errors_say_what_to_do() {
    let authority = Authority::new();
    let stranger = Authority::new();
    let folder = authority.folder.path();
    let own = self_signed(folder, "own", &["localhost"], true);
    let daemon = Daemon::start(&listeners(&authority.server().toml("")));
    let tls = format!("tls://localhost:{}", port(&daemon, "tls"));
    let ca = authority.file();
    let marked = Daemon::start(&listeners(&own.toml("")));
    let marked = format!("tls://localhost:{}", port(&marked, "tls"));
    let old = authority.sign("old", &["localhost"], |params| params.not_after = rcgen::date_time_ymd(2001, 1, 1));
    let old = Daemon::start(&listeners(&old.toml("")));
    let old_address = format!("tls://localhost:{}", port(&old, "tls"));
    let named = authority.sign("named", &["node.example"], |_| {});
    let named = Daemon::start(&listeners(&named.toml("")));
    let named_address = format!("tls://localhost:{}", port(&named, "tls"));
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let ends = std::thread::spawn({
        let silent = silent.try_clone().unwrap();
        // After the first word, so that it was a handshake.
        move || silent.accept().and_then(|(mut stream, _)| stream.read_exact(&mut [0; 5]))
    });
    let ended = format!("tls://{}", silent.local_addr().unwrap());
    let plain = format!("tls://localhost:{}", port(&daemon, "tcp"));
    let wrong_way = format!("tcp://{}", daemon.address("tls"));
    let (ca, stranger) = (path(&ca), stranger.file());
    for (arguments, status, what, hint) in [
        (&["--connect", &tls, "--ca", path(&stranger)][..], 6, "signed by nobody who is believed", "--ca FILE"),
        (&["--connect", &marked, "--ca", ca], 6, "self-signed", "--ca FILE"),
        (&["--connect", &named_address, "--ca", ca], 6, "not for localhost, but for node.example", "--server-name"),
        (&["--connect", &old_address, "--ca", ca], 6, "has ended", "clock"),
        (&["--connect", &plain, "--ca", ca], 6, "does not speak TLS", "tcp://"),
        (&["--connect", &wrong_way], 6, "this listener speaks TLS", "tls://"),
        (&["--connect", &ended, "--ca", ca], 6, "ended the connection in the TLS handshake", "tcp://"),
        (&["--connect", &tls, "--ca", "/nowhere.pem"], 7, "/nowhere.pem cannot be read", ""),
        (&["--connect", &tls, "--ca", ca, "--certificate", ca], 7, "holds no private key", ""),
        (&["--connect", &tls, "--ca", ca, "--insecure"], 2, "--insecure", ""),
        (&["--connect", &tls, "--ca", ca, "--server-name", "a b"], 7, "a b", ""),
    ] {
        let (got, errors) = said(&[arguments, &["status"]].concat());
        assert!(got == status && errors.contains(what) && errors.contains(hint), "{arguments:?}: {got}\n{errors}");
    }
    ends.join().unwrap().unwrap();
    let (status, errors) =
        said(&["--connect", &named_address, "--ca", ca, "--server-name", "node.example", "--quiet", "set", "x", "1"]);
    assert_eq!((status, errors.as_str()), (0, ""));
    // Nobody is asked, but everybody is told.
    let (status, errors) = said(&["--connect", &old_address, "--insecure", "--quiet", "set", "x", "1"]);
    assert!(status == 0 && errors.contains("WARNING") && errors.contains("your secret too"), "{errors}");
}

/// Why a node lets go of a client before hello: the code in its usual words, and what the node
/// says to it.
#[test]
fn what_the_node_says_at_the_door_is_told_with_its_code() {
    let authority = Authority::new();
    let limits = "[limits]\nstations = 1\ndatagram_stations = 0\n";
    let mut daemon = Daemon::start(&format!("{limits}{}", listeners(&authority.server().toml(""))));
    let (status, text) = said(&["--connect", &format!("tcp://127.0.0.1:{}", port(&daemon, "tls")), "ls"]);
    assert!(status == 6 && text.contains("not understood: ") && text.contains("tls://"), "{text}");
    let _only = daemon.station("only");
    let (status, text) = said(&["--connect", &format!("tcp://127.0.0.1:{}", port(&daemon, "tcp")), "ls"]);
    assert!(status == 6 && text.contains("a limit of the node is reached"), "{text}");
}

#[test]
fn a_client_shows_its_certificate_or_says_its_password() {
    let authority = Authority::new();
    let anna = authority.client("anna");
    let more = format!(", client_ca = \"{}\", client_certificate = \"optional\"", authority.file().display());
    let hashed = hash(b"open sesame", Cost { memory: 64, passes: 1 }).unwrap();
    let users = format!(
        "[[users]]\nname = \"a\"\ncertificate = \"anna\"\n[[users]]\nname = \"b\"\npassword_hash = \"{hashed}\"\n"
    );
    let listeners = listeners(&authority.server().toml(&more)).replacen("tls = {", "anonymous = []\ntls = {", 1);
    let daemon = Daemon::start(&format!("{users}{listeners}"));
    let address = format!("tls://localhost:{}", port(&daemon, "tls"));
    let ca = authority.file();
    let base = ["--connect", &address, "--ca", path(&ca)];
    let with = |more: &[&str]| said(&[&base[..], more, &["set", "x", "1"]].concat());
    assert_eq!(with(&["--certificate", path(&anna.certificate), "--key", path(&anna.key)]), (0, String::new()));
    assert_eq!(with(&["--user", "b", "--token", "open sesame"]), (0, String::new()));
    let (status, errors) = with(&[]);
    assert!(status == 5 && errors.contains("--user"), "{errors}");
    let (status, errors) = with(&["--user", "b", "--token", "wrong"]);
    assert!(status == 5 && errors.contains("wrong user or token"), "{errors}");
    // Both in one file.
    let joined = authority.folder.path().join("joined.pem");
    let text = [&anna.certificate, &anna.key].map(|f| std::fs::read_to_string(f).unwrap()).concat();
    std::fs::write(&joined, text).unwrap();
    assert_eq!(with(&["--certificate", path(&joined)]), (0, String::new()));
}

#[test]
fn a_node_that_wants_a_certificate_is_told_apart() {
    let authority = Authority::new();
    let stranger = Authority::new();
    let more = format!(", client_ca = \"{}\"", authority.file().display());
    let daemon = Daemon::start(&listeners(&authority.server().toml(&more)));
    let address = format!("tls://localhost:{}", port(&daemon, "tls"));
    let ca = authority.file();
    let bad = stranger.client("bad");
    for shown in [&[][..], &["--certificate", path(&bad.certificate), "--key", path(&bad.key)]] {
        let (status, errors) = said(&[&["--connect", &address, "--ca", path(&ca)][..], shown, &["status"]].concat());
        assert!(status == 6 && errors.contains("--certificate FILE and --key FILE"), "{status} {errors}");
    }
}

#[test]
fn the_variables_are_those_of_the_options_and_count_only_for_tls() {
    let authority = Authority::new();
    let daemon = Daemon::start(&listeners(&authority.server().toml("")));
    let run = |address: &str, ca: &Path| {
        let mut command = Command::new(CHAPPE);
        command.env("CHAPPE_CONNECT", address).env("CHAPPE_CA", ca);
        command.args(["set", "x", "1"]).output().unwrap().status.code()
    };
    let tls = format!("tls://127.0.0.1:{}", port(&daemon, "tls"));
    assert_eq!(run(&tls, &authority.file()), Some(0));
    assert_eq!(run(&tls, Path::new("/nowhere.pem")), Some(7));
    assert_eq!(run(&format!("tcp://{}", daemon.address("tcp")), Path::new("/nowhere.pem")), Some(0));
}

fn trust(authority: &Authority) -> Trust {
    Trust::read(&Files { ca: Some(authority.file()), ..Files::default() }).unwrap()
}

#[test]
fn the_library_carries_much_in_both_directions_and_comes_back() {
    let authority = Authority::new();
    let issued = authority.server();
    // The outbox holds all of it: a reader that gets no processor for a while must miss nothing.
    let config = "[limits]\nmax_frame = 1048576\noutbox = 33554432\nbuffers = 268435456\nmax_value = 65536\n";
    let mut daemon = Daemon::start(&format!("{config}{}", listeners(&issued.toml(""))));
    let port = port(&daemon, "tls");
    let options = || Options {
        trust: trust(&authority),
        timeout: PATIENCE,
        backoff_min: Duration::from_millis(20),
        backoff_max: Duration::from_millis(100),
        patient: true,
        ..Options::default()
    };
    let address = format!("tls://localhost:{port}");
    let mut reader = Connection::connect(address.parse().unwrap(), options()).unwrap();
    reader.join("news").unwrap();
    let writer = std::thread::spawn({
        let mut writer = Connection::connect(address.parse().unwrap(), options()).unwrap();
        move || {
            // More than the library, rustls and the kernel hold together.
            for n in 0..60u32 {
                let body: Vec<u8> = (0..500_000u32).map(|i| ((i * 31) ^ n) as u8).collect();
                writer.send(&Letter { name: "news", body: &body, ..Letter::default() }).unwrap();
            }
            writer.flush().unwrap();
            writer
        }
    });
    for n in 0..60u32 {
        let Some(Event::Message(m)) = reader.next_event(Some(PATIENCE)).unwrap() else { panic!("message {n}") };
        assert!(m.body.len() == 500_000 && m.body.iter().zip(0u32..).all(|(b, i)| *b == ((i * 31) ^ n) as u8), "{n}");
    }
    let writer = writer.join().unwrap();
    writer.close().unwrap();
    // The daemon is started anew at the same place, with another certificate.
    daemon.signal("TERM");
    assert!(daemon.wait().success());
    let fresh = authority.server();
    let config = listeners(&fresh.toml("")).replacen("127.0.0.1:0", &format!("127.0.0.1:{port}"), 1);
    let _daemon = Daemon::start(&config);
    until("it is back", || {
        let _ = reader.next_event(Some(Duration::from_millis(50)));
        reader.is_ready()
    });
    reader.set("x", b"1").unwrap();
    assert_eq!(reader.get("x").unwrap().unwrap().value, b"1");
}

#[test]
fn the_library_names_the_kind_of_trouble() {
    let authority = Authority::new();
    let stranger = Authority::new();
    let daemon = Daemon::start(&listeners(&authority.server().toml("")));
    let connect = |address: String, trust: Trust| {
        let options = Options { trust, timeout: PATIENCE, ..Options::default() };
        match Connection::connect(address.parse().unwrap(), options) {
            Err(Error::Connect { problem: Some(problem), .. }) => Problem::of(&problem).map(Problem::kind),
            Err(other) => panic!("{other}"),
            Ok(_) => None,
        }
    };
    let tls = || format!("tls://localhost:{}", port(&daemon, "tls"));
    assert_eq!(connect(tls(), trust(&authority)), None);
    assert_eq!(connect(tls(), trust(&stranger)), Some(ProblemKind::UnknownIssuer));
    let plain = format!("tls://localhost:{}", port(&daemon, "tcp"));
    assert_eq!(connect(plain, trust(&authority)), Some(ProblemKind::NotTls));
    // What this machine believes: at least not that. Where it believes nobody it says so.
    let usual = connect(tls(), Trust::default());
    assert!(matches!(usual, Some(ProblemKind::UnknownIssuer | ProblemKind::NoRoots)), "{usual:?}");
}

#[test]
fn a_node_that_falls_silent_in_the_handshake_is_not_waited_for_for_ever() {
    let authority = Authority::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("tls://{}", listener.local_addr().unwrap());
    let silent = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut hello = [0; 5];
        stream.read_exact(&mut hello).unwrap();
        // The beginning of an answer, and then nothing until the other end is tired of it.
        stream.write_all(&[22, 3, 3, 0, 100, 2]).unwrap();
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let options = Options { trust: trust(&authority), timeout: Duration::from_millis(300), ..Options::default() };
    let error = Connection::connect(address.parse().unwrap(), options).unwrap_err();
    assert!(matches!(error, Error::Connect { .. }), "{error}");
    silent.join().unwrap();
}
