//! Memory that a [`Client`](chappe_core::client::Client) borrows while both live in the same
//! struct.
//!
//! Owns: the one `unsafe` idea of the client library. The core borrows all its memory; a
//! Linux program wants to own one object without a lifetime. So the memory is boxed, kept
//! here as a raw pointer, lent for `'static`, and freed when the holder is dropped, which
//! must be after the borrower.

use std::ptr::NonNull;

/// A box that is lent out.
#[derive(Debug)]
pub(super) struct Held<T: ?Sized>(NonNull<T>);

// SAFETY: it owns its `T` as a Box does; the only reference to it moves together with it,
// inside the same struct (see `lend`).
unsafe impl<T: ?Sized + Send> Send for Held<T> {}

impl<T: ?Sized + 'static> Held<T> {
    /// Lends the content of `b`.
    ///
    /// # Safety
    /// The reference must be gone before the `Held` is dropped: keep both in one struct, the
    /// borrower in an earlier field, both private, and let no copy of the reference out.
    pub(super) unsafe fn lend(b: Box<T>) -> (Held<T>, &'static mut T) {
        let mut at = NonNull::from(Box::leak(b));
        // SAFETY: the pointer is valid until `drop`, and this is the only reference made of
        // it; the caller promises that it ends before that.
        let lent = unsafe { at.as_mut() };
        (Held(at), lent)
    }
}

impl<T: ?Sized> Drop for Held<T> {
    fn drop(&mut self) {
        // SAFETY: it came from a Box in `lend`, is dropped once, and is no longer borrowed.
        drop(unsafe { Box::from_raw(self.0.as_ptr()) });
    }
}
