//! What one connection must hear and has heard.
//!
//! Owns: the list of what is to come, and whether something that has come was the next of it. Does not own
//! why it is to come: that is the model's.

use super::model::{Expect, What};
use super::plan::Speech;
use super::words::{Heard, Row, Token};
use std::collections::BTreeSet;

/// The judge of one connection.
#[derive(Debug, Default)]
pub struct Judge {
    pending: Vec<Expect>,
    /// Messages that it has heard.
    had: BTreeSet<Token>,
    /// The node has let go of it: it may be told why.
    is_leaving: bool,
    /// Copies that were to come and have not.
    pub missed: usize,
    listing: Listing,
    /// Milliseconds that octets are under way.
    delay: u64,
    /// When something last waited for the station: until then it may be late.
    lagged: u64,
}

/// A list that comes page by page.
#[derive(Debug, Default)]
struct Listing {
    /// What each page has shown.
    shown: Vec<(u64, String)>,
    /// What was there whenever a page was asked for.
    always: BTreeSet<(u64, String)>,
}

impl Listing {
    /// A page has come; `all`: what was there when it was asked for.
    fn page(&mut self, first: bool, all: &[Row], rows: &[Row], more: bool) -> Result<(), String> {
        let there: BTreeSet<_> = all.iter().map(Row::key).collect();
        match first {
            true => *self = Listing { shown: Vec::new(), always: there },
            false => self.always.retain(|key| there.contains(key)),
        }
        for row in rows {
            if !all.contains(row) {
                return Err(format!("D12: a list shows {row:?}, and there are {all:?}"));
            }
            if self.always.contains(&row.key()) && self.shown.contains(&row.key()) {
                return Err(format!("D12: a list shows {row:?} twice"));
            }
            self.shown.push(row.key());
        }
        match self.always.iter().find(|key| !more && !self.shown.contains(key)) {
            Some(left_out) => Err(format!("D12: a list has left out {left_out:?}")),
            None => Ok(()),
        }
    }
}

impl Judge {
    /// Of a connection on which octets are under way for so long.
    pub fn new(delay: u64) -> Self {
        Judge { delay, ..Judge::default() }
    }

    /// Something is to come.
    pub fn expect(&mut self, now: u64, e: Expect) {
        let at = self.pending.partition_point(|p| p.group <= e.group);
        self.pending.insert(at, Expect { at: now, ..e });
    }

    /// Something waits for the station, because it does not read or the network is full.
    pub fn lags(&mut self, now: u64) {
        self.lagged = now;
    }

    /// Whatever is to come may also not: the station is on its way out.
    pub fn release(&mut self) {
        self.is_leaving = true;
        self.pending.iter_mut().for_each(|e| e.sure = false);
    }

    /// Something has come.
    ///
    /// # Errors
    /// If it was not to come, or not yet.
    pub fn hear(&mut self, now: u64, heard: &Heard, speech: Speech) -> Result<(), String> {
        let is_last_word = self.is_leaving && matches!(heard, Heard::Outcome { seq: 0, .. });
        if *heard == Heard::Other || is_last_word {
            return Ok(());
        }
        let found = self.pending.iter().position(|e| e.what.fits(heard, speech));
        if let Heard::Letter { token, .. } = heard
            && !self.had.insert(*token)
            && found.is_none()
        {
            return Err(format!("D2, D3: message #{token} comes a second time: {heard:?}"));
        }
        let Some(at) = found else {
            let next = self.pending.iter().find(|e| e.sure);
            return Err(format!("nobody was to hear {heard:?}; next is {next:?}"));
        };
        let e = self.pending.remove(at);
        if let What::Page { first, all: Some(all), .. } = &e.what {
            match heard {
                Heard::Page { rows, more, .. } => self.listing.page(*first, all, rows, *more)?,
                _ => self.listing.page(*first, all, &[], false)?,
            }
        }
        if e.loose {
            return Ok(());
        }
        if *heard == Heard::Welcome && speech == Speech::Msgq {
            // until it asks for its name, a station of MSGQ is handed nothing
            self.lags(now);
        }
        if e.at > self.lagged && now > e.at + self.delay {
            let late = now - e.at - self.delay;
            return Err(format!("D4: {heard:?} comes {late} ms late to who reads all"));
        }
        let before = |p: &Expect| !p.loose && p.group < e.group;
        if let Some(first) = self.pending.iter().find(|p| p.sure && before(p)) {
            return Err(format!("D1, D3: {heard:?} comes, and {:?} has not", first.what));
        }
        let all = self.pending.len();
        self.pending.retain(|p| !before(p));
        self.missed += all - self.pending.len();
        Ok(())
    }

    /// Nothing is under way any more: what is missing.
    pub fn missing(&self) -> Option<&Expect> {
        self.pending.iter().find(|e| e.sure)
    }

    /// Whether something is to come for certain.
    pub fn waits(&self) -> bool {
        self.missing().is_some()
    }
}
