//! What happens when something is full.
//!
//! | what is full | what happens |
//! |---|---|
//! | table of stations | the newcomer is refused (`stations_refused_full`) |
//! | any other table, or a station's share of it | the request is answered by `FULL` |
//! | the table of debts, or an asker's half of it | that member is not asked (`asks_members_full`); if nobody was, the asker is told `FULL` |
//! | a station's outbox, for a message | the copy is dropped and counted; an asker is told `RECIPIENT_BUSY` |
//! | a station's outbox, for what it asked for itself (answers, outcomes, pongs, presence) | a quarter more is allowed; beyond that, if its transport takes nothing, it is closed as slow, because silence would be a lie (D5, D7); if its transport was not offered the bytes yet, the input that causes them has to wait (`Router::receive`) |
//! | a station's outbox, for longer than `slow_after`, or its transport takes nothing for that long | it is closed as slow |
//! | memory common to all, for a message | as the outbox: nobody may hold more than is left for all others, and an eighth is kept back |
//! | the same, for a message to who reads and may not miss one | who sends it waits until others were written to; only if that cannot help, who takes nothing is closed |
//! | memory common to all, for what is owed | whoever holds most and takes nothing is closed, not who is told; a monitor first |
//! | a monitor's outbox, by three eighths, or half of the memory common to all | what others say is not shown to it, and it is told how much that was (`sniff.rs`) |
//! | memory common to all, for mail | `FULL` when mail holds half of it |
//!
//! Owns: that arithmetic. Does not own the tables.

/// What a frame is to its recipient.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// A message: may be dropped if the recipient does not read.
    Signal,
    /// A message to somebody who cannot live with one less: it gets it or is closed.
    Certain,
    /// What it waits for: answer, outcome, presence. Never dropped from a station that stays.
    Owed,
}

/// Why a frame was not put into an outbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Denied {
    /// The station's outbox is full.
    Outbox,
    /// Memory common to all is short.
    Memory,
    /// The station cannot take frames that long.
    TooBig,
    /// Mail that came before it still waits.
    Order,
    /// Who sent it may not say that to it.
    Right,
    /// Nothing is wrong with it: memory is short until what waits was offered to transports.
    /// Nothing was done; to be tried again then.
    Later,
}

/// What is known of a recipient and of memory.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fill {
    /// Octets in its outbox.
    pub(crate) have: usize,
    /// Its transport would block.
    pub(crate) blocked: bool,
    /// Octets that an outbox may hold.
    pub(crate) limit: usize,
    /// Octets of common memory that nobody holds, and all of it.
    pub(crate) free: usize,
    pub(crate) pool: usize,
}

/// Whether `add` octets may join an outbox.
///
/// The share of common memory shrinks as it fills, so that a few that do not read cannot
/// take the memory of all others.
#[inline]
pub(crate) fn admit(add: usize, class: Class, f: Fill) -> Result<(), Denied> {
    let want = f.have + add;
    let limit = match class {
        Class::Signal | Class::Certain => f.limit,
        Class::Owed if f.blocked => f.limit + f.limit / 4,
        // The transport was not offered it yet: see `pressed`.
        Class::Owed => f.limit.saturating_mul(4),
    };
    if want > limit {
        return Err(Denied::Outbox);
    }
    let left = match class {
        Class::Signal | Class::Certain => f.free.saturating_sub(f.pool / 8),
        Class::Owed => f.free,
    };
    let share = if f.have == 0 || (class != Class::Signal && !f.blocked) { add } else { want };
    if share > left { Err(Denied::Memory) } else { Ok(()) }
}

/// Whether a station that its transport has not blocked has more waiting than it may hold
/// for long, or common memory runs short: then it is time to write before more is taken in.
#[inline]
pub(crate) fn pressed(f: Fill) -> bool {
    f.have > f.limit / 2 || f.free < f.pool / 4
}

#[cfg(test)]
mod tests {
    use super::*;

    const F: Fill = Fill { have: 90, blocked: true, limit: 100, free: 1000, pool: 1000 };

    #[test]
    fn messages_have_less_room_than_answers() {
        assert_eq!(admit(10, Class::Signal, F), Ok(()));
        assert_eq!(admit(11, Class::Signal, F), Err(Denied::Outbox));
        assert_eq!(admit(35, Class::Owed, F), Ok(()));
        assert_eq!(admit(36, Class::Owed, F), Err(Denied::Outbox));
        assert_eq!(admit(300, Class::Owed, Fill { blocked: false, ..F }), Ok(()), "not offered to the transport yet");
    }

    #[test]
    fn nobody_holds_more_than_is_left_and_messages_leave_a_reserve() {
        let f = Fill { have: 50, free: 200, ..F };
        assert_eq!(admit(10, Class::Signal, f), Ok(()));
        assert_eq!(admit(30, Class::Signal, f), Err(Denied::Memory));
        assert_eq!(admit(70, Class::Owed, f), Ok(()));
        let short = Fill { have: 0, free: 120, ..F };
        assert_eq!(admit(10, Class::Signal, short), Err(Denied::Memory));
        assert_eq!(admit(10, Class::Owed, short), Ok(()));
    }
}
