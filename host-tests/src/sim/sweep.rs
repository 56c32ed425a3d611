//! Many seeds, one after the other, on several threads.
//!
//! Owns: running one seed so that a panic is a failure like any other, and gathering what many have shown.

use super::plan::Plan;
use super::run::{Failure, Ran, run};
use super::tally::Tally;
use chappe_core::router::Settings;
use chappe_core::router::faults::Fault;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// Operations of a run, if nobody says.
pub const STEPS: usize = 250;

/// Which fault is planted, if any.
pub type Planted = Option<Fault>;

/// Runs a plan, whatever happens in it.
///
/// # Errors
/// If a rule is broken, or something panics.
pub fn attempt(plan: &Plan, planted: Planted) -> Result<Ran, Failure> {
    let change = |s: &mut Settings<'_>| s.fault = planted;
    catch_unwind(AssertUnwindSafe(|| run(plan, change))).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|s| s.to_string()));
        let what = format!("panic: {}", text.unwrap_or_default());
        Err(Failure { step: usize::MAX, now: 0, what })
    })
}

/// What many seeds have shown.
#[derive(Debug, Default)]
pub struct Swept {
    /// How many ran.
    pub seeds: u64,
    /// What happened how often.
    pub tally: Tally,
    /// The seeds that failed, lowest first.
    pub failures: Vec<(u64, Failure)>,
}

/// Runs `seeds` seeds from `from` on, on `jobs` threads; ends early after `enough` failures.
pub fn sweep(from: u64, seeds: u64, steps: usize, jobs: usize, planted: Planted, enough: usize) -> Swept {
    let next = AtomicU64::new(from);
    let all = Mutex::new(Swept::default());
    std::thread::scope(|scope| {
        for _ in 0..jobs.max(1) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= from + seeds {
                        return;
                    }
                    let ran = attempt(&Plan::new(seed, steps), planted);
                    let mut all = all.lock().expect("nobody panics with it");
                    all.seeds += 1;
                    match ran {
                        Ok(ran) => all.tally.join(&ran.tally),
                        Err(failure) => all.failures.push((seed, failure)),
                    }
                    if all.failures.len() >= enough {
                        next.store(u64::MAX / 2, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    let mut all = all.into_inner().expect("nobody panics with it");
    all.failures.sort_by_key(|(seed, _)| *seed);
    all
}
