//! What strangers can do to the daemon by Clacks: garbage, half lines, lines without end,
//! thousands of connections; a serial line with a small device at the other end.

mod support;

use std::ffi::CStr;
use std::fs::File;
use std::io::Write;
use std::net::{Shutdown, TcpStream};
use std::os::fd::FromRawFd;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use support::clacks::{Client, login};
use support::{Daemon, METRICS, Stream, counters, until};

const USERS: &str =
    "[[users]]\nname = \"main\"\ntoken = \"unsafepassword\"\nrights = [\"read\", \"write\", \"manage\"]\n";
const LISTENERS: &str =
    "[[listeners]]\naddress = \"clacks://FOLDER/clacks\"\n[[listeners]]\naddress = \"clacks://127.0.0.1:0\"\n";

fn start(more: &str) -> Daemon {
    Daemon::start(&format!("{more}\n{METRICS}{USERS}{LISTENERS}"))
}

fn memory(daemon: &Daemon) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{}/status", daemon.pid())).unwrap();
    let line = status.lines().find(|l| l.starts_with("VmRSS")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() / 1024
}

/// Numbers that look like none, the same ones each time.
fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2) | 1;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as u8
    };
    (0..len).map(|_| next()).collect()
}

#[test]
fn garbage_costs_only_who_sends_it() {
    let mut daemon = start("");
    let count = counters(&mut daemon);
    let mut good = daemon.clacks("main", "unsafepassword");
    for seed in 0..40 {
        let mut stranger = UnixStream::connect(daemon.clacks_path()).unwrap();
        let _ = stranger.write_all(&noise(seed, 20_000));
        let mut user = Client::unix(daemon.clacks_path()).greeted();
        user.login("main", "unsafepassword");
        let _ = user.try_write(&noise(seed + 1000, 20_000));
        good.sync();
    }
    // All octets but the two pass through untouched; and what is no command is told so.
    let all: Vec<u8> = (0..=255).filter(|b| !matches!(b, b'\r' | b'\n' | b'=')).collect();
    let mut other = daemon.clacks("main", "unsafepassword");
    other.write(&[&b"STORE odd="[..], &all, b"\nRETRIEVE odd\n"].concat());
    assert_eq!(other.line(), format!("RETRIEVED odd={}", String::from_utf8_lossy(&all)));
    assert_eq!(good.ask("nonsense"), "OVERHEAD E unknown_command nonsense");
    good.write(b"\r\n\n\n\r\r\nRETRIEVE n\ro\rthing\r\n");
    assert_eq!(good.line(), "NOTRETRIEVED nothing");
    assert!(count("chappe_lines_unknown_total") > 0);
    until("who sent it is gone", || count("chappe_connections") == 2);
}

#[test]
fn half_lines_and_lines_without_end_are_ended() {
    let mut daemon = start("[limits]\nframe_within_ms = 400\n[clacks]\nmax_line = 100000\noutbox = 1000000\n");
    let count = counters(&mut daemon);
    let mut good = daemon.clacks("main", "unsafepassword");
    // One octet at a time is a line like any other.
    for byte in b"STORE slowly=1\r\n" {
        good.write(&[*byte]);
    }
    assert_eq!(good.ask("RETRIEVE slowly"), "RETRIEVED slowly=1");
    // The longest that is taken, and one more octet.
    let longest = "x".repeat(100_000 - "SET l=\r\n".len());
    let mut listener = daemon.clacks("main", "unsafepassword");
    listener.listen("l");
    good.say(&format!("SET l={longest}"));
    assert_eq!(listener.line(), format!("SET l={longest}"));
    let mut long = daemon.clacks("main", "unsafepassword");
    long.say(&format!("SET l={longest}x"));
    let told = long.until_end();
    assert!(!told.is_empty() && told.iter().all(|line| line.starts_with("OVERHEAD E ")), "{told:?}");
    assert!(listener.has_nothing());
    // Before the login a line has to be short, and no more than that is kept.
    let mut stranger = Client::unix(daemon.clacks_path()).greeted();
    let _ = stranger.try_write(&vec![b'x'; 1 << 20]);
    stranger.until_end();
    // A line that is not ended in time.
    let begin = Instant::now();
    let mut half = daemon.clacks("main", "unsafepassword");
    half.write(b"STORE half=1");
    assert_eq!(half.until_end(), ["", "TIMEOUT"]);
    assert!(begin.elapsed() >= Duration::from_millis(390));
    good.sync();
    until("they are gone", || count("chappe_connections") == 2);
}

#[test]
fn thousands_that_connect_and_vanish_leave_nothing_behind() {
    let mut daemon = start("");
    let count = counters(&mut daemon);
    let mut good = daemon.clacks("main", "unsafepassword");
    let address = daemon.clacks_tcp();
    let login = login("main", "unsafepassword");
    let (mut worst, mut before) = (Duration::ZERO, 0);
    for n in 0..6000 {
        let mut stranger = TcpStream::connect(&address).unwrap();
        match n % 4 {
            0 => {}
            1 => stranger.write_all(b"CLACKS half").unwrap(),
            2 => stranger.write_all(&[&login[..], b"LISTEN a\r\nKEYLIST\r\nFLUSH 1\r\n"].concat()).unwrap(),
            _ => {
                stranger.write_all(&login).unwrap();
                stranger.shutdown(Shutdown::Write).unwrap();
            }
        }
        drop(stranger);
        if n % 100 == 0 {
            let begin = Instant::now();
            good.sync();
            worst = worst.max(begin.elapsed());
        }
        if n == 2000 {
            until("they are gone", || count("chappe_connections") == 1);
            before = memory(&daemon);
        }
    }
    until("they are gone", || count("chappe_connections") == 1);
    assert!(worst < Duration::from_millis(500), "{worst:?}");
    let after = memory(&daemon);
    assert!(after <= before + 4, "{before} MiB, then {after} MiB");
    let files = std::fs::read_dir(format!("/proc/{}/fd", daemon.pid())).unwrap().count();
    assert!(files < 40, "{files} descriptors");
    eprintln!("a round trip took {worst:?} at most; memory {before} MiB, then {after} MiB");
}

#[test]
fn what_waits_behind_a_list_that_is_not_read_has_a_limit() {
    let mut daemon = start(
        "[limits]\nbuffers = 4194304\noutbox = 1048576\n[msgq]\nmax_body = 65536\noutbox = 2097152\n\
                            [clacks]\nmax_line = 65536\noutbox = 1048576\n",
    );
    let count = counters(&mut daemon);
    let mut good = daemon.clacks("main", "unsafepassword");
    for n in 0..20_000 {
        good.say(&format!("STORE key::{n:08}{}=", "x".repeat(80)));
    }
    good.sync();
    // Each wants more listed than the kernel takes for it, and says more behind that than is
    // kept for all together.
    let mut strangers = Vec::new();
    for _ in 0..100 {
        let mut stranger = daemon.clacks("main", "unsafepassword");
        let _ = stranger.try_write(&[&b"KEYLIST\r\n"[..], &b"STORE x=1\r\n".repeat(5000)].concat());
        strangers.push(stranger);
    }
    until("some of them had to go", || {
        count("chappe_held_too_much_total") + count("chappe_closed_no_memory_total") > 0
    });
    assert!(good.has_nothing(), "and nobody else notices");
    daemon.event("connection.no_memory");
}

// ---- a serial line ----

/// The end that is the device's, not blocking, and the path of the daemon's end.
fn line() -> (File, String) {
    // SAFETY: no pointers; the result is checked and owned by nobody else. The name is copied
    // before anybody else can ask for one (one call in this process at a time).
    unsafe {
        let fd = libc::posix_openpt(libc::O_RDWR | libc::O_NOCTTY | libc::O_NONBLOCK | libc::O_CLOEXEC);
        assert!(fd >= 0);
        let master = File::from_raw_fd(fd);
        assert_eq!(libc::grantpt(fd), 0);
        assert_eq!(libc::unlockpt(fd), 0);
        let mut name = [0; 64];
        assert_eq!(libc::ptsname_r(fd, name.as_mut_ptr(), name.len()), 0);
        (master, CStr::from_ptr(name.as_ptr()).to_str().unwrap().to_owned())
    }
}

#[test]
fn a_small_device_speaks_over_a_serial_line() {
    let (device, path) = line();
    let mut daemon = Daemon::start(&format!(
        "{USERS}[clacks]\nlinger_ms = 300\nping_within_ms = 1500\n\
         [[listeners]]\naddress = \"clacks://FOLDER/clacks\"\n\
         [[listeners]]\naddress = \"clacks+serial://{path}?speed=115200\"\n"
    ));
    assert_eq!(daemon.event("serial.opened")["line"], format!("clacks+serial://{path}?speed=115200"));
    let mut host = daemon.clacks("main", "unsafepassword");
    host.say("NOPING");
    host.listen("heat");
    // Nothing is said to a line on which nobody has spoken.
    let mut device = Client::mute(Stream::File(device));
    assert!(device.next_within(Duration::from_millis(200)).is_none());
    device.write(&[b"CLACKS board\r\n".to_vec(), login("main", "unsafepassword")].concat());
    let mut device = device.greeted();
    assert_eq!(device.line(), "OVERHEAD O Welcome!");
    device.listen("led");
    device.say("SET heat=21");
    assert_eq!(host.line(), "SET heat=21");
    let odd: String = (32u8..127).map(char::from).collect();
    host.say(&format!("SET led={odd}"));
    assert_eq!(device.line(), format!("SET led={odd}"));
    // A list longer than a terminal holds at once, and what stands behind it.
    for n in 0..2000 {
        host.say(&format!("STORE key::{n:04}="));
    }
    host.sync();
    device.say("KEYLIST");
    device.say("FLUSH behind");
    assert_eq!(device.line(), "KEYLISTSTART");
    for n in 0..2000 {
        assert_eq!(device.line(), format!("KEY key::{n:04}"));
    }
    assert_eq!((device.line().as_str(), device.line().as_str()), ("KEYLISTEND", "FLUSHED behind"));
    // Who says goodbye leaves the line to the next, even in the middle of what it says.
    device.say("QUIT");
    until("it is gone", || daemon.seen().len() < 10_000 && host.ask("RETRIEVE x") == "NOTRETRIEVED x");
    std::thread::sleep(Duration::from_millis(100));
    device.write(&login("main", "wrong"));
    let mut device = device.greeted();
    assert_eq!(device.line(), "OVERHEAD F Login failed!");
    // What comes while last words stand is thrown away; then the line is free.
    device.write(b"STORE x=1\r\n");
    assert_eq!(daemon.event("connection.closed")["reason"], "bad_credentials");
    device.write(&login("main", "unsafepassword"));
    let mut device = device.greeted();
    assert_eq!(device.line(), "OVERHEAD O Welcome!");
    assert_eq!(device.ask("RETRIEVE x"), "NOTRETRIEVED x");
    // Silence ends the session, not the line.
    assert_eq!((device.line().as_str(), device.line().as_str()), ("", "TIMEOUT"));
    assert_eq!(daemon.event("connection.closed")["reason"], "silent");
    device.write(&login("main", "unsafepassword"));
    let mut device = device.greeted();
    assert_eq!(device.line(), "OVERHEAD O Welcome!");
}
