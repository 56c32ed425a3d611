//! What is shown of messages to stations that monitor in another dialect (`router/sniff.rs`): what
//! they mean in the model; what is said to the server itself as a request.
//!
//! Owns: which sight a message is. What comes of it is not shown once more.

use super::super::Router;
use super::announcers;
use crate::dialect::communicator::repr::Message;
use crate::dialect::communicator::route::To;
use crate::dialect::communicator::{name, translate, words};
use crate::limits::MAX_NAME;
use crate::model::{Encoding, Seen, Sight};

impl Router<'_> {
    pub(super) fn see_message(&mut self, n: u32, m: &Message<'_>, to: To<'_>) {
        let room = core::mem::take(&mut self.scratch);
        let is_request = to == To::Daemon && translate::is_signal(m).is_none();
        let question = super::ask::question(m);
        let mut spare = [0; MAX_NAME];
        let service = match to {
            To::Service { service, .. } => service,
            _ => b"",
        };
        let station = words::station(service).unwrap_or(0);
        let service = name::to_bus(service, &mut spare).ok().filter(|_| station == 0);
        let read = translate::letter(m, room, |l, _| {
            let all = announcers(l.verb).filter(|_| l.everyone);
            let seen = Seen {
                what: match question {
                    _ if is_request => Sight::Request,
                    Some(_) if service.is_some() || station != 0 => Sight::Question,
                    _ => Sight::Letter,
                },
                name: all.as_deref().or(service).unwrap_or(l.name),
                verb: l.verb,
                params: l.params,
                body: l.body,
                encoding: l.encoding,
                to: station,
                seq: question.unwrap_or(0),
                ..Seen::default()
            };
            self.see(n, &seen, None);
        });
        if read.is_err() {
            // no name, no verb, or no room to read it: as it came
            let encoding = if core::str::from_utf8(m.raw).is_ok() { Encoding::Text } else { Encoding::Bytes };
            self.see(n, &Seen { what: Sight::Request, body: m.raw, encoding, ..Seen::default() }, None);
        }
        self.scratch = room;
        self.seen_whole();
    }
}
