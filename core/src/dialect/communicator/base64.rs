//! Base64, octet by octet: how bytes that are no text are written in this dialect.
//!
//! Owns: both directions, with padding (RFC 4648 section 4). Does not own where it is used
//! (`translate.rs`): the dialect itself has no marker for it.

use crate::dialect::text::BASE64;

/// Iterator of the digits of some octets.
#[derive(Debug, Clone)]
pub(super) struct Digits<'f> {
    left: &'f [u8],
    /// Of the three octets at the front.
    at: usize,
}

impl<'f> Digits<'f> {
    pub(super) const fn new(octets: &'f [u8]) -> Self {
        Digits { left: octets, at: 0 }
    }
}

impl Iterator for Digits<'_> {
    type Item = u8;

    fn next(&mut self) -> Option<u8> {
        let (word, size) = match self.left {
            [] => return None,
            [a] => (u32::from_be_bytes([0, *a, 0, 0]), 1),
            [a, b] => (u32::from_be_bytes([0, *a, *b, 0]), 2),
            [a, b, c, ..] => (u32::from_be_bytes([0, *a, *b, *c]), 3),
        };
        let digit = match self.at > size {
            true => Some(b'='),
            false => BASE64.get((word >> (18 - 6 * self.at)) as usize & 63).copied(),
        };
        self.at += 1;
        if self.at == 4 {
            self.left = self.left.get(size..).unwrap_or_default();
            self.at = 0;
        }
        digit
    }
}

/// Iterator of the octets of some digits. What is no Base64 ends it with `Err`.
pub(super) fn octets(digits: impl Iterator<Item = u8>) -> impl Iterator<Item = Result<u8, NotBase64>> {
    let mut digits = digits.fuse();
    let (mut held, mut bits) = (0u32, 0u32);
    let (mut count, mut done) = (0usize, false);
    core::iter::from_fn(move || {
        while !done {
            match digits.next() {
                end @ (Some(b'=') | None) => {
                    done = true;
                    // what is left over is zeroes, and `=` to four, if there are any
                    let mut signs = end.is_some() as usize;
                    let mut only = true;
                    for d in digits.by_ref() {
                        signs += 1;
                        only &= d == b'=';
                    }
                    let is_whole = match count % 4 {
                        0 => signs == 0,
                        2 => held == 0 && signs <= 2,
                        3 => held == 0 && signs <= 1,
                        _ => false,
                    };
                    return (!is_whole || !only).then_some(Err(NotBase64));
                }
                Some(d) => {
                    let Some(value) = BASE64.iter().position(|a| *a == d) else {
                        done = true;
                        return Some(Err(NotBase64));
                    };
                    count += 1;
                    held = held << 6 | value as u32;
                    bits += 6;
                    if bits >= 8 {
                        bits -= 8;
                        let b = (held >> bits) as u8;
                        held &= (1 << bits) - 1;
                        return Some(Ok(b));
                    }
                }
            }
        }
        None
    })
}

/// It is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NotBase64;

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec::Vec;

    fn back(digits: &[u8]) -> Result<Vec<u8>, NotBase64> {
        octets(digits.iter().copied()).collect()
    }

    #[test]
    fn both_ways() {
        for (plain, digits) in [
            (&b""[..], &b""[..]),
            (b"f", b"Zg=="),
            (b"fo", b"Zm8="),
            (b"foo", b"Zm9v"),
            (b"foob", b"Zm9vYg=="),
            (b"\xff\xfe\xfd\0", b"//79AA=="),
        ] {
            assert_eq!(Digits::new(plain).collect::<Vec<_>>(), digits);
            assert_eq!(back(digits).unwrap(), plain);
        }
        assert_eq!(back(b"Zm9vYg").unwrap(), b"foob", "padding may be missing");
        for odd in [&b"Z"[..], b"Zm9v=", b"Zg=a", b"Z===", b"Zh==", b"Zm9=", b"Zm 8", b"Zg===", b"-_", b"="] {
            assert!(back(odd).is_err(), "{odd:?}");
        }
        for size in 0..70 {
            let plain: Vec<u8> = (0..size).map(|i: u8| i.wrapping_mul(37)).collect();
            let digits: Vec<u8> = Digits::new(&plain).collect();
            assert_eq!(digits.len(), plain.len().div_ceil(3) * 4);
            assert_eq!(back(&digits).unwrap(), plain);
        }
    }
}
