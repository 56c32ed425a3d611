//! Operations on a router: connections come, say anything, stop reading, go; time passes. Its
//! own `check` must hold after each, what it says must be whole frames that a client
//! understands, and it must always come to rest.
#![no_main]

use chappe_core::client::Inbox;
use chappe_core::dialect::messi::repr::{ClientToServer, Hello, Join, Letter, ServerToClient};
use chappe_core::dialect::messi::wire::Writer;
use chappe_core::id::StationId;
use chappe_core::router::flags::Raise;
use chappe_core::router::store::{Stamp, StoredMail};
use chappe_core::router::{Action, Newcomer, Open, Router, Settings, Transport};
use chappe_core::storage::Storage;
use chappe_core::time::{Duration, Instant};
use libfuzzer_sys::fuzz_target;

static OPEN: Open = Open;

struct Peer {
    id: StationId,
    datagram: bool,
    reads: bool,
    /// What it was written and has not been read as frames.
    heard: Vec<u8>,
}

/// Offers all of it, writing in between only when it is not taken.
fn feed(router: &mut Router<'_>, peers: &mut Vec<Peer>, now: Instant, id: StationId, mut bytes: &[u8]) {
    for turn in 0.. {
        assert!(turn < 10_000, "in the end everything is taken");
        bytes = &bytes[router.receive(now, id, bytes)..];
        if bytes.is_empty() {
            return;
        }
        serve(router, peers, now);
    }
}

fn frame(message: &ClientToServer<'_>) -> Vec<u8> {
    let mut bytes = vec![0; 4 + message.len()];
    bytes[..4].copy_from_slice(&[1, 0, (message.len() >> 8) as u8, message.len() as u8]);
    message.write(&mut Writer::new(&mut bytes[4..]));
    bytes
}

fn serve(router: &mut Router<'_>, peers: &mut Vec<Peer>, now: Instant) {
    for turn in 0.. {
        assert!(turn < 10_000, "the router does not come to rest");
        let Some(action) = router.next_action(now) else { break };
        match action {
            Action::Write(id) => {
                let peer = peers.iter_mut().find(|p| p.id == id).expect("it writes to who is there");
                if peer.datagram {
                    let mut buf = [0; 600];
                    while let Some(n) = router.next_datagram(id, &mut buf) {
                        // each is on its own, framing included
                        whole_frames(&buf[..n]);
                    }
                    continue;
                }
                let before = peer.heard.len();
                if peer.reads {
                    peer.heard.extend(router.output(id).flatten());
                }
                router.sent(now, id, peer.heard.len() - before);
            }
            Action::Resume(_) => {}
            Action::Close(id, reason) => {
                assert!(!reason.name().is_empty());
                peers.retain(|p| p.id != id);
            }
        }
    }
    router.check().expect("every invariant holds");
    for peer in peers {
        // what is read is read to its end, so it ends at a frame's end
        if !peer.datagram {
            whole_frames(&peer.heard);
        }
        peer.heard.clear();
    }
}

/// Whole frames, and messages that a client understands.
fn whole_frames(heard: &[u8]) {
    // the old framing begins with a zero, and the client's finder does not speak it
    if heard.first().is_none_or(|&b| b == 0) {
        return;
    }
    let mut buf = [0; 4096];
    let mut inbox = Inbox::new(&mut buf);
    let mut input = heard;
    let mut used = 0;
    while let Some(frame) = inbox.take(&mut input).unwrap_or_else(|_| panic!("no frames: {heard:02x?}")) {
        used += 4 + frame.payload.len();
        match frame.kind {
            2 => assert!(ServerToClient::read(frame.payload).is_ok()),
            kind => assert_eq!(kind, 4),
        }
    }
    assert_eq!(used, heard.len(), "half a frame");
}

/// What only the shell says: all other calls that a router has.
fn shell<'s>(router: &mut Router<'s>, now: Instant, settings: Settings<'s>, op: u8, arg: u8) {
    let raise = Raise {
        unit: "u",
        section: "s",
        name: ["a", "b", "c", "d", "e", "f", "g", ""][usize::from(arg) % 8],
        description: "d",
        priority: u32::from(arg),
        tags: "t",
        manual_down: arg & 8 != 0,
        station: u64::from(arg),
        record: Default::default(),
    };
    match op {
        0 => _ = router.put_flag(now, &raise),
        1 => _ = router.put_flag_down(now, "u", "s", raise.name),
        2 => _ = router.raise_own_flag(now, &raise),
        3 => router.lower_own_flag(now, "u", "s", raise.name),
        4 => router.keep_flags(),
        5 => {
            for _ in 0..100 {
                let Some(name) = router.changed_flag().map(|f| f.full_name().to_owned()) else { break };
                router.flag_taken();
                assert_ne!(router.changed_flag().map(|f| f.full_name()), Some(&name[..]), "note was taken of it");
            }
        }
        6 => _ = router.declare_name(raise.name),
        7 => _ = router.forget_name(raise.name),
        8 => router.set_calendar(u64::from(arg) << 50),
        9 => router.stored(now),
        10 => {
            // other settings while it runs, good or not
            let (page, outbox) = (u32::from(arg % 8), usize::from(arg) * 8);
            let silence = Duration::from_millis(u32::from(arg) * 100);
            _ = router.set(Settings { page, outbox, silence, asks: u32::from(arg % 4), ..settings });
        }
        11 => {
            // what is left on a disk, right or wrong
            let bytes = [&b"\x0a\x01a"[..], b"\xff", b"", b"\x0a\x01b"][usize::from(arg) % 4];
            let until = Stamp::from_micros(u64::from(arg) << 32);
            let mail = StoredMail {
                number: u64::from(arg) << 56 | 1,
                name: raise.name,
                instance: "",
                from: 3,
                until,
                within_ms: 9000,
                form: arg % 3,
                bytes,
            };
            router.restore_mail(now, &mail);
        }
        _ => {
            let nobody = StationId::new(u64::MAX).expect("not 0");
            _ = (router.control_asked(), router.misheard(), router.stop_asked(), router.wants_load());
            _ = (router.link_stage(nobody), router.links(), router.master_said(), router.master_end());
            assert!(!router.is_paused(nobody) && !router.is_introduced(nobody));
            assert_eq!(router.station_name(nobody), "");
        }
    }
}

fuzz_target!(|data: &[u8]| {
    let mut storage = Box::new(<Storage>::new());
    let mut settings = Settings::new("n", "v", &OPEN);
    settings.outbox = 700;
    settings.page = 4;
    let mut now = Instant::from_millis(5);
    let mut router = storage.router(settings, now).expect("valid");
    let mut peers: Vec<Peer> = Vec::new();
    let mut input = data;
    while let [op, arg, rest @ ..] = input {
        input = rest;
        let which = *arg as usize % peers.len().max(1);
        match op % 12 {
            0 => {
                let datagram = arg & 1 != 0;
                let transport = if datagram { Transport::Datagram } else { Transport::Stream };
                let max_frame = if arg & 2 != 0 { 64 } else { 0 };
                if let Ok(id) = router.admit(now, Newcomer { transport, max_frame, ..Newcomer::default() }) {
                    assert!(peers.iter().all(|p| p.id != id), "an address given twice");
                    peers.push(Peer { id, datagram, reads: true, heard: Vec::new() });
                    if arg & 4 == 0 {
                        feed(
                            &mut router,
                            &mut peers,
                            now,
                            id,
                            &frame(&Hello { seq: 1, name: "f", ..Hello::default() }.into()),
                        );
                    }
                }
            }
            1..=6 => {
                // bytes of the fuzzer's own, as a frame or as they are
                let (bytes, more) = rest.split_at((*arg as usize).min(rest.len()));
                input = more;
                if let Some(id) = peers.get(*op as usize / 12 % peers.len().max(1)).map(|p| p.id) {
                    if op % 12 < 5 {
                        feed(&mut router, &mut peers, now, id, &[1, 0, 0, bytes.len() as u8]);
                    }
                    feed(&mut router, &mut peers, now, id, bytes);
                }
            }
            7 => {
                if let Some(id) = peers.get(which).map(|p| p.id) {
                    let names = ["a", "a::b", "a::*", "*", "b"];
                    let name = names[*op as usize / 12 % names.len()];
                    let join = Join { name, exclusive: arg & 16 != 0, ..Join::default() };
                    let ask =
                        Letter { name, body: &[*arg; 40], ask: true, seq: 9, ttl_ms: *arg as u32, ..Letter::default() };
                    feed(
                        &mut router,
                        &mut peers,
                        now,
                        id,
                        &frame(&if arg & 128 == 0 { join.into() } else { ClientToServer::Send(ask) }),
                    );
                }
            }
            8 => {
                if let Some(peer) = peers.get_mut(which) {
                    peer.reads = !peer.reads;
                    if peer.reads {
                        router.writable(now, peer.id);
                    }
                }
            }
            9 => {
                if which < peers.len() {
                    let peer = peers.swap_remove(which);
                    router.closed(now, peer.id);
                    // whatever is said about it afterwards does no harm
                    feed(&mut router, &mut peers, now, peer.id, &[3, 0, 0, 0]);
                    router.sent(now, peer.id, 5);
                    router.writable(now, peer.id);
                    assert_eq!(router.output(peer.id).count(), 0);
                }
            }
            10 => {
                now = match router.deadline() {
                    Some(d) if arg & 1 != 0 => now.max(d),
                    _ => now + Duration::from_millis((*arg as u32) << (op / 24)),
                };
                router.tick(now);
            }
            _ if *arg == 255 => router.stop(now),
            _ => shell(&mut router, now, settings, op / 12, *arg),
        }
        serve(&mut router, &mut peers, now);
    }
    // in the end everybody goes, and nothing is left behind
    for peer in peers.drain(..) {
        router.closed(now, peer.id);
    }
    serve(&mut router, &mut peers, now);
    for usage in router.usage() {
        if ["stations", "memberships", "requests", "watches"].contains(&usage.name) {
            assert_eq!(usage.used, 0, "{} are left", usage.name);
        }
    }
});
