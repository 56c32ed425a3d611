#![doc = "The protocol core of Chappe."]
#![no_std]
#![forbid(unsafe_code)]

pub mod dialect;
pub mod id;
pub mod limits;
pub mod name;
pub mod time;
