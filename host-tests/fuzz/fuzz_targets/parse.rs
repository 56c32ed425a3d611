//! Both oneofs: whatever is accepted can be written in the length that it says, and what was
//! written reads the same again.
#![no_main]

use chappe_core::dialect::messi::repr::{ClientToServer, ServerToClient};
use chappe_core::dialect::messi::wire::{Writer, field};
use libfuzzer_sys::fuzz_target;

macro_rules! round {
    ($oneof:ident, $data:expr) => {
        if let Ok((message, body)) = $oneof::read($data) {
            assert!(body.len() <= $data.len());
            let mut out = vec![0xa5; message.len() + 8];
            let mut w = Writer::new(&mut out);
            message.write(&mut w);
            assert_eq!(w.finish(), Some(message.len()));
            assert!(out[message.len()..].iter().all(|&b| b == 0xa5));
            // the second message is made of the written bytes
            let (again, _) = $oneof::read(&out[..message.len()]).expect("what we write we read");
            assert_eq!(again, message);
            // one octet short is an answer too
            if message.len() > 0 {
                let mut w = Writer::new(&mut out[..message.len() - 1]);
                message.write(&mut w);
                assert_eq!(w.finish(), None);
            }
        }
    };
}

fuzz_target!(|data: &[u8]| {
    round!(ClientToServer, data);
    round!(ServerToClient, data);
    let mut left = data;
    while let Ok((rest, _)) = field(left) {
        assert!(rest.len() < left.len(), "a field takes at least one octet");
        left = rest;
        if left.is_empty() {
            break;
        }
    }
});
