//! The daemon as a process, and stations that speak to it by raw sockets and the core's
//! codec, without the client library: what is tested is the daemon.

#![allow(dead_code, unreachable_pub, missing_docs, reason = "each test file uses some of it, and nobody else")]

pub mod books;
pub mod clacks;
pub mod communicator;
pub mod end;
pub mod held;
pub mod links;
pub mod msgq;
pub mod seed;
pub mod tls;
pub mod tmpfs;

use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use chappe_core::dialect::messi::frame::{Finder, Framing};
use chappe_core::dialect::messi::repr::{
    ClientToServer, Closing, Code, Goodbye, Hello, Join, Letter, Outcome, ServerToClient, Welcome,
};
use chappe_core::dialect::messi::wire::{Writer, kind};
use serde_json::Value;

/// Longer than anything here takes on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// The program under test.
pub const CHAPPE: &str = env!("CARGO_BIN_EXE_chappe");

/// A running daemon. Dropping it ends it.
pub struct Daemon {
    pub child: Child,
    pub folder: tempfile::TempDir,
    log: Receiver<Value>,
    seen: VecDeque<Value>,
}

impl Daemon {
    /// With this configuration, in which FOLDER stands for a folder of its own. Listens on
    /// a free TCP port unless the configuration names listeners.
    pub fn start(config: &str) -> Daemon {
        Daemon::start_by(config, |path| {
            let mut command = Command::new(CHAPPE);
            command.arg("serve").arg("--config").arg(path);
            command
        })
    }

    /// As [`Daemon::start`], with a command of its own.
    pub fn start_by(config: &str, command: impl FnOnce(&Path) -> Command) -> Daemon {
        let folder = tempfile::tempdir().unwrap();
        let daemon = Daemon::start_in(folder, config, command);
        daemon.unwrap_or_else(|(status, text)| panic!("the daemon did not start: {status}\n{text}"))
    }

    /// As [`Daemon::start`], in a folder that exists.
    pub fn start_in(
        folder: tempfile::TempDir,
        config: &str,
        command: impl FnOnce(&Path) -> Command,
    ) -> Result<Daemon, (ExitStatus, String)> {
        let path = write_config(folder.path(), config);
        let mut command = command(&path);
        command.env("CHAPPE_LOG_FORMAT", "json").env_remove("CHAPPE_LOG_LEVEL").env_remove("CHAPPE_CONFIG");
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (send, log) = channel();
        let (send_text, text) = channel();
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                match serde_json::from_str(&line) {
                    Ok(value) => drop(send.send(value)),
                    Err(_) => drop(send_text.send(line)),
                }
            }
        });
        let mut daemon = Daemon { child, folder, log, seen: VecDeque::new() };
        if daemon.find("daemon.ready", PATIENCE).is_none() {
            let status = wait(&mut daemon.child);
            return Err((status, text.iter().collect::<Vec<_>>().join("\n")));
        }
        Ok(daemon)
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn config_path(&self) -> PathBuf {
        self.folder.path().join("chappe.toml")
    }

    /// Replaces the configuration's text. Takes effect at SIGHUP.
    pub fn write_config(&self, config: &str) {
        write_config(self.folder.path(), config);
    }

    pub fn signal(&self, name: &str) {
        signal(self.pid(), name);
    }

    /// Waits for a log line with this `event`. What was read before it stays findable.
    pub fn event(&mut self, event: &str) -> Value {
        self.find(event, PATIENCE).unwrap_or_else(|| panic!("no `{event}` among {:#?}", self.seen))
    }

    pub fn find(&mut self, event: &str, patience: Duration) -> Option<Value> {
        if let Some(i) = self.seen.iter().position(|line| line["event"] == event) {
            return self.seen.remove(i);
        }
        let end = Instant::now() + patience;
        loop {
            let line = self.log.recv_timeout(end.saturating_duration_since(Instant::now())).ok()?;
            if line["event"] == event {
                return Some(line);
            }
            self.seen.push_back(line);
        }
    }

    /// Every line that nobody asked for, until now.
    pub fn seen(&mut self) -> &VecDeque<Value> {
        self.seen.extend(self.log.try_iter());
        &self.seen
    }

    /// The address of the first listener of a kind (`tcp`, `unix`, `udp`, `msgq`), without the scheme.
    pub fn address(&self, scheme: &str) -> String {
        let first = self.addresses(scheme).into_iter().next();
        first.unwrap_or_else(|| panic!("no {scheme} listener among {:#?}", self.seen))
    }

    /// The addresses of all listeners of a kind.
    pub fn addresses(&self, scheme: &str) -> Vec<String> {
        let scheme = format!("{scheme}://");
        let here = |line: &Value| {
            let is_listener = line["event"] == "listener.open";
            let address = line["address"].as_str().filter(|_| is_listener)?;
            address.strip_prefix(&scheme).map(str::to_owned)
        };
        self.seen.iter().filter_map(here).collect()
    }

    /// A new TCP connection that has said nothing.
    pub fn connect(&mut self) -> Station {
        let stream = TcpStream::connect(self.address("tcp")).unwrap();
        stream.set_nodelay(true).unwrap();
        Station::new(Stream::Tcp(stream))
    }

    /// A new TCP connection that has said hello.
    pub fn station(&mut self, name: &str) -> Station {
        let mut station = self.connect();
        station.hello(name);
        station
    }

    /// A new client of BIND 10's bus that knows its name.
    pub fn msgq(&self) -> msgq::Client {
        msgq::Client::new(self.address("msgq"))
    }

    /// Waits for the end.
    pub fn wait(&mut self) -> ExitStatus {
        wait(&mut self.child)
    }

    /// CPU time used so far.
    pub fn cpu(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid())).unwrap();
        let after = stat.rsplit(')').next().unwrap();
        let ticks: u64 = after.split_whitespace().skip(11).take(2).map(|n| n.parse::<u64>().unwrap()).sum();
        Duration::from_millis(ticks * 10)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        end::end(&mut self.child);
    }
}

/// A daemon to which a listening socket is handed over as systemd does it.
pub fn activated(listener: OwnedFd, config: &Path) -> Command {
    // The shell knows the number that LISTEN_PID must be; exec and env keep it. The
    // listener comes as descriptor 9, because 3 may be the standard library's own here.
    let script = "exec env LISTEN_PID=$$ LISTEN_FDS=1 \"$0\" serve --config \"$1\" 3<&9 9<&-";
    let mut shell = Command::new("sh");
    shell.args(["-c", script, CHAPPE]).arg(config);
    // SAFETY: dup2 is all that happens between fork and exec, and it is allowed there. The
    // listener lives as long as the closure.
    unsafe {
        shell.pre_exec(
            move || {
                if libc::dup2(listener.as_raw_fd(), 9) < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
            },
        );
    }
    shell
}

pub fn write_config(folder: &Path, config: &str) -> PathBuf {
    let path = folder.join("chappe.toml");
    let listener = "[[listeners]]\naddress = \"tcp://127.0.0.1:0\"\n";
    let listener = if config.contains("[[listeners]]") || config.contains("listeners =") { "" } else { listener };
    let text = format!("{config}\n{listener}").replace("FOLDER", folder.to_str().unwrap());
    std::fs::write(&path, text).unwrap();
    path
}

pub fn signal(pid: u32, name: &str) {
    let status = Command::new("sh").arg("-c").arg(format!("kill -{name} {pid}")).status().unwrap();
    assert!(status.success());
    if name == "STOP" {
        // kill returns before it has stopped
        let stat = || std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        until("it has stopped", || stat().rsplit(") ").next().unwrap().starts_with('T'));
    }
}

pub fn wait(child: &mut Child) -> ExitStatus {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        assert!(Instant::now() < end, "the process does not end");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Waits until something holds.
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < end, "still not: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A message as the bytes of its frame.
pub fn frame<'f>(message: impl Into<ClientToServer<'f>>) -> Vec<u8> {
    let message = message.into();
    let mut frame = vec![0; 4 + message.len()];
    Framing::Today.write_header(kind::CLIENT_TO_SERVER, message.len(), &mut frame);
    message.write(&mut Writer::new(&mut frame[4..]));
    frame
}

/// A sign of life.
pub const PING: [u8; 4] = [kind::PING, 0, 0, 0];

pub enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
    File(std::fs::File),
    Tls(Box<rustls::StreamOwned<rustls::ClientConnection, TcpStream>>),
}

impl Stream {
    pub fn both(&mut self) -> (&mut dyn Read, Option<Duration>) {
        match self {
            Stream::Tcp(s) => (s, None),
            Stream::Unix(s) => (s, None),
            Stream::File(s) => (s, None),
            Stream::Tls(s) => (s, None),
        }
    }

    pub fn set_patience(&self, patience: Duration) {
        let patience = Some(patience.max(Duration::from_millis(1)));
        match self {
            Stream::Tcp(s) => s.set_read_timeout(patience).unwrap(),
            Stream::Unix(s) => s.set_read_timeout(patience).unwrap(),
            Stream::File(_) => {}
            Stream::Tls(s) => s.sock.set_read_timeout(patience).unwrap(),
        }
    }
}

/// One frame from the node.
pub struct Heard {
    pub kind: u8,
    pub payload: Vec<u8>,
}

impl Heard {
    pub fn message(&self) -> ServerToClient<'_> {
        assert_eq!(self.kind, kind::SERVER_TO_CLIENT);
        ServerToClient::read(&self.payload).unwrap().0
    }
}

/// One connection.
pub struct Station {
    pub stream: Stream,
    /// The node may be killed while it writes: half a frame is an end like any other.
    pub torn: bool,
    input: Vec<u8>,
}

impl Station {
    pub fn new(stream: Stream) -> Station {
        Station { stream, torn: false, input: Vec::new() }
    }

    pub fn unix(path: impl AsRef<Path>) -> Station {
        Station::new(Stream::Unix(UnixStream::connect(path).unwrap()))
    }

    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.stream {
            Stream::Tcp(s) => s.write_all(bytes),
            Stream::Unix(s) => s.write_all(bytes),
            Stream::File(s) => s.write_all(bytes),
            Stream::Tls(s) => s.write_all(bytes).and_then(|()| s.flush()),
        }
    }

    pub fn say<'f>(&mut self, message: impl Into<ClientToServer<'f>>) {
        self.write(&frame(message)).unwrap();
    }

    /// The next frame; `None`: the end of the connection.
    pub fn next(&mut self) -> Option<Heard> {
        self.next_within(PATIENCE).unwrap_or_else(|| panic!("nothing comes"))
    }

    /// The next frame, or `Some(None)` for the end, or `None` if nothing comes in time.
    pub fn next_within(&mut self, patience: Duration) -> Option<Option<Heard>> {
        let end = Instant::now() + patience;
        loop {
            let mut rest = &self.input[..];
            let header = Finder::new().header(&mut rest, 1 << 24).expect("frames from the node are good");
            if let Some(header) = header
                && rest.len() >= header.size
            {
                let payload = rest[..header.size].to_vec();
                self.input.drain(..4 + header.size);
                return Some(Some(Heard { kind: header.kind, payload }));
            }
            let mut bytes = [0; 65536];
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            self.stream.set_patience(left);
            match self.stream.both().0.read(&mut bytes) {
                Ok(0) => {
                    assert!(self.input.is_empty() || self.torn, "half a frame, and then the end (D3)");
                    return Some(None);
                }
                Ok(n) => self.input.extend_from_slice(&bytes[..n]),
                Err(e) if e.kind() == io::ErrorKind::ConnectionReset => return Some(None),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    if matches!(self.stream, Stream::File(_)) {
                        std::thread::sleep(Duration::from_millis(1));
                    }
                }
                Err(e) => panic!("{e}"),
            }
        }
    }

    /// Says hello as anybody; panics unless welcome.
    pub fn hello(&mut self, name: &str) -> u64 {
        self.hello_as(Hello { seq: 1, name, ..Hello::default() }).expect("welcome")
    }

    /// Says hello; the station's address, or why not.
    pub fn hello_as(&mut self, hello: Hello<'_>) -> Result<u64, Code> {
        self.say(hello);
        let heard = self.next().expect("an answer to hello");
        match heard.message() {
            ServerToClient::Welcome(Welcome { station, .. }) => Ok(station),
            ServerToClient::Outcome(Outcome { code, .. }) => Err(code),
            ServerToClient::Closing(Closing { code, .. }) => Err(code),
            other => panic!("{other:?} as an answer to hello"),
        }
    }

    /// Joins a name and waits until that holds.
    pub fn join(&mut self, name: &str) {
        self.say(Join { seq: 2, name, ..Join::default() });
        assert_eq!(self.outcome(), Code::Ok);
    }

    /// The next outcome; what is not one is skipped.
    pub fn outcome(&mut self) -> Code {
        loop {
            let heard = self.next().expect("an outcome");
            if let ServerToClient::Outcome(outcome) = heard.message() {
                return outcome.code;
            }
        }
    }

    pub fn send(&mut self, name: &str, body: &[u8]) {
        self.say(Letter { name, verb: "SET", body, ..Letter::default() });
    }

    /// The body of the next message.
    pub fn hear(&mut self) -> Vec<u8> {
        loop {
            let heard = self.next().expect("a message");
            if heard.kind == kind::SERVER_TO_CLIENT
                && let ServerToClient::Message(letter) = heard.message()
            {
                return letter.body.to_vec();
            }
        }
    }

    /// Reads to the end; the code of the Closing before it.
    pub fn closing(&mut self) -> Option<Code> {
        let mut last = None;
        while let Some(heard) = self.next() {
            if heard.kind == kind::SERVER_TO_CLIENT
                && let ServerToClient::Closing(closing) = heard.message()
            {
                last = Some(closing.code);
            }
        }
        last
    }

    /// Whether the node still answers this station.
    pub fn is_alive(&mut self) -> bool {
        if self.write(&PING).is_err() {
            return false;
        }
        loop {
            match self.next() {
                None => return false,
                Some(heard) if heard.kind == kind::PONG => return true,
                Some(_) => {}
            }
        }
    }

    pub fn goodbye(&mut self) {
        self.say(Goodbye { seq: 9, ..Goodbye::default() });
        while self.next().is_some() {}
    }
}

/// The counters' page, as name and value.
pub fn counters(daemon: &mut Daemon) -> impl Fn(&str) -> u64 + use<> {
    let address = daemon.event("metrics.listening")["address"].as_str().unwrap().to_owned();
    let host = address.strip_prefix("http://").unwrap().split('/').next().unwrap().to_owned();
    move |name| {
        let page = get(&host, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
        let line = page.lines().find(|l| l.split(' ').next() == Some(name));
        line.unwrap_or_else(|| panic!("no {name} in {page}")).split(' ').nth(1).unwrap().parse().unwrap()
    }
}

/// What an HTTP server answers.
pub fn get(host: &str, request: &str) -> String {
    let mut stream = TcpStream::connect(host).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// A configuration with a counters' page.
pub const METRICS: &str = "[metrics]\nlisten = \"127.0.0.1:0\"\n";
