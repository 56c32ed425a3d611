//! The yardstick for sizes: this board and smoltcp alone. It connects to the daemon's port, throws away what comes,
//! and connects again when the connection is lost. `sensor` minus this is what Chappe and the application cost.
#![no_std]
#![no_main]

use cortex_m_rt::entry;
use lm3s6965_board::board::Lm3s6965;
use lm3s6965_board::ethernet::Frames;
use lm3s6965_board::{info, semihosting, settings};
use sensor_app::Board;
use smoltcp::iface::{Config, Interface, SocketSet, SocketStorage};
use smoltcp::socket::tcp;
use smoltcp::time::{Duration, Instant};
use smoltcp::wire::{EthernetAddress, IpAddress, IpCidr};

#[entry]
fn main() -> ! {
    static mut FRAMES: Frames = Frames::new();
    static mut RX: [u8; 1024] = [0; 1024];
    static mut TX: [u8; 1024] = [0; 1024];
    static mut SLOTS: [SocketStorage<'static>; 1] = [SocketStorage::EMPTY; 1];

    let mut board = Lm3s6965::start();
    let line = semihosting::command_line();
    let mut device = board.ethernet(FRAMES);
    let seed = board.seed();
    let mut config = Config::new(EthernetAddress(device.address()).into());
    config.random_seed = seed;
    let mut interface = Interface::new(config, &mut device, Instant::ZERO);
    interface.update_ip_addrs(|a| a.push(IpCidr::new(IpAddress::Ipv4(settings::own(&line)), 24)).expect("the first"));
    let mut sockets = SocketSet::new(&mut SLOTS[..]);
    let handle =
        sockets.add(tcp::Socket::new(tcp::SocketBuffer::new(&mut RX[..]), tcp::SocketBuffer::new(&mut TX[..])));
    let remote = settings::remote(&line);
    let mut port = 49152 + (seed % 16384) as u16;
    let mut retry = Instant::ZERO;
    info!("baseline: {=str} connects to port {=u16}", board.name(), remote.port);

    loop {
        let now = Instant::from_millis(board.clock.millis() as i64);
        device.poll(now, &mut interface, &mut sockets);
        let socket = sockets.get_mut::<tcp::Socket<'_>>(handle);
        if socket.can_recv() {
            let warm = board.temperature() > 3400;
            board.set_led(warm);
            let _ = socket.recv(|data| (data.len(), ()));
        } else if socket.state() == tcp::State::CloseWait {
            socket.close();
        } else if !socket.is_open() && now >= retry {
            retry = now + Duration::from_secs(1);
            port = if port == u16::MAX { 49152 } else { port + 1 };
            socket.set_nagle_enabled(false);
            socket.set_ack_delay(None);
            let _ = socket.connect(interface.context(), remote, port);
        }
        board.sleep_until_frame(&device);
    }
}
