//! Who may try a password, and when.
//!
//! Owns: the queues of those who wait for theirs to be looked at, the delays after wrong ones,
//! and the memory of right ones. Owns no thread and no clock: the loop tells the time, hands
//! [`SignIns::next`] to the verifier and its answer to [`SignIns::done`].
//!
//! * Each origin (an address; of IPv6 the network that one subscriber has) has a queue of its
//!   own, and the queues take turns: who floods us from one place waits for himself.
//! * After a few wrong passwords an origin waits, twice as long after each further one. So does
//!   whoever tries the same user from elsewhere, but each for [`MOST_DELAY_OF_USER`] at most,
//!   however many try: nobody locks a user out by trying.
//! * Where a user has come in before, only wrong passwords of that user from there count: one
//!   device with an old password does not keep out the others behind the same address.
//! * Nobody waits longer than [`PATIENCE`] for such a delay to pass: who would is told to come
//!   again later. Neither answer says whether the password was right, or the user known.
//! * A password that was found right is remembered, as a hash with a key that this process has
//!   made for itself, until the configuration has another one for that user. So a thousand
//!   stations of one user come back at once after a network was down, and not at forty a
//!   second. While an origin waits for a delay, this way is closed to it like the other one;
//!   and who was not let in by it at once knows that the guess was wrong, so it is looked at
//!   and counted even if its station leaves.
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

/// Attempts of those who have left that may be kept, beside as many as there are of others.
const LEFT: usize = 128;

/// Rows of each table of delays. Where there are more origins than this, those whose wrong
/// passwords are longest ago are forgotten.
const ROWS: usize = 4096;

/// Where somebody tries from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Origin {
    V4(Ipv4Addr),
    /// The first 64 bits: within these one subscriber has as many addresses as he likes.
    V6([u8; 8]),
    /// The same by datagrams, whose senders are who they say to be only if they want to: what
    /// they do wrong must not be held against streams.
    Datagrams4(Ipv4Addr),
    Datagrams6([u8; 8]),
    /// A Unix socket, from this user of the system.
    User(u32),
    /// A serial line, or who cannot be known.
    Here,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::V4(address) => address.fmt(f),
            Origin::V6(network) => write!(f, "{}/64", first_of(network)),
            Origin::Datagrams4(address) => write!(f, "{address} (datagrams)"),
            Origin::Datagrams6(network) => write!(f, "{}/64 (datagrams)", first_of(network)),
            Origin::User(number) => write!(f, "user {number} of this machine"),
            Origin::Here => f.write_str("this machine"),
        }
    }
}

fn first_of(network: &[u8; 8]) -> Ipv6Addr {
    let mut octets = [0; 16];
    octets[..8].copy_from_slice(network);
    octets.into()
}

impl Origin {
    /// Of a datagram that says to come from there.
    pub(super) fn of_datagram(address: IpAddr) -> Origin {
        match address.into() {
            Origin::V4(address) => Origin::Datagrams4(address),
            Origin::V6(network) => Origin::Datagrams6(network),
            other => other,
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

impl fmt::Debug for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attempt").field("station", &self.station).field("who", &self.who).finish_non_exhaustive()
    }
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

/// A user where that user has come in before.
#[derive(Debug, Clone, Copy)]
struct Friend {
    seen: Instant,
    /// For wrong passwords of this user from there.
    delay: Delay,
}

/// An attempt in a queue.
#[derive(Debug)]
struct Waiting {
    attempt: Attempt,
    /// The name's hash.
    name: u64,
    since: Instant,
    /// It is known not to be the remembered one, and its station can tell.
    is_known_wrong: bool,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<Waiting>,
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
    /// Attempts in the queues whose stations have left, or more than there are.
    left: usize,
    busy: Option<(u64, Waiting)>,
    number: u64,
    origins: HashMap<Origin, Delay>,
    users: HashMap<u64, Delay>,
    /// Where which user has come in from.
    friends: HashMap<(Origin, u64), Friend>,
    remembered: HashMap<u16, (Arc<Hashed>, hmac::Tag)>,
    /// When the time of the first in the queues comes; `None`: nobody waits.
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
            left: 0,
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
        let (station, origin, name) = (attempt.station, attempt.origin, self.hasher.hash_one(&attempt.name));
        let ahead = self.queues.get(&origin).map_or(0, |q| q.waiting.len());
        let is_first = ahead == 0 && self.busy.as_ref().is_none_or(|(_, other)| other.attempt.origin != origin);
        let mut one = Waiting { attempt, name, since: now, is_known_wrong: false };
        if is_first
            && self.due_here(now, &one) <= now
            && let Some(who) = one.attempt.who.filter(|who| self.remembered.contains_key(who))
        {
            if self.is_remembered(&one.attempt) {
                self.befriend(now, origin, name);
                return self.told.push((station, Outcome::Remembered(who)));
            }
            one.is_known_wrong = true;
        }
        if self.lasts_too_long(now, &one, ahead) {
            return self.told.push((station, Outcome::Refused));
        }
        self.waiting.insert(station);
        self.wake_at(self.due(now, &one));
        let queue = self.queues.entry(origin).or_default();
        queue.waiting.push_back(one);
        if !queue.queued {
            queue.queued = true;
            self.turns.push_back(origin);
        }
    }

    /// The next password to be looked at; `None`: there is none, or one is being looked at, or
    /// it is not yet time for it ([`SignIns::deadline`]).
    pub(super) fn next(&mut self, now: Instant) -> Option<Job> {
        if self.busy.is_some() || self.wake.is_none_or(|at| at > now) {
            return None;
        }
        self.wake = None;
        for _ in 0..self.turns.len() {
            let origin = self.turns.pop_front()?;
            match self.first_due(now, origin) {
                Ok(one) => {
                    self.number += 1;
                    let (secret, hash) = (one.attempt.secret.clone(), one.attempt.hash.clone());
                    self.busy = Some((self.number, one));
                    self.turns.push_back(origin);
                    // The others have not been asked.
                    self.wake = Some(now);
                    return Some(Job { number: self.number, secret, hash });
                }
                Err(Some(at)) => {
                    self.turns.push_back(origin);
                    self.wake_at(at);
                }
                Err(None) => {
                    self.queues.remove(&origin);
                }
            }
        }
        None
    }

    fn wake_at(&mut self, at: Instant) {
        self.wake = Some(self.wake.map_or(at, |wake| wake.min(at)));
    }

    /// Takes the first of an origin whose time has come, and lets in who is remembered on the
    /// way. Otherwise when it comes for the first of them, if any is left.
    fn first_due(&mut self, now: Instant, origin: Origin) -> Result<Waiting, Option<Instant>> {
        let mut soonest: Option<Instant> = None;
        let (mut at, mut let_in) = (0, 0);
        while let_in < AT_ONCE {
            let Some(one) = self.queues.get(&origin).and_then(|q| q.waiting.get(at)) else {
                return Err(soonest);
            };
            let counts = self.counts(one);
            let due = self.due(now, one);
            if counts && due > now {
                soonest = Some(soonest.map_or(due, |s| s.min(due)));
                at += 1;
                continue;
            }
            let Some(one) = self.queues.get_mut(&origin).and_then(|q| q.waiting.remove(at)) else {
                return Err(soonest);
            };
            if !counts {
                continue;
            }
            match one.attempt.who.filter(|_| self.is_remembered(&one.attempt)) {
                Some(who) => {
                    let_in += 1;
                    self.befriend(now, origin, one.name);
                    self.tell(one.attempt.station, Outcome::Remembered(who));
                }
                None => return Ok(one),
            }
        }
        // There are more, whose time has come or will be looked at then.
        Err(Some(now))
    }

    /// Whether an attempt is still to be looked at.
    fn counts(&self, one: &Waiting) -> bool {
        one.is_known_wrong || self.waiting.contains(&one.attempt.station)
    }

    /// The verifier has an answer.
    pub(super) fn done(&mut self, now: Instant, done: Done) {
        let Some((_, one)) = self.busy.take_if(|(number, _)| *number == done.number) else { return };
        let Waiting { attempt: Attempt { station, origin, secret, who, hash, .. }, name, .. } = one;
        match who {
            Some(who) if done.is_right => {
                let tag = hmac::sign(&self.key, &message(who, &secret));
                self.remembered.insert(who, (hash, tag));
                self.befriend(now, origin, name);
                self.tell(station, Outcome::Right(who));
            }
            who => {
                self.punish(now, origin, name);
                self.tell(station, Outcome::Wrong { origin, who });
                self.send_away(now, origin);
            }
        }
    }

    /// A station is gone: what it tried is not looked at any more, unless that told it something.
    pub(super) fn forget(&mut self, station: StationId) {
        if !self.waiting.remove(&station) {
            return;
        }
        self.left += 1;
        if self.left > LEFT + self.waiting.len() {
            self.left = 0;
            for queue in self.queues.values_mut() {
                queue.waiting.retain(|one| one.is_known_wrong || self.waiting.contains(&one.attempt.station));
            }
        }
    }

    /// The password that is being looked at cannot be: whose it is may try again.
    pub(super) fn give_up(&mut self, number: u64) {
        if let Some((_, one)) = self.busy.take_if(|(n, _)| *n == number) {
            self.tell(one.attempt.station, Outcome::Refused);
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
        for Waiting { attempt, .. } in self.queues.values_mut().flat_map(|q| &mut q.waiting) {
            match resolve(&attempt.name) {
                Some((who, hash)) => (attempt.who, attempt.hash) = (who, hash),
                None => attempt.who = None,
            }
        }
        if let Some((_, Waiting { attempt, .. })) = &mut self.busy
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
        self.wake.filter(|_| self.busy.is_none())
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

    /// A user has come in from there.
    fn befriend(&mut self, now: Instant, origin: Origin, name: u64) {
        if self.friends.len() >= ROWS && !self.friends.contains_key(&(origin, name)) {
            let oldest = self.friends.iter().min_by_key(|(_, friend)| friend.seen).map(|(key, _)| *key);
            oldest.and_then(|key| self.friends.remove(&key));
        }
        let delay = Delay { wrong: 0, last: now, until: now };
        self.friends.entry((origin, name)).or_insert(Friend { seen: now, delay }).seen = now;
    }

    fn is_remembered(&self, attempt: &Attempt) -> bool {
        let Some((who, (hash, tag))) = attempt.who.and_then(|who| Some((who, self.remembered.get(&who)?))) else {
            return false;
        };
        // In constant time; of the hash only whether the configuration is still the same.
        **hash == *attempt.hash && hmac::verify(&self.key, &message(who, &attempt.secret), tag.as_ref()).is_ok()
    }

    /// When somebody may try, as far as wrong passwords from there say.
    fn due_here(&self, now: Instant, one: &Waiting) -> Instant {
        match self.friends.get(&(one.attempt.origin, one.name)) {
            Some(friend) => friend.delay.until,
            None => self.origins.get(&one.attempt.origin).map_or(now, |delay| delay.until),
        }
    }

    /// When somebody may try. Of what others try for the same user nobody has to wait for more
    /// than one delay, however many they are.
    fn due(&self, now: Instant, one: &Waiting) -> Instant {
        let here = self.due_here(now, one);
        match self.users.get(&one.name) {
            Some(delay) if !self.friends.contains_key(&(one.attempt.origin, one.name)) => {
                here.max(delay.until.min(one.since + MOST_DELAY_OF_USER))
            }
            _ => here,
        }
    }

    /// Whether the `ahead`th in a queue would wait longer than is sensible, if those before
    /// are wrong.
    fn lasts_too_long(&self, now: Instant, one: &Waiting, ahead: usize) -> bool {
        let origin = one.attempt.origin;
        let mut from = self.due(now, one);
        if !self.friends.contains_key(&(origin, one.name))
            && let Some(delay) = self.origins.get(&origin).filter(|d| d.wrong > FREE)
        {
            let each = pause(delay.wrong + 1, FREE, MOST_DELAY).millis();
            let more = u64::from(each).saturating_mul(ahead as u64).min(u64::from(u32::MAX));
            from = from + Duration::from_millis(more as u32);
        }
        from > now + PATIENCE
    }

    fn punish(&mut self, now: Instant, origin: Origin, name: u64) {
        if let Some(friend) = self.friends.get_mut(&(origin, name)) {
            friend.delay.add_wrong(now, FREE, MOST_DELAY);
        }
        add_wrong(&mut self.origins, origin, now, FREE, MOST_DELAY);
        add_wrong(&mut self.users, name, now, FREE_OF_USER, MOST_DELAY_OF_USER);
    }

    /// After a wrong password others of the same origin may have to wait too long.
    fn send_away(&mut self, now: Instant, origin: Origin) {
        let Some(queue) = self.queues.get_mut(&origin) else { return };
        let all = std::mem::take(&mut queue.waiting);
        let mut stay = VecDeque::with_capacity(all.len());
        for one in all {
            if self.lasts_too_long(now, &one, stay.len()) {
                self.tell(one.attempt.station, Outcome::Refused);
            } else {
                stay.push_back(one);
            }
        }
        if let Some(queue) = self.queues.get_mut(&origin) {
            queue.waiting = stay;
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
    table.entry(key).or_insert(Delay { wrong: 0, last: now, until: now }).add_wrong(now, free, most);
}

impl Delay {
    fn add_wrong(&mut self, now: Instant, free: u32, most: Duration) {
        if self.last + FORGET <= now {
            self.wrong = 0;
        }
        self.wrong = self.wrong.saturating_add(1);
        self.last = now;
        self.until = now + pause(self.wrong, free, most);
    }
}

#[cfg(test)]
mod tests;
