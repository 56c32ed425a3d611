//! What a node must do about lines of the Communicator (`wire/communicator.md`).
//!
//! Owns: whom a line is for, what it does to memberships, letters, mail and questions, which the rest of the
//! model knows, and what its sender is told. Does not own those.

use super::{Mail, Model, Seen, What};
use crate::communicator::message::{Message, is_command, is_name};
use crate::sim::plan::Speech;
use crate::sim::words::{DAEMON, Heard, Sent, To, Token, name_of, service_of, token_of};
use chappe_core::model::Code;

/// What is answered by nothing.
const LOGGED: [&str; 8] =
    ["ABSOLUTELY", "INVALID", "LEAK", "QUITTING", "READY", "SERVICE_UNAVAILABLE", "TRANSMISSION_REPORT", "UNKNOWN"];

/// Milliseconds that a message waits (section 3.6); `None`: not at all. And whether to reply then.
fn cache(m: &Message) -> (Option<u64>, bool) {
    let cache = m.get("cache").unwrap_or_default();
    let has = |item: &str| cache.split(';').any(|i| i == item);
    let ttl = if has("ttl=10") { 10_000 } else { 60_000 };
    ((!has("no")).then_some(ttl), has("reply"))
}

/// The address of a station that a service stands for.
fn address(service: &str) -> Option<u64> {
    service.strip_prefix("_s")?.parse().ok()
}

impl Model {
    /// A line of station `id`. `question`: the message of the question whose number it has.
    pub(super) fn line(&mut self, id: u64, m: &Message, question: Option<Token>, seen: Seen) {
        if self.is_answer(id, m, question) {
            return;
        }
        let is_any = matches!(m.server.as_str(), "" | "*");
        let is_here = is_any || m.server == "." || m.server == self.server;
        match m.service.as_str() {
            "." => self.broadcast(id, m, seen),
            "?" | "*" if is_any => self.broadcast(id, m, seen),
            "?" | "*" => self.invalid(id, &m.command),
            "" | DAEMON if is_here => self.for_daemon(id, m, seen),
            "" | DAEMON => self.report_line(id, m, false),
            _ if is_here || m.server == "?" => self.for_service(id, m, seen),
            _ => self.report_line(id, m, false),
        }
    }

    /// A line that is no message.
    pub(super) fn no_message(&mut self, id: u64) {
        self.tell(id, Heard::Outcome { seq: 0, code: Code::Failed, count: 0 });
    }

    fn own(&mut self, id: u64, line: String) {
        self.tell(id, Heard::Line(line));
        self.group += 1;
    }

    fn invalid(&mut self, id: u64, command: &str) {
        self.own(id, format!("INVALID command={command}"));
    }

    /// Section 3.7: `cached`, or that it failed, for who wants to know.
    fn report_line(&mut self, id: u64, m: &Message, cached: bool) {
        if m.get("transmission_report").as_deref() == Some("failure") {
            let status = if cached { "cached" } else { "failed" };
            self.own(id, format!("TRANSMISSION_REPORT command={} status={status}", m.command));
        }
    }

    fn broadcast(&mut self, id: u64, m: &Message, seen: Seen) {
        match m.get("name").filter(|_| matches!(m.command.as_str(), "SET" | "NOTIFY")) {
            Some(name) => _ = self.letter(id, m, To::Name, &name, seen),
            None => _ = self.letter(id, m, To::Name, &format!("./{}", m.command), seen),
        }
    }

    fn letter(&mut self, id: u64, m: &Message, to: To, name: &str, seen: Seen) -> (u32, u32) {
        let Ok(Some(token)) = token_of(m) else { return (0, 0) };
        self.deliver(id, &sent(to, name, token, 0), token, seen)
    }

    fn for_service(&mut self, id: u64, m: &Message, seen: Seen) {
        if !is_command(&m.command) {
            return self.invalid(id, &m.command);
        }
        let number = m.get("reply_to").and_then(|n| n.parse::<i64>().ok());
        // an answer with a number that only nodes give, to no question that is open
        if m.command == "REPLY" && number.is_some_and(|n| n >= 1 << 31) {
            return;
        }
        let station = address(&m.service);
        let name = if station.is_some() { String::new() } else { name_of(&m.service) };
        let to = station.map_or(To::Name, To::Station);
        let is_answer = LOGGED.contains(&m.command.as_str()) || m.command == "REPLY";
        if let Some(seq) = number.filter(|n| *n > 0 && !is_answer)
            && let Ok(Some(token)) = token_of(m)
        {
            let sent = Sent { ask: true, ..sent(to, &name, token, seq) };
            return self.ask(id, &sent, token, seen);
        }
        let (reached, members) = self.letter(id, m, to, &name, seen);
        let declared = self.is_declared(&name);
        if reached > 0 && (members > 0 || !declared) {
            return;
        }
        let is_own = self.stations[&id].members.iter().any(|own| own.name == name);
        let (ttl, reply) = cache(m);
        if is_own || !declared {
            return self.report_line(id, m, false);
        }
        match (ttl, token_of(m)) {
            (Some(ttl), Ok(Some(token))) if !seen.full => {
                self.mail.push(Mail { token, name, from: id, until: self.now + ttl, saved: !seen.unsaved });
                self.report_line(id, m, true);
            }
            _ => {
                if reply {
                    let line =
                        format!("SERVICE_UNAVAILABLE destination_service={} unsent_command={}", m.service, m.command);
                    self.own(id, line);
                }
                self.report_line(id, m, false);
            }
        }
    }

    fn for_daemon(&mut self, id: u64, m: &Message, seen: Seen) {
        let service = m.get("service").unwrap_or_default();
        match m.command.as_str() {
            "SET" | "NOTIFY" if m.params.contains_key("name") => self.broadcast(id, m, seen),
            "REGISTER" => {
                let is_free = is_name(&service) && service != DAEMON && address(&service).is_none();
                if !is_free || m.get("version").as_deref() != Some("1") {
                    return self.invalid(id, "REGISTER");
                }
                self.register(id, &name_of(&service), seen);
            }
            "COMMANDS" => {
                let name = format!("./{}", m.get("list").unwrap_or_default());
                match self.enter(id, &name, "*", false, seen) {
                    Ok(true) => {
                        self.joined(id, &name, "*");
                        self.group += 1;
                        self.bring_mail(id, &name, "*", seen);
                    }
                    Ok(false) => {}
                    Err(_) => self.invalid(id, "COMMANDS"),
                }
            }
            "UNREGISTER" => {}
            "HELP" => self.own(id, "COMMANDS".into()),
            "ALIVE" => self.own(id, format!("ABSOLUTELY serial={}", m.get("serial").unwrap_or_default())),
            "SERVICE_STATUS" => {
                let status = match self.first_of(&name_of(&service)) {
                    None => "unknown",
                    // since when is known of services of this dialect only
                    Some(first) if self.stations[&first].speech == Speech::Communicator => "up up_since",
                    Some(_) => "up",
                };
                self.own(id, format!("STATUS {service} {status}"));
            }
            "LIST_SERVICES" => {
                let all = self.stations.values().flat_map(|st| &st.members);
                let names = all.filter(|m| !m.name.starts_with("./") && !m.name.ends_with('*'));
                let mut names: Vec<String> = names.map(|m| service_of(&m.name)).collect();
                names.sort();
                names.dedup();
                self.own(id, format!("SERVICES {} {}", names.len(), names.join(",")));
            }
            "CONNECT" => self.invalid(id, "CONNECT"),
            "REPLY" => {}
            command if LOGGED.contains(&command) => {}
            command => self.own(id, format!("UNKNOWN command={command}")),
        }
    }

    fn register(&mut self, id: u64, name: &str, seen: Seen) {
        let entered = self.enter(id, name, "*", true, seen);
        // that its name is taken is the end of its connection, which the node is seen to close
        let Ok(is_new) = entered else { return self.invalid(id, "REGISTER") };
        self.own(id, "HELP".into());
        self.own(id, "READY".into());
        let is_old = |m: &super::Membership| m.name != name && !m.name.starts_with("./");
        if is_new {
            self.joined(id, name, "*");
            if let Some(at) = self.stations[&id].members.iter().position(is_old) {
                self.end_membership(id, at, false);
            }
        }
        self.group += 1;
        self.bring_mail(id, name, "*", seen);
    }

    /// Who has joined a name before all others that have.
    fn first_of(&self, name: &str) -> Option<u64> {
        let all = self.stations.iter().flat_map(|(id, st)| st.members.iter().map(move |m| (m, *id)));
        all.filter(|(m, _)| m.name == name).min_by_key(|(m, _)| m.serial).map(|(_, id)| id)
    }

    /// Whether a line answers a question: by its number, or because it goes to who has asked.
    fn is_answer(&mut self, id: u64, m: &Message, question: Option<Token>) -> bool {
        let is_here = matches!(m.server.as_str(), "" | "*" | "." | "?") || m.server == self.server;
        let to_daemon = matches!(m.service.as_str(), "" | DAEMON) && m.server != "?";
        let asker = match m.service.as_str() {
            _ if !is_here => return false,
            "." | "?" | "*" => return false,
            _ if to_daemon => None,
            "" | DAEMON => return false,
            service => match address(service) {
                Some(id) => self.stations.contains_key(&id).then_some(id),
                None => self.first_of(&name_of(service)),
            },
        };
        let owes = |q: &super::Question| q.owed.contains(&id);
        let found = match (m.params.contains_key("reply_to"), asker) {
            (true, asker) => {
                let is_it = |q: &&super::Question| Some(q.token) == question && owes(q);
                self.questions.iter().find(is_it).filter(|q| asker.is_none_or(|asker| q.asker == asker))
            }
            (false, Some(asker)) => self.questions.iter().find(|q| q.asker == asker && owes(q)),
            (false, None) => None,
        };
        let Some(found) = found.map(|q| q.token) else { return false };
        if !is_command(&m.command) {
            self.invalid(id, &m.command);
            return true;
        }
        let code = match m.command.as_str() {
            "UNKNOWN" => Code::UnknownVerb,
            "INVALID" => Code::BadRequest,
            _ => Code::Ok,
        };
        self.answer(id, found.into(), token_of(m).unwrap_or_default(), code, None);
        true
    }

    /// A name has got its first member, or lost its last: whoever has announced `STATUS` is told, but not who
    /// it is about.
    pub(super) fn status(&mut self, about: u64, name: &str, news: &str, members: usize) {
        if self.memberships_of(name) != members || name.starts_with("./") || name.ends_with('*') {
            return;
        }
        let hears = |st: &super::Station| {
            st.speech == Speech::Communicator && st.ready && st.members.iter().any(|m| m.name == "./STATUS")
        };
        let all: Vec<u64> =
            self.stations.iter().filter(|(id, st)| **id != about && hears(st)).map(|(id, _)| *id).collect();
        for to in all {
            let what = What::Exactly(Heard::Line(format!("STATUS {} {news}", service_of(name))));
            self.expect(to, what, true);
        }
    }

    fn memberships_of(&self, name: &str) -> usize {
        self.stations.values().flat_map(|st| &st.members).filter(|m| m.name == name).count()
    }
}

/// A letter with nothing special.
fn sent(to: To, name: &str, token: Token, seq: i64) -> Sent {
    let (name, instance) = (name.to_string(), "*".to_string());
    Sent { to, name, instance, verb: false, token: Some(token), seq, ask: false, each: false, keep: false, ttl: 0 }
}
