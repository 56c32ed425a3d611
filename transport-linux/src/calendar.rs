//! Times by the calendar, as text.

use std::time::Duration;

/// A time since 1970-01-01T00:00:00Z, as RFC 3339 has it: UTC, milliseconds.
pub fn rfc3339(since: Duration) -> String {
    let (days, s) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
    // Years that begin in March, counted from 0000-03-01: the leap day is the last of its year.
    let day = days + 719_468;
    let (era, of_era) = (day / 146_097, day % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march = (5 * of_year + 2) / 153;
    let date = of_year - (153 * march + 2) / 5 + 1;
    let month = if march < 10 { march + 3 } else { march - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    format!(
        "{year:04}-{month:02}-{date:02}T{:02}:{:02}:{:02}.{:03}Z",
        s / 3600,
        s / 60 % 60,
        s % 60,
        since.subsec_millis()
    )
}
