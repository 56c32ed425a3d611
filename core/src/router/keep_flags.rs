//! Flags between the router and a shell that keeps them.
//!
//! Owns: the calls for that, and that watchers are told of what a shell has found. Does not own
//! which flags changed (`flags/kept.rs`) nor where they are kept.

use super::Router;
use super::counters::Counter;
use super::flags::kept::{Put, Record};
use super::flags::{FlagError, MAX_FLAG_NAME, Raise, Raised, RaisedFlag};
use crate::model::{Flag, FlagChange};
use crate::time::Instant;

impl Router<'_> {
    /// From here on the shell takes note of each flag that changes: by [`Router::changed_flag`]
    /// and [`Router::flag_taken`], after each batch of events. Lowered flags keep their rows until
    /// it has.
    pub fn keep_flags(&mut self) {
        self.flags.keep();
    }

    /// A flag that has changed since the shell took note of it, as it is now: raised, raised
    /// again or lowered ([`RaisedFlag::is_up`]). It stays the first one until
    /// [`Router::flag_taken`], so who has no room for it loses nothing.
    pub fn changed_flag(&self) -> Option<&RaisedFlag> {
        self.flags.changed()
    }

    /// Note was taken of [`Router::changed_flag`].
    pub fn flag_taken(&mut self) {
        self.flags.taken();
    }

    /// A flag was found where flags are kept: the table is brought to that, and watchers are told
    /// if it says anything new. If it has changed here meanwhile that is the newer, and the shell
    /// will be told instead.
    ///
    /// # Errors
    /// As of a station that raises one.
    pub fn put_flag(&mut self, now: Instant, flag: &Raise<'_>) -> Result<Put, FlagError> {
        let now = self.clock(now);
        let put = self.flags.put(flag, now)?;
        if let Put::Done(what) = put {
            self.tell_raised(flag, what);
            self.reap();
        }
        Ok(put)
    }

    /// A flag is no longer where flags are kept: it is lowered, also if only a person may do
    /// that, because a person did.
    ///
    /// # Errors
    /// [`FlagError::NotRaised`]: it is not up. [`FlagError::BadName`]: nor could it be.
    pub fn put_flag_down(&mut self, now: Instant, unit: &str, section: &str, name: &str) -> Result<Put, FlagError> {
        self.clock(now);
        let put = self.flags.put_down(unit, section, name)?;
        if let Put::Done(_) = put {
            self.tell_lowered(unit, section, name);
            self.reap();
        }
        Ok(put)
    }

    /// Raises a flag of the node's own: in memory only, and there is room for
    /// [`OWN_ROWS`](super::flags::kept::OWN_ROWS) of them however full the table is. One of this
    /// name that somebody else has raised stays as it is.
    ///
    /// # Errors
    /// As of a station that raises one.
    pub fn raise_own_flag(&mut self, now: Instant, flag: &Raise<'_>) -> Result<(), FlagError> {
        let now = self.clock(now);
        let when = self.stamp_now().micros() / 1000;
        let record = Record { first_ms: when, last_ms: when, ..flag.record };
        let flag = Raise { record, ..*flag };
        let what = self.flags.raise_own(&flag, now)?;
        self.tell_raised(&flag, what);
        self.reap();
        Ok(())
    }

    /// Lowers one of the node's own flags, if it is up.
    pub fn lower_own_flag(&mut self, now: Instant, unit: &str, section: &str, name: &str) {
        self.clock(now);
        let is_own = super::flags::full_name(unit, section, name).is_ok_and(|full| self.flags.is_own(&full));
        if is_own && self.flags.lower(unit, section, name, true).is_ok() {
            self.tell_lowered(unit, section, name);
            self.reap();
        }
    }

    /// What is kept of a flag that a station raises now.
    pub(super) fn flag_record<'f>(&self, f: &Flag<'f>) -> Record<'f> {
        let now = self.stamp_now().micros() / 1000;
        let Flag { source_file, function, line, .. } = *f;
        Record { source_file, function, line, first_ms: now, last_ms: now, times: 1 }
    }

    fn tell_raised(&mut self, flag: &Raise<'_>, what: Raised) {
        if what == Raised::Again {
            return;
        }
        self.counters.one(Counter::FlagsRaised);
        let Ok(name) = super::flags::full_name(flag.unit, flag.section, flag.name) else { return };
        self.tell_flag(&FlagChange {
            raised: true,
            name: &name,
            description: flag.description,
            priority: flag.priority,
            tags: flag.tags,
            manual_down: flag.manual_down,
            station: flag.station,
        });
    }

    fn tell_lowered(&mut self, unit: &str, section: &str, name: &str) {
        self.counters.one(Counter::FlagsLowered);
        let name: heapless::String<MAX_FLAG_NAME, u8> =
            super::flags::full_name(unit, section, name).unwrap_or_default();
        self.tell_flag(&FlagChange { raised: false, name: &name, ..FlagChange::default() });
    }
}
