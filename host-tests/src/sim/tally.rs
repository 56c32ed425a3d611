//! What happened how often, so that one sees that the rare things do happen.
//!
//! Owns: the counts, and how they are printed.

use chappe_core::router::{Counter, Router};
use std::collections::BTreeMap;
use std::fmt;

/// Counts by a word.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally(BTreeMap<String, u64>);

impl Tally {
    /// One more.
    pub fn one(&mut self, what: &str) {
        self.add(what, 1);
    }

    /// More.
    pub fn add(&mut self, what: &str, n: u64) {
        *self.0.entry(what.to_string()).or_default() += n;
    }

    /// All that a router has counted.
    pub fn counted(&mut self, router: &Router<'_>) {
        for c in Counter::ALL {
            self.add(&format!("counter {}", c.name()), router.counters().get(*c));
        }
    }

    /// Those of another run, too.
    pub fn join(&mut self, other: &Tally) {
        other.0.iter().for_each(|(what, n)| self.add(what, *n));
    }

    /// How often.
    pub fn get(&self, what: &str) -> u64 {
        self.0.get(what).copied().unwrap_or(0)
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows: Vec<String> = self.0.iter().map(|(what, n)| format!("{what:<36} {n:>10}")).collect();
        let half = rows.len().div_ceil(2);
        for (i, left) in rows[..half].iter().enumerate() {
            let right = rows.get(half + i).map_or("", String::as_str);
            writeln!(f, "  {left}   {right}")?;
        }
        Ok(())
    }
}
