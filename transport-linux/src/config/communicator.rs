//! What is particular to programs of the Snap! Communicator.
//!
//! Owns: the keys below `[communicator]`, their bounds and what they demand of each other and of
//! listeners, and that the secret's file and the folder of services are read whenever the
//! configuration is. Does not own what the keys do. Their meaning stands in `chappe.toml`.

use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use chappe_core::dialect::communicator::name::{self, MAX_WRITTEN};
use chappe_core::dialect::communicator::{self as dialect, address, emit};
use chappe_core::limits::MAX_NAME;
use chappe_core::router::FRAME_MARGIN;
use serde::{Deserialize, Serialize};

use super::Step::{Index, Key};
use super::check::{At, MIN_TOKEN, bounds, holds_lines, trim_token};
use super::{AbsolutePath, Config, ConfigError, Endpoint, Right, Secret, blank};

/// Longest line that can be configured.
const MAX_LINE: u32 = 64 << 20;

/// What a line may be longer by when it is handed on: who it is from, as the node knows it.
pub(crate) const BESIDE_LINE: usize = 2 * MAX_WRITTEN + FRAME_MARGIN;

/// Longest secret of datagrams, which have 1024 octets for all they say.
const MAX_SECRET: usize = 256;

/// Most services that a folder may declare; and most entries of it that are looked at.
const MAX_SERVICES: usize = 4096;
const MAX_ENTRIES: usize = 4 * MAX_SERVICES;

/// What the names of files end with that declare services.
const SERVICE_FILE: &str = ".service";

/// Files of a folder that are named in one warning.
const NAMED: usize = 5;

/// How stations of the dialect `communicator` are treated. Sizes in bytes, times in milliseconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[expect(missing_docs, reason = "each key is documented once, in chappe.toml, which a test holds to this")]
pub struct Communicator {
    pub server: String,
    pub my_address: Address,
    #[serde(with = "blank")]
    pub public_address: Option<Address>,
    #[serde(with = "blank")]
    pub secure_address: Option<Address>,
    pub max_line: u32,
    pub outbox: u32,
    pub stalled_after_ms: u32,
    pub form: Form,
    pub echo: bool,
    pub allow_shutdown: bool,
    #[serde(with = "blank_secret")]
    pub signal_secret: Option<Secret>,
    #[serde(with = "blank")]
    pub signal_secret_file: Option<AbsolutePath>,
    #[serde(with = "blank")]
    pub services_dir: Option<AbsolutePath>,
    pub services: Vec<String>,
    /// What was in that file, without a line end at its end.
    #[serde(skip)]
    pub(crate) secret: Option<Secret>,
    /// What was in that folder.
    #[serde(skip)]
    pub(crate) marked: Marked,
}

/// How messages are written to stations.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    /// The string form.
    #[default]
    Text,
    /// JSON for programs that read JSON.
    Json,
    /// JSON for programs that unescape it twice, as the original does.
    JsonTwice,
}

impl Form {
    pub(crate) fn of_dialect(self) -> emit::Form {
        match self {
            Form::Text => emit::Form::Text,
            Form::Json => emit::Form::Json,
            Form::JsonTwice => emit::Form::JsonTwice,
        }
    }
}

/// An address of a server: an IP address, and a port, which is 4042 if it is not said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Address(pub SocketAddr);

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let read = address::parse(text.as_bytes(), dialect::REMOTE_PORT).map(Address);
        read.ok_or_else(|| "is no address: write IP or IP:PORT, IPv6 with a port in brackets".into())
    }
}

impl Serialize for Address {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        text.parse().map_err(|e| serde::de::Error::custom(format!("`{text}` {e}")))
    }
}

/// Services that are declared by files, and what is wrong with other such files.
#[derive(Debug, Clone, Default)]
pub(crate) struct Marked {
    pub(crate) names: Vec<String>,
    notes: Vec<String>,
}

/// What the files were is not looked at.
impl PartialEq for Marked {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Marked {}

/// A secret that is off when it is empty.
mod blank_secret {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::Secret;

    pub(super) fn serialize<S: Serializer>(secret: &Option<Secret>, s: S) -> Result<S::Ok, S::Error> {
        match secret {
            Some(secret) => secret.serialize(s),
            None => s.serialize_str(""),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Option<Secret>, D::Error> {
        Secret::deserialize(d).map(|secret| Some(secret).filter(|secret| !secret.reveal().is_empty()))
    }
}

impl Default for Communicator {
    fn default() -> Self {
        Communicator {
            server: String::new(),
            my_address: Address(SocketAddr::from(([127, 0, 0, 1], dialect::REMOTE_PORT))),
            public_address: None,
            secure_address: None,
            max_line: dialect::MAX_LINE as u32,
            outbox: 4_194_304,
            stalled_after_ms: dialect::Settings::DEFAULT.stalled_after.millis(),
            form: Form::Text,
            echo: false,
            allow_shutdown: false,
            signal_secret: None,
            signal_secret_file: None,
            services_dir: Some(AbsolutePath("/usr/share/communicator/services".into())),
            services: Vec::new(),
            secret: None,
            marked: Marked::default(),
        }
    }
}

impl Communicator {
    /// What datagrams must bring along. `None`: nothing.
    pub(crate) fn wanted_secret(&self) -> Option<&Secret> {
        self.signal_secret.as_ref().or(self.secret.as_ref())
    }

    /// Whether datagrams must bring something along: known before the file has been read.
    fn has_secret(&self) -> bool {
        self.signal_secret.is_some() || self.signal_secret_file.is_some()
    }

    /// All names that are declared by the configuration.
    pub(crate) fn declared(&self) -> impl Iterator<Item = &str> {
        self.services.iter().chain(&self.marked.names).map(String::as_str)
    }

    /// Octets that the frame buffers must have for the longest line.
    pub(crate) fn longest_frame(&self) -> usize {
        self.max_line as usize + BESIDE_LINE
    }

    fn check(&self, at: At<'_>) -> Result<(), ConfigError> {
        let (day, mib) = (86_400_000, 1 << 20);
        for (key, value, least, most) in [
            ("max_line", self.max_line, dialect::MAX_LINE_BEFORE_REGISTER as u32, MAX_LINE),
            ("outbox", self.outbox, 16_384, 256 * mib),
            ("stalled_after_ms", self.stalled_after_ms, 10, day),
        ] {
            bounds(at, &[Key("communicator"), Key(key)], value, least, most)?;
        }
        let key = |k| [Key("communicator"), Key(k)];
        let is_name = self.server.len() <= MAX_NAME && name::is_name(self.server.as_bytes());
        if !self.server.is_empty() && !is_name {
            let text =
                format!("at most {MAX_NAME} letters, digits and `_`, no digit first; or empty, for the host's name");
            return Err(at(&key("server"), text));
        }
        let outbox = (self.outbox, Communicator::default().outbox);
        holds_lines(at, "communicator", outbox, self.max_line, BESIDE_LINE)?;
        match (&self.signal_secret, &self.signal_secret_file) {
            (Some(_), Some(_)) => {
                return Err(at(&key("signal_secret_file"), "there is a signal_secret too: take one away".into()));
            }
            (Some(secret), None) => check_secret(secret.reveal()).map_err(|e| at(&key("signal_secret"), e))?,
            (None, _) => {}
        }
        if self.services.len() > MAX_SERVICES {
            return Err(at(&key("services"), format!("at most {MAX_SERVICES}")));
        }
        for (i, service) in self.services.iter().enumerate() {
            let wrong = |e: &str| at(&[Key("communicator"), Key("services"), Index(i)], e.into());
            is_service(service).map_err(wrong)?;
        }
        Ok(())
    }

    /// Reads the secret, and which services the folder has.
    fn read_files(&mut self, at: At<'_>) -> Result<(), ConfigError> {
        if let Some(file) = &self.signal_secret_file {
            let wrong = |text: String| at(&[Key("communicator"), Key("signal_secret_file")], text);
            let text =
                std::fs::read_to_string(file.as_path()).map_err(|e| wrong(format!("{file} cannot be read: {e}")))?;
            let text = zeroize::Zeroizing::new(text);
            let secret = trim_token(&text);
            check_secret(secret).map_err(|e| wrong(format!("{file}: {e}")))?;
            self.secret = Some(Secret::new(secret));
        }
        self.marked = self.services_dir.as_ref().map(Marked::read).unwrap_or_default();
        Ok(())
    }
}

impl Marked {
    /// Of a folder that need not be there. What is wrong in it costs nothing but itself.
    fn read(folder: &AbsolutePath) -> Marked {
        let mut marked = Marked::default();
        let entries = match std::fs::read_dir(folder.as_path()) {
            Ok(entries) => entries,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return marked,
            Err(e) => {
                marked.notes.push(format!("communicator.services_dir: {folder} cannot be read: {e}"));
                return marked;
            }
        };
        let (mut bad, mut too_many) = (Vec::new(), false);
        for (i, entry) in entries.enumerate() {
            if i >= MAX_ENTRIES || marked.names.len() >= MAX_SERVICES {
                too_many = true;
                break;
            }
            let file = match entry {
                Ok(entry) => entry.file_name(),
                Err(e) => {
                    marked.notes.push(format!("communicator.services_dir: {folder} cannot be read to its end: {e}"));
                    break;
                }
            };
            let file = file.to_string_lossy();
            let Some(service) = file.strip_suffix(SERVICE_FILE) else { continue };
            match is_service(service) {
                Ok(()) => marked.names.push(service.to_owned()),
                Err(e) => bad.push(format!("{folder}/{}: {e}", file.escape_debug())),
            }
        }
        marked.names.sort_unstable();
        bad.sort_unstable();
        let more = bad.len().saturating_sub(NAMED);
        marked
            .notes
            .extend(bad.into_iter().take(NAMED).map(|text| format!("communicator.services_dir: {text}; not declared")));
        if more > 0 {
            marked.notes.push(format!("communicator.services_dir: {more} more files in {folder} are not declared"));
        }
        if too_many {
            marked.notes.push(format!(
                "communicator.services_dir: {folder} has more than {MAX_SERVICES} services or {MAX_ENTRIES} files: not all are declared"
            ));
        }
        marked
    }
}

/// Whether a service may be called so.
fn is_service(text: &str) -> Result<(), &'static str> {
    match name::to_bus(text.as_bytes(), &mut [0; MAX_NAME]) {
        // what stands for another name of the bus is declared by that name
        Ok(name) if name == text => Ok(()),
        Ok(_) => Err("a service is called by letters, digits and `_`, without `_xHH_`"),
        Err(why) => Err(why.text()),
    }
}

fn check_secret(secret: &str) -> Result<(), String> {
    if !(1..=MAX_SECRET).contains(&secret.len()) {
        return Err(format!("a secret has 1 to {MAX_SECRET} bytes"));
    }
    if secret.contains(['\0', '\n', '\r']) || !emit::is_sayable(secret.as_bytes()) {
        return Err(
            "a secret has no line end and no NUL, nor both a `;` and a backslash at its end: no message could hold it"
                .into(),
        );
    }
    Ok(())
}

impl Config {
    /// Whether anybody may come who speaks this dialect.
    pub(crate) fn speaks_communicator(&self) -> bool {
        self.listeners.iter().any(|l| l.address.is_communicator())
    }

    /// What is worth a warning about programs of the Communicator.
    pub(super) fn communicator_notes(&self) -> impl Iterator<Item = String> {
        let it = &self.communicator;
        let signals = self.listeners.iter().any(|l| matches!(l.address, Endpoint::CommunicatorUdp(_)));
        let short = it.wanted_secret().filter(|s| signals && s.reveal().len() < MIN_TOKEN).map(|_| {
            format!("communicator.signal_secret: it has less than {MIN_TOKEN} bytes: it can be tried out, by datagrams that nobody sees")
        });
        let idle = (it.has_secret() && !signals)
            .then(|| "communicator.signal_secret: no listener takes datagrams: add one at cdu://HOST:PORT".to_owned());
        short.into_iter().chain(idle).chain(it.marked.notes.iter().cloned())
    }

    /// Checks what `[communicator]` demands of other keys.
    pub(super) fn check_communicator(&self, at: At<'_>) -> Result<(), ConfigError> {
        self.communicator.check(at)?;
        for (i, listener) in self.listeners.iter().enumerate() {
            let can_say = |rights: &Vec<Right>| rights.contains(&Right::Write) || rights.contains(&Right::Manage);
            if matches!(listener.address, Endpoint::CommunicatorUdp(_))
                && listener.anonymous.as_ref().is_some_and(|rights| !can_say(rights))
            {
                let text = "datagrams can do nothing but write and manage, and nobody can say in them who they are: \
                            allow one of these, or take the listener away";
                return Err(at(&[Key("listeners"), Index(i), Key("anonymous")], text.into()));
            }
        }
        // Who has not asked for such clients need not have memory for them.
        let asked = self.speaks_communicator() && self.listeners != Config::default().listeners;
        if asked && self.limits.buffers < u64::from(self.communicator.outbox) {
            let (buffers, outbox) = (self.limits.buffers, self.communicator.outbox);
            let text = format!("{buffers} must not be less than communicator.outbox, which is {outbox}");
            return Err(at(&[Key("limits"), Key("buffers")], text));
        }
        Ok(())
    }

    /// Whether whoever uses this listener brings a secret with each word.
    pub(crate) fn wants_secret(&self, address: &Endpoint) -> bool {
        matches!(address, Endpoint::CommunicatorUdp(_)) && self.communicator.has_secret()
    }

    /// What somebody may do at a listener of this dialect about which nothing more is said.
    /// `None`: as at any other.
    pub(super) fn communicator_rights(&self, address: &Endpoint) -> Option<Vec<Right>> {
        match address {
            // who may open the file may do all but be a linked server
            Endpoint::Communicator(_) | Endpoint::CommunicatorAuto => {
                Some(vec![Right::Read, Right::Write, Right::Manage])
            }
            // who knows the secret is trusted with log files, others are not; nobody can listen
            Endpoint::CommunicatorUdp(_) if self.wants_secret(address) => Some(vec![Right::Write, Right::Manage]),
            _ => None,
        }
    }

    pub(super) fn read_communicator_files(&mut self, at: At<'_>) -> Result<(), ConfigError> {
        // where nobody speaks it, nothing that is not there can be missed
        if self.speaks_communicator() { self.communicator.read_files(at) } else { Ok(()) }
    }

    /// What clients are told of where others reach this node: without TLS and with it. What is
    /// said; otherwise where it `listens`, if that is no secret of this machine's.
    pub(crate) fn communicator_addresses(
        &self,
        listens: impl Iterator<Item = (SocketAddr, bool)>,
    ) -> [Option<SocketAddr>; 2] {
        let it = &self.communicator;
        let mine = it.my_address.0.ip();
        let mut found = [it.public_address.map(|a| a.0), it.secure_address.map(|a| a.0)];
        for (address, is_secure) in listens.filter(|(address, _)| !address.ip().is_loopback()) {
            let ip: IpAddr = match address.ip() {
                ip if !ip.is_unspecified() => ip,
                // at all addresses: that one counts by which it is known
                ip if !mine.is_loopback() && mine.is_ipv4() == ip.is_ipv4() => mine,
                _ => continue,
            };
            let place = &mut found[usize::from(is_secure)];
            *place = place.or(Some(SocketAddr::new(ip, address.port())));
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse;

    #[test]
    fn what_cannot_be_names_its_line_and_key() {
        let udp = "[[listeners]]\naddress = 'cdu://127.0.0.1'\n";
        for (text, at, key, hint) in [
            ("[communicator]\nmax_line = 4095".to_owned(), (2, 12), "communicator.max_line", "at least 4096"),
            ("[communicator]\nmax_line = 67108865".into(), (2, 12), "communicator.max_line", "at most"),
            ("[communicator]\nmax_line = 4194304".into(), (2, 12), "communicator.max_line", "add outbox = 8391296"),
            (
                "[communicator]\nmax_line = 8192\noutbox = 19071".into(),
                (3, 10),
                "communicator.outbox",
                "which is 19072",
            ),
            ("[communicator]\nstalled_after_ms = 9".into(), (2, 20), "communicator.stalled_after_ms", "at least 10"),
            ("[communicator]\nserver = 'no-name'".into(), (2, 10), "communicator.server", "letters, digits"),
            ("[communicator]\nmy_address = 'host'".into(), (2, 14), "communicator.my_address", "IP or IP:PORT"),
            ("[communicator]\nmy_address = ''".into(), (2, 14), "communicator.my_address", "IP or IP:PORT"),
            ("[communicator]\npublic_address = 'x'".into(), (2, 18), "communicator.public_address", "IP or IP:PORT"),
            ("[communicator]\nform = 'xml'".into(), (2, 8), "communicator.form", "unknown variant"),
            ("[communicator]\nsignal_secret = 12345678".into(), (2, 17), "communicator.signal_secret", "quotes"),
            ("[communicator]\nsignal_secret = 'a;b\\'".into(), (2, 17), "communicator.signal_secret", "backslash"),
            ("[communicator]\nsignal_secret = \"a\\nb\"".into(), (2, 17), "communicator.signal_secret", "no line end"),
            (
                format!("[communicator]\nsignal_secret = '{}'", "x".repeat(257)),
                (2, 17),
                "communicator.signal_secret",
                "1 to 256",
            ),
            (
                "[communicator]\nsignal_secret = 'x'\nsignal_secret_file = '/dev/null'".into(),
                (3, 22),
                "communicator.signal_secret_file",
                "take one away",
            ),
            (
                format!("[communicator]\nsignal_secret_file = '/dev/null'\n{udp}"),
                (2, 22),
                "communicator.signal_secret_file",
                "1 to 256",
            ),
            (
                format!("[communicator]\nsignal_secret_file = '/no/such'\n{udp}"),
                (2, 22),
                "communicator.signal_secret_file",
                "cannot be read",
            ),
            ("[communicator]\nservices = ['a', 'b-c']".into(), (2, 18), "communicator.services[1]", "letters"),
            ("[communicator]\nservices = ['communicatord']".into(), (2, 13), "communicator.services[0]", "itself"),
            ("[communicator]\nservices = ['a_x2d_b']".into(), (2, 13), "communicator.services[0]", "_xHH_"),
            ("[communicator]\nservices_dir = 'x'".into(), (2, 16), "communicator.services_dir", "absolute"),
            (format!("{udp}anonymous = ['read']"), (3, 13), "listeners[0].anonymous", "datagrams"),
            (format!("{udp}anonymous = []"), (3, 13), "listeners[0].anonymous", "datagrams"),
            (format!("{udp}tls = {{ certificate = '/c', key = '/k' }}"), (3, 7), "listeners[0].tls", "datagrams"),
            ("[[listeners]]\naddress = 'cds://127.0.0.1'".into(), (2, 11), "listeners[0].address", "certificate"),
            ("[[listeners]]\naddress = 'cd://0.0.0.0'".into(), (2, 11), "listeners[0].address", "allow_open"),
            ("[[listeners]]\naddress = 'cdu://0.0.0.0'".into(), (2, 11), "listeners[0].address", "signal_secret"),
            (
                "[[users]]\nname = 'a'\npeer_users = [1]\n[[listeners]]\naddress = 'cdu://0.0.0.0'".into(),
                (5, 11),
                "listeners[0].address",
                "signal_secret",
            ),
            (
                "[limits]\nbuffers = 4194303\nvalues = 65536\n[clacks]\noutbox = 2097152\nmax_line = 65536\n\
                 [[listeners]]\naddress = 'cd:///a'"
                    .into(),
                (2, 11),
                "limits.buffers",
                "outbox",
            ),
        ] {
            let error = parse(&text).expect_err(&text);
            assert!(error.text.contains(hint), "{text}\n{error}");
            assert_eq!((error.at, error.key.as_str()), (Some(at), key), "{text}\n{error}");
        }
    }

    #[test]
    fn who_may_do_what_depends_on_how_they_come() {
        let tcp = "[[listeners]]\naddress = 'cd://127.0.0.1'\n[[listeners]]\naddress = 'cd:///a'\n[[listeners]]\naddress = 'cdu://127.0.0.1'\n";
        let config = parse(tcp).unwrap();
        let rights = |config: &Config, i| config.anonymous_rights(i, true);
        assert_eq!(rights(&config, 0), [Right::Read, Right::Write]);
        assert_eq!(rights(&config, 1), [Right::Read, Right::Write, Right::Manage]);
        assert_eq!(rights(&config, 2), [Right::Read, Right::Write], "no log is rotated by who happens to be here");
        let config = parse(&format!("[communicator]\nsignal_secret = 'sesame open'\n{tcp}")).unwrap();
        assert_eq!(rights(&config, 2), [Right::Write, Right::Manage]);
        let own = parse(&format!("[communicator]\nsignal_secret = 'sesame open'\n{tcp}anonymous = ['write']")).unwrap();
        assert_eq!(rights(&own, 2), [Right::Write]);
        // A secret lets other machines in, without users.
        let far = "[communicator]\nsignal_secret = 'sesame open'\n[[listeners]]\naddress = 'cdu://0.0.0.0:0'\n";
        assert_eq!(parse(far).unwrap().anonymous_rights(0, false), [Right::Write, Right::Manage]);
    }

    #[test]
    fn a_secret_is_never_shown() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("secret");
        std::fs::write(&file, "sesame open\r\n").unwrap();
        let udp = "[[listeners]]\naddress = 'cdu://127.0.0.1'\n";
        for text in [
            format!("[communicator]\nsignal_secret = 'sesame open'\n{udp}"),
            format!("[communicator]\nsignal_secret_file = '{}'\n{udp}", file.display()),
        ] {
            let config = parse(&text).unwrap();
            assert_eq!(config.communicator.wanted_secret().map(Secret::reveal), Some("sesame open"));
            assert!(!config.print().contains("sesame") && !format!("{config:?}").contains("sesame"));
            assert_eq!(config.communicator_notes().count(), 0);
        }
        let notes = |text: &str| parse(text).unwrap().communicator_notes().collect::<Vec<_>>().join("\n");
        assert!(notes("[communicator]\nsignal_secret = 'sesame open'").contains("no listener takes datagrams"));
        assert!(notes(&format!("[communicator]\nsignal_secret = 'x'\n{udp}")).contains("can be tried out"));
    }

    #[test]
    fn files_declare_services_and_bad_ones_are_named() {
        let folder = tempfile::tempdir().unwrap();
        for name in [
            "fluid_settings.service",
            "ipwall.service",
            "no-name.service",
            "readme",
            "communicatord.service",
            ".service",
        ] {
            std::fs::write(folder.path().join(name), "whatever").unwrap();
        }
        let text = |dir: &std::path::Path| {
            format!(
                "[communicator]\nservices_dir = '{}'\nservices = ['cms']\n[[listeners]]\naddress = 'cd:///a'",
                dir.display()
            )
        };
        let config = parse(&text(folder.path())).unwrap();
        assert_eq!(config.communicator.declared().collect::<Vec<_>>(), ["cms", "fluid_settings", "ipwall"]);
        let notes: Vec<_> = config.communicator_notes().collect();
        assert_eq!(notes.len(), 3, "{notes:?}");
        assert!(notes.iter().any(|n| n.contains("/no-name.service: ")), "{notes:?}");
        // One that is not there is none; one that is no folder is said.
        assert_eq!(parse(&text(&folder.path().join("no"))).unwrap().communicator_notes().count(), 0);
        let notes = parse(&text(&folder.path().join("readme"))).unwrap().communicator_notes().collect::<Vec<_>>();
        assert!(notes[0].contains("cannot be read"), "{notes:?}");
        // Nothing is read for nobody.
        let quiet = text(folder.path()).replace("cd:///a", "unix:///a");
        assert_eq!(parse(&quiet).unwrap().communicator.declared().collect::<Vec<_>>(), ["cms"]);
    }

    #[test]
    fn addresses_for_others_follow_from_listeners_unless_said() {
        let at = |text: &str| text.parse::<SocketAddr>().unwrap();
        let all = [(at("127.0.0.1:4040"), false), (at("0.0.0.0:4042"), false), (at("203.0.113.5:4043"), true)];
        let of = |text: &str| parse(text).unwrap().communicator_addresses(all.into_iter());
        assert_eq!(of(""), [None, Some(at("203.0.113.5:4043"))], "nobody knows which of its addresses is meant");
        let known = of("[communicator]\nmy_address = '10.0.0.7'");
        assert_eq!(known, [Some(at("10.0.0.7:4042")), Some(at("203.0.113.5:4043"))]);
        let said = of("[communicator]\npublic_address = '198.51.100.1:1'\nsecure_address = '198.51.100.1'");
        assert_eq!(said, [Some(at("198.51.100.1:1")), Some(at("198.51.100.1:4042"))]);
    }
}
