//! A shorter list of operations that fails, too.
//!
//! Owns: leaving out ever smaller pieces of the list as long as what is left still fails.

use super::plan::Plan;
use super::run::Failure;

/// The places in the list that are needed for a failure, and that failure. `fails` runs a plan.
///
/// # Panics
/// If the plan does not fail as it is.
pub fn shrink(plan: &Plan, fails: impl Fn(&Plan) -> Option<Failure>) -> (Vec<usize>, Failure) {
    let mut keep: Vec<usize> = plan.steps.iter().map(|(i, _)| *i).collect();
    let mut failure = fails(plan).expect("it fails as it is");
    let mut piece = keep.len().div_ceil(2).max(1);
    loop {
        let mut at = 0;
        let before = keep.len();
        while at < keep.len() {
            let mut less = keep.clone();
            less.drain(at..(at + piece).min(less.len()));
            match fails(&plan.only(&less)) {
                Some(same) => (keep, failure) = (less, same),
                None => at += piece,
            }
        }
        if piece == 1 && keep.len() == before {
            return (keep, failure);
        }
        piece = piece.div_ceil(2).max(1);
    }
}
