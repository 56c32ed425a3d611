//! Linked servers: daemons as processes, and peers that say, byte for byte, what the original
//! says over a link (`wire/clacks.md` section 12.2).

use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::clacks::{Client, login};
use super::{CHAPPE, Daemon, PATIENCE, Stream};

/// The one user that all servers have for links.
pub const LINK: (&str, &str) = ("link", "word-of-links");

/// Times that tests can wait for, and the user of links.
pub const QUICK: &str = "login_within_ms = 1500\nlink_ping_within_ms = 3000\nlinger_ms = 100\n";

const USERS: &str = r#"
[[listeners]]
address = "clacks://FOLDER/c.sock"
[[listeners]]
address = "tcp://127.0.0.1:0"
anonymous = ["read", "write"]
[[users]]
name = "link"
token = "word-of-links"
rights = ["read", "write", "manage", "link"]
[[users]]
name = "rw"
token = "word-of-rw"
rights = ["read", "write"]
[[users]]
name = "ro"
token = "word-of-ro"
rights = ["read"]
[[users]]
name = "boss"
token = "word-of-boss"
rights = ["read", "write", "manage"]
"#;

/// A configuration: keys of `[clacks]`, those of `[clacks.master]`, and others.
pub fn config(clacks: &str, master: &str, more: &str) -> String {
    format!(
        "[log]\nlevel = \"debug\"\n[metrics]\nlisten = \"127.0.0.1:0\"\n[clacks]\nlink_user = \"link\"\n\
         link_password_file = \"FOLDER/link\"\n{QUICK}{clacks}\n[clacks.master]\nreconnect_after_ms = 300\n{master}\n{more}\n{USERS}"
    )
}

/// A folder with the password of links.
pub fn folder(password: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("link"), password).unwrap();
    folder
}

/// A daemon, whose password of links may be another one.
pub fn start_with(password: &str, config: &str) -> Daemon {
    start_in(folder(password), config).unwrap_or_else(|(status, text)| panic!("it did not start: {status}\n{text}"))
}

pub fn start_in(folder: tempfile::TempDir, config: &str) -> Result<Daemon, (ExitStatus, String)> {
    Daemon::start_in(folder, config, |path| {
        let mut command = Command::new(CHAPPE);
        command.arg("serve").arg("--config").arg(path);
        command
    })
}

/// A daemon without a master.
pub fn master() -> Daemon {
    start_with(LINK.1, &config("", "", ""))
}

/// A slave of whoever is at this address.
pub fn slave_of(address: &str) -> Daemon {
    start_with(LINK.1, &config("", &format!("address = \"{address}\""), ""))
}

/// A slave of this daemon, in step with it.
pub fn slave(master: &Daemon) -> Daemon {
    let mut daemon = slave_of(&at(master));
    daemon.event("link.synced");
    daemon
}

/// The address of a daemon's Unix socket.
pub fn at(daemon: &Daemon) -> String {
    format!("clacks://{}", daemon.clacks_path())
}

/// Ends it without a word, and starts it anew with another configuration, or the same.
pub fn kill(mut daemon: Daemon) -> tempfile::TempDir {
    daemon.child.kill().unwrap();
    daemon.child.wait().unwrap();
    std::mem::replace(&mut daemon.folder, tempfile::tempdir().unwrap())
}

/// A client that may read and write.
pub fn client(daemon: &Daemon) -> Client {
    daemon.clacks("rw", "word-of-rw")
}

/// Waits until a key has this value; `None`: until there is none.
pub fn comes(client: &mut Client, key: &str, value: Option<&str>) {
    let want = match value {
        Some(value) => format!("RETRIEVED {key}={value}"),
        None => format!("NOTRETRIEVED {key}"),
    };
    let end = Instant::now() + PATIENCE;
    loop {
        let got = client.ask(&format!("RETRIEVE {key}"));
        if got == want {
            return;
        }
        assert!(Instant::now() < end, "{got} instead of {want}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Seconds since 1970.
pub fn clock() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64()
}

/// A place where a slave finds the test.
pub struct Stage {
    pub folder: tempfile::TempDir,
    listener: UnixListener,
}

impl Stage {
    pub fn new() -> Stage {
        let folder = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(folder.path().join("m.sock")).unwrap();
        listener.set_nonblocking(true).unwrap();
        Stage { folder, listener }
    }

    pub fn path(&self) -> PathBuf {
        self.folder.path().join("m.sock")
    }

    pub fn address(&self) -> String {
        format!("clacks://{}", self.path().display())
    }

    /// The slave's next connection, if it comes in time.
    pub fn visitor(&self, patience: Duration) -> Option<Client> {
        let end = Instant::now() + patience;
        loop {
            match self.listener.accept() {
                Ok((stream, _)) => {
                    stream.set_nonblocking(false).unwrap();
                    return Some(Client::mute(Stream::Unix(stream)));
                }
                Err(_) if Instant::now() < end => std::thread::sleep(Duration::from_millis(2)),
                Err(_) => return None,
            }
        }
    }

    /// The slave's next connection, whose three lines are what they have to be.
    pub fn accept(&self) -> Client {
        let mut slave = self.visitor(PATIENCE).expect("the slave comes");
        slave_has_begun(&mut slave);
        slave
    }

    /// A slave that has come, and is in step with a master without values.
    pub fn linked(&self) -> Client {
        let mut slave = self.accept();
        greet(&mut slave);
        slave.say("OVERHEAD L 1");
        slave.say(&format!("OVERHEAD T {:.5}", clock()));
        slave.say("OVERHEAD L 0");
        assert_eq!(slave.line(), "OVERHEAD O Welcome!");
        assert!(slave.line().starts_with("OVERHEAD T "));
        slave
    }
}

/// What a slave says without waiting for anything.
pub fn slave_has_begun(slave: &mut Client) {
    assert_eq!(slave.line(), "CLACKS PageCamel 36 in interclacks client mode");
    assert_eq!(format!("{}\r\n", slave.line()).as_bytes(), login(LINK.0, LINK.1));
    assert_eq!(slave.line(), "OVERHEAD I 1");
}

/// What a master says up to its own login, as the original does.
pub fn greet(slave: &mut Client) {
    slave.say("CLACKS PageCamel 36");
    slave.say("OVERHEAD M Authentication required");
    slave.say("CLACKS PageCamel 36 in interclacks master mode");
    slave.say("OVERHEAD M Authentication required");
    slave.write(&login(LINK.0, LINK.1));
}

/// The next line that is no sign of life.
pub fn news(peer: &mut Client) -> String {
    loop {
        let line = peer.line();
        if line != "PING" {
            return line;
        }
    }
}

/// Lines that are no signs of life, for a while.
pub fn hear(peer: &mut Client, patience: Duration) -> Vec<String> {
    let end = Instant::now() + patience;
    let mut all = Vec::new();
    while let Some(left) = end.checked_duration_since(Instant::now()) {
        match peer.next_within(left) {
            Some(Some(line)) if line == "PING" => {}
            Some(Some(line)) => all.push(line),
            Some(None) | None => break,
        }
    }
    all
}

/// Reads to the end, which has to come.
pub fn ends(mut peer: Client, patience: Duration) -> Vec<String> {
    let end = Instant::now() + patience;
    let mut all = Vec::new();
    loop {
        let left = end.checked_duration_since(Instant::now()).expect("it ends");
        match peer.next_within(left) {
            Some(Some(line)) => all.push(line),
            Some(None) => return all,
            None => panic!("it does not end, and has said {all:?}"),
        }
    }
}

/// A TCP port on which something will listen later.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// The rows of `chappe status`.
pub fn status(daemon: &Daemon) -> String {
    let output = Command::new(CHAPPE)
        .args(["--connect", &format!("tcp://{}", daemon.address("tcp")), "status"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Whether somebody listens there.
pub fn is_open(port: u16) -> bool {
    TcpStream::connect(("127.0.0.1", port)).is_ok()
}

/// A file of values, in a configuration.
pub fn store(folder: &Path) -> String {
    format!("[store]\npath = \"{}/values.redb\"\nwrite_within_ms = 1\n", folder.display())
}
