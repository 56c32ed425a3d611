//! Finds and reads vectors: bytes in `NNN-slug.hex`, what they mean in `NNN-slug.expect`.
//!
//! Owns: the two formats, and the reading of a stream into the lines of an `.expect`. The
//! formats are described for people in `vectors/README.md`.

use crate::show;
use chappe_core::dialect::messi::frame::{Finder, Hopeless};
use chappe_core::dialect::messi::repr::{ClientToServer, ServerToClient};
use chappe_core::dialect::messi::wire::{Malformed, Wire, field};
use std::fs;
use std::path::{Path, PathBuf};

/// How payloads are to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Schema {
    /// A oneof of messages that is not known: fields of fields.
    Fields,
    /// `ClientToServer` of `chappe.proto`.
    ToNode,
    /// `ServerToClient` of `chappe.proto`.
    ToClient,
}

/// One vector.
#[derive(Debug)]
pub struct Vector {
    /// The `.hex` file.
    pub path: PathBuf,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// How its payloads are to be read.
    pub schema: Schema,
    /// Longest frame allowed, header included.
    pub limit: usize,
    /// What they say, a line each.
    pub expect: Vec<String>,
}

/// The folder of all vectors.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors")
}

/// All vectors of a folder below it, in the order of their names.
pub fn read(below: &str) -> Vec<Vector> {
    let folder = folder().join(below);
    let listing = fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut files: Vec<PathBuf> = listing.map(|f| f.unwrap().path()).collect();
    files.sort();
    for file in &files {
        let partner = match file.extension().and_then(|e| e.to_str()) {
            Some("hex") => file.with_extension("expect"),
            Some("expect") => file.with_extension("hex"),
            _ => panic!("{}: neither .hex nor .expect", file.display()),
        };
        assert!(partner.exists(), "{} has no {}", file.display(), partner.display());
    }
    files.into_iter().filter(|f| f.extension().is_some_and(|e| e == "hex")).map(|f| one(&f)).collect()
}

fn one(path: &Path) -> Vector {
    let at = |what: &str| -> ! { panic!("{}: {what}", path.display()) };
    let text = fs::read_to_string(path).unwrap();
    let mut bytes = Vec::new();
    for line in text.lines() {
        for word in line.split('#').next().unwrap_or_default().split_whitespace() {
            // `78*300` is an octet 300 times
            let (word, times) = word.split_once('*').map_or((word, 1), |(w, n)| (w, n.parse().unwrap()));
            let octets =
                (0..word.len()).step_by(2).map(|i| word.get(i..i + 2).and_then(|o| u8::from_str_radix(o, 16).ok()));
            let octets: Option<Vec<u8>> = octets.collect();
            let Some(octets) = octets else { at("not pairs of hex digits") };
            bytes.extend(octets.repeat(times));
        }
    }
    let (mut schema, mut limit, mut expect) = (None, usize::MAX, Vec::new());
    for line in fs::read_to_string(path.with_extension("expect")).unwrap().lines() {
        match line.split_once(' ') {
            Some(("schema", "fields")) => schema = Some(Schema::Fields),
            Some(("schema", "to-node")) => schema = Some(Schema::ToNode),
            Some(("schema", "to-client")) => schema = Some(Schema::ToClient),
            Some(("limit", n)) => limit = n.parse().unwrap(),
            _ if line.is_empty() || line.starts_with('#') => {}
            _ => expect.push(line.to_string()),
        }
    }
    let Some(schema) = schema else { at("its .expect has no schema line") };
    Vector { path: path.into(), bytes, schema, limit, expect }
}

/// What pieces of a stream say, in the words of an `.expect`.
pub fn describe<'p>(pieces: impl IntoIterator<Item = &'p [u8]>, schema: Schema, limit: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut finder = Finder::new();
    let mut payload: Vec<u8> = Vec::new();
    for mut piece in pieces {
        loop {
            match finder.header(&mut piece, limit) {
                Ok(None) => break,
                Ok(Some(h)) => {
                    let n = (h.size - payload.len()).min(piece.len());
                    payload.extend_from_slice(&piece[..n]);
                    piece = &piece[n..];
                    if payload.len() < h.size {
                        break;
                    }
                    lines.push(format!("frame {} {}", h.kind, h.size));
                    lines.extend(payload_lines(&payload, schema));
                    payload.clear();
                    finder.next();
                }
                Err(Hopeless::TooBig { announced }) => {
                    lines.push(format!("hopeless too big {announced}"));
                    return lines;
                }
                Err(Hopeless::Header) => {
                    lines.push("hopeless header".into());
                    return lines;
                }
            }
        }
    }
    if finder.is_inside() {
        lines.push("more".into());
    }
    lines
}

fn payload_lines(payload: &[u8], schema: Schema) -> Vec<String> {
    if payload.is_empty() {
        return Vec::new();
    }
    let line = match schema {
        Schema::Fields => return fields(payload),
        Schema::ToNode => ClientToServer::read(payload).map(|(m, _)| show::to_node(&m)),
        Schema::ToClient => ServerToClient::read(payload).map(|(m, _)| show::to_client(&m)),
    };
    vec![line.map_or_else(malformed, |text| format!("  {text}"))]
}

fn malformed(why: Malformed) -> String {
    format!("  malformed {why:?}")
}

/// Every field of every member: `  member.field value`.
fn fields(payload: &[u8]) -> Vec<String> {
    let mut lines = Vec::new();
    let walk = |lines: &mut Vec<String>| -> Result<(), Malformed> {
        let mut left = payload;
        while !left.is_empty() {
            let (rest, (member, wire)) = field(left)?;
            left = rest;
            let Wire::Len(mut body) = wire else {
                lines.push(format!("  {member} {}", value(wire)));
                continue;
            };
            if body.is_empty() {
                lines.push(format!("  {member} empty"));
            }
            while !body.is_empty() {
                let (rest, (number, wire)) = field(body)?;
                lines.push(format!("  {member}.{number} {}", value(wire)));
                body = rest;
            }
        }
        Ok(())
    };
    if let Err(why) = walk(&mut lines) {
        lines.push(malformed(why));
    }
    lines
}

fn value(wire: Wire<'_>) -> String {
    match wire {
        Wire::Varint(v) => v.to_string(),
        Wire::Fixed64(v) => format!("64:{v}"),
        Wire::Fixed32(v) => format!("32:{v}"),
        Wire::Group => "group".into(),
        // long texts by their length and first octet
        Wire::Len(b) if b.len() > 100 => format!("{} octets of {}", b.len(), show::hex(&b[..1])),
        Wire::Len(b) => show::hex(b),
    }
}
