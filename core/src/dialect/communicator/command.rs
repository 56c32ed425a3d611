//! The commands that the page names (`wire/communicator.md` section 3.10).
//!
//! Owns: their names, which a server and which every client understands, which are for
//! streams only; and the set of those that a client has announced. Does not own their
//! parameters (`schema.rs`, `params.rs`). Any other command is the business of who sends and
//! who gets it.

macro_rules! commands {
    ($($name:ident $text:literal $flags:expr,)*) => {
        /// A command that the page names.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        #[cfg_attr(feature = "defmt", derive(defmt::Format))]
        #[allow(missing_docs, reason = "names are those of the table")]
        pub enum Command {
            $($name,)*
        }

        impl Command {
            /// All, in the order of their names.
            pub const ALL: &'static [Command] = &[$(Command::$name,)*];

            /// As it is written.
            pub const fn name(self) -> &'static str {
                match self { $(Command::$name => $text,)* }
            }

            const fn flags(self) -> u8 {
                match self { $(Command::$name => $flags,)* }
            }
        }
    };
}

/// A server understands it (section 3.5).
const OWN: u8 = 1;
/// Every client understands it (section 3.5).
const ALL: u8 = 2;
/// Refused in datagrams.
const STREAM: u8 = 4;
/// For the daemons of a cluster.
const LINK: u8 = 8;
/// Ends programs, or changes what the node is.
const CONTROL: u8 = 16;

commands! {
    Absolutely "ABSOLUTELY" 0,
    Accept "ACCEPT" OWN | STREAM | LINK,
    Alive "ALIVE" OWN | ALL,
    Block "BLOCK" 0,
    ClockStable "CLOCK_STABLE" 0,
    ClockStatus "CLOCK_STATUS" OWN,
    ClockUnstable "CLOCK_UNSTABLE" 0,
    ClusterComplete "CLUSTER_COMPLETE" 0,
    ClusterDown "CLUSTER_DOWN" 0,
    ClusterIncomplete "CLUSTER_INCOMPLETE" 0,
    ClusterStatus "CLUSTER_STATUS" OWN | STREAM,
    ClusterUp "CLUSTER_UP" 0,
    Commands "COMMANDS" OWN | STREAM,
    Connect "CONNECT" OWN | STREAM | LINK,
    Disconnect "DISCONNECT" OWN | STREAM | LINK,
    Disconnected "DISCONNECTED" 0,
    Disconnecting "DISCONNECTING" 0,
    Forget "FORGET" OWN | LINK | CONTROL,
    Gossip "GOSSIP" OWN | STREAM | LINK,
    Hangup "HANGUP" 0,
    Help "HELP" OWN | ALL,
    Invalid "INVALID" OWN | ALL,
    IplockCurrentStatus "IPLOCK_CURRENT_STATUS" 0,
    IplockGetStatus "IPLOCK_GET_STATUS" 0,
    Leak "LEAK" OWN | ALL,
    ListenLoadavg "LISTEN_LOADAVG" OWN,
    ListServices "LIST_SERVICES" OWN,
    Loadavg "LOADAVG" OWN | LINK,
    LogRotate "LOG_ROTATE" OWN | ALL | CONTROL,
    NewRemoteConnection "NEW_REMOTE_CONNECTION" 0,
    PublicIp "PUBLIC_IP" OWN,
    Quitting "QUITTING" OWN | ALL,
    Ready "READY" OWN | ALL,
    Received "RECEIVED" LINK,
    Refuse "REFUSE" OWN | STREAM | LINK,
    Register "REGISTER" OWN | STREAM,
    RegisterForLoadavg "REGISTER_FOR_LOADAVG" OWN | STREAM,
    Restart "RESTART" OWN | ALL,
    ServerPublicIp "SERVER_PUBLIC_IP" 0,
    ServiceStatus "SERVICE_STATUS" OWN,
    ServiceUnavailable "SERVICE_UNAVAILABLE" OWN | ALL,
    Shutdown "SHUTDOWN" OWN | CONTROL,
    Status "STATUS" 0,
    Stop "STOP" OWN | ALL | CONTROL,
    TransmissionReport "TRANSMISSION_REPORT" 0,
    Unknown "UNKNOWN" OWN | ALL,
    Unreachable "UNREACHABLE" 0,
    Unregister "UNREGISTER" OWN | STREAM,
    UnregisterFromLoadavg "UNREGISTER_FROM_LOADAVG" OWN | STREAM,
}

impl Command {
    /// The one that is called so.
    pub fn of(name: &[u8]) -> Option<Command> {
        let rank = |c: &Command| c.name().as_bytes().cmp(name);
        Command::ALL.binary_search_by(rank).ok().and_then(|at| Command::ALL.get(at)).copied()
    }

    const fn has(self, flag: u8) -> bool {
        self.flags() & flag != 0
    }

    /// Whether a server acts upon it if it is sent to the server itself. To any other it
    /// answers `UNKNOWN`.
    pub const fn is_of_server(self) -> bool {
        self.has(OWN)
    }

    /// Whether every client acts upon it.
    pub const fn is_of_clients(self) -> bool {
        self.has(ALL)
    }

    /// Whether it is refused in datagrams.
    pub const fn is_stream_only(self) -> bool {
        self.has(STREAM)
    }

    /// Whether only daemons say it to each other: a node without links to such refuses it.
    pub const fn is_of_links(self) -> bool {
        self.has(LINK)
    }

    /// Whether it takes a right to manage (weak point W5), where it is for the server itself.
    pub const fn is_control(self) -> bool {
        self.has(CONTROL)
    }

    /// Whether it takes a right to manage where it is for clients: they end, begin anew, or open
    /// their logs. Looked at for each message, so most are told apart by their first letter.
    #[inline]
    pub fn is_control_of_clients(name: &[u8]) -> bool {
        matches!(name.first(), Some(b'L' | b'Q' | b'R' | b'S'))
            && matches!(name, b"LOG_ROTATE" | b"QUITTING" | b"RESTART" | b"SHUTDOWN" | b"STOP")
    }

    /// Whether it is never answered with `UNKNOWN` or `INVALID`: answers would go to and fro
    /// for ever (section 8.2).
    pub const fn is_answer(self) -> bool {
        matches!(
            self,
            Command::Unknown
                | Command::Invalid
                | Command::Absolutely
                | Command::ServiceUnavailable
                | Command::TransmissionReport
        )
    }
}

/// Which of the commands that the page names somebody has announced with `COMMANDS`; what
/// comes later is added (section 3.5). Any others he announced are not remembered here.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Announced(u64);

const _: () = assert!(Command::ALL.len() <= 64, "one bit each");

impl Announced {
    /// None.
    pub const NONE: Announced = Announced(0);

    /// This one too.
    pub const fn add(&mut self, command: Command) {
        self.0 |= 1 << command as u32;
    }

    /// Whether this is one of them.
    pub const fn has(self, command: Command) -> bool {
        self.0 & 1 << command as u32 != 0
    }

    /// All of them, in the order of their names.
    pub fn iter(self) -> impl Iterator<Item = Command> {
        Command::ALL.iter().copied().filter(move |c| self.has(*c))
    }

    /// What a server announces itself.
    pub fn of_server() -> Self {
        Command::ALL.iter().copied().filter(|c| c.is_of_server()).collect()
    }

    /// What every client announces at least.
    pub fn of_clients() -> Self {
        Command::ALL.iter().copied().filter(|c| c.is_of_clients()).collect()
    }
}

impl FromIterator<Command> for Announced {
    fn from_iter<I: IntoIterator<Item = Command>>(all: I) -> Self {
        let mut announced = Announced::NONE;
        all.into_iter().for_each(|c| announced.add(c));
        announced
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec::Vec;

    #[test]
    fn found_by_their_names() {
        assert!(Command::ALL.windows(2).all(|two| two[0].name() < two[1].name()), "in order");
        for (at, c) in Command::ALL.iter().enumerate() {
            assert_eq!((Command::of(c.name().as_bytes()), *c as usize), (Some(*c), at));
            assert!(super::super::name::is_command(c.name().as_bytes()));
        }
        for other in ["", "stop", "STOPS", "STO", "Z", "A"] {
            assert_eq!(Command::of(other.as_bytes()), None);
        }
    }

    #[test]
    fn what_a_server_and_what_clients_understand() {
        let names = |a: Announced| a.iter().map(Command::name).collect::<Vec<_>>().join(" ");
        assert_eq!(
            names(Announced::of_server()),
            "ACCEPT ALIVE CLOCK_STATUS CLUSTER_STATUS COMMANDS CONNECT DISCONNECT FORGET GOSSIP HELP INVALID LEAK \
             LISTEN_LOADAVG LIST_SERVICES LOADAVG LOG_ROTATE PUBLIC_IP QUITTING READY REFUSE REGISTER \
             REGISTER_FOR_LOADAVG RESTART SERVICE_STATUS SERVICE_UNAVAILABLE SHUTDOWN STOP UNKNOWN UNREGISTER \
             UNREGISTER_FROM_LOADAVG"
        );
        assert_eq!(
            names(Announced::of_clients()),
            "ALIVE HELP INVALID LEAK LOG_ROTATE QUITTING READY RESTART SERVICE_UNAVAILABLE STOP UNKNOWN"
        );
        let refused = Command::ALL.iter().filter(|c| c.is_stream_only()).copied().collect();
        assert_eq!(
            names(refused),
            "ACCEPT CLUSTER_STATUS COMMANDS CONNECT DISCONNECT GOSSIP REFUSE REGISTER REGISTER_FOR_LOADAVG UNREGISTER \
             UNREGISTER_FROM_LOADAVG"
        );
    }

    #[test]
    fn announced_add_up() {
        let mut a = Announced::NONE;
        a.add(Command::Status);
        a.add(Command::Stop);
        a.add(Command::Status);
        assert!(a.has(Command::Stop) && !a.has(Command::Help));
        assert_eq!(a.iter().count(), 2);
    }
}
