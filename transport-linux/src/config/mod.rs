//! What the daemon reads at start: the file, its keys, their defaults and bounds.
//!
//! Owns: the TOML form, the default, and every check that needs nothing but the text.
//! Does not own: what the keys do. The commented default is `chappe.toml` beside this
//! crate's `Cargo.toml`; a test here proves that it says what [`Config::default`] is.

mod check;
mod clacks;
mod communicator;
mod discovery;
mod endpoint;
mod flags;
mod peer;
mod place;
mod tls;

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

pub(crate) use check::trim_token;
pub(crate) use clacks::MAX_VALUE as MAX_CLACKS_VALUE;
pub use clacks::{Clacks, Master, MasterAddress};
pub(crate) use communicator::BESIDE_LINE;
pub use communicator::{Address, Communicator, Form};
pub use discovery::Discovery;
pub(crate) use discovery::is_interface;
pub(crate) use endpoint::Carrier;
pub use endpoint::{
    BIND10_SOCKET, BIND10_VARIABLE, DEFAULT_PORT, DEFAULT_SPEED, DEFAULT_TLS_PORT, Endpoint, HostPort, MAX_SOCKET_PATH,
    named_by_bind10, usual_clacks_sockets, usual_communicator_sockets, usual_msgq_sockets, usual_sockets,
};
pub use flags::{Flags, FlagsDir};
pub use peer::{Peers, SystemId};
pub use place::{ConfigError, Step};
pub use tls::{ClientCertificate, Tls};

use place::Source;

use crate::tls::Identity;

/// Read if the command line names no other file.
pub const DEFAULT_FILE: &str = "/etc/chappe/chappe.toml";

/// The commented default, as packages install it.
pub const DEFAULT_TEXT: &str = include_str!("../../chappe.toml");

/// Everything that can be said in the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The node's name, as stations see it; empty: the host's name.
    pub node: String,
    /// Whether strangers may use a listener that other machines can reach.
    pub allow_open: bool,
    /// Sizes and times.
    pub limits: Limits,
    /// What is particular to programs of BIND 10.
    pub msgq: Msgq,
    /// What is particular to programs of Net::Clacks.
    pub clacks: Clacks,
    /// What is particular to programs of the Snap! Communicator.
    pub communicator: Communicator,
    /// What is logged, where and how.
    pub log: Log,
    /// The counters' page.
    pub metrics: Metrics,
    /// Where this node is found by those who do not know its address.
    pub discovery: Discovery,
    /// Values on disk.
    pub store: Store,
    /// Flags in files.
    pub flags: Flags,
    /// Where stations connect.
    pub listeners: Vec<Listener>,
    /// Who may do what.
    pub users: Vec<User>,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            node: String::new(),
            allow_open: false,
            limits: Limits::default(),
            msgq: Msgq::default(),
            clacks: Clacks::default(),
            communicator: Communicator::default(),
            log: Log::default(),
            metrics: Metrics::default(),
            discovery: Discovery::default(),
            store: Store::default(),
            flags: Flags::default(),
            listeners: vec![
                Listener {
                    anonymous: Some(vec![Right::Read, Right::Write]),
                    ..Listener::at(Endpoint::Tcp(HostPort { host: "127.0.0.1".into(), port: DEFAULT_PORT }))
                },
                Listener {
                    anonymous: Some(vec![Right::Read, Right::Write, Right::Manage]),
                    mode: Some(Mode(0o660)),
                    ..Listener::at(Endpoint::UnixAuto)
                },
                Listener {
                    anonymous: Some(vec![Right::Read, Right::Write, Right::Manage]),
                    mode: Some(Mode(0o660)),
                    ..Listener::at(Endpoint::MsgqAuto)
                },
                Listener {
                    anonymous: Some(vec![Right::Read, Right::Write, Right::Manage]),
                    mode: Some(Mode(0o660)),
                    ..Listener::at(Endpoint::ClacksAuto)
                },
                Listener {
                    anonymous: Some(vec![Right::Read, Right::Write, Right::Manage]),
                    mode: Some(Mode(0o660)),
                    ..Listener::at(Endpoint::CommunicatorAuto)
                },
            ],
            users: Vec::new(),
        }
    }
}

/// Sizes in bytes, times in milliseconds. The meaning of each stands in `chappe.toml`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[expect(missing_docs, reason = "each key is documented once, in chappe.toml, which a test holds to this")]
pub struct Limits {
    pub stations: u32,
    pub datagram_stations: u32,
    pub descriptors: u32,
    pub max_frame: u32,
    pub outbox: u32,
    pub buffers: u64,
    pub values: u64,
    pub value_rows: u32,
    pub max_value: u32,
    pub hello_within_ms: u32,
    pub silence_ms: u32,
    pub max_silence_ms: u32,
    pub slow_after_ms: u32,
    pub frame_within_ms: u32,
    pub linger_ms: u32,
    pub ask_ms: u32,
    pub max_ask_ms: u32,
    pub keep_ms: u32,
    pub max_keep_ms: u32,
    pub flush_ms: u32,
    pub page: u32,
    pub joins: u32,
    pub asks: u32,
    pub watches: u32,
    pub flushes: u32,
    pub strikes: u8,
    pub drain_ms: u32,
    pub backlog: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            stations: 16_384,
            datagram_stations: 1024,
            descriptors: 0,
            max_frame: 65_536,
            outbox: 1_048_576,
            buffers: 268_435_456,
            values: 134_217_728,
            value_rows: 1_048_576,
            max_value: 32_768,
            hello_within_ms: 10_000,
            silence_ms: 30_000,
            max_silence_ms: 600_000,
            slow_after_ms: 5000,
            frame_within_ms: 30_000,
            linger_ms: 1000,
            ask_ms: 10_000,
            max_ask_ms: 300_000,
            keep_ms: 60_000,
            max_keep_ms: 3_600_000,
            flush_ms: 30_000,
            page: 64,
            joins: 1024,
            asks: 4096,
            watches: 16,
            flushes: 64,
            strikes: 16,
            drain_ms: 3000,
            backlog: 4096,
        }
    }
}

/// How stations of the dialect `msgq` are treated. Sizes in bytes, times in milliseconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[expect(missing_docs, reason = "each key is documented once, in chappe.toml, which a test holds to this")]
pub struct Msgq {
    pub max_body: u32,
    pub outbox: u32,
    pub stalled_after_ms: u32,
    pub allow_stop: bool,
}

impl Default for Msgq {
    fn default() -> Self {
        Msgq { max_body: 1_048_576, outbox: 4_194_304, stalled_after_ms: 60_000, allow_stop: false }
    }
}

/// How much is logged, and in which form.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// Nothing less important than this.
    pub level: Level,
    /// One line for people, or one JSON object.
    pub format: LogFormat,
    /// Absolute; `None`: standard error.
    #[serde(with = "blank")]
    pub file: Option<AbsolutePath>,
}

/// The counters' page.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Metrics {
    /// A loopback address; `None`: no page.
    #[serde(with = "blank")]
    pub listen: Option<SocketAddr>,
}

/// Values: on disk or not, and how long one is known to have been removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Store {
    /// The file; `None`: values are in memory only.
    #[serde(with = "blank")]
    pub path: Option<AbsolutePath>,
    /// How long a change may wait for others to be written with.
    pub write_within_ms: u32,
    /// Bytes of changes that may wait for the disk.
    pub queue: u64,
    /// How long it is remembered that a value was removed.
    pub removals_kept_s: u32,
}

impl Default for Store {
    fn default() -> Self {
        Store { path: None, write_within_ms: 100, queue: 67_108_864, removals_kept_s: 86_400 }
    }
}

/// One place where stations connect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listener {
    /// Where.
    pub address: Endpoint,
    /// TLS from the first byte on. `None`: bytes as they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
    /// What a station may do that names no user. `None`: see `chappe.toml`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub anonymous: Option<Vec<Right>>,
    /// Unix sockets: the permissions of the socket file; `None`: 0660.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,
    /// Unix sockets: who the file belongs to (a name or a number); empty: who runs the daemon.
    #[serde(default)]
    pub owner: String,
    /// Unix sockets: the group the file belongs to; empty: that of the daemon.
    #[serde(default)]
    pub group: String,
}

impl Listener {
    /// A listener about which nothing more is said.
    pub fn at(address: Endpoint) -> Self {
        Listener { address, tls: None, anonymous: None, mode: None, owner: String::new(), group: String::new() }
    }
}

/// Someone who introduces themselves with a name and a secret, or is known by the system
/// user they run as.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct User {
    /// Said in Hello.
    pub name: String,
    /// The secret, unless it is in `token_file`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<Secret>,
    /// A file that holds nothing but the secret; a line end at its end does not count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_file: Option<AbsolutePath>,
    /// Instead of either: the hash of a password, as `chappe hash-password` makes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_hash: Option<Secret>,
    /// Whose certificate makes them this user without a word, on listeners that ask for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<Identity>,
    /// Whoever connects to a Unix socket as one of these system users is this user.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub peer_users: Vec<SystemId>,
    /// The same for system groups: the primary group of whoever connects.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub peer_groups: Vec<SystemId>,
    /// Both as numbers: looked up once, when the configuration is read.
    #[serde(skip)]
    pub peers: Peers,
    /// What they may do; by default read and write.
    #[serde(default = "User::usual_rights")]
    pub rights: Vec<Right>,
    /// With which names (patterns like `sensor::*`), never empty; `None`: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub names: Option<Vec<String>>,
}

impl User {
    fn usual_rights() -> Vec<Right> {
        vec![Right::Read, Right::Write]
    }
}

/// One thing that may be allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Right {
    /// Join names, read values, watch, list.
    Read,
    /// Send, call, change values, raise and lower flags.
    Write,
    /// Declare names, send to everyone.
    Manage,
    /// Be another server that is linked with this one.
    Link,
}

/// Importance of what is logged.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the words say it")]
pub enum Level {
    Off,
    Error,
    Warn,
    #[default]
    Info,
    Debug,
    Trace,
}

/// Form of a log line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One object a line, for machines.
    Json,
}

/// Text that is never shown, and not left behind in memory.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    pub(crate) fn new(text: &str) -> Self {
        Secret(Zeroizing::new(text.to_owned()))
    }

    /// For comparing, and for nothing else.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(hidden)")
    }
}

impl<'de> Deserialize<'de> for Secret {
    /// What is no text is a secret without its quotes: serde's own errors would show a number.
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct Text;
        fn unquoted<T, E: serde::de::Error>() -> Result<T, E> {
            Err(E::custom("a secret is text: write it in quotes"))
        }
        impl serde::de::Visitor<'_> for Text {
            type Value = Secret;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("text in quotes")
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Secret, E> {
                self.visit_string(text.to_owned())
            }
            fn visit_string<E: serde::de::Error>(self, text: String) -> Result<Secret, E> {
                Ok(Secret(Zeroizing::new(text)))
            }
            fn visit_i64<E: serde::de::Error>(self, _: i64) -> Result<Secret, E> {
                unquoted()
            }
            fn visit_u64<E: serde::de::Error>(self, _: u64) -> Result<Secret, E> {
                unquoted()
            }
            fn visit_i128<E: serde::de::Error>(self, _: i128) -> Result<Secret, E> {
                unquoted()
            }
            fn visit_u128<E: serde::de::Error>(self, _: u128) -> Result<Secret, E> {
                unquoted()
            }
            fn visit_f64<E: serde::de::Error>(self, _: f64) -> Result<Secret, E> {
                unquoted()
            }
            fn visit_bool<E: serde::de::Error>(self, _: bool) -> Result<Secret, E> {
                unquoted()
            }
        }
        d.deserialize_string(Text)
    }
}

impl Serialize for Secret {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str("(hidden)")
    }
}

/// Permissions of a file, written as text in octal: `"0660"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mode(pub u32);

impl Serialize for Mode {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(&format_args!("{:04o}", self.0))
    }
}

impl<'de> Deserialize<'de> for Mode {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        match u32::from_str_radix(&text, 8) {
            Ok(mode) if mode <= 0o777 => Ok(Mode(mode)),
            _ => Err(serde::de::Error::custom(format!("`{text}` is no mode: write it in octal, like \"0660\""))),
        }
    }
}

/// A path that means the same wherever the daemon was started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AbsolutePath(PathBuf);

impl AbsolutePath {
    /// The path.
    pub fn as_path(&self) -> &Path {
        &self.0
    }
}

impl fmt::Display for AbsolutePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.display().fmt(f)
    }
}

impl FromStr for AbsolutePath {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        if text.starts_with('/') {
            Ok(AbsolutePath(text.into()))
        } else {
            Err(format!("`{text}` is no absolute path: begin it with /"))
        }
    }
}

impl Serialize for AbsolutePath {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for AbsolutePath {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Keys that are off when they are empty: TOML has no null, and a key that is not there
/// could not stand in the commented default.
mod blank {
    use std::fmt::Display;
    use std::str::FromStr;

    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<T: Display, S: Serializer>(value: &Option<T>, s: S) -> Result<S::Ok, S::Error> {
        match value {
            Some(value) => s.collect_str(value),
            None => s.serialize_str(""),
        }
    }

    pub(super) fn deserialize<'de, T: FromStr<Err: Display>, D: Deserializer<'de>>(
        d: D,
    ) -> Result<Option<T>, D::Error> {
        let text = String::deserialize(d)?;
        if text.is_empty() {
            return Ok(None);
        }
        text.parse().map(Some).map_err(|e| serde::de::Error::custom(format!("`{text}`: {e}")))
    }
}

impl Config {
    /// From a file's text; `file` is only for errors. `change` is for what the command line
    /// says. Everything is checked.
    pub fn parse(file: Option<&Path>, text: &str, change: impl FnOnce(&mut Config)) -> Result<Config, ConfigError> {
        let source = Source { file, text };
        let mut config: Config = toml::from_str(text).map_err(|e| source.reader_error(&e))?;
        change(&mut config);
        let at = |path: &[Step<'_>], what| source.error_at(path, what);
        config.check(&at)?;
        config.look_up_ids(&at)?;
        for (i, listener) in config.listeners.iter_mut().enumerate() {
            listener.read_tls(i, &at)?;
        }
        config.clacks.read_files(&at)?;
        config.read_communicator_files(&at)?;
        Ok(config)
    }

    /// From a file, otherwise as [`Config::parse`].
    pub fn read(file: &Path, change: impl FnOnce(&mut Config)) -> Result<Config, ConfigError> {
        let text = std::fs::read_to_string(file).map_err(|e| ConfigError {
            file: Some(file.to_owned()),
            at: None,
            key: String::new(),
            text: format!("cannot be read: {e}"),
        })?;
        Config::parse(Some(file), &text, change)
    }

    /// As TOML, secrets hidden.
    pub fn print(&self) -> String {
        // Every field is a table, an array, text or a number: nothing in it can fail.
        toml::to_string(self).unwrap_or_else(|e| format!("# cannot be shown: {e}\n"))
    }
}

/// A configuration that is in no file.
#[cfg(test)]
fn parse(text: &str) -> Result<Config, ConfigError> {
    Config::parse(None, text, |_| {})
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(file: Option<&Path>, text: &str) -> Result<Config, ConfigError> {
        Config::parse(file, text, |_| {})
    }

    /// `#key` is a default, `# text` is prose.
    fn uncommented() -> String {
        let line = |l: &str| match l.strip_prefix('#') {
            Some(rest) if rest.starts_with(|c: char| c.is_ascii_lowercase() || c == '[') => rest.to_owned(),
            _ => l.to_owned(),
        };
        DEFAULT_TEXT.lines().map(line).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn the_default_file_says_nothing_and_uncommented_says_the_default() {
        assert_eq!(parse(None, DEFAULT_TEXT).unwrap(), Config::default());
        assert_eq!(parse(None, &uncommented()).unwrap(), Config::default());
        assert_eq!(parse(None, "").unwrap(), Config::default());
    }

    #[test]
    fn the_default_file_has_every_key_of_the_default() {
        let table: toml::Table = toml::from_str(&uncommented()).unwrap();
        let whole: toml::Table = toml::from_str(&Config::default().print()).unwrap();
        for (key, value) in &whole {
            if key == "users" {
                continue; // there is none by default; its keys are shown as an example
            }
            let Some(section) = value.as_table() else {
                assert!(table.contains_key(key), "chappe.toml lacks {key}");
                continue;
            };
            for (inner, value) in section {
                let said = table[key].get(inner).unwrap_or_else(|| panic!("chappe.toml lacks {key}.{inner}"));
                for innermost in value.as_table().into_iter().flat_map(toml::Table::keys) {
                    assert!(said.get(innermost).is_some(), "chappe.toml lacks {key}.{inner}.{innermost}");
                }
            }
        }
    }

    #[test]
    fn examples_in_the_default_file_are_good() {
        // Prose lines that are indented by five are an example of a user and a listener.
        let example: Vec<&str> =
            DEFAULT_TEXT.lines().filter_map(|l| l.strip_prefix("#     ")).filter(|l| !l.starts_with(' ')).collect();
        let config = parse(None, &example.join("\n")).unwrap();
        assert_eq!((config.users.len(), config.listeners.len()), (1, 1));
    }

    #[test]
    fn the_example_with_tls_in_the_default_file_is_good() {
        // Indented by seven, because it names files; which are made here.
        let folder = tempfile::tempdir().unwrap();
        let key = rcgen::KeyPair::generate().unwrap();
        let cert = rcgen::CertificateParams::new(vec!["x".into()]).unwrap().self_signed(&key).unwrap();
        for (name, text) in [("cert", cert.pem()), ("key", key.serialize_pem()), ("clients", cert.pem())] {
            std::fs::write(folder.path().join(format!("{name}.pem")), text).unwrap();
        }
        let lines = DEFAULT_TEXT.lines().filter_map(|l| l.strip_prefix("#       ")).filter(|l| !l.starts_with(' '));
        let example = lines.collect::<Vec<_>>().join("\n").replace("/etc/chappe", folder.path().to_str().unwrap());
        let config = parse(None, &example).unwrap();
        assert_eq!((config.users.len(), config.listeners.len()), (1, 1));
        assert!(config.listeners[0].tls.as_ref().is_some_and(Tls::is_closed));
        // And what is shown of it reads as the same.
        assert_eq!(parse(None, &config.print()).unwrap(), config);
    }

    #[test]
    fn a_secret_without_its_quotes_is_named_and_not_shown() {
        for value in ["8712345678", "0x2079df94e", "98765.4321", "true", "87123456789012345678", "1979-05-27", "[87]"] {
            for key in ["token", "password_hash"] {
                let error =
                    parse(None, &format!("[[users]]\nname = \"a\"\n{key} = {value}\n")).unwrap_err().to_string();
                assert!(error.starts_with(&format!("configuration:3:{}: ", key.len() + 4)), "{error}");
                for shown in [value, "8712345678", "98765", "87123456789012345678"] {
                    assert!(!error.contains(shown), "{key} = {value}: {error}");
                }
                assert!(error.contains("quotes"), "{error}");
            }
        }
    }

    #[test]
    fn what_is_printed_reads_as_the_same() {
        let config = Config::default();
        assert_eq!(parse(None, &config.print()).unwrap(), config);
        for (names, said) in [("", None), ("names = ['x::*', 'y']", Some(vec!["x::*".to_owned(), "y".into()]))] {
            let config = parse(None, &format!("[[users]]\nname = 'a'\npeer_users = [1]\n{names}")).unwrap();
            assert_eq!(config.users[0].names, said);
            assert_eq!(parse(None, &config.print()).unwrap(), config);
        }
    }

    #[test]
    fn secrets_are_never_shown() {
        let config = parse(None, "[[users]]\nname = \"anna\"\ntoken = \"sesame-open\"\n").unwrap();
        assert!(!config.print().contains("sesame"));
        assert!(!format!("{config:?}").contains("sesame"));
    }

    #[test]
    fn a_path_that_no_socket_can_have_is_named() {
        for scheme in ["unix", "msgq", "clacks", "cd"] {
            let text = |n| format!("[[listeners]]\naddress = \"{scheme}:///{}\"\n", "x".repeat(n - 1));
            assert!(parse(None, &text(MAX_SOCKET_PATH)).is_ok());
            let error = parse(None, &text(MAX_SOCKET_PATH + 1)).unwrap_err();
            assert_eq!((error.at, error.key.as_str()), (Some((2, 11)), "listeners[0].address"));
            assert!(error.text.contains("108 bytes") && error.text.contains("107"), "{error}");
        }
    }

    #[test]
    fn what_does_not_go_together_names_its_key_and_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let short = folder.path().join("short");
        std::fs::write(&short, "1234567\n").unwrap();
        let user = "[[users]]\nname = \"a\"\n";
        let tls = "tls = { certificate = \"/c.pem\", key = \"/k.pem\" }";
        let listener = |address: &str, more: &str| format!("[[listeners]]\naddress = \"{address}\"\n{more}\n");
        let list = |key: &str, of: String, n: usize| format!("{key} = [{}]", vec![of; n].join(", "));
        for (text, key, hint) in [
            (format!("node = \"{}\"", "n".repeat(49)), "node", "at most 48 bytes"),
            ("node = \"a\\nb\"".into(), "node", "control"),
            ("[limits]\nbacklog = 1048577".into(), "limits.backlog", "at most 1048576"),
            ("[limits]\noutbox = 200000000\nbuffers = 100000000".into(), "limits.buffers", "less than outbox"),
            (listener("tcp://127.0.0.1:7", "") + &listener("tcp://127.0.0.1:7", ""), "listeners[1].address", "twice"),
            (listener("unix:///a", "mode = \"rw\""), "listeners[0].mode", "octal"),
            (listener("unix:///a", "mode = \"1777\""), "listeners[0].mode", "octal"),
            (listener("clacks:///a", tls), "listeners[0].tls", "Unix socket"),
            (listener("cd:///a", tls), "listeners[0].tls", "Unix socket"),
            (listener("udp://127.0.0.1", tls), "listeners[0].tls", "datagrams"),
            (format!("[[users]]\nname = \"{}\"\ntoken = \"12345678\"", "n".repeat(49)), "users[0].name", "1 to 48"),
            ("[[users]]\nname = \"\"\ntoken = \"12345678\"".into(), "users[0].name", "1 to 48"),
            (format!("{user}token = \"12345678\"\ntoken_file = \"/x\""), "users[0].token_file", "take one away"),
            (format!("{user}token = \"12345678\"\npassword_hash = \"x\""), "users[0].password_hash", "take one away"),
            (format!("{user}token_file = \"/no/such/file\""), "users[0].token_file", "cannot be read"),
            (format!("{user}token_file = \"{}\"", short.display()), "users[0].token_file", "must hold 8"),
            (format!("{user}certificate = \"cn:a\""), "users[0].certificate", "client_ca"),
            (format!("[clacks]\nlink_user = \"{}\"", "l".repeat(49)), "clacks.link_user", "at most 48"),
            (
                format!("[communicator]\n{}", list("services", "\"s\"".into(), 4097)),
                "communicator.services",
                "at most 4096",
            ),
            (format!("[discovery]\n{}", list("interfaces", "\"lo\"".into(), 17)), "discovery.interfaces", "at most 16"),
        ] {
            let error = parse(None, &text).expect_err(&text);
            assert!(error.text.contains(hint), "{text}\n{error}");
            assert_eq!(error.key.as_str(), key, "{text}\n{error}");
        }
    }

    #[test]
    fn what_is_only_unwise_is_noted() {
        let notes = |text: &str| {
            let config = parse(None, text).unwrap();
            config.notes().map(|(_, text)| text).collect::<Vec<_>>().join("\n")
        };
        assert_eq!(notes(""), "");
        let folder = tempfile::tempdir().unwrap();
        let secret = folder.path().join("secret");
        std::fs::write(&secret, "sesame\n").unwrap();
        let link = |master: &str| {
            let secret = secret.display();
            notes(&format!(
                "[clacks]\nlink_user = \"l\"\nlink_password_file = \"{secret}\"\n[clacks.master]\naddress = \"{master}\""
            ))
        };
        assert!(link("clacks://10.1.2.3:4").contains("crosses the network in clear"));
        for near in ["clacks://localhost:4", "clacks://127.0.0.1:4", "clacks://[::1]:4", "clacks:///a/b"] {
            assert!(!link(near).contains("in clear"), "{near}");
        }
        let alone = "[[listeners]]\naddress = \"unix:///a\"\n[discovery]\ninterfaces = [\"lo\"]";
        assert!(notes(alone).contains("no listener has a port"), "{}", notes(alone));
    }

    #[test]
    fn bad_files_name_line_column_and_key() {
        for (text, at, key, hint) in [
            ("nod = \"x\"", (1, 1), "nod", "unknown field"),
            ("[limits]\noutbox = \"x\"", (2, 10), "limits.outbox", "invalid type"),
            ("[limits]\n\noutbox = 5", (3, 10), "limits.outbox", "at least"),
            ("[limits]\nask_ms = 10\nmax_ask_ms = 5", (3, 14), "limits.max_ask_ms", "ask_ms"),
            ("[log]\nlevel = \"loud\"", (2, 9), "log.level", "unknown variant"),
            ("[log]\nfile = \"x.log\"", (2, 8), "log.file", "absolute"),
            ("[store]\npath = \"v.redb\"", (2, 8), "store.path", "absolute"),
            ("[store]\nqueue = 5", (2, 9), "store.queue", "at least"),
            ("[store]\nremovals_kept_s = 0", (2, 19), "store.removals_kept_s", "at least 1"),
            ("[store]\nremovals_kept_s = 31536001", (2, 19), "store.removals_kept_s", "at most 31536000"),
            ("[discovery]\ninterfaces = [\"eth0\", \"a/b\"]", (2, 23), "discovery.interfaces[1]", "ip link"),
            ("[discovery]\ninterfaces = [\"lo\", \"lo\"]", (2, 21), "discovery.interfaces[1]", "twice"),
            ("[discovery]\nport = 65536", (2, 8), "discovery.port", "65536"),
            ("[limits]\nvalue_rows = 0", (2, 14), "limits.value_rows", "at least"),
            ("[metrics]\nlisten = \"0.0.0.0:9\"", (2, 10), "metrics.listen", "loopback"),
            ("[[listeners]]\naddress = \"tcp://\"", (2, 11), "listeners[0].address", "host"),
            ("[[listeners]]\naddress = \"tcp://127.0.0.1\"\nmode = \"0600\"", (3, 8), "listeners[0].mode", "Unix"),
            ("[[listeners]]\naddress = \"tcp://0.0.0.0\"", (2, 11), "listeners[0].address", "allow_open"),
            (
                "allow_open = false\n[[users]]\nname = \"a\"\ntoken = \"12345678\"\n[[listeners]]\naddress = \"udp://[::]\"\nanonymous = [\"read\"]",
                (7, 13),
                "listeners[0].anonymous",
                "allow_open",
            ),
            ("[msgq]\nmax_body = 65535", (2, 12), "msgq.max_body", "at least 65536"),
            ("[msgq]\nmax_body = 67108865", (2, 12), "msgq.max_body", "at most 67108864"),
            ("[msgq]\noutbox = 2097151", (2, 10), "msgq.outbox", "at least 2097152"),
            ("[msgq]\nmax_body = 8000000\noutbox = 8000000", (3, 10), "msgq.outbox", "8065605 bytes"),
            ("[msgq]\nstalled_after_ms = 1", (2, 20), "msgq.stalled_after_ms", "at least"),
            ("[limits]\nbuffers = 3000000", (2, 11), "limits.buffers", "msgq.outbox"),
            ("[[listeners]]\naddress = \"msgq://x\"", (2, 11), "listeners[0].address", "absolute"),
            (
                "[[listeners]]\naddress = \"unix:///a/b\"\n[[listeners]]\naddress = \"msgq:/a/b\"",
                (4, 11),
                "listeners[1].address",
                "of its own",
            ),
            ("[[users]]\nname = \"a\"", (1, 1), "users[0]", "token"),
            ("[[users]]\nname = \"a\"\ntoken = \"short\"", (3, 9), "users[0].token", "8 to"),
            (
                "[[users]]\nname = \"a\"\ntoken = \"12345678\"\n[[users]]\nname = \"a\"\ntoken = \"12345678\"",
                (5, 8),
                "users[1].name",
                "twice",
            ),
            (
                "[[users]]\nname = \"a\"\ntoken = \"12345678\"\nnames = [\"x\", \"\"]",
                (4, 15),
                "users[0].names[1]",
                "name",
            ),
            (
                "[[users]]\nname = \"a\"\ntoken = \"12345678\"\nnames = []",
                (4, 9),
                "users[0].names",
                "leave the key out",
            ),
            (
                "[[users]]\nname = \"a\"\ntoken = \"12345678\"\nnames = [\"*\", \"x::*\", \"x/*\", \"x*\"]",
                (4, 30),
                "users[0].names[3]",
                "is no pattern",
            ),
            (
                "[[users]]\nname = \"a\"\ntoken = \"12345678\"\nnames = [\"x*y::*\"]",
                (4, 10),
                "users[0].names[0]",
                "is no pattern",
            ),
            ("[limits]\nsilence_ms = 600001", (2, 14), "limits.silence_ms", "add max_silence_ms = 600001"),
            ("[limits]\nmax_value = 65281", (2, 13), "limits.max_value", "add max_frame = 65537"),
            ("[msgq]\nmax_body = 4194304", (2, 12), "msgq.max_body", "outbox = 8519818"),
            ("[msgq]\n\nmax_body = 4194304\noutbox = 8519817", (4, 10), "msgq.outbox", "max_body"),
            (
                "[[listeners]]\naddress = \"unix:///a\"\nowner = \"no-such-user-here\"",
                (3, 9),
                "listeners[0].owner",
                "no system user",
            ),
            (
                "[[listeners]]\naddress = \"msgq:///a\"\nowner = \"0\"\ngroup = \"no-such-group-here\"",
                (4, 9),
                "listeners[0].group",
                "no system group",
            ),
            ("listeners = []", (1, 13), "listeners", "nowhere"),
            ("a = = b", (1, 5), "", ""),
        ] {
            let error = parse(None, text).expect_err(text);
            assert!(error.text.contains(hint), "{text}\n{error}");
            assert_eq!((error.at, error.key.as_str()), (Some(at), key), "{text}\n{error}");
        }
    }
}
