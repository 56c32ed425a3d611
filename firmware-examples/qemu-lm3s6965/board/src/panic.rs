//! What happens when the program finds itself broken: told to the debugger if there is one, then QEMU ends with
//! status 1; a board on its own starts again.

use core::panic::PanicInfo;

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    #[cfg(feature = "defmt")]
    defmt::error!("{}", defmt::Display2Format(info));
    #[cfg(all(feature = "semihosting", not(feature = "defmt")))]
    cortex_m_semihosting::heprintln!("{}", info);
    #[cfg(feature = "semihosting")]
    loop {
        cortex_m_semihosting::debug::exit(cortex_m_semihosting::debug::EXIT_FAILURE);
    }
    #[cfg(not(feature = "semihosting"))]
    {
        let _ = info;
        cortex_m::peripheral::SCB::sys_reset()
    }
}
