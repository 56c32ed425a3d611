//! The bytes below the messages: Messi's headers and protobuf's fields.
//!
//! Owns: the two headers (`wire/messi.md` sections 2 and 3), and reading and writing of
//! single protobuf fields, borrowed, by nom. Does not own which fields there are
//! (`repr.rs`), nor where a frame ends (`frame.rs`).

use nom::bytes::complete::take;
use nom::number::complete::{le_u32, le_u64};

/// Frame types of today's framing, section 2. Generation B has the same (section 3).
pub mod kind {
    /// One encoded `ClientToServer`. In generation A the user message of both directions.
    pub const CLIENT_TO_SERVER: u8 = 1;
    /// One encoded `ServerToClient`.
    pub const SERVER_TO_CLIENT: u8 = 2;
    /// From client to server, no payload.
    pub const PING: u8 = 3;
    /// From server to client, no payload.
    pub const PONG: u8 = 4;
    /// The ping of generation A, which has only one kind of user message (section 3).
    pub const PING_A: u8 = 2;
    /// The pong of generation A.
    pub const PONG_A: u8 = 3;
}

/// Octets of today's header: type 1, size 3, big endian.
pub const HEADER: usize = 4;
/// Octets of the old header: type 4, size 4, big endian.
pub const OLD_HEADER: usize = 8;
/// Largest payload that today's header can say.
pub const MAX_PAYLOAD: usize = 0xff_ffff;

/// Why bytes are no protobuf, or no message of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Malformed {
    /// Ends inside a field.
    Truncated,
    /// A varint of more than ten octets, or of more than 64 bits.
    LongVarint,
    /// Field number 0, or above 2^29 - 1.
    FieldNumber,
    /// Wire type 6 or 7, or an end of a group that was never begun.
    WireType,
    /// Groups nested deeper than [`MAX_GROUPS`].
    DeepGroup,
    /// Text that is not UTF-8.
    NotUtf8,
    /// The same member of `messages` twice. Protobuf would merge them, which cannot be
    /// done while borrowing; no encoder writes this.
    MemberTwice,
    /// More than [`MAX_PARAMS`](crate::limits::MAX_PARAMS) parameters.
    TooManyParams,
    /// A frame type that does not exist or does not belong to this direction.
    FrameType(u8),
}

impl Malformed {
    /// For people.
    pub const fn text(self) -> &'static str {
        match self {
            Malformed::Truncated => "protobuf ends inside a field",
            Malformed::LongVarint => "varint of more than 64 bits",
            Malformed::FieldNumber => "invalid field number",
            Malformed::WireType => "invalid wire type",
            Malformed::DeepGroup => "groups nested too deep",
            Malformed::NotUtf8 => "text is not UTF-8",
            Malformed::MemberTwice => "a member of `messages` is given twice",
            Malformed::TooManyParams => "too many parameters",
            Malformed::FrameType(_) => "unknown frame type, or one of the other direction",
        }
    }
}

/// Deepest nesting of unknown groups that is skipped.
pub const MAX_GROUPS: usize = 8;

impl<I> nom::error::ParseError<I> for Malformed {
    fn from_error_kind(_: I, _: nom::error::ErrorKind) -> Self {
        Malformed::Truncated
    }
    fn append(_: I, _: nom::error::ErrorKind, other: Self) -> Self {
        other
    }
}

type Parsed<'f, T> = Result<(&'f [u8], T), Malformed>;

/// Runs one of nom's complete parsers; whatever it misses is a truncation.
#[inline]
fn run<'f, T>(mut parser: impl nom::Parser<&'f [u8], Output = T, Error = Malformed>, input: &'f [u8]) -> Parsed<'f, T> {
    parser.parse(input).map_err(|_| Malformed::Truncated)
}

/// One varint.
#[inline]
pub fn varint(input: &[u8]) -> Parsed<'_, u64> {
    match input {
        [b, rest @ ..] if *b < 0x80 => Ok((rest, *b as u64)),
        _ => long_varint(input),
    }
}

fn long_varint(input: &[u8]) -> Parsed<'_, u64> {
    let (mut value, mut rest) = (0u64, input);
    let mut shift = 0;
    while let [b, behind @ ..] = rest {
        if shift == 63 && *b > 1 {
            // more than 64 bits: some decoders cut it, some give up
            return Err(Malformed::LongVarint);
        }
        value |= ((b & 0x7f) as u64) << shift;
        rest = behind;
        if *b < 0x80 {
            return Ok((rest, value));
        }
        shift += 7;
    }
    Err(Malformed::Truncated)
}

/// What a field holds, as far as the wire tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wire<'f> {
    /// Wire type 0.
    Varint(u64),
    /// Wire type 1.
    Fixed64(u64),
    /// Wire type 2.
    Len(&'f [u8]),
    /// Wire type 5.
    Fixed32(u32),
    /// Wire types 3 and 4, skipped as a whole.
    Group,
}

/// Whether the usual fields have code of their own: it saves a tenth of what a letter costs,
/// and takes 60 octets of flash, which is what a microcontroller is short of.
const SHORT_WAY: bool = cfg!(target_pointer_width = "64");

/// Takes one field off the front.
#[inline]
pub fn field(input: &[u8]) -> Parsed<'_, (u32, Wire<'_>)> {
    // nearly every field is text or bytes, with a tag and a length of one octet each
    if SHORT_WAY
        && let [tag @ 0x08..0x80, n @ 0..0x80, rest @ ..] = input
        && tag & 7 == 2
        && let Some((bytes, rest)) = rest.split_at_checked(*n as usize)
    {
        return Ok((rest, ((tag >> 3) as u32, Wire::Len(bytes))));
    }
    nested_field(input, MAX_GROUPS)
}

/// As [`field`], with `groups` more levels of groups allowed.
fn nested_field(input: &[u8], groups: usize) -> Parsed<'_, (u32, Wire<'_>)> {
    let (rest, tag) = varint(input)?;
    let number = (tag >> 3) as u32;
    // a tag is 32 bits, five octets at most
    if number == 0 || tag >> 3 > 0x1fff_ffff || input.len() - rest.len() > 5 {
        return Err(Malformed::FieldNumber);
    }
    let (rest, wire) = match tag & 7 {
        2 => {
            let (rest, n) = varint(rest)?;
            let n = usize::try_from(n).map_err(|_| Malformed::Truncated)?;
            let (rest, bytes) = run(take(n), rest)?;
            (rest, Wire::Len(bytes))
        }
        0 => {
            let (rest, v) = varint(rest)?;
            (rest, Wire::Varint(v))
        }
        1 => {
            let (rest, v) = run(le_u64, rest)?;
            (rest, Wire::Fixed64(v))
        }
        5 => {
            let (rest, v) = run(le_u32, rest)?;
            (rest, Wire::Fixed32(v))
        }
        3 => (skip_group(rest, tag + 1, groups)?, Wire::Group),
        _ => return Err(Malformed::WireType),
    };
    Ok((rest, (number, wire)))
}

/// Skips fields to behind the tag that ends a group. `groups` bounds the recursion.
#[cold]
fn skip_group(mut input: &[u8], end: u64, groups: usize) -> Result<&[u8], Malformed> {
    let groups = groups.checked_sub(1).ok_or(Malformed::DeepGroup)?;
    loop {
        let (rest, tag) = varint(input)?;
        if tag == end {
            return Ok(rest);
        }
        input = nested_field(input, groups)?.0;
    }
}

/// Octets of a varint.
#[inline]
pub const fn varint_len(v: u64) -> usize {
    (64 - (v | 1).leading_zeros() as usize).div_ceil(7)
}

/// Writes into a caller's slice that was measured before: `repr.rs` asks for the exact
/// length first, so nothing here can run out of room; if it ever did, the excess is dropped
/// and [`Writer::finish`] says so.
#[derive(Debug)]
pub struct Writer<'o> {
    out: &'o mut [u8],
    at: usize,
}

impl<'o> Writer<'o> {
    /// Writes from the start of `out`.
    pub fn new(out: &'o mut [u8]) -> Self {
        Writer { out, at: 0 }
    }

    /// One octet.
    #[inline]
    pub fn u8(&mut self, b: u8) {
        if let Some(o) = self.out.get_mut(self.at) {
            *o = b;
        }
        self.at += 1;
    }

    /// Octets as they are.
    #[inline]
    pub fn bytes(&mut self, b: &[u8]) {
        if let Some(o) = self.out.get_mut(self.at..self.at + b.len()) {
            o.copy_from_slice(b);
        }
        self.at += b.len();
    }

    /// A varint.
    #[inline]
    pub fn varint(&mut self, mut v: u64) {
        while v >= 0x80 {
            self.u8(v as u8 | 0x80);
            v >>= 7;
        }
        self.u8(v as u8);
    }

    /// A field's tag.
    #[inline]
    pub fn tag(&mut self, number: u32, wire_type: u8) {
        self.varint((number as u64) << 3 | wire_type as u64);
    }

    /// How many octets were written so far, whether they fitted or not.
    pub fn written(&self) -> usize {
        self.at
    }

    /// How many octets were written, or `None` if they did not fit.
    pub fn finish(self) -> Option<usize> {
        (self.at <= self.out.len()).then_some(self.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn varints_of_every_length() {
        for bits in 0..64 {
            for v in [1u64 << bits, (1u64 << bits) - 1, u64::MAX >> bits] {
                let mut buf = [0xa5; 12];
                let mut w = Writer::new(&mut buf);
                w.varint(v);
                let n = w.finish().unwrap();
                assert_eq!(n, varint_len(v));
                assert_eq!(varint(&buf[..n]), Ok((&[][..], v)));
                for cut in 0..n {
                    assert_eq!(varint(&buf[..cut]), Err(Malformed::Truncated));
                }
            }
        }
        assert_eq!(varint(&[0x80; 11]), Err(Malformed::LongVarint));
    }

    #[test]
    fn unknown_fields_of_every_wire_type_are_taken_whole() {
        // messi.md vectors 31, 32, 33
        assert_eq!(field(&[0x78, 0xac, 2]), Ok((&[][..], (15, Wire::Varint(300)))));
        assert_eq!(field(&[0x79, 1, 2, 3, 4, 5, 6, 7, 8]).unwrap().1, (15, Wire::Fixed64(0x0807_0605_0403_0201)));
        assert_eq!(field(&[0x7d, 1, 2, 3, 4]).unwrap().1, (15, Wire::Fixed32(0x0403_0201)));
        // a group with a field and a group inside, then one more octet
        assert_eq!(field(&[0x7b, 0x08, 1, 0x13, 0x14, 0x7c, 9]), Ok((&[9][..], (15, Wire::Group))));
    }

    #[test]
    fn the_short_way_means_the_same() {
        let mut bytes = [0u8; 131];
        for tag in 0..=u8::MAX {
            for n in 0..=u8::MAX {
                (bytes[0], bytes[1]) = (tag, n);
                for len in [0, 1, 2, 3, 2 + n as usize / 2, 1 + n as usize % 128, 2 + n as usize % 128, 131] {
                    assert_eq!(field(&bytes[..len]), nested_field(&bytes[..len], MAX_GROUPS), "{tag} {n} {len}");
                }
            }
        }
    }

    #[test]
    fn nonsense_has_a_name() {
        assert_eq!(field(&[0x0f, 0]), Err(Malformed::WireType));
        assert_eq!(field(&[0x00, 0]), Err(Malformed::FieldNumber));
        assert_eq!(field(&[0x99]), Err(Malformed::Truncated));
        assert_eq!(field(&[0x12, 0x7f, 0x0a]), Err(Malformed::Truncated));
        assert_eq!(field(&[0x7c]), Err(Malformed::WireType));
        assert_eq!(field(&[0x7b, 0x0c]), Err(Malformed::WireType));
        assert_eq!(field(&[0x0b; 20]), Err(Malformed::DeepGroup));
    }

    #[test]
    fn a_writer_without_room_says_so() {
        let mut buf = [0; 3];
        let mut w = Writer::new(&mut buf);
        w.bytes(&[1, 2]);
        w.bytes(&[3, 4]);
        assert_eq!(w.finish(), None);
        assert_eq!(buf, [1, 2, 0]);
    }
}
