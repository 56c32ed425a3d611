//! Serial lines in the loop: a station begins with the first byte, see `daemon/serial.rs`.

use std::io;

use chappe_core::router::Transport;
use chappe_core::time::Instant;
use mio::Token;
use tracing::{info, warn};

use super::doors::From;
use super::{EventLoop, LISTENERS, READ};
use crate::daemon::connection::{Connection, Got};
use crate::daemon::peers::{Peer, token};
use crate::daemon::secure::Trouble;
use crate::daemon::serial::{Line, State};
use crate::daemon::words;

impl EventLoop<'_> {
    fn line(&mut self, i: u16) -> Option<&mut Line> {
        self.lines.iter_mut().find(|l| l.listener == i)
    }

    /// A line on which nobody speaks has something to read.
    pub(super) fn read_line(&mut self, now: Instant, i: u16) {
        let Some(n) = self.lines.iter().position(|l| l.listener == i) else { return };
        let State::Idle(connection) = &mut self.lines[n].state else { return };
        match connection.read(READ, &mut self.buffer, &mut self.desk) {
            Ok(Got::End) => self.line_gone(now, i, "the device is gone"),
            Ok(Got::Bytes { n: got, .. }) => self.line_speaks(now, n, got),
            Err(Trouble::Io(e)) if e.kind() == io::ErrorKind::WouldBlock => {}
            Err(e) => self.line_gone(now, i, &e.to_string()),
        }
    }

    fn line_speaks(&mut self, now: Instant, n: usize, got: usize) {
        let i = self.lines[n].listener;
        self.lines[n].works();
        let grant = self.strangers(i);
        let Some(id) = self.admit(now, i, Transport::Stream, grant, None) else {
            self.refused_full(now, &From::Here);
            let dialect = self.listeners[usize::from(i)].dialect;
            if let State::Idle(connection) = &mut self.lines[n].state {
                connection.say(words::full(dialect));
            }
            // What else has come is read and thrown away, until there is room.
            return self.push_door(i);
        };
        let line = &mut self.lines[n];
        let State::Idle(mut connection) = std::mem::replace(&mut line.state, State::Busy) else { return };
        let renamed = connection.rename(self.poll.registry(), token(id));
        connection.queued = true;
        self.ready.push(id);
        self.peers.insert(id, Peer::Stream(connection));
        self.log_opened(id, i, &From::Here, None);
        if let Err(e) = renamed {
            return self.lose(now, id, &e.to_string());
        }
        self.counts.reads += 1;
        self.heard(now, id, got);
    }

    /// The station is gone, the line is still there.
    pub(super) fn line_idle(&mut self, now: Instant, mut connection: Connection) {
        let i = connection.listener;
        if self.leave_by.is_some() {
            return;
        }
        match connection.rename(self.poll.registry(), Token(LISTENERS - usize::from(i))) {
            Ok(()) => {
                connection.ended = false;
                if let Some(line) = self.line(i) {
                    line.state = State::Idle(connection);
                }
            }
            Err(e) => self.line_gone(now, i, &e.to_string()),
        }
    }

    pub(super) fn line_gone(&mut self, now: Instant, i: u16, why: &str) {
        self.counts.serial_failures += 1;
        if let Some(line) = self.line(i) {
            line.gone(now);
        }
        let line = &self.listeners[usize::from(i)].address;
        warn!(event = "serial.lost", line = %line, detail = why, "the line is gone; it will be opened again");
    }

    pub(super) fn open_lines(&mut self, now: Instant) {
        if self.leave_by.is_some() {
            return;
        }
        for line in &mut self.lines {
            if line.deadline().is_none_or(|at| at > now) {
                continue;
            }
            let address = &self.listeners[usize::from(line.listener)].address;
            match line.open(self.poll.registry(), Token(LISTENERS - usize::from(line.listener)), now) {
                Ok(()) => {
                    self.counts.serial_opened += 1;
                    info!(event = "serial.opened", line = %address, "the line is open");
                }
                Err(e) => {
                    self.counts.serial_failures += 1;
                    warn!(event = "serial.failed", line = %address, detail = e, "it will be tried again");
                }
            }
        }
    }
}
