//! The thread of the shell that speaks to the bus.
//!
//! Owns: what lines mean, the connection, and what is printed. Nothing of what comes from others is
//! printed with control characters.

use std::sync::mpsc::{Receiver, TryRecvError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use chappe_core::dialect::communicator::command::Command as Known;
use chappe_linux::address::{Address, Bus};
use chappe_linux::client::{self, Code, Connection};
use chappe_linux::communicator::{Answers, Datagrams, Error, Event, Message, Options, Session, Uri, Waker};
use serde_json::json;

use super::super::communicator::{from_here, message_json, sender, shown, tagged};
use super::super::connect::Global;
use super::super::exit::Failure;
use super::super::listen::line as letter_line;
use super::super::show::{now, parse_span, plain, span};
use super::complete;

/// How often a native connection is looked at: it has nothing by which another thread could wake it.
const LOOK: Duration = Duration::from_millis(50);

/// How long a shell that is not connected waits for the next line.
const IDLE: Duration = Duration::from_millis(50);

/// Commands of the shell: what is typed behind them, and what they do.
pub(super) const WORDS: [(&str, &str, &str); 8] = [
    ("/connect", "URI [SERVICE]", "connect, and register as SERVICE (cd:, cds:, cdu: or a native address)"),
    ("/disconnect", "", "end the connection in order"),
    ("/announce", "A,B", "announce commands: their broadcasts are heard"),
    ("/listen", "NAME", "join a name (native addresses)"),
    ("/wait", "TIME", "print what comes within this time, before the next line is taken"),
    ("/status", "", "where this shell is connected, and as whom"),
    ("/help", "", "this list; also /? and ?"),
    ("/quit", "", "end; also /q, or Ctrl-D"),
];

/// Where lines are printed.
pub(super) trait Printer: Send {
    fn line(&mut self, text: String) -> Result<(), Failure>;
    fn is_json(&self) -> bool;
}

/// Wakes the thread whatever it waits in. What connection there is changes.
#[derive(Clone, Default)]
pub(super) struct Wake(Arc<Mutex<Option<Waker>>>);

impl Wake {
    pub(super) fn wake(&self) {
        if let Some(waker) = &*self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            // it is looked at again all the same, only later
            let _ = waker.wake();
        }
    }

    fn set(&self, waker: Option<Waker>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = waker;
    }
}

enum Link {
    None,
    Service(Box<Session>),
    Datagrams(Datagrams),
    Native(Box<Connection>),
}

pub(super) struct Talk<'g> {
    global: &'g Global,
    known: Arc<Mutex<complete::Known>>,
    printer: Box<dyn Printer>,
    link: Link,
    wake: Wake,
    /// The services were asked for, for completion only.
    is_asking: bool,
    /// What went wrong first.
    failure: Option<Failure>,
}

impl<'g> Talk<'g> {
    pub(super) fn new(
        global: &'g Global,
        known: Arc<Mutex<complete::Known>>,
        printer: Box<dyn Printer>,
    ) -> Result<Self, Failure> {
        let wake = Wake::default();
        Ok(Talk { global, known, printer, link: Link::None, wake, is_asking: false, failure: None })
    }

    pub(super) fn wake(&self) -> Wake {
        self.wake.clone()
    }

    /// Connects to where the command line says.
    pub(super) fn begin(&mut self, name: Option<&str>, commands: &[String]) -> Result<(), Failure> {
        if !self.global.is_told() {
            if name.is_some() {
                return Err(Failure::usage("--name: at which daemon? say --connect cd://HOST or cd:///PATH"));
            }
            return self.say("not connected: /connect URI [SERVICE]; /help tells more");
        }
        self.connect(self.global.bus(), name.unwrap_or_default(), commands)
    }

    /// Takes lines until there are no more, and all is said.
    pub(super) fn run(mut self, lines: &Receiver<String>) -> Result<(), Failure> {
        loop {
            match lines.try_recv() {
                Ok(line) => {
                    if let Err(failure) = self.line(line.trim()) {
                        self.complain(failure)?;
                    }
                }
                Err(TryRecvError::Empty) => match self.link {
                    Link::None | Link::Datagrams(_) => {
                        if let Ok(line) = lines.recv_timeout(IDLE)
                            && let Err(failure) = self.line(line.trim())
                        {
                            self.complain(failure)?;
                        }
                    }
                    _ => self.look(Some(Duration::from_secs(3600)))?,
                },
                Err(TryRecvError::Disconnected) => break,
            }
        }
        if let Err(failure) = self.disconnect() {
            self.complain(failure)?;
        }
        self.failure.map_or(Ok(()), Err)
    }

    fn say(&mut self, text: impl AsRef<str>) -> Result<(), Failure> {
        if self.global.quiet || self.printer.is_json() {
            return Ok(());
        }
        self.printer.line(text.as_ref().to_owned())
    }

    /// Says what went wrong, and goes on.
    fn complain(&mut self, failure: Failure) -> Result<(), Failure> {
        match failure {
            Failure::Because(status, text) => {
                match self.printer.is_json() {
                    true => self.printer.line(json!({"event": "error", "text": text}).to_string())?,
                    false => self.printer.line(format!("error: {text}"))?,
                }
                self.failure.get_or_insert(Failure::Because(status, "not everything could be done".into()));
                Ok(())
            }
            closed => Err(closed),
        }
    }

    fn line(&mut self, line: &str) -> Result<(), Failure> {
        let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        let rest = rest.trim();
        match word {
            "" => Ok(()),
            "/connect" => {
                let (address, name) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
                let bus: Bus = address.parse().map_err(Failure::usage)?;
                self.disconnect()?;
                self.connect(bus, name.trim(), &[])
            }
            "/disconnect" => {
                self.disconnect()?;
                self.say("disconnected")
            }
            "/announce" => {
                let commands: Vec<_> = rest.split(',').map(str::trim).filter(|c| !c.is_empty()).collect();
                match &mut self.link {
                    Link::Service(session) if session.name().is_empty() => {
                        Err(Failure::usage("this connection is no service: /connect URI SERVICE"))
                    }
                    Link::Service(session) => Ok(session.announce(&commands)?),
                    _ => Err(Failure::usage("only services of a Communicator daemon announce commands")),
                }
            }
            "/listen" => match &mut self.link {
                Link::Native(bus) => Ok(bus.join(rest)?),
                _ => Err(Failure::usage("names are joined at native addresses; here commands are: /announce A,B")),
            },
            "/wait" => {
                let time = parse_span(rest).map_err(Failure::usage)?;
                let end = Instant::now() + time;
                while Instant::now() < end {
                    self.look(Some(end.saturating_duration_since(Instant::now())))?;
                }
                Ok(())
            }
            "/status" => self.status(),
            "/help" | "/?" | "?" => {
                self.printer.line("lines are messages: [[SERVER:]SERVICE/]COMMAND key=value;key=value".into())?;
                self.printer.line("at native addresses: NAME/VERB key=value key=value".into())?;
                WORDS.iter().try_for_each(|(word, what, does)| {
                    self.printer.line(format!("  {:28} {does}", format!("{word} {what}")))
                })
            }
            word if word.starts_with('/') => {
                Err(Failure::usage(format_args!("{word:?} is no command of this shell: /help lists them")))
            }
            _ => self.send(line),
        }
    }

    fn connect(&mut self, bus: Bus, name: &str, commands: &[String]) -> Result<(), Failure> {
        match bus {
            Bus::Communicator(uri) if uri.is_datagrams() => {
                self.link = Link::Datagrams(Datagrams::open(uri.clone(), "")?);
                self.say(format!("datagrams to {uri}: nothing comes back"))
            }
            Bus::Communicator(uri) => self.register(uri, name, commands),
            Bus::Native(address) => {
                if !name.is_empty() {
                    return Err(Failure::usage("at native addresses names are joined: /listen NAME"));
                }
                self.native(address)
            }
            bus => Err(Failure::usage(format_args!(
                "{bus}: the shell speaks to Communicator daemons (cd:, cds:, cdu:) and to nodes at native addresses"
            ))),
        }
    }

    fn register(&mut self, uri: Uri, name: &str, commands: &[String]) -> Result<(), Failure> {
        let name = if name.is_empty() { uri.user() } else { name };
        let options = Options {
            commands: commands.to_vec(),
            // who is nobody is not asked for his commands, and says himself what he wants
            answers: if name.is_empty() { Answers::Nothing } else { Answers::Standard },
            outlive: true,
            ..self.global.communicator_options(&uri, name)?
        };
        let mut session = Session::connect(uri, options)?;
        self.wake.set(Some(session.waker()));
        // what completion offers; a daemon of the original does not answer
        let question = from_here(&session, Message::new("LIST_SERVICES").to("communicatord"));
        session.send(&question)?;
        self.is_asking = true;
        let text = match session.name() {
            "" => format!("connected to {} as nobody", session.uri()),
            name => format!("connected to {} as {name}", session.uri()),
        };
        self.link = Link::Service(Box::new(session));
        self.say(text)
    }

    fn native(&mut self, address: Address) -> Result<(), Failure> {
        let bus = Connection::connect(address, self.global.options()?)?;
        let text = format!("connected to {} at {}", plain(&bus.welcome().node, false), bus.address());
        self.link = Link::Native(Box::new(bus));
        self.say(text)
    }

    /// In order: what was sent is read by the other side, and what it has said to it is printed.
    fn disconnect(&mut self) -> Result<(), Failure> {
        self.wake.set(None);
        match std::mem::replace(&mut self.link, Link::None) {
            Link::None | Link::Datagrams(_) => Ok(()),
            Link::Service(mut session) => {
                let flushed = session.flush();
                while let Ok(Some(event)) = session.receive(Some(Duration::ZERO)) {
                    self.event(event)?;
                }
                match flushed {
                    // who has told it to stop knows why
                    Ok(()) | Err(Error::Over(_) | Error::Lost(_)) => {}
                    Err(error) => return Err(error.into()),
                }
                // which says goodbye
                drop(session);
                Ok(())
            }
            Link::Native(bus) => Ok(bus.close()?),
        }
    }

    fn status(&mut self) -> Result<(), Failure> {
        let text = match &self.link {
            Link::None => "not connected".to_owned(),
            Link::Datagrams(_) => "datagrams, without answers".to_owned(),
            Link::Service(session) => {
                let who = if session.name().is_empty() { "nobody" } else { session.name() };
                let is = if session.is_ready() { "connected" } else { "connecting" };
                let server = plain(session.server(), false);
                format!("{is} to {} {server} as {who}, {} bytes wait", session.uri(), session.waiting())
            }
            Link::Native(bus) => format!("connected to {}", bus.address()),
        };
        self.printer.line(text)
    }

    fn send(&mut self, line: &str) -> Result<(), Failure> {
        match &mut self.link {
            Link::None => Err(Failure::usage("not connected: /connect URI [SERVICE]")),
            Link::Service(session) => {
                let message: Message = line.parse().map_err(|e| Failure::usage(format_args!("no message: {e}")))?;
                self.known.lock().unwrap_or_else(PoisonError::into_inner).command(&message.command);
                let message = from_here(session, message);
                Ok(session.send(&message)?)
            }
            Link::Datagrams(datagrams) => {
                let message = line.parse().map_err(|e| Failure::usage(format_args!("no message: {e}")))?;
                Ok(datagrams.send(&tagged(message))?)
            }
            Link::Native(bus) => {
                let mut words = line.split_whitespace();
                let to = words.next().unwrap_or_default();
                let (name, verb) = to.rsplit_once('/').unwrap_or((to, "NOTIFY"));
                let params: Option<Vec<_>> = words.map(|word| word.split_once('=')).collect();
                let params = params.ok_or_else(|| Failure::usage("write NAME/VERB key=value key=value"))?;
                let letter =
                    client::Letter { name, verb, params: client::Params::Listed(&params), ..client::Letter::default() };
                let outcome = bus.send_and_learn(&letter)?;
                let text = match (outcome.code, outcome.count) {
                    (Code::Kept, _) => "kept: nobody is there yet".to_owned(),
                    (_, 1) => "sent to 1 station".to_owned(),
                    (_, n) => format!("sent to {n} stations"),
                };
                self.say(text)
            }
        }
    }

    /// Prints what comes; waits for it if nothing is there, or until somebody wakes this thread.
    fn look(&mut self, time: Option<Duration>) -> Result<(), Failure> {
        match &mut self.link {
            Link::Service(session) => match session.receive(time) {
                Ok(Some(event)) => self.event(event),
                Ok(None) => Ok(()),
                Err(error) => {
                    self.wake.set(None);
                    self.link = Link::None;
                    self.complain(error.into())
                }
            },
            Link::Native(bus) => {
                let time = time.unwrap_or(LOOK).min(LOOK);
                match bus.next_event(Some(time)) {
                    Ok(Some(event)) => self.native_event(event),
                    Ok(None) => Ok(()),
                    Err(error) => {
                        self.link = Link::None;
                        self.complain(error.into())
                    }
                }
            }
            Link::None | Link::Datagrams(_) => {
                std::thread::sleep(time.unwrap_or(IDLE).min(IDLE));
                Ok(())
            }
        }
    }

    fn event(&mut self, event: Event) -> Result<(), Failure> {
        match event {
            Event::Message(m) => {
                self.known.lock().unwrap_or_else(PoisonError::into_inner).message(&m);
                let is_list = m.command == "SERVICES"
                    || (matches!(m.known(), Some(Known::Unknown | Known::Invalid))
                        && m.get("command") == Some(b"LIST_SERVICES"));
                if is_list && std::mem::take(&mut self.is_asking) {
                    return Ok(());
                }
                if self.printer.is_json() {
                    let mut o = message_json(&m);
                    o.insert("event".into(), "message".into());
                    o.insert("time".into(), now().into());
                    return self.printer.line(serde_json::Value::from(o).to_string());
                }
                let from = sender(&m);
                let from = if from.is_empty() { String::new() } else { format!("{from}  ") };
                let to = if m.service.is_empty() { String::new() } else { plain(&m.service, false) + "/" };
                self.printer.line(format!("< {from}{to}{}", shown(&m)))
            }
            Event::Disconnected { why, again_in } => {
                self.say(format!("disconnected: {}; again in {}", plain(&why.to_string(), false), span(again_in)))
            }
            Event::Unreachable { problem, again_in } => {
                self.say(format!("{}; again in {}", plain(&problem, false), span(again_in)))
            }
            Event::Stop => self.say("somebody has stopped this service (STOP)"),
            Event::Quitting => self.say("the daemon stops (QUITTING)"),
            Event::Ready { .. } | Event::Connected | Event::Signal { .. } => Ok(()),
        }
    }

    fn native_event(&mut self, event: client::Event) -> Result<(), Failure> {
        match event {
            client::Event::Message(m) => {
                self.printer.line(letter_line(&plain(&m.name, false), &m.verb, m.ask_id != 0, &m.params, &m.body))
            }
            client::Event::Disconnected { why, again_in, .. } => {
                self.say(format!("disconnected: {}; again in {}", why.text(), span(again_in)))
            }
            client::Event::Ready(w) => self.say(format!("connected again to {}", plain(&w.node, false))),
            client::Event::Failed(outcome) => self.say(format!("{outcome}")),
            client::Event::JoinFailed { name, outcome } => {
                self.say(format!("cannot join {} again: {outcome}", plain(&name, false)))
            }
            _ => Ok(()),
        }
    }
}
