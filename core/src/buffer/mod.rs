//! Memory that is handed in and given back: blocks of bytes and rows of tables.
//!
//! | file | owns |
//! |---|---|
//! | `pool.rs` | fixed blocks of bytes, chained: what stations have waiting |
//! | `slab.rs` | rows with a number, and lists through them |

pub mod pool;
pub(crate) mod slab;

pub use slab::Rows;
