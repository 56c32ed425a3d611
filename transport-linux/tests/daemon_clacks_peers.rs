//! A daemon and the other end of a link that is not one of ours: masters and slaves that say
//! what the original says, byte for byte, and masters that misbehave.

mod support;

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::time::{Duration, Instant};

use support::clacks::{Client, login};
use support::links::{
    self, LINK, Stage, client, clock, comes, config, ends, greet, hear, master, news, slave_of, start_with,
};
use support::{Daemon, tls, until};

/// The times and the rest of a KEYSYNC.
fn sync_of(line: &str) -> (f64, f64, String) {
    let mut parts = line.strip_prefix("KEYSYNC ").unwrap_or_else(|| panic!("{line}")).splitn(3, ' ');
    let mut time = || parts.next().unwrap().parse().unwrap();
    (time(), time(), parts.next().unwrap().to_owned())
}

fn value(client: &mut Client, key: &str) -> String {
    client.ask(&format!("RETRIEVE {key}"))
}

#[test]
fn the_handshake_with_a_master_as_the_original_does_it() {
    let stage = Stage::new();
    let mut slave = slave_of(&stage.address());
    let mut down = client(&slave);
    let mut master = stage.accept();
    down.say("STORE mine=1");
    // everything is sent from the first moment on
    assert_eq!(master.line(), "STORE mine=1");
    // nothing is obeyed before it has logged in
    master.say("CLACKS PageCamel 36");
    master.say("OVERHEAD M Authentication required");
    master.say("STORE evil=1");
    master.say("OVERHEAD L 1");
    down.sync();
    assert_eq!(value(&mut down, "evil"), "NOTRETRIEVED evil");
    greet(&mut master);
    assert_eq!(master.line(), "OVERHEAD O Welcome!");
    slave.event("link.up");
    master.say("OVERHEAD L 1");
    // a clock of its own
    let behind = clock() - 5000.0;
    master.say(&format!("OVERHEAD T {behind:.5}"));
    master.say(&format!("KEYSYNC {:.5} 0 D dead=REMOVED", behind - 9.0));
    master.say(&format!("KEYSYNC {:.5} {:.5} U yours=2", behind - 10.0, behind - 3.0));
    master.say(&format!("KEYSYNC {:.5} {:.5} S published=letter S", behind - 10.0, behind - 3.0));
    master.say("OVERHEAD L 0");
    master.say("PING");
    master.say("OVERHEAD O Welcome!");
    let told = master.line();
    let now: f64 = told.strip_prefix("OVERHEAD T ").unwrap().parse().unwrap();
    assert!((now - clock()).abs() < 2.0, "{told}");
    // what it has just said is not said again
    let (modified, accessed, rest) = sync_of(&news(&mut master));
    assert_eq!(rest, "U mine=1");
    assert!(clock() - modified < 5.0 && clock() - accessed < 5.0);
    assert_eq!(hear(&mut master, Duration::from_millis(300)), [""; 0]);
    slave.event("link.synced");
    for (key, answer) in [("yours", "RETRIEVED yours=2"), ("published", "RETRIEVED published=letter S")] {
        assert_eq!(value(&mut down, key), answer);
    }
    // signs of life, every third of the time
    let begun = Instant::now();
    assert_eq!((master.line(), master.line()), ("PING".into(), "PING".into()));
    assert!(begun.elapsed() < Duration::from_millis(2500), "{:?}", begun.elapsed());
    // commands both ways, word for word
    down.listen("v");
    for line in ["SET v=x=y ", "NOTIFY v", "SET v="] {
        master.say(line);
        assert_eq!(down.line(), line);
        down.say(line);
        assert_eq!(news(&mut master), line);
    }
    master.say("QUIT");
    assert_eq!(slave.event("link.down")["reason"], "goodbye");
}

#[test]
fn the_handshake_with_a_slave_as_the_original_does_it() {
    let node = master();
    let mut up = client(&node);
    up.say("STORE b=2");
    up.say("STORE a=1");
    up.say("REMOVE gone");
    up.sync();
    let mut slave = Client::unix(node.clacks_path()).greeted();
    slave.write(b"CLACKS PageCamel 36 in interclacks client mode\r\n");
    slave.write(&login(LINK.0, LINK.1));
    slave.write(b"OVERHEAD I 1\r\n");
    assert_eq!(slave.line(), "OVERHEAD O Welcome!");
    let greeting = slave.line();
    // what is between is free, and tells our own kind where links lead up to
    let free = greeting.strip_prefix("CLACKS PageCamel 36 (root ").unwrap_or_else(|| panic!("{greeting}"));
    assert_eq!(&free[16..], ") in interclacks master mode");
    assert_eq!(slave.line(), "OVERHEAD M Authentication required");
    assert_eq!(format!("{}\r\n", slave.line()).as_bytes(), login(LINK.0, LINK.1));
    slave.say("OVERHEAD O Welcome!");
    assert_eq!(slave.line(), "OVERHEAD L 1");
    assert!(slave.line().starts_with("OVERHEAD T "));
    let all = [slave.line(), slave.line(), slave.line()].map(|line| sync_of(&line));
    // sorted by key, deletion marks included
    assert_eq!([&all[0].2, &all[1].2, &all[2].2], ["U a=1", "U b=2", "D gone=REMOVED"]);
    assert_eq!(all[2].1, 0.0);
    assert_eq!((slave.line(), slave.line()), ("OVERHEAD L 0".into(), "PING".into()));
    // its whole store, with what it was just sent, as much later as that took: nothing has changed
    slave.say(&format!("OVERHEAD T {:.5}", clock() - 0.04));
    for (modified, accessed, rest) in &all {
        slave.say(&format!("KEYSYNC {modified:.5} {accessed:.5} {rest}"));
    }
    slave.say(&format!("KEYSYNC {:.5} {:.5} U own=3", clock(), clock()));
    comes(&mut up, "own", Some("3"));
    for line in ["STORE x=1", "SET y=2", "REMOVE x", "CLEARCACHE"] {
        let mut boss = node.clacks("boss", "word-of-boss");
        boss.say(line);
        assert_eq!(news(&mut slave), line);
    }
    slave.say("FLUSH 1");
    assert_eq!(news(&mut slave), "FLUSHED 1");
}

#[test]
fn times_that_grow_with_each_sync_change_nothing() {
    // weak point 19: both ends of the original take the way there for a difference of clocks
    let stage = Stage::new();
    let slave = slave_of(&stage.address());
    let mut down = client(&slave);
    down.say("STORE a=same");
    down.say("REMOVE b");
    down.sync();
    let mut first: Option<[(f64, String); 2]> = None;
    for round in 0..4 {
        let mut master = stage.accept();
        greet(&mut master);
        // what its clients have just done may come first
        while master.line() != "OVERHEAD O Welcome!" {}
        master.say("OVERHEAD L 1");
        master.say(&format!("OVERHEAD T {:.5}", clock() - 0.04 * f64::from(round)));
        if let Some([(a, _), (b, _)]) = &first {
            // the whole store, each time as if it were later
            let later = 0.04 * f64::from(round);
            master.say(&format!("KEYSYNC {:.5} {:.5} U a=same", a + later, a + later));
            master.say(&format!("KEYSYNC {:.5} 0 D b=REMOVED", b + later));
        }
        master.say("OVERHEAD L 0");
        assert!(news(&mut master).starts_with("OVERHEAD T "));
        let told = [news(&mut master), news(&mut master)].map(|line| sync_of(&line));
        assert_eq!([&told[0].2, &told[1].2], ["U a=same", "D b=REMOVED"]);
        let times = told.map(|(modified, _, rest)| (modified, rest));
        assert_eq!(*first.get_or_insert(times.clone()), times, "round {round}: they do not grow");
    }
}

#[test]
fn a_master_that_says_nothing_is_given_up_in_time() {
    let stage = Stage::new();
    let mut slave = slave_of(&stage.address());
    let silent = stage.accept();
    let begun = Instant::now();
    let mut down = client(&slave);
    down.say("STORE a=1");
    assert_eq!(value(&mut down, "a"), "RETRIEVED a=1");
    let told = slave.event("link.refused");
    assert_eq!(told["reason"], "not_introduced");
    assert!(told["message"].as_str().unwrap().contains("login_within_ms"), "{told}");
    let took = begun.elapsed();
    assert!(took > Duration::from_millis(1300) && took < Duration::from_secs(4), "{took:?}");
    drop(silent);
    // it listens, and nobody accepts: the kernel does
    let second = stage.visitor(Duration::from_secs(10)).expect("it comes again");
    drop(second);
}

#[test]
fn a_master_that_is_silent_later_is_given_up() {
    let stage = Stage::new();
    let mut slave = slave_of(&stage.address());
    let mut master = stage.linked();
    let begun = Instant::now();
    let said = ends(master.next().map(|_| master).unwrap(), Duration::from_secs(10));
    assert_eq!(said[said.len() - 2..], ["", "TIMEOUT"], "{said:?}");
    assert!(begun.elapsed() > Duration::from_millis(2000), "{:?}", begun.elapsed());
    assert_eq!(slave.event("link.down")["reason"], "silent");
}

#[test]
fn garbage_and_endless_lines_end_the_link_and_nothing_else() {
    let stage = Stage::new();
    let more = format!("address = \"{}\"", stage.address());
    let mut slave = start_with(LINK.1, &config("max_line = 65536\noutbox = 262144", &more, ""));
    let mut down = client(&slave);
    // before it has logged in, and after
    for is_in in [false, true] {
        let mut master = if is_in { stage.linked() } else { stage.accept() };
        let mut garbage: Vec<u8> = (0..40_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        garbage.chunks_mut(100).for_each(|line| line[99] = b'\n');
        let _ = master.try_write(&garbage);
        let _ = master.try_write(b"OVERHEAD\r\nKEYSYNC\r\nKEYSYNC x y z\r\nOVERHEAD L\r\nOVERHEAD T\r\nSET x\r\n");
        assert_eq!(down.ask("FLUSH 1"), "FLUSHED 1");
        if is_in {
            // unknown lines are no reason to go
            master.say("STORE after=garbage");
            comes(&mut down, "after", Some("garbage"));
        }
        for _ in 0..100 {
            if master.try_write(&[b'x'; 4096]).is_err() {
                break;
            }
        }
        let told = slave.event(if is_in { "link.down" } else { "link.failed" });
        assert_eq!(told["reason"], "malformed", "{told}");
        assert_eq!(down.ask("FLUSH 2"), "FLUSHED 2");
    }
}

#[test]
fn a_flood_does_not_keep_clients_from_their_turn() {
    let stage = Stage::new();
    let slave = slave_of(&stage.address());
    let mut down = client(&slave);
    down.listen("v");
    let mut other = client(&slave);
    let mut master = stage.linked();
    let end = Instant::now() + Duration::from_secs(2);
    let flood = std::thread::spawn(move || {
        let lines = b"SET v=a signal of some length that goes to who listens\r\nSTORE k=value\r\nPING\r\n".repeat(500);
        while Instant::now() < end {
            if master.try_write(&lines).is_err() {
                return;
            }
        }
    });
    let reader = std::thread::spawn(move || {
        let mut heard = 0;
        while down.next_within(Duration::from_secs(1)).is_some() {
            heard += 1;
        }
        heard
    });
    let mut longest = Duration::ZERO;
    while Instant::now() < end {
        let begun = Instant::now();
        assert_eq!(other.ask("FLUSH 1"), "FLUSHED 1");
        longest = longest.max(begun.elapsed());
    }
    flood.join().unwrap();
    assert!(reader.join().unwrap() > 1000);
    assert!(longest < Duration::from_secs(1), "{longest:?}");
}

#[test]
fn absurd_times_do_not_outlive_the_next_change() {
    let stage = Stage::new();
    let slave = slave_of(&stage.address());
    let mut down = client(&slave);
    let mut master = stage.linked();
    let times = [
        "9223372036854775807",
        "1e300",
        "99999999999999999999",
        "4000000000",
        "-5",
        "nan",
        "0",
        "-1e300",
        "abc",
        "1e-300",
        "9223372036854.775807",
    ];
    for (i, time) in times.iter().enumerate() {
        master.say(&format!("KEYSYNC {time} {time} U k{i}=theirs"));
        master.say(&format!("KEYSYNC {time} 0 D d{i}=REMOVED"));
        master.say(&format!("OVERHEAD T {time}"));
        master.say(&format!("KEYSYNC {time} {time} U m{i}=theirs"));
        master.say(&format!("OVERHEAD T {:.5}", clock()));
    }
    master.say("STORE end=1");
    comes(&mut down, "end", Some("1"));
    for (i, time) in times.iter().enumerate() {
        for key in [format!("k{i}"), format!("d{i}"), format!("m{i}")] {
            down.say(&format!("STORE {key}=mine"));
            assert_eq!(value(&mut down, &key), format!("RETRIEVED {key}=mine"), "{time}");
            assert_eq!(news(&mut master), format!("STORE {key}=mine"));
            down.say(&format!("REMOVE {key}"));
            assert_eq!(value(&mut down, &key), format!("NOTRETRIEVED {key}"), "{time}");
            assert_eq!(news(&mut master), format!("REMOVE {key}"));
        }
    }
}

#[test]
fn a_lock_that_never_ends_is_ended() {
    let stage = Stage::new();
    let mut slave = slave_of(&stage.address());
    let mut down = client(&slave);
    let mut native = slave.station("native");
    let mut master = stage.accept();
    greet(&mut master);
    assert_eq!(master.line(), "OVERHEAD O Welcome!");
    master.say("OVERHEAD L 1");
    std::thread::sleep(Duration::from_millis(100));
    down.say("FLUSH 1");
    let begun = Instant::now();
    // signs of life do not help it
    while begun.elapsed() < Duration::from_millis(2000) {
        master.say("PING");
        assert!(down.next_within(Duration::from_millis(200)).is_none(), "it waits");
    }
    assert!(native.is_alive(), "stations of other dialects do not wait");
    assert_eq!(down.line(), "FLUSHED 1");
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    assert_eq!(slave.event("link.down")["reason"], "silent");
    let said = ends(master, Duration::from_secs(5));
    assert_eq!(said[said.len() - 1], "TIMEOUT");
    // clients have their time until it is called again
    assert_eq!(down.ask("FLUSH 2"), "FLUSHED 2");
}

#[test]
fn a_master_that_dies_in_its_sync_holds_nobody_up() {
    let stage = Stage::new();
    let mut slave = slave_of(&stage.address());
    let mut down = client(&slave);
    let mut master = stage.accept();
    greet(&mut master);
    assert_eq!(master.line(), "OVERHEAD O Welcome!");
    master.say("OVERHEAD L 1");
    master.say(&format!("OVERHEAD T {:.5}", clock()));
    master.say(&format!("KEYSYNC {:.5} {:.5} U half=1", clock(), clock()));
    std::thread::sleep(Duration::from_millis(100));
    down.say("FLUSH 1");
    assert!(down.next_within(Duration::from_millis(300)).is_none(), "it waits");
    let begun = Instant::now();
    drop(master);
    assert_eq!(down.line(), "FLUSHED 1");
    assert!(begun.elapsed() < Duration::from_millis(500));
    assert_eq!(slave.event("link.down")["reason"], "lost");
    assert_eq!(value(&mut down, "half"), "RETRIEVED half=1");
    // the next one has it all
    let mut master = stage.linked();
    assert!(news(&mut master).ends_with(" U half=1"));
}

/// A TLS server that is not believed: what it hears, as far as it hears anything.
fn listen_by_tls(listener: TcpListener, config: Arc<rustls::ServerConfig>) -> std::thread::JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let mut session = rustls::ServerConnection::new(config).unwrap();
        let mut heard = Vec::new();
        // as the original: its words first
        let _ = session.writer().write_all(b"CLACKS PageCamel 36\r\nOVERHEAD M Authentication required\r\n");
        loop {
            let went_on = session.complete_io(&mut socket);
            let _ = session.reader().read_to_end(&mut heard);
            if went_on.is_err() || went_on.is_ok_and(|(read, _)| read == 0) {
                return heard;
            }
        }
    })
}

#[test]
fn who_is_not_believed_is_told_nothing() {
    let authority = tls::Authority::new();
    let stranger = tls::Authority::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let begin = |issued: &tls::Issued, listener: TcpListener| {
        use rustls::pki_types::PrivateKeyDer;
        use rustls::pki_types::pem::PemObject;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder =
            rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let key = PrivateKeyDer::from_pem_file(&issued.key).unwrap();
        let config = builder.with_no_client_auth().with_single_cert(vec![issued.der.clone()], key).unwrap();
        listen_by_tls(listener, Arc::new(config))
    };
    let address =
        |host: &str| format!("address = \"clackss://{host}:{port}\"\nca_file = \"{}\"", authority.file().display());
    // signed by somebody else
    let heard = begin(&stranger.server(), listener.try_clone().unwrap());
    let mut slave = start_with(LINK.1, &config("", &address("localhost"), ""));
    let told = slave.event("link.refused");
    assert_eq!(told["reason"], "certificate", "{told}");
    let text = told["message"].as_str().unwrap();
    assert!(text.contains("ca_file") && text.contains("no password"), "{text}");
    assert_eq!(heard.join().unwrap(), b"", "not an octet, and no password");
    assert_eq!(client(&slave).ask("FLUSH 1"), "FLUSHED 1");
    drop(slave);
    // for another name
    let other = authority.sign("other", &["other.example"], |_| {});
    let heard = begin(&other, listener.try_clone().unwrap());
    let mut slave = start_with(LINK.1, &config("", &address("localhost"), ""));
    let told = slave.event("link.refused");
    assert!(told["message"].as_str().unwrap().contains("other.example"), "{told}");
    assert_eq!(heard.join().unwrap(), b"");
    drop(slave);
    // what is no TLS at all, and what says nothing
    let plain = listener.try_clone().unwrap();
    let mute = std::thread::spawn(move || {
        let (mut socket, _) = plain.accept().unwrap();
        let _ = socket.write_all(b"CLACKS PageCamel 36\r\nOVERHEAD M Authentication required\r\n");
        let mut heard = Vec::new();
        let _ = socket.read_to_end(&mut heard);
        heard
    });
    let mut slave = start_with(LINK.1, &config("", &address("localhost"), ""));
    let told = slave.event("link.failed");
    assert_eq!(told["reason"], "tls", "{told}");
    assert!(told["message"].as_str().unwrap().contains("does not speak TLS"), "{told}");
    let heard = mute.join().unwrap();
    assert!(!heard.windows(8).any(|w| w == b"OVERHEAD"), "only a hello of TLS");
    assert_eq!(client(&slave).ask("FLUSH 1"), "FLUSHED 1");
}

#[test]
fn a_handshake_that_does_not_go_on_holds_nobody_up() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let address = format!("address = \"clackss://127.0.0.1:{port}\"\ninsecure = true");
    let mut slave = start_with(LINK.1, &config("", &address, ""));
    let (mut socket, _) = listener.accept().unwrap();
    let mut hello = [0; 5];
    socket.read_exact(&mut hello).unwrap();
    assert_eq!(hello[0], 22, "it begins with TLS");
    let mut down = client(&slave);
    let used = slave.cpu();
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(down.ask("FLUSH 1"), "FLUSHED 1");
    assert!(slave.cpu() - used < Duration::from_millis(200));
    let told = slave.find("link.failed", Duration::from_secs(13)).expect("it is given up");
    assert_eq!(told["reason"], "late", "{told}");
    slave.signal("TERM");
    assert!(slave.wait().success());
}

/// Two that are slaves of each other's clients see each change once.
#[test]
fn a_slave_of_a_scripted_master_is_master_of_others() {
    let stage = Stage::new();
    let middle = slave_of(&stage.address());
    let mut top = stage.linked();
    let bottom: Daemon = links::slave(&middle);
    let mut below = client(&bottom);
    // with the clock of the one that it came from, corrected (weak point 20)
    top.say("OVERHEAD T 1000");
    top.say("KEYSYNC 990 990 U ten=seconds ago");
    comes(&mut below, "ten", Some("seconds ago"));
    below.say("STORE ten=now");
    assert_eq!(news(&mut top), "STORE ten=now");
    top.say("KEYSYNC 999 999 U ten=a second ago");
    top.say("STORE end=1");
    comes(&mut below, "end", Some("1"));
    assert_eq!(value(&mut below, "ten"), "RETRIEVED ten=now");
    until("nothing comes back", || hear(&mut top, Duration::from_millis(200)).is_empty());
}
