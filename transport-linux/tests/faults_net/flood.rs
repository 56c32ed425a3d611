//! Floods of datagrams: strangers to native UDP, wrong secrets to the Communicator's, questions
//! and noise to discovery, all at once and from many sources. Who is connected keeps its service,
//! the counters count, memory stays what it was, and afterwards datagrams are heard again.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use chappe_core::dialect::messi::repr::{Hello, ServerToClient};
use chappe_core::discovery::{QUESTION, Question, Schemes};

use crate::dice::{Dice, span};
use crate::house::{FEW, House, SECRET, Way};
use crate::member::Member;
use crate::pulse::{self, Pulse, group};
use crate::support::{Station, frame};

/// Sources of each flood.
const SOURCES: usize = 32;

/// Places for stations that speak datagrams: fewer than there are sources.
const PLACES: usize = 20;

/// One of the floods.
struct Flood {
    to: SocketAddr,
    words: Vec<Vec<u8>>,
    sockets: Vec<UdpSocket>,
    sent: u64,
}

impl Flood {
    fn new(to: SocketAddr, words: Vec<Vec<u8>>) -> Flood {
        let sockets = (0..SOURCES).map(|_| UdpSocket::bind("127.0.0.1:0").unwrap()).collect();
        Flood { to, words, sockets, sent: 0 }
    }

    /// From each source one of the words.
    fn once(&mut self) {
        for (n, socket) in self.sockets.iter().enumerate() {
            let word = &self.words[(self.sent as usize + n) % self.words.len()];
            self.sent += u64::from(socket.send_to(word, self.to).is_ok());
        }
    }
}

/// As fast as one thread can, until told to stop; returns how many of each were sent.
fn pour(mut floods: [Flood; 3], is_over: &Arc<AtomicBool>) -> JoinHandle<[u64; 3]> {
    let is_over = is_over.clone();
    std::thread::spawn(move || {
        while !is_over.load(Ordering::Relaxed) {
            floods.iter_mut().for_each(Flood::once);
        }
        floods.map(|flood| flood.sent)
    })
}

#[test]
fn floods_of_datagrams_take_nothing_from_who_is_connected() {
    let mut dice = Dice::new("flood");
    let house = House::start(&format!("datagram_stations = {PLACES}\nhello_within_ms = 1500"), "");
    let pulses: Vec<Pulse> = FEW.map(|way| Pulse::start(&house, way)).into();
    std::thread::sleep(span());
    let (before, memory) = (house.page(), house.memory());
    let to = |scheme: &str| house.daemon.address(scheme).parse().unwrap();

    pulse::all(&pulses, 1);
    let is_over = Arc::new(AtomicBool::new(false));
    // Strangers that say hello, half of it, noise, and more than a frame may have.
    let hello = frame(Hello { seq: 1, name: "flood", silence_ms: 1000, ..Hello::default() });
    let native = vec![hello.clone(), hello[..hello.len() / 2].to_vec(), dice.octets(500), vec![0xff; 65_500]];
    let guess = |secret: &str| format!("./STOP secret_code={secret}").into_bytes();
    let signals = vec![guess("guess"), guess(""), dice.octets(300), vec![b'x'; 5000], b"./LOG_ROTATE".to_vec()];
    let mut question = vec![0; QUESTION];
    Question { nonce: 7, node: "", wants: Schemes::ALL }.write((&mut question[..]).try_into().unwrap());
    let questions = vec![question.clone(), question[..20].to_vec(), dice.octets(QUESTION)];
    let floods =
        [Flood::new(to("udp"), native), Flood::new(to("cdu"), signals), Flood::new(house.discovery(), questions)];
    let pouring = pour(floods, &is_over);
    std::thread::sleep(span());
    let during = house.page();
    let mut most = house.memory();
    std::thread::sleep(span());
    most = most.max(house.memory());
    is_over.store(true, Ordering::Relaxed);
    let sent = pouring.join().unwrap();

    pulse::all(&pulses, 2);
    let after = house.until("the places of strangers are free again", |page| {
        page.get("connections") == before.get("connections") && page.get("read_bytes") > during.get("read_bytes")
    });
    let beats = pulse::stop(pulses);
    let counted = after.since(
        &before,
        &[
            "datagrams_received",
            "datagrams_refused",
            "datagrams_too_long",
            "datagrams_dropped",
            "frames_malformed",
            "discovery_questions",
            "discovery_answers",
            "discovery_malformed",
            "discovery_source_limit",
            "discovery_limit",
        ],
    );
    println!("sent (native, Communicator, discovery) {sent:?}; {counted:?}\nresident KiB {memory}, then {most}");
    pulse::print("a message beside floods of datagrams", &beats);
    for name in
        ["datagrams_refused", "datagrams_too_long", "datagrams_dropped", "discovery_questions", "discovery_malformed"]
    {
        assert!(counted.iter().any(|(counted, _)| counted == name), "{name} among {counted:?}");
    }
    assert!(most < memory + 4096, "{memory} KiB, then {most}");
    let rest = house.cpu_at_rest(Duration::from_millis(500));
    assert!(rest < Duration::from_millis(100), "nobody is there, and it works: {rest:?}");

    // Good ones are heard as before.
    let source = house.datagrams("udp");
    source.send(&frame(Hello { seq: 1, name: "sensor", ..Hello::default() })).unwrap();
    let mut room = [0; 2048];
    let n = source.recv(&mut room).expect("a welcome");
    assert!(matches!(ServerToClient::read(&room[4..n]).unwrap().0, ServerToClient::Welcome(_)));
    let mut service = Member::of(&house, Way::Cd, "hears", &group(Way::Cd));
    let text = format!("hears/{} v=good;secret_code={SECRET}", group(Way::Cd));
    house.datagrams("cdu").send(text.as_bytes()).unwrap();
    assert!(service.hear().starts_with("good"));
    assert!(Station::new(house.connect(Way::Tcp)).hello("afterwards") > 0);
}
