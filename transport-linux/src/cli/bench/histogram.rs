//! Times taken, and how they are spread.

use std::time::Duration;

/// All of them, up to a limit beyond which every second one is kept: percentiles stay
/// right, memory stays bounded.
#[derive(Debug, Default)]
pub(super) struct Times {
    nanos: Vec<u32>,
    /// One in so many is kept.
    stride: u64,
    seen: u64,
    max: u32,
}

const ROOM: usize = 1 << 20;

impl Times {
    pub(super) fn add(&mut self, d: Duration) {
        let n = u32::try_from(d.as_nanos()).unwrap_or(u32::MAX);
        self.max = self.max.max(n);
        self.stride = self.stride.max(1);
        if self.seen.is_multiple_of(self.stride) {
            self.nanos.push(n);
        }
        self.seen += 1;
        if self.nanos.len() == ROOM {
            let mut odd = false;
            self.nanos.retain(|_| {
                odd = !odd;
                odd
            });
            self.stride *= 2;
        }
    }

    /// Microseconds below which a share of them lies.
    pub(super) fn percentile(&mut self, percent: f64) -> Option<f64> {
        if self.nanos.is_empty() {
            return None;
        }
        let at = ((self.nanos.len() as f64 * percent / 100.0).ceil() as usize).clamp(1, self.nanos.len()) - 1;
        let (_, n, _) = self.nanos.select_nth_unstable(at);
        Some(f64::from(*n) / 1000.0)
    }

    /// The longest, in microseconds.
    pub(super) fn max(&self) -> f64 {
        f64::from(self.max) / 1000.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_survive_thinning() {
        let mut t = Times::default();
        assert_eq!(t.percentile(50.0), None);
        for i in 0..3_000_000u64 {
            t.add(Duration::from_micros(i * 7919 % 1000));
        }
        assert!(t.nanos.len() <= ROOM);
        for p in [50.0, 90.0, 99.0] {
            let got = t.percentile(p).unwrap();
            assert!((got - p * 10.0).abs() < 10.0, "{p}: {got}");
        }
        assert_eq!(t.max(), 999.0);
    }
}
