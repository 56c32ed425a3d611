//! Tables of rows that keep their number, and doubly linked lists through them.
//!
//! Owns: which rows are free. Rows are made when first needed, so a large table costs
//! nothing until it is used. Numbers start at 1; 0 is none, which makes zeroed memory an
//! empty table. Does not own the memory: that is whatever [`Rows`] it is given.

use core::marker::PhantomData;
use core::ops::{Index, IndexMut};
use heapless::vec::VecView;

/// Memory for a stated number of rows, made one after the other. Where sizes are known when
/// compiling, a heapless vector is that; a shell with a heap can size its own at start.
pub trait Rows<T> {
    /// Those that were made.
    fn made(&self) -> &[T];
    /// Those that were made.
    fn made_mut(&mut self) -> &mut [T];
    /// How many there is room for; never changes.
    fn room(&self) -> usize;
    /// Makes one more. `false`: there is no room.
    fn make(&mut self, row: T) -> bool;
    /// Unmakes all.
    fn clear(&mut self);
}

impl<T> Rows<T> for VecView<T> {
    #[inline]
    fn made(&self) -> &[T] {
        self
    }
    #[inline]
    fn made_mut(&mut self) -> &mut [T] {
        self
    }
    fn room(&self) -> usize {
        self.capacity()
    }
    fn make(&mut self, row: T) -> bool {
        self.push(row).is_ok()
    }
    fn clear(&mut self) {
        VecView::clear(self);
    }
}

/// A row of a [`Slab`].
pub(crate) trait Row {
    /// As it is when it is taken.
    const EMPTY: Self;
    /// Where the table keeps the number of the next free row while this one is free.
    fn free_link(&mut self) -> &mut u32;
}

/// A table over memory that somebody else sized.
#[derive(Debug)]
pub(crate) struct Slab<'s, T, R: ?Sized = VecView<T>> {
    rows: &'s mut R,
    free: u32,
    used: u32,
    limit: u32,
    of: PhantomData<T>,
}

impl<'s, T: Row, R: Rows<T> + ?Sized> Slab<'s, T, R> {
    pub(crate) fn new(rows: &'s mut R, limit: usize) -> Self {
        rows.clear();
        let limit = limit.min(rows.room()).min(u32::MAX as usize - 1) as u32;
        Slab { rows, free: 0, used: 0, limit, of: PhantomData }
    }

    /// An empty row, or `None` if the table is full.
    pub(crate) fn take(&mut self) -> Option<u32> {
        let n = if self.free != 0 {
            let n = self.free;
            self.free = *self[n].free_link();
            n
        } else {
            if self.rows.made().len() >= self.limit as usize || !self.rows.make(T::EMPTY) {
                return None;
            }
            self.rows.made().len() as u32
        };
        self.used += 1;
        Some(n)
    }

    /// Gives a row back. What it holds stays as it is, but for its free link.
    pub(crate) fn give(&mut self, n: u32) {
        let free = self.free;
        *self[n].free_link() = free;
        self.free = n;
        self.used -= 1;
    }

    /// Gives all rows back, and their memory as if it had never been used.
    #[cfg(feature = "clacks")]
    pub(crate) fn clear(&mut self) {
        self.rows.clear();
        (self.free, self.used) = (0, 0);
    }

    pub(crate) fn used(&self) -> usize {
        self.used as usize
    }

    pub(crate) fn limit(&self) -> usize {
        self.limit as usize
    }

    /// Rows that were ever taken: numbers 1 to this may be looked at.
    pub(crate) fn made(&self) -> u32 {
        self.rows.made().len() as u32
    }

    #[inline]
    pub(crate) fn get(&self, n: u32) -> Option<&T> {
        self.rows.made().get((n as usize).wrapping_sub(1))
    }
}

impl<T, R: Rows<T> + ?Sized> Index<u32> for Slab<'_, T, R> {
    type Output = T;
    #[inline]
    fn index(&self, n: u32) -> &T {
        &self.rows.made()[(n as usize).wrapping_sub(1)]
    }
}

impl<T, R: Rows<T> + ?Sized> IndexMut<u32> for Slab<'_, T, R> {
    #[inline]
    fn index_mut(&mut self, n: u32) -> &mut T {
        &mut self.rows.made_mut()[(n as usize).wrapping_sub(1)]
    }
}

/// First and last of a list; 0: none.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Ends {
    pub(crate) first: u32,
    pub(crate) last: u32,
}

impl Ends {
    pub(crate) const EMPTY: Ends = Ends { first: 0, last: 0 };
}

/// A row's place in one list.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Link {
    pub(crate) prev: u32,
    pub(crate) next: u32,
}

impl Link {
    pub(crate) const NONE: Link = Link { prev: 0, next: 0 };
}

/// Rows that stand in lists of several kinds at once; `A` tells the kinds apart.
pub(crate) trait Linked<A>: Row {
    fn link(&mut self) -> &mut Link;
}

/// Puts row `n` at the end of a list.
pub(crate) fn append<A, T: Linked<A>>(slab: &mut Slab<'_, T, impl Rows<T> + ?Sized>, ends: &mut Ends, n: u32) {
    *Linked::<A>::link(&mut slab[n]) = Link { prev: ends.last, next: 0 };
    match ends.last {
        0 => ends.first = n,
        last => Linked::<A>::link(&mut slab[last]).next = n,
    }
    ends.last = n;
}

/// Takes row `n` out of a list that it stands in.
pub(crate) fn remove<A, T: Linked<A>>(slab: &mut Slab<'_, T, impl Rows<T> + ?Sized>, ends: &mut Ends, n: u32) {
    let Link { prev, next } = core::mem::take(Linked::<A>::link(&mut slab[n]));
    match prev {
        0 => ends.first = next,
        prev => Linked::<A>::link(&mut slab[prev]).next = next,
    }
    match next {
        0 => ends.last = prev,
        next => Linked::<A>::link(&mut slab[next]).prev = prev,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct R {
        link: Link,
        free: u32,
    }
    impl Row for R {
        const EMPTY: R = R { link: Link::NONE, free: 0 };
        fn free_link(&mut self) -> &mut u32 {
            &mut self.free
        }
    }
    struct Axis;
    impl Linked<Axis> for R {
        fn link(&mut self) -> &mut Link {
            &mut self.link
        }
    }

    #[test]
    fn rows_are_taken_given_and_listed() {
        let mut rows: heapless::Vec<R, 4> = heapless::Vec::new();
        let mut s = Slab::new(rows.as_mut_view(), 3);
        let mut l = Ends::EMPTY;
        let n: [u32; 3] = core::array::from_fn(|_| s.take().unwrap());
        assert_eq!(n, [1, 2, 3]);
        assert_eq!(s.take(), None, "the limit counts, not the capacity");
        for n in n {
            append::<Axis, _>(&mut s, &mut l, n);
        }
        remove::<Axis, _>(&mut s, &mut l, 2);
        assert_eq!((l.first, s[1].link.next, s[3].link.prev, l.last), (1, 3, 1, 3));
        s.give(2);
        assert_eq!(s.take(), Some(2));
        remove::<Axis, _>(&mut s, &mut l, 1);
        remove::<Axis, _>(&mut s, &mut l, 3);
        assert_eq!((l.first, l.last), (0, 0));
    }
}
