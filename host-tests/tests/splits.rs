//! A node hears the same however its input is cut: every stream that a station can say, cut
//! in two at every octet and said octet by octet.

use chappe_core::dialect::messi::wire::Writer;
use chappe_core::id::StationId;
use chappe_core::model::{ClientToServer, Goodbye, Hello, Join, Letter, List, Store, StoreOp, What};
use chappe_core::router::{Action, Newcomer, Open, Router, Settings};
use chappe_core::storage::Storage;
use chappe_core::time::Instant;
use chappe_host_tests::clacks::host::Host;
use chappe_host_tests::clacks::ours::small;
use chappe_host_tests::clacks::users::User;
use chappe_host_tests::vectors::{Schema, read};

static OPEN: Open = Open;

fn frame(message: ClientToServer<'_>) -> Vec<u8> {
    let n = message.len();
    let mut bytes = vec![1, 0, (n >> 8) as u8, n as u8];
    bytes.resize(4 + n, 0);
    message.write(&mut Writer::new(&mut bytes[4..]));
    bytes
}

/// All that two stations are told: the one that says `pieces`, and one that joined `*`.
/// All of it: nobody's outbox is so small that writing must come first.
fn feed(router: &mut Router<'_>, id: StationId, bytes: &[u8]) {
    assert_eq!(router.receive(Instant::ZERO, id, bytes), bytes.len());
}

fn said(pieces: &[&[u8]]) -> [Vec<u8>; 2] {
    let mut storage = Box::new(<Storage>::new());
    let now = Instant::from_millis(1);
    let mut router = storage.router(Settings::new("n", "v", &OPEN), now).unwrap();
    let speaker = router.admit(now, Newcomer::default()).unwrap();
    let listener = router.admit(now, Newcomer::default()).unwrap();
    feed(&mut router, listener, &frame(Hello::default().into()));
    feed(&mut router, listener, &frame(Join { name: "*", ..Join::default() }.into()));
    let mut told = [Vec::new(), Vec::new()];
    let mut serve = |router: &mut Router<'_>| {
        while let Some(action) = router.next_action(now) {
            let Action::Write(id) = action else { continue };
            let to = &mut told[(id == listener) as usize];
            let before = to.len();
            to.extend(router.output(id).flatten());
            let n = to.len() - before;
            router.sent(now, id, n);
        }
        router.check().unwrap();
    };
    serve(&mut router);
    for piece in pieces {
        feed(&mut router, speaker, piece);
        serve(&mut router);
    }
    told
}

fn check(name: &str, stream: &[u8]) {
    let whole = said(&[stream]);
    for cut in 0..=stream.len() {
        let (a, b) = stream.split_at(cut);
        assert_eq!(said(&[a, b]), whole, "{name} cut at {cut}");
    }
    let octets: Vec<&[u8]> = stream.chunks(1).collect();
    assert_eq!(said(&octets), whole, "{name} octet by octet");
}

#[test]
fn a_life_cut_anywhere() {
    let mut stream = Vec::new();
    for message in [
        Hello { seq: 1, name: "s", ..Hello::default() }.into(),
        Join { seq: 2, name: "x", ..Join::default() }.into(),
        Join { seq: 3, name: "", ..Join::default() }.into(),
        ClientToServer::Send(Letter { name: "x::y", verb: "SET", body: b"12", ..Letter::default() }),
        ClientToServer::Send(Letter { name: "nobody", ask: true, seq: 9, ..Letter::default() }),
        Store { seq: 4, op: StoreOp::Add, name: "v", amount: -3, ..Store::default() }.into(),
        List { seq: 5, what: What::Values, ..List::default() }.into(),
    ] {
        stream.extend(frame(message));
    }
    stream.extend([3, 0, 0, 0, 9, 0, 0, 2, 1, 2, 1, 0, 0, 1, 0x99]);
    stream.extend(frame(Goodbye { seq: 6, ..Goodbye::default() }.into()));
    check("a life", &stream);
    let told = said(&[&stream]);
    assert!(told[0].len() > 100 && !told[1].is_empty());
}

/// All that two clients of Net::Clacks are told: the one that says `pieces`, and one that listens. Times are
/// the same, because none passes.
fn said_in_lines(pieces: &[&[u8]]) -> [Vec<u8>; 2] {
    let mut w = small(|_| {});
    let (speaker, listener) = (w.visitor(), w.client(User::Main));
    w.tell_all(listener, &["LISTEN x", "LISTEN x/DO", "MONITOR"]);
    w.wires[listener].bytes.clear();
    for piece in pieces {
        w.tell_bytes(speaker, piece);
    }
    [speaker, listener].map(|c| std::mem::take(&mut w.wires[c].bytes))
}

#[test]
fn a_life_in_lines_cut_anywhere() {
    let stream = format!(
        "CLACKS me\r\nFLUSH 0\n{}\r\nSET x=1\r\nNOTIFY x\nSET\r x/DO=a=\"b;c\"\r\r\nSTORE k=\u{e9}\0\n\r\n\nINCREMENT n=5\nRETRIEVE k\n\
         KEYLIST\r\nNONSENSE \u{1}\nOVERHEAD GNMU hi  you\nREMOVE k\n  \nLISTEN y\nRETRIEVE n\nOVERHEAD M x\nFLUSH 1\r\nQUIT\r\nFLUSH 2\n",
        User::Main.line()
    );
    let stream = stream.as_bytes();
    let whole = said_in_lines(&[stream]);
    assert!(whole[0].ends_with(b"FLUSHED 1\r\n"), "{}", whole[0].escape_ascii());
    assert!(whole[1].starts_with(b"DEBUG "), "{}", whole[1].escape_ascii());
    for cut in 0..=stream.len() {
        let (a, b) = stream.split_at(cut);
        assert_eq!(said_in_lines(&[a, b]), whole, "cut at {cut}");
    }
    let octets: Vec<&[u8]> = stream.chunks(1).collect();
    assert_eq!(said_in_lines(&octets), whole, "octet by octet");
}

#[test]
fn every_vector_after_a_hello_cut_anywhere() {
    let mut count = 0;
    for below in ["messi/valid", "messi/invalid", "messi/stream"] {
        for v in read(below) {
            if v.bytes.len() > 400 || v.bytes[0] == 0 {
                continue;
            }
            let mut stream = if v.schema == Schema::ToNode && below == "messi/stream" {
                Vec::new()
            } else {
                frame(Hello { seq: 1, ..Hello::default() }.into())
            };
            stream.extend(&v.bytes);
            check(&v.path.display().to_string(), &stream);
            count += 1;
        }
    }
    assert!(count > 80, "{count}");
}

#[test]
fn the_old_framings_cut_anywhere() {
    for v in read("messi/valid").iter().chain(&read("messi/stream")).filter(|v| v.bytes[0] == 0) {
        check(&v.path.display().to_string(), &v.bytes);
    }
}
