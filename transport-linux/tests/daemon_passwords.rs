//! Users with passwords: right, wrong and unknown ones, what waits for them, and that trying
//! many slows down only who does it.

mod support;

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use chappe_core::dialect::messi::repr::{Code, Hello, Join, Letter, ServerToClient};
use chappe_linux::password::{Cost, hash};
use socket2::{Domain, Socket, Type};
use support::{CHAPPE, Daemon, METRICS, PATIENCE, PING, Station, Stream, counters, frame, until};

/// So that tests do not wait for what shall be slow.
const CHEAP: Cost = Cost { memory: 64, passes: 1 };

/// About half a second in a debug build: long enough to see who waits for it.
const DEAR: Cost = Cost { memory: 128 * 1024, passes: 3 };

const ANNA: &str = "open sesame, says anna";
const BERTA: &str = "close sesame, says berta";

fn users(cost: Cost) -> String {
    let of = |password: &str| hash(password.as_bytes(), cost).unwrap();
    format!(
        "[[users]]\nname = \"anna\"\npassword_hash = \"{}\"\n\
         [[users]]\nname = \"berta\"\npassword_hash = \"{}\"\nnames = [\"b::*\"]\n\
         [[users]]\nname = \"board\"\ntoken = \"token-of-board\"\n",
        of(ANNA),
        of(BERTA)
    )
}

fn start(cost: Cost, more: &str) -> Daemon {
    let listener = "[[listeners]]\naddress = \"tcp://127.0.0.1:0\"\nanonymous = [\"read\", \"write\"]\n";
    Daemon::start(&format!("{more}\n{METRICS}{}{listener}", users(cost)))
}

fn hello<'h>(user: &'h str, token: &'h str) -> Hello<'h> {
    Hello { seq: 1, name: "one", user, token: token.as_bytes(), ..Hello::default() }
}

/// A connection from another address of this machine.
fn from(daemon: &Daemon, address: [u8; 4]) -> Station {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::new(IpAddr::from(address), 0).into()).unwrap();
    let to: SocketAddr = daemon.address("tcp").parse().unwrap();
    socket.connect(&to.into()).unwrap();
    socket.set_tcp_nodelay(true).unwrap();
    Station::new(Stream::Tcp(TcpStream::from(socket)))
}

fn resident(daemon: &Daemon) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{}/status", daemon.pid())).unwrap();
    let line = text.lines().find(|l| l.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

/// Nothing that anybody gave as a name or a secret is in the log.
fn is_discreet(daemon: &mut Daemon) {
    let log = format!("{:?}", daemon.seen());
    for secret in [ANNA, BERTA, "token-of-board", "guess", "argon2", "mallory"] {
        assert!(!log.contains(secret), "{secret} is in {log}");
    }
}

#[test]
fn only_the_right_password_of_that_user_lets_in() {
    let mut daemon = start(CHEAP, "[log]\nlevel = \"trace\"\n");
    let count = counters(&mut daemon);
    let mut anna = daemon.connect();
    anna.hello_as(hello("anna", ANNA)).expect("welcome");
    anna.join("anything");
    let mut berta = daemon.connect();
    berta.hello_as(hello("berta", BERTA)).expect("welcome");
    berta.join("b::1");
    berta.say(Join { seq: 3, name: "anything", ..Join::default() });
    assert_eq!(berta.outcome(), Code::Refused);
    daemon.connect().hello_as(hello("board", "token-of-board")).expect("tokens are as before");
    for (n, (user, token)) in
        [("anna", BERTA), ("anna", ""), ("mallory", ANNA), ("board", "guess"), ("", ANNA), ("board", ANNA)]
            .into_iter()
            .enumerate()
    {
        let mut station = from(&daemon, [127, 0, 1, n as u8 + 1]);
        assert_eq!(station.hello_as(hello(user, token)), Err(Code::BadCredentials), "{user}");
        assert_eq!(station.closing(), Some(Code::BadCredentials), "and it is told so again, and closed");
    }
    assert_eq!((count("chappe_passwords_right_total"), count("chappe_passwords_wrong_total")), (2, 6));
    assert_eq!(count("chappe_closed_bad_credentials_total"), 6);
    let wrong = daemon.event("sign_in.wrong");
    assert_eq!((wrong["user"].as_str(), wrong["from"].as_str()), (Some("anna"), Some("127.0.1.1")), "{wrong}");
    is_discreet(&mut daemon);
}

#[test]
fn what_is_said_behind_a_password_is_heard_when_it_is_right() {
    let mut daemon = start(CHEAP, "");
    let mut listener = daemon.station("listener");
    listener.join("news");
    for piece in [usize::MAX, 50, 1] {
        let mut bytes = frame(hello("anna", ANNA));
        bytes.extend(frame(Join { seq: 2, name: "x", ..Join::default() }));
        for n in 0..100u8 {
            bytes.extend(frame(Letter { name: "news", body: &[n; 200], verb: "SET", ..Letter::default() }));
        }
        let mut anna = daemon.connect();
        for part in bytes.chunks(piece) {
            anna.write(part).unwrap();
        }
        assert!(matches!(anna.next().unwrap().message(), ServerToClient::Welcome(_)));
        assert_eq!(anna.outcome(), Code::Ok);
        for n in 0..100u8 {
            assert_eq!(listener.hear(), [n; 200]);
        }
    }
    // Of who is wrong nothing is heard.
    let mut bytes = frame(hello("anna", "guess"));
    bytes.extend(frame(Letter { name: "news", body: b"from nobody", verb: "SET", ..Letter::default() }));
    let mut wrong = daemon.connect();
    wrong.write(&bytes).unwrap();
    assert_eq!(wrong.closing(), Some(Code::BadCredentials));
    listener.say(Letter { name: "nobody", ..Letter::default() });
    assert!(listener.is_alive());
    let mut last = daemon.station("last");
    last.send("news", b"the next");
    assert_eq!(listener.hear(), b"the next");
}

#[test]
fn nobody_waits_for_the_passwords_of_others() {
    let mut daemon = start(DEAR, "");
    let mut good = daemon.station("good");
    let mut anna = daemon.connect();
    let begin = Instant::now();
    anna.say(hello("anna", ANNA));
    let (mut longest, mut pings) = (Duration::ZERO, 0);
    let heard = loop {
        let at = Instant::now();
        assert!(good.is_alive());
        longest = longest.max(at.elapsed());
        pings += 1;
        if let Some(heard) = anna.next_within(Duration::from_millis(1)) {
            break heard.unwrap();
        }
    };
    let took = begin.elapsed();
    assert!(matches!(heard.message(), ServerToClient::Welcome(_)));
    assert!(longest < took / 2, "a ping took {longest:?} while a password took {took:?}");
    assert!(pings > 5, "{pings} pings in {took:?}");
}

#[test]
fn an_unknown_user_takes_as_long_as_a_wrong_password() {
    let daemon = start(DEAR, "[limits]\nhello_within_ms = 60000\n");
    // The daemon's own time: what else the machine does is none of it.
    let time = |address: [u8; 4], user: &str, token: &str| {
        let mut station = from(&daemon, address);
        let begin = daemon.cpu();
        assert_eq!(station.hello_as(hello(user, token)), Err(Code::BadCredentials));
        daemon.cpu() - begin
    };
    let least = |user: &str, token: &str, net: u8| (1..4).map(|n| time([127, 0, net, n], user, token)).min().unwrap();
    let wrong = least("anna", "guess", 2);
    assert!(wrong > Duration::from_millis(50), "{wrong:?} is too little to compare with");
    for (net, user) in [(3, "mallory"), (4, "board")] {
        let other = least(user, "guess", net);
        let ratio = other.as_secs_f64() / wrong.as_secs_f64();
        assert!((0.6..1.6).contains(&ratio), "{user}: {other:?}, a wrong password: {wrong:?}");
    }
}

#[test]
fn a_flood_of_wrong_passwords_slows_down_only_itself() {
    let mut daemon = start(CHEAP, "");
    let count = counters(&mut daemon);
    let mut good = daemon.station("good");
    let flood: Vec<Station> = (0..300)
        .map(|n| {
            let mut station = from(&daemon, [127, 0, 9, 9]);
            station.write(&frame(hello(["anna", "mallory"][n % 2], &format!("guess {n}")))).unwrap();
            station
        })
        .collect();
    // From elsewhere everybody comes in as ever, one who is tried by the flood, too.
    for (n, (user, token)) in [("anna", ANNA), ("berta", BERTA), ("anna", ANNA)].into_iter().enumerate() {
        let begin = Instant::now();
        let mut station = from(&daemon, [127, 0, 8, n as u8 + 1]);
        station.hello_as(hello(user, token)).expect("welcome");
        assert!(begin.elapsed() < Duration::from_secs(3), "{user} waited {:?}", begin.elapsed());
    }
    assert!(good.is_alive());
    let mut codes = [0; 2];
    for mut station in flood {
        match station.closing() {
            Some(Code::BadCredentials) => codes[0] += 1,
            Some(Code::Full) => codes[1] += 1,
            other => panic!("{other:?}"),
        }
    }
    assert!(codes[0] < 12 && codes[1] > 280, "{codes:?} were looked at, and not");
    assert_eq!(count("chappe_passwords_refused_total"), codes[1]);
    assert_eq!(count("chappe_closed_unchecked_total"), codes[1]);
    assert_eq!(count("chappe_passwords_waiting"), 0);
    is_discreet(&mut daemon);
}

#[test]
fn many_stations_of_one_user_cost_one_look() {
    let mut daemon = start(DEAR, "");
    let count = counters(&mut daemon);
    let mut all: Vec<_> = (0..200)
        .map(|_| {
            let mut station = daemon.connect();
            station.say(hello("anna", ANNA));
            station
        })
        .collect();
    for station in &mut all {
        assert!(matches!(station.next().unwrap().message(), ServerToClient::Welcome(_)));
    }
    assert_eq!((count("chappe_passwords_right_total"), count("chappe_passwords_remembered_total")), (1, 199));
}

#[test]
fn a_new_password_counts_at_once_and_who_is_in_stays() {
    let mut daemon = start(CHEAP, "");
    let mut anna = daemon.connect();
    anna.hello_as(hello("anna", ANNA)).unwrap();
    anna.join("x");
    let text = std::fs::read_to_string(daemon.config_path()).unwrap();
    let line = text.lines().find(|l| l.starts_with("password_hash")).unwrap();
    let fresh = text.replacen(line, &format!("password_hash = \"{}\"", hash(b"a new one", CHEAP).unwrap()), 1);
    daemon.write_config(&fresh);
    daemon.signal("HUP");
    daemon.event("config.reloaded");
    assert_eq!(daemon.connect().hello_as(hello("anna", ANNA)), Err(Code::BadCredentials), "not remembered any more");
    let mut again = daemon.connect();
    again.hello_as(hello("anna", "a new one")).unwrap();
    again.send("x", b"hello");
    assert_eq!(anna.hear(), b"hello");
}

#[test]
fn who_leaves_before_the_answer_costs_nothing() {
    let mut daemon = start(DEAR, "[limits]\nhello_within_ms = 60000\n");
    let count = counters(&mut daemon);
    for n in 0..20 {
        let mut station = from(&daemon, [127, 0, 7, n]);
        station.say(hello("anna", "guess"));
        let Stream::Tcp(stream) = &station.stream else { unreachable!() };
        // A broken connection, not a half-closed one.
        socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO)).unwrap();
    }
    until("all are gone", || count("chappe_connections") == 0);
    until("nobody waits", || count("chappe_passwords_waiting") == 0);
    let looked = count("chappe_passwords_wrong_total");
    assert!(looked < 5, "{looked} of them were looked at");
}

/// Who waits for the answer to a password is nobody yet, and gets no more memory than that.
#[test]
fn who_waits_for_an_answer_holds_little_memory() {
    // Long, but in little memory: what is measured is the rest.
    let long = Cost { memory: 64, passes: 16384 };
    let authority = support::tls::Authority::new();
    let listeners = support::tls::listeners(&authority.server().toml(""));
    let more = "[limits]\nhello_within_ms = 60000\n";
    let mut daemon = Daemon::start(&format!("{more}{METRICS}{}{listeners}", users(long)));
    let count = counters(&mut daemon);
    let mut bytes = frame(hello("anna", "guess"));
    bytes.extend(PING.repeat(15_000));
    let config = support::tls::client(&authority.root, &support::tls::TLS13);
    for kind in ["tcp", "tls"] {
        let before = resident(&daemon);
        let mut all = Vec::new();
        for n in 0..150 {
            let mut station = match kind {
                "tls" => support::tls::connect(&daemon, &config).unwrap(),
                _ => from(&daemon, [127, 0, 6, n]),
            };
            station.write(&bytes).unwrap();
            all.push(station);
        }
        until("they wait", || count("chappe_passwords_waiting") >= 149);
        let each = resident(&daemon).saturating_sub(before) / 150;
        // A record is 16 KiB, and is understood as a whole.
        let most = if kind == "tls" { 48 * 1024 } else { 16 * 1024 };
        assert!(each < most, "{kind}: {each} octets for each");
        for station in &all {
            let stream = match &station.stream {
                Stream::Tls(stream) => &stream.sock,
                Stream::Tcp(stream) => stream,
                _ => unreachable!(),
            };
            // Broken, so that nobody waits for their passwords any more.
            socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO)).unwrap();
        }
        drop(all);
        until("all are gone", || count("chappe_connections") == 0);
    }
}

#[test]
fn a_datagram_station_has_a_password_too() {
    let listener = "[[listeners]]\naddress = \"udp://127.0.0.1:0\"\n";
    let mut daemon = Daemon::start(&format!("{METRICS}{}{listener}", users(CHEAP)));
    let count = counters(&mut daemon);
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(daemon.address("udp")).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    // What is behind it in the same datagram is lost, as datagrams may be.
    let bytes = [&frame(hello("anna", ANNA))[..], &PING].concat();
    socket.send(&bytes).unwrap();
    let mut heard = [0; 2000];
    let n = socket.recv(&mut heard).unwrap();
    assert!(n > 8 && heard[0] == 2);
    assert_eq!(count("chappe_datagrams_early_total"), 1);
    socket.send(&PING).unwrap();
    assert_eq!(socket.recv(&mut heard).unwrap(), 4, "a pong");
}

/// Anybody can send datagrams that say to come from an address: who really comes from there,
/// by a stream, does not wait for that.
#[test]
fn datagrams_from_an_address_slow_down_no_streams_from_there() {
    let both = "[[listeners]]\naddress = \"udp://127.0.0.1:0\"\n[[listeners]]\naddress = \"tcp://127.0.0.1:0\"\n";
    let mut daemon = Daemon::start(&format!("{METRICS}{}{both}", users(CHEAP)));
    let count = counters(&mut daemon);
    for _ in 0..12 {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.send_to(&frame(hello("berta", "guess")), daemon.address("udp")).unwrap();
    }
    until("they are too many", || count("chappe_passwords_refused_total") > 0);
    daemon.connect().hello_as(hello("anna", ANNA)).expect("welcome");
    assert_eq!(daemon.event("sign_in.wrong")["from"], "127.0.0.1 (datagrams)");
}

#[test]
fn bad_hashes_are_named_and_not_shown() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("chappe.toml");
    let good = hash(b"open sesame", CHEAP).unwrap();
    for (keys, key, why) in [
        ("password_hash = \"hunter22\"".to_owned(), "password_hash", "chappe hash-password"),
        (format!("password_hash = \"{}\"", &good[..good.len() - 30]), "password_hash", "chappe hash-password"),
        (format!("password_hash = \"{good}\"\ntoken = \"12345678\""), "password_hash", "token"),
        (format!("password_hash = \"{}\"", good.replace("m=64", "m=4000000")), "password_hash", "at most"),
    ] {
        std::fs::write(&path, format!("[[users]]\nname = \"a\"\n{keys}\n")).unwrap();
        let output = Command::new(CHAPPE).arg("check-config").arg(&path).output().unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        let is_whole = keys.contains(&good) && !keys.contains("token");
        assert_eq!(output.status.code(), Some(78), "{keys}\n{text}");
        assert!(is_whole || (text.contains(&format!("users[0].{key}: ")) && text.contains(why)), "{keys}\n{text}");
        assert!(!text.contains("hunter22") && !text.contains("$argon2id$v=19"), "{text}");
    }
    std::fs::write(&path, format!("[[users]]\nname = \"a\"\npassword_hash = \"{good}\"\n")).unwrap();
    let output = Command::new(CHAPPE).arg("check-config").arg(&path).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && text.contains("(hidden)") && !text.contains("argon2"), "{text}");
}

fn hash_password(arguments: &[&str], input: &[u8]) -> (Option<i32>, String, String) {
    let mut child = Command::new(CHAPPE)
        .arg("hash-password")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let _ = child.stdin.take().unwrap().write_all(input);
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn hash_password_makes_what_the_daemon_takes() {
    let cheap = ["--memory", "64", "--passes", "1"];
    for (input, password) in [("pass word\n", "pass word"), ("grün \r\n", "grün "), ("no end", "no end")] {
        let (status, out, errors) = hash_password(&cheap, input.as_bytes());
        assert_eq!(status, Some(0), "{errors}");
        let hash = out.trim_end();
        assert!(hash.starts_with("$argon2id$v=19$m=64,t=1,p=1$"), "{out}");
        let mut daemon = Daemon::start(&format!("[[users]]\nname = \"a\"\npassword_hash = \"{hash}\"\n"));
        daemon.connect().hello_as(hello("a", password)).expect("welcome");
        assert_eq!(errors.contains("short"), password.len() < 8, "{errors}");
    }
    let (status, out, _) = hash_password(&[], b"a usual one");
    assert!(status == Some(0) && out.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{out}");
    for (arguments, input, why) in [
        (&cheap[..], &b"\n"[..], "1 to 128 bytes"),
        (&cheap, &[b'x'; 200], "1 to 128 bytes"),
        (&["--memory", "1"], b"password", "1 KiB"),
        (&["--memory", "9999999"], b"password", "at most"),
    ] {
        let (status, out, errors) = hash_password(arguments, input);
        assert!(status == Some(2) && out.is_empty() && errors.contains(why), "{errors}");
    }
}

/// A terminal and the program at its other end, which takes it for its own.
fn at_a_terminal() -> (std::fs::File, std::process::Child) {
    use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
    use std::os::unix::process::CommandExt;
    let (mut near, mut far) = (0, 0);
    let nothing = std::ptr::null_mut();
    // SAFETY: two descriptors are written to places for two; the rest is left out.
    assert_eq!(unsafe { libc::openpty(&mut near, &mut far, nothing, nothing.cast_const().cast(), nothing.cast()) }, 0);
    // SAFETY: both are new and owned by nobody else.
    let (near, far) = unsafe { (std::fs::File::from_raw_fd(near), OwnedFd::from_raw_fd(far)) };
    let mut command = Command::new(CHAPPE);
    command.args(["hash-password", "--memory", "64", "--passes", "1"]);
    command.stdin(far.try_clone().unwrap()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let number = far.as_raw_fd();
    // SAFETY: both calls are allowed between fork and exec.
    unsafe {
        command.pre_exec(move || {
            if libc::setsid() < 0 || libc::ioctl(number, libc::TIOCSCTTY, 0) < 0 {
                return Err(std::io::Error::last_os_error());
            }
            Ok(())
        });
    }
    let child = command.spawn().unwrap();
    (near, child)
}

fn read_until(terminal: &mut std::fs::File, shown: &mut String, what: &str) {
    let mut byte = [0; 64];
    while !shown.contains(what) {
        let n = terminal.read(&mut byte).unwrap();
        shown.push_str(std::str::from_utf8(&byte[..n]).unwrap());
    }
}

fn shows_what_is_typed(terminal: &std::fs::File) -> bool {
    use std::os::fd::AsRawFd;
    let mut about = std::mem::MaybeUninit::<libc::termios>::uninit();
    // SAFETY: one termios is written to a place for one, and looked at if it was.
    unsafe {
        assert_eq!(libc::tcgetattr(terminal.as_raw_fd(), about.as_mut_ptr()), 0);
        about.assume_init().c_lflag & libc::ECHO != 0
    }
}

#[test]
fn hash_password_at_a_terminal_shows_nothing_and_asks_twice() {
    let (mut terminal, child) = at_a_terminal();
    let mut shown = String::new();
    read_until(&mut terminal, &mut shown, "Password: ");
    until("it is not shown", || !shows_what_is_typed(&terminal));
    terminal.write_all(b"open sesame\n").unwrap();
    read_until(&mut terminal, &mut shown, "Once more: ");
    until("it is not shown", || !shows_what_is_typed(&terminal));
    terminal.write_all(b"open sesame\n").unwrap();
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && text.starts_with("$argon2id$"), "{text}");
    assert!(!shown.contains("open"), "{shown}");
    assert!(shows_what_is_typed(&terminal), "and the terminal is as it was");
}

#[test]
fn hash_password_leaves_the_terminal_as_it_was_when_interrupted() {
    let (mut terminal, mut child) = at_a_terminal();
    read_until(&mut terminal, &mut String::new(), "Password: ");
    until("it is not shown", || !shows_what_is_typed(&terminal));
    terminal.write_all(b"half a pass\x03").unwrap();
    let status = support::wait(&mut child);
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(libc::SIGINT), "{status}");
    assert!(shows_what_is_typed(&terminal));
}
