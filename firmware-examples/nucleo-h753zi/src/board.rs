//! The board as the application sees it: the chip's temperature sensor, the yellow LED, the blue button.

use embassy_stm32::adc::{Adc, SampleTime, Temperature};
use embassy_stm32::gpio::{Input, Output};
use embassy_stm32::peripherals::ADC3;
use sensor_app::Board;

/// Factory readings of the temperature sensor at 30 and 110 °C with 3.3 V (data sheet DS12117, table 93).
const CALIBRATED: [usize; 2] = [0x1ff1_e820, 0x1ff1_e840];

/// NUCLEO-H753ZI.
pub struct Nucleo {
    adc: Adc<'static, ADC3>,
    channel: Temperature,
    at_30: i32,
    at_110: i32,
    led: Output<'static>,
    button: Input<'static>,
}

impl Nucleo {
    /// Of parts that are set up.
    pub fn new(adc: Adc<'static, ADC3>, led: Output<'static>, button: Input<'static>) -> Self {
        let channel = adc.enable_temperature();
        let [at_30, at_110] = CALIBRATED.map(|address| {
            // SAFETY: read-only words of the chip's system memory, aligned, always there on an STM32H753.
            i32::from(unsafe { core::ptr::with_exposed_provenance::<u16>(address).read_volatile() })
        });
        Nucleo { adc, channel, at_30, at_110, led, button }
    }
}

impl Board for Nucleo {
    fn name(&self) -> &'static str {
        "nucleo-h753zi"
    }

    fn temperature(&mut self) -> i32 {
        // The sensor wants 9 µs; the next step up at the ADC's clock is far above it.
        let adc = i32::from(self.adc.blocking_read(&mut self.channel, SampleTime::CYCLES810_5));
        let span = (self.at_110 - self.at_30).max(1);
        3000 + (adc - self.at_30) * 8000 / span
    }

    fn led(&self) -> bool {
        self.led.is_set_high()
    }

    fn set_led(&mut self, on: bool) {
        self.led.set_level(on.into());
    }

    fn button(&mut self) -> bool {
        self.button.is_high()
    }
}
