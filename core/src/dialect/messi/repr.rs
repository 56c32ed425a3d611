//! The messages of `core/proto/chappe.proto`, borrowed.
//!
//! Owns: one struct per message, with reading, exact length and writing of each, made by
//! one macro so that a field is named once. Field numbers and meanings are those of the
//! .proto file, which is the documentation of every field. A field that is absent has its
//! default (0, empty, false), as proto3 has it; unknown fields are skipped; a field of the
//! wrong wire type counts as unknown.

use super::wire::{Malformed, Wire, Writer, field};
use crate::limits::MAX_PARAMS;

/// Where a field is kept. Reading goes through this instead of code of its own for every
/// field of every message: a microcontroller holds one reader, not twenty.
#[derive(Debug)]
#[doc(hidden)]
pub enum Slot<'m, 'f> {
    U32(&'m mut u32),
    U64(&'m mut u64),
    I64(&'m mut i64),
    Bool(&'m mut bool),
    Text(&'m mut &'f str),
    Bytes(&'m mut &'f [u8]),
    Params(&'m mut Params<'f>),
    Code(&'m mut Code),
    Encoding(&'m mut Encoding),
    StoreOp(&'m mut StoreOp),
    Change(&'m mut Change),
    What(&'m mut What),
    #[cfg(feature = "sniff")]
    Sight(&'m mut Sight),
}

/// What a field holds, as it is written.
#[derive(Debug, Clone, Copy)]
#[doc(hidden)]
pub enum Part<'f> {
    Number(u64),
    Bytes(&'f [u8]),
    Params(Params<'f>),
}

/// One kind of field.
trait Field<'f> {
    fn slot(&mut self) -> Slot<'_, 'f>;
    fn part(&self) -> Part<'f>;
}

macro_rules! field {
    ($type:ty, $slot:ident, $part:expr) => {
        impl<'f> Field<'f> for $type {
            #[inline]
            fn slot(&mut self) -> Slot<'_, 'f> {
                Slot::$slot(self)
            }
            #[inline]
            fn part(&self) -> Part<'f> {
                $part(*self)
            }
        }
    };
}

field!(u32, U32, |v| Part::Number(v as u64));
field!(u64, U64, Part::Number);
field!(bool, Bool, |v| Part::Number(v as u64));
// sint64: zigzag
field!(i64, I64, |v: i64| Part::Number((v << 1) as u64 ^ (v >> 63) as u64));
field!(&'f str, Text, |v: &'f str| Part::Bytes(v.as_bytes()));
field!(&'f [u8], Bytes, Part::Bytes);
field!(Params<'f>, Params, Part::Params);

impl<'f> Slot<'_, 'f> {
    /// Takes an occurrence of the field, number `number` of the message `whole`. One of the
    /// wrong wire type is an unknown field; returns whether it was of the right one.
    #[inline]
    fn take(self, number: u32, wire: Wire<'f>, whole: &'f [u8]) -> Result<bool, Malformed> {
        match (self, wire) {
            (Slot::Text(s), Wire::Len(b)) => *s = core::str::from_utf8(b).map_err(|_| Malformed::NotUtf8)?,
            (Slot::Bytes(s), Wire::Len(b)) => *s = b,
            (Slot::Params(s), Wire::Len(b)) => return s.take(number, b, whole),
            (slot, Wire::Varint(v)) => match slot {
                Slot::U32(s) => *s = v as u32,
                Slot::U64(s) => *s = v,
                Slot::I64(s) => *s = (v >> 1) as i64 ^ -((v & 1) as i64),
                Slot::Bool(s) => *s = v != 0,
                Slot::Code(s) => *s = Code::from_number(v as u32),
                Slot::Encoding(s) => *s = Encoding::from_number(v as u32),
                Slot::StoreOp(s) => *s = StoreOp::from_number(v as u32),
                Slot::Change(s) => *s = Change::from_number(v as u32),
                Slot::What(s) => *s = What::from_number(v as u32),
                #[cfg(feature = "sniff")]
                Slot::Sight(s) => *s = Sight::from_number(v as u32),
                Slot::Text(_) | Slot::Bytes(_) | Slot::Params(_) => return Ok(false),
            },
            _ => return Ok(false),
        }
        Ok(true)
    }
}

impl Part<'_> {
    /// Writes the field with its tag; nothing for a default.
    #[inline]
    fn write(&self, number: u32, out: &mut Writer<'_>) {
        match self {
            Part::Number(0) | Part::Bytes([]) => {}
            Part::Number(v) => {
                out.tag(number, 0);
                out.varint(*v);
            }
            Part::Bytes(b) => {
                out.tag(number, 2);
                out.varint(b.len() as u64);
                out.bytes(b);
            }
            Part::Params(p) => p.write(number, out),
        }
    }
}

/// A message as numbered fields that can be read. Apart from [`Parts`], so that firmware
/// does not hold code to write what it only ever reads.
#[doc(hidden)]
pub trait Slots<'f> {
    fn slot(&mut self, number: u32) -> Option<Slot<'_, 'f>>;
}

/// A message as numbered fields that can be written.
#[doc(hidden)]
pub trait Parts<'f> {
    /// The highest field number.
    fn last(&self) -> u32;
    fn part(&self, number: u32) -> Option<Part<'f>>;
}

/// Reads a message. Returns whether it is plain: whether every decoder reads it as we do. One
/// with groups, or with a known field of a wrong wire type, is not: some give their
/// connection up on it (`wire/messi.md` section 6), so it is not handed on as it is.
fn fill<'f>(m: &mut dyn Slots<'f>, bytes: &'f [u8]) -> Result<bool, Malformed> {
    let (mut left, mut plain) = (bytes, true);
    while !left.is_empty() {
        let (rest, (number, wire)) = field(left)?;
        plain &= match m.slot(number) {
            Some(slot) => slot.take(number, wire, bytes)?,
            None => wire != Wire::Group,
        };
        left = rest;
    }
    Ok(plain)
}

/// Exact octets of a message: it is written to nowhere and counted, so that there is one
/// description of how it is written, and no second one of how long that is.
fn len(m: &dyn Parts<'_>) -> usize {
    let mut nowhere = Writer::new(&mut []);
    write(m, &mut nowhere);
    nowhere.written()
}

fn write(m: &dyn Parts<'_>, out: &mut Writer<'_>) {
    let mut n = 1;
    while n <= m.last() {
        if let Some(p) = m.part(n) {
            p.write(n, out);
        }
        n += 1;
    }
}

/// Named text parameters: as they were received, or as a caller lists them.
#[derive(Debug, Clone, Copy)]
pub enum Params<'f> {
    /// Repeated `Param` fields inside the bytes of a received message, all checked.
    Received {
        /// The message that holds them.
        whole: &'f [u8],
        /// Their field number.
        number: u32,
        /// How many there are.
        count: usize,
    },
    /// To be sent: key and value of each.
    Listed(&'f [(&'f str, &'f str)]),
}

impl Default for Params<'_> {
    fn default() -> Self {
        Params::Listed(&[])
    }
}

impl<'f> Params<'f> {
    /// How many there are.
    pub fn count(&self) -> usize {
        match self {
            Params::Received { count, .. } => *count,
            Params::Listed(l) => l.len(),
        }
    }

    /// Keys and values in order.
    pub fn iter(&self) -> ParamIter<'f> {
        ParamIter { of: *self, at: 0 }
    }

    /// The value of the first parameter called `key`.
    pub fn get(&self, key: &str) -> Option<&'f str> {
        self.iter().find(|(k, _)| *k == key).map(|(_, v)| v)
    }
}

impl PartialEq for Params<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl<'f> IntoIterator for &Params<'f> {
    type Item = (&'f str, &'f str);
    type IntoIter = ParamIter<'f>;
    fn into_iter(self) -> ParamIter<'f> {
        self.iter()
    }
}

/// Iterator of [`Params`].
#[derive(Debug, Clone)]
pub struct ParamIter<'f> {
    of: Params<'f>,
    at: usize,
}

impl<'f> Iterator for ParamIter<'f> {
    type Item = (&'f str, &'f str);

    fn next(&mut self) -> Option<Self::Item> {
        match self.of {
            Params::Listed(l) => {
                let p = l.get(self.at)?;
                self.at += 1;
                Some(*p)
            }
            Params::Received { whole, number, .. } => loop {
                let left = whole.get(self.at..)?;
                if left.is_empty() {
                    return None;
                }
                // checked when it was received
                let (rest, (n, wire)) = field(left).ok()?;
                self.at = whole.len() - rest.len();
                if let (true, Wire::Len(b)) = (n == number, wire) {
                    let p = Param::read(b).ok()?;
                    return Some((p.key, p.value));
                }
            },
        }
    }
}

impl<'f> Params<'f> {
    /// Takes one more, whose bytes are `bytes`, checked here.
    #[inline(never)]
    fn take(&mut self, number: u32, bytes: &'f [u8], whole: &'f [u8]) -> Result<bool, Malformed> {
        let plain = Param::default().fill(bytes)?;
        let count = self.count() + 1;
        if count > MAX_PARAMS {
            return Err(Malformed::TooManyParams);
        }
        *self = Params::Received { whole, number, count };
        Ok(plain)
    }

    fn write(&self, number: u32, out: &mut Writer<'_>) {
        if self.count() == 0 {
            return;
        }
        for (key, value) in self {
            let p = Param { key, value };
            out.tag(number, 2);
            out.varint(p.len() as u64);
            p.write(out);
        }
    }
}

/// The shape of every message: read, measured, written.
pub trait Message<'f>: Default {
    /// Takes the fields in the bytes of a message, which are all used. In place, because
    /// these structs are large to hand around by value. Returns whether every decoder would
    /// read the same: whether it is free of groups and of fields of a wrong wire type.
    fn fill(&mut self, bytes: &'f [u8]) -> Result<bool, Malformed>;
    /// From the bytes of the message.
    fn read(bytes: &'f [u8]) -> Result<Self, Malformed> {
        let mut m = Self::default();
        m.fill(bytes)?;
        Ok(m)
    }
    /// Exact octets that [`Message::write`] writes.
    fn len(&self) -> usize;
    /// Whether it is all defaults, which takes no octets.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// Writes [`Message::len`] octets.
    fn write(&self, out: &mut Writer<'_>);
}

macro_rules! messages {
    ($($(#[$doc:meta])* $name:ident { $($(#[$gate:meta])? $number:literal $field:ident: $type:ty,)* })*) => {$(
        $(#[$doc])*
        #[derive(Debug, Default, Clone, Copy, PartialEq)]
        #[allow(missing_docs, reason = "core/proto/chappe.proto documents each field")]
        pub struct $name<'f> { $($(#[$gate])? pub $field: $type,)* }

        impl<'f> Slots<'f> for $name<'f> {
            #[inline]
            fn slot(&mut self, number: u32) -> Option<Slot<'_, 'f>> {
                match number {
                    $($(#[$gate])? $number => Some(Field::slot(&mut self.$field)),)*
                    _ => None,
                }
            }
        }

        impl<'f> Parts<'f> for $name<'f> {
            fn last(&self) -> u32 {
                const { let numbers = [$($(#[$gate])? { $number as u32 }),*]; numbers[numbers.len() - 1] }
            }
            fn part(&self, number: u32) -> Option<Part<'f>> {
                match number {
                    $($(#[$gate])? $number => Some(Field::part(&self.$field)),)*
                    _ => None,
                }
            }
        }

        impl<'f> Message<'f> for $name<'f> {
            fn fill(&mut self, bytes: &'f [u8]) -> Result<bool, Malformed> {
                fill(self, bytes)
            }
            fn len(&self) -> usize {
                len(self)
            }
            fn write(&self, out: &mut Writer<'_>) {
                write(self, out)
            }
        }
    )*};
}

messages! {
    /// Introduces a station.
    Hello { 1 seq: u32, 2 name: &'f str, 3 user: &'f str, 4 token: &'f [u8], 5 silence_ms: u32, 6 software: &'f str, 7 max_frame: u32, }
    /// The answer to [`Hello`].
    Welcome { 1 seq: u32, 2 station: u64, 3 node: &'f str, 4 version: &'f str, 5 max_frame: u32, 6 silence_ms: u32, 7 max_name: u32, 8 max_value: u32, }
    /// How a request ended.
    Outcome { 1 seq: u32, 2 code: Code, 3 text: &'f str, 4 next: &'f str, 5 count: u32, }
    /// Become a member of a name.
    Join { 1 seq: u32, 2 name: &'f str, 3 instance: &'f str, 4 exclusive: bool, }
    /// Stop being a member.
    Leave { 1 seq: u32, 2 name: &'f str, 3 instance: &'f str, }
    /// A key and its value.
    Param { 1 key: &'f str, 2 value: &'f str, }
    /// A message, in both directions.
    Letter { 1 name: &'f str, 2 verb: &'f str, 3 body: &'f [u8], 4 encoding: Encoding, 5 params: Params<'f>, 6 instance: &'f str, 7 station: u64, 8 everyone: bool, 9 seq: u32, 10 ask: bool, 11 ttl_ms: u32, 12 keep: bool, 13 from: u64, 14 ask_id: u64, 15 each: bool, }
    /// The answer to a letter that asked, in both directions.
    Answer { 1 ask_id: u64, 2 code: Code, 3 text: &'f str, 4 body: &'f [u8], 5 encoding: Encoding, 6 params: Params<'f>, 7 seq: u32, 8 from: u64, 9 station: u64, }
    /// An operation on a shared value.
    Store { 1 seq: u32, 2 op: StoreOp, 3 name: &'f str, 4 value: &'f [u8], 5 amount: i64, 6 announce: bool, }
    /// A shared value.
    Value { 1 seq: u32, 2 name: &'f str, 3 value: &'f [u8], 4 age_ms: u64, 5 idle_ms: u64, }
    /// What to be told.
    Watch { 1 seq: u32, 2 name: &'f str, 3 stations: bool, 4 members: bool, 5 flags: bool, 6 off: bool, }
    /// Who came or went.
    Presence { 1 change: Change, 2 station: u64, 3 station_name: &'f str, 4 name: &'f str, 5 instance: &'f str, 6 reason: Code, }
    /// Asks for a page of a list.
    List { 1 seq: u32, 2 what: What, 3 name: &'f str, 4 after: &'f str, }
    /// A row of a list.
    Item { 1 seq: u32, 2 what: What, 3 name: &'f str, 4 station: u64, 5 instance: &'f str, 6 text: &'f str, 7 value: &'f [u8], 8 count: u64, 9 age_ms: u64, 10 exclusive: bool, 11 tags: &'f str, 12 manual: bool, #[cfg(feature = "kept-flags")] 13 last_ms: u64, #[cfg(feature = "kept-flags")] 14 times: u64, #[cfg(feature = "kept-flags")] 15 source_file: &'f str, #[cfg(feature = "kept-flags")] 16 function: &'f str, #[cfg(feature = "kept-flags")] 17 line: u32, }
    /// Raises or lowers a flag.
    Flag { 1 seq: u32, 2 raise: bool, 3 unit: &'f str, 4 section: &'f str, 5 name: &'f str, 6 description: &'f str, 7 priority: u32, 8 tags: &'f str, 9 manual_down: bool, 10 by_hand: bool, #[cfg(feature = "kept-flags")] 11 source_file: &'f str, #[cfg(feature = "kept-flags")] 12 function: &'f str, #[cfg(feature = "kept-flags")] 13 line: u32, }
    /// A flag was raised or lowered.
    FlagChange { 1 raised: bool, 2 name: &'f str, 3 description: &'f str, 4 priority: u32, 5 tags: &'f str, 6 manual_down: bool, 7 station: u64, }
    /// Declares a name for which mail may wait.
    Declare { 1 seq: u32, 2 name: &'f str, 3 forget: bool, }
    /// Leaves.
    Goodbye { 1 seq: u32, 2 text: &'f str, }
    /// Why the node is about to close.
    Closing { 1 code: Code, 2 text: &'f str, }
}

#[cfg(feature = "sniff")]
messages! {
    /// Be shown what stations say.
    Monitor { 1 seq: u32, 2 off: bool, 3 station: u64, 4 station_name: &'f str, 5 name: &'f str, 6 verb: &'f str, 7 dialect: &'f str, }
    /// What a station said.
    Seen {
        1 what: Sight, 2 micros: u64, 3 dialect: &'f str, 4 station: u64, 5 station_name: &'f str, 6 name: &'f str,
        7 instance: &'f str, 8 verb: &'f str, 9 params: Params<'f>, 10 body: &'f [u8], 11 encoding: Encoding,
        12 code: Code, 13 text: &'f str, 14 to: u64, 15 seq: u32, 16 op: StoreOp, 17 amount: i64, 18 ttl_ms: u32,
        19 everyone: bool, 20 keep: bool, 21 each: bool, 22 announce: bool, 23 exclusive: bool, 24 off: bool,
        25 cut: bool, 26 hidden: bool, 27 size: u64, 28 count: u64,
    }
}

macro_rules! enums {
    ($($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $number:literal $variant:ident,)* })*) => {$(
        $(#[$doc])*
        #[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
        #[cfg_attr(feature = "defmt", derive(defmt::Format))]
        #[allow(missing_docs, reason = "core/proto/chappe.proto documents each value")]
        pub enum $name {
            $($(#[$vdoc])* $variant,)*
            /// A value that this version does not know; it survives being passed on.
            Unknown(u32),
        }
        impl $name {
            /// From the number on the wire.
            pub const fn from_number(n: u32) -> Self {
                match n { $($number => $name::$variant,)* n => $name::Unknown(n) }
            }
            /// The number on the wire.
            pub const fn number(self) -> u32 {
                match self { $($name::$variant => $number,)* $name::Unknown(n) => n }
            }
        }
        field!($name, $name, |v: $name| Part::Number(v.number() as u64));
    )*};
}

enums! {
    /// How something ended, and why.
    Code {
        #[default] 0 Ok, 1 NoRecipient, 2 RecipientLeft, 3 TimedOut, 4 RecipientBusy, 5 Refused, 6 NameTaken,
        7 BadName, 8 BadRequest, 9 Full, 10 TooBig, 11 NotIntroduced, 12 BadCredentials, 13 NotFound,
        14 NotANumber, 15 Failed, 16 UnknownVerb, 17 Kept, 18 Silent, 19 Stopping, 20 Slow, 21 Lost,
        22 NotStored,
    }
    /// What the bytes of a body are.
    Encoding { #[default] 0 None, 1 Text, 2 Json, 3 Protobuf, 4 Bytes, }
    /// What to do with a value.
    StoreOp { #[default] 0 Get, 1 Set, 2 Remove, 3 Add, 4 Flush, }
    /// What happened to a station.
    Change { #[default] 0 None, 1 Connected, 2 Disconnected, 3 Joined, 4 Left, }
    /// What a list holds.
    What { #[default] 0 Stations, 1 Names, 2 Members, 3 Values, 4 Flags, 5 Counters, 6 Status, }
}

#[cfg(feature = "sniff")]
enums! {
    /// What is shown of it to who monitors.
    Sight {
        #[default] 0 None, 1 Letter, 2 Question, 3 Answer, 4 Join, 5 Leave, 6 Value, 7 Flag, 8 Declare, 9 Request,
        10 Outcome, 11 Connected, 12 Disconnected, 13 Missed,
    }
}

impl Code {
    /// For people, and stable for scripts.
    pub const fn text(self) -> &'static str {
        match self {
            Code::Ok => "ok",
            Code::NoRecipient => "no such recipient",
            Code::RecipientLeft => "the recipient left before answering",
            Code::TimedOut => "no answer in time",
            Code::RecipientBusy => "the recipient does not read what it is sent",
            Code::Refused => "not permitted",
            Code::NameTaken => "the name is taken",
            Code::BadName => "not a valid name",
            Code::BadRequest => "not understood",
            Code::Full => "a limit of the node is reached",
            Code::TooBig => "too big",
            Code::NotIntroduced => "not introduced: say hello first",
            Code::BadCredentials => "wrong user or token",
            Code::NotFound => "not found",
            Code::NotANumber => "the value is not a number",
            Code::Failed => "the callee failed",
            Code::UnknownVerb => "the callee does not know that verb",
            Code::Kept => "kept for whoever joins the name",
            Code::Silent => "silent for too long",
            Code::Stopping => "the node is stopping",
            Code::Slow => "did not read for too long",
            Code::Lost => "its connection ended or broke",
            Code::NotStored => "not stored",
            Code::Unknown(_) => "a code that this version does not know",
        }
    }
}

macro_rules! oneof {
    ($(#[$doc:meta])* $name:ident { $($(#[$if:meta])? $number:literal $member:ident($type:ident),)* }) => {
        $(#[$doc])*
        #[derive(Debug, Default, Clone, Copy, PartialEq)]
        #[allow(missing_docs, reason = "core/proto/chappe.proto documents each member")]
        #[allow(clippy::large_enum_variant, reason = "lives on the stack while one frame is handled")]
        pub enum $name<'f> {
            /// No member set, or only one that this version does not know.
            #[default]
            Nothing,
            $($(#[$if])? $member($type<'f>),)*
        }

        impl<'f> $name<'f> {
            /// From a frame's payload. Of several members the last counts, as in protobuf.
            /// Returned with it: the bytes of that member, as they came.
            pub fn read(payload: &'f [u8]) -> Result<(Self, &'f [u8]), Malformed> {
                let mut m = $name::Nothing;
                let (body, _) = m.fill(payload)?;
                Ok((m, body))
            }

            /// As `read`, in place; returned too: whether the member is plain, see
            /// [`Message::fill`].
            pub fn fill(&mut self, payload: &'f [u8]) -> Result<(&'f [u8], bool), Malformed> {
                let mut left = payload;
                let (mut seen, mut last, mut body) = (0u32, 0u32, &payload[..0]);
                while !left.is_empty() {
                    let (rest, (number, wire)) = field(left)?;
                    if let (Wire::Len(b), true) = (wire, Self::knows(number)) {
                        if seen & (1 << number) != 0 {
                            return Err(Malformed::MemberTwice);
                        }
                        seen |= 1 << number;
                        (last, body) = (number, b);
                    }
                    left = rest;
                }
                *self = match last {
                    $($(#[$if])? $number => $name::$member($type::default()),)*
                    _ => $name::Nothing,
                };
                let plain = match self {
                    $name::Nothing => true,
                    $($(#[$if])? $name::$member(m) => fill(m, body)?,)*
                };
                Ok((body, plain))
            }

            /// Whether there is a member of this number.
            #[inline]
            fn knows(number: u32) -> bool {
                #[allow(clippy::match_like_matches_macro, reason = "not every member is in every build")]
                match number {
                    $($(#[$if])? $number => true,)*
                    _ => false,
                }
            }

            /// Octets of the payload.
            pub fn len(&self) -> usize {
                self.len_around(self.inner_len())
            }

            /// Whether there is nothing in it.
            pub fn is_empty(&self) -> bool {
                matches!(self, $name::Nothing)
            }

            /// Writes `len` octets.
            pub fn write(&self, out: &mut Writer<'_>) {
                self.write_around(self.inner_len(), out);
            }

            /// Octets of the member alone. Finding them takes as long as writing it, so whoever
            /// needs them twice keeps them.
            pub(crate) fn inner_len(&self) -> usize {
                self.member().map_or(0, |(_, m)| len(m))
            }

            /// Octets of the payload around a member of `inner` octets.
            pub(crate) fn len_around(&self, inner: usize) -> usize {
                let mut nowhere = Writer::new(&mut []);
                self.begin(inner, &mut nowhere);
                nowhere.written() + inner
            }

            /// Writes the payload; the member is known to have `inner` octets.
            pub(crate) fn write_around(&self, inner: usize, out: &mut Writer<'_>) {
                self.begin(inner, out);
                if let Some((_, m)) = self.member() {
                    write(m, out);
                }
            }

            fn begin(&self, inner: usize, out: &mut Writer<'_>) {
                if let Some((number, _)) = self.member() {
                    out.tag(number, 2);
                    out.varint(inner as u64);
                }
            }

            fn member(&self) -> Option<(u32, &dyn Parts<'f>)> {
                match self {
                    $name::Nothing => None,
                    $($(#[$if])? $name::$member(m) => Some(($number, m)),)*
                }
            }
        }

        $($(#[$if])? impl<'f> From<$type<'f>> for $name<'f> {
            fn from(m: $type<'f>) -> Self { $name::$member(m) }
        })*
    };
}

oneof! {
    /// What a client says.
    ClientToServer {
        1 Hello(Hello), 2 Join(Join), 3 Leave(Leave), 4 Send(Letter), 5 Answer(Answer), 6 Store(Store),
        7 Watch(Watch), 8 List(List), 9 Flag(Flag), 10 Declare(Declare), 11 Goodbye(Goodbye),
        #[cfg(feature = "sniff")] 12 Monitor(Monitor),
    }
}

oneof! {
    /// What a node says.
    ServerToClient {
        1 Welcome(Welcome), 2 Outcome(Outcome), 3 Message(Letter), 4 Reply(Answer), 5 Value(Value),
        6 Item(Item), 7 Presence(Presence), 8 FlagChange(FlagChange), 9 Closing(Closing),
        #[cfg(feature = "sniff")] 10 Seen(Seen),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round<'f, M: Message<'f> + PartialEq + core::fmt::Debug>(m: &M, buf: &'f mut [u8; 512]) {
        buf.fill(0xa5);
        let mut w = Writer::new(buf);
        m.write(&mut w);
        assert_eq!(w.finish(), Some(m.len()));
        assert!(buf[m.len()..].iter().all(|&b| b == 0xa5), "wrote beyond its length");
        let n = m.len();
        assert_eq!(&M::read(&buf[..n]).unwrap(), m);
    }

    #[test]
    fn what_is_written_is_read_again() {
        let mut buf = [0; 512];
        let params = [("unit", "C"), ("", ""), ("ms", "250")];
        round(
            &Letter {
                name: "sensor::b1",
                verb: "SET",
                body: &[0, 255, 1],
                encoding: Encoding::Bytes,
                params: Params::Listed(&params),
                instance: "x",
                station: u64::MAX,
                everyone: true,
                seq: u32::MAX,
                ask: true,
                ttl_ms: 1,
                keep: true,
                from: 300,
                ask_id: 70_000,
                each: true,
            },
            &mut buf,
        );
        round(&Store { amount: i64::MIN, op: StoreOp::Unknown(77), ..Default::default() }, &mut buf);
        round(&Store { amount: i64::MAX, op: StoreOp::Add, name: "n", ..Default::default() }, &mut buf);
        round(&Outcome::default(), &mut buf);
    }

    #[test]
    fn params_are_found_in_received_bytes_between_other_fields() {
        // param a=1, name "n", param b=2 (fields in any order)
        let bytes = [0x2a, 6, 0x0a, 1, b'a', 0x12, 1, b'1', 0x0a, 1, b'n', 0x2a, 6, 0x0a, 1, b'b', 0x12, 1, b'2'];
        let l = Letter::read(&bytes).unwrap();
        assert_eq!(l.name, "n");
        assert_eq!(l.params.count(), 2);
        assert_eq!(l.params.get("b"), Some("2"));
        assert_eq!(l.params.get("c"), None);
    }

    #[test]
    fn bad_text_is_refused_wherever_it_stands() {
        assert_eq!(Letter::read(&[0x0a, 1, 0xff]), Err(Malformed::NotUtf8));
        assert_eq!(Letter::read(&[0x2a, 3, 0x0a, 1, 0xff]), Err(Malformed::NotUtf8));
        assert!(Letter::read(&[0x1a, 1, 0xff]).is_ok(), "a body is bytes");
    }

    #[test]
    fn fields_of_the_wrong_wire_type_are_unknown_fields() {
        assert_eq!(Letter::read(&[0x08, 5]).unwrap(), Letter::default());
    }

    #[test]
    fn of_two_members_the_last_counts_and_one_twice_is_refused() {
        let both = [0x0a, 0, 0x12, 0];
        assert!(matches!(ClientToServer::read(&both).unwrap().0, ClientToServer::Join(_)));
        assert_eq!(ClientToServer::read(&[0x0a, 0, 0x0a, 0]), Err(Malformed::MemberTwice));
        assert_eq!(ClientToServer::read(&[0x7a, 0]).unwrap().0, ClientToServer::Nothing);
        assert_eq!(ClientToServer::read(&[]).unwrap().0, ClientToServer::Nothing);
    }

    #[test]
    fn parameters_have_a_maximum() {
        let many = [0x2a, 0].repeat_n::<{ 2 * (MAX_PARAMS + 1) }>();
        assert!(Letter::read(&many[..2 * MAX_PARAMS]).is_ok());
        assert_eq!(Letter::read(&many), Err(Malformed::TooManyParams));
    }

    trait RepeatN {
        fn repeat_n<const N: usize>(&self) -> [u8; N];
    }
    impl RepeatN for [u8; 2] {
        fn repeat_n<const N: usize>(&self) -> [u8; N] {
            core::array::from_fn(|i| self[i % 2])
        }
    }
}
