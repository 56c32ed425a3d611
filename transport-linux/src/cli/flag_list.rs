//! Lists of flags: of a node's, and of those in a folder.
//!
//! Owns: how they look, which is the same of both as far as both know it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use chappe_linux::client::{Connection, Item, What};
use chappe_linux::flags::FlagFile;
use serde_json::{Value, json};

use super::exit::Failure;
use super::show::{Out, object, plain, span, table, text_or_null};

/// A raised flag, from wherever.
struct Row {
    name: String,
    description: String,
    priority: u64,
    manual: bool,
    tags: String,
    raised: Duration,
    last: Duration,
    times: u64,
    source_file: String,
    function: String,
    line: u32,
    /// What only files say: when, on which host and by which software.
    file: Option<(Option<u64>, Option<u64>, String, String)>,
}

impl From<Item> for Row {
    fn from(i: Item) -> Row {
        Row {
            name: i.name,
            description: i.text,
            priority: i.count,
            manual: i.manual,
            tags: i.tags,
            raised: i.age,
            last: i.last,
            times: i.times,
            source_file: i.source_file,
            function: i.function,
            line: i.line,
            file: None,
        }
    }
}

impl From<FlagFile> for Row {
    fn from(f: FlagFile) -> Row {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let ago = |then: Option<u64>| then.map_or(Duration::ZERO, |then| now.saturating_sub(Duration::from_secs(then)));
        Row {
            name: f.name.to_string(),
            description: f.message,
            priority: f.priority.into(),
            manual: f.manual_down,
            tags: f.tags.join(","),
            raised: ago(f.date),
            last: ago(f.modified),
            times: f.count.into(),
            source_file: f.source_file,
            function: f.function,
            line: f.line,
            file: Some((f.date, f.modified, f.hostname, f.version)),
        }
    }
}

impl Row {
    /// `file:function:line`, without what is not said.
    fn source(&self) -> String {
        let line = if self.line == 0 { String::new() } else { self.line.to_string() };
        let parts = [plain(&self.source_file, false), plain(&self.function, false), line];
        parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(":")
    }

    fn cells(&self) -> Vec<String> {
        // a node on a microcontroller does not say how often and when last
        let known = self.times > 0;
        vec![
            plain(&self.name, false),
            self.priority.to_string(),
            span(self.raised),
            if known { span(self.last) } else { String::new() },
            if known { self.times.to_string() } else { String::new() },
            if self.manual { "a person".into() } else { "anyone".into() },
            plain(&self.tags, false),
            self.source(),
            plain(&self.description, false),
        ]
    }

    fn json(&self) -> Value {
        let mut all = object([
            ("name", self.name.as_str().into()),
            ("priority", self.priority.into()),
            ("raised_ms", json!(self.raised.as_millis() as u64)),
            ("last_ms", if self.times > 0 { json!(self.last.as_millis() as u64) } else { Value::Null }),
            ("times", if self.times > 0 { self.times.into() } else { Value::Null }),
            ("manual_down", self.manual.into()),
            ("tags", text_or_null(&self.tags)),
            ("description", text_or_null(&self.description)),
            ("source_file", text_or_null(&self.source_file)),
            ("function", text_or_null(&self.function)),
            ("line", if self.line > 0 { self.line.into() } else { Value::Null }),
        ]);
        if let Some((date, modified, hostname, version)) = &self.file {
            all.extend(object([
                ("date", json!(date)),
                ("modified", json!(modified)),
                ("hostname", text_or_null(hostname)),
                ("version", text_or_null(version)),
            ]));
        }
        all.into()
    }
}

/// Those of a node whose names begin with `prefix`.
pub(crate) fn on_bus(bus: &mut Connection, out: &mut Out, prefix: &str) -> Result<(), Failure> {
    show(out, bus.list(What::Flags, prefix)?.into_iter().map(Row::from).collect())
}

/// Those of a folder.
pub(crate) fn in_files(flags: Vec<FlagFile>, out: &mut Out, prefix: &str) -> Result<(), Failure> {
    let rows = flags.into_iter().map(Row::from).filter(|row| row.name.starts_with(prefix));
    show(out, rows.collect())
}

fn show(out: &mut Out, mut rows: Vec<Row>) -> Result<(), Failure> {
    rows.sort_by(|a, b| b.priority.cmp(&a.priority).then_with(|| a.name.cmp(&b.name)));
    if out.json {
        return rows.iter().try_for_each(|row| out.json(&row.json()));
    }
    if rows.is_empty() && !out.quiet {
        return out.line("no flag is raised");
    }
    let cells: Vec<_> = rows.iter().map(Row::cells).collect();
    let headings = ["FLAG", "PRIORITY", "RAISED", "LAST", "TIMES", "LOWERED BY", "TAGS", "SOURCE", "DESCRIPTION"];
    table(out, &headings, &cells)
}
