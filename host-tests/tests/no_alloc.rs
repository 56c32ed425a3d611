//! The core never allocates: a global allocator that aborts as soon as the router and the
//! clients are built, and a whole scenario under it.
//!
//! One test only, in a process of its own: the allocator is everybody's.

use chappe_core::client::{Call, Client, Event, Inbox, Memory, Options};
use chappe_core::model::{Answer, Declare, Flag, Join, Letter, List, Params, Store, StoreOp, Watch, What};
use chappe_core::router::{Action, Newcomer, Open, Router, Settings};
use chappe_core::storage::Storage;
use chappe_core::time::{Duration, Instant};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

struct Strict;

thread_local! {
    /// Whether this thread may allocate: the test harness has threads of its own.
    static FORBIDDEN: Cell<bool> = const { Cell::new(false) };
}

fn guard() {
    if FORBIDDEN.get() {
        FORBIDDEN.set(false);
        eprintln!("an allocation in the core");
        std::process::abort();
    }
}

// SAFETY: everything is passed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Strict {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        guard();
        // SAFETY: the caller's promises are those of `System`.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        guard();
        // SAFETY: as above; `ptr` came from `System`.
        unsafe { System.dealloc(ptr, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Strict = Strict;

static OPEN: Open = Open;

/// Outbox, script, inbox and calls of a client.
type Buffers = ([u8; 2048], [u8; 512], [u8; 1024], [Call; 8]);

#[derive(Default)]
struct Heard {
    messages: u32,
    replies: u32,
    values: u32,
    items: u32,
    presence: u32,
    flags: u32,
    bad: u32,
}

struct Node<'s, 'b> {
    router: Router<'s>,
    clients: [(Client<'b>, Inbox<'b>, Option<chappe_core::id::StationId>); 2],
    now: Instant,
    heard: Heard,
}

impl Node<'_, '_> {
    fn drive(&mut self) {
        for _ in 0..50 {
            for (client, inbox, id) in &mut self.clients {
                while let Some(event) = client.tick(self.now) {
                    note(&mut self.heard, &event);
                }
                if id.is_none() {
                    *id = self.router.admit(self.now, Newcomer::default()).ok();
                    inbox.clear();
                    client.connected(self.now);
                }
                if let Some(id) = *id {
                    // in uneven pieces, so that half frames are kept
                    while !client.output().is_empty() {
                        let n = client.output().len().min(13);
                        let taken = self.router.receive(self.now, id, &client.output()[..n]);
                        client.sent(taken);
                        if taken < n {
                            break;
                        }
                    }
                }
            }
            while let Some(action) = self.router.next_action(self.now) {
                let Action::Write(id) = action else { continue };
                let mut question = None;
                let mut n = 0;
                for (client, inbox, _) in self.clients.iter_mut().filter(|c| c.2 == Some(id)) {
                    let mut buf = [0; 64];
                    for (to, from) in buf.iter_mut().zip(self.router.output(id).flatten()) {
                        *to = *from;
                        n += 1;
                    }
                    let mut input = &buf[..n];
                    while let Ok(Some(frame)) = inbox.take(&mut input) {
                        if let Some(event) = client.handle(self.now, frame) {
                            note(&mut self.heard, &event);
                            if let Event::Message(Letter { ask_id: ask_id @ 1.., .. }) = event {
                                question = Some(ask_id);
                            }
                        }
                    }
                    if let Some(ask_id) = question {
                        let answer = Answer { ask_id, body: b"42", ..Answer::default() };
                        self.heard.bad += client.answer(&answer).is_err() as u32;
                    }
                }
                self.router.sent(self.now, id, n);
                self.router.writable(self.now, id);
            }
        }
    }
}

fn note(heard: &mut Heard, event: &Event<'_>) {
    match event {
        Event::Message(_) => heard.messages += 1,
        Event::Reply(a) => heard.replies += (a.body == b"42") as u32,
        Event::Value(_) => heard.values += 1,
        Event::Item(_) => heard.items += 1,
        Event::Presence(_) => heard.presence += 1,
        Event::FlagChange(_) => heard.flags += 1,
        _ => {}
    }
}

#[test]
fn a_whole_scenario_without_a_single_allocation() {
    let mut storage = Box::new(<Storage>::new());
    let router = storage.router(Settings::new("n", "0", &OPEN), Instant::ZERO).unwrap();
    let mut buffers: [Buffers; 2] = std::array::from_fn(|_| ([0; 2048], [0; 512], [0; 1024], [Call::default(); 8]));
    let clients = buffers.each_mut().map(|(outbox, script, inbox, calls)| {
        let memory = Memory { outbox, script, calls };
        let options = Options { name: "c", ..Options::default() };
        (Client::new(memory, options, Instant::ZERO), Inbox::new(inbox), None)
    });
    let mut node = Node { router, clients, now: Instant::from_millis(1), heard: Heard::default() };

    FORBIDDEN.set(true);
    node.drive();
    let mut bad = 0;
    for i in 0..200 {
        node.now = node.now + Duration::from_millis(100);
        node.router.tick(node.now);
        let now = node.now;
        if i == 0 {
            let [(a, ..), (b, ..)] = &mut node.clients;
            bad += b.join(&Join { name: "s", ..Join::default() }).is_err() as u32;
            bad += b.join(&Join { name: "x::*", ..Join::default() }).is_err() as u32;
            bad += a.declare(&Declare { name: "box", ..Declare::default() }).is_err() as u32;
            bad += a.watch(&Watch { members: true, flags: true, ..Watch::default() }).is_err() as u32;
            node.drive();
        }
        let a = &mut node.clients[0].0;
        let params = [("k", "v")];
        let letter =
            Letter { name: "x::y", verb: "SET", body: b"1", params: Params::Listed(&params), ..Letter::default() };
        bad += a.send(&letter).is_err() as u32;
        bad += a.send(&Letter { name: "box", keep: true, ttl_ms: 100, ..letter }).is_err() as u32;
        bad += a.call(now, &Letter { name: "s", verb: "DO", ..Letter::default() }).is_err() as u32;
        bad += a.store(now, &Store { op: StoreOp::Add, name: "v", amount: 1, ..Store::default() }).is_err() as u32;
        if i % 20 == 0 {
            let raise = i % 40 == 0;
            let flag = Flag { raise, unit: "u", section: "s", name: "n", ..Flag::default() };
            bad += a.flag(now, &flag).is_err() as u32;
            for what in [What::Names, What::Values, What::Counters, What::Flags, What::Stations, What::Status] {
                node.drive();
                let list = List { what, ..List::default() };
                bad += node.clients[0].0.list(node.now, &list).is_err() as u32;
            }
        }
        node.drive();
    }
    let checked = node.router.check();
    FORBIDDEN.set(false);

    assert_eq!(checked, Ok(()));
    assert_eq!(bad + node.heard.bad, 0, "requests that the clients would not take");
    let h = &node.heard;
    assert_eq!((h.messages, h.replies, h.values), (400, 200, 200));
    assert_eq!((h.flags, h.presence), (10, 2));
    assert!(h.items > 300, "{}", h.items);
}
