//! Points in time as this dialect writes them: seconds since 1970, with a fraction.
//!
//! Owns: reading and writing them (`wire/clacks.md` sections 8.5 and 12.3), and moving them by
//! what two clocks differ. Does not own which of two changes is newer: that is the store's.

use super::emit::Writer;
use super::number;

/// Microseconds since 1970; 0 where nothing has happened.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Time(i64);

/// In a second.
const MICROS: u64 = 1_000_000;

/// Digits before and behind the point together: microseconds until 2286. The original writes
/// one less, but then two changes of ours within ten would look alike on the other side of a
/// link, and readers take any number (section 12.3).
const DIGITS: u32 = 16;

impl Time {
    /// No time at all.
    pub const ZERO: Time = Time(0);

    /// From microseconds since 1970.
    pub const fn from_micros(us: i64) -> Self {
        Time(us)
    }

    /// Microseconds since 1970.
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// What has to be added to times of a clock that says this, for one that says `own`.
    pub const fn behind(self, own: Time) -> i64 {
        own.0.saturating_sub(self.0)
    }

    /// By another clock. No time stays none.
    pub const fn moved(self, by: i64) -> Self {
        if self.0 == 0 { self } else { Time(self.0.saturating_add(by)) }
    }

    /// From seconds, as much of `text` as is a number; of the fraction six digits. What is no
    /// number, or no finite one, is 0.
    pub fn parse(text: &[u8]) -> Self {
        let Some((token, is_word)) = number::front_token(text) else { return Time::ZERO };
        if is_word {
            return Time::ZERO;
        }
        match plain(token) {
            Some(us) => Time(us),
            // with an exponent: what is too large is cut
            None => Time((number::double(token) * MICROS as f64) as i64),
        }
    }

    /// In as many digits as the original writes. Digits behind these are dropped, not
    /// rounded: what comes back from a peer must not be newer than what it was sent.
    pub fn write(self, w: &mut Writer<'_>) {
        let us = self.0.unsigned_abs();
        let (seconds, mut fraction) = (us / MICROS, us % MICROS);
        let room = DIGITS.saturating_sub(1 + seconds.checked_ilog10().unwrap_or(0));
        let mut digits = 6;
        while digits > room || (digits > 0 && fraction.is_multiple_of(10)) {
            fraction /= 10;
            digits -= 1;
        }
        if self.0 < 0 {
            w.bytes(b"-");
        }
        w.u64(seconds);
        if digits > 0 {
            w.bytes(b".");
            for d in (0..digits).rev() {
                w.u64(fraction / 10u64.pow(d) % 10);
            }
        }
    }
}

/// A number without exponent. Whole seconds beyond what fits are cut to that.
fn plain(token: &[u8]) -> Option<i64> {
    let (minus, digits) = match token {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, token),
    };
    let (mut us, mut behind) = (0i64, None);
    for b in digits {
        match (b, behind) {
            (b'.', _) => behind = Some(0),
            (b'0'..=b'9', None | Some(..6)) => {
                us = us.saturating_mul(10).saturating_add((b - b'0') as i64);
                behind = behind.map(|n: u32| n + 1);
            }
            (b'0'..=b'9', _) => {}
            _ => return None,
        }
    }
    us = us.saturating_mul(10i64.pow(6 - behind.unwrap_or(0)));
    Some(if minus { -us } else { us })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(time: Time) -> heapless::String<32> {
        let mut out = [0; 32];
        let mut w = Writer::new(&mut out);
        time.write(&mut w);
        let n = w.finish().unwrap();
        core::str::from_utf8(&out[..n]).unwrap().try_into().unwrap()
    }

    #[test]
    fn read_and_written_as_on_the_page() {
        for (seconds, us) in [
            ("1795190046.1714", 1_795_190_046_171_400),
            ("1700000000.5", 1_700_000_000_500_000),
            ("1700000001", 1_700_000_001_000_000),
            ("1795189745.21447", 1_795_189_745_214_470),
            ("4000000000", 4_000_000_000_000_000),
            ("3999999999.9", 3_999_999_999_900_000),
            ("0", 0),
            ("1000", 1_000_000_000),
            ("0.5", 500_000),
            ("-1.25", -1_250_000),
            ("0.000001", 1),
            ("99999999999.1234", 99_999_999_999_123_400),
        ] {
            assert_eq!(Time::parse(seconds.as_bytes()), Time::from_micros(us), "{seconds}");
            assert_eq!(text(Time::from_micros(us)), seconds);
        }
    }

    #[test]
    fn all_decimals_of_today_and_never_rounded_up() {
        for (us, want) in [
            (1_700_000_000_123_456, "1700000000.123456"),
            (1_700_000_000_999_999, "1700000000.999999"),
            (1_700_000_000_000_009, "1700000000.000009"),
            (999_999_999_123_456, "999999999.123456"),
            (99_999_999_999_999_999, "99999999999.99999"),
            (i64::MAX, "9223372036854.775"),
            (i64::MIN, "-9223372036854.775"),
        ] {
            assert_eq!(text(Time::from_micros(us)), want);
            let again = Time::parse(want.as_bytes());
            assert_eq!(text(again), want, "from there on it stays the same");
            assert!(again.micros().unsigned_abs() <= us.unsigned_abs());
        }
    }

    #[test]
    fn what_is_no_number_is_zero() {
        for none in [&b""[..], b"x", b"U", b".", b"-", b"Inf", b"-inf", b"NaN", b"e5", b"\xff"] {
            assert_eq!(Time::parse(none), Time::ZERO, "{none:?}");
        }
        for (odd, us) in [
            (&b"12abc"[..], 12_000_000),
            (b"1.5.5", 1_500_000),
            (b"+3", 3_000_000),
            (b"1e3", 1_000_000_000),
            (b"1.5e3", 1_500_000_000),
            (b"1e-3", 1000),
            (b"1.23456789", 1_234_567),
            (b"1e300", i64::MAX),
            (b"-1e300", i64::MIN),
            (b"1e99999999999", i64::MAX),
            (b"99999999999999999999999999", i64::MAX),
            (b"99999999999999999999999999.999", i64::MAX),
            (b"-99999999999999999999999999", -i64::MAX),
        ] {
            assert_eq!(Time::parse(odd), Time::from_micros(us), "{odd:?}");
        }
    }

    #[test]
    fn clocks_differ() {
        // V46: the peer's clock says 1000
        let own = Time::from_micros(4_000_000_000);
        let by = Time::parse(b"1000").behind(own);
        assert_eq!(Time::parse(b"900").moved(by), Time::from_micros(3_900_000_000));
        assert_eq!(Time::ZERO.moved(by), Time::ZERO);
        assert_eq!(Time::from_micros(i64::MAX).moved(i64::MAX).micros(), i64::MAX);
        assert_eq!(Time::from_micros(i64::MIN).behind(own), i64::MAX);
    }
}
