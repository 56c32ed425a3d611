//! What happens when something is full.
//!
//! | what is full | what happens |
//! |---|---|
//! | table of stations | the newcomer is refused (`stations_refused_full`) |
//! | any other table, or a station's share of it | the request is answered by `FULL` |
//! | a station's outbox, for a message | the copy is dropped and counted; an asker is told `RECIPIENT_BUSY` |
//! | a station's outbox, for what it asked for itself (answers, outcomes, pongs, presence) | a quarter more is allowed; beyond that it is closed as slow, because silence would be a lie (D5, D7) |
//! | a station's outbox, for longer than `slow_after` | it is closed as slow |
//! | memory common to all | as the outbox: no station may hold more than half of what is left |
//!
//! Owns: that arithmetic. Does not own the tables.

/// What a frame is to its recipient.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// A message: may be dropped if the recipient does not read.
    Signal,
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
}

/// Whether `add` octets may join the `have` octets of an outbox. `limit` is that of an
/// outbox; `free` what is left in common memory.
///
/// The share of common memory shrinks as it fills, so that a few that do not read cannot
/// take the memory of all others: each may hold at most as much as is left for everybody
/// else. What is owed may go beyond, since it ends with closing.
#[inline]
pub(crate) fn admit(have: usize, add: usize, class: Class, limit: usize, free: usize) -> Result<(), Denied> {
    let limit = match class {
        Class::Signal => limit,
        Class::Owed => limit + limit / 4,
    };
    let want = have + add;
    if want > limit {
        return Err(Denied::Outbox);
    }
    let fair = match class {
        Class::Signal => free,
        Class::Owed => free.saturating_mul(8),
    };
    if want > fair && have > 0 {
        return Err(Denied::Memory);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_have_less_room_than_answers() {
        assert_eq!(admit(90, 10, Class::Signal, 100, 1000), Ok(()));
        assert_eq!(admit(91, 10, Class::Signal, 100, 1000), Err(Denied::Outbox));
        assert_eq!(admit(91, 10, Class::Owed, 100, 1000), Ok(()));
        assert_eq!(admit(120, 10, Class::Owed, 100, 1000), Err(Denied::Outbox));
    }

    #[test]
    fn who_holds_nothing_always_gets_a_first_frame() {
        assert_eq!(admit(0, 50, Class::Signal, 100, 10), Ok(()));
        assert_eq!(admit(50, 10, Class::Signal, 100, 40), Err(Denied::Memory));
        assert_eq!(admit(50, 10, Class::Owed, 100, 40), Ok(()));
    }
}
