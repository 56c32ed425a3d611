//! What the application needs of a board.

/// A board with a temperature sensor, an LED and a button. The application takes it as `dyn`: its code exists once, and is
/// optimised as its own crate is.
pub trait Board {
    /// For people.
    fn name(&self) -> &'static str;

    /// The newest temperature, in hundredths of a degree Celsius.
    fn temperature(&mut self) -> i32;

    /// Whether the LED is on.
    fn led(&self) -> bool;

    /// Turns the LED on or off.
    fn set_led(&mut self, on: bool);

    /// Whether the button is held down.
    fn button(&mut self) -> bool;
}
