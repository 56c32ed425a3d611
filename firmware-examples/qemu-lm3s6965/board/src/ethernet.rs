//! The Stellaris Ethernet controller as a smoltcp device.
//!
//! Owns: the MAC's two FIFOs and one frame buffer for each direction. QEMU does not model the PHY's registers; the
//! link is taken to be up.

use smoltcp::iface::{Interface, PollResult, SocketSet};
use smoltcp::phy::{self, Device, DeviceCapabilities, Medium};
use smoltcp::time::Instant;

use crate::clock::{self, Irq};
use crate::reg;

const IACK: usize = 0x00;
const IM: usize = 0x04;
const RCTL: usize = 0x08;
const TCTL: usize = 0x0c;
const DATA: usize = 0x10;
const IA0: usize = 0x14;
const IA1: usize = 0x18;
const NP: usize = 0x34;
const TR: usize = 0x38;

/// Longest frame, Ethernet header included, check sum not.
pub const FRAME: usize = 1514;
/// What comes before and after a frame in the receive FIFO: two octets of length, four of check sum.
const AROUND: usize = 6;

/// Buffers for one frame each way: smoltcp answers a frame while it still reads it.
pub struct Frames {
    rx: [u8; FRAME],
    tx: [u8; FRAME],
}

impl Frames {
    /// Empty.
    pub const fn new() -> Self {
        Frames { rx: [0; FRAME], tx: [0; FRAME] }
    }
}

impl Default for Frames {
    fn default() -> Self {
        Self::new()
    }
}

/// The controller.
pub struct Ethernet {
    frames: &'static mut Frames,
}

fn rd(offset: usize) -> u32 {
    reg::read(reg::ETHERNET, offset)
}

fn wr(offset: usize, value: u32) {
    reg::write(reg::ETHERNET, offset, value);
}

impl Ethernet {
    /// Starts it: full duplex, padding and check sums by the controller, frames with bad check sums dropped.
    pub(crate) fn start(frames: &'static mut Frames) -> Ethernet {
        reg::set(reg::SYSCTL, 0x108, 1 << 28 | 1 << 30); // RCGC2: clocks of MAC and PHY
        wr(IM, 0); // after reset all interrupts are open
        wr(RCTL, 0x10); // empty the FIFO
        wr(IACK, 0x7f);
        wr(TCTL, 0x17);
        wr(RCTL, 0x09);
        clock::wakes(Irq::Ethernet);
        Ethernet { frames }
    }

    /// The address that the chip (or QEMU's command line) gave it.
    pub fn address(&self) -> [u8; 6] {
        let (low, high) = (rd(IA0).to_le_bytes(), rd(IA1).to_le_bytes());
        [low[0], low[1], low[2], low[3], high[0], high[1]]
    }

    /// `Interface::poll`, instantiated here: see this package's manifest.
    #[inline(never)]
    pub fn poll(&mut self, now: Instant, interface: &mut Interface, sockets: &mut SocketSet<'_>) -> PollResult {
        interface.poll(now, self, sockets)
    }

    /// Whether a frame waits. If not, the next one ends a sleep.
    pub(crate) fn arm(&self) -> bool {
        wr(IACK, 1);
        if rd(NP) != 0 {
            return false;
        }
        wr(IM, 1);
        true
    }

    /// After a sleep: no interrupts while the loop runs.
    pub(crate) fn disarm(&self) {
        wr(IM, 0);
    }

    /// Moves the next frame out of the FIFO, to its end in any case: only then the FIFO goes on.
    fn take(&mut self) -> Option<usize> {
        if rd(NP) == 0 {
            return None;
        }
        let first = rd(DATA);
        let total = (first & 0xffff) as usize;
        let length = total.saturating_sub(AROUND);
        let rx = &mut self.frames.rx;
        let mut at = 2;
        rx[0] = (first >> 16) as u8;
        rx[1] = (first >> 24) as u8;
        for _ in 1..total.div_ceil(4) {
            let word = rd(DATA).to_le_bytes();
            if at < FRAME {
                let n = word.len().min(FRAME - at);
                rx[at..at + n].copy_from_slice(&word[..n]);
            }
            at += word.len();
        }
        // 14: an Ethernet header. Anything else is not a frame that smoltcp could use.
        (14..=FRAME).contains(&length).then_some(length)
    }
}

fn send(frame: &[u8]) {
    while rd(TR) & 1 != 0 {}
    let (head, rest) = frame.split_at(2);
    wr(DATA, (frame.len() as u32 - 14) | u32::from(head[0]) << 16 | u32::from(head[1]) << 24);
    for part in rest.chunks(4) {
        let mut word = [0; 4];
        word[..part.len()].copy_from_slice(part);
        wr(DATA, u32::from_le_bytes(word));
    }
    wr(TR, 1);
}

/// A received frame.
pub struct Rx<'a>(&'a [u8]);
/// Room for a frame to send.
pub struct Tx<'a>(&'a mut [u8; FRAME]);

impl phy::RxToken for Rx<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(self.0)
    }
}

impl phy::TxToken for Tx<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        // smoltcp keeps to the MTU that `capabilities` states
        let frame = &mut self.0[..len];
        let result = f(frame);
        send(frame);
        result
    }
}

impl Device for Ethernet {
    type RxToken<'a> = Rx<'a>;
    type TxToken<'a> = Tx<'a>;

    fn receive(&mut self, _: Instant) -> Option<(Rx<'_>, Tx<'_>)> {
        let n = self.take()?;
        Some((Rx(&self.frames.rx[..n]), Tx(&mut self.frames.tx)))
    }

    fn transmit(&mut self, _: Instant) -> Option<Tx<'_>> {
        Some(Tx(&mut self.frames.tx))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut caps = DeviceCapabilities::default();
        caps.max_transmission_unit = FRAME;
        caps.max_burst_size = Some(1);
        caps.medium = Medium::Ethernet;
        caps
    }
}
