//! Numbers that look like chance and can be had again: a seed that is printed, and what a test
//! has measured.

use std::time::Duration;

/// Numbers from a seed (splitmix64).
#[derive(Clone)]
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Random {
        Random(seed)
    }

    /// Another sequence for each `which`.
    pub fn branch(&self, which: u64) -> Random {
        let mut other = Random(self.0 ^ which.wrapping_mul(0xd1b5_4a32_d192_ed03));
        Random(other.next())
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    /// Below `n`.
    pub fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    /// Once in so many times.
    pub fn once_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    pub fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len() as u64) as usize]
    }
}

/// That of `CHAPPE_SEED` (decimal, or hexadecimal behind `0x`), or a new one.
pub fn seed() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    match std::env::var("CHAPPE_SEED") {
        Ok(text) => {
            let number = text.strip_prefix("0x").map_or_else(|| text.parse(), |hex| u64::from_str_radix(hex, 16));
            number.unwrap_or_else(|e| panic!("CHAPPE_SEED={text}: {e}"))
        }
        Err(_) => std::hash::RandomState::new().build_hasher().finish(),
    }
}

/// A number of the environment, for runs of any length.
pub fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |text| text.parse().unwrap_or_else(|e| panic!("{name}={text}: {e}")))
}

/// The middle, the 99th hundredth and the largest.
pub fn spread(all: &mut [Duration]) -> String {
    all.sort_unstable();
    let at = |part: usize| all[(all.len() * part / 100).min(all.len() - 1)].as_secs_f64() * 1000.0;
    if all.is_empty() {
        "none".into()
    } else {
        format!("p50 {:.1} ms, p99 {:.1} ms, max {:.1} ms", at(50), at(99), at(100))
    }
}
