//! Every vector of `wire/clacks.md` section 17, and the timers below them: line by line, together as far
//! as the order allows, octet by octet, and each client's stream cut once at every octet.
//!
//! This runner finds the files: see `vectors/README.md`. Each is also played against the plain server
//! of the tests, as the original and as a new one, so that what fails here is not the runner.

use chappe_host_tests::clacks::ours::small;
use chappe_host_tests::clacks::plain::{Habits, Plain};
use chappe_host_tests::clacks::script::{Cut, Script, all};
use chappe_host_tests::vectors::folder;

fn plain(original: bool) -> Plain {
    let mut p = Plain::default();
    p.habits = Habits { raw_times: original, echoes: original, forwards_denied: original };
    p
}

#[test]
fn there_are_as_many_as_on_the_page() {
    let all = all();
    assert_eq!(all.len(), 57);
    let readme = std::fs::read_to_string(folder().join("README.md")).unwrap();
    for s in all {
        assert!(readme.contains(&format!("| `clacks/{}` |", s.name)), "no line for {}", s.name);
    }
}

#[test]
fn the_runner_by_the_plain_server() {
    for s in &all() {
        for original in [false, true] {
            for cut in [Cut::Lines, Cut::Together, Cut::Octets] {
                s.play(&mut plain(original), &cut, original);
            }
        }
    }
}

/// Each of them against the router, once for each of the cuts. All that fail are shown.
fn play_all(cuts: impl Fn(&Script) -> Vec<Cut>) {
    let mut failed = Vec::new();
    for s in &all() {
        for cut in cuts(s) {
            let play = || s.play(&mut small(|_| {}), &cut, false);
            if std::panic::catch_unwind(play).is_err() {
                failed.push(format!("{} {cut:?}", s.name));
                // one cut of each is enough
                break;
            }
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
}

#[test]
fn line_by_line() {
    play_all(|_| vec![Cut::Lines]);
}

#[test]
fn together() {
    play_all(|_| vec![Cut::Together]);
}

#[test]
fn octet_by_octet() {
    play_all(|_| vec![Cut::Octets]);
}

#[test]
fn cut_at_every_octet() {
    play_all(|s| s.speakers().into_iter().flat_map(|(who, said)| (1..said).map(move |at| Cut::At(who, at))).collect());
}
