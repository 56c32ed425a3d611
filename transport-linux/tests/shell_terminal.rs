//! `chappe shell` at a terminal: the prompt, completion, history, and what comes from others.

#[path = "support/communicator_script.rs"]
#[allow(dead_code, unreachable_pub, missing_docs)]
mod script;

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use script::Script;
use script::stream::PATIENCE;

/// A terminal, and the program at its other end. Dropping it ends that.
struct Terminal {
    near: File,
    child: Child,
    shown: String,
}

impl Terminal {
    fn new(mut command: Command) -> Terminal {
        let (mut near, mut far) = (0, 0);
        let nothing = std::ptr::null_mut();
        // SAFETY: two descriptors are written to places for two; the rest is left out.
        let opened =
            unsafe { libc::openpty(&mut near, &mut far, nothing, nothing.cast_const().cast(), nothing.cast()) };
        assert_eq!(opened, 0);
        // SAFETY: both are new and owned by nobody else.
        let (near, far) = unsafe { (File::from_raw_fd(near), OwnedFd::from_raw_fd(far)) };
        command.env("TERM", "xterm").stdin(far.try_clone().unwrap());
        command.stdout(far.try_clone().unwrap()).stderr(far.try_clone().unwrap());
        let (number, other) = (far.as_raw_fd(), near.as_raw_fd());
        // SAFETY: all calls are allowed between fork and exec.
        unsafe {
            command.pre_exec(move || {
                // else it would itself keep its terminal from hanging up
                libc::close(other);
                if libc::setsid() < 0 || libc::ioctl(number, libc::TIOCSCTTY, 0) < 0 {
                    return Err(std::io::Error::last_os_error());
                }
                Ok(())
            });
        }
        let child = command.spawn().unwrap();
        Terminal { near, child, shown: String::new() }
    }

    /// Reads until this is shown, and forgets all up to its end.
    fn until(&mut self, what: &str) -> String {
        let mut bytes = [0; 256];
        loop {
            if let Some(at) = self.shown.find(what) {
                return self.shown.drain(..at + what.len()).collect();
            }
            let mut about = libc::pollfd { fd: self.near.as_raw_fd(), events: libc::POLLIN, revents: 0 };
            // SAFETY: one pollfd, and that it is one.
            let ready = unsafe { libc::poll(&mut about, 1, PATIENCE.as_millis() as i32) };
            assert!(ready > 0, "{what:?} is not shown: {:?}", self.shown);
            let n = self.near.read(&mut bytes).unwrap_or_else(|e| panic!("{e}, before {what:?}: {}", self.shown));
            self.shown.push_str(&String::from_utf8_lossy(&bytes[..n]));
        }
    }

    /// Ctrl-D until it has ended: between two lines the terminal itself takes it, and it is lost.
    fn end(&mut self) -> std::process::ExitStatus {
        let end = Instant::now() + PATIENCE;
        loop {
            let _ = self.near.write_all(b"\x04");
            let next = Instant::now() + Duration::from_millis(50);
            while Instant::now() < next.min(end) {
                if let Some(status) = self.child.try_wait().unwrap() {
                    return status;
                }
                std::thread::yield_now();
            }
            assert!(Instant::now() < end, "it does not end: {:?}", self.shown);
        }
    }

    fn keys(&mut self, keys: &str) {
        self.near.write_all(keys.as_bytes()).unwrap();
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn typed_completed_remembered_and_nothing_raw() {
    let server = Script::new(&["register
        C: <:tester communicatord/LIST_SERVICES
        S: <hostA:communicatord hostA:tester/SERVICES count=2;list=watchdog,foo
        S: <hostA:foo tester/LOG_ROTATE text=\x1b[31mred\x07
        C: <:tester watchdog/SERVICE_STATUS service=a
        S: <hostA:foo tester/RESTART
        C: <:tester watchdog/SERVICE_STATUS service=a
        C: <:tester ./PING password=x
        C: <:tester communicatord/ALIVE serial=flush_1
        S: ABSOLUTELY serial=flush_1;reply_timestamp=1
        C: UNREGISTER service=tester"]);
    let dir = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_chappe"));
    command.args(["shell", "--name", "tester", "--connect", &server.uri().to_string()]);
    for variable in ["CHAPPE_CONNECT", "CHAPPE_USER", "CHAPPE_TOKEN", "CHAPPE_HISTORY"] {
        command.env_remove(variable);
    }
    command.env("XDG_STATE_HOME", dir.path());
    let mut terminal = Terminal::new(command);
    // above the prompt, which is there again behind it
    let before = terminal.until("LOG_ROTATE  text=\\u{1b}[31mred\\u{7}");
    assert!(before.contains(" as tester") && !before.contains("\x1b[31m"), "{before:?}");
    // services that are there, commands and parameters of the page
    terminal.keys("wat\tSERVICE_ST\t ser\ta\r");
    terminal.until("tester/RESTART");
    // what was typed before
    terminal.keys("\x1b[A\r");
    terminal.keys("./PING password=x\r");
    terminal.keys("/help\r");
    terminal.until("/disconnect");
    let status = terminal.end();
    assert!(status.success(), "{status} {}", terminal.shown);
    server.done();
    let file = dir.path().join("chappe/history");
    let history = std::fs::read_to_string(&file).unwrap();
    assert!(history.contains("watchdog/SERVICE_STATUS service=a") && !history.contains("password"), "{history}");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o077, 0, "for nobody else");
    assert_eq!(std::fs::metadata(file.parent().unwrap()).unwrap().permissions().mode() & 0o077, 0);
}
