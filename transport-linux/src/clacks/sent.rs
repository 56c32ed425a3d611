//! The values that were last sent, for sessions that do not send the same one twice
//! (`is_caching`, section 15.3).

use std::collections::HashMap;

/// Octets of names and values that are remembered at the most; beyond it all is forgotten,
/// which costs only messages that need not have been sent.
const MOST: usize = 16 << 20;

#[derive(Debug, Default)]
pub(super) struct Sent {
    values: HashMap<Vec<u8>, Vec<u8>>,
    octets: usize,
}

impl Sent {
    /// Whether this is what was last sent for that name.
    pub(super) fn is(&self, name: &[u8], value: &[u8]) -> bool {
        self.values.get(name).is_some_and(|last| last == value)
    }

    pub(super) fn remember(&mut self, name: &[u8], value: &[u8]) {
        if self.octets + name.len() + value.len() > MOST {
            self.forget();
        }
        if name.len() + value.len() > MOST {
            return;
        }
        self.octets += value.len();
        match self.values.insert(name.to_owned(), value.to_owned()) {
            Some(old) => self.octets -= old.len(),
            None => self.octets += name.len(),
        }
    }

    pub(super) fn forget(&mut self) {
        *self = Sent::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_value_counts_and_memory_ends() {
        let mut sent = Sent::default();
        assert!(!sent.is(b"a", b""));
        sent.remember(b"a", b"1");
        assert!(sent.is(b"a", b"1") && !sent.is(b"a", b"2") && !sent.is(b"b", b"1"));
        sent.remember(b"a", b"22");
        assert!(sent.is(b"a", b"22") && !sent.is(b"a", b"1"));
        assert_eq!(sent.octets, 3);
        let half = vec![b'x'; MOST / 2];
        sent.remember(b"big", &half);
        assert!(sent.is(b"big", &half) && sent.is(b"a", b"22"));
        sent.remember(b"more", &half);
        assert!(sent.is(b"more", &half) && !sent.is(b"big", &half) && !sent.is(b"a", b"22"));
        sent.remember(b"c", &vec![0; MOST]);
        assert_eq!(sent.octets, 0);
    }
}
