//! Mail for names that nobody has joined (D9).
//!
//! Owns: declaring, keeping, delivering in order, expiring; what is left of it by an earlier
//! life of the node is in `restore.rs`. Mail goes, once, to the next
//! station that joins the name; while that station's outbox has no room for all of it, no
//! newer message overtakes what still waits.

use super::Counter;
use super::Router;
use super::faults::fault;
use super::mailbox::Form;
use super::policy::admit;
use super::route::Delivery;
use crate::model::{Code, Letter, Message, Raw, encode_letter};
use crate::time::Duration;

impl Router<'_> {
    /// Declares a name for the node itself, as its configuration may. `Ok`, `Full` or
    /// `BadName`.
    pub fn declare_name(&mut self, name: &str) -> Code {
        if !crate::name::is_valid(name) || crate::name::is_pattern(name) {
            return Code::BadName;
        }
        let Some(row) = self.names.hold(name) else { return Code::Full };
        if self.names.row(row).declared {
            self.names.release(row);
        } else {
            self.names.row_mut(row).declared = true;
        }
        Code::Ok
    }

    /// Takes a declaration back; waiting mail is dropped and counted. `Ok` or `NotFound`.
    pub fn forget_name(&mut self, name: &str) -> Code {
        let Some(row) = self.names.find(name).filter(|row| self.names.row(*row).is_declared()) else {
            return Code::NotFound;
        };
        // with its last mail a name that nobody has declared goes, and its row is empty
        let declared = self.names.row(row).declared;
        loop {
            let k = self.names.row(row).mail.first;
            if k == 0 {
                break;
            }
            self.counters.one(Counter::MailForgotten);
            self.drop_mail(k);
        }
        if declared {
            self.names.row_mut(row).declared = false;
            self.names.release(row);
        }
        Code::Ok
    }

    /// Whether mail may wait for a name.
    pub(super) fn is_declared(&self, name: &str) -> bool {
        self.names.find(name).is_some_and(|row| self.names.row(row).is_declared())
    }

    /// Keeps a letter to a declared name that found no member of it. Says how that went.
    pub(super) fn keep(&mut self, n: u32, l: &Letter<'_>) -> Code {
        let from = self.stations.id(n).number();
        let kept = Letter { from, keep: false, seq: 0, ttl_ms: 0, ..*l };
        let Some(len) = encode_letter(&kept, self.encode).filter(|len| *len <= self.settings.max_frame) else {
            self.counters.one(Counter::TableFull);
            return Code::TooBig;
        };
        let within = Self::span(l.ttl_ms, self.settings.keep, self.settings.max_keep);
        self.keep_encoded((l.name, l.instance), from, (Form::Letter, len), within)
    }

    /// Keeps the first `len` octets of the encode buffer for a declared name and an instance,
    /// from the station with address `from`, for so long. `Kept`, or why not.
    pub(super) fn keep_encoded(
        &mut self,
        (name, instance): (&str, &str),
        from: u64,
        (form, len): (Form, usize),
        within: Duration,
    ) -> Code {
        let _k = match self.put_mail((name, instance), from, (form, len), within) {
            Ok(k) => k,
            Err(code) => return code,
        };
        #[cfg(feature = "durable")]
        self.save_mail(_k, (name, instance), len, within);
        self.counters.one(Counter::MailKept);
        Code::Kept
    }

    /// As [`Router::keep_encoded`], without a word to anybody. The row of the message, or why not.
    pub(super) fn put_mail(
        &mut self,
        (name, instance): (&str, &str),
        from: u64,
        (form, len): (Form, usize),
        within: Duration,
    ) -> Result<u32, Code> {
        let full = |router: &mut Self| {
            router.counters.one(Counter::TableFull);
            Err(Code::Full)
        };
        let Some(row) = self.names.find(name) else { return full(self) };
        let instance = match instance {
            "" | "*" => Some(0),
            i if !crate::name::is_valid(i) => return Err(Code::BadName),
            i => self.names.hold_instance(i),
        };
        let Some(instance) = instance else { return full(self) };
        let bytes = &self.encode[..len];
        let k = self.mail.keep(&mut self.names, &mut self.pool, (row, instance), from, (form, bytes));
        if instance != 0 {
            self.names.release(instance);
        }
        let Some(k) = k else { return full(self) };
        self.wheel.set(self.mail_timer(k), self.now + within);
        Ok(k)
    }

    /// Brings station `n` the mail of the names it has joined, as far as its outbox has room.
    pub(super) fn bring_mail(&mut self, n: u32) {
        self.stations[n].mail_waits = false;
        let id = self.stations.id(n).number();
        let mut m = self.stations[n].memberships.first;
        while m != 0 {
            let member = &self.names.members[m];
            m = member.next_of_station();
            let instance = member.instance;
            let mut k = self.names.row(member.name).mail.first;
            while let Some(mail) = self.mail.row(k) {
                let this = k;
                k = mail.next_of_name();
                // as `reach_members` has it; and never to who sent it
                let is_for_it = instance == 0 || instance == mail.instance;
                if !is_for_it || mail.from == id {
                    continue;
                }
                if !self.stations[n].lives() {
                    return;
                }
                if !self.bring(n, this) {
                    self.stations[n].mail_waits = true;
                    return;
                }
            }
        }
    }

    /// Brings one message. `false`: no room yet.
    fn bring(&mut self, n: u32, k: u32) -> bool {
        let Some(mail) = self.mail.row(k) else { return true };
        let (chain, form) = (mail.bytes, mail.form);
        #[cfg(feature = "communicator")]
        let from = mail.from;
        let st = &self.stations[n];
        let size = chain.len() + super::FRAME_MARGIN;
        let fill = self.fill(n);
        // What fits into no outbox and no memory is tried all the same once nothing else waits:
        // then it is dropped and counted, instead of holding up what comes after it.
        if admit(size, st.class(), fill).is_err() && !st.out.is_empty() {
            return false;
        }
        let bytes = core::mem::take(&mut self.scratch);
        let len = self.pool.copy(&chain, bytes);
        #[cfg(not(feature = "durable"))]
        if !fault!(self, MailTwice) {
            self.drop_mail(k);
        }
        let is_handed = match form {
            Form::Letter => match Letter::read(&bytes[..len]) {
                Ok(letter) => {
                    let mut d = Delivery::new(&letter, Raw::Messi(&bytes[..len]), 0, letter.from, 0);
                    self.hand_anew(&mut d, n).is_ok()
                }
                Err(_) => false,
            },
            #[cfg(feature = "communicator")]
            Form::Line => self.bring_line(n, &bytes[..len], from),
        };
        if is_handed {
            self.counters.one(Counter::MailDelivered);
        }
        #[cfg(feature = "durable")]
        if !fault!(self, MailTwice) {
            self.hand_over_mail(n, k, is_handed);
        }
        self.scratch = bytes;
        true
    }

    /// Mail `k` has waited long enough.
    pub(super) fn mail_due(&mut self, k: u32) {
        if self.mail.row(k).is_some() && !fault!(self, MailExpired) {
            self.counters.one(Counter::MailExpired);
            self.drop_mail(k);
        }
    }

    /// Message `k` waits no longer.
    pub(super) fn drop_mail(&mut self, k: u32) {
        let timer = self.mail_timer(k);
        self.wheel.clear(timer);
        #[cfg(feature = "durable")]
        self.unsave_mail(k);
        self.mail.drop(&mut self.names, &mut self.pool, k);
    }
}
