//! The native dialect, as said and as heard: its frames are read by the core's definition of messages.

use super::{Heard, Said, Sent, To, Token, instance_of, token};
use chappe_core::model::{ClientToServer, Code, Letter, ServerToClient, StoreOp};

/// The token of a native letter: in its body, or in a parameter.
pub(super) fn letter_token(l: &Letter<'_>) -> Result<Option<Token>, String> {
    match l.params.get("q") {
        Some(q) => token(q.as_bytes()),
        None => token(l.body),
    }
}

pub(super) fn native_said(frame: &[u8]) -> Result<Said, String> {
    if frame[0] != 1 {
        return Ok(Said::Other);
    }
    let (said, _) = ClientToServer::read(&frame[4..]).map_err(|e| format!("a client says {e:?}"))?;
    Ok(match said {
        ClientToServer::Hello(_) => Said::Hello,
        ClientToServer::Join(j) => {
            Said::Join { seq: j.seq, name: j.name.into(), instance: instance_of(j.instance), exclusive: j.exclusive }
        }
        ClientToServer::Leave(l) => Said::Leave { seq: l.seq, name: l.name.into(), instance: instance_of(l.instance) },
        ClientToServer::Send(l) => {
            let to = match (l.station, l.everyone) {
                (0, false) => To::Name,
                (0, true) => To::Everyone,
                (station, _) => To::Station(station),
            };
            Said::Send(Sent {
                to,
                name: l.name.into(),
                instance: instance_of(l.instance),
                token: letter_token(&l)?,
                seq: l.seq.into(),
                ask: l.ask,
                each: l.each,
                keep: l.keep,
                ttl: l.ttl_ms.into(),
            })
        }
        ClientToServer::Answer(a) => {
            Said::Answer { ask_id: a.ask_id, token: token(a.body)?, ok: a.code == Code::Ok, to: None }
        }
        ClientToServer::Store(s) => {
            let (seq, key) = (s.seq, s.name.to_string());
            match s.op {
                StoreOp::Set => Said::Set { seq, key, value: s.value.to_vec(), announce: s.announce },
                StoreOp::Get => Said::Get { seq, key },
                StoreOp::Remove => Said::Remove { seq, key },
                StoreOp::Add => Said::Add { seq, key, amount: s.amount, announce: s.announce },
                StoreOp::Flush => Said::Flush { seq, text: String::new() },
                StoreOp::Unknown(_) => Said::Other,
            }
        }
        ClientToServer::Watch(w) => {
            Said::Watch { seq: w.seq, stations: w.stations, members: w.members, name: w.name.into() }
        }
        ClientToServer::Declare(d) => Said::Declare { seq: d.seq, name: d.name.into(), forget: d.forget },
        ClientToServer::Goodbye(g) => Said::Goodbye { seq: g.seq },
        _ => Said::Other,
    })
}

/// What a native frame from a node says, and the number of a question that it asks.
///
/// # Errors
/// If it is none that a node may say.
pub fn native_heard(frame: &[u8]) -> Result<(Heard, u64), String> {
    match frame[0] {
        2 => {}
        4 if frame.len() == 4 => return Ok((Heard::Other, 0)),
        kind => return Err(format!("a frame of kind {kind}, {} octets", frame.len())),
    }
    let (said, _) = ServerToClient::read(&frame[4..]).map_err(|e| format!("the node says {e:?}"))?;
    let heard = match said {
        ServerToClient::Welcome(_) => Heard::Welcome,
        ServerToClient::Message(l) => {
            let Some(token) = letter_token(&l)? else { return Ok((Heard::Other, 0)) };
            let name = if l.station != 0 || l.everyone { String::new() } else { l.name.into() };
            return Ok((Heard::Letter { token, name, ask: l.ask_id != 0 }, l.ask_id));
        }
        ServerToClient::Reply(a) => {
            Heard::Reply { seq: a.seq.into(), station: a.station, token: token(a.body)?, code: a.code }
        }
        ServerToClient::Outcome(o) => Heard::Outcome { seq: o.seq, code: o.code, count: o.count },
        ServerToClient::Value(v) => Heard::Value { seq: v.seq, value: v.value.to_vec() },
        ServerToClient::Presence(p) => Heard::Presence {
            change: p.change,
            station: p.station,
            name: p.name.into(),
            instance: if p.name.is_empty() { String::new() } else { instance_of(p.instance) },
        },
        ServerToClient::Closing(_) => Heard::Other,
        ServerToClient::Nothing => return Err("the node says nothing, in a frame".into()),
        ServerToClient::Item(_) | ServerToClient::FlagChange(_) | ServerToClient::Seen(_) => Heard::Other,
    };
    Ok((heard, 0))
}
