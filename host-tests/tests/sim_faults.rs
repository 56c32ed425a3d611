//! The simulation can fail: each fault that is planted is found within so many seeds, and without it the same
//! seeds find nothing.

use chappe_core::router::faults::Fault;
use chappe_host_tests::sim::plan::Plan;
use chappe_host_tests::sim::sweep::{STEPS, attempt};

/// Within how many seeds each fault is found.
const WITHIN: u64 = 40;

fn found(fault: Fault) -> Option<u64> {
    (0..WITHIN).find(|seed| attempt(&Plan::new(*seed, STEPS), Some(fault)).is_err())
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
    for seed in 0..WITHIN {
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
