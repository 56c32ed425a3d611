//! Time since start, and sleep.
//!
//! Owns: SysTick, which runs free and is extended to 64 bits here, and timer 0, whose interrupt every 10 ms is an
//! alarm clock only: lost ticks do not matter, because no tick is counted. Timer 0 also triggers the ADC.
//!
//! Interrupts are never taken: PRIMASK stays set, and `wfi` returns when one is *pending*. So nothing runs beside
//! the main loop, and no wake-up is lost between looking and sleeping.

use cortex_m::peripheral::{NVIC, SYST, syst::SystClkSource};

use crate::reg;

/// The chip's clock after reset, which is left as it is: 12 MHz from the internal oscillator on silicon (within
/// 30 %), 12.5 MHz in QEMU.
const HZ: u32 = 12_500_000;

/// Lines of the interrupt controller (data sheet, table 2-9).
#[derive(Clone, Copy)]
pub(crate) enum Irq {
    Uart0 = 5,
    Timer0 = 19,
    Ethernet = 42,
}

// SAFETY: the numbers are those of the chip and do not change.
#[allow(unsafe_code)]
unsafe impl cortex_m::interrupt::InterruptNumber for Irq {
    fn number(self) -> u16 {
        self as u16
    }
}

/// Lets a line end a sleep.
#[allow(unsafe_code)]
pub(crate) fn wakes(irq: Irq) {
    NVIC::unpend(irq);
    // SAFETY: no critical section relies on the mask, and no handler can run: PRIMASK is set for good.
    unsafe { NVIC::unmask(irq) }
}

/// The time since start.
pub struct Clock {
    last: u32,
    ticks: u64,
}

impl Clock {
    /// Starts SysTick and the alarm.
    pub(crate) fn start(mut syst: SYST) -> Clock {
        cortex_m::interrupt::disable();
        syst.set_clock_source(SystClkSource::Core);
        syst.set_reload(0xff_ffff);
        syst.clear_current();
        syst.enable_counter();

        reg::set(reg::SYSCTL, 0x104, 1 << 16); // RCGC1: clock for timer 0
        reg::write(reg::TIMER0, 0x0c, 0); // CTL: off while it is set up
        reg::write(reg::TIMER0, 0x00, 0); // CFG: one 32-bit timer
        reg::write(reg::TIMER0, 0x04, 2); // TAMR: periodic
        reg::write(reg::TIMER0, 0x28, HZ / 100); // TAILR: 10 ms
        reg::write(reg::TIMER0, 0x18, 1); // IMR: time-out
        reg::write(reg::TIMER0, 0x0c, 1 << 5 | 1); // CTL: trigger the ADC, go
        wakes(Irq::Timer0);
        Clock { last: SYST::get_current(), ticks: 0 }
    }

    /// Microseconds since start. To be asked at least once in 1.3 s, or time is lost; the alarm sees to it.
    pub fn micros(&mut self) -> u64 {
        let now = SYST::get_current();
        self.ticks += u64::from(self.last.wrapping_sub(now) & 0xff_ffff);
        self.last = now;
        self.ticks * 2 / 25 // 12.5 ticks each
    }

    /// Milliseconds since start.
    pub fn millis(&mut self) -> u64 {
        self.micros() / 1000
    }

    /// Waits for the next interrupt, at most 10 ms.
    pub(crate) fn sleep(&mut self, others: &[Irq]) {
        cortex_m::asm::wfi();
        reg::write(reg::TIMER0, 0x24, 1); // ICR: acknowledge the time-out
        NVIC::unpend(Irq::Timer0);
        others.iter().for_each(|irq| NVIC::unpend(*irq));
        self.micros();
    }
}
