//! One station with calls that wait.
//!
//! Owns: waiting for what was asked while whatever else comes is kept in a bounded queue.
//! Does not own the socket (`link.rs`).

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use chappe_core::client::{self as core, Client, FIRST_SEQ, LostWhy, SendError};
use chappe_core::dialect::messi::repr::{
    Answer as AnswerToSend, ClientToServer, Code, Declare, Encoding, Flag, Join, Leave, Letter, List, Monitor, Store,
    StoreOp, Watch, What,
};
use mio::{Events, Poll, Token};

use super::owned::{Answer, Event, Item, Message, Outcome, Value, Welcome};
use super::{Error, Link, Options};
use crate::address::Address;

const TOKEN: Token = Token(0);

/// After this long without a look at the socket, nothing is sent without one.
const STALE: Duration = Duration::from_millis(100);

/// How much longer than the node a call of all members is waited for: it is the node that
/// says "timed out", and its word needs a moment to arrive.
const GRACE: Duration = Duration::from_secs(1);

/// What could not be kept.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Missed {
    /// Events for which the queue had no room.
    pub events: u64,
    /// Frames longer than `max_frame`.
    pub frames: u32,
    /// Letters that were in the outbox when a connection ended.
    pub letters: u32,
}

/// A station of its own, with calls that wait. See the [module](super).
#[derive(Debug)]
pub struct Connection {
    link: Link,
    poll: Poll,
    events: Events,
    address: Address,
    timeout: Duration,
    queue: VecDeque<Event>,
    room: usize,
    dropped: u64,
    /// What was joined or watched: its number is the place in here, plus one.
    joined: Vec<String>,
    welcome: Welcome,
    /// When the socket was last looked at.
    looked: Instant,
}

/// What a wait has come to.
type Found<T> = Option<Result<T, Error>>;

impl Connection {
    /// Connects and says hello. From then on the connection comes back by itself, whenever
    /// the program waits for something.
    ///
    /// # Errors
    /// [`Error::Connect`] if the first attempt fails (with `patient`: if none succeeds within
    /// the timeout), [`Error::Refused`] if the node does not take this station.
    pub fn connect(address: Address, options: Options) -> Result<Self, Error> {
        let poll = Poll::new().map_err(Error::Poll)?;
        let mut connection = Connection {
            link: Link::new(address.clone(), &options),
            poll,
            events: Events::with_capacity(4),
            address,
            timeout: options.timeout,
            queue: VecDeque::new(),
            room: options.queue,
            dropped: 0,
            joined: Vec::new(),
            welcome: Welcome::default(),
            looked: Instant::now(),
        };
        let mut last = core::Why::Unreachable;
        let mut said = None;
        let found = connection.wait(Some(options.timeout), |_, event| match event {
            core::Event::Ready(w) => Some(Ok(Ok(Welcome::from(w)))),
            core::Event::Refused(o) => Some(Ok(Err(Some(Outcome::from(o))))),
            core::Event::Disconnected { why, .. } => {
                last = *why;
                if options.patient { None } else { Some(Ok(Err(None))) }
            }
            // The code alone does not say what to do.
            core::Event::Closing(c) => {
                said = Some(Outcome { code: c.code, text: c.text.to_owned(), count: 0 }).filter(|o| !o.text.is_empty());
                None
            }
            _ => None,
        });
        let address = connection.address.clone();
        match found {
            Ok(Ok(welcome)) => {
                connection.welcome = welcome;
                connection.queue.clear();
                Ok(connection)
            }
            Ok(Err(Some(outcome))) => Err(Error::Refused { address, outcome }),
            Ok(Err(None)) | Err(Error::TimedOut) => {
                let problem =
                    connection.link.take_problem().or_else(|| said.map(|said| std::io::Error::other(said.to_string())));
                Err(Error::Connect { address, why: last, problem })
            }
            Err(error) => Err(error),
        }
    }

    /// What the node said when it last welcomed this station.
    pub fn welcome(&self) -> &Welcome {
        &self.welcome
    }

    /// Where the node is.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// What could not be kept or was lost so far.
    pub fn missed(&mut self) -> Missed {
        Missed { events: self.dropped, frames: self.link.skipped(), letters: self.link.client().counts().lost }
    }

    /// The next event: one that came while something else was waited for, or a new one.
    /// `None`: none came in time. Without a timeout it waits for ever.
    pub fn next_event(&mut self, timeout: Option<Duration>) -> Result<Option<Event>, Error> {
        if self.queue.is_empty() {
            self.turn()?;
        }
        let until = timeout.and_then(|t| Instant::now().checked_add(t));
        while self.queue.is_empty() {
            if until.is_some_and(|u| Instant::now() >= u) {
                return Ok(None);
            }
            self.sleep(until)?;
            self.turn()?;
        }
        Ok(self.queue.pop_front())
    }

    /// Whether the node can be spoken to at the moment.
    pub fn is_ready(&mut self) -> bool {
        self.link.client().is_ready()
    }

    /// Sends a letter for which nothing comes back. It is written at once as far as the
    /// operating system takes it; if the outbox is full, waits for room up to the timeout.
    pub fn send(&mut self, letter: &Letter<'_>) -> Result<(), Error> {
        self.place(|client, _| client.send(letter))
    }

    /// Sends a letter and waits for the node's word on it: how many stations got it, or
    /// [`Code::Kept`].
    ///
    /// # Errors
    /// [`Error::Answered`] with [`Code::NoRecipient`] and the like.
    pub fn send_and_learn(&mut self, letter: &Letter<'_>) -> Result<Outcome, Error> {
        let seq = self.request(&ClientToServer::Send(*letter))?;
        let outcome = self.outcome(seq)?;
        if matches!(outcome.code, Code::Ok | Code::Kept) { Ok(outcome) } else { Err(Error::Answered(outcome)) }
    }

    /// Asks and waits for the answer, for `ttl_ms` of the letter or the timeout. An answer
    /// with a code other than [`Code::Ok`] is an answer too.
    ///
    /// # Errors
    /// [`Error::TimedOut`] if not even the node answers, [`Error::Disconnected`].
    pub fn call(&mut self, letter: &Letter<'_>) -> Result<Answer, Error> {
        let seq = self.place(|client, now| client.call(now, letter))?;
        self.wait(None, |_, event| match event {
            core::Event::Reply(a) if a.seq == seq => Some(Ok(Answer::from(a))),
            event => lost(event, seq),
        })
    }

    /// Asks each member of a name, and waits until all have answered or are known not to: who
    /// was asked, and the answer. For `ttl_ms` of the letter or the timeout; `ask` and `each`
    /// are filled in.
    ///
    /// Who is asked is decided in the same step in which the letter is sent, so nobody is
    /// missed and nobody waited for in vain. An answer with a code other than [`Code::Ok`] is
    /// one too: of the member, or with `from` 0 of the node about a member that has left,
    /// does not read or did not answer in time.
    ///
    /// # Errors
    /// [`Error::Answered`] if nobody was asked, mostly with [`Code::NoRecipient`];
    /// [`Error::TimedOut`] if not even the node answers; [`Error::Disconnected`], also when
    /// some have answered already.
    pub fn call_each(&mut self, letter: &Letter<'_>) -> Result<Vec<(u64, Answer)>, Error> {
        let timeout = u32::try_from(self.timeout.as_millis()).unwrap_or(u32::MAX);
        let ttl_ms = if letter.ttl_ms == 0 { timeout } else { letter.ttl_ms };
        let seq = self.request(&ClientToServer::Send(Letter { ask: true, each: true, ttl_ms, ..*letter }))?;
        let mut answers = Vec::new();
        let mut asked = None;
        let patience = Duration::from_millis(ttl_ms.into()) + GRACE;
        self.wait(Some(patience), |_, event| {
            match event {
                core::Event::Outcome(o) if o.seq == seq && o.code == Code::Ok => asked = Some(o.count as usize),
                core::Event::Outcome(o) if o.seq == seq => return Some(Err(Error::Answered(o.into()))),
                core::Event::Reply(a) if a.seq == seq => answers.push((a.station, Answer::from(a))),
                core::Event::Disconnected { .. } => return Some(Err(Error::Disconnected)),
                event => return lost(event, seq),
            }
            asked.is_some_and(|n| answers.len() >= n).then_some(Ok(()))
        })?;
        Ok(answers)
    }

    /// Answers a question. For a message that asks nothing it does nothing.
    pub fn answer(&mut self, question: &Message, answer: &AnswerToSend<'_>) -> Result<(), Error> {
        if question.ask_id == 0 {
            return Ok(());
        }
        self.place(|client, _| client.answer(&AnswerToSend { ask_id: question.ask_id, ..*answer }))
    }

    /// Answers a question with a body and [`Code::Ok`].
    pub fn reply(&mut self, question: &Message, body: &[u8]) -> Result<(), Error> {
        self.answer(question, &AnswerToSend { body, encoding: encoding_of(body), ..Default::default() })
    }

    /// Joins a name, or a pattern (`a::*`, `a/*`, `*`), now and after every reconnect.
    pub fn join(&mut self, name: &str) -> Result<(), Error> {
        self.join_as(&Join { name, ..Default::default() })
    }

    /// Joins a name of which this station shall be the only member.
    ///
    /// # Errors
    /// [`Error::Answered`] with [`Code::NameTaken`].
    pub fn join_exclusively(&mut self, name: &str) -> Result<(), Error> {
        self.join_as(&Join { name, exclusive: true, ..Default::default() })
    }

    /// Joins; `seq` is filled in. What the node refuses is not tried again.
    pub fn join_as(&mut self, join: &Join<'_>) -> Result<(), Error> {
        let seq = self.seq_for(join.name);
        self.place(|client, _| client.join(&Join { seq, ..*join }))?;
        let result = self.done(seq);
        if matches!(result, Err(Error::Answered(_))) {
            self.link.client().forget_join(join.name, join.instance);
        }
        result
    }

    /// Ends a join.
    pub fn leave(&mut self, name: &str, instance: &str) -> Result<(), Error> {
        self.place(|client, _| client.leave(&Leave { name, instance, ..Default::default() }))
    }

    /// Is told who comes and goes, or which flags change, now and after every reconnect.
    /// `seq` is filled in.
    pub fn watch(&mut self, watch: &Watch<'_>) -> Result<(), Error> {
        let seq = self.seq_for(watch.name);
        self.place(|client, _| client.watch(&Watch { seq, ..*watch }))?;
        self.done(seq)
    }

    /// Is shown what all stations say that matches, whatever their dialect, now and after every
    /// reconnect: [`Event::Seen`]. `seq` is filled in. Said again, the newer one counts.
    ///
    /// # Errors
    /// [`Error::Answered`] with [`Code::Refused`] without the rights to read and to manage
    /// everything, with [`Code::Full`] if 16 stations monitor already. It is not tried again.
    pub fn monitor(&mut self, monitor: &Monitor<'_>) -> Result<(), Error> {
        let seq = self.seq_for("");
        self.place(|client, _| client.monitor(&Monitor { seq, off: false, ..*monitor }))?;
        let result = self.done(seq);
        if matches!(result, Err(Error::Answered(_))) {
            self.place(|client, _| client.monitor(&Monitor { off: true, ..Monitor::default() }))?;
        }
        result
    }

    /// Is shown no more of it.
    pub fn stop_monitoring(&mut self) -> Result<(), Error> {
        self.place(|client, _| client.monitor(&Monitor { off: true, ..Monitor::default() }))
    }

    /// Declares a name for which mail may wait.
    pub fn declare(&mut self, name: &str) -> Result<(), Error> {
        self.ask(&Declare { name, ..Default::default() }.into()).map(drop)
    }

    /// Takes a declaration back; mail that waits is dropped.
    pub fn forget(&mut self, name: &str) -> Result<(), Error> {
        self.ask(&Declare { name, forget: true, ..Default::default() }.into()).map(drop)
    }

    /// A shared value; `None`: there is none of that name.
    pub fn get(&mut self, name: &str) -> Result<Option<Value>, Error> {
        match self.store(&Store { name, ..Default::default() }) {
            Err(Error::Answered(o)) if o.code == Code::NotFound => Ok(None),
            result => result,
        }
    }

    /// Sets a shared value.
    pub fn set(&mut self, name: &str, value: &[u8]) -> Result<(), Error> {
        self.store(&Store { op: StoreOp::Set, name, value, ..Default::default() }).map(drop)
    }

    /// Removes a shared value. Whether there was one.
    pub fn remove(&mut self, name: &str) -> Result<bool, Error> {
        match self.store(&Store { op: StoreOp::Remove, name, ..Default::default() }) {
            Ok(_) => Ok(true),
            Err(Error::Answered(o)) if o.code == Code::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Adds to a shared integer, which begins at 0. The new value.
    ///
    /// # Errors
    /// [`Error::Answered`] with [`Code::NotANumber`].
    pub fn add(&mut self, name: &str, amount: i64) -> Result<Value, Error> {
        self.store(&Store { op: StoreOp::Add, name, amount, ..Default::default() }).map(Option::unwrap_or_default)
    }

    /// Waits until all that was changed before, by anybody, is on the node's disk; returns at
    /// once if values are in memory only.
    ///
    /// # Errors
    /// [`Error::Answered`] with [`Code::NotStored`] if the disk fails, [`Error::TimedOut`] or
    /// [`Code::TimedOut`] if it takes too long: then it may be there, or not.
    pub fn flush_values(&mut self) -> Result<(), Error> {
        let seq = self.place(|client, now| client.flush_values(now))?;
        let outcome = self.outcome(seq)?;
        if outcome.code == Code::Ok { Ok(()) } else { Err(Error::Answered(outcome)) }
    }

    /// Any operation on a shared value; `seq` is filled in. The value, where there is one to
    /// tell.
    pub fn store(&mut self, store: &Store<'_>) -> Result<Option<Value>, Error> {
        let seq = self.place(|client, now| client.store(now, store))?;
        self.wait(None, |_, event| match event {
            core::Event::Value(v) if v.seq == seq => Some(Ok(Some(Value::from(v)))),
            core::Event::Outcome(o) if o.seq == seq && o.code == Code::Ok => Some(Ok(None)),
            core::Event::Outcome(o) if o.seq == seq => Some(Err(Error::Answered(o.into()))),
            event => lost(event, seq),
        })
    }

    /// Raises or lowers a flag; `seq` is filled in.
    pub fn flag(&mut self, flag: &Flag<'_>) -> Result<(), Error> {
        self.ask(&ClientToServer::Flag(*flag)).map(drop)
    }

    /// A whole list, page by page. `name`: for [`What::Members`] the name, otherwise only
    /// what begins with it.
    pub fn list(&mut self, what: What, name: &str) -> Result<Vec<Item>, Error> {
        let mut rows = Vec::new();
        let mut after = String::new();
        loop {
            let page = List { what, name, after: &after, ..Default::default() };
            let seq = self.place(|client, now| client.list(now, &page))?;
            let next = self.wait(None, |_, event| match event {
                core::Event::Item(i) if i.seq == seq => {
                    rows.push(Item::from(i));
                    None
                }
                core::Event::Outcome(o) if o.seq == seq && o.code == Code::Ok => Some(Ok(o.next.to_owned())),
                core::Event::Outcome(o) if o.seq == seq => Some(Err(Error::Answered(o.into()))),
                event => lost(event, seq),
            })?;
            if next.is_empty() || next == after {
                return Ok(rows);
            }
            after = next;
        }
    }

    /// Any request, with a number of its own, without waiting for how it ends.
    fn request(&mut self, request: &ClientToServer<'_>) -> Result<u32, Error> {
        self.place(|client, now| client.request(now, request))
    }

    /// Any request, and its good end.
    fn ask(&mut self, request: &ClientToServer<'_>) -> Result<Outcome, Error> {
        let seq = self.request(request)?;
        let outcome = self.outcome(seq)?;
        if outcome.code == Code::Ok { Ok(outcome) } else { Err(Error::Answered(outcome)) }
    }

    fn outcome(&mut self, seq: u32) -> Result<Outcome, Error> {
        self.wait(None, |_, event| match event {
            core::Event::Outcome(o) if o.seq == seq => Some(Ok(o.into())),
            event => lost(event, seq),
        })
    }

    /// The good end of what has a number of ours and is not in the client's table.
    fn done(&mut self, seq: u32) -> Result<(), Error> {
        let timeout = self.timeout;
        self.wait(Some(timeout), |_, event| match event {
            core::Event::Outcome(o) if o.seq == seq && o.code == Code::Ok => Some(Ok(())),
            core::Event::Outcome(o) if o.seq == seq => Some(Err(Error::Answered(o.into()))),
            core::Event::Disconnected { .. } => Some(Err(Error::Disconnected)),
            _ => None,
        })
    }

    /// A number between 1 and [`FIRST_SEQ`] by which the failure of a later replay is known.
    fn seq_for(&mut self, name: &str) -> u32 {
        let place = self.joined.iter().position(|n| n == name).unwrap_or_else(|| {
            self.joined.push(name.to_owned());
            self.joined.len() - 1
        });
        place as u32 % (FIRST_SEQ - 1) + 1
    }

    /// Waits until all that was sent has been given to the operating system.
    pub fn flush(&mut self) -> Result<(), Error> {
        let until = Instant::now() + self.timeout;
        loop {
            self.turn()?;
            if self.link.is_flushed() {
                return Ok(());
            }
            if Instant::now() >= until {
                return Err(Error::TimedOut);
            }
            self.sleep(Some(until))?;
        }
    }

    /// Says goodbye: what was sent is still written, and the node takes note. Without it the
    /// connection just ends.
    pub fn close(mut self) -> Result<(), Error> {
        let now = self.link.now();
        self.link.client().goodbye(now);
        let until = Instant::now() + self.timeout;
        while !self.link.is_over() && Instant::now() < until {
            self.turn()?;
            if !self.link.is_over() {
                self.sleep(Some(until))?;
            }
        }
        Ok(())
    }

    /// Does something that needs a connection with room: connects first, and waits for room,
    /// both up to the timeout. Then writes.
    fn place<T>(
        &mut self,
        mut what: impl FnMut(&mut Client<'static>, chappe_core::time::Instant) -> Result<T, SendError>,
    ) -> Result<T, Error> {
        let until = Instant::now() + self.timeout;
        // A program that was busy elsewhere may have missed the end of its connection: what is
        // written into it then would be lost without a word.
        if self.looked.elapsed() > STALE {
            self.sleep(Some(Instant::now()))?;
            self.turn()?;
        }
        loop {
            let now = self.link.now();
            match what(self.link.client(), now) {
                Ok(value) => {
                    self.link.flush();
                    return Ok(value);
                }
                Err(SendError::NotReady | SendError::Full) if Instant::now() < until => {
                    self.turn()?;
                    if !self.link.client().is_ready() || !self.link.is_flushed() {
                        self.sleep(Some(until))?;
                    }
                }
                Err(SendError::NotReady) => {
                    let problem = self.link.take_problem();
                    return Err(Error::Connect { address: self.address.clone(), why: core::Why::Unreachable, problem });
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Waits until `take` finds what it looks for; everything else goes into the queue.
    /// Without a timeout the client's own ends it, by [`core::Event::Lost`].
    fn wait<T>(
        &mut self,
        timeout: Option<Duration>,
        mut take: impl FnMut(&mut Client<'static>, &core::Event<'_>) -> Found<T>,
    ) -> Result<T, Error> {
        let until = timeout.and_then(|t| Instant::now().checked_add(t));
        loop {
            let mut found = None;
            self.turn_with(|client, event| {
                if found.is_none() {
                    found = take(client, event);
                    return found.is_some();
                }
                false
            })?;
            if let Some(found) = found {
                return found;
            }
            if until.is_some_and(|u| Instant::now() >= u) {
                return Err(Error::TimedOut);
            }
            self.sleep(until)?;
        }
    }

    fn turn(&mut self) -> Result<(), Error> {
        self.turn_with(|_, _| false)
    }

    /// One turn of the link. What `taken` does not take is kept.
    fn turn_with(
        &mut self,
        mut taken: impl FnMut(&mut Client<'static>, &core::Event<'_>) -> bool,
    ) -> Result<(), Error> {
        let (queue, room, dropped) = (&mut self.queue, self.room, &mut self.dropped);
        let (joined, welcome) = (&self.joined, &mut self.welcome);
        let had = queue.len();
        loop {
            let more = self.link.turn(self.poll.registry(), TOKEN, |client, event| {
                if let core::Event::Ready(w) = &event {
                    *welcome = w.into();
                }
                if taken(client, &event) {
                    return;
                }
                // With more names than numbers nobody knows which one it was.
                let known = joined.len() < FIRST_SEQ as usize;
                let name_of = |seq: u32| joined.get((seq as usize).checked_sub(1)?).filter(|_| known).cloned();
                let Some(owned) = Event::of(&event, name_of) else { return };
                if queue.len() < room {
                    queue.push_back(owned);
                    return;
                }
                *dropped += 1;
                if let core::Event::Message(question) = event
                    && question.ask_id != 0
                {
                    // Who asks hears at once. Without room in the outbox it hears from the node.
                    let busy = AnswerToSend {
                        ask_id: question.ask_id,
                        code: Code::RecipientBusy,
                        text: "too many messages wait here",
                        ..Default::default()
                    };
                    let _ = client.answer(&busy);
                }
            });
            // Whoever floods us is read as fast as the program looks at it.
            if !more || queue.len() > had {
                break;
            }
        }
        // Why it ended is known only after the turn.
        if let Some(problem) = self.link.problem().map(ToString::to_string) {
            for event in self.queue.iter_mut().skip(had) {
                if let Event::Disconnected { problem: p, .. } = event {
                    *p = Some(problem.clone());
                }
            }
        }
        Ok(())
    }

    /// Sleeps until something happens, the client has something to do, or `until`.
    fn sleep(&mut self, until: Option<Instant>) -> Result<(), Error> {
        let next = match (self.link.deadline(), until) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        // The core counts whole milliseconds: a little late rather than twice.
        let timeout = next.map(|n| n.saturating_duration_since(Instant::now()) + Duration::from_micros(900));
        let timeout = if until.is_some_and(|u| u <= Instant::now()) { Some(Duration::ZERO) } else { timeout };
        let timeout = if self.link.is_pending() { Some(Duration::ZERO) } else { timeout };
        match self.poll.poll(&mut self.events, timeout) {
            Ok(()) => {}
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(e) => return Err(Error::Poll(e)),
        }
        self.looked = Instant::now();
        for event in &self.events {
            self.link.ready(event);
        }
        Ok(())
    }
}

/// Whether the client has given this number up.
fn lost<T>(event: &core::Event<'_>, seq: u32) -> Found<T> {
    match event {
        core::Event::Lost { seq: s, why } if *s == seq => Some(Err(match why {
            LostWhy::TimedOut => Error::TimedOut,
            LostWhy::Disconnected => Error::Disconnected,
        })),
        _ => None,
    }
}

/// What to call a body that its owner says nothing about.
fn encoding_of(body: &[u8]) -> Encoding {
    match body {
        [] => Encoding::None,
        body if std::str::from_utf8(body).is_ok() => Encoding::Text,
        _ => Encoding::Bytes,
    }
}
