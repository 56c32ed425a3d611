//! Questions and their answers (D5): `reply_to` (`dialect/communicator/translate.rs`).
//!
//! Owns: which message is a question, and which is the answer to one. Programs that know nothing
//! of `reply_to` answer with a message to who asked, so the first one while the question is open
//! is the answer. What becomes of questions is `router/ask.rs`'s.

use super::super::faults::fault;
use super::super::{Counter, Router};
use crate::dialect::communicator::command::Command;
use crate::dialect::communicator::emit::{self, Edit, Form};
use crate::dialect::communicator::number;
use crate::dialect::communicator::repr::Message;
use crate::dialect::communicator::route::To;
use crate::dialect::communicator::translate::{REPLY, REPLY_TO};
use crate::dialect::communicator::{name, words};
use crate::limits::MAX_NAME;
use crate::model::{Answer, Letter, Raw};

/// The number that the answer to a message is to have, if it wants one: `reply_to` with a number
/// from 1 on. What is an answer asks nothing, however late it comes.
pub(super) fn question(m: &Message<'_>) -> Option<u32> {
    if !m.asks || is_reply(m) || Command::of(m.command).is_some_and(Command::is_answer) {
        return None;
    }
    let n = number::integer(m.get(REPLY_TO)?).ok()?;
    u32::try_from(n).ok().filter(|n| *n > 0)
}

fn is_reply(m: &Message<'_>) -> bool {
    m.command == REPLY.as_bytes()
}

/// Whether a message that answers no open question answers one all the same: with a number that
/// only the node gives. Whoever it is for would take it for the answer to something else.
pub(super) fn is_stray(m: &Message<'_>) -> bool {
    m.asks && is_reply(m) && m.get(REPLY_TO).and_then(|n| number::integer(n).ok()).and_then(words::ask_id).is_some()
}

impl Router<'_> {
    /// A service, or a station, is asked.
    pub(super) fn ask_for(&mut self, n: u32, l: &Letter<'_>, m: &Message<'_>, seq: u32) {
        self.end_run();
        self.counters.one(Counter::Letters);
        let seq = if fault!(self, NumberMixed) { seq.wrapping_add(1) } else { seq };
        let l = Letter { ask: true, seq, ..*l };
        self.with_heard(n, m, |router, heard| router.ask(n, &l, Raw::Communicator(heard)));
    }

    /// Whether a message answers what station `n` was asked. If so, that has been done.
    pub(super) fn answers(&mut self, n: u32, m: &Message<'_>, to: To<'_>) -> bool {
        // what some have got already is what it was before
        if self.stations[n].debts.first == 0 || self.stations[n].resumed().is_some() {
            return false;
        }
        let asker = match to {
            To::Daemon => Some(0),
            To::Service { service, reach } if reach.is_here() => self.who_is(service),
            _ => return false,
        };
        let ask_id = match m.get(REPLY_TO).map(number::integer) {
            // who asked may have another name by now: the number is enough
            Some(Ok(id)) => words::ask_id(id).filter(|id| self.is_open(*id, n, asker.unwrap_or(0))),
            Some(Err(_)) => None,
            None if fault!(self, AnswerIsMessage) => None,
            None => asker.and_then(|asker| self.oldest_question(n, asker)),
        };
        let Some(ask_id) = ask_id else { return false };
        // the question stays open for something that can be said
        let mut spare = [0; MAX_NAME];
        if let Err(why) = name::to_verb(m.command, &mut spare) {
            self.invalid(n, m, why.text());
            return true;
        }
        if m.raw.is_empty()
            && let Err(why) = emit::line(m, Edit::NONE, Form::Text, self.encode)
        {
            self.invalid(n, m, why.text());
            return true;
        }
        self.with_heard(n, m, |router, heard| {
            router.answer(n, &Answer { ask_id, ..Answer::default() }, Raw::Communicator(heard));
        });
        true
    }

    /// The row of the station that a service stands for.
    fn who_is(&self, service: &[u8]) -> Option<u32> {
        if let Some(station) = words::station(service) {
            return crate::id::StationId::new(station).and_then(|id| self.stations.find(id));
        }
        let mut spare = [0; MAX_NAME];
        let row = self.names.find(name::to_bus(service, &mut spare).ok()?)?;
        let first = self.names.row(row).members.first;
        (first != 0).then(|| self.names.members[first].station)
    }

    /// Whether station `n` owes an answer to a question of `asker` (0: anybody's).
    fn is_open(&self, ask_id: u64, n: u32, asker: u32) -> bool {
        self.requests
            .find(ask_id)
            .is_some_and(|r| self.requests.owed_by(r, n) != 0 && (asker == 0 || self.requests.row(r).asker == asker))
    }

    /// What station `n` owes `asker` for longest.
    fn oldest_question(&self, n: u32, asker: u32) -> Option<u64> {
        let mut d = self.stations[n].debts.first;
        while d != 0 && asker != 0 {
            let debt = self.requests.debt(d);
            // those that were answered may stay for a while
            if self.requests.row(debt.request).asker == asker && self.is_awaited(debt.request, d) {
                return Some(self.requests.number(debt.request));
            }
            d = debt.next_of_station();
        }
        None
    }
}
