//! Calls that wait for an answer.
//!
//! Owns: asking again when the connection ended in between, where nothing is done twice by it,
//! and time limits. Does not own which line is the answer (`heard.rs`).

use std::time::Instant;

use chappe_core::dialect::clacks::frame;
use chappe_core::dialect::clacks::repr::Command;

use super::event::Client;
use super::heard::{Answer, Question, barrier_text};
use super::session::Session;
use super::{Error, say};
use crate::lines::{Fate, Outbox};

impl Session {
    /// The value under a key, if there is one.
    ///
    /// # Errors
    /// Of this call and all others that wait for an answer: [`Error::Denied`],
    /// [`Error::Unknown`]; [`Error::TimedOut`] when there is none within [`Options::timeout`],
    /// [`Error::Lost`] when the connection ended and none came back in that time,
    /// [`Error::Refused`], [`Error::TurnedAway`], and [`Error::NotSent`].
    ///
    /// [`Options::timeout`]: super::Options::timeout
    pub fn retrieve(&mut self, key: impl AsRef<[u8]>) -> Result<Option<Vec<u8>>, Error> {
        let key = key.as_ref();
        match self.ask(&Command::Retrieve(key), || Question::Value(key.to_owned()))? {
            Answer::Value(value) => Ok(value),
            _ => Ok(None),
        }
    }

    /// The keys of all values, as the server sorts them; the original lists those that were
    /// removed less than an hour ago as well.
    pub fn keys(&mut self) -> Result<Vec<Vec<u8>>, Error> {
        match self.ask(&Command::KeyList, || Question::Keys)? {
            Answer::Keys(keys) => Ok(keys),
            _ => Ok(Vec::new()),
        }
    }

    /// Who is connected to this server, this session included. Takes the right to manage it.
    pub fn clients(&mut self) -> Result<Vec<Client>, Error> {
        match self.ask(&Command::ClientList, || Question::Clients)? {
            Answer::Clients(clients) => Ok(clients),
            _ => Ok(Vec::new()),
        }
    }

    /// Ends another connection, by its [`Client::id`]. Of an id that there is not, nobody says
    /// so. Takes the right to manage the server.
    ///
    /// # Errors
    /// See [`Session::flush`].
    pub fn disconnect(&mut self, id: impl AsRef<[u8]>) -> Result<(), Error> {
        let command = Command::ClientDisconnect(id.as_ref());
        say::say(&command, Fate::Dropped, self.options.max_line, &mut Outbox::default())?;
        // What was said before has its own errors.
        self.flush()?;
        let generation = self.generation;
        self.tell(&command, Fate::Dropped)?;
        self.flush()?;
        // An id must not be said to another life of the server, where it may be somebody else.
        match generation == self.generation {
            true => Ok(()),
            false => Err(Error::Lost { why: self.why.clone(), unsure: 1 }),
        }
    }

    /// Waits until the server has dealt with all that was said; that those who listen have
    /// it is another matter. What it denied of that, or did not know, is the error of this
    /// call, or an event if it is known already.
    ///
    /// The original says what it denied behind other answers, so if anything was said that it
    /// may deny this takes two round trips.
    ///
    /// # Errors
    /// [`Error::Denied`], [`Error::Unknown`], [`Error::Told`]: the first of them; all else that
    /// was said is dealt with. [`Error::Lost`]: the connection ended, and it is not known what
    /// became of what was said. And those of [`Session::retrieve`].
    pub fn flush(&mut self) -> Result<(), Error> {
        let unsure = self.unsure;
        let mut result = Ok(());
        loop {
            let again = std::mem::take(&mut self.doubtful);
            // with a number that is given when it is said
            let asked = self.ask(&Command::Flush(b""), || Question::Barrier);
            if self.unsure > unsure {
                return Err(Error::Lost { why: self.why.clone(), unsure: self.unsure - unsure });
            }
            match asked {
                Ok(_) => {}
                Err(error @ (Error::Denied | Error::Unknown(_) | Error::Told(_))) => {
                    result = result.and(Err(error));
                }
                Err(error) => return Err(error),
            }
            if !again || result.is_err() {
                return result;
            }
        }
    }

    /// Asks, and asks again on the next connection if this one ends first, until there is an
    /// answer or no time is left.
    fn ask(&mut self, command: &Command<'_>, question: impl Fn() -> Question) -> Result<Answer, Error> {
        let timeout = self.options.timeout;
        let until = Instant::now() + timeout;
        let unsure = self.unsure;
        self.alive()?;
        self.make_room()?;
        loop {
            self.say_question(command, question())?;
            let generation = self.generation;
            while generation == self.generation {
                let turned = self.turn(Some(until));
                if let Some(result) = self.heard.take() {
                    return result;
                }
                turned?;
                if generation == self.generation && Instant::now() >= until {
                    let may_be_denied = self.heard.give_up();
                    return Err(if may_be_denied { Error::Denied } else { self.late(timeout) });
                }
            }
            // A barrier on another connection proves nothing about this one.
            let is_barrier = matches!(command, Command::Flush(_));
            if Instant::now() >= until || is_barrier && self.unsure > unsure {
                return Err(Error::Lost { why: self.why.clone(), unsure: self.unsure - unsure });
            }
        }
    }

    /// Puts a question and its barrier behind all that was said.
    fn say_question(&mut self, command: &Command<'_>, question: Question) -> Result<(), Error> {
        let limit = self.options.max_line;
        let (put, _) = self.outbox.counts();
        let mut line = Vec::new();
        if !matches!(command, Command::Flush(_)) {
            say::say(command, Fate::Dropped, limit, &mut self.outbox)?;
            line = frame::content(self.outbox.last()).to_vec();
        }
        let barrier = self.heard.barrier(put);
        say::say(&Command::Flush(&barrier_text(barrier)), Fate::Dropped, limit, &mut self.outbox)?;
        self.heard.ask(question, line, barrier);
        Ok(())
    }
}
