//! Questions that are answered by their asker's own number, as in dialects without numbers of
//! the node (D5).
//!
//! Owns: what is remembered of such a question (its header, its key), and that an answer that
//! comes when the asker has heard already is not taken for a message. Without such dialects
//! all of it is nothing: each function says what it is then.

use super::Router;
use crate::dialect::Question;
use crate::model::{Code, Raw};

#[cfg(not(feature = "msgq"))]
impl Router<'_> {
    pub(super) fn can_be_answered(&self, _: u32, _: Raw<'_>) -> bool {
        true
    }

    pub(super) fn remember(&mut self, _: u32, _: u32, _: Raw<'_>) -> Result<(), Code> {
        Ok(())
    }

    pub(super) fn answer_at_once(&mut self, n: u32, l: &crate::model::Letter<'_>, _: Raw<'_>, code: Code, text: &str) {
        self.see_answer_at_once(n, l, code, text);
        self.answer_itself(n, Question { seq: l.seq, ..Question::default() }, code, text);
    }

    pub(super) fn question<'b>(&mut self, r: u32, about: u64, _: &'b mut [u8]) -> Question<'b> {
        Question { seq: self.requests.row(r).seq, about, ..Question::default() }
    }

    pub(super) fn is_awaited(&self, _: u32, _: u32) -> bool {
        true
    }

    pub(super) fn is_spent(&self, _: u32) -> bool {
        false
    }

    pub(super) fn conclude(&mut self, r: u32) {
        self.settle(r);
    }

    pub(super) fn drop_echo(&mut self, _: u32) {}

    pub(super) fn forget_a_question(&mut self) -> bool {
        false
    }

    pub(super) fn pay(&mut self, _: u32, d: u32) {
        self.requests.forgive(&mut self.stations, d);
    }

    pub(super) fn forgive(&mut self, d: u32, _: bool) -> Option<u32> {
        self.requests.forgive(&mut self.stations, d)
    }

    pub(super) fn deny(&mut self, _: u32) {}
}

#[cfg(feature = "msgq")]
use {
    super::policy::{Class, Fill, admit},
    super::route::Delivery,
    super::stations::Resume,
    super::{Counter, Reason},
    crate::dialect::question_key,
    crate::id::StationId,
    crate::model::{Answer, Letter},
};

#[cfg(feature = "msgq")]
impl Router<'_> {
    /// Whether a question of station `n` has what an answer must repeat of it. If not, it is
    /// delivered like what asks nothing.
    pub(super) fn can_be_answered(&self, n: u32, raw: Raw<'_>) -> bool {
        !self.stations[n].session.dialect().ways().numbers || question_key(raw.echo()).is_some()
    }

    /// Keeps what is needed of question `r` of station `n`, if its dialect needs anything.
    pub(super) fn remember(&mut self, n: u32, r: u32, raw: Raw<'_>) -> Result<(), Code> {
        if !self.stations[n].session.dialect().ways().numbers {
            return Ok(());
        }
        let echo = raw.echo();
        let key = question_key(echo).ok_or(Code::BadRequest)?;
        while let Some(old) = self.requests.spent_with(n, key) {
            self.settle(old);
        }
        // headers are charged to who asks, as if they waited for it
        let st = &mut self.stations[n];
        let fill = Fill {
            have: st.out.len() + st.echoes as usize,
            blocked: true,
            limit: self.settings.outbox_in(st.session.dialect()),
            free: self.pool.free_bytes(),
            pool: self.pool.all_bytes(),
        };
        // nobody takes them who could be closed for it, so all together get an eighth
        let too_many = self.echoes + echo.len() > self.pool.all_bytes() / 8;
        if too_many || admit(echo.len(), Class::Signal, fill).is_err() || !self.requests.keep_key(r, key) {
            return Err(Code::Full);
        }
        if !self.pool.push(&mut self.requests.row_mut(r).by_key.echo, echo) {
            return Err(Code::Full);
        }
        st.echoes += echo.len() as u32;
        self.echoes += echo.len();
        Ok(())
    }

    /// The node's own answer to a question that is not open.
    pub(super) fn answer_at_once(&mut self, n: u32, l: &Letter<'_>, raw: Raw<'_>, code: Code, text: &str) {
        self.see_answer_at_once(n, l, code, text);
        let question = Question { seq: l.seq, echo: raw.echo(), number: self.next_number(), ..Question::default() };
        self.answer_itself(n, question, code, text);
    }

    /// What an answer to question `r` needs of it; its header is put into `buffer`.
    pub(super) fn question<'b>(&mut self, r: u32, about: u64, buffer: &'b mut [u8]) -> Question<'b> {
        let number = self.next_number();
        let row = self.requests.row(r);
        let len = self.pool.copy(&row.by_key.echo, buffer);
        Question { seq: row.seq, about, echo: &buffer[..len], number }
    }

    /// A number for something that the node itself says.
    pub(super) fn next_number(&mut self) -> u64 {
        self.number += 1;
        self.number
    }

    /// Whether an answer that pays debt `d` of question `r` is what the asker waits for.
    pub(super) fn is_awaited(&self, r: u32, d: u32) -> bool {
        !self.is_spent(r) && !self.requests.debt(d).void
    }

    /// Whether the asker of question `r` has heard all it will hear.
    pub(super) fn is_spent(&self, r: u32) -> bool {
        self.requests.row(r).by_key.spent
    }

    /// The asker of question `r` has heard. If it may still be answered by the asker's own
    /// number, it stays for a while so that those answers are known for what they are.
    pub(super) fn conclude(&mut self, r: u32) {
        let row = self.requests.row(r);
        let numbers = self.stations[row.asker].session.dialect().ways().numbers;
        if !numbers || row.debts.first == 0 {
            return self.settle(r);
        }
        self.drop_echo(r);
        let name = core::mem::take(&mut self.requests.row_mut(r).name);
        if name != 0 {
            self.names.release(name);
        }
        self.set_question_timer(r, self.settings.max_ask);
        if let Some(oldest) = self.requests.spend(&mut self.stations, r) {
            self.settle(oldest);
        }
    }

    /// Makes room by forgetting a question that is spent. Whether there was one.
    pub(super) fn forget_a_question(&mut self) -> bool {
        let oldest = self.requests.oldest_spent();
        if let Some(oldest) = oldest {
            self.settle(oldest);
        }
        oldest.is_some()
    }

    /// Debt `d` of question `r` is paid. If its answer could come a second time, that is known.
    pub(super) fn pay(&mut self, r: u32, d: u32) {
        let numbers = self.stations[self.requests.row(r).asker].session.dialect().ways().numbers;
        if numbers {
            self.requests.void(d);
        } else {
            self.requests.forgive(&mut self.stations, d);
        }
    }

    /// The header of question `r` is not needed any more.
    pub(super) fn drop_echo(&mut self, r: u32) {
        let row = self.requests.row_mut(r);
        let asker = row.asker;
        let len = row.by_key.echo.len() as u32;
        self.pool.clear(&mut row.by_key.echo);
        self.stations[asker].echoes -= len;
        self.echoes -= len as usize;
    }

    /// Debt `d` will not be paid, since its debtor goes or has left the name. Returns its
    /// question if that was the last one that might have been.
    pub(super) fn forgive(&mut self, d: u32, goes: bool) -> Option<u32> {
        let r = self.requests.debt(d).request;
        let row = self.requests.row(r);
        if !goes && self.stations[row.asker].session.dialect().ways().numbers {
            let last = self.requests.void(d);
            return if self.is_spent(r) { None } else { last };
        }
        let last = self.requests.forgive(&mut self.stations, d);
        if last.is_none() || self.requests.row(r).debts.first == 0 || !self.is_spent(r) {
            return last;
        }
        None // spent, and somebody else may still answer
    }

    /// A station answers question `key` of the station in `letter`, or so it says.
    pub(super) fn reply(&mut self, n: u32, key: u64, letter: &Letter<'_>, raw: Raw<'_>) {
        let asker = StationId::new(letter.station).and_then(|id| self.stations.find(id));
        let asker = asker.filter(|a| self.stations[*a].lives());
        let Some(asker) = asker else { return self.letter(n, letter, &raw) };
        if !self.stations[asker].session.dialect().ways().numbers {
            // its questions have the node's numbers, and nothing else of it can be answered
            let is_its = self.requests.find(key).is_some_and(|r| self.requests.row(r).asker == asker);
            if !is_its {
                self.see_answer(n, &Answer::default(), raw, 0);
                return self.counters.one(Counter::StrayAnswers);
            }
            return self.answer(n, &Answer { ask_id: key, ..Answer::default() }, raw);
        }
        let Some(d) = self.requests.find_key(asker, key, n) else {
            return self.letter(n, letter, &raw); // to something that wanted no answer
        };
        let r = self.requests.debt(d).request;
        if !self.is_awaited(r, d) {
            self.see_answer(n, &Answer::default(), raw, 0);
            return self.counters.one(Counter::StrayAnswers);
        }
        self.see_answer(n, &Answer::default(), raw, r);
        let from = self.stations.id(n).number();
        let mut delivery = Delivery::new(letter, raw, n, from, 0);
        let Some(handed) = self.wait_if_short(|router| router.hand_anew(&mut delivery, asker)) else {
            return self.stations[n].resume = Some(Resume::default());
        };
        match handed {
            Ok(()) => {
                self.counters.one(Counter::Answered);
                self.paid(r, d);
            }
            // it was closed, or told
            Err(_) if !self.stations[asker].lives() => {}
            Err(_) => {
                self.pay(r, d);
                self.give_up(r, Code::TooBig);
            }
        }
    }

    /// Somebody who cannot be told otherwise is let go of.
    pub(super) fn deny(&mut self, n: u32) {
        if !self.stations[n].session.dialect().ways().outcomes {
            self.doom(n, Reason::Denied);
        }
    }
}
