//! What is there: stations, names, members, values, flags, counters, status; a page at a time.
//!
//! Owns: pages and their cursors. A page ends after `Settings::page` rows, or when half of
//! the asker's outbox is full; its outcome says how to go on (`next`), so a list of any
//! length costs bounded memory and a bounded time per request. A cursor is a place in a
//! table, in decimal: what is there during the whole listing is shown exactly once.

use super::faults::fault;
use super::stations::Life;
use super::{Counter, Rights, Router};
use crate::model::{Code, Item, List, Outcome, ServerToClient, What};
use core::fmt::Write;

/// Rows of a table that are looked at for one page, whether shown or not.
const LOOK: u32 = 4096;

/// Who takes shorter frames than this is not told where flags come from: it would not fit.
#[cfg(feature = "kept-flags")]
const MIN_ORIGIN_FRAME: u32 = 1024;

/// Text of a number.
pub(super) type Digits = heapless::String<24, u8>;

/// Text of a row of the status.
type Line = heapless::String<96, u8>;

/// Text of two numbers.
type Place = heapless::String<40, u8>;

impl Router<'_> {
    pub(super) fn list(&mut self, n: u32, l: &List<'_>) {
        self.see_list(n, l);
        if !self.stations[n].grant.rights.has(Rights::READ) {
            return self.refuse(n, l.seq, Code::Refused, "no grant to read");
        }
        if l.what == What::Stations && self.stations[n].grant.restricted {
            return self.refuse(n, l.seq, Code::Refused, "no grant to list stations");
        }
        if matches!(l.what, What::Unknown(_)) {
            return self.refuse(n, l.seq, Code::BadRequest, "an unknown kind of list");
        }
        if l.what == What::Members {
            return self.list_members(n, l);
        }
        let Ok(mut at) = (if l.after.is_empty() { Ok(0) } else { l.after.parse::<u32>() }) else {
            return self.refuse(n, l.seq, Code::BadRequest, "after is not a cursor of this list");
        };
        let (mut rows, mut looked) = (0, 0);
        let more = loop {
            if rows >= self.settings.page || looked >= LOOK || !self.has_room(n) {
                break true;
            }
            looked += 1;
            let next = match l.what {
                What::Stations => self.list_station(n, l, at),
                What::Names => self.list_name(n, l, at),
                What::Values => self.list_value(n, l, at),
                What::Flags => self.list_flag(n, l, at),
                What::Counters => self.list_counter(n, l, at),
                _ => self.list_status(n, l, at),
            };
            match next {
                Some((next, shown)) => {
                    at = next;
                    rows += shown as u32;
                }
                None => break false,
            }
        };
        let mut next = Digits::new();
        if more {
            let _ = write!(next, "{at}");
        }
        self.end_of_page(n, l.seq, &next, rows);
    }

    fn end_of_page(&mut self, n: u32, seq: u32, next: &str, count: u32) {
        self.say(n, &ServerToClient::Outcome(Outcome { seq, code: Code::Ok, text: "", next, count }));
    }

    /// Whether another row may go into the outbox of station `n`. If not even one may, the
    /// page is empty and its cursor the one that came: ask again when what waits is read.
    fn has_room(&self, n: u32) -> bool {
        let st = &self.stations[n];
        st.lives() && st.out.len() <= self.settings.outbox / 2
    }

    /// Looks at one row at or behind `at`. `None`: there is none. Otherwise where to go on,
    /// and whether it was shown.
    fn list_station(&mut self, n: u32, l: &List<'_>, at: u32) -> Option<(u32, bool)> {
        let s = at.checked_add(1)?;
        if s > self.stations.made() {
            return None;
        }
        if fault!(self, ListLeavesOut) {
            return Some((s, false));
        }
        let station = self.stations.id(s).number();
        let row = &self.stations[s];
        if row.life != Life::Ready || !row.name.starts_with(l.name) {
            return Some((s, false));
        }
        let item = Item {
            seq: l.seq,
            what: l.what,
            name: &row.name,
            station,
            text: row.session.dialect().name(),
            count: row.joins as u64,
            age_ms: (self.now - row.connected).millis() as u64,
            ..Item::default()
        };
        let wording = self.stations[n].session.wording();
        let len = wording.say(self.here(), &ServerToClient::Item(item), self.encode);
        self.put_row(n, l.seq, len);
        Some((s, true))
    }

    fn list_name(&mut self, n: u32, l: &List<'_>, at: u32) -> Option<(u32, bool)> {
        let r = at.checked_add(1)?;
        if r > self.names.made() {
            return None;
        }
        let row = self.names.row(r);
        if !row.is_held() || !row.is_listed() || !row.text().starts_with(l.name) || !self.may_see(n, row.text()) {
            return Some((r, false));
        }
        let item = Item {
            seq: l.seq,
            what: l.what,
            name: row.text(),
            count: row.count as u64,
            exclusive: row.exclusive,
            manual: row.is_declared(),
            ..Item::default()
        };
        let wording = self.stations[n].session.wording();
        let len = wording.say(self.here(), &ServerToClient::Item(item), self.encode);
        self.put_row(n, l.seq, len);
        Some((r, true))
    }

    /// Restricted stations see only what they have a grant for.
    pub(super) fn may_see(&self, n: u32, name: &str) -> bool {
        self.covers(n, Rights::READ, name)
    }

    /// Members of one name, in the order in which they joined. The cursor is the number of the
    /// membership behind which to go on, and where it stood: if it has ended since, all that
    /// began later are still behind it.
    fn list_members(&mut self, n: u32, l: &List<'_>) {
        if !self.may_see(n, l.name) {
            return self.refuse(n, l.seq, Code::Refused, "no grant to read that name");
        }
        let (row, after) = match l.after.split_once('-').map(|(row, after)| (row.parse(), after.parse())) {
            None if l.after.is_empty() => (0, 0),
            Some((Ok(row), Ok(after))) => (row, after),
            _ => return self.refuse(n, l.seq, Code::BadRequest, "after is not a cursor of this list"),
        };
        let name = self.names.find(l.name).unwrap_or(0);
        let mut m = self.names.member_behind(name, row, after);
        let (mut rows, mut last) = (0u32, (row, after));
        while m != 0 && rows < self.settings.page && self.has_room(n) {
            let member = &self.names.members[m];
            let item = Item {
                seq: l.seq,
                what: l.what,
                name: &self.stations[member.station].name,
                station: self.stations.id(member.station).number(),
                instance: self.names.instance_text(member.instance),
                exclusive: member.exclusive,
                ..Item::default()
            };
            last = (m, member.serial);
            m = member.next_of_name();
            let wording = self.stations[n].session.wording();
            let len = wording.say(self.here(), &ServerToClient::Item(item), self.encode);
            self.put_row(n, l.seq, len);
            rows += 1;
        }
        let mut next = Place::new();
        if m != 0 {
            let _ = write!(next, "{}-{}", last.0, last.1);
        }
        self.end_of_page(n, l.seq, &next, rows);
    }

    fn list_flag(&mut self, n: u32, l: &List<'_>, at: u32) -> Option<(u32, bool)> {
        let (next, flag) = self.flags.next(at)?;
        if !flag.full_name().starts_with(l.name) || !self.may_see(n, flag.full_name()) {
            return Some((next, false));
        }
        #[cfg(feature = "kept-flags")]
        let now = self.stamp_now().micros() / 1000;
        let item = Item {
            seq: l.seq,
            what: l.what,
            name: flag.full_name(),
            station: flag.station(),
            text: flag.description(),
            count: flag.priority() as u64,
            age_ms: (self.now - flag.raised()).millis() as u64,
            tags: flag.tags(),
            manual: flag.manual_down(),
            ..Item::default()
        };
        #[cfg(feature = "kept-flags")]
        let item = {
            let record = flag.record();
            let is_said = self.stations[n].max_frame >= MIN_ORIGIN_FRAME;
            Item {
                age_ms: now.saturating_sub(record.first_ms),
                last_ms: now.saturating_sub(record.last_ms),
                times: record.times as u64,
                source_file: if is_said { record.source_file } else { "" },
                function: if is_said { record.function } else { "" },
                line: if is_said { record.line } else { 0 },
                ..item
            }
        };
        let wording = self.stations[n].session.wording();
        let len = wording.say(self.here(), &ServerToClient::Item(item), self.encode);
        self.put_row(n, l.seq, len);
        Some((next, true))
    }

    fn list_counter(&mut self, n: u32, l: &List<'_>, at: u32) -> Option<(u32, bool)> {
        let counter = *Counter::ALL.get(at as usize)?;
        if !counter.name().starts_with(l.name) {
            return Some((at + 1, false));
        }
        let count = self.counters.get(counter);
        let item = Item { seq: l.seq, what: l.what, name: counter.name(), count, ..Item::default() };
        self.say(n, &ServerToClient::Item(item));
        Some((at + 1, true))
    }

    /// The node itself, then how full its tables are.
    fn list_status(&mut self, n: u32, l: &List<'_>, at: u32) -> Option<(u32, bool)> {
        let mut text = Line::new();
        let usage = self.usage();
        let (name, count) = match at {
            0 => ("node", text.push_str(self.settings.node).map_or(0, |()| 0)),
            1 => ("version", text.push_str(self.settings.version).map_or(0, |()| 0)),
            2 => ("uptime_ms", self.now.millis() - self.started.millis()),
            3 => ("max_frame", self.settings.max_frame as u64),
            4 => ("max_value", self.max_value() as u64),
            5 => ("outbox", self.settings.outbox as u64),
            _ => match self.dialect_status(at as usize - 6) {
                Ok(row) => row,
                Err(row) => match usage.get(row) {
                    Some(u) => {
                        let _ = write!(text, "of {}", u.limit);
                        (u.name, u.used)
                    }
                    None => match self.more_status(row - usage.len(), &mut text)? {
                        Some(row) => row,
                        None => return Some((at + 1, false)),
                    },
                },
            },
        };
        if !name.starts_with(l.name) {
            return Some((at + 1, false));
        }
        let item = Item { seq: l.seq, what: l.what, name, text: &text, count, ..Item::default() };
        self.say(n, &ServerToClient::Item(item));
        Some((at + 1, true))
    }

    /// Rows behind the tables. `None`: there are no more; `Some(None)`: this one is not there.
    fn more_status(&mut self, row: usize, text: &mut Line) -> Option<Option<(&'static str, u64)>> {
        /// Of the master.
        const ROWS: usize = if cfg!(feature = "clacks") { 2 } else { 0 };
        #[cfg(feature = "clacks")]
        if row < ROWS {
            return Some(self.master_status(row).map(|(name, count, words)| {
                let _ = text.push_str(words);
                (name, count)
            }));
        }
        self.store_status(row - ROWS, text).map(Some)
    }

    /// What only one dialect has. An error: it is that row of those behind these.
    fn dialect_status(&self, row: usize) -> Result<(&'static str, u64), usize> {
        let rows: &[(&'static str, u64)] = &[
            #[cfg(feature = "msgq")]
            ("msgq_max_body", self.settings.msgq.max_body as u64),
            #[cfg(feature = "msgq")]
            ("msgq_outbox", self.settings.msgq.outbox as u64),
            #[cfg(feature = "clacks")]
            ("clacks_max_line", self.settings.clacks.max_line as u64),
            #[cfg(feature = "clacks")]
            ("clacks_max_value", self.max_value_here() as u64),
            #[cfg(feature = "clacks")]
            ("clacks_outbox", self.settings.clacks.outbox as u64),
            #[cfg(feature = "clacks")]
            ("clacks_links", self.clacks.links() as u64),
            #[cfg(feature = "clacks")]
            ("clacks_monitors", self.clacks.monitors() as u64),
        ];
        rows.get(row).copied().ok_or_else(|| row - rows.len())
    }

    #[cfg(not(feature = "durable"))]
    fn store_status(&self, _: usize, _: &mut Line) -> Option<(&'static str, u64)> {
        None
    }

    /// How values are kept, and how many changes are not on disk yet.
    #[cfg(feature = "durable")]
    fn store_status(&mut self, row: usize, text: &mut Line) -> Option<(&'static str, u64)> {
        use super::store::Keeping;
        let kept = self.store.get_mut().kept();
        match row {
            0 => {
                let _ = text.push_str(match kept.how {
                    Keeping::Memory => "in memory",
                    Keeping::Disk => "on disk",
                    Keeping::Behind => "disk behind, changes refused",
                    Keeping::Failing => "disk fails, changes refused",
                });
                Some(("store", 0))
            }
            1 if kept.how == Keeping::Memory => None,
            1 => Some(("store_unwritten", kept.waiting)),
            2 => {
                let trouble = self.store.get().trouble();
                if trouble.is_empty() {
                    return None;
                }
                // as much of it as there is room for
                let end = (0..=trouble.len().min(text.capacity())).rev().find(|n| trouble.is_char_boundary(*n));
                let _ = text.push_str(&trouble[..end.unwrap_or(0)]);
                Some(("store_trouble", 0))
            }
            _ => None,
        }
    }
}
