//! What a station may do.
//!
//! Owns: [`Rights`], [`Grant`], and the question the router asks, [`Gate`]. Does not own
//! users nor secrets: whoever answers the question does (a constant table on a
//! microcontroller, the configuration of the daemon).

#[cfg(feature = "later")]
use crate::id::StationId;
use core::ops::BitOr;

/// A set of rights.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Rights(u8);

impl Rights {
    /// Nothing at all: such a station cannot even introduce itself.
    pub const NONE: Rights = Rights(0);
    /// Join names, read values, watch, list.
    pub const READ: Rights = Rights(1);
    /// Send, call, change values, raise and lower flags.
    pub const WRITE: Rights = Rights(2);
    /// Declare names, send to everyone; with the right to read, monitor.
    pub const MANAGE: Rights = Rights(4);
    /// Be another node.
    pub const LINK: Rights = Rights(8);
    /// Everything.
    pub const ALL: Rights = Rights(15);

    /// Whether every right in `needed` is here.
    pub const fn has(self, needed: Rights) -> bool {
        self.0 & needed.0 == needed.0
    }

    /// Whether there is none.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl BitOr for Rights {
    type Output = Rights;
    fn bitor(self, other: Rights) -> Rights {
        Rights(self.0 | other.0)
    }
}

/// What one station may do, decided when it introduces itself.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Grant {
    /// Its rights.
    pub rights: Rights,
    /// Only for certain names: [`Gate::allows`] is asked about each.
    pub restricted: bool,
    /// Whose grant it is, in the gate's own numbering.
    pub number: u16,
}

impl Grant {
    /// What somebody may do who has not said who they are.
    pub const fn anonymous(rights: Rights) -> Self {
        Grant { rights, restricted: false, number: 0 }
    }
}

/// What a [`Gate`] has found out about a user and a secret.
#[cfg(feature = "later")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// They are right.
    Granted(Grant),
    /// User or secret is wrong.
    Denied,
    /// They were not looked at, for this reason in words for a person. Worth another try.
    Busy(&'static str),
    /// Nothing yet: [`Router::verified`](super::Router::verified) will tell.
    Later,
}

/// Who knows users and what they may do. Called while a frame is handled, so it must not
/// block.
pub trait Gate {
    /// The grant of a user, or `None` if user or token are wrong.
    fn check(&self, user: &str, token: &[u8]) -> Option<Grant>;

    /// As [`Gate::check`], by a gate that may need longer than a frame may take. `station` is
    /// who waits for the answer, and hears and says nothing until then.
    #[cfg(feature = "later")]
    fn decide(&self, station: StationId, user: &str, token: &[u8]) -> Verdict {
        let _ = station;
        self.check(user, token).map_or(Verdict::Denied, Verdict::Granted)
    }

    /// Whether it knows nobody at all, so that whoever says to be somebody may do what anybody
    /// may do. Asked only where a dialect's clients always say who they are.
    #[cfg(feature = "later")]
    fn is_open(&self) -> bool {
        false
    }

    /// Whether a restricted grant covers a name. `right` is one right.
    fn allows(&self, grant: Grant, right: Rights, name: &str) -> bool;
}

/// A gate that knows no users: stations are anonymous.
#[derive(Debug, Default, Clone, Copy)]
pub struct Open;

impl Gate for Open {
    fn check(&self, _: &str, _: &[u8]) -> Option<Grant> {
        None
    }
    #[cfg(feature = "later")]
    fn is_open(&self) -> bool {
        true
    }
    fn allows(&self, _: Grant, _: Rights, _: &str) -> bool {
        false
    }
}

/// Whether two secrets are the same, in a time that depends on the length of `given` only.
pub fn same_secret(kept: &[u8], given: &[u8]) -> bool {
    let mut differ = kept.len() ^ given.len();
    for (i, g) in given.iter().enumerate() {
        differ |= (kept.get(i).copied().unwrap_or(!*g) ^ g) as usize;
    }
    core::hint::black_box(differ) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rights_are_sets() {
        let rw = Rights::READ | Rights::WRITE;
        assert!(rw.has(Rights::READ) && rw.has(Rights::WRITE) && rw.has(rw) && rw.has(Rights::NONE));
        assert!(!rw.has(Rights::MANAGE) && !rw.has(Rights::ALL));
    }

    #[test]
    fn secrets_are_compared_whole() {
        assert!(same_secret(b"", b""));
        assert!(same_secret(b"abc", b"abc"));
        for wrong in [&b"abd"[..], b"ab", b"abcd", b"", b"xbc"] {
            assert!(!same_secret(b"abc", wrong));
        }
    }
}
