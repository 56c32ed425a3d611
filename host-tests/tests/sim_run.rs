//! The simulation in the gate: some seeds, and that it is what it says.

use chappe_host_tests::sim::plan::Plan;
use chappe_host_tests::sim::shrink::shrink;
use chappe_host_tests::sim::sweep::{STEPS, attempt, sweep};

/// In parts, so that they run beside each other wherever tests do.
fn seeds(from: u64, seeds: u64) {
    let swept = sweep(from, seeds, STEPS, 1, None, 1);
    if let Some((seed, failure)) = swept.failures.first() {
        panic!("cargo run -p chappe-host-tests --bin sim -- --seed {seed} --shrink: {failure:?}\n{}", swept.tally);
    }
    // what is rare does happen
    for what in [
        "closed slow",
        "closed silent",
        "closed malformed",
        "closed not_introduced",
        "crashes",
        "restarts with a disk",
        "restarts with nothing",
        "half-open connections",
        "letters over links",
        "links ended",
        "heard Outcome Full",
        "heard Outcome Kept",
        "heard Outcome NameTaken",
        "heard Reply Ok",
        "heard Reply NoRecipient",
        "heard Reply RecipientLeft",
        "heard Reply TimedOut",
        "heard Flushed",
        "heard Line READY",
        "heard Line INVALID command=REGISTER",
        "heard Line INVALID command=COMMANDS",
        "heard Line SERVICES",
        "heard Line UNKNOWN",
        "heard Line STATUS up",
        "heard Line STATUS down",
        "heard Line STATUS unknown",
        "heard Line SERVICE_UNAVAILABLE",
        "heard Line TRANSMISSION_REPORT status=cached",
        "heard Line TRANSMISSION_REPORT status=failed",
        "counter answers_stray",
        "counter mail_delivered",
        "counter mail_expired",
        "counter dropped_outbox_full",
        "counter values_merged",
        "counter values_older",
        "counter values_refused_disk",
        "counter flushes_failed",
        "counter monitor_shown",
        "disks that are Behind",
        "heard FlagChange",
        "heard Notice",
        "heard Outcome NotStored",
        "heard Page",
        "said Clear",
    ] {
        assert!(swept.tally.get(what) > 0, "{what} never happened in seeds {from} to {}", from + seeds);
    }
}

#[test]
fn sim_seeds_0_to_99() {
    seeds(0, 100);
}

#[test]
fn sim_seeds_100_to_199() {
    seeds(100, 100);
}

#[test]
fn sim_seeds_200_to_299() {
    seeds(200, 100);
}

#[test]
fn sim_seeds_300_to_399() {
    seeds(300, 100);
}

#[test]
fn the_same_seed_is_the_same_run() {
    for seed in [0, 1, 7] {
        let run = || attempt(&Plan::new(seed, STEPS), None).expect("nothing is wrong");
        let (first, second) = (run(), run());
        assert_eq!((first.hash, first.tally), (second.hash, second.tally), "seed {seed}");
    }
    let hash = |seed| attempt(&Plan::new(seed, STEPS), None).expect("nothing is wrong").hash;
    assert_ne!(hash(0), hash(1));
}

/// D4: who monitors costs nobody else anything. The station is there in both runs, and looks on in one. What waits
/// for it takes of the memory that all share, so where that is short, others may be told of it.
#[test]
fn whether_somebody_monitors_is_heard_by_nobody() {
    let mut shown = 0;
    for seed in (0..24).filter(|seed| !Plan::new(*seed, STEPS).setup.tight) {
        let run = |monitored| {
            let mut plan = Plan::new(seed, STEPS);
            plan.setup.monitored = monitored;
            attempt(&plan, None).expect("nothing is wrong")
        };
        let (with, without) = (run(true), run(false));
        assert_eq!(with.hash, without.hash, "seed {seed}");
        shown += with.tally.get("counter monitor_shown");
        assert_eq!(without.tally.get("counter monitor_shown"), 0);
    }
    assert!(shown > 1000, "{shown}");
}

#[test]
fn what_fails_is_shortened_and_fails_again() {
    use chappe_core::router::faults::Fault;
    let plan = Plan::new(0, STEPS);
    let fails = |plan: &Plan| attempt(plan, Some(Fault::DeliverTwice)).err();
    let (keep, failure) = shrink(&plan, fails);
    assert!(keep.len() < 10, "{keep:?}");
    let again = fails(&plan.only(&keep)).expect("it fails again");
    assert_eq!((again.what, again.now), (failure.what, failure.now));
    assert!(attempt(&plan.only(&keep), None).is_ok(), "without the fault nothing is wrong");
}
