//! Signals: drain, reload, and being killed.

mod support;

use std::process::Command;
use std::time::{Duration, Instant};

use chappe_core::dialect::messi::repr::{Code, Hello, Letter};
use support::{CHAPPE, Daemon, Station, until};

#[test]
fn sigterm_delivers_what_waits_says_goodbye_and_leaves() {
    let mut daemon = Daemon::start("");
    let mut sender = daemon.station("sender");
    let mut reader = daemon.station("reader");
    let address = daemon.address("tcp");
    reader.join("news");
    for n in 0..100u8 {
        sender.send("news", &[n]);
    }
    assert!(sender.is_alive()); // all were taken
    daemon.signal("TERM");
    for n in 0..100u8 {
        assert_eq!(reader.hear(), [n]);
    }
    assert_eq!(reader.closing(), Some(Code::Stopping));
    assert_eq!(sender.closing(), Some(Code::Stopping));
    assert!(daemon.wait().success());
    assert!(std::net::TcpStream::connect(address).is_err());
    assert_eq!(daemon.event("daemon.stopped")["connections_cut"], 0);
}

#[test]
fn who_does_not_take_its_last_words_does_not_hold_up_the_end() {
    let mut daemon = Daemon::start("[limits]\ndrain_ms = 300\nlinger_ms = 60000\nslow_after_ms = 60000\n");
    let mut stuck = daemon.station("stuck");
    stuck.join("flood");
    let mut sender = daemon.station("sender");
    for _ in 0..2000 {
        sender.send("flood", &[7; 4000]);
    }
    assert!(sender.is_alive());
    let begin = Instant::now();
    daemon.signal("INT");
    assert_eq!(sender.closing(), Some(Code::Stopping));
    assert!(daemon.wait().success());
    let took = begin.elapsed();
    assert!(took >= Duration::from_millis(290) && took < Duration::from_secs(3), "{took:?}");
    assert_eq!(daemon.event("daemon.stopped")["connections_cut"], 1);
}

#[test]
fn a_second_sigterm_leaves_at_once() {
    let mut daemon = Daemon::start("[limits]\ndrain_ms = 60000\nlinger_ms = 60000\nslow_after_ms = 60000\n");
    let mut stuck = daemon.station("stuck");
    stuck.join("flood");
    let mut sender = daemon.station("sender");
    for _ in 0..2000 {
        sender.send("flood", &[7; 4000]);
    }
    assert!(sender.is_alive());
    daemon.signal("TERM");
    daemon.event("daemon.stopping");
    daemon.signal("TERM");
    assert!(daemon.wait().success());
}

fn user(name: &str, token: &str) -> String {
    format!("[[users]]\nname = \"{name}\"\ntoken = \"{token}\"\n")
}

fn hello<'h>(user: &'h str, token: &'h str) -> Hello<'h> {
    Hello { seq: 1, user, token: token.as_bytes(), ..Hello::default() }
}

#[test]
fn sighup_takes_the_new_configuration_and_disturbs_nobody() {
    let mut daemon = Daemon::start(&user("anna", "sesame-open"));
    let mut anna = daemon.connect();
    anna.hello_as(hello("anna", "sesame-open")).unwrap();
    assert_eq!(daemon.connect().hello_as(hello("berta", "abracadabra")), Err(Code::BadCredentials));

    daemon.write_config(&format!("[limits]\nhello_within_ms = 200\n{}", user("berta", "abracadabra")));
    daemon.signal("HUP");
    let line = daemon.event("config.reloaded");
    assert_eq!((&line["users"], &line["needs_restart"]), (&1.into(), &"".into()));
    assert!(anna.is_alive());
    daemon.connect().hello_as(hello("berta", "abracadabra")).unwrap();
    assert_eq!(daemon.connect().hello_as(hello("anna", "sesame-open")), Err(Code::BadCredentials));
    let begin = Instant::now();
    assert_eq!(daemon.connect().closing(), Some(Code::NotIntroduced));
    assert!(begin.elapsed() < Duration::from_secs(5), "the new limit is in force");
}

#[test]
fn a_token_in_a_file_counts_and_a_new_one_after_sighup() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, "sesame-open\n").unwrap();
    let user = format!("[[users]]\nname = \"anna\"\ntoken_file = \"{}\"\n", file.display());
    let mut daemon = Daemon::start(&user);
    daemon.connect().hello_as(hello("anna", "sesame-open")).unwrap();
    assert_eq!(daemon.connect().hello_as(hello("anna", "sesame-open\n")), Err(Code::BadCredentials));
    std::fs::write(&file, "abracadabra\n").unwrap();
    daemon.connect().hello_as(hello("anna", "sesame-open")).unwrap();
    daemon.signal("HUP");
    daemon.event("config.reloaded");
    assert_eq!(daemon.connect().hello_as(hello("anna", "sesame-open")), Err(Code::BadCredentials));
    daemon.connect().hello_as(hello("anna", "abracadabra")).unwrap();
    // one that is gone changes nothing, and is named
    std::fs::remove_file(&file).unwrap();
    daemon.signal("HUP");
    let line = daemon.event("config.refused");
    assert!(line["detail"].as_str().unwrap().contains("token_file"), "{line}");
    daemon.connect().hello_as(hello("anna", "abracadabra")).unwrap();
}

#[test]
fn what_a_reload_cannot_change_is_named_and_strangers_rights_can() {
    let listener = "[[listeners]]\naddress = \"unix://FOLDER/s\"\n";
    let mut daemon = Daemon::start(listener);
    let path = daemon.folder.path().join("s");
    let send = |code: Code| {
        let mut station = Station::unix(&path);
        station.hello("stranger");
        station.say(Letter { seq: 2, name: "nobody", ..Letter::default() });
        assert_eq!(station.outcome(), code);
    };
    send(Code::NoRecipient);
    daemon.write_config(&format!("[limits]\nbacklog = 17\n{listener}anonymous = [\"read\"]\n"));
    daemon.signal("HUP");
    assert_eq!(daemon.event("config.reloaded")["needs_restart"], "limits.backlog");
    send(Code::Refused);
}

#[test]
fn a_master_that_comes_with_a_reload_wants_another_start_if_nothing_of_clacks_was_there() {
    let native = "[[listeners]]\naddress = \"unix://FOLDER/s\"\n";
    let clacks = "[[listeners]]\naddress = \"clacks://FOLDER/c\"\n";
    let master = "[clacks]\nlink_user = \"l\"\nlink_password_file = \"FOLDER/p\"\n\
        [clacks.master]\naddress = \"clacks://FOLDER/nobody\"\n";
    for (before, needs_restart) in [(native.to_owned(), "clacks.master"), (format!("{native}{clacks}"), "")] {
        let mut daemon = Daemon::start(&before);
        std::fs::write(daemon.folder.path().join("p"), "open sesame").unwrap();
        daemon.write_config(&format!("{master}{before}"));
        daemon.signal("HUP");
        assert_eq!(daemon.event("config.reloaded")["needs_restart"], needs_restart);
        if needs_restart.is_empty() {
            daemon.event("link.failed");
        } else {
            let nothing = daemon.find("link.failed", Duration::from_millis(300));
            assert!(nothing.is_none(), "it is not called: {nothing:?}");
        }
    }
}

#[test]
fn a_bad_new_configuration_changes_nothing_and_is_said() {
    let mut daemon = Daemon::start(&user("anna", "sesame-open"));
    daemon.write_config("[limits]\noutbox = 1\n");
    daemon.signal("HUP");
    let line = daemon.event("config.refused");
    assert_eq!(line["level"], "ERROR");
    let detail = line["detail"].as_str().unwrap();
    assert!(detail.contains("chappe.toml:2:10: limits.outbox"), "{detail}");
    daemon.connect().hello_as(hello("anna", "sesame-open")).unwrap();
}

#[test]
fn sighup_opens_the_log_file_anew_and_changes_its_level() {
    let log = "[log]\nfile = \"FOLDER/log\"\n";
    let folder = tempfile::tempdir().unwrap();
    let path = support::write_config(folder.path(), log);
    // Its log does not come by standard error: started by hand.
    let mut child = Command::new(CHAPPE)
        .args(["serve", "--config", path.to_str().unwrap()])
        .env_remove("CHAPPE_LOG_FORMAT")
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap_or_default();
    until("it has logged", || read("log").contains("daemon.ready"));
    let text = read("log");
    let address = text.split("address=tcp://").nth(1).unwrap().split_whitespace().next().unwrap().to_owned();
    std::fs::rename(folder.path().join("log"), folder.path().join("log.1")).unwrap();
    support::write_config(folder.path(), &format!("{log}level = \"debug\"\n"));
    support::signal(child.id(), "HUP");
    until("it has a new file", || read("log").contains("config.reloaded"));
    assert!(!text.contains("DEBUG"));
    drop(std::net::TcpStream::connect(address).unwrap());
    until("it logs more now", || {
        read("log").contains("connection.opened") && read("log").contains("connection.closed")
    });
    assert!(!read("log.1").contains("connection.opened"));
    support::signal(child.id(), "TERM");
    assert!(support::wait(&mut child).success());
    assert!(read("log").contains("daemon.stopped"), "the last lines are written");
}

#[test]
fn after_kill_9_it_starts_again_in_the_same_place() {
    let config = "[[listeners]]\naddress = \"unix://FOLDER/s\"\n";
    let mut daemon = Daemon::start(config);
    let path = daemon.folder.path().join("s");
    let mut station = Station::unix(&path);
    station.hello("orphan");
    daemon.child.kill().unwrap();
    daemon.child.wait().unwrap();
    while station.next().is_some() {}
    assert!(path.exists(), "kill -9 leaves the file behind");
    let folder = std::mem::replace(&mut daemon.folder, tempfile::tempdir().unwrap());
    let again = Daemon::start_in(folder, config, |config| {
        let mut command = Command::new(CHAPPE);
        command.arg("serve").arg("--config").arg(config);
        command
    });
    let Ok(_again) = again else { panic!("the stale file is in the way") };
    Station::unix(&path).hello("back");
}
