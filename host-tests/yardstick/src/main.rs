//! Load generator, floor and report for small-message brokers; see README.md.

mod floor;
mod load;
mod mini;
mod proto;
mod report;
mod sys;
mod verdict;

use std::collections::HashMap;
use sys::Addr;

const USAGE: &str = "\
usage: brokerbench load --w w1|w2|w3|w4|w5|w6 --proto P --addr A --pid N [options]
       brokerbench floor --listen A[,A]
       brokerbench mini --listen A[,A] [--text] [--no-coalesce]
       brokerbench report FILE...
       brokerbench verdict FILE... [--socket tcp|unix|msgq]   (status 1: a target is missed)
  P: chappe msgq nats resp mqtt memcached dbus raw mini     A: tcp:IP:PORT or unix:PATH
  options: --peer NAME --label W --rep N --secs 3 --warm 0.5 --size 32 --subs N
           --window N --batch N --pubs N --depth 64 --conns 1 --idle 10000
           --cap-mb 1024 --cpu N";

fn main() {
    let mut args = std::env::args().skip(1);
    let cmd = args.next().unwrap_or_default();
    let mut o: HashMap<String, String> = HashMap::new();
    let mut files = Vec::new();
    let mut it = args.peekable();
    while let Some(a) = it.next() {
        match a.strip_prefix("--") {
            Some(k) => {
                let v = match it.peek() {
                    Some(v) if !v.starts_with("--") => it.next().unwrap(),
                    _ => "1".to_string(),
                };
                o.insert(k.to_string(), v);
            }
            None => files.push(a),
        }
    }
    let addrs = |k: &str| -> Vec<Addr> {
        o.get(k).map(|v| v.split(',').map(|a| Addr::parse(a).unwrap()).collect()).unwrap_or_default()
    };
    sys::raise_nofile();
    if let Some(c) = o.get("cpu") {
        sys::pin(c.parse().expect("--cpu"));
    }
    match cmd.as_str() {
        "floor" => floor::serve(&addrs("listen")),
        "mini" => mini::serve(&addrs("listen"), o.contains_key("text"), !o.contains_key("no-coalesce")),
        "report" => report::print(&files),
        "verdict" => {
            let socket = o.get("socket").map_or("tcp", |s| s);
            if !verdict::print(&files, socket) {
                std::process::exit(1)
            }
        }
        "load" => load(&o),
        _ => {
            eprintln!("{USAGE}");
            std::process::exit(2)
        }
    }
}

fn load(o: &HashMap<String, String>) {
    let s = |k: &str, d: &str| -> String { o.get(k).cloned().unwrap_or(d.to_string()) };
    let n = |k: &str, d: f64| -> f64 { o.get(k).map(|v| v.parse().unwrap_or_else(|_| panic!("--{k}"))).unwrap_or(d) };
    let w = s("w", "w1");
    let size = n("size", if w == "w6" { 1024.0 } else { 32.0 }) as usize;
    let pname = s("proto", "raw");
    let opt = load::Opt {
        proto: proto::by_name(&pname, size).unwrap_or_else(|| panic!("--proto {pname}")),
        addr: Addr::parse(&s("addr", "")).expect("--addr"),
        pid: n("pid", 0.0) as u32,
        size,
        secs: n("secs", 3.0),
        warm: n("warm", 0.5),
        subs: n("subs", if w == "w2" { 100.0 } else { 1.0 }) as usize,
        window: n("window", if w == "w2" { 1024.0 } else { 8192.0 }) as u64,
        batch: n("batch", 0.0) as usize,
        depth: n("depth", 64.0) as usize,
        conns: n("conns", 1.0) as usize,
        idle: n("idle", 10_000.0) as usize,
        cap_mb: n("cap-mb", 1024.0),
        pubs: n("pubs", 1.0) as usize,
    };
    let f = match w.as_str() {
        "w1" | "w2" => load::fan(&opt),
        "w3" => load::ping(&opt),
        "w4" => load::kv(&opt),
        "w5" => load::idle(&opt),
        "w6" => load::slow(&opt),
        _ => panic!("--w {w}"),
    };
    print!("{}\t{}\t{}", s("label", &w.to_uppercase()), s("peer", &pname), s("rep", "1"));
    for (k, v) in f {
        print!("\t{k}={v:.4}");
    }
    println!();
}
