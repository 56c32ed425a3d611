//! A daemon with a listener of every kind, every way into it, and what can be measured from
//! outside.

use std::collections::HashMap;
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::support::tls::{Authority, TLS13, client, connect_to};
use crate::support::{CHAPPE, Daemon, PATIENCE, Stream, get};

/// The secret of datagrams.
pub(crate) const SECRET: &str = "sesame open";

/// A way in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Way {
    Tcp,
    Unix,
    Tls,
    Msgq,
    Clacks,
    ClacksTcp,
    Clackss,
    Cd,
    CdTcp,
    Cds,
}

/// Whose words are spoken there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tongue {
    Native,
    Msgq,
    Clacks,
    Communicator,
}

/// All that are streams.
pub(crate) const WAYS: [Way; 10] = [
    Way::Tcp,
    Way::Unix,
    Way::Tls,
    Way::Msgq,
    Way::Clacks,
    Way::ClacksTcp,
    Way::Clackss,
    Way::Cd,
    Way::CdTcp,
    Way::Cds,
];

/// One of each dialect, and one with TLS.
pub(crate) const FEW: [Way; 5] = [Way::Tcp, Way::Msgq, Way::Clacks, Way::Cd, Way::Tls];

impl Way {
    pub(crate) fn tongue(self) -> Tongue {
        match self {
            Way::Tcp | Way::Unix | Way::Tls => Tongue::Native,
            Way::Msgq => Tongue::Msgq,
            Way::Clacks | Way::ClacksTcp | Way::Clackss => Tongue::Clacks,
            Way::Cd | Way::CdTcp | Way::Cds => Tongue::Communicator,
        }
    }

    pub(crate) fn is_tls(self) -> bool {
        matches!(self, Way::Tls | Way::Clackss | Way::Cds)
    }

    pub(crate) fn is_unix(self) -> bool {
        matches!(self, Way::Unix | Way::Msgq | Way::Clacks | Way::Cd)
    }

    fn scheme(self) -> &'static str {
        match self {
            Way::Tcp => "tcp",
            Way::Unix => "unix",
            Way::Tls => "tls",
            Way::Msgq => "msgq",
            Way::Clacks | Way::ClacksTcp => "clacks",
            Way::Clackss => "clackss",
            Way::Cd | Way::CdTcp => "cd",
            Way::Cds => "cds",
        }
    }
}

/// The daemon, and who signs its certificate.
pub(crate) struct House {
    pub(crate) daemon: Daemon,
    pub(crate) authority: Authority,
    /// Where its counters are.
    page: String,
    pub(crate) discovery: u16,
}

impl House {
    /// `limits`: keys of that section; `more`: other sections.
    pub(crate) fn start(limits: &str, more: &str) -> House {
        House::start_by(limits, more, |config| {
            let mut command = Command::new(CHAPPE);
            command.arg("serve").arg("--config").arg(config);
            command
        })
    }

    /// As [`House::start`], with a command of its own.
    pub(crate) fn start_by(limits: &str, more: &str, command: impl FnOnce(&Path) -> Command) -> House {
        let authority = Authority::new();
        let mut daemon = Daemon::start_by(&House::config(&authority, limits, more), command);
        let page = daemon.event("metrics.listening")["address"].as_str().unwrap().to_owned();
        let page = page.strip_prefix("http://").unwrap().split('/').next().unwrap().to_owned();
        let discovery = daemon.event("discovery.open")["port"].as_u64().unwrap().try_into().unwrap();
        House { daemon, authority, page, discovery }
    }

    /// What it is started with.
    pub(crate) fn config(authority: &Authority, limits: &str, more: &str) -> String {
        let communicator = if more.contains("[communicator]") { "" } else { "[communicator]\n" };
        let mut text = format!(
            "[limits]\nsilence_ms = 600000\n{limits}\n[metrics]\nlisten = \"127.0.0.1:0\"\n\
             [discovery]\ninterfaces = [\"lo\"]\nport = 0\n{more}\n{communicator}\
             server = \"hostA\"\nservices_dir = \"FOLDER/services\"\nsignal_secret = \"{SECRET}\"\n"
        );
        for address in [
            "tcp://127.0.0.1:0",
            "unix://FOLDER/native",
            "udp://127.0.0.1:0",
            "tls://127.0.0.1:0",
            "msgq://FOLDER/msgq",
            "clacks://FOLDER/clacks",
            "clacks://127.0.0.1:0",
            "clackss://127.0.0.1:0",
            "cd://FOLDER/cd",
            "cd://127.0.0.1:0",
            "cds://127.0.0.1:0",
            "cdu://127.0.0.1:0",
        ] {
            let is_tls = ["tls", "clackss", "cds"].contains(&address.split(':').next().unwrap());
            let tls = if is_tls { authority.server().toml("") } else { String::new() };
            text.push_str(&format!("[[listeners]]\naddress = \"{address}\"\n{tls}\n"));
        }
        text
    }

    /// Where a way begins.
    pub(crate) fn address(&self, way: Way) -> String {
        let all = self.daemon.addresses(way.scheme());
        let found = all.into_iter().find(|at| at.starts_with('/') == way.is_unix());
        found.unwrap_or_else(|| panic!("no listener for {way:?}"))
    }

    /// A connection without TLS, whatever is spoken there, that has said nothing.
    pub(crate) fn plain(&self, way: Way) -> Stream {
        let stream = if way.is_unix() {
            Stream::Unix(UnixStream::connect(self.address(way)).unwrap())
        } else {
            let stream = TcpStream::connect(self.address(way)).unwrap();
            stream.set_nodelay(true).unwrap();
            Stream::Tcp(stream)
        };
        stream.set_patience(PATIENCE);
        stream
    }

    /// A connection over which the way's own words can be said.
    pub(crate) fn connect(&self, way: Way) -> Stream {
        if !way.is_tls() {
            return self.plain(way);
        }
        connect_to(&self.daemon, way.scheme(), &client(&self.authority.root, &TLS13)).expect("its handshake")
    }

    /// A socket for datagrams to `scheme`.
    pub(crate) fn datagrams(&self, scheme: &str) -> UdpSocket {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.connect(self.daemon.address(scheme)).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket
    }

    /// Where it answers who searches for it.
    pub(crate) fn discovery(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.discovery))
    }

    /// All its numbers.
    pub(crate) fn page(&self) -> Page {
        let page = get(&self.page, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
        let body = page.split("\r\n\r\n").nth(1).expect("a page");
        let rows = body.lines().filter(|line| !line.starts_with('#'));
        let row = |line: &str| {
            let (name, value) = line.split_once(' ').unwrap();
            let name = name.strip_prefix("chappe_").unwrap();
            (name.strip_suffix("_total").unwrap_or(name).to_owned(), value.parse().unwrap())
        };
        Page(rows.map(row).collect())
    }

    /// Waits until the numbers are as they should be, and returns them.
    pub(crate) fn until(&self, what: &str, mut holds: impl FnMut(&Page) -> bool) -> Page {
        let end = Instant::now() + 3 * PATIENCE;
        loop {
            let page = self.page();
            if holds(&page) {
                return page;
            }
            assert!(Instant::now() < end, "still not: {what}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Resident, in KiB.
    pub(crate) fn memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.daemon.pid())).unwrap();
        let line = status.lines().find(|l| l.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    /// Open descriptors.
    pub(crate) fn descriptors(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.daemon.pid())).unwrap().count()
    }

    /// CPU that it takes in so long: nobody says anything to it meanwhile, so it should be none.
    pub(crate) fn cpu_at_rest(&self, span: Duration) -> Duration {
        let before = self.daemon.cpu();
        std::thread::sleep(span);
        self.daemon.cpu() - before
    }
}

/// The counters' page. Names are without what all of them begin and end with.
#[derive(Debug, Clone)]
pub(crate) struct Page(HashMap<String, u64>);

impl Page {
    pub(crate) fn get(&self, name: &str) -> u64 {
        *self.0.get(name).unwrap_or_else(|| panic!("no {name} in the page"))
    }

    /// Rows of a table in use.
    pub(crate) fn used(&self, table: &str) -> u64 {
        self.get(&format!("used{{table=\"{table}\"}}"))
    }

    /// Counters that are higher than before, and by how much.
    pub(crate) fn since(&self, before: &Page, names: &[&str]) -> Vec<(String, u64)> {
        let more = names.iter().map(|name| ((*name).to_owned(), self.get(name) - before.get(name)));
        more.filter(|(_, more)| *more > 0).collect()
    }
}
