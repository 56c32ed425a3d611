//! Messages of one client that begin alike, one behind the other, as many are: to one service, with one
//! command.
//!
//! Owns: what such a message begins with, so that the next one need only be compared with it. When
//! it may go into a run, and when that ends, is `router/run.rs`'s.

use super::super::Router;
use super::super::stations::Life;
use crate::dialect::Session;
use crate::dialect::communicator::emit::Form;
use crate::dialect::communicator::parse;
use crate::dialect::communicator::repr::Message;
use crate::dialect::communicator::words::Heard;
use crate::model::{Letter, Raw};

/// Octets of what messages begin with, at most.
const MAX_HEAD: usize = 256;

/// What the messages of the run at hand begin with.
#[derive(Debug)]
pub(super) struct Alike {
    /// As they come: source, destination, command and the space behind it. Empty: nothing is known.
    heard: heapless::Vec<u8, MAX_HEAD>,
    /// As they go on.
    said: heapless::Vec<u8, MAX_HEAD>,
}

impl Alike {
    pub(super) const NONE: Alike = Alike { heard: heapless::Vec::new(), said: heapless::Vec::new() };
}

impl Router<'_> {
    /// Takes a line that begins as those of the run at hand, if it is one. What was found out about
    /// the first of them holds for it, too.
    #[inline]
    pub(in crate::router) fn message_goes_on(&mut self, n: u32, line: &[u8]) -> bool {
        if !self.has_run_of(n) || !matches!(self.stations[n].session, Session::Communicator(_)) {
            return false;
        }
        let alike = &self.communicator.alike;
        let params = line.strip_prefix(&alike.heard[..]).and_then(|params| params.strip_suffix(b"\n"));
        let params = params.filter(|params| !alike.heard.is_empty() && parse::is_plain_params(params));
        let Some(params) = params else { return false };
        let head = alike.said.len();
        let Some(at) = self.run_takes(head + params.len() + 1) else { return false };
        let out = &mut self.encode[at..];
        out[..head].copy_from_slice(&self.communicator.alike.said);
        out[head..head + params.len()].copy_from_slice(params);
        out[head + params.len()] = b'\n';
        true
    }

    /// Puts a message to a name into a run, if it is of the kind that is delivered in runs. If not,
    /// there is no run any more.
    pub(super) fn message_runs(&mut self, n: u32, l: &Letter<'_>, heard: &Heard<'_>, line: &[u8]) -> bool {
        self.communicator.alike.heard.clear();
        let raw = heard.message.raw;
        let is_plain = !raw.is_empty() && !heard.is_secret && self.settings.communicator.form == Form::Text;
        if !is_plain
            || self.sniffed()
            || !self.is_heard_by_others(n, l.name)
            || !self.runs(n, l, Raw::Communicator(heard))
        {
            self.end_run();
            return false;
        }
        self.remember_head(heard, line);
        true
    }

    /// Whether somebody else than station `n` hears what is sent to a name: a member with an instance does
    /// not, for messages here name none.
    fn is_heard_by_others(&mut self, n: u32, name: &str) -> bool {
        let Some(row) = self.names.find_again(name) else { return false };
        let mut m = self.names.row(row).members.first;
        while m != 0 {
            let member = &self.names.members[m];
            let is_other = member.instance == 0 && member.station != n;
            if is_other && self.stations[member.station].life == Life::Ready {
                return true;
            }
            m = member.next_of_name();
        }
        false
    }

    /// The next message may begin as this one does.
    fn remember_head(&mut self, heard: &Heard<'_>, line: &[u8]) {
        let Message { raw, .. } = *heard.message;
        let Some(space) = raw.iter().position(|b| *b == b' ') else { return };
        // only if nothing but its source stands before it, and nothing but its end behind it
        let source = match line.first() {
            Some(b'<') => line.iter().position(|b| *b == b' ').map_or(0, |at| at + 1),
            _ => 0,
        };
        let is_all = line.len() == source + raw.len() + 1 && line.ends_with(b"\n");
        let (Some(begin), Some(head), true) = (line.get(..source), raw.get(..=space), is_all) else { return };
        let alike = &mut self.communicator.alike;
        alike.said.clear();
        let (server, service) = heard.from;
        let source: [&[u8]; 5] =
            if server.is_empty() && service.is_empty() { [b""; 5] } else { [b"<", server, b":", service, b" "] };
        let said = source.iter().chain([&head]).try_for_each(|piece| alike.said.extend_from_slice(piece));
        let all = said.and_then(|()| alike.heard.extend_from_slice(begin));
        if all.and_then(|()| alike.heard.extend_from_slice(head)).is_err() {
            alike.heard.clear();
        }
    }
}
