//! Linked servers of Net::Clacks (`wire/clacks.md` section 12) that lose each other: what each still does, and
//! what both have when they meet again.

use chappe_host_tests::clacks::host::Host;
use chappe_host_tests::clacks::net::{Net, pairs, two};
use chappe_host_tests::clacks::plain::{Habits, Plain, Times};
use chappe_host_tests::clacks::users::User;
use chappe_host_tests::clacks::wire::Sync;
use chappe_host_tests::clacks::{Kind, each_pair, each_with};
use chappe_host_tests::random::Random;

#[test]
fn a_slave_serves_while_its_master_is_away() {
    each_pair(|master, slave| {
        let (mut net, m, s) = two(master, slave);
        let s2 = net.client(1, User::Rw);
        net.tell(0, m, "STORE a=1");
        net.tell(0, m, "STORE b=1");
        let link = net.link(1, 0);
        net.tell(1, s2, "LISTEN x");
        net.cut(link);
        net.wait(5_000);
        net.tell(1, s, "SET x=alone");
        assert_eq!(net.told(1, s2), ["SET x=alone"]);
        assert_eq!(net.store(1, s), pairs(&[("a", "1"), ("b", "1")]), "nothing is dropped (section 12.5)");
        net.tell(1, s, "STORE a=2");
        net.tell(1, s, "REMOVE b");
        net.tell(0, m, "STORE c=3");
        net.wait(1_000);
        // several times, and nothing is doubled
        for _ in 0..3 {
            let link = net.link(1, 0);
            assert_eq!(net.store(0, m), pairs(&[("a", "2"), ("c", "3")]));
            assert_eq!(net.store(1, s), pairs(&[("a", "2"), ("c", "3")]));
            assert_eq!(net.told(1, s2), [""; 0], "KEYSYNC makes no signal");
            net.cut(link);
            net.wait(1_000);
        }
        // what both changed while they were apart: the later one counts
        net.tell(1, s, "STORE a=slave");
        net.wait(10);
        net.tell(0, m, "STORE a=master");
        net.tell(0, m, "STORE c=master");
        net.wait(10);
        net.tell(1, s, "STORE c=slave");
        net.wait(10);
        net.link(1, 0);
        for (h, c) in [(0, m), (1, s)] {
            assert_eq!(net.store(h, c), pairs(&[("a", "master"), ("c", "slave")]), "server {h}");
        }
    });
}

#[test]
fn an_empty_master_gets_all_back() {
    each_pair(|master, slave| {
        let (mut net, m, s) = two(master, slave);
        net.tell(0, m, "STORE a=1");
        net.tell(0, m, "STORE b=2");
        let link = net.link(1, 0);
        net.cut(link);
        net.hosts[0] = master.host();
        let now = net.hosts[1].now();
        net.hosts[0].pass(now);
        let m = net.client(0, User::Main);
        assert_eq!(net.store(0, m), []);
        net.link(1, 0);
        assert_eq!(net.store(0, m), pairs(&[("a", "1"), ("b", "2")]));
        assert_eq!(net.store(1, s), pairs(&[("a", "1"), ("b", "2")]));
    });
}

#[test]
fn an_original_that_repeats_everything_does_not_harm_us() {
    // weak points 1, 19 and 20: such a slave, and such a master
    for slave_is_ours in [false, true] {
        let mut original = Plain::default();
        original.habits = Habits { raw_times: true, echoes: true, forwards_denied: true };
        let hosts: Vec<Box<dyn Host>> = match slave_is_ours {
            true => vec![Box::new(original), Kind::Ours.host()],
            false => vec![Kind::Ours.host(), Box::new(original)],
        };
        let mut net = Net::new(hosts);
        let (m, s) = (net.client(0, User::Main), net.client(1, User::Main));
        for i in 0..20 {
            net.tell(0, m, &format!("STORE m{i}=1"));
            net.tell(1, s, &format!("STORE s{i}=1"));
        }
        for round in 0..4 {
            let link = net.begin_link(1, 0);
            // what is on its way takes time, so what comes back seems later
            for _ in 0..30 {
                net.tick(7);
                net.pump();
            }
            net.drive();
            net.tell(0, m, &format!("STORE m0=round {round}"));
            net.tell(1, s, &format!("STORE s0=round {round}"));
            let mut all = net.store(0, m);
            assert_eq!(all, net.store(1, s));
            assert_eq!(all.len(), 40);
            all.retain(|(_, v)| v.starts_with("round"));
            assert_eq!(all, pairs(&[("m0", &format!("round {round}")), ("s0", &format!("round {round}"))]));
            net.cut(link);
            net.wait(100);
        }
    }
}

#[test]
fn a_value_that_comes_back_unchanged_is_not_newer() {
    // section 12.5: a new master should not count it, so what it changed in the meantime stays
    let mut h = Kind::Ours.host();
    let h = &mut *h;
    let main = h.client(User::Main);
    h.tell(main, "STORE k=1");
    let (link, keys) = h.linked();
    let sync = Sync::read(keys[0].as_bytes());
    // it comes back a second later in time, as it does from an original that is slow
    let later = format!(
        "KEYSYNC {}.{:06} {}.0 U k=1",
        sync.modified / 1_000_000 + 1,
        sync.modified % 1_000_000,
        sync.modified / 1_000_000 + 1
    );
    h.tell(link, &later);
    h.wait(500);
    h.tell(main, "STORE k=2");
    assert_eq!(h.value(main, "k").as_deref(), Some("2"));
    let (_, keys) = h.linked();
    let now = Sync::read(keys[0].as_bytes());
    assert_eq!(now.value, b"2");
    assert!(now.modified < sync.modified + 1_000_000, "its time is that of the change");
}

#[test]
fn d10_a_change_of_what_came_from_a_clock_ahead_crosses() {
    // it counts as later than what it replaces, by however little: that must not be lost on the way
    each_pair(|master, slave| {
        for changed_in in [0, 1] {
            let (mut net, m, s) = two(master, slave);
            net.tell(0, m, "KEYSYNC 4000000000 4000000000 U k=ahead");
            let link = net.link(1, 0);
            assert_eq!(net.store(1, s), pairs(&[("k", "ahead")]));
            net.cut(link);
            net.tick(10);
            let (h, c) = [(0, m), (1, s)][changed_in];
            for i in 0..3 {
                net.tell(h, c, &format!("STORE k=changed {i}"));
            }
            net.tick(10);
            let link = net.link(1, 0);
            assert_eq!(net.store(0, m), pairs(&[("k", "changed 2")]), "changed in {changed_in}");
            assert_eq!(net.store(1, s), pairs(&[("k", "changed 2")]), "changed in {changed_in}");
            net.cut(link);
            net.tick(10);
            net.tell(h, c, "REMOVE k");
            net.link(1, 0);
            assert_eq!(net.store(0, m), [], "changed in {changed_in}");
            assert_eq!(net.store(1, s), [], "changed in {changed_in}");
        }
    });
}

#[test]
fn a_cleared_store_comes_back_from_who_was_away() {
    // section 12.3: no marks are left
    each_pair(|master, slave| {
        let (mut net, m, s) = two(master, slave);
        let link = net.link(1, 0);
        net.tell(0, m, "STORE a=1");
        net.cut(link);
        net.tell(0, m, "CLEARCACHE");
        net.wait(100);
        net.link(1, 0);
        assert_eq!(net.store(0, m), pairs(&[("a", "1")]));
        assert_eq!(net.store(1, s), pairs(&[("a", "1")]));
    });
}

#[test]
fn deletions_survive_a_separation_that_is_shorter_than_their_marks() {
    let times = Times { deleted: 10_000, clean: 1_000, ..Times::DEFAULT };
    for master in Kind::ALL {
        for slave in Kind::ALL {
            for (away, stays) in [(5_000, false), (15_000, true)] {
                println!("--- the master is {master:?}, the slave {slave:?}");
                let mut net = Net::new(vec![master.with(times), slave.with(times)]);
                let (m, s) = (net.client(0, User::Main), net.client(1, User::Main));
                let link = net.link(1, 0);
                net.tell(0, m, "STORE a=1");
                net.wait(50);
                net.cut(link);
                net.tell(1, s, "REMOVE a");
                net.wait(away);
                net.link(1, 0);
                let want = if stays { pairs(&[("a", "1")]) } else { vec![] };
                assert_eq!(net.store(0, m), want, "after {away} ms");
                assert_eq!(net.store(1, s), want, "after {away} ms");
            }
        }
    }
}

#[test]
fn a_value_that_nobody_ever_read_goes_with_the_next_cleaning() {
    // section 12.3: one that arrives with access time 0 is stale already
    let times = Times { stale: 3_600_000, clean: 1_000, ..Times::DEFAULT };
    each_with(times, |h| {
        let (link, _) = h.linked();
        let main = h.client(User::Main);
        h.tell(link, "KEYSYNC 4000000000 0 U unread=v");
        h.tell(link, "KEYSYNC 4000000000 4000000000 U read=v");
        h.wait(3_000);
        assert_eq!(h.keys(main), ["read"]);
    });
}

#[test]
fn what_the_slave_says_before_the_link_stands_reaches_the_master() {
    // queued from the moment it has connected (section 12.4)
    each_pair(|master, slave| {
        let (mut net, m, s) = two(master, slave);
        net.tell(0, m, "LISTEN x");
        net.begin_link(1, 0);
        for line in ["SET x=1", "STORE a=1", "NOTIFY x"] {
            net.hosts[1].tell(s, line);
        }
        net.drive();
        assert_eq!(net.told(0, m), ["SET x=1", "NOTIFY x"]);
        assert_eq!(net.store(0, m), pairs(&[("a", "1")]));
    });
}

/// Until nothing is on its way, with a millisecond between any two arrivals: what two servers do at the very
/// same time has a test of its own.
fn settle(net: &mut Net) {
    let mut quiet = 0;
    while quiet < 60 {
        quiet = if net.pump() { 0 } else { quiet + 1 };
        net.tick(1);
    }
}

#[test]
fn d10_a_tie_is_broken_the_same_way_everywhere() {
    // both servers change a key in the same millisecond, and the commands pass each other on the link
    for kinds in [[Kind::Ours; 2]] {
        let (mut net, m, s) = two(kinds[0], kinds[1]);
        for (i, (one, other)) in [
            ("STORE k=1", "STORE k=2"),
            ("STORE k=2", "STORE k=1"),
            ("REMOVE k", "STORE k=1"),
            ("STORE k=1", "REMOVE k"),
        ]
        .into_iter()
        .enumerate()
        {
            let link = net.link(1, 0);
            net.tick(10);
            net.hosts[0].tell(m, one);
            net.hosts[1].tell(s, other);
            net.drive();
            net.cut(link);
            net.tick(10);
            let link = net.link(1, 0);
            assert_eq!(net.store(0, m), net.store(1, s), "{i}: {one} and {other}");
            net.cut(link);
        }
    }
}

/// Servers of a tree change and lose each other at random; in the end all have the same.
fn converges(seed: u64, kinds: fn(usize) -> Kind) {
    let mut random = Random::new(seed);
    let ahead = |i: usize| i as i64 * 1_234_567 - 3_000_000;
    let mut net = Net::new((0..4).map(|i| kinds(i).ahead(ahead(i))).collect());
    net.pieces = Some(Random::new(seed ^ 0xabcd));
    let clients: Vec<usize> = (0..4).map(|h| net.hosts[h].client(User::Main)).collect();
    for (h, c) in clients.iter().enumerate() {
        net.hosts[h].tell(*c, "NOPING");
    }
    // 1 and 2 below 0, 3 below 2
    let master = [0, 0, 0, 2];
    let mut links: Vec<Option<usize>> = vec![None; 4];
    for step in 0..250 {
        let h = random.below(4);
        let key = ["a", "b b", "c::d", "e"][random.below(4)];
        match random.below(12) {
            0..=4 => net.hosts[h].tell(clients[h], &format!("STORE {key}={seed} {step}")),
            5 => net.hosts[h].tell(clients[h], &format!("SETANDSTORE {key}={step}")),
            6 | 7 => net.hosts[h].tell(clients[h], &format!("REMOVE {key}")),
            8 if h > 0 && links[h].is_none_or(|l| !net.pipes[l].open) => links[h] = Some(net.begin_link(h, master[h])),
            9 if h > 0 && random.below(3) == 0 => {
                if let Some(l) = links[h].take() {
                    net.pipes[l].held = false;
                    net.cut(l);
                }
            }
            10 => {
                if let Some(l) = links[h] {
                    net.pipes[l].held = !net.pipes[l].held;
                }
            }
            _ => _ = net.pump(),
        }
        net.tick(1 + random.below(20) as u64);
    }
    // everybody meets everybody again, from the top, and once more
    for link in links.iter().flatten() {
        net.pipes[*link].held = false;
    }
    settle(&mut net);
    for _ in 0..2 {
        for h in 1..4 {
            if let Some(l) = links[h].take() {
                net.cut(l);
            }
            net.tick(50);
            links[h] = Some(net.begin_link(h, master[h]));
            settle(&mut net);
        }
    }
    for h in 0..4 {
        assert!(h == 0 || net.is_linked(links[h].unwrap()), "seed {seed}: {h} has lost its master");
        net.told(h, clients[h]);
    }
    let want = net.store(0, clients[0]);
    for (h, c) in clients.iter().enumerate() {
        assert_eq!(net.store(h, *c), want, "seed {seed}: server {h} and the root");
    }
}

#[test]
fn d10_stores_converge_under_random_schedules() {
    for seed in 0..30 {
        println!("seed {seed}");
        converges(seed, |_| Kind::Plain);
        println!("seed {seed}, ours");
        converges(seed, |_| Kind::Ours);
        println!("seed {seed}, both");
        converges(seed, |i| if i % 2 == 0 { Kind::Ours } else { Kind::Plain });
    }
}
