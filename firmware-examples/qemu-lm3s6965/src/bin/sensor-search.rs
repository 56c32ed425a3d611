//! The sensor over Ethernet that knows no address: searches its network for a daemon, connects by TCP, publishes,
//! obeys, comes back by itself, and searches again when its daemon is gone.
//!
//! Semihosting command line, all optional: `id=b1 node=NAME search=4040 address=10.0.2.15`; `node`: only the daemon of
//! that name, `search`: the UDP port where daemons listen for questions.
#![no_std]
#![no_main]

use chappe_core::client::{Call, Client, Event, Memory, Options};
use chappe_core::time::{Duration, Instant};
use chappe_smoltcp::client::TcpClient;
use chappe_smoltcp::discovery::Discovery;
use cortex_m_rt::entry;
use lm3s6965_board::board::Lm3s6965;
use lm3s6965_board::ethernet::Frames;
use lm3s6965_board::semihosting::CommandLine;
use lm3s6965_board::{info, report, semihosting, settings};
use sensor_app::{Identity, Sensor, Used};
use smoltcp::iface::{Config, Interface, SocketSet, SocketStorage};
use smoltcp::socket::{tcp, udp};
use smoltcp::wire::{EthernetAddress, IpAddress, IpCidr};

#[entry]
fn main() -> ! {
    static mut FRAMES: Frames = Frames::new();
    static mut RX: [u8; 1024] = [0; 1024];
    static mut TX: [u8; 1024] = [0; 1024];
    static mut SLOTS: [SocketStorage<'static>; 2] = [SocketStorage::EMPTY; 2];
    // One question, and the answers of two nodes.
    static mut QUESTION: [u8; 256] = [0; 256];
    static mut QUESTIONS: [udp::PacketMetadata; 1] = [udp::PacketMetadata::EMPTY; 1];
    static mut ANSWERED: [u8; 512] = [0; 512];
    static mut ANSWERS: [udp::PacketMetadata; 2] = [udp::PacketMetadata::EMPTY; 2];
    // The client's buffers: a burst of readings, one join, four requests, one incoming frame.
    static mut OUTBOX: [u8; 512] = [0; 512];
    static mut SCRIPT: [u8; 48] = [0; 48];
    static mut CALLS: [Call; 4] = [Call::FREE; 4];
    static mut INBOX: [u8; 256] = [0; 256];
    static mut IDENTITY: Option<Identity> = None;
    static mut LINE: Option<CommandLine> = None;

    let mut board = Lm3s6965::start();
    // It stays: the name of the node is in it.
    let line: &'static CommandLine = LINE.insert(semihosting::command_line());
    let identity: &'static Identity = IDENTITY.insert(Identity::new(settings::id(line)));
    let mut device = board.ethernet(FRAMES);
    let seed = board.seed();
    let mut config = Config::new(EthernetAddress(device.address()).into());
    config.random_seed = seed;
    let mut interface = Interface::new(config, &mut device, smoltcp::time::Instant::ZERO);
    interface.update_ip_addrs(|a| a.push(IpCidr::new(IpAddress::Ipv4(settings::own(line)), 24)).expect("the first"));
    let mut sockets = SocketSet::new(&mut SLOTS[..]);
    let socket =
        sockets.add(tcp::Socket::new(tcp::SocketBuffer::new(&mut RX[..]), tcp::SocketBuffer::new(&mut TX[..])));

    let ear = sockets.add(udp::Socket::new(
        udp::PacketBuffer::new(&mut ANSWERS[..], &mut ANSWERED[..]),
        udp::PacketBuffer::new(&mut QUESTIONS[..], &mut QUESTION[..]),
    ));

    let options = Options {
        name: identity.station(),
        software: concat!("qemu-lm3s6965 ", env!("CARGO_PKG_VERSION")),
        silence: Duration::from_secs(3),
        seed,
        ..Options::default()
    };
    let memory = Memory { outbox: OUTBOX, script: SCRIPT, calls: CALLS };
    let now = Instant::from_millis(board.clock.millis());
    let mut link = TcpClient::new(Client::new(memory, options, now), INBOX, socket, settings::remote(line), seed);
    let mut discovery = Discovery::new(settings::node(line), ear, seed, now);
    discovery.set_port(settings::search(line));
    let mut known = false;
    let mut sensor = Sensor::new(identity);
    sensor.begin(link.client()).expect("the script has room for one join");
    info!("sensor: {=str} searches for {=str}", identity.station(), settings::node(line));

    loop {
        let now = Instant::from_millis(board.clock.millis());
        device.poll(chappe_smoltcp::to_smoltcp(now), &mut interface, &mut sockets);
        sensor.poll(now, &mut board, link.client());
        if let Some(node) = discovery.poll(now, &interface, &mut sockets) {
            info!("sensor: found a node at port {=u16}", node.port);
            link.set_remote(node);
            known = true;
        }
        if known {
            link.poll_only::<Used>(now, &mut interface, &mut sockets, |client, event| {
                report(&event);
                // Back soon, or somewhere else: the old place is tried again meanwhile.
                if let Event::Disconnected { .. } = event {
                    discovery.search(now);
                }
                sensor.event(now, &mut board, client, event);
            });
        }
        // What was written just now goes out before the sleep.
        device.poll(chappe_smoltcp::to_smoltcp(now), &mut interface, &mut sockets);
        // At most 10 ms, which is sooner than any deadline needs.
        board.sleep_until_frame(&device);
    }
}
