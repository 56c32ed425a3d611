//! Who still has work: the kernel tells of changes only (edge-triggered), so what was not
//! finished in a turn is remembered here.
//!
//! Owns: the order, which is fair: each has one go in a turn, and who is not done goes to
//! the back. Whether a station is in the list already is its connection's flag.

use std::collections::VecDeque;

/// One kind of work at a time for each of `T`.
#[derive(Debug)]
pub(super) struct Ready<T> {
    queue: VecDeque<T>,
    turn: usize,
}

impl<T> Ready<T> {
    pub(super) fn with_capacity(n: usize) -> Self {
        Ready { queue: VecDeque::with_capacity(n), turn: 0 }
    }

    /// To the back. During a turn: its next go is in the next turn.
    pub(super) fn push(&mut self, who: T) {
        self.queue.push_back(who);
    }

    /// Whether the next wait must not sleep.
    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Everyone who is in the list now has one go. Returns how many they are.
    pub(super) fn begin_turn(&mut self) -> usize {
        self.turn = self.queue.len();
        self.turn
    }

    /// The next of this turn.
    pub(super) fn next(&mut self) -> Option<T> {
        self.turn = self.turn.checked_sub(1)?;
        self.queue.pop_front()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_one_go_in_a_turn() {
        let mut ready = Ready::with_capacity(4);
        ready.push('a');
        ready.push('b');
        assert_eq!(ready.begin_turn(), 2);
        assert_eq!(ready.next(), Some('a'));
        ready.push('a');
        assert_eq!(ready.next(), Some('b'));
        assert_eq!(ready.next(), None);
        assert!(!ready.is_empty());
        ready.begin_turn();
        assert_eq!(ready.next(), Some('a'));
        assert_eq!((ready.next(), ready.is_empty()), (None, true));
    }
}
