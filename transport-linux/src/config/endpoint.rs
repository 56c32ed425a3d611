//! Where the daemon listens, as a person writes it.
//!
//! Owns: the syntax of listener addresses, and which sockets `unix://auto`, `msgq://auto`,
//! `clacks://auto` and `cd://auto` mean. Does not own: opening them, which is `daemon::listener`.

use std::fmt;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use chappe_core::dialect::clacks::PORT as CLACKS_PORT;
use chappe_core::dialect::communicator::{LOCAL_PORT, SECURE_PORT, SIGNAL_PORT, SOCKET as COMMUNICATOR_SOCKET};

/// The port of a `tcp://` or `udp://` address that names none: Messi's own default.
pub const DEFAULT_PORT: u16 = 7840;

/// The port of a `tls://` address that names none.
pub const DEFAULT_TLS_PORT: u16 = 7841;

/// Speed of a serial line whose address names none, in bits per second.
pub const DEFAULT_SPEED: u32 = 115_200;

/// Longest path of a Unix socket in bytes: what Linux's `sun_path` holds beside its end.
pub const MAX_SOCKET_PATH: usize = 107;

/// Where programs of BIND 10 look if no variable says otherwise: the default of its build.
pub const BIND10_SOCKET: &str = "/usr/local/var/bind10/msgq_socket";

/// The variable in which programs of BIND 10 look for the path of their socket.
pub const BIND10_VARIABLE: &str = "BIND10_MSGQ_SOCKET_FILE";

/// One address to listen on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    /// A TCP listener, for each address that the host stands for.
    Tcp(HostPort),
    /// The same with TLS from the first byte on.
    Tls(HostPort),
    /// A UDP socket: a datagram holds whole frames, a source address is a station.
    Udp(HostPort),
    /// A Unix stream socket at this path.
    Unix(PathBuf),
    /// A Unix stream socket at the usual place, see [`usual_sockets`].
    UnixAuto,
    /// A Unix stream socket for programs of BIND 10, at this path.
    Msgq(PathBuf),
    /// The same at the place where they look, see [`usual_msgq_sockets`].
    MsgqAuto,
    /// A Unix stream socket for programs of Net::Clacks, at this path.
    Clacks(PathBuf),
    /// The same at a usual place, see [`usual_clacks_sockets`].
    ClacksAuto,
    /// A TCP listener without TLS for such programs.
    ClacksTcp(HostPort),
    /// The same with TLS from the first byte on, as they expect it over TCP.
    ClacksTls(HostPort),
    /// A serial line over which one such program speaks.
    ClacksSerial {
        /// The device.
        path: PathBuf,
        /// Bits per second; a pseudo terminal does not care.
        speed: u32,
    },
    /// A Unix stream socket for programs of the Snap! Communicator, at this path.
    Communicator(PathBuf),
    /// The same at the place where they look, or else a usual one, see
    /// [`usual_communicator_sockets`].
    CommunicatorAuto,
    /// A TCP listener without TLS for such programs.
    CommunicatorTcp(HostPort),
    /// The same with TLS from the first byte on.
    CommunicatorTls(HostPort),
    /// A UDP socket for their signals: a datagram is a message, whoever it is from.
    CommunicatorUdp(HostPort),
    /// A serial line or any other terminal device: one station speaks over it.
    Serial {
        /// The device.
        path: PathBuf,
        /// Bits per second; a pseudo terminal does not care.
        speed: u32,
    },
}

/// What an [`Endpoint`] is to the operating system.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Carrier<'a> {
    /// TCP, with TLS or without.
    Tcp(&'a HostPort),
    Udp(&'a HostPort),
    /// A Unix stream socket at this path.
    Path(&'a Path),
    /// A Unix stream socket at one of these.
    Usual(fn() -> Vec<PathBuf>),
    /// A terminal device, and its speed.
    Serial(&'a Path, u32),
}

/// A host (name or address) and a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostPort {
    /// Without the brackets of an IPv6 address.
    pub host: String,
    /// 0: any free one, and the log says which.
    pub port: u16,
}

impl Endpoint {
    /// Whether it is a Unix socket, and so a file with an owner and permissions.
    pub fn is_file(&self) -> bool {
        matches!(self.carrier(), Carrier::Path(_) | Carrier::Usual(_))
    }

    /// What it is to the operating system, whatever is spoken there.
    pub(crate) fn carrier(&self) -> Carrier<'_> {
        match self {
            Endpoint::Tcp(place)
            | Endpoint::Tls(place)
            | Endpoint::ClacksTcp(place)
            | Endpoint::ClacksTls(place)
            | Endpoint::CommunicatorTcp(place)
            | Endpoint::CommunicatorTls(place) => Carrier::Tcp(place),
            Endpoint::Udp(place) | Endpoint::CommunicatorUdp(place) => Carrier::Udp(place),
            Endpoint::Unix(path) | Endpoint::Msgq(path) | Endpoint::Clacks(path) | Endpoint::Communicator(path) => {
                Carrier::Path(path)
            }
            Endpoint::UnixAuto => Carrier::Usual(usual_sockets),
            Endpoint::MsgqAuto => Carrier::Usual(usual_msgq_sockets),
            Endpoint::ClacksAuto => Carrier::Usual(usual_clacks_sockets),
            Endpoint::CommunicatorAuto => Carrier::Usual(usual_communicator_sockets),
            Endpoint::Serial { path, speed } | Endpoint::ClacksSerial { path, speed } => Carrier::Serial(path, *speed),
        }
    }

    /// Whether the Communicator's dialect is spoken there.
    pub fn is_communicator(&self) -> bool {
        matches!(
            self,
            Endpoint::Communicator(_)
                | Endpoint::CommunicatorAuto
                | Endpoint::CommunicatorTcp(_)
                | Endpoint::CommunicatorTls(_)
                | Endpoint::CommunicatorUdp(_)
        )
    }

    /// Whether the dialect of Net::Clacks is spoken there.
    pub fn is_clacks(&self) -> bool {
        matches!(
            self,
            Endpoint::Clacks(_)
                | Endpoint::ClacksAuto
                | Endpoint::ClacksTcp(_)
                | Endpoint::ClacksTls(_)
                | Endpoint::ClacksSerial { .. }
        )
    }

    /// Host and port, if it has them.
    pub fn place(&self) -> Option<&HostPort> {
        match self.carrier() {
            Carrier::Tcp(place) | Carrier::Udp(place) => Some(place),
            _ => None,
        }
    }

    /// The path of a Unix socket, if it is given.
    pub fn path(&self) -> Option<&Path> {
        match self.carrier() {
            Carrier::Path(path) => Some(path),
            _ => None,
        }
    }
}

impl HostPort {
    /// Asks the system's resolver, which may block: only at start.
    pub fn resolve(&self) -> io::Result<Vec<SocketAddr>> {
        let all: Vec<_> = (self.host.as_str(), self.port).to_socket_addrs()?.collect();
        if all.is_empty() {
            return Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address"));
        }
        Ok(all)
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Endpoint::Tcp(at) => write!(f, "tcp://{at}"),
            Endpoint::Tls(at) => write!(f, "tls://{at}"),
            Endpoint::Udp(at) => write!(f, "udp://{at}"),
            Endpoint::Unix(path) => write!(f, "unix://{}", path.display()),
            Endpoint::UnixAuto => f.write_str("unix://auto"),
            Endpoint::Msgq(path) => write!(f, "msgq://{}", path.display()),
            Endpoint::MsgqAuto => f.write_str("msgq://auto"),
            Endpoint::Clacks(path) => write!(f, "clacks://{}", path.display()),
            Endpoint::ClacksAuto => f.write_str("clacks://auto"),
            Endpoint::ClacksTcp(at) => write!(f, "clacks://{at}"),
            Endpoint::ClacksTls(at) => write!(f, "clackss://{at}"),
            Endpoint::ClacksSerial { path, speed } => write!(f, "clacks+serial://{}?speed={speed}", path.display()),
            Endpoint::Communicator(path) => write!(f, "cd://{}", path.display()),
            Endpoint::CommunicatorAuto => f.write_str("cd://auto"),
            Endpoint::CommunicatorTcp(at) => write!(f, "cd://{at}"),
            Endpoint::CommunicatorTls(at) => write!(f, "cds://{at}"),
            Endpoint::CommunicatorUdp(at) => write!(f, "cdu://{at}"),
            Endpoint::Serial { path, speed } => write!(f, "serial://{}?speed={speed}", path.display()),
        }
    }
}

impl FromStr for Endpoint {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // One slash is how the command line's `--connect msgq:/PATH` is written.
        let short = text.split_once(':').filter(|(scheme, rest)| *scheme == "msgq" && !rest.starts_with("//"));
        let (scheme, rest) = text.split_once("://").or(short).ok_or_else(|| {
            format!(
                "`{text}` is no address: write tcp://HOST:PORT, tls://HOST:PORT, udp://HOST:PORT, unix:///PATH, \
                 unix://auto, msgq:///PATH, msgq://auto, clacks:///PATH, clacks://auto, clacks://HOST:PORT, \
                 clackss://HOST:PORT, cd:///PATH, cd://auto, cd://HOST:PORT, cds://HOST:PORT, cdu://HOST:PORT, \
                 serial:///DEVICE or clacks+serial:///DEVICE"
            )
        })?;
        match scheme {
            "tcp" => Ok(Endpoint::Tcp(host_port(rest, DEFAULT_PORT)?)),
            "tls" => Ok(Endpoint::Tls(host_port(rest, DEFAULT_TLS_PORT)?)),
            "udp" => Ok(Endpoint::Udp(host_port(rest, DEFAULT_PORT)?)),
            "unix" if rest == "auto" => Ok(Endpoint::UnixAuto),
            "unix" => Ok(Endpoint::Unix(absolute(rest, "unix:///run/chappe/chappe.sock, or unix://auto")?)),
            "msgq" if rest == "auto" => Ok(Endpoint::MsgqAuto),
            "msgq" => Ok(Endpoint::Msgq(absolute(rest, "msgq:///run/chappe/msgq.sock, or msgq://auto")?)),
            "clacks" if rest == "auto" => Ok(Endpoint::ClacksAuto),
            "clacks" if rest.starts_with('/') => {
                Ok(Endpoint::Clacks(absolute(rest, "clacks:///run/chappe/clacks.sock, or clacks://auto")?))
            }
            "clacks" => {
                // The usual port is that of TLS: who leaves the port out should get TLS.
                let at = host_port(rest, 0)?;
                if at.port == 0 && !rest.ends_with(":0") {
                    return Err(format!(
                        "`{rest}`: the port is missing; clacks:// over TCP has no usual one (clackss:// has {CLACKS_PORT}); \
                         a path begins with /"
                    ));
                }
                Ok(Endpoint::ClacksTcp(at))
            }
            "clackss" if rest.starts_with('/') => {
                Err(format!("`{rest}`: the host is missing; a Unix socket, without TLS, is written clacks:///PATH"))
            }
            "clackss" => Ok(Endpoint::ClacksTls(host_port(rest, CLACKS_PORT)?)),
            "clacks+serial" => {
                let (path, speed) = serial_line(rest, "clacks+serial:///dev/ttyACM0")?;
                Ok(Endpoint::ClacksSerial { path, speed })
            }
            "cd" if rest == "auto" => Ok(Endpoint::CommunicatorAuto),
            "cd" if rest.starts_with('/') => {
                Ok(Endpoint::Communicator(absolute(rest, "cd:///run/communicator/communicatord.sock, or cd://auto")?))
            }
            "cd" => Ok(Endpoint::CommunicatorTcp(host_port(rest, LOCAL_PORT)?)),
            "cds" | "cdu" if rest.starts_with('/') => {
                Err(format!("`{rest}`: the host is missing; a Unix socket is written cd:///PATH"))
            }
            "cds" => Ok(Endpoint::CommunicatorTls(host_port(rest, SECURE_PORT)?)),
            "cdu" => Ok(Endpoint::CommunicatorUdp(host_port(rest, SIGNAL_PORT)?)),
            "cdb" => Err("`cdb://`: nobody has ever built it; datagrams come in at cdu://HOST:PORT".into()),
            "serial" => {
                let (path, speed) = serial_line(rest, "serial:///dev/ttyACM0")?;
                Ok(Endpoint::Serial { path, speed })
            }
            _ => Err(format!(
                "`{scheme}://` is not known: write tcp, tls, udp, unix, msgq, clacks, clackss, cd, cds, cdu, serial or \
                 clacks+serial"
            )),
        }
    }
}

/// A device and its speed.
fn serial_line(rest: &str, example: &str) -> Result<(PathBuf, u32), String> {
    let (path, speed) = match rest.split_once('?') {
        None => (rest, DEFAULT_SPEED),
        Some((path, option)) => {
            let speed = option
                .strip_prefix("speed=")
                .and_then(|s| s.parse().ok())
                .ok_or_else(|| format!("`{option}`: write ?speed=NUMBER, in bits per second"))?;
            (path, speed)
        }
    };
    if !crate::sys::is_line_speed(speed) {
        return Err(format!("{speed} is no speed of a serial line; 115200 is a usual one"));
    }
    Ok((absolute(path, example)?, speed))
}

fn absolute(path: &str, example: &str) -> Result<PathBuf, String> {
    if path.starts_with('/') && path.len() > 1 && !path.contains('\0') {
        Ok(PathBuf::from(path))
    } else {
        Err(format!("`{path}` is no absolute path; an example: {example}"))
    }
}

fn host_port(rest: &str, usual: u16) -> Result<HostPort, String> {
    let wrong = |what: &str| format!("`{rest}`: {what}; examples: 127.0.0.1:{usual}, [::1]:{usual}");
    let (host, port) = if let Some(inner) = rest.strip_prefix('[') {
        let (host, tail) = inner.split_once(']').ok_or_else(|| wrong("the bracket `]` is missing"))?;
        match tail {
            "" => (host, None),
            _ => (host, Some(tail.strip_prefix(':').ok_or_else(|| wrong("a `:` is missing after `]`"))?)),
        }
    } else {
        match rest.split_once(':') {
            Some((_, port)) if port.contains(':') => return Err(wrong("an IPv6 address needs brackets")),
            Some((host, port)) => (host, Some(port)),
            None => (rest, None),
        }
    };
    if host.is_empty() {
        // Messi takes an empty host for all addresses; nobody should listen there by a slip.
        return Err(wrong("the host is missing (all addresses would be 0.0.0.0 or [::])"));
    }
    let port = match port {
        None => usual,
        Some(port) => port.parse().map_err(|_| wrong("the port is no number of 0 to 65535"))?,
    };
    Ok(HostPort { host: host.to_owned(), port })
}

impl serde::Serialize for Endpoint {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Endpoint {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Where `unix://auto` looks, best first: `/run/chappe/chappe.sock` (made by systemd or a
/// package), `$XDG_RUNTIME_DIR/chappe.sock`, `/tmp/chappe-UID/chappe.sock`. The daemon takes
/// the first whose folder it may write to.
pub fn usual_sockets() -> Vec<PathBuf> {
    house("chappe.sock", "chappe.sock")
}

/// Where `msgq://auto` looks: the path in `BIND10_MSGQ_SOCKET_FILE` and nowhere else if that is
/// set and not empty. Otherwise, best first: `/usr/local/var/bind10/msgq_socket`, where
/// programs of BIND 10 look without being told; `/run/chappe/msgq.sock`,
/// `$XDG_RUNTIME_DIR/chappe-msgq.sock` and `/tmp/chappe-UID/msgq.sock`, of which they must be
/// told. The daemon takes the first whose folder it may write to.
pub fn usual_msgq_sockets() -> Vec<PathBuf> {
    if let Some(path) = named_by_bind10() {
        return vec![path];
    }
    let mut all = vec![PathBuf::from(BIND10_SOCKET)];
    all.extend(house("msgq.sock", "chappe-msgq.sock"));
    all
}

/// Where `clacks://auto` looks, best first: `/run/chappe/clacks.sock`,
/// `$XDG_RUNTIME_DIR/chappe-clacks.sock`, `/tmp/chappe-UID/clacks.sock`. Programs of Net::Clacks
/// know no usual place: they are told the path. The daemon takes the first whose folder it may
/// write to.
pub fn usual_clacks_sockets() -> Vec<PathBuf> {
    house("clacks.sock", "chappe-clacks.sock")
}

/// Where `cd://auto` looks, best first: `/run/communicator/communicatord.sock`, where programs of
/// the Communicator look without being told, if that folder is there and may be written to;
/// `/run/chappe/communicator.sock`, `$XDG_RUNTIME_DIR/chappe-communicator.sock`,
/// `/tmp/chappe-UID/communicator.sock`, of which they must be told. The daemon takes the first
/// whose folder it may write to.
pub fn usual_communicator_sockets() -> Vec<PathBuf> {
    let mut all = vec![PathBuf::from(COMMUNICATOR_SOCKET)];
    all.extend(house("communicator.sock", "chappe-communicator.sock"));
    all
}

/// The path in `BIND10_MSGQ_SOCKET_FILE`. A relative one means the same as to a client that
/// was started in the same folder.
pub fn named_by_bind10() -> Option<PathBuf> {
    let path = std::env::var_os(BIND10_VARIABLE).filter(|path| !path.is_empty())?;
    Some(std::path::absolute(&path).unwrap_or_else(|_| path.into()))
}

/// The places that are ours; `shared`: the file's name in a folder that others use too.
fn house(own: &str, shared: &str) -> Vec<PathBuf> {
    let mut all = vec![Path::new("/run/chappe").join(own)];
    if let Some(dir) = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|d| d.is_absolute()) {
        all.push(dir.join(shared));
    }
    all.push(PathBuf::from(format!("/tmp/chappe-{}", crate::sys::user_id())).join(own));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_read_as_they_are_printed() {
        for (text, printed) in [
            ("tcp://127.0.0.1:7840", "tcp://127.0.0.1:7840"),
            ("tcp://localhost", "tcp://localhost:7840"),
            ("tcp://[::1]", "tcp://[::1]:7840"),
            ("tls://[::1]:9", "tls://[::1]:9"),
            ("tls://h", "tls://h:7841"),
            ("udp://[::1]:9", "udp://[::1]:9"),
            ("unix:///run/x.sock", "unix:///run/x.sock"),
            ("unix://auto", "unix://auto"),
            ("msgq:///run/x.sock", "msgq:///run/x.sock"),
            ("msgq:/run/x.sock", "msgq:///run/x.sock"),
            ("msgq://auto", "msgq://auto"),
            ("clacks:///run/x.sock", "clacks:///run/x.sock"),
            ("clacks://auto", "clacks://auto"),
            ("clacks://127.0.0.1:9", "clacks://127.0.0.1:9"),
            ("clacks://[::1]:0", "clacks://[::1]:0"),
            ("clackss://h", "clackss://h:49888"),
            ("clackss://h:5", "clackss://h:5"),
            ("clacks+serial:///dev/ttyS0", "clacks+serial:///dev/ttyS0?speed=115200"),
            ("cd:///run/x.sock", "cd:///run/x.sock"),
            ("cd://auto", "cd://auto"),
            ("cd://127.0.0.1", "cd://127.0.0.1:4040"),
            ("cd://[::1]:0", "cd://[::1]:0"),
            ("cds://h", "cds://h:4043"),
            ("cds://h:5", "cds://h:5"),
            ("cdu://127.0.0.1", "cdu://127.0.0.1:4041"),
            ("serial:///dev/ttyS0", "serial:///dev/ttyS0?speed=115200"),
            ("serial:///dev/ttyS0?speed=9600", "serial:///dev/ttyS0?speed=9600"),
        ] {
            let read: Endpoint = text.parse().unwrap();
            assert_eq!(read.to_string(), printed);
            assert_eq!(printed.parse::<Endpoint>().unwrap(), read);
        }
    }

    #[test]
    fn what_is_no_address_is_refused_with_a_hint() {
        for (text, hint) in [
            ("127.0.0.1:7840", "write tcp://"),
            ("ssl://a:1", "not known"),
            ("tls://:1", "host is missing"),
            ("tcp://:6000", "host is missing"),
            ("tcp://", "host is missing"),
            ("tcp://a:70000", "0 to 65535"),
            ("tcp://::1:7840", "brackets"),
            ("tcp://[::1", "bracket"),
            ("unix://run/x", "absolute"),
            ("unix:///", "absolute"),
            ("unix:/run/x", "no address"),
            ("msgq://run/x", "absolute"),
            ("msgq:run/x", "absolute"),
            ("msgq:", "absolute"),
            ("clacks:/run/x", "no address"),
            ("clacks://run/x", "a path begins with /"),
            ("clacks://", "host is missing"),
            ("clacks:///", "absolute"),
            ("clacks://h", "port is missing"),
            ("clackss:///run/x", "host is missing"),
            ("clacks+serial://dev/ttyS0", "absolute"),
            ("clacks+serial:///dev/ttyS0?speed=17", "no speed"),
            ("cd://", "host is missing"),
            ("cd:///", "absolute"),
            ("cd:/run/x", "no address"),
            ("cds:///run/x", "cd:///PATH"),
            ("cdu:///run/x", "cd:///PATH"),
            ("cdu://:4041", "host is missing"),
            ("cdb://127.0.0.1", "nobody has ever built it"),
            ("serial:///dev/ttyS0?speed=17", "no speed"),
            ("serial:///dev/ttyS0?parity=odd", "?speed="),
        ] {
            let error = text.parse::<Endpoint>().unwrap_err();
            assert!(error.contains(hint), "{text}: {error}");
        }
    }
}
