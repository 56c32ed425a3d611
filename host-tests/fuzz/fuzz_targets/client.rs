//! A client against a hostile node: any bytes, any time, any order of connecting and losing.
//! It must not panic, must not ask for the impossible, and every call ends exactly once.
#![no_main]

use chappe_core::client::{Call, Client, Event, Inbox, Memory, Options, Wish};
use chappe_core::dialect::messi::repr::{Answer, Join, Letter, Outcome, ServerToClient, Welcome};
use chappe_core::dialect::messi::wire::Writer;
use chappe_core::time::{Duration, Instant};
use libfuzzer_sys::fuzz_target;
use std::collections::HashSet;

fn frame(message: &ServerToClient<'_>) -> Vec<u8> {
    let mut bytes = vec![0; 4 + message.len()];
    bytes[..4].copy_from_slice(&[2, 0, (message.len() >> 8) as u8, message.len() as u8]);
    message.write(&mut Writer::new(&mut bytes[4..]));
    bytes
}

struct Station<'b> {
    client: Client<'b>,
    inbox: Inbox<'b>,
    open: HashSet<u32>,
    now: Instant,
}

impl Station<'_> {
    fn hear(&mut self, mut bytes: &[u8]) {
        loop {
            match self.inbox.take(&mut bytes) {
                Ok(Some(frame)) => {
                    if let Some(event) = self.client.handle(self.now, frame) {
                        note(&mut self.open, &event);
                    }
                }
                Ok(None) => break,
                Err(_) => {
                    self.client.hopeless();
                    break;
                }
            }
        }
    }

    fn tick(&mut self) {
        for turn in 0.. {
            assert!(turn < 100, "events without end");
            let Some(event) = self.client.tick(self.now) else { break };
            note(&mut self.open, &event);
        }
    }
}

fn note(open: &mut HashSet<u32>, event: &Event<'_>) {
    match event {
        // one of the many to a question to each takes no place among the calls
        Event::Reply(a) if a.station != 0 => {}
        Event::Reply(a) => assert!(open.remove(&a.seq), "a reply to no open call"),
        Event::Lost { seq, .. } => assert!(open.remove(seq), "lost twice"),
        _ => {}
    }
}

fuzz_target!(|data: &[u8]| {
    let (mut outbox, mut script, mut calls, mut buf) = ([0; 512], [0; 128], [Call::default(); 4], [0; 256]);
    let memory = Memory { outbox: &mut outbox, script: &mut script, calls: &mut calls };
    let now = Instant::from_millis(1);
    let options = Options { name: "f", silence: Duration::from_secs(3), ..Options::default() };
    let client = Client::new(memory, options, now);
    let mut s = Station { client, inbox: Inbox::new(&mut buf), open: HashSet::new(), now };
    let (mut up, mut last) = (false, 0);
    let mut input = data;
    while let [op, arg, rest @ ..] = input {
        input = rest;
        match op % 10 {
            0 => {
                if s.client.wish(s.now) == Wish::Connect && !up {
                    s.inbox.clear();
                    s.client.connected(s.now);
                    up = true;
                    let welcome =
                        Welcome { seq: *arg as u32, station: 9, silence_ms: (*arg as u32) << 4, ..Welcome::default() };
                    if arg & 1 != 0 {
                        s.hear(&frame(&welcome.into()));
                    }
                }
            }
            1..=3 => {
                let (bytes, more) = rest.split_at((*arg as usize).min(rest.len()));
                input = more;
                if up {
                    if op % 10 < 3 {
                        s.hear(&[2, 0, 0, bytes.len() as u8]);
                    }
                    s.hear(bytes);
                }
            }
            4 => {
                if let Ok(seq) =
                    s.client.call(s.now, &Letter { name: "n", ttl_ms: *arg as u32 * 16, ..Letter::default() })
                {
                    assert!(s.open.insert(seq), "a number that is still open");
                    last = seq;
                }
            }
            5 => {
                if up {
                    let seq = if arg & 1 != 0 { last } else { *arg as u32 };
                    let reply = match arg & 6 {
                        0 => ServerToClient::Outcome(Outcome { seq, ..Outcome::default() }),
                        _ => ServerToClient::Reply(Answer { seq, ..Answer::default() }),
                    };
                    s.hear(&frame(&reply));
                }
            }
            6 => {
                s.now = match s.client.deadline() {
                    Some(d) if arg & 1 != 0 => s.now.max(d),
                    _ => s.now + Duration::from_millis((*arg as u32) << (op / 20)),
                };
            }
            7 => {
                let n = s.client.output().len().min(*arg as usize);
                s.client.sent(n);
            }
            8 => {
                let name = ["a", "b::*", "c"][*arg as usize % 3];
                let _ = s.client.join(&Join { name, ..Join::default() });
                let _ = s.client.send(&Letter { name, body: &[*arg; 30], ..Letter::default() });
            }
            _ => {
                match arg % 8 {
                    0 => s.client.goodbye(s.now),
                    1 => s.client.start(s.now),
                    _ => {}
                }
                if up {
                    up = false;
                    s.client.disconnected(s.now);
                }
            }
        }
        s.tick();
        if matches!(s.client.wish(s.now), Wish::Close | Wish::Stop) && up {
            up = false;
            s.client.disconnected(s.now);
            s.tick();
        }
        assert!(s.client.is_ready() <= up, "ready without a connection");
    }
    // every call ends, at the latest with its connection
    s.client.disconnected(s.now);
    s.tick();
    assert!(s.open.is_empty(), "calls that never end: {:?}", s.open);
});
