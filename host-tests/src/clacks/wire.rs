//! One connection to a server: what is on its way to it, and what came.
//!
//! Owns: cutting what comes into lines, and failing the test for anything that no client may be sent
//! (`wire/clacks.md` sections 3, 4.1 and 7). Does not own the server.

use chappe_core::id::StationId;
use chappe_core::router::Reason;
use std::collections::VecDeque;
use std::fmt::Write;

/// Words of lines that a server may say to a client.
const TO_CLIENTS: [&str; 17] = [
    "CLACKS",
    "OVERHEAD",
    "NOTIFY",
    "SET",
    "RETRIEVED",
    "NOTRETRIEVED",
    "KEYLISTSTART",
    "KEY",
    "KEYLISTEND",
    "CLIENTLISTSTART",
    "CLIENT",
    "CLIENTLISTEND",
    "FLUSHED",
    "DEBUG",
    "NOP",
    "QUIT",
    "TIMEOUT",
];

/// Those that it says to a link beside these.
const TO_LINKS: [&str; 8] =
    ["PING", "KEYSYNC", "STORE", "SETANDSTORE", "REMOVE", "INCREMENT", "DECREMENT", "CLEARCACHE"];

/// Of all these, the ones that nothing follows.
const BARE: [&str; 9] =
    ["KEYLISTSTART", "KEYLISTEND", "CLIENTLISTSTART", "CLIENTLISTEND", "NOP", "QUIT", "TIMEOUT", "PING", "CLEARCACHE"];

/// A connection.
#[derive(Debug, Default)]
pub struct Wire {
    /// The router's name for it, while there is one.
    pub id: Option<StationId>,
    /// Octets that the server has not taken yet.
    pub output: Vec<u8>,
    /// The server did not take all it was offered, and has not said that it would now.
    pub waits: bool,
    /// Takes what the server writes. Off: its socket is full at once.
    pub reads: bool,
    /// Why the server closed it.
    pub closed: Option<Reason>,
    /// Octets that came, for whoever takes them as they are.
    pub bytes: Vec<u8>,
    /// Lines that came and were not asked for, without their ends.
    pub lines: VecDeque<Vec<u8>>,
    /// All lines that ever came.
    pub count: usize,
    /// It is, or is about to be, a link.
    pub link: bool,
    /// The octets of a line that has begun.
    partial: Vec<u8>,
    /// The last line was empty, the word that must follow has not come.
    was_empty: bool,
    /// The word after which nothing may come.
    last_word: Option<String>,
}

impl Wire {
    /// One that reads.
    pub fn new(id: StationId, link: bool) -> Self {
        Wire { id: Some(id), reads: true, link, ..Wire::default() }
    }

    /// Octets have come.
    ///
    /// # Panics
    /// For lines that no server may say.
    pub fn take(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        for b in bytes {
            self.partial.push(*b);
            if *b == b'\n' {
                let mut line = std::mem::take(&mut self.partial);
                assert!(line.ends_with(b"\r\n"), "senders write CR LF: {}", show(&line));
                line.truncate(line.len() - 2);
                self.line(&line);
                self.lines.push_back(line);
            }
        }
    }

    /// The server has closed it.
    ///
    /// # Panics
    /// If that cut a line in two.
    pub fn end(&mut self, why: Reason) {
        self.id = None;
        self.closed = Some(why);
        self.output.clear();
        assert!(self.partial.is_empty() || !self.reads, "closed inside the line {}", show(&self.partial));
        assert!(!self.was_empty || !self.reads, "closed behind an empty line");
    }

    fn line(&mut self, line: &[u8]) {
        let text = show(line);
        self.count += 1;
        assert!(self.last_word.is_none(), "{text} behind {:?}, its last words", self.last_word);
        assert!(!line.contains(&b'\r'), "a CR inside {text}");
        if self.count == 1 {
            assert!(line.starts_with(b"CLACKS "), "section 4.1: the first line is {text}");
        }
        let was_empty = std::mem::take(&mut self.was_empty);
        if line.is_empty() {
            assert!(!was_empty, "two empty lines");
            self.was_empty = true;
            return;
        }
        let end = line.iter().position(|b| *b == b' ').unwrap_or(line.len());
        let word = std::str::from_utf8(&line[..end]).unwrap_or("");
        let known = TO_CLIENTS.contains(&word) || (self.link && TO_LINKS.contains(&word));
        assert!(known, "section 7: a server does not say {text}");
        assert_eq!(BARE.contains(&word), end == line.len(), "section 7: {text}");
        let ends = matches!(word, "QUIT" | "TIMEOUT");
        assert_eq!(was_empty, ends, "section 4.4: an empty line comes before these and no others: {text}");
        if ends || line.starts_with(b"OVERHEAD F ") {
            self.last_word = Some(text.clone());
        }
        let rest = line.get(end + 1..).unwrap_or_default();
        match word {
            "OVERHEAD" => self.overhead(rest, &text),
            "SET" | "SETANDSTORE" | "STORE" | "RETRIEVED" | "DEBUG" => {
                assert!(rest.iter().skip(1).any(|b| *b == b'='), "no name and value in {text}");
            }
            "CLACKS" => {
                self.link |= text.contains("interclacks");
                assert!(!rest.is_empty(), "{text}");
            }
            "KEYSYNC" => _ = Sync::read(line),
            _ => {}
        }
    }

    fn overhead(&self, rest: &[u8], text: &str) {
        let at = rest.iter().position(|b| *b == b' ').unwrap_or_else(|| panic!("section 9: {text}"));
        let flags = &rest[..at];
        assert!(at > 0 && rest.len() > at + 1, "section 9: {text}");
        let sorted: std::collections::BTreeSet<u8> = flags.iter().copied().collect();
        let in_order = sorted.iter().copied().eq(flags.iter().copied());
        // the page writes this one so
        assert!(in_order || flags == b"GC", "flags in the order of the alphabet, once: {text}");
        let may: &[u8] = if self.link { b"ACDEFGILMNOTZ" } else { b"DEFGMNO" };
        assert!(flags.iter().all(|f| may.contains(f)), "flags that a server may send here: {text}");
        if flags.contains(&b'G') {
            let may: &[u8] = if self.link { b"CDGMN" } else { b"DGMN" };
            assert!(flags.iter().all(|f| may.contains(f)), "what may go on to others: {text}");
        }
    }
}

/// What a `KEYSYNC` says.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Sync {
    /// Microseconds since 1970.
    pub modified: i64,
    /// The same.
    pub accessed: i64,
    /// It is a deletion mark.
    pub deleted: bool,
    /// The key.
    pub key: Vec<u8>,
    /// The value.
    pub value: Vec<u8>,
}

impl Sync {
    /// From a line.
    ///
    /// # Panics
    /// If it is none as a server writes it (section 12.3).
    pub fn read(line: &[u8]) -> Sync {
        let at = |what: &str| -> ! { panic!("{what} in {}", show(line)) };
        let mut parts = line.splitn(5, |b| *b == b' ').skip(1);
        let mut next = || parts.next().unwrap_or_else(|| at("no five parts"));
        let (modified, accessed, mode, pair) = (next(), next(), next(), next());
        let time = |t: &[u8]| {
            let text = std::str::from_utf8(t).ok().filter(|t| is_decimal(t)).unwrap_or_else(|| at("no time"));
            micros(text)
        };
        let eq = pair.iter().skip(1).position(|b| *b == b'=').unwrap_or_else(|| at("no key"));
        let sync = Sync {
            modified: time(modified),
            accessed: time(accessed),
            deleted: mode == b"D",
            key: pair[..eq + 1].to_vec(),
            value: pair[eq + 2..].to_vec(),
        };
        assert!(mode == b"U" || mode == b"D", "section 12.3: mode of {}", show(line));
        if sync.deleted {
            assert!(sync.accessed == 0 && sync.value == b"REMOVED", "section 12.3: a mark is {}", show(line));
        }
        sync
    }
}

/// Digits, and perhaps a point with more digits.
pub fn is_decimal(text: &str) -> bool {
    let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
    [whole, part].iter().all(|t| !t.is_empty() && t.bytes().all(|b| b.is_ascii_digit()))
}

/// Seconds with a fraction as microseconds. What is no number is 0.
pub fn micros(text: &str) -> i64 {
    if !is_decimal(text) {
        return text.parse::<f64>().map_or(0, |t| (t * 1e6) as i64);
    }
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let part: String = part.chars().chain("000000".chars()).take(6).collect();
    whole.parse::<i64>().map_or(i64::MAX / 2, |w| w.saturating_mul(1_000_000)).saturating_add(part.parse().unwrap_or(0))
}

/// A line for people, whatever is in it.
pub fn show(line: &[u8]) -> String {
    let mut out = String::new();
    for chunk in line.utf8_chunks() {
        for c in chunk.valid().chars() {
            if c.is_control() {
                write!(out, "\\x{:02x}", c as u32).unwrap();
            } else {
                out.push(c);
            }
        }
        for b in chunk.invalid() {
            write!(out, "\\x{b:02x}").unwrap();
        }
    }
    out
}
