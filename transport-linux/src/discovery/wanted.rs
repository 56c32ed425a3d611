//! What is searched for, as a person writes it: `cdb://[NODE][:PORT][?interface=NAME]`.

use std::fmt;
use std::str::FromStr;

use chappe_core::discovery::{NODE, PORT};

use crate::config::is_interface;

/// Which node, and where to ask.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Wanted {
    /// What it calls itself; empty: any.
    pub node: String,
    /// The UDP port where nodes listen for questions.
    pub port: u16,
    /// Only on this interface of this machine; `None`: on all.
    pub interface: Option<String>,
}

impl Default for Wanted {
    fn default() -> Self {
        Wanted { node: String::new(), port: PORT, interface: None }
    }
}

impl FromStr for Wanted {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        let rest = text.strip_prefix("cdb:").ok_or("a search begins with cdb:")?;
        let rest = rest.strip_prefix("//").unwrap_or(rest);
        let (place, interface) = match rest.split_once('?') {
            None => (rest, None),
            Some((place, option)) => {
                let name = option.strip_prefix("interface=").ok_or("behind the `?` stands interface=NAME")?;
                if !is_interface(name) {
                    return Err("no interface has such a name");
                }
                (place, Some(name.to_owned()))
            }
        };
        let (node, port) = match place.split_once(':') {
            None => (place, PORT),
            Some((node, port)) => {
                let is_number = port.bytes().all(|b| b.is_ascii_digit());
                let port = port.parse().ok().filter(|port| is_number && *port != 0);
                (node, port.ok_or("behind the colon stands a UDP port, 1 to 65535")?)
            }
        };
        if node.len() > NODE {
            return Err("no node has a name of more than 48 octets");
        }
        if node.contains(|c: char| c.is_whitespace() || c.is_control() || c == '/') {
            return Err("the name of a node has a space, a slash or a control character in it");
        }
        Ok(Wanted { node: node.to_owned(), port, interface })
    }
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cdb://{}", self.node)?;
        if self.port != PORT {
            write!(f, ":{}", self.port)?;
        }
        match &self.interface {
            Some(name) => write!(f, "?interface={name}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        for (text, node, port, interface) in [
            ("cdb://", "", PORT, None),
            ("cdb:", "", PORT, None),
            ("cdb://greenhouse", "greenhouse", PORT, None),
            ("cdb://green-house.example:4999", "green-house.example", 4999, None),
            ("cdb://:4999", "", 4999, None),
            ("cdb://?interface=eth0", "", PORT, Some("eth0")),
            ("cdb://n:1?interface=enp0s31f6.7", "n", 1, Some("enp0s31f6.7")),
        ] {
            let want = Wanted { node: node.into(), port, interface: interface.map(str::to_owned) };
            let got: Wanted = text.parse().unwrap();
            assert_eq!(got, want, "{text}");
            assert_eq!(got.to_string().parse(), Ok(want), "{text}");
        }
        for text in [
            "",
            "cdb",
            "tcp://",
            "cdb://:",
            "cdb://:0",
            "cdb://:+1",
            "cdb://:65536",
            "cdb://a:b",
            "cdb://a:1:2",
            "cdb://a/b",
            "cdb://a b",
            "cdb://?eth0",
            "cdb://?interface=",
            "cdb://?interface=a/b",
            "cdb://?interface=sixteen-octets-x",
            "cdb:///x",
        ] {
            text.parse::<Wanted>().expect_err(text);
        }
    }
}
