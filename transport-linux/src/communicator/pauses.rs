//! When to connect again (`wire/communicator.md` section 8.1).
//!
//! Owns: the list of pauses, how it is written, and which comes next. Does not own connecting
//! (`turn.rs`).

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use chappe_core::dialect::communicator::number;

/// Pauses in a list, at the most.
const MOST: usize = 254;

/// Pauses between attempts to connect: the first one after the first failure and so on; the last
/// is repeated. Nothing random is added.
///
/// Written as the original's option and variable have it, `1,1,1,3,5,10,20,30,60`, each a duration
/// (`5s`, `1m`, `1.5`). A negative one at the front delays the very first attempt, and is no pause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pauses {
    /// Before the very first attempt.
    delay: Duration,
    /// Never empty.
    list: Vec<Duration>,
}

impl Default for Pauses {
    /// 1, 1, 1, 3, 5, 10, 20, 30 and then 60 s.
    fn default() -> Self {
        let list = [1, 1, 1, 3, 5, 10, 20, 30, 60];
        Pauses { delay: Duration::ZERO, list: list.map(Duration::from_secs).to_vec() }
    }
}

impl Pauses {
    /// Always the same.
    pub fn always(pause: Duration) -> Pauses {
        Pauses { delay: Duration::ZERO, list: vec![pause.max(SHORTEST)] }
    }

    /// Before the very first attempt.
    pub fn delay(&self) -> Duration {
        self.delay
    }

    /// After so many failures in a row.
    pub(super) fn after(&self, failures: usize) -> Duration {
        self.list.get(failures).or(self.list.last()).copied().unwrap_or(SHORTEST)
    }
}

/// Who wrote 0 does not want to busy the machine.
const SHORTEST: Duration = Duration::from_millis(1);

/// The longest pause: a year.
const LONGEST: Duration = Duration::from_secs(365 * 86_400);

/// Why a list is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadPauses(String);

impl fmt::Display for BadPauses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for BadPauses {}

impl FromStr for Pauses {
    type Err = BadPauses;

    fn from_str(text: &str) -> Result<Pauses, BadPauses> {
        let bad = |why: String| BadPauses(format!("{why}; write pauses like 1,1,3,10,1m"));
        let mut spans = Vec::new();
        for item in text.split(',') {
            let ns = number::duration(item.as_bytes()).map_err(|_| bad(format!("{item:?} is no duration")))?;
            spans.push((ns < 0, Duration::from_nanos(ns.unsigned_abs()).min(LONGEST)));
        }
        if spans.len() > MOST {
            return Err(bad(format!("{} are more than {MOST} pauses", spans.len())));
        }
        let mut delay = Duration::ZERO;
        if let Some((true, span)) = spans.first() {
            delay = *span;
            spans.remove(0);
        }
        if spans.is_empty() {
            return Err(bad("there is no pause behind the delay".into()));
        }
        if spans.iter().any(|(is_negative, _)| *is_negative) {
            return Err(bad("only the first may be negative".into()));
        }
        Ok(Pauses { delay, list: spans.into_iter().map(|(_, span)| span.max(SHORTEST)).collect() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_is_repeated() {
        let default: Pauses = "1,1,1,3,5,10,20,30,60".parse().unwrap();
        assert_eq!(default, Pauses::default());
        let seconds: Vec<_> = (0..12).map(|n| default.after(n).as_secs()).collect();
        assert_eq!(seconds, [1, 1, 1, 3, 5, 10, 20, 30, 60, 60, 60, 60]);
        let other: Pauses = "-0.5,.1,2m".parse().unwrap();
        assert_eq!((other.delay().as_millis(), other.after(0).as_millis()), (500, 100));
        assert_eq!(other.after(7), Duration::from_secs(120));
        assert_eq!(Pauses::always(Duration::from_secs(60)).after(3).as_secs(), 60);
    }

    #[test]
    fn what_is_no_list_is_refused() {
        for (text, why) in
            [("", "no duration"), ("1,x", "\"x\""), ("1,-1", "only the first"), ("-1", "no pause"), ("1,,2", "\"\"")]
        {
            let error = text.parse::<Pauses>().expect_err(text).to_string();
            assert!(error.contains(why) && error.contains("1,1,3,10,1m"), "{error}");
        }
        "1,".repeat(MOST).trim_end_matches(',').parse::<Pauses>().unwrap();
        assert!(format!("{}1", "1,".repeat(MOST)).parse::<Pauses>().is_err());
    }
}
