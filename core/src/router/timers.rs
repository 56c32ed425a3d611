//! Timers: a hierarchical timing wheel over borrowed memory.
//!
//! Owns: when each of a fixed number of timers is due. A timer is an index; what it means
//! is the router's business (stations, then requests, then mail). Does not own a clock.
//!
//! Time is cut into ticks of [`TICK_MS`]. A timer fires in the first tick that begins at or
//! after its time: never early, and less than one tick late. Setting, clearing and popping
//! are O(1); each timer is moved at most [`LEVELS`] times between being set and firing, and
//! once more for each 74 hours that it waits. How far the clock jumps costs nothing.
//!
//! A timer at level `l` differs from the wheel's own tick first in the `l`-th group of
//! [`BITS`] bits, counted from below, and the slot is that group. So lower levels are always
//! due before higher ones, and within a level lower slots before higher ones: the earliest
//! slot is two bit scans away. What differs above the top level waits in one list, which is
//! looked at when the top level has gone round.

use crate::time::Instant;

/// Length of a tick in milliseconds.
pub const TICK_MS: u64 = 8;
/// Levels of the wheel. Five of 32 slots reach 74 hours; a slot of the top level is 2.3 hours.
pub const LEVELS: usize = 5;
/// Bits of a tick number that one level looks at.
pub const BITS: u32 = 5;

const SLOTS: usize = 1 << BITS;
const SPAN: u32 = BITS * LEVELS as u32;
/// The list of timers beyond the top level.
const FAR: usize = LEVELS * SLOTS;
/// The list of timers that have fired and were not fetched yet.
const DUE: usize = FAR + 1;
const LISTS: usize = DUE + 1;
/// Marks a `prev` that is a list, not a timer.
const HEAD: u32 = 1 << 31;

/// The memory of one timer: 16 bytes. All zeros, [`Timer::NEW`], is a timer that is not set,
/// so zeroed memory needs no initialisation.
#[derive(Debug, Clone, Copy)]
pub struct Timer {
    /// 0: not set. With [`HEAD`]: first of that list. Otherwise 1 + the timer before.
    prev: u32,
    /// 0: last of its list. Otherwise 1 + the timer behind.
    next: u32,
    /// First tick at which it may fire.
    tick: u64,
}

impl Timer {
    /// Not set.
    pub const NEW: Timer = Timer { prev: 0, next: 0, tick: 0 };
}

/// The wheel. 700 bytes of its own; timers are in the caller's memory.
#[derive(Debug)]
pub struct Wheel<'s> {
    nodes: &'s mut [Timer],
    /// 0: empty. Otherwise 1 + the first timer. Slots by level, then [`FAR`], then [`DUE`].
    heads: [u32; LISTS],
    /// A bit for each slot that is not empty.
    full: [u32; LEVELS],
    /// All timers of ticks up to this one are in the list of due ones or gone.
    tick: u64,
    set: u32,
}

impl<'s> Wheel<'s> {
    /// One timer for each element of `nodes`, which are all [`Timer::NEW`]; at most 2^31 - 1
    /// of them are used. `now` is the time from which on ticks are counted.
    pub fn new(nodes: &'s mut [Timer], now: Instant) -> Self {
        let n = nodes.len().min(HEAD as usize - 1);
        Wheel { nodes: &mut nodes[..n], heads: [0; LISTS], full: [0; LEVELS], tick: now.millis() / TICK_MS, set: 0 }
    }

    /// How many timers are set, fired ones that were not fetched included.
    pub fn len(&self) -> usize {
        self.set as usize
    }

    /// Whether no timer is set.
    pub fn is_empty(&self) -> bool {
        self.set == 0
    }

    /// Whether timer `index` is set: it will be returned by [`Wheel::expire`] once.
    pub fn is_set(&self, index: u32) -> bool {
        self.nodes.get(index as usize).is_some_and(|t| t.prev != 0)
    }

    /// Sets timer `index` to fire at `when`, instead of when it was set to before. A time that
    /// has passed fires at the next [`Wheel::expire`]; one that no clock reaches never fires.
    /// An index beyond the table is ignored.
    pub fn set(&mut self, index: u32, when: Instant) {
        let tick = when.millis().div_ceil(TICK_MS);
        let Some(t) = self.nodes.get_mut(index as usize) else { return };
        if t.prev != 0 {
            if t.tick == tick {
                return;
            }
            self.unlink(index);
        } else {
            self.set += 1;
        }
        self.link(index, tick);
    }

    /// Timer `index` will not fire. Nothing happens if it is not set.
    pub fn clear(&mut self, index: u32) {
        if self.is_set(index) {
            self.unlink(index);
            self.nodes[index as usize] = Timer::NEW;
            self.set -= 1;
        }
    }

    /// Takes one timer that is due at `now`; it is not set any more. To be called until it
    /// returns `None`. A `now` before that of an earlier call counts as that one.
    pub fn expire(&mut self, now: Instant) -> Option<u32> {
        let target = (now.millis() / TICK_MS).max(self.tick);
        loop {
            if let Some(index) = self.heads[DUE].checked_sub(1) {
                self.clear(index);
                return Some(index);
            }
            match self.earliest() {
                Some((start, list)) if start <= target => {
                    // with nothing left on the wheel itself, all its rounds until now at once
                    self.tick = if list == FAR { target >> SPAN << SPAN } else { start };
                    self.open(list);
                }
                _ => {
                    self.tick = target;
                    return None;
                }
            }
        }
    }

    /// When [`Wheel::expire`] is to be called next: not later than the first tick at which a
    /// timer fires, and earlier by less than the width of the slot it waits in. After an
    /// `expire(now)` that returned `None`, strictly later than `now`, unless a timer was set
    /// to a time that has passed: then not later than `now`. `None` if no timer is set.
    pub fn deadline(&self) -> Option<Instant> {
        let tick = if self.heads[DUE] != 0 { self.tick } else { self.earliest()?.0 };
        Some(Instant::from_millis(tick.saturating_mul(TICK_MS)))
    }

    /// First tick and list of the earliest slot that is not empty.
    fn earliest(&self) -> Option<(u64, usize)> {
        for (level, &full) in self.full.iter().enumerate() {
            if full != 0 {
                let slot = full.trailing_zeros();
                let low = BITS * level as u32;
                let above = self.tick >> (low + BITS) << (low + BITS);
                return Some((above | (slot as u64) << low, level * SLOTS + slot as usize));
            }
        }
        (self.heads[FAR] != 0).then(|| (((self.tick >> SPAN) + 1) << SPAN, FAR))
    }

    /// The wheel has come to the start of `list`: its timers go where they belong now.
    fn open(&mut self, list: usize) {
        let mut at = core::mem::take(&mut self.heads[list]);
        if let Some(full) = self.full.get_mut(list / SLOTS) {
            *full &= !(1 << (list % SLOTS));
        }
        if list < SLOTS {
            // lowest level: all are due, and the list of due ones is empty
            self.heads[DUE] = at;
            if let Some(first) = at.checked_sub(1) {
                self.nodes[first as usize].prev = HEAD | DUE as u32;
            }
            return;
        }
        while let Some(index) = at.checked_sub(1) {
            let t = self.nodes[index as usize];
            at = t.next;
            self.link(index, t.tick);
        }
    }

    /// The list in which a timer for `tick` belongs.
    fn list_of(&self, tick: u64) -> usize {
        if tick <= self.tick {
            return DUE;
        }
        let level = (63 - (tick ^ self.tick).leading_zeros()) / BITS;
        if level as usize >= LEVELS {
            return FAR;
        }
        level as usize * SLOTS + (tick >> (level * BITS)) as usize % SLOTS
    }

    fn link(&mut self, index: u32, tick: u64) {
        let list = self.list_of(tick);
        let next = self.heads[list];
        if let Some(n) = next.checked_sub(1) {
            self.nodes[n as usize].prev = index + 1;
        }
        self.heads[list] = index + 1;
        if let Some(full) = self.full.get_mut(list / SLOTS) {
            *full |= 1 << (list % SLOTS);
        }
        self.nodes[index as usize] = Timer { prev: HEAD | list as u32, next, tick };
    }

    fn unlink(&mut self, index: u32) {
        let Timer { prev, next, .. } = self.nodes[index as usize];
        if let Some(n) = next.checked_sub(1) {
            self.nodes[n as usize].prev = prev;
        }
        if prev & HEAD == 0 {
            self.nodes[prev as usize - 1].next = next;
            return;
        }
        let list = (prev & !HEAD) as usize;
        self.heads[list] = next;
        if let (0, Some(full)) = (next, self.full.get_mut(list / SLOTS)) {
            *full &= !(1 << (list % SLOTS));
        }
    }

    /// Every invariant; what is broken, otherwise. Takes time in proportion to the timers set.
    pub fn check(&self) -> Result<(), &'static str> {
        let mut seen = 0u32;
        for (list, &head) in self.heads.iter().enumerate() {
            if let Some(full) = self.full.get(list / SLOTS)
                && (full >> (list % SLOTS) & 1 != 0) != (head != 0)
            {
                return Err("timers: a slot and its bit disagree");
            }
            let (mut at, mut prev) = (head, HEAD | list as u32);
            while let Some(index) = at.checked_sub(1) {
                let Some(t) = self.nodes.get(index as usize) else {
                    return Err("timers: a list leads out of the table");
                };
                if t.prev != prev {
                    return Err("timers: a timer does not point back");
                }
                if self.list_of(t.tick) != list {
                    return Err("timers: a timer is in the wrong slot");
                }
                seen += 1;
                if seen > self.set {
                    return Err("timers: more are linked than set");
                }
                (at, prev) = (t.next, index + 1);
            }
        }
        if seen != self.set { Err("timers: fewer are linked than set") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::array::from_fn;

    const fn ms(t: u64) -> Instant {
        Instant::from_millis(t)
    }

    #[test]
    fn fires_never_early_and_less_than_a_tick_late() {
        for start in [0u64, 3, 7, 8, 1 << 40] {
            for after in (0u64..600).chain([1 << 13, 1 << 20, 1 << 28, 1 << 31]) {
                let mut nodes = [Timer::NEW; 1];
                let mut w = Wheel::new(&mut nodes, ms(start));
                assert_eq!(w.expire(ms(start)), None);
                w.set(0, ms(start + after));
                // always going to the deadline, as the router does
                let (mut now, mut hops) = (start, 0);
                while w.expire(ms(now)).is_none() {
                    let d = w.deadline().unwrap().millis();
                    assert!(d > now, "deadline must move on");
                    (now, hops) = (d, hops + 1);
                }
                assert!(now >= start + after || after == 0);
                assert!(now < start + after + TICK_MS);
                assert!(hops <= LEVELS + 2 + (after >> 28) as usize, "{hops} hops for {after}");
                assert_eq!(w.deadline(), None);
                w.check().unwrap();
            }
        }
    }

    #[test]
    fn setting_again_moves_and_clearing_forgets() {
        let mut nodes = [Timer::NEW; 3];
        let mut w = Wheel::new(&mut nodes, ms(0));
        w.set(0, ms(100));
        w.set(1, ms(100));
        w.set(2, ms(100));
        w.clear(1);
        w.clear(1);
        w.set(2, ms(50));
        assert!(!w.is_set(1) && w.is_set(2) && w.len() == 2);
        assert_eq!(w.expire(ms(56)), Some(2));
        assert_eq!(w.expire(ms(56)), None);
        assert_eq!(w.expire(ms(104)), Some(0));
        assert_eq!(w.expire(ms(1 << 50)), None);
        assert!(w.is_empty());
    }

    #[test]
    fn a_time_that_has_passed_is_due_at_once_and_a_clock_running_back_does_no_harm() {
        let mut nodes = [Timer::NEW; 2];
        let mut w = Wheel::new(&mut nodes, ms(1000));
        assert_eq!(w.expire(ms(5000)), None);
        w.set(1, ms(10));
        assert!(w.deadline().unwrap() <= ms(5000));
        assert_eq!(w.expire(ms(20)), Some(1));
        w.set(0, ms(5001));
        assert_eq!(w.expire(ms(20)), None);
        assert_eq!(w.expire(ms(5008)), Some(0));
    }

    #[test]
    fn indexes_beyond_the_table_and_the_end_of_time_are_harmless() {
        let mut nodes = [Timer::NEW; 1];
        let mut w = Wheel::new(&mut nodes, ms(0));
        w.set(1, ms(0));
        w.set(u32::MAX, ms(0));
        w.clear(7);
        assert!(!w.is_set(u32::MAX) && w.deadline().is_none());
        w.set(0, ms(u64::MAX));
        assert_eq!(w.expire(ms(u64::MAX - 9)), None);
        assert_eq!(w.expire(ms(u64::MAX)), None);
        assert!(w.deadline().is_some());
        w.check().unwrap();
    }

    /// Steps of random operations against a plain list of times.
    fn against_model(seed: u64, jump: u32) {
        const N: usize = 40;
        let mut nodes = [Timer::NEW; N];
        let mut x = seed | 1;
        let mut random = move || {
            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
            x
        };
        let mut now = random() >> (random() % 60 + 4);
        let mut w = Wheel::new(&mut nodes, ms(now));
        let mut model: [Option<u64>; N] = [None; N];
        for step in 0..20_000 {
            let r = random();
            let i = (r >> 32) as usize % N;
            match r % 8 {
                0..=3 => {
                    // spread over all orders of magnitude, past and future
                    let far = random() >> (random() % 64);
                    let when = if r & 64 == 0 { now.saturating_sub(far) } else { now.saturating_add(far % (1 << 44)) };
                    w.set(i as u32, ms(when));
                    model[i] = Some(when);
                }
                4 => {
                    w.clear(i as u32);
                    model[i] = None;
                }
                _ => {
                    now = now.saturating_add(random() >> (64 - random() % (jump as u64) - 1)).min(1 << 60);
                    while let Some(i) = w.expire(ms(now)) {
                        let when = model[i as usize].take().expect("fired without being set");
                        assert!(when <= now, "seed {seed} step {step}: early");
                    }
                    let d = w.deadline();
                    for when in model.iter().flatten() {
                        assert!(when.next_multiple_of(TICK_MS) > now, "seed {seed} step {step}: {when} late at {now}");
                        assert!(d.unwrap().millis() <= when.next_multiple_of(TICK_MS), "deadline too late");
                    }
                    assert_eq!(d.is_some(), model.iter().any(Option::is_some));
                    assert!(d.is_none_or(|d| d.millis() > now), "deadline does not move on");
                }
            }
            assert_eq!(from_fn::<bool, N, _>(|i| w.is_set(i as u32)), model.map(|m| m.is_some()));
            if step % 16 == 0 {
                w.check().unwrap_or_else(|e| panic!("seed {seed} step {step}: {e}"));
            }
        }
    }

    #[test]
    fn agrees_with_a_plain_list_at_every_pace() {
        for seed in 1..=4 {
            for jump in [4, 8, 16, 30, 44] {
                against_model(0x9e37_79b9_7f4a_7c15 >> seed, jump);
            }
        }
    }
}
