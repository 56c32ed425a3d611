//! What is said again on every new connection: joins, watches and declarations.
//!
//! Owns: these messages, encoded, in the caller's slice, and their order. Does not own when
//! they are said (`mod.rs`). Encoded, so that a firmware that only joins links no more than
//! that.

use super::SendError;
use crate::dialect::messi::repr::Message;
use crate::dialect::messi::wire::{Wire, Writer, field};

/// Octets of an entry besides its message: length 2, little endian, and the number of the
/// member of `ClientToServer`.
const HEAD: usize = 3;

#[derive(Debug)]
pub(super) struct Script<'b> {
    buf: &'b mut [u8],
    len: usize,
}

/// One message to be said again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry<'s> {
    /// Of the member of `ClientToServer`.
    pub(super) number: u8,
    pub(super) message: &'s [u8],
    /// Where the next entry is.
    pub(super) next: usize,
}

impl Entry<'_> {
    /// Whether its name and instance, fields 2 and 3 of all these messages, are those.
    fn is(&self, number: u8, name: &str, instance: &str) -> bool {
        let mut text: [&[u8]; 2] = [&[]; 2];
        let mut left = self.message;
        while let Ok((rest, (field, wire))) = field(left) {
            if let (2 | 3, Wire::Len(bytes)) = (field, wire) {
                text[field as usize & 1] = bytes;
            }
            left = rest;
        }
        self.number == number && text == [name.as_bytes(), instance.as_bytes()]
    }
}

impl<'b> Script<'b> {
    pub(super) fn new(buf: &'b mut [u8]) -> Self {
        Script { buf, len: 0 }
    }

    pub(super) fn into_buffer(self) -> &'b mut [u8] {
        self.buf
    }

    /// Octets in use: the place behind the last entry.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// The entry at `at`, which is 0 or came from here.
    pub(super) fn entry(&self, at: usize) -> Option<Entry<'_>> {
        let (&[a, b, number], rest) = self.buf.get(at..self.len)?.split_first_chunk::<HEAD>()?;
        let n = u16::from_le_bytes([a, b]) as usize;
        Some(Entry { number, message: rest.get(..n)?, next: at + HEAD + n })
    }

    /// The place of the entry with this key, and its length.
    pub(super) fn find(&self, number: u8, name: &str, instance: &str) -> Option<(usize, usize)> {
        let mut at = 0;
        while let Some(e) = self.entry(at) {
            if e.is(number, name, instance) {
                return Some((at, e.next - at));
            }
            at = e.next;
        }
        None
    }

    /// Whether a message of `n` octets fits when `old` octets are gone.
    pub(super) fn check(&self, n: usize, old: usize) -> Result<(), SendError> {
        if n > u16::MAX as usize || self.len - old + HEAD + n > self.buf.len() {
            Err(SendError::ScriptFull)
        } else {
            Ok(())
        }
    }

    /// Appends what was [checked](Script::check).
    pub(super) fn put<'m, M: Message<'m>>(&mut self, number: u8, message: &M, n: usize) {
        if let Some(out) = self.open(number, n) {
            message.write(&mut Writer::new(out));
        }
    }

    fn open(&mut self, number: u8, n: usize) -> Option<&mut [u8]> {
        let (head, rest) = self.buf.get_mut(self.len..)?.split_first_chunk_mut::<HEAD>()?;
        let out = rest.get_mut(..n)?;
        let [a, b] = (n as u16).to_le_bytes();
        *head = [a, b, number];
        self.len += HEAD + n;
        Some(out)
    }

    /// Removes `n` octets at `at`, as [`Script::find`] gave them.
    pub(super) fn remove(&mut self, at: usize, n: usize) {
        self.buf.copy_within(at + n..self.len, at);
        self.len -= n;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::messi::repr::{Join, Watch};

    fn put(s: &mut Script<'_>, name: &str) -> Result<(), SendError> {
        let join = Join { seq: 300, name, instance: "x", exclusive: true };
        s.check(join.len(), 0)?;
        s.put(2, &join, join.len());
        Ok(())
    }

    #[test]
    fn entries_keep_their_order_and_leave_no_gap() {
        let mut buf = [0xa5; 64];
        let mut s = Script::new(&mut buf);
        for n in ["a", "bb", "ccc"] {
            put(&mut s, n).unwrap();
        }
        let (at, n) = s.find(2, "bb", "x").unwrap();
        s.remove(at, n);
        assert_eq!(s.find(2, "bb", "x"), None);
        let first = s.entry(0).unwrap();
        assert_eq!(Join::read(first.message).unwrap(), Join { seq: 300, name: "a", instance: "x", exclusive: true });
        let second = s.entry(first.next).unwrap();
        assert_eq!(Join::read(second.message).unwrap().name, "ccc");
        assert_eq!(second.next, s.len());
        assert_eq!(s.entry(second.next), None);
    }

    #[test]
    fn kind_name_and_instance_are_the_key() {
        let mut buf = [0; 64];
        let mut s = Script::new(&mut buf);
        put(&mut s, "a").unwrap();
        for (number, name, instance) in [(7, "a", "x"), (2, "b", "x"), (2, "a", ""), (2, "a", "y"), (2, "", "a")] {
            assert_eq!(s.find(number, name, instance), None);
        }
        let watch = Watch { stations: true, flags: true, ..Default::default() };
        s.put(7, &watch, watch.len());
        assert!(s.find(7, "", "").is_some(), "a watch of everything");
    }

    #[test]
    fn it_is_full_when_it_is() {
        let mut buf = [0; 16];
        let mut s = Script::new(&mut buf);
        // 3 of its own, seq 3, name 4, instance 3, exclusive 2
        put(&mut s, "ab").unwrap();
        assert_eq!(put(&mut s, "a"), Err(SendError::ScriptFull));
        assert_eq!(s.check(70_000, 0), Err(SendError::ScriptFull));
        assert_eq!(s.check(12, 15), Ok(()), "in place of the old one");
    }
}
