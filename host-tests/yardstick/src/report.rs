//! Markdown tables of minimum, **median** and maximum from the lines that `load`
//! prints, each peer with its ratio to the floor of its transport.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

type Runs = BTreeMap<String, Vec<f64>>;
type Peers = BTreeMap<String, Runs>;

fn three(v: &[f64]) -> (f64, f64, f64) {
    let mut v: Vec<f64> = v.iter().copied().filter(|x| !x.is_nan()).collect();
    v.sort_by(f64::total_cmp);
    if v.is_empty() {
        return (f64::NAN, f64::NAN, f64::NAN);
    }
    let m = if v.len() % 2 == 1 { v[v.len() / 2] } else { (v[v.len() / 2 - 1] + v[v.len() / 2]) / 2.0 };
    (v[0], m, v[v.len() - 1])
}

fn num(x: f64) -> String {
    let a = x.abs();
    if x.is_nan() {
        "–".into()
    } else if a >= 1e6 {
        format!("{:.2} M", x / 1e6)
    } else if a >= 1e4 {
        format!("{:.0} k", x / 1e3)
    } else if a >= 100.0 {
        format!("{x:.0}")
    } else if a >= 10.0 {
        format!("{x:.1}")
    } else if a >= 1.0 || x == 0.0 {
        format!("{x:.2}")
    } else if a >= 0.1 {
        format!("{x:.3}")
    } else {
        format!("{x:.4}")
    }
}

/// Which columns a workload shows, and those whose ratio to the floor is given.
fn columns(w: &str) -> (&'static [&'static str], &'static [&'static str]) {
    if w.starts_with("W3") {
        (&["p50", "p99", "rate", "sched_us", "user_us", "noise"], &["p50", "sched_us"])
    } else if w.starts_with("W5") || w.starts_with("W6") {
        (&[], &[])
    } else {
        (&["rate", "sched_us", "user_us", "srv_util", "gen_util", "noise"], &["rate", "sched_us"])
    }
}

/// The row that a peer is compared with.
fn base<'a>(peer: &str, peers: &'a Peers) -> Option<(&'a str, &'a Runs)> {
    let unix = peer.contains("-unix") || peer.starts_with("dbus");
    let names = if unix { ["floor-unix", "mini-unix"] } else { ["floor-tcp", "mini-tcp"] };
    names.iter().find_map(|n| peers.get_key_value(*n).map(|(k, v)| (k.as_str(), v)))
}

pub fn print(files: &[String]) {
    let mut all: BTreeMap<String, Peers> = BTreeMap::new();
    for f in files {
        let s = std::fs::read_to_string(f).unwrap_or_else(|e| panic!("{f}: {e}"));
        for l in s.lines() {
            let w: Vec<&str> = l.split('\t').collect();
            if w.len() < 4 {
                continue;
            }
            let runs = all.entry(w[0].into()).or_default().entry(w[1].into()).or_default();
            for kv in &w[3..] {
                if let Some((k, v)) = kv.split_once('=')
                    && let Ok(v) = v.parse()
                {
                    runs.entry(k.into()).or_default().push(v);
                }
            }
        }
    }
    let mut out = String::new();
    for (w, peers) in &all {
        let _ = writeln!(out, "## {w}\n");
        let (cols, ratios) = columns(w);
        let keys: Vec<&str> = if cols.is_empty() {
            let k: BTreeSet<&str> = peers.values().flat_map(|r| r.keys().map(|k| k.as_str())).collect();
            k.into_iter().collect()
        } else {
            cols.to_vec()
        };
        let _ = write!(out, "| peer | n |");
        for k in &keys {
            let _ = write!(out, " {k} |");
        }
        for r in ratios {
            let _ = write!(out, " {r} : floor |");
        }
        let _ = writeln!(out, "\n|---|---|{}", "---|".repeat(keys.len() + ratios.len()));
        for (p, runs) in peers {
            let n = runs.values().map(|v| v.len()).max().unwrap_or(0);
            let _ = write!(out, "| {p} | {n} |");
            for k in &keys {
                match runs.get(*k) {
                    Some(v) => {
                        let (a, m, b) = three(v);
                        let _ = write!(out, " {} / **{}** / {} |", num(a), num(m), num(b));
                    }
                    None => out.push_str(" |"),
                }
            }
            for r in ratios {
                let q = match (base(p, peers), runs.get(*r)) {
                    (Some((_, b)), Some(v)) => b.get(*r).map(|b| three(v).1 / three(b).1),
                    _ => None,
                };
                match q {
                    Some(q) => {
                        let _ = write!(out, " {} |", num(q));
                    }
                    None => out.push_str(" – |"),
                }
            }
            out.push('\n');
        }
        out.push('\n');
    }
    // not println!, which would panic where the reader has gone
    use std::io::Write as _;
    let _ = std::io::stdout().write_all(out.as_bytes());
}
