//! Writers that never stop, one of each dialect: what they say is taken as fast as there is time
//! for it, and a pair of each dialect beside them misses nothing.

use std::io::{ErrorKind, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use chappe_core::dialect::messi::repr::Letter;
use serde_json::json;

use crate::dice::span;
use crate::house::{FEW, House, Tongue, Way};
use crate::member::Member;
use crate::pulse::{self, Pulse};
use crate::support::{Stream, frame, msgq};

/// A message that nobody listens to and nothing is answered to.
fn words(way: Way) -> Vec<u8> {
    match way.tongue() {
        Tongue::Native => frame(Letter { name: "nobody", verb: "X", body: &[1; 100], ..Letter::default() }),
        Tongue::Msgq => {
            let head = json!({"type": "send", "from": "x", "to": "*", "group": "nobody", "instance": "*", "seq": 1});
            msgq::frame(&head, &[b'1'; 100])
        }
        Tongue::Clacks => format!("SET nobody={}\r\n", "1".repeat(100)).into(),
        Tongue::Communicator => format!("./NOBODY v={}\n", "1".repeat(100)).into(),
    }
}

/// What is left of many of them.
struct Greedy {
    stream: Stream,
    words: Vec<u8>,
    at: usize,
    said: u64,
}

impl Greedy {
    fn new(house: &House, way: Way) -> Greedy {
        let member = Member::of(house, way, &format!("greedy{way:?}").to_lowercase(), "GREEDY");
        let stream = member.into_stream();
        match &stream {
            Stream::Tcp(s) => s.set_nonblocking(true).unwrap(),
            Stream::Unix(s) => s.set_nonblocking(true).unwrap(),
            Stream::Tls(s) => s.sock.set_nonblocking(true).unwrap(),
            Stream::File(_) => {}
        }
        Greedy { stream, words: words(way).repeat(500), at: 0, said: 0 }
    }

    /// As much as is taken. Returns whether anything was.
    fn say(&mut self) -> bool {
        let rest = &self.words[self.at..];
        let result = match &mut self.stream {
            Stream::Tcp(s) => s.write(rest),
            Stream::Unix(s) => s.write(rest),
            Stream::Tls(s) => s.write(rest),
            Stream::File(s) => s.write(rest),
        };
        match result {
            Ok(n) => {
                self.at = (self.at + n) % self.words.len();
                self.said += n as u64;
                n > 0
            }
            Err(e) if e.kind() == ErrorKind::WouldBlock => false,
            Err(e) => panic!("a greedy one is no wrong one: {e}"),
        }
    }
}

#[test]
fn writers_that_never_stop_are_heard_and_hold_up_nobody() {
    let house = House::start("", "");
    let pulses: Vec<Pulse> = FEW.map(|way| Pulse::start(&house, way)).into();
    std::thread::sleep(span());
    let (before, memory) = (house.page(), house.memory());
    let mut greedy = FEW.map(|way| Greedy::new(&house, way));
    pulse::all(&pulses, 1);
    let is_over = Arc::new(AtomicBool::new(false));
    let pouring = {
        let is_over = is_over.clone();
        std::thread::spawn(move || {
            while !is_over.load(Ordering::Relaxed) {
                // each of them, whether or not another was heard
                if greedy.iter_mut().filter_map(|one| one.say().then_some(())).count() == 0 {
                    std::thread::yield_now();
                }
            }
            greedy.map(|one| one.said)
        })
    };
    std::thread::sleep(2 * span());
    let most = house.memory();
    is_over.store(true, Ordering::Relaxed);
    let said = pouring.join().unwrap();
    pulse::all(&pulses, 2);
    let after = house.until("they are gone", |page| page.get("connections") == before.get("connections"));
    let beats = pulse::stop(pulses);
    let ways = FEW;
    let taken = after.get("read_bytes") - before.get("read_bytes");
    println!("octets said by {ways:?}: {said:?}; {taken} taken; resident KiB {memory}, then {most}");
    pulse::print("a message beside writers that never stop", &beats);
    assert!(said.iter().all(|n| *n > 0), "each of them is heard");
    assert!(most < memory + 16_384, "{memory} KiB, then {most}");
}
