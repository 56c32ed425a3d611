//! Names of services, servers and commands, and names and verbs of the bus.
//!
//! Owns: what a legal name is (`wire/communicator.md` section 1.2), which are taken, the name
//! a server gives itself (4.1), and the bijection between services and names of the bus, and
//! between commands and verbs. Does not own what is a valid name on the bus (`name.rs` of the
//! core), nor the words that are no names, `.`, `?` and `*` (`route.rs`).
//!
//! | service here | name on the bus |
//! |---|---|
//! | a legal name | the same |
//! | `_xHH_` for an octet that no legal name has, also a digit at the front | that octet |
//! | `_x5f_` before what looks like one of these | `_` |
//! | `_x63_ommunicatord` | `communicatord`, which is nobody's name here |
//!
//! Commands and verbs are the same, in capitals: `_XHH_`, digits `A` to `F`, and `_X` for
//! lower case letters too. Both are one to one: [`to_bus`] refuses what [`from_bus`] would not
//! have written, so that there are no two names for one, and [`from_bus`] has one for each. So
//! clients with their usual names notice nothing, and any name of the bus can be reached:
//! `sensor::b1` is `sensor_x3a__x3a_b1`.

use super::text::Room;
use crate::limits::{MAX_NAME, MAX_VERB};
use crate::name;

/// The service that a server is itself, and the server name of those who have no better.
pub const DAEMON: &str = "communicatord";

/// Octets of the longest name here of one on the bus.
pub const MAX_WRITTEN: usize = MAX_NAME * ESCAPE;

/// Octets of `_xHH_`.
const ESCAPE: usize = 5;

/// Why a name is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum BadName {
    /// It is empty.
    Empty,
    /// It has an octet that no legal name has.
    Illegal,
    /// It is longer than names are on the bus.
    TooLong,
    /// It is the daemon's.
    Reserved,
    /// It looks as if it stood for a name of the bus, but for none that is written like this.
    Foreign,
}

impl BadName {
    /// For people.
    pub const fn text(self) -> &'static str {
        match self {
            BadName::Empty => "a name that is empty",
            BadName::Illegal => "a name that is not letters, digits and `_`",
            BadName::TooLong => "a name that is too long",
            BadName::Reserved => "the name of the daemon itself",
            BadName::Foreign => "a name that looks like one of the bus and is none",
        }
    }
}

/// Whether these octets are a legal name: a letter or `_`, then letters, digits and `_`.
#[inline]
pub fn is_name(octets: &[u8]) -> bool {
    Kind::Service.is_legal(octets)
}

/// Whether these octets are a legal command: a name without lower case letters.
#[inline]
pub fn is_command(octets: &[u8]) -> bool {
    Kind::Command.is_legal(octets)
}

/// A service, or a command, whose name on the bus is the same, as nearly all are. `None`: it is no
/// such, or that is not known without a closer look.
#[inline]
pub fn plain(name: &[u8]) -> Option<&str> {
    let mut before = 0;
    for b in name {
        // how all begin that are spelled
        if !Kind::Service.is_inner(*b) || (before == b'_' && matches!(b, b'x' | b'X')) {
            return None;
        }
        before = *b;
    }
    let is_name =
        name.first().is_some_and(|b| !b.is_ascii_digit()) && name.len() <= MAX_VERB && name != DAEMON.as_bytes();
    if is_name { core::str::from_utf8(name).ok() } else { None }
}

/// The name on the bus of a service. `spare`: room for one that is not the same.
///
/// # Errors
///
/// It has none.
pub fn to_bus<'f>(service: &'f [u8], spare: &'f mut [u8; MAX_NAME]) -> Result<&'f str, BadName> {
    let name = Kind::Service.read(service, spare)?;
    if name.len() > MAX_NAME {
        return Err(BadName::TooLong);
    }
    if service == DAEMON.as_bytes() {
        return Err(BadName::Reserved);
    }
    if !name::is_valid(name) || name::is_pattern(name) {
        return Err(BadName::Foreign);
    }
    Ok(name)
}

/// The service that a name of the bus is here. `None`: it is longer than names are. `spare`:
/// room for one that is not the same.
pub fn from_bus<'n>(bus: &'n str, spare: &'n mut [u8; MAX_WRITTEN]) -> Option<&'n [u8]> {
    (bus.len() <= MAX_NAME).then(|| Kind::Service.write(bus.as_bytes(), spare)).flatten()
}

/// The verb of a command. `spare`: room for one that is not the same.
///
/// # Errors
///
/// It has none.
pub fn to_verb<'f>(command: &'f [u8], spare: &'f mut [u8; MAX_NAME]) -> Result<&'f str, BadName> {
    let verb = Kind::Command.read(command, spare)?;
    if verb.len() > MAX_VERB {
        return Err(BadName::TooLong);
    }
    if !name::no_controls(verb) {
        return Err(BadName::Foreign);
    }
    Ok(verb)
}

/// The command that a verb is here. `None`: it is empty, or longer than verbs are. `spare`:
/// room for one that is not the same.
pub fn from_verb<'n>(verb: &'n str, spare: &'n mut [u8; MAX_WRITTEN]) -> Option<&'n [u8]> {
    let is_verb = !verb.is_empty() && verb.len() <= MAX_VERB;
    is_verb.then(|| Kind::Command.write(verb.as_bytes(), spare)).flatten()
}

/// The name of a server: `wanted`, or if that is empty, the name of its host without dots and
/// with `_` for `-`. What is no legal name then is [`DAEMON`] (section 4.1).
pub fn of_server<'n>(wanted: &'n [u8], host: &[u8], spare: &'n mut [u8; MAX_NAME]) -> &'n [u8] {
    let octets = host.iter().filter(|b| **b != b'.').map(|b| if *b == b'-' { b'_' } else { *b });
    let name = if wanted.is_empty() { Room::new(spare).put(octets) } else { Some(wanted) };
    name.filter(|name| is_name(name) && name.len() <= MAX_NAME).unwrap_or(DAEMON.as_bytes())
}

/// Two alphabets.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Service,
    Command,
}

impl Kind {
    #[inline]
    const fn is_inner(self, b: u8) -> bool {
        matches!(b, b'A'..=b'Z' | b'0'..=b'9' | b'_') || (matches!(self, Kind::Service) && b.is_ascii_lowercase())
    }

    #[inline]
    const fn is_first(self, b: u8) -> bool {
        self.is_inner(b) && !b.is_ascii_digit()
    }

    #[inline]
    fn is_legal(self, octets: &[u8]) -> bool {
        octets
            .split_first()
            .is_some_and(|(first, rest)| self.is_first(*first) && rest.iter().all(|b| self.is_inner(*b)))
    }

    const fn digits(self) -> &'static [u8; 16] {
        match self {
            Kind::Service => b"0123456789abcdef",
            Kind::Command => b"0123456789ABCDEF",
        }
    }

    const fn mark(self) -> u8 {
        match self {
            Kind::Service => b'x',
            Kind::Command => b'X',
        }
    }

    /// The octet that is written out at the front of `text`, which `is_front` of the whole.
    /// `None`: none of those that ever are.
    fn escaped(self, text: &[u8], is_front: bool) -> Option<u8> {
        if text.get(ESCAPE - 1) == Some(&b'_') { self.marked(text, is_front) } else { None }
    }

    /// As [`Kind::escaped`], but without a look at the `_` at the end.
    fn marked(self, text: &[u8], is_front: bool) -> Option<u8> {
        let [b'_', mark, high, low, ..] = text else { return None };
        let digit = |b: &u8| self.digits().iter().position(|d| d == b).map(|n| n as u8);
        let b = (digit(high)? << 4) | digit(low)?;
        let is_daemon = || self == Kind::Service && b == b'c' && text.get(ESCAPE..) == DAEMON.as_bytes().get(1..);
        let ever = !self.is_inner(b) || b == b'_' || (is_front && (!self.is_first(b) || is_daemon()));
        (*mark == self.mark() && ever).then_some(b)
    }

    /// Whether an octet of a name of the bus has to be written out.
    fn is_written_out(self, bus: &[u8], at: usize) -> bool {
        let text = bus.get(at..).unwrap_or_default();
        match text.first() {
            None => false,
            // also if the `_` at the end would be that of the next one that is written out
            Some(b'_') => {
                let ends = text.get(ESCAPE - 1).is_some_and(|b| *b == b'_' || !self.is_inner(*b));
                ends && self.marked(text, at == 0).is_some()
            }
            Some(b) if at > 0 => !self.is_inner(*b),
            Some(b) => !self.is_first(*b) || (self == Kind::Service && bus == DAEMON.as_bytes()),
        }
    }

    /// What a name here is on the bus.
    fn read<'f>(self, here: &'f [u8], spare: &'f mut [u8; MAX_NAME]) -> Result<&'f str, BadName> {
        if here.is_empty() {
            return Err(BadName::Empty);
        }
        if !self.is_legal(here) {
            return Err(BadName::Illegal);
        }
        let marks = here.windows(2).any(|two| two == [b'_', self.mark()]);
        if !marks {
            return core::str::from_utf8(here).map_err(|_| BadName::Illegal);
        }
        let mut size = 0;
        let mut left = here;
        while let Some(first) = left.first() {
            let (b, octets) = self.escaped(left, left.len() == here.len()).map_or((*first, 1), |b| (b, ESCAPE));
            *spare.get_mut(size).ok_or(BadName::TooLong)? = b;
            size += 1;
            left = left.get(octets..).unwrap_or_default();
        }
        let bus = spare.get(..size).unwrap_or_default();
        // of what is spelled in two ways only one is ours
        let mut again = [0; MAX_WRITTEN];
        if self.write(bus, &mut again) != Some(here) {
            return Err(BadName::Foreign);
        }
        core::str::from_utf8(bus).map_err(|_| BadName::Foreign)
    }

    /// How a name of the bus is written here. `None`: it is empty or too long.
    fn write<'n>(self, bus: &'n [u8], spare: &'n mut [u8; MAX_WRITTEN]) -> Option<&'n [u8]> {
        if bus.is_empty() {
            return None;
        }
        if (0..bus.len()).all(|at| !self.is_written_out(bus, at)) {
            return Some(bus);
        }
        let hex = |n: u8| self.digits().get(n as usize).copied().unwrap_or_default();
        let octets = bus.iter().enumerate().flat_map(|(at, b)| {
            let escape = [b'_', self.mark(), hex(b >> 4), hex(b & 15), b'_'];
            let (octets, size) = if self.is_written_out(bus, at) { (escape, ESCAPE) } else { ([*b; ESCAPE], 1) };
            octets.into_iter().take(size)
        });
        Room::new(spare).put(octets)
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::string::{String, ToString as _};
    use std::vec::Vec;

    fn bus(here: &str) -> Result<String, BadName> {
        to_bus(here.as_bytes(), &mut [0xa5; MAX_NAME]).map(|n| n.to_string())
    }

    fn here(bus: &str) -> String {
        String::from_utf8(from_bus(bus, &mut [0xa5; MAX_WRITTEN]).unwrap().to_vec()).unwrap()
    }

    #[test]
    fn each_row_of_the_table_and_back() {
        for (name, want) in [
            ("cluck", "cluck"),
            ("_", "_"),
            ("Mixed_Case9", "Mixed_Case9"),
            ("_x41_", "_x41_"),
            ("a_x", "a_x"),
            ("a_x2F_b", "a_x2F_b"),
            ("sensor_x3a__x3a_b1", "sensor::b1"),
            ("a_x2f_b", "a/b"),
            ("_x32_nd", "2nd"),
            ("a_x5f_x2f_b", "a_x2f_b"),
            ("_xc3__xa9_t_xc3__xa9_", "été"),
            ("_x63_ommunicatord", "communicatord"),
            ("_x63_ommunicators", "_x63_ommunicators"),
            ("a_x20_b", "a b"),
            ("_x2a_x", "*x"),
        ] {
            assert_eq!(bus(name).as_deref(), Ok(want), "{name}");
            assert_eq!(here(want), name, "{want} and back");
        }
    }

    #[test]
    fn refused_with_a_reason() {
        for (name, why) in [
            ("", BadName::Empty),
            ("a-b", BadName::Illegal),
            ("9a", BadName::Illegal),
            (".", BadName::Illegal),
            ("é", BadName::Illegal),
            ("communicatord", BadName::Reserved),
            ("_xff_", BadName::Foreign),
            ("a_x0a_", BadName::Foreign),
            ("a_x5f_b", BadName::Foreign),
            ("_x2a_", BadName::Foreign),
            ("a_x2f__x2a_", BadName::Foreign),
        ] {
            assert_eq!(bus(name), Err(why), "{name}");
        }
        assert_eq!(bus(&"a".repeat(MAX_NAME + 1)), Err(BadName::TooLong));
        assert_eq!(bus(&"_x2f_".repeat(MAX_NAME + 1)), Err(BadName::TooLong));
        assert_eq!(bus(&"_x2f_".repeat(MAX_NAME)).unwrap().len(), MAX_NAME);
        assert!(bus(&"a".repeat(MAX_NAME)).is_ok());
    }

    #[test]
    fn commands_and_verbs() {
        let verb = |here: &str| to_verb(here.as_bytes(), &mut [0; MAX_NAME]).map(|n| n.to_string());
        let back = |verb: &str| from_verb(verb, &mut [0; MAX_WRITTEN]).map(|n| String::from_utf8(n.to_vec()).unwrap());
        for (here, want) in [
            ("STOP", "STOP"),
            ("A_X41_B", "A_X41_B"),
            ("_", "_"),
            ("GET_X4B_", "GET_X4B_"),
            ("_X67__X65__X74_", "get"),
            ("A_X20_B", "A B"),
        ] {
            assert_eq!(verb(here).as_deref(), Ok(want), "{here}");
            assert_eq!(back(want).as_deref(), Some(here));
        }
        assert_eq!(back(""), None);
        assert_eq!(back(&"V".repeat(MAX_VERB + 1)), None);
        assert_eq!(verb(&"V".repeat(MAX_VERB + 1)), Err(BadName::TooLong));
        assert_eq!(verb("stop"), Err(BadName::Illegal));
        assert_eq!(verb("A_X0A_"), Err(BadName::Foreign));
    }

    #[test]
    fn any_name_comes_back_and_no_two_are_one() {
        let mut seed = 0x0dd5_eed5_1357_2468u64;
        let mut chance = move |below: usize| {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            (seed >> 20) as usize % below
        };
        const PIECES: &[&str] = &[
            "_",
            "x",
            "X",
            "2f",
            "5f",
            "41",
            "63",
            "ommunicatord",
            "c",
            "_x2f_",
            "_x5f_",
            "/",
            "é",
            "9",
            "::",
            "*",
            "A",
        ];
        for _ in 0..20_000 {
            let name: String = (0..1 + chance(7)).map(|_| PIECES[chance(PIECES.len())]).collect();
            if name::is_valid(&name) && !name::is_pattern(&name) {
                let written = here(&name);
                assert!(is_name(written.as_bytes()), "{written}");
                assert_eq!(bus(&written).as_deref(), Ok(&name[..]), "{name} as {written}");
                let command = from_verb(&name, &mut [0; MAX_WRITTEN]).unwrap().to_vec();
                assert!(is_command(&command));
                assert_eq!(to_verb(&command, &mut [0; MAX_NAME]), Ok(&name[..]));
            }
            if let Ok(there) = bus(&name) {
                assert_eq!(here(&there), name, "{there} and back");
            }
        }
    }

    #[test]
    fn a_server_has_a_legal_name() {
        let of = |wanted: &str, host: &str| {
            String::from_utf8(of_server(wanted.as_bytes(), host.as_bytes(), &mut [0; MAX_NAME]).to_vec()).unwrap()
        };
        assert_eq!(of("hostA", "other"), "hostA");
        assert_eq!(of("", "my-host.example.net"), "my_hostexamplenet");
        assert_eq!(of("", "9lives"), DAEMON);
        assert_eq!(of("no-name", "x"), DAEMON);
        assert_eq!(of("", &"h".repeat(200)), DAEMON);
        assert_eq!(of("", ""), DAEMON);
    }

    #[test]
    fn plain_names_are_borrowed() {
        let (name, mut spare): (&[u8], _) = (b"fluid_settings", [0; MAX_NAME]);
        assert_eq!(to_bus(name, &mut spare).unwrap().as_ptr(), name.as_ptr());
        let all: Vec<u8> = (0..=255u8).filter(|b| is_name(&[*b])).collect();
        assert_eq!(all.len(), 53);
    }
}
