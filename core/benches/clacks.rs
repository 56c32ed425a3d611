//! What a line of Clacks costs in the core, without a kernel: a signal to one client, a value
//! stored and asked for.
//!
//!     cargo bench -p chappe-core --features clacks --bench clacks

use chappe_core::dialect::Dialect;
use chappe_core::id::StationId;
use chappe_core::router::{Action, Newcomer, Open, Router, Settings};
use chappe_core::storage::Storage;
use chappe_core::time::Instant;
use criterion::{Criterion, Throughput};
use std::hint::black_box;
use std::time::Duration;

const NOW: Instant = Instant::ZERO;
const RUN: usize = 100;

type Memory = Storage<16, 64, 64, 16, 32, 8, 8, 8, { 16 + 16 + 8 }, 4096, 4096, 4096, 128, 1024>;

struct Node(Router<'static>);

impl Node {
    fn new() -> Node {
        let mut settings = Settings { max_frame: 1024, outbox: 1 << 20, ..Settings::new("bench", "0", &Open) };
        settings.clacks.outbox = 1 << 20;
        let memory: &'static mut Memory = Box::leak(Box::new(Memory::new()));
        Node(memory.router(settings, NOW).unwrap())
    }

    fn client(&mut self) -> StationId {
        let id = self.0.admit(NOW, Newcomer { dialect: Dialect::Clacks, ..Newcomer::default() }).unwrap();
        assert!(self.hear(id, b"OVERHEAD A bA==:bA==\r\n") > 0);
        id
    }

    /// All is handled, and all that is to be written is taken. Returns how many octets that was.
    fn hear(&mut self, from: StationId, bytes: &[u8]) -> usize {
        let (mut n, mut left) = (0, bytes);
        while !left.is_empty() {
            left = &left[self.0.receive(NOW, from, left)..];
            while let Some(action) = self.0.next_action(NOW) {
                match action {
                    Action::Write(id) => {
                        let k = self.0.output(id).map(|b| black_box(b).len()).sum();
                        self.0.sent(NOW, id, k);
                        n += k;
                    }
                    Action::Resume(_) => {}
                    Action::Close(id, why) => panic!("{id} closed: {}", why.text()),
                }
            }
        }
        n
    }
}

fn run() {
    let mut c = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .configure_from_args();
    let mut g = c.benchmark_group("clacks");
    g.throughput(Throughput::Elements(RUN as u64));
    let mut node = Node::new();
    let (sender, listener) = (node.client(), node.client());
    node.hear(listener, b"LISTEN fan\r\n");
    let run = b"SET fan=xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\r\n".repeat(RUN);
    assert_eq!(node.hear(sender, &run), run.len());
    g.bench_function(format!("to 1, {RUN} signals in one read"), |b| b.iter(|| node.hear(sender, black_box(&run))));
    let one = &run[..run.len() / RUN];
    g.throughput(Throughput::Elements(1));
    g.bench_function("to 1, one signal at a time", |b| b.iter(|| node.hear(sender, black_box(one))));
    g.throughput(Throughput::Elements(2 * RUN as u64));
    let run: Vec<u8> = (0..RUN)
        .flat_map(|i| {
            format!("STORE key{i:06}=xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\r\nRETRIEVE key{i:06}\r\n").into_bytes()
        })
        .collect();
    assert!(node.hear(sender, &run) > RUN * 50);
    g.bench_function(format!("{RUN} values stored and asked for in one read"), |b| {
        b.iter(|| node.hear(sender, black_box(&run)))
    });
    g.finish();
    c.final_summary();
}

fn main() {
    let big = std::thread::Builder::new().stack_size(64 << 20);
    big.spawn(run).expect("a thread").join().expect("benches");
}
