//! An embassy network driver as a smoltcp 0.14 device, polled: no executor, no waker.
//!
//! Owns: the two tokens that carry a frame from one trait to the other, nothing else. embassy-net holds an older smoltcp;
//! the driver trait below it knows no smoltcp at all, which is what makes this possible.

use core::task::{Context, Waker};

use embassy_net_driver::Driver;
use smoltcp::phy::{self, Device, DeviceCapabilities, Medium};
use smoltcp::time::Instant;

/// A driver whose interrupts only end a sleep.
pub struct Polled<D>(pub D);

/// A received frame.
pub struct Rx<T>(T);
/// Room for a frame to send.
pub struct Tx<T>(T);

impl<T: embassy_net_driver::RxToken> phy::RxToken for Rx<T> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        self.0.consume(|frame| f(frame))
    }
}

impl<T: embassy_net_driver::TxToken> phy::TxToken for Tx<T> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        self.0.consume(len, f)
    }
}

impl<D: Driver> Device for Polled<D> {
    type RxToken<'a>
        = Rx<D::RxToken<'a>>
    where
        D: 'a;
    type TxToken<'a>
        = Tx<D::TxToken<'a>>
    where
        D: 'a;

    fn receive(&mut self, _: Instant) -> Option<(Self::RxToken<'_>, Self::TxToken<'_>)> {
        let (rx, tx) = self.0.receive(&mut Context::from_waker(Waker::noop()))?;
        Some((Rx(rx), Tx(tx)))
    }

    fn transmit(&mut self, _: Instant) -> Option<Self::TxToken<'_>> {
        self.0.transmit(&mut Context::from_waker(Waker::noop())).map(Tx)
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let of = self.0.capabilities();
        let mut caps = DeviceCapabilities::default();
        caps.max_transmission_unit = of.max_transmission_unit;
        caps.max_burst_size = of.max_burst_size;
        caps.medium = Medium::Ethernet;
        caps
    }
}
