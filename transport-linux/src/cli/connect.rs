//! Who the command is and which node it speaks to: the options that all commands share.

use std::path::PathBuf;
use std::time::Duration;

use chappe_linux::address::Address;
use chappe_linux::client::{Connection, Options};
use clap::Args;

use super::exit::Failure;
use super::show::{Out, parse_span};

/// Options of all commands that speak to a node.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Connection and output")]
pub(crate) struct Global {
    /// The node: tcp://HOST:PORT, unix:///PATH or udp://HOST:PORT. Default: the Unix socket of
    /// this machine's daemon if there is one, else tcp://127.0.0.1:7840
    #[arg(long, global = true, env = "CHAPPE_CONNECT", value_name = "ADDRESS")]
    connect: Option<Address>,
    /// Who you are; without it: anonymous
    #[arg(long, global = true, env = "CHAPPE_USER", value_name = "NAME")]
    user: Option<String>,
    /// Your secret. Others see it in the list of processes: prefer --token-file or the variable
    #[arg(long, global = true, env = "CHAPPE_TOKEN", hide_env_values = true, value_name = "SECRET")]
    token: Option<String>,
    /// A file with your secret, instead of --token; one newline at its end is not part of it
    #[arg(long, global = true, value_name = "FILE")]
    token_file: Option<PathBuf>,
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

    pub(crate) fn address(&self) -> Address {
        self.connect.clone().unwrap_or_else(Address::of_this_machine)
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
        if self.timeout.is_zero() {
            return Err(Failure::usage("--timeout must be longer than 0"));
        }
        Ok(Options {
            name: self.station_name.clone(),
            user: self.user.clone().unwrap_or_default(),
            token,
            software: concat!("chappe ", env!("CARGO_PKG_VERSION")).into(),
            timeout: self.timeout,
            patient: self.wait,
            ..Options::default()
        })
    }

    pub(crate) fn connection(&self) -> Result<Connection, Failure> {
        Ok(Connection::connect(self.address(), self.options()?)?)
    }
}
