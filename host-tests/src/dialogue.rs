//! Finds, reads and plays dialogues: the vectors of MSGQ, in `vectors/msgq`.
//!
//! Owns: the format, which `vectors/README.md` describes for people, and how what is heard is held
//! against what is expected. Plays against a router of its own for each time, without a clock.

use crate::json::{Rule, read};
use crate::memory::Few;
use crate::msgq::{Frame, frame, frames};
use chappe_core::dialect::Dialect;
use chappe_core::id::StationId;
use chappe_core::router::{Action, Newcomer, Open, Reason, Router, Settings};
use chappe_core::time::Instant;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;

static OPEN: Open = Open;

/// One line.
#[derive(Debug, Clone)]
enum Line {
    Connect(String),
    Says(String, Vec<u8>),
    Ends(String),
    Hears(String, Vec<u8>),
    Nothing(String),
    Closed(String, String),
}

/// A dialogue.
#[derive(Debug, Default)]
pub struct Dialogue {
    /// Its file's name without the end.
    pub name: String,
    /// What clients are called on the page, and what for.
    names: Vec<(String, String)>,
    node: String,
    hello: Vec<String>,
    after: Vec<String>,
    stop: bool,
    /// Each as it stands, and what it means.
    lines: Vec<(String, Line)>,
}

/// Where streams are cut.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cut {
    /// Nowhere.
    Whole,
    /// That client's, once, behind so many octets of what it says.
    At(String, usize),
    /// Everybody's, at every octet.
    Everywhere,
}

/// All of them, in the order of their names.
///
/// # Panics
/// If the folder cannot be read, or a file is not as `vectors/README.md` has it.
pub fn all() -> Vec<Dialogue> {
    let folder = crate::vectors::folder().join("msgq");
    let mut names: Vec<String> = fs::read_dir(folder)
        .expect("the folder of dialogues")
        .filter_map(|e| Some(e.ok()?.file_name().to_str()?.strip_suffix(".txt")?.to_string()))
        .collect();
    names.sort();
    names.iter().map(|n| Dialogue::read(n)).collect()
}

/// `\xNN` is an octet, `\\` a backslash.
fn octets(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if let Some(hex) = rest.strip_prefix("\\x") {
            out.push(u8::from_str_radix(&hex[..2], 16).expect("two digits"));
            rest = &rest[4..];
        } else if let Some(more) = rest.strip_prefix("\\\\") {
            out.push(b'\\');
            rest = more;
        } else {
            assert_ne!(c, '\\', "{rest}");
            out.extend_from_slice(&rest.as_bytes()[..c.len_utf8()]);
            rest = &rest[c.len_utf8()..];
        }
    }
    out
}

impl Dialogue {
    fn read(name: &str) -> Self {
        let path = crate::vectors::folder().join("msgq").join(format!("{name}.txt"));
        let text = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let mut d = Dialogue { name: name.into(), ..Dialogue::default() };
        for line in text.lines().filter(|l| !l.starts_with('#')) {
            let (first, rest) = line.split_once(' ').unwrap_or_else(|| panic!("{name}: {line}"));
            let words = || rest.split(' ').map(str::to_string).collect::<Vec<_>>();
            match first {
                "name" => d.names.push((words()[0].clone(), words()[1].clone())),
                "node" => d.node = rest.into(),
                "hello" => d.hello = words(),
                "after" => d.after.push(rest.into()),
                "connect" => d.lines.push((line.into(), Line::Connect(rest.into()))),
                "allow" if rest == "stop" => d.stop = true,
                who => {
                    let who = who.to_string();
                    let (arrow, what) = rest.split_once(' ').unwrap_or_else(|| panic!("{name}: {line}"));
                    let reason = what.strip_prefix("(closed ").and_then(|w| w.strip_suffix(')'));
                    let meant = match (arrow, what, reason) {
                        ("->", "(end of stream)", _) => Line::Ends(who),
                        ("->", bytes, _) => Line::Says(who, octets(bytes)),
                        ("<-", "(nothing)", _) => Line::Nothing(who),
                        ("<-", _, Some(reason)) => Line::Closed(who, reason.into()),
                        ("<-", bytes, None) => Line::Hears(who, octets(bytes)),
                        _ => panic!("{name}: {line}"),
                    };
                    d.lines.push((line.into(), meant));
                }
            }
        }
        assert!(!d.lines.is_empty(), "{name}: nothing is said");
        d
    }

    /// Who says anything, and how much.
    pub fn speakers(&self) -> BTreeMap<String, usize> {
        let mut all = BTreeMap::new();
        for (_, line) in &self.lines {
            if let Line::Says(who, bytes) = line {
                *all.entry(who.clone()).or_default() += bytes.len();
            }
        }
        all
    }

    /// Plays it.
    ///
    /// # Panics
    /// If anything is heard that should not be, or not heard that should.
    pub fn play(&self, cut: &Cut) {
        let mut memory = Few::new(1 << 20, 80 << 10);
        let mut settings = Settings::new("host", "0", &OPEN);
        settings.max_frame = 4096;
        settings.outbox = 65536;
        settings.msgq.boot = 0x5f37_59df;
        settings.msgq.stop = self.stop;
        let router = memory.router(settings, Instant::ZERO).expect("valid settings");
        let mut stage = Stage { router, clients: BTreeMap::new(), dialogue: self, numbers: BTreeMap::new(), last: 0 };
        for who in &self.hello {
            let lname = stage.lname(who);
            assert!(!lname.is_empty());
        }
        for before in &self.after {
            let before = Dialogue::read(before);
            for line in &before.lines {
                stage.line(line, &Cut::Whole);
            }
        }
        for c in stage.clients.values_mut() {
            c.said = 0;
        }
        for line in &self.lines {
            stage.line(line, cut);
        }
        stage.serve();
        for (who, c) in &stage.clients {
            assert_eq!(c.heard, [], "{} {cut:?}: {who} hears more", self.name);
        }
        assert_eq!(stage.router.check(), Ok(()));
    }
}

#[derive(Default)]
struct Client {
    id: Option<StationId>,
    closed: Option<Reason>,
    heard: Vec<Frame>,
    /// Octets that it has said.
    said: usize,
    lname: String,
}

struct Stage<'s, 'd> {
    router: Router<'s>,
    clients: BTreeMap<String, Client>,
    dialogue: &'d Dialogue,
    /// The page's numbers of the node's messages, and ours.
    numbers: BTreeMap<i64, i64>,
    /// The last of ours.
    last: i64,
}

/// Nothing here depends on it.
const NOW: Instant = Instant::from_millis(5);

impl Stage<'_, '_> {
    fn client(&mut self, who: &str) -> &mut Client {
        if !self.clients.contains_key(who) {
            let newcomer = Newcomer { dialect: Dialect::Msgq, ..Newcomer::default() };
            let id = self.router.admit(NOW, newcomer).expect("a free place");
            self.clients.insert(who.into(), Client { id: Some(id), ..Client::default() });
            self.serve();
        }
        self.clients.get_mut(who).expect("it is there by now")
    }

    /// The node's name for a client, which asks for it if need be.
    fn lname(&mut self, who: &str) -> String {
        if self.client(who).lname.is_empty() {
            self.says(who, &frame(br#"{"type": "getlname"}"#, b""), &Cut::Whole);
            let answer = self.client(who).heard.pop().expect("an answer to getlname");
            self.client(who).lname = answer.json()["lname"].as_str().expect("a name").into();
        }
        self.client(who).lname.clone()
    }

    fn serve(&mut self) {
        while let Some(action) = self.router.next_action(NOW) {
            match action {
                Action::Write(id) => {
                    let bytes: Vec<u8> = self.router.output(id).flatten().copied().collect();
                    self.router.sent(NOW, id, bytes.len());
                    let c = self.clients.values_mut().find(|c| c.id == Some(id)).expect("it writes to who is there");
                    c.heard.extend(frames(&bytes));
                }
                Action::Resume(_) => {}
                Action::Close(id, reason) => {
                    let c = self.clients.values_mut().find(|c| c.id == Some(id)).expect("it closes who is there");
                    c.id = None;
                    c.closed = Some(reason);
                }
            }
            assert_eq!(self.router.check(), Ok(()));
        }
    }

    fn says(&mut self, who: &str, bytes: &[u8], cut: &Cut) {
        let begin = self.client(who).said;
        self.client(who).said += bytes.len();
        let at = match cut {
            Cut::At(whose, at) if whose == who => at.saturating_sub(begin).min(bytes.len()),
            _ => bytes.len(),
        };
        let (a, b) = bytes.split_at(at);
        let pieces: Vec<&[u8]> = if *cut == Cut::Everywhere { bytes.chunks(1).collect() } else { vec![a, b] };
        for mut piece in pieces {
            while !piece.is_empty() {
                // one that was closed has nobody to talk to
                let Some(id) = self.client(who).id else { return };
                let taken = self.router.receive(NOW, id, piece);
                piece = &piece[taken..];
                if self.router.stop_asked().is_some() {
                    self.router.stop(NOW);
                }
                self.serve();
            }
        }
    }

    fn line(&mut self, (text, line): &(String, Line), cut: &Cut) {
        let at = format!("{} {cut:?}: {text}", self.dialogue.name);
        match line {
            Line::Connect(who) => _ = self.client(who),
            Line::Says(who, bytes) => {
                let bytes = self.ours(bytes);
                self.client(who);
                self.says(who, &bytes, cut);
            }
            Line::Ends(who) => {
                let id = self.client(who).id.take().expect("it is connected");
                self.router.closed(NOW, id);
                self.serve();
            }
            Line::Hears(who, bytes) => {
                let want = expected(bytes);
                let heard = &mut self.client(who).heard;
                assert!(!heard.is_empty(), "{at}: nothing is heard");
                let heard = heard.remove(0);
                self.compare(who, &want, &heard, &at);
            }
            Line::Nothing(who) => {
                assert_eq!(self.client(who).heard, [], "{at}");
                self.says(who, &frame(br#"{"type":"ping"}"#, b""), &Cut::Whole);
                let pong = self.client(who).heard.pop().expect("a pong");
                assert_eq!(pong.header, json!({"type": "pong"}), "{at}");
                assert_eq!(self.client(who).heard, [], "{at}");
            }
            Line::Closed(who, reason) => {
                let c = self.client(who);
                let name = c.closed.as_ref().map(|r| r.name());
                assert_eq!((name, c.id), (Some(reason.as_str()), None), "{at}");
                let counter = c.closed.expect("compared above").counter();
                assert!(self.router.counters().get(counter) > 0, "{at}: not counted");
            }
        }
    }

    /// What is said as on the page, with our names and numbers in it.
    fn ours(&mut self, bytes: &[u8]) -> Vec<u8> {
        let Some(head) = bytes.get(4..6).map(|h| u16::from_be_bytes([h[0], h[1]]) as usize) else {
            return bytes.into();
        };
        let Some((header, body)) = bytes[6..].split_at_checked(head) else { return bytes.into() };
        // a header that means nothing has no names in it
        let Ok(mut value) = read(header, Rule::Either) else { return bytes.into() };
        if bytes.len() != 4 + u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]) as usize {
            return bytes.into();
        }
        let mut text = String::from_utf8(header.into()).expect("JSON is text");
        if value["to"] == json!(self.dialogue.node)
            && let Some((page, ours)) = value["reply"].as_i64().and_then(|n| Some((n, *self.numbers.get(&n)?)))
        {
            text = text.replace(&format!("\"reply\": {page}"), &format!("\"reply\": {ours}"));
            value["reply"] = json!(ours);
        }
        for (who, page) in &self.dialogue.names {
            if text.contains(page) {
                let lname = self.lname(who);
                text = text.replace(page, &lname);
            }
        }
        if !self.dialogue.node.is_empty() && text.contains(&self.dialogue.node) {
            let node = self.node();
            text = text.replace(&self.dialogue.node, &node);
        }
        frame(text.as_bytes(), body)
    }

    /// What the node calls itself: like its stations, with the number 0.
    fn node(&mut self) -> String {
        let first = self.dialogue.hello.first().expect("somebody is there").clone();
        let lname = self.lname(&first);
        let (boot, rest) = lname.split_once('_').expect("an lname");
        let (_, host) = rest.split_once('@').expect("an lname");
        format!("{boot}_0@{host}")
    }

    fn compare(&mut self, who: &str, want: &Expected, heard: &Frame, at: &str) {
        let of_node = !self.dialogue.node.is_empty() && want.header["from"] == json!(self.dialogue.node);
        if of_node {
            let ours = heard.header["seq"].as_i64().unwrap_or_else(|| panic!("{at}: no number in {}", heard.text));
            assert!(ours > self.last, "{at}: {ours} is no new number");
            self.last = ours;
            self.numbers.insert(want.header["seq"].as_i64().expect("the page has one"), ours);
        }
        // the first time that a name is heard of
        if let Some((z, _)) = self.dialogue.names.iter().find(|(_, page)| want.body.contains(page)).cloned()
            && self.client(&z).lname.is_empty()
            && let Ok(body) = read(&heard.body, Rule::Both)
        {
            let lname = body["lname"].as_str().or(body["notification"][1]["client"].as_str());
            self.client(&z).lname = lname.unwrap_or_else(|| panic!("{at}: no name in {body}")).into();
        }
        let mut header = want.header.clone();
        if of_node {
            header["seq"] = heard.header["seq"].clone();
        }
        self.rename(&mut header);
        assert_eq!(heard.header, header, "{at}: {who} hears {}", heard.text);
        match want.json.clone() {
            Some(mut body) if of_node || matches!(want.header["from"].as_str(), None | Some("msgq")) => {
                self.rename(&mut body);
                let mut ours = heard.json();
                for body in [&mut body, &mut ours] {
                    tidy(body);
                }
                assert_eq!(ours, body, "{at}");
            }
            _ => assert_eq!(heard.body, want.octets, "{at}"),
        }
    }

    /// Our names in the place of the page's.
    fn rename(&mut self, value: &mut Value) {
        match value {
            Value::String(text) => {
                if let Some((who, _)) = self.dialogue.names.iter().find(|(_, page)| page == text).cloned() {
                    *text = self.lname(&who);
                } else if !text.is_empty() && *text == self.dialogue.node {
                    *text = self.node();
                }
            }
            Value::Array(all) => all.iter_mut().for_each(|v| self.rename(v)),
            Value::Object(all) => all.values_mut().for_each(|v| self.rename(v)),
            _ => {}
        }
    }
}

/// A frame as the page has it.
struct Expected {
    header: Value,
    octets: Vec<u8>,
    json: Option<Value>,
    /// The body as text, to look for names.
    body: String,
}

fn expected(bytes: &[u8]) -> Expected {
    let head = u16::from_be_bytes([bytes[4], bytes[5]]) as usize;
    let (header, body) = bytes[6..].split_at(head);
    let header = read(header, Rule::Either).expect("the page's headers are JSON");
    let json = read(body, Rule::Either).ok();
    Expected { header, octets: body.into(), json, body: String::from_utf8_lossy(body).into() }
}

/// Texts for people may be any, lists of names come in any order.
fn tidy(value: &mut Value) {
    match value {
        Value::Array(all) => {
            all.iter_mut().for_each(tidy);
            if all.iter().all(|v| v.as_str().is_some_and(|s| s.contains('@'))) {
                all.sort_by(|a, b| a.as_str().cmp(&b.as_str()));
            }
        }
        Value::Object(all) => {
            for (key, value) in all {
                if key.ends_with("_description") {
                    assert!(value.as_str().is_some_and(|s| !s.is_empty()), "no text in {key}");
                    *value = json!("any");
                }
                tidy(value);
            }
        }
        _ => {}
    }
}
