//! `chappe bench`: loads a running daemon the way its users would, for people to size their
//! own machine.
//!
//! Owns: the measurements. All stations are in this one process and thread, in one poll loop,
//! so on a small machine they take their share of it; the CPU column says how much. What a
//! daemon can do at most is measured by the project's yardstick, not here.

mod crew;
mod floor;
mod histogram;

use std::time::{Duration, Instant};

use chappe_core::client::Event;
use chappe_core::dialect::messi::repr::{Answer, Letter, Store, StoreOp};
use chappe_linux::client::{Client, SendError};
use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use super::connect::Global;
use super::exit::Failure;
use super::show::{parse_span, table};
use crew::Crew;
use histogram::Times;

/// `chappe bench`.
#[derive(Debug, Args)]
pub(crate) struct Bench {
    /// How long each measurement takes
    #[arg(long, default_value = "3s", value_name = "TIME", value_parser = parse_span)]
    secs: Duration,
    /// Bytes of each body or value
    #[arg(long, default_value_t = 32, value_name = "BYTES")]
    size: usize,
    /// How many stations a fan-out goes to
    #[arg(long, default_value_t = 100, value_name = "N")]
    stations: usize,
    /// How many messages, calls or operations are under way at once, where it is not one
    #[arg(long, default_value_t = 64, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100))]
    window: u32,
    /// Only these
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Part::Publish, Part::Fanout, Part::Call, Part::Values])]
    only: Vec<Part>,
}

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// One station to one other
    Publish,
    /// One station to many
    Fanout,
    /// Questions and answers
    Call,
    /// Shared values
    Values,
}

/// One measurement.
struct Measured {
    name: &'static str,
    what: String,
    per_second: f64,
    lost: u64,
    times: Times,
    /// Of one processor, that this process took.
    cpu: Option<f64>,
}

pub(crate) fn run(args: &Bench, global: &Global) -> Result<(), Failure> {
    if args.size < 8 || args.size > 1 << 20 {
        return Err(Failure::usage("--size: 8 to 1048576 bytes (8 of them are the time it was sent)"));
    }
    if args.stations == 0 || args.stations > 50_000 {
        return Err(Failure::usage("--stations: 1 to 50000"));
    }
    if args.secs.is_zero() {
        return Err(Failure::usage("--secs must be longer than 0"));
    }
    let has = |part| args.only.contains(&part);
    let mut out = global.out();
    let mut all = Vec::new();
    let mut ratios = Vec::new();
    let window = u64::from(args.window);
    let name = format!("bench::{}", std::process::id());

    let (floor, floor_p50) = best_floor(args, global)?;
    all.push(Measured {
        name: "floor",
        what: "a thread's echo, no node".into(),
        per_second: 1e6 / floor_p50.max(0.001),
        lost: 0,
        times: floor,
        cpu: None,
    });

    let mut one = 0.0;
    if has(Part::Publish) {
        let m = publish(args, global, &name, 1, 1)?;
        all.push(Measured { name: "publish", what: "1 to 1, one at a time".into(), ..m });
        let m = publish(args, global, &name, 1, window)?;
        one = m.per_second;
        all.push(Measured { name: "publish_many", what: format!("1 to 1, {window} at a time"), ..m });
    }
    if has(Part::Fanout) {
        let n = args.stations;
        let m = publish(args, global, &name, n, (window / 4).max(1))?;
        if one > 0.0 {
            ratios.push(("time per delivery in a fan-out, to that of 1 to 1", one / m.per_second));
        }
        all.push(Measured { name: "fanout", what: format!("1 to {n}, deliveries"), ..m });
    }
    if has(Part::Call) {
        let mut m = call(args, global, &name, 1)?;
        if let Some(p50) = m.times.percentile(50.0) {
            ratios.push(("median of a call (4 ways), to the floor (2 ways)", p50 / floor_p50));
        }
        all.push(Measured { name: "call", what: "one at a time".into(), ..m });
        let m = call(args, global, &name, window)?;
        all.push(Measured { name: "call_many", what: format!("{window} at a time"), ..m });
    }
    if has(Part::Values) {
        let mut m = values(args, global, &name, 1)?;
        if let Some(p50) = m.times.percentile(50.0) {
            ratios.push(("median of an operation on a value (2 ways), to the floor (2 ways)", p50 / floor_p50));
        }
        all.push(Measured { name: "values", what: "set, get, add in turn, one at a time".into(), ..m });
        let m = values(args, global, &name, window)?;
        all.push(Measured { name: "values_many", what: format!("set, get, add in turn, {window} at a time"), ..m });
    }
    if out.json {
        out.json(&to_json(args, global, &mut all, &ratios))?;
        return out.flush();
    }
    let us =
        |v: Option<f64>| v.map_or_else(String::new, |v| if v < 100.0 { format!("{v:.1}") } else { format!("{v:.0}") });
    let rows: Vec<_> = all
        .iter_mut()
        .map(|m| {
            vec![
                m.name.to_owned(),
                format!("{:.0}", m.per_second),
                us(m.times.percentile(50.0)),
                us(m.times.percentile(99.0)),
                us(Some(m.times.max())),
                m.cpu.map_or_else(String::new, |c| format!("{:.0}%", c * 100.0)),
                m.lost.to_string(),
                m.what.clone(),
            ]
        })
        .collect();
    table(&mut out, &["WHAT", "PER SECOND", "P50 µs", "P99 µs", "MAX µs", "CPU HERE", "LOST", ""], &rows)?;
    if !out.quiet {
        out.line("")?;
        for (what, ratio) in &ratios {
            out.line(format!("{ratio:6.2}  {what}"))?;
        }
    }
    out.flush()
}

/// The best of five short runs: which processors the two threads are on makes more of a
/// difference than anything else.
fn best_floor(args: &Bench, global: &Global) -> Result<(Times, f64), Failure> {
    let time = (args.secs / 5).min(Duration::from_millis(200));
    let mut best: Option<(Times, f64)> = None;
    for _ in 0..5 {
        let mut times = floor::echo(&global.address()?, args.size, time)
            .map_err(|e| Failure::io("cannot measure the floor", &e))?;
        let p50 = times.percentile(50.0).unwrap_or(f64::MAX);
        if best.as_ref().is_none_or(|(_, b)| p50 < *b) {
            best = Some((times, p50));
        }
    }
    Ok(best.unwrap_or_default())
}

fn to_json(args: &Bench, global: &Global, all: &mut [Measured], ratios: &[(&str, f64)]) -> Value {
    let rows: Vec<_> = all
        .iter_mut()
        .map(|m| {
            json!({
                "name": m.name, "what": m.what, "per_second": m.per_second.round(), "lost": m.lost,
                "p50_us": m.times.percentile(50.0), "p90_us": m.times.percentile(90.0),
                "p99_us": m.times.percentile(99.0), "max_us": m.times.max(), "cpu_here": m.cpu,
            })
        })
        .collect();
    let ratios: serde_json::Map<_, _> = ratios.iter().map(|(k, v)| ((*k).to_owned(), json!(v))).collect();
    json!({
        "address": global.bus().to_string(), "seconds": args.secs.as_secs_f64(), "size": args.size,
        "stations": args.stations, "window": args.window, "measured": rows, "ratios": ratios,
    })
}

/// What a measurement counts while it runs.
struct Meter {
    clock: Instant,
    /// What came before this is not counted: everything warms up.
    from: Instant,
    end: Instant,
    count: u64,
    times: Times,
    cpu: Option<f64>,
}

impl Meter {
    fn new(args: &Bench) -> Self {
        let clock = Instant::now();
        let from = clock + (args.secs / 10).min(Duration::from_millis(300));
        Meter { clock, from, end: from + args.secs, count: 0, times: Times::default(), cpu: cpu_seconds() }
    }

    fn stamp(&self) -> [u8; 8] {
        (self.clock.elapsed().as_nanos() as u64).to_le_bytes()
    }

    /// One has arrived that was sent at `stamp`.
    fn arrived(&mut self, stamp: &[u8]) {
        let now = Instant::now();
        if now < self.from || now >= self.end {
            return;
        }
        self.count += 1;
        if let Some(stamp) = stamp.first_chunk::<8>() {
            let sent = Duration::from_nanos(u64::from_le_bytes(*stamp));
            self.times.add((now - self.clock).saturating_sub(sent));
        }
    }

    fn done(self, args: &Bench, lost: u64) -> Measured {
        let wall = self.clock.elapsed().as_secs_f64();
        Measured {
            name: "",
            what: String::new(),
            per_second: self.count as f64 / args.secs.as_secs_f64(),
            lost,
            times: self.times,
            cpu: self.cpu.and_then(|before| Some((cpu_seconds()? - before) / wall)),
        }
    }
}

/// Processor time of this process so far, as the kernel counts it, in seconds.
fn cpu_seconds() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/schedstat").ok()?;
    // nanoseconds on a processor, of the main thread: the only one that works
    Some(stat.split(' ').next()?.parse::<f64>().ok()? / 1e9)
}

/// Nothing has come for this long: what is under way is lost.
const PATIENCE: Duration = Duration::from_secs(2);

/// Letters from one station to `n` others, `window` under way.
fn publish(args: &Bench, global: &Global, name: &str, n: usize, window: u64) -> Result<Measured, Failure> {
    let mut crew = Crew::new(n + 1, args.size, global)?;
    for i in 1..=n {
        crew.join(i, name, false)?;
    }
    let mut body = vec![b'x'; args.size];
    let mut meter = Meter::new(args);
    let (mut sent, mut got, mut lost) = (0u64, 0u64, 0u64);
    let mut heard = Instant::now();
    while Instant::now() < meter.end {
        while sent * n as u64 - got < window * n as u64 {
            body[..8].copy_from_slice(&meter.stamp());
            match crew.links[0].client().send(&Letter { name, verb: "SET", body: &body, ..Letter::default() }) {
                Ok(()) => sent += 1,
                Err(SendError::Full) => break,
                Err(why) => return Err(chappe_linux::client::Error::from(why).into()),
            }
        }
        crew.links[0].flush();
        let before = got;
        crew.turn(Duration::from_millis(100), &mut |_, _, event| {
            if let Event::Message(l) = event {
                got += 1;
                meter.arrived(l.body);
            }
        })?;
        if got > before {
            heard = Instant::now();
        } else if heard.elapsed() > PATIENCE {
            lost += sent * n as u64 - got;
            got = sent * n as u64;
            heard = Instant::now();
        }
        crew.check()?;
    }
    crew.leave();
    Ok(meter.done(args, lost))
}

/// Questions from one station to another, `window` under way.
fn call(args: &Bench, global: &Global, name: &str, window: u64) -> Result<Measured, Failure> {
    let mut crew = Crew::new(2, args.size, global)?;
    crew.join(1, name, true)?;
    let body = vec![b'x'; args.size];
    let ask = |client: &mut Client<'static>, now| {
        client.call(now, &Letter { name, verb: "ASK", body: &body, ..Letter::default() }).map(drop)
    };
    let answer = |client: &mut Client<'static>, event: &Event<'_>| {
        if let Event::Message(l) = event {
            let _ = client.answer(&Answer { ask_id: l.ask_id, body: l.body, ..Answer::default() });
        }
    };
    ask_and_wait(args, crew, window, ask, answer)
}

/// Operations on values, `window` under way.
fn values(args: &Bench, global: &Global, name: &str, window: u64) -> Result<Measured, Failure> {
    let crew = Crew::new(1, args.size, global)?;
    let value = vec![b'x'; args.size];
    let number = format!("{name}::n");
    let mut turn = 0u32;
    let ask = |client: &mut Client<'static>, now| {
        let store = match turn % 3 {
            0 => Store { op: StoreOp::Set, name, value: &value, ..Store::default() },
            1 => Store { op: StoreOp::Get, name, ..Store::default() },
            _ => Store { op: StoreOp::Add, name: &number, amount: 1, ..Store::default() },
        };
        client.store(now, &store)?;
        turn += 1;
        Ok(())
    };
    let measured = ask_and_wait(args, crew, window, ask, |_, _| {});
    // The two values stay behind otherwise.
    let mut bus = global.connection()?;
    for name in [name, &format!("{name}::n")] {
        bus.remove(name)?;
    }
    bus.close()?;
    measured
}

/// Station 0 asks, others answer.
fn ask_and_wait(
    args: &Bench,
    mut crew: Crew,
    window: u64,
    mut ask: impl FnMut(&mut Client<'static>, chappe_core::time::Instant) -> Result<(), SendError>,
    mut answer: impl FnMut(&mut Client<'static>, &Event<'_>),
) -> Result<Measured, Failure> {
    let mut meter = Meter::new(args);
    let (mut under_way, mut lost) = (0u64, 0u64);
    // All answers come in the order of their questions (D1): their times of sending wait in a row.
    let mut stamps = std::collections::VecDeque::new();
    while Instant::now() < meter.end {
        let now = crew.links[0].now();
        while under_way < window {
            let stamp = meter.stamp();
            match ask(crew.links[0].client(), now) {
                Ok(()) => under_way += 1,
                Err(SendError::Full | SendError::TooManyCalls) => break,
                Err(why) => return Err(chappe_linux::client::Error::from(why).into()),
            }
            stamps.push_back(stamp);
        }
        crew.links[0].flush();
        crew.turn(Duration::from_millis(100), &mut |i, client, event| {
            if i > 0 {
                return answer(client, &event);
            }
            match event {
                Event::Reply(_) | Event::Value(_) | Event::Outcome(_) => {
                    under_way -= 1;
                    if let Some(stamp) = stamps.pop_front() {
                        meter.arrived(&stamp);
                    }
                }
                Event::Lost { .. } => {
                    under_way -= 1;
                    lost += 1;
                    stamps.pop_front();
                }
                _ => {}
            }
        })?;
        crew.check()?;
    }
    crew.leave();
    Ok(meter.done(args, lost))
}
