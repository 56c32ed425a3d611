//! Who still owes whom an answer (D5).
//!
//! Owns: the table of open questions and, for each, who may still answer it (a *debt*). A
//! question is closed by the first answer, by its deadline, or when its last debtor is gone.
//! Does not own what is said then.

use super::stations::Stations;
use crate::buffer::slab::{Ends, Link, Linked, Row, Slab, append, remove};
use crate::id::Numbering;
use heapless::vec::VecView;

/// An open question.
#[derive(Debug)]
pub struct RequestRow {
    generation: u64,
    /// Row of the asker; 0: the row is free.
    pub(crate) asker: u32,
    pub(crate) seq: u32,
    /// Row of the name it was asked at, held; 0: a station was asked.
    pub(crate) name: u32,
    pub(crate) owed: u32,
    debts: Ends,
    of_asker: Link,
}

impl Row for RequestRow {
    const EMPTY: RequestRow =
        RequestRow { generation: 0, asker: 0, seq: 0, name: 0, owed: 0, debts: Ends::EMPTY, of_asker: Link::NONE };
    fn free_link(&mut self) -> &mut u32 {
        &mut self.seq
    }
}

/// Somebody who may answer a question.
#[derive(Debug)]
pub struct DebtRow {
    pub(crate) request: u32,
    station: u32,
    of_request: Link,
    of_station: Link,
}

impl Row for DebtRow {
    const EMPTY: DebtRow = DebtRow { request: 0, station: 0, of_request: Link::NONE, of_station: Link::NONE };
    fn free_link(&mut self) -> &mut u32 {
        &mut self.request
    }
}

struct OfAsker;
struct OfRequest;
struct OfDebtor;

impl Linked<OfAsker> for RequestRow {
    fn link(&mut self) -> &mut Link {
        &mut self.of_asker
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
}

impl<'s> Requests<'s> {
    pub(crate) fn new(
        rows: &'s mut VecView<RequestRow>,
        debts: &'s mut VecView<DebtRow>,
        limits: (usize, usize),
    ) -> Self {
        let rows = Slab::new(rows, limits.0);
        let numbering = Numbering::for_slots(rows.limit() + 1);
        Requests { rows, debts: Slab::new(debts, limits.1), numbering }
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

    /// `debtor` may answer question `r`. `false`: the table is full.
    pub(crate) fn owe(&mut self, stations: &mut Stations<'_>, r: u32, debtor: u32) -> bool {
        let Some(d) = self.debts.take() else { return false };
        self.debts[d] = DebtRow { request: r, station: debtor, ..DebtRow::EMPTY };
        append::<OfRequest, _>(&mut self.debts, &mut self.rows[r].debts, d);
        append::<OfDebtor, _>(&mut self.debts, &mut stations[debtor].debts, d);
        self.rows[r].owed += 1;
        true
    }

    /// Whether `station` may answer question `r`.
    pub(crate) fn is_owed_by(&self, r: u32, station: u32) -> bool {
        let mut d = self.rows[r].debts.first;
        while d != 0 {
            if self.debts[d].station == station {
                return true;
            }
            d = self.debts[d].of_request.next;
        }
        false
    }

    /// Debt `d` will not be paid. Returns its question if that was the last.
    pub(crate) fn forgive(&mut self, stations: &mut Stations<'_>, d: u32) -> Option<u32> {
        let DebtRow { request, station, .. } = self.debts[d];
        remove::<OfRequest, _>(&mut self.debts, &mut self.rows[request].debts, d);
        remove::<OfDebtor, _>(&mut self.debts, &mut stations[station].debts, d);
        self.debts.give(d);
        self.rows[request].owed -= 1;
        (self.rows[request].owed == 0).then_some(request)
    }

    /// Question `r` is closed: nobody owes anything any more. Returns the name's row that it
    /// held (0: none).
    pub(crate) fn close(&mut self, stations: &mut Stations<'_>, r: u32) -> u32 {
        while self.rows[r].debts.first != 0 {
            self.forgive(stations, self.rows[r].debts.first);
        }
        let RequestRow { asker, name, .. } = self.rows[r];
        remove::<OfAsker, _>(&mut self.rows, &mut stations[asker].asked, r);
        stations[asker].asks -= 1;
        self.rows[r].asker = 0;
        self.rows.give(r);
        name
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

    pub(crate) fn check(&self, stations: &Stations<'_>) -> Result<(), &'static str> {
        let (mut open, mut debts) = (0, 0);
        for r in 1..=self.rows.made() {
            let row = &self.rows[r];
            if row.asker == 0 {
                continue;
            }
            open += 1;
            if !stations[row.asker].lives() {
                return Err("requests: the asker is gone");
            }
            let (mut owed, mut d) = (0, row.debts.first);
            while d != 0 {
                if self.debts[d].request != r || !stations[self.debts[d].station].lives() {
                    return Err("requests: a debtor is gone");
                }
                owed += 1;
                d = self.debts[d].of_request.next;
            }
            if owed != row.owed || owed == 0 {
                return Err("requests: a question that nobody can answer is open");
            }
            debts += owed as usize;
        }
        if open != self.rows.used() || debts != self.debts.used() {
            return Err("requests: rows are counted wrongly");
        }
        Ok(())
    }
}
