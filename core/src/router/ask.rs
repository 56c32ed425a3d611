//! Questions and answers (D5).
//!
//! Owns: that each question is answered exactly once: by who was asked, or by the node.

use super::policy::{Class, Denied};
use super::route::Delivery;
use super::stations::Life;
use super::{Counter, Router};
use crate::id::StationId;
use crate::model::{Answer, Code, Letter, Raw};

impl Router<'_> {
    /// A station asks the members of a name, or one station.
    pub(super) fn ask(&mut self, n: u32, l: &Letter<'_>, raw: Raw<'_>) {
        if self.stations[n].asks >= self.settings.asks {
            return self.answer_itself(n, l.seq, Code::Full);
        }
        let row = if l.name.is_empty() { 0 } else { self.names.find(l.name).unwrap_or(0) };
        let station = StationId::new(l.station).and_then(|id| self.stations.find(id)).unwrap_or(0);
        if row == 0 && station == 0 {
            if !l.name.is_empty() && !crate::name::is_valid(l.name) {
                return self.answer_itself(n, l.seq, Code::BadName);
            }
            return self.answer_itself(n, l.seq, Code::NoRecipient);
        }
        let Some(r) = self.requests.open(&mut self.stations, n, l.seq, row) else {
            return self.answer_itself(n, l.seq, Code::Full);
        };
        if row != 0 {
            self.names.hold_row(row);
        }
        let code = self.put_question(n, l, raw, r, row, station);
        if self.requests.row(r).owed == 0 {
            self.settle(r);
            return self.answer_itself(n, l.seq, code);
        }
        self.counters.one(Counter::Asks);
        let within = Self::span(l.ttl_ms, self.settings.ask, self.settings.max_ask);
        self.wheel.set(self.request_timer(r), self.now + within);
    }

    /// Hands question `r` to all who are asked. Returns why nobody was, if so.
    fn put_question(&mut self, n: u32, l: &Letter<'_>, raw: Raw<'_>, r: u32, row: u32, station: u32) -> Code {
        let from = self.stations.id(n).number();
        let mut delivery = Delivery::new(l, raw, n, from, self.requests.number(r));
        self.next_stamp();
        let mut why = Code::NoRecipient;
        if row == 0 {
            self.put_to(&mut delivery, n, r, station, &mut why);
            return why;
        }
        let instance = self.instance_row(l.instance);
        let mut m = self.names.row(row).members.first;
        while m != 0 {
            let member = &self.names.members[m];
            m = member.next_of_name();
            if member.instance == 0 || member.instance == instance {
                let to = member.station;
                self.put_to(&mut delivery, n, r, to, &mut why);
            }
        }
        why
    }

    fn put_to(&mut self, delivery: &mut Delivery<'_>, asker: u32, r: u32, to: u32, why: &mut Code) {
        let st = &mut self.stations[to];
        if to == asker || st.life != Life::Ready || st.stamp == self.stamp {
            return;
        }
        st.stamp = self.stamp;
        if !self.requests.owe(&mut self.stations, r, to) {
            *why = Code::Full;
            return;
        }
        if let Err(denied) = self.hand_anew(delivery, to) {
            let debt = self.stations[to].debts.last;
            self.requests.forgive(&mut self.stations, debt);
            *why = if denied == Denied::TooBig { Code::TooBig } else { Code::RecipientBusy };
        }
    }

    /// A station answers.
    pub(super) fn answer(&mut self, n: u32, a: &Answer<'_>, raw: Raw<'_>) {
        let open = self.requests.find(a.ask_id).filter(|r| self.requests.is_owed_by(*r, n));
        let Some(r) = open else {
            return self.counters.one(Counter::StrayAnswers);
        };
        let (asker, seq) = (self.requests.row(r).asker, self.requests.row(r).seq);
        let from = self.stations.id(n).number();
        let st = &self.stations[asker];
        let len = st.session.wording().reply(a, raw, seq, from, self.encode);
        let len = len.filter(|len| *len <= st.max_frame as usize);
        self.settle(r);
        match len {
            Some(len) => {
                if self.post(asker, len, Class::Owed).is_ok() {
                    self.counters.one(Counter::Answered);
                }
            }
            None => self.answer_itself(asker, seq, Code::TooBig),
        }
    }

    /// Question `r` was not answered in time.
    pub(super) fn request_due(&mut self, r: u32) {
        self.give_up(r, Code::TimedOut);
    }

    /// The node answers question `r` itself.
    pub(super) fn give_up(&mut self, r: u32, code: Code) {
        let (asker, seq) = (self.requests.row(r).asker, self.requests.row(r).seq);
        self.settle(r);
        self.answer_itself(asker, seq, code);
    }

    /// Question `r` is closed, whatever the answer.
    pub(super) fn settle(&mut self, r: u32) {
        let timer = self.request_timer(r);
        self.wheel.clear(timer);
        let name = self.requests.close(&mut self.stations, r);
        if name != 0 {
            self.names.release(name);
        }
    }

    /// Station `n` no longer answers what it was asked at the name in row `row` (0: whatever
    /// it was asked).
    pub(super) fn forgive_debts(&mut self, n: u32, row: u32) {
        let mut d = self.stations[n].debts.first;
        while d != 0 {
            let debt = self.requests.debt(d);
            let (this, request) = (d, debt.request);
            d = debt.next_of_station();
            if row != 0 && self.requests.row(request).name != row {
                continue;
            }
            if let Some(r) = self.requests.forgive(&mut self.stations, this) {
                self.give_up(r, Code::RecipientLeft);
            }
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
