//! The daemon held against its targets: ratios to the floor and to the sketch broker that ran
//! beside it, from the lines that `load` prints.
//!
//! Owns: the targets (each with its reason), medians, and the table. Runs are paired by
//! repetition: what disturbs the machine for a minute disturbs both sides of a ratio.

use std::collections::BTreeMap;

/// Where a number comes from: workload, peer, field.
type Source = (&'static str, Peer, &'static str);

#[derive(Clone, Copy, PartialEq)]
enum Peer {
    Chappe,
    Sketch,
    Floor,
    Redis,
    Memcached,
}

enum Measure {
    /// The first as a multiple of the second.
    Ratio(Source, Source),
    Plain(Source),
    /// The first less the second.
    Over(Source, Source),
}

enum Target {
    Most(f64),
    Least(f64),
}

struct Row {
    what: &'static str,
    measure: Measure,
    target: Target,
}

/// A difference of less than this share is none on a shared machine.
const NOISE: f64 = 0.10;

use Measure::*;
use Peer::*;
use Target::*;

/// Targets of the dialect `msgq`, against the sketch on a Unix socket.
const MSGQ_ROWS: &[Row] = &[
    Row {
        // Its header is JSON, the sketch's is three words.
        what: "M1 1→1 pipelined, 100 B: CPU per message, times the sketch's",
        measure: Ratio(("M1", Chappe, "sched_us"), ("M1", Sketch, "sched_us")),
        target: Most(4.0),
    },
    Row {
        what: "M2 1→48, 100 B: CPU per delivery, times the sketch's",
        measure: Ratio(("M2", Chappe, "sched_us"), ("M2", Sketch, "sched_us")),
        target: Most(2.5),
    },
    Row {
        what: "M3s call and reply one at a time, one CPU: p50, times the sketch's",
        measure: Ratio(("M3s", Chappe, "p50"), ("M3s", Sketch, "p50")),
        target: Most(1.2),
    },
    Row {
        // The original: about 50,000. Twenty times that.
        what: "M1 messages per second",
        measure: Plain(("M1", Chappe, "rate")),
        target: Least(1_000_000.0),
    },
    Row {
        // The original: 160,000 to 270,000. Twenty times the lesser.
        what: "M2 deliveries per second",
        measure: Plain(("M2", Chappe, "rate")),
        target: Least(3_200_000.0),
    },
    Row { what: "M1 messages lost", measure: Plain(("M1", Chappe, "lost")), target: Most(0.0) },
    Row { what: "M2 messages lost", measure: Plain(("M2", Chappe, "lost")), target: Most(0.0) },
];

/// Targets of the dialect `clacks`, on Unix sockets.
const CLACKS_ROWS: &[Row] = &[
    Row {
        what: "C1 1→1 pipelined, 32 B: CPU per SET, times the sketch's",
        measure: Ratio(("C1", Chappe, "sched_us"), ("C1", Sketch, "sched_us")),
        target: Most(2.0),
    },
    Row {
        what: "C4 store and retrieve by turns, 32 B: CPU per operation, times Redis's",
        measure: Ratio(("C4", Chappe, "sched_us"), ("C4", Redis, "sched_us")),
        target: Most(1.0),
    },
    Row {
        what: "C4 the same, times memcached's",
        measure: Ratio(("C4", Chappe, "sched_us"), ("C4", Memcached, "sched_us")),
        target: Most(1.0),
    },
    Row { what: "C1 messages per second", measure: Plain(("C1", Chappe, "rate")), target: Least(1_000_000.0) },
    Row { what: "C1 messages lost", measure: Plain(("C1", Chappe, "lost")), target: Most(0.0) },
];

/// Targets of the dialect `communicator`, on Unix sockets.
const COMMUNICATOR_ROWS: &[Row] = &[
    Row {
        what: "K1 1→1 pipelined, 60 B: CPU per message, times the sketch's",
        measure: Ratio(("K1", Chappe, "sched_us"), ("K1", Sketch, "sched_us")),
        target: Most(3.0),
    },
    Row {
        what: "K2 a broadcast to 1,000 services, 60 B: CPU per delivery, times the sketch's",
        measure: Ratio(("K2", Chappe, "sched_us"), ("K2", Sketch, "sched_us")),
        target: Most(2.0),
    },
    Row { what: "K1 messages lost", measure: Plain(("K1", Chappe, "lost")), target: Most(0.0) },
    Row { what: "K2 messages lost", measure: Plain(("K2", Chappe, "lost")), target: Most(0.0) },
];

const ROWS: &[Row] = &[
    Row {
        what: "W1 1→1 pipelined: CPU per message, times the sketch's",
        measure: Ratio(("W1", Chappe, "sched_us"), ("W1", Sketch, "sched_us")),
        target: Most(2.0),
    },
    Row {
        what: "W2 1→100: CPU per delivery, times the sketch's",
        measure: Ratio(("W2", Chappe, "sched_us"), ("W2", Sketch, "sched_us")),
        target: Most(1.5),
    },
    Row {
        what: "W1p 100 senders of single messages: CPU per message, times the floor's",
        measure: Ratio(("W1p", Chappe, "sched_us"), ("W1p", Floor, "sched_us")),
        target: Most(1.05),
    },
    Row {
        what: "W3s request and reply, one CPU: p50, times the sketch's",
        measure: Ratio(("W3s", Chappe, "p50"), ("W3s", Sketch, "p50")),
        target: Most(1.1),
    },
    Row {
        what: "W5s idle stations with a name each: resident KiB per station",
        measure: Plain(("W5s", Chappe, "rss_conn_kib")),
        target: Most(2.0),
    },
    Row {
        // "No slower" is a ratio of 1 to which the general noise applies.
        what: "W5s CPU per message beside idle stations, times that without (W1s)",
        measure: Ratio(("W5s", Chappe, "sched_us"), ("W1s", Chappe, "sched_us")),
        target: Most(1.0),
    },
    Row {
        what: "W5s p50 of a round trip beside idle stations, times that without (W3s)",
        measure: Ratio(("W5s", Chappe, "p50"), ("W3s", Chappe, "p50")),
        target: Most(1.0),
    },
    Row {
        what: "W6 good reader's rate beside one that does not read, times its rate alone",
        measure: Ratio(("W6", Chappe, "good_rate_with"), ("W6", Chappe, "good_rate_alone")),
        target: Least(1.0),
    },
    Row {
        what: "W6 longest gap for the good reader, ms",
        measure: Plain(("W6", Chappe, "good_max_gap_ms")),
        target: Most(5.0),
    },
    Row {
        what: "W6 messages that the good reader missed",
        measure: Plain(("W6", Chappe, "good_missed")),
        target: Most(0.0),
    },
    Row {
        // The sketch cuts a slow subscriber at 64 MiB of unsent output.
        what: "W6 resident memory at its peak over that before, MiB",
        measure: Over(("W6", Chappe, "rss_peak_mib"), ("W6", Chappe, "rss_base_mib")),
        target: Most(64.0),
    },
    Row { what: "W1 messages lost", measure: Plain(("W1", Chappe, "lost")), target: Most(0.0) },
    Row { what: "W1p messages lost", measure: Plain(("W1p", Chappe, "lost")), target: Most(0.0) },
    Row { what: "W2 messages lost", measure: Plain(("W2", Chappe, "lost")), target: Most(0.0) },
];

/// Values in the order of the lines: the order of the repetitions.
type Runs = BTreeMap<(String, String, String), Vec<f64>>;

fn read(files: &[String]) -> Runs {
    let mut runs = Runs::new();
    for f in files {
        let s = std::fs::read_to_string(f).unwrap_or_else(|e| panic!("{f}: {e}"));
        for l in s.lines() {
            let w: Vec<&str> = l.split('\t').collect();
            for (k, v) in w.iter().skip(3).filter_map(|kv| kv.split_once('=')) {
                if let Ok(v) = v.parse() {
                    runs.entry((w[0].into(), w[1].into(), k.into())).or_default().push(v);
                }
            }
        }
    }
    runs
}

pub fn median(v: &[f64]) -> f64 {
    let mut v = v.to_vec();
    v.sort_by(f64::total_cmp);
    let n = v.len();
    match n {
        0 => f64::NAN,
        _ if n % 2 == 1 => v[n / 2],
        _ => (v[n / 2 - 1] + v[n / 2]) / 2.0,
    }
}

#[derive(Debug, PartialEq)]
enum Result {
    Pass,
    /// Missed by less than what counts as a difference.
    Near,
    Fail,
    Missing,
}

impl Target {
    fn judge(&self, v: f64) -> Result {
        let (over, edge) = match *self {
            _ if v.is_nan() => return Result::Missing,
            Most(m) => (v - m, m * NOISE),
            Least(m) => (m - v, m * NOISE),
        };
        match over {
            o if o <= 0.0 => Result::Pass,
            o if o <= edge => Result::Near,
            _ => Result::Fail,
        }
    }
}

/// One value for each repetition, and medians of what it is made of.
fn values(row: &Row, socket: &str, runs: &Runs) -> (Vec<f64>, Vec<f64>) {
    let get = |(w, p, k): Source| -> &[f64] {
        let peer = match p {
            Chappe => format!("chappe-{socket}"),
            Floor => format!("floor-{socket}"),
            Redis => "redis-unix".into(),
            Memcached => "memcached-unix".into(),
            Sketch if socket == "tcp" => "mini-text".into(),
            Sketch if matches!(socket, "msgq" | "clacks" | "communicator") => "mini-text-unix".into(),
            Sketch => format!("mini-text-{socket}"),
        };
        runs.get(&(w.into(), peer, k.into())).map_or(&[], |v| v)
    };
    let pair = |a: Source, b: Source, f: fn(f64, f64) -> f64| {
        let (a, b) = (get(a), get(b));
        (a.iter().zip(b).map(|(a, b)| f(*a, *b)).collect(), vec![median(a), median(b)])
    };
    match row.measure {
        Ratio(a, b) => pair(a, b, |a, b| a / b),
        Over(a, b) => pair(a, b, |a, b| a - b),
        Plain(a) => (get(a).to_vec(), vec![]),
    }
}

/// Prints the table for the peers on `socket` (`tcp`, `unix`, or `msgq`, `clacks` or `communicator`, which have
/// targets of their own); returns whether nothing failed and nothing was missing.
pub fn print(files: &[String], socket: &str) -> bool {
    let runs = read(files);
    let mut good = true;
    println!("| what ({socket}) | n | median (least … most) | of | target | |");
    println!("|---|---|---|---|---|---|");
    let rows = match socket {
        "msgq" => MSGQ_ROWS,
        "clacks" => CLACKS_ROWS,
        "communicator" => COMMUNICATOR_ROWS,
        _ => ROWS,
    };
    for row in rows {
        let (v, of) = values(row, socket, &runs);
        let m = median(&v);
        let verdict = row.target.judge(m);
        good &= matches!(verdict, Result::Pass | Result::Near);
        let least = v.iter().copied().fold(f64::NAN, f64::min);
        let most = v.iter().copied().fold(f64::NAN, f64::max);
        let of: Vec<String> = of.iter().map(|v| if v.is_nan() { "–".into() } else { format!("{v:.4}") }).collect();
        let target = match row.target {
            Most(t) => format!("≤ {t}"),
            Least(t) => format!("≥ {t}"),
        };
        let shown = if v.is_empty() { "–".into() } else { format!("**{m:.3}** ({least:.3} … {most:.3})") };
        println!(
            "| {} | {} | {shown} | {} | {target} | {} |",
            row.what,
            v.len(),
            of.join(" : "),
            match verdict {
                Result::Pass => "pass",
                Result::Near => "missed by less than 10 %, which counts as no difference",
                Result::Fail => "**FAIL**",
                Result::Missing => "**not measured**",
            }
        );
    }
    good
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians() {
        assert!(median(&[]).is_nan());
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
    }

    #[test]
    fn under_a_tenth_is_no_difference() {
        assert_eq!(Most(2.0).judge(2.0), Result::Pass);
        assert_eq!(Most(2.0).judge(2.19), Result::Near);
        assert_eq!(Most(2.0).judge(2.21), Result::Fail);
        assert_eq!(Least(1.0).judge(0.91), Result::Near);
        assert_eq!(Least(1.0).judge(0.89), Result::Fail);
        assert_eq!(Most(0.0).judge(1.0), Result::Fail);
        assert_eq!(Most(1.0).judge(f64::NAN), Result::Missing);
    }

    #[test]
    fn ratios_are_taken_within_a_repetition() {
        let mut runs = Runs::new();
        let mut put = |p: &str, v: &[f64]| runs.insert(("W1".into(), p.into(), "sched_us".into()), v.to_vec());
        put("chappe-tcp", &[2.0, 20.0, 2.0]);
        put("mini-text", &[1.0, 10.0, 1.0]);
        assert_eq!(values(&ROWS[0], "tcp", &runs), (vec![2.0, 2.0, 2.0], vec![2.0, 1.0]));
        assert!(values(&ROWS[0], "unix", &runs).0.is_empty());
        let mut runs = Runs::new();
        let mut put = |p: &str, v: f64| runs.insert(("M1".into(), p.into(), "sched_us".into()), vec![v]);
        put("chappe-msgq", 3.0);
        put("mini-text-unix", 1.0);
        assert_eq!(values(&MSGQ_ROWS[0], "msgq", &runs), (vec![3.0], vec![3.0, 1.0]));
    }
}
