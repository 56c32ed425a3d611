//! The server that this daemon is a slave of, over a link of Net::Clacks (`wire/clacks.md`
//! section 12.5): where it is, when it is tried, and how far that has come.
//!
//! Owns: the times of attempts, what is said in a log about one that fails, and the connection
//! until it is a station. Does not own sockets and turns (`event_loop/master.rs`), nor what is
//! said over the link (the core's router).
//!
//! | state | what ends it |
//! |---|---|
//! | waiting | the time for the next attempt |
//! | looking up | a thread has found addresses, or [`LOOK_UP_WITHIN`] |
//! | connecting | the kernel says so, or [`CONNECT_WITHIN`] for each address |
//! | handshake | the certificate is believed, or [`HANDSHAKE_WITHIN`] |
//! | station | the router or the peer lets go |

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::net::SocketAddr;

use chappe_core::dialect::clacks::RECONNECT_JITTER;
use chappe_core::id::StationId;
use chappe_core::router::{LinkStage, Reason};
use chappe_core::time::{Duration, Instant};

use super::connection::Connection;
use crate::config::{self, MasterAddress};
use crate::tls::Trust;

/// How long a connect to one address may take.
pub(super) const CONNECT_WITHIN: Duration = Duration::from_secs(5);

/// How long the look-up of a name may take: longer than a resolver needs that asks a second
/// server because the first one is dead.
pub(super) const LOOK_UP_WITHIN: Duration = Duration::from_secs(15);

/// How long the TLS handshake may take.
pub(super) const HANDSHAKE_WITHIN: Duration = Duration::from_secs(10);

/// Addresses of one name that are tried in one attempt.
pub(super) const ADDRESSES: usize = 4;

/// How far an attempt has come.
#[derive(Debug)]
pub(super) enum State {
    Waiting,
    /// The number tells its answer from that of an attempt that was given up.
    LookingUp {
        number: u64,
        until: Instant,
    },
    Connecting(Dial),
    Shaking(Dial),
    Station(Station),
}

/// A connection that is no station yet.
#[derive(Debug)]
pub(super) struct Dial {
    pub(super) connection: Connection,
    pub(super) until: Instant,
    /// Where else it may be, in reverse order.
    pub(super) others: Vec<SocketAddr>,
}

/// A connection that is one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Station {
    pub(super) id: StationId,
    pub(super) since: Instant,
    /// What was last seen of it.
    pub(super) stage: LinkStage,
}

/// Why there is no link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Why {
    /// A stable name.
    pub(super) reason: &'static str,
    /// What happened, for people.
    pub(super) text: String,
    /// What they can do; empty: nothing but to wait.
    pub(super) advice: &'static str,
    /// The master, or what is there, does not want us, or we do not want it: no trouble of a
    /// network or a machine.
    pub(super) is_refusal: bool,
}

impl Why {
    pub(super) fn failed(reason: &'static str, text: impl fmt::Display) -> Why {
        Why { reason, text: text.to_string(), advice: "", is_refusal: false }
    }

    pub(super) fn refused(reason: &'static str, text: impl fmt::Display, advice: &'static str) -> Why {
        Why { reason, text: text.to_string(), advice, is_refusal: true }
    }

    /// The router has let go of the station. `said`: what the master has called an error.
    pub(super) fn closed(reason: Reason, said: &str) -> Why {
        let (is_refusal, advice) = match reason {
            Reason::LinkRefused => (
                true,
                "check clacks.link_user and clacks.link_password_file here, and that the master knows this user with this \
                 password and lets it link",
            ),
            Reason::Credentials => (
                true,
                "it names a user that is not known here, or another password: both servers need the same user for links; \
                 add it to [[users]] here with the right \"link\"",
            ),
            Reason::LinkLoop => {
                (true, "set clacks.master.address to a server that is not below this one, or take it away")
            }
            Reason::NotIntroduced => (
                true,
                "is that a server of Net::Clacks, and has it this node's user for links with the right to link? \
                 clacks.login_within_ms is how long it is waited for",
            ),
            _ => (false, ""),
        };
        let text = match said {
            "" => reason.text().to_owned(),
            said => format!("{}; it has said: {said}", reason.text()),
        };
        Why { reason: reason.name(), text, advice, is_refusal }
    }
}

/// The master, and the way to it.
pub(super) struct Master {
    pub(super) address: MasterAddress,
    /// `None`: no TLS is spoken there.
    pub(super) trust: Option<Trust>,
    /// Whoever answers.
    is_believed: bool,
    reconnect_after: Duration,
    pub(super) state: State,
    /// When the last attempt began, and when the next one does at the earliest.
    attempt: Instant,
    next: Instant,
    /// Why the last one failed, if it was told and no link has come about since.
    told: Option<Why>,
    random: RandomState,
}

impl fmt::Debug for Master {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Master").field("address", &self.address).field("state", &self.state).finish_non_exhaustive()
    }
}

impl Master {
    /// What the configuration says; the first attempt is due at once. `None`: it names none.
    pub(super) fn new(config: &config::Master, now: Instant) -> Option<Master> {
        Some(Master {
            address: config.address.clone()?,
            trust: config.trust.clone(),
            is_believed: config.insecure,
            reconnect_after: Duration::from_millis(config.reconnect_after_ms),
            state: State::Waiting,
            attempt: now,
            next: now,
            told: None,
            random: RandomState::new(),
        })
    }

    /// What has been read again becomes what is gone by; a link that is there stays there.
    /// `fresh` is at the same address.
    pub(super) fn take(&mut self, fresh: Master) {
        (self.trust, self.is_believed, self.reconnect_after) = (fresh.trust, fresh.is_believed, fresh.reconnect_after);
        // What was told may have been put right: if not, it is told again.
        self.told = None;
    }

    /// Whether whoever answers is believed.
    pub(super) fn is_unverified(&self) -> bool {
        self.trust.is_some() && self.is_believed
    }

    /// Whether it is time for an attempt.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        matches!(self.state, State::Waiting) && self.next <= now
    }

    /// One begins.
    pub(super) fn begin(&mut self, now: Instant) {
        self.attempt = now;
        self.next = now + self.pause();
    }

    /// From one attempt to the next, so that not all slaves come back at once.
    fn pause(&self) -> Duration {
        let most = RECONNECT_JITTER.millis().min(self.reconnect_after.millis() / 10 * 3);
        let more = self.random.hash_one(self.attempt.millis()) % (u64::from(most) + 1);
        Duration::from_millis(self.reconnect_after.millis().saturating_add(more as u32))
    }

    /// There is no link, and none is under way. Whether why is news.
    pub(super) fn fail(&mut self, now: Instant, why: &Why) -> bool {
        if let State::Station(station) = &self.state
            && station.stage != LinkStage::Synced
        {
            // Else one that is dropped late would be back at once, for example one that locks
            // and says nothing more.
            self.next = self.next.max(now + self.pause());
        }
        self.state = State::Waiting;
        let is_news = self.told.as_ref().is_none_or(|told| told.reason != why.reason);
        self.told = Some(why.clone());
        is_news
    }

    /// There is a link: whatever goes wrong from here on is news.
    pub(super) fn works(&mut self) {
        self.told = None;
    }

    /// When something has to be done if nothing else happens.
    pub(super) fn deadline(&self) -> Option<Instant> {
        match &self.state {
            State::Waiting => Some(self.next),
            State::LookingUp { until, .. } => Some(*until),
            State::Connecting(dial) | State::Shaking(dial) => Some(dial.until),
            State::Station(_) => None,
        }
    }

    /// The station, if it is one.
    pub(super) fn station(&self) -> Option<Station> {
        match &self.state {
            State::Station(station) => Some(*station),
            _ => None,
        }
    }

    /// Whether there is more to read of a handshake.
    pub(super) fn is_queued(&self) -> bool {
        matches!(&self.state, State::Shaking(dial) if dial.connection.queued)
    }

    /// How long until the next attempt, in milliseconds.
    pub(super) fn again_ms(&self, now: Instant) -> u32 {
        self.next.since(now).millis()
    }

    /// For the status: a text, and since when or from when.
    pub(super) fn about(&self) -> (String, Option<Instant>) {
        let address = &self.address;
        let before = self.told.as_ref().map(|why| format!(" ({})", why.reason)).unwrap_or_default();
        match &self.state {
            State::Waiting => (format!("not linked{before}: {address}"), Some(self.next)),
            State::LookingUp { .. } | State::Connecting(_) | State::Shaking(_) => {
                (format!("connecting{before}: {address}"), Some(self.attempt))
            }
            State::Station(station) => {
                let stage = match station.stage {
                    LinkStage::Opening | LinkStage::Useless => "logging in",
                    LinkStage::Known => "linked",
                    LinkStage::Receiving => "linked, receiving its values",
                    LinkStage::Synced => "linked, in step",
                };
                let before = if station.stage == LinkStage::Opening { before } else { String::new() };
                (format!("{stage}{before}: {address}"), Some(station.since))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Instant {
        Instant::from_millis(ms)
    }

    fn master(reconnect_after_ms: u32) -> Master {
        let address = Some(MasterAddress::Unix("/run/m".into()));
        let config = config::Master { address, reconnect_after_ms, ..config::Master::default() };
        Master::new(&config, at(1000)).unwrap()
    }

    #[test]
    fn attempts_are_never_closer_than_agreed_and_do_not_all_come_at_once() {
        let mut all = Vec::new();
        for _ in 0..100 {
            let mut master = master(30_000);
            assert!(master.is_due(at(1000)));
            master.begin(at(1000));
            let _ = master.fail(at(1500), &Why::failed("x", "y"));
            all.push(master.deadline().unwrap().millis());
        }
        assert!(all.iter().all(|at| (31_000..=40_000).contains(at)), "{all:?}");
        all.sort_unstable();
        all.dedup();
        assert!(all.len() > 50, "{all:?}");
        let mut quick = master(100);
        quick.begin(at(1000));
        assert!((1100..=1130).contains(&quick.deadline().unwrap().millis()));
    }

    #[test]
    fn a_link_that_was_in_step_is_back_by_the_attempt_and_another_by_its_end() {
        for (stage, least) in
            [(LinkStage::Synced, 31_000), (LinkStage::Receiving, 130_000), (LinkStage::Opening, 130_000)]
        {
            let mut master = master(30_000);
            master.begin(at(1000));
            let id = StationId::new(5).unwrap();
            master.state = State::Station(Station { id, since: at(1000), stage });
            let _ = master.fail(at(100_000), &Why::closed(Reason::Silent, ""));
            let next = master.deadline().unwrap().millis();
            assert!((least..=least + 9000).contains(&next), "{stage:?}: {next}");
        }
    }

    #[test]
    fn each_reason_is_news_once() {
        let mut master = master(1000);
        let (a, b) = (Why::failed("connect", "1"), Why::closed(Reason::LinkRefused, "Login failed!"));
        assert!(b.text.ends_with("it has said: Login failed!") && b.is_refusal && b.advice.contains("link_user"));
        let news: Vec<bool> = [&a, &a, &b, &b, &a].map(|why| master.fail(at(5000), why)).to_vec();
        assert_eq!(news, [true, false, true, false, true]);
        master.works();
        assert!(master.fail(at(5000), &a));
    }
}
