//! The core is what it says: `no_std`, no heap, no clock, no I/O, no `unsafe`, and it knows
//! only what it may know.
//!
//! The compiler has the last word on a target without an operating system; these tests say
//! sooner, and in words, what somebody has let in.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().into()
}

fn sources(folder: &Path) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push((path.clone(), fs::read_to_string(&path).unwrap()));
        }
    }
    found
}

/// The code of a file: without comments, and without the unit tests at its bottom.
fn code(text: &str) -> String {
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
    text.lines().map(|l| l.split("//").next().unwrap()).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_core_depends_on_two_crates_and_what_they_bring() {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let tree = Command::new(cargo)
        .args(["tree", "-p", "chappe-core", "-e", "normal", "--prefix", "none", "--offline", "--locked"])
        .current_dir(workspace())
        .output()
        .expect("cargo runs");
    assert!(tree.status.success(), "{}", String::from_utf8_lossy(&tree.stderr));
    let text = String::from_utf8(tree.stdout).unwrap();
    let mut crates: Vec<&str> = text.lines().filter_map(|l| l.split(' ').next()).filter(|c| !c.is_empty()).collect();
    crates.sort();
    crates.dedup();
    // heapless brings hash32 (which brings byteorder) and stable_deref_trait; nom brings memchr
    let allowed = ["byteorder", "chappe-core", "hash32", "heapless", "memchr", "nom", "stable_deref_trait"];
    for name in &crates {
        assert!(allowed.contains(name), "the core depends on {name}: is that needed, and is it no_std?");
    }
    assert!(crates.contains(&"nom") && crates.contains(&"heapless"));
}

#[test]
fn the_core_has_no_default_features_and_nom_has_no_heap() {
    let manifest = fs::read_to_string(workspace().join("core/Cargo.toml")).unwrap();
    assert!(manifest.contains("default = []"));
    let all = fs::read_to_string(workspace().join("Cargo.toml")).unwrap();
    let nom = all.lines().find(|l| l.starts_with("nom ")).unwrap();
    assert!(nom.contains("default-features = false") && !nom.contains("alloc"), "{nom}");
}

#[test]
fn the_core_forbids_what_it_must_not_do() {
    let lib = fs::read_to_string(workspace().join("core/src/lib.rs")).unwrap();
    assert!(lib.contains("#![no_std]") || lib.contains("#![cfg_attr(not(test), no_std)]"));
    assert!(lib.contains("#![forbid(unsafe_code)]"));
    let files = sources(&workspace().join("core/src"));
    assert!(files.len() > 20, "only {} files found", files.len());
    let banned = [
        ("std::", "the core has no operating system"),
        ("extern crate", "neither std nor alloc"),
        ("alloc::", "the core has no heap"),
        ("unsafe ", "forbidden"),
        ("allow(unsafe_code)", "forbidden"),
        ("Instant::now", "time is an argument"),
        ("SystemTime", "time is an argument"),
        ("todo!", "no stubs"),
        ("unimplemented!", "no stubs"),
        ("dbg!", "leftover"),
        ("println!", "the core has no output"),
        (".unwrap()", "peer bytes must not reach a panic"),
        (".expect(", "peer bytes must not reach a panic"),
        ("panic!", "peer bytes must not reach a panic"),
        ("unreachable!", "peer bytes must not reach a panic"),
        ("static mut", "no hidden state"),
    ];
    let mut wrong = Vec::new();
    for (path, text) in &files {
        if path.file_name().is_some_and(|n| {
            n == "tests.rs" || n == "attacks.rs" || n == "vectors.rs" || n.to_string_lossy().ends_with("_tests.rs")
        }) {
            continue;
        }
        for (number, line) in code(text).lines().enumerate() {
            for (word, why) in banned {
                let at = line.find(word);
                // core::… is not std::…, and a const assertion is no panic at run time
                let other = at.is_some_and(|at| line[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_'));
                if at.is_some() && !other {
                    wrong.push(format!("{}:{}: {word} ({why})", path.display(), number + 1));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn who_may_know_whom() {
    // `style.md`: a dialect never sees the router; the tables of the router never see a dialect
    for (path, text) in sources(&workspace().join("core/src/dialect")) {
        assert!(!code(&text).contains("crate::router"), "{} knows the router", path.display());
    }
    for table in ["timers", "store", "flags", "names", "stations", "requests", "mailbox"] {
        let path = workspace().join(format!("core/src/router/{table}.rs"));
        let text = code(&fs::read_to_string(&path).unwrap());
        assert!(!text.contains("dialect::messi::"), "{} names a dialect", path.display());
    }
    for (path, text) in sources(&workspace().join("core/src/buffer")) {
        assert!(!code(&text).contains("crate::router"), "{} knows the router", path.display());
    }
}

#[test]
fn the_core_says_what_each_file_owns() {
    let mut silent = Vec::new();
    for (path, text) in sources(&workspace().join("core/src")) {
        if !text.starts_with("//! ") || text.starts_with("//! To be.") {
            silent.push(path.display().to_string());
        }
    }
    assert!(silent.is_empty(), "no module documentation at the top of {silent:?}");
}
