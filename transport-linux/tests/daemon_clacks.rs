//! The daemon as a server of Net::Clacks (`wire/clacks.md`): where it listens, who is let in
//! and may do what, and how its clients meet stations of other dialects.

mod support;

use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use chappe_core::dialect::messi::repr::{Letter, ServerToClient, Store, StoreOp};
use chappe_linux::password::{Cost, hash};
use support::clacks::{Client, login};
use support::tls::{Authority, TLS12, TLS13, client, connect_to};
use support::{CHAPPE, Daemon, METRICS, PATIENCE, Station, counters, write_config};

/// Four users as in the examples of the protocol.
const USERS: &str = "[[users]]\nname = \"main\"\ntoken = \"unsafepassword\"\nrights = [\"read\", \"write\", \"manage\"]\n\
    [[users]]\nname = \"rw\"\ntoken = \"read and write\"\n\
    [[users]]\nname = \"ro\"\ntoken = \"read only\"\nrights = [\"read\"]\n\
    [[users]]\nname = \"wo\"\ntoken = \"write only\"\nrights = [\"write\"]\n\
    [[users]]\nname = \"few\"\ntoken = \"for a few names\"\nnames = [\"few::*\"]\n";

const UNIX: &str = "[[listeners]]\naddress = \"clacks://FOLDER/clacks\"\n";
const TCP: &str = "[[listeners]]\naddress = \"clacks://127.0.0.1:0\"\n";
const NATIVE: &str = "[[listeners]]\naddress = \"unix://FOLDER/native\"\n";

fn native(daemon: &Daemon) -> Station {
    Station::unix(daemon.address("unix"))
}

fn tls(authority: &Authority) -> String {
    format!("[[listeners]]\naddress = \"clackss://127.0.0.1:0\"\n{}\n", authority.server().toml(""))
}

// ---- who is let in ----

#[test]
fn the_right_token_lets_in_and_a_wrong_one_is_told_so_on_every_way() {
    let authority = Authority::new();
    let mut daemon =
        Daemon::start(&format!("[log]\nlevel = \"trace\"\n{METRICS}{USERS}{UNIX}{TCP}{}", tls(&authority)));
    let count = counters(&mut daemon);
    let mut wrong = 0;
    let ways: [&dyn Fn() -> Client; 4] = [
        &|| Client::unix(daemon.clacks_path()),
        &|| Client::tcp(&daemon.clacks_tcp()),
        &|| Client::mute(connect_to(&daemon, "clackss", &client(&authority.root, &TLS12)).unwrap()),
        &|| Client::mute(connect_to(&daemon, "clackss", &client(&authority.root, &TLS13)).unwrap()),
    ];
    for connect in ways {
        let mut right = connect().greeted();
        right.login("main", "unsafepassword");
        assert_eq!(right.ask("RETRIEVE nothing"), "NOTRETRIEVED nothing");
        for (user, password) in [("main", "guess"), ("nobody", "unsafepassword"), ("main", ""), ("", "")] {
            let mut client = connect().greeted();
            client.write(&login(user, password));
            client.say("STORE intruder=1");
            assert_eq!(client.until_end(), ["OVERHEAD F Login failed!"], "{user}");
            wrong += 1;
        }
        // Before anybody has logged in nothing is heard, and nothing kept for later.
        let mut early = connect().greeted();
        early.say("STORE early=1");
        early.say("FLUSH x");
        early.say("NONSENSE");
        early.say("OVERHEAD A");
        early.login("main", "unsafepassword");
        assert_eq!(early.ask("RETRIEVE early"), "NOTRETRIEVED early");
        assert_eq!(early.ask("RETRIEVE intruder"), "NOTRETRIEVED intruder");
        // A wrong token ends a session that is going on, too.
        early.write(&login("main", "guess"));
        assert_eq!(early.until_end(), ["OVERHEAD F Login failed!"]);
        wrong += 1;
    }
    assert_eq!(count("chappe_closed_bad_credentials_total"), wrong);
    let closed = daemon.event("connection.closed");
    assert_eq!((&closed["reason"], &closed["dialect"]), (&"bad_credentials".into(), &"clacks".into()), "{closed}");
    let log = format!("{:?}", daemon.seen());
    for secret in ["unsafepassword", "guess", "dW5zYWZl", "Z3Vlc3M="] {
        assert!(!log.contains(secret), "{secret} is in the log");
    }
}

#[test]
fn openssl_lets_people_in_and_needs_no_close_notify() {
    let authority = Authority::new();
    let mut daemon = Daemon::start(&format!("{METRICS}{USERS}{}", tls(&authority)));
    let count = counters(&mut daemon);
    for version in ["-tls1_2", "-tls1_3"] {
        let mut child = Command::new("openssl")
            .args(["s_client", "-quiet", "-connect", &daemon.address("clackss"), version])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("openssl");
        let mut stdin = child.stdin.take().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(|l| l.unwrap());
        std::io::Write::write_all(&mut stdin, &login("main", "unsafepassword")).unwrap();
        std::io::Write::write_all(&mut stdin, b"STORE by=hand\nRETRIEVE by\n").unwrap();
        let heard: Vec<String> = lines.by_ref().take(4).collect();
        assert_eq!(heard[2..], ["OVERHEAD O Welcome!", "RETRIEVED by=hand"], "{version}");
        // It is gone without a word of TLS.
        child.kill().unwrap();
        child.wait().unwrap();
    }
    support::until("both are gone", || count("chappe_closed_lost_total") == 2);
    assert_eq!(count("chappe_tls_broken_total"), 0, "a bare end is ordinary");
}

#[test]
fn what_is_said_behind_the_login_is_carried_out_in_order() {
    let authority = Authority::new();
    let cost = Cost { memory: 64, passes: 1 };
    let hashed = hash(b"foo", cost).unwrap();
    let users = format!("{USERS}[[users]]\nname = \"anna\"\npassword_hash = \"{hashed}\"\n");
    let mut daemon = Daemon::start(&format!("{METRICS}{users}{UNIX}{}", tls(&authority)));
    let count = counters(&mut daemon);
    for (user, password) in [("main", "unsafepassword"), ("anna", "foo")] {
        let mut all = b"CLACKS pipelined\r\n".to_vec();
        all.extend(login(user, password));
        for n in 0..200 {
            all.extend(format!("STORE p{n}={user} {n}\r\n").bytes());
        }
        all.extend(b"RETRIEVE p199\r\nFLUSH done\r\nQUIT\r\n");
        for piece in [usize::MAX, 100, 7] {
            for is_tls in [false, true] {
                let mut it = match is_tls {
                    true => Client::mute(connect_to(&daemon, "clackss", &client(&authority.root, &TLS13)).unwrap()),
                    false => Client::unix(daemon.clacks_path()),
                };
                for part in all.chunks(piece) {
                    it.write(part);
                }
                let heard = it.until_end();
                let retrieved = format!("RETRIEVED p199={user} 199");
                assert_eq!(heard[2..], ["OVERHEAD O Welcome!", &retrieved, "FLUSHED done"], "{user}, {piece}");
            }
        }
    }
    assert!(count("chappe_passwords_right_total") + count("chappe_passwords_remembered_total") == 6);
    let mut wrong = Client::unix(daemon.clacks_path()).greeted();
    wrong.write(&[login("anna", "bar"), b"STORE p1=intruder\r\n".to_vec()].concat());
    assert_eq!(wrong.until_end(), ["OVERHEAD F Login failed!"]);
    assert_eq!(daemon.clacks("ro", "read only").ask("RETRIEVE p1"), "RETRIEVED p1=anna 1");
    assert_eq!(count("chappe_passwords_wrong_total"), 1);
    assert_eq!(daemon.event("sign_in.wrong")["user"], "anna");
}

#[test]
fn wrong_tokens_are_logged_too_and_who_is_closed_is_named() {
    let users = "[[users]]\nname='boss'\ntoken='token-of-boss'\nrights=['read','write','manage']\n";
    let mut daemon = Daemon::start(&format!("{users}{UNIX}"));
    let mut wrong = Client::unix(daemon.clacks_path()).greeted();
    wrong.write(&login("boss", "something else"));
    assert_eq!(wrong.until_end(), ["OVERHEAD F Login failed!"]);
    let event = daemon.event("sign_in.wrong");
    assert_eq!(event["user"], "boss");
    assert!(event["from"].as_str().unwrap().contains("of this machine"), "{event}");
    std::thread::sleep(Duration::from_millis(1100));
    let mut odd = Client::unix(daemon.clacks_path()).greeted();
    odd.write(&login("hunter22", "token-of-boss"));
    assert_eq!(odd.until_end(), ["OVERHEAD F Login failed!"]);
    let event = daemon.event("sign_in.wrong");
    assert_eq!(event["user"], "(unknown)", "a password may have been typed as the name");
    let mut boss = daemon.clacks("boss", "token-of-boss");
    boss.say("OVERHEAD C 1");
    loop {
        let closed = daemon.event("connection.closed");
        if closed["reason"] == "dismissed" {
            assert_eq!(closed["user"], "boss");
            break;
        }
    }
}

#[test]
fn who_does_not_log_in_in_time_is_closed_without_a_line() {
    let mut daemon = Daemon::start(&format!("[clacks]\nlogin_within_ms = 300\n{USERS}{UNIX}"));
    let begin = Instant::now();
    let mut idle = Client::unix(daemon.clacks_path()).greeted();
    idle.say("CLACKS slow");
    assert_eq!(idle.until_end(), [""; 0]);
    assert!(begin.elapsed() >= Duration::from_millis(290));
    assert_eq!(daemon.event("connection.closed")["reason"], "not_introduced");
}

// ---- who may do what ----

#[test]
fn rights_are_those_of_the_user() {
    let daemon = Daemon::start(&format!("{USERS}{UNIX}"));
    let denied = "OVERHEAD E permission_denied";
    let mut ro = daemon.clacks("ro", "read only");
    for line in ["STORE x=1", "SET x=1", "NOTIFY x", "SETANDSTORE x=1", "REMOVE x", "INCREMENT x", "CLEARCACHE"] {
        assert_eq!(ro.ask(line), denied, "{line}");
    }
    for line in ["CLIENTLIST", "MONITOR", "CLIENTDISCONNECT x", "OVERHEAD C 1", "OVERHEAD S 1", "OVERHEAD I 1"] {
        assert_eq!(ro.ask(line), denied, "{line}");
    }
    let mut wo = daemon.clacks("wo", "write only");
    wo.say("STORE x=2");
    for line in ["RETRIEVE x", "LISTEN x", "UNLISTEN x", "KEYLIST"] {
        assert_eq!(wo.ask(line), denied, "{line}");
    }
    assert_eq!(ro.ask("RETRIEVE x"), "RETRIEVED x=2");
    // A user of certain names only.
    let mut few = daemon.clacks("few", "for a few names");
    few.say("STORE few::a=1");
    assert_eq!(few.ask("RETRIEVE few::a"), "RETRIEVED few::a=1");
    for line in ["STORE x=3", "RETRIEVE x", "LISTEN x", "SET x=3"] {
        assert_eq!(few.ask(line), denied, "{line}");
    }
    assert_eq!(few.keys(), ["few::a"]);
    assert_eq!(ro.keys(), ["few::a", "x"]);
    // Only who may be a linked server becomes one; and a manager may not end the daemon unless
    // the configuration says so.
    let mut main = daemon.clacks("main", "unsafepassword");
    assert_eq!(main.ask("OVERHEAD I 1"), denied);
    assert_eq!(main.ask("OVERHEAD S 1"), denied);
    main.say("CLIENTLIST");
    assert_eq!(main.line(), "CLIENTLISTSTART");
}

#[test]
fn without_users_the_rights_are_those_of_the_listener() {
    let config =
        |rights: &str| format!("[[listeners]]\naddress = \"clacks://FOLDER/clacks\"\nanonymous = [{rights}]\n");
    let daemon = Daemon::start(&config("\"read\""));
    let mut anybody = daemon.clacks("whoever", "whatever");
    assert_eq!(anybody.ask("STORE x=1"), "OVERHEAD E permission_denied");
    assert_eq!(anybody.ask("RETRIEVE x"), "NOTRETRIEVED x");
    // With users, after a reload, whoever comes has to be one.
    daemon.write_config(&format!("{USERS}{}", config("\"read\"")));
    let mut daemon = daemon;
    daemon.signal("HUP");
    daemon.event("config.reloaded");
    let mut nobody = Client::unix(daemon.clacks_path()).greeted();
    nobody.write(&login("whoever", "whatever"));
    assert_eq!(nobody.until_end(), ["OVERHEAD F Login failed!"]);
    let mut rw = daemon.clacks("rw", "read and write");
    rw.say("STORE x=1");
    assert_eq!(anybody.ask("RETRIEVE x"), "RETRIEVED x=1", "who was in stays so");
    // Without any rights for strangers there is no way in.
    let closed = Daemon::start(&config(""));
    let mut nobody = Client::unix(closed.clacks_path()).greeted();
    nobody.write(&login("whoever", "whatever"));
    assert_eq!(nobody.until_end(), ["OVERHEAD F Login failed!"]);
}

#[test]
fn a_listener_that_others_reach_needs_users() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let tls = authority.server().toml("");
    let check = |config: &str| {
        let file = write_config(folder.path(), config);
        let output = Command::new(CHAPPE).arg("check-config").arg(&file).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    for (address, more) in [("clacks://0.0.0.0:49887", ""), ("clackss://0.0.0.0", &*tls)] {
        let (status, text) = check(&format!("[[listeners]]\naddress = \"{address}\"\n{more}\n"));
        assert_eq!(status, Some(78));
        assert!(text.contains("chappe.toml:2:11: listeners[0].address: ") && text.contains("[[users]]"), "{text}");
        let (status, text) = check(&format!("{USERS}[[listeners]]\naddress = \"{address}\"\n{more}\n"));
        assert_eq!(status, Some(0), "{text}");
    }
    let (status, text) = check("[[listeners]]\naddress = \"clackss://127.0.0.1\"\n");
    assert_eq!(status, Some(78));
    assert!(text.contains("a certificate is missing"), "{text}");
    let (_, text) = check(&format!("[clacks]\nping_within_ms = 60000\n{UNIX}"));
    assert!(text.contains("warning: clacks.ping_within_ms: 60000 is below 120000"), "{text}");
}

#[test]
fn somebody_else_may_log_in_on_the_same_connection() {
    let hashed = hash(b"foo", Cost { memory: 64, passes: 1 }).unwrap();
    let users = format!("{USERS}[[users]]\nname = \"anna\"\npassword_hash = \"{hashed}\"\nrights = [\"read\"]\n");
    let daemon = Daemon::start(&format!("{users}{UNIX}"));
    let mut it = daemon.clacks("wo", "write only");
    let mut all = b"STORE x=1\r\nRETRIEVE x\r\n".to_vec();
    all.extend(login("anna", "foo"));
    all.extend(b"RETRIEVE x\r\nSTORE x=2\r\n");
    all.extend(login("rw", "read and write"));
    all.extend(b"STORE x=3\r\nRETRIEVE x\r\n");
    it.write(&all);
    let denied = "OVERHEAD E permission_denied";
    for expected in [denied, "OVERHEAD O Welcome!", "RETRIEVED x=1", denied, "OVERHEAD O Welcome!", "RETRIEVED x=3"] {
        assert_eq!(it.line(), expected);
    }
    it.write(&login("anna", "bar"));
    assert_eq!(it.until_end(), ["OVERHEAD F Login failed!"]);
}

#[test]
fn a_reload_changes_what_can_change_and_names_what_cannot() {
    let config = |max_line: u32, ping: u32| {
        format!(
            "[clacks]\nmax_line = {max_line}\noutbox = 50000000\nping_within_ms = {ping}\n\
             link_user = \"main\"\nlink_password_file = \"FOLDER/secret\"\n{USERS}{UNIX}"
        )
    };
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("secret"), "unsafepassword\n").unwrap();
    let start = |config: &std::path::Path| {
        let mut command = Command::new(CHAPPE);
        command.arg("serve").arg("--config").arg(config);
        command
    };
    let mut daemon =
        Daemon::start_in(folder, &config(16_777_216, 180_000), start).unwrap_or_else(|(_, text)| panic!("{text}"));
    let mut it = daemon.clacks("main", "unsafepassword");
    let long = "x".repeat(20_000);
    it.say(&format!("STORE long={long}"));
    assert_eq!(it.ask("RETRIEVE long"), format!("RETRIEVED long={long}"));
    daemon.write_config(&config(4096, 300));
    daemon.signal("HUP");
    assert_eq!(daemon.event("config.reloaded")["needs_restart"], "");
    it.write(b"PING\r\n");
    it.say("STORE short=1");
    assert_eq!(it.ask("RETRIEVE short"), "RETRIEVED short=1");
    assert_eq!(it.until_end(), ["", "TIMEOUT"], "the time counts for who is there, too");
    let mut it = daemon.clacks("main", "unsafepassword");
    it.say(&format!("STORE long={long}x"));
    assert!(it.until_end()[0].starts_with("OVERHEAD E "));
    daemon.write_config(&config(20_000_000, 180_000));
    daemon.signal("HUP");
    assert_eq!(daemon.event("config.reloaded")["needs_restart"], "clacks.max_line");
    // What is wrong changes nothing, and is named.
    daemon.write_config(&config(1, 1));
    daemon.signal("HUP");
    let refused = daemon.event("config.refused")["detail"].as_str().unwrap().to_owned();
    assert!(refused.contains("clacks.max_line"), "{refused}");
    assert_eq!(daemon.clacks("main", "unsafepassword").ask("RETRIEVE short"), "RETRIEVED short=1");
}

#[test]
fn systemd_may_open_the_socket() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("clacks");
    let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let daemon = Daemon::start_in(folder, UNIX, |config| support::activated(listener.into(), config))
        .unwrap_or_else(|(status, text)| panic!("{status}: {text}"));
    assert_eq!(daemon.addresses("clacks"), [path.to_str().unwrap()]);
    daemon.clacks("any", "one").sync();
}

// ---- with stations of other dialects ----

#[test]
fn signals_and_values_cross_between_clacks_and_the_native_dialect() {
    let daemon = Daemon::start(&format!("{UNIX}{NATIVE}"));
    let mut clacks = daemon.clacks("any", "one");
    let mut station = native(&daemon);
    station.hello("station");
    station.join("temp");
    clacks.listen("temp");
    clacks.say("SET temp=21.5");
    assert_eq!(station.hear(), b"21.5");
    clacks.say("NOTIFY temp");
    let heard = station.next().unwrap();
    let ServerToClient::Message(letter) = heard.message() else { panic!("{:?}", heard.message()) };
    assert_eq!((letter.name, letter.verb), ("temp", "NOTIFY"));
    station.send("temp", b"22");
    assert_eq!(clacks.line(), "SET temp=22");
    station.say(Letter { name: "temp", verb: "NOTIFY", ..Letter::default() });
    assert_eq!(clacks.line(), "NOTIFY temp");
    // Values are the same ones.
    clacks.say("STORE shared=from clacks");
    clacks.sync();
    station.say(Store { seq: 5, op: StoreOp::Get, name: "shared", ..Store::default() });
    let heard = station.next().unwrap();
    assert!(format!("{:?}", heard.message()).contains("shared"), "{:?}", heard.message());
    station.say(Store { seq: 6, op: StoreOp::Set, name: "native", value: b"7", ..Store::default() });
    support::until("it is stored", || clacks.ask("RETRIEVE native") == "RETRIEVED native=7");
    clacks.say("INCREMENT native");
    assert_eq!(clacks.ask("RETRIEVE native"), "RETRIEVED native=8");
}

#[test]
fn the_command_line_sees_what_clacks_says_and_the_other_way() {
    let daemon = Daemon::start(&format!("{UNIX}{NATIVE}"));
    let to = format!("unix://{}", daemon.address("unix"));
    let chappe = |args: &[&str]| {
        let output = Command::new(CHAPPE).args(args).args(["--connect", &to]).stdin(Stdio::null()).output().unwrap();
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let mut clacks = daemon.clacks("any", "one");
    clacks.say("CLACKS heater control");
    clacks.say("STORE room::temp=21.5");
    clacks.listen("door");
    assert_eq!(chappe(&["get", "room::temp"]).trim_end(), "21.5");
    chappe(&["set", "room::wanted", "23"]);
    assert_eq!(clacks.ask("RETRIEVE room::wanted"), "RETRIEVED room::wanted=23");
    assert_eq!(clacks.keys(), ["room::temp", "room::wanted"]);
    chappe(&["send", "door", "--body", "open"]);
    assert_eq!(clacks.line(), "SET door=open");
    assert!(chappe(&["ls", "stations"]).contains("heater control"));
    let mut listen = Command::new(CHAPPE)
        .args(["listen", "bell", "--count", "1", "--connect", &to])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    support::until("it listens", || chappe(&["ls", "names"]).contains("bell"));
    clacks.say("SET bell=ding");
    support::wait(&mut listen);
    let mut heard = String::new();
    listen.stdout.take().unwrap().read_to_string(&mut heard).unwrap();
    assert!(heard.contains("bell") && heard.contains("ding"), "{heard}");
    let status = chappe(&["status"]);
    for row in ["clacks_max_line", "clacks_outbox", "clacks_links", "clacks_monitors"] {
        assert!(status.contains(row), "no {row} in {status}");
    }
}

#[test]
fn the_list_of_clients_shows_addresses_and_stations_of_all_dialects() {
    let authority = Authority::new();
    let config = tls(&authority);
    let daemon = Daemon::start(&format!("{USERS}{UNIX}{TCP}{config}{NATIVE}"));
    let mut main = daemon.clacks("main", "unsafepassword");
    let tcp = Client::tcp(&daemon.clacks_tcp()).greeted();
    let support::Stream::Tcp(stream) = &tcp.stream else { unreachable!() };
    let here = stream.local_addr().unwrap();
    let tls = Client::mute(connect_to(&daemon, "clackss", &client(&authority.root, &TLS13)).unwrap()).greeted();
    let support::Stream::Tls(stream) = &tls.stream else { unreachable!() };
    let there = stream.sock.local_addr().unwrap();
    let mut station = native(&daemon);
    station.hello("station");
    main.say("CLIENTLIST");
    let mut rows = Vec::new();
    assert_eq!(main.line(), "CLIENTLISTSTART");
    loop {
        match main.line() {
            end if end == "CLIENTLISTEND" => break,
            row => rows.push(row),
        }
    }
    assert_eq!(rows.len(), 4, "{rows:#?}");
    for prefix in [format!("CLIENT CID={here}:"), format!("CLIENT CID={there}:"), "CLIENT CID=unixdomainsocket:".into()]
    {
        assert_eq!(rows.iter().filter(|row| row.starts_with(&prefix)).count(), 1, "{prefix} {rows:#?}");
    }
    assert_eq!(rows.iter().filter(|row| row.contains("CLIENTINFO=station;")).count(), 1, "{rows:#?}");
    // And one of them is ended by its id.
    let id = rows.iter().find(|row| row.contains(&format!("CID={here}:"))).unwrap();
    let id = id.strip_prefix("CLIENT CID=").unwrap().split(';').next().unwrap();
    main.say(&format!("CLIENTDISCONNECT {id}"));
    let mut tcp = tcp;
    assert_eq!(tcp.until_end(), ["", "QUIT"]);
}

// ---- linked servers ----

#[test]
fn a_server_links_itself_to_the_daemon_and_both_know_all() {
    let authority = Authority::new();
    let link = "[[users]]\nname = \"link\"\ntoken = \"of two servers\"\nrights = [\"read\", \"write\", \"manage\", \"link\"]\n";
    let config = format!(
        "[clacks]\nlink_user = \"link\"\nlink_password_file = \"FOLDER/secret\"\nlink_ping_within_ms = 1500\n\
         {USERS}{link}{UNIX}{NATIVE}{}",
        tls(&authority)
    );
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("secret"), "of two servers\n").unwrap();
    let start = |config: &std::path::Path| {
        let mut command = Command::new(CHAPPE);
        command.arg("serve").arg("--config").arg(config);
        command
    };
    let mut daemon = Daemon::start_in(folder, &config, start).unwrap_or_else(|(_, text)| panic!("{text}"));
    let mut main = daemon.clacks("main", "unsafepassword");
    for n in 0..3000 {
        main.say(&format!("STORE k{n:04}={n}"));
    }
    main.say("REMOVE k0001");
    main.sync();
    let mut station = native(&daemon);
    station.hello("station");
    station.join("both");
    // What a slave says is said without waiting; what comes is the whole store, in one piece.
    let mut slave = Client::mute(connect_to(&daemon, "clackss", &client(&authority.root, &TLS13)).unwrap());
    slave.write(b"CLACKS PageCamel 36 in interclacks client mode\r\n");
    slave.write(&login("link", "of two servers"));
    slave.say("OVERHEAD I 1");
    let mut slave = slave.greeted();
    assert_eq!(slave.line(), "OVERHEAD O Welcome!");
    // what is between is free: where all links lead up to, for servers that want to know
    let greeting = slave.line();
    assert!(greeting.starts_with("CLACKS PageCamel 36 (root "), "{greeting}");
    assert!(greeting.ends_with(") in interclacks master mode"), "{greeting}");
    assert_eq!(slave.line(), "OVERHEAD M Authentication required");
    assert_eq!(slave.line(), String::from_utf8(login("link", "of two servers")).unwrap().trim_end());
    assert_eq!(slave.line(), "OVERHEAD L 1");
    assert!(slave.line().starts_with("OVERHEAD T "));
    for n in 0..3000 {
        let line = slave.line();
        let end = if n == 1 { " 0 D k0001=REMOVED".to_owned() } else { format!(" U k{n:04}={n}") };
        assert!(line.starts_with("KEYSYNC ") && line.ends_with(&end), "{n}: {line}");
    }
    assert_eq!((slave.line().as_str(), slave.line().as_str()), ("OVERHEAD L 0", "PING"));
    slave.say("OVERHEAD O Welcome!");
    // Both ways from here on, whatever is spoken.
    slave.say("KEYSYNC 4000000000 4000000000 U k0002=newer");
    slave.say("SET both=from there");
    assert_eq!(station.hear(), b"from there");
    assert_eq!(main.ask("RETRIEVE k0002"), "RETRIEVED k0002=newer");
    main.say("SETANDSTORE both=from here");
    assert_eq!(slave.line(), "SETANDSTORE both=from here");
    assert_eq!(station.hear(), b"from here");
    station.send("both", b"from a station");
    assert_eq!(slave.line(), "SET both=from a station");
    let output = Command::new(CHAPPE)
        .args(["--connect", &format!("unix://{}", daemon.address("unix")), "--json", "status"])
        .output()
        .unwrap();
    let status: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(status["status"]["clacks_links"], 1, "{status}");
    // It pings every third of the time, and wants to be pinged.
    let begin = Instant::now();
    assert_eq!(slave.line(), "PING");
    assert!(begin.elapsed() < Duration::from_millis(800));
    let lines = slave.until_end();
    assert_eq!(lines[lines.len() - 2..], ["", "TIMEOUT"]);
    assert_eq!(daemon.event("connection.closed")["reason"], "silent");
    // Who has the right is no link for that: a daemon has to know who it is on one.
    let daemon = Daemon::start(&format!("{link}{UNIX}"));
    let answer = daemon.clacks("link", "of two servers").ask("OVERHEAD I 1");
    assert!(answer.starts_with("OVERHEAD E "), "{answer}");
}

// ---- without a word of configuration ----

#[test]
fn without_configuration_there_is_a_socket_and_a_hint_that_works() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = Command::new(CHAPPE)
        .arg("serve")
        .args(["--listen", &format!("clacks://{}/clacks.sock", folder.path().display())])
        .env_remove("CHAPPE_CONFIG")
        .env_remove("JOURNAL_STREAM")
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let path = folder.path().join("clacks.sock");
    let mut text = String::new();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    while !text.contains("Ctrl-C") {
        text.push_str(&lines.next().expect("the greeting ends with how to end it").unwrap());
        text.push('\n');
    }
    let shown = format!("| nc -U {}\n", path.display());
    let line = text.lines().find(|l| l.contains("nc -U")).unwrap_or_else(|| panic!("no {shown} in {text}"));
    assert!(text.contains(&shown), "{text}");
    // What it says to type is what is sent here.
    let said = line.split('\'').nth(1).unwrap().replace("\\n", "\n");
    let mut listener = Client::unix(&path).greeted();
    listener.login("any", "one");
    listener.listen("hello::world");
    let mut by_hand = Client::unix(&path);
    by_hand.write(said.as_bytes());
    assert_eq!(by_hand.until_end()[2..], ["OVERHEAD O Welcome!"]);
    assert_eq!(listener.line(), "SET hello::world=good morning");
    support::signal(child.id(), "TERM");
    assert_eq!(listener.until_end(), ["", "QUIT"]);
    assert!(support::wait(&mut child).success());
    assert!(!path.exists());
}

#[test]
fn the_usual_place_is_taken_by_default() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::start_in(folder, "listeners = [{ address = \"clacks://auto\" }]", |config| {
        let mut command = Command::new(CHAPPE);
        command.arg("serve").arg("--config").arg(config).env("XDG_RUNTIME_DIR", config.parent().unwrap());
        command
    })
    .unwrap_or_else(|(status, text)| panic!("{status}: {text}"));
    let path = daemon.clacks_path();
    assert!(path.ends_with("clacks.sock"), "{path}");
    let mut any = daemon.clacks("any", "one");
    any.sync();
    assert!(any.next_within(Duration::from_millis(50)).is_none() && PATIENCE > Duration::ZERO);
}
