//! The client against a node made of the codec, under a virtual clock.

use super::*;
use crate::dialect::messi::repr::{Closing, Outcome, ServerToClient, Value, Welcome};
use crate::dialect::messi::wire::{HEADER, Writer};
use heapless::{String, Vec};

fn at(ms: u64) -> Instant {
    Instant::from_millis(ms)
}

/// One frame from the node.
fn frame<'f>(message: impl Into<ServerToClient<'f>>) -> Vec<u8, 256> {
    let message = message.into();
    let n = message.len();
    let mut out = Vec::new();
    out.extend_from_slice(&[kind::SERVER_TO_CLIENT, 0, (n >> 8) as u8, n as u8]).unwrap();
    out.resize(HEADER + n, 0xa5).unwrap();
    message.write(&mut Writer::new(&mut out[HEADER..]));
    out
}

const PONG: [u8; 4] = [kind::PONG, 0, 0, 0];

fn welcome() -> Vec<u8, 256> {
    frame(Welcome { seq: 1, station: 7, node: "n", max_frame: 1000, silence_ms: 3000, ..Default::default() })
}

/// Hands bytes to the client as a transport would; the events as text.
fn feed(client: &mut Client<'_>, inbox: &mut Inbox<'_>, now: u64, mut bytes: &[u8]) -> Vec<String<96>, 8> {
    let mut seen = Vec::new();
    while let Some(f) = inbox.take(&mut bytes).unwrap() {
        if let Some(e) = client.handle(at(now), f) {
            seen.push(show(&e)).unwrap();
        }
    }
    seen
}

fn show(e: &Event<'_>) -> String<96> {
    use core::fmt::Write;
    let mut s = String::new();
    let _ = match e {
        Event::Ready(w) => write!(s, "ready {}", w.station),
        Event::Message(l) => write!(s, "message {} {} {}", l.name, l.verb, l.ask_id),
        Event::Reply(a) => write!(s, "reply {} {:?}", a.seq, a.code),
        Event::Outcome(o) => write!(s, "outcome {} {:?}", o.seq, o.code),
        Event::Value(v) => write!(s, "value {} {}", v.seq, v.name),
        Event::Refused(o) => write!(s, "refused {:?}", o.code),
        Event::Closing(c) => write!(s, "closing {:?}", c.code),
        Event::Lost { seq, why } => write!(s, "lost {seq} {why:?}"),
        Event::Disconnected { why, lost, .. } => write!(s, "disconnected {why:?} {lost}"),
        e => write!(s, "{e:?}"),
    };
    s
}

fn ticks(client: &mut Client<'_>, now: u64) -> Vec<String<96>, 8> {
    let mut seen = Vec::new();
    while let Some(e) = client.tick(at(now)) {
        seen.push(show(&e)).unwrap();
    }
    seen
}

/// Everything the client writes, as text; it is taken.
fn written(client: &mut Client<'_>) -> Vec<String<96>, 16> {
    use core::fmt::Write;
    let mut seen = Vec::new();
    while !client.output_frame().is_empty() {
        let f = client.output_frame();
        let n = f.len();
        let mut s = String::new();
        let _ = match (f[0], ClientToServer::read(&f[HEADER..]).unwrap().0) {
            (kind::PING, _) => write!(s, "ping"),
            (_, ClientToServer::Hello(h)) => write!(s, "hello {} {}", h.name, h.silence_ms),
            (_, ClientToServer::Join(j)) => write!(s, "join {} {} {} {}", j.seq, j.name, j.instance, j.exclusive),
            (_, ClientToServer::Leave(j)) => write!(s, "leave {}", j.name),
            (_, ClientToServer::Watch(w)) => write!(s, "watch {} {} {}", w.name, w.stations, w.flags),
            (_, ClientToServer::Declare(d)) => write!(s, "declare {}", d.name),
            (_, ClientToServer::Send(l)) => write!(s, "send {} {} {}", l.name, l.seq, l.ask),
            (_, ClientToServer::Goodbye(_)) => write!(s, "goodbye"),
            (_, m) => write!(s, "{m:?}"),
        };
        seen.push(s).unwrap();
        client.sent(n);
    }
    seen
}

struct Room {
    outbox: [u8; 128],
    script: [u8; 64],
    calls: [Call; 2],
    inbox: [u8; 64],
}

impl Room {
    fn new() -> Self {
        Room { outbox: [0xa5; 128], script: [0xa5; 64], calls: [Call::FREE; 2], inbox: [0xa5; 64] }
    }

    fn client(&mut self) -> (Client<'_>, Inbox<'_>) {
        let memory = Memory { outbox: &mut self.outbox, script: &mut self.script, calls: &mut self.calls };
        let options = Options { name: "s", silence: Duration::from_secs(2), seed: 9, ..Default::default() };
        (Client::new(memory, options, at(0)), Inbox::new(&mut self.inbox))
    }
}

/// Connected and welcomed at the time given, with nothing left to write.
fn ready(client: &mut Client<'_>, inbox: &mut Inbox<'_>, now: u64) {
    inbox.clear();
    client.connected(at(now));
    written(client);
    feed(client, inbox, now, &welcome());
    assert!(client.is_ready());
}

fn name(name: &str) -> Letter<'_> {
    Letter { name, ..Default::default() }
}

#[test]
fn says_hello_and_is_ready_when_welcomed() {
    let mut room = Room::new();
    let (mut c, mut i) = room.client();
    assert_eq!(c.wish(at(0)), Wish::Connect);
    assert!(c.output().is_empty());
    c.connected(at(5));
    assert_eq!(c.wish(at(5)), Wish::Stay);
    assert_eq!(written(&mut c)[..], ["hello s 2000"]);
    assert!(!c.is_ready());
    assert_eq!(c.send(&name("x")), Err(SendError::NotReady));
    assert_eq!(feed(&mut c, &mut i, 6, &welcome())[..], ["ready 7"]);
    assert_eq!(c.station(), StationId::new(7));
    c.send(&name("x")).unwrap();
    assert_eq!(written(&mut c)[..], ["send x 0 false"]);
}

#[test]
fn any_way_to_cut_the_input_gives_the_same_events() {
    let mut stream = Vec::<u8, 512>::new();
    stream.extend_from_slice(&welcome()).unwrap();
    stream.extend_from_slice(&PONG).unwrap();
    stream.extend_from_slice(&frame(Letter { name: "a", verb: "V", ask_id: 70_000, ..Default::default() })).unwrap();
    stream.extend_from_slice(&frame(Closing { code: Code::Stopping, text: "bye" })).unwrap();
    for step in 1..stream.len() {
        let mut room = Room::new();
        let (mut c, mut i) = room.client();
        c.connected(at(0));
        let mut seen = Vec::<String<96>, 8>::new();
        for piece in stream.chunks(step) {
            seen.extend(feed(&mut c, &mut i, 1, piece));
        }
        assert_eq!(seen[..], ["ready 7", "message a V 70000", "closing Stopping"]);
        assert_eq!(c.wish(at(1)), Wish::Close);
    }
}

#[test]
fn a_refused_hello_is_told_and_tried_again_seldom() {
    let mut room = Room::new();
    let (mut c, mut i) = room.client();
    c.connected(at(0));
    let no = frame(Outcome { seq: 1, code: Code::BadCredentials, ..Default::default() });
    assert_eq!(feed(&mut c, &mut i, 1, &no)[..], ["refused BadCredentials"]);
    assert_eq!(c.wish(at(1)), Wish::Close);
    assert!(c.output().is_empty());
    c.disconnected(at(2));
    let Some(Event::Disconnected { why: Why::Refused, lost: 0, again_in }) = c.tick(at(2)) else { panic!() };
    assert!((4000..=8000).contains(&again_in.millis()));
    assert_eq!(c.wish(at(2 + again_in.millis() as u64 - 1)), Wish::Stay);
    assert_eq!(c.wish(at(2) + again_in), Wish::Connect);
}

#[test]
fn what_was_joined_is_joined_again() {
    let mut room = Room::new();
    let (mut c, mut i) = room.client();
    let join = Join { seq: 3, name: "j", instance: "i", exclusive: true };
    c.join(&join).unwrap();
    c.watch(&Watch { name: "w", stations: true, flags: true, ..Default::default() }).unwrap();
    c.join(&Join { name: "gone", ..Default::default() }).unwrap();
    c.leave(&Leave { name: "gone", ..Default::default() }).unwrap();
    c.declare(&Declare { name: "d", ..Default::default() }).unwrap();
    c.connected(at(0));
    assert_eq!(written(&mut c)[..], ["hello s 2000"]);
    feed(&mut c, &mut i, 1, &welcome());
    let want = ["join 3 j i true", "watch w true true", "declare d"];
    assert_eq!(written(&mut c)[..], want);
    // Said while connected: at once, and again later. The same join again takes no room.
    for _ in 0..5 {
        c.join(&join).unwrap();
    }
    written(&mut c);
    c.disconnected(at(10));
    assert_eq!(ticks(&mut c, 10)[..], ["disconnected Lost 0"]);
    c.connected(at(1000));
    written(&mut c);
    assert_eq!(feed(&mut c, &mut i, 1001, &welcome())[..], ["ready 7"]);
    assert_eq!(written(&mut c)[..], ["watch w true true", "declare d", "join 3 j i true"]);
    c.leave(&Leave { name: "j", instance: "i", ..Default::default() }).unwrap();
    c.watch(&Watch { off: true, ..Default::default() }).unwrap();
    c.declare(&Declare { name: "d", forget: true, ..Default::default() }).unwrap();
    assert_eq!(written(&mut c).len(), 3);
    c.join(&Join { name: "refused", ..Default::default() }).unwrap();
    written(&mut c);
    c.forget_join("refused", "");
    assert!(written(&mut c).is_empty());
    c.disconnected(at(2000));
    ready(&mut c, &mut i, 9000);
    assert!(written(&mut c).is_empty());
}

#[test]
fn a_script_longer_than_the_outbox_goes_out_piece_by_piece_before_anything_else() {
    let (mut outbox, mut script) = ([0; 40], [0; 200]);
    let mut calls = [Call::FREE; 1];
    let memory = Memory { outbox: &mut outbox, script: &mut script, calls: &mut calls };
    let mut c = Client::new(memory, Options::default(), at(0));
    for n in ["a", "b", "c", "d", "e", "f", "g"] {
        c.join(&Join { name: n, instance: "0123456789", ..Default::default() }).unwrap();
    }
    assert_eq!(
        c.join(&Join { name: "x", instance: "0123456789012345678901234567890123456789", ..Default::default() }),
        Err(SendError::TooBig),
        "could never be said"
    );
    let mut buf = [0; 64];
    let mut i = Inbox::new(&mut buf);
    c.connected(at(0));
    written(&mut c);
    feed(&mut c, &mut i, 0, &welcome());
    assert_eq!(c.send(&name("early")), Err(SendError::Full));
    c.leave(&Leave { name: "g", instance: "0123456789", ..Default::default() }).unwrap();
    let said = written(&mut c);
    assert_eq!(said.len(), 6, "{said:?}");
    assert!(said.iter().zip(["a", "b", "c", "d", "e", "f"]).all(|(s, n)| s[7..].starts_with(n)), "{said:?}");
    c.send(&name("late")).unwrap();
    let mut full = 0;
    while c.join(&Join { name: ["h", "i", "j", "k"][full], ..Default::default() }).is_ok() {
        full += 1;
    }
    assert_eq!(full, 3, "the fourth is refused, and not half done:");
    written(&mut c);
    c.disconnected(at(1));
    ticks(&mut c, 1);
    c.connected(at(2000));
    written(&mut c);
    feed(&mut c, &mut i, 2000, &welcome());
    assert_eq!(written(&mut c).len(), 6 + full);
}

#[test]
fn pings_three_times_within_the_silence_and_gives_a_silent_node_up() {
    let mut room = Room::new();
    let (mut c, mut i) = room.client();
    ready(&mut c, &mut i, 0);
    // the node said 3000 ms
    for k in 1..=5u64 {
        assert_eq!(c.deadline(), Some(at(1000 * k)));
        assert!(ticks(&mut c, 1000 * k - 1).is_empty() && c.output().is_empty());
        assert!(ticks(&mut c, 1000 * k).is_empty());
        assert_eq!(written(&mut c)[..], ["ping"]);
        feed(&mut c, &mut i, 1000 * k, &PONG);
    }
    ticks(&mut c, 6000);
    ticks(&mut c, 7000);
    assert_eq!(c.wish(at(7999)), Wish::Stay);
    ticks(&mut c, 8000);
    assert_eq!(c.wish(at(8000)), Wish::Close);
    assert!(c.deadline().is_none() && c.output().is_empty());
    c.disconnected(at(8001));
    // the two pings are no letters
    assert_eq!(ticks(&mut c, 8001)[..], ["disconnected Silent 0"]);
}

#[test]
fn a_ping_without_room_follows_as_soon_as_there_is() {
    let mut room = Room::new();
    let (mut c, mut i) = room.client();
    ready(&mut c, &mut i, 0);
    while c.send(&name("123456789")).is_ok() {}
    while c.send(&name("1")).is_ok() {}
    ticks(&mut c, 1000);
    let said = written(&mut c);
    assert_eq!(said.last().unwrap(), "ping");
    assert_eq!(said.iter().filter(|s| *s == "ping").count(), 1);
}

#[test]
fn the_pause_doubles_and_is_short_again_after_a_steady_connection() {
    let mut room = Room::new();
    let (mut c, mut i) = room.client();
    let mut now = 0;
    let fail = |c: &mut Client<'_>, now: &mut u64| {
        c.disconnected(at(*now));
        let Some(Event::Disconnected { again_in, .. }) = c.tick(at(*now)) else { panic!() };
        assert_eq!(c.deadline(), Some(at(*now) + again_in));
        *now += again_in.millis() as u64;
        assert!(c.tick(at(*now)).is_none());
        assert_eq!(c.wish(at(*now)), Wish::Connect);
        again_in.millis()
    };
    for step in [250, 500, 1000, 2000, 4000, 8000, 8000] {
        assert!((step / 2..=step).contains(&fail(&mut c, &mut now)));
    }
    // ready, but not for long (weak point 25: no loop at full speed)
    ready(&mut c, &mut i, now);
    now += 7999;
    assert!(fail(&mut c, &mut now) >= 4000);
    ready(&mut c, &mut i, now);
    now += 8000;
    assert!(fail(&mut c, &mut now) <= 250);
    // a hello that is never answered
    c.connected(at(now));
    now += 5000;
    assert!(c.tick(at(now)).is_none());
    assert_eq!(c.wish(at(now)), Wish::Close);
    assert!(fail(&mut c, &mut now) > 250);
}

#[test]
fn connecting_that_takes_too_long_is_given_up() {
    // weak point 19
    let mut room = Room::new();
    let (mut c, _) = room.client();
    assert!(c.tick(at(0)).is_none());
    assert_eq!(c.deadline(), Some(at(5000)));
    c.connecting(at(300));
    assert_eq!(c.deadline(), Some(at(5300)));
    assert_eq!(c.wish(at(5299)), Wish::Connect);
    assert!(c.tick(at(5300)).is_none());
    assert_eq!(c.wish(at(5300)), Wish::Close);
    c.connected(at(5301));
    assert_eq!(c.wish(at(5301)), Wish::Close, "too late is too late");
    c.disconnected(at(5302));
    assert_eq!(ticks(&mut c, 5302)[..], ["disconnected Unreachable 0"]);
    c.disconnected(at(5303));
    assert!(ticks(&mut c, 5303).is_empty(), "nothing was tried since");
}

#[test]
fn a_call_ends_once_answered_or_timed_out_or_with_its_connection() {
    let mut room = Room::new();
    let (mut c, mut i) = room.client();
    ready(&mut c, &mut i, 0);
    let a = c.call(at(0), &name("a")).unwrap();
    let b = c.call(at(0), &Letter { ttl_ms: 100, ..name("b") }).unwrap();
    assert_eq!(c.call(at(0), &name("c")), Err(SendError::TooManyCalls));
    assert_eq!(written(&mut c)[..], ["send a 256 true", "send b 257 true"]);
    let reply = |seq| frame(Answer { seq, ..Default::default() });
    assert_eq!(feed(&mut c, &mut i, 9, &reply(a))[..], ["reply 256 Ok"]);
    assert!(feed(&mut c, &mut i, 9, &reply(a)).is_empty(), "once");
    assert_eq!(c.counts().stray, 1);
    feed(&mut c, &mut i, 900, &PONG);
    ticks(&mut c, 1000);
    assert_eq!(ticks(&mut c, 1100)[..], ["lost 257 TimedOut"]);
    assert!(feed(&mut c, &mut i, 1101, &reply(b)).is_empty(), "too late");
    // The node can refuse to pass a question on.
    let d = c.call(at(1101), &name("d")).unwrap();
    assert!(feed(&mut c, &mut i, 1102, &frame(Outcome { seq: d, ..Default::default() })).is_empty());
    let no = frame(Outcome { seq: d, code: Code::BadName, ..Default::default() });
    assert_eq!(feed(&mut c, &mut i, 1102, &no)[..], ["reply 258 BadName"]);
    let e = c.call(at(1102), &name("e")).unwrap();
    let s = c.store(at(1102), &Store { name: "v", ..Default::default() }).unwrap();
    assert_eq!((e, s), (259, 260));
    written(&mut c);
    c.disconnected(at(1103));
    assert_eq!(ticks(&mut c, 1103)[..], ["lost 259 Disconnected", "lost 260 Disconnected", "disconnected Lost 0"]);
    ready(&mut c, &mut i, 3000);
    assert!(feed(&mut c, &mut i, 3001, &reply(e)).is_empty());
    assert!(written(&mut c).is_empty(), "nothing is asked twice");
}

#[test]
fn asking_each_takes_no_call_and_all_answers_are_told() {
    let mut room = Room::new();
    let (mut c, mut i) = room.client();
    ready(&mut c, &mut i, 0);
    let each = |c: &mut Client<'_>| {
        let letter = Letter { ask: true, each: true, ttl_ms: 100, ..name("x") };
        c.request(at(0), &ClientToServer::Send(letter))
    };
    let seq = each(&mut c).unwrap();
    assert_eq!(written(&mut c)[..], ["send x 256 true"]);
    let answer = |station| Answer { seq, station, ..Default::default() };
    assert_eq!(
        feed(&mut c, &mut i, 1, &frame(Outcome { seq, count: 2, ..Default::default() }))[..],
        ["outcome 256 Ok"]
    );
    assert_eq!(feed(&mut c, &mut i, 2, &frame(answer(8)))[..], ["reply 256 Ok"]);
    assert_eq!(feed(&mut c, &mut i, 3, &frame(answer(9)))[..], ["reply 256 Ok"]);
    assert_eq!(feed(&mut c, &mut i, 3, &frame(answer(0)))[..], [""; 0], "no call has this number");
    assert_eq!(c.counts().stray, 1);
    // its place in the table is free again; an outcome that never comes is told like any other
    for _ in 0..2 {
        each(&mut c).unwrap();
    }
    assert_eq!(each(&mut c), Err(SendError::TooManyCalls));
    c.disconnected(at(4));
    assert_eq!(ticks(&mut c, 4)[..2], ["lost 257 Disconnected", "lost 258 Disconnected"]);
}

#[test]
fn requests_end_by_a_value_or_an_outcome() {
    let mut room = Room::new();
    let (mut c, mut i) = room.client();
    ready(&mut c, &mut i, 0);
    let s = c.store(at(0), &Store { name: "v", ..Default::default() }).unwrap();
    let l = c.request(at(0), &List { name: "x", ..Default::default() }.into()).unwrap();
    assert_eq!(c.flag(at(0), &Flag::default()), Err(SendError::TooManyCalls));
    c.store_blindly(&Store { name: "v", ..Default::default() }).unwrap();
    let v = frame(Value { seq: s, name: "v", ..Default::default() });
    assert_eq!(feed(&mut c, &mut i, 1, &v)[..], ["value 256 v"]);
    let o = frame(Outcome { seq: l, ..Default::default() });
    assert_eq!(feed(&mut c, &mut i, 1, &o)[..], ["outcome 257 Ok"]);
    assert!(feed(&mut c, &mut i, 1, &o).is_empty());
    // those of joins and blind requests are the application's own
    let o = frame(Outcome { seq: 3, code: Code::NameTaken, ..Default::default() });
    assert_eq!(feed(&mut c, &mut i, 1, &o)[..], ["outcome 3 NameTaken"]);
    assert!(ticks(&mut c, 900).is_empty());
    assert_eq!(c.request(at(1), &ClientToServer::Nothing), Err(SendError::NotReady));
}

#[test]
fn a_full_outbox_refuses_whole_letters_and_what_is_in_it_is_lost_with_the_connection() {
    // weak point 26 of the sender's side: nothing is half sent, nothing is silently dropped
    let mut room = Room::new();
    let (mut c, mut i) = room.client();
    ready(&mut c, &mut i, 0);
    let mut taken = 0;
    while c.send(&name("0123456789")).is_ok() {
        taken += 1;
    }
    assert!(taken >= 5);
    assert_eq!(c.send(&name("0123456789")), Err(SendError::Full));
    assert_eq!(c.send(&Letter { body: &[0; 200], ..name("n") }), Err(SendError::TooBig));
    assert_eq!(c.send(&name("")), Err(SendError::BadName));
    assert_eq!(c.send(&name("a\nb")), Err(SendError::BadName));
    assert_eq!(c.call(at(0), &name("0123456789")), Err(SendError::Full));
    c.sent(30); // one and a half
    c.disconnected(at(1));
    let Some(Event::Disconnected { lost, .. }) = c.tick(at(1)) else { panic!() };
    assert_eq!(lost, taken - 1);
    assert_eq!(c.counts().lost, lost);
    ready(&mut c, &mut i, 1000);
    assert!(c.output().is_empty(), "nothing is sent twice");
    c.send(&Letter { station: 3, ..name("") }).unwrap();
}

#[test]
fn half_a_frame_of_a_broken_connection_does_not_spoil_the_next() {
    // weak points 4 and 5
    let mut room = Room::new();
    let (mut c, mut i) = room.client();
    ready(&mut c, &mut i, 0);
    feed(&mut c, &mut i, 1, &[2, 0xff, 0xff, 0xff, 1, 2, 3]);
    c.disconnected(at(2));
    ticks(&mut c, 2);
    ready(&mut c, &mut i, 1000);
    feed(&mut c, &mut i, 1000, &welcome()[..9]);
    c.disconnected(at(1001));
    ticks(&mut c, 1001);
    ready(&mut c, &mut i, 3000);
}

#[test]
fn sending_while_not_connected_harms_no_later_connection() {
    // weak point 20
    let mut room = Room::new();
    let (mut c, mut i) = room.client();
    for now in [0, 1] {
        assert_eq!(c.send(&name("n")), Err(SendError::NotReady));
        assert_eq!(c.call(at(now), &name("n")), Err(SendError::NotReady));
        assert_eq!(c.answer(&Answer::default()), Err(SendError::NotReady));
    }
    assert!(ticks(&mut c, 1).is_empty());
    ready(&mut c, &mut i, 2);
    assert_eq!(c.wish(at(2)), Wish::Stay);
    c.disconnected(at(3));
    assert_eq!(c.send(&name("n")), Err(SendError::NotReady));
    assert_eq!(ticks(&mut c, 3)[..], ["disconnected Lost 0"]);
    ready(&mut c, &mut i, 1000);
    assert_eq!(c.wish(at(1000)), Wish::Stay);
}

#[test]
fn leaving_while_an_event_is_handled_is_for_good() {
    // weak points 21 and 24
    let mut room = Room::new();
    let (mut c, mut i) = room.client();
    ready(&mut c, &mut i, 0);
    c.send(&name("last")).unwrap();
    let seq = c.call(at(0), &name("q")).unwrap();
    let bytes = frame(Letter { name: "a", ..Default::default() });
    let mut twice = Vec::<u8, 64>::new();
    twice.extend_from_slice(&bytes).unwrap();
    twice.extend_from_slice(&bytes).unwrap();
    let (mut input, mut seen) = (&twice[..], 0);
    while let Some(f) = i.take(&mut input).unwrap() {
        if c.handle(at(1), f).is_some() {
            seen += 1;
            c.goodbye(at(1));
        }
    }
    assert_eq!(seen, 1);
    assert_eq!(show(&c.tick(at(1)).unwrap()), show(&Event::Lost { seq, why: LostWhy::Disconnected }));
    assert_eq!(written(&mut c)[..], ["send last 0 false", "send q 256 true", "goodbye"]);
    assert_eq!(c.send(&name("x")), Err(SendError::NotReady));
    assert_eq!(c.wish(at(2)), Wish::Stay);
    c.disconnected(at(3));
    assert_eq!(ticks(&mut c, 3)[..], ["disconnected Goodbye 0"]);
    for now in [3, 10_000, 1_000_000] {
        assert!(ticks(&mut c, now).is_empty());
        assert_eq!(c.wish(at(now)), Wish::Stop);
        assert_eq!(c.deadline(), None);
    }
    c.start(at(1_000_001));
    assert_eq!(c.wish(at(1_000_001)), Wish::Connect);
    ready(&mut c, &mut i, 1_000_002);
    // a node that does not close is not waited for
    c.goodbye(at(1_000_002));
    assert_eq!(ticks(&mut c, 1_005_002)[..], ["disconnected Goodbye 0"]);
    assert_eq!(c.wish(at(1_005_002)), Wish::Stop);
}

#[test]
fn leaving_before_there_is_a_connection_is_for_good_and_says_nothing() {
    for connect in [false, true] {
        let mut room = Room::new();
        let (mut c, mut i) = room.client();
        if connect {
            c.connected(at(0));
        }
        c.goodbye(at(1));
        assert!(!c.is_leaving() && c.output().is_empty());
        assert_eq!(c.deadline(), Some(Instant::ZERO), "to be ticked");
        assert!(ticks(&mut c, 1).is_empty(), "there was nothing to end");
        assert_eq!((c.wish(at(1)), c.deadline()), (Wish::Stop, None));
        // the end of what it had no use for any more changes nothing, and what comes is not heard
        assert!(feed(&mut c, &mut i, 2, &welcome()).is_empty());
        c.disconnected(at(3));
        assert!(ticks(&mut c, 3).is_empty());
        assert_eq!((c.wish(at(1_000_000)), c.deadline()), (Wish::Stop, None));
        c.start(at(1_000_001));
        ready(&mut c, &mut i, 1_000_002);
    }
    // said twice is said once
    let mut room = Room::new();
    let (mut c, mut i) = room.client();
    ready(&mut c, &mut i, 0);
    c.goodbye(at(1));
    c.goodbye(at(2));
    assert!(c.is_leaving());
    assert_eq!(written(&mut c)[..], ["goodbye"]);
    assert!(ticks(&mut c, 3).is_empty());
    c.disconnected(at(3));
    assert_eq!(ticks(&mut c, 3)[..], ["disconnected Goodbye 0"]);
}

#[test]
fn a_second_welcome_is_no_other_connection() {
    let mut room = Room::new();
    let (mut c, mut i) = room.client();
    ready(&mut c, &mut i, 0);
    let seq = c.call(at(0), &name("q")).unwrap();
    written(&mut c);
    let other = frame(Welcome { seq: 1, station: 8, max_frame: 10, ..Default::default() });
    assert!(feed(&mut c, &mut i, 1, &other).is_empty());
    assert_eq!((c.station(), c.counts().ready), (StationId::new(7), 1));
    c.send(&name("as long as before")).unwrap();
    let answer = frame(Answer { seq, ..Default::default() });
    assert_eq!(feed(&mut c, &mut i, 2, &answer)[..], ["reply 256 Ok"]);
}

#[test]
fn without_a_silence_nobody_is_pinged_and_only_calls_have_an_end() {
    let mut room = Room::new();
    let memory = Memory { outbox: &mut room.outbox, script: &mut room.script, calls: &mut room.calls };
    let options = Options { name: "s", silence: Duration::ZERO, seed: 9, ..Default::default() };
    let (mut c, mut i) = (Client::new(memory, options, at(0)), Inbox::new(&mut room.inbox));
    c.connected(at(0));
    written(&mut c);
    // the node names none either, so that of the options holds
    let welcome = frame(Welcome { seq: 1, station: 7, ..Default::default() });
    assert_eq!(feed(&mut c, &mut i, 1, &welcome)[..], ["ready 7"]);
    assert_eq!(c.deadline(), None);
    for now in [2, 10_000, 100_000_000] {
        assert!(ticks(&mut c, now).is_empty() && written(&mut c).is_empty());
        assert_eq!(c.wish(at(now)), Wish::Stay);
    }
    c.call(at(100_000_000), &Letter { name: "q", ttl_ms: 10, ..Default::default() }).unwrap();
    let end = c.deadline().unwrap();
    assert!(end > at(100_000_000));
    assert_eq!(show(&c.tick(end).unwrap()), "lost 256 TimedOut");
    assert_eq!(c.deadline(), None);
}

#[test]
fn watching_ends_on_this_connection_and_on_all_later_ones() {
    let mut room = Room::new();
    let (mut c, mut i) = room.client();
    c.join(&Join { name: "j", ..Default::default() }).unwrap();
    c.watch(&Watch { stations: true, ..Default::default() }).unwrap();
    c.watch(&Watch { name: "n", members: true, ..Default::default() }).unwrap();
    ready(&mut c, &mut i, 0);
    assert_eq!(written(&mut c)[..], ["join 0 j  false", "watch  true false", "watch n false false"]);
    c.watch(&Watch { off: true, ..Default::default() }).unwrap();
    assert_eq!(written(&mut c).len(), 1);
    c.disconnected(at(10));
    ticks(&mut c, 10);
    ready(&mut c, &mut i, 2000);
    assert_eq!(written(&mut c)[..], ["join 0 j  false"]);
}

#[test]
fn what_is_no_request_is_refused() {
    let mut room = Room::new();
    let (mut c, mut i) = room.client();
    ready(&mut c, &mut i, 0);
    for what in [
        ClientToServer::Nothing,
        ClientToServer::Hello(Default::default()),
        ClientToServer::Answer(Default::default()),
        ClientToServer::Goodbye(Default::default()),
    ] {
        assert_eq!(c.request(at(0), &what), Err(SendError::NotReady));
    }
    assert!(written(&mut c).is_empty());
}

#[test]
fn its_memory_is_given_back_for_another() {
    let mut room = Room::new();
    let (mut c, mut i) = room.client();
    ready(&mut c, &mut i, 0);
    c.join(&Join { name: "j", ..Default::default() }).unwrap();
    c.call(at(0), &name("q")).unwrap();
    // what one has left in it is nothing to the next
    let (memory, inbox) = (c.into_memory(), i.into_buffer());
    let (mut c, mut i) = (Client::new(memory, Options::default(), at(1)), Inbox::new(inbox));
    c.connected(at(1));
    assert_eq!(written(&mut c)[..], ["hello  0"]);
    assert_eq!(feed(&mut c, &mut i, 2, &welcome())[..], ["ready 7"]);
    assert!(written(&mut c).is_empty());
    assert_eq!([(), ()].map(|()| c.call(at(2), &name("q")).is_ok()), [true, true]);
    c.disconnected(at(3));
    assert_eq!(ticks(&mut c, 3).len(), 3, "two calls are lost, and the connection");
}

#[test]
fn nonsense_from_the_node_ends_the_connection_and_nothing_else() {
    for nonsense in [&[2, 0, 0, 2, 0x0a, 9][..], &[2, 0, 0, 1, 0x07], &[2, 0, 0, 5, 0x1a, 3, 0x0a, 1, 0xff]] {
        let mut room = Room::new();
        let (mut c, mut i) = room.client();
        ready(&mut c, &mut i, 0);
        assert!(feed(&mut c, &mut i, 1, nonsense).is_empty());
        assert_eq!(c.wish(at(1)), Wish::Close);
        assert!(feed(&mut c, &mut i, 1, &welcome()).is_empty());
        c.disconnected(at(1));
        assert!(ticks(&mut c, 1)[0].starts_with("disconnected Malformed"));
        ready(&mut c, &mut i, 1000);
    }
    let mut room = Room::new();
    let (mut c, mut i) = room.client();
    ready(&mut c, &mut i, 0);
    // unknown types and members, and types of the other direction: ignored (section 6)
    assert!(
        feed(&mut c, &mut i, 1, &[9, 0, 0, 1, 7, 3, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 2, 0x7a, 0]).is_empty()
    );
    assert_eq!(c.counts().ignored, 5);
    assert!(c.is_ready());
    c.hopeless();
    assert_eq!(c.wish(at(1)), Wish::Close);
}

#[test]
fn what_is_not_wanted_is_not_decoded() {
    struct Values;
    impl Wants for Values {
        const MESSAGES: bool = false;
    }
    let mut room = Room::new();
    let (mut c, mut i) = room.client();
    ready(&mut c, &mut i, 0);
    // not even UTF-8
    let mut bytes = &[2, 0, 0, 5, 0x1a, 3, 0x0a, 1, 0xff][..];
    let f = i.take(&mut bytes).unwrap().unwrap();
    assert!(c.handle_only::<Values>(at(0), f).is_none());
    assert!(c.is_ready());
    assert_eq!(c.counts().ignored, 1);
}

#[test]
fn a_hello_that_does_not_fit_is_said_to_the_application() {
    let (mut outbox, mut script) = ([0; 8], [0; 0]);
    let memory = Memory { outbox: &mut outbox, script: &mut script, calls: &mut [] };
    let mut c = Client::new(memory, Options { name: "a long name", ..Default::default() }, at(0));
    c.connected(at(0));
    assert!(c.output().is_empty());
    assert_eq!(c.wish(at(0)), Wish::Close);
    c.disconnected(at(0));
    assert_eq!(ticks(&mut c, 0)[..], ["disconnected HelloTooBig 0"]);
}

#[test]
fn random_bytes_never_break_it() {
    let mut x = 0x2545_f491u32;
    let mut random = move || {
        x ^= x << 13;
        x ^= x >> 17;
        x ^= x << 5;
        x
    };
    for _ in 0..2000 {
        let mut room = Room::new();
        let (mut c, mut i) = room.client();
        ready(&mut c, &mut i, 0);
        let mut bytes = [0u8; 64];
        bytes.iter_mut().for_each(|b| *b = random() as u8);
        // most of them with a plausible beginning
        bytes[..4].copy_from_slice(&[2, 0, 0, (random() % 60) as u8]);
        bytes[4] = (random() % 10) as u8 * 8 + 2;
        bytes[5] = (random() % 60) as u8;
        let mut input = &bytes[..];
        while let Ok(Some(f)) = i.take(&mut input) {
            c.handle(at(1), f);
        }
        c.disconnected(at(2));
        ticks(&mut c, 2);
        ready(&mut c, &mut i, 9000);
    }
}
