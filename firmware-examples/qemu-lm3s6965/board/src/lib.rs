//! Board support for QEMU's `lm3s6965evb` (Stellaris LM3S6965: Cortex-M3, 256 KiB flash, 64 KiB RAM).
//!
//! Owns: the drivers that the programs in `bin/` share, and what a panic does. `reg` is the only file that reads and
//! writes by address; the other `unsafe` is calls to the debugger and one trait of the interrupt controller.
#![no_std]
#![deny(unsafe_code)]

pub mod board;
pub mod clock;
pub mod ethernet;
mod panic;
mod reg;
pub mod semihosting;
pub mod settings;
pub mod uart;

#[cfg(feature = "defmt")]
use defmt_semihosting as _;

use chappe_core::client::Event;

/// Logs what became of the connection.
pub fn report(event: &Event<'_>) {
    match event {
        Event::Ready(w) => info!("ready: station {=u64} of node {=str}", w.station, w.node),
        Event::Refused(o) => info!("refused: {=str}", o.text),
        Event::Disconnected { why, again_in, .. } => {
            info!("{=str}; again in {=u32} ms", why.text(), again_in.millis());
        }
        _ => {}
    }
}

/// Logs, if there is a logger.
#[macro_export]
macro_rules! info {
    ($($t:tt)*) => {
        $crate::__log!(info, $($t)*)
    };
}

#[doc(hidden)]
#[cfg(feature = "defmt")]
pub use defmt as __defmt;

#[doc(hidden)]
#[macro_export]
#[cfg(feature = "defmt")]
macro_rules! __log {
    ($level:ident, $($t:tt)*) => { $crate::__defmt::$level!($($t)*) };
}

#[doc(hidden)]
#[macro_export]
#[cfg(not(feature = "defmt"))]
macro_rules! __log {
    ($level:ident, $format:literal $(, $argument:expr)* $(,)?) => {{ $(let _ = &$argument;)* }};
}
