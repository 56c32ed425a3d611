//! One session: a connection to the node with a name of its own.
//!
//! Owns: the socket and waiting; who waits for which number, and the queue for everything
//! else. Does not own bytes (`frame.rs`, `header.rs`) nor what bodies mean (`body.rs`).

use std::collections::{HashMap, VecDeque};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use mio::net::UnixStream;
use mio::{Events, Interest, Poll, Token};
use serde_json::Value;

use super::frame::{self, Cutter};
use super::header::{self, ANY, Frame, Message};
use super::presence::{NOTICES, Presence};
use super::{CallError, Error, Options, body};

/// The node as a user of its own bus (section 12).
const NODE: &str = "Msgq";

/// Numbers of calls that are over by which a late reply is known.
const OVER: usize = 1024;

/// Octets that are written at once before the socket is looked at again.
const WRITE: usize = 256 << 10;

/// What each of several has come to: who was asked, and what came of it.
pub type Each<T> = Vec<(String, Result<T, CallError>)>;

/// What came and could not be kept.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Missed {
    /// Messages for which the queue had no room. Who wanted an answer got a failure.
    pub messages: u64,
    /// Replies to calls that were over: given up in time, or replied to twice.
    pub late: u64,
    /// Frames of a type that nodes do not send, or with a header that cannot be read: a node
    /// of BIND 10 passes on what its clients write.
    pub unknown: u64,
}

/// What a question has come to.
#[derive(Debug)]
enum Reply {
    Awaited,
    Here(Message),
    /// Whoever was asked is gone.
    Left,
}

/// A question under way.
#[derive(Debug)]
struct Asked {
    to: String,
    group: String,
    instance: String,
    reply: Reply,
    /// Somebody has left the group since: it has to be seen whether anybody is left.
    doubtful: bool,
    /// The question by which that is seen.
    check: Option<u64>,
}

/// A session on an MSGQ bus, with calls that wait. See the [module](super).
#[derive(Debug)]
pub struct Session {
    stream: UnixStream,
    poll: Poll,
    events: Events,
    readable: bool,
    writable: bool,
    input: Cutter,
    output: Vec<u8>,
    /// How much of `output` is written.
    written: usize,
    path: PathBuf,
    options: Options,
    lname: String,
    /// Whether the node has said anything.
    heard: bool,
    /// How often the node has told it.
    told: u64,
    /// The next number. Each is given once: to messages, to replies and to pings.
    next: u64,
    asked: HashMap<u64, Asked>,
    over: VecDeque<u64>,
    queue: VecDeque<Message>,
    /// Octets in the queue.
    queued: usize,
    /// The number of the last ping that came back.
    pong: u64,
    watching: bool,
    missed: Missed,
    /// Why the session is over.
    ended: Option<String>,
}

impl Session {
    /// Connects to the node at the usual place, see [`usual_path`](super::usual_path), and
    /// asks what this session is called.
    ///
    /// # Errors
    /// See [`Session::connect_to`].
    pub fn connect(options: Options) -> Result<Self, Error> {
        Session::connect_to(super::usual_path(), options)
    }

    /// Connects to a socket and asks what this session is called.
    ///
    /// # Errors
    /// [`Error::Connect`] if nobody listens there, [`Error::Closed`] if who listens closes
    /// without a word, [`Error::NoName`] if it does not say a name within
    /// [`Options::timeout`].
    pub fn connect_to(path: impl AsRef<Path>, options: Options) -> Result<Self, Error> {
        let path = path.as_ref();
        let until = Instant::now() + options.timeout;
        let failed = |problem| Error::Connect { path: path.to_owned(), problem };
        let mut stream = loop {
            match UnixStream::connect(path) {
                Ok(stream) => break stream,
                // its queue of new connections is full
                Err(e) if e.kind() == io::ErrorKind::WouldBlock && Instant::now() < until => {
                    std::thread::sleep(Duration::from_millis(10));
                }
                Err(e) => return Err(failed(e)),
            }
        };
        let poll = Poll::new().map_err(failed)?;
        poll.registry().register(&mut stream, Token(0), Interest::READABLE | Interest::WRITABLE).map_err(failed)?;
        let mut session = Session {
            stream,
            poll,
            events: Events::with_capacity(4),
            readable: false,
            writable: true,
            input: Cutter::new(options.max_body),
            output: Vec::new(),
            written: 0,
            path: path.to_owned(),
            options,
            lname: String::new(),
            heard: false,
            told: 0,
            next: 1,
            asked: HashMap::new(),
            over: VecDeque::new(),
            queue: VecDeque::new(),
            queued: 0,
            pong: 0,
            watching: false,
            missed: Missed::default(),
            ended: None,
        };
        let named = session.post(&header::plain("getlname"), b"").and_then(|()| {
            let left = until.saturating_duration_since(Instant::now());
            session.until(left, |s| s.told > 0)
        });
        match named {
            Ok(()) => Ok(session),
            Err(Error::TimedOut(_)) => {
                let why = format!("no answer to getlname within {:?}", session.options.timeout);
                Err(Error::NoName { path: path.to_owned(), why })
            }
            Err(Error::Over { why }) if session.heard => Err(Error::NoName { path: path.to_owned(), why }),
            Err(Error::Over { why }) => Err(Error::Closed { path: path.to_owned(), why }),
            Err(error) => Err(error),
        }
    }

    /// What this session is called. Not `*`, never empty, never another session's.
    pub fn lname(&self) -> &str {
        &self.lname
    }

    /// Where the node is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What could not be kept so far.
    pub fn missed(&self) -> Missed {
        self.missed
    }

    /// Asks for the name again, which is a round trip, and is always the same.
    pub fn getlname(&mut self, timeout: Duration) -> Result<&str, Error> {
        let before = self.told;
        self.post(&header::plain("getlname"), b"")?;
        self.until(timeout, |s| s.told > before)?;
        Ok(&self.lname)
    }

    /// Becomes a member of a group. The node does not say a word about it: it holds when a
    /// [`Session::ping`] after it has come back.
    ///
    /// `instance`: [`ANY`] hears all messages to the group; another hears only those that are
    /// sent to that very instance, and not those sent to `*` (section 8).
    pub fn subscribe(&mut self, group: &str, instance: &str) -> Result<(), Error> {
        self.post(&header::membership("subscribe", group, instance), b"")
    }

    /// Is a member no longer. Nothing happens if it was none.
    pub fn unsubscribe(&mut self, group: &str, instance: &str) -> Result<(), Error> {
        if group == NOTICES && instance == ANY {
            self.watching = false;
        }
        self.post(&header::membership("unsubscribe", group, instance), b"")
    }

    /// Waits until all that this session has said is carried out: subscriptions hold, and
    /// what was sent stands in the queues of its receivers (section 6.2).
    ///
    /// # Errors
    /// [`Error::TimedOut`], [`Error::Over`].
    pub fn ping(&mut self, timeout: Duration) -> Result<(), Error> {
        let number = self.number();
        self.post(&header::plain("ping"), &number.to_be_bytes())?;
        self.until(timeout, |s| s.pong >= number)
    }

    /// Is told who comes and goes, from here on and including this very subscription: see
    /// [`Presence::of`]. Calls made after it end with [`CallError::Left`] when whoever was
    /// asked is gone, which nobody says otherwise on a bus of BIND 10 (section 11.2).
    pub fn watch(&mut self, timeout: Duration) -> Result<(), Error> {
        self.subscribe(NOTICES, ANY)?;
        self.ping(timeout)?;
        self.watching = true;
        Ok(())
    }

    /// Sends a message and returns its number.
    ///
    /// `to`: [`ANY`] for the members of the group, or the lname of one session, wherever it
    /// is a member; modules then look at the group to see what is meant (section 11.1).
    /// `want_answer`: if nobody is there, the node replies with code -1 (section 9). That
    /// reply and any other comes out of [`Session::receive`]; use [`Session::ask`] to wait
    /// for it alone.
    ///
    /// # Errors
    /// [`Error::HeaderTooLong`], [`Error::BodyTooLong`]: not sent. [`Error::TimedOut`]: the
    /// node takes nothing; not sent. [`Error::Over`].
    pub fn send(
        &mut self,
        group: &str,
        instance: &str,
        to: &str,
        body: &[u8],
        want_answer: bool,
    ) -> Result<u64, Error> {
        let number = self.number();
        let header = header::send(&self.lname, to, group, instance, number, want_answer);
        self.post(&header, body)?;
        Ok(number)
    }

    /// Replies to a message, usually with [`body::result`] or [`body::failure`]. Replies are
    /// not to be replied to.
    ///
    /// # Errors
    /// [`Error::NoReturn`], and those of [`Session::send`].
    pub fn reply(&mut self, to: &Message, body: &[u8]) -> Result<u64, Error> {
        if to.from.is_empty() || to.seq.is_null() {
            return Err(Error::NoReturn);
        }
        let number = self.number();
        let header = header::reply(&self.lname, &to.from, &to.group, &to.instance, number, &to.seq);
        self.post(&header, body)?;
        Ok(number)
    }

    /// Sends a message that wants an answer; [`Session::answer`] waits for it. Any number of
    /// questions may be under way; each must be waited for or given up in the end.
    pub fn ask(&mut self, group: &str, instance: &str, to: &str, body: &[u8]) -> Result<u64, Error> {
        let number = self.send(group, instance, to, body, true)?;
        let (to, group, instance) = (to.to_owned(), group.to_owned(), instance.to_owned());
        let asked = Asked { to, group, instance, reply: Reply::Awaited, doubtful: false, check: None };
        self.asked.insert(number, asked);
        Ok(number)
    }

    /// Waits for the reply to a question, from whomever. The question is over then, answered
    /// or not. A failure and the node's -1 are replies too: [`body::value`] tells.
    ///
    /// # Errors
    /// [`CallError::TimedOut`], [`CallError::Left`], [`CallError::Lost`].
    pub fn answer(&mut self, number: u64, timeout: Duration) -> Result<Message, CallError> {
        let until = Instant::now().checked_add(timeout);
        let result = loop {
            match self.settle(number) {
                Err(error) => break Err(error.into()),
                Ok(Some(result)) => break result,
                Ok(None) if until.is_some_and(|u| Instant::now() >= u) => break Err(CallError::TimedOut),
                Ok(None) => {}
            }
            if let Err(error) = self.turn(until) {
                // it may have come right before the end
                break match self.asked.get_mut(&number).map(|a| std::mem::replace(&mut a.reply, Reply::Awaited)) {
                    Some(Reply::Here(message)) => Ok(message),
                    _ => Err(error.into()),
                };
            }
        };
        self.give_up(number);
        result
    }

    /// Waits no longer for a question. A reply that comes nevertheless is counted.
    pub fn give_up(&mut self, number: u64) {
        let Some(asked) = self.asked.remove(&number) else { return };
        self.over.extend([Some(number), asked.check].into_iter().flatten());
        if let Some(check) = asked.check {
            self.asked.remove(&check);
        }
        while self.over.len() > OVER {
            self.over.pop_front();
        }
    }

    /// Carries out a command on whoever holds the group and waits for the result (section
    /// 11.2). `params`: [`Value::Null`] for none. A result without a value is null.
    pub fn call(
        &mut self,
        group: &str,
        instance: &str,
        to: &str,
        command: &str,
        params: &Value,
        timeout: Duration,
    ) -> Result<Value, CallError> {
        let number = self.ask(group, instance, to, &body::command(command, params))?;
        body::value(&self.answer(number, timeout)?.body)
    }

    /// The lnames of all sessions, this one and the node's own included, or of the members of
    /// a group (section 12.3): those of all its instances are not, only those of `*`.
    ///
    /// # Errors
    /// [`CallError::Missing`]: the node is no user of its bus. That of BIND 10 is one only
    /// once somebody has subscribed to `ConfigManager`.
    pub fn members(&mut self, group: Option<&str>, timeout: Duration) -> Result<Vec<String>, CallError> {
        let params = group.map_or(Value::Null, |group| serde_json::json!({"group": group}));
        let listed = self.call(NODE, ANY, ANY, "members", &params, timeout)?;
        names(&listed).ok_or_else(|| CallError::NoResult(super::json::write(&listed)))
    }

    /// Asks each member of a group at the same time, itself excepted, and waits for all: who
    /// was asked, and the reply or why there is none (section 11.3).
    ///
    /// The list is true for one moment: who joins later is not asked, and who has left is
    /// there with the node's -1.
    ///
    /// # Errors
    /// Those of [`Session::members`], and [`CallError::Lost`].
    pub fn ask_each(&mut self, group: &str, body: &[u8], timeout: Duration) -> Result<Each<Message>, CallError> {
        let began = Instant::now();
        let mut members = self.members(Some(group), timeout)?;
        members.retain(|m| *m != self.lname);
        let mut asked = Vec::with_capacity(members.len());
        for member in members {
            asked.push((self.ask(group, ANY, &member, body)?, member));
        }
        let mut answers = Vec::with_capacity(asked.len());
        for (number, member) in asked {
            let left = timeout.saturating_sub(began.elapsed());
            answers.push((member, self.answer(number, left)));
        }
        Ok(answers)
    }

    /// Carries out a command on each member of a group, itself excepted, at the same time.
    /// As [`Session::ask_each`], with results.
    pub fn call_each(
        &mut self,
        group: &str,
        command: &str,
        params: &Value,
        timeout: Duration,
    ) -> Result<Each<Value>, CallError> {
        let answers = self.ask_each(group, &body::command(command, params), timeout)?;
        Ok(answers.into_iter().map(|(m, a)| (m, a.and_then(|message| body::value(&message.body)))).collect())
    }

    /// The next message that nobody waits for: one that came meanwhile, or a new one. `None`:
    /// none came in time. Without a timeout it waits for ever.
    ///
    /// # Errors
    /// [`Error::Over`]: the node closed. What came before has been handed out then.
    pub fn receive(&mut self, timeout: Option<Duration>) -> Result<Option<Message>, Error> {
        let until = timeout.and_then(|t| Instant::now().checked_add(t));
        let mut looked = false;
        loop {
            if let Some(message) = self.queue.pop_front() {
                self.queued -= message.size();
                return Ok(Some(message));
            }
            if looked && until.is_some_and(|u| Instant::now() >= u) {
                return Ok(None);
            }
            looked = true;
            if let Err(error) = self.turn(until)
                && self.queue.is_empty()
            {
                return Err(error);
            }
        }
    }

    /// Waits until something is so.
    fn until(&mut self, timeout: Duration, is_so: impl Fn(&Session) -> bool) -> Result<(), Error> {
        let until = Instant::now().checked_add(timeout);
        loop {
            if is_so(self) {
                return Ok(());
            }
            if until.is_some_and(|u| Instant::now() >= u) {
                return Err(Error::TimedOut(timeout));
            }
            let turned = self.turn(until);
            if !is_so(self) {
                turned?;
            }
        }
    }

    /// A number that this session has used for nothing else.
    fn number(&mut self) -> u64 {
        let number = self.next;
        self.next += 1;
        number
    }

    /// What a question has come to, if to anything. Sees to those in doubt.
    fn settle(&mut self, number: u64) -> Result<Option<Result<Message, CallError>>, Error> {
        let Some(asked) = self.asked.get_mut(&number) else { return Ok(Some(Err(CallError::TimedOut))) };
        match std::mem::replace(&mut asked.reply, Reply::Awaited) {
            Reply::Here(message) => return Ok(Some(Ok(message))),
            Reply::Left => return Ok(Some(Err(CallError::Left))),
            Reply::Awaited => {}
        }
        if let Some(check) = asked.check
            && let Some(Asked { reply: Reply::Here(answer), .. }) = self.asked.get(&check)
        {
            let left = body::value(&answer.body).ok().and_then(|v| names(&v));
            self.give_up(check);
            if let Some(asked) = self.asked.get_mut(&number) {
                asked.check = None;
            }
            // Only this session itself is left, which is not asked by itself.
            if left.is_some_and(|l| l.iter().all(|m| *m == self.lname)) {
                return Ok(Some(Err(CallError::Left)));
            }
        }
        if let Some(asked) = self.asked.get_mut(&number)
            && asked.doubtful
            && asked.check.is_none()
        {
            asked.doubtful = false;
            let body = body::command("members", &serde_json::json!({"group": asked.group}));
            let check = self.ask(NODE, ANY, ANY, &body)?;
            if let Some(asked) = self.asked.get_mut(&number) {
                asked.check = Some(check);
            }
        }
        Ok(None)
    }

    /// Puts a frame into the output and writes it. Reads meanwhile: two that only write to
    /// each other would wait for ever.
    fn post(&mut self, header: &str, body: &[u8]) -> Result<(), Error> {
        if let Some(why) = &self.ended {
            return Err(Error::Over { why: why.clone() });
        }
        if self.written == self.output.len() {
            self.output.clear();
            self.written = 0;
        }
        let begin = self.output.len();
        frame::put(&mut self.output, header, body)?;
        let until = Instant::now() + self.options.timeout;
        loop {
            self.write()?;
            if self.written == self.output.len() {
                return Ok(());
            }
            if Instant::now() >= until {
                if self.written <= begin {
                    self.output.truncate(begin);
                    return Err(Error::TimedOut(self.options.timeout));
                }
                return Err(self.end(format!("the node took half a frame and nothing for {:?}", self.options.timeout)));
            }
            self.turn(Some(until))?;
        }
    }

    fn write(&mut self) -> Result<(), Error> {
        while self.writable && self.written < self.output.len() {
            let end = self.output.len().min(self.written + WRITE);
            match self.stream.write(&self.output[self.written..end]) {
                Ok(n) => self.written += n,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => self.writable = false,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => {
                    // what the node said before the end is still there to be read
                    self.readable = true;
                    while self.read()? {}
                    return Err(self.end(e.to_string()));
                }
            }
        }
        Ok(())
    }

    /// Reads what is there, once; if nothing is there, waits for something until then.
    fn turn(&mut self, until: Option<Instant>) -> Result<(), Error> {
        if let Some(why) = &self.ended {
            return Err(Error::Over { why: why.clone() });
        }
        self.write()?;
        if !self.readable {
            let timeout = until.map(|u| u.saturating_duration_since(Instant::now()));
            match self.poll.poll(&mut self.events, timeout) {
                Ok(()) => {}
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(self.end(format!("poll failed: {e}"))),
            }
            for event in &self.events {
                self.readable |= event.is_readable() || event.is_read_closed() || event.is_error();
                self.writable |= event.is_writable() || event.is_write_closed() || event.is_error();
            }
        }
        self.read().map(drop)
    }

    /// One read and what it brings. Whether there may be more.
    fn read(&mut self) -> Result<bool, Error> {
        if !self.readable {
            return Ok(false);
        }
        let stream = &mut self.stream;
        match self.input.fill(|buf| stream.read(buf)) {
            Ok(0) if self.input.is_inside() => return Err(self.end("the node closed within a frame".into())),
            Ok(0) => return Err(self.end("the node closed the connection".into())),
            Ok(_) => self.heard = true,
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                self.readable = false;
                return Ok(false);
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => return Ok(true),
            Err(e) => return Err(self.end(e.to_string())),
        }
        loop {
            let frame = match self.input.next() {
                Ok(None) => return Ok(true),
                Ok(Some((header, body))) => header::read(header, body),
                Err(why) => return Err(self.end(format!("it sent {why}"))),
            };
            match frame {
                Ok(Frame::Name(lname)) => {
                    self.lname = lname;
                    self.told += 1;
                }
                Ok(Frame::Pong(body)) => {
                    if let Ok(number) = body.try_into() {
                        self.pong = u64::from_be_bytes(number).max(self.pong);
                    }
                }
                Ok(Frame::Message(message)) => self.sort(message),
                // What does not even say a name is no node.
                Err(why) if self.told == 0 => return Err(self.end(format!("it sent {why}"))),
                Ok(Frame::Other) | Err(_) => self.missed.unknown += 1,
            }
        }
    }

    /// To whoever waits for it, or into the queue.
    fn sort(&mut self, message: Message) {
        if let Some(number) = message.replies_to() {
            match self.asked.get_mut(&number) {
                Some(asked) if matches!(asked.reply, Reply::Here(_)) => return self.missed.late += 1,
                // its word counts more than that of the notifications
                Some(asked) => return asked.reply = Reply::Here(message),
                None if self.over.contains(&number) => return self.missed.late += 1,
                None => {}
            }
        }
        if self.watching
            && let Some(presence) = Presence::of(&message)
        {
            self.doubt(&presence);
        }
        if self.queue.len() < self.options.queue && self.queued + message.size() <= self.options.queue_bytes {
            self.queued += message.size();
            self.queue.push_back(message);
            return;
        }
        self.missed.messages += 1;
        if message.want_answer && !message.is_reply() && !message.from.is_empty() {
            // Put behind the output only: this may be in the middle of a write.
            let number = self.number();
            let header =
                header::reply(&self.lname, &message.from, &message.group, &message.instance, number, &message.seq);
            let body = body::failure(1, "too many messages wait here");
            if self.output.len() - self.written < self.options.queue_bytes {
                let _ = frame::put(&mut self.output, &header, &body);
            }
        }
    }

    /// Somebody has gone: who waits for them?
    fn doubt(&mut self, presence: &Presence) {
        for asked in self.asked.values_mut().filter(|a| matches!(a.reply, Reply::Awaited)) {
            match presence {
                Presence::Disconnected { client } if asked.to == *client => asked.reply = Reply::Left,
                Presence::Unsubscribed { group, .. }
                    if asked.to == ANY && asked.instance == ANY && asked.group == *group && group != NODE =>
                {
                    asked.doubtful = true;
                }
                _ => {}
            }
        }
    }

    /// The session is over.
    fn end(&mut self, why: String) -> Error {
        self.ended = Some(why.clone());
        Error::Over { why }
    }
}

/// A list of texts.
fn names(list: &Value) -> Option<Vec<String>> {
    list.as_array()?.iter().map(|name| name.as_str().map(str::to_owned)).collect()
}
