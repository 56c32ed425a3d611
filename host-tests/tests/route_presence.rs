//! D7: leaving is visible; memberships end first, then presence; watchers see each change
//! once. D8: exclusive means one.

use chappe_core::model::{Change, Code, Join, Leave, Watch};
use chappe_host_tests::event::Seen;
use chappe_host_tests::world::World;

fn presence(w: &mut World, s: usize) -> Vec<(Change, u64, String)> {
    let one = |seen| match seen {
        Seen::Presence { change, station, name, .. } => Some((change, station, name)),
        _ => None,
    };
    w.take(s).into_iter().filter_map(one).collect()
}

#[test]
fn d7_memberships_end_before_presence_and_each_is_told_once() {
    for how in ["unplug", "goodbye", "silence"] {
        let mut w = World::default();
        let watcher = w.station("watcher");
        w.watch(watcher, &Watch { stations: true, members: true, ..Watch::default() });
        w.take(watcher);
        let b = w.station("b");
        let address = w.address(b);
        w.join(b, "x");
        w.join(b, "y");
        let came = presence(&mut w, watcher);
        let of = |c, n: &str| (c, address, n.to_string());
        assert_eq!(came, [of(Change::Connected, ""), of(Change::Joined, "x"), of(Change::Joined, "y")]);
        match how {
            "unplug" => w.unplug(b),
            "goodbye" => {
                let now = w.now;
                w.stations[b].client.goodbye(now);
                w.drive();
            }
            _ => {
                w.stations[b].cut = true;
                w.advance(15_000);
            }
        }
        let mut left = presence(&mut w, watcher);
        assert_eq!(left.pop(), Some(of(Change::Disconnected, "")), "{how}");
        left.sort_by_key(|l| l.2.clone());
        assert_eq!(left, [of(Change::Left, "x"), of(Change::Left, "y")], "{how}");
    }
}

#[test]
fn d7_two_watches_that_cover_a_change_tell_it_once() {
    let mut w = World::default();
    let (watcher, b) = (w.station("watcher"), w.station("b"));
    w.watch(watcher, &Watch { members: true, ..Watch::default() });
    w.watch(watcher, &Watch { name: "x", members: true, ..Watch::default() });
    w.take(watcher);
    w.join(b, "x");
    assert_eq!(presence(&mut w, watcher), [(Change::Joined, w.address(b), "x".to_string())]);
}

#[test]
fn d7_a_watch_of_one_name_tells_of_that_name_only() {
    let mut w = World::default();
    let (watcher, b) = (w.station("watcher"), w.station("b"));
    w.watch(watcher, &Watch { name: "x", members: true, ..Watch::default() });
    w.take(watcher);
    let address = w.address(b);
    w.join(b, "y");
    w.join(b, "x");
    w.stations[b].client.leave(&Leave { name: "x", ..Leave::default() }).unwrap();
    w.stations[b].client.leave(&Leave { name: "x", ..Leave::default() }).unwrap();
    w.drive();
    let x = |c| (c, address, "x".to_string());
    assert_eq!(presence(&mut w, watcher), [x(Change::Joined), x(Change::Left)]);
    w.watch(watcher, &Watch { off: true, ..Watch::default() });
    w.join(b, "x");
    assert_eq!(presence(&mut w, watcher), []);
}

#[test]
fn d8_the_first_exclusive_member_stays_and_the_second_is_refused() {
    let mut w = World::default();
    let (a, b) = (w.station("a"), w.station("b"));
    let mine = Join { name: "s", exclusive: true, seq: 1, ..Join::default() };
    w.join_as(a, &mine);
    assert_eq!(w.outcomes(a, 1)[0].0, Code::Ok);
    w.join_as(b, &mine);
    assert_eq!(w.outcomes(b, 1)[0].0, Code::NameTaken);
    w.join_as(b, &Join { exclusive: false, seq: 2, ..mine });
    assert_eq!(w.outcomes(b, 2)[0].0, Code::NameTaken, "nor may it be shared");
    w.send(b, &chappe_core::model::Letter { name: "s", body: b"to a", ..Default::default() });
    assert_eq!(w.bodies(a), ["to a"]);
    // free again when the holder has gone
    w.unplug(a);
    w.join_as(b, &Join { seq: 3, ..mine });
    assert_eq!(w.outcomes(b, 3)[0].0, Code::Ok);
}

#[test]
fn d8_a_shared_name_cannot_become_exclusive() {
    let mut w = World::default();
    let (a, b) = (w.station("a"), w.station("b"));
    w.join(a, "s");
    w.join_as(b, &Join { name: "s", exclusive: true, seq: 1, ..Join::default() });
    assert_eq!(w.outcomes(b, 1)[0].0, Code::NameTaken);
    let other = Join { name: "s", instance: "own", exclusive: true, seq: 2 };
    w.join_as(b, &other);
    assert_eq!(w.outcomes(b, 2)[0].0, Code::NameTaken);
}

#[test]
fn joining_again_is_no_harm_and_changes_nothing() {
    let mut w = World::default();
    let (a, b) = (w.station("a"), w.station("b"));
    let join = Join { name: "s", exclusive: true, seq: 1, ..Join::default() };
    w.join_as(a, &join);
    w.join_as(a, &Join { exclusive: false, seq: 2, ..join });
    w.join_as(b, &Join { exclusive: false, ..join });
    assert_eq!((w.outcomes(a, 2)[0].0, w.outcomes(b, 1)[0].0), (Code::Ok, Code::NameTaken));
    w.join(b, "t");
    w.join_as(b, &Join { name: "t", seq: 3, ..join });
    assert_eq!(w.outcomes(b, 3)[0].0, Code::NameTaken, "it holds it, but not alone for sure");
}
