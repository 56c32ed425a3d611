//! The core as a hub on the microcontroller: listens on port 7840 for up to eight stations and routes between them.
//!
//! Semihosting command line, all optional: `port=7840 address=10.0.2.15`. The LED blinks with each message passed on.
#![no_std]
#![no_main]

use chappe_core::router::{Counter, Newcomer, Open, Settings};
use chappe_core::storage::Storage;
use chappe_core::time::Instant;
use chappe_smoltcp::hub::{Hub, Slot};
use cortex_m_rt::entry;
use lm3s6965_board::board::Lm3s6965;
use lm3s6965_board::ethernet::Frames;
use lm3s6965_board::{info, semihosting, settings};
use sensor_app::Board;
use smoltcp::iface::{Config, Interface, SocketSet, SocketStorage};
use smoltcp::socket::tcp;
use smoltcp::wire::{EthernetAddress, IpAddress, IpCidr};

/// Eight stations, and one socket that tells a ninth why it cannot come.
const SOCKETS: usize = 9;
/// Longest frame. What a socket has to send waits in a buffer of this size; what it receives in one of half of it, because
/// the router takes frames in pieces.
const FRAME: usize = 512;

static GATE: Open = Open;

#[entry]
fn main() -> ! {
    static mut FRAMES: Frames = Frames::new();
    static mut RX: [[u8; FRAME / 2]; SOCKETS] = [[0; FRAME / 2]; SOCKETS];
    static mut TX: [[u8; FRAME]; SOCKETS] = [[0; FRAME]; SOCKETS];
    static mut SOCKET_SLOTS: [SocketStorage<'static>; SOCKETS] = [SocketStorage::EMPTY; SOCKETS];
    static mut SLOTS: Option<[Slot; SOCKETS]> = None;
    static mut STORAGE: Storage = Storage::new();

    let mut board = Lm3s6965::start();
    let line = semihosting::command_line();
    let mut device = board.ethernet(FRAMES);
    let mut config = Config::new(EthernetAddress(device.address()).into());
    config.random_seed = board.seed();
    let mut interface = Interface::new(config, &mut device, smoltcp::time::Instant::ZERO);
    interface.update_ip_addrs(|a| a.push(IpCidr::new(IpAddress::Ipv4(settings::own(&line)), 24)).expect("the first"));
    let mut sockets = SocketSet::new(&mut SOCKET_SLOTS[..]);
    let mut buffers = RX.iter_mut().zip(TX.iter_mut());
    let slots = SLOTS.insert(core::array::from_fn(|_| {
        let (rx, tx) = buffers.next().expect("as many buffers as sockets");
        let socket = tcp::Socket::new(tcp::SocketBuffer::new(&mut rx[..]), tcp::SocketBuffer::new(&mut tx[..]));
        Slot::new(sockets.add(socket))
    }));

    let mut about = Settings::new("lm3s6965", env!("CARGO_PKG_VERSION"), &GATE);
    about.max_frame = FRAME;
    about.outbox = 1024;
    about.page = 16;
    let now = Instant::from_millis(board.clock.millis());
    let router = match STORAGE.router(about, now) {
        Ok(router) => router,
        Err(_) => panic!("the sizes of the storage do not fit the settings"),
    };
    let port = settings::listen(&line);
    let mut hub = Hub::new(router, slots, port, Newcomer::default());
    info!("hub: {=str} listens on port {=u16}", board.name(), port);

    let mut before = (0, hub.counts());
    loop {
        let now = Instant::from_millis(board.clock.millis());
        let moved = device.poll(chappe_smoltcp::to_smoltcp(now), &mut interface, &mut sockets);
        let wake = hub.poll(now, &mut sockets);
        device.poll(chappe_smoltcp::to_smoltcp(now), &mut interface, &mut sockets);

        let passed = hub.router().counters().get(Counter::Deliveries);
        if passed != before.0 {
            let on = board.led();
            board.set_led(!on);
        }
        let counts = hub.counts();
        if counts != before.1 {
            info!("accepted {=u32}, refused {=u32}, reset {=u32}", counts.accepted, counts.refused, counts.reset);
        }
        before = (passed, counts);
        let idle = moved == smoltcp::iface::PollResult::None && wake != Some(now);
        if idle {
            board.sleep_until_frame(&device);
        }
    }
}
