//! What accepts stations: opening it, taking it over from systemd, and removing it.
//!
//! Owns: sockets that listen and the files of Unix sockets. Does not own what comes in.

use std::fs::{self, File};
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use chappe_core::dialect::Dialect;
use chappe_core::router::Rights;
use mio::event::Source as _;
use mio::net::{TcpListener, UdpSocket, UnixListener};
use mio::{Interest, Registry, Token};
use rustls::ServerConfig;
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};

use super::gate::rights;
use crate::config::{
    BIND10_VARIABLE, Carrier, Config, Endpoint, HostPort, Listener as Wanted, MAX_SOCKET_PATH, Mode, named_by_bind10,
};
use crate::sys;

/// A peer that vanished without a word is noticed by its silence long before; this only
/// keeps connections through routers that forget.
const KEEPALIVE: Duration = Duration::from_secs(60);

/// Permissions of a Unix socket if the configuration says nothing.
const USUAL_MODE: Mode = Mode(0o660);

/// One thing that stations come in by.
#[derive(Debug)]
pub(super) struct Listener {
    pub(super) source: Door,
    /// What is spoken there.
    pub(super) dialect: Dialect,
    /// As a client would write it.
    pub(super) address: String,
    /// What a station may do that is no user, or none yet.
    pub(super) rights: Rights,
    /// Which entry of the configuration it came from; systemd may hand over others.
    pub(super) entry: Option<usize>,
    /// Only this machine reaches it.
    pub(super) is_local: bool,
    /// What it shows, if it speaks TLS. Read again at SIGHUP: for those who come then.
    pub(super) tls: Option<Arc<ServerConfig>>,
    /// Nobody comes in without a good certificate.
    pub(super) is_closed: bool,
}

impl Listener {
    /// The address of its socket, if it has one of the network.
    pub(super) fn socket(&self) -> Option<SocketAddr> {
        match &self.source {
            Door::Tcp(socket) => socket.local_addr().ok(),
            Door::Udp(socket) => socket.local_addr().ok(),
            Door::Unix(..) | Door::Serial { .. } | Door::Closed => None,
        }
    }

    /// Whether it takes messages in datagrams, each from whoever has sent it: it is one station.
    pub(super) fn is_signals(&self) -> bool {
        self.dialect == Dialect::Communicator && matches!(self.source, Door::Udp(_))
    }
}

/// What is behind it.
#[derive(Debug)]
pub(super) enum Door {
    Tcp(TcpListener),
    /// The file goes when the listener does.
    Unix(UnixListener, #[expect(dead_code, reason = "held for its drop")] Option<SocketFile>),
    Udp(UdpSocket),
    Serial {
        path: PathBuf,
        speed: u32,
    },
    /// Nothing any more: the daemon is stopping.
    Closed,
}

/// The file of a Unix socket, removed with it if it is still ours.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    inode: (u64, u64),
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        // Another daemon may have put its own in this place.
        if fs::symlink_metadata(&self.path).is_ok_and(|m| (m.dev(), m.ino()) == self.inode) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

impl Listener {
    pub(super) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        match &mut self.source {
            Door::Tcp(s) => s.register(registry, token, Interest::READABLE),
            Door::Unix(s, _) => s.register(registry, token, Interest::READABLE),
            Door::Udp(s) => s.register(registry, token, Interest::READABLE),
            Door::Serial { .. } | Door::Closed => Ok(()),
        }
    }
}

/// Opens everything that the configuration names and takes what systemd hands over. An
/// error says which address and what to do.
/// For one who gave nothing but a path with `-s`, the words are theirs.
pub(super) fn open_all(config: &Config, by_path: bool) -> Result<Vec<Listener>, String> {
    let elsewhere = if by_path { "use -s FILE" } else { "listen elsewhere (--listen ADDRESS)" };
    let mut all = adopt_all(config)?;
    for (i, wanted) in config.listeners.iter().enumerate() {
        if all.iter().any(|l| l.entry == Some(i)) {
            continue; // systemd has opened it
        }
        let opened = open(wanted, config).map_err(|problem| {
            let text = match problem {
                Problem::Taken => format!("{TAKEN}, or {elsewhere}"),
                Problem::Path(text) => format!("{text}, or {elsewhere}"),
                Problem::Other(text) => text,
            };
            match wanted.address.path() {
                Some(path) if by_path => format!("{}: {text}", path.display()),
                _ => format!("listeners[{i}]: {}: {text}", wanted.address),
            }
        })?;
        for (source, address, is_local) in opened {
            let rights = rights(&config.anonymous_rights(i, is_local));
            let dialect = dialect(&wanted.address);
            let (tls, is_closed) = tls(Some(wanted));
            let address = if tls.is_some() { with_tls(address) } else { address };
            all.push(Listener { source, dialect, address, rights, entry: Some(i), is_local, tls, is_closed });
        }
    }
    Ok(all)
}

type Opened = (Door, String, bool);

const TAKEN: &str = "another program listens there; end it";

/// Why something cannot be opened.
enum Problem {
    /// Another program listens there.
    Taken,
    /// The path will not do, and what to do, if not to listen elsewhere.
    Path(String),
    /// What it is and what to do.
    Other(String),
}

impl From<String> for Problem {
    fn from(text: String) -> Problem {
        Problem::Other(text)
    }
}

impl From<&str> for Problem {
    fn from(text: &str) -> Problem {
        Problem::Other(text.into())
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Problem::Taken => TAKEN,
            Problem::Path(text) | Problem::Other(text) => text,
        })
    }
}

fn dialect(address: &Endpoint) -> Dialect {
    match address {
        Endpoint::Msgq(_) | Endpoint::MsgqAuto => Dialect::Msgq,
        Endpoint::Clacks(_)
        | Endpoint::ClacksAuto
        | Endpoint::ClacksTcp(_)
        | Endpoint::ClacksTls(_)
        | Endpoint::ClacksSerial { .. } => Dialect::Clacks,
        Endpoint::Communicator(_)
        | Endpoint::CommunicatorAuto
        | Endpoint::CommunicatorTcp(_)
        | Endpoint::CommunicatorTls(_)
        | Endpoint::CommunicatorUdp(_) => Dialect::Communicator,
        Endpoint::Tcp(_)
        | Endpoint::Tls(_)
        | Endpoint::Udp(_)
        | Endpoint::Unix(_)
        | Endpoint::UnixAuto
        | Endpoint::Serial { .. } => Dialect::Messi,
    }
}

/// What a listener shows, and whether nobody comes in without a certificate.
pub(super) fn tls(wanted: Option<&Wanted>) -> (Option<Arc<ServerConfig>>, bool) {
    let Some(tls) = wanted.and_then(|w| w.tls.as_ref()) else { return (None, false) };
    (tls.offer.as_ref().map(|offer| offer.config.clone()), tls.is_closed())
}

/// The address that a client writes to speak TLS there.
fn with_tls(address: String) -> String {
    match address.split_once("://") {
        Some(("tcp" | "unix", rest)) => format!("tls://{rest}"),
        Some(("clacks", rest)) => format!("clackss://{rest}"),
        Some(("cd", rest)) => format!("cds://{rest}"),
        _ => address,
    }
}

fn open(wanted: &Wanted, config: &Config) -> Result<Vec<Opened>, Problem> {
    let say = |e: io::Error| match e.kind() {
        io::ErrorKind::AddrInUse => Problem::Taken,
        io::ErrorKind::PermissionDenied => format!("{e}; choose another address or run with more rights").into(),
        _ => e.to_string().into(),
    };
    match wanted.address.carrier() {
        Carrier::Tcp(place) => {
            let scheme = schemes(dialect(&wanted.address)).tcp;
            let mut all = Vec::new();
            for address in place.resolve().map_err(say)? {
                let socket = bind_tcp(address, config.limits.backlog).map_err(say)?;
                let socket = TcpListener::from_std(socket);
                let address = socket.local_addr().map_err(say)?;
                all.push((Door::Tcp(socket), format!("{scheme}://{address}"), address.ip().is_loopback()));
            }
            Ok(all)
        }
        Carrier::Udp(place) => {
            let scheme = schemes(dialect(&wanted.address)).udp;
            let mut all = Vec::new();
            for address in place.resolve().map_err(say)? {
                let socket = bind_udp(address).map_err(say)?;
                let address = socket.local_addr().map_err(say)?;
                all.push((Door::Udp(socket), format!("{scheme}://{address}"), address.ip().is_loopback()));
            }
            Ok(all)
        }
        Carrier::Path(path) => {
            let (socket, file) = bind_unix(path, wanted, config.limits.backlog)?;
            Ok(vec![(Door::Unix(socket, Some(file)), wanted.address.to_string(), true)])
        }
        // Who names a place means it: in another one nobody would look.
        Carrier::Usual(places) => match named_by_bind10().filter(|_| wanted.address == Endpoint::MsgqAuto) {
            Some(path) => {
                let named = format!("{} (from {BIND10_VARIABLE})", path.display());
                let about = |problem| match problem {
                    Problem::Taken => Problem::Path(format!("{named}: {TAKEN}")),
                    Problem::Path(e) => Problem::Path(format!("{named}: {e}")),
                    Problem::Other(e) => Problem::Other(format!("{named}: {e}")),
                };
                let (socket, file) = bind_unix(&path, wanted, config.limits.backlog).map_err(about)?;
                Ok(vec![(Door::Unix(socket, Some(file)), format!("msgq://{}", path.display()), true)])
            }
            None => open_first(&places(), wanted, config.limits.backlog),
        },
        Carrier::Serial(path, speed) => {
            let source = Door::Serial { path: path.to_owned(), speed };
            Ok(vec![(source, wanted.address.to_string(), true)])
        }
    }
}

/// The first of the usual places that will do.
fn open_first(places: &[PathBuf], wanted: &Wanted, backlog: u32) -> Result<Vec<Opened>, Problem> {
    let scheme = schemes(dialect(&wanted.address)).unix;
    let mut reasons = Vec::new();
    for path in places {
        match prepare_folder(path).map_err(Problem::Other).and_then(|()| bind_unix(path, wanted, backlog)) {
            Ok((socket, file)) => {
                let address = format!("{scheme}://{}", path.display());
                return Ok(vec![(Door::Unix(socket, Some(file)), address, true)]);
            }
            // Two daemons in two places would not know of each other.
            Err(Problem::Taken) => return Err(Problem::Path(format!("{}: {TAKEN}", path.display()))),
            Err(e) => reasons.push(format!("{}: {e}", path.display())),
        }
    }
    Err(format!("no place will do: {}", reasons.join("; ")).into())
}

/// How the addresses of sockets begin.
struct Schemes {
    unix: &'static str,
    tcp: &'static str,
    udp: &'static str,
}

/// Those of a dialect; what it does not come by is as with the native one.
fn schemes(dialect: Dialect) -> Schemes {
    let native = Schemes { unix: "unix", tcp: "tcp", udp: "udp" };
    match dialect {
        Dialect::Msgq => Schemes { unix: "msgq", ..native },
        Dialect::Clacks => Schemes { unix: "clacks", tcp: "clacks", ..native },
        Dialect::Communicator => Schemes { unix: "cd", tcp: "cd", udp: "cdu" },
        _ => native,
    }
}

fn bind_tcp(address: SocketAddr, backlog: u32) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
    if address.is_ipv6() {
        // Whoever wants both writes two listeners; one that is both hides the second.
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    ready_for_stations(&SockRef::from(&socket))?;
    socket.bind(&address.into())?;
    socket.listen(backlog.try_into().unwrap_or(i32::MAX))?;
    Ok(socket.into())
}

/// Options that accepted connections inherit (proved in `tests/kernel.rs`).
fn ready_for_stations(socket: &SockRef<'_>) -> io::Result<()> {
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE))
}

fn bind_udp(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM.nonblocking(), Some(Protocol::UDP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.bind(&address.into())?;
    Ok(UdpSocket::from_std(socket.into()))
}

/// Makes the folder of a usual place if it is below /tmp, and refuses one that others own.
fn prepare_folder(path: &Path) -> Result<(), String> {
    let folder = path.parent().ok_or("has no folder")?;
    if !folder.starts_with("/tmp") {
        return Ok(());
    }
    match fs::DirBuilder::new().mode(0o700).create(folder) {
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(format!("its folder cannot be made: {e}")),
        _ => {}
    }
    let about = fs::symlink_metadata(folder).map_err(|e| e.to_string())?;
    if !about.is_dir() || about.uid() != sys::user_id() || about.mode() & 0o022 != 0 {
        return Err("its folder belongs to somebody else, or others may write to it".into());
    }
    Ok(())
}

fn bind_unix(path: &Path, wanted: &Wanted, backlog: u32) -> Result<(UnixListener, SocketFile), Problem> {
    let size = path.as_os_str().len();
    if size > MAX_SOCKET_PATH {
        return Err(format!("the path has {size} bytes, a socket's may have {MAX_SOCKET_PATH}: choose another").into());
    }
    let owner = id(sys::Names::Users, &wanted.owner)?;
    let group = id(sys::Names::Groups, &wanted.group)?;
    let folder = path.parent().ok_or_else(|| Problem::Path("is no path of a file: name one".into()))?;
    // Two daemons that start at the same time must not take each other's file for stale.
    let lock = File::open(folder).map_err(|e| match e.kind() {
        io::ErrorKind::NotFound => Problem::Path(format!("its folder {} is not there: make it", folder.display())),
        _ => Problem::Other(format!("its folder {} cannot be opened: {e}", folder.display())),
    })?;
    for _ in 0..100 {
        if lock.try_lock().is_ok() {
            break; // else go on in the end: anyone may lock a public folder for ever
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    remove_if_stale(path)?;
    let socket = Socket::new(Domain::UNIX, Type::STREAM.nonblocking(), None).map_err(|e| e.to_string())?;
    let address = socket2::SockAddr::unix(path).map_err(|e| format!("the path cannot be a socket's: {e}"))?;
    let mode = wanted.mode.unwrap_or(USUAL_MODE).0;
    // The file is never there with more rights than it should have. There is only this
    // thread that makes files yet.
    let before = sys::set_umask(!mode & 0o777);
    let bound = socket.bind(&address);
    sys::set_umask(before);
    bound.map_err(|e| format!("the socket cannot be made: {e}"))?;
    let about = fs::symlink_metadata(path).map_err(|e| e.to_string())?;
    let file = SocketFile { path: path.to_owned(), inode: (about.dev(), about.ino()) };
    if owner.is_some() || group.is_some() {
        std::os::unix::fs::chown(path, owner, group)
            .map_err(|e| format!("the socket cannot be given to `{}`:`{}`: {e}", wanted.owner, wanted.group))?;
    }
    socket.listen(backlog.try_into().unwrap_or(i32::MAX)).map_err(|e| e.to_string())?;
    Ok((UnixListener::from_std(OwnedFd::from(socket).into()), file))
}

/// A file that a daemon left behind when it was killed is in the way; one on which somebody
/// listens, or that is no socket, is not ours to remove.
fn remove_if_stale(path: &Path) -> Result<(), Problem> {
    let about = match fs::symlink_metadata(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(e.to_string().into()),
        Ok(about) => about,
    };
    if !about.file_type().is_socket() {
        let what = if about.is_dir() {
            "is a folder: name a file in it"
        } else {
            "there is a file that is no socket; move it away"
        };
        return Err(Problem::Path(what.into()));
    }
    // Without waiting: one that listens and does not accept would hold us up for ever.
    let probe = Socket::new(Domain::UNIX, Type::STREAM.nonblocking(), None).map_err(|e| e.to_string())?;
    match socket2::SockAddr::unix(path).and_then(|address| probe.connect(&address)) {
        Ok(()) => Err(Problem::Taken),
        Err(e) if e.kind() == io::ErrorKind::WouldBlock => Err(Problem::Taken),
        Err(e) if e.kind() == io::ErrorKind::ConnectionRefused => {
            fs::remove_file(path).map_err(|e| format!("the socket file left behind cannot be removed: {e}").into())
        }
        Err(e) => Err(format!("there is a socket file, and whether it is in use cannot be said: {e}").into()),
    }
}

fn id(kind: sys::Names, name: &str) -> Result<Option<u32>, String> {
    if name.is_empty() {
        return Ok(None);
    }
    if let Ok(number) = name.parse() {
        return Ok(Some(number));
    }
    match sys::id_of(kind, name) {
        Ok(Some(id)) => Ok(Some(id)),
        Ok(None) => Err(format!("there is no user or group `{name}` on this machine")),
        Err(e) => Err(format!("`{name}` cannot be looked up: {e}")),
    }
}

/// Sockets that systemd opened (`chappe.socket`).
fn adopt_all(config: &Config) -> Result<Vec<Listener>, String> {
    let handed = sd_notify::listen_fds().map_err(|e| format!("LISTEN_FDS cannot be understood: {e}"))?;
    let mut all = Vec::new();
    for number in handed {
        let wrong = |e: String| format!("descriptor {number} from systemd: {e}");
        let fd = sys::adopt(number).map_err(|e| wrong(e.to_string()))?;
        let (source, mut address, is_local) = adopt(fd).map_err(wrong)?;
        let entry = config.listeners.iter().position(|l| is_same(&l.address, &address));
        // The socket does not say what is spoken there. The configuration does, or its place.
        let dialect = match entry {
            Some(i) => dialect(&config.listeners[i].address),
            None if is_same(&Endpoint::MsgqAuto, &address) => Dialect::Msgq,
            None if is_same(&Endpoint::ClacksAuto, &address) => Dialect::Clacks,
            None if is_same(&Endpoint::CommunicatorAuto, &address) => Dialect::Communicator,
            None => Dialect::Messi,
        };
        let its = schemes(dialect);
        address = match address.split_once("://") {
            Some(("unix", rest)) => format!("{}://{rest}", its.unix),
            Some(("tcp", rest)) => format!("{}://{rest}", its.tcp),
            Some(("udp", rest)) => format!("{}://{rest}", its.udp),
            _ => address,
        };
        let rights = match entry {
            Some(i) => config.anonymous_rights(i, is_local),
            None if is_local || config.allow_open => Config::strangers_rights(),
            None if config.users.is_empty() => {
                return Err(wrong(format!(
                    "other machines reach {address} and no users are configured: add [[users]], \
                     or set allow_open = true if anyone may use it"
                )));
            }
            None => Vec::new(),
        };
        let (tls, is_closed) = tls(entry.map(|i| &config.listeners[i]));
        let address = if tls.is_some() { with_tls(address) } else { address };
        let rights = super::gate::rights(&rights);
        all.push(Listener { source, dialect, address, rights, entry, is_local, tls, is_closed });
    }
    Ok(all)
}

fn adopt(fd: OwnedFd) -> Result<Opened, String> {
    let about = SockRef::from(&fd.as_fd()).local_addr().map_err(|e| format!("is no socket: {e}"));
    let kind = SockRef::from(&fd.as_fd()).r#type().map_err(|e| format!("is no socket: {e}"))?;
    SockRef::from(&fd.as_fd()).set_nonblocking(true).map_err(|e| e.to_string())?;
    let about = about?;
    if let Some(address) = about.as_socket() {
        let is_local = address.ip().is_loopback();
        return match kind {
            Type::STREAM => {
                ready_for_stations(&SockRef::from(&fd.as_fd())).map_err(|e| e.to_string())?;
                Ok((Door::Tcp(TcpListener::from_std(fd.into())), format!("tcp://{address}"), is_local))
            }
            Type::DGRAM => Ok((Door::Udp(UdpSocket::from_std(fd.into())), format!("udp://{address}"), is_local)),
            _ => Err("is neither a stream nor a datagram socket".into()),
        };
    }
    match (about.as_pathname(), kind) {
        (path, Type::STREAM) if about.is_unix() => {
            // The file is systemd's: it stays when the daemon goes.
            let address = path.map_or_else(|| "unix://(no path)".into(), |p| format!("unix://{}", p.display()));
            Ok((Door::Unix(UnixListener::from_std(fd.into()), None), address, true))
        }
        _ => Err("is no socket of a kind that stations come in by".into()),
    }
}

fn is_same(wanted: &Endpoint, address: &str) -> bool {
    let is_at = |path: &Path| address.strip_prefix("unix://").is_some_and(|at| Path::new(at) == path);
    let leads_to = |place: &HostPort, scheme: &str| {
        place.resolve().is_ok_and(|all| all.iter().any(|a| format!("{scheme}://{a}") == address))
    };
    match wanted.carrier() {
        Carrier::Usual(places) => places().iter().any(|p| is_at(p)),
        Carrier::Path(path) => is_at(path),
        Carrier::Tcp(place) => leads_to(place, "tcp"),
        Carrier::Udp(place) => leads_to(place, "udp"),
        Carrier::Serial(..) => false,
    }
}
