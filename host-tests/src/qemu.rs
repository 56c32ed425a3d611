//! Firmware in QEMU, with a real daemon and the real command line around it.
//!
//! Owns: building what these tests run (once a test run, by the recipes that people use), starting and
//! ending QEMU, pulling its cable and pressing its button, a daemon that can be killed and started again
//! in the same place, and looking at what programs print. Does not own how QEMU is started, which is
//! `firmware-examples/qemu.sh`, nor how images are built, which is that board's `build.sh`.
//!
//! Nothing is skipped: without QEMU or a bare-metal toolchain these tests fail and say what to install.
//! `CHAPPE_IMAGES=FOLDER` takes images from there instead of building them.

use std::fmt;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use crate::daemon::workspace;

/// How long anything may take that should happen at once: what is slow here is the machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The longest pause between two attempts of a client, as `firmware-examples/README.md` states it.
pub const BACKOFF_MAX: Duration = Duration::from_secs(8);

/// What a busy machine may add to a time that is stated.
pub const MARGIN: Duration = Duration::from_secs(6);

/// Nobody else runs such a test on this checkout while this is kept: times would be those of a busy machine.
/// Between processes too; nextest's test group `qemu` does the same, without counting the wait.
pub fn alone() -> File {
    let built = built();
    let turn = File::create(built.chappe.with_file_name("turn")).expect("target can be written to");
    turn.lock().expect("files here can be locked");
    turn
}

/// Asks until it is so. A look that itself takes time needs no pause.
///
/// # Panics
/// If it does not come true within [`PATIENCE`].
pub fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begun.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

// What is run.

#[derive(Debug)]
struct Built {
    chappe: PathBuf,
    images: PathBuf,
}

fn firmware() -> PathBuf {
    workspace().join("firmware-examples")
}

/// Runs a step of the recipe; its whole output is the message if it fails.
fn step(command: &mut Command) -> String {
    // What the test's own cargo said about this package is not for another one.
    for (key, _) in std::env::vars_os() {
        let key = key.to_string_lossy();
        if key.starts_with("CARGO_PKG_") || key.starts_with("CARGO_MANIFEST_") || key == "CARGO_CRATE_NAME" {
            command.env_remove(&*key);
        }
    }
    let ran = command.stdin(Stdio::null()).output().unwrap_or_else(|e| panic!("cannot run {command:?}: {e}"));
    let out = String::from_utf8_lossy(&ran.stdout).into_owned();
    let what = command.get_args().map(|a| a.to_string_lossy()).collect::<Vec<_>>().join(" ");
    assert!(
        ran.status.success(),
        "{} {what} failed:\n{out}\n{}",
        command.get_program().display(),
        String::from_utf8_lossy(&ran.stderr)
    );
    out
}

/// Builds the daemon and the images, once a run: of several processes of one nextest run the first
/// builds and the others wait for it.
fn built() -> &'static Built {
    static BUILT: OnceLock<Built> = OnceLock::new();
    BUILT.get_or_init(|| {
        let program = std::env::var_os("QEMU_ARM").unwrap_or_else(|| "qemu-system-arm".into());
        let found = Command::new(&program).arg("--version").stdout(Stdio::null()).status();
        assert!(
            found.is_ok_and(|s| s.success()),
            "no {} here, which these tests need; run: apt-get install qemu-system-arm",
            program.display()
        );
        let folder = workspace().join("target/qemu-tests");
        fs::create_dir_all(&folder).expect("target can be written to");
        let lock = File::create(folder.join("lock")).expect("target can be written to");
        lock.lock().expect("files here can be locked");
        let run = std::env::var("NEXTEST_RUN_ID").ok();
        let stamp = folder.join("built");
        let images = std::env::var_os("CHAPPE_IMAGES").map(PathBuf::from);
        let chappe = folder.join("chappe");
        if run.is_none() || fs::read_to_string(&stamp).ok() != run {
            let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
            let said = step(
                Command::new(cargo)
                    .args(["build", "-q", "-p", "chappe-linux", "--bin", "chappe"])
                    .arg("--message-format=json-render-diagnostics")
                    .current_dir(workspace()),
            );
            let key = "\"executable\":\"";
            let at = said.rfind(key).expect("cargo names the executable") + key.len();
            // A copy: a build of somebody else's does not change the program in the middle of a test.
            fs::copy(said[at..].split('"').next().unwrap_or_default(), &chappe).expect("the binary can be copied");
            if images.is_none() {
                step(Command::new("sh").arg(firmware().join("qemu-lm3s6965/build.sh")));
            }
            if let Some(run) = run {
                fs::write(&stamp, run).expect("target can be written to");
            }
        }
        Built { chappe, images: images.unwrap_or_else(|| firmware().join("qemu-lm3s6965/target/images")) }
    })
}

/// An image of the QEMU board, built if need be.
pub fn image(name: &str) -> PathBuf {
    built().images.join(name)
}

/// A folder of this test's own for sockets; short, because their paths must be.
pub fn folder() -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let path = std::env::temp_dir().join(format!("chappe-q{}-{number}", std::process::id()));
    fs::create_dir_all(&path).expect("the temporary folder can be written to");
    path
}

/// What a child writes, kept for whoever asks or for the end of a failed test.
#[derive(Debug, Clone, Default)]
struct Kept(Arc<Mutex<Vec<u8>>>);

impl Kept {
    fn from(mut pipe: impl Read + Send + 'static) -> Self {
        let kept = Kept::default();
        let into = kept.clone();
        std::thread::spawn(move || {
            let mut piece = [0; 4096];
            while let Ok(n @ 1..) = pipe.read(&mut piece) {
                into.0.lock().expect("nobody panics with it").extend(&piece[..n]);
            }
        });
        kept
    }

    fn bytes(&self) -> Vec<u8> {
        self.0.lock().expect("nobody panics with it").clone()
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes()).into_owned()
    }
}

/// Ends a child by its pid, and waits until it is gone.
fn end(child: &mut Child) {
    let _ = child.kill();
    let _ = child.wait();
}

// The board.

/// A running image. Ends when it is dropped.
#[derive(Debug)]
pub struct Board {
    child: Child,
    control: PathBuf,
    out: Kept,
    err: Kept,
}

impl Board {
    /// `sensor` with the id `id`, connecting to `port` of this machine.
    pub fn ethernet(name: &str, id: &str, port: u16) -> Board {
        Board::start(&["eth".as_ref(), &image(name), format!("id={id}").as_ref(), format!("port={port}").as_ref()])
    }

    /// `sensor-search` with the id `id`, searching for the node `node` at this UDP port of this machine.
    pub fn search(id: &str, node: &str, port: u16) -> Board {
        // What this machine answers to a broadcast comes out of QEMU as from 127.0.0.1, so there the network is.
        let words = [format!("id={id}"), format!("node={node}"), format!("search={port}"), "address=127.0.0.15".into()];
        let [id, node, port, address] = words.each_ref().map(|word: &String| Path::new(word));
        let image = image("sensor-search");
        let arguments = [Path::new("eth"), &image, id, node, port, address];
        Board::start_on("net=127.0.0.0/24,host=127.0.0.1", &arguments)
    }

    /// `sensor-uart` with the id `id`, its serial line joined to the Unix socket `socket`.
    pub fn serial(id: &str, socket: &Path) -> Board {
        Board::start(&["uart".as_ref(), &image("sensor-uart"), socket, format!("id={id}").as_ref()])
    }

    /// `hub`, with the address at which this machine reaches it.
    pub fn hub() -> (Board, String) {
        // Free a moment ago. Tests of other processes ask the same way, and the kernel hands ports out in turn.
        let port = free_port();
        let board = Board::start(&["hub".as_ref(), &image("hub"), port.to_string().as_ref()]);
        (board, format!("tcp://127.0.0.1:{port}"))
    }

    fn start(arguments: &[&Path]) -> Board {
        Board::start_on("", arguments)
    }

    /// On this network of QEMU's; empty: the usual one.
    fn start_on(network: &str, arguments: &[&Path]) -> Board {
        let control = folder().join("qmp");
        // It ends by `exec`: the child is QEMU itself.
        let mut child = Command::new("sh")
            .arg(firmware().join("qemu.sh"))
            .args(arguments)
            .env("CHAPPE_QMP", &control)
            .env("CHAPPE_NET", network)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("there is a shell");
        let out = Kept::from(child.stdout.take().expect("it is piped"));
        let err = Kept::from(child.stderr.take().expect("it is piped"));
        let mut board = Board { child, control, out, err };
        wait_for("QEMU's control socket", || {
            board.assert_runs();
            board.control.exists().then_some(())
        });
        board
    }

    /// # Panics
    /// If QEMU has ended: the firmware panicked, or QEMU did not start.
    pub fn assert_runs(&mut self) {
        if let Some(status) = self.child.try_wait().expect("it is our child") {
            panic!("QEMU ended with {status}: {}", self.err.text());
        }
    }

    fn control(&self, command: &str, word: &str) {
        step(Command::new("sh").arg(firmware().join("qemu.sh")).arg(command).arg(&self.control).arg(word));
    }

    /// Plugs the cable in, or pulls it.
    pub fn cable(&self, plugged: bool) {
        self.control("link", if plugged { "up" } else { "down" });
    }

    /// Presses the button and releases it half a second later.
    pub fn press(&self) {
        self.control("key", "ctrl");
    }

    /// What the firmware wrote so far: defmt's bytes, if the image has them.
    pub fn output(&self) -> Vec<u8> {
        self.out.bytes()
    }
}

impl Drop for Board {
    fn drop(&mut self) {
        end(&mut self.child);
        if std::thread::panicking() && !self.err.bytes().is_empty() {
            eprintln!("QEMU said:\n{}", self.err.text());
        }
        if let Some(folder) = self.control.parent() {
            let _ = fs::remove_dir_all(folder);
        }
    }
}

fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("there are free ports");
    listener.local_addr().expect("it is bound").port()
}

// The daemon.

/// A daemon that can be killed and comes back in the same place. Ends when it is dropped.
#[derive(Debug)]
pub struct Node {
    child: Option<Child>,
    folder: PathBuf,
    port: u16,
    log: Kept,
}

impl Node {
    /// With its built-in configuration, on a free TCP port of the loopback and on [`Node::socket`].
    pub fn start() -> Node {
        Node::with("")
    }

    /// The same with the name `node`, found by who searches on the loopback, at a UDP port that is the second.
    pub fn start_found(node: &str) -> (Node, u16) {
        let said = |port| format!("node = \"{node}\"\n[discovery]\ninterfaces = [\"lo\"]\nport = {port}\n");
        let started = Node::with(&said(0));
        let log = started.log.text();
        let line = log.lines().find(|line| line.contains("discovery.open")).expect("it says where");
        let port = member(line, "port").parse().expect("a port is a number");
        started.configure(&said(port));
        (started, port)
    }

    fn with(config: &str) -> Node {
        let mut node = Node { child: None, folder: folder(), port: 0, log: Kept::default() };
        node.configure(config);
        node.start_again();
        node
    }

    fn config(&self) -> PathBuf {
        self.folder.join("chappe.toml")
    }

    fn configure(&self, text: &str) {
        fs::write(self.config(), text).expect("the temporary folder can be written to");
    }

    /// The next start is at another TCP port.
    pub fn move_away(&mut self) {
        self.port = 0;
    }

    /// Where the command line finds it.
    pub fn address(&self) -> String {
        format!("tcp://127.0.0.1:{}", self.port)
    }

    /// Its TCP port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its Unix stream listener.
    pub fn socket(&self) -> PathBuf {
        self.folder.join("s")
    }

    /// SIGKILL: no goodbye, no tidying up.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            end(&mut child);
        }
    }

    /// On the same port and socket as before. Returns when it is ready.
    pub fn start_again(&mut self) {
        assert!(self.child.is_none(), "it runs already");
        let mut child = plain(&built().chappe)
            .arg("serve")
            .arg("--config")
            .arg(self.config())
            .args(["--log-format", "json", "--listen"])
            .arg(format!("tcp://127.0.0.1:{}", self.port))
            .arg("--listen")
            .arg(format!("unix://{}", self.socket().display()))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the daemon starts");
        self.log = Kept::from(child.stderr.take().expect("it is piped"));
        let log = self.log.clone();
        let said = wait_for("the daemon's readiness", || {
            let ended = child.try_wait().expect("it is our child");
            let said = log.text();
            assert!(ended.is_none(), "the daemon ended: {said}");
            said.contains("\"daemon.ready\"").then_some(said)
        });
        let key = "tcp://127.0.0.1:";
        let at = said.find(key).expect("it says where it listens") + key.len();
        let digits = said[at..].split('"').next().unwrap_or_default();
        self.port = digits.parse().expect("a port is a number");
        self.child = Some(child);
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            eprintln!("the daemon said:\n{}", self.log.text());
        }
        let _ = fs::remove_dir_all(&self.folder);
    }
}

// The command line.

/// A program that the caller's environment does not configure.
fn plain(program: &Path) -> Command {
    let mut command = Command::new(program);
    for (key, _) in std::env::vars_os() {
        if key.to_string_lossy().starts_with("CHAPPE_") {
            command.env_remove(key);
        }
    }
    command
}

/// What a program printed, and how it ended.
#[derive(Debug)]
#[allow(missing_docs, reason = "they are what they are called")]
pub struct Said {
    pub status: ExitStatus,
    pub out: String,
    pub err: String,
}

impl Said {
    /// # Panics
    /// If it failed.
    pub fn good(self) -> String {
        assert!(self.status.success(), "it failed: {self}");
        self.out.trim_end().into()
    }
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n{}\n{}", self.status, self.out, self.err)
    }
}

/// The command line `chappe`, connected to one node.
#[derive(Debug, Clone)]
pub struct Chappe {
    address: String,
}

impl Chappe {
    /// Of the node there.
    pub fn of(address: impl Into<String>) -> Chappe {
        Chappe { address: address.into() }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = plain(&built().chappe);
        command.args(["--connect", &self.address]).args(arguments).stdin(Stdio::null());
        if !arguments.contains(&"--timeout") {
            command.args(["--timeout", "30s"]);
        }
        command
    }

    /// Runs a command to its end.
    pub fn run(&self, arguments: &[&str]) -> Said {
        let ran = self.command(arguments).output().expect("the command line starts");
        let text = |bytes| String::from_utf8(bytes).expect("it prints text");
        Said { status: ran.status, out: text(ran.stdout), err: text(ran.stderr) }
    }

    /// Runs a command that must end well, and what it printed.
    pub fn good(&self, arguments: &[&str]) -> String {
        let said = self.run(arguments);
        assert!(said.status.success(), "chappe {arguments:?}: {said}");
        said.good()
    }

    /// Runs a command again and again until it ends well and its output is to the taste of `look`.
    pub fn until<T>(&self, arguments: &[&str], mut look: impl FnMut(&str) -> Option<T>) -> T {
        wait_for(&format!("chappe {}", arguments.join(" ")), || {
            let said = self.run(arguments);
            if said.status.success() { look(said.out.trim_end()) } else { None }
        })
    }

    /// Runs a command that prints line by line, and does not end.
    pub fn follow(&self, arguments: &[&str]) -> Follow {
        let mut child = self
            .command(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the command line starts");
        let out = BufReader::new(child.stdout.take().expect("it is piped"));
        let err = Kept::from(child.stderr.take().expect("it is piped"));
        let (to, lines) = channel();
        std::thread::spawn(move || out.lines().map_while(Result::ok).try_for_each(|line| to.send(line)));
        Follow { child, lines, err, what: arguments.join(" ") }
    }
}

/// A command that prints line by line. Ends when it is dropped.
#[derive(Debug)]
pub struct Follow {
    child: Child,
    lines: Receiver<String>,
    err: Kept,
    what: String,
}

impl Follow {
    /// The next line.
    ///
    /// # Panics
    /// If none comes within [`PATIENCE`].
    pub fn line(&self) -> String {
        self.line_within(PATIENCE).unwrap_or_else(|| panic!("chappe {} printed nothing within {PATIENCE:?}", self.what))
    }

    /// The next line, if one comes in time.
    ///
    /// # Panics
    /// If the command has ended.
    pub fn line_within(&self, time: Duration) -> Option<String> {
        match self.lines.recv_timeout(time) {
            Ok(line) => Some(line),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => panic!("chappe {} ended: {}", self.what, self.err.text()),
        }
    }

    /// The next line that is to the taste of `look`; others are dropped.
    ///
    /// # Panics
    /// If none comes within [`PATIENCE`].
    pub fn find(&self, what: &str, mut look: impl FnMut(&str) -> bool) -> String {
        let begun = Instant::now();
        let mut last = String::new();
        while let Some(line) = self.line_within(PATIENCE.saturating_sub(begun.elapsed())) {
            if look(&line) {
                return line;
            }
            last = line;
        }
        panic!("chappe {}: no {what} within {PATIENCE:?}; the last line was {last:?}", self.what)
    }

    /// Drops what was printed so far.
    pub fn forget(&self) {
        while self.lines.try_recv().is_ok() {}
    }

    /// What it said on its standard error so far.
    pub fn remarks(&self) -> String {
        self.err.text()
    }
}

impl Drop for Follow {
    fn drop(&mut self) {
        end(&mut self.child);
        if std::thread::panicking() && !self.err.bytes().is_empty() {
            eprintln!("chappe {} said:\n{}", self.what, self.err.text());
        }
    }
}

/// A member of an object that `chappe --json` printed on one line: the text, or the number as it stands.
/// Such members are flat, and none that tests look at has quotes in it.
pub fn member<'l>(line: &'l str, key: &str) -> &'l str {
    let key = format!("\"{key}\":");
    let Some(at) = line.find(&key) else { return "" };
    let rest = &line[at + key.len()..];
    match rest.strip_prefix('"') {
        Some(text) => text.split('"').next().unwrap_or_default(),
        None => rest.split([',', '}']).next().unwrap_or_default(),
    }
}
