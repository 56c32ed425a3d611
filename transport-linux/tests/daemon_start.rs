//! Starting: without a configuration, with a bad one, beside another daemon, under systemd.

mod support;

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use chappe_core::dialect::messi::repr::{Code, Hello, Letter};
use support::{CHAPPE, Daemon, Station, signal, until, wait, write_config};

fn run(args: &[&str]) -> Output {
    Command::new(CHAPPE).args(args).env_remove("CHAPPE_CONFIG").stdin(Stdio::null()).output().unwrap()
}

#[test]
fn without_any_configuration_it_runs_and_says_how_to_try_it() {
    let folder = tempfile::tempdir().unwrap();
    // Not the default port: another daemon may run on this machine.
    let mut child = Command::new(CHAPPE)
        .args(["serve", "--listen", "tcp://127.0.0.1:0", "--listen", "unix://auto", "--listen", "msgq://auto"])
        .env("XDG_RUNTIME_DIR", folder.path())
        .env("BIND10_MSGQ_SOCKET_FILE", folder.path().join("msgq_socket"))
        .env_remove("CHAPPE_CONFIG")
        .env_remove("JOURNAL_STREAM")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let socket = folder.path().join("chappe.sock");
    if std::path::Path::new("/run/chappe").exists() {
        std::thread::sleep(Duration::from_secs(1)); // it may have preferred that place
    } else {
        until("its socket is there", || socket.exists());
        until("it answers", || UnixStream::connect(&socket).is_ok());
        let mut station = Station::unix(&socket);
        station.hello("first");
        station.goodbye();
        let mode = std::fs::metadata(&socket).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o660);
    }
    signal(child.id(), "TERM");
    assert!(wait(&mut child).success());
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("tcp://127.0.0.1:") && text.contains("unix:///"), "{text}");
    assert!(text.contains("msgq:///") && text.contains("BIND10_MSGQ_SOCKET_FILE, which is set"), "{text}");
    let commands = text.lines().filter(|l| l.trim_start().starts_with(CHAPPE)).count();
    assert_eq!(commands, 3, "{text}");
    assert!(!socket.exists(), "its socket file goes with it");
}

#[test]
fn a_bad_configuration_names_file_line_column_and_key_and_starts_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let listener = "[[listeners]]\naddress = \"unix://FOLDER/s\"\n";
    for (text, place, key, hint) in [
        ("[limits]\noutbox = \"much\"\n", ":2:10", "limits.outbox", "invalid type"),
        ("[limits]\noutbax = 1\n", ":2:1", "limits.outbax", "unknown field"),
        ("nonsense\n", ":1:", "", "="),
        ("[[users]]\nname = \"a\"\npeer_users = [1]\nnames = []\n", ":4:9", "users[0].names", "leave the key out"),
        ("[msgq]\nmax_body = 4194304\n", ":2:12", "msgq.max_body", "8519818"),
        (
            "[[listeners]]\naddress = \"unix://FOLDER/t\"\nowner = \"no-such-user-here\"\n",
            ":3:9",
            "listeners[0].owner",
            "no system user",
        ),
    ] {
        let path = write_config(folder.path(), &format!("{text}{listener}"));
        for command in [
            vec!["serve", "--config", path.to_str().unwrap()],
            vec!["check-config", path.to_str().unwrap()],
            vec!["check-config", "-c", path.to_str().unwrap()],
        ] {
            let output = run(&command);
            let error = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(78), "{error}");
            assert!(error.contains(&format!("chappe.toml{place}")), "{error}");
            assert!(error.contains(key) && error.contains(hint), "{error}");
            assert!(!folder.path().join("s").exists(), "nothing was started");
        }
    }
    let output = run(&["serve", "--config", "/nowhere/chappe.toml"]);
    assert_eq!(output.status.code(), Some(78));
    assert!(String::from_utf8(output.stderr).unwrap().contains("/nowhere/chappe.toml"));
}

#[test]
fn check_config_shows_what_is_in_force_and_no_secret() {
    let folder = tempfile::tempdir().unwrap();
    let path = write_config(folder.path(), "[[users]]\nname = \"anna\"\ntoken = \"sesame-open\"\n");
    let output = run(&["check-config", path.to_str().unwrap()]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success());
    assert!(text.contains("name = \"anna\"") && text.contains("silence_ms = 30000"), "{text}");
    assert!(!text.contains("sesame"), "{text}");
    assert_eq!(run(&["check-config", "-c", path.to_str().unwrap()]).stdout, text.as_bytes());
    let both = run(&["check-config", "-c", path.to_str().unwrap(), path.to_str().unwrap()]);
    assert_eq!(both.status.code(), Some(2));
}

#[test]
fn check_config_warns_of_what_serve_would_warn_of_and_counts_it() {
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    std::fs::write(&token, "sesame-open").unwrap();
    std::fs::set_permissions(&token, PermissionsExt::from_mode(0o644)).unwrap();
    let text = format!(
        "[[users]]\nname = \"anna\"\ntoken_file = \"{}\"\n[store]\npath = \"/no/such/folder/values.redb\"\n\
         [[listeners]]\naddress = \"tcp://0.0.0.0:7840\"\n",
        token.display()
    );
    let path = write_config(folder.path(), &text);
    let output = run(&["check-config", path.to_str().unwrap()]);
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && error.ends_with("chappe: good, 3 warnings\n"), "{error}");
    for part in ["token: it holds secrets", "tcp://0.0.0.0:7840: SECRETS CROSS", "no folder /no/such/folder"] {
        assert!(error.contains(part), "{part}: {error}");
    }
}

#[test]
fn the_file_that_packages_install_is_good() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/chappe.toml");
    assert!(run(&["check-config", path]).status.success());
}

#[test]
fn what_other_machines_reach_needs_users_or_a_loud_yes() {
    let refused = run(&["serve", "--config", "/dev/null", "--listen", "tcp://0.0.0.0:0"]);
    assert_eq!(refused.status.code(), Some(78));
    let error = String::from_utf8(refused.stderr).unwrap();
    assert!(error.contains("allow_open") && error.contains("[[users]]"), "{error}");

    let listener = "[[listeners]]\naddress = \"tcp://0.0.0.0:0\"\n";
    let mut open = Daemon::start(&format!("allow_open = true\n{listener}"));
    let warning = open.event("listener.unprotected");
    assert_eq!(warning["level"], "WARN");
    open.station("stranger");

    let mut shut = Daemon::start(&format!("{listener}[[users]]\nname = \"anna\"\ntoken = \"sesame-open\"\n"));
    assert!(shut.find("listener.unprotected", Duration::from_millis(100)).is_none());
    let mut stranger = shut.connect();
    assert_eq!(stranger.hello_as(Hello { seq: 1, ..Hello::default() }), Err(Code::BadCredentials));
    let anna = Hello { seq: 1, user: "anna", token: b"sesame-open", ..Hello::default() };
    assert!(shut.connect().hello_as(anna).is_ok());
}

#[test]
fn two_daemons_at_one_address_are_one_too_many() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("tcp://{}", taken.local_addr().unwrap());
    let output = run(&["serve", "--config", "/dev/null", "--listen", &address]);
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(error.contains(&address) && error.contains("another program listens there"), "{error}");

    let first = Daemon::start("[[listeners]]\naddress = \"unix://FOLDER/s\"\nmode = \"0600\"\n");
    let path = first.folder.path().join("s");
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let output = run(&["serve", "--config", "/dev/null", "--listen", &format!("unix://{}", path.display())]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stderr).unwrap().contains("another program listens there"));
    Station::unix(&path).hello("the first one is undisturbed");
}

#[test]
fn a_file_that_is_no_socket_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("precious");
    std::fs::write(&path, "data").unwrap();
    let output = run(&["serve", "--config", "/dev/null", "--listen", &format!("unix://{}", path.display())]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stderr).unwrap().contains("no socket"));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "data");
}

#[test]
fn systemd_is_told_when_it_is_ready_alive_reloading_and_stopping() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let notify = UnixDatagram::bind(&path).unwrap();
    notify.set_read_timeout(Some(support::PATIENCE)).unwrap();
    let mut daemon = Daemon::start_by("", |config| {
        let mut command = Command::new(CHAPPE);
        command.arg("serve").arg("--config").arg(config);
        command.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "200000");
        command
    });
    let wait_for = |what: &str| loop {
        let mut bytes = [0; 4096];
        let n = notify.recv(&mut bytes).unwrap_or_else(|e| panic!("{what}: {e}"));
        let text = String::from_utf8_lossy(&bytes[..n]).into_owned();
        if text.lines().any(|l| l.starts_with(what)) {
            return text;
        }
    };
    assert!(wait_for("READY=1").contains("STATUS="));
    wait_for("WATCHDOG=1");
    wait_for("WATCHDOG=1");
    daemon.signal("HUP");
    assert!(wait_for("RELOADING=1").contains("MONOTONIC_USEC="));
    wait_for("READY=1");
    daemon.signal("TERM");
    wait_for("STOPPING=1");
    assert!(daemon.wait().success());
}

#[test]
fn sockets_that_systemd_opened_are_taken_over() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("activated");
    let listener = UnixListener::bind(&path).unwrap();
    // Somebody is waiting before the daemon is there.
    let mut early = Station::unix(&path);
    let config = format!("[[listeners]]\naddress = \"unix://{}\"\nanonymous = [\"read\"]\n", path.display());
    let mut daemon = Daemon::start_by(&config, |config| support::activated(listener.into(), config));
    early.hello("early");
    let mut other = Station::unix(&path);
    other.hello("later");
    // Rights are those of the entry in the configuration: read only.
    other.say(Letter { seq: 3, name: "x", ..Letter::default() });
    assert_eq!(other.outcome(), Code::Refused);
    daemon.signal("TERM");
    assert!(daemon.wait().success());
    assert!(path.exists(), "the file is systemd's and stays");
}

#[test]
fn a_socket_of_systemd_that_no_station_comes_in_by_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let config = write_config(folder.path(), "");
    let socket = UnixDatagram::bind(folder.path().join("notes")).unwrap();
    let mut child =
        support::activated(socket.into(), &config).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    assert!(!wait(&mut child).success());
    let errors = String::from_utf8(child.wait_with_output().unwrap().stderr).unwrap();
    assert!(errors.contains("is no socket of a kind that stations come in by"), "{errors}");
}

#[test]
fn addresses_of_ipv6_are_listened_at_beside_those_of_ipv4() {
    let daemon = Daemon::start(
        "[[listeners]]\naddress = \"tcp://[::1]:0\"\n[[listeners]]\naddress = \"udp://[::1]:0\"\n\
         [[listeners]]\naddress = \"tcp://127.0.0.1:0\"\n",
    );
    let chappe = |address: &str, args: &[&str]| {
        let output = run(&[&["--timeout", "10s", "--connect", address], args].concat());
        assert!(output.status.success(), "{address}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let tcp = daemon.addresses("tcp");
    assert!(tcp[0].starts_with("[::1]:") && tcp[1].starts_with("127.0.0.1:"), "{tcp:?}");
    chappe(&format!("tcp://{}", tcp[0]), &["set", "x", "6"]);
    assert_eq!(chappe(&format!("tcp://{}", tcp[1]), &["get", "x"]), "6\n");
    assert_eq!(chappe(&format!("udp://{}", daemon.address("udp")), &["get", "x"]), "6\n");
}
