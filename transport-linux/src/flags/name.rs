//! What flags are called, on the bus and in files.
//!
//! Owns: both rules for names, and the name of a flag's file. On the bus each part of a name is 1
//! to 32 letters, digits, `_` or `-`. The tools of the Communicator know fewer: small letters and
//! digits with single `-` between them, a letter first. Because one file with another name makes
//! them show no flag at all, flags with such names are in files that they do not look at.

use std::fmt;

use chappe_core::name::is_flag_part;

/// How files end that the Communicator's tools look at.
pub(super) const ENDING: &str = ".flag";

/// How files end that only this program looks at.
pub(super) const OWN_ENDING: &str = ".busflag";

/// Longest name of a file that most file systems have, less what is put behind it for a while.
const MAX_FILE_NAME: usize = 255 - ".bak".len() - ".tmp".len();

/// What a flag is called: unit, section and name together.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FlagName {
    unit: String,
    section: String,
    name: String,
}

/// The rules, for people.
pub const RULE: &str = "write UNIT/SECTION/NAME, each 1 to 32 letters, digits, `_` or `-`";

impl FlagName {
    /// From its parts; `None`: they are not what parts may be, on the bus or in the Communicator's
    /// files.
    pub fn new(unit: &str, section: &str, name: &str) -> Option<FlagName> {
        let flag = FlagName { unit: unit.into(), section: section.into(), name: name.into() };
        ((flag.is_usual() || flag.is_on_bus()) && flag.file_name().len() <= MAX_FILE_NAME).then_some(flag)
    }

    /// From `unit/section/name`.
    pub fn parse(text: &str) -> Option<FlagName> {
        let parts: Vec<_> = text.split('/').collect();
        match parts[..] {
            [unit, section, name] => FlagName::new(unit, section, name),
            _ => None,
        }
    }

    /// What kind of thing complains.
    pub fn unit(&self) -> &str {
        &self.unit
    }

    /// Which one of them.
    pub fn section(&self) -> &str {
        &self.section
    }

    /// What about.
    pub fn name(&self) -> &str {
        &self.name
    }

    fn parts(&self) -> [&str; 3] {
        [&self.unit, &self.section, &self.name]
    }

    /// Whether a flag on the bus may be called like this.
    pub fn is_on_bus(&self) -> bool {
        self.parts().into_iter().all(is_flag_part)
    }

    /// Whether the Communicator's tools know such a name.
    pub fn is_usual(&self) -> bool {
        self.parts().into_iter().all(is_usual_part)
    }

    /// The name of its file.
    pub fn file_name(&self) -> String {
        let [unit, section, name] = self.parts();
        if self.is_usual() {
            format!("{unit}_{section}_{name}{ENDING}")
        } else {
            // parts may have a `_` here, but no dot: no two flags have the same file
            format!("{unit}.{section}.{name}{OWN_ENDING}")
        }
    }
}

impl fmt::Display for FlagName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.unit, self.section, self.name)
    }
}

/// `[a-z][a-z0-9]*(-[a-z0-9]+)*`
fn is_usual_part(part: &str) -> bool {
    let is_good = |word: &str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    part.starts_with(|c: char| c.is_ascii_lowercase()) && part.split('-').all(is_good)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_communicators_names_and_others_have_files_of_different_kinds() {
        for (name, file) in [
            ("a/b/c", "a_b_c.flag"),
            ("communicatord/neighbors/file-write", "communicatord_neighbors_file-write.flag"),
            ("a1/b2-3/c", "a1_b2-3_c.flag"),
            ("A/b/c", "A.b.c.busflag"),
            ("a_b/c/d", "a_b.c.d.busflag"),
            ("a/b_c/d", "a.b_c.d.busflag"),
            ("1a/b/c", "1a.b.c.busflag"),
            ("a--b/c/d", "a--b.c.d.busflag"),
            ("a-/c/d", "a-.c.d.busflag"),
            ("-/_/d", "-._.d.busflag"),
        ] {
            let flag = FlagName::parse(name).unwrap();
            assert_eq!((flag.file_name().as_str(), flag.to_string().as_str()), (file, name));
        }
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for bad in ["", "a", "a/b", "a/b/", "/b/c", "a/b/c/d", "a/b/c.d", "a/b/c d", "a/b/\u{e9}", "a/../b"] {
            assert_eq!(FlagName::parse(bad), None, "{bad}");
        }
        let long = "x".repeat(33);
        assert!(!FlagName::new(&long, "b", "c").unwrap().is_on_bus(), "the Communicator has longer ones");
        assert_eq!(FlagName::new(&long.to_uppercase(), "b", "c"), None);
        assert_eq!(FlagName::new(&"x".repeat(250), "b", "c"), None, "no file can be called so");
    }
}
