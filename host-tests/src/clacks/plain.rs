//! A server of Net::Clacks in the plainest way: a heap, maps, no limits, every rule of `wire/clacks.md`
//! where the page has it.
//!
//! Three uses: the tests are tested with it; what the router says to random clients is compared with
//! what it says; and ours is linked to it as to an original. Where the page leaves a choice it is as the
//! original, but for [`Habits`] that are weak points there.

use super::host::{Host, Opening};
use super::number::count;
use super::users::User;
use super::wire::{Wire, micros};
use chappe_core::id::StationId;
use chappe_core::router::{Reason, Rights};
use chappe_core::time::Instant;
use std::collections::{BTreeMap, BTreeSet};

/// Milliseconds; 0: never.
#[derive(Debug, Clone, Copy)]
#[allow(missing_docs, reason = "as on the page, section 14")]
pub struct Times {
    pub login: u64,
    pub ping: u64,
    pub link_ping: u64,
    pub stalled: u64,
    pub link_stalled: u64,
    pub linger: u64,
    pub deleted: u64,
    pub stale: u64,
    pub clean: u64,
}

impl Times {
    /// As the page has them.
    pub const DEFAULT: Times = Times {
        login: 15_000,
        ping: 180_000,
        link_ping: 60_000,
        stalled: 60_000,
        link_stalled: 120_000,
        linger: 1_000,
        deleted: 3_600_000,
        stale: 86_400_000,
        clean: 60_000,
    };
}

/// What the original does and a new server should not.
#[derive(Debug, Clone, Copy, Default)]
pub struct Habits {
    /// Keys of `KEYSYNC` go on with the times of who sent them (weak point 20).
    pub raw_times: bool,
    /// As a slave it repeats what it was just sent (weak point 19).
    pub echoes: bool,
    /// Denied commands go on to links (weak point 1).
    pub forwards_denied: bool,
}

/// One entry of the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The value; empty of a mark.
    pub value: Vec<u8>,
    /// Microseconds since 1970.
    pub modified: i64,
    /// The same.
    pub accessed: i64,
    /// It is a deletion mark.
    pub deleted: bool,
    /// As a master has just sent it.
    from_master: bool,
}

#[derive(Debug, PartialEq, Clone, Copy)]
enum Kind {
    Client,
    Link,
    Master,
}

#[derive(Debug)]
struct Conn {
    kind: Kind,
    user: Option<User>,
    name: String,
    cid: String,
    host: String,
    port: String,
    input: Vec<u8>,
    out: Vec<u8>,
    listens: BTreeSet<Vec<u8>>,
    monitor: bool,
    opened: u64,
    /// Last `PING`; `None`: it does not have to.
    ping: Option<u64>,
    pinged: u64,
    wrote: u64,
    stalled: Option<u64>,
    offset: i64,
    /// When it is closed, whatever it says.
    closing: Option<(u64, Reason)>,
    gone: bool,
}

/// The server.
pub struct Plain {
    now: u64,
    /// Microseconds since 1970 at 0.
    pub calendar: i64,
    /// What is kept.
    pub store: BTreeMap<Vec<u8>, Entry>,
    /// How long things take.
    pub times: Times,
    /// What it should not do.
    pub habits: Habits,
    wires: Vec<Wire>,
    conns: Vec<Conn>,
    locked: bool,
    cleaned: u64,
    /// Milliseconds at which it stops.
    pub stops: Option<u64>,
}

impl Default for Plain {
    fn default() -> Self {
        Plain {
            now: 1_000_003,
            calendar: 1_795_190_000_000_000,
            store: BTreeMap::new(),
            times: Times::DEFAULT,
            habits: Habits::default(),
            wires: Vec::new(),
            conns: Vec::new(),
            locked: false,
            cleaned: 1_000_003,
            stops: None,
        }
    }
}

/// Where a name ends that a value follows.
fn split_first(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = text.iter().skip(1).position(|b| *b == b'=')? + 1;
    Some((&text[..at], &text[at + 1..]))
}

/// Three words, and a pair.
fn is_key_sync(rest: &[u8]) -> bool {
    let parts: Vec<&[u8]> = rest.splitn(4, |b| *b == b' ').collect();
    parts.len() == 4 && parts[..3].iter().all(|p| !p.is_empty()) && split_first(parts[3]).is_some()
}

/// Where a key ends that a step follows.
fn split_last(text: &[u8]) -> (&[u8], &[u8]) {
    let last = text.len().saturating_sub(1);
    match (1..last).rev().find(|at| text[*at] == b'=') {
        Some(at) => (&text[..at], &text[at + 1..]),
        None => (text, b"1"),
    }
}

fn decimal(t: i64) -> String {
    let text = format!("{}.{:06}", t.max(0) / 1_000_000, t.max(0) % 1_000_000);
    text.trim_end_matches('0').trim_end_matches('.').into()
}

impl Plain {
    /// With these times, and a clock that is as many microseconds ahead.
    pub fn new(times: Times, ahead: i64) -> Self {
        let plain = Plain::default();
        Plain { times, calendar: plain.calendar + ahead, ..plain }
    }

    fn micros(&self) -> i64 {
        self.calendar + self.now as i64 * 1000
    }

    fn say(&mut self, c: usize, line: &[u8]) {
        let conn = &mut self.conns[c];
        if conn.closing.is_none() && !conn.gone {
            conn.out.extend_from_slice(line);
            conn.out.extend_from_slice(b"\r\n");
            conn.wrote = self.now;
        }
    }

    fn has(&self, c: usize, need: Rights) -> bool {
        self.conns[c].user.is_some_and(|u| u.row().2.has(need))
    }

    /// Says last words and lingers.
    fn end(&mut self, c: usize, words: &[&[u8]], why: Reason) {
        for w in words {
            self.say(c, w);
        }
        let linger = if words.is_empty() { 0 } else { self.times.linger };
        let conn = &mut self.conns[c];
        if conn.closing.is_none() {
            conn.closing = Some((self.now + linger, why));
            conn.input.clear();
            conn.listens.clear();
            conn.monitor = false;
            if conn.kind == Kind::Master {
                self.locked = false;
            }
            let line = format!("DEBUG DISCONNECTED={}", self.conns[c].cid);
            self.monitors(line.as_bytes());
        }
    }

    fn monitors(&mut self, line: &[u8]) {
        for c in 0..self.conns.len() {
            if self.conns[c].monitor {
                self.say(c, line);
            }
        }
    }

    fn others(&self, c: usize) -> Vec<usize> {
        (0..self.conns.len())
            .filter(|o| {
                *o != c && !self.conns[*o].gone && self.conns[*o].closing.is_none() && self.conns[*o].user.is_some()
            })
            .collect()
    }

    fn forward(&mut self, c: usize, line: &[u8]) {
        for o in 0..self.conns.len() {
            if o != c && self.conns[o].kind != Kind::Client {
                self.say(o, line);
            }
        }
    }

    fn signal(&mut self, c: usize, name: &[u8], line: &[u8]) {
        for o in self.others(c) {
            if self.conns[o].kind == Kind::Client && self.conns[o].listens.contains(name) {
                self.say(o, line);
            }
        }
    }

    fn put(&mut self, key: &[u8], value: Vec<u8>, deleted: bool) {
        // later than what is there, so that no two changes have the same time
        let now = self.micros().max(self.store.get(key).map_or(0, |e| e.modified + 1));
        let entry = Entry { value, modified: now, accessed: now, deleted, from_master: false };
        self.store.insert(key.into(), entry);
    }

    fn step(&mut self) -> bool {
        let mut busy = false;
        for c in 0..self.conns.len() {
            if self.conns[c].gone {
                continue;
            }
            let bytes = std::mem::take(&mut self.wires[c].output);
            busy |= !bytes.is_empty();
            if self.conns[c].closing.is_none() {
                self.conns[c].input.extend(bytes.iter().filter(|b| **b != b'\r'));
            }
            while self.conns[c].closing.is_none() && (!self.locked || self.conns[c].kind == Kind::Master) {
                let Some(at) = self.conns[c].input.iter().position(|b| *b == b'\n') else { break };
                let line: Vec<u8> = self.conns[c].input.drain(..=at).collect();
                self.line(c, &line[..at]);
                busy = true;
            }
            if self.wires[c].reads && !self.conns[c].out.is_empty() {
                let out = std::mem::take(&mut self.conns[c].out);
                self.wires[c].take(&out);
                self.conns[c].stalled = None;
                busy = true;
            }
            if !self.conns[c].out.is_empty() && self.conns[c].stalled.is_none() {
                self.conns[c].stalled = Some(self.now);
            }
            if let Some((at, why)) = self.conns[c].closing
                && at <= self.now
            {
                self.conns[c].gone = true;
                self.wires[c].end(why);
                busy = true;
            }
        }
        busy
    }

    fn due(&mut self) {
        if self.stops.is_some_and(|at| at <= self.now) {
            self.stops = None;
            for c in 0..self.conns.len() {
                self.end(c, &[b"", b"QUIT"], Reason::Stopping);
            }
        }
        for c in 0..self.conns.len() {
            if self.conns[c].gone || self.conns[c].closing.is_some() {
                continue;
            }
            let conn = &self.conns[c];
            let link = conn.kind != Kind::Client;
            let now = self.now;
            let old = |since: u64, limit: u64| limit > 0 && now.saturating_sub(since) >= limit;
            let late = |since: u64, limit: u64| now.saturating_sub(since) > limit;
            if conn.user.is_none() && old(conn.opened, self.times.login) {
                self.end(c, &[], Reason::NotIntroduced);
                continue;
            }
            let ping = if link { self.times.link_ping } else { self.times.ping };
            let stalled = if link { self.times.link_stalled } else { self.times.stalled };
            let silent =
                if link { conn.ping.is_none_or(|p| late(p, ping)) } else { conn.ping.is_some_and(|p| late(p, ping)) };
            if (conn.user.is_some() || link) && silent {
                self.end(c, &[b"", b"TIMEOUT"], Reason::Silent);
                continue;
            }
            if conn.stalled.is_some_and(|s| old(s, stalled)) {
                self.end(c, &[b"", b"TIMEOUT"], Reason::Slow);
                continue;
            }
            if link
                && self.conns[c].user.is_some()
                && old(self.conns[c].pinged.max(self.conns[c].opened), self.times.link_ping / 3)
            {
                self.conns[c].pinged = self.now;
                self.say(c, b"PING");
            }
            if old(self.conns[c].wrote, 60_000) && self.conns[c].user.is_some() {
                self.say(c, b"NOP");
            }
        }
        if self.now - self.cleaned >= self.times.clean {
            self.cleaned = self.now;
            let now = self.micros();
            let (deleted, stale) = (self.times.deleted as i64 * 1000, self.times.stale as i64 * 1000);
            let gone: Vec<(Vec<u8>, bool)> = self
                .store
                .iter()
                .filter(
                    |(_, e)| if e.deleted { now - e.modified > deleted } else { stale > 0 && now - e.accessed > stale },
                )
                .map(|(k, e)| (k.clone(), e.deleted))
                .collect();
            for (key, deleted) in gone {
                self.store.remove(&key);
                let what = if deleted { "CLEANDELETED" } else { "CLEANSTALE" };
                let line = [format!("DEBUG SERVERCACHE={what}=").as_bytes(), &key].concat();
                self.monitors(&line);
            }
        }
    }

    fn login(&mut self, c: usize, token: &[u8]) {
        match User::of_token(token) {
            Some(user) => {
                self.conns[c].user = Some(user);
                // whoever may be no link any more is none
                if self.conns[c].kind == Kind::Link && !self.has(c, Rights::LINK) {
                    self.conns[c].kind = Kind::Client;
                }
                // nor does who may not goes on looking on, or listening
                self.conns[c].monitor &= self.has(c, Rights::MANAGE);
                if !self.has(c, Rights::READ) {
                    self.conns[c].listens.clear();
                }
                self.say(c, b"OVERHEAD O Welcome!");
            }
            None => self.end(c, &[b"OVERHEAD F Login failed!"], Reason::Credentials),
        }
    }

    fn line(&mut self, c: usize, line: &[u8]) {
        if let Some(name) = line.strip_prefix(b"CLACKS ")
            && !name.is_empty()
        {
            self.conns[c].name = String::from_utf8_lossy(name).replace(';', "_");
            return;
        }
        let overhead = line.strip_prefix(b"OVERHEAD ");
        let (flags, text) = overhead.map_or((&b""[..], &b""[..]), |o| {
            let at = o.iter().position(|b| *b == b' ').unwrap_or(o.len());
            (&o[..at], o.get(at + 1..).unwrap_or_default())
        });
        if flags.contains(&b'A') && !text.is_empty() {
            return self.login(c, text);
        }
        if self.conns[c].user.is_none() || line.is_empty() {
            return;
        }
        // these two count before the line is shown
        let is_client = self.conns[c].kind == Kind::Client;
        if self.has(c, Rights::MANAGE) && line.starts_with(b"MONITOR") && is_client {
            self.conns[c].monitor = true;
        }
        if self.has(c, Rights::MANAGE) && line.starts_with(b"UNMONITOR") {
            self.conns[c].monitor = false;
        }
        if !flags.contains(&b'N') && !flags.contains(&b'A') {
            let line = [b"DEBUG ", self.conns[c].cid.as_bytes(), b"=", line].concat();
            self.monitors(&line);
        }
        if overhead.is_some_and(|o| !o.is_empty()) {
            return self.overhead(c, flags, text);
        }
        let end = line.iter().position(|b| *b == b' ');
        let (word, rest) = match end {
            Some(at) => (&line[..at], Some(&line[at + 1..])),
            None => (line, None),
        };
        let some = rest.filter(|r| !r.is_empty());
        let pair = rest.and_then(split_first);
        // those that are matched without anything behind them
        let bare: Option<&[u8]> =
            [&b"KEYLIST"[..], b"CLEARCACHE", b"MONITOR", b"UNMONITOR", b"QUIT", b"PING", b"NOPING", b"CLIENTLIST"]
                .into_iter()
                .find(|w| line.starts_with(w));
        let is_link = self.conns[c].kind != Kind::Client;
        let (need, crosses) = match (word, bare) {
            (b"NOTIFY", _) if rest.is_some() => (Rights::WRITE, true),
            (b"SET" | b"SETANDSTORE" | b"STORE", _) if pair.is_some() => (Rights::WRITE, true),
            (b"REMOVE" | b"INCREMENT" | b"DECREMENT", _) if some.is_some() => (Rights::WRITE, true),
            (b"RETRIEVE", _) if some.is_some() => (Rights::READ, false),
            (b"LISTEN" | b"UNLISTEN", _) if rest.is_some() => (Rights::READ, false),
            (b"FLUSH", _) if some.is_some() => (Rights::NONE, false),
            (b"CLIENTDISCONNECT", _) if some.is_some() => (Rights::MANAGE, false),
            (b"KEYSYNC", _) if rest.is_some_and(is_key_sync) => (Rights::LINK, true),
            (b"TIMEOUT", _) if is_link => (Rights::LINK, false),
            (_, Some(b"KEYLIST")) => (Rights::READ, false),
            (_, Some(b"CLEARCACHE")) => (Rights::MANAGE, true),
            (_, Some(b"MONITOR" | b"UNMONITOR" | b"CLIENTLIST")) => (Rights::MANAGE, false),
            (_, Some(_)) => (Rights::NONE, false),
            _ => return self.say(c, &[b"OVERHEAD E unknown_command ", line].concat()),
        };
        if crosses && (self.has(c, need) || self.habits.forwards_denied) && word != b"KEYSYNC" {
            self.forward(c, line);
        }
        if !self.has(c, need) {
            return self.say(c, b"OVERHEAD E permission_denied");
        }
        match (word, pair, some, bare) {
            (b"NOTIFY", ..) => self.signal(c, rest.unwrap_or_default(), line),
            (b"SET", Some((name, _)), ..) => self.signal(c, name, line),
            (b"SETANDSTORE", Some((name, value)), ..) => {
                let (name, value) = (name.to_vec(), value.to_vec());
                self.signal(c, &name, &[b"SET ", rest.unwrap_or_default()].concat());
                self.put(&name, value, false);
            }
            (b"STORE", Some((name, value)), ..) => self.put(name, value.to_vec(), false),
            (b"REMOVE", _, Some(key), _) => self.put(key, Vec::new(), true),
            (b"INCREMENT" | b"DECREMENT", _, Some(arg), _) => {
                let (key, by) = split_last(arg);
                let old = self.store.get(key).filter(|e| !e.deleted).map_or(&b"0"[..], |e| &e.value[..]);
                let sum = count(old, by, word == b"DECREMENT");
                self.put(key, sum.into(), false);
            }
            (b"RETRIEVE", _, Some(key), _) => {
                let now = self.micros();
                let answer = match self.store.get_mut(key).filter(|e| !e.deleted) {
                    Some(e) => {
                        e.accessed = e.accessed.max(now);
                        [b"RETRIEVED ", key, b"=", &e.value[..]].concat()
                    }
                    None => [b"NOTRETRIEVED ", key].concat(),
                };
                self.say(c, &answer);
            }
            (b"LISTEN", ..) => _ = self.conns[c].listens.insert(rest.unwrap_or_default().into()),
            (b"UNLISTEN", ..) => _ = self.conns[c].listens.remove(rest.unwrap_or_default()),
            (b"FLUSH", _, Some(id), _) => self.say(c, &[b"FLUSHED ", id].concat()),
            (b"CLIENTDISCONNECT", _, Some(cid), _) => {
                if let Some(o) = (0..self.conns.len()).find(|o| self.conns[*o].cid.as_bytes() == cid) {
                    self.end(o, &[b"", b"QUIT"], Reason::Goodbye);
                }
            }
            (b"KEYSYNC", ..) => self.keysync(c, rest.unwrap_or_default()),
            (b"TIMEOUT", ..) => self.end(c, &[], Reason::Silent),
            (.., Some(b"KEYLIST")) => {
                let keys: Vec<Vec<u8>> =
                    self.store.iter().filter(|(_, e)| !e.deleted).map(|(k, _)| k.clone()).collect();
                self.say(c, b"KEYLISTSTART");
                for k in keys {
                    self.say(c, &[b"KEY ", &k[..]].concat());
                }
                self.say(c, b"KEYLISTEND");
            }
            (.., Some(b"CLEARCACHE")) => self.store.clear(),
            (.., Some(b"QUIT")) => self.end(c, &[], Reason::Goodbye),
            (.., Some(b"PING")) => self.conns[c].ping = Some(self.now),
            (.., Some(b"NOPING")) => {
                self.conns[c].ping = None;
                if is_link {
                    self.end(c, &[b"", b"TIMEOUT"], Reason::Silent);
                }
            }
            (.., Some(b"CLIENTLIST")) => self.client_list(c),
            _ => {}
        }
    }

    fn client_list(&mut self, c: usize) {
        self.say(c, b"CLIENTLISTSTART");
        let mut all: Vec<usize> =
            (0..self.conns.len()).filter(|o| !self.conns[*o].gone && self.conns[*o].closing.is_none()).collect();
        all.sort_by(|a, b| self.conns[*a].cid.cmp(&self.conns[*b].cid));
        for o in all {
            let n = &self.conns[o];
            let seconds = |t: u64| if t == 0 { "0".into() } else { decimal(self.calendar + t as i64 * 1000) };
            let line = format!(
                "CLIENT CID={};HOST={};PORT={};CLIENTINFO={};OUTBUFFER_LENGTH={};INBUFFER_LENGTH={};INTERCLACKS={};MONITOR={};LASTPING={};LASTINTERCLACKSPING={};WRITEFAILTIME={};",
                n.cid,
                n.host,
                n.port,
                n.name,
                n.out.len(),
                n.input.len(),
                (n.kind != Kind::Client) as u8,
                n.monitor as u8,
                seconds(n.ping.unwrap_or(0)),
                seconds(n.pinged),
                seconds(n.stalled.unwrap_or(0))
            );
            self.say(c, line.as_bytes());
        }
        self.say(c, b"CLIENTLISTEND");
    }

    fn overhead(&mut self, c: usize, flags: &[u8], text: &[u8]) {
        let has = |f: u8| flags.contains(&f);
        if text.is_empty() {
            return;
        }
        let is_true = text != b"0";
        if has(b'T') {
            self.conns[c].offset = self.micros() - micros(std::str::from_utf8(text).unwrap_or("0"));
            return;
        }
        if has(b'L') && self.conns[c].kind == Kind::Master {
            if !self.has(c, Rights::LINK) {
                return self.say(c, b"OVERHEAD E permission_denied");
            }
            self.locked = is_true;
            if !is_true {
                let echoes = self.habits.echoes;
                let line = format!("OVERHEAD T {}", decimal(self.micros()));
                self.say(c, line.as_bytes());
                self.sync(c, !echoes);
            }
            for e in self.store.values_mut() {
                e.from_master = false;
            }
            return;
        }
        if (has(b'C') && is_true) || has(b'S') {
            if !self.has(c, Rights::MANAGE) {
                return self.say(c, b"OVERHEAD E permission_denied");
            }
            if has(b'S') {
                let seconds: f64 = std::str::from_utf8(text).ok().and_then(|t| t.parse().ok()).unwrap_or(0.0);
                if seconds > 0.0 {
                    self.stops = Some(self.now + (seconds * 1000.0) as u64);
                }
                return;
            }
            if has(b'G') {
                self.forward(c, b"OVERHEAD GC 1");
            }
            for o in 0..self.conns.len() {
                self.end(o, &[b"", b"QUIT"], Reason::Goodbye);
            }
            return;
        }
        if has(b'I') {
            if !self.has(c, Rights::LINK) {
                return self.say(c, b"OVERHEAD E permission_denied");
            }
            if self.conns[c].kind == Kind::Master {
                return;
            }
            if !is_true {
                self.conns[c].kind = Kind::Client;
                return;
            }
            self.conns[c].kind = Kind::Link;
            self.conns[c].monitor = false;
            self.conns[c].ping = Some(self.now);
            self.say(c, b"CLACKS PageCamel 36 in interclacks master mode");
            self.say(c, b"OVERHEAD M Authentication required");
            self.say(c, User::Main.line().as_bytes());
            self.say(c, b"OVERHEAD L 1");
            let line = format!("OVERHEAD T {}", decimal(self.micros()));
            self.say(c, line.as_bytes());
            self.sync(c, false);
            self.say(c, b"OVERHEAD L 0");
            self.say(c, b"PING");
            self.conns[c].pinged = self.now;
            return;
        }
        if has(b'G') {
            let unsafe_flags = flags.iter().any(|f| b"AOFEILTCS".contains(f));
            if !self.has(c, Rights::WRITE) || unsafe_flags {
                return self.say(c, b"OVERHEAD E permission_denied");
            }
            let out: BTreeSet<u8> = flags.iter().copied().filter(|f| b"DGMN".contains(f)).collect();
            let out: Vec<u8> = out.into_iter().collect();
            let line = [b"OVERHEAD ", &out[..], b" ", text].concat();
            for o in self.others(c) {
                self.say(o, &line);
            }
            // a link that wanted its own words back would get them from all others too
            if has(b'U') && self.conns[c].kind == Kind::Client {
                self.say(c, &line);
            }
        }
    }

    /// All entries, or all that the master has not just sent.
    fn sync(&mut self, c: usize, only_own: bool) {
        let lines: Vec<Vec<u8>> = self
            .store
            .iter()
            .filter(|(k, e)| !(only_own && e.from_master || k.iter().skip(1).any(|b| *b == b'=')))
            .map(|(key, e)| {
                let times = decimal(e.modified);
                if e.deleted {
                    [format!("KEYSYNC {times} 0 D ").as_bytes(), key, b"=REMOVED"].concat()
                } else {
                    [format!("KEYSYNC {times} {} U ", decimal(e.accessed)).as_bytes(), key, b"=", &e.value].concat()
                }
            })
            .collect();
        for l in lines {
            self.say(c, &l);
        }
    }

    fn keysync(&mut self, c: usize, rest: &[u8]) {
        self.conns[c].ping = self.conns[c].ping.map(|_| self.now);
        let mut parts = rest.splitn(4, |b| *b == b' ');
        let mut next = || parts.next().unwrap_or_default();
        let (modified, accessed, mode, pair) = (next(), next(), next(), next());
        let Some((key, value)) = split_first(pair) else { return };
        let offset = self.conns[c].offset;
        let time = |t: &[u8]| micros(std::str::from_utf8(t).unwrap_or("0"));
        let (modified_, accessed_) = (time(modified).saturating_add(offset), time(accessed));
        let accessed_ = if accessed_ == 0 { 0 } else { accessed_.saturating_add(offset) };
        let line = if self.habits.raw_times {
            [b"KEYSYNC ", rest].concat()
        } else {
            // as one of its own, whatever was in it
            let times = format!("KEYSYNC {} ", decimal(modified_));
            if mode == b"D" {
                [times.as_bytes(), b"0 D ", key, b"=REMOVED"].concat()
            } else {
                [times.as_bytes(), decimal(accessed_).as_bytes(), b" U ", pair].concat()
            }
        };
        self.forward(c, &line);
        let deleted = mode == b"D";
        if self.store.get(key).is_none_or(|e| e.modified < modified_) {
            let from_master = self.conns[c].kind == Kind::Master && self.locked;
            let value = if deleted { Vec::new() } else { value.to_vec() };
            self.store
                .insert(key.into(), Entry { value, modified: modified_, accessed: accessed_, deleted, from_master });
        }
    }
}

impl Host for Plain {
    fn now(&self) -> Instant {
        Instant::from_millis(self.now)
    }

    fn wires(&mut self) -> &mut Vec<Wire> {
        &mut self.wires
    }

    fn open(&mut self, how: Opening) -> Option<usize> {
        let n = self.wires.len();
        let id = StationId::new(n as u64 + 1)?;
        let (host, port) = match how.peer {
            Some(p) => (p.ip().to_string(), format!("{}:{n}", p.port())),
            None => ("unixdomainsocket".into(), format!("{}:{n}", decimal(self.micros()))),
        };
        self.wires.push(Wire::new(id, how.to_master));
        self.conns.push(Conn {
            kind: if how.to_master { Kind::Master } else { Kind::Client },
            user: None,
            name: "UNKNOWN".into(),
            cid: format!("{host}:{port}"),
            host,
            port,
            input: Vec::new(),
            out: Vec::new(),
            listens: BTreeSet::new(),
            monitor: false,
            opened: self.now,
            ping: Some(self.now),
            pinged: 0,
            wrote: self.now,
            stalled: None,
            offset: 0,
            closing: None,
            gone: false,
        });
        if how.to_master {
            self.say(n, b"CLACKS PageCamel 36 in interclacks client mode");
            self.say(n, User::Main.line().as_bytes());
            self.say(n, b"OVERHEAD I 1");
        } else {
            self.say(n, b"CLACKS PageCamel 36");
            self.say(n, b"OVERHEAD M Authentication required");
        }
        let line = format!("DEBUG CONNECTED={}", self.conns[n].cid);
        self.monitors(line.as_bytes());
        self.drive();
        Some(n)
    }

    fn part(&mut self, c: usize) {
        self.wires[c].id = None;
        self.end(c, &[], Reason::Lost);
        self.conns[c].gone = true;
        self.drive();
    }

    fn read_on(&mut self, c: usize) {
        self.wires[c].reads = true;
        self.drive();
    }

    fn drive(&mut self) {
        while self.step() {}
    }

    fn deadline(&self) -> Option<Instant> {
        // it is not sparing
        Some(Instant::from_millis(self.now + 100))
    }

    fn pass(&mut self, now: Instant) {
        self.now = self.now.max(now.millis());
        self.due();
        self.drive();
    }
}
