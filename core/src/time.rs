//! Time as the core sees it: numbers that the caller hands in.
//!
//! Owns: [`Instant`] and [`Duration`], both in milliseconds. Does not own a clock:
//! nothing in this crate asks what time it is.

use core::ops::{Add, Sub};

/// A point in time: milliseconds since an epoch of the caller's choice (usually boot).
/// It never runs backwards within one router or client; if the caller's clock does, the
/// core keeps the latest time it has seen.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Instant(u64);

impl Instant {
    /// The epoch.
    pub const ZERO: Instant = Instant(0);

    /// From milliseconds since the epoch.
    pub const fn from_millis(ms: u64) -> Self {
        Instant(ms)
    }

    /// Milliseconds since the epoch.
    pub const fn millis(self) -> u64 {
        self.0
    }

    /// How long after `earlier` this is; zero if it is not.
    pub const fn since(self, earlier: Instant) -> Duration {
        let ms = self.0.saturating_sub(earlier.0);
        Duration(if ms > u32::MAX as u64 { u32::MAX } else { ms as u32 })
    }
}

/// A span of time in milliseconds, up to 49 days.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Duration(u32);

impl Duration {
    /// No time at all.
    pub const ZERO: Duration = Duration(0);

    /// From milliseconds.
    pub const fn from_millis(ms: u32) -> Self {
        Duration(ms)
    }

    /// From seconds, at most 49 days.
    pub const fn from_secs(s: u32) -> Self {
        Duration(s.saturating_mul(1000))
    }

    /// In milliseconds.
    pub const fn millis(self) -> u32 {
        self.0
    }
}

impl Add<Duration> for Instant {
    type Output = Instant;
    fn add(self, d: Duration) -> Instant {
        Instant(self.0.saturating_add(d.0 as u64))
    }
}

impl Sub<Instant> for Instant {
    type Output = Duration;
    fn sub(self, earlier: Instant) -> Duration {
        self.since(earlier)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_never_go_negative_or_wrap() {
        let (a, b) = (Instant::from_millis(5), Instant::from_millis(7));
        assert_eq!(b - a, Duration::from_millis(2));
        assert_eq!(a - b, Duration::ZERO);
        assert_eq!(Instant::from_millis(u64::MAX) - a, Duration::from_millis(u32::MAX));
        assert_eq!(Instant::from_millis(u64::MAX) + Duration::from_secs(1), Instant::from_millis(u64::MAX));
    }
}
