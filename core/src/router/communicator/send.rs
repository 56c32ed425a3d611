//! Messages to services and broadcasts (section 2), and what their senders are told (3.7).
//!
//! Owns: which letter a message is, who may send it, and the reports. Who gets a copy is
//! `router/route.rs`'s.

use super::super::faults::fault;
use super::super::policy::Denied;
use super::super::route::{Delivery, Reached};
use super::super::{Counter, Rights, Router};
use super::announcers;
use crate::dialect::communicator::cache::Cache;
use crate::dialect::communicator::command::Command;
use crate::dialect::communicator::emit::{self, Edit, Form};
use crate::dialect::communicator::name::{self, BadName};
use crate::dialect::communicator::repr::Message;
use crate::dialect::communicator::route::{Facts, Fate, Lost, Reach, fate, reports};
use crate::dialect::communicator::say::Line;
use crate::dialect::communicator::text::{Room, Text};
use crate::dialect::communicator::words::Heard;
use crate::dialect::communicator::{udp, words};
use crate::limits::MAX_NAME;
use crate::model::{Letter, Raw};

const NO_GRANT: &str = "no grant to send there";
const NO_CONTROL: &str = "no right to manage whom that is for";

/// Room for a name that is spelled in another way on the bus. Nearly none is, so it is only made
/// when there is one.
type Spare = Option<[u8; MAX_NAME]>;

/// The name on the bus of a service.
#[inline]
fn name_of<'f>(service: &'f [u8], spare: &'f mut Spare) -> Result<&'f str, BadName> {
    match name::plain(service) {
        Some(name) => Ok(name),
        None => name::to_bus(service, spare.insert([0; MAX_NAME])),
    }
}

/// The verb of a command.
#[inline]
fn verb_of<'f>(command: &'f [u8], spare: &'f mut Spare) -> Result<&'f str, BadName> {
    match name::plain(command).filter(|verb| !verb.bytes().any(|b| b.is_ascii_lowercase())) {
        Some(verb) => Ok(verb),
        None => name::to_verb(command, spare.insert([0; MAX_NAME])),
    }
}

impl Router<'_> {
    /// To whoever has announced the command.
    pub(super) fn broadcast(&mut self, n: u32, m: &Message<'_>, line: &[u8]) {
        if let Some(about) = crate::dialect::communicator::translate::is_signal(m) {
            return self.say_about(n, m, about);
        }
        let mut spare = None;
        let verb = match verb_of(m.command, &mut spare) {
            Ok(verb) => verb,
            Err(why) => return self.invalid(n, m, why.text()),
        };
        let Some(name) = announcers(verb) else { return self.invalid(n, m, "a command that is too long") };
        if !self.may_say(n, m, &name) {
            return;
        }
        if fault!(self, BroadcastLost) {
            return;
        }
        let l = Letter { name: &name, verb, ..Letter::default() };
        let echo = self.settings.communicator.echo;
        let Some(reached) = self.deliver(n, &l, m, (line, echo)) else { return };
        if reached.handed + reached.denied == 0 {
            self.counters.one(Counter::NoRecipient);
        }
    }

    /// `SET` or `NOTIFY` about a name, which is whom it is for.
    pub(super) fn say_about(&mut self, n: u32, m: &Message<'_>, about: Text<'_>) {
        let mut room = [0; MAX_NAME];
        let about = about.read(&mut Room::new(&mut room)).and_then(|about| core::str::from_utf8(about).ok());
        let Some(name) = about.filter(|name| crate::name::is_valid(name) && !crate::name::is_pattern(name)) else {
            return self.invalid(n, m, "a name has 1 to 128 bytes, no controls");
        };
        if !self.may_say(n, m, name) {
            return;
        }
        let verb = if m.command == b"SET" { "SET" } else { "NOTIFY" };
        let l = Letter { name, verb, ..Letter::default() };
        let Some(reached) = self.deliver(n, &l, m, (b"", false)) else { return };
        if reached.handed + reached.denied == 0 {
            self.counters.one(Counter::NoRecipient);
        }
    }

    /// To a service.
    pub(super) fn say_to_service(
        &mut self,
        n: u32,
        m: &Message<'_>,
        (service, reach): (&[u8], Reach<'_>),
        line: &[u8],
    ) {
        if !reach.is_here() {
            return self.is_lost(n, m);
        }
        let (mut spare, mut verb_spare) = (None, None);
        let station = words::station(service).unwrap_or(0);
        let name = if station == 0 { name_of(service, &mut spare) } else { Ok("") };
        let (name, verb) = match (name, verb_of(m.command, &mut verb_spare)) {
            (Ok(name), Ok(verb)) => (name, verb),
            (Err(why), _) | (_, Err(why)) => return self.invalid(n, m, why.text()),
        };
        if super::ask::is_stray(m) {
            return self.counters.one(Counter::StrayAnswers);
        }
        if !self.may_say(n, m, name) {
            return;
        }
        let l = Letter { name, station, verb, ..Letter::default() };
        // who sends datagrams hears no answer, and so asks nothing
        if let Some(seq) = super::ask::question(m).filter(|_| !self.stations[n].datagram) {
            return self.ask_for(n, &l, m, seq);
        }
        let Some(reached) = self.deliver(n, &l, m, (line, false)) else { return };
        // who listens to a pattern hears it, but is not whom it waits for
        let is_heard = reached.handed + reached.denied > 0 && (reached.members > 0 || !self.is_declared(name));
        if !is_heard {
            self.undelivered(n, m, &l, reach);
        }
    }

    /// Whether station `n` may send a message to a name, or (empty) to a station. Otherwise it is
    /// told.
    fn may_say(&mut self, n: u32, m: &Message<'_>, name: &str) -> bool {
        let grant = self.stations[n].grant;
        // addresses are not names: a grant for certain names covers none
        let covered = if name.is_empty() { !grant.restricted } else { self.covers(n, Rights::WRITE, name) };
        if !covered || !grant.rights.has(Rights::WRITE) {
            self.refused(n, m, NO_GRANT);
            return false;
        }
        if m.raw.is_empty() {
            self.end_run();
        }
        if m.raw.is_empty()
            && let Err(why) = emit::line(m, Edit::NONE, Form::Text, self.encode)
        {
            self.invalid(n, m, why.text());
            return false;
        }
        if Command::is_control_of_clients(m.command) && !self.may_manage(n, name) {
            self.refused(n, m, NO_CONTROL);
            return false;
        }
        true
    }

    /// Hands a message to all whom it is for. `None`: memory is short, and it comes again.
    /// `echo`: its sender hears it too if it is one of them. `line`: as it came; empty if it is no
    /// such.
    fn deliver(&mut self, n: u32, l: &Letter<'_>, m: &Message<'_>, (line, echo): (&[u8], bool)) -> Option<Reached> {
        self.with_heard(n, m, |router, heard| {
            let raw = Raw::Communicator(heard);
            if !line.is_empty() && !echo && l.station == 0 && router.message_runs(n, l, heard, line) {
                return Some(Reached { handed: 1, members: 1, ..Reached::default() });
            }
            router.end_run();
            if router.stations[n].resumed().is_none() {
                router.counters.one(Counter::Letters);
            }
            let from = router.stations.id(n).number();
            let mut delivery = Delivery::new(l, raw, n, from, 0);
            let mut reached = router.wait_if_short(|router| {
                if l.station != 0 { router.reach_station(&mut delivery) } else { router.reach_name(&mut delivery) }
            })?;
            if echo
                && let Some(row) = router.names.find(l.name)
                && router.names.is_member(router.stations[n].memberships, row)
            {
                match router.hand_anew(&mut delivery, n) {
                    Ok(()) | Err(Denied::Later) => reached.handed += 1,
                    Err(_) => reached.denied += 1,
                }
            }
            #[cfg(feature = "clacks")]
            if router.has_links() && l.station == 0 {
                router.letter_crosses(n, l, raw);
            }
            Some(reached)
        })
    }

    /// Does something with a message and who it is from.
    pub(super) fn with_heard<R>(
        &mut self,
        n: u32,
        m: &Message<'_>,
        then: impl FnOnce(&mut Self, &Heard<'_>) -> R,
    ) -> R {
        let source = self.source(n, m);
        let is_secret = self.stations[n].datagram && m.get(udp::SECRET).is_some();
        then(self, &Heard { message: m, from: source.pair(), is_secret })
    }

    /// A message to a service that nobody has got.
    fn undelivered(&mut self, n: u32, m: &Message<'_>, l: &Letter<'_>, reach: Reach<'_>) {
        let cache = Cache::of(m);
        let own = self.names.find(l.name).is_some_and(|row| self.names.is_member(self.stations[n].memberships, row));
        let facts = Facts {
            is_here: false,
            is_sender: own,
            is_declared: l.station == 0 && self.is_declared(l.name),
            has_links: false,
        };
        let mut fate = fate(reach, facts, cache);
        if let Fate::Keep(within) = fate
            && !self.wait(n, m, l.name, within)
        {
            fate = Fate::Drop(Lost::Full);
        }
        if !matches!(fate, Fate::Keep(_)) {
            self.counters.one(Counter::NoRecipient);
        }
        self.report(n, m, cache, fate);
    }

    /// A message to who is elsewhere: there are no links.
    pub(super) fn is_lost(&mut self, n: u32, m: &Message<'_>) {
        self.counters.one(Counter::NoRecipient);
        self.report(n, m, Cache::of(m), Fate::Drop(Lost::Nowhere));
    }

    fn report(&mut self, n: u32, m: &Message<'_>, cache: Cache, fate: Fate) {
        let reports = reports(m, cache, fate);
        if reports.unavailable {
            let line = Line::ServiceUnavailable { service: m.service, command: m.command };
            self.tell_line(n, &line, (b"", b""));
        }
        if let Some(cached) = reports.report.filter(|_| !fault!(self, ReportForgotten)) {
            self.tell_line(n, &Line::TransmissionReport { command: m.command, cached }, (b"", b""));
        }
    }
}
