//! What a client says to the server itself, read (`wire/communicator.md` sections 3.2 to 3.10).
//!
//! Owns: one reader for each command whose parameters a node looks at, and why it has no
//! effect. Does not own that effect, nor what is only handed on.

use super::command::{Announced, Command};
use super::name::{self, BadName};
use super::number::{self, NotANumber};
use super::repr::Message;
use super::schema::{self, Violation};
use super::text::{Room, Text};
use super::{VERSION, address};
use core::net::SocketAddr;

/// Why a command of the page has no effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Odd {
    /// A parameter is missing or wrong.
    Violation(Violation),
    /// Another version of the protocol.
    Version,
    /// The service cannot be called so.
    Name(BadName),
    /// A value that is longer than any that means something.
    TooLong,
}

impl Odd {
    /// For people.
    pub const fn text(self) -> &'static str {
        match self {
            Odd::Violation(v) => v.text(),
            Odd::Version => "another version of the protocol",
            Odd::Name(why) => why.text(),
            Odd::TooLong => "a value that is too long",
        }
    }

    /// Which parameter it is about, if that is known.
    pub const fn key(self) -> Option<&'static str> {
        match self {
            Odd::Violation(v) => Some(v.key()),
            Odd::Version => Some("version"),
            Odd::Name(_) => Some("service"),
            Odd::TooLong => None,
        }
    }
}

impl From<Violation> for Odd {
    fn from(v: Violation) -> Self {
        Odd::Violation(v)
    }
}

/// Whether a version is ours.
pub fn version(value: Option<Text<'_>>) -> Result<bool, NotANumber> {
    value.ok_or(NotANumber).and_then(number::integer).map(|v| v == VERSION)
}

fn is_ours(m: &Message<'_>) -> Result<(), Odd> {
    match version(m.get("version")) {
        Ok(true) => Ok(()),
        Ok(false) => Err(Odd::Version),
        Err(NotANumber) => Err(Violation::Wrong("version").into()),
    }
}

/// `REGISTER` (section 3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Register<'r> {
    /// A legal name that is not the daemon's.
    pub service: &'r [u8],
    /// The original takes no notice of it.
    pub password: Option<Text<'r>>,
}

impl<'r> Register<'r> {
    /// Of a message. What is wrong with one gets no answer.
    pub fn read<'f: 'r>(m: &Message<'f>, room: &mut Room<'r>) -> Result<Self, Odd> {
        schema::check(m)?;
        is_ours(m)?;
        let service = read(m, "service", room)?;
        let mut spare = [0; crate::limits::MAX_NAME];
        name::to_bus(service, &mut spare).map_err(Odd::Name)?;
        Ok(Register { service, password: m.get("password") })
    }
}

/// A value that is there, in a row.
fn read<'f: 'r, 'r>(m: &Message<'f>, key: &'static str, room: &mut Room<'r>) -> Result<&'r [u8], Odd> {
    m.get(key).ok_or(Violation::Missing(key))?.read(room).ok_or(Odd::TooLong)
}

/// The service of a `SERVICE_STATUS` or `UNREGISTER`. It may be any: what is no legal name is
/// nobody's.
pub fn service<'f: 'r, 'r>(m: &Message<'f>, room: &mut Room<'r>) -> Result<&'r [u8], Odd> {
    schema::check(m)?;
    read(m, "service", room)
}

/// The list of a `COMMANDS` (section 3.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct List<'r>(&'r [u8]);

impl<'r> List<'r> {
    /// Of a message.
    pub fn read<'f: 'r>(m: &Message<'f>, room: &mut Room<'r>) -> Result<Self, Odd> {
        schema::check(m)?;
        read(m, "list", room).map(List)
    }

    /// What is in it that is a command.
    pub fn iter(self) -> impl Iterator<Item = &'r [u8]> {
        self.0.split(|b| *b == b',').map(super::parse::trim).filter(|item| name::is_command(item))
    }

    /// How many items are no commands, for the log.
    pub fn odd(self) -> usize {
        let items = self.0.split(|b| *b == b',').map(super::parse::trim);
        items.filter(|item| !item.is_empty() && !name::is_command(item)).count()
    }

    /// Those that the page names.
    pub fn announced(self) -> Announced {
        self.iter().filter_map(Command::of).collect()
    }
}

/// `ALIVE`: what `ABSOLUTELY` repeats as it came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "names are those of the parameters")]
pub struct Alive<'f> {
    pub serial: Option<Text<'f>>,
    pub timestamp: Option<Text<'f>>,
}

impl<'f> Alive<'f> {
    /// Of a message. What is empty is not repeated: nobody may send it (section 1.10).
    pub fn read(m: &Message<'f>) -> Self {
        let some = |key| m.get(key).filter(|v| !v.is_empty());
        Alive { serial: some("serial"), timestamp: some("timestamp") }
    }
}

/// The address of a `FORGET`, `GOSSIP`, `ACCEPT` or `READY`, each under its own key.
pub fn address(m: &Message<'_>, key: &'static str, port: u16) -> Result<SocketAddr, Odd> {
    let value = m.get(key).ok_or(Violation::Missing(key))?;
    address::read(value, port).ok_or(Violation::Wrong(key).into())
}

/// The addresses of a `LISTEN_LOADAVG`. What is no address is `Err`.
pub fn addresses<'f: 'r, 'r>(
    m: &Message<'f>,
    room: &mut Room<'r>,
) -> Result<impl Iterator<Item = Result<SocketAddr, &'r [u8]>>, Odd> {
    schema::check(m)?;
    Ok(address::list(read(m, "ips", room)?, super::LOCAL_PORT))
}

/// What a service is, in a `STATUS`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[allow(missing_docs, reason = "names are those of the page")]
pub enum State {
    Up,
    Down,
    Unknown,
}

impl State {
    /// As it is written.
    pub const fn name(self) -> &'static str {
        match self {
            State::Up => "up",
            State::Down => "down",
            State::Unknown => "unknown",
        }
    }
}

/// Who comes over a link, in a `CONNECT` or `ACCEPT` (section 4.3); for nodes with links.
#[derive(Debug, Clone, Copy, PartialEq)]
#[allow(missing_docs, reason = "names are those of the parameters")]
pub struct Peer<'f> {
    pub server_name: Text<'f>,
    pub my_address: SocketAddr,
    pub username: Option<Text<'f>>,
    pub password: Option<Text<'f>>,
    pub services: Option<Text<'f>>,
    pub heard_of: Option<Text<'f>>,
    pub neighbors: Option<Text<'f>>,
}

impl<'f> Peer<'f> {
    /// Of a message.
    pub fn read(m: &Message<'f>) -> Result<Self, Odd> {
        schema::check(m)?;
        if Command::of(m.command) == Some(Command::Connect) {
            is_ours(m)?;
        }
        let server_name = m.get("server_name").ok_or(Violation::Missing("server_name"))?;
        let name: heapless::Vec<u8, { crate::limits::MAX_NAME }> = server_name.copied().ok_or(Odd::TooLong)?;
        if !name::is_name(&name) {
            return Err(Odd::Name(BadName::Illegal));
        }
        Ok(Peer {
            server_name,
            my_address: address(m, "my_address", super::REMOTE_PORT)?,
            username: m.get("username"),
            password: m.get("password"),
            services: m.get("services"),
            heard_of: m.get("heard_of"),
            neighbors: m.get("neighbors"),
        })
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::super::parse;
    use super::*;
    use std::vec::Vec;

    fn message(line: &str) -> Message<'_> {
        parse::message(line.as_bytes(), &mut []).unwrap()
    }

    /// What would end the original (weak point W3) costs nobody anything here.
    #[test]
    fn registrations() {
        let of = |line: &'static str| {
            Register::read(&message(line), &mut Room::new(&mut [0; 64])).map(|r| r.service.to_vec())
        };
        assert_eq!(of("REGISTER service=foo;version=1").unwrap(), b"foo");
        assert_eq!(of("REGISTER service=\"foo\";version=0x1;password=p").unwrap(), b"foo");
        for (line, why) in [
            ("REGISTER service=foo;version=2", Odd::Version),
            ("REGISTER service=foo;version=abc", Odd::Violation(Violation::Wrong("version"))),
            ("REGISTER service=foo", Odd::Violation(Violation::Missing("version"))),
            ("REGISTER version=1", Odd::Violation(Violation::Missing("service"))),
            ("REGISTER service=;version=1", Odd::Violation(Violation::Empty("service"))),
            ("REGISTER service=a-b;version=1", Odd::Name(BadName::Illegal)),
            ("REGISTER service=.;version=1", Odd::Name(BadName::Illegal)),
            ("REGISTER service=communicatord;version=1", Odd::Name(BadName::Reserved)),
            ("REGISTER service=a\\nb;version=1", Odd::Name(BadName::Illegal)),
        ] {
            assert_eq!(of(line), Err(why), "{line}");
        }
        let m = message(r"REGISTER service=a\\b;version=1");
        assert_eq!(Register::read(&m, &mut Room::new(&mut [0; 2])), Err(Odd::TooLong));
    }

    #[test]
    fn lists_of_commands() {
        let m = message("COMMANDS list=HELP,STOP, CACHE_CLEAR ,,stop,a-b,READY,STOP");
        let list = List::read(&m, &mut Room::new(&mut [])).unwrap();
        let all: Vec<&[u8]> = list.iter().collect();
        assert_eq!(all, [&b"HELP"[..], b"STOP", b"CACHE_CLEAR", b"READY", b"STOP"]);
        assert_eq!(list.odd(), 2);
        assert_eq!(list.announced(), [Command::Help, Command::Stop, Command::Ready].into_iter().collect());
        let m = message("COMMANDS list=");
        assert_eq!(List::read(&m, &mut Room::new(&mut [])), Err(Odd::Violation(Violation::Empty("list"))));
    }

    #[test]
    fn others() {
        let alive = Alive::read(&message("ALIVE serial=7;timestamp="));
        assert_eq!(alive, Alive { serial: Some(Text::from("7")), timestamp: None });
        let m = message("SERVICE_STATUS service=a-b");
        assert_eq!(service(&m, &mut Room::new(&mut [])), Ok(&b"a-b"[..]));
        assert!(service(&message("UNREGISTER"), &mut Room::new(&mut [])).is_err());
        let forget = address(&message("FORGET ip=10.0.0.9"), "ip", super::super::REMOTE_PORT).unwrap();
        assert_eq!(forget, "10.0.0.9:4042".parse().unwrap());
        let m = message("LISTEN_LOADAVG ips=10.0.0.1,x");
        let all: Vec<_> = addresses(&m, &mut Room::new(&mut [])).unwrap().collect();
        assert_eq!(all, [Ok("10.0.0.1:4040".parse().unwrap()), Err(&b"x"[..])]);
        assert_eq!(State::Unknown.name(), "unknown");
    }

    #[test]
    fn servers_that_connect() {
        let m = message(
            "<hostB:communicatord CONNECT my_address=10.0.0.2:4042;neighbors=10.0.0.1:4042;server_name=hostB;\
             services=cluck,fluid_settings;version=1",
        );
        let peer = Peer::read(&m).unwrap();
        assert!(peer.server_name.is(b"hostB") && peer.services.unwrap().is(b"cluck,fluid_settings"));
        assert_eq!((peer.my_address, peer.heard_of), ("10.0.0.2:4042".parse().unwrap(), None));
        for (line, why) in [
            ("CONNECT my_address=10.0.0.2:4042;server_name=hostB;version=2", Odd::Version),
            ("CONNECT my_address=10.0.0.2:4042;server_name=host-B;version=1", Odd::Name(BadName::Illegal)),
            ("ACCEPT my_address=10.0.0.2:4042", Odd::Violation(Violation::Missing("server_name"))),
        ] {
            assert_eq!(Peer::read(&message(line)), Err(why), "{line}");
        }
        assert!(Peer::read(&message("ACCEPT my_address=10.0.0.2;server_name=h")).is_ok());
    }
}
