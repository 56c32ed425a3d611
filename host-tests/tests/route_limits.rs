//! D12: every table, buffer, queue and length has a limit; reaching it is an answer, never a
//! crash or silence.

use chappe_core::client::{Inbox, Options};
use chappe_core::dialect::messi::wire::Writer;
use chappe_core::id::StationId;
use chappe_core::model::{ClientToServer, Code, Flag, Hello, Join, Letter, ServerToClient, Watch};
use chappe_core::router::{Action, Counter, Newcomer, Rights, Router};
use chappe_host_tests::event::Seen;
use chappe_host_tests::world::World;

#[test]
fn d12_a_connection_too_many_is_refused_and_the_others_stay() {
    let mut w = World::default();
    let mut ready = 0;
    while w.router.admit(w.now, Newcomer::default()).is_ok() {
        ready += 1;
        assert!(ready <= 64);
    }
    assert_eq!(ready, 64);
    assert_eq!(w.router.counters().get(Counter::RefusedFull), 1);
    // those that never say hello make room again
    w.advance(20_000);
    let a = w.station("a");
    assert!(w.stations[a].client.is_ready());
    assert_eq!(w.router.counters().get(Counter::ClosedNotIntroduced), 64);
}

#[test]
fn d12_too_many_names_memberships_and_watches_are_answered_with_full() {
    let mut w = World::new(|s| s.joins = 100);
    let a = w.station("a");
    for i in 0..100 {
        w.stations[a].client.join(&Join { name: &i.to_string(), seq: 7, ..Join::default() }).unwrap();
        w.drive();
    }
    assert!(w.outcomes(a, 7).iter().all(|(code, _)| *code == Code::Ok));
    w.join_as(a, &Join { name: "one more", seq: 8, ..Join::default() });
    let told = w.outcomes(a, 8);
    assert_eq!(told[0].0, Code::Full);
    assert!(!told[0].1.is_empty(), "the text says which limit");
    for round in 0..3 {
        let b = w.station("b");
        for i in 0..100 {
            w.stations[b].client.join(&Join { name: &format!("{round}/{i}"), seq: 7, ..Join::default() }).unwrap();
            w.drive();
        }
    }
    let last = w.stations.len() - 1;
    assert!(w.outcomes(last, 7).iter().any(|(code, _)| *code == Code::Full), "256 names are all there are");
    w.router.check().unwrap();
    let c = w.station("c");
    for _ in 0..17 {
        w.watch(c, &Watch { flags: true, name: "", seq: 5, ..Watch::default() });
        w.watch(c, &Watch { members: true, name: "some", seq: 5, ..Watch::default() });
    }
    assert!(w.outcomes(c, 5).iter().all(|(code, _)| matches!(code, Code::Ok | Code::Full)));
}

#[test]
fn d12_too_many_questions_are_answered_and_none_is_lost() {
    let mut w = World::new(|s| s.asks = 20);
    let (a, b) = (w.station("a"), w.station("b"));
    w.join(b, "s");
    let ask = Letter { name: "s", ..Letter::default() };
    let seqs: Vec<u32> = (0..30).map(|_| w.call(a, &ask)).collect();
    let codes: Vec<Code> = seqs.iter().flat_map(|&s| w.replies(a, s)).map(|r| r.0).collect();
    assert_eq!(codes, [Code::Full; 10]);
    w.advance(20_000);
    let codes: Vec<Code> = seqs.iter().flat_map(|&s| w.replies(a, s)).map(|r| r.0).collect();
    assert_eq!(codes, [Code::TimedOut; 20]);
}

#[test]
fn d12_too_many_flags_are_answered_with_full() {
    let mut w = World::default();
    let a = w.station("a");
    let mut last = Vec::new();
    for i in 0..65 {
        let section = i.to_string();
        let flag = Flag { raise: true, unit: "u", section: &section, name: "n", ..Flag::default() };
        w.take(a);
        w.stations[a].client.flag(w.now, &flag).unwrap();
        w.drive();
        last = w.take(a);
    }
    assert!(matches!(&last[..], [Seen::Outcome { code: Code::Full, .. }]), "{last:?}");
}

#[test]
fn d12_a_client_that_takes_short_frames_is_not_sent_long_ones() {
    let mut w = World::default();
    let a = w.station("a");
    let b = w.station_with(Options { max_frame: 160, ..Options::default() }, Rights::ALL);
    w.join(b, "x");
    w.send(a, &Letter { name: "x", body: &[1; 300], ..Letter::default() });
    w.send(a, &Letter { name: "x", body: &[2; 30], ..Letter::default() });
    let got = w.letters(b);
    assert_eq!((got.len(), got[0].body.as_slice()), (1, &[2; 30][..]));
    assert_eq!(w.router.counters().get(Counter::DroppedTooBig), 1);
    let seq = w.call(a, &Letter { name: "x", body: &[1; 300], ..Letter::default() });
    assert_ne!(w.replies(a, seq), [], "the asker is told at once");
}

/// A connection whose bytes the test writes itself.
struct Raw {
    id: StationId,
    closed: bool,
}

impl Raw {
    fn new(w: &mut World) -> Self {
        Raw { id: w.router.admit(w.now, Newcomer::default()).unwrap(), closed: false }
    }

    fn say(&mut self, w: &mut World, bytes: &[u8]) -> Vec<String> {
        assert_eq!(w.router.receive(w.now, self.id, bytes), bytes.len());
        w.router.check().unwrap();
        self.hear(&mut w.router, w.now)
    }

    /// What the node says, by the name of the message and its code.
    fn hear(&mut self, router: &mut Router<'_>, now: chappe_core::time::Instant) -> Vec<String> {
        let mut bytes = Vec::new();
        while let Some(action) = router.next_action(now) {
            match action {
                Action::Write(id) => {
                    assert_eq!(id, self.id);
                    let n = router.output(id).map(|s| {
                        bytes.extend_from_slice(s);
                        s.len()
                    });
                    let n = n.sum();
                    router.sent(now, id, n);
                }
                Action::Resume(_) => {}
                Action::Close(id, reason) => {
                    assert_eq!(id, self.id);
                    self.closed = true;
                    let _ = reason;
                }
            }
        }
        let mut buf = [0; 4096];
        let mut inbox = Inbox::new(&mut buf);
        let mut input = &bytes[..];
        let mut said = Vec::new();
        while let Some(frame) = inbox.take(&mut input).unwrap() {
            said.push(match (frame.kind, ServerToClient::read(frame.payload).unwrap().0) {
                (4, _) => "pong".into(),
                (2, ServerToClient::Outcome(o)) => format!("{:?}", o.code),
                (2, ServerToClient::Closing(c)) => format!("closing {:?}", c.code),
                (2, ServerToClient::Welcome(_)) => "welcome".into(),
                (kind, other) => format!("{kind} {other:?}"),
            });
        }
        said
    }
}

fn frame(message: &ClientToServer<'_>) -> Vec<u8> {
    let n = message.len();
    let mut bytes = vec![1, 0, (n >> 8) as u8, n as u8];
    bytes.resize(4 + n, 0);
    message.write(&mut Writer::new(&mut bytes[4..]));
    bytes
}

#[test]
fn nothing_but_a_ping_counts_before_hello() {
    let mut w = World::default();
    let mut raw = Raw::new(&mut w);
    assert_eq!(raw.say(&mut w, &[3, 0, 0, 0]), ["pong"]);
    let join = frame(&Join { seq: 1, name: "x", ..Join::default() }.into());
    assert_eq!(raw.say(&mut w, &join)[0], "NotIntroduced");
    if raw.closed {
        raw = Raw::new(&mut w);
    }
    assert_eq!(raw.say(&mut w, &frame(&Hello { seq: 1, ..Hello::default() }.into())), ["welcome"]);
    assert_eq!(raw.say(&mut w, &join), ["Ok"]);
}

#[test]
fn d12_a_frame_too_long_is_stepped_over_and_answered() {
    let mut w = World::default();
    let mut raw = Raw::new(&mut w);
    raw.say(&mut w, &frame(&Hello { seq: 1, ..Hello::default() }.into()));
    let mut bytes = vec![1, 0, 0x20, 0];
    bytes.resize(4 + 0x2000, 0x5a);
    bytes.extend([3, 0, 0, 0]);
    let mut said = Vec::new();
    for piece in bytes.chunks(1000) {
        said.extend(raw.say(&mut w, piece));
    }
    assert_eq!(said, ["TooBig", "pong"]);
    assert_eq!(w.router.counters().get(Counter::TooBig), 1);
}

#[test]
fn d12_nonsense_is_answered_and_too_much_of_it_ends_the_connection() {
    // messi.md vectors 42 to 48 and 54 to 58: the original drops at once
    for nonsense in [
        &[1u8, 0, 0, 1, 0x99][..],
        &[1, 0, 0, 3, 0x12, 0x7f, 0x0a],
        &[1, 0, 0, 6, 0x12, 4, 0x0a, 0x7f, 0x61, 0x62],
        &[1, 0, 0, 2, 0x0f, 0],
        &[1, 0, 0, 2, 0, 0],
        &[1, 0, 0, 11, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 1],
        &[4, 0, 0, 0],
        &[2, 0, 0, 2, 0x0a, 0],
        &[5, 0, 0, 0],
        &[255, 0, 0, 3, 1, 2, 3],
    ] {
        let mut w = World::default();
        let mut raw = Raw::new(&mut w);
        raw.say(&mut w, &frame(&Hello { seq: 1, ..Hello::default() }.into()));
        assert_eq!(raw.say(&mut w, nonsense), ["BadRequest"], "{nonsense:02x?}");
        // the stream goes on behind it
        assert_eq!(raw.say(&mut w, &[3, 0, 0, 0]), ["pong"]);
        for _ in 0..20 {
            if !raw.closed {
                raw.say(&mut w, nonsense);
            }
        }
        assert!(raw.closed, "{nonsense:02x?}");
        assert_eq!(w.router.counters().get(Counter::ClosedMalformed), 1);
    }
}

#[test]
fn a_port_scanner_s_bytes_are_hopeless_at_once() {
    let mut w = World::default();
    let mut raw = Raw::new(&mut w);
    // the old framing's header with a type that does not exist
    assert_eq!(w.router.receive(w.now, raw.id, &[0, 0x47, 0x45, 0x54, 0x20, 0x2f, 0x20, 0x48]), 8);
    while let Some(action) = w.router.next_action(w.now) {
        match action {
            Action::Write(id) => w.router.sent(w.now, id, usize::MAX),
            Action::Resume(_) => {}
            Action::Close(..) => raw.closed = true,
        }
    }
    assert!(raw.closed);
}

#[test]
fn old_framings_are_spoken_from_their_first_octet_on() {
    // messi.md vectors 64 and 65: generation A's ping, generation B's
    for (ping, pong) in
        [([0, 0, 0, 2, 0, 0, 0, 0], [0, 0, 0, 3, 0, 0, 0, 0]), ([0, 0, 0, 3, 0, 0, 0, 0], [0, 0, 0, 4, 0, 0, 0, 0])]
    {
        let mut w = World::default();
        let id = w.router.admit(w.now, Newcomer::default()).unwrap();
        for octet in ping {
            assert_eq!(w.router.receive(w.now, id, &[octet]), 1);
        }
        assert_eq!(w.router.next_action(w.now), Some(Action::Write(id)));
        assert_eq!(w.router.output(id).flatten().copied().collect::<Vec<u8>>(), pong);
    }
}
