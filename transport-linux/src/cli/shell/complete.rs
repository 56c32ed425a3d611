//! What the tabulator offers: commands of the shell, commands, services and parameters.
//!
//! Owns: what could stand where the cursor is. Commands and their parameters are those of the page
//! (`chappe_core::dialect::communicator`), and those that were seen.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use chappe_core::dialect::communicator::command::Command;
use chappe_core::dialect::communicator::schema;
use chappe_linux::communicator::Message;
use rustyline::completion::{Completer, Pair};
use rustyline::{Context, Helper};

use super::talk::WORDS;

/// Names that are remembered, of each kind.
const MOST: usize = 1000;

/// Names that were seen.
#[derive(Debug, Default)]
pub(super) struct Known {
    services: BTreeSet<String>,
    commands: BTreeSet<String>,
}

impl Known {
    pub(super) fn service(&mut self, name: &str) {
        if self.services.len() < MOST && chappe_core::dialect::communicator::name::is_name(name.as_bytes()) {
            self.services.insert(name.to_owned());
        }
    }

    pub(super) fn command(&mut self, name: &str) {
        if self.commands.len() < MOST && chappe_core::dialect::communicator::name::is_command(name.as_bytes()) {
            self.commands.insert(name.to_owned());
        }
    }

    /// What a message tells.
    pub(super) fn message(&mut self, m: &Message) {
        self.service(&m.from_service);
        self.command(&m.command);
        match m.command.as_str() {
            "SERVICES" => m.text("list").unwrap_or_default().split(',').for_each(|name| self.service(name)),
            "STATUS" => self.service(&m.text("service").unwrap_or_default()),
            _ => {}
        }
    }

    /// What could stand at the end of this line: where it begins, and all of it.
    pub(super) fn offers(&self, line: &str) -> (usize, Vec<String>) {
        if line.starts_with('/') {
            let words = WORDS.iter().map(|(word, ..)| (*word).to_owned());
            return (0, words.filter(|word| word.starts_with(line)).collect());
        }
        let Some((head, params)) = line.split_once(' ') else {
            let from = line.rfind(['/', ':']).map_or(0, |at| at + 1);
            let typed = &line[from..];
            let commands = Command::ALL.iter().map(|c| c.name()).chain(self.commands.iter().map(String::as_str));
            let mut all: BTreeSet<_> = commands.filter(|name| name.starts_with(typed)).map(str::to_owned).collect();
            // behind a slash there is no service any more
            if !line.contains('/') {
                all.extend(self.services.iter().filter(|name| name.starts_with(typed)).map(|name| format!("{name}/")));
            }
            return (from, all.into_iter().collect());
        };
        let command = head.rsplit('/').next().unwrap_or_default();
        let from = params.rfind(';').map_or(0, |at| at + 1);
        let typed = &params[from..];
        let rules = Command::of(command.as_bytes()).map_or(&[][..], schema::of);
        let has = |key: &str| params[..from].split(';').any(|param| param.split('=').next() == Some(key));
        let keys = rules.iter().map(|rule| rule.key).chain(["cache", "transmission_report"]);
        let fit = keys.filter(|key| key.starts_with(typed) && !has(key));
        (head.len() + 1 + from, fit.map(|key| format!("{key}=")).collect())
    }
}

/// For the editor.
pub(super) struct Completion(pub(super) Arc<Mutex<Known>>);

impl Completer for Completion {
    type Candidate = Pair;

    fn complete(&self, line: &str, at: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<Pair>)> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (from, all) = known.offers(line.get(..at).unwrap_or_default());
        Ok((from, all.into_iter().map(|word| Pair { display: word.clone(), replacement: word }).collect()))
    }
}

impl rustyline::hint::Hinter for Completion {
    type Hint = String;
}
impl rustyline::highlight::Highlighter for Completion {}
impl rustyline::validate::Validator for Completion {}
impl Helper for Completion {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fits_is_offered() {
        let mut known = Known::default();
        known.message(&"<hostA:bar foo/FROB".parse().unwrap());
        known.message(&"<hostA:communicatord SERVICES count=2;list=bar,baz,a\x1bb".parse().unwrap());
        let offers = |line: &str| known.offers(line);
        assert_eq!(offers("/dis"), (0, vec!["/disconnect".to_owned()]));
        assert_eq!(offers("ba"), (0, vec!["bar/".to_owned(), "baz/".to_owned()]));
        assert_eq!(offers("hostA:bar"), (6, vec!["bar/".to_owned()]));
        assert_eq!(offers("bar/FR"), (4, vec!["FROB".to_owned()]));
        assert_eq!(offers("REG").1, ["REGISTER", "REGISTER_FOR_LOADAVG"]);
        assert_eq!(offers("communicatord/REGISTER service=a;v"), (33, vec!["version=".to_owned()]));
        assert_eq!(offers("REGISTER ").1, ["service=", "version=", "password=", "cache=", "transmission_report="]);
        assert_eq!(offers("REGISTER service=a;s").1, Vec::<String>::new());
        assert_eq!(offers("FROB ca").1, ["cache="]);
    }
}
