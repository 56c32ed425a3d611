//! What happens to a session without its asking.

use std::fmt;
use std::time::Duration;

use chappe_core::dialect::clacks::repr::Fields;

/// What came and nobody waited for. Names and values are octets: Clacks wants no UTF-8.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// What the server calls itself; with each connection.
    ServerInfo(String),
    /// A signal with a value, for a name that is listened to.
    Set {
        /// Its name.
        name: Vec<u8>,
        /// Its value.
        value: Vec<u8>,
    },
    /// A signal without one.
    Notify {
        /// Its name.
        name: Vec<u8>,
    },
    /// What another connection of the server said, for those that
    /// [monitor](super::Session::monitor) it.
    Debug {
        /// The id of the connection, or what about it or the server is said.
        source: Vec<u8>,
        /// Its line.
        text: Vec<u8>,
    },
    /// Something that was said without waiting for an answer is denied, or not known.
    Error(Told),
    /// A note in the overhead, forwarded from another connection.
    Note(Vec<u8>),
    /// The connection ended. It comes back by itself, whenever the program waits for
    /// something; names are listened to again then.
    Disconnected {
        /// Why.
        why: Why,
        /// Lines that the operating system had taken, and that no answer proves: they may be
        /// lost. What it had not taken is kept, and said on the next connection.
        unsure: u64,
        /// The next attempt.
        again_in: Duration,
    },
    /// An attempt to connect again failed. Only the last of several in a row is kept.
    Unreachable {
        /// Why.
        problem: String,
        /// The next one.
        again_in: Duration,
    },
    /// Connected again.
    Reconnected,
}

impl Event {
    /// Octets it holds on to, roughly.
    pub(super) fn size(&self) -> usize {
        let more = match self {
            Event::Set { name, value } => name.len() + value.len(),
            Event::Debug { source, text } => source.len() + text.len(),
            Event::Notify { name: text } | Event::Note(text) => text.len(),
            Event::ServerInfo(text) | Event::Unreachable { problem: text, .. } => text.len(),
            Event::Error(Told::Unknown(text) | Told::Other(text)) => text.len(),
            Event::Error(Told::Denied) | Event::Disconnected { .. } | Event::Reconnected => 0,
        };
        more + size_of::<Event>()
    }
}

/// An error that the server tells (section 7).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// The user may not do something that was said; the server does not say what.
    Denied,
    /// The server does not know this line.
    Unknown(String),
    /// Anything else.
    Other(String),
}

impl Told {
    pub(super) fn read(text: &[u8]) -> Told {
        let lossy = |text: &[u8]| String::from_utf8_lossy(text).into_owned();
        match text {
            b"permission_denied" => Told::Denied,
            text => match text.strip_prefix(b"unknown_command ") {
                Some(line) => Told::Unknown(lossy(line)),
                None => Told::Other(lossy(text)),
            },
        }
    }
}

impl From<Told> for super::Error {
    fn from(told: Told) -> Self {
        match told {
            Told::Denied => super::Error::Denied,
            Told::Unknown(line) => super::Error::Unknown(line),
            Told::Other(text) => super::Error::Told(text),
        }
    }
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        super::Error::from(self.clone()).fmt(f)
    }
}

/// Why a connection ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Why {
    /// The server said `QUIT`: it ends, or somebody with the right to do so closed this
    /// connection.
    Quit,
    /// The server said `TIMEOUT`: this session said no `PING`, or read nothing, for too long.
    Timeout,
    /// Anything else, in words.
    Lost(String),
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Why::Quit => "the server ended it (QUIT)",
            Why::Timeout => "this client was silent for too long, says the server (TIMEOUT)",
            Why::Lost(text) => text,
        })
    }
}

/// What came and could not be kept.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Missed {
    /// Events for which the queue had no room while something else was waited for.
    pub events: u64,
    /// Answers to calls that were over.
    pub late: u64,
    /// Lines that no server says to a client.
    pub unknown: u64,
}

/// One connection of a server, as [`Session::clients`](super::Session::clients) lists it
/// (section 8.5). What a server leaves out is empty, 0 or false.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Client {
    /// For [`Session::disconnect`](super::Session::disconnect).
    pub id: String,
    /// Where it comes from; empty for some.
    pub host: String,
    /// The rest of the id.
    pub port: String,
    /// What it calls itself.
    pub name: String,
    /// Octets that wait for it.
    pub outbuffer: u64,
    /// Octets of a line that is not whole.
    pub inbuffer: u64,
    /// A linked server.
    pub is_link: bool,
    /// It sees what others say.
    pub is_monitor: bool,
    /// Its last sign of life, in seconds since 1970; 0 if none is wanted of it.
    pub last_ping: f64,
    /// When the server last gave it one, if it is a link.
    pub last_link_ping: f64,
    /// Since when it takes nothing.
    pub write_fail: f64,
    /// Every field as it came, those above too.
    pub fields: Vec<(String, String)>,
}

impl Client {
    pub(super) fn read(line: &[u8]) -> Client {
        let lossy = |text: &[u8]| String::from_utf8_lossy(text).into_owned();
        let mut client = Client {
            fields: Fields(line).map(|(name, value)| (lossy(name), lossy(value))).collect(),
            ..Client::default()
        };
        for (name, value) in &client.fields {
            let number = || value.parse().unwrap_or(0);
            let time = || value.parse().unwrap_or(0.0);
            match name.as_str() {
                "CID" => client.id.clone_from(value),
                "HOST" => client.host.clone_from(value),
                "PORT" => client.port.clone_from(value),
                "CLIENTINFO" => client.name.clone_from(value),
                "OUTBUFFER_LENGTH" => client.outbuffer = number(),
                "INBUFFER_LENGTH" => client.inbuffer = number(),
                "INTERCLACKS" => client.is_link = value == "1",
                "MONITOR" => client.is_monitor = value == "1",
                "LASTPING" => client.last_ping = time(),
                "LASTINTERCLACKSPING" => client.last_link_ping = time(),
                "WRITEFAILTIME" => client.write_fail = time(),
                _ => {}
            }
        }
        client
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_of_the_page_and_one_of_another_version() {
        let client = Client::read(
            b"CID=127.0.0.1:59498:1;HOST=127.0.0.1;PORT=59498:1;CLIENTINFO=probe;OUTBUFFER_LENGTH=17;INBUFFER_LENGTH=0;\
              INTERCLACKS=0;MONITOR=1;LASTPING=1795189745.21447;LASTINTERCLACKSPING=0;WRITEFAILTIME=0;",
        );
        assert_eq!((&client.id[..], &client.port[..], &client.name[..]), ("127.0.0.1:59498:1", "59498:1", "probe"));
        assert_eq!((client.outbuffer, client.is_link, client.is_monitor), (17, false, true));
        assert_eq!((client.last_ping, client.fields.len()), (1_795_189_745.214_47, 11));
        let client = Client::read(b"CID=x;OUTBUFFER_LENGTH=-4;LASTPING=soon;NEW=a=b;;junk;INTERCLACKS=1");
        assert_eq!((&client.id[..], client.outbuffer, client.last_ping, client.is_link), ("x", 0, 0.0, true));
        assert_eq!(client.fields[3], ("NEW".into(), "a=b".into()));
    }
}
