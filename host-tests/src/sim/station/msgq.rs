//! A station of MSGQ: a strict client, as the originals are.

use super::{Client, Told, address};
use crate::msgq::{Frame, Talker, frame, header};
use crate::sim::words::{self, Heard};
use chappe_core::id::StationId;
use chappe_core::model::Letter;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// It.
#[derive(Default)]
pub(super) struct Msgq {
    talker: Talker,
    up: bool,
    /// Questions that wait for its answer.
    asked: Vec<Frame>,
    /// Octets to be sent.
    out: Vec<u8>,
}

impl Msgq {
    fn say(&mut self, members: &Value, body: &[u8]) {
        self.out.extend(frame(&header(members), body));
    }
}

impl Client for Msgq {
    fn connected(&mut self, _: u64, id: StationId, joined: &BTreeSet<(String, String)>) {
        *self = Msgq { talker: Talker::new(id), up: true, ..Msgq::default() };
        self.say(&json!({"type": "getlname"}), b"");
        for (group, instance) in joined {
            self.say(&json!({"type": "subscribe", "group": group, "instance": instance}), b"");
        }
    }

    fn disconnected(&mut self, _: u64) {
        self.up = false;
        self.out.clear();
        self.asked.clear();
    }

    fn is_ready(&self) -> bool {
        self.up && !self.talker.lname.is_empty()
    }

    fn output(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.out)
    }

    fn input(&mut self, _: u64, bytes: &[u8]) -> Result<Vec<Told>, String> {
        let mut all = Vec::new();
        self.talker.take(bytes);
        for f in std::mem::take(&mut self.talker.heard) {
            let heard = words::msgq_heard(&f)?;
            let is_question = matches!(heard, Heard::Letter { ask: true, .. });
            let number = is_question.then(|| (address(f.text_of("from")), f.header["seq"].as_i64().unwrap_or(0)));
            all.push((heard, number));
            if is_question {
                self.asked.push(f);
            }
        }
        Ok(all)
    }

    fn join(&mut self, group: &str, instance: &str, _: bool, _: bool) {
        if self.up {
            self.say(&json!({"type": "subscribe", "group": group, "instance": instance}), b"");
        }
    }

    fn leave(&mut self, group: &str, instance: &str) {
        self.say(&json!({"type": "unsubscribe", "group": group, "instance": instance}), b"");
    }

    fn send(&mut self, _: u64, l: Letter<'_>, body: &str, to: Option<&str>) {
        self.talker.seq += 1;
        let to = to.unwrap_or("*");
        let members = json!({"type": "send", "from": self.talker.lname, "to": to, "group": l.name,
            "instance": l.instance, "seq": self.talker.seq, "want_answer": l.ask});
        let command = match l.ask {
            true => json!({"command": ["DO", {"q": body}]}),
            false => json!({"command": ["SET", {"name": l.name, "value": body}]}),
        };
        self.say(&members, command.to_string().as_bytes());
    }

    fn answer(&mut self, which: usize, times: usize, body: &str) {
        if self.asked.is_empty() {
            return;
        }
        let f = self.asked.remove(which % self.asked.len());
        for _ in 0..times {
            self.talker.seq += 1;
            let members = json!({"type": "send", "from": self.talker.lname, "to": f.header["from"],
                "group": f.header["group"], "instance": f.header["instance"], "seq": self.talker.seq,
                "reply": f.header["seq"]});
            let body = json!({"result": [0, body]});
            self.say(&members, body.to_string().as_bytes());
        }
    }

    fn lname(&self) -> Option<&str> {
        Some(&self.talker.lname)
    }
}
