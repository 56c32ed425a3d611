//! What messages from the daemon mean to a session, and what waits for the program.
//!
//! Owns: whether the service is registered, what is answered without the program
//! (`wire/communicator.md` section 8.2), and the queue of events. Does not own the socket
//! (`turn.rs`) nor how messages are spelled (`message.rs`).

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use chappe_core::dialect::communicator::address;
use chappe_core::dialect::communicator::command::Command;
use chappe_core::dialect::communicator::number::Timespec;
use chappe_core::dialect::communicator::translate::REPLY;

use super::event::{Event, Missed, Why};
use super::session::{Session, serial};
use super::{Answers, Message, Options};
use crate::lines::Fate;

/// Octets of answers that may wait beside what the program says.
const FOR_ANSWERS: usize = 256 << 10;

/// Events that wait for the program.
#[derive(Debug)]
pub(super) struct Queue {
    events: VecDeque<Event>,
    bytes: usize,
    most: usize,
    most_bytes: usize,
    pub(super) missed: Missed,
}

impl Queue {
    pub(super) fn new(options: &Options) -> Self {
        let (most, most_bytes) = (options.queue.max(1), options.queue_bytes);
        Queue { events: VecDeque::new(), bytes: 0, most, most_bytes, missed: Missed::default() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    pub(super) fn is_full(&self) -> bool {
        self.events.len() >= self.most || self.bytes >= self.most_bytes
    }

    pub(super) fn pop(&mut self) -> Option<Event> {
        let event = self.events.pop_front()?;
        self.bytes -= event.size();
        Some(event)
    }

    /// What there is no room for is counted.
    pub(super) fn push(&mut self, event: Event) {
        if self.is_full() {
            self.missed.events += 1;
            return;
        }
        self.force(event);
    }

    /// What must not be missing: these are few, and of two attempts in a row that failed only the
    /// last is kept.
    pub(super) fn push_about_connection(&mut self, event: Event) {
        let is_failure = |event: &Event| matches!(event, Event::Unreachable { .. });
        if is_failure(&event) && self.events.back().is_some_and(is_failure) {
            self.bytes -= self.events.pop_back().map_or(0, |event| event.size());
        }
        // a daemon that comes and goes while the program is elsewhere must not fill the memory
        let most = self.most.saturating_mul(2).saturating_add(16);
        if self.events.len() >= most {
            self.missed.events += 1;
            return;
        }
        self.force(event);
    }

    fn force(&mut self, event: Event) {
        self.bytes += event.size();
        self.events.push_back(event);
    }
}

impl Session {
    /// One message came.
    pub(super) fn listen_to(&mut self, m: Message) {
        let known = m.known();
        self.last_words = match known {
            Some(Command::Invalid) if m.get("command").is_none() => m.text("message").map(Into::into),
            _ => None,
        };
        if !self.ready {
            return self.listen_to_registrar(m, known);
        }
        if self.is_proof(&m, known) {
            return;
        }
        if self.conditions.note(&m, known) {
            return;
        }
        if self.options.answers == Answers::Nothing {
            return self.queue.push(Event::Message(m));
        }
        self.act(m, known);
    }

    /// While the service is not registered. Only the daemon knows this connection then.
    fn listen_to_registrar(&mut self, m: Message, known: Option<Command>) {
        let about = m.text("command").unwrap_or_default();
        let is_about = matches!(&*about, "" | "REGISTER");
        match known {
            Some(Command::Ready) => {
                m.from_server.clone_into(&mut self.server);
                let my_address = m.text("my_address").and_then(|text| address::parse(text.as_bytes(), 0));
                self.is_there(Event::Ready { server: m.from_server, my_address });
            }
            Some(Command::Invalid) if is_about => {
                let text = m.text("message").unwrap_or_else(|| "it does not say why".into()).into_owned();
                self.refused(text);
            }
            Some(Command::Unknown) if is_about => self.not_communicator("it does not know REGISTER".into()),
            _ if self.options.answers == Answers::Nothing => self.queue.push(Event::Message(m)),
            _ => self.act(m, known),
        }
    }

    /// Whether it proves that the daemon has read what was sent before an `ALIVE` of the session's own.
    fn is_proof(&mut self, m: &Message, known: Option<Command>) -> bool {
        match known {
            Some(Command::Absolutely) => {
                let number = m.text("serial").and_then(|text| text.strip_prefix("flush_")?.parse().ok());
                let number = number.filter(|n: &u64| *n <= self.asked && m.text("serial") == Some(serial(*n).into()));
                self.proved = self.proved.max(number.unwrap_or(0));
                number.is_some()
            }
            // programs that are no daemons do not know it, and say so
            Some(Command::Unknown | Command::Invalid) if self.proved < self.asked => {
                let is_it = m.get("command") == Some(b"ALIVE");
                if is_it {
                    self.proved += 1;
                }
                is_it
            }
            _ => false,
        }
    }

    /// Answers what is to be answered without the program, and hands out the rest.
    fn act(&mut self, m: Message, known: Option<Command>) {
        match known {
            Some(Command::Help) => {
                let list = self.command_list(&m);
                self.reply(&list);
            }
            Some(Command::Alive) => {
                let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                let nanos = i64::try_from(now.as_nanos()).unwrap_or(i64::MAX);
                let at = format!("{:.9}", Timespec::from_nanos(nanos));
                let mut answer = m.reply("ABSOLUTELY").with("reply_timestamp", at);
                for key in ["serial", "timestamp"] {
                    // what is empty nobody may send (section 1.10)
                    if let Some(value) = m.get(key).filter(|value| !value.is_empty()) {
                        answer = answer.with(key, value);
                    }
                }
                self.reply(&answer);
            }
            Some(Command::Ready) => m.from_server.clone_into(&mut self.server),
            Some(Command::Stop) => self.stop(),
            Some(Command::Quitting) if self.options.outlive => self.lose(Why::Quitting),
            Some(Command::Quitting) => {
                self.queue.push_about_connection(Event::Quitting);
                self.lose_for_good(Why::Quitting);
            }
            Some(Command::Disconnecting) => self.lose(Why::Disconnecting),
            _ if self.is_for_program(&m, known) => self.queue.push(Event::Message(m)),
            _ => {
                let answer = m.reply("UNKNOWN").with("command", &m.command);
                self.reply(&answer);
            }
        }
    }

    /// A datagram came. There is nobody to answer to.
    pub(super) fn signal(&mut self, message: Message, from: SocketAddr) {
        match message.known() {
            Some(Command::Stop) if self.options.answers != Answers::Nothing => self.stop(),
            _ => self.queue.push(Event::Signal { message, from }),
        }
    }

    fn stop(&mut self) {
        if self.leaving.is_none() {
            self.queue.push_about_connection(Event::Stop);
            self.leave(Why::Stopped);
        }
    }

    fn is_for_program(&self, m: &Message, known: Option<Command>) -> bool {
        let is_answer = known.is_some_and(Command::is_answer) || m.command == REPLY;
        let is_standard = known.is_some_and(|c| c.is_of_clients() || is_of_daemons(c));
        is_answer || is_standard || self.options.answers == Answers::Standard || self.commands.contains(&m.command)
    }

    /// Says something without the program. What cannot be said is because of what the other side has
    /// said, and what there is no room for because it does not read.
    fn reply(&mut self, message: &Message) {
        // what the program has put there must not be in the way
        let room = if self.ready { self.options.outbox.saturating_add(FOR_ANSWERS) } else { FOR_ANSWERS };
        let waits = if self.ready { self.outbox.len() } else { self.first.len() };
        if waits >= room || self.put(message, Fate::Dropped).is_err() {
            self.queue.missed.odd += 1;
        }
    }
}

/// What daemons say to who wants to know, and never an order.
fn is_of_daemons(command: Command) -> bool {
    use Command::*;
    matches!(
        command,
        ClockStable
            | ClockUnstable
            | ClusterComplete
            | ClusterDown
            | ClusterIncomplete
            | ClusterUp
            | Disconnected
            | Hangup
            | IplockCurrentStatus
            | Loadavg
            | NewRemoteConnection
            | ServerPublicIp
            | Status
            | Unreachable
    )
}
