//! MSGQ, as said and as heard.

use super::{Heard, Said, Sent, To, instance_of, name_in, token};
use crate::msgq::Frame;
use crate::sim::plan::NOTICES;
use crate::sim::station::address;
use chappe_core::model::{Change, Code};

pub(super) fn msgq_said(f: &Frame, number: impl Fn(&str) -> u64) -> Result<Said, String> {
    let (group, instance) = (f.text_of("group").to_string(), instance_of(f.text_of("instance")));
    let seq = f.header["seq"].as_i64().unwrap_or(0);
    Ok(match f.text_of("type") {
        "getlname" => Said::Hello,
        "subscribe" => Said::Join { seq: 0, name: group, instance, exclusive: false },
        "unsubscribe" => Said::Leave { seq: 0, name: group, instance },
        "send" => {
            if let Some(reply) = f.header.get("reply").and_then(|r| r.as_i64()) {
                let to = Some((number(f.text_of("to")), reply));
                return Ok(Said::Answer { ask_id: 0, token: token(&f.body)?, ok: true, to });
            }
            let to = match f.text_of("to") {
                "" | "*" => To::Name,
                lname => To::Station(number(lname)),
            };
            let ask = f.header["want_answer"] == serde_json::Value::Bool(true);
            let (each, keep, ttl) = (false, false, 0);
            Said::Send(Sent {
                to,
                name: group,
                instance,
                verb: false,
                token: token(&f.body)?,
                seq,
                ask,
                each,
                keep,
                ttl,
            })
        }
        _ => Said::Other,
    })
}

/// What a notification says.
fn notice(body: &serde_json::Value) -> Result<Heard, String> {
    let all = &body["notification"];
    let change = match all[0].as_str() {
        Some("connected") => Change::Connected,
        Some("disconnected") => Change::Disconnected,
        Some("subscribed") => Change::Joined,
        Some("unsubscribed") => Change::Left,
        _ => return Err(format!("no notification: {body}")),
    };
    let station = address(all[1]["client"].as_str().unwrap_or_default());
    let name = all[1]["group"].as_str().unwrap_or_default().to_string();
    Ok(Heard::Notice { change, station, name })
}

/// What a frame of MSGQ from a node says.
///
/// # Errors
/// If it has half of a message.
pub fn msgq_heard(f: &Frame) -> Result<Heard, String> {
    if f.text_of("type") == "getlname" {
        return Ok(Heard::Welcome);
    }
    if let Some(seq) = f.header.get("reply").and_then(|r| r.as_i64()) {
        let result = &f.json()["result"][0];
        let code = match result.as_i64() {
            Some(0) => Code::Ok,
            _ => Code::Failed,
        };
        return Ok(Heard::Reply { seq, station: 0, token: token(&f.body)?, code });
    }
    if f.text_of("group") == NOTICES && f.text_of("from").contains("_0@") {
        return notice(&f.json());
    }
    let Some(token) = token(&f.body)? else { return Ok(Heard::Other) };
    let ask = f.header["want_answer"] == serde_json::Value::Bool(true);
    Ok(Heard::Letter { token, name: name_in(f.text_of("group")).into(), ask })
}
