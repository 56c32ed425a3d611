//! The core never allocates: a global allocator that aborts as soon as the router and the
//! clients are built, and a whole scenario under it.
//!
//! In a process of their own: the allocator is everybody's.

use chappe_core::client::{Call, Client, Event, Inbox, Memory, Options};
use chappe_core::dialect::Dialect;
use chappe_core::dialect::clacks::Role;
use chappe_core::model::{Answer, Declare, Flag, Join, Letter, List, Params, Store, StoreOp, Watch, What};
use chappe_core::router::{Action, Grant, Newcomer, Open, Rights, Router, Settings};
use chappe_core::storage::Storage;
use chappe_core::time::{Duration, Instant};
use chappe_host_tests::clacks::users::{USERS, User};
use chappe_host_tests::memory::{Few, Values};
use chappe_host_tests::msgq::frame;
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::net::SocketAddr;

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

/// Everything that stations of MSGQ do, with a native one beside them.
#[test]
fn stations_of_msgq_without_a_single_allocation() {
    let mut memory = Few::new(512 << 10, 80 << 10);
    let mut settings = Settings::new("n", "0", &OPEN);
    settings.max_frame = 4096;
    settings.outbox = 65536;
    let mut now = Instant::from_millis(1);
    let mut router = memory.router(settings, now).unwrap();
    let mut buffers: Buffers = ([0; 2048], [0; 512], [0; 1024], [Call::default(); 8]);
    let mut client = Client::new(
        Memory { outbox: &mut buffers.0, script: &mut buffers.1, calls: &mut buffers.3 },
        Options { name: "c", ..Options::default() },
        now,
    );
    let mut inbox = Inbox::new(&mut buffers.2);
    let say = |header: &str, body: &str| frame(header.as_bytes(), body.as_bytes());
    let send = |to: &str, group: &str, rest: &str, body: &str| {
        let header =
            format!(r#"{{"type":"send","from":"1_2@n","to":"{to}","group":"{group}","instance":"*","seq":7,{rest}}}"#);
        frame(header.as_bytes(), body.as_bytes())
    };
    // said by the first of the two, again and again; the second serves what it hears
    let first = [
        say(r#"{ "type": "ping" }"#, "body"),
        say(r#"{"type":"subscribe","group":"*","instance":"i"}"#, ""),
        send("*", "g", "\"want_answer\":false", r#"{"command":["SET",{"name":"g","value":"v\\n"}]}"#),
        send("*", "\\u00e9", "\"x\":\"\\ud83d\\udc4b\"", "{}"),
        send("*", "void", "\"want_answer\":true", "{}"),
        send("*", "g", "\"want_answer\":true", r#"{"command":["DO",{"a":"b"}]}"#),
        send("*", "native", "\"want_answer\":true", r#"{"command":["DO",[1,2]]}"#),
        send("*", "Msgq", "\"want_answer\":true", r#"{"command":["members"]}"#),
        send("*", "Msgq", "\"want_answer\":true", r#"{"command":["members",{"group":"g"}]}"#),
        send("*", "Msgq", "\"want_answer\":true", r#"{"command":["AreYouThere?"]}"#),
        say(r#"{"type":"unsubscribe","group":"*","instance":"i"}"#, ""),
        say(r#"{"type":"hello"}"#, ""),
    ]
    .concat();
    let names = say(r#"{"type":"getlname"}"#, "");
    let joins = [
        say(r#"{"type":"subscribe","group":"g","instance":"*"}"#, ""),
        say("{\"type\":\"subscribe\",\"group\":\"\u{e9}\",\"instance\":\"*\"}", ""),
        say(r#"{"type":"subscribe","group":"ConfigManager","instance":"*"}"#, ""),
        say(r#"{"type":"subscribe","group":"notifications/cc_members","instance":"*"}"#, ""),
    ]
    .concat();
    let reply = r#"{"type":"send","from":"x","to":"LNAME","group":"g","instance":"*","seq":1,"reply":7}"#;
    let bad = say("{bad", "");
    let mut heard = vec![0u8; 1 << 20];

    FORBIDDEN.set(true);
    let new = |dialect| Newcomer { dialect, ..Newcomer::default() };
    let native = router.admit(now, new(Dialect::Messi)).unwrap();
    client.connected(now);
    let ids = [0; 2].map(|_| router.admit(now, new(Dialect::Msgq)).unwrap());
    let mut count = [0u32; 3];
    let (mut replies, mut wrong) = (0, 0);
    let mut lname = [0u8; 64];
    let mut lname_len = 0;
    for i in 0..200u32 {
        now = now + Duration::from_millis(100);
        router.tick(now);
        while client.tick(now).is_some() {}
        if i == 1 {
            wrong += client.join(&Join { name: "native", ..Join::default() }).is_err() as u32;
            wrong += client.join(&Join { name: "*", ..Join::default() }).is_err() as u32;
        }
        if i > 2 {
            wrong +=
                client.call(now, &Letter { name: "g", verb: "DO", body: b"1", ..Letter::default() }).is_err() as u32;
        }
        let says: [&[u8]; 2] = match i {
            0 => [&names, &names],
            1 => [&[], &joins],
            _ => [&first, &[]],
        };
        for (id, bytes) in ids.iter().zip(says) {
            // in uneven pieces, so that half frames are kept
            for piece in bytes.chunks(37) {
                let mut piece = piece;
                while !piece.is_empty() {
                    let taken = router.receive(now, *id, piece);
                    piece = &piece[taken..];
                }
            }
        }
        if i % 20 == 5 {
            // somebody comes, is told of, says nonsense and goes
            let id = router.admit(now, new(Dialect::Msgq)).unwrap();
            wrong += (router.receive(now, id, &names) != names.len()) as u32;
            wrong += (router.receive(now, id, &bad) != bad.len()) as u32;
        }
        for _ in 0..20 {
            while !client.output().is_empty() {
                let n = client.output().len().min(13);
                let taken = router.receive(now, native, &client.output()[..n]);
                client.sent(taken);
            }
            while let Some(action) = router.next_action(now) {
                let Action::Write(id) = action else { continue };
                let mut n = 0;
                for (to, from) in heard.iter_mut().zip(router.output(id).flatten()) {
                    *to = *from;
                    n += 1;
                }
                router.sent(now, id, n);
                router.writable(now, id);
                let mut input = &heard[..n];
                if id == native {
                    while let Ok(Some(frame)) = inbox.take(&mut input) {
                        match client.handle(now, frame) {
                            Some(Event::Message(l)) if l.ask_id != 0 => {
                                let answer = Answer { ask_id: l.ask_id, body: b"42", ..Answer::default() };
                                wrong += client.answer(&answer).is_err() as u32;
                            }
                            Some(Event::Reply(a)) => replies += (a.body == b"5") as u32,
                            _ => {}
                        }
                        count[2] += 1;
                    }
                    continue;
                }
                let Some(which) = ids.iter().position(|i| *i == id) else { continue };
                while input.len() > 6 {
                    let all = 4 + u32::from_be_bytes([input[0], input[1], input[2], input[3]]) as usize;
                    let head = u16::from_be_bytes([input[4], input[5]]) as usize;
                    let (header, body) = input[6..all].split_at(head);
                    count[which] += 1;
                    let text = std::str::from_utf8(header).unwrap_or_default();
                    if let Some(name) = std::str::from_utf8(body).unwrap_or_default().strip_prefix("{\"lname\": \"")
                        && which == 0
                    {
                        lname_len = name.len() - 2;
                        lname[..lname_len].copy_from_slice(&name.as_bytes()[..lname_len]);
                    }
                    // what the second is asked it answers: to the first, or to the native one
                    if which == 1 && text.contains("true}") {
                        let to = if text.contains("\"seq\":7") {
                            &lname[..lname_len]
                        } else {
                            field(text, "\"from\": \"", "\"")
                        };
                        let number = if text.contains("\"seq\":7") { b"7" } else { field(text, "\"seq\": ", ",") };
                        let mut out = [0u8; 256];
                        let n = answer_into(&mut out, reply, to, number);
                        wrong += (router.receive(now, id, &out[..n]) != n) as u32;
                    }
                    input = &input[all..];
                }
            }
        }
    }
    let checked = router.check();
    let asked = router.counters().get(chappe_core::router::Counter::Answered);
    FORBIDDEN.set(false);

    assert_eq!(checked, Ok(()));
    assert_eq!(wrong, 0, "requests that were not taken");
    // to the first: what it asked is answered, by the node, the native one and the second
    assert!(count[0] > 198 * 7, "{count:?}");
    assert!(count[1] > 198 * 3 && count[2] > 198, "{count:?}");
    assert_eq!(replies, 197, "the native one's calls");
    assert!(asked >= 197 + 2 * 198, "{asked}");
}

/// Everything that clients and links of Net::Clacks do.
#[test]
fn stations_of_clacks_without_a_single_allocation() {
    let mut memory = Values::new(1 << 20, 80 << 10);
    let mut settings = Settings::new("n", "0", &USERS);
    settings.max_frame = 4096;
    settings.outbox = 65536;
    settings.clacks.max_line = 8192;
    settings.clacks.link_user = "exampleuser";
    settings.clacks.link_password = b"unsafepassword";
    settings.clacks.stale_after = Duration::from_secs(8);
    settings.clacks.clean_every = Duration::from_secs(1);
    let mut now = Instant::from_millis(1);
    let mut router = memory.router(settings, now).unwrap();
    router.set_calendar(1_795_190_000_000_000);
    let login = User::Main.line();
    let begin = [
        format!("CLACKS one\r\n{login}\r\nMONITOR\n"),
        format!("{login}\nLISTEN x\nLISTEN \u{e9}\nLISTEN *\nLISTEN\t\n"),
        format!("{login}\r\nOVERHEAD I 1\r\nOVERHEAD T 1795190000.5\r\n"),
        format!("CLACKS master\r\n{login}\r\nOVERHEAD L 1\r\nKEYSYNC 1 1 U k=v\r\nOVERHEAD L 0\r\n"),
    ];
    let again = [
        "SET x=1\r\nNOTIFY *\nSETANDSTORE a b=v=w\nSTORE \u{e9}=\u{1}\nRETRIEVE a b\nRETRIEVE no\nKEYLIST\nCLIENTLIST\nPING\n\
         INCREMENT n=1.5\nDECREMENT n\nFLUSH text\nNONSENSE\nOVERHEAD GMU hi\nREMOVE \u{e9}\nST\rORE s=1\nSET x/DO=a=\"b\"\n",
        "RETRIEVE n\r\nOVERHEAD A cm91c2Vy:YmFy\nSTORE a=1\nOVERHEAD A ZXhhbXBsZXVzZXI=:dW5zYWZlcGFzc3dvcmQ=\nPING\nUNLISTEN x\nLISTEN x\n",
        "KEYSYNC 1795190000 1795190000 U old=v\nKEYSYNC 1795190000 0 D gone=REMOVED\nSTORE y=1\nPING\nRETRIEVE y\nFLUSH 1\n",
        "STORE m=1\nKEYSYNC 1795190000 1795190000 U deep=v\nPING\nSET x=down\n",
    ];
    // some of what comes between is heard by three
    let mut lines = [0u32; 4];
    let mut wrong = 0;

    FORBIDDEN.set(true);
    let mut ids = [None; 4];
    for round in 0..150u32 {
        now = now + Duration::from_millis(400);
        router.tick(now);
        for (n, id) in ids.iter_mut().enumerate() {
            let mut said = again[n].as_bytes();
            if id.is_none() {
                let role = if n == 3 { Role::Master } else { Role::Client };
                let peer = Some(SocketAddr::from(([127, 0, 0, 1], 1000)));
                let grant = Grant::anonymous(Rights::NONE);
                *id = router
                    .admit(now, Newcomer { dialect: Dialect::Clacks, grant, peer, role, ..Newcomer::default() })
                    .ok();
                said = begin[n].as_bytes();
            }
            let Some(id) = *id else { continue };
            // in uneven pieces, so that half lines are kept
            let mut size = 1 + (round as usize + n) % 40;
            while !said.is_empty() {
                let taken = router.receive(now, id, &said[..size.min(said.len())]);
                said = &said[taken..];
                wrong += (taken == 0) as u32;
                if taken == 0 {
                    break;
                }
                size = 1 + size * 7 % 50;
            }
        }
        while let Some(action) = router.next_action(now) {
            match action {
                Action::Write(id) => {
                    let mut n = 0;
                    let count = router.output(id).flatten().inspect(|_| n += 1).filter(|b| **b == b'\n').count() as u32;
                    for (heard, _) in lines.iter_mut().zip(&ids).filter(|(_, i)| **i == Some(id)) {
                        *heard += count;
                    }
                    router.sent(now, id, n);
                    router.writable(now, id);
                }
                Action::Close(..) => wrong += 1,
                _ => {}
            }
        }
        // one of them comes and goes
        if round % 10 == 9
            && let Some(id) = ids[1].take()
        {
            router.closed(now, id);
        }
    }
    let checked = router.check();
    FORBIDDEN.set(false);

    assert_eq!(checked, Ok(()));
    assert_eq!(wrong, 0, "lines that were not taken, or connections closed");
    assert!(lines.iter().all(|n| *n > 400), "{lines:?}");
}

/// What stands between `before` and `after`.
fn field<'t>(text: &'t str, before: &str, after: &str) -> &'t [u8] {
    let rest = text.split_once(before).map_or("", |t| t.1);
    rest.split_once(after).map_or("", |t| t.0).as_bytes()
}

/// A frame of `header` with `to` and `reply` in their places and `{"result":[0,5]}`; its length.
fn answer_into(out: &mut [u8], header: &str, to: &[u8], number: &[u8]) -> usize {
    let (before, rest) = header.split_once("LNAME").unwrap_or_default();
    let middle = rest.strip_suffix("7}").unwrap_or_default();
    let body = br#"{"result":[0,5]}"#;
    let parts = [before.as_bytes(), to, middle.as_bytes(), number, b"}", &body[..]];
    let size: usize = parts.iter().map(|p| p.len()).sum();
    let head = (size - body.len()) as u16;
    out[..4].copy_from_slice(&(2 + size as u32).to_be_bytes());
    out[4..6].copy_from_slice(&head.to_be_bytes());
    let mut at = 6;
    for part in parts {
        out[at..at + part.len()].copy_from_slice(part);
        at += part.len();
    }
    at
}
