//! Registers: the only place that reads and writes memory by address.
//!
//! Owns: two functions and the addresses of the peripherals in use, from the LM3S6965 data sheet (DS-LM3S6965,
//! table 2-8). What the bits mean is said where they are used.
#![allow(unsafe_code)]

pub(crate) const UART0: usize = 0x4000_c000;
pub(crate) const GPIO_F: usize = 0x4002_5000;
pub(crate) const TIMER0: usize = 0x4003_0000;
pub(crate) const ADC0: usize = 0x4003_8000;
pub(crate) const ETHERNET: usize = 0x4004_8000;
pub(crate) const SYSCTL: usize = 0x400f_e000;

/// Reads a 32-bit register.
pub(crate) fn read(base: usize, offset: usize) -> u32 {
    let at = check(base, offset);
    // SAFETY: `check` lets only the peripherals above pass, which are there on this chip, aligned, and not memory
    // that Rust knows of. Reading them may take from a queue, never touch memory.
    unsafe { core::ptr::with_exposed_provenance::<u32>(at).read_volatile() }
}

/// Writes a 32-bit register.
pub(crate) fn write(base: usize, offset: usize, value: u32) {
    let at = check(base, offset);
    // SAFETY: as for `read`; none of these peripherals is told a memory address (no DMA is used), so a write
    // cannot reach memory.
    unsafe { core::ptr::with_exposed_provenance_mut::<u32>(at).write_volatile(value) }
}

/// Sets bits of a register.
pub(crate) fn set(base: usize, offset: usize, bits: u32) {
    write(base, offset, read(base, offset) | bits);
}

#[inline(always)]
fn check(base: usize, offset: usize) -> usize {
    debug_assert!(matches!(base, UART0 | GPIO_F | TIMER0 | ADC0 | ETHERNET | SYSCTL));
    debug_assert!(offset < 0x1000 && offset.is_multiple_of(4));
    base + offset
}
