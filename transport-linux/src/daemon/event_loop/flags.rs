//! Flags between the router and their files.
//!
//! Owns: handing over what has changed on the bus, taking what has changed in files, and the node's
//! own flags about both. Never waits for a disk but at the very end.

use std::time::{Duration, UNIX_EPOCH};

use chappe_core::limits::MAX_FLAG_TEXT;
use chappe_core::router::flags::kept::{Put, Record};
use chappe_core::router::flags::{FlagError, Raise};
use chappe_core::time::Instant;
use tracing::{debug, error, warn};

use super::EventLoop;
use crate::flags::{FlagName, News, OnBus, shown};
use crate::sys::Signal;

/// Of the node's own flag that says that flags are not in files.
const FAILING: [&str; 3] = ["chappe", "flags", "file-write"];

/// Of the one that says that not all files are shown: as the Communicator calls it.
const SHORT: [&str; 3] = ["communicator", "flag", "too-many-flags"];

impl EventLoop<'_> {
    /// Hands over what has changed on the bus, as far as there is room.
    #[inline]
    pub(super) fn keep_flags(&mut self, now: Instant) {
        if self.flags.is_some() && self.router.changed_flag().is_some() {
            self.hand_over_flags(now);
        }
    }

    #[cold]
    fn hand_over_flags(&mut self, now: Instant) {
        let Some(flags) = &mut self.flags else { return };
        while let Some(row) = self.router.changed_flag() {
            if !flags.keeper.put(row) {
                break;
            }
            if !flags.waiting.is_empty()
                && let Some(name) = FlagName::parse(row.full_name())
            {
                flags.waiting.remove(&name);
                flags.retry |= !row.is_up();
            }
            self.router.flag_taken();
        }
        if std::mem::take(&mut flags.retry) {
            self.take_flags(now);
        }
    }

    /// Takes what others have changed in files.
    pub(super) fn take_flags(&mut self, now: Instant) {
        let Some(flags) = &mut self.flags else { return };
        let News { found, trouble, more } = flags.keeper.news();
        for (name, change) in found {
            match change {
                Some(file) => drop(flags.waiting.insert(name, file)),
                None => {
                    debug!(event = "flags.gone", flag = %name, "its file is gone: it is lowered");
                    flags.waiting.remove(&name);
                    // What is not up is not up.
                    let _ = self.router.put_flag_down(now, name.unit(), name.section(), name.name());
                }
            }
        }
        let since_1970 = UNIX_EPOCH.elapsed().map_or(0, |since| since.as_secs());
        for (name, file) in std::mem::take(&mut flags.waiting) {
            match self.router.put_flag(now, &OnBus::of(&file, since_1970).raise()) {
                Ok(Put::Done(_)) => debug!(event = "flags.found", flag = %name, "{}", file.log_line()),
                // It will be written as it is on the bus, or is the node's own.
                Ok(Put::Newer | Put::Own) => {}
                // Others may be up already, and only changed.
                Err(FlagError::Full) => drop(flags.waiting.insert(name, file)),
                Err(why) => {
                    warn!(event = "flags.refused", flag = %name, detail = why.text(), "a file's flag is refused")
                }
            }
        }
        self.say_own_flags(now, trouble, more);
    }

    /// What is wrong with flags is itself a flag.
    fn say_own_flags(&mut self, now: Instant, trouble: Option<String>, more: bool) {
        let Some(flags) = &mut self.flags else { return };
        let is_short = more || !flags.waiting.is_empty();
        if let Some(why) = trouble {
            let folder = &flags.folder;
            let text = || shown(&format!("flags and their files are not in step: {folder}: {why}"), MAX_FLAG_TEXT);
            // What is wrong first stays the text: a change would be news. If somebody has lowered the
            // flag it goes up again. There is room of its own for it, and it is well-formed.
            let text = flags.trouble.get_or_insert_with(text);
            let _ = self.router.raise_own_flag(now, &own(FAILING, text, "file-system,flag"));
        } else if flags.trouble.take().is_some() {
            let [unit, section, name] = FAILING;
            self.router.lower_own_flag(now, unit, section, name);
        }
        if is_short && !flags.is_short {
            let waiting = flags.waiting.len();
            warn!(event = "flags.short", waiting, "not all flags in files have room in the table: lower some");
            let text = "there are more flags in files than the table has room for: some are not shown; lower some";
            let _ = self.router.raise_own_flag(now, &own(SHORT, text, "flag,too-many"));
        } else if !is_short && flags.is_short {
            let [unit, section, name] = SHORT;
            self.router.lower_own_flag(now, unit, section, name);
        }
        flags.is_short = is_short;
    }

    /// The last that is done about flags: what has changed and is not in files yet is written.
    /// Returns how many changes could not be until `end`.
    pub(super) fn write_flags_out(&mut self, now: Instant, end: std::time::Instant) -> u64 {
        let is_over = || std::time::Instant::now() >= end;
        loop {
            self.keep_flags(now);
            let Some(flags) = &self.flags else { return 0 };
            if self.router.changed_flag().is_none() || self.told_twice || is_over() {
                break;
            }
            flags.keeper.wait_for_room(Duration::from_millis(50));
            self.told_twice |= self.signals.take() == Some(Signal::Stop);
        }
        let Some(flags) = &self.flags else { return 0 };
        flags.keeper.close();
        while !flags.keeper.wait(Duration::from_millis(50)) && !self.told_twice && !is_over() {
            self.told_twice |= self.signals.take() == Some(Signal::Stop);
        }
        let mut left = flags.keeper.waiting() as u64;
        while self.router.changed_flag().is_some() {
            left += 1;
            self.router.flag_taken();
        }
        if left > 0 {
            error!(event = "flags.lost", changes = left, "the disk did not take them, and it is time to go");
        }
        left
    }
}

fn own<'a>([unit, section, name]: [&'a str; 3], description: &'a str, tags: &'a str) -> Raise<'a> {
    let record = Record::default();
    Raise { unit, section, name, description, priority: 97, tags, manual_down: false, station: 0, record }
}
