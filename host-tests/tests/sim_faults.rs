//! The simulation can fail: each fault that is planted is found within so many seeds, and without it the same
//! seeds find nothing.

use chappe_core::router::faults::Fault;
use chappe_host_tests::sim::plan::Plan;
use chappe_host_tests::sim::sweep::{STEPS, attempt};

/// From which seed on, and within how many, a fault is found.
const FOUND: [(Fault, u64, u64); 0] = [];

fn found(fault: Fault) -> Option<u64> {
    let (_, from, within) = FOUND.iter().find(|(f, ..)| *f == fault).expect("each has a row");
    (*from..from + within).find(|seed| attempt(&Plan::new(*seed, STEPS), Some(fault)).is_err())
}

#[test]
fn each_fault_has_a_row() {
    let rows: Vec<Fault> = FOUND.iter().map(|(fault, ..)| *fault).collect();
    assert_eq!(rows, Fault::ALL);
}

#[test]
fn each_fault_is_found() {
    // what a panic says would only confuse: it is the failure of a seed
    std::panic::set_hook(Box::new(|_| {}));
    let missed: Vec<&str> = Fault::ALL.iter().filter(|f| found(**f).is_none()).map(|f| f.name()).collect();
    let _ = std::panic::take_hook();
    assert!(missed.is_empty(), "not found: {missed:?}");
}

#[test]
fn without_a_fault_the_same_seeds_find_nothing() {
    let mut seeds: Vec<u64> = FOUND.iter().flat_map(|(_, from, within)| *from..from + within).collect();
    seeds.sort();
    seeds.dedup();
    for seed in seeds {
        if let Err(failure) = attempt(&Plan::new(seed, STEPS), None) {
            panic!("seed {seed}: {failure:?}");
        }
    }
}
