//! What a line or datagram says, borrowed.
//!
//! Owns: the six fields of a message (`wire/communicator.md` section 1.1), its parameters in
//! the order they came and in the order they are written, and why something is no message.
//! All fields are octets: this dialect wants no UTF-8, and what is a legal name is looked at
//! by whoever acts on it (`name.rs`). Does not own reading (`parse.rs`) and writing
//! (`emit.rs`), nor what commands mean (`command.rs`).

use super::json;
use super::parse;
use super::text::Text;
use crate::limits::MAX_PARAMS;

/// A message. All but the command may be empty; that may only in JSON (section 1.7).
#[derive(Debug, Default, Clone, Copy)]
pub struct Message<'f> {
    /// Server that it says it is from.
    pub from_server: &'f [u8],
    /// Service that it says it is from.
    pub from_service: &'f [u8],
    /// Server it is for: a name, or `.`, `*`, `?`.
    pub server: &'f [u8],
    /// Service it is for: a name, or `.`, `*`, `?`.
    pub service: &'f [u8],
    /// What it says.
    pub command: &'f [u8],
    /// And with what.
    pub params: Params<'f>,
    /// One of its parameters may be `reply_to`, which says that an answer is wanted, or to what it is
    /// one. `false`: none is.
    pub asks: bool,
    /// All behind the source as it came, if that may be handed on as it is: text without LF
    /// and NUL. Else empty. Says nothing that the other fields do not.
    pub raw: &'f [u8],
}

/// By what they say, however they are written.
impl PartialEq for Message<'_> {
    fn eq(&self, other: &Self) -> bool {
        let names = |m: &Self| [m.from_server, m.from_service, m.server, m.service, m.command];
        names(self) == names(other) && self.params == other.params
    }
}

impl<'f> Message<'f> {
    /// The value of a parameter. Of one that was given twice the last counts.
    pub fn get(&self, key: &str) -> Option<Text<'f>> {
        self.params.get(key)
    }
}

/// Parameters of a message, checked.
#[derive(Debug, Default, Clone, Copy)]
pub struct Params<'f>(From<'f>);

#[derive(Debug, Clone, Copy)]
enum From<'f> {
    /// What stands behind the command and its space.
    Text(&'f [u8]),
    /// What stands behind the `{`.
    Json(&'f [u8]),
    Listed(&'f [(Text<'f>, Text<'f>)]),
}

impl Default for From<'_> {
    fn default() -> Self {
        From::Listed(&[])
    }
}

/// By keys and values, however they are written and in which order.
impl PartialEq for Params<'_> {
    fn eq(&self, other: &Self) -> bool {
        let (mut a, mut b) = (Sorted::new(), Sorted::new());
        let both = (a.put_all(self), b.put_all(other));
        both == (Ok(()), Ok(())) && a.pairs == b.pairs
    }
}

impl<'f> Params<'f> {
    /// Those of a caller.
    pub const fn listed(pairs: &'f [(Text<'f>, Text<'f>)]) -> Self {
        Params(From::Listed(pairs))
    }

    /// Text that was checked.
    pub(super) const fn of_text(text: &'f [u8]) -> Self {
        Params(From::Text(text))
    }

    /// The inside of an object that was checked.
    pub(super) const fn of_json(text: &'f [u8]) -> Self {
        Params(From::Json(text))
    }

    /// Keys and values in the order they came, those that a later one replaces too.
    pub const fn iter(&self) -> Iter<'f> {
        Iter(self.0)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }

    /// The value of a parameter. Of one that was given twice the last counts.
    pub fn get(&self, key: &str) -> Option<Text<'f>> {
        self.iter().filter(|(k, _)| k.is(key.as_bytes())).last().map(|(_, value)| value)
    }
}

impl<'f> IntoIterator for &Params<'f> {
    type Item = (Text<'f>, Text<'f>);
    type IntoIter = Iter<'f>;
    fn into_iter(self) -> Iter<'f> {
        self.iter()
    }
}

/// Iterator of [`Params`].
#[derive(Debug, Clone)]
pub struct Iter<'f>(From<'f>);

impl<'f> Iterator for Iter<'f> {
    type Item = (Text<'f>, Text<'f>);

    fn next(&mut self) -> Option<Self::Item> {
        match &mut self.0 {
            // both were checked: what is not a parameter is the end
            From::Text(left) => parse::param(left).ok()?,
            From::Json(left) => {
                let pair = json::param(left).ok()?;
                if pair.is_none() {
                    *left = &[];
                }
                pair
            }
            From::Listed(left) => {
                let (first, rest) = left.split_first()?;
                *left = rest;
                Some(*first)
            }
        }
    }
}

/// Parameters as they are written: in ascending order of their keys, each once.
#[derive(Debug, Default)]
pub struct Sorted<'f> {
    pairs: heapless::Vec<(Text<'f>, Text<'f>), MAX_PARAMS>,
}

impl<'f> Sorted<'f> {
    /// None yet.
    pub const fn new() -> Self {
        Sorted { pairs: heapless::Vec::new() }
    }

    /// One more, or one in place of another of this key.
    ///
    /// # Errors
    ///
    /// There are [`MAX_PARAMS`] already.
    pub fn put(&mut self, key: Text<'f>, value: Text<'f>) -> Result<(), Fault> {
        // most come in order
        if self.pairs.last().is_none_or(|(last, _)| last.cmp(key).is_lt()) {
            return self.pairs.push((key, value)).map_err(|_| Fault::TooManyParams);
        }
        match self.pairs.binary_search_by(|(k, _)| k.cmp(key)) {
            Ok(at) => {
                if let Some(pair) = self.pairs.get_mut(at) {
                    pair.1 = value;
                }
                Ok(())
            }
            Err(at) => self.pairs.insert(at, (key, value)).map_err(|_| Fault::TooManyParams),
        }
    }

    /// All of these.
    ///
    /// # Errors
    ///
    /// They are more than [`MAX_PARAMS`].
    pub fn put_all(&mut self, params: &Params<'f>) -> Result<(), Fault> {
        params.iter().try_for_each(|(key, value)| self.put(key, value))
    }

    /// Not this one.
    pub fn remove(&mut self, key: &str) {
        if let Ok(at) = self.pairs.binary_search_by(|(k, _)| k.cmp(Text::from(key))) {
            self.pairs.remove(at);
        }
    }

    /// In order.
    pub fn pairs(&self) -> &[(Text<'f>, Text<'f>)] {
        &self.pairs
    }
}

/// Why a line or datagram is no message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Fault {
    /// Nothing but blanks.
    Blank,
    /// A source without `:`, or with a space before it.
    Source,
    /// Nothing behind the source.
    OnlySource,
    /// A `:` without a server before it.
    EmptyServer,
    /// A `/` without a service before it.
    EmptyService,
    /// A second `:`.
    TwoServers,
    /// A second `/`.
    TwoServices,
    /// A `:` behind the `/`.
    ServerBehindService,
    /// No command.
    NoCommand,
    /// A parameter whose name is empty.
    EmptyKey,
    /// A parameter whose name is none (section 1.2).
    BadKey,
    /// A parameter without `=`.
    NoValue,
    /// A quote that is not closed.
    OpenQuote,
    /// Something between a closing quote and the next `;`.
    BehindQuote,
    /// More parameters than [`MAX_PARAMS`].
    TooManyParams,
    /// JSON that ends too early.
    JsonTruncated,
    /// JSON: something that cannot stand where it does.
    JsonUnexpected,
    /// JSON: an escape that there is not.
    JsonEscape,
    /// JSON: half of a surrogate pair.
    JsonHalfPair,
    /// JSON: a field of the message that is not text.
    JsonNotText,
    /// JSON: an object or array where none may be.
    JsonNested,
    /// JSON: a number of more than 64 bits.
    JsonNumber,
    /// JSON: parameters twice.
    JsonTwice,
    /// Something behind the JSON object.
    JsonTrailing,
    /// JSON: a NUL, which no message can hold.
    JsonNul,
    /// JSON: names in escapes that are longer than any name.
    JsonNames,
}

impl Fault {
    /// For people.
    pub const fn text(self) -> &'static str {
        match self {
            Fault::Blank => "nothing but blanks",
            Fault::Source => "a source that is not `<server:service `",
            Fault::OnlySource => "nothing behind the source",
            Fault::EmptyServer => "a `:` without a server before it",
            Fault::EmptyService => "a `/` without a service before it",
            Fault::TwoServers => "two servers in one destination",
            Fault::TwoServices => "two services in one destination",
            Fault::ServerBehindService => "a server behind the service in a destination",
            Fault::NoCommand => "no command",
            Fault::EmptyKey => "a parameter without a name",
            Fault::BadKey => "a parameter whose name is not letters, digits and `_`",
            Fault::NoValue => "a parameter without `=`",
            Fault::OpenQuote => "a quote that is not closed",
            Fault::BehindQuote => "something behind a closing quote",
            Fault::TooManyParams => "too many parameters",
            Fault::JsonTruncated => "the JSON text ends too early",
            Fault::JsonUnexpected => "not JSON: something that cannot stand where it does",
            Fault::JsonEscape => "not JSON: an unknown escape in a string",
            Fault::JsonHalfPair => "half of a surrogate pair in a string of JSON",
            Fault::JsonNotText => "a field of a message in JSON that is not text",
            Fault::JsonNested => "an object or array in JSON where a message has none",
            Fault::JsonNumber => "a number in JSON of more than 64 bits",
            Fault::JsonTwice => "parameters twice in one message of JSON",
            Fault::JsonTrailing => "something stands behind the message of JSON",
            Fault::JsonNul => "a NUL in a string of JSON",
            Fault::JsonNames => "names in JSON that are too long",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_order_each_once_the_last_counts() {
        let t = |s| Text::from(s);
        let pairs = [
            (t("b"), t("1")),
            (t("_"), t("2")),
            (t("B"), t("3")),
            (Text::bare(b"b"), Text::bare(br"\n")),
            (t("ba"), t("4")),
        ];
        let params = Params::listed(&pairs);
        let mut sorted = Sorted::new();
        sorted.put_all(&params).unwrap();
        let keys: heapless::Vec<&[u8], 8> = sorted.pairs().iter().filter_map(|(k, _)| k.plain()).collect();
        assert_eq!(keys[..], [&b"B"[..], b"_", b"b", b"ba"]);
        assert!(params.get("b").unwrap().is(b"\n"));
        assert_eq!(params.get("a"), None);
        sorted.remove("_");
        sorted.remove("nobody");
        assert_eq!(sorted.pairs().len(), 3);
        let other = [(t("_"), t("2")), (t("ba"), t("4")), (t("B"), t("3")), (t("b"), t("\n"))];
        assert_eq!(params, Params::listed(&other));
        assert_ne!(params, Params::listed(&other[1..]));
    }
}
