//! The two kinds of files that `chappe` writes as lines of JSON and reads again: what `store export`
//! writes, `store import` takes, and it is the same; what `sniff` records is the same after it was
//! read. An error says the line.
#![no_main]

use std::path::PathBuf;
use std::sync::LazyLock;

use chappe_fuzz::{scratch, words};
use clap::{FromArgMatches, Subcommand};
use libfuzzer_sys::fuzz_target;

/// The command line's own files, in a command line that has nothing else.
#[path = "."]
#[allow(dead_code, reason = "of each file only a part is needed")]
mod cli {
    #[path = "../../../transport-linux/src/cli/exit.rs"]
    pub(crate) mod exit;
    #[path = "../../../transport-linux/src/cli/show.rs"]
    pub(crate) mod show;
    #[path = "../../../transport-linux/src/cli/store.rs"]
    pub(crate) mod store;

    /// Where output goes: to whoever wants to look at it.
    pub(crate) mod connect {
        use std::io::Write;
        use std::sync::{Arc, Mutex};

        #[derive(Debug, Clone, Default)]
        pub(crate) struct Global(pub(crate) Arc<Mutex<Vec<u8>>>);

        impl Global {
            pub(crate) fn out(&self) -> super::show::Out {
                super::show::Out::to(Box::new(self.clone()), true, false)
            }

            pub(crate) fn take(&self) -> Vec<u8> {
                std::mem::take(&mut self.0.lock().expect("nobody panics"))
            }
        }

        impl Write for Global {
            fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
                self.0.lock().expect("nobody panics").extend(bytes);
                Ok(bytes.len())
            }
            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
    }

    #[path = "."]
    pub(crate) mod sniff {
        #[path = "../../../transport-linux/src/cli/sniff/record.rs"]
        pub(crate) mod record;

        use super::exit::Failure;
        use std::path::Path;

        /// All that is in a recording.
        pub(crate) fn all(path: &Path) -> Result<Vec<chappe_linux::client::Seen>, Failure> {
            let (mut recording, mut all) = (record::Recording::open(path)?, Vec::new());
            while let Some(seen) = recording.next()? {
                all.push(seen);
            }
            Ok(all)
        }

        /// A recording of all that.
        pub(crate) fn text(all: &[chappe_linux::client::Seen]) -> String {
            let lines = all.iter().map(record::object_of);
            [record::header("n")].into_iter().chain(lines).map(|line| format!("{line}\n")).collect()
        }
    }
}

use cli::connect::Global;
use cli::exit::Failure;

static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| scratch::folder("lines"));

const WORDS: &str = "{\"name\": \"value\": \"value_base64\": \"removed\":true, \"changed_us\": \"accessed_us\": \"origin\": \"mail\": \
    \"instance\": \"until_us\": \"within_ms\": \"from\": \"form\": \"bytes_base64\": \"verb\": \"body\": } \"AAECA/8=\" \"a::b\" \
    \"x\" 0 1 9223372036854775807 18446744073709551615 {\"event\":\"letter\" {\"event\":\"value\" \"op\":\"set\" \"op\":\"add\" \
    \"encoding\":\"json\" \"micros\":1800000000000000 \"params\":[[\"k\",\"v\"]] \"body_base64\":\"/w==\" \"station\":5 \
    \"station_name\": \"dialect\":\"msgq\" \"amount\":-5 \"text\":\"t\" \"to\":1 \"ttl_ms\":7 \"keep\":true \"hidden\":true \"count\":3";

fn run(args: &[&str], global: &Global) -> Result<String, Failure> {
    let command = cli::store::StoreCommand::augment_subcommands(clap::Command::new("store"));
    let matches = command.try_get_matches_from([&["store"], args].concat()).expect("a command");
    let command = cli::store::StoreCommand::from_arg_matches(&matches).expect("a command");
    cli::store::run(&command, global)?;
    Ok(String::from_utf8(global.take()).expect("JSON is text"))
}

fn line_of(failure: Failure, path: &str, lines: usize, before: &str, after: char) {
    let Failure::Because(_, text) = failure else { panic!("{failure:?}") };
    let rest = text.strip_prefix(path).and_then(|rest| rest.strip_prefix(before));
    let line = rest.and_then(|rest| rest.split(after).next()?.parse::<usize>().ok());
    assert!(line.is_some_and(|line| (1..=lines + 1).contains(&line)), "which line? {text}");
}

fn values(text: &[u8]) {
    let path = |name: &str| FOLDER.join(name).display().to_string();
    let (lines, one, two) = (path("lines"), path("one.redb"), path("two.redb"));
    let global = Global::default();
    let fresh = |file: &str| _ = std::fs::remove_file(file);
    fresh(&one);
    std::fs::write(&lines, text).expect("a file");
    let many = text.iter().filter(|b| **b == b'\n').count() + 1;
    match run(&["import", &one, &lines], &global) {
        Err(failure) => {
            assert!(!PathBuf::from(&one).exists(), "nothing was taken");
            line_of(failure, &lines, many, ", line ", ':');
        }
        Ok(_) => {
            let exported = run(&["export", &one], &global).expect("it was just written");
            fresh(&two);
            std::fs::write(&lines, &exported).expect("a file");
            run(&["import", &two, &lines], &global).unwrap_or_else(|e| panic!("{e:?}: {exported}"));
            assert_eq!(run(&["export", &two], &global).expect("it was just written"), exported);
            run(&["check", &two], &global).expect("it is whole");
        }
    }
}

fn recording(text: &[u8]) {
    let path = FOLDER.join("recording");
    // the fuzzer need not find out how a recording begins
    let begun: &[u8] = if text.first() == Some(&b'{') { b"" } else { b"{\"format\":\"chappe-sniff\",\"version\":1}\n" };
    let whole = [begun, text.strip_prefix(b"\n").unwrap_or(text)].concat();
    std::fs::write(&path, &whole).expect("a file");
    let many = whole.iter().filter(|b| **b == b'\n').count() + 1;
    match cli::sniff::all(&path) {
        Err(failure) => line_of(failure, &path.display().to_string(), many, ":", ':'),
        Ok(all) => {
            let written = cli::sniff::text(&all);
            std::fs::write(&path, &written).expect("a file");
            let again = cli::sniff::all(&path).unwrap_or_else(|e| panic!("{e:?}: {written}"));
            // what a newer program has recorded has no name here
            assert_eq!(again.len(), all.len());
            assert_eq!(cli::sniff::text(&again), written);
        }
    }
}

fuzz_target!(|data: &[u8]| {
    let [which, data @ ..] = data else { return };
    let words: Vec<&str> = WORDS.split_whitespace().collect();
    let text = words::text(data, &words);
    if which % 2 == 0 { values(&text) } else { recording(&text) }
});
