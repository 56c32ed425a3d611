//! Settings of the Snap! Communicator's daemon as what Chappe has for them.
//!
//! Owns: the form of its configuration files, which of them counts (`wire/communicator.md` sections
//! 7.1 and 7.2), what each option becomes, and why some become nothing. No secret is in what comes
//! of it: it says which file has to hold it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};

use chappe_core::dialect::communicator::{LOCAL_PORT, SECURE_PORT, SIGNAL_PORT, SOCKET};

use crate::config::Config;

/// The original's main file.
pub const COMMUNICATOR_FILE: &str = "/etc/communicator/communicatord.conf";

/// Where the secret of datagrams is to be.
pub const SIGNAL_SECRET_FILE: &str = "/etc/chappe/communicator-signal.secret";

/// The longest file that is read: more than anybody writes.
const MAX_FILE: u64 = 1 << 20;

/// Files of the folder beside the main one that are read: one for each number.
const MAX_FILES: usize = 100;

/// An option, and where it was said.
#[derive(Debug, Clone)]
struct Said {
    value: String,
    file: PathBuf,
    line: usize,
}

/// A configuration of Chappe that does what one of the original did.
#[derive(Debug)]
pub struct CommunicatorPlan {
    files: Vec<PathBuf>,
    said: BTreeMap<String, Said>,
    /// What somebody should think about.
    pub warnings: Vec<String>,
}

impl CommunicatorPlan {
    /// Reads the main file, and those beside it that count after it:
    /// `communicator.d/NN-communicatord.conf`.
    ///
    /// # Errors
    ///
    /// A file that cannot be read, which is named.
    pub fn read(main: &Path) -> Result<CommunicatorPlan, (PathBuf, io::Error)> {
        let mut plan = CommunicatorPlan { files: Vec::new(), said: BTreeMap::new(), warnings: Vec::new() };
        plan.read_file(main)?;
        let name = main.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let folder = main.parent().unwrap_or(Path::new("")).join("communicator.d");
        let entries = match std::fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(plan),
            Err(e) => return Err((folder, e)),
        };
        let mut more = Vec::new();
        for entry in entries {
            let entry = entry.map_err(|e| (folder.clone(), e))?.file_name();
            let number = entry.to_str().and_then(|entry| entry.strip_suffix(&name)?.strip_suffix('-'));
            if number.is_some_and(|n| n.len() == 2 && n.bytes().all(|b| b.is_ascii_digit())) {
                more.push(folder.join(entry));
            }
        }
        more.sort();
        for file in more.iter().take(MAX_FILES) {
            plan.read_file(file)?;
        }
        Ok(plan)
    }

    fn read_file(&mut self, file: &Path) -> Result<(), (PathBuf, io::Error)> {
        let wrong = |e| (file.to_owned(), e);
        if std::fs::metadata(file).map_err(wrong)?.len() > MAX_FILE {
            return Err(wrong(io::Error::new(io::ErrorKind::InvalidData, "it has more than a megabyte")));
        }
        let text = std::fs::read(file).map_err(wrong)?;
        self.take(file, &String::from_utf8_lossy(&text));
        self.files.push(file.to_owned());
        Ok(())
    }

    fn take(&mut self, file: &Path, text: &str) {
        for (i, line) in text.lines().enumerate() {
            let (number, line) = (i + 1, line.trim());
            if line.is_empty() || line.starts_with(['#', ';']) {
                continue;
            }
            let place = format!("{}:{number}", file.display());
            let Some((name, value)) = line.split_once('=') else {
                // what it says may be half a secret
                self.warnings.push(format!("{place}: no option: an option is name=value"));
                continue;
            };
            let name = name.trim().replace('_', "-");
            let value = value.trim();
            let inner = ['"', '\''].iter().find_map(|q| value.strip_prefix(*q)?.strip_suffix(*q));
            let said = Said { value: inner.unwrap_or(value).to_owned(), file: file.to_owned(), line: number };
            if !OPTIONS.iter().any(|(known, _)| *known == name) {
                self.warnings.push(format!("{place}: `{name}` is no option of communicatord"));
            }
            self.said.insert(name, said);
        }
    }

    /// What an option says, if it says anything.
    fn get(&self, name: &str) -> Option<&str> {
        self.said.get(name).map(|said| said.value.as_str()).filter(|value| !value.is_empty())
    }

    /// Whether the secret of datagrams has to be put into [`SIGNAL_SECRET_FILE`].
    pub fn needs_secret_file(&self) -> bool {
        self.get("signal-secret").is_some()
    }

    /// As a configuration.
    pub fn print(&self) -> String {
        let mut out = String::new();
        // Writing to a string cannot fail.
        _ = self.write(&mut out);
        out
    }

    fn write(&self, out: &mut String) -> std::fmt::Result {
        let files: Vec<_> = self.files.iter().map(|file| harmless(&file.display().to_string())).collect();
        writeln!(
            out,
            "# What communicatord did with {}, made by chappe {}.",
            files.join(", "),
            env!("CARGO_PKG_VERSION")
        )?;
        writeln!(out, "# A key that is not here has its default: see chappe.toml.")?;
        for warning in &self.warnings {
            writeln!(out, "#\n# WARNING: {}", harmless(warning))?;
        }
        for (name, said) in &self.said {
            let why = OPTIONS.iter().find(|(known, _)| known == name).map(|(_, why)| *why);
            if let Some(Some(why)) = why.filter(|_| !said.value.is_empty()) {
                let place = harmless(&format!("{}:{}", said.file.display(), said.line));
                writeln!(out, "#\n# not carried over: {name} ({place}): {why}")?;
            }
        }
        if let Some(backlog) = self.get("max-pending-connections").and_then(|n| n.parse::<u32>().ok()) {
            writeln!(out, "\n[limits]\nbacklog = {}", backlog.max(1))?;
        }
        writeln!(out, "\n[communicator]")?;
        for (name, key) in [("server-name", "server"), ("my-address", "my_address"), ("services", "services_dir")] {
            if let Some(value) = self.get(name) {
                writeln!(out, "{key} = {}", quoted(value))?;
            }
        }
        writeln!(
            out,
            "# There everybody on the machine can end the daemon (STOP, SHUTDOWN); here nobody unless this is true,"
        )?;
        writeln!(out, "# and then who may manage.\n#allow_shutdown = true")?;
        if self.needs_secret_file() {
            writeln!(out, "# Put the value of signal-secret into this file, which nobody but the daemon may read.")?;
            writeln!(out, "signal_secret_file = {}", quoted(SIGNAL_SECRET_FILE))?;
        }
        let unix = self.get("unix-listen");
        // it is a path there, but where clients look is a URI
        let path = unix.unwrap_or(SOCKET);
        let path = path.split_once("://").map_or(path, |(_, rest)| rest);
        if unix.is_none() {
            writeln!(out, "\n# It was not open there, as unix-listen is not written out; but clients look for it.")?;
        }
        writeln!(out, "\n[[listeners]]\naddress = {}", quoted(&format!("cd://{path}")))?;
        writeln!(out, "anonymous = [\"read\", \"write\", \"manage\"]\nmode = \"0660\"")?;
        if let Some(group) = self.get("unix-group") {
            writeln!(out, "group = {}", quoted(group))?;
        }
        let local = with_port(self.get("local-listen").unwrap_or("127.0.0.1"), LOCAL_PORT);
        writeln!(out, "\n# There everybody who reaches it may manage, too: add \"manage\" if you mean it.")?;
        writeln!(
            out,
            "[[listeners]]\naddress = {}\nanonymous = [\"read\", \"write\"]",
            quoted(&format!("cd://{local}"))
        )?;
        let signal = with_port(self.get("signal").unwrap_or("127.0.0.1"), SIGNAL_PORT);
        if !self.needs_secret_file() {
            writeln!(out, "\n# Without a secret datagrams may only write here: `ed-signal ./LOG_ROTATE` takes one.")?;
        }
        writeln!(out, "\n[[listeners]]\naddress = {}", quoted(&format!("cdu://{signal}")))?;
        self.write_secure(out)?;
        writeln!(out, "\n# For `chappe status` and programs of Chappe's own:")?;
        writeln!(out, "[[listeners]]\naddress = \"unix://auto\"\nanonymous = [\"read\", \"write\", \"manage\"]")
    }

    /// As a comment: it needs files that the daemon may read, and users.
    fn write_secure(&self, out: &mut String) -> std::fmt::Result {
        let (Some(at), Some(certificate), Some(key)) =
            (self.get("secure-listen"), self.get("certificate"), self.get("private-key"))
        else {
            return Ok(());
        };
        let at = at.split_once("://").map_or(at, |(_, rest)| rest);
        let (login, at) = at.rsplit_once('@').map_or((None, at), |(login, at)| (Some(login), at));
        writeln!(
            out,
            "\n# The listener with TLS. Its user and password are for links between servers, which are not carried"
        )?;
        writeln!(
            out,
            "# over. For services: add [[users]] with their names, which they say with `password` in REGISTER."
        )?;
        if login.is_some() {
            writeln!(out, "# (The password in secure-listen is not shown here.)")?;
        }
        writeln!(out, "#[[listeners]]\n#address = {}", quoted(&format!("cds://{}", with_port(at, SECURE_PORT))))?;
        writeln!(out, "#tls = {{ certificate = {}, key = {} }}\n#anonymous = []", quoted(certificate), quoted(key))
    }

    /// Whether the daemon would take what is printed; the reason why not.
    pub fn trouble(&self) -> Option<String> {
        // The secret's file is made by whoever reads that it has to be.
        let text = self.print().replace("signal_secret_file", "#signal_secret_file");
        Config::parse(None, &text, |_| {}).err().map(|e| format!("{}: {}", e.key, e.text))
    }
}

/// Each option, and why it becomes nothing; `None`: it becomes something.
const OPTIONS: [(&str, Option<&str>); 23] = [
    ("certificate", None),
    ("private-key", None),
    ("data-path", Some("nothing of what is kept there is needed; [store] keeps values")),
    ("debug-all-messages", Some("[log] level says how much is logged")),
    ("group-name", Some("the systemd unit says who runs the daemon")),
    ("user-name", Some("the systemd unit says who runs the daemon")),
    ("local-listen", None),
    ("unix-listen", None),
    ("unix-group", None),
    ("remote-listen", Some("links between servers are not carried over")),
    ("secure-listen", None),
    ("signal", None),
    ("signal-secret", None),
    ("my-address", None),
    ("neighbors", Some("links between servers are not carried over")),
    ("max-connections", Some("it counts servers of a cluster; [limits] stations counts all")),
    ("max-pending-connections", None),
    ("max-gossip-timeout", Some("links between servers are not carried over")),
    ("server-name", None),
    ("services", None),
    ("communicator-plugin-paths", Some("there are no plugins: clock and load are the daemon's own")),
    ("timedate-wait-command", Some("the kernel is asked whether the clock is kept right")),
    ("path-to-message-definitions", Some("the definitions of messages are built in")),
];

/// An address with its port. Where the original wants none, people write a scheme and a slash behind it.
fn with_port(at: &str, usual: u16) -> String {
    let at = at.split_once("://").map_or(at, |(_, rest)| rest).trim_end_matches('/');
    let has_port = match at.rsplit_once(':') {
        Some((before, port)) => port.parse::<u16>().is_ok() && (!before.contains(':') || before.ends_with(']')),
        None => false,
    };
    match has_port {
        true => at.to_owned(),
        false if at.contains(':') && !at.starts_with('[') => format!("[{at}]:{usual}"),
        false => format!("{at}:{usual}"),
    }
}

/// As text of TOML.
fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

/// In a comment nothing ends it.
fn harmless(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Endpoint, Right};

    fn plan(main: &str, beside: &[(&str, &str)]) -> CommunicatorPlan {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("communicatord.conf");
        std::fs::write(&file, main).unwrap();
        for (name, text) in beside {
            std::fs::create_dir_all(folder.path().join("communicator.d")).unwrap();
            std::fs::write(folder.path().join("communicator.d").join(name), text).unwrap();
        }
        CommunicatorPlan::read(&file).unwrap()
    }

    #[test]
    fn every_option_of_the_page_becomes_something_or_says_why_not() {
        let everything: String = OPTIONS.iter().map(|(name, _)| format!("{name}=1\n")).collect();
        let text = plan(&everything, &[]).print();
        for (name, why) in OPTIONS {
            assert_eq!(text.contains(&format!("not carried over: {name} (")), why.is_some(), "{name}\n{text}");
        }
    }

    #[test]
    fn nothing_said_is_the_original_s_default() {
        let it = plan("# nothing\n; nothing\n\n", &[]);
        assert_eq!((it.warnings.len(), it.trouble()), (0, None));
        let config = Config::parse(None, &it.print(), |_| {}).unwrap();
        let all: Vec<String> = config.listeners.iter().map(|l| l.address.to_string()).collect();
        let want =
            ["cd:///run/communicator/communicatord.sock", "cd://127.0.0.1:4040", "cdu://127.0.0.1:4041", "unix://auto"];
        assert_eq!(all, want);
    }

    #[test]
    fn what_is_said_last_counts_and_no_secret_is_printed() {
        let it = plan(
            "server_name=hostA\nmy-address = 10.0.0.1\nlocal-listen=127.0.0.1:5040\nunix-listen=/run/x/cd\n\
             services=/srv/services\nmax-pending-connections=25\nsignal_secret=first\nnonsense\nother-option=1\n\
             secure-listen=cds://user:hidden@10.0.0.1\ncertificate=\"/c.pem\"\nprivate-key='/k.pem'\n\
             neighbors=10.0.0.2\nunix-group=\n",
            &[
                ("50-communicatord.conf", "signal=127.0.0.1:5041\nserver-name=hostB\n"),
                ("35-communicatord.conf", "signal-secret=sesame open\nserver-name=hostC\n"),
                ("5-communicatord.conf", "server-name=no\n"),
                ("60-other.conf", "server-name=no\n"),
            ],
        );
        assert_eq!(it.warnings.len(), 2, "{:?}", it.warnings);
        assert!(
            it.warnings[0].contains("communicatord.conf:8: no option") && it.warnings[1].contains("`other-option`")
        );
        let text = it.print();
        for secret in ["sesame", "first", "hidden", "user:"] {
            assert!(!text.contains(secret), "{secret}: {text}");
        }
        assert_eq!(it.trouble(), None);
        assert!(it.needs_secret_file() && text.contains("neighbors") && text.contains("cds://10.0.0.1:4043"));
        let secret = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(secret.path(), "sesame open\n").unwrap();
        let config =
            Config::parse(None, &text.replace(SIGNAL_SECRET_FILE, secret.path().to_str().unwrap()), |_| {}).unwrap();
        let communicator = &config.communicator;
        assert_eq!((communicator.server.as_str(), config.limits.backlog), ("hostB", 25));
        assert_eq!(communicator.my_address.to_string(), "10.0.0.1:4042");
        assert_eq!(communicator.services_dir.as_ref().unwrap().to_string(), "/srv/services");
        let all: Vec<&Endpoint> = config.listeners.iter().map(|l| &l.address).collect();
        assert_eq!(all[0].to_string(), "cd:///run/x/cd");
        assert_eq!(all[1].to_string(), "cd://127.0.0.1:5040");
        assert_eq!(all[2].to_string(), "cdu://127.0.0.1:5041");
        assert_eq!(config.anonymous_rights(2, true), [Right::Write, Right::Manage]);
    }

    #[test]
    fn what_the_daemon_would_not_take_is_said() {
        assert!(plan("server-name=no-name", &[]).trouble().unwrap().contains("communicator.server"));
        assert!(plan("local-listen=0.0.0.0:4040", &[]).trouble().unwrap().contains("listeners[1]"));
    }

    #[test]
    fn ports_are_added_where_they_are_missing() {
        for (at, want) in [
            ("127.0.0.1", "127.0.0.1:9"),
            ("127.0.0.1:5", "127.0.0.1:5"),
            ("::1", "[::1]:9"),
            ("[::1]", "[::1]:9"),
            ("[::1]:5", "[::1]:5"),
            ("cd://h:5", "h:5"),
            ("cd://127.0.0.1:5/", "127.0.0.1:5"),
            ("cd://h/", "h:9"),
        ] {
            assert_eq!(with_port(at, 9), want);
        }
    }
}
