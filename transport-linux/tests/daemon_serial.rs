//! Stations over a serial line, which here is a pseudo terminal.

mod support;

use std::ffi::CStr;
use std::fs::File;
use std::os::fd::FromRawFd;
use std::time::Duration;

use chappe_core::dialect::messi::repr::{Code, Hello, ServerToClient};
use support::{Daemon, Station, Stream, until};

/// The end that is the board's, not blocking, and the path of the daemon's end. A daemon must
/// not outlive it under that path: another test gets the same one, and it would open that.
fn line() -> (File, String) {
    // SAFETY: no pointers; the result is checked and owned by nobody else. The name is
    // copied before anybody else can ask for one (one call in this process at a time).
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

fn open_files(daemon: &Daemon, path: &str) -> usize {
    let all = std::fs::read_dir(format!("/proc/{}/fd", daemon.pid())).unwrap();
    all.filter_map(|f| std::fs::read_link(f.ok()?.path()).ok()).filter(|p| p.to_str() == Some(path)).count()
}

#[test]
fn a_station_speaks_over_a_line_as_over_a_connection() {
    let (board, path) = line();
    let mut daemon = Daemon::start(&format!(
        "[limits]\nsilence_ms = 1000\n[[listeners]]\naddress = \"serial://{path}?speed=115200\"\n\
         [[listeners]]\naddress = \"tcp://127.0.0.1:0\"\n"
    ));
    assert!(daemon.event("serial.opened")["line"].as_str().unwrap().contains(&path));
    let mut board = Station::new(Stream::File(board));
    board.hello("board");
    board.join("led");
    let mut person = daemon.station("person");
    person.join("heat");
    // Every byte value passes: nothing is echoed, translated or taken for flow control.
    let all: Vec<u8> = (0..=255).collect();
    person.send("led", &all);
    assert_eq!(board.hear(), all);
    board.send("heat", &all);
    assert_eq!(person.hear(), all);
    // More than a terminal holds at once.
    let large = vec![0x11; 30_000];
    let writer = std::thread::spawn({
        let large = large.clone();
        move || {
            person.send("led", &large);
            person
        }
    });
    assert_eq!(board.hear(), large);
    let _person = writer.join().unwrap();
    // Silence ends the station, not the line: the next one may speak.
    let heard = board.next().unwrap();
    let ServerToClient::Closing(closing) = heard.message() else { panic!("{:?}", heard.message()) };
    assert_eq!(closing.code, Code::Silent);
    daemon.event("connection.closed");
    board.hello("board again");
    board.join("led");
    assert!(board.is_alive());
    drop(daemon);
}

#[test]
fn a_line_that_goes_away_is_opened_again() {
    let folder = tempfile::tempdir().unwrap();
    let link = folder.path().join("ttyBOARD");
    let mut daemon = Daemon::start(&format!(
        "[[listeners]]\naddress = \"serial://{}\"\n[[listeners]]\naddress = \"tcp://127.0.0.1:0\"\n",
        link.display()
    ));
    // Not there yet: said, and tried again.
    daemon.event("serial.failed");
    for round in 0..2 {
        let (board, path) = line();
        std::os::unix::fs::symlink(&path, &link).unwrap();
        daemon.event("serial.opened");
        until("it holds the line", || open_files(&daemon, &path) == 1);
        let mut board = Station::new(Stream::File(board));
        board.hello(if round == 0 { "board" } else { "another board" });
        std::fs::remove_file(&link).unwrap();
        drop(board);
        daemon.event("serial.lost");
    }
    let before = daemon.cpu();
    std::thread::sleep(Duration::from_millis(500));
    assert!(daemon.cpu() - before < Duration::from_millis(100), "it spins on a line that is gone");
    assert!(daemon.station("other").is_alive());
}

#[test]
fn who_is_let_go_while_a_password_is_looked_at_leaves_the_line_to_the_next() {
    let (board, path) = line();
    let dear = chappe_linux::password::Cost { memory: 256 * 1024, passes: 4 };
    let hash = chappe_linux::password::hash(b"open sesame", dear).unwrap();
    let mut daemon = Daemon::start(&format!(
        "[limits]\nhello_within_ms = 100\n[[users]]\nname = \"anna\"\npassword_hash = \"{hash}\"\n\
         [[listeners]]\naddress = \"serial://{path}\"\n"
    ));
    daemon.event("serial.opened");
    let mut board = Station::new(Stream::File(board));
    let hello = Hello { seq: 1, name: "one", user: "anna", token: b"open sesame", ..Hello::default() };
    assert_eq!(board.hello_as(hello), Err(Code::NotIntroduced), "that took too long");
    daemon.event("connection.closed");
    board.hello("another");
    assert!(board.is_alive());
    drop(daemon);
}
