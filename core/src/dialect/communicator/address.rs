//! Addresses of servers (`wire/communicator.md` sections 1.5, 2.4, 4.1 and 4.2).
//!
//! Owns: reading them with and without a port, lists of them, which network one is in, and
//! the order that decides which of two servers connects. Does not own names of hosts, which
//! somebody with a resolver has to look up; nor who may connect.

use super::text::Text;
use core::cmp::Ordering;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Octets of the longest address that anybody writes.
const LONGEST: usize = 64;

/// An address of a parameter, with this port if it has none.
pub fn read(text: Text<'_>, port: u16) -> Option<SocketAddr> {
    let octets: heapless::Vec<u8, LONGEST> = text.copied()?;
    parse(&octets, port)
}

/// An address, with this port if it has none: `a.b.c.d`, `a.b.c.d:port`, `[v6]:port`; an IPv6
/// address without a port may have its brackets or not.
pub fn parse(text: &[u8], port: u16) -> Option<SocketAddr> {
    let text = core::str::from_utf8(text).ok()?;
    let bare = text.strip_prefix('[').and_then(|t| t.strip_suffix(']'));
    let ip = match bare {
        Some(v6) => v6.parse().ok().map(IpAddr::V6),
        None => text.parse().ok(),
    };
    ip.map(|ip| SocketAddr::new(ip, port)).or_else(|| text.parse().ok())
}

/// The items of a list of neighbours: between them commas, blanks or ends of lines; what
/// stands behind a `#` up to the end of its line is for people. What is no address is `Err`.
pub fn list(text: &[u8], port: u16) -> impl Iterator<Item = Result<SocketAddr, &[u8]>> {
    let lines = text.split(|b| *b == b'\n').map(|line| line.split(|b| *b == b'#').next().unwrap_or_default());
    let items = lines.flat_map(|line| line.split(|b| *b == b',' || super::parse::is_white(*b)));
    items.filter(|item| !item.is_empty()).map(move |item| parse(item, port).ok_or(item))
}

/// Which network an address is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[allow(missing_docs, reason = "names are those of the page")]
pub enum Network {
    Private,
    Loopback,
    LinkLocal,
    Carrier,
    Multicast,
    Any,
    Documentation,
    Public,
}

impl Network {
    /// Of an address. One of IPv4 that is written as IPv6 is one of IPv4.
    pub fn of(ip: IpAddr) -> Network {
        match ip.to_canonical() {
            IpAddr::V4(ip) => Network::of_v4(ip),
            IpAddr::V6(ip) => Network::of_v6(ip),
        }
    }

    fn of_v4(ip: Ipv4Addr) -> Network {
        match ip.octets() {
            [0, 0, 0, 0] => Network::Any,
            [10, ..] | [172, 16..=31, ..] | [192, 168, ..] => Network::Private,
            [127, ..] => Network::Loopback,
            [169, 254, ..] => Network::LinkLocal,
            [100, 64..=127, ..] => Network::Carrier,
            [224..=239, ..] => Network::Multicast,
            _ => Network::Public,
        }
    }

    fn of_v6(ip: Ipv6Addr) -> Network {
        match ip.segments() {
            [0, 0, 0, 0, 0, 0, 0, 0] => Network::Any,
            [0, 0, 0, 0, 0, 0, 0, 1] => Network::Loopback,
            // only this machine, of all multicast
            [first, ..] if first & 0xff0f == 0xff01 => Network::Loopback,
            [0xff00..=0xffff, ..] => Network::Multicast,
            [0xfd00..=0xfdff, ..] => Network::Private,
            [0xfe80..=0xfebf, ..] => Network::LinkLocal,
            [0x2001, 0x0db8, ..] | [0x3fff, ..0x1000, ..] => Network::Documentation,
            _ => Network::Public,
        }
    }

    /// Whether it is near: where clients may be without TLS.
    pub const fn is_lan(self) -> bool {
        matches!(self, Network::Private | Network::Loopback)
    }
}

/// The order of two servers: by their addresses, whatever their ports. The larger connects to
/// the smaller.
pub fn order(a: IpAddr, b: IpAddr) -> Ordering {
    let v6 = |ip: IpAddr| match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
        IpAddr::V6(ip) => ip.octets(),
    };
    v6(a).cmp(&v6(b))
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::string::ToString as _;
    use std::vec::Vec;

    #[test]
    fn with_and_without_a_port() {
        for (text, want) in [
            ("10.0.0.1:4042", Some("10.0.0.1:4042")),
            ("10.0.0.9", Some("10.0.0.9:7")),
            ("[fd00::1]:99", Some("[fd00::1]:99")),
            ("[fd00::1]", Some("[fd00::1]:7")),
            ("fd00::1", Some("[fd00::1]:7")),
            ("", None),
            ("10.0.0", None),
            ("10.0.0.1:", None),
            ("10.0.0.1:66000", None),
            ("[10.0.0.1]", None),
            ("localhost:1", None),
            ("10.0.0.1:80 ", None),
        ] {
            assert_eq!(read(Text::from(text), 7).map(|a| a.to_string()).as_deref(), want, "{text}");
        }
        assert_eq!(read(Text::from(&[b'1'; 100][..]), 7), None);
    }

    #[test]
    fn lists_of_neighbours() {
        let all: Vec<_> = list(b"10.0.0.1:1, 10.0.0.2 # the second\n# none\n,\n[fd00::1]:5 host", 4042).collect();
        let text: Vec<_> = all.iter().map(|a| a.map(|a| a.to_string())).collect();
        assert_eq!(
            text,
            [
                Ok("10.0.0.1:1".to_string()),
                Ok("10.0.0.2:4042".to_string()),
                Ok("[fd00::1]:5".to_string()),
                Err(&b"host"[..])
            ]
        );
    }

    #[test]
    fn networks() {
        use Network::*;
        for (ip, want) in [
            ("10.1.2.3", Private),
            ("172.16.0.1", Private),
            ("172.31.255.255", Private),
            ("172.32.0.1", Public),
            ("192.168.1.1", Private),
            ("fd00::1", Private),
            ("fc00::1", Public),
            ("127.0.0.1", Loopback),
            ("127.9.9.9", Loopback),
            ("::1", Loopback),
            ("ff01::1", Loopback),
            ("ffa1::1", Loopback),
            ("ff02::1", Multicast),
            ("224.0.0.1", Multicast),
            ("169.254.3.4", LinkLocal),
            ("fe80::1", LinkLocal),
            ("febf::1", LinkLocal),
            ("100.64.0.1", Carrier),
            ("100.128.0.1", Public),
            ("0.0.0.0", Any),
            ("::", Any),
            ("2001:db8::1", Documentation),
            ("3fff:fff::1", Documentation),
            ("3fff:1000::1", Public),
            ("8.8.8.8", Public),
            ("2a00::1", Public),
            ("::ffff:10.0.0.1", Private),
        ] {
            let of = Network::of(ip.parse().unwrap());
            assert_eq!(of, want, "{ip}");
            assert_eq!(of.is_lan(), matches!(want, Private | Loopback));
        }
    }

    #[test]
    fn the_larger_connects() {
        let cmp = |a: &str, b: &str| order(a.parse().unwrap(), b.parse().unwrap());
        assert_eq!(cmp("10.0.0.2", "10.0.0.10"), Ordering::Less);
        assert_eq!(cmp("10.0.0.2", "::ffff:10.0.0.2"), Ordering::Equal);
        assert_eq!(cmp("fd00::1", "10.0.0.1"), Ordering::Greater);
        assert_eq!(cmp("::1", "10.0.0.1"), Ordering::Less);
    }
}
