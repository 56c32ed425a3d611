//! D12 for clients and links of Net::Clacks: every table, buffer, length and queue has an end, reaching it is told
//! by name, and whoever does not reach it does not notice.

use chappe_core::model::Letter;
use chappe_core::router::{Counter, Reason, Settings};
use chappe_host_tests::clacks::host::Host;
use chappe_host_tests::clacks::ours::{ours, small};
use chappe_host_tests::clacks::users::User;
use chappe_host_tests::random::Random;
use chappe_host_tests::world::World;

/// A line that says what is wrong, and it is neither a question of rights nor of spelling.
fn is_named(line: &str) -> bool {
    line.starts_with("OVERHEAD E ") && !line.contains("permission_denied") && !line.contains("unknown_command")
}

fn world(change: impl FnOnce(&mut Settings<'static>)) -> (World, usize, usize) {
    let mut w = ours(change);
    let (a, b) = (w.client(User::Main), w.client(User::Main));
    w.tell(a, "NOPING");
    w.tell(b, "NOPING");
    w.tell(b, "LISTEN others");
    (w, a, b)
}

fn go_on(w: &mut World, a: usize, b: usize, at: &str) {
    for c in [a, b] {
        w.wires[c].lines.retain(|l| l != b"NOP");
    }
    w.tell(a, "SET others=1");
    assert_eq!(w.told(b), ["SET others=1"], "{at}");
    w.fence(a);
}

#[test]
fn a_line_that_is_too_long_ends_its_own_connection() {
    for logged_in in [false, true] {
        for ended in [false, true] {
            for piece in [usize::MAX, 1000] {
                let (mut w, a, b) = world(|s| s.clacks.max_line = 20_000);
                let c = if logged_in { w.client(User::Main) } else { w.visitor() };
                w.told(c);
                w.piece = piece;
                let limit = if logged_in { 20_000 } else { 4096 };
                let mut line = b"STORE k=".to_vec();
                line.resize(limit + 2, b'x');
                if ended {
                    line.extend(b"\r\n");
                }
                w.tell_bytes(c, &line);
                w.tell_bytes(c, b"\nFLUSH 1\n");
                let at = format!("logged in {logged_in}, ended {ended}, pieces of {piece}");
                let lines = w.told(c);
                assert!(lines.iter().all(|l| is_named(l)) && lines.len() <= 1, "{at}: {lines:?}");
                assert_eq!(lines.len(), 1, "{at}: a reason");
                w.wait(5_000);
                assert_eq!(w.wires[c].closed, Some(Reason::Malformed), "{at}");
                assert!(w.router.counters().get(Counter::ClosedMalformed) > 0);
                go_on(&mut w, a, b, &at);
                assert_eq!(w.value(a, "k"), None, "{at}");
            }
        }
    }
}

#[test]
fn a_line_as_long_as_may_be_passes() {
    // before the login: a few KiB (section 3)
    let (mut w, a, b) = world(|s| s.clacks.max_line = 20_000);
    let c = w.visitor();
    w.told(c);
    let name = "n".repeat(3_900);
    w.tell(c, &format!("CLACKS {name}"));
    w.tell(c, &User::Main.line());
    assert_eq!(w.told(c), ["OVERHEAD O Welcome!"]);
    for size in [19_000, 19_900, 19_998] {
        let line = format!("FLUSH {}", "x".repeat(size - 6));
        w.tell(c, &line);
        let heard = w.told_bytes(c);
        assert_eq!(heard.len(), 1, "{size}");
        assert!(heard[0].starts_with(b"FLUSHED ") || heard[0].starts_with(b"OVERHEAD E "), "{size}");
    }
    // what comes back is longer than what was said
    for word in ["FLUSH", "RETRIEVE", "NONSENSE", "OVERHEAD GMU"] {
        let line = format!("{word} {}", "x".repeat(19_997 - word.len()));
        w.tell(c, &line);
        assert_eq!(w.told(c).len(), 1, "{word}");
    }
    w.told(a);
    w.told(b);
    w.fence(c);
    go_on(&mut w, a, b, "long lines");
}

#[test]
fn a_half_line_costs_only_itself() {
    let (mut w, a, b) = world(|_| {});
    for size in [1, 100, 60_000, 190_000] {
        let c = w.client(User::Main);
        let mut line = b"STORE k=".to_vec();
        line.resize(size, b'x');
        w.tell_bytes(c, &line);
        go_on(&mut w, a, b, "half a line");
        w.part(c);
        go_on(&mut w, a, b, "half a line");
    }
    assert_eq!(w.used("buffer_blocks"), 0, "nothing is left of them");
}

#[test]
fn many_half_lines_do_not_take_what_others_need() {
    let (mut w, a, b) = world(|_| {});
    let mut line = b"STORE k=".to_vec();
    line.resize(190_000, b'x');
    let mut all = Vec::new();
    for _ in 0..90 {
        let Some(c) = w.open(Default::default()) else { break };
        w.told(c);
        w.tell(c, &User::Rw.line());
        w.tell_bytes(c, &line);
        all.push(c);
        go_on(&mut w, a, b, "many half lines");
    }
    assert!(all.len() > 80);
    w.wait(300_000);
    go_on(&mut w, a, b, "after some time");
    for c in all {
        assert!(!w.is_open(c), "half a line does not stay for ever");
    }
}

#[test]
fn names_that_are_too_long_are_refused_by_name() {
    let (mut w, a, b) = world(|_| {});
    let (link, _) = w.linked();
    w.told(link);
    for name in ["n".repeat(129), "n".repeat(10_000), "\u{1}".repeat(33), "\u{85}".repeat(17)] {
        for (line, error) in [
            (format!("LISTEN {name}"), true),
            (format!("UNLISTEN {name}"), false),
            (format!("NOTIFY {name}"), true),
            (format!("SET {name}=v"), true),
            (format!("SETANDSTORE {name}=v"), true),
            (format!("STORE {name}=v"), true),
            (format!("REMOVE {name}"), true),
            (format!("INCREMENT {name}"), true),
            (format!("DECREMENT {name}=2"), true),
            (format!("KEYSYNC 4000000000 4000000000 U {name}=v"), true),
        ] {
            w.tell(a, &line);
            let lines = w.told(a);
            assert!(lines.len() <= 1 && lines.iter().all(|l| is_named(l)), "{line:.60}: {lines:?}");
            assert!(!lines.is_empty() || !error, "{line:.60}: in silence");
            assert_eq!(w.told(b), [""; 0]);
            assert_eq!(w.told(link), [""; 0], "{line:.60}: does not cross");
        }
        // an honest answer to a question: there is no such key
        w.tell_bytes(a, format!("RETRIEVE {name}\n").as_bytes());
        let heard = w.told_bytes(a);
        let last = heard.last().expect("somebody waits for an answer, the library for 30 s");
        assert!(*last == format!("NOTRETRIEVED {name}").as_bytes(), "{:.100}", last.escape_ascii().to_string());
        w.fence(a);
    }
    assert_eq!(w.keys(a), [""; 0]);
    // and as long as may be
    let name = "n".repeat(128);
    w.tell(b, &format!("LISTEN {name}"));
    w.tell(a, &format!("SETANDSTORE {name}=v"));
    assert_eq!(w.told(b), [format!("SET {name}=v")]);
    assert_eq!(w.value(a, &name).as_deref(), Some("v"));
    go_on(&mut w, a, b, "long names");
}

#[test]
fn values_that_do_not_fit_are_refused_by_name() {
    let (mut w, a, b) = world(|_| {});
    w.tell(b, "LISTEN k");
    // more than all memory for values
    let value = "0123456789".repeat(15_000);
    let mut refused = 0;
    for i in 0..20 {
        w.tell(a, &format!("STORE k{i}={value}"));
        let lines = w.told(a);
        if lines.is_empty() {
            assert!(w.value(a, &format!("k{i}")).as_deref().is_some_and(|v| v.len() > 100), "{i}");
        } else {
            assert!(lines.len() == 1 && is_named(&lines[0]), "{i}: {lines:?}");
            assert_eq!(w.value(a, &format!("k{i}")), None, "{i}: whole or not at all");
            refused += 1;
        }
    }
    assert!(refused > 10, "{refused}");
    // what is there stays, and room that is free again is used
    w.tell(a, "CLEARCACHE");
    w.tell(a, "STORE k=1");
    assert_eq!(w.value(a, "k").as_deref(), Some("1"));
    go_on(&mut w, a, b, "large values");
}

#[test]
fn a_full_store_says_so() {
    let (mut w, a, b) = world(|_| {});
    let mut refused = Vec::new();
    for i in 0..600 {
        for line in [format!("STORE key{i}=v"), format!("INCREMENT count{i}")] {
            w.tell(a, &line);
            let lines = w.told(a);
            if !lines.is_empty() {
                assert!(lines.len() == 1 && is_named(&lines[0]), "{line}: {lines:?}");
                refused.push(line);
            }
        }
    }
    assert!(refused.len() > 600, "{}", refused.len());
    let keys = w.keys(a);
    assert_eq!(keys.len() + refused.len(), 1200);
    // what is there can be changed and removed
    w.tell(a, "STORE key0=new");
    assert_eq!(w.value(a, "key0").as_deref(), Some("new"));
    w.tell(a, "REMOVE key0");
    assert_eq!((w.told(a), w.value(a, "key0")), (vec![], None));
    go_on(&mut w, a, b, "a full store");
    // removing what never was leaves marks, which are of less use than values
    for i in 0..20 {
        let lines: String = (0..100).map(|k| format!("REMOVE nothing{i} {k}\n")).collect();
        w.tell_bytes(a, lines.as_bytes());
    }
    w.wires[a].lines.clear();
    assert_eq!(w.keys(a).len(), keys.len() - 1);
    go_on(&mut w, a, b, "many marks");
}

#[test]
fn too_many_names_to_listen_to() {
    let (mut w, a, b) = world(|s| s.joins = 10);
    let c = w.client(User::Ro);
    for i in 0..10 {
        assert_eq!(w.ask(c, &format!("LISTEN n{i}")), [""; 0], "{i}");
    }
    for i in 10..30 {
        let lines = w.ask(c, &format!("LISTEN n{i}"));
        assert!(lines.len() == 1 && is_named(&lines[0]), "{i}: {lines:?}");
    }
    // what it has it keeps, again and again
    assert_eq!(w.ask(c, "LISTEN n3"), [""; 0]);
    w.tell(a, "NOTIFY n3");
    assert_eq!(w.told(c), ["NOTIFY n3"]);
    w.tell(a, "NOTIFY n15");
    assert_eq!(w.told(c), [""; 0]);
    w.tell(c, "UNLISTEN n3");
    assert_eq!(w.ask(c, "LISTEN n15"), [""; 0]);
    w.tell(a, "NOTIFY n15");
    assert_eq!(w.told(c), ["NOTIFY n15"]);
    go_on(&mut w, a, b, "many names");
}

#[test]
fn no_place_for_another_name_or_another_client() {
    let (mut w, a, b) = world(|_| {});
    // 512 names
    let mut refused = 0;
    for i in 0..20 {
        let Some(c) = w.open(Default::default()) else { break };
        w.tell(c, &User::Ro.line());
        w.told(c);
        for k in 0..50 {
            let lines = w.ask(c, &format!("LISTEN {i} {k}"));
            assert!(lines.len() <= 1 && lines.iter().all(|l| is_named(l)), "{lines:?}");
            refused += lines.len();
        }
    }
    assert!(refused > 100, "{refused}");
    // names in use go on
    go_on(&mut w, a, b, "names are short");
    let mut places = 0;
    while let Some(c) = w.open(Default::default()) {
        w.tell(c, &User::Ro.line());
        places += 1;
        assert!(places < 200);
    }
    assert!(w.router.counters().get(Counter::RefusedFull) > 0);
    go_on(&mut w, a, b, "stations are short");
}

#[test]
fn one_that_reads_too_little_is_closed_as_slow() {
    let (mut w, a, b) = world(|s| s.clacks.outbox = 500_000);
    let c = w.client(User::Ro);
    w.tell(c, "LISTEN x");
    w.wires[c].reads = false;
    let value = "v".repeat(1000);
    let mut sent = 0;
    while w.is_open(c) {
        w.tell(a, &format!("SET x={value}"));
        sent += 1;
        assert!(sent < 3000, "memory has an end");
        go_on(&mut w, a, b, "a slow one");
        if w.router.counters().get(Counter::ClosedSlow) > 0 {
            w.wait(10_000);
        }
    }
    assert!(sent >= 400, "nothing is dropped before: {sent}");
    assert_eq!(w.wires[c].closed, Some(Reason::Slow));
    // all that it could still read were whole lines: the wire has looked
    assert!(w.router.counters().get(Counter::DroppedSlow) <= 1, "but for the one that ended it");
}

#[test]
fn one_that_asks_and_does_not_read_is_closed_or_held_back() {
    for line in ["KEYLIST", "CLIENTLIST", "RETRIEVE big", "NONSENSE", "FLUSH 1", "OVERHEAD GU x"] {
        let (mut w, a, b) = world(|s| s.clacks.outbox = 500_000);
        for i in 0..300 {
            w.tell(a, &format!("STORE key number {i}=v"));
        }
        w.tell(a, &format!("STORE big={}", "v".repeat(10_000)));
        let c = w.client(User::Main);
        w.wires[c].reads = false;
        for _ in 0..30 {
            w.tell_bytes(c, format!("{line}\n").repeat(100).as_bytes());
        }
        w.wires[a].lines.clear();
        w.wires[b].lines.clear();
        go_on(&mut w, a, b, line);
        w.wait(200_000);
        w.wires[a].lines.clear();
        w.wires[b].lines.clear();
        assert!(!w.is_open(c), "{line}");
        go_on(&mut w, a, b, line);
        assert_eq!(w.used("buffer_blocks"), 0, "{line}");
    }
}

#[test]
fn long_lists_reach_slow_readers_whole_and_in_order() {
    for piece in [7, 100, usize::MAX] {
        let mut w = small(|s| s.clacks.max_line = 2048);
        let a = w.client(User::Main);
        for i in 0..30 {
            w.tell(a, &format!("STORE {}{i:03}=v", "k".repeat(100)));
        }
        w.piece = piece;
        let c = w.client(User::Main);
        w.tell(c, "LISTEN x");
        w.tell_all(c, &["FLUSH before", "KEYLIST", "FLUSH between", "CLIENTLIST", "KEYLIST", "FLUSH behind"]);
        let lines = w.told(c);
        let at = |what: &str| lines.iter().position(|l| l == what).unwrap_or_else(|| panic!("no {what}: {lines:?}"));
        assert_eq!(at("FLUSHED before"), 0);
        assert_eq!(lines[1], "KEYLISTSTART");
        assert!(lines[2..32].iter().all(|l| l.starts_with("KEY k")) && lines[2..32].is_sorted());
        assert_eq!(lines[32..34], ["KEYLISTEND", "FLUSHED between"]);
        assert_eq!(lines.last().map(String::as_str), Some("FLUSHED behind"));
        assert_eq!(lines.iter().filter(|l| l.starts_with("KEY k")).count(), 60);
        w.fence(c);
    }
}

#[test]
fn a_list_while_keys_come_and_go_shows_what_stays_once() {
    for seed in 0..20 {
        println!("seed {seed}");
        let mut random = Random::new(seed);
        let mut w = ours(|_| {});
        let a = w.client(User::Main);
        for i in 0..200 {
            w.tell(a, &format!("STORE stays {i:03}=v"));
        }
        assert_eq!(w.keys(a).len(), 200);
        let c = w.client(User::Main);
        w.wires[c].reads = false;
        w.tell_all(c, &["KEYLIST", "FLUSH 1"]);
        for i in 0..100 {
            let line = match random.below(3) {
                0 => format!("STORE a{:03}=v", random.below(100)),
                1 => format!("REMOVE a{:03}", random.below(100)),
                _ => format!("STORE stays {:03}={i}", random.below(200)),
            };
            w.tell(a, &line);
            if i % 10 == 0 {
                w.piece = 1 + random.below(500);
                w.read_on(c);
                w.wires[c].reads = false;
            }
        }
        w.piece = usize::MAX;
        w.read_on(c);
        let lines = w.told(c);
        let count = lines.iter().filter(|l| l.starts_with("KEY stays ")).count();
        assert_eq!(count, 200, "of {} lines, the last {:?}", lines.len(), lines.last());
        let keys: Vec<&String> = lines.iter().filter(|l| l.starts_with("KEY ")).collect();
        assert!(keys.windows(2).all(|w| w[0] < w[1]), "in order, each once");
        assert_eq!(lines.last().map(String::as_str), Some("FLUSHED 1"));
    }
}

#[test]
fn a_link_that_floods() {
    let (mut w, a, b) = world(|s| s.clacks.outbox = 1 << 20);
    let (link, _) = w.linked();
    let slow = w.client(User::Ro);
    w.tell(slow, "LISTEN x");
    w.wires[slow].reads = false;
    let mut random = Random::new(7);
    for i in 0..200 {
        let mut lines = String::new();
        for k in 0..100 {
            lines += &match random.below(6) {
                0 => format!("SET x={i} {k}\n"),
                1 => format!("KEYSYNC 4000000000.{i:03} 4000000000 U key {k}=v\n"),
                2 => format!("STORE key {k}={i}\n"),
                3 => format!("KEYSYNC 4000000000.{i:03} 0 D key {}=REMOVED\n", k + i * 100),
                4 => "OVERHEAD GM hi\n".to_string(),
                _ => "NOTIFY others2\n".to_string(),
            };
        }
        w.tell_bytes(link, lines.as_bytes());
        w.wires[link].lines.clear();
        w.wires[a].lines.clear();
        w.wires[b].lines.clear();
        go_on(&mut w, a, b, "a flood");
        assert!(w.is_open(link), "a link may say much");
    }
    // one that does not read what it is sent
    w.wires[link].reads = false;
    for _ in 0..30 {
        w.tell_bytes(a, format!("STORE k={}\n", "v".repeat(1000)).repeat(100).as_bytes());
    }
    w.wires[a].lines.clear();
    go_on(&mut w, a, b, "a link that does not read");
    w.wait(400_000);
    assert!(!w.is_open(link));
    w.wires[a].lines.clear();
    w.wires[b].lines.clear();
    go_on(&mut w, a, b, "it is gone");
}

#[test]
fn many_links_and_many_monitors() {
    let (mut w, a, b) = world(|_| {});
    let mut links = Vec::new();
    for i in 0..45 {
        let c = w.client(User::Main);
        w.wires[c].link = true;
        w.tell(c, "OVERHEAD I 1");
        let lines = w.told(c);
        if lines.len() > 3 {
            assert!(lines.last().is_some_and(|l| l == "PING"), "{i}: {lines:?}");
            links.push(c);
        } else {
            assert!(lines.len() == 1 && is_named(&lines[0]), "{i}: {lines:?}");
        }
    }
    assert!(links.len() >= 16, "{}", links.len());
    w.tell(a, "STORE x=1");
    for c in &links {
        assert_eq!(w.told(*c), ["STORE x=1"]);
    }
    for c in &links {
        w.part(*c);
    }
    // their places are free again
    let (link, _) = w.linked();
    w.part(link);
    let mut monitors = Vec::new();
    for i in 0..30 {
        let c = w.client(User::Main);
        for m in &monitors {
            w.told(*m);
        }
        let lines = w.ask(c, "MONITOR");
        if lines.iter().any(|l| l.starts_with("DEBUG")) {
            monitors.push(c);
        } else {
            assert!(lines.len() == 1 && is_named(&lines[0]), "{i}: {lines:?}");
        }
    }
    assert!(monitors.len() >= 8, "{}", monitors.len());
    go_on(&mut w, a, b, "monitors");
}

#[test]
fn a_monitor_that_does_not_read_is_in_nobodys_way() {
    let (mut w, a, b) = world(|s| s.clacks.outbox = 500_000);
    let m = w.client(User::Main);
    w.tell(m, "NOPING");
    w.tell(m, "MONITOR");
    w.told(m);
    w.wires[m].reads = false;
    for _ in 0..30 {
        w.tell_bytes(a, format!("STORE k={}\n", "v".repeat(500)).repeat(100).as_bytes());
        go_on(&mut w, a, b, "a monitor that does not read");
    }
    w.wait(100_000);
    assert!(!w.is_open(m));
    go_on(&mut w, a, b, "it is gone");
    // the longest line, shown to one that reads
    let m = w.client(User::Main);
    w.tell(m, "MONITOR");
    w.told(m);
    let line = format!("STORE k={}", "v".repeat(190_000));
    w.tell(a, &line);
    w.told(a);
    let shown = w.told(m);
    assert!(shown.len() <= 1, "whole or not at all");
    w.tell(m, "UNMONITOR");
    w.fence(m);
}

#[test]
fn a_letter_that_is_too_long_for_a_line_is_not_cut() {
    let mut w = small(|_| {});
    let s = w.station("native");
    let c = w.client(User::Main);
    w.tell(c, "LISTEN x");
    let body = vec![b'\n'; 900];
    w.send(s, &Letter { name: "x", body: &body, ..Letter::default() });
    let lines = w.told_bytes(c);
    assert!(lines.len() <= 1);
    if let Some(line) = lines.first() {
        assert_eq!(line.len(), "SET x=PAGECAMELCLACKSB64:".len() + 1200);
    }
    w.fence(c);
}

#[test]
fn a_node_without_a_name_for_itself_has_no_links() {
    let (mut w, a, b) = world(|s| s.clacks.link_user = "");
    let c = w.client(User::Main);
    let lines = w.ask(c, "OVERHEAD I 1");
    assert!(lines.len() == 1 && is_named(&lines[0]), "{lines:?}");
    assert_eq!(w.router.links(), 0);
    w.fence(c);
    go_on(&mut w, a, b, "no links");
}
