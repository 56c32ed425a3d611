//! Random sessions of several clients of the Communicator with the plain server of the tests and with the router:
//! each client hears the same messages in the same order, and both let go of the same.

use chappe_core::router::Rights;
use chappe_host_tests::communicator::client::{Clock, Host, Opening, show};
use chappe_host_tests::communicator::message::Message;
use chappe_host_tests::communicator::{Kind, Setup};
use chappe_host_tests::random::Random;

/// Clients at once.
const CLIENTS: usize = 6;

const SERVICES: [&str; 8] = ["foo", "bar", "baz", "qux", "installed", "foo", "bar", "a"];
const COMMANDS: [&str; 8] = ["PING", "X", "GO", "STATUS", "CLOCK_STABLE", "CLOCK_UNSTABLE", "STOP", "LOG_ROTATE"];
const TO: [&str; 22] = [
    "foo/",
    "bar/",
    "baz/",
    "qux/",
    "installed/",
    ".:foo/",
    "hostA:bar/",
    "*:foo/",
    "?:bar/",
    "hostB:foo/",
    "./",
    "?/",
    "*/",
    "*:*/",
    "hostZ:./",
    "hostB:*/",
    ".:?/",
    "",
    "communicatord/",
    "hostA:communicatord/",
    "?:communicatord/",
    "installed/",
];
const PARAMS: [&str; 20] = [
    "",
    "",
    "",
    "",
    "a=1",
    "a=1;b=2",
    "b=2;a=1",
    "a=x;a=y",
    "a=\"x;y\"",
    "a=he said \"hi\"",
    "a=\\n\\r\\\\",
    "transmission_report=failure",
    "transmission_report=failure;cache=no",
    "cache=\"no;reply\"",
    "cache=ttl=10",
    "cache=ttl=30;transmission_report=failure",
    "cache=reply",
    "broadcast_msgid=x;broadcast_timeout=abc",
    "cache=\"ttl=1m;no;reply\";transmission_report=failure",
    "trail= x ",
];
const TO_DAEMON: [&str; 34] = [
    "HELP",
    "ALIVE",
    "ALIVE serial=5;timestamp=1.5",
    "ALIVE serial=",
    "CLOCK_STATUS",
    "CLUSTER_STATUS",
    "PUBLIC_IP",
    "LIST_SERVICES",
    "SERVICE_STATUS service=foo",
    "SERVICE_STATUS service=installed",
    "SERVICE_STATUS service=a-b",
    "SERVICE_STATUS",
    "FROB",
    "frob",
    "QUIT",
    "UNKNOWN command=X",
    "INVALID",
    "READY",
    "QUITTING",
    "LEAK",
    "RESTART",
    "RESTART reason=",
    "STOP",
    "SHUTDOWN",
    "LOG_ROTATE",
    "ACCEPT",
    "GOSSIP",
    "DISCONNECT",
    "REFUSE",
    "FORGET ip=10.0.0.1",
    "RECEIVED",
    "CONNECT version=1",
    "COMMANDS",
    "ABSOLUTELY",
];
const BAD: [&str; 20] = [
    "<remote STOP",
    ":x/STOP",
    "/STOP",
    "a:b:c/STOP",
    "a/",
    "a:",
    "X  a=1",
    "X a",
    "foo/X =1",
    "foo/X a=1;;b=2",
    "foo/X a=\"x",
    "foo/X a=\"x\"y",
    "{}",
    "{",
    "{\"command\":1}",
    "{\"service\":\"foo\"}",
    "",
    "   ",
    "\t\r",
    "a-b:c d=e",
];
const JSON: [&str; 5] = [
    r#"{"command":"HELP"}"#,
    r#"{"service":"foo","command":"X","parameters":{"b":1,"a":"x;y","t":true,"n":null,"pi":3.25}}"#,
    r#"{"service":".","command":"PING","parameters":{"a":"l\nm"}}"#,
    r#"{"command":"REGISTER","parameters":{"service":"bar","version":1}}"#,
    r#"{"server":"hostB","service":"*","command":"X"}"#,
];
const REGISTER: [&str; 15] = [
    "service=foo;version=1;password=secret",
    "service=reader;version=1;password=\"r;\\\"\"",
    "service=foo;version=1;password=bad",
    "service=$;version=1",
    "service=$;version=1",
    "service=$;version=1",
    "service=$;version=1",
    "version=0x1;service=$",
    "service=$;version=abc",
    "service=$;version=2",
    "service=$",
    "version=1",
    "service=communicatord;version=1",
    "service=_s3;version=1",
    "service=a-b;version=1",
];

fn one<'s>(random: &mut Random, from: &[&'s str]) -> &'s str {
    from[random.below(from.len())]
}

/// One line of a client.
fn line(random: &mut Random) -> String {
    let source =
        one(random, &["", "", "", "", "", "<:ed_signal ", "<laptop:ed_signal ", "<:foo ", "<hostA:communicatord "]);
    let said = match random.below(20) {
        0..3 => format!("REGISTER {}", one(random, &REGISTER).replace('$', one(random, &SERVICES))),
        3..5 => {
            let list: Vec<&str> = (0..1 + random.below(4)).map(|_| one(random, &COMMANDS)).collect();
            format!("{}COMMANDS list={}", one(random, &["", "communicatord/", ".:communicatord/"]), list.join(","))
        }
        5..14 => {
            let (to, command, params) = (one(random, &TO), one(random, &COMMANDS), one(random, &PARAMS));
            let space = if params.is_empty() { "" } else { " " };
            format!("{to}{command}{space}{params}")
        }
        14..17 => format!("{}{}", one(random, &["", "communicatord/", "*:communicatord/"]), one(random, &TO_DAEMON)),
        17 => return one(random, &BAD).into(),
        18 => return one(random, &JSON).into(),
        _ if random.below(4) == 0 => "UNREGISTER service=x".into(),
        _ => "foo/PING".into(),
    };
    format!("{source}{said}")
}

/// What a client has heard, without what may differ: words for people, the order of lists.
fn heard(h: &mut dyn Host, c: usize) -> Vec<Message> {
    let mut all = h.heard(c);
    for m in &mut all {
        if m.from.1 == "communicatord" && m.command == "INVALID" {
            m.params.insert("message".into(), "*".into());
        }
        if m.from.1 == "communicatord"
            && m.command == "SERVICES"
            && let Some(list) = m.get("list")
        {
            let mut list: Vec<&str> = list.split(',').collect();
            list.sort();
            m.params.insert("list".into(), list.join(",").into());
        }
        if m.from.1 == "communicatord" && m.get("status").as_deref() == Some("down") {
            m.params.remove("up_since");
        }
        m.given = 0;
    }
    all
}

fn the_same(seed: u64, steps: usize, setup: Setup) {
    let mut random = Random::new(seed);
    let mut hosts = Kind::ALL.map(|k| k.with(setup));
    for h in &mut hosts {
        h.declare("installed");
        h.declare("baz");
    }
    // the number that each has now
    let mut clients: Vec<usize> = Vec::new();
    for step in 0..steps {
        let who = random.below(CLIENTS);
        let did;
        if who >= clients.len() || !hosts[0].is_open(clients[who]) || random.below(40) == 0 {
            let few = [Rights::READ | Rights::WRITE, Rights::READ, Rights::WRITE, Rights::NONE];
            let rights = if random.below(2) == 0 { Rights::ALL } else { few[random.below(4)] };
            let datagram = random.below(8) == 0 && rights != Rights::NONE;
            let numbers: Vec<usize> = hosts
                .iter_mut()
                .map(|h| {
                    if let Some(c) = clients.get(who) {
                        h.part(*c);
                    }
                    h.open_as(Opening { rights, datagram })
                })
                .collect();
            assert!(numbers.windows(2).all(|n| n[0] == n[1]));
            match clients.get_mut(who) {
                Some(c) => *c = numbers[0],
                None => clients.push(numbers[0]),
            }
            did = "connects".into();
        } else {
            match random.below(30) {
                0 => {
                    // no sum of them is a time to live, give or take a tick of the router's clock
                    let ms = [503, 3_017, 9_031, 30_187, 61_057][random.below(5)];
                    hosts.iter_mut().for_each(|h| h.wait(ms));
                    did = format!("{ms} ms pass");
                }
                1 => {
                    let clock = [Clock::Verified, Clock::Invalid, Clock::NoNtp][random.below(3)];
                    hosts.iter_mut().for_each(|h| h.set_clock(clock));
                    did = format!("{clock:?}");
                }
                _ => {
                    let lines: Vec<String> = (0..1 + random.below(4)).map(|_| line(&mut random)).collect();
                    let mut said: Vec<u8> = Vec::new();
                    for l in &lines {
                        said.extend(l.bytes());
                        said.extend(if random.below(5) == 0 { &b"\r\n"[..] } else { b"\n" });
                    }
                    did = format!("said {}", show(&said));
                    if hosts[0].clients()[clients[who]].datagram {
                        hosts.iter_mut().for_each(|h| lines.iter().for_each(|l| h.tell(clients[who], l)));
                        said.clear();
                    }
                    // in two pieces
                    let at = random.below(said.len() + 1);
                    for h in &mut hosts {
                        h.tell_bytes(clients[who], &said[..at]);
                        h.tell_bytes(clients[who], &said[at..]);
                    }
                }
            }
        }
        for (n, c) in clients.iter().copied().enumerate() {
            let [want, got @ ..] = &mut hosts[..] else { unreachable!() };
            let wanted = heard(&mut **want, c);
            for h in got {
                let got = heard(&mut **h, c);
                let show = |all: &[Message]| all.iter().map(|m| format!("\n  {m}")).collect::<String>();
                assert!(
                    got == wanted,
                    "seed {seed}, step {step}: {who} {did}; {n} hears{}\nbut should{}",
                    show(&got),
                    show(&wanted)
                );
                if h.is_open(c) != want.is_open(c) {
                    h.wait(3_000);
                    want.wait(3_000);
                }
                assert_eq!(h.is_open(c), want.is_open(c), "seed {seed}, step {step}: {who} {did}; is {n} there");
            }
        }
    }
}

#[test]
fn random_sessions() {
    for seed in 0..60 {
        println!("seed {seed}");
        the_same(seed, 300, Setup { shutdown: seed % 2 == 0, ..Setup::default() });
    }
}

#[test]
fn random_sessions_with_echo() {
    for seed in 1000..1015 {
        println!("seed {seed}");
        the_same(seed, 200, Setup { echo: true, ..Setup::default() });
    }
}
