//! A seeded simulation: stations join, leave, speak, break and come back, against a small
//! model of who is a member of what. Everything delivered must be what the model says, no
//! more and no less (D1, D2, D3, D7, D8).
//!
//! A failure prints its seed; `CHAPPE_SEED=n cargo test --test sim` runs that one alone.
//! `CHAPPE_SEEDS=n` runs that many.

use chappe_core::client::Options;
use chappe_core::model::{Answer, Change, Code, Join, Leave, Letter, List, Watch, What};
use chappe_core::router::Rights;
use chappe_core::time::Duration;
use chappe_host_tests::event::Seen;
use chappe_host_tests::msgq::{Frame, result};
use chappe_host_tests::random::Random;
use chappe_host_tests::world::World;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};

const NAMES: [&str; 6] = ["a", "a::b", "a::b::c", "d/e", "d/f", "g"];
const PATTERNS: [&str; 4] = ["*", "a::*", "a::b::*", "d/*"];

/// Which stations are members of what, and exclusively.
#[derive(Default)]
struct Model {
    members: BTreeSet<(usize, &'static str)>,
    exclusive: BTreeMap<&'static str, usize>,
}

impl Model {
    fn hears(&self, s: usize, name: &str) -> bool {
        self.members.iter().any(|&(m, joined)| m == s && chappe_core::name::matches(joined, name))
    }
}

/// Nobody stays away for long.
fn quick() -> Options<'static> {
    Options { name: "s", backoff_max: Duration::from_millis(500), ..Options::default() }
}

fn simulate(seed: u64) {
    let mut random = Random::new(seed);
    let mut w = World::in_pieces(1 + random.below(300));
    let stations: Vec<usize> = (0..5).map(|_| w.station_with(quick(), Rights::ALL)).collect();
    let watcher = w.station("watcher");
    w.watch(watcher, &Watch { members: true, ..Watch::default() });
    let mut model = Model::default();
    // what the watcher knows
    let mut known: BTreeSet<(u64, String)> = BTreeSet::new();
    let mut sent = 0u32;
    for step in 0..150 {
        let at = format!("seed {seed} step {step}");
        let s = stations[random.below(5)];
        match random.below(10) {
            0 | 1 => {
                let all = [&NAMES[..], &PATTERNS[..]].concat();
                let name = all[random.below(all.len())];
                if model.members.contains(&(s, name)) {
                    continue;
                }
                let exclusive = NAMES.contains(&name) && random.below(4) == 0;
                // outcomes of what was said again after a break
                w.take(s);
                w.join_as(s, &Join { seq: 1, name, exclusive, ..Join::default() });
                let code = w.outcomes(s, 1)[0].0;
                let others = model.members.iter().any(|&(_, n)| n == name);
                let taken = model.exclusive.contains_key(name);
                if taken || (exclusive && others) {
                    assert_eq!(
                        code,
                        Code::NameTaken,
                        "{at}: {s} joins {name}, exclusive {exclusive}: {:?} {:?}",
                        model.members,
                        model.exclusive
                    );
                    // the script must not try it again at the next connection
                    w.stations[s].client.leave(&Leave { name, ..Leave::default() }).unwrap();
                    w.drive();
                } else {
                    assert_eq!(code, Code::Ok, "{at}: join {name}");
                    model.members.insert((s, name));
                    if exclusive {
                        model.exclusive.insert(name, s);
                    }
                }
            }
            2 => {
                let name = NAMES[random.below(NAMES.len())];
                w.stations[s].client.leave(&Leave { name, ..Leave::default() }).unwrap();
                w.drive();
                model.members.remove(&(s, name));
                model.exclusive.retain(|n, m| (*n, *m) != (name, s));
            }
            3 => {
                // it comes back with all that it had
                w.unplug(s);
                w.stations[s].allowed = true;
                w.advance(1000);
                assert!(w.stations[s].client.is_ready(), "{at}: not back");
            }
            4 => w.advance(random.below(500) as u32),
            _ => {
                for &s in &stations {
                    w.letters(s);
                }
                let batch = 1 + random.below(5);
                let mut want: Vec<Vec<String>> = vec![Vec::new(); 5];
                for _ in 0..batch {
                    let name = NAMES[random.below(NAMES.len())];
                    let body = sent.to_string();
                    sent += 1;
                    w.stations[s].client.send(&Letter { name, body: body.as_bytes(), ..Letter::default() }).unwrap();
                    for (i, &m) in stations.iter().enumerate() {
                        if m != s && model.hears(m, name) {
                            want[i].push(body.clone());
                        }
                    }
                }
                w.drive();
                for (i, &m) in stations.iter().enumerate() {
                    assert_eq!(w.bodies(m), want[i], "{at}: what station {m} heard of {s}");
                }
            }
        }
        for seen in w.take(watcher) {
            if let Seen::Presence { change, station, name, .. } = seen {
                let new = match change {
                    Change::Joined => known.insert((station, name)),
                    _ => known.remove(&(station, name)),
                };
                assert!(new, "{at}: told twice, or of what was not");
            }
        }
        let truth: BTreeSet<(u64, String)> =
            model.members.iter().map(|&(s, n)| (w.address(s), n.to_string())).collect();
        assert_eq!(known, truth, "{at}: what the watcher knows");
    }
    // and the list says the same
    for name in NAMES {
        w.stations[watcher].client.list(w.now, &List { what: What::Members, name, ..List::default() }).unwrap();
        w.drive();
        let item = |seen| if let Seen::Item { station, .. } = seen { Some(station) } else { None };
        let listed: BTreeSet<u64> = w.take(watcher).into_iter().filter_map(item).collect();
        let truth: BTreeSet<u64> = model.members.iter().filter(|m| m.1 == name).map(|m| w.address(m.0)).collect();
        assert_eq!(listed, truth, "seed {seed}: members of {name}");
    }
    assert!(sent > 50);
}

/// One of the simulated stations, of either dialect.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Who {
    Native(usize),
    Msgq(usize),
}

impl Who {
    fn address(self, w: &World) -> u64 {
        match self {
            Who::Native(s) => w.address(s),
            Who::Msgq(t) => w.talkers[t].id.expect("it is connected").number(),
        }
    }

    fn join(self, w: &mut World, name: &str) {
        match self {
            Who::Native(s) => w.join(s, name),
            Who::Msgq(t) => w.subscribe(t, name),
        }
    }

    fn leave(self, w: &mut World, name: &str) {
        match self {
            Who::Native(s) => {
                w.stations[s].client.leave(&Leave { name, ..Leave::default() }).unwrap();
                w.drive();
            }
            Who::Msgq(t) => w.unsubscribe(t, name),
        }
    }

    fn send(self, w: &mut World, name: &str, value: &str) {
        match self {
            Who::Native(s) => w.send(s, &Letter { name, verb: "SET", body: value.as_bytes(), ..Letter::default() }),
            Who::Msgq(t) => {
                let body = json!({"command": ["SET", {"name": name, "value": value}]});
                w.group_send(t, name, "*", false, &body);
            }
        }
    }

    /// Takes the values that it heard, each with its name; questions are kept in `asked`.
    fn hear(
        self,
        w: &mut World,
        asked: &mut Vec<(Who, Question)>,
        replies: &mut Vec<(Who, i64)>,
    ) -> Vec<(String, String)> {
        let mut values = Vec::new();
        match self {
            Who::Native(s) => {
                for seen in w.take(s) {
                    match seen {
                        Seen::Message(m) if m.ask_id != 0 => asked.push((self, Question::Native(m.ask_id))),
                        Seen::Message(m) => values.push((m.name, String::from_utf8(m.body).unwrap())),
                        Seen::Reply { seq, .. } => replies.push((self, seq as i64)),
                        Seen::Lost { seq, .. } => panic!("call {seq} was lost"),
                        _ => {}
                    }
                }
            }
            Who::Msgq(t) => {
                for f in w.heard(t) {
                    if let Some(reply) = f.header.get("reply") {
                        result(&f);
                        replies.push((self, reply.as_i64().unwrap()));
                    } else if f.header["want_answer"] == json!(true) {
                        asked.push((self, Question::Msgq(f)));
                    } else {
                        let body = f.json();
                        assert_eq!(body["command"][1]["name"], f.header["group"]);
                        let value = body["command"][1]["value"].as_str().expect("a value").to_string();
                        values.push((f.text_of("group").into(), value));
                    }
                }
            }
        }
        values
    }

    /// Asks the members of a name. Returns the number that the answer will have.
    fn ask(self, w: &mut World, name: &str) -> i64 {
        match self {
            Who::Native(s) => w.call(s, &Letter { name, verb: "DO", ..Letter::default() }) as i64,
            Who::Msgq(t) => w.group_send(t, name, "*", true, &json!({"command": ["DO"]})),
        }
    }
}

/// What an answer needs.
enum Question {
    Native(u64),
    Msgq(Frame),
}

/// Stations of both dialects, one model.
fn simulate_both(seed: u64) -> u32 {
    let mut random = Random::new(seed);
    let mut w = World::msgq(|s| s.max_ask = Duration::from_secs(20));
    w.piece = 1 + random.below(300);
    let mut all: Vec<Who> = (0..3).map(|_| Who::Native(w.station_with(quick(), Rights::ALL))).collect();
    all.extend((0..3).map(|_| Who::Msgq(w.talker())));
    let (native_watcher, watcher) = (w.station("watcher"), w.talker());
    w.watch(native_watcher, &Watch { members: true, ..Watch::default() });
    w.subscribe(watcher, "notifications/cc_members");
    w.take(native_watcher);
    w.heard(watcher);
    let mut members: BTreeSet<(Who, &str)> = BTreeSet::new();
    let mut known: BTreeSet<(u64, String)> = BTreeSet::new();
    let mut told: BTreeSet<(String, String)> = BTreeSet::new();
    let (mut asked, mut replies, mut open) = (Vec::new(), Vec::new(), BTreeSet::new());
    let (mut sent, mut answered) = (0u32, 0);
    for step in 0..120 {
        let at = format!("seed {seed} step {step}");
        let i = random.below(all.len());
        let (who, name) = (all[i], NAMES[random.below(NAMES.len())]);
        match random.below(12) {
            0..3 => {
                who.join(&mut w, name);
                members.insert((who, name));
            }
            3 => {
                who.leave(&mut w, name);
                members.remove(&(who, name));
            }
            4 => match who {
                Who::Native(s) => {
                    // it comes back with all that it had, but not with its questions
                    for &w2 in &all {
                        w2.hear(&mut w, &mut asked, &mut replies);
                    }
                    w.unplug(s);
                    w.stations[s].allowed = true;
                    w.advance(1000);
                    w.stations[s].seen.retain(|seen| !matches!(seen, Seen::Lost { .. }));
                    open.retain(|(asker, _)| *asker != who);
                    replies.retain(|(asker, _)| *asker != who);
                    asked.retain(|(callee, _)| *callee != who);
                }
                Who::Msgq(t) => {
                    w.hang_up(t);
                    members.retain(|(m, _)| *m != who);
                    open.retain(|(asker, _)| *asker != who);
                    asked.retain(|(callee, _)| *callee != who);
                    all[i] = Who::Msgq(w.talker());
                }
            },
            5 => w.advance(random.below(2000) as u32),
            6 | 7 => {
                for w2 in all.clone() {
                    w2.hear(&mut w, &mut asked, &mut replies);
                }
                if !asked.is_empty() {
                    let (callee, question) = asked.swap_remove(random.below(asked.len()));
                    match (callee, &question) {
                        (Who::Native(s), Question::Native(ask_id)) => {
                            w.stations[s].client.answer(&Answer { ask_id: *ask_id, ..Answer::default() }).unwrap();
                            w.drive();
                        }
                        (Who::Msgq(t), Question::Msgq(f)) => w.group_reply(t, f, &json!({"result": [0]})),
                        _ => unreachable!("a question in the callee's own dialect"),
                    }
                }
            }
            8 => _ = open.insert((who, who.ask(&mut w, name))),
            _ => {
                for w2 in all.clone() {
                    w2.hear(&mut w, &mut asked, &mut replies);
                }
                let mut want: Vec<Vec<(String, String)>> = vec![Vec::new(); all.len()];
                for _ in 0..1 + random.below(4) {
                    let name = NAMES[random.below(NAMES.len())];
                    who.send(&mut w, name, &sent.to_string());
                    for (k, other) in all.iter().enumerate() {
                        if *other != who && members.contains(&(*other, name)) {
                            want[k].push((name.into(), sent.to_string()));
                        }
                    }
                    sent += 1;
                }
                for (k, other) in all.clone().into_iter().enumerate() {
                    assert_eq!(other.hear(&mut w, &mut asked, &mut replies), want[k], "{at}: what {k} heard of {i}");
                }
            }
        }
        // both kinds of watchers know the truth
        for seen in w.take(native_watcher) {
            if let Seen::Presence { change, station, name, .. } = seen {
                let new = match change {
                    Change::Joined => known.insert((station, name)),
                    _ => known.remove(&(station, name)),
                };
                assert!(new, "{at}: told twice, or of what was not");
            }
        }
        for f in w.heard(watcher) {
            let body = f.json();
            let text = |v: &serde_json::Value| v.as_str().unwrap_or_default().to_string();
            let (client, group) = (text(&body["notification"][1]["client"]), text(&body["notification"][1]["group"]));
            match body["notification"][0].as_str() {
                Some("subscribed") => _ = told.insert((client, group)),
                Some("unsubscribed") => assert!(told.remove(&(client, group)), "{at}: {body}"),
                _ => {}
            }
        }
        let mine = w.talkers[watcher].lname.clone();
        told.retain(|(client, _)| *client != mine);
        let truth: BTreeSet<(u64, String)> = members.iter().map(|&(m, n)| (m.address(&w), n.to_string())).collect();
        let others = |k: &(u64, String)| k.1 != "notifications/cc_members";
        assert_eq!(known.iter().filter(|k| others(k)).cloned().collect::<BTreeSet<_>>(), truth, "{at}");
        // names of stations as text are not known of native ones: their number is what counts
        assert_eq!(told.len(), truth.len(), "{at}: {told:?}");
        for (asker, number) in replies.drain(..) {
            assert!(open.remove(&(asker, number)), "{at}: an answer to {number} that nobody waits for");
            answered += 1;
        }
    }
    w.advance(60_000);
    for who in all {
        who.hear(&mut w, &mut asked, &mut replies);
    }
    for key in replies {
        assert!(open.remove(&key), "seed {seed}: an answer that nobody waits for");
        answered += 1;
    }
    assert!(open.is_empty(), "seed {seed}: {} questions without an answer", open.len());
    assert!(sent > 20);
    answered
}

#[test]
fn both_dialects_are_one_bus() {
    let number = |name: &str| std::env::var(name).ok().and_then(|v| v.parse().ok());
    if let Some(seed) = number("CHAPPE_SEED") {
        simulate_both(seed);
        return;
    }
    let seeds = number("CHAPPE_SEEDS").unwrap_or(40);
    let answered: u32 = (0..seeds).map(simulate_both).sum();
    assert!(answered > 5 * seeds as u32, "only {answered} answers");
}

#[test]
fn what_is_delivered_is_what_the_model_says() {
    let number = |name: &str| std::env::var(name).ok().and_then(|v| v.parse().ok());
    if let Some(seed) = number("CHAPPE_SEED") {
        return simulate(seed);
    }
    for seed in 0..number("CHAPPE_SEEDS").unwrap_or(60) {
        simulate(seed);
    }
}
