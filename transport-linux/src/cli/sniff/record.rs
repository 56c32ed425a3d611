//! Recordings: one JSON object a line, the first of which says what the file is.
//!
//! Owns: the format (`docs/sniff.md`), writing it, and reading it again with the line of whatever is
//! wrong. What `chappe sniff --json` prints is the same without the first line. Fields that have
//! their default are left out; fields and events that are not known are skipped, so that a newer
//! program may add some.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use chappe_linux::client::{Code, Encoding, Seen, Sight, StoreOp};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::cli::exit::{Failure, Status};
use chappe_linux::calendar::rfc3339;

use crate::cli::show::{base64, base64_decode, code_name, now, plain, snake};

/// What a recording calls itself.
const FORMAT: &str = "chappe-sniff";

/// Its version. Raised if older programs would misunderstand it.
const VERSION: u64 = 1;

/// Longest line: more than a frame ever has, in Base64 or escaped.
const LONGEST: u64 = 128 << 20;

/// The first line.
pub(super) fn header(node: &str) -> Value {
    json!({"format": FORMAT, "version": VERSION, "node": node, "begun": now(), "by": concat!("chappe ", env!("CARGO_PKG_VERSION"))})
}

/// `Letter` as `letter`.
fn event_name(what: Sight) -> String {
    snake(&format!("{what:?}"))
}

/// What was seen, as one object.
pub(super) fn object_of(seen: &Seen) -> Value {
    let mut o = Map::new();
    o.insert("event".into(), event_name(seen.what).into());
    o.insert("time".into(), rfc3339(Duration::from_micros(seen.micros)).into());
    o.insert("micros".into(), seen.micros.into());
    let mut text = |key: &str, text: &str| {
        if !text.is_empty() {
            o.insert(key.into(), text.into());
        }
    };
    text("dialect", &seen.dialect);
    text("station_name", &seen.station_name);
    text("name", &seen.name);
    text("instance", &seen.instance);
    text("verb", &seen.verb);
    text("text", &seen.text);
    if seen.encoding != Encoding::None {
        text("encoding", &snake(&format!("{:?}", seen.encoding)));
    }
    if seen.code != Code::Ok || matches!(seen.what, Sight::Answer | Sight::Disconnected) {
        text("code", &code_name(seen.code));
    }
    if seen.what == Sight::Value {
        text("op", &snake(&format!("{:?}", seen.op)));
    }
    let numbers = [
        ("station", seen.station),
        ("to", seen.to),
        ("seq", seen.seq.into()),
        ("ttl_ms", seen.ttl_ms.into()),
        ("size", seen.size),
        ("count", seen.count),
    ];
    for (key, number) in numbers {
        if number != 0 {
            o.insert(key.into(), number.into());
        }
    }
    if seen.amount != 0 {
        o.insert("amount".into(), seen.amount.into());
    }
    let marks = [
        ("everyone", seen.everyone),
        ("keep", seen.keep),
        ("each", seen.each),
        ("announce", seen.announce),
        ("exclusive", seen.exclusive),
        ("off", seen.off),
        ("cut", seen.cut),
        ("hidden", seen.hidden),
    ];
    for (key, is_so) in marks {
        if is_so {
            o.insert(key.into(), true.into());
        }
    }
    if !seen.params.is_empty() {
        // a list: keys may come twice, and their order may mean something
        o.insert("params".into(), seen.params.iter().map(|(k, v)| json!([k, v])).collect());
    }
    match std::str::from_utf8(&seen.body) {
        Ok("") => {}
        Ok(body) => _ = o.insert("body".into(), body.into()),
        Err(_) => _ = o.insert("body_base64".into(), base64(&seen.body).into()),
    }
    Value::Object(o)
}

/// The first line, read.
#[derive(Deserialize)]
struct Header {
    format: String,
    version: u64,
}

/// Any other line, read: as [`object_of`] wrote it.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Line {
    event: String,
    micros: u64,
    dialect: String,
    station: u64,
    station_name: String,
    name: String,
    instance: String,
    verb: String,
    params: Vec<(String, String)>,
    body: String,
    body_base64: String,
    encoding: String,
    text: String,
    to: u64,
    op: String,
    amount: i64,
    ttl_ms: u32,
    everyone: bool,
    keep: bool,
    announce: bool,
    off: bool,
    cut: bool,
    hidden: bool,
    count: u64,
}

impl Line {
    /// `Err`: what is wrong with it.
    fn seen(self) -> Result<Seen, String> {
        // what a newer program has recorded is not for this one
        let what = (1..=13).map(Sight::from_number).find(|s| event_name(*s) == self.event).unwrap_or_default();
        if self.event.is_empty() {
            return Err("it says no `event`".into());
        }
        let encodings = (0..=4).map(Encoding::from_number);
        let encoding = match self.encoding.as_str() {
            "" => Encoding::None,
            name => encodings
                .into_iter()
                .find(|e| snake(&format!("{e:?}")) == name)
                .ok_or_else(|| format!("there is no encoding {name:?}"))?,
        };
        let ops = (0..=4).map(StoreOp::from_number);
        let op = match self.op.as_str() {
            "" if what == Sight::Value => return Err("it says no `op`".into()),
            "" => StoreOp::Get,
            name => ops
                .into_iter()
                .find(|o| snake(&format!("{o:?}")) == name)
                .ok_or_else(|| format!("there is no operation {name:?} on values"))?,
        };
        let body = match (self.body.is_empty(), self.body_base64.as_str()) {
            (_, "") => self.body.into_bytes(),
            (true, text) => base64_decode(text).ok_or("`body_base64` is no Base64")?,
            (false, _) => return Err("it says both `body` and `body_base64`".into()),
        };
        Ok(Seen {
            what,
            micros: self.micros,
            dialect: self.dialect,
            station: self.station,
            station_name: self.station_name,
            name: self.name,
            instance: self.instance,
            verb: self.verb,
            params: self.params,
            body,
            encoding,
            text: self.text,
            to: self.to,
            op,
            amount: self.amount,
            ttl_ms: self.ttl_ms,
            everyone: self.everyone,
            keep: self.keep,
            announce: self.announce,
            off: self.off,
            cut: self.cut,
            hidden: self.hidden,
            count: self.count,
            ..Seen::default()
        })
    }
}

/// A recording, read line by line.
pub(super) struct Recording {
    path: PathBuf,
    from: BufReader<File>,
    text: Vec<u8>,
    number: u64,
}

impl Recording {
    /// Opens it and reads the first line.
    pub(super) fn open(path: &Path) -> Result<Recording, Failure> {
        let file = File::open(path).map_err(|e| Failure::io(format_args!("cannot read {}", path.display()), &e))?;
        let mut recording = Recording { path: path.into(), from: BufReader::new(file), text: Vec::new(), number: 0 };
        if !recording.advance()? {
            return Err(recording.wrong("it is empty: no recording of `chappe sniff --to FILE`"));
        }
        let header: Header = serde_json::from_slice(&recording.text)
            .map_err(|_| recording.wrong("this is no recording of `chappe sniff --to FILE`: its first line says so"))?;
        if header.format != FORMAT {
            return Err(recording.wrong(&format!("the format is {:?}, not {FORMAT:?}", plain(&header.format, false))));
        }
        if header.version != VERSION {
            return Err(recording
                .wrong(&format!("this is version {} of the format; this program reads {VERSION}", header.version)));
        }
        Ok(recording)
    }

    /// The next that was seen.
    pub(super) fn next(&mut self) -> Result<Option<Seen>, Failure> {
        if !self.advance()? {
            return Ok(None);
        }
        let line: Line = serde_json::from_slice(&self.text).map_err(|e| self.wrong(&e.to_string()))?;
        line.seen().map(Some).map_err(|why| self.wrong(&why))
    }

    /// Where the next one stands.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    fn advance(&mut self) -> Result<bool, Failure> {
        self.text.clear();
        self.number += 1;
        let read = self.from.by_ref().take(LONGEST).read_until(b'\n', &mut self.text);
        match read.map_err(|e| Failure::io(format_args!("cannot read {}", self.path.display()), &e))? {
            0 => Ok(false),
            _ if self.text.last() == Some(&b'\n') => Ok(true),
            n if n as u64 == LONGEST => Err(self.wrong("the line is longer than 128 MiB")),
            _ => Err(self.wrong("the file ends inside this line: take it out, and replay the rest")),
        }
    }

    /// What is wrong with the line at hand.
    fn wrong(&self, why: &str) -> Failure {
        Failure::Because(Status::Io, format!("{}:{}: {why}", self.path.display(), self.number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reread(seen: &Seen) -> Seen {
        let text = object_of(seen).to_string();
        assert!(!text.contains('\n'));
        serde_json::from_str::<Line>(&text).unwrap().seen().unwrap()
    }

    #[test]
    fn what_is_written_is_read_again() {
        let all: Vec<u8> = (0..=255).collect();
        for what in (1..=13).map(Sight::from_number) {
            for (body, encoding) in
                [(&b""[..], Encoding::None), (b"{\"a\": 1}\n", Encoding::Json), (&all, Encoding::Bytes)]
            {
                let seen = Seen {
                    what,
                    micros: u64::MAX / 2,
                    dialect: "msgq".into(),
                    station: u64::MAX,
                    station_name: "s".into(),
                    name: "n\u{1b}".into(),
                    instance: "i".into(),
                    verb: "v".into(),
                    params: vec![("k".into(), "1".into()), ("k".into(), "2".into())],
                    body: body.into(),
                    encoding,
                    text: "t".into(),
                    to: 5,
                    op: StoreOp::Add,
                    amount: i64::MIN,
                    ttl_ms: 9,
                    everyone: true,
                    keep: true,
                    announce: true,
                    off: true,
                    cut: true,
                    hidden: true,
                    count: 3,
                    ..Seen::default()
                };
                let want = Seen { op: if what == Sight::Value { StoreOp::Add } else { StoreOp::Get }, ..seen.clone() };
                assert_eq!(reread(&seen), want);
            }
        }
    }

    #[test]
    fn bad_files_are_refused_by_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("r");
        let good = header("n").to_string();
        for (text, line, why) in [
            (String::new(), 1, "it is empty"),
            ("hello\n".into(), 1, "no recording"),
            ("{}\n".into(), 1, "no recording"),
            ("{\"format\":\"x\",\"version\":1}\n".into(), 1, "the format is \"x\""),
            ("{\"format\":\"chappe-sniff\",\"version\":2}\n".into(), 1, "version 2"),
            (good.clone(), 1, "ends inside"),
            (format!("{good}\n{{\"event\":\"letter\"}}\nx\n"), 3, "expected value"),
            (format!("{good}\n{{}}\n"), 2, "no `event`"),
            (format!("{good}\n{{\"event\":\"value\"}}\n"), 2, "no `op`"),
            (format!("{good}\n{{\"event\":\"value\",\"op\":\"mul\"}}\n"), 2, "no operation"),
            (format!("{good}\n{{\"event\":\"letter\",\"encoding\":\"x\"}}\n"), 2, "no encoding"),
            (format!("{good}\n{{\"event\":\"letter\",\"body_base64\":\"?\"}}\n"), 2, "no Base64"),
            (format!("{good}\n{{\"event\":\"letter\",\"body\":\"a\",\"body_base64\":\"YQ==\"}}\n"), 2, "both"),
            (format!("{good}\n{{\"event\":\"letter\""), 2, "ends inside"),
        ] {
            std::fs::write(&path, &text).unwrap();
            let read = || {
                let mut recording = Recording::open(&path)?;
                while recording.next()?.is_some() {}
                Ok(())
            };
            let Err(Failure::Because(status, said)) = read() else { panic!("{text:?} is taken") };
            assert_eq!(status, Status::Io);
            let at = format!("{}:{line}: ", path.display());
            assert!(said.starts_with(&at) && said.contains(why), "{text:?}: {said}");
        }
        // what is not known is no harm
        std::fs::write(&path, format!("{good}\n{{\"event\":\"song\",\"pitch\":440}}\n")).unwrap();
        let mut recording = Recording::open(&path).unwrap_or_else(|_| panic!("good"));
        let seen = recording.next().unwrap_or_else(|_| panic!("good")).unwrap();
        assert_eq!(seen.what, Sight::None);
    }
}
