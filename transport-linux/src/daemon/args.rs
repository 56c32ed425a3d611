//! What `chappe serve` and `chappe check-config` take on their command line.
//!
//! Owns: the arguments and what they override. Does not own: the configuration's own
//! keys, which are in [`crate::config`].

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::config::{Endpoint, Level, LogFormat};

/// Arguments of `chappe serve`.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct ServeArgs {
    /// Read this file instead of /etc/chappe/chappe.toml (which may be absent)
    #[arg(long, short, value_name = "FILE", env = "CHAPPE_CONFIG")]
    pub config: Option<PathBuf>,
    /// What else overrides the file.
    #[command(flatten)]
    pub overrides: Overrides,
}

/// Arguments of `chappe check-config`.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct CheckArgs {
    /// The file to check, instead of that in CHAPPE_CONFIG or /etc/chappe/chappe.toml
    #[arg(value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// The same, as `serve` takes it
    #[arg(long, short, value_name = "FILE", conflicts_with = "file")]
    pub config: Option<PathBuf>,
    /// As `serve` would be called.
    #[command(flatten)]
    pub overrides: Overrides,
}

/// What may be said on the command line instead of in the file.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Overrides {
    /// Listen here instead of where the configuration says; may be repeated.
    /// tcp://HOST:PORT, udp://HOST:PORT, unix:///PATH, unix://auto, msgq:///PATH, msgq://auto, clacks:///PATH, clacks://auto,
    /// clacks://HOST:PORT, cd:///PATH, cd://auto, cd://HOST:PORT, cdu://HOST:PORT, serial:///dev/ttyS0?speed=115200, clacks+serial:///dev/ttyS0?speed=115200; and tls://HOST:PORT,
    /// clackss://HOST:PORT, cds://HOST:PORT if the file has a listener of that address, with its certificate
    #[arg(long, short, value_name = "ADDRESS")]
    pub listen: Vec<Endpoint>,
    /// The node's name, as stations see it
    #[arg(long, value_name = "NAME")]
    pub node: Option<String>,
    /// Allow anyone who can reach a non-loopback listener to use it without credentials
    #[arg(long)]
    pub allow_open: bool,
    /// Serve counters in Prometheus text form here (loopback only)
    #[arg(long, value_name = "HOST:PORT")]
    pub metrics: Option<SocketAddr>,
    /// text or json
    #[arg(long, value_name = "FORMAT", env = "CHAPPE_LOG_FORMAT")]
    pub log_format: Option<LogFormat>,
    /// off, error, warn, info, debug or trace
    #[arg(long, value_name = "LEVEL", env = "CHAPPE_LOG_LEVEL")]
    pub log_level: Option<Level>,
}
