//! A peer of the Communicator's protocol that is only a script, strict about what it is told.
//!
//! | line of a script | what it does |
//! |---|---|
//! | `C: LINE` | the next line of the other side is exactly this, and ends in LF |
//! | `C: (ended)` | the other side closes |
//! | `C: (quiet)` | nothing comes for a fifth of a second |
//! | `S: LINE` | sends this line |
//! | `S: (raw) TEXT` | sends this without an end; `\r`, `\n`, `\xHH` are octets |
//! | `S: (closed)` | closes, with what is unread |
//! | `register` | `REGISTER` of `tester`, `HELP`, `READY`, and the answer with the standard commands |
//! | `# …` | nothing |

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::thread::JoinHandle;
use std::time::Duration;

use chappe_linux::communicator::{Options, Session, Uri};

/// Longer than anything here takes on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// How long nothing comes, to be nothing.
const QUIET: Duration = Duration::from_millis(200);

/// What every service announces.
pub const STANDARD: &str = "ALIVE,DISCONNECTING,HELP,INVALID,LEAK,LOG_ROTATE,QUITTING,READY,RESTART,\
                            SERVICE_UNAVAILABLE,STOP,UNKNOWN";

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
        let path = dir.path().join("communicatord.sock");
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

    pub fn uri(&self) -> Uri {
        Uri::unix(&self.path)
    }

    /// As `tester`, with little patience.
    pub fn connect(&self) -> Session {
        self.connect_with(options())
    }

    pub fn connect_with(&self, options: Options) -> Session {
        Session::connect(self.uri(), options).unwrap()
    }

    /// The scripts were played to their ends. To be called when the other side is gone or idle.
    pub fn done(mut self) {
        if let Err(panic) = self.thread.take().unwrap().join() {
            std::panic::resume_unwind(panic);
        }
    }
}

pub fn options() -> Options {
    Options {
        name: "tester".into(),
        timeout: Duration::from_secs(5),
        connecting: Duration::from_secs(5),
        pauses: ".01,.02".parse().unwrap(),
        ..Options::default()
    }
}

/// Plays one script; over any stream.
pub fn play(stream: impl Timed, script: &str, step: usize) {
    let mut peer = Peer { stream, input: Vec::new(), step };
    let is_said = |line: &&str| !line.is_empty() && !line.starts_with('#');
    for line in script.lines().map(str::trim_start).filter(is_said) {
        let is_over = match line {
            "register" => {
                let list = format!("C: <:tester hostA:communicatord/COMMANDS list={STANDARD}");
                let hello = [
                    "C: REGISTER service=tester;version=1",
                    "S: <hostA:communicatord HELP",
                    "S: <hostA:communicatord READY my_address=10.0.0.1:4042",
                    &list,
                ];
                hello.iter().any(|line| peer.step(line))
            }
            line => peer.step(line),
        };
        if is_over {
            return;
        }
    }
    // What is not in the script is not said, and the end comes at the end.
    if let Ok(rest) = peer.until_end() {
        let rest = String::from_utf8_lossy(&rest);
        let is_goodbye = rest.starts_with("UNREGISTER service=") && rest.lines().count() == 1;
        assert!(rest.is_empty() || is_goodbye, "not in the script: {rest:?}");
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

impl Timed for TcpStream {
    fn patience(&self, patience: Duration) {
        self.set_read_timeout(Some(patience)).unwrap();
    }
}

impl Timed for rustls::StreamOwned<rustls::ServerConnection, TcpStream> {
    fn patience(&self, patience: Duration) {
        self.sock.set_read_timeout(Some(patience)).unwrap();
    }
}

struct Peer<S> {
    stream: S,
    input: Vec<u8>,
    step: usize,
}

impl<S: Timed> Peer<S> {
    /// Whether it was the last.
    fn step(&mut self, line: &str) -> bool {
        match line.split_once(": ").unwrap_or_else(|| panic!("no step: {line:?}")) {
            ("C", "(ended)") => {
                let rest = self.until_end().unwrap();
                assert!(rest.is_empty(), "before the end: {:?}", String::from_utf8_lossy(&rest));
                return true;
            }
            ("C", "(quiet)") => self.quiet(),
            ("C", want) => {
                let line = self.line().unwrap_or_else(|| panic!("the end instead of {want:?}"));
                assert_eq!(line.strip_suffix('\n').expect("LF"), want);
            }
            ("S", "(closed)") => return true,
            ("S", text) => {
                let bytes = match text.strip_prefix("(raw) ") {
                    Some(raw) => unescape(raw),
                    None => [text.as_bytes(), b"\n"].concat(),
                };
                for piece in bytes.chunks(self.step) {
                    // the other side may have left already
                    let _ = self.stream.write_all(piece).and_then(|()| self.stream.flush());
                }
            }
            _ => panic!("no step: {line:?}"),
        }
        false
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
                Err(e) => panic!("the other side says nothing: {e}; half a line: {:?}", self.input),
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
