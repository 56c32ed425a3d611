//! Raised flags: alarms that stay up until they are lowered.
//!
//! Owns: which flags are up, their texts, times and who raised them; what a valid flag is.
//! Does not own who may raise one (`grant.rs`) nor who is told (`presence.rs`): each
//! operation returns what changed.
//!
//! A flag is known by unit, section and name together. Rows never move, so a listing by
//! cursor shows each flag that is up during the whole listing exactly once.
//!
//! Where a shell keeps flags (feature `kept-flags`) each also has dates, a count and who said so
//! in which program, and a mark if it has changed since the shell took note: see `kept.rs`.

#[cfg(feature = "kept-flags")]
pub mod kept;

use crate::limits::{MAX_FLAG_PART, MAX_FLAG_PRIORITY, MAX_FLAG_TAGS, MAX_FLAG_TEXT};
use crate::name;
use crate::time::Instant;
use heapless::String;
use heapless::vec::VecView;

/// Longest `unit/section/name`.
pub const MAX_FLAG_NAME: usize = 3 * MAX_FLAG_PART + 2;

const CHAINS: usize = 32;
const NONE: u16 = u16::MAX;

/// What someone asks to be raised.
#[derive(Debug, Clone, Copy)]
pub struct Raise<'a> {
    /// What kind of thing complains: 1 to 32 letters, digits, `_`, `-`; as the next two.
    pub unit: &'a str,
    /// Which one of them.
    pub section: &'a str,
    /// What about.
    pub name: &'a str,
    /// For people, at most [`MAX_FLAG_TEXT`] bytes.
    pub description: &'a str,
    /// 0 to [`MAX_FLAG_PRIORITY`].
    pub priority: u32,
    /// Separated by commas, at most [`MAX_FLAG_TAGS`] bytes.
    pub tags: &'a str,
    /// Only a person lowers it.
    pub manual_down: bool,
    /// Who raises it.
    pub station: u64,
    /// What else is kept of it.
    #[cfg(feature = "kept-flags")]
    pub record: kept::Record<'a>,
}

/// A flag that is up.
#[derive(Debug, Clone)]
pub struct RaisedFlag {
    full_name: String<MAX_FLAG_NAME, u8>,
    description: String<MAX_FLAG_TEXT, u8>,
    tags: String<MAX_FLAG_TAGS, u8>,
    priority: u8,
    manual_down: bool,
    up: bool,
    /// Of the same chain; of the free list if it is not up.
    next: u16,
    station: u64,
    raised: Instant,
    last: Instant,
    #[cfg(feature = "kept-flags")]
    kept: kept::Kept,
}

impl RaisedFlag {
    /// `unit/section/name`.
    pub fn full_name(&self) -> &str {
        &self.full_name
    }
    /// For people.
    pub fn description(&self) -> &str {
        &self.description
    }
    /// Separated by commas.
    pub fn tags(&self) -> &str {
        &self.tags
    }
    /// 0 to [`MAX_FLAG_PRIORITY`].
    pub fn priority(&self) -> u32 {
        self.priority as u32
    }
    /// Only a person lowers it.
    pub fn manual_down(&self) -> bool {
        self.manual_down
    }
    /// Who raised it last.
    pub fn station(&self) -> u64 {
        self.station
    }
    /// When it went up.
    pub fn raised(&self) -> Instant {
        self.raised
    }
    /// When it was raised last; it may be raised again while it is up.
    pub fn last(&self) -> Instant {
        self.last
    }
}

/// What raising a flag did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Raised {
    /// It was down.
    New,
    /// It was up; description, priority, tags or manual-down are others now.
    Changed,
    /// It was up just like this: only its last time and station are new. Nobody need be told.
    Again,
}

/// Why a flag was not raised or lowered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum FlagError {
    /// Unit, section or name is not 1 to 32 letters, digits, `_` or `-`.
    BadName,
    /// The description is longer than [`MAX_FLAG_TEXT`].
    LongDescription,
    /// The tags are longer than [`MAX_FLAG_TAGS`].
    LongTags,
    /// Control characters in the description or the tags.
    BadText,
    /// A priority above [`MAX_FLAG_PRIORITY`].
    BadPriority,
    /// The source file or the function is too long, or has control characters.
    #[cfg(feature = "kept-flags")]
    BadOrigin,
    /// As many flags are up as there may be.
    Full,
    /// It is not up.
    NotRaised,
    /// It is lowered by a person only.
    ByHandOnly,
}

impl FlagError {
    /// For people: what, and what to do.
    pub const fn text(self) -> &'static str {
        match self {
            FlagError::BadName => "unit, section and name of a flag are 1 to 32 letters, digits, _ or - each",
            FlagError::LongDescription => "a flag's description has at most 128 bytes",
            FlagError::LongTags => "a flag's tags have at most 64 bytes together",
            FlagError::BadText => "description and tags of a flag are free of control characters",
            FlagError::BadPriority => "a flag's priority is 0 to 100",
            #[cfg(feature = "kept-flags")]
            FlagError::BadOrigin => {
                "a flag's source file has at most 128 bytes, its function at most 64, without control characters"
            }
            FlagError::Full => "the node's table of flags is full: lower one, or ask for more room",
            FlagError::NotRaised => "that flag is not raised",
            FlagError::ByHandOnly => "that flag is lowered by a person only: lower it by hand",
        }
    }
}

/// The table of raised flags.
#[derive(Debug)]
pub struct Flags<'s> {
    rows: &'s mut VecView<RaisedFlag>,
    limit: usize,
    chains: [u16; CHAINS],
    free: u16,
    up: u16,
    #[cfg(feature = "kept-flags")]
    keeping: kept::Keeping,
}

impl<'s> Flags<'s> {
    /// At most `limit` flags, and not more than `rows` has room for, nor 65,534. What is in
    /// `rows` is forgotten.
    pub fn new(rows: &'s mut VecView<RaisedFlag>, limit: usize) -> Self {
        rows.clear();
        let limit = limit.min(rows.capacity()).min(NONE as usize - 1);
        Flags {
            rows,
            limit,
            chains: [NONE; CHAINS],
            free: NONE,
            up: 0,
            #[cfg(feature = "kept-flags")]
            keeping: kept::Keeping::NONE,
        }
    }

    /// How many flags are up.
    pub fn len(&self) -> usize {
        self.up as usize
    }

    /// Whether no flag is up.
    pub fn is_empty(&self) -> bool {
        self.up == 0
    }

    /// How many may be up.
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// Raises a flag, or brings one that is up to what is said now. Nothing is cut short:
    /// what does not fit is refused.
    pub fn raise(&mut self, flag: &Raise<'_>, now: Instant) -> Result<(Raised, &RaisedFlag), FlagError> {
        let full_name = full_name(flag.unit, flag.section, flag.name)?;
        let Ok(description) = String::try_from(flag.description) else {
            return Err(FlagError::LongDescription);
        };
        let Ok(tags) = String::try_from(flag.tags) else {
            return Err(FlagError::LongTags);
        };
        if !name::no_controls(flag.description) || !name::no_controls(flag.tags) {
            return Err(FlagError::BadText);
        }
        if flag.priority > MAX_FLAG_PRIORITY {
            return Err(FlagError::BadPriority);
        }
        #[cfg(feature = "kept-flags")]
        let kept = kept::Kept::of(&flag.record)?;
        let (chain, found) = self.find(&full_name);
        let mut row = RaisedFlag {
            full_name,
            description,
            tags,
            priority: flag.priority as u8,
            manual_down: flag.manual_down,
            up: true,
            next: self.chains[chain],
            station: flag.station,
            raised: now,
            last: now,
            #[cfg(feature = "kept-flags")]
            kept,
        };
        let (what, at) = match found {
            #[cfg(feature = "kept-flags")]
            Some(at) if !self.rows[at].up => {
                // nobody has taken note yet that it was lowered
                row.next = self.rows[at].next;
                row.kept.follow(&self.rows[at].kept);
                self.rows[at] = row;
                self.keeping.leaving -= 1;
                self.up += 1;
                (Raised::New, at)
            }
            Some(at) => {
                let old = &self.rows[at];
                let same = old.description == row.description
                    && old.tags == row.tags
                    && old.priority == row.priority
                    && old.manual_down == row.manual_down;
                row.next = old.next;
                row.raised = old.raised;
                #[cfg(feature = "kept-flags")]
                row.kept.again(&old.kept);
                self.rows[at] = row;
                (if same { Raised::Again } else { Raised::Changed }, at)
            }
            None => {
                #[cfg(feature = "kept-flags")]
                if self.room() == 0 {
                    return Err(FlagError::Full);
                }
                let at = if self.free != NONE {
                    let at = self.free as usize;
                    self.free = self.rows[at].next;
                    self.rows[at] = row;
                    at
                } else if self.rows.len() < self.limit {
                    self.rows.push(row).map_err(|_| FlagError::Full)?;
                    self.rows.len() - 1
                } else {
                    return Err(FlagError::Full);
                };
                self.chains[chain] = at as u16;
                self.up += 1;
                (Raised::New, at)
            }
        };
        #[cfg(feature = "kept-flags")]
        self.note(at, what);
        Ok((what, &self.rows[at]))
    }

    /// Lowers a flag; returned is what it was. `by_hand`: a person says so.
    pub fn lower(&mut self, unit: &str, section: &str, name: &str, by_hand: bool) -> Result<&RaisedFlag, FlagError> {
        let full_name = full_name(unit, section, name)?;
        let (chain, Some(at)) = self.find(&full_name) else {
            return Err(FlagError::NotRaised);
        };
        #[cfg(feature = "kept-flags")]
        if !self.rows[at].up {
            return Err(FlagError::NotRaised);
        }
        if self.rows[at].manual_down && !by_hand {
            return Err(FlagError::ByHandOnly);
        }
        self.up -= 1;
        self.rows[at].up = false;
        #[cfg(feature = "kept-flags")]
        if self.stays(at) {
            return Ok(&self.rows[at]);
        }
        self.free(chain, at);
        Ok(&self.rows[at])
    }

    /// Takes a row that is not up any more out of its chain.
    fn free(&mut self, chain: usize, at: usize) {
        let next = self.rows[at].next;
        if self.chains[chain] == at as u16 {
            self.chains[chain] = next;
        } else {
            let mut before = self.chains[chain];
            while let Some(row) = self.rows.get_mut(before as usize) {
                if row.next == at as u16 {
                    row.next = next;
                    break;
                }
                before = row.next;
            }
        }
        self.rows[at].next = self.free;
        self.free = at as u16;
    }

    /// The flag of this full name, if it is up.
    pub fn get(&self, full_name: &str) -> Option<&RaisedFlag> {
        let found = self.find(full_name).1.map(|at| &self.rows[at]);
        #[cfg(feature = "kept-flags")]
        let found = found.filter(|row| row.up);
        found
    }

    /// The first flag at or behind `cursor` (0 to begin with), and the cursor to go on with.
    /// Looks at all rows if need be: there are at most 65,534.
    pub fn next(&self, cursor: u32) -> Option<(u32, &RaisedFlag)> {
        let rows = self.rows.get(cursor as usize..)?;
        let ahead = rows.iter().position(|r| r.up)?;
        Some((cursor + ahead as u32 + 1, &rows[ahead]))
    }

    fn find(&self, full_name: &str) -> (usize, Option<usize>) {
        let chain = name::hash(full_name.as_bytes(), 0) as usize % CHAINS;
        let mut at = self.chains[chain];
        while let Some(row) = self.rows.get(at as usize) {
            if row.full_name.as_str() == full_name {
                return (chain, Some(at as usize));
            }
            at = row.next;
        }
        (chain, None)
    }

    /// Every invariant; what is broken, otherwise.
    pub fn check(&self) -> Result<(), &'static str> {
        let mut chained = 0;
        for (i, &head) in self.chains.iter().enumerate() {
            let mut at = head;
            while at != NONE {
                let Some(row) = self.rows.get(at as usize) else { return Err("flags: a chain leads out of the table") };
                #[cfg(feature = "kept-flags")]
                let is_in_place = row.up || row.kept.is_marked();
                #[cfg(not(feature = "kept-flags"))]
                let is_in_place = row.up;
                if !is_in_place {
                    return Err("flags: a lowered flag is in a chain");
                }
                if name::hash(row.full_name.as_bytes(), 0) as usize % CHAINS != i {
                    return Err("flags: a flag is in the wrong chain");
                }
                chained += 1;
                if chained > self.rows.len() {
                    return Err("flags: a chain runs in a circle");
                }
                at = row.next;
            }
        }
        let (mut at, mut free) = (self.free, 0);
        while at != NONE {
            let Some(row) = self.rows.get(at as usize) else {
                return Err("flags: the free list leads out of the table");
            };
            if row.up {
                return Err("flags: a raised flag is in the free list");
            }
            free += 1;
            if free > self.rows.len() {
                return Err("flags: the free list runs in a circle");
            }
            at = row.next;
        }
        #[cfg(feature = "kept-flags")]
        let leaving = self.check_kept()?;
        #[cfg(not(feature = "kept-flags"))]
        let leaving = 0;
        if chained != self.up as usize + leaving || chained + free != self.rows.len() || self.rows.len() > self.limit {
            return Err("flags: counts disagree");
        }
        Ok(())
    }
}

pub(super) fn full_name(unit: &str, section: &str, flag: &str) -> Result<String<MAX_FLAG_NAME, u8>, FlagError> {
    let mut full = String::new();
    for part in [unit, section, flag] {
        if !name::is_flag_part(part) {
            return Err(FlagError::BadName);
        }
        // three checked parts and two slashes always fit
        if !full.is_empty() {
            let _ = full.push('/');
        }
        let _ = full.push_str(part);
    }
    Ok(full)
}

#[cfg(test)]
mod tests {
    use super::*;
    use heapless::Vec;

    const NOW: Instant = Instant::from_millis(5);

    fn hot(section: &str) -> Raise<'_> {
        Raise {
            unit: "sensor",
            section,
            name: "hot",
            description: "too warm",
            priority: 50,
            tags: "a,b",
            manual_down: false,
            station: 9,
            #[cfg(feature = "kept-flags")]
            record: kept::Record::default(),
        }
    }

    #[test]
    fn raising_tells_what_is_new() {
        let mut rows: Vec<RaisedFlag, 2> = Vec::new();
        let mut f = Flags::new(&mut rows, 9);
        assert_eq!(f.limit(), 2);
        let (what, row) = f.raise(&hot("b1"), NOW).unwrap();
        assert_eq!((what, row.full_name(), row.priority(), row.tags()), (Raised::New, "sensor/b1/hot", 50, "a,b"));
        let later = Instant::from_millis(9);
        let (what, row) = f.raise(&hot("b1"), later).unwrap();
        assert_eq!((what, row.raised(), row.last()), (Raised::Again, NOW, later));
        assert_eq!(f.raise(&Raise { priority: 51, ..hot("b1") }, later).unwrap().0, Raised::Changed);
        assert_eq!(f.len(), 1);
        f.raise(&hot("b2"), NOW).unwrap();
        assert_eq!(f.raise(&hot("b3"), NOW).err(), Some(FlagError::Full));
        assert_eq!(f.raise(&hot("b2"), NOW).unwrap().0, Raised::Again, "a full table still takes updates");
        assert_eq!(f.lower("sensor", "b1", "hot", false).unwrap().full_name(), "sensor/b1/hot");
        assert_eq!(f.lower("sensor", "b1", "hot", false).err(), Some(FlagError::NotRaised));
        assert_eq!(f.raise(&hot("b3"), NOW).unwrap().0, Raised::New);
        f.check().unwrap();
    }

    #[test]
    fn some_flags_are_lowered_by_a_person_only() {
        let mut rows: Vec<RaisedFlag, 2> = Vec::new();
        let mut f = Flags::new(&mut rows, 2);
        f.raise(&Raise { manual_down: true, ..hot("b1") }, NOW).unwrap();
        assert_eq!(f.lower("sensor", "b1", "hot", false).err(), Some(FlagError::ByHandOnly));
        assert!(f.get("sensor/b1/hot").is_some());
        assert!(f.lower("sensor", "b1", "hot", true).is_ok());
        assert!(f.get("sensor/b1/hot").is_none());
    }

    #[test]
    fn nothing_is_cut_short() {
        let mut rows: Vec<RaisedFlag, 2> = Vec::new();
        let mut f = Flags::new(&mut rows, 2);
        let long = core::str::from_utf8(&[b'x'; 129]).unwrap();
        for (flag, why) in [
            (hot(""), FlagError::BadName),
            (hot("a/b"), FlagError::BadName),
            (hot(&long[..33]), FlagError::BadName),
            (Raise { description: long, ..hot("b") }, FlagError::LongDescription),
            (Raise { tags: &long[..65], ..hot("b") }, FlagError::LongTags),
            (Raise { tags: "a\nb", ..hot("b") }, FlagError::BadText),
            (Raise { priority: 101, ..hot("b") }, FlagError::BadPriority),
        ] {
            assert_eq!(f.raise(&flag, NOW).err(), Some(why), "{flag:?}");
        }
        assert!(f.is_empty());
        let most = Raise {
            unit: &long[..32],
            name: &long[..32],
            description: &long[..128],
            tags: &long[..64],
            ..hot(&long[..32])
        };
        assert_eq!(f.raise(&most, NOW).unwrap().1.full_name().len(), MAX_FLAG_NAME);
    }

    #[test]
    fn a_listing_shows_each_flag_that_stays_up_once_whatever_else_happens() {
        let mut rows: Vec<RaisedFlag, 64> = Vec::new();
        let mut f = Flags::new(&mut rows, 64);
        let mut name: String<8> = String::new();
        for i in 0..60u8 {
            name.clear();
            let _ = name.push((b'A' + i % 26) as char);
            let _ = name.push((b'A' + i / 26) as char);
            f.raise(&hot(&name), NOW).unwrap();
        }
        let (mut cursor, mut seen, mut turn) = (0, 0u32, 0u8);
        while let Some((next, row)) = f.next(cursor) {
            seen += row.full_name().ends_with("A/hot") as u32;
            cursor = next;
            // meanwhile those of the other letters go and come back elsewhere
            name.clear();
            let _ = name.push((b'A' + turn % 26) as char);
            let _ = name.push('B');
            if f.lower("sensor", &name, "hot", false).is_ok() && turn % 2 == 0 {
                f.raise(&hot(&name), NOW).unwrap();
            }
            turn += 1;
            f.check().unwrap();
        }
        assert_eq!(seen, 26);
    }
}
