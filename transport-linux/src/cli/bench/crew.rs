//! Several stations in one poll loop.

use std::time::{Duration, Instant};

use chappe_core::client::Event;
use chappe_core::dialect::messi::repr::{Code, Join};
use chappe_linux::client::{Client, Error, Link, Options, Outcome, Why};
use mio::{Events, Poll, Token};

use crate::cli::connect::Global;
use crate::cli::exit::{Failure, Status};

/// How often stations that nothing comes for are looked after.
const CARE: Duration = Duration::from_millis(100);

pub(super) struct Crew {
    poll: Poll,
    events: Events,
    pub(super) links: Vec<Link>,
    /// Those with something to read that the poll does not tell again.
    more: Vec<usize>,
    care: Instant,
}

impl Crew {
    /// Connects `n` stations.
    pub(super) fn new(n: usize, size: usize, global: &Global) -> Result<Self, Failure> {
        let poll = Poll::new().map_err(|e| Failure::io("cannot make a poll", &e))?;
        let base = global.options()?;
        let options = Options {
            name: "bench".into(),
            max_frame: size + 1024,
            outbox: (size + 1024) * 256,
            script: 1024,
            calls: 128,
            ..base
        };
        let address = global.address()?;
        let links = (0..n).map(|_| Link::new(address.clone(), &options)).collect();
        let mut crew =
            Crew { poll, events: Events::with_capacity(1024), links, more: Vec::new(), care: Instant::now() };
        let until = Instant::now() + global.timeout;
        let (mut ready, mut failed) = (0, None);
        // A few hundred at a time: a listener's backlog has a limit.
        for from in (0..n).step_by(200) {
            let to = (from + 200).min(n);
            for i in from..to {
                crew.turn_one(i, &mut |_, _, _| {});
            }
            while ready < to {
                crew.turn(CARE, &mut |_, _, event| match event {
                    Event::Ready(_) => ready += 1,
                    Event::Refused(o) => failed = Some((Why::Refused, Some(Outcome::from(&o)))),
                    Event::Disconnected { why, .. } if failed.is_none() => failed = Some((why, None)),
                    _ => {}
                })?;
                if failed.is_some() || Instant::now() > until {
                    let problem = crew.links.iter_mut().find_map(Link::take_problem);
                    return Err(match failed {
                        Some((_, Some(outcome))) => Error::Refused { address, outcome },
                        Some((why, None)) => Error::Connect { address, why, problem },
                        None => Error::Connect { address, why: Why::Unreachable, problem },
                    }
                    .into());
                }
            }
        }
        Ok(crew)
    }

    /// Lets station `i` join.
    pub(super) fn join(&mut self, i: usize, name: &str, exclusive: bool) -> Result<(), Failure> {
        let join = Join { seq: 1, name, exclusive, ..Join::default() };
        self.links[i].client().join(&join).map_err(Error::from)?;
        self.links[i].flush();
        let until = Instant::now() + Duration::from_secs(5);
        let mut outcome = None;
        while outcome.is_none() && Instant::now() < until {
            self.turn(CARE, &mut |from, _, event| {
                if let (true, Event::Outcome(o)) = (from == i, event) {
                    outcome = Some(Outcome::from(&o));
                }
            })?;
        }
        match outcome {
            Some(o) if o.code == Code::Ok => Ok(()),
            Some(o) => Err(Failure::about(format_args!("cannot join {name}"), Error::Answered(o))),
            None => Err(Failure::about(format_args!("cannot join {name}"), Error::TimedOut)),
        }
    }

    /// Waits at most so long for something to happen, and deals with it.
    pub(super) fn turn(
        &mut self,
        timeout: Duration,
        on: &mut dyn FnMut(usize, &mut Client<'static>, Event<'_>),
    ) -> Result<(), Failure> {
        let timeout = if self.more.is_empty() { timeout.min(CARE) } else { Duration::ZERO };
        match self.poll.poll(&mut self.events, Some(timeout)) {
            Ok(()) => {}
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(e) => return Err(Failure::io("poll failed", &e)),
        }
        let mut due = std::mem::take(&mut self.more);
        for event in &self.events {
            let i = event.token().0;
            self.links[i].ready(event);
            due.push(i);
        }
        let now = Instant::now();
        if now >= self.care {
            self.care = now + CARE;
            due.extend((0..self.links.len()).filter(|&i| self.links[i].deadline().is_some_and(|d| d <= now)));
        }
        for i in due {
            self.turn_one(i, on);
        }
        Ok(())
    }

    fn turn_one(&mut self, i: usize, on: &mut dyn FnMut(usize, &mut Client<'static>, Event<'_>)) {
        if self.links[i].turn(self.poll.registry(), Token(i), |client, event| on(i, client, event)) {
            self.more.push(i);
        }
    }

    /// Fails if a station has lost its connection meanwhile: what was measured means nothing.
    pub(super) fn check(&mut self) -> Result<(), Failure> {
        if self.links.iter_mut().all(|l| l.client().is_ready()) {
            return Ok(());
        }
        Err(Failure::Because(Status::Connect, "a connection was lost while measuring".into()))
    }

    /// Says goodbye, as far as that goes without waiting.
    pub(super) fn leave(mut self) {
        for link in &mut self.links {
            let now = link.now();
            link.client().goodbye(now);
            link.flush();
        }
    }
}
