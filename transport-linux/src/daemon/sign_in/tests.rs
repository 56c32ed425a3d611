use super::*;
use crate::password::{Cost, hash};

/// Two users, `anna` with the password `open sesame` and `berta` with another one.
struct Bench {
    s: SignIns,
    hashes: [Arc<Hashed>; 2],
    next: u64,
    now: Instant,
    looked: usize,
}

const ANNA: &str = "open sesame";

impl Bench {
    fn new() -> Bench {
        let of = |text: &str| {
            let text = hash(text.as_bytes(), Cost { memory: 8, passes: 1 }).unwrap();
            Arc::new(Hashed::read(&text).unwrap())
        };
        let hashes = [of(ANNA), of("close sesame")];
        Bench { s: SignIns::new().unwrap(), hashes, next: 1, now: Instant::from_millis(1000), looked: 0 }
    }

    fn ask(&mut self, origin: u8, name: &str, secret: &str) -> StationId {
        let station = StationId::new(self.next).unwrap();
        self.next += 1;
        let who = ["anna", "berta"].iter().position(|n| *n == name).map(|n| n as u16);
        let hash = self.hashes[usize::from(who.unwrap_or(0))].clone();
        let secret = Arc::new(Zeroizing::new(secret.as_bytes().to_vec()));
        let origin = Origin::V4([127, 0, 0, origin].into());
        self.s.ask(self.now, Attempt { station, origin, name: name.into(), secret, who, hash });
        station
    }

    /// Looks at one, if it is time for one.
    fn look(&mut self) -> bool {
        let Some(job) = self.s.next(self.now) else { return false };
        self.looked += 1;
        let is_right = job.hash.is_of(&job.secret);
        self.s.done(self.now, Done { number: job.number, is_right });
        true
    }

    fn run(&mut self) -> Vec<(StationId, Outcome)> {
        while self.look() || self.s.deadline() == Some(self.now) {}
        self.s.told()
    }

    fn wait(&mut self, ms: u32) {
        self.now = self.now + Duration::from_millis(ms);
    }

    fn one(&mut self, origin: u8, name: &str, secret: &str) -> Option<Outcome> {
        let station = self.ask(origin, name, secret);
        let told = self.run();
        told.iter().find(|(of, _)| *of == station).map(|(_, outcome)| *outcome)
    }
}

fn is_wrong(outcome: Option<Outcome>) -> bool {
    matches!(outcome, Some(Outcome::Wrong { .. }))
}

#[test]
fn a_right_password_is_looked_at_once() {
    let mut b = Bench::new();
    assert_eq!(b.one(1, "anna", ANNA), Some(Outcome::Right(0)));
    for origin in 1..5 {
        assert_eq!(b.one(origin, "anna", ANNA), Some(Outcome::Remembered(0)));
    }
    assert_eq!(b.looked, 1);
    assert!(is_wrong(b.one(1, "berta", ANNA)), "it is anna's");
    b.s.reload(|_, _| true, |_| None);
    assert_eq!(b.one(1, "anna", ANNA), Some(Outcome::Remembered(0)));
    b.s.reload(|who, hash| who != 0 || *hash == *b.hashes[1], |_| None);
    assert_eq!(b.one(1, "anna", ANNA), Some(Outcome::Right(0)), "looked at again");
}

#[test]
fn many_of_one_user_come_in_by_one_look() {
    let mut b = Bench::new();
    for _ in 0..1000 {
        b.ask(1, "anna", ANNA);
    }
    let told = b.run();
    assert_eq!((told.len(), b.looked), (1000, 1));
    assert!(told.iter().all(|(_, o)| matches!(o, Outcome::Right(0) | Outcome::Remembered(0))));
    assert_eq!(b.s.len(), 0);
}

#[test]
fn an_unknown_user_is_looked_at_like_a_wrong_password() {
    let mut b = Bench::new();
    assert!(is_wrong(b.one(1, "nobody", ANNA)), "though the hash it was compared with is that of this password");
    assert!(is_wrong(b.one(1, "anna", "x")));
    assert_eq!(b.looked, 2);
}

#[test]
fn wrong_ones_are_slower_each_time_and_then_not_looked_at() {
    let mut b = Bench::new();
    for _ in 0..FREE + 1 {
        assert!(is_wrong(b.one(1, "anna", "x")));
    }
    let mut delay = FIRST_DELAY_MS;
    while Duration::from_millis(delay) <= PATIENCE {
        let station = b.ask(1, "anna", "x");
        assert!(!b.look(), "not yet");
        assert_eq!(b.s.deadline(), Some(b.now + Duration::from_millis(delay)));
        b.wait(delay - 1);
        assert!(!b.look(), "still not");
        b.wait(1);
        assert!(b.look());
        assert!(matches!(b.s.told()[..], [(of, Outcome::Wrong { .. })] if of == station));
        delay *= 2;
    }
    let looked = b.looked;
    assert_eq!(b.one(1, "anna", "x"), Some(Outcome::Refused));
    assert_eq!(b.one(1, "anna", ANNA), Some(Outcome::Refused), "nobody learns by this whether it is right");
    assert_eq!(b.looked, looked);
    // Another origin is another one.
    assert_eq!(b.one(2, "anna", ANNA), Some(Outcome::Right(0)));
    // And it passes.
    b.wait(delay);
    assert_eq!(b.one(1, "anna", ANNA), Some(Outcome::Remembered(0)));
    b.wait(FORGET.millis());
    for _ in 0..FREE {
        assert!(is_wrong(b.one(1, "anna", "x")));
    }
}

#[test]
fn a_flood_from_one_origin_slows_down_itself_only() {
    let mut b = Bench::new();
    let flood: Vec<_> = (0..500).map(|n| b.ask(1, "anna", &format!("guess {n}"))).collect();
    let good = b.ask(2, "berta", "close sesame");
    let told = b.run();
    let place = told.iter().position(|(of, _)| *of == good).expect("told");
    assert_eq!(told[place].1, Outcome::Right(1));
    assert!(place <= 1, "after one of the flood: {place}");
    let looked = told.iter().filter(|(of, o)| flood.contains(of) && is_wrong(Some(*o))).count();
    assert!(looked <= FREE as usize + 1, "{looked} of the flood were looked at");
    let away = told.iter().filter(|(_, o)| *o == Outcome::Refused).count();
    assert!(away > 480, "{away} were sent away at once");
    assert!(b.s.len() < 10);
}

#[test]
fn a_right_guess_among_many_is_not_known_by_its_haste() {
    let mut b = Bench::new();
    assert_eq!(b.one(9, "anna", ANNA), Some(Outcome::Right(0)));
    // Remembered, but behind a guess of the same origin: it waits for its turn.
    b.ask(1, "anna", "x");
    b.ask(1, "anna", ANNA);
    assert!(b.s.told().is_empty());
}

#[test]
fn a_user_who_is_guessed_at_from_everywhere_comes_in_where_he_was_before() {
    let mut b = Bench::new();
    assert_eq!(b.one(1, "anna", ANNA), Some(Outcome::Right(0)));
    b.s.reload(|_, _| false, |_| None);
    for origin in 10..=10 + FREE_OF_USER as u8 {
        assert!(is_wrong(b.one(origin, "anna", "x")));
    }
    assert_eq!(b.one(200, "anna", ANNA), None, "elsewhere she waits");
    assert_eq!(b.one(200, "berta", "close sesame"), Some(Outcome::Right(1)), "others there do not");
    assert_eq!(b.one(1, "anna", ANNA), Some(Outcome::Right(0)));
    b.wait(MOST_DELAY_OF_USER.millis());
    assert_eq!(b.run().len(), 1, "and she does not wait for long");
}

#[test]
fn who_leaves_is_not_looked_at() {
    let mut b = Bench::new();
    let first = b.ask(1, "anna", "x");
    let second = b.ask(1, "anna", "y");
    let job = b.s.next(b.now).unwrap();
    assert!(b.s.next(b.now).is_none(), "one at a time");
    b.s.forget(second);
    b.s.forget(first);
    b.s.done(b.now, Done { number: job.number + 7, is_right: true });
    b.s.done(b.now, Done { number: job.number, is_right: false });
    assert!(b.run().is_empty());
    assert_eq!((b.looked, b.s.len()), (0, 0));
    assert!(b.s.queues.is_empty() && b.s.turns.is_empty());
}

#[test]
fn a_reload_counts_for_those_who_wait() {
    let mut b = Bench::new();
    let busy = b.ask(1, "anna", ANNA);
    let waits = b.ask(1, "anna", "close sesame");
    let job = b.s.next(b.now).unwrap();
    // From now on anna's is what berta's was.
    let new = b.hashes[1].clone();
    b.s.reload(|_, hash| *hash == *new, |_| Some((Some(0), new.clone())));
    b.s.done(b.now, Done { number: job.number, is_right: true });
    assert!(matches!(b.s.told()[..], [(of, Outcome::Wrong { .. })] if of == busy));
    assert_eq!(b.run(), [(waits, Outcome::Right(0))]);
    let gone = b.ask(2, "nobody", "x");
    let job = b.s.next(b.now).unwrap();
    b.s.give_up(job.number);
    assert_eq!(b.s.told(), [(gone, Outcome::Refused)]);
}

#[test]
fn tables_stay_bounded() {
    let mut b = Bench::new();
    for n in 0..3 * ROWS as u64 {
        add_wrong(&mut b.s.users, n, b.now, FREE, MOST_DELAY);
        b.wait(1);
    }
    assert_eq!(b.s.users.len(), ROWS);
    assert!(b.s.users.contains_key(&(3 * ROWS as u64 - 1)) && !b.s.users.contains_key(&0));
}

#[test]
fn an_origin_in_ipv6_is_a_network() {
    let of = |text: &str| Origin::from(text.parse::<IpAddr>().unwrap());
    assert_eq!(of("2001:db8:1:2::3"), of("2001:db8:1:2:ffff::4"));
    assert_ne!(of("2001:db8:1:2::3"), of("2001:db8:1:3::3"));
    assert_eq!(of("::ffff:10.0.0.1"), of("10.0.0.1"));
}

/// Who guesses from everywhere at once does not keep the right one out: not for longer than one user's delay.
#[test]
fn a_user_who_is_guessed_at_from_everywhere_comes_in_elsewhere_too() {
    let mut b = Bench::new();
    for origin in 1..=FREE_OF_USER as u8 + 1 {
        assert!(is_wrong(b.one(origin, "anna", "x")));
    }
    for origin in 100..160 {
        b.ask(origin, "anna", "x");
    }
    let begin = b.now;
    let anna = b.ask(200, "anna", ANNA);
    while b.now < begin + Duration::from_secs(3) {
        if let Some((_, outcome)) = b.run().iter().find(|(of, _)| *of == anna) {
            return assert_eq!(*outcome, Outcome::Right(0));
        }
        // They do not give up.
        for origin in 100..160 {
            b.ask(origin, "anna", "x");
        }
        b.wait(100);
    }
    panic!("she waits for everybody who guesses");
}

/// One device with an old password behind the same address (a gateway, this machine) does not
/// keep those out who come from there as ever.
#[test]
fn who_has_come_in_from_an_address_does_not_wait_for_the_mistakes_of_others_there() {
    let mut b = Bench::new();
    assert_eq!(b.one(1, "berta", "close sesame"), Some(Outcome::Right(1)));
    for _ in 0..200 {
        b.one(1, "anna", "an old one");
        b.wait(500);
    }
    assert_eq!(b.one(1, "anna", ANNA), Some(Outcome::Refused), "too many for anna");
    assert_eq!(b.one(1, "berta", "close sesame"), Some(Outcome::Remembered(1)));
    b.s.reload(|_, _| false, |_| None);
    assert_eq!(b.one(1, "berta", "close sesame"), Some(Outcome::Right(1)));
    // But she waits for her own mistakes.
    for _ in 0..=FREE {
        assert!(is_wrong(b.one(1, "berta", "x")));
    }
    assert_eq!(b.one(1, "berta", "close sesame"), None);
    b.wait(FIRST_DELAY_MS);
    assert_eq!(b.run().last().map(|(_, outcome)| *outcome), Some(Outcome::Remembered(1)));
}

/// A remembered password is compared at once, so who is not let in at once knows that a guess
/// is wrong. Leaving then does not save it from being counted.
#[test]
fn who_leaves_after_a_guess_has_guessed() {
    let mut b = Bench::new();
    assert_eq!(b.one(9, "anna", ANNA), Some(Outcome::Right(0)));
    for n in 0..20 {
        // Somebody else's password is being looked at.
        b.ask(100 + n, &format!("nobody {n}"), "x");
        let job = b.s.next(b.now).unwrap();
        let guess = b.ask(1, "anna", "x");
        b.s.forget(guess);
        b.s.done(b.now, Done { number: job.number, is_right: false });
        b.run();
    }
    let guess = b.ask(1, "anna", ANNA);
    assert!(!b.run().contains(&(guess, Outcome::Remembered(0))), "twenty guesses were free");
}

/// Waiting costs nothing: the loop is not woken before somebody's time has come.
#[test]
fn hundreds_who_wait_for_one_user_do_not_keep_the_loop_awake() {
    let mut b = Bench::new();
    for origin in 1..=FREE_OF_USER as u8 + 3 {
        b.one(origin, "anna", "x");
        b.wait(2000);
    }
    assert!(is_wrong(b.one(99, "anna", "x")));
    for _ in 0..1000 {
        b.ask(200, "anna", "x");
    }
    // And who waits behind them for nothing does not wait.
    assert_eq!(b.one(200, "berta", "close sesame"), Some(Outcome::Right(1)));
    let _ = b.s.next(b.now);
    let wakes_at = b.s.deadline().expect("they wait");
    assert!(wakes_at > b.now + Duration::from_millis(FIRST_DELAY_MS), "woken at once: {wakes_at:?}, now {:?}", b.now);
}

#[test]
fn who_comes_and_goes_leaves_nothing_behind() {
    let mut b = Bench::new();
    b.ask(1, "anna", "x");
    let _long = b.s.next(b.now).unwrap();
    for n in 0..10_000u32 {
        let station = b.ask((n % 200) as u8, "anna", "x");
        b.s.forget(station);
    }
    let kept: usize = b.s.queues.values().map(|q| q.waiting.len()).sum();
    assert!(kept < 500, "{kept} attempts of nobody are kept");
}
