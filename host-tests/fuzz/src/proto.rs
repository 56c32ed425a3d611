//! A plain second reader of protobuf: it reads `core/proto/chappe.proto` itself, and then messages by
//! what that file says.
//!
//! Owns: the rules of the wire as `docs` of protobuf have them and `wire/messi.md` section 6 narrows
//! them. Shares no code with the core. A message becomes the line of text that
//! [`chappe_host_tests::show`] makes of the core's.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::LazyLock;

use chappe_host_tests::show::hex;

/// Parameters that a message may have, and levels of unknown groups.
const MAX_PARAMS: usize = chappe_core::limits::MAX_PARAMS;
const MAX_GROUPS: usize = 8;

#[derive(Debug)]
struct Field {
    kind: String,
    name: String,
    repeated: bool,
}

#[derive(Debug, Default)]
struct Schema {
    messages: HashMap<String, BTreeMap<u64, Field>>,
    enums: HashSet<String>,
}

static SCHEMA: LazyLock<Schema> = LazyLock::new(|| Schema::read(include_str!("../../../core/proto/chappe.proto")));

impl Schema {
    fn read(text: &str) -> Schema {
        let mut schema = Schema::default();
        let mut within = String::new();
        for line in text.lines() {
            let line = line.split("//").next().unwrap_or_default().trim();
            let words: Vec<&str> = line.split_whitespace().collect();
            match words[..] {
                ["message", name, "{"] => within = name.to_owned(),
                ["enum", name, "{"] => {
                    schema.enums.insert(name.to_owned());
                    within.clear();
                }
                ["repeated", kind, name, "=", number] => schema.add(&within, kind, name, number, true),
                [kind, name, "=", number] if !within.is_empty() => schema.add(&within, kind, name, number, false),
                _ => {}
            }
        }
        assert!(schema.messages.len() > 20 && schema.enums.len() > 5, "the file is not as it was");
        schema
    }

    fn add(&mut self, message: &str, kind: &str, name: &str, number: &str, repeated: bool) {
        let number = number.trim_end_matches(';').parse().expect("a field's number");
        let field = Field { kind: kind.to_owned(), name: name.to_owned(), repeated };
        assert!(self.messages.entry(message.to_owned()).or_default().insert(number, field).is_none());
    }
}

/// Why it is no message. Only that it is none is compared.
pub type Why = &'static str;

#[derive(Debug, Clone)]
enum Wire<'b> {
    Number(u64),
    Octets(&'b [u8]),
    Other,
}

fn varint(input: &mut &[u8]) -> Result<u64, Why> {
    let mut value = 0u128;
    for n in 0..10 {
        let (b, rest) = input.split_first().ok_or("truncated")?;
        *input = rest;
        value |= u128::from(b & 127) << (7 * n);
        if b & 128 == 0 {
            return u64::try_from(value).map_err(|_| "more than 64 bits");
        }
        if value > u128::from(u64::MAX) {
            return Err("more than 64 bits");
        }
    }
    Err("more than ten octets")
}

fn octets<'b>(input: &mut &'b [u8], n: u64) -> Result<&'b [u8], Why> {
    let n = usize::try_from(n).map_err(|_| "truncated")?;
    let (taken, rest) = input.split_at_checked(n).ok_or("truncated")?;
    *input = rest;
    Ok(taken)
}

fn field<'b>(input: &mut &'b [u8], groups: usize) -> Result<(u64, Wire<'b>), Why> {
    let before = input.len();
    let tag = varint(input)?;
    let number = tag >> 3;
    if number == 0 || number > 0x1fff_ffff || before - input.len() > 5 {
        return Err("a field's number");
    }
    let wire = match tag & 7 {
        0 => Wire::Number(varint(input)?),
        1 => octets(input, 8).map(|_| Wire::Other)?,
        2 => {
            let n = varint(input)?;
            Wire::Octets(octets(input, n)?)
        }
        5 => octets(input, 4).map(|_| Wire::Other)?,
        3 => {
            let groups = groups.checked_sub(1).ok_or("groups too deep")?;
            loop {
                let mut ahead = *input;
                if varint(&mut ahead)? == tag + 1 {
                    *input = ahead;
                    break;
                }
                field(input, groups)?;
            }
            Wire::Other
        }
        _ => return Err("a wire type"),
    };
    Ok((number, wire))
}

/// Reads a payload as this oneof, `ClientToServer` or `ServerToClient`.
///
/// # Errors
/// It is none.
pub fn read(oneof: &str, payload: &[u8]) -> Result<String, Why> {
    let members = &SCHEMA.messages[oneof];
    let (mut seen, mut last) = (HashSet::new(), None);
    let mut input = payload;
    while !input.is_empty() {
        if let (number, Wire::Octets(body)) = field(&mut input, MAX_GROUPS)?
            && let Some(member) = members.get(&number)
        {
            if !seen.insert(number) {
                return Err("a member twice");
            }
            last = Some((member, body));
        }
    }
    let Some((member, body)) = last else { return Ok("nothing".into()) };
    Ok(member.name.clone() + &message(&member.kind, body)?)
}

/// The fields of a message that are not their defaults, in the order of their numbers.
fn message(kind: &str, body: &[u8]) -> Result<String, Why> {
    let fields = &SCHEMA.messages[kind];
    let mut values: BTreeMap<u64, Vec<String>> = BTreeMap::new();
    let mut input = body;
    while !input.is_empty() {
        let (number, wire) = field(&mut input, MAX_GROUPS)?;
        let Some(field) = fields.get(&number) else { continue };
        let Some(shown) = shown(&field.kind, wire)? else { continue };
        let all = values.entry(number).or_default();
        if !field.repeated {
            all.clear();
        }
        all.push(shown);
        if all.len() > MAX_PARAMS {
            return Err("too many parameters");
        }
    }
    let mut out = String::new();
    for (number, all) in values {
        let Field { name, repeated, .. } = &fields[&number];
        match repeated {
            true => out += &format!(" {name}=[{}]", all.join(",")),
            false if all[0].is_empty() => {}
            false => out += &format!(" {name}={}", all[0]),
        }
    }
    Ok(out)
}

/// Empty: its default. `None`: the wire type is not that of the field, which counts as unknown.
fn shown(kind: &str, wire: Wire<'_>) -> Result<Option<String>, Why> {
    let number = |n: i128| if n == 0 { String::new() } else { n.to_string() };
    Ok(Some(match (kind, wire) {
        ("uint32", Wire::Number(n)) => number(i128::from(n as u32)),
        ("uint64", Wire::Number(n)) => number(i128::from(n)),
        ("sint64", Wire::Number(n)) if n & 1 == 0 => number(i128::from(n / 2)),
        ("sint64", Wire::Number(n)) => number(-i128::from(n / 2) - 1),
        ("bool", Wire::Number(n)) => if n == 0 { "" } else { "true" }.into(),
        (kind, Wire::Number(n)) if SCHEMA.enums.contains(kind) => number(i128::from(n as u32)),
        ("string", Wire::Octets(b)) => {
            let text = std::str::from_utf8(b).map_err(|_| "not UTF-8")?;
            if text.is_empty() { String::new() } else { format!("{text:?}") }
        }
        ("bytes", Wire::Octets([])) => String::new(),
        ("bytes", Wire::Octets(b)) => hex(b),
        ("Param", Wire::Octets(b)) => param(b)?,
        _ => return Ok(None),
    }))
}

/// As `"key"="value"`.
fn param(body: &[u8]) -> Result<String, Why> {
    let mut both = [String::new(), String::new()];
    let mut input = body;
    while !input.is_empty() {
        if let (number @ 1..=2, Wire::Octets(b)) = field(&mut input, MAX_GROUPS)? {
            both[number as usize - 1] = std::str::from_utf8(b).map_err(|_| "not UTF-8")?.to_owned();
        }
    }
    let [key, value] = both;
    Ok(format!("{key:?}={value:?}"))
}
