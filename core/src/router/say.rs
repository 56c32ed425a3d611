//! Into outboxes: the one place where bytes for a station are accepted or not.
//!
//! Owns: what is counted and who is doomed when a frame does not fit. The arithmetic is
//! `policy.rs`'s.

use super::faults::fault;
use super::policy::{Class, Denied, Fill, admit, pressed};
use super::stations::Life;
use super::{Counter, Reason, Router};
use crate::dialect::Question;
use crate::model::{Answer, Code, Outcome, Raw, ServerToClient};
use core::ops::Range;

/// What to do when memory is short for a message to who reads and may not miss it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OnShort {
    /// Who sends it waits.
    Wait,
    /// Who sends it is told.
    Tell,
    /// The recipient is closed.
    Close,
}

/// What a question counts as to which the node has only this to say.
pub(super) const fn unanswered(code: Code) -> Counter {
    match code {
        Code::NoRecipient => Counter::AskNoRecipient,
        Code::RecipientLeft => Counter::AskLeft,
        Code::TimedOut => Counter::AskTimedOut,
        Code::RecipientBusy => Counter::AskBusy,
        Code::Full => Counter::TableFull,
        Code::Refused => Counter::Refused,
        _ => Counter::BadRequest,
    }
}

impl Router<'_> {
    /// Puts the first `len` octets of the encode buffer into the outbox of station `n`.
    #[inline]
    pub(super) fn post(&mut self, n: u32, len: usize, class: Class) -> Result<(), Denied> {
        if len == 0 {
            return Ok(()); // no words for it
        }
        if len > self.stations[n].max_frame as usize {
            return self.post_denied(n, 0..len, class, Denied::TooBig);
        }
        self.post_part(n, 0..len, class)
    }

    /// As [`Router::post`], with a part of the encode buffer that holds one frame.
    #[inline]
    pub(super) fn post_part(&mut self, n: u32, part: Range<usize>, class: Class) -> Result<(), Denied> {
        if class != Class::Owed && fault!(self, DropMessage) {
            return Ok(());
        }
        let cut = part.start..part.end - usize::from(fault!(self, HalfFrame));
        match self.put(n, cut, class) {
            Ok(()) => {
                if fault!(self, Reorder) {
                    self.put_first(n, part.len());
                }
                self.posted(n, 1);
                Ok(())
            }
            Err(why) => self.post_denied(n, part, class, why),
        }
    }

    /// Frames have entered an outbox.
    #[inline]
    pub(super) fn posted(&mut self, n: u32, frames: u64) {
        if !self.stations[n].waits() {
            self.pressed |= pressed(self.fill(n));
            if !fault!(self, HeldBack) {
                self.stations.enqueue(n);
            }
        } else if self.stations[n].is_held() && self.stations[n].stalled.is_none() {
            // who never speaks does not keep it for ever
            self.stations[n].stalled = Some(self.now);
            self.arm(n);
        }
        self.counters.add(Counter::FramesOut, frames);
    }

    /// Puts a part of the encode buffer into an outbox, or does nothing. The caller knows that
    /// no frame in it is too long if there are several.
    #[inline]
    pub(super) fn put(&mut self, n: u32, part: Range<usize>, class: Class) -> Result<(), Denied> {
        let bytes = &self.encode[part];
        admit(bytes.len(), class, self.fill(n))?;
        if self.pool.push(&mut self.stations[n].out, bytes) { Ok(()) } else { Err(Denied::Memory) }
    }

    /// What is known of a recipient and of memory.
    #[inline]
    pub(super) fn fill(&self, n: u32) -> Fill {
        let st = &self.stations[n];
        Fill {
            have: st.out.len(),
            blocked: st.waits(),
            limit: self.settings.outbox_in(st.session.dialect()),
            free: self.pool.free_bytes(),
            pool: self.pool.all_bytes(),
        }
    }

    /// The second try, for what is owed to somebody who reads while others hold the memory.
    #[cold]
    fn post_denied(&mut self, n: u32, part: Range<usize>, class: Class, mut why: Denied) -> Result<(), Denied> {
        let reads = !self.stations[n].waits();
        if class == Class::Certain && why == Denied::Memory && reads {
            match self.on_short {
                // writing first gives memory back, if anybody takes what waits
                OnShort::Wait if self.stations.has_ready() => {
                    self.short = true;
                    self.pressed = true;
                    return Err(Denied::Later);
                }
                OnShort::Tell => return Err(Denied::Memory),
                OnShort::Wait | OnShort::Close => {}
            }
        }
        while why == Denied::Memory && class != Class::Signal && reads && self.relieve() {
            match self.put(n, part.clone(), class) {
                Ok(()) => {
                    self.posted(n, 1);
                    return Ok(());
                }
                Err(again) => why = again,
            }
        }
        self.denied(n, class, why);
        Err(why)
    }

    /// Whether memory is there for as many copies of that many octets, with what is kept back for
    /// what is owed.
    #[inline]
    pub(super) fn has_room_for(&self, copies: usize, len: usize) -> bool {
        let all = (len + self.pool.block()).saturating_mul(copies);
        all <= self.pool.free_bytes().saturating_sub(self.pool.all_bytes() / 8)
    }

    /// The same before something is done that cannot wait once it is begun. `true`: memory is
    /// short and writing may help, so nothing is to be done, and the frame at hand comes again.
    #[cfg(feature = "certain")]
    #[inline]
    pub(super) fn must_wait_for_room(&mut self, copies: usize, len: usize) -> bool {
        if copies == 0 || self.has_room_for(copies, len) || !self.stations.has_ready() {
            return false;
        }
        (self.short, self.pressed) = (true, true);
        true
    }

    /// Takes the memory of whoever holds most of it and takes nothing: he goes, not who is to
    /// be told. `false`: there is nobody of that kind.
    pub(super) fn relieve(&mut self) -> bool {
        let held = |n: &u32| {
            let st = &self.stations[*n];
            let idle = st.waits() && st.life != Life::Free;
            (if idle { st.out.len() } else { 0 }) + if st.lives() { st.stash.len() } else { 0 }
        };
        // who only monitors goes first: without it, its memory would have been there
        let rank = |n: &u32| match held(n) {
            1.. if self.looks_on(*n) && self.stations[*n].waits() => usize::MAX,
            held => held,
        };
        let Some(n) = (1..=self.stations.made()).max_by_key(rank).filter(|n| held(n) > 0) else { return false };
        let st = &mut self.stations[n];
        if st.waits() {
            self.pool.clear(&mut st.out);
            st.cut = true;
        }
        self.pool.clear(&mut st.stash);
        if matches!(st.life, Life::Closing(_)) {
            self.stations.enqueue(n);
        }
        self.doom(n, Reason::NoMemory);
        true
    }

    /// A frame did not go into an outbox.
    #[cold]
    pub(super) fn denied(&mut self, n: u32, class: Class, why: Denied) {
        self.counters.one(match why {
            Denied::Outbox => Counter::DroppedSlow,
            Denied::Memory => Counter::DroppedMemory,
            Denied::TooBig => Counter::DroppedTooBig,
            Denied::Order => Counter::DroppedOrder,
            Denied::Later => return,
            Denied::Right => return self.counters.one(Counter::Refused),
        });
        if why == Denied::TooBig || (why == Denied::Order && class == Class::Signal) {
            return;
        }
        if class != Class::Signal {
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
        match wording.say(self.here(), what, self.encode) {
            Some(len) => _ = self.post(n, len, Class::Owed),
            None => self.counters.one(Counter::DroppedTooBig),
        }
    }

    /// A frame that station `n` waits for, and that stands in the encode buffer if it is
    /// `Some`, is put into its outbox. If it can take none that long, it is told so.
    pub(super) fn put_row(&mut self, n: u32, seq: u32, len: Option<usize>) {
        let put = match len {
            Some(len) => self.post(n, len, Class::Owed),
            None => Err(Denied::TooBig),
        };
        if put == Err(Denied::TooBig) {
            self.outcome(n, seq, Code::TooBig, "longer than a frame to this station may be");
        }
    }

    /// Tells how request `seq` of station `n` ended. A request without a number is answered
    /// only if it failed.
    pub(super) fn outcome(&mut self, n: u32, seq: u32, code: Code, text: &str) {
        self.see_outcome(n, seq, code, text);
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

    /// The node's own answer to a question of station `n`, in `text` or else the usual words.
    pub(super) fn answer_itself(&mut self, n: u32, question: Question<'_>, code: Code, text: &str) {
        self.counters.one(unanswered(code));
        let text = if text.is_empty() { code.text() } else { text };
        let answer = Answer { code, text, ..Answer::default() };
        let st = &self.stations[n];
        let wording = st.session.wording();
        match wording.reply(self.here(), &answer, Raw::None, question, 0, self.encode) {
            Some(len) => _ = self.post(n, len, Class::Owed),
            // it would wait for ever
            None if !st.session.dialect().ways().outcomes => self.doom(n, Reason::Malformed),
            None => self.counters.one(Counter::DroppedTooBig),
        }
    }
}
