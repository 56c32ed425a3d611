//! Clients of every dialect that come in, join, ask and are gone: by a reset, half a close, in the
//! middle of a frame or of a TLS handshake. Whatever they had is given back, and a pair of each
//! dialect beside them misses nothing.

use std::io::Write;
use std::net::Shutdown;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use chappe_core::dialect::messi::repr::{Answer, Hello, Join, ServerToClient};
use rustls::{ClientConfig, ClientConnection};
use socket2::SockRef;

use crate::dice::{Dice, span};
use crate::house::{FEW, House, Page, WAYS, Way};
use crate::member::{opening, write};
use crate::pulse::{self, Pulse};
use crate::support::tls::{TLS12, TLS13, client, session};
use crate::support::{Station, Stream, clacks, frame};

/// Of each way, in a wave; and sources of datagrams.
const EACH: usize = 40;
const DATAGRAMS: usize = 20;

/// Values whose names clients of Clacks want listed.
const KEYS: usize = 1000;

/// Everybody asks this station, which answers every second one.
const ASKED: &str = "ASKED";

const TABLES: [&str; 6] = ["stations", "names", "memberships", "requests", "watches", "mail"];

/// What is to be the same afterwards.
fn rows(page: &Page) -> Vec<u64> {
    TABLES
        .iter()
        .map(|table| page.used(table))
        .chain(["connections", "tls_handshakes_open"].map(|n| page.get(n)))
        .collect()
}

/// How they go.
#[derive(Debug)]
enum End {
    /// An ordinary end.
    Close,
    /// A reset.
    Reset,
    /// Half an end; the other half when the wave is over.
    Half,
    /// Silence; the end when the wave is over.
    Silent,
}

fn end(stream: Stream, how: &End, dice: &mut Dice, left: &mut Vec<Stream>) {
    let socket = match &stream {
        Stream::Tcp(s) => SockRef::from(s),
        Stream::Unix(s) => SockRef::from(s),
        Stream::Tls(s) => SockRef::from(&s.sock),
        Stream::File(_) => return,
    };
    match how {
        End::Close => {}
        End::Reset => socket.set_linger(Some(Duration::ZERO)).unwrap(),
        End::Half => {
            let _ = socket.shutdown(if dice.below(4) == 0 { Shutdown::Both } else { Shutdown::Write });
            left.push(stream);
        }
        End::Silent => left.push(stream),
    }
}

/// One that comes, says something of what it has to say, and is gone or will be.
fn visit(house: &House, way: Way, n: usize, tls: &[Arc<ClientConfig>], dice: &mut Dice, left: &mut Vec<Stream>) {
    let how = match dice.below(4) {
        0 => End::Close,
        1 => End::Reset,
        2 => End::Half,
        _ => End::Silent,
    };
    // What the pair of this dialect says may be on its way to this one, too, when it goes.
    let pair = FEW.into_iter().find(|few| few.tongue() == way.tongue()).unwrap();
    let group = if dice.below(4) == 0 { pulse::group(pair) } else { "VANISHALL".into() };
    let size = if dice.below(4) == 0 { dice.below(50_000) } else { 10 };
    let words = opening(way.tongue(), n, ASKED, &group, size);
    // every third says all of it
    let said = if dice.below(3) == 0 { words.len() } else { dice.below(words.len()) };
    let mut stream = house.plain(way);
    if !way.is_tls() {
        let _ = write(&mut stream, &words[..said]);
        return end(stream, &how, dice, left);
    }
    let mut conn: ClientConnection = session(&tls[dice.below(tls.len())]);
    if dice.below(2) == 0 {
        let mut hello = Vec::new();
        conn.write_tls(&mut hello).unwrap();
        let some = dice.below(hello.len() + 1);
        let _ = write(&mut stream, &hello[..some]);
        return end(stream, &how, dice, left);
    }
    let Stream::Tcp(sock) = &mut stream else { unreachable!() };
    while conn.is_handshaking() {
        conn.complete_io(sock).expect("its handshake");
    }
    conn.writer().write_all(&words[..said]).unwrap();
    let mut records = Vec::new();
    while conn.wants_write() {
        conn.write_tls(&mut records).unwrap();
    }
    let some = if dice.below(2) == 0 { records.len() } else { dice.below(records.len() + 1) };
    let _ = write(&mut stream, &records[..some]);
    end(stream, &how, dice, left);
}

#[test]
fn waves_of_clients_that_vanish_leave_nothing_and_take_nothing_from_others() {
    let mut dice = Dice::new("vanish");
    let house = House::start("hello_within_ms = 60000", "[clacks]\nlogin_within_ms = 60000\n");
    let tls = [&TLS13, &TLS12].map(|version| Arc::new(client(&house.authority.root, version)));
    let mut asked = Station::new(house.connect(Way::Unix));
    asked.hello("asked");
    asked.join(ASKED);
    let is_over = Arc::new(AtomicBool::new(false));
    let reads = {
        let is_over = is_over.clone();
        std::thread::spawn(move || {
            let mut heard = 0u64;
            while !is_over.load(Ordering::Relaxed) {
                let Some(Some(message)) = asked.next_within(Duration::from_millis(50)) else { continue };
                let ServerToClient::Message(letter) = message.message() else { continue };
                heard += 1;
                if heard.is_multiple_of(2) {
                    asked.say(Answer { ask_id: letter.ask_id, body: b"!", ..Answer::default() });
                }
            }
            heard
        })
    };
    // Lists that are longer than what the kernel takes at once.
    let mut keeper = clacks::Client::unix(house.address(Way::Clacks)).greeted();
    keeper.login("anybody", "anything");
    keeper.say("NOPING");
    for n in 0..KEYS {
        keeper.say(&format!("STORE key::{n:08}{}=", "x".repeat(80)));
    }
    keeper.sync();
    let pulses: Vec<Pulse> = FEW.map(|way| Pulse::start(&house, way)).into();
    let before = house.page();
    let descriptors = house.descriptors();
    std::thread::sleep(span());
    pulse::all(&pulses, 1);
    let begun = Instant::now();
    let (mut memory, mut came) = (vec![house.memory()], 0);
    while memory.len() < 5 || begun.elapsed() < span() {
        let mut left = Vec::new();
        for n in 0..EACH {
            for way in WAYS {
                visit(&house, way, came, &tls, &mut dice, &mut left);
                came += 1;
            }
            if n < DATAGRAMS {
                // nobody hears that it goes: it says that silence is to end it soon
                let source = house.datagrams("udp");
                let mut words = frame(Hello { seq: 1, name: "datagrams", silence_ms: 1000, ..Hello::default() });
                let hello = words.len();
                words.extend(frame(Join { seq: 2, name: &format!("vanish::{came}"), ..Join::default() }));
                let cut = if n % 2 == 0 { 0 } else { dice.below(words.len() - hello) };
                let _ = source.send(&words[..words.len() - cut]);
            }
        }
        drop(left);
        house.until("all that they had is given back", |page| rows(page) == rows(&before));
        memory.push(house.memory());
        let open = house.descriptors();
        // the page's own visitor may still be there
        assert!(open <= descriptors + 1, "{descriptors} descriptors, then {open}");
    }
    pulse::all(&pulses, 2);
    std::thread::sleep(span());
    let beats = pulse::stop(pulses);
    is_over.store(true, Ordering::Relaxed);
    let questions = reads.join().unwrap();
    let after = house.until("nothing waits for anybody", |page| page.used("buffer_blocks") == 0);
    let reasons = after.since(
        &before,
        &[
            "closed_lost",
            "closed_not_introduced",
            "closed_silent",
            "tls_ended",
            "tls_handshakes",
            "tls_broken",
            "tls_failed",
            "answers_stray",
        ],
    );
    println!(
        "{came} clients in {} waves, {questions} heard by who was asked; {reasons:?}\n\
         resident KiB at first and after each wave: {memory:?}; {descriptors} descriptors",
        memory.len() - 1
    );
    pulse::print("a message beside clients that vanish", &beats);
    assert!(memory[memory.len() - 1] <= memory[2] + 4096, "it grows: {memory:?}");
    let rest = house.cpu_at_rest(Duration::from_millis(500));
    assert!(rest < Duration::from_millis(100), "nobody is there, and it works: {rest:?}");
}

#[test]
fn thousands_that_connect_at_once_and_say_nothing_leave_nothing() {
    let mut dice = Dice::new("connect");
    let house = House::start("", "");
    let pulses: Vec<Pulse> = FEW.map(|way| Pulse::start(&house, way)).into();
    let before = house.page();
    std::thread::sleep(span());
    pulse::all(&pulses, 1);
    let begun = Instant::now();
    let mut came = 0;
    while came < 2000 || begun.elapsed() < span() {
        let crowd: Vec<Stream> = (0..20).flat_map(|_| WAYS).map(|way| house.plain(way)).collect();
        came += crowd.len();
        let mut left = Vec::new();
        for stream in crowd {
            let how = if dice.below(2) == 0 { End::Close } else { End::Reset };
            end(stream, &how, &mut dice, &mut left);
        }
    }
    let page = house.until("all of them are gone", |page| rows(page) == rows(&before));
    let beats = pulse::stop(pulses);
    println!("{came} connections in {:?}; {:?}", begun.elapsed(), page.since(&before, &["accepted", "closed_lost"]));
    pulse::print("a message beside connections that only come and go", &beats);
}
