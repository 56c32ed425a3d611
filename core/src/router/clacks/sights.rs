//! What is shown of lines to stations that monitor in another dialect (`router/sniff.rs`): what they
//! mean in the model.
//!
//! Owns: which lines those are. Not shown are signs of life, what somebody calls itself, logins, and
//! what is like one. Who monitors in this dialect is shown the lines themselves (`monitor.rs`).

use super::super::Router;
use crate::dialect::clacks::repr::Command;
use crate::dialect::clacks::{name, translate};
use crate::limits::MAX_NAME;
use crate::model::{Encoding, Join, Leave, Raw, Seen, Sight, StoreOp};

impl Router<'_> {
    /// Shows a line of station `n`, once.
    pub(super) fn see_line(&mut self, n: u32, command: &Command<'_>) {
        match *command {
            Command::Set { name, value } => self.see_signal(n, name, Some(value)),
            Command::Notify(name) => self.see_signal(n, name, None),
            Command::Store { name, value } => self.see_value(n, StoreOp::Set, name, value, false),
            Command::SetAndStore { name, value } => self.see_value(n, StoreOp::Set, name, value, true),
            Command::Retrieve(key) => self.see_value(n, StoreOp::Get, key, b"", false),
            Command::Remove(key) => self.see_value(n, StoreOp::Remove, key, b"", false),
            Command::Increment { name, step } => self.see_step(n, name, step, false),
            Command::Decrement { name, step } => self.see_step(n, name, step, true),
            Command::KeySync(sync) => {
                let op = if sync.deleted { StoreOp::Remove } else { StoreOp::Set };
                self.see_value_of(n, op, sync.name, sync.value, Seen { text: "sync", ..Seen::default() });
            }
            Command::Flush(_) => {
                self.see(n, &Seen { what: Sight::Value, op: StoreOp::Flush, ..Seen::default() }, None);
            }
            Command::Listen(name) => {
                let mut spare = heapless::String::<MAX_NAME, u8>::new();
                let name = name::to_bus(name, &mut spare).unwrap_or_default();
                self.see_join(n, &Join { name, ..Join::default() });
            }
            Command::Unlisten(name) => {
                let mut spare = heapless::String::<MAX_NAME, u8>::new();
                let name = name::to_bus(name, &mut spare).unwrap_or_default();
                self.see_leave(n, &Leave { name, ..Leave::default() });
            }
            Command::KeyList => self.see_request(n, "KEYLIST", 0, "", &[]),
            Command::ClearCache => self.see_request(n, "CLEARCACHE", 0, "", &[]),
            Command::ClientList => self.see_request(n, "CLIENTLIST", 0, "", &[]),
            Command::ClientDisconnect(id) => self.see_words(n, "CLIENTDISCONNECT", &[], id),
            Command::Monitor => self.see_request(n, "MONITOR", 0, "", &[]),
            Command::Unmonitor => self.see_request(n, "UNMONITOR", 0, "", &[]),
            Command::Overhead(o) if !o.is_hidden() => self.see_words(n, "OVERHEAD", o.flags, o.text),
            // a token that was mistyped is one all the same
            Command::Unknown(line) if !super::monitor::is_overhead(line) => self.see_words(n, "", &[], line),
            Command::Overhead(_)
            | Command::Unknown(_)
            | Command::Clacks(_)
            | Command::Ping
            | Command::NoPing
            | Command::Quit
            | Command::Timeout => {}
        }
        // what becomes of it is its own doing
        self.seen_whole();
    }

    fn see_signal(&mut self, n: u32, here: &[u8], value: Option<&[u8]>) {
        let mut spare = heapless::String::<MAX_NAME, u8>::new();
        let name = name::to_bus(here, &mut spare).unwrap_or_default();
        self.see_letter(n, &translate::signal(name, value), Raw::Clacks(&[]));
    }

    fn see_value(&mut self, n: u32, op: StoreOp, key: &[u8], value: &[u8], announce: bool) {
        self.see_value_of(n, op, key, value, Seen { announce, ..Seen::default() });
    }

    fn see_value_of(&mut self, n: u32, op: StoreOp, key: &[u8], value: &[u8], with: Seen<'_>) {
        let mut spare = heapless::String::<MAX_NAME, u8>::new();
        let name = name::to_bus(key, &mut spare).unwrap_or_default();
        let room = core::mem::take(&mut self.scratch);
        let (body, encoding) = if value.is_empty() { (value, Encoding::None) } else { translate::value(value, room) };
        self.see(n, &Seen { what: Sight::Value, op, name, body, encoding, ..with }, None);
        self.scratch = room;
    }

    /// A step that is no whole number stands in the body, as it came.
    fn see_step(&mut self, n: u32, key: &[u8], step: Option<&[u8]>, down: bool) {
        let said = step.unwrap_or(b"1");
        let whole = core::str::from_utf8(said).ok().and_then(|text| text.parse::<i64>().ok());
        let amount = whole.and_then(|step| if down { step.checked_neg() } else { Some(step) });
        let text = match amount {
            Some(_) => "",
            None if down => "minus the body",
            None => "plus the body",
        };
        let body = if amount.is_some() { &[] } else { said };
        let with = Seen { amount: amount.unwrap_or_default(), text, ..Seen::default() };
        self.see_value_of(n, StoreOp::Add, key, body, with);
    }

    /// A line that is nothing of the model: its first word, and the rest as it came.
    fn see_words(&mut self, n: u32, verb: &str, flags: &[u8], rest: &[u8]) {
        let text = core::str::from_utf8(flags).unwrap_or_default();
        let encoding = if core::str::from_utf8(rest).is_ok() { Encoding::Text } else { Encoding::Bytes };
        self.see(n, &Seen { what: Sight::Request, verb, text, body: rest, encoding, ..Seen::default() }, None);
    }
}
