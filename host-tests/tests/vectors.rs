//! Every vector file: what its bytes say, in one piece and cut at every octet; and both ways,
//! bytes to message to bytes to message.
//!
//! This runner finds the files, so adding a vector needs no Rust: see `vectors/README.md`.

use chappe_core::dialect::messi::repr::{ClientToServer, ServerToClient};
use chappe_core::dialect::messi::wire::Writer;
use chappe_host_tests::show;
use chappe_host_tests::vectors::{Schema, Vector, describe, folder, read};

fn check(v: &Vector) {
    let whole = describe([&v.bytes[..]], v.schema, v.limit);
    assert_eq!(whole, v.expect, "{}", v.path.display());
}

/// At every octet of a short stream; at the edges and some places between of a long one.
fn cuts(n: usize) -> impl Iterator<Item = usize> {
    (0..=n).filter(move |i| n < 2000 || *i < 50 || n - i < 50 || i % 997 == 0)
}

fn check_cut(v: &Vector) {
    for cut in cuts(v.bytes.len()) {
        let (a, b) = v.bytes.split_at(cut);
        assert_eq!(describe([a, b], v.schema, v.limit), v.expect, "{} cut at {cut}", v.path.display());
    }
    if v.bytes.len() < 2000 {
        assert_eq!(describe(v.bytes.chunks(1), v.schema, v.limit), v.expect, "{} octet by octet", v.path.display());
    }
}

#[test]
fn valid_ones_say_what_is_expected_however_they_are_cut() {
    let all = read("messi/valid");
    assert!(all.len() >= 70, "only {} vectors", all.len());
    for v in &all {
        assert!(!v.expect.iter().any(|l| l.contains("malformed") || l.contains("hopeless")), "{}", v.path.display());
        check(v);
        check_cut(v);
    }
}

#[test]
fn invalid_ones_are_refused_for_the_reason_expected_however_they_are_cut() {
    let all = read("messi/invalid");
    assert!(all.len() >= 15);
    for v in &all {
        assert!(v.expect.iter().any(|l| l.contains("malformed") || l.contains("hopeless")), "{}", v.path.display());
        check(v);
        check_cut(v);
    }
}

#[test]
fn streams_are_cut_at_every_octet_and_at_every_two() {
    let all = read("messi/stream");
    assert!(all.len() >= 4);
    for v in &all {
        check(v);
        check_cut(v);
        for a in cuts(v.bytes.len().min(300)) {
            for b in a..=v.bytes.len().min(300) {
                let pieces = [&v.bytes[..a], &v.bytes[a..b], &v.bytes[b..]];
                assert_eq!(describe(pieces, v.schema, v.limit), v.expect, "{} cut at {a} and {b}", v.path.display());
            }
        }
    }
}

#[test]
fn messages_survive_being_written_and_read_again() {
    let mut count = 0;
    for v in read("messi/valid").iter().filter(|v| v.schema != Schema::Fields) {
        let payload = &v.bytes[4..];
        let mut out = vec![0xa5; payload.len() + 64];
        // the second text comes from the bytes that were written, not from the first message
        let (first, written) = match v.schema {
            Schema::ToNode => {
                let m = ClientToServer::read(payload).unwrap().0;
                let mut w = Writer::new(&mut out);
                m.write(&mut w);
                (show::to_node(&m), (w.finish().unwrap(), m.len()))
            }
            _ => {
                let m = ServerToClient::read(payload).unwrap().0;
                let mut w = Writer::new(&mut out);
                m.write(&mut w);
                (show::to_client(&m), (w.finish().unwrap(), m.len()))
            }
        };
        assert_eq!(written.0, written.1, "{}", v.path.display());
        assert!(out[written.0..].iter().all(|&b| b == 0xa5), "{}: wrote beyond its length", v.path.display());
        let again = &out[..written.0];
        let second = match v.schema {
            Schema::ToNode => show::to_node(&ClientToServer::read(again).unwrap().0),
            _ => show::to_client(&ServerToClient::read(again).unwrap().0),
        };
        assert_eq!(first, second, "{}", v.path.display());
        if v.expect.iter().any(|l| l.starts_with("frame")) && !v.path.to_string_lossy().contains("unusual") {
            assert_eq!(again, payload, "{}: the reference writes other bytes", v.path.display());
        }
        count += 1;
    }
    assert!(count >= 20, "only {count}");
}

#[test]
fn every_vector_has_its_line_in_the_readme() {
    let readme = std::fs::read_to_string(folder().join("README.md")).unwrap();
    for below in ["messi/valid", "messi/invalid", "messi/stream"] {
        for v in read(below) {
            let stem = v.path.file_stem().unwrap().to_str().unwrap();
            let line = format!("| `{below}/{stem}` |");
            assert!(readme.contains(&line), "no line for {line}");
        }
    }
}
