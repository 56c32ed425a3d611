//! The vectors of Net::Clacks in `vectors/clacks`: finds, reads and plays them.
//!
//! Owns: the page's notation (`wire/clacks.md` section 17), which `vectors/README.md` describes for
//! people, and how what is heard is held against it. Plays against any server.

use super::host::{Host, Opening};
use super::users::User;
use super::wire::{is_decimal, show};
use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;

/// How a connection is at the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Given {
    New,
    User(User),
    Link,
    Slave,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Says(Vec<u8>),
    Hears(String),
    /// Only if the server is as the original.
    HearsOfOriginal(String),
    Quiet,
    Closed,
    Wait(u32),
}

/// A vector.
#[derive(Debug)]
pub struct Script {
    /// Its file's name without the end.
    pub name: String,
    given: Vec<(usize, Given)>,
    /// Each as it stands, on which connection, and what it means.
    steps: Vec<(String, usize, Step)>,
}

/// Where the streams are cut.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cut {
    /// Each line is a segment.
    Lines,
    /// One segment is as long as the order of the vector allows.
    Together,
    /// Each octet is a segment.
    Octets,
    /// That connection's stream, once, behind so many octets.
    At(usize, usize),
}

/// All of them, in the order of their names.
///
/// # Panics
/// If the folder cannot be read, or a file is not as `vectors/README.md` has it.
pub fn all() -> Vec<Script> {
    let folder = crate::vectors::folder().join("clacks");
    let mut names: Vec<String> = fs::read_dir(folder)
        .expect("the folder of vectors")
        .filter_map(|e| Some(e.ok()?.file_name().to_str()?.strip_suffix(".txt")?.to_string()))
        .collect();
    names.sort();
    names.iter().map(|n| Script::read(n)).collect()
}

impl Script {
    fn read(name: &str) -> Self {
        let path = crate::vectors::folder().join("clacks").join(format!("{name}.txt"));
        let text = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let mut s = Script { name: name.into(), given: Vec::new(), steps: Vec::new() };
        for line in text.lines().filter(|l| !l.starts_with('#')) {
            let wrong = || -> ! { panic!("{name}: {line}") };
            if let Some(given) = line.strip_prefix("given: ") {
                for word in given.split(' ') {
                    let (n, what) = word.split_once('=').unwrap_or(("1", word));
                    let what = match what {
                        "new" => Given::New,
                        "main" => Given::User(User::Main),
                        "ro" => Given::User(User::Ro),
                        "rw" => Given::User(User::Rw),
                        "wo" => Given::User(User::Wo),
                        "link" => Given::Link,
                        "slave" => Given::Slave,
                        _ => wrong(),
                    };
                    s.given.push((n.parse().unwrap_or_else(|_| wrong()), what));
                }
                continue;
            }
            if let Some(seconds) = line.strip_prefix("wait ") {
                s.steps.push((line.into(), 0, Step::Wait(seconds.parse().unwrap_or_else(|_| wrong()))));
                continue;
            }
            let (who, rest) = line.split_once(':').unwrap_or_else(|| wrong());
            let rest = rest.strip_prefix(' ').unwrap_or(rest).replace("<sp>", " ");
            let (side, n) = who.split_at(1);
            let (n, original) = n.strip_suffix(" (original)").map_or((n, false), |n| (n, true));
            let step = match (side, rest.as_str(), original) {
                ("C", _, false) => Step::Says(format!("{rest}\r\n").into_bytes()),
                ("S", "(quiet)", false) => Step::Quiet,
                ("S", "(closed)", false) => Step::Closed,
                ("S", "(empty)", false) => Step::Hears(String::new()),
                ("S", _, false) => Step::Hears(rest),
                ("S", _, true) => Step::HearsOfOriginal(rest),
                _ => wrong(),
            };
            s.steps.push((line.into(), n.parse().unwrap_or_else(|_| wrong()), step));
        }
        assert!(!s.given.is_empty() && !s.steps.is_empty(), "{name}: nothing is said");
        s
    }

    /// Who says anything, and how many octets.
    pub fn speakers(&self) -> BTreeMap<usize, usize> {
        let mut all = BTreeMap::new();
        for (_, who, step) in &self.steps {
            if let Step::Says(bytes) = step {
                *all.entry(*who).or_default() += bytes.len();
            }
        }
        all
    }

    /// The lines that are said, as they stand; for fuzzing and differential tests.
    pub fn said(&self) -> impl Iterator<Item = &[u8]> {
        self.steps.iter().filter_map(|(_, _, s)| if let Step::Says(b) = s { Some(&b[..]) } else { None })
    }

    /// Plays it. `original`: the server sends what only the original does.
    ///
    /// # Panics
    /// If anything is heard that should not be, or not heard that should.
    pub fn play(&self, host: &mut dyn Host, cut: &Cut, original: bool) {
        let mut wires = BTreeMap::new();
        for (n, what) in &self.given {
            let c = match what {
                Given::New => host.visitor(),
                Given::User(user) => host.client(*user),
                Given::Link => {
                    let (c, keys) = host.linked();
                    assert_eq!(keys, [""; 0], "{}: the store is empty at the start", self.name);
                    c
                }
                Given::Slave => {
                    let peer = Some(SocketAddr::from(([10, 0, 0, 1], 49888)));
                    host.open(Opening { to_master: true, peer }).expect("a free place")
                }
            };
            wires.insert(*n, c);
        }
        let alone = wires.len() == 1;
        let mut said: BTreeMap<usize, usize> = BTreeMap::new();
        let mut done = 0;
        for (i, (text, n, step)) in self.steps.iter().enumerate() {
            let at = format!("{} {cut:?}: {text}", self.name);
            let c = wires.get(n).copied().unwrap_or(0);
            match step {
                Step::Says(_) if i < done => {}
                Step::Says(bytes) => {
                    let mut bytes = bytes.clone();
                    if *cut == Cut::Together {
                        done = i + 1;
                        for (j, (_, other, step)) in self.steps.iter().enumerate().skip(i + 1) {
                            match step {
                                Step::Says(more) if other == n => {
                                    bytes.extend(more);
                                    done = j + 1;
                                }
                                // one alone cannot see what came between
                                _ if alone && !matches!(step, Step::Wait(_)) => {}
                                _ => break,
                            }
                        }
                    }
                    let begin = *said.entry(*n).or_default();
                    said.insert(*n, begin + bytes.len());
                    match cut {
                        Cut::Octets => bytes.iter().for_each(|b| host.tell_bytes(c, &[*b])),
                        Cut::At(who, at) if who == n && (begin..begin + bytes.len()).contains(at) => {
                            let (a, b) = bytes.split_at(at - begin);
                            host.tell_bytes(c, a);
                            host.tell_bytes(c, b);
                        }
                        _ => host.tell_bytes(c, &bytes),
                    }
                }
                Step::Hears(want) => hears(host, c, want, &at),
                Step::HearsOfOriginal(want) if original => hears(host, c, want, &at),
                Step::HearsOfOriginal(_) => {}
                // what comes is what is expected next
                Step::Quiet if i < done => {}
                Step::Quiet => {
                    host.wait(500);
                    assert_eq!(host.told(c), [""; 0], "{at}");
                }
                Step::Closed => {
                    let mut left = 50;
                    while host.is_open(c) && left > 0 {
                        host.wait(100);
                        left -= 1;
                    }
                    assert!(!host.is_open(c), "{at}: it is not");
                    assert_eq!(host.told(c), [""; 0], "{at}");
                }
                Step::Wait(seconds) => host.wait(seconds * 1000),
            }
        }
        host.wait(500);
        // the page does not look at every connection
        let heard = |n: &usize| self.steps.iter().any(|(_, who, s)| who == n && !matches!(s, Step::Says(_)));
        for (n, c) in wires.into_iter().filter(|(n, _)| heard(n)) {
            // what is forwarded reaches all, also those that a vector does not look at
            host.wires()[c].lines.retain(|l| !l.starts_with(b"OVERHEAD G"));
            assert_eq!(host.told(c), [""; 0], "{} {cut:?}: {n} hears more", self.name);
        }
    }
}

fn hears(host: &mut dyn Host, c: usize, want: &str, at: &str) {
    let Some(line) = host.wires()[c].lines.pop_front() else { panic!("{at}: nothing is heard") };
    let line = show(&line);
    assert!(matches(want, &line), "{at}: heard {line}");
}

/// Whether a line is what was expected: `<t>` is a decimal number, `<*>` any text.
pub fn matches(want: &str, line: &str) -> bool {
    let any = want.find("<*>");
    let time = want.find("<t>");
    match (any, time) {
        (None, None) => want == line,
        (Some(at), time) if time.is_none_or(|t| at < t) => {
            let Some(rest) = line.strip_prefix(&want[..at]) else { return false };
            let want = &want[at + 3..];
            (0..=rest.len()).any(|i| rest.is_char_boundary(i) && matches(want, &rest[i..]))
        }
        (_, Some(at)) => {
            let Some(rest) = line.strip_prefix(&want[..at]) else { return false };
            let size = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
            is_decimal(&rest[..size]) && matches(&want[at + 3..], &rest[size..])
        }
        _ => false,
    }
}
