//! The native dialect, as said and as heard: its frames are read by the core's definition of messages.

use super::{Flag, Heard, Row, Said, Sent, Table, To, Token, instance_of, name_in, token};
use chappe_core::model::{ClientToServer, Code, Item, Letter, ServerToClient, StoreOp, What};

/// The token of a native letter: in its body, or in a parameter.
pub(super) fn letter_token(l: &Letter<'_>) -> Result<Option<Token>, String> {
    match ["q", "body", "value"].iter().find_map(|key| l.params.get(key)) {
        Some(q) => token(q.as_bytes()),
        None => token(l.body),
    }
}

/// The table of a list that the model knows.
fn table(what: What) -> Option<Table> {
    Some(match what {
        What::Stations => Table::Stations,
        What::Names => Table::Names,
        What::Members => Table::Members,
        What::Values => Table::Values,
        What::Flags => Table::Flags,
        _ => return None,
    })
}

/// The row of a list.
fn row(i: &Item<'_>) -> Option<Row> {
    let name = i.name.to_string();
    Some(match table(i.what)? {
        Table::Stations => Row::Station { station: i.station, dialect: i.text.into(), joins: i.count },
        Table::Names => Row::Name { name, members: i.count, exclusive: i.exclusive, declared: i.manual },
        Table::Members => Row::Member { station: i.station, instance: instance_of(i.instance), exclusive: i.exclusive },
        Table::Values | Table::Keys => Row::Value { name, value: i.value.to_vec() },
        Table::Flags => Row::Flag(Flag {
            name,
            description: i.text.into(),
            priority: i.count as u32,
            tags: i.tags.into(),
            manual: i.manual,
            station: i.station,
        }),
    })
}

/// What a list has shown of a page: its rows, and the number of the request.
#[derive(Debug, Default)]
pub struct Page {
    seq: u32,
    rows: Vec<Row>,
    /// Where to go on, once it has ended and is not the last.
    pub next: String,
}

impl Page {
    /// Puts the rows of a page and the outcome that ends it together. `None`: it goes on.
    ///
    /// # Errors
    /// If it says otherwise how many rows it has, or something else comes in between.
    pub fn take(&mut self, frame: &[u8]) -> Result<Option<Heard>, String> {
        let said = ServerToClient::read(frame.get(4..).unwrap_or_default()).map(|(said, _)| said);
        match said {
            Ok(ServerToClient::Item(i)) if frame[0] == 2 => {
                if !self.rows.is_empty() && self.seq != i.seq {
                    return Err(format!("a row of list {} among those of list {}", i.seq, self.seq));
                }
                self.seq = i.seq;
                self.rows.extend(row(&i));
                Ok(None)
            }
            Ok(ServerToClient::Outcome(o)) if frame[0] == 2 && o.seq == self.seq && !self.rows.is_empty() => {
                let rows = std::mem::take(&mut self.rows);
                self.next = o.next.into();
                if o.count as usize != rows.len() {
                    return Err(format!("{} rows, and it says {}", rows.len(), o.count));
                }
                Ok(Some(Heard::Page { seq: o.seq, rows, more: !o.next.is_empty() }))
            }
            Ok(ServerToClient::Outcome(o)) if frame[0] == 2 && !o.next.is_empty() => {
                self.next = o.next.into();
                Ok(Some(Heard::Page { seq: o.seq, rows: Vec::new(), more: true }))
            }
            _ if self.rows.is_empty() => Ok(Some(Heard::Other)),
            said => Err(format!("{said:?} comes between the rows of a list")),
        }
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
                verb: false,
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
            Said::Watch { seq: w.seq, stations: w.stations, members: w.members, flags: w.flags, name: w.name.into() }
        }
        ClientToServer::Flag(f) => {
            let flag = Flag {
                name: format!("{}/{}/{}", f.unit, f.section, f.name),
                description: f.description.into(),
                priority: f.priority,
                tags: f.tags.into(),
                manual: f.manual_down,
                station: 0,
            };
            Said::Flag { seq: f.seq, raise: f.raise, by_hand: f.by_hand, flag }
        }
        ClientToServer::List(l) => match table(l.what) {
            Some(what) => Said::List { seq: l.seq, what, name: l.name.into(), first: l.after.is_empty() },
            None => Said::Other,
        },
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
            let name = if l.station != 0 || l.everyone { String::new() } else { name_in(l.name).into() };
            return Ok((Heard::Letter { token, name, ask: l.ask_id != 0 }, l.ask_id));
        }
        ServerToClient::Reply(a) => {
            // what was a signal, and is taken for the answer, has it in a parameter
            let text = a.params.get("value").map_or(a.body, str::as_bytes);
            Heard::Reply { seq: a.seq.into(), station: a.station, token: token(text)?, code: a.code }
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
        ServerToClient::FlagChange(f) => Heard::FlagChange {
            raised: f.raised,
            flag: Flag {
                name: f.name.into(),
                description: f.description.into(),
                priority: f.priority,
                tags: f.tags.into(),
                manual: f.manual_down,
                station: f.station,
            },
        },
        // rows of lists are put together by `Page`
        ServerToClient::Item(_) | ServerToClient::Seen(_) => Heard::Other,
    };
    Ok((heard, 0))
}
