//! Which services there are (section 3.8): `STATUS`, `SERVICE_STATUS`, `LIST_SERVICES`.
//!
//! Owns: who is told that a name has got its first member or lost its last, whatever dialect that
//! speaks. Names of announced commands (`./X`) are no services.

use super::super::faults::fault;
use super::super::policy::Class;
use super::super::route::{Delivery, Reached};
use super::super::{Counter, Router};
use super::{ANNOUNCED, Written, announcers};
use crate::dialect::communicator::emit::{self, Edit, Form};
use crate::dialect::communicator::name::{self, DAEMON};
use crate::dialect::communicator::params::{self, State};
use crate::dialect::communicator::parse;
use crate::dialect::communicator::repr::{Message, Params};
use crate::dialect::communicator::say::{self, Header, Line, Status};
use crate::dialect::communicator::text::{Room, Text};
use crate::dialect::communicator::words::Heard;
use crate::limits::MAX_NAME;
use crate::model::{Letter, Raw};
use core::fmt::Write as _;

/// How often in a second a station is told all services.
const LISTS: u8 = 16;

/// The answer to `LIST_SERVICES`, which has none in the original.
const SERVICES: &[u8] = b"SERVICES";

impl Router<'_> {
    /// Station `n` has joined the name in this row.
    pub(in crate::router) fn service_is_up(&mut self, n: u32, row: u32) {
        if self.names.row(row).count == 1 {
            let up_since = Some(self.calendar_seconds());
            self.tell_status(n, row, State::Up, up_since, None);
        }
    }

    /// Station `n` is no member any more of the name in this row.
    pub(in crate::router) fn service_is_down(&mut self, n: u32, row: u32) {
        if self.names.row(row).count == 0 {
            let down_since = Some(self.calendar_seconds());
            self.tell_status(n, row, State::Down, None, down_since);
        }
    }

    fn tell_status(&mut self, n: u32, row: u32, state: State, up_since: Option<u64>, down_since: Option<u64>) {
        if fault!(self, StatusForgotten) {
            return;
        }
        let text = self.names.row(row).text();
        if text.starts_with(ANNOUNCED) || crate::name::is_pattern(text) || !self.is_announced("STATUS") {
            return;
        }
        let mut spare = [0; name::MAX_WRITTEN];
        let Some(service) = name::from_bus(text, &mut spare) else { return };
        let service = Written::from_slice(service).unwrap_or_default();
        let service = &service[..];
        let server_name = self.settings.communicator.server.as_bytes();
        self.tell_announcers(&Line::Status(Status { service, state, server_name, up_since, down_since }), b"", n);
    }

    fn is_announced(&self, command: &str) -> bool {
        let row = announcers(command).and_then(|name| self.names.find(&name));
        row.is_some_and(|row| self.names.row(row).count > 0)
    }

    /// Tells something of the server's own to whoever has announced it, but station `but` (0:
    /// nobody). `to`: the service that is written as its destination.
    pub(super) fn tell_announcers(&mut self, line: &Line<'_>, to: &[u8], but: u32) {
        let verb = line.command().name();
        let Some(name) = announcers(verb) else { return };
        let Some(row) = self.names.find(&name).filter(|row| self.names.row(*row).count > 0) else { return };
        let server = self.settings.communicator.server.as_bytes();
        let header = Header { to: (b"", to), ..Header::of_server(server) };
        let scratch = core::mem::take(&mut self.scratch);
        if let Ok(len) = say::line(line, header, Form::Text, scratch)
            && let Ok(message) = parse::message(&scratch[..len], &mut [])
        {
            let heard = Heard { message: &message, from: (server, DAEMON.as_bytes()), is_secret: false };
            let l = Letter { name: &name, verb, ..Letter::default() };
            self.next_stamp();
            let mut delivery = Delivery::new(&l, Raw::Communicator(&heard), but, 0, 0);
            self.reach_members(&mut delivery, row, &mut Reached::default());
        }
        self.scratch = scratch;
    }

    /// `SERVICE_STATUS`.
    pub(super) fn service_status(&mut self, n: u32, m: &Message<'_>) {
        let (mut room, mut spare) = ([0; MAX_NAME], [0; MAX_NAME]);
        let service = match params::service(m, &mut Room::new(&mut room)) {
            Ok(service) => service,
            Err(why) => return self.odd(n, m, why),
        };
        let row = name::to_bus(service, &mut spare).ok().and_then(|name| self.names.find(name));
        let is_seen = |row: &u32| self.names.row(*row).count > 0 && self.may_see(n, self.names.row(*row).text());
        let row = row.filter(is_seen);
        let up_since = row.and_then(|row| {
            let first = self.names.row(row).members.first;
            let own = &self.stations[self.names.members[first].station].communicator;
            (own.service == row).then_some(own.up_since)
        });
        let state = if row.is_some() { State::Up } else { State::Unknown };
        let server_name = self.settings.communicator.server.as_bytes();
        let status = Status { service, state, server_name, up_since, down_since: None };
        self.tell_line(n, &Line::Status(status), (b"", b""));
    }

    /// Whether station `n` may be told all services once more. That is work for each name there
    /// is, for a few octets, while everybody else waits (D4).
    pub(super) fn may_list_now(&mut self, n: u32) -> bool {
        let second = self.now.millis() / 1000;
        let (last, count) = &mut self.stations[n].communicator.listed;
        if *last != second {
            (*last, *count) = (second, 0);
        }
        *count = count.saturating_add(1);
        *count <= LISTS
    }

    /// `LIST_SERVICES`: all names with members, as many as a line holds.
    pub(super) fn list_services(&mut self, n: u32) {
        let scratch = core::mem::take(&mut self.scratch);
        // as much as a client that has not registered may send itself, or as a line may have
        let room = scratch.len().min(self.settings.communicator.max_line).saturating_sub(4 * MAX_NAME);
        let (mut at, mut count) = (0, 0u32);
        for row in 1..=self.names.made() {
            let row = self.names.row(row);
            let is_service =
                row.count > 0 && !row.text().starts_with(ANNOUNCED) && !crate::name::is_pattern(row.text());
            if !is_service || !self.may_see(n, row.text()) {
                continue;
            }
            count += 1;
            let mut spare = [0; name::MAX_WRITTEN];
            let Some(service) = name::from_bus(row.text(), &mut spare) else { continue };
            let comma = (at > 0) as usize;
            if let Some(out) = scratch.get_mut(at..(at + comma + service.len()).min(room))
                && out.len() == comma + service.len()
            {
                out[..comma].fill(b',');
                out[comma..].copy_from_slice(service);
                at += out.len();
            }
        }
        let mut number = heapless::String::<10>::new();
        // ten digits are the most
        let _ = write!(number, "{count}");
        let list = scratch.get(..at).unwrap_or_default();
        let pairs = [(Text::from("count"), Text::from(&number[..])), (Text::from("list"), Text::Plain(list))];
        let message = Message {
            from_server: self.settings.communicator.server.as_bytes(),
            from_service: DAEMON.as_bytes(),
            command: SERVICES,
            params: Params::listed(if list.is_empty() { &pairs[..1] } else { &pairs }),
            ..Message::default()
        };
        let len = emit::seam(emit::line(&message, Edit::NONE, Form::Text, self.encode));
        self.scratch = scratch;
        match len {
            _ if self.stations[n].datagram => self.counters.one(Counter::Unanswerable),
            Some(len) => _ = self.post(n, len, Class::Owed),
            None => self.counters.one(Counter::DroppedTooBig),
        }
    }
}
