//! Who the command is and which node it speaks to: the options that all commands share.

use std::path::PathBuf;
use std::time::Duration;

use chappe_linux::address::{Address, Bus};
use chappe_linux::client::{Connection, Files, Options, Trust};
use chappe_linux::msgq::usual_path;
use clap::Args;

use super::exit::{Failure, Status};
use super::show::{Out, parse_span};

/// Options of all commands that speak to a node.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Connection and output")]
pub(crate) struct Global {
    /// The node: tcp://HOST:PORT, tls://HOST:PORT, unix:///PATH, tls:///PATH or udp://HOST:PORT.
    /// Default: the Unix socket of this machine's daemon if there is one, else
    /// tcp://127.0.0.1:7840. For `send`, `call`,
    /// `listen`, `watch` and `ls` also a bus of BIND 10: msgq:/PATH; msgq://auto is the path in
    /// BIND10_MSGQ_SOCKET_FILE, or the usual places
    #[arg(long, global = true, env = "CHAPPE_CONNECT", value_name = "ADDRESS")]
    connect: Option<Bus>,
    /// Who you are; without it: anonymous. A bus of BIND 10 does not ask
    #[arg(long, global = true, env = "CHAPPE_USER", value_name = "NAME")]
    user: Option<String>,
    /// Your secret, a token or a password. Others see it in the list of processes: prefer --token-file or the variable
    #[arg(long, global = true, env = "CHAPPE_TOKEN", hide_env_values = true, value_name = "SECRET")]
    token: Option<String>,
    /// A file with your secret, instead of --token; one newline at its end is not part of it
    #[arg(long, global = true, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// At tls:// addresses: believe the certificates in this PEM file (the node's own may be one)
    /// and nobody else. Without it: those whom this machine believes
    #[arg(long, global = true, env = "CHAPPE_CA", value_name = "FILE")]
    ca: Option<PathBuf>,
    /// At tls:// addresses: believe anybody. Who stands between then reads and changes all,
    /// your secret too
    #[arg(long, global = true, conflicts_with = "ca")]
    insecure: bool,
    /// At tls:// addresses: the name that the node's certificate is for, if that is not the HOST
    #[arg(long, global = true, value_name = "NAME")]
    server_name: Option<String>,
    /// At tls:// addresses: a PEM file with your certificate, for nodes that ask for one
    #[arg(long, global = true, env = "CHAPPE_CERTIFICATE", value_name = "FILE")]
    certificate: Option<PathBuf>,
    /// Its key, if that is not in the same file
    #[arg(long, global = true, env = "CHAPPE_KEY", value_name = "FILE", requires = "certificate")]
    key: Option<PathBuf>,
    /// How long connecting and each answer may take: 250ms, 5s, 2m
    #[arg(long, short = 't', global = true, default_value = "5s", value_name = "TIME", value_parser = parse_span)]
    pub(crate) timeout: Duration,
    /// What to call this station in lists
    #[arg(long, global = true, value_name = "NAME", default_value = "chappe-cli")]
    station_name: String,
    /// Keep trying to connect until the timeout instead of failing at once
    #[arg(long, global = true)]
    wait: bool,
    /// Print JSON, one object a line
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Print only what was asked for, no remarks
    #[arg(long, short, global = true)]
    pub(crate) quiet: bool,
}

impl Global {
    pub(crate) fn out(&self) -> Out {
        Out::new(self.json, self.quiet)
    }

    /// The bus, whichever protocol it speaks.
    pub(crate) fn bus(&self) -> Bus {
        self.connect.clone().unwrap_or_else(|| Bus::Native(Address::of_this_machine()))
    }

    /// The socket, if it is a bus of BIND 10.
    pub(crate) fn msgq(&self) -> Option<PathBuf> {
        match self.bus() {
            Bus::Msgq(path) => Some(path.unwrap_or_else(usual_path)),
            Bus::Native(_) | Bus::Clacks(_) => None,
        }
    }

    /// Whether to keep trying to connect.
    pub(crate) fn is_patient(&self) -> bool {
        self.wait
    }

    /// The node, for what only the native protocol can do.
    pub(crate) fn address(&self) -> Result<Address, Failure> {
        match self.bus() {
            Bus::Native(address) => Ok(address),
            bus => Err(Failure::usage(format_args!("{bus} is a bus of BIND 10, which cannot do this"))),
        }
    }

    pub(crate) fn options(&self) -> Result<Options, Failure> {
        let token = match (&self.token_file, &self.token) {
            (Some(file), _) => {
                let mut token = std::fs::read(file)
                    .map_err(|e| Failure::io(format_args!("cannot read the token from {}", file.display()), &e))?;
                if token.last() == Some(&b'\n') {
                    token.pop();
                }
                token
            }
            (None, Some(token)) => token.clone().into_bytes(),
            (None, None) => Vec::new(),
        };
        self.check_timeout()?;
        let trust = match self.bus() {
            Bus::Native(address) if address.is_tls() => self.trust()?,
            _ => Trust::default(),
        };
        Ok(Options {
            name: self.station_name.clone(),
            user: self.user.clone().unwrap_or_default(),
            token,
            trust,
            software: concat!("chappe ", env!("CARGO_PKG_VERSION")).into(),
            timeout: self.timeout,
            patient: self.wait,
            ..Options::default()
        })
    }

    /// Whom to believe, and what to show.
    fn trust(&self) -> Result<Trust, Failure> {
        if self.insecure {
            let loud = "WARNING: --insecure: nobody knows whether this is your node. Whoever stands between reads and \
                        changes everything, your secret too. Get the node's certificate and use --ca FILE";
            eprintln!("chappe: {loud}");
        }
        let files = Files {
            ca: self.ca.clone(),
            insecure: self.insecure,
            certificate: self.certificate.clone(),
            key: self.key.clone(),
            server_name: self.server_name.clone(),
        };
        Trust::read(&files).map_err(|e| Failure::Because(Status::Io, e.to_string()))
    }

    pub(crate) fn check_timeout(&self) -> Result<(), Failure> {
        if self.timeout.is_zero() { Err(Failure::usage("--timeout must be longer than 0")) } else { Ok(()) }
    }

    pub(crate) fn connection(&self) -> Result<Connection, Failure> {
        Ok(Connection::connect(self.address()?, self.options()?)?)
    }
}
