//! Both oneofs, against a plain second reader that knows only `chappe.proto`: both take the same
//! payloads and read the same values; what is written again has the length that it says, and reads the
//! same to both.
#![no_main]

use chappe_core::dialect::messi::repr::{ClientToServer, ServerToClient};
use chappe_core::dialect::messi::wire::{Writer, field};
use chappe_fuzz::proto;
use chappe_host_tests::show;
use libfuzzer_sys::fuzz_target;

macro_rules! round {
    ($oneof:ident, $show:path, $data:expr) => {
        let other = proto::read(stringify!($oneof), $data);
        let read = $oneof::read($data);
        assert_eq!(read.is_ok(), other.is_ok(), "only one takes it: {read:?}, {other:?}");
        if let (Ok((message, body)), Ok(other)) = (read, other) {
            assert_eq!($show(&message), other);
            assert!(body.len() <= $data.len());
            let mut out = vec![0xa5; message.len() + 8];
            let mut w = Writer::new(&mut out);
            message.write(&mut w);
            assert_eq!(w.finish(), Some(message.len()));
            assert!(out[message.len()..].iter().all(|&b| b == 0xa5));
            // the second message is made of the written bytes
            let (again, _) = $oneof::read(&out[..message.len()]).expect("what we write we read");
            assert_eq!(again, message);
            assert_eq!(proto::read(stringify!($oneof), &out[..message.len()]), Ok(other), "written anew");
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
    round!(ClientToServer, show::to_node, data);
    round!(ServerToClient, show::to_client, data);
    // what no member's number leads to: every message on its own
    if let [number, body @ ..] = data {
        let mut member = vec![(number % 16) << 3 | 2];
        let mut length = [0; 5];
        let mut w = Writer::new(&mut length);
        w.varint(body.len() as u64);
        let n = w.finish().expect("room for a length");
        member.extend(&length[..n]);
        member.extend(body);
        if member[0] >> 3 != 0 {
            round!(ClientToServer, show::to_node, &member);
            round!(ServerToClient, show::to_client, &member);
        }
    }
    let mut left = data;
    while let Ok((rest, _)) = field(left) {
        assert!(rest.len() < left.len(), "a field takes at least one octet");
        left = rest;
        if left.is_empty() {
            break;
        }
    }
});
