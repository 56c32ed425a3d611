//! Messages that wait for somebody to join a declared name (D9).
//!
//! Owns: the table of waiting messages, in order per name. Their bytes are a letter of the
//! model in the native encoding, with its sender's address. Does not own when they expire
//! (`timers.rs`) nor who gets them.

use super::names::Names;
use crate::buffer::pool::{Chain, Pool};
use crate::buffer::slab::{Link, Linked, Row, Slab, append, remove};
use heapless::vec::VecView;

/// A waiting message.
#[derive(Debug)]
pub struct MailRow {
    /// Row of the name; 0: the row is free.
    pub(crate) name: u32,
    pub(crate) letter: Chain,
    of_name: Link,
}

impl Row for MailRow {
    const EMPTY: MailRow = MailRow { name: 0, letter: Chain::EMPTY, of_name: Link::NONE };
    fn free_link(&mut self) -> &mut u32 {
        &mut self.of_name.next
    }
}

struct OfName;

impl Linked<OfName> for MailRow {
    fn link(&mut self) -> &mut Link {
        &mut self.of_name
    }
}

/// The table.
#[derive(Debug)]
pub(crate) struct Mailbox<'s> {
    rows: Slab<'s, MailRow>,
}

impl<'s> Mailbox<'s> {
    pub(crate) fn new(rows: &'s mut VecView<MailRow>, limit: usize) -> Self {
        Mailbox { rows: Slab::new(rows, limit) }
    }

    /// Keeps a letter for the name in row `n`, which is held. `None`: no row or no memory.
    pub(crate) fn keep(&mut self, names: &mut Names<'_>, pool: &mut Pool<'_>, n: u32, letter: &[u8]) -> Option<u32> {
        // mail may take half of the common memory at most, for the reasons of policy.rs
        if letter.len() > pool.free_bytes() / 2 {
            return None;
        }
        let k = self.rows.take()?;
        let mut chain = Chain::EMPTY;
        if !pool.push(&mut chain, letter) {
            self.rows.give(k);
            return None;
        }
        self.rows[k] = MailRow { name: n, letter: chain, of_name: Link::NONE };
        append::<OfName, _>(&mut self.rows, &mut names.row_mut(n).mail, k);
        names.hold_row(n);
        Some(k)
    }

    /// Drops a waiting message, delivered or not.
    pub(crate) fn drop(&mut self, names: &mut Names<'_>, pool: &mut Pool<'_>, k: u32) {
        let n = self.rows[k].name;
        remove::<OfName, _>(&mut self.rows, &mut names.row_mut(n).mail, k);
        pool.clear(&mut self.rows[k].letter);
        self.rows[k].name = 0;
        self.rows.give(k);
        names.release(n);
    }

    pub(crate) fn row(&self, k: u32) -> Option<&MailRow> {
        self.rows.get(k).filter(|row| row.name != 0)
    }

    pub(crate) fn used(&self) -> usize {
        self.rows.used()
    }

    pub(crate) fn limit(&self) -> usize {
        self.rows.limit()
    }

    pub(crate) fn check(&self, names: &Names<'_>, pool: &Pool<'_>) -> Result<u64, &'static str> {
        let (mut used, mut held) = (0, 0);
        for k in 1..=self.rows.made() {
            if let Some(row) = self.row(k) {
                used += 1;
                held += pool.held(&row.letter);
                if !names.row(row.name).is_held() {
                    return Err("mail: for a name without a row");
                }
            }
        }
        if used != self.rows.used() {
            return Err("mail: rows are counted wrongly");
        }
        Ok(held)
    }
}
