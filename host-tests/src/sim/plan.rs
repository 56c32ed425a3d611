//! What happens in one run, as a list that was made before anything runs.
//!
//! Owns: the operations, the setup, and how both come out of a seed. Because the list is explicit and the
//! run itself has no random numbers, a run without some of its operations is a run, too: see `shrink.rs`.

use crate::random::Random;
use chappe_core::model::What;
use chappe_core::router::store::Keeping;

/// Names that are joined and sent to.
pub const NAMES: [&str; 7] = ["a", "a::b", "a::c", "d", "x", "y::z", "./TICK"];
/// Stations that join `mail`: few, so that often nobody has.
const MAIL: [usize; 4] = [1, 4, 5, 6];
/// What stations of the Communicator announce.
pub const COMMANDS: [&str; 3] = ["TICK", "TOCK", "STATUS"];
/// What is joined, too: everything below `a`.
pub const PATTERN: &str = "a::*";
/// Where stations of MSGQ are told who comes and goes.
pub const NOTICES: &str = "notifications/cc_members";
/// Instances of a membership.
pub const INSTANCES: [&str; 3] = ["*", "*", "i"];
/// Names of values. The first is also the name of messages.
pub const KEYS: [&str; 4] = ["a", "k1", "k2", "k3"];
/// Names of flags. The last cannot be one.
pub const FLAGS: [&str; 6] = ["hot", "hot", "cold", "low", "high", "a/b"];
/// The name of a value that only counting changes.
pub const COUNTER: &str = "n";

/// What a station speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names of dialects")]
pub enum Speech {
    Native,
    Msgq,
    Clacks,
    Communicator,
}

impl Speech {
    /// What the core calls the dialect.
    pub fn dialect(self) -> &'static str {
        match self {
            Speech::Native => "messi",
            Speech::Msgq => "msgq",
            Speech::Clacks => "clacks",
            Speech::Communicator => "communicator",
        }
    }
}

/// One station.
#[derive(Debug, Clone, Copy)]
pub struct Seat {
    /// What it speaks.
    pub speech: Speech,
    /// The node it connects to.
    pub node: usize,
    /// Milliseconds that octets are under way.
    pub delay: u64,
    /// Octets that arrive together.
    pub segment: usize,
    /// Octets that may be under way and unread towards it.
    pub window: usize,
}

/// What there is at the beginning.
#[derive(Debug, Clone)]
pub struct Setup {
    /// How many nodes.
    pub nodes: usize,
    /// Slave and master of each link.
    pub links: Vec<(usize, usize)>,
    /// The stations.
    pub seats: Vec<Seat>,
    /// Values survive a crash as far as they are on the disk.
    pub durable: bool,
    /// Tables and memory are small.
    pub tight: bool,
    /// The calendars of nodes are set forward and back.
    pub clock_steps: bool,
    /// A station of each node's own monitors all others.
    pub monitored: bool,
    /// What half of what happens is about, so that what takes several things in a row comes about.
    pub theme: Theme,
}

/// What a run is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "they are what they say")]
pub enum Theme {
    Anything,
    Mail,
    Questions,
    Values,
    Services,
}

/// How a station takes what comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "they are what they say")]
pub enum Reading {
    All,
    Slowly,
    Nothing,
}

/// One thing that happens. `s` is a station, `n` a node.
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "each is what a station says, or what befalls the network or a node")]
pub enum Op {
    Join { s: usize, name: &'static str, instance: &'static str, exclusive: bool },
    Leave { s: usize, name: &'static str, instance: &'static str },
    Send { s: usize, name: &'static str, instance: &'static str, count: usize, size: usize, numbered: bool },
    SendTo { s: usize, to: usize },
    SendToStale { s: usize },
    Everyone { s: usize },
    Mail { s: usize, ttl: u32 },
    Ask { s: usize, name: &'static str, each: bool, ttl: u32 },
    AskStation { s: usize, to: usize, ttl: u32 },
    Answer { s: usize, which: usize, times: usize, size: usize },
    Set { s: usize, key: &'static str, size: usize, announce: bool },
    Remove { s: usize, key: &'static str },
    Get { s: usize, key: &'static str },
    Add { s: usize, amount: i64 },
    Flush { s: usize },
    Watch { s: usize, stations: bool, members: bool, flags: bool, name: &'static str },
    Flag { s: usize, raise: bool, name: &'static str, priority: u32, manual: bool, by_hand: bool },
    List { s: usize, what: What, name: &'static str },
    Clear { s: usize },
    Declare { s: usize, forget: bool },
    Read { s: usize, how: Reading },
    Segment { s: usize, octets: usize },
    Unplug { s: usize },
    HalfOpen { s: usize },
    Goodbye { s: usize },
    Garbage { n: usize, kind: usize, seed: u64 },
    Silent { n: usize },
    Crowd { n: usize, count: usize },
    Crash { n: usize },
    Restart { n: usize },
    Disk { n: usize },
    DiskIs { n: usize, how: Keeping },
    Calendar { n: usize, seconds: i64 },
    Sleep { ms: u32 },
    Unlink { l: usize, ms: u64 },
    HalfLink { l: usize },
}

impl Op {
    /// The station that does it, if one does.
    pub fn station(&self) -> Option<usize> {
        match *self {
            Op::Join { s, .. }
            | Op::Leave { s, .. }
            | Op::Send { s, .. }
            | Op::SendTo { s, .. }
            | Op::SendToStale { s }
            | Op::Everyone { s }
            | Op::Mail { s, .. }
            | Op::Ask { s, .. }
            | Op::AskStation { s, .. }
            | Op::Answer { s, .. }
            | Op::Set { s, .. }
            | Op::Remove { s, .. }
            | Op::Get { s, .. }
            | Op::Add { s, .. }
            | Op::Flush { s }
            | Op::Watch { s, .. }
            | Op::Declare { s, .. }
            | Op::Flag { s, .. }
            | Op::List { s, .. }
            | Op::Clear { s }
            | Op::Goodbye { s } => Some(s),
            _ => None,
        }
    }

    /// The word for it, for counting.
    pub fn word(&self) -> String {
        let text = format!("{self:?}");
        text.split(' ').next().unwrap_or_default().to_string()
    }
}

/// An operation and the time that passes after it.
#[derive(Debug, Clone)]
pub struct Step {
    /// What happens.
    pub op: Op,
    /// Milliseconds until the next.
    pub pause: u32,
}

/// A whole run.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Where it comes from.
    pub seed: u64,
    /// The beginning.
    pub setup: Setup,
    /// What happens, by its place in the list.
    pub steps: Vec<(usize, Step)>,
}

impl Plan {
    /// The run of a seed.
    pub fn new(seed: u64, steps: usize) -> Self {
        let mut random = Random::new(seed);
        let setup = setup(&mut random);
        let begin = beginning(&mut random, &setup);
        let mut all = begin;
        while all.len() < steps {
            match random.below(24) {
                0 => all.extend(scene(&mut random, &setup).into_iter().map(|op| Step { op, pause: 60 })),
                _ => all.push(step(&mut random, &setup)),
            }
        }
        Plan { seed, setup, steps: all.into_iter().enumerate().collect() }
    }

    /// As much of it as is in `only`.
    pub fn only(&self, only: &[usize]) -> Self {
        let steps = self.steps.iter().filter(|(i, _)| only.contains(i)).cloned().collect();
        Plan { steps, ..self.clone() }
    }

    /// The most lives that its nodes have: one each, and one for each restart.
    pub fn lives(&self) -> usize {
        self.setup.nodes + self.steps.iter().filter(|(_, s)| matches!(s.op, Op::Crash { .. })).count()
    }
}

fn setup(random: &mut Random) -> Setup {
    let nodes = [1, 1, 2, 3, 3][random.below(5)];
    let links = (1..nodes).map(|slave| (slave, random.below(slave))).collect();
    let seats = (0..9)
        .map(|i| Seat {
            speech: match i {
                0..4 => Speech::Native,
                4 | 5 => [Speech::Msgq, Speech::Clacks][i - 4],
                6 | 7 => Speech::Communicator,
                _ => [Speech::Native, Speech::Msgq, Speech::Clacks, Speech::Communicator][random.below(4)],
            },
            node: random.below(nodes),
            delay: [0, 1, 5, 40][random.below(4)],
            segment: [1, 7, 100, 100_000, 100_000][random.below(5)],
            window: [500, 4000, 60_000][random.below(3)],
        })
        .collect();
    let (durable, tight, clock_steps) = (random.below(2) == 0, random.below(3) == 0, random.below(2) == 0);
    let theme = [Theme::Anything, Theme::Mail, Theme::Questions, Theme::Values, Theme::Services][random.below(5)];
    let durable = durable || theme == Theme::Mail && random.below(2) == 0;
    Setup { nodes, links, seats, durable, tight, clock_steps, monitored: random.below(2) == 0, theme }
}

/// Most have joined something, somebody watches, mail is declared.
fn beginning(random: &mut Random, setup: &Setup) -> Vec<Step> {
    let mut ops = vec![Op::Watch { s: 0, stations: true, members: true, flags: true, name: "" }];
    ops.push(Op::Declare { s: random.below(4), forget: false });
    for s in 0..setup.seats.len() {
        let is_line = setup.seats[s].speech == Speech::Communicator;
        for i in 0..2 {
            // what a service is called, others have rarely joined
            let name = if is_line && i == 0 { NAMES[3 + random.below(3)] } else { NAMES[random.below(4)] };
            ops.push(Op::Join { s, name, instance: "*", exclusive: false });
        }
    }
    ops.into_iter().map(|op| Step { op, pause: 5 }).collect()
}

fn step(random: &mut Random, setup: &Setup) -> Step {
    let pause = [0, 0, 1, 10, 50, 300, 2000][random.below(7)];
    let themed = random.below(2) == 0;
    let op = match setup.theme {
        Theme::Mail if themed => about_mail(random, setup),
        Theme::Questions if themed => about_questions(random, setup),
        Theme::Values if themed => about_values(random, setup),
        Theme::Services if themed => about_services(random, setup),
        _ => op(random, setup),
    };
    Step { op, pause }
}

/// What rarely comes about by single operations of chance.
fn scene(random: &mut Random, setup: &Setup) -> Vec<Op> {
    let (s, other) = (random.below(setup.seats.len()), random.below(setup.seats.len()));
    let (name, key) = (NAMES[3 + random.below(3)], KEYS[random.below(KEYS.len())]);
    match random.below(4) {
        // a service is asked, and answers in one way or another
        0 => {
            let s = 6 + random.below(3);
            let join = Op::Join { s, name, instance: "*", exclusive: true };
            let ask = Op::Ask { s: other, name, each: false, ttl: 8000 };
            vec![join, ask, Op::Answer { s, which: random.below(4), times: 1 + random.below(2), size: 5 }]
        }
        // much waits for one that goes
        1 => vec![
            Op::Join { s, name, instance: "*", exclusive: false },
            Op::Read { s, how: Reading::Nothing },
            Op::Send { s: other, name, instance: "*", count: 10, size: 800, numbered: false },
            Op::Unplug { s },
            Op::Read { s, how: Reading::All },
        ],
        // a value goes with all others
        2 => vec![Op::Set { s: other, key, size: 5, announce: false }, Op::Clear { s: 5 }, Op::Get { s, key }],
        // mail finds who it is for
        _ => vec![
            Op::Declare { s: other, forget: false },
            Op::Leave { s: MAIL[random.below(MAIL.len())], name: "mail", instance: "*" },
            Op::Mail { s, ttl: 60_000 },
            Op::Join { s: MAIL[random.below(MAIL.len())], name: "mail", instance: "*", exclusive: false },
            Op::Leave { s: MAIL[random.below(MAIL.len())], name: "mail", instance: "*" },
        ],
    }
}

fn about_mail(random: &mut Random, setup: &Setup) -> Op {
    let (s, n) = (random.below(setup.seats.len()), random.below(setup.nodes));
    match random.below(16) {
        0..6 => Op::Mail { s, ttl: [2000, 20_000, 60_000][random.below(3)] },
        6..8 => Op::Declare { s, forget: random.below(8) == 0 },
        8..10 => Op::Join { s: MAIL[random.below(4)], name: "mail", instance: "*", exclusive: false },
        10..13 => Op::Leave { s: MAIL[random.below(4)], name: "mail", instance: "*" },
        13 => Op::Crash { n },
        _ => Op::Disk { n },
    }
}

/// Services of the Communicator, and what others do with their names.
fn about_services(random: &mut Random, setup: &Setup) -> Op {
    let (s, any) = (6 + random.below(3), random.below(setup.seats.len()));
    let name = NAMES[3 + random.below(3)];
    match random.below(16) {
        0..4 => Op::Join { s, name, instance: "*", exclusive: true },
        4 => Op::Join { s, name: NAMES[random.below(3)], instance: "*", exclusive: false },
        5 => Op::Join { s: any, name, instance: INSTANCES[random.below(3)], exclusive: random.below(3) == 0 },
        6..8 => Op::Leave { s: any, name, instance: "*" },
        8 => Op::Leave { s, name, instance: "*" },
        9 => Op::Send { s: any, name: NAMES[6], instance: "*", count: 1 + random.below(3), size: 5, numbered: false },
        10 => Op::Send { s: any, name, instance: "*", count: 1 + random.below(3), size: 5, numbered: true },
        11 => Op::Everyone { s },
        12 => Op::Ask { s: any, name, each: false, ttl: 2000 },
        13 => Op::Answer { s, which: random.below(4), times: 1 + random.below(4) / 3, size: 5 },
        14 => Op::Remove { s, key: KEYS[0] },
        _ => Op::Declare { s, forget: false },
    }
}

fn about_questions(random: &mut Random, setup: &Setup) -> Op {
    let (s, to) = (random.below(setup.seats.len()), random.below(setup.seats.len()));
    let (name, ttl) = (NAMES[random.below(NAMES.len())], [300, 2000, 8000][random.below(3)]);
    match random.below(16) {
        0..6 => Op::Ask { s, name, each: random.below(3) == 0, ttl },
        6 => Op::AskStation { s, to, ttl },
        7..11 => Op::Answer { s, which: random.below(4), times: 1 + random.below(4) / 3, size: 5 },
        11..13 => Op::Join { s, name, instance: "*", exclusive: false },
        13 => Op::Leave { s, name, instance: "*" },
        14 => Op::Unplug { s },
        _ => Op::Goodbye { s },
    }
}

fn about_values(random: &mut Random, setup: &Setup) -> Op {
    let (s, n) = (random.below(setup.seats.len()), random.below(setup.nodes));
    let (key, size) = (KEYS[random.below(KEYS.len())], [0, 20, 200][random.below(3)]);
    match random.below(16) {
        0..5 => Op::Set { s, key, size, announce: random.below(3) == 0 },
        5..7 => Op::Remove { s, key },
        7..9 => Op::Get { s, key },
        9..11 => Op::Add { s, amount: 1 + random.below(9) as i64 },
        11 => Op::Flush { s },
        12 | 13 => Op::Disk { n },
        14 => Op::Crash { n },
        _ => match setup.links.len() {
            0 => Op::Restart { n },
            links => Op::Unlink { l: random.below(links), ms: [500, 20_000][random.below(2)] },
        },
    }
}

fn op(random: &mut Random, setup: &Setup) -> Op {
    let s = random.below(setup.seats.len());
    let to = random.below(setup.seats.len());
    let n = random.below(setup.nodes);
    let is_line = setup.seats[s].speech == Speech::Communicator;
    let all = NAMES[random.below(NAMES.len())];
    // what a service is called, others have rarely joined
    let few = if is_line || random.below(12) == 0 { all } else { NAMES[random.below(4)] };
    let instance = INSTANCES[random.below(3)];
    let for_mail = MAIL[random.below(4)];
    let key = KEYS[random.below(KEYS.len())];
    let size = [0, 0, 20, 200, 800][random.below(5)];
    let ttl = [300, 2000, 8000][random.below(3)];
    match random.below(112) {
        0..12 if random.below(8) == 0 => Op::Join { s, name: PATTERN, instance: "*", exclusive: false },
        0..2 => Op::Join { s: for_mail, name: "mail", instance: "*", exclusive: false },
        2..12 => Op::Join { s, name: few, instance, exclusive: random.below(6) == 0 },
        12..15 => Op::Leave { s, name: few, instance },
        15..19 => Op::Leave { s: for_mail, name: "mail", instance: "*" },
        19..33 => {
            let count = [1, 1, 2, 5, 20][random.below(5)];
            Op::Send { s, name: all, instance: "*", count, size, numbered: random.below(3) == 0 }
        }
        33 => Op::Send { s, name: all, instance: "i", count: 1, size, numbered: true },
        34..36 => Op::SendTo { s, to },
        36..38 => Op::SendToStale { s },
        39 => Op::Everyone { s },
        38 | 40..43 => Op::Mail { s, ttl: [500, 5000, 60_000][random.below(3)] },
        43..48 => Op::Ask { s, name: all, each: random.below(3) == 0, ttl },
        48..50 => Op::AskStation { s, to, ttl },
        50..60 => Op::Answer { s, which: random.below(4), times: 1 + random.below(4) / 3, size },
        60..66 => Op::Set { s, key, size, announce: random.below(3) == 0 },
        66..68 => Op::Remove { s, key },
        68..71 => Op::Get { s, key },
        71..73 => Op::Add { s, amount: 1 + random.below(9) as i64 },
        73 | 74 => Op::Flush { s },
        75..77 => {
            let one = random.below(3) == 0;
            let flags = !one && random.below(2) == 0;
            Op::Watch { s, stations: !one, members: true, flags, name: if one { all } else { "" } }
        }
        77 => Op::Declare { s, forget: random.below(4) == 0 },
        78..81 => Op::Read { s, how: [Reading::All, Reading::All, Reading::Slowly, Reading::Nothing][random.below(4)] },
        81 => Op::Segment { s, octets: [1, 3, 50, 100_000][random.below(4)] },
        82..85 => Op::Unplug { s },
        85 => Op::HalfOpen { s },
        86 => Op::Goodbye { s },
        87..89 => Op::Garbage { n, kind: random.below(4), seed: random.next() },
        89 => Op::Silent { n },
        90 if random.below(2) == 0 => Op::Crowd { n, count: 1 + random.below(8) },
        90 | 91 if random.below(2) == 0 => Op::Crash { n },
        90 | 91 => Op::Answer { s, which: 0, times: 1, size },
        92..95 => Op::Restart { n },
        95 => Op::Disk { n },
        96 if setup.clock_steps => Op::Calendar { n, seconds: [-3600, -1, 1, 3600][random.below(4)] },
        96 | 97 => Op::Sleep { ms: [3000, 12_000, 70_000][random.below(3)] },
        98 => match setup.links.len() {
            0 => Op::Get { s, key },
            links => Op::Unlink { l: random.below(links), ms: [500, 20_000][random.below(2)] },
        },
        99 => match setup.links.len() {
            0 => Op::Add { s, amount: -1 },
            links => Op::HalfLink { l: random.below(links) },
        },
        100..104 => Op::Flag {
            s,
            raise: random.below(3) > 0,
            name: FLAGS[random.below(FLAGS.len())],
            priority: 10 * random.below(12) as u32,
            manual: random.below(4) == 0,
            by_hand: random.below(2) == 0,
        },
        // somebody of Clacks
        104 if random.below(3) == 0 => Op::Clear { s: 5 },
        108..110 => match random.below(3) {
            0 => Op::Join { s, name: NOTICES, instance: "*", exclusive: false },
            1 => Op::Join { s: [4, 6][random.below(2)], name: NOTICES, instance: "*", exclusive: false },
            _ => Op::Leave { s, name: NOTICES, instance: "*" },
        },
        104..108 => {
            let what = [What::Stations, What::Names, What::Members, What::Values, What::Flags][random.below(5)];
            let name = match what {
                What::Members => all,
                What::Stations => "",
                What::Flags => ["", "u/s/h"][random.below(2)],
                _ => ["", "a"][random.below(2)],
            };
            Op::List { s, what, name }
        }
        _ => {
            let how = [Keeping::Disk, Keeping::Disk, Keeping::Behind, Keeping::Failing][random.below(4)];
            Op::DiskIs { n, how }
        }
    }
}
