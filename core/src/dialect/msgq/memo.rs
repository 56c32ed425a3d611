//! The last header of a message to a group: who sends much sends much of the same, and often
//! only the number differs.
//!
//! Owns: what of that header must be the same for the next one to mean the same, which is
//! every octet but those of the number. Only a shortcut: `session.rs` understands the same
//! without it, and nothing is kept that depends on the node or on who sends.

use crate::model::Letter;

/// Longest header that is kept. The libraries write about 120 octets.
const ROOM: usize = 192;

/// Most digits of a number: those that 64 bits always hold.
const DIGITS: usize = 18;

/// A header and where in it stands what differs or is needed.
#[derive(Debug)]
pub(crate) struct Memo {
    header: heapless::Vec<u8, ROOM>,
    /// The digits of `seq`.
    number: (usize, usize),
    /// The group, without its quotes, the same on the bus.
    group: (usize, usize),
    ask: bool,
}

impl Memo {
    pub(crate) const fn new() -> Self {
        Memo { header: heapless::Vec::new(), number: (0, 0), group: (0, 0), ask: false }
    }

    /// Keeps a header of a message to a group, any instance: `header` is plain JSON without
    /// escapes; `number` and `group` are parts of it. Anything unusual is not kept.
    #[inline]
    pub(super) fn keep(&mut self, header: &str, number: &str, group: &str, ask: bool) {
        let Some(number) = place(header, number).filter(|_| is_number(number.as_bytes())) else { return };
        let Some(group) = place(header, group) else { return };
        if header.len() > ROOM {
            return;
        }
        self.header.clear();
        if self.header.extend_from_slice(header.as_bytes()).is_ok() {
            (self.number, self.group, self.ask) = (number, group, ask);
        }
    }

    /// The letter that a header says which differs from the one kept in nothing but the
    /// number, without body. `None`: it is another one.
    #[inline]
    pub(super) fn again<'f>(&self, header: &'f [u8]) -> Option<Letter<'f>> {
        let (start, end) = self.number;
        let (before, behind) = (self.header.get(..start)?, self.header.get(end..)?);
        let digits = header.len().checked_sub(before.len() + behind.len())?;
        let number = header.strip_prefix(before)?.strip_suffix(behind)?;
        if start == end || number.len() != digits || !is_number(number) {
            return None;
        }
        // a group behind the number has moved with it
        let (from, to) = self.group;
        let moved = |at: usize| if from > start { (at + digits).checked_sub(end - start) } else { Some(at) };
        let name = core::str::from_utf8(header.get(moved(from)?..moved(to)?)?).ok()?;
        Some(Letter { name, ask: self.ask, ..Letter::default() })
    }
}

/// An integer as JSON writes it, without a sign.
#[inline]
fn is_number(text: &[u8]) -> bool {
    match text {
        [b'0'] => true,
        [b'1'..=b'9', rest @ ..] => rest.len() < DIGITS && rest.iter().all(u8::is_ascii_digit),
        _ => false,
    }
}

/// Where `part`, which is a piece of `whole`, stands in it.
fn place(whole: &str, part: &str) -> Option<(usize, usize)> {
    let at = (part.as_ptr() as usize).checked_sub(whole.as_ptr() as usize)?;
    let end = at.checked_add(part.len())?;
    (whole.get(at..end)? == part).then_some((at, end))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = r#"{"seq": 7, "type": "send", "group": "news", "want_answer": true}"#;

    fn kept(header: &str) -> Memo {
        let mut memo = Memo::new();
        let at = |word: &str| header.find(word).map(|i| &header[i..i + word.len()]).unwrap();
        memo.keep(header, at("7"), at("news"), true);
        memo
    }

    #[test]
    fn only_the_number_may_differ() {
        let memo = kept(HEADER);
        for number in ["7", "0", "10", "123456789012345678"] {
            let header = HEADER.replace('7', number);
            let letter = memo.again(header.as_bytes()).unwrap();
            assert_eq!((letter.name, letter.ask), ("news", true), "{number}");
        }
        for number in ["", "-7", "07", "7.0", "1e1", "\"7\"", " 7", "7 ", "1234567890123456789", "7, \"to\": 7"] {
            assert_eq!(memo.again(HEADER.replace('7', number).as_bytes()), None, "{number}");
        }
        let mut other = HEADER.as_bytes().to_vec();
        for i in 0..other.len() {
            let b = core::mem::replace(&mut other[i], b'#');
            assert_eq!(memo.again(&other), None, "octet {i}");
            other[i] = b;
            assert_eq!(memo.again(&other[..i]), None, "cut at {i}");
        }
    }

    #[test]
    fn a_group_before_the_number_stays_where_it_is() {
        let header = r#"{"group": "news", "seq": 7}"#;
        let letter = kept(header);
        let header = header.replace('7', "77777");
        assert_eq!(letter.again(header.as_bytes()).unwrap().name, "news");
    }

    #[test]
    fn nothing_unusual_is_kept() {
        assert_eq!(Memo::new().again(b""), None);
        assert_eq!(Memo::new().again(b"7"), None);
        let long = HEADER.replace("send", &"s".repeat(ROOM));
        assert_eq!(kept(&long).again(long.as_bytes()), None);
        let mut memo = Memo::new();
        memo.keep(HEADER, "7", "news", true);
        assert_eq!(memo.again(HEADER.as_bytes()), None, "what is no piece of the header has no place in it");
    }
}
