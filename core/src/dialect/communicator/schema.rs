//! Which parameters the page's commands have (`wire/communicator.md` sections 1.10 and 3.10).
//!
//! Owns: the table, and whether a message is as it says. A message that is not is logged and
//! has no effect; others of the same connection are not concerned. Parameters beyond the
//! table are tolerated everywhere. Does not own what the parameters mean (`params.rs`).

use super::command::Command;
use super::repr::Message;
use super::text::Text;
use super::{address, number};

/// What the value of a parameter has to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[allow(missing_docs, reason = "names are those of the table")]
pub enum Kind {
    Text,
    Integer,
    Address,
    Timespec,
}

/// A parameter of a command. None that is there may be empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// Its name.
    pub key: &'static str,
    /// What it has to be.
    pub kind: Kind,
    /// Whether it has to be there.
    pub required: bool,
}

/// Why a message is not as the table says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Violation {
    /// A parameter that is required is missing.
    Missing(&'static str),
    /// A parameter is empty.
    Empty(&'static str),
    /// A parameter is not what it has to be.
    Wrong(&'static str),
}

impl Violation {
    /// The parameter.
    pub const fn key(self) -> &'static str {
        match self {
            Violation::Missing(key) | Violation::Empty(key) | Violation::Wrong(key) => key,
        }
    }

    /// What is wrong with it, for people.
    pub const fn text(self) -> &'static str {
        match self {
            Violation::Missing(_) => "a parameter is missing",
            Violation::Empty(_) => "a parameter is empty",
            Violation::Wrong(_) => "a parameter is not what it has to be",
        }
    }
}

const fn rule(key: &'static str, kind: Kind, required: bool) -> Rule {
    Rule { key, kind, required }
}

/// The parameters of a command.
pub const fn of(command: Command) -> &'static [Rule] {
    use Kind::{Address, Integer, Text, Timespec};
    const SERVER: Rule = rule("server_name", Text, true);
    const ADDRESS: Rule = rule("my_address", Address, true);
    const COUNT: &[Rule] = &[rule("neighbors_count", Integer, true)];
    const SERVICES: Rule = rule("services", Text, false);
    const HEARD_OF: Rule = rule("heard_of", Text, false);
    const NEIGHBORS: Rule = rule("neighbors", Text, false);
    const WHAT: &[Rule] = &[rule("command", Text, false), rule("message", Text, false)];
    match command {
        Command::Absolutely => {
            const {
                &[
                    rule("reply_timestamp", Timespec, true),
                    rule("serial", Text, false),
                    rule("timestamp", Timespec, false),
                ]
            }
        }
        Command::Accept => const { &[SERVER, ADDRESS, SERVICES, HEARD_OF, NEIGHBORS] },
        Command::Alive => const { &[rule("serial", Text, false), rule("timestamp", Text, false)] },
        Command::Block => {
            const {
                &[
                    rule("uri", Text, true),
                    rule("period", Text, false),
                    rule("profile", Text, false),
                    rule("reason", Text, false),
                ]
            }
        }
        Command::ClockStable => const { &[rule("clock_resolution", Text, false)] },
        Command::ClockUnstable => const { &[rule("clock_error", Text, true)] },
        Command::ClusterComplete | Command::ClusterDown | Command::ClusterIncomplete | Command::ClusterUp => COUNT,
        Command::Commands => const { &[rule("list", Text, true)] },
        Command::Connect => {
            const {
                &[
                    rule("version", Integer, true),
                    ADDRESS,
                    SERVER,
                    rule("username", Text, false),
                    rule("password", Text, false),
                    SERVICES,
                    HEARD_OF,
                    NEIGHBORS,
                ]
            }
        }
        Command::Disconnected | Command::Hangup | Command::NewRemoteConnection => const { &[SERVER] },
        Command::Forget => const { &[rule("ip", Address, true)] },
        Command::Gossip => const { &[rule("my_address", Address, false), HEARD_OF] },
        Command::Invalid | Command::Unknown => WHAT,
        Command::IplockCurrentStatus => const { &[rule("status", Text, true)] },
        Command::ListenLoadavg => const { &[rule("ips", Text, true)] },
        Command::Loadavg => const { &[rule("avg", Text, true), ADDRESS, rule("timestamp", Timespec, true)] },
        Command::Ready => const { &[rule("my_address", Address, false)] },
        Command::Refuse => const { &[rule("conflict", Text, false), rule("shutdown", Text, false), NEIGHBORS] },
        Command::Register => {
            const { &[rule("service", Text, true), rule("version", Integer, true), rule("password", Text, false)] }
        }
        Command::Restart => const { &[rule("reason", Text, false)] },
        Command::ServerPublicIp => const { &[rule("public_ip", Address, false), rule("secure_ip", Address, false)] },
        Command::ServiceStatus | Command::Unregister => const { &[rule("service", Text, true)] },
        Command::ServiceUnavailable => {
            const { &[rule("destination_service", Text, true), rule("unsent_command", Text, true)] }
        }
        Command::Status => {
            const {
                &[
                    rule("service", Text, true),
                    rule("status", Text, true),
                    rule("server_name", Text, false),
                    rule("up_since", Timespec, false),
                    rule("down_since", Timespec, false),
                ]
            }
        }
        Command::TransmissionReport => const { &[rule("command", Text, true), rule("status", Text, true)] },
        Command::Unreachable => const { &[rule("who", Address, true)] },
        Command::ClockStatus
        | Command::ClusterStatus
        | Command::Disconnect
        | Command::Disconnecting
        | Command::Help
        | Command::IplockGetStatus
        | Command::Leak
        | Command::ListServices
        | Command::LogRotate
        | Command::PublicIp
        | Command::Quitting
        | Command::Received
        | Command::RegisterForLoadavg
        | Command::Shutdown
        | Command::Stop
        | Command::UnregisterFromLoadavg => const { &[] },
    }
}

/// Whether a message is as the table says. One whose command is not in it always is.
pub fn check(m: &Message<'_>) -> Result<(), Violation> {
    let rules = Command::of(m.command).map_or(&[][..], of);
    for Rule { key, kind, required } in rules {
        match m.get(key) {
            None if *required => return Err(Violation::Missing(key)),
            None => {}
            Some(value) if value.is_empty() => return Err(Violation::Empty(key)),
            Some(value) if !is(*kind, value) => return Err(Violation::Wrong(key)),
            Some(_) => {}
        }
    }
    Ok(())
}

fn is(kind: Kind, value: Text<'_>) -> bool {
    match kind {
        Kind::Text => true,
        Kind::Integer => number::integer(value).is_ok(),
        Kind::Address => address::read(value, 0).is_some(),
        Kind::Timespec => number::Timespec::read(value).is_ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;

    #[test]
    fn messages_that_are_and_are_not() {
        for (line, want) in [
            ("REGISTER service=foo;version=1", Ok(())),
            ("REGISTER service=foo;version=1;extra=", Ok(())),
            ("REGISTER service=foo", Err(Violation::Missing("version"))),
            ("REGISTER service=;version=1", Err(Violation::Empty("service"))),
            ("REGISTER service=a;version=abc", Err(Violation::Wrong("version"))),
            ("CONNECT my_address=10.0.0.1:1;server_name=b;services=;version=1", Err(Violation::Empty("services"))),
            ("READY my_address=here", Err(Violation::Wrong("my_address"))),
            ("READY", Ok(())),
            ("FORGET ip=10.0.0.9", Ok(())),
            ("LOADAVG avg=0.31;my_address=10.0.0.1:4042;timestamp=now", Err(Violation::Wrong("timestamp"))),
            ("ANYTHING service=", Ok(())),
            ("STOP because=", Ok(())),
        ] {
            assert_eq!(check(&parse::message(line.as_bytes(), &mut []).unwrap()), want, "{line}");
        }
    }

    #[test]
    fn no_parameter_is_named_twice() {
        for c in Command::ALL {
            let rules = of(*c);
            for (i, r) in rules.iter().enumerate() {
                assert!(super::super::name::is_name(r.key.as_bytes()));
                assert!(rules.iter().skip(i + 1).all(|other| other.key != r.key), "{c:?}");
            }
        }
    }
}
