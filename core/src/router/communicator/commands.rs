//! What is said to the server itself (section 3.10).
//!
//! Owns: which right each command takes, and what it is answered. Does not own what it does: the
//! other files here do.

use super::super::{Counter, Rights, Router};
use super::Control;
use crate::dialect::communicator::command::{Announced, Command};
use crate::dialect::communicator::number::Timespec;
use crate::dialect::communicator::params::{Alive, Odd};
use crate::dialect::communicator::repr::Message;
use crate::dialect::communicator::say::Line;
use crate::dialect::communicator::{schema, translate};

/// An extension: the configuration is to be read anew.
const RELOAD: &[u8] = b"RELOAD";

/// `LOG_ROTATE` as older releases have it.
const LOG: &[u8] = b"LOG";

impl Router<'_> {
    pub(super) fn command(&mut self, n: u32, m: &Message<'_>) {
        if let Some(about) = translate::is_signal(m) {
            return self.say_about(n, m, about);
        }
        let Some(command) = Command::of(m.command) else { return self.other_command(n, m) };
        if let Err(why) = schema::check(m) {
            return self.odd(n, m, Odd::Violation(why));
        }
        if command.is_control() && !self.may_manage(n, "") {
            return self.refused(n, m, "no right to manage this server");
        }
        if command.is_of_links() {
            return self.invalid(n, m, "this server is not linked with others");
        }
        let is_list = matches!(command, Command::ServiceStatus | Command::ListServices);
        if is_list && !self.stations[n].grant.rights.has(Rights::READ) {
            return self.refused(n, m, "no grant to list");
        }
        match command {
            Command::Register => self.register(n, m),
            Command::Commands => self.announce_all(n, m),
            Command::Unregister => self.doom(n, super::Reason::Goodbye),
            Command::Help => self.answer_line(n, m, &Line::Commands(Announced::of_server())),
            Command::Alive => {
                let now = Timespec::from_nanos(self.calendar_nanos());
                self.answer_line(n, m, &Line::Absolutely { alive: Alive::read(m), now });
            }
            Command::ServiceStatus => self.service_status(n, m),
            Command::ListServices if !self.may_list_now(n) => {
                self.invalid(n, m, "all services are listed 16 times a second at most")
            }
            Command::ListServices => self.list_services(n),
            Command::ClockStatus => self.tell_clock(n),
            Command::ClusterStatus => self.tell_cluster(n),
            Command::PublicIp => self.tell_public_ip(n, m),
            Command::RegisterForLoadavg => self.wants_load_of(n),
            Command::UnregisterFromLoadavg => self.forget_load(n),
            Command::ListenLoadavg => self.invalid(n, m, "no linked server has one of these addresses"),
            Command::Stop | Command::Shutdown if self.settings.communicator.shutdown => {
                self.stop_asked = Some(self.stations.id(n));
            }
            Command::Stop | Command::Shutdown => self.refused(n, m, "this server is not stopped by messages"),
            // what runs is restarted by whoever has started it
            Command::Restart => self.invalid(n, m, "this server is restarted by whoever runs it"),
            Command::LogRotate => self.control(n, Control::LogRotate),
            // what is for others, or was never more than a line in a log
            Command::Quitting
            | Command::Ready
            | Command::Leak
            | Command::Unknown
            | Command::Invalid
            | Command::Absolutely
            | Command::ServiceUnavailable
            | Command::TransmissionReport => {}
            _ => self.unknown_command(n, m),
        }
    }

    fn other_command(&mut self, n: u32, m: &Message<'_>) {
        match m.command {
            // what LOG_ROTATE was called once; with a message it is something else
            LOG if m.params.is_empty() && self.may_manage(n, "") => self.control(n, Control::LogRotate),
            LOG if m.params.is_empty() => self.refused(n, m, "no right to manage this server"),
            RELOAD if self.may_manage(n, "") => self.control(n, Control::Reload),
            RELOAD => self.refused(n, m, "no right to manage this server"),
            // to nothing that was asked
            command if command == translate::REPLY.as_bytes() => self.counters.one(Counter::StrayAnswers),
            b"" => self.invalid(n, m, "no command"),
            _ => self.unknown_command(n, m),
        }
    }

    fn unknown_command(&mut self, n: u32, m: &Message<'_>) {
        self.counters.one(Counter::UnknownCommands);
        self.answer_line(n, m, &Line::Unknown { command: m.command });
    }

    /// Answers a message, to who says to have sent it.
    fn answer_line(&mut self, n: u32, m: &Message<'_>, line: &Line<'_>) {
        let source = self.source(n, m);
        self.tell_line(n, line, source.pair());
    }

    fn control(&mut self, n: u32, what: Control) {
        let asker = Some(self.stations.id(n));
        match what {
            Control::LogRotate => self.communicator.rotate = asker,
            Control::Reload => self.communicator.reload = asker,
        }
    }

    fn tell_public_ip(&mut self, n: u32, m: &Message<'_>) {
        let set = &self.settings.communicator;
        let (public, secure) = (set.public, set.secure);
        if public.is_none() && secure.is_none() {
            return self.invalid(n, m, "this server has no address for others");
        }
        self.tell_line(n, &Line::ServerPublicIp { public, secure }, (b"", b""));
    }
}
