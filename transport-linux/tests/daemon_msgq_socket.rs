//! The sockets of a message bus of BIND 10 (`wire/msgq.md`), and the daemon in the place of `b10-msgq`.

mod support;

use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::json;
use support::msgq::{BOTH, BUS, Client, VARIABLE, frame, own_user, run, serve};
use support::{CHAPPE, Daemon, PATIENCE, activated, signal, until, wait, write_config};

// ---- the socket ----

#[test]
fn the_variable_says_where_the_socket_is() {
    let config = "[[listeners]]\naddress = \"msgq://auto\"\n";
    let elsewhere = tempfile::tempdir().unwrap();
    let path = elsewhere.path().join("given");
    let daemon = Daemon::start_by(config, |config| {
        let mut command = serve(config);
        command.env(VARIABLE, &path);
        command
    });
    assert_eq!(daemon.address("msgq"), path.to_str().unwrap());
    assert!(Client::new(&path).is_alive());

    // A place that is named and will not do is an error that names the variable; nothing else is tried.
    for (bad, hint) in [(elsewhere.path().join("x".repeat(120)), "107"), ("/nowhere/at/all".into(), "/nowhere/at")] {
        let folder = tempfile::tempdir().unwrap();
        let started = Daemon::start_in(folder, config, |config| {
            let mut command = serve(config);
            command.env(VARIABLE, &bad);
            command
        });
        let Err((status, text)) = started else { panic!("it started") };
        assert_eq!(status.code(), Some(1));
        assert!(text.contains(VARIABLE) && text.contains(hint) && text.contains("listeners[0]"), "{text}");
    }
}

#[test]
fn without_the_variable_it_is_in_one_of_the_usual_places() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::start_by("[[listeners]]\naddress = \"msgq://auto\"\n", |config| {
        let mut command = serve(config);
        // Empty is as good as not there.
        command.env(VARIABLE, "").env("XDG_RUNTIME_DIR", folder.path());
        command
    });
    let places = ["/usr/local/var/bind10/msgq_socket", "/run/chappe/msgq.sock"];
    let address = daemon.address("msgq");
    if places.iter().all(|place| !Path::new(place).parent().unwrap().exists()) {
        assert_eq!(Path::new(&address), folder.path().join("chappe-msgq.sock"));
    }
    assert!(Client::new(&address).is_alive());
}

#[test]
fn the_file_has_the_mode_and_owner_that_are_wanted_and_goes_with_the_daemon() {
    let own = std::fs::metadata("/proc/self").unwrap();
    // Only root may give files away.
    let (user, group) = if own.uid() == 0 { (12_345, 54_321) } else { (own.uid(), own.gid()) };
    let about = format!("mode = \"0640\"\nowner = \"{user}\"\ngroup = \"{group}\"\n");
    let mut daemon = Daemon::start(&format!("{BUS}{about}"));
    let path = daemon.address("msgq");
    let file = std::fs::metadata(&path).unwrap();
    assert_eq!((file.mode() & 0o777, file.uid(), file.gid()), (0o640, user, group));
    let mut client = daemon.msgq();
    daemon.signal("TERM");
    assert!(client.is_closed(), "and no word before it");
    assert!(daemon.wait().success());
    assert!(!Path::new(&path).exists());
}

#[test]
fn what_waits_is_still_delivered_when_the_daemon_goes() {
    let mut daemon = Daemon::start(BUS);
    let (mut a, mut b) = (daemon.msgq(), daemon.msgq());
    b.join("news");
    for n in 0..2000u32 {
        a.send("news", &[&n.to_be_bytes()[..], &[0; 500]].concat());
    }
    a.sync();
    daemon.signal("TERM");
    for n in 0..2000u32 {
        assert_eq!(b.next().unwrap().body[..4], n.to_be_bytes());
    }
    assert!(b.is_closed());
    assert!(daemon.wait().success());
}

#[test]
fn a_second_daemon_a_leftover_and_a_precious_file() {
    let first = Daemon::start(BUS);
    let path = first.address("msgq");
    let mut client = first.msgq();
    let listen = |path: &str| run(Command::new(CHAPPE).args(["serve", "--config", "/dev/null", "--listen", path]));
    let inode = std::fs::metadata(&path).unwrap().ino();
    let output = listen(&format!("msgq://{path}"));
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(error.contains("another program listens there") && error.contains(&path), "{error}");
    assert_eq!(std::fs::metadata(&path).unwrap().ino(), inode);
    assert!(client.is_alive() && first.msgq().is_alive(), "the first one is undisturbed");

    // One that listens and never accepts, with a full queue: it is there all the same.
    let folder = tempfile::tempdir().unwrap();
    let stuck = folder.path().join("stuck");
    let socket = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None).unwrap();
    socket.bind(&socket2::SockAddr::unix(&stuck).unwrap()).unwrap();
    socket.listen(0).unwrap();
    let _first_in_line = UnixStream::connect(&stuck).unwrap();
    let output = listen(&format!("msgq://{}", stuck.display()));
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stderr).unwrap().contains("another program listens there"));

    for (name, words, make) in [
        ("file", "no socket", (|path| std::fs::write(path, "data").unwrap()) as fn(&Path)),
        ("folder", "is a folder", |path| std::fs::create_dir(path).unwrap()),
        ("link", "no socket", |path| symlink("/etc/hostname", path).unwrap()),
    ] {
        let precious = folder.path().join(name);
        make(&precious);
        let before = std::fs::symlink_metadata(&precious).unwrap();
        let output = listen(&format!("msgq://{}", precious.display()));
        assert_eq!(output.status.code(), Some(1));
        assert!(String::from_utf8(output.stderr).unwrap().contains(words), "{name}");
        assert_eq!(std::fs::symlink_metadata(&precious).unwrap().ino(), before.ino(), "{name} is still there");
    }

    let mut first = first;
    first.child.kill().unwrap();
    first.child.wait().unwrap();
    assert!(client.is_closed() && Path::new(&path).exists(), "kill -9 leaves the file behind");
    let folder = std::mem::replace(&mut first.folder, tempfile::tempdir().unwrap());
    let again = Daemon::start_in(folder, BUS, serve).unwrap_or_else(|(_, text)| panic!("{text}"));
    assert!(again.msgq().is_alive());
}

#[test]
fn a_path_that_is_too_long_names_its_key() {
    let folder = tempfile::tempdir().unwrap();
    let path = write_config(
        folder.path(),
        &format!("node = \"x\"\n[[listeners]]\naddress = \"msgq:///{}\"\n", "x".repeat(107)),
    );
    let output = run(&mut serve(&path));
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(78));
    assert!(error.contains("chappe.toml:3:11: listeners[0].address") && error.contains("107"), "{error}");
}

#[test]
fn a_socket_that_systemd_opened_speaks_what_the_configuration_says() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("activated");
    let listener = UnixListener::bind(&path).unwrap();
    // Somebody is waiting before the daemon is there.
    let mut early = Client::mute(&path);
    early.say(&json!({"type": "getlname"}), b"");
    let config = format!("[[listeners]]\naddress = \"msgq://{}\"\n", path.display());
    let daemon = Daemon::start_by(&config, |config| activated(listener.into(), config));
    assert!(early.next().unwrap().value()["lname"].is_string());
    assert_eq!(daemon.address("msgq"), path.to_str().unwrap());
    assert!(daemon.msgq().is_alive());
}

#[test]
fn there_are_no_words_for_who_finds_no_place() {
    let daemon = Daemon::start(&format!("[limits]\nstations = 2\ndatagram_stations = 0\n{BUS}"));
    let (mut a, b) = (daemon.msgq(), daemon.msgq());
    assert!(Client::mute(daemon.address("msgq")).is_closed());
    assert!(a.is_alive());
    drop(b);
    until("there is a place again", || {
        let mut next = UnixStream::connect(daemon.address("msgq")).unwrap();
        next.set_read_timeout(Some(PATIENCE)).unwrap();
        next.write_all(&frame(&json!({"type": "ping"}), b"")).is_ok() && next.read(&mut [0; 64]).is_ok_and(|n| n > 0)
    });
}

// ---- in the place of b10-msgq ----

struct Original {
    folder: tempfile::TempDir,
}

impl Original {
    fn new() -> Original {
        let folder = tempfile::tempdir().unwrap();
        symlink(CHAPPE, folder.path().join("b10-msgq")).unwrap();
        Original { folder }
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(self.folder.path().join("b10-msgq"));
        command.args(args).env_remove(VARIABLE).stdin(Stdio::null()).stderr(Stdio::piped()).stdout(Stdio::piped());
        command
    }

    fn socket(&self) -> String {
        self.folder.path().join("msgq_socket").to_str().unwrap().to_owned()
    }
}

/// Waits as the programs that start it do, by trying.
fn serving(mut command: Command, path: &str) -> Child {
    let child = command.spawn().unwrap();
    until("it serves", || UnixStream::connect(path).is_ok());
    child
}

#[test]
fn called_as_b10_msgq_it_serves_only_its_socket() {
    let original = Original::new();
    let path = original.socket();
    let mut child = serving(original.command(&["-s", &path]), &path);
    let file = std::fs::metadata(&path).unwrap();
    assert_eq!(file.permissions().mode() & 0o777, 0o600);
    let (mut a, mut b) = (Client::new(&path), Client::new(&path));
    b.join("news");
    a.send("news", b"hello");
    assert_eq!(b.next().unwrap().body, b"hello");

    let second = run(&mut original.command(&["--socket-file", &path]));
    assert_eq!(second.status.code(), Some(1));
    assert!(String::from_utf8(second.stderr).unwrap().contains("another program listens there"));
    assert!(a.is_alive(), "the first one is undisturbed");

    a.say(&json!({"type": "stop"}), b"");
    assert!(b.is_closed());
    assert_eq!(wait(&mut child).code(), Some(0));
    assert!(!Path::new(&path).exists());
    let output = child.wait_with_output().unwrap();
    let log = String::from_utf8(output.stderr).unwrap();
    assert_eq!(log.lines().filter(|line| line.contains("listener.open")).count(), 1, "{log}");
    assert!(log.contains("msgq.stop"), "{log}");
    assert!(output.stdout.is_empty(), "no greeting");
}

#[test]
fn the_log_knows_a_system_user_whose_rights_are_those_of_strangers() {
    // No names of its own, and the same rights: only the name is more than a stranger has.
    let user = format!("[[users]]\nname = \"me\"\npeer_users = [{}]\nrights = [\"read\", \"write\"]\n", own_user());
    for (user, name) in [(user.as_str(), "me"), ("", "")] {
        let mut daemon = Daemon::start(&format!("node = \"a b\"\n[log]\nlevel = \"debug\"\n{user}{BOTH}"));
        let mut me = daemon.msgq();
        let opened = daemon.event("connection.opened");
        me.say(&json!({"type": "subscribe"}), b"");
        assert!(me.is_closed());
        let closed = daemon.event("connection.closed");
        assert_eq!(closed["reason"], "malformed");
        for line in [opened, closed] {
            assert_eq!((&line["user"], &line["uid"]), (&name.into(), &own_user().into()), "{line}");
            assert_eq!(line["name"], me.lname.as_str(), "{line}");
        }
    }
}

#[test]
fn called_as_b10_msgq_its_complaints_are_in_its_own_words() {
    let original = Original::new();
    let folder = original.folder.path().to_str().unwrap().to_owned();
    let path = original.socket();
    let mut child = serving(original.command(&["-s", &path]), &path);
    let (nowhere, long) = (format!("{folder}/nowhere/socket"), format!("/{}", "x".repeat(120)));
    for (args, status, words) in [
        (&["-s", &path][..], 1, "another program listens there; end it, or use -s FILE"),
        (&["-s", &folder], 1, "is a folder"),
        (&["-s", ""], 2, "a value is required"),
        (&["-s", "/"], 1, "use -s FILE"),
        (&["-s", &nowhere], 1, "nowhere is not there: make it, or use -s FILE"),
        (&["-s", &long], 1, "choose another"),
        (&["--nonsense"], 2, "unexpected argument"),
    ] {
        let output = run(&mut original.command(args));
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(status), "{error}");
        assert!(error.starts_with("b10-msgq: ") && error.contains(words), "{error}");
        assert!(!error.contains("listeners[0]") && !error.contains("--listen"), "{error}");
    }
    signal(child.id(), "HUP");
    signal(child.id(), "TERM");
    assert_eq!(wait(&mut child).code(), Some(0));
    let log = String::from_utf8(child.wait_with_output().unwrap().stderr).unwrap();
    assert!(log.contains("there is no file to read") && !log.contains("config.reloaded"), "{log}");
}

#[test]
fn called_as_b10_msgq_its_path_and_its_ends_are_those_of_the_original() {
    let original = Original::new();
    let path = original.socket();
    let mut command = original.command(&["-v"]);
    command.env(VARIABLE, &path);
    let mut child = serving(command, &path);
    assert!(Client::new(&path).is_alive());
    signal(child.id(), "INT");
    assert_eq!(wait(&mut child).code(), Some(0));
    assert!(!Path::new(&path).exists());

    // A relative path, and the variable is not asked.
    let mut command = original.command(&["--socket-file=relative"]);
    command.env(VARIABLE, &path).current_dir(original.folder.path());
    let there = original.folder.path().join("relative");
    let mut child = serving(command, there.to_str().unwrap());
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(there.exists() && !Path::new(&path).exists());
    // What kill -9 left is replaced.
    let mut command = original.command(&["-s", "relative"]);
    command.current_dir(original.folder.path());
    let mut child = serving(command, there.to_str().unwrap());
    signal(child.id(), "TERM");
    assert_eq!(wait(&mut child).code(), Some(0));

    std::fs::write(&path, "precious").unwrap();
    assert_eq!(run(&mut original.command(&["-s", &path])).status.code(), Some(1));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
    let long = "x".repeat(120);
    assert_eq!(run(&mut original.command(&["-s", &long])).status.code(), Some(1));

    let wrong = run(&mut original.command(&["--nonsense"]));
    assert_eq!((wrong.status.code(), wrong.stdout.is_empty()), (Some(2), true));
    assert!(String::from_utf8(wrong.stderr).unwrap().contains("Usage: b10-msgq"));
    for (option, text) in [("--version", "b10-msgq "), ("-h", "--socket-file"), ("--help", "BIND10_MSGQ_SOCKET_FILE")] {
        let output = run(&mut original.command(&[option]));
        assert_eq!(output.status.code(), Some(0), "{option}");
        assert!(String::from_utf8(output.stdout).unwrap().contains(text), "{option}");
    }
}
