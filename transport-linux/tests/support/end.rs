//! How a test ends a process that it no longer needs.
//!
//! Usually at once. Where what runs is counted (`host-tests/coverage.sh`), a process that is killed takes
//! its counts along: there it is asked to end, and has some seconds for it.

#![allow(dead_code, unreachable_pub, missing_docs, reason = "each test file uses some of it, and nobody else")]

use std::process::Child;
use std::time::{Duration, Instant};

/// How long one that is asked may take.
const PATIENCE: Duration = Duration::from_secs(5);

pub fn end(child: &mut Child) {
    if std::env::var_os("LLVM_PROFILE_FILE").is_some() {
        ask(child);
    }
    let _ = child.kill();
    let _ = child.wait();
}

fn ask(child: &mut Child) {
    if !matches!(child.try_wait(), Ok(None)) {
        return;
    }
    // SAFETY: it is a child of ours that has not been waited for, so the number is its own.
    unsafe { libc::kill(child.id() as libc::pid_t, libc::SIGTERM) };
    let until = Instant::now() + PATIENCE;
    while matches!(child.try_wait(), Ok(None)) && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(5));
    }
}
