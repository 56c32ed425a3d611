//! What is random: by a seed, which is printed and can be given.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Numbers that look like none, the same ones for the same seed.
pub(crate) struct Dice(u64);

impl Dice {
    /// With `CHAPPE_SEED`, or another seed each time. `about`: who throws.
    pub(crate) fn new(about: &str) -> Dice {
        let given = std::env::var("CHAPPE_SEED").ok().map(|seed| seed.parse().expect("CHAPPE_SEED is a number"));
        let seed: u64 =
            given.unwrap_or_else(|| SystemTime::now().duration_since(UNIX_EPOCH).unwrap().subsec_nanos().into());
        println!("{about}: CHAPPE_SEED={seed}");
        // neighbouring seeds must not begin alike, and 0 would stay 0
        Dice(seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// A number below `n`, which is not 0.
    pub(crate) fn below(&mut self, n: usize) -> usize {
        ((self.next() >> 16) % n as u64) as usize
    }

    pub(crate) fn octets(&mut self, n: usize) -> Vec<u8> {
        (0..n).map(|_| (self.next() >> 32) as u8).collect()
    }
}

/// How long a load lasts: `CHAPPE_FAULT_SECONDS`, or as long as will do for a gate.
pub(crate) fn span() -> Duration {
    match std::env::var("CHAPPE_FAULT_SECONDS") {
        Ok(text) => Duration::from_secs(text.parse().expect("CHAPPE_FAULT_SECONDS is a number")),
        Err(_) => Duration::from_millis(1500),
    }
}
