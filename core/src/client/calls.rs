//! Who still owes this client an answer.
//!
//! Owns: the numbers under way and their deadlines. Each leaves the table exactly once: by
//! its answer, by its deadline, or with the connection (D5, seen from the asker).

use crate::time::Instant;

/// Room for one call or request under way. Its content is the client's own.
#[derive(Debug, Default, Clone, Copy)]
pub struct Call {
    /// 0: free.
    seq: u32,
    ask: bool,
    deadline: Instant,
}

impl Call {
    /// An unused one, to make tables of.
    pub const FREE: Call = Call { seq: 0, ask: false, deadline: Instant::ZERO };
}

#[derive(Debug)]
pub(super) struct Calls<'b> {
    slots: &'b mut [Call],
    /// No deadline lies before this; looked at only when it has passed.
    soonest: Option<Instant>,
}

impl<'b> Calls<'b> {
    pub(super) fn new(slots: &'b mut [Call]) -> Self {
        slots.fill(Call::FREE);
        Calls { slots, soonest: None }
    }

    pub(super) fn into_slots(self) -> &'b mut [Call] {
        self.slots
    }

    pub(super) fn has_room(&self) -> bool {
        self.slots.iter().any(|c| c.seq == 0)
    }

    /// `ask`: an answer is expected, not an outcome. Without room nothing happens.
    pub(super) fn put(&mut self, seq: u32, ask: bool, deadline: Instant) {
        if let Some(c) = self.slots.iter_mut().find(|c| c.seq == 0) {
            *c = Call { seq, ask, deadline };
            self.soonest = Some(self.soonest.map_or(deadline, |s| s.min(deadline)));
        }
    }

    /// Whether `seq` is under way, as a call if `ask`.
    pub(super) fn holds(&mut self, seq: u32, ask: bool) -> bool {
        self.find(seq, ask).is_some()
    }

    /// Ends it. Whether it was under way.
    pub(super) fn take(&mut self, seq: u32, ask: bool) -> bool {
        self.find(seq, ask).map(|c| c.seq = 0).is_some()
    }

    // One copy of the search: flash.
    #[inline(never)]
    fn find(&mut self, seq: u32, ask: bool) -> Option<&mut Call> {
        self.slots.iter_mut().find(|c| seq != 0 && c.seq == seq && c.ask == ask)
    }

    /// Ends any one.
    pub(super) fn pop(&mut self) -> Option<u32> {
        self.soonest = None;
        let c = self.slots.iter_mut().find(|c| c.seq != 0)?;
        Some(core::mem::take(&mut c.seq))
    }

    /// Ends one whose deadline has passed.
    pub(super) fn expire(&mut self, now: Instant) -> Option<u32> {
        if self.soonest? > now {
            return None;
        }
        let mut soonest: Option<Instant> = None;
        let mut over = None;
        for c in self.slots.iter_mut().filter(|c| c.seq != 0) {
            if over.is_none() && c.deadline <= now {
                over = Some(core::mem::take(&mut c.seq));
            } else {
                soonest = Some(soonest.map_or(c.deadline, |s| s.min(c.deadline)));
            }
        }
        self.soonest = soonest;
        over
    }

    /// When to look again; never too late, now and then too early.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.soonest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Instant {
        Instant::from_millis(ms)
    }

    #[test]
    fn each_leaves_once() {
        let mut slots = [Call::FREE; 3];
        let mut calls = Calls::new(&mut slots);
        for (seq, ms) in [(7, 30), (8, 10), (9, 20)] {
            assert!(calls.has_room());
            calls.put(seq, true, at(ms));
        }
        assert!(!calls.has_room());
        assert!(!calls.take(7, false), "an outcome does not end a call");
        assert!(calls.take(7, true));
        assert!(!calls.take(7, true));
        assert!(!calls.take(0, true), "0 is no number");
        assert_eq!(calls.deadline(), Some(at(10)));
        assert_eq!(calls.expire(at(9)), None);
        assert_eq!(calls.expire(at(10)), Some(8));
        assert_eq!(calls.expire(at(10)), None);
        assert_eq!(calls.deadline(), Some(at(20)));
        assert_eq!(calls.pop(), Some(9));
        assert_eq!(calls.pop(), None);
        assert_eq!(calls.expire(at(99)), None);
    }
}
