//! What is particular to programs of Net::Clacks, and to servers that are linked with this one.
//!
//! Owns: the keys below `[clacks]`, their bounds and what they demand of each other, the syntax
//! of a master's address, and that the file with the links' password is read whenever the
//! configuration is. Does not own what the keys do. Their meaning stands in `chappe.toml`.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use chappe_core::dialect::clacks as dialect;
use chappe_core::limits::{MAX_TOKEN, MAX_USER};
use chappe_core::name;
use chappe_core::router::FRAME_MARGIN;
use serde::{Deserialize, Serialize};

use super::Step::Key;
use super::check::{At, bounds, holds_lines, trim_token};
use super::endpoint::HostPort;
use super::{AbsolutePath, Config, ConfigError, Endpoint, Right, Secret, User, blank};
use crate::tls::{Files, Trust};

/// What the original's library needs: it never pings more often.
const SPARSEST_PINGS_MS: u32 = 120_000;

/// Longest line that can be configured.
const MAX_LINE: u32 = 64 << 20;

const BESIDE_VALUE: u32 = dialect::BESIDE_VALUE as u32;

/// Longest value that any configuration allows.
pub(crate) const MAX_VALUE: u32 = MAX_LINE - BESIDE_VALUE;

/// How stations of the dialect `clacks` are treated. Sizes in bytes, times in milliseconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[expect(missing_docs, reason = "each key is documented once, in chappe.toml, which a test holds to this")]
pub struct Clacks {
    pub max_line: u32,
    pub max_value: u32,
    pub outbox: u32,
    pub login_within_ms: u32,
    pub ping_within_ms: u32,
    pub link_ping_within_ms: u32,
    pub stalled_after_ms: u32,
    pub link_stalled_after_ms: u32,
    pub linger_ms: u32,
    pub stale_after_ms: u32,
    pub clean_every_ms: u32,
    pub allow_shutdown: bool,
    pub link_user: String,
    #[serde(with = "blank")]
    pub link_password_file: Option<AbsolutePath>,
    /// What was in that file, without a line end at its end.
    #[serde(skip)]
    pub link_password: Option<Secret>,
    pub master: Master,
}

impl Default for Clacks {
    fn default() -> Self {
        Clacks {
            max_line: dialect::MAX_LINE as u32,
            max_value: 1_048_576,
            outbox: 41_943_040,
            login_within_ms: dialect::LOGIN_WITHIN.millis(),
            ping_within_ms: dialect::PING_WITHIN.millis(),
            link_ping_within_ms: dialect::LINK_PING_WITHIN.millis(),
            stalled_after_ms: dialect::STALLED_AFTER.millis(),
            link_stalled_after_ms: dialect::LINK_STALLED_AFTER.millis(),
            linger_ms: dialect::LINGER.millis(),
            stale_after_ms: 0,
            clean_every_ms: dialect::CLEAN_EVERY.millis(),
            allow_shutdown: false,
            link_user: String::new(),
            link_password_file: None,
            link_password: None,
            master: Master::default(),
        }
    }
}

/// The server that this one links itself to, as its slave.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Master {
    /// Where it is; `None`: there is none.
    #[serde(with = "blank")]
    pub address: Option<MasterAddress>,
    /// From one attempt to the next, in milliseconds; some more, so that not all slaves come
    /// back at once.
    pub reconnect_after_ms: u32,
    /// Who has signed its certificate (PEM).
    #[serde(with = "blank")]
    pub ca_file: Option<AbsolutePath>,
    /// Instead: whoever answers there is believed.
    pub insecure: bool,
    /// What was in that file; `None`: no TLS is spoken there.
    #[serde(skip)]
    pub(crate) trust: Option<Trust>,
}

/// What the files held is not looked at.
impl PartialEq for Master {
    fn eq(&self, other: &Self) -> bool {
        let Master { address, reconnect_after_ms, ca_file, insecure, trust: _ } = self;
        (address, reconnect_after_ms, ca_file, insecure)
            == (&other.address, &other.reconnect_after_ms, &other.ca_file, &other.insecure)
    }
}

impl Eq for Master {}

impl Default for Master {
    fn default() -> Self {
        Master {
            address: None,
            reconnect_after_ms: dialect::RECONNECT_AFTER.millis(),
            ca_file: None,
            insecure: false,
            trust: None,
        }
    }
}

/// Where a master listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MasterAddress {
    /// TLS over TCP.
    Tls(HostPort),
    /// TCP without TLS.
    Tcp(HostPort),
    /// A Unix stream socket at this path.
    Unix(PathBuf),
}

impl fmt::Display for MasterAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MasterAddress::Tls(at) => write!(f, "clackss://{at}"),
            MasterAddress::Tcp(at) => write!(f, "clacks://{at}"),
            MasterAddress::Unix(path) => write!(f, "clacks://{}", path.display()),
        }
    }
}

impl FromStr for MasterAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse() {
            Ok(Endpoint::ClacksTls(at)) => Ok(MasterAddress::Tls(at)),
            Ok(Endpoint::ClacksTcp(at)) => Ok(MasterAddress::Tcp(at)),
            Ok(Endpoint::Clacks(path)) => Ok(MasterAddress::Unix(path)),
            Ok(_) => Err("a master is at clackss://HOST:PORT, clacks://HOST:PORT or clacks:///PATH".into()),
            Err(e) => Err(e),
        }
    }
}

impl MasterAddress {
    /// The path of its Unix socket, if it is one.
    pub fn path(&self) -> Option<&Path> {
        match self {
            MasterAddress::Unix(path) => Some(path),
            MasterAddress::Tls(_) | MasterAddress::Tcp(_) => None,
        }
    }
}

impl Clacks {
    /// What is worth a warning.
    fn notes(&self) -> impl Iterator<Item = String> {
        let sparse = (self.ping_within_ms < SPARSEST_PINGS_MS).then(|| {
            format!(
                "clacks.ping_within_ms: {} is below {SPARSEST_PINGS_MS}: the client library of Net::Clacks pings at most \
                 every 120 seconds, so that clients which do not switch pings off are closed in between; the usual \
                 {} will do",
                self.ping_within_ms,
                dialect::PING_WITHIN.millis()
            )
        });
        let open = matches!(self.master.address, Some(MasterAddress::Tcp(_)) if self.master.is_far()).then(|| {
            "clacks.master.address: the password of links crosses the network in clear: let the master speak TLS \
             (clackss://)"
                .to_owned()
        });
        let believed = (self.master.insecure && self.master.address.is_some()).then(|| {
            "clacks.master.insecure: whoever answers at the master's address is told the password of links and all \
             that passes; name a ca_file instead"
                .to_owned()
        });
        [sparse, open, believed].into_iter().flatten()
    }

    /// Octets of the longest value that is taken with this configuration.
    pub(crate) fn longest_value(&self) -> u32 {
        self.max_value.min(self.max_line.saturating_sub(BESIDE_VALUE))
    }

    pub(super) fn check(&self, at: At<'_>) -> Result<(), ConfigError> {
        let (day, mib) = (86_400_000, 1 << 20);
        for (key, value, least, most) in [
            ("max_line", self.max_line, 4096, MAX_LINE),
            ("max_value", self.max_value, 16, MAX_LINE),
            ("outbox", self.outbox, 16_384, 256 * mib),
            ("login_within_ms", self.login_within_ms, 100, day),
            ("ping_within_ms", self.ping_within_ms, 100, day),
            ("link_ping_within_ms", self.link_ping_within_ms, 100, day),
            ("stalled_after_ms", self.stalled_after_ms, 10, day),
            ("link_stalled_after_ms", self.link_stalled_after_ms, 10, day),
            ("linger_ms", self.linger_ms, 10, day),
            ("stale_after_ms", self.stale_after_ms, 0, 49 * day),
            ("clean_every_ms", self.clean_every_ms, 20, day),
        ] {
            bounds(at, &[Key("clacks"), Key(key)], value, least, most)?;
        }
        let reconnect = [Key("clacks"), Key("master"), Key("reconnect_after_ms")];
        bounds(at, &reconnect, self.master.reconnect_after_ms, 100, day)?;
        // Who has said nothing gets what fits.
        if self.max_value > self.longest_value() && self.max_value != Clacks::default().max_value {
            let text = format!(
                "{} must not be more than max_line less {BESIDE_VALUE} bytes for its name and times, which is {}",
                self.max_value,
                self.longest_value()
            );
            return Err(at(&[Key("clacks"), Key("max_value")], text));
        }
        let outbox = (self.outbox, Clacks::default().outbox);
        holds_lines(at, "clacks", outbox, self.max_line, FRAME_MARGIN)?;
        self.check_link(at)?;
        self.check_master(at)
    }

    fn check_link(&self, at: At<'_>) -> Result<(), ConfigError> {
        let key = |k| [Key("clacks"), Key(k)];
        let user = &self.link_user;
        if user.len() > MAX_USER || !name::no_controls(user) {
            return Err(at(&key("link_user"), format!("at most {MAX_USER} bytes without control characters")));
        }
        match (user.is_empty(), &self.link_password_file) {
            (true, Some(_)) => {
                Err(at(&key("link_password_file"), "whose password is it? Add link_user, or take this away".into()))
            }
            (false, None) => {
                Err(at(&key("link_user"), "what does it prove that with? Add link_password_file = \"/PATH\"".into()))
            }
            (true, None) if self.master.address.is_some() => {
                let text = "a master asks who this node is: add link_user and link_password_file to [clacks], and that \
                            user to the master";
                Err(at(&[Key("clacks"), Key("master"), Key("address")], text.into()))
            }
            _ => Ok(()),
        }
    }

    fn check_master(&self, at: At<'_>) -> Result<(), ConfigError> {
        let key = |k| [Key("clacks"), Key("master"), Key(k)];
        let master = &self.master;
        if let Some(path) = master.address.as_ref().and_then(MasterAddress::path) {
            let size = path.as_os_str().len();
            if size > super::MAX_SOCKET_PATH {
                let most = super::MAX_SOCKET_PATH;
                return Err(at(&key("address"), format!("the path has {size} bytes, a socket's may have {most}")));
            }
        }
        match (&master.address, &master.ca_file, master.insecure) {
            (_, Some(_), true) => {
                Err(at(&key("insecure"), "there is a ca_file too: take one away, they contradict each other".into()))
            }
            (Some(MasterAddress::Tls(_)), None, false) => {
                let text = "who vouches for the master's certificate is missing: add ca_file = \"/PATH.pem\" (the certificate \
                            itself if it is self-signed), or insecure = true if the network may be trusted";
                Err(at(&key("address"), text.into()))
            }
            (Some(MasterAddress::Tcp(_) | MasterAddress::Unix(_)), Some(_), _) => {
                Err(at(&key("ca_file"), "no TLS is spoken to this address: take it away, or write clackss://".into()))
            }
            (Some(MasterAddress::Tcp(_) | MasterAddress::Unix(_)), None, true) => {
                Err(at(&key("insecure"), "no TLS is spoken to this address: take it away, or write clackss://".into()))
            }
            _ => Ok(()),
        }
    }

    /// Reads the password of links.
    pub(super) fn read_files(&mut self, at: At<'_>) -> Result<(), ConfigError> {
        let Some(file) = &self.link_password_file else { return Ok(()) };
        let wrong = |text: String| at(&[Key("clacks"), Key("link_password_file")], text);
        let text = std::fs::read_to_string(file.as_path()).map_err(|e| wrong(format!("{file} cannot be read: {e}")))?;
        let text = zeroize::Zeroizing::new(text);
        let secret = trim_token(&text);
        if !(1..=MAX_TOKEN).contains(&secret.len()) {
            return Err(wrong(format!("{file} must hold 1 to {MAX_TOKEN} bytes")));
        }
        self.link_password = Some(Secret::new(secret));
        if let Some(MasterAddress::Tls(_)) = self.master.address {
            let files = Files {
                ca: self.master.ca_file.as_ref().map(|file| file.as_path().to_owned()),
                insecure: self.master.insecure,
                ..Files::default()
            };
            let key = [Key("clacks"), Key("master"), Key("ca_file")];
            self.master.trust = Some(Trust::read(&files).map_err(|e| at(&key, e.to_string()))?);
        }
        Ok(())
    }
}

impl Master {
    /// Whether the way to it leads over a network that others are on.
    fn is_far(&self) -> bool {
        match &self.address {
            Some(MasterAddress::Tcp(at) | MasterAddress::Tls(at)) => {
                at.host != "localhost" && !at.host.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
            }
            Some(MasterAddress::Unix(_)) | None => false,
        }
    }
}

impl Config {
    /// Whether anybody may come who speaks this dialect.
    pub(crate) fn speaks_clacks(&self) -> bool {
        self.clacks.master.address.is_some() || self.listeners.iter().any(|l| l.address.is_clacks())
    }

    /// What is worth a warning about programs of Net::Clacks and linked servers.
    pub(super) fn clacks_notes(&self) -> impl Iterator<Item = String> {
        let name = &self.clacks.link_user;
        let is_linked = |user: &User| user.name == *name && user.rights.contains(&Right::Link) && user.names.is_none();
        let nobody = (!name.is_empty() && !self.users.iter().any(is_linked)).then(|| {
            format!(
                "clacks.link_user: no user `{name}` with the right link, for all names: a server of Net::Clacks on the other \
                 end of a link, which has the same user and password, cannot log in here"
            )
        });
        self.clacks.notes().chain(nobody)
    }

    /// Checks what `[clacks]` demands of other keys.
    pub(super) fn check_clacks(&self, at: At<'_>) -> Result<(), ConfigError> {
        self.clacks.check(at)?;
        // Who has not asked for such clients need not have memory for them.
        let asked = self.speaks_clacks() && self.listeners != Config::default().listeners;
        if asked && self.limits.buffers < u64::from(self.clacks.outbox) {
            let (buffers, outbox) = (self.limits.buffers, self.clacks.outbox);
            let text = format!("{buffers} must not be less than clacks.outbox, which is {outbox}");
            return Err(at(&[Key("limits"), Key("buffers")], text));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse;

    #[test]
    fn times_are_those_of_the_dialect() {
        let it = Clacks::default();
        assert_eq!((it.max_line, it.login_within_ms, it.ping_within_ms), (16 << 20, 15_000, 180_000));
        assert_eq!((it.link_ping_within_ms, it.stalled_after_ms, it.link_stalled_after_ms), (60_000, 60_000, 120_000));
        assert_eq!((it.linger_ms, it.clean_every_ms, it.master.reconnect_after_ms), (1000, 60_000, 30_000));
    }

    #[test]
    fn what_cannot_be_names_its_line_and_key() {
        let link = "[clacks]\nlink_user = 'l'\nlink_password_file = '/dev/null'\n";
        let master = |more: &str| format!("{link}[clacks.master]\n{more}\n");
        for (text, at, key, hint) in [
            ("[clacks]\nmax_line = 4095".to_owned(), (2, 12), "clacks.max_line", "at least 4096"),
            ("[clacks]\nmax_line = 67108865".into(), (2, 12), "clacks.max_line", "at most"),
            ("[clacks]\nmax_line = 33554432".into(), (2, 12), "clacks.max_line", "add outbox = 67108992"),
            ("[clacks]\nmax_line = 8192\noutbox = 16511".into(), (3, 10), "clacks.outbox", "which is 16512"),
            ("[clacks]\nmax_value = 15".into(), (2, 13), "clacks.max_value", "at least 16"),
            ("[clacks]\nmax_value = 67108865".into(), (2, 13), "clacks.max_value", "at most"),
            ("[clacks]\nmax_value = 16776961".into(), (2, 13), "clacks.max_value", "max_line less 256"),
            ("[clacks]\nmax_value = 7937\nmax_line = 8192".into(), (2, 13), "clacks.max_value", "which is 7936"),
            ("[clacks]\nlogin_within_ms = 1".into(), (2, 19), "clacks.login_within_ms", "at least"),
            ("[clacks]\nping_within_ms = 1".into(), (2, 18), "clacks.ping_within_ms", "at least"),
            ("[clacks]\nstale_after_ms = 4294967295".into(), (2, 18), "clacks.stale_after_ms", "at most"),
            ("[clacks]\nclean_every_ms = 0".into(), (2, 18), "clacks.clean_every_ms", "at least"),
            ("[clacks]\nnoop = 0".into(), (2, 1), "clacks.noop", "unknown field"),
            ("[clacks]\nlink_user = 'x'".into(), (2, 13), "clacks.link_user", "link_password_file"),
            ("[clacks]\nlink_password_file = '/x'".into(), (2, 22), "clacks.link_password_file", "link_user"),
            (link.into(), (3, 22), "clacks.link_password_file", "must hold 1 to"),
            (
                "[clacks]\nlink_user = 'l'\nlink_password_file = '/no/such'".into(),
                (3, 22),
                "clacks.link_password_file",
                "cannot be read",
            ),
            (
                "[clacks.master]\naddress = 'clackss://h'\ninsecure = true".into(),
                (2, 11),
                "clacks.master.address",
                "link_user",
            ),
            (master("address = 'clackss://h:1'"), (5, 11), "clacks.master.address", "ca_file"),
            (master("address = 'clacks:///a'\ninsecure = true"), (6, 12), "clacks.master.insecure", "no TLS"),
            (master("address = 'clacks://h:1'\nca_file = '/x'"), (6, 11), "clacks.master.ca_file", "no TLS"),
            (
                master("address = 'clackss://h'\nca_file = '/x'\ninsecure = true"),
                (7, 12),
                "clacks.master.insecure",
                "contradict",
            ),
            (master("address = 'clacks://auto'"), (5, 11), "clacks.master.address", "a master is at"),
            (master("address = 'tcp://h'"), (5, 11), "clacks.master.address", "a master is at"),
            (master("reconnect_after_ms = 1"), (5, 22), "clacks.master.reconnect_after_ms", "at least"),
            (
                "[limits]\nbuffers = 30000000\n[[listeners]]\naddress = 'clacks:///a'".into(),
                (2, 11),
                "limits.buffers",
                "clacks.outbox",
            ),
        ] {
            let error = parse(&text).expect_err(&text);
            assert!(error.text.contains(hint), "{text}\n{error}");
            assert_eq!((error.at, error.key.as_str()), (Some(at), key), "{text}\n{error}");
        }
        // Who speaks nothing of it needs no memory for it.
        for listeners in ["", "[[listeners]]\naddress = 'unix:///a'"] {
            parse(&format!("[limits]\nbuffers = 30000000\n{listeners}")).unwrap();
        }
    }

    #[test]
    fn a_link_has_a_user_and_a_password_that_is_never_shown() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("secret");
        std::fs::write(&file, "sesame open\r\n").unwrap();
        let file = file.display();
        let text = format!(
            "[clacks]\nlink_user = 'west'\nlink_password_file = '{file}'\n\
             [clacks.master]\naddress = 'clackss://east.example'\ninsecure = true\n"
        );
        let config = parse(&text).unwrap();
        assert_eq!(config.clacks.link_password.as_ref().map(Secret::reveal), Some("sesame open"));
        assert_eq!(config.clacks.master.address.as_ref().unwrap().to_string(), "clackss://east.example:49888");
        let printed = config.print();
        assert!(!printed.contains("sesame") && !format!("{config:?}").contains("sesame"), "{printed}");
        assert_eq!(parse(&printed).unwrap(), config);
        let notes: Vec<String> = config.clacks_notes().collect();
        assert!(notes.len() == 2 && notes[0].contains("insecure") && notes[1].contains("no user `west`"), "{notes:?}");
        let user = "[[users]]\nname = 'west'\ntoken = 'sesame open'\nrights = ['read', 'write', 'manage', 'link']\n";
        assert_eq!(parse(&format!("{text}{user}")).unwrap().clacks_notes().count(), 1, "nobody checks who answers");
    }

    #[test]
    fn who_says_nothing_of_values_gets_what_fits_a_line() {
        let longest = |text: &str| parse(&format!("[clacks]\n{text}")).unwrap().clacks.longest_value();
        assert_eq!((longest(""), longest("max_line = 4096")), (1 << 20, 3840));
        assert_eq!((longest("max_value = 16"), longest("max_value = 16776960")), (16, 16_776_960));
    }

    #[test]
    fn too_short_a_time_for_the_library_is_worth_a_note() {
        for (ms, notes) in [(119_999, 1), (120_000, 0), (180_000, 0)] {
            let config = parse(&format!("[clacks]\nping_within_ms = {ms}")).unwrap();
            assert_eq!(config.notes().count(), notes, "{ms}");
        }
    }
}
