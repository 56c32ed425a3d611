//! What a message of the Communicator costs in the core, without a kernel: to one service, and to
//! each of many that have announced it.
//!
//!     cargo bench -p chappe-core --features communicator --bench communicator

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

type Memory = Storage<1024, 2048, 8192, 16, 32, 8, 8, 8, { 1024 + 16 + 8 }, 4096, 4096, 4096, 128, 1024>;

struct Node(Router<'static>);

impl Node {
    fn new() -> Node {
        let mut settings = Settings { max_frame: 1024, outbox: 1 << 20, ..Settings::new("bench", "0", &Open) };
        settings.communicator.outbox = 1 << 20;
        let memory: &'static mut Memory = Box::leak(Box::new(Memory::new()));
        Node(memory.router(settings, NOW).unwrap())
    }

    fn client(&mut self, name: &str) -> StationId {
        let id = self.0.admit(NOW, Newcomer { dialect: Dialect::Communicator, ..Newcomer::default() }).unwrap();
        let hello = format!("REGISTER service={name};version=1\nCOMMANDS list=HELP,NEWS,QUITTING,READY,STOP,UNKNOWN\n");
        assert!(self.hear(id, hello.as_bytes()) > 0);
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
    let mut g = c.benchmark_group("communicator");
    let mut node = Node::new();
    let sender = node.client("sender");
    node.client("fan");
    // 60 octets
    let one = b"fan/NEWS a=1;text=xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\n";
    let run = one.repeat(RUN);
    let source = "<communicatord:sender ".len();
    assert_eq!(node.hear(sender, &run), run.len() + RUN * source);
    g.throughput(Throughput::Elements(RUN as u64));
    g.bench_function(format!("to 1, {RUN} messages in one read"), |b| b.iter(|| node.hear(sender, black_box(&run))));
    g.throughput(Throughput::Elements(1));
    g.bench_function("to 1, one message at a time", |b| b.iter(|| node.hear(sender, black_box(one))));
    for i in 0..999 {
        node.client(&format!("service{i}"));
    }
    let all = b"./NEWS a=1;text=xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\n";
    assert_eq!(node.hear(sender, all), 1000 * (all.len() + source));
    g.throughput(Throughput::Elements(1000));
    g.bench_function("to 1,000 that have announced it", |b| b.iter(|| node.hear(sender, black_box(all))));
    g.finish();
    c.final_summary();
}

fn main() {
    let big = std::thread::Builder::new().stack_size(64 << 20);
    big.spawn(run).expect("a thread").join().expect("benches");
}
