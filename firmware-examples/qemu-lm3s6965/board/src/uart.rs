//! UART 0 as an embedded-io stream: 115,200 baud, 8N1, no flow control.
//!
//! Owns: the PL011 of the chip, with its two FIFOs of 16 octets. Its input ends a sleep.

use core::convert::Infallible;

use embedded_io::{ErrorType, Read, ReadReady, Write, WriteReady};

use crate::clock::{self, Irq};
use crate::reg;

const DR: usize = 0x00;
const FR: usize = 0x18;
const RX_EMPTY: u32 = 1 << 4;
const TX_FULL: u32 = 1 << 5;

/// The serial line.
pub struct Uart(());

impl Uart {
    pub(crate) fn start() -> Uart {
        reg::set(reg::SYSCTL, 0x104, 1); // RCGC1: clock for UART 0
        reg::write(reg::UART0, 0x30, 0); // CTL: off while it is set up
        // 12.5 MHz / (16 * 115200) = 6 + 50/64
        reg::write(reg::UART0, 0x24, 6);
        reg::write(reg::UART0, 0x28, 50);
        reg::write(reg::UART0, 0x2c, 0x70); // LCRH: 8 bits, FIFOs
        reg::write(reg::UART0, 0x38, 1 << 4 | 1 << 6); // IM: receive, and receive time-out
        reg::write(reg::UART0, 0x30, 0x301); // CTL: on, both ways
        clock::wakes(Irq::Uart0);
        Uart(())
    }
}

impl ErrorType for Uart {
    type Error = Infallible;
}

impl ReadReady for Uart {
    fn read_ready(&mut self) -> Result<bool, Infallible> {
        Ok(reg::read(reg::UART0, FR) & RX_EMPTY == 0)
    }
}

impl WriteReady for Uart {
    fn write_ready(&mut self) -> Result<bool, Infallible> {
        Ok(reg::read(reg::UART0, FR) & TX_FULL == 0)
    }
}

impl Read for Uart {
    fn read(&mut self, buf: &mut [u8]) -> Result<usize, Infallible> {
        if buf.is_empty() {
            return Ok(0);
        }
        while !self.read_ready()? {}
        let mut n = 0;
        while n < buf.len() && self.read_ready()? {
            buf[n] = reg::read(reg::UART0, DR) as u8;
            n += 1;
        }
        Ok(n)
    }
}

impl Write for Uart {
    fn write(&mut self, buf: &[u8]) -> Result<usize, Infallible> {
        if buf.is_empty() {
            return Ok(0);
        }
        while !self.write_ready()? {}
        let mut n = 0;
        while n < buf.len() && self.write_ready()? {
            reg::write(reg::UART0, DR, u32::from(buf[n]));
            n += 1;
        }
        Ok(n)
    }

    fn flush(&mut self) -> Result<(), Infallible> {
        const BUSY: u32 = 1 << 3;
        while reg::read(reg::UART0, FR) & BUSY != 0 {}
        Ok(())
    }
}
