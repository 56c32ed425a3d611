//! The asker: what is sent when and where to, and which answers count.
//!
//! Owns: the pace (at once, then after 1 s, doubling up to 32 s, the upper half of each at
//! random), the alternation of multicast and broadcast, and the rules for answers. Does not
//! own the socket, nor the decision for one of several nodes: the first that is wanted will do
//! for a board, and a person may want to see all.
//!
//! | it is | what happens | next |
//! |---|---|---|
//! | asking | the time has come: [`Asker::ask`] | asking, later |
//! | asking | an answer that counts | asking, until the caller says [`Asker::stop`] |
//! | quiet | [`Asker::restart`] | asking, at once, with a new nonce |

use super::message::{Answer, Fault, Ports, Question, Schemes, is_same_node};
use super::{QUESTION, is_near};
use crate::client::backoff::Backoff;
use crate::time::{Duration, Instant};
use core::net::IpAddr;

/// The first pause.
const FIRST: Duration = Duration::from_secs(1);

/// The longest.
const LAST: Duration = Duration::from_secs(32);

/// Where a question goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Way {
    /// To the multicast group: only those hear it who want to.
    Group,
    /// To everyone on this network: some networks carry no multicast.
    Broadcast,
}

/// Why an answer does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Ignored {
    /// Nothing was asked.
    Unasked,
    /// It comes from outside of the local network.
    Far,
    /// It is no answer.
    Fault(Fault),
    /// It answers another question.
    Nonce,
    /// It is another node than the one asked for.
    OtherNode,
    /// It offers nothing that was wanted.
    Nothing,
}

impl Ignored {
    /// For people.
    pub const fn text(self) -> &'static str {
        match self {
            Ignored::Unasked => "an answer to nothing",
            Ignored::Far => "an answer from outside of the local network",
            Ignored::Fault(fault) => fault.text(),
            Ignored::Nonce => "an answer to another question",
            Ignored::OtherNode => "an answer of another node",
            Ignored::Nothing => "an answer that offers nothing that was wanted",
        }
    }
}

/// One search for a node.
#[derive(Debug)]
pub struct Asker<'n> {
    node: &'n str,
    wants: Schemes,
    nonce: u64,
    /// What the next nonce comes of.
    state: u64,
    backoff: Backoff,
    /// `None`: quiet.
    next: Option<Instant>,
    way: Way,
}

impl<'n> Asker<'n> {
    /// Asks at once. `node`: the name of the one that is wanted; empty: any. `wants`: what the
    /// caller speaks. `seed`: random, or different at each start of a board at least: somebody
    /// outside of the network who could guess the nonce could answer.
    pub fn new(node: &'n str, wants: Schemes, seed: u64, now: Instant) -> Self {
        let backoff = Backoff::new(FIRST, LAST, seed);
        let mut asker = Asker { node, wants, nonce: 0, state: seed, backoff, next: None, way: Way::Group };
        asker.restart(now);
        asker
    }

    /// Begins anew: at once, and answers to the questions before count no more.
    pub fn restart(&mut self, now: Instant) {
        self.nonce = next_random(&mut self.state);
        self.backoff.reset();
        self.next = Some(now);
        self.way = Way::Group;
    }

    /// Enough was found.
    pub fn stop(&mut self) {
        self.next = None;
    }

    /// Whether it is asking.
    pub fn is_asking(&self) -> bool {
        self.next.is_some()
    }

    /// When [`Asker::ask`] has something to do.
    pub fn deadline(&self) -> Option<Instant> {
        self.next
    }

    /// Writes the question if its time has come. All of `out` is to be sent, this way. What
    /// cannot be sent is as good as lost: it is asked again.
    pub fn ask(&mut self, now: Instant, out: &mut [u8; QUESTION]) -> Option<Way> {
        if self.next.is_none_or(|at| now < at) {
            return None;
        }
        Question { nonce: self.nonce, node: self.node, wants: self.wants }.write(out);
        self.next = Some(now + self.backoff.next());
        let other = match self.way {
            Way::Group => Way::Broadcast,
            Way::Broadcast => Way::Group,
        };
        Some(core::mem::replace(&mut self.way, other))
    }

    /// What a datagram from there means. The node is at `from`, wherever else it may say it is,
    /// and its ports are those that were wanted.
    ///
    /// # Errors
    ///
    /// It does not count; nothing changes.
    pub fn hear<'d>(&self, from: IpAddr, datagram: &'d [u8]) -> Result<Answer<'d>, Ignored> {
        if self.next.is_none() {
            return Err(Ignored::Unasked);
        }
        if !is_near(from) {
            return Err(Ignored::Far);
        }
        let answer = Answer::read(datagram).map_err(Ignored::Fault)?;
        if answer.nonce != self.nonce {
            return Err(Ignored::Nonce);
        }
        if !self.node.is_empty() && !is_same_node(self.node, answer.node) {
            return Err(Ignored::OtherNode);
        }
        let ports: Ports = answer.ports.only(self.wants);
        if ports.is_empty() {
            return Err(Ignored::Nothing);
        }
        Ok(Answer { ports, ..answer })
    }
}

/// Steele, Lea and Flood's SplitMix64: all bits of a seed count, and so does a small change.
fn next_random(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
