//! Stations whose credentials are being looked at.
//!
//! Owns: that such a station neither hears nor says anything until the gate knows, and what
//! becomes of it then. A gate that makes wrong passwords slow on purpose cannot answer while
//! a frame is handled: the station stays as it is, what it says next stays with the shell,
//! and [`Router::verified`] goes on where its hello had stopped. The time that it has for its
//! hello goes on running meanwhile.

use super::hear::StationName;
use super::stations::{Life, Unverified};
use super::{Reason, Router, Verdict};
use crate::id::StationId;
use crate::model::{Code, Hello};
use crate::time::Instant;

const WRONG: &str = "wrong user or token";

impl Router<'_> {
    /// Whether a station has said who it is and [`Router::verified`] has not told yet whether
    /// that is so.
    #[inline]
    pub fn is_unverified(&self, id: StationId) -> bool {
        self.stations.find(id).is_some_and(|n| self.stations[n].unverified.is_some())
    }

    /// Whether a station is not heard for now: it has said who it is and [`Router::verified`]
    /// has not told yet whether that is so, or it waits for what it wanted before.
    /// [`Router::receive`] takes nothing from it, not a single frame: keep what it did not take,
    /// read no more, and offer it again after `verified`, or when [`Action::Resume`] says so. Of
    /// a datagram the rest may be dropped instead.
    ///
    /// [`Action::Resume`]: super::Action::Resume
    #[inline]
    pub fn is_paused(&self, id: StationId) -> bool {
        self.stations.find(id).is_some_and(|n| self.stations[n].is_paused())
    }

    /// Whether a station has been let in. Who has not may say no more than a hello: a shell
    /// that reads little of it at a time keeps little for it while it is unverified.
    #[inline]
    pub fn is_introduced(&self, id: StationId) -> bool {
        self.stations.find(id).is_some_and(|n| self.stations[n].introduced)
    }

    /// What the gate has found out about a station after it had said [`Verdict::Later`]. For
    /// one that is gone, or of which nothing is to be found out, it does nothing.
    pub fn verified(&mut self, now: Instant, id: StationId, verdict: Verdict) {
        self.clock(now);
        let Some(n) = self.stations.find(id) else { return };
        let st = &mut self.stations[n];
        #[cfg(feature = "clacks")]
        if st.session.dialect() == crate::dialect::Dialect::Clacks {
            if st.lives() && verdict != Verdict::Later && st.unverified.take().is_some() {
                self.judge_login(n, verdict);
                self.reap();
            }
            return;
        }
        #[cfg(feature = "communicator")]
        if st.session.dialect() == crate::dialect::Dialect::Communicator {
            if st.lives() && verdict != Verdict::Later && st.unverified.take().is_some() {
                self.judge_wish(n, verdict);
                self.reap();
            }
            return;
        }
        if st.life != Life::New || verdict == Verdict::Later {
            return;
        }
        let Some(Unverified { seq, max_frame, silence_ms }) = st.unverified.take() else { return };
        let name = core::mem::take(&mut st.name);
        let hello = Hello { seq, max_frame, silence_ms, ..Hello::default() };
        self.judge(n, &hello, name, verdict);
        self.reap();
    }

    /// A hello with a user or a secret in it.
    pub(super) fn hello_of_user(&mut self, n: u32, h: &Hello<'_>, name: StationName) {
        let id = self.stations.id(n);
        match self.settings.gate.decide(id, h.user, h.token) {
            Verdict::Later => {
                let st = &mut self.stations[n];
                st.name = name;
                st.unverified = Some(Unverified { seq: h.seq, max_frame: h.max_frame, silence_ms: h.silence_ms });
            }
            verdict => self.judge(n, h, name, verdict),
        }
    }

    fn judge(&mut self, n: u32, h: &Hello<'_>, name: StationName, verdict: Verdict) {
        match verdict {
            Verdict::Granted(grant) => self.introduce(n, h, name, Some(grant), WRONG),
            Verdict::Busy(text) => {
                self.outcome(n, h.seq, Code::Full, text);
                self.doom(n, Reason::Unchecked);
            }
            Verdict::Denied | Verdict::Later => self.introduce(n, h, name, None, WRONG),
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use crate::dialect::messi::wire::{Writer, kind};
    use crate::model::{ClientToServer, Join, ServerToClient};
    use crate::router::{Action, Counter, Gate, Grant, Newcomer, Rights, Settings};
    use crate::storage::Storage;
    use std::boxed::Box;
    use std::vec::Vec;

    /// Says later to everybody but `busy`.
    struct Slow;

    impl Gate for Slow {
        fn check(&self, _: &str, _: &[u8]) -> Option<Grant> {
            panic!("the router asks for a decision")
        }
        fn decide(&self, _: StationId, user: &str, _: &[u8]) -> Verdict {
            if user == "busy" { Verdict::Busy("come back later") } else { Verdict::Later }
        }
        fn allows(&self, _: Grant, _: Rights, _: &str) -> bool {
            true
        }
    }

    static SLOW: Slow = Slow;

    fn frame<'f>(m: impl Into<ClientToServer<'f>>) -> Vec<u8> {
        let m = m.into();
        let mut out = std::vec![0; 4 + m.len()];
        out[..4].copy_from_slice(&(m.len() as u32 | u32::from(kind::CLIENT_TO_SERVER) << 24).to_be_bytes());
        m.write(&mut Writer::new(&mut out[4..]));
        out
    }

    fn router() -> Router<'static> {
        let storage: &'static mut Storage = Box::leak(Box::default());
        storage.router(Settings::new("n", "1", &SLOW), Instant::ZERO).unwrap()
    }

    fn hello(user: &str) -> Vec<u8> {
        frame(Hello { seq: 7, name: "b1", user, token: b"x", ..Hello::default() })
    }

    fn at(ms: u64) -> Instant {
        Instant::from_millis(ms)
    }

    /// What a station is told, and why it is closed.
    fn told(router: &mut Router<'_>, now: Instant, id: StationId) -> (Vec<Code>, Option<Reason>) {
        let (mut codes, mut why) = (Vec::new(), None);
        while let Some(action) = router.next_action(now) {
            match action {
                Action::Write(of) => {
                    assert_eq!(of, id);
                    let bytes: Vec<u8> = router.output(id).flatten().copied().collect();
                    let mut rest = &bytes[..];
                    while let [_, a, b, c, more @ ..] = rest {
                        let (payload, after) = more.split_at(u32::from_be_bytes([0, *a, *b, *c]) as usize);
                        codes.push(match ServerToClient::read(payload).unwrap().0 {
                            ServerToClient::Welcome(w) if w.seq == 7 => Code::Ok,
                            ServerToClient::Outcome(o) => o.code,
                            ServerToClient::Closing(c) => c.code,
                            other => panic!("{other:?}"),
                        });
                        rest = after;
                    }
                    router.sent(now, id, bytes.len());
                }
                Action::Resume(_) => {}
                Action::Close(of, reason) => {
                    assert_eq!(of, id);
                    why = Some(reason);
                }
            }
        }
        (codes, why)
    }

    #[test]
    fn what_a_station_says_meanwhile_waits_and_nothing_is_lost() {
        let mut router = router();
        let id = router.admit(at(1), Newcomer::default()).unwrap();
        let first = hello("anna");
        let mut bytes = first.clone();
        bytes.extend(frame(Join { seq: 8, name: "x", ..Join::default() }));
        assert_eq!(router.receive(at(1), id, &bytes), first.len());
        assert!(router.is_unverified(id) && !router.is_introduced(id));
        assert_eq!(router.receive(at(2), id, &bytes[first.len()..]), 0, "not a single frame");
        assert_eq!(told(&mut router, at(2), id), (std::vec![], None), "and it hears nothing");
        let grant = Grant { rights: Rights::READ, restricted: false, number: 3 };
        router.verified(at(3), id, Verdict::Later);
        assert!(router.is_unverified(id), "that was no news");
        router.verified(at(3), id, Verdict::Granted(grant));
        assert!(!router.is_unverified(id) && router.is_introduced(id));
        assert_eq!(router.station_name(id), "b1");
        assert_eq!(router.receive(at(3), id, &bytes[first.len()..]), bytes.len() - first.len());
        assert_eq!(told(&mut router, at(3), id), (std::vec![Code::Ok, Code::Ok], None));
        // a second word on it changes nothing
        router.verified(at(4), id, Verdict::Denied);
        assert_eq!(told(&mut router, at(4), id), (std::vec![], None));
    }

    #[test]
    fn wrong_and_unchecked_are_told_and_closed() {
        for (verdict, code, why, counter) in [
            (Verdict::Denied, Code::BadCredentials, Reason::Credentials, Counter::ClosedCredentials),
            (Verdict::Busy("later"), Code::Full, Reason::Unchecked, Counter::ClosedUnchecked),
            (Verdict::Granted(Grant::default()), Code::BadCredentials, Reason::Credentials, Counter::ClosedCredentials),
        ] {
            let mut router = router();
            let id = router.admit(at(1), Newcomer::default()).unwrap();
            let bytes = hello("anna");
            assert_eq!(router.receive(at(1), id, &bytes), bytes.len());
            router.verified(at(2), id, verdict);
            assert_eq!(told(&mut router, at(2), id), (std::vec![code, code], Some(why)));
            assert_eq!(router.counters().get(counter), 1);
        }
        let mut router = router();
        let id = router.admit(at(1), Newcomer::default()).unwrap();
        let bytes = hello("busy");
        assert_eq!(router.receive(at(1), id, &bytes), bytes.len());
        assert_eq!(told(&mut router, at(1), id), (std::vec![Code::Full, Code::Full], Some(Reason::Unchecked)));
    }

    #[test]
    fn the_time_for_hello_goes_on_and_a_verdict_that_comes_late_finds_nobody() {
        let mut router = router();
        let id = router.admit(at(1), Newcomer::default()).unwrap();
        let bytes = hello("anna");
        assert_eq!(router.receive(at(1), id, &bytes), bytes.len());
        router.tick(at(20_000));
        let (_, why) = told(&mut router, at(20_000), id);
        assert_eq!(why, Some(Reason::NotIntroduced));
        router.verified(at(20_001), id, Verdict::Granted(Grant::anonymous(Rights::ALL)));
        assert_eq!(router.counters().get(Counter::Introduced), 0);
        assert!(!router.is_unverified(id));
    }
}
