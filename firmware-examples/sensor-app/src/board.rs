//! What the application needs of a board.

/// A board with a temperature sensor, an LED and a button.
pub trait Board {
    /// For people.
    const NAME: &'static str;

    /// The newest temperature, in hundredths of a degree Celsius.
    fn temperature(&mut self) -> i32;

    /// Whether the LED is on.
    fn led(&self) -> bool;

    /// Turns the LED on or off.
    fn set_led(&mut self, on: bool);

    /// Whether the button is held down.
    fn button(&mut self) -> bool;
}
