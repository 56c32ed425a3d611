//! Names and who has joined them.
//!
//! Owns: the table of names, how a name is found, memberships, and exclusiveness (D8). A
//! name has a row while it has members, is declared, has mail, is watched, or is the
//! instance of somebody's membership. Does not own who is told about it.

use crate::buffer::slab::{Ends, Link, Linked, Row, Slab, append, remove};
use crate::dialect::Wording;
use crate::limits::MAX_NAME;
use crate::name;
use heapless::vec::VecView;

/// A row of the table of names.
#[derive(Debug)]
pub struct NameRow {
    text: heapless::String<MAX_NAME, u8>,
    hash: u32,
    /// Next of the same bucket, or next free row.
    next: u32,
    generation: u32,
    /// Reasons for this row to exist: memberships, declaration, mail, watches, instances.
    holds: u32,
    pub(crate) members: Ends,
    pub(crate) count: u32,
    /// Of these, how many have a wording of each kind but the usual one.
    odd: [u32; Wording::KINDS - 1],
    /// Of these members, one that has it exclusively.
    pub(crate) exclusive: bool,
    pattern: bool,
    pub(crate) declared: bool,
    /// Declared as long as there is mail, which an earlier life of the node has left.
    #[cfg(feature = "durable")]
    pub(crate) lent: bool,
    pub(crate) mail: Ends,
}

impl Row for NameRow {
    const EMPTY: NameRow = NameRow {
        text: heapless::String::new(),
        hash: 0,
        next: 0,
        generation: 0,
        holds: 0,
        members: Ends::EMPTY,
        count: 0,
        odd: [0; Wording::KINDS - 1],
        exclusive: false,
        pattern: false,
        declared: false,
        #[cfg(feature = "durable")]
        lent: false,
        mail: Ends::EMPTY,
    };
    fn free_link(&mut self) -> &mut u32 {
        &mut self.next
    }
}

impl NameRow {
    /// The name.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Whether it is in use at all.
    pub(crate) fn is_held(&self) -> bool {
        self.holds > 0
    }

    /// Whether mail may wait for it.
    pub(crate) fn is_declared(&self) -> bool {
        #[cfg(feature = "durable")]
        return self.declared || self.lent;
        #[cfg(not(feature = "durable"))]
        self.declared
    }

    /// Whether somebody has joined it or it is declared: what lists show.
    pub(crate) fn is_listed(&self) -> bool {
        self.count > 0 || self.is_declared()
    }
}

/// A station joined to a name.
#[derive(Debug)]
pub struct MemberRow {
    pub(crate) station: u32,
    pub(crate) name: u32,
    /// Row of the instance's text; 0 is `*`.
    pub(crate) instance: u32,
    pub(crate) exclusive: bool,
    /// The kind of its wording.
    pub(crate) kind: u8,
    /// Counts memberships: later ones have larger numbers.
    pub(crate) serial: u64,
    of_name: Link,
    of_station: Link,
}

impl Row for MemberRow {
    const EMPTY: MemberRow = MemberRow {
        station: 0,
        name: 0,
        instance: 0,
        exclusive: false,
        kind: 0,
        serial: 0,
        of_name: Link::NONE,
        of_station: Link::NONE,
    };
    fn free_link(&mut self) -> &mut u32 {
        &mut self.station
    }
}

/// The members of a name, one after the other.
pub(crate) struct OfName;
/// The memberships of a station.
pub(crate) struct OfStation;

impl Linked<OfName> for MemberRow {
    fn link(&mut self) -> &mut Link {
        &mut self.of_name
    }
}
impl Linked<OfStation> for MemberRow {
    fn link(&mut self) -> &mut Link {
        &mut self.of_station
    }
}

impl MemberRow {
    pub(crate) fn next_of_name(&self) -> u32 {
        self.of_name.next
    }
    pub(crate) fn next_of_station(&self) -> u32 {
        self.of_station.next
    }
}

/// Why a join is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum JoinError {
    /// Somebody has it exclusively, or it has members and this join is exclusive.
    Taken,
    /// No row left for another name.
    NamesFull,
    /// No row left for another membership.
    MembersFull,
}

/// Both tables.
#[derive(Debug)]
pub(crate) struct Names<'s> {
    rows: Slab<'s, NameRow>,
    buckets: &'s mut [u32],
    pub(crate) members: Slab<'s, MemberRow>,
    /// How many rows are patterns: while there is none, nobody looks for them.
    patterns: u32,
    /// The name that was found last. Who sends much sends much to one name, and comparing is
    /// half the work of hashing.
    recent: u32,
    serial: u64,
    seed: u32,
}

impl<'s> Names<'s> {
    /// `buckets` must be all zero.
    pub(crate) fn new(
        rows: &'s mut VecView<NameRow>,
        buckets: &'s mut [u32],
        members: &'s mut VecView<MemberRow>,
        limits: (usize, usize),
        seed: u32,
    ) -> Self {
        Names {
            rows: Slab::new(rows, limits.0),
            buckets,
            members: Slab::new(members, limits.1),
            patterns: 0,
            recent: 0,
            serial: 0,
            seed,
        }
    }

    /// Patterns stand in the same buckets, by the hash of their stem with another seed.
    fn hash(&self, stem: &str, pattern: bool) -> u32 {
        name::hash(stem.as_bytes(), if pattern { !self.seed } else { self.seed })
    }

    fn bucket(&self, hash: u32) -> usize {
        ((hash as u64 * self.buckets.len() as u64) >> 32) as usize
    }

    fn look(&self, stem: &str, pattern: bool, hash: u32) -> Option<u32> {
        let mut n = *self.buckets.get(self.bucket(hash))?;
        while n != 0 {
            let row = &self.rows[n];
            if row.hash == hash && row.pattern == pattern {
                let text = if pattern { &row.text[..row.text.len() - 1] } else { &row.text };
                if text == stem {
                    return Some(n);
                }
            }
            n = row.next;
        }
        None
    }

    /// The row of a name or pattern, if it has one.
    #[inline]
    pub(crate) fn find(&self, text: &str) -> Option<u32> {
        if text.ends_with('*') && name::is_pattern(text) {
            return self.find_stem(&text[..text.len() - 1]);
        }
        self.look(text, false, self.hash(text, false))
    }

    /// As [`Names::find`], for a name to which a message goes: likely the same again.
    #[inline]
    pub(crate) fn find_again(&mut self, text: &str) -> Option<u32> {
        if let Some(row) = self.rows.get(self.recent)
            && row.is_held()
            && row.text() == text
        {
            return Some(self.recent);
        }
        let found = self.find(text)?;
        self.recent = found;
        Some(found)
    }

    /// The row of the pattern with this stem.
    pub(crate) fn find_stem(&self, stem: &str) -> Option<u32> {
        self.look(stem, true, self.hash(stem, true))
    }

    /// Whether anybody has joined a pattern.
    #[inline]
    pub(crate) fn has_patterns(&self) -> bool {
        self.patterns > 0
    }

    /// The row of a valid name, made if need be, and held once more: [`Names::release`] is
    /// its counterpart. `None`: no row left.
    pub(crate) fn hold(&mut self, text: &str) -> Option<u32> {
        self.hold_as(text, name::is_pattern(text))
    }

    /// As [`Names::hold`], for an instance, which is no pattern whatever it looks like.
    pub(crate) fn hold_instance(&mut self, text: &str) -> Option<u32> {
        self.hold_as(text, false)
    }

    /// The row of an instance, if it has one.
    pub(crate) fn find_instance(&self, text: &str) -> Option<u32> {
        self.look(text, false, self.hash(text, false))
    }

    fn hold_as(&mut self, text: &str, pattern: bool) -> Option<u32> {
        let stem = if pattern { &text[..text.len() - 1] } else { text };
        if let Some(n) = self.look(stem, pattern, self.hash(stem, pattern)) {
            self.rows[n].holds += 1;
            return Some(n);
        }
        let hash = self.hash(stem, pattern);
        let bucket = self.bucket(hash);
        let own = heapless::String::try_from(text).ok()?;
        let head = *self.buckets.get(bucket)?;
        let n = self.rows.take()?;
        let generation = self.rows[n].generation.wrapping_add(1);
        self.rows[n] = NameRow { text: own, hash, next: head, generation, holds: 1, pattern, ..NameRow::EMPTY };
        self.buckets[bucket] = n;
        self.patterns += pattern as u32;
        Some(n)
    }

    /// One reason less for a row to exist.
    pub(crate) fn release(&mut self, n: u32) {
        let row = &mut self.rows[n];
        row.holds -= 1;
        if row.holds > 0 {
            return;
        }
        let (hash, next, pattern) = (row.hash, row.next, row.pattern);
        let bucket = self.bucket(hash);
        let mut at = self.buckets[bucket];
        if at == n {
            self.buckets[bucket] = next;
        } else {
            while self.rows[at].next != n {
                at = self.rows[at].next;
            }
            self.rows[at].next = next;
        }
        self.patterns -= pattern as u32;
        self.rows.give(n);
    }

    /// The membership of `station` in row `n` with that instance, if there is one.
    pub(crate) fn membership(&self, mine: Ends, n: u32, instance: &str) -> Option<u32> {
        let instance = match instance {
            "" | "*" => 0,
            text => self.find_instance(text)?,
        };
        // the shorter of both lists is enough: its own names, and the members of this one
        let (mut m, mut of_name) = (mine.first, self.rows[n].members.first);
        let station = if m == 0 { 0 } else { self.members[m].station };
        while m != 0 && of_name != 0 {
            let (row, other) = (&self.members[m], &self.members[of_name]);
            if row.name == n && row.instance == instance {
                return Some(m);
            }
            if other.station == station && other.instance == instance {
                return Some(of_name);
            }
            (m, of_name) = (row.next_of_station(), other.next_of_name());
        }
        None
    }

    /// Joins. `mine` are the station's memberships. Names are valid, and there is no such
    /// membership yet.
    pub(crate) fn join(
        &mut self,
        station: u32,
        mine: &mut Ends,
        text: &str,
        instance: &str,
        exclusive: bool,
    ) -> Result<u32, JoinError> {
        if let Some(n) = self.find(text)
            && (exclusive || self.rows[n].exclusive)
        {
            let mut m = self.rows[n].members.first;
            while m != 0 {
                if self.members[m].station != station {
                    return Err(JoinError::Taken);
                }
                m = self.members[m].next_of_name();
            }
        }
        let n = self.hold(text).ok_or(JoinError::NamesFull)?;
        let instance = match instance {
            "" | "*" => 0,
            i => match self.hold_instance(i) {
                Some(i) => i,
                None => {
                    self.release(n);
                    return Err(JoinError::NamesFull);
                }
            },
        };
        let Some(m) = self.members.take() else {
            if instance != 0 {
                self.release(instance);
            }
            self.release(n);
            return Err(JoinError::MembersFull);
        };
        self.serial += 1;
        let serial = self.serial;
        self.members[m] = MemberRow { station, name: n, instance, exclusive, serial, ..MemberRow::EMPTY };
        append::<OfName, _>(&mut self.members, &mut self.rows[n].members, m);
        append::<OfStation, _>(&mut self.members, mine, m);
        self.rows[n].count += 1;
        self.rows[n].exclusive |= exclusive;
        Ok(m)
    }

    /// The first membership of row `n` (0: none) behind the one with number `serial`, which
    /// stood in row `m` (0 and 0: the first of all).
    pub(crate) fn member_behind(&self, n: u32, m: u32, serial: u64) -> u32 {
        if n == 0 {
            return 0;
        }
        if let Some(row) = self.members.get(m)
            && (row.name, row.serial) == (n, serial)
        {
            return row.next_of_name();
        }
        let mut m = self.rows[n].members.first;
        while m != 0 && self.members[m].serial <= serial {
            m = self.members[m].next_of_name();
        }
        m
    }

    /// Whether a station with these memberships has joined row `n`.
    pub(crate) fn is_member(&self, mine: Ends, n: u32) -> bool {
        let mut m = mine.first;
        while m != 0 && self.members[m].name != n {
            m = self.members[m].next_of_station();
        }
        m != 0
    }

    /// Takes note of the wording of who has membership `m`.
    pub(crate) fn mark(&mut self, m: u32, wording: Wording) {
        let kind = wording.kind();
        self.members[m].kind = kind as u8;
        let n = self.members[m].name;
        if let Some(odd) = self.rows[n].odd.get_mut(kind.wrapping_sub(1)) {
            *odd += 1;
        }
    }

    /// Which kinds of wordings the members of row `n` have.
    #[inline]
    pub(crate) fn kinds(&self, n: u32) -> [bool; Wording::KINDS] {
        let row = &self.rows[n];
        let mut kinds = [false; Wording::KINDS];
        let mut odd = 0;
        for (kind, count) in kinds.iter_mut().skip(1).zip(row.odd) {
            *kind = count > 0;
            odd += count;
        }
        kinds[0] = row.count > odd;
        kinds
    }

    /// How many members of row `n` have a wording of that kind.
    #[cfg(feature = "msgq")]
    pub(crate) fn count_of(&self, n: u32, kind: usize) -> u32 {
        self.rows[n].odd.get(kind.wrapping_sub(1)).copied().unwrap_or_default()
    }

    /// The wording that all members of row `n` have, if they have the same.
    #[inline]
    pub(crate) fn common_wording(&self, n: u32) -> Option<Wording> {
        let row = &self.rows[n];
        if row.odd == [0; Wording::KINDS - 1] {
            return Some(Wording::USUAL);
        }
        let kind = 1 + row.odd.iter().position(|odd| *odd == row.count)?;
        Wording::of_kind(kind)
    }

    /// Ends membership `m`. The rows of its name and instance go with it if nothing else
    /// holds them, so whoever needs their texts holds them before.
    pub(crate) fn leave(&mut self, mine: &mut Ends, m: u32) {
        let MemberRow { name: n, instance, exclusive, kind, .. } = self.members[m];
        if let Some(odd) = self.rows[n].odd.get_mut((kind as usize).wrapping_sub(1)) {
            *odd -= 1;
        }
        remove::<OfName, _>(&mut self.members, &mut self.rows[n].members, m);
        remove::<OfStation, _>(&mut self.members, mine, m);
        self.members[m].serial = 0;
        self.members.give(m);
        self.rows[n].count -= 1;
        if exclusive {
            let mut still = false;
            let mut m = self.rows[n].members.first;
            while m != 0 {
                still |= self.members[m].exclusive;
                m = self.members[m].next_of_name();
            }
            self.rows[n].exclusive = still;
        }
        if instance != 0 {
            self.release(instance);
        }
        self.release(n);
    }

    /// One more reason for a row to stay.
    pub(crate) fn hold_row(&mut self, n: u32) {
        self.rows[n].holds += 1;
    }

    #[inline]
    pub(crate) fn row(&self, n: u32) -> &NameRow {
        &self.rows[n]
    }

    pub(crate) fn row_mut(&mut self, n: u32) -> &mut NameRow {
        &mut self.rows[n]
    }

    pub(crate) fn made(&self) -> u32 {
        self.rows.made()
    }

    pub(crate) fn used(&self) -> usize {
        self.rows.used()
    }

    pub(crate) fn limit(&self) -> usize {
        self.rows.limit()
    }

    /// The text of an instance's row.
    pub(crate) fn instance_text(&self, instance: u32) -> &str {
        if instance == 0 { "*" } else { self.rows[instance].text() }
    }

    pub(crate) fn check(&self) -> Result<(), &'static str> {
        let (mut held, mut members, mut patterns) = (0, 0, 0);
        for n in 1..=self.rows.made() {
            let row = &self.rows[n];
            if !row.is_held() {
                continue;
            }
            held += 1;
            #[cfg(feature = "durable")]
            if row.lent && row.mail.first == 0 {
                return Err("names: declared by mail that is gone");
            }
            patterns += row.pattern as u32;
            let found = if row.pattern { self.find(row.text()) } else { self.find_instance(row.text()) };
            if found != Some(n) {
                return Err("names: a name does not find its row");
            }
            let (mut count, mut exclusive, mut m) = (0u32, false, row.members.first);
            let mut odd = [0; Wording::KINDS - 1];
            while m != 0 {
                let member = &self.members[m];
                if member.name != n {
                    return Err("names: a member of another name");
                }
                count += 1;
                exclusive |= member.exclusive;
                if let Some(odd) = odd.get_mut((member.kind as usize).wrapping_sub(1)) {
                    *odd += 1;
                }
                m = member.next_of_name();
                if count > row.count {
                    break;
                }
            }
            if count != row.count || odd != row.odd || exclusive != row.exclusive {
                return Err("names: members are counted wrongly");
            }
            if count > row.holds {
                return Err("names: fewer holds than members");
            }
            members += count as usize;
        }
        if held != self.rows.used() || members != self.members.used() || patterns != self.patterns {
            return Err("names: rows are counted wrongly");
        }
        Ok(())
    }
}
