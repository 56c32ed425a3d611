//! D5 in every interleaving that chance finds: askers and callees of both dialects.

use chappe_core::model::{Answer, ClientToServer, Code, Join, Leave, Letter};
use chappe_core::time::Duration;
use chappe_host_tests::event::Seen;
use chappe_host_tests::msgq::{Frame, command};
use chappe_host_tests::random::Random;
use chappe_host_tests::world::World;
use serde_json::json;
use std::collections::BTreeMap;

fn run(seed: u64, tight: bool) -> (usize, usize, usize) {
    let mut random = Random::new(seed);
    let mut w = World::msgq(|s| {
        s.msgq.max_body = 8192;
        if tight {
            s.msgq.outbox = 150_000;
            s.outbox = 14_000;
        }
        s.asks = 200;
        s.ask = Duration::from_secs(10);
        s.max_ask = Duration::from_secs(100);
    });
    w.piece = if random.below(2) == 0 { usize::MAX } else { 1 + random.below(400) };
    let patient = chappe_core::client::Options {
        name: "asker",
        max_frame: 4096,
        call_timeout: Duration::from_secs(100_000),
        ..Default::default()
    };
    let askers: Vec<usize> = (0..2).map(|_| w.station_with(patient, chappe_core::router::Rights::ALL)).collect();
    let natives: Vec<usize> = (0..3).map(|_| w.station("native")).collect();
    let mut m_askers: Vec<usize> = (0..2).map(|_| w.talker()).collect();
    let mut m: Vec<usize> = (0..4).map(|_| w.talker()).collect();
    w.join(askers[0], "s");
    let host = w.talkers[m[0]].lname.split('@').nth(1).unwrap().to_string();
    let mut asked: BTreeMap<(usize, u32), bool> = BTreeMap::new(); // each?
    let mut m_asked: Vec<(usize, i64)> = Vec::new();
    let mut questions: Vec<(usize, Frame)> = Vec::new();
    let mut n_questions: Vec<(usize, u64)> = Vec::new();
    let mut replies: BTreeMap<(usize, i64), Vec<i64>> = BTreeMap::new();
    let collect = |w: &mut World, m_askers: &[usize], replies: &mut BTreeMap<(usize, i64), Vec<i64>>| {
        for &a in m_askers {
            for f in w.heard(a) {
                if let Some(seq) = f.header["reply"].as_i64() {
                    let code = f.json()["result"][0].as_i64().unwrap();
                    replies.entry((a, seq)).or_default().push(code);
                }
            }
        }
    };
    for _ in 0..150 {
        let (i, j) = (random.below(4), random.below(3));
        let inst = ["*", "i", "k"][random.below(3)];
        match random.below(22) {
            0 | 1 => {
                let t = m[i];
                if w.talkers[t].id.is_some() {
                    w.say(t, &json!({"type": "subscribe", "group": "s", "instance": inst}), b"");
                }
            }
            2 => {
                let t = m[i];
                if w.talkers[t].id.is_some() {
                    w.say(t, &json!({"type": "unsubscribe", "group": "s", "instance": inst}), b"");
                }
            }
            3 => {
                let t = m[i];
                w.hang_up(t);
                m[i] = w.talker();
                questions.retain(|(q, _)| *q != t);
            }
            4 => {
                if random.below(3) == 0 {
                    w.unplug(natives[j]);
                    w.stations[natives[j]].allowed = true;
                    w.advance(3000);
                    n_questions.retain(|(q, _)| *q != natives[j]);
                }
            }
            5 => w.join_as(natives[j], &Join { name: "s", instance: inst, ..Join::default() }),
            6 => {
                let _ = w.stations[natives[j]].client.leave(&Leave { name: "s", instance: inst, ..Leave::default() });
                w.drive();
            }
            7 => {
                let t = m[i];
                if w.talkers[t].reads {
                    w.talkers[t].reads = false;
                } else {
                    w.talker_reads_again(t);
                }
            }
            8 => {
                let n = natives[j];
                if w.stations[n].reads {
                    w.stations[n].reads = false;
                } else {
                    w.read_again(n);
                }
            }
            9 => {
                let k = random.below(4000) as u32;
                w.advance(k);
            }
            10..=12 => {
                let a = askers[random.below(2)];
                let each = random.below(3) > 0;
                let size = [3, 1500, 3900][random.below(3)];
                let body = vec![b'"'; size];
                let l = Letter {
                    name: "s",
                    instance: inst,
                    ask: true,
                    each,
                    verb: "DO",
                    body: &body,
                    ttl_ms: [0, 500, 20_000][random.below(3)],
                    ..Letter::default()
                };
                let now = w.now;
                if let Ok(seq) = w.stations[a].client.request(now, &ClientToServer::Send(l)) {
                    asked.insert((a, seq), each);
                }
                w.drive();
            }
            13..=15 => {
                let a = m_askers[random.below(2)];
                if w.talkers[a].id.is_none() {
                    continue;
                }
                let to = match random.below(4) {
                    0 => w.talkers[m[i]].lname.clone(),
                    1 => w.stations[natives[j]]
                        .id
                        .map_or("gone".into(), |id| format!("5f3759df_{:x}@{host}", id.number())),
                    _ => "*".into(),
                };
                let size = [1, 3000, 8000][random.below(3)];
                let seq = w.group_send(
                    a,
                    ["s", "t"][random.below(8) / 7],
                    &to,
                    true,
                    &command("do", json!("x".repeat(size))),
                );
                m_asked.push((a, seq));
            }
            16 => {
                // an asker goes
                if random.below(6) == 0 {
                    let k = random.below(2);
                    let a = m_askers[k];
                    collect(&mut w, &[a], &mut replies);
                    w.hang_up(a);
                    m_asked.retain(|(x, _)| *x != a);
                    m_askers[k] = w.talker();
                }
            }
            _ => {
                for t in m.clone() {
                    let heard = w.heard(t);
                    questions
                        .extend(heard.into_iter().filter(|f| f.header["want_answer"] == json!(true)).map(|f| (t, f)));
                }
                for n in natives.clone() {
                    let l = w.letters(n);
                    n_questions.extend(l.into_iter().filter(|l| l.ask_id != 0).map(|l| (n, l.ask_id)));
                }
                for _ in 0..random.below(4).min(questions.len()) {
                    let (t, q) = questions.swap_remove(random.below(questions.len()));
                    if w.talkers[t].id.is_none() {
                        continue;
                    }
                    let size = [1, 3000, 8000][random.below(3)];
                    let by = if random.below(8) == 0 { m[random.below(4)] } else { t };
                    if w.talkers[by].id.is_none() || (by != t && q.text_of("from").ends_with('x')) {
                        continue;
                    }
                    if by == t {
                        w.group_reply(t, &q, &json!({"result": [0, "y".repeat(size)]}));
                        if std::env::var_os("AGAIN").is_some() && random.below(4) == 0 && w.talkers[t].id.is_some() {
                            w.group_reply(t, &q, &json!({"result": [0, "again"]}));
                        }
                    } else {
                        questions.push((t, q));
                    }
                }
                for _ in 0..random.below(4).min(n_questions.len()) {
                    let (n, ask_id) = n_questions.swap_remove(random.below(n_questions.len()));
                    let body = vec![b'z'; [1, 1000, 3900][random.below(3)]];
                    for _ in 0..1 + random.below(2) {
                        let _ = w.stations[n].client.answer(&Answer { ask_id, body: &body, ..Answer::default() });
                    }
                    w.drive();
                }
            }
        }
        collect(&mut w, &m_askers, &mut replies);
    }
    for &n in &natives {
        w.read_again(n);
    }
    w.advance(400_000);
    collect(&mut w, &m_askers, &mut replies);
    let (mut ok, mut node, mut many) = (0, 0, 0);
    for (a, seq) in m_asked {
        if w.talkers[a].id.is_none() {
            continue;
        }
        let got = replies.get(&(a, seq)).cloned().unwrap_or_default();
        assert_eq!(got.len(), 1, "seed {seed}: msgq {a} question {seq}: {got:?}");
        if got[0] == 0 { ok += 1 } else { node += 1 }
    }
    for ((a, seq), each) in asked {
        let seen = &w.stations[a].seen;
        if seen.iter().any(|s| matches!(s, Seen::Disconnected { .. })) || !w.stations[a].closed.is_empty() {
            continue;
        }
        let outcomes: Vec<(Code, u32)> = seen
            .iter()
            .filter_map(|s| match s {
                Seen::Outcome { seq: n, code, count, .. } if *n == seq => Some((*code, *count)),
                _ => None,
            })
            .collect();
        let replies: Vec<(Code, u64)> = seen
            .iter()
            .filter_map(|s| match s {
                Seen::Reply { seq: n, code, station, .. } if *n == seq => Some((*code, *station)),
                _ => None,
            })
            .collect();
        if each {
            assert_eq!(outcomes.len(), 1, "seed {seed}: {outcomes:?}");
            assert_eq!(outcomes[0].1 as usize, replies.len(), "seed {seed}: {a} {seq} {outcomes:?} {replies:?}");
            let mut who: Vec<u64> = replies.iter().map(|r| r.1).collect();
            who.sort();
            who.dedup();
            assert_eq!(who.len(), replies.len());
            many += replies.len();
        } else {
            assert_eq!((outcomes.len(), replies.len()), (0, 1), "seed {seed}: {outcomes:?} {replies:?}");
        }
    }
    let requests = w.router.usage().into_iter().find(|u| u.name == "requests").unwrap();
    assert_eq!(requests.used, 0, "seed {seed}");
    (ok, node, many)
}

/// `SEED` and `SEEDS` in the environment say where to begin and how many to try.
#[test]
fn d5_every_question_of_either_dialect_is_answered_once_in_any_muddle() {
    let number = |name: &str, usual| std::env::var(name).map_or(usual, |n| n.parse().expect("a number"));
    let (from, seeds) = (number("SEED", 0), number("SEEDS", 60));
    let mut answered = [0; 3];
    for seed in from..from + seeds {
        let (callee, node, each) = run(seed, seed % 2 == 0);
        for (sum, n) in answered.iter_mut().zip([callee, node, each]) {
            *sum += n;
        }
    }
    assert!(seeds < 60 || answered.iter().all(|n| *n > 100), "too little happens: {answered:?}");
}
