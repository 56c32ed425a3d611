//! A station of the native dialect: the core's client, and a book of its calls.

use super::{Client, Told};
use crate::sim::plan::Speech;
use crate::sim::words::{self, Heard, Token};
use chappe_core::client::{self, Event, Inbox, LostWhy, Memory, Options, Wish};
use chappe_core::id::StationId;
use chappe_core::model::{
    Answer, ClientToServer, Declare, Flag, Join, Leave, Letter, List, Params, Store, Watch, What,
};
use chappe_core::time::{Duration, Instant};
use std::collections::BTreeSet;

/// Memory of one client.
pub type Room = (Vec<u8>, Vec<u8>, Vec<client::Call>, Vec<u8>);

/// As much of it as a station needs.
pub fn room() -> Room {
    (vec![0; 16_384], vec![0; 1024], vec![Default::default(); 16], vec![0; 4096])
}

/// It.
pub(super) struct Native<'s> {
    client: client::Client<'s>,
    /// Its half frame.
    inbox: Inbox<'s>,
    /// The same for the book.
    partial: Vec<u8>,
    asked: Vec<u64>,
    /// Calls that are open.
    calls: BTreeSet<u32>,
    /// Calls that were answered on this connection.
    replied: BTreeSet<u32>,
    next_seq: u32,
    page: words::Page,
    /// The list that it reads, a page after the other.
    listed: Option<(u32, What, &'static str)>,
}

impl<'s> Native<'s> {
    /// It has no connection.
    pub(super) fn new(number: usize, room: &'s mut Room, now: Instant) -> Self {
        let (outbox, script, calls, inbox) = room;
        let memory = Memory { outbox, script, calls };
        let options = Options {
            name: "s",
            seed: number as u64 + 1,
            backoff_max: Duration::from_millis(1000),
            call_timeout: Duration::from_secs(100),
            ..Options::default()
        };
        Native {
            client: client::Client::new(memory, options, now),
            inbox: Inbox::new(inbox),
            partial: Vec::new(),
            asked: Vec::new(),
            calls: BTreeSet::new(),
            replied: BTreeSet::new(),
            next_seq: 0,
            page: words::Page::default(),
            listed: None,
        }
    }

    /// A number for a request whose outcome is told.
    fn seq(&mut self) -> u32 {
        self.next_seq = self.next_seq % 200 + 1;
        self.next_seq
    }
}

impl Client for Native<'_> {
    fn connected(&mut self, now: u64, _: StationId, _: &BTreeSet<(String, String)>) {
        self.partial.clear();
        self.asked.clear();
        self.replied.clear();
        self.inbox.clear();
        self.page = words::Page::default();
        self.listed = None;
        self.client.connected(Instant::from_millis(now));
    }

    fn disconnected(&mut self, now: u64) {
        self.partial.clear();
        self.asked.clear();
        self.client.disconnected(Instant::from_millis(now));
    }

    fn is_ready(&self) -> bool {
        self.client.is_ready()
    }

    fn tick(&mut self, now: u64) -> Result<(), String> {
        while let Some(event) = self.client.tick(Instant::from_millis(now)) {
            if let Event::Lost { seq, why } = event {
                self.calls.remove(&seq);
                if why == LostWhy::TimedOut && self.replied.contains(&seq) {
                    return Err(format!("D5: call {seq} is lost, and was answered"));
                }
            }
        }
        Ok(())
    }

    fn deadline(&self) -> Option<u64> {
        self.client.deadline().map(Instant::millis)
    }

    fn wish(&mut self, now: u64) -> Option<Wish> {
        Some(self.client.wish(Instant::from_millis(now)))
    }

    fn start(&mut self, now: u64) {
        self.client.start(Instant::from_millis(now));
    }

    fn output(&mut self) -> Vec<u8> {
        let bytes = self.client.output().to_vec();
        self.client.sent(bytes.len());
        bytes
    }

    fn input(&mut self, now: u64, bytes: &[u8]) -> Result<Vec<Told>, String> {
        let mut all = Vec::new();
        self.partial.extend_from_slice(bytes);
        while let Some(size) = words::frame_size(Speech::Native, &self.partial) {
            let frame: Vec<u8> = self.partial.drain(..size).collect();
            let (heard, ask_id) = match self.page.take(&frame)? {
                None => continue,
                Some(Heard::Other) => words::native_heard(&frame)?,
                Some(page) => (page, 0),
            };
            if let Heard::Page { seq, .. } | Heard::Outcome { seq, .. } = heard
                && let Some((_, what, name)) = self.listed.take_if(|(listed, ..)| *listed == seq)
                && matches!(heard, Heard::Page { more: true, .. })
            {
                let list = List { what, name, after: &self.page.next, ..List::default() };
                self.listed = self.client.list(Instant::from_millis(now), &list).ok().map(|seq| (seq, what, name));
            }
            if ask_id != 0 {
                self.asked.push(ask_id);
            }
            if let Heard::Reply { seq, station: 0, .. } = heard {
                self.calls.remove(&(seq as u32));
                self.replied.insert(seq as u32);
            }
            all.push((heard, (ask_id != 0).then_some((0, ask_id as i64))));
        }
        let mut input = bytes;
        loop {
            match self.inbox.take(&mut input) {
                Ok(Some(frame)) => _ = self.client.handle(Instant::from_millis(now), frame),
                Ok(None) => break,
                Err(e) => return Err(format!("the client gives up: {e:?}")),
            }
        }
        if self.client.counts().malformed > 0 {
            return Err("the client calls it malformed".into());
        }
        Ok(all)
    }

    fn join(&mut self, name: &str, instance: &str, exclusive: bool, _: bool) {
        let seq = self.seq();
        _ = self.client.join(&Join { seq, name, instance, exclusive });
    }

    fn leave(&mut self, name: &str, instance: &str) {
        let seq = self.seq();
        _ = self.client.leave(&Leave { seq, name, instance });
    }

    fn send(&mut self, now: u64, l: Letter<'_>, body: &str, _: Option<&str>) {
        let seq = if l.seq != 0 { self.seq() } else { 0 };
        if !l.ask {
            _ = self.client.send(&Letter { verb: "SET", body: body.as_bytes(), seq, ..l });
            return;
        }
        let params = [("q", body)];
        let letter = Letter { verb: "DO", params: Params::Listed(&params), seq: 0, ..l };
        let now = Instant::from_millis(now);
        if l.each {
            _ = self.client.request(now, &ClientToServer::Send(letter));
        } else if let Ok(seq) = self.client.call(now, &letter) {
            self.calls.insert(seq);
        }
    }

    fn answer(&mut self, which: usize, times: usize, body: &str) {
        if self.asked.is_empty() {
            return;
        }
        let ask_id = self.asked.remove(which % self.asked.len());
        for _ in 0..times {
            _ = self.client.answer(&Answer { ask_id, body: body.as_bytes(), ..Answer::default() });
        }
    }

    fn store(&mut self, now: u64, store: Store<'_>) {
        _ = self.client.store(Instant::from_millis(now), &store);
    }

    fn flush(&mut self, now: u64, _: Token) {
        _ = self.client.flush_values(Instant::from_millis(now));
    }

    fn watch(&mut self, watch: Watch<'_>) {
        _ = self.client.watch(&watch);
    }

    fn declare(&mut self, declare: Declare<'_>) {
        _ = self.client.declare(&declare);
    }

    fn flag(&mut self, now: u64, flag: Flag<'_>) {
        _ = self.client.flag(Instant::from_millis(now), &flag);
    }

    fn list(&mut self, now: u64, list: List<'static>) {
        if self.listed.is_none() {
            let seq = self.client.list(Instant::from_millis(now), &list);
            self.listed = seq.ok().map(|seq| (seq, list.what, list.name));
        }
    }

    fn goodbye(&mut self, now: u64) {
        self.client.goodbye(Instant::from_millis(now));
    }

    fn open_calls(&self) -> usize {
        self.calls.len()
    }
}
