//! A network in memory: one smoltcp interface on a loopback device, a clock of our own, a hub, clients and bare
//! connections that speak bytes.

#![allow(dead_code, reason = "each test program uses a part of it")]

use chappe_core::client::{Call, Client, Event, Memory, Options, Why};
use chappe_core::dialect::messi::repr::{Code, Letter};
use chappe_core::router::{Newcomer, Open, Settings};
use chappe_core::storage::Storage;
use chappe_core::time::{Duration, Instant};
use chappe_smoltcp::client::TcpClient;
use chappe_smoltcp::hub::{Hub, Slot};
use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::phy::{Loopback, Medium};
use smoltcp::socket::tcp;
use smoltcp::wire::{EthernetAddress, IpAddress, IpCidr, IpEndpoint};

pub(crate) const PORT: u16 = 7840;

/// Memory that lives as long as the test program.
pub(crate) fn leak<T>(value: T) -> &'static mut T {
    Box::leak(Box::new(value))
}

pub(crate) fn bytes(n: usize) -> &'static mut [u8] {
    Box::leak(vec![0; n].into_boxed_slice())
}

/// What a station has heard, in words.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Heard {
    Ready,
    Message { name: String, verb: String, body: Vec<u8>, ask_id: u64 },
    Reply { seq: u32, code: Code, body: Vec<u8> },
    Outcome { seq: u32, code: Code },
    Value { seq: u32, value: Vec<u8> },
    Lost { seq: u32 },
    Disconnected(Why),
    Closing(Code),
    Refused(Code, String),
    Other,
}

pub(crate) fn hear(event: &Event<'_>) -> Heard {
    match event {
        Event::Ready(_) => Heard::Ready,
        Event::Message(l) => {
            Heard::Message { name: l.name.to_owned(), verb: l.verb.to_owned(), body: l.body.to_vec(), ask_id: l.ask_id }
        }
        Event::Reply(a) => Heard::Reply { seq: a.seq, code: a.code, body: a.body.to_vec() },
        Event::Outcome(o) => Heard::Outcome { seq: o.seq, code: o.code },
        Event::Value(v) => Heard::Value { seq: v.seq, value: v.value.to_vec() },
        Event::Lost { seq, .. } => Heard::Lost { seq: *seq },
        Event::Disconnected { why, .. } => Heard::Disconnected(*why),
        Event::Closing(c) => Heard::Closing(c.code),
        Event::Refused(o) => Heard::Refused(o.code, o.text.to_owned()),
        _ => Heard::Other,
    }
}

pub(crate) fn client(name: &'static str, seed: u64, now: Instant) -> Client<'static> {
    let memory = Memory { outbox: bytes(512), script: bytes(128), calls: Box::leak(vec![Call::FREE; 4].into()) };
    let options = Options { name, seed, silence: Duration::from_secs(3), ..Options::default() };
    Client::new(memory, options, now)
}

pub(crate) struct Net {
    pub(crate) now: Instant,
    pub(crate) device: Loopback,
    pub(crate) interface: Interface,
    pub(crate) sockets: SocketSet<'static>,
    pub(crate) hub: Option<Hub<'static>>,
    pub(crate) hub_sockets: Vec<SocketHandle>,
    pub(crate) stations: Vec<Station>,
}

pub(crate) struct Station {
    pub(crate) link: TcpClient<'static>,
    pub(crate) heard: Vec<Heard>,
    /// Answers every question with its own body.
    pub(crate) echoes: bool,
}

impl Net {
    /// No hub yet.
    pub(crate) fn new() -> Net {
        let mut device = Loopback::new(Medium::Ethernet);
        let mut config = Config::new(EthernetAddress([2, 0, 0, 0, 0, 1]).into());
        config.random_seed = 7;
        let mut interface = Interface::new(config, &mut device, smoltcp::time::Instant::ZERO);
        interface.update_ip_addrs(|a| a.push(IpCidr::new(IpAddress::v4(127, 0, 0, 1), 8)).unwrap());
        let (sockets, stations, hub_sockets) = (SocketSet::new(vec![]), vec![], vec![]);
        Net { now: Instant::from_millis(1000), device, interface, sockets, hub: None, hub_sockets, stations }
    }

    pub(crate) fn socket(&mut self, window: usize) -> SocketHandle {
        let buffer = || tcp::SocketBuffer::new(vec![0; window]);
        self.sockets.add(tcp::Socket::new(buffer(), buffer()))
    }

    /// A hub of eight stations with so many sockets.
    pub(crate) fn with_hub(sockets: usize, window: usize) -> Net {
        let mut net = Net::new();
        net.hub_sockets = (0..sockets).map(|_| net.socket(window)).collect();
        net.start_hub();
        net
    }

    pub(crate) fn start_hub(&mut self) {
        let storage: &'static mut Storage = leak(Storage::new());
        let mut settings = Settings::new("hub", "1", leak(Open));
        settings.max_frame = 512;
        settings.outbox = 1024;
        let router = match storage.router(settings, self.now) {
            Ok(router) => router,
            Err(e) => panic!("{e:?}"),
        };
        let slots = Box::leak(self.hub_sockets.iter().map(|&s| Slot::new(s)).collect::<Vec<_>>().into_boxed_slice());
        self.hub = Some(Hub::new(router, slots, PORT, Newcomer::default()));
    }

    /// As a board that loses its power: no word of it, and all sockets closed.
    pub(crate) fn stop_hub(&mut self) {
        self.hub = None;
        for &s in &self.hub_sockets {
            self.sockets.get_mut::<tcp::Socket<'_>>(s).abort();
        }
    }

    pub(crate) fn remote() -> IpEndpoint {
        IpEndpoint::new(IpAddress::v4(127, 0, 0, 1), PORT)
    }

    /// A station that wants to connect. Its number.
    pub(crate) fn station(&mut self, name: &'static str, window: usize) -> usize {
        let socket = self.socket(window);
        let seed = 1 + self.stations.len() as u64 * 977;
        let link = TcpClient::new(client(name, seed, self.now), bytes(512), socket, Net::remote(), seed);
        self.stations.push(Station { link, heard: vec![], echoes: false });
        self.stations.len() - 1
    }

    /// One turn of everybody, one millisecond.
    pub(crate) fn turn(&mut self) {
        let at = chappe_smoltcp::to_smoltcp(self.now);
        self.interface.poll(at, &mut self.device, &mut self.sockets);
        if let Some(hub) = &mut self.hub {
            hub.poll(self.now, &mut self.sockets);
            if let Err(what) = hub.router().check() {
                panic!("the router's invariant is broken: {what}");
            }
        }
        for station in &mut self.stations {
            let (heard, echoes) = (&mut station.heard, station.echoes);
            station.link.poll(self.now, &mut self.interface, &mut self.sockets, |client, event| {
                heard.push(hear(&event));
                if let (true, Event::Message(l)) = (echoes, event)
                    && l.ask_id != 0
                {
                    let answer = chappe_core::dialect::messi::repr::Answer {
                        ask_id: l.ask_id,
                        body: l.body,
                        ..Default::default()
                    };
                    client.answer(&answer).expect("room for one answer");
                }
            });
        }
        self.now = self.now + Duration::from_millis(1);
    }

    /// Turns until it is so; panics after a minute of the network's time.
    pub(crate) fn until(&mut self, what: &str, mut so: impl FnMut(&mut Net) -> bool) {
        for _ in 0..60_000 {
            if so(self) {
                return;
            }
            self.turn();
        }
        let heard: Vec<_> = self.stations.iter().map(|s| &s.heard).collect();
        panic!("never: {what}; heard {heard:#?}, hub {:?}", self.hub);
    }

    pub(crate) fn run(&mut self, ms: u32) {
        for _ in 0..ms {
            self.turn();
        }
    }

    pub(crate) fn all_ready(&mut self) {
        self.until("all ready", |net| net.stations.iter_mut().all(|s| s.link.client().is_ready()));
    }
}

pub(crate) fn letter<'f>(name: &'f str, verb: &'f str, body: &'f [u8]) -> Letter<'f> {
    Letter { name, verb, body, ..Letter::default() }
}
