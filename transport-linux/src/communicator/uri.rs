//! Where a daemon listens, as the original's programs write it (`wire/communicator.md` section 5.2).
//!
//! Owns: reading and printing, usual ports, and who it says that one is. Does not own looking a
//! host name up, nor whether what is found may be spoken to without TLS (`turn.rs`,
//! `datagrams.rs`).

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use chappe_core::dialect::communicator::{LOCAL_PORT, OLD_SOCKET, SECURE_PORT, SIGNAL_PORT, SOCKET};

use crate::address::{Address, BadAddress, host_and_port, is_socket, write_host};

/// Where a daemon of this protocol listens.
///
/// | written | what |
/// |---|---|
/// | `cd:///PATH` | a Unix socket |
/// | `cd://auto` | that of this machine's daemon, see [`Uri::of_this_machine`] |
/// | `cd://HOST[:PORT]` | TCP without TLS, port 4040 unless it says another |
/// | `cds://HOST[:PORT]` | TCP with TLS, port 4043 |
/// | `cdu://HOST[:PORT]` | datagrams, port 4041: for [`Datagrams`](super::Datagrams) |
///
/// HOST is a name, an IPv4 address, or an IPv6 address in brackets. Before it may stand
/// `USER:PASSWORD@` or `USER@`: who one is. `%HH` in it is that octet. A port that is missing was 80
/// to the original, by mistake.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Uri {
    carrier: Address,
    user: String,
    password: Vec<u8>,
}

/// Without the password.
impl fmt::Debug for Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl FromStr for Uri {
    type Err = BadAddress;

    fn from_str(text: &str) -> Result<Self, BadAddress> {
        let (scheme, rest) =
            text.split_once(':').ok_or(BadAddress { text: text.to_owned(), why: "it does not say how to connect" })?;
        let after = rest.strip_prefix("//").unwrap_or(rest);
        let (login, place) = match after.rsplit_once('@') {
            Some((login, place)) if !after.starts_with('/') => (Some(login), place),
            _ => (None, after),
        };
        // errors are shown to people, and written into logs
        let shown = || if login.is_some() { format!("{scheme}://…@{place}") } else { text.to_owned() };
        let bad = |why| BadAddress { text: shown(), why };
        let usual = match scheme {
            "cd" => LOCAL_PORT,
            "cds" => SECURE_PORT,
            "cdu" => SIGNAL_PORT,
            "cdb" => {
                return Err(bad(
                    "cdb: searches, and this has to be a place: `chappe discover` lists those that answer",
                ));
            }
            _ => return Err(bad("a Communicator daemon is at cd:, cds: or cdu:")),
        };
        let (user, password) = login.map_or(Ok(Default::default()), who).map_err(bad)?;
        if scheme == "cd" && place == "auto" {
            return Ok(Uri { user, password, ..Uri::of_this_machine() });
        }
        if place.starts_with('/') {
            return match scheme {
                "cd" if place.trim_matches('/').is_empty() => {
                    Err(bad("the path of the socket is missing (cd://auto looks at the usual places)"))
                }
                "cd" => Ok(Uri { carrier: Address::Unix(place.into()), user, password }),
                _ => Err(bad("only cd: has paths: cd:///PATH")),
            };
        }
        if !rest.starts_with("//") {
            return Err(bad("behind the scheme comes //HOST:PORT or ///PATH"));
        }
        let (host, port) = host_and_port(place, usual).map_err(bad)?;
        let carrier = match scheme {
            "cd" => Address::Tcp { host, port },
            "cds" => Address::Tls { host, port },
            _ => Address::Udp { host, port },
        };
        Ok(Uri { carrier, user, password })
    }
}

/// Where sockets of this machine's daemon may be, best first.
fn places() -> Vec<PathBuf> {
    let mut all = crate::config::usual_communicator_sockets();
    // ours first: in the others an original may listen beside a node of Chappe
    all.retain(|path| path != Path::new(SOCKET));
    all.extend([SOCKET, OLD_SOCKET].map(PathBuf::from));
    all
}

/// `USER:PASSWORD` or `USER`.
fn who(login: &str) -> Result<(String, Vec<u8>), &'static str> {
    let (user, password) = login.split_once(':').unwrap_or((login, ""));
    let user = String::from_utf8(octets(user)?).map_err(|_| "the user before the @ is no UTF-8")?;
    Ok((user, octets(password)?))
}

/// What text with `%HH` in it means.
fn octets(text: &str) -> Result<Vec<u8>, &'static str> {
    let mut parts = text.split('%');
    let mut all = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let (digits, rest) = part.split_at_checked(2).ok_or("behind a % come two hex digits")?;
        // from_str_radix() would take a sign
        if !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err("behind a % come two hex digits");
        }
        all.push(u8::from_str_radix(digits, 16).map_err(|_| "behind a % come two hex digits")?);
        all.extend_from_slice(rest.as_bytes());
    }
    Ok(all)
}

/// Without user and password.
impl fmt::Display for Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.carrier {
            Address::Tls { host, port } => write_host(f, "cds", host, *port),
            Address::Tcp { host, port } => write_host(f, "cd", host, *port),
            Address::Udp { host, port } => write_host(f, "cdu", host, *port),
            Address::Unix(path) | Address::TlsUnix(path) => write!(f, "cd://{}", path.display()),
        }
    }
}

impl Uri {
    /// This machine's daemon: of the usual sockets the first that is there, or else TCP on
    /// loopback. First those where only a node of Chappe listens (`/run/chappe/communicator.sock`,
    /// `$XDG_RUNTIME_DIR/chappe-communicator.sock`, `/tmp/chappe-UID/communicator.sock`), then
    /// those where programs of the Communicator look. Written `cd://auto`.
    pub fn of_this_machine() -> Uri {
        match places().into_iter().find(|path| is_socket(path)) {
            Some(path) => Uri::unix(path),
            None => Uri::of_loopback(),
        }
    }

    /// Where this machine's daemon listens on TCP.
    pub fn of_loopback() -> Uri {
        Uri::of(Address::Tcp { host: "127.0.0.1".into(), port: LOCAL_PORT })
    }

    /// Where this machine's daemon takes datagrams.
    pub fn of_signals() -> Uri {
        Uri::of(Address::Udp { host: "127.0.0.1".into(), port: SIGNAL_PORT })
    }

    /// A daemon at a Unix socket.
    pub fn unix(path: impl Into<PathBuf>) -> Uri {
        Uri::of(Address::Unix(path.into()))
    }

    fn of(carrier: Address) -> Uri {
        Uri { carrier, user: String::new(), password: Vec::new() }
    }

    /// Who stands before the `@`, or nobody.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// What stands there behind the colon.
    pub fn password(&self) -> &[u8] {
        &self.password
    }

    /// Whether TLS is spoken there.
    pub fn is_tls(&self) -> bool {
        self.carrier.is_tls()
    }

    /// Whether it is a Unix socket.
    pub fn is_unix(&self) -> bool {
        matches!(self.carrier, Address::Unix(_))
    }

    /// Whether it is for datagrams, which have no answers.
    pub fn is_datagrams(&self) -> bool {
        matches!(self.carrier, Address::Udp { .. })
    }

    /// What carries it.
    pub(crate) fn carrier(&self) -> &Address {
        &self.carrier
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_the_page_has_them() {
        for (text, want) in [
            ("cd:///run/communicator/communicatord.sock", "cd:///run/communicator/communicatord.sock"),
            ("cd:/run/x y.sock", "cd:///run/x y.sock"),
            ("cd:///run/a@b.sock", "cd:///run/a@b.sock"),
            ("cd://127.0.0.1", "cd://127.0.0.1:4040"),
            ("cd://localhost:4042", "cd://localhost:4042"),
            ("cds://node.example", "cds://node.example:4043"),
            ("cdu://10.0.0.1", "cdu://10.0.0.1:4041"),
            ("cds://[::1]", "cds://[::1]:4043"),
            ("cdu://[fd00::1]:7", "cdu://[fd00::1]:7"),
            ("cds://foo:p%40ss%3a%25@[::1]:7", "cds://[::1]:7"),
        ] {
            let uri: Uri = text.parse().unwrap();
            assert_eq!(uri.to_string(), want);
            assert_eq!((uri.is_tls(), uri.is_datagrams()), (text.starts_with("cds"), text.starts_with("cdu")));
            assert_eq!(uri.is_unix(), want.starts_with("cd:///"));
        }
        let uri: Uri = "cds://foo:p%40ss%3a%25@[::1]:7".parse().unwrap();
        assert_eq!((uri.user(), uri.password()), ("foo", &b"p@ss:%"[..]));
        assert!(!format!("{uri:?}").contains("foo"));
        let uri: Uri = "cd://foo@h".parse().unwrap();
        assert_eq!((uri.user(), uri.password()), ("foo", &b""[..]));
        let uri: Uri = "cd://a:b@c@h".parse().unwrap();
        assert_eq!((uri.password(), uri.to_string()), (&b"b@c"[..], "cd://h:4040".into()));
        assert!("cd://auto".parse::<Uri>().is_ok());
    }

    #[test]
    fn this_machine_s_daemon_is_where_ours_listens_and_then_where_the_original_does() {
        let all = places();
        let at = |path: &str| all.iter().position(|p| p == Path::new(path)).unwrap();
        assert_eq!(at("/run/chappe/communicator.sock"), 0);
        assert_eq!((at(SOCKET), at(OLD_SOCKET)), (all.len() - 2, all.len() - 1));
        // wherever the daemon may put it, it is found
        assert!(crate::config::usual_communicator_sockets().iter().all(|path| all.contains(path)));
        assert!(all.iter().any(|p| p.starts_with("/tmp") && p.ends_with("communicator.sock")));
    }

    #[test]
    fn nothing_is_guessed_and_no_password_is_shown() {
        for (text, why) in [
            ("cd", "how to connect"),
            ("cd://", "host is missing"),
            ("cd:host", "//HOST:PORT"),
            ("cd:///", "path of the socket is missing"),
            ("cds:///run/x.sock", "only cd: has paths"),
            ("cdu:///run/x.sock", "only cd: has paths"),
            ("cdb://255.255.255.255:1", "cdb:"),
            ("cdx://h", "cd:, cds: or cdu:"),
            ("http://h", "cd:, cds: or cdu:"),
            ("cd://h:0", "port is 0"),
            ("cd://h:65536", "above 65535"),
            ("cd://::1", "in brackets"),
            ("cd://[::1", "bracket is not closed"),
            ("cd://h:1/path", "no number"),
            ("cd://a:%zz@h", "two hex digits"),
            ("cd://a:%4@h", "two hex digits"),
            ("cd://a:%+4@h", "two hex digits"),
            ("cd://a%ff@h", "no UTF-8"),
        ] {
            let error = text.parse::<Uri>().expect_err(text).to_string();
            assert!(error.contains(why), "{error}");
        }
        let error = "cd://me:hunter22@h:0".parse::<Uri>().unwrap_err().to_string();
        assert!(!error.contains("hunter22") && error.contains("@h:0"), "{error}");
    }
}
