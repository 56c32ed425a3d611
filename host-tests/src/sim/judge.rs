//! What one connection must hear and has heard.
//!
//! Owns: the list of what is to come, and whether something that has come was the next of it. Does not own
//! why it is to come: that is the model's.

use super::model::Expect;
use super::plan::Speech;
use super::words::{Heard, Token};
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
}

impl Judge {
    /// Something is to come.
    pub fn expect(&mut self, e: Expect) {
        let at = self.pending.partition_point(|p| p.group <= e.group);
        self.pending.insert(at, e);
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
    pub fn hear(&mut self, heard: &Heard, speech: Speech) -> Result<(), String> {
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
        if e.loose {
            return Ok(());
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
