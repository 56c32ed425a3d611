//! One session: its state, and what a program says.
//!
//! Owns: what is said, and what is said again on each connection. Does not own the socket
//! (`turn.rs`), what comes (`heard.rs`), nor what is waited for at the start (`initialise.rs`).

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chappe_core::dialect::communicator::VERSION;
use chappe_core::dialect::communicator::command::{Announced, Command};
use chappe_core::dialect::communicator::name::{self, DAEMON};
use chappe_core::limits::MAX_NAME;
use mio::{Events, Interest, Poll};

use super::datagrams::Signals;
use super::event::{Event, Missed, Why};
use super::heard::Queue;
use super::initialise::Conditions;
use super::lines::Input;
use super::turn::{SIGNALS, STREAM, Trouble, WAKER};
use super::{Error, Message, Options, Uri};
use crate::lines::{Fate, Link, Outbox};

/// After this long without a look at the socket, nothing is said without one.
const STALE: Duration = Duration::from_millis(100);

/// Commands that may be announced.
const MAX_COMMANDS: usize = 4096;

/// How long the last word may take to leave.
pub(super) const GOODBYE: Duration = Duration::from_secs(1);

/// A service of a Communicator daemon, with calls that wait. See the [module](super).
#[derive(Debug)]
pub struct Session {
    pub(super) uri: Uri,
    pub(super) options: Options,
    pub(super) poll: Poll,
    pub(super) polled: Events,
    pub(super) waker: Arc<mio::Waker>,
    pub(super) woken: bool,
    pub(super) link: Link,
    /// There are whole lines, or an end, that were not heard yet.
    pub(super) unsorted: bool,
    /// Something is waited for: what the queue has no room for is dropped.
    pub(super) greedy: bool,
    pub(super) input: Input,
    /// Said before the service is registered, and only on this connection.
    pub(super) first: Outbox,
    pub(super) outbox: Outbox,
    pub(super) queue: Queue,
    pub(super) signals: Option<Signals>,
    /// There may be datagrams.
    pub(super) signaled: bool,
    /// The service is registered, or there is nobody to register.
    pub(super) ready: bool,
    pub(super) server: String,
    pub(super) conditions: Conditions,
    /// The end of the stream, once what came before it is heard.
    pub(super) ended: Option<Why>,
    /// What the daemon refused last that is about no message: it may be why it closes the connection.
    pub(super) last_words: Option<String>,
    pub(super) connected_at: Instant,
    pub(super) heard_at: Instant,
    /// When a silent daemon was asked whether it is there.
    pub(super) probed_at: Option<Instant>,
    /// When the socket was last looked at.
    pub(super) looked: Instant,
    /// Attempts that failed since the last connection.
    pub(super) failures: usize,
    /// One more with each connection that ends.
    pub(super) generation: u64,
    /// Why the last one ended.
    pub(super) why: Why,
    /// Ends of connections are events, and not for `connect`.
    pub(super) telling: bool,
    pub(super) trouble: Option<Trouble>,
    /// It has said that it leaves.
    pub(super) leaving: Option<(Why, Instant)>,
    /// It is over for good.
    pub(super) over: Option<Why>,
    pub(super) commands: BTreeSet<String>,
    /// The last `ALIVE`, and the last that is proved.
    pub(super) asked: u64,
    pub(super) proved: u64,
}

impl Session {
    /// Connects and registers, and returns when the daemon has said `READY`; without a name when
    /// there is a connection. From then on the connection comes back by itself, whenever the
    /// program waits for something.
    ///
    /// # Errors
    /// [`Error::Connect`], [`Error::NotCommunicator`], [`Error::Lost`]; with [`Options::patient`] only when
    /// [`Options::connecting`] is over. [`Error::Refused`] in any case. [`Error::Name`], [`Error::NotSent`],
    /// [`Error::Carrier`]: what is wrong with the options or the address.
    pub fn connect(uri: Uri, options: Options) -> Result<Self, Error> {
        let mut session = Session::new(uri, options)?;
        let until = Instant::now() + session.options.connecting;
        let mut last = None;
        loop {
            session.turn(Some(until))?;
            // it may have ended already, which is for `receive` to tell
            if session.telling {
                return Ok(session);
            }
            let is_over = Instant::now() >= until;
            let may_go_on = session.options.patient && !is_over;
            match session.trouble.take() {
                Some(Trouble::Refused(text)) => return Err(Error::Refused { uri: session.uri.clone(), text }),
                Some(trouble) if may_go_on => last = Some(trouble),
                Some(trouble) => return Err(session.failed_with(trouble)),
                None if !is_over => {}
                None => {
                    let connecting = session.options.connecting;
                    return Err(match last {
                        Some(trouble) => session.failed_with(trouble),
                        None => Error::TimedOut(connecting),
                    });
                }
            }
        }
    }

    /// Does not wait: what comes of connecting is told by [`Session::receive`]. What is said
    /// meanwhile waits. For programs that do their work with or without a daemon.
    ///
    /// # Errors
    /// What is wrong with the options or the address, as [`Session::connect`].
    pub fn begin(uri: Uri, options: Options) -> Result<Self, Error> {
        let mut session = Session::new(uri, options)?;
        session.telling = true;
        Ok(session)
    }

    fn failed_with(&self, trouble: Trouble) -> Error {
        let uri = self.uri.clone();
        match trouble {
            Trouble::Unreachable(problem) => Error::Connect { uri, problem },
            Trouble::Ended(why) if self.options.name.is_empty() => Error::Lost(why),
            Trouble::Ended(why) => Error::NotCommunicator { uri, why: format!("after REGISTER: {why}") },
            Trouble::NotCommunicator(why) => Error::NotCommunicator { uri, why },
            Trouble::Refused(text) => Error::Refused { uri, text },
        }
    }

    fn new(uri: Uri, options: Options) -> Result<Self, Error> {
        if uri.is_datagrams() {
            return Err(Error::Carrier {
                uri,
                hint: "datagrams have no answers; use communicator::Datagrams, or an address that begins with cd:// or cds://",
            });
        }
        let mut options = options.sane();
        if options.name.is_empty() {
            uri.user().clone_into(&mut options.name);
        }
        if options.password.is_empty() {
            uri.password().clone_into(&mut options.password);
        }
        if !options.name.is_empty() {
            let mut spare = [0; MAX_NAME];
            name::to_bus(options.name.as_bytes(), &mut spare)
                .map_err(|why| Error::Name { name: options.name.clone(), why: why.text() })?;
        }
        let now = Instant::now();
        let poll = Poll::new().map_err(Error::Poll)?;
        let waker = Arc::new(mio::Waker::new(poll.registry(), WAKER).map_err(Error::Poll)?);
        let mut session = Session {
            poll,
            waker,
            woken: false,
            polled: Events::with_capacity(4),
            link: Link::new(
                uri.carrier().clone(),
                options.trust.clone(),
                STREAM,
                options.connecting,
                now + options.pauses.delay(),
            ),
            unsorted: false,
            greedy: false,
            input: Input::new(options.max_line),
            first: Outbox::default(),
            outbox: Outbox::default(),
            queue: Queue::new(&options),
            signals: None,
            signaled: false,
            ready: false,
            server: String::new(),
            conditions: Conditions::default(),
            ended: None,
            last_words: None,
            connected_at: now,
            heard_at: now,
            probed_at: None,
            looked: now,
            failures: 0,
            generation: 0,
            why: Why::Lost("there was no connection yet".into()),
            telling: false,
            trouble: None,
            leaving: None,
            over: None,
            commands: BTreeSet::new(),
            asked: 0,
            proved: 0,
            uri,
            options,
        };
        session.note(&session.options.commands.clone())?;
        // whether it can be said is known now, and not with the first connection
        session.registration()?;
        Ok(session)
    }

    /// Where the daemon is.
    pub fn uri(&self) -> &Uri {
        &self.uri
    }

    /// What this service is called; empty if it is none.
    pub fn name(&self) -> &str {
        &self.options.name
    }

    /// What the daemon calls its server. Empty while that is not known.
    pub fn server(&self) -> &str {
        &self.server
    }

    /// Whether there is a connection and the service is registered.
    pub fn is_ready(&self) -> bool {
        self.ready
    }

    /// What could not be kept so far.
    pub fn missed(&self) -> Missed {
        self.queue.missed
    }

    /// Octets that wait to be handed to the operating system.
    pub fn waiting(&self) -> usize {
        self.first.len() + self.outbox.len()
    }

    /// What ends a [`Session::receive`] of this session, from another thread.
    pub fn waker(&self) -> Waker {
        Waker(self.waker.clone())
    }

    /// Hears datagrams too, as the `LOG_ROTATE` listeners of the original's programs do. They are
    /// [`Event::Signal`]s; `STOP` is obeyed as if the daemon had said it.
    ///
    /// # Errors
    /// [`Error::Poll`].
    pub fn hear(&mut self, mut signals: Signals) -> Result<(), Error> {
        let registry = self.poll.registry();
        if let Some(mut old) = self.signals.take() {
            registry.deregister(&mut old.socket).map_err(Error::Poll)?;
        }
        registry.register(&mut signals.socket, SIGNALS, Interest::READABLE).map_err(Error::Poll)?;
        (self.signals, self.signaled) = (Some(signals), true);
        Ok(())
    }

    /// Sends a message. The sender is filled in if it is empty. While there is no connection, or
    /// the service is not registered yet, it waits and leaves then. A message that has left and
    /// was not read by the daemon when the connection broke is lost: [`Session::flush`] tells that
    /// all were read.
    ///
    /// # Errors
    /// [`Error::NotSent`] names what cannot be said; [`Error::Full`]: [`Options::outbox`] octets
    /// wait, and the daemon took none of them for [`Options::timeout`], or there is none.
    /// [`Error::Over`].
    pub fn send(&mut self, message: &Message) -> Result<(), Error> {
        self.say(message, Fate::Kept)
    }

    /// Answers a message: to its sender, whatever the answer says of that.
    ///
    /// # Errors
    /// As [`Session::send`].
    pub fn answer(&mut self, request: &Message, mut answer: Message) -> Result<(), Error> {
        let to = request.reply("");
        (answer.server, answer.service) = (to.server, to.service);
        self.send(&answer)
    }

    /// Says that a message is not understood, unless it is itself such an answer.
    ///
    /// # Errors
    /// As [`Session::send`].
    pub fn unknown(&mut self, request: &Message) -> Result<(), Error> {
        if request.known().is_some_and(Command::is_answer) {
            return Ok(());
        }
        self.send(&request.reply("UNKNOWN").with("command", &request.command))
    }

    /// Announces more commands, here and on later connections: broadcasts of them are heard from
    /// then on, and they are not answered with `UNKNOWN`.
    ///
    /// # Errors
    /// As [`Session::send`]; [`Error::TooMany`]: 4,096 are announced.
    pub fn announce<C: AsRef<str>>(&mut self, commands: &[C]) -> Result<(), Error> {
        let commands: Vec<_> = commands.iter().map(|c| c.as_ref().to_owned()).collect();
        self.note(&commands)?;
        if self.ready && !self.options.name.is_empty() && !commands.is_empty() {
            let mut to_daemon = Message::new("HELP");
            self.server.clone_into(&mut to_daemon.from_server);
            let list = self.command_list(&to_daemon);
            self.say(&list, Fate::Dropped)?;
        }
        Ok(())
    }

    /// Remembers commands.
    fn note(&mut self, commands: &[String]) -> Result<(), Error> {
        for command in commands {
            Message::new(command.as_str()).line(self.options.max_line)?;
            if self.commands.len() >= MAX_COMMANDS && !self.commands.contains(command) {
                return Err(Error::TooMany(MAX_COMMANDS));
            }
            self.commands.insert(command.clone());
        }
        Ok(())
    }

    /// Waits until the daemon has read all that was sent before: it is asked whether it is there
    /// (`ALIVE`), and reads one message after the other.
    ///
    /// # Errors
    /// [`Error::TimedOut`], [`Error::Lost`]: there is no connection, or it ended. [`Error::Over`].
    pub fn flush(&mut self) -> Result<(), Error> {
        self.alive()?;
        let timeout = self.options.timeout;
        let until = Instant::now() + timeout;
        self.greedily(|session| {
            while !session.ready {
                if Instant::now() >= until {
                    return Err(session.late(timeout));
                }
                session.turn(Some(until))?;
            }
            let generation = session.generation;
            let asked = session.ask()?;
            while session.proved < asked {
                if session.generation != generation {
                    return Err(Error::Lost(session.why.clone()));
                }
                if Instant::now() >= until {
                    return Err(session.late(timeout));
                }
                session.turn(Some(until))?;
            }
            Ok(())
        })
    }

    /// Asks the daemon whether it is there.
    pub(super) fn ask(&mut self) -> Result<u64, Error> {
        self.asked += 1;
        let serial = serial(self.asked);
        let to = if self.options.name.is_empty() { "" } else { DAEMON };
        self.say(&Message::new("ALIVE").to(to).with("serial", serial), Fate::Dropped)?;
        Ok(self.asked)
    }

    /// Hands all that was sent to the operating system. That the daemon has read it is another
    /// matter: [`Session::flush`].
    ///
    /// # Errors
    /// [`Error::TimedOut`]: the rest still waits. [`Error::Lost`]: there is no connection; what is
    /// left is kept.
    pub fn push(&mut self) -> Result<(), Error> {
        self.alive()?;
        let timeout = self.options.timeout;
        let until = Instant::now() + timeout;
        self.greedily(|session| {
            while !session.is_written() {
                if Instant::now() >= until {
                    return Err(session.late(timeout));
                }
                session.turn(Some(until))?;
            }
            Ok(())
        })
    }

    /// The next event: one that came meanwhile, or a new one. `None`: none came in time, or
    /// somebody used a [`Waker`]. Without a timeout it waits for ever.
    ///
    /// # Errors
    /// [`Error::Over`]: the session is over. What came before has been handed out then.
    pub fn receive(&mut self, timeout: Option<Duration>) -> Result<Option<Event>, Error> {
        let until = timeout.and_then(|t| Instant::now().checked_add(t));
        let mut looked = false;
        loop {
            if self.looked.elapsed() >= STALE && !self.queue.is_empty() {
                // who has much to hand out must not be taken for gone; an error comes behind it
                let _ = self.turn(Some(Instant::now()));
            }
            if let Some(event) = self.queue.pop() {
                return Ok(Some(event));
            }
            if looked && (until.is_some_and(|u| Instant::now() >= u) || self.woken) {
                self.woken = false;
                return Ok(None);
            }
            looked = true;
            let turned = self.turn(until);
            if self.queue.is_empty() {
                turned?;
            }
        }
    }

    /// Ends the session in order: when this returns the daemon has read all that was sent, and
    /// `UNREGISTER`.
    ///
    /// # Errors
    /// Those of [`Session::flush`]. The session is over all the same.
    pub fn close(mut self) -> Result<(), Error> {
        let result = self.flush();
        let until = Instant::now() + GOODBYE;
        self.greedy = true;
        let generation = self.generation;
        if result.is_ok() && self.leave(Why::Stopped) && !self.options.name.is_empty() {
            // the daemon closes as soon as it has read this
            while self.generation == generation && Instant::now() < until && self.turn(Some(until)).is_ok() {}
        }
        result
    }

    /// Says that it leaves. Whether there was anybody to say it to.
    pub(super) fn leave(&mut self, why: Why) -> bool {
        if self.leaving.is_some() {
            return true;
        }
        let name = self.options.name.clone();
        if self.ready && !name.is_empty() {
            // it was checked when the session began
            let _ = self.put(&Message::new("UNREGISTER").with("service", name), Fate::Dropped);
        }
        self.leaving = Some((why, Instant::now() + GOODBYE));
        self.write();
        self.ready
    }

    /// The first line of each connection.
    pub(super) fn registration(&self) -> Result<Option<Vec<u8>>, Error> {
        if self.options.name.is_empty() {
            return Ok(None);
        }
        let mut message = Message::new("REGISTER").with("service", &self.options.name);
        message = message.with("version", VERSION.to_string());
        if !self.options.password.is_empty() {
            message = message.with("password", &self.options.password);
        }
        Ok(Some(message.line(self.options.max_line)?))
    }

    /// The answer to `HELP`.
    pub(super) fn command_list(&self, help: &Message) -> Message {
        let standard = Announced::of_clients().iter().chain([Command::Disconnecting]);
        let mut all: BTreeSet<&str> = standard.map(Command::name).collect();
        all.extend(self.commands.iter().map(String::as_str));
        let list: Vec<_> = all.into_iter().collect();
        let mut message = help.reply("COMMANDS").with("list", list.join(","));
        if message.service.is_empty() && !self.options.name.is_empty() {
            let server = if help.from_server.is_empty() { "." } else { &help.from_server };
            (message.server, message.service) = (server.to_owned(), DAEMON.into());
        }
        message
    }

    /// Sends something.
    fn say(&mut self, message: &Message, fate: Fate) -> Result<(), Error> {
        self.alive()?;
        self.make_room()?;
        self.put(message, fate)?;
        self.write();
        if self.is_up() && self.looked.elapsed() < STALE {
            return Ok(());
        }
        self.turn(Some(Instant::now()))
    }

    /// Puts a line behind the others.
    pub(super) fn put(&mut self, message: &Message, fate: Fate) -> Result<(), Error> {
        let line = if message.from_service.is_empty() && message.from_server.is_empty() && !self.options.name.is_empty()
        {
            let from_service = if message.command == "UNREGISTER" { String::new() } else { self.options.name.clone() };
            Message { from_service, ..message.clone() }.line(self.options.max_line)?
        } else {
            message.line(self.options.max_line)?
        };
        let to = if fate == Fate::Dropped && !self.ready { &mut self.first } else { &mut self.outbox };
        to.put(&line, fate);
        Ok(())
    }

    /// Waits until there is room for more, while there is a connection.
    fn make_room(&mut self) -> Result<(), Error> {
        if self.outbox.len() < self.options.outbox {
            return Ok(());
        }
        let until = Instant::now() + self.options.timeout;
        self.greedily(|session| {
            while session.outbox.len() >= session.options.outbox {
                if !session.is_up() || Instant::now() >= until {
                    return Err(Error::Full(session.outbox.len()));
                }
                session.turn(Some(until))?;
            }
            Ok(())
        })
    }

    /// Does something for which what comes must be read, room for it or not: two that only
    /// write to each other would wait for ever.
    pub(super) fn greedily<R>(&mut self, what: impl FnOnce(&mut Self) -> R) -> R {
        let was_greedy = std::mem::replace(&mut self.greedy, true);
        let result = what(self);
        self.greedy = was_greedy;
        result
    }

    /// Why something was not there in time.
    pub(super) fn late(&self, timeout: Duration) -> Error {
        match self.is_up() {
            true => Error::TimedOut(timeout),
            false => Error::Lost(self.why.clone()),
        }
    }
}

/// What `ABSOLUTELY` has to repeat.
pub(super) fn serial(number: u64) -> String {
    format!("flush_{number}")
}

impl Drop for Session {
    /// Hands over what the operating system takes at once, and leaves.
    fn drop(&mut self) {
        if self.over.is_none() && self.is_up() {
            self.leave(Why::Stopped);
        }
        self.link.end();
    }
}

/// Ends a [`Session::receive`] of another thread, or the next one. Has no effect on a session that
/// is gone.
#[derive(Clone)]
pub struct Waker(Arc<mio::Waker>);

impl Waker {
    /// Does so.
    ///
    /// # Errors
    /// The operating system does not let it.
    pub fn wake(&self) -> std::io::Result<()> {
        self.0.wake()
    }
}

impl fmt::Debug for Waker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Waker")
    }
}
