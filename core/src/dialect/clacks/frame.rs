//! Where a line ends (`wire/clacks.md` section 3).
//!
//! Owns: finding the LF in a stream that comes in pieces, every octet looked at once; which
//! lines have CRs to drop elsewhere than before it; and dropping them. Does not own what a
//! line says (`parse.rs`), nor the octets of a line that is not whole: only how many there
//! are.
//!
//! # What the seam needs for it
//!
//! How long a line is, is known only when its LF is there. Until then all of the input
//! belongs to it and has to be kept, but `Cut::More` means that `Session::cut` has taken the
//! input itself. So `Cut` gets one more variant,
//!
//! ```text
//! /// The frame goes on behind the input: all of that is kept with what is kept of it.
//! Open,
//! ```
//!
//! for which the router does what it does for the beginning of a frame (`keep_half` of all
//! the input). `Cut::Frame { size }` needs no change: `size` counts what was kept. Where there
//! were only empty lines, and no line has begun, it is `Cut::More` as before: nothing is kept,
//! and no time runs in which a line has to be whole.
//!
//! A line that [`Finder::is_odd`] has to be changed before it is understood. That needs room
//! for all of it: the buffer where the router puts frames together that came in pieces. So
//! an odd line goes there even if it came in one piece, and [`compact`] takes out of it in
//! place what does not belong there. For this `Session` gets one more call each way: whether
//! the frame is odd, and the compacting, which leaves frames of other dialects alone.

/// Ends a line.
pub const LF: u8 = b'\n';

/// Means nothing, wherever it stands.
pub const CR: u8 = b'\r';

/// What is remembered of the line at the front of a stream.
#[derive(Debug, Clone, Copy, Default)]
pub struct Finder {
    /// Octets of it that were looked at and do not end it.
    seen: usize,
    /// The last of these is a CR, which is odd unless an LF follows.
    cr: bool,
    odd: bool,
}

/// A line is longer than the node takes. The stream cannot go on: nobody knows how long it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct TooLong;

impl TooLong {
    /// For people.
    pub const fn text(self) -> &'static str {
        "a line longer than the node takes"
    }
}

impl Finder {
    /// For one new connection.
    pub const fn new() -> Self {
        Finder { seen: 0, cr: false, odd: false }
    }

    /// Whether a line has begun and is not used up.
    pub const fn is_inside(&self) -> bool {
        self.seen > 0
    }

    /// Whether the line that was found has CRs elsewhere than before its LF, so that it is
    /// not to be read without [`compact`].
    #[inline]
    pub const fn is_odd(&self) -> bool {
        self.odd
    }

    /// How many octets the line at the front of the stream has, its end and what earlier
    /// inputs had of it included. `None`: it does not end in `input`, all of which belongs to
    /// it. Empty lines are taken from the front of `input`, nothing else is.
    ///
    /// Until [`Finder::next`] is called the answer stays the same, but `input` must begin
    /// where the last one ended if the line did not end in that.
    ///
    /// # Errors
    ///
    /// The line has more than `limit` octets. Known at the latest when more than these have
    /// come.
    #[inline]
    pub fn line(&mut self, input: &mut &[u8], limit: usize) -> Result<Option<usize>, TooLong> {
        if self.seen == 0 {
            *input = behind_empty(input);
        }
        let bytes = *input;
        let mut at = 0;
        if self.cr && !bytes.is_empty() {
            self.cr = false;
            self.odd |= bytes.first() != Some(&LF);
        }
        let size = loop {
            at = cr_or_lf(bytes, at);
            match (bytes.get(at), bytes.get(at + 1)) {
                (Some(&CR), Some(&LF)) => break self.seen.saturating_add(at + 2),
                (Some(&CR), Some(_)) => self.odd = true,
                (Some(&CR), None) => self.cr = true,
                (Some(_), _) => break self.seen.saturating_add(at + 1),
                (None, _) => {
                    self.seen = self.seen.saturating_add(bytes.len());
                    return if self.seen > limit { Err(TooLong) } else { Ok(None) };
                }
            }
            at += 1;
        };
        if size > limit { Err(TooLong) } else { Ok(Some(size)) }
    }

    /// The line is used up: the next octet begins another.
    #[inline]
    pub fn next(&mut self) {
        *self = Finder::new();
    }
}

/// What stands behind empty lines.
#[inline]
fn behind_empty(mut input: &[u8]) -> &[u8] {
    while let [CR | LF, rest @ ..] = input {
        input = rest;
    }
    input
}

/// A line without its end. Not for an odd one.
#[inline]
pub fn content(frame: &[u8]) -> &[u8] {
    let ([line @ .., CR, LF] | [line @ .., LF] | [line @ .., CR] | line) = frame;
    line
}

/// Takes every CR and the LF at the end out of a line. Returns the octets that are left, all
/// at the front.
pub fn compact(frame: &mut [u8]) -> usize {
    let end = frame.strip_suffix(&[LF]).map_or(frame.len(), <[u8]>::len);
    let (mut from, mut to) = (0, 0);
    while from < end {
        let next = find(frame.get(..end).unwrap_or_default(), CR, from).unwrap_or(end);
        frame.copy_within(from..next, to);
        to += next - from;
        from = next + 1;
    }
    to
}

/// Whether any octet ends a line or is dropped from it: what has none can be said as it is.
#[inline]
pub fn has_line_end(bytes: &[u8]) -> bool {
    cr_or_lf(bytes, 0) < bytes.len()
}

/// Every octet of a word.
const ONES: u64 = 0x0101_0101_0101_0101;
/// The highest bit of every octet of a word.
const HIGHS: u64 = 0x8080_8080_8080_8080;

/// Marks octets of `word` below `b`, which is at most 128. The lowest mark is always right;
/// one above it may not be. Without any there is no such octet.
#[inline]
pub(super) const fn marks_below(word: u64, b: u8) -> u64 {
    word.wrapping_sub(ONES * b as u64) & !word & HIGHS
}

/// Marks octets of `word` that are `b`, as reliably.
#[inline]
pub(super) const fn marks(word: u64, b: u8) -> u64 {
    marks_below(word ^ (ONES * b as u64), 1)
}

/// Marks octets of `word` that are not ASCII.
#[inline]
pub(super) const fn marks_high(word: u64) -> u64 {
    word & HIGHS
}

/// The eight octets of `bytes` at `at`, the first in the lowest place. `None`: there are not
/// as many.
#[inline]
pub(super) fn word(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().map(|eight| u64::from_le_bytes(*eight))
}

/// The place of the first CR or LF of `bytes` at `at` or behind; their length if there is
/// none. Eight octets at a time: every octet that comes is looked at here.
#[inline]
fn cr_or_lf(bytes: &[u8], mut at: usize) -> usize {
    while let Some(word) = word(bytes, at) {
        // one look for most; tabs and the like get the second
        if marks_below(word, CR + 1) != 0 {
            let found = marks(word, CR) | marks(word, LF);
            if found != 0 {
                return at + (found.trailing_zeros() / 8) as usize;
            }
        }
        at += 8;
    }
    while let Some(b) = bytes.get(at) {
        if matches!(*b, CR | LF) {
            break;
        }
        at += 1;
    }
    at
}

/// The place of the first `b` of `bytes` at `at` or behind.
#[inline]
pub(super) fn find(bytes: &[u8], b: u8, mut at: usize) -> Option<usize> {
    while let Some(word) = word(bytes, at) {
        let found = marks(word, b);
        if found != 0 {
            return Some(at + (found.trailing_zeros() / 8) as usize);
        }
        at += 8;
    }
    let left = bytes.get(at..)?;
    left.iter().position(|octet| *octet == b).map(|i| at + i)
}

#[cfg(test)]
mod tests {
    use super::*;

    type Line = heapless::Vec<u8, 64>;

    /// All lines of a stream that comes in pieces of `sizes`, with what the router would keep
    /// of them, CRs dropped.
    fn lines(
        stream: &[u8],
        mut sizes: impl FnMut() -> usize,
        limit: usize,
    ) -> Result<heapless::Vec<Line, 64>, TooLong> {
        let (mut finder, mut kept, mut found) = (Finder::new(), Line::new(), heapless::Vec::new());
        let mut left = stream;
        while !left.is_empty() {
            let (piece, rest) = left.split_at(sizes().clamp(1, left.len()));
            left = rest;
            let mut input = piece;
            while !input.is_empty() {
                let Some(size) = finder.line(&mut input, limit)? else {
                    assert_eq!(finder.is_inside(), !(kept.is_empty() && input.is_empty()));
                    kept.extend_from_slice(core::mem::take(&mut input)).unwrap();
                    break;
                };
                assert_eq!(finder.line(&mut input, limit), Ok(Some(size)), "the same until next()");
                let (part, rest) = input.split_at(size - kept.len());
                input = rest;
                kept.extend_from_slice(part).unwrap();
                let n = compact(&mut kept.clone());
                if !finder.is_odd() {
                    assert_eq!(content(&kept).len(), n);
                    assert!(!has_line_end(content(&kept)));
                }
                let n = compact(&mut kept);
                assert!(!has_line_end(&kept[..n]) && n > 0);
                kept.truncate(n);
                found.push(core::mem::take(&mut kept)).unwrap();
                finder.next();
                assert!(!finder.is_inside() && !finder.is_odd());
            }
        }
        Ok(found)
    }

    /// What the page says, octet by octet.
    fn plainly(stream: &[u8]) -> heapless::Vec<Line, 64> {
        let mut found = heapless::Vec::new();
        let mut line = Line::new();
        for b in stream {
            match b {
                b'\r' => {}
                b'\n' if line.is_empty() => {}
                b'\n' => found.push(core::mem::take(&mut line)).unwrap(),
                b => line.push(*b).unwrap(),
            }
        }
        found
    }

    #[test]
    fn lines_cut_at_every_octet() {
        for stream in [
            &b"PING\r\nSET a=1\r\n"[..],
            b"PING\nSET a=1\n\nQUIT\n",
            b"\r\n\r\nPING\r\n\r\n\n\n\r\r\nSET x=01234567890123456789\r\n",
            b"P\rING\r\n\rSET a=\r1\rQUIT\n",
            b"PING\r\r\nX\r\r\r\n\rY\r\n",
            b"\0\t \xff\x80\x0b\x0c\x0e\r\n\t\t\t\t\t\t\t\t\t\t\n",
            b"0123456\r\n01234567\r\n012345\r\n",
        ] {
            let want = plainly(stream);
            for cut in 1..=stream.len() {
                let mut first = true;
                let got = lines(stream, || if core::mem::take(&mut first) { cut } else { stream.len() }, 64).unwrap();
                assert_eq!(got, want, "cut at {cut}");
                assert_eq!(lines(stream, || cut, 64).unwrap(), want, "pieces of {cut}");
            }
        }
    }

    #[test]
    fn lines_of_chance_cut_by_chance() {
        let mut seed = 0x2545_f491_4f6c_dd1du64;
        let mut chance = move |below: u64| {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            (seed >> 20) % below
        };
        for _ in 0..3000 {
            let mut stream = Line::new();
            for _ in 0..chance(60) {
                let b = [b'a', b'\t', b'\r', b'\n', 0x8d, 0x8a, 0, b'=', 14, 9, b'b', b'c'][chance(12) as usize];
                stream.push(b).unwrap();
            }
            assert_eq!(lines(&stream, || 1 + chance(20) as usize, 64).unwrap(), plainly(&stream), "{stream:?}");
        }
    }

    #[test]
    fn too_long_is_known_when_the_limit_is_passed() {
        // a line of ten octets with its end
        for (limit, ok) in [(10, true), (9, false), (0, false)] {
            assert_eq!(Finder::new().line(&mut &b"12345678\r\n"[..], limit).is_ok(), ok);
            assert_eq!(lines(b"12345678\r\n", || 3, limit).is_ok(), ok);
        }
        let mut f = Finder::new();
        assert_eq!(f.line(&mut &b"1234567890"[..], 10), Ok(None), "its end may still come");
        assert_eq!(f.line(&mut &b"\n"[..], 10), Err(TooLong));
        let mut f = Finder::new();
        assert_eq!(f.line(&mut &b"12345678901"[..], 10), Err(TooLong), "without its end");
        let mut f = Finder::new();
        for _ in 0..100 {
            let mut empty = &b"\r\n\r\n"[..];
            assert_eq!(f.line(&mut empty, 3), Ok(None), "empty lines are none");
            assert!(empty.is_empty() && !f.is_inside());
        }
    }

    #[test]
    fn only_crs_in_odd_places_are_odd() {
        for (stream, odd) in [
            (&b"PING\r\n"[..], false),
            (b"PING\n", false),
            (b"\r\rPING\r\n", false),
            (b"PI\rNG\n", true),
            (b"PING\r\r\n", true),
            (b"P\rI\rN\rG\r\r\r\n", true),
        ] {
            for cut in 1..stream.len() {
                let mut f = Finder::new();
                let (mut a, mut b) = stream.split_at(cut);
                if f.line(&mut a, 100) == Ok(None) {
                    f.line(&mut b, 100).unwrap().unwrap();
                }
                assert_eq!(f.is_odd(), odd, "{stream:?} cut at {cut}");
            }
            let mut line = Line::from_slice(stream).unwrap();
            let n = compact(&mut line);
            assert_eq!(&line[..n], b"PING");
        }
    }

    #[test]
    fn octets_are_found_wherever_they_stand() {
        let mut bytes = [0x8au8; 40];
        for at in 0..40 {
            for b in [b'=', CR, LF, 0, 0xff] {
                bytes[at] = b;
                for from in 0..=40 {
                    let want = (from <= at).then_some(at);
                    assert_eq!(find(&bytes, b, from), want);
                    if matches!(b, CR | LF) {
                        assert_eq!(cr_or_lf(&bytes, from), if from <= at { at } else { 40 });
                    }
                }
            }
            bytes[at] = 0x8a;
        }
        assert_eq!(find(b"", b'=', 1), None);
    }
}
