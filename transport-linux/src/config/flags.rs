//! Flags in files: where, and whose they are.
//!
//! Owns: that section of the configuration. Does not own what the files are (`crate::flags`).

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Step::Key;
use super::check::At;
use super::{AbsolutePath, Config, ConfigError};

/// Flags in files.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Flags {
    /// The folder.
    pub dir: FlagsDir,
    /// Whom files are given to (a name or a number); empty: they belong to who runs the daemon.
    pub user: String,
    /// The group files are given to; empty: that of the daemon.
    pub group: String,
    /// Both as numbers: looked up once, when the configuration is read.
    #[serde(skip)]
    pub owner_id: Option<u32>,
    /// As `owner_id`.
    #[serde(skip)]
    pub group_id: Option<u32>,
}

/// Where flags are kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum FlagsDir {
    /// Beside the file of values, if there is one; otherwise nowhere.
    #[default]
    Auto,
    /// In memory only.
    None,
    /// There.
    At(AbsolutePath),
}

impl fmt::Display for FlagsDir {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FlagsDir::Auto => f.write_str("auto"),
            FlagsDir::None => f.write_str("none"),
            FlagsDir::At(path) => path.fmt(f),
        }
    }
}

impl FromStr for FlagsDir {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(FlagsDir::Auto),
            "none" => Ok(FlagsDir::None),
            path => path
                .parse()
                .map(FlagsDir::At)
                .map_err(|_| format!("`{path}` is neither an absolute path nor \"auto\" nor \"none\"")),
        }
    }
}

impl Serialize for FlagsDir {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for FlagsDir {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
    }
}

impl Config {
    /// The folder of flags; `None`: they are in memory only.
    pub fn flags_folder(&self) -> Option<PathBuf> {
        match &self.flags.dir {
            FlagsDir::None => None,
            FlagsDir::At(path) => Some(path.as_path().to_owned()),
            FlagsDir::Auto => Some(self.store.path.as_ref()?.as_path().parent()?.join("flags")),
        }
    }

    pub(super) fn check_flags(&self, at: At<'_>) -> Result<(), ConfigError> {
        let Flags { user, group, .. } = &self.flags;
        for (key, said) in [("user", user), ("group", group)] {
            if !said.is_empty() && self.flags_folder().is_none() {
                let text = "flags are in memory only: name a folder with flags.dir, or take this away";
                return Err(at(&[Key("flags"), Key(key)], text.into()));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse;

    #[test]
    fn the_folder_is_where_it_is_said_or_beside_the_values() {
        for (text, folder) in [
            ("", None),
            ("[store]\npath = '/v/x.redb'", Some("/v/flags")),
            ("[store]\npath = '/v/x.redb'\n[flags]\ndir = 'none'", None),
            ("[store]\npath = '/v/x.redb'\n[flags]\ndir = '/f'", Some("/f")),
            ("[flags]\ndir = '/f/g'\nuser = 'root'\ngroup = '7'", Some("/f/g")),
        ] {
            let config = parse(text).unwrap();
            assert_eq!(config.flags_folder(), folder.map(PathBuf::from), "{text}");
            assert_eq!(parse(&config.print()).unwrap(), config);
        }
        let config = parse("[flags]\ndir = '/f'\nuser = 'root'\ngroup = '7'").unwrap();
        assert_eq!((config.flags.owner_id, config.flags.group_id), (Some(0), Some(7)));
    }

    #[test]
    fn what_has_no_effect_or_no_meaning_is_refused() {
        for (text, at, key, hint) in [
            ("[flags]\ndir = 'f'", (2, 7), "flags.dir", "absolute"),
            ("[flags]\nuser = 'root'", (2, 8), "flags.user", "flags.dir"),
            ("[flags]\ndir = 'none'\ngroup = 'root'", (3, 9), "flags.group", "flags.dir"),
            ("[flags]\ndir = '/f'\nuser = 'no-such-user-here'", (3, 8), "flags.user", "no system user"),
            ("[flags]\npath = '/f'", (2, 1), "flags.path", "unknown field"),
        ] {
            let error = parse(text).expect_err(text);
            assert_eq!((error.at, error.key.as_str()), (Some(at), key), "{error}");
            assert!(error.text.contains(hint), "{error}");
        }
    }
}
