//! What a line says, borrowed: what clients and linked servers send, and what servers send.
//!
//! Owns: one variant for each line of sections 6 and 7 of `wire/clacks.md`, who may send it,
//! and which lines cross a link. All parts are octets without CR and LF: this dialect wants
//! no UTF-8. Does not own how lines are read (`parse.rs`) and written (`emit.rs`), nor what
//! the flags of an overhead mean (`overhead.rs`).

use super::time::Time;

/// A line to a server: section 6, one variant a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "names and parts are those of the table")]
pub enum Command<'f> {
    /// What the client is called, for people.
    Clacks(&'f [u8]),
    Overhead(Overhead<'f>),
    Notify(&'f [u8]),
    Set {
        name: &'f [u8],
        value: &'f [u8],
    },
    SetAndStore {
        name: &'f [u8],
        value: &'f [u8],
    },
    Store {
        name: &'f [u8],
        value: &'f [u8],
    },
    Retrieve(&'f [u8]),
    Remove(&'f [u8]),
    /// Without a step it is 1.
    Increment {
        name: &'f [u8],
        step: Option<&'f [u8]>,
    },
    /// Without a step it is 1.
    Decrement {
        name: &'f [u8],
        step: Option<&'f [u8]>,
    },
    KeyList,
    ClearCache,
    Listen(&'f [u8]),
    Unlisten(&'f [u8]),
    Ping,
    NoPing,
    Quit,
    Flush(&'f [u8]),
    Monitor,
    Unmonitor,
    ClientList,
    ClientDisconnect(&'f [u8]),
    KeySync(KeySync<'f>),
    /// Of a link only; from anybody else an unknown command.
    Timeout,
    /// Anything else: the whole line.
    Unknown(&'f [u8]),
}

/// Flags and what goes with them, in both directions (section 9).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Overhead<'f> {
    /// Letters, in any order, known or not.
    pub flags: &'f [u8],
    /// Empty if there is none; then the line has no effect.
    pub text: &'f [u8],
}

/// An entry of a store on its way over a link (section 12.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeySync<'f> {
    /// When it was changed, by the sender's clock.
    pub modified: Time,
    /// When it was last read or changed, by the sender's clock; 0 for a deletion mark.
    pub accessed: Time,
    /// A deletion mark; the value means nothing.
    pub deleted: bool,
    #[allow(missing_docs, reason = "names and parts are those of the table")]
    pub name: &'f [u8],
    #[allow(missing_docs, reason = "names and parts are those of the table")]
    pub value: &'f [u8],
}

impl KeySync<'_> {
    /// By a clock that differs by `by` microseconds from the sender's.
    pub const fn moved(self, by: i64) -> Self {
        KeySync { modified: self.modified.moved(by), accessed: self.accessed.moved(by), ..self }
    }
}

/// What a user must be permitted (section 5). Each is one right; none includes another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[allow(missing_docs, reason = "names are those of the table")]
pub enum Need {
    /// Only to be logged in, if that.
    Nothing,
    Read,
    Write,
    Manage,
    Interclacks,
}

impl Command<'_> {
    /// What it takes to be obeyed. An overhead says itself, by its flags:
    /// [`Plan`](super::overhead::Plan). `TIMEOUT` is not denied to who has no link but unknown.
    pub const fn need(&self) -> Need {
        match self {
            Command::Retrieve(_) | Command::KeyList | Command::Listen(_) | Command::Unlisten(_) => Need::Read,
            Command::Notify(_)
            | Command::Set { .. }
            | Command::SetAndStore { .. }
            | Command::Store { .. }
            | Command::Remove(_)
            | Command::Increment { .. }
            | Command::Decrement { .. } => Need::Write,
            Command::ClearCache
            | Command::Monitor
            | Command::Unmonitor
            | Command::ClientList
            | Command::ClientDisconnect(_) => Need::Manage,
            Command::KeySync(_) | Command::Timeout => Need::Interclacks,
            Command::Clacks(_)
            | Command::Overhead(_)
            | Command::Ping
            | Command::NoPing
            | Command::Quit
            | Command::Flush(_)
            | Command::Unknown(_) => Need::Nothing,
        }
    }

    /// Whether it goes on over every other link if it was obeyed (section 12.4), and only
    /// then: what was denied must not (weak point 1). Overheads go by rules of their own.
    pub const fn crosses(&self) -> bool {
        matches!(
            self,
            Command::Notify(_)
                | Command::Set { .. }
                | Command::SetAndStore { .. }
                | Command::Store { .. }
                | Command::Remove(_)
                | Command::Increment { .. }
                | Command::Decrement { .. }
                | Command::ClearCache
                | Command::KeySync(_)
        )
    }
}

/// A line from a server: section 7, one variant a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "names and parts are those of the table")]
pub enum Line<'f> {
    /// Who it is, for people.
    Clacks(&'f [u8]),
    Overhead(Overhead<'f>),
    Notify(&'f [u8]),
    Set {
        name: &'f [u8],
        value: &'f [u8],
    },
    /// Key, `=` and value: where the key ends, only the asker knows. See [`Line::value_of`].
    Retrieved(&'f [u8]),
    NotRetrieved(&'f [u8]),
    KeyListStart,
    Key(&'f [u8]),
    KeyListEnd,
    ClientListStart,
    Client(Fields<'f>),
    ClientListEnd,
    Flushed(&'f [u8]),
    Debug {
        source: &'f [u8],
        text: &'f [u8],
    },
    Nop,
    Quit,
    Timeout,
    /// What only a linked server is sent.
    Command(Command<'f>),
    /// Anything else: the whole line.
    Unknown(&'f [u8]),
}

impl<'f> Line<'f> {
    /// Behind the greeting.
    pub const LOGIN: Line<'static> = Line::Overhead(Overhead { flags: b"M", text: b"Authentication required" });
    /// The token was right.
    pub const WELCOME: Line<'static> = Line::Overhead(Overhead { flags: b"O", text: b"Welcome!" });
    /// The token was wrong; the end follows, after a while (section 4.3).
    pub const FAILED: Line<'static> = Line::Overhead(Overhead { flags: b"F", text: b"Login failed!" });
    /// It is not permitted. The only answer that such a command gets.
    pub const DENIED: Line<'static> = Line::Overhead(Overhead { flags: b"E", text: b"permission_denied" });

    /// The value, if it is one of `key`.
    pub fn value_of(&self, key: &[u8]) -> Option<&'f [u8]> {
        match self {
            Line::Retrieved(both) => both.strip_prefix(key)?.strip_prefix(b"="),
            _ => None,
        }
    }
}

/// Fields of a [`Line::Client`], names and values, in the order they came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fields<'f>(pub &'f [u8]);

impl<'f> Iterator for Fields<'f> {
    type Item = (&'f [u8], &'f [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let mut parts = self.0.splitn(2, |b| *b == b';');
            let field = parts.next().filter(|_| !self.0.is_empty())?;
            self.0 = parts.next().unwrap_or_default();
            if let Some(at) = field.iter().position(|b| *b == b'=') {
                return Some((field.get(..at)?, field.get(at + 1..)?));
            }
        }
    }
}

impl<'f> Fields<'f> {
    /// The value of a field. Readers must do without any of them (section 8.5).
    pub fn get(&self, name: &str) -> Option<&'f [u8]> {
        let mut fields = *self;
        fields.find(|(n, _)| *n == name.as_bytes()).map(|(_, value)| value)
    }
}

/// What a list of clients says about one of them (section 8.5).
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Client<'f> {
    /// What `CLIENTDISCONNECT` wants; no `=` nor `;`.
    pub id: &'f str,
    /// Its address, if it has one.
    pub host: &'f str,
    /// The rest of the id behind that.
    pub port: &'f str,
    /// What it calls itself.
    pub info: &'f [u8],
    /// Octets that wait for it.
    pub outbuffer: u64,
    /// Octets of a line that is not whole.
    pub inbuffer: u64,
    /// A linked server.
    pub interclacks: bool,
    /// It sees what others say.
    pub monitor: bool,
    /// Its last sign of life; 0 if none is wanted of it.
    pub last_ping: Time,
    /// When this server last gave it one.
    pub last_interclacks_ping: Time,
    /// Since when it takes nothing.
    pub write_fail: Time,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_missing_and_unknown_are_no_trouble() {
        let all = |text| Fields(text).collect::<heapless::Vec<(&[u8], &[u8]), 8>>();
        assert_eq!(
            all(b"CID=a:1;HOST=a;NEW=x=y;")[..],
            [(&b"CID"[..], &b"a:1"[..]), (b"HOST", b"a"), (b"NEW", b"x=y")]
        );
        assert_eq!(all(b"CID=;;junk;MONITOR=1")[..], [(&b"CID"[..], &b""[..]), (b"MONITOR", b"1")]);
        assert_eq!(all(b"")[..], []);
        assert_eq!(all(b";;;x;")[..], []);
        assert_eq!(Fields(b"CID=a;PORT=2;").get("PORT"), Some(&b"2"[..]));
        assert_eq!(Fields(b"CID=a;PORT=2;").get("HOST"), None);
    }

    #[test]
    fn a_key_may_hold_the_sign_that_ends_it() {
        let line = Line::Retrieved(b"a=b=3");
        assert_eq!(line.value_of(b"a=b"), Some(&b"3"[..]));
        assert_eq!(line.value_of(b"a"), Some(&b"b=3"[..]));
        assert_eq!(line.value_of(b"a=b=3"), None);
        assert_eq!(line.value_of(b"b"), None);
        assert_eq!(Line::Nop.value_of(b""), None);
    }

    #[test]
    fn times_are_moved_but_not_what_is_none() {
        let sync = KeySync {
            modified: Time::from_micros(5),
            accessed: Time::ZERO,
            deleted: true,
            name: b"k",
            value: b"REMOVED",
        };
        let moved = sync.moved(10);
        assert_eq!((moved.modified, moved.accessed), (Time::from_micros(15), Time::ZERO));
    }
}
