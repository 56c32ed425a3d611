//! A message of its own, with all that belongs to it.
//!
//! Owns: messages as programs hold them, and why one cannot be sent. Does not own how they are
//! spelled: that is `chappe_core::dialect::communicator`, for reading and for writing.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use chappe_core::dialect::communicator::command::Command;
use chappe_core::dialect::communicator::emit::{self, Edit, Form, Unsaid};
use chappe_core::dialect::communicator::repr::{self, Fault, Params};
use chappe_core::dialect::communicator::text::Text;
use chappe_core::dialect::communicator::{name, number, parse, udp};

/// Octets of a line beside names and values: signs and the end.
const AROUND: usize = 16;

/// What a service sends or hears: a command with parameters, from somebody, to somebody.
///
/// ```
/// use chappe_linux::communicator::Message;
///
/// let m = Message::new("REFRESH").to("bar").with("depth", "2").report_failure();
/// assert_eq!(m.to_string(), "bar/REFRESH depth=2;transmission_report=failure");
/// assert_eq!(m, "bar/REFRESH transmission_report=failure;depth=2".parse().unwrap());
/// ```
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Message {
    /// Server that it says it is from; the daemon says so for who is registered.
    pub from_server: String,
    /// Service that it says it is from.
    pub from_service: String,
    /// Server it is for: a name, `.`, `*`, `?`, or empty.
    pub server: String,
    /// Service it is for: a name, or `.`, `?`, `*` for all that have announced the command. Empty:
    /// the daemon.
    pub service: String,
    /// What it says.
    pub command: String,
    /// And with what.
    pub params: BTreeMap<String, Vec<u8>>,
}

/// What a daemon does with a message for a service that is declared and not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Caching {
    /// It does not wait.
    No,
    /// It does not wait, and the sender is told so by `SERVICE_UNAVAILABLE`.
    NoAndReply,
    /// It waits so long: 10 s to 24 h, in whole seconds; parts of one count as one.
    For(Duration),
}

impl Message {
    /// To the daemon, without parameters.
    pub fn new(command: impl Into<String>) -> Self {
        Message { command: command.into(), ..Message::default() }
    }

    /// The same to somebody else: `service`, `server:service`, or one of `.`, `?`, `*`.
    pub fn to(mut self, destination: &str) -> Self {
        let (server, service) = destination.split_once(':').unwrap_or(("", destination));
        (self.server, self.service) = (server.to_owned(), service.to_owned());
        self
    }

    /// With this parameter too, or in place of what it was.
    pub fn with(mut self, key: impl Into<String>, value: impl AsRef<[u8]>) -> Self {
        self.params.insert(key.into(), value.as_ref().to_owned());
        self
    }

    /// With what becomes of it if the service is not there. Without this it waits 60 s, if the
    /// service is declared.
    pub fn cache(self, caching: Caching) -> Self {
        let value = match caching {
            Caching::No => "no".to_owned(),
            Caching::NoAndReply => "no;reply".to_owned(),
            Caching::For(span) => format!("ttl={}", span.as_secs() + u64::from(span.subsec_nanos() > 0)),
        };
        self.with("cache", value)
    }

    /// With the wish to be told by `TRANSMISSION_REPORT` if it waits or is lost.
    pub fn report_failure(self) -> Self {
        self.with("transmission_report", "failure")
    }

    /// The answer to this message: to who has sent it. If that is nobody in particular, to who is at
    /// the other end.
    pub fn reply(&self, command: impl Into<String>) -> Message {
        let server = if self.from_service.is_empty() { "" } else { &self.from_server };
        Message {
            server: server.to_owned(),
            service: self.from_service.clone(),
            command: command.into(),
            ..Message::default()
        }
    }

    /// Which of the page's commands it is.
    pub fn known(&self) -> Option<Command> {
        Command::of(self.command.as_bytes())
    }

    /// The octets of a parameter.
    pub fn get(&self, key: &str) -> Option<&[u8]> {
        self.params.get(key).map(Vec::as_slice)
    }

    /// A parameter as text. What is no UTF-8 in it is replaced.
    pub fn text(&self, key: &str) -> Option<Cow<'_, str>> {
        self.get(key).map(String::from_utf8_lossy)
    }

    /// A parameter that is a whole number (section 1.5).
    pub fn integer(&self, key: &str) -> Option<i64> {
        self.get(key).and_then(|value| number::integer(Text::Plain(value)).ok())
    }

    /// Reads a line or datagram, in either form.
    ///
    /// # Errors
    ///
    /// [`BadMessage`] says why it is none. It is none too if a name in it is no UTF-8.
    pub fn read(line: &[u8]) -> Result<Message, BadMessage> {
        let mut spare = [0; parse::ROOM_FOR_NAMES];
        let m = parse::message(line, &mut spare).map_err(BadMessage::Fault)?;
        Message::of(&m)
    }

    pub(super) fn of(m: &repr::Message<'_>) -> Result<Message, BadMessage> {
        let text = |name: &[u8]| String::from_utf8(name.to_owned()).map_err(|_| BadMessage::Names);
        let mut params = BTreeMap::new();
        for (key, value) in &m.params {
            let key = String::from_utf8(key.octets().collect()).map_err(|_| BadMessage::Names)?;
            params.insert(key, value.octets().collect());
        }
        Ok(Message {
            from_server: text(m.from_server)?,
            from_service: text(m.from_service)?,
            server: text(m.server)?,
            service: text(m.service)?,
            command: text(m.command)?,
            params,
        })
    }

    /// Writes it as a line with its LF, in the string form.
    ///
    /// # Errors
    ///
    /// [`Unsayable`] names what cannot be said, which is also what a genuine daemon would choke on:
    /// names that are none, commands that are not in capitals.
    pub fn line(&self, limit: usize) -> Result<Vec<u8>, Unsayable> {
        self.check()?;
        let line = self.written(self.room(), |m, out| emit::line(m, Edit::NONE, Form::Text, out))?;
        if line.len() > limit {
            return Err(Unsayable::new(self, format!("it has {} bytes, more than {limit}", line.len())));
        }
        Ok(line)
    }

    /// Writes it as a datagram, with the secret if there is one.
    ///
    /// # Errors
    ///
    /// As [`Message::line`]; also if it has more than 1,024 bytes with the secret.
    pub fn datagram(&self, secret: &[u8]) -> Result<Vec<u8>, Unsayable> {
        self.check()?;
        let size = self.written(self.room(), |m, out| emit::line(m, Edit::NONE, Form::Text, out))?.len() - 1;
        match self.written(udp::MAX_DATAGRAM, |m, out| udp::datagram(m, secret, out)) {
            Err(_) if size + secret.len() > udp::MAX_DATAGRAM / 2 => {
                let secret = if secret.is_empty() { "" } else { " with the secret code" };
                let limit = udp::MAX_DATAGRAM;
                Err(Unsayable::new(self, format!("it has more than {limit} bytes{secret}, and no datagram has more")))
            }
            result => result,
        }
    }

    /// Octets that it has at the most.
    fn room(&self) -> usize {
        let names = [&self.from_server, &self.from_service, &self.server, &self.service, &self.command];
        let values: usize = self.params.iter().map(|(key, value)| key.len() + 2 * value.len() + 4).sum();
        names.iter().map(|name| name.len()).sum::<usize>() + values + AROUND
    }

    fn written(
        &self,
        room: usize,
        write: impl FnOnce(&repr::Message<'_>, &mut [u8]) -> Result<usize, Unsaid>,
    ) -> Result<Vec<u8>, Unsayable> {
        let pairs: Vec<_> = self.params.iter().map(|(k, v)| (Text::from(k.as_str()), Text::from(&v[..]))).collect();
        let m = repr::Message {
            from_server: self.from_server.as_bytes(),
            from_service: self.from_service.as_bytes(),
            server: self.server.as_bytes(),
            service: self.service.as_bytes(),
            command: self.command.as_bytes(),
            params: Params::listed(&pairs),
            asks: true,
            raw: b"",
        };
        let mut out = vec![0; room];
        let size = write(&m, &mut out).map_err(|why| Unsayable::new(self, why.text().to_owned()))?;
        out.truncate(size);
        Ok(out)
    }

    /// Whether all names are some.
    fn check(&self) -> Result<(), Unsayable> {
        let bad = |what: &str, text: &str, rule: &str| {
            Err(Unsayable::new(self, format!("{what} {:?} is none: {rule}", shortened(text))))
        };
        const NAMES: &str = "write a letter or `_`, then letters, digits and `_`";
        if !name::is_command(self.command.as_bytes()) {
            return bad("the command", &self.command, "write capitals, digits and `_`, no digit in front");
        }
        for (what, text) in [("the service", &self.service), ("the server", &self.server)] {
            let is_word = matches!(text.as_str(), "" | "." | "*" | "?");
            if !is_word && !name::is_name(text.as_bytes()) {
                return bad(what, text, &format!("{NAMES}, or `.`, `?`, `*` for all"));
            }
        }
        for (what, text) in [("the sender's service", &self.from_service), ("the sender's server", &self.from_server)] {
            if !text.is_empty() && !name::is_name(text.as_bytes()) {
                return bad(what, text, NAMES);
            }
        }
        // the string form leaves it out, and the next daemon would do what was meant for another
        if self.service.is_empty() && !self.server.is_empty() {
            let text = format!("a server without a service: for its daemon write {}:communicatord", self.server);
            return Err(Unsayable::new(self, text));
        }
        match self.params.keys().find(|key| !name::is_name(key.as_bytes())) {
            Some(key) => bad("the name of a parameter", key, NAMES),
            None => Ok(()),
        }
    }
}

/// As [`Message::read`]: what a person has typed.
impl FromStr for Message {
    type Err = BadMessage;

    fn from_str(text: &str) -> Result<Message, BadMessage> {
        if text.contains('\n') {
            return Err(BadMessage::TwoLines);
        }
        Message::read(text.as_bytes())
    }
}

/// As it is written, without its end; what is no UTF-8 in it is replaced. Not fit for a terminal if
/// it came from somebody else. A message that cannot be written shows its command.
impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.written(self.room(), |m, out| emit::line(m, Edit::NONE, Form::Text, out)) {
            Ok(line) => f.write_str(&String::from_utf8_lossy(&line[..line.len() - 1])),
            Err(_) => f.write_str(&self.command),
        }
    }
}

/// Why something is no message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadMessage {
    /// It is not spelled as one.
    Fault(Fault),
    /// A name in it is no UTF-8.
    Names,
    /// It has more than one line.
    TwoLines,
}

impl fmt::Display for BadMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            BadMessage::Fault(fault) => fault.text(),
            BadMessage::Names => "a name that is no text",
            BadMessage::TwoLines => "more than one line",
        })
    }
}

impl std::error::Error for BadMessage {}

/// What cannot be said, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsayable {
    command: String,
    why: String,
}

impl Unsayable {
    pub(super) fn new(m: &Message, why: String) -> Self {
        Unsayable { command: shortened(&m.command), why }
    }
}

impl fmt::Display for Unsayable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.command.escape_debug(), self.why)
    }
}

impl std::error::Error for Unsayable {}

fn shortened(text: &str) -> String {
    const MOST: usize = 60;
    match text.char_indices().nth(MOST) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn read_and_written_as_the_page_has_it() {
        for line in [
            "STOP",
            "<remote:firewall jungle:watchdog/CONNECT race=true;version=1",
            "<:ed_signal communicatord/LIST_SERVICES",
            "./LOG_ROTATE",
            r#"CMD a="x;y";b=2"#,
            r"CMD a=one\ntwo\r\\three",
        ] {
            let m: Message = line.parse().unwrap();
            assert_eq!(m.to_string(), line);
            assert_eq!(m.line(1000).unwrap(), format!("{line}\n").into_bytes());
        }
        let json: Message = r#"{"service":"bar","command":"A","parameters":{"n":1e3}}"#.parse().unwrap();
        assert_eq!(json.to_string(), "bar/A n=1000");
        assert_eq!(json.integer("n"), Some(1000));
        assert_eq!("A\nSTOP".parse::<Message>(), Err(BadMessage::TwoLines));
        assert_eq!(Message::read(b"\xff:x/A"), Err(BadMessage::Names));
        assert!("CMD a".parse::<Message>().unwrap_err().to_string().contains("without `=`"));
    }

    #[test]
    fn an_answer_goes_to_who_has_asked() {
        let asked: Message = "<hostA:foo bar/FROB".parse().unwrap();
        assert_eq!(asked.reply("UNKNOWN").with("command", "FROB").to_string(), "hostA:foo/UNKNOWN command=FROB");
        assert_eq!("HI".parse::<Message>().unwrap().reply("DAD").to_string(), "DAD");
    }

    #[test]
    fn waiting_is_said_as_the_page_has_it() {
        let m = || Message::new("REFRESH").to("hostA:bar");
        assert_eq!(m().cache(Caching::NoAndReply).to_string(), r#"hostA:bar/REFRESH cache="no;reply""#);
        assert_eq!(m().cache(Caching::No).to_string(), "hostA:bar/REFRESH cache=no");
        let half = Caching::For(Duration::from_millis(29_500));
        assert_eq!(m().cache(half).to_string(), "hostA:bar/REFRESH cache=ttl=30");
    }

    #[test]
    fn what_cannot_be_said_is_named() {
        for (m, why) in [
            (Message::new("stop"), "the command"),
            (Message::new(""), "the command"),
            (Message::new("A").to("a-b"), "the service \"a-b\""),
            (Message::new("A").to("a.b:c"), "the server \"a.b\""),
            (Message::new("A").with("a b", ""), "name of a parameter"),
            (Message::new("A").with("a", "x\0"), "a value with a NUL"),
            (Message::new("A").with("a", r"x;y\"), "backslash"),
            (Message { from_service: "x y".into(), ..Message::new("A") }, "sender's service"),
            (Message { server: "jungle".into(), ..Message::new("STOP") }, "jungle:communicatord"),
            (Message::new("A").with("a", [b'x'; 100]), "105 bytes, more than 100"),
        ] {
            let error = m.line(100).expect_err(why).to_string();
            assert!(error.contains(why), "{error}");
        }
    }

    #[test]
    fn a_datagram_has_its_size() {
        let m = Message::new("A").with("a", vec![b'x'; 1020]);
        assert_eq!(m.datagram(b"").unwrap().len(), 1024);
        assert_eq!(m.line(2000).unwrap().len(), 1025);
        for (m, secret, why) in [
            (m.clone(), &b"s"[..], "more than 1024 bytes with the secret code"),
            (m.with("b", ""), b"", "more than 1024 bytes,"),
        ] {
            let error = m.datagram(secret).unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
        let m: Message = "<host:chappe ./LOG_ROTATE".parse().unwrap();
        assert_eq!(m.datagram(b"a;b").unwrap(), br#"<host:chappe ./LOG_ROTATE secret_code="a;b""#);
    }
}
