//! Fixed blocks of bytes, common to all stations, and chains of them.
//!
//! Owns: which block is free and which follows which. A station that has nothing waiting
//! holds no block. Memory that was never needed is never touched, so a daemon may hand in
//! more than it will use. Does not own who may take how much: that is `router/policy.rs`.

/// Common memory, cut into blocks of one size.
#[derive(Debug)]
pub struct Pool<'s> {
    bytes: &'s mut [u8],
    /// For each block the number of the one behind it, in its chain or in the free list.
    next: &'s mut [u32],
    /// Octets of a block less one; a block is a power of two.
    mask: u32,
    shift: u32,
    /// First of the free blocks that were used before; 0: none.
    free: u32,
    /// Blocks that were ever used: those above are free and untouched.
    fresh: u32,
    used: u32,
    blocks: u32,
}

/// Some bytes in a pool, first in first out. Blocks are numbered from 1; 0 is none.
#[derive(Debug, Default, Clone, Copy)]
pub struct Chain {
    head: u32,
    tail: u32,
    /// Octets at the start of the first block that are used up.
    start: u32,
    len: u32,
}

impl Chain {
    /// No bytes.
    pub const EMPTY: Chain = Chain { head: 0, tail: 0, start: 0, len: 0 };

    /// How many bytes there are.
    #[inline]
    pub const fn len(&self) -> usize {
        self.len as usize
    }

    /// Whether there are none.
    #[inline]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }
}

impl<'s> Pool<'s> {
    /// Cuts `bytes` into blocks of `block` octets, a power of two of at least 16. There are as
    /// many blocks as both slices have room for. `next` must be all zero. `None` if the size
    /// is no such power or there is not a single block.
    pub fn new(bytes: &'s mut [u8], next: &'s mut [u32], block: usize) -> Option<Self> {
        if !block.is_power_of_two() || !(16..=1 << 24).contains(&block) {
            return None;
        }
        let blocks = (bytes.len() / block).min(next.len()).min(u32::MAX as usize - 1) as u32;
        if blocks == 0 {
            return None;
        }
        let shift = block.trailing_zeros();
        Some(Pool { bytes, next, mask: block as u32 - 1, shift, free: 0, fresh: 0, used: 0, blocks })
    }

    /// Octets in blocks that nobody holds.
    #[inline]
    pub fn free_bytes(&self) -> usize {
        ((self.blocks - self.used) as usize) << self.shift
    }

    /// Octets in all blocks.
    #[inline]
    pub fn all_bytes(&self) -> usize {
        (self.blocks as usize) << self.shift
    }

    /// Blocks that somebody holds, and how many there are.
    pub fn usage(&self) -> (u32, u32) {
        (self.used, self.blocks)
    }

    /// Octets of one block.
    pub const fn block(&self) -> usize {
        self.mask as usize + 1
    }

    /// How many blocks hold `len` octets. The compiler would divide: it does not know that a
    /// block is a power of two.
    #[inline]
    const fn blocks_of(&self, len: usize) -> usize {
        (len + self.mask as usize) >> self.shift
    }

    /// Appends all of `data`, or nothing (D3) if there are too few free blocks.
    #[inline]
    pub fn push(&mut self, chain: &mut Chain, data: &[u8]) -> bool {
        let offset = (chain.start + chain.len) & self.mask;
        if offset != 0 && data.len() <= (self.mask + 1 - offset) as usize {
            let at = (((chain.tail - 1) as usize) << self.shift) + offset as usize;
            self.bytes[at..at + data.len()].copy_from_slice(data);
            chain.len += data.len() as u32;
            return true;
        }
        self.push_blocks(chain, data)
    }

    #[inline(never)]
    fn push_blocks(&mut self, chain: &mut Chain, mut data: &[u8]) -> bool {
        let offset = ((chain.start + chain.len) & self.mask) as usize;
        let room = if offset == 0 { 0 } else { self.block() - offset };
        let need = self.blocks_of(data.len().saturating_sub(room));
        if need > (self.blocks - self.used) as usize || data.len() > (u32::MAX / 2 - chain.len) as usize {
            return false;
        }
        chain.len += data.len() as u32;
        if room > 0 {
            let (now, rest) = data.split_at(room.min(data.len()));
            let at = (((chain.tail - 1) as usize) << self.shift) + offset;
            self.bytes[at..at + now.len()].copy_from_slice(now);
            data = rest;
        }
        while !data.is_empty() {
            let b = self.take();
            if chain.tail == 0 {
                chain.head = b;
            } else {
                self.next[chain.tail as usize - 1] = b;
            }
            chain.tail = b;
            let (now, rest) = data.split_at(self.block().min(data.len()));
            let at = ((b - 1) as usize) << self.shift;
            self.bytes[at..at + now.len()].copy_from_slice(now);
            data = rest;
        }
        true
    }

    /// A free block; there is one.
    fn take(&mut self) -> u32 {
        self.used += 1;
        if self.free != 0 {
            let b = self.free;
            self.free = self.next[b as usize - 1];
            self.next[b as usize - 1] = 0;
            b
        } else {
            self.fresh += 1;
            self.fresh
        }
    }

    fn give(&mut self, b: u32) {
        self.next[b as usize - 1] = self.free;
        self.free = b;
        self.used -= 1;
    }

    /// Drops the first `n` bytes, at most all. Emptied blocks are free at once.
    pub fn consume(&mut self, chain: &mut Chain, n: usize) {
        if n >= chain.len() {
            return self.clear(chain);
        }
        chain.len -= n as u32;
        chain.start += n as u32;
        while chain.start > self.mask {
            let b = chain.head;
            chain.head = self.next[b as usize - 1];
            chain.start -= self.mask + 1;
            self.give(b);
        }
    }

    /// Drops everything.
    pub fn clear(&mut self, chain: &mut Chain) {
        if chain.head != 0 {
            // the whole chain goes in front of the free list; only its length must be known
            let blocks = self.blocks_of((chain.start + chain.len) as usize) as u32;
            self.next[chain.tail as usize - 1] = self.free;
            self.free = chain.head;
            self.used -= blocks;
        }
        *chain = Chain::EMPTY;
    }

    /// The bytes in order, in as many slices as there are blocks.
    #[inline]
    pub fn chunks<'p>(&'p self, chain: &Chain) -> Chunks<'p> {
        Chunks { pool_bytes: self.bytes, next: self.next, shift: self.shift, at: *chain }
    }

    /// Copies bytes from the front into `out`, as many as fit; returns how many.
    pub fn copy(&self, chain: &Chain, out: &mut [u8]) -> usize {
        let mut n = 0;
        for c in self.chunks(chain) {
            let k = c.len().min(out.len() - n);
            out[n..n + k].copy_from_slice(&c[..k]);
            n += k;
            if n == out.len() {
                break;
            }
        }
        n
    }

    /// Counts the free list: every block is free, fresh or used, once.
    pub(crate) fn check(&self, held: u64) -> Result<(), &'static str> {
        let mut n = 0u32;
        let mut b = self.free;
        while b != 0 {
            n += 1;
            if n > self.fresh {
                return Err("pool: the free list has a loop");
            }
            b = self.next[b as usize - 1];
        }
        if n + self.used != self.fresh {
            return Err("pool: blocks are neither free nor used");
        }
        if held != self.used as u64 {
            return Err("pool: blocks are used that no chain holds");
        }
        Ok(())
    }

    /// Blocks that `chain` holds.
    pub(crate) fn held(&self, chain: &Chain) -> u64 {
        if chain.head == 0 { 0 } else { self.blocks_of((chain.start + chain.len) as usize) as u64 }
    }
}

/// Iterator of [`Pool::chunks`].
#[derive(Debug, Clone)]
pub struct Chunks<'p> {
    pool_bytes: &'p [u8],
    next: &'p [u32],
    shift: u32,
    at: Chain,
}

impl<'p> Iterator for Chunks<'p> {
    type Item = &'p [u8];

    #[inline]
    fn next(&mut self) -> Option<&'p [u8]> {
        if self.at.len == 0 {
            return None;
        }
        let base = ((self.at.head - 1) as usize) << self.shift;
        let n = ((1u32 << self.shift) - self.at.start).min(self.at.len);
        let from = base + self.at.start as usize;
        self.at.len -= n;
        self.at.start = 0;
        self.at.head = self.next[self.at.head as usize - 1];
        Some(&self.pool_bytes[from..from + n as usize])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chains_are_queues_of_bytes() {
        let (mut bytes, mut next) = ([0u8; 16 * 8], [0u32; 8]);
        let mut p = Pool::new(&mut bytes, &mut next, 16).unwrap();
        let mut rng = 0x9e37_79b9u32;
        let mut chains = [Chain::EMPTY; 3];
        let mut models: [heapless::Deque<u8, 256>; 3] = Default::default();
        for step in 0..20_000u32 {
            rng ^= rng << 13;
            rng ^= rng >> 17;
            rng ^= rng << 5;
            let i = (rng % 3) as usize;
            let n = (rng >> 8) as usize % 40;
            if rng & 0x80 == 0 {
                let data: [u8; 40] = core::array::from_fn(|k| (step as usize + k) as u8);
                let before = p.free_bytes();
                if p.push(&mut chains[i], &data[..n]) {
                    models[i].extend(data[..n].iter().copied());
                } else {
                    assert_eq!(p.free_bytes(), before, "nothing happened");
                }
            } else if n == 39 {
                p.clear(&mut chains[i]);
                models[i].clear();
            } else {
                p.consume(&mut chains[i], n);
                for _ in 0..n {
                    models[i].pop_front();
                }
            }
            assert!(p.chunks(&chains[i]).flatten().eq(models[i].iter()));
            assert_eq!(chains[i].len(), models[i].len());
            let held = chains.iter().map(|c| p.held(c)).sum();
            p.check(held).unwrap();
        }
    }

    #[test]
    fn whole_or_not_at_all() {
        let (mut bytes, mut next) = ([0u8; 32], [0u32; 2]);
        let mut p = Pool::new(&mut bytes, &mut next, 16).unwrap();
        let mut c = Chain::EMPTY;
        assert!(!p.push(&mut c, &[7; 33]));
        assert!(c.is_empty());
        assert!(p.push(&mut c, &[7; 32]));
        assert!(!p.push(&mut c, &[7; 1]));
        p.consume(&mut c, 16);
        assert!(p.push(&mut c, &[8; 16]));
        assert_eq!(p.chunks(&c).map(<[u8]>::len).sum::<usize>(), 32);
        p.clear(&mut c);
        assert_eq!(p.free_bytes(), 32);
    }

    #[test]
    fn silly_sizes_are_refused() {
        assert!(Pool::new(&mut [0; 64], &mut [0; 4], 24).is_none());
        assert!(Pool::new(&mut [0; 64], &mut [0; 4], 8).is_none());
        assert!(Pool::new(&mut [0; 8], &mut [0; 4], 16).is_none());
    }
}
