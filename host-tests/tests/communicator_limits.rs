//! D12 and D4 for clients of the Communicator: every line, table, buffer and queue has an end, reaching it is told, and
//! whoever does not reach it does not notice.

use chappe_core::dialect::Dialect;
use chappe_core::router::{Counter, Newcomer, Reason, Settings};
use chappe_core::time::Duration;
use chappe_host_tests::communicator::Setup;
use chappe_host_tests::communicator::client::{Host, Opening, TAG};
use chappe_host_tests::communicator::message::Message;
use chappe_host_tests::communicator::ours::{Ours, settings};
use chappe_host_tests::memory::Memory;
use chappe_host_tests::random::Random;

const NONE: [&str; 0] = [];

const INVALID: &str = "<hostA:communicatord INVALID message=*";

/// Octets of the longest line of somebody who has not registered.
const BEFORE: usize = 4096;

fn world(change: impl FnOnce(&mut Settings<'static>)) -> (Ours, usize, usize) {
    let mut h = Ours::new(change);
    let (a, b) = (h.service("a"), h.announcer("b", "X"));
    (h, a, b)
}

fn go_on(h: &mut Ours, a: usize, b: usize, at: &str) {
    h.tell(a, "b/PING n=1");
    h.tell(a, "./X n=2");
    assert_eq!(h.told(b), ["<hostA:a b/PING n=1", "<hostA:a ./X n=2"], "{at}");
    h.fence(a);
}

/// A node with tables of a few rows.
fn few(change: impl FnOnce(&mut Settings<'static>)) -> Ours {
    let mut settings = settings(Setup::default());
    settings.max_frame = 1024;
    settings.outbox = 8192;
    settings.msgq.max_body = 64;
    settings.clacks.max_line = 1024;
    settings.clacks.outbox = 8192;
    settings.communicator.max_line = 2048;
    settings.communicator.outbox = 16 << 10;
    change(&mut settings);
    let heap = Box::leak(Box::new(Memory::<6, 16, 24, 4, 8, 14, 32, 256>::new(64 << 10, 6 << 10)));
    Ours::on(|now| heap.router(settings, now).expect("the test's settings are valid"))
}

#[test]
fn a_line_that_is_too_long_ends_its_own_connection() {
    for registered in [false, true] {
        for ended in [false, true] {
            for piece in [usize::MAX, 1000] {
                let (mut h, a, b) = world(|s| s.communicator.max_line = 20_000);
                let c = if registered { h.service("c") } else { h.visitor() };
                h.piece = piece;
                let limit = if registered { 20_000 } else { BEFORE };
                let mut line = b"b/X a=".to_vec();
                line.resize(limit + 2, b'x');
                if ended {
                    line.extend(b"\r\n");
                }
                h.tell_bytes(c, &line);
                h.tell_bytes(c, b"\nb/PING\n");
                let at = format!("registered {registered}, ended {ended}, pieces of {piece}");
                assert_eq!(h.told(c), [INVALID], "{at}: a reason");
                h.wait(5_000);
                assert_eq!(h.clients()[c].closed, Some(Reason::Malformed), "{at}");
                assert!(h.router.counters().get(Counter::ClosedMalformed) > 0);
                assert_eq!(h.told(b), NONE, "{at}: nothing of it");
                go_on(&mut h, a, b, &at);
            }
        }
    }
}

#[test]
fn a_line_as_long_as_may_be_passes_and_one_octet_more_does_not() {
    for (registered, limit) in [(false, BEFORE), (true, 1 << 20)] {
        for (end, size, passes) in
            [("\n", limit, true), ("\r\n", limit, true), ("\n", limit + 1, false), ("\r\n", limit + 1, false)]
        {
            let (mut h, a, b) = world(|_| {});
            let c = if registered { h.service("c") } else { h.visitor() };
            let value = "x".repeat(size - end.len() - "b/X a=".len());
            h.tell_bytes(c, format!("b/X a={value}{end}").as_bytes());
            let heard = h.told_bytes(b);
            let at = format!("{size} octets, registered {registered}");
            assert_eq!(heard.len(), passes as usize, "{at}");
            assert_eq!(h.told(c).len(), !passes as usize, "{at}");
            if passes {
                let from = if registered { "<hostA:c " } else { "" };
                let line = String::from_utf8(heard[0].clone()).unwrap();
                assert!(line == format!("{from}b/X a={value}") || line == format!("{from}b/X a={value}\r"), "{at}");
            }
            go_on(&mut h, a, b, &at);
        }
    }
}

#[test]
fn long_lines_of_every_kind_are_answered() {
    let (mut h, a, b) = world(|s| s.communicator.max_line = 60_000);
    h.declare("absent");
    for before in [
        "b/X a=",
        "./X a=",
        "*/X a=",
        "nobody/X transmission_report=failure;z=",
        "absent/X transmission_report=failure;z=",
        "absent/X cache=no;transmission_report=failure;z=",
        "FROB a=",
        "ALIVE serial=",
        "SERVICE_STATUS service=",
        "COMMANDS list=",
        "REGISTER version=1;service=",
        "b/X a=\"",
        "hostB:*/X a=",
        "<b:c b/X a=",
        "b/",
        "",
        "<",
        ":",
        "{\"service\":\"b\",\"command\":\"X\",\"parameters\":{\"a\":\"",
    ] {
        for size in [30_000, 59_990] {
            let line = format!("{before}{}", "X".repeat(size - before.len()));
            h.tell(a, &line);
            let told = h.told_bytes(a).len() + h.told_bytes(b).len();
            let silent = before.starts_with("COMMANDS");
            assert!(told == 1 || silent && told <= 1, "{before} of {size}: {told}");
            go_on(&mut h, a, b, before);
        }
    }
}

#[test]
fn as_many_parameters_as_may_be() {
    let (mut h, a, b) = world(|_| {});
    for (count, passes) in [(1, true), (64, true), (65, false), (1000, false)] {
        let params: Vec<String> = (0..count).map(|n| format!("p{n}=1")).collect();
        h.tell(a, &format!("b/X {}", params.join(";")));
        assert_eq!(h.heard(b).len(), passes as usize, "{count}");
        let told = h.told(a);
        assert_eq!(told, if passes { vec![] } else { vec![INVALID.to_string()] }, "{count}");
        let same: Vec<String> = (0..count).map(|n| format!("p={n}")).collect();
        h.tell(a, &format!("b/X {}", same.join(";")));
        assert_eq!(h.heard(b).len() + h.told(a).len(), 1, "{count} of one name");
    }
    go_on(&mut h, a, b, "parameters");
}

#[test]
fn a_half_line_costs_only_itself() {
    let (mut h, a, b) = world(|_| {});
    let c = h.service("c");
    for size in [1, 100, 60_000, 1 << 19, (1 << 20) - 1] {
        let mut line = b"b/X a=".to_vec();
        line.resize(size, b'x');
        h.tell_bytes(c, &line);
        go_on(&mut h, a, b, "half a line");
        h.part(c);
        go_on(&mut h, a, b, "half a line");
        let c = h.service("c");
        h.part(c);
    }
    assert_eq!(h.used("buffer_blocks"), 0, "nothing is left of them");
}

#[test]
fn many_half_lines_do_not_take_what_others_need() {
    let (mut h, a, b) = world(|_| {});
    let mut line = b"b/X a=".to_vec();
    line.resize(1_000_000, b'x');
    let mut all = Vec::new();
    for n in 0..60 {
        let c = h.visitor();
        h.tell(c, &format!("REGISTER service=c{n};version=1"));
        h.told(c);
        h.tell_bytes(c, &line);
        all.push(c);
        go_on(&mut h, a, b, "others");
    }
    // whoever is closed for it is told, or knows by which counter
    for c in all {
        if !h.is_open(c) {
            assert_eq!(h.clients()[c].closed, Some(Reason::NoMemory));
        }
        h.part(c);
    }
    go_on(&mut h, a, b, "in the end");
    assert_eq!(h.used("buffer_blocks"), 0);
}

#[test]
fn a_half_line_has_its_time() {
    let (mut h, a, b) = world(|s| s.frame_within = Duration::from_secs(30));
    let c = h.service("c");
    h.tell_bytes(c, b"b/X a=");
    h.wait(29_000);
    assert!(h.is_open(c));
    h.tell_bytes(c, b"1\n");
    assert_eq!(h.told(b), ["<hostA:c b/X a=1"]);
    // whole lines, however rare, are no reason
    h.wait(3_600_000);
    assert!(h.is_open(c) && h.is_open(a), "a silent service stays");
    h.tell_bytes(c, b"b/X a=");
    h.wait(33_000);
    assert!(!h.is_open(c), "half a line for half a minute");
    go_on(&mut h, a, b, "half a line");
}

#[test]
fn d4_a_slow_reader_costs_only_itself() {
    let (mut h, a, b) = world(|s| {
        s.communicator.outbox = 64 << 10;
        s.communicator.max_line = 16 << 10;
    });
    let fast = h.announcer("fast", "X");
    let slow = h.announcer("slow", "X");
    h.clients()[slow].reads = false;
    let value = "x".repeat(1000);
    let mut sent = 0;
    while h.is_open(slow) && sent < 1000 {
        h.tell(a, &format!("./X a={value};n={sent}"));
        assert_eq!(h.told(fast).len(), 1, "{sent}: others hear it at once");
        h.told(b);
        sent += 1;
        h.wait(100);
    }
    assert!((30..100).contains(&sent), "{sent} lines of a thousand octets into 64 KiB and a margin");
    h.wait(5_000);
    assert_eq!(h.clients()[slow].closed, Some(Reason::Slow), "none of its messages is dropped, so it is let go of");
    assert!(h.router.counters().get(Counter::ClosedSlow) > 0);
    go_on(&mut h, a, b, "a slow one");
    // who comes back begins anew
    let slow = h.service("slow");
    h.fence(slow);
}

#[test]
fn d4_whoever_reads_nothing_for_too_long_is_let_go_of() {
    let (mut h, a, b) = world(|s| s.communicator.stalled_after = Duration::from_secs(60));
    let watcher = h.announcer("watcher", "STATUS");
    h.told(watcher);
    let slow = h.service("slow");
    h.told(watcher);
    h.clients()[slow].reads = false;
    h.tell(a, "slow/PING");
    h.wait(55_000);
    assert!(h.is_open(slow));
    h.read_on(slow);
    assert_eq!(h.told(slow), ["<hostA:a slow/PING"], "nothing was lost");
    h.clients()[slow].reads = false;
    h.tell(a, "slow/PING");
    h.wait(66_000);
    assert_eq!(h.clients()[slow].closed, Some(Reason::Slow));
    let news = h.heard(watcher);
    assert_eq!(news.iter().map(|m| m.get("status").unwrap()).collect::<Vec<_>>(), ["down"], "D7");
    h.tell(a, "slow/PING transmission_report=failure");
    assert_eq!(h.told(a), [format!("{TAG}TRANSMISSION_REPORT command=PING;status=failed")]);
    go_on(&mut h, a, b, "stalled");
}

#[test]
fn one_that_asks_and_does_not_read_is_no_more_than_that() {
    let (mut h, a, b) = world(|s| {
        s.communicator.outbox = 64 << 10;
        s.communicator.max_line = 16 << 10;
    });
    let c = h.service("c");
    h.clients()[c].reads = false;
    for _ in 0..200 {
        let said: Vec<&str> = vec!["HELP"; 20];
        h.tell_all(c, &said);
    }
    go_on(&mut h, a, b, "questions");
    h.wait(100_000);
    assert!(!h.is_open(c), "in the end it is let go of");
    go_on(&mut h, a, b, "questions");
    assert_eq!(h.used("buffer_blocks"), 0);
}

#[test]
fn a_full_table_of_stations() {
    let mut h = few(|_| {});
    let all: Vec<usize> = (0..6).map(|n| h.service(&format!("s{n}"))).collect();
    let new = Newcomer { dialect: Dialect::Communicator, ..Newcomer::default() };
    assert_eq!(h.admit(new), None);
    assert_eq!(h.router.counters().get(Counter::RefusedFull), 1);
    for c in &all {
        h.fence(*c);
    }
    h.part(all[0]);
    h.service("s0");
}

#[test]
fn a_full_table_of_names_or_memberships_is_told() {
    let mut h = few(|_| {});
    let (a, b) = (h.service("a"), h.service("b"));
    // commands until there is no row
    let mut refused = 0;
    for n in 0..40 {
        let lines = h.ask(a, &format!("COMMANDS list=A{n}"));
        match lines.len() {
            0 => assert_eq!(refused, 0, "once full, always full"),
            _ => {
                assert_eq!(lines, [format!("{TAG}INVALID command=COMMANDS;message=*")]);
                refused += 1;
            }
        }
    }
    assert!(refused > 0 && refused < 40);
    assert!(h.is_open(a));
    // a service more
    let c = h.visitor();
    let lines = h.ask(c, "REGISTER service=c;version=1");
    if lines.len() != 2 {
        assert_eq!(lines, [format!("{TAG}INVALID command=REGISTER;message=*")]);
    }
    h.tell(b, "a/PING");
    assert_eq!(h.told(a), ["<hostA:b a/PING"]);
    // it is given back
    h.part(a);
    let a = h.service("a");
    h.announce(a, "A1,A2,A3,A4");
    h.tell(b, "./A3");
    assert_eq!(h.told(a), ["<hostA:b ./A3"]);
}

#[test]
fn one_station_does_not_take_all_memberships() {
    let (mut h, a, b) = world(|s| s.joins = 10);
    let list: Vec<String> = (0..50).map(|n| format!("C{n}")).collect();
    h.refused(a, &format!("COMMANDS list={}", list.join(",")));
    // what there was room for counts, or nothing does
    h.refused(a, "COMMANDS list=ANOTHER");
    h.announce(b, "ANOTHER");
    h.tell(a, "./ANOTHER");
    assert_eq!(h.told(b), ["<hostA:a ./ANOTHER"]);
    go_on(&mut h, a, b, "memberships");
}

#[test]
fn full_mail_is_reported() {
    let (mut h, a, b) = world(|_| {});
    h.declare("absent");
    let mut kept = 0;
    for n in 0..100 {
        let lines = h.ask(a, &format!("absent/X n={n};transmission_report=failure"));
        assert_eq!(lines.len(), 1);
        if lines[0] == format!("{TAG}TRANSMISSION_REPORT command=X;status=cached") {
            assert_eq!(kept, n, "once full, always full");
            kept += 1;
        } else {
            assert_eq!(lines, [format!("{TAG}TRANSMISSION_REPORT command=X;status=failed")]);
        }
    }
    assert_eq!(kept, 64);
    assert_eq!(
        h.ask(a, "absent/X cache=reply"),
        [format!("{TAG}SERVICE_UNAVAILABLE destination_service=absent;unsent_command=X")],
        "it is not cached, so there is a reply"
    );
    go_on(&mut h, a, b, "mail");
    let c = h.visitor();
    let lines = h.ask(c, "REGISTER service=absent;version=1");
    assert_eq!(lines.len(), 2 + kept);
    assert_eq!(lines[2], "<hostA:a absent/X n=0;transmission_report=failure");
    assert_eq!(lines[kept + 1], "<hostA:a absent/X n=63;transmission_report=failure");
}

#[test]
fn long_mail_does_not_take_what_others_need() {
    let (mut h, a, b) = world(|_| {});
    h.declare("absent");
    let value = "x".repeat(1_000_000);
    let mut kept = 0;
    for _ in 0..40 {
        let lines = h.ask(a, &format!("absent/X transmission_report=failure;value={value}"));
        kept += lines[0].ends_with("cached") as usize;
        go_on(&mut h, a, b, "long mail");
    }
    assert!(kept > 2 && kept < 40, "{kept}: half of the memory at most");
    let c = h.visitor();
    let lines = h.ask(c, "REGISTER service=absent;version=1");
    assert_eq!(lines.len(), 2 + kept, "all of it, whatever its outbox holds at once");
    assert_eq!(h.used("buffer_blocks"), 0);
}

#[test]
fn mail_for_one_that_does_not_read_waits_and_keeps_its_order() {
    let (mut h, a, b) = world(|s| {
        s.communicator.outbox = 64 << 10;
        s.communicator.max_line = 16 << 10;
    });
    h.declare("absent");
    let value = "x".repeat(10_000);
    for n in 0..20 {
        h.tell(a, &format!("absent/X n={n};value={value}"));
    }
    let c = h.visitor();
    h.clients()[c].reads = false;
    h.tell(c, "REGISTER service=absent;version=1");
    h.wait(5_000);
    assert!(h.is_open(c), "mail alone does not close it");
    go_on(&mut h, a, b, "mail");
    h.read_on(c);
    let numbers: Vec<String> = h.heard(c).iter().filter_map(|m| m.get("n")).collect();
    let want: Vec<String> = (0..20).map(|n| n.to_string()).collect();
    assert_eq!(numbers, want, "D9");
}

#[test]
fn list_services_is_cut_at_the_limit_of_lines() {
    let (mut h, a, b) = world(|s| s.communicator.max_line = 4096);
    for n in 0..90 {
        let name = format!("{}{n}", "s".repeat(100));
        h.service(&name);
    }
    h.tell(a, "LIST_SERVICES");
    let line = h.told_bytes(a).remove(0);
    assert!(line.len() < 4096, "{}", line.len());
    let m = Message::read(&line).unwrap();
    assert_eq!(m.get("count").as_deref(), Some("92"), "how many there are");
    let list = m.get("list").unwrap();
    let names: Vec<&str> = list.split(',').collect();
    assert!(
        names.len() > 20 && names.iter().all(|n| n.len() < 103 && (n.starts_with("sss") || n.len() == 1)),
        "whole names"
    );
    go_on(&mut h, a, b, "lists");
}

#[test]
fn many_at_once_and_a_broadcast_to_all_of_them() {
    let (mut h, a, b) = world(|_| {});
    let all: Vec<usize> = (0..90).map(|n| h.announcer(&format!("s{n}"), "X,STATUS")).collect();
    for c in &all {
        h.told(*c);
    }
    for round in 0..5 {
        h.tell(a, &format!("./X round={round}"));
        for c in &all {
            assert_eq!(h.told(*c), [format!("<hostA:a ./X round={round}")]);
        }
    }
    h.told(b);
    // news of one that goes reach all the others, once
    h.part(all[0]);
    for c in &all[1..] {
        assert_eq!(h.told(*c).len(), 1);
    }
    for c in &all[1..] {
        h.part(*c);
    }
    go_on(&mut h, a, b, "many");
    assert_eq!(h.used("stations"), 2);
    assert_eq!(h.used("buffer_blocks"), 0);
}

#[test]
fn random_octets_close_nobody_else() {
    let mut random = Random::new(7);
    let (mut h, a, b) = world(|_| {});
    h.clients()[b].any = true;
    for n in 0..300 {
        let how = Opening { datagram: n % 5 == 0, ..Opening::default() };
        let c = h.open_as(how);
        h.clients()[c].any = true;
        let alphabet = b"abX_/:.*?<>= ;\"\\\n\r\0{}[],\xff1 REGISTER";
        let said: Vec<u8> = (0..1 + random.below(400)).map(|_| alphabet[random.below(alphabet.len())]).collect();
        match how.datagram {
            true => {
                h.clients()[c].datagrams.push_back(said);
                h.drive();
            }
            false => h.tell_bytes(c, &said),
        }
        h.told_bytes(b);
        h.part(c);
    }
    h.told_bytes(a);
    go_on(&mut h, a, b, "octets");
    assert_eq!(h.used("stations"), 2);
}

#[test]
fn datagrams_of_any_size_and_number_do_not_end_their_socket() {
    let mut h = few(|_| {});
    let (a, b) = (h.service("a"), h.announcer("b", "X"));
    let udp = h.open_as(Opening { datagram: true, ..Opening::default() });
    for _ in 0..50 {
        for said in ["b/X", "nonsense of some length =", "{", "", "FROB", "b/X a"] {
            h.tell(udp, said);
        }
        for size in [1000, 1025, 2047, 2048, 2049, 5000, 6000, 7000, 65_000] {
            let line = format!("b/X a={}", "x".repeat(size - 6));
            h.clients()[udp].datagrams.push_back(line.into_bytes());
            h.drive();
        }
        assert_eq!(h.told(b).len(), 2, "one that is short, one that is as long as may be");
        assert!(h.is_open(udp));
    }
    h.wait(3_600_000);
    assert!(h.is_open(udp), "nobody expects anything of it");
    h.tell(a, "b/PING");
    assert_eq!(h.told(b), ["<hostA:a b/PING"]);
    assert!(h.router.counters().get(Counter::DatagramsDropped) > 0);
}

#[test]
fn a_service_that_announces_and_leaves_for_ever() {
    let mut h = few(|_| {});
    let b = h.announcer("b", "X,STATUS");
    for n in 0..300 {
        let c = h.announcer(&format!("s{n}"), &format!("A{n},B{n},X"));
        h.tell(c, "./X");
        assert_eq!(h.told(b).len(), 2, "{n}");
        match n % 3 {
            0 => h.part(c),
            1 => h.tell(c, "UNREGISTER service=x"),
            _ => {
                h.tell(c, "REGISTER service=b;version=1");
                h.told(c);
                h.wait(3_000);
            }
        }
        assert!(!h.is_open(c));
        assert_eq!(h.told(b).len(), 1, "{n}");
    }
    assert_eq!(h.used("stations"), 1);
    assert_eq!(h.used("memberships"), 3);
    assert_eq!(h.used("names"), 3);
}
