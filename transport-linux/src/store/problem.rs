//! What is wrong with a file of values: what, where, and what to do.

use std::fmt;
use std::path::{Path, PathBuf};

/// Why a file of values cannot be used. Nothing in it was changed.
#[derive(Debug)]
pub struct FileError {
    /// Which file.
    pub file: PathBuf,
    /// What is wrong.
    pub problem: Problem,
}

/// What is wrong with a file of values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// The operating system says so.
    Io(String),
    /// Somebody else has it open.
    InUse,
    /// It is no database, or a part of it is broken.
    Damaged(String),
    /// It is of this version of the form, which we do not know.
    Newer(u64),
    /// What is in it is more than the configuration allows.
    TooMuch {
        /// The key that is too small.
        key: &'static str,
        /// What it is too small for.
        text: String,
    },
}

impl Problem {
    pub(super) fn of(self, file: &Path) -> FileError {
        FileError { file: file.to_owned(), problem: self }
    }
}

impl From<std::io::Error> for Problem {
    fn from(e: std::io::Error) -> Self {
        Problem::Io(e.to_string())
    }
}

impl From<redb::Error> for Problem {
    fn from(e: redb::Error) -> Self {
        match e {
            redb::Error::Io(e) if e.kind() == std::io::ErrorKind::InvalidData => Problem::Damaged(e.to_string()),
            // beyond the end of a file that was cut
            redb::Error::Io(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => Problem::Damaged(e.to_string()),
            redb::Error::Io(e) => Problem::Io(e.to_string()),
            redb::Error::Corrupted(text) => Problem::Damaged(text),
            redb::Error::UpgradeRequired(version) => {
                Problem::Damaged(format!("it is a database of the old form {version}"))
            }
            e @ (redb::Error::TableTypeMismatch { .. } | redb::Error::TableDoesNotExist(_)) => {
                Problem::Damaged(format!("it is a database, but not one of values: {e}"))
            }
            e => Problem::Io(e.to_string()),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Problem::Io(text) => f.write_str(text),
            Problem::InUse => f.write_str("somebody else has it open"),
            Problem::Damaged(text) => write!(f, "it is damaged: {text}"),
            Problem::Newer(version) => write!(f, "it has the form {version}"),
            Problem::TooMuch { text, .. } => f.write_str(text),
        }
    }
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = self.file.display();
        write!(f, "the file of values {file}: {}. ", self.problem)?;
        match &self.problem {
            Problem::Io(_) => f.write_str("Its folder must exist, and both must be writable for who runs this"),
            Problem::InUse => f.write_str("One file is for one daemon: stop that one, or name another file"),
            Problem::Damaged(_) => write!(
                f,
                "Nothing in it was changed. `chappe store repair {file}` saves what can be read and sets the damaged \
                 file aside; `chappe store export {file}` only shows it. To begin without values, move the file away"
            ),
            Problem::Newer(_) => f.write_str("Only a newer version of chappe can read that"),
            Problem::TooMuch { key, .. } => write!(f, "Raise {key}"),
        }
    }
}

impl std::error::Error for FileError {}
