//! Linked nodes among themselves, wired together by hand: how a link comes about, rings, and
//! masters that misbehave. What single lines do is tested in `host-tests`.

extern crate std;

use super::super::{Action, Gate, Grant, LinkStage, Newcomer, Reason, Rights, Router, Settings};
use crate::dialect::Dialect;
use crate::dialect::clacks::Role;
use crate::id::StationId;
use crate::storage::Storage;
use crate::time::{Duration, Instant};
use std::boxed::Box;
use std::string::String;
use std::vec::Vec;

/// Knows who links, and who may only read and write.
struct Known;

impl Gate for Known {
    fn check(&self, user: &str, token: &[u8]) -> Option<Grant> {
        match (user, token) {
            ("link", b"word") => Some(Grant { rights: Rights::ALL, restricted: false, number: 1 }),
            ("other", b"word") => Some(Grant { rights: Rights::READ | Rights::WRITE, restricted: false, number: 2 }),
            _ => None,
        }
    }
    fn allows(&self, _: Grant, _: Rights, _: &str) -> bool {
        true
    }
}

static KNOWN: Known = Known;

type Memory = Storage<8, 32, 48, 16, 32, 8, 8, 8, 32, 512, 128, 1088, 700, 2000>;

/// Several nodes, and the wires between them.
struct Nodes {
    now: Instant,
    all: Vec<Router<'static>>,
    wires: Vec<[(usize, StationId); 2]>,
    closed: Vec<(usize, Reason)>,
}

fn settings(n: usize) -> Settings<'static> {
    let mut set = Settings::new("node", "1", &KNOWN);
    set.clacks.link_user = "link";
    set.clacks.link_password = b"word";
    set.clacks.link_id = 0x1000 + n as u64;
    set
}

impl Nodes {
    fn new(n: usize) -> Nodes {
        let now = Instant::from_millis(1000);
        let node = |n| {
            let storage: &'static mut Memory = Box::leak(Box::new(Storage::new()));
            let mut node = storage.router(settings(n), now).unwrap();
            node.set_calendar(1_700_000_000_000_000);
            node
        };
        Nodes { now, all: (0..n).map(node).collect(), wires: Vec::new(), closed: Vec::new() }
    }

    fn admit(&mut self, at: usize, role: Role) -> StationId {
        let grant = Grant::anonymous(Rights::NONE);
        let new = Newcomer { dialect: Dialect::Clacks, role, grant, ..Newcomer::default() };
        self.all[at].admit(self.now, new).unwrap()
    }

    /// `slave` links itself to `master`.
    fn link(&mut self, slave: usize, master: usize) -> StationId {
        let up = self.admit(slave, Role::Master);
        let down = self.admit(master, Role::Client);
        self.wires.push([(slave, up), (master, down)]);
        up
    }

    fn hear(&mut self, at: usize, id: StationId, mut bytes: &[u8]) -> String {
        let mut said = String::new();
        loop {
            let taken = self.all[at].receive(self.now, id, bytes);
            bytes = &bytes[taken..];
            said += &self.turn(at, id);
            if bytes.is_empty() || taken == 0 {
                return said;
            }
        }
    }

    /// What a node has to say to a station whose other end is the test.
    fn turn(&mut self, at: usize, id: StationId) -> String {
        let mut said = String::new();
        for (to, bytes) in self.output(at) {
            if to == id {
                said += core::str::from_utf8(&bytes).unwrap();
            }
        }
        said
    }

    fn output(&mut self, at: usize) -> Vec<(StationId, Vec<u8>)> {
        let (node, mut all) = (&mut self.all[at], Vec::new());
        while let Some(action) = node.next_action(self.now) {
            match action {
                Action::Write(id) => {
                    let bytes: Vec<u8> = node.output(id).flatten().copied().collect();
                    node.sent(self.now, id, bytes.len());
                    all.push((id, bytes));
                }
                Action::Close(_, why) => self.closed.push((at, why)),
                Action::Resume(_) => {}
            }
        }
        node.check().unwrap();
        all
    }

    /// Carries what there is to carry until there is nothing.
    fn drive(&mut self) {
        for _ in 0..1000 {
            let mut is_quiet = true;
            for at in 0..self.all.len() {
                for (from, bytes) in self.output(at) {
                    is_quiet = false;
                    let wire = self.wires.iter().find(|wire| wire.contains(&(at, from)));
                    let Some(wire) = wire else { continue };
                    let (to, id) = if wire[0] == (at, from) { wire[1] } else { wire[0] };
                    let taken = self.all[to].receive(self.now, id, &bytes);
                    assert_eq!(taken, bytes.len());
                }
            }
            if is_quiet {
                return;
            }
        }
        panic!("they never stop");
    }

    fn wait(&mut self, ms: u32) {
        self.now = self.now + Duration::from_millis(ms);
        for node in &mut self.all {
            node.tick(self.now);
        }
        self.drive();
    }

    fn client(&mut self, at: usize) -> StationId {
        let id = self.admit(at, Role::Client);
        self.hear(at, id, b"OVERHEAD A b3RoZXI=:d29yZA==\r\n");
        id
    }
}

/// The name and password of `link` in a line.
const LINK: &[u8] = b"OVERHEAD A bGluaw==:d29yZA==\r\n";

#[test]
fn a_link_goes_through_its_stages() {
    let mut nodes = Nodes::new(1);
    let up = nodes.admit(0, Role::Master);
    let stage = |nodes: &Nodes| nodes.all[0].link_stage(up);
    assert_eq!(stage(&nodes), Some(LinkStage::Opening));
    nodes.hear(0, up, b"CLACKS PageCamel 36\r\n");
    nodes.hear(0, up, LINK);
    assert_eq!(stage(&nodes), Some(LinkStage::Known));
    nodes.hear(0, up, b"OVERHEAD L 1\r\nOVERHEAD T 1700000001\r\nKEYSYNC 1600000000 1600000000 S a=1\r\n");
    assert_eq!(stage(&nodes), Some(LinkStage::Receiving));
    nodes.hear(0, up, b"OVERHEAD L 0\r\n");
    assert_eq!(stage(&nodes), Some(LinkStage::Synced));
    nodes.hear(0, up, b"QUIT\r\n");
    assert_eq!(stage(&nodes), None);
}

#[test]
fn a_node_is_not_its_own_master() {
    let mut nodes = Nodes::new(1);
    nodes.link(0, 0);
    nodes.drive();
    nodes.wait(2000);
    assert!(nodes.closed.contains(&(0, Reason::LinkLoop)), "{:?}", nodes.closed);
}

#[test]
fn a_ring_is_found_where_it_is_closed() {
    for order in [[0, 1, 2], [2, 1, 0], [1, 0, 2]] {
        let mut nodes = Nodes::new(3);
        for slave in order {
            nodes.link(slave, (slave + 1) % 3);
            nodes.drive();
        }
        nodes.wait(2000);
        let loops = nodes.closed.iter().filter(|(_, why)| *why == Reason::LinkLoop);
        assert_eq!(loops.collect::<Vec<_>>(), [&(order[2], Reason::LinkLoop)], "{order:?}");
        // all at once: somebody finds out
        let mut nodes = Nodes::new(3);
        for slave in order {
            nodes.link(slave, (slave + 1) % 3);
        }
        nodes.drive();
        nodes.wait(2000);
        assert!(nodes.closed.iter().any(|(_, why)| *why == Reason::LinkLoop), "{order:?}");
    }
}

#[test]
fn a_tree_is_none_also_after_it_has_changed() {
    let mut nodes = Nodes::new(3);
    nodes.link(1, 0);
    let up = nodes.link(2, 1);
    nodes.drive();
    assert_eq!(nodes.closed, []);
    assert_eq!(nodes.all[2].station_name(up), "PageCamel 36 in interclacks master mode", "for people");
    // the middle one loses its master: whoever was uppermost may come in below
    let [(_, up), (_, down)] = nodes.wires.remove(0);
    let now = nodes.now;
    nodes.all[1].closed(now, up);
    nodes.all[0].closed(now, down);
    nodes.drive();
    nodes.link(0, 2);
    nodes.drive();
    assert_eq!(nodes.closed, []);
}

#[test]
fn who_may_not_link_is_told_apart() {
    let ends = |said: &[u8]| {
        let mut nodes = Nodes::new(1);
        let up = nodes.admit(0, Role::Master);
        nodes.hear(0, up, said);
        nodes.wait(2000);
        let why = nodes.closed.first().map(|(_, why)| *why);
        assert_eq!(nodes.all[0].master_end(), why);
        (why, String::from(nodes.all[0].master_said()))
    };
    let refused = Some(Reason::LinkRefused);
    assert_eq!(ends(b"CLACKS x\r\nOVERHEAD F Login failed!\r\n"), (refused, "Login failed!".into()));
    assert_eq!(ends(b"CLACKS x\r\nOVERHEAD E permission_denied\r\n"), (refused, "permission_denied".into()));
    assert_eq!(ends(b"CLACKS x\r\nOVERHEAD E full \x1b[2J\xff\r\n"), (None, "full ?[2J?".into()));
    assert_eq!(ends(b"OVERHEAD A b3RoZXI=:d29yZA==\r\n").0, None, "it may stay, and is of no use");
    assert_eq!(ends(b"OVERHEAD A bGluaw==:d3Jvbmc=\r\n").0, Some(Reason::Credentials));
}

#[test]
fn a_lock_ends() {
    // who locks, and gives signs of life for ever, is given up; so is who sends the same for ever
    for (step, said, least, most) in [
        (5_000, &b"PING\r\n"[..], 60, 66),
        (5_000, b"KEYSYNC 1600000000 1600000000 U a=1\r\n", 600, 606),
        (5_000, b"OVERHEAD L 1\r\nKEYSYNC 1600000000 1600000000 U a=1\r\n", 600, 606),
    ] {
        let mut nodes = Nodes::new(1);
        let client = nodes.client(0);
        let up = nodes.admit(0, Role::Master);
        nodes.hear(0, up, LINK);
        nodes.hear(0, up, b"OVERHEAD L 1\r\n");
        let begun = nodes.now;
        let now = nodes.now;
        assert_eq!(nodes.all[0].receive(now, client, b"FLUSH 1\r\n"), 0, "it is held back");
        while nodes.closed.is_empty() {
            nodes.wait(step);
            if nodes.all[0].link_stage(up).is_some() {
                nodes.hear(0, up, said);
            }
            nodes.wait(2000);
            assert!(nodes.now.since(begun) < Duration::from_secs(700), "it is locked for ever");
        }
        let took = nodes.now.since(begun).millis() / 1000;
        assert!((least..most + 10).contains(&took), "{took} s");
        assert_eq!(nodes.closed, [(0, Reason::Silent)]);
        assert_eq!(nodes.hear(0, client, b"FLUSH 1\r\n"), "FLUSHED 1\r\n");
    }
}

#[test]
fn what_is_counted_in_a_sync_counts_once() {
    let mut nodes = Nodes::new(1);
    let client = nodes.client(0);
    for i in 0..600 {
        nodes.hear(0, client, std::format!("STORE k{i:03}=1\r\n").as_bytes());
    }
    let slave = nodes.admit(0, Role::Client);
    nodes.hear(0, slave, LINK);
    let now = nodes.now;
    // one go of the list ends before the last rows
    let said = b"OVERHEAD I 1\r\n";
    assert_eq!(nodes.all[0].receive(now, slave, said), said.len());
    let said = b"INCREMENT k000\r\nINCREMENT k599\r\nDECREMENT k598=3\r\n";
    assert_eq!(nodes.all[0].receive(now, client, said), said.len());
    let mut told = String::new();
    for _ in 0..20 {
        told += &nodes.turn(0, slave);
    }
    let adds: Vec<&str> = told.lines().filter(|line| line.contains("CREMENT")).collect();
    assert_eq!(adds, ["INCREMENT k000"]);
    let value = |key: &str| told.lines().find_map(|line| line.split_once(&*std::format!(" U {key}=")).map(|(_, v)| v));
    assert_eq!((value("k000"), value("k598"), value("k599")), (Some("1"), Some("-2"), Some("2")));
}

#[test]
fn only_its_own_word_ends_a_link() {
    for others in ["OVERHEAD GF x", "OVERHEAD FI 1", "OVERHEAD FG x"] {
        for welcome in ["", "OVERHEAD O Welcome!\r\n"] {
            let mut nodes = Nodes::new(1);
            let up = nodes.admit(0, Role::Master);
            nodes.hear(0, up, std::format!("{welcome}{others}\r\n").as_bytes());
            nodes.hear(0, up, LINK);
            nodes.hear(0, up, std::format!("{others}\r\n").as_bytes());
            assert_eq!(nodes.all[0].link_stage(up), Some(LinkStage::Known), "{others}");
        }
    }
    let mut nodes = Nodes::new(1);
    let up = nodes.admit(0, Role::Master);
    nodes.hear(0, up, LINK);
    nodes.hear(0, up, b"OVERHEAD O Welcome!\r\nOVERHEAD F x\r\n");
    assert_eq!(nodes.all[0].link_stage(up), Some(LinkStage::Known), "it has let us in before");
    let other = nodes.admit(0, Role::Master);
    nodes.hear(0, other, b"OVERHEAD A b3RoZXI=:d29yZA==\r\n");
    assert_eq!(nodes.all[0].link_stage(other), Some(LinkStage::Useless));
}
