//! A steady sender and those who hear it, beside whatever else goes on: nothing may be missing,
//! the order has to be right, and how long each message took is noted.
//!
//! A message that should have been sent while the one before it could not be counts from when
//! it should have been: who is held up cannot hide it by saying less.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::house::{House, Way};
use crate::member::Member;

/// Phases whose times are kept apart: before, during, after.
pub(crate) const PHASES: usize = 3;
const NAMES: [&str; PHASES] = ["before", "during", "after"];
const END: usize = PHASES;

/// Octets of a message that are not its own numbers.
const PAD: usize = 32;

/// How often it beats.
pub(crate) const EVERY: Duration = Duration::from_millis(1);

/// A pair at work.
pub(crate) struct Pulse {
    way: Way,
    phase: Arc<AtomicUsize>,
    sender: JoinHandle<u64>,
    listeners: Vec<JoinHandle<Heard>>,
}

/// What one listener has heard, in microseconds for each phase.
struct Heard {
    times: [Vec<u32>; PHASES],
    count: u64,
}

/// What became of a pair.
pub(crate) struct Beat {
    pub(crate) way: Way,
    pub(crate) sent: u64,
    times: [Vec<u32>; PHASES],
}

/// The group of a way's pulse.
pub(crate) fn group(way: Way) -> String {
    format!("PULSE{}", format!("{way:?}").to_uppercase())
}

impl Pulse {
    /// One to one.
    pub(crate) fn start(house: &House, way: Way) -> Pulse {
        Pulse::with(house, way, 1, EVERY, PAD)
    }

    /// One to `listeners`, one message `every`, of `size` octets beside its own numbers.
    pub(crate) fn with(house: &House, way: Way, listeners: usize, every: Duration, size: usize) -> Pulse {
        let group = group(way);
        let clock = Instant::now();
        let name = |what: &str, n: usize| format!("{}{what}{n}", group.to_lowercase());
        let listeners: Vec<_> = (0..listeners).map(|n| Member::of(house, way, &name("hears", n), &group)).collect();
        let listeners = listeners.into_iter().map(|member| std::thread::spawn(move || listen(member, clock))).collect();
        let mut member = Member::of(house, way, &name("says", 0), &format!("{group}NOT"));
        let phase = Arc::new(AtomicUsize::new(0));
        let now = phase.clone();
        let sender = std::thread::spawn(move || {
            let pad = "x".repeat(size);
            let mut due = clock.elapsed();
            let mut seq = 0;
            loop {
                let phase = now.load(Ordering::Relaxed);
                let late = clock.elapsed().saturating_sub(due);
                let stamp = if late > every { due } else { due + late };
                member.send(&group, &format!("{seq}_{phase}_{}_{pad}", stamp.as_micros()));
                seq += 1;
                if phase == END {
                    return seq;
                }
                due += every;
                std::thread::sleep(due.saturating_sub(clock.elapsed()));
            }
        });
        Pulse { way, phase, sender, listeners }
    }

    /// From here on another phase: 0 before, 1 during, 2 after.
    pub(crate) fn phase(&self, phase: usize) {
        self.phase.store(phase, Ordering::Relaxed);
    }

    /// Ends it; panics if anything is missing or out of order.
    pub(crate) fn stop(self) -> Beat {
        self.phase(END);
        let sent = self.sender.join().unwrap_or_else(|_| panic!("who sends by {:?} could not", self.way));
        let mut times: [Vec<u32>; PHASES] = Default::default();
        for listener in self.listeners {
            let heard = listener.join().unwrap_or_else(|_| panic!("who hears by {:?} did not", self.way));
            assert_eq!(heard.count, sent, "{:?}: nothing is missing", self.way);
            for (all, more) in times.iter_mut().zip(heard.times) {
                all.extend(more);
            }
        }
        for all in &mut times {
            all.sort_unstable();
        }
        Beat { way: self.way, sent, times }
    }
}

fn listen(mut member: Member, clock: Instant) -> Heard {
    let mut heard = Heard { times: Default::default(), count: 0 };
    loop {
        let text = member.hear();
        let now = clock.elapsed();
        let mut parts = text.split('_').map(|part| part.parse::<u64>().unwrap_or_default());
        let mut part = || parts.next().unwrap();
        let (seq, phase, stamp) = (part(), part() as usize, part());
        assert_eq!(seq, heard.count, "in order, and nothing missing");
        heard.count += 1;
        if phase == END {
            return heard;
        }
        heard.times[phase].push((now.as_micros() as u64).saturating_sub(stamp) as u32);
    }
}

/// Microseconds below which so many of a thousand lie.
fn percentile(sorted: &[u32], of_thousand: usize) -> String {
    let at = (sorted.len() * of_thousand).div_ceil(1000).saturating_sub(1);
    sorted.get(at).map_or("-".into(), |us| format!("{us}"))
}

/// The times of all, phases side by side.
pub(crate) fn print(title: &str, beats: &[Beat]) {
    let used: Vec<usize> = (0..PHASES).filter(|p| beats.iter().any(|b| !b.times[*p].is_empty())).collect();
    let mut text = format!("\n{title} (µs)\n{:<10}", "");
    for &phase in &used {
        let _ = write!(text, " | {:>8} {:>7} {:>7} {:>7} {:>8}", NAMES[phase], "p50", "p99", "p99.9", "longest");
    }
    for beat in beats {
        let _ = write!(text, "\n{:<10}", format!("{:?}", beat.way));
        for &phase in &used {
            let times = &beat.times[phase];
            let [p50, p99, p999, longest] = [500, 990, 999, 1000].map(|n| percentile(times, n));
            let _ = write!(text, " | {:>8} {p50:>7} {p99:>7} {p999:>7} {longest:>8}", times.len());
        }
    }
    println!("{text}\n");
}

/// All of them from `phase` on.
pub(crate) fn all(pulses: &[Pulse], phase: usize) {
    for pulse in pulses {
        pulse.phase(phase);
    }
}

/// Ends all of them.
pub(crate) fn stop(pulses: Vec<Pulse>) -> Vec<Beat> {
    all(&pulses, END);
    pulses.into_iter().map(Pulse::stop).collect()
}
