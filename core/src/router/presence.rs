//! Who wants to be told who comes and goes (D7), and which flags are raised.
//!
//! Owns: the table of watches. A change looks at every watch, so there are few of them: their
//! number is a limit of the node. Does not own what happens.

use super::names::Names;
use crate::buffer::slab::{Row, Slab};
use heapless::vec::VecView;

/// One station's wish to be told.
#[derive(Debug, Clone, Copy)]
pub struct WatchRow {
    /// Row of the watcher; 0: the row is free.
    pub(crate) station: u32,
    /// Row of the only name of interest, held; 0: all.
    pub(crate) name: u32,
    pub(crate) stations: bool,
    pub(crate) members: bool,
    pub(crate) flags: bool,
}

impl Row for WatchRow {
    const EMPTY: WatchRow = WatchRow { station: 0, name: 0, stations: false, members: false, flags: false };
    fn free_link(&mut self) -> &mut u32 {
        &mut self.name
    }
}

/// The table.
#[derive(Debug)]
pub(crate) struct Watches<'s> {
    rows: Slab<'s, WatchRow>,
}

impl<'s> Watches<'s> {
    pub(crate) fn new(rows: &'s mut VecView<WatchRow>, limit: usize) -> Self {
        Watches { rows: Slab::new(rows, limit) }
    }

    /// Adds or replaces the watch of a station for a name (0: everything). `false`: full, and
    /// nothing has changed.
    pub(crate) fn set(&mut self, names: &mut Names<'_>, wish: WatchRow) -> bool {
        let same = |w: &u32| self.rows[*w].station == wish.station && self.rows[*w].name == wish.name;
        if let Some(w) = (1..=self.rows.made()).find(same) {
            self.rows[w] = wish;
            return true;
        }
        let Some(w) = self.rows.take() else { return false };
        self.rows[w] = wish;
        if wish.name != 0 {
            names.hold_row(wish.name);
        }
        true
    }

    /// Ends all watches of a station.
    pub(crate) fn clear(&mut self, names: &mut Names<'_>, station: u32) {
        for w in 1..=self.rows.made() {
            if self.rows[w].station == station {
                let name = self.rows[w].name;
                self.rows[w].station = 0;
                self.rows.give(w);
                if name != 0 {
                    names.release(name);
                }
            }
        }
    }

    /// The watch in row `w`, if there is one.
    pub(crate) fn get(&self, w: u32) -> Option<&WatchRow> {
        self.rows.get(w).filter(|row| row.station != 0)
    }

    /// Rows to look at are 1 to this.
    pub(crate) fn made(&self) -> u32 {
        self.rows.made()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rows.used() == 0
    }

    pub(crate) fn used(&self) -> usize {
        self.rows.used()
    }

    pub(crate) fn limit(&self) -> usize {
        self.rows.limit()
    }
}
