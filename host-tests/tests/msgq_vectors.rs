//! Every vector of `wire/msgq.md` section 17, played against a router: whole, with each client's
//! stream cut at every octet, and octet by octet.
//!
//! This runner finds the files: see `vectors/README.md`.

use chappe_host_tests::dialogue::{Cut, all};
use chappe_host_tests::vectors::folder;

/// At every octet of a short stream, at some of a long one.
const SHORT: usize = 600;

#[test]
fn whole() {
    let dialogues = all();
    assert_eq!(dialogues.len(), 50);
    for d in &dialogues {
        d.play(&Cut::Whole);
    }
}

#[test]
fn octet_by_octet() {
    for d in &all() {
        d.play(&Cut::Everywhere);
    }
}

#[test]
fn cut_at_every_octet() {
    for d in &all() {
        for (who, said) in d.speakers() {
            let step = if said <= SHORT { 1 } else { 7 };
            for at in (1..said).step_by(step) {
                d.play(&Cut::At(who.clone(), at));
            }
        }
    }
}

#[test]
fn every_dialogue_has_its_line_in_the_readme() {
    let readme = std::fs::read_to_string(folder().join("README.md")).unwrap();
    for d in all() {
        assert!(readme.contains(&format!("| `msgq/{}` |", d.name)), "no line for {}", d.name);
    }
}
