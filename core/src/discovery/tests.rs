//! Every vector of `host-tests/vectors/discovery`, the pace of the asker, and what the
//! responder answers.

extern crate std;

use super::message::{Answer, Fault, Ports, Question, Scheme, Schemes, is_same_node};
use super::*;
use crate::time::{Duration, Instant};
use std::string::{String, ToString as _};
use std::vec::Vec;
use std::{format, fs};

const NEAR: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 7));
const FAR: IpAddr = IpAddr::V4(Ipv4Addr::new(8, 8, 8, 8));

fn at(ms: u64) -> Instant {
    Instant::from_millis(ms)
}

// Vectors.

struct Vector {
    name: String,
    lines: Vec<(String, String)>,
}

impl Vector {
    fn get(&self, key: &str) -> Option<&str> {
        self.lines.iter().find(|(k, _)| k == key).map(|(_, v)| v.as_str())
    }

    fn octets(&self) -> Vec<u8> {
        let (mut out, mut left) = (Vec::new(), self.get("in").unwrap());
        while let Some((before, behind)) = left.split_once("\\x") {
            out.extend(before.bytes());
            out.push(u8::from_str_radix(&behind[..2], 16).unwrap());
            left = &behind[2..];
        }
        out.extend(left.bytes());
        out
    }
}

fn vectors(name: &str) -> Vec<Vector> {
    let path = format!("{}/../host-tests/vectors/discovery/{name}", env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}"));
    let mut all: Vec<Vector> = Vec::new();
    for line in text.lines().filter(|l| !l.is_empty() && !l.starts_with('#')) {
        if let Some(name) = line.strip_prefix("== ") {
            all.push(Vector { name: name.to_string(), lines: Vec::new() });
        } else {
            let (key, value) = line.split_once(' ').unwrap_or((line, ""));
            all.last_mut().unwrap().lines.push((key.to_string(), value.to_string()));
        }
    }
    all
}

fn schemes(list: &str) -> Schemes {
    if list == "*" {
        return Schemes::ALL;
    }
    Schemes::of(&list.split(',').filter_map(Scheme::of).collect::<Vec<_>>())
}

#[test]
fn questions_are_read_and_written_as_their_vectors_say() {
    let all = vectors("questions.txt");
    assert!(all.len() >= 45, "{}", all.len());
    for v in &all {
        let octets = v.octets();
        let got = Question::read(&octets);
        if let Some(why) = v.get("why") {
            assert_eq!(format!("{:?}", got.unwrap_err()), why, "{}", v.name);
            continue;
        }
        let nonce = u64::from_str_radix(v.get("nonce").unwrap(), 16).unwrap();
        let (node, wants) = (v.get("node").unwrap(), schemes(v.get("wants").unwrap()));
        let want = Question { nonce, node, wants };
        assert_eq!(got, Ok(want), "{}", v.name);
        let mut out = [0xa5; QUESTION];
        want.write(&mut out);
        assert_eq!(Question::read(&out), Ok(want), "{}", v.name);
        assert_eq!(out[..] == octets[..], v.get("same").is_some(), "{}", v.name);
    }
}

#[test]
fn answers_are_read_and_written_as_their_vectors_say() {
    let all = vectors("answers.txt");
    assert!(all.len() >= 22, "{}", all.len());
    for v in &all {
        let octets = v.octets();
        let got = Answer::read(&octets);
        if let Some(why) = v.get("why") {
            assert_eq!(format!("{:?}", got.unwrap_err()), why, "{}", v.name);
            continue;
        }
        let nonce = u64::from_str_radix(v.get("nonce").unwrap(), 16).unwrap();
        let mut ports = Ports::NONE;
        for (scheme, port) in v.get("ports").unwrap().split(';').filter_map(|pair| pair.split_once('=')) {
            ports.set(Scheme::of(scheme).unwrap(), port.parse().unwrap());
        }
        let want = Answer { nonce, node: v.get("node").unwrap(), ports };
        assert_eq!(got, Ok(want), "{}", v.name);
        let mut out = [0xa5; ANSWER];
        let n = want.write(&mut out);
        assert!(out[n..].iter().all(|b| *b == 0xa5));
        assert_eq!(Answer::read(&out[..n]), Ok(want), "{}", v.name);
        assert_eq!(out[..n] == octets[..], v.get("same").is_some(), "{}", v.name);
    }
}

/// Cut short or with one octet changed, nothing breaks, and no answer passes for a question.
#[test]
fn damaged_ones_are_read_or_refused() {
    for v in vectors("questions.txt").iter().chain(&vectors("answers.txt")) {
        let octets = v.octets();
        for n in 0..octets.len() {
            let _ = Question::read(&octets[..n]);
            let _ = Answer::read(&octets[..n]);
            let mut damaged = octets.clone();
            for change in [1, 0x20, 0x80] {
                damaged[n] ^= change;
                assert!(Question::read(&damaged).is_err() || Answer::read(&damaged).is_err());
                damaged[n] ^= change;
            }
        }
    }
}

/// Both are messages to the Communicator's reader, which writes them as they are.
#[cfg(feature = "communicator")]
#[test]
fn they_are_messages_of_the_communicator() {
    use crate::dialect::communicator::{emit, parse};
    let mut count = 0;
    for v in vectors("questions.txt").iter().chain(&vectors("answers.txt")).filter(|v| v.get("why").is_none()) {
        let octets = v.octets();
        let message = parse::message(&octets, &mut []).unwrap_or_else(|why| panic!("{}: {why:?}", v.name));
        assert!(matches!(message.command, b"DISCOVER" | b"FOUND"));
        assert!(message.from_server.is_empty() && message.server.is_empty() && message.service.is_empty());
        if v.get("same").is_some() {
            let mut out = [0; 1024];
            let n = emit::datagram(&message, emit::Edit::NONE, &mut out).unwrap();
            assert_eq!(String::from_utf8_lossy(&out[..n]), String::from_utf8_lossy(&octets), "{}", v.name);
            count += 1;
        }
    }
    assert!(count >= 11);
}

/// The Communicator's table of networks says the same, and that what is of this link is near.
#[cfg(feature = "communicator")]
#[test]
fn near_is_what_the_communicator_calls_so() {
    use crate::dialect::communicator::address::Network;
    for ip in [
        "10.1.2.3",
        "172.16.0.1",
        "172.32.0.1",
        "192.168.1.1",
        "192.169.0.1",
        "fd00::1",
        "fc00::1",
        "127.0.0.1",
        "127.9.9.9",
        "::1",
        "ff02::1",
        "ff01::1",
        "224.0.0.1",
        "239.255.40.40",
        "169.254.3.4",
        "169.253.0.1",
        "fe80::1",
        "febf::1",
        "fec0::1",
        "100.64.0.1",
        "0.0.0.0",
        "::",
        "255.255.255.255",
        "2001:db8::1",
        "8.8.8.8",
        "2a00::1",
        "::ffff:10.0.0.1",
        "::ffff:8.8.8.8",
    ] {
        let address: IpAddr = ip.parse().unwrap();
        let network = Network::of(address);
        let is_one = !address.is_multicast();
        let near = is_one && matches!(network, Network::Private | Network::Loopback | Network::LinkLocal);
        assert_eq!(is_near(address), near, "{ip} {network:?}");
    }
}

#[test]
fn names_are_the_same_if_they_are_written_the_same() {
    for (a, b, same) in [
        ("greenhouse", "greenhouse", true),
        ("greenhouse", "Greenhouse", false),
        ("green house", "green_house", true),
        ("é", "__", true),
        ("a;b\"c", "a_b_c", true),
        ("a", "ab", false),
        ("", "", true),
    ] {
        assert_eq!(is_same_node(a, b), same, "{a} {b}");
    }
    let (long, longer) = ("n".repeat(48), "n".repeat(49));
    assert!(is_same_node(&long, &longer));
}

#[test]
fn a_name_with_odd_octets_is_written_without_them() {
    let mut out = [0; QUESTION];
    Question { nonce: 1, node: "green;house \"é", wants: Schemes::ALL }.write(&mut out);
    assert_eq!(Question::read(&out).unwrap().node, "green_house____");
    let mut out = [0; ANSWER];
    let mut ports = Ports::NONE;
    ports.set(Scheme::Tcp, 1);
    let n = Answer { nonce: 1, node: &"ß".repeat(100), ports }.write(&mut out);
    assert_eq!(Answer::read(&out[..n]).unwrap().node, "_".repeat(48));
}

// The asker.

fn found(nonce: u64, node: &str, ports: &[(Scheme, u16)]) -> Vec<u8> {
    let mut all = Ports::NONE;
    ports.iter().for_each(|(scheme, port)| all.set(*scheme, *port));
    let mut out = [0; ANSWER];
    let n = Answer { nonce, node, ports: all }.write(&mut out);
    out[..n].to_vec()
}

fn asked(asker: &mut Asker<'_>, now: Instant) -> Option<(Way, u64)> {
    let mut out = [0; QUESTION];
    let way = asker.ask(now, &mut out)?;
    Some((way, Question::read(&out).unwrap().nonce))
}

#[test]
fn it_asks_at_once_and_then_after_pauses_that_double_to_half_a_minute() {
    for seed in 0..50 {
        let mut asker = Asker::new("", Schemes::ALL, seed, at(1000));
        let mut now = at(1000);
        let mut nonce = None;
        for (n, pause) in [1000u32, 2000, 4000, 8000, 16_000, 32_000, 32_000, 32_000].into_iter().enumerate() {
            assert_eq!(asker.deadline(), Some(now));
            let (way, this) = asked(&mut asker, now).unwrap();
            assert_eq!(way, if n % 2 == 0 { Way::Group } else { Way::Broadcast });
            assert_eq!(*nonce.get_or_insert(this), this, "one search, one nonce");
            assert_eq!(asked(&mut asker, now), None, "not twice");
            let next = asker.deadline().unwrap();
            let waited = next.since(now).millis();
            assert!((pause / 2..=pause).contains(&waited), "{waited} of {pause}");
            assert_eq!(asked(&mut asker, at(next.millis() - 1)), None);
            now = next;
        }
        asker.restart(now);
        let (way, other) = asked(&mut asker, now).unwrap();
        assert_eq!((way, nonce == Some(other)), (Way::Group, false));
        assert!(asker.deadline().unwrap().since(now) <= Duration::from_secs(1));
    }
}

#[test]
fn boards_with_numbers_for_seeds_have_nonces_of_their_own() {
    let mut all: Vec<u64> =
        (0..1000).map(|seed| asked(&mut Asker::new("", Schemes::ALL, seed, at(0)), at(0)).unwrap().1).collect();
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), 1000);
}

#[test]
fn only_answers_to_its_question_count() {
    let wants = Schemes::of(&[Scheme::Tcp, Scheme::Tls]);
    let mut asker = Asker::new("green house", wants, 7, at(0));
    let (_, nonce) = asked(&mut asker, at(0)).unwrap();
    let good = found(nonce, "green house", &[(Scheme::Tcp, 7840), (Scheme::Cd, 4040)]);
    let answer = asker.hear(NEAR, &good).unwrap();
    assert_eq!((answer.node, answer.ports.iter().collect::<Vec<_>>()), ("green_house", [(Scheme::Tcp, 7840)].to_vec()));
    for (from, datagram, why) in [
        (FAR, good.clone(), Ignored::Far),
        ("2a00::1".parse().unwrap(), good.clone(), Ignored::Far),
        (NEAR, found(nonce ^ 1, "green_house", &[(Scheme::Tcp, 1)]), Ignored::Nonce),
        (NEAR, found(0, "green_house", &[(Scheme::Tcp, 1)]), Ignored::Nonce),
        (NEAR, found(nonce, "greenhouse", &[(Scheme::Tcp, 1)]), Ignored::OtherNode),
        (NEAR, found(nonce, "", &[(Scheme::Tcp, 1)]), Ignored::OtherNode),
        (NEAR, found(nonce, "green house", &[(Scheme::Cd, 4040)]), Ignored::Nothing),
        (NEAR, found(nonce, "green house", &[]), Ignored::Nothing),
        (NEAR, b"".to_vec(), Ignored::Fault(Fault::Malformed)),
        (NEAR, [b'x'; 65_000].to_vec(), Ignored::Fault(Fault::TooLong)),
        (NEAR, [&good[..], b";tcp=1"].concat(), Ignored::Fault(Fault::Malformed)),
    ] {
        assert_eq!(asker.hear(from, &datagram), Err(why));
    }
    asker.stop();
    assert_eq!((asker.hear(NEAR, &good), asker.deadline(), asker.is_asking()), (Err(Ignored::Unasked), None, false));
    asker.restart(at(10));
    assert_eq!(asker.hear(NEAR, &good), Err(Ignored::Nonce), "answers to the search before are too late");
}

// The responder.

fn question(node: &str, wants: Schemes) -> [u8; QUESTION] {
    let mut out = [0; QUESTION];
    Question { nonce: 0xfeed, node, wants }.write(&mut out);
    out
}

fn source(n: u32) -> IpAddr {
    IpAddr::V4(Ipv4Addr::from_bits(0x0a00_0000 + n))
}

#[test]
fn it_answers_neighbours_who_mean_it() {
    let mut responder = Responder::new();
    let any = question("", Schemes::ALL);
    let question = |node| question(node, Schemes::ALL);
    assert_eq!(responder.hear(at(0), FAR, &any, "n"), Err(Silence::Far));
    assert_eq!(responder.hear(at(0), NEAR, &question("m"), "n"), Err(Silence::OtherNode));
    assert_eq!(responder.hear(at(0), NEAR, &any[..255], "n"), Err(Silence::Fault(Fault::TooShort)));
    assert_eq!(responder.hear(at(0), NEAR, b"SHUTDOWN", "n"), Err(Silence::Fault(Fault::Malformed)));
    // what is not answered is not counted against anybody
    for _ in 0..4 {
        assert!(responder.hear(at(0), NEAR, &question("n"), "n").is_ok());
    }
    assert_eq!(responder.hear(at(0), NEAR, &any, "n"), Err(Silence::Source));
}

#[test]
fn nothing_that_is_wanted_is_no_answer() {
    let mut ports = Ports::NONE;
    let wants = Schemes::of(&[Scheme::Tcp]);
    let q = Question { nonce: 1, node: "", wants };
    let mut out = [0; ANSWER];
    assert_eq!(Responder::answer(&q, "n", ports, &mut out), Err(Silence::Nothing));
    ports.set(Scheme::Tls, 7841);
    assert_eq!(Responder::answer(&q, "n", ports, &mut out), Err(Silence::Nothing));
    ports.set(Scheme::Tcp, 7840);
    let n = Responder::answer(&q, "n", ports, &mut out).unwrap();
    let answer = Answer::read(&out[..n]).unwrap();
    assert_eq!(answer.ports.iter().collect::<Vec<_>>(), [(Scheme::Tcp, 7840)]);
}

#[test]
fn no_answer_is_longer_than_its_question() {
    let mut ports = Ports::NONE;
    Scheme::ALL.into_iter().for_each(|scheme| ports.set(scheme, 65_535));
    let node = "n".repeat(1000);
    let mut responder = Responder::new();
    for v in vectors("questions.txt") {
        let octets = v.octets();
        let Ok(q) = responder.hear(at(0), NEAR, &octets, q_node(&octets)) else { continue };
        responder = Responder::new();
        let mut out = [0; ANSWER];
        let n = Responder::answer(&q, &node, ports, &mut out).unwrap_or(0);
        assert!(n <= octets.len(), "{}: {n}", v.name);
    }
}

fn q_node(octets: &[u8]) -> &str {
    Question::read(octets).map_or("", |q| q.node)
}

#[test]
fn one_source_is_answered_four_times_at_once_and_then_once_a_second() {
    let mut responder = Responder::new();
    let q = question("", Schemes::ALL);
    // a thousand a second, for a minute
    let count = (0..60_000).filter(|ms| responder.hear(at(*ms), NEAR, &q, "n").is_ok()).count();
    assert_eq!(count, 4 + 59);
    assert!(responder.hear(at(60_001), source(9), &q, "n").is_ok(), "another one is not held up");
    assert!((0..4).all(|_| responder.hear(at(70_000), NEAR, &q, "n").is_ok()), "after a while it may hurry again");
}

#[test]
fn all_together_are_answered_fifty_times_at_once_and_then_25_times_a_second() {
    let mut responder = Responder::new();
    let q = question("", Schemes::ALL);
    let mut count = 0;
    for ms in 0..10_000u32 {
        for n in 0..20 {
            // each from another source
            count += usize::from(responder.hear(at(ms.into()), source(ms * 20 + n), &q, "n").is_ok());
        }
    }
    assert_eq!(count, 50 + 249, "25 a second, for ten seconds");
    assert_eq!(responder.hear(at(10_000), NEAR, &q, "n").map(|_| ()), Ok(()));
    assert_eq!(responder.hear(at(10_000), NEAR, &q, "n").map(|_| ()), Err(Silence::Total));
}

/// With more sources than rows none gets more than the limit of all together, and one that
/// goes on asking is still held to its own.
#[test]
fn many_sources_do_not_make_room_for_one() {
    let mut responder = Responder::new();
    let q = question("", Schemes::ALL);
    let mut of_one = 0;
    for ms in 0..10_000u32 {
        of_one += usize::from(responder.hear(at(ms.into()), NEAR, &q, "n").is_ok());
        if ms % 50 == 0 {
            let _ = responder.hear(at(ms.into()), source(1000 + ms), &q, "n");
        }
    }
    assert!((10..=14).contains(&of_one), "{of_one}");
}
