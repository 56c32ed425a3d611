//! A board that knows no address: it finds a node, connects, and finds it again when it has moved.

mod common;

use chappe_core::discovery::{ANSWER, Answer, Ports, Question, Responder, Scheme};
use chappe_core::time::{Duration, Instant};
use chappe_smoltcp::discovery::Discovery;
use common::{Heard, Net, PORT, bytes, client};
use smoltcp::iface::SocketHandle;
use smoltcp::socket::udp;
use smoltcp::wire::{IpAddress, IpEndpoint};

use chappe_smoltcp::client::TcpClient;

const QUESTIONS: u16 = chappe_core::discovery::PORT;

fn socket(net: &mut Net, packets: usize) -> SocketHandle {
    let buffer = || udp::PacketBuffer::new(vec![udp::PacketMetadata::EMPTY; packets], vec![0; 256 * packets]);
    let socket = udp::Socket::new(buffer(), buffer());
    net.sockets.add(socket)
}

/// A node's ear on the same network; without multicast, as smoltcp is here.
fn ear(net: &mut Net) -> SocketHandle {
    let ear = socket(net, 32);
    net.sockets.get_mut::<udp::Socket<'_>>(ear).bind(QUESTIONS).unwrap();
    ear
}

/// All questions that have come, with where from.
fn questions(net: &mut Net, ear: SocketHandle) -> Vec<(Vec<u8>, IpEndpoint)> {
    let socket = net.sockets.get_mut::<udp::Socket<'_>>(ear);
    std::iter::from_fn(|| socket.recv().ok().map(|(data, from)| (data.to_vec(), from.endpoint))).collect()
}

fn say(net: &mut Net, ear: SocketHandle, datagram: &[u8], to: IpEndpoint) {
    net.sockets.get_mut::<udp::Socket<'_>>(ear).send_slice(datagram, to).unwrap();
}

fn found(nonce: u64, node: &str, tcp: u16) -> Vec<u8> {
    let mut ports = Ports::NONE;
    ports.set(Scheme::Tcp, tcp);
    let mut out = [0; ANSWER];
    let n = Answer { nonce, node, ports }.write(&mut out);
    out[..n].to_vec()
}

/// The node answers as the core says.
fn answer(net: &mut Net, ear: SocketHandle, responder: &mut Responder, port: u16) {
    for (question, from) in questions(net, ear) {
        let Ok(q) = responder.hear(net.now, from.addr.into(), &question, "hub") else { continue };
        let mut ports = Ports::NONE;
        ports.set(Scheme::Tcp, port);
        let mut out = [0; ANSWER];
        let n = Responder::answer(&q, "hub", ports, &mut out).unwrap();
        say(net, ear, &out[..n], from);
    }
}

/// Turns until it is found.
fn search(net: &mut Net, discovery: &mut Discovery<'_>, mut each: impl FnMut(&mut Net)) -> IpEndpoint {
    for _ in 0..60_000 {
        if let Some(node) = discovery.poll(net.now, &net.interface, &mut net.sockets) {
            return node;
        }
        net.turn();
        each(net);
    }
    panic!("never found");
}

#[test]
fn a_board_finds_its_hub_and_connects() {
    let mut net = Net::with_hub(4, 512);
    let ear = ear(&mut net);
    let socket = socket(&mut net, 2);
    let mut discovery = Discovery::new("", socket, 77, net.now);
    let mut responder = Responder::new();
    let begun = net.now;
    let node = search(&mut net, &mut discovery, |net| answer(net, ear, &mut responder, PORT));
    assert_eq!(node, IpEndpoint::new(IpAddress::v4(127, 0, 0, 1), PORT));
    // The group was not heard; a second later everybody was asked.
    assert!((500..=1100).contains(&net.now.since(begun).millis()));
    assert_eq!(discovery.deadline(), None, "it asks no more");
    assert_eq!(discovery.poll(net.now, &net.interface, &mut net.sockets), None);

    // Its first place is wrong until it is told the right one.
    let tcp = net.socket(512);
    let mut link = TcpClient::new(client("b", 5, net.now), bytes(512), tcp, IpEndpoint::new(node.addr, 1), 5);
    link.set_remote(node);
    net.stations.push(common::Station { link, heard: vec![], echoes: false });
    net.all_ready();
}

#[test]
fn a_node_that_has_moved_is_found_again() {
    let mut net = Net::with_hub(4, 512);
    let ear = ear(&mut net);
    let socket = socket(&mut net, 2);
    let mut discovery = Discovery::new("hub", socket, 78, net.now);
    let mut responder = Responder::new();
    // There is nobody at that port.
    let wrong = search(&mut net, &mut discovery, |net| answer(net, ear, &mut responder, 9));
    let tcp = net.socket(512);
    let link = TcpClient::new(client("b", 5, net.now), bytes(512), tcp, wrong, 5);
    net.stations.push(common::Station { link, heard: vec![], echoes: false });
    net.until("nobody is there", |net| net.stations[0].heard.iter().any(|h| matches!(h, Heard::Disconnected(_))));
    let now = net.now;
    discovery.search(now);
    assert_eq!(discovery.deadline(), Some(now), "at once");
    let right = search(&mut net, &mut discovery, |net| answer(net, ear, &mut responder, PORT));
    assert_eq!(right.port, PORT);
    net.stations[0].link.set_remote(right);
    net.all_ready();
}

#[test]
fn a_search_that_is_under_way_is_not_hurried() {
    let mut net = Net::new();
    let ear = ear(&mut net);
    let socket = socket(&mut net, 2);
    let mut discovery = Discovery::new("", socket, 79, net.now);
    let mut count = 0;
    for _ in 0..60_000 {
        discovery.search(net.now);
        assert_eq!(discovery.poll(net.now, &net.interface, &mut net.sockets), None);
        net.turn();
        count += questions(&mut net, ear).len();
    }
    // 1, 2, 4, 8, 16 and 32 seconds at most, half of that at least; every second question is broadcast.
    assert!((3..=4).contains(&count), "{count}");
}

#[test]
fn answers_that_do_not_count_are_stepped_over() {
    let mut net = Net::new();
    let ear = ear(&mut net);
    let socket = socket(&mut net, 2);
    let mut discovery = Discovery::new("", socket, 80, net.now);
    let mut told = 0u32;
    let mut honest = Instant::from_millis(u64::MAX);
    let mut nonce_and_to = None;
    let node = search(&mut net, &mut discovery, |net| {
        for (question, from) in questions(net, ear) {
            let nonce = Question::read(&question).unwrap().nonce;
            nonce_and_to = Some((nonce, from));
            honest = honest.min(net.now + Duration::from_secs(5));
        }
        let Some((nonce, to)) = nonce_and_to else { return };
        if net.now >= honest {
            return say(net, ear, &found(nonce, "x", 7), to);
        }
        let bad = [
            found(nonce ^ 1, "x", 1),
            found(nonce.wrapping_add(1), "x", 1),
            found(0, "x", 1),
            found(nonce, "x", 0),
            b"FOUND".to_vec(),
            vec![0; 256],
            [&found(nonce, "x", 1)[..], b"\n"].concat(),
        ];
        for datagram in &bad {
            say(net, ear, datagram, to);
            told += 1;
        }
    });
    assert!(told > 10_000, "{told}");
    assert_eq!(node.port, 7);
}
