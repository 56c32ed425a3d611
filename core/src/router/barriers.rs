//! Who waits until what was changed before is on disk.
//!
//! Owns: the table of those who wait, in the order in which they asked, which is also that of
//! the marks they wait for. Does not own the store, nor what they are told.

use super::stations::Stations;
use crate::buffer::slab::{Ends, Link, Linked, Row, Slab, append, remove};
use crate::time::Instant;
use heapless::vec::VecView;

/// One who waits. Public only so that memory for it can be reserved.
#[derive(Debug)]
pub struct BarrierRow {
    /// Row of the station; 0: this row is free.
    pub(crate) station: u32,
    /// Its number for the request.
    pub(crate) seq: u32,
    /// What the store must have come to.
    pub(crate) mark: u64,
    pub(crate) since: Instant,
    link: Link,
}

impl Row for BarrierRow {
    const EMPTY: BarrierRow = BarrierRow { station: 0, seq: 0, mark: 0, since: Instant::ZERO, link: Link::NONE };
    fn free_link(&mut self) -> &mut u32 {
        &mut self.seq
    }
}

struct InOrder;

impl Linked<InOrder> for BarrierRow {
    fn link(&mut self) -> &mut Link {
        &mut self.link
    }
}

/// The table.
#[derive(Debug)]
pub(crate) struct Barriers<'s> {
    rows: Slab<'s, BarrierRow>,
    waiting: Ends,
}

impl<'s> Barriers<'s> {
    pub(crate) fn new(rows: &'s mut VecView<BarrierRow>, limit: usize) -> Self {
        Barriers { rows: Slab::new(rows, limit), waiting: Ends::EMPTY }
    }

    /// A station waits. `false`: the table is full.
    pub(crate) fn open(&mut self, stations: &mut Stations<'_>, n: u32, seq: u32, mark: u64, now: Instant) -> bool {
        let Some(b) = self.rows.take() else { return false };
        self.rows[b] = BarrierRow { station: n, seq, mark, since: now, link: Link::NONE };
        append::<InOrder, _>(&mut self.rows, &mut self.waiting, b);
        stations[n].barriers += 1;
        true
    }

    /// Who has waited longest.
    pub(crate) fn first(&self) -> Option<&BarrierRow> {
        self.rows.get(self.waiting.first)
    }

    /// Who has waited longest waits no more: its station and number.
    pub(crate) fn pop(&mut self, stations: &mut Stations<'_>) -> Option<(u32, u32)> {
        let BarrierRow { station, seq, .. } = *self.first()?;
        self.close(stations, self.waiting.first);
        Some((station, seq))
    }

    fn close(&mut self, stations: &mut Stations<'_>, b: u32) {
        stations[self.rows[b].station].barriers -= 1;
        remove::<InOrder, _>(&mut self.rows, &mut self.waiting, b);
        self.rows[b].station = 0;
        self.rows.give(b);
    }

    /// A station has left: nobody waits for it any more.
    pub(crate) fn forget(&mut self, stations: &mut Stations<'_>, n: u32) {
        let mut b = self.waiting.first;
        while stations[n].barriers > 0 && b != 0 {
            let BarrierRow { station, link, .. } = self.rows[b];
            if station == n {
                self.close(stations, b);
            }
            b = link.next;
        }
    }

    pub(crate) fn used(&self) -> usize {
        self.rows.used()
    }

    pub(crate) fn limit(&self) -> usize {
        self.rows.limit()
    }

    pub(crate) fn check(&self, stations: &Stations<'_>) -> Result<(), &'static str> {
        let (mut b, mut seen, mut mark) = (self.waiting.first, 0, 0);
        while b != 0 {
            let Some(row) = self.rows.get(b) else { return Err("barriers: the list leads out of the table") };
            if row.station == 0 || !stations[row.station].lives() {
                return Err("barriers: who waits is gone");
            }
            if row.mark < mark {
                return Err("barriers: not in the order of their marks");
            }
            (b, seen, mark) = (row.link.next, seen + 1, row.mark);
            if seen > self.rows.used() {
                return Err("barriers: the list runs in a circle");
            }
        }
        let counted: u64 = (1..=stations.made()).map(|n| stations[n].barriers as u64).sum();
        if seen != self.rows.used() || counted != seen as u64 {
            return Err("barriers: counted wrongly");
        }
        Ok(())
    }
}
