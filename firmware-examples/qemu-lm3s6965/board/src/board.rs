//! The board as the application sees it: temperature, LED, button.
//!
//! Owns: the ADC and GPIO port F. The readings are those of the chip's own temperature sensor, converted by the
//! formula of the data sheet; QEMU's ADC answers with changing numbers between 33.3 and 34.9 °C. LED 1 of the
//! evaluation board is PF0, its Select button PF1 (in QEMU: the left Ctrl key).

use cortex_m::Peripherals;
use sensor_app::Board;

use crate::clock::{Clock, Irq};
use crate::ethernet::{Ethernet, Frames};
use crate::uart::Uart;
use crate::{reg, semihosting};

const LED: usize = 1 << 0;
const SELECT: usize = 1 << 1;

/// The evaluation board's parts that the programs here use.
pub struct Lm3s6965 {
    /// Time.
    pub clock: Clock,
    adc: u32,
    led: bool,
    /// The button was seen not pressed. QEMU leaves its line low until the first key is released.
    idle_seen: bool,
}

/// Bits of a GPIO port are addressed: only those in `mask` take part.
const fn data(mask: usize) -> usize {
    mask << 2
}

impl Lm3s6965 {
    /// Sets up clock, ADC and port F. To be called once, first of all.
    pub fn start() -> Lm3s6965 {
        let core = Peripherals::take().expect("called once");
        let clock = Clock::start(core.SYST);

        reg::set(reg::SYSCTL, 0x100, 1 << 16); // RCGC0: clock for the ADC
        reg::write(reg::ADC0, 0x00, 0); // ACTSS: sequencers off while they are set up
        reg::write(reg::ADC0, 0x14, 5); // EMUX: sequencer 0 goes when timer 0 says so
        reg::write(reg::ADC0, 0x40, 0); // SSMUX0
        reg::write(reg::ADC0, 0x44, 1 << 3 | 1 << 1); // SSCTL0: one sample, of the temperature sensor
        reg::write(reg::ADC0, 0x00, 1); // ACTSS: sequencer 0 on

        reg::set(reg::SYSCTL, 0x108, 1 << 5); // RCGC2: clock for port F
        reg::write(reg::GPIO_F, 0x400, LED as u32); // DIR: the LED is an output
        reg::write(reg::GPIO_F, 0x510, SELECT as u32); // PUR: the button pulls down
        reg::write(reg::GPIO_F, 0x51c, (LED | SELECT) as u32); // DEN
        let mut board = Lm3s6965 { clock, adc: 0x200, led: false, idle_seen: false };
        board.set_led(false);
        board
    }

    /// The Ethernet controller.
    pub fn ethernet(&self, frames: &'static mut Frames) -> Ethernet {
        Ethernet::start(frames)
    }

    /// The serial line. One of it: a second one would share the same FIFO.
    pub fn uart(&self) -> Uart {
        Uart::start()
    }

    /// Sleeps until a frame comes, at most 10 ms. Returns at once if one waits.
    pub fn sleep_until_frame(&mut self, ethernet: &Ethernet) {
        if ethernet.arm() {
            self.clock.sleep(&[Irq::Ethernet]);
        }
        ethernet.disarm();
    }

    /// Sleeps until a character comes, at most 10 ms.
    pub fn sleep_until_input(&mut self) {
        self.clock.sleep(&[Irq::Uart0]);
    }

    /// A number that differs at each start: the debugger's, or what ADC noise and time give.
    pub fn seed(&mut self) -> u64 {
        if let Some(n) = semihosting::random() {
            return n;
        }
        let mut seed = 0x9e37_79b9_7f4a_7c15u64;
        for _ in 0..32 {
            self.clock.sleep(&[]);
            let noise = u64::from(self.sample()) ^ self.clock.micros() << 10;
            seed = (seed ^ noise).wrapping_mul(0x0000_0100_0000_01b3);
        }
        seed
    }

    /// The newest number of the ADC, 0 to 1023.
    fn sample(&mut self) -> u32 {
        const EMPTY: u32 = 1 << 8;
        while reg::read(reg::ADC0, 0x4c) & EMPTY == 0 {
            self.adc = reg::read(reg::ADC0, 0x48) & 0x3ff;
        }
        reg::write(reg::ADC0, 0x0c, 1); // ISC: acknowledge
        self.adc
    }
}

impl Board for Lm3s6965 {
    fn name(&self) -> &'static str {
        "lm3s6965evb"
    }

    fn temperature(&mut self) -> i32 {
        // data sheet: 147.5 °C - 75 * 3 V * ADC / 1023 steps
        let adc = self.sample() as i32;
        14_750 - 22_500 * adc / 1023
    }

    fn led(&self) -> bool {
        self.led
    }

    fn set_led(&mut self, on: bool) {
        self.led = on;
        reg::write(reg::GPIO_F, data(LED), u32::from(on));
    }

    fn button(&mut self) -> bool {
        let down = reg::read(reg::GPIO_F, data(SELECT)) == 0;
        self.idle_seen |= !down;
        down && self.idle_seen
    }
}
