//! Short texts in fixed memory, without `core::fmt`, which would cost several KiB of flash.

/// Writes a text into memory of the caller's. What does not fit is left out, whole words at a time. Not generic over the
/// size, so that its code exists once.
#[derive(Debug)]
pub struct Text<'t> {
    bytes: &'t mut [u8],
    len: usize,
}

impl<'t> Text<'t> {
    /// Writes from the start of `bytes`.
    pub fn new(bytes: &'t mut [u8]) -> Self {
        Text { bytes, len: 0 }
    }

    /// Writes behind the first `len` bytes.
    pub fn behind(bytes: &'t mut [u8], len: usize) -> Self {
        Text { bytes, len }
    }

    /// What was written, and what it was written behind.
    pub fn finish(self) -> &'t [u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    /// Adds `word`, if it fits.
    #[inline(never)]
    pub fn add(&mut self, word: &str) -> &mut Self {
        if let Some(room) = self.bytes.get_mut(self.len..).and_then(|rest| rest.get_mut(..word.len())) {
            room.copy_from_slice(word.as_bytes());
            self.len += word.len();
        }
        self
    }

    /// Adds a number.
    #[inline(never)]
    pub fn number(&mut self, mut n: u32) -> &mut Self {
        let mut digits = [b'0'; 10];
        let mut at = digits.len();
        loop {
            at -= 1;
            digits[at] = b'0' + (n % 10) as u8;
            n /= 10;
            if n == 0 {
                break;
            }
        }
        self.add(core::str::from_utf8(&digits[at..]).unwrap_or_default())
    }

    /// Adds a number of hundredths, as `-12.05`.
    #[inline(never)]
    pub fn hundredths(&mut self, n: i32) -> &mut Self {
        if n < 0 {
            self.add("-");
        }
        let n = n.unsigned_abs();
        self.number(n / 100).add(if n % 100 < 10 { ".0" } else { "." }).number(n % 100)
    }
}

/// Reads `12`, `-3.5` or `34.25` as hundredths; further digits are not taken.
pub(crate) fn hundredths(text: &str) -> Option<i32> {
    let (negative, digits) = match text.as_bytes() {
        [b'-', rest @ ..] => (true, rest),
        all => (false, all),
    };
    // digits behind the point that are still to come; none: the point has not come
    let mut behind = None;
    let mut n = 0i32;
    for &b in digits {
        match (b, behind) {
            (b'.', None) if n != 0 || digits[0] != b'.' => behind = Some(2),
            (b'0'..=b'9', None) if n < 1_000_000 => n = n * 10 + i32::from(b - b'0'),
            (b'0'..=b'9', Some(left @ 1..)) => {
                n = n * 10 + i32::from(b - b'0');
                behind = Some(left - 1);
            }
            _ => return None,
        }
    }
    for _ in 0..behind.unwrap_or(2) {
        n *= 10;
    }
    if digits.is_empty() {
        return None;
    }
    Some(if negative { -n } else { n })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut Text<'_>)) -> ([u8; 32], usize) {
        let mut bytes = [0; 32];
        let mut text = Text::new(&mut bytes);
        write(&mut text);
        let n = text.finish().len();
        (bytes, n)
    }

    #[test]
    fn numbers_come_out_as_people_write_them() {
        for (n, want) in [(0, "0.00"), (5, "0.05"), (-5, "-0.05"), (3489, "34.89"), (-1200, "-12.00")] {
            let (bytes, len) = written(|t| {
                t.hundredths(n);
            });
            assert_eq!(&bytes[..len], want.as_bytes());
            assert_eq!(hundredths(want), Some(n));
        }
        let (bytes, len) = written(|t| {
            t.number(u32::MAX);
        });
        assert_eq!(&bytes[..len], b"4294967295");
        for (text, n) in [("12", 1200), ("12.5", 1250), ("12.", 1200), ("0.5", 50), ("-3.25", -325)] {
            assert_eq!(hundredths(text), Some(n), "{text}");
        }
        for bad in ["", "-", ".", "x", "1.234", "1.x", "1.2.3", "99999999", "--1", " 1"] {
            assert_eq!(hundredths(bad), None, "{bad}");
        }
    }

    #[test]
    fn what_does_not_fit_is_left_out() {
        let mut bytes = [0; 4];
        let mut text = Text::new(&mut bytes);
        text.add("abc").add("de").add("f");
        assert_eq!(text.finish(), b"abcf");
        assert_eq!(Text::behind(&mut bytes, 3).finish(), b"abc");
        assert_eq!(Text::behind(&mut bytes, 9).add("x").number(1).bytes, b"abcf", "and nothing breaks");
    }
}
