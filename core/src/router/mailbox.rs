//! Messages that wait for somebody to join a declared name (D9).
//!
//! Owns: the table of waiting messages, in order per name, and in which forms their bytes may
//! be. Does not own when they expire (`timers.rs`), who gets them (`keep.rs`), nor a copy of
//! them on disk (`restore.rs`).

use super::names::Names;
use crate::buffer::pool::{Chain, Pool};
#[cfg(feature = "durable")]
use crate::buffer::slab::Ends;
use crate::buffer::slab::{Link, Linked, Row, Slab, append, remove};
use heapless::vec::VecView;

/// In which form the bytes of a waiting message are. The number is on disk: it keeps its meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Form {
    /// A letter of the model in the native encoding, with its sender's address.
    Letter = 1,
    /// A line of the Communicator, with its source and its end.
    #[cfg(feature = "communicator")]
    Line = 2,
}

impl Form {
    /// From its number; `None`: one of a later version.
    #[cfg(feature = "durable")]
    pub const fn of(number: u8) -> Option<Form> {
        match number {
            1 => Some(Form::Letter),
            #[cfg(feature = "communicator")]
            2 => Some(Form::Line),
            _ => None,
        }
    }

    /// Its number.
    #[cfg(feature = "durable")]
    pub const fn number(self) -> u8 {
        self as u8
    }
}

/// A waiting message.
#[derive(Debug)]
pub struct MailRow {
    /// Row of the name; 0: the row is free.
    pub(crate) name: u32,
    /// Row of the instance it is for, held; 0 is `*`.
    pub(crate) instance: u32,
    /// Who sent it: it does not come back to him. 0: somebody in an earlier life of the node. Of
    /// one that is in an outbox: how much its station will have taken when it is written.
    pub(crate) from: u64,
    pub(crate) form: Form,
    pub(crate) bytes: Chain,
    /// Its number on disk; 0: it is in memory only.
    #[cfg(feature = "durable")]
    pub(crate) number: u64,
    of_name: Link,
}

impl Row for MailRow {
    const EMPTY: MailRow = MailRow {
        name: 0,
        instance: 0,
        from: 0,
        form: Form::Letter,
        bytes: Chain::EMPTY,
        #[cfg(feature = "durable")]
        number: 0,
        of_name: Link::NONE,
    };
    fn free_link(&mut self) -> &mut u32 {
        &mut self.of_name.next
    }
}

impl MailRow {
    pub(crate) fn next_of_name(&self) -> u32 {
        self.of_name.next
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
    /// Blocks of the pool that waiting messages hold.
    blocks: u64,
    /// Rows of messages that are in outboxes, of which the disk does not know that.
    #[cfg(feature = "durable")]
    owed: u32,
}

impl<'s> Mailbox<'s> {
    pub(crate) fn new(rows: &'s mut VecView<MailRow>, limit: usize) -> Self {
        Mailbox {
            rows: Slab::new(rows, limit),
            blocks: 0,
            #[cfg(feature = "durable")]
            owed: 0,
        }
    }

    /// Keeps a message for the name and instance in rows `n` and `instance` (0: `*`). `None`: no
    /// row or no memory; mail may hold half of the common memory.
    pub(crate) fn keep(
        &mut self,
        names: &mut Names<'_>,
        pool: &mut Pool<'_>,
        (n, instance): (u32, u32),
        from: u64,
        (form, bytes): (Form, &[u8]),
    ) -> Option<u32> {
        let need = bytes.len().div_ceil(pool.block()) as u64;
        if self.blocks + need > pool.usage().1 as u64 / 2 || bytes.len() > pool.free_bytes() / 2 {
            return None;
        }
        let k = self.rows.take()?;
        let mut chain = Chain::EMPTY;
        if !pool.push(&mut chain, bytes) {
            self.rows.give(k);
            return None;
        }
        self.blocks += pool.held(&chain);
        self.rows[k] = MailRow { name: n, instance, from, form, bytes: chain, ..MailRow::EMPTY };
        append::<OfName, _>(&mut self.rows, &mut names.row_mut(n).mail, k);
        names.hold_row(n);
        if instance != 0 {
            names.hold_row(instance);
        }
        Some(k)
    }

    /// Drops a waiting message.
    pub(crate) fn drop(&mut self, names: &mut Names<'_>, pool: &mut Pool<'_>, k: u32) {
        self.empty(names, pool, k);
        self.rows.give(k);
    }

    /// As [`Mailbox::drop`], but its row is still taken.
    fn empty(&mut self, names: &mut Names<'_>, pool: &mut Pool<'_>, k: u32) {
        let (n, instance) = (self.rows[k].name, self.rows[k].instance);
        remove::<OfName, _>(&mut self.rows, &mut names.row_mut(n).mail, k);
        self.blocks -= pool.held(&self.rows[k].bytes);
        pool.clear(&mut self.rows[k].bytes);
        self.rows[k].name = 0;
        if instance != 0 {
            names.release(instance);
        }
        names.release(n);
    }

    /// As [`Mailbox::drop`], but its number stays until [`Mailbox::take_written`]: it enters an
    /// outbox. `of_station` are those in there; it is written when the station has taken that much.
    #[cfg(feature = "durable")]
    pub(crate) fn owe(
        &mut self,
        names: &mut Names<'_>,
        pool: &mut Pool<'_>,
        k: u32,
        of_station: &mut Ends,
        written_at: u64,
    ) {
        self.empty(names, pool, k);
        self.rows[k].from = written_at;
        append::<OfName, _>(&mut self.rows, of_station, k);
        self.owed += 1;
    }

    /// The number on disk of the first message in an outbox, if its station has taken that much:
    /// `taken`.
    #[cfg(feature = "durable")]
    pub(crate) fn take_written(&mut self, of_station: &mut Ends, taken: u64) -> Option<u64> {
        let k = of_station.first;
        let row = self.rows.get(k).filter(|row| row.from <= taken)?;
        let number = row.number;
        remove::<OfName, _>(&mut self.rows, of_station, k);
        self.rows.give(k);
        self.owed -= 1;
        Some(number)
    }

    pub(crate) fn row(&self, k: u32) -> Option<&MailRow> {
        self.rows.get(k).filter(|row| row.name != 0)
    }

    /// Row `k` has this number on disk.
    #[cfg(feature = "durable")]
    pub(crate) fn is_on_disk(&mut self, k: u32, number: u64) {
        self.rows[k].number = number;
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
                held += pool.held(&row.bytes);
                if !names.row(row.name).is_held() {
                    return Err("mail: for a name without a row");
                }
            }
        }
        #[cfg(feature = "durable")]
        {
            used += self.owed as usize;
        }
        if used != self.rows.used() || held != self.blocks {
            return Err("mail: rows are counted wrongly");
        }
        Ok(held)
    }
}
