//! Somebody at the daemon, of any dialect, who can hear what is said to a group and say
//! something to it.

use std::io::{self, Read, Write};

use chappe_core::dialect::messi::repr::{Hello, Join, Letter, ServerToClient, Watch};
use chappe_core::dialect::messi::wire::kind;
use serde_json::json;
use socket2::SockRef;

use crate::house::{House, Tongue, Way};
use crate::support::{Station, Stream, clacks, communicator, frame, msgq};

/// One connection that is in.
pub(crate) enum Member {
    Native(Station),
    Msgq(msgq::Client),
    Clacks(clacks::Client),
    Communicator(communicator::Client),
}

impl Member {
    /// Comes in and hears what is said to `group`, a name that every dialect can have: capitals.
    pub(crate) fn of(house: &House, way: Way, name: &str, group: &str) -> Member {
        match way.tongue() {
            Tongue::Native => {
                let mut station = Station::new(house.connect(way));
                station.hello(name);
                station.join(group);
                Member::Native(station)
            }
            Tongue::Msgq => {
                let mut client = msgq::Client::new(house.address(way));
                client.join(group);
                Member::Msgq(client)
            }
            Tongue::Clacks => {
                let mut client = clacks::Client::mute(house.connect(way)).greeted();
                client.login("anybody", "anything");
                client.say("NOPING");
                client.listen(group);
                Member::Clacks(client)
            }
            Tongue::Communicator => {
                Member::Communicator(communicator::Client::new(house.connect(way)).service(name, group))
            }
        }
    }

    pub(crate) fn send(&mut self, group: &str, text: &str) {
        match self {
            Member::Native(station) => station.send(group, text.as_bytes()),
            Member::Msgq(client) => client.send(group, text.as_bytes()),
            Member::Clacks(client) => client.say(&format!("SET {group}={text}")),
            Member::Communicator(client) => client.say(&format!("./{group} v={text}")),
        }
    }

    /// The text of the next message.
    pub(crate) fn hear(&mut self) -> String {
        self.try_hear().expect("a message, not the end")
    }

    /// The text of the next message; `None`: the end of the connection.
    pub(crate) fn try_hear(&mut self) -> Option<String> {
        match self {
            Member::Native(station) => loop {
                let heard = station.next()?;
                if heard.kind == kind::SERVER_TO_CLIENT
                    && let ServerToClient::Message(letter) = heard.message()
                {
                    return Some(String::from_utf8(letter.body.to_vec()).unwrap());
                }
            },
            Member::Msgq(client) => loop {
                let heard = client.next()?;
                if heard.head()["type"] == "send" {
                    return Some(String::from_utf8(heard.body).unwrap());
                }
            },
            Member::Clacks(client) => loop {
                if let Some((_, text)) = client.next()?.strip_prefix("SET ").and_then(|rest| rest.split_once('=')) {
                    return Some(text.to_owned());
                }
            },
            Member::Communicator(client) => loop {
                if let Some((_, text)) = client.next()?.split_once(" v=") {
                    return Some(text.to_owned());
                }
            },
        }
    }

    /// Takes some of what is there, however it is framed, and reads no further. 0: the end.
    pub(crate) fn take(&mut self, most: usize) -> usize {
        let mut room = vec![0; most];
        let result = match self {
            Member::Msgq(client) => client.stream.read(&mut room),
            Member::Native(Station { stream, .. })
            | Member::Clacks(clacks::Client { stream, .. })
            | Member::Communicator(communicator::Client { stream, .. }) => stream.both().0.read(&mut room),
        };
        // a reset, or TLS without its last word, is an end like any other
        result.unwrap_or(0)
    }

    /// Whether it is still in and answered; what it hears meanwhile is not lost, but for a
    /// native station.
    pub(crate) fn is_alive(&mut self) -> bool {
        match self {
            Member::Native(station) => station.is_alive(),
            Member::Msgq(client) => client.is_alive(),
            Member::Clacks(client) => {
                client.sync();
                true
            }
            Member::Communicator(client) => {
                client.sync();
                true
            }
        }
    }

    /// Only its connection.
    pub(crate) fn into_stream(self) -> Stream {
        match self {
            Member::Native(station) => station.stream,
            Member::Msgq(client) => Stream::Unix(client.stream),
            Member::Clacks(client) => client.stream,
            Member::Communicator(client) => client.stream,
        }
    }

    /// Takes little from the kernel at a time.
    pub(crate) fn narrow(&self) {
        let result = match self {
            Member::Msgq(client) => SockRef::from(&client.stream).set_recv_buffer_size(65_536),
            Member::Native(Station { stream, .. })
            | Member::Clacks(clacks::Client { stream, .. })
            | Member::Communicator(communicator::Client { stream, .. }) => match stream {
                Stream::Tcp(s) => SockRef::from(s).set_recv_buffer_size(65_536),
                Stream::Unix(s) => SockRef::from(s).set_recv_buffer_size(65_536),
                Stream::Tls(s) => SockRef::from(&s.sock).set_recv_buffer_size(65_536),
                Stream::File(_) => Ok(()),
            },
        };
        result.unwrap();
    }
}

/// What a client of this dialect says first: it comes in, joins `group` and something of its own,
/// asks `asked`, wants to be told things, and says something of `size` octets to nobody.
pub(crate) fn opening(tongue: Tongue, n: usize, asked: &str, group: &str, size: usize) -> Vec<u8> {
    let body = "x".repeat(size);
    match tongue {
        Tongue::Native => {
            let name = format!("vanish::{n}");
            let mut bytes = frame(Hello { seq: 1, name: "vanishes", ..Hello::default() });
            for name in [&name, "vanish::*", group] {
                bytes.extend(frame(Join { seq: 2, name, ..Join::default() }));
            }
            bytes.extend(frame(Watch { seq: 3, name: &name, stations: true, members: true, ..Watch::default() }));
            bytes.extend(frame(Letter {
                seq: 4,
                name: asked,
                verb: "ASK",
                ask: true,
                body: b"?",
                ..Letter::default()
            }));
            bytes.extend(frame(Letter { name: "nobody", verb: "SET", body: body.as_bytes(), ..Letter::default() }));
            bytes
        }
        Tongue::Msgq => {
            let mut bytes = msgq::frame(&json!({"type": "getlname"}), b"");
            for group in [&format!("vanish{n}"), group] {
                bytes.extend(msgq::frame(&json!({"type": "subscribe", "group": group, "instance": "*"}), b""));
            }
            let ask = json!({"type": "send", "from": "x", "to": "*", "group": asked, "instance": "*", "seq": 1,
                             "want_answer": true});
            bytes.extend(msgq::frame(&ask, b"{\"command\": [\"ask\"]}"));
            let say = json!({"type": "send", "from": "x", "to": "*", "group": "nobody", "instance": "*", "seq": 2});
            bytes.extend(msgq::frame(&say, body.as_bytes()));
            bytes
        }
        Tongue::Clacks => {
            let mut bytes = clacks::login("anybody", "anything");
            let words = ["LISTEN vanish", &format!("LISTEN vanish{n}"), &format!("LISTEN {group}"), "KEYLIST"];
            bytes.extend(words.join("\r\n").bytes());
            bytes.extend(format!("\r\nFLUSH {n}\r\nSET nobody={body}\r\n").bytes());
            bytes
        }
        Tongue::Communicator => {
            let list = format!("HELP,QUITTING,READY,STOP,UNKNOWN,VANISH{n},{group}");
            format!(
                "REGISTER service=vanish{n};version=1\nCOMMANDS list={list}\n{asked}/ASK\nLIST_SERVICES\n\
                 ./NOBODY a={body}\n"
            )
            .into()
        }
    }
}

/// Writes, whatever becomes of it.
pub(crate) fn write(stream: &mut Stream, bytes: &[u8]) -> io::Result<()> {
    match stream {
        Stream::Tcp(s) => s.write_all(bytes),
        Stream::Unix(s) => s.write_all(bytes),
        Stream::File(s) => s.write_all(bytes),
        Stream::Tls(s) => s.write_all(bytes).and_then(|()| s.flush()),
    }
}
