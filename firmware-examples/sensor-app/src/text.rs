//! Short texts in fixed memory, without `core::fmt`, which would cost several KiB of flash.

/// A text of at most `N` bytes. What does not fit is left out, whole words at a time.
#[derive(Debug, Clone, Copy)]
pub struct Text<const N: usize> {
    bytes: [u8; N],
    len: usize,
}

impl<const N: usize> Text<N> {
    /// Empty.
    pub const fn new() -> Self {
        Text { bytes: [0; N], len: 0 }
    }

    /// What was written.
    pub fn as_str(&self) -> &str {
        core::str::from_utf8(&self.bytes[..self.len]).unwrap_or("")
    }

    /// Keeps the first `len` bytes.
    pub fn cut(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    /// Adds `word`, if it fits.
    pub fn add(&mut self, word: &str) -> &mut Self {
        if let Some(room) = self.bytes.get_mut(self.len..self.len + word.len()) {
            room.copy_from_slice(word.as_bytes());
            self.len += word.len();
        }
        self
    }

    /// Adds a number.
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
        self.add(core::str::from_utf8(&digits[at..]).unwrap_or(""))
    }

    /// Adds a number of hundredths, as `-12.05`.
    pub fn hundredths(&mut self, n: i32) -> &mut Self {
        if n < 0 {
            self.add("-");
        }
        let n = n.unsigned_abs();
        self.number(n / 100).add(".");
        if n % 100 < 10 {
            self.add("0");
        }
        self.number(n % 100)
    }
}

impl<const N: usize> Default for Text<N> {
    fn default() -> Self {
        Self::new()
    }
}

/// Reads `12`, `-3.5` or `34.25` as hundredths; further digits are not taken.
pub(crate) fn hundredths(text: &str) -> Option<i32> {
    let (negative, text) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let whole: u16 = whole.parse().ok()?;
    let part = match (part.len(), part.parse::<u8>()) {
        (0, _) => 0,
        (1, Ok(n)) => i32::from(n) * 10,
        (2, Ok(n)) => i32::from(n),
        _ => return None,
    };
    let n = i32::from(whole) * 100 + part;
    Some(if negative { -n } else { n })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_out_as_people_write_them() {
        let text = |n: i32| *Text::<32>::new().hundredths(n);
        for (n, want) in [(0, "0.00"), (5, "0.05"), (-5, "-0.05"), (3489, "34.89"), (-1200, "-12.00")] {
            assert_eq!(text(n).as_str(), want);
            assert_eq!(hundredths(want), Some(n));
        }
        assert_eq!(Text::<32>::new().number(u32::MAX).as_str(), "4294967295");
        assert_eq!(hundredths("12"), Some(1200));
        assert_eq!(hundredths("12.5"), Some(1250));
        for bad in ["", "x", "1.234", "1.x", "99999999", "--1"] {
            assert_eq!(hundredths(bad), None, "{bad}");
        }
    }

    #[test]
    fn what_does_not_fit_is_left_out() {
        assert_eq!(Text::<4>::new().add("abc").add("de").add("f").as_str(), "abcf");
    }
}
