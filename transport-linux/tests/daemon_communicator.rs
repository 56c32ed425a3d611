//! The daemon as a server of the Snap! Communicator (`wire/communicator.md`): where it listens, who
//! may do what, what datagrams can do, and how its programs meet stations of other dialects.

mod support;

use std::collections::HashSet;
use std::io::{BufRead, BufReader};
use std::net::UdpSocket;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Command, Stdio};

use chappe_core::dialect::messi::repr::{Letter, ServerToClient};
use chappe_linux::password::{Cost, hash};
use support::communicator::Client;
use support::tls::{Authority, TLS12, TLS13, client, connect_to};
use support::{CHAPPE, Daemon, METRICS, Station, counters, until};

const UNIX: &str = "[[listeners]]\naddress = \"cd://FOLDER/cd\"\n";
const TCP: &str = "[[listeners]]\naddress = \"cd://127.0.0.1:0\"\n";
const UDP: &str = "[[listeners]]\naddress = \"cdu://127.0.0.1:0\"\n";
const NATIVE: &str = "[[listeners]]\naddress = \"unix://FOLDER/native\"\n";

/// A server with this name, and what else its section says.
fn server(more: &str) -> String {
    format!("[communicator]\nserver = \"hostA\"\nservices_dir = \"FOLDER/services\"\n{more}\n")
}

fn tls(authority: &Authority) -> String {
    format!("[[listeners]]\naddress = \"cds://127.0.0.1:0\"\n{}\n", authority.server().toml(""))
}

// ---- where it listens ----

#[test]
fn services_come_by_every_stream() {
    let authority = Authority::new();
    let mut daemon = Daemon::start(&format!("{METRICS}{}{UNIX}{TCP}{}", server(""), tls(&authority)));
    let count = counters(&mut daemon);
    let ways: [(&str, &dyn Fn() -> Client); 4] = [
        ("unix", &|| daemon.communicator()),
        ("tcp", &|| Client::tcp(&daemon.communicator_tcp())),
        ("tls12", &|| Client::new(connect_to(&daemon, "cds", &client(&authority.root, &TLS12)).unwrap())),
        ("tls13", &|| Client::new(connect_to(&daemon, "cds", &client(&authority.root, &TLS13)).unwrap())),
    ];
    let mut all: Vec<Client> = Vec::new();
    for (name, connect) in &ways {
        let mut service = connect();
        service.say(&format!("REGISTER service={name};version=1"));
        assert_eq!(service.line(), "<hostA:communicatord HELP");
        assert_eq!(service.line(), "<hostA:communicatord READY my_address=127.0.0.1:4042");
        service.say(&format!("<:{name} hostA:communicatord/COMMANDS list=ALIVE,HELP,NEWS,QUITTING,READY,STOP,UNKNOWN"));
        service.sync();
        all.push(service);
    }
    let listed = all[0].ask("LIST_SERVICES");
    for (name, _) in &ways {
        assert!(listed.starts_with("SERVICES count=4;") && listed.contains(name), "{listed}");
    }
    // Each hears all others, and never itself.
    for from in 0..all.len() {
        all[from].say(&format!("./NEWS number={from}"));
        let line = format!("<hostA:{} ./NEWS number={from}", ways[from].0);
        for (to, service) in all.iter_mut().enumerate() {
            if to != from {
                assert_eq!(service.line(), line);
            }
        }
    }
    for (service, (name, _)) in all.iter_mut().zip(&ways) {
        assert!(service.has_nothing());
        service.say(&format!("UNREGISTER service={name}"));
        assert_eq!(service.until_end(), [""; 0]);
    }
    assert_eq!(count("chappe_connections"), 0);
    assert_eq!(count("chappe_tls_broken_total"), 0);
}

#[test]
fn both_places_of_both_revisions_can_be_served() {
    let old = "[[listeners]]\naddress = \"cd://FOLDER/old\"\n";
    let daemon = Daemon::start(&format!("{}{UNIX}{old}", server("")));
    let paths = daemon.addresses("cd");
    let mut here = Client::unix(&paths[0]).service("here", "");
    let mut there = Client::unix(&paths[1]).service("there", "");
    there.say("here/HELLO");
    assert_eq!(here.line(), "<hostA:there here/HELLO");
}

#[test]
fn the_usual_place_is_taken_by_default() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::start_in(
        folder,
        "listeners = [{ address = \"cd://auto\" }]\n[communicator]\nserver = \"usual\"",
        |config| {
            let mut command = Command::new(CHAPPE);
            command.arg("serve").arg("--config").arg(config).env("XDG_RUNTIME_DIR", config.parent().unwrap());
            command
        },
    )
    .unwrap_or_else(|(status, text)| panic!("{status}: {text}"));
    let path = daemon.communicator_path();
    assert!(path.ends_with("communicator.sock") || path == "/run/communicator/communicatord.sock", "{path}");
    daemon.communicator().sync();
    // The client looks there, too; where another daemon runs on this machine it may find that first.
    if Path::new(&path).parent() == Some(daemon.folder.path()) && !Path::new("/run/chappe/communicator.sock").exists() {
        let mut command = Command::new(CHAPPE);
        command.env("XDG_RUNTIME_DIR", daemon.folder.path()).env("CHAPPE_CONNECT", "cd://auto");
        let found = command.args(["--json", "send", "--reply", "communicatord/LIST_SERVICES"]).output().unwrap();
        let text = String::from_utf8(found.stdout).unwrap();
        assert!(text.contains("\"from_server\":\"usual\""), "{text}{:?}", found.stderr);
    }
}

/// Exit status, output and errors of the command line, at this address.
fn typed(connect: &str, args: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(CHAPPE);
    for variable in ["CHAPPE_USER", "CHAPPE_TOKEN", "CHAPPE_SECRET_CODE"] {
        command.env_remove(variable);
    }
    let out = command.env("CHAPPE_CONNECT", connect).args(args).stdin(Stdio::null()).output().unwrap();
    let text = |b: Vec<u8>| String::from_utf8(b).unwrap();
    (out.status.code().unwrap(), text(out.stdout), text(out.stderr))
}

#[test]
fn what_people_type_works_or_says_what_to_type() {
    let authority = Authority::new();
    let daemon = Daemon::start(&format!("{}{UNIX}{NATIVE}{}", server(""), tls(&authority)));
    let mut cluck = daemon.communicator().service("cluck", "ALARM");
    let (native, cd) = (format!("unix://{}", daemon.address("unix")), format!("cd://{}", daemon.communicator_path()));
    // to all who have announced a command, from a station of another dialect
    let (status, out, err) = typed(&native, &["send", "./ALARM", "text=fire"]);
    assert_eq!((status, &out[..]), (0, "sent to 1 station\n"), "{err}");
    assert!(cluck.line().ends_with(" ./ALARM text=fire"));
    let (status, _, err) = typed(&native, &["send", "./NOBODY"]);
    assert!(status == 3 && err.contains("./NOBODY: no such recipient"), "{err}");
    // the name is taken: as everywhere, status 1, and no word about passwords
    let (status, _, err) = typed(&cd, &["listen", "cluck"]);
    assert!(status == 1 && err.contains("another name") && !err.contains("--user"), "{err}");
    // what another scheme is for
    let (status, _, err) = typed(&format!("cd://{}", daemon.address("cds")), &["ls"]);
    assert!(status == 6 && err.contains("write cds:// for it"), "{err}");
    let (status, _, err) = typed(&format!("cd://{}", daemon.address("unix")), &["ls"]);
    assert!(status == 6 && err.contains("a socket of its own for each"), "{err}");
    let (status, _, err) = typed(&format!("cds://{}", daemon.address("cds")), &["ls"]);
    assert!(status == 6 && err.contains("--ca FILE"), "{err}");
    assert!(cluck.has_nothing());
}

#[test]
fn without_configuration_there_is_a_socket_and_a_hint_that_works() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = Command::new(CHAPPE)
        .arg("serve")
        .args(["--listen", &format!("cd://{}/cd.sock", folder.path().display())])
        .env_remove("CHAPPE_CONFIG")
        .env_remove("JOURNAL_STREAM")
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let path = folder.path().join("cd.sock");
    let mut text = String::new();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    while !text.contains("Ctrl-C") {
        text.push_str(&lines.next().expect("the greeting ends with how to end it").unwrap());
        text.push('\n');
    }
    assert!(text.contains(&format!("--communicator-listen cd://{}\n", path.display())), "{text}");
    assert!(!text.contains("chappe listen"), "no command that cannot reach it: {text}");
    let line = text.lines().find(|l| l.ends_with(&format!("| nc -U {}", path.display()))).expect("how to try it");
    // What it says to type is what is sent here.
    let said = line.split('\'').nth(1).unwrap().replace("\\n", "\n");
    let mut by_hand = Client::unix(&path);
    by_hand.write(said.as_bytes());
    let heard = by_hand.until_end();
    assert_eq!(heard.len(), 4, "{heard:?}");
    assert!(heard[2].contains(" CLOCK_") && heard[3].ends_with("SERVICES count=1;list=hello"), "{heard:?}");
    support::signal(child.id(), "TERM");
    assert!(support::wait(&mut child).success());
    assert!(!path.exists());
}

#[test]
fn systemd_may_open_the_sockets() {
    let folder = tempfile::tempdir().unwrap();
    let listener = UnixListener::bind(folder.path().join("cd")).unwrap();
    let daemon = Daemon::start_in(folder, &format!("{}{UNIX}", server("")), |config| {
        support::activated(listener.into(), config)
    })
    .unwrap_or_else(|(status, text)| panic!("{status}: {text}"));
    assert_eq!(daemon.addresses("cd").len(), 1);
    let mut any = daemon.communicator();
    assert!(any.ask("LIST_SERVICES").starts_with("SERVICES count=0"));
    // Who opens the file may manage, whoever has opened the socket.
    any.say("LOG_ROTATE");
    assert!(any.has_nothing());
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    let at = udp.local_addr().unwrap();
    let text = format!("{}{UNIX}[[listeners]]\naddress = \"cdu://{at}\"\n", server(""));
    let daemon = Daemon::start_by(&text, |config| support::activated(udp.into(), config));
    let mut foo = daemon.communicator().service("foo", "");
    daemon.signals().send(b"foo/HELLO").unwrap();
    assert_eq!(foo.line(), "foo/HELLO");
}

// ---- what it says, as the page has it ----

#[test]
fn messages_wait_or_are_reported_as_the_page_has_it() {
    let daemon = Daemon::start(&format!("{}{UNIX}", server("services = [\"bar\"]")));
    let mut foo = daemon.communicator().service("foo", "SERVICE_UNAVAILABLE,TRANSMISSION_REPORT");
    foo.say("bar/REFRESH cache=ttl=30;transmission_report=failure");
    assert_eq!(foo.line(), "<hostA:communicatord TRANSMISSION_REPORT command=REFRESH;status=cached");
    let mut bar = daemon.communicator();
    bar.register("bar");
    assert_eq!(bar.line(), "<hostA:foo bar/REFRESH cache=ttl=30;transmission_report=failure");
    // An unknown command is answered by who gets it.
    foo.say("bar/FROB");
    assert_eq!(bar.line(), "<hostA:foo bar/FROB");
    bar.say("<:bar hostA:foo/UNKNOWN command=FROB");
    assert_eq!(foo.line(), "<hostA:bar hostA:foo/UNKNOWN command=FROB");
    bar.say("UNREGISTER service=bar");
    assert_eq!(bar.until_end(), [""; 0]);
    foo.say("bar/REFRESH cache=\"no;reply\";transmission_report=failure");
    assert_eq!(foo.line(), "<hostA:communicatord SERVICE_UNAVAILABLE destination_service=bar;unsent_command=REFRESH");
    assert_eq!(foo.line(), "<hostA:communicatord TRANSMISSION_REPORT command=REFRESH;status=failed");
    foo.say("nobody/X transmission_report=failure");
    assert_eq!(foo.line(), "<hostA:communicatord TRANSMISSION_REPORT command=X;status=failed");
}

#[test]
fn clock_cluster_load_and_status_are_told() {
    let mut daemon = Daemon::start(&format!("{METRICS}{}{UNIX}{TCP}", server("my_address = \"127.0.0.1:7\"")));
    let count = counters(&mut daemon);
    let event = daemon.event("clock.state");
    let mut foo = daemon.communicator();
    foo.say("REGISTER service=foo;version=1");
    assert_eq!(foo.of_server(), "HELP");
    assert_eq!(foo.of_server(), "READY my_address=127.0.0.1:7");
    let said = foo.ask("CLOCK_STATUS");
    let want = match event["state"].as_str().unwrap() {
        "invalid" => "CLOCK_UNSTABLE cache=no;clock_error=invalid",
        "verified" => "CLOCK_STABLE cache=no;clock_resolution=verified",
        "no_ntp" => "CLOCK_STABLE cache=no;clock_resolution=no_ntp",
        other => panic!("{other}"),
    };
    assert_eq!(said, want, "what was logged is what is told");
    assert_eq!(count("chappe_clock_stable"), u64::from(want.starts_with("CLOCK_STABLE")));
    assert_eq!(foo.ask("CLUSTER_STATUS"), "./CLUSTER_UP neighbors_count=1");
    assert_eq!(foo.of_server(), "./CLUSTER_COMPLETE neighbors_count=1");
    foo.say("COMMANDS list=STATUS");
    foo.sync();
    let mut bar = Client::tcp(&daemon.communicator_tcp());
    bar.register("bar");
    let up = foo.of_server();
    assert!(up.starts_with("STATUS cache=no;server_name=hostA;service=bar;status=up;up_since="), "{up}");
    bar.say("PUBLIC_IP");
    assert!(bar.of_server().starts_with("INVALID command=PUBLIC_IP;"));
    drop(bar);
    let down = foo.of_server();
    assert!(down.starts_with("STATUS cache=no;down_since=") && down.ends_with("service=bar;status=down"), "{down}");
    // It is measured as soon as somebody wants to know it.
    let load = foo.ask("REGISTER_FOR_LOADAVG");
    assert!(load.starts_with("LOADAVG avg=") && load.contains(";my_address=127.0.0.1:7;timestamp="), "{load}");
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
    let said: u64 = load.rsplit('=').next().unwrap().split('.').next().unwrap().parse().unwrap();
    assert!(now.abs_diff(said) < 60, "{load}");
}

#[test]
fn its_programs_and_native_ones_meet() {
    let daemon = Daemon::start(&format!("{}{UNIX}{NATIVE}", server("")));
    let mut native = Station::unix(daemon.address("unix"));
    native.hello("native");
    native.join("sensor::b1");
    let mut foo = daemon.communicator().service("foo", "");
    foo.say("./SET name=sensor::b1;value=21.5");
    assert_eq!(native.hear(), b"21.5");
    native.say(Letter { name: "foo", verb: "SET", body: b"on", ..Letter::default() });
    let line = foo.line();
    assert!(line.ends_with("SET name=foo;value=on"), "{line}");
    // A question of a native station, answered by a program that knows `reply_to`.
    native.say(Letter { name: "foo", verb: "GET_KEY", ask: true, seq: 5, ..Letter::default() });
    let line = foo.line();
    let id = line.rsplit("reply_to=").next().unwrap();
    foo.say(&format!("communicatord/REPLY reply_to={id};value=42"));
    let answer = loop {
        let heard = native.next().expect("an answer");
        if let ServerToClient::Reply(answer) = heard.message() {
            let params: Vec<_> = answer.params.iter().collect();
            break format!("{} {params:?}", answer.seq);
        }
    };
    assert_eq!(answer, "5 [(\"value\", \"42\")]");
}

// ---- short-lived programs ----

#[test]
fn the_command_line_sends_to_whoever_has_announced_it() {
    let daemon = Daemon::start(&format!("{}{UNIX}{NATIVE}", server("")));
    let mut service = daemon.communicator().service("cluck", "ALARM");
    let native = format!("unix://{}", daemon.address("unix"));
    let sent = Command::new(CHAPPE).args(["--connect", &native, "send", "./ALARM", "text=on fire"]).output().unwrap();
    assert!(sent.status.success(), "{}", String::from_utf8_lossy(&sent.stderr));
    let line = service.line();
    assert!(line.starts_with("<hostA:_s") && line.ends_with(" ./ALARM text=on fire"), "{line}");
}

#[test]
fn who_ends_its_half_at_once_gets_its_answer() {
    let daemon = Daemon::start(&format!("{}{UNIX}{TCP}", server("")));
    for connect in [&(|| daemon.communicator()) as &dyn Fn() -> Client, &|| Client::tcp(&daemon.communicator_tcp())] {
        for _ in 0..20 {
            let mut client = connect();
            client.write(b"communicatord/HELP\n");
            client.end_writing();
            let heard = client.until_end();
            assert_eq!(heard.len(), 1, "{heard:?}");
            assert!(heard[0].starts_with("<hostA:communicatord COMMANDS list=ACCEPT,ALIVE,"), "{heard:?}");
        }
    }
}

#[test]
fn answers_that_do_not_fit_are_not_lost_with_half_a_connection() {
    let mut daemon = Daemon::start(&format!("{METRICS}{}{UNIX}{TCP}", server("")));
    let count = counters(&mut daemon);
    // More than any buffer of the system's, and less than an outbox.
    let questions = "HELP\n".repeat(8000);
    for connect in [&(|| daemon.communicator()) as &dyn Fn() -> Client, &|| Client::tcp(&daemon.communicator_tcp())] {
        let mut client = connect();
        client.write(questions.as_bytes());
        client.end_writing();
        let heard = client.until_end();
        let other: Vec<_> = heard.iter().filter(|line| !line.contains("COMMANDS list=")).collect();
        assert_eq!((heard.len(), other), (8000, vec![]));
    }
    assert_eq!(count("chappe_closed_slow_total"), 0);
    // Who does not read them either does not stay for ever.
    let mut daemon = Daemon::start(&format!("{METRICS}{}{UNIX}", server("stalled_after_ms = 500")));
    let count = counters(&mut daemon);
    let mut client = daemon.communicator();
    client.write(questions.as_bytes());
    client.end_writing();
    until("it is closed as slow", || count("chappe_closed_slow_total") == 1);
}

#[test]
fn what_was_said_before_an_end_counts_though_nobody_reads_the_answers() {
    let daemon = Daemon::start(&format!("{}{UNIX}{TCP}", server("")));
    let mut foo = daemon.communicator().service("foo", "");
    for connect in [&(|| daemon.communicator()) as &dyn Fn() -> Client, &|| Client::tcp(&daemon.communicator_tcp())] {
        let mut client = connect();
        let mut all = String::new();
        for n in 0..2000 {
            // each is answered as soon as it is heard, to nobody
            all.push_str(&format!("FROB\nfoo/LINE number={n}\n"));
        }
        client.write(all.as_bytes());
        drop(client);
        for n in 0..2000 {
            assert_eq!(foo.line(), format!("foo/LINE number={n}"));
        }
    }
    assert!(foo.has_nothing());
}

// ---- datagrams ----

#[test]
fn a_secret_opens_log_files_anew_and_nothing_else_does() {
    let secret = "signal_secret = \"sesame open\"";
    let text = format!("{METRICS}{}{UNIX}{UDP}", server(secret));
    let mut daemon = Daemon::start(&text);
    let count = counters(&mut daemon);
    let mut foo = daemon.communicator().service("foo", "LOG_ROTATE");
    let udp = daemon.signals();
    let log = daemon.folder.path().join("log");
    daemon.write_config(&format!("[log]\nlevel = \"trace\"\nfile = \"FOLDER/log\"\n{text}"));
    daemon.signal("HUP");
    until("the log goes to its file", || log.exists());
    // What stands there before it is moved away.
    let before = daemon.folder.path().join("log.1");
    std::fs::rename(&log, &before).unwrap();
    for wrong in ["", " secret_code=", " secret_code=sesame", " secret_code=\"sesame open \""] {
        udp.send(format!("./LOG_ROTATE{wrong}").as_bytes()).unwrap();
        udp.send(format!("communicatord/LOG_ROTATE{wrong}").as_bytes()).unwrap();
        udp.send(format!("STOP{wrong}").as_bytes()).unwrap();
    }
    udp.send(b"./LOG_ROTATE secret_code=sesame open").unwrap();
    assert_eq!(foo.line(), "./LOG_ROTATE", "services are not told the secret");
    assert_eq!(count("chappe_datagrams_dropped_total"), 12);
    assert!(!log.exists(), "none of these was for the daemon");
    udp.send(b"<hostB:ed_signal communicatord/LOG_ROTATE secret_code=sesame open").unwrap();
    until("it has another file", || log.exists());
    until("it says so", || std::fs::read_to_string(&log).unwrap().contains("log.reopened"));
    // Over a stream it is the right to manage that counts.
    std::fs::rename(&log, daemon.folder.path().join("log.2")).unwrap();
    foo.say("LOG_ROTATE");
    until("it has another file", || log.exists());
    assert!(foo.has_nothing());
    foo.say("HELP");
    assert!(foo.line().contains("COMMANDS list="));
    let all =
        ["log", "log.1", "log.2"].map(|f| std::fs::read_to_string(daemon.folder.path().join(f)).unwrap()).join("");
    assert!(!all.contains("sesame"), "the secret is in the log");
    assert!(all.contains("communicator.misheard") && all.contains("without the right secret"), "{all}");
    assert!(all.contains("communicator.log_rotate") && all.contains("\"name\":\"foo\""), "who asked: {all}");
}

#[test]
fn without_a_secret_datagrams_only_write() {
    let mut daemon = Daemon::start(&format!("{METRICS}{}{UNIX}{UDP}", server("allow_shutdown = true")));
    let count = counters(&mut daemon);
    let mut foo = daemon.communicator().service("foo", "LOG_ROTATE,NEWS");
    let udp = daemon.signals();
    for refused in ["./LOG_ROTATE", "foo/STOP", "communicatord/STOP", "communicatord/SHUTDOWN", "RELOAD"] {
        udp.send(refused.as_bytes()).unwrap();
    }
    // whoever looks for it finds why in the log
    let why = daemon.event("communicator.misheard").to_string();
    assert!(why.contains("no right to manage"), "{why}");
    udp.send(b"REGISTER service=bar;version=1").unwrap();
    udp.send(b"HELP").unwrap();
    udp.send(b"<hostA:foo foo/X").unwrap();
    udp.send(b"./NEWS a=1\n").unwrap();
    assert_eq!(foo.line(), "foo/X", "nobody is foo but foo");
    assert_eq!(foo.line(), "./NEWS a=1");
    assert!(foo.has_nothing());
    assert_eq!(count("chappe_requests_refused_total"), 5);
    assert_eq!(count("chappe_datagrams_dropped_total"), 1);
    assert!(count("chappe_datagrams_unanswered_total") >= 1);
    assert!(foo.ask("SERVICE_STATUS service=bar").contains("status=unknown"));
}

#[test]
fn a_datagram_is_whole_or_nothing() {
    let mut daemon = Daemon::start(&format!("{METRICS}{}{UNIX}{UDP}", server("")));
    let count = counters(&mut daemon);
    let mut foo = daemon.communicator().service("foo", "");
    let udp = daemon.signals();
    let longest = format!("foo/X a={}", "y".repeat(1024 - 8));
    udp.send(longest.as_bytes()).unwrap();
    udp.send(format!("{longest}y").as_bytes()).unwrap();
    udp.send(&vec![b'x'; 60_000]).unwrap();
    udp.send(b"foo/HALF a=\"").unwrap();
    udp.send(b"foo/ONE\nfoo/TWO\n").unwrap();
    udp.send(b"").unwrap();
    udp.send(b"foo/LAST").unwrap();
    assert_eq!(foo.line(), longest);
    let heard: Vec<String> = std::iter::from_fn(|| Some(foo.line()).filter(|line| line != "foo/LAST")).collect();
    assert!(heard.iter().all(|line| !line.contains("TWO")), "one datagram, one message: {heard:?}");
    assert_eq!(count("chappe_datagrams_too_long_total"), 2);
    // It never has more than one station.
    assert_eq!(count("chappe_connections"), 2);
}

#[test]
fn a_flood_of_forged_datagrams_costs_nobody_else() {
    let mut daemon = Daemon::start(&format!("{METRICS}{}{UNIX}{UDP}", server("signal_secret = \"sesame open\"")));
    let count = counters(&mut daemon);
    let mut foo = daemon.communicator().service("foo", "");
    let mut bar = daemon.communicator().service("bar", "");
    let target = daemon.address("cdu");
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let flood = {
        let stop = stop.clone();
        std::thread::spawn(move || {
            // each from another address, as forged ones are
            let sockets: Vec<_> = (0..32).map(|_| UdpSocket::bind("127.0.0.1:0").unwrap()).collect();
            let mut sent = 0u64;
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                for socket in &sockets {
                    sent += u64::from(socket.send_to(b"./LOG_ROTATE secret_code=guess", &target).is_ok());
                }
            }
            sent
        })
    };
    until("the flood comes in", || count("chappe_datagrams_dropped_total") > 1000);
    for n in 0..500 {
        bar.say(&format!("foo/N n={n}"));
        assert_eq!(foo.line(), format!("<hostA:bar foo/N n={n}"));
    }
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    assert!(flood.join().unwrap() > 1000);
    // The rest of it is dropped, too; who knows the secret is heard behind it.
    let udp = daemon.signals();
    until("who knows the secret is heard", || {
        udp.send(b"foo/RIGHT secret_code=sesame open").unwrap();
        let mut heard = false;
        while !foo.has_nothing() {
            heard |= foo.line() == "foo/RIGHT";
        }
        heard
    });
    assert_eq!(count("chappe_connections"), 3);
    let said = daemon.seen().iter().filter(|line| line["event"] == "communicator.misheard").count();
    assert!(said < 120, "one line a second: {said}");
}

// ---- limits ----

#[test]
fn a_line_has_a_megabyte_and_no_octet_more() {
    let authority = Authority::new();
    let mut daemon = Daemon::start(&format!("{METRICS}{}{UNIX}{}", server(""), tls(&authority)));
    let count = counters(&mut daemon);
    let mut foo = daemon.communicator().service("foo", "");
    let mut bar = Client::new(connect_to(&daemon, "cds", &client(&authority.root, &TLS13)).unwrap()).service("bar", "");
    let most = 1024 * 1024;
    let line = format!("foo/X a={}", "y".repeat(most - 9));
    bar.say(&line);
    assert_eq!(foo.line(), format!("<hostA:bar {line}"));
    foo.say(&line.replace("foo", "bar"));
    assert_eq!(bar.line(), format!("<hostA:foo {}", line.replace("foo", "bar")));
    let _ = bar.try_write(format!("{line}y\n").as_bytes());
    let last = bar.until_end();
    assert!(last.first().is_none_or(|why| why.ends_with("a line longer than the node takes")), "{last:?}");
    assert!(foo.has_nothing());
    // Nobody unknown gets as much memory.
    let mut unknown = daemon.communicator();
    unknown.write(format!("foo/X a={}\n", "y".repeat(4096 - 9)).as_bytes());
    assert!(foo.line().starts_with("foo/X a=yyy"));
    let _ = unknown.try_write(format!("foo/X a={}\n", "y".repeat(4096 - 8)).as_bytes());
    let last = unknown.until_end();
    assert!(last.first().is_none_or(|why| why.ends_with("a line longer than the node takes")), "{last:?}");
    assert!(foo.has_nothing());
    assert_eq!(count("chappe_closed_malformed_total"), 2);
}

#[test]
fn garbage_costs_its_own_line() {
    let mut daemon = Daemon::start(&format!("{METRICS}{}{UNIX}{TCP}", server("")));
    let count = counters(&mut daemon);
    let mut foo = daemon.communicator().service("foo", "");
    let mut odd = Client::tcp(&daemon.communicator_tcp());
    let lines: [&[u8]; 12] = [
        b"\n",
        b"\r\n",
        b" \t \n",
        b"\0\0\0\n",
        b"\xff\xfe\xfd\n",
        b"<\n",
        b"<a:b\n",
        b"foo/\n",
        b"X a=\"\n",
        b"{\n",
        b"{\"command\":1}\n",
        b"X a\n",
    ];
    for line in lines {
        odd.write(line);
    }
    odd.say("foo/GOOD");
    assert_eq!(foo.line(), "foo/GOOD");
    assert!(count("chappe_frames_malformed_total") > 4);
    odd.sync();
    let said = daemon.event("communicator.misheard");
    assert!(said["message"].as_str().unwrap().starts_with("what a station said was thrown away: "), "{said}");
    // Noise, also what looks like TLS.
    let mut seed = 0x1234_5678_9abc_def0u64;
    for begin in [&b""[..], b"\x16\x03\x01\x02\x00\x01", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"] {
        let mut noise = begin.to_vec();
        for _ in 0..8000 {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            noise.push(seed as u8);
        }
        let mut client = daemon.communicator();
        let _ = client.try_write(&noise);
        drop(client);
    }
    foo.sync();
    assert!(foo.ask("SERVICE_STATUS service=foo").contains("status=up"));
}

#[test]
fn a_thousand_clients_register_announce_and_vanish() {
    let mut daemon = Daemon::start(&format!("{METRICS}{}{UNIX}", server("")));
    let count = counters(&mut daemon);
    let used = |table: &str| count(&format!("chappe_used{{table=\"{table}\"}}"));
    let mut watcher = daemon.communicator().service("watcher", "STATUS");
    let before = ["stations", "names", "memberships"].map(|table| (table, used(table)));
    for round in 0..4 {
        let mut all: Vec<Client> = (0..250).map(|_| daemon.communicator()).collect();
        for (n, client) in all.iter_mut().enumerate() {
            client.say(&format!("REGISTER service=s{n};version=1"));
            client.say("COMMANDS list=HELP,QUITTING,READY,STOP,UNKNOWN,NEWS,STATUS");
        }
        for client in &mut all {
            client.sync();
        }
        watcher.say(&format!("./NEWS round={round}"));
        let news = format!("<hostA:watcher ./NEWS round={round}");
        for client in &mut all {
            while client.line() != news {}
        }
        drop(all);
        let mut down = HashSet::new();
        while down.len() < 250 {
            let line = watcher.line();
            if line.contains("status=down") {
                let service = line.split("service=").nth(1).unwrap().split(';').next().unwrap().to_owned();
                assert!(down.insert(service), "{line}: once for each");
            }
        }
    }
    for (table, rows) in before {
        assert_eq!(used(table), rows, "{table}");
    }
    assert!(watcher.has_nothing());
    assert_eq!(count("chappe_closed_lost_total"), 1000);
}

// ---- who may do what ----

#[test]
fn the_daemon_is_stopped_by_who_may_and_only_if_that_is_allowed() {
    let mut daemon = Daemon::start(&format!("{METRICS}{}{UNIX}{TCP}", server("")));
    let count = counters(&mut daemon);
    let mut manager = daemon.communicator();
    for command in ["STOP", "SHUTDOWN"] {
        let said = manager.ask(command);
        assert!(said.starts_with(&format!("INVALID command={command};message=")), "{said}");
    }
    assert_eq!(count("chappe_requests_refused_total"), 2);
    let text = format!("{METRICS}{}{UNIX}{TCP}", server("allow_shutdown = true"));
    daemon.write_config(&text);
    daemon.signal("HUP");
    daemon.event("config.reloaded");
    // Over TCP anybody on this machine comes in.
    let mut anybody = Client::tcp(&daemon.communicator_tcp());
    for command in ["STOP", "SHUTDOWN", "LOG_ROTATE", "RELOAD"] {
        let said = anybody.ask(command);
        assert!(said.contains("no right to manage"), "{said}");
    }
    let mut told = daemon.communicator().service("told", "DISCONNECTING");
    let mut quits = daemon.communicator().service("quits", "");
    manager.say("communicatord/STOP");
    assert_eq!(told.until_end(), ["<hostA:communicatord DISCONNECTING"]);
    assert!(quits.until_end().len() <= 1);
    let event = daemon.event("communicator.stop");
    assert!(event["station"].is_u64(), "{event}");
    assert!(daemon.wait().success());
}

#[test]
fn a_password_is_said_where_one_is_wanted() {
    let hashed = hash(b"foo", Cost { memory: 64, passes: 1 }).unwrap();
    let text = format!(
        "{METRICS}{}[[listeners]]\naddress = \"cd://127.0.0.1:0\"\nanonymous = []\n\
         [[users]]\nname = \"plain\"\ntoken = \"word of plain\"\n\
         [[users]]\nname = \"hashed\"\npassword_hash = \"{hashed}\"\nnames = [\"hashed\"]\n",
        server("")
    );
    let mut daemon = Daemon::start(&text);
    let count = counters(&mut daemon);
    let connect = || Client::tcp(&daemon.communicator_tcp());
    for (service, password) in [("plain", "word of plain"), ("hashed", "foo")] {
        let mut client = connect();
        let said = client.ask("LIST_SERVICES");
        assert!(said.contains("REGISTER with a password first"), "{said}");
        client.say(&format!("REGISTER service={service};version=1;password={password}"));
        // what is said behind it waits until that is known
        client.say("SERVICE_STATUS service=plain");
        assert_eq!(client.of_server(), "HELP");
        assert!(client.of_server().starts_with("READY "));
        assert!(client.of_server().starts_with("STATUS "));
    }
    for (service, password) in [("plain", "guess"), ("hashed", "guess"), ("nobody", "foo")] {
        let mut client = connect();
        client.say(&format!("REGISTER service={service};version=1;password={password}"));
        let heard = client.until_end();
        assert_eq!(heard.len(), 1, "{heard:?}");
        assert!(heard[0].contains("INVALID command=REGISTER;message=wrong password"), "{heard:?}");
    }
    assert_eq!(count("chappe_closed_bad_credentials_total"), 3);
    let log = format!("{:?}", daemon.seen());
    assert!(!log.contains("guess") && !log.contains("word of plain"));
}

// ---- declared services, and reading the configuration anew ----

#[test]
fn what_is_declared_is_so_again_after_a_crash() {
    let folder = tempfile::tempdir().unwrap();
    let services = folder.path().join("services");
    std::fs::create_dir(&services).unwrap();
    std::fs::write(services.join("filed.service"), "").unwrap();
    std::fs::write(services.join("not-a-name.service"), "").unwrap();
    let text =
        format!("{}{UNIX}", server("services = [\"named\"]")).replace("FOLDER/services", services.to_str().unwrap());
    for _ in 0..3 {
        let mut daemon = Daemon::start(&text);
        let note = daemon.event("communicator.note");
        assert!(note["message"].as_str().unwrap().contains("/not-a-name.service: "), "{note}");
        let mut foo = daemon.communicator();
        for service in ["filed", "named"] {
            foo.say(&format!("{service}/X transmission_report=failure"));
            assert_eq!(foo.of_server(), "TRANSMISSION_REPORT command=X;status=cached");
            let mut it = daemon.communicator();
            it.register(service);
            assert_eq!(it.line(), format!("{service}/X transmission_report=failure"));
        }
        foo.say("other/X transmission_report=failure");
        assert_eq!(foo.of_server(), "TRANSMISSION_REPORT command=X;status=failed");
        // The socket's file stays, and is no trouble.
        daemon.child.kill().unwrap();
        daemon.wait();
        assert!(Path::new(&daemon.communicator_path()).exists());
    }
}

#[test]
fn a_reload_declares_and_forgets_and_changes_what_can_change() {
    let text = |more: &str| format!("{METRICS}{}{UNIX}{UDP}", server(more));
    let mut daemon = Daemon::start(&text("services = [\"first\"]"));
    let count = counters(&mut daemon);
    let mut foo = daemon.communicator().service("foo", "NEWS");
    let status = |foo: &mut Client, service: &str| {
        foo.say(&format!("{service}/X transmission_report=failure"));
        foo.of_server().rsplit('=').next().unwrap().to_owned()
    };
    assert_eq!((status(&mut foo, "first").as_str(), status(&mut foo, "second").as_str()), ("cached", "failed"));
    let services = daemon.folder.path().join("services");
    std::fs::create_dir(&services).unwrap();
    std::fs::write(services.join("third.service"), "").unwrap();
    daemon.write_config(&text("services = [\"second\"]\necho = true\nsignal_secret = \"sesame open\""));
    daemon.signal("HUP");
    let reloaded = daemon.event("config.reloaded");
    assert_eq!(reloaded["needs_restart"], "", "{reloaded}");
    assert_eq!(daemon.event("service.forgotten")["name"], "first");
    assert_eq!(count("chappe_mail_forgotten_total"), 1);
    let now = ["first", "second", "third"].map(|service| status(&mut foo, service));
    assert_eq!(now, ["failed", "cached", "cached"]);
    foo.say("./NEWS");
    assert_eq!(foo.line(), "<hostA:foo ./NEWS", "it hears itself");
    // Datagrams may manage from now on, with the secret.
    let udp = daemon.signals();
    udp.send(b"foo/STOP secret_code=sesame open").unwrap();
    assert_eq!(foo.line(), "foo/STOP");
    daemon.write_config(&text("max_line = 1"));
    foo.say("communicatord/RELOAD");
    let asked = daemon.event("communicator.reload");
    assert_eq!(asked["name"], "foo", "{asked}");
    let refused = daemon.event("config.refused");
    assert!(refused["detail"].as_str().unwrap().contains("communicator.max_line"), "{refused}");
    assert_eq!(status(&mut foo, "third"), "cached", "everything stays as it is");
    // Whoever asks without end has one answered at a time.
    daemon.write_config(&text("form = \"json\""));
    for _ in 0..2000 {
        foo.say("RELOAD");
    }
    daemon.event("config.reloaded");
    foo.sync();
    let threads = std::fs::read_dir(format!("/proc/{}/task", daemon.pid())).unwrap().count();
    assert!(threads < 12, "{threads} threads");
    until("it speaks JSON", || {
        foo.say("SERVICE_STATUS service=foo");
        foo.line().starts_with('{')
    });
}

#[test]
fn a_slow_client_is_closed_and_nobody_else_waits() {
    let more = "max_line = 65536\noutbox = 1048576\nstalled_after_ms = 300";
    let mut daemon = Daemon::start(&format!("{METRICS}{}{UNIX}", server(more)));
    let count = counters(&mut daemon);
    let mut slow = daemon.communicator();
    slow.register("slow");
    let mut foo = daemon.communicator().service("foo", "");
    let mut bar = daemon.communicator().service("bar", "");
    let line = format!("slow/X a={}", "y".repeat(50_000));
    until("it is closed", || {
        foo.say(&line);
        bar.say("foo/PASSES");
        assert_eq!(foo.line(), "<hostA:bar foo/PASSES");
        count("chappe_closed_slow_total") == 1
    });
    // What it has got is whole.
    let heard = slow.until_end();
    let odd: Vec<_> = heard.iter().filter(|heard| !heard.ends_with(&line)).collect();
    assert_eq!(odd, ["<hostA:communicatord INVALID message=it did not read what it was sent for too long"]);
    daemon.communicator().register("slow");
}

#[test]
fn a_socket_in_use_is_not_taken_away() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cd");
    let _other = UnixListener::bind(&path).unwrap();
    let _client = UnixStream::connect(&path).unwrap();
    let failed = Daemon::start_in(folder, UNIX, |config| {
        let mut command = Command::new(CHAPPE);
        command.arg("serve").arg("--config").arg(config);
        command
    });
    let Err((status, text)) = failed else { panic!("it starts") };
    assert_eq!(status.code(), Some(1));
    assert!(text.contains("another program listens there"), "{text}");
}
