//! A server of the Communicator in the plainest way: a heap, maps, no limits, every rule of
//! `wire/communicator.md` where the page has it, for one daemon without links.
//!
//! Two uses: the tests are tested with it, and what the router says to random clients is compared with
//! what it says. Where the original is weak (section 9) it does what Chappe has decided to do; the
//! comments say where.

use super::client::{Client, Clock, Host, Opening, SERVER};
use super::message::{Message, is_command, is_name, trim};
use super::{Setup, users};
use chappe_core::router::{Reason, Rights};
use chappe_core::time::Instant;
use std::collections::{BTreeMap, BTreeSet};

/// Milliseconds that a listener without rights waits for a password.
pub const HELLO: u64 = 5_000;

/// Seconds since 1970 at 0.
pub const CALENDAR: u64 = 1_795_190_000;

/// What the daemon announces (section 3.5).
pub const COMMANDS: &str = "ACCEPT,ALIVE,CLOCK_STATUS,CLUSTER_STATUS,COMMANDS,CONNECT,DISCONNECT,FORGET,GOSSIP,HELP,\
                            INVALID,LEAK,LISTEN_LOADAVG,LIST_SERVICES,LOADAVG,LOG_ROTATE,PUBLIC_IP,QUITTING,READY,\
                            REFUSE,REGISTER,REGISTER_FOR_LOADAVG,RESTART,SERVICE_STATUS,SERVICE_UNAVAILABLE,SHUTDOWN,\
                            STOP,UNKNOWN,UNREGISTER,UNREGISTER_FROM_LOADAVG";

/// What is said by servers only to each other, and here to nobody.
const OF_LINKS: [&str; 7] = ["ACCEPT", "CONNECT", "DISCONNECT", "FORGET", "GOSSIP", "RECEIVED", "REFUSE"];

/// What takes the right to manage, to the daemon and to services.
const CONTROL: [&str; 3] = ["LOG_ROTATE", "SHUTDOWN", "STOP"];

/// What takes it to services only.
const CONTROL_OF_SERVICES: [&str; 2] = ["QUITTING", "RESTART"];

/// What no `UNKNOWN` or `INVALID` answers (section 8.2).
const ANSWERS: [&str; 5] = ["ABSOLUTELY", "INVALID", "SERVICE_UNAVAILABLE", "TRANSMISSION_REPORT", "UNKNOWN"];

/// What the daemon takes and only logs.
const LOGGED: [&str; 7] =
    ["INVALID", "LEAK", "QUITTING", "READY", "SERVICE_UNAVAILABLE", "TRANSMISSION_REPORT", "UNKNOWN"];

/// What datagrams may not say (section 3.10).
const STREAM_ONLY: [&str; 11] = [
    "ACCEPT",
    "CLUSTER_STATUS",
    "COMMANDS",
    "CONNECT",
    "DISCONNECT",
    "GOSSIP",
    "REFUSE",
    "REGISTER",
    "REGISTER_FOR_LOADAVG",
    "UNREGISTER",
    "UNREGISTER_FROM_LOADAVG",
];

#[derive(Debug, Default)]
struct Conn {
    rights: Rights,
    service: Option<String>,
    /// Seconds since 1970.
    up_since: u64,
    opened: u64,
    announced: BTreeSet<String>,
    input: Vec<u8>,
    out: Vec<u8>,
    closing: Option<Reason>,
}

#[derive(Debug)]
struct Waiting {
    sender: usize,
    service: String,
    until: u64,
    message: Message,
}

/// The server.
pub struct Plain {
    now: u64,
    setup: Setup,
    clients: Vec<Client>,
    conns: Vec<Conn>,
    declared: BTreeSet<String>,
    waiting: Vec<Waiting>,
    clock: Clock,
    stop_asked: bool,
}

/// Section 1.5.
fn integer(value: &str) -> Option<i64> {
    let (sign, digits) = match value.strip_prefix(['+', '-']) {
        Some(rest) if value.starts_with('-') => ("-", rest),
        Some(rest) => ("", rest),
        None => ("", value),
    };
    let lower = digits.to_ascii_lowercase();
    let bases = [("0x", 16), ("0b", 2), ("0o", 8), ("0d", 10)];
    let (base, digits) =
        bases.iter().find_map(|(p, b)| lower.strip_prefix(p).map(|d| (*b, d))).unwrap_or((10, lower.as_str()));
    let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_alphanumeric());
    i64::from_str_radix(&format!("{sign}{digits}"), base).ok().filter(|_| plain)
}

/// Seconds of a duration of whole or half numbers and units (section 1.5), rounded up.
fn seconds(value: &str) -> Option<u64> {
    let lower = value.trim().to_ascii_lowercase();
    let end = lower.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(lower.len());
    let number: f64 = lower[..end].parse().ok()?;
    let unit = match lower[end..].trim() {
        "" | "s" | "second" | "seconds" => 1.0,
        "m" | "minute" | "minutes" => 60.0,
        "h" | "hour" | "hours" => 3600.0,
        "d" | "day" | "days" => 86400.0,
        "w" | "week" | "weeks" => 604_800.0,
        _ => return None,
    };
    Some((number * unit).ceil() as u64)
}

/// What section 3.6 makes of `cache`: how many seconds to wait, and whether to reply if not.
fn cache(m: &Message) -> (Option<u64>, bool) {
    let (mut no, mut reply, mut ttl) = (false, false, 60);
    for item in m.get("cache").unwrap_or_default().split(';') {
        let (name, value) = item.split_once('=').map_or((item, None), |(n, v)| (n, Some(v)));
        match name {
            "no" => no = true,
            "reply" => reply = true,
            "ttl" => ttl = value.and_then(seconds).filter(|s| (10..=86_400).contains(s)).unwrap_or(60),
            _ => {}
        }
    }
    ((!no).then_some(ttl), reply)
}

/// The parameters that a message to the daemon has to have, and may have, none of which may be empty.
fn schema(command: &str) -> (&'static [&'static str], &'static [&'static str]) {
    match command {
        "REGISTER" => (&["service", "version"], &["password"]),
        "UNREGISTER" | "SERVICE_STATUS" => (&["service"], &[]),
        "COMMANDS" => (&["list"], &[]),
        "ALIVE" => (&[], &["serial", "timestamp"]),
        "LISTEN_LOADAVG" => (&["ips"], &[]),
        "LOADAVG" => (&["avg", "my_address", "timestamp"], &[]),
        "RESTART" => (&[], &["reason"]),
        "READY" => (&[], &["my_address"]),
        "STATUS" => (&["service", "status"], &["server_name", "up_since", "down_since"]),
        "CLOCK_UNSTABLE" => (&["clock_error"], &[]),
        "CLOCK_STABLE" => (&[], &["clock_resolution"]),
        "INVALID" | "UNKNOWN" => (&[], &["command", "message"]),
        "SERVICE_UNAVAILABLE" => (&["destination_service", "unsent_command"], &[]),
        _ => (&[], &[]),
    }
}

fn has_schema_fault(m: &Message) -> bool {
    let (must, may) = schema(&m.command);
    let is_empty = |key: &&str| m.params.get(*key).is_some_and(Vec::is_empty);
    must.iter().any(|key| !m.params.contains_key(*key)) || must.iter().chain(may).any(is_empty)
}

/// Whether a service may be called so.
fn is_free_name(name: &str) -> bool {
    let is_address = name.strip_prefix("_s").is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()));
    is_name(name) && name.len() <= 128 && name != "communicatord" && !is_address
}

impl Plain {
    /// With this set up, and no service.
    pub fn new(setup: Setup) -> Self {
        Plain {
            now: 1_000_003,
            setup,
            clients: Vec::new(),
            conns: Vec::new(),
            declared: BTreeSet::new(),
            waiting: Vec::new(),
            clock: Clock::Checking,
            stop_asked: false,
        }
    }

    fn send(&mut self, c: usize, m: &Message) {
        let conn = &mut self.conns[c];
        if conn.closing.is_none() && self.clients[c].open && !self.clients[c].datagram {
            conn.out.extend(m.write());
            conn.out.push(b'\n');
        }
    }

    fn own(command: &str, to: (&str, &str), params: &[(&str, &str)]) -> Message {
        let params: BTreeMap<String, Vec<u8>> =
            params.iter().filter(|(_, v)| !v.is_empty()).map(|(k, v)| (k.to_string(), v.as_bytes().to_vec())).collect();
        let from = (SERVER.into(), "communicatord".into());
        Message { from, server: to.0.into(), service: to.1.into(), command: command.into(), params, given: 0 }
    }

    /// The daemon says something to a connection.
    fn say(&mut self, c: usize, command: &str, params: &[(&str, &str)]) {
        self.send(c, &Plain::own(command, ("", ""), params));
    }

    fn invalid(&mut self, c: usize, command: &str) {
        // section 8.2: answers to answers would never end
        if ANSWERS.contains(&command) {
            return;
        }
        self.say(c, "INVALID", &[("command", command), ("message", "no")]);
    }

    fn end(&mut self, c: usize, why: Reason) {
        if self.conns[c].closing.is_none() {
            self.conns[c].closing = Some(why);
            self.conns[c].input.clear();
            self.leave(c);
            self.conns[c].announced.clear();
        }
    }

    /// It is not called anything any more.
    fn leave(&mut self, c: usize) {
        if let Some(name) = self.conns[c].service.take() {
            let now = self.calendar().to_string();
            self.status_news(c, &name, &[("status", "down"), ("down_since", &now)]);
        }
    }

    fn status(&mut self, c: usize, service: &str, more: &[(&str, &str)]) {
        let params = [&[("cache", "no"), ("server_name", SERVER), ("service", service)], more].concat();
        self.say(c, "STATUS", &params);
    }

    fn status_news(&mut self, about: usize, service: &str, more: &[(&str, &str)]) {
        for c in 0..self.conns.len() {
            if c != about && self.conns[c].announced.contains("STATUS") {
                self.status(c, service, more);
            }
        }
    }

    fn find(&self, service: &str) -> Option<usize> {
        self.conns.iter().position(|conn| conn.service.as_deref() == Some(service))
    }

    fn clock_line(&self) -> (&'static str, [(&'static str, &'static str); 2]) {
        match self.clock {
            Clock::Checking => ("CLOCK_UNSTABLE", [("cache", "no"), ("clock_error", "checking")]),
            Clock::Invalid => ("CLOCK_UNSTABLE", [("cache", "no"), ("clock_error", "invalid")]),
            Clock::Verified => ("CLOCK_STABLE", [("cache", "no"), ("clock_resolution", "verified")]),
            Clock::NoNtp => ("CLOCK_STABLE", [("cache", "no"), ("clock_resolution", "no_ntp")]),
        }
    }

    fn line(&mut self, c: usize, line: &[u8]) {
        if trim(line).is_empty() {
            return;
        }
        match Message::read(line) {
            Err(why) => self.say(c, "INVALID", &[("message", why)]),
            Ok(m) if m.command.is_empty() || m.given > 64 => self.say(c, "INVALID", &[("message", "no")]),
            Ok(m) => self.message(c, m),
        }
    }

    fn datagram(&mut self, c: usize, datagram: &[u8]) {
        let Ok(mut m) = Message::read(datagram) else { return };
        let secret = self.setup.secret;
        let right = secret.is_empty() || m.params.get("secret_code").is_some_and(|s| s == secret.as_bytes());
        if datagram.len() <= 1024 && right && !STREAM_ONLY.contains(&m.command.as_str()) {
            m.params.remove("secret_code");
            self.message(c, m);
        }
    }

    fn message(&mut self, c: usize, mut m: Message) {
        if self.conns[c].rights == Rights::NONE && m.command != "REGISTER" {
            return self.invalid(c, &m.command);
        }
        // section 3.3
        match &self.conns[c].service {
            Some(name) => m.from = (SERVER.into(), name.clone()),
            None => {
                let claimed = &m.from.1;
                let free = is_free_name(claimed) && self.find(claimed).is_none() && !self.declared.contains(claimed);
                if !free {
                    m.from = Default::default();
                }
            }
        }
        // section 2.1
        let here = ["", ".", "*", SERVER].contains(&m.server.as_str());
        if here && (m.service.is_empty() || m.service == "communicatord") {
            return self.for_daemon(c, &m);
        }
        let everybody = [".", "?", "*"].contains(&m.service.as_str());
        let elsewhere = !["", "*", "?", ".", SERVER].contains(&m.server.as_str());
        if !everybody && (elsewhere || m.service.is_empty() || m.service == "communicatord") {
            return self.report(c, &m, "failed");
        }
        let has = |right| self.conns[c].rights.has(right);
        // unlike the original (weak point W5)
        let control = [&CONTROL[..], &CONTROL_OF_SERVICES].concat().contains(&m.command.as_str());
        if !has(Rights::WRITE) || (control && !has(Rights::MANAGE)) {
            return self.invalid(c, &m.command);
        }
        // what no line can hold, and what ends the original (weak points W1 and W3)
        let written = Message { given: 0, server: String::new(), ..m.clone() };
        let again = Message::read(&written.write()).map(|again| Message { given: 0, ..again });
        if !is_command(&m.command) || again != Ok(written) {
            return self.invalid(c, &m.command);
        }
        match m.service.as_str() {
            "." => self.broadcast(c, &m),
            "?" | "*" if m.server.is_empty() || m.server == "*" => self.broadcast(c, &m),
            "?" | "*" => self.invalid(c, &m.command),
            _ => self.for_service(c, m),
        }
    }

    fn broadcast(&mut self, sender: usize, m: &Message) {
        for c in 0..self.conns.len() {
            // unlike the original (weak point W33)
            if self.conns[c].announced.contains(&m.command) && (c != sender || self.setup.echo) {
                self.send(c, m);
            }
        }
    }

    /// Section 3.7.
    fn report(&mut self, c: usize, m: &Message, status: &str) {
        if m.get("transmission_report").as_deref() == Some("failure") {
            self.say(c, "TRANSMISSION_REPORT", &[("command", &m.command), ("status", status)]);
        }
    }

    fn for_service(&mut self, c: usize, m: Message) {
        match self.find(&m.service) {
            Some(to) if to == c => return self.report(c, &m, "failed"),
            Some(to) => return self.send(to, &m),
            None => {}
        }
        let declared = self.declared.contains(&m.service);
        match cache(&m) {
            (Some(seconds), _) if declared => {
                let until = self.now + seconds * 1000;
                let (service, message) = (m.service.clone(), m.clone());
                self.waiting.push(Waiting { sender: c, service, until, message });
                return self.report(c, &m, "cached");
            }
            (None, true) if declared => {
                let about = [("destination_service", &m.service[..]), ("unsent_command", &m.command[..])];
                self.say(c, "SERVICE_UNAVAILABLE", &about);
            }
            _ => {}
        }
        self.report(c, &m, "failed");
    }

    fn for_daemon(&mut self, c: usize, m: &Message) {
        let command = m.command.as_str();
        // as it was called once
        let command = if command == "LOG" && m.params.is_empty() { "LOG_ROTATE" } else { command };
        let back = (m.from.0.as_str(), m.from.1.as_str());
        if OF_LINKS.contains(&command) || has_schema_fault(m) {
            return self.invalid(c, command);
        }
        let has = |right| self.conns[c].rights.has(right);
        if CONTROL.contains(&command) && !has(Rights::MANAGE) {
            return self.invalid(c, &m.command);
        }
        let reads = ["COMMANDS", "SERVICE_STATUS", "LIST_SERVICES"];
        if reads.contains(&command) && !has(Rights::READ) {
            return self.invalid(c, command);
        }
        let service = m.get("service").unwrap_or_default();
        match command {
            "REGISTER" => self.register(c, m, &service),
            "UNREGISTER" => self.end(c, Reason::Goodbye),
            "COMMANDS" => {
                let list = m.get("list").unwrap_or_default();
                self.conns[c].announced.extend(list.split(',').filter(|i| is_command(i)).map(String::from));
            }
            "ALIVE" => {
                let now = format!("{}.{:03}000000", self.calendar(), self.now % 1000);
                let (serial, stamp) = (m.get("serial").unwrap_or_default(), m.get("timestamp").unwrap_or_default());
                let params = [("reply_timestamp", &now[..]), ("serial", &serial), ("timestamp", &stamp)];
                self.send(c, &Plain::own("ABSOLUTELY", back, &params));
            }
            "HELP" => self.send(c, &Plain::own("COMMANDS", back, &[("list", COMMANDS)])),
            "CLOCK_STATUS" => {
                let (command, params) = self.clock_line();
                self.say(c, command, &params);
            }
            "CLUSTER_STATUS" => {
                for command in ["CLUSTER_UP", "CLUSTER_COMPLETE"] {
                    self.send(c, &Plain::own(command, ("", "."), &[("neighbors_count", "1")]));
                }
            }
            // it has none, and the message must not be without (weak point W23)
            "PUBLIC_IP" => self.invalid(c, command),
            "SERVICE_STATUS" => match self.find(&service) {
                Some(other) => {
                    let up = self.conns[other].up_since.to_string();
                    self.status(c, &service, &[("status", "up"), ("up_since", &up)]);
                }
                None => self.status(c, &service, &[("status", "unknown")]),
            },
            "LIST_SERVICES" => {
                let names: BTreeSet<&str> = self.conns.iter().filter_map(|c| c.service.as_deref()).collect();
                let (count, list) = (names.len().to_string(), names.into_iter().collect::<Vec<_>>().join(","));
                self.say(c, "SERVICES", &[("count", &count), ("list", &list)]);
            }
            "STOP" | "SHUTDOWN" if self.setup.shutdown => self.stop_asked = true,
            "STOP" | "SHUTDOWN" => self.invalid(c, command),
            // it is restarted by whoever runs it
            "RESTART" => self.invalid(c, command),
            "LOG_ROTATE" => {}
            "LISTEN_LOADAVG" | "LOADAVG" => self.invalid(c, command),
            "REGISTER_FOR_LOADAVG" | "UNREGISTER_FROM_LOADAVG" => {}
            _ if LOGGED.contains(&command) || ANSWERS.contains(&command) => {}
            _ => self.send(c, &Plain::own("UNKNOWN", back, &[("command", command)])),
        }
    }

    /// Section 3.2; weak points W3 and W6.
    fn register(&mut self, c: usize, m: &Message, service: &str) {
        if m.get("version").as_deref().and_then(integer) != Some(1) || !is_free_name(service) {
            return self.invalid(c, "REGISTER");
        }
        if let Some(password) = m.params.get("password") {
            let Some(rights) = users::rights_of(service, password) else {
                self.invalid(c, "REGISTER");
                return self.end(c, Reason::Credentials);
            };
            self.conns[c].rights = rights;
        }
        if !self.conns[c].rights.has(Rights::READ) {
            return self.invalid(c, "REGISTER");
        }
        if self.find(service).is_some_and(|other| other != c) {
            self.invalid(c, "REGISTER");
            return self.end(c, Reason::Denied);
        }
        let is_new = self.conns[c].service.as_deref() != Some(service);
        let old = self.conns[c].service.replace(service.into());
        self.conns[c].up_since = self.calendar();
        self.say(c, "HELP", &[]);
        self.say(c, "READY", &[("my_address", "127.0.0.1:4042")]);
        if !is_new {
            return;
        }
        let up = self.calendar().to_string();
        self.status_news(c, service, &[("status", "up"), ("up_since", &up)]);
        if let Some(old) = old {
            self.status_news(c, &old, &[("status", "down"), ("down_since", &up)]);
        }
        // unlike the original (weak point W14) nothing that has expired
        let now = self.now;
        // nor what it has sent itself, under no name or another (D2)
        let all = std::mem::take(&mut self.waiting).into_iter();
        let (mail, others) = all.partition(|w| w.service == service && w.sender != c);
        self.waiting = others;
        for w in mail {
            if w.until > now {
                self.send(c, &w.message);
            }
        }
    }

    fn step(&mut self) -> bool {
        let mut busy = false;
        for c in 0..self.conns.len() {
            if !self.clients[c].open {
                continue;
            }
            let bytes = std::mem::take(&mut self.clients[c].output);
            busy |= !bytes.is_empty();
            if self.conns[c].closing.is_none() {
                self.conns[c].input.extend(bytes);
            }
            while let Some(at) = self.conns[c].input.iter().position(|b| *b == b'\n') {
                let line: Vec<u8> = self.conns[c].input.drain(..=at).collect();
                self.line(c, &line[..at]);
                busy = true;
            }
            while let Some(datagram) = self.clients[c].datagrams.pop_front() {
                self.datagram(c, &datagram);
                busy = true;
            }
        }
        for c in 0..self.conns.len() {
            if self.clients[c].open && self.clients[c].reads {
                let out = std::mem::take(&mut self.conns[c].out);
                busy |= !out.is_empty();
                self.clients[c].take(&out);
                if let Some(why) = self.conns[c].closing {
                    self.clients[c].end(why);
                    busy = true;
                }
            }
        }
        busy
    }
}

impl Host for Plain {
    fn now(&self) -> Instant {
        Instant::from_millis(self.now)
    }

    fn calendar(&self) -> u64 {
        CALENDAR + self.now / 1000
    }

    fn clients(&mut self) -> &mut Vec<Client> {
        &mut self.clients
    }

    fn open_as(&mut self, how: Opening) -> usize {
        self.clients.push(Client::new(None, how.datagram));
        self.conns.push(Conn { rights: how.rights, opened: self.now, ..Conn::default() });
        self.clients.len() - 1
    }

    fn part(&mut self, c: usize) {
        if self.clients[c].open {
            self.clients[c].open = false;
            self.conns[c].input.clear();
            self.conns[c].announced.clear();
            self.leave(c);
        }
        self.drive();
    }

    fn read_on(&mut self, c: usize) {
        self.clients[c].reads = true;
        self.drive();
    }

    fn drive(&mut self) {
        while self.step() {}
    }

    fn wait(&mut self, ms: u32) {
        self.now += ms as u64;
        for c in 0..self.conns.len() {
            if self.conns[c].rights == Rights::NONE && self.now - self.conns[c].opened >= HELLO {
                self.say(c, "INVALID", &[("message", "late")]);
                self.end(c, Reason::NotIntroduced);
            }
        }
        self.drive();
    }

    fn declare(&mut self, service: &str) {
        self.declared.insert(service.into());
    }

    fn set_clock(&mut self, clock: Clock) {
        if std::mem::replace(&mut self.clock, clock) != clock {
            let (command, params) = self.clock_line();
            let m = Plain::own(command, ("", "."), &params);
            for c in 0..self.conns.len() {
                if self.conns[c].announced.contains(command) {
                    self.send(c, &m);
                }
            }
        }
        self.drive();
    }

    /// Section 3.9.
    fn stop(&mut self) {
        for c in 0..self.conns.len() {
            let last = ["DISCONNECTING", "QUITTING"].into_iter().find(|w| self.conns[c].announced.contains(*w));
            if let Some(last) = last {
                self.say(c, last, &[]);
            }
            // those that go with it hear nothing of each other
            self.conns[c].announced.clear();
        }
        for c in 0..self.conns.len() {
            self.end(c, Reason::Stopping);
        }
        self.drive();
    }

    fn stop_asked(&mut self) -> bool {
        std::mem::take(&mut self.stop_asked)
    }
}
