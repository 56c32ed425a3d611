//! Settings of the original as what Chappe has for them.
//!
//! Owns: what each setting of `wire/clacks.md` section 14 becomes, and why some become nothing.
//! Does not own how a file is read (`xml.rs`), nor the keys and the form of what comes of it
//! (`print.rs`).
//!
//! Who could do nothing there can do nothing here: where the original's answer is one that
//! nobody will have wanted (weak point 8 of section 18), it is kept, and told loudly.

use std::fmt;
use std::path::{Path, PathBuf};

use chappe_core::limits::MAX_USER;
use chappe_core::name;
use zeroize::Zeroizing;

use super::xml::{self, Element, Wrong};
use crate::config::{HostPort, MAX_SOCKET_PATH, Mode, Right};
use crate::password::{self, Cost};

/// What is not in the file, but counts.
#[derive(Debug, Clone)]
pub struct Around {
    /// Variables of the environment that the original runs in.
    pub variables: Vec<(String, String)>,
    /// The name of the host that it runs on.
    pub host: String,
    /// Where it is started: what relative paths mean.
    pub folder: PathBuf,
    /// What hashes of passwords cost.
    pub cost: Cost,
}

/// A configuration of Chappe that does what one of the original did.
#[derive(Debug)]
pub struct Plan {
    pub(super) listeners: Vec<Listener>,
    pub(super) users: Vec<User>,
    /// The one that links are made as.
    pub(super) main_user: String,
    /// Milliseconds, for those that the file says and for those where the original's default is
    /// not ours.
    pub(super) times: Vec<(Timing, u64)>,
    pub(super) links: Option<Links>,
    /// The original's file of values.
    pub(super) persistence: Option<PathBuf>,
    pub(super) not_carried: Vec<NotCarried>,
    /// What somebody should think about, most of it about safety.
    pub warnings: Vec<String>,
}

/// Where clients connect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Listener {
    Tls { at: HostPort, certificate: PathBuf, key: PathBuf },
    Unix { path: PathBuf, mode: Option<Mode> },
}

/// Who may do what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct User {
    pub(super) name: String,
    pub(super) hash: String,
    pub(super) rights: Vec<Grant>,
}

/// What may be allowed to a user: rights as for anybody, and making links.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Grant {
    To(Right),
    Link,
}

/// Of all four, what the main user may do.
const ALL: [Grant; 4] = [Grant::To(Right::Read), Grant::To(Right::Write), Grant::To(Right::Manage), Grant::Link];

/// What takes some time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Timing {
    Ping,
    LinkPing,
    Login,
    Stalled,
    LinkStalled,
    Reconnect,
    Deleted,
    Stale,
    Clean,
}

/// What the original calls it, the least and the most that it may be here, and what it is there
/// if the file does not say so; `None`: the same as here. All in milliseconds.
const TIMES: [(&str, Timing, u64, u64, Option<u64>); 9] = [
    ("pingtimeout", Timing::Ping, 100, DAY, None),
    ("interclackspingtimeout", Timing::LinkPing, 100, DAY, None),
    ("authtimeout", Timing::Login, 100, DAY, None),
    ("stalledwritetimeout", Timing::Stalled, 10, DAY, None),
    ("interclacksstalledwritetimeout", Timing::LinkStalled, 10, DAY, None),
    ("interclacksreconnecttimeout", Timing::Reconnect, 100, DAY, None),
    ("deletedcachetime", Timing::Deleted, 1000, 365 * DAY, Some(3_600_000)),
    // 0 would be for ever
    ("stalecachetime", Timing::Stale, 1, 49 * DAY, Some(DAY)),
    ("cachecleaninterval", Timing::Clean, 20, DAY, None),
];

const DAY: u64 = 86_400_000;

/// A client of the original sends no ping sooner than this after the last.
const LIBRARY_PINGS: u64 = 120_000;

/// What this server needs for links with others, to its master and to its slaves.
#[derive(Debug)]
pub(super) struct Links {
    /// That of the main user, which is said on both ends of each.
    pub(super) password: Zeroizing<String>,
    /// Whose slave it is.
    pub(super) master: Option<MasterAt>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum MasterAt {
    Tls(HostPort),
    Unix(PathBuf),
}

/// A setting that becomes nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NotCarried {
    pub(super) what: String,
    pub(super) line: u32,
    pub(super) why: String,
}

/// What has no counterpart, and why.
const NO_COUNTERPART: [(&str, &str); 7] = [
    ("appname", "the original does not use it either"),
    ("readfailtimeout", "a connection that cannot be read is closed at once"),
    ("interclacksreadfailtimeout", "a connection that cannot be read is closed at once"),
    (
        "persistanceinterval",
        "only what has changed is written, not the whole file, so it need not be put off: see store.write_within_ms",
    ),
    ("throttle", "nothing sleeps between rounds: the daemon is woken by what comes in"),
    (
        "socketcommands",
        "the daemon runs no shell commands: mode, owner and group of a listener say who may use its socket",
    ),
    ("debugfile", "`chappe status`, `chappe ls` and the counters of [metrics] show what goes on"),
];

/// Why there is no configuration: file, line, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    pub(super) file: PathBuf,
    pub(super) wrong: Wrong,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if let Some(line) = self.wrong.line {
            write!(f, ", line {line}")?;
        }
        write!(f, ": {}", self.wrong.text)
    }
}

impl std::error::Error for ConfigError {}

impl Plan {
    /// Reads the original's configuration file.
    ///
    /// # Errors
    /// If it cannot be read, or the original could not run with it, or Chappe could not. No
    /// error quotes a password.
    pub fn read(file: &Path, around: &Around) -> Result<Plan, ConfigError> {
        let of = |wrong| ConfigError { file: file.to_owned(), wrong };
        let bytes = std::fs::read(file)
            .map(Zeroizing::new)
            .map_err(|e| of(Wrong { line: None, text: format!("cannot be read: {e}") }))?;
        Plan::of(&bytes, around).map_err(of)
    }

    pub(super) fn of(bytes: &[u8], around: &Around) -> Result<Plan, Wrong> {
        let tree = xml::read(bytes, &around.variables, &around.host)?;
        let mut reading = Reading { left: tree.settings, not_carried: Vec::new(), warnings: Vec::new(), around };
        for (line, name) in &tree.unset {
            reading.warnings.push(format!(
                "line {line}: the variable {name} is not set here, so the text is taken as it stands: run this in the \
                 environment of the original"
            ));
        }
        // Of what cannot be because of a variable, the variable is to blame.
        let unset = |wrong: Wrong| match tree.unset.iter().find(|(line, _)| wrong.line == Some(*line)) {
            Some((_, name)) => Wrong { text: format!("the variable {name} is not set: {}", wrong.text), ..wrong },
            None => wrong,
        };
        let listeners = reading.listeners().map_err(unset)?;
        let (main_user, password, users) = reading.users()?;
        let times = reading.times()?;
        let master = reading.master()?;
        // Any server may get slaves. If its main user may not link, none has ever come about.
        let may_link = users.first().is_some_and(|main| main.rights.contains(&Grant::Link));
        let links = (may_link || master.is_some()).then_some(Links { password, master });
        let persistence = reading.one("persistancefile")?.map(|e| reading.path(&e)).transpose()?;
        reading.rest();
        let Reading { not_carried, warnings, .. } = reading;
        Ok(Plan { listeners, users, main_user, times, links, persistence, not_carried, warnings })
    }
}

/// A file that is being read.
struct Reading<'a> {
    /// What nobody has asked for yet.
    left: Vec<Element>,
    not_carried: Vec<NotCarried>,
    warnings: Vec<String>,
    around: &'a Around,
}

impl Reading<'_> {
    fn all(&mut self, name: &str) -> Vec<Element> {
        self.left.extract_if(.., |e| e.name == name).collect()
    }

    fn one(&mut self, name: &str) -> Result<Option<Element>, Wrong> {
        one(&mut self.left, name)
    }

    fn not_carried(&mut self, e: &Element, what: impl Into<String>, why: impl Into<String>) {
        self.not_carried.push(NotCarried { what: what.into(), line: e.line, why: why.into() });
    }

    fn listeners(&mut self) -> Result<Vec<Listener>, Wrong> {
        let (ips, sockets) = (self.all("ip"), self.all("socket"));
        let (port, ssl, mode) = (self.one("port")?, self.one("ssl")?, self.one("socketchmod")?);
        let mut listeners: Vec<(Listener, Element)> = Vec::new();
        if let Some(first) = ips.first() {
            let missing = |what| Wrong::at(first.line, format!("there is an ip but no {what}, which it needs"));
            let port = port_of(port.as_ref().ok_or_else(|| missing("port"))?)?;
            let mut ssl = ssl.ok_or_else(|| missing("ssl with cert and key"))?;
            let mut file = |name: &str| match one(&mut ssl.inner, name)? {
                Some(e) => self.path(&e),
                None => Err(Wrong::at(ssl.line, format!("there is no {name} in ssl"))),
            };
            let (certificate, key) = (file("cert")?, file("key")?);
            for ip in ips {
                let at = HostPort { host: host_of(&ip)?, port };
                listeners.push((Listener::Tls { at, certificate: certificate.clone(), key: key.clone() }, ip));
            }
        }
        let mode = mode.and_then(|e| {
            let mode = u32::from_str_radix(e.text.trim(), 8).ok().filter(|mode| *mode <= 0o777);
            if mode.is_none() {
                let why =
                    "a mode here is three octal digits: write mode = \"0660\" or the like to each clacks listener";
                self.not_carried(&e, format!("socketchmod {}", e.text.escape_debug()), why);
            }
            mode.map(Mode)
        });
        for socket in sockets {
            let path = self.socket(&socket)?;
            listeners.push((Listener::Unix { path, mode }, socket));
        }
        if listeners.is_empty() {
            let text =
                "there is neither ip nor socket: nobody could connect (are they below another host's name? say --host)";
            return Err(Wrong { line: None, text: text.into() });
        }
        let mut out: Vec<Listener> = Vec::new();
        for (listener, e) in listeners {
            match out.contains(&listener) {
                true => self.not_carried(&e, &e.name, "the same address is there before"),
                false => out.push(listener),
            }
        }
        Ok(out)
    }

    /// The main user's name and password, and all users.
    fn users(&mut self) -> Result<(String, Zeroizing<String>, Vec<User>), Wrong> {
        let missing = |what| Wrong { line: None, text: format!("there is no {what}: that of the main user") };
        let (name, password) = (self.one("username")?, self.one("password")?);
        let main = Account {
            name: name.ok_or_else(|| missing("username"))?,
            password: password.ok_or_else(|| missing("password"))?,
            grants: ALL.to_vec(),
        };
        let mut accounts: Vec<Account> = vec![main];
        for e in self.all("user") {
            let line = e.line;
            let account = self.additional(e)?;
            let known = accounts.iter().position(|a| *a.name.text == *account.name.text);
            match known {
                None => accounts.push(account),
                Some(i) if *accounts[i].password.text == *account.password.text => {
                    let name = account.name.text.escape_debug();
                    let rights = told(&account.grants);
                    self.warnings.push(match i {
                        0 => format!(
                            "line {line}: an additional user has the name and the password of the main user, {name}. In the \
                             original that takes the main user's rights away and leaves it {rights}, so no link works; \
                             that is how it is here, too. If it was not meant, give that user all rights: {}",
                            told(&ALL)
                        ),
                        _ => format!("line {line}: the user {name} is there twice; the last counts, with {rights}"),
                    });
                    accounts[i].grants = account.grants;
                }
                Some(i) => {
                    let whose = if i == 0 { "the main user" } else { "another user" };
                    let name = account.name.text.escape_debug();
                    self.warnings.push(format!(
                        "line {line}: the user {name} is left out: {whose} has that name with another password. Here a \
                         name is one user; give this one another name"
                    ));
                    let what = format!("user {name}");
                    self.not_carried(&account.name, what, format!("{whose} has that name with another password"));
                }
            }
        }
        let mut users = Vec::new();
        for account in &accounts {
            users.push(account.user(self.around.cost)?);
            if !account.name.text.is_ascii() || !account.password.text.is_ascii() {
                self.warnings.push(format!(
                    "line {}: a name or password with other letters than those of ASCII: clients have to send it as UTF-8",
                    account.name.line
                ));
            }
        }
        let Some(main) = accounts.into_iter().next() else { return Err(missing("username")) };
        Ok((main.name.text.to_string(), main.password.text, users))
    }

    fn additional(&mut self, mut e: Element) -> Result<Account, Wrong> {
        let line = e.line;
        let mut need = |name| {
            let found = one(&mut e.inner, name)?;
            found.ok_or_else(|| Wrong::at(line, format!("this user has no {name}")))
        };
        let (name, password) = (need("username")?, need("password")?);
        let mut grants = Vec::new();
        for (word, right) in [("read", Right::Read), ("write", Right::Write), ("manage", Right::Manage)] {
            let Some(flag) = one(&mut e.inner, word)? else { continue };
            if *flag.text == "0" {
                continue;
            }
            if flag.text.is_empty() {
                self.warnings.push(format!(
                    "line {}: an empty {word} counts as on, as it does in the original: is that meant?",
                    flag.line
                ));
            }
            grants.push(Grant::To(right));
        }
        for other in std::mem::take(&mut e.inner) {
            let why = match other.name.as_str() {
                "name" | "key" | "id" => "the original cannot read users that have it",
                _ => UNKNOWN,
            };
            self.not_carried(&other, format!("{} of a user", other.name), why);
        }
        Ok(Account { name, password, grants })
    }

    fn times(&mut self) -> Result<Vec<(Timing, u64)>, Wrong> {
        let mut times = Vec::new();
        for (name, timing, least, most, there) in TIMES {
            let Some(e) = self.one(name)? else {
                times.extend(there.map(|ms| (timing, ms)));
                continue;
            };
            let said = millis(&e)?;
            let ms = match timing {
                // who keeps values that long keeps them for ever
                Timing::Stale if said > most => 0,
                // seconds here
                Timing::Deleted => said.div_ceil(1000).saturating_mul(1000).clamp(least, most),
                _ => said.clamp(least, most),
            };
            if ms != said {
                let here = if ms == 0 { "values are kept for ever".into() } else { format!("here it is {ms} ms") };
                self.not_carried(&e, format!("{name} {}", e.text.trim()), here);
            }
            if timing == Timing::Ping && ms <= LIBRARY_PINGS {
                self.warnings.push(format!(
                    "line {}: a pingtimeout of {} s closes clients that are well: the library sends a ping every \
                     {} s at most",
                    e.line,
                    e.text.trim(),
                    LIBRARY_PINGS / 1000
                ));
            }
            times.push((timing, ms));
        }
        Ok(times)
    }

    fn master(&mut self) -> Result<Option<MasterAt>, Wrong> {
        let mut all = self.all("master").into_iter();
        let Some(mut master) = all.next() else { return Ok(None) };
        for more in all {
            self.not_carried(&more, "master", "the original uses the first one only");
        }
        let mut first = |name: &str| {
            let mut found = Vec::new();
            found.extend(master.inner.extract_if(.., |e| e.name == name));
            found.into_iter().next()
        };
        let (socket, ip, port) = (first("socket"), first("ip"), first("port"));
        let at = match (socket, ip, port) {
            (Some(socket), _, _) => MasterAt::Unix(self.socket(&socket)?),
            (None, Some(ip), Some(port)) => MasterAt::Tls(HostPort { host: host_of(&ip)?, port: port_of(&port)? }),
            (None, None, None) => return Ok(None),
            _ => return Err(Wrong::at(master.line, "a master is a socket, or an ip and a port")),
        };
        Ok(Some(at))
    }

    /// A path, from where the original is started.
    fn path(&self, e: &Element) -> Result<PathBuf, Wrong> {
        let text = text_of(e)?;
        Ok(self.around.folder.join(text))
    }

    /// The same of a socket.
    fn socket(&self, e: &Element) -> Result<PathBuf, Wrong> {
        let path = self.path(e)?;
        if path.as_os_str().len() > MAX_SOCKET_PATH {
            let text = format!("the path is longer than that of a socket may be, {MAX_SOCKET_PATH} bytes");
            return Err(Wrong::at(e.line, text));
        }
        Ok(path)
    }

    /// What nobody has asked for.
    fn rest(&mut self) {
        for e in std::mem::take(&mut self.left) {
            let why = NO_COUNTERPART.iter().find(|(name, _)| *name == e.name).map_or(UNKNOWN, |(_, why)| why);
            self.not_carried(&e, &e.name, why);
        }
    }
}

const UNKNOWN: &str = "the original does not know it either";

/// Somebody who can log in.
struct Account {
    name: Element,
    password: Element,
    grants: Vec<Grant>,
}

impl Account {
    fn user(&self, cost: Cost) -> Result<User, Wrong> {
        let name = &self.name.text;
        if name.is_empty() || name.len() > MAX_USER || !name::no_controls(name) {
            let text = format!("a user's name has 1 to {MAX_USER} bytes and no control characters here");
            return Err(Wrong::at(self.name.line, text));
        }
        let text = text_of(&self.password)?;
        let hash = password::hash(text.as_bytes(), cost).map_err(|e| Wrong::at(self.password.line, e.to_string()))?;
        Ok(User { name: name.to_string(), hash, rights: self.grants.clone() })
    }
}

impl fmt::Display for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Grant::To(Right::Read) => "read",
            Grant::To(Right::Write) => "write",
            Grant::To(Right::Manage) => "manage",
            Grant::Link | Grant::To(Right::Link) => "link",
        })
    }
}

fn told(grants: &[Grant]) -> String {
    match grants {
        [] => "no rights".into(),
        all => all.iter().map(Grant::to_string).collect::<Vec<_>>().join(", "),
    }
}

/// A setting that may be there once.
fn one(of: &mut Vec<Element>, name: &str) -> Result<Option<Element>, Wrong> {
    let mut found: Vec<Element> = of.extract_if(.., |e| e.name == name).collect();
    if let [first, second, ..] = &found[..] {
        return Err(Wrong::at(
            second.line,
            format!("{name} is there twice, in line {} too: it must be one", first.line),
        ));
    }
    Ok(found.pop())
}

/// The text of a setting, without anything that no line could hold.
fn text_of(e: &Element) -> Result<&str, Wrong> {
    if !e.inner.is_empty() {
        return Err(Wrong::at(e.line, format!("there are elements in {}, where a text must be", e.name)));
    }
    match e.text.is_empty() || !name::no_controls(&e.text) {
        true => Err(Wrong::at(
            e.line,
            format!("{} is empty, or there is a line end or another control character in it", e.name),
        )),
        false => Ok(&e.text),
    }
}

fn port_of(e: &Element) -> Result<u16, Wrong> {
    let wrong = || Wrong::at(e.line, format!("`{}` is no port: a number of 1 to 65535", e.text.trim().escape_debug()));
    e.text.trim().parse().ok().filter(|port| *port > 0).ok_or_else(wrong)
}

/// What stands there in seconds; of less than a millisecond it is a whole one.
fn millis(e: &Element) -> Result<u64, Wrong> {
    let text = e.text.trim();
    let wrong = || Wrong::at(e.line, format!("{}: `{}` is no number of seconds", e.name, text.escape_debug()));
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(fraction) {
        return Err(wrong());
    }
    let seconds: u64 = whole.parse().map_err(|_| wrong())?;
    let (part, rest) = fraction.split_at(fraction.len().min(3));
    let part: u64 = format!("{part:0<3}").parse().map_err(|_| wrong())?;
    let more = u64::from(rest.bytes().any(|b| b != b'0'));
    Ok(seconds.saturating_mul(1000).saturating_add(part + more))
}

fn host_of(e: &Element) -> Result<String, Wrong> {
    let text = e.text.trim();
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':' | '_' | '%');
    match !text.is_empty() && text.chars().all(fits) {
        true => Ok(text.to_owned()),
        false => Err(Wrong::at(e.line, format!("`{}` is no address", text.escape_debug()))),
    }
}
