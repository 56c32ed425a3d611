//! The least that uses all of the client: hello, join, publish, call, answer, values, flags, reconnect. `least` minus
//! `baseline` is what Chappe costs; `sensor` minus `least` is the application. It joins `least`, and answers every question
//! there with one octet, which it also publishes, keeps as a value, and turns into a flag.
#![no_std]
#![no_main]

use chappe_core::client::{Call, Client, Event, Memory, Options, SendError};
use chappe_core::dialect::messi::repr::{Answer, Flag, Join, Letter, Store, StoreOp};
use chappe_core::time::{Duration, Instant};
use chappe_smoltcp::client::TcpClient;
use cortex_m_rt::entry;
use lm3s6965_board::board::Lm3s6965;
use lm3s6965_board::ethernet::Frames;
use lm3s6965_board::{info, semihosting, settings};
use sensor_app::{Board, Used};
use smoltcp::iface::{Config, Interface, SocketSet, SocketStorage};
use smoltcp::socket::tcp;
use smoltcp::wire::{EthernetAddress, IpAddress, IpCidr};

const NAME: &str = "least";

fn event(now: Instant, warm: bool, client: &mut Client<'_>, event: Event<'_>) -> Result<(), SendError> {
    let reading: &[u8] = if warm { b"1" } else { b"0" };
    match event {
        Event::Ready(_) => {
            client.store(now, &Store { op: StoreOp::Get, name: NAME, ..Store::default() })?;
            client.call(now, &Letter { name: "operator", verb: "HERE", ..Letter::default() })?;
        }
        Event::Message(letter) if letter.ask_id != 0 => {
            client.answer(&Answer { ask_id: letter.ask_id, body: reading, ..Answer::default() })?;
            // published and kept
            let store = Store { op: StoreOp::Set, name: NAME, value: reading, announce: true, ..Store::default() };
            client.store_blindly(&store)?;
            let flag = Flag { raise: warm, unit: "least", section: "x", name: "warm", ..Flag::default() };
            client.flag(now, &flag)?;
        }
        _ => {}
    }
    Ok(())
}

#[entry]
fn main() -> ! {
    static mut FRAMES: Frames = Frames::new();
    static mut RX: [u8; 1024] = [0; 1024];
    static mut TX: [u8; 1024] = [0; 1024];
    static mut SLOTS: [SocketStorage<'static>; 1] = [SocketStorage::EMPTY; 1];
    static mut OUTBOX: [u8; 512] = [0; 512];
    static mut SCRIPT: [u8; 48] = [0; 48];
    static mut CALLS: [Call; 4] = [Call::FREE; 4];
    static mut INBOX: [u8; 256] = [0; 256];

    let mut board = Lm3s6965::start();
    let line = semihosting::command_line();
    let mut device = board.ethernet(FRAMES);
    let seed = board.seed();
    let mut config = Config::new(EthernetAddress(device.address()).into());
    config.random_seed = seed;
    let mut interface = Interface::new(config, &mut device, smoltcp::time::Instant::ZERO);
    interface.update_ip_addrs(|a| a.push(IpCidr::new(IpAddress::Ipv4(settings::own(&line)), 24)).expect("the first"));
    let mut sockets = SocketSet::new(&mut SLOTS[..]);
    let socket =
        sockets.add(tcp::Socket::new(tcp::SocketBuffer::new(&mut RX[..]), tcp::SocketBuffer::new(&mut TX[..])));

    let options = Options { name: NAME, silence: Duration::from_secs(3), seed, ..Options::default() };
    let memory = Memory { outbox: OUTBOX, script: SCRIPT, calls: CALLS };
    let now = Instant::from_millis(board.clock.millis());
    let mut link = TcpClient::new(Client::new(memory, options, now), INBOX, socket, settings::remote(&line), seed);
    if link.client().join(&Join { name: NAME, ..Join::default() }).is_err() {
        info!("no room in the script");
    }

    loop {
        let now = Instant::from_millis(board.clock.millis());
        device.poll(chappe_smoltcp::to_smoltcp(now), &mut interface, &mut sockets);
        let warm = board.temperature() > 3400;
        board.set_led(warm);
        link.poll_only::<Used>(now, &mut interface, &mut sockets, |client, e| {
            if let Err(what) = event(now, warm, client, e) {
                info!("not sent: {=str}", what.text());
            }
        });
        device.poll(chappe_smoltcp::to_smoltcp(now), &mut interface, &mut sockets);
        board.sleep_until_frame(&device);
    }
}
