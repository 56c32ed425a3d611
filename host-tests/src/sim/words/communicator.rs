//! The Communicator, as said and as heard: lines, read by this crate's own reader of its messages.

use super::{Heard, Said, Token, token};
use crate::communicator::message::{Message, trim};
use chappe_core::model::Code;

/// Numbers of questions are this much larger where clients see them.
const ASKED: i64 = 1 << 31;

/// The service that the server is itself.
pub const DAEMON: &str = "communicatord";

/// The service of a name of the bus.
pub fn service_of(name: &str) -> String {
    let legal = |at: usize, b: u8| b.is_ascii_alphabetic() || b == b'_' || (at > 0 && b.is_ascii_digit());
    let write = |(at, b): (usize, u8)| if legal(at, b) { (b as char).to_string() } else { format!("_x{b:02x}_") };
    name.bytes().enumerate().map(write).collect()
}

/// The name of the bus of a service.
pub fn name_of(service: &str) -> String {
    let (mut name, mut left) = (String::new(), service);
    while let Some(c) = left.chars().next() {
        let hex = left.strip_prefix("_x").and_then(|rest| rest.get(..3)).and_then(|hex| hex.strip_suffix('_'));
        match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(b) => {
                name.push(b as char);
                left = &left[5..];
            }
            None => {
                name.push(c);
                left = &left[c.len_utf8()..];
            }
        }
    }
    name
}

/// The number of the message in a line.
///
/// # Errors
/// If not all of it is there.
pub fn token_of(m: &Message) -> Result<Option<Token>, String> {
    let text = ["body", "value", "q"].iter().find_map(|key| m.params.get(*key));
    text.map_or(Ok(None), |text| token(text))
}

/// The node's number of the question that a line repeats.
pub fn question_in(m: &Message) -> Option<i64> {
    m.get("reply_to")?.parse::<i64>().ok().filter(|n| *n >= ASKED).map(|n| n - ASKED)
}

/// What a line from a station says.
pub(super) fn communicator_said(line: &[u8]) -> Said {
    if trim(line).is_empty() {
        return Said::Other;
    }
    match Message::read(line) {
        Ok(message) => Said::Line { message: Box::new(message), question: None },
        Err(_) => Said::NoMessage,
    }
}

/// The name on the bus that a message is for. Empty: it is for who hears it.
fn about(m: &Message) -> String {
    let is_signal = matches!(m.command.as_str(), "SET" | "NOTIFY");
    match m.get("name").filter(|_| is_signal) {
        Some(name) => name,
        None if matches!(m.service.as_str(), "." | "?" | "*") => format!("./{}", m.command),
        // an address is no name
        None if m.service.starts_with("_s") => String::new(),
        None => name_of(&m.service),
    }
}

/// A line of the server's own, without what is for people and what only clocks know.
fn own(m: &Message) -> String {
    let service = m.get("service").unwrap_or_default();
    let since = |key: &str| if m.params.contains_key(key) { format!(" {key}") } else { String::new() };
    match m.command.as_str() {
        "STATUS" => {
            let status = m.get("status").unwrap_or_default();
            format!("STATUS {service} {status}{}{}", since("up_since"), since("down_since"))
        }
        "SERVICES" => {
            let list = m.get("list").unwrap_or_default();
            let mut list: Vec<&str> = list.split(',').filter(|s| !s.is_empty()).collect();
            list.sort();
            format!("SERVICES {} {}", m.get("count").unwrap_or_default(), list.join(","))
        }
        "COMMANDS" => "COMMANDS".into(),
        command => {
            let of_others = |key: &str| !matches!(key, "message" | "reply_timestamp");
            let params: Vec<String> = m
                .params
                .keys()
                .filter(|key| of_others(key))
                .filter_map(|key| Some(format!(" {key}={}", m.get(key)?)))
                .collect();
            format!("{command}{}", params.concat())
        }
    }
}

/// What a line from a node says; of a question also its number at the node.
///
/// # Errors
/// If it is no message, or has half of one.
pub fn communicator_heard(m: &Message) -> Result<(Heard, Option<i64>), String> {
    let number = m.get("reply_to").map(|n| n.parse::<i64>().map_err(|_| format!("no number: {m}"))).transpose()?;
    let token = token_of(m)?;
    if let Some(seq) = number.filter(|n| *n < ASKED) {
        let failed = matches!(m.command.as_str(), "UNKNOWN" | "INVALID").then_some(Code::Failed);
        let code = m.get("code").and_then(|n| n.parse().ok()).map(Code::from_number);
        return Ok((Heard::Reply { seq, station: 0, token, code: failed.or(code).unwrap_or(Code::Ok) }, None));
    }
    // what has waited since before a crash is from nobody who is there, and so from the node
    let has_waited = token.is_some() && !m.service.is_empty();
    if m.from.1 == DAEMON && !has_waited {
        let is_last = m.command == "INVALID" && !m.params.contains_key("command");
        let failed = Heard::Outcome { seq: 0, code: Code::Failed, count: 0 };
        return Ok((if is_last { failed } else { Heard::Line(own(m)) }, None));
    }
    let Some(token) = token else { return Ok((Heard::Other, None)) };
    Ok((Heard::Letter { token, name: about(m), ask: number.is_some() }, number.map(|n| n - ASKED)))
}
