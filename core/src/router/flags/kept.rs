//! What a shell needs to keep flags: dates, counts, origins, and which flags have changed.
//!
//! Owns: the record beside each flag, and the list of those that changed since the shell took
//! note. Does not own where flags are kept, nor when.
//!
//! A flag has one mark, however often it changes, so the list is never longer than the table.
//! One that was lowered keeps its row until the shell has taken note: if that never happens the
//! table fills up and raising is refused, but nothing is forgotten. Flags of the node itself
//! are in memory only and never marked; some rows are kept free for them.

use super::{FlagError, Flags, NONE, Raise, Raised, RaisedFlag};
use crate::limits::{MAX_FLAG_FUNCTION, MAX_FLAG_SOURCE};
use crate::name;
use crate::time::Instant;
use heapless::String;

/// Rows that only the node itself may use, in a table of at least twice as many.
pub const OWN_ROWS: usize = 8;

/// What is kept of a flag beyond what it says.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    /// The source file that raises it; at most [`MAX_FLAG_SOURCE`] bytes, empty: not said.
    pub source_file: &'a str,
    /// The function; at most [`MAX_FLAG_FUNCTION`] bytes, empty: not said.
    pub function: &'a str,
    /// The line; 0: not said.
    pub line: u32,
    /// When it went up, in milliseconds since 1970.
    pub first_ms: u64,
    /// When it was raised last.
    pub last_ms: u64,
    /// How often it was raised; 0 counts as once.
    pub times: u32,
}

/// Whether the shell has to take note of a flag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mark {
    None,
    /// It was raised again as it was.
    Again,
    /// It says something else, or is up or down now.
    Changed,
}

/// The part of a row that only nodes with files have.
#[derive(Debug, Clone)]
pub struct Kept {
    source_file: String<MAX_FLAG_SOURCE, u8>,
    function: String<MAX_FLAG_FUNCTION, u8>,
    line: u32,
    first_ms: u64,
    last_ms: u64,
    times: u32,
    mark: Mark,
    /// It is the node's own.
    own: bool,
    /// Of the list of marked rows.
    next: u16,
}

impl Kept {
    pub(super) fn of(record: &Record<'_>) -> Result<Kept, FlagError> {
        let (Ok(source_file), Ok(function)) = (String::try_from(record.source_file), String::try_from(record.function))
        else {
            return Err(FlagError::BadOrigin);
        };
        if !name::no_controls(record.source_file) || !name::no_controls(record.function) {
            return Err(FlagError::BadOrigin);
        }
        Ok(Kept {
            source_file,
            function,
            line: record.line,
            first_ms: record.first_ms,
            last_ms: record.last_ms,
            times: record.times.max(1),
            mark: Mark::None,
            own: false,
            next: NONE,
        })
    }

    /// Its place in the list is that of the row's former content.
    pub(super) fn follow(&mut self, before: &Kept) {
        (self.mark, self.next) = (before.mark, before.next);
    }

    /// The flag was up already.
    pub(super) fn again(&mut self, before: &Kept) {
        self.follow(before);
        self.own = before.own;
        self.first_ms = before.first_ms;
        self.times = before.times.saturating_add(1);
    }

    pub(super) fn is_marked(&self) -> bool {
        self.mark != Mark::None
    }
}

/// The list of marked rows, and what the table needs to know of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Keeping {
    on: bool,
    /// What is raised now is the node's own.
    own: bool,
    /// What is raised now comes from where flags are kept.
    found: bool,
    /// Rows that are down and marked.
    pub(super) leaving: u16,
    /// Rows that are up and the node's own.
    owned: u16,
    first: u16,
    last: u16,
}

impl Keeping {
    pub(super) const NONE: Keeping =
        Keeping { on: false, own: false, found: false, leaving: 0, owned: 0, first: NONE, last: NONE };
}

/// What was done with a flag that a shell has found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Put {
    /// The table is as what was found.
    Done(Raised),
    /// The flag has changed here meanwhile, and the shell will be told: that is the newer.
    Newer,
    /// It is one of the node's own, which are not kept.
    Own,
}

impl RaisedFlag {
    /// What is kept of it beyond what it says.
    pub fn record(&self) -> Record<'_> {
        let k = &self.kept;
        Record {
            source_file: &k.source_file,
            function: &k.function,
            line: k.line,
            first_ms: k.first_ms,
            last_ms: k.last_ms,
            times: k.times,
        }
    }

    /// Whether it is up. Only of one that has changed this need not be so.
    pub fn is_up(&self) -> bool {
        self.up
    }

    /// Whether it was only raised again, as it was.
    pub fn is_only_again(&self) -> bool {
        self.kept.mark == Mark::Again
    }
}

impl Flags<'_> {
    /// From here on somebody takes note of what changes.
    pub fn keep(&mut self) {
        self.keeping.on = true;
    }

    /// How many more may be raised.
    pub(super) fn room(&self) -> usize {
        let Keeping { on, own, leaving, owned, .. } = self.keeping;
        let free = self.limit - self.len() - leaving as usize;
        if !on || own || self.limit < 2 * OWN_ROWS {
            return free;
        }
        free.saturating_sub(OWN_ROWS.saturating_sub(owned as usize))
    }

    /// Row `at` was raised.
    pub(super) fn note(&mut self, at: usize, what: Raised) {
        let Keeping { on, own, found, .. } = self.keeping;
        if own && !self.rows[at].kept.own {
            self.rows[at].kept.own = true;
            self.keeping.owned += 1;
        }
        if !on || found || self.rows[at].kept.own {
            return;
        }
        self.mark(at, if what == Raised::Again { Mark::Again } else { Mark::Changed });
    }

    /// Row `at` was lowered. Whether it stays until somebody has taken note.
    pub(super) fn stays(&mut self, at: usize) -> bool {
        let Keeping { on, found, .. } = self.keeping;
        if self.rows[at].kept.own {
            self.keeping.owned -= 1;
            return false;
        }
        if !on || found {
            return false;
        }
        self.keeping.leaving += 1;
        self.mark(at, Mark::Changed);
        true
    }

    fn mark(&mut self, at: usize, mark: Mark) {
        let kept = &mut self.rows[at].kept;
        let before = kept.mark;
        if before != Mark::Changed {
            kept.mark = mark;
        }
        if before != Mark::None {
            return;
        }
        kept.next = NONE;
        let at = at as u16;
        match self.rows.get_mut(self.keeping.last as usize) {
            Some(last) => last.kept.next = at,
            None => self.keeping.first = at,
        }
        self.keeping.last = at;
    }

    /// The flag that changed first of those that nobody has taken note of.
    pub fn changed(&self) -> Option<&RaisedFlag> {
        self.rows.get(self.keeping.first as usize)
    }

    /// Note was taken of [`Flags::changed`].
    pub fn taken(&mut self) {
        let first = self.keeping.first;
        let Some(row) = self.rows.get_mut(first as usize) else { return };
        row.kept.mark = Mark::None;
        self.keeping.first = row.kept.next;
        if self.keeping.first == NONE {
            self.keeping.last = NONE;
        }
        if !row.up {
            self.keeping.leaving -= 1;
            let chain = name::hash(row.full_name.as_bytes(), 0) as usize % super::CHAINS;
            self.free(chain, first as usize);
        }
    }

    /// Raises one of the node's own flags, for which there is room of its own. It is never
    /// marked. A flag of this name that somebody else has raised stays as it is.
    pub fn raise_own(&mut self, flag: &Raise<'_>, now: Instant) -> Result<Raised, FlagError> {
        let full_name = super::full_name(flag.unit, flag.section, flag.name)?;
        if self.find(&full_name).1.is_some_and(|at| !self.rows[at].kept.own) {
            return Ok(Raised::Again);
        }
        self.keeping.own = true;
        let raised = self.raise(flag, now).map(|(what, _)| what);
        self.keeping.own = false;
        raised
    }

    /// Whether a flag is up and the node's own.
    pub fn is_own(&self, full_name: &str) -> bool {
        self.get(full_name).is_some_and(|row| row.kept.own)
    }

    /// Brings a flag to what was found where flags are kept, dates and all.
    pub fn put(&mut self, flag: &Raise<'_>, now: Instant) -> Result<Put, FlagError> {
        let full_name = super::full_name(flag.unit, flag.section, flag.name)?;
        if let Some(put) = self.has_better(&full_name) {
            return Ok(put);
        }
        self.keeping.found = true;
        let raised = self.raise(flag, now).map(|(what, _)| what);
        self.keeping.found = false;
        let what = raised?;
        if let (_, Some(at)) = self.find(&full_name) {
            let kept = &mut self.rows[at].kept;
            (kept.first_ms, kept.last_ms) = (flag.record.first_ms, flag.record.last_ms);
            kept.times = flag.record.times.max(1);
        }
        Ok(Put::Done(what))
    }

    /// A flag is not where flags are kept any more: it is lowered, by hand or not.
    pub fn put_down(&mut self, unit: &str, section: &str, flag: &str) -> Result<Put, FlagError> {
        let full_name = super::full_name(unit, section, flag)?;
        if let Some(put) = self.has_better(&full_name) {
            return Ok(put);
        }
        self.keeping.found = true;
        let lowered = self.lower(unit, section, flag, true).map(|_| Put::Done(Raised::Changed));
        self.keeping.found = false;
        lowered
    }

    fn has_better(&self, full_name: &str) -> Option<Put> {
        let kept = &self.rows[self.find(full_name).1?].kept;
        match (kept.own, kept.is_marked()) {
            (true, _) => Some(Put::Own),
            (_, true) => Some(Put::Newer),
            _ => None,
        }
    }

    /// How many rows are down and marked; what is broken, otherwise.
    pub(super) fn check_kept(&self) -> Result<usize, &'static str> {
        let (mut at, mut listed, mut leaving, mut last) = (self.keeping.first, 0, 0, NONE);
        while at != NONE {
            let Some(row) = self.rows.get(at as usize) else { return Err("flags: the marked lead out of the table") };
            if !row.kept.is_marked() || row.kept.own {
                return Err("flags: a flag that nobody has to take note of is listed");
            }
            listed += 1;
            leaving += !row.up as usize;
            if listed > self.rows.len() {
                return Err("flags: the marked run in a circle");
            }
            last = at;
            at = row.kept.next;
        }
        let marked = self.rows.iter().filter(|row| row.kept.is_marked()).count();
        let owned = self.rows.iter().filter(|row| row.up && row.kept.own).count();
        if owned != self.keeping.owned as usize {
            return Err("flags: the count of the node's own is wrong");
        }
        if marked != listed || leaving != self.keeping.leaving as usize || last != self.keeping.last {
            return Err("flags: counts of the marked disagree");
        }
        Ok(leaving)
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use heapless::Vec;

    type Told = (std::string::String, bool, u32, u64, u64);

    const NOW: Instant = Instant::from_millis(5);

    fn flag(name: &str, at: u64) -> Raise<'_> {
        Raise {
            unit: "u",
            section: "s",
            name,
            description: "d",
            priority: 5,
            tags: "",
            manual_down: false,
            station: 7,
            record: Record { first_ms: at, last_ms: at, line: 3, source_file: "a.c", function: "f", times: 0 },
        }
    }

    fn drain(f: &mut Flags<'_>) -> std::vec::Vec<Told> {
        let mut all = std::vec::Vec::new();
        while let Some(row) = f.changed() {
            let r = row.record();
            all.push((row.full_name().into(), row.is_up(), r.times, r.first_ms, r.last_ms));
            f.taken();
            f.check().unwrap();
        }
        all
    }

    #[test]
    fn each_change_is_told_once_and_none_is_lost() {
        let mut rows: Vec<RaisedFlag, 4> = Vec::new();
        let mut f = Flags::new(&mut rows, 4);
        f.keep();
        f.raise(&flag("a", 10), NOW).unwrap();
        f.raise(&flag("b", 11), NOW).unwrap();
        f.raise(&flag("a", 12), NOW).unwrap();
        f.check().unwrap();
        assert_eq!(drain(&mut f), [("u/s/a".into(), true, 2, 10, 12), ("u/s/b".into(), true, 1, 11, 11)]);
        f.raise(&flag("a", 13), NOW).unwrap();
        assert!(f.changed().unwrap().is_only_again());
        f.raise(&Raise { priority: 6, ..flag("a", 14) }, NOW).unwrap();
        assert!(!f.changed().unwrap().is_only_again(), "what is more than a repetition stays more");
        f.lower("u", "s", "a", false).unwrap();
        f.check().unwrap();
        assert_eq!(f.len(), 1);
        assert!(f.get("u/s/a").is_none());
        assert_eq!(f.lower("u", "s", "a", false).err(), Some(FlagError::NotRaised));
        assert_eq!(drain(&mut f).len(), 1);
        // down and up again before anybody looked: a new life, with new dates
        f.lower("u", "s", "b", false).unwrap();
        assert_eq!(f.raise(&flag("b", 20), NOW).unwrap().0, Raised::New);
        f.check().unwrap();
        assert_eq!(drain(&mut f), [("u/s/b".into(), true, 1, 20, 20)]);
        assert_eq!(f.len(), 1);
    }

    #[test]
    fn lowered_flags_stay_until_note_is_taken_d12() {
        let mut rows: Vec<RaisedFlag, 2> = Vec::new();
        let mut f = Flags::new(&mut rows, 2);
        f.keep();
        f.raise(&flag("a", 1), NOW).unwrap();
        f.raise(&flag("b", 1), NOW).unwrap();
        f.lower("u", "s", "a", false).unwrap();
        assert_eq!(f.raise(&flag("c", 1), NOW).err(), Some(FlagError::Full));
        f.raise(&flag("a", 2), NOW).unwrap();
        f.lower("u", "s", "a", false).unwrap();
        assert_eq!(drain(&mut f), [("u/s/a".into(), false, 1, 2, 2), ("u/s/b".into(), true, 1, 1, 1)]);
        f.raise(&flag("c", 1), NOW).unwrap();
        assert_eq!(f.len(), 2);
        f.check().unwrap();
    }

    #[test]
    fn without_a_keeper_nothing_is_marked() {
        let mut rows: Vec<RaisedFlag, 2> = Vec::new();
        let mut f = Flags::new(&mut rows, 2);
        f.raise(&flag("a", 1), NOW).unwrap();
        assert!(f.changed().is_none());
        f.lower("u", "s", "a", false).unwrap();
        f.check().unwrap();
        assert!(f.changed().is_none() && f.is_empty());
    }

    #[test]
    fn what_was_found_counts_unless_there_is_something_newer() {
        let mut rows: Vec<RaisedFlag, 4> = Vec::new();
        let mut f = Flags::new(&mut rows, 4);
        f.keep();
        let mut old = flag("a", 1);
        (old.record.times, old.record.last_ms) = (9, 4);
        assert_eq!(f.put(&old, NOW), Ok(Put::Done(Raised::New)));
        assert!(f.changed().is_none(), "what comes from there does not go back");
        let r = f.get("u/s/a").unwrap().record();
        assert_eq!((r.times, r.first_ms, r.last_ms, r.line, r.source_file), (9, 1, 4, 3, "a.c"));
        assert_eq!(f.put(&old, NOW), Ok(Put::Done(Raised::Again)));
        f.raise(&flag("a", 5), NOW).unwrap();
        let r = f.get("u/s/a").unwrap().record();
        assert_eq!((r.times, r.first_ms, r.last_ms), (10, 1, 5));
        assert_eq!(f.put(&old, NOW), Ok(Put::Newer));
        assert_eq!(f.put_down("u", "s", "a"), Ok(Put::Newer));
        assert_eq!(drain(&mut f).len(), 1);
        assert_eq!(f.put_down("u", "s", "a"), Ok(Put::Done(Raised::Changed)));
        assert!(f.changed().is_none() && f.is_empty());
        assert_eq!(f.put_down("u", "s", "a"), Err(FlagError::NotRaised));
        let manual = Raise { manual_down: true, ..flag("m", 1) };
        f.put(&manual, NOW).unwrap();
        assert_eq!(f.put_down("u", "s", "m"), Ok(Put::Done(Raised::Changed)), "who removes a file is a person");
        f.check().unwrap();
    }

    #[test]
    fn the_nodes_own_flags_have_room_and_are_never_marked() {
        let mut rows: Vec<RaisedFlag, 16> = Vec::new();
        let mut f = Flags::new(&mut rows, 16);
        f.keep();
        for name in ["a", "b", "c", "d", "e", "f", "g", "h"] {
            f.raise(&flag(name, 1), NOW).unwrap();
        }
        assert_eq!(f.raise(&flag("i", 1), NOW).err(), Some(FlagError::Full));
        assert_eq!(f.put(&flag("i", 1), NOW).err(), Some(FlagError::Full));
        assert_eq!(f.raise_own(&flag("own", 1), NOW), Ok(Raised::New));
        f.lower("u", "s", "a", false).unwrap();
        assert_eq!(f.raise(&flag("a", 1), NOW).unwrap().0, Raised::New, "room for own flags is not others'");
        assert_eq!(drain(&mut f).len(), 8);
        // whoever raises it again does not make it one that is kept
        f.raise(&Raise { description: "x", ..flag("own", 1) }, NOW).unwrap();
        assert!(f.is_own("u/s/own") && f.changed().is_none());
        assert_eq!(f.put(&flag("own", 1), NOW), Ok(Put::Own));
        assert_eq!(f.raise_own(&flag("a", 1), NOW), Ok(Raised::Again), "that is somebody else's");
        assert!(!f.is_own("u/s/a"));
        f.lower("u", "s", "own", false).unwrap();
        assert!(f.changed().is_none());
        f.check().unwrap();
    }

    #[test]
    fn origins_that_do_not_fit_are_refused() {
        let mut rows: Vec<RaisedFlag, 2> = Vec::new();
        let mut f = Flags::new(&mut rows, 2);
        let long = core::str::from_utf8(&[b'x'; 129]).unwrap();
        for record in [
            Record { source_file: long, ..Record::default() },
            Record { function: &long[..65], ..Record::default() },
            Record {
                function: "a
b",
                ..Record::default()
            },
        ] {
            assert_eq!(f.raise(&Raise { record, ..flag("a", 1) }, NOW).err(), Some(FlagError::BadOrigin));
        }
        assert!(f.is_empty());
    }
}
