//! Blocks of bytes for names and values, in chains.
//!
//! Owns: which block is free and which follows which. Apart from `buffer/pool.rs`, whose
//! chains are queues that are used up from the front: these are read and written at any
//! place, change their length, and name themselves by one number, which a row has room for.

use core::cmp::Ordering;

/// Blocks of bytes in chains. A chain is named by 1 + its first block; 0 is the empty one.
#[derive(Debug)]
pub(super) struct Blocks<'s> {
    bytes: &'s mut [u8],
    /// 1 + the next block of the chain or of the free list; 0: the last.
    pub(super) links: &'s mut [u32],
    block: usize,
    /// Blocks that were ever used; what is behind was never touched.
    made: u32,
    free_list: u32,
    pub(super) free: u32,
}

impl<'s> Blocks<'s> {
    pub(super) fn new(bytes: &'s mut [u8], links: &'s mut [u32], block: usize) -> Self {
        let n = bytes.len().checked_div(block).unwrap_or(0).min(links.len()).min(u32::MAX as usize / 2);
        let (bytes, links) = (&mut bytes[..n * block], &mut links[..n]);
        Blocks { bytes, links, block, made: 0, free_list: 0, free: n as u32 }
    }

    /// Gives everything back.
    #[cfg(feature = "clacks")]
    pub(super) fn clear(&mut self) {
        (self.made, self.free_list, self.free) = (0, 0, self.links.len() as u32);
    }

    pub(super) fn take_one(&mut self) -> u32 {
        self.free -= 1;
        if let Some(b) = self.free_list.checked_sub(1) {
            self.free_list = self.links[b as usize];
            return b + 1;
        }
        self.made += 1;
        self.made
    }

    /// A chain of `n` blocks, of which that many are free.
    pub(super) fn take(&mut self, n: u32) -> u32 {
        let mut first = 0;
        for _ in 0..n {
            let b = self.take_one();
            self.links[b as usize - 1] = first;
            first = b;
        }
        first
    }

    /// Gives a whole chain back.
    pub(super) fn give(&mut self, first: u32) {
        let mut at = first;
        while let Some(b) = at.checked_sub(1) {
            at = self.links[b as usize];
            self.links[b as usize] = self.free_list;
            self.free_list = b + 1;
            self.free += 1;
        }
    }

    /// Makes a chain `want` blocks long, which is at least one. What it needs more is free.
    pub(super) fn resize(&mut self, first: u32, want: u32) {
        let (mut at, mut have) = (first, 1);
        while have < want && at != 0 && self.links[at as usize - 1] != 0 {
            at = self.links[at as usize - 1];
            have += 1;
        }
        if at == 0 {
            return;
        }
        let behind = core::mem::take(&mut self.links[at as usize - 1]);
        self.give(behind);
        let more = self.take(want.saturating_sub(have));
        self.links[at as usize - 1] = more;
    }

    /// The bytes of a chain from `skip` on, `len` of them, in pieces.
    pub(super) fn pieces(&self, first: u32, skip: usize, len: usize) -> impl Iterator<Item = &[u8]> {
        let (mut at, mut skip, mut left) = (first, skip, len);
        core::iter::from_fn(move || {
            while left > 0 {
                let b = at.checked_sub(1)? as usize;
                at = self.links[b];
                if skip >= self.block {
                    skip -= self.block;
                    continue;
                }
                let n = (self.block - skip).min(left);
                let piece = &self.bytes[b * self.block + skip..][..n];
                (skip, left) = (0, left - n);
                return Some(piece);
            }
            None
        })
    }

    pub(super) fn read(&self, first: u32, skip: usize, out: &mut [u8]) {
        let mut at = 0;
        for piece in self.pieces(first, skip, out.len()) {
            out[at..at + piece.len()].copy_from_slice(piece);
            at += piece.len();
        }
    }

    pub(super) fn write(&mut self, first: u32, skip: usize, mut bytes: &[u8]) {
        let (mut at, mut skip) = (first, skip);
        while let (Some(b), false) = (at.checked_sub(1), bytes.is_empty()) {
            at = self.links[b as usize];
            if skip >= self.block {
                skip -= self.block;
                continue;
            }
            let (now, rest) = bytes.split_at((self.block - skip).min(bytes.len()));
            self.bytes[b as usize * self.block + skip..][..now.len()].copy_from_slice(now);
            (bytes, skip) = (rest, 0);
        }
    }

    /// How `len` bytes from `skip` on compare with `other`.
    pub(super) fn compare(&self, first: u32, skip: usize, len: usize, other: &[u8]) -> Ordering {
        let mut rest = other;
        for piece in self.pieces(first, skip, len) {
            let (now, more) = rest.split_at(piece.len().min(rest.len()));
            match piece.cmp(now) {
                Ordering::Equal => rest = more,
                unequal => return unequal,
            }
        }
        if rest.is_empty() { Ordering::Equal } else { Ordering::Less }
    }

    /// Blocks of a chain, if it ends.
    pub(super) fn count(&self, first: u32) -> Option<u32> {
        let (mut at, mut n) = (first, 0);
        while let Some(b) = at.checked_sub(1) {
            n += 1;
            if n > self.made || b >= self.made {
                return None;
            }
            at = self.links[b as usize];
        }
        Some(n)
    }

    /// `used` blocks are in chains: all others must be free.
    pub(super) fn check(&self, used: u32) -> Result<(), &'static str> {
        let Some(listed) = self.count(self.free_list) else { return Err("store: the free blocks run in a circle") };
        let all = self.links.len() as u32;
        if self.made > all || used + listed != self.made || self.free != all - self.made + listed {
            return Err("store: a block is lost or held twice");
        }
        Ok(())
    }
}
