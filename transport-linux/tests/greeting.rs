//! The greeting game of `wire/communicator.md` section 8.3: both programs as processes, against each
//! other, and each against a script that says and hears, octet for octet, what the original's does.

#[path = "support/end.rs"]
mod end;
#[path = "support/communicator_script.rs"]
#[allow(dead_code, unreachable_pub, missing_docs)]
mod script;

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};

use script::play;
use script::stream::PATIENCE;

/// The compiled example, which stands beside the tests.
fn example(name: &str) -> PathBuf {
    let tests = std::env::current_exe().unwrap();
    let path = tests.parent().unwrap().parent().unwrap().join("examples").join(name);
    assert!(path.exists(), "{} is not built: cargo build -p chappe-linux --examples", path.display());
    path
}

/// A process, and what it writes on its standard error. Dropping it ends it.
struct Running {
    child: Child,
    log: Receiver<String>,
}

impl Running {
    fn start(name: &str, args: &[&str]) -> Running {
        let mut command = Command::new(example(name));
        command.env_remove("LOG_ROTATE_SECRET").env_remove("PERMANENT_CONNECTION_RETRIES");
        let mut child = command.args(args).stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let (send, log) = channel();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        std::thread::spawn(move || stderr.lines().map_while(Result::ok).try_for_each(|line| send.send(line)));
        Running { child, log }
    }

    /// The next line that has this in it.
    fn line(&self, with: &str) -> String {
        loop {
            let line = self.log.recv_timeout(PATIENCE).unwrap_or_else(|e| panic!("no line with {with:?}: {e}"));
            if line.contains(with) {
                return line;
            }
        }
    }

    /// It ends by itself.
    fn ends(mut self) {
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{status}");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        end::end(&mut self.child);
    }
}

/// A server on ports of its own: it, where it listens, and where it hears datagrams.
fn server(args: &[&str]) -> (Running, SocketAddr, SocketAddr) {
    let all = [&["--listen", "127.0.0.1:0", "--log-rotate-listen", "127.0.0.1:0"], args].concat();
    let server = Running::start("greeting_server", &all);
    let line = server.line("listening on ");
    let (stream, signals) = line.strip_prefix("listening on ").unwrap().split_once("; LOG_ROTATE on ").unwrap();
    let (stream, signals) = (stream.parse().unwrap(), signals.parse().unwrap());
    (server, stream, signals)
}

fn client(server: SocketAddr, args: &[&str]) -> Running {
    let server = server.to_string();
    let mut all = vec!["--server", &server, "--permanent-connection-retries", ".05"];
    all.extend(args);
    if !args.contains(&"--log-rotate-listen") {
        all.extend(["--log-rotate-listen", "127.0.0.1:0"]);
    }
    Running::start("greeting_client", &all)
}

fn connect(to: SocketAddr) -> TcpStream {
    TcpStream::connect(to).unwrap()
}

/// One datagram from anywhere.
fn tell(to: SocketAddr, datagram: &str) {
    UdpSocket::bind("127.0.0.1:0").unwrap().send_to(datagram.as_bytes(), to).unwrap();
}

#[test]
fn against_each_other() {
    let (server, at, _) = server(&[]);
    let clients: Vec<_> = (0..5).map(|_| client(at, &[])).collect();
    for client in clients {
        for word in ["HI", "CLIMB", "WHO", "BYE"] {
            assert_eq!(client.line("the server says"), format!("the server says {word}"));
        }
        client.ends();
    }
    // as `ed-signal --host … --type tcp --message QUIT`
    connect(at).write_all(b"<laptop:ed_signal QUIT\n").unwrap();
    server.ends();
}

#[test]
fn the_server_against_the_original_client() {
    let (server, at, signals) = server(&["--log-rotate-secret", "s3"]);
    let game = "S: HI\nC: DAD\nS: CLIMB\nC: TOP\nS: WHO\nC: MOM\nS: BYE";
    // a script is the other side here: what it says and hears changes places
    let game: String = game
        .lines()
        .map(|l| if let Some(w) = l.strip_prefix("S") { format!("C{w}\n") } else { l.replacen('C', "S", 1) + "\n" })
        .collect();
    for step in [1, 3, usize::MAX] {
        play(connect(at), &format!("{game}S: (closed)"), step);
    }
    let other = "C: HI
        # in no order: each has its own answer
        S: MOM
        C: BYE
        S: DAD
        C: CLIMB
        S: HELP
        C: UNKNOWN command=HELP
        S: HI
        C: UNKNOWN command=HI
        # nobody would stop
        S: UNKNOWN command=HI
        S: CMD a
        S: TOP
        C: WHO
        S: <a:b x/TOP
        C: a:b/WHO
        S: (closed)";
    play(connect(at), other, usize::MAX);
    let beside = connect(at);
    tell(signals, "LOG_ROTATE");
    server.line("without the right secret");
    tell(signals, "<laptop:ed_signal LOG_ROTATE secret_code=s3");
    server.line("log rotated");
    play(connect(at), "C: HI\nS: QUIT\nC: (ended)", usize::MAX);
    play(beside, "C: HI\nC: (ended)", usize::MAX);
    server.ends();
    TcpStream::connect(at).unwrap_err();
}

#[test]
fn the_client_against_the_original_server() {
    for step in [1, 3, usize::MAX] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = client(listener.local_addr().unwrap(), &[]);
        let game = "S: HI\nC: DAD\nS: CLIMB\nC: TOP\nS: WHO\nC: MOM\nS: BYE\nC: (ended)";
        play(listener.accept().unwrap().0, game, step);
        client.ends();
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = client(listener.local_addr().unwrap(), &[]);
    // the connection breaks, and comes back
    play(listener.accept().unwrap().0, "S: HI\nC: DAD\nS: (closed)", usize::MAX);
    let odd = "S: DAD
        C: UNKNOWN command=DAD
        S: STOP
        C: UNKNOWN command=STOP
        S: UNKNOWN command=DAD
        S: WHO
        C: MOM
        S: BYE
        C: (ended)";
    play(listener.accept().unwrap().0, odd, usize::MAX);
    client.ends();
}

#[test]
fn it_waits_for_a_server_and_rotates_its_log() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log");
    // a port that is free, and somebody who listens there later
    let at = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let port = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let client = client(
        at,
        &["--log-rotate-listen", &port.to_string(), "--log-rotate-secret", "x;y", "--log", log.to_str().unwrap()],
    );
    let has = |text: &str| {
        let end = std::time::Instant::now() + PATIENCE;
        while !std::fs::read_to_string(&log).unwrap_or_default().contains(text) {
            assert!(std::time::Instant::now() < end, "{text} is not in the log");
            std::thread::yield_now();
        }
    };
    has("no server: ");
    std::fs::rename(&log, dir.path().join("log.1")).unwrap();
    tell(port, "LOG_ROTATE secret_code=\"x;y\"");
    has("log rotated");
    let listener = TcpListener::bind(at).unwrap();
    play(listener.accept().unwrap().0, "S: HI\nC: DAD\nS: BYE\nC: (ended)", usize::MAX);
    client.ends();
    has("the server says BYE");
}
