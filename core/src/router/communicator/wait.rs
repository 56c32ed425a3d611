//! Messages that wait for a service that is declared and not here (section 3.6, D9).
//!
//! Owns: how such a message is kept, with who it is from, and how it is said when the service
//! has come: as it was sent. When it goes and expires is `router/keep.rs`'s.

use super::super::Router;
use super::super::faults::fault;
use super::super::mailbox::Form as Kept;
use super::super::route::Delivery;
use crate::dialect::communicator::emit::{self, Edit, Form};
use crate::dialect::communicator::repr::Message;
use crate::dialect::communicator::udp;
use crate::dialect::communicator::words::Heard;
use crate::dialect::communicator::{name, parse};
use crate::limits::MAX_NAME;
use crate::model::{Code, Letter, Raw};
use crate::time::Duration;

impl Router<'_> {
    /// Keeps a message for a name. `false`: there is no room.
    pub(super) fn wait(&mut self, n: u32, m: &Message<'_>, name: &str, within: Duration) -> bool {
        if fault!(self, CacheForgotten) {
            return true;
        }
        let source = self.source(n, m);
        let (from_server, from_service) = source.pair();
        let is_secret = self.stations[n].datagram && m.get(udp::SECRET).is_some();
        let line = if m.raw.is_empty() || is_secret {
            let m = Message { from_server, from_service, ..*m };
            let without: &[&str] = if is_secret { &[udp::SECRET] } else { &[] };
            emit::line(&m, Edit { set: &[], without }, Form::Text, self.encode)
        } else {
            emit::handed_on(from_server, from_service, m.raw, self.encode)
        };
        let Some(len) = emit::seam(line).filter(|len| *len > 0) else { return false };
        let from = self.stations.id(n).number();
        self.keep_encoded((name, ""), from, (Kept::Line, len), within) == Code::Kept
    }

    /// Puts a line of an earlier life of the node into the encode buffer. Its length, if it is one.
    #[cfg(feature = "durable")]
    pub(in crate::router) fn put_line(&mut self, line: &[u8]) -> Option<usize> {
        let is_line = line.split_last().is_some_and(|(last, rest)| *last == b'\n' && !rest.contains(&b'\n'));
        if !is_line || parse::message(line, &mut []).is_err() {
            return None;
        }
        self.encode.get_mut(..line.len())?.copy_from_slice(line);
        Some(line.len())
    }

    /// Hands station `n` a line that has waited. Whether it has it now.
    pub(in crate::router) fn bring_line(&mut self, n: u32, line: &[u8], from: u64) -> bool {
        let Ok(m) = parse::message(line, &mut []) else { return false };
        let (mut spare, mut verb_spare) = ([0; MAX_NAME], [0; MAX_NAME]);
        let (Ok(name), Ok(verb)) = (name::to_bus(m.service, &mut spare), name::to_verb(m.command, &mut verb_spare))
        else {
            return false;
        };
        let heard = Heard { message: &m, from: (m.from_server, m.from_service), is_secret: false };
        let l = Letter { name, verb, ..Letter::default() };
        let mut delivery = Delivery::new(&l, Raw::Communicator(&heard), 0, from, 0);
        self.hand_anew(&mut delivery, n).is_ok()
    }
}
