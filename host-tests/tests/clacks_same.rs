//! The router says what the plain server of the tests says, whatever clients and links say: random sessions,
//! step by step. The plain server was written from `wire/clacks.md` and shares no code with the router.

use chappe_host_tests::clacks::host::{Host, Opening};
use chappe_host_tests::clacks::ours::ours;
use chappe_host_tests::clacks::plain::Plain;
use chappe_host_tests::clacks::script;
use chappe_host_tests::clacks::users::User;
use chappe_host_tests::clacks::wire::show;
use chappe_host_tests::random::Random;

const NAMES: [&str; 12] = ["a", "b", "a::b", "a b", "*", "~", "", "=", "x=y", "x/DO", "x", "\u{e9}"];

const VALUES: [&str; 12] =
    ["1", "", "2.5", "abc", "=", "a=b", " 7 ", "1e3", "-3", "9223372036854775807", "x ", "\0\u{1}"];

const TIMES: [&str; 6] = ["1", "1795190999.5", "4000000000", "4000000001.25", "0", "x"];

fn line(random: &mut Random) -> Vec<u8> {
    let name = NAMES[random.below(NAMES.len())];
    let value = VALUES[random.below(VALUES.len())];
    let time = TIMES[random.below(TIMES.len())];
    let text = match random.below(34) {
        0 | 1 => format!("SET {name}={value}"),
        2 => format!("NOTIFY {name}"),
        3 | 4 => format!("SETANDSTORE {name}={value}"),
        5..=7 => format!("STORE {name}={value}"),
        8..=10 => format!("RETRIEVE {name}"),
        11 => format!("REMOVE {name}"),
        12 => format!("INCREMENT {name}"),
        13 => format!("INCREMENT {name}={value}"),
        14 => format!("DECREMENT {name}={value}"),
        15..=17 => format!("LISTEN {name}"),
        18 => format!("UNLISTEN {name}"),
        19 => "KEYLIST".to_string(),
        20 => "PING".into(),
        21 => format!("FLUSH {value}"),
        22 => format!("KEYSYNC {time} {time} {} {name}={value}", ["U", "D", "S"][random.below(3)]),
        23 => format!("OVERHEAD {} {value}", ["M", "G", "GM", "GNU", "GE", "X", "E", "C", "GZ"][random.below(9)]),
        24 if random.below(6) == 0 => "CLEARCACHE".into(),
        25 => "CLIENTLIST".into(),
        26 if random.below(4) == 0 => ["MONITOR", "UNMONITOR", "MONITORING"][random.below(3)].into(),
        27 => User::ALL[random.below(4)].line(),
        28 => format!("CLACKS my;app {};", random.below(9)),
        29 => ["NONSENSE", "STORE", "SET =", " ", "retrieve a", "TIMEOUT", "NOP", "OVERHEAD", "FLUSH"][random.below(9)]
            .into(),
        30 if random.below(30) == 0 => ["QUIT", "OVERHEAD C 1", "OVERHEAD A x:y", "NOPING"][random.below(4)].into(),
        _ => format!("RETRIEVE {name}"),
    };
    let mut bytes = text.into_bytes();
    if random.below(20) == 0 {
        let at = random.below(bytes.len() + 1);
        bytes.insert(at, b"\r\0\xff= x"[random.below(6)]);
    }
    bytes.extend(if random.below(2) == 0 { &b"\r\n"[..] } else { b"\n" });
    bytes
}

/// Times and ids are each server's own.
fn blur(line: &[u8]) -> String {
    let text = show(line);
    if text.starts_with("CLIENT ") {
        let fields: Vec<&str> = text
            .split(';')
            .filter(|f| f.starts_with("CLIENTINFO") || f.starts_with("INTERCLACKS") || f.starts_with("MONITOR"))
            .collect();
        return format!("CLIENT {fields:?}");
    }
    let mut out = String::new();
    let mut digits = String::new();
    for c in text.chars().chain(['\n']) {
        if c.is_ascii_digit() || (c == '.' && !digits.is_empty()) {
            digits.push(c);
            continue;
        }
        let long = digits.split('.').next().is_some_and(|d| d.len() == 10);
        out += if long { "<t>" } else { &digits };
        digits.clear();
        out.push(c);
    }
    if let Some(rest) = out.strip_prefix("DEBUG 127.0.0.1:") {
        let at = rest.find('=').unwrap_or(0);
        return format!("DEBUG <id>{}", &rest[at..]);
    }
    if out.starts_with("DEBUG DISCONNECTED=") || out.starts_with("DEBUG CONNECTED=") {
        return out.split('=').next().unwrap().into();
    }
    out
}

/// What a connection has heard. Where the page leaves the order open, it is as it came: both have the
/// plain order (section 11).
fn heard(h: &mut dyn Host, c: usize) -> Vec<String> {
    let lines: Vec<Vec<u8>> = h.wires()[c].lines.drain(..).collect();
    let mut all: Vec<String> = lines.iter().map(|l| blur(l)).collect();
    // clients are in the order of their ids, which are each server's own; that of keys has a test of its own
    for row in ["CLIENT [", "KEY ", "KEYSYNC "] {
        let mut at = 0;
        while at < all.len() {
            let n = all[at..].iter().take_while(|l| l.starts_with(row)).count();
            all[at..at + n].sort();
            at += n.max(1);
        }
    }
    all
}

fn the_same(seed: u64, steps: usize) {
    let mut random = Random::new(seed);
    let mut plain = Plain::default();
    let mut world = ours(|_| {});
    let mut open = 0;
    let mut links = [false; 40];
    for step in 0..steps {
        let hosts: [&mut dyn Host; 2] = [&mut plain, &mut world];
        let wish = if open == 0 { 0 } else { random.below(60) };
        let who = random.below(open.max(1));
        let mut said = Vec::new();
        match wish {
            0 if open < 40 => {
                let user = User::ALL[random.below(4)];
                let is_master = random.below(12) == 0;
                let is_link = random.below(4) == 0;
                for h in hosts {
                    let c = h.open(Opening {
                        to_master: is_master,
                        peer: Some(([127, 0, 0, 1], 4000 + open as u16).into()),
                    });
                    let c = c.expect("a free place");
                    h.wires()[c].link |= is_link;
                    h.tell(c, &user.line());
                    if is_link {
                        h.tell(c, "OVERHEAD I 1");
                    }
                }
                links[open] = is_link || is_master;
                open += 1;
            }
            1 => {
                for h in hosts {
                    if h.is_open(who) {
                        h.part(who);
                    }
                }
            }
            2 => {
                let ms = 1 + random.below(3000) as u32;
                for h in hosts {
                    h.wait(ms);
                }
            }
            _ => {
                for _ in 0..1 + random.below(3) {
                    let line = line(&mut random);
                    // what a link hears that listens has a test of its own
                    if !links[who] || !line.starts_with(b"LISTEN") {
                        said.extend(line);
                    }
                }
                for h in hosts {
                    if h.is_open(who) {
                        h.tell_bytes(who, &said);
                    }
                }
            }
        }
        for c in 0..open {
            let want = heard(&mut plain, c);
            let got = heard(&mut world, c);
            assert_eq!(
                got,
                want,
                "seed {seed}, step {step}: {who} said {}; {c} hears ({links:?})",
                said.escape_ascii()
            );
            if plain.is_open(c) != world.is_open(c) {
                // how long they linger may differ by a moment
                plain.wait(3_000);
                world.wait(3_000);
                assert_eq!(plain.is_open(c), world.is_open(c), "seed {seed}, step {step}: {c}");
            }
        }
    }
}

#[test]
fn random_sessions() {
    for seed in 0..60 {
        println!("seed {seed}");
        the_same(seed, 250);
    }
}

#[test]
fn lines_of_the_vectors_in_any_order() {
    let lines: Vec<Vec<u8>> =
        script::all().iter().flat_map(|s| s.said().map(<[u8]>::to_vec).collect::<Vec<_>>()).collect();
    for seed in 0..20 {
        println!("seed {seed}");
        let mut random = Random::new(seed);
        let (mut plain, mut world) = (Plain::default(), ours(|_| {}));
        let users = [User::Main, User::Rw, User::Ro, User::Wo];
        for user in users {
            let (a, b) = (plain.client(user), world.client(user));
            assert_eq!(a, b);
        }
        for step in 0..300 {
            let who = random.below(4);
            let said = &lines[random.below(lines.len())];
            if said.starts_with(b"OVERHEAD I") {
                continue;
            }
            for h in [&mut plain as &mut dyn Host, &mut world] {
                if h.is_open(who) {
                    h.wires()[who].link = true;
                    h.tell_bytes(who, said);
                }
            }
            for c in 0..4 {
                let want = heard(&mut plain, c);
                assert_eq!(
                    heard(&mut world, c),
                    want,
                    "seed {seed}, step {step}: {who} said {}; {c} hears",
                    show(said)
                );
            }
        }
    }
}
