//! What a sender wants if nobody is there (`wire/communicator.md` sections 3.6 and 3.7).
//!
//! Owns: the parameters `cache` and `transmission_report`, and their times. Does not own the
//! messages that wait (the router's mailbox, D9), nor which services messages wait for.

use super::number;
use super::repr::Message;
use super::text::Text;
use crate::time::Duration;

/// How long a message waits that says nothing about it.
pub const USUAL: Duration = Duration::from_secs(60);

/// The shortest time that a message may ask for.
pub const SHORTEST: Duration = Duration::from_secs(10);

/// The longest.
pub const LONGEST: Duration = Duration::from_secs(86_400);

/// Octets of an item that can mean anything.
const ITEM: usize = 64;

/// The parameter `cache`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Cache {
    /// How long to wait. `None`: not at all.
    pub keep: Option<Duration>,
    /// If it does not wait, say `SERVICE_UNAVAILABLE`. Means nothing if it does.
    pub reply: bool,
    /// Something in it is not as the page has it, and had no effect: for the log.
    pub odd: bool,
}

/// Of a message that does not say.
impl Default for Cache {
    fn default() -> Self {
        Cache { keep: Some(USUAL), reply: false, odd: false }
    }
}

impl Cache {
    /// Of a message.
    pub fn of(m: &Message<'_>) -> Self {
        m.get("cache").map(Cache::read).unwrap_or_default()
    }

    /// Of the value of the parameter: items with `;` between them.
    pub fn read(value: Text<'_>) -> Self {
        let mut cache = Cache::default();
        let (mut no, mut ttl) = (false, USUAL);
        // an item, or `None` if it is longer than any that means something
        let mut item = Some(heapless::Vec::<u8, ITEM>::new());
        for b in value.octets().map(Some).chain([None]) {
            match b {
                Some(b) if b != b';' => {
                    if item.as_mut().is_some_and(|i| i.push(b).is_err()) {
                        item = None;
                    }
                }
                _ => {
                    let whole = item.replace(heapless::Vec::new());
                    match whole.as_deref().map(split) {
                        Some((b"", None)) => {}
                        Some((b"no", _)) => no = true,
                        Some((b"reply", _)) => cache.reply = true,
                        Some((b"ttl", value)) => {
                            let asked = value.and_then(time_to_live);
                            cache.odd |= asked.is_none();
                            ttl = asked.unwrap_or(USUAL);
                        }
                        _ => cache.odd = true,
                    }
                }
            }
        }
        cache.keep = (!no).then_some(ttl);
        cache
    }
}

/// Name and value of an item.
fn split(item: &[u8]) -> (&[u8], Option<&[u8]>) {
    match item.iter().position(|b| *b == b'=') {
        Some(at) => (item.get(..at).unwrap_or_default(), item.get(at + 1..)),
        None => (item, None),
    }
}

/// Whole seconds, what is less is one more; `None` if that is not what may be asked for.
fn time_to_live(value: &[u8]) -> Option<Duration> {
    const SECOND: i64 = 1_000_000_000;
    let ns = number::duration(value).ok().filter(|ns| *ns > 0)?;
    let seconds = ns / SECOND + (ns % SECOND > 0) as i64;
    let ttl = u32::try_from(seconds).ok().map(Duration::from_secs)?;
    (SHORTEST..=LONGEST).contains(&ttl).then_some(ttl)
}

/// Whether the sender wants to be told if a message does not arrive. Nothing is said about
/// those that do; other values of the parameter mean nothing.
pub fn wants_report(m: &Message<'_>) -> bool {
    m.get("transmission_report").is_some_and(|v| v.is(b"failure"))
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::super::parse;
    use super::*;

    #[test]
    fn each_row_of_the_table() {
        let keep = |s| Some(Duration::from_secs(s));
        for (value, want, reply, odd) in [
            ("", keep(60), false, false),
            ("no", None, false, false),
            ("no=false", None, false, false),
            ("no;reply", None, true, false),
            ("no;reply=true;ttl=1m", None, true, false),
            ("reply=no", keep(60), true, false),
            ("ttl=30", keep(30), false, false),
            ("ttl=5m", keep(300), false, false),
            ("ttl=9.5", keep(10), false, false),
            ("ttl=10", keep(10), false, false),
            ("ttl=10.1s", keep(11), false, false),
            ("ttl=1d", keep(86_400), false, false),
            ("ttl=9", keep(60), false, true),
            ("ttl=86400.5", keep(60), false, true),
            ("ttl=0", keep(60), false, true),
            ("ttl=-30", keep(60), false, true),
            ("ttl", keep(60), false, true),
            ("ttl=", keep(60), false, true),
            ("ttl=soon", keep(60), false, true),
            ("ttl=20;ttl=30", keep(30), false, false),
            ("ttl=20;;", keep(20), false, false),
            ("=no;ttl=20", keep(20), false, true),
            ("unknown=1;no", None, false, true),
            ("NO", keep(60), false, true),
        ] {
            assert_eq!(Cache::read(Text::from(value)), Cache { keep: want, reply, odd }, "{value:?}");
        }
        let long = std::format!("ttl={}30;no", "0".repeat(100));
        assert_eq!(Cache::read(Text::from(&long[..])), Cache { keep: None, reply: false, odd: true });
    }

    #[test]
    fn as_it_comes_in_a_message() {
        let of = |line: &'static str| Cache::of(&parse::message(line.as_bytes(), &mut []).unwrap());
        assert_eq!(of("bar/REFRESH").keep, Some(USUAL));
        let refresh = of("bar/REFRESH cache=\"no;reply\"");
        assert!(refresh.keep.is_none() && refresh.reply);
        assert_eq!(of("bar/REFRESH cache=ttl=30").keep, Some(Duration::from_secs(30)));
        let wants = |line: &'static str| wants_report(&parse::message(line.as_bytes(), &mut []).unwrap());
        assert!(wants("bar/X transmission_report=failure"));
        assert!(!wants("bar/X transmission_report=success") && !wants("bar/X"));
    }
}
