//! Questions of those who search for a node.
//!
//! Owns: reading them and sending answers. What is answered is decided in the core
//! (`discovery/responder.rs`), what is offered in `daemon/discovery.rs`.

use std::io;
use std::net::SocketAddr;

use chappe_core::discovery::{ANSWER, Responder, Silence};
use chappe_core::time::Instant;
use tracing::{debug, warn};

use super::{EventLoop, second};
use crate::daemon::discovery::{self, Discovery};

/// Questions that one socket takes in a turn.
const QUESTIONS: usize = 64;

impl EventLoop<'_> {
    /// Reads what has come to the socket that stands behind the listeners in the list of doors.
    pub(super) fn read_questions(&mut self, now: Instant, i: u16) {
        let ear = usize::from(i) - self.listeners.len();
        for _ in 0..QUESTIONS {
            let Some(socket) = self.discovery.ears.get(ear).map(|ear| &ear.socket) else { return };
            let (n, from) = match socket.recv_from(&mut self.buffer) {
                Ok(got) => got,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => return self.rest(now, i, &e),
            };
            self.counts.discovery_questions += 1;
            // Who is told now would come to a node that is going.
            if self.leave_by.is_none() {
                self.answer(now, ear, n, from);
            }
        }
        self.push_door(i);
    }

    /// What stands in the buffer is answered, or not.
    fn answer(&mut self, now: Instant, ear: usize, n: usize, from: SocketAddr) {
        let Discovery { responder, ears, node } = &mut self.discovery;
        let ear = &ears[ear];
        let question = match responder.hear(now, from.ip(), &self.buffer[..n], node) {
            Ok(question) => question,
            Err(why) => return self.silent(now, from, why),
        };
        let own = match ear.own_address(from) {
            Ok(own) => own,
            // it has gone, or there is no way to it
            Err(e) => {
                self.counts.discovery_unsent += 1;
                return debug!(event = "discovery.unsent", %from, interface = %ear.interface, detail = %e, "not answered");
            }
        };
        let mut out = [0; ANSWER];
        let ports = discovery::reachable(&self.listeners, own);
        match Responder::answer(&question, node, ports, &mut out) {
            Ok(n) => match ear.socket.send_to(&out[..n], from) {
                Ok(_) => {
                    self.counts.discovery_answers += 1;
                    debug!(event = "discovery.answered", %from, interface = %ear.interface, "told where this node is");
                }
                Err(e) => {
                    self.counts.discovery_unsent += 1;
                    debug!(event = "discovery.unsent", %from, interface = %ear.interface, detail = %e, "not answered");
                }
            },
            Err(why) => self.silent(now, from, why),
        }
    }

    fn silent(&mut self, now: Instant, from: SocketAddr, why: Silence) {
        let count = match why {
            Silence::Far => &mut self.counts.discovery_far,
            Silence::Fault(_) => &mut self.counts.discovery_malformed,
            Silence::OtherNode => &mut self.counts.discovery_for_others,
            Silence::Source => &mut self.counts.discovery_source_limit,
            Silence::Total => &mut self.counts.discovery_limit,
            Silence::Nothing => &mut self.counts.discovery_nothing,
        };
        *count += 1;
        let so_far = *count;
        debug!(event = "discovery.silent", %from, "not answered: {}", why.text());
        if why == Silence::Total && now >= self.discovery_log {
            self.discovery_log = now + second();
            warn!(event = "discovery.limited", %from, so_far, "too many search for a node: not all are answered");
        }
    }
}
