//! A client of Net::Clacks: lines over a raw stream, as its library sends and reads them.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use chappe_core::dialect::clacks::emit;

use super::{Daemon, PATIENCE, Stream};

/// The line that logs in, with its end.
pub fn login(user: &str, password: &str) -> Vec<u8> {
    let mut line = vec![0; 1024];
    let len = emit::login(user.as_bytes(), password.as_bytes(), &mut line).unwrap();
    line.truncate(len);
    line
}

/// One connection.
pub struct Client {
    pub stream: Stream,
    /// The node may be killed while it writes: half a line is an end like any other.
    pub torn: bool,
    input: Vec<u8>,
    /// Of `input`, already handed out.
    taken: usize,
    /// Came while something else was waited for.
    early: VecDeque<String>,
    number: u64,
}

impl Client {
    /// Connected; nothing is said, nothing read.
    pub fn mute(stream: Stream) -> Client {
        Client { stream, torn: false, input: Vec::new(), taken: 0, early: VecDeque::new(), number: 0 }
    }

    pub fn unix(path: impl AsRef<Path>) -> Client {
        let path = path.as_ref();
        Client::mute(Stream::Unix(UnixStream::connect(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))))
    }

    pub fn tcp(address: &str) -> Client {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        Client::mute(Stream::Tcp(stream))
    }

    /// Reads the greeting, which comes first and by itself.
    pub fn greeted(mut self) -> Client {
        assert_eq!(self.line(), "CLACKS PageCamel 36");
        assert_eq!(self.line(), "OVERHEAD M Authentication required");
        self
    }

    /// Logs in and is welcome.
    pub fn login(&mut self, user: &str, password: &str) {
        self.write(&login(user, password));
        assert_eq!(self.line(), "OVERHEAD O Welcome!");
    }

    pub fn try_write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.stream {
            Stream::Tcp(s) => s.write_all(bytes),
            Stream::Unix(s) => s.write_all(bytes),
            Stream::File(s) => s.write_all(bytes),
            Stream::Tls(s) => s.write_all(bytes).and_then(|()| s.flush()),
        }
    }

    pub fn write(&mut self, bytes: &[u8]) {
        self.try_write(bytes).unwrap();
    }

    pub fn say(&mut self, line: &str) {
        self.write(format!("{line}\r\n").as_bytes());
    }

    /// The next line; `None`: the end of the connection. Panics if nothing comes.
    pub fn next(&mut self) -> Option<String> {
        self.next_within(PATIENCE).expect("nothing comes")
    }

    /// The next line, or `Some(None)` for the end, or `None` if nothing comes in time.
    pub fn next_within(&mut self, patience: Duration) -> Option<Option<String>> {
        match self.early.pop_front() {
            Some(line) => Some(Some(line)),
            None => self.receive(patience),
        }
    }

    fn receive(&mut self, patience: Duration) -> Option<Option<String>> {
        let end = Instant::now() + patience;
        loop {
            if let Some(at) = self.input[self.taken..].iter().position(|b| *b == b'\n') {
                let line = &self.input[self.taken..self.taken + at];
                let line = line.strip_suffix(b"\r").expect("lines of the node end with both");
                let line = String::from_utf8_lossy(line).into_owned();
                self.taken += at + 1;
                return Some(Some(line));
            }
            self.input.drain(..std::mem::take(&mut self.taken));
            let left = end.checked_duration_since(Instant::now())?;
            self.stream.set_patience(left);
            let mut bytes = [0; 65_536];
            match read(&mut self.stream, &mut bytes) {
                Ok(0) => {
                    assert!(self.input.is_empty() || self.torn, "half a line, and then the end (D3)");
                    return Some(None);
                }
                Ok(n) => self.input.extend_from_slice(&bytes[..n]),
                Err(e) if e.kind() == io::ErrorKind::ConnectionReset => return Some(None),
                // rustls says so when there was no close_notify
                Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => return Some(None),
                Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
                    if matches!(self.stream, Stream::File(_)) {
                        std::thread::sleep(Duration::from_millis(1));
                    }
                }
                Err(e) => panic!("{e}"),
            }
        }
    }

    /// The next line, which comes.
    pub fn line(&mut self) -> String {
        self.next().expect("a line, not the end")
    }

    /// Says something and gets one line back.
    pub fn ask(&mut self, line: &str) -> String {
        self.say(line);
        self.line()
    }

    /// Waits until all it has said before is carried out. What else comes meanwhile can be
    /// had later.
    pub fn sync(&mut self) {
        self.number += 1;
        let text = format!("sync {}", self.number);
        self.say(&format!("FLUSH {text}"));
        loop {
            let line = self.receive(PATIENCE).expect("FLUSHED or the end").expect("FLUSHED, not the end");
            if line == format!("FLUSHED {text}") {
                return;
            }
            self.early.push_back(line);
        }
    }

    /// Whether there is nothing to hear: what was sent to it before this call would be there.
    pub fn has_nothing(&mut self) -> bool {
        self.sync();
        self.early.is_empty()
    }

    /// Listens when it returns.
    pub fn listen(&mut self, name: &str) {
        self.say(&format!("LISTEN {name}"));
        self.sync();
    }

    /// Reads to the end.
    pub fn until_end(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.next()).collect()
    }

    /// Keys, in the order in which they come.
    pub fn keys(&mut self) -> Vec<String> {
        self.say("KEYLIST");
        assert_eq!(self.line(), "KEYLISTSTART");
        let mut keys = Vec::new();
        loop {
            let line = self.line();
            match line.strip_prefix("KEY ") {
                Some(key) => keys.push(key.to_owned()),
                None => {
                    assert_eq!(line, "KEYLISTEND");
                    return keys;
                }
            }
        }
    }
}

/// Reads, and does nothing else: rustls' own stream wants to get rid of what it has to write
/// first, and so would not see what a node has said that does not take any more.
fn read(stream: &mut Stream, bytes: &mut [u8]) -> io::Result<usize> {
    let Stream::Tls(tls) = stream else { return stream.both().0.read(bytes) };
    loop {
        match tls.conn.reader().read(bytes) {
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
            done => return done,
        }
        tls.conn.read_tls(&mut tls.sock)?;
        tls.conn.process_new_packets().map_err(io::Error::other)?;
    }
}

impl Daemon {
    /// A client at the Unix socket that has logged in.
    pub fn clacks(&self, user: &str, password: &str) -> Client {
        let mut client = Client::unix(self.clacks_path()).greeted();
        client.login(user, password);
        client
    }

    /// The path of the Unix socket.
    pub fn clacks_path(&self) -> String {
        self.addresses("clacks").into_iter().find(|at| at.starts_with('/')).expect("a Unix socket of Clacks")
    }

    /// The address of the TCP listener without TLS.
    pub fn clacks_tcp(&self) -> String {
        self.addresses("clacks").into_iter().find(|at| !at.starts_with('/')).expect("a TCP listener of Clacks")
    }
}
