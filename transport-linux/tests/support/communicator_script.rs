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

#[path = "script_stream.rs"]
pub mod stream;

use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::thread::JoinHandle;
use std::time::Duration;

use chappe_linux::communicator::{Options, Session, Uri};
use stream::{Peer, Timed, unescape};

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
    let mut player = Player(Peer::new(stream, step));
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
                hello.iter().any(|line| player.step(line))
            }
            line => player.step(line),
        };
        if is_over {
            return;
        }
    }
    // What is not in the script is not said, and the end comes at the end.
    if let Ok(rest) = player.0.until_end() {
        let rest = String::from_utf8_lossy(&rest);
        let is_goodbye = rest.starts_with("UNREGISTER service=") && rest.lines().count() == 1;
        assert!(rest.is_empty() || is_goodbye, "not in the script: {rest:?}");
    }
}

/// Plays one script.
struct Player<S>(Peer<S>);

impl<S: Timed> Player<S> {
    /// Whether it was the last.
    fn step(&mut self, line: &str) -> bool {
        match line.split_once(": ").unwrap_or_else(|| panic!("no step: {line:?}")) {
            ("C", "(ended)") => {
                self.0.ended();
                return true;
            }
            ("C", "(quiet)") => self.0.quiet(),
            ("C", want) => {
                let line = self.0.line().unwrap_or_else(|| panic!("the end instead of {want:?}"));
                assert_eq!(line.strip_suffix('\n').expect("LF"), want);
            }
            ("S", "(closed)") => return true,
            ("S", text) => {
                let bytes = match text.strip_prefix("(raw) ") {
                    Some(raw) => unescape(raw),
                    None => [text.as_bytes(), b"\n"].concat(),
                };
                self.0.write(&bytes);
            }
            _ => panic!("no step: {line:?}"),
        }
        false
    }
}
