//! A station of Clacks: a strict client, as the originals are, that says `PING` from time to time.

use super::{Client, Told};
use crate::clacks::users::User;
use crate::clacks::wire::Wire;
use crate::sim::words::{self, Token};
use chappe_core::id::StationId;
use chappe_core::model::{Letter, List, Store, StoreOp};
use std::collections::BTreeSet;

/// It.
#[derive(Default)]
pub(super) struct Clacks {
    wire: Wire,
    up: bool,
    ping_at: u64,
    /// Octets to be sent.
    out: Vec<u8>,
    keys: words::Keys,
}

impl Clacks {
    fn line(&mut self, line: &str) {
        self.out.extend_from_slice(line.as_bytes());
        self.out.extend_from_slice(b"\r\n");
    }
}

impl Client for Clacks {
    fn connected(&mut self, now: u64, id: StationId, joined: &BTreeSet<(String, String)>) {
        *self = Clacks { wire: Wire::new(id, false), up: true, ping_at: now + 50_000, ..Clacks::default() };
        self.line("CLACKS s");
        self.line(&User::Main.line());
        for (name, _) in joined {
            self.line(&format!("LISTEN {name}"));
        }
    }

    fn disconnected(&mut self, _: u64) {
        self.up = false;
        self.out.clear();
    }

    fn is_ready(&self) -> bool {
        self.up && self.wire.count >= 3
    }

    fn tick(&mut self, now: u64) -> Result<(), String> {
        if self.up && self.ping_at <= now {
            self.ping_at = now + 50_000;
            self.line("PING");
        }
        Ok(())
    }

    fn deadline(&self) -> Option<u64> {
        self.up.then_some(self.ping_at)
    }

    fn output(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.out)
    }

    fn input(&mut self, _: u64, bytes: &[u8]) -> Result<Vec<Told>, String> {
        self.wire.take(bytes);
        self.wire.bytes.clear();
        let lines = std::mem::take(&mut self.wire.lines);
        let heard = lines.iter().map(|line| self.keys.take(line));
        heard.filter_map(|heard| Some((heard.transpose()?, None))).map(|(heard, number)| Ok((heard?, number))).collect()
    }

    fn join(&mut self, name: &str, _: &str, _: bool, is_new: bool) {
        if self.up && is_new {
            self.line(&format!("LISTEN {name}"));
        }
    }

    fn leave(&mut self, name: &str, _: &str) {
        self.line(&format!("UNLISTEN {name}"));
    }

    fn send(&mut self, _: u64, l: Letter<'_>, body: &str, _: Option<&str>) {
        if l.ask || l.station != 0 || l.everyone || l.keep || l.instance == "i" {
            return;
        }
        match l.name.strip_prefix("./") {
            // names of commands look as if they addressed a verb: so it says which
            Some(command) => self.line(&format!("SET {}/{command}={body}", l.name)),
            None => self.line(&format!("SET {}={body}", l.name)),
        }
    }

    fn store(&mut self, _: u64, store: Store<'_>) {
        let (key, value) = (store.name, String::from_utf8_lossy(store.value));
        let line = match store.op {
            StoreOp::Set if store.announce => format!("SETANDSTORE {key}={value}"),
            StoreOp::Set => format!("STORE {key}={value}"),
            StoreOp::Get => format!("RETRIEVE {key}"),
            StoreOp::Remove => format!("REMOVE {key}"),
            _ => format!("INCREMENT {key}={}", store.amount),
        };
        self.line(&line);
    }

    fn flush(&mut self, _: u64, token: Token) {
        self.line(&format!("FLUSH {token}"));
    }

    fn list(&mut self, _: u64, _: List<'static>) {
        self.line("KEYLIST");
    }

    fn clear(&mut self) {
        self.line("CLEARCACHE");
    }

    fn goodbye(&mut self, _: u64) {
        self.line("QUIT");
    }
}
