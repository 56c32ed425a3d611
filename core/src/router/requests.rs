//! Who still owes whom an answer (D5).
//!
//! Owns: the table of open questions and, for each, who may still answer it (a *debt*). A
//! question is closed by the first answer, by its deadline, or when its last debtor is gone;
//! one that was asked of *each* member, when the last of them has answered or is gone. Does
//! not own what is said then.
//!
//! Some dialects answer by the asker's own number. There a question is found by asker and
//! *key*; and once its asker has heard it is *spent*: it stays for a while, so that a second
//! answer is known for what it is. A sixteenth of the table may be spent; then the oldest of
//! them is forgotten for each that joins them.

use super::stations::Stations;
use crate::buffer::slab::{Ends, Link, Linked, Row, Slab, append, remove};
use crate::id::Numbering;
use heapless::vec::VecView;

/// Most open questions of one asker with the same number: looking through them is work.
#[cfg(feature = "msgq")]
const SAME_KEY: u32 = 64;

/// An open question.
#[derive(Debug)]
pub struct RequestRow {
    generation: u64,
    /// Row of the asker; 0: the row is free.
    pub(crate) asker: u32,
    pub(crate) seq: u32,
    /// Row of the name it was asked at, held; 0: a station was asked.
    pub(crate) name: u32,
    /// Debts that may still be paid.
    pub(crate) owed: u32,
    pub(crate) debts: Ends,
    of_asker: Link,
    /// Every debtor owes an answer of its own.
    pub(crate) each: bool,
    #[cfg(feature = "msgq")]
    pub(crate) by_key: ByKey,
}

/// What is remembered of a question whose answers name it by the asker's number.
#[cfg(feature = "msgq")]
#[derive(Debug)]
pub(crate) struct ByKey {
    /// The asker's number; `None`: it is not found by that.
    key: Option<u64>,
    /// Next of the same bucket.
    next: u32,
    /// The asker has heard all it will hear.
    pub(crate) spent: bool,
    /// Among the spent ones, oldest first.
    of_spent: Link,
    /// The question's header, for the node's own answer.
    pub(crate) echo: crate::buffer::pool::Chain,
}

#[cfg(feature = "msgq")]
impl ByKey {
    const EMPTY: ByKey =
        ByKey { key: None, next: 0, spent: false, of_spent: Link::NONE, echo: crate::buffer::pool::Chain::EMPTY };
}

impl Row for RequestRow {
    const EMPTY: RequestRow = RequestRow {
        generation: 0,
        asker: 0,
        seq: 0,
        name: 0,
        owed: 0,
        debts: Ends::EMPTY,
        of_asker: Link::NONE,
        each: false,
        #[cfg(feature = "msgq")]
        by_key: ByKey::EMPTY,
    };
    fn free_link(&mut self) -> &mut u32 {
        &mut self.seq
    }
}

/// Somebody who may answer a question.
#[derive(Debug)]
pub struct DebtRow {
    pub(crate) request: u32,
    pub(crate) station: u32,
    of_request: Link,
    of_station: Link,
    /// The debtor has left the name, or has answered: another answer would come too late.
    #[cfg(feature = "msgq")]
    pub(crate) void: bool,
    /// Next of the same bucket.
    #[cfg(feature = "msgq")]
    next: u32,
}

impl Row for DebtRow {
    const EMPTY: DebtRow = DebtRow {
        request: 0,
        station: 0,
        of_request: Link::NONE,
        of_station: Link::NONE,
        #[cfg(feature = "msgq")]
        void: false,
        #[cfg(feature = "msgq")]
        next: 0,
    };
    fn free_link(&mut self) -> &mut u32 {
        &mut self.request
    }
}

struct OfAsker;
#[cfg(feature = "msgq")]
struct OfSpent;
struct OfRequest;
struct OfDebtor;

impl Linked<OfAsker> for RequestRow {
    fn link(&mut self) -> &mut Link {
        &mut self.of_asker
    }
}
#[cfg(feature = "msgq")]
impl Linked<OfSpent> for RequestRow {
    fn link(&mut self) -> &mut Link {
        &mut self.by_key.of_spent
    }
}
impl Linked<OfRequest> for DebtRow {
    fn link(&mut self) -> &mut Link {
        &mut self.of_request
    }
}
impl Linked<OfDebtor> for DebtRow {
    fn link(&mut self) -> &mut Link {
        &mut self.of_station
    }
}

impl DebtRow {
    pub(crate) fn next_of_station(&self) -> u32 {
        self.of_station.next
    }
}

/// Both tables.
#[derive(Debug)]
pub(crate) struct Requests<'s> {
    rows: Slab<'s, RequestRow>,
    debts: Slab<'s, DebtRow>,
    numbering: Numbering,
    /// Questions by asker and key.
    #[cfg(feature = "msgq")]
    buckets: &'s mut [u32],
    /// Debts by question and debtor.
    #[cfg(feature = "msgq")]
    debt_buckets: &'s mut [u32],
    /// Nobody outside can know which keys would meet in one bucket.
    #[cfg(feature = "msgq")]
    seed: u64,
    #[cfg(feature = "msgq")]
    spent: Ends,
    #[cfg(feature = "msgq")]
    spent_count: usize,
}

impl<'s> Requests<'s> {
    pub(crate) fn new(
        rows: &'s mut VecView<RequestRow>,
        debts: &'s mut VecView<DebtRow>,
        limits: (usize, usize),
        #[cfg(feature = "msgq")] (buckets, debt_buckets, seed): (&'s mut [u32], &'s mut [u32], u32),
    ) -> Self {
        let rows = Slab::new(rows, limits.0);
        let numbering = Numbering::for_slots(rows.limit() + 1);
        Requests {
            rows,
            debts: Slab::new(debts, limits.1),
            numbering,
            #[cfg(feature = "msgq")]
            buckets,
            #[cfg(feature = "msgq")]
            debt_buckets,
            #[cfg(feature = "msgq")]
            seed: seed as u64 * 0x1_0001_0001,
            #[cfg(feature = "msgq")]
            spent: Ends::EMPTY,
            #[cfg(feature = "msgq")]
            spent_count: 0,
        }
    }

    /// A new question. `None`: the table is full.
    pub(crate) fn open(&mut self, stations: &mut Stations<'_>, asker: u32, seq: u32, name: u32) -> Option<u32> {
        let r = self.rows.take()?;
        let generation = self.rows[r].generation + 1;
        self.rows[r] = RequestRow { generation, asker, seq, name, ..RequestRow::EMPTY };
        append::<OfAsker, _>(&mut self.rows, &mut stations[asker].asked, r);
        stations[asker].asks += 1;
        Some(r)
    }

    /// The number by which debtors know question `r`.
    pub(crate) fn number(&self, r: u32) -> u64 {
        self.numbering.number(r, self.rows[r].generation)
    }

    /// The open question with that number.
    pub(crate) fn find(&self, number: u64) -> Option<u32> {
        let (r, generation) = self.numbering.split(number);
        let row = self.rows.get(r)?;
        (row.asker != 0 && row.generation == generation).then_some(r)
    }

    /// `debtor` may answer question `r`. `false`: the table is full, or the asker has half of
    /// it already.
    pub(crate) fn owe(&mut self, stations: &mut Stations<'_>, r: u32, debtor: u32) -> bool {
        let asker = self.rows[r].asker;
        if stations[asker].askees as usize >= (self.debts.limit() / 2).max(1) {
            return false;
        }
        let Some(d) = self.debts.take() else { return false };
        self.debts[d] = DebtRow { request: r, station: debtor, ..DebtRow::EMPTY };
        append::<OfRequest, _>(&mut self.debts, &mut self.rows[r].debts, d);
        append::<OfDebtor, _>(&mut self.debts, &mut stations[debtor].debts, d);
        self.rows[r].owed += 1;
        stations[asker].askees += 1;
        #[cfg(feature = "msgq")]
        self.index(d);
        true
    }

    /// What `station` owes to question `r`; 0: nothing.
    #[cfg(not(feature = "msgq"))]
    pub(crate) fn owed_by(&self, r: u32, station: u32) -> u32 {
        let mut d = self.rows[r].debts.first;
        while d != 0 && self.debts[d].station != station {
            d = self.debts[d].of_request.next;
        }
        d
    }

    /// Debt `d` will not be paid. Returns its question if that was the last one that might.
    pub(crate) fn forgive(&mut self, stations: &mut Stations<'_>, d: u32) -> Option<u32> {
        let DebtRow { request, station, .. } = self.debts[d];
        let counted = self.counts(d);
        #[cfg(feature = "msgq")]
        self.unindex(d);
        let asker = self.rows[request].asker;
        stations[asker].askees -= 1;
        remove::<OfRequest, _>(&mut self.debts, &mut self.rows[request].debts, d);
        remove::<OfDebtor, _>(&mut self.debts, &mut stations[station].debts, d);
        self.debts.give(d);
        self.rows[request].owed -= counted as u32;
        (self.rows[request].owed == 0).then_some(request)
    }

    /// Whether debt `d` is one of those that may still be paid.
    #[cfg(feature = "msgq")]
    fn counts(&self, d: u32) -> bool {
        !self.debts[d].void
    }
    #[cfg(not(feature = "msgq"))]
    fn counts(&self, _: u32) -> bool {
        true
    }

    /// Question `r` is closed: nobody owes anything any more. Returns the name's row that it
    /// held (0: none).
    pub(crate) fn close(&mut self, stations: &mut Stations<'_>, r: u32) -> u32 {
        while self.rows[r].debts.first != 0 {
            self.forgive(stations, self.rows[r].debts.first);
        }
        let RequestRow { asker, name, .. } = self.rows[r];
        #[cfg(feature = "msgq")]
        self.forget_key(stations, r);
        remove::<OfAsker, _>(&mut self.rows, &mut stations[asker].asked, r);
        stations[asker].asks -= 1;
        self.rows[r].asker = 0;
        self.rows.give(r);
        name
    }

    pub(crate) fn row_mut(&mut self, r: u32) -> &mut RequestRow {
        &mut self.rows[r]
    }

    pub(crate) fn row(&self, r: u32) -> &RequestRow {
        &self.rows[r]
    }

    pub(crate) fn debt(&self, d: u32) -> &DebtRow {
        &self.debts[d]
    }

    pub(crate) fn used(&self) -> usize {
        self.rows.used()
    }

    pub(crate) fn limit(&self) -> usize {
        self.rows.limit()
    }

    /// How many debts there are, and may be.
    pub(crate) fn debts(&self) -> (usize, usize) {
        (self.debts.used(), self.debts.limit())
    }

    pub(crate) fn check(&self, stations: &Stations<'_>) -> Result<(), &'static str> {
        let (mut open, mut debts) = (0, 0);
        for r in 1..=self.rows.made() {
            let row = &self.rows[r];
            if row.asker == 0 {
                continue;
            }
            open += 1;
            if !stations[row.asker].is_linked() {
                return Err("requests: the asker is gone");
            }
            let (mut owed, mut all, mut d) = (0, 0, row.debts.first);
            while d != 0 {
                if self.debts[d].request != r || !stations[self.debts[d].station].is_linked() {
                    return Err("requests: a debtor is gone");
                }
                owed += self.counts(d) as u32;
                all += 1;
                d = self.debts[d].of_request.next;
            }
            #[cfg(feature = "msgq")]
            let over = row.by_key.spent;
            #[cfg(not(feature = "msgq"))]
            let over = false;
            if owed != row.owed || all == 0 || (owed == 0 && !over) {
                return Err("requests: a question that nobody can answer is open");
            }
            debts += all;
        }
        if open != self.rows.used() || debts != self.debts.used() {
            return Err("requests: rows are counted wrongly");
        }
        Ok(())
    }
}

/// Questions found by their asker's own number.
#[cfg(feature = "msgq")]
impl Requests<'_> {
    /// What `station` owes to question `r`; 0: nothing.
    pub(crate) fn owed_by(&self, r: u32, station: u32) -> u32 {
        let mut d = self.debt_buckets.get(self.debt_bucket(r, station)).copied().unwrap_or_default();
        while d != 0 && (self.debts[d].request, self.debts[d].station) != (r, station) {
            d = self.debts[d].next;
        }
        d
    }

    fn debt_bucket(&self, r: u32, debtor: u32) -> usize {
        self.mix(debtor, r as u64) % self.debt_buckets.len().max(1)
    }

    fn index(&mut self, d: u32) {
        let bucket = self.debt_bucket(self.debts[d].request, self.debts[d].station);
        if let Some(head) = self.debt_buckets.get_mut(bucket) {
            self.debts[d].next = core::mem::replace(head, d);
        }
    }

    fn unindex(&mut self, d: u32) {
        let bucket = self.debt_bucket(self.debts[d].request, self.debts[d].station);
        let next = self.debts[d].next;
        let mut at = self.debt_buckets[bucket];
        if at == d {
            self.debt_buckets[bucket] = next;
            return;
        }
        while self.debts[at].next != d {
            at = self.debts[at].next;
        }
        self.debts[at].next = next;
    }

    fn bucket(&self, asker: u32, key: u64) -> usize {
        // where there is no bucket at all, nothing is ever put in one
        self.mix(asker, key) % self.buckets.len().max(1)
    }

    fn mix(&self, asker: u32, key: u64) -> usize {
        let mut mixed = (key ^ (asker as u64).rotate_left(40) ^ self.seed).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        mixed = (mixed ^ (mixed >> 32) ^ self.seed).wrapping_mul(0xd6e8_feb8_6659_fd93);
        (mixed >> 32) as usize
    }

    /// Question `r` is found by this key from here on. `false`: its asker has [`SAME_KEY`]
    /// questions with that key already, or there is no memory to find it by.
    pub(crate) fn keep_key(&mut self, r: u32, key: u64) -> bool {
        let asker = self.rows[r].asker;
        let bucket = self.bucket(asker, key);
        let Some(&head) = self.buckets.get(bucket) else { return false };
        let (mut same, mut at) = (0, head);
        while at != 0 {
            let row = &self.rows[at];
            same += (row.asker == asker && row.by_key.key == Some(key)) as u32;
            at = row.by_key.next;
        }
        if same >= SAME_KEY {
            return false;
        }
        self.rows[r].by_key = ByKey { key: Some(key), next: head, ..ByKey::EMPTY };
        self.buckets[bucket] = r;
        true
    }

    fn forget_key(&mut self, stations: &mut Stations<'_>, r: u32) {
        if self.rows[r].by_key.spent {
            remove::<OfSpent, _>(&mut self.rows, &mut self.spent, r);
            self.spent_count -= 1;
            // it was not counted any more: `close` takes it off
            stations[self.rows[r].asker].asks += 1;
        }
        let Some(key) = self.rows[r].by_key.key.take() else { return };
        let bucket = self.bucket(self.rows[r].asker, key);
        let next = self.rows[r].by_key.next;
        let mut at = self.buckets[bucket];
        if at == r {
            self.buckets[bucket] = next;
            return;
        }
        while self.rows[at].by_key.next != r {
            at = self.rows[at].by_key.next;
        }
        self.rows[at].by_key.next = next;
    }

    /// The asker of question `r` has heard; it is only remembered from here on, and no longer
    /// one of those that its asker may have open. Returns one that is to be closed for it.
    pub(crate) fn spend(&mut self, stations: &mut Stations<'_>, r: u32) -> Option<u32> {
        self.rows[r].by_key.spent = true;
        append::<OfSpent, _>(&mut self.rows, &mut self.spent, r);
        stations[self.rows[r].asker].asks -= 1;
        self.spent_count += 1;
        (self.spent_count > (self.rows.limit() / 16).max(4)).then_some(self.spent.first)
    }

    /// A spent question of `asker` with this key: a new one with the same number takes its
    /// place.
    pub(crate) fn spent_with(&self, asker: u32, key: u64) -> Option<u32> {
        let mut r = *self.buckets.get(self.bucket(asker, key))?;
        while r != 0 {
            let row = &self.rows[r];
            if row.asker == asker && row.by_key.key == Some(key) && row.by_key.spent {
                return Some(r);
            }
            r = row.by_key.next;
        }
        None
    }

    /// The spent question to close when there is no row left for another.
    pub(crate) fn oldest_spent(&self) -> Option<u32> {
        (self.spent.first != 0).then_some(self.spent.first)
    }

    /// What `debtor` owes to the question of `asker` with this key: of several the one that
    /// was asked first and may still be answered, else any. `None`: it owes nothing like it.
    pub(crate) fn find_key(&self, asker: u32, key: u64, debtor: u32) -> Option<u32> {
        let mut found = None;
        let mut r = *self.buckets.get(self.bucket(asker, key))?;
        while r != 0 {
            let row = &self.rows[r];
            if row.asker == asker && row.by_key.key == Some(key) {
                let d = self.owed_by(r, debtor);
                let open = d != 0 && !row.by_key.spent && !self.debts[d].void;
                // those behind are older
                if open || (d != 0 && found.is_none()) {
                    found = Some(d);
                }
            }
            r = row.by_key.next;
        }
        found
    }

    /// Debt `d` would be paid too late. Returns its question if nobody else owes anything.
    pub(crate) fn void(&mut self, d: u32) -> Option<u32> {
        let request = self.debts[d].request;
        if core::mem::replace(&mut self.debts[d].void, true) {
            return None;
        }
        self.rows[request].owed -= 1;
        (self.rows[request].owed == 0).then_some(request)
    }

    /// Blocks that the headers of open questions hold.
    pub(crate) fn held(&self, pool: &crate::buffer::pool::Pool<'_>) -> u64 {
        (1..=self.rows.made()).filter(|r| self.rows[*r].asker != 0).map(|r| pool.held(&self.rows[r].by_key.echo)).sum()
    }
}
