//! `chappe store`: a file of values, and of messages that wait, while no daemon has it open.
//!
//! Owns: how rows look as lines of JSON, and what a person is told. Does not own the file:
//! that is `chappe_linux::store`.
//!
//! A line of `export` and `import` is one object: `name`; `value` as text, or `value_base64`,
//! or `removed` for a removal that is remembered; `changed_us` and `accessed_us`, microseconds
//! since 1970; `origin`, the node that changed it. Of these `name` and one of the second group
//! must be there.
//!
//! A line of a message that waits has `mail`, its number; `name` and `instance` (`*` if it is not
//! there), whom it is for; `until_us`, when it expires; `within_ms`, how long it was to be kept;
//! `from`, the address that its sender had; `form` and `bytes_base64`, the message. For people
//! there are `verb` and `body` or `body_base64` of a letter; they are not read.

use std::io::BufRead;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use chappe_core::model::{Letter, Message};
use chappe_core::router::mailbox::Form;
use chappe_core::router::store::{Stamp, Stored, StoredMail};
use chappe_linux::client::Encoding;
use chappe_linux::store::{self, FileError, Found, Problem, Row, Summary};
use clap::{Args, Subcommand};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::json;

use super::connect::Global;
use super::exit::{Failure, Status};
use super::show::{base64, base64_decode, body_json, object, plain};

/// `chappe store`.
#[derive(Debug, Subcommand)]
pub(crate) enum StoreCommand {
    /// Read all of a file and compare every check sum; changes nothing
    Check(OfFile),
    /// Print values and waiting messages, one JSON object a line; of a damaged file what can be found
    Export(OfFile),
    /// Take values and messages in, one JSON object a line, from the standard input or a file
    ///
    /// All of them or, if a line is wrong, none. The file is made if it is not there; of two
    /// values with one name the newer counts, and a message whose number is there is there already.
    Import(Import),
    /// Make a damaged file whole: what can be found becomes the file, the damaged one is kept
    ///
    /// What was removed long ago may be back, and messages that were delivered lately, because old
    /// rows are found, too: `store export` shows what would be kept.
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
            "mail": summary.mail, "bytes": summary.bytes, "file_bytes": summary.file,
        }))?;
    } else {
        out.line(format!("{}: good: {}", plain(&file.display().to_string(), false), told(&summary)))?;
    }
    out.flush()
}

fn told(s: &Summary) -> String {
    let Summary { values, tombstones, mail, bytes, file } = s;
    format!(
        "{values} values, {tombstones} removals that are remembered, {mail} messages that wait; {bytes} bytes of names, \
         values and messages in {file}"
    )
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

fn line_of(row: &Row<'_>) -> serde_json::Value {
    match row {
        Row::Value(row) => value_line(row),
        Row::Mail(mail) => mail_line(mail),
    }
}

fn value_line(row: &Stored<'_>) -> serde_json::Value {
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

fn mail_line(mail: &StoredMail<'_>) -> serde_json::Value {
    let mut line = object([("mail", mail.number.into()), ("name", mail.name.into())]);
    if !mail.instance.is_empty() {
        line.insert("instance".into(), mail.instance.into());
    }
    line.insert("until_us".into(), mail.until.micros().into());
    line.insert("within_ms".into(), mail.within_ms.into());
    line.insert("from".into(), mail.from.into());
    line.insert("form".into(), mail.form.into());
    line.insert("bytes_base64".into(), base64(mail.bytes).into());
    if Form::of(mail.form) == Some(Form::Letter)
        && let Ok(letter) = Letter::read(mail.bytes)
    {
        line.insert("verb".into(), letter.verb.into());
        body_json(&mut line, "body", letter.body, letter.encoding);
    }
    line.into()
}

/// One line. Which of its fields must be there depends on what it is.
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
    origin: Option<u32>,
    mail: Option<u64>,
    instance: Option<String>,
    until_us: Option<u64>,
    within_ms: Option<u32>,
    from: Option<u64>,
    form: Option<u8>,
    bytes_base64: Option<String>,
    verb: Option<IgnoredAny>,
    body: Option<IgnoredAny>,
    body_base64: Option<IgnoredAny>,
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

    /// Hands out what it is. `now`: when a value was changed that does not say so.
    fn take(&self, now: u64, take: store::Take<'_>) -> Result<Result<(), Problem>, String> {
        let is_of_mail = self.instance.is_some()
            || self.until_us.is_some()
            || self.within_ms.is_some()
            || self.from.is_some()
            || self.form.is_some()
            || self.bytes_base64.is_some()
            || self.verb.is_some()
            || self.body.is_some()
            || self.body_base64.is_some();
        let is_of_value = self.value.is_some()
            || self.value_base64.is_some()
            || self.removed
            || self.changed_us.is_some()
            || self.accessed_us.is_some()
            || self.origin.is_some();
        match self.mail {
            None if is_of_mail => Err("a message has its number as mail".into()),
            None => {
                let value = self.value()?;
                let changed = self.changed_us.unwrap_or(now);
                Ok(take(&Row::Value(Stored {
                    name: &self.name,
                    value: value.as_deref(),
                    changed: Stamp::from_micros(changed),
                    accessed: Stamp::from_micros(self.accessed_us.unwrap_or(changed)),
                    origin: self.origin.unwrap_or(0),
                })))
            }
            Some(_) if is_of_value => Err("a message has no value, and none of its times".into()),
            Some(number) => {
                if !store::is_mail_number(number) {
                    return Err("the number of a message is not 0 and less than 2^63".into());
                }
                let instance = self.instance.as_deref().filter(|i| *i != "*").unwrap_or_default();
                if !(instance.is_empty() || chappe_core::name::is_valid(instance)) {
                    return Err("an instance has at most 128 bytes, no controls".into());
                }
                let (Some(until), Some(within_ms), Some(form), Some(bytes)) =
                    (self.until_us, self.within_ms, self.form, &self.bytes_base64)
                else {
                    return Err("a message has until_us, within_ms, form and bytes_base64".into());
                };
                let bytes = base64_decode(bytes).ok_or("bytes_base64 is no base64")?;
                Ok(take(&Row::Mail(StoredMail {
                    number,
                    name: &self.name,
                    instance,
                    from: self.from.unwrap_or(0),
                    until: Stamp::from_micros(until),
                    within_ms,
                    form,
                    bytes: &bytes,
                })))
            }
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
            line.take(now, &mut *take).map_err(bad)??;
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
                    "mail": summary.mail, "damaged_file": aside.display().to_string(), "problem": problem.to_string(),
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
                out.json(&json!({
                    "repaired": false, "values": summary.values, "removed": summary.tombstones, "mail": summary.mail,
                }))?;
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
            let row = Row::Value(Stored { name: "a::b", value, changed: at(1 << 60), accessed: at(7), origin: 9 });
            says_the_same(&row);
        }
    }

    fn says_the_same(row: &Row<'_>) {
        let line: Line = serde_json::from_str(&line_of(row).to_string()).unwrap();
        let mut taken = 0;
        let take = &mut |again: &Row<'_>| {
            assert_eq!(again, row);
            taken += 1;
            Ok(())
        };
        assert_eq!(line.take(3, take), Ok(Ok(())));
        assert_eq!(taken, 1);
    }

    #[test]
    fn a_line_of_a_message_says_the_same_when_it_is_read() {
        // of any form, also one that is no letter or that this version does not know
        let letter = [b"\x0a\x01n\x12\x04VERB\x1a\x02\xff\x00".as_slice(), b"", b"\xff\xff"];
        for (form, bytes, instance) in [(1, letter[0], ""), (1, letter[1], "i"), (1, letter[2], ""), (9, letter[0], "")]
        {
            let until = Stamp::from_micros(u64::MAX);
            let mail = StoredMail { number: 5, name: "n", instance, from: 77, until, within_ms: 9, form, bytes };
            says_the_same(&Row::Mail(mail));
        }
    }

    #[test]
    fn lines_of_messages_that_cannot_be_are_refused() {
        let good = r#"{"mail":5,"name":"n","until_us":1,"within_ms":1,"form":1,"bytes_base64":"AA=="}"#;
        let try_it = |text: &str| serde_json::from_str::<Line>(text).unwrap().take(0, &mut |_| Ok(()));
        assert_eq!(try_it(good), Ok(Ok(())));
        for (from, to) in [
            ("\"mail\":5,", ""),
            ("\"mail\":5", "\"mail\":0"),
            ("\"mail\":5", "\"mail\":9223372036854775808"),
            ("\"until_us\":1,", ""),
            ("\"form\":1,", ""),
            ("\"within_ms\":1", "\"within_ms\":1,\"value\":\"x\""),
            ("\"within_ms\":1", "\"within_ms\":1,\"instance\":\"\\u0001\""),
            ("AA==", "?"),
        ] {
            assert!(try_it(&good.replace(from, to)).is_err(), "{from} {to}");
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
