//! Where in a configuration file something stands.
//!
//! Owns: the way from a key to its line and column and back, and the error that says so.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Why a configuration is not used: file, line, column, key and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// `None`: the command line or the built-in default.
    pub file: Option<PathBuf>,
    /// Line and column, counted from 1.
    pub at: Option<(usize, usize)>,
    /// As a path: `listeners[1].address`. Empty: the file as a whole.
    pub key: String,
    /// What is wrong and what to do.
    pub text: String,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.file {
            Some(file) => write!(f, "{}", file.display())?,
            None => f.write_str("configuration")?,
        }
        if let Some((line, column)) = self.at {
            write!(f, ":{line}:{column}")?;
        }
        if !self.key.is_empty() {
            write!(f, ": {}", self.key)?;
        }
        write!(f, ": {}", self.text.trim_end())
    }
}

impl std::error::Error for ConfigError {}

/// One step of a key's path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step<'k> {
    /// Of a table.
    Key(&'k str),
    /// Of an array, counted from 0.
    Index(usize),
}

/// A file's text and what finds keys in it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Source<'t> {
    pub(crate) file: Option<&'t Path>,
    pub(crate) text: &'t str,
}

impl Source<'_> {
    /// From what the TOML reader says.
    pub(crate) fn reader_error(&self, error: &toml::de::Error) -> ConfigError {
        let span = error.span();
        let key = span.clone().and_then(|span| self.key_at(&span)).unwrap_or_default();
        self.error(span, key, error.message().to_owned())
    }

    /// About the value of a key.
    pub(crate) fn error_at(&self, path: &[Step<'_>], text: impl Into<String>) -> ConfigError {
        let span = DeTable::parse(self.text).ok().and_then(|doc| find(doc.get_ref(), path));
        self.error(span, print(path), text.into())
    }

    fn error(&self, span: Option<Range<usize>>, key: String, text: String) -> ConfigError {
        let at = span.map(|span| position(self.text, span.start));
        ConfigError { file: self.file.map(Path::to_owned), at, key, text }
    }

    /// The deepest key whose name or value covers `span`.
    fn key_at(&self, span: &Range<usize>) -> Option<String> {
        let doc = DeTable::parse(self.text).ok()?;
        let mut path = String::new();
        descend(doc.get_ref(), span, &mut path);
        Some(path)
    }
}

fn print(path: &[Step<'_>]) -> String {
    let mut out = String::new();
    for step in path {
        match step {
            Step::Key(key) if out.is_empty() => out.push_str(key),
            Step::Key(key) => out.extend([".", key]),
            Step::Index(i) => out.push_str(&format!("[{i}]")),
        }
    }
    out
}

fn position(text: &str, byte: usize) -> (usize, usize) {
    let before = &text.as_bytes()[..byte.min(text.len())];
    let line = before.iter().filter(|&&b| b == b'\n').count() + 1;
    let start = before.iter().rposition(|&b| b == b'\n').map_or(0, |n| n + 1);
    (line, String::from_utf8_lossy(&before[start..]).chars().count() + 1)
}

fn find(table: &DeTable<'_>, path: &[Step<'_>]) -> Option<Range<usize>> {
    let (Step::Key(name), rest) = path.split_first()? else { return None };
    let (key, value) = table.iter().find(|(key, _)| key.get_ref() == name)?;
    // A missing inner key is reported at the table that should have it.
    Some(find_in(value, rest).unwrap_or_else(|| if rest.is_empty() { value.span() } else { key.span() }))
}

fn find_in(value: &Spanned<DeValue<'_>>, path: &[Step<'_>]) -> Option<Range<usize>> {
    match (value.get_ref(), path.first()?) {
        (DeValue::Table(table), Step::Key(_)) => find(table, path).or(Some(value.span())),
        (DeValue::Array(array), Step::Index(i)) => {
            let item = array.get(*i)?;
            find_in(item, &path[1..]).or(Some(item.span()))
        }
        _ => None,
    }
}

fn descend(table: &DeTable<'_>, span: &Range<usize>, path: &mut String) -> bool {
    let covers = |outer: Range<usize>| outer.start <= span.start && span.end <= outer.end;
    for (key, value) in table.iter() {
        let before = path.len();
        if !path.is_empty() {
            path.push('.');
        }
        path.push_str(key.get_ref());
        if covers(key.span()) || descend_value(value, span, path) || covers(value.span()) {
            return true;
        }
        path.truncate(before);
    }
    false
}

fn descend_value(value: &Spanned<DeValue<'_>>, span: &Range<usize>, path: &mut String) -> bool {
    match value.get_ref() {
        DeValue::Table(table) => descend(table, span, path),
        DeValue::Array(array) => {
            for (i, item) in array.iter().enumerate() {
                let before = path.len();
                path.push_str(&format!("[{i}]"));
                let inside = item.span().start <= span.start && span.end <= item.span().end;
                if descend_value(item, span, path) || inside {
                    return true;
                }
                path.truncate(before);
            }
            false
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "a = 1\n[t]\n\"µ\" = [\"x\", \"y\"]\n[[l]]\nk = 1\n[[l]]\nk = 22\n";

    #[test]
    fn keys_have_places() {
        let source = Source { file: None, text: TEXT };
        let at = |path: &[Step<'_>]| source.error_at(path, "x").at;
        assert_eq!(at(&[Step::Key("a")]), Some((1, 5)));
        assert_eq!(at(&[Step::Key("t"), Step::Key("µ"), Step::Index(1)]), Some((3, 13)));
        assert_eq!(at(&[Step::Key("l"), Step::Index(1), Step::Key("k")]), Some((7, 5)));
        assert_eq!(at(&[Step::Key("nothing")]), None);
    }

    #[test]
    fn places_have_keys() {
        let source = Source { file: None, text: TEXT };
        let key = |what: &str| {
            let start = TEXT.find(what).unwrap();
            source.key_at(&(start..start + what.len())).unwrap()
        };
        assert_eq!(key("1\n[t"), "");
        assert_eq!(key("22"), "l[1].k");
        assert_eq!(key("\"y\""), "t.µ[1]");
    }

    #[test]
    fn an_error_says_file_line_column_and_key() {
        let error = ConfigError {
            file: Some("/etc/x.toml".into()),
            at: Some((3, 4)),
            key: "limits.outbox".into(),
            text: "too small\n".into(),
        };
        assert_eq!(error.to_string(), "/etc/x.toml:3:4: limits.outbox: too small");
    }
}
