//! However what stations say is cut, everybody hears the same octets: the same operations with each
//! message in one piece, octet by octet, and in pieces of any other size.
#![no_main]

use chappe_fuzz::play::{How, play};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let [piece, data @ ..] = data else { return };
    let how = |piece| How { piece, is_calm: true };
    let whole = play(data, how(usize::MAX));
    for piece in [1, usize::from(*piece) + 2] {
        let cut = play(data, how(piece));
        for (id, heard) in &whole {
            let also = cut.get(id).map(Vec::as_slice).unwrap_or_default();
            assert_eq!(
                also.escape_ascii().to_string(),
                heard.escape_ascii().to_string(),
                "station {id} hears something else in pieces of {piece}"
            );
        }
        assert_eq!(whole.len(), cut.len());
    }
});
