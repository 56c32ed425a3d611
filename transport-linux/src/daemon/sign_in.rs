//! Who may try a password, and when.
//!
//! Owns: the queues of those who wait for theirs to be looked at, the delays after wrong ones,
//! and the memory of right ones. Owns no thread and no clock: the loop tells the time, hands
//! [`SignIns::next`] to the verifier and its answer to [`SignIns::done`].
//!
//! * Each origin (an address; of IPv6 the network that one subscriber has) has a queue of its
//!   own, and the queues take turns: who floods us from one place waits for himself.
//! * After a few wrong passwords an origin waits, twice as long after each further one, and so
//!   does whoever tries the same user from elsewhere, for a shorter time: a user cannot be
//!   locked out by others for long, and not at all where that user has come in before.
//! * Nobody waits longer than [`PATIENCE`] for such a delay to pass: who would is told to come
//!   again later. Neither answer says whether the password was right, or the user known.
//! * A password that was found right is remembered, as a hash with a key that this process has
//!   made for itself, until the configuration has another one for that user. So a thousand
//!   stations of one user come back at once after a network was down, and not at forty a
//!   second. While an origin waits for a delay, this way is closed to it like the other one.
//!
//! A station waits at most once, so nothing here is longer than the table of stations; the
//! tables of delays have limits of their own.

use std::collections::{HashMap, HashSet, VecDeque};
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use chappe_core::id::StationId;
use chappe_core::time::{Duration, Instant};
use ring::hmac;
use ring::rand::SystemRandom;
use zeroize::Zeroizing;

use super::verifier::{Done, Job};
use crate::password::Hashed;

/// How long somebody waits for a delay to pass before being told to come again later. Less
/// than clients wait for an answer to their hello.
const PATIENCE: Duration = Duration::from_secs(2);

/// Wrong passwords from one origin without a delay: people mistype.
const FREE: u32 = 3;

/// The same for one user from all origins together.
const FREE_OF_USER: u32 = 10;

/// The first delay; it doubles.
const FIRST_DELAY_MS: u32 = 250;

/// The longest delay of an origin, and of a user.
const MOST_DELAY: Duration = Duration::from_secs(60);
const MOST_DELAY_OF_USER: Duration = Duration::from_secs(2);

/// Wrong passwords are forgotten if no other has come for this long.
const FORGET: Duration = Duration::from_secs(600);

/// Remembered ones let in at once, before others have their turn.
const AT_ONCE: usize = 128;

/// Rows of each table of delays. Where there are more origins than this, those whose wrong
/// passwords are longest ago are forgotten.
const ROWS: usize = 4096;

/// Where somebody tries from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Origin {
    V4(Ipv4Addr),
    /// The first 64 bits: within these one subscriber has as many addresses as he likes.
    V6([u8; 8]),
    /// A Unix socket, from this user of the system.
    User(u32),
    /// A serial line, or who cannot be known.
    Here,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::V4(address) => address.fmt(f),
            Origin::V6(network) => {
                let mut octets = [0; 16];
                octets[..8].copy_from_slice(network);
                write!(f, "{}/64", Ipv6Addr::from(octets))
            }
            Origin::User(number) => write!(f, "user {number} of this machine"),
            Origin::Here => f.write_str("this machine"),
        }
    }
}

impl From<IpAddr> for Origin {
    fn from(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(v4) => Origin::V4(v4),
            IpAddr::V6(v6) => {
                let mut network = [0; 8];
                network.copy_from_slice(&v6.octets()[..8]);
                Origin::V6(network)
            }
        }
    }
}

/// Somebody who says to be a user.
#[derive(Debug)]
pub(super) struct Attempt {
    pub(super) station: StationId,
    pub(super) origin: Origin,
    /// As given: not for any log, since people type passwords into the wrong field.
    pub(super) name: String,
    pub(super) secret: Arc<Zeroizing<Vec<u8>>>,
    /// The user's number, if there is such a user and he has a password.
    pub(super) who: Option<u16>,
    /// What is compared; for whoever is nobody that of somebody else, so that it takes as long.
    pub(super) hash: Arc<Hashed>,
}

/// What became of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It was looked at and is right.
    Right(u16),
    /// It is one that had been found right before.
    Remembered(u16),
    /// It was looked at and is wrong, or there is no such user.
    Wrong { origin: Origin, who: Option<u16> },
    /// It was not looked at: too many wrong ones before.
    Refused,
}

#[derive(Debug, Clone, Copy)]
struct Delay {
    wrong: u32,
    last: Instant,
    until: Instant,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<Attempt>,
    /// In the list of those who take turns.
    queued: bool,
}

/// Everybody who tries. See the module's documentation.
pub(super) struct SignIns {
    key: hmac::Key,
    hasher: RandomState,
    queues: HashMap<Origin, Queue>,
    turns: VecDeque<Origin>,
    /// Stations whose attempt waits. Who is not in here any more has left.
    waiting: HashSet<StationId>,
    busy: Option<(u64, Attempt)>,
    number: u64,
    origins: HashMap<Origin, Delay>,
    users: HashMap<u64, Delay>,
    /// Where which user has come in from.
    friends: HashMap<(Origin, u64), Instant>,
    remembered: HashMap<u16, (Arc<Hashed>, hmac::Tag)>,
    /// When somebody's delay passes for whom nothing else is waited for.
    wake: Option<Instant>,
    told: Vec<(StationId, Outcome)>,
}

impl fmt::Debug for SignIns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignIns").field("waiting", &self.waiting.len()).finish_non_exhaustive()
    }
}

impl SignIns {
    /// Nobody yet. `None`: the system gives no random bytes.
    pub(super) fn new() -> Option<SignIns> {
        Some(SignIns {
            key: hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new()).ok()?,
            hasher: RandomState::new(),
            queues: HashMap::new(),
            turns: VecDeque::new(),
            waiting: HashSet::new(),
            busy: None,
            number: 0,
            origins: HashMap::new(),
            users: HashMap::new(),
            friends: HashMap::new(),
            remembered: HashMap::new(),
            wake: None,
            told: Vec::new(),
        })
    }

    /// Somebody tries. What becomes of it is in [`SignIns::told`], at once or later.
    pub(super) fn ask(&mut self, now: Instant, attempt: Attempt) {
        let origin = attempt.origin;
        let (station, name) = (attempt.station, self.hasher.hash_one(&attempt.name));
        let ahead = self.queues.get(&origin).map_or(0, |q| q.waiting.len());
        let is_free = ahead == 0 && self.busy.as_ref().is_none_or(|(_, other)| other.origin != origin);
        let from = self.due(now, origin, name);
        if is_free && from <= now && self.is_remembered(&attempt) {
            return self.let_in(now, attempt, true);
        }
        if self.lasts_too_long(now, from, origin, ahead) {
            return self.told.push((station, Outcome::Refused));
        }
        self.waiting.insert(station);
        let queue = self.queues.entry(origin).or_default();
        queue.waiting.push_back(attempt);
        if !queue.queued {
            queue.queued = true;
            self.turns.push_back(origin);
        }
    }

    /// The next password to be looked at; `None`: there is none, or one is being looked at, or
    /// it is not yet time for it ([`SignIns::deadline`]).
    pub(super) fn next(&mut self, now: Instant) -> Option<Job> {
        self.wake = None;
        if self.busy.is_some() {
            return None;
        }
        for _ in 0..self.turns.len() {
            let origin = self.turns.pop_front()?;
            match self.first_due(now, origin) {
                Ok(attempt) => {
                    self.number += 1;
                    let job = Job { number: self.number, secret: attempt.secret.clone(), hash: attempt.hash.clone() };
                    self.busy = Some((self.number, attempt));
                    self.turns.push_back(origin);
                    return Some(job);
                }
                Err(Some(at)) => {
                    self.turns.push_back(origin);
                    self.wake = Some(self.wake.map_or(at, |w| w.min(at)));
                }
                Err(None) => {
                    self.queues.remove(&origin);
                }
            }
        }
        None
    }

    /// Takes the first of an origin whose time has come, and lets in who is remembered on the
    /// way. Otherwise when it comes for the first of them, if any is left.
    fn first_due(&mut self, now: Instant, origin: Origin) -> Result<Attempt, Option<Instant>> {
        let mut soonest: Option<Instant> = None;
        let mut at = 0;
        for _ in 0..AT_ONCE {
            let Some(attempt) = self.queues.get(&origin).and_then(|q| q.waiting.get(at)) else {
                return Err(soonest);
            };
            let due = self.due(now, origin, self.hasher.hash_one(&attempt.name));
            let is_here = self.waiting.contains(&attempt.station);
            if is_here && due > now {
                soonest = Some(soonest.map_or(due, |s| s.min(due)));
                at += 1;
                continue;
            }
            let Some(attempt) = self.queues.get_mut(&origin).and_then(|q| q.waiting.remove(at)) else {
                return Err(soonest);
            };
            if !is_here {
                continue;
            }
            if self.is_remembered(&attempt) {
                self.let_in(now, attempt, true);
                continue;
            }
            return Ok(attempt);
        }
        // There are more, whose time has come or will be looked at then.
        Err(Some(now))
    }

    /// The verifier has an answer.
    pub(super) fn done(&mut self, now: Instant, done: Done) {
        let Some((_, attempt)) = self.busy.take_if(|(number, _)| *number == done.number) else { return };
        match attempt.who {
            Some(who) if done.is_right => {
                let tag = hmac::sign(&self.key, &message(who, &attempt.secret));
                self.remembered.insert(who, (attempt.hash.clone(), tag));
                self.let_in(now, attempt, false);
            }
            who => {
                let origin = attempt.origin;
                self.punish(now, origin, self.hasher.hash_one(&attempt.name));
                self.tell(attempt.station, Outcome::Wrong { origin, who });
                self.send_away(now, origin);
            }
        }
    }

    /// A station is gone: what it tried is not looked at any more.
    pub(super) fn forget(&mut self, station: StationId) {
        self.waiting.remove(&station);
    }

    /// The password that is being looked at cannot be: whose it is may try again.
    pub(super) fn give_up(&mut self, number: u64) {
        if let Some((_, attempt)) = self.busy.take_if(|(n, _)| *n == number) {
            self.tell(attempt.station, Outcome::Refused);
        }
    }

    /// The configuration has been read again. `is_still`: whether a user still has that
    /// password; those who have not are not remembered. `resolve`: as for a new attempt.
    pub(super) fn reload(
        &mut self,
        is_still: impl Fn(u16, &Hashed) -> bool,
        resolve: impl Fn(&str) -> Option<(Option<u16>, Arc<Hashed>)>,
    ) {
        self.remembered.retain(|who, (hash, _)| is_still(*who, hash));
        for attempt in self.queues.values_mut().flat_map(|q| &mut q.waiting) {
            match resolve(&attempt.name) {
                Some((who, hash)) => (attempt.who, attempt.hash) = (who, hash),
                None => attempt.who = None,
            }
        }
        if let Some((_, attempt)) = &mut self.busy
            && attempt.who.is_some_and(|who| !is_still(who, &attempt.hash))
        {
            // The answer is about a password that does not count any more.
            attempt.who = None;
        }
    }

    /// What has become of attempts since the last time. A station that is gone may be among
    /// them.
    pub(super) fn told(&mut self) -> Vec<(StationId, Outcome)> {
        std::mem::take(&mut self.told)
    }

    /// When [`SignIns::next`] will have something, if nothing else happens.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.wake
    }

    /// Those who wait.
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    fn tell(&mut self, station: StationId, outcome: Outcome) {
        if self.waiting.remove(&station) {
            self.told.push((station, outcome));
        }
    }

    fn let_in(&mut self, now: Instant, attempt: Attempt, remembered: bool) {
        let Some(who) = attempt.who else { return };
        let name = self.hasher.hash_one(&attempt.name);
        if self.friends.len() >= ROWS && !self.friends.contains_key(&(attempt.origin, name)) {
            let oldest = self.friends.iter().min_by_key(|(_, at)| **at).map(|(key, _)| *key);
            oldest.and_then(|key| self.friends.remove(&key));
        }
        self.friends.insert((attempt.origin, name), now);
        // One who is let in at once has not waited.
        self.waiting.insert(attempt.station);
        self.tell(attempt.station, if remembered { Outcome::Remembered(who) } else { Outcome::Right(who) });
    }

    fn is_remembered(&self, attempt: &Attempt) -> bool {
        let Some((who, (hash, tag))) = attempt.who.and_then(|who| Some((who, self.remembered.get(&who)?))) else {
            return false;
        };
        // In constant time; of the hash only whether the configuration is still the same.
        **hash == *attempt.hash && hmac::verify(&self.key, &message(who, &attempt.secret), tag.as_ref()).is_ok()
    }

    /// When somebody may try.
    fn due(&self, now: Instant, origin: Origin, name: u64) -> Instant {
        let of = |delay: Option<&Delay>| delay.map_or(now, |d| d.until);
        let by_user = if self.friends.contains_key(&(origin, name)) { now } else { of(self.users.get(&name)) };
        of(self.origins.get(&origin)).max(by_user)
    }

    /// Whether the `ahead`th in a queue would wait longer than is sensible, if those before
    /// are wrong.
    fn lasts_too_long(&self, now: Instant, from: Instant, origin: Origin, ahead: usize) -> bool {
        let Some(delay) = self.origins.get(&origin).filter(|d| d.wrong > FREE) else { return from > now + PATIENCE };
        let each = pause(delay.wrong + 1, FREE, MOST_DELAY).millis();
        let more = u64::from(each).saturating_mul(ahead as u64).min(u64::from(u32::MAX));
        from + Duration::from_millis(more as u32) > now + PATIENCE
    }

    fn punish(&mut self, now: Instant, origin: Origin, name: u64) {
        add_wrong(&mut self.origins, origin, now, FREE, MOST_DELAY);
        add_wrong(&mut self.users, name, now, FREE_OF_USER, MOST_DELAY_OF_USER);
    }

    /// After a wrong password others of the same origin may have to wait too long.
    fn send_away(&mut self, now: Instant, origin: Origin) {
        let from = self.origins.get(&origin).map_or(now, |d| d.until);
        while let Some(last) = self.queues.get(&origin).and_then(|q| q.waiting.len().checked_sub(1))
            && self.lasts_too_long(now, from, origin, last)
            && let Some(attempt) = self.queues.get_mut(&origin).and_then(|q| q.waiting.pop_back())
        {
            self.tell(attempt.station, Outcome::Refused);
        }
    }
}

/// Which user's password it is belongs to what is remembered.
fn message(who: u16, secret: &[u8]) -> Zeroizing<Vec<u8>> {
    let mut all = Zeroizing::new(Vec::with_capacity(2 + secret.len()));
    all.extend_from_slice(&who.to_be_bytes());
    all.extend_from_slice(secret);
    all
}

/// How long to wait after so many wrong ones.
fn pause(wrong: u32, free: u32, most: Duration) -> Duration {
    match wrong.checked_sub(free + 1) {
        None => Duration::ZERO,
        Some(n) => Duration::from_millis(FIRST_DELAY_MS << n.min(16)).min(most),
    }
}

fn add_wrong<K: Copy + Eq + std::hash::Hash>(
    table: &mut HashMap<K, Delay>,
    key: K,
    now: Instant,
    free: u32,
    most: Duration,
) {
    if table.len() >= ROWS && !table.contains_key(&key) {
        table.retain(|_, d| d.last + FORGET > now);
        if table.len() >= ROWS {
            let oldest = table.iter().min_by_key(|(_, d)| d.last).map(|(key, _)| *key);
            oldest.and_then(|key| table.remove(&key));
        }
    }
    let delay = table.entry(key).or_insert(Delay { wrong: 0, last: now, until: now });
    if delay.last + FORGET <= now {
        delay.wrong = 0;
    }
    delay.wrong = delay.wrong.saturating_add(1);
    delay.last = now;
    delay.until = now + pause(delay.wrong, free, most);
}

#[cfg(test)]
mod tests {
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
}
