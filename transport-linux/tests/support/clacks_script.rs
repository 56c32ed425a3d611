//! A Clacks server that is only a script, strict about what it is told: lines as in the test
//! vectors of `wire/clacks.md` section 17, one connection after the other.
//!
//! | line of a script | what it does |
//! |---|---|
//! | `C: LINE` | the next line of the client is exactly this, and ends in CR LF |
//! | `C: FLUSH <x>` | the same; `<x>` is any text, and the same one from then on |
//! | `C: (ended)` | the client closes |
//! | `C: (quiet)` | nothing comes for a fifth of a second |
//! | `S: LINE` | sends this line |
//! | `S: (empty)` | sends an empty line |
//! | `S: (raw) TEXT` | sends this without an end; `\r`, `\n`, `\xHH` are octets |
//! | `S: (closed)` | closes, with what is unread |
//! | `wait 100` | milliseconds |
//! | `hello` | greeting, name, right token, welcome |
//! | `greet` | the same without the welcome |
//! | `login` | name and right token |
//! | `# …` | nothing |

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::thread::JoinHandle;
use std::time::Duration;

use chappe_linux::address::ClacksAddress;
use chappe_linux::clacks::{Event, Options, Session};

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long nothing comes, to be nothing.
const QUIET: Duration = Duration::from_millis(200);

const GREETING: &str = "S: CLACKS PageCamel 36\nS: OVERHEAD M Authentication required";

const LOGIN: &str = "C: CLACKS tester\nC: OVERHEAD A ZXhhbXBsZXVzZXI=:dW5zYWZlcGFzc3dvcmQ=";

pub struct Script {
    path: PathBuf,
    _dir: tempfile::TempDir,
    thread: Option<JoinHandle<()>>,
}

impl Script {
    /// Plays these scripts, each on a connection of its own.
    pub fn new(scripts: &[&str]) -> Script {
        Script::in_pieces(scripts, usize::MAX)
    }

    /// As [`Script::new`]; what is sent is cut into pieces of so many octets.
    pub fn in_pieces(scripts: &[&str], step: usize) -> Script {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("clacks.sock");
        let listener = UnixListener::bind(&path).unwrap();
        let scripts: Vec<String> = scripts.iter().map(|s| (*s).to_owned()).collect();
        let thread = std::thread::spawn(move || {
            for script in scripts {
                let (stream, _) = listener.accept().unwrap();
                play(stream, &script, step);
            }
        });
        Script { path, _dir: dir, thread: Some(thread) }
    }

    pub fn address(&self) -> ClacksAddress {
        ClacksAddress::unix(&self.path)
    }

    /// As exampleuser, with little patience.
    pub fn connect(&self) -> Session {
        self.connect_with(options())
    }

    pub fn connect_with(&self, options: Options) -> Session {
        Session::connect(self.address(), options).unwrap()
    }

    /// The scripts were played to their ends. To be called when the client is gone or idle.
    pub fn done(mut self) {
        if let Err(panic) = self.thread.take().unwrap().join() {
            std::panic::resume_unwind(panic);
        }
    }
}

pub fn options() -> Options {
    Options {
        name: "tester".into(),
        user: "exampleuser".into(),
        password: "unsafepassword".into(),
        timeout: Duration::from_secs(5),
        connecting: Duration::from_secs(5),
        backoff_min: Duration::from_millis(10),
        backoff_max: Duration::from_millis(40),
        ..Options::default()
    }
}

pub const SOON: Option<Duration> = Some(Duration::from_secs(5));

pub fn set(name: &str, value: &str) -> Event {
    Event::Set { name: name.into(), value: value.into() }
}

pub fn notify(name: &str) -> Event {
    Event::Notify { name: name.into() }
}

pub fn info(text: &str) -> Event {
    Event::ServerInfo(text.into())
}

/// The next event, which there is.
pub fn next(bus: &mut Session) -> Event {
    bus.receive(SOON).unwrap().expect("an event")
}

/// All that wait.
pub fn waiting(bus: &mut Session) -> Vec<Event> {
    std::iter::from_fn(|| bus.receive(Some(Duration::ZERO)).unwrap()).collect()
}

/// Plays one script; over any stream.
pub fn play(stream: impl Timed, script: &str, step: usize) {
    let mut peer = Peer { stream, input: Vec::new(), step, bound: HashMap::new() };
    let is_said = |line: &&str| !line.is_empty() && !line.starts_with('#');
    for line in script.lines().map(str::trim_start).filter(is_said) {
        let is_over = match line {
            "hello" => {
                GREETING.lines().chain(LOGIN.lines()).chain(["S: OVERHEAD O Welcome!"]).any(|line| peer.step(line))
            }
            "greet" => GREETING.lines().chain(LOGIN.lines()).any(|line| peer.step(line)),
            "login" => LOGIN.lines().any(|line| peer.step(line)),
            line => peer.step(line),
        };
        if is_over {
            return;
        }
    }
    // What is not in the script is not said, and the end comes at the end.
    if let Ok(rest) = peer.until_end() {
        assert!(matches!(&rest[..], b"" | b"QUIT\r\n"), "not in the script: {:?}", String::from_utf8_lossy(&rest));
    }
}

/// A stream that can be told how long to wait.
pub trait Timed: Read + Write {
    fn patience(&self, patience: Duration);
}

impl Timed for UnixStream {
    fn patience(&self, patience: Duration) {
        self.set_read_timeout(Some(patience)).unwrap();
    }
}

impl Timed for rustls::StreamOwned<rustls::ServerConnection, std::net::TcpStream> {
    fn patience(&self, patience: Duration) {
        self.sock.set_read_timeout(Some(patience)).unwrap();
    }
}

impl Timed for std::net::TcpStream {
    fn patience(&self, patience: Duration) {
        self.set_read_timeout(Some(patience)).unwrap();
    }
}

struct Peer<S> {
    stream: S,
    input: Vec<u8>,
    step: usize,
    bound: HashMap<String, String>,
}

impl<S: Timed> Peer<S> {
    /// Whether it was the last.
    fn step(&mut self, line: &str) -> bool {
        if let Some(ms) = line.strip_prefix("wait ") {
            std::thread::sleep(Duration::from_millis(ms.parse().unwrap()));
            return false;
        }
        match line.split_once(": ").unwrap_or_else(|| panic!("no step: {line:?}")) {
            ("C", "(ended)") => {
                let rest = self.until_end().unwrap();
                assert!(rest.is_empty(), "before the end: {:?}", String::from_utf8_lossy(&rest));
                return true;
            }
            ("C", "(quiet)") => self.quiet(),
            ("C", want) => self.expect(want),
            ("S", "(closed)") => return true,
            ("S", "(empty)") => self.write(b"\r\n"),
            ("S", text) => {
                let (text, end) = match text.strip_prefix("(raw) ") {
                    Some(raw) => (raw, ""),
                    None => (text, "\r\n"),
                };
                let mut text = text.to_owned();
                for (name, value) in &self.bound {
                    text = text.replace(name, value);
                }
                let bytes = [unescape(&text), end.as_bytes().to_vec()].concat();
                self.write(&bytes);
            }
            _ => panic!("no step: {line:?}"),
        }
        false
    }

    fn write(&mut self, bytes: &[u8]) {
        for piece in bytes.chunks(self.step) {
            // the client may have left already
            let _ = self.stream.write_all(piece).and_then(|()| self.stream.flush());
        }
    }

    fn expect(&mut self, want: &str) {
        let line = self.line().unwrap_or_else(|| panic!("the end instead of {want:?}"));
        let line = line.strip_suffix("\r\n").unwrap_or_else(|| panic!("no CR LF: {line:?}")).to_owned();
        assert!(!line.contains('\r'), "{line:?}");
        match want.split_once('<') {
            Some((word, name)) if line.starts_with(word) => {
                let name = format!("<{name}");
                let rest = line[word.len()..].to_owned();
                let bound = self.bound.entry(name).or_insert_with(|| rest.clone());
                assert_eq!(*bound, rest);
            }
            _ => assert_eq!(line, want),
        }
    }

    fn line(&mut self) -> Option<String> {
        loop {
            if let Some(at) = self.input.iter().position(|b| *b == b'\n') {
                let line = self.input.drain(..=at).collect();
                return Some(String::from_utf8(line).unwrap());
            }
            match self.read(PATIENCE) {
                Ok(0) => return None,
                Ok(_) => {}
                Err(e) => panic!("the client says nothing: {e}; half a line: {:?}", self.input),
            }
        }
    }

    fn quiet(&mut self) {
        let came = self.read(QUIET);
        assert!(self.input.is_empty() && came.is_err(), "{came:?} {:?}", String::from_utf8_lossy(&self.input));
    }

    fn until_end(&mut self) -> io::Result<Vec<u8>> {
        while self.read(PATIENCE)? > 0 {}
        Ok(std::mem::take(&mut self.input))
    }

    fn read(&mut self, patience: Duration) -> io::Result<usize> {
        self.stream.patience(patience);
        let mut bytes = [0; 65_536];
        match self.stream.read(&mut bytes) {
            Ok(n) => {
                self.input.extend_from_slice(&bytes[..n]);
                Ok(n)
            }
            Err(e) if matches!(e.kind(), io::ErrorKind::ConnectionReset | io::ErrorKind::UnexpectedEof) => Ok(0),
            Err(e) => Err(e),
        }
    }
}

fn unescape(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, more)) = rest.split_first() {
        let (octet, left) = match (first, more) {
            (b'\\', [b'r', left @ ..]) => (b'\r', left),
            (b'\\', [b'n', left @ ..]) => (b'\n', left),
            (b'\\', [b'\\', left @ ..]) => (b'\\', left),
            (b'\\', [b'x', high, low, left @ ..]) => {
                let digit = |b: &u8| (*b as char).to_digit(16).unwrap() as u8;
                (digit(high) << 4 | digit(low), left)
            }
            _ => (*first, more),
        };
        out.push(octet);
        rest = left;
    }
    out
}
