//! How connections of Clacks end, and that whoever is let go of can read why, however late it
//! reads (sections 4.3, 4.4 and 10 of `wire/clacks.md`).

mod support;

use std::net::Shutdown;
use std::time::{Duration, Instant};

use support::clacks::{Client, login};
use support::tls::{Authority, TLS12, TLS13, client, connect_to};
use support::{Daemon, METRICS, Stream, counters, until};

const USERS: &str =
    "[[users]]\nname = \"main\"\ntoken = \"unsafepassword\"\nrights = [\"read\", \"write\", \"manage\"]\n";

/// One listener of each kind.
fn start(authority: &Authority, more: &str) -> Daemon {
    let tls = authority.server().toml("");
    Daemon::start(&format!(
        "{more}\n{METRICS}{USERS}[[listeners]]\naddress = \"clacks://FOLDER/clacks\"\n\
         [[listeners]]\naddress = \"clacks://127.0.0.1:0\"\n\
         [[listeners]]\naddress = \"clackss://127.0.0.1:0\"\n{tls}\n"
    ))
}

/// Each way in, by name.
fn ways(daemon: &Daemon, authority: &Authority) -> Vec<(&'static str, Client)> {
    let tls = |version| Client::mute(connect_to(daemon, "clackss", &client(&authority.root, version)).unwrap());
    vec![
        ("Unix", Client::unix(daemon.clacks_path())),
        ("TCP", Client::tcp(&daemon.clacks_tcp())),
        ("TLS 1.2", tls(&TLS12)),
        ("TLS 1.3", tls(&TLS13)),
    ]
}

/// A client of each kind that is logged in.
fn clients(daemon: &Daemon, authority: &Authority) -> Vec<(&'static str, Client)> {
    let let_in = |(name, client): (&'static str, Client)| {
        let mut client = client.greeted();
        client.login("main", "unsafepassword");
        (name, client)
    };
    ways(daemon, authority).into_iter().map(let_in).collect()
}

#[test]
fn who_reads_late_still_learns_that_its_password_is_wrong() {
    let authority = Authority::new();
    let daemon = start(&authority, "");
    // Says more than is read of it, reads only when all is over: nothing may reset its way.
    let threads = ways(&daemon, &authority).into_iter().map(|(name, mut it)| {
        std::thread::spawn(move || {
            it.write(&login("main", "guess"));
            let begin = Instant::now();
            let line = format!("STORE after={}\r\n", "x".repeat(10_000));
            while begin.elapsed() < Duration::from_millis(1600) && it.try_write(line.as_bytes()).is_ok() {
                std::thread::sleep(Duration::from_millis(1));
            }
            assert!(begin.elapsed() > Duration::from_millis(950), "{name}: it was cut off early");
            std::thread::sleep(Duration::from_millis(500));
            // rustls takes note of nothing before it is told to read
            assert_eq!(it.until_end().last().map(String::as_str), Some("OVERHEAD F Login failed!"), "{name}");
        })
    });
    for thread in threads.collect::<Vec<_>>() {
        thread.join().unwrap();
    }
}

#[test]
fn last_words_stand_for_as_long_as_configured_and_what_is_said_meanwhile_is_thrown_away() {
    let authority = Authority::new();
    let mut daemon = start(&authority, "[clacks]\nlinger_ms = 700\n");
    let count = counters(&mut daemon);
    for (name, mut it) in ways(&daemon, &authority) {
        let mut it = {
            it.write(&login("main", "guess"));
            it.greeted()
        };
        assert_eq!(it.line(), "OVERHEAD F Login failed!", "{name}");
        let begin = Instant::now();
        // Still open: what it says now is taken, and means nothing.
        while begin.elapsed() < Duration::from_millis(400) {
            it.write(&login("main", "unsafepassword"));
            it.write(b"STORE x=1\r\n");
            std::thread::sleep(Duration::from_millis(50));
        }
        assert_eq!(it.until_end(), [""; 0], "{name}");
        let took = begin.elapsed();
        assert!(took > Duration::from_millis(500) && took < Duration::from_millis(2000), "{name}: {took:?}");
    }
    // Who has read them and goes need not wait, nor does the daemon.
    let before = count("chappe_connections");
    let mut it = Client::unix(daemon.clacks_path());
    it.write(&login("main", "guess"));
    drop(it);
    until("it is gone", || count("chappe_connections") == before);
}

#[test]
fn silence_is_told_after_half_a_line_and_only_a_ping_breaks_it() {
    let authority = Authority::new();
    let mut daemon = start(&authority, "[clacks]\nping_within_ms = 600\n");
    assert!(daemon.event("clacks.note").to_string().contains("120 seconds"));
    let mut all = clients(&daemon, &authority);
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_millis(450) {
        for (_, it) in &mut all {
            it.say("RETRIEVE nothing");
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    for (name, it) in &mut all {
        it.write(b"STORE half");
        let lines = it.until_end();
        assert!(lines[..lines.len() - 2].iter().all(|line| line == "NOTRETRIEVED nothing"), "{name}");
        assert_eq!(lines[lines.len() - 2..], ["", "TIMEOUT"], "{name}");
        assert_eq!(daemon.event("connection.closed")["reason"], "silent");
    }
    // A PING keeps it, NOPING makes it need none, and one more PING makes it need them again.
    let mut it = daemon.clacks("main", "unsafepassword");
    for _ in 0..5 {
        std::thread::sleep(Duration::from_millis(300));
        it.say("PING");
    }
    it.say("NOPING");
    std::thread::sleep(Duration::from_millis(900));
    assert!(it.has_nothing());
    it.say("PING");
    assert_eq!(it.until_end(), ["", "TIMEOUT"]);
}

#[test]
fn who_takes_nothing_for_too_long_is_closed_and_only_that_one() {
    let authority = Authority::new();
    let mut daemon = start(&authority, "[clacks]\nstalled_after_ms = 500\n");
    for (name, mut it) in clients(&daemon, &authority) {
        it.listen("flood");
        let mut sender = daemon.clacks("main", "unsafepassword");
        let mut other = daemon.clacks("main", "unsafepassword");
        other.listen("flood");
        let line = format!("SET flood={}", "x".repeat(100_000));
        // More than the kernel takes for it, and less than its outbox.
        for _ in 0..120 {
            sender.say(&line);
            assert_eq!(other.line(), line);
        }
        assert_eq!(daemon.event("connection.closed")["reason"], "slow", "{name}");
        assert!(sender.has_nothing() && other.has_nothing());
        // What the kernel had taken is there, whole lines and perhaps a part of one.
        let mut rest = [0; 1 << 16];
        it.stream.set_patience(Duration::from_secs(5));
        assert!(matches!(it.stream.both().0.read(&mut rest), Ok(n) if n > 0), "{name}");
    }
}

#[test]
fn a_manager_ends_all_connections_of_this_dialect() {
    let authority = Authority::new();
    let mut daemon = start(&authority, "");
    let mut all = clients(&daemon, &authority);
    all[0].1.say("OVERHEAD C 1");
    for (name, it) in &mut all {
        assert_eq!(it.until_end(), ["", "QUIT"], "{name}");
        assert_eq!(daemon.event("connection.closed")["reason"], "dismissed");
    }
    daemon.clacks("main", "unsafepassword").sync();
}

#[test]
fn sigterm_tells_every_client_even_one_that_reads_late() {
    let authority = Authority::new();
    let mut daemon = start(&authority, "");
    let mut all = clients(&daemon, &authority);
    let mut unknown = Client::unix(daemon.clacks_path()).greeted();
    all[0].1.say("OVERHEAD UGM we close");
    all[0].1.sync();
    daemon.signal("TERM");
    std::thread::sleep(Duration::from_millis(1500));
    for (name, it) in &mut all {
        assert_eq!(it.until_end(), ["OVERHEAD GM we close", "", "QUIT"], "{name}");
    }
    assert_eq!(unknown.until_end(), ["", "QUIT"], "who has not logged in is told nothing else");
    assert!(daemon.wait().success());
}

#[test]
fn a_manager_ends_the_daemon_if_the_configuration_says_so() {
    let authority = Authority::new();
    let mut daemon = start(&authority, "[clacks]\nallow_shutdown = true\n");
    let mut main = daemon.clacks("main", "unsafepassword");
    let begin = Instant::now();
    main.say("OVERHEAD S 1");
    assert!(main.has_nothing());
    assert_eq!(main.until_end(), ["", "QUIT"]);
    assert!(begin.elapsed() >= Duration::from_millis(990));
    assert_eq!(daemon.event("clacks.stop")["event"], "clacks.stop");
    assert!(daemon.wait().success());
}

#[test]
fn an_end_of_stream_is_a_quit_and_what_came_before_it_counts() {
    let authority = Authority::new();
    let mut daemon = start(&authority, "");
    let count = counters(&mut daemon);
    for (n, (name, mut it)) in clients(&daemon, &authority).into_iter().enumerate() {
        let mut all = format!("STORE end{n}=kept\r\nSTORE half{n}=").into_bytes();
        if n % 2 == 1 {
            all.extend(b"KEYLIST\r\n");
        }
        it.write(&all);
        match &it.stream {
            Stream::Tcp(s) => s.shutdown(Shutdown::Write).unwrap(),
            Stream::Unix(s) => s.shutdown(Shutdown::Write).unwrap(),
            Stream::Tls(s) => s.sock.shutdown(Shutdown::Write).unwrap(),
            Stream::File(_) => unreachable!(),
        }
        drop(it);
        let mut main = daemon.clacks("main", "unsafepassword");
        until(name, || main.ask(&format!("RETRIEVE end{n}")) == format!("RETRIEVED end{n}=kept"));
        let half = main.ask(&format!("RETRIEVE half{n}"));
        assert_eq!(half.starts_with("RETRIEVED"), n % 2 == 1, "{name}: {half}");
    }
    assert_eq!(count("chappe_tls_broken_total"), 0);
}

#[test]
#[ignore = "waits a whole minute, which is not to be configured"]
fn who_is_told_nothing_for_a_minute_is_told_nop() {
    let authority = Authority::new();
    let daemon = start(&authority, "");
    let mut all = clients(&daemon, &authority);
    let begin = Instant::now();
    for (name, it) in &mut all {
        it.say("NOPING");
        let line = it.next_within(Duration::from_secs(70)).expect("a NOP").expect("no end");
        assert_eq!(line, "NOP", "{name}");
        let took = begin.elapsed();
        assert!(took > Duration::from_secs(59) && took < Duration::from_secs(63), "{name}: {took:?}");
        assert!(it.has_nothing(), "{name}");
    }
}
