//! The sensor over Ethernet: connects to the daemon by TCP, publishes, obeys, and comes back by itself.
//!
//! Semihosting command line, all optional: `id=b1 host=10.0.2.2 port=7840 address=10.0.2.15`.
#![no_std]
#![no_main]

use chappe_core::client::{Call, Client, Memory, Options};
use chappe_core::time::{Duration, Instant};
use chappe_smoltcp::client::TcpClient;
use cortex_m_rt::entry;
use lm3s6965_board::board::Lm3s6965;
use lm3s6965_board::ethernet::Frames;
use lm3s6965_board::{info, report, semihosting, settings};
use sensor_app::{Identity, Sensor, Used};
use smoltcp::iface::{Config, Interface, SocketSet, SocketStorage};
use smoltcp::socket::tcp;
use smoltcp::wire::{EthernetAddress, IpAddress, IpCidr};

#[entry]
fn main() -> ! {
    static mut FRAMES: Frames = Frames::new();
    static mut RX: [u8; 1024] = [0; 1024];
    static mut TX: [u8; 1024] = [0; 1024];
    static mut SLOTS: [SocketStorage<'static>; 1] = [SocketStorage::EMPTY; 1];
    // The client's buffers: a burst of readings, one join, four requests, one incoming frame.
    static mut OUTBOX: [u8; 512] = [0; 512];
    static mut SCRIPT: [u8; 48] = [0; 48];
    static mut CALLS: [Call; 4] = [Call::FREE; 4];
    static mut INBOX: [u8; 256] = [0; 256];
    static mut IDENTITY: Option<Identity> = None;

    let mut board = Lm3s6965::start();
    let line = semihosting::command_line();
    let identity: &'static Identity = IDENTITY.insert(Identity::new(settings::id(&line)));
    let mut device = board.ethernet(FRAMES);
    let seed = board.seed();
    let mut config = Config::new(EthernetAddress(device.address()).into());
    config.random_seed = seed;
    let mut interface = Interface::new(config, &mut device, smoltcp::time::Instant::ZERO);
    interface.update_ip_addrs(|a| a.push(IpCidr::new(IpAddress::Ipv4(settings::own(&line)), 24)).expect("the first"));
    let mut sockets = SocketSet::new(&mut SLOTS[..]);
    let socket =
        sockets.add(tcp::Socket::new(tcp::SocketBuffer::new(&mut RX[..]), tcp::SocketBuffer::new(&mut TX[..])));

    let options = Options {
        name: identity.station(),
        software: concat!("qemu-lm3s6965 ", env!("CARGO_PKG_VERSION")),
        silence: Duration::from_secs(3),
        seed,
        ..Options::default()
    };
    let memory = Memory { outbox: OUTBOX, script: SCRIPT, calls: CALLS };
    let now = Instant::from_millis(board.clock.millis());
    let mut link = TcpClient::new(Client::new(memory, options, now), INBOX, socket, settings::remote(&line), seed);
    let mut sensor = Sensor::new(identity);
    sensor.begin(link.client()).expect("the script has room for one join");
    info!("sensor: {=str} connects to port {=u16}", identity.station(), settings::remote(&line).port);

    loop {
        let now = Instant::from_millis(board.clock.millis());
        device.poll(chappe_smoltcp::to_smoltcp(now), &mut interface, &mut sockets);
        sensor.poll(now, &mut board, link.client());
        link.poll_only::<Used>(now, &mut interface, &mut sockets, |client, event| {
            report(&event);
            sensor.event(now, &mut board, client, event);
        });
        // What was written just now goes out before the sleep.
        device.poll(chappe_smoltcp::to_smoltcp(now), &mut interface, &mut sockets);
        // At most 10 ms, which is sooner than any deadline needs.
        board.sleep_until_frame(&device);
    }
}
