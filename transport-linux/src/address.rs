//! Where a node listens, as a person writes it: `tcp://host:port`, `tls://host:port`,
//! `unix:///path`, `tls:///path`, `udp://host:port`; `msgq:/path`, where a bus of BIND 10 is; and
//! `clacks:///path`, `clacks://host:port` and `clackss://host`, where a Clacks server is. `cdb://`
//! is none, but searches for one (`discovery/`).
//!
//! Owns: reading and printing, and which address is tried when none is given. Does not own
//! looking a host name up (`client/socket.rs`), what the daemon listens on, nor addresses of
//! Communicator daemons (`communicator/uri.rs`).

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use chappe_core::dialect::clacks;

use crate::communicator::Uri;
use crate::discovery::Wanted;

/// The port of the native dialect, which is that of Messi's own examples.
pub const DEFAULT_PORT: u16 = 7840;

/// The port of the native dialect over TLS.
pub const DEFAULT_TLS_PORT: u16 = 7841;

/// The environment variable that names the node.
pub const VARIABLE: &str = "CHAPPE_CONNECT";

/// Where a node listens.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Address {
    /// A stream over TCP.
    Tcp {
        /// A name or an IP address, without brackets.
        host: String,
        /// Never 0.
        port: u16,
    },
    /// A stream over TCP with TLS.
    Tls {
        /// A name or an IP address, without brackets: the node's certificate must be for it.
        host: String,
        /// Never 0.
        port: u16,
    },
    /// A stream over a Unix socket.
    Unix(PathBuf),
    /// The same with TLS.
    TlsUnix(PathBuf),
    /// One frame a datagram.
    Udp {
        /// A name or an IP address, without brackets.
        host: String,
        /// Never 0.
        port: u16,
    },
}

/// Where a Clacks server listens: `clacks:///PATH` (a Unix socket; `clacks://auto` finds that of
/// this machine's daemon), `clacks://HOST:PORT` (TCP without
/// TLS, which servers of Net::Clacks do not have) or `clackss://HOST` (TLS, port 49888 unless it says
/// another).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ClacksAddress(Address);

/// A bus to be spoken to, whichever of the four protocols it takes, or to be found first.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Bus {
    /// The native one: for [`client::Connection`](crate::client::Connection).
    Native(Address),
    /// That of BIND 10, at this socket; `None`: at the usual place, see
    /// [`msgq::usual_path`](crate::msgq::usual_path). For [`msgq::Session`](crate::msgq::Session).
    Msgq(Option<PathBuf>),
    /// That of Net::Clacks. For [`clacks::Session`](crate::clacks::Session).
    Clacks(ClacksAddress),
    /// One that has to be searched for first. For [`discovery::find`](crate::discovery::find).
    Search(Wanted),
    /// That of the Snap! Communicator. For [`communicator::Session`](crate::communicator::Session).
    Communicator(Uri),
}

/// What is wrong with an address, and what it should look like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadAddress {
    pub(crate) text: String,
    pub(crate) why: &'static str,
}

impl fmt::Display for BadAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?} is no address: {}; write tcp://HOST:PORT, tls://HOST:PORT, unix:///PATH or udp://HOST:PORT, \
             msgq:///PATH for a bus of BIND 10, clacks:///PATH, clacks://HOST:PORT or clackss://HOST for Clacks, or \
             cd:///PATH, cd://HOST, cds://HOST or cdu://HOST for a Communicator daemon, or cdb:// to \
             search the local network",
            self.text, self.why
        )
    }
}

impl std::error::Error for BadAddress {}

impl FromStr for Address {
    type Err = BadAddress;

    fn from_str(text: &str) -> Result<Self, BadAddress> {
        let bad = |why| BadAddress { text: text.to_owned(), why };
        let (scheme, rest) = match text.split_once("://") {
            Some(two) => two,
            None if text.starts_with('/') => ("unix", text),
            None => return Err(bad("it does not say how to connect")),
        };
        match scheme {
            "unix" if rest.starts_with('/') => Ok(Address::Unix(rest.into())),
            "unix" => Err(bad("the path of a Unix socket must be absolute")),
            "tcp" => host_and_port(rest, DEFAULT_PORT).map(|(host, port)| Address::Tcp { host, port }).map_err(bad),
            "tls" if rest.starts_with('/') => Ok(Address::TlsUnix(rest.into())),
            "tls" => host_and_port(rest, DEFAULT_TLS_PORT).map(|(host, port)| Address::Tls { host, port }).map_err(bad),
            "udp" => host_and_port(rest, DEFAULT_PORT).map(|(host, port)| Address::Udp { host, port }).map_err(bad),
            "msgq" => Err(bad("only `chappe send`, `call`, `listen`, `watch` and `ls` speak to a bus of BIND 10")),
            "cdb" => Err(bad("a node has to be found before it can be spoken to")),
            "clacks" | "clackss" => Err(bad("what speaks to a Clacks server is not this")),
            "cd" | "cds" | "cdu" => Err(bad("what speaks to a Communicator daemon is not this")),
            _ => Err(bad("only tcp, tls, unix, udp, msgq, clacks, clackss, cd, cds and cdu are known")),
        }
    }
}

impl FromStr for ClacksAddress {
    type Err = BadAddress;

    fn from_str(text: &str) -> Result<Self, BadAddress> {
        let bad = |why| BadAddress { text: text.to_owned(), why };
        if matches!(text, "clacks://auto" | "clacks:auto") {
            return Ok(ClacksAddress::of_this_machine());
        }
        let (scheme, rest) = match text.strip_prefix("clacks:") {
            Some(path) if path.starts_with('/') && !path.starts_with("//") => ("clacks", path),
            _ => text.split_once("://").ok_or(bad("it does not say how to connect"))?,
        };
        let address = match scheme {
            "clacks" if rest.starts_with('/') && rest.trim_matches('/').is_empty() => {
                return Err(bad("the path of the socket is missing (clacks://auto looks at the usual places)"));
            }
            "clacks" if rest.starts_with('/') => Address::Unix(rest.into()),
            "clacks" => match host_and_port(rest, 0) {
                Err("the port is 0") if !rest.ends_with(":0") => {
                    return Err(bad("the port is missing; only TLS has a usual one (clackss://HOST)"));
                }
                found => found.map(|(host, port)| Address::Tcp { host, port }).map_err(bad)?,
            },
            "clackss" if rest.starts_with('/') => {
                return Err(bad("Clacks has no TLS on Unix sockets: clacks:///PATH"));
            }
            "clackss" => {
                host_and_port(rest, clacks::PORT).map(|(host, port)| Address::Tls { host, port }).map_err(bad)?
            }
            _ => return Err(bad("a Clacks server is at clacks: or clackss:")),
        };
        Ok(ClacksAddress(address))
    }
}

impl fmt::Display for ClacksAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Address::Tls { host, port } => write_host(f, "clackss", host, *port),
            Address::Tcp { host, port } | Address::Udp { host, port } => write_host(f, "clacks", host, *port),
            Address::Unix(path) | Address::TlsUnix(path) => write!(f, "clacks://{}", path.display()),
        }
    }
}

impl ClacksAddress {
    /// The Clacks socket of this machine's daemon: of the usual places the first where there is a
    /// socket, or else the first. Written `clacks://auto`.
    pub fn of_this_machine() -> ClacksAddress {
        let places = crate::config::usual_clacks_sockets();
        let found = places.iter().find(|path| is_socket(path)).or(places.first());
        ClacksAddress::unix(found.cloned().unwrap_or_default())
    }

    /// A server at a Unix socket.
    pub fn unix(path: impl Into<PathBuf>) -> ClacksAddress {
        ClacksAddress(Address::Unix(path.into()))
    }

    /// Whether TLS is spoken there.
    pub fn is_tls(&self) -> bool {
        self.0.is_tls()
    }

    /// Whether it is a Unix socket.
    pub fn is_unix(&self) -> bool {
        matches!(self.0, Address::Unix(_))
    }

    /// What carries it.
    pub(crate) fn carrier(&self) -> &Address {
        &self.0
    }
}

impl FromStr for Bus {
    type Err = BadAddress;

    fn from_str(text: &str) -> Result<Self, BadAddress> {
        if text.starts_with("clacks:") || text.starts_with("clackss:") {
            return text.parse().map(Bus::Clacks);
        }
        if text.starts_with("cdb:") {
            return text.parse().map(Bus::Search).map_err(|why| BadAddress { text: text.to_owned(), why });
        }
        if ["cd:", "cds:", "cdu:"].iter().any(|scheme| text.starts_with(scheme)) {
            return text.parse().map(Bus::Communicator);
        }
        let Some(rest) = text.strip_prefix("msgq:") else { return text.parse().map(Bus::Native) };
        let place = rest.strip_prefix("//").unwrap_or(rest);
        match place {
            "auto" => Ok(Bus::Msgq(None)),
            path if path.trim_matches('/').is_empty() => Err(BadAddress {
                text: text.to_owned(),
                why: "the path of the socket is missing (msgq://auto looks at the usual places)",
            }),
            path if path.starts_with('/') => Ok(Bus::Msgq(Some(path.into()))),
            _ => Err(BadAddress { text: text.to_owned(), why: "the path of a Unix socket must be absolute" }),
        }
    }
}

impl fmt::Display for Bus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Bus::Native(address) => address.fmt(f),
            Bus::Msgq(Some(path)) => write!(f, "msgq://{}", path.display()),
            Bus::Msgq(None) => f.write_str("msgq://auto"),
            Bus::Clacks(address) => address.fmt(f),
            Bus::Search(wanted) => wanted.fmt(f),
            Bus::Communicator(uri) => uri.fmt(f),
        }
    }
}

/// The port may be missing.
pub(crate) fn host_and_port(text: &str, usual: u16) -> Result<(String, u16), &'static str> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']').ok_or("the bracket is not closed")?;
            host.parse::<std::net::Ipv6Addr>().map_err(|_| "what stands in brackets is no IPv6 address")?;
            (host, port.strip_prefix(':').or(port.is_empty().then_some("")).ok_or("after the bracket comes `:PORT`")?)
        }
        None => match text.split_once(':') {
            Some((_, port)) if port.contains(':') => return Err("an IPv6 address stands in brackets"),
            Some(("", _)) | None if text.is_empty() || text.starts_with(':') => return Err("the host is missing"),
            Some((_, "")) => return Err("the port is missing behind the colon"),
            Some(two) => two,
            None => (text, ""),
        },
    };
    if host.is_empty() || host.contains(|c: char| c.is_whitespace() || c == '/') {
        return Err("the host is missing or has a space or slash in it");
    }
    let port = match port {
        "" => usual,
        // parse() would take a sign
        p if p.bytes().all(|b| b.is_ascii_digit()) => p.parse().map_err(|_| "the port is above 65535")?,
        _ => return Err("the port is no number"),
    };
    if port == 0 { Err("the port is 0") } else { Ok((host.to_owned(), port)) }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, host, port) = match self {
            Address::Tcp { host, port } => ("tcp", host, port),
            Address::Tls { host, port } => ("tls", host, port),
            Address::Udp { host, port } => ("udp", host, port),
            Address::Unix(path) => return write!(f, "unix://{}", path.display()),
            Address::TlsUnix(path) => return write!(f, "tls://{}", path.display()),
        };
        write_host(f, scheme, host, *port)
    }
}

pub(crate) fn write_host(f: &mut fmt::Formatter<'_>, scheme: &str, host: &str, port: u16) -> fmt::Result {
    if host.contains(':') { write!(f, "{scheme}://[{host}]:{port}") } else { write!(f, "{scheme}://{host}:{port}") }
}

impl Address {
    /// Whether TLS is spoken there.
    pub fn is_tls(&self) -> bool {
        matches!(self, Address::Tls { .. } | Address::TlsUnix(_))
    }

    /// The node of this machine: its Unix socket where the daemon puts it by default, if
    /// there is one, else TCP on loopback.
    pub fn of_this_machine() -> Address {
        default_sockets()
            .into_iter()
            .find(|path| is_socket(path))
            .map_or_else(|| Address::Tcp { host: "127.0.0.1".into(), port: DEFAULT_PORT }, Address::Unix)
    }
}

/// Where a daemon with no configuration may have put its socket: as a service, as a person
/// with a session, as a person without.
fn default_sockets() -> Vec<PathBuf> {
    let mut paths = vec![PathBuf::from("/run/chappe/chappe.sock")];
    if let Some(dir) = std::env::var_os("XDG_RUNTIME_DIR").filter(|d| Path::new(d).is_absolute()) {
        paths.push(Path::new(&dir).join("chappe.sock"));
    }
    if let Ok(meta) = std::fs::metadata("/proc/self") {
        use std::os::unix::fs::MetadataExt;
        paths.push(format!("/tmp/chappe-{}/chappe.sock", meta.uid()).into());
    }
    paths
}

pub(crate) fn is_socket(path: &Path) -> bool {
    use std::os::unix::fs::FileTypeExt;
    std::fs::metadata(path).is_ok_and(|m| m.file_type().is_socket())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        for text in [
            "tls://localhost:7841",
            "tls:///run/x y.sock",
            "tcp://localhost:7840",
            "tcp://[::1]:9",
            "udp://10.0.0.1:65535",
            "unix:///run/x y.sock",
        ] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), text);
        }
        assert_eq!("tcp://h".parse::<Address>().unwrap().to_string(), "tcp://h:7840");
        assert_eq!("tls://h".parse::<Address>().unwrap().to_string(), "tls://h:7841");
        assert_eq!("tcp://[::1]".parse::<Address>().unwrap().to_string(), "tcp://[::1]:7840");
        assert_eq!("/run/c.sock".parse::<Address>().unwrap().to_string(), "unix:///run/c.sock");
    }

    #[test]
    fn a_bus_of_bind_10_is_told_by_its_scheme() {
        for (text, want) in [
            ("msgq:/tmp/x y", "msgq:///tmp/x y"),
            ("msgq:///tmp/x", "msgq:///tmp/x"),
            ("msgq://auto", "msgq://auto"),
            ("msgq:auto", "msgq://auto"),
            ("tcp://h", "tcp://h:7840"),
        ] {
            let bus: Bus = text.parse().unwrap();
            assert_eq!(bus.to_string(), want);
            assert_eq!(bus.to_string().parse(), Ok(bus));
        }
        for text in ["msgq", "msgq:", "msgq://", "msgq:///", "msgq:tmp/x", "msgq://tmp/x", "bind10:/tmp/x"] {
            assert!(text.parse::<Bus>().expect_err(text).to_string().contains("msgq:///PATH"));
        }
        "msgq:///tmp/x".parse::<Address>().expect_err("no address of the native protocol");
    }

    #[test]
    fn a_clacks_server_is_told_by_its_scheme() {
        for (text, want, is_tls) in [
            ("clacks:///run/x y.sock", "clacks:///run/x y.sock", false),
            ("clacks:/run/x.sock", "clacks:///run/x.sock", false),
            ("clacks://localhost:18888", "clacks://localhost:18888", false),
            ("clacks://[::1]:18888", "clacks://[::1]:18888", false),
            ("clackss://node.example", "clackss://node.example:49888", true),
            ("clackss://[::1]:7", "clackss://[::1]:7", true),
        ] {
            let bus: Bus = text.parse().unwrap();
            assert_eq!(bus.to_string(), want);
            assert_eq!(bus.to_string().parse(), Ok(bus.clone()));
            let Bus::Clacks(address) = bus else { panic!("{bus:?}") };
            assert_eq!((address.is_tls(), address.to_string().parse()), (is_tls, Ok(address)));
        }
        for text in ["clacks://auto", "clacks:auto"] {
            assert!(text.parse::<ClacksAddress>().unwrap().to_string().ends_with("clacks.sock"));
        }
        for (text, why) in [
            ("clacks://", "host is missing"),
            ("clacks:", "how to connect"),
            ("clacks:///", "path of the socket is missing"),
            ("clacks://localhost", "port is missing"),
            ("clacks://localhost:0", "port is 0"),
            ("clackss://localhost:0", "port is 0"),
            ("clackss:///run/x.sock", "no TLS on Unix sockets"),
            ("clacks:/", "path of the socket is missing"),
            ("clacks:run/x.sock", "how to connect"),
            ("clackss:/run/x.sock", "how to connect"),
            ("clackss://auto:0", "port is 0"),
            ("clackss://", "host is missing"),
            ("clacks://h:65536", "above 65535"),
        ] {
            let error = text.parse::<Bus>().expect_err(text).to_string();
            assert!(error.contains(why) && error.contains("clackss://HOST"), "{error}");
        }
        "clacks:///tmp/x".parse::<Address>().expect_err("no address of the native protocol");
    }

    #[test]
    fn nothing_is_guessed() {
        // messi.md section 8 and weak point 23: the original takes all of these for something
        for text in [
            "",
            "localhost:7840",
            "tcp://",
            "tcp://:7840",
            "tcp://h:",
            "tcp://h:0",
            "tls://h:0",
            "tls://:1",
            "tcp://h:65536",
            "tcp://h:+1",
            "tcp://h:12x",
            "tcp://h:1:2",
            "tcp://::1",
            "tcp://[::1",
            "tcp://[h]:1",
            "tcp://[::1]7840",
            "tcp://a b:1",
            "unix://relative",
            "http://h:1",
        ] {
            let error = text.parse::<Address>().expect_err(text).to_string();
            assert!(error.contains("tcp://HOST:PORT"), "{error}");
        }
    }
}
