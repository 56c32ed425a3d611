//! What is said again on every new connection: joins, watches and declarations.
//!
//! Owns: the entries, packed into the caller's slice, and their order. Does not own when
//! they are said (`mod.rs`).

use super::SendError;

/// Octets of an entry besides its name and instance.
pub(super) const ENTRY: usize = 8;

/// What an entry says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Join = 0,
    Watch = 1,
    Declare = 2,
}

/// One entry. Kind, name and instance are its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry<'s> {
    pub(super) kind: Kind,
    /// Join: 1 exclusive. Watch: 1 stations, 2 members, 4 flags.
    pub(super) bits: u8,
    pub(super) seq: u32,
    pub(super) name: &'s str,
    pub(super) instance: &'s str,
}

impl Entry<'_> {
    fn len(&self) -> usize {
        ENTRY + self.name.len() + self.instance.len()
    }
}

#[derive(Debug)]
pub(super) struct Script<'b> {
    buf: &'b mut [u8],
    len: usize,
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

    /// The entry at `at` and the place of the next one. `at` is 0 or came from here.
    pub(super) fn entry(&self, at: usize) -> Option<(Entry<'_>, usize)> {
        let bytes = self.buf.get(at..self.len)?;
        let (&[kind, bits, n, i, a, b, c, d], text) = bytes.split_first_chunk::<ENTRY>()?;
        let (n, i) = (n as usize, i as usize);
        let kind = match kind {
            0 => Kind::Join,
            1 => Kind::Watch,
            _ => Kind::Declare,
        };
        let name = core::str::from_utf8(text.get(..n)?).ok()?;
        let instance = core::str::from_utf8(text.get(n..n + i)?).ok()?;
        Some((Entry { kind, bits, seq: u32::from_le_bytes([a, b, c, d]), name, instance }, at + ENTRY + n + i))
    }

    /// The place of the entry with the same key, and its length.
    pub(super) fn find(&self, key: &Entry<'_>) -> Option<(usize, usize)> {
        let mut at = 0;
        while let Some((e, next)) = self.entry(at) {
            if e.kind == key.kind && e.name == key.name && e.instance == key.instance {
                return Some((at, next - at));
            }
            at = next;
        }
        None
    }

    /// Whether [`Script::put`] of it would succeed.
    pub(super) fn check(&self, e: &Entry<'_>) -> Result<(), SendError> {
        if e.name.len() > u8::MAX as usize || e.instance.len() > u8::MAX as usize {
            return Err(SendError::BadName);
        }
        let old = self.find(e).map_or(0, |(_, n)| n);
        if self.len - old + e.len() > self.buf.len() { Err(SendError::ScriptFull) } else { Ok(()) }
    }

    /// Appends what was [checked](Script::check) and is not in it.
    pub(super) fn put(&mut self, e: &Entry<'_>) {
        let n = e.len();
        let Some(out) = self.buf.get_mut(self.len..self.len + n) else { return };
        let (head, text) = out.split_at_mut(ENTRY);
        let [a, b, c, d] = e.seq.to_le_bytes();
        head.copy_from_slice(&[e.kind as u8, e.bits, e.name.len() as u8, e.instance.len() as u8, a, b, c, d]);
        let (name, instance) = text.split_at_mut(e.name.len());
        name.copy_from_slice(e.name.as_bytes());
        instance.copy_from_slice(e.instance.as_bytes());
        self.len += n;
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

    fn join(name: &str) -> Entry<'_> {
        Entry { kind: Kind::Join, bits: 1, seq: 0x01020304, name, instance: "x" }
    }

    #[test]
    fn entries_keep_their_order_and_leave_no_gap() {
        let mut buf = [0; 64];
        let mut s = Script::new(&mut buf);
        for n in ["a", "bb", "ccc"] {
            s.check(&join(n)).unwrap();
            s.put(&join(n));
        }
        let (at, n) = s.find(&join("bb")).unwrap();
        s.remove(at, n);
        assert_eq!(s.find(&join("bb")), None);
        let (first, next) = s.entry(0).unwrap();
        assert_eq!(first, join("a"));
        let (second, end) = s.entry(next).unwrap();
        assert_eq!(second, join("ccc"));
        assert_eq!(end, s.len());
        assert_eq!(s.entry(end), None);
    }

    #[test]
    fn the_same_key_again_needs_no_more_room() {
        let mut buf = [0; ENTRY + 4];
        let mut s = Script::new(&mut buf);
        s.check(&join("abc")).unwrap();
        s.put(&join("abc"));
        assert_eq!(s.check(&join("abc")), Ok(()));
        assert_eq!(s.check(&join("d")), Err(SendError::ScriptFull));
        assert_eq!(s.check(&Entry { kind: Kind::Watch, ..join("abc") }), Err(SendError::ScriptFull));
        let long = [b'x'; 256];
        assert_eq!(s.check(&join(core::str::from_utf8(&long).unwrap())), Err(SendError::BadName));
    }
}
