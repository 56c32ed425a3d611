//! What a node, or a client that a program is, says of its own accord.
//!
//! Owns: one variant for each message of `wire/communicator.md` section 3.10 that one server
//! or client says, with its parameters, destination and source. No parameter is written empty:
//! readers would drop the whole message (section 1.10). Does not own when it is said, to whom,
//! and who gets it (`route.rs`).

use super::command::{Announced, Command};
use super::emit::{self, Edit, Form, Unsaid};
use super::name::DAEMON;
use super::number::Timespec;
use super::params::{Alive, State};
use super::repr::{Message, Params};
use super::text::Text;
use core::fmt::Write as _;
use core::net::SocketAddr;

/// A message of a server's or client's own.
#[derive(Debug, Clone, Copy, PartialEq)]
#[allow(missing_docs, reason = "names are those of the table and its parameters")]
pub enum Line<'s> {
    Absolutely {
        alive: Alive<'s>,
        now: Timespec,
    },
    ClockStable {
        /// By whoever knows, or because nobody does.
        verified: bool,
    },
    ClockUnstable {
        /// Not known yet, or known to be wrong.
        checking: bool,
    },
    ClusterComplete(u32),
    ClusterDown(u32),
    ClusterIncomplete(u32),
    ClusterUp(u32),
    /// The answer to `HELP`.
    Commands(Announced),
    /// As [`Line::Commands`], sorted and with commas already.
    CommandList(&'s str),
    Disconnecting,
    Help,
    Invalid {
        command: &'s [u8],
        message: &'s str,
    },
    Loadavg {
        /// Load for each processor, in hundredths.
        hundredths: u32,
        my_address: SocketAddr,
        timestamp: Timespec,
    },
    LogRotate,
    Quitting,
    Ready(Option<SocketAddr>),
    Register(&'s [u8]),
    Restart(&'s str),
    ServerPublicIp {
        public: Option<SocketAddr>,
        secure: Option<SocketAddr>,
    },
    ServiceStatus(&'s [u8]),
    ServiceUnavailable {
        service: &'s [u8],
        command: &'s [u8],
    },
    Status(Status<'s>),
    Stop,
    TransmissionReport {
        command: &'s [u8],
        cached: bool,
    },
    Unknown {
        command: &'s [u8],
    },
    Unregister(&'s [u8]),
}

/// A `STATUS` (section 3.8).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "names are those of the parameters")]
pub struct Status<'s> {
    pub service: &'s [u8],
    pub state: State,
    pub server_name: &'s [u8],
    /// In seconds since 1970.
    pub up_since: Option<u64>,
    /// In seconds since 1970.
    pub down_since: Option<u64>,
}

/// From whom, and to whom.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Header<'h> {
    /// Server and service it is from.
    pub from: (&'h [u8], &'h [u8]),
    /// Server and service it is for.
    pub to: (&'h [u8], &'h [u8]),
}

impl<'h> Header<'h> {
    /// Of a server, to who is connected.
    pub const fn of_server(own: &'h [u8]) -> Self {
        Header { from: (own, DAEMON.as_bytes()), to: (b"", b"") }
    }

    /// Of a client that is called so, to its server.
    pub const fn of_client(service: &'h [u8]) -> Self {
        Header { from: (b"", service), to: (b"", DAEMON.as_bytes()) }
    }

    /// To who has sent a message.
    pub const fn in_reply(self, m: &Message<'h>) -> Self {
        Header { to: (m.from_server, m.from_service), ..self }
    }
}

impl Line<'_> {
    /// The command it is.
    pub const fn command(&self) -> Command {
        match self {
            Line::Absolutely { .. } => Command::Absolutely,
            Line::ClockStable { .. } => Command::ClockStable,
            Line::ClockUnstable { .. } => Command::ClockUnstable,
            Line::ClusterComplete(_) => Command::ClusterComplete,
            Line::ClusterDown(_) => Command::ClusterDown,
            Line::ClusterIncomplete(_) => Command::ClusterIncomplete,
            Line::ClusterUp(_) => Command::ClusterUp,
            Line::Commands(_) | Line::CommandList(_) => Command::Commands,
            Line::Disconnecting => Command::Disconnecting,
            Line::Help => Command::Help,
            Line::Invalid { .. } => Command::Invalid,
            Line::Loadavg { .. } => Command::Loadavg,
            Line::LogRotate => Command::LogRotate,
            Line::Quitting => Command::Quitting,
            Line::Ready(_) => Command::Ready,
            Line::Register(_) => Command::Register,
            Line::Restart(_) => Command::Restart,
            Line::ServerPublicIp { .. } => Command::ServerPublicIp,
            Line::ServiceStatus(_) => Command::ServiceStatus,
            Line::ServiceUnavailable { .. } => Command::ServiceUnavailable,
            Line::Status(_) => Command::Status,
            Line::Stop => Command::Stop,
            Line::TransmissionReport { .. } => Command::TransmissionReport,
            Line::Unknown { .. } => Command::Unknown,
            Line::Unregister(_) => Command::Unregister,
        }
    }
}

/// A number as text.
type Digits = heapless::String<64, u8>;

fn digits(n: impl core::fmt::Display) -> Digits {
    let mut text = Digits::new();
    // no number or address is longer than that
    let _ = write!(text, "{n}");
    text
}

/// One message of a server's or client's own, as a line.
pub fn line(line: &Line<'_>, header: Header<'_>, form: Form, out: &mut [u8]) -> Result<usize, Unsaid> {
    let say = |pairs: &[(&str, Text<'_>)], out: &mut [u8]| say(line.command(), header, pairs, form, out);
    let count = |n: &u32, out: &mut [u8]| {
        // as the original has it, to whoever gets it
        let header = Header { to: (b"", b"."), ..header };
        let n = digits(n);
        self::say(line.command(), header, &[("neighbors_count", Text::from(&n[..]))], form, out)
    };
    match line {
        Line::Absolutely { alive, now } => {
            let mut at = Digits::new();
            let _ = write!(at, "{now:.9}");
            say(
                &[
                    ("reply_timestamp", Text::from(&at[..])),
                    ("serial", alive.serial.unwrap_or_default()),
                    ("timestamp", alive.timestamp.unwrap_or_default()),
                ],
                out,
            )
        }
        Line::ClockStable { verified } => {
            let how = if *verified { "verified" } else { "no_ntp" };
            say(&[("cache", Text::from("no")), ("clock_resolution", Text::from(how))], out)
        }
        Line::ClockUnstable { checking } => {
            let why = if *checking { "checking" } else { "invalid" };
            say(&[("cache", Text::from("no")), ("clock_error", Text::from(why))], out)
        }
        Line::ClusterComplete(n) | Line::ClusterDown(n) | Line::ClusterIncomplete(n) | Line::ClusterUp(n) => {
            count(n, out)
        }
        Line::Commands(all) => {
            // all names there are, with commas between them, have fewer octets than this
            let mut list = heapless::String::<1024>::new();
            for c in all.iter() {
                let comma = if list.is_empty() { "" } else { "," };
                let _ = write!(list, "{comma}{}", c.name());
            }
            say(&[("list", Text::from(&list[..]))], out)
        }
        Line::CommandList(list) => say(&[("list", Text::from(*list))], out),
        Line::Disconnecting | Line::Help | Line::LogRotate | Line::Quitting | Line::Stop => say(&[], out),
        Line::Invalid { command, message } => {
            say(&[("command", Text::Plain(command)), ("message", Text::from(*message))], out)
        }
        Line::Loadavg { hundredths, my_address, timestamp } => {
            let mut avg = Digits::new();
            let _ = write!(avg, "{}.{:02}", hundredths / 100, hundredths % 100);
            let (address, at) = (digits(my_address), digits(timestamp));
            say(
                &[
                    ("avg", Text::from(&avg[..])),
                    ("my_address", Text::from(&address[..])),
                    ("timestamp", Text::from(&at[..])),
                ],
                out,
            )
        }
        Line::Ready(my_address) => {
            let address = my_address.map(digits).unwrap_or_default();
            say(&[("my_address", Text::from(&address[..]))], out)
        }
        Line::Register(service) => say(&[("service", Text::Plain(service)), ("version", Text::from("1"))], out),
        Line::Restart(reason) => say(&[("reason", Text::from(*reason))], out),
        Line::ServerPublicIp { public, secure } => {
            let (public, secure) = (public.map(digits).unwrap_or_default(), secure.map(digits).unwrap_or_default());
            say(&[("public_ip", Text::from(&public[..])), ("secure_ip", Text::from(&secure[..]))], out)
        }
        Line::ServiceStatus(service) | Line::Unregister(service) => say(&[("service", Text::Plain(service))], out),
        Line::ServiceUnavailable { service, command } => {
            say(&[("destination_service", Text::Plain(service)), ("unsent_command", Text::Plain(command))], out)
        }
        Line::Status(s) => {
            let since = |at: Option<u64>| at.map(digits).unwrap_or_default();
            let (down, up) = (since(s.down_since), since(s.up_since));
            say(
                &[
                    ("cache", Text::from("no")),
                    ("down_since", Text::from(&down[..])),
                    ("server_name", Text::Plain(s.server_name)),
                    ("service", Text::Plain(s.service)),
                    ("status", Text::from(s.state.name())),
                    ("up_since", Text::from(&up[..])),
                ],
                out,
            )
        }
        Line::TransmissionReport { command, cached } => {
            let status = if *cached { "cached" } else { "failed" };
            say(&[("command", Text::Plain(command)), ("status", Text::from(status))], out)
        }
        Line::Unknown { command } => say(&[("command", Text::Plain(command))], out),
    }
}

/// A message with those of these parameters that are not empty.
fn say(
    command: Command,
    header: Header<'_>,
    pairs: &[(&str, Text<'_>)],
    form: Form,
    out: &mut [u8],
) -> Result<usize, Unsaid> {
    let mut some = heapless::Vec::<_, 8>::new();
    for (key, value) in pairs.iter().filter(|(_, value)| !value.is_empty()) {
        some.push((Text::from(*key), *value)).map_err(|_| Unsaid::TooManyParams)?;
    }
    let m = Message {
        from_server: header.from.0,
        from_service: header.from.1,
        server: header.to.0,
        service: header.to.1,
        command: command.name().as_bytes(),
        params: Params::listed(&some),
        asks: true,
        raw: b"",
    };
    emit::line(&m, Edit::NONE, form, out)
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::super::{parse, schema};
    use super::*;
    use std::string::{String, ToString as _};

    fn said(what: &Line<'_>, header: Header<'_>) -> String {
        let mut out = [0xa5; 1024];
        let n = line(what, header, Form::Text, &mut out).unwrap();
        let m = parse::message(&out[..n], &mut []).unwrap();
        if !matches!(what, Line::Commands(a) if *a == Announced::NONE) {
            assert_eq!(schema::check(&m), Ok(()), "as the table says");
        }
        assert_eq!(Command::of(m.command), Some(what.command()));
        assert!(m.params.iter().all(|(_, v)| !v.is_empty()));
        String::from_utf8_lossy(&out[..n]).trim_end().to_string()
    }

    #[test]
    fn as_the_page_has_it() {
        let a = "10.0.0.1:4042".parse().unwrap();
        let status = Status {
            service: b"foo",
            state: State::Up,
            server_name: b"hostA",
            up_since: Some(1_767_225_600),
            down_since: None,
        };
        let alive = Alive { serial: Some(Text::from("5")), timestamp: Some(Text::from("1.5")) };
        let now = Timespec { seconds: 2, nanos: 50 };
        for (what, want) in [
            (Line::Help, "HELP"),
            (Line::Ready(Some(a)), "READY my_address=10.0.0.1:4042"),
            (Line::Ready(None), "READY"),
            (Line::ClockStable { verified: true }, "CLOCK_STABLE cache=no;clock_resolution=verified"),
            (Line::ClockStable { verified: false }, "CLOCK_STABLE cache=no;clock_resolution=no_ntp"),
            (Line::ClockUnstable { checking: true }, "CLOCK_UNSTABLE cache=no;clock_error=checking"),
            (Line::ClockUnstable { checking: false }, "CLOCK_UNSTABLE cache=no;clock_error=invalid"),
            (Line::ClusterUp(3), "./CLUSTER_UP neighbors_count=3"),
            (Line::ClusterComplete(1), "./CLUSTER_COMPLETE neighbors_count=1"),
            (Line::ClusterDown(3), "./CLUSTER_DOWN neighbors_count=3"),
            (Line::ClusterIncomplete(3), "./CLUSTER_INCOMPLETE neighbors_count=3"),
            (
                Line::TransmissionReport { command: b"REFRESH", cached: true },
                "TRANSMISSION_REPORT command=REFRESH;status=cached",
            ),
            (
                Line::TransmissionReport { command: b"REFRESH", cached: false },
                "TRANSMISSION_REPORT command=REFRESH;status=failed",
            ),
            (
                Line::ServiceUnavailable { service: b"bar", command: b"REFRESH" },
                "SERVICE_UNAVAILABLE destination_service=bar;unsent_command=REFRESH",
            ),
            (Line::Status(status), "STATUS cache=no;server_name=hostA;service=foo;status=up;up_since=1767225600"),
            (
                Line::Status(Status { state: State::Down, down_since: Some(7), ..status }),
                "STATUS cache=no;down_since=7;server_name=hostA;service=foo;status=down;up_since=1767225600",
            ),
            (Line::Unknown { command: b"FROB" }, "UNKNOWN command=FROB"),
            (Line::Invalid { command: b"REGISTER", message: "a; b" }, r#"INVALID command=REGISTER;message="a; b""#),
            (Line::Absolutely { alive, now }, "ABSOLUTELY reply_timestamp=2.000000050;serial=5;timestamp=1.5"),
            (
                Line::Absolutely { alive: Alive { serial: None, timestamp: None }, now },
                "ABSOLUTELY reply_timestamp=2.000000050",
            ),
            (
                Line::Loadavg { hundredths: 31, my_address: a, timestamp: Timespec { seconds: 9, nanos: 500_000_000 } },
                "LOADAVG avg=0.31;my_address=10.0.0.1:4042;timestamp=9.5",
            ),
            (Line::ServerPublicIp { public: Some(a), secure: None }, "SERVER_PUBLIC_IP public_ip=10.0.0.1:4042"),
            (Line::Quitting, "QUITTING"),
            (Line::Disconnecting, "DISCONNECTING"),
        ] {
            assert_eq!(said(&what, Header::of_server(b"hostA")), std::format!("<hostA:communicatord {want}"));
        }
    }

    #[test]
    fn as_a_client_says_it() {
        assert_eq!(said(&Line::Register(b"foo"), Header::default()), "REGISTER service=foo;version=1");
        assert_eq!(said(&Line::Unregister(b"foo"), Header::default()), "UNREGISTER service=foo");
        let help = parse::message(b"<hostA:communicatord HELP", &mut []).unwrap();
        let list: Announced = [Command::Stop, Command::Help].into_iter().collect();
        assert_eq!(
            said(&Line::Commands(list), Header::of_client(b"foo").in_reply(&help)),
            "<:foo hostA:communicatord/COMMANDS list=HELP,STOP"
        );
        assert_eq!(
            said(&Line::Restart("upgrade"), Header { to: (b"", b"."), ..Header::of_server(b"hostA") }),
            "<hostA:communicatord ./RESTART reason=upgrade"
        );
        assert_eq!(
            said(&Line::ServiceStatus(b"bar"), Header::of_client(b"foo")),
            "<:foo communicatord/SERVICE_STATUS service=bar"
        );
    }

    #[test]
    fn every_command_at_once_fits() {
        let all: Announced = Command::ALL.iter().copied().collect();
        let text = said(&Line::Commands(all), Header::of_server(b"hostA"));
        assert!(text.ends_with(",UNREGISTER,UNREGISTER_FROM_LOADAVG") && text.contains("list=ABSOLUTELY,ACCEPT,"));
        assert_eq!(text.matches(',').count() + 1, Command::ALL.len());
    }
}
