//! The sensor on a NUCLEO-H753ZI: gets an address by DHCP, connects to the daemon, publishes, obeys, and comes back by
//! itself. The application is the same as on QEMU's board.
//!
//! Owns: setting up clocks, pins and Ethernet, and the main loop. Set at build time: `CHAPPE_ID` (b1) and `CHAPPE_HOST`,
//! the daemon's IPv4 address and port (192.168.1.10:7840).
#![no_std]
#![no_main]

mod board;
mod polled;

use core::str::FromStr;

use board::Nucleo;
use chappe_core::client::{Call, Client, Event, Memory, Options};
use chappe_core::time::{Duration, Instant};
use chappe_smoltcp::client::TcpClient;
use cortex_m::peripheral::syst::SystClkSource;
use cortex_m_rt::{entry, exception};
use defmt::{info, warn};
use embassy_stm32::adc::Adc;
use embassy_stm32::eth::{self, Ethernet, PacketQueue};
use embassy_stm32::gpio::{Input, Level, Output, Pull, Speed};
use embassy_stm32::peripherals::RNG;
use embassy_stm32::rcc::{
    AHBPrescaler, APBPrescaler, HSIPrescaler, Hsi48Config, Pll, PllDiv, PllMul, PllPreDiv, PllSource, Sysclk,
    VoltageScale, mux,
};
use embassy_stm32::rng::{self, Rng};
use embassy_stm32::{Config, bind_interrupts, uid};
use polled::Polled;
use sensor_app::{Identity, Sensor, Used};
use smoltcp::iface::{Interface, SocketSet, SocketStorage};
use smoltcp::socket::{dhcpv4, tcp};
use smoltcp::wire::{EthernetAddress, IpCidr, IpEndpoint};
use static_cell::{ConstStaticCell, StaticCell};
use {defmt_rtt as _, panic_probe as _};

bind_interrupts!(struct Irqs {
    ETH => eth::InterruptHandler;
    HASH_RNG => rng::InterruptHandler<RNG>;
});

const ID: &str = match option_env!("CHAPPE_ID") {
    Some(id) => id,
    None => "b1",
};
const HOST: &str = match option_env!("CHAPPE_HOST") {
    Some(host) => host,
    None => "192.168.1.10:7840",
};

static QUEUE: StaticCell<PacketQueue<4, 4>> = StaticCell::new();
static RX: ConstStaticCell<[u8; 2048]> = ConstStaticCell::new([0; 2048]);
static TX: ConstStaticCell<[u8; 2048]> = ConstStaticCell::new([0; 2048]);
static SLOTS: ConstStaticCell<[SocketStorage<'static>; 2]> = ConstStaticCell::new([SocketStorage::EMPTY; 2]);
static OUTBOX: ConstStaticCell<[u8; 512]> = ConstStaticCell::new([0; 512]);
static SCRIPT: ConstStaticCell<[u8; 48]> = ConstStaticCell::new([0; 48]);
static CALLS: ConstStaticCell<[Call; 4]> = ConstStaticCell::new([Call::FREE; 4]);
static INBOX: ConstStaticCell<[u8; 256]> = ConstStaticCell::new([0; 256]);
static IDENTITY: StaticCell<Identity> = StaticCell::new();

/// Ends a sleep every 10 ms; the time itself is embassy's.
#[exception]
fn SysTick() {}

/// 400 MHz from the internal oscillator, so that no solder bridge matters; the RNG has its own.
fn clocks() -> Config {
    let mut config = Config::default();
    config.rcc.hsi = Some(HSIPrescaler::DIV1);
    config.rcc.csi = true;
    config.rcc.hsi48 = Some(Hsi48Config::default());
    config.rcc.pll1 = Some(Pll {
        source: PllSource::HSI,
        prediv: PllPreDiv::DIV4,
        mul: PllMul::MUL50,
        divp: Some(PllDiv::DIV2),
        divq: None,
        divr: None,
    });
    config.rcc.sys = Sysclk::PLL1_P;
    config.rcc.ahb_pre = AHBPrescaler::DIV2;
    config.rcc.apb1_pre = APBPrescaler::DIV2;
    config.rcc.apb2_pre = APBPrescaler::DIV2;
    config.rcc.apb3_pre = APBPrescaler::DIV2;
    config.rcc.apb4_pre = APBPrescaler::DIV2;
    config.rcc.voltage_scale = VoltageScale::Scale1;
    config.rcc.mux.adcsel = mux::Adcsel::PER;
    config
}

fn now() -> Instant {
    Instant::from_millis(embassy_time::Instant::now().as_millis())
}

#[entry]
fn main() -> ! {
    let p = embassy_stm32::init(clocks());
    let core = cortex_m::Peripherals::take().expect("main runs once");
    let mut systick = core.SYST;
    systick.set_clock_source(SystClkSource::Core);
    systick.set_reload(400_000_000 / 100 - 1);
    systick.clear_current();
    systick.enable_interrupt();
    systick.enable_counter();

    // Yellow LED LD2, blue button B1.
    let led = Output::new(p.PE1, Level::Low, Speed::Low);
    let button = Input::new(p.PC13, Pull::Down);
    let mut board = Nucleo::new(Adc::new(p.ADC3), led, button);

    let seed = Rng::new(p.RNG, Irqs).next_u64();
    // Locally administered, and the chip's own number: different for every board, the same at each start.
    let unique = uid::uid();
    let mac = [2, 0, unique[0] ^ unique[8], unique[2] ^ unique[10], unique[4], unique[6]];
    let ethernet = Ethernet::new(
        QUEUE.init(PacketQueue::new()),
        p.ETH,
        Irqs,
        p.PA1,
        p.PA7,
        p.PC4,
        p.PC5,
        p.PG13,
        p.PB13,
        p.PG11,
        mac,
        p.ETH_SMA,
        p.PA2,
        p.PC1,
    );
    let mut device = Polled(ethernet);
    let mut config = smoltcp::iface::Config::new(EthernetAddress(mac).into());
    config.random_seed = seed;
    let mut interface = Interface::new(config, &mut device, chappe_smoltcp::to_smoltcp(now()));
    let mut sockets = SocketSet::new(&mut SLOTS.take()[..]);
    let dhcp = sockets.add(dhcpv4::Socket::new());
    let socket = sockets
        .add(tcp::Socket::new(tcp::SocketBuffer::new(&mut RX.take()[..]), tcp::SocketBuffer::new(&mut TX.take()[..])));

    let remote = match core::net::SocketAddrV4::from_str(HOST) {
        Ok(host) => IpEndpoint::from(host),
        Err(_) => panic!("CHAPPE_HOST must be an IPv4 address and a port, such as 192.168.1.10:7840"),
    };
    let identity: &'static Identity = IDENTITY.init(Identity::new(ID));
    let options = Options {
        name: identity.station(),
        software: concat!("nucleo-h753zi ", env!("CARGO_PKG_VERSION")),
        silence: Duration::from_secs(3),
        seed,
        ..Options::default()
    };
    let memory = Memory { outbox: OUTBOX.take(), script: SCRIPT.take(), calls: CALLS.take() };
    let mut link = TcpClient::new(Client::new(memory, options, now()), INBOX.take(), socket, remote, seed);
    let mut sensor = Sensor::new(identity);
    sensor.begin(link.client()).expect("the script has room for one join");
    info!("{=str} connects to {=str}", identity.station(), HOST);

    loop {
        let now = now();
        interface.poll(chappe_smoltcp::to_smoltcp(now), &mut device, &mut sockets);
        address(&mut interface, sockets.get_mut::<dhcpv4::Socket<'_>>(dhcp));
        sensor.poll(now, &mut board, link.client());
        link.poll_only::<Used>(now, &mut interface, &mut sockets, |client, event| {
            report(&event);
            sensor.event(now, &mut board, client, event);
        });
        // What was written just now goes out before the sleep.
        interface.poll(chappe_smoltcp::to_smoltcp(now), &mut device, &mut sockets);
        // An interrupt since the last time ends this at once, so no frame waits; SysTick ends it after 10 ms.
        cortex_m::asm::wfe();
    }
}

/// Follows what DHCP says.
fn address(interface: &mut Interface, dhcp: &mut dhcpv4::Socket<'_>) {
    match dhcp.poll() {
        None => {}
        Some(dhcpv4::Event::Configured(lease)) => {
            info!("address {}", defmt::Display2Format(&lease.address));
            interface.update_ip_addrs(|a| {
                a.clear();
                // One address: the table has room for it.
                let _ = a.push(IpCidr::Ipv4(lease.address));
            });
            if let Some(router) = lease.router {
                let _ = interface.routes_mut().add_default_ipv4_route(router);
            } else {
                interface.routes_mut().remove_default_ipv4_route();
            }
        }
        Some(dhcpv4::Event::Deconfigured) => {
            warn!("no address");
            interface.update_ip_addrs(|a| a.clear());
            interface.routes_mut().remove_default_ipv4_route();
        }
    }
}

fn report(event: &Event<'_>) {
    match event {
        Event::Ready(w) => info!("ready: station {=u64} of node {=str}", w.station, w.node),
        Event::Refused(o) => warn!("refused: {=str}", o.text),
        Event::Disconnected { why, again_in, .. } => {
            warn!("{=str}; again in {=u32} ms", why.text(), again_in.millis());
        }
        _ => {}
    }
}
