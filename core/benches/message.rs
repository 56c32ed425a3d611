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
use chappe_core::dialect::messi::wire::{Writer, kind};
use chappe_core::id::StationId;
use chappe_core::model::{ClientToServer, Hello, Join, Letter, ServerToClient};
use chappe_core::router::{Action, Counter, Newcomer, Open, Router, Settings};
use chappe_core::storage::Storage;
use chappe_core::time::Instant;
use criterion::{Criterion, Throughput};
use std::hint::black_box;
use std::time::Duration;

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

/// A node with stations, and the bytes of one of them. What the shell would write is counted
/// and forgotten.
struct Node {
    router: Router<'static>,
    sender: StationId,
}

const NOW: Instant = Instant::ZERO;

/// Room for 10,000 bystanders, 100 listeners and a sender.
const PLACES: usize = 10_200;
const REQUESTS: usize = 16;
const MAIL: usize = 8;
const BLOCK: usize = 4096;

type Memory =
    Storage<PLACES, PLACES, PLACES, REQUESTS, 32, MAIL, 8, 8, { PLACES + REQUESTS + MAIL }, 4096, BLOCK, 4096, 8, 8>;

/// Leaks its memory: there are few, and the system takes it back at the end.
fn router() -> Router<'static> {
    let settings = Settings { max_frame: 1024, outbox: 1 << 20, ..Settings::new("bench", "0", &Open) };
    let memory: &'static mut Memory = Box::leak(Box::new(Memory::new()));
    memory.router(settings, NOW).unwrap()
}

impl Node {
    /// One sender, `listeners` that have joined `fan`, and `others` that have each joined a
    /// name of their own.
    fn new(listeners: usize, others: usize) -> Node {
        let mut node = Node { router: router(), sender: StationId::new(1).unwrap() };
        for i in 0..listeners + others {
            let own = format!("other::{i}");
            let id = node.arrive();
            let name = if i < listeners { "fan" } else { &own };
            node.hear(id, &frame(&Join { name, ..Join::default() }.into()));
        }
        node.sender = node.arrive();
        let f = frame(&letter("fan").into());
        let n = node.hear(node.sender, &f);
        assert!(n > listeners * f.len(), "{n} octets for {listeners} listeners");
        node
    }

    fn arrive(&mut self) -> StationId {
        let id = self.router.admit(NOW, Newcomer::default()).unwrap();
        assert!(self.hear(id, &frame(&Hello { seq: 1, ..Hello::default() }.into())) > 0, "no welcome");
        id
    }

    /// Every letter has reached all who listen: none was dropped for want of room, which would
    /// be quicker.
    fn check(&self, listeners: usize) {
        let c = self.router.counters();
        assert_eq!(c.get(Counter::Deliveries), c.get(Counter::Letters) * listeners as u64);
    }

    /// What happens when bytes come: all is handled, and all that is to be written is taken.
    /// Returns how many octets that was.
    fn hear(&mut self, from: StationId, bytes: &[u8]) -> usize {
        let mut n = 0;
        let mut left = bytes;
        while !left.is_empty() {
            let taken = self.router.receive(NOW, from, left);
            left = &left[taken..];
            n += self.write();
        }
        n
    }

    fn write(&mut self) -> usize {
        let mut n = 0;
        while let Some(action) = self.router.next_action(NOW) {
            match action {
                Action::Write(id) => {
                    let k = self.router.output(id).map(|b| black_box(b).len()).sum();
                    self.router.sent(NOW, id, k);
                    n += k;
                }
                Action::Resume(_) => {}
                Action::Close(id, why) => panic!("{id} closed: {}", why.text()),
            }
        }
        n
    }
}

/// How many messages lie in one read of the shell.
const RUN: usize = 100;

fn route(c: &mut Criterion) {
    let mut g = c.benchmark_group("route");
    let one = frame(&letter("fan").into());
    let run = one.repeat(RUN);
    for listeners in [1, 100] {
        let mut node = Node::new(listeners, 0);
        g.throughput(Throughput::Elements(listeners as u64));
        g.bench_function(format!("to {listeners}, one message at a time"), |b| {
            b.iter(|| node.hear(node.sender, black_box(&one)))
        });
        g.throughput(Throughput::Elements((listeners * RUN) as u64));
        g.bench_function(format!("to {listeners}, {RUN} messages in one read"), |b| {
            b.iter(|| node.hear(node.sender, black_box(&run)))
        });
        node.check(listeners);
    }
    for others in [10, 10_000] {
        let mut node = Node::new(1, others);
        g.throughput(Throughput::Elements(1));
        g.bench_function(format!("to 1 beside {others} others"), |b| {
            b.iter(|| node.hear(node.sender, black_box(&one)))
        });
    }
    g.finish();
}

/// Nanoseconds of one call: the median of many short series, so that what else the machine
/// does is left out.
fn nanoseconds(mut what: impl FnMut()) -> f64 {
    let mut series: Vec<f64> = (0..201)
        .map(|_| {
            let start = std::time::Instant::now();
            (0..200).for_each(|_| what());
            start.elapsed().as_nanos() as f64 / 200.0
        })
        .collect();
    series.sort_by(f64::total_cmp);
    series[series.len() / 2]
}

/// The targets, against what is measured here and now.
fn verdict() {
    let one = frame(&letter("fan").into());
    let time = |listeners, others| {
        let mut node = Node::new(listeners, others);
        let time = nanoseconds(|| {
            black_box(node.hear(node.sender, black_box(&one)));
        });
        node.check(listeners);
        time
    };
    let (to_1, to_100) = (time(1, 0), time(100, 0));
    let (few, many) = (time(1, 10), time(1, 10_000));
    println!("to one station              {to_1:7.1} ns   target under 250");
    println!("to each further station     {:7.1} ns   target under 40", (to_100 - to_1) / 99.0);
    println!(
        "beside 10,000 others        {:7.3} times that beside 10 ({many:.1} : {few:.1} ns)   target 1",
        many / few
    );
}

fn run() {
    let mut c = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .configure_from_args();
    codec(&mut c);
    route(&mut c);
    c.final_summary();
    // `cargo test --benches` and a filter want no verdict
    if !std::env::args().skip(1).any(|a| a != "--bench") {
        verdict();
    }
}

fn main() {
    // Memory is built before it is boxed: more than an ordinary stack holds.
    let big = std::thread::Builder::new().stack_size(256 << 20);
    big.spawn(run).expect("a thread").join().expect("benches");
}
