//! What one message costs in the core, without a kernel: reading, writing, and the whole way
//! through a node.
//!
//!     cargo bench -p chappe-core
//!
//! Targets, on the machine that the project is developed on: the whole way of a 32-byte
//! message to one station in under 250 ns, to each further station in under 40 ns, and the
//! same whether 10 or 10,000 stations are there that have nothing to do with it. The last
//! lines of the output hold the results against them.

use chappe_core::dialect::messi::frame::{Finder, Framing};
use chappe_core::dialect::messi::repr::{ClientToServer, Letter, ServerToClient};
use chappe_core::dialect::messi::wire::{Writer, kind};
use criterion::{Criterion, Throughput};
use std::hint::black_box;

const BODY: [u8; 32] = [b'x'; 32];
const LIMIT: usize = 65536;

/// A frame of a client.
fn frame(what: &ClientToServer<'_>) -> Vec<u8> {
    let size = what.len();
    let mut f = vec![0; 4 + size];
    Framing::Today.write_header(kind::CLIENT_TO_SERVER, size, &mut f);
    let mut w = Writer::new(&mut f[4..]);
    what.write(&mut w);
    assert_eq!(w.finish(), Some(size));
    f
}

fn letter(name: &str) -> Letter<'_> {
    Letter { name, body: &BODY, ..Letter::default() }
}

/// Bytes to a letter: header, member, fields.
fn parse(f: &[u8]) -> usize {
    let mut finder = Finder::new();
    let mut input = f;
    let h = finder.header(&mut input, LIMIT).unwrap().unwrap();
    match ClientToServer::read(&input[..h.size]).unwrap().0 {
        ClientToServer::Send(l) => l.body.len(),
        other => panic!("{other:?}"),
    }
}

/// A letter to bytes.
fn encode(l: Letter<'_>, out: &mut [u8]) -> usize {
    let m = ServerToClient::Message(l);
    let size = m.len();
    Framing::Today.write_header(kind::SERVER_TO_CLIENT, size, out);
    let mut w = Writer::new(&mut out[4..4 + size]);
    m.write(&mut w);
    w.finish().unwrap()
}

fn codec(c: &mut Criterion) {
    let mut g = c.benchmark_group("codec");
    g.throughput(Throughput::Elements(1));
    let f = frame(&letter("sensor::b1::temperature").into());
    g.bench_function("parse", |b| b.iter(|| parse(black_box(&f))));
    let mut out = [0u8; 256];
    let l = Letter { from: 70_000, ..letter("sensor::b1::temperature") };
    g.bench_function("encode", |b| b.iter(|| encode(black_box(l), black_box(&mut out))));
    g.finish();
}

fn main() {
    let mut c = Criterion::default()
        .warm_up_time(std::time::Duration::from_millis(500))
        .measurement_time(std::time::Duration::from_secs(2))
        .configure_from_args();
    codec(&mut c);
    c.final_summary();
}
