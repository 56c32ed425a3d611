//! Stations that have said a password, from there until it is known whether it is right.
//!
//! Owns: what is counted and logged. Does not own whose turn it is (`daemon/sign_in.rs`), nor the
//! thread that looks at passwords (`daemon/verifier.rs`), nor what the router says to the
//! station then, nor what that had said behind its hello (`held.rs`). No log line
//! has anything in it that a station gave as name or password, but for names of users that there are.

use std::sync::Arc;

use chappe_core::id::StationId;
use chappe_core::router::Verdict;
use chappe_core::time::Instant;
use tracing::{debug, error, warn};

use super::{EventLoop, second};
use crate::daemon::connection::Kind;
use crate::daemon::gate::Asked;
use crate::daemon::peers::Peer;
use crate::daemon::sign_in::{Attempt, Origin, Outcome, SignIns};
use crate::daemon::verifier::Verifier;

/// Whoever is no user: what somebody gave as a name may be a password, mistyped.
const UNKNOWN: &str = "(unknown)";

const LATER: &str = "too many wrong passwords from your address, or for this user: try again in a minute";
const NEVER: &str = "the node cannot look at passwords now";

impl EventLoop<'_> {
    /// A station has said a password. `true`: it is known already what becomes of it.
    #[cold]
    pub(super) fn sign_in(&mut self, now: Instant, asked: Asked) -> bool {
        let Asked { station, name, secret } = asked;
        let Some(origin) = self.origin(station) else {
            self.lose(now, station, "it ended the connection");
            return true;
        };
        let Some((who, hash)) = self.users.password_of(&name) else {
            let user = if self.users.has(&name) { name } else { UNKNOWN.into() };
            self.log_wrong(now, station, &user, origin);
            self.router.verified(now, station, Verdict::Denied);
            return true;
        };
        if self.sign_ins.is_none() {
            self.sign_ins = SignIns::new();
        }
        let Some(sign_ins) = &mut self.sign_ins else {
            error!(event = "sign_in.impossible", detail = "no random bytes", "passwords cannot be looked at");
            self.router.verified(now, station, Verdict::Busy(NEVER));
            return true;
        };
        sign_ins.ask(now, Attempt { station, origin, name, secret: Arc::new(secret), who, hash });
        self.go_on_with_sign_ins(now);
        !self.router.is_unverified(station)
    }

    /// Where a station is. `None`: it is gone; a connection that was reset has no address.
    pub(super) fn origin(&mut self, id: StationId) -> Option<Origin> {
        Some(match self.peers.get(id)? {
            Peer::Stream(connection) => match (connection.kind, connection.who.uid()) {
                (Kind::Tcp, _) => connection.peer()?.ip().into(),
                (_, Some(uid)) => Origin::User(uid),
                (_, None) => Origin::Here,
            },
            Peer::Datagram(_, address) => Origin::of_datagram(address.ip()),
        })
    }

    /// Hands the next password to the verifier, and tells whoever can be told.
    pub(super) fn go_on_with_sign_ins(&mut self, now: Instant) {
        let Some(sign_ins) = &mut self.sign_ins else { return };
        if let Some(verifier) = &self.verifier {
            while let Some(done) = verifier.take() {
                sign_ins.done(now, done);
            }
        }
        while let Some(job) = sign_ins.next(now) {
            let number = job.number;
            if self.verifier.is_none() {
                self.verifier = Verifier::start(self.waker.clone())
                    .inspect_err(|e| error!(event = "sign_in.impossible", detail = %e, "passwords cannot be looked at"))
                    .ok();
            }
            if self.verifier.as_ref().is_some_and(|v| v.begin(job)) {
                break;
            }
            // It has died, or never lived: another one for the next password.
            self.verifier = None;
            sign_ins.give_up(number);
        }
        for (station, outcome) in sign_ins.told() {
            self.tell_sign_in(now, station, outcome);
        }
    }

    fn tell_sign_in(&mut self, now: Instant, id: StationId, outcome: Outcome) {
        let station = id.number();
        let verdict = match outcome {
            Outcome::Right(who) | Outcome::Remembered(who) => {
                if matches!(outcome, Outcome::Right(_)) {
                    self.counts.passwords_right += 1;
                } else {
                    self.counts.passwords_remembered += 1;
                }
                self.users.seat(id, who);
                let user = self.users.name(who).unwrap_or_default();
                debug!(event = "sign_in.right", station, user, "signed in");
                self.users.grant_of(who).map_or(Verdict::Denied, Verdict::Granted)
            }
            Outcome::Wrong { origin, who } => {
                let user = who.and_then(|who| self.users.name(who)).unwrap_or_else(|| UNKNOWN.into());
                self.log_wrong(now, id, &user, origin);
                Verdict::Denied
            }
            Outcome::Refused => {
                self.counts.passwords_refused += 1;
                debug!(event = "sign_in.refused", station, "not looked at, after too many wrong ones");
                Verdict::Busy(LATER)
            }
        };
        self.router.verified(now, id, verdict);
        self.resume(id);
    }

    /// Who has said something wrong, once a second.
    fn log_wrong(&mut self, now: Instant, id: StationId, user: &str, origin: Origin) {
        self.counts.passwords_wrong += 1;
        let (station, so_far) = (id.number(), self.counts.passwords_wrong);
        if now >= self.sign_in_log {
            self.sign_in_log = now + second();
            warn!(event = "sign_in.wrong", station, user, from = %origin, so_far, "wrong user, password or token");
        } else {
            debug!(event = "sign_in.wrong", station, user, from = %origin, so_far, "wrong user, password or token");
        }
    }

    /// A station is gone.
    pub(super) fn forget_sign_in(&mut self, id: StationId) {
        self.users.unseat(id);
        if let Some(sign_ins) = &mut self.sign_ins {
            sign_ins.forget(id);
        }
    }

    /// The users are others now.
    pub(super) fn reload_sign_ins(&mut self) {
        if let Some(sign_ins) = &mut self.sign_ins {
            sign_ins.reload(|who, hash| self.users.has_still(who, hash), |name| self.users.password_of(name));
        }
    }

    /// Whether a station has to wait for the verdict on its password.
    pub(super) fn waits(&self, id: StationId) -> bool {
        self.sign_ins.is_some() && self.router.is_unverified(id)
    }
}
