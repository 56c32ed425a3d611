//! Frame finders: a stream cut in two gives what it gives in one piece and octet by octet. The native
//! ones: the node's and the client's finder agree about today's framing. That of MSGQ: it finds what a
//! plain reader of the whole stream finds.
#![no_main]

use chappe_core::client::Inbox;
use chappe_core::dialect::messi::frame::{Finder, Framing};
use chappe_core::dialect::msgq;
use libfuzzer_sys::fuzz_target;

type Frames = (Vec<(u8, Vec<u8>)>, Option<String>);

fn find(pieces: [&[u8]; 2], limit: usize) -> (Frames, Framing) {
    let (mut finder, mut payload, mut found) = (Finder::new(), Vec::new(), Vec::new());
    for mut piece in pieces {
        loop {
            match finder.header(&mut piece, limit) {
                Ok(None) => break,
                Ok(Some(h)) => {
                    let n = (h.size - payload.len()).min(piece.len());
                    payload.extend_from_slice(&piece[..n]);
                    piece = &piece[n..];
                    if payload.len() < h.size {
                        break;
                    }
                    found.push((h.kind, std::mem::take(&mut payload)));
                    finder.next();
                }
                Err(e) => return ((found, Some(format!("{e:?}"))), finder.framing()),
            }
        }
    }
    ((found, None), finder.framing())
}

/// Frames of MSGQ in a stream in pieces, as header and body, and why there are no more.
fn find_msgq(pieces: &[&[u8]], max_body: usize) -> (Vec<(Vec<u8>, Vec<u8>)>, Option<msgq::frame::Broken>) {
    let (mut finder, mut kept, mut found) = (msgq::frame::Finder::new(), Vec::new(), Vec::new());
    for mut piece in pieces.iter().copied() {
        loop {
            match finder.lengths(&mut piece, max_body) {
                Ok(None) => break assert!(piece.is_empty(), "all of it is taken while more is needed"),
                Ok(Some(lengths)) => {
                    let all = usize::from(lengths.header) + lengths.body;
                    let n = (all - kept.len()).min(piece.len());
                    kept.extend_from_slice(&piece[..n]);
                    piece = &piece[n..];
                    if kept.len() < all {
                        break;
                    }
                    let body = kept.split_off(lengths.header.into());
                    found.push((std::mem::take(&mut kept), body));
                    finder.next();
                }
                Err(e) => return (found, Some(e)),
            }
        }
    }
    (found, None)
}

/// The same by looking at the whole stream; whether it ends for good.
fn plain_msgq(mut left: &[u8], max_body: usize) -> (Vec<(Vec<u8>, Vec<u8>)>, bool) {
    let mut found = Vec::new();
    loop {
        let Some((total, rest)) = left.split_first_chunk::<4>() else { return (found, false) };
        let total = u64::from(u32::from_be_bytes(*total));
        if total < 2 || total > max_body as u64 + 2 + 65_535 {
            return (found, true);
        }
        let Some((header, rest)) = rest.split_first_chunk::<2>() else { return (found, false) };
        let header = u64::from(u16::from_be_bytes(*header));
        if header == 0 || header + 2 > total || total - 2 - header > max_body as u64 {
            return (found, true);
        }
        let (header, body) = (header as usize, (total - 2 - header) as usize);
        if rest.len() < header + body {
            return (found, false);
        }
        found.push((rest[..header].to_vec(), rest[header..header + body].to_vec()));
        left = &rest[header + body..];
    }
}

fuzz_target!(|data: &[u8]| {
    let [cut, limit, stream @ ..] = data else { return };
    let (a, b) = stream.split_at(*cut as usize * stream.len() / 255);
    let whole = find_msgq(&[stream], (*limit).into());
    assert_eq!((whole.0.clone(), whole.1.is_some()), plain_msgq(stream, (*limit).into()));
    assert_eq!(find_msgq(&[a, b], (*limit).into()), whole);
    assert_eq!(find_msgq(&stream.chunks(1).collect::<Vec<_>>(), (*limit).into()), whole);
    let limit = 8 + *limit as usize;
    let (whole, framing) = find([stream, &[]], limit);
    assert_eq!(find([a, b], limit), (whole.clone(), framing));

    // the client steps over what is too long, so they agree as long as nothing is
    let mut buf = vec![0; limit - 4];
    let mut inbox = Inbox::new(&mut buf);
    let mut taken = Vec::new();
    for mut piece in [a, b] {
        while let Ok(Some(frame)) = inbox.take(&mut piece) {
            taken.push((frame.kind, frame.payload.to_vec()));
        }
    }
    if framing == Framing::Today && inbox.skipped() == 0 && whole.1.is_none() {
        // it gives up on a type of 0, which the node only meets in the old framing
        let known = whole.0.iter().take_while(|f| f.0 != 0).count();
        assert_eq!(taken[..], whole.0[..known]);
    }
});
