//! Flags on their way between files and the bus.
//!
//! Owns: what of a file the bus can show, and that the rest is not lost when the bus changes the
//! flag: a message in a file may be longer than the bus's, and have line ends.

use chappe_core::limits::{MAX_FLAG_FUNCTION, MAX_FLAG_PRIORITY, MAX_FLAG_SOURCE, MAX_FLAG_TAGS, MAX_FLAG_TEXT};
use chappe_core::router::flags::kept::Record;
use chappe_core::router::flags::{Raise, RaisedFlag};

use super::file::{FlagFile, tags_of};
use super::name::FlagName;

/// As much of a text as the bus takes: in one line, and cut at the end.
pub(crate) fn shown(text: &str, most: usize) -> String {
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if line.len() <= most {
        return line;
    }
    let end = (0..=most - 3).rev().find(|n| line.is_char_boundary(*n)).unwrap_or(0);
    format!("{}...", &line[..end])
}

/// As many tags as the bus takes.
fn shown_tags(tags: &[String]) -> String {
    let mut list = String::new();
    for tag in tags {
        let tag = shown(tag, MAX_FLAG_TAGS);
        let comma = usize::from(!list.is_empty());
        if list.len() + comma + tag.len() <= MAX_FLAG_TAGS {
            list.push_str(&","[..comma]);
            list.push_str(&tag);
        }
    }
    list
}

/// What the bus shows of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OnBus {
    name: FlagName,
    description: String,
    tags: String,
    source_file: String,
    function: String,
    priority: u8,
    manual_down: bool,
    line: u32,
    count: u32,
    date: u64,
    modified: u64,
}

impl OnBus {
    /// `now`: for dates that the file does not say.
    pub(crate) fn of(file: &FlagFile, now: u64) -> OnBus {
        let date = file.date.unwrap_or(now);
        OnBus {
            name: file.name.clone(),
            description: shown(&file.message, MAX_FLAG_TEXT),
            tags: shown_tags(&file.tags),
            source_file: shown(&file.source_file, MAX_FLAG_SOURCE),
            function: shown(&file.function, MAX_FLAG_FUNCTION),
            priority: file.priority.min(MAX_FLAG_PRIORITY as u8),
            manual_down: file.manual_down,
            line: file.line,
            count: file.count,
            date,
            modified: file.modified.unwrap_or(now).max(date),
        }
    }

    /// As the router takes it.
    pub(crate) fn raise(&self) -> Raise<'_> {
        Raise {
            unit: self.name.unit(),
            section: self.name.section(),
            name: self.name.name(),
            description: &self.description,
            priority: self.priority.into(),
            tags: &self.tags,
            manual_down: self.manual_down,
            station: 0,
            record: Record {
                source_file: &self.source_file,
                function: &self.function,
                line: self.line,
                first_ms: self.date.saturating_mul(1000),
                last_ms: self.modified.saturating_mul(1000),
                times: self.count,
            },
        }
    }
}

/// The file of a flag as it is on the bus; `None` if its name is none, which cannot be.
pub(super) fn file_of(row: &RaisedFlag, hostname: &str) -> Option<FlagFile> {
    let record = row.record();
    Some(FlagFile {
        name: FlagName::parse(row.full_name())?,
        message: row.description().to_owned(),
        priority: row.priority().min(MAX_FLAG_PRIORITY) as u8,
        manual_down: row.manual_down(),
        tags: tags_of(row.tags()),
        source_file: record.source_file.to_owned(),
        function: record.function.to_owned(),
        line: record.line,
        date: Some(record.first_ms / 1000),
        modified: Some(record.last_ms / 1000),
        count: record.times,
        hostname: hostname.to_owned(),
        version: VERSION.to_owned(),
    })
}

/// Which software writes files.
pub const VERSION: &str = concat!("chappe ", env!("CARGO_PKG_VERSION"));

impl FlagFile {
    /// What the file said before and the bus still shows of it, as far as it could, stays as it was.
    pub(super) fn keep_what_was_cut(&mut self, before: &FlagFile) {
        for (now, before, most) in [
            (&mut self.message, &before.message, MAX_FLAG_TEXT),
            (&mut self.source_file, &before.source_file, MAX_FLAG_SOURCE),
            (&mut self.function, &before.function, MAX_FLAG_FUNCTION),
        ] {
            if *now == shown(before, most) {
                now.clone_from(before);
            }
        }
        if self.tags == tags_of(&shown_tags(&before.tags)) {
            self.tags.clone_from(&before.tags);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_bus_cannot_show_is_cut_there_and_kept_in_the_file() {
        let mut file = FlagFile::new(FlagName::parse("u/s/n").unwrap(), &format!("two\nlines {}", "\u{e9}".repeat(90)));
        file.tags = vec!["a b".into(), "x".repeat(70), "z".into()];
        file.function = "f".repeat(100);
        let bus = OnBus::of(&file, 7);
        assert!(bus.description.starts_with("two lines \u{e9}") && bus.description.ends_with("\u{e9}..."));
        assert!(bus.description.len() <= 128 && bus.function.len() == 64);
        assert!(bus.tags.starts_with("a b,") || bus.tags == "a b,z", "{}", bus.tags);
        assert_eq!((bus.raise().record.first_ms, bus.raise().record.last_ms), (7000, 7000));
        let shown = |file: &FlagFile, priority| FlagFile {
            message: bus.description.clone(),
            function: bus.function.clone(),
            tags: tags_of(&bus.tags),
            priority,
            ..file.clone()
        };
        let mut again = shown(&file, 9);
        again.keep_what_was_cut(&file);
        assert_eq!(again, FlagFile { priority: 9, ..file.clone() });
        let mut other = FlagFile { message: "other".into(), ..shown(&file, 9) };
        other.keep_what_was_cut(&file);
        assert_eq!(other.message, "other");
    }
}
