//! A configuration file: any text, with the keys and values of the default as words. An error says the
//! file, and where in it, or which key; what is taken and has no secret in it, printed, is taken again
//! and is the same.
#![no_main]

use std::path::Path;
use std::sync::LazyLock;

use chappe_fuzz::words;
use chappe_linux::config::{Config, DEFAULT_TEXT};
use libfuzzer_sys::fuzz_target;

/// What the default says, and values that it does not have.
static WORDS: LazyLock<Vec<&str>> = LazyLock::new(|| {
    let more = "tcp://127.0.0.1:0 udp://[::1]:7 msgq:///run/m clacks:///run/c clackss://127.0.0.1:1 cd:///run/x cdu://127.0.0.1:2 \
        cds://127.0.0.1:3 tls://0.0.0.0:4 unix:///run/u serial:///dev/ttyS0?speed=9600 fd://0 read write manage link root 0660 0777 \
        18446744073709551615 -1 1e9 4294967296 nothing [[listeners]] [[users]] [[clacks.master]] '''";
    [words::of(DEFAULT_TEXT), more.split_whitespace().collect()].concat()
});

fuzz_target!(|data: &[u8]| {
    let Ok(text) = String::from_utf8(words::text(data, &WORDS)) else { return };
    let file = Path::new("/nowhere/x.toml");
    match Config::parse(Some(file), &text, |_| {}) {
        Err(e) => {
            let shown = e.to_string();
            assert_eq!(e.file.as_deref(), Some(file));
            assert!(!e.text.trim().is_empty() && shown.starts_with("/nowhere/x.toml:"), "{shown}");
            match e.at {
                Some((line, column)) => {
                    let there = text.split('\n').nth(line - 1).unwrap_or_else(|| panic!("no such line: {shown}"));
                    assert!((1..=there.chars().count() + 1).contains(&column), "no such column: {shown}");
                }
                // what is not in the file has no place there
                None => assert!(!e.key.is_empty(), "which key? {shown}"),
            }
        }
        Ok(config) => {
            let printed = config.print();
            let hides = ["token", "password", "secret", "certificate", "file"].iter().any(|w| text.contains(w));
            if !hides {
                let again = Config::parse(None, &printed, |_| {}).unwrap_or_else(|e| panic!("{e}: {printed}"));
                assert_eq!(again, config, "{printed}");
            }
        }
    }
});
