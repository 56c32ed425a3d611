//! A client of BIND 10's message bus: frames of a JSON header and a body over a raw socket.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{CHAPPE, PATIENCE};

/// Where its programs look for the socket.
pub const VARIABLE: &str = "BIND10_MSGQ_SOCKET_FILE";

/// A listener whose clients may do everything that strangers usually may.
pub const BUS: &str = "[[listeners]]\naddress = \"msgq://FOLDER/bus\"\n";

/// The same, and one of the native dialect.
pub const BOTH: &str =
    "[[listeners]]\naddress = \"msgq:FOLDER/bus\"\n[[listeners]]\naddress = \"unix://FOLDER/native\"\n";

/// The daemon, with that variable not set.
pub fn serve(config: &Path) -> Command {
    let mut command = Command::new(CHAPPE);
    command.arg("serve").arg("--config").arg(config).env_remove(VARIABLE);
    command
}

/// To its end, with nothing to read.
pub fn run(command: &mut Command) -> Output {
    command.env_remove("CHAPPE_CONFIG").stdin(Stdio::null()).output().unwrap()
}

/// The header that subscribes to all instances of a group.
pub fn subscribe(group: &str) -> Value {
    json!({"type": "subscribe", "group": group, "instance": "*"})
}

/// Who runs the tests.
pub fn own_user() -> u32 {
    std::fs::metadata("/proc/self").unwrap().uid()
}

/// A frame: the two lengths, header and body as they are.
pub fn frame_of(header: &[u8], body: &[u8]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(6 + header.len() + body.len());
    frame.extend(u32::try_from(2 + header.len() + body.len()).unwrap().to_be_bytes());
    frame.extend(u16::try_from(header.len()).unwrap().to_be_bytes());
    frame.extend(header);
    frame.extend(body);
    frame
}

pub fn frame(header: &Value, body: &[u8]) -> Vec<u8> {
    frame_of(header.to_string().as_bytes(), body)
}

/// One frame from the node.
#[derive(Debug, Clone, PartialEq)]
pub struct Heard {
    /// As it came.
    pub header: Vec<u8>,
    pub body: Vec<u8>,
}

impl Heard {
    pub fn head(&self) -> Value {
        serde_json::from_slice(&self.header).expect("headers from the node are JSON")
    }

    /// The body, which is JSON.
    pub fn value(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&self.body)))
    }
}

/// One connection.
pub struct Client {
    pub stream: UnixStream,
    /// Empty until it has asked.
    pub lname: String,
    input: Vec<u8>,
    /// Of `input`, already handed out.
    taken: usize,
    /// Came while something else was waited for.
    early: VecDeque<Heard>,
    seq: u64,
}

impl Client {
    /// Connected, and has said nothing.
    pub fn mute(path: impl AsRef<Path>) -> Client {
        let stream = UnixStream::connect(path.as_ref()).unwrap_or_else(|e| panic!("{}: {e}", path.as_ref().display()));
        Client { stream, lname: String::new(), input: Vec::new(), taken: 0, early: VecDeque::new(), seq: 1 }
    }

    /// Connected, and has asked for its name, as the libraries do.
    pub fn new(path: impl AsRef<Path>) -> Client {
        let mut client = Client::mute(path);
        client.say(&json!({"type": "getlname"}), b"");
        let answer = client.next().expect("an answer to getlname");
        assert_eq!(answer.head(), json!({"type": "getlname"}));
        client.lname = answer.value()["lname"].as_str().expect("a name").to_owned();
        client
    }

    pub fn write(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    pub fn say(&mut self, header: &Value, body: &[u8]) {
        self.write(&frame(header, body));
    }

    /// The next frame; `None`: the end of the connection. Panics if nothing comes.
    pub fn next(&mut self) -> Option<Heard> {
        self.early.pop_front().or_else(|| self.receive(PATIENCE).expect("nothing comes"))
    }

    /// The next frame, or `Some(None)` for the end, or `None` if nothing comes in time.
    fn receive(&mut self, patience: Duration) -> Option<Option<Heard>> {
        let end = Instant::now() + patience;
        loop {
            if let Some(heard) = self.cut() {
                return Some(Some(heard));
            }
            let left = end.checked_duration_since(Instant::now())?;
            self.stream.set_read_timeout(Some(left.max(Duration::from_millis(1)))).unwrap();
            self.input.drain(..std::mem::take(&mut self.taken));
            let mut bytes = [0; 65_536];
            match self.stream.read(&mut bytes) {
                Ok(0) => {
                    assert!(self.input.is_empty(), "half a frame, and then the end (D3)");
                    return Some(None);
                }
                Ok(n) => self.input.extend_from_slice(&bytes[..n]),
                // What it had not read yet was thrown away with the connection.
                Err(e) if e.kind() == ErrorKind::ConnectionReset => return Some(None),
                Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
                Err(e) => panic!("{e}"),
            }
        }
    }

    fn cut(&mut self) -> Option<Heard> {
        let input = &self.input[self.taken..];
        let (lengths, rest) = input.split_at_checked(6)?;
        let size = u32::from_be_bytes(lengths[..4].try_into().unwrap()) as usize - 2;
        let header = usize::from(u16::from_be_bytes(lengths[4..].try_into().unwrap()));
        let frame = rest.get(..size)?;
        assert!(header >= 1 && header <= size, "lengths from the node fit each other");
        self.taken += 6 + size;
        Some(Heard { header: frame[..header].to_vec(), body: frame[header..].to_vec() })
    }

    /// Waits until all it has said before is carried out: a pong proves it. What else comes
    /// meanwhile can be had later.
    pub fn sync(&mut self) {
        assert!(self.is_alive(), "it was closed");
    }

    /// Whether the node still answers this client; otherwise as [`Client::sync`].
    pub fn is_alive(&mut self) -> bool {
        self.seq += 1;
        let body = format!("ping {}", self.seq);
        if self.stream.write_all(&frame(&json!({"type": "ping"}), body.as_bytes())).is_err() {
            return false;
        }
        loop {
            match self.receive(PATIENCE).expect("a pong or the end") {
                None => return false,
                Some(heard) if heard.head() == json!({"type": "pong"}) => {
                    assert_eq!(heard.body, body.as_bytes());
                    return true;
                }
                Some(heard) => self.early.push_back(heard),
            }
        }
    }

    /// Whether there is nothing to hear: what was sent to it before this call would be there.
    pub fn has_nothing(&mut self) -> bool {
        self.sync();
        self.early.is_empty()
    }

    /// Subscribed when it returns.
    pub fn join(&mut self, group: &str) {
        self.say(&json!({"type": "subscribe", "group": group, "instance": "*"}), b"");
        self.sync();
    }

    /// A header for a message to a group, with a fresh number, as the Python library writes it.
    pub fn header(&mut self, group: &str) -> Value {
        self.seq += 1;
        json!({"type": "send", "from": self.lname, "to": "*", "group": group, "instance": "*", "seq": self.seq,
               "want_answer": false})
    }

    pub fn send(&mut self, group: &str, body: &[u8]) {
        let header = self.header(group);
        self.say(&header, body);
    }

    /// Sends with `want_answer`, and returns the first frame with the same number in `reply`.
    pub fn ask(&mut self, mut header: Value, body: &[u8]) -> Heard {
        header["want_answer"] = true.into();
        self.say(&header, body);
        self.answer_to(&header["seq"])
    }

    /// The next frame that answers this number; others can be had later.
    pub fn answer_to(&mut self, seq: &Value) -> Heard {
        let is_it = |heard: &Heard| heard.head().get("reply") == Some(seq);
        if let Some(i) = self.early.iter().position(is_it) {
            return self.early.remove(i).unwrap();
        }
        loop {
            let heard = self.receive(PATIENCE).expect("an answer comes").expect("an answer, not the end");
            if is_it(&heard) {
                return heard;
            }
            self.early.push_back(heard);
        }
    }

    /// The lnames of a group's members, as the node's own user says.
    pub fn members(&mut self, group: Option<&str>) -> Vec<String> {
        let header = self.header("Msgq");
        let params = group.map(|group| json!({"group": group}));
        let answer = self.ask(header, json!({"command": ["members", params]}).to_string().as_bytes()).value();
        assert_eq!(answer["result"][0], 0, "{answer}");
        serde_json::from_value(answer["result"][1].clone()).unwrap()
    }

    /// Whether the node has closed this connection: waits for that. Panics on a frame.
    pub fn is_closed(&mut self) -> bool {
        match self.receive(PATIENCE) {
            Some(None) => true,
            Some(Some(heard)) => panic!("{heard:?} instead of the end"),
            None => false,
        }
    }
}
