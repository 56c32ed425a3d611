//! `chappe store`: a file of values while no daemon has it open.
//!
//! Owns: how rows look as lines of JSON, and what a person is told. Does not own the file:
//! that is `chappe_linux::store`.
//!
//! A line of `export` and `import` is one object: `name`; `value` as text, or `value_base64`,
//! or `removed` for a removal that is remembered; `changed_us` and `accessed_us`, microseconds
//! since 1970; `origin`, the node that changed it. Of these `name` and one of the second group
//! must be there.

use std::io::BufRead;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use chappe_core::router::store::{Stamp, Stored};
use chappe_linux::client::Encoding;
use chappe_linux::store::{self, FileError, Found, Problem, Summary};
use clap::{Args, Subcommand};
use serde::Deserialize;
use serde_json::json;

use super::connect::Global;
use super::exit::{Failure, Status};
use super::show::{base64_decode, body_json, object, plain};

/// `chappe store`.
#[derive(Debug, Subcommand)]
pub(crate) enum StoreCommand {
    /// Read all of a file and compare every check sum; changes nothing
    Check(OfFile),
    /// Print a file's values, one JSON object a line; of a damaged one what can be found
    Export(OfFile),
    /// Take values in, one JSON object a line, from the standard input or a file
    ///
    /// All of them or, if a line is wrong, none. The file is made if it is not there; of two
    /// values with one name the newer counts.
    Import(Import),
    /// Make a damaged file whole: what can be found becomes the file, the damaged one is kept
    ///
    /// What was removed long ago may be back, because old rows are found, too: `store export`
    /// shows what would be kept.
    Repair(OfFile),
}

/// Which file.
#[derive(Debug, Args)]
pub(crate) struct OfFile {
    /// The file of values (`store.path` of the configuration), which no daemon has open
    file: PathBuf,
}

/// `chappe store import`.
#[derive(Debug, Args)]
pub(crate) struct Import {
    /// The file of values (`store.path` of the configuration), which no daemon has open
    file: PathBuf,
    /// Lines as `chappe store export` prints them; `-` is the standard input
    #[arg(default_value = "-")]
    from: PathBuf,
}

pub(crate) fn run(command: &StoreCommand, global: &Global) -> Result<(), Failure> {
    match command {
        StoreCommand::Check(of) => check(&of.file, global),
        StoreCommand::Export(of) => export(&of.file, global),
        StoreCommand::Import(args) => import(args, global),
        StoreCommand::Repair(of) => repair(&of.file, global),
    }
}

fn check(file: &Path, global: &Global) -> Result<(), Failure> {
    let summary = store::check(file)?;
    let mut out = global.out();
    if out.json {
        out.json(&json!({
            "file": file.display().to_string(), "values": summary.values, "removed": summary.tombstones,
            "bytes": summary.bytes, "file_bytes": summary.file,
        }))?;
    } else {
        out.line(format!("{}: good: {}", plain(&file.display().to_string(), false), told(&summary)))?;
    }
    out.flush()
}

fn told(s: &Summary) -> String {
    let Summary { values, tombstones, bytes, file } = s;
    format!("{values} values, {tombstones} removals that are remembered; {bytes} bytes of names and values in {file}")
}

fn export(file: &Path, global: &Global) -> Result<(), Failure> {
    let mut out = global.out();
    // What stops the reading when it is not the file that is to blame.
    let mut stopped = None;
    let result = store::export(file, &mut |row| {
        out.json(&line_of(row)).map_err(|why| {
            stopped = Some(why);
            Problem::Io("the output".into())
        })
    });
    if let Some(why) = stopped {
        return Err(why);
    }
    out.flush()?;
    match result? {
        Found::Whole(_) => Ok(()),
        Found::Salvaged(summary, problem) => Err(Failure::Because(
            Status::Io,
            format!("{}: {problem}; what can be found in it was printed: {}", file.display(), told(&summary)),
        )),
    }
}

fn line_of(row: &Stored<'_>) -> serde_json::Value {
    let mut line = object([("name", row.name.into())]);
    match row.value {
        Some(value) => body_json(&mut line, "value", value, Encoding::None),
        None => _ = line.insert("removed".into(), true.into()),
    }
    line.insert("changed_us".into(), row.changed.micros().into());
    line.insert("accessed_us".into(), row.accessed.micros().into());
    line.insert("origin".into(), row.origin.into());
    line.into()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    name: String,
    value: Option<String>,
    value_base64: Option<String>,
    #[serde(default)]
    removed: bool,
    changed_us: Option<u64>,
    accessed_us: Option<u64>,
    #[serde(default)]
    origin: u32,
}

impl Line {
    /// Its value; `None`: it was removed.
    fn value(&self) -> Result<Option<Vec<u8>>, String> {
        match (&self.value, &self.value_base64, self.removed) {
            (Some(text), None, false) => Ok(Some(text.clone().into_bytes())),
            (None, Some(text), false) => {
                base64_decode(text).map(Some).ok_or_else(|| "value_base64 is no base64".to_owned())
            }
            (None, None, true) => Ok(None),
            _ => Err("there must be one of value, value_base64 and removed".into()),
        }
    }
}

fn import(args: &Import, global: &Global) -> Result<(), Failure> {
    let name = args.from.display().to_string();
    let from: Box<dyn BufRead> = if name == "-" {
        Box::new(std::io::stdin().lock())
    } else {
        let file = std::fs::File::open(&args.from).map_err(|e| Failure::io(format_args!("cannot read {name}"), &e))?;
        Box::new(std::io::BufReader::new(file))
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_micros() as u64;
    let mut wrong = None;
    let mut lines = 0u64;
    let result = store::import(&args.file, |take| {
        for line in from.lines() {
            lines += 1;
            let mut bad = |text: String| {
                wrong = Some(format!("{name}, line {lines}: {text}; nothing was taken"));
                Problem::Io("a line".into())
            };
            let line = line.map_err(|e| bad(format!("cannot be read: {e}")))?;
            if line.trim().is_empty() {
                continue;
            }
            let line: Line = serde_json::from_str(&line).map_err(|e| bad(e.to_string()))?;
            if !chappe_core::name::is_valid(&line.name) || chappe_core::name::is_pattern(&line.name) {
                return Err(bad("a name has 1 to 128 bytes, no controls, no pattern".into()));
            }
            let value = line.value().map_err(&mut bad)?;
            let changed = line.changed_us.unwrap_or(now);
            take(&Stored {
                name: &line.name,
                value: value.as_deref(),
                changed: Stamp::from_micros(changed),
                accessed: Stamp::from_micros(line.accessed_us.unwrap_or(changed)),
                origin: line.origin,
            })?;
        }
        Ok(())
    });
    if let Some(text) = wrong {
        return Err(Failure::Because(Status::Usage, text));
    }
    let taken = result?;
    let mut out = global.out();
    if out.json {
        out.json(&json!({"taken": taken, "lines": lines}))?;
    } else if !out.quiet {
        out.line(format!("{taken} of {lines} lines were newer than what was there, and are taken"))?;
    }
    out.flush()
}

fn repair(file: &Path, global: &Global) -> Result<(), Failure> {
    let (found, aside) = store::repair(file)?;
    let mut out = global.out();
    let text = match (&found, &aside) {
        (Found::Salvaged(summary, problem), Some(aside)) => {
            if out.json {
                out.json(&json!({
                    "repaired": true, "values": summary.values, "removed": summary.tombstones,
                    "damaged_file": aside.display().to_string(), "problem": problem.to_string(),
                }))?;
                return out.flush();
            }
            format!(
                "{}: {problem}. Saved: {}. The damaged file is {} now: delete it when you no longer need it",
                file.display(),
                told(summary),
                aside.display()
            )
        }
        (Found::Whole(summary) | Found::Salvaged(summary, _), _) => {
            if out.json {
                out.json(&json!({"repaired": false, "values": summary.values, "removed": summary.tombstones}))?;
                return out.flush();
            }
            format!("{}: nothing to repair: {}", file.display(), told(summary))
        }
    };
    out.line(plain(&text, false))?;
    out.flush()
}

impl From<FileError> for Failure {
    fn from(e: FileError) -> Self {
        Failure::Because(Status::Io, e.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_the_same_when_it_is_read() {
        let at = Stamp::from_micros;
        for value in [None, Some(&b""[..]), Some(b"text \xe2\x82\xac\n"), Some(&[0, 0xff, 7])] {
            let row = Stored { name: "a::b", value, changed: at(1 << 60), accessed: at(7), origin: 9 };
            let line: Line = serde_json::from_str(&line_of(&row).to_string()).unwrap();
            assert_eq!(line.value().unwrap().as_deref(), value);
            assert_eq!((line.name.as_str(), line.changed_us, line.accessed_us), ("a::b", Some(1 << 60), Some(7)));
            assert_eq!(line.origin, 9);
        }
    }

    #[test]
    fn lines_that_contradict_themselves_are_refused() {
        for text in [
            r#"{"name":"a"}"#,
            r#"{"name":"a","value":"x","removed":true}"#,
            r#"{"name":"a","value":"x","value_base64":"eA=="}"#,
            r#"{"name":"a","value_base64":"x"}"#,
        ] {
            assert!(serde_json::from_str::<Line>(text).unwrap().value().is_err(), "{text}");
        }
        assert!(serde_json::from_str::<Line>(r#"{"name":"a","value":"x","time":1}"#).is_err());
    }
}
