//! Who the command is and which node it speaks to: the options that all commands share.

use std::path::PathBuf;
use std::time::Duration;

use chappe_linux::address::{Address, Bus, ClacksAddress};
use chappe_linux::clacks;
use chappe_linux::client::{Connection, Files, Options, Trust};
use chappe_linux::communicator::{self, Uri};
use chappe_linux::discovery::{self, Scheme, Schemes, Wanted};
use chappe_linux::msgq::usual_path;
use clap::Args;

use super::discover::shown;
use super::exit::{Failure, Status};
use super::show::{Out, parse_span};

/// User and password at Clacks servers of who does not say who they are.
const NOBODY: &str = "anonymous";

/// Options of all commands that speak to a node.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Connection and output")]
pub(crate) struct Global {
    /// The node: tcp://HOST:PORT, tls://HOST:PORT, unix:///PATH, tls:///PATH or udp://HOST:PORT.
    /// Default: the Unix socket of this machine's daemon if there is one, else
    /// tcp://127.0.0.1:7840. For `send`, `call`,
    /// `listen`, `watch` and `ls` also a bus of BIND 10: msgq:/PATH; msgq://auto is the path in
    /// BIND10_MSGQ_SOCKET_FILE, or the usual places. For `send`, `listen`, `monitor`, `get`, `set`, `incr`,
    /// `decr`, `del`, `keys`, `ls` and `flush` also a Clacks server: clacks:/PATH (clacks://auto: the
    /// usual places of a node's), clacks://HOST:PORT without TLS, or clackss://HOST with it (port 49888).
    /// For `send`, `call`, `listen`, `ls`, `status` and `shell` also a Communicator daemon: cd:///PATH
    /// (cd://auto: the usual places), cd://HOST (port 4040), cds://HOST with TLS (port 4043), for
    /// `send` also cdu://HOST (datagrams, port 4041)
    ///
    /// cdb:// searches the local network for a node and takes the first that answers:
    /// `cdb://[NODE][:PORT][?interface=NAME]`, only the one of that name, only on that interface
    #[arg(long, global = true, env = "CHAPPE_CONNECT", value_name = "ADDRESS")]
    connect: Option<Bus>,
    /// Who you are; without it: anonymous, which a node without users takes. A bus of BIND 10 does not ask, a
    /// server of Net::Clacks takes nobody without a user
    #[arg(long, global = true, env = "CHAPPE_USER", value_name = "NAME")]
    user: Option<String>,
    /// Your secret, a token or a password. Others see it in the list of processes: prefer --token-file or the variable.
    /// For a Clacks server it is not taken from here
    #[arg(long, global = true, env = "CHAPPE_TOKEN", hide_env_values = true, value_name = "SECRET")]
    token: Option<String>,
    /// Whether the last was typed, and not found in the variable.
    #[arg(skip)]
    pub(crate) token_is_typed: bool,
    /// A file with your secret, instead of --token; one newline at its end is not part of it
    #[arg(long, visible_alias = "password-file", global = true, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// At tls://, clackss:// and cds:// addresses: believe the certificates in this PEM file (the node's own may be one)
    /// and nobody else. Without it: those whom this machine believes
    #[arg(long, global = true, env = "CHAPPE_CA", value_name = "FILE")]
    ca: Option<PathBuf>,
    /// At tls://, clackss:// and cds:// addresses: believe anybody. Who stands between then reads and
    /// changes all, your secret too. With cdb:// give your secret to whoever answers, even without TLS
    #[arg(long, global = true, conflicts_with = "ca")]
    insecure: bool,
    /// At tls://, clackss:// and cds:// addresses: the name that the node's certificate is for, if that is not the HOST
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
    /// On a Clacks server: write and read values and names as its cache front end does. What has line
    /// ends is Base64 behind PAGECAMELCLACKSB64:, and blanks and `=` in names are ___
    #[arg(long, global = true)]
    pub(crate) encoded: bool,
    /// Print JSON, one object a line
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Print only what was asked for, no remarks
    #[arg(long, short, global = true)]
    pub(crate) quiet: bool,
}

/// A bus that others made.
pub(crate) enum Foreign {
    /// That of BIND 10, at this socket.
    Msgq(PathBuf),
    /// A Clacks server.
    Clacks(ClacksAddress),
    /// A Communicator daemon.
    Communicator(Uri),
}

impl Global {
    pub(crate) fn out(&self) -> Out {
        Out::new(self.json, self.quiet)
    }

    /// The bus, whichever protocol it speaks.
    pub(crate) fn bus(&self) -> Bus {
        self.connect.clone().unwrap_or_else(|| Bus::Native(Address::of_this_machine()))
    }

    /// Whether it is said anywhere which bus it is.
    pub(crate) fn is_told(&self) -> bool {
        self.connect.is_some()
    }

    /// Who it says it is, or nobody.
    pub(crate) fn user(&self) -> &str {
        self.user.as_deref().unwrap_or_default()
    }

    /// Which bus it is, if it is one that others made.
    pub(crate) fn foreign(&self) -> Option<Foreign> {
        match self.bus() {
            Bus::Msgq(path) => Some(Foreign::Msgq(path.unwrap_or_else(usual_path))),
            Bus::Clacks(address) => Some(Foreign::Clacks(address)),
            Bus::Communicator(uri) => Some(Foreign::Communicator(uri)),
            Bus::Native(_) | Bus::Search(_) => None,
        }
    }

    /// If the bus has to be searched for: does that, says what was found, and goes on as if that
    /// had been written.
    pub(crate) fn search(&mut self) -> Result<(), Failure> {
        const SECRET: &str = "your secret is not given to whoever answers, in clear";
        let Some(Bus::Search(wanted)) = &self.connect else { return Ok(()) };
        self.check_timeout()?;
        // Who brings something to prove or to be proven means it.
        let has_secret = self.token_file.is_some() || self.token.as_ref().is_some_and(|token| !token.is_empty());
        let has_trust = self.ca.is_some() || self.server_name.is_some() || self.certificate.is_some();
        let must_be_tls = has_trust || (has_secret && !self.insecure);
        let wants = if must_be_tls { Schemes::of(&[Scheme::Tls]) } else { Schemes::of(&[Scheme::Tcp, Scheme::Tls]) };
        let found = discovery::find(wanted, wants, self.timeout).map_err(|e| match Failure::from(e) {
            Failure::Because(status @ Status::Connect, text) if must_be_tls => {
                let why = if has_trust { "--ca, --server-name and --certificate are for TLS" } else { SECRET };
                let text = format!("{text}\n  only nodes with TLS were asked, because {why}");
                Failure::Because(status, text)
            }
            failure => failure,
        })?;
        let address = if must_be_tls { None } else { found.native(false) }.or_else(|| found.native(true));
        let Some(address) = address else {
            return Err(Failure::Because(Status::Connect, format!("{} offers nothing that was wanted", found.ip)));
        };
        if !self.quiet {
            eprintln!("chappe: found {} at {address}", shown(&found.node));
        }
        self.connect = Some(Bus::Native(address));
        Ok(())
    }

    /// What is to be searched for, if `--connect` says so.
    pub(crate) fn wanted(&self) -> Option<&Wanted> {
        match &self.connect {
            Some(Bus::Search(wanted)) => Some(wanted),
            _ => None,
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
            bus @ Bus::Search(_) => {
                Err(Failure::usage(format_args!("{bus} is to be searched for, which this does not do")))
            }
            bus @ Bus::Msgq(_) => Err(Failure::usage(format_args!("{bus} is a bus of BIND 10, which cannot do this"))),
            bus @ Bus::Clacks(_) => Err(Failure::usage(format_args!("{bus} is a Clacks server, which cannot do this"))),
            bus @ Bus::Communicator(_) => {
                Err(Failure::usage(format_args!("{bus} is a Communicator daemon, which cannot do this")))
            }
        }
    }

    /// The secret, if there is one.
    fn secret(&self) -> Result<Option<Vec<u8>>, Failure> {
        let Some(file) = &self.token_file else { return Ok(self.token.clone().map(String::into_bytes)) };
        let mut secret = std::fs::read(file).map_err(|e| {
            Failure::io(
                format_args!("cannot read {}, the file of --token-file (or --password-file)", file.display()),
                &e,
            )
        })?;
        if secret.last() == Some(&b'\n') {
            secret.pop();
        }
        Ok(Some(secret))
    }

    /// For a Clacks server.
    pub(crate) fn clacks_options(&self, is_tls: bool) -> Result<clacks::Options, Failure> {
        const HOW: &str = "say who you are with --user and --password-file, or CHAPPE_USER and CHAPPE_TOKEN";
        self.check_timeout()?;
        if self.token_is_typed {
            return Err(Failure::usage(
                "--token is not for a Clacks server: it is a password, and everybody on this machine sees what is \
                 typed here; write --password-file FILE, or set CHAPPE_TOKEN",
            ));
        }
        if self.certificate.is_some() && is_tls {
            return Err(Failure::usage("Clacks has no certificates of clients: --certificate is not for it"));
        }
        let user = self.user.clone().filter(|user| !user.is_empty());
        let (user, password) = match (user, self.secret()?) {
            (Some(user), Some(password)) => (user, password),
            (Some(_), None) => return Err(Failure::usage(format_args!("a Clacks server wants a password: {HOW}"))),
            (None, Some(_)) => return Err(Failure::usage(format_args!("of whom is this password? {HOW}"))),
            // a login there must be; a node without users takes everybody
            (None, None) => (NOBODY.to_owned(), NOBODY.into()),
        };
        Ok(clacks::Options {
            name: self.station_name.clone(),
            user,
            password,
            trust: if is_tls { self.trust()? } else { Trust::default() },
            timeout: self.timeout,
            connecting: self.timeout,
            patient: self.wait,
            ..clacks::Options::default()
        })
    }

    /// For a Communicator daemon: as this service, or as nobody if the name is empty.
    pub(crate) fn communicator_options(&self, uri: &Uri, name: &str) -> Result<communicator::Options, Failure> {
        self.check_timeout()?;
        if self.token_is_typed {
            return Err(Failure::usage(
                "--token is not for a Communicator daemon: it is a password, and everybody on this machine sees what \
                 is typed here; write --password-file FILE, or set CHAPPE_TOKEN",
            ));
        }
        if self.certificate.is_some() && uri.is_tls() {
            return Err(Failure::usage(
                "a Communicator daemon wants no certificate of yours: --certificate is not for it",
            ));
        }
        Ok(communicator::Options {
            name: name.to_owned(),
            password: if name.is_empty() { Vec::new() } else { self.secret()?.unwrap_or_default() },
            trust: if uri.is_tls() { self.trust()? } else { Trust::default() },
            timeout: self.timeout,
            connecting: self.timeout,
            patient: self.wait,
            ..communicator::Options::default()
        })
    }

    pub(crate) fn options(&self) -> Result<Options, Failure> {
        let token = self.secret()?.unwrap_or_default();
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
