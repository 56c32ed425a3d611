//! The `chappe` binary as a process, for tests that need real sockets.
//!
//! Owns: building it once and ending it. What the daemon does is tested beside it, in
//! `transport-linux/tests`; here it is only somebody to talk to.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

/// A running daemon on a free TCP port of this machine. Ends when it is dropped.
#[derive(Debug)]
pub struct Daemon {
    child: Child,
    /// `tcp://127.0.0.1:PORT`.
    pub address: String,
}

/// Where the workspace is.
pub fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("it is in a workspace").into()
}

/// The binary, built if need be.
fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
        let built = Command::new(cargo)
            .args(["build", "-q", "-p", "chappe-linux", "--bin", "chappe", "--message-format=json-render-diagnostics"])
            .current_dir(workspace())
            .stderr(Stdio::inherit())
            .output()
            .expect("cargo runs");
        assert!(built.status.success(), "the daemon does not build");
        let text = String::from_utf8(built.stdout).expect("cargo speaks UTF-8");
        let key = "\"executable\":\"";
        let at = text.rfind(key).expect("cargo names the executable") + key.len();
        text[at..].split('"').next().expect("a closing quote").into()
    })
}

impl Daemon {
    /// With its built-in configuration.
    ///
    /// # Panics
    /// If it does not come up.
    pub fn start() -> Self {
        let mut child = Command::new(binary())
            .args(["serve", "--config", "/dev/null", "--listen", "tcp://127.0.0.1:0", "--log-format", "json"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the daemon starts");
        let mut stderr = BufReader::new(child.stderr.take().expect("it is piped"));
        let mut address = String::new();
        let mut line = String::new();
        while !line.contains("daemon.ready") {
            line.clear();
            let n = stderr.read_line(&mut line).expect("the log is text");
            assert!(n > 0, "the daemon ended before it was ready");
            if let Some(at) = line.find("tcp://127.0.0.1:").filter(|_| line.contains("listener.open")) {
                address = line[at..].split('"').next().unwrap_or_default().into();
            }
        }
        assert!(!address.is_empty(), "the daemon did not say where it listens");
        // whoever logs into a pipe that nobody reads stops when it is full
        std::thread::spawn(move || std::io::copy(&mut stderr, &mut std::io::sink()));
        Daemon { child, address }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
