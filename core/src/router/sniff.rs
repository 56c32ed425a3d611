//! Monitors: stations that are shown what all others say, whatever their dialect.
//!
//! Owns: who monitors, what it wants to see, and that it costs nobody else anything (D4): what it
//! does not read is not shown to it and counted, and it is told how much that was. Does not own what
//! is shown of each message (`sniff/sights.rs`), how that is made to fit, nor which of it is secret
//! (`sniff/fit.rs`). Without the feature, and while nobody monitors, all of it is nothing.
//!
//! A monitor's outbox takes only what can be held back without anybody else noticing: less than
//! half of it, so that nobody has to wait until it was written, and only while half of the common
//! memory is free.

#[cfg(feature = "sniff")]
mod fit;
#[cfg(feature = "sniff")]
mod sights;

use super::Router;

/// What nodes do that were built without monitors.
#[cfg(not(feature = "sniff"))]
mod without {
    use super::Router;
    use crate::model::{Answer, Code, Declare, Flag, Join, Leave, Letter, List, Raw, Store, Watch};

    impl Router<'_> {
        #[inline(always)]
        pub(in crate::router) const fn sniffed(&self) -> bool {
            false
        }
        #[inline(always)]
        pub(in crate::router) const fn looks_on(&self, _: u32) -> bool {
            false
        }
        #[inline(always)]
        pub(in crate::router) fn see_letter(&mut self, _: u32, _: &Letter<'_>, _: Raw<'_>) {}
        #[inline(always)]
        pub(in crate::router) fn see_answer(&mut self, _: u32, _: &Answer<'_>, _: Raw<'_>, _: u32) {}
        #[inline(always)]
        pub(in crate::router) fn see_own_answer(&mut self, _: u32, _: Code) {}
        #[inline(always)]
        pub(in crate::router) fn see_answer_at_once(&mut self, _: u32, _: &Letter<'_>, _: Code, _: &str) {}
        #[inline(always)]
        pub(in crate::router) fn see_join(&mut self, _: u32, _: &Join<'_>) {}
        #[inline(always)]
        pub(in crate::router) fn see_leave(&mut self, _: u32, _: &Leave<'_>) {}
        #[inline(always)]
        pub(in crate::router) fn see_store(&mut self, _: u32, _: &Store<'_>) {}
        #[inline(always)]
        pub(in crate::router) fn see_flag(&mut self, _: u32, _: &Flag<'_>) {}
        #[inline(always)]
        pub(in crate::router) fn see_declare(&mut self, _: u32, _: &Declare<'_>) {}
        #[inline(always)]
        pub(in crate::router) fn see_watch(&mut self, _: u32, _: &Watch<'_>) {}
        #[inline(always)]
        pub(in crate::router) fn see_list(&mut self, _: u32, _: &List<'_>) {}
        #[inline(always)]
        pub(in crate::router) fn see_outcome(&mut self, _: u32, _: u32, _: Code, _: &str) {}
        #[inline(always)]
        pub(in crate::router) fn see_connected(&mut self, _: u32) {}
        #[inline(always)]
        pub(in crate::router) fn see_disconnected(&mut self, _: u32, _: Code) {}
        #[inline(always)]
        pub(in crate::router) fn own_up(&mut self, _: u32) {}
        #[inline(always)]
        pub(in crate::router) fn stop_sniffing(&mut self, _: u32) {}
    }
}

#[cfg(feature = "sniff")]
use {
    super::faults::fault,
    super::policy::Class,
    super::route::is_verb,
    super::stations::Life,
    super::{Counter, Rights},
    crate::dialect::Dialect,
    crate::limits::{MAX_MONITORS, MAX_NAME, MAX_STATION_NAME, MAX_VERB, MIN_MONITOR_FRAME},
    crate::model::{Code, Monitor, Seen, ServerToClient, Sight},
    crate::name,
    fit::Hidden,
};

/// What is known of one station.
#[cfg(feature = "sniff")]
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Own {
    /// It monitors.
    looks: bool,
    /// How much of its frame at hand was shown when it was looked at before.
    shown: u16,
}

#[cfg(feature = "sniff")]
impl Own {
    pub(crate) const EMPTY: Own = Own { looks: false, shown: 0 };

    /// Its frame at hand is done with.
    #[inline]
    pub(crate) fn done(&mut self) {
        self.shown = 0;
    }
}

/// What a monitor wants to see: what matches all of it.
#[cfg(feature = "sniff")]
#[derive(Debug)]
struct Filter {
    /// 0: any.
    station: u64,
    /// Of these, empty is any.
    station_name: heapless::String<MAX_STATION_NAME, u8>,
    name: heapless::String<MAX_NAME, u8>,
    verb: heapless::String<MAX_VERB, u8>,
    dialect: Option<Dialect>,
}

#[cfg(feature = "sniff")]
impl Filter {
    /// `None`: no message can match it; why.
    fn of(m: &Monitor<'_>) -> Result<Filter, (Code, &'static str)> {
        if !m.name.is_empty() && !name::is_valid(m.name) {
            return Err((Code::BadName, "a name has 1 to 128 bytes, no controls"));
        }
        let long = (Code::BadRequest, "a verb has at most 64 bytes, a station's name 48, no controls");
        if !is_verb(m.verb) || !name::no_controls(m.station_name) {
            return Err(long);
        }
        let dialect = match m.dialect {
            "" => None,
            wanted => match Dialect::ALL.iter().find(|d| d.name() == wanted) {
                Some(dialect) => Some(*dialect),
                None => return Err((Code::BadRequest, "this node does not speak that dialect")),
            },
        };
        Ok(Filter {
            station: m.station,
            station_name: heapless::String::try_from(m.station_name).map_err(|_| long)?,
            name: heapless::String::try_from(m.name).map_err(|_| long)?,
            verb: heapless::String::try_from(m.verb).map_err(|_| long)?,
            dialect,
        })
    }

    /// `also`: another name and verb that mean the same.
    fn wants(&self, seen: &Seen<'_>, dialect: Dialect, also: Option<(&str, &str)>) -> bool {
        let named = |name: &str| !name.is_empty() && name::matches(&self.name, name);
        (self.station == 0 || self.station == seen.station || self.station == seen.to)
            && (self.station_name.is_empty() || self.station_name == seen.station_name)
            && self.dialect.is_none_or(|d| d == dialect)
            && (self.name.is_empty() || named(seen.name) || also.is_some_and(|(name, _)| named(name)))
            && (self.verb.is_empty() || self.verb == seen.verb || also.is_some_and(|(_, verb)| self.verb == verb))
    }
}

/// A station that monitors.
#[cfg(feature = "sniff")]
#[derive(Debug)]
struct Row {
    station: u32,
    filter: Filter,
    /// What was not shown to it and it was not told of yet.
    missed: u64,
}

/// A set of monitors, by their place in the table.
#[cfg(feature = "sniff")]
type Some16 = u16;

#[cfg(feature = "sniff")]
const _: () = assert!(MAX_MONITORS <= Some16::BITS as usize);

/// Who monitors, and what was shown of the frame at hand.
#[cfg(feature = "sniff")]
#[derive(Debug)]
pub(crate) struct Sniff {
    rows: heapless::Vec<Row, MAX_MONITORS, u8>,
    /// How much of the frame at hand there was to show so far.
    at: u16,
    /// All of it was shown as one: what comes of it is not shown.
    whole: bool,
    /// Whose frame it is, and who was shown the last of it; 0: nothing was.
    of: u32,
    to: Some16,
}

#[cfg(feature = "sniff")]
impl Sniff {
    pub(crate) const fn new() -> Self {
        Sniff { rows: heapless::Vec::new(), at: 0, whole: false, of: 0, to: 0 }
    }

    /// A frame is looked at, perhaps once more.
    #[inline]
    pub(crate) fn frame(&mut self) {
        (self.at, self.whole, self.of) = (0, false, 0);
    }

    pub(crate) fn used(&self) -> usize {
        self.rows.len()
    }
}

#[cfg(feature = "sniff")]
impl Router<'_> {
    /// Whether anybody monitors.
    #[inline]
    pub(super) fn sniffed(&self) -> bool {
        !self.sniff.rows.is_empty()
    }

    /// Whether station `n` monitors.
    #[inline]
    pub(super) fn looks_on(&self, n: u32) -> bool {
        self.stations[n].sniff.looks
    }

    /// Whether each row is of a station that is there and knows of it.
    pub(super) fn check_sniff(&self) -> Result<(), &'static str> {
        let looking = (1..=self.stations.made()).filter(|n| self.looks_on(*n)).count();
        let fits = |row: &Row| self.looks_on(row.station) && self.stations[row.station].is_linked();
        if looking != self.sniff.rows.len() || !self.sniff.rows.iter().all(fits) {
            return Err("sniff: a monitor that is none, or is gone");
        }
        Ok(())
    }

    /// Station `n` wants to monitor, or not any more.
    pub(super) fn monitor_all(&mut self, n: u32, m: &Monitor<'_>) {
        self.see_monitor(n, m);
        if m.off {
            self.stop_sniffing(n);
            return self.outcome(n, m.seq, Code::Ok, "");
        }
        let grant = self.stations[n].grant;
        if grant.restricted || !grant.rights.has(Rights::READ | Rights::MANAGE) {
            let text = "no grant to monitor: it takes the rights to read and to manage, not only for certain names";
            return self.refuse(n, m.seq, Code::Refused, text);
        }
        if self.stations[n].max_frame < MIN_MONITOR_FRAME {
            return self.refuse(n, m.seq, Code::TooBig, "who monitors must take frames of 1024 octets");
        }
        let filter = match Filter::of(m) {
            Ok(filter) => filter,
            Err((code, text)) => return self.refuse(n, m.seq, code, text),
        };
        if let Some(row) = self.sniff.rows.iter_mut().find(|row| row.station == n) {
            row.filter = filter;
        } else if self.sniff.rows.push(Row { station: n, filter, missed: 0 }).is_err() {
            return self.refuse(n, m.seq, Code::Full, "16 stations monitor already");
        }
        self.stations[n].sniff.looks = true;
        self.arm(n);
        self.outcome(n, m.seq, Code::Ok, "");
    }

    /// Station `n` does not monitor any more.
    pub(super) fn stop_sniffing(&mut self, n: u32) {
        if core::mem::take(&mut self.stations[n].sniff.looks) {
            self.sniff.rows.retain(|row| row.station != n);
            // places have changed
            self.sniff.to = 0;
            self.arm(n);
        }
    }

    /// Who wants to see it, of station `n`.
    fn wanting(&self, n: u32, seen: &Seen<'_>, also: Option<(&str, &str)>) -> Some16 {
        let dialect = self.stations[n].session.dialect();
        let mut to = 0;
        for (k, row) in self.sniff.rows.iter().enumerate() {
            to |= Some16::from(row.filter.wants(seen, dialect, also)) << k;
        }
        to
    }

    /// Shows something that station `n` says, once, however often its frame is looked at.
    pub(in crate::router) fn see(&mut self, n: u32, seen: &Seen<'_>, also: Option<(&str, &str)>) {
        if self.sniff.whole {
            return;
        }
        let name = self.stations[n].name.clone();
        let seen = self.signed(n, &name, seen);
        (self.sniff.of, self.sniff.to) = (n, self.wanting(n, &seen, also));
        self.sniff.at = self.sniff.at.saturating_add(1);
        let own = &mut self.stations[n].sniff;
        if self.sniff.at > own.shown {
            own.shown = self.sniff.at;
            self.show_sight(self.sniff.to, &seen);
        }
    }

    /// Who says it, or about whom it is, and when.
    fn signed<'f>(&self, n: u32, name: &'f str, seen: &Seen<'f>) -> Seen<'f> {
        Seen {
            micros: self.stamp_now().micros(),
            dialect: self.stations[n].session.dialect().name(),
            station: self.stations.id(n).number(),
            station_name: name,
            ..*seen
        }
    }

    /// Shows it to those monitors, as far as they read.
    fn show_sight(&mut self, to: Some16, seen: &Seen<'_>) {
        if to == 0 || fault!(self, MonitorMisses) {
            return;
        }
        let mut hidden = Hidden::new();
        let seen = hidden.hide(seen, self.settings.max_frame);
        // what stands in the encode buffer
        let mut worded = None;
        for k in 0..self.sniff.rows.len() {
            let Row { station: m, missed, .. } = self.sniff.rows[k];
            let st = &self.stations[m];
            if to >> k & 1 == 0 || st.life != Life::Ready {
                continue;
            }
            if missed > 0 {
                worded = None;
                self.own_up(m);
            }
            let (wording, longest) = (self.stations[m].session.wording(), self.longest_sight(m));
            let len = match worded {
                Some((w, l, len)) if (w, l) == (wording, longest) => Some(len),
                _ => fit::frame(wording, self.here(), &seen, longest, self.encode),
            };
            worded = len.map(|len| (wording, longest, len));
            let is_first = self.sniff.rows[k].missed == 0;
            match len {
                Some(len) if is_first && self.put_sight(m, len) => self.counters.one(Counter::Sights),
                _ => {
                    self.sniff.rows[k].missed += 1;
                    self.counters.one(Counter::SightsMissed);
                }
            }
        }
    }

    /// Octets of what a monitor's outbox may hold for it.
    fn sights_of(&self, n: u32) -> usize {
        self.settings.outbox_in(self.stations[n].session.dialect()) / 8 * 3
    }

    /// Octets of a frame that can be shown to station `n`.
    fn longest_sight(&self, n: u32) -> usize {
        let most = self.settings.max_frame.min(self.sights_of(n));
        most.min(self.stations[n].max_frame as usize)
    }

    /// Puts what stands in the encode buffer into a monitor's outbox, if nobody else notices.
    fn put_sight(&mut self, n: u32, len: usize) -> bool {
        let fill = self.fill(n);
        let left = fill.free.saturating_sub(len + self.pool.block());
        if fill.have + len > self.sights_of(n) || left < fill.pool / 2 || self.put(n, 0..len, Class::Signal).is_err() {
            return false;
        }
        self.posted(n, 1);
        true
    }

    /// Tells station `n`, if it monitors, what it was not shown, as soon as it has read most of
    /// what it was.
    pub(super) fn own_up(&mut self, n: u32) {
        let Some(k) = self.sniff.rows.iter().position(|row| row.station == n && row.missed > 0) else { return };
        if self.stations[n].life != Life::Ready || self.stations[n].out.len() > self.sights_of(n) / 3 {
            return;
        }
        let micros = self.stamp_now().micros();
        let gap = Seen { what: Sight::Missed, micros, count: self.sniff.rows[k].missed, ..Seen::default() };
        let wording = self.stations[n].session.wording();
        if let Some(len) = wording.say(self.here(), &ServerToClient::Seen(gap), self.encode)
            && self.put_sight(n, len)
        {
            self.sniff.rows[k].missed = 0;
        }
    }
}
