//! How a command ends: exit statuses and error messages.

use std::fmt;
use std::io::ErrorKind;

use chappe_linux::address::Address;
use chappe_linux::client::{Code, Error, Outcome, Problem, ProblemKind, Why};
use chappe_linux::{clacks, communicator, discovery, msgq};

/// For `--help`: what each status means.
pub(crate) const HELP: &str = "\
Exit statuses:
  0  done
  1  the node or the callee answered with an error (not found, name taken, failed, ...)
  2  the command line is wrong
  3  nobody is there: no recipient, or it left before answering
  4  no answer in time
  5  refused: wrong user or token, or no permission
  6  cannot connect, or the connection was lost
  7  a file or the output could not be read or written
`flag count`, `flag raised`: 0 if no flag is raised, 1 if any is
`call --all`: 0 if there are members and all answered well, else the highest of theirs
Of `serve` and `check-config`:
  1  an address or a file cannot be opened, the loop failed, or values could not be written
  65 the file of values is damaged; nothing was started
  78 the configuration is wrong; nothing was started";

/// Exit statuses, see [`HELP`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    Answered = 1,
    Usage = 2,
    Nobody = 3,
    TimedOut = 4,
    Refused = 5,
    Connect = 6,
    Io = 7,
}

/// The status of an answer; `None`: it is a good one.
pub(crate) fn status_of(code: Code) -> Option<Status> {
    Some(match code {
        Code::Ok | Code::Kept => return None,
        Code::NoRecipient | Code::RecipientLeft => Status::Nobody,
        Code::TimedOut => Status::TimedOut,
        Code::Refused | Code::BadCredentials => Status::Refused,
        _ => Status::Answered,
    })
}

/// What to say if the system does not let somebody connect to a Unix socket.
const NO_WAY_IN: &str = "\n  the socket is there, but its mode, owner or group (or those of its folder) do not let \
    this system user in: see `ls -l`, and mode, owner and group of that listener in the daemon's chappe.toml";

/// Why a command failed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// With what to tell the person.
    Because(Status, String),
    /// The status says it all.
    Silent(Status),
    /// Whoever read the output has seen enough.
    OutputClosed,
}

impl Failure {
    pub(crate) fn usage(text: impl fmt::Display) -> Self {
        Failure::Because(Status::Usage, text.to_string())
    }

    pub(crate) fn io(what: impl fmt::Display, error: &std::io::Error) -> Self {
        if error.kind() == ErrorKind::BrokenPipe {
            return Failure::OutputClosed;
        }
        Failure::Because(Status::Io, format!("{what}: {error}"))
    }

    /// About something that the error itself does not name.
    pub(crate) fn about(what: impl fmt::Display, error: impl Into<Failure>) -> Self {
        match error.into() {
            Failure::Because(status, text) => Failure::Because(status, format!("{what}: {text}")),
            other => other,
        }
    }
}

impl From<discovery::Error> for Failure {
    fn from(error: discovery::Error) -> Self {
        use discovery::Error;
        let hint = match &error {
            Error::Nobody { .. } => {
                "\n  a node answers on the interfaces that [discovery] in its chappe.toml names, if it has a listener that \
                 can be reached there; `chappe discover` lists all that do"
            }
            _ => "",
        };
        Failure::Because(Status::Connect, format!("{error}{hint}"))
    }
}

impl From<msgq::Error> for Failure {
    fn from(error: msgq::Error) -> Self {
        use msgq::Error;
        let (status, hint) = match &error {
            Error::Connect { problem, .. } if problem.kind() == ErrorKind::PermissionDenied => {
                (Status::Connect, NO_WAY_IN)
            }
            Error::Connect { .. } => (
                Status::Connect,
                "\n  is a daemon running that listens there? `chappe serve` says where it does; say so with \
                 --connect msgq:/PATH, CHAPPE_CONNECT or BIND10_MSGQ_SOCKET_FILE",
            ),
            Error::NoName { .. } => {
                (Status::Connect, "\n  a node of Chappe has two sockets: for its native one write unix:///PATH")
            }
            Error::Closed { .. } => (
                Status::Refused,
                "\n  perhaps this system user may not use it: see peer_users and anonymous in the daemon's \
                 chappe.toml, and its log\n  a node of Chappe has two sockets: for its native one write unix:///PATH",
            ),
            Error::Over { .. } => (Status::Connect, ""),
            Error::TimedOut(_) => (Status::TimedOut, ""),
            Error::HeaderTooLong(_) | Error::BodyTooLong(_) => (Status::Usage, ""),
            Error::NoReturn => (Status::Answered, ""),
        };
        Failure::Because(status, format!("{error}{hint}"))
    }
}

impl From<msgq::CallError> for Failure {
    fn from(error: msgq::CallError) -> Self {
        use msgq::CallError;
        let status = match error {
            CallError::Lost(error) => return Failure::from(error),
            CallError::Missing | CallError::Left => Status::Nobody,
            CallError::TimedOut => Status::TimedOut,
            // a node of Chappe says so with its own codes
            CallError::Failed { code: code @ i64::MIN..0, .. } => u32::try_from(code.unsigned_abs())
                .ok()
                .and_then(|n| status_of(Code::from_number(n)))
                .unwrap_or(Status::Answered),
            CallError::Failed { .. } | CallError::NoResult(_) => Status::Answered,
        };
        Failure::Because(status, error.to_string())
    }
}

impl From<clacks::Error> for Failure {
    fn from(error: clacks::Error) -> Self {
        use clacks::Error;
        let (status, hint) = match &error {
            Error::Connect { address, problem } => (Status::Connect, clacks_hint(address.is_tls(), problem)),
            Error::NotClacks { address, .. } => (
                Status::Connect,
                match (address.is_tls(), address.is_unix()) {
                    (true, _) => "\n  is it the right port?",
                    (false, true) => {
                        "\n  a node of Chappe has a socket of its own for each protocol: clacks://auto finds the usual one of \
                                      Clacks; for the native one write unix:///PATH"
                    }
                    (false, false) => {
                        "\n  over TCP servers of Net::Clacks speak TLS: write clackss://HOST:PORT; a node of Chappe \
                              has a socket of its own for each protocol"
                    }
                },
            ),
            Error::Refused { .. } => (
                Status::Refused,
                "\n  say who you are with --user and --password-file, or CHAPPE_USER and CHAPPE_TOKEN",
            ),
            Error::TurnedAway { .. } => (Status::Connect, ""),
            Error::Denied => (Status::Refused, ""),
            Error::Unknown(_) | Error::Told(_) | Error::TooMuch | Error::TooMany(_) => (Status::Answered, ""),
            Error::TimedOut(_) => (Status::TimedOut, ""),
            Error::Lost { .. } | Error::Full(_) => (Status::Connect, ""),
            Error::NotSent(why) if why.is_value_with_line_end() => (
                Status::Usage,
                "\n  --encoded writes it as the cache front end of Net::Clacks does, and reads it again",
            ),
            Error::NotSent(_) => (Status::Usage, ""),
            Error::Poll(_) => (Status::Io, ""),
        };
        Failure::Because(status, format!("{error}{hint}"))
    }
}

impl From<communicator::Error> for Failure {
    fn from(error: communicator::Error) -> Self {
        use communicator::Error;
        let (status, hint) = match &error {
            Error::Connect { uri, problem } => (Status::Connect, communicator_hint(uri, problem)),
            Error::NotCommunicator { .. } => (
                Status::Connect,
                "\n  a node of Chappe has a socket of its own for each protocol: is it the right one? Is this service \
                 registered already, at a daemon that does not say so?",
            ),
            // as this daemon says it; the original takes a second service of a name
            Error::Refused { text, .. } if text.contains("has that name") => {
                (Status::Answered, "\n  a service is one connection: end the other one, or take another name")
            }
            Error::Refused { .. } => (
                Status::Refused,
                "\n  if the daemon wants a password, say who you are with --user and --password-file, or CHAPPE_USER and \
                 CHAPPE_TOKEN",
            ),
            Error::Carrier { .. } | Error::Name { .. } | Error::NotSent(_) => (Status::Usage, ""),
            Error::TimedOut(_) | Error::Missing { .. } => (Status::TimedOut, ""),
            Error::Lost(communicator::Why::Refused(_)) => (Status::Refused, ""),
            Error::Lost(communicator::Why::Lost(text)) if text.contains("within a line") => {
                (Status::Connect, OTHER_PROTOCOL)
            }
            Error::Lost(_) | Error::Over(_) | Error::Full(_) => (Status::Connect, ""),
            Error::TooMany(_) => (Status::Usage, ""),
            Error::Datagram(_) | Error::Poll(_) => (Status::Io, ""),
        };
        Failure::Because(status, format!("{error}{hint}"))
    }
}

/// What to say if a line does not end, as no daemon of the Communicator leaves it.
const OTHER_PROTOCOL: &str = "\n  what listens there speaks another protocol, it seems; a node of Chappe has a socket of its own for \
    each: cd://auto finds the usual one, and for the native one write unix:///PATH or tcp://HOST:PORT";

/// What to do if a Communicator daemon cannot be reached.
fn communicator_hint(uri: &communicator::Uri, problem: &std::io::Error) -> &'static str {
    match Problem::of(problem).map(Problem::kind) {
        // the error says which name it is for
        Some(ProblemKind::WrongName) => {
            "\n  connect by that name, or say --server-name NAME if you know that this is the right daemon"
        }
        Some(ProblemKind::UnknownIssuer) => {
            "\n  get the file with the certificate from who runs the daemon, and say --ca FILE (the original's daemons have self-signed \
             ones for `snap.website`: add --server-name snap.website); or believe anybody with --insecure"
        }
        Some(ProblemKind::NotTls | ProblemKind::Ended) => {
            "\n  if the daemon listens there without TLS, write cd:// instead of cds://"
        }
        Some(kind) => tls_hint(kind),
        None if problem.kind() == ErrorKind::PermissionDenied && uri.is_unix() => NO_WAY_IN,
        None if problem.kind() == ErrorKind::Unsupported => "",
        None if uri.is_datagrams() => {
            "\n  nothing listens on that UDP port; a node of Chappe does only if its configuration says so: \
             [[listeners]] address = \"cdu://127.0.0.1\" (or for a try: `chappe serve --listen cdu://127.0.0.1 --listen cd://auto`)"
        }
        None if uri.is_unix() => {
            "\n  is a Communicator daemon running that listens there, or a node of Chappe? `chappe serve` says where it does"
        }
        None => {
            "\n  is a Communicator daemon running that listens there? a node of Chappe listens on TCP for its programs only if its \
             configuration says so; without a configuration it is found at cd://auto"
        }
    }
}

/// What to do if a Clacks server cannot be reached.
fn clacks_hint(is_tls: bool, problem: &std::io::Error) -> &'static str {
    match Problem::of(problem).map(Problem::kind) {
        Some(ProblemKind::UnknownIssuer) => {
            "\n  servers of Net::Clacks usually have self-signed certificates: get the file with it from who runs the \
             server, and say --ca FILE; or believe anybody with --insecure"
        }
        Some(ProblemKind::NotTls | ProblemKind::Ended) => {
            "\n  if the server listens there without TLS, write clacks:// instead of clackss://"
        }
        Some(kind) => tls_hint(kind),
        None if problem.kind() == ErrorKind::PermissionDenied && !is_tls => NO_WAY_IN,
        None => "\n  is a Clacks server running that listens there?",
    }
}

/// What to do about TLS that does not come about.
fn tls_hint(kind: ProblemKind) -> &'static str {
    match kind {
        ProblemKind::UnknownIssuer => {
            "\n  if that is so on purpose, get the file with the certificate from who runs the node, and say --ca FILE"
        }
        ProblemKind::WrongName => {
            "\n  connect by that name, or say --server-name NAME if you know that this is the right node"
        }
        ProblemKind::WrongTime => "\n  is this machine's clock right? if so, the node needs a new certificate",
        ProblemKind::NotTls => "\n  if the node listens there without TLS, write tcp:// (or unix://) instead of tls://",
        ProblemKind::WantsCertificate => "\n  show yours with --certificate FILE and --key FILE",
        ProblemKind::Ended => {
            "\n  is the node full, or is this not its TLS port? without TLS write tcp:// instead of tls://"
        }
        ProblemKind::NoRoots => "\n  say whom to believe with --ca FILE, or install the package ca-certificates",
        _ => "",
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let status = match &error {
            Error::Connect { .. } | Error::Disconnected => Status::Connect,
            Error::Refused { .. } => Status::Refused,
            Error::TimedOut => Status::TimedOut,
            Error::Answered(Outcome { code, .. }) => status_of(*code).unwrap_or(Status::Answered),
            Error::NotSent(_) => Status::Usage,
            Error::Poll(_) => Status::Io,
        };
        let tls = match &error {
            Error::Connect { problem: Some(problem), .. } => Problem::of(problem),
            _ => None,
        };
        let hint = match &error {
            Error::Connect { .. } if tls.is_some() => tls.map_or("", |problem| tls_hint(problem.kind())),
            Error::Connect { problem: Some(p), address: Address::Unix(_) | Address::TlsUnix(_), .. }
                if p.kind() == ErrorKind::PermissionDenied =>
            {
                NO_WAY_IN
            }
            // the other side's system says so, for datagrams too
            Error::Connect { problem: Some(p), address: Address::Udp { .. }, .. }
                if p.kind() == ErrorKind::ConnectionRefused =>
            {
                "\n  nothing listens on that UDP port: a daemon listens on UDP only if it is told to \
                 (`chappe serve --listen udp://HOST:PORT`)"
            }
            Error::Connect { why: Why::NoWelcome, address: Address::Udp { .. }, .. } => {
                "\n  over UDP nobody says whether anything listens there: is it the right host and port, and \
                 does the daemon listen on UDP?"
            }
            Error::Connect {
                why: Why::NoWelcome | Why::Lost | Why::Malformed(_), address: Address::Unix(_), ..
            } => {
                "\n  something listens there, but does not speak this protocol: for a bus of BIND 10, also that of \
                 a node of Chappe (…/msgq.sock), write msgq:///PATH; for a Clacks socket (…/clacks.sock) clacks:///PATH; for \
                 one of the Communicator (…/communicator.sock) cd:///PATH"
            }
            Error::Connect { why: Why::NoWelcome | Why::Lost | Why::Malformed(_), .. } => {
                "\n  something listens there, but does not speak this protocol: is it the right port?"
            }
            // it is there, and has said why
            Error::Connect { why: Why::Told(_), .. } => "",
            Error::Connect { .. } => {
                "\n  is the daemon running? start it with `chappe serve`, or say where it is with --connect or CHAPPE_CONNECT"
            }
            Error::Refused { outcome, .. } if outcome.code == Code::BadCredentials => {
                "\n  say who you are with --user and --token-file, or CHAPPE_USER and CHAPPE_TOKEN; a node without users wants \
                 neither: leave out --user, and unset CHAPPE_USER and CHAPPE_TOKEN"
            }
            _ => "",
        };
        Failure::Because(status, format!("{error}{hint}"))
    }
}
