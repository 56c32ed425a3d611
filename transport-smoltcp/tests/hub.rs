//! Clients and hub over one interface in memory.

mod common;

use chappe_core::client::Why;
use chappe_core::dialect::messi::repr::{Code, Join, Store, StoreOp};
use chappe_core::router::Counter;
use common::{Heard, Net, PORT, letter};
use smoltcp::socket::tcp;

fn join(net: &mut Net, station: usize, name: &'static str) {
    let join = Join { seq: 9, name, ..Join::default() };
    net.stations[station].link.client().join(&join).unwrap();
}

fn heard(net: &Net, station: usize, what: &Heard) -> bool {
    net.stations[station].heard.contains(what)
}

fn joined(net: &mut Net, station: usize) {
    let so = Heard::Outcome { seq: 9, code: Code::Ok };
    net.until("joined", |net| heard(net, station, &so));
}

/// Two stations, the second one joined to `echo` and answering.
fn pair(hub_window: usize, client_window: usize) -> Net {
    let mut net = Net::with_hub(4, hub_window);
    net.station("a", client_window);
    let b = net.station("b", client_window);
    net.stations[b].echoes = true;
    join(&mut net, b, "echo");
    net.all_ready();
    joined(&mut net, b);
    net
}

#[test]
fn a_call_goes_through_the_hub_and_back() {
    let mut net = pair(512, 512);
    let now = net.now;
    let seq = net.stations[0].link.client().call(now, &letter("echo", "SAY", b"hello")).unwrap();
    let want = Heard::Reply { seq, code: Code::Ok, body: b"hello".to_vec() };
    net.until("the answer", |net| heard(net, 0, &want));
    let asked = |h: &&Heard| matches!(h, Heard::Message { verb, body, .. } if verb == "SAY" && body == b"hello");
    assert_eq!(net.stations[1].heard.iter().filter(asked).count(), 1, "D2: once");
}

#[test]
fn frames_that_are_cut_by_tiny_windows_arrive_whole_and_in_order() {
    // Windows below the length of most frames: every one of them comes in pieces, both ways, at ever other places.
    for window in [16, 23, 64] {
        let mut net = pair(window, window);
        let mut sent = 0u8;
        while sent < 60 {
            let body = [sent; 40];
            let body = &body[..usize::from(sent % 40) + 1];
            if net.stations[0].link.client().send(&letter("echo", "N", body)).is_ok() {
                sent += 1;
            }
            net.turn();
        }
        let got = |net: &Net| -> Vec<Vec<u8>> {
            let of = |h: &Heard| match h {
                Heard::Message { verb, body, .. } if verb == "N" => Some(body.clone()),
                _ => None,
            };
            net.stations[1].heard.iter().filter_map(of).collect()
        };
        net.until("all sixty", |net| got(net).len() >= 60);
        for (n, body) in got(&net).iter().enumerate() {
            assert_eq!(body, &vec![n as u8; n % 40 + 1], "D1: in order, window {window}");
        }
    }
}

#[test]
fn a_value_is_kept_told_and_read() {
    let mut net = pair(512, 512);
    let store = Store { op: StoreOp::Set, name: "echo", value: b"21.5", announce: true, ..Store::default() };
    net.stations[0].link.client().store_blindly(&store).unwrap();
    let told = |h: &Heard| matches!(h, Heard::Message { name, verb, body, .. } if name == "echo" && verb == "SET" && body == b"21.5");
    net.until("told", |net| net.stations[1].heard.iter().any(told));
    let now = net.now;
    let get = Store { op: StoreOp::Get, name: "echo", ..Store::default() };
    let seq = net.stations[0].link.client().store(now, &get).unwrap();
    net.until("read", |net| heard(net, 0, &Heard::Value { seq, value: b"21.5".to_vec() }));
}

#[test]
fn after_a_reset_everything_comes_back_by_itself() {
    let mut net = pair(512, 512);
    let now = net.now;
    let seq = net.stations[0].link.client().call(now, &letter("nobody-answers", "X", b"")).unwrap();
    net.stop_hub();
    net.until("noticed", |net| (0..2).all(|i| heard(net, i, &Heard::Disconnected(Why::Lost))));
    assert!(heard(&net, 0, &Heard::Lost { seq }), "D5: the call is reported");
    net.run(3000);
    assert!(heard(&net, 0, &Heard::Disconnected(Why::Unreachable)), "and tried in vain");
    net.stations.iter_mut().for_each(|s| s.heard.clear());
    net.start_hub();
    net.all_ready();
    joined(&mut net, 1);
    let now = net.now;
    let seq = net.stations[0].link.client().call(now, &letter("echo", "SAY", b"again")).unwrap();
    net.until("the answer", |net| heard(net, 0, &Heard::Reply { seq, code: Code::Ok, body: b"again".to_vec() }));
}

#[test]
fn a_pulled_cable_is_noticed_by_both_and_healed() {
    let mut net = pair(512, 512);
    let before = net.hub.as_ref().unwrap().counts().accepted;
    // Nobody's frames arrive any more: each turn empties the device's queue.
    for _ in 0..8000 {
        net.turn();
        while smoltcp::phy::Device::receive(&mut net.device, smoltcp::time::Instant::ZERO).is_some() {}
    }
    assert!(heard(&net, 0, &Heard::Disconnected(Why::Silent)));
    let hub = net.hub.as_mut().unwrap();
    assert_eq!(hub.router().counters().get(Counter::ClosedSilent), 2);
    net.stations.iter_mut().for_each(|s| s.heard.clear());
    net.all_ready();
    joined(&mut net, 1);
    assert!(net.hub.as_ref().unwrap().counts().accepted >= before + 2);
}

#[test]
fn a_station_too_many_is_told_and_takes_a_place_that_becomes_free() {
    let mut net = Net::with_hub(9, 512);
    for name in ["1", "2", "3", "4", "5", "6", "7", "8"] {
        net.station(name, 512);
    }
    net.all_ready();
    let late = net.station("9", 512);
    net.until("told why", |net| heard(net, late, &Heard::Closing(Code::Full)));
    net.until("and closed", |net| heard(net, late, &Heard::Disconnected(Why::Told(Code::Full))));
    assert_eq!(net.hub.as_ref().unwrap().counts().refused, 1);
    assert!((0..8).all(|i| net.stations[i].link.client().is_ready()), "the others go on");
    let now = net.now;
    net.stations[0].link.client().goodbye(now);
    net.until("its turn", |net| net.stations[late].link.client().is_ready());
}

#[test]
fn sockets_are_used_again_and_again() {
    let mut net = Net::with_hub(2, 64);
    let a = net.station("a", 64);
    for round in 1..=20 {
        net.until("ready", |net| net.stations[a].link.client().is_ready());
        let now = net.now;
        net.stations[a].link.client().goodbye(now);
        net.until("gone", |net| net.hub.as_mut().unwrap().router().usage()[0].used == 0);
        net.run(5);
        let now = net.now;
        net.stations[a].link.client().start(now);
        assert_eq!(net.hub.as_ref().unwrap().counts().accepted, round);
    }
}

/// A connection that speaks bytes, without a client.
fn bare(net: &mut Net, port: u16) -> smoltcp::iface::SocketHandle {
    let handle = net.socket(256);
    let socket = net.sockets.get_mut::<tcp::Socket<'_>>(handle);
    socket.connect(net.interface.context(), Net::remote(), port).unwrap();
    net.until("connected", |net| net.sockets.get::<tcp::Socket<'_>>(handle).may_send());
    handle
}

#[test]
fn nonsense_costs_only_who_talks_it() {
    let mut net = pair(512, 512);
    let start = net.now;
    for (n, nonsense) in
        [&[0xff; 64][..], &[0; 136], &[9, 0, 0, 0].repeat(16), &[1, 0xff, 0xff, 0xff], &[0, 0, 1, 0, 0, 0, 0, 0]]
            .into_iter()
            .enumerate()
    {
        let handle = bare(&mut net, 2000 + n as u16);
        let socket = net.sockets.get_mut::<tcp::Socket<'_>>(handle);
        socket.send_slice(nonsense).unwrap();
        net.until("closed", |net| {
            let socket = net.sockets.get_mut::<tcp::Socket<'_>>(handle);
            if socket.can_recv() {
                socket.recv(|b| (b.len(), ())).unwrap();
            }
            !socket.may_recv()
        });
        net.sockets.get_mut::<tcp::Socket<'_>>(handle).close();
        net.run(50);
        net.sockets.remove(handle);
    }
    let counters = net.hub.as_mut().unwrap().router().counters();
    assert_eq!(counters.get(Counter::ClosedMalformed), 3, "unknown types, and a header that cannot be");
    assert_eq!(counters.get(Counter::ClosedNotIntroduced), 2, "frames too long for who is not introduced");
    assert!(net.now.since(start).millis() < 1000, "at once");
    assert!(net.stations.iter_mut().all(|s| s.link.client().is_ready()));
    let now = net.now;
    let seq = net.stations[0].link.client().call(now, &letter("echo", "SAY", b"x")).unwrap();
    net.until("served", |net| heard(net, 0, &Heard::Reply { seq, code: Code::Ok, body: b"x".to_vec() }));
}

#[test]
fn who_says_nothing_and_who_leaves_half_a_frame_lose_their_place() {
    let mut net = Net::with_hub(2, 512);
    let silent = bare(&mut net, 2000);
    let half = bare(&mut net, 2001);
    net.sockets.get_mut::<tcp::Socket<'_>>(half).send_slice(&[1, 0, 0, 100, 1, 2, 3]).unwrap();
    net.run(5);
    assert_eq!(net.hub.as_mut().unwrap().router().usage()[0].used, 2);
    net.until("both gone", |net| net.hub.as_mut().unwrap().router().usage()[0].used == 0);
    for handle in [silent, half] {
        // They do not even close: the hub takes its sockets back all the same.
        assert!(net.sockets.get::<tcp::Socket<'_>>(handle).may_send());
    }
    net.run(2500);
    assert_eq!(net.hub.as_ref().unwrap().counts().reset, 2);
    let a = net.station("a", 512);
    net.until("a place", |net| net.stations[a].link.client().is_ready());
}

#[test]
fn a_station_that_does_not_read_costs_only_itself() {
    let mut net = pair(256, 256);
    // a third one joins by hand and never reads
    let deaf = bare(&mut net, 2000);
    let hello = [1, 0, 0, 2, 0x0a, 0];
    // member 2 (Join): field 2 (name) "echo"
    let join = [1, 0, 0, 8, 0x12, 6, 0x12, 4, b'e', b'c', b'h', b'o'];
    let socket = net.sockets.get_mut::<tcp::Socket<'_>>(deaf);
    socket.send_slice(&hello).unwrap();
    socket.send_slice(&join).unwrap();
    net.run(20);
    let mut sent = 0;
    let start = net.now;
    let count = |net: &Net| net.stations[1].heard.iter().filter(|h| matches!(h, Heard::Message { .. })).count();
    while sent < 200 {
        if net.stations[0].link.client().send(&letter("echo", "N", &[7; 100])).is_ok() {
            sent += 1;
        }
        net.turn();
    }
    net.until("the other one hears all", |net| count(net) == 200);
    assert!(net.now.since(start).millis() < 2000, "at its own speed: {:?}", net.now.since(start));
    let slow = |net: &mut Net| net.hub.as_mut().unwrap().router().counters().get(Counter::ClosedSlow);
    net.until("the deaf one is closed", |net| {
        let _ = net.stations[0].link.client().send(&letter("echo", "N", &[7; 100]));
        slow(net) == 1 || net.hub.as_mut().unwrap().router().counters().get(Counter::ClosedSilent) == 1
    });
    assert_eq!(PORT, Net::remote().port);
}
