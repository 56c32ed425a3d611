//! Into outboxes: the one place where bytes for a station are accepted or not.
//!
//! Owns: what is counted and who is doomed when a frame does not fit. The arithmetic is
//! `policy.rs`'s.

use super::policy::{Class, Denied, admit};
use super::{Counter, Reason, Router};
use crate::model::{Answer, Code, Outcome, ServerToClient};

impl Router<'_> {
    /// Puts the first `len` octets of the encode buffer into the outbox of station `n`.
    #[inline]
    pub(super) fn post(&mut self, n: u32, len: usize, class: Class) -> Result<(), Denied> {
        let st = &mut self.stations[n];
        let mut put = if len > st.max_frame as usize {
            Err(Denied::TooBig)
        } else {
            admit(st.out.len(), len, class, self.settings.outbox, self.pool.free_bytes())
        };
        if put.is_ok() && !self.pool.push(&mut st.out, &self.encode[..len]) {
            put = Err(Denied::Memory);
        }
        match put {
            Ok(()) => {
                if !st.blocked {
                    self.stations.enqueue(n);
                }
                self.counters.one(Counter::FramesOut);
                Ok(())
            }
            Err(why) => {
                self.denied(n, class, why);
                Err(why)
            }
        }
    }

    /// A frame did not go into an outbox.
    #[cold]
    pub(super) fn denied(&mut self, n: u32, class: Class, why: Denied) {
        self.counters.one(match why {
            Denied::Outbox => Counter::DroppedSlow,
            Denied::Memory => Counter::DroppedMemory,
            Denied::TooBig => Counter::DroppedTooBig,
            Denied::Order => Counter::DroppedOrder,
        });
        if why == Denied::TooBig {
            return;
        }
        if class == Class::Owed {
            // It would wait for ever for what was dropped; its connection's end it notices.
            return self.doom(n, if why == Denied::Memory { Reason::NoMemory } else { Reason::Slow });
        }
        // Who reads is not to blame when others hold the memory.
        let st = &mut self.stations[n];
        if st.full_since.is_none() && (st.blocked || why == Denied::Outbox) {
            st.full_since = Some(self.now);
            self.arm(n);
        }
    }

    /// Says something that station `n` waits for.
    pub(super) fn say(&mut self, n: u32, what: &ServerToClient<'_>) {
        let wording = self.stations[n].session.wording();
        match wording.say(what, self.encode) {
            Some(len) => _ = self.post(n, len, Class::Owed),
            None => self.counters.one(Counter::DroppedTooBig),
        }
    }

    /// Tells how request `seq` of station `n` ended. A request without a number is answered
    /// only if it failed.
    pub(super) fn outcome(&mut self, n: u32, seq: u32, code: Code, text: &str) {
        if seq != 0 || code != Code::Ok {
            self.say(n, &ServerToClient::Outcome(Outcome { seq, code, text, ..Outcome::default() }));
        }
    }

    /// As [`Router::outcome`], with the usual words and one of the counters of refusals.
    pub(super) fn refuse(&mut self, n: u32, seq: u32, code: Code, text: &str) {
        self.counters.one(match code {
            Code::Refused => Counter::Refused,
            Code::NameTaken => Counter::NameTaken,
            Code::Full => Counter::TableFull,
            Code::NotIntroduced => Counter::NotIntroduced,
            _ => Counter::BadRequest,
        });
        self.outcome(n, seq, code, text);
    }

    /// The node's own answer to question `seq` of station `n`.
    pub(super) fn answer_itself(&mut self, n: u32, seq: u32, code: Code) {
        self.counters.one(match code {
            Code::NoRecipient => Counter::AskNoRecipient,
            Code::RecipientLeft => Counter::AskLeft,
            Code::TimedOut => Counter::AskTimedOut,
            Code::RecipientBusy => Counter::AskBusy,
            Code::Full => Counter::TableFull,
            Code::Refused => Counter::Refused,
            _ => Counter::BadRequest,
        });
        self.say(n, &ServerToClient::Reply(Answer { seq, code, text: code.text(), ..Answer::default() }));
    }
}
