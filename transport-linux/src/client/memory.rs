//! Memory of connections.
//!
//! Owns: where the core's client gets the memory that it borrows. A Linux program wants to
//! own one object without a lifetime, so the memory is leaked, and what a connection leaves
//! behind is kept for the next one of the same sizes: a process holds as much as it had
//! connections at once, however many it makes. Without `unsafe`, at the price that it is not
//! given back to the operating system.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use chappe_core::client::{Call, Memory};

/// What one connection borrows.
#[derive(Debug)]
pub(super) struct Lent {
    pub(super) client: Memory<'static>,
    pub(super) inbox: &'static mut [u8],
}

/// Sizes: octets of outbox, script and inbox, and number of calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sizes {
    pub(super) outbox: usize,
    pub(super) script: usize,
    pub(super) calls: usize,
    pub(super) inbox: usize,
}

static SPARE: Mutex<Vec<Lent>> = Mutex::new(Vec::new());
static TEXTS: Mutex<Option<HashSet<&'static [u8]>>> = Mutex::new(None);

impl Lent {
    fn sizes(&self) -> Sizes {
        Sizes {
            outbox: self.client.outbox.len(),
            script: self.client.script.len(),
            calls: self.client.calls.len(),
            inbox: self.inbox.len(),
        }
    }

    /// What another connection has left, or new memory, committed as it is used.
    pub(super) fn new(sizes: Sizes) -> Self {
        let mut spare = SPARE.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(i) = spare.iter().position(|s| s.sizes() == sizes) {
            return spare.swap_remove(i);
        }
        drop(spare);
        let zeroed = |n: usize| Box::leak(vec![0; n].into_boxed_slice());
        Lent {
            client: Memory {
                outbox: zeroed(sizes.outbox),
                script: zeroed(sizes.script),
                calls: Box::leak(vec![Call::FREE; sizes.calls].into_boxed_slice()),
            },
            inbox: zeroed(sizes.inbox),
        }
    }

    /// For the next one.
    pub(super) fn give_back(self) {
        SPARE.lock().unwrap_or_else(PoisonError::into_inner).push(self);
    }
}

/// Bytes that live as long as the process: names and secrets, each different one once.
pub(super) fn bytes(of: &[u8]) -> &'static [u8] {
    let mut texts = TEXTS.lock().unwrap_or_else(PoisonError::into_inner);
    let texts = texts.get_or_insert_default();
    match texts.get(of) {
        Some(bytes) => bytes,
        None => {
            let bytes: &'static [u8] = Box::leak(of.into());
            texts.insert(bytes);
            bytes
        }
    }
}

/// As [`bytes`].
pub(super) fn text(of: &str) -> &'static str {
    // It was a text and is unchanged.
    std::str::from_utf8(bytes(of.as_bytes())).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_goes_round() {
        // sizes that no other test has
        let sizes = Sizes { outbox: 12_345, script: 1, calls: 2, inbox: 3 };
        let lent = Lent::new(sizes);
        assert_eq!(lent.sizes(), sizes);
        lent.inbox[0] = 7;
        let place = lent.inbox.as_ptr();
        lent.give_back();
        assert_eq!(Lent::new(sizes).inbox.as_ptr(), place);
        assert_ne!(Lent::new(sizes).inbox.as_ptr(), place);
    }

    #[test]
    fn texts_are_kept_once() {
        assert_eq!(text("grün"), "grün");
        assert_eq!(text("grün").as_ptr(), text(&String::from("grün")).as_ptr());
    }
}
