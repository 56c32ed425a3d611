//! One flag as the text of its file, in the Communicator's layout.
//!
//! Owns: reading and writing that text. Both read the same out of what this writes: the
//! Communicator's tools and this. `key=value` lines; see [`FlagFile::read`] for the rules.
//!
//! What is written differs from the Communicator's own where its files cannot be read again: line
//! ends inside a value are written as `\n` (there: as they are, which ends the value), and a value
//! that ends in a backslash is in quotes (there: bare, and the next line is swallowed). So is one
//! with blanks or quotes at its ends, which would be lost.

use std::fmt::{self, Write};
use std::time::Duration;

use super::name::FlagName;
use crate::calendar::rfc3339;

/// Longest file that is read, in bytes.
pub const MAX_FILE: usize = 64 * 1024;

/// Priority of a flag that does not say one.
pub const USUAL_PRIORITY: u8 = 5;

/// Stands for a message that is empty: the Communicator takes no flag without one.
const NO_MESSAGE: &str = "(no message)";

/// A raised flag, with all that its file says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlagFile {
    /// What it is called.
    pub name: FlagName,
    /// For people.
    pub message: String,
    /// 0 to 100.
    pub priority: u8,
    /// Only a person lowers it.
    pub manual_down: bool,
    /// In order, none twice, none empty.
    pub tags: Vec<String>,
    /// Where it is raised; empty: not said.
    pub source_file: String,
    /// Where it is raised; empty: not said.
    pub function: String,
    /// Where it is raised; 0: not said.
    pub line: u32,
    /// When it was raised first, in seconds since 1970.
    pub date: Option<u64>,
    /// When it was raised last.
    pub modified: Option<u64>,
    /// How often it was raised, at least once.
    pub count: u32,
    /// Who has written the file; empty: not said.
    pub hostname: String,
    /// Which software has written the file; empty: not said.
    pub version: String,
}

/// Why a file is no flag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// It is longer than [`MAX_FILE`].
    TooLong,
    /// It is not UTF-8.
    NotUtf8,
    /// This key is missing.
    Missing(&'static str),
    /// Its names are none.
    BadName(String),
    /// It has the name of another flag's file.
    WrongPlace {
        /// Which flag it says it is.
        says: FlagName,
    },
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::TooLong => write!(f, "it is longer than {MAX_FILE} bytes"),
            Fault::NotUtf8 => f.write_str("it is not UTF-8"),
            Fault::Missing(key) => write!(f, "it has no line `{key}=`"),
            Fault::BadName(name) => write!(
                f,
                "it calls itself {name:?}: each part has small letters and digits with single `-` between them, \
                 and begins with a letter"
            ),
            Fault::WrongPlace { says } => {
                write!(f, "it is the flag {says}, which nobody would find here: call it {}", says.file_name())
            }
        }
    }
}

impl std::error::Error for Fault {}

impl FlagFile {
    /// A flag that says nothing but its name and a message.
    pub fn new(name: FlagName, message: &str) -> FlagFile {
        FlagFile {
            name,
            message: message.to_owned(),
            priority: USUAL_PRIORITY,
            manual_down: false,
            tags: Vec::new(),
            source_file: String::new(),
            function: String::new(),
            line: 0,
            date: None,
            modified: None,
            count: 1,
            hostname: String::new(),
            version: String::new(),
        }
    }

    /// From the text of the file called `file_name`.
    ///
    /// A line that ends in a single backslash goes on in the next one. Lines that begin with `#` or
    /// `;` and empty ones are passed over. Blanks around keys and values do not count, then one pair
    /// of quotes around a value; then `\\`, `\n`, `\r` and `\t` stand for what they do in C. The last
    /// line with a key counts; other keys are passed over. A line without `=` goes on with the value
    /// before: that is how the Communicator itself writes values with line ends. `unit`, `section`,
    /// `name` and `message` must be there. A number that is none counts as not said: an alarm with
    /// a broken date is still one.
    pub fn read(file_name: &str, bytes: &[u8]) -> Result<FlagFile, Fault> {
        if bytes.len() > MAX_FILE {
            return Err(Fault::TooLong);
        }
        let text = str::from_utf8(bytes).map_err(|_| Fault::NotUtf8)?;
        let pairs = pairs(text);
        let get = |key: &str| pairs.iter().rev().find(|(k, _)| k == key).map(|(_, value)| value.as_str());
        let needed = |key| get(key).ok_or(Fault::Missing(key));
        let [unit, section, name] = [needed("unit")?, needed("section")?, needed("name")?];
        let message = needed("message")?;
        let name = read_name(file_name, [unit, section, name])?;
        if name.file_name() != file_name {
            return Err(Fault::WrongPlace { says: name });
        }
        let number = |key| get(key).and_then(|text| text.parse::<u64>().ok());
        let small = |key| number(key).and_then(|n| u32::try_from(n).ok());
        let text = |key| get(key).unwrap_or_default().to_owned();
        let priority = get("priority").and_then(|text| text.parse::<i64>().ok());
        Ok(FlagFile {
            name,
            message: if message == NO_MESSAGE { String::new() } else { message.to_owned() },
            priority: priority.map_or(USUAL_PRIORITY, |p| p.clamp(0, 100) as u8),
            manual_down: get("manual_down") == Some("yes"),
            tags: tags(get("tags").unwrap_or_default()),
            source_file: text("source_file"),
            function: text("function"),
            line: small("line").unwrap_or(0),
            date: number("date"),
            modified: number("modified"),
            count: small("count").unwrap_or(1).max(1),
            hostname: text("hostname"),
            version: text("version"),
        })
    }

    /// The text of its file. `now`: seconds since 1970, also for dates that are not said.
    pub fn text(&self, now: u64) -> String {
        let (date, time) = (self.date.unwrap_or(now).to_string(), self.modified.unwrap_or(now).to_string());
        let (count, line, priority) = (self.count.to_string(), self.line.to_string(), self.priority.to_string());
        let tags = self.tags.join(",");
        let message = if self.message.is_empty() { NO_MESSAGE } else { &self.message };
        let utc = rfc3339(Duration::from_secs(now));
        let utc = utc.split('.').next().unwrap_or(&utc).replace('T', " ");
        let mut out = format!(
            "# A raised flag. It is lowered by `raise-flag --down`, `chappe flag lower`, or removing this file.\n\
             # Generated by chappe {}\n# on {utc} UTC\n",
            env!("CARGO_PKG_VERSION"),
        );
        for (key, value) in [
            ("count", count.as_str()),
            ("date", &date),
            ("function", &self.function),
            ("hostname", &self.hostname),
            ("line", if self.line == 0 { "" } else { &line }),
            ("manual_down", if self.manual_down { "yes" } else { "no" }),
            ("message", message),
            ("modified", &time),
            ("name", self.name.name()),
            ("priority", &priority),
            ("section", self.name.section()),
            ("source_file", &self.source_file),
            ("tags", &tags),
            ("unit", self.name.unit()),
            ("version", &self.version),
        ] {
            if !value.is_empty() {
                put(&mut out, key, value);
            }
        }
        out
    }

    /// As the Communicator's logs show it.
    pub fn log_line(&self) -> String {
        let when = rfc3339(Duration::from_secs(self.modified.or(self.date).unwrap_or(0)));
        let when = when.split('.').next().unwrap_or(&when).replace('T', " ").replace('-', "/");
        let manual = if self.manual_down { ", manual-down" } else { "" };
        let FlagFile { name, source_file, function, line, message, priority, count, .. } = self;
        format!(
            "{when}: flag({name}):{source_file}:{function}:{line}: {message} (priority: {priority}{manual}, count: {count})"
        )
    }
}

/// The words of a list of tags: commas and blanks are between them. In order, none twice.
pub fn tags_of(list: &str) -> Vec<String> {
    sorted(list.split([',', ' ', '\t']))
}

/// The same of a file, where only commas are between them.
fn tags(list: &str) -> Vec<String> {
    sorted(list.split(','))
}

fn sorted<'l>(words: impl Iterator<Item = &'l str>) -> Vec<String> {
    let words = words.map(str::trim).filter(|word| !word.is_empty());
    words.map(str::to_owned).collect::<std::collections::BTreeSet<_>>().into_iter().collect()
}

fn read_name(file_name: &str, parts: [&str; 3]) -> Result<FlagName, Fault> {
    let bad = || Fault::BadName(parts.join("/"));
    if file_name.ends_with(super::name::OWN_ENDING) {
        return FlagName::new(parts[0], parts[1], parts[2]).ok_or_else(bad);
    }
    let [unit, section, name] = parts.map(str::to_ascii_lowercase);
    FlagName::new(&unit, &section, &name).filter(FlagName::is_usual).ok_or_else(bad)
}

/// What counts as a blank at the ends of keys and values.
fn is_blank(c: char) -> bool {
    c.is_whitespace() || c.is_control()
}

/// Keys and values of a text.
fn pairs(text: &str) -> Vec<(String, String)> {
    let mut pairs: Vec<(String, String)> = Vec::new();
    let mut raw: Vec<(String, String)> = Vec::new();
    let mut lines = text.lines();
    while let Some(first) = lines.next() {
        let mut line = first.to_owned();
        while ends_in_single_backslash(&line) {
            line.pop();
            let Some(next) = lines.next() else { break };
            line.push_str(next);
        }
        let line = line.trim_matches(is_blank);
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        match (line.split_once('='), raw.last_mut()) {
            (Some((key, value)), _) => {
                raw.push((key.trim_matches(is_blank).to_owned(), value.trim_matches(is_blank).to_owned()));
            }
            (None, Some((_, value))) => {
                value.push('\n');
                value.push_str(line);
            }
            (None, None) => {}
        }
    }
    pairs.extend(raw.into_iter().map(|(key, value)| (key, unescape(unquote(&value)))));
    pairs
}

fn ends_in_single_backslash(line: &str) -> bool {
    (line.len() - line.trim_end_matches('\\').len()) % 2 == 1
}

fn unquote(value: &str) -> &str {
    let inner = |quote| value.strip_prefix(quote)?.strip_suffix(quote);
    inner('"').or_else(|| inner('\'')).unwrap_or(value)
}

fn unescape(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some('\\') => out.push('\\'),
            Some('n') => out.push('\n'),
            Some('r') => out.push('\r'),
            Some('t') => out.push('\t'),
            Some(other) => out.extend(['\\', other]),
            None => out.push('\\'),
        }
    }
    out
}

/// Writes a line that reads as this value.
fn put(out: &mut String, key: &str, value: &str) {
    let is_odd = |c: char| is_blank(c) || matches!(c, '"' | '\'' | '\\');
    let quote = if value.starts_with(is_odd) || value.ends_with(is_odd) { "\"" } else { "" };
    // Writing to a String cannot fail.
    let _ = write!(out, "{key}={quote}");
    for c in value.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c => out.push(c),
        }
    }
    out.push_str(quote);
    out.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flag() -> FlagFile {
        FlagFile::new(FlagName::parse("u/s/n").unwrap(), "text")
    }

    fn read(text: &str) -> Result<FlagFile, Fault> {
        FlagFile::read("u_s_n.flag", text.as_bytes())
    }

    const LEAST: &str = "unit=u\nsection=s\nname=n\nmessage=text\n";

    #[test]
    fn the_wire_pages_example_is_read_and_written_alike() {
        let text = "# by someone\n; else\n\ncount=2\ndate=1767225600\nfunction=save\nhostname=hostA\nline=213\n\
            manual_down=no\nmessage=text\nmodified=1767225700\nname=file-write\npriority=97\nsection=neighbors\n\
            source_file=/a/b.cpp\ntags=cache,file-system\nunit=communicatord\nversion=2.0.13\n";
        let name = "communicatord_neighbors_file-write.flag";
        let flag = FlagFile::read(name, text.as_bytes()).unwrap();
        assert_eq!(flag.name.to_string(), "communicatord/neighbors/file-write");
        assert_eq!((flag.count, flag.date, flag.modified), (2, Some(1_767_225_600), Some(1_767_225_700)));
        assert_eq!((flag.priority, flag.manual_down, flag.line), (97, false, 213));
        assert_eq!(flag.tags, ["cache", "file-system"]);
        let written = flag.text(1_767_225_701);
        let (head, body): (Vec<_>, Vec<_>) = written.lines().partition(|line| line.starts_with('#'));
        assert_eq!((head.len(), head[2]), (3, "# on 2026-01-01 00:01:41 UTC"));
        let same: Vec<_> = text.lines().skip(3).collect();
        assert_eq!(body, same, "keys ascend");
        assert_eq!(
            flag.log_line(),
            "2026/01/01 00:01:40: flag(communicatord/neighbors/file-write):/a/b.cpp:save:213: text (priority: 97, count: 2)"
        );
    }

    #[test]
    fn what_the_reader_takes() {
        let message = |value: &str| read(&format!("unit=u\nsection=s\nname=n\nmessage={value}\n")).unwrap().message;
        for (value, want) in [
            ("  a b \t", "a b"),
            ("\"a\"", "a"),
            ("' a '", " a "),
            ("\"\"a\"\"", "\"a\""),
            ("\"a'", "\"a'"),
            ("\"", "\""),
            ("a=b", "a=b"),
            ("a # b", "a # b"),
            (r"a\\b\nc\rd\te", "a\\b\nc\rd\te"),
            (r"\x", r"\x"),
            ("a\\\n  b", "a  b"),
            ("a\\\\", "a\\"),
            ("a\nand more", "a\nand more"),
            ("(no message)", ""),
            ("", ""),
        ] {
            assert_eq!(message(value), want, "{value:?}");
        }
        let flag = read(&format!(
            "{LEAST} unit = U \nmanual_down=Yes\npriority=101\nline=-1\ncount=0\nodd=1\ntags= b ,,a,b\n"
        ));
        let flag = flag.unwrap();
        assert_eq!((flag.manual_down, flag.priority, flag.line, flag.count), (false, 100, 0, 1));
        assert_eq!((&flag.tags[..], flag.date), (&["a".to_owned(), "b".into()][..], None));
        assert_eq!(read(&format!("{LEAST}priority=-7\r\nmanual_down=yes\r\n")).unwrap().priority, 0);
        assert_eq!(read(&format!("{LEAST}priority=high")).unwrap().priority, 5);
    }

    #[test]
    fn bad_files_say_why() {
        for key in ["unit", "section", "name", "message"] {
            let text: String = LEAST.lines().filter(|l| !l.starts_with(key)).map(|l| format!("{l}\n")).collect();
            assert_eq!(read(&text), Err(Fault::Missing(key)));
        }
        assert_eq!(FlagFile::read("u_s_n.flag", b"\xff"), Err(Fault::NotUtf8));
        assert_eq!(FlagFile::read("u_s_n.flag", &vec![b'#'; MAX_FILE + 1]), Err(Fault::TooLong));
        assert!(matches!(read(&LEAST.replace("=u", "=u_")), Err(Fault::BadName(_))));
        assert!(matches!(read(&LEAST.replace("=u", "=x")), Err(Fault::WrongPlace { .. })));
        // a file that is cut anywhere before its unit, which comes late, is not taken for whole
        let whole = flag().text(0);
        for n in 0..whole.find("\nunit=u").unwrap() + 7 {
            assert!(read(&whole[..n]).is_err(), "{}", &whole[..n]);
        }
    }

    #[test]
    fn no_line_ends_in_a_backslash_or_breaks() {
        let text = FlagFile { message: "a\nb\\".into(), source_file: "c:\\d\\".into(), ..flag() }.text(0);
        assert!(text.contains("message=\"a\\nb\\\\\"\n") && text.contains("source_file=\"c:\\\\d\\\\\"\n"), "{text}");
        assert!(text.lines().all(|line| !line.ends_with('\\')));
    }

    /// xorshift64
    struct Random(u64);

    impl Random {
        fn below(&mut self, n: usize) -> usize {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            (self.0 % n as u64) as usize
        }

        fn text(&mut self) -> String {
            const ODD: [char; 18] = [
                'a', 'b', ' ', '\\', '\\', 'n', '\n', '\r', '\t', '"', '\'', '=', '#', ';', ',', '\u{e9}', '\0',
                '\u{a0}',
            ];
            (0..self.below(9)).map(|_| ODD[self.below(ODD.len())]).collect()
        }
    }

    /// What the wire page says that the original does, in another order and with its weak point: it
    /// takes any backslash at the end of a line for one that joins.
    fn original(text: &str, key: &str) -> String {
        let text = text.replace("\\\n", "");
        let line = text.lines().find_map(|l| l.strip_prefix(key)?.strip_prefix('=')).unwrap_or_default();
        let line = unescape(line.trim());
        unquote(&line).to_owned()
    }

    #[test]
    fn random_flags_are_read_as_they_were_by_both() {
        let mut random = Random(88_172_645_463_325_252);
        for _ in 0..20_000 {
            let flag = FlagFile {
                message: random.text(),
                source_file: random.text(),
                function: random.text(),
                hostname: random.text(),
                version: random.text(),
                priority: random.below(101) as u8,
                manual_down: random.below(2) == 1,
                line: random.below(3) as u32,
                count: 1 + random.below(3) as u32,
                date: Some(random.below(1000) as u64),
                modified: Some(random.below(1000) as u64),
                tags: ["a", "b-c", "d"].into_iter().filter(|_| random.below(2) == 1).map(str::to_owned).collect(),
                ..flag()
            };
            let text = flag.text(7);
            assert_eq!(read(&text).as_ref(), Ok(&flag), "{text}");
            for (key, value) in [("message", &flag.message), ("function", &flag.function), ("version", &flag.version)] {
                if !value.is_empty() {
                    assert_eq!(original(&text, key), *value, "{text}");
                }
            }
        }
    }

    #[test]
    fn random_bytes_never_panic() {
        let mut random = Random(0x9e37_79b9_7f4a_7c15);
        const PIECES: [&[u8]; 12] = [
            b"unit=u\n",
            b"section=s\n",
            b"name=n\n",
            b"message=",
            b"\\",
            b"\n",
            b"\"",
            b"=",
            b"\xff",
            b"#",
            b" ",
            b"\0",
        ];
        let mut good = 0;
        for _ in 0..20_000 {
            let bytes: Vec<u8> = (0..random.below(24)).flat_map(|_| PIECES[random.below(12)].iter().copied()).collect();
            good += u32::from(FlagFile::read("u_s_n.flag", &bytes).is_ok());
        }
        assert!(good > 0, "some of it is a flag");
    }
}
