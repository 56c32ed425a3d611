//! The simulation can fail: each fault that is planted is found within so many seeds, and without it the same
//! seeds find nothing.

use chappe_core::router::faults::Fault;
use chappe_host_tests::sim::plan::Plan;
use chappe_host_tests::sim::sweep::{STEPS, attempt};

/// From which seed on, and within how many, a fault is found.
const FOUND: [(Fault, u64, u64); 38] = [
    (Fault::DropMessage, 0, 20),
    (Fault::DeliverTwice, 0, 20),
    (Fault::DeliverToSender, 0, 20),
    (Fault::Reorder, 0, 20),
    (Fault::HalfFrame, 0, 20),
    (Fault::ForgetLeave, 0, 20),
    (Fault::JoinTwice, 0, 20),
    (Fault::PresenceFirst, 0, 20),
    (Fault::ExclusiveTwice, 0, 20),
    (Fault::AnswerTwice, 0, 20),
    (Fault::NoAnswerLeft, 0, 40),
    (Fault::NoAnswerLate, 0, 20),
    (Fault::LeakQuestion, 0, 20),
    (Fault::LeakBlocks, 60, 20),
    (Fault::MailExpired, 0, 20),
    (Fault::MailTwice, 0, 40),
    (Fault::StaleAddress, 0, 20),
    (Fault::FlushEarly, 0, 20),
    (Fault::CountTwice, 0, 20),
    (Fault::OlderWins, 0, 20),
    (Fault::SkipTombstone, 0, 20),
    (Fault::LinkEcho, 0, 20),
    (Fault::KeysyncStops, 0, 20),
    (Fault::BroadcastLost, 0, 20),
    (Fault::InvalidUnsaid, 0, 20),
    (Fault::StatusForgotten, 0, 20),
    (Fault::CacheForgotten, 0, 20),
    (Fault::ReportForgotten, 0, 20),
    (Fault::NumberMixed, 0, 20),
    (Fault::RenameKeeps, 0, 20),
    (Fault::AnswerIsMessage, 0, 20),
    (Fault::FlagUntold, 0, 40),
    (Fault::ListLeavesOut, 0, 20),
    (Fault::ClearNothing, 90, 20),
    (Fault::NoticeMissing, 0, 20),
    (Fault::DiskErrorIgnored, 0, 20),
    (Fault::HeldBack, 0, 20),
    (Fault::MonitorMisses, 0, 20),
];

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

/// Nothing that is shipped has them.
#[test]
fn no_firmware_and_no_daemon_has_faults() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
    let mut folders: Vec<_> = ["core", "transport-linux", "transport-smoltcp"].map(|f| root.join(f)).into();
    let boards = std::fs::read_dir(root.join("firmware-examples")).expect("boards");
    folders.extend(boards.map(|b| b.expect("a folder").path()).filter(|b| b.is_dir()));
    for manifest in folders.iter().map(|f| f.join("Cargo.toml")).filter(|m| m.is_file()) {
        let text = std::fs::read_to_string(&manifest).expect("a manifest");
        assert!(!text.contains("\"faults\""), "{}", manifest.display());
    }
}
