//! The responder: whether a question is answered.
//!
//! Owns: the rules for questions, in the order of `docs/discovery.md`, and how often anybody
//! is answered. Does not own sockets, nor which listeners an asker can reach.

use super::message::{Answer, Fault, Ports, Question, is_same_node};
use super::{ANSWER, is_near};
use crate::time::{Duration, Instant};
use core::net::IpAddr;

/// Sources whose questions are counted apart.
const SOURCES: usize = 64;

/// One source is answered so often at once, and once a second in the long run.
const SOURCE: Limit = Limit { burst: 4, every: Duration::from_secs(1) };

/// All together are answered so often at once, and 25 times a second in the long run.
const TOTAL: Limit = Limit { burst: 50, every: Duration::from_millis(40) };

/// Why a question is not answered. Nobody is told: what is sent to a source that somebody
/// else has written there would be for a stranger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Silence {
    /// It comes from outside of the local network.
    Far,
    /// It is no question.
    Fault(Fault),
    /// It is for another node.
    OtherNode,
    /// Its source has been answered often enough for now.
    Source,
    /// Everybody together has.
    Total,
    /// Nothing that the asker wants listens where it can reach it.
    Nothing,
}

impl Silence {
    /// For people.
    pub const fn text(self) -> &'static str {
        match self {
            Silence::Far => "it comes from outside of the local network",
            Silence::Fault(fault) => fault.text(),
            Silence::OtherNode => "it is for another node",
            Silence::Source => "its source was answered often enough for now",
            Silence::Total => "enough was answered for now",
            Silence::Nothing => "nothing that it wants listens where it could reach it",
        }
    }
}

/// So many at once, and then one each so often.
#[derive(Debug)]
struct Limit {
    burst: u32,
    every: Duration,
}

impl Limit {
    /// Counts one more, if it may be. `used_up`: until when the past is paid for.
    fn take(&self, now: Instant, used_up: &mut Instant) -> bool {
        let ahead = Duration::from_millis(self.every.millis() * (self.burst - 1));
        if used_up.since(now) > ahead {
            return false;
        }
        *used_up = (*used_up).max(now) + self.every;
        true
    }
}

/// Decides for one node.
#[derive(Debug)]
pub struct Responder {
    sources: heapless::Vec<(IpAddr, Instant), SOURCES>,
    total: Instant,
}

impl Default for Responder {
    fn default() -> Self {
        Responder::new()
    }
}

impl Responder {
    /// One that has answered nobody yet.
    pub const fn new() -> Self {
        Responder { sources: heapless::Vec::new(), total: Instant::ZERO }
    }

    /// The question that a datagram asks this node, if it is to be answered.
    ///
    /// # Errors
    ///
    /// It is not.
    pub fn hear<'d>(
        &mut self,
        now: Instant,
        from: IpAddr,
        datagram: &'d [u8],
        node: &str,
    ) -> Result<Question<'d>, Silence> {
        if !is_near(from) {
            return Err(Silence::Far);
        }
        let question = Question::read(datagram).map_err(Silence::Fault)?;
        if !question.node.is_empty() && !is_same_node(question.node, node) {
            return Err(Silence::OtherNode);
        }
        if !SOURCE.take(now, self.source(from)) {
            return Err(Silence::Source);
        }
        if !TOTAL.take(now, &mut self.total) {
            return Err(Silence::Total);
        }
        Ok(question)
    }

    /// The answer, if there is one: how many octets it has. `ports`: what the asker can reach.
    ///
    /// # Errors
    ///
    /// It wants nothing of that.
    pub fn answer(question: &Question<'_>, node: &str, ports: Ports, out: &mut [u8; ANSWER]) -> Result<usize, Silence> {
        let ports = ports.only(question.wants);
        if ports.is_empty() {
            return Err(Silence::Nothing);
        }
        Ok(Answer { nonce: question.nonce, node, ports }.write(out))
    }

    /// What a source has used up. If there is no room for it, the one that has waited longest
    /// is forgotten: whoever writes many sources soon meets the limit of all together.
    fn source(&mut self, from: IpAddr) -> &mut Instant {
        let known = self.sources.iter().position(|(ip, _)| *ip == from);
        let at = known.unwrap_or_else(|| match self.sources.push((from, Instant::ZERO)) {
            Ok(()) => self.sources.len() - 1,
            Err(new) => {
                let rows = self.sources.iter().enumerate();
                let oldest = rows.min_by_key(|(_, (_, used_up))| *used_up).map_or(0, |(at, _)| at);
                if let Some(row) = self.sources.get_mut(oldest) {
                    *row = new;
                }
                oldest
            }
        });
        match self.sources.get_mut(at) {
            Some((_, used_up)) => used_up,
            // there is always a row by now
            None => &mut self.total,
        }
    }
}
