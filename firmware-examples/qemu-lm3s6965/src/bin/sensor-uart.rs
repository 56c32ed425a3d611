//! The sensor over a serial line: UART 0, no network stack.
//!
//! Semihosting command line, optional: `id=b1`.
#![no_std]
#![no_main]

use chappe_core::client::{Call, Client, Memory, Options};
use chappe_core::time::{Duration, Instant};
use chappe_smoltcp::stream::{Line, STRIKES, StreamClient};
use cortex_m_rt::entry;
use lm3s6965_board::board::Lm3s6965;
use lm3s6965_board::{info, report, semihosting, settings};
use sensor_app::{Identity, Sensor, Used};

#[entry]
fn main() -> ! {
    static mut OUTBOX: [u8; 512] = [0; 512];
    static mut SCRIPT: [u8; 48] = [0; 48];
    static mut CALLS: [Call; 4] = [Call::FREE; 4];
    static mut INBOX: [u8; 256] = [0; 256];
    static mut IDENTITY: Option<Identity> = None;

    let line = Line { fill: OUTBOX.len() + STRIKES, ..Line::default() };
    let mut board = Lm3s6965::start();
    let words = semihosting::command_line();
    let identity: &'static Identity = IDENTITY.insert(Identity::new(settings::id(&words)));
    let mut uart = board.uart();
    let seed = board.seed();
    let options = Options {
        name: identity.station(),
        software: concat!("qemu-lm3s6965 ", env!("CARGO_PKG_VERSION")),
        silence: Duration::from_secs(3),
        // A line that answers does so within milliseconds.
        hello_timeout: Duration::from_secs(2),
        seed,
        ..Options::default()
    };
    let memory = Memory { outbox: OUTBOX, script: SCRIPT, calls: CALLS };
    let now = Instant::from_millis(board.clock.millis());
    let mut link = StreamClient::new(Client::new(memory, options, now), INBOX, line);
    let mut sensor = Sensor::new(identity);
    sensor.begin(link.client()).expect("the script has room for one join");
    info!("sensor-uart: {=str}", identity.station());

    // The other end may have been switched on together with this one, and QEMU joins the line to its socket a moment
    // after the start: a hello that is lost costs seconds, this a fifth of one.
    while board.clock.millis() < 200 {
        board.sleep_until_input();
    }

    loop {
        let now = Instant::from_millis(board.clock.millis());
        sensor.poll(now, &mut board, link.client());
        let wake = link.poll_only::<Used, _>(now, &mut uart, |client, event| {
            report(&event);
            sensor.event(now, &mut board, client, event);
        });
        // While something is to be written the line is asked again at once.
        if wake != Some(now) {
            board.sleep_until_input();
        }
    }
}
