//! Several servers joined by links, each of any kind.
//!
//! Owns: the wires between them, and that all have one clock (their calendars may differ). A link is one
//! connection seen from both ends: what the one server writes, the other is offered, in pieces and
//! as late as a test wants.

use super::Kind;
use super::host::{Host, Opening};
use super::users::User;
use crate::random::Random;
use chappe_core::time::Instant;
use std::net::SocketAddr;

/// One link.
#[derive(Debug)]
pub struct Pipe {
    /// Server and wire at the slave's end.
    pub slave: (usize, usize),
    /// The same at the master's.
    pub master: (usize, usize),
    /// On their way up and down.
    flows: [Vec<u8>; 2],
    /// Both ends are still there.
    pub open: bool,
    /// Nothing moves.
    pub held: bool,
    /// All lines that came up and down, for tests that look.
    pub seen: [Vec<u8>; 2],
}

/// Servers and links.
pub struct Net {
    /// The servers.
    pub hosts: Vec<Box<dyn Host>>,
    /// The links, also those that are gone.
    pub pipes: Vec<Pipe>,
    /// Of what is on its way, how much arrives in one go. `None`: all.
    pub pieces: Option<Random>,
}

impl Net {
    /// Without links.
    pub fn new(hosts: Vec<Box<dyn Host>>) -> Self {
        Net { hosts, pipes: Vec::new(), pieces: None }
    }

    /// The time.
    pub fn now(&self) -> Instant {
        self.hosts[0].now()
    }

    /// Links a slave to a master, as its daemon does, and drives. Returns the link's number.
    pub fn link(&mut self, slave: usize, master: usize) -> usize {
        let pipe = self.begin_link(slave, master);
        self.drive();
        pipe
    }

    /// As [`Net::link`], but nothing has moved yet.
    pub fn begin_link(&mut self, slave: usize, master: usize) -> usize {
        let to = Some(SocketAddr::from(([10, 0, 0, master as u8], 49888)));
        let from = Some(SocketAddr::from(([10, 0, 0, slave as u8], 50_000 + self.pipes.len() as u16)));
        let up = self.hosts[slave].open(Opening { to_master: true, peer: to }).expect("a free place");
        let down = self.hosts[master].open(Opening { to_master: false, peer: from }).expect("a free place");
        self.hosts[master].wires()[down].link = true;
        self.pipes.push(Pipe {
            slave: (slave, up),
            master: (master, down),
            flows: Default::default(),
            open: true,
            held: false,
            seen: Default::default(),
        });
        self.pipes.len() - 1
    }

    /// Pulls the plug of a link: what is on its way is lost, and both ends notice.
    pub fn cut(&mut self, pipe: usize) {
        let p = &mut self.pipes[pipe];
        if !std::mem::take(&mut p.open) {
            return;
        }
        let ends = [p.slave, p.master];
        for (h, c) in ends {
            if self.hosts[h].is_open(c) {
                self.hosts[h].part(c);
            }
        }
        self.drive();
    }

    /// Whether both ends have the link.
    pub fn is_linked(&self, pipe: usize) -> bool {
        self.pipes[pipe].open
    }

    /// Moves some of what is on its way. Whether anything moved.
    pub fn pump(&mut self) -> bool {
        let mut busy = false;
        // in pieces, one of the flows at a time
        let moving: Vec<usize> =
            (0..self.pipes.len()).filter(|p| self.pipes[*p].open && !self.pipes[*p].held).collect();
        let only = self.pieces.as_mut().map(|random| {
            let n = random.below(2 * moving.len().max(1));
            moving.get(n / 2).map_or(0, |p| 2 * p + n % 2)
        });
        for (n, p) in self.pipes.iter_mut().enumerate() {
            if !p.open || p.held {
                continue;
            }
            for (i, (from, to)) in [(p.slave, p.master), (p.master, p.slave)].into_iter().enumerate() {
                let wire = &mut self.hosts[from.0].wires()[from.1];
                let bytes = std::mem::take(&mut wire.bytes);
                wire.lines.clear();
                let ended = wire.id.is_none();
                p.seen[i].extend_from_slice(&bytes);
                p.flows[i].extend(bytes);
                let most = if only.is_none_or(|o| o == 2 * n + i) { p.flows[i].len() } else { 0 };
                let n = match &mut self.pieces {
                    Some(random) if most > 0 => random.below(most + 1),
                    _ => most,
                };
                if n > 0 {
                    let piece: Vec<u8> = p.flows[i].drain(..n).collect();
                    self.hosts[to.0].tell_bytes(to.1, &piece);
                    busy = true;
                }
                if ended && p.flows[i].is_empty() {
                    p.open = false;
                    if self.hosts[to.0].is_open(to.1) {
                        self.hosts[to.0].part(to.1);
                    }
                    busy = true;
                    break;
                }
            }
        }
        busy
    }

    /// Until nothing is on its way.
    ///
    /// # Panics
    /// If that never ends.
    pub fn drive(&mut self) {
        for _ in 0..100_000 {
            for h in &mut self.hosts {
                h.drive();
            }
            let waits = self.pipes.iter().any(|p| p.open && !p.held && p.flows.iter().any(|f| !f.is_empty()));
            if !self.pump() && !waits {
                return;
            }
        }
        panic!("the servers talk for ever");
    }

    /// Time passes everywhere: from deadline to deadline.
    pub fn wait(&mut self, ms: u32) {
        let end = Instant::from_millis(self.now().millis() + ms as u64);
        while self.now() < end {
            let soon = Instant::from_millis(self.now().millis() + 1);
            let next = self.hosts.iter().filter_map(|h| h.deadline()).min();
            let next = next.map_or(end, |d| d.max(soon).min(end));
            for h in &mut self.hosts {
                h.pass(next);
            }
            self.drive();
        }
    }

    /// Time passes everywhere, and nothing moves.
    pub fn tick(&mut self, ms: u64) {
        let now = Instant::from_millis(self.now().millis() + ms);
        for h in &mut self.hosts {
            h.pass(now);
        }
    }

    /// A client of one of them.
    pub fn client(&mut self, host: usize, user: User) -> usize {
        let c = self.hosts[host].client(user);
        self.drive();
        c
    }

    /// Says a line, and drives.
    pub fn tell(&mut self, host: usize, c: usize, line: &str) {
        self.hosts[host].tell(c, line);
        self.drive();
    }

    /// Takes the lines that a client heard.
    pub fn told(&mut self, host: usize, c: usize) -> Vec<String> {
        self.hosts[host].told(c)
    }

    /// All keys and values, as a client of that server reads them; its own lines must have been taken.
    pub fn store(&mut self, host: usize, c: usize) -> Vec<(String, String)> {
        let keys = self.hosts[host].keys(c);
        keys.into_iter()
            .map(|k| {
                let v = self.hosts[host].value(c, &k).unwrap_or_else(|| panic!("{k} is listed and not there"));
                (k, v)
            })
            .collect()
    }

    /// The lines that went up (0) or down (1) a link since the last call.
    pub fn crossed(&mut self, pipe: usize, way: usize) -> Vec<String> {
        let bytes = std::mem::take(&mut self.pipes[pipe].seen[way]);
        String::from_utf8_lossy(&bytes).split_terminator("\r\n").map(str::to_string).collect()
    }
}

/// A master (0) and its slave (1), not linked yet, with a client of each.
pub fn two(master: Kind, slave: Kind) -> (Net, usize, usize) {
    let mut net = Net::new(vec![master.host(), slave.host()]);
    let (m, s) = (net.client(0, User::Main), net.client(1, User::Main));
    (net, m, s)
}

/// Keys and values, as [`Net::store`] has them.
pub fn pairs(of: &[(&str, &str)]) -> Vec<(String, String)> {
    of.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect()
}
