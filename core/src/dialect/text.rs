//! Writing text into a caller's slice: what the dialects that are text have in common.
//!
//! Owns: counting what does not fit, numbers, Base64. What strings and lines look like is each
//! dialect's own: `msgq/json/write.rs`, `clacks/emit.rs`, `communicator/emit.rs`.

/// Writes into a caller's slice and counts on beyond its end, so that [`Writer::finish`]
/// knows whether everything fitted.
#[derive(Debug)]
pub struct Writer<'o> {
    out: &'o mut [u8],
    at: usize,
}

/// The alphabet of RFC 4648, section 4.
pub(super) const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Fills a group of Base64 that is not full.
pub(super) const PAD: u8 = b'=';

impl<'o> Writer<'o> {
    /// Writes from the start of `out`.
    #[inline]
    pub fn new(out: &'o mut [u8]) -> Self {
        Writer { out, at: 0 }
    }

    /// Octets as they are.
    #[inline]
    pub fn bytes(&mut self, bytes: &[u8]) {
        let end = self.at.saturating_add(bytes.len());
        if let Some(o) = self.out.get_mut(self.at..end) {
            o.copy_from_slice(bytes);
        }
        self.at = end;
    }

    /// One octet.
    #[inline]
    pub fn byte(&mut self, b: u8) {
        if let Some(o) = self.out.get_mut(self.at) {
            *o = b;
        }
        self.at = self.at.saturating_add(1);
    }

    /// A number.
    pub fn u64(&mut self, mut n: u64) {
        let mut digits = [0; 20];
        let mut used = 0;
        for d in digits.iter_mut().rev() {
            *d = b'0' + (n % 10) as u8;
            used += 1;
            n /= 10;
            if n == 0 {
                break;
            }
        }
        self.bytes(digits.get(digits.len() - used..).unwrap_or_default());
    }

    /// Octets in Base64, with padding.
    pub fn base64(&mut self, bytes: &[u8]) {
        let letter = |n: u32| BASE64[(n & 63) as usize];
        let mut threes = bytes.chunks_exact(3);
        for three in &mut threes {
            let n = three.iter().fold(0, |n, b| n << 8 | *b as u32);
            self.bytes(&[letter(n >> 18), letter(n >> 12), letter(n >> 6), letter(n)]);
        }
        match *threes.remainder() {
            [a, b] => {
                let n = (a as u32) << 16 | (b as u32) << 8;
                self.bytes(&[letter(n >> 18), letter(n >> 12), letter(n >> 6), PAD]);
            }
            [a] => {
                let n = (a as u32) << 16;
                self.bytes(&[letter(n >> 18), letter(n >> 12), PAD, PAD]);
            }
            _ => {}
        }
    }

    /// How many octets were written so far, whether they fitted or not.
    #[inline]
    pub const fn at(&self) -> usize {
        self.at
    }

    /// How many octets were written, or `None` if they did not fit.
    #[inline]
    pub fn finish(self) -> Option<usize> {
        (self.at <= self.out.len()).then_some(self.at)
    }
}
