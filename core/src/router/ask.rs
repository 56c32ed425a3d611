//! Questions and answers (D5).
//!
//! Owns: that each question is answered exactly once: by who was asked, or by the node; and a
//! question to *each* member of a name once for every member that was there when it was
//! asked. Questions that are answered by their asker's own number have more to them:
//! `numbered.rs`.

use super::faults::fault;
use super::policy::{Class, Denied};
use super::route::Delivery;
use super::say::{OnShort, unanswered};
use super::stations::Life;
use super::{Counter, Router};
use crate::dialect::Question;
use crate::id::StationId;
use crate::model::{Answer, Code, Letter, Outcome, Raw, ServerToClient};
use crate::time::Duration;

impl Router<'_> {
    /// A station asks the members of a name, or one station.
    pub(super) fn ask(&mut self, n: u32, l: &Letter<'_>, raw: Raw<'_>) {
        if let Err(code) = self.try_ask(n, l, raw) {
            if l.each {
                return self.count_asked(n, l.seq, code, 0);
            }
            self.answer_at_once(n, l, raw, code, "");
        }
    }

    fn try_ask(&mut self, n: u32, l: &Letter<'_>, raw: Raw<'_>) -> Result<(), Code> {
        if self.stations[n].asks >= self.settings.asks {
            return Err(Code::Full);
        }
        let name = self.names.find(l.name).unwrap_or(0);
        let station = match l.station {
            0 => 0,
            // an address that is nobody's is not the same as none
            id => StationId::new(id).and_then(|id| self.stations.find(id)).ok_or(Code::NoRecipient)?,
        };
        if name == 0 && station == 0 {
            return Err(if crate::name::is_valid(l.name) { Code::NoRecipient } else { Code::BadName });
        }
        // who is asked under a name owes nothing more once it has left it
        let row = match station {
            0 => name,
            s if name != 0 && self.names.is_member(self.stations[s].memberships, name) => name,
            _ => 0,
        };
        let r = loop {
            match self.requests.open(&mut self.stations, n, l.seq, row) {
                Some(r) => break r,
                None if self.forget_a_question() => {}
                None => return Err(Code::Full),
            }
        };
        if row != 0 {
            self.names.hold_row(row);
        }
        self.requests.row_mut(r).each = l.each;
        if let Err(code) = self.remember(n, r, raw) {
            self.settle(r);
            return Err(code);
        }
        if l.each {
            let members = self.eligible(n, l, row);
            self.count_asked(n, l.seq, if members == 0 { Code::NoRecipient } else { Code::Ok }, members);
        }
        self.on_short = OnShort::Tell;
        let code = self.put_question(n, l, raw, r, row, station);
        self.on_short = OnShort::Close;
        if self.requests.row(r).owed == 0 {
            self.settle(r);
            return if l.each { Ok(()) } else { Err(code) };
        }
        self.counters.one(Counter::Asks);
        let usual = self.settings.ask_in(self.stations[n].session.dialect());
        let within = Self::span(l.ttl_ms, usual, self.settings.max_ask);
        self.set_question_timer(r, within);
        Ok(())
    }

    pub(super) fn set_question_timer(&mut self, r: u32, within: Duration) {
        self.wheel.set(self.request_timer(r), self.now + within);
    }

    /// Tells who asks each member how many answers will come.
    fn count_asked(&mut self, n: u32, seq: u32, code: Code, count: u32) {
        self.see_outcome(n, seq, code, "");
        if code != Code::Ok {
            self.counters.one(unanswered(code));
        }
        let text = if code == Code::Ok { "" } else { code.text() };
        self.say(n, &ServerToClient::Outcome(Outcome { seq, code, text, count, ..Outcome::default() }));
    }

    /// How many stations a question of station `n` to each member will be put to.
    fn eligible(&mut self, n: u32, l: &Letter<'_>, row: u32) -> u32 {
        self.next_stamp();
        let instance = self.instance_row(l.instance);
        let (mut count, mut m) = (0, self.names.row(row).members.first);
        while m != 0 {
            let member = &self.names.members[m];
            m = member.next_of_name();
            let st = &mut self.stations[member.station];
            let asked = member.instance == 0 || member.instance == instance;
            let answers = st.session.dialect().ways().answers;
            if asked && answers && member.station != n && st.life == Life::Ready && st.stamp != self.stamp {
                st.stamp = self.stamp;
                count += 1;
            }
        }
        count
    }

    /// Hands question `r` to all who are asked. Returns why nobody was, if so.
    fn put_question(&mut self, n: u32, l: &Letter<'_>, raw: Raw<'_>, r: u32, row: u32, station: u32) -> Code {
        let from = self.stations.id(n).number();
        let mut delivery = Delivery::new(l, raw, n, from, self.requests.number(r));
        self.next_stamp();
        let mut why = Code::NoRecipient;
        if station != 0 {
            self.put_to(&mut delivery, n, r, station, &mut why);
            return why;
        }
        let instance = self.instance_row(l.instance);
        let kinds = self.names.kinds(row);
        for (kind, _) in kinds.iter().enumerate().filter(|(_, there)| **there) {
            let mut m = self.names.row(row).members.first;
            while m != 0 {
                let member = &self.names.members[m];
                m = member.next_of_name();
                if member.kind as usize == kind && (member.instance == 0 || member.instance == instance) {
                    let to = member.station;
                    self.put_to(&mut delivery, n, r, to, &mut why);
                }
            }
        }
        why
    }

    fn put_to(&mut self, delivery: &mut Delivery<'_>, asker: u32, r: u32, to: u32, why: &mut Code) {
        let each = self.requests.row(r).each;
        let st = &mut self.stations[to];
        let there = st.life == Life::Ready;
        if !st.session.dialect().ways().answers {
            if there && to != asker && st.stamp != self.stamp {
                st.stamp = self.stamp;
                // it hears what was asked; who asked waits for others
                self.on_short = OnShort::Close;
                let _ = self.hand_anew(delivery, to);
                self.on_short = OnShort::Tell;
            }
            return;
        }
        // of those who were counted, each is asked or told to be lost
        let due = if each { st.stamp == self.stamp - 1 } else { there && st.stamp != self.stamp };
        if to == asker || !due {
            return;
        }
        st.stamp = self.stamp;
        let put = if !there {
            Err(Code::RecipientLeft)
        } else if !self.owe(r, to) {
            // others may have been asked, and then nobody is told
            self.counters.one(Counter::NotAsked);
            Err(Code::Full)
        } else {
            self.hand_anew(delivery, to).map_err(|denied| {
                let debt = self.stations[to].debts.last;
                self.requests.forgive(&mut self.stations, debt);
                match denied {
                    Denied::TooBig => Code::TooBig,
                    Denied::Right => Code::Refused,
                    _ => Code::RecipientBusy,
                }
            })
        };
        if let Err(code) = put {
            *why = code;
            if each {
                self.tell_loss(r, to, code);
                delivery.forget_wording();
            }
        }
    }

    /// Station `to` may answer question `r`. `false`: there is no room to note that.
    fn owe(&mut self, r: u32, to: u32) -> bool {
        loop {
            if self.requests.owe(&mut self.stations, r, to) {
                return true;
            }
            if !self.forget_a_question() {
                return false;
            }
        }
    }

    /// Who asked each member is told that it will not hear from station `about`.
    fn tell_loss(&mut self, r: u32, about: u32, code: Code) {
        self.see_own_answer(r, code);
        let row = self.requests.row(r);
        let (asker, seq) = (row.asker, row.seq);
        let about = self.stations.id(about).number();
        self.answer_itself(asker, Question { seq, about, ..Question::default() }, code, "");
    }

    /// A station answers.
    pub(super) fn answer(&mut self, n: u32, a: &Answer<'_>, raw: Raw<'_>) {
        let open = self.requests.find(a.ask_id).map(|r| (r, self.requests.owed_by(r, n))).filter(|(_, d)| *d != 0);
        let Some((r, d)) = open.filter(|(r, d)| self.is_awaited(*r, *d)) else {
            self.see_answer(n, a, raw, 0);
            return self.counters.one(Counter::StrayAnswers);
        };
        self.see_answer(n, a, raw, r);
        let row = self.requests.row(r);
        let (asker, each) = (row.asker, row.each);
        let from = self.stations.id(n).number();
        let about = if each { from } else { 0 };
        let scratch = core::mem::take(&mut self.scratch);
        let question = self.question(r, about, scratch);
        let wording = self.stations[asker].session.wording();
        let len = wording.reply(self.here(), a, raw, question, from, self.encode);
        let st = &self.stations[asker];
        let most = self.settings.outbox_in(st.session.dialect()).min(st.max_frame as usize);
        // what there is no way to say there is no answer, either
        let len = len.filter(|len| (1..=most).contains(len));
        if len.is_none() {
            self.see_own_answer(r, Code::TooBig);
            self.answer_itself(asker, question, Code::TooBig, "");
        }
        self.scratch = scratch;
        // the answer stands in the encode buffer: closing the question writes nothing there
        self.paid(r, d);
        if let Some(len) = len
            && self.post(asker, len, Class::Owed).is_ok()
        {
            self.counters.one(Counter::Answered);
            if fault!(self, AnswerTwice) {
                let _ = self.post(asker, len, Class::Owed);
            }
        }
    }

    /// Debt `d` of question `r` is paid.
    pub(super) fn paid(&mut self, r: u32, d: u32) {
        if self.requests.row(r).each {
            if self.requests.forgive(&mut self.stations, d).is_some() {
                self.settle(r);
            }
        } else {
            self.pay(r, d);
            self.conclude(r);
        }
    }

    /// Question `r` was not answered in time.
    pub(super) fn request_due(&mut self, r: u32) {
        if self.requests.row(r).each {
            while self.requests.row(r).debts.first != 0 {
                let d = self.requests.row(r).debts.first;
                self.tell_loss(r, self.requests.debt(d).station, Code::TimedOut);
                self.requests.forgive(&mut self.stations, d);
            }
            return self.settle(r);
        }
        self.give_up(r, Code::TimedOut);
    }

    /// The node answers question `r` itself.
    pub(super) fn give_up(&mut self, r: u32, code: Code) {
        if self.is_spent(r) {
            return self.settle(r);
        }
        let left = code == Code::RecipientLeft && fault!(self, NoAnswerLeft);
        if left || code == Code::TimedOut && fault!(self, NoAnswerLate) {
            return self.conclude(r);
        }
        self.see_own_answer(r, code);
        let asker = self.requests.row(r).asker;
        let scratch = core::mem::take(&mut self.scratch);
        let question = self.question(r, 0, scratch);
        self.answer_itself(asker, question, code, "");
        self.scratch = scratch;
        self.conclude(r);
    }

    /// Question `r` is closed, whatever the answer.
    pub(super) fn settle(&mut self, r: u32) {
        let timer = self.request_timer(r);
        self.wheel.clear(timer);
        self.drop_echo(r);
        if fault!(self, LeakQuestion) {
            return;
        }
        let name = self.requests.close(&mut self.stations, r);
        if name != 0 {
            self.names.release(name);
        }
    }

    /// Station `n` no longer answers what it was asked at the name in row `row` (0: whatever
    /// it was asked, since it goes).
    pub(super) fn forgive_debts(&mut self, n: u32, row: u32) {
        let goes = row == 0;
        let mut d = self.stations[n].debts.first;
        while d != 0 {
            let debt = self.requests.debt(d);
            let (this, request, next) = (d, debt.request, debt.next_of_station());
            let asked = self.requests.row(request);
            if !goes && asked.name != row {
                d = next;
                continue;
            }
            let each = asked.each;
            let is_void = !goes && !each && self.stations[asked.asker].session.dialect().ways().numbers;
            if each {
                self.tell_loss(request, n, Code::RecipientLeft);
            }
            if let Some(r) = self.forgive(this, goes) {
                if each {
                    self.settle(r);
                } else {
                    self.give_up(r, Code::RecipientLeft);
                }
            }
            // With that the node may have forgotten a question that was answered, and what this station owed
            // there, which may have been the next: so where this goes on is asked now. What goes owes one less.
            d = match (goes, is_void) {
                (true, _) => self.stations[n].debts.first,
                (_, true) => self.requests.debt(this).next_of_station(),
                _ => next,
            };
        }
    }

    /// Nobody waits for the answers to what station `n` asked.
    pub(super) fn drop_questions(&mut self, n: u32) {
        while self.stations[n].asked.first != 0 {
            self.counters.one(Counter::AskerGone);
            self.settle(self.stations[n].asked.first);
        }
    }
}
