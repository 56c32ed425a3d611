//! From a connection to a service (sections 3.1 to 3.5).
//!
//! Owns: names and passwords of services, and what they announce. A name is a membership that
//! nobody else can have (D8); a command that is announced is a membership of `./COMMAND`, so
//! that a broadcast is a message to a name. Does not own who knows passwords: that is the gate.

use super::super::faults::fault;
use super::super::membership::Entered;
use super::super::stations::{Life, Unverified};
use super::super::{Counter, Reason, Router, Verdict};
use super::{ANNOUNCED, announcers};
use crate::dialect::Session;
use crate::dialect::communicator::command::Command;
use crate::dialect::communicator::params::{List, Odd, Register};
use crate::dialect::communicator::repr::Message;
use crate::dialect::communicator::route::To;
use crate::dialect::communicator::say::Line;
use crate::dialect::communicator::text::Room;
use crate::dialect::communicator::{name, words};
use crate::limits::MAX_NAME;
use crate::model::{Change, Code, Join};

/// Octets of a password.
const MAX_PASSWORD: usize = 256;

impl Router<'_> {
    /// Somebody says something at a listener where nobody may do anything without a password.
    pub(super) fn before_password(&mut self, n: u32, m: &Message<'_>, to: To<'_>) {
        let registers = to == To::Daemon && m.command == Command::Register.name().as_bytes();
        if registers && m.get("password").is_some() {
            return self.register(n, m);
        }
        self.counters.one(Counter::NotIntroduced);
        self.say_invalid(n, m, "this listener wants a REGISTER with a password first");
    }

    /// `REGISTER`, for the first time or under another name.
    pub(super) fn register(&mut self, n: u32, m: &Message<'_>) {
        let (mut room, mut spare) = ([0; MAX_NAME], [0; MAX_NAME]);
        let wish = Register::read(m, &mut Room::new(&mut room));
        let Register { service, password } = match wish {
            Ok(wish) if words::station(wish.service).is_none() => wish,
            Ok(_) => return self.invalid(n, m, "names like `_s1` are addresses of stations"),
            Err(why) => return self.odd(n, m, why),
        };
        // it was read as one that is a name
        let Ok(name) = name::to_bus(service, &mut spare) else { return };
        if name.starts_with(ANNOUNCED) {
            return self.invalid(n, m, "that is the name of a command, which is nobody's alone");
        }
        let gate = self.settings.gate;
        let Some(password) = password.filter(|_| !gate.is_open()) else { return self.register_as(n, name) };
        let mut room = [0; MAX_PASSWORD];
        let verdict = match password.read(&mut Room::new(&mut room)) {
            Some(password) => gate.decide(self.stations.id(n), name, password),
            None => Verdict::Denied,
        };
        if verdict != Verdict::Later {
            return self.judge_register(n, name, verdict);
        }
        let Some(row) = self.names.hold(name) else {
            return self.judge_register(n, name, Verdict::Busy("the node's table of names is full"));
        };
        let st = &mut self.stations[n];
        st.communicator.wanted = row;
        st.unverified = Some(Unverified::default());
    }

    /// What the gate has found out about who wants a name.
    pub(in crate::router) fn judge_wish(&mut self, n: u32, verdict: Verdict) {
        let row = core::mem::take(&mut self.stations[n].communicator.wanted);
        let mut name = heapless::String::<MAX_NAME, u8>::new();
        // no name is longer
        let _ = name.push_str(self.names.row(row).text());
        self.judge_register(n, &name, verdict);
        self.names.release(row);
    }

    fn judge_register(&mut self, n: u32, name: &str, verdict: Verdict) {
        let (why, text) = match verdict {
            Verdict::Granted(grant) if !grant.rights.is_empty() => {
                self.stations[n].grant = grant;
                self.leave_what_is_denied(n);
                return self.register_as(n, name);
            }
            Verdict::Busy(text) => (Reason::Unchecked, text),
            _ => (Reason::Credentials, "wrong password for that service"),
        };
        self.say_register(n, text);
        self.doom(n, why);
    }

    /// A station that may takes a name.
    fn register_as(&mut self, n: u32, name: &str) {
        let entered = match self.enter(n, &Join { name, exclusive: true, ..Join::default() }) {
            Ok(entered) => entered,
            Err((code, text)) => {
                let text = if code == Code::NameTaken { "somebody else has that name" } else { text };
                self.count_refusal(code);
                self.say_register(n, text);
                // a client whose connection ends comes back, and the name may be free then
                if code == Code::NameTaken || self.stations[n].life == Life::New {
                    self.doom(n, Reason::Denied);
                }
                return;
            }
        };
        let row = match entered {
            Entered::Anew(m) => self.names.members[m].name,
            Entered::Again(row) => row,
        };
        let up_since = self.calendar_seconds();
        let st = &mut self.stations[n];
        let before = core::mem::replace(&mut st.communicator.service, row);
        st.communicator.up_since = up_since;
        if let Session::Communicator(session) = &mut st.session {
            session.registered();
        }
        st.name.clear();
        for c in name.chars() {
            // what people see of a longer one is its beginning
            if st.name.push(c).is_err() {
                break;
            }
        }
        if st.life == Life::New {
            st.life = Life::Ready;
            st.introduced = true;
            self.counters.one(Counter::Introduced);
            self.arm(n);
            self.see_connected(n);
            self.tell(Change::Connected, n, 0, 0, Code::Ok);
            self.notice(Change::Connected, n, 0);
        }
        let my_address = self.settings.communicator.my_address;
        self.tell_line(n, &Line::Help, (b"", b""));
        self.tell_line(n, &Line::Ready(my_address), (b"", b""));
        if let Entered::Anew(m) = entered {
            self.entered(n, m);
            if before != 0
                && !fault!(self, RenameKeeps)
                && let Some(old) = self.names.membership(self.stations[n].memberships, before, "")
            {
                self.end_membership(n, old);
            }
        }
        self.bring_mail(n);
    }

    /// Station `n` is no member any more of the name in this row, which it may have registered.
    pub(in crate::router) fn is_called_so_no_more(&mut self, n: u32, row: u32) {
        let service = &mut self.stations[n].communicator.service;
        if *service == row {
            *service = 0;
        }
    }

    /// `COMMANDS`: what it understands, added to what it has said before (section 3.5).
    pub(super) fn announce_all(&mut self, n: u32, m: &Message<'_>) {
        let list = match List::read(m, &mut Room::new(&mut [])) {
            Ok(list) => list,
            Err(why) => return self.odd(n, m, why),
        };
        // Nobody can have joined more; and whoever repeats himself gets no more work done by it.
        let most = self.settings.joins as usize;
        let mut denied = None;
        for command in list.iter().take(most) {
            if let Some(known) = Command::of(command) {
                self.stations[n].communicator.announced.add(known);
            }
            let mut spare = [0; MAX_NAME];
            let name = name::to_verb(command, &mut spare).ok().and_then(announcers);
            let entered = match &name {
                Some(name) => self.enter(n, &Join { name, ..Join::default() }),
                None => Err((Code::BadName, "a command that is too long")),
            };
            match entered {
                Ok(Entered::Anew(m)) => self.entered(n, m),
                Ok(Entered::Again(_)) => {}
                Err(why) => {
                    denied = Some(why);
                    if why.0 == Code::Full {
                        break;
                    }
                }
            }
        }
        self.bring_mail(n);
        if denied.is_none() && list.iter().nth(most).is_some() {
            denied = Some((Code::Full, "more commands than a station may announce"));
        }
        if let Some((code, text)) = denied {
            self.count_refusal(code);
            self.say_invalid(n, m, text);
        } else if list.odd() > 0 {
            self.invalid(n, m, "some of that are no commands: capitals, digits and `_` only");
        }
    }

    /// Parameters that are not as the page has them.
    pub(super) fn odd(&mut self, n: u32, m: &Message<'_>, why: Odd) {
        let mut text = heapless::String::<160>::new();
        // no explanation is that long
        let _ = match why.key() {
            Some(key) => core::fmt::write(&mut text, format_args!("{key}: {}", why.text())),
            None => text.push_str(why.text()).map_err(|_| core::fmt::Error),
        };
        self.invalid(n, m, &text);
    }

    fn say_register(&mut self, n: u32, message: &str) {
        self.tell_line(n, &Line::Invalid { command: Command::Register.name().as_bytes(), message }, (b"", b""));
    }

    fn count_refusal(&mut self, code: Code) {
        self.counters.one(match code {
            Code::Refused => Counter::Refused,
            Code::NameTaken => Counter::NameTaken,
            Code::Full => Counter::TableFull,
            _ => Counter::BadRequest,
        });
    }
}
