//! What one node must do: the rules of delivery with lists and maps, and nothing clever.
//!
//! Owns: who is there, who is a member of what, which questions are open, which mail waits, which values there
//! are; and what each thing that is said must lead to, as a list of [`Expect`]. Shares no code with the core's
//! tables. Does not own sizes: whether a table is full, or an outbox, it is told ([`Seen`]).

mod communicator;

use super::plan::{NOTICES, Speech};
use super::words::{Flag, Heard, Row, Said, Sent, Table, To, Token};
use chappe_core::model::{Change, Code};
use std::collections::{BTreeMap, BTreeSet};

/// What a station must hear.
#[derive(Debug, Clone)]
pub struct Expect {
    /// The station.
    pub to: u64,
    /// What.
    pub what: What,
    /// It may not be missed by who stays and reads.
    pub sure: bool,
    /// It may come whenever it comes.
    pub loose: bool,
    /// Since when: the judge's.
    pub at: u64,
    /// Of the same group it may come in any order; a lower group comes first.
    pub group: u64,
}

/// What is heard, as far as it is certain.
#[derive(Debug, Clone)]
pub enum What {
    /// This very thing.
    Exactly(Heard),
    /// The answer to a request, whatever it is.
    Outcome(u32),
    /// The node's own answer to a question, for one of these reasons.
    NoAnswer(i64, u64, Vec<Code>),
    /// Some answer to a question: its number, and whose if each was asked.
    AnyAnswer(i64, u64),
    /// A value or its absence, whichever.
    AnyValue(u32),
    /// A page of a list, the first or a later one, of all the rows that there are; `None`: whichever there are.
    Page {
        /// Number of the request.
        seq: u32,
        /// It is the first.
        first: bool,
        /// The rows.
        all: Option<Vec<Row>>,
    },
}

impl What {
    /// Whether that is it. To a station of MSGQ every failure is a failure.
    pub fn fits(&self, heard: &Heard, speech: Speech) -> bool {
        let native = speech == Speech::Native;
        match (self, heard) {
            (What::Exactly(Heard::Reply { seq, token, code, .. }), Heard::Reply { seq: s, token: t, code: c, .. })
                if !native =>
            {
                seq == s && token == t && (*code == Code::Ok) == (*c == Code::Ok)
            }
            (What::Exactly(Heard::Letter { token, name, ask }), Heard::Letter { token: t, name: n, ask: a }) => {
                // of broadcasts it hears the command that they say
                let is_command = speech == Speech::Communicator && name.starts_with("./") && n.starts_with("./");
                token == t && ask == a && (name.is_empty() || name == n || is_command)
            }
            // a line of Clacks has no numbers
            (What::Exactly(Heard::Outcome { code, .. }), Heard::Outcome { code: c, .. }) if !native => {
                (*code == Code::NotFound) == (*c == Code::NotFound)
            }
            (What::Exactly(what), heard) => what == heard,
            (What::Outcome(seq), Heard::Outcome { seq: s, .. }) => seq == s,
            (What::NoAnswer(seq, about, codes), Heard::Reply { seq: s, station, token: None, code }) => {
                let tells_why = native || speech == Speech::Communicator;
                seq == s && about == station && (codes.contains(code) || !tells_why && *code != Code::Ok)
            }
            (What::AnyAnswer(seq, about), Heard::Reply { seq: s, station, .. }) => seq == s && about == station,
            (What::Page { seq, .. }, Heard::Page { seq: s, .. }) => seq == s,
            // a list of nothing
            (What::Page { seq, .. }, Heard::Outcome { seq: s, code: Code::Ok, count: 0 }) => seq == s,
            (What::AnyValue(seq), Heard::Value { seq: s, .. }) => seq == s,
            (What::AnyValue(seq), Heard::Outcome { seq: s, code: Code::NotFound, .. }) => seq == s,
            _ => false,
        }
    }
}

/// What was counted at the node while it dealt with what the model is told.
#[derive(Debug, Clone, Copy, Default)]
pub struct Seen {
    /// Something was refused because a table is full.
    pub full: bool,
    /// Copies were dropped.
    pub dropped: bool,
    /// All that has changed so far is on the disk.
    pub kept: bool,
    /// A message waits without a copy on the disk.
    pub unsaved: bool,
    /// Changes of values are refused, with this code.
    pub refuses: Option<Code>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Membership {
    name: String,
    instance: String,
    exclusive: bool,
    /// Counts memberships.
    serial: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Watch {
    stations: bool,
    members: bool,
    flags: bool,
    /// The only name of interest; empty: all.
    name: String,
}

#[derive(Debug)]
struct Station {
    speech: Speech,
    ready: bool,
    link: bool,
    members: Vec<Membership>,
    watches: Vec<Watch>,
}

#[derive(Debug)]
struct Question {
    token: Token,
    asker: u64,
    seq: i64,
    each: bool,
    /// What it was asked under, for who leaves that.
    name: String,
    owed: BTreeSet<u64>,
    until: u64,
}

/// A message that waits.
#[derive(Debug, Clone)]
pub struct Mail {
    /// Its number.
    pub token: Token,
    name: String,
    from: u64,
    until: u64,
    /// The disk has a copy, or will have.
    pub saved: bool,
}

/// What is there of a node after a crash.
#[derive(Debug, Clone, Default)]
pub struct Past {
    /// Its values.
    pub values: BTreeMap<String, Vec<u8>>,
    /// Messages that waited.
    pub mail: Vec<Mail>,
}

/// One node.
#[derive(Debug, Default)]
pub struct Model {
    stations: BTreeMap<u64, Station>,
    declared: BTreeSet<String>,
    /// Names that are declared as long as mail from before the crash waits for them.
    lent: BTreeSet<String>,
    mail: Vec<Mail>,
    questions: Vec<Question>,
    /// Those whose asker has its answer, and until when that is remembered.
    closed: Vec<(u64, i64, u64)>,
    flushes: Vec<(u64, u32)>,
    /// Memberships that there have been.
    serial: u64,
    /// What clients of the Communicator call the node.
    pub server: String,
    flags: BTreeMap<String, Flag>,
    /// Stations that belong to the node.
    pub own: Vec<u64>,
    /// The values.
    pub values: BTreeMap<String, Vec<u8>>,
    /// Other nodes change values, too: what they are is not known here.
    pub linked: bool,
    /// Longest time that an answer may take, in milliseconds.
    pub max_ask: u64,
    /// How long mail is kept if nobody says.
    pub max_keep: u64,
    now: u64,
    /// What happens now happens in any order.
    rough: bool,
    group: u64,
    out: Vec<Expect>,
}

/// Whether a join of this name hears what is sent to that.
fn covers(joined: &str, name: &str) -> bool {
    match joined.strip_suffix('*') {
        Some(stem) => name.len() > stem.len() && name.starts_with(stem),
        None => joined == name,
    }
}

fn hears_notices(m: &Membership) -> bool {
    m.name == NOTICES && m.instance == "*"
}

/// Whether a flag can be called that.
fn is_flag(full: &str) -> bool {
    full.split('/').count() == 3
}

/// The end of the wheel's tick in which something of this time is due: never early, less than a tick late.
fn due(until: u64, now: u64) -> bool {
    now / 8 * 8 >= until
}

impl Model {
    /// What is expected since the last call.
    pub fn take(&mut self) -> Vec<Expect> {
        std::mem::take(&mut self.out)
    }

    /// All memberships: station and name, once for each instance.
    pub fn members(&self) -> Vec<(u64, String, String)> {
        let all = self.stations.iter().flat_map(|(id, st)| st.members.iter().map(move |m| (*id, m)));
        let mut all: Vec<_> = all.map(|(id, m)| (id, m.name.clone(), m.instance.clone())).collect();
        all.sort();
        all
    }

    /// Whether it is there and introduced.
    pub fn is_ready(&self, id: u64) -> bool {
        self.stations.get(&id).is_some_and(|st| st.ready)
    }

    /// What it speaks, if it is there.
    pub fn speech(&self, id: u64) -> Option<Speech> {
        self.stations.get(&id).map(|st| st.speech)
    }

    /// Whether nobody waits for an answer.
    pub fn is_idle(&self) -> bool {
        self.questions.is_empty()
    }

    /// Names that are declared.
    pub fn declared(&self) -> u64 {
        self.declared.union(&self.lent).count() as u64
    }

    fn is_declared(&self, name: &str) -> bool {
        self.declared.contains(name) || self.lent.contains(name)
    }

    /// As much of it as a crash leaves if all is on the disk.
    pub fn past(&self) -> Past {
        let mail = self.mail.iter().filter(|m| m.saved).cloned().collect();
        Past { values: self.values.clone(), mail }
    }

    /// A message from before the crash waits again, for so many milliseconds.
    pub fn waits_again(&mut self, token: Token, name: &str, left: u64) {
        let until = self.now + left.min(self.max_keep);
        self.mail.push(Mail { token, name: name.into(), from: 0, until, saved: true });
        self.lent.insert(name.into());
    }

    /// Messages have gone.
    fn unlend(&mut self) {
        self.lent.retain(|name| self.mail.iter().any(|m| m.name == *name));
    }

    /// Letters that wait for somebody.
    pub fn waiting_mail(&self) -> usize {
        self.mail.len()
    }

    fn expect(&mut self, to: u64, what: What, sure: bool) {
        let (group, at) = (self.group, 0);
        self.out.push(Expect { to, what, sure, loose: false, at, group });
    }

    /// It comes whenever it comes.
    fn expect_some_time(&mut self, to: u64, what: What, sure: bool) {
        let (group, at) = (self.group, 0);
        self.out.push(Expect { to, what, sure, loose: true, at, group });
    }

    fn tell(&mut self, to: u64, heard: Heard) {
        self.expect(to, What::Exactly(heard), true);
    }

    fn outcome(&mut self, to: u64, seq: u32, code: Code, count: u32) {
        let speaks = matches!(self.stations[&to].speech, Speech::Native | Speech::Clacks);
        let is_heard = seq != 0 || code != Code::Ok;
        if speaks && is_heard {
            self.tell(to, Heard::Outcome { seq, code, count });
        }
    }

    /// A connection has come.
    pub fn admitted(&mut self, id: u64, speech: Speech) {
        let station = Station { speech, ready: false, link: false, members: Vec::new(), watches: Vec::new() };
        self.stations.insert(id, station);
        if matches!(speech, Speech::Msgq | Speech::Communicator) {
            self.connected(id);
        }
        self.group += 1;
    }

    fn connected(&mut self, id: u64) {
        self.stations.get_mut(&id).expect("it was admitted").ready = true;
        self.announce(id, Change::Connected, "", "");
        self.notice(id, Change::Connected, "");
    }

    /// It is a link.
    pub fn set_link(&mut self, id: u64) {
        if let Some(st) = self.stations.get_mut(&id) {
            st.link = true;
        }
    }

    fn announce(&mut self, about: u64, change: Change, name: &str, instance: &str) {
        let wants = |w: &Watch| match change {
            Change::Connected | Change::Disconnected => w.stations,
            _ => w.members && (w.name.is_empty() || w.name == name),
        };
        let watchers: Vec<u64> = self
            .stations
            .iter()
            .filter(|(id, st)| **id != about && st.watches.iter().any(wants))
            .map(|(id, _)| *id)
            .collect();
        for watcher in watchers {
            let (name, instance) = (name.to_string(), instance.to_string());
            self.tell(watcher, Heard::Presence { change, station: about, name, instance });
        }
        match change {
            Change::Joined => self.status(about, name, "up up_since", 1),
            Change::Left => self.status(about, name, "down down_since", 0),
            _ => {}
        }
    }

    /// Stations of MSGQ are told, as members of a name; who caused it, too.
    fn notice(&mut self, station: u64, change: Change, name: &str) {
        let is_told = |st: &Station| st.ready && st.speech == Speech::Msgq && st.members.iter().any(hears_notices);
        let told: Vec<u64> = self.stations.iter().filter(|(_, st)| is_told(st)).map(|(id, _)| *id).collect();
        for id in told {
            let name = name.to_string();
            // who does not read is closed for it
            self.tell(id, Heard::Notice { change, station, name });
        }
    }

    /// Time has passed. `rough`: somebody has gone at the same time.
    pub fn tick(&mut self, now: u64, rough: bool) {
        (self.now, self.rough) = (now, rough);
        self.closed.retain(|(_, _, until)| !due(*until, now));
        self.mail.retain(|m| !due(m.until, now));
        self.unlend();
        let (over, open) = std::mem::take(&mut self.questions).into_iter().partition(|q| due(q.until, now));
        self.questions = open;
        for q in over {
            self.give_up(&q, Code::TimedOut);
        }
        self.group += 1;
    }

    /// Nobody will answer it any more.
    fn give_up(&mut self, q: &Question, code: Code) {
        let codes = if self.rough { vec![Code::TimedOut, Code::RecipientLeft] } else { vec![code] };
        match q.each {
            true => {
                q.owed.iter().for_each(|about| self.expect(q.asker, What::NoAnswer(q.seq, *about, codes.clone()), true))
            }
            false => {
                self.expect(q.asker, What::NoAnswer(q.seq, 0, codes), true);
                self.closed.push((q.asker, q.seq, self.now + self.max_ask));
            }
        }
    }

    /// A station says something.
    pub fn said(&mut self, id: u64, said: &Said, seen: Seen) {
        let Some(st) = self.stations.get(&id) else { return };
        self.group += 1;
        match (st.ready, said) {
            (false, Said::Hello) => {
                self.tell(id, Heard::Welcome);
                self.connected(id);
            }
            // it asks for its name, which comes before all else
            (true, Said::Hello) => self.out.push(Expect {
                to: id,
                what: What::Exactly(Heard::Welcome),
                sure: true,
                loose: false,
                at: 0,
                group: 0,
            }),
            (false, _) => {}
            (true, said) => self.obey(id, said, seen),
        }
        self.group += 1;
    }

    fn obey(&mut self, id: u64, said: &Said, seen: Seen) {
        match said {
            Said::Join { seq, name, instance, exclusive } => self.join(id, *seq, name, instance, *exclusive, seen),
            Said::Leave { seq, name, instance } => self.leave(id, *seq, name, instance),
            Said::Send(sent) => self.send(id, sent, seen),
            // whoever reads the frames has put the question's own number here
            Said::Answer { ask_id, token, ok, to } => {
                self.answer(id, *ask_id, *token, if *ok { Code::Ok } else { Code::Failed }, *to);
            }
            Said::Set { seq, key, value, announce } => self.set(id, *seq, key, value, *announce, seen),
            Said::Get { seq, key } => match self.values.get(key).cloned() {
                _ if self.linked => self.expect(id, What::AnyValue(*seq), true),
                Some(value) => self.tell(id, Heard::Value { seq: *seq, value }),
                None => self.outcome(id, *seq, Code::NotFound, 0),
            },
            Said::Remove { seq, key } => self.remove(id, *seq, key, seen),
            Said::Add { seq, key, amount, .. } => self.add(id, *seq, key, *amount, seen),
            Said::Flush { seq, text } => match self.stations[&id].speech {
                Speech::Clacks if seen.kept || seen.refuses != Some(Code::NotStored) => {
                    self.tell(id, Heard::Flushed(text.clone()))
                }
                _ if seen.kept => self.outcome(id, *seq, Code::Ok, 0),
                _ if seen.full => self.outcome(id, *seq, Code::Full, 0),
                _ if seen.refuses == Some(Code::NotStored) => self.outcome(id, *seq, Code::NotStored, 0),
                _ => self.flushes.push((id, *seq)),
            },
            Said::Watch { seq, stations, members, flags, name } => {
                let watch = Watch { stations: *stations, members: *members, flags: *flags, name: name.clone() };
                self.watch(id, *seq, watch, seen);
            }
            Said::Flag { seq, raise, by_hand, flag } => {
                let flag = Flag { station: id, ..flag.clone() };
                match raise {
                    true => self.raise(id, *seq, flag, seen),
                    false => self.lower(id, *seq, flag, *by_hand),
                }
            }
            Said::List { seq, what, name, first } => self.list(id, *seq, (*what, name), *first),
            Said::Clear => self.clear(id, seen),
            Said::Declare { seq, name, forget } => self.declare(id, *seq, name, *forget, seen),
            Said::Goodbye { seq } => self.outcome(id, *seq, Code::Ok, 0),
            Said::Link => self.set_link(id),
            Said::Line { message, question } => self.line(id, message, *question, seen),
            Said::NoMessage => self.no_message(id),
            Said::Hello | Said::Other => {}
        }
    }

    fn join(&mut self, id: u64, seq: u32, name: &str, instance: &str, exclusive: bool, seen: Seen) {
        let code = match self.enter(id, name, instance, exclusive, seen) {
            Ok(false) => Code::Ok,
            Err(code) => code,
            Ok(true) => {
                self.outcome(id, seq, Code::Ok, 0);
                self.joined(id, name, instance);
                self.group += 1;
                return self.bring_mail(id, name, instance, seen);
            }
        };
        self.outcome(id, seq, code, 0);
    }

    /// Whoever watches that is told that it has.
    fn joined(&mut self, id: u64, name: &str, instance: &str) {
        self.announce(id, Change::Joined, name, instance);
        self.notice(id, Change::Joined, name);
    }

    /// It joins, and nobody is told. Returns whether it had not before; or why it does not.
    fn enter(&mut self, id: u64, name: &str, instance: &str, exclusive: bool, seen: Seen) -> Result<bool, Code> {
        let mine = &self.stations[&id].members;
        if let Some(m) = mine.iter().find(|m| m.name == name && m.instance == instance) {
            let is_taken = exclusive && !m.exclusive;
            if self.stations[&id].speech == Speech::Msgq {
                self.notice(id, Change::Joined, name);
            }
            return if is_taken { Err(Code::NameTaken) } else { Ok(false) };
        }
        let of_name = |st: &Station| st.members.iter().filter(|m| m.name == name).cloned().collect::<Vec<_>>();
        let others: Vec<_> =
            self.stations.iter().filter(|(other, _)| **other != id).flat_map(|(_, st)| of_name(st)).collect();
        let taken = others.iter().any(|m| m.exclusive)
            || exclusive && !others.is_empty()
            || !others.is_empty() && of_name(&self.stations[&id]).iter().any(|m| m.exclusive);
        if taken || seen.full {
            return Err(if seen.full { Code::Full } else { Code::NameTaken });
        }
        self.serial += 1;
        let (name, instance, serial) = (name.into(), instance.into(), self.serial);
        let membership = Membership { name, instance, exclusive, serial };
        self.stations.get_mut(&id).expect("it is there").members.push(membership);
        Ok(true)
    }

    fn bring_mail(&mut self, id: u64, name: &str, instance: &str, seen: Seen) {
        if instance != "*" {
            return;
        }
        let is_its = |m: &Mail| m.name == name && m.from != id;
        let (its, rest) = std::mem::take(&mut self.mail).into_iter().partition(is_its);
        self.mail = rest;
        self.unlend();
        for m in its {
            self.group += 1;
            let heard = Heard::Letter { token: m.token, name: m.name, ask: false };
            self.expect(id, What::Exactly(heard), !seen.dropped);
        }
    }

    fn leave(&mut self, id: u64, seq: u32, name: &str, instance: &str) {
        let at = self.stations[&id].members.iter().position(|m| m.name == name && m.instance == instance);
        match at {
            Some(at) => {
                self.end_membership(id, at, false);
                self.outcome(id, seq, Code::Ok, 0);
            }
            None if self.stations[&id].speech == Speech::Native => self.outcome(id, seq, Code::NotFound, 0),
            None => {}
        }
    }

    /// `goes`: with the station itself.
    fn end_membership(&mut self, id: u64, at: usize, goes: bool) {
        let st = self.stations.get_mut(&id).expect("it is there");
        let m = st.members.remove(at);
        if st.members.iter().all(|other| other.name != m.name) {
            self.forgive(id, Some(&m.name));
        }
        self.announce(id, Change::Left, &m.name, &m.instance);
        // who goes has left a name once
        if !goes || self.stations[&id].members.iter().all(|other| other.name != m.name) {
            self.notice(id, Change::Left, &m.name);
        }
    }

    /// It does not answer what it was asked, at that name or at all.
    fn forgive(&mut self, id: u64, name: Option<&str>) {
        let mut open = Vec::new();
        for mut q in std::mem::take(&mut self.questions) {
            let is_meant = name.is_none_or(|name| q.name == name);
            if !is_meant || !q.owed.remove(&id) {
                open.push(q);
                continue;
            }
            if q.each {
                let about = BTreeSet::from([id]);
                let owed = std::mem::replace(&mut q.owed, about);
                self.give_up(&q, Code::RecipientLeft);
                q.owed = owed;
            }
            if !q.owed.is_empty() {
                open.push(q);
            } else if !q.each {
                self.give_up(&q, Code::RecipientLeft);
            }
        }
        self.questions = open;
    }

    fn send(&mut self, id: u64, sent: &Sent, seen: Seen) {
        let Some(token) = sent.token else { return };
        if sent.ask && self.stations[&id].speech != Speech::Clacks {
            return self.ask(id, sent, token, seen);
        }
        let reached = self.deliver(id, sent, token, seen);
        self.report(id, sent, token, reached, seen);
    }

    /// Copies to all whom a letter is for. Returns how many that are, and how many of them are members of the
    /// very name.
    fn deliver(&mut self, id: u64, sent: &Sent, token: Token, seen: Seen) -> (u32, u32) {
        let hears = |st: &Station| match sent.to {
            To::Station(_) => true,
            To::Everyone => !st.link,
            To::Name => {
                let asked = |m: &Membership| m.instance == "*" || m.instance == sent.instance;
                // who listens in Clacks to a name does not hear what says `name/VERB`
                let exact = sent.verb && st.speech == Speech::Clacks;
                !exact && st.members.iter().any(|m| covers(&m.name, &sent.name) && asked(m))
            }
        };
        let is_signal = sent.to == To::Name && sent.instance == "*";
        let mut reached = 0;
        let mut members = 0;
        let all: Vec<u64> = self.stations.keys().copied().filter(|to| *to != id).collect();
        for to in all {
            let st = &self.stations[&to];
            let is_meant = match sent.to {
                To::Station(only) => only == to,
                _ => true,
            };
            // links get every signal, from their first moment on
            let crosses = st.link && is_signal;
            if !(crosses || st.ready && is_meant && hears(st)) {
                continue;
            }
            if !crosses {
                reached += 1;
                let direct = |m: &Membership| m.name == sent.name && (m.instance == "*" || m.instance == sent.instance);
                members += st.members.iter().any(direct) as u32;
            }
            let name = if sent.to == To::Name { sent.name.clone() } else { String::new() };
            self.expect(to, What::Exactly(Heard::Letter { token, name, ask: false }), !seen.dropped);
        }
        (reached, members)
    }

    fn report(&mut self, id: u64, sent: &Sent, token: Token, (reached, members): (u32, u32), seen: Seen) {
        let seq = sent.seq as u32;
        if self.stations[&id].speech != Speech::Native {
            return;
        }
        if sent.keep && members == 0 && self.is_declared(&sent.name) {
            if seen.full {
                return self.expect(id, What::Outcome(seq), true);
            }
            let until = self.now + if sent.ttl == 0 { self.max_keep } else { sent.ttl.min(self.max_keep) };
            self.mail.push(Mail { token, name: sent.name.clone(), from: id, until, saved: !seen.unsaved });
            return self.outcome(id, seq, Code::Kept, 0);
        }
        if seq == 0 {
            return;
        }
        match (reached, seen.dropped) {
            (_, true) => self.expect(id, What::Outcome(seq), true),
            (0, _) => self.outcome(id, seq, Code::NoRecipient, 0),
            (count, _) => self.outcome(id, seq, Code::Ok, count),
        }
    }

    fn ask(&mut self, id: u64, sent: &Sent, token: Token, seen: Seen) {
        let asked = |m: &Membership| m.name == sent.name && (m.instance == "*" || m.instance == sent.instance);
        let is_meant = |to: u64, st: &Station| match sent.to {
            To::Station(only) => only == to,
            _ => st.members.iter().any(asked),
        };
        let meant = self.stations.iter().filter(|(to, st)| **to != id && st.ready && is_meant(**to, st));
        let (callees, others): (Vec<_>, Vec<_>) =
            meant.map(|(to, st)| (*to, st.speech)).partition(|(_, s)| *s != Speech::Clacks);
        let fuzzy = seen.dropped || seen.full;
        let seq = sent.seq as u32;
        let name = |to: &To| if *to == To::Name { sent.name.clone() } else { String::new() };
        for (to, _) in others {
            let heard = Heard::Letter { token, name: name(&sent.to), ask: false };
            self.expect(to, What::Exactly(heard), !fuzzy);
        }
        let none = callees.is_empty();
        if fuzzy && !none {
            return self.ask_some(id, sent, token, &callees, seen);
        }
        match (sent.each, none, seen.full) {
            (true, _, true) => self.expect(id, What::Outcome(seq), true),
            (true, true, _) => self.outcome(id, seq, Code::NoRecipient, 0),
            (true, false, _) => self.outcome(id, seq, Code::Ok, callees.len() as u32),
            (false, true, _) => {
                let codes = vec![if seen.full { Code::Full } else { Code::NoRecipient }];
                self.expect(id, What::NoAnswer(sent.seq, 0, codes), true);
            }
            (false, false, _) => {}
        }
        self.group += 1;
        for (to, _) in &callees {
            let heard = Heard::Letter { token, name: name(&sent.to), ask: true };
            self.expect(*to, What::Exactly(heard), !fuzzy);
        }
        if none {
            return;
        }
        let under = match sent.to {
            To::Station(to) => {
                self.stations[&to].members.iter().any(|m| m.name == sent.name).then(|| sent.name.clone())
            }
            _ => Some(sent.name.clone()),
        };
        let numbers = self.stations[&id].speech == Speech::Msgq;
        let usual = if numbers { self.max_ask } else { 10_000 };
        let until = self.now + if sent.ttl == 0 { usual } else { sent.ttl.min(self.max_ask) };
        self.questions.push(Question {
            token,
            asker: id,
            seq: sent.seq,
            each: sent.each,
            name: under.unwrap_or_default(),
            owed: callees.iter().map(|(to, _)| *to).collect(),
            until,
        });
    }

    /// Somebody may not have been asked: how it ends is open, that it does is not.
    fn ask_some(&mut self, id: u64, sent: &Sent, token: Token, callees: &[(u64, Speech)], seen: Seen) {
        if sent.each {
            self.expect(id, What::Outcome(sent.seq as u32), true);
        } else {
            self.expect_some_time(id, What::AnyAnswer(sent.seq, 0), true);
        }
        for (to, _) in callees {
            let name = if sent.to == To::Name { sent.name.clone() } else { String::new() };
            self.expect(*to, What::Exactly(Heard::Letter { token, name, ask: true }), false);
            if sent.each {
                self.expect_some_time(id, What::AnyAnswer(sent.seq, *to), !seen.full);
            }
        }
    }

    fn answer(&mut self, id: u64, question: u64, token: Option<Token>, code: Code, to: Option<(u64, i64)>) {
        let is_it = |q: &Question| u64::from(q.token) == question && q.owed.contains(&id);
        let Some(at) = self.questions.iter().position(is_it) else {
            if let Some((asker, seq)) = to.filter(|to| self.is_forgotten(*to)) {
                // to something that wanted no answer, as far as anybody knows: a letter
                let what = What::Exactly(Heard::Reply { seq, station: 0, token, code: Code::Ok });
                self.out.push(Expect { to: asker, what, sure: false, loose: true, at: 0, group: self.group });
            }
            return;
        };
        let q = &mut self.questions[at];
        let (asker, seq, each) = (q.asker, q.seq, q.each);
        let station = if each { id } else { 0 };
        q.owed.remove(&id);
        if !each || q.owed.is_empty() {
            self.questions.remove(at);
        }
        if !each {
            self.closed.push((asker, seq, self.now + self.max_ask));
        }
        self.tell(asker, Heard::Reply { seq, station, token, code });
    }

    /// Whether an answer may be taken for a letter: a node remembers few questions that are answered.
    fn is_forgotten(&self, (asker, seq): (u64, i64)) -> bool {
        let numbers = self.stations.get(&asker).is_some_and(|st| st.speech == Speech::Msgq);
        let last = self.closed.iter().rev().take(4);
        numbers && last.filter(|(a, s, _)| (*a, *s) == (asker, seq)).count() == 0
    }

    fn set(&mut self, id: u64, seq: u32, key: &str, value: &[u8], announce: bool, seen: Seen) {
        if let Some(code) = seen.refuses {
            return self.outcome(id, seq, code, 0);
        }
        if seen.full {
            return self.outcome(id, seq, Code::Full, 0);
        }
        self.values.insert(key.into(), value.into());
        self.outcome(id, seq, Code::Ok, 0);
        if announce {
            self.announce_value(id, key, value, seen);
        }
    }

    fn announce_value(&mut self, id: u64, key: &str, value: &[u8], seen: Seen) {
        let Ok(Some(token)) = super::words::token(value) else { return };
        let (name, instance) = (key.to_string(), "*".to_string());
        let (ask, each, keep) = (false, false, false);
        let sent =
            Sent { to: To::Name, name, instance, verb: false, token: Some(token), seq: 0, ask, each, keep, ttl: 0 };
        // how it is forwarded over links is theirs: `SETANDSTORE` says both
        self.send(id, &sent, seen);
    }

    fn remove(&mut self, id: u64, seq: u32, key: &str, seen: Seen) {
        let clacks = self.stations[&id].speech == Speech::Clacks;
        if let Some(code) = seen.refuses {
            return self.outcome(id, seq, code, 0);
        }
        if seen.full {
            return self.outcome(id, seq, Code::Full, 0);
        }
        let was_there = self.values.remove(key).is_some();
        match (clacks, was_there) {
            (true, _) => {}
            _ if self.linked => self.expect(id, What::Outcome(seq), seq != 0),
            (_, true) => self.outcome(id, seq, Code::Ok, 0),
            (_, false) => self.outcome(id, seq, Code::NotFound, 0),
        }
    }

    fn add(&mut self, id: u64, seq: u32, key: &str, amount: i64, seen: Seen) {
        if let Some(code) = seen.refuses {
            return self.outcome(id, seq, code, 0);
        }
        if seen.full {
            return self.outcome(id, seq, Code::Full, 0);
        }
        let old = self.values.get(key).map_or("0".into(), |v| String::from_utf8_lossy(v).into_owned());
        let Ok(old) = old.parse::<i64>() else { return self.outcome(id, seq, Code::NotANumber, 0) };
        let value = (old + amount).to_string().into_bytes();
        self.values.insert(key.into(), value.clone());
        match (self.stations[&id].speech, self.linked) {
            (Speech::Clacks, _) => {}
            (_, true) => self.expect(id, What::AnyValue(seq), seq != 0),
            (_, false) => self.tell(id, Heard::Value { seq, value }),
        }
    }

    /// The disk has caught up, or fails: those who wait for it are told so.
    pub fn stored(&mut self, code: Code) {
        self.group += 1;
        for (id, seq) in std::mem::take(&mut self.flushes) {
            self.outcome(id, seq, code, 0);
        }
        self.group += 1;
    }

    fn watch(&mut self, id: u64, seq: u32, watch: Watch, seen: Seen) {
        if seen.full {
            return self.outcome(id, seq, Code::Full, 0);
        }
        let watches = &mut self.stations.get_mut(&id).expect("it is there").watches;
        watches.retain(|w| w.name != watch.name);
        watches.push(watch);
        self.outcome(id, seq, Code::Ok, 0);
    }

    /// How many flags are up.
    pub fn raised(&self) -> usize {
        self.flags.len()
    }

    fn raise(&mut self, id: u64, seq: u32, flag: Flag, seen: Seen) {
        let old = self.flags.get(&flag.name).cloned();
        let code = match &old {
            _ if !is_flag(&flag.name) || flag.priority > 100 => Code::BadRequest,
            None if seen.full => Code::Full,
            _ => Code::Ok,
        };
        self.outcome(id, seq, code, 0);
        if code == Code::Ok {
            self.flags.insert(flag.name.clone(), flag.clone());
            // who raises it again says nothing new
            if old.is_none_or(|old| old != Flag { station: old.station, ..flag.clone() }) {
                self.tell_flag(true, flag);
            }
        }
    }

    fn lower(&mut self, id: u64, seq: u32, flag: Flag, by_hand: bool) {
        let code = match self.flags.get(&flag.name) {
            _ if !is_flag(&flag.name) => Code::BadRequest,
            None => Code::NotFound,
            Some(up) if up.manual && !by_hand => Code::Refused,
            Some(_) => Code::Ok,
        };
        self.outcome(id, seq, code, 0);
        if code == Code::Ok {
            self.flags.remove(&flag.name);
            self.tell_flag(false, flag);
        }
    }

    /// Who watches flags is told, whoever has changed one included.
    fn tell_flag(&mut self, raised: bool, flag: Flag) {
        self.group += 1;
        let all = self.stations.iter().filter(|(_, st)| st.watches.iter().any(|w| w.flags));
        let watchers: Vec<u64> = all.map(|(watcher, _)| *watcher).collect();
        for watcher in watchers {
            self.tell(watcher, Heard::FlagChange { raised, flag: flag.clone() });
        }
    }

    fn list(&mut self, id: u64, seq: u32, (what, name): (Table, &str), first: bool) {
        let unknown = self.linked && matches!(what, Table::Values | Table::Keys);
        let all = (!unknown).then(|| self.rows(what, name));
        self.expect(id, What::Page { seq, first, all }, true);
    }

    fn rows(&self, what: Table, name: &str) -> Vec<Row> {
        let members = || self.stations.iter().flat_map(|(id, st)| st.members.iter().map(move |m| (*id, m)));
        let mut rows: Vec<Row> = match what {
            Table::Stations => {
                let ready = self.stations.iter().filter(|(_, st)| st.ready);
                let row = |station, speech: &str, joins| Row::Station { station, dialect: speech.into(), joins };
                let rows = ready.map(|(id, st)| row(*id, st.speech.dialect(), st.members.len() as u64));
                rows.chain(self.own.iter().map(|id| row(*id, "messi", 0))).collect()
            }
            Table::Members => {
                let its = members().filter(|(_, m)| m.name == name);
                let row = |(station, m): (u64, &Membership)| {
                    let (instance, exclusive) = (m.instance.clone(), m.exclusive);
                    Row::Member { station, instance, exclusive }
                };
                return its.map(row).collect();
            }
            Table::Names => {
                let joined = members().map(|(_, m)| m.name.clone());
                let all: BTreeSet<String> = joined.chain(self.declared.union(&self.lent).cloned()).collect();
                let row = |name: String| {
                    let its: Vec<bool> = members().filter(|(_, m)| m.name == name).map(|(_, m)| m.exclusive).collect();
                    let (members, exclusive) = (its.len() as u64, its.contains(&true));
                    Row::Name { members, exclusive, declared: self.is_declared(&name), name }
                };
                all.into_iter().map(row).collect()
            }
            Table::Values => {
                let row = |(name, value): (&String, &Vec<u8>)| Row::Value { name: name.clone(), value: value.clone() };
                self.values.iter().map(row).collect()
            }
            Table::Keys => self.values.keys().cloned().map(Row::Key).collect(),
            Table::Flags => self.flags.values().cloned().map(Row::Flag).collect(),
        };
        rows.retain(|row| matches!(row, Row::Station { .. }) || row.key().1.starts_with(name));
        rows
    }

    fn clear(&mut self, id: u64, seen: Seen) {
        match seen.refuses {
            Some(code) => self.outcome(id, 0, code, 0),
            None => self.values.clear(),
        }
    }

    fn declare(&mut self, id: u64, seq: u32, name: &str, forget: bool, seen: Seen) {
        let code = match (forget, self.is_declared(name)) {
            (true, false) => Code::NotFound,
            (true, true) => {
                self.mail.retain(|m| m.name != name);
                self.unlend();
                self.declared.remove(name);
                Code::Ok
            }
            (false, _) if seen.full => Code::Full,
            (false, _) => {
                self.declared.insert(name.into());
                Code::Ok
            }
        };
        self.outcome(id, seq, code, 0);
    }

    /// A station is gone, whatever the reason: memberships, then what it owed and was owed, then itself.
    pub fn gone(&mut self, id: u64) {
        self.group += 1;
        let Some(st) = self.stations.get_mut(&id) else { return };
        st.watches.clear();
        while !self.stations[&id].members.is_empty() {
            self.end_membership(id, 0, true);
        }
        self.flushes.retain(|(who, _)| *who != id);
        self.forgive(id, None);
        self.questions.retain(|q| q.asker != id);
        self.closed.retain(|(asker, ..)| *asker != id);
        self.group += 1;
        if self.stations[&id].ready {
            self.announce(id, Change::Disconnected, "", "");
            self.notice(id, Change::Disconnected, "");
        }
        self.stations.remove(&id);
        self.group += 1;
    }
}
