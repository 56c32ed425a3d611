//! A client of the Communicator: lines over a raw stream, as its library sends and reads them.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::net::{Shutdown, TcpStream, UdpSocket};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use super::{Daemon, PATIENCE, Stream};

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
    pub fn new(stream: Stream) -> Client {
        Client { stream, torn: false, input: Vec::new(), taken: 0, early: VecDeque::new(), number: 0 }
    }

    pub fn unix(path: impl AsRef<Path>) -> Client {
        let path = path.as_ref();
        Client::new(Stream::Unix(UnixStream::connect(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))))
    }

    pub fn tcp(address: &str) -> Client {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        Client::new(Stream::Tcp(stream))
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
        self.write(format!("{line}\n").as_bytes());
    }

    /// Says nothing more, and still listens.
    pub fn end_writing(&mut self) {
        match &self.stream {
            Stream::Tcp(s) => s.shutdown(Shutdown::Write).unwrap(),
            Stream::Unix(s) => s.shutdown(Shutdown::Write).unwrap(),
            Stream::File(_) | Stream::Tls(_) => panic!("has no half of an end"),
        }
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
                let line = String::from_utf8_lossy(&self.input[self.taken..self.taken + at]).into_owned();
                self.taken += at + 1;
                return Some(Some(line));
            }
            self.input.drain(..std::mem::take(&mut self.taken));
            let left = end.checked_duration_since(Instant::now())?;
            self.stream.set_patience(left);
            let mut bytes = [0; 65_536];
            match self.stream.both().0.read(&mut bytes) {
                Ok(0) => {
                    assert!(self.input.is_empty() || self.torn, "half a line, and then the end (D3)");
                    return Some(None);
                }
                Ok(n) => self.input.extend_from_slice(&bytes[..n]),
                Err(e) if matches!(e.kind(), io::ErrorKind::ConnectionReset | io::ErrorKind::UnexpectedEof) => {
                    return Some(None);
                }
                Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
                Err(e) => panic!("{e}"),
            }
        }
    }

    /// The next line, which comes.
    pub fn line(&mut self) -> String {
        self.next().expect("a line, not the end")
    }

    /// The next line without who it is from, which is the server.
    pub fn of_server(&mut self) -> String {
        let line = self.line();
        let (from, rest) = line.split_once(' ').unwrap_or_else(|| panic!("{line}"));
        assert!(from.starts_with('<') && from.ends_with(":communicatord"), "{line}");
        rest.to_owned()
    }

    /// Says something and gets one line of the server's back.
    pub fn ask(&mut self, line: &str) -> String {
        self.say(line);
        self.of_server()
    }

    /// Registers and is ready.
    pub fn register(&mut self, service: &str) {
        self.say(&format!("REGISTER service={service};version=1"));
        assert_eq!(self.of_server(), "HELP");
        let ready = self.of_server();
        assert!(ready.starts_with("READY my_address="), "{ready}");
    }

    /// Registers, and has announced commands when it returns.
    pub fn service(mut self, name: &str, commands: &str) -> Client {
        self.register(name);
        self.say(&format!("COMMANDS list=HELP,QUITTING,READY,STOP,UNKNOWN,{commands}"));
        self.sync();
        self
    }

    /// Waits until all it has said before is carried out. What else comes meanwhile can be
    /// had later.
    pub fn sync(&mut self) {
        self.number += 1;
        let serial = (1_000_000 + self.number).to_string();
        self.say(&format!("ALIVE serial={serial}"));
        loop {
            let line = self.receive(PATIENCE).expect("ABSOLUTELY or the end").expect("ABSOLUTELY, not the end");
            if line.contains("ABSOLUTELY") && line.contains(&serial) {
                return;
            }
            self.early.push_back(line);
        }
    }

    /// Whether there is nothing to hear: what was sent to it before this call would be there.
    pub fn has_nothing(&mut self) -> bool {
        self.sync();
        self.early.front().inspect(|line| eprintln!("{:.200}", line)).is_none()
    }

    /// Reads to the end.
    pub fn until_end(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.next()).collect()
    }
}

impl Daemon {
    /// A client at the Unix socket that has said nothing.
    pub fn communicator(&self) -> Client {
        Client::unix(self.communicator_path())
    }

    /// The path of the Unix socket.
    pub fn communicator_path(&self) -> String {
        self.addresses("cd").into_iter().find(|at| at.starts_with('/')).expect("a Unix socket of the Communicator")
    }

    /// The address of the TCP listener without TLS.
    pub fn communicator_tcp(&self) -> String {
        self.addresses("cd").into_iter().find(|at| !at.starts_with('/')).expect("a TCP listener of the Communicator")
    }

    /// Sends datagrams to the daemon's socket for them.
    pub fn signals(&self) -> UdpSocket {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.connect(self.address("cdu")).unwrap();
        socket
    }
}
