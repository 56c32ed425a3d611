//! The application of the example boards: a sensor that publishes readings, takes commands and raises a flag.
//!
//! Owns: what the station says and does, written against a small [`Board`] trait and the core's client, so that every
//! board and both transports run the same code. Does not own drivers, the network, nor memory.
//!
//! With `<id>` for the board's id:
//!
//! | name | what |
//! |---|---|
//! | `sensor::<id>` | joined exclusively; commands are verbs on it: `INTERVAL`, `LED`, `LIMIT`, `IDENTIFY` |
//! | `sensor::<id>::temperature` | signal and value: degrees Celsius, each interval |
//! | `sensor::<id>::readings` | signal and value: how many readings were taken, each interval |
//! | `sensor::<id>::uptime` | signal and value: seconds, each second |
//! | `sensor::<id>::led`, `sensor::<id>::button` | signal and value: 0 or 1, when it changes |
//! | `sensor::<id>::interval` | value: milliseconds; read back after a restart of the board |
//! | `sensor/<id>/hot` | the flag: the temperature is at or above the limit |
//! | `operator` | called with verb `BUTTON` when the button is pressed; whoever answers well turns the LED on |
#![no_std]
#![forbid(unsafe_code)]

mod app;
mod board;
mod command;
mod text;

pub use app::{Identity, Sensor, Used};
pub use board::Board;
