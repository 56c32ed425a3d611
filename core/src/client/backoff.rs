//! How long to wait before the next attempt.
//!
//! Owns: the step and the jitter. Half of each step is certain, half is random, so that a
//! thousand stations that lost the same node do not come back in the same millisecond.

use crate::time::Duration;

#[derive(Debug)]
pub(crate) struct Backoff {
    min: u32,
    max: u32,
    /// The next step, without jitter.
    step: u32,
    random: u32,
}

impl Backoff {
    pub(crate) fn new(min: Duration, max: Duration, seed: u64) -> Self {
        let min = min.millis().max(1);
        // Seeds may be small and alike (a board's number), so they are spread over all bits
        // first; and xorshift stays at 0 for ever.
        let random = ((seed >> 32) as u32 ^ seed as u32).wrapping_mul(0x9e37_79b1);
        let random = (random ^ (random >> 15)).wrapping_mul(0x85eb_ca6b).max(1);
        Backoff { min, max: max.millis().max(min), step: min, random }
    }

    /// The next delay: between half the step and the step, which doubles up to the maximum.
    pub(crate) fn next(&mut self) -> Duration {
        let step = self.step;
        self.step = step.saturating_mul(2).min(self.max);
        self.jitter(step)
    }

    /// A delay around the maximum, for what will not get better soon.
    pub(crate) fn longest(&mut self) -> Duration {
        self.step = self.max;
        self.jitter(self.max)
    }

    pub(crate) fn reset(&mut self) {
        self.step = self.min;
    }

    /// How long a connection has to last until the next delay is the shortest again.
    pub(crate) fn max(&self) -> Duration {
        Duration::from_millis(self.max)
    }

    fn jitter(&mut self, step: u32) -> Duration {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 17;
        self.random ^= self.random << 5;
        let half = step / 2;
        let extra = ((self.random as u64 * (step - half + 1) as u64) >> 32) as u32;
        Duration::from_millis(half + extra)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_up_to_the_maximum_with_jitter_over_the_upper_half() {
        let mut seen = heapless::Vec::<u32, 64>::new();
        for seed in 0..50 {
            let mut b = Backoff::new(Duration::from_millis(250), Duration::from_millis(8000), seed);
            for step in [250, 500, 1000, 2000, 4000, 8000, 8000, 8000] {
                let d = b.next().millis();
                assert!((step / 2..=step).contains(&d), "{d} of {step}");
            }
            b.reset();
            let d = b.next().millis();
            assert!((125..=250).contains(&d));
            seen.push(d).unwrap();
            let d = b.longest().millis();
            assert!((4000..=8000).contains(&d));
        }
        seen.sort_unstable();
        assert!(seen[0] < 140 && seen[49] > 235, "seeds do not spread: {seen:?}");
    }

    #[test]
    fn strange_bounds_are_harmless() {
        let mut b = Backoff::new(Duration::ZERO, Duration::ZERO, 0);
        assert!(b.next().millis() <= 1);
        let mut b = Backoff::new(Duration::from_millis(u32::MAX), Duration::ZERO, 1);
        assert!(b.next().millis() >= u32::MAX / 2);
        assert!(b.next().millis() >= u32::MAX / 2);
    }
}
