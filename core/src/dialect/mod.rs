//! The wire protocols a node speaks, one folder each.

pub mod messi;
