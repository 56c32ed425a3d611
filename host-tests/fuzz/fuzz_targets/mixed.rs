//! Stations of all dialects on one node say what their dialects have, and anything else, cut anywhere,
//! read slowly or not at all, and go, beside one of each that behaves. After each operation the
//! router's own `check` holds; everybody hears whole frames and lines only, no message twice nor out of
//! order (D1, D2, D3), one answer to each question (D5), presence in its order (D7); those that behave
//! are served (D4); nothing is left behind.
#![no_main]

use chappe_fuzz::play::{How, play};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    play(data, How { piece: 0, is_calm: false });
});
