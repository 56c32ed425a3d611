//! Mail that outlives the node.
//!
//! Owns: what the store is told of each message that waits, so that it can keep a copy, and
//! how a message comes back from one at the next start. Does not own the copies.
//!
//! A message is kept when it is in memory: that is what its sender is told. Its copy is on disk
//! when a flush behind it is answered, as with values. That a message was delivered is told when
//! its recipient's transport has taken it: if the node dies before that is on disk, the message
//! comes again. If its recipient has gone before, it is lost, as without a disk.
//!
//! A message comes back without its sender, whose address is nobody's now (D6): it is shown as
//! one of the node. It goes when it would have gone by the calendar, and never later than what
//! it was given at first, counted from the start, whatever has become of the calendar.

use super::Counter;
use super::Router;
use super::mailbox::{Form, MailRow};
use super::store::{Stamp, StoredMail};
use crate::model::{Code, Letter, Message, encode_letter};
use crate::name;
use crate::time::{Duration, Instant};

impl Router<'_> {
    /// Puts back a message that waited in an earlier life of the node. To be called at the start
    /// for each that is left, in the order of their numbers, when the calendar is set. Its name
    /// counts as declared until its last message has gone.
    ///
    /// `Ok`: it waits again. `TimedOut`: it has expired, and its copy is to go. Otherwise nothing
    /// has changed, and the copy stays: `Full`, it has no room in the tables or in the half of
    /// common memory that mail may have; `BadRequest`, it is not what a message can be, or in a form
    /// that only a later version knows.
    pub fn restore_mail(&mut self, now: Instant, mail: &StoredMail<'_>) -> Code {
        self.clock(now);
        self.mail_number = self.mail_number.max(mail.number);
        let left = mail.until.micros().saturating_sub(self.stamp_now().micros()).div_ceil(1000);
        let within = Duration::from_millis(u32::try_from(left).unwrap_or(u32::MAX).min(mail.within_ms));
        let within = within.min(self.settings.max_keep);
        if within == Duration::ZERO {
            self.counters.one(Counter::MailExpired);
            self.store.get_mut().mail_gone(mail.number, false);
            return Code::TimedOut;
        }
        let Some(form) = Form::of(mail.form) else { return Code::BadRequest };
        let len = match form {
            Form::Letter => Letter::read(mail.bytes).ok().and_then(|letter| {
                let nobodys = Letter { from: 0, ..letter };
                encode_letter(&nobodys, self.encode)
            }),
            #[cfg(feature = "communicator")]
            Form::Line => self.put_line(mail.bytes),
        };
        let Some(len) = len else { return Code::BadRequest };
        if !name::is_valid(mail.name) || name::is_pattern(mail.name) {
            return Code::BadRequest;
        }
        let Some(row) = self.names.hold(mail.name) else { return Code::Full };
        let put = self.put_mail((mail.name, mail.instance), 0, (form, len), within);
        let code = match put {
            Ok(k) => {
                self.mail.is_on_disk(k, mail.number);
                let row = self.names.row_mut(row);
                row.lent = !row.declared;
                self.counters.one(Counter::MailRestored);
                Code::Ok
            }
            Err(Code::Full) => Code::Full,
            Err(_) => Code::BadRequest,
        };
        self.names.release(row);
        code
    }

    /// Message `k`, whose bytes stand in the encode buffer, waits from now on.
    pub(super) fn save_mail(&mut self, k: u32, (name, instance): (&str, &str), len: usize, within: Duration) {
        let Some(row) = self.mail.row(k) else { return };
        let now = self.stamp_now();
        // the time of day makes it differ from those of earlier lives of which nothing is left
        let number = self.mail_number.saturating_add(1).max(now.micros());
        let mail = StoredMail {
            number,
            name,
            instance: if instance == "*" { "" } else { instance },
            from: row.from,
            until: Stamp::from_micros(now.micros().saturating_add(u64::from(within.millis()) * 1000)),
            within_ms: within.millis(),
            form: row.form.number(),
            bytes: &self.encode[..len],
        };
        match self.store.get_mut().keep_mail(&mail) {
            Ok(true) => {
                self.mail_number = number;
                self.mail.is_on_disk(k, number);
            }
            Ok(false) => {}
            Err(_) => self.counters.one(Counter::MailUnsaved),
        }
    }

    /// Message `k` waits no longer.
    pub(super) fn unsave_mail(&mut self, k: u32) {
        let Some(&MailRow { name, number, .. }) = self.mail.row(k) else { return };
        if number != 0 {
            self.store.get_mut().mail_gone(number, false);
        }
        self.unlend(name);
    }

    /// If the last message for a name goes now, it takes its declaration with it.
    fn unlend(&mut self, name: u32) {
        let row = self.names.row_mut(name);
        if row.mail.first == row.mail.last {
            row.lent = false;
        }
    }

    /// Station `n` was handed message `k`, or it was dropped. The store hears of it when the station's
    /// transport has taken it: who dies before that shall not have lost it.
    pub(super) fn hand_over_mail(&mut self, n: u32, k: u32, is_handed: bool) {
        let Some(&MailRow { name, number, .. }) = self.mail.row(k) else { return };
        if number == 0 || !is_handed {
            return self.drop_mail(k);
        }
        let timer = self.mail_timer(k);
        self.wheel.clear(timer);
        self.unlend(name);
        let st = &mut self.stations[n];
        let written_at = st.taken.saturating_add(st.out.len() as u64);
        self.mail.owe(&mut self.names, &mut self.pool, k, &mut st.mail, written_at);
    }

    /// The store hears which messages station `n` has taken; all of them, if it is gone.
    pub(super) fn mail_written(&mut self, n: u32, taken: u64) {
        while let Some(number) = self.mail.take_written(&mut self.stations[n].mail, taken) {
            self.store.get_mut().mail_gone(number, true);
        }
    }
}
