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

#[path = "script_stream.rs"]
mod stream;

use std::collections::HashMap;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::thread::JoinHandle;
use std::time::Duration;

use chappe_linux::address::ClacksAddress;
use chappe_linux::clacks::{Event, Options, Session};
use stream::{Peer, Timed, unescape};

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
    let mut player = Player { peer: Peer::new(stream, step), bound: HashMap::new() };
    let is_said = |line: &&str| !line.is_empty() && !line.starts_with('#');
    for line in script.lines().map(str::trim_start).filter(is_said) {
        let is_over = match line {
            "hello" => {
                GREETING.lines().chain(LOGIN.lines()).chain(["S: OVERHEAD O Welcome!"]).any(|line| player.step(line))
            }
            "greet" => GREETING.lines().chain(LOGIN.lines()).any(|line| player.step(line)),
            "login" => LOGIN.lines().any(|line| player.step(line)),
            line => player.step(line),
        };
        if is_over {
            return;
        }
    }
    // What is not in the script is not said, and the end comes at the end.
    if let Ok(rest) = player.peer.until_end() {
        assert!(matches!(&rest[..], b"" | b"QUIT\r\n"), "not in the script: {:?}", String::from_utf8_lossy(&rest));
    }
}

/// Plays one script.
struct Player<S> {
    peer: Peer<S>,
    bound: HashMap<String, String>,
}

impl<S: Timed> Player<S> {
    /// Whether it was the last.
    fn step(&mut self, line: &str) -> bool {
        if let Some(ms) = line.strip_prefix("wait ") {
            std::thread::sleep(Duration::from_millis(ms.parse().unwrap()));
            return false;
        }
        match line.split_once(": ").unwrap_or_else(|| panic!("no step: {line:?}")) {
            ("C", "(ended)") => {
                self.peer.ended();
                return true;
            }
            ("C", "(quiet)") => self.peer.quiet(),
            ("C", want) => self.expect(want),
            ("S", "(closed)") => return true,
            ("S", "(empty)") => self.peer.write(b"\r\n"),
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
                self.peer.write(&bytes);
            }
            _ => panic!("no step: {line:?}"),
        }
        false
    }

    fn expect(&mut self, want: &str) {
        let line = self.peer.line().unwrap_or_else(|| panic!("the end instead of {want:?}"));
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
}
