//! News: who comes and goes (D7), which flags are raised.
//!
//! Owns: who is told what. A watcher is never told about itself. News is owed: a watcher that
//! does not read is closed rather than left with a gap.

use super::faults::fault;
use super::flags::{FlagError, Raise, Raised};
use super::policy::Class;
use super::presence::WatchRow;
use super::{Counter, Rights, Router};
use crate::limits::MIN_WATCHER_FRAME;
use crate::model::{Change, Code, Flag, FlagChange, Presence, ServerToClient, Watch};
use crate::name;

impl Router<'_> {
    pub(super) fn watch(&mut self, n: u32, w: &Watch<'_>) {
        self.see_watch(n, w);
        if w.off {
            self.watches.clear(&mut self.names, n);
            self.stations[n].watches = 0;
            return self.outcome(n, w.seq, Code::Ok, "");
        }
        if !(w.stations || w.members || w.flags) {
            return self.refuse(n, w.seq, Code::BadRequest, "a watch wants stations, members or flags");
        }
        if !w.name.is_empty() && (w.stations || w.flags || !w.members) {
            return self.refuse(n, w.seq, Code::BadRequest, "a watch of one name sees its members");
        }
        if !w.name.is_empty() && !name::is_valid(w.name) {
            return self.refuse(n, w.seq, Code::BadName, "a name has 1 to 128 bytes, no controls");
        }
        let grant = self.stations[n].grant;
        if !self.covers(n, Rights::READ, w.name) || (w.name.is_empty() && grant.restricted) {
            return self.refuse(n, w.seq, Code::Refused, "no grant to watch that");
        }
        if self.stations[n].max_frame < MIN_WATCHER_FRAME {
            return self.refuse(n, w.seq, Code::TooBig, "who watches must take frames of 512 octets");
        }
        if self.stations[n].watches >= self.settings.watches {
            return self.refuse(n, w.seq, Code::Full, "this station has as many watches as it may");
        }
        let held = match w.name {
            "" => Some(0),
            text => self.names.hold(text),
        };
        let Some(row) = held else {
            return self.refuse(n, w.seq, Code::Full, "the node's table of names is full");
        };
        let before = self.watches.used();
        let wish = WatchRow { station: n, name: row, stations: w.stations, members: w.members, flags: w.flags };
        let set = self.watches.set(&mut self.names, wish);
        if row != 0 {
            self.names.release(row);
        }
        self.stations[n].watches += (self.watches.used() - before) as u32;
        if set {
            self.outcome(n, w.seq, Code::Ok, "");
        } else {
            self.refuse(n, w.seq, Code::Full, "the node's table of watches is full");
        }
    }

    /// Tells watchers what happened to station `about`.
    pub(super) fn tell(&mut self, change: Change, about: u32, name: u32, instance: u32, reason: Code) {
        if self.watches.is_empty() {
            return;
        }
        let station = self.stations.id(about).number();
        // two watches of one station may cover the same change; it is told once
        self.next_stamp();
        for w in 1..=self.watches.made() {
            let Some(&watch) = self.watches.get(w) else { continue };
            let wanted = match change {
                Change::Joined | Change::Left => watch.members && (watch.name == 0 || watch.name == name),
                _ => watch.stations,
            };
            let watcher = &mut self.stations[watch.station];
            if !wanted || watch.station == about || !watcher.lives() || watcher.stamp == self.stamp {
                continue;
            }
            watcher.stamp = self.stamp;
            let news = Presence {
                change,
                station,
                station_name: &self.stations[about].name,
                name: if name == 0 { "" } else { self.names.row(name).text() },
                instance: if name == 0 { "" } else { self.names.instance_text(instance) },
                reason,
            };
            let wording = self.stations[watch.station].session.wording();
            let len = wording.say(self.here(), &ServerToClient::Presence(news), self.encode);
            self.told(watch.station, len);
        }
    }

    fn told(&mut self, n: u32, len: Option<usize>) {
        match len {
            Some(len) if self.post(n, len, Class::Owed).is_ok() => self.counters.one(Counter::Told),
            Some(_) => {}
            None => self.counters.one(Counter::DroppedTooBig),
        }
    }

    pub(super) fn flag(&mut self, n: u32, f: &Flag<'_>) {
        self.see_flag(n, f);
        if !self.covers(n, Rights::WRITE, f.unit) {
            return self.refuse(n, f.seq, Code::Refused, "no grant to raise and lower flags");
        }
        let station = self.stations.id(n).number();
        #[cfg(feature = "kept-flags")]
        let record = self.flag_record(f);
        let done = if f.raise {
            let raise = Raise {
                unit: f.unit,
                section: f.section,
                name: f.name,
                description: f.description,
                priority: f.priority,
                tags: f.tags,
                manual_down: f.manual_down,
                station,
                #[cfg(feature = "kept-flags")]
                record,
            };
            self.flags.raise(&raise, self.now)
        } else {
            self.flags.lower(f.unit, f.section, f.name, f.by_hand).map(|row| (Raised::Changed, row))
        };
        let (what, row) = match done {
            Ok(done) => done,
            Err(why) => {
                let code = match why {
                    FlagError::Full => Code::Full,
                    FlagError::NotRaised => Code::NotFound,
                    FlagError::ByHandOnly => Code::Refused,
                    _ => Code::BadRequest,
                };
                return self.refuse(n, f.seq, code, why.text());
            }
        };
        let full_name: heapless::String<{ super::flags::MAX_FLAG_NAME }, u8> =
            heapless::String::try_from(row.full_name()).unwrap_or_default();
        self.counters.one(if f.raise { Counter::FlagsRaised } else { Counter::FlagsLowered });
        self.outcome(n, f.seq, Code::Ok, "");
        if what != Raised::Again {
            let (description, tags) = if f.raise { (f.description, f.tags) } else { ("", "") };
            self.tell_flag(&FlagChange {
                raised: f.raise,
                name: &full_name,
                description,
                priority: f.priority,
                tags,
                manual_down: f.manual_down,
                station,
            });
        }
    }

    /// Tells watchers of flags, whoever changed one included.
    pub(super) fn tell_flag(&mut self, change: &FlagChange<'_>) {
        if fault!(self, FlagUntold) {
            return;
        }
        for w in 1..=self.watches.made() {
            let Some(&watch) = self.watches.get(w) else { continue };
            if watch.flags && self.stations[watch.station].lives() {
                let wording = self.stations[watch.station].session.wording();
                let len = wording.say(self.here(), &ServerToClient::FlagChange(*change), self.encode);
                self.told(watch.station, len);
            }
        }
    }
}
