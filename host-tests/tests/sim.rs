//! A seeded simulation: stations join, leave, speak, break and come back, against a small
//! model of who is a member of what. Everything delivered must be what the model says, no
//! more and no less (D1, D2, D3, D7, D8). This one has patterns within patterns; all else is in `src/sim`.
//!
//! A failure prints its seed; `CHAPPE_SEED=n cargo test --test sim` runs that one alone.
//! `CHAPPE_SEEDS=n` runs that many.

use chappe_core::client::Options;
use chappe_core::model::{Change, Code, Join, Leave, Letter, List, Watch, What};
use chappe_core::router::Rights;
use chappe_core::time::Duration;
use chappe_host_tests::event::Seen;
use chappe_host_tests::random::Random;
use chappe_host_tests::world::World;
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
